"""Sends what is no frame, or no value, in the place of its answers."""
import json
import struct
import sys

WHICH = "not JSON"


def frame(value="null", arrays="[]", raw=b"", **others):
    """Write a reply by hand, since no encoder would."""
    def make(number):
        extra = "".join(f', "{key}": {value}' for key, value in others.items())
        text = f'{{"is": "value", "id": {number}, "value": {value}, "arrays": {arrays}{extra}}}'.encode()
        return struct.pack("<I", len(text)) + text + raw

    return make


DEEP = 900
FRAMES = {
    "not JSON": lambda number: struct.pack("<I", 5) + b"{oops",
    "not text": lambda number: struct.pack("<I", 4) + b"\xff\xfe\xfd\xfc",
    "a number": lambda number: struct.pack("<I", 2) + b"13",
    "a huge length": lambda number: struct.pack("<I", 2**32 - 1) + b"x" * 100,
    "nested JSON": frame("[" * DEEP + "]" * DEEP),
    "nested JSON without end": frame("[" * 200_000),
    "a nested exception": lambda number: frame(kinds="[" * DEEP + "]" * DEEP, text="[" * DEEP + "]" * DEEP)(number).replace(
        b'"value"', b'"exception"', 1),
    "an exception of odd places": lambda number: frame(
        kinds='["ValueError", 3, null, {}]', text="[1]", places='[[0], [true, true], ["a", "b"], [10000000000000000000, 1], 7]'
    )(number).replace(b'"value"', b'"exception"', 1),
    "a huge number": frame("1" + "0" * 100_000),
    "a huge hexadecimal": frame('{"t": "int", "hex": "0x1' + "0" * 100_000 + '"}'),
    "no number": frame('[NaN, Infinity, -Infinity, 1e999, {"t": "float", "v": "nan"}]'),
    "an unknown tag": frame('{"t": "pickle", "v": "gASVDQAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg=="}'),
    "an unknown type": frame('{"t": "array", "i": 0}', '[["object", [1]]]', bytes(8)),
    "a type of its own": frame('{"t": "array", "i": 0}', '[["i4,O", [1]]]', bytes(12)),
    "a shape that is none": frame('{"t": "array", "i": 0}', '[["float64", [-1, -1]]]', bytes(8)),
    "a shape too large": frame('{"t": "array", "i": 0}', '[["float64", [1000000, 1000000]]]', bytes(8)),
    "a large shape of nothing": frame(
        '{"t": "array", "i": 0}', '[["float64", [0' + ", 549755813888" * 15 + "]]]"),
    "no such array": frame('{"t": "array", "i": -1}', '[["float64", [1]]]', bytes(8)),
    "one array many times": frame("[" + ", ".join(['{"t": "array", "i": 0}'] * 1_000) + "]", '[["uint8", [100000]]]', bytes(100_000)),
    "truth values that are neither": frame('{"t": "array", "i": 0}', '[["bool", [4]]]', b"\x02\x80\xff\x7f"),
    "too many keys": frame('{"t": "dict", "v": [' + ", ".join(f"[{n}, 0]" for n in range(50_000)) + "]}"),
    "keys that are none": frame('{"t": "dict", "v": [[[1], 2], [{"t": "dict", "v": []}, 3]]}'),
    "half a pair": frame('{"t": "dict", "v": [[1], 2, "ab", "abc"]}'),
    "no list": frame('{"t": "tuple", "v": 7}'),
    "a name with control characters": frame('{"t": "opaque", "type": "\\u001b[2J\\n\\u202e\\ud800"}'),
    "half a character": frame('"\\ud800 \\udfff"'),
    "another's number": lambda number: frame()(number + 1),
    "no number at all": lambda number: frame()(0).replace(b'"id": 0', b'"id": [0]'),
    "another kind": lambda number: frame()(number).replace(b'"value"', b'["value"]', 1),
    "twice": lambda number: frame("1.0")(number) * 2,
}

protocol = sys.modules["autograder.protocol"]
send = protocol.send


def forge(sock, message, arrays=()):
    if message.get("is") in ("value", "exception"):
        sock.sendall(FRAMES[WHICH](message["id"]))
    else:
        send(sock, message, list(arrays))


protocol.send = forge
print("TRIED")
