"""Recursion instead of loops: a network is its first layer and the network behind it."""

import math


def pair(size):
    if isinstance(size, int):
        return size, size
    return size


def conv2d_params(kernel_size, in_channels, filters, use_bias=True):
    height, width = pair(kernel_size)
    return dense_params(height * width * in_channels, filters, use_bias)


def dense_params(in_features, units, use_bias=True):
    """Cut the layer in two until a single unit is left."""
    if units == 1:
        return in_features + 1 if use_bias else in_features
    half = units // 2
    return dense_params(in_features, half, use_bias) + dense_params(in_features, units - half, use_bias)


def batchnorm_params(channels):
    if channels == 1:
        return [2, 2]
    half = channels // 2
    return [a + b for a, b in zip(batchnorm_params(half), batchnorm_params(channels - half), strict=True)]


def separable_conv2d_params(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    one_channel = conv2d_params(kernel_size, 1, depth_multiplier, use_bias=False)
    return in_channels * one_channel + dense_params(in_channels * depth_multiplier, filters, use_bias)


def side_after(n, window, stride, padding):
    """Count the places of a window by moving it on until it no longer fits."""
    if padding == "same":
        return 0 if n <= 0 else 1 + side_after(n - stride, window, stride, padding)
    return 0 if n < window else 1 + side_after(n - stride, window, stride, padding)


def map_after(shape, window, strides, padding):
    (height, width), (rows, columns) = pair(window), pair(strides)
    return side_after(shape[0], height, rows, padding), side_after(shape[1], width, columns, padding)


def stack_params(input_shape, layers):
    if not layers:
        return []
    first, *rest = layers
    kind = first["type"]
    padding = first.get("padding", "valid")
    channels = input_shape[-1]
    if kind == "conv":
        filters, kernel = first["filters"], first["kernel_size"]
        count = conv2d_params(kernel, channels, filters, first.get("use_bias", True))
        shape = (*map_after(input_shape, kernel, first.get("strides", 1), padding), filters)
    elif kind.endswith("pool") and kind != "global_avg_pool":
        pool = first.get("pool_size", 2)
        strides = pool if first.get("strides") is None else first["strides"]
        count, shape = 0, (*map_after(input_shape, pool, strides, padding), channels)
    elif kind == "global_avg_pool":
        count, shape = 0, (channels,)
    elif kind == "flatten":
        count, shape = 0, (math.prod(input_shape),)
    elif kind == "dense":
        count = dense_params(channels, first["units"], first.get("use_bias", True))
        shape = (first["units"],)
    else:
        count, shape = sum(batchnorm_params(channels)) if kind == "batch_norm" else 0, input_shape
    return [count, *stack_params(shape, rest)]


def lenet5_params():
    convolution = {"type": "conv", "kernel_size": 5}
    layers = [
        convolution | {"filters": 6},
        {"type": "avg_pool"},
        convolution | {"filters": 16},
        {"type": "avg_pool"},
        convolution | {"filters": 120},
        {"type": "flatten"},
        {"type": "dense", "units": 84},
        {"type": "dense", "units": 10},
    ]
    counts = [count for count in stack_params((32, 32, 1), layers) if count]
    return dict(zip(["C1", "C3", "C5", "F6", "OUT"], counts, strict=True))


def my_network_params(student_id):
    input_shape, layers = variant(student_id)
    names = [layer["name"] for layer in layers]
    return dict(zip(names, stack_params(input_shape, layers), strict=True))
