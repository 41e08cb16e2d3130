"""How much of grading is the student's own code: the floor under which no engine can get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import measure
import ours
import samples
from ours import Finished

TITLE = "The student's own share"
OVERHEAD_GOAL, SHARE_GOAL = 0.3, 0.15
ABOUT = """\
One submission at a time (`--jobs 1`), results only. *Student* is wall-clock time spent waiting for the
process that runs the student's code: its cells, the hidden calls, whatever its models are asked (those
built again in a process of their own too), with the frames that carry arguments and answers. *Overhead* is
the rest: reading and mending the notebook, forking the process and putting up its walls, pytest, the
reference's answers, recognising slips, ending the process. Medians, because the first submission of each
kind of sandbox also waits for its warm process to start.
"""


def measure_floor(light: int, models: int) -> str:
    """Grade some students' light problems and some students' models, and return the document's part."""
    conditions = measure.Conditions()
    classes = [samples.whole_class(light, samples.LIGHT), samples.whole_class(models, samples.MODELS)]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        course = samples.make_course(Path(folder, "course"), [each for c in classes for each in c])
        measure.run(ours.grade(jobs=1, script=ours.RESULTS_ONLY), course.root)
        found = ours.finished(course)
    return "\n".join(_report(found, conditions))


def _report(found: Sequence[Finished], conditions: measure.Conditions) -> Iterator[str]:
    yield f"{ABOUT}\n{conditions.describe()}\n"
    rows = []
    for problem in samples.ALL:
        if of_problem := [each for each in found if each.result.problem == problem]:
            rows.append(_row(f"`{problem}`", of_problem))
    light = [each for each in found if each.result.problem in samples.LIGHT]
    training = [each for each in found if each.result.problem in samples.TRAINING]
    header = ["medians", "submissions", "total s", "student s", "overhead s", "overhead's share"]
    yield measure.table(header, rows)
    if light:
        overhead = median(each.total - each.student for each in light)
        reached = "reached" if overhead <= OVERHEAD_GOAL else "missed"
        yield (
            f"Overhead of a light submission: {overhead:.2f} s in the median; "
            f"the goal is {OVERHEAD_GOAL:g} s ({reached})."
        )
    if training:
        share = 1 - sum(each.student for each in training) / sum(each.total for each in training)
        reached = "reached" if share <= SHARE_GOAL else "missed"
        yield f"Overhead with training: {share:.0%} of all time; the goal is {SHARE_GOAL:.0%} ({reached})."


def _row(name: str, results: Sequence[Finished]) -> list[str]:
    columns = (
        median(each.total for each in results),
        median(each.student for each in results),
        median(each.total - each.student for each in results),
    )
    share = median(1 - each.student / each.total for each in results)
    return [name, str(len(results)), *(f"{value:.2f}" for value in columns), f"{share:.0%}"]
