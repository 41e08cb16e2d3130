"""Right answers that take the first layer off the stack and recurse into the rest."""

import math


def two(size):
    try:
        height, width = size
    except TypeError:
        return size, size
    return height, width


def axis_size(n, window, stride, padding):
    if padding == "same":
        return math.ceil(n / stride)
    return math.floor((n - window) / stride) + 1


def output_shape(shape, layer):
    match layer:
        case {"type": "conv", "filters": channels, "kernel_size": window}:
            strides = layer.get("strides", 1)
        case {"type": "max_pool" | "avg_pool"}:
            window, channels = layer.get("pool_size", 2), shape[-1]
            strides = layer.get("strides")
            if strides is None:
                strides = window
        case {"type": "dense", "units": units}:
            return (units,)
        case {"type": "flatten"}:
            return (math.prod(shape),)
        case {"type": "global_avg_pool"}:
            return (shape[-1],)
        case _:
            return shape
    height, width, _ = shape
    padding = layer.get("padding", "valid")
    return (
        axis_size(height, two(window)[0], two(strides)[0], padding),
        axis_size(width, two(window)[1], two(strides)[1], padding),
        channels,
    )


def feature_map_shapes(input_shape, layers):
    if not layers:
        return []
    shape = output_shape(tuple(input_shape), layers[0])
    return [shape, *feature_map_shapes(shape, layers[1:])]


def tensor_bytes(shape, dtype="float32"):
    match dtype:
        case "int8" | "uint8":
            size = 1
        case "float16":
            size = 2
        case "float32":
            size = 4
        case "float64":
            size = 8
        case _:
            raise ValueError(f"no such dtype here: {dtype}")
    return size if len(shape) == 0 else shape[0] * tensor_bytes(shape[1:], dtype)


def conv2d_multiplications(input_shape, kernel_size, filters, strides=1, padding="same"):
    height, width, channels = input_shape
    window_height, window_width = two(kernel_size)
    down, right = two(strides)
    rows = axis_size(height, window_height, down, padding)
    columns = axis_size(width, window_width, right, padding)
    return filters * rows * columns * window_height * window_width * channels


def own_parameters(shape, layer):
    bias = int(layer.get("use_bias", True))
    match layer["type"]:
        case "conv":
            height, width = two(layer["kernel_size"])
            return layer["filters"] * (height * width * shape[-1] + bias)
        case "dense":
            return layer["units"] * (shape[-1] + bias)
        case "batch_norm":
            return 4 * shape[-1]
        case _:
            return 0


def parameters(shape, layers):
    if not layers:
        return 0
    first, *rest = layers
    return own_parameters(shape, first) + parameters(output_shape(shape, first), rest)


def worst_pair(shape, layers, dtype):
    if not layers:
        return 0
    first, *rest = layers
    after = output_shape(shape, first)
    here = tensor_bytes(shape, dtype) + tensor_bytes(after, dtype)
    return max(here, worst_pair(after, rest, dtype))


def all_activations(shape, layers, dtype):
    here = tensor_bytes(shape, dtype)
    if not layers:
        return here
    return here + all_activations(output_shape(shape, layers[0]), layers[1:], dtype)


def inference_ram_bytes(input_shape, layers, dtype="float32"):
    n_params = parameters(input_shape, layers)
    return n_params * tensor_bytes((), dtype) + worst_pair(input_shape, layers, dtype)


def training_ram_bytes(input_shape, layers, batch_size, dtype="float32"):
    n_params = parameters(input_shape, layers)
    return n_params * tensor_bytes((), dtype) + batch_size * all_activations(input_shape, layers, dtype)


def optimizer_bytes(n_params, optimizer, dtype="float32"):
    gradients = n_params * tensor_bytes((), dtype)
    if optimizer == "sgd":
        return gradients
    if optimizer == "momentum":
        return gradients + optimizer_bytes(n_params, "sgd", dtype)
    return gradients + optimizer_bytes(n_params, "momentum", dtype)


def max_batch_size(input_shape, layers, memory_bytes, dtype="float32"):
    def search(fits, too_many):
        # `fits` images fit and `too_many` don't
        if too_many - fits == 1:
            return fits
        middle = (fits + too_many) // 2
        if training_ram_bytes(input_shape, layers, middle, dtype) <= memory_bytes:
            return search(middle, too_many)
        return search(fits, middle)

    return search(0, memory_bytes + 2)


def my_network_ram(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
        "inference_bytes": inference_ram_bytes(input_shape, layers),
    }
