"""When two answers are the same answer.

The course grades values, not their spelling: ``7``, ``np.int64(7)`` and ``7.0`` are the same count, a
list and a tuple are the same sequence, and where an array is described nested lists do too. A string,
a generator or a one-element list is not a number.
"""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np

TOLERANCE = 1e-6
"""Relative, and absolute near 0, for numbers."""
MODEL_TOLERANCE = 1e-5
"""Absolute, for outputs of order 1 of one float32 network, computed in another order or on another device.

Rounding errors of a sum of n products are about 2**-24 * sqrt(n) of its terms' size (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 4.2: the random-walk estimate); n is at most some
12,000 in this course, which gives 7e-6. The same bound holds on graphics cards while TF32 is off, whose 10
bits would give 1e-3.
"""
IMAGE_TOLERANCE = 1e-4
"""The same for feature maps, images and probabilities: a float32 answer is as right as a float64 one."""


def agree(got: Any, want: Any, tolerance: float = TOLERANCE) -> bool:
    """Say whether `got` is the answer `want`; the type of `want` sets the convention."""
    return difference(got, want, tolerance) is None


def difference(got: Any, want: Any, tolerance: float = TOLERANCE) -> str | None:
    """Say in words how `got` differs from `want` without giving `want` away, or None where it does not.

    Args:
        got: an answer, of which nothing is known.
        want: the right answer; its type says what an answer must be.

    Raises:
        TypeError: answers of `want`'s type have no convention to be compared by.
    """
    want = _scalar(want)
    if want is None or isinstance(want, str):
        same = got is None if want is None else isinstance(got, str) and got == want
        return None if same else "a different value is expected"
    if isinstance(want, bool | np.bool_):
        truth = _scalar(got)
        if not isinstance(truth, bool | np.bool_):
            return f"it is {describe(got)}, where True or False is expected"
        return None if bool(truth) == bool(want) else "the other truth value is expected"
    if isinstance(want, int | float | complex | np.number):
        return _number_difference(got, want, tolerance)
    if isinstance(want, np.ndarray):
        return _array_difference(got, want, tolerance)
    if isinstance(want, list | tuple):
        return _sequence_difference(got, want, tolerance)
    if isinstance(want, dict):
        return _dict_difference(got, want, tolerance)
    raise TypeError(f"an expected answer of type {type(want).__name__} cannot be compared")


def describe(value: Any) -> str:
    """Name the kind of `value` in the student's words: "a string", "an array with 2 axes"."""
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, bool | np.bool_):
        return "a truth value"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array with {value.ndim} {'axis' if value.ndim == 1 else 'axes'}"
    if isinstance(value, int | float | complex | np.number | np.ndarray):
        return "a number"
    names = {"str": "string", "bytes": "bytes object"}
    kind = type(value).__name__
    return f"a {names.get(kind, kind)}"


def _scalar(value: Any) -> Any:
    """Unwrap an array without axes, which is how a tensor's scalar arrives."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | complex | np.number) and not isinstance(value, bool)


def _number_difference(got: Any, want: Any, tolerance: float) -> str | None:
    got = _scalar(got)
    if not _is_number(got):
        return f"it is {describe(got)}, where a number is expected"
    # As Python's own numbers, since a small numpy type would round the other side to fit itself.
    return None if _close(_builtin(got), _builtin(want), tolerance) else "a different number is expected"


def _builtin(number: Any) -> Any:
    return number.item() if isinstance(number, np.number) else number


def _close(got: Any, want: Any, tolerance: float) -> bool:
    """Say whether two of Python's numbers agree; integers, nan and infinity are met exactly or not at all."""
    if got == want or (got != got and want != want):
        return True
    if isinstance(want, int) or not cmath.isfinite(want):
        return False
    try:
        return abs(got - want) <= tolerance * max(1.0, abs(want))
    except OverflowError:  # beyond every float
        return False


def _array_difference(got: Any, want: np.ndarray, tolerance: float) -> str | None:
    nested = isinstance(got, list | tuple)
    if not nested and not isinstance(got, np.ndarray):
        return f"it is {describe(got)}, where an array is expected"
    size = _size(got)
    if size is None:
        return "it holds something else than numbers"
    if nested and size > want.size:  # made an array, a list of large arrays could fill the memory
        return "it holds more numbers than expected"
    try:
        array = np.asarray(got)
    except ValueError:
        return "its rows have different lengths"
    if array.dtype.kind not in "biufc":
        return "it holds something else than numbers"
    if want.size == 0 and nested:
        return None  # nested lists can't say how long an axis beside an empty one is
    if array.ndim != want.ndim:
        are = "is" if want.ndim == 1 else "are"
        return f"it has {_axes(array.ndim)}, where {_axes(want.ndim)} {are} expected"
    if array.shape != want.shape:
        return "a different shape is expected"
    if (want.dtype.kind == "b") != (array.dtype.kind == "b"):
        return "it holds truth values" if array.dtype.kind == "b" else "it holds numbers, not truth values"
    other = array != want
    if want.dtype.kind in "fc":
        other = ~_close_elements(array[other], want[other], tolerance)
    return "some of its values should be different" if np.any(other) else None


def _size(value: Any) -> int | None:
    """Return how many numbers an array or nested lists hold, or None where they hold anything else."""
    if isinstance(value, list | tuple):
        sizes = [_size(item) for item in value]
        return None if None in sizes else sum(size for size in sizes if size)
    if isinstance(value, np.ndarray):
        return value.size if value.dtype.kind in "biufc" else None
    return 1 if _is_number(value) or isinstance(value, bool | np.bool_) else None


def _close_elements(array: np.ndarray, want: np.ndarray, tolerance: float) -> np.ndarray:
    """Say of each element whether it is near the expected one; only nan is near nan, nothing infinity."""
    precise = np.complex128 if "c" in array.dtype.kind + want.dtype.kind else np.float64
    array, want = array.astype(precise, copy=False), want.astype(precise, copy=False)
    with np.errstate(all="ignore"):  # an infinite answer is compared like any other
        close = np.abs(array - want) <= tolerance * np.maximum(1.0, np.abs(want))
    return (close & np.isfinite(want)) | (np.isnan(array) & np.isnan(want))


def _axes(count: int) -> str:
    return f"{count} {'axis' if count == 1 else 'axes'}"


def _sequence_difference(got: Any, want: list | tuple, tolerance: float) -> str | None:
    if not isinstance(got, list | tuple) and not (isinstance(got, np.ndarray) and got.ndim):
        return f"it is {describe(got)}, where a list or tuple is expected"
    if len(got) != len(want):
        return "a different length is expected"
    for position, (got_item, want_item) in enumerate(zip(got, want, strict=True)):
        found = difference(got_item, want_item, tolerance)
        if found:
            return f"item {position + 1}: {found}" if len(want) > 1 else found
    return None


def _dict_difference(got: Any, want: dict, tolerance: float) -> str | None:
    if not isinstance(got, dict):
        return f"it is {describe(got)}, where a dict is expected"
    if set(got) != set(want):
        return "different keys are expected"
    for key, want_item in want.items():
        found = difference(got[key], want_item, tolerance)
        if found:
            return f"under {key!r}: {found}"
    return None
