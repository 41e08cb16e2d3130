"""``convgrade grade``, as it is measured, and what its results tell about the time that it took."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from measure import Spent

from autograder.catalog import Course
from autograder.results import Result, read_result

RECORDED = "from autograder import cli; cli.main()"
RESULTS_ONLY = f"from autograder import recorded; recorded.unrecorded = lambda *_: []; {RECORDED}"


def nbgrader(*arguments: str) -> list[str]:
    """Return nbgrader's command, of this environment."""
    return [sys.executable, "-m", "nbgrader", *arguments]


def grade(*arguments: str, jobs: int, script: str = RECORDED) -> list[str]:
    """Return the command that grades a class.

    Args:
        script: how the command line is started: `RECORDED`, or `RESULTS_ONLY` to stop before the gradebook.
    """
    return [sys.executable, "-c", script, "grade", *arguments, "--jobs", str(jobs)]


@dataclass(frozen=True)
class Finished:
    """A stored result and when it was written, in seconds since the epoch."""

    result: Result
    at: float

    @property
    def total(self) -> float:
        """Wall-clock seconds from taking the submission up to having its result."""
        return self.result.seconds["total"]

    @property
    def student(self) -> float:
        """Wall-clock seconds of it that were spent waiting for the student's process."""
        return self.result.seconds["student"]


def finished(course: Course) -> list[Finished]:
    """Return all results of a course in the order in which they were finished.

    Raises:
        RuntimeError: a submission could not be graded.
    """
    found = []
    for path in course.results.glob("*/*.json"):
        result = read_result(course.results, path.parent.name, path.stem)
        if result is None or result.status != "graded":
            why = " ".join(result.notes) if result else "its result can't be read"
            raise RuntimeError(f"{path.stem} of {path.parent.name} was not graded: {why}")
        found.append(Finished(result, path.stat().st_mtime))
    return sorted(found, key=lambda each: each.at)


@dataclass(frozen=True)
class Phases:
    """Where the wall-clock seconds of a command went.

    Attributes:
        start: before the first submission was taken.
        grading: from there to the last result.
        rest: after it: recording, pages, and ending all processes.
    """

    start: float
    grading: float
    rest: float


def phases(results: list[Finished], spent: Spent) -> Phases:
    """Return where the time of the command that wrote `results` went."""
    first = min(each.at - each.total for each in results)
    last = max(each.at for each in results)
    return Phases(first - spent.began, last - first, spent.ended - last)
