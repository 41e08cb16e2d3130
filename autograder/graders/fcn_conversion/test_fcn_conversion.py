"""Hidden grader of `fcn_conversion`."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from autograder import answers, grader, models
from autograder.errors import SubmissionError

NEEDS = grader.KERAS

# --- Folding a dense layer's kernel, rightly and wrongly -----------------------------------------------


def fold(kernel, shape):
    """Return a dense layer's kernel as that of a convolution over maps of `shape`: (H, W, C, U)."""
    return np.reshape(kernel, (*shape, -1))


def fold_by_channels(kernel, shape):
    height, width, channels = shape
    return np.reshape(kernel, (channels, height, width, -1)).transpose(1, 2, 0, 3)


def fold_by_columns(kernel, shape):
    height, width, channels = shape
    return np.reshape(kernel, (width, height, channels, -1)).transpose(1, 0, 2, 3)


def fold_turned(kernel, shape):
    return np.reshape(np.transpose(kernel), (*shape, -1))


def fold_flipped(kernel, shape):
    return fold(kernel, shape)[::-1, ::-1]


def fold_sideways(kernel, shape):
    height, width, channels = shape
    return np.reshape(kernel, (width, height, channels, -1))


def fold_averaged(kernel, shape):
    return fold(kernel, shape).mean(axis=(0, 1), keepdims=True)


# --- dense_to_conv_weights -----------------------------------------------------------------------------

question = grader.question("dense_to_conv_weights", points=3)


@question.reference
def dense_to_conv_weights(kernel, bias, feature_map_shape):
    folded = np.empty((*feature_map_shape, kernel.shape[1]))
    for position, place in enumerate(np.ndindex(*feature_map_shape)):
        folded[place] = kernel[position]
    return folded, bias


@question.draws
def any_dense(rng):
    shape = tuple(rng.integers(1, 6, 3).tolist())
    return (*draw_dense(rng, shape, int(rng.integers(1, 6))), shape)


@question.slip(
    "Keras flattens a feature map with the channels fastest: whole channels do not follow one another."
)
def weights_by_channels(kernel, bias, feature_map_shape):
    return fold_by_channels(kernel, feature_map_shape), bias


@question.slip("A feature map is flattened row by row, not column by column.")
def weights_by_columns(kernel, bias, feature_map_shape):
    return fold_by_columns(kernel, feature_map_shape), bias


@question.slip(
    "The kernel was transposed before it was reshaped: its last axis is that of the units already."
)
def weights_turned(kernel, bias, feature_map_shape):
    return fold_turned(kernel, feature_map_shape), bias


@question.slip("The kernel was flipped: Keras's convolution slides it as it is, since it is a correlation.")
def weights_flipped(kernel, bias, feature_map_shape):
    return fold_flipped(kernel, feature_map_shape), bias


@question.slip("Height and width changed places: the height comes first, in the map and in the kernel.")
def weights_sideways(kernel, bias, feature_map_shape):
    return fold_sideways(kernel, feature_map_shape), bias


@question.slip("The filters are the last axis of Keras's kernels: (H, W, C, U), not (U, H, W, C).")
def weights_with_filters_first(kernel, bias, feature_map_shape):
    return np.moveaxis(fold(kernel, feature_map_shape), -1, 0), bias


@question.slip("The last two axes are the channels that come in, and then the units that go out.")
def weights_with_units_before_channels(kernel, bias, feature_map_shape):
    height, width, channels = feature_map_shape
    return np.reshape(kernel, (height, width, -1, channels)), bias


@question.slip(
    "Averaging over the places forgets where each weight belongs: the filter is as large as the feature map."
)
def weights_averaged(kernel, bias, feature_map_shape):
    return fold_averaged(kernel, feature_map_shape), bias


@question.slip("The kernel is still that of a dense layer, with two axes: a convolution's has four.")
def weights_unfolded(kernel, bias, feature_map_shape):
    return kernel, bias


@question.slip("Only the kernel was returned: the answer is the pair (kernel, bias).")
def weights_without_bias(kernel, bias, feature_map_shape):
    return fold(kernel, feature_map_shape)


@question.slip("The bias keeps its shape (U,): a convolution too adds one number for each filter.")
def weights_with_bias_as_a_map(kernel, bias, feature_map_shape):
    return fold(kernel, feature_map_shape), np.reshape(bias, (1, 1, 1, -1))


@question.slip(
    "The bias was divided by the number of places: it is added once to each sum, so leave it as it is."
)
def weights_with_a_shared_bias(kernel, bias, feature_map_shape):
    height, width, _ = feature_map_shape
    return fold(kernel, feature_map_shape), bias / (height * width)


def draw_dense(rng, shape, units):
    """Draw the kernel and the bias of a dense layer behind a flattened map of `shape`."""
    return rng.normal(size=(math.prod(shape), units)), rng.normal(size=units)


@question.test(points=1.5)
@pytest.mark.parametrize(("shape", "units"), [((2, 3, 4), 5), ((4, 2, 3), 7), ((3, 5, 2), 4)])
def test_each_weight_meets_its_own_activation(compare, rng, shape, units):
    """puts every weight where the convolution meets the same activation as the dense layer did"""
    compare(*draw_dense(rng, shape, units), shape)


@question.test(points=0.75)
@pytest.mark.parametrize(("shape", "units"), [((1, 4, 3), 2), ((5, 1, 2), 4), ((3, 2, 1), 5)])
def test_thin_maps(compare, rng, shape, units):
    """holds for maps with a single row, column or channel"""
    compare(*draw_dense(rng, shape, units), shape)


@question.test(points=0.75)
@pytest.mark.parametrize("channels", [4, 6, 9])
def test_a_later_dense_layer(compare, rng, channels):
    """turns a dense layer that follows another one into a 1 × 1 convolution"""
    compare(*draw_dense(rng, (1, 1, channels), 5), (1, 1, channels))


# --- Networks as plain data: a step is the class name, the config and the weights of a layer -----------


@dataclass(frozen=True)
class Drawn:
    """A random network: a trunk of convolutions and pools, a flatten, and a head of dense layers.

    Attributes:
        input_shape: (height, width, channels) that it takes.
        stride: pixels from one place of the trunk's last map to the next, in both directions.
        trunk: the steps before the flatten.
        map_shape: (height, width, channels) of the trunk's last map at the network's own size.
        head: the steps behind the flatten.
    """

    input_shape: tuple
    stride: int
    trunk: list
    map_shape: tuple
    head: list

    @property
    def steps(self):
        """All layers, the flatten among them."""
        return [*self.trunk, ("Flatten", {}, []), *self.head]

    def network(self):
        """Return it as a `keras.Sequential`."""
        # Names that Keras never gives by itself, so that none of the student's new layers has the same.
        layers = [
            (kind, config | {"name": f"layer_{n}"}) for n, (kind, config, _) in enumerate(self.steps, 1)
        ]
        return models.sequential(self.input_shape, layers, [w for *_, weights in self.steps for w in weights])

    def score_windows(self, images):
        """Return what it makes of every window of its own size: (N, rows, columns, U)."""
        windows = view_windows(images, self.input_shape[:2], self.stride)
        several, rows, columns, *_ = windows.shape
        # (N, rows, columns, C, H, W) → (N · rows · columns, H, W, C)
        flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, *self.input_shape)
        return run(flat, self.steps).reshape(several, rows, columns, -1)

    def draw_images(self, rng, more=(0, 0)):
        """Draw two images that are larger than its own size by so many strides: (2, height, width, C)."""
        height, width, channels = self.input_shape
        rows, columns = more
        size = (2, height + rows * self.stride, width + columns * self.stride, channels)
        return rng.normal(size=size).astype("float32")


def draw_network(rng, trunk, head):
    """Draw a network that pads nowhere and whose pools leave nothing over.

    Args:
        trunk: its layers, by the names of `draw_window`.
        head: the steps behind the flatten, without their weights.
    """
    # So far apart that no kernels make the input square
    map_size = height, width = tuple(int(side) for side in rng.permutation([2, 4]))
    windows = [draw_window(rng, kind) for kind in trunk]
    for (rows, columns), stride in reversed(windows):
        height, width = (height - 1) * stride + rows, (width - 1) * stride + columns
    channels = int(rng.integers(2, 4))
    input_shape, total_stride = (height, width, channels), math.prod(stride for _, stride in windows)
    steps = []
    for kind, (window, stride) in zip(trunk, windows, strict=True):
        steps.append(draw_step(rng, kind, window, stride, channels))
        channels = steps[-1][1].get("filters", channels)
    map_shape = (*map_size, channels)
    return Drawn(input_shape, total_stride, steps, map_shape, draw_head(rng, head, math.prod(map_shape)))


def draw_window(rng, kind):
    """Return what a layer of a trunk sees of its input at a time, (rows, columns), and its stride.

    Args:
        kind: "conv", "strided" (a convolution of stride 2), "dilated" (one with a dilation of 2), "curved"
            (one with a tanh), "bare" (one without bias and activation), "pool", "mean", "overlap" and
            "mean_overlap" (pools whose windows share pixels), "norm", "relu" (one with a slope below 0) or
            "tanh" (a layer).
    """
    if kind in (*CONVOLUTIONS, *OVERLAPS):
        stride = 2 if kind in ("strided", *OVERLAPS) else 1
        window = tuple(int(side) for side in rng.permutation([2, 3]))
        return (tuple(2 * side - 1 for side in window) if kind == "dilated" else window), stride
    return ((1, 1), 1) if kind in PIXEL_BY_PIXEL else ((2, 2), 2)


CONVOLUTIONS = {"conv": "relu", "strided": "relu", "dilated": "relu", "curved": "tanh", "bare": "linear"}
"""The activation of each kind of convolution in a trunk."""
OVERLAPS = ("overlap", "mean_overlap")
PIXEL_BY_PIXEL = {
    "norm": ("BatchNormalization", {"epsilon": 0.1}),
    "relu": ("ReLU", {"negative_slope": 0.3}),
    "tanh": ("Activation", {"activation": "tanh"}),
}
"""The class and the config of each kind of layer that leaves a map as large as it is."""


def draw_step(rng, kind, window, stride, channels):
    """Return a layer of a trunk as a step, with random weights."""
    if kind in CONVOLUTIONS:
        filters, biased = int(rng.integers(4, 7)), kind != "bare"
        dilation = 2 if kind == "dilated" else 1
        window = tuple((side - 1) // dilation + 1 for side in window)
        config = {"filters": filters, "kernel_size": window, "strides": stride, "use_bias": biased}
        config["dilation_rate"] = dilation
        config["activation"] = CONVOLUTIONS[kind]
        return "Conv2D", config, draw_weights(rng, (*window, channels, filters), 2)[: 1 + biased]
    if kind in PIXEL_BY_PIXEL:
        weights = [*rng.normal(size=(3, channels)), rng.uniform(0.3, 3, channels)] if kind == "norm" else []
        return *PIXEL_BY_PIXEL[kind], weights
    settings = {"strides": stride} if kind in OVERLAPS else {}
    pool = "AveragePooling2D" if kind.startswith("mean") else "MaxPooling2D"
    return pool, {"pool_size": window} | settings, []


def draw_head(rng, head, features):
    """Give the dense layers of a head their weights."""
    steps = []
    for kind, config in head:
        weights = []
        if kind == "Dense":
            config = {"activation": "linear", "use_bias": True} | config
            weights = draw_weights(rng, (features, config["units"]), 4)[: 1 + config["use_bias"]]
            features = config["units"]
        steps.append((kind, config, weights))
    return steps


def draw_weights(rng, shape, gain):
    """Draw a kernel and a bias; sums of unit activations have a variance of about `gain`."""
    fan_in = math.prod(shape[:-1])
    return [rng.normal(size=shape) * math.sqrt(gain / fan_in), rng.normal(size=shape[-1])]


def fold_head(head, map_shape, fold=fold):
    """Return the steps of a head with a convolution for each dense layer."""
    steps, shape = [], map_shape
    for kind, config, weights in head:
        if kind == "Dense":
            kernel = fold(weights[0], shape)
            config = {name: config[name] for name in ("activation", "use_bias")}
            config |= {"filters": kernel.shape[-1], "kernel_size": kernel.shape[:2]}
            kind, weights, shape = "Conv2D", [kernel, *weights[1:]], (1, 1, kernel.shape[-1])
        steps.append((kind, config, weights))
    return steps


def as_functional(model):
    """Return a model of the same layers that is no Sequential."""
    import keras

    return keras.Model(model.inputs[0], model.outputs[0])


def run(x, steps):
    """Return what layers make of a batch, in numpy and with "valid" windows."""
    for kind, config, weights in steps:
        match kind:
            case "Conv2D":
                kernel, *bias = weights
                apart = config.get("dilation_rate", 1)
                reach = tuple(apart * (side - 1) + 1 for side in kernel.shape[:2])
                windows = view_windows(x, reach, config.get("strides", 1))[..., ::apart, ::apart]
                x = np.einsum("nhwcij,ijcu->nhwu", windows, kernel) + sum(bias)
            case "MaxPooling2D" | "AveragePooling2D":
                windows = view_windows(x, config["pool_size"], config.get("strides", config["pool_size"][0]))
                x = windows.max(axis=(4, 5)) if kind == "MaxPooling2D" else windows.mean(axis=(4, 5))
            case "BatchNormalization":
                scale, shift, mean, variance = weights
                x = scale * (x - mean) / np.sqrt(variance + config["epsilon"]) + shift
            case "Flatten":
                x = x.reshape(len(x), -1)
            case "Dense":
                kernel, *bias = weights
                x = x @ kernel + sum(bias)
            case "ReLU":
                x = np.where(x > 0, x, config.get("negative_slope", 0) * x)
        name = "softmax" if kind == "Softmax" else config.get("activation", "linear")
        x = activate(x, name, config.get("axis", -1))
    return x


def view_windows(maps, size, stride):
    """Return the windows of some maps: (N, rows, columns, C, *size)."""
    windows = np.lib.stride_tricks.sliding_window_view(maps, size, axis=(1, 2))
    return windows[:, ::stride, ::stride]


def activate(x, name, axis):
    match name:
        case "relu":
            return np.maximum(x, 0)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return 1 / (1 + np.exp(-x))
        case "softmax":
            powers = np.exp(x - x.max(axis=axis, keepdims=True))
            return powers / powers.sum(axis=axis, keepdims=True)
    return x


# --- to_fully_convolutional ----------------------------------------------------------------------------

conversion = grader.question("to_fully_convolutional", points=5)


def convert(model, fold=fold, change=list, change_trunk=list, size=(None, None)):
    """Make a Keras model fully convolutional, rightly unless it is told otherwise.

    Args:
        fold: makes the kernels of the head's convolutions.
        change, change_trunk: what else happens to the steps of the head and of the trunk.
        size: the height and width of the images that it takes.
    """
    import keras

    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    steps = [(type(layer).__name__, layer.get_config(), layer.get_weights()) for layer in layers]
    flatten = [kind for kind, _, _ in steps].index("Flatten")
    head = fold_head(steps[flatten + 1 :], layers[flatten].input.shape[1:], fold)
    x = inputs = keras.Input((*size, model.input_shape[-1]))
    for kind, config, weights in [*change_trunk(steps[:flatten]), *change(head)]:
        layer = getattr(keras.layers, kind).from_config(config)
        x = layer(x)
        if weights:
            layer.set_weights(weights)
    return keras.Model(inputs, x)


def with_settings(steps, **settings):
    return [(kind, config | settings if kind == "Conv2D" else config, w) for kind, config, w in steps]


@conversion.reference
def to_fully_convolutional(model):
    return convert(model)


@conversion.slip(
    "The first dense layer's weights were folded channel by channel: a flattened map goes row by row, place "
    "by place, and the channels change fastest.",
    told=True,
)
def kernel_by_channels(model):
    return convert(model, fold_by_channels)


@conversion.slip(
    "The first dense layer's weights were folded column by column: a feature map is flattened row by row.",
    told=True,
)
def kernel_by_columns(model):
    return convert(model, fold_by_columns)


@conversion.slip(
    "A dense kernel was transposed before it was reshaped, so that units and places got mixed up.", told=True
)
def kernel_turned(model):
    return convert(model, fold_turned)


@conversion.slip(
    "The kernel was flipped: Keras's convolution is a correlation, and slides the kernel as it is.", told=True
)
def kernel_flipped(model):
    return convert(model, fold_flipped)


@conversion.slip(
    "The new convolution's kernel is as wide as the feature map is high: kernel_size is (height, width).",
    told=True,
)
def sides_swapped(model):
    return convert(model, fold_sideways)


@conversion.slip(
    "The first dense layer sees the whole map: its convolution needs a kernel of that size, not 1 × 1.",
    told=True,
)
def one_place_kernel(model):
    return convert(model, fold_averaged)


@conversion.slip(
    'The new convolutions pad with "same", and so look beyond the edge of the map: make them "valid".',
    told=True,
)
def same_padding(model):
    return convert(model, change=with_same_padding)


def with_same_padding(steps):
    return with_settings(steps, padding="same")


@conversion.slip(
    "The first new convolution jumps over places: its stride is 1, however large its kernel is.", told=True
)
def head_strides(model):
    return convert(model, change=with_jumps)


def with_jumps(steps):
    return [(k, c | {"strides": c["kernel_size"]} if k == "Conv2D" else c, w) for k, c, w in steps]


@conversion.slip(
    "The dense layers' activations were lost: give each new convolution that of its dense layer.", told=True
)
def activations_lost(model):
    return convert(model, change=without_activations)


def without_activations(steps):
    return with_settings(steps, activation="linear")


@conversion.slip(
    "ReLU inside and softmax at the end is a guess: read each dense layer's own activation from the network.",
    told=True,
)
def activations_guessed(model):
    return convert(model, change=with_usual_activations)


def with_usual_activations(steps):
    last = max(number for number, (kind, _, _) in enumerate(steps) if kind == "Conv2D")
    return [
        *with_settings(steps[:last], activation="relu"),
        *with_settings(steps[last:], activation="softmax"),
    ]


@conversion.slip("The softmax at the end was lost: the scores are no probabilities any more.", told=True)
def softmax_lost(model):
    return convert(model, change=without_softmax)


def without_softmax(steps):
    return [
        (k, c | {"activation": "linear"} if c.get("activation") == "softmax" else c, w) for k, c, w in steps
    ]


@conversion.slip(
    "Activations may be layers of their own behind a dense layer (ReLU, Softmax, …): keep those too.",
    told=True,
)
def activation_layers_lost(model):
    return convert(model, change=without_activation_layers)


def without_activation_layers(steps):
    return [step for step in steps if step[0] not in ("Activation", "ReLU", "Softmax")]


@conversion.slip(
    "The softmax runs over the rows of places: at each place it belongs over the units, the last axis.",
    told=True,
)
def softmax_over_rows(model):
    return convert(model, change=with_softmax_over_rows)


def with_softmax_over_rows(steps):
    changed = []
    for kind, config, weights in steps:
        softmax = kind == "Softmax" or config.get("activation") == "softmax"
        if kind != "Softmax":
            changed.append((kind, config | {"activation": "linear"} if softmax else config, weights))
        if softmax:
            changed.append(("Softmax", {"axis": 1}, []))
    return changed


@conversion.slip("The scores go through one softmax more than in the network that was given.", told=True)
def another_softmax(model):
    return convert(model, change=with_another_softmax)


def with_another_softmax(steps):
    return [*steps, ("Softmax", {}, [])]


@conversion.slip("The dense layers' biases were lost: copy them to the new convolutions.", told=True)
def biases_lost(model):
    return convert(model, change=without_biases)


def without_biases(steps):
    return [(k, c | {"use_bias": False}, w[:1]) if k == "Conv2D" else (k, c, w) for k, c, w in steps]


@conversion.slip(
    "Only the first dense layer became a convolution, and those behind it are gone: convert each of them.",
    told=True,
)
def later_layers_lost(model):
    return convert(model, change=until_the_first)


def until_the_first(steps):
    return steps[: 1 + [kind for kind, _, _ in steps].index("Conv2D")]


@conversion.slip(
    "Global pooling averages over the places and forgets where everything was: a convolution takes the place "
    "of the flatten and the first dense layer.",
    told=True,
)
def global_pooling(model):
    return convert(model, fold_averaged, change_trunk=with_global_pooling)


def with_global_pooling(steps):
    return [*steps, ("GlobalAveragePooling2D", {"keepdims": True}, [])]


@conversion.slip(
    "The new network takes images of one size only: its input needs None for height and width.", told=True
)
def fixed_size(model):
    return convert(model, size=model.input_shape[1:3])


@conversion.slip(
    "The scores lost their places: keep both of those axes, (N, h, w, U), even where they are 1 long.",
    told=True,
)
def flattened_again(model):
    return convert(model, change=with_flatten)


def with_flatten(steps):
    return [*steps, ("Flatten", {}, [])]


@conversion.slip(
    "A convolution of the trunk lost its stride: take the trunk's layers over with all their settings.",
    told=True,
)
def trunk_strides_lost(model):
    return convert(model, change_trunk=without_strides)


def without_strides(steps):
    return with_settings(steps, strides=1)


@conversion.slip(
    "A convolution of the trunk lost its dilation: take the trunk's layers over with all their settings.",
    told=True,
)
def trunk_dilation_lost(model):
    return convert(model, change_trunk=without_dilation)


def without_dilation(steps):
    return with_settings(steps, dilation_rate=1)


@conversion.slip(
    "A pool of the trunk got another size or another stride: it need not step by its own size. Take the "
    "trunk's layers over with all their settings.",
    told=True,
)
def pools_guessed(model):
    return convert(model, change_trunk=with_usual_pools)


def with_usual_pools(steps):
    usual = {"pool_size": 2}
    return [(kind, usual if kind.endswith("Pooling2D") else config, w) for kind, config, w in steps]


@conversion.slip(
    "A batch normalisation or ReLU of the trunk lost its settings: they need not be Keras's usual ones. Take "
    "the trunk's layers over with all of them.",
    told=True,
)
def trunk_settings_guessed(model):
    return convert(model, change_trunk=with_usual_settings)


def with_usual_settings(steps):
    return [(kind, {} if kind in ("BatchNormalization", "ReLU") else config, w) for kind, config, w in steps]


@conversion.slip(
    "An activation of the trunk that is a layer of its own was lost: take all of the trunk's layers over.",
    told=True,
)
def trunk_activation_layers_lost(model):
    return convert(model, change_trunk=without_activation_layers)


@conversion.slip(
    "A convolution of the trunk got another activation than its own, which need not be a ReLU: take the "
    "trunk's layers over with all their settings.",
    told=True,
)
def trunk_activations_guessed(model):
    return convert(model, change_trunk=with_relu)


def with_relu(steps):
    return with_settings(steps, activation="relu")


@conversion.slip(
    "No weights were copied: a layer that is new, or cloned, has random ones until it is given others.",
    told=True,
)
def nothing_copied(model):
    return convert(model, change=forget, change_trunk=forget)


def forget(steps):
    return [(kind, config, []) for kind, config, _ in steps]


@conversion.slip(
    "The trunk's weights were not copied: new or cloned convolutions have random ones until they are given "
    "others.",
    told=True,
)
def trunk_left_fresh(model):
    return convert(model, change_trunk=forget)


@conversion.slip(
    "The new convolutions still have random weights: give them the dense layers', reshaped.", told=True
)
def head_left_fresh(model):
    return convert(model, change=forget)


@conversion.slip(
    "Only the first dense layer's weights were copied: the later convolutions still have random ones.",
    told=True,
)
def later_left_fresh(model):
    return convert(model, change=forget_the_later)


def forget_the_later(steps):
    first = len(until_the_first(steps))
    return [*steps[:first], *forget(steps[first:])]


@conversion.slip(
    "Batch normalisation's moving mean and variance are weights too, if not trainable: copy them as well.",
    told=True,
)
def statistics_left_fresh(model):
    return convert(model, change_trunk=forget_statistics)


def forget_statistics(steps):
    # The moving mean and variance that the layer is born with are 0 and 1.
    return [(k, c, [*w[:2], 0 * w[2], 0 * w[3] + 1] if k == "BatchNormalization" else w) for k, c, w in steps]


def unnested(built):
    """Return the layers of a model, those of models in it one by one."""
    return [inner for layer in built.layers for inner in layer.walk()]


def configs(built, *kinds):
    """Return the configs of a model's layers of these kinds."""
    return [layer.config for layer in unnested(built) if layer.class_name in kinds]


def told_by_layers(built, drawn):
    """Return the slip that can be seen from the layers of a converted network, or None."""
    drawn_convolutions = [config for kind, config, _ in drawn.trunk if kind == "Conv2D"]
    strides = [config["strides"] for config in drawn_convolutions]
    dilations = [config["dilation_rate"] for config in drawn_convolutions]
    convolutions = configs(built, "Conv2D")
    trunk, head = convolutions[: len(strides)], convolutions[len(strides) :]
    height, width, _ = drawn.map_shape
    kernel = tuple(head[0]["kernel_size"]) if head else ()
    pools = configs(built, "MaxPooling2D", "AveragePooling2D")
    drawn_pools = [config for kind, config, _ in drawn.trunk if kind.endswith("Pooling2D")]
    taken, made = built.input_shape, built.output_shape
    signs = {
        "fixed_size": isinstance(taken, tuple) and taken[1:3] != (None, None),
        "global_pooling": any(layer.class_name.startswith("Global") for layer in unnested(built)),
        "flattened_again": isinstance(made, tuple) and len(made) != 4,
        "trunk_strides_lost": any(c["strides"] != [s, s] for c, s in zip(trunk, strides, strict=False)),
        "trunk_dilation_lost": any(
            c["dilation_rate"] != [d, d] for c, d in zip(trunk, dilations, strict=False)
        ),
        "pools_guessed": any(map(is_other_pool, pools, drawn_pools)),
        "trunk_settings_guessed": any(
            config[key] == usual
            for kind, key, usual in (("BatchNormalization", "epsilon", 1e-3), ("ReLU", "negative_slope", 0))
            if any(step[0] == kind for step in drawn.trunk)
            for config in configs(built, kind)
        ),
        "one_place_kernel": kernel == (1, 1),
        "sides_swapped": kernel == (width, height),
        "same_padding": any(config["padding"] == "same" for config in head),
        "head_strides": any(config["strides"] != [1, 1] for config in head),
    }
    return next((name for name, seen in signs.items() if seen), None)


def is_other_pool(config, drawn):
    """Say whether a pool of a converted network has another size or stride than the one that was drawn."""
    size = drawn["pool_size"]
    strides = [drawn["strides"]] * 2 if "strides" in drawn else list(size)
    return list(config["pool_size"]) != list(size) or list(config["strides"]) != strides


def told_by_activations(built, drawn):
    """Return the slip of a trunk whose convolutions have other activations, or None."""
    made = [config["activation"] for config in configs(built, "Conv2D")]
    wanted = [config["activation"] for kind, config, _ in drawn.trunk if kind == "Conv2D"]
    if made[: len(wanted)] != wanted:
        return "trunk_activations_guessed"
    of_their_own = {kind for kind, _, _ in drawn.trunk} & {"Activation", "ReLU"}
    return None if all(configs(built, kind) for kind in of_their_own) else "trunk_activation_layers_lost"


def told_by_weights(built, drawn):
    """Return the slip that can be seen from the weights that a converted network lacks, or None."""
    present = [np.sort(weight, axis=None) for weight in built.weights()]

    def kept(weights):
        """Say whether all of a layer's weights are there, in whatever order."""
        wanted = [np.sort(weight, axis=None) for weight in weights]
        return all(any(w.shape == p.shape and np.allclose(w, p) for p in present) for w in wanted)

    trunk = all(kept(w[:1]) for kind, _, w in drawn.trunk if kind == "Conv2D")
    first, *later = [kept(w[:1]) for kind, _, w in drawn.head if kind == "Dense"]
    signs = {
        "nothing_copied": not (trunk or first or any(later)),
        "trunk_left_fresh": not trunk,
        "head_left_fresh": not first,
        "later_left_fresh": not all(later),
        "statistics_left_fresh": not all(
            kept(w) for kind, _, w in drawn.trunk if kind == "BatchNormalization"
        ),
    }
    return next((name for name, seen in signs.items() if seen), None)


TOLERANCE = 1e-5
"""By how much float32 sums may differ when they are taken in another order."""

WRONG_HEADS = {
    "kernel_by_channels": (fold_by_channels, list),
    "kernel_by_columns": (fold_by_columns, list),
    "kernel_turned": (fold_turned, list),
    "kernel_flipped": (fold_flipped, list),
    "activations_lost": (fold, without_activations),
    "activations_guessed": (fold, with_usual_activations),
    "softmax_lost": (fold, without_softmax),
    "activation_layers_lost": (fold, without_activation_layers),
    "softmax_over_rows": (fold, with_softmax_over_rows),
    "another_softmax": (fold, with_another_softmax),
    "biases_lost": (fold, without_biases),
    "later_layers_lost": (fold, until_the_first),
}
"""The slips that can be seen from the scores: how each folds the head, and what it does to it then."""


def told_by_scores(asked):
    """Return the slip that gives all the scores that the student's networks gave, or None."""
    for name, (folded, changed) in WRONG_HEADS.items():
        mistaken = (
            run(case.maps, changed(fold_head(case.drawn.head, case.drawn.map_shape, folded)))
            for case in asked
        )
        pairs = zip(asked, mistaken, strict=True)
        if all(answers.agree(case.scores, scores, TOLERANCE) for case, scores in pairs):
            return name
    return None


@dataclass(frozen=True)
class Converted:
    """A drawn network, as it was given to the student, and what they made of it, built again."""

    drawn: Drawn
    built: models.Model


def convert_drawn(submission, lab, rng, plans, functional=False):
    """Have drawn networks converted.

    Args:
        plans: for each network its trunk and its head; how large its images are does not matter here.
        functional: give networks that are functional models, not sequential ones.
    """
    converted = []
    for trunk, head, *_ in plans:
        drawn = draw_network(rng, trunk, head)
        network = lab.once(as_functional, drawn.network()) if functional else drawn.network()
        model = submission.to_fully_convolutional(network)
        if not isinstance(model, models.Model):
            grader.fail(f"the answer is {answers.describe(model)}, where a Keras model is expected")
        converted.append(Converted(drawn, model.rebuilt()))
    return converted


@dataclass(frozen=True)
class Asked:
    """A converted network and what it makes of some images.

    Attributes:
        scores: what it gives.
        maps: the last maps of the drawn network's trunk for the same images.
        want: what the drawn network gives for their windows.
    """

    drawn: Drawn
    built: models.Model
    scores: np.ndarray
    maps: np.ndarray
    want: np.ndarray


def judge(rng, converted, sizes):
    """Compare each converted network with the slow sliding window.

    Args:
        sizes: how many strides larger than each network its images are.
    """
    asked = []
    for case, more in zip(converted, sizes, strict=True):
        images = case.drawn.draw_images(rng, more)
        try:
            scores = case.built.predict(images)
        except SubmissionError:
            slip = told_by_layers(case.built, case.drawn)
            if slip:
                conversion.blame(slip)
            raise
        maps, want = run(images, case.drawn.trunk), case.drawn.score_windows(images)
        asked.append(Asked(case.drawn, case.built, scores, maps, want))
    found = [answers.difference(case.scores, case.want, TOLERANCE) for case in asked]
    if any(found):
        signs = [told_by_layers(case.built, case.drawn) for case in asked]
        signs.append(told_by_scores(asked))
        signs += [told_by_weights(case.built, case.drawn) for case in asked]
        signs += [told_by_activations(case.built, case.drawn) for case in asked]
        slip = next(filter(None, signs), None)
        if slip:
            conversion.blame(slip)
        grader.fail(next(filter(None, found)))


def dense(units, activation="linear", use_bias=True):
    return "Dense", {"units": units, "activation": activation, "use_bias": use_bias}


DROPOUT = ("Dropout", {"rate": 0.5})


ONE_DENSE_LAYER = [
    (("conv", "pool", "conv", "pool"), [dense(3, "softmax")], (1, 3)),
    (("conv", "mean"), [dense(5, "sigmoid")], (4, 2)),
]
SEVERAL_DENSE_LAYERS = [
    (("conv", "pool"), [DROPOUT, dense(5, "tanh"), DROPOUT, dense(6, "relu"), dense(3)], (1, 3)),
]
OTHER_NETWORKS = [
    (
        ("strided", "norm", "tanh", "overlap"),
        [dense(6), ("ReLU", {}), DROPOUT, dense(4, use_bias=False), ("Softmax", {})],
        (1, 2),
    ),
    (
        ("bare", "norm", "relu", "mean_overlap", "dilated", "curved"),
        [dense(5, "tanh", use_bias=False), dense(3), ("Activation", {"activation": "sigmoid"})],
        (3, 1),
    ),
]
"""What is drawn: the trunk, the head, and how many strides larger than the network the images are."""


def sizes_of(plans):
    return [more for *_, more in plans]


@pytest.fixture
def plain(request, submission, lab, rng):
    """The networks with one dense layer, converted; two checks ask them."""
    return grader.once(request, "plain", lambda: convert_drawn(submission, lab, rng, ONE_DENSE_LAYER))


@conversion.test(points=1.5)
def test_own_size(rng, plain):
    """gives the network's own numbers at its own size, where there is one place: (N, 1, 1, U)"""
    judge(rng, plain, [(0, 0)] * len(plain))


@conversion.test(points=1.5)
def test_larger_images(rng, plain):
    """gives on larger images what the network says of each window, at its own place"""
    judge(rng, plain, sizes_of(ONE_DENSE_LAYER))


@conversion.test(points=1)
def test_several_dense_layers(submission, lab, rng):
    """converts every dense layer, each with its activation; dropout between them drops nothing"""
    converted = convert_drawn(submission, lab, rng, SEVERAL_DENSE_LAYERS)
    judge(rng, converted, sizes_of(SEVERAL_DENSE_LAYERS))


@conversion.test(points=1)
def test_other_networks(submission, lab, rng):
    """converts functional models, whatever the settings of their layers, and with activations as layers"""
    converted = convert_drawn(submission, lab, rng, OTHER_NETWORKS, functional=True)
    judge(rng, converted, sizes_of(OTHER_NETWORKS))


# --- fcn_output_size -----------------------------------------------------------------------------------

question = grader.question("fcn_output_size", points=1)


@question.reference
def fcn_output_size(input_size, model_input_size, total_stride):
    return len(range(0, input_size - model_input_size + 1, total_stride))


@question.draws
def any_sizes(rng):
    size, stride = rng.integers(1, 300, 2).tolist()
    return size + int(rng.integers(400)), size, stride


@question.slip("The first window is a place too: one more than the number of steps from it to the last.")
def steps_only(input_size, model_input_size, total_stride):
    return (input_size - model_input_size) // total_stride


@question.slip("A window has to fit where it starts: take off the network's own size before you divide.")
def a_place_every_stride(input_size, model_input_size, total_stride):
    return input_size // total_stride


@question.slip("What is left over at the edge is too narrow for a step: round down.")
def rounded_up(input_size, model_input_size, total_stride):
    return math.ceil((input_size - model_input_size) / total_stride) + 1


@question.slip("A number of places is a whole number: divide with // and not with /.")
def broken_places(input_size, model_input_size, total_stride):
    return (input_size - model_input_size) / total_stride + 1


@question.slip("Half a step is no step: round down, not to the nearest whole number.")
def rounded_to_the_nearest(input_size, model_input_size, total_stride):
    return round((input_size - model_input_size) / total_stride) + 1


@question.slip("These are windows side by side: each is only one stride further than the one before.")
def side_by_side(input_size, model_input_size, total_stride):
    return input_size // model_input_size


@question.slip("This counts a window at every pixel: the network moves on by its total stride.")
def at_every_pixel(input_size, model_input_size, total_stride):
    return input_size - model_input_size + 1


@question.slip("The extra 1 is a place, not a pixel: add it after the division.")
def one_pixel_more(input_size, model_input_size, total_stride):
    return (input_size - model_input_size + 1) // total_stride


@question.slip("Both sizes were divided and rounded on their own: divide their difference.")
def divided_apart(input_size, model_input_size, total_stride):
    return input_size // total_stride - model_input_size // total_stride + 1


@question.test
@pytest.mark.parametrize("steps", [0, 3, 7, 12])
def test_whole_strides(compare, rng, steps):
    """counts the windows along an image that is larger by whole strides, or not larger at all"""
    stride, size = int(rng.integers(3, 33)), int(rng.integers(50, 225))
    compare(size + steps * stride, size, stride)


@question.test
@pytest.mark.parametrize(("share", "short"), [(0.0, 1), (0.5, 1), (1.0, 0)])
def test_rest_at_the_edge(compare, rng, share, short):
    """leaves out what remains at the edge when the strides do not fill the image"""
    stride, steps = int(rng.integers(5, 17)), int(rng.integers(2, 15))
    # Rounding both sizes down on their own is right for whole strides, and not for one pixel less.
    size = stride * int(rng.integers(3, 9)) - short
    rest = 1 + round(share * (stride - 2))
    compare(size + steps * stride + rest, size, stride)


# --- window_scores -------------------------------------------------------------------------------------

question = grader.question("window_scores", points=2, tolerance=answers.IMAGE_TOLERANCE)


def score_windows(model, image, tops, lefts):
    """Return the model's scores of the windows at the given places: (rows, columns, U)."""
    height, width = model.input_shape[1:3]
    windows = [image[top : top + height, left : left + width] for top in tops for left in lefts]
    if not windows:
        return np.zeros((len(tops), len(lefts), model.output_shape[-1]))
    return np.reshape(model.predict(np.stack(windows)), (len(tops), len(lefts), -1))


def starts(size, window, stride):
    return range(0, size - window + 1, stride)


@question.reference
def window_scores(model, image, stride):
    (rows, columns, _), (_, height, width, _) = image.shape, model.input_shape
    return score_windows(model, image, starts(rows, height, stride), starts(columns, width, stride))


@question.slip("The last window of each row and column is missing: a window may end where the image ends.")
def without_the_last(model, image, stride):
    (rows, columns, _), (_, height, width, _) = image.shape, model.input_shape
    return score_windows(model, image, starts(rows, height + 1, stride), starts(columns, width + 1, stride))


@question.slip("A window was cut at every pixel: move on by the stride.")
def every_pixel(model, image, stride):
    return window_scores(model, image, 1)


@question.slip("The windows lie side by side: move on by the stride, and let them overlap.")
def tiles(model, image, stride):
    (rows, columns, _), (_, height, width, _) = image.shape, model.input_shape
    return score_windows(model, image, starts(rows, height, height), starts(columns, width, width))


@question.slip("The stride was used in one direction only: windows are that far apart across and down.")
def stride_down_only(model, image, stride):
    (rows, columns, _), (_, height, width, _) = image.shape, model.input_shape
    return score_windows(model, image, starts(rows, height, stride), starts(columns, width, 1))


@question.slip("Rows and columns changed places: the first axis goes down the image, the second across.")
def across_first(model, image, stride):
    return np.swapaxes(window_scores(model, image, stride), 0, 1)


@question.slip("The scores stand in the wrong places: cut the windows row by row, as reshape fills its rows.")
def column_by_column(model, image, stride):
    scores = window_scores(model, image, stride)
    return np.reshape(np.swapaxes(scores, 0, 1), scores.shape)


@question.slip("The windows are in one long list: arrange their scores as (rows, columns, U).")
def one_long_list(model, image, stride):
    scores = window_scores(model, image, stride)
    return np.reshape(scores, (-1, scores.shape[-1]))


@question.slip("Each window was a batch of one, and that axis of 1 is still there: (rows, columns, U).")
def batches_of_one(model, image, stride):
    return window_scores(model, image, stride)[:, :, None]


@question.slip("Only the best class is left: give the scores of all of them, (rows, columns, U).")
def best_class_only(model, image, stride):
    return window_scores(model, image, stride).argmax(axis=-1)


def draw_image(rng, drawn, steps, stride):
    """Draw an image with so many steps of the window down and across: (height, width, C)."""
    height, width, channels = drawn.input_shape
    size = (height + steps[0] * stride, width + steps[1] * stride, channels)
    return rng.normal(size=size).astype("float32")


@pytest.fixture
def scored(request, lab, rng):
    """A network whose windows are scored, and how it was drawn; every case asks the same."""

    def draw():
        drawn = draw_network(rng, ("conv", "pool"), [dense(4, "softmax")])
        return lab.hold(drawn.network()), drawn

    return grader.once(request, "scored", draw)


@question.test(points=1)
@pytest.mark.parametrize(("steps", "stride"), [((2, 4), 2), ((3, 1), 5)])
def test_every_window_at_its_place(compare, rng, scored, steps, stride):
    """scores every window, in rows and columns like the image's own"""
    model, drawn = scored
    compare(model, draw_image(rng, drawn, steps, stride), stride)


@question.test(points=1)
@pytest.mark.parametrize(("steps", "stride"), [((0, 2), 4), ((0, 0), 3)])
def test_up_to_the_edge(compare, rng, scored, steps, stride):
    """goes as far as the last window that ends with the image, even where there is one row or column"""
    model, drawn = scored
    compare(model, draw_image(rng, drawn, steps, stride), stride)
