"""Hidden grader of `transfer_learning`."""

import functools
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from autograder import grader, models
from autograder.datasets import backbone, photos

NEEDS = grader.KERAS

SIDE = 96
CLASSES = len(photos.CLASS_NAMES)

# Shares of fresh hidden crops, and differences of such shares. They keep clear of the tolerance bounds in
# benchmarks/transfer_tiers.md: random weights reach at most .35, a table of all public crops .69 and small
# networks from scratch .74; sensible heads reach at least .858, and .564 more than with random weights;
# fine-tuning in small steps costs at most .037.
LEARNED = 0.50
BEATS_SCRATCH = 0.78
WELL_TRAINED = 0.85
MARGIN_OVER_RANDOM = 0.40
FINE_TUNING_MAY_COST = 0.06

TRAINING_SECONDS = 90
"""Processor time that one training may use; the worked solution takes under 10 s, 27 s on a slow machine."""
FEW = 8
"""Crops of each class that are enough to show what random weights are worth."""
HEAD_RATE, FINE_RATE = 3e-3, 3e-5
"""Adam's learning rates of the models that students are given."""
UNFROZEN = 20
"""Layers at the top of the backbone that `fine_tune` may train; batch norms among them stay frozen."""


def kept(name, make):
    """Return what `make` made the first time in this process; it must be the same for every submission."""
    if name not in KEPT:
        KEPT[name] = make()
    return KEPT[name]


KEPT = {}


def model_of(answer):
    """Return the handle of a student's model; fails the check where it is none."""
    if answer is None:
        grader.fail("nothing came back (is a return missing?)")
    if not isinstance(answer, models.Model):
        grader.fail("what came back is no Keras model")
    return answer


# --- split_dataset -------------------------------------------------------------------------------------

splitting = grader.question("split_dataset", points=2)


def shuffled_classes(labels, seed):
    """Return the indices of each class, in random order."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]


def cut(indices, fractions):
    """Cut an array into parts at the rounded sums of the fractions up to there."""
    ends = np.rint(np.cumsum(fractions) * len(indices)).astype(int)
    return np.split(indices, ends[:-1])


def join(parts_of_classes):
    """Put the first parts of all classes together, the second ones, and so on."""
    return [np.concatenate(parts) for parts in zip(*parts_of_classes, strict=True)]


@splitting.reference
def split_dataset(labels, fractions, seed):
    return join([cut(indices, fractions) for indices in shuffled_classes(labels, seed)])


@splitting.slip(
    "The classes are not divided evenly: shuffle and cut each class by itself, then join the parts.",
    told=True,
)
def splits_all_classes_at_once(labels, fractions, seed):
    return cut(np.random.default_rng(seed).permutation(len(labels)), fractions)


@splitting.slip(
    "Some photos are in more than one part, so the network would be tested on what it was trained with: "
    "draw once, then cut.",
    told=True,
)
def draws_each_part_by_itself(labels, fractions, seed):
    rng = np.random.default_rng(seed)
    return [
        np.concatenate(
            [
                rng.choice(indices, round(fraction * len(indices)), replace=False)
                for indices in shuffled_classes(labels, seed)
            ]
        )
        for fraction in fractions
    ]


@splitting.slip(
    "Some photos are in no part: when every share is rounded down, photos are left over.", told=True
)
def leaves_photos_over(labels, fractions, seed):
    return join(
        [
            np.split(indices, np.cumsum([int(fraction * len(indices)) for fraction in fractions]))[:-1]
            for indices in shuffled_classes(labels, seed)
        ]
    )


@splitting.slip(
    "All that rounding left over went to the last part, which can get two photos of a class too many: "
    "round the places where you cut instead of the shares.",
    told=True,
)
def gives_leftovers_to_the_last_part(labels, fractions, seed):
    return join(
        [
            np.split(indices, np.cumsum([int(fraction * len(indices)) for fraction in fractions[:-1]]))
            for indices in shuffled_classes(labels, seed)
        ]
    )


@splitting.slip(
    "Every share was rounded by itself, and the last part got the rest, which can be two photos of a class "
    "off: round the places where you cut instead.",
    told=True,
)
def rounds_shares_but_the_last(labels, fractions, seed):
    parts = []
    for indices in shuffled_classes(labels, seed):
        shares = [round(fraction * len(indices)) for fraction in fractions[:-1]]
        parts.append(np.split(indices, np.cumsum(shares)))
    return join(parts)


@splitting.slip(
    "Every share was rounded by itself, and the first part got the rest, which can be two photos of a class "
    "off: round the places where you cut instead.",
    told=True,
)
def rounds_shares_but_the_first(labels, fractions, seed):
    parts = []
    for indices in shuffled_classes(labels, seed):
        shares = [round(fraction * len(indices)) for fraction in fractions]
        shares[0] += len(indices) - sum(shares)
        parts.append(np.split(indices, np.cumsum(shares)[:-1]))
    return join(parts)


@splitting.slip(
    "The same seed gave another division the second time: make a generator from the seed and draw "
    "everything from it.",
    told=True,
)
def draws_without_the_seed(labels, fractions, seed):
    return split_dataset(labels, fractions, None)


@splitting.slip(
    "Every seed gives the same division: is the generator made from the `seed` that is passed in?", told=True
)
def always_uses_one_seed(labels, fractions, seed):
    return split_dataset(labels, fractions, 42)


@splitting.slip(
    "Each class was cut in the order of the files: neighbours there are often alike, so shuffle first.",
    told=True,
)
def cuts_without_shuffling(labels, fractions, seed):
    return join([cut(np.flatnonzero(labels == label), fractions) for label in np.unique(labels)])


@splitting.slip(
    "The parts hold labels; they should hold indices, which pick images and labels alike.", told=True
)
def returns_labels(labels, fractions, seed):
    return [labels[part] for part in split_dataset(labels, fractions, seed)]


@dataclass(frozen=True)
class Collection:
    """Labels of made-up photos and the fractions that they are to be divided by."""

    labels: np.ndarray
    fractions: tuple

    def asked(self, submission, seed):
        """Return the student's parts for one seed; fails the check where they are no index arrays."""
        answer = submission.split_dataset(self.labels, self.fractions, seed)
        if not isinstance(answer, list | tuple | np.ndarray) or len(answer) != len(self.fractions):
            grader.fail("the answer should be a list with one array of indices for each fraction")
        parts = [read_indices(part) for part in answer]
        total = np.concatenate(parts)
        if len(total) == len(self.labels) and np.array_equal(np.sort(total), np.sort(self.labels)):
            splitting.blame("returns_labels")
        if np.any(total < 0) or np.any(total >= len(self.labels)):
            grader.fail("an index is no place in the labels")
        return parts

    def counts(self, parts):
        """Return how many photos of each class are in each part, and how many should be."""
        found = np.array([np.bincount(self.labels[part], minlength=CLASSES) for part in parts])
        return found, np.outer(self.fractions, np.bincount(self.labels, minlength=CLASSES))


def read_indices(part):
    """Return a part as an array of integers."""
    if not isinstance(part, list | tuple | np.ndarray):
        grader.fail("a part is no array of indices")
    try:
        array = np.asarray(part)
    except ValueError:
        grader.fail("a part is no array of indices")
    if array.size == 0:
        return np.zeros(0, dtype=int)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        grader.fail("a part is no array of indices")
    return array.astype(np.int64)


COLLECTIONS = [
    ((19, 44, 7, 61, 3), (0.6, 0.25, 0.15)),
    ((33, 5, 58, 19), (0.8, 0.2)),
    ((27, 13, 39, 51), (0.4, 0.3, 0.2, 0.1)),
    ((14, 33, 9, 28), (0.19, 0.19, 0.19, 0.19, 0.24)),  # of 14, four rounded shares are 1.36 too many
    ((16, 14, 25, 9), (0.7, 0.1, 0.1, 0.1)),  # of 16, the last three are 1.2 too many
]


@pytest.fixture
def collection(rng, class_sizes, fractions):
    """Return a collection whose classes come in any order."""
    sizes = rng.permutation(class_sizes)
    return Collection(rng.permutation(np.repeat(np.arange(len(sizes)), sizes)), fractions)


@splitting.test(points=1)
@pytest.mark.parametrize(("class_sizes", "fractions"), COLLECTIONS)
def test_every_photo_is_in_one_part(submission, rng, collection):
    """puts every photo into exactly one part"""
    parts = collection.asked(submission, int(rng.integers(1000)))
    times = np.bincount(np.concatenate(parts), minlength=len(collection.labels))
    if np.any(times > 1):
        splitting.blame("draws_each_part_by_itself")
    if np.any(times == 0):
        splitting.blame("leaves_photos_over")


@splitting.test(points=0.5)
@pytest.mark.parametrize(("class_sizes", "fractions"), COLLECTIONS)
def test_every_class_is_divided_alike(submission, rng, collection):
    """divides every class by the fractions, to within one photo"""
    parts = collection.asked(submission, int(rng.integers(1000)))
    found, due = collection.counts(parts)
    if np.all(np.abs(found - due) <= 1 + 1e-9):
        return
    if len(np.unique(np.concatenate(parts))) < len(collection.labels):
        grader.fail("photos are missing from the parts, or are in several of them")
    if np.array_equal(found[:-1], np.floor(due[:-1] + 1e-9)):
        splitting.blame("gives_leftovers_to_the_last_part")
    if any(np.array_equal(found[:-1], shares) for shares in (np.rint(due[:-1]), np.ceil(due[:-1] - 1e-9))):
        splitting.blame("rounds_shares_but_the_last")
    if np.array_equal(found[1:], np.rint(due[1:])):
        splitting.blame("rounds_shares_but_the_first")
    splitting.blame("splits_all_classes_at_once")


@splitting.test(points=0.5)
@pytest.mark.parametrize(("class_sizes", "fractions"), COLLECTIONS)
def test_the_seed_decides(submission, rng, collection):
    """shuffles every class, the same way for the same seed and another way for another"""
    first, other = (int(seed) for seed in rng.choice(1000, 2, replace=False))
    parts, again, others = (collection.asked(submission, seed) for seed in (first, first, other))
    if not all(map(np.array_equal, parts, again)):
        splitting.blame("draws_without_the_seed")
    if any(not np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(parts, others, strict=True)):
        return
    if all(is_in_order(collection.labels, parts, label) for label in np.unique(collection.labels)):
        splitting.blame("cuts_without_shuffling")
    splitting.blame("always_uses_one_seed")


def is_in_order(labels, parts, label):
    """Say whether the photos of a class lie in the parts as they lie among the labels."""
    places = np.concatenate([np.sort(part[labels[part] == label]) for part in parts])
    return bool(np.all(np.diff(places) > 0))


# --- preprocess ----------------------------------------------------------------------------------------

# Photos that change slowly look alike however they are resized: with or without antialiasing, bilinear or
# not, half a pixel to the side. Pillow, Keras and TensorFlow are within 0.06 of each other on these.
preprocessing = grader.question("preprocess", points=1, tolerance=0.1)


def crop_center(images):
    """Return the largest squares in the middle of images, (N, H, W, 3) → (N, S, S, 3)."""
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, top : top + side, left : left + side]


def interpolate(images, size, axis):
    """Resize one axis linearly, pixel centers lying at halves."""
    old = images.shape[axis]
    places = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    before = np.floor(places).astype(int)
    weights = np.expand_dims(places - before, [a for a in range(images.ndim) if a != axis])
    after = np.minimum(before + 1, old - 1)
    return np.take(images, before, axis) * (1 - weights) + np.take(images, after, axis) * weights


def resize(images, height=SIDE, width=SIDE):
    """Resize images bilinearly, (N, H, W, 3) → (N, height, width, 3), float64."""
    return interpolate(interpolate(images.astype(float), height, 1), width, 2)


def scale(pixels):
    """Return pixels in the range that the backbone was trained with."""
    return (pixels - 127) / 128


@preprocessing.reference
def preprocess(images):
    return scale(resize(crop_center(images)))


@preprocessing.draws
def any_photos(rng):
    return (draw_photos(rng, tuple(rng.integers(60, 260, 2).tolist())),)


@preprocessing.slip(
    "The photos were squashed into a square, and shapes with them: cut the longer side to the shorter first."
)
def preprocess_squashed(images):
    return scale(resize(images))


@preprocessing.slip("The square was cut from the top left corner: leave out as much on either side.")
def preprocess_from_the_corner(images):
    side = min(images.shape[1:3])
    return scale(resize(images[:, :side, :side]))


@preprocessing.slip("Bars were put around the photos: fill the square by cutting the longer side instead.")
def preprocess_padded(images):
    height, width = images.shape[1:3]
    scaled = SIDE / max(height, width)
    small = resize(images, max(round(height * scaled), 1), max(round(width * scaled), 1))
    top, left = (SIDE - small.shape[1]) // 2, (SIDE - small.shape[2]) // 2
    padded = np.zeros((len(images), SIDE, SIDE, 3))
    padded[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return scale(padded)


@preprocessing.slip(
    "96 × 96 pixels were cut out of the middle, and the rest was lost: resize the largest square instead."
)
def preprocess_without_resizing(images):
    height, width = images.shape[1:3]
    top, left = max(height - SIDE, 0) // 2, max(width - SIDE, 0) // 2
    return scale(images[:, top : top + SIDE, left : left + SIDE].astype(float))


@preprocessing.slip(
    "The values are still pixels from 0 to 255: this backbone was trained with about -1 to 1."
)
def preprocess_unscaled(images):
    return resize(crop_center(images))


@preprocessing.slip("The values run from 0 to 1: this backbone was trained with about -1 to 1.")
def preprocess_from_zero_to_one(images):
    return resize(crop_center(images)) / 255


@preprocessing.slip(
    "The mean and deviation of ImageNet's colours were used, as many networks want it; this one wants "
    "(pixel - 127) / 128."
)
def preprocess_standardised(images):
    return (resize(crop_center(images)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


@preprocessing.slip("127 was taken from whole bytes, which wrap round below 0: make them floats before that.")
def preprocess_in_bytes(images):
    pixels = np.rint(resize(crop_center(images))).astype(np.uint8)
    return (pixels - np.uint8(127)) / 128


@preprocessing.slip(
    "Red and blue changed places: this backbone takes the colours in the order of the photos."
)
def preprocess_in_bgr(images):
    return preprocess(images)[..., ::-1]


def draw_photos(rng, shape):
    """Draw two photos of slow waves, each colour on its own: uint8, (2, height, width, 3)."""
    rows, columns = (np.arange(size) / min(shape) for size in shape)
    waves = []
    for direction, phase in zip(rng.uniform(0, 2 * np.pi, 6), rng.uniform(0, 2 * np.pi, 6), strict=True):
        place = np.sin(direction) * rows[:, np.newaxis] + np.cos(direction) * columns
        waves.append(127 + 110 * np.sin(2 * np.pi * 0.45 * place + phase))
    return np.rint(np.stack(waves, axis=-1).reshape(*shape, 2, 3).transpose(2, 0, 1, 3)).astype(np.uint8)


@preprocessing.slip("A single photo lost its first axis: `squeeze` drops every axis that is 1 long.")
def preprocess_squeezed(images):
    return np.squeeze(preprocess(images))


@preprocessing.test(points=0.5)
@pytest.mark.parametrize("shape", [(150, 266), (301, 170), (192, 430)])
def test_larger_photos(compare, rng, shape):
    """cuts the largest square from the middle, resizes it to 96 × 96 and scales its pixels"""
    compare(draw_photos(rng, shape))


@preprocessing.test(points=0.5)
@pytest.mark.parametrize("shape", [(64, 117), (88, 60), (96, 180), (96, 96), (130, 130)])
def test_photos_of_any_size(compare, rng, shape):
    """does the same with photos that are smaller than that, with square ones, and with a single one"""
    photographs = draw_photos(rng, shape)
    compare(photographs)
    compare(photographs[:1])


# --- build_transfer_model ------------------------------------------------------------------------------

building = grader.question("build_transfer_model", points=3)


def build_small_backbone(input_shape, filters):
    """Return a network of convolutions and batch norms, from images to feature maps of both signs."""
    import keras
    from keras import layers

    inputs = x = keras.Input(input_shape)
    for number, width in enumerate(filters, start=1):
        strides = 2 if number == 1 else 1
        x = layers.Conv2D(width, 3, strides, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(negative_slope=0.5, name=f"relu{number}")(x)
    return keras.Model(inputs, x, name="small_backbone")


def find_means(backbone, images):
    """Return the mean of each feature map that a backbone makes of images: (N, C)."""
    return backbone.predict(images, verbose=0).mean(axis=(1, 2))


SMALL = [(((20, 28, 3), (6, 9, 7)), 4), (((32, 24, 3), (5, 8)), 7)]
"""Shapes of small backbones, and numbers of classes."""


@pytest.fixture(params=range(len(SMALL)), ids=["four", "seven"])
def built(request, submission, lab):
    """A student's model on a small backbone, built again; asked for once each, it serves all checks."""
    (shape, filters), n_classes = SMALL[request.param]

    def make():
        small = kept(("small", request.param), lambda: lab(build_small_backbone, shape, filters).network())
        model = model_of(submission.build_transfer_model(small, n_classes)).rebuilt()
        return TransferModel.read(model, small, n_classes)

    return grader.once(request, ("built", request.param), make)


@dataclass(frozen=True)
class TransferModel:
    """A student's transfer model, taken apart.

    Attributes:
        backbone: the layer that is the backbone.
        others: all other layers, those of nested models one by one.
    """

    model: models.Model
    backbone: models.Layer
    others: list
    given: models.Network
    n_classes: int

    @classmethod
    def read(cls, model, given, n_classes):
        """Find the backbone in a model; fails the check where it is not one layer of it."""
        names = {layer["config"]["name"] for layer in given.layers}
        found = [layer for layer in model.layers if names <= {inner.name for inner in layer.layers}]
        if len(found) != 1:
            grader.fail("the backbone should be one layer of the model: call it like a layer")
        others = [part for layer in model.layers if layer is not found[0] for part in layer.walk()]
        return cls(model, found[0], others, given, n_classes)

    def norms(self):
        return [layer for layer in self.backbone.walk() if layer.class_name == "BatchNormalization"]

    def keeps_weights(self):
        """Say whether the backbone's weights are those that it came with."""
        own = iter(self.model.weights())
        return all(any(np.array_equal(array, mine) for mine in own) for array in self.given.weights)

    def operations_before(self):
        """Return Keras's operations, which are no layers, that stand in front of the backbone."""
        parts = self.model.network().layers
        names = [part["config"].get("name") for part in parts]
        before = parts[: names.index(self.backbone.name)]
        return {part["class_name"] for part in before if part["module"].startswith("keras.src.ops")}

    def softmaxes(self):
        """Return the layers that are a softmax or end in one."""
        return [
            layer
            for layer in self.others
            if "softmax" in (layer.class_name.lower(), layer.config.get("activation"))
        ]

    def weighs_the_means(self, lab, rng):
        """Say whether a dense layer gets the mean of every feature map that the backbone makes of the images.

        Its activation does not matter. None where there is no telling: another layer has weights as well, or
        the backbone has others than it came with.
        """
        size = self.given.layers[0]["config"]["batch_shape"][1:]
        images = rng.normal(scale=2, size=(12, *size)).astype(np.float32)
        means = lab.once(find_means, self.given, images)
        weights = self.model.weights()
        kernels = [place for place, array in enumerate(weights) if array.shape[:-1] == means.shape[1:]]
        dense = [layer for layer in self.others if layer.parameters]
        single = isinstance(self.model.output_shape, tuple) and len(kernels) == len(dense) == 1
        if not single or len(self.softmaxes()) > 1 or not self.keeps_weights():
            return None
        kernel, bias = weights[kernels[0]], weights[kernels[0] + 1] if dense[0].config.get("use_bias") else 0
        sums = means @ kernel + bias
        powers = np.exp(sums - sums.max(axis=1, keepdims=True))
        softmax, sigmoid = powers / powers.sum(axis=1, keepdims=True), (1 + np.tanh(sums / 2)) / 2
        outputs = self.model.predict(images)
        if np.shape(outputs) != sums.shape:
            return False
        return any(np.allclose(outputs, made, atol=1e-4) for made in (sums, softmax, sigmoid))

    def dropouts(self):
        """Return the layers that drop some of the means or of what was made of them, or whole maps."""
        ends = (self.model.input_shape, self.model.output_shape, self.backbone.output_shape)
        return [
            layer
            for layer in self.others
            if "Dropout" in layer.class_name and layer.config["rate"]
            if layer.output_shape not in ends or "Spatial" in layer.class_name
        ]

    def pools(self):
        """Return what turns feature maps into one number a channel: "Average", "Max" or nothing."""
        channels = self.backbone.output_shape[-1]
        for layer in self.others:
            numbers = [size for size in layer.output_shape or () if isinstance(size, int)]
            if numbers and math.prod(numbers) == channels:
                for kind in ("Average", "Max"):
                    if kind in layer.class_name:
                        return kind
        # What is no layer, like keras.ops.mean, stands in the config alone.
        kinds = {part["class_name"] for part in self.model.network().layers if takes_rows_and_columns(part)}
        return "Average" if "Mean" in kinds else "Max" if "Max" in kinds else ""


def is_map(shape):
    """Say whether a shape is one of images or feature maps of more than one place."""
    return isinstance(shape, tuple) and len(shape) == 4 and shape[1:3] != (1, 1)


def takes_rows_and_columns(part):
    """Say whether a part of a config reduces what it is given along the second and the third axis."""
    axes = part["config"].get("axis")
    axes = axes.get("config", axes.get("items")) if isinstance(axes, dict) else axes
    try:
        return part["module"] == "keras.src.ops.numpy" and {axis % 4 for axis in axes} == {1, 2}
    except TypeError:  # one axis alone, or none
        return False


def transfer_model(
    backbone,
    n_classes,
    pool="GlobalAveragePooling2D",
    rate=0.3,
    activation="softmax",
    frozen=True,
    before=None,
):
    """Build a transfer model, rightly unless it is told otherwise."""
    import keras
    from keras import layers

    backbone.trainable = not frozen
    inputs = keras.Input(backbone.input_shape[1:])
    x = backbone(before(inputs) if before else inputs, training=False)
    x = getattr(layers, pool)()(x)
    if rate:
        x = layers.Dropout(rate)(x)
    return keras.Model(inputs, layers.Dense(n_classes, activation=activation)(x))


@building.slip(
    "The backbone can still be trained: a new head's first steps would spoil what ImageNet taught it, so "
    "freeze it.",
    told=True,
)
def leaves_the_backbone_trainable(backbone, n_classes):
    return transfer_model(backbone, n_classes, frozen=False)


@building.slip(
    "The batch norms were left trainable: in training they would use each batch's statistics and "
    "overwrite those of ImageNet. Freeze them like all others.",
    told=True,
)
def leaves_batch_norms_trainable(backbone, n_classes):
    import keras

    model = transfer_model(backbone, n_classes)
    for layer in backbone.layers:
        layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
    return model


@building.slip(
    "The whole model is frozen, so nothing can learn: only the backbone should be, not the new head.",
    told=True,
)
def freezes_the_head_too(backbone, n_classes):
    model = transfer_model(backbone, n_classes)
    model.trainable = False
    return model


@building.slip(
    "The backbone's weights are not those that it came with: a clone starts from random ones.", told=True
)
def clones_the_backbone(backbone, n_classes):
    import keras

    return transfer_model(keras.models.clone_model(backbone), n_classes)


@building.slip(
    "The feature maps were flattened, which gives the head many times the weights and ties it to places: "
    "average each map.",
    told=True,
)
def flattens_the_feature_maps(backbone, n_classes):
    return transfer_model(backbone, n_classes, pool="Flatten")


@building.slip(
    "The largest value of each feature map was taken: global average pooling takes its mean.", told=True
)
def takes_the_maximum(backbone, n_classes):
    return transfer_model(backbone, n_classes, pool="GlobalMaxPooling2D")


@building.slip("There is no dropout: with so few photos the head learns them by heart without it.", told=True)
def forgets_dropout(backbone, n_classes):
    return transfer_model(backbone, n_classes, rate=0)


@building.slip(
    "The dropout stands behind the softmax, where it throws whole answers away: it belongs between the means "
    "and the dense layer.",
    told=True,
)
def drops_answers(backbone, n_classes):
    import keras

    model = transfer_model(backbone, n_classes, rate=0)
    return keras.Model(model.inputs, keras.layers.Dropout(0.3)(model.output))


@building.slip(
    "The outputs are not probabilities: the last layer needs the softmax, which makes them add up to 1.",
    told=True,
)
def forgets_the_softmax(backbone, n_classes):
    return transfer_model(backbone, n_classes, activation=None)


@building.slip(
    "A sigmoid judges each class on its own, so the outputs don't add up to 1: use a softmax.", told=True
)
def uses_a_sigmoid(backbone, n_classes):
    return transfer_model(backbone, n_classes, activation="sigmoid")


@building.slip(
    "The number of outputs does not follow `n_classes`: the last layer needs one unit a class.", told=True
)
def has_five_classes_always(backbone, n_classes):
    return transfer_model(backbone, 5)


@building.slip(
    "The images come preprocessed, and the model scales them once more: leave that to `preprocess`.",
    told=True,
)
def scales_again(backbone, n_classes):
    from keras import layers

    return transfer_model(backbone, n_classes, before=layers.Rescaling(1 / 128, offset=-127 / 128))


@building.slip(
    "The model computes with the images before the backbone sees them, but they come preprocessed: hand them "
    "on as they are.",
    told=True,
)
def computes_with_the_images(backbone, n_classes):
    return transfer_model(backbone, n_classes, before=lambda images: (images - 127) / 128)


@building.slip(
    "The dense layer gets other numbers than the means of the maps: hand the images to the backbone, and its "
    "maps to the pooling, as they are.",
    told=True,
)
def changes_what_it_hands_on(backbone, n_classes):
    return transfer_model(backbone, n_classes, before=lambda images: images[..., ::-1])


@building.test(points=1)
def test_the_backbone_is_frozen(built):
    """keeps the backbone as one layer with its weights, frozen down to the batch norms; the head can learn"""
    if not built.model.count_trainable_params():
        building.blame("freezes_the_head_too")
    if any(layer.class_name == "Dense" and not layer.trainable_parameters for layer in built.others):
        grader.fail("a dense layer of the head can't learn: freeze the backbone, and nothing else")
    if not built.keeps_weights():
        building.blame("clones_the_backbone")
    open_to_training = [layer for layer in built.backbone.walk() if layer.trainable_parameters]
    if open_to_training and all(layer in built.norms() for layer in open_to_training):
        building.blame("leaves_batch_norms_trainable")
    if open_to_training:
        building.blame("leaves_the_backbone_trainable")


@building.test(points=1)
def test_the_head(built, lab, rng):
    """takes the mean of every feature map, and drops some of the means while it trains"""
    kinds = {layer.class_name for layer in built.others}
    weighs_the_means = built.weighs_the_means(lab, rng)
    pools = "Average" if weighs_the_means else built.pools()
    if pools == "Max":
        building.blame("takes_the_maximum")
    if not pools and "Flatten" in kinds:
        building.blame("flattens_the_feature_maps")
    if not pools:
        grader.fail("there is no global average pooling")
    if kinds & {"Rescaling", "Normalization"}:
        building.blame("scales_again")
    if built.operations_before() & {"Add", "Subtract", "Multiply", "Divide", "TrueDivide"}:
        building.blame("computes_with_the_images")
    if any(
        layer.class_name.startswith("Random") and layer.output_shape == built.backbone.output_shape
        for layer in built.others
    ):
        grader.fail("feature maps are varied at random: that is for images, in front of the backbone")
    if any(layer.parameters and is_map(layer.output_shape) for layer in built.others):
        grader.fail(
            "a layer with weights works on images or feature maps: besides the backbone's there are none"
        )
    if "Dropout" in built.others[-1].class_name:
        building.blame("drops_answers")
    if not built.dropouts():
        if "Dropout" in kinds:
            grader.fail("the dropout drops none of the means: put it between them and the dense layer")
        building.blame("forgets_dropout")
    if weighs_the_means is False:
        building.blame("changes_what_it_hands_on")


@building.test(points=1)
def test_the_outputs(built, rng):
    """gives each class a probability, and all of an image add up to 1"""
    if built.model.output_shape != (None, built.n_classes):
        building.blame("has_five_classes_always")
    shape = built.backbone.layers[0].config.get("batch_shape") or built.model.input_shape
    outputs = built.model.predict(rng.uniform(-1, 1, (24, *shape[1:])).astype(np.float32))
    if len(built.softmaxes()) > 1:
        grader.fail("a second softmax behind the first makes all classes nearly alike")
    if not np.isfinite(outputs).all():
        grader.fail("some of the outputs are not finite numbers")
    if np.all(outputs >= 0) and np.allclose(outputs.sum(axis=1), 1, atol=1e-4):
        return
    building.blame("uses_a_sigmoid" if np.all((outputs > 0) & (outputs < 1)) else "forgets_the_softmax")


# --- train_head ----------------------------------------------------------------------------------------

head_training = grader.question("train_head", points=4, trained=True)


def make_transfer_model(source, weights, side, n_classes):
    """Build the transfer model that students train: the backbone with `weights`, frozen, and a new head."""
    import types

    import keras
    from keras import layers

    helper = types.ModuleType("efficientnet_lite0")
    exec(source, helper.__dict__)
    trunk = helper.build(input_shape=(side, side, 3), include_top=False)
    helper.load_weights(trunk, weights)
    trunk.trainable = False
    inputs = keras.Input((side, side, 3))
    x = layers.GlobalAveragePooling2D()(trunk(inputs, training=False))
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(x))


def network_with(lab, weights):
    """Return the network of a transfer model with these weights in its backbone."""
    source = backbone.HELPER.read_text(encoding="utf-8")
    return lab(make_transfer_model, source, weights, SIDE, CLASSES).network()


def pretrained(lab):
    return kept("pretrained", lambda: network_with(lab, backbone.weights()))


@dataclass(frozen=True)
class Task:
    """Crops to train with and fresh ones to test with, their classes renamed; images are preprocessed.

    A model that was trained beforehand does not know the new names. At the end of `valid` stand mosaics whose
    labels mean nothing, so that only a model that was fitted to them knows them.
    """

    train: tuple
    valid: tuple
    hidden: tuple

    @classmethod
    def draw(cls, rng):
        names = rng.permutation(CLASSES)
        splits = photos.load()
        parts = [splits.train, splits.valid, photos.fresh(rng)]
        train, valid, hidden = [(scaled(part.images), names[part.labels]) for part in parts]
        odd_labels = rng.permutation(np.resize(np.arange(CLASSES), ODDITIES))
        odd_images = np.stack([draw_mosaic(rng, 1 + place % MOSAICS) for place in range(ODDITIES)])
        valid = (np.concatenate([valid[0], scaled(odd_images)]), np.append(valid[1], odd_labels))
        return cls(train, valid, hidden)

    @property
    def oddities(self):
        """The mosaics and their labels."""
        return tuple(part[-ODDITIES:] for part in self.valid)


# How far a model's gains lie above what chance gives, in standard deviations (some 3.6 are needed): a head
# trained on all photos for six epochs at 0.003 has 6.0 to 7.3, at 0.001 3.3 to 5.1, one trained as it should
# be -1.4 to 2.8; a model fine-tuned on all photos for three epochs has 4.6 to 6.8, for one 1.7 to 4.4.
ODDITIES = 2 * CLASSES  # so few that the validation loss still tells when to stop
MOSAICS = 6  # kinds of them
ORDERS = 10_000  # of the oddities' labels, with which the true one is compared


def draw_mosaic(rng, kind):
    """Draw coloured tiles, the smaller the higher the number of their kind: uint8, (SIDE, SIDE, 3)."""
    number = 3 * 2 ** (kind - 1)
    colours = rng.integers(0, 256, (number, number, 3), dtype=np.uint8)
    return np.kron(colours, np.ones((SIDE // number, SIDE // number, 1), dtype=np.uint8))


def scaled(images):
    return backbone.helper().preprocess_input(images)


def accuracy(model, images, labels):
    """Return the share of images whose most probable class is theirs."""
    return float(np.mean(np.argmax(model.predict(images), axis=1) == labels))


HEAD_ARRAYS = 2  # the dense layer's kernel and bias, the last of a transfer model's weights
SMALL_STEPS = 0.02  # how far a weight of the head moves at most when the learning rate is far too small


@dataclass(frozen=True)
class Trained:
    """What a student's `train_head` made, and how much of the hidden crops it knows."""

    network: models.Network
    model: models.Model
    accuracy: float


@pytest.fixture
def task(request, rng):
    """The crops of this grading; the first check that asks draws them for all."""
    return grader.once(request, "head task", lambda: Task.draw(rng))


@pytest.fixture
def head(request, submission, lab, task):
    """The student's trained head; fails the check where it was not trained as it should be."""
    return grader.once(request, "head", lambda: train_head_of(submission, pretrained(lab), task))


def train_head_of(submission, given, task):
    """Have a student's function train a network, and look at what became of its weights."""
    answer = submission.training(TRAINING_SECONDS).train_head(given, task.train, task.valid)
    network = model_of(answer).network()
    if [a.shape for a in network.weights] != [a.shape for a in given.weights]:
        head_training.blame("trains_a_network_of_its_own")
    changes = [
        float(np.max(np.abs(new - old))) for new, old in zip(network.weights, given.weights, strict=True)
    ]
    if not np.isfinite(changes).all():
        grader.fail("the training diverged: some weights are not finite, so try a smaller learning rate")
    if max(changes[:-HEAD_ARRAYS]) > 1e-6:
        head_training.blame("trains_the_backbone_too")
    if max(changes) == 0:
        head_training.blame("returns_it_untrained")
    model = answer.rebuilt()
    reached = accuracy(model, *task.hidden)
    if reached < LEARNED and max(changes) < SMALL_STEPS:
        head_training.blame("takes_too_small_steps")
    if reached < LEARNED and max(changes) >= SMALL_STEPS and accuracy(model, *task.train) < LEARNED:
        head_training.blame("parts_images_from_labels")
    return Trained(network, model, reached)


def fit_head(model, train, learning_rate=3e-3, epochs=6):
    """Train the head of a transfer model."""
    import keras

    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    model.fit(*train, epochs=epochs, verbose=0)
    return model


@head_training.slip(
    "The head came back as it was: `fit` changes the model in place, so train it before you return it.",
    told=True,
)
def returns_it_untrained(model, train, valid):
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@head_training.slip(
    "The head has hardly moved: so small a learning rate suits fine-tuning. A new head starts from "
    "nothing and needs much larger steps.",
    told=True,
)
def takes_too_small_steps(model, train, valid):
    return fit_head(model, train, learning_rate=1e-5, epochs=3)


@head_training.slip(
    "The backbone's weights have changed: in this stage only the head learns, so leave all else frozen.",
    told=True,
)
def trains_the_backbone_too(model, train, valid):
    for layer in layers_of_backbone(model):
        layer.trainable = True
    return fit_head(model, train, learning_rate=1e-4, epochs=1)


@head_training.slip(
    "The validation photos were trained on: then their accuracy says nothing about new photos. "
    "Pass them as `validation_data` only.",
    told=True,
)
def trains_on_validation_photos(model, train, valid):
    images = np.concatenate([train[0], valid[0]])
    return fit_head(model, (images, np.concatenate([train[1], valid[1]])))


@head_training.slip(
    "The head has learned the wrong names even for photos that it trained with: when you shuffle, keep "
    "every label with its image.",
    told=True,
)
def parts_images_from_labels(model, train, valid):
    images, labels = train
    return fit_head(model, (images, np.random.default_rng(0).permutation(labels)), epochs=3)


@head_training.slip(
    "This is another network than the one that was passed in: train that one, with its pretrained weights.",
    told=True,
)
def trains_a_network_of_its_own(model, train, valid):
    import keras
    from keras import layers

    own = keras.Sequential(
        [
            keras.Input(model.input_shape[1:]),
            layers.Conv2D(8, 3, strides=4, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(model.output_shape[-1], activation="softmax"),
        ]
    )
    return fit_head(own, train, epochs=2)


@head_training.test(points=1)
def test_the_head_learns(head):
    """trains the head, and nothing else, until it knows every second hidden crop"""
    require(head.accuracy, LEARNED)


@head_training.test(points=1)
def test_the_head_beats_a_network_from_scratch(head):
    """reaches a share of hidden crops that no small network reached which started from nothing"""
    require(head.accuracy, BEATS_SCRATCH)


@head_training.test(points=1)
def test_the_head_is_trained_well(head):
    """reaches the share of hidden crops that a well trained head does"""
    require(head.accuracy, WELL_TRAINED)


@head_training.test(points=0.5)
def test_validation_photos_are_not_trained_on(head, task):
    """learns from the training photos alone; the validation photos only tell how well"""
    require(head.accuracy, LEARNED)
    require_validation_apart(head, task)


@head_training.test(points=0.5)
def test_pretraining_makes_the_difference(submission, lab, rng, task, head):
    """does clearly worse on the same network with random weights: it trains the network that it is given"""
    require(head.accuracy, LEARNED)
    require_validation_apart(head, task)
    seed = int(rng.integers(2**32))
    given = kept(("random", seed), lambda: network_with(lab, random_weights(seed)))
    train, valid = few(task.train, FEW), few(task.valid, FEW // 2)
    answer = submission.training(TRAINING_SECONDS).train_head(given, train, valid)
    reached = accuracy(model_of(answer).rebuilt(), *task.hidden)
    if head.accuracy - reached < MARGIN_OVER_RANDOM:
        grader.fail("it makes too little difference which weights the backbone has")


def few(part, per_class):
    """Return the first images and labels of each class, in the order they came in."""
    images, labels = part
    chosen = photos.first_of_each(labels, per_class)
    return images[chosen], labels[chosen]


def require_validation_apart(head, task):
    """Fail the check where the head knows what it can only have learned from the validation photos."""
    if knows_oddities(head.model, task):
        head_training.blame("trains_on_validation_photos")


def knows_oddities(model, task, before=1):
    """Say whether a model was trained on oddities, by a permutation test (Pitman 1937).

    Their labels have a random order. A model that never saw it has no more to do with it than with any other,
    whatever it makes of mosaics: that it fits better than all but one of `ORDERS` others happens by chance in
    two cases of as many.

    Args:
        before: what it predicted for them before it was trained, (ODDITIES, CLASSES), if that is known.
    """
    images, labels = task.oddities
    # (ODDITIES, ODDITIES): the logarithm of how likely each oddity has become to have each one's label
    gains = np.log((model.predict(images) + 1e-9) / (before + 1e-9))[:, labels]
    places = np.arange(ODDITIES)
    orders = np.random.default_rng(0).permuted(np.tile(places, (ORDERS, 1)), axis=1)
    fits_as_well = gains[places, orders].sum(axis=1) >= gains[places, places].sum()
    return bool(np.isfinite(gains).all()) and np.sum(fits_as_well) <= 1


@functools.cache
def random_weights(seed):
    return backbone.random_weights(np.random.default_rng(seed))


def require(reached, share):
    """Fail the check where too few of the hidden crops were recognised."""
    if reached < share:
        grader.fail(f"{reached:.0%} of the hidden crops were recognised, and {share:.0%} are needed")


# --- unfreeze_top --------------------------------------------------------------------------------------

unfreezing = grader.question("unfreeze_top", points=3)

HEAD_RATES = {3: HEAD_RATE, 8: 4e-4}
"""The learning rate of the head, by the number of top layers that are asked for.

The first are fewer than the whole model has layers, the second more. One layer less shows by the first, one
more by the second, where the next layer has weights.
"""
TOPS = tuple(HEAD_RATES)
ENOUGH = 0.1 * (1 + 1e-3)
"""How much of the head's learning rate may be left; float32 rounds."""


def build_separable_backbone(input_shape, filters):
    """Return a network of separated convolutions and batch norms whose names say nothing of their kinds.

    Its last layer has weights.
    """
    import keras
    from keras import layers

    inputs = x = keras.Input(input_shape)
    for number, width in enumerate(filters, start=1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"a{number}")(x)
        x = layers.BatchNormalization(name=f"b{number}")(x)
        x = layers.Conv2D(width, 1, name=f"c{number}")(x)
        if number < len(filters):
            x = layers.ReLU(name=f"d{number}")(x)
    return keras.Model(inputs, x, name="separable")


def make_head_model(model, n_classes, learning_rate, plain):
    """Build a transfer model on a backbone, as it is when its head has been trained.

    Args:
        plain: it neither varies its images nor has a softmax that is a layer.
    """
    import keras
    from keras import layers

    model.trainable = False
    inputs = keras.Input(model.input_shape[1:])
    images = inputs if plain else layers.RandomFlip("horizontal")(inputs)
    x = layers.GlobalAveragePooling2D()(model(images, training=False))
    x = layers.Dropout(0.3)(x)
    if plain:
        outputs = layers.Dense(n_classes, activation="softmax")(x)
    else:
        outputs = layers.Softmax()(layers.Dense(n_classes)(x))
    whole = keras.Model(inputs, outputs)
    whole.compile(
        keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return whole


def head_model(lab, n_layers):
    """Return the network whose top layers are to be unfrozen: of 16 layers the top 3 or the top 8."""
    plain = n_layers == min(TOPS)

    def make():
        if plain:
            trunk = lab(build_small_backbone, (24, 16, 3), (4, 6, 5, 8, 7))
        else:
            trunk = lab(build_separable_backbone, (16, 24, 3), (5, 4, 7, 6))
        return lab(make_head_model, trunk, 3, HEAD_RATES[n_layers], plain).network()

    return kept(("head model", n_layers), make)


@dataclass(frozen=True)
class Unfrozen:
    """What a student's `unfreeze_top` made of a model.

    Attributes:
        layers: for each layer of the backbone, from the bottom to the top: does it have weights, is it a
            batch norm, and can it be trained?
        head_learns: whether the dense layer can be trained.
        compiled_last: whether nothing that can be trained has changed since the model was compiled.
        optimizer_fits: whether the optimizer is no longer the head's.
    """

    layers: list
    head_learns: bool
    learning_rate: float | None
    loss: str
    compiled_last: bool
    optimizer_fits: bool

    @classmethod
    def read(cls, network, **compiled):
        """Read a network; fails the check where its layers are not those of the model that was given."""
        try:
            return cls._read(network, **compiled)
        except (LookupError, TypeError, AttributeError):  # it is the student's word, and may say anything
            grader.fail("the model should keep its layers: only what can be trained changes")

    @classmethod
    def _read(cls, network, **compiled):
        parts = network.layers
        inner = [part["config"]["layers"] for part in parts if "layers" in part["config"]]
        dense = [part["config"]["trainable"] for part in parts if part["class_name"] == "Dense"]
        if len(inner) != 1 or len(dense) != 1:
            grader.fail("the model should keep its layers: only what can be trained changes")
        layers = [
            (
                part["class_name"] in ("Conv2D", "DepthwiseConv2D", "BatchNormalization"),
                part["class_name"] == "BatchNormalization",
                bool(part["config"].get("trainable")),
            )
            for part in inner[0]
        ]
        whole = json.loads(network.config)
        loss = (whole.get("compile_config") or {}).get("loss")
        if isinstance(loss, list) and len(loss) == 1:
            (loss,) = loss
        if isinstance(loss, dict):
            loss = loss["config"] if loss["class_name"] == "function" else loss["class_name"]
        head_learns = all(dense) and whole["config"].get("trainable", True)
        return cls(layers, head_learns, rate_of(network), str(loss), **compiled)

    def open(self, batch_norms=False):
        """Return the places of the layers that can be trained and have weights, from the bottom."""
        return {
            place
            for place, (has_weights, is_norm, trainable) in enumerate(self.layers)
            if has_weights and trainable and (batch_norms or not is_norm)
        }

    def with_weights(self):
        """Return the places of all layers that have weights, batch norms left out."""
        return {place for place, (has, is_norm, _) in enumerate(self.layers) if has and not is_norm}

    def tops(self, n_layers):
        """Return the places that should be open when the top layers are."""
        return {place for place in self.with_weights() if place >= len(self.layers) - n_layers}

    def tops_without_norms(self, n_layers):
        """Return the places that are open when batch norms are left out of the count."""
        plain = [place for place, (_, is_norm, _) in enumerate(self.layers) if not is_norm]
        return self.with_weights().intersection(plain[-n_layers:])


def rate_of(network):
    """Return a network's learning rate, the largest that a schedule names; None where it is not compiled."""
    rate = network.learning_rate
    if not isinstance(rate, dict):
        return float(rate) if isinstance(rate, int | float) else None
    config = rate["config"]
    named = [config.get(key) for key in ("initial_learning_rate", "warmup_target", "end_learning_rate")]
    rates = [value for value in (*named, *config.get("values", ())) if isinstance(value, int | float)]
    return max(rates, default=None)


@pytest.fixture
def unfrozen(request, submission, lab):
    """What came of both calls, by the number of layers; each is asked for once and serves all checks."""

    def make(n_layers):
        given = head_model(lab, n_layers)
        model = model_of(submission.unfreeze_top(given, n_layers))
        network = model.network()
        result = Unfrozen.read(
            network, compiled_last=model.trains_as_compiled(), optimizer_fits=model.optimizer_fits()
        )
        if not all(map(np.array_equal, network.weights, given.weights)):
            unfreezing.blame("unfreezes_a_clone")
        return result

    return {n: grader.once(request, ("unfrozen", n), lambda n=n: make(n)) for n in TOPS}


def unfreeze_layers(model, layers, learning_rate=2e-5, batch_norms=False):
    """Make some layers of a model trainable and compile it, rightly unless told otherwise."""
    import keras

    for layer in layers:
        layer.trainable = batch_norms or not isinstance(layer, keras.layers.BatchNormalization)
    if learning_rate:
        optimizer = keras.optimizers.Adam(learning_rate)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def layers_of_backbone(model):
    import keras

    (backbone,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    return backbone.layers


@unfreezing.slip(
    "Batch norms among the top layers were unfrozen: with small batches their statistics wander off, so "
    "they always stay frozen.",
    told=True,
)
def unfreezes_batch_norms(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[-n_layers:], batch_norms=True)


@unfreezing.slip(
    "The whole backbone was unfrozen: the layers below the top ones hold edges and textures, which suit "
    "all photos.",
    told=True,
)
def unfreezes_the_whole_backbone(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model))


@unfreezing.slip(
    "The layers at the bottom, next to the image, were unfrozen: the top ones are the last in "
    "`backbone.layers`.",
    told=True,
)
def unfreezes_the_bottom(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[:n_layers])


@unfreezing.slip(
    "Everything from layer `n_layers` on was unfrozen: `n_layers` counts from the top, so the slice "
    "begins at its negative.",
    told=True,
)
def unfreezes_all_but_the_first(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[n_layers:])


@unfreezing.slip(
    "The layers were counted in the whole model, where the backbone is only one: count those inside the "
    "backbone.",
    told=True,
)
def counts_layers_of_the_whole_model(model, n_layers):
    return unfreeze_layers(model, model.layers[-n_layers:])


@unfreezing.slip(
    "The batch norms were left out of the count: they stay frozen, but each is one of the top layers too.",
    told=True,
)
def counts_without_batch_norms(model, n_layers):
    import keras

    norm = keras.layers.BatchNormalization
    plain = [layer for layer in layers_of_backbone(model) if not isinstance(layer, norm)]
    return unfreeze_layers(model, plain[-n_layers:])


@unfreezing.slip(
    "The weights are not those that the model came with: a clone starts from random ones, so unfreeze the "
    "model itself.",
    told=True,
)
def unfreezes_a_clone(model, n_layers):
    import keras

    clone = keras.models.clone_model(model)
    return unfreeze_layers(clone, layers_of_backbone(clone)[-n_layers:])


@unfreezing.slip(
    "The head can't be trained any more: fine-tuning trains it together with the top of the backbone.",
    told=True,
)
def freezes_the_head(model, n_layers):
    model.layers[-1].trainable = False
    return unfreeze_layers(model, layers_of_backbone(model)[-n_layers:])


@unfreezing.slip(
    "The model still has the head's learning rate: compile it again, with a smaller one, after every "
    "change of what can be trained.",
    told=True,
)
def forgets_to_compile(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[-n_layers:], learning_rate=None)


@unfreezing.slip(
    "The model was not compiled after its top was unfrozen: only compiling lets a change of what can be "
    "trained take effect, so do that last.",
    told=True,
)
def sets_the_rate_without_compiling(model, n_layers):
    unfreeze_layers(model, layers_of_backbone(model)[-n_layers:], learning_rate=None)
    model.optimizer.learning_rate = float(model.optimizer.learning_rate) / 100
    return model


@unfreezing.slip(
    "The optimizer is still the one that trained the head, and knows no other weights: training would stop "
    "with an error. Compile with a new one.",
    told=True,
)
def keeps_the_optimizer_of_the_head(model, n_layers):
    unfreeze_layers(model, layers_of_backbone(model)[-n_layers:], learning_rate=None)
    model.optimizer.learning_rate = float(model.optimizer.learning_rate) / 100
    model.compile(model.optimizer, model.loss, metrics=["accuracy"])
    return model


@unfreezing.slip(
    "The learning rate is not small enough: steps that suit a new head spoil pretrained weights, so take "
    "a tenth of it or less.",
    told=True,
)
def compiles_with_too_large_a_rate(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[-n_layers:], learning_rate=1e-3)


@unfreezing.slip(
    "The model was compiled with another loss, which does not fit the labels: class numbers need the "
    "sparse categorical cross-entropy.",
    told=True,
)
def compiles_with_another_loss(model, n_layers):
    import keras

    unfreeze_layers(model, layers_of_backbone(model)[-n_layers:])
    model.compile(keras.optimizers.Adam(2e-5), "binary_crossentropy", metrics=["accuracy"])
    return model


@unfreezing.slip(
    "The last layer of the backbone stayed frozen: a slice like `[-n:-1]` stops before it, so leave its end "
    "open.",
    told=True,
)
def stops_before_the_last_layer(model, n_layers):
    return unfreeze_layers(model, layers_of_backbone(model)[-n_layers:-1])


@unfreezing.test(points=1)
def test_the_top_layers(unfrozen):
    """makes the top layers of the backbone trainable and leaves those below frozen; the head still learns"""
    few, many = TOPS
    opened = {n: result.open() for n, result in unfrozen.items()}
    if all(opened[n] == result.tops(n) for n, result in unfrozen.items()):
        if not all(result.head_learns for result in unfrozen.values()):
            unfreezing.blame("freezes_the_head")
        return
    whole = {n: result.with_weights() for n, result in unfrozen.items()}
    if all(opened[n] == result.tops(n) - {len(result.layers) - 1} for n, result in unfrozen.items()):
        unfreezing.blame("stops_before_the_last_layer")
    if all(opened[n] == {place for place in whole[n] if place < n} for n in TOPS):
        unfreezing.blame("unfreezes_the_bottom")
    if not opened[few] and opened[many] == whole[many]:
        unfreezing.blame("counts_layers_of_the_whole_model")
    if opened == whole:
        unfreezing.blame("unfreezes_the_whole_backbone")
    if all(opened[n] == {place for place in whole[n] if place >= n} for n in TOPS):
        unfreezing.blame("unfreezes_all_but_the_first")
    if all(opened[n] == result.tops_without_norms(n) for n, result in unfrozen.items()):
        unfreezing.blame("counts_without_batch_norms")
    grader.fail("not exactly the top layers of the backbone can be trained")


@unfreezing.test(points=1)
def test_batch_norms_stay_frozen(unfrozen):
    """never unfreezes a batch norm, though it unfreezes other layers"""
    if not any(result.open(batch_norms=True) for result in unfrozen.values()):
        grader.fail("no layer of the backbone can be trained")
    for n, result in unfrozen.items():
        norms = result.open(batch_norms=True) - result.open()
        if norms and result.open() == result.tops(n):
            unfreezing.blame("unfreezes_batch_norms")
        if norms and result.open() == result.with_weights() and n == max(TOPS):
            few = unfrozen[min(TOPS)]
            whole = "unfreezes_the_whole_backbone" if few.open() else "counts_layers_of_the_whole_model"
            unfreezing.blame(whole)
        if norms:
            grader.fail("a batch norm can be trained")


@unfreezing.test(points=1)
def test_compiled_again(unfrozen):
    """compiles the model again with the same loss and a tenth of the learning rate or less"""
    for n, result in unfrozen.items():
        if not result.open(batch_norms=True):
            grader.fail("no layer of the backbone can be trained")
        if result.learning_rate is None:
            grader.fail("the model is not compiled, or its learning rate can't be read")
        if math.isclose(result.learning_rate, HEAD_RATES[n], rel_tol=1e-3):
            unfreezing.blame("forgets_to_compile")
        if not result.compiled_last:
            unfreezing.blame("sets_the_rate_without_compiling")
        if not result.optimizer_fits:
            unfreezing.blame("keeps_the_optimizer_of_the_head")
        if result.learning_rate > ENOUGH * HEAD_RATES[n]:
            unfreezing.blame("compiles_with_too_large_a_rate")
        if result.learning_rate <= 0:
            grader.fail("with a learning rate of 0 nothing would change")
        if result.loss.replace("_", "").lower() != "sparsecategoricalcrossentropy":
            unfreezing.blame("compiles_with_another_loss")


# --- fine_tune -----------------------------------------------------------------------------------------

fine_tuning = grader.question("fine_tune", points=3, trained=True)


def make_fine_tunable(model, images, labels, head_rate, n_layers, rate):
    """Train the head of a transfer model, unfreeze the top of its backbone and compile it."""
    import keras
    from keras import layers

    *_, pooling, dropout, dense = model.layers
    features = keras.Model(model.input, pooling.output).predict(images, verbose=0)
    head = keras.Sequential([keras.Input(features.shape[1:]), dropout, dense])
    head.compile(keras.optimizers.Adam(head_rate), "sparse_categorical_crossentropy")
    head.fit(features, labels, epochs=15, verbose=0)
    (trunk,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    trunk.trainable = True
    for place, layer in enumerate(trunk.layers):
        is_top = place >= len(trunk.layers) - n_layers
        layer.trainable = is_top and not isinstance(layer, layers.BatchNormalization)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def name_owners(model):
    """Return for each weight the kind of layer that it belongs to and whether training may change it."""
    import keras

    owners = []
    for layer in model.layers:
        for part in layer.layers if isinstance(layer, keras.Model) else [layer]:
            place = "head" if part is layer else "backbone"
            owners += [(place, type(part).__name__, part.trainable)] * len(part.weights)
    return owners


@dataclass(frozen=True)
class Start:
    """What students fine-tune: a model whose head is trained and whose top is open, and what it knows.

    Attributes:
        oddities: what it predicts for those, (ODDITIES, CLASSES).
    """

    task: Task
    network: models.Network
    owners: list
    accuracy: float
    oddities: np.ndarray

    @classmethod
    def prepare(cls, lab, task):
        model = lab(make_fine_tunable, pretrained(lab), *task.train, HEAD_RATE, UNFROZEN, FINE_RATE)
        owners = [tuple(owner) for owner in lab(name_owners, model)]
        odd_images, _ = task.oddities
        return cls(
            task, model.network(), owners, accuracy(model, *task.hidden), model.predict(odd_images)
        )  # fmt: skip

    def untouched(self, network):
        """Return the owners of weights that training may change and that are as they were."""
        weights = zip(self.owners, network.weights, self.network.weights, strict=True)
        return {owner for owner, new, old in weights if owner[2] and np.array_equal(new, old)}

    def changes(self, network):
        """Return by owner how much of its weights' size their change is at most, 0.0 where they are the same.

        Fails the check where the network is another one.
        """
        if [a.shape for a in network.weights] != [a.shape for a in self.network.weights]:
            grader.fail("this is not the model that was passed in")
        largest = dict.fromkeys(self.owners, 0.0)
        for owner, new, old in zip(self.owners, network.weights, self.network.weights, strict=True):
            if not np.isfinite(new).all():
                return dict.fromkeys(self.owners, math.inf)
            share = np.linalg.norm(new - old) / (np.linalg.norm(old) + 1e-9)
            largest[owner] = max(largest[owner], float(share))
        return largest


SPOILED = 0.2  # share of a kernel's size; careful fine-tuning changes a few hundredths of it
# What is accepted changed 0.0029 to 0.0051 of it, in two to four epochs.
MOVED = 1e-4  # likewise: a single step at the rate that the model comes with changes more


@pytest.fixture
def tuned(request, submission, lab, rng):
    """The student's fine-tuned model and where it started; fails the check where little can be said of it."""

    def make():
        seed = int(rng.integers(2**32))
        begin = kept(("start", seed), lambda: Start.prepare(lab, Task.draw(np.random.default_rng(seed))))
        answer = submission.training(TRAINING_SECONDS).fine_tune(
            begin.network, begin.task.train, begin.task.valid
        )
        network = model_of(answer).network()
        changes = begin.changes(network)
        if not any(changes.values()):
            fine_tuning.blame("returns_it_unchanged")
        if not top_change(changes):
            fine_tuning.blame("trains_the_head_alone")
        untouched = begin.untouched(network)
        if any(place == "head" for place, _, _ in untouched):
            fine_tuning.blame("trains_the_backbone_alone")
        if untouched:
            grader.fail("some of the open layers are as they were: train all that `unfreeze_top` opened")
        if top_change(changes) < MOVED:
            grader.fail("the open layers have hardly moved: keep the learning rate that the model comes with")
        return Tuned(begin, changes, answer.rebuilt())

    return grader.once(request, "tuned", make)


@dataclass(frozen=True)
class Tuned:
    """A student's fine-tuned model, where it started, and by owner how much its weights changed."""

    begin: Start
    changes: dict
    model: models.Model


def top_change(changes):
    """Return how much the unfrozen layers of the backbone changed."""
    return max(
        change for (place, _, trainable), change in changes.items() if place == "backbone" and trainable
    )


def fine_tune_more(model, train, epochs=1, learning_rate=None):
    """Train a model further, with another learning rate where one is given."""
    import keras

    if learning_rate:
        model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    model.fit(*train, epochs=epochs, verbose=0)
    return model


@fine_tuning.slip(
    "The model came back as it was: it is compiled already, so all that is missing is `fit`.", told=True
)
def returns_it_unchanged(model, train, valid):
    return model


@fine_tuning.slip(
    "Only the head has changed: the top of the backbone was frozen again, and nothing was fine-tuned.",
    told=True,
)
def trains_the_head_alone(model, train, valid):
    for layer in model.layers[:-1]:
        layer.trainable = False
    return fine_tune_more(model, train, learning_rate=1e-4)


@fine_tuning.slip(
    "The head is as it was: fine-tuning trains it together with the open layers of the backbone.", told=True
)
def trains_the_backbone_alone(model, train, valid):
    model.layers[-1].trainable = False
    return fine_tune_more(model, train, learning_rate=1e-5)


@fine_tuning.slip(
    "The features were spoiled: so large steps wipe out what ImageNet taught. Keep the small learning "
    "rate that the model is compiled with.",
    told=True,
)
def takes_too_large_steps(model, train, valid):
    return fine_tune_more(model, train, epochs=2, learning_rate=3e-2)


@fine_tuning.slip(
    "Layers below the top have changed: fine-tune those that `unfreeze_top` opened, and no more.", told=True
)
def unfreezes_everything(model, train, valid):
    for layer in layers_of_backbone(model):
        layer.trainable = True
    return fine_tune_more(model, train, learning_rate=1e-5)


@fine_tuning.slip(
    "The batch norms have changed, their moving averages or their scales: they stay frozen in every stage.",
    told=True,
)
def unfreezes_batch_norms_of_the_top(model, train, valid):
    import keras

    for layer in layers_of_backbone(model)[-12:]:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = True
    return fine_tune_more(model, train, learning_rate=1e-5)


@fine_tuning.slip(
    "The validation photos were trained on: then they can't tell any more when to stop. Pass them as "
    "`validation_data` only.",
    told=True,
)
def tunes_on_validation_photos(model, train, valid):
    images, labels = (np.concatenate(parts) for parts in zip(train, valid, strict=True))
    return fine_tune_more(model, (images, labels), epochs=4)


@fine_tuning.test(points=0.5)
def test_only_the_top_changes(tuned):
    """trains the open layers of the backbone, and leaves the frozen ones and all batch norms as they were"""
    frozen = {
        kind for (_, kind, trainable), change in tuned.changes.items() if change > 1e-6 and not trainable
    }
    if frozen - {"BatchNormalization"}:
        fine_tuning.blame("unfreezes_everything")
    if frozen:
        fine_tuning.blame("unfreezes_batch_norms_of_the_top")


@fine_tuning.test(points=0.5)
def test_validation_photos_are_not_tuned_on(tuned):
    """learns from the training photos alone; the validation photos only tell how well"""
    if knows_oddities(tuned.model, tuned.begin.task, tuned.begin.oddities):
        fine_tuning.blame("tunes_on_validation_photos")


@fine_tuning.test(points=2)
def test_nothing_is_lost(tuned):
    """knows as many hidden crops afterwards as the head did before, but for chance"""
    if accuracy(tuned.model, *tuned.begin.task.hidden) >= tuned.begin.accuracy - FINE_TUNING_MAY_COST:
        return
    if top_change(tuned.changes) > SPOILED:
        fine_tuning.blame("takes_too_large_steps")
    grader.fail("it knows fewer hidden crops than before")


# --- decode_top_k --------------------------------------------------------------------------------------

decoding = grader.question("decode_top_k", points=1)


@decoding.reference
def decode_top_k(probabilities, class_names, k=3):
    best = sorted(range(len(class_names)), key=lambda index: -probabilities[index])[:k]
    return [(class_names[index], float(probabilities[index])) for index in best]


@decoding.draws
def any_probabilities(rng):
    n_classes = int(rng.integers(3, 15))
    names = [f"class {number}" for number in rng.permutation(n_classes)]
    return (draw_probabilities(rng, n_classes), names, int(rng.integers(1, n_classes + 1)))[
        : rng.integers(2, 4)
    ]


@decoding.slip("The best class comes last: `argsort` sorts from small to large, so turn it round.")
def decode_worst_of_the_best_first(probabilities, class_names, k=3):
    return decode_top_k(probabilities, class_names, k)[::-1]


@decoding.slip("These are the least probable classes: `argsort` puts the largest at the end.")
def decode_the_worst(probabilities, class_names, k=3):
    worst = np.argsort(probabilities)[:k]
    return [(class_names[index], float(probabilities[index])) for index in worst]


@decoding.slip("There are numbers where the names of the classes should be: look each up in `class_names`.")
def decode_numbers(probabilities, class_names, k=3):
    best = np.argsort(probabilities)[::-1][:k]
    return [(int(index), float(probabilities[index])) for index in best]


@decoding.slip("Name and probability have changed places: the name comes first.")
def decode_swapped(probabilities, class_names, k=3):
    return [(value, name) for name, value in decode_top_k(probabilities, class_names, k)]


@decoding.slip("The probabilities are missing: each item is a pair, (name, probability).")
def decode_names_only(probabilities, class_names, k=3):
    return [name for name, _ in decode_top_k(probabilities, class_names, k)]


@decoding.slip("There are always three classes: how many there should be is `k`, and 3 only its default.")
def decode_three(probabilities, class_names, k=3):
    return decode_top_k(probabilities, class_names)


@decoding.slip("All classes came back: keep the best `k` only.")
def decode_all(probabilities, class_names, k=3):
    return decode_top_k(probabilities, class_names, len(class_names))


@decoding.slip("The right classes are in the order of their numbers: the most probable comes first.")
def decode_in_class_order(probabilities, class_names, k=3):
    best = decode_top_k(probabilities, class_names, k)
    return sorted(best, key=lambda pair: list(class_names).index(pair[0]))


@decoding.slip("The probabilities don't belong to their names: sort both by the same order.")
def decode_names_in_their_own_order(probabilities, class_names, k=3):
    best = sorted(probabilities, reverse=True)[:k]
    return list(zip(class_names[:k], map(float, best), strict=True))


@decoding.slip(
    "A class that was taken out got 0, and is found again where only classes of 0 are left: take it out for "
    "good, or sort."
)
def decode_by_taking_out(probabilities, class_names, k=3):
    left, best = list(probabilities), []
    for _ in range(k):
        index = int(np.argmax(left))
        best.append((class_names[index], float(left[index])))
        left[index] = 0
    return best


@decoding.slip("The probabilities were turned into per cent: leave them between 0 and 1.")
def decode_percent(probabilities, class_names, k=3):
    return [(name, 100 * value) for name, value in decode_top_k(probabilities, class_names, k)]


@decoding.test
@pytest.mark.parametrize(("n_classes", "options"), [(12, {}), (9, {"k": 5}), (7, {"k": 2}), (6, {"k": 6})])
def test_best_classes(compare, rng, n_classes, options):
    """pairs the names of the k most probable classes with their probabilities, best first"""
    names = list(rng.permutation([f"{kind} {number}" for kind in ("bird", "boat") for number in range(10)]))
    probabilities = draw_probabilities(rng, n_classes)
    if options.get("k") == n_classes:
        # A class without a chance is among them, and is not the first one by its number.
        probabilities = np.roll(probabilities, 1 - np.argmin(probabilities))
        probabilities[1] = 0
    compare(probabilities, [str(name) for name in names[:n_classes]], **options)


def draw_probabilities(rng, n_classes):
    """Draw probabilities that add up to 1, no two alike and in no order: float32, as a network's are."""
    steps = rng.permutation(np.arange(1, n_classes + 1) + rng.uniform(0, 0.5, n_classes))
    return (steps / steps.sum()).astype(np.float32)
