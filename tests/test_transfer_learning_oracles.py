"""The references of `transfer_learning` against Pillow, Keras and counting, and what its notebook claims."""

import json
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from autograder import models
from autograder.catalog import Problem
from autograder.datasets import backbone, photos
from autograder.grader import grade, load
from autograder.notebook import provided_files, read_percent, reference_namespace
from autograder.submission import LocalSubmission

keras = pytest.importorskip("keras")

SHAPES = [(150, 266), (301, 170), (64, 117), (88, 60), (130, 130)]


def reference(name):
    return load("transfer_learning")[name].answer


@pytest.fixture(scope="module")
def hidden():
    """The grader's module."""
    load("transfer_learning")
    return sys.modules["autograder_graders_transfer_learning"]


@pytest.fixture(scope="module")
def notebook():
    """What the notebook's own cells define."""
    return reference_namespace(Problem("transfer_learning").source)


@pytest.fixture
def rng():
    return np.random.default_rng(96)


def fit_with_pillow(images, resampling):
    """Crop and resize as `ImageOps.fit` does; floats."""
    fitted = [ImageOps.fit(Image.fromarray(image), (96, 96), resampling) for image in images]
    return np.stack(fitted).astype(float)


def fit_with_keras(images, antialias, interpolation="bilinear"):
    """Crop and resize with Keras's function."""
    return keras.ops.convert_to_numpy(
        keras.ops.image.resize(
            images.astype(np.float32),
            (96, 96),
            interpolation=interpolation,
            antialias=antialias,
            crop_to_aspect_ratio=True,
        )
    )


def test_any_photo_is_resized_as_keras_does(rng):
    """For photos of noise too, where every pixel tells, the reference is Keras's bilinear crop."""
    for height, width in SHAPES:
        images = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        resized = keras.layers.Resizing(96, 96, crop_to_aspect_ratio=True)(images.astype(np.float32))
        expected = (keras.ops.convert_to_numpy(resized) - 127) / 128
        np.testing.assert_allclose(reference("preprocess")(images), expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_hidden_photos_forgive_the_way_of_resizing(hidden, rng, shape):
    """Pillow's and Keras's filters, antialiased or not, stay within the tolerance with room to spare."""
    images = hidden.draw_photos(rng, shape)
    expected = reference("preprocess")(images)
    ways = [
        *(fit_with_pillow(images, way) for way in (Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)),
        *(fit_with_keras(images, antialias) for antialias in (False, True)),
        fit_with_keras(images, antialias=False, interpolation="bicubic"),
    ]
    tolerance = load("transfer_learning")["preprocess"].tolerance
    for pixels in ways:
        assert np.max(np.abs((pixels - 127) / 128 - expected)) < tolerance * 0.6


def test_pixels_are_scaled_as_the_backbone_wants_them(rng):
    """The range is that of the file that builds the backbone."""
    images = rng.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    expected = backbone.helper().preprocess_input(images)
    np.testing.assert_allclose(reference("preprocess")(images), expected, atol=1e-6)


@pytest.mark.parametrize("who", ["reference", "worked solution"])
def test_every_division_is_whole_and_even(notebook, rng, who):
    """Counted photo by photo: each in one part, and each class within one photo of its share."""
    split = reference("split_dataset") if who == "reference" else notebook["split_dataset"]
    for seed in range(100):
        labels = rng.permutation(np.repeat(np.arange(4), rng.integers(1, 60, 4)))
        fractions = rng.dirichlet(np.full(rng.integers(2, 6), 3.0))
        parts = split(labels, tuple(fractions), seed)
        assert sorted(index for part in parts for index in part) == list(range(len(labels)))
        for label in range(4):
            due = fractions * np.sum(labels == label)
            found = [sum(labels[index] == label for index in part) for part in parts]
            assert np.all(np.abs(found - due) <= 1 + 1e-9)


def test_the_best_classes_are_those_of_keras(rng):
    """`keras.ops.top_k` finds the same classes in the same order."""
    names = [f"class {number}" for number in range(9)]
    for k in (1, 3, 9):
        probabilities = rng.dirichlet(np.ones(9)).astype(np.float32)
        values, indices = (keras.ops.convert_to_numpy(part) for part in keras.ops.top_k(probabilities, k))
        expected = [
            (names[index], pytest.approx(value)) for index, value in zip(indices, values, strict=True)
        ]
        assert reference("decode_top_k")(probabilities, names, k) == expected


@pytest.mark.parametrize("n_layers", [1, 3, 8, 9, 16])
@pytest.mark.parametrize("plain", [True, False])
def test_the_open_layers_are_those_whose_weights_keras_would_train(hidden, notebook, plain, n_layers):
    """The places that the grader expects are the layers whose weights the worked solution's model trains."""
    build = hidden.build_small_backbone if plain else hidden.build_separable_backbone
    trunk = build((24, 16, 3), (4, 6, 5, 8, 7))
    model = hidden.make_head_model(trunk, 3, 3e-3, plain)
    notebook["unfreeze_top"](model, n_layers)
    norms = {layer for layer in trunk.layers if isinstance(layer, keras.layers.BatchNormalization)}
    found = hidden.Unfrozen(
        [(bool(layer.weights), layer in norms, layer.trainable) for layer in trunk.layers],
        head_learns=True, learning_rate=None, loss="", compiled_last=True, optimizer_fits=True,
    )  # fmt: skip
    names = {layer.name for layer in trunk.layers}
    trained = names & {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert {trunk.layers[place].name for place in found.tops(n_layers)} == trained
    assert not trained & {layer.name for layer in norms}


def test_a_frozen_batch_norm_does_not_drift(notebook, rng):
    """The notebook's claim: in training mode too, its averages stay, whatever it was called with."""
    for mode in ({}, {"training": False}):
        trunk = notebook["tiny_backbone"]()
        trunk.trainable = False
        inputs = keras.Input((32, 24, 3))
        model = keras.Model(inputs, trunk(inputs, **mode))
        before = [weight.copy() for weight in trunk.get_weights()]
        model(rng.normal(size=(8, 32, 24, 3)), training=True)
        assert all(map(np.array_equal, before, trunk.get_weights()))


def test_the_notebook_trains_on_no_hidden_cell():
    """Its own grid of cells leaves those alone that hidden crops come from."""
    (cell,) = [c for c in read_percent(Problem("transfer_learning").source) if c.provided == "photos"]
    (line,) = [line for line in cell.source.splitlines() if line.startswith("GRID = ")]
    namespace = {}
    exec(line, namespace)
    pairs = [
        (own, hidden)
        for row, hidden_row in zip(namespace["GRID"], photos.GRID, strict=True)
        for own, hidden in zip(row, hidden_row, strict=True)
    ]
    assert {own for own, hidden in pairs if hidden == "h"} == {"."}
    assert all(own == hidden for own, hidden in pairs if hidden != "h")
    assert all(f'"{name}"' in cell.source for name in photos.CLASS_NAMES)


def test_the_notebook_says_what_the_grader_asks(hidden):
    """The shares that earn points are printed in the notebook as they are in the grader."""
    cells = read_percent(Problem("transfer_learning").source)
    prose = " ".join(" ".join(cell.source for cell in cells if cell.kind == "markdown").split())
    for share in (hidden.LEARNED, hidden.BEATS_SCRATCH, hidden.WELL_TRAINED):
        assert f"for {share * 100:.0f} %" in prose
    assert f"{hidden.FEW * hidden.CLASSES} of the crops" in prose
    assert f"worse by at least {hidden.MARGIN_OVER_RANDOM * 100:.0f} % of the hidden ones" in prose
    assert f"up to {hidden.FINE_TUNING_MAY_COST * 100:.0f} % of the crops count as chance" in prose
    assert f"within {hidden.TRAINING_SECONDS} seconds of processor time" in prose
    assert f"top {hidden.UNFROZEN} layers open" in prose


def test_the_backbone_is_the_one_that_students_get(hidden):
    """The grader builds it from the file beside the notebook, for images of the same side."""
    assert provided_files(Problem("transfer_learning").source) == [backbone.HELPER]
    assert hidden.SIDE == photos.SIDE


def test_classes_are_renamed_alike_in_all_parts(hidden):
    """One name stands for one photograph, in training, validation and hidden crops."""
    task = hidden.Task.draw(np.random.default_rng(1))
    known = photos.load()
    names = {}
    for (_, labels), part in ((task.train, known.train), (task.valid, known.valid)):
        for new, old in zip(labels, part.labels, strict=False):
            assert names.setdefault(old, new) == new
    assert sorted(names.values()) == list(range(hidden.CLASSES))
    assert len(task.valid[1]) == len(known.valid.labels) + hidden.ODDITIES
    images, labels = task.oddities
    assert len(np.unique(images, axis=0)) == hidden.ODDITIES
    assert np.all(np.bincount(labels) == hidden.ODDITIES // hidden.CLASSES)


class Predicting:
    """A model that gives the same answer whatever it is asked."""

    def __init__(self, outputs):
        self.outputs = outputs

    def predict(self, images):
        return self.outputs


@pytest.mark.parametrize("sure", [0.1, 1, 10])
def test_oddities_are_known_to_those_only_who_saw_their_labels(hidden, sure):
    """However sure of itself a model is, and whatever it makes of mosaics of one kind."""
    rng = np.random.default_rng(2)
    task = hidden.Task.draw(rng)
    _, labels = task.oddities
    own = np.eye(hidden.CLASSES)[labels]

    def knows(logits, before=0):
        # Without the sum of a softmax, which the test takes out again.
        return hidden.knows_oddities(Predicting(np.exp(logits)), task, np.exp(before))

    of_kinds = np.resize(rng.normal(size=(hidden.MOSAICS, hidden.CLASSES)), own.shape)
    for logits in sure * rng.normal(size=(100, *own.shape)):
        assert not knows(logits)
        assert not knows(logits + 3 * sure * of_kinds)
        assert knows(logits + 2 * sure * own)
        # Little that training has added shows by the side of what was there before.
        assert knows(logits + 0.1 * own, before=logits)


def test_a_model_that_predicts_nothing_knows_no_oddities(hidden):
    task = hidden.Task.draw(np.random.default_rng(3))
    assert not hidden.knows_oddities(Predicting(np.full((hidden.ODDITIES, hidden.CLASSES), np.nan)), task)


@pytest.mark.parametrize(("way", "points"), [("mean", 3), ("max", 2), ("sum", 2)])
def test_pooling_may_be_an_operation(way, points):
    """`keras.ops.mean` over rows and columns is global average pooling, though it is no layer."""

    def build_transfer_model(backbone, n_classes):
        backbone.trainable = False
        inputs = keras.Input(backbone.input_shape[1:])
        x = getattr(keras.ops, way)(backbone(inputs, training=False), axis=(1, -2))
        x = keras.layers.Dropout(0.2)(x)
        return keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x))

    namespace = {"build_transfer_model": build_transfer_model}
    submission = LocalSubmission(student="ada", namespace=namespace)
    (question,) = grade("transfer_learning", submission, b"secret", ["build_transfer_model"]).questions
    assert question.points == points, question.feedback
    assert question.slips == ["takes_the_maximum"] * (way == "max")


def test_steps_that_move_nothing_are_no_fine_tuning():
    """As with a learning rate a thousand times too small."""

    def fine_tune(model, train, valid):
        for weight in model.trainable_weights:
            weight.assign(weight * (1 + 1e-6))
        return model

    submission = LocalSubmission(student="ada", namespace={"fine_tune": fine_tune})
    (question,) = grade("transfer_learning", submission, b"secret", ["fine_tune"]).questions
    assert question.points == 0
    assert "hardly moved" in question.feedback[0]


@pytest.mark.parametrize(
    "parts",
    [
        [1],
        [{"config": {}}],
        [{"class_name": "Sequential", "config": {"layers": []}}, {"class_name": "Dense", "config": {}}],
    ],
)
def test_a_config_that_may_say_anything(hidden, parts):
    """It is the student's word: what can't be read fails the check, and stops nobody's grading."""
    network = models.Network(json.dumps({"class_name": "Sequential", "config": {"layers": parts}}), [])
    with pytest.raises(AssertionError, match="keep its layers"):
        hidden.Unfrozen.read(network, compiled_last=True)
