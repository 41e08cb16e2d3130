"""What a student reads about a question: which slip it was, or which check, never a hidden argument."""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING

from autograder import answers
from autograder.errors import StudentError, StudentTimeout

if TYPE_CHECKING:
    from autograder.grader import Question, Slip
    from autograder.submission import Call

MAX_MESSAGE = 200
"""Characters of an exception's own text that a student reads back."""
MAX_SOURCE = 200_000
"""Characters of code that is parsed to find the texts in it, and that is searched for names."""


def recognise(question: Question, checks: Sequence[Sequence[Call]], failed: Sequence[int]) -> list[str]:
    """Return the names of the slips that explain a question's answers.

    A slip explains them when it gives the student's answers to every call. Where none does, because two
    mistakes met, a failed check may still name the only slip that gives all the answers of that check.

    Args:
        question: the question, with its slips.
        checks: the calls of every check, right or wrong.
        failed: the positions in `checks` of those that failed.
    """
    slips = [slip for slip in question.slips.values() if not slip.told]
    everything = [call for calls in checks for call in calls if call.name == question.name]
    if not everything or not failed:
        return []
    whole = _explaining(slips, everything, question.tolerance)
    if whole:
        return [whole[0].name]
    found: list[str] = []
    for position in failed:
        calls = [call for call in checks[position] if call.name == question.name]
        candidates = _explaining(slips, calls, question.tolerance) if len(calls) > 1 else []
        if len(candidates) == 1 and candidates[0].name not in found:
            found.append(candidates[0].name)
    return found


def _explaining(slips: Iterable[Slip], calls: Sequence[Call], tolerance: float) -> list[Slip]:
    timed_out = any(isinstance(call.error, StudentTimeout) for call in calls)
    if timed_out:
        return [slip for slip in slips if slip.slow]
    return [
        slip
        for slip in slips
        if not slip.slow and all(_same_outcome(slip, call, tolerance) for call in calls)
    ]


def _same_outcome(slip: Slip, call: Call, tolerance: float) -> bool:
    from autograder.grader import replay

    mistaken = replay(slip.program, call.args, call.kwargs)
    if isinstance(call.error, StudentError):
        return mistaken.error is not None and mistaken.error.kinds[0] == call.error.kinds[0]
    if call.error is not None or mistaken.error is not None:
        return False
    try:
        return answers.agree(call.value, mistaken.value, tolerance)
    except TypeError:  # the slip answers with something that has no convention to compare by
        return False


def safe_message(kinds: Sequence[str], text: str, source: str) -> str:
    """Return an exception's name and text, fit for a student whose code knows hidden arguments.

    A student's exception may carry the arguments that it was called with, spelled in any code: in names
    of theirs, too. So only a message of Python's, of numpy's or of the student's own code is shown, of the
    values in their own nothing, and in one of Python's no more than types, operators and one name that is in
    the code.

    Args:
        kinds: the names of the exception's class and its bases, unverified.
        text: the exception's own text, unverified.
        source: the student's code.
    """
    name = next((kind for kind in kinds if kind in _EXCEPTIONS), "an exception")
    for messages, names in ((_MESSAGES, _names(source)), (_own_messages(source), None)):
        for parts in messages:
            values = _between(parts, text[:MAX_MESSAGE])
            if values is not None:
                shown = ["…"] * len(values) if names is None else _shown(values, names)
                said = "".join(part for pair in zip(parts, [*shown, ""], strict=True) for part in pair)
                return f"{name}: " + "".join(c if c.isprintable() else " " for c in said)
    return name


def _shown(values: Sequence[str], names: Set[str]) -> list[str]:
    """Return the values that may be read, and … for the others: of the code's own names the first alone."""
    shown = [value if value in _TYPES | _OPERATORS else "…" for value in values]
    place = next(
        (place for place, value in enumerate(values) if value in names and shown[place] == "…"), None
    )
    if place is not None:
        shown[place] = values[place]
    return shown


@functools.lru_cache(maxsize=8)
def _names(source: str) -> frozenset[str]:
    """Return the names in a student's code, of which a notebook may hold a great many."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", source[:MAX_SOURCE]))


def _between(parts: Sequence[str], text: str) -> list[str] | None:
    """Return what stands in `text` between the fixed `parts`; None where they are not its parts.

    Not a regular expression: a student's code chooses the parts, and could make that take for ever.
    """
    if not text.startswith(parts[0]):
        return None
    end, values = len(parts[0]), []
    for part in parts[1:-1]:
        found = text.find(part, end)
        if found < 0:
            return None
        values.append(text[end:found])
        end = found + len(part)
    if len(parts) == 1:
        return [] if end == len(text) else None
    last = len(text) - len(parts[-1])
    return [*values, text[end:last]] if last >= end and text.endswith(parts[-1]) else None


@functools.lru_cache(maxsize=8)
def _own_messages(source: str) -> list[list[str]]:
    """Return the texts that stand in the student's code, each split where it has a value in braces."""
    if len(source) > MAX_SOURCE:
        return []
    try:
        nodes = list(ast.walk(ast.parse(re.sub(r"(?m)^[%!].*", "", source))))  # without magics
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    messages = []
    for node in nodes:
        parts = [""]
        for piece in node.values if isinstance(node, ast.JoinedStr) else [node]:
            if isinstance(piece, ast.Constant) and isinstance(piece.value, str):
                parts[-1] += piece.value
            elif isinstance(piece, ast.FormattedValue):
                parts.append("")
        if re.search(r"\w", "".join(parts)):
            messages.append(parts)
    return messages


def safe_type(text: str, source: str) -> str:
    """Return a type's name, fit for a student whose code may have named it after hidden arguments."""
    match = re.fullmatch(r"(numpy array of )?([A-Za-z_]+)[0-9]*( \((?:too large|too many)[a-z ]*\))?", text)
    if match and (match[2] in _TYPES or match[2] in _names(source)):
        return "type " + "".join(part or "" for part in match.groups())
    return "a type of your own"


_EXCEPTIONS = frozenset(
    name for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)  # fmt: skip


_TYPES = frozenset(
    [name for name, value in vars(builtins).items() if isinstance(value, type)]
    + ["NoneType", "function", "method", "module", "generator", "builtin_function_or_method"]
    + ["ndarray", "bytes_", "str_", "void"]
)
_OPERATORS = frozenset("+ - * / // % ** @ < <= > >= == != & | ^ ~ << >> += -= *= /=".split())  # noqa: SIM905
_TEXT = """
division by zero
float division by zero
integer division or modulo by zero
integer modulo by zero
float modulo
math domain error
math range error
* index out of range
list indices must be integers or slices, not *
pop from empty list
name '*' is not defined
name '*' is not defined. Did you mean: '*'?
cannot access local variable '*' where it is not associated with a value
'*' object has no attribute '*'
'*' object is not subscriptable
'*' object is not callable
'*' object is not iterable
'*' object does not support item assignment
'*' object cannot be interpreted as an integer
module '*' has no attribute '*'
No module named '*'
unsupported operand type(s) for *: '*' and '*'
bad operand type for unary *: '*'
'*' not supported between instances of '*' and '*'
can only concatenate * (not "*") to *
object of type '*' has no len()
must be real number, not *
*() missing * required positional arguments: *
*() missing * required positional argument: '*'
*() takes * positional arguments but * were given
*() takes * positional argument but * were given
*() got an unexpected keyword argument '*'
not enough values to unpack (expected *, got *)
too many values to unpack (expected *)
cannot unpack non-iterable * object
invalid literal for int() with base *: *
could not convert string to float: *
cannot convert float NaN to integer
cannot convert float infinity to integer
maximum recursion depth exceeded
maximum recursion depth exceeded in comparison
maximum recursion depth exceeded while calling a Python object
operands could not be broadcast together with shapes *
shapes * and * not aligned: *
cannot reshape array of size * into shape *
index * is out of bounds for axis * with size *
axis * is out of bounds for array of dimension *
too many indices for array: array is *-dimensional, but * were indexed
only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are valid indices
negative dimensions are not allowed
boolean index did not match indexed array along axis *
The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()
The truth value of an empty array is ambiguous. Use `array.size > 0` to check that an array is not empty.
zero-size array to reduction operation * which has no identity
all the input array dimensions except for the concatenation axis must match exactly, but *
all the input arrays must have same number of dimensions, but *
need at least one array to concatenate
setting an array element with a sequence. *
only 0-dimensional arrays can be converted to Python scalars
only length-1 arrays can be converted to Python scalars
can only convert an array of size 1 to a Python scalar
non-broadcastable output operand with shape * doesn't match the broadcast shape *
could not broadcast input array from shape * into shape *
assignment destination is read-only
Cannot cast ufunc '*' output from dtype('*') to dtype('*') with casting rule '*'
matmul: Input operand * has a mismatch in its core dimension *, with gufunc signature * (size * is different from *)
matmul: Input operand * does not have enough dimensions *
Unable to allocate * for an array with shape * and data type *
'*'
"""  # noqa: E501
"""The messages of Python and numpy that are shown, * for what may be a value."""
_MESSAGES = [line.split("*") for line in _TEXT.strip().splitlines()]


def describe_place(source: str, line: int) -> str:
    """Quote the line of the student's own cell that raised; empty where there is no such line."""
    lines = re.split("\r\n|\r|\n", source)  # the line ends that Python counts
    if not 1 <= line <= len(lines):
        return ""
    shown = "".join(c if c.isprintable() else " " for c in lines[line - 1]).strip()
    return f" in line {line}: `{shown[:80]}`"
