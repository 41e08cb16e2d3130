"""Hidden grader of `mnist_cnn`."""

import contextlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from autograder import answers, grader, models
from autograder.datasets import digits
from autograder.errors import GraderError, StudentError, Unreadable

NEEDS = grader.KERAS

MAX_PARAMETERS = 500_000
MIN_CONVOLUTIONS = 2
TRAINING_SECONDS = 120
"""Processor time that training may use: some twenty times what the worked solution does."""

# Shares of the hidden, perturbed digits that earn the tiers. The last lies between sound CNNs and everything
# else: benchmarks/mnist_tiers.md says how far from both. The others are for those who are on the way.
HAS_LEARNED = 0.50
READS_MOST = 0.70
CONVOLUTIONAL = 0.80

# --- Models of students, built again -------------------------------------------------------------------


def require_model(answer):
    """Fail the check where a student's answer is no model."""
    if answer is None:
        grader.fail("nothing came back: is a return missing?")
    if not isinstance(answer, models.Model):
        grader.fail("what came back is no Keras model")


def count_convolutions(model):
    """Count a model's convolutions of any kind, those of models in it included.

    One of 1 × 1 sees no neighbours, so that dense layers behind it are a dense network still.
    """
    parts = [part for layer in model.layers for part in layer.walk()]
    return sum("Conv" in part.class_name and np.prod(part.config["kernel_size"]) > 1 for part in parts)


# --- prepare_images ------------------------------------------------------------------------------------

preparing = grader.question("prepare_images", points=1, tolerance=answers.IMAGE_TOLERANCE)


@preparing.reference
def prepare_images(images):
    return np.expand_dims(images, axis=3) / 255


@preparing.draws
def any_images(rng):
    darkest, brightest = np.sort(rng.integers(0, 256, 2))
    return (rng.integers(darkest, brightest + 1, (rng.integers(4), 28, 28), dtype=np.uint8),)


@preparing.slip("The values still run from 0 to 255: divide them, so that white becomes 1.0.")
def images_unscaled(images):
    return np.expand_dims(images, axis=3).astype(float)


@preparing.slip("Every grey became black: `//` drops whatever is below 1, so divide by `/`.")
def images_in_whole_numbers(images):
    return np.expand_dims(images, axis=3) // 255


@preparing.slip("White comes out a little below 1.0: bytes end at 255, so that is what to divide by.")
def images_over_256(images):
    return np.expand_dims(images, axis=3) / 256


@preparing.slip(
    "The scale depends on the brightest pixel that happens to be there: divide by 255, whatever the images."
)
def images_over_the_brightest(images):
    return np.expand_dims(images, axis=3) / np.max(images, initial=1)


@preparing.slip("Images without a bright pixel came out as they were: divide by 255, whatever the images.")
def images_scaled_where_bright(images):
    return prepare_images(images) if np.max(images, initial=0) > 1 else np.expand_dims(images, axis=3) / 1


@preparing.slip("Black became -1: here the values run from 0 to 1, and black stays 0.0.")
def images_from_minus_one(images):
    return np.expand_dims(images, axis=3) / 127.5 - 1


@preparing.slip(
    "The mean was taken off and the spread divided out, so black is no longer 0.0: only divide by 255."
)
def images_standardised(images):
    scaled = prepare_images(images)
    return (scaled - np.mean(scaled)) / np.std(scaled) if scaled.size else scaled


@preparing.slip("The values are right, but the axis of the channel is missing: grey images have one channel.")
def images_without_channel(images):
    return images / 255


@preparing.slip("The channel's axis is the last one here, after the width, not the second.")
def images_channel_first(images):
    return np.expand_dims(images, axis=1) / 255


@preparing.slip("The new axis came in front of all images: N stays first, and the channel's axis goes last.")
def images_inside_a_batch(images):
    return np.expand_dims(images, axis=0) / 255


@preparing.slip("The images were flattened for a dense network: a convolution needs their rows and columns.")
def images_flattened(images):
    return np.reshape(images, (len(images), 784)) / 255


@preparing.slip("Each image has three equal channels now: one is all that a grey image needs.")
def images_as_colour(images):
    return np.repeat(prepare_images(images), 3, axis=3)


@preparing.test
@pytest.mark.parametrize(("count", "brightest"), [(1, 255), (28, 255), (5, 180), (3, 1), (0, 255)])
def test_prepared_images(compare, rng, count, brightest):
    """scales bytes so that 255 becomes 1.0, and adds the axis of the channel, for any number of images"""
    compare(rng.integers(0, brightest + 1, (count, 28, 28), dtype=np.uint8))


# --- build_digit_cnn -----------------------------------------------------------------------------------

building = grader.question("build_digit_cnn", points=3)


def stack(*layers, filters=(8, 16), shape=(28, 28, 1)):
    """Return a model of convolutions, each with a pool behind it, and of some more layers."""
    import keras

    model = keras.Sequential([keras.Input(shape)] if shape else [])
    for count in filters:
        model.add(keras.layers.Conv2D(count, 3, activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    for layer in layers:
        model.add(layer)
    return model


@building.slip(
    "The outputs are no probabilities: the last layer needs a softmax, which makes them add up to 1.",
    told=True,
)
def without_softmax():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(10))


@building.slip(
    "A sigmoid judges each digit on its own, so the ten numbers don't add up to 1: use a softmax.", told=True
)
def sigmoid_for_softmax():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(10, activation="sigmoid"))


@building.slip(
    "The softmax runs over the images of a batch, not over the ten digits of an image: its axis is the last.",
    told=True,
)
def softmax_over_the_batch():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(10), layers.Softmax(axis=0))


@building.slip(
    "There are ten probabilities for each place of a feature map: flatten it, or pool it globally, first.",
    told=True,
)
def without_flatten():
    from keras import layers

    return stack(layers.Dense(10, activation="softmax"))


@building.slip("There are ten digits, from 0 to 9, so the last layer needs ten units.", told=True)
def nine_units():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(9, activation="softmax"))


@building.slip(
    "The input has no axis for the channel: prepared images are (28, 28, 1) each, so begin with that.",
    told=True,
)
def input_without_channel():
    import keras
    from keras import layers

    inputs = keras.Input((28, 28))
    model = stack(layers.Flatten(), layers.Dense(10, activation="softmax"))
    return keras.Model(inputs, model(layers.Reshape((28, 28, 1))(inputs)))


@building.slip(
    "Without the shape of its input the model has no weights yet: begin with `keras.Input((28, 28, 1))`.",
    told=True,
)
def without_input():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(10, activation="softmax"), shape=None)


@building.slip(
    "This network has no convolution: dense layers alone must learn a stroke anew for every place.", told=True
)
def dense_only():
    from keras import layers

    hidden = layers.Dense(64, activation="relu")
    return stack(layers.Flatten(), hidden, layers.Dense(10, activation="softmax"), filters=())


@building.slip(
    "One convolution sees edges and little more: a second one builds larger patterns from them.", told=True
)
def one_convolution():
    from keras import layers

    return stack(layers.Flatten(), layers.Dense(10, activation="softmax"), filters=(16,))


@building.slip(
    "There are too many parameters, most of them in the first dense layer: pool before you flatten.",
    told=True,
)
def flattens_large_maps():
    from keras import layers

    conv, hidden = layers.Conv2D(32, 3, activation="relu"), layers.Dense(256, activation="relu")
    output = layers.Dense(10, activation="softmax")
    return stack(conv, layers.Flatten(), hidden, output, filters=(16,))


@building.slip(
    "The images come prepared, from 0 to 1, and the model scales them once more, to nearly nothing: leave "
    "that to `prepare_images`.",
    told=True,
)
def scales_again():
    import keras
    from keras import layers

    rest = stack(layers.Flatten(), layers.Dense(10, activation="softmax"))
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), *rest.layers])


@building.slip(
    "Every call gives the very same model, so whoever trains one trains them all: make it in the function.",
    told=True,
)
def gives_the_same_model():
    from keras import layers

    if not MADE:
        MADE.append(stack(layers.Flatten(), layers.Dense(10, activation="softmax")))
    return MADE[0]


MADE = []


@pytest.fixture
def answered(request, submission):
    """The student's new CNN as it came; it is asked for once for all checks."""

    def ask():
        answer = submission.build_digit_cnn()
        require_model(answer)
        return answer

    return grader.once(request, "answered", ask)


@pytest.fixture
def built(request, answered):
    """The student's new CNN, built again where no student code runs."""

    def build():
        if not answered.weights():
            building.blame("without_input")
        model = answered.rebuilt()
        if not count_convolutions(model):
            building.blame("dense_only")
        return model

    return grader.once(request, "built", build)


@building.test(points=1)
def test_ten_probabilities(built, rng):
    """turns images of (28, 28, 1) into ten probabilities, none below 0, that add up to 1"""
    if built.input_shape == (None, 28, 28):
        building.blame("input_without_channel")
    if not takes_images(built.input_shape):
        grader.fail("its input is something else than images of (28, 28, 1)")
    match built.output_shape:
        case (None, 10):
            pass
        case (None, int()):
            building.blame("nine_units")
        case (None, _, _, _):
            building.blame("without_flatten")
        case _:
            grader.fail("its output is something else than ten numbers for each image")
    if any(map(scales_down, parts_of(json.loads(built.network().config)))):
        building.blame("scales_again")
    if "Dropout" in built.layers[-1].class_name:
        grader.fail("a dropout behind the softmax drops answers, and what is left adds up to less than 1")
    if sum(map(is_softmax, (part for layer in built.layers for part in layer.walk()))) > 1:
        grader.fail("a second softmax behind the first makes all digits nearly alike")
    outputs = built.predict(rng.random((32, 28, 28, 1), dtype=np.float32))
    if not np.isfinite(outputs).all():
        grader.fail("some of its outputs are not finite")
    if outputs.min() < 0 or outputs.max() > 1 + answers.IMAGE_TOLERANCE:
        building.blame("without_softmax")
    over_digits, over_images = (
        np.allclose(outputs.sum(axis=axis), 1, atol=answers.IMAGE_TOLERANCE) for axis in (1, 0)
    )
    if not over_digits:
        building.blame("softmax_over_the_batch" if over_images else "sigmoid_for_softmax")


def takes_images(shape):
    """Say whether a model of this input shape can be given images of (28, 28, 1)."""
    images = (None, 28, 28, 1)
    if not isinstance(shape, tuple) or len(shape) != len(images):
        return False
    return all(size in (None, wanted) for size, wanted in zip(shape, images, strict=True))


def is_softmax(layer):
    return layer.class_name == "Softmax" or layer.config.get("activation") == "softmax"


@building.test(points=1)
def test_two_convolutions(built):
    """has at least two convolutions"""
    if count_convolutions(built) < MIN_CONVOLUTIONS:
        building.blame("one_convolution")


def parts_of(model):
    """Yield the configs of a model's layers and operations, given its own, those of models in it included."""
    for part in model["config"].get("layers", ()):
        yield part
        yield from parts_of(part)


def scales_down(part):
    """Say whether a layer or an operation does to images what `prepare_images` did already."""
    match part:
        case {"class_name": "Rescaling", "config": {"scale": int() | float() as scale}}:
            return abs(scale) < 0.01
        case {"class_name": "TrueDivide" | "Divide", "inbound_nodes": [{"args": [_, int() | float() as n]}]}:
            return abs(n) > 100
        case {"class_name": "Multiply", "inbound_nodes": [{"args": [_, int() | float() as scale]}]}:
            return abs(scale) < 0.01
        case {"class_name": "Normalization", "config": {"mean": mean, "variance": variance}}:
            # Of numbers from 0 to 1 neither is larger than 1 itself.
            return any(abs(number) > 1 for number in numbers_in([mean, variance]))
    return False


def numbers_in(value):
    """Yield the numbers of a part of a config."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(inner)


@building.test(points=0.5)
def test_parameters(built):
    """has at most 500 000 parameters"""
    if built.count_params() > MAX_PARAMETERS:
        building.blame("flattens_large_maps")


@building.test(points=0.5)
def test_each_is_new(built, answered, submission):
    """is a new model each time, which knows nothing of those before"""
    another = submission.build_digit_cnn()
    require_model(another)
    if another.number == answered.number:
        building.blame("gives_the_same_model")
    if another.shares_weights(answered):
        grader.fail("it shares weights with the one before: make every layer in the function")


# --- train_digit_cnn -----------------------------------------------------------------------------------

training = grader.question("train_digit_cnn", points=6, trained=True)


def digit_cnn(*first):
    """Return a small CNN for digits, with some more layers in front."""
    import keras
    from keras import layers

    rest = stack(layers.Flatten(), layers.Dense(10, activation="softmax"), filters=(16, 32))
    return keras.Sequential([keras.Input((28, 28, 1)), *first, *rest.layers])


def fit(model, x, y, epochs=2, learning_rate=0.002):
    """Return the model, trained."""
    import keras

    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


@training.slip(
    "What came back is no Keras model. Is it the history that `fit` returns? Return the model.", told=True
)
def returns_the_history(x_train, y_train, x_valid, y_valid):
    model = digit_cnn()
    model.compile("adam", "sparse_categorical_crossentropy")
    return model.fit(x_train[:64], y_train[:64], verbose=0)


@training.slip("This model was never trained: return the very one that `fit` was called on.", told=True)
def returns_a_new_model(x_train, y_train, x_valid, y_valid):
    fit(digit_cnn(), x_train[:64], y_train[:64], epochs=1)
    return digit_cnn()


@training.slip(
    "This model has no convolution, and a digit that moves a little is a new one to it: train a CNN.",
    told=True,
)
def trains_a_dense_network(x_train, y_train, x_valid, y_valid):
    from keras import layers

    hidden = layers.Dense(64, activation="relu")
    model = stack(layers.Flatten(), hidden, layers.Dense(10, activation="softmax"), filters=())
    return fit(model, x_train, y_train, epochs=1)


@training.slip(
    "Keras's default momentum of batch normalization, 0.99, is too slow for a short run: the averages that "
    "predictions use lag behind the weights. Give it momentum=0.9.",
    told=True,
)
def default_momentum(x_train, y_train, x_valid, y_valid):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (16, 32):
        model.add(layers.Conv2D(filters, 3, strides=2))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, activation="softmax"))
    return fit(model, x_train, y_train)


@training.slip(
    "Nearly every image gets the same answer: the training blew up. Lower the learning rate; Adam's own, "
    "0.001, is a good one to begin with.",
    told=True,
)
def learning_rate_too_high(x_train, y_train, x_valid, y_valid):
    return fit(digit_cnn(), x_train, y_train, epochs=1, learning_rate=1.0)


@training.slip(
    "The images were changed before training, so the model expects others than it gets: leave them as they "
    "come, or make the change a layer of the model.",
    told=True,
)
def changes_the_images(x_train, y_train, x_valid, y_valid):
    return fit(digit_cnn(), 1 - x_train, y_train)


@training.slip("The predicted labels are one off: give the labels to `fit` as they come.", told=True)
def shifts_the_labels(x_train, y_train, x_valid, y_valid):
    return fit(digit_cnn(), x_train, (y_train + 1) % 10)


@training.slip(
    "The model tells the digits apart but calls them by other names: learn the names from the labels that "
    "are given, and bring no model that was trained before.",
    told=True,
)
def knows_other_names(x_train, y_train, x_valid, y_valid):
    import numpy as np

    # Stands for a model that was trained elsewhere, where labels meant other digits.
    return fit(digit_cnn(), x_train, np.array([7, 3, 9, 0, 2, 8, 4, 1, 5, 6])[y_train])


@training.slip(
    "The model has learned next to nothing. Do labels and images still belong together? Shuffle both in the "
    "same order, or leave that to `fit`. If they do, let it train for longer.",
    told=True,
)
def shuffles_only_the_images(x_train, y_train, x_valid, y_valid):
    import numpy as np

    return fit(digit_cnn(), np.random.default_rng(0).permutation(x_train), y_train)


@training.slip(
    "The model was trained on the validation digits. They are few, and there to be watched: fit it to "
    "x_train and y_train.",
    told=True,
)
def trains_on_the_validation_digits(x_train, y_train, x_valid, y_valid):
    return fit(digit_cnn(), x_valid, y_valid, epochs=20)


@training.slip(
    "The model learned from mirrored digits: flips suit cats, but a mirrored 2 is no 2. Turn, move and zoom "
    "a little instead.",
    told=True,
)
def mirrors_the_digits(x_train, y_train, x_valid, y_valid):
    from keras import layers

    return fit(digit_cnn(layers.RandomFlip("horizontal")), x_train, y_train)


@training.slip(
    "The model does not yet know even the digits that it was trained on: let it train for longer, on the "
    "images as they come.",
    told=True,
)
def stops_too_early(x_train, y_train, x_valid, y_valid):
    return fit(digit_cnn(), x_train, y_train, epochs=1, learning_rate=0.0005)


SAMPLE = 500
"""Images that suffice to see why a model fails."""
BATCH = 64
"""Images whose statistics stand for those of all, as many as a prediction takes at a time."""
CHANGES = ((-1, 1), (2, -1), (255, 0), (1 / 255, 0))
"""What programs do to images in [0, 1] before training: a factor, and what is then added."""
MIRRORED = (np.s_[:, :, ::-1], np.s_[:, ::-1], np.s_[:, ::-1, ::-1])


def accuracy(outputs, labels):
    return np.mean(np.argmax(outputs, axis=1) == labels)


def cross_entropy(outputs, labels):
    return -np.mean(np.log(np.take_along_axis(outputs, labels[:, None], axis=1) + 1e-7))


def prepared(images):
    return prepare_images(images).astype(np.float32)


@dataclass(eq=False)
class Trained:
    """A student's trained model, built again, and what it is tested with.

    Attributes:
        names: the label that each digit had in training.
        images: hidden digits, perturbed and prepared, (N, 28, 28, 1).
        labels: the right answers, (N,).
    """

    model: models.Model
    names: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    @cached_property
    def outputs(self):
        """What it predicts for the hidden digits, (N, 10)."""
        return self.model.predict(self.images)

    @cached_property
    def accuracy(self):
        """The share of the hidden digits that it gets right."""
        return accuracy(self.outputs, self.labels)

    def answers_to(self, part):
        """Return what it predicts for digits that nobody perturbed, and their labels."""
        return self.model.predict(prepared(part.images)), self.names[part.labels]

    def accuracy_on(self, images):
        """Return the share that it gets right of the first hidden digits, shown otherwise."""
        return accuracy(self.model.predict(images), self.labels[: len(images)])


@pytest.fixture
def trained(request, submission, rng):
    """The student's trained model; it is trained once for all checks.

    Which label stands for which digit is drawn anew, so that only the given digits can tell.
    """

    def train():
        splits, names = digits.load(), rng.permutation(digits.CLASSES)
        given = [array for part in (splits.train, splits.valid)
                 for array in (prepared(part.images), names[part.labels])]  # fmt: skip
        try:
            answer = submission.training(TRAINING_SECONDS).train_digit_cnn(*given)
        except Unreadable:
            training.blame("returns_the_history")
        require_model(answer)
        model = answer.rebuilt()
        require_digit_cnn(model)
        hidden = digits.freshly_perturbed(splits.hidden, rng)
        return Trained(model, names, prepared(hidden.images), names[hidden.labels])

    return grader.once(request, "trained", train)


def require_digit_cnn(model):
    """Fail the check where a trained model is not what `build_digit_cnn` asks for."""
    if (model.input_shape, model.output_shape) != ((None, 28, 28, 1), (None, digits.CLASSES)):
        grader.fail("the model does not turn images of (28, 28, 1) into ten numbers each")
    if not count_convolutions(model):
        training.blame("trains_a_dense_network")
    if count_convolutions(model) < MIN_CONVOLUTIONS:
        grader.fail("the model has fewer than two convolutions")
    if model.count_params() > MAX_PARAMETERS:
        grader.fail("the model has more than 500 000 parameters")


def require(trained, lab, share):
    """Fail the check where fewer of the hidden digits are right, with the cause where it shows."""
    if trained.accuracy >= share:
        return
    cause = find_cause(trained, lab)
    if cause:
        training.blame(cause)
    unperturbed = accuracy(*trained.answers_to(digits.load().hidden))
    grader.fail(
        f"it gets {trained.accuracy:.1%} of them right, and {unperturbed:.1%} of digits that were not moved: "
        "train for longer, with more filters, or on images that move a little"
    )


def find_cause(trained, lab):
    """Return the slip that a weak model's weights and predictions speak of, or None.

    Margins are wide: a model that is merely weak stays far from all of them.
    """
    # Training moves biases, and the parameters of normalizations, away from where all of them begin.
    if all(np.ptp(array) == 0 for array in trained.model.weights() if array.ndim == 1):
        return "returns_a_new_model"
    if lags_behind(trained, lab):
        return "default_momentum"
    predicted = np.argmax(trained.outputs, axis=1)
    if not np.isfinite(trained.outputs).all() or np.bincount(predicted).max() > 0.9 * len(predicted):
        return "learning_rate_too_high"
    sample = trained.images[:SAMPLE]
    changed = max(trained.accuracy_on(factor * sample + offset) for factor, offset in CHANGES)
    if changed > max(0.5, trained.accuracy + 0.08):
        return "changes_the_images"
    if max(np.mean(predicted == (trained.labels + step) % digits.CLASSES) for step in (1, -1)) > 0.5:
        return "shifts_the_labels"
    # (labels, predictions)
    table = confusion_matrix(trained.labels, predicted, digits.CLASSES)
    if trained.accuracy < 0.3 and table.max(axis=0).sum() > 0.5 * len(predicted):
        return "knows_other_names"
    of_train, of_valid = (trained.answers_to(part) for part in (digits.load().train, digits.load().valid))
    learned, watched = accuracy(*of_train), accuracy(*of_valid)
    # Ten equal probabilities have a cross-entropy of log 10 = 2.30, and one epoch brings a CNN below 1.
    if cross_entropy(*of_train) > 2.2:
        return "shuffles_only_the_images"
    if watched > learned + 0.05:
        return "trains_on_the_validation_digits"
    if max(trained.accuracy_on(sample[mirror]) for mirror in MIRRORED) > 0.6:
        return "mirrors_the_digits"
    return "stops_too_early" if learned < 0.93 else None


def lags_behind(trained, lab):
    """Say whether a model is much better with the statistics of a batch than with its moving averages."""
    parts = [part for layer in trained.model.layers for part in layer.walk()]
    if not any(part.class_name == "BatchNormalization" and part.config["momentum"] >= 0.99 for part in parts):
        return False
    batch = prepared(digits.load().train.images[:BATCH])
    try:
        outputs = lab(predict_with_statistics_of, batch, trained.model, trained.images[:SAMPLE])
    except GraderError as error:
        if error.__cause__ is None:
            raise
        # The process was lost: the model is the student's, and training may take more than there is.
        return False
    return outputs is not None and accuracy(outputs, trained.labels[:SAMPLE]) > trained.accuracy + 0.05


def predict_with_statistics_of(batch, model, images):
    """Return a model's outputs for images, its batch normalization having seen nothing but one batch.

    None where the model, which is the student's, can't do in training what it does otherwise.
    """
    import keras

    waiting = [model]
    while waiting:
        layer = waiting.pop()
        waiting += getattr(layer, "layers", [])
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    try:
        model(batch, training=True)
        outputs = model.predict(images, verbose=0)
    except Exception:
        return None
    return keras.tree.flatten(outputs)[0]


@training.test(points=1)
def test_has_learned(trained, lab):
    """gets half of the hidden digits right: they are new, and moved and turned a little"""
    require(trained, lab, HAS_LEARNED)


@training.test(points=2)
def test_reads_most(trained, lab):
    """gets most of the hidden digits right"""
    require(trained, lab, READS_MOST)


@training.test(points=3)
def test_is_convolutional(trained, lab):
    """gets more of the hidden digits right than dense networks trained on the same digits"""
    require(trained, lab, CONVOLUTIONAL)


# --- confusion_matrix ----------------------------------------------------------------------------------

confusion = grader.question("confusion_matrix", points=2)


@confusion.reference
def confusion_matrix(y_true, y_pred, n_classes):
    cells = np.asarray(y_true, dtype=int) * n_classes + np.asarray(y_pred, dtype=int)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


@confusion.draws
def any_labels(rng):
    n_classes, count = int(rng.integers(1, 9)), rng.integers(0, 30)
    return (*rng.integers(0, rng.integers(1, n_classes + 1), (2, count)), n_classes)


@confusion.slip("Rows and columns changed places: a row is a true class, a column a predicted one.")
def matrix_transposed(y_true, y_pred, n_classes):
    return confusion_matrix(y_pred, y_true, n_classes)


@confusion.slip(
    "`matrix[y_true, y_pred] += 1` adds 1 only once to each cell, however often it occurs: numpy gathers "
    "repeated indices. Use `np.add.at`, `np.bincount` or a loop."
)
def matrix_of_single_counts(y_true, y_pred, n_classes):
    return np.minimum(confusion_matrix(y_true, y_pred, n_classes), 1)


@confusion.slip("These are shares of each true class: give the counts themselves.")
def matrix_of_row_shares(y_true, y_pred, n_classes):
    counts = confusion_matrix(y_true, y_pred, n_classes)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@confusion.slip("These are shares of each predicted class: give the counts themselves.")
def matrix_of_column_shares(y_true, y_pred, n_classes):
    counts = confusion_matrix(y_true, y_pred, n_classes)
    return counts / np.maximum(counts.sum(axis=0, keepdims=True), 1)


@confusion.slip("These are shares of all images: give the counts themselves.")
def matrix_of_shares(y_true, y_pred, n_classes):
    counts = confusion_matrix(y_true, y_pred, n_classes)
    return counts / max(counts.sum(), 1)


@confusion.slip("A class that occurs nowhere still has its row and its column, of zeros: don't drop them.")
def matrix_of_present_classes(y_true, y_pred, n_classes):
    present = np.union1d(y_true, y_pred).astype(int)
    return confusion_matrix(y_true, y_pred, n_classes)[np.ix_(present, present)]


@confusion.slip(
    "A class that is predicted but never true has an empty column: go over all classes, not over the true "
    "ones."
)
def matrix_of_true_classes(y_true, y_pred, n_classes):
    is_true = np.isin(np.arange(n_classes), y_true)
    return confusion_matrix(y_true, y_pred, n_classes) * is_true


@confusion.slip(
    "A class that is true but never predicted has an empty row: go over all classes, not over the predicted "
    "ones."
)
def matrix_of_predicted_classes(y_true, y_pred, n_classes):
    is_predicted = np.isin(np.arange(n_classes), y_pred)
    return confusion_matrix(y_true, y_pred, n_classes) * is_predicted[:, None]


@confusion.slip("The counts begin again at 0 after 255, where a byte ends: count in `int`.")
def matrix_of_bytes(y_true, y_pred, n_classes):
    return confusion_matrix(y_true, y_pred, n_classes) % 256


@confusion.slip("The matrix ends at the largest label that occurs: its size is `n_classes`, whatever occurs.")
def matrix_up_to_the_largest(y_true, y_pred, n_classes):
    size = 1 + max(np.max(y_true, initial=-1), np.max(y_pred, initial=-1))
    return confusion_matrix(y_true, y_pred, n_classes)[:size, :size]


@confusion.slip("Only right answers were counted: the mistakes, beside the diagonal, are what it is for.")
def matrix_of_hits(y_true, y_pred, n_classes):
    return np.diag(np.diag(confusion_matrix(y_true, y_pred, n_classes)))


@confusion.slip("Only mistakes were counted: right answers belong on the diagonal.")
def matrix_of_mistakes(y_true, y_pred, n_classes):
    counts = confusion_matrix(y_true, y_pred, n_classes)
    return counts - np.diag(np.diag(counts))


@confusion.slip("Every count sits a row and a column off: classes are numbered from 0.")
def matrix_from_one(y_true, y_pred, n_classes):
    return np.roll(confusion_matrix(y_true, y_pred, n_classes), -1, axis=(0, 1))


def draw_labels(rng, classes, count=60):
    """Draw true and predicted labels, (count,) each; each class is in both."""
    classes = np.array(classes)
    y_true = rng.permutation(np.resize(classes, count))
    y_pred = np.where(rng.random(count) < 0.6, y_true, rng.choice(classes, count))
    y_true[: len(classes)] = y_pred[: len(classes)] = classes
    return y_true, y_pred


@confusion.test(points=1)
@pytest.mark.parametrize(("n_classes", "count"), [(2, 1500), (3, 60), (10, 60), (13, 80)])
def test_counts(compare, rng, n_classes, count):
    """counts each pair of a true class, in rows, and a predicted one, in columns"""
    compare(*draw_labels(rng, range(n_classes), count), n_classes)


@confusion.test(points=1)
@pytest.mark.parametrize(("classes", "n_classes"), [((0, 2, 3), 6), ((1, 4), 5), ((0, 1, 2), 4)])
def test_classes_that_do_not_occur(compare, rng, classes, n_classes):
    """has a row and a column for every class, also where a class, or everything, is missing"""
    y_true, y_pred = draw_labels(rng, classes)
    compare(y_true, y_pred, n_classes)
    first, second, *_ = classes
    compare(np.where(y_true == first, second, y_true), y_pred, n_classes)
    compare(y_true, np.where(y_pred == first, second, y_pred), n_classes)
    compare(np.array([], dtype=int), np.array([], dtype=int), n_classes)


# --- top_k_accuracy ------------------------------------------------------------------------------------

ranking = grader.question("top_k_accuracy", points=1)


def ranks(y_true, probabilities):
    """Return how many classes are more probable than the true one, (N,)."""
    own = np.take_along_axis(probabilities, y_true[:, None], axis=1)
    return np.sum(probabilities > own, axis=1)


@ranking.reference
def top_k_accuracy(y_true, probabilities, k):
    return np.mean(ranks(y_true, probabilities) < k)


@ranking.draws
def any_ranking(rng):
    count, n_classes = rng.integers(1, 30), rng.integers(1, 9)
    # No two alike in a row: who is before whom among equals is left open.
    probabilities = rng.permuted(np.tile(np.arange(1.0, n_classes + 1), (count, 1)), axis=1)
    y_true = rng.integers(0, n_classes, count)
    return (
        y_true,
        probabilities / probabilities.sum(axis=1, keepdims=True),
        int(rng.integers(1, n_classes + 1)),
    )


@ranking.slip("Only the most probable class was looked at: the true one may be any of the k most probable.")
def top_one(y_true, probabilities, k):
    return top_k_accuracy(y_true, probabilities, 1)


@ranking.slip("One class too many counts as a hit: there are k most probable ones, the best included.")
def top_k_and_one_more(y_true, probabilities, k):
    return top_k_accuracy(y_true, probabilities, k + 1)


@ranking.slip("One class too few counts as a hit: there are k most probable ones, the best included.")
def top_k_but_one(y_true, probabilities, k):
    return top_k_accuracy(y_true, probabilities, k - 1)


@ranking.slip(
    "The best class fell out: a slice like `[-k:-1]` stops before the last one, so leave its end open."
)
def top_k_without_the_best(y_true, probabilities, k):
    found = ranks(y_true, probabilities)
    return np.mean((found > 0) & (found < k))


@ranking.slip(
    "These are the k least probable classes: `argsort` sorts upwards, so the best stand at the end."
)
def bottom_k(y_true, probabilities, k):
    return top_k_accuracy(y_true, -probabilities, k)


@ranking.slip("This is the error: return the share of the images whose true class is among the k.")
def top_k_error(y_true, probabilities, k):
    return 1 - top_k_accuracy(y_true, probabilities, k)


@ranking.slip("This is the number of hits: divide it by the number of images.")
def top_k_hits(y_true, probabilities, k):
    return np.sum(ranks(y_true, probabilities) < k)


@ranking.slip("The hits were divided by all k guesses of all images: each image counts once.")
def top_k_precision(y_true, probabilities, k):
    return top_k_accuracy(y_true, probabilities, k) / k


@ranking.slip("This is a percentage: return the share, from 0 to 1.")
def top_k_percentage(y_true, probabilities, k):
    return 100 * top_k_accuracy(y_true, probabilities, k)


@ranking.slip(
    "A class that was taken out got 0, and is found again where only classes of 0 are left: take it out for "
    "good, or sort."
)
def top_k_by_taking_out(y_true, probabilities, k):
    left, hits = np.array(probabilities), np.zeros(len(y_true), dtype=bool)
    for _ in range(k):
        best = np.argmax(left, axis=1)
        hits |= best == y_true
        left[np.arange(len(left)), best] = 0
    return np.mean(hits)


@ranking.slip("The share was rounded: return it as it is, and round only what you print.")
def top_k_rounded(y_true, probabilities, k):
    return np.round(top_k_accuracy(y_true, probabilities, k), 2)


@ranking.slip("The probabilities of the k best were compared with the label: look at which classes they are.")
def top_k_of_values(y_true, probabilities, k):
    best = np.sort(probabilities, axis=1)[:, -k:]
    return np.mean(np.any(best == y_true[:, None], axis=1))


@ranking.test
@pytest.mark.parametrize(("n_classes", "k"), [(10, 1), (10, 5), (6, 3), (4, 4), (7, 2)])
def test_true_class_among_the_k(compare, rng, n_classes, k):
    """gives the share of images whose true class is among the k most probable"""
    # No share of 47 images but 0 and 1 is a whole number of per cent, so that a rounded one shows.
    count = 47
    probabilities = rng.dirichlet(np.ones(n_classes), count)
    # The better a class, the more often it is the true one, and every rank occurs.
    frequency = np.arange(n_classes, 0, -1) / np.arange(n_classes, 0, -1).sum()
    rank = rng.choice(n_classes, count, p=frequency)
    rank[:n_classes] = np.arange(n_classes)
    best_first = np.argsort(-probabilities, axis=1)
    y_true = best_first[np.arange(count), rank]
    if k == n_classes:  # where even a class without a chance is among the k; a label 0 equals no probability
        rows = np.flatnonzero(y_true)
        probabilities[rows, best_first[rows, -1]] = 0
    compare(y_true, probabilities, k)


# --- save_and_reload -----------------------------------------------------------------------------------

saving = grader.question("save_and_reload", points=2)


def saved(model, path):
    model.save(path)
    return path


@saving.slip(
    "There is no .keras file at the path that was given: save to `path` itself, and read from there.",
    told=True,
)
def saves_elsewhere(model, path):
    import keras

    return keras.models.load_model(saved(model, "model.keras"))


@saving.slip(
    "The file is of the old HDF5 kind, which loses the state of the training: use a path as it is given, "
    "ending in .keras.",
    told=True,
)
def saves_hdf5(model, path):
    import keras

    return keras.models.load_model(saved(model, path.replace(".keras", ".h5")))


@saving.slip(
    "Weights alone are no model: its layers, loss and metrics were not saved. `model.save` keeps everything.",
    told=True,
)
def saves_the_weights_only(model, path):
    import keras

    model.save_weights(path.replace(".keras", ".weights.h5"))
    copy = keras.models.clone_model(model)
    copy.load_weights(path.replace(".keras", ".weights.h5"))
    return copy


@saving.slip(
    "The file holds the model's layers but other weights: `clone_model` starts afresh, so save the model "
    "itself.",
    told=True,
)
def saves_a_clone(model, path):
    import keras

    clone = keras.models.clone_model(model)
    clone.compile_from_config(model.get_compile_config())
    return keras.models.load_model(saved(clone, path))


@saving.slip("The model was saved, but nothing was loaded: return the model that the file holds.", told=True)
def loads_nothing(model, path):
    saved(model, path)


@saving.slip(
    "This is the very model that was given: load the file, or you will never know what is in it.", told=True
)
def returns_the_given_model(model, path):
    saved(model, path)
    return model


@saving.slip(
    "The loaded model is not compiled, so it can't be evaluated: load it without `compile=False`.", told=True
)
def loads_without_compiling(model, path):
    import keras

    return keras.models.load_model(saved(model, path), compile=False)


@saving.slip(
    "The loaded model was compiled anew, with other metrics: the file remembers the loss and the metrics.",
    told=True,
)
def compiles_with_other_metrics(model, path):
    import keras

    loaded = keras.models.load_model(saved(model, path))
    loaded.compile("adam", "sparse_categorical_crossentropy", metrics=["categorical_accuracy"])
    return loaded


@saving.slip(
    "The loaded model was compiled anew, with another optimizer: the file remembers that too, and its state.",
    told=True,
)
def compiles_with_another_optimizer(model, path):
    import keras

    loaded = keras.models.load_model(saved(model, path), compile=False)
    loaded.compile_from_config(model.get_compile_config() | {"optimizer": "sgd"})
    return loaded


def new_compiled_model(seed):
    """Return a small compiled digit CNN, none of whose weights is as Keras makes it."""
    import keras
    import numpy as np
    from keras import layers

    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(6, 5, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(seed)
    model.set_weights([array + rng.uniform(0, 0.1, array.shape) for array in model.get_weights()])
    top_3 = keras.metrics.SparseTopKCategoricalAccuracy(3, name="top_3")
    optimizer = keras.optimizers.Nadam(3e-3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy", top_3])
    return model


MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
MAX_MEMBER = 4 * 2**20
"""Bytes that are read of each: far more than the model above takes."""


@dataclass(frozen=True, eq=False)
class Reloaded:
    """What came of saving and loading a model.

    Attributes:
        given: the model that was to be saved.
        answer: what came back.
        again: what came back when that was saved and loaded in its turn.
        files: what was written, by the ending that stands in the path's place of .keras.
    """

    given: models.Model
    answer: object
    again: object
    files: dict[str, bytes]

    @property
    def other_kind(self):
        """The slip of having written a file of another kind in the path's place, or None."""
        slips = {".weights.h5": "saves_the_weights_only", ".h5": "saves_hdf5"}
        return next((slip for ending, slip in slips.items() if ending in self.files), None)


@pytest.fixture
def reloaded(request, submission, lab, rng, tmp_path, monkeypatch):
    """A model that the student saved and loaded; it is done once for all checks."""
    monkeypatch.chdir(tmp_path)  # where the worked solution writes if it runs in this process

    def save_and_reload():
        given = lab(new_compiled_model, int(rng.integers(2**31)))
        stem = f"digits_{rng.integers(10_000)}"
        answer = again = submission.save_and_reload(given, f"{stem}.keras")
        if isinstance(answer, models.Model):
            again = submission.save_and_reload(answer, f"{stem}_again.keras")
        files = {}
        for ending in (".keras", ".h5", ".weights.h5"):
            with contextlib.suppress(StudentError):  # there is none
                files[ending] = submission.file(stem + ending)
        return Reloaded(given, answer, again, files)

    return grader.once(request, "reloaded", save_and_reload)


def read_archive(content):
    """Return the members of a .keras file; fails the check where it is none.

    Keras compresses nothing. What is compressed could unpack here to far more than is asked for.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(archive.getinfo(name).compress_type != zipfile.ZIP_STORED for name in MEMBERS):
                raise zipfile.BadZipFile
            return {name: archive.open(name).read(MAX_MEMBER) for name in MEMBERS}
    except Exception:  # the bytes may be anything, and there are many ways to be no archive
        grader.fail("the file is no .keras archive")


def require_another_model(reloaded):
    """Fail the check where no model was loaded."""
    if reloaded.answer is None and reloaded.files:
        saving.blame("loads_nothing")
    require_model(reloaded.answer)
    # A model that lives in the student's process goes back there as the very same object.
    if isinstance(reloaded.again, models.Model) and reloaded.again.number == reloaded.answer.number:
        saving.blame("returns_the_given_model")


@saving.test(points=1)
def test_keras_file(reloaded):
    """leaves a .keras file with the model's layers and weights at the path"""
    if ".keras" not in reloaded.files:
        saving.blame(reloaded.other_kind or "saves_elsewhere")
    members = read_archive(reloaded.files[".keras"])
    # HDF5 keeps a small array as it lies in memory, so that nothing here need parse a student's file.
    if not all(array.tobytes() in members["model.weights.h5"] for array in reloaded.given.weights()):
        saving.blame("saves_a_clone")


@saving.test(points=0.5)
def test_predictions_survive(reloaded, rng):
    """returns another model than the given one, loaded from the file, with the same predictions"""
    require_another_model(reloaded)
    images = rng.random((20, 28, 28, 1), dtype=np.float32)
    before, after = (model.predict(images) for model in (reloaded.given, reloaded.answer.rebuilt()))
    if not answers.agree(after, before, answers.IMAGE_TOLERANCE):
        saving.blame("saves_a_clone")


@saving.test(points=0.5)
def test_metrics_survive(reloaded, rng):
    """compiles the loaded model as the given one was: with the same loss, metrics and optimizer"""
    require_another_model(reloaded)
    before, after = (compilation_of(model) for model in (reloaded.given, reloaded.answer))
    if after is None:
        saving.blame(reloaded.other_kind or "loads_without_compiling")
    images, labels = rng.random((100, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, 100)
    results, again = (m.evaluate(images, labels) for m in (reloaded.given, reloaded.answer.rebuilt()))
    if set(again) != set(results):
        saving.blame("compiles_with_other_metrics")
    if not answers.agree(again, results, answers.IMAGE_TOLERANCE):
        saving.blame("saves_a_clone")
    if optimizer_of(after) != optimizer_of(before):
        saving.blame(reloaded.other_kind or "compiles_with_another_optimizer")


def compilation_of(model):
    """Return how a model is compiled, None where it is not."""
    return json.loads(model.network().config).get("compile_config")


def optimizer_of(compilation):
    """Return the class of the optimizer and its learning rate, None where there is none."""
    match compilation:
        case {"optimizer": {"class_name": name, "config": {"learning_rate": int() | float() as rate}}}:
            return name, np.float32(rate)
    return None
