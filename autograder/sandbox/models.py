"""Keras models on the side that made them: the other side knows them by number.

Runs wherever a model is: in a student's process, where nothing it says is believed, in the process in
which a model is built again, and in the grader's own where it runs against the worked solution.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

_BATCH = 64
"""Images that a prediction takes at a time; it changes float32 sums by less than any tolerance."""


class Models:
    """The models of one process, numbered in the order in which the other side met them."""

    def __init__(self) -> None:
        self._known: list[Any] = []
        self._given: dict[int, Any] = {}

    def name(self, value: Any) -> int | None:
        """Return the number that stands for `value`, or None where it is no Keras model."""
        keras = sys.modules.get("keras")
        if keras is None or not isinstance(value, keras.Model):
            return None
        for number, known in enumerate(self._known):
            if known is value:
                return number
        self._known.append(value)
        return len(self._known) - 1

    def find(self, value: Any) -> Any:
        """Return the model that a number, or a config with weights, stands for.

        One that comes with the number of a gift is kept, and next time that number is all that comes.
        """
        if isinstance(value, int):
            return self._known[value]
        gift = value.get("given")
        if "config" not in value:
            return self._given[gift]
        model = build(value["config"], value["weights"])
        if gift is not None:
            _build_optimizer(model)
            self._given[gift] = model
        return model

    def answer(self, number: int, what: str, arguments: tuple) -> Any:
        """Answer one question about a model with plain values."""
        if what == "shares":
            arguments = tuple(self._known[other] for other in arguments)
        return _ANSWERS[what](self._known[number], *arguments)


def build(config: str, weights: list[np.ndarray]) -> Any:
    """Build a model from its config, as JSON, and its weights, compiled where the config says how."""
    import keras

    model = _build_architecture(json.loads(config))
    if weights:
        model.set_weights(weights)
        for layer in _walk(model):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with copies of its weights, made when a file is loaded
    return model


def _build_optimizer(model: Any) -> None:
    """Let a compiled model's optimizer keep its numbers for each weight, as if the model had been trained."""
    if getattr(model, "optimizer", None):
        model.optimizer.build(model.trainable_variables)


def _walk(layer: Any) -> Iterator[Any]:
    """Yield a layer and all that lie in it, in whatever depth."""
    yield layer
    for inner in _inner(layer):
        yield from _walk(inner)


def _inner(layer: Any) -> Sequence[Any]:
    """Return the layers of a model or a pipeline, or the one that a wrapper wraps."""
    wrapped = getattr(layer, "layer", None)
    return getattr(layer, "layers", None) or ([] if wrapped is None else [wrapped])


def _build_architecture(tree: dict[str, Any]) -> Any:
    """Build a model as its config says, with weights of its own.

    Keras builds a sequential one anew for every layer that it reads; here they are added all at once.
    """
    import keras

    read, parts = keras.saving.deserialize_keras_object, tree["config"]
    begins_with_input = parts["layers"][:1] and parts["layers"][0].get("class_name") == "InputLayer"
    if tree["class_name"] != "Sequential" or not begins_with_input:
        return read(tree, safe_mode=True)
    model = keras.Sequential([read(part, safe_mode=True) for part in parts["layers"]], name=parts["name"])
    if tree.get("compile_config"):
        model.compile_from_config(tree["compile_config"])
    return model


def _describe(model: Any) -> dict[str, Any]:
    """Return what `summary()` shows: shapes, and for each layer its class, output shape and parameters."""
    return {
        "input_shape": _shape(model, "input"),
        "output_shape": _shape(model, "output"),
        "parameters": model.count_params(),
        "trainable_parameters": _size(model.trainable_weights),
        "trains_as_compiled": _trains_as_compiled(model),
        "optimizer_fits": _optimizer_fits(model),
        "layers": [_describe_layer(layer) for layer in model.layers],
    }


def _trains_as_compiled(model: Any) -> bool:
    """Say whether no layer's `trainable` has changed since the model was compiled.

    Keras's `fit` compares the same, and warns.
    """
    compiled = getattr(model, "_compiled_trainable_state", {})
    return all(layer.trainable == trainable for layer, trainable in compiled.items())


def _optimizer_fits(model: Any) -> bool:
    """Say whether the optimizer is a new one, or knows each weight that can be trained."""
    optimizer = getattr(model, "optimizer", None)
    if not getattr(optimizer, "built", False):
        return True
    # Keras has no public name for the weights that an optimizer was built for.
    known = {id(weight) for weight in getattr(optimizer, "_trainable_variables", model.trainable_variables)}
    return all(id(weight) in known for weight in model.trainable_variables)


def _describe_layer(layer: Any) -> list[Any]:
    """Return a row of what `autograder.models.Layer` holds, in its order; of keys a frame takes few."""
    return [
        layer.name,
        type(layer).__name__,
        json.dumps(layer.get_config(), default=lambda value: _plain(value)),
        _shape(layer, "output"),
        layer.count_params(),
        layer.trainable,
        _size(layer.trainable_weights),
        [_describe_layer(inner) for inner in _inner(layer)],
    ]


def _plain(value: Any) -> Any:
    """Return what `json` can write of a part of a config: Keras serialises its own objects."""
    import keras

    return keras.saving.serialize_keras_object(value)


def _shape(layer: Any, end: str) -> Any:
    """Return a shape with None for the batch, a list of them for several tensors, None where unknown."""
    try:
        shape = getattr(layer, f"{end}_shape", None) or getattr(layer, end).shape
    except (AttributeError, ValueError, RuntimeError):
        return None
    return shape if isinstance(shape, list | dict) else tuple(shape)


def _size(weights: list[Any]) -> int:
    return int(sum(np.prod(weight.shape, dtype=np.int64) for weight in weights))


def _predict(model: Any, x: Any) -> Any:
    import keras

    if isinstance(x, np.ndarray) and 0 < len(x) <= _BATCH:
        # What predict() does with one batch, without the graph that it would trace first for much longer.
        outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))
    else:
        outputs = keras.Model.predict(model, x, batch_size=_BATCH, verbose=0)
    return keras.tree.map_structure(_as_plain_floats, outputs)


def _as_plain_floats(array: np.ndarray) -> np.ndarray:
    """Return an array of a dtype that numpy has itself: mixed precision gives some that it has not."""
    return array if array.dtype.kind in "fiub" else array.astype(np.float32)


def _evaluate(model: Any, x: Any, y: Any) -> dict[str, float]:
    import keras

    results = keras.Model.evaluate(model, x, y, batch_size=_BATCH, verbose=0, return_dict=True)
    return {name: float(result) for name, result in results.items()}


def _network(model: Any) -> dict[str, Any]:
    import keras

    config = keras.saving.serialize_keras_object(model)
    return {"config": json.dumps(config), "weights": model.get_weights()}


def _shares(model: Any, other: Any) -> bool:
    own = {id(weight) for weight in model.weights}
    return any(id(weight) in own for weight in other.weights)


_ANSWERS: dict[str, Callable[..., Any]] = {
    "describe": _describe,
    "predict": _predict,
    "evaluate": _evaluate,
    "network": _network,
    "shares": _shares,
}
