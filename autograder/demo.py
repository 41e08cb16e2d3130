"""A sample class: right, wrong, unfinished and hostile submissions in a new course folder."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import nbformat

from autograder import catalog, grader, specimen
from autograder.catalog import ROOT, Course, Problem
from autograder.errors import CourseError

HOSTILE = ROOT / "tests" / "hostile"
"""Notebooks that attack, a cell each; the tests use the same ones."""
SEED = 14

Hand = Callable[[Problem], str]
"""Makes the text of one student's notebook."""


def _right(problem: Problem) -> str:
    return nbformat.writes(specimen.handed_in(problem, specimen.reference(problem)))


def _right_in_another_style(problem: Problem) -> str:
    return nbformat.writes(specimen.handed_in(problem, specimen.accepted(problem, problem.accepted[0])))


def _slips(problem: Problem) -> str:
    """Every answer has a misconception, drawn with a fixed seed."""
    draw = random.Random(f"{SEED} {problem.name}")
    answers = {
        name: specimen.slip(problem, name, draw.choice([s.name for s in slips]))
        for name, question in grader.load(problem.name).items()
        if (slips := [slip for slip in question.slips.values() if not slip.slow])
    }
    return nbformat.writes(specimen.handed_in(problem, specimen.reference(problem) | answers))


def _unfinished(problem: Problem) -> str:
    """The first half is right, the rest as it was handed out."""
    answers = specimen.reference(problem)
    first_half = dict(list(answers.items())[: len(answers) // 2])
    return nbformat.writes(specimen.handed_in(problem, first_half))


def _untouched(problem: Problem) -> str:
    return nbformat.writes(specimen.untouched(problem))


def _without_tests(problem: Problem) -> str:
    """Right, but all test cells were deleted."""
    notebook = specimen.handed_in(problem, specimen.reference(problem))
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("test-")]
    return nbformat.writes(notebook)


def _not_a_notebook(problem: Problem) -> str:
    return _right(problem)[:1000]


def _hostile(attack: str, answered: bool) -> Hand:
    def hand(problem: Problem) -> str:
        answers = specimen.reference(problem) if answered else {}
        cell = (HOSTILE / f"{attack}.py").read_text(encoding="utf-8")
        return nbformat.writes(specimen.handed_in(problem, answers, cell))

    return hand


ALL = ("fcn_conversion", "iou", "mnist_cnn", "parameter_counts", "ram_estimates", "transfer_learning")
Students = Mapping[str, tuple[str, Hand, tuple[str, ...]]]
"""Who hands in what: a label, the maker, the problems."""
STUDENTS: Students = {
    "ada": ("all right", _right, ALL),
    "grace": ("right, her own way", _right_in_another_style, ALL),
    "alan": ("a slip everywhere", _slips, ALL),
    "emmy": ("unfinished", _unfinished, ("iou", "parameter_counts")),
    "kurt": ("untouched", _untouched, ("iou", "ram_estimates")),
    "sofia": ("deleted the tests", _without_tests, ("iou",)),
    "nemo": ("half a file", _not_a_notebook, ("iou",)),
    "mallory": ("cheats: equals everything", _hostile("equals_everything", False), ("iou",)),
    "victor": ("cheats: looks images up", _hostile("models/replaces_predict", False), ("mnist_cnn",)),
    "trudy": ("looks for the grader", _hostile("reads_files", True), ("parameter_counts",)),
    "oscar": ("right, then loops for ever", _hostile("endless_loop", True), ("ram_estimates",)),
    "eve": ("right, then ends the process", _hostile("exits", True), ("iou",)),
}
"""The sample class."""


def labels() -> dict[str, str]:
    """Return what each student of the sample class stands for."""
    return {student: label for student, (label, _, _) in STUDENTS.items()}


def free_folder() -> Path:
    """Return ``demo-course``, or the first of ``demo-course-2`` and so on that is not there yet."""
    names = itertools.chain(["demo-course"], (f"demo-course-{n}" for n in itertools.count(2)))
    return next(path for path in map(Path, names) if not path.exists())


def make_class(folder: Path, students: Students | None = None) -> Course:
    """Make a course folder with the submissions of `students`, the sample class by default.

    Raises:
        CourseError: `folder` is there already, or can't be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise CourseError(f"{folder} is not empty. Give the demo a new folder: 'convgrade demo NAME'.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "nbgrader_config.py", folder)
        shutil.copytree(ROOT / "source", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
        course = Course.at(folder)
        for student, problem, text in _submissions(students or STUDENTS):
            path = course.submitted / student / problem / f"{problem}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CourseError(
            f"The sample class could not be written to {folder}: {error}. Give the demo another folder."
        ) from error
    return course


def _submissions(students: Students) -> Iterator[tuple[str, str, str]]:
    known = {problem.name: problem for problem in catalog.problems()}
    for student, (_, hand, problems) in students.items():
        for name in problems:
            yield student, name, hand(known[name])
