"""Recording results through nbgrader's own code into its own database.

`TakeIn`, `Grade` and `Comment` are the preprocessors that ``nbgrader_config.py`` puts into nbgrader's
pipeline, so ``nbgrader autograde`` and formgrader's button grade with the engine too. `record` brings about
the same for results that are already there, a class at one go: through nbgrader's `Gradebook`, from one
writer, since its SQLite takes no parallel ones.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import nbformat
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from jinja2 import pass_context
from jinja2.runtime import Context
from jinja2.utils import LRUCache
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.strings import clean_html
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader import api
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import BaseConverter
from nbgrader.coursedir import CourseDirectory
from nbgrader.dbutil import ALEMBIC_DIR
from nbgrader.preprocessors import AssignLatePenalties, GetGrades, LimitOutput, NbGraderPreprocessor
from nbgrader.utils import capture_log, compute_checksum
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SAWarning
from sqlalchemy.orm import undefer
from traitlets import Bool, List, Type, Unicode
from traitlets.config import Config

from autograder import batch, catalog, intake, recorded, workers
from autograder.catalog import Course
from autograder.errors import ConvGradeError
from autograder.results import UNFINISHED, QuestionResult, Result, read_result, write_atomically

# nbgrader's gradebook prints tracebacks of errors that it also raises, unless somebody listens.
logging.getLogger("tornado.application").addHandler(logging.NullHandler())

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

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        directory, student, problem = _about(self, resources)
        course = Course.at(Path(directory.root))
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
    level, _ = batch.choose_level("auto", batch.warm_sandbox)
    with course.lock():
        for waiting in batch.plan(course, submitted, [problem], [student], level).waiting:
            batch.grade_one(waiting.load()).write(course.results)


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


class Unavailable(ConvGradeError):
    """The gradebook could not be opened or written, which has nothing to do with who was to be recorded."""


def record(course: Course, submitted: Path, results: Iterable[Result], jobs: int = 1) -> None:
    """Record results in the gradebook, ``autograded/`` and ``feedback/``, as ``nbgrader autograde`` would.

    What could not be checked leaves formgrader's lists of scores, and gets a note that says so.

    Args:
        jobs: processes that write pages; the gradebook has one writer.

    Raises:
        ConvGradeError: some could not be recorded; the message says who and why, and all results are kept.
        Unavailable: nobody could.
    """
    config = _settings(course)
    by_problem: dict[str, list[Result]] = {}
    failures: list[str] = []
    for result in results:
        if result.status != "could_not_check":
            by_problem.setdefault(result.problem, []).append(result)
            continue
        try:
            _withdraw(course, config, result)
        except (OSError, ConvGradeError) as error:
            failures.append(_refused(result.problem, _about_one(result, error)))
    _create_gradebook(config)
    groups = sum(math.ceil(len(of_problem) / PAGES_AT_A_TIME) for of_problem in by_problem.values())
    slots = min(jobs, groups)
    # One is not worth a process of its own.
    pool = workers.Processes(slots, forked=True) if slots > 1 else _ThisProcess()
    with workers.stopped_on_error(pool) as executor:
        pages = []
        for problem, of_problem in by_problem.items():
            try:
                refused, ready = _enter_problem(course, copy.deepcopy(config), submitted, problem, of_problem)
            except Unavailable:
                raise
            except ConvGradeError as error:
                failures.append(str(error))
                continue
            failures += refused
            try:
                pages += [
                    (problem, executor.submit(_write_pages, course, problem, *group)) for group in ready
                ]
            except BrokenExecutor:
                failures.append(_refused(problem, PAGES_ENDED))
        for problem, page in pages:
            try:
                failures += page.result()
            except BrokenExecutor:
                failures.append(_refused(problem, PAGES_ENDED))
    if failures:
        more = len(failures) - FAILURES_TOLD
        told = failures[:FAILURES_TOLD] + ([f"And {more} more."] if more > 0 else [])
        raise ConvGradeError("\n".join(told))


PAGES_ENDED = "a process that wrote pages was ended"


class _ThisProcess(Executor):
    """Does what it is given at once: nbgrader's converters don't stand a second thread."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


def _create_gradebook(config: Config) -> None:
    """Create an SQLite gradebook whole or not at all.

    nbgrader starts a program to find out which version the tables are of, and writes that into them seconds
    later. A gradebook that was stopped between the two looks right, but the next version can't upgrade it.
    """
    url = make_url(config.CourseDirectory.db_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return
    if Path(url.database).exists():
        return
    path = Path(url.database)
    temporary = path.with_name(f".{path.name}{UNFINISHED}")
    at_first = url.set(database=str(temporary))
    try:
        temporary.unlink(missing_ok=True)
        with create_engine(at_first, poolclass=NullPool).begin() as connection:
            api.Base.metadata.create_all(connection)
            MigrationContext.configure(connection).stamp(ScriptDirectory(ALEMBIC_DIR), "head")
        Gradebook(at_first.render_as_string(), CourseDirectory(config=config).course_id).close()
        temporary.replace(path)
    except (DBAPIError, OSError) as error:
        raise Unavailable(
            f"Could not create {path}: {getattr(error, 'orig', error)}. The results are kept below results/; "
            "run the command again when that is mended."
        ) from error


FAILURES_TOLD = 5
"""Of those who could not be recorded, how many are told of."""


def _withdraw(course: Course, config: Config, result: Result) -> None:
    """Take away what shows an earlier score as if it were that of the notebook handed in now.

    The gradebook keeps the score, because nbgrader would export a missing one as 0. Without the notebook
    formgrader says "needs autograding" in its place, as it does where nbgrader's own autograding failed.
    """
    directory = CourseDirectory(config=config)
    for step in (directory.autograded_directory, directory.feedback_directory):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory.format_path(step, result.student, result.problem))
    result.notes.insert(0, EARLIER_SCORE)
    result.write(course.results)


EARLIER_SCORE = "The gradebook still holds the score of an earlier grading."


def _settings(course: Course) -> Config:
    """Return nbgrader's settings of a course, with the place of its gradebook spelt out."""
    config = recorded.load_config(course)
    config.CourseDirectory.db_url = recorded.gradebook_url(course, config).render_as_string(
        hide_password=False
    )
    return config


Group = tuple[Sequence[Result], Mapping[str, Any], Mapping[str, str]]
"""Results of one problem, what nbgrader knows of its cells, and when each student handed in."""


def _enter_problem(
    course: Course, config: Config, submitted: Path, problem: str, results: Sequence[Result]
) -> tuple[list[str], list[Group]]:
    """Enter results of one problem; return why some could not be, and groups of the others."""
    # What they were graded with; the course's own copy may be an older one.
    config.CourseDirectory.source_directory = str(catalog.ROOT / "source")
    with tempfile.TemporaryDirectory(prefix="convgrade-") as folder:
        config.CourseDirectory.release_directory = f"{folder}/release"
        _run(GenerateAssignment, config, problem)  # registers its points, or those that changed
        release = nbformat.read(Path(folder, "release", problem, f"{problem}.ipynb"), as_version=4)
    metadata = {cell.id: cell.metadata.nbgrader for cell in release.cells if "nbgrader" in cell.metadata}
    for known in metadata.values():
        known.pop("cell_type", None)
    times = {r.student: intake.read_timestamp(submitted, r.student, problem) for r in results}
    failures = _enter(config, problem, results, times)
    results = [result for result in results if result.student not in failures]
    groups = [results[first : first + PAGES_AT_A_TIME] for first in range(0, len(results), PAGES_AT_A_TIME)]
    return list(failures.values()), [(group, metadata, times) for group in groups]


def _enter(
    config: Config, problem: str, results: Sequence[Result], times: Mapping[str, str]
) -> dict[str, str]:
    """Enter scores and comments into the gradebook: what nbgrader's SaveAutoGrades does, at one go.

    Returns:
        For each student who could not be entered, why.

    Raises:
        ConvGradeError: the gradebook does not know the problem.
        Unavailable: the gradebook could not be opened or written.
    """
    failures = {}
    directory = CourseDirectory(config=config, assignment_id=problem)
    late = AssignLatePenalties(config=config)
    late.init_plugin()
    try:
        with _without_warnings(), Gradebook(directory.db_url, directory.course_id) as gradebook:
            gradebook.db().expire_on_commit = False  # what a class has in common is read once
            asked = gradebook.find_notebook(problem, problem)
            names = {cell.id: cell.name for cell in [*asked.grade_cells, *asked.solution_cells]}
            for result in results:
                try:
                    _enter_one(gradebook, late, result, names, times[result.student])
                    gradebook.db.commit()
                except (
                    Exception
                ) as error:  # penalties may be the instructor's own code, which raises anything
                    gradebook.db.rollback()
                    if isinstance(error.__context__, OperationalError):  # nbgrader makes it an InvalidEntry
                        raise error.__context__ from None
                    if isinstance(error, OperationalError):
                        raise
                    failures[result.student] = _refused(problem, _about_one(result, error))
    except OperationalError as error:
        raise Unavailable(_refused(problem, f"OperationalError: {_first_line(error.orig)}")) from error
    except MissingEntry as error:  # somebody removed the assignment a moment ago
        raise ConvGradeError(_refused(problem, f"MissingEntry: {_first_line(error)}")) from error
    return failures


def _enter_one(
    gradebook: Gradebook,
    late: AssignLatePenalties,
    result: Result,
    names: Mapping[str, str],
    handed_in_at: str,
) -> None:
    """Enter one result.

    Args:
        names: of the problem's cells, by nbgrader's number for them.
    """
    gradebook.update_or_create_student(result.student)
    time = {"timestamp": handed_in_at} if handed_in_at else {}
    submission = gradebook.update_or_create_submission(result.problem, result.student, **time)
    (notebook,) = (notebook for notebook in submission.notebooks if notebook.name == result.problem)
    points = {f"test-{question.question}": question.points for question in result.questions}
    comments = {question.question: comment_on(question) for question in result.questions}
    for grade in notebook.grades:
        grade.auto_score = points[names[grade.cell_id]]
        # A person's own score stays, and is to be looked at again.
        grade.needs_manual_grade = grade.manual_score is not None
    for comment in notebook.comments:
        comment.auto_comment = comments[names[comment.cell_id]]
    notebook.late_submission_penalty = None
    gradebook.db.flush()
    if submission.total_seconds_late > 0:
        gradebook.db.refresh(notebook)
        penalty = late.plugin_inst.late_submission_penalty(
            result.student, notebook.score, submission.total_seconds_late
        )
        if penalty is not None:
            notebook.late_submission_penalty = late._check_late_penalty(notebook, penalty)


PAGES_AT_A_TIME = 20
"""Students whose feedback pages are written in one go, since starting takes as long as a page does."""
PAGES_MB = 500
"""Memory of a process that writes them, in 2^20 bytes."""


def _write_pages(
    course: Course,
    problem: str,
    results: Sequence[Result],
    metadata: Mapping[str, Any],
    times: Mapping[str, str],
) -> list[str]:
    """Write notebooks with scores, and feedback pages; return why some could not be written."""
    failures, written = [], []
    config = _settings(course)
    for result in results:
        try:
            _require_one_line(result.student)
            _write_notebook(course, config, result, metadata, times[result.student])
            written.append(result.student)
        except Exception as error:  # a stored notebook may be anything by now, and costs nobody else
            failures.append(_refused(problem, _about_one(result, error)))
    if written:
        try:
            _run(FeedbackFor, config, problem, students=written)
        except ConvGradeError as error:
            failures.append(str(error))
    return failures


def _require_one_line(name: str) -> None:
    """Make sure that nbgrader, which finds students in paths by a pattern, can tell whose a notebook is.

    Raises:
        ConvGradeError: the name has a line break.
    """
    if "\n" in name:
        raise ConvGradeError("nbgrader can't write pages for a name with a line break; rename the folder.")


def _write_notebook(
    course: Course, config: Config, result: Result, metadata: Mapping[str, Any], handed_in_at: str
) -> None:
    """Write the notebook with its scores, as ``nbgrader autograde`` would."""
    directory = CourseDirectory(config=config, assignment_id=result.problem)
    executed = stored_notebook(course, result)
    notebook = fill_in(executed, result, executed)
    for cell in notebook.cells:
        if cell.id in metadata:
            cell.metadata.nbgrader = copy.copy(metadata[cell.id])
            if cell.metadata.nbgrader.locked:  # with its hidden line, which the release has not
                cell.metadata.nbgrader.checksum = compute_checksum(cell)
    notebook, _ = LimitOutput(config=config).preprocess(notebook, {})
    folder = Path(directory.format_path(directory.autograded_directory, result.student, result.problem))
    write_atomically(folder / f"{result.problem}.ipynb", nbformat.writes(notebook))
    if handed_in_at:
        write_atomically(folder / "timestamp.txt", handed_in_at)
    else:
        (folder / "timestamp.txt").unlink(missing_ok=True)


REMEMBERED = 1_000
"""Cells, of each kind, that are made into HTML once for a class."""


class Page(HTMLExporter):
    """Makes a page without nbconvert's last pass over it, and checks its notebook once.

    That pass parses the page and writes it again, which takes longer than all else, to make cells focusable
    that nbgrader's template does not have, and to add what is added here: words for pictures without any.
    """

    optimistic_validation = Bool(True).tag(config=True)

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        resources = self._init_resources(resources)
        widgets = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("highlight_code", self._highlight)
        self.register_filter("filter_data_type", widgets)
        html, resources = TemplateExporter.from_notebook_node(self, nb, resources, **kw)
        return _IMAGE_WITHOUT_WORDS.sub(r'\g<0> alt="A picture that this cell shows"', html), resources

    def _highlight(
        self, source: str, language: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> str:
        """Return a cell's code in colours; a class has most of its cells in common."""
        if language or "magics_language" in (metadata or {}):
            return self._highlighter(source, language, metadata)
        return self._remembering_highlighter(source)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """Return Markdown as HTML; a class has most of its text in common."""
        if self.embed_images or context.get("cell", {}).get("attachments"):
            return super().markdown2html(context, source)  # which depends on more than the text
        if source not in self._rendered:
            self._rendered[source] = super().markdown2html(context, source)
        return self._rendered[source]

    @functools.cached_property
    def _rendered(self) -> LRUCache:
        return LRUCache(REMEMBERED)

    @functools.cached_property
    def _highlighter(self) -> Highlight2HTML:
        return Highlight2HTML(pygments_lexer="python", parent=self)

    @functools.cached_property
    def _remembering_highlighter(self) -> Callable[[str], str]:
        return functools.lru_cache(maxsize=REMEMBERED)(self._highlighter)


_IMAGE_WITHOUT_WORDS = re.compile(r"<img\b(?![^>]*\salt=)")


class Scores(GetGrades):
    """Reads scores and comments of one notebook after another in one gradebook, in a few queries each.

    nbgrader opens it anew for each and asks for every cell, which takes as long as making half a page.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        about = resources["nbgrader"]
        self.notebook_id, self.assignment_id = about["notebook"], about["assignment"]
        self.student_id = about["student"]
        gradebook = self.parent.parent.gradebook
        notebook = gradebook.find_submission_notebook(self.notebook_id, self.assignment_id, self.student_id)
        self.gradebook = _Submitted(gradebook, notebook)
        nb, resources = NbGraderPreprocessor.preprocess(self, nb, resources)
        penalty = notebook.late_submission_penalty or 0
        about |= {
            "score": notebook.score - penalty,
            "max_score": notebook.max_score,
            "late_penalty": penalty,
        }
        gradebook.db.remove()  # nothing that was read is kept for the next
        return nb, resources


class _Submitted:
    """Answers what nbgrader asks of a gradebook about the cells of one submitted notebook."""

    def __init__(self, gradebook: Gradebook, notebook: api.SubmittedNotebook) -> None:
        grades, comments = (
            gradebook.db.query(kind, api.BaseCell.name)
            .join(api.BaseCell, kind.cell_id == api.BaseCell.id)
            .filter(kind.notebook_id == notebook.id)
            for kind in (api.Grade, api.Comment)
        )
        self._grades = {name: grade for grade, name in grades.options(undefer(api.Grade.max_score))}
        self._comments = {name: comment for comment, name in comments}

    def find_grade(self, grade_cell: str, *_: str) -> api.Grade:
        return self._grades[grade_cell]

    def find_comment(self, solution_cell: str, *_: str) -> api.Comment:
        return self._comments[solution_cell]


class FeedbackFor(GenerateFeedback):
    """Writes the feedback of some students."""

    exporter_class = Type(Page)
    preprocessors = List([Scores, CSSHTMLHeaderPreprocessor]).tag(config=True)
    students = List(Unicode())

    def start(self) -> None:
        """Write it, with the gradebook open meanwhile."""
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as self.gradebook:
            super().start()

    def init_notebooks(self) -> None:
        """Take the students' notebooks by name: nbgrader's patterns take brackets in a name for their own."""
        problem = self.coursedir.assignment_id
        folders = [self._format_source(problem, student) for student in self.students]
        self.assignments = {folder: [str(Path(folder, f"{problem}.ipynb"))] for folder in folders}

    def write_single_notebook(self, output: str, resources: Any) -> None:
        """Write one page, whole or not at all: half a page would count as recorded."""
        about = resources["nbgrader"]
        folder = Path(self._format_dest(about["assignment"], about["student"]))
        write_atomically(folder / f"{about['notebook']}.html", output)


def _run(converter: type[BaseConverter], config: Config, problem: str, **settings: Any) -> None:
    """Run one of nbgrader's converters quietly.

    Raises:
        ConvGradeError: it failed.
    """
    _put_own_programs_on_path()
    directory = CourseDirectory(config=config, assignment_id=problem)
    log = logging.Logger("nbgrader", logging.WARNING)  # nobody's child: heard by capture_log alone
    with _without_warnings():
        outcome = capture_log(converter(coursedir=directory, config=config, force=True, log=log, **settings))
    if not outcome["success"]:
        said = outcome.get("error", "") + outcome.get("log", "")
        if outcome.get("error", "").rstrip().endswith("KeyboardInterrupt"):
            raise KeyboardInterrupt  # which nbgrader takes for an error like any other
        reasons = re.findall(r"^ *([\w.]+(?:Error|Exception)\b.*)$", said, re.MULTILINE)
        reason = (reasons or ["no reason given"])[-1]
        raise (Unavailable if "OperationalError" in reason else ConvGradeError)(_refused(problem, reason))


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep quiet what SQLAlchemy says about nbgrader's own order of work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        yield


def _refused(problem: str, reason: str) -> str:
    if "database is locked" in reason:
        return (
            f"nbgrader could not record {problem}: another program, formgrader perhaps, kept the gradebook "
            "busy. The results are kept below results/; run the command again when it is done."
        )
    return (
        f"nbgrader could not record {problem} ({reason}). "
        "The results are kept below results/; run the command again when that is mended."
    )


def _about_one(result: Result, error: Exception) -> str:
    return f"{result.student}: {type(error).__name__}: {_first_line(error)}"


def _first_line(error: object) -> str:
    """Return what an error says, without the statement and the values that SQLAlchemy adds below."""
    return str(error).strip().partition("\n")[0]


def _put_own_programs_on_path() -> None:
    """Let nbgrader find ``alembic``, which it starts by name for a fresh database."""
    programs = str(Path(sys.executable).parent)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", "")
