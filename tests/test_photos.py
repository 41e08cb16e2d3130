"""The crops of photographs that transfer learning is graded with."""

from __future__ import annotations

import itertools
import sys
import types

import numpy as np
import pytest
from PIL import Image

from autograder.datasets import DatasetError, photos

SIZES = [(451, 300), (512, 512), (97, 61)]


@pytest.fixture
def uncached():
    photos._photographs.cache_clear()
    yield
    photos._photographs.cache_clear()


def test_the_splits_hold_every_class_equally_often_in_random_order():
    splits = photos.load()
    for part, per_class in ((splits.train, 20), (splits.valid, 10), (splits.hidden, 40)):
        assert part.images.shape == (12 * per_class, 96, 96, 3)
        assert part.images.dtype == np.uint8
        assert (np.bincount(part.labels) == per_class).all()
        assert len(part.class_names) == 12
        assert (np.diff(part.labels) < 0).any()


def test_the_splits_are_the_same_in_every_process_and_no_crop_is_in_two(uncached):
    once = photos.load()
    photos.load.cache_clear()
    again = photos.load()
    rows = []
    for part in ("train", "valid", "hidden"):
        first, second = getattr(once, part), getattr(again, part)
        np.testing.assert_array_equal(first.images, second.images)
        np.testing.assert_array_equal(first.labels, second.labels)
        rows.append(first.images)
    crops = np.concatenate(rows)
    assert len(np.unique(crops.reshape(len(crops), -1), axis=0)) == len(crops)


def test_crops_are_grey_and_show_something():
    images = photos.load().train.images
    assert (images[..., 0] == images[..., 1]).all()
    assert (images[..., 0] == images[..., 2]).all()
    assert images.std(axis=(1, 2, 3)).min() > 2


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_share_no_pixel_and_cover_the_photograph(size):
    owners = np.zeros(size[::-1], dtype=int)
    for part in ("train", "valid", "hidden"):
        for left, top, right, bottom in photos.cells(part, size):
            owners[top:bottom, left:right] += 1
    assert (owners == 1).all()


@pytest.mark.parametrize("size", SIZES)
def test_every_drawn_box_is_a_square_within_its_cell(size):
    rng = np.random.default_rng(1)
    for part in ("train", "valid", "hidden"):
        for cell in photos.cells(part, size):
            for _ in range(20):
                left, top, right, bottom = photos.draw_box(cell, rng)
                assert cell[0] <= left < right <= cell[2]
                assert cell[1] <= top < bottom <= cell[3]
                assert right - left == bottom - top >= 0.7 * min(cell[2] - cell[0], cell[3] - cell[1])


@pytest.mark.parametrize("part", ["train", "valid", "hidden"])
def test_crops_show_their_own_part_of_the_photograph_only(part, monkeypatch):
    """In a photograph that is bright noise in one part's cells and black elsewhere, no crop is dark."""
    rng = np.random.default_rng(2)
    pixels = np.zeros((300, 450), dtype=np.uint8)
    for left, top, right, bottom in photos.cells(part, (450, 300)):
        pixels[top:bottom, left:right] = rng.integers(100, 256, (bottom - top, right - left))
    monkeypatch.setattr(photos, "_vary", lambda crop, rng: crop)
    crops = itertools.islice(photos._crops(Image.fromarray(pixels), part, rng), 60)
    assert min(crop.min() for crop in crops) >= 100


def test_fresh_crops_depend_on_the_generator_alone():
    first, same, other = (photos.fresh(np.random.default_rng(seed), per_class=3) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.images, same.images)
    np.testing.assert_array_equal(first.labels, same.labels)
    assert first.images.shape == (36, 96, 96, 3)
    known = {image.tobytes() for image in photos.load().hidden.images}
    drawn = [{image.tobytes() for image in part.images} for part in (first, other)]
    assert not drawn[0] & drawn[1]
    assert not drawn[0] & known


def test_the_first_of_each_class_stay_in_order():
    labels = np.array([2, 0, 2, 2, 0, 1, 0])
    assert photos.first_of_each(labels, 2).tolist() == [0, 1, 2, 4, 5]


def test_brightness_tells_little_about_the_class():
    """A crop's mean brightness differs more within a class than between the classes' means."""
    part = photos.fresh(np.random.default_rng(7))
    brightness = part.images.mean(axis=(1, 2, 3))
    classes = [brightness[part.labels == label] for label in range(12)]
    within = np.mean([values.std() for values in classes])
    assert within > np.std([values.mean() for values in classes])


def test_a_missing_photograph_says_what_to_install(monkeypatch, uncached, tmp_path):
    monkeypatch.setattr(photos, "package_file", lambda *_, **__: tmp_path / "chelsea.png")
    with pytest.raises(DatasetError, match=r"pip install .*scikit-image"):
        photos.fresh(np.random.default_rng(0))


def test_a_changed_photograph_is_refused(monkeypatch, uncached, tmp_path):
    path = tmp_path / "brick.png"
    Image.fromarray(np.zeros((512, 512), dtype=np.uint8)).save(path)
    monkeypatch.setattr(photos, "package_file", lambda *_, **__: path)
    with pytest.raises(DatasetError, match=r"brick\.png"):
        photos.fresh(np.random.default_rng(0))


def stand_in(monkeypatch, **functions):
    module = types.ModuleType("tensorflow_datasets")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)


def test_tf_flowers_become_squares_that_keep_their_aspect(monkeypatch):
    wide = np.zeros((40, 80, 3), dtype=np.uint8)
    wide[:, 20:60] = (255, 0, 0)
    asked = {}

    def load(name, **options):
        asked.update(options, name=name)
        label = types.SimpleNamespace(names=["dandelion", "daisy"])
        parts = [[(wide, 1)], [(wide, 0), (wide, 1)], [(wide, 0)]]
        return parts, types.SimpleNamespace(features={"label": label})

    stand_in(monkeypatch, load=load, as_numpy=iter)
    splits = photos.load_tf_flowers(side=32)
    assert asked["name"] == "tf_flowers"
    assert splits.train.images.shape == (1, 32, 32, 3)
    assert splits.train.images[..., 0].min() > 200  # squeezed instead, the black sides would show
    assert splits.valid.labels.tolist() == [0, 1]
    assert splits.hidden.class_names == ("dandelion", "daisy")


def test_tf_flowers_out_of_reach_says_what_to_do(monkeypatch):
    def load(*_, **__):
        raise ConnectionError("no route to host")

    stand_in(monkeypatch, load=load)
    with pytest.raises(DatasetError, match=r"no route to host.*default photographs"):
        photos.load_tf_flowers()


def test_tf_flowers_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DatasetError, match="pip install tensorflow-datasets"):
        photos.load_tf_flowers()
