"""Every sentence that students can be told, on one page for teachers to read.

They are read from the code that says them, so that the page can't lag behind it: where a value
would be put in, the page has an ellipsis.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder import catalog, errors, grader
from autograder.catalog import ROOT, Problem
from autograder.results import write_atomically

PAGE = ROOT / "docs" / "feedback.md"
ENGINE = Path(__file__).parent
SAID_BY = {
    "an answer is of another kind than was asked for": ["answers.py"],
    "code raised, took too long, or ended its process": ["submission.py", "lab.py"],
    "a model can't be built again": ["models.py"],
}
"""Files of the engine whose sentences may end a question, whatever the question."""


def page(problems: Iterable[Problem] | None = None) -> str:
    """Return the page, in Markdown."""
    lines = [
        "# What students read",
        "",
        "Made by `convgrade build` from the graders and the engine: edit those. Below each question are the",
        "misconceptions that are told by name. Where none is recognised, a student reads *Not yet:* with the",
        "lines of the checks that failed, perhaps with a reason. An ellipsis (…) stands for a name of the",
        "student's own, a Python type or a limit, never for a hidden argument or an expected value.",
    ]
    for problem in catalog.problems() if problems is None else problems:
        lines += ["", f"## {problem.name}"]
        for question in grader.load(problem.name).values():
            lines += ["", f"### {question.name}", "", "Checks:", ""]
            lines += [f"- {check.label}" for check in question.checks]
            lines += ["", "Misconceptions:", ""]
            lines += [f"- {slip.sentence}" for slip in question.slips.values()]
        reasons = list(dict.fromkeys(_failures(problem.grader)))
        if reasons:
            lines += ["", "### Reasons given beside a check", "", *(f"- {reason}" for reason in reasons)]
    lines += ["", "## Whatever the question"]
    for when, files in SAID_BY.items():
        said = dict.fromkeys(s for name in files for s in _sentences(ENGINE / name))
        lines += ["", f"### Where {when}", "", *(f"- {sentence}" for sentence in said)]
    return "\n".join(lines) + "\n"


def stale() -> list[Path]:
    """Return the page where it is not what `page` gives."""
    held = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return [] if held == page() else [PAGE]


def write() -> list[Path]:
    """Write the page where it changed."""
    changed = stale()
    for path in changed:
        write_atomically(path, page())
    return changed


def _failures(path: Path) -> Iterator[str]:
    """Yield what a grader's checks say when they fail."""
    for node in ast.walk(_parse(path)):
        match node:
            case ast.Call(func=ast.Attribute(attr="fail"), args=[text, *_]):
                yield from _texts(text)


def _sentences(path: Path) -> Iterator[str]:
    """Yield the messages of errors that students read, and the differences that are put into words."""
    for node in ast.walk(_parse(path)):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[text, *_]) if _is_read_by_students(name):
                yield from _texts(text)
            case ast.FunctionDef(name=name) if name.endswith("difference"):
                returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value]
                yield from (text for value in returned for text in _texts(value))


def _is_read_by_students(name: str) -> bool:
    kind = getattr(errors, name, None)
    return isinstance(kind, type) and issubclass(kind, errors.SubmissionError)


def _texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)
        case ast.BinOp(left=first, right=rest):
            beginning = "".join(_texts(first))
            yield from (beginning + ending for ending in _texts(rest))
        case ast.BoolOp(op=ast.Or(), values=choices):
            yield from (text for choice in choices for text in _texts(choice))
        case ast.Name():
            yield "…"
        case ast.IfExp(body=body, orelse=other):
            yield from _texts(body)
            yield from _texts(other)


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
