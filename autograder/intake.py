"""Intake: what a student handed in is read with caps, mended, and its questions found.

It is trusted, runs none of the student's code, and raises for nothing that a student can hand in. What
leaves it is the course's own notebook with the student's answers in it: every other course cell is the
course's own again, and whatever the student added stands behind the cell that it followed.
"""

from __future__ import annotations

import ast
import difflib
import errno
import hashlib
import itertools
import json
import os
import re
import stat
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

MAX_NOTEBOOK = 200_000_000
"""Bytes of a file."""
MAX_CELLS = 2_000
"""Cells beside the course's own."""
MAX_SOURCE = 1_000_000
"""Characters of one cell."""
MAX_TEXT = 20_000_000
"""Characters of all cells together: what is kept, sent to the sandbox and parsed here."""
MAX_PARSED = 200_000
"""Characters of all code that is parsed: a syntax tree takes 500 times the memory of its text."""
MAX_BRACKETS, MAX_COMMAS = 3_000_000, 10_000_000
"""Of the raw file: a list or object of 3 bytes takes 200 bytes when parsed, an item of 2 bytes 60."""

AGAIN = "Open the notebook in Jupyter, clear all outputs, save it and hand it in again."
FILE_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
}
CELL_KINDS = {"code": "code", "raw": "raw"} | dict.fromkeys(
    ("markdown", "heading", "html", "text"), "markdown"
)
"""Cell types of all notebook formats since the first, and what they are called today."""
TEXT_KEYS = ("source", "input", "code", "text")
"""Where those formats keep a cell's text."""
SETTINGS = ("grade_id", "grade", "solution", "locked", "points", "task")
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
DEFINITION = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)|^(\w+)[ \t]*=[ \t]*lambda\b", re.MULTILINE)


@dataclass(frozen=True)
class HandedIn:
    """What was found on disk.

    Attributes:
        content: the notebook's bytes, or None where nothing could be read.
        sha256: of `content`, "" where there is none.
        notes: sentences on how it was found.
        reason: why there is no content, a sentence for teacher and student, else "".
        refused: this machine would not give the file, so the student is not to blame.
    """

    content: bytes | None
    sha256: str
    notes: tuple[str, ...]
    reason: str
    refused: bool = False


@dataclass(frozen=True)
class Intake:
    """A submission that is fit for the sandbox and for nbgrader.

    Attributes:
        notebook: valid nbformat 4.5 without outputs, its nbgrader metadata the course's own; None where
            nothing could be read.
        notes: a sentence on everything that had to be mended.
        reason: why there is no notebook, else "".
        untouched: the questions whose body is still the released one, or empty.
    """

    notebook: NotebookNode | None
    notes: tuple[str, ...]
    reason: str
    untouched: frozenset[str]


@dataclass(frozen=True, eq=False)
class _Cell:
    """One cell of the student's notebook.

    Attributes:
        squeezed: its source with single spaces for all white space.
        claim: the id of the course cell that it says it is, or "".
        settings: its nbgrader metadata.
        functions: the questions whose functions it defines.
        tree: the syntax tree of code, where Python gives one.
    """

    kind: str
    source: str
    squeezed: str
    claim: str
    settings: dict[str, Any]
    functions: frozenset[str]
    tree: ast.Module | None


def read_submission(submitted: Path, student: str, problem: str) -> HandedIn:
    """Read ``submitted/<student>/<problem>/<problem>.ipynb``, and nothing outside that folder.

    No link is followed below `submitted`, and only a regular file is read. Where the notebook has
    another name and is the only one there, it is taken with a note.
    """
    notes: list[str] = []
    try:
        with ExitStack() as stack:
            folder = _open_folder(submitted, student, problem, stack)
            names = [entry.name for entry in stack.enter_context(os.scandir(folder))]
            name = _notebook_name(names, f"{problem}.ipynb")
            if name != f"{problem}.ipynb":
                notes.append(f"There was no {problem}.ipynb; {_shown(name)} was taken for it.")
            content = _read(_open(name, folder, stat.S_IFREG, stack), _shown(name))
    except OSError as error:
        where = _shown(Path(str(error.filename or submitted)).name)
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return HandedIn(None, "", (), f"{where} could not be read: {error.strerror}.", not missing)
    except ValueError as error:
        return HandedIn(None, "", (), str(error))
    return HandedIn(content, hashlib.sha256(content).hexdigest(), tuple(notes), "")


def _shown(name: str) -> str:
    """Return a name from the disk as it may stand in a sentence: it can hold any byte but two."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name) or "An empty name"


def _open_folder(submitted: Path, student: str, problem: str, stack: ExitStack) -> int:
    """Open the folder of one submission.

    Raises:
        ValueError: a name is no folder's, or something else than a folder of its own is there.
        OSError: it is not there, or not readable.
    """
    folder = os.open(submitted, os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, folder)
    for name in (student, problem):
        if name in ("", ".", "..") or re.search(r"[/\\\0]", name):
            raise ValueError(f"{_shown(name)} can't be the name of a folder.")
        folder = _open(name, folder, stat.S_IFDIR, stack)
    return folder


def _open(name: str, folder: int, wanted: int, stack: ExitStack) -> int:
    """Open what is called `name` in an open folder, never what it links to.

    Raises:
        ValueError: it is of another kind than `wanted`.
        OSError: it is not there, or not readable.
    """

    def check(status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind != wanted:
            found = FILE_KINDS.get(kind, "a device or a socket")
            raise ValueError(f"{_shown(name)} is {found}; it must be {FILE_KINDS[wanted]} of its own.")

    check(os.stat(name, dir_fd=folder, follow_symlinks=False))
    # It may have been exchanged since: the flags refuse a link and don't wait for a pipe's other end.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    stack.callback(os.close, descriptor)
    check(os.fstat(descriptor))
    return descriptor


def _notebook_name(names: list[str], wanted: str) -> str:
    """Return the name of the one notebook among a folder's `names`."""
    if wanted in names:
        return wanted
    found = sorted(n for n in names if n.lower().endswith(".ipynb") and not n.startswith("."))
    if not found:
        raise ValueError(f"There is no notebook: {wanted} is missing.")
    if len(found) > 1:
        listed = ", ".join(map(_shown, found[:5])) + (" and more" if len(found) > 5 else "")
        raise ValueError(f"There are several notebooks ({listed}) and none is called {wanted}.")
    return found[0]


def _read(descriptor: int, name: str) -> bytes:
    """Return what is in an open file.

    Raises:
        ValueError: it is too large.
        OSError: it can't be read, or is just being written.
    """
    before = os.fstat(descriptor)
    if before.st_size > MAX_NOTEBOOK:
        raise ValueError(
            f"{name} is larger than {MAX_NOTEBOOK // 10**6} MB; clear all outputs, save, hand in again."
        )
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(before.st_size + 1)
    if (len(content), os.fstat(descriptor).st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OSError(errno.EAGAIN, "it is just being written", name)
    return content


def repair(content: bytes, source: NotebookNode, release: NotebookNode) -> Intake:
    """Put a student's answers and additions into the course's own notebook.

    Args:
        content: the file that was handed in.
        source: the course's notebook, with nbgrader's metadata; its solutions are never looked at.
        release: what students got, cell ids as in `source`.
    """
    from nbformat import from_dict

    try:
        cells, notes = _read_cells(content, release)
    except ValueError as error:
        return Intake(None, (), str(error), frozenset())
    owners = _match(cells, release)
    hosts = _hosts(owners, release)
    bodies, untouched = {}, set()
    for question in filter(_is_answer, release.cells):
        name = question.id
        bodies[name] = owners[name].source if name in owners else question.source
        if name in hosts:
            bodies[name] = f"# {name} is written in the cell {hosts[name]}."
        elif _untouched(question, owners.get(name)):
            untouched.add(name)
    extras = _extras(cells, owners, release)
    known = {cell.id for cell in source.cells}
    names = (name for n in itertools.count(1) if (name := f"student-{n}") not in known)
    mended = [_new_cell(extra.kind, extra.source, next(names), {}) for extra in extras[""]]
    for cell in source.cells:
        text = bodies[cell.id] if _is_answer(cell) else cell.source
        mended.append(_new_cell(cell.cell_type, text, cell.id, cell.metadata))
        mended += [_new_cell(extra.kind, extra.source, next(names), {}) for extra in extras[cell.id]]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": source.metadata, "cells": mended}
    notes += _notes(cells, owners, hosts, release)
    return Intake(from_dict(notebook), tuple(notes), "", frozenset(untouched))


def _load(content: bytes) -> tuple[list[Any], bool, list[str]]:
    """Return the cells as they stand in the file, whether its format is older than 4, and notes.

    Raises:
        ValueError: there are none, with a sentence that says why.
    """
    if not content.strip():
        raise ValueError(f"The file is empty. {AGAIN}")
    brackets = content.count(b"{") + content.count(b"[")
    if brackets > MAX_BRACKETS or content.count(b",") > MAX_COMMAS:
        raise ValueError(f"The notebook holds too many values to be read. {AGAIN}")
    notes = []
    try:
        try:
            data = _parse_json(content)
        except UnicodeDecodeError:
            data = _parse_json(content.decode("latin-1"))
            notes.append("The file was not in UTF-8; it was read as Latin-1, so some letters may be others.")
    except RecursionError:
        raise ValueError(f"The file is nested too deeply to be a notebook. {AGAIN}") from None
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        cut_word = any(word.startswith(rest) for word in ("true", "false", "null"))  # or no word at all
        if cut_word or error.msg.startswith("Unterminated string"):
            raise ValueError(f"The notebook breaks off before its end. {AGAIN}") from None
        raise ValueError(f"The file is no notebook: line {error.lineno} is not JSON. {AGAIN}") from None
    if isinstance(data, dict) and isinstance(data.get("cells"), list):
        return data["cells"], False, notes
    if isinstance(data, dict) and isinstance(data.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in data["worksheets"] if isinstance(sheet, dict)]
        return [cell for cells in sheets if isinstance(cells, list) for cell in cells], True, notes
    raise ValueError(f"The file is JSON, but no notebook: it has no cells. {AGAIN}")


def _parse_json(content: bytes | str) -> Any:
    """Parse, forgetting outputs and attachments on the way, so that they never add up in memory."""
    return json.loads(
        content,
        object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k not in ("outputs", "attachments")},
        parse_int=float,  # int refuses numbers of a million digits, and none is needed exactly
        strict=False,  # a line end or tab that is not escaped is no reason to refuse a notebook
    )


def _read_cells(content: bytes, release: NotebookNode) -> tuple[list[_Cell], list[str]]:
    """Return the student's cells and notes on what was cut from them.

    The version that the file claims decides nothing: only texts, types and names are taken from it, and
    where each format keeps those is unmistakable.

    Raises:
        ValueError: there are none, with a sentence that says why.
    """
    raw, old, notes = _load(content)
    ids = {cell.id for cell in release.cells}
    questions = {cell.id for cell in release.cells if _is_answer(cell) and cell.cell_type == "code"}
    cells: list[_Cell] = []
    room, parsable = MAX_TEXT, MAX_PARSED
    for item in raw:
        if len(cells) == MAX_CELLS + len(ids) or room <= 0:
            notes.append("The notebook is too long: its last cells were left out.")
            break
        if not isinstance(item, dict):
            notes.append("Something that is no cell was left out.")
            continue
        kind, text, faults = _read_text(item, old)
        notes += faults
        settings, claim = _claim(item, ids)
        tree, functions = None, frozenset[str]()
        if kind == "code" or claim:  # prose may quote code; an answer turned into prose says whose it is
            if len(text) <= parsable:
                tree = _parse(text)
                parsable -= len(text)
            functions = _functions(text, tree) & questions
        room -= len(text)
        cells.append(_Cell(kind, text, _squeezed(text), claim, settings, functions, tree))
    return cells, list(dict.fromkeys(notes))


def _read_text(item: dict[str, Any], old: bool) -> tuple[str, str, list[str]]:
    """Return a cell's kind and text as today's format has them, and notes on what was lost."""
    notes = []
    given = item.get("cell_type")
    if not isinstance(given, str) or given not in CELL_KINDS:
        notes.append("A cell of no known type was kept as plain text.")
        given = "raw"
    value = next((item[key] for key in TEXT_KEYS if key in item), "")
    parts = value if isinstance(value, list) else [value]
    lines = [part for part in parts if isinstance(part, str)]
    if len(lines) < len(parts):
        notes.append("Something that is no text was left out of a cell.")
    # Formats before 4 may have dropped the ends of the lines.
    dropped = old and lines and not lines[0].endswith(("\n", "\r"))
    text = ("\n" if dropped else "").join(lines)
    if given == "heading":
        level = next((n for n in range(1, 7) if n == item.get("level")), 1)
        text = "#" * level + " " + " ".join(text.splitlines())
    if UNWRITABLE.search(text):
        text = UNWRITABLE.sub("\ufffd", text)
        notes.append("Characters that no text file can hold were replaced.")
    if len(text) > MAX_SOURCE:
        text = text[:MAX_SOURCE]
        notes.append(f"A cell of more than {MAX_SOURCE} characters was cut.")
    return CELL_KINDS[given], text, notes


def _claim(item: dict[str, Any], ids: Collection[str]) -> tuple[dict[str, Any], str]:
    """Return a cell's nbgrader metadata and which course cell it says it is, by that or by its own id."""
    metadata = item.get("metadata")
    settings = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    settings = settings if isinstance(settings, dict) else {}
    names = (settings.get("grade_id"), item.get("id"))
    return settings, next((name for name in names if isinstance(name, str) and name in ids), "")


def _parse(source: str) -> ast.Module | None:
    """Return the syntax tree, or None where Python gives none: errors, magic commands, bombs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the student's unknown escapes are not for our log
            return ast.parse(source)
    # SystemError: some versions of Python lose count of the depth where memory is cleared up while parsing.
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
        return None


def _functions(text: str, tree: ast.Module | None) -> frozenset[str]:
    """Return the names of the functions that a cell defines at its top level."""
    if tree is None:  # a magic command or a syntax error: go by the look of the lines
        return frozenset(name or other for name, other in DEFINITION.findall(text))
    names = set()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                names.add(name)
    return frozenset(names)


def _untouched(question: NotebookNode, cell: _Cell | None) -> bool:
    """Say whether a cell is still what the release has for the question, or says nothing at all."""
    if cell is None or cell.squeezed in ("", _squeezed(question.source)):
        return True
    if question.cell_type != "code" or cell.tree is None:
        return False
    body = [s for s in cell.tree.body if isinstance(s, ast.FunctionDef) and s.name == question.id]
    if not cell.tree.body or (body and all(map(_is_placeholder, body[-1].body))):
        return True
    stub = _parse(question.source)
    try:
        return stub is not None and ast.dump(cell.tree) == ast.dump(stub)
    except RecursionError:  # so deep is no stub
        return False


def _is_placeholder(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):  # a docstring and `...` are constants
            return True
        case ast.Raise(exc=ast.Name("NotImplementedError") | ast.Call(ast.Name("NotImplementedError"))):
            return True
    return False


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _is_answer(cell: NotebookNode) -> bool:
    """Say whether the student's text stands in this course cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _match(cells: list[_Cell], release: NotebookNode) -> dict[str, _Cell]:
    """Return the student's cell for each course cell that has one; no cell stands for two."""
    owners: dict[str, _Cell] = {}
    # Answers choose first: they are what a student can lose.
    for course in sorted(release.cells, key=_is_answer, reverse=True):
        taken = set(owners.values())
        free = [cell for cell in cells if cell not in taken]
        found = _answer(course, free) if _is_answer(course) else _copy(course, free, release)
        if found:
            owners[course.id] = found
    return owners


def _answer(question: NotebookNode, free: list[_Cell]) -> _Cell | None:
    """Return the last cell that answers the question, one that claims to before any other."""

    def rank(cell: _Cell) -> tuple[bool, bool, bool]:
        written = not _untouched(question, cell)
        return written and question.id in cell.functions, cell.claim == question.id, written

    candidates = [
        cell
        for cell in reversed(free)
        if cell.claim == question.id
        # A cell that answers the question it claims may define another's function on the way.
        or (question.id in cell.functions and cell.claim not in cell.functions)
    ]
    return max(candidates, key=rank, default=None)


def _copy(course: NotebookNode, free: list[_Cell], release: NotebookNode) -> _Cell | None:
    """Return the cell that claims to be a locked one or, where none does, one with the same text."""
    text = _squeezed(course.source)
    named = [cell for cell in free if cell.claim == course.id]
    if named:
        return max(named, key=lambda cell: cell.squeezed == text)
    locked = {cell.id for cell in release.cells if not _is_answer(cell)}
    same = (cell for cell in free if cell.claim not in locked and cell.squeezed == text)
    return next(same, None)


def _hosts(owners: dict[str, _Cell], release: NotebookNode) -> dict[str, str]:
    """Return, for questions not answered in their own cells, the other question's cell that does it.

    That is what merging two cells leaves behind.
    """
    return {
        question.id: host
        for question in filter(_is_answer, release.cells)
        if _untouched(question, owners.get(question.id))
        for host, cell in owners.items()
        if question.id in cell.functions and not _untouched(question, cell)
    }


def _extras(cells: list[_Cell], owners: dict[str, _Cell], release: NotebookNode) -> dict[str, list[_Cell]]:
    """Return the student's additional cells by the id of the course cell that they follow."""
    places = {cell: course for course, cell in owners.items()}
    known = {_squeezed(cell.source) for cell in release.cells}
    extras = defaultdict(list)
    last = ""
    for cell in cells:
        if cell in places:
            last = places[cell]
        # A second copy of what was handed out adds nothing, and after an answer would undo it.
        elif cell.squeezed not in known:
            extras[last].append(cell)
    return extras


def _new_cell(kind: str, source: str, name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": name, "metadata": metadata, "source": source}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _notes(
    cells: list[_Cell], owners: dict[str, _Cell], hosts: dict[str, str], release: NotebookNode
) -> Iterator[str]:
    """Yield a sentence for everything that was mended and that somebody may want to know."""
    places = {cell: course for course, cell in owners.items()}
    spare = [cell for cell in cells if cell not in places]
    course = [cell.id for cell in release.cells if cell.id in owners]
    order = [places[cell] for cell in cells if cell in places]
    matcher = difflib.SequenceMatcher(None, course, order, autojunk=False)
    kept = {name for block in matcher.get_matching_blocks() for name in course[block.a :][: block.size]}
    for cell in release.cells:
        name = cell.id
        if name in hosts:
            yield f"The question {name} was found in the cell {hosts[name]}."
        elif name not in owners:
            yield f"The cell {name} was missing and was restored."
        if name not in owners:
            continue
        yield from _changes(cell, owners[name])
        strayed = owners[name].claim != name
        copies = [c for c in spare if c.claim == name or (strayed and name in c.functions)]
        if copies:
            chosen = "the last one that is written was taken" if _is_answer(cell) else "one was put back"
            yield f"There were {len(copies) + 1} cells {name}; {chosen}."
        elif name not in kept:
            yield f"The cell {name} had been moved and was put back in its place."
    if any(not owners[c.id].settings and c.metadata.get("nbgrader") for c in release.cells if c.id in owners):
        yield "Some cells had lost their nbgrader settings, which were put back."


def _changes(course: NotebookNode, cell: _Cell) -> Iterator[str]:
    """Yield a sentence for each thing in which the student's cell departs from the released one."""
    name, own = course.id, course.metadata.get("nbgrader", {})
    if cell.kind != course.cell_type:
        yield f"The cell {name} had been turned into a {cell.kind} cell and was turned back."
    if not _is_answer(course) and cell.squeezed != _squeezed(course.source):
        yield f"The cell {name} had been changed and was put back."
    if _is_answer(course) and cell.claim != name:
        yield f"The cell {name} was found by the function that it defines."
    changed = ", ".join(key for key in SETTINGS if (cell.settings.get(key) or 0) != (own.get(key) or 0))
    if cell.claim == name and cell.settings and changed:
        yield f"The nbgrader settings of the cell {name} ({changed}) had been changed and were put back."


MAX_TIMESTAMP = 100
"""Bytes of a file that holds one date."""


def read_timestamp(submitted: Path, student: str, problem: str, known: str = "") -> str:
    """Return what ``timestamp.txt`` says on when a submission was handed in.

    No link is followed below `submitted`. What nbgrader can't read as a date would stop it, so that
    counts as no date, which is "".

    Args:
        known: what it has read before, to say so again without importing nbgrader.
    """
    try:
        with ExitStack() as stack:
            folder = _open_folder(submitted, student, problem, stack)
            descriptor = _open("timestamp.txt", folder, stat.S_IFREG, stack)
            if os.fstat(descriptor).st_size > MAX_TIMESTAMP:
                return ""
            text = _read(descriptor, "timestamp.txt").decode().strip()
        if text != known:
            from nbgrader.utils import parse_utc

            parse_utc(text)
    except (OSError, ValueError, OverflowError):  # parse_utc takes time zones from files, and can overflow
        return ""
    return text
