"""The references of `parameter_counts` against Keras, the lecture's totals and hand counts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import numpy as np
import pytest

from autograder.grader import load, provided

from .oracles import keras_layer

QUESTIONS = load("parameter_counts")
variant = provided("parameter_counts", "variant")

Layer = dict[str, Any]


def reference(question: str, *args: Any, **kwargs: Any) -> Any:
    """Return what the grader takes for the right answer."""
    answer = QUESTIONS[question].answer
    assert answer is not None
    return answer(*args, **kwargs)


def keras_counts(input_shape: tuple[int, ...], layers: list[Layer]) -> list[int]:
    """Return the parameters of each layer as Keras counts them in a model that it built."""
    model = keras.Sequential([keras.Input(input_shape), *map(keras_layer, layers)])
    return [layer.count_params() for layer in model.layers]


def random_stack(rng: np.random.Generator) -> tuple[tuple[int, int, int], list[Layer]]:
    """Draw an image's shape and layers that Keras accepts, in every spelling of their keys."""

    def size(low: int, high: int) -> int | tuple[int, int]:
        pair = tuple(int(n) for n in rng.integers(low, high, size=2))
        return pair[0] if rng.integers(2) else (pair[0], pair[1])

    def maybe(settings: Layer) -> Layer:
        return {key: value for key, value in settings.items() if rng.integers(2)}

    layers: list[Layer] = []
    # Sides of 150 and more outlast three windows of 4 with strides up to 3.
    input_shape = (int(rng.integers(150, 190)), int(rng.integers(190, 230)), int(rng.integers(1, 5)))
    for kind in rng.choice(["conv", "conv", "max_pool", "avg_pool"], size=3):
        common = {"strides": size(1, 4), "padding": str(rng.choice(["same", "valid"]))}
        if kind == "conv":
            required = {"filters": int(rng.integers(1, 6)), "kernel_size": size(1, 5)}
            layers.append({"type": "conv"} | required | maybe(common | {"use_bias": False}))
        else:
            none = {"strides": None} if rng.integers(2) else {}
            layers.append({"type": str(kind)} | maybe({"pool_size": size(1, 5)} | common) | none)
        layers += [{"type": "batch_norm"}] if rng.integers(2) else []
        layers += [{"type": "dropout", "rate": 0.5}] if rng.integers(2) else []
    layers.append({"type": str(rng.choice(["flatten", "global_avg_pool"]))})
    for _ in range(int(rng.integers(1, 4))):
        layers.append({"type": "dense", "units": int(rng.integers(1, 5))} | maybe({"use_bias": False}))
        layers += [{"type": "batch_norm"}] if rng.integers(2) else []
        layers += [{"type": "dropout", "rate": 0.25}] if rng.integers(2) else []
    return input_shape, layers


@pytest.mark.parametrize("seed", range(25))
def test_every_layer_of_a_random_stack_has_keras_count(seed: int) -> None:
    """Every layer of a random stack has as many parameters as Keras says."""
    input_shape, layers = random_stack(np.random.default_rng(seed))
    assert reference("stack_params", input_shape, layers) == keras_counts(input_shape, layers)


@pytest.mark.parametrize("kernel_size", [1, 4, (2, 5), (3, 1)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_convolution_has_keras_count(kernel_size: int | tuple[int, int], use_bias: bool) -> None:
    """A convolution has as many parameters as Keras's Conv2D."""
    layer = keras.layers.Conv2D(6, kernel_size, use_bias=use_bias)
    layer.build((None, 9, 8, 5))
    assert reference("conv2d_params", kernel_size, 5, 6, use_bias) == layer.count_params()


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_dense_layer_has_keras_count(use_bias: bool) -> None:
    """A dense layer has as many parameters as Keras's Dense."""
    layer = keras.layers.Dense(4, use_bias=use_bias)
    layer.build((None, 7))
    assert reference("dense_params", 7, 4, use_bias) == layer.count_params()


@pytest.mark.parametrize("shape", [(None, 6, 5, 3), (None, 8)])
def test_batch_normalization_trains_what_keras_trains(shape: tuple[int | None, ...]) -> None:
    """Batch normalization has the trainable and the non-trainable numbers of Keras's layer."""
    layer = keras.layers.BatchNormalization()
    layer.build(shape)
    trainable, non_trainable = (
        sum(math.prod(weight.shape) for weight in weights)
        for weights in (layer.trainable_weights, layer.non_trainable_weights)
    )
    assert reference("batchnorm_params", shape[-1]) == (trainable, non_trainable)


@pytest.mark.parametrize("kernel_size", [3, (1, 4), (5, 2)])
@pytest.mark.parametrize("depth_multiplier", [1, 3])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_separable_convolution_has_keras_count(
    kernel_size: int | tuple[int, int], depth_multiplier: int, use_bias: bool
) -> None:
    """A separable convolution has as many parameters as Keras's SeparableConv2D."""
    layer = keras.layers.SeparableConv2D(7, kernel_size, depth_multiplier=depth_multiplier, use_bias=use_bias)
    layer.build((None, 9, 8, 5))
    counted = reference("separable_conv2d_params", kernel_size, 5, 7, depth_multiplier, use_bias)
    assert counted == layer.count_params()


def conv(filters: int, **settings: Any) -> Layer:
    return {"type": "conv", "filters": filters, "kernel_size": 3} | settings


def dense(*units: int) -> list[Layer]:
    return [{"type": "dense", "units": n} for n in units]


POOL: Layer = {"type": "max_pool"}
FLATTEN: Layer = {"type": "flatten"}


@pytest.mark.parametrize(
    ("input_shape", "layers", "counts", "total"),
    [
        pytest.param(
            (200, 300, 3),
            [conv(filters, strides=2, padding="same") for filters in (100, 200, 400)],
            [2_800, 180_200, 720_400],
            903_400,
            id="three convolutions of the exercise",
        ),
        pytest.param(
            (28, 28, 1),
            [conv(32), POOL, conv(64), POOL, conv(128), FLATTEN, *dense(10)],
            [320, 0, 18_496, 0, 73_856, 0, 11_530],
            104_202,
            id="digit network",
        ),
        pytest.param(
            (28, 28, 1),
            [conv(64), POOL, FLATTEN, *dense(256, 128, 47)],
            [640, 0, 0, 2_769_152, 32_896, 6_063],
            2_808_751,
            id="letter network",
        ),
        pytest.param(
            (8, 8, 1),
            [
                conv(1, kernel_size=2, strides=2),
                conv(2, kernel_size=2, padding="same"),
                POOL,
                FLATTEN,
                *dense(10, 10, 3),
            ],
            [5, 10, 0, 0, 90, 110, 33],
            248,
            id="class test",
        ),
    ],
)
def test_the_lecture_networks_have_their_printed_counts(
    input_shape: tuple[int, int, int], layers: list[Layer], counts: list[int], total: int
) -> None:
    """The lecture's networks have the counts that the lecture prints, layer by layer and in total."""
    assert reference("stack_params", input_shape, layers) == counts
    assert sum(counts) == total


def test_a_stack_without_layers_has_no_counts() -> None:
    """A stack without layers has no counts."""
    assert reference("stack_params", (5, 4, 3), []) == []


def test_the_chapter_example_has_its_printed_count() -> None:
    """Two hundred 5×5 filters on a color image have 15 200 parameters."""
    assert reference("conv2d_params", 5, 3, 200) == 15_200


def test_lenet5_has_keras_counts() -> None:
    """LeNet-5 has the counts of the Keras model, whether C5 is dense or a convolution."""
    counts = reference("lenet5_params")
    assert counts == {"C1": 156, "C3": 2_416, "C5": 48_120, "F6": 10_164, "OUT": 850}
    trunk = [conv(6, kernel_size=5), POOL, conv(16, kernel_size=5), POOL]
    dense_c5 = [*trunk, FLATTEN, *dense(120, 84, 10)]
    convolutional_c5 = [*trunk, conv(120, kernel_size=5), FLATTEN, *dense(84, 10)]
    for layers in (dense_c5, convolutional_c5):
        assert [n for n in keras_counts((32, 32, 1), layers) if n] == list(counts.values())


def test_the_slides_lenet5_products_are_a_slip() -> None:
    """The products that the slides print for F6 and OUT are recognised as a slip."""
    slip = QUESTIONS["lenet5_params"].slips["lecture_products"].program()
    assert (slip["F6"], slip["OUT"]) == (48_120 * 84 + 84, 4_042_164 * 10 + 10)


STUDENTS = [f"student-{number}" for number in range(150)]


@pytest.mark.parametrize("student", STUDENTS[:5])
def test_a_students_network_has_keras_counts(student: str) -> None:
    """Every layer of a student's own network has as many parameters as Keras says."""
    input_shape, layers = variant(student)
    counts = reference("my_network_params", student)
    assert list(counts) == [layer["name"] for layer in layers]
    assert list(counts.values()) == keras_counts(input_shape, layers)


def test_an_id_always_draws_the_same_network() -> None:
    """The sample id draws the network that was once counted by hand, in every process and every term."""
    assert reference("my_network_params", "your-id") == {
        "conv_1": 2_320,
        "norm_1": 116,
        "pool_1": 0,
        "conv_2": 15_844,
        "pool_2": 0,
        "flatten": 0,
        "dense_1": 403_956,
        "drop": 0,
        "dense_2": 555,
    }


def test_every_students_network_shows_every_difficulty() -> None:
    """Every student's network has what wrong formulas trip over, and its windows fit."""
    for student in STUDENTS:
        (height, width, channels), layers = variant(student)
        by_name = {layer["name"]: layer for layer in layers}
        assert height != width
        assert channels > 1
        for name in ("conv_1", "conv_2"):
            kernel_height, kernel_width = by_name[name]["kernel_size"]
            assert kernel_height != kernel_width
        features = reference("my_network_params", student)["dense_1"] // by_name["dense_1"]["units"] - 1
        assert features // by_name["conv_2"]["filters"] > 1, "the flatten has more than one pixel a map"


def test_no_two_answers_agree_on_a_students_network() -> None:
    """For every student the right counts and those of all slips differ from one another."""
    slips = QUESTIONS["my_network_params"].slips.values()
    for student in STUDENTS:
        found = [reference("my_network_params", student), *(slip.program(student) for slip in slips)]
        assert all(one != other for one, other in itertools.combinations(found, 2))


def test_no_two_students_share_counts() -> None:
    """A copied dict is wrong for the copier, in the layers before the flatten and in those behind it."""
    counts = [reference("my_network_params", student) for student in STUDENTS]
    for part in (["conv_1", "norm_1", "conv_2"], ["dense_1", "dense_2"]):
        seen = {tuple(answer[name] for name in part) for answer in counts}
        assert len(seen) == len(STUDENTS)
