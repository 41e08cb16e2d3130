"""Keras models of other processes, as graders see them.

A `Model` names a model that lives elsewhere and asks that process about it. What a student's process
says is worth no more than the student's word; `Model.rebuilt` gives the same model in a process that ran
no student code, and what that one says can be graded.

Nothing here imports Keras: a grader that asks about models needs none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from autograder.errors import Unreadable

MAX_CONFIG = 2 * 2**20
"""Characters of a model's config."""
MAX_LAYERS = 500
"""Layers and operations of a model, those of models in it included."""
MAX_PARTS, MAX_DEPTH = 20 * MAX_LAYERS, 60
"""Parts of a config, and how deep they may lie in each other."""
MAX_WEIGHTS = 200 * 2**20
"""Bytes of a model's weights."""


class Home(Protocol):
    """Where a model lives."""

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask the process about its model `number`."""

    def rebuild(self, network: Network) -> Model:
        """Build a model where no student code ran."""

    def describe_type(self, name: str) -> str:
        """Name the class of a part of a model, as the model's author may read it."""


@dataclass(frozen=True, eq=False)
class Network:
    """What a model is: its config, as Keras writes it to JSON, and its weights in Keras's order."""

    config: str
    weights: list[np.ndarray]

    @cached_property
    def layers(self) -> list[dict[str, Any]]:
        """The configs of its layers, in order."""
        return json.loads(self.config)["config"]["layers"]

    @cached_property
    def learning_rate(self) -> Any:
        """The optimizer's learning rate or the config of its schedule; None where it is not compiled."""
        try:
            config = json.loads(self.config)["compile_config"]["optimizer"]["config"]
            return config.get("inner_optimizer", {"config": config})["config"]["learning_rate"]
        except (AttributeError, KeyError, TypeError):
            return None


def sequential(input_shape: tuple, layers: list[tuple[str, dict]], weights: list[np.ndarray]) -> Network:
    """Return the network of a `keras.Sequential` without needing Keras.

    Args:
        input_shape: of one example, without the batch.
        layers: (class name, config) of each of Keras's layers.
        weights: all of them, layer by layer, in Keras's order.
    """
    first = ("InputLayer", {"batch_shape": [None, *input_shape]})
    parts = [
        {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}
        for kind, config in (first, *layers)
    ]
    whole = {"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "layers": parts}}
    return Network(json.dumps(whole | {"registered_name": None}), weights)


@dataclass(frozen=True)
class Layer:
    """What a model's summary says of one layer.

    Attributes:
        output_shape: with None for the batch; None where it is not known.
        trainable_parameters: the numbers that training would change.
        layers: those of a layer that is a model itself, or the one in a wrapper.
    """

    name: str
    class_name: str
    config: dict[str, Any]
    output_shape: Any
    parameters: int
    trainable: bool
    trainable_parameters: int
    layers: tuple[Layer, ...] = ()

    @classmethod
    def read(cls, told: list[Any]) -> Layer:
        """Read the row that the process of a model told of a layer."""
        name, class_name, config, output_shape, parameters, trainable, trainable_parameters, inner = told
        return cls(
            str(name), str(class_name), dict(json.loads(config)), output_shape, int(parameters),
            bool(trainable), int(trainable_parameters), tuple(map(cls.read, inner)),
        )  # fmt: skip

    def walk(self) -> Iterator[Layer]:
        """Yield this layer, or in its place those that lie in it."""
        if not self.layers:
            yield self
        for layer in self.layers:
            yield from layer.walk()


@dataclass(frozen=True, eq=False)
class Model:
    """A Keras model in another process.

    Every method raises `SubmissionError` where the process does not answer.
    """

    home: Home = field(repr=False)
    number: int

    def __deepcopy__(self, memo: dict) -> Model:
        return self

    @cached_property
    def _told(self) -> dict[str, Any]:
        told = self.home.ask_model(self.number, "describe")
        try:
            return {
                "input_shape": told["input_shape"],
                "output_shape": told["output_shape"],
                "parameters": int(told["parameters"]),
                "trainable_parameters": int(told["trainable_parameters"]),
                "trains_as_compiled": bool(told["trains_as_compiled"]),
                "optimizer_fits": bool(told["optimizer_fits"]),
                "layers": [Layer.read(layer) for layer in told["layers"]],
            }
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError):
            raise Unreadable("The model's description can't be read.") from None

    @property
    def input_shape(self) -> Any:
        """The shape of its input with None for the batch."""
        return self._told["input_shape"]

    @property
    def output_shape(self) -> Any:
        """The shape of its output with None for the batch."""
        return self._told["output_shape"]

    @property
    def layers(self) -> list[Layer]:
        """Its layers, a model in it being one layer."""
        return self._told["layers"]

    def count_params(self) -> int:
        """Return how many numbers its weights hold."""
        return self._told["parameters"]

    def count_trainable_params(self) -> int:
        """Return how many of them training would change."""
        return self._told["trainable_parameters"]

    def trains_as_compiled(self) -> bool:
        """Say whether no layer's `trainable` has changed since it was compiled."""
        return self._told["trains_as_compiled"]

    def optimizer_fits(self) -> bool:
        """Say whether its optimizer, if it is compiled, is new or knows every weight that can be trained.

        With another one Keras's `fit` raises an error.
        """
        return self._told["optimizer_fits"]

    def predict(self, x: Any) -> Any:
        """Return its output for a batch `x` as a numpy array; of several outputs a list.

        Raises:
            Unreadable: they are something else.
        """
        told = self.home.ask_model(self.number, "predict", x)
        arrays = list(told.values()) if isinstance(told, dict) else told if isinstance(told, list) else [told]
        if not arrays or not all(isinstance(array, np.ndarray) for array in arrays):
            raise Unreadable("The model's outputs are no arrays.")
        return arrays[0] if len(arrays) == 1 else arrays

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Return its loss and metrics by name; it must be compiled."""
        return self.home.ask_model(self.number, "evaluate", x, y)

    def weights(self) -> list[np.ndarray]:
        """Return its weights in Keras's order."""
        return self.network().weights

    def network(self) -> Network:
        """Return its config and weights.

        Raises:
            Unreadable: they are not those of a model of Keras's own layers; the message says why.
        """
        told = self.home.ask_model(self.number, "network")
        if not isinstance(told, dict):
            raise Unreadable("The model's config can't be read.")
        return checked(told.get("config"), told.get("weights"), self.home)

    def shares_weights(self, other: Model) -> bool:
        """Say whether training it would change another model of the same process."""
        return bool(self.home.ask_model(self.number, "shares", other.number))

    def rebuilt(self) -> Model:
        """Return the same model in a process that ran no student code.

        Raises:
            Unreadable: it can't be built again; the message names the layer to blame.
        """
        return self.home.rebuild(self.network())


# Keras's own parts that a model of this course may be made of; whatever is not here is refused.
_LAYERS = frozenset(
    """
    InputLayer Dense EinsumDense Activation Identity Masking Flatten Reshape Permute RepeatVector
    Conv1D Conv2D Conv3D SeparableConv1D SeparableConv2D DepthwiseConv1D DepthwiseConv2D
    Conv1DTranspose Conv2DTranspose Conv3DTranspose
    MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    Cropping1D Cropping2D Cropping3D
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization RMSNormalization
    SpectralNormalization
    Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise AlphaDropout
    ActivityRegularization
    Attention AdditiveAttention MultiHeadAttention SimpleRNN GRU LSTM Bidirectional TimeDistributed Embedding
    RNN SimpleRNNCell GRUCell LSTMCell StackedRNNCells ConvLSTM1D ConvLSTM2D ConvLSTM3D
    Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    ReLU LeakyReLU PReLU ELU Softmax
    Rescaling Resizing CenterCrop Normalization AutoContrast Equalization Solarization
    RandomFlip RandomRotation RandomZoom RandomTranslation RandomCrop RandomShear RandomPerspective
    RandomElasticTransform RandomErasing RandomContrast RandomBrightness RandomSharpness RandomGaussianBlur
    RandomHue RandomSaturation RandomColorJitter RandomColorDegeneration RandomGrayscale RandomInvert
    RandomPosterization RandAugment AugMix Pipeline
    """.split()  # noqa: SIM905
)
_MODELS = frozenset({"Sequential", "Functional", "Model"})
_MODULES = {
    "keras.layers": _LAYERS,
    "keras": _MODELS | {"DTypePolicy", "Variable"},
    "keras.models": _MODELS,
    "keras.src.models.functional": _MODELS,
    "keras.src.models.sequential": _MODELS,
    "keras.src.ops.core": frozenset({"Cast", "Slice", "StopGradient"}),
    "keras.src.activations.activations": frozenset({"ReLU"}),  # keras.activations.relu, called like a layer
}
_PARTS = ("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies",
          "keras.optimizers", "keras.optimizers.schedules", "keras.losses", "keras.metrics",
          "keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.math", "keras.src.ops.image")  # fmt: skip
"""Modules of Keras whose classes do arithmetic and nothing else."""
_FUNCTIONS = frozenset(
    """
    relu relu6 leaky_relu elu selu gelu silu swish mish tanh sigmoid hard_sigmoid softplus softsign softmax
    log_softmax linear exponential
    mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error
    huber log_cosh cosine_similarity poisson kl_divergence hinge squared_hinge categorical_hinge
    binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy
    binary_focal_crossentropy categorical_focal_crossentropy dice tversky
    binary_accuracy categorical_accuracy sparse_categorical_accuracy
    top_k_categorical_accuracy sparse_top_k_categorical_accuracy
    """.split()  # noqa: SIM905
)
"""Keras's own activations, losses and metrics."""
_RENAMED = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax", "swish": "silu"}
_VALUES = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__tuple__", "__slice__", "__ellipsis__"})
_INSTEAD = {
    "Lambda": "use a Rescaling, an Activation or another of Keras's own layers",
    "function": 'name one of Keras\'s own functions, like "relu"',
    "__lambda__": 'name one of Keras\'s own functions, like "relu"',
}


def checked(config: Any, weights: Any, home: Home) -> Network:
    """Return the network that a process told, if it is one of Keras's own layers.

    How it is compiled counts only where that too needs nothing but Keras: it changes no prediction.

    Raises:
        Unreadable: the message names the first part to blame and what to use instead.
    """
    if not isinstance(config, str):
        raise Unreadable("The model can't be built again: its config can't be read.")
    if len(config) > MAX_CONFIG:
        raise Unreadable("The model can't be built again: its config is too large.")
    told = weights if isinstance(weights, list) else []
    # A single number, such as a counter, is a weight of shape () and comes as numpy's scalar.
    arrays = [
        np.asarray(w) for w in told if isinstance(w, np.ndarray | np.generic) and w.dtype.kind in "fiub"
    ]
    if not isinstance(weights, list) or len(arrays) != len(weights):
        raise Unreadable("The model can't be built again: its weights are no arrays of numbers.")
    if sum(array.nbytes for array in arrays) > MAX_WEIGHTS:
        raise Unreadable(f"The model can't be built again: its weights are over {MAX_WEIGHTS >> 20} MB.")
    try:
        tree = json.loads(config)
        compiled = _take_compilation(tree)
        parts = list(_parts(tree))
        kept = {key: value for key, value in compiled.items() if _is_all_known(value)}
    except (ValueError, RecursionError):
        raise Unreadable("The model can't be built again: its config can't be read.") from None
    if not isinstance(tree, dict) or tree.get("class_name") not in tuple(_MODELS):
        raise Unreadable(
            "The model can't be built again: it is a class of its own. Make it with keras.Sequential or "
            "with keras.Model(inputs, outputs)."
        )
    if not all(_has_layers(part) for part in parts if part.get("class_name") in tuple(_MODELS)):
        raise Unreadable("The model can't be built again: its config can't be read.")
    if len(parts) > MAX_PARTS or sum(map(_is_layer, parts)) > MAX_LAYERS:
        raise Unreadable(f"The model can't be built again: it has more than {MAX_LAYERS} layers.")
    for part in parts:
        _rename(part)
        if not _is_known(part):
            name = str(part.get("class_name", "__lambda__"))
            instead = _INSTEAD.get(name, "use Keras's own layers, in a Sequential or functional model")
            shown = f"a {name.strip('_')}" if name in _INSTEAD else home.describe_type(name)
            raise Unreadable(f"The model can't be built again because of {shown} in it: {instead}.")
    if kept:
        tree["compile_config"] = kept
    return Network(json.dumps(tree), arrays)


def _rename(part: dict[str, Any]) -> None:
    """Call a function by Keras's name that comes under TensorFlow's, as ``activation=tf.nn.softmax`` does."""
    if isinstance(part.get("config"), str):
        part["config"] = _RENAMED.get(part["config"], part["config"])


def _take_compilation(tree: Any) -> dict[str, Any]:
    """Take away how a model, and any model in it, is compiled; return it of the outermost."""
    taken = tree.pop("compile_config", None) if isinstance(tree, dict) else None
    for part in _parts(tree):
        part.pop("compile_config", None)
    return taken if isinstance(taken, dict) and "class_name" not in taken else {}


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a config that names a class or is code, but no more than one too many.

    Raises:
        ValueError: they lie too deep in each other.
    """
    waiting, found = [(tree, 0)], 0
    while waiting and found <= MAX_PARTS:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(value, dict) and ("class_name" in value or _is_code(value)):
            found += 1
            yield value
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(part, depth + 1) for part in reversed(list(inner))]


def _has_layers(model: dict[str, Any]) -> bool:
    """Say whether a model's config lists layers, each with a config of its own."""
    match model:
        case {"config": {"layers": [*layers]}}:
            return all(isinstance(layer, dict) and isinstance(layer.get("config"), dict) for layer in layers)
    return False


def _is_code(value: dict[str, Any]) -> bool:
    """Say whether this is a lambda as Keras writes an activation: its code without the name of a class."""
    match value:
        case {"value": [str(), _, _]}:
            return len(value) == 1
    return False


def _is_all_known(tree: Any) -> bool:
    parts = list(_parts(tree))
    return len(parts) <= MAX_PARTS and all(map(_is_known, parts))


def _is_layer(part: dict[str, Any]) -> bool:
    return part.get("module") == "keras.layers" or str(part.get("module")).startswith("keras.src.ops")


def _is_known(part: dict[str, Any]) -> bool:
    module, name = part.get("module"), part.get("class_name")
    if not isinstance(name, str):
        return False
    if module is None:
        return name in _VALUES
    if (module, name) == ("builtins", "function"):
        return isinstance(part.get("config"), str) and part["config"] in _FUNCTIONS
    if not isinstance(module, str):
        return False
    return name in _MODULES.get(module, ()) or (module in _PARTS and name.isidentifier())
