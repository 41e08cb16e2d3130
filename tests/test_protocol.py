"""What crosses the boundary: plain values go through unchanged, and nothing else gets through."""

from __future__ import annotations

import collections
import contextlib
import copy
import json
import math
import socket
import struct
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import protocol
from autograder.protocol import Opaque, ProtocolError, decode, encode

FEW = settings(max_examples=300, deadline=None, derandomize=True)


def crossed(value):
    """Return `value` as it arrives at the other end of a socket."""
    tree, arrays = encode(value)
    message, arrived = transferred({"value": tree}, arrays)
    return decode(message["value"], arrived)


def transferred(message, arrays=()):
    """Return one frame as it arrives at the other end of a socket."""
    near, far = socket.socketpair()
    with near, far:
        sender = threading.Thread(target=protocol.send, args=(near, message, list(arrays)))
        sender.start()
        try:
            return protocol.receive(far)
        finally:
            sender.join()


def received(data):
    """Receive one frame from a peer that sends `data`, whatever it is, and then nothing more."""
    near, far = socket.socketpair()
    with near, far:
        sender = threading.Thread(target=_send_all, args=(near, data))
        sender.start()
        try:
            return protocol.receive(far)
        finally:
            far.close()
            sender.join()


def _send_all(sock, data):
    with contextlib.suppress(OSError):  # the receiver had enough of it
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def framed(header, data=b""):
    """Return the bytes of a frame with this JSON text."""
    return struct.pack("<I", len(header)) + header + data


def same(got, sent):
    """Say whether two values are of the same types throughout, and equal, nan being equal to nan."""
    if type(got) is not type(sent):
        return False
    if isinstance(sent, np.ndarray | np.generic):
        kinds = (got.dtype, got.shape) == (sent.dtype, sent.shape)
        return kinds and np.array_equal(got, sent, equal_nan=sent.dtype.kind in "fc")
    if isinstance(sent, list | tuple):
        return len(got) == len(sent) and all(map(same, got, sent))
    if isinstance(sent, dict):
        return list(got) == list(sent) and all(same(got[key], sent[key]) for key in sent)
    if isinstance(sent, complex):
        return same(got.real, sent.real) and same(got.imag, sent.imag)
    return got == sent or (got != got and sent != sent)


def deep(levels, leaf="null"):
    return json.loads("[" * levels + leaf + "]" * levels)


class TestRoundTrips:
    """Plain values arrive as they were sent, types included."""

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            -(2**63),
            2**63 - 1,
            2**63,
            -(2**63) - 1,
            2**2047,
            0.1,
            -0.0,
            5e-324,
            math.inf,
            -math.inf,
            math.nan,
            complex(0.1, -0.0),
            complex(math.nan, -math.inf),
            "",
            "déjà 数 🎓 \x00 \ud800",
            b"",
            bytes(range(256)),
            [],
            (),
            {},
            [None, [True, (1, 2.5)], {"a": [b"x"]}],
            {1: "a", (2, "b"): None, None: 1j, "t": "array"},
            {"t": "int", "hex": "0"},
        ],
    )
    def test_plain_values(self, value):
        assert same(crossed(value), value)

    @pytest.mark.parametrize("name", sorted(protocol.DTYPES))
    def test_arrays_and_scalars_of_every_type(self, name):
        array = np.arange(-3, 3).astype(name).reshape(2, 3)
        assert same(crossed(array), array)
        assert same(crossed(array[1, 2]), array[1, 2])

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((0, 4)),
            np.zeros((3, 0, 2), np.uint8),
            np.array(2.5),
            np.array(True),
            np.array([math.nan, math.inf, -math.inf, -0.0]),
            np.zeros((1,) * protocol.MAX_AXES),
            np.zeros((0, 10**12)),
        ],
    )
    def test_odd_arrays(self, array):
        """Empty ones, those without axes, with special values, with many or long axes."""
        assert same(crossed(array), array)

    @pytest.mark.parametrize(
        "view",
        [
            lambda a: a.T,
            np.asfortranarray,
            lambda a: a[::-1, ::2],
            lambda a: np.broadcast_to(a[0], a.shape),
            lambda a: np.frombuffer(a.tobytes(), a.dtype),
            lambda a: a.astype(a.dtype.newbyteorder(">")),
            lambda a: a.astype(">c16"),
            lambda a: a.astype(">i2").T,
            lambda a: np.ma.masked_less(a, 0),
        ],
    )
    def test_arrays_in_other_orders(self, view):
        """Strides, byte order, ownership and subclass do not matter: the same numbers arrive."""
        array = view(np.arange(12.0).reshape(3, 4))
        arrived = crossed(array)
        assert type(arrived) is np.ndarray
        assert arrived.dtype.isnative
        assert arrived.flags.c_contiguous
        assert np.array_equal(arrived, np.asarray(array))

    def test_a_big_endian_scalar(self):
        assert crossed(np.dtype(">f4").type(2.5)) == 2.5
        assert crossed(np.array([1, 2], ">i4")[1]) == 2

    def test_numpy_strings_are_strings(self):
        assert same(crossed(np.array(["cat", "dog"])[1]), "dog")
        assert same(crossed(np.bytes_(b"cat")), b"cat")

    def test_long_lists_of_numbers_travel_as_arrays(self):
        """A list of many numbers is an array on the other side, which every convention allows."""
        numbers = [[0.5, n] for n in range(protocol.LONG_LIST)]
        assert np.array_equal(crossed(numbers), numbers)
        assert same(crossed(["a"] * protocol.LONG_LIST), ["a"] * protocol.LONG_LIST)
        ragged = [[0] * (n % 3) for n in range(protocol.LONG_LIST)]
        assert same(crossed(ragged), ragged)

    @FEW
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**2000), 2**2000) | st.floats() | st.complex_numbers()
            | st.text() | st.binary()
            | hnp.arrays(st.sampled_from(sorted(protocol.DTYPES)), hnp.array_shapes(min_dims=0, min_side=0)),
            lambda inner: st.lists(inner) | st.lists(inner).map(tuple)
            | st.dictionaries(st.text() | st.integers() | st.tuples(st.text(), st.integers()), inner),
            max_leaves=20,
        )
    )  # fmt: skip
    def test_any_plain_value(self, value):
        """Encoding, the trip and decoding give back what there was."""
        assert same(crossed(value), value)

    def test_arrays_do_not_share_memory_with_the_frame(self):
        """What arrives may be written to."""
        arrived = crossed(np.zeros(3))
        arrived[:] = 1
        assert arrived.sum() == 3


class TestLies:
    """A subclass arrives as the plain value that it holds, whatever its methods say."""

    def lying(self, kind, *args):
        everything = {
            name: lambda *_: True
            for name in ("__eq__", "__ne__", "__lt__", "__gt__", "__le__", "__ge__", "__bool__")
        }
        wrong = {
            "__hash__": lambda _: 0, "__len__": lambda _: 99, "__iter__": lambda _: iter("lie"),
            "__int__": lambda _: 99, "__index__": lambda _: 99, "__float__": lambda _: 99.0,
            "__complex__": lambda _: 99j, "__str__": lambda _: "lie", "__repr__": lambda _: "lie",
            "__getitem__": lambda *_: 99, "items": lambda _: [("lie", 1)], "real": 99.0, "imag": 99.0,
            "tolist": lambda _: ["lie"], "__abs__": lambda _: 99, "__class__": property(lambda _: str),
        }  # fmt: skip
        return type("Liar", (kind,), everything | wrong)(*args)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (int, 7),
            (float, 2.5),
            (complex, 1 + 2j),
            (str, "truth"),
            (bytes, b"truth"),
            (list, [1, 2]),
            (tuple, (1, 2)),
            (dict, {"a": 1}),
            (np.float64, np.float64(2.5)),
            (np.int32, np.int32(3)),
            (np.str_, "truth"),
        ],
    )
    def test_of_every_plain_type(self, kind, value):
        assert same(crossed(self.lying(kind, value)), value)

    def test_of_arrays(self):
        class Liar(np.ndarray):
            def __eq__(self, other):
                return True

            def __array__(self, *args, **kwargs):
                return np.full(3, 99.0)

            def tobytes(self, order="C"):
                return bytes(24)

        assert same(crossed(np.arange(3.0).view(Liar)), np.arange(3.0))

    def test_of_named_and_ordered_collections(self):
        """The standard library's own subclasses are not lies, and arrive as plain values as well."""
        box = collections.namedtuple("box", "x y")(1, 2)
        ordered = collections.OrderedDict(b=1, a=2)
        assert same(
            crossed([box, ordered, collections.Counter("aab")]), [(1, 2), dict(ordered), {"a": 2, "b": 1}]
        )


class TestWhatCannotCross:
    """What has no plain form arrives as the name of its type."""

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (object(), "object"),
            ((n for n in [1]), "generator"),
            ({1, 2}, "set"),
            (len, "builtin_function_or_method"),
            (np.array([object()]), "numpy array of object"),
            (np.array(["a"]), "numpy array of str32"),
            (np.zeros(2, [("x", "f4"), ("y", "i4")]), "numpy array of void64"),
            (np.array("2026-01-01", "M8[D]"), "numpy array of datetime64[D]"),
            (np.zeros((1,) * (protocol.MAX_AXES + 1)), "numpy array (too many axes)"),
            (np.broadcast_to(np.float64(0), (10**6, 10**6)), "numpy array (too large)"),
        ],
    )  # fmt: skip
    def test_opaque_values(self, value, name):
        assert crossed(value) == Opaque(name)
        assert crossed([1, value])[1] == Opaque(name)

    def test_huge_integers(self):
        """An integer that Python may refuse to print does not get through."""
        for value in (2**protocol.MAX_INT_BITS, -(10**5000)):
            assert crossed(value) == Opaque("int (too large)")
        assert len(str(2**protocol.MAX_INT_BITS)) < sys.int_info.str_digits_check_threshold

    def test_a_type_named_by_the_student(self):
        """Its name is cut, and holds nothing that a terminal would obey."""
        named = type("\x1b[31m\n" + "x" * 200, (), {})
        assert crossed(named()) == Opaque("[31m" + "x" * 74)

    def test_recursion(self):
        """A list that holds itself, or too many values although few objects, is refused as a whole."""
        endless: list = []
        endless.append(endless)
        doubling: list = [0]
        for _ in range(protocol.MAX_DEPTH - 1):
            doubling = [doubling, doubling]
        for value in (endless, doubling, (0,) * protocol.MAX_NODES):
            assert crossed(value) == Opaque(f"{type(value).__name__} (too large or nested too deeply)")

    def test_the_deepest_and_the_largest_value(self):
        """What is just within the limits arrives."""
        deepest = deep(protocol.MAX_DEPTH)
        assert same(crossed(deepest), deepest)
        assert crossed([deepest]) == Opaque("list (too large or nested too deeply)")
        largest = (0,) * (protocol.MAX_NODES - 1)
        assert same(crossed(largest), largest)

    def test_too_many_keys(self):
        largest = dict.fromkeys(range(protocol.MAX_KEYS))
        assert same(crossed(largest), largest)
        assert crossed([largest, {0: 0}])[1] == Opaque("dict (too many keys)")
        assert crossed(largest | {-1: 0}) == Opaque("dict (too many keys)")

    def test_a_message_that_is_too_large(self):
        with pytest.raises(ProtocolError, match="too large"):
            protocol.send(None, {"text": "x" * protocol.MAX_HEADER})


class Network:
    """What stands for a Keras model here."""

    def __init__(self, number):
        self.number = number


def numbered(value):
    return value.number if isinstance(value, Network) else None


class TestModels:
    """A model is named by what the other side knows it by, and found there again."""

    def arrived(self, value, name=numbered, find=lambda number: ("found", number)):
        tree, arrays = encode(value, name)
        message, received = transferred({"value": tree}, arrays)
        return decode(message["value"], received, find)

    def test_in_other_values(self):
        sent = [Network(0), (1, Network(7)), {"a": Network(0), "b": np.ones(2)}]
        first, second, third = self.arrived(sent)
        assert (first, second, third["a"]) == (("found", 0), (1, ("found", 7)), ("found", 0))
        assert third["b"].tolist() == [1, 1]

    def test_by_what_it_is_made_of(self):
        """Where the other side does not have it yet: its config and its weights."""
        weights = [np.arange(6.0).reshape(2, 3), np.ones(3, np.float32)]

        def name(value):
            return {"config": "{}", "weights": weights} if isinstance(value, Network) else None

        found = self.arrived([np.zeros(1), Network(0), Network(1)], name, lambda value: value)[1:]
        for told in found:
            assert same(told, {"config": "{}", "weights": weights})

    def test_only_what_has_no_plain_form_is_asked_for(self):
        """A number, an array or a text is never taken for a model."""
        asked = []
        values = [1, 2.5, "a", b"a", 1j, None, True, np.ones(2), np.float32(1), (1,), {"a": [1]}, 2**70]
        assert same(self.arrived(values, asked.append), values)
        assert asked == []
        self.arrived(object(), asked.append)
        assert len(asked) == 1

    def test_what_nobody_knows(self):
        """It is as opaque as everything else without a plain form."""
        assert self.arrived(Network(None)) == Opaque("Network")
        assert crossed(Network(0)) == Opaque("Network")

    def test_where_none_can_be(self):
        """A frame may not name a model to who keeps none."""
        tree, arrays = encode([Network(0)], numbered)
        with pytest.raises(ProtocolError, match="a model where none can be"):
            decode(tree, arrays)

    @pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, ProtocolError])
    def test_a_model_that_is_not_there(self, error):
        """What finding it raises is not the frame's fault."""

        def find(number):
            raise error("not there")

        for value in (Network(0), (1, [Network(0)]), {"a": Network(0)}):
            with pytest.raises(error, match="not there"):
                self.arrived(value, find=find)

    def test_a_model_that_was_lost(self):
        """Who names or finds it may say so, and is heard."""

        def lost(value):
            raise LookupError("lost with its process")

        with pytest.raises(LookupError, match="lost with its process"):
            encode([Network(0)], lost)
        with pytest.raises(LookupError, match="lost with its process"):
            self.arrived(Network(0), find=lost)

    def test_count_as_values(self):
        """Neither deep nor many nor repeated things pass as models."""
        tree = 0
        for _ in range(protocol.MAX_DEPTH + 1):
            tree = {"t": "model", "v": tree}
        with pytest.raises(ProtocolError, match="nested too deeply"):
            decode(tree, [], lambda value: value)
        with pytest.raises(ProtocolError, match="too large"):
            decode([{"t": "model", "v": 0}] * (protocol.MAX_NODES // 2), [], lambda value: value)
        twice = [{"t": "model", "v": {"t": "array", "i": 0}}] * 2
        with pytest.raises(ProtocolError, match="an array twice"):
            decode(twice, [ONE], lambda value: value)
        endless: list = []
        endless.append(endless)
        refused = Opaque("Network (too large or nested too deeply)")
        assert self.arrived(Network(endless)) == refused


ONE = np.zeros(2)


class TestMalformedValues:
    """JSON that `encode` does not make is refused."""

    @pytest.mark.parametrize(
        "tree",
        [
            {},
            {"v": 1},
            {"t": None},
            {"t": []},
            {"t": {}},
            {"t": "model"},
            {"t": "model", "v": 0},
            {"t": "model", "v": {"t": "dict", "v": []}},
            {"t": "int"},
            {"t": "int", "hex": 7},
            {"t": "int", "hex": "seven"},
            {"t": "int", "hex": "f" * 513},
            {"t": "int", "hex": "0" * 10_000},
            [-(2**protocol.MAX_INT_BITS)],
            {"t": "float", "v": "1.5"},
            {"t": "float", "v": 1.5},
            {"t": "float", "v": []},
            {"t": "complex", "v": "1"},
            {"t": "complex", "v": [1, 2]},
            {"t": "complex", "v": ["1", "x"]},
            {"t": "complex", "v": ["1", "2", "3"]},
            {"t": "complex", "v": ["1", None]},
            {"t": "bytes", "v": "a"},
            {"t": "bytes", "v": "é"},
            {"t": "bytes", "v": 5},
            {"t": "bytes", "v": "YQ==\n"},
            {"t": "tuple"},
            {"t": "tuple", "v": None},
            {"t": "tuple", "v": "abc"},
            {"t": "tuple", "v": {"t": "tuple", "v": []}},
            {"t": "dict", "v": None},
            {"t": "dict", "v": ["ab"]},
            {"t": "dict", "v": {"ab": 1}},
            {"t": "dict", "v": [[1]]},
            {"t": "dict", "v": [[1, 2, 3]]},
            {"t": "dict", "v": [[[], 1]]},
            {"t": "dict", "v": [[{"t": "dict", "v": []}, 1]]},
            {"t": "dict", "v": [[{"t": "array", "i": 0}, 1]]},
            {"t": "dict", "v": [[{"t": "tuple", "v": [[]]}, 1]]},
            {"t": "dict", "v": [[n, 0] for n in range(protocol.MAX_KEYS + 1)]},
            {"t": "array"},
            {"t": "array", "i": None},
            {"t": "array", "i": True},
            {"t": "array", "i": -1},
            {"t": "array", "i": 1},
            {"t": "array", "i": 0.0},
            {"t": "array", "i": "0"},
            {"t": "array", "i": 2**70},
            {"t": "scalar", "i": 0},
            {"t": "opaque"},
            {"t": "opaque", "type": None},
            {"t": "opaque", "type": deep(900)},
            deep(protocol.MAX_DEPTH + 2),
            {"t": "tuple", "v": [deep(protocol.MAX_DEPTH)]},
            deep(900),
            [0] * protocol.MAX_NODES,
            (1, 2),
            {1, 2},
            object(),
        ],
    )
    def test_refused(self, tree):
        with pytest.raises(ProtocolError):
            decode(tree, [ONE])
        with pytest.raises(ProtocolError):
            decode([{"t": "tuple", "v": [tree]}], [ONE])

    def test_an_array_is_used_once(self):
        """Or a small frame could be a list of large arrays, which fill the memory when put together."""
        tree = [{"t": "array", "i": 0}] * 2
        with pytest.raises(ProtocolError, match="twice"):
            decode(tree, [ONE])
        assert decode(tree[:1], [ONE])[0] is ONE
        assert decode(tree[:1], [ONE])[0] is ONE

    def test_an_array_that_no_value_refers_to(self):
        assert decode(1, [ONE]) == 1

    @FEW
    @given(st.data())
    def test_any_json(self, data):
        """Any JSON that looks like ours gives a value or a `ProtocolError`."""
        keys = st.sampled_from(["t", "v", "i", "hex", "type"])
        tags = st.sampled_from(
            [
                "int",
                "float",
                "complex",
                "bytes",
                "tuple",
                "dict",
                "array",
                "scalar",
                "opaque",
                "model",
                "nan",
                "1",
                "YQ==",
            ]
        )
        tree = data.draw(
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | tags,
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
                | st.fixed_dictionaries({"t": tags, "v": inner})
                | st.fixed_dictionaries({"t": tags, "i": inner}),
                max_leaves=10,
            )
        )  # fmt: skip
        readable(tree, [np.zeros(()), ONE])


def readable(tree, arrays):
    """Decode what may be malformed; return whether it is not."""
    try:
        decode(tree, arrays)
    except ProtocolError:
        return False
    return True


class TestMalformedFrames:
    """Bytes that are no frame are refused, whatever they are."""

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"null",
            b"1",
            b'"arrays"',
            b"[]",
            b"{}",
            b"{",
            b"\xff",
            b"\x00\x00\x00\x00",
            b'{"arrays": null}',
            b'{"arrays": 1}',
            b'{"arrays": "ab"}',
            b'{"arrays": {"ab": 1}}',
            b'{"arrays": [1]}',
            b'{"arrays": [["int8"]]}',
            b'{"arrays": [["int8", [1], 2]]}',
            b'{"arrays": [["object", [1]]]}',
            b'{"arrays": [["O", [1]]]}',
            b'{"arrays": [["V8", [1]]]}',
            b'{"arrays": [[["int8"], [1]]]}',
            b'{"arrays": [[null, [1]]]}',
            b'{"arrays": [["int8", 1]]}',
            b'{"arrays": [["int8", "1"]]}',
            b'{"arrays": [["int8", null]]}',
            b'{"arrays": [["int8", {"1": 1}]]}',
            b'{"arrays": [["int8", [-1]]]}',
            b'{"arrays": [["int8", [1.0]]]}',
            b'{"arrays": [["int8", [true]]]}',
            b'{"arrays": [["int8", [null]]]}',
            b'{"arrays": [["int8", [NaN]]]}',
            b'{"arrays": [["float64", [0, 549755813888, 549755813888]]]}',
            b'{"arrays": [["float64", [0, 99999999999999999999999]]]}',
            b'{"arrays": [["int8", [0' + b", 0" * protocol.MAX_AXES + b"]]]}",
            b'{"arrays": [["int8", [536870913]]]}',
            b'{"arrays": [["int8", [536870912]], ["int8", [1]]]}',
            b'{"arrays": [["int8", [1' + b"0" * 5000 + b"]]]}",
            b'{"a": ' + b"[" * 100_000 + b', "arrays": []}',
            b'{"a": ' + b"1" * 5000 + b', "arrays": []}',
            b'{"arrays": [' + b'["int8",[0]],' * protocol.MAX_NODES + b'["int8",[0]]]}',
        ],
        ids=lambda header: header[:40].decode("latin-1"),
    )
    def test_refused(self, header):
        with pytest.raises(ProtocolError):
            received(framed(header, b"data"))

    @pytest.mark.parametrize("length", [protocol.MAX_HEADER + 1, 2**32 - 1])
    def test_a_length_beyond_the_cap(self, length):
        """It is refused before any memory is taken for it."""
        tracemalloc.start()
        with pytest.raises(ProtocolError, match="too large"):
            received(struct.pack("<I", length))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20

    @pytest.mark.parametrize("size", [0, 3, 4, 20, 50, 70])
    def test_an_end_in_the_middle(self, size):
        """A peer that is gone is not malformed: it is gone."""
        whole = framed(b'{"arrays": [["float64", [2, 2]]], "is": "value"}', bytes(32))
        assert received(whole)[1][0].shape == (2, 2)
        with pytest.raises(EOFError):
            received(whole[:size])

    def test_a_silent_peer(self):
        """The socket's own timeout applies."""
        near, far = socket.socketpair()
        with near, far:
            far.settimeout(0.01)
            near.sendall(b"\x05\x00")
            with pytest.raises(TimeoutError):
                protocol.receive(far)

    def test_frames_follow_each_other(self):
        near, far = socket.socketpair()
        with near, far:
            protocol.send(near, {"n": 1}, [ONE])
            protocol.send(near, {"n": 2})
            assert protocol.receive(far)[0] == {"n": 1}
            assert protocol.receive(far) == ({"n": 2}, [])

    @pytest.mark.parametrize("shape", [[4], [2, 2], [1, 4, 1]])
    def test_truth_values_are_true_or_false(self, shape):
        """A byte that is neither 0 nor 1 would equal neither True nor False, and count for more than one."""
        header = json.dumps({"arrays": [["bool", shape]]}).encode()
        _, (array,) = received(framed(header, bytes([0, 1, 2, 255])))
        assert array.dtype == bool
        assert array.ravel().tolist() == [False, True, True, True]
        assert array.sum() == 3
        assert np.array_equal(array.view(np.uint8).ravel(), [0, 1, 1, 1])

    def test_a_single_truth_value(self):
        _, arrays = received(framed(b'{"arrays": [["bool", []]]}', b"\x02"))
        value = decode({"t": "scalar", "i": 0}, arrays)
        assert value is np.True_ or (value == True and int(value) == 1)  # noqa: E712

    @FEW
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data):
        """Bytes give a frame, a `ProtocolError` or the end of the connection."""
        with contextlib.suppress(ProtocolError, EOFError):
            received(data)

    @FEW
    @given(st.data())
    def test_any_change_of_a_frame(self, data):
        """A frame with some bytes or some JSON exchanged never does worse than a `ProtocolError`."""
        value = {"boxes": np.arange(4.0), "name": ("iou", 1j, 2**70, [None, True, b"x"]), 3: [np.int8(1)] * 2}
        tree, arrays = encode(value)
        header = {"is": "value", "value": tree, "arrays": [[a.dtype.name, list(a.shape)] for a in arrays]}
        payload = b"".join(a.tobytes() for a in arrays)
        if data.draw(st.booleans()):
            text = json.dumps(mutated(data, header)).encode()
        else:
            text = bytearray(json.dumps(header).encode())
            for position in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=4)):
                text[position] = data.draw(st.integers(0, 255))
        try:
            message, arrived = received(framed(bytes(text), payload))
        except (ProtocolError, EOFError):
            return
        readable(message.get("value"), arrived)


def mutated(data, tree):
    """Return `tree` with one or more of its parts exchanged, doubled or removed."""
    tree = copy.deepcopy(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        parts = list(_parts(tree))
        holder, place = data.draw(st.sampled_from(parts))
        if place not in (holder if isinstance(holder, dict) else range(len(holder))):
            continue
        action = data.draw(st.sampled_from(["replace", "remove", "copy"]))
        if action == "remove":
            del holder[place]
        elif action == "copy":
            other_holder, other = data.draw(st.sampled_from(parts))
            if other in (other_holder if isinstance(other_holder, dict) else range(len(other_holder))):
                holder[place] = copy.deepcopy(other_holder[other])
        else:
            holder[place] = data.draw(
                st.sampled_from(
                    [None, True, -1, 2**40, 2**70, 10**700, 0.5, math.nan, "", "array", [], {}, [[]]]
                )
                | st.text(max_size=3)
            )
    return tree


def _parts(tree):
    """Yield every place inside nested JSON as its holder and its key or index."""
    places = tree.keys() if isinstance(tree, dict) else range(len(tree))
    for place in list(places):
        yield tree, place
        if isinstance(tree[place], dict | list):
            yield from _parts(tree[place])
