"""Whatever bytes come from a student, from their process or as their file: nothing worse than a sentence.

Each property is tried on a few hundred cases, always the same, and by ``pytest -m long`` on tens of
thousands of new ones. What that has found stands beside the property as an example.
"""

from __future__ import annotations

import copy
import json
import math
import socket
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import DrawFn
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator

from autograder import answers, batch, catalog, intake, protocol, specimen
from autograder.errors import SubmissionError
from autograder.models import Model
from autograder.protocol import Opaque, ProtocolError
from autograder.runner import CPU
from autograder.sandbox.host import Job, Limits
from autograder.submission import CELL_OUTPUT, MAX_ANSWERS, SandboxSubmission

from . import test_intake


def tried(short: int, long: int) -> pytest.MarkDecorator:
    """Parametrise a test by the settings of hypothesis that it runs with."""
    usual = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    few = settings(usual, max_examples=short, derandomize=True)
    many = settings(usual, max_examples=long)
    runs = [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.long)]
    return pytest.mark.parametrize("run", runs)


# --- Frames --------------------------------------------------------------------------------------------


class Wire:
    """A socket of which the other side has sent `data` and then hung up.

    Attributes:
        wanted: the most bytes that were asked for at once.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = memoryview(data)
        self.sent = bytearray()
        self.wanted = 0

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv_into(self, buffer: memoryview, size: int) -> int:
        self.wanted = max(self.wanted, size)
        piece = self.data[:size]
        buffer[: len(piece)] = piece
        self.data = self.data[len(piece) :]
        return len(piece)


def frame(header: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<I", len(header)) + header + payload


def sent(value: Any) -> bytes:
    """Return the bytes that `value` travels as."""
    wire = Wire()
    tree, arrays = protocol.encode(value)
    protocol.send(wire, {"value": tree}, arrays)
    return bytes(wire.sent)


def arrived(data: bytes) -> Any:
    """Return the value that a frame brings."""
    wire = Wire(data)
    message, arrays = protocol.receive(wire)
    return protocol.decode(message.get("value"), arrays)


NUMBERS = st.integers(-(2**2047), 2**2047) | st.integers(-3, 3) | st.floats() | st.complex_numbers()
TEXTS = st.text(st.characters(), max_size=6)
ARRAYS = hnp.arrays(
    st.sampled_from(sorted(protocol.DTYPES)), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.binary(max_size=6) | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(TEXTS | st.integers(-9, 9) | st.tuples(TEXTS, st.integers()), inner, max_size=3)
    ),
    max_leaves=12,
)
"""Values that may cross."""


def identical(one: Any, other: Any) -> bool:
    """Say whether two values are of the same types and hold the same bits, nan and -0.0 included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        same_kind = (one.dtype, one.shape) == (other.dtype, other.shape)
        return same_kind and np.asarray(one).tobytes() == np.asarray(other).tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return identical(list(one.items()), list(other.items()))
    if isinstance(one, complex):
        return identical((one.real, one.imag), (other.real, other.imag))
    if isinstance(one, float):
        return (one != one and other != other) or struct.pack("d", one) == struct.pack("d", other)
    return one == other


@tried(short=300, long=20_000)
def test_every_plain_value_arrives_as_it_was(run: settings) -> None:
    @run
    @given(PLAIN)
    def arrives(value: Any) -> None:
        assert identical(arrived(sent(value)), value)

    arrives()


TAGS = st.sampled_from(
    ["int", "float", "complex", "bytes", "tuple", "dict", "array", "scalar", "opaque", "model", "pickle"]
)
ODD_JSON = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 10**700, 0.5, math.nan, math.inf, -math.inf, 1e308,
    "", "nan", "inf", "0x1", "1_000", " 1", "ff" * 300, "YQ==", "YQ", "\ud800", "\0\x1b[2J\u202e", "é" * 50,
    [], [[]], {}, {"t": "int"}, [None] * 3,
]  # fmt: skip
"""Values that JSON can say and that a careless reader may stumble over."""
NESTED = st.integers(2, 120).map(lambda depth: json.loads("[" * depth + "]" * depth))
TREES = st.recursive(
    st.sampled_from(ODD_JSON) | TAGS | NESTED,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["t", "v", "i", "hex", "type"]), inner, max_size=3)
        | st.fixed_dictionaries({"t": TAGS, "v": inner})
        | st.fixed_dictionaries({"t": TAGS, "v": st.lists(st.lists(inner, max_size=2), max_size=3)})
        | st.fixed_dictionaries({"t": st.sampled_from(["array", "scalar"]), "i": st.integers(-1, 3)})
    ),
    max_leaves=8,
)
"""JSON that looks like the form of a value."""
LAYOUTS = st.lists(
    st.tuples(
        st.sampled_from([*sorted(protocol.DTYPES), "object", "O", "V8", "f4,O", None, 3]),
        st.lists(st.sampled_from([0, 1, 2, 3, -1, 2**29, 2**40, 2**70, True, 1.0, None]), max_size=4)
        | st.sampled_from([None, 3, "12", {}, [0] * 40]),
    ),
    max_size=3,
)
"""What a frame says of the arrays behind it."""


@st.composite
def frames(draw: DrawFn) -> bytes:
    """Return bytes that may be a frame: a good one that was damaged, one that was never good, or noise."""
    kind = draw(st.sampled_from(["damaged", "structured", "edited", "noise"]))
    if kind == "noise":
        return draw(st.binary(max_size=60))
    if kind == "damaged":
        data = bytearray(sent(draw(PLAIN)))
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)
    arrays = draw(st.lists(ARRAYS, max_size=3))
    payload = b"".join(array.tobytes() for array in arrays)
    layouts = [[array.dtype.name, list(array.shape)] for array in arrays]
    if draw(st.integers(0, 3)) == 0:
        layouts, payload = draw(LAYOUTS), draw(st.binary(max_size=60))
    header = json.dumps({"is": "value", "value": draw(TREES), "arrays": layouts})
    if kind == "edited":
        start, end = sorted(draw(st.integers(0, len(header))) for _ in range(2))
        added = draw(
            st.sampled_from(["", "[", "{", "]}", "NaN", "1e999", "9" * 5_000, '"value": 1, ', "\\u"])
        )
        header = header[:start] + added + header[end:]
    return frame(header.encode("utf-8", "surrogatepass"), payload)


def parts(value: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """Yield everything in a value, and how deep it lies."""
    yield value, depth
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    if isinstance(inner, list | tuple):
        for item in inner:
            yield from parts(item, depth + 1)


CROSSING = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, Opaque)
SMALL_CAPS = {"MAX_HEADER": 400, "MAX_ARRAYS": 40, "MAX_DEPTH": 3, "MAX_AXES": 2, "MAX_INT_BITS": 70}


def check_frame(data: bytes) -> None:
    """Read a frame that may be anything, and check what comes of it, if something does."""
    wire = Wire(data)
    try:
        message, arrays = protocol.receive(wire)
        value = protocol.decode(message.get("value"), arrays)
    except (ProtocolError, EOFError):
        return
    finally:
        assert wire.wanted <= max(4, protocol.MAX_HEADER, protocol.MAX_ARRAYS)
    assert sum(array.nbytes for array in arrays) <= min(protocol.MAX_ARRAYS, len(data))
    found = list(parts(value))
    assert len(found) <= protocol.MAX_NODES
    for part, depth in found:
        assert depth <= protocol.MAX_DEPTH
        if isinstance(part, np.ndarray | np.generic):
            assert part.dtype.name in protocol.DTYPES
            assert part.dtype.isnative
            assert part.ndim <= protocol.MAX_AXES
            assert part.dtype != bool or set(np.asarray(part).tobytes()) <= {0, 1}
        else:
            assert type(part) in CROSSING
        if isinstance(part, int):
            assert part.bit_length() <= protocol.MAX_INT_BITS
        if isinstance(part, Opaque):
            assert part.type_name.isprintable()
            assert len(part.type_name) <= 80
    if not any(isinstance(part, Opaque) for part, _ in found):
        assert identical(arrived(sent(value)), value)


@tried(short=400, long=50_000)
def test_whatever_arrives_is_a_plain_value_or_refused(run: settings) -> None:
    @run
    @given(frames())
    def read(data: bytes) -> None:
        check_frame(data)

    read()


@tried(short=200, long=10_000)
def test_caps_hold_whatever_arrives(run: settings) -> None:
    """The same with caps so low that most frames meet one."""

    @run
    @given(frames())
    def read(data: bytes) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in SMALL_CAPS.items():
                patch.setattr(protocol, name, value)
            check_frame(data)

    read()


# --- A process -----------------------------------------------------------------------------------------


class Scripted:
    """A sandbox whose processes say what stands in a script, whatever they are asked."""

    runner = CPU

    def __init__(self, said: bytes) -> None:
        self.said = said
        self._ends: list[socket.socket] = []

    def job(self, limits: Limits, seed: int) -> Job:
        channel, process = socket.socketpair()
        control, watcher = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ends += [process, watcher]
        process.sendall(frame(b'{"is": "ready", "arrays": []}') + self.said)
        for end in (process, watcher):
            end.shutdown(socket.SHUT_WR)
        return Job(channel, control, limits, None)

    def close(self) -> None:
        for end in self._ends:
            end.close()


CELL = "def f(x):\n    return x\n"
OUTPUT_KEYS = st.sampled_from(
    ["output_type", "name", "text", "data", "metadata", "ename", "evalue", "traceback", "execution_count"]
)
OUTPUT_TYPES = st.sampled_from(
    ["stream", "error", "display_data", "execute_result", "update_display_data", "clear_output"]
)
MIME_TYPES = st.sampled_from(["text/plain", "text/html", "image/png", "application/javascript", ""])
FORGED_OUTPUTS = st.fixed_dictionaries(
    {"output_type": OUTPUT_TYPES | st.sampled_from(ODD_JSON)},
    optional={"data": st.dictionaries(MIME_TYPES, TREES, max_size=2) | TREES, "traceback": st.lists(TREES)},
) | st.dictionaries(OUTPUT_KEYS, TREES, max_size=4)
KINDS = st.sampled_from(
    ["ValueError", "NotImplementedError", "MemoryError", "KeyboardInterrupt", "\x1b[31m", "\ud800", "x" * 99]
)
EXCEPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "kinds": st.lists(KINDS | st.sampled_from(ODD_JSON), max_size=3) | TREES,
        "text": TEXTS
        | TREES
        | st.sampled_from(["division by zero", "unhashable type: 'list'", "(2,3) (4,)"]),
        "places": st.lists(st.lists(st.sampled_from([0, 1, 2, -1, 10**30, True, None, "1"]), max_size=3))
        | TREES,
    },
)
DESCRIPTIONS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("input_shape", "output_shape", "parameters", "layers", "config", "weights"), PLAIN
    ),
).map(lambda told: {"t": "dict", "v": [[key, protocol.encode(value)[0]] for key, value in told.items()]})


@st.composite
def replies(draw: DrawFn) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return what a subverted process may say in the place of a reply, and the arrays behind it."""
    tree, arrays = draw(
        PLAIN.map(protocol.encode)
        | st.tuples(TREES | DESCRIPTIONS | st.just({"t": "model", "v": 0}), st.just([]))
    )
    told = {
        "is": draw(st.sampled_from(["value", "value", "value", "exception", "missing", "done", "odd"])),
        "ok": draw(st.sampled_from([True, False, None, "yes"])),
        "full": draw(st.sampled_from([False, True, 1])),
        "value": tree,
    }
    return told | draw(EXCEPTIONS), arrays


@st.composite
def scripts(draw: DrawFn) -> bytes:
    """Return all that a process says: some replies by turns, with outputs before them, then perhaps worse."""
    turns = draw(st.lists(replies(), min_size=1, max_size=4))
    shown = draw(st.lists(FORGED_OUTPUTS | TREES, max_size=3))
    said = Wire()
    for output in shown:
        protocol.send(said, {"is": "output", "output": output})
    for number in range(1, draw(st.sampled_from([24, 24, 24, 2, 5])) + 1):
        told, arrays = turns[number % len(turns)]
        protocol.send(said, told | {"id": number}, arrays)
    if draw(st.booleans()):
        told, arrays = draw(replies())
        protocol.send(said, told | {"id": draw(st.sampled_from(ODD_JSON)), "is": draw(TREES)}, arrays)
    return bytes(said.sent) + draw(frames())


ASKED: tuple[Callable[[SandboxSubmission], Any], ...] = (
    lambda submission: submission.f(1.0),
    lambda submission: submission.limited(1, "Be quick.").f([1], named=np.zeros(2)),
    lambda submission: submission.value("x"),
    lambda submission: submission.file("model.keras"),
)
WANTED = (None, True, 1, 0.5, 1j, "a", [1, 2], {"a": 1}, np.zeros((2, 2)), np.ones(3, bool), np.float32(1))
OF_A_MODEL: tuple[Callable[[Model], Any], ...] = (
    lambda model: model.input_shape,
    lambda model: [list(layer.walk()) for layer in model.layers],
    lambda model: model.count_params(),
    lambda model: model.predict(np.zeros((1, 2))),
    lambda model: (model.network().layers, model.network().learning_rate),
)


def check_submission(said: bytes) -> None:
    """Ask a submission whose process follows a script; check all that a grader or a student gets of it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL, id="f")])
    with closing(Scripted(said)) as sandbox:
        submission = SandboxSubmission(
            student="mallory",
            sandbox=sandbox,
            notebook=notebook,
            untouched=frozenset(),
            limits=Limits(),
            seed=0,
        )
        with closing(submission), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            submission.execute()
            for ask in ASKED:
                for value in told(lambda ask=ask: ask(submission)):
                    for want in WANTED:
                        difference = answers.difference(value, want)
                        assert difference is None or difference.isprintable()
                    if isinstance(value, Model):
                        for question in OF_A_MODEL:
                            told(lambda question=question, model=value: question(model))
    assert all(sentence.isprintable() for sentence in submission.stopped())
    nbformat.validate(notebook)
    assert len(nbformat.writes(notebook).encode()) < 6 * (CELL_OUTPUT + MAX_ANSWERS)


def told(ask: Callable[[], Any]) -> list[Any]:
    """Return what came of asking, nothing where a sentence for the student did."""
    try:
        return [ask()]
    except SubmissionError as error:
        sentence = str(error)
    assert sentence.isprintable()
    return []


@tried(short=200, long=10_000)
def test_no_process_can_say_what_a_grader_can_not_take(run: settings) -> None:
    @run
    @given(scripts())
    def answer(said: bytes) -> None:
        check_submission(said)

    answer()


# --- A file --------------------------------------------------------------------------------------------

COURSES = {
    "small": (test_intake.SOURCE, test_intake.RELEASE, test_intake.answered(test_intake.RELEASE)),
    "iou": (
        *batch.course_notebooks(catalog.problem("iou")),
        specimen.handed_in(catalog.problem("iou"), specimen.reference(catalog.problem("iou"))),
    ),
}
"""Of two courses the source, the release, and what somebody handed in who has answered everything."""
DEEP = json.loads("[" * 50 + "]" * 50)
ODD_VALUES = [*ODD_JSON, DEEP, "code", "markdown", "raw", "heading", "iou", "area", "test-iou", "student-1"]
ODD_SOURCES = [
    "", " \n", "x = 1", "def iou(x):\n    return 7", "def area(x):\n    pass\n\ndef iou(x):\n    return x",
    "iou = area = lambda x: x", "%%time\ndef iou(x): return 1", "def iou(x):\n\treturn (", "\ud800\0",
    "raise NotImplementedError", '"""\ndef iou(x): pass\n"""', "# iou is written in the cell area.",
    "(" * 300, "-" * 3_000 + "1", "### BEGIN HIDDEN TESTS", "import math",
    ["def iou(x):\n", None, "    return x"], [[]], {"a": 1}, None, 7,
]  # fmt: skip
NAMES = [
    "area",
    "iou",
    "test-iou",
    "intro",
    "student-1",
    "mine",
    "",
    "with space",
    "\ud800",
    None,
    7,
    ["iou"],
]


@st.composite
def edits(draw: DrawFn, notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook in which a few things were changed, as students, editors and forgers do."""
    notebook = copy.deepcopy(notebook)
    for _ in range(draw(st.integers(1, 6))):
        edit(draw, notebook)
    return notebook


def edit(draw: DrawFn, notebook: dict[str, Any]) -> None:
    """Change one thing in a notebook, whatever earlier changes have left of it."""
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not cells:
        notebook["cells"] = draw(st.sampled_from([[], [{}], None, 3]))
        return
    place = draw(st.integers(0, len(cells) - 1))
    other = draw(st.integers(0, len(cells) - 1))
    cell = cells[place] if isinstance(cells[place], dict) else {}
    known = cell.get("metadata")
    known = known.get("nbgrader") if isinstance(known, dict) else None
    known = known if isinstance(known, dict) else {}
    match draw(st.sampled_from(EDITS)):
        case "delete":
            del cells[place]
        case "copy":
            cells.insert(other, copy.deepcopy(cells[place]))
        case "move":
            cells.insert(other, cells.pop(place))
        case "swap sources" if isinstance(cells[other], dict):
            cell["source"], cells[other]["source"] = cells[other].get("source"), cell.get("source")
        case "swap names" if isinstance(cells[other], dict):
            for key in ("id", "metadata"):
                cell[key], cells[other][key] = cells[other].get(key), cell.get(key)
        case "merge" if isinstance(cells[other], dict) and other != place:
            cell["source"] = f"{cell.get('source')}\n\n{cells.pop(other).get('source')}"
        case "split":
            lines = str(cell.get("source")).splitlines(keepends=True)
            cells.insert(place + 1, copy.deepcopy(cell) | {"source": lines[len(lines) // 2 :]})
            cell["source"] = lines[: len(lines) // 2]
        case "rename":
            cell["id"] = draw(st.sampled_from(NAMES))
        case "rename in nbgrader":
            known["grade_id"] = draw(st.sampled_from(NAMES))
        case "strip":
            cell["metadata"] = draw(st.sampled_from([{}, None, [], {"nbgrader": None}, {"tags": ["train"]}]))
            cell.pop("id", None)
        case "set":
            key = draw(st.sampled_from([*intake.SETTINGS, "schema_version", "cell_type", "checksum"]))
            known[key] = draw(st.sampled_from(ODD_VALUES))
        case "write":
            cell["source"] = draw(st.sampled_from(ODD_SOURCES) | TEXTS)
        case "turn":
            cell["cell_type"] = draw(st.sampled_from(ODD_VALUES))
        case "add":
            kind = draw(st.sampled_from(["code", "markdown", "raw", "heading"]))
            added = {"cell_type": kind, "source": draw(st.sampled_from(ODD_SOURCES)), "level": 2}
            cells.insert(place, draw(st.sampled_from([added, None, 7, "cell", []])))
        case "replace":
            keys = ["outputs", "attachments", "metadata", "execution_count", "source", "extra"]
            cell[draw(st.sampled_from(keys))] = draw(st.sampled_from(ODD_VALUES))
        case "around":
            key = draw(st.sampled_from(["nbformat", "nbformat_minor", "metadata", "worksheets", "extra"]))
            notebook[key] = draw(st.sampled_from(ODD_VALUES))
        case "wrap":
            notebook["worksheets"] = [{"cells": notebook.pop("cells")}, None, {"cells": None}]


EDITS = (
    "delete", "copy", "move", "swap sources", "swap names", "merge", "split", "rename", "rename in nbgrader",
    "strip", "set", "write", "turn", "add", "replace", "around", "wrap",
)  # fmt: skip


@st.composite
def damaged(draw: DrawFn, notebook: dict[str, Any]) -> bytes:
    """Return the bytes of an edited notebook, written in some odd way or broken."""
    edited = draw(edits(notebook))
    text = json.dumps(edited, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 2)) == 2:
        place = draw(st.integers(0, len(text)))
        added = [
            '"cells": [], ', '"source": "x", ', '"metadata": {"nbgrader": 1}, ', "NaN, ", "-Infinity, ",
            "1e999", "9" * 5_000, "[" * 2_000, "[" * 300 + "]" * 300 + ", ", "{", "}", "]", '"', ",",
            "\\ud800", "\t\n", "\0",
        ]  # fmt: skip
        if draw(st.booleans()):  # where a key may stand, a second one of the same name
            place = text.find('"source"', place) if '"source"' in text[place:] else place
        text = text[:place] + draw(st.sampled_from(added)) + text[place:]
    encoding = draw(
        st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
    )
    content = text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")
    for _ in range(draw(st.sampled_from([0] * 8 + [1, 3]))):
        place = draw(st.integers(0, len(content) - 1))
        content = content[:place] + draw(st.binary(max_size=2)) + content[place + 1 :]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 30)) == 30 else content


def check_file(content: bytes, source: NotebookNode, release: NotebookNode) -> None:
    """Take in a file that may be anything, and check what must be true of whatever comes out."""
    taken = intake.repair(content, source, release)
    if taken.notebook is None:
        assert taken.reason.endswith(".")
        return
    assert taken.reason == ""
    assert all(note.isprintable() and note.endswith(".") for note in taken.notes)
    course = {cell.id: cell for cell in source.cells}
    ids = [cell.id for cell in taken.notebook.cells]
    assert [name for name in ids if name in course] == list(course)
    assert len(set(ids)) == len(ids)
    for cell in taken.notebook.cells:
        if cell.id in course:
            ours = course[cell.id]
            assert (cell.cell_type, cell.metadata) == (ours.cell_type, ours.metadata)
            assert cell.source == ours.source or ours.metadata.get("nbgrader", {}).get("solution")
        else:
            assert (cell.metadata, cell.get("outputs", [])) == ({}, [])
    assert taken.notebook.metadata == source.metadata
    assert taken.untouched <= {c.id for c in release.cells if c.metadata.get("nbgrader", {}).get("solution")}
    nbformat.validate(taken.notebook)
    MetadataValidator().validate_nb(taken.notebook)
    text = nbformat.writes(taken.notebook)
    assert nbformat.reads(text.encode().decode(), as_version=4) == taken.notebook
    again = intake.repair(text.encode(), source, release)
    assert again.notebook == taken.notebook
    assert again.untouched == taken.untouched


def strayed(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook whose last test stands first, with an addition behind it and one further down."""
    notebook = copy.deepcopy(notebook)
    test = [cell for cell in notebook.cells if cell.id.startswith("test-")][-1]
    notebook.cells.remove(test)
    first, second = (nbformat.v4.new_code_cell(f"{name} = 1", id=name) for name in ("x", "y"))
    notebook.cells[0:0] = [test, first]
    notebook.cells.insert(4, second)
    return notebook


@pytest.mark.parametrize("course", COURSES)
@tried(short=200, long=15_000)
def test_whatever_is_handed_in_becomes_the_courses_own_notebook(run: settings, course: str) -> None:
    """Its cells, names, points and tests are the course's, and taking it in once more changes nothing."""
    source, release, answered = COURSES[course]
    some = settings(run, max_examples=run.max_examples // (1 if course == "small" else 5))

    @some
    @given(damaged(json.loads(nbformat.writes(answered))))
    @example(json.dumps(strayed(answered)).encode())  # additions were named in the order of the file
    def take_in(content: bytes) -> None:
        check_file(content, source, release)

    take_in()
