"""How long one submission takes: ConvGrade's warm sandbox beside nbgrader's own autograde.

    python benchmarks/warm_path.py --students 50

Both grade the same untouched notebooks in the same run, taking turns, one submission at a time. Nobody's
answers run for long there, so what is measured is the way around them. nbgrader is measured twice: with the
course's hidden graders, which it then imports in every kernel, and with the visible tests alone, the least
that it can do. Wall times hold each command's start.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import median

import nbformat

from autograder import demo
from autograder.build import HIDDEN_REGION
from autograder.catalog import Course
from autograder.results import read_result

STOCK_CONFIG = """\
import time

c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.ignore.append("*.py")

def note_time(**_):
    with open("times.txt", "a") as file:
        print(time.monotonic(), file=file)

c.Autograde.pre_convert_hook = note_time
c.Autograde.post_convert_hook = note_time
"""
CONVGRADE = "from autograder import cli; cli.main()"
WITHOUT_RECORDING = f"from autograder import batch; batch.unrecorded = lambda *_: []; {CONVGRADE}"


@dataclass
class Contestant:
    """One way of grading, in a course of its own.

    Attributes:
        wall: seconds of each of its commands, from start to end.
    """

    name: str
    course: Course
    problem: str
    wall: list[float] = field(default_factory=list)

    def grade(self, students: Sequence[str]) -> None:
        """Grade some students by one command, and note how long that took."""
        began = time.monotonic()
        run(self.command(students), self.course.root)
        self.wall.append(time.monotonic() - began)

    def command(self, students: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def seconds(self, students: Sequence[str]) -> Iterator[float]:
        """Yield each submission's own seconds, without the command's start.

        Raises:
            RuntimeError: a submission was not graded.
        """
        raise NotImplementedError


@dataclass
class ConvGrade(Contestant):
    """``convgrade grade``.

    Attributes:
        script: how the command line is started.
    """

    script: str = CONVGRADE

    def command(self, students: Sequence[str]) -> list[str]:
        chosen = [part for student in students for part in ("--student", student)]
        return [sys.executable, "-c", self.script, "grade", self.problem, "--jobs", "1", *chosen]

    def seconds(self, students: Sequence[str]) -> Iterator[float]:
        for student in students:
            result = read_result(self.course.results, student, self.problem)
            if result is None or result.status != "graded":
                raise RuntimeError(f"{self.name} did not grade {student}.")
            yield result.seconds["total"]


@dataclass
class Nbgrader(Contestant):
    """``nbgrader autograde`` with its own Execute."""

    def command(self, students: Sequence[str]) -> list[str]:
        everybody = students[0].split("-")[0] + "-*"
        return nbgrader("autograde", self.problem, f"--student={everybody}")

    def seconds(self, students: Sequence[str]) -> Iterator[float]:
        times = [float(line) for line in (self.course.root / "times.txt").read_text().splitlines()]
        if len(times) != 2 * len(students):
            raise RuntimeError(f"{self.name} graded {len(times) // 2} of {len(students)}.")
        yield from (end - begin for begin, end in list(pairwise(times))[::2])


def nbgrader(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nbgrader", *arguments]


def run(command: Sequence[str], folder: Path) -> None:
    """Run a command quietly.

    Raises:
        RuntimeError: it failed; the message is the end of what it said.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader starts alembic
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} … failed:\n{done.stderr[-2000:]}")


def contestants(folder: Path, problem: str, students: Sequence[str]) -> list[Contestant]:
    """Make a course for each way of grading, its problem registered and everybody's notebook handed in."""
    untouched = demo.STUDENTS["kurt"][1]

    def course(name: str) -> Course:
        return demo.make_class(folder / name, dict.fromkeys(students, ("", untouched, (problem,))))

    found: list[Contestant] = [
        ConvGrade("ConvGrade, results only", course("results"), problem, script=WITHOUT_RECORDING),
        ConvGrade("ConvGrade, recorded, with feedback pages", course("recorded"), problem),
        Nbgrader("nbgrader autograde, visible tests only", course("visible"), problem),
        Nbgrader("nbgrader autograde, the same hidden graders", course("hidden"), problem),
    ]
    for contestant in found:
        if isinstance(contestant, Nbgrader):
            (contestant.course.root / "nbgrader_config.py").write_text(STOCK_CONFIG)
    remove_hidden_tests(folder / "visible" / "source" / problem / f"{problem}.ipynb")
    for contestant in found:
        run(nbgrader("generate_assignment", problem), contestant.course.root)
    return found


def remove_hidden_tests(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = HIDDEN_REGION.sub("", cell.source)
    nbformat.write(notebook, path)


def table(found: Sequence[Contestant], students: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a markdown table, and how nbgrader's rows compare to those of ConvGrade."""
    medians = {contestant.name: median(contestant.seconds(students)) for contestant in found}
    walls = {contestant.name: sum(contestant.wall) / len(students) for contestant in found}
    yield "| | median s a submission | whole commands, s a submission |"
    yield "|---|---:|---:|"
    for name in medians:
        yield f"| {name} | {medians[name]:.3f} | {walls[name]:.2f} |"
    yield ""
    results, recorded, *others = medians
    for name in others:
        yield (
            f"{name}: {medians[name] / medians[results]:.1f} times ConvGrade's median, "
            f"{walls[name] / walls[results]:.1f} times its whole command, "
            f"{walls[name] / walls[recorded]:.1f} times the one that records and writes feedback too."
        )


def machine() -> str:
    """Return one line on what this ran on."""
    names = ("nbgrader", "numpy", "ipykernel")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    system = f"{platform.system()} {platform.machine()}"
    return (
        f"{system}, {processor()}, {cpus} CPUs, load {load}; Python {platform.python_version()}, {versions}"
    )


def processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or "unknown processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--students", type=int, default=50, help="how many submissions (50)")
    parser.add_argument("--rounds", type=int, default=2, help="how often they take turns (2)")
    parser.add_argument("--problem", default="iou", help="which notebook (iou)")
    options = parser.parse_args()
    rounds = [
        [f"r{turn}-{number:03}" for number in range(turn, options.students, options.rounds)]
        for turn in range(options.rounds)
    ]
    students = [student for students in rounds for student in students]
    with tempfile.TemporaryDirectory(prefix="convgrade-benchmark-") as folder:
        found = contestants(Path(folder), options.problem, students)
        print(f"Before: {machine()}\n", flush=True)
        for turn, group in enumerate(rounds):
            # Every other turn runs backwards, so that a machine that slows down slows all of them.
            for contestant in found if turn % 2 == 0 else reversed(found):
                contestant.grade(group)
                print(f"turn {turn + 1}: {contestant.name}, {contestant.wall[-1]:.1f} s", file=sys.stderr)
        print(f"{len(students)} untouched submissions of {options.problem}, {options.rounds} turns:\n")
        print("\n".join(table(found, students)))
    print(f"\nAfter: {machine()}")


if __name__ == "__main__":
    main()
