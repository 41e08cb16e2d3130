"""Recording results through nbgrader's own code into its own database.

`TakeIn`, `Grade` and `Comment` are the preprocessors that ``nbgrader_config.py`` puts into nbgrader's
pipeline, so ``nbgrader autograde`` and formgrader's button grade with the engine too. `record` runs
that same pipeline over results that are already there, from one writer: nbgrader's SQLite takes no
parallel ones.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.filters.strings import clean_html
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import capture_log
from sqlalchemy.exc import SAWarning
from traitlets import Bool, List, Unicode
from traitlets.config import Config

from autograder import batch, catalog, intake
from autograder.catalog import Course
from autograder.errors import ConvGradeError
from autograder.results import QuestionResult, Result, read_result
from autograder.sandbox.host import Sandbox

MARKS = {"passed": "✓", "failed": "✗", "not_attempted": "–"}


class TakeIn(NbGraderPreprocessor):
    """Hands nbgrader intake's repaired copy in the place of what was submitted."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        directory, student, problem = _about(self, resources)
        submitted = Path(directory.root, directory.submitted_directory)
        handed_in = intake.read_submission(submitted, student, problem.name)
        return batch.take_in(handed_in, problem).notebook or blank_notebook(problem), resources


class Grade(NbGraderPreprocessor):
    """Stands in for nbgrader's Execute: fills in outputs and scores that come from the sandbox.

    Raises:
        ConvGradeError: the submission could not be checked; nbgrader then records nothing for it.
    """

    stored_only = Bool(False, help="take the stored result, do not grade").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        directory, student, problem = _about(self, resources)
        course = Course.at(Path(directory.root))
        if not self.stored_only:
            _grade_now(course, Path(directory.root, directory.submitted_directory), student, problem)
        result = read_result(course.results, student, problem.name)
        if result is None or result.status == "could_not_check":
            why = " ".join(result.notes) if result else "There is no result."
            raise ConvGradeError(f"{problem.name} of {student} could not be checked. {why}")
        resources["convgrade"] = result
        return fill_in(nb, result, stored_notebook(course, result)), resources


class Comment(NbGraderPreprocessor):
    """Writes each question's feedback as its solution cell's comment, after SaveAutoGrades resets it."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            for question in resources["convgrade"].questions:
                comment = gradebook.find_comment(
                    question.question, about["notebook"], about["assignment"], about["student"]
                )
                comment.auto_comment = comment_on(question)
            gradebook.db.commit()
        return nb, resources


def _about(preprocessor: Any, resources: Any) -> tuple[CourseDirectory, str, catalog.Problem]:
    directory = preprocessor.parent.parent.coursedir
    about = resources["nbgrader"]
    return directory, about["student"], catalog.problem(about["assignment"])


def _grade_now(course: Course, submitted: Path, student: str, problem: catalog.Problem) -> None:
    level, _ = batch.choose_level("auto", _try_level)
    with course.lock():
        for waiting in batch.plan(course, submitted, [problem], [student], level).waiting:
            batch.grade_one(waiting.load()).write(course.results)


@functools.cache
def _try_level(level: Any) -> None:
    Sandbox(level).close()


def stored_notebook(course: Course, result: Result) -> NotebookNode:
    """Return the executed notebook that was kept with a result."""
    path = course.results / result.student / f"{result.problem}.ipynb"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return nbformat.reads(text, as_version=4) if text else blank_notebook(catalog.Problem(result.problem))


@functools.cache
def _blank_text(problem: catalog.Problem) -> str:
    notebook = intake.repair(problem.release.read_bytes(), *batch.course_notebooks(problem)).notebook
    return nbformat.writes(notebook)


def blank_notebook(problem: catalog.Problem) -> NotebookNode:
    """Return the notebook of somebody who has written nothing."""
    return nbformat.reads(_blank_text(problem), as_version=4)


def fill_in(nb: NotebookNode, result: Result, executed: NotebookNode) -> NotebookNode:
    """Give a notebook's cells their outputs, and its test cells their scores as nbgrader reads them.

    Formgrader shows both in the instructor's own Jupyter, where a script could do all that its reader can:
    so no HTML of the student's reaches it.
    """
    outputs = {cell.id: cell.get("outputs", []) for cell in executed.cells}
    questions = {f"test-{q.question}": q for q in result.questions}
    notes = "".join(f"Note: {note}\n" for note in result.notes)  # told once, under the first test cell
    for number, cell in enumerate(nb.cells, start=1):
        if cell.cell_type == "markdown" and not cell.metadata.get("nbgrader", {}).get("locked"):
            cell.source = disarmed(cell.source)
        if cell.cell_type != "code":
            continue
        cell.execution_count = number
        cell.outputs = [harmless(output) for output in outputs.get(cell.id, [])]
        question = questions.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if question:
            # nbgrader takes the first output that decides, so the score stands before the words.
            score = new_output(
                "execute_result", {"text/plain": repr(float(question.points))}, execution_count=number
            )
            words = new_output("stream", name="stdout", text=report_on(question) + notes)
            cell.outputs, notes = [score, words], ""
    return nb


def disarmed(markdown: str) -> str:
    """Return Markdown without HTML or links, both of which can hold scripts: they are shown as text."""
    without_tags = re.sub("<(?=[A-Za-z/!?])", "&lt;", markdown)
    return re.sub(r"\](?=[(:])", "&#93;", without_tags)


def harmless(output: NotebookNode) -> NotebookNode:
    """Return an output without scripts, in those of its forms that a page takes for HTML."""
    cleaners = {"text/html": clean_html, "text/markdown": disarmed}
    for kind, clean in cleaners.items():
        if kind in output.get("data", {}):
            output.data[kind] = clean(output.data[kind])
    return output


def report_on(question: QuestionResult) -> str:
    """Return what stands under a test cell: a line a check, and the sentences."""
    checks = [
        f"{MARKS.get(check.outcome, '✗')} {check.label} ({check.points:g} of {check.max_points:g})"
        for check in question.checks
    ]
    return "\n".join([*checks, *question.feedback]) + "\n"


def comment_on(question: QuestionResult) -> str:
    """Return the comment of a solution cell, in Markdown."""
    if question.outcome == "passed":
        return "All right."
    # A student's own error message may be quoted in it.
    return disarmed("\n\n".join(question.feedback)) or "No response."


def record(course: Course, submitted: Path, results: Iterable[Result]) -> None:
    """Record results in the gradebook, ``autograded/`` and ``feedback/``.

    Raises:
        ConvGradeError: nbgrader refused; the message holds its reason, and the results are kept.
    """
    by_problem: dict[str, list[Result]] = {}
    for result in results:
        if result.status != "could_not_check":
            by_problem.setdefault(result.problem, []).append(result)
    for problem, recorded in by_problem.items():
        _record_problem(course, submitted, problem, recorded)


def _record_problem(course: Course, submitted: Path, problem: str, results: Sequence[Result]) -> None:
    config = batch.load_config(course)
    with tempfile.TemporaryDirectory(prefix="convgrade-") as folder:
        # What they were graded with; the course's own copy may be an older one.
        config.CourseDirectory.source_directory = str(catalog.ROOT / "source")
        config.CourseDirectory.release_directory = f"{folder}/release"
        _run(GenerateAssignment, config, problem)  # registers its points, or those that changed
        for result in results:
            staged = Path(folder, "submitted", result.student, problem)
            staged.mkdir(parents=True)
            nbformat.write(stored_notebook(course, result), staged / f"{problem}.ipynb")
            timestamp = intake.read_timestamp(submitted, result.student, problem)
            if timestamp:
                (staged / "timestamp.txt").write_text(timestamp, encoding="utf-8")
        config.CourseDirectory.submitted_directory = f"{folder}/submitted"
        config.Grade.stored_only = True
        try:
            _run(Autograde, config, problem)
        finally:  # nbgrader goes on after a failure, so the others are recorded
            _feed_back(config, problem, [result.student for result in results])


def _feed_back(config: Config, problem: str, students: Sequence[str]) -> None:
    directory = CourseDirectory(config=config)
    step = directory.autograded_directory
    recorded = [s for s in students if Path(directory.format_path(step, s, problem)).is_dir()]
    if recorded:
        _run(FeedbackFor, config, problem, students=recorded)


class FeedbackFor(GenerateFeedback):
    """Writes the feedback of some students in one go, since starting takes as long as a page does."""

    students = List(Unicode())

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        """Say whether to write this student's."""
        return student_id in self.students and super().init_destination(assignment_id, student_id)


def _run(converter: type[BaseConverter], config: Config, problem: str, **settings: Any) -> None:
    """Run one of nbgrader's converters quietly.

    Raises:
        ConvGradeError: it failed.
    """
    _put_own_programs_on_path()
    directory = CourseDirectory(config=config, assignment_id=problem)
    log = logging.Logger("nbgrader", logging.WARNING)  # nobody's child: heard by capture_log alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # about nbgrader's own order of work
        outcome = capture_log(converter(coursedir=directory, config=config, force=True, log=log, **settings))
    if not outcome["success"]:
        said = outcome.get("error", "") + outcome.get("log", "")
        reasons = re.findall(r"^ *([\w.]+(?:Error|Exception)\b.*)$", said, re.MULTILINE)
        raise ConvGradeError(
            f"nbgrader could not record {problem} ({(reasons or ['no reason given'])[-1]}). "
            "The results are kept below results/; run the command again when that is mended."
        )


def _put_own_programs_on_path() -> None:
    """Let nbgrader find ``alembic``, which it starts by name for a fresh database."""
    programs = str(Path(sys.executable).parent)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", "")
