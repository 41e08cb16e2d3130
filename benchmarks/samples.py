"""The classes that are graded: what a real one hands in, without attacks, which stop the peers altogether."""

from __future__ import annotations

import functools
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from autograder import catalog, grader, specimen
from autograder.catalog import ROOT, Course, Problem
from autograder.notebook import provided_files

LIGHT = ("iou", "parameter_counts", "ram_estimates")
"""Problems without TensorFlow."""
BUILD_ONLY = ("fcn_conversion",)
"""Builds models and trains none."""
TRAINING = ("mnist_cnn", "transfer_learning")
MODELS = (*BUILD_ONLY, *TRAINING)
ALL = (*LIGHT, *MODELS)

MIX = ("right", "slips", "another style", "unfinished", "right",
       "slips", "another style", "untouched", "right", "unfinished")  # fmt: skip
"""What one student after the other hands in."""
SLIP_SHARE = 1 / 3
"""How many of a slipping student's answers have a misconception."""
VARIANTS = 10
"""Students who slip, each in other places, before the first of them comes again."""


@dataclass(frozen=True)
class HandedIn:
    """One submission of a class."""

    student: str
    problem: str
    kind: str
    text: str


def whole_class(students: int, problems: Iterable[str]) -> list[HandedIn]:
    """Return what a class hands in of which everybody has done every problem."""
    return [_handed_in(number, number, name) for number in range(students) for name in problems]


def one_each(students: int) -> list[HandedIn]:
    """Return what a class hands in of which everybody has done one light problem, in turn."""
    turns = (divmod(number, len(LIGHT)) for number in range(students))
    return [_handed_in(number, turn, LIGHT[which]) for number, (turn, which) in enumerate(turns)]


def _handed_in(number: int, turn: int, problem: str) -> HandedIn:
    kind = MIX[turn % len(MIX)]
    return HandedIn(
        f"student-{number:04}", problem, kind, _notebook(problem, kind, turn // len(MIX) % VARIANTS)
    )


@functools.cache
def _notebook(problem: str, kind: str, variant: int) -> str:
    return nbformat.writes(specimen.handed_in(catalog.problem(problem), _answers(problem, kind, variant)))


def _answers(name: str, kind: str, variant: int) -> specimen.Answers:
    problem = Problem(name)
    match kind:
        case "right":
            return specimen.reference(problem)
        case "another style":
            return specimen.accepted(problem, problem.accepted[variant % len(problem.accepted)])
        case "slips":
            return specimen.reference(problem) | _slips(problem, variant)
        case "unfinished":
            answers = specimen.reference(problem)
            return dict(list(answers.items())[: len(answers) // 2])
        case "untouched":
            return {}
    raise ValueError(kind)


def _slips(problem: Problem, variant: int) -> specimen.Answers:
    """Return wrong answers to some questions, one at least."""
    draw = random.Random(f"{problem.name} {variant}")
    known = {
        name: [slip.name for slip in question.slips.values() if not slip.slow]
        for name, question in grader.load(problem.name).items()
    }
    slippery = sorted(name for name, slips in known.items() if slips)
    chosen = draw.sample(slippery, max(1, round(SLIP_SHARE * len(slippery))))
    return {name: specimen.slip(problem, name, draw.choice(known[name])) for name in chosen}


def make_course(folder: Path, submissions: Iterable[HandedIn]) -> Course:
    """Make a course folder in which these submissions are handed in."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    shutil.copytree(ROOT / "source", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    course = Course.at(folder)
    for submission in submissions:
        hand_in(course, submission)
    return course


def hand_in(course: Course, submission: HandedIn) -> None:
    """Put a notebook where students' are, with the files that they got along with it."""
    name = submission.problem
    path = course.submitted / submission.student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(submission.text, encoding="utf-8")
    for file in provided_files(Problem(name).source):
        shutil.copy(file, path.parent)
