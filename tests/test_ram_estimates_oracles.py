"""The references of `ram_estimates` against Keras, against counting by hand, and against known totals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from autograder.grader import load, provided

from .oracles import keras_layer

QUESTIONS = load("ram_estimates")
LECTURE = (
    (200, 300, 3),
    [
        {"type": "conv", "filters": filters, "kernel_size": 3, "strides": 2, "padding": "same"}
        for filters in (100, 200, 400)
    ],
)
HEADS = (
    [],
    [{"type": "flatten"}, {"type": "dense", "units": 9}, {"type": "batch_norm"}],
    [{"type": "global_avg_pool"}, {"type": "dropout", "rate": 0.2}, {"type": "dense", "units": 6}],
    [{"type": "dropout", "rate": 0.5}, {"type": "flatten"}, {"type": "dense", "units": 5, "use_bias": False}],
)


def ask(name, *args, **kwargs):
    return QUESTIONS[name].answer(*args, **kwargs)


def slip(question, name):
    return QUESTIONS[question].slips[name].program


def random_network(seed):
    """Draw an input shape and layers whose windows fit, with keys left out at random."""
    rng = np.random.default_rng(seed)

    def one_or_two(low, high):
        height, width = (int(n) for n in rng.integers(low, high, size=2))
        return height if rng.random() < 0.4 else (height, width)

    input_shape = tuple(int(n) for n in rng.integers((13, 13, 1), (30, 30, 4)))
    height, width, _ = input_shape
    layers = []
    while min(height, width) >= 4 and len(layers) < 5:
        if rng.random() < 0.6:
            layer = {"type": "conv", "filters": int(rng.integers(1, 8)), "kernel_size": one_or_two(1, 5)}
            optional = {"strides": one_or_two(1, 4), "use_bias": bool(rng.random() < 0.5)}
        else:
            layer = {"type": str(rng.choice(["max_pool", "avg_pool"]))}
            optional = {"pool_size": one_or_two(1, 5), "strides": one_or_two(1, 4)}
        optional["padding"] = str(rng.choice(["same", "valid"]))
        layer |= {key: value for key, value in optional.items() if rng.random() < 0.7}
        layers.append(layer)
        if rng.random() < 0.3:
            layers.append({"type": "batch_norm"})
        height, width, _ = keras_layer(layer).compute_output_shape((None, height, width, 1))[1:]
    return input_shape, layers + HEADS[seed % len(HEADS)]


def run_in_keras(input_shape, layers, batch_size=1, dtype="float32"):
    """Run zeros through Keras layers; return all activations, the input's first, and all weights."""
    activations = [np.zeros((batch_size, *input_shape), dtype)]
    weights = []
    for layer in layers:
        built = keras_layer(layer, dtype)
        activations.append(np.asarray(built(activations[-1])))
        weights += [np.asarray(weight.numpy(), dtype) for weight in built.weights]
    return activations, weights


def total_bytes(arrays):
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("seed", range(24))
def test_shapes_and_memory_are_those_of_keras(seed):
    """Shapes and bytes are those of Keras's own arrays, in every dtype that it computes in."""
    network = random_network(seed)
    batch_size, dtype = 1 + seed % 3, ("float32", "float64", "float16")[seed % 3]
    activations, weights = run_in_keras(*network, batch_size, dtype)

    assert ask("feature_map_shapes", *network) == [array.shape[1:] for array in activations[1:]]
    assert ask("training_ram_bytes", *network, batch_size, dtype) == total_bytes([*weights, *activations])
    moments = [total_bytes(pair) // batch_size for pair in itertools.pairwise(activations)]
    assert ask("inference_ram_bytes", *network, dtype) == total_bytes(weights) + max(moments)


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 5), (7, 1, 2, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
def test_bytes_of_tensors_are_those_of_numpy(shape, dtype):
    assert ask("tensor_bytes", shape, dtype) == np.zeros(shape, dtype).nbytes


@pytest.mark.parametrize("dtype", ["int16", "int32", "float128", "Float32", "f4", "", "bfloat16"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="unknown dtype"):
        ask("tensor_bytes", (2, 3), dtype)


def multiply_and_count(input_shape, kernel_size, filters, strides, padding):
    """Convolve by loops, as slowly as can be, with numbers that count how often they are multiplied."""

    class Counting:
        count = 0

        def __mul__(self, other):
            Counting.count += 1
            return self

        def __add__(self, other):
            return self

    def places(n, window, stride):
        starts = range(n) if padding == "same" else range(n - window + 1)
        return [start for start in starts if start % stride == 0]

    number = Counting()
    for _ in itertools.product(
        places(input_shape[0], kernel_size[0], strides[0]),
        places(input_shape[1], kernel_size[1], strides[1]),
        range(filters),
    ):
        output = number
        for _ in itertools.product(range(kernel_size[0]), range(kernel_size[1]), range(input_shape[2])):
            output = output + number * number
    return Counting.count


@pytest.mark.parametrize("seed", range(12))
def test_multiplications_are_those_of_loops(seed):
    rng = np.random.default_rng(seed)
    input_shape = tuple(int(n) for n in rng.integers((5, 5, 1), (11, 11, 4)))
    kernel_size, strides = (tuple(int(n) for n in rng.integers(1, 5, size=2)) for _ in range(2))
    arguments = (input_shape, kernel_size, int(rng.integers(1, 4)), strides, ("same", "valid")[seed % 2])
    assert ask("conv2d_multiplications", *arguments) == multiply_and_count(*arguments)


def test_totals_of_the_lectures():
    """The lectures' right numbers come out, and so do their exact corrections."""
    assert ask("feature_map_shapes", *LECTURE) == [(100, 150, 100), (50, 75, 200), (25, 38, 400)]
    assert ask("inference_ram_bytes", *LECTURE) == 12_613_600
    assert ask("training_ram_bytes", *LECTURE, 50) == 565_613_600
    assert ask("conv2d_multiplications", (150, 100, 3), 5, 200) == 225_000_000
    assert ask("tensor_bytes", (150, 100, 200)) == 12_000_000
    assert ask("tensor_bytes", (100, 150, 100, 200)) == 1_200_000_000


def test_wrong_totals_of_the_lectures_are_slips():
    """Programs that compute as the lectures do come to the totals that the lectures print."""
    assert slip("inference_ram_bytes", "image_added")(*LECTURE) == 13_333_600
    assert slip("training_ram_bytes", "lecture_rounding")(*LECTURE, 50) == 564_600_000
    assert slip("tensor_bytes", "bits")((150, 100, 200)) == 96_000_000


@pytest.mark.parametrize(("optimizer", "keras_name"), [("sgd", "SGD"), ("momentum", "SGD"), ("adam", "Adam")])
def test_slots_are_those_of_keras_optimizers(optimizer, keras_name):
    """Besides one gradient a parameter, an optimizer needs what Keras's keeps, its few scalars aside."""
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(3)])
    settings = {"momentum": 0.9} if optimizer == "momentum" else {}
    built = getattr(keras.optimizers, keras_name)(**settings)
    built.build(model.trainable_variables)
    slots = sum(4 * math.prod(variable.shape) for variable in built.variables if len(variable.shape))
    gradients = 4 * model.count_params()
    assert ask("optimizer_bytes", model.count_params(), optimizer) == gradients + slots
    assert ask("optimizer_bytes", model.count_params(), optimizer, "float16") == (gradients + slots) / 2


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_batch_fits_and_the_next_does_not(seed):
    network, rng = random_network(seed), np.random.default_rng(seed)
    dtype = ("float32", "float16", "int8")[seed % 3]
    memory = ask("training_ram_bytes", *network, int(rng.integers(1, 40)), dtype) + seed % 3 - 1
    largest = ask("max_batch_size", *network, memory, dtype)
    assert ask("training_ram_bytes", *network, largest, dtype) <= memory
    assert ask("training_ram_bytes", *network, largest + 1, dtype) > memory


def test_no_batch_fits_where_there_is_too_little_memory():
    for memory in (0, 3_613_599, 3_613_600, 3_613_600 + 11_239_999):
        assert ask("max_batch_size", *LECTURE, memory) == 0
    assert ask("max_batch_size", *LECTURE, 3_613_600 + 11_240_000) == 1


class TestVariants:
    """Each student's own network."""

    variant = staticmethod(provided("ram_estimates", "variant"))
    ids = tuple(f"student{number}" for number in range(150))

    def test_fit_their_images(self):
        """No map shrinks to nothing, and height and width differ."""
        for student in self.ids:
            input_shape, layers, batch_size = self.variant(student)
            shapes = [input_shape, *ask("feature_map_shapes", input_shape, layers)]
            assert input_shape[0] != input_shape[1]
            assert min(min(shape) for shape in shapes) >= 1
            assert min(shapes[5][:2]) >= 3, "a real map is left to flatten"
            assert batch_size > 1

    def test_run_in_keras(self):
        """Keras builds a variant and agrees with its numbers."""
        input_shape, layers, _ = self.variant("ada")
        activations, weights = run_in_keras(input_shape, layers)
        moments = [total_bytes(pair) for pair in itertools.pairwise(activations)]
        assert ask("my_network_ram", "ada")["inference_bytes"] == total_bytes(weights) + max(moments)

    def test_are_the_same_for_the_same_id(self):
        """Nothing but the id decides, on any machine and through a whole course."""
        assert self.variant("ada") == self.variant("ada")
        assert ask("my_network_ram", "ada") == {"inference_bytes": 4_110_960, "training_bytes": 47_761_128}

    def test_tell_students_apart(self):
        """A copied answer is wrong for the copier, in both numbers."""
        answers = [ask("my_network_ram", student) for student in self.ids]
        for key in ("inference_bytes", "training_bytes"):
            assert len({answer[key] for answer in answers}) == len(self.ids)

    def test_tell_every_slip_from_the_right_answer(self):
        """Whoever the student is, no wrong program is right by luck, and no two are the same."""
        slips = QUESTIONS["my_network_ram"].slips.values()
        for student in self.ids:
            answers = [ask("my_network_ram", student), *(slip.program(student) for slip in slips)]
            assert all(one != other for one, other in itertools.combinations(answers, 2))
