"""ConvGrade beside nbgrader and otter-grader: the same questions, the same submissions, taking turns."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import measure
import nbformat
import otter_form
import ours
import samples
from measure import Spent
from nbgrader.api import Gradebook
from ours import Phases
from samples import HandedIn

from autograder import catalog
from autograder.build import HIDDEN_REGION
from autograder.catalog import Course
from autograder.workers import cores

STOCK_CONFIG = """\
import time

c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.ignore.extend({ignored})
c.Execute.timeout = 1800  # its own 30 seconds a cell would drop those that train

def note_time(**_):
    with open("times.txt", "a") as file:
        print(time.monotonic(), file=file)

c.Autograde.pre_convert_hook = note_time
c.Autograde.post_convert_hook = note_time
"""
Scores = dict[tuple[str, str], float]
"""Points by student and problem."""


@dataclass
class Turn:
    """One grading of the whole class.

    Attributes:
        spent: its commands.
        extra: a command that does more than grading, and is counted apart.
        own: seconds of each submission, without the commands' start.
        phases: where the time of ConvGrade's command went.
    """

    spent: list[Spent]
    extra: list[Spent]
    own: list[float]
    scores: Scores
    phases: Phases | None = None


@dataclass
class Contestant:
    """One way of grading a class, in a course of its own that every turn begins with a copy of.

    Attributes:
        packages: what it needs beside the course's own environment, with the version.
    """

    packages: ClassVar[Sequence[str]] = ()

    name: str
    template: Course
    submissions: Sequence[HandedIn]
    turns: list[Turn] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return list(dict.fromkeys(submission.problem for submission in self.submissions))

    def prepare(self) -> None:
        """Make what an instructor makes before anybody hands in."""
        if (self.template.root / "gradebook.db").exists():  # another contestant has the same course
            return
        for problem in self.problems:
            measure.run(ours.nbgrader("generate_assignment", problem), self.template.root)

    def take_turn(self) -> Turn:
        """Grade the class."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            copied = shutil.copytree(self.template.root, Path(folder, "course"))
            self.turns.append(self.grade(Course.at(copied)))
        return self.turns[-1]

    def grade(self, course: Course) -> Turn:
        raise NotImplementedError


@dataclass
class ConvGrade(Contestant):
    """``convgrade grade``.

    Attributes:
        script: how the command line is started.
    """

    script: str = ours.RECORDED

    def grade(self, course: Course) -> Turn:
        command = ours.grade(*self.problems, jobs=cores(), script=self.script)
        spent = measure.run(command, course.root)
        results = ours.finished(course)
        scores = {(each.result.student, each.result.problem): each.result.score or 0.0 for each in results}
        own = [each.total for each in results]
        return Turn([spent], [], own, scores, ours.phases(results, spent))


@dataclass
class Nbgrader(Contestant):
    """``nbgrader autograde`` with its own Execute."""

    hidden: bool = True

    def prepare(self) -> None:
        ignored = catalog.unreleased(self.template.root)
        (self.template.root / "nbgrader_config.py").write_text(STOCK_CONFIG.format(ignored=ignored))
        if not self.hidden:
            for problem in self.problems:
                remove_hidden_tests(self.template.root / "source" / problem / f"{problem}.ipynb")
        super().prepare()

    def grade(self, course: Course) -> Turn:
        spent = [measure.run(ours.nbgrader("autograde", problem), course.root) for problem in self.problems]
        pages = [ours.nbgrader("generate_feedback", problem) for problem in self.problems if self.hidden]
        extra = [measure.run(command, course.root) for command in pages]
        times = [float(line) for line in (course.root / "times.txt").read_text().splitlines()]
        if len(times) != 2 * len(self.submissions):
            raise RuntimeError(f"{self.name} graded {len(times) // 2} of {len(self.submissions)}.")
        own = [end - begin for begin, end in list(pairwise(times))[::2]]
        return Turn(spent, extra, own, self.scores(course))

    def scores(self, course: Course) -> Scores:
        with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}", "stock") as gradebook:
            return {
                (s.student, s.problem): gradebook.find_submission(s.problem, s.student).score
                for s in self.submissions
            }


@dataclass
class Otter(Contestant):
    """``otter run``, a command a submission: without a container it takes no class."""

    packages = (f"otter-grader {otter_form.VERSION}",)

    environment: Path = otter_form.ENVIRONMENT

    def prepare(self) -> None:
        otter_form.make_environment(self.environment)
        root = self.template.root
        for problem in self.problems:
            tests = root / "otter" / problem
            otter_form.write_tests(tests, problem, self.template.secret())
            generate = ["generate", "-t", tests, "-o", root / f"{problem}.zip", "--no-requirements"]
            # otter takes files from the folder that it is started in, and nowhere else.
            beside = [shutil.copy(file, root) for file in otter_form.support_files(problem)]
            self.otter(self.template, *generate, "--no-environment", *beside)
        for submission in self.submissions:
            converted = otter_form.convert(submission.text, submission.student)
            notebook(self.template, submission).write_text(converted, encoding="utf-8")

    def grade(self, course: Course) -> Turn:
        (course.root / "times.txt").unlink()  # of the preparations
        spent = []
        for submission in self.submissions:
            folder = course.results / submission.student / submission.problem
            folder.mkdir(parents=True)
            zipped = course.root / f"{submission.problem}.zip"
            run = ["run", "-a", zipped, "-o", folder, "--no-logo", notebook(course, submission)]
            spent.append(self.otter(course, *run))
        own = [float(line) for line in (course.root / "times.txt").read_text().splitlines()]
        return Turn(spent, [], own, self.scores(course))

    def otter(self, course: Course, *arguments: str | Path) -> Spent:
        command = otter_form.command(self.environment, course.root / "times.txt", *arguments)
        return measure.run(command, course.root)

    def scores(self, course: Course) -> Scores:
        found = {}
        for s in self.submissions:
            results = json.loads((course.results / s.student / s.problem / "results.json").read_text())
            found[s.student, s.problem] = sum(test.get("score", 0.0) for test in results["tests"])
        return found


def notebook(course: Course, submission: HandedIn) -> Path:
    name = submission.problem
    return course.submitted / submission.student / name / f"{name}.ipynb"


def remove_hidden_tests(path: Path) -> None:
    found = nbformat.read(path, as_version=4)
    for cell in found.cells:
        cell.source = HIDDEN_REGION.sub("", cell.source)
    nbformat.write(found, path)


RESULTS, RECORDED = "ConvGrade, results only", "ConvGrade, recorded, with feedback pages"
VISIBLE, HIDDEN = "nbgrader, visible tests only", "nbgrader, the same hidden graders"
OTTER = "otter run, the same hidden graders"


LEFT_OUT = {"visible": VISIBLE, "otter": OTTER}
"""Who can be left out to save time, by the name that the command line has for them."""


def contestants(
    folder: Path, submissions: Sequence[HandedIn], environment: Path, without: Collection[str] = ()
) -> list[Contestant]:
    """Make a course for each way of grading; all have the same secret, so the same hidden inputs.

    Args:
        environment: otter's; it is made if need be.
        without: keys of `LEFT_OUT`.
    """

    def course(name: str) -> Course:
        made = samples.make_course(folder / name, submissions)
        (made.root / ".convgrade_secret").write_text("benchmark " * 7)
        return made

    own = course("convgrade")
    found: list[Contestant] = [
        ConvGrade(RESULTS, own, submissions, script=ours.RESULTS_ONLY),
        ConvGrade(RECORDED, own, submissions),
        Nbgrader(VISIBLE, course("visible"), submissions, hidden=False),
        Nbgrader(HIDDEN, course("hidden"), submissions),
        Otter(OTTER, course("otter"), submissions, environment=environment),
    ]
    left_out = {LEFT_OUT[name] for name in without}
    found = [contestant for contestant in found if contestant.name not in left_out]
    for contestant in found:
        contestant.prepare()
    return found
