"""Lists the shapes of a layer's weight arrays and multiplies them out; answers are numpy's own numbers."""

import numpy as np


def both(size):
    return np.broadcast_to(size, 2)


def total(*weight_shapes):
    return np.sum([np.prod(shape, dtype=np.int64) for shape in weight_shapes], dtype=np.int64)


def biases(count, use_bias):
    return (count if use_bias else 0,)


def conv2d_params(kernel_size, in_channels, filters, use_bias=True):
    return total((*both(kernel_size), in_channels, filters), biases(filters, use_bias))


def dense_params(in_features, units, use_bias=True):
    return total((in_features, units), biases(units, use_bias))


def batchnorm_params(channels):
    gamma = beta = moving_mean = moving_variance = (channels,)
    return np.array([total(gamma, beta), total(moving_mean, moving_variance)])


def separable_conv2d_params(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    depthwise = (*both(kernel_size), in_channels, depth_multiplier)
    pointwise = (1, 1, in_channels * depth_multiplier, filters)
    return total(depthwise, pointwise, biases(filters, use_bias))


def shapes_along(input_shape, layers):
    """List the shape that enters each layer, and last the one that leaves the network."""
    shapes = [np.array(input_shape)]
    for layer in layers:
        shape = shapes[-1]
        if layer["type"] in ("conv", "max_pool", "avg_pool"):
            window = both(layer.get("kernel_size", layer.get("pool_size", 2)))
            strides = layer.get("strides", 1 if "filters" in layer else None)
            strides = window if strides is None else both(strides)
            # the places where a window may start, before strides leave some of them out
            starts = shape[:2] if layer.get("padding") == "same" else shape[:2] - window + 1
            sides = np.ceil(starts / strides).astype(int)
            shapes.append(np.array([*sides, layer.get("filters", shape[-1])]))
        elif layer["type"] == "flatten":
            shapes.append(np.array([shape.prod()]))
        elif layer["type"] == "global_avg_pool":
            shapes.append(shape[-1:])
        else:
            shapes.append(np.array([layer["units"]]) if "units" in layer else shape)
    return shapes


def stack_params(input_shape, layers):
    counts = np.zeros(len(layers), dtype=np.int64)
    for i, (layer, shape) in enumerate(zip(layers, shapes_along(input_shape, layers), strict=False)):
        if layer["type"] == "conv":
            counts[i] = conv2d_params(
                layer["kernel_size"], shape[-1], layer["filters"], layer.get("use_bias", True)
            )
        elif layer["type"] == "dense":
            counts[i] = dense_params(shape[-1], layer["units"], layer.get("use_bias", True))
        elif layer["type"] == "batch_norm":
            counts[i] = batchnorm_params(shape[-1]).sum()
    return counts


def lenet5_params():
    return {
        "C1": total((5, 5, 1, 6), (6,)),
        "C3": total((5, 5, 6, 16), (16,)),
        "C5": total((5, 5, 16, 120), (120,)),
        "F6": total((120, 84), (84,)),
        "OUT": total((84, 10), (10,)),
    }


def my_network_params(student_id):
    input_shape, layers = variant(student_id)
    counts = stack_params(input_shape, layers)
    return {layer["name"]: counts[i] for i, layer in enumerate(layers)}
