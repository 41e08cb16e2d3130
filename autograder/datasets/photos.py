"""Crops of twelve photographs: the images that `transfer_learning` trains and tests with.

The question that a network answers is: which photograph is this crop from? It is asked of places that the
network never saw. Each photograph is laid out as a grid, and each cell of the grid belongs to training, to
validation or to the hidden part, so that no pixel serves two of them. With twenty crops of each, a network
that brings ImageNet's textures and shapes along does far better than one that starts from nothing.

Colour and brightness would give many crops away: so the crops are grey, and their brightness, contrast and
gamma are drawn at random. The photographs come with scikit-image and scikit-learn, each under a licence that
lets courses use it. `load_tf_flowers` reads a larger set, where there is a network.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from autograder.datasets import DatasetError, package_file, read_verified

SIDE = 96
TRAIN, VALID, HIDDEN = 20, 10, 40  # crops of each photograph
SPLIT_SEED = 2012  # AlexNet's year; any number would do, as long as it stays
GRID = ("ththt", "vthtv", "ththt")  # which part each cell belongs to: train, valid or hidden

MIN_SIDE = 0.7  # of the shorter side of a cell
MIN_DEVIATION = 10.0  # grey levels; a flatter crop shows nothing that could be recognised
MAX_GAMMA = 1.8
MIN_CONTRAST = 0.6
MAX_BRIGHTNESS = 30.0  # grey levels

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels; right and bottom lie just outside."""


@dataclass(frozen=True)
class Photos:
    """Images with the number of the class that each belongs to.

    Attributes:
        images: uint8, (N, side, side, 3).
        labels: int64, (N,).
        class_names: what each number stands for.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    train: Photos
    valid: Photos
    hidden: Photos


@dataclass(frozen=True)
class Photograph:
    """A photograph that a package brings.

    Attributes:
        name: what it shows; the name of its class.
        file: its place in the package, behind the package's import name.
        sha256: of the file.
        licence: the terms of its use, and whom to credit.
    """

    name: str
    file: str
    sha256: str
    licence: str

    def image(self) -> Image.Image:
        """Return the photograph as it was taken.

        Raises:
            DatasetError: the file is missing or damaged.
        """
        package, *parts = self.file.split("/")
        install = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package]
        content = read_verified(package_file(package, *parts, install=install), self.sha256, install)
        return Image.open(io.BytesIO(content))


PHOTOGRAPHS = (
    Photograph(
        "brick wall",
        "skimage/data/brick.png",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "CC0, CC0Textures",
    ),
    Photograph(
        "grass",
        "skimage/data/grass.png",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "CC0, linolafett",
    ),
    Photograph(
        "gravel",
        "skimage/data/gravel.png",
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "CC0, CC0Textures",
    ),
    Photograph(
        "photographer",
        "skimage/data/camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "CC0, Lav Varshney",
    ),
    Photograph(
        "cat",
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "CC0, Stefan van der Walt",
    ),
    Photograph(
        "coffee cup",
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "CC0, Rachel Michetti and Pikolo Espresso Bar",
    ),
    Photograph(
        "astronaut",
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "public domain, NASA",
    ),
    Photograph(
        "rocket",
        "skimage/data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "public domain, SpaceX",
    ),
    Photograph(
        "deep field",
        "skimage/data/hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "public domain, NASA",
    ),
    Photograph(
        "retina",
        "skimage/data/retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        "CC0, Mikael Häggström",
    ),
    Photograph(
        "palace",
        "sklearn/datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "CC BY 2.0, danielbuechele on Flickr",
    ),
    Photograph(
        "flower",
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        "CC BY 2.0, vultilion on Flickr",
    ),
)
CLASS_NAMES = tuple(photograph.name for photograph in PHOTOGRAPHS)


@functools.cache
def load() -> Splits:
    """Return the crops that everybody trains, validates and tries out with; always the same ones.

    Returns:
        20, 10 and 40 crops of each photograph, 96 × 96.

    Raises:
        DatasetError: a photograph is missing or damaged.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    return Splits(_draw("train", TRAIN, rng), _draw("valid", VALID, rng), _draw("hidden", HIDDEN, rng))


def fresh(rng: np.random.Generator, per_class: int = HIDDEN) -> Photos:
    """Draw new crops from the hidden cells, which nobody has seen before.

    Raises:
        DatasetError: a photograph is missing or damaged.
    """
    return _draw("hidden", per_class, rng)


def first_of_each(labels: np.ndarray, number: int) -> np.ndarray:
    """Return the places of the first `number` labels of each class, in the order they came in."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:number] for label in np.unique(labels)]))


def cells(part: str, size: tuple[int, int]) -> list[Box]:
    """Return the cells of a photograph that belong to one part.

    Args:
        part: "train", "valid" or "hidden".
        size: the photograph's width and height in pixels.
    """
    width, height = size
    columns = [width * i // len(GRID[0]) for i in range(len(GRID[0]) + 1)]
    rows = [height * i // len(GRID) for i in range(len(GRID) + 1)]
    return [
        (columns[column], rows[row], columns[column + 1], rows[row + 1])
        for row, letters in enumerate(GRID)
        for column, letter in enumerate(letters)
        if letter == part[0]
    ]


@functools.cache
def _photographs() -> tuple[Image.Image, ...]:
    return tuple(photograph.image().convert("L") for photograph in PHOTOGRAPHS)


def _draw(part: str, per_class: int, rng: np.random.Generator) -> Photos:
    """Draw as many crops of each photograph, in random order."""
    images = np.stack(
        [
            crop
            for photograph in _photographs()
            for crop in itertools.islice(_crops(photograph, part, rng), per_class)
        ]
    )
    labels = np.repeat(np.arange(len(PHOTOGRAPHS)), per_class)
    order = rng.permutation(len(labels))
    return Photos(np.repeat(images[order, :, :, None], 3, axis=-1), labels[order], CLASS_NAMES)


def _crops(photograph: Image.Image, part: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield crops of the cells of one part: uint8, (96, 96)."""
    candidates = cells(part, photograph.size)
    while True:
        box = draw_box(candidates[rng.integers(len(candidates))], rng)
        crop = photograph.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(crop, dtype=np.float64)
        if pixels.std() >= MIN_DEVIATION:
            yield _vary(pixels, rng)


def draw_box(cell: Box, rng: np.random.Generator) -> Box:
    """Draw a square that lies in a cell, of at least 70 % of the cell's shorter side."""
    left, top, right, bottom = cell
    longest = min(right - left, bottom - top)
    side = int(rng.integers(math.ceil(MIN_SIDE * longest), longest + 1))
    x = int(rng.integers(left, right - side + 1))
    y = int(rng.integers(top, bottom - side + 1))
    return x, y, x + side, y + side


def _vary(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror a crop in one case of two, and change its gamma, contrast and brightness."""
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    gamma = np.exp(rng.uniform(-1, 1) * np.log(MAX_GAMMA))
    contrast = rng.uniform(MIN_CONTRAST, 1.0)
    brightness = rng.uniform(-MAX_BRIGHTNESS, MAX_BRIGHTNESS)
    varied = contrast * (255 * (pixels / 255) ** gamma - 127.5) + 127.5 + brightness
    return np.clip(np.rint(varied), 0, 255).astype(np.uint8)


FLOWER_SPLITS = ("train[:70%]", "train[70%:80%]", "train[80%:]")  # the set comes shuffled, and in one part


def load_tf_flowers(side: int = SIDE) -> Splits:
    """Return 3,670 photographs of five kinds of flowers (CC BY 2.0) through tensorflow-datasets.

    The first call downloads 218 MB. No course needs this set: it is for those who want to see transfer
    learning on whole objects, in colour.

    Args:
        side: of the squares that the photographs are cropped and resized to, in pixels.

    Raises:
        DatasetError: tensorflow-datasets is not installed, or the set is neither on this machine nor
            reachable.
    """
    try:
        import tensorflow_datasets
    except ImportError:
        raise DatasetError("tf_flowers needs a package: pip install tensorflow-datasets") from None
    try:
        parts, info = tensorflow_datasets.load(
            "tf_flowers", split=list(FLOWER_SPLITS), as_supervised=True, with_info=True
        )
    except Exception as error:  # a download fails in many ways
        raise DatasetError(
            f"tf_flowers is not on this machine, and can't be downloaded ({error}): connect it to a network "
            "once, or use the default photographs"
        ) from error
    names = tuple(info.features["label"].names)
    return Splits(*(_squares(tensorflow_datasets.as_numpy(part), side, names) for part in parts))


def _squares(examples: Iterable[tuple[np.ndarray, int]], side: int, class_names: tuple[str, ...]) -> Photos:
    images, labels = [], []
    for image, label in examples:
        square = ImageOps.fit(Image.fromarray(image), (side, side), Image.Resampling.BILINEAR)
        images.append(np.asarray(square))
        labels.append(label)
    return Photos(np.stack(images), np.array(labels, dtype=np.int64), class_names)
