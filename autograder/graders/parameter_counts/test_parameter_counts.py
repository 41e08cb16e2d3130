"""Hidden grader of `parameter_counts`."""

from __future__ import annotations

import math

import pytest

from autograder import answers, grader, networks

variant = grader.provided("parameter_counts", "variant")


def pair(size):
    """Return an integer or a (height, width) pair as a pair."""
    return (size, size) if isinstance(size, int) else tuple(size)


def area(size):
    """Return how many cells a window of `size` covers."""
    height, width = pair(size)
    return height * width


# --- conv2d_params ---------------------------------------------------------------------------------------

question = grader.question("conv2d_params", points=2)


@question.reference
def conv2d_params(kernel_size, in_channels, filters, use_bias=True):
    return filters * (area(kernel_size) * in_channels + use_bias)


@question.draws
def any_convolution(rng):
    sizes = rng.integers(1, 9, 4).tolist()
    kernel_size = sizes[0] if rng.integers(2) else (sizes[0], sizes[1])
    return (kernel_size, *rng.integers(1, 80, 2).tolist(), bool(rng.integers(2)))[: rng.integers(3, 5)]


@question.slip("Each filter also learns one bias: add it once per filter.")
def conv_without_bias(kernel_size, in_channels, filters, use_bias=True):
    return area(kernel_size) * in_channels * filters


@question.slip("You added one bias for the whole layer, but every filter has a bias of its own.")
def conv_single_bias(kernel_size, in_channels, filters, use_bias=True):
    return area(kernel_size) * in_channels * filters + use_bias


@question.slip(
    "A filter sums over all its channels before it adds its bias, so it needs one bias, not one a channel."
)
def conv_bias_per_channel(kernel_size, in_channels, filters, use_bias=True):
    return (area(kernel_size) + use_bias) * in_channels * filters


@question.slip("Weights have no biases of their own: a filter adds its one bias after all the products.")
def conv_bias_per_weight(kernel_size, in_channels, filters, use_bias=True):
    return area(kernel_size) * in_channels * filters * (1 + use_bias)


@question.slip("With use_bias=False there are no biases to count; you added them all the same.")
def conv_bias_always(kernel_size, in_channels, filters, use_bias=True):
    return filters * (area(kernel_size) * in_channels + 1)


@question.slip(
    "A kernel need not be square: multiply its height by its width instead of squaring its height."
)
def conv_height_squared(kernel_size, in_channels, filters, use_bias=True):
    return filters * (pair(kernel_size)[0] ** 2 * in_channels + use_bias)


@question.slip("A kernel size of one number is the side of a square, and its weights fill the whole square.")
def conv_side_for_area(kernel_size, in_channels, filters, use_bias=True):
    window = kernel_size if isinstance(kernel_size, int) else area(kernel_size)
    return filters * (window * in_channels + use_bias)


@question.slip(
    "A filter reaches through all input channels: it has a kernel's worth of weights for each of them."
)
def conv_channels_forgotten(kernel_size, in_channels, filters, use_bias=True):
    return filters * (area(kernel_size) + use_bias)


@question.slip(
    "Filters and input channels seem to have changed places: biases belong to what leaves the layer."
)
def conv_channels_and_filters_swapped(kernel_size, in_channels, filters, use_bias=True):
    return in_channels * (area(kernel_size) * filters + use_bias)


@question.test(points=1)
@pytest.mark.parametrize("draw", range(4))
def test_square_kernels(compare, rng, draw):
    """counts the weights and biases of square kernels"""
    in_channels = int(rng.integers(2, 60))
    compare(int(rng.integers(2, 8)), in_channels, in_channels + int(rng.integers(1, 90)))
    compare(1, 64, 8)


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("kernel_size", "in_channels", "filters"), [((3, 1), 4, 7), ((2, 5), 9, 3), ((7, 4), 1, 20)]
)
def test_kernels_that_are_not_square(compare, kernel_size, in_channels, filters):
    """takes a (height, width) pair for the kernel"""
    compare(kernel_size, in_channels, filters)


@question.test(points=0.5)
@pytest.mark.parametrize(("kernel_size", "in_channels", "filters"), [(4, 3, 11), ((1, 6), 8, 5), (2, 13, 6)])
def test_convolutions_without_biases(compare, kernel_size, in_channels, filters):
    """leaves the biases out where there are none"""
    compare(kernel_size, in_channels, filters, use_bias=False)
    compare(kernel_size, in_channels, filters, use_bias=True)


# --- dense_params ----------------------------------------------------------------------------------------

question = grader.question("dense_params", points=1)


@question.reference
def dense_params(in_features, units, use_bias=True):
    return units * (in_features + use_bias)


@question.draws
def any_dense(rng):
    return (*rng.integers(1, 900, 2).tolist(), bool(rng.integers(2)))[: rng.integers(2, 4)]


@question.slip("Each unit also learns one bias: add it once per unit.")
def dense_without_bias(in_features, units, use_bias=True):
    return in_features * units


@question.slip("You added one bias for the whole layer, but every unit has a bias of its own.")
def dense_single_bias(in_features, units, use_bias=True):
    return in_features * units + use_bias


@question.slip("Biases belong to the units, one each; the numbers that enter have none.")
def dense_bias_per_input(in_features, units, use_bias=True):
    return in_features * (units + use_bias)


@question.slip("A connection has a weight and no bias of its own: each unit adds one bias to its sum.")
def dense_bias_per_connection(in_features, units, use_bias=True):
    return in_features * units * (1 + use_bias)


@question.slip("A dense layer with use_bias=False has weights only; you counted biases all the same.")
def dense_bias_always(in_features, units, use_bias=True):
    return units * (in_features + 1)


@question.test(points=0.5)
@pytest.mark.parametrize("draw", range(3))
def test_dense_layers(compare, rng, draw):
    """counts every connection, and the biases"""
    units = int(rng.integers(2, 90))
    compare(units + int(rng.integers(1, 900)), units)
    compare(units, units + int(rng.integers(1, 900)))


@question.test(points=0.5)
@pytest.mark.parametrize(("in_features", "units"), [(17, 6), (5, 40), (300, 1)])
def test_dense_layers_without_biases(compare, in_features, units):
    """leaves the biases of a dense layer out where there are none"""
    compare(in_features, units, use_bias=False)
    compare(in_features, units, use_bias=True)


# --- batchnorm_params ------------------------------------------------------------------------------------

question = grader.question("batchnorm_params", points=1)


@question.reference
def batchnorm_params(channels):
    gamma = beta = moving_mean = moving_variance = channels
    return gamma + beta, moving_mean + moving_variance


@question.draws
def any_channels(rng):
    return (int(rng.integers(1, 900)),)


@question.slip(
    "The moving mean and variance are averages of what passed by: no gradient reaches them, so they are not "
    "trainable."
)
def everything_trainable(channels):
    return 4 * channels, 0


@question.slip(
    "Gamma and beta are there. At inference the layer also needs a mean and a variance that it stored."
)
def moving_statistics_forgotten(channels):
    return 2 * channels, 0


@question.slip("Nothing here is frozen: gamma and beta are learned by gradient descent like any weight.")
def nothing_trainable(channels):
    return 0, 4 * channels


@question.slip(
    "Every channel is normalized by itself, so it has its own four numbers: multiply by the channels."
)
def one_set_for_all_channels(channels):
    return 2, 2


@question.slip("The second number is what is not trainable; you gave the total there.")
def trainable_and_total(channels):
    return 2 * channels, 4 * channels


@question.slip("The total is right; return it as a pair, trainable first, then non-trainable.")
def total_instead_of_pair(channels):
    return 4 * channels


@question.test
@pytest.mark.parametrize("draw", range(4))
def test_batch_normalization(compare, rng, draw):
    """tells trainable from non-trainable numbers for any number of channels"""
    compare(int(rng.integers(2, 600)))
    compare(1)


# --- separable_conv2d_params -----------------------------------------------------------------------------

question = grader.question("separable_conv2d_params", points=2)


@question.reference
def separable_conv2d_params(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    flat_kernels = in_channels * depth_multiplier
    return area(kernel_size) * flat_kernels + (flat_kernels + use_bias) * filters


@question.draws
def any_separable_convolution(rng):
    kernel_size, in_channels, filters = any_convolution(rng)[:3]
    return (kernel_size, in_channels, filters, int(rng.integers(1, 5)), bool(rng.integers(2)))[
        : rng.integers(3, 6)
    ]


@question.slip(
    "That is an ordinary convolution. A separable one filters each channel alone, then mixes with 1×1."
)
def separable_as_ordinary(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return conv2d_params(kernel_size, in_channels, filters, use_bias)


@question.slip("The biases come once, after the pointwise step; the depthwise step has none in Keras.")
def separable_bias_in_both_steps(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    flat_kernels = in_channels * depth_multiplier
    return (area(kernel_size) + use_bias) * flat_kernels + (flat_kernels + use_bias) * filters


@question.slip(
    "The pointwise step reads every map that the depthwise step made, so the multiplier widens it too."
)
def multiplier_not_in_pointwise(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return area(kernel_size) * in_channels * depth_multiplier + (in_channels + use_bias) * filters


@question.slip("The depthwise step has depth_multiplier flat kernels for each channel; you counted one.")
def multiplier_not_in_depthwise(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return area(kernel_size) * in_channels + (in_channels * depth_multiplier + use_bias) * filters


@question.slip("The depth multiplier changes both steps; your count takes no notice of it.")
def multiplier_ignored(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return area(kernel_size) * in_channels + (in_channels + use_bias) * filters


@question.slip(
    "Each channel has its own flat kernels in the depthwise step; you let all channels share one set."
)
def depthwise_kernels_shared(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return area(kernel_size) * depth_multiplier + (in_channels * depth_multiplier + use_bias) * filters


@question.slip("After the depthwise step comes the pointwise one: its 1×1 kernels have weights as well.")
def pointwise_weights_forgotten(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return area(kernel_size) * in_channels * depth_multiplier + use_bias * filters


@question.slip("The layer has biases unless it is told otherwise: one for each output map.")
def separable_without_bias(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return (area(kernel_size) + filters) * in_channels * depth_multiplier


@question.slip("One bias is not enough: each of the output maps has its own.")
def separable_single_bias(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return (area(kernel_size) + filters) * in_channels * depth_multiplier + use_bias


@question.slip("You counted biases although use_bias=False says that there are none.")
def separable_bias_always(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    return (area(kernel_size) + filters) * in_channels * depth_multiplier + filters


@question.slip(
    "The flat kernels need not be square: their weights are height times width, not height squared."
)
def separable_height_squared(kernel_size, in_channels, filters, depth_multiplier=1, use_bias=True):
    flat_kernels = in_channels * depth_multiplier
    return pair(kernel_size)[0] ** 2 * flat_kernels + (flat_kernels + use_bias) * filters


@question.test(points=1)
@pytest.mark.parametrize("kernel_size", [3, (5, 2), (1, 4)])
def test_separable_convolutions(compare, rng, kernel_size):
    """adds up the depthwise step, the pointwise step and the biases"""
    compare(kernel_size, int(rng.integers(2, 50)), int(rng.integers(2, 90)))
    compare(kernel_size, 6, 10)


@question.test(points=0.5)
@pytest.mark.parametrize("depth_multiplier", [2, 3, 5])
def test_depth_multipliers(compare, depth_multiplier):
    """lets the depth multiplier change both steps"""
    compare((3, 4), 7, 11, depth_multiplier=depth_multiplier)


@question.test(points=0.5)
@pytest.mark.parametrize("depth_multiplier", [1, 2, 4])
def test_separable_convolutions_without_biases(compare, depth_multiplier):
    """leaves the biases of a separable convolution out where there are none"""
    compare((2, 5), 3, 14, depth_multiplier=depth_multiplier, use_bias=False)
    compare((2, 5), 3, 14, depth_multiplier=depth_multiplier, use_bias=True)


# --- stack_params ----------------------------------------------------------------------------------------

question = grader.question("stack_params", points=4)


def output_side(n, window, stride, padding):
    """Return the side of the map that a window leaves of a side of `n`."""
    return -(-n // stride) if padding == "same" else (n - window) // stride + 1


def shape_after(layer, shape, side):
    """Return the shape that leaves `layer`; `side` is the rule for one side of a sliding window."""
    kind = layer["type"]
    if kind == "global_avg_pool":
        return shape[-1:]
    if kind == "flatten":
        return (math.prod(shape),)
    if kind == "dense":
        return (layer["units"],)
    if kind not in ("conv", "max_pool", "avg_pool"):
        return shape
    window = layer["kernel_size"] if kind == "conv" else layer.get("pool_size", 2)
    strides = layer.get("strides") or (1 if kind == "conv" else window)
    padding = layer.get("padding", "valid")
    height, width = (
        side(n, k, s, padding) for n, k, s in zip(shape[:2], pair(window), pair(strides), strict=True)
    )
    return height, width, layer["filters"] if kind == "conv" else shape[2]


def shapes_before(input_shape, layers, side):
    """Return the shape that enters each layer."""
    shapes = [tuple(input_shape)]
    for layer in layers:
        shapes.append(shape_after(layer, shapes[-1], side))
    return shapes[:-1]


def layer_count(layer, shape):
    """Return the parameters of a layer that `shape` enters."""
    kind, use_bias = layer["type"], layer.get("use_bias", True)
    if kind == "conv":
        return conv2d_params(layer["kernel_size"], shape[-1], layer["filters"], use_bias)
    if kind == "dense":
        return dense_params(shape[-1], layer["units"], use_bias)
    return 4 * shape[-1] if kind == "batch_norm" else 0


def layer_counts(input_shape, layers, side):
    """Return the parameters of each layer."""
    shapes = shapes_before(input_shape, layers, side)
    return [layer_count(layer, shape) for layer, shape in zip(layers, shapes, strict=True)]


def right_counts(input_shape, layers):
    """Return what `stack_params` should, under a name that no question has."""
    return layer_counts(input_shape, layers, output_side)


def changed(layers, kinds, **settings):
    """Return the layers with `settings` put into those of the given kinds."""
    return [layer | settings if layer["type"] in kinds else layer for layer in layers]


@question.reference
def stack_params(input_shape, layers):
    return right_counts(input_shape, layers)


@question.draws
def any_stack(rng):
    return networks.any_network(rng)


@question.slip("Convolutions and dense layers have biases unless a layer says use_bias=False.")
def stack_without_biases(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["conv", "dense"], use_bias=False))


@question.slip('A layer with "use_bias": False has no biases: look the key up before you add them.')
def stack_biases_always(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["conv", "dense"], use_bias=True))


@question.slip(
    "A pool's window holds no weights, even where a slide calls it a filter: a pool learns nothing."
)
def pool_window_as_weights(input_shape, layers):
    counts = right_counts(input_shape, layers)
    return [
        area(layer.get("pool_size", 2)) if layer["type"] in ("max_pool", "avg_pool") else count
        for layer, count in zip(layers, counts, strict=True)
    ]


@question.slip("You counted the pools as convolutions. They only compare or average, and learn nothing.")
def pool_as_convolution(input_shape, layers):
    shapes = shapes_before(input_shape, layers, output_side)
    return [
        conv2d_params(layer.get("pool_size", 2), shape[-1], shape[-1])
        if layer["type"] in ("max_pool", "avg_pool")
        else layer_count(layer, shape)
        for layer, shape in zip(layers, shapes, strict=True)
    ]


@question.slip(
    'With padding "same" and a stride, a side that does not divide evenly is rounded up, not down.'
)
def same_rounded_down(input_shape, layers):
    def side(n, window, stride, padding):
        return n // stride if padding == "same" else output_side(n, window, stride, padding)

    return layer_counts(input_shape, layers, side)


@question.slip(
    'With padding "valid" the window must fit inside: a stride alone does not give the output\'s side.'
)
def valid_without_window(input_shape, layers):
    def side(n, window, stride, padding):
        return n // stride if padding == "valid" else output_side(n, window, stride, padding)

    return layer_counts(input_shape, layers, side)


@question.slip('With padding "valid" a last step that does not fit is left out: round down, not up.')
def valid_rounded_up(input_shape, layers):
    def side(n, window, stride, padding):
        return -(-(n - window) // stride) + 1 if padding == "valid" else -(-n // stride)

    return layer_counts(input_shape, layers, side)


@question.slip('For "valid", divide by the stride first and add the 1 afterwards.')
def one_added_before_dividing(input_shape, layers):
    def side(n, window, stride, padding):
        return (n - window + 1) // stride if padding == "valid" else -(-n // stride)

    return layer_counts(input_shape, layers, side)


@question.slip(
    "That is the lecture's formula with the misplaced bracket: the stride divides n - k, not k alone."
)
def lecture_bracket(input_shape, layers):
    def side(n, window, stride, padding):
        return math.floor(n - window / stride + 1) if padding == "valid" else -(-n // stride)

    return layer_counts(input_shape, layers, side)


@question.slip('You padded every layer as "same", also those that say "valid".')
def same_everywhere(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["conv", "max_pool", "avg_pool"], padding="same"))


@question.slip('You treated every layer as "valid", also those that say "same".')
def valid_everywhere(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["conv", "max_pool", "avg_pool"], padding="valid"))


@question.slip('A layer that does not mention padding is "valid": that is the default.')
def same_by_default(input_shape, layers):
    sliding = ("conv", "max_pool", "avg_pool")
    padded = [{"padding": "same"} | layer if layer["type"] in sliding else layer for layer in layers]
    return right_counts(input_shape, padded)


@question.slip("A convolution with a stride takes larger steps and leaves a smaller map: use its strides.")
def conv_strides_ignored(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["conv"], strides=1))


@question.slip("A pool may step by less or more than its size: use its strides where they are given.")
def pool_strides_ignored(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["max_pool", "avg_pool"], strides=None))


@question.slip(
    'A pool without strides has a padding, too: with "same" the last window may stand over the edge.'
)
def pool_padding_needs_strides(input_shape, layers):
    return right_counts(
        input_shape,
        [
            layer | {"padding": "valid"}
            if layer["type"] in ("max_pool", "avg_pool") and not layer.get("strides")
            else layer
            for layer in layers
        ],
    )


@question.slip("A pool without strides steps by its own size; you moved it by one pixel at a time.")
def pool_steps_by_one(input_shape, layers):
    pools = ("max_pool", "avg_pool")
    return right_counts(
        input_shape,
        [
            layer | {"strides": layer.get("strides") or 1} if layer["type"] in pools else layer
            for layer in layers
        ],
    )


@question.slip("Strides, pools and padding change the map's height and width; yours keep the image's.")
def maps_never_shrink(input_shape, layers):
    def side(n, window, stride, padding):
        return n

    return layer_counts(input_shape, layers, side)


@question.slip("Pairs are (height, width): you took the width first.")
def width_first(input_shape, layers):
    sizes = ("kernel_size", "pool_size", "strides")
    turned = [
        {
            key: value[::-1] if key in sizes and isinstance(value, tuple) else value
            for key, value in layer.items()
        }
        for layer in layers
    ]
    return right_counts(input_shape, turned)


@question.slip(
    "Windows need not be square: use the height and the width of each pair, not its first number twice."
)
def first_of_each_pair(input_shape, layers):
    sizes = ("kernel_size", "pool_size", "strides")
    squared = [
        {
            key: value[0] if key in sizes and isinstance(value, tuple) else value
            for key, value in layer.items()
        }
        for layer in layers
    ]
    return right_counts(input_shape, squared)


@question.slip(
    "A convolution reads the maps of the layer before it, not the image: pass its filters on as channels."
)
def image_channels_everywhere(input_shape, layers):
    shapes = shapes_before(input_shape, layers, output_side)
    return [
        layer_count(layer, input_shape if layer["type"] == "conv" else shape)
        for layer, shape in zip(layers, shapes, strict=True)
    ]


@question.slip(
    "A flatten keeps every pixel of every map: the dense layer reads height × width × channels numbers."
)
def flatten_keeps_channels_only(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["flatten"], type="global_avg_pool"))


@question.slip("A flatten keeps all the maps, not only one: multiply by the channels too.")
def flatten_keeps_one_map(input_shape, layers):
    counts, shape = [], tuple(input_shape)
    for layer in layers:
        counts.append(layer_count(layer, shape))
        if layer["type"] == "flatten":
            shape = (math.prod(shape[:2]),)
        else:
            shape = shape_after(layer, shape, output_side)
    return counts


@question.slip("Global average pooling leaves a single number of each map: one feature a channel.")
def global_pool_flattens(input_shape, layers):
    return right_counts(input_shape, changed(layers, ["global_avg_pool"], type="flatten"))


@question.slip("What enters a dense layer are the units of the layer before, not its parameters.")
def dense_reads_parameters(input_shape, layers):
    counts, shape = [], tuple(input_shape)
    for layer in layers:
        counts.append(layer_count(layer, shape))
        shape = counts[-1:] if layer["type"] == "dense" else shape_after(layer, shape, output_side)
    return counts


@question.slip("Dropout silences units only while training and removes none: the next layer reads them all.")
def dropout_removes_units(input_shape, layers):
    counts, shape = [], tuple(input_shape)
    for layer in layers:
        counts.append(layer_count(layer, shape))
        shape = shape_after(layer, shape, output_side)
        if layer["type"] == "dropout":
            shape = (*shape[:-1], int(shape[-1] * (1 - layer["rate"])))
    return counts


@question.slip("Count batch normalization with everything it stores: the moving statistics too.")
def batch_norm_trainable_only(input_shape, layers):
    counts = right_counts(input_shape, layers)
    return [
        count // 2 if layer["type"] == "batch_norm" else count
        for layer, count in zip(layers, counts, strict=True)
    ]


@question.slip("Batch normalization does have parameters: question 3 counts them.")
def batch_norm_free(input_shape, layers):
    counts = right_counts(input_shape, layers)
    return [
        0 if layer["type"] == "batch_norm" else count for layer, count in zip(layers, counts, strict=True)
    ]


@question.slip(
    "Batch normalization treats all pixels of a channel alike: its numbers are per channel, not per pixel."
)
def batch_norm_per_pixel(input_shape, layers):
    shapes = shapes_before(input_shape, layers, output_side)
    return [
        4 * math.prod(shape) if layer["type"] == "batch_norm" else layer_count(layer, shape)
        for layer, shape in zip(layers, shapes, strict=True)
    ]


@question.slip(
    "Behind a flatten, batch normalization has four numbers for each feature, not for each channel."
)
def batch_norm_of_channels(input_shape, layers):
    counts, channels = [], input_shape[-1]
    for layer, shape in zip(layers, shapes_before(input_shape, layers, output_side), strict=False):
        if len(shape) == 3:
            channels = shape[-1]
        counts.append(4 * channels if layer["type"] == "batch_norm" else layer_count(layer, shape))
        channels = layer.get("units", channels)
    return counts


@question.slip("Return one number for each layer, in a list: you returned their sum.")
def total_instead_of_list(input_shape, layers):
    return sum(right_counts(input_shape, layers))


@question.slip("Layers that learn nothing belong in the list too, with a 0 in their place.")
def free_layers_left_out(input_shape, layers):
    return [count for count in right_counts(input_shape, layers) if count]


def random_network(rng):
    """Draw an image's shape and a network whose every window fits."""

    def draw(low, high):
        return int(rng.integers(low, high))

    shape = input_shape = (draw(25, 40), draw(41, 60), draw(2, 5))
    layers = []
    for _ in range(draw(3, 6)):
        kind = str(rng.choice(["conv", "conv", "max_pool", "avg_pool"]))
        window = (draw(1, 4), draw(1, 4))
        layer = {"type": kind, "padding": str(rng.choice(["same", "valid"]))}
        if kind == "conv":
            layer |= {"filters": draw(2, 20), "kernel_size": window, "strides": (draw(1, 3), draw(1, 3))}
            layer |= {"use_bias": bool(rng.integers(2))}
        else:
            layer |= {"pool_size": window, "strides": draw(1, 3) if rng.integers(2) else None}
        after = shape_after(layer, shape, output_side)
        if min(after[:2]) < 3:  # the next layer's window may not fit
            break
        layers.append(layer)
        shape = after
        if rng.integers(2):
            layers.append({"type": "batch_norm"})
    layers.append({"type": str(rng.choice(["flatten", "flatten", "global_avg_pool"]))})
    for _ in range(draw(1, 4)):
        layers.append({"type": "dense", "units": draw(2, 40)})
        layers.append({"type": "dropout", "rate": 0.5})
    return input_shape, layers


SAME_STRIDE_2 = {"type": "conv", "kernel_size": 3, "strides": 2, "padding": "same"}


@question.test(points=1)
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        ((200, 300, 3), [SAME_STRIDE_2 | {"filters": filters} for filters in (100, 200, 400)]),
        (
            (19, 14, 2),
            [
                {"type": "conv", "filters": 4, "kernel_size": (3, 1)},
                {"type": "conv", "filters": 9, "kernel_size": (2, 4), "use_bias": False},
                {"type": "conv", "filters": 5, "kernel_size": 2, "use_bias": True},
            ],
        ),
        ((7, 5, 3), []),
    ],
)
def test_convolutions_in_a_row(compare, input_shape, layers):
    """counts convolutions that follow one another"""
    compare(input_shape, layers)


@question.test(points=1)
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        (
            (21, 34, 3),
            [
                {"type": "conv", "filters": 4, "kernel_size": (3, 2), "strides": (2, 3), "padding": "same"},
                {"type": "conv", "filters": 6, "kernel_size": (2, 4), "strides": 2},
                {"type": "flatten"},
                {"type": "dense", "units": 7},
                {"type": "dense", "units": 4, "use_bias": False},
                {"type": "dense", "units": 3},
            ],
        ),
        (
            (17, 30, 2),
            [
                {"type": "conv", "filters": 5, "kernel_size": (4, 3), "strides": 3, "padding": "valid"},
                {"type": "conv", "filters": 3, "kernel_size": 2, "strides": (1, 2), "padding": "same"},
                {"type": "flatten"},
                {"type": "dense", "units": 11},
            ],
        ),
        (
            (8, 8, 1),
            [
                {"type": "conv", "filters": 1, "kernel_size": 2, "strides": 2, "padding": "valid"},
                {"type": "conv", "filters": 2, "kernel_size": 2, "padding": "same"},
                {"type": "max_pool", "pool_size": 2, "strides": 2},
                {"type": "flatten"},
                {"type": "dense", "units": 10},
                {"type": "dense", "units": 10},
                {"type": "dense", "units": 3},
            ],
        ),
    ],
)
def test_dense_layers_behind_convolutions(compare, input_shape, layers):
    """follows strides and padding to the dense layers"""
    compare(input_shape, layers)


@question.test(points=1)
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        (
            (28, 28, 1),
            [
                {"type": "conv", "filters": 64, "kernel_size": (3, 3)},
                {"type": "max_pool", "pool_size": (2, 2)},
                {"type": "flatten"},
                {"type": "dense", "units": 256},
                {"type": "dense", "units": 128},
                {"type": "dense", "units": 47},
            ],
        ),
        (
            (26, 37, 2),
            [
                {"type": "max_pool", "pool_size": 3, "strides": 2},
                {"type": "conv", "filters": 5, "kernel_size": 2},
                {"type": "avg_pool", "pool_size": (2, 3), "strides": (1, 2), "padding": "same"},
                {"type": "max_pool"},
                {"type": "flatten"},
                {"type": "dense", "units": 6},
            ],
        ),
        (
            (15, 22, 3),
            [
                {"type": "avg_pool", "pool_size": (3, 2), "strides": None},
                {"type": "conv", "filters": 7, "kernel_size": 3},
                {"type": "global_avg_pool"},
                {"type": "dense", "units": 9},
            ],
        ),
        (
            (31, 44, 2),
            [
                {"type": "avg_pool"},
                {"type": "max_pool", "pool_size": 2, "strides": 3, "padding": "same"},
                {"type": "flatten"},
                {"type": "dense", "units": 5},
            ],
        ),
        (
            (23, 38, 3),
            [
                {"type": "max_pool", "pool_size": 3, "padding": "same"},
                {"type": "avg_pool", "strides": 1},
                {"type": "flatten"},
                {"type": "dense", "units": 4},
            ],
        ),
        (
            (17, 26, 3),
            [
                {"type": "max_pool", "pool_size": 3, "strides": (1, 2)},
                {"type": "avg_pool", "pool_size": (2, 3), "strides": 2},
                {"type": "flatten"},
                {"type": "dense", "units": 4},
            ],
        ),
    ],
)
def test_pools(compare, input_shape, layers):
    """follows pools and flattens to the dense layers"""
    compare(input_shape, layers)


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        (
            (9, 13, 2),
            [
                {"type": "batch_norm"},
                {"type": "conv", "filters": 6, "kernel_size": (2, 3), "use_bias": False},
                {"type": "batch_norm"},
                {"type": "dropout", "rate": 0.5},
                {"type": "conv", "filters": 4, "kernel_size": 1},
            ],
        ),
        (
            (5, 7, 3),
            [
                {"type": "conv", "filters": 6, "kernel_size": (2, 3)},
                {"type": "flatten"},
                {"type": "dropout", "rate": 0.5},
                {"type": "batch_norm"},
                {"type": "dense", "units": 4},
            ],
        ),
        (
            (6, 10, 3),
            [
                {"type": "conv", "filters": 8, "kernel_size": 3},
                {"type": "batch_norm"},
                {"type": "flatten"},
                {"type": "dropout", "rate": 0.25},
                {"type": "dense", "units": 12},
                {"type": "batch_norm"},
                {"type": "dropout", "rate": 0.5},
                {"type": "dense", "units": 5},
            ],
        ),
    ],
)
def test_batch_normalization_and_dropout(compare, input_shape, layers):
    """counts batch normalization, and lets dropout change nothing"""
    compare(input_shape, layers)


@question.test(points=0.5)
@pytest.mark.parametrize("draw", range(4))
def test_whole_networks(compare, rng, draw):
    """counts whole networks with all kinds of layers"""
    compare(*random_network(rng))


# --- lenet5_params ---------------------------------------------------------------------------------------

question = grader.question("lenet5_params", points=2)


def lenet5_counts(side, channels, use_bias):
    """Return the counts of LeNet-5 for images of `side` × `side` pixels."""
    s4 = ((side - 4) // 2 - 4) // 2
    return {
        "C1": conv2d_params(5, channels, 6, use_bias),
        "C3": conv2d_params(5, 6, 16, use_bias),
        "C5": dense_params(s4 * s4 * 16, 120, use_bias),
        "F6": dense_params(120, 84, use_bias),
        "OUT": dense_params(84, 10, use_bias),
    }


@question.reference
def lenet5_params():
    return lenet5_counts(32, 1, True)


@question.draws
def nothing(rng):
    return ()


@question.slip(
    "Those are the slides' products. They multiply by the number of parameters of the layer before; what "
    "enters F6 are the outputs of C5, and what enters OUT those of F6."
)
def lecture_products():
    counts = lenet5_counts(32, 1, True)
    f6 = dense_params(counts["C5"], 84)
    return counts | {"F6": f6, "OUT": dense_params(f6, 10)}


@question.slip("The layers of LeNet-5 have biases: one for each map or unit.")
def lenet5_without_biases():
    return lenet5_counts(32, 1, False)


@question.slip("One bias a layer is too few: every map and every unit has its own.")
def lenet5_single_biases():
    return {name: count + 1 for name, count in lenet5_counts(32, 1, False).items()}


@question.slip(
    "A filter of C3 reads all the maps of S2, so it has a kernel's worth of weights for each of them."
)
def lenet5_flat_filters():
    return lenet5_counts(32, 1, True) | {"C3": conv2d_params(5, 1, 16)}


@question.slip("C3 is wired as in the paper of 1998. Here each of its maps reads all the maps of S2.")
def lenet5_sparse_c3():
    readers = {3: 6, 4: 9, 6: 1}  # maps of C3 by how many maps of S2 they read, as in the paper
    return lenet5_counts(32, 1, True) | {"C3": sum(conv2d_params(5, n, maps) for n, maps in readers.items())}


@question.slip("C5 reads every pixel of every map of S4, not one number a map.")
def lenet5_channels_into_c5():
    return lenet5_counts(32, 1, True) | {"C5": dense_params(16, 120)}


@question.slip("The images here are 32×32. MNIST's 28×28 digits are padded before they enter LeNet-5.")
def lenet5_unpadded_digits():
    return lenet5_counts(28, 1, True)


@question.slip("LeNet-5 reads images of one channel, not of three.")
def lenet5_in_color():
    return lenet5_counts(32, 3, True)


@question.slip("Every dense layer reads the one before it; only C5 reads the flattened maps of S4.")
def lenet5_dense_layers_read_s4():
    return lenet5_counts(32, 1, True) | {"F6": dense_params(400, 84), "OUT": dense_params(400, 10)}


def compare_entries(got, want, names):
    """Fail unless `got` has the keys of `want`, and the same values under `names`."""
    if isinstance(got, dict) and set(got) == set(want):
        got, want = ({name: counts[name] for name in names} for counts in (got, want))
    found = answers.difference(got, want)
    if found:
        grader.fail(found)


@question.test(points=1)
def test_layers_that_read_maps(submission):
    """counts C1, C3 and C5, which read maps"""
    compare_entries(submission.lenet5_params(), lenet5_params(), ["C1", "C3", "C5"])


@question.test(points=1)
def test_layers_that_read_units(submission):
    """counts F6 and OUT, which read units"""
    compare_entries(submission.lenet5_params(), lenet5_params(), ["F6", "OUT"])


# --- my_network_params -----------------------------------------------------------------------------------

question = grader.question("my_network_params", points=2)

FEATURE_LAYERS = ["conv_1", "norm_1", "pool_1", "conv_2", "pool_2"]
CLASSIFIER_LAYERS = ["flatten", "dense_1", "drop", "dense_2"]


def named_counts(input_shape, layers, counted_layers):
    """Return the counts of `counted_layers` under the names of `layers`."""
    counts = right_counts(input_shape, counted_layers)
    return {layer["name"]: count for layer, count in zip(layers, counts, strict=True)}


@question.reference
def my_network_params(student_id):
    input_shape, layers = variant(student_id)
    return named_counts(input_shape, layers, layers)


@question.draws
def own_id(rng):
    return ("ada",)


@question.slip("Those are the counts of the sample id's network. Put your own id in, and count your own.")
def sample_network(student_id):
    input_shape, layers = variant("your-id")
    return named_counts(input_shape, layers, layers)


@question.slip("One of your convolutions says use_bias=False: it has no biases to count.")
def my_network_biases_always(student_id):
    input_shape, layers = variant(student_id)
    return named_counts(input_shape, layers, changed(layers, ["conv"], use_bias=True))


@question.slip("Only the layer that says use_bias=False goes without biases: your other layers have them.")
def my_network_without_biases(student_id):
    input_shape, layers = variant(student_id)
    return named_counts(input_shape, layers, changed(layers, ["conv", "dense"], use_bias=False))


@question.slip("Your batch normalization stores moving statistics too; count them as Keras's summary does.")
def my_network_trainable_only(student_id):
    input_shape, layers = variant(student_id)
    counts = named_counts(input_shape, layers, layers)
    return counts | {"norm_1": counts["norm_1"] // 2}


@question.slip("Your first dense layer reads every pixel of every map, not one number a map.")
def my_network_flattens_to_channels(student_id):
    input_shape, layers = variant(student_id)
    return named_counts(input_shape, layers, changed(layers, ["flatten"], type="global_avg_pool"))


@question.slip("Your dropout layer removes no units: the layer behind it reads them all.")
def my_network_dropout_removes_units(student_id):
    input_shape, layers = variant(student_id)
    counts = named_counts(input_shape, layers, layers)
    hidden, rate, last = layers[-3]["units"], layers[-2]["rate"], layers[-1]["units"]
    return counts | {"dense_2": dense_params(int(hidden * (1 - rate)), last)}


@question.slip("Layers that learn nothing belong in the dict too: give them a 0.")
def my_network_free_layers_left_out(student_id):
    input_shape, layers = variant(student_id)
    counts = named_counts(input_shape, layers, layers)
    return {name: count for name, count in counts.items() if count}


@question.test(points=1)
def test_own_feature_layers(submission):
    """counts your own network up to the last pool"""
    own = submission.student
    compare_entries(submission.my_network_params(own), my_network_params(own), FEATURE_LAYERS)


@question.test(points=1)
def test_own_classifier_layers(submission):
    """counts your own network from the flatten on"""
    own = submission.student
    compare_entries(submission.my_network_params(own), my_network_params(own), CLASSIFIER_LAYERS)
