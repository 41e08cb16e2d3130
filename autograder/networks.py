"""Networks as the course writes them down: a list of dictionaries, one a layer, with Keras's keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Layer = dict[str, Any]


def any_network(
    rng: np.random.Generator, least: int = 0, most: int = 7
) -> tuple[tuple[int, ...], list[Layer]]:
    """Draw an image's shape, (height, width, channels), and a network: anything that the convention allows.

    Keys with a default are left out now and then, and every window fits.

    Args:
        least, most: numbers of layers.
    """
    shape = input_shape = tuple(rng.integers(1, 40, 3).tolist())
    layers = []
    for _ in range(rng.integers(least, most + 1)):
        layer, shape = _any_layer(rng, shape)
        layers.append(layer)
    return input_shape, layers


def _any_layer(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Layer, tuple[int, ...]]:
    """Draw a layer that `shape` can enter, and return the shape that leaves it, too."""
    windowed = (
        ["conv", "conv", "max_pool", "avg_pool", "flatten", "global_avg_pool"] if len(shape) == 3 else []
    )
    kind = str(rng.choice(["batch_norm", "dropout", *(windowed or ["dense", "dense"])]))
    if kind == "dropout":
        return {"type": kind, "rate": 0.4}, shape
    if kind == "dense":
        units = int(rng.integers(1, 30))
        return {"type": kind, "units": units} | _perhaps(rng, use_bias=bool(rng.integers(2))), (units,)
    if kind == "flatten":
        return {"type": kind}, (math.prod(shape),)
    if kind == "global_avg_pool":
        return {"type": kind}, (shape[-1],)
    if kind == "batch_norm":
        return {"type": kind}, shape
    return _any_window(rng, kind, shape)


def _any_window(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> tuple[Layer, tuple[int, ...]]:
    layer: Layer = {"type": kind} | _perhaps(rng, padding=str(rng.choice(["same", "valid"])))
    if kind == "conv":
        layer |= {"filters": int(rng.integers(1, 20)), "kernel_size": _any_size(rng)}
        layer |= _perhaps(rng, strides=_any_size(rng), use_bias=bool(rng.integers(2)))
        window, strides = layer["kernel_size"], layer.get("strides", 1)
    else:
        layer |= _perhaps(rng, pool_size=_any_size(rng), strides=_any_size(rng) if rng.integers(2) else None)
        window = layer.get("pool_size", 2)
        strides = layer.get("strides") or window
    (rows, columns), steps = pair(window), pair(strides)
    if rows > shape[0] or columns > shape[1]:
        layer["padding"] = "same"
    if layer.get("padding", "valid") == "same":
        sides = [math.ceil(n / step) for n, step in zip(shape, steps, strict=False)]
    else:
        windows = zip(shape, (rows, columns), steps, strict=False)
        sides = [(n - side) // step + 1 for n, side, step in windows]
    return layer, (sides[0], sides[1], layer.get("filters", shape[2]))


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return `size` as (height, width); one number stands for both."""
    return (size, size) if isinstance(size, int) else size


def _any_size(rng: np.random.Generator) -> int | tuple[int, int]:
    height, width = rng.integers(1, 6, 2).tolist()
    return height if rng.integers(2) else (height, width)


def _perhaps(rng: np.random.Generator, **settings: Any) -> Layer:
    """Return some of the settings: the others have defaults."""
    return {key: value for key, value in settings.items() if rng.random() < 0.7}
