"""What crosses the boundary between trusted code and student code, and how.

A frame is a 4-byte little-endian length, that many bytes of JSON, and the raw C-order bytes of the
arrays that the JSON announces. Nothing is ever unpickled. Both sides of the boundary import this
module, so it needs only numpy; the decoder trusts nothing that it reads.

Plain values keep their JSON form where JSON has one; the rest are objects tagged with ``"t"``.
Whatever has no plain form arrives as an `Opaque`, which says only its type's name.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Sequence
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


def encode(value: Any) -> tuple[Any, list[np.ndarray]]:
    """Return the JSON form of `value` and the arrays that travel beside it."""
    arrays: list[np.ndarray] = []
    budget = [MAX_NODES]
    return _encode(value, arrays, budget, 0), arrays


def _encode(value: Any, arrays: list[np.ndarray], budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        return {"t": "opaque", "type": "a value nested too deeply or too large to read"}
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    # A subclass is sent as the plain value that it holds, whatever its methods say about it.
    if isinstance(value, np.generic | np.ndarray):
        return _encode_array(value, arrays)
    if isinstance(value, int):
        plain = int.__int__(value)
        return plain if -(2**63) <= plain < 2**63 else {"t": "int", "hex": hex(plain)[:4096]}
    if isinstance(value, float):
        plain_float = float.__float__(value)
        return plain_float if math.isfinite(plain_float) else {"t": "float", "v": repr(plain_float)}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, complex):
        return {"t": "complex", "v": [repr(value.real), repr(value.imag)]}
    if isinstance(value, bytes):
        return {"t": "bytes", "v": base64.b64encode(value).decode()}
    if isinstance(value, list) and len(value) >= LONG_LIST:
        table = _as_table(value)
        if table is not None:
            return _encode_array(table, arrays)
    if isinstance(value, list | tuple):
        items = [
            _encode(item, arrays, budget, depth + 1)
            for item in (list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value))
        ]
        return items if isinstance(value, list) else {"t": "tuple", "v": items}
    if isinstance(value, dict):
        return {
            "t": "dict",
            "v": [
                [_encode(k, arrays, budget, depth + 1), _encode(v, arrays, budget, depth + 1)]
                for k, v in dict.items(value)
            ],
        }
    if hasattr(kind, "__array__") and kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        return _encode_array(np.asarray(value), arrays)
    return {"t": "opaque", "type": kind.__name__[:80]}


def _as_table(value: list) -> np.ndarray | None:
    """Return long nested lists as an array: one by one their numbers would be too many to send."""
    try:
        table = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return table if table.dtype.kind in "biuf" else None


def _encode_array(value: np.generic | np.ndarray, arrays: list[np.ndarray]) -> Any:
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        return {"t": "opaque", "type": f"numpy array of {array.dtype.name[:40]}"}
    if array.nbytes + sum(other.nbytes for other in arrays) > MAX_ARRAYS:
        return {"t": "opaque", "type": "array too large to read"}
    arrays.append(np.array(array, order="C", copy=None, subok=False))
    return {"t": "scalar" if isinstance(value, np.generic) else "array", "i": len(arrays) - 1}


def decode(tree: Any, arrays: list[np.ndarray]) -> Any:
    """Return the value whose JSON form is `tree`.

    Raises:
        ProtocolError: `tree` is not what `encode` makes.
    """
    return _decode(tree, arrays, [MAX_NODES], 0)


def _decode(tree: Any, arrays: list[np.ndarray], budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        raise ProtocolError("value too large or nested too deeply")
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return [_decode(item, arrays, budget, depth + 1) for item in tree]
    try:
        match tree["t"]:
            case "int":
                return int(tree["hex"], 16)
            case "float":
                return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[tree["v"]]
            case "complex":
                real, imaginary = tree["v"]
                return complex(float(real), float(imaginary))
            case "bytes":
                return base64.b64decode(tree["v"], validate=True)
            case "tuple":
                return tuple(_decode(item, arrays, budget, depth + 1) for item in tree["v"])
            case "dict":
                pairs = [
                    (
                        _decode(key, arrays, budget, depth + 1),
                        _decode(item, arrays, budget, depth + 1),
                    )
                    for key, item in tree["v"]
                ]
                return dict(pairs)
            case "array" | "scalar" as kind:
                index = tree["i"]
                if type(index) is not int or not 0 <= index < len(arrays):
                    raise ProtocolError("no such array")
                array = arrays[index]
                if kind == "scalar" and array.ndim:
                    raise ProtocolError("a scalar with axes")
                return array[()] if kind == "scalar" else array
            case "opaque":
                return Opaque("".join(c for c in str(tree["type"])[:80] if c.isprintable()))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"malformed value: {type(error).__name__}") from error
    raise ProtocolError("unknown kind of value")


def send(sock: socket.socket, message: dict[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
    """Send one frame. `message` must be JSON; `arrays` are those its values refer to."""
    header = message | {"arrays": [[a.dtype.name, list(a.shape)] for a in arrays]}
    payload = json.dumps(header).encode()
    if len(payload) > MAX_HEADER:
        raise ProtocolError("message too large")
    sock.sendall(struct.pack("<I", len(payload)) + payload)
    for array in arrays:
        if array.size:
            sock.sendall(array.reshape(-1).view(np.uint8).data)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Receive one frame.

    Raises:
        ProtocolError: the bytes are not a frame, or are larger than the caps above.
        EOFError: the other side is gone.
        TimeoutError: the socket has a timeout, and it ran out.
    """
    (length,) = struct.unpack("<I", _receive_exactly(sock, 4))
    if length > MAX_HEADER:
        raise ProtocolError("message too large")
    try:
        message = json.loads(_receive_exactly(sock, length))
        announced = message.pop("arrays")
        layouts = [_layout(dtype, shape) for dtype, shape in announced]
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        raise ProtocolError(f"malformed message: {type(error).__name__}") from error
    if sum(size for _, _, size in layouts) > MAX_ARRAYS:
        raise ProtocolError("arrays too large")
    return message, [
        np.frombuffer(_receive_exactly(sock, size), dtype).reshape(shape) for dtype, shape, size in layouts
    ]


def _layout(dtype: Any, shape: Any) -> tuple[np.dtype, tuple[int, ...], int]:
    if dtype not in DTYPES or not isinstance(shape, list) or len(shape) > 16:
        raise ValueError("not an array this protocol carries")
    if any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
        raise ValueError("not a shape")
    resolved = np.dtype(dtype)
    return resolved, tuple(shape), resolved.itemsize * math.prod(shape)


def _receive_exactly(sock: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        received = sock.recv_into(view, min(len(view), 2**20))
        if not received:
            raise EOFError("the other side closed the connection")
        view = view[received:]
    return buffer
