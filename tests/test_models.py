"""Keras models of students: what is said of them is not believed, and what is built again is true."""

from __future__ import annotations

import copy
import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from autograder import batch, lab, models
from autograder import submission as submissions
from autograder.errors import StudentCrash, StudentError, StudentTimeout, Unreadable
from autograder.grader import KERAS
from autograder.lab import RebuiltModels
from autograder.models import Layer, Model, Network, checked
from autograder.sandbox import isolation
from autograder.sandbox.host import Interrupted, Limits, Lost
from autograder.submission import MAX_FILE, LocalSubmission, SandboxSubmission

HURRIED = replace(KERAS.limits, cpu_seconds=0.25)
PAIRS = np.array([[1, 2], [3, 4]], np.float32)
DOUBLED = np.array([[6], [14]], np.float32)
"""What the model of `DOUBLING` makes of `PAIRS`: twice the sum of each."""
WEIGHTS = [np.array([[2], [2]], np.float32)]
DOUBLING = models.sequential((2,), [("Dense", {"units": 1, "use_bias": False})], WEIGHTS)


class Told:
    """A home whose models say what they are told to."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def ask_model(self, number, what, *arguments):
        self.asked.append((number, what, *arguments))
        return self.answers[what]

    def rebuild(self, network):
        return Model(Told(), 1)

    def describe_type(self, name):
        return f"the class <{name}>"


SGD = {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 0.25}}
OWN = {"module": "mine", "class_name": "Mine", "config": {}}
HUBER = {"module": "keras.losses", "class_name": "Huber", "config": {}}
MSE = {"module": "builtins", "class_name": "function", "config": "mean_squared_error"}


class TestChecked:
    """Only what is made of Keras's own layers is built again, and each refusal says what to blame."""

    def whole(self, *layers, **others):
        """Return the config of a Sequential of these parts."""
        tree = {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}
        return json.dumps(tree | others)

    def part(self, module, name, config=None):
        return {"module": module, "class_name": name, "config": config or {}}

    def refusal(self, config, weights=()):
        """Return the sentence with which a model is refused."""
        with pytest.raises(Unreadable, match=r"^The model can't be built again") as refused:
            checked(config, list(weights), Told())
        return str(refused.value).removeprefix("The model can't be built again")

    def test_keras_own_layers(self):
        """Config and weights are kept as they were told."""
        network = checked(DOUBLING.config, WEIGHTS, Told())
        assert json.loads(network.config) == json.loads(DOUBLING.config)
        assert network.weights == WEIGHTS

    @pytest.mark.parametrize(
        ("module", "name", "shown"),
        [
            (
                "keras.layers",
                "Lambda",
                "a Lambda in it: use a Rescaling, an Activation or another of Keras's",
            ),
            ("builtins", "function", 'a function in it: name one of Keras\'s own functions, like "relu"'),
            ("keras.layers", "TFSMLayer", "the class <TFSMLayer> in it: use Keras's own layers"),
            ("keras.layers", "TextVectorization", "the class <TextVectorization> in it"),
            ("keras.layers", "StringLookup", "the class <StringLookup> in it"),
            ("keras.src.utils.python_utils", "func_load", "the class <func_load> in it"),
            ("keras.saving", "load_model", "the class <load_model> in it"),
            ("keras.src.ops.numpy", "np.save", "the class <np.save> in it"),
            ("keras.src.ops.core", "Map", "the class <Map> in it"),
            ("keras.layers.Dense", "Dense", "the class <Dense> in it"),
            ("numpy", "load", "the class <load> in it"),
            ("os", "system", "the class <system> in it"),
            ("__main__", "Dense", "the class <Dense> in it"),
            (None, "Dense", "the class <Dense> in it"),
            (None, "__lambda__", "a lambda in it: name one of Keras's own functions"),
            (None, "__typespec__", "the class <__typespec__> in it"),
            ("", "Dense", "the class <Dense> in it"),
            (["keras.layers"], "Dense", "the class <Dense> in it"),
            ({"keras.layers": 1}, "Dense", "the class <Dense> in it"),
            (7, "Dense", "the class <Dense> in it"),
            ("keras.layers", 7, "the class <7> in it"),
            ("keras.layers", None, "the class <None> in it"),
            ("keras.layers", ["Dense"], "the class <['Dense']> in it"),
        ],
    )
    def test_what_is_not(self, module, name, shown):
        """Wherever it stands: as a layer, in a layer's config, in a model in the model."""
        bad = self.part(module, name)
        inner = self.part("keras", "Sequential", {"layers": [bad]})
        for layer in (bad, inner, self.part("keras.layers", "Dense", {"activation": bad})):
            assert self.refusal(self.whole(layer)).startswith(f" because of {shown}")

    def test_the_first_is_named(self):
        lambdas = self.part("keras.layers", "Lambda")
        other = self.part("mine", "Mine")
        assert "a Lambda" in self.refusal(self.whole(lambdas, other))
        assert "<Mine>" in self.refusal(self.whole(other, lambdas))

    def test_a_lambda_without_its_class(self):
        """So Keras writes the code of an activation; the value of a constant is no code."""
        dense = self.part("keras.layers", "Dense", {"activation": {"value": ["4wIA", None, None]}})
        assert " because of a lambda in it" in self.refusal(self.whole(dense))
        constant = self.part("keras.initializers", "Constant", {"value": [1, 2, 3]})
        assert checked(self.whole(constant), [], Told())

    @pytest.mark.parametrize("name", ["Own", "Lambda", "Dense", "", None, 7, [], {}, ["Sequential"]])
    def test_a_model_of_a_class_of_its_own(self, name):
        """The student reads how to make one that can be built again."""
        told = self.refusal(json.dumps(self.part("keras", name)))
        assert told == (
            ": it is a class of its own. Make it with keras.Sequential or with keras.Model(inputs, outputs)."
        )

    @pytest.mark.parametrize("config", ["[]", "{}", "null", "7", '"Sequential"', "[{}]"])
    def test_json_that_is_no_model(self, config):
        assert self.refusal(config).startswith(": it is a class of its own")

    @pytest.mark.parametrize(
        "config", ["", "{", "Sequential", "[" * 100_000, "1" * 5_000, '{"a":' * 2_000 + "1" + "}" * 2_000]
    )  # fmt: skip
    def test_what_is_no_json(self, config):
        """Or is nested too deeply to be read."""
        assert self.refusal(config) == ": its config can't be read."

    @pytest.mark.parametrize("config", [None, b"{}", {}, 7])
    def test_what_is_no_text(self, config):
        assert self.refusal(config) == ": its config can't be read."

    def test_too_long_a_text(self):
        assert self.refusal(" " * (models.MAX_CONFIG + 1)) == ": its config is too large."

    @pytest.mark.parametrize("config", [None, 7, {}, [], {"layers": None}, {"layers": 7}, {"layers": {}},
                                        {"layers": [7]}, {"layers": [{"config": 7}]}])  # fmt: skip
    def test_a_model_without_layers(self, config):
        told = {"module": "keras", "class_name": "Sequential", "config": config}
        assert self.refusal(json.dumps(told)) == ": its config can't be read."

    @pytest.mark.parametrize(("levels", "kept"), [(15, True), (models.MAX_DEPTH, False)])
    def test_models_in_models(self, levels, kept):
        """As many as anybody needs, and not so many that they can't be walked through."""
        inner = self.part("keras.layers", "ReLU")
        for _ in range(levels):
            inner = self.part("keras", "Sequential", {"layers": [inner]})
        if kept:
            assert checked(self.whole(inner), [], Told())
        else:
            assert self.refusal(self.whole(inner)) == ": its config can't be read."

    @pytest.mark.parametrize(("module", "name"), [("keras.layers", "ReLU"), ("keras.src.ops.numpy", "Add")])
    def test_too_many_layers(self, module, name):
        """Those of inner models and the operations between layers count as well."""
        half = [self.part(module, name)] * (models.MAX_LAYERS // 2)
        inner = self.part("keras", "Sequential", {"layers": half})
        assert checked(self.whole(inner, *half), [], Told())
        assert self.refusal(self.whole(inner, *half, half[0])) == ": it has more than 500 layers."

    def test_too_many_parts(self):
        """What comes after as many as there may be is not looked at."""
        parts = [self.part("keras.initializers", "Zeros")] * (models.MAX_PARTS - 1)
        assert checked(self.whole(*parts), [], Told())
        lambdas = [self.part("keras.layers", "Lambda")] * 2
        assert self.refusal(self.whole(*parts, *lambdas)) == ": it has more than 500 layers."

    @pytest.mark.parametrize(
        "weights",
        [
            None,
            {},
            np.ones(2),
            (np.ones(2),),
            [1.0],
            [[1.0]],
            [np.ones(2), None],
            [np.array([object()])],
            [np.array(["one"])],
            [np.ones(2, complex)],
            [np.array("2026-01-01", "M8[D]")],
        ],
    )
    def test_weights_that_are_no_arrays(self, weights):
        with pytest.raises(Unreadable, match="its weights are no arrays of numbers"):
            checked(DOUBLING.config, weights, Told())

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
    def test_weights_of_any_numbers(self, dtype):
        weights = [np.ones((2, 1), dtype)]
        assert checked(DOUBLING.config, weights, Told()).weights == weights

    def test_weights_that_are_too_large(self, monkeypatch):
        """All of them together count."""
        monkeypatch.setattr(models, "MAX_WEIGHTS", 2**20)
        half = np.zeros(2**19, np.uint8)
        assert checked(DOUBLING.config, [half, half], Told())
        assert self.refusal(DOUBLING.config, [half, half, half[:1]]) == ": its weights are over 1 MB."

    @pytest.mark.parametrize(
        ("compiled", "kept"),
        [
            ({"optimizer": "adam", "loss": "mse", "metrics": None}, ["optimizer", "loss", "metrics"]),
            ({"optimizer": SGD, "loss": HUBER}, ["optimizer", "loss"]),
            ({"optimizer": SGD, "loss": MSE, "metrics": [MSE, "mae"]}, ["optimizer", "loss", "metrics"]),
            ({"optimizer": SGD, "loss": MSE | {"config": "my_loss"}}, ["optimizer"]),
            ({"optimizer": SGD, "loss": [OWN], "metrics": [MSE, OWN]}, ["optimizer"]),
            ({"optimizer": OWN, "loss": {"first": HUBER}}, ["loss"]),
            ({"optimizer": OWN, "loss": OWN}, []),
            ({"optimizer": SGD, "loss": {"class_name": ["Huber"], "module": None}}, ["optimizer"]),
            (OWN, []),
            (HUBER | {"loss": "mse"}, []),
            (None, []),
            ([OWN], []),
            ("adam", []),
        ],
    )
    def test_how_it_is_compiled(self, compiled, kept):
        """Whatever needs more than Keras is left out of that: no prediction depends on it."""
        network = checked(self.whole(compile_config=compiled), [], Told())
        expected = {"compile_config": {key: compiled[key] for key in kept}} if kept else {}
        assert json.loads(network.config) == json.loads(self.whole(**expected))

    def test_what_hides_behind_many_parts(self):
        """Nothing is kept of which not every part was looked at."""
        losses = [HUBER] * models.MAX_PARTS
        for hidden, kept in (([], {"loss": losses, "metrics": ["mae"]}), ([OWN], {"metrics": ["mae"]})):
            compiled = {"loss": losses + hidden, "metrics": ["mae"]}
            network = checked(self.whole(compile_config=compiled), [], Told())
            assert json.loads(network.config)["compile_config"] == kept

    def test_how_a_model_in_it_is_compiled(self):
        """That counts for nothing, so it is left out."""
        inner = self.part("keras", "Sequential", {"layers": []})
        network = checked(self.whole(inner | {"compile_config": {"loss": OWN}}), [], Told())
        assert json.loads(network.config) == json.loads(self.whole(inner))


class TestNetwork:
    """What a model is, as plain values."""

    def test_layers(self):
        assert [layer["class_name"] for layer in DOUBLING.layers] == ["InputLayer", "Dense"]
        assert DOUBLING.layers[0]["config"]["batch_shape"] == [None, 2]
        assert DOUBLING.layers[1]["config"] == {"units": 1, "use_bias": False}

    @pytest.mark.parametrize(
        ("compiled", "rate"),
        [
            ({}, None),
            ({"compile_config": None}, None),
            ({"compile_config": {}}, None),
            ({"compile_config": [1]}, None),
            ({"compile_config": "adam"}, None),
            ({"compile_config": {"optimizer": "adam"}}, None),
            ({"compile_config": {"optimizer": {}}}, None),
            ({"compile_config": {"optimizer": {"config": None}}}, None),
            ({"compile_config": {"optimizer": {"config": {"learning_rate": 0.25}}}}, 0.25),
            ({"compile_config": {"optimizer": {"config": {"inner_optimizer": SGD}}}}, 0.25),
            ({"compile_config": {"optimizer": {"config": {"inner_optimizer": None}}}}, None),
            ({"compile_config": {"optimizer": {"config": {"learning_rate": {"class_name": "S"}}}}},
             {"class_name": "S"}),
        ],
    )  # fmt: skip
    def test_learning_rate(self, compiled, rate):
        """The optimizer's, or the config of its schedule."""
        assert Network(json.dumps({"class_name": "Sequential", **compiled}), []).learning_rate == rate


def told_layer(name="dense", layers=(), *, config='{"units": 3}', parameters=9, trainable=True):
    """Return the row that a process tells of a layer."""
    shape = (None, 3)
    return [name, "Dense", config, shape, parameters, trainable, parameters * trainable, list(layers)]


DESCRIPTION = {
    "input_shape": (None, 2),
    "output_shape": (None, 3),
    "parameters": 9,
    "trainable_parameters": 6,
    "trains_as_compiled": True,
    "optimizer_fits": True,
    "layers": [told_layer("a"), told_layer("b", [told_layer("c"), told_layer("d", [told_layer("e")])])],
}


class TestDescription:
    """A handle tells what `summary()` shows."""

    def test_what_it_tells(self):
        """It asks its process once."""
        home = Told(describe=DESCRIPTION)
        model = Model(home, 5)
        assert (model.input_shape, model.output_shape) == ((None, 2), (None, 3))
        assert (model.count_params(), model.count_trainable_params()) == (9, 6)
        assert [layer.name for layer in model.layers] == ["a", "b"]
        assert home.asked == [(5, "describe")]

    def test_a_layer(self):
        told = told_layer(trainable=False)
        (layer,) = Model(Told(describe=DESCRIPTION | {"layers": [told]}), 0).layers
        assert layer == Layer("dense", "Dense", {"units": 3}, (None, 3), 9, False, 0)

    def test_walking_into_models(self):
        """A model's layers come in its place, in order."""
        first, second = Model(Told(describe=DESCRIPTION), 0).layers
        assert [layer.name for layer in first.walk()] == ["a"]
        assert [layer.name for layer in second.walk()] == ["c", "e"]

    @pytest.mark.parametrize(
        "told",
        [
            None,
            7,
            "a model",
            [],
            {},
            *(
                {name: DESCRIPTION[name] for name in DESCRIPTION if name != left_out}
                for left_out in DESCRIPTION
            ),
            DESCRIPTION | {"trainable_parameters": None},
            DESCRIPTION | {"parameters": None},
            DESCRIPTION | {"parameters": "many"},
            DESCRIPTION | {"parameters": float("nan")},
            DESCRIPTION | {"parameters": float("inf")},
            np.ones(3),
            np.float32(1),
            DESCRIPTION | {"layers": None},
            DESCRIPTION | {"layers": 7},
            DESCRIPTION | {"layers": [None]},
            DESCRIPTION | {"layers": [{}]},
            DESCRIPTION | {"layers": ["dense"]},
            DESCRIPTION | {"layers": np.ones(3)},
            DESCRIPTION | {"layers": [told_layer(config="{")]},
            DESCRIPTION | {"layers": [told_layer(config=None)]},
            DESCRIPTION | {"layers": [told_layer(config="[" * 100_000)]},
            DESCRIPTION | {"layers": [told_layer(config="7")]},
            DESCRIPTION | {"layers": [told_layer(parameters=float("inf"))]},
            DESCRIPTION | {"layers": [[*told_layer(), 1]]},
            DESCRIPTION | {"layers": [told_layer()[:-1]]},
            DESCRIPTION | {"layers": [[*told_layer()[:-1], None]]},
        ],
    )
    def test_a_description_that_is_none(self, told):
        """It is the student's, and no fault of the grader's."""
        with pytest.raises(Unreadable, match="The model's description can't be read"):
            Model(Told(describe=told), 0).count_params()

    @pytest.mark.parametrize("told", [None, 7, "config", [], {}, {"weights": []}, np.ones(3), np.float32(1)])
    def test_a_network_that_is_none(self, told):
        with pytest.raises(Unreadable, match="config can't be read"):
            Model(Told(network=told), 0).rebuilt()

    def test_a_network_without_weights(self):
        with pytest.raises(Unreadable, match="its weights are no arrays of numbers"):
            Model(Told(network={"config": DOUBLING.config}), 0).rebuilt()

    def test_a_copy_is_the_same_model(self):
        """Arguments are copied before each call, and a model can't be."""
        model = Model(Told(), 0)
        assert copy.deepcopy([model])[0] is model


NOTEBOOK = """\
import os, time
import keras
import numpy as np
from keras import layers

def sequential(*parts, shape=(2,)):
    return keras.Sequential([keras.Input(shape), *parts])

def doubling():
    model = sequential(layers.Dense(1, use_bias=False))
    model.set_weights([np.full((2, 1), 2.0)])
    return model

def compiled():
    model = doubling()
    model.compile(keras.optimizers.SGD(0.25), loss="mse", metrics=["mae"])
    return model

def functional():
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3))(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))

class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2))

    def call(self, x):
        return self.dense(x)

def leave():
    os._exit(0)

def one():
    return 1
"""


@pytest.fixture(scope="module")
def sandbox(level):
    """A warm process that holds Keras."""
    return batch.warm_sandbox(level, KERAS.imports)


@pytest.fixture
def submit(sandbox):
    """Executes a notebook that begins with `NOTEBOOK` as one student's submission."""
    opened = []

    def submit(*cells, limits=KERAS.limits, seed=1, sandbox=sandbox):
        notebook = new_notebook(cells=[new_code_cell(source) for source in (NOTEBOOK, *cells)])
        submission = SandboxSubmission(
            student="ada", sandbox=sandbox, notebook=notebook, untouched=frozenset(), limits=limits, seed=seed
        )
        opened.append(submission)
        submission.execute()
        assert not [o for cell in notebook.cells for o in cell.outputs if o.output_type == "error"]
        return submission

    yield submit
    for submission in opened:
        submission.close()


@pytest.fixture
def started(sandbox, monkeypatch):
    """The processes that were started meanwhile."""
    jobs = []

    def start(*settings):
        jobs.append(type(sandbox).job(sandbox, *settings))
        return jobs[-1]

    monkeypatch.setattr(sandbox, "job", start)
    yield jobs
    for job in jobs:
        job.close()


def alive(jobs):
    return sum(job._ended is None for job in jobs)


class TestBasics:
    """What can be asked of a model, in the true sandbox on every level."""

    @pytest.fixture(params=isolation.LEVELS)
    def submission(self, request, submit):
        if request.param == "strict":
            request.getfixturevalue("strict")
        return submit(sandbox=batch.warm_sandbox(request.param, KERAS.imports))

    def test_a_sequential_model(self, submission):
        """Where it was made and where it is built again it says and does the same."""
        model = submission.compiled()
        for asked in (model, model.rebuilt()):
            assert (asked.input_shape, asked.output_shape) == ((None, 2), (None, 1))
            assert (asked.count_params(), asked.count_trainable_params()) == (2, 2)
            (layer,) = asked.layers
            assert (layer.class_name, layer.config["units"], layer.parameters) == ("Dense", 1, 2)
            assert np.array_equal(asked.predict(PAIRS), DOUBLED)
            assert asked.evaluate(PAIRS, DOUBLED + 2) == {"loss": 4.0, "mae": 2.0}
            assert np.array_equal(asked.weights()[0], WEIGHTS[0])
            assert asked.network().learning_rate == 0.25

    def test_a_functional_model(self, submission):
        model = submission.functional()
        assert (model.input_shape, model.output_shape) == ((None, 6, 6, 1), (None, 2))
        names = ["InputLayer", "Conv2D", "GlobalAveragePooling2D", "Dense"]
        assert [layer.class_name for layer in model.layers] == names
        assert [layer.output_shape for layer in model.layers[1:]] == [(None, 4, 4, 3), (None, 3), (None, 2)]
        assert [layer.parameters for layer in model.layers] == [0, 30, 0, 8]
        images = np.random.default_rng(0).random((70, 6, 6, 1))
        answer = model.predict(images)
        assert answer.shape == (70, 2)
        assert np.array_equal(model.rebuilt().predict(images), answer)

    def test_models_that_share_a_layer(self, submit):
        """Training one would change the other; a model of its own is not affected, however alike it is."""
        lines = (
            "same = layers.Dense(1)\nfirst, second = sequential(same), sequential(layers.ReLU(), same)\n"
            "third = keras.models.clone_model(first)\nthird.set_weights(first.get_weights())"
        )
        submission = submit(lines)
        first, second, third = map(submission.value, ("first", "second", "third"))
        assert first.shares_weights(second)
        assert not third.shares_weights(first)


KEPT = {
    "arithmetic and slices": "y = layers.Flatten()(((x / 127 - 1) * 2 + 1)[:, 1:-1, ::2, 0])",
    "keras.ops": (
        "y = keras.ops.concatenate([x, -x], axis=-1)\ny = keras.ops.relu(keras.ops.mean(y, axis=(1, 2)))"
    ),
    "an activation of Keras's, called": "y = keras.activations.relu(layers.Conv2D(2, 3)(x))",
    "every augmentation that moves or blurs": (
        "y = layers.RandomElasticTransform(1.0)(layers.RandomPerspective(1.0)(x))\n"
        "y = layers.RandomSharpness(1.0)(layers.RandomGaussianBlur(1.0, kernel_size=3, sigma=1.0)(y))"
    ),
    "several augmentations in one": (
        "y = layers.Pipeline([layers.RandomFlip(), layers.RandomRotation(0.1)])(x)\n"
        "y = layers.AugMix((0, 1))(layers.RandAugment((0, 1))(layers.Conv2D(3, 1)(y)))"
    ),
    "a normalization that was adapted": (
        "norms = [layers.Normalization() for _ in range(2)]\n"
        "for norm in norms:\n    norm.adapt(np.arange(32.0).reshape(1, 4, 4, 2))\n"
        "y = sequential(norms[0], shape=(4, 4, 2))(layers.Pipeline([norms[1]])(x))"
    ),
    "TensorFlow's activations": (
        "import tensorflow as tf\ny = layers.Dense(3, activation=tf.nn.softmax)(x)\n"
        "for activation in tf.nn.relu, tf.nn.silu, tf.nn.log_softmax:\n"
        "    y = layers.Dense(3, activation=activation)(y)"
    ),
    "layers in wrappers": (
        "y = layers.SpectralNormalization(layers.Conv2D(2, 3))(x)\n"
        "y = layers.TimeDistributed(layers.Dense(3))(y)"
    ),
    "attention and recurrence": (
        "y = layers.Reshape((16, 2))(x)\ny = layers.LSTM(3)(layers.MultiHeadAttention(1, 2)(y, y))"
    ),
    "cells and convolutions that recur": (
        "y = layers.ConvLSTM2D(2, 2)(layers.Reshape((2, 4, 2, 2))(x))\n"
        "y = layers.AdaptiveAveragePooling1D(2)(layers.Reshape((3, 2))(y))\n"
        "y = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)]))(y)"
    ),
    "several outputs": "y = [layers.Flatten()(x), layers.GlobalMaxPooling2D()(x)]",
    "a model in a model": (
        "inner = sequential(layers.ReLU(), shape=(2, 2, 2))\n"
        "y = sequential(layers.Conv2D(2, 3), inner, shape=(4, 4, 2))(x)"
    ),
    "a layer used twice": (
        "same = layers.SeparableConv2D(2, 3, padding='same', activation=keras.activations.relu)\n"
        "y = same(same(x))"
    ),
    "augmentation and regularization": (
        "y = layers.RandomFlip('horizontal')(layers.Rescaling(1 / 255)(x))\n"
        "y = layers.Conv2D(2, 3, kernel_regularizer='l2')(layers.RandomRotation(0.1)(y))\n"
        "y = layers.Dropout(0.5)(layers.BatchNormalization()(y))"
    ),
}
"""What models of this course may be made of: lines that make an output `y` of an input `x`."""
REFUSED = {
    "a Lambda": ("layers.Lambda(lambda x: 2 * x)", "because of a Lambda in it: use a Rescaling"),
    "a Lambda in an inner model": (
        "sequential(layers.Lambda(lambda x: 2 * x))",
        "because of a Lambda in it: use a Rescaling",
    ),
    "a Lambda in a pipeline": (
        "layers.Pipeline([layers.Lambda(lambda x: 2 * x)])",
        "because of a Lambda in it: use a Rescaling",
    ),
    "a layer of their own": ("Clock()", "because of a layer of type Clock in it: use Keras's own layers"),
    "a layer called as one of Keras's": ("Dense(1)", "because of a layer of type Dense in it"),
    "a layer registered as one of Keras's": ("Flatten()", "because of a layer of type Flatten in it"),
    "a disguised layer": ("disguised()", "because of a layer of type Dense in it"),
    "a layer named after a hidden number": ("named(7919)", "because of a layer of a type of your own in it"),
    "a function of their own": (
        "layers.Dense(1, activation=squared)",
        'because of a function in it: name one of Keras\'s own functions, like "relu"',
    ),
    "a lambda as initializer": (
        "layers.Dense(1, kernel_initializer=lambda shape, dtype=None: keras.ops.ones(shape))",
        "because of a lambda in it: name one of Keras's own functions",
    ),
    "a lambda as activation": (
        "layers.Dense(1, activation=lambda x: x * x)",
        "because of a lambda in it: name one of Keras's own functions",
    ),
    "a model of their own": ("Own()", "because of a layer of type Own in it"),
}
"""Layers that no model may hold, and what the student is told."""
OWN_LAYERS = """
class Clock(layers.Layer):
    def call(self, x):
        return x + time.time()

class Dense(layers.Dense):
    def call(self, x):
        return super().call(x) + time.time()

@keras.saving.register_keras_serializable("keras.layers")
class Flatten(layers.Layer):
    pass

def disguised():
    hidden = type("Dense", (layers.Dense,), {"call": lambda self, x: x[:, :1] * 0 + time.time()})
    hidden.__module__, hidden.__qualname__ = layers.Dense.__module__, layers.Dense.__qualname__
    return hidden(1)

def named(number):
    return type(f"Layer{number}Found", (layers.Layer,), {"call": lambda self, x: x})()

def squared(x):
    return x * x
"""


class TestRebuilding:
    """The same model, in a process that ran no student code."""

    @pytest.mark.parametrize("lines", KEPT.values(), ids=KEPT)
    def test_what_is_kept(self, submit, lines):
        model = submit(f"x = keras.Input((4, 4, 2))\n{lines}\nbuilt = keras.Model(x, y)").value("built")
        images = np.random.default_rng(0).random((3, 4, 4, 2), np.float32)
        first, second = model.predict(images), model.rebuilt().predict(images)
        for there, here in zip(*(a if isinstance(a, list) else [a] for a in (first, second)), strict=True):
            assert there.dtype == np.float32
            assert np.array_equal(there, here)

    @pytest.mark.parametrize(("layer", "told"), REFUSED.values(), ids=REFUSED)
    def test_what_is_refused(self, submit, layer, told):
        """By its name only where that stands in the student's code."""
        model = submit(OWN_LAYERS, f"def build():\n    return sequential({layer})").build()
        with pytest.raises(Unreadable) as refused:
            model.rebuilt()
        assert told in str(refused.value)
        assert "7919" not in str(refused.value)

    def test_a_schedule(self, submit):
        """The learning rate of a model that trains with one is the schedule's config."""
        submission = submit(
            "def build():\n"
            "    model = doubling()\n"
            "    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)\n"
            "    model.compile(keras.optimizers.Adam(schedule), keras.losses.MeanSquaredError())\n"
            "    return model"
        )
        rebuilt = submission.build().rebuilt()
        rate = rebuilt.network().learning_rate
        assert (rate["class_name"], rate["config"]["decay_rate"]) == ("ExponentialDecay", 0.5)
        assert rebuilt.evaluate(PAIRS, DOUBLED) == {"loss": 0.0}

    def test_keras_own_functions(self, submit):
        """A loss and metrics may be functions as well as names and objects."""
        submission = submit(
            "def build():\n"
            "    model = doubling()\n"
            "    accuracy = keras.metrics.binary_accuracy\n"
            "    loss = keras.losses.mean_squared_error\n"
            "    model.compile(keras.optimizers.SGD(0.25), loss, metrics=[accuracy])\n"
            "    return model"
        )
        rebuilt = submission.build().rebuilt()
        assert rebuilt.network().learning_rate == 0.25
        assert rebuilt.evaluate(PAIRS, DOUBLED + 2) == {"loss": 4.0, "binary_accuracy": 0.0}

    def test_a_loss_of_their_own(self, submit):
        """It counts for no prediction, so the model, and any that holds it, is built again without it."""
        submission = submit(
            "def build():\n"
            "    model = doubling()\n"
            "    model.compile(keras.optimizers.SGD(0.25), loss=lambda y, p: keras.ops.mean(y - p))\n"
            "    return model, sequential(model)"
        )
        model, outer = submission.build()
        assert model.network().learning_rate == 0.25
        rebuilt = model.rebuilt()
        for asked in (rebuilt, outer.rebuilt()):
            assert np.array_equal(asked.predict(PAIRS), DOUBLED)
        with pytest.raises(StudentError, match=r"could not be evaluated \(is it compiled,"):
            rebuilt.evaluate(PAIRS, DOUBLED)

    def test_another_precision(self, submit):
        """What numpy has no name for is told in one that it has."""
        model = submit(
            "def build():\n"
            "    model = sequential(layers.Dense(1, use_bias=False, dtype='mixed_bfloat16'))\n"
            "    model.set_weights([np.full((2, 1), 2.0)])\n"
            "    return model"
        ).build()
        for asked in (model, model.rebuilt()):
            answer = asked.predict(PAIRS)
            assert answer.dtype == np.float32
            assert np.array_equal(answer, DOUBLED)

    def test_what_it_can_not_predict(self, submit):
        """The student reads what kind of error that was."""
        rebuilt = submit().doubling().rebuilt()
        with pytest.raises(StudentError, match="built again, could not predict what the grader gave it: "):
            rebuilt.predict(np.ones((1, 5)))
        assert np.array_equal(rebuilt.predict(PAIRS), DOUBLED)

    def test_again(self, submit):
        """A rebuilt model is its own rebuilt model."""
        rebuilt = submit().doubling().rebuilt()
        assert np.array_equal(rebuilt.rebuilt().predict(PAIRS), DOUBLED)
        assert rebuilt.rebuilt().home is rebuilt.home

    def test_without_keras(self, submit):
        """A grader writes a network by hand, and it is the model that Keras would make of it."""
        rng = np.random.default_rng(0)
        kernel, bias = rng.random((3, 3, 1, 2), np.float32), rng.random(2, np.float32)
        layers = [
            ("Conv2D", {"filters": 2, "kernel_size": 3, "activation": "relu"}),
            ("GlobalMaxPooling2D", {}),
        ]
        network = models.sequential((5, 5, 1), layers, [kernel, bias])
        images = rng.random((4, 5, 5, 1), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 3), axis=(1, 2))
        maps = np.maximum(np.einsum("nijab,abf->nijf", windows, kernel[:, :, 0]) + bias, 0)
        predicted = submit().rebuild(network).predict(images)
        assert np.allclose(predicted, maps.max(axis=(1, 2)), atol=1e-5)


class TestModelsOfStudents:
    """A model stays in the process that made it, and the other side knows it by number."""

    def test_models_in_other_values(self, submit):
        submission = submit(
            "def some():\n    return {'first': [doubling(), (compiled(), 1)]}\nkept = doubling()"
        )
        first, (second, number) = submission.some()["first"]
        assert number == 1
        assert np.array_equal(second.predict(PAIRS), first.predict(PAIRS))
        assert submission.value("kept").count_params() == 2

    def test_the_same_model_twice(self, submit):
        submission = submit("kept = doubling()\ndef again():\n    return [kept, doubling(), kept]")
        first, other, last = submission.again()
        assert first.number == last.number != other.number

    def test_a_subclass(self, submit):
        """It answers where it lives, and can't be built again."""
        model = submit("def build():\n    return Own()").build()
        assert np.array_equal(model.predict(PAIRS), DOUBLED)
        assert (model.input_shape, model.count_params()) == (None, 2)
        with pytest.raises(Unreadable, match=r"a class of its own. Make it with keras\.Sequential"):
            model.rebuilt()

    def test_a_model_of_many_layers(self, submit):
        """As many as there may be can be told of."""
        last = models.MAX_LAYERS - 1
        model = submit(
            f"x = y = keras.Input((2,))\nfor _ in range({last}):\n    y = layers.ReLU()(y)\n"
            "built = keras.Model(x, y)"
        ).value("built")
        assert len(model.layers) == len(model.network().layers) == models.MAX_LAYERS

    def test_a_model_that_is_read_often(self, submit, monkeypatch):
        """A grader may ask for its weights again and again: they are not kept."""
        monkeypatch.setattr(submissions, "MAX_ANSWERS", 2 * WEIGHTS[0].nbytes)
        model = submit().doubling()
        for _ in range(4):
            assert np.array_equal(model.weights()[0], WEIGHTS[0])

    def test_a_model_that_is_not_built(self, submit):
        """Nothing can be said of it, and the next answer is right again."""
        submission = submit("def build():\n    return keras.Sequential([layers.Dense(1)])")
        with pytest.raises(StudentError, match="ValueError"):
            submission.build().count_params()
        assert submission.one() == 1

    GIVEN = """
kept = None
def keep():
    global kept
    kept = compiled()
    return kept
def received(model, *others):
    return model is kept, model.compiled, model.get_weights(), float(np.sum(model.predict(np.ones((1, 2)))))
def last(models):
    return models["all"][-1] is kept
"""

    def test_given_back_it_is_the_same_object(self, submit):
        """Compiled as it was, wherever in the arguments it stands."""
        submission = submit(self.GIVEN)
        kept = submission.keep()
        assert submission.received(kept)[:2] == (True, True)
        assert submission.received(submission.compiled())[0] is False
        assert submission.last({"all": [1, kept]}) is True

    def test_a_model_from_elsewhere_is_built_there(self, submit):
        """From the grader's lab or built again, or no model at all but what makes one."""
        submission = submit(self.GIVEN)

        def constant():
            import keras

            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
            model.set_weights([keras.ops.full((2, 1), 2.0)])
            model.compile("sgd", "mse")
            return model

        rebuilt = submission.keep().rebuilt()
        for given, is_compiled in ((submission.lab(constant), True), (rebuilt, True), (DOUBLING, False)):
            same, compiled, weights, total = submission.received(given)
            assert (same, compiled, total) == (False, is_compiled, 4.0)
            assert np.array_equal(weights[0], WEIGHTS[0])

    def test_where_no_model_belongs(self, submit):
        """A model in the place of a number is a wrong answer like any other."""
        from autograder import answers

        model = submit().doubling()
        assert answers.difference(model, 7) == "it is a Model, where a number is expected"
        assert answers.difference([model], np.ones(1)) == "it holds something else than numbers"


LIES = {
    "predict of the model": "model.predict = lambda *a, **k: np.full((2, 1), 7.0)",
    "predict of every model": "keras.Model.predict = lambda *a, **k: np.full((2, 1), 7.0)",
    "call of its layer": "layers.Dense.call = lambda self, x, **k: x[:, :1] * 0 + time.time()",
    "call of every layer": "layers.Layer.__call__ = lambda self, x, **k: x[:, :1] * 0 + 7",
    "what its summary says": (
        "keras.Model.count_params = lambda self: 7\n"
        "    keras.Model.output_shape = keras.Sequential.output_shape = (None, 7)\n"
        "    keras.Sequential.layers = property(lambda self: [])"
    ),
}
"""What a student's code may do to have more said of its model than is true."""
FORGED = {
    "another model's config": (
        "true = keras.saving.serialize_keras_object\n"
        "keras.saving.serialize_keras_object = lambda m: true(sequential(layers.Lambda(lambda x: x)))",
        Unreadable, "because of a Lambda",
    ),
    "a config that raises": (
        "def fail(m):\n    raise RuntimeError('no')\nkeras.saving.serialize_keras_object = fail",
        StudentError, "`the model` raised RuntimeError",
    ),
    "a config of nothing": ("keras.saving.serialize_keras_object = lambda m: None", Unreadable, "its own"),
    "a config that JSON can't hold": (
        "keras.saving.serialize_keras_object = lambda m: {1, 2}", StudentError, "raised TypeError",
    ),
    "a large config": (
        "keras.saving.serialize_keras_object = lambda m: 'x' * 3 * 2**20", Unreadable, "config is too large",
    ),
    "a huge config": (
        "keras.saving.serialize_keras_object = lambda m: 'x' * 64 * 2**20",
        Unreadable, "config can't be read",
    ),
    "an endless config": (
        "def spin(m):\n    while True: pass\nkeras.saving.serialize_keras_object = spin",
        StudentTimeout, "`the model` was stopped",
    ),
    "the end": (
        "keras.Model.get_weights = lambda m: os._exit(0)", StudentCrash, "ended the notebook's process",
    ),
    "weights that raise": (
        "def fail(m):\n    raise RuntimeError('no')\nkeras.Model.get_weights = fail",
        StudentError, "`the model` raised RuntimeError",
    ),
    "no weights": ("keras.Model.get_weights = lambda m: 'none'", Unreadable, "no arrays of numbers"),
    "large weights": (
        "keras.Model.get_weights = lambda m: [np.zeros(2**18)]", Unreadable, "its weights are over 1 MB",
    ),
    "huge weights": (
        "keras.Model.get_weights = lambda m: [np.broadcast_to(0.0, 2**30)]",
        Unreadable, "no arrays of numbers",
    ),
    "weights of another shape": (
        "keras.Model.get_weights = lambda m: [np.zeros((3, 3))]",
        StudentError, "can't be built again from its config and weights: ValueError. Use Keras's own",
    ),
}  # fmt: skip
"""What a student's process may tell instead of a model, and what comes of it."""


class TestLies:
    """What a student's process says of its models is the student's word, and no more."""

    @pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
    def test_are_not_built_again(self, submit, lie):
        """The rebuilt model says the truth where the student's process does not."""
        submission = submit(
            f"def lying():\n    global model\n    model = doubling()\n    {lie}\n    return model",
            "def seen(x):\n"
            "    told = model.count_params(), len(model.layers), model.output_shape\n"
            "    return model.predict(x).tolist(), *told",
        )
        model = submission.lying()
        assert submission.seen(PAIRS) != (DOUBLED.tolist(), 2, 1, (None, 1))
        rebuilt = model.rebuilt()
        assert np.array_equal(rebuilt.predict(PAIRS), DOUBLED)
        assert (rebuilt.count_params(), rebuilt.output_shape) == (2, (None, 1))
        assert [layer.class_name for layer in rebuilt.layers] == ["Dense"]

    def test_another_model_than_its_own(self, submit):
        """A forged config is graded for what it says, not for the model that it hides."""
        submission = submit(
            "def lying():\n"
            "    model, forged = doubling(), keras.saving.serialize_keras_object(sequential(layers.ReLU()))\n"
            "    keras.saving.serialize_keras_object = lambda m: forged\n"
            "    keras.Model.get_weights = lambda m: []\n"
            "    return model"
        )
        assert np.array_equal(submission.lying().rebuilt().predict(-PAIRS), 0 * PAIRS)

    @pytest.mark.parametrize(("forge", "error", "told"), FORGED.values(), ids=FORGED)
    def test_that_are_no_model(self, submit, monkeypatch, forge, error, told):
        """They cost their own question, and the next one is answered."""
        monkeypatch.setattr(models, "MAX_WEIGHTS", 2**20)
        endless = "while True" in forge
        submission = submit(forge, limits=replace(KERAS.limits, cpu_seconds=1) if endless else KERAS.limits)
        model = submission.doubling()
        with pytest.raises(error) as met:
            model.rebuilt().count_params()
        assert told in str(met.value)
        assert submission.one() == 1


class TestProcesses:
    """A student's models are built again in one process, which may end at any time."""

    def test_a_model_is_lost_with_its_process(self, submit):
        """What was built again before still answers, and a new model is made in the next process."""
        submission = submit("def count(model):\n    return model.count_params()")
        model = submission.doubling()
        rebuilt = model.rebuilt()
        with pytest.raises(StudentCrash):
            submission.leave()
        for ask in (model.count_params, lambda: model.predict(PAIRS), lambda: submission.count(model)):
            with pytest.raises(
                StudentCrash, match="The model was lost when the notebook's process was stopped"
            ):
                ask()
        assert rebuilt.count_params() == submission.count(rebuilt) == 2
        assert submission.count(submission.doubling()) == 2

    def test_they_share_a_process(self, submit, started):
        submission = submit()
        rebuilt = [submission.doubling().rebuilt() for _ in range(3)]
        for model in (*rebuilt, *rebuilt):
            assert np.array_equal(model.predict(PAIRS), DOUBLED)
        assert len(started) == 2

    def test_there_is_room_for_so_many_and_no_more(self, submit, started, monkeypatch):
        """One that made place for others answers again when it is asked."""
        monkeypatch.setattr(lab, "ROOM", 15)  # each has weights of 8 bytes
        submission = submit()
        rebuilt = [submission.doubling().rebuilt() for _ in range(2)]
        for model in (*rebuilt, *rebuilt):
            assert np.array_equal(model.predict(PAIRS), DOUBLED)
            assert alive(started) == 2
        assert len(started) == 5
        submission.close()
        assert alive(started) == 0

    def test_nothing_is_left_when_it_is_closed(self, submit, started):
        submission = submit()
        assert submission.doubling().rebuilt().count_params() == 2
        assert submission.lab(one) == 1
        assert alive(started) == 3
        submission.close()
        assert alive(started) == 0

    def test_none_is_started_before_it_is_asked(self, submit, started):
        submission = submit()
        submission.doubling().rebuilt()
        assert len(started) == 1

    def test_their_time_is_the_students(self, submit):
        """Building and asking count, and when the notebook's time is used up no more is built."""
        submission = submit()
        rebuilt = submission.rebuild(DOUBLING)
        before = submission.seconds
        assert rebuilt.count_params() == 2
        assert submission.seconds > before
        with pytest.raises(StudentTimeout, match="The notebook as a whole ran for more than 0 seconds"):
            submit(limits=replace(KERAS.limits, total_wall=0)).rebuild(DOUBLING)

    def test_a_model_that_is_too_slow(self, sandbox):
        """The student is told to make it smaller; the next question starts its process again."""
        images = np.zeros((64, 256, 256, 8), np.float32)
        slow = [("Conv2D", {"filters": 8, "kernel_size": 31, "kernel_initializer": "zeros"}), ("Flatten", {})]
        with closing(RebuiltModels(sandbox, HURRIED, 1)) as home:
            model = home.add(models.sequential((256, 256, 8), slow, []))
            with pytest.raises(StudentTimeout, match="built again, took too long to answer: make it smaller"):
                model.predict(images)
            assert model.count_params() == 31 * 31 * 8 * 8 + 8

    def test_a_model_that_is_too_large(self, sandbox):
        """Also where it can't even be built."""
        wide = [("Dense", {"units": 10**6, "kernel_initializer": "zeros"})] * 2
        with closing(RebuiltModels(sandbox, KERAS.limits, 1)) as home:
            small, large = home.add(DOUBLING), home.add(models.sequential((1,), wide, []))
            assert small.count_params() == 2
            with pytest.raises(StudentCrash, match="more than 4096 MB: make it smaller"):
                large.count_params()
            assert np.array_equal(small.predict(PAIRS), DOUBLED)

    @pytest.mark.parametrize(
        ("ends", "error", "told"),
        [
            (Lost("time"), StudentTimeout, "took too long to answer: make it smaller."),
            (Interrupted(), StudentTimeout, "took too long to answer: make it smaller."),
            (Lost("memory"), StudentCrash, "used more than 1024 MB: make it smaller."),
            ({"kinds": ["ResourceExhaustedError"]}, StudentCrash, "used more than 1024 MB: make it smaller."),
            (
                {"kinds": ["MemoryError", "Exception"]},
                StudentCrash,
                "used more than 1024 MB: make it smaller.",
            ),
            (Lost("exit", -11), StudentCrash, "ended its process."),
            (Lost("protocol"), StudentCrash, "ended its process."),
        ],
    )
    def test_how_a_process_may_end(self, ends, error, told):
        """Each end is told for what it is, and another process is started for the next question."""

        class Ending:
            student_seconds = 0.0
            closed = 0

            def build_model(self, *settings):
                return {"is": "value", "value": 0}, []

            def ask_model(self, *settings):
                if isinstance(ends, dict):
                    return {"is": "exception", **ends}, []
                raise ends

            def close(self):
                Ending.closed += 1

        class Starting:
            started = 0

            def job(self, limits, seed):
                Starting.started += 1
                return Ending()

        model = RebuiltModels(Starting(), Limits(), 1).add(DOUBLING)
        for number in (1, 2):
            with pytest.raises(error) as met:
                model.predict(PAIRS)
            assert str(met.value) == f"The model, built again, {told}"
            assert (Starting.started, Ending.closed) == (number, number)

    @pytest.mark.parametrize("ends", [Lost("memory"), Lost("exit", -9), {"kinds": ["MemoryError"]}])
    def test_nobody_answers_for_a_neighbour(self, ends):
        """What ends a process that others share is asked again alone, and answers if it can."""

        class Job:
            student_seconds = 0.0

            def __init__(self):
                self.built = 0

            def build_model(self, *settings):
                self.built += 1
                return {"is": "value", "value": self.built - 1}, []

            def ask_model(self, number, *settings):
                if self.built > 1 and isinstance(ends, Exception):
                    raise ends
                return ({"is": "exception", **ends} if self.built > 1 else {"is": "value", "value": 7}), []

            def close(self):
                pass

        class Starting:
            started = 0

            def job(self, limits, seed):
                Starting.started += 1
                return Job()

        home = RebuiltModels(Starting(), Limits(), 1)
        added = [home.add(DOUBLING) for _ in range(3)]
        assert [home.ask_model(model.number, "predict", PAIRS) for model in added] == [7, 7, 7]
        assert Starting.started == 3


def one():
    return 1


class TestSeeds:
    """What a call draws depends on nothing that came before it."""

    DRAWS = """
def build():
    return sequential(layers.Dense(3), layers.Dropout(0.5), layers.Dense(3))
def draw():
    return [float(np.random.rand()), float(keras.random.uniform(())), __import__("random").random()]
"""

    def test_calls(self, submit):
        """Not on how many calls and models there were, nor on whether the process was started again."""
        submission = submit(self.DRAWS)
        drawn, weights = submission.draw(), submission.build().weights()
        submission.draw(), submission.build()
        assert submission.draw() == drawn
        with pytest.raises(StudentCrash):
            submission.leave()
        submission.draw()
        again = submission.build().weights()
        assert submission.draw() == drawn
        assert [a.tobytes() for a in again] == [w.tobytes() for w in weights]

    @pytest.mark.parametrize(
        "draw",
        [
            "tf.random.normal((), seed=5)",
            "tf.random.normal(())",
            "traced()",
            "next(iter(tf.data.Dataset.range(10**6).shuffle(10**6)))",
            "keras.random.uniform(())",
        ],
    )
    def test_kernels_that_draw(self, submit, draw):
        """TensorFlow's own draws have a state each, which a call may meet unused or used."""
        submission = submit(f"""
            import tensorflow as tf
            traced = tf.function(lambda: tf.random.normal(()))
            def nothing():
                return 0
            def draw():
                return [float({draw}), float({draw})]
            def draw_otherwise():
                tf.random.set_seed(1)
                return draw()
        """)
        assert submission.nothing() == 0
        drawn = submission.draw()
        assert submission.draw() == drawn
        submission.draw_otherwise()
        assert submission.nothing() == 0
        assert submission.draw() == drawn

    def test_another_seed(self, submit):
        first, second = (submit(self.DRAWS, seed=seed) for seed in (1, 2))
        assert not set(first.draw()) & set(second.draw())
        assert not np.array_equal(first.build().weights()[0], second.build().weights()[0])


TRAINING = """
def train(epochs=2):
    rng = np.random.default_rng(3)
    images, labels = rng.random((96, 8, 8, 1), np.float32), rng.integers(3, size=96)
    model = sequential(
        layers.RandomFlip("horizontal"), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(3, activation="softmax"), shape=(8, 8, 1),
    )
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=epochs, batch_size=16, verbose=0)
    return model
"""


class TestTraining:
    """A training has a budget of processor time of its own."""

    def test_beyond_its_budget(self, submit):
        """The student reads what would help, and every other function still answers."""
        submission = submit(TRAINING)
        with pytest.raises(StudentTimeout) as stopped:
            submission.training(cpu_seconds=1).train(epochs=10**6)
        assert str(stopped.value) == (
            "`train` was stopped: it used more than 1 seconds of processor time, or waited too long. "
            "Train for fewer epochs, or make the model smaller."
        )
        assert submission.one() == 1

    def test_within_its_budget(self, submit):
        """It may take longer than other calls, which may not afterwards either."""
        submission = submit(
            "def work(seconds):\n"
            "    end = time.process_time() + seconds\n"
            "    while time.process_time() < end: pass\n"
            "    return doubling()",
            limits=HURRIED,
        )
        model = submission.training(cpu_seconds=60).work(0.5)
        assert np.array_equal(model.rebuilt().predict(PAIRS), DOUBLED)
        with pytest.raises(
            StudentTimeout, match=r"more than 0\.25 seconds.* Is there a loop that never ends"
        ):
            submission.work(60.0)


class TestFiles:
    """What a student's code wrote can be read, of whatever is there."""

    def test_what_was_written(self, submit):
        """Relative to the folder that the notebook runs in, as it was when the call ended."""
        submission = submit(
            "def save(text):\n    os.makedirs('deep', exist_ok=True)\n    open('deep/a.txt', 'w').write(text)"
        )
        for text in ("once", "", "again"):
            submission.save(text)
            assert submission.file("deep/a.txt") == text.encode()

    def test_a_saved_model(self, submit):
        submission = submit("def save():\n    doubling().save('model.keras')")
        submission.save()
        assert submission.file("model.keras").startswith(b"PK")

    @pytest.mark.parametrize("path", ["nothing.keras", "folder", "\0", ""])
    def test_what_is_not_there(self, submit, path):
        submission = submit("os.mkdir('folder')")
        with pytest.raises(StudentError, match="There is no file"):
            submission.file(path)
        assert submission.one() == 1

    @pytest.mark.parametrize("surplus", [0, 1])
    def test_a_large_file(self, submit, surplus):
        submission = submit(f"with open('large', 'wb') as file:\n    file.truncate({MAX_FILE + surplus})")
        if surplus:
            with pytest.raises(Unreadable, match="`large` is over 32 MB"):
                submission.file("large")
        else:
            assert submission.file("large") == bytes(MAX_FILE)

    def test_a_file_that_never_ends(self, submit):
        """No more of it is read than may be."""
        submission = submit("os.symlink('/dev/urandom', 'noise')")
        with pytest.raises(Unreadable, match="`noise` is over 32 MB"):
            submission.file("noise")
        assert submission.one() == 1

    def test_of_the_worked_solution(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.txt").write_bytes(b"here")
        submission = LocalSubmission(student="ada")
        assert submission.file("a.txt") == b"here"
        with pytest.raises(StudentError, match=r"There is no file `b\.txt`"):
            submission.file("b.txt")
