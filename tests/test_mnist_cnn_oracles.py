"""The references of `mnist_cnn` against TensorFlow and Keras, and the numbers that its notebook states."""

import re
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from autograder import models
from autograder.catalog import Problem
from autograder.datasets import digits
from autograder.errors import GraderError
from autograder.grader import grade, load
from autograder.lab import LocalLab
from autograder.sandbox.host import Lost
from autograder.submission import LocalSubmission

QUESTIONS = load("mnist_cnn")
GRADER = sys.modules["autograder_graders_mnist_cnn"]
NOTEBOOK = Problem("mnist_cnn").source.read_text(encoding="utf-8").replace("\n# ", " ")


def reference(name):
    return QUESTIONS[name].answer


@pytest.fixture
def rng():
    return np.random.default_rng(14)


def handle(model):
    """Return a model as a grader sees it."""
    return LocalSubmission(student="ada", namespace={"make": lambda: model}).call("make")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_prepared_images_are_what_a_rescaling_layer_gives(rng, count):
    """The channel's axis is the last, and bytes are divided by 255."""
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    rescaled = np.asarray(layers.Rescaling(1 / 255)(images[..., None]))
    np.testing.assert_allclose(reference("prepare_images")(images), rescaled, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 5, 10])
def test_the_confusion_matrix_is_tensorflows(rng, n_classes):
    """With all classes, with few of them, and with no images at all."""
    for count, classes in ((60, n_classes), (40, 2), (0, n_classes)):
        y_true, y_pred = rng.integers(0, classes, (2, count))
        counted = tf.math.confusion_matrix(y_true, y_pred, n_classes).numpy()
        np.testing.assert_array_equal(reference("confusion_matrix")(y_true, y_pred, n_classes), counted)


@pytest.mark.parametrize(("n_classes", "k"), [(10, 1), (10, 5), (4, 4), (7, 2)])
def test_top_k_accuracy_is_kerass(rng, n_classes, k):
    """On random probabilities, where no two are equal."""
    probabilities = rng.dirichlet(np.ones(n_classes), 80).astype(np.float32)
    labels = rng.integers(0, n_classes, 80)
    metric = keras.metrics.SparseTopKCategoricalAccuracy(k)
    metric.update_state(labels, probabilities)
    assert reference("top_k_accuracy")(labels, probabilities, k) == pytest.approx(float(metric.result()))


def test_convolutions_are_counted_wherever_they_are():
    """Separable and depthwise ones count, also in models and wrappers; pools, dense layers, 1 × 1 don't."""
    inner = keras.Sequential([keras.Input((12, 12, 4)), layers.SeparableConv2D(4, 3), layers.MaxPooling2D()])
    inner.add(layers.SpectralNormalization(layers.Conv2D(6, 3)))
    inner.add(layers.SpectralNormalization(layers.Conv2D(6, 1)))
    inputs = keras.Input((28, 28, 1))
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=4)(inputs)
    x = inner(layers.Cropping2D(((0, 1), (0, 1)))(x))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    assert GRADER.count_convolutions(handle(model)) == 3


def test_a_keras_file_holds_weights_as_they_lie_in_memory(tmp_path):
    """The grader looks for the bytes of each weight instead of parsing HDF5 that a student wrote."""
    model = GRADER.new_compiled_model(5)
    model.save(tmp_path / "model.keras")
    members = GRADER.read_archive((tmp_path / "model.keras").read_bytes())
    assert all(array.tobytes() in members["model.weights.h5"] for array in model.get_weights())
    assert GRADER.new_compiled_model(6).get_weights()[0].tobytes() not in members["model.weights.h5"]


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_keras_file_is_refused(content):
    """Nothing at all, HDF5, and an empty archive."""
    with pytest.raises(AssertionError, match="archive"):
        GRADER.read_archive(content)


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_compressed_is_never_unpacked(tmp_path, monkeypatch, way):
    """A few bytes may unpack to more than any memory holds, and this process has no limits."""
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", way) as archive:
        for name in GRADER.MEMBERS:
            archive.writestr(name, bytes(10_000_000))
    monkeypatch.setattr(zipfile, "_get_decompressor", lambda way: pytest.fail("it was unpacked"))
    with pytest.raises(AssertionError, match=r"no \.keras archive"):
        GRADER.read_archive((tmp_path / "bomb.keras").read_bytes())


def test_an_output_with_a_name_is_an_output():
    """Keras gives a dictionary where a functional model was made with one."""

    def build_digit_cnn():
        inputs = keras.Input((28, 28, 1))
        return keras.Model(inputs, {"digit": GRADER.digit_cnn()(inputs)})

    submission = LocalSubmission(student="ada", namespace={"build_digit_cnn": build_digit_cnn})
    (question,) = grade("mnist_cnn", submission, b"secret", ["build_digit_cnn"]).questions
    assert question.outcome == "passed", question.feedback


class TestModelsWhoseAveragesMayLag:
    """Why a model is weak is asked of it where only trusted code runs, and may be more than it can do."""

    def trained(self, *parts):
        """Return a model of these parts, behind a normalization, whose output has a name, and nine digits."""
        model = keras.Sequential([keras.Input((28, 28, 1)), layers.BatchNormalization(), *parts])
        inputs = keras.Input((28, 28, 1))
        model = keras.Model(inputs, {"digit": model(inputs)})
        pictures = np.random.default_rng(0).random((9, 28, 28, 1), dtype=np.float32)
        return GRADER.Trained(handle(model), np.arange(10), pictures, np.arange(9))

    def lags_behind(self, lab, *parts):
        return GRADER.lags_behind(self.trained(*parts), lab)

    def outputs_in_training(self, trained):
        """Return what the grader's own function gives in a lab for all that is trained with at a time."""
        batch = np.zeros((GRADER.BATCH, 28, 28, 1), dtype=np.float32)
        return LocalLab()(GRADER.predict_with_statistics_of, batch, trained.model, trained.images)

    def test_a_process_that_is_lost_does_not_stop_the_grading(self):
        def lose(*arguments):
            raise GraderError("it took too much memory") from Lost("memory")

        assert not self.lags_behind(lose, layers.Flatten(), layers.Dense(10))

    def test_a_model_that_can_not_train_does_not_either(self):
        """Its dropout is made for nine images, not for the 64 of a batch."""
        fixed = layers.Reshape((28 * 28,)), layers.Dense(10), layers.Dropout(0.5, noise_shape=(9, 10))
        assert self.outputs_in_training(self.trained(*fixed)) is None
        assert not self.lags_behind(LocalLab(), *fixed)

    def test_a_fault_of_the_graders_own_does(self):
        """It would change what a student reads, for all whose averages lag."""

        def fail(*arguments):
            raise GraderError("NameError")

        with pytest.raises(GraderError, match="NameError"):
            self.lags_behind(fail, layers.Flatten(), layers.Dense(10))

    def test_an_output_with_a_name_is_an_output(self):
        trained = self.trained(layers.Flatten(), layers.Dense(10))
        assert self.outputs_in_training(trained).shape == (9, 10)
        assert not GRADER.lags_behind(trained, LocalLab())


def test_a_model_that_goes_back_to_its_process_is_the_same_object():
    """By that the grader knows a function that returns the model it was given."""
    submission = LocalSubmission(student="ada", namespace={"same": lambda model: model})
    given = models.sequential((2,), [("Dense", {"units": 1})], [np.ones((2, 1)), np.ones(1)])
    answer = submission.call("same", given)
    assert submission.call("same", answer).number == answer.number


def test_the_notebooks_table_of_points_is_the_graders():
    """Its shares, its points, and what the trained model must keep to."""
    checks = zip(
        QUESTIONS["train_digit_cnn"].checks, QUESTIONS["train_digit_cnn"].check_points(), strict=True
    )
    points = [f"{worth:g}" for _, worth in checks]
    shares = [f"{share:.0%}" for share in (GRADER.HAS_LEARNED, GRADER.READS_MOST, GRADER.CONVOLUTIONAL)]
    rows = re.findall(r"\| at least (\d+) % \| (\d+)", NOTEBOOK)
    assert [(f"{share}%", worth) for share, worth in rows] == list(zip(shares, points, strict=True))
    assert f"{GRADER.MAX_PARAMETERS:,}".replace(",", " ") + " parameters" in NOTEBOOK
    assert f"{GRADER.TRAINING_SECONDS} seconds of processor time" in NOTEBOOK


def test_the_notebook_says_what_the_digits_are():
    """How many there are, and how far the hidden ones are perturbed."""
    splits = digits.load()
    assert f"{len(splits.train):,} prepared images".replace(",", " ") in NOTEBOOK
    assert f"are {len(splits.valid)} more" in NOTEBOOK
    assert f"The {len(splits.hidden):,} hidden digits".replace(",", " ") in NOTEBOOK
    assert f"turned by up to {digits.MAX_ROTATION:g} degrees" in NOTEBOOK
    assert f"up to {digits.MAX_ZOOM:.0%} larger".replace("%", " %") in NOTEBOOK
    assert digits.MAX_SHIFT == 2
    assert "moved by up to two pixels" in NOTEBOOK


def test_the_networks_of_the_sources_have_the_parameters_in_the_picture():
    """The draft's CNN for 47 classes, and the lecture's for ten."""
    draft = [layers.Conv2D(64, 3), layers.MaxPooling2D(), layers.Flatten()]
    draft += [layers.Dense(units) for units in (256, 128, 47)]
    lecture = [layers.Conv2D(32, 3), layers.MaxPooling2D(), layers.Conv2D(64, 3), layers.MaxPooling2D()]
    lecture += [layers.Conv2D(128, 3), layers.Flatten(), layers.Dense(10)]
    for parts, total in ((draft, 2_808_751), (lecture, 104_202)):
        model = keras.Sequential([keras.Input((28, 28, 1)), *parts])
        assert model.count_params() == total
        assert f"{total:,}".replace(",", " ") in NOTEBOOK
        counts = [layer.count_params() for layer in model.layers if layer.count_params()]
        assert all(re.search(rf"\(\"[a-z0-9 ]+\", {count:_}\)", NOTEBOOK) for count in counts)


def test_moving_averages_begin_as_slowly_as_the_notebook_says():
    """Momentum 0.99 and 50 steps an epoch: what is left of the beginning after one epoch and after three."""
    stated = {50: "61 %", 150: "22 %"}
    norm = layers.BatchNormalization(momentum=0.99)
    batch = np.ones((64, 1), dtype=np.float32)
    for step in range(1, max(stated) + 1):
        norm(batch, training=True)
        if step in stated:
            # The average begins at 0 and goes to 1.
            assert f"{1 - float(norm.moving_mean[0]):.0%}".replace("%", " %") == stated[step]
            assert stated[step] in NOTEBOOK


def test_the_lectures_surprise_is_the_share_that_is_taken_for_a_zero(rng):
    """Categorical accuracy of labels in a column compares every prediction with class 0."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["categorical_accuracy"])
    x, y = rng.normal(size=(90, 4)), rng.integers(0, 3, (90, 1))
    measured = model.evaluate(x, y, verbose=0, return_dict=True)["categorical_accuracy"]
    assert measured == pytest.approx(np.mean(model.predict(x, verbose=0).argmax(axis=1) == 0))
    assert 0 < measured < 1


def test_the_lectures_printout_adds_up():
    """Its two shares, times its numbers of digits, are the whole numbers that the notebook names."""
    validation, training = 0.09600000083446503 * 5_000, 0.09907272458076477 * 55_000
    assert (validation, training) == (pytest.approx(480, abs=0.01), pytest.approx(5_449, abs=0.01))
    assert f"{480 + 5_449:,}".replace(",", " ") in NOTEBOOK
