"""The class at a glance, on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.catalog import Course
from autograder.results import Result

if TYPE_CHECKING:
    from autograder.audit import Judgement

STYLES = {"graded": "", "unreadable": "yellow", "could_not_check": "red"}
LONGEST = 160
"""Characters of what went wrong in one row."""


def print_class(console: Console, results: Sequence[Result]) -> None:
    """Print a row a submission: student, problem, score, and what went wrong in words."""
    if not results:
        console.print("No submissions were found.")
        return
    table = Table(title_justify="left", show_lines=False, pad_edge=False)
    table.add_column("student", no_wrap=True)
    table.add_column("problem", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("what went wrong")
    for result in results:
        score = "–" if result.score is None else f"{result.score:g}"
        table.add_row(
            Text(result.student),
            result.problem,
            f"{score} / {result.max_score:g}",
            Text(what_went_wrong(result)),
            style=STYLES[result.status],
        )
    console.print(table)
    counts = Counter(result.status for result in results)
    summary = [f"{len(results)} submissions", f"{counts['graded']} graded"]
    summary += [f"{counts[s]} {s.replace('_', ' ')}" for s in ("unreadable", "could_not_check") if counts[s]]
    levels = sorted({result.isolation for result in results})
    console.print(f"{', '.join(summary)} · isolation: {', '.join(levels)}", highlight=False)


def what_went_wrong(result: Result) -> str:
    """Return one line on a result: its status's reason, or its questions' first sentences."""
    if result.status != "graded":
        return _shortened(" ".join(result.notes))
    blank = [q for q in result.questions if q.outcome == "not_attempted"]
    if len(blank) == len(result.questions):
        return "Nothing was attempted."
    lines = [
        f"{q.question}: {q.feedback[0]}"
        for q in result.questions
        if q.feedback and q.outcome != "not_attempted"
    ]
    if blank:
        lines.append(f"Not attempted: {', '.join(q.question for q in blank)}.")
    lines += result.notes
    cut = _shortened(lines[0]) if lines else ""
    more = len(lines) - 1
    return f"{cut} (and {more} more)" if more > 0 else cut


def _shortened(line: str) -> str:
    return line[: LONGEST - 1] + "…" if len(line) > LONGEST else line


def print_labels(console: Console, labels: Mapping[str, str]) -> None:
    """Print what each student of a sample class stands for."""
    for student, label in labels.items():
        console.print(f"  {student:10}{label}", highlight=False)


def print_places(console: Console, course: Course) -> None:
    """Print where everything was written."""
    from autograder.recorded import gradebook_url

    gradebook = gradebook_url(course)
    is_file = gradebook.get_backend_name() == "sqlite"
    places = {
        "results, one JSON a submission": course.results,
        "nbgrader's gradebook": gradebook.database if is_file else gradebook.render_as_string(),
        "notebooks with scores": course.root / "autograded",
        "feedback for students": course.root / "feedback",
    }
    for what, place in places.items():
        if not isinstance(place, Path) or place.exists():
            console.print(f"  {what}: {place}", highlight=False, soft_wrap=True)


def print_audit(console: Console, judgements: Sequence[Judgement]) -> None:
    """Print what an audit found: a row a question, the rates, and every fault with its program."""
    from autograder import audit

    # The bounds of single questions are for the page: a terminal is narrow.
    shown = [place for place, name in enumerate(audit.COLUMNS) if name != audit.BOUND]
    table = Table(*(audit.COLUMNS[place] for place in shown), pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in audit.rows(judgements):
        table.add_row(*(row[place] for place in shown))
    console.print(table)
    for line in audit.summary(audit.Tally(judgements)):
        console.print(line, highlight=False)
    for word, judgement in audit.faults(judgements):
        console.print(audit.account(word, judgement), markup=False, highlight=False)
