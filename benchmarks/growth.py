"""Whether the thousandth submission costs what the first did: time, memory, and what stays behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import measure
import ours
import samples
from measure import Spent
from ours import Finished, Phases

from autograder.catalog import Course
from autograder.workers import cores

TITLE = "Growth"
HUNDRED, FLAT = 100, 0.10
ABOUT = """\
Everybody has handed in one light problem, the three in turn. *Grading* lasts from the first submission to
the last result; *start* is before it, and *recording* after it: gradebook, scored notebooks, feedback
pages. Memory is the proportional set size of the whole tree of processes during grading, sampled twice a
second. *Left* counts processes, files in the folder for temporary files, and half-written results, once the
command has ended.
"""


@dataclass(frozen=True)
class Graded:
    """One grading of a class.

    Attributes:
        left: processes and files that stayed behind.
    """

    results: list[Finished]
    spent: Spent
    phases: Phases
    left: int

    def memory(self) -> list[float]:
        """Return the samples that were taken while there was grading."""
        first = self.spent.began + self.phases.start
        return self.spent.memory.between(first, first + self.phases.grading)


@dataclass(frozen=True)
class Measured:
    """Everything that is measured here.

    Attributes:
        classes: one of each size, the largest last.
        unchanged: the largest class once more.
        one_changed: and again, when one student has handed in anew.
        slots: seconds of grading by the number of slots.
    """

    classes: list[Graded]
    unchanged: Spent
    one_changed: Spent
    slots: dict[int, list[float]]
    slots_students: int


def measure_growth(sizes: Sequence[int], slots_students: int) -> str:
    """Grade classes of these sizes and return the document's part."""
    conditions = measure.Conditions()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        empty = _empty_course(Path(folder, "empty"))
        classes = []
        for size in sizes:
            course = _course(empty, f"class-{size}", size)
            classes.append(_grade(course))
        unchanged = _grade_again(course)
        _hand_in_anew(course, classes[-1].results[0])
        one_changed = _grade_again(course)
        slots = _slots(_course(empty, "slots", slots_students))
    measured = Measured(classes, unchanged, one_changed, slots, slots_students)
    return "\n".join(report(measured, conditions.describe()))


def _empty_course(folder: Path) -> Course:
    """Make a course whose problems are registered and in which nobody has handed in."""
    course = samples.make_course(folder, [])
    for problem in samples.LIGHT:
        measure.run(ours.nbgrader("generate_assignment", problem), course.root)
    return course


def _course(empty: Course, name: str, students: int) -> Course:
    course = Course.at(shutil.copytree(empty.root, empty.root.with_name(name)))
    for submission in samples.one_each(students):
        samples.hand_in(course, submission)
    return course


def _grade(course: Course) -> Graded:
    spent = measure.run(ours.grade(jobs=cores()), course.root, sample=True)
    results = ours.finished(course)
    half_written = sum(path.name.startswith(".") for path in course.results.rglob("*"))
    left = spent.processes + len(spent.files) + half_written
    return Graded(results, spent, ours.phases(results, spent), left)


def _grade_again(course: Course) -> Spent:
    return measure.run(ours.grade(jobs=cores()), course.root)


def _hand_in_anew(course: Course, one: Finished) -> None:
    """Change a submission's bytes, and nothing that it says."""
    problem = one.result.problem
    path = course.submitted / one.result.student / problem / f"{problem}.ipynb"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def _slots(course: Course) -> dict[int, list[float]]:
    """Return the seconds of grading a class with one slot, and with one for each core, twice each."""
    seconds: dict[int, list[float]] = {1: [], cores(): []}
    for jobs in (*seconds, *reversed(seconds)):
        spent = measure.run(ours.grade("--force", jobs=jobs, script=ours.RESULTS_ONLY), course.root)
        seconds[jobs].append(ours.phases(ours.finished(course), spent).grading)
    return seconds


def report(measured: Measured, conditions: str) -> Iterator[str]:
    """Yield the paragraphs about growth."""
    largest = measured.classes[-1]
    yield f"{ABOUT}\n{conditions}\n"
    header = ["submissions", "start s", "grading s", "recording s", "grading, s each", "recording, s each",
              "highest MB", "left"]  # fmt: skip
    yield measure.table(header, map(_class_row, measured.classes))
    if len(largest.results) >= 2 * HUNDRED * len(samples.LIGHT):
        yield _hundreds(largest)
    yield _memory(largest)
    yield (
        f"`grade` on the unchanged class of {len(largest.results)}: {measured.unchanged.wall:.1f} s. "
        f"After one student handed in anew: {measured.one_changed.wall:.1f} s.\n"
    )
    one, *more = (f"{slots} slots {median(seconds):.1f} s" for slots, seconds in measured.slots.items())
    gain = median(measured.slots[1]) / median(list(measured.slots.values())[-1])
    yield (
        f"Grading {measured.slots_students} submissions, each way twice: {', '.join([one, *more])}; "
        f"{gain:.2f} times as fast."
    ).replace("1 slots", "1 slot")


def _class_row(graded: Graded) -> list[str]:
    phases, number = graded.phases, len(graded.results)
    seconds = [phases.start, phases.grading, phases.rest]
    each = [phases.grading / number, phases.rest / number]
    highest = f"{max(graded.memory(), default=0):.0f}"
    return [
        str(number), *(f"{s:.1f}" for s in seconds), *(f"{s:.2f}" for s in each), highest, str(graded.left)
    ]  # fmt: skip


def _hundreds(graded: Graded) -> str:
    """Compare each problem's first hundred with its last: problems are graded one after another."""
    rows, changes = [], []
    for problem in samples.LIGHT:
        ends = [each.at for each in graded.results if each.result.problem == problem]
        hundreds = ends[:HUNDRED], ends[-HUNDRED:]
        first, last = map(_each, hundreds)
        changes.append(last / first - 1)
        memory = [median(graded.spent.memory.between(some[0], some[-1])) for some in hundreds]
        rows.append(
            [
                f"`{problem}`", f"{1 / first:.2f}", f"{1 / last:.2f}", f"{changes[-1]:+.0%}",
                *(f"{megabytes:.0f}" for megabytes in memory), f"{memory[1] / memory[0] - 1:+.0%}",
            ]
        )  # fmt: skip
    header = ["submissions a second", "first hundred", "last hundred", "seconds each",
              "MB, first hundred", "MB, last hundred", "MB"]  # fmt: skip
    reached = "reached" if abs(fmean(changes)) <= FLAT else "missed"
    return measure.table(header, rows) + (
        f"\nThe goal is to be flat within {FLAT:.0%}: {fmean(changes):+.0%} on average ({reached}). "
        "Memory is the median of its samples.\n"
    )


def _each(ends: Sequence[float]) -> float:
    """Return the seconds from one result to the next, in the mean."""
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def _memory(graded: Graded) -> str:
    found = graded.memory()
    tenth = max(1, len(found) // 10)
    if len(found) < 10:
        return "Grading ended too soon for memory to be compared.\n"
    first, last = median(found[:tenth]), median(found[-tenth:])
    return (
        f"Memory in the first tenth of grading {first:.0f} MB, in the last {last:.0f} MB, "
        f"highest {max(found):.0f} MB ({len(found)} samples, medians).\n"
    )
