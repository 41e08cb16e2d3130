"""What crosses the boundary between trusted code and student code, and how.

A frame is a 4-byte little-endian length, that many bytes of JSON, and the raw C-order bytes of the
arrays that the JSON announces. Nothing is ever unpickled. Both sides of the boundary import this
module, so it needs only numpy; the decoder trusts nothing that it reads.

Plain values keep their JSON form where JSON has one; the rest are objects tagged with ``"t"``.
A Keras model stays where it is and is named by a number; into a sandbox one may be sent as its config
and its weights (see `autograder.models`). Whatever else has no plain form arrives as an `Opaque`, which
says only its type's name.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import socket

MAX_HEADER = 16 * 2**20
"""Bytes of JSON in one frame."""
MAX_ARRAYS = 512 * 2**20
"""Bytes of arrays in one frame."""
MAX_NODES = 200_000
"""Values in one frame, nested ones counted one by one."""
MAX_DEPTH = 40
"""Levels of nesting in one value."""
MAX_KEYS = 4_096
"""Keys of dicts in one frame: keys made to collide cost time that grows with the square of their number."""
MAX_AXES = 16
"""Axes of one array."""
MAX_INT_BITS = 2_048
"""Bits of one integer: fewer digits than the shortest that Python may be set to refuse to print."""

LONG_LIST = 500
"""Items from which on a list of numbers, or of equally long lists of them, travels as an array."""

DTYPES = frozenset(
    ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
     "float16", "float32", "float64", "complex64", "complex128")
)  # fmt: skip


class ProtocolError(Exception):
    """What was received is not a frame of this protocol."""


@dataclass(frozen=True)
class Opaque:
    """A value that cannot cross the boundary; only its type's name did."""

    type_name: str


@dataclass
class _Budget:
    """What one value may still hold, and how its models are named or found."""

    nodes: int = MAX_NODES
    keys: int = MAX_KEYS
    name: Callable[[Any], Any] = lambda value: None

    def spend(self, depth: int) -> bool:
        """Take a value at `depth` into account; return False where it is one too many."""
        self.nodes -= 1
        return self.nodes >= 0 and depth <= MAX_DEPTH

    def spend_keys(self, number: int) -> bool:
        self.keys -= number
        return self.keys >= 0


def encode(value: Any, name: Callable[[Any], Any] = lambda value: None) -> tuple[Any, list[np.ndarray]]:
    """Return the JSON form of `value` and the arrays that travel beside it.

    Args:
        name: gives what stands for a model on the other side, and None for all that is no model.
    """
    arrays: list[np.ndarray] = []
    try:
        return _encode(value, arrays, _Budget(name=name), 0), arrays
    except _TooLarge:
        return _opaque(f"{type(value).__name__[:80]} (too large or nested too deeply)"), []


class _TooLarge(Exception):
    """A value is more than a frame may hold."""


def _opaque(type_name: str) -> dict[str, str]:
    return {"t": "opaque", "type": type_name}


def _encode(value: Any, arrays: list[np.ndarray], budget: _Budget, depth: int) -> Any:
    if not budget.spend(depth):
        raise _TooLarge
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    # A subclass is sent as the plain value that it holds, whatever its methods say about it. numpy's own
    # strings and bytes are such subclasses, and come first since they are numpy scalars too.
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, bytes):
        return {"t": "bytes", "v": base64.b64encode(value).decode()}
    if issubclass(kind, np.generic | np.ndarray):
        return _encode_array(value, arrays)
    if issubclass(kind, int):
        return _encode_int(int.__int__(value))
    if issubclass(kind, float):
        plain_float = float.__float__(value)
        return plain_float if math.isfinite(plain_float) else {"t": "float", "v": repr(plain_float)}
    if issubclass(kind, complex):
        plain_complex = complex.__complex__(value)
        return {"t": "complex", "v": [repr(plain_complex.real), repr(plain_complex.imag)]}
    if issubclass(kind, list) and list.__len__(value) >= LONG_LIST and not _holds_arrays(value):
        table = _as_table(value)
        if table is not None:
            return _encode_array(table, arrays)
    if issubclass(kind, list | tuple):
        items = [
            _encode(item, arrays, budget, depth + 1)
            for item in (list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value))
        ]
        return items if issubclass(kind, list) else {"t": "tuple", "v": items}
    if issubclass(kind, dict):
        if not budget.spend_keys(dict.__len__(value)):
            return _opaque("dict (too many keys)")
        return {
            "t": "dict",
            "v": [
                [_encode(k, arrays, budget, depth + 1), _encode(v, arrays, budget, depth + 1)]
                for k, v in dict.items(value)
            ],
        }
    stands_for = budget.name(value)
    if stands_for is not None:
        return {"t": "model", "v": _encode(stands_for, arrays, budget, depth + 1)}
    if hasattr(kind, "__array__") and kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        return _encode_array(np.asarray(value), arrays)
    return _opaque(kind.__name__[:80])


def _holds_arrays(value: list) -> bool:
    return isinstance(list.__getitem__(value, 0), np.ndarray)


def _as_table(value: list) -> np.ndarray | None:
    """Return long nested lists as an array: one by one their numbers would be too many to send."""
    try:
        table = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return table if table.dtype.kind in "biuf" else None


def _encode_int(value: int) -> Any:
    if -(2**63) <= value < 2**63:
        return value
    if value.bit_length() > MAX_INT_BITS:
        return _opaque("int (too large)")
    return {"t": "int", "hex": hex(value)}


def _encode_array(value: Any, arrays: list[np.ndarray]) -> Any:
    scalar = issubclass(type(value), np.generic)
    array: np.ndarray = np.generic.__array__(value) if scalar else np.asarray(value)
    if array.dtype.name not in DTYPES:
        return _opaque(f"numpy array of {array.dtype.name[:40]}")
    if array.nbytes + sum(other.nbytes for other in arrays) > MAX_ARRAYS:
        return _opaque("numpy array (too large)")
    if array.ndim > MAX_AXES:
        return _opaque("numpy array (too many axes)")
    # The name of a dtype, which is all that is sent, does not say in which order its bytes are.
    native = array.dtype.newbyteorder("=")
    arrays.append(np.array(array, native, order="C", copy=None, subok=False))
    return {"t": "scalar" if scalar else "array", "i": len(arrays) - 1}


def _no_models(value: Any) -> Any:
    raise ProtocolError("a model where none can be")


def decode(tree: Any, arrays: Sequence[np.ndarray], find: Callable[[Any], Any] = _no_models) -> Any:
    """Return the value whose JSON form is `tree`.

    Args:
        find: gives the model that what was sent in its place stands for.

    Raises:
        ProtocolError: `tree` is not what `encode` makes.
        Exception: `find` raised it; that is no fault of the frame.
    """
    try:
        return _decode(tree, list(arrays), _Budget(name=find), 0)
    except _NotFound as error:
        raise error.reason from None


@dataclass
class _NotFound(Exception):
    """Finding a model failed."""

    reason: Exception


def _decode(tree: Any, arrays: list[np.ndarray | None], budget: _Budget, depth: int) -> Any:
    if not budget.spend(depth):
        raise ProtocolError("value too large or nested too deeply")
    if tree is None or isinstance(tree, bool | float | str):
        return tree
    if isinstance(tree, int):
        return _checked_int(tree)
    if isinstance(tree, list):
        return [_decode(item, arrays, budget, depth + 1) for item in tree]
    try:
        match tree["t"]:
            case "int":
                return _checked_int(int(_text(tree["hex"]), 16))
            case "float":
                return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[tree["v"]]
            case "complex":
                real, imaginary = tree["v"]
                return complex(float(_text(real)), float(_text(imaginary)))
            case "bytes":
                return base64.b64decode(tree["v"], validate=True)
            case "tuple":
                return tuple(_decode(item, arrays, budget, depth + 1) for item in _items(tree["v"]))
            case "dict":
                if not budget.spend_keys(len(_items(tree["v"]))):
                    raise ProtocolError("too many keys")
                return {
                    _decode(key, arrays, budget, depth + 1): _decode(item, arrays, budget, depth + 1)
                    for key, item in map(_items, tree["v"])
                }
            case "array" | "scalar" as kind:
                array = _take(arrays, tree["i"])
                if kind == "scalar" and array.ndim:
                    raise ProtocolError("a scalar with axes")
                return array[()] if kind == "scalar" else array
            case "model":
                return _find(_decode(tree["v"], arrays, budget, depth + 1), budget)
            case "opaque":
                return Opaque("".join(c for c in _text(tree["type"])[:80] if c.isprintable()))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"malformed value: {type(error).__name__}") from error
    raise ProtocolError("unknown kind of value")


def _find(value: Any, budget: _Budget) -> Any:
    try:
        return budget.name(value)
    except Exception as error:
        raise _NotFound(error) from None


def _checked_int(value: int) -> int:
    if value.bit_length() > MAX_INT_BITS:
        raise ProtocolError("integer too large")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_INT_BITS:
        raise TypeError("not a short text")
    return value


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _take(arrays: list[np.ndarray | None], index: Any) -> np.ndarray:
    """Return an array that no other part of the value is: what repeats one fills memory when it is copied."""
    if type(index) is not int or not 0 <= index < len(arrays):
        raise ProtocolError("no such array")
    array, arrays[index] = arrays[index], None
    if array is None:
        raise ProtocolError("an array twice")
    return array


def send(sock: socket.socket, message: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
    """Send one frame. `message` must be JSON; `arrays` are those its values refer to."""
    for part in frame(message, arrays):
        sock.sendall(part)


def frame(message: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> list[bytes | memoryview]:
    """Return one frame, in parts that are to be sent one after the other; arrays are not copied."""
    header = message | {"arrays": [[a.dtype.name, list(a.shape)] for a in arrays]}
    payload = json.dumps(header).encode()
    if len(payload) > MAX_HEADER:
        raise ProtocolError("message too large")
    raw = [array.reshape(-1).view(np.uint8).data for array in arrays if array.size]
    return [struct.pack("<I", len(payload)) + payload, *raw]


def receive(
    sock: socket.socket, wait_on: Callable[[], bool] = lambda: False
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Receive one frame.

    Args:
        wait_on: is asked whenever the frame is not whole yet; where the socket has a timeout that ran out,
            it says whether to wait once more.

    Raises:
        ProtocolError: the bytes are not a frame, or are larger than the caps above.
        EOFError: the other side is gone.
        TimeoutError: the socket has a timeout, and it ran out.
    """
    (length,) = struct.unpack("<I", _receive_exactly(sock, 4, wait_on))
    if length > MAX_HEADER:
        raise ProtocolError("message too large")
    try:
        message = json.loads(_receive_exactly(sock, length, wait_on))
        announced = _items(message.pop("arrays"))
        layouts = [_layout(dtype, shape) for dtype, shape in announced]
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise ProtocolError(f"malformed message: {type(error).__name__}") from error
    if len(layouts) > MAX_NODES or sum(size for _, _, size in layouts) > MAX_ARRAYS:
        raise ProtocolError("arrays too large")
    return message, [
        _array(_receive_exactly(sock, size, wait_on), dtype, shape) for dtype, shape, size in layouts
    ]


def _layout(dtype: Any, shape: Any) -> tuple[np.dtype, tuple[int, ...], int]:
    if dtype not in DTYPES or not isinstance(shape, list) or len(shape) > MAX_AXES:
        raise ValueError("not an array this protocol carries")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("not a shape")
    resolved = np.dtype(dtype)
    return resolved, tuple(shape), resolved.itemsize * math.prod(shape)


def _array(data: bytearray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except (ValueError, OverflowError) as error:  # no data, but axes longer than numpy can count
        raise ProtocolError("not a shape") from error
    # A byte that is neither 0 nor 1 is a truth value that equals neither True nor False.
    return array.view(np.uint8).astype(bool) if dtype.kind == "b" else array


def _receive_exactly(sock: socket.socket, size: int, wait_on: Callable[[], bool]) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        try:
            received = sock.recv_into(view, min(len(view), 2**20))
        except TimeoutError:
            if not wait_on():
                raise
            continue
        if not received:
            raise EOFError("the other side closed the connection")
        view = view[received:]
        if view:
            wait_on()
    return buffer
