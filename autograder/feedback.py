"""What a student reads about a question: which slip it was, or which check, never a hidden argument."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from autograder import answers
from autograder.errors import StudentError, StudentTimeout

if TYPE_CHECKING:
    from autograder.grader import Question, Slip
    from autograder.submission import Call

MAX_MESSAGE = 200
"""Characters of an exception's own text that a student reads back."""


def recognise(question: Question, checks: Sequence[Sequence[Call]], failed: Sequence[int]) -> list[str]:
    """Return the names of the slips that explain a question's answers.

    A slip explains them when it gives the student's answers to every call. Where none does, because two
    mistakes met, a failed check may still name the only slip that gives all the answers of that check.

    Args:
        question: the question, with its slips.
        checks: the calls of every check, right or wrong.
        failed: the positions in `checks` of those that failed.
    """
    slips = list(question.slips.values())
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

    A student's exception may carry the arguments that it was called with. So numbers are blanked, and so
    is every word that is neither Python's own nor stands in the student's own source.

    Args:
        kinds: the names of the exception's class and its bases, unverified.
        text: the exception's own text, unverified.
        source: the student's code.
    """
    name = next((kind for kind in kinds if kind in _EXCEPTIONS), "an exception")
    words = safe_words(text, source)
    return f"{name}: {words}" if words else name


def safe_words(text: str, source: str) -> str:
    """Return of `text` what is neither a number nor a word from elsewhere than Python or `source`."""
    allowed = _PYTHON_WORDS | set(re.findall(r"[A-Za-z_]+", source))
    words = re.sub(
        r"[A-Za-z_]+|[0-9][0-9_.eE+-]*",
        lambda match: match.group() if match.group() in allowed else "…",
        text[:MAX_MESSAGE],
    )
    words = re.sub(r"[^ -~…]+", " ", words)  # not joined, which could make a new word of two
    words = re.sub(r"['\"(\[{]*(…(?:[\s,.:;'\"()\[\]{}-]|x\b)*){2,}", "… ", words)
    return words.strip(" …")


_EXCEPTIONS = frozenset(
    name for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
)  # fmt: skip


_PYTHON_TEXT = """
a access after aligned all allowed along ambiguous an and any are argument arguments array arrays as
assignment associated at attribute axes axis bad base be been before between bool boolean both bound bounds
broadcast but by bytes call callable calling can cannot cast compared compatible complex concatenate
concatenation contain conversion convert converted core could decoding defined depth detected dict
dictionary did different dim dimension dimensional dimensions divide division does domain dtype dtypes
element elements ellipsis empty encountered enough error exactly exceeded except expected False few field
float for found from function generator given got gufunc had has hashable have identity implemented in
incompatible index indexed indexing indices inf infinity inhomogeneous Input input inputs instance instances
int integer integers into invalid is it item items iterable iteration iterator its keepdims key keys keyword
least len length list literal local lookup loop many match matched matching math matmul maximum mean
mismatch missing module more mul multiple must name NaN nan ndarray need negative newaxis no non None none
NoneType nonetype not number numbers numpy object objects of on one only operand operands operation operator
option or order ordinal out outside overflow par parameter parts pop positional Python ragged range read
real recursion reduction referenced requested required reshape result return returned s same scalar scalars
sequence set setting shape shapes should signature size slice slices step str string strings subscriptable
supplied supported t take takes tensor than that The the there this to together too True truth tuple type
types ufunc unary unexpected unhashable unknown unpack unsupported Use use used using valid value values
variable was were where which while with without you zero
"""
"""The words of the messages that Python and numpy raise."""
_PYTHON_WORDS = frozenset(_PYTHON_TEXT.split())


def describe_place(source: str, line: int) -> str:
    """Quote the line of the student's own cell that raised; empty where there is no such line."""
    lines = re.split("\r\n|\r|\n", source)  # the line ends that Python counts
    if not 1 <= line <= len(lines):
        return ""
    shown = "".join(c if c.isprintable() else " " for c in lines[line - 1]).strip()
    return f" in line {line}: `{shown[:80]}`"
