"""Right answers in numpy: shapes are integer arrays, and every count is a numpy integer."""

import numpy as np


def windowed(size, window, strides, padding):
    size, window, strides = (np.broadcast_to(sides, 2) for sides in (size, window, strides))
    visited = size if padding == "same" else size - window + 1
    # A ceiling, for the last window may start anywhere in the last stride.
    return -(visited // -strides)


def feature_map_shapes(input_shape, layers):
    shapes = [np.array(input_shape)]
    for layer in layers:
        before, kind = shapes[-1], layer["type"]
        if kind == "conv":
            strides = layer.get("strides", 1)
            size = windowed(before[:2], layer["kernel_size"], strides, layer.get("padding", "valid"))
            shapes.append(np.append(size, layer["filters"]))
        elif kind in ("max_pool", "avg_pool"):
            window = layer.get("pool_size", 2)
            strides = window if layer.get("strides") is None else layer["strides"]
            size = windowed(before[:2], window, strides, layer.get("padding", "valid"))
            shapes.append(np.append(size, before[2]))
        elif kind == "global_avg_pool":
            shapes.append(before[2:])
        elif kind == "flatten":
            shapes.append(np.prod(before, keepdims=True))
        elif kind == "dense":
            shapes.append(np.array([layer["units"]]))
        else:
            shapes.append(before)
    return shapes[1:]


def tensor_bytes(shape, dtype="float32"):
    if dtype not in {"float16", "float32", "float64", "int8", "uint8"}:
        raise ValueError("unknown dtype")
    return np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize


def conv2d_multiplications(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = windowed(input_shape[:2], kernel_size, strides, padding)
    window = np.broadcast_to(kernel_size, 2)
    return np.prod([*places, *window, input_shape[2], filters], dtype=np.int64)


def numbers_kept(input_shape, layers):
    shapes = [np.array(input_shape), *feature_map_shapes(input_shape, layers)]
    n_params = 0
    for layer, before in zip(layers, shapes[:-1], strict=True):
        bias = layer.get("use_bias", True)
        if layer["type"] == "conv":
            window = np.broadcast_to(layer["kernel_size"], 2)
            n_params += (window.prod() * before[2] + bias) * layer["filters"]
        elif layer["type"] == "dense":
            n_params += (before[0] + bias) * layer["units"]
        elif layer["type"] == "batch_norm":
            n_params += 4 * before[-1]
    return n_params, np.array([shape.prod() for shape in shapes])


def inference_ram_bytes(input_shape, layers, dtype="float32"):
    n_params, activations = numbers_kept(input_shape, layers)
    neighbours = np.convolve(activations, [1, 1], mode="valid")
    return (n_params + neighbours.max()) * np.dtype(dtype).itemsize


def training_ram_bytes(input_shape, layers, batch_size, dtype="float32"):
    n_params, activations = numbers_kept(input_shape, layers)
    return (n_params + batch_size * activations.sum()) * np.dtype(dtype).itemsize


def optimizer_bytes(n_params, optimizer, dtype="float32"):
    copies = np.array([1, 2, 3])[("sgd", "momentum", "adam").index(optimizer)]
    return n_params * copies * np.dtype(dtype).itemsize


def max_batch_size(input_shape, layers, memory_bytes, dtype="float32"):
    n_params, activations = numbers_kept(input_shape, layers)
    n_numbers = memory_bytes // np.dtype(dtype).itemsize
    return np.maximum(0, np.floor_divide(n_numbers - n_params, activations.sum()))


def my_network_ram(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }
