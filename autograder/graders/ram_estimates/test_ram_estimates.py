"""Hidden grader of `ram_estimates`."""

import math

import pytest

from autograder import answers, grader, networks

variant = grader.provided("ram_estimates", "variant")


# --- layers, shapes and bytes ---------------------------------------------------------------------------


def pair(size):
    """Return `size` as (height, width); one number stands for both."""
    return (size, size) if isinstance(size, int) else tuple(size)


def is_pool(layer):
    return layer["type"] in ("max_pool", "avg_pool")


def is_windowed(layer):
    return layer["type"] == "conv" or is_pool(layer)


def window_of(layer):
    """Return the window, the strides and the padding of a convolution or pool, Keras's defaults filled in."""
    if layer["type"] == "conv":
        window, strides = layer["kernel_size"], layer.get("strides", 1)
    else:
        window = layer.get("pool_size", 2)
        strides = layer.get("strides") or window
    return pair(window), pair(strides), layer.get("padding", "valid")


def count_windows(n, window, stride, padding):
    """Return how many windows start along an axis of `n` pixels; "valid" ones must fit."""
    return len(range(0, n if padding == "same" else n - window + 1, stride))


def layer_shape(shape, layer):
    """Return the output shape of one layer whose input has the given shape."""
    if is_windowed(layer):
        window, strides, padding = window_of(layer)
        rows = count_windows(shape[0], window[0], strides[0], padding)
        columns = count_windows(shape[1], window[1], strides[1], padding)
        return (rows, columns, layer.get("filters", shape[2]))
    if layer["type"] == "global_avg_pool":
        return (shape[-1],)
    if layer["type"] == "flatten":
        return (math.prod(shape),)
    if layer["type"] == "dense":
        return (layer["units"],)
    return shape


def weights_of(layer, shape):
    """Return how many weights a layer holds, moving averages included, when its input has the given shape."""
    bias = 1 if layer.get("use_bias", True) else 0
    if layer["type"] == "conv":
        return (math.prod(pair(layer["kernel_size"])) * shape[2] + bias) * layer["filters"]
    if layer["type"] == "dense":
        return (shape[0] + bias) * layer["units"]
    if layer["type"] == "batch_norm":
        return 4 * shape[-1]
    return 0


def layer_shape_rounded_down(shape, layer):
    """Return what `layer_shape` does, but with the sizes of "same" padding rounded down: a common mistake."""
    if not is_windowed(layer) or window_of(layer)[2] != "same":
        return layer_shape(shape, layer)
    _, strides, _ = window_of(layer)
    return (shape[0] // strides[0], shape[1] // strides[1], layer.get("filters", shape[2]))


def walk(input_shape, layers, rule):
    """Return the shape after every layer, where `rule(shape, layer)` gives the shape after one."""
    shapes = [tuple(input_shape)]
    for layer in layers:
        shapes.append(rule(shapes[-1], layer))
    return shapes[1:]


def itemsize(dtype):
    """Return the bytes of one number; a ValueError for a dtype that the question does not name."""
    sizes = {"float16": 2, "float32": 4, "float64": 8, "int8": 1, "uint8": 1}
    if dtype not in sizes:
        raise ValueError(f"unknown dtype {dtype!r}")
    return sizes[dtype]


def memory_parts(input_shape, layers, dtype, rule=layer_shape):
    """Return the bytes of all parameters, and the list of every activation's bytes, the input's first."""
    shapes = [input_shape, *walk(input_shape, layers, rule)]
    n_params = sum(map(weights_of, layers, shapes))
    return n_params * itemsize(dtype), [math.prod(shape) * itemsize(dtype) for shape in shapes]


def largest_neighbours(activations):
    """Return the largest sum of two consecutive numbers; of fewer than two, their sum."""
    return max(sum(activations[i : i + 2]) for i in range(max(len(activations) - 1, 1)))


# --- hidden networks ------------------------------------------------------------------------------------


def conv(filters, kernel_size, strides=1, padding="valid", **more):
    keys = {"type": "conv", "filters": filters, "kernel_size": kernel_size}
    return keys | {"strides": strides, "padding": padding} | more


def pool(pool_size, strides, padding="valid", kind="max_pool"):
    return {"type": kind, "pool_size": pool_size, "strides": strides, "padding": padding}


def dense(units, **more):
    return {"type": "dense", "units": units} | more


FLATTEN, GLOBAL_POOL, BATCH_NORM = {"type": "flatten"}, {"type": "global_avg_pool"}, {"type": "batch_norm"}
DROPOUT = {"type": "dropout", "rate": 0.3}

LECTURE = ((200, 300, 3), [conv(filters, 3, 2, "same") for filters in (100, 200, 400)])
INPUT_PEAK = ((90, 130, 4), [conv(2, (3, 5), (2, 3), "same"), conv(6, 3), GLOBAL_POOL, dense(5)])
FAR_PEAKS = ((61, 47, 3), [conv(16, 3), pool(3, 2), conv(48, (1, 3), padding="same"), FLATTEN, dense(4)])
NORM_PEAK = (
    (50, 71, 2),
    [conv(6, 5, 2), conv(20, 3, padding="same", use_bias=False), BATCH_NORM, DROPOUT, GLOBAL_POOL],
)
KEEPING = [conv(6, 5, 2), conv(20, 3, padding="same")]
DROPOUT_PEAK = ((50, 71, 2), [*KEEPING, DROPOUT, GLOBAL_POOL])
LONE_NORM_PEAK = ((50, 71, 2), [*KEEPING, BATCH_NORM, GLOBAL_POOL])
FLAT_PEAK = ((20, 33, 3), [conv(8, 3), pool((2, 3), None), conv(30, 3, padding="same"), FLATTEN, DROPOUT])
DENSE_NORM = ((24, 17, 3), [pool(3, 2, "same", "avg_pool"), FLATTEN, dense(40), BATCH_NORM, dense(3)])
ONE_LAYER = ((31, 18, 3), [conv(5, 4, (3, 2))])
POOLED = ((9, 14, 6), [GLOBAL_POOL, dense(3)])
TINY = ((2, 3, 1), [GLOBAL_POOL])
DEFAULTS = (
    (27, 42, 3),
    [
        {"type": "conv", "filters": 7, "kernel_size": (3, 2)},
        {"type": "max_pool"},
        {"type": "conv", "filters": 63, "kernel_size": 3},
        {"type": "avg_pool"},
        FLATTEN,
        dense(9),
    ],
)
"""Its largest neighbours are the last convolution and pool: every default on the way decides their size.

The dense layer has an odd number of inputs.
"""


def draw_network(rng):
    """Draw an image's shape and a stack of layers whose windows all fit."""

    def number(low, high):
        return int(rng.integers(low, high))

    def size(low, high):
        return number(low, high) if rng.random() < 0.5 else (number(low, high), number(low, high))

    height = number(30, 80)
    shape = input_shape = (height, height + number(1, 20), number(2, 5))
    layers = []
    while len(layers) < 6 and min(shape[:2]) > 5:
        padding = str(rng.choice(["same", "valid"]))
        if rng.random() < 0.6:
            layers.append(conv(number(2, 24), size(1, 6), size(1, 3), padding, use_bias=rng.random() < 0.8))
        else:
            kind = str(rng.choice(["max_pool", "avg_pool"]))
            layers.append(pool(size(2, 4), None if rng.random() < 0.3 else size(1, 4), padding, kind))
        if rng.random() < 0.4:
            layers.append([BATCH_NORM, DROPOUT][number(0, 2)])
        shape = walk(input_shape, layers, layer_shape)[-1]
    if rng.random() < 0.8:
        layers += [[FLATTEN, GLOBAL_POOL][number(0, 2)], dense(number(2, 60)), DROPOUT, dense(number(2, 12))]
    return input_shape, layers


# --- feature_map_shapes --------------------------------------------------------------------------------

question = grader.question("feature_map_shapes", points=2)


@question.reference
def feature_map_shapes(input_shape, layers):
    return walk(input_shape, layers, layer_shape)


@question.draws
def any_network(rng):
    return networks.any_network(rng)


@question.slip('Under "same" padding a size that does not divide evenly is rounded up, not down.')
def same_rounded_down(input_shape, layers):
    return walk(input_shape, layers, layer_shape_rounded_down)


@question.slip('The formula of "valid" is used for "same", too: there the window\'s size plays no part.')
def same_without_padding(input_shape, layers):
    changed = [layer | {"padding": "valid"} for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip('"same" keeps the size only at stride 1: a larger stride shrinks the map all the same.')
def same_keeps_the_size(input_shape, layers):
    stay = {"strides": 1}
    changed = [layer | (stay if layer.get("padding") == "same" else {}) for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip('Count the first window, too: under "valid" there is one more than the steps between them.')
def first_window_forgotten(input_shape, layers):
    def rule(shape, layer):
        rows, *rest = layer_shape(shape, layer)
        if not is_windowed(layer) or window_of(layer)[2] == "same":
            return (rows, *rest)
        return (rows - 1, rest[0] - 1, rest[1])

    return walk(input_shape, layers, rule)


@question.slip('Under "valid" a last window that sticks out is left out: round down, not up.')
def valid_rounded_up(input_shape, layers):
    def rule(shape, layer):
        if not is_windowed(layer) or window_of(layer)[2] == "same":
            return layer_shape(shape, layer)
        window, strides, _ = window_of(layer)
        rows = math.ceil((shape[0] - window[0]) / strides[0]) + 1
        columns = math.ceil((shape[1] - window[1]) / strides[1]) + 1
        return (rows, columns, layer.get("filters", shape[2]))

    return walk(input_shape, layers, rule)


@question.slip("A pool without strides moves by its own size, not by one pixel.")
def pool_moves_by_one(input_shape, layers):
    changed = [layer | {"strides": layer.get("strides") or 1} for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip("A pool moves by its strides where it has some; its size is the window's alone.")
def pool_strides_ignored(input_shape, layers):
    changed = [layer | ({"strides": None} if is_pool(layer) else {}) for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip('A pool has a padding, too: read it, and take "valid" only where it is missing.')
def pool_padding_ignored(input_shape, layers):
    changed = [layer | ({"padding": "valid"} if is_pool(layer) else {}) for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip('A layer that names no padding is "valid", as in Keras.')
def same_by_default(input_shape, layers):
    changed = [{"padding": "same"} | layer for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip("A convolution's output has one channel for each of its filters, whatever comes in.")
def channels_kept_by_convolution(input_shape, layers):
    changed = [layer | ({"filters": input_shape[2]} if "filters" in layer else {}) for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip("Pairs are (height, width) in this order: yours are applied the other way round.")
def pairs_swapped(input_shape, layers):
    def swapped(value):
        return value[::-1] if isinstance(value, tuple) else value

    changed = [{key: swapped(value) for key, value in layer.items()} for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip("A window or stride need not be square: the width has its own number in a pair.")
def squares_only(input_shape, layers):
    def squared(value):
        return value[0] if isinstance(value, tuple) else value

    changed = [{key: squared(value) for key, value in layer.items()} for layer in layers]
    return walk(input_shape, changed, layer_shape)


@question.slip("Leave the batch axis out: a shape begins with the height.")
def batch_axis_added(input_shape, layers):
    return [(None, *shape) for shape in walk(input_shape, layers, layer_shape)]


@question.slip("Return one shape for each layer: the input is none of them.")
def input_listed(input_shape, layers):
    return [tuple(input_shape), *walk(input_shape, layers, layer_shape)]


@question.slip("A flatten lines up the numbers of all channels, not only one map's pixels.")
def flatten_without_channels(input_shape, layers):
    def rule(shape, layer):
        return (math.prod(shape[:2]),) if layer["type"] == "flatten" else layer_shape(shape, layer)

    return walk(input_shape, layers, rule)


@question.slip("A global average pool leaves one number a channel and no height or width, as Keras's does.")
def global_pool_keeps_axes(input_shape, layers):
    def rule(shape, layer):
        return (1, 1, shape[2]) if layer["type"] == "global_avg_pool" else layer_shape(shape, layer)

    return walk(input_shape, layers, rule)


@question.test
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        LECTURE,
        ((37, 52, 3), [conv(7, (3, 6), (2, 3)), conv(4, 5, padding="same"), conv(9, 2, (3, 2), "same")]),
        ((29, 20, 2), [{"type": "conv", "filters": 5, "kernel_size": 4}, conv(3, 5, 4)]),
    ],
)
def test_shapes_of_convolutions(compare, input_shape, layers):
    """follows convolutions through both paddings, strides, and windows that are not square"""
    compare(input_shape, layers)


@question.test
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        ((38, 27, 5), [pool(3, 2), pool((2, 3), (1, 2), "same", "avg_pool")]),
        (
            (41, 56, 3),
            [{"type": "avg_pool"}, {"type": "max_pool", "pool_size": (3, 2)}, pool(3, None, "same")],
        ),
        ((23, 38, 3), [{"type": "avg_pool", "strides": 1}, {"type": "max_pool", "strides": (3, 2)}]),
    ],
)
def test_shapes_of_pools(compare, input_shape, layers):
    """follows pools, whether or not they name a stride"""
    compare(input_shape, layers)


@question.test
@pytest.mark.parametrize(
    ("input_shape", "layers"),
    [
        ((10, 13, 3), [conv(6, 3), BATCH_NORM, FLATTEN, dense(30), DROPOUT, dense(4)]),
        ((9, 16, 2), [conv(11, 2, 2), DROPOUT, GLOBAL_POOL, BATCH_NORM, dense(3)]),
        ((6, 5, 3), []),
    ],
)
def test_shapes_of_heads(compare, input_shape, layers):
    """follows a network to its dense layers, by a flatten or a global pool"""
    compare(input_shape, layers)


@question.test
@pytest.mark.parametrize("draw", range(4))
def test_shapes_of_any_network(compare, rng, draw):
    """follows networks drawn at random"""
    compare(*draw_network(rng))


# --- tensor_bytes --------------------------------------------------------------------------------------

question = grader.question("tensor_bytes", points=1)


@question.reference
def tensor_bytes(shape, dtype="float32"):
    return math.prod(shape) * itemsize(dtype)


DTYPES = ["float16", "float32", "float64", "int8", "uint8"]


@question.draws
def any_tensor(rng):
    shape = tuple(rng.integers(1, 9, rng.integers(0, 5)).tolist())
    return (shape, str(rng.choice([*DTYPES, "int16", "bfloat16", "float"])))[: rng.integers(1, 3)]


@question.slip("That is the number of bits: eight bits are one byte.")
def bits(shape, dtype="float32"):
    return 8 * itemsize(dtype) * math.prod(shape)


@question.slip("Answer in bytes, not in megabytes.")
def tensor_in_megabytes(shape, dtype="float32"):
    return math.prod(shape) * itemsize(dtype) / 1e6


@question.slip("That is the number of entries: each of them takes some bytes.")
def entries_only(shape, dtype="float32"):
    itemsize(dtype)  # refuses what it should
    return math.prod(shape)


@question.slip("Not every entry takes four bytes: look at the dtype.")
def four_bytes_always(shape, dtype="float32"):
    itemsize(dtype)  # refuses what it should
    return 4 * math.prod(shape)


@question.slip("Only the five dtypes that are named are allowed, although numpy knows more.")
def any_numpy_dtype(shape, dtype="float32"):
    more = {"int16": 2, "int32": 4, "bool": 1} | ALIASES
    return math.prod(shape) * (more[dtype] if dtype in more else itemsize(dtype))


ALIASES = {"float": 8, "half": 2, "f4": 4}


@question.slip(
    "numpy has more names for the same dtypes, like half: only the five that are named are allowed."
)
def other_names_of_the_five(shape, dtype="float32"):
    return math.prod(shape) * (ALIASES[dtype] if dtype in ALIASES else itemsize(dtype))


@question.slip(
    "Names count as they are written: `Float32` is none of the five, nor is one with a blank in front."
)
def tidied_names(shape, dtype="float32"):
    return math.prod(shape) * itemsize(dtype.strip().lower())


@question.slip("An unknown dtype must raise a ValueError: don't fall back to another one.")
def unknown_is_float32(shape, dtype="float32"):
    known = dtype in ("float16", "float32", "float64", "int8", "uint8")
    return math.prod(shape) * itemsize(dtype if known else "float32")


@question.slip("Multiply all axes of the shape: it may have fewer than three, or more.")
def three_axes_only(shape, dtype="float32"):
    return math.prod(shape[:3]) * itemsize(dtype)


@question.slip("A shape without axes is a single number, and that takes memory, too.")
def scalar_is_nothing(shape, dtype="float32"):
    return math.prod(shape) * itemsize(dtype) if shape else 0


@question.test
@pytest.mark.parametrize(
    ("axes", "dtype"),
    [(3, "float32"), (4, "float16"), (1, "float64"), (2, "int8"), (5, "uint8"), (0, "float16")],
)
def test_bytes_of_tensors(compare, rng, axes, dtype):
    """multiplies the entries of any shape by the bytes of one"""
    shape = tuple(rng.integers(2, 60, axes).tolist())
    compare(shape, dtype)
    compare((*shape, 0), dtype)


@question.test
@pytest.mark.parametrize("axes", [2, 3])
def test_float32_is_the_default_and_others_are_refused(compare, rng, axes):
    """takes float32 where no dtype is named, and no dtype but the five"""
    shape = tuple(rng.integers(2, 30, axes).tolist())
    compare(shape)
    for dtype in ("int16", "bool", "bfloat16", "int32", "Float32", " int8", "int", "qint8", "", *ALIASES):
        compare(shape, dtype)


# --- conv2d_multiplications ----------------------------------------------------------------------------

question = grader.question("conv2d_multiplications", points=2)


def places_of(input_shape, kernel_size, strides, padding):
    """Return at how many rows and at how many columns a window is placed."""
    window, steps = pair(kernel_size), pair(strides)
    return [count_windows(input_shape[axis], window[axis], steps[axis], padding) for axis in (0, 1)]


def count_weights(input_shape, kernel_size, filters):
    """Return how many weights, biases aside, the filters of a convolution have."""
    return math.prod(pair(kernel_size)) * input_shape[2] * filters


@question.reference
def conv2d_multiplications(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, padding))
    return places * count_weights(input_shape, kernel_size, filters)


@question.draws
def any_convolution(rng):
    while True:
        (input_shape, (layer,)) = networks.any_network(rng, 1, 1)
        if layer["type"] == "conv":
            break
    sizes = (layer["kernel_size"], layer["filters"], layer.get("strides", 1), layer.get("padding", "valid"))
    # Without a padding it is "same", which fits any window.
    return (input_shape, *sizes[: 4 if sizes[3] == "valid" else rng.integers(2, 5)])


@question.slip("A window reaches through every input channel: multiply by them, too.")
def input_channels_forgotten(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, padding))
    return places * math.prod(pair(kernel_size)) * filters


@question.slip("That is the work of a single filter: each of them visits every place.")
def one_filter_only(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, padding))
    return places * count_weights(input_shape, kernel_size, filters=1)


@question.slip("Windows are counted at every input pixel: count the output's places instead.")
def at_every_input_pixel(input_shape, kernel_size, filters, strides=1, padding="same"):
    return math.prod(input_shape[:2]) * count_weights(input_shape, kernel_size, filters)


@question.slip("That is the number of weights: every one is used again at each place.")
def weights_counted(input_shape, kernel_size, filters, strides=1, padding="same"):
    return count_weights(input_shape, kernel_size, filters)


@question.slip("That is the number of outputs: each of them takes many multiplications.")
def outputs_counted(input_shape, kernel_size, filters, strides=1, padding="same"):
    return math.prod(places_of(input_shape, kernel_size, strides, padding)) * filters


@question.slip('Under "same" the number of places is rounded up where the stride does not divide the size.')
def places_rounded_down(input_shape, kernel_size, filters, strides=1, padding="same"):
    rows, columns = places_of(input_shape, kernel_size, strides, padding)
    if padding == "same":
        rows, columns = input_shape[0] // pair(strides)[0], input_shape[1] // pair(strides)[1]
    return rows * columns * count_weights(input_shape, kernel_size, filters)


@question.slip('With "same" padding the windows at the border count, too: read the padding.')
def never_padded(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, "valid"))
    return places * count_weights(input_shape, kernel_size, filters)


@question.slip('With "valid" padding only windows that fit are visited: read the padding.')
def always_padded(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, "same"))
    return places * count_weights(input_shape, kernel_size, filters)


@question.slip("A bias is added, not multiplied: leave it out.")
def bias_multiplied(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, padding))
    return places * (count_weights(input_shape, kernel_size, filters) + filters)


@question.slip("Count multiplications alone: with the additions it is about twice as many.")
def additions_counted(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, strides, padding))
    return 2 * places * count_weights(input_shape, kernel_size, filters)


@question.slip("Zeros of the padding are multiplied like any pixel: count the whole window.")
def padded_zeros_skipped(input_shape, kernel_size, filters, strides=1, padding="same"):
    def products_along(n, window, stride):
        places = count_windows(n, window, stride, padding)
        padded = max((places - 1) * stride + window - n, 0) if padding == "same" else 0
        starts = [place * stride - padded // 2 for place in range(places)]
        return sum(0 <= start + offset < n for start in starts for offset in range(window))

    window, steps = pair(kernel_size), pair(strides)
    rows = products_along(input_shape[0], window[0], steps[0])
    columns = products_along(input_shape[1], window[1], steps[1])
    return rows * columns * input_shape[2] * filters


@question.slip("A kernel need not be square: its width is the second number of the pair.")
def square_kernel(input_shape, kernel_size, filters, strides=1, padding="same"):
    height = pair(kernel_size)[0]
    places = math.prod(places_of(input_shape, height, strides, padding))
    return places * count_weights(input_shape, height, filters)


@question.slip("A stride may differ between height and width: the second number is the width's.")
def one_stride_for_both(input_shape, kernel_size, filters, strides=1, padding="same"):
    places = math.prod(places_of(input_shape, kernel_size, pair(strides)[0], padding))
    return places * count_weights(input_shape, kernel_size, filters)


@question.test(points=1)
@pytest.mark.parametrize(
    "arguments",
    [((64, 45, 3), 5, 32), ((61, 40, 4), 3, 10, 2), ((33, 50, 2), (3, 5), 6, (2, 3))],
)
def test_multiplications_under_same(compare, arguments):
    """counts a window's products at every place that the stride visits"""
    compare(*arguments)


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("input_shape", "kernel_size", "filters", "strides"),
    [((28, 35, 3), 5, 8, 1), ((30, 47, 6), (4, 3), 5, 3), ((26, 19, 3), (2, 7), 9, (3, 1))],
)
def test_multiplications_under_valid(compare, input_shape, kernel_size, filters, strides):
    """counts only windows that fit when the padding is valid"""
    compare(input_shape, kernel_size, filters, strides=strides, padding="valid")


@question.test(points=0.5)
@pytest.mark.parametrize("draw", range(4))
def test_multiplications_of_any_layer(compare, rng, draw):
    """counts the products of layers drawn at random"""
    height, width, channels, filters = (int(n) for n in rng.integers((20, 60, 2, 2), (60, 99, 9, 40)))
    kernel_size = tuple(int(n) for n in rng.integers(2, 7, size=2))
    strides = tuple(int(n) for n in rng.integers(1, 5, size=2))
    compare((height, width, channels), kernel_size, filters, strides, ("same", "valid")[draw % 2])


# --- inference_ram_bytes -------------------------------------------------------------------------------

question = grader.question("inference_ram_bytes", points=3)


@question.reference
def inference_ram_bytes(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + largest_neighbours(activations)


@question.draws
def any_network_of_any_type(rng):
    return (*networks.any_network(rng, 1), str(rng.choice(DTYPES)))[: rng.integers(2, 4)]


@question.slip(
    "The image is counted on top, as in the lecture's total of about 13.3 MB. Only two consecutive "
    "activations are alive, and the input is one of them just while the first layer runs."
)
def image_added(input_shape, layers, dtype="float32"):
    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    return params + largest_neighbours(outputs) + image


@question.slip("The input is already one of the activations: don't add the image once more.")
def image_added_again(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + largest_neighbours(activations) + activations[0]


@question.slip("The parameters take memory, too: add those of every layer.")
def parameters_forgotten(input_shape, layers, dtype="float32"):
    _, activations = memory_parts(input_shape, layers, dtype)
    return largest_neighbours(activations)


@question.slip("The parameters are added as a number of parameters: each of them takes bytes.")
def parameters_not_in_bytes(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params // itemsize(dtype) + largest_neighbours(activations)


@question.slip("All activations are kept, as in training: for a prediction two at a time are enough.")
def all_activations_kept(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + sum(activations)


@question.slip("The two largest activations need not be neighbours: only a layer's input and output meet.")
def two_largest_activations(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + sum(sorted(activations)[-2:])


@question.slip("The input is an activation, too: the worst moment may be the first layer's.")
def input_not_counted(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + largest_neighbours(activations[1:])


@question.slip("One activation is not enough: a layer needs its input while it writes its output.")
def largest_activation_only(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + max(activations)


@question.slip("The worst moment is not always that of the first two layers: compare all neighbours.")
def first_two_layers(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + sum(activations[1:3])


@question.slip("Flatten, dropout and batch normalization write an output, too: count it like any other.")
def reshaping_layers_skipped(input_shape, layers, dtype="float32"):
    return inference_without(("flatten", "dropout", "batch_norm"), input_shape, layers, dtype)


def inference_without(skipped, input_shape, layers, dtype):
    """Return the estimate in which the outputs of some kinds of layers are left out."""
    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    kept = [n for n, layer in zip(outputs, layers, strict=True) if layer["type"] not in skipped]
    return params + largest_neighbours([image, *kept])


@question.slip("Dropout changes nothing in a prediction, but it writes an output: count it like any other.")
def dropout_skipped(input_shape, layers, dtype="float32"):
    return inference_without(("dropout",), input_shape, layers, dtype)


@question.slip("Batch normalization writes an output of its own: count it like any other.")
def batch_norm_skipped(input_shape, layers, dtype="float32"):
    return inference_without(("batch_norm",), input_shape, layers, dtype)


@question.slip('The shapes behind this estimate are rounded down under "same": mend question 1 first.')
def shapes_rounded_down(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype, layer_shape_rounded_down)
    return params + largest_neighbours(activations)


@question.slip("The dtype holds for the parameters as well as for the activations.")
def parameters_in_float32(input_shape, layers, dtype="float32"):
    params, _ = memory_parts(input_shape, layers, "float32")
    _, activations = memory_parts(input_shape, layers, dtype)
    return params + largest_neighbours(activations)


@question.slip("Hand the dtype on: not every network computes with four bytes a number.")
def inference_in_float32(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, "float32")
    return params + largest_neighbours(activations)


@question.slip("That is the estimate in bits: divide by eight for bytes.")
def inference_in_bits(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return 8 * (params + largest_neighbours(activations))


@question.slip("The estimate is in megabytes: answer in plain bytes.")
def inference_in_megabytes(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return (params + largest_neighbours(activations)) / 1e6


@question.slip("The estimate is divided by 2^20: answer in bytes (a MB is 10^6 of them in this course).")
def inference_in_mebibytes(input_shape, layers, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return (params + largest_neighbours(activations)) / 2**20


@question.test
@pytest.mark.parametrize(
    ("input_shape", "layers"), [LECTURE, INPUT_PEAK, FAR_PEAKS, ONE_LAYER, POOLED, DEFAULTS]
)
def test_inference_finds_the_worst_moment(compare, input_shape, layers):
    """finds the two neighbours that are largest together, wherever they are"""
    compare(input_shape, layers)


@question.test
@pytest.mark.parametrize(
    ("network", "dtype"),
    [
        (NORM_PEAK, "float32"),
        (DROPOUT_PEAK, "float32"),
        (LONE_NORM_PEAK, "float32"),
        (FLAT_PEAK, "float16"),
        (DENSE_NORM, "float64"),
        (INPUT_PEAK, "int8"),
        (DEFAULTS, "uint8"),
    ],
)
def test_inference_counts_every_layer_and_dtype(compare, network, dtype):
    """counts layers that keep the shape, and computes in the dtype that is asked for"""
    compare(*network, dtype)


@question.test
@pytest.mark.parametrize("draw", range(4))
def test_inference_of_any_network(compare, rng, draw):
    """estimates networks drawn at random"""
    compare(*draw_network(rng))


# --- training_ram_bytes --------------------------------------------------------------------------------

question = grader.question("training_ram_bytes", points=3)


@question.reference
def training_ram_bytes(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + batch_size * sum(activations)


@question.draws
def any_training(rng):
    dtype = str(rng.choice(DTYPES))
    return (*networks.any_network(rng), int(rng.integers(1, 99)), dtype)[: rng.integers(3, 5)]


@question.slip(
    "This rounds an image's activations and the parameters to a tenth of a megabyte before the batch "
    "multiplies the error: so the lecture comes to 564.6 MB. Add exact bytes."
)
def lecture_rounding(input_shape, layers, batch_size, dtype="float32"):
    def to_a_tenth_of_a_megabyte(n):
        return (n + 50_000) // 100_000 * 100_000

    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    rounded = to_a_tenth_of_a_megabyte(sum(outputs))
    return to_a_tenth_of_a_megabyte(params) + batch_size * (rounded + image)


@question.slip(
    "Every layer's output is rounded up to a tenth of a megabyte, as the lecture writes 1.6 for 1.52. "
    "Don't round on the way."
)
def outputs_rounded_up(input_shape, layers, batch_size, dtype="float32"):
    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    rounded = sum(-(-n // 100_000) * 100_000 for n in outputs)
    return params + batch_size * (rounded + image)


@question.slip("The images of a batch share the parameters: count those once.")
def parameters_for_every_image(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return batch_size * (params + sum(activations))


@question.slip("That is the memory for a single image: each image of the batch has its own activations.")
def batch_size_ignored(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + sum(activations)


@question.slip("The parameters are missing: add those of every layer, once.")
def trained_without_parameters(input_shape, layers, batch_size, dtype="float32"):
    _, activations = memory_parts(input_shape, layers, dtype)
    return batch_size * sum(activations)


@question.slip("Each parameter takes bytes: here they are added as a mere count.")
def trained_parameters_not_in_bytes(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params // itemsize(dtype) + batch_size * sum(activations)


@question.slip("The images themselves are kept, too: the first layer's gradient needs them.")
def images_not_counted(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + batch_size * sum(activations[1:])


@question.slip("A batch has as many input images as it says: one is counted here.")
def one_image_counted(input_shape, layers, batch_size, dtype="float32"):
    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    return params + image + batch_size * sum(outputs)


@question.slip("For the backward pass all activations wait: two at a time are enough for predictions only.")
def two_activations_for_every_image(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + batch_size * largest_neighbours(activations)


@question.slip("Gradients and the optimizer's slots are the next question's: leave them out here.")
def gradients_added(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return 2 * params + batch_size * sum(activations)


@question.slip("Each activation is counted twice: the activations' own gradients are left out here.")
def activations_doubled(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return params + 2 * batch_size * sum(activations)


@question.slip("What flatten, dropout and batch normalization write is kept, too: add it.")
def reshaping_outputs_skipped(input_shape, layers, batch_size, dtype="float32"):
    params, (image, *outputs) = memory_parts(input_shape, layers, dtype)
    skipped = ("flatten", "dropout", "batch_norm")
    kept = [n for n, layer in zip(outputs, layers, strict=True) if layer["type"] not in skipped]
    return params + batch_size * sum([image, *kept])


@question.slip('This starts from shapes that are rounded down under "same": mend question 1, and it follows.')
def trained_shapes_rounded_down(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype, layer_shape_rounded_down)
    return params + batch_size * sum(activations)


@question.slip("Hand the dtype on: training is not always in float32.")
def training_in_float32(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, "float32")
    return params + batch_size * sum(activations)


@question.slip("The training estimate is in bits: divide by eight for bytes.")
def training_in_bits(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return 8 * (params + batch_size * sum(activations))


@question.slip("The training estimate is in megabytes: answer in plain bytes.")
def training_in_megabytes(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return (params + batch_size * sum(activations)) / 1e6


@question.slip("This is divided by 2^20: answer in plain bytes (a MB is 10^6 of them in this course).")
def training_in_mebibytes(input_shape, layers, batch_size, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return (params + batch_size * sum(activations)) / 2**20


@question.test
@pytest.mark.parametrize(
    ("network", "batch_size"), [(LECTURE, 50), (INPUT_PEAK, 7), (FAR_PEAKS, 1), (DEFAULTS, 9)]
)
def test_training_keeps_everything(compare, network, batch_size):
    """keeps every image's activations, and the parameters once"""
    compare(*network, batch_size)


@question.test
@pytest.mark.parametrize(
    ("network", "batch_size", "dtype"),
    [
        (NORM_PEAK, 12, "float32"),
        (FLAT_PEAK, 32, "float16"),
        (DENSE_NORM, 5, "float64"),
        (INPUT_PEAK, 3, "int8"),
        (DEFAULTS, 20, "uint8"),
    ],
)
def test_training_counts_every_layer_and_dtype(compare, network, batch_size, dtype):
    """counts layers that keep the shape, and computes in the dtype that is asked for"""
    compare(*network, batch_size, dtype)


@question.test
@pytest.mark.parametrize("draw", range(4))
def test_training_of_any_network(compare, rng, draw):
    """estimates the training of networks drawn at random"""
    compare(*draw_network(rng), int(rng.integers(2, 100)))


# --- optimizer_bytes -----------------------------------------------------------------------------------

question = grader.question("optimizer_bytes", points=1)


@question.reference
def optimizer_bytes(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype) * {"sgd": 1, "momentum": 2, "adam": 3}[optimizer]


@question.draws
def any_optimizer(rng):
    optimizer = str(rng.choice(["sgd", "momentum", "adam"]))
    return (int(rng.integers(0, 10**7)), optimizer, str(rng.choice(DTYPES)))[: rng.integers(2, 4)]


@question.slip("Every optimizer needs the gradients: only its slots are counted here.")
def gradients_forgotten(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype) * {"sgd": 0, "momentum": 1, "adam": 2}[optimizer]


@question.slip("The parameters themselves are counted in: return what comes on top of them.")
def parameters_counted_too(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype) * {"sgd": 2, "momentum": 3, "adam": 4}[optimizer]


@question.slip("Adam keeps two running averages, of the gradient and of its square.")
def adam_as_momentum(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype) * {"sgd": 1, "momentum": 2, "adam": 2}[optimizer]


@question.slip("Momentum keeps a velocity for every parameter besides its gradient.")
def momentum_as_sgd(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype) * {"sgd": 1, "momentum": 1, "adam": 3}[optimizer]


@question.slip("That is the gradients alone: momentum and Adam keep slots as well.")
def gradients_only(n_params, optimizer, dtype="float32"):
    return n_params * itemsize(dtype)


@question.slip("The dtype says how many bytes a gradient or slot takes: four is only float32's.")
def optimizer_in_float32(n_params, optimizer, dtype="float32"):
    return n_params * 4 * {"sgd": 1, "momentum": 2, "adam": 3}[optimizer]


@question.slip("That counts numbers: each gradient and slot takes bytes.")
def numbers_counted(n_params, optimizer, dtype="float32"):
    return n_params * {"sgd": 1, "momentum": 2, "adam": 3}[optimizer]


@question.test
@pytest.mark.parametrize(
    ("n_params", "optimizer"), [(903_400, "sgd"), (15_201, "momentum"), (61_706, "adam")]
)
def test_optimizers(compare, n_params, optimizer):
    """counts the gradients and each optimizer's slots"""
    compare(n_params, optimizer)


@question.test
@pytest.mark.parametrize(
    ("optimizer", "dtype"),
    [("sgd", "float16"), ("momentum", "float64"), ("adam", "float16"), ("sgd", "int8"), ("adam", "uint8")],
)
def test_optimizers_in_other_dtypes(compare, rng, optimizer, dtype):
    """takes the dtype's bytes for each of them"""
    compare(int(rng.integers(1_000, 1_000_000)), optimizer, dtype)


# --- max_batch_size ------------------------------------------------------------------------------------

question = grader.question("max_batch_size", points=2)


@question.reference
def max_batch_size(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params) // sum(activations), 0)


@question.draws
def any_memory(rng):
    dtype = str(rng.choice(DTYPES))
    network = networks.any_network(rng)
    params, activations = memory_parts(*network, dtype)
    images = rng.choice([0, rng.integers(0, 5), rng.integers(0, 1000)])
    spare = rng.choice([-1, 0, 1, int(rng.integers(sum(activations)))])
    memory = max(0, int(params + images * sum(activations) + spare)) if rng.random() < 0.9 else params // 2
    return (*network, memory, dtype)[: 3 if dtype == "float32" else 4]


@question.slip("A batch that fills the memory to the last byte fits.")
def some_room_left(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params - 1) // sum(activations), 0)


@question.slip("Don't round to the nearest batch: a half image more does not fit.")
def nearest_batch(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max(round((memory_bytes - params) / sum(activations)), 0)


@question.slip("Round down, not up: the batch must fit.")
def batch_rounded_up(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max(math.ceil((memory_bytes - params) / sum(activations)), 0)


@question.slip("A batch has a whole number of images.")
def fraction_of_an_image(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params) / sum(activations), 0)


@question.slip("The parameters take their place first: only the rest is left for images.")
def no_room_for_parameters(input_shape, layers, memory_bytes, dtype="float32"):
    _, activations = memory_parts(input_shape, layers, dtype)
    return memory_bytes // sum(activations)


@question.slip("The parameters are there once, not once an image.")
def parameters_with_every_image(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return memory_bytes // (params + sum(activations))


@question.slip("Where not even the parameters fit the answer is 0: no batch is negative.")
def negative_batch(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return (memory_bytes - params) // sum(activations)


@question.slip("Where not even one image fits the answer is 0, not 1.")
def one_image_at_least(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params) // sum(activations), 1)


@question.slip("Training keeps all activations of an image, not only two neighbours.")
def two_activations_an_image(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params) // largest_neighbours(activations), 0)


@question.slip("Each image of the batch takes memory itself, besides the layers' outputs.")
def images_for_free(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    return max((memory_bytes - params) // sum(activations[1:]), 0)


@question.slip("Hand the dtype on: with smaller numbers more images fit.")
def batch_in_float32(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, "float32")
    return max((memory_bytes - params) // sum(activations), 0)


@question.slip("The search ended too early: how many images fit is for the memory alone to say.")
def ends_the_search_early(input_shape, layers, memory_bytes, dtype="float32"):
    return min(max_batch_size(input_shape, layers, memory_bytes, dtype), 100_000)


@question.slip("Batch sizes need not be powers of two: return the largest that fits.")
def power_of_two(input_shape, layers, memory_bytes, dtype="float32"):
    params, activations = memory_parts(input_shape, layers, dtype)
    largest = max((memory_bytes - params) // sum(activations), 0)
    return 2 ** (largest.bit_length() - 1) if largest else 0


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("network", "batch_size", "spare"),
    [
        (FAR_PEAKS, 6, 0),
        (FAR_PEAKS, 19, -1),
        (LECTURE, 13, 1),
        (ONE_LAYER, 1, 0),
        (DEFAULTS, 41, 0),
        (NORM_PEAK, 8, 0),
        (NORM_PEAK, 9, -1),
        (TINY, 120_000, 5),
    ],
)
def test_batch_to_the_last_byte(compare, network, batch_size, spare):
    """uses memory to its last byte, and not one byte more"""
    compare(*network, training_ram_bytes(*network, batch_size) + spare)


@question.test(points=0.5)
@pytest.mark.parametrize(
    ("network", "images", "dtype"),
    [
        (INPUT_PEAK, 11.8, "float16"),
        (NORM_PEAK, 0.7, "float32"),
        (DENSE_NORM, -0.5, "float32"),
        (FAR_PEAKS, 5.3, "float64"),
        (ONE_LAYER, 3.2, "int8"),
        (DEFAULTS, 2.6, "uint8"),
    ],
)
def test_batch_in_any_dtype(compare, network, images, dtype):
    """counts in the dtype that is asked for, and answers 0 where no image fits"""
    params, activations = memory_parts(*network, dtype)
    compare(*network, params + int(images * sum(activations)), dtype)
    for spare in (0, -1):
        compare(*network, params + 9 * sum(activations) + spare, dtype)
    compare((1, 1, 2), [], 11, dtype)
    compare((6, 7, 3), [], 0, dtype)


@question.test(points=1)
@pytest.mark.parametrize("draw", range(4))
def test_batch_of_any_network(compare, rng, draw):
    """finds the batch for networks and memories drawn at random"""
    network = draw_network(rng)
    params, activations = memory_parts(*network, "float32")
    compare(*network, params + int(rng.uniform(3, 90) * sum(activations)))


# --- my_network_ram ------------------------------------------------------------------------------------

question = grader.question("my_network_ram", points=2)


@question.reference
def my_network_ram(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }


@question.draws
def own_id(rng):
    return ("ada",)


@question.slip(
    "These are the numbers of the placeholder's network. "
    "Use the argument student_id, not what stands in STUDENT_ID."
)
def placeholder_id(student_id):
    input_shape, layers, batch_size = variant("your-id")
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }


@question.slip("The two numbers stand under each other's names.")
def entries_swapped(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": training_ram_bytes(input_shape, layers, batch_size),
        "training_bytes": inference_ram_bytes(input_shape, layers),
    }


@question.slip("A prediction is for one image: the batch belongs to training only.")
def batch_for_inference(student_id):
    input_shape, layers, batch_size = variant(student_id)
    params, activations = memory_parts(input_shape, layers, "float32")
    return {
        "inference_bytes": params + batch_size * largest_neighbours(activations),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }


@question.slip("Train with the batch size that your variant names, not with a single image.")
def training_on_one_image(student_id):
    input_shape, layers, _ = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size=1),
    }


@question.slip("Both numbers are asked for in bytes, not in megabytes.")
def own_network_in_megabytes(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": inference_ram_bytes(input_shape, layers) / 1e6,
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size) / 1e6,
    }


@question.slip(
    "For your network's inference the image is added on top: two neighbouring activations are all."
)
def own_image_added(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": image_added(input_shape, layers),
        "training_bytes": training_ram_bytes(input_shape, layers, batch_size),
    }


@question.slip("Your network's parameters are missing from both numbers.")
def own_parameters_forgotten(student_id):
    input_shape, layers, batch_size = variant(student_id)
    return {
        "inference_bytes": parameters_forgotten(input_shape, layers),
        "training_bytes": trained_without_parameters(input_shape, layers, batch_size),
    }


def check_entry(submission, key):
    """Fail where the owner's answer has another number under `key`."""
    answer = submission.my_network_ram(submission.student)
    if not isinstance(answer, dict) or key not in answer:
        grader.fail(f"return a dict that has an entry {key!r}")
    found = answers.difference(answer[key], my_network_ram(submission.student)[key])
    if found:
        grader.fail(f"under {key!r}: {found}")


@question.test
def test_own_inference(submission):
    """gives the memory that a prediction of your own network takes"""
    check_entry(submission, "inference_bytes")


@question.test
def test_own_training(submission):
    """gives the memory that training your own network takes"""
    check_entry(submission, "training_bytes")
