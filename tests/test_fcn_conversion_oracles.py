"""The references of `fcn_conversion` against Keras's own layers, and its diagnoses against one another."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from autograder.catalog import Problem
from autograder.grader import load
from autograder.lab import LocalLab
from autograder.notebook import reference_namespace

QUESTIONS = load("fcn_conversion")
GRADER = sys.modules["autograder_graders_fcn_conversion"]
PLANS = {
    "one dense layer": GRADER.ONE_DENSE_LAYER,
    "several dense layers": GRADER.SEVERAL_DENSE_LAYERS,
    "other networks": GRADER.OTHER_NETWORKS,
}


def reference(name):
    return QUESTIONS[name].answer


@pytest.fixture
def rng():
    return np.random.default_rng(448)


@pytest.fixture(scope="module")
def notebook():
    """What the notebook's own cells define."""
    return reference_namespace(Problem("fcn_conversion").source)


@pytest.fixture
def build():
    """Makes the Keras model of a drawn network."""
    return lambda drawn: LocalLab().receive(drawn.network())


def drawn_networks(rng, plans):
    return [(GRADER.draw_network(rng, trunk, head), more) for trunk, head, more in plans]


@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 1, 2), (1, 1, 6)])
def test_folded_weights_make_a_convolution_of_keras_agree_with_its_dense_layer(rng, shape):
    """On random maps, Conv2D with the folded weights gives what Flatten and Dense give."""
    import keras

    maps = rng.normal(size=(3, *shape)).astype("float32")
    kernel, bias = GRADER.draw_dense(rng, shape, 5)
    dense, conv = keras.layers.Dense(5), keras.layers.Conv2D(5, shape[:2])
    flat = keras.layers.Flatten()(maps)
    dense.build(flat.shape)
    dense.set_weights([kernel, bias])
    conv.build(maps.shape)
    conv.set_weights(list(reference("dense_to_conv_weights")(kernel, bias, shape)))
    np.testing.assert_allclose(np.asarray(conv(maps))[:, 0, 0], np.asarray(dense(flat)), atol=1e-4)


@pytest.mark.parametrize("name", PLANS)
def test_drawn_networks_are_what_their_description_says(rng, build, name):
    """Nothing pads, nothing is left over at an edge, none is square, and the stride is that of all layers."""
    import keras

    for drawn, _ in drawn_networks(rng, PLANS[name]):
        model = build(drawn)
        height, width, _ = drawn.input_shape
        assert model.input_shape == (None, *drawn.input_shape)
        assert height != width
        kinds = [type(layer).__name__ for layer in model.layers]
        trunk = model.layers[: kinds.index("Flatten")]
        assert {getattr(layer, "padding", "valid") for layer in trunk} == {"valid"}
        shape = model.input_shape
        for layer in trunk:
            windows = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
            if isinstance(layer, windows):
                sides = zip(shape[1:3], layer.pool_size, layer.strides, strict=True)
                assert [(side - window) % stride for side, window, stride in sides] == [0, 0]
            shape = layer.compute_output_shape(shape)
        assert shape[1:] == drawn.map_shape
        one_stride_more = (None, height + drawn.stride, width + 2 * drawn.stride, drawn.input_shape[2])
        for layer in trunk:
            one_stride_more = layer.compute_output_shape(one_stride_more)
        assert one_stride_more[1:3] == (drawn.map_shape[0] + 1, drawn.map_shape[1] + 2)


@pytest.mark.parametrize("name", PLANS)
def test_the_converted_network_is_the_slow_sliding_window(rng, build, name):
    """One pass and windows cut one by one give the same, and no parameter is added or lost."""
    for drawn, more in drawn_networks(rng, PLANS[name]):
        model = build(drawn)
        converted = reference("to_fully_convolutional")(model)
        assert converted.count_params() == model.count_params()
        images = drawn.draw_images(rng, more)
        scores = np.asarray(converted(images))
        assert scores.shape[1:3] == (more[0] + 1, more[1] + 1)
        in_numpy = drawn.score_windows(images)
        height, width, _ = drawn.input_shape
        for i, j in np.ndindex(scores.shape[1:3]):
            top, left = i * drawn.stride, j * drawn.stride
            window = np.asarray(model(images[:, top : top + height, left : left + width]))
            np.testing.assert_allclose(scores[:, i, j], window, atol=GRADER.TOLERANCE)
            np.testing.assert_allclose(in_numpy[:, i, j], window, atol=GRADER.TOLERANCE)


@pytest.mark.parametrize("name", PLANS)
def test_heads_in_numpy_are_those_of_keras(rng, build, name):
    """What the grader takes for the scores of a slip is what that slip's program gives."""
    (drawn, more), *_ = drawn_networks(rng, PLANS[name])
    model = build(drawn)
    images = drawn.draw_images(rng, more)
    maps, want = GRADER.run(images, drawn.trunk), drawn.score_windows(images)
    right = GRADER.run(maps, GRADER.fold_head(drawn.head, drawn.map_shape))
    np.testing.assert_allclose(right, want, atol=GRADER.TOLERANCE)
    for slip, (folded, changed) in GRADER.WRONG_HEADS.items():
        program = QUESTIONS["to_fully_convolutional"].slips[slip].program
        scores = GRADER.run(maps, changed(GRADER.fold_head(drawn.head, drawn.map_shape, folded)))
        np.testing.assert_allclose(scores, np.asarray(program(model)(images)), atol=1e-4, err_msg=slip)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(8))
def test_no_two_wrong_heads_give_the_same_scores(name, seed):
    """In each check a wrong head does no harm, or is clearly apart from the right one and all others."""
    rng = np.random.default_rng(seed)
    ways = {"right": (GRADER.fold, list), **GRADER.WRONG_HEADS}
    scores = {way: [] for way in ways}
    for drawn, more in drawn_networks(rng, PLANS[name]):
        size = [side + extra for side, extra in zip(drawn.map_shape, more, strict=False)]
        maps = np.maximum(rng.normal(size=(2, *size, drawn.map_shape[2])), 0)
        for way, (folded, changed) in ways.items():
            head = changed(GRADER.fold_head(drawn.head, drawn.map_shape, folded))
            scores[way].append(GRADER.run(maps, head))

    def distance(one, other):
        pairs = zip(scores[one], scores[other], strict=True)
        return max(np.abs(a - b).max() if a.shape == b.shape else np.inf for a, b in pairs)

    harmless = {way for way in ways if distance(way, "right") == 0}
    told = [way for way in ways if way not in harmless]
    assert len(told) >= 7
    assert min(distance(*pair) for pair in itertools.combinations([*told, "right"], 2)) > 0.01


@pytest.mark.parametrize("name", PLANS)
def test_a_right_conversion_shows_no_sign_of_a_slip(rng, notebook, name):
    """Neither the layers nor the weights of the worked solution accuse it."""
    lab = LocalLab()
    for drawn, _ in drawn_networks(rng, PLANS[name]):
        built = lab(notebook["to_fully_convolutional"], drawn.network())
        assert GRADER.told_by_layers(built, drawn) is None
        assert GRADER.told_by_weights(built, drawn) is None


def test_output_size_is_that_of_a_convolution_of_keras(rng):
    """The windows of a network lie as those of one "valid" convolution with its size and its total stride."""
    import keras

    for _ in range(40):
        window, stride, more = (int(n) for n in rng.integers(1, 40, 3))
        layer = keras.layers.Conv1D(1, window, strides=stride)
        expected = layer.compute_output_shape((1, window + more, 1))[1]
        assert reference("fcn_output_size")(window + more, window, stride) == expected
        assert reference("fcn_output_size")(window, window, stride) == 1


def test_a_network_for_224_pixels_gives_eight_places_on_448():
    """The known example: a total stride of 32, so that maps of 7 and of 14 places are flattened and seen."""
    import keras

    pools = [keras.layers.MaxPooling2D() for _ in range(5)]
    head = [keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.layers.Input((224, 224, 1)), *pools, *head])
    converted = reference("to_fully_convolutional")(model)
    assert converted.compute_output_shape((None, 448, 448, 1)) == (None, 8, 8, 2)
    assert reference("fcn_output_size")(448, 224, 32) == 8


def test_window_scores_are_those_of_patches_that_tensorflow_cuts(rng, build):
    """tf.image.extract_patches cuts the same windows, in rows and columns."""
    import tensorflow as tf

    drawn = GRADER.draw_network(rng, ("conv",), [GRADER.dense(4, "softmax")])
    model, (height, width, channels) = build(drawn), drawn.input_shape
    for stride, rows, columns in [(2, 3, 5), (3, 4, 2), (1, 1, 1)]:
        image = GRADER.draw_image(rng, drawn, (rows - 1, columns - 1), stride)
        patches = tf.image.extract_patches(
            image[None], [1, height, width, 1], [1, stride, stride, 1], [1, 1, 1, 1], "VALID"
        )
        assert patches.shape[1:3] == (rows, columns)
        expected = np.asarray(model(tf.reshape(patches, (-1, height, width, channels))))
        scores = reference("window_scores")(model, image, stride)
        np.testing.assert_allclose(scores, expected.reshape(rows, columns, -1), atol=1e-5)


def test_the_notebook_counts_the_lecture_s_parameters_rightly():
    """A dense layer of 200 units behind 7 × 7 × 100, and a convolution of 200 filters: 980 200 each."""
    import keras

    dense, conv = keras.layers.Dense(200), keras.layers.Conv2D(200, 7)
    dense.build((None, 7 * 7 * 100))
    conv.build((None, 7, 7, 100))
    assert dense.count_params() == conv.count_params() == 980_200


def test_the_notebook_numbers_a_flattened_map_as_keras_does():
    """Row by row, then column by column, then channel by channel."""
    import keras

    numbers = np.arange(12).reshape(1, 2, 3, 2)
    assert np.asarray(keras.layers.Flatten()(numbers)).tolist() == [list(range(12))]


@pytest.mark.parametrize(("padding", "equal"), [("valid", True), ("same", False)])
def test_the_notebook_says_rightly_where_the_equality_ends(notebook, padding, equal):
    """Without padding one pass is the sliding window; with "same" it is clearly another answer."""
    model = notebook["make_example_network"](padding)
    image = np.cos(np.arange(16 * 20 * 2)).reshape(16, 20, 2)
    one_pass = np.asarray(notebook["to_fully_convolutional"](model)(image[None]))[0]
    difference = np.abs(one_pass - notebook["window_scores"](model, image, 2)).max()
    assert difference < 1e-5 if equal else difference > 1e-2


def test_the_worked_solution_shares_no_weights(notebook):
    """Training the converted network would leave the original as it is."""
    model = notebook["make_example_network"]()
    before = [weight.copy() for weight in model.get_weights()]
    converted = notebook["to_fully_convolutional"](model)
    converted.set_weights([0 * weight for weight in converted.get_weights()])
    for kept, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_the_grader_needs_no_tensorflow():
    """Importing it, references and slips included, loads neither TensorFlow nor Keras."""
    code = "import sys; from autograder.grader import load; load('fcn_conversion'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"tensorflow", "keras", "tf_keras"} & set(loaded.split())
