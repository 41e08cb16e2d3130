"""Results in nbgrader's hands: its database, its folders, its own commands and its formgrader."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
import sqlalchemy
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown import markdown2html
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades
from rich.console import Console

from autograder import batch, catalog, cli, demo, gradebook, intake, recorded, report, specimen
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError
from autograder.results import Result, read_result

NAME = "parameter_counts"
PROBLEM = catalog.problem(NAME)
PLAIN_CONFIG = (
    'c = get_config()\nc.CourseDirectory.course_id = "plain"\nc.CourseDirectory.ignore.append("*.py")\n'
)
WARNS = """

def warned(function):
    def wrapped(*args, **kwargs):
        import warnings
        import numpy

        print("loud", args)
        print("louder", file=__import__("sys").stderr)
        warnings.warn("careful")
        numpy.float64(1) / numpy.float64(0)
        return function(*args, **kwargs)
    return wrapped

{name} = warned({name})
"""
SPIES = """def {name}(*args, **kwargs):
    print(args, kwargs)
    display(args, kwargs)
    raise ValueError(str((args, kwargs)) + "{script}")
"""
SCRIPT = "<img src=x onerror=mata()>"


def _all_sorts(problem: Problem) -> str:
    """By turns right, with a slip, and untouched."""
    right, slips, open_ones = (
        specimen.reference(problem),
        {cell.id: cell.source for cell in nbformat.reads(hand_of("alan")(problem), as_version=4).cells},
        {},
    )
    turns = itertools.cycle([right, slips, open_ones])
    answers = {name: turn[name] for name, turn in zip(right, turns, strict=False) if turn}
    return nbformat.writes(specimen.handed_in(problem, answers))


def _twice_tested(problem: Problem) -> str:
    """Right, but with a test cell twice and in a format of nbgrader's that there is not."""
    notebook = specimen.handed_in(problem, specimen.reference(problem))
    tests = [cell for cell in notebook.cells if cell.id.startswith("test-")]
    tests[0].metadata["nbgrader"]["schema_version"] = 99
    notebook.cells.append(nbformat.from_dict(tests[1] | {"id": "again"}))
    return nbformat.writes(notebook)


def _warns(problem: Problem) -> str:
    """Right, with a warning on stderr for every call."""
    answers = specimen.reference(problem).items()
    loud = {name: source + WARNS.format(name=name) for name, source in answers}
    return nbformat.writes(specimen.handed_in(problem, loud))


def _spies(problem: Problem) -> str:
    """Shows what it is asked in every way there is, and brings a script for whoever reads it."""
    answers = {name: SPIES.format(name=name, script=SCRIPT) for name in specimen.reference(problem)}
    show = f"display({{'text/html': '{SCRIPT}', 'text/markdown': '{SCRIPT}'}}, raw=True)"
    notebook = specimen.handed_in(problem, answers, show)
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"Look: {SCRIPT}"))
    notebook.cells.append(nbformat.v4.new_raw_cell(SCRIPT, metadata={"raw_mimetype": "text/html"}))
    return nbformat.writes(notebook)


def hand_of(student: str) -> demo.Hand:
    return demo.STUDENTS[student][1]


def make_class(folder: Path, **hands: demo.Hand) -> Course:
    """Make a course folder in which each student has handed in the one problem."""
    return demo.make_class(folder, {student: ("", hand, (NAME,)) for student, hand in hands.items()})


HANDS = {student: hand_of(student) for student in ("ada", "kurt", "sofia", "nemo")} | {"alan": _all_sorts}
"""All right, untouched, without tests, half a file, and all sorts of answers."""
GRADED = HANDS | {"mata": _spies}


def convgrade(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "autograder.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def grade(course: Course, *students: str) -> str:
    """Do what ``convgrade grade`` does, and return what it says."""
    console = Console(file=io.StringIO())
    cli.grade_course(course, course.submitted, cli.Grading([PROBLEM], list(students), jobs=1), console)
    return console.file.getvalue()


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of nbgrader's own commands in a course folder."""
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # it starts alembic by name
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": path, "JUPYTER_CONFIG_DIR": str(course / ".jupyter")},
        capture_output=True,
        text=True,
    )


def open_gradebook(course: Course) -> Gradebook:
    return Gradebook(recorded.gradebook_url(course).render_as_string(hide_password=False))


def scores(course: Course, student: str) -> dict[str, float]:
    """Return the automatic score of each question in nbgrader's database."""
    with open_gradebook(course) as book:
        grades = book.find_submission_notebook(NAME, NAME, student).grades
        return {grade.name.removeprefix("test-"): grade.auto_score for grade in grades}


def comments(course: Course, student: str) -> dict[str, str]:
    with open_gradebook(course) as book:
        found = book.find_submission_notebook(NAME, NAME, student).comments
        return {comment.name: comment.auto_comment for comment in found}


def points(result: Result) -> dict[str, float]:
    return {question.question: question.points for question in result.questions}


def autograded(course: Course, student: str) -> dict[str, nbformat.NotebookNode]:
    path = course.root / "autograded" / student / NAME / f"{NAME}.ipynb"
    return {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}


def feedback_page(course: Course, student: str) -> str:
    """Return the words of a student's feedback page, without its tags."""
    page = (course.root / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    return unescape(re.sub(r"<[^>]*>", "", page))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course that ``convgrade grade`` has graded and recorded."""
    course = make_class(tmp_path_factory.mktemp("courses") / "graded", **GRADED)
    (course.submitted / "ada" / NAME / "timestamp.txt").write_text("2031-05-02 12:00:00 UTC\n")
    done = convgrade("grade", NAME, "--course", course.root, "--jobs", "2")
    assert (done.returncode, done.stderr) == (1, "")  # one of them is half a file
    for name in ("results", "gradebook.db", "autograded", "feedback"):
        assert str(course.root / name) in done.stdout
    return course


@pytest.fixture(scope="module")
def results(graded: Course) -> dict[str, Result]:
    found = {student: read_result(graded.results, student, NAME) for student in GRADED}
    return {student: result for student, result in found.items() if result is not None}


# --- What convgrade grade records ----------------------------------------------------------------------


@pytest.mark.parametrize("student", GRADED)
def test_the_database_holds_the_results_question_by_question(
    graded: Course, results: dict[str, Result], student: str
) -> None:
    """Scores and maximal scores are those of the result file, and nothing waits for a person."""
    result = results[student]
    assert scores(graded, student) == points(result)
    with open_gradebook(graded) as book:
        submission = book.find_submission(NAME, student)
        assert (submission.score, submission.max_score) == (result.score, result.max_score)
        assert not submission.needs_manual_grade


def test_the_class_has_all_sorts_of_scores(results: dict[str, Result]) -> None:
    """Full marks, nothing, and parts of questions: otherwise the other tests would prove little."""
    assert {s: r.score for s, r in results.items() if s != "alan"} == {
        "ada": 14, "kurt": 0, "sofia": 14, "nemo": 0, "mata": 0
    }  # fmt: skip
    assert any(0 < question.points < question.max_points for question in results["alan"].questions)
    assert results["nemo"].status == "unreadable"


def test_comments_hold_the_feedback(graded: Course, results: dict[str, Result]) -> None:
    """Each solution cell has its question's sentences, or a kind word where there is nothing to say."""
    alan, ada = comments(graded, "alan"), comments(graded, "ada")
    for question in results["alan"].questions:
        for sentence in question.feedback:
            assert sentence in alan[question.question]
    assert set(ada.values()) == {"All right."}
    assert set(comments(graded, "nemo").values()) == {results["nemo"].notes[-1]}


def test_the_feedback_page_tells_what_went_wrong(graded: Course, results: dict[str, Result]) -> None:
    """Every sentence, every check's line and every question's score stand on it."""
    page = feedback_page(graded, "alan")
    for question in results["alan"].questions:
        assert [line for line in question.feedback if line not in page] == []
        assert [check.label for check in question.checks if check.label not in page] == []
    assert results["nemo"].notes[-1] in feedback_page(graded, "nemo")


def test_the_feedback_page_tells_what_was_mended(graded: Course, results: dict[str, Result]) -> None:
    """A test cell that the student deleted is spoken of, once."""
    (note, *_) = results["sofia"].notes
    assert "was missing and was restored" in note
    assert feedback_page(graded, "sofia").count(note) == 1


@pytest.mark.parametrize("student", ["alan", "kurt", "mata"])
def test_the_feedback_page_gives_nothing_away(graded: Course, student: str) -> None:
    """No hidden argument, no line of the grader and no line of a solution is on it."""
    page = feedback_page(graded, student)
    log = (graded.results / student / f"{NAME}.log").read_text(encoding="utf-8")
    asked = set(re.findall(r"^ {4}\w+\((.{7,})\) -> ", log, re.MULTILINE))
    assert asked
    written = [PROBLEM.grader.read_text(encoding="utf-8"), *specimen.reference(PROBLEM).values()]
    lines = {line.strip() for text in written for line in text.splitlines() if len(line.strip()) > 24}
    given = nbformat.reads(GRADED[student](PROBLEM), as_version=4)
    own = "\n".join(cell.source for cell in given.cells)
    assert [secret for secret in asked | lines if secret in page and secret not in own] == []


def test_no_script_of_a_student_is_in_a_page(graded: Course) -> None:
    """HTML in cells, outputs and error messages is shown as text."""
    page = (graded.root / "feedback" / "mata" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert SCRIPT not in page
    assert f"Look: {SCRIPT}" in unescape(page)
    assert "onerror" in comments(graded, "mata")["dense_params"]
    assert SCRIPT not in comments(graded, "mata")["dense_params"]


def test_pages_are_nbgraders_own(graded: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nbconvert's last pass over a page, which only writes it in another way."""
    place = graded.root / "feedback" / "alan" / NAME / f"{NAME}.html"
    ours = place.read_text(encoding="utf-8")
    monkeypatch.setattr(gradebook.FeedbackFor, "exporter_class", HTMLExporter)
    gradebook._run(gradebook.FeedbackFor, gradebook._settings(graded), NAME, students=["alan"])
    assert str(BeautifulSoup(ours, "html.parser")) == place.read_text(encoding="utf-8")


def test_pictures_have_words() -> None:
    """Somebody to whom the page is read aloud learns that there is one."""
    shown = nbformat.v4.new_output("display_data", data={"image/png": "aGVsbG8="})
    told = nbformat.v4.new_markdown_cell("![a cat](cat.png)")
    cells = [nbformat.v4.new_code_cell("draw()", outputs=[shown]), told]
    page, _ = gradebook.Page().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    words = [image["alt"] for image in BeautifulSoup(page, "html.parser").find_all("img")]
    assert words == ["A picture that this cell shows", "a cat"]


@pytest.mark.parametrize("kind", ["text/html", "text/markdown"])
def test_no_script_of_an_output_is_handed_on(kind: str) -> None:
    """Not even one that came past the sandbox; harmless HTML stays."""
    output = nbformat.v4.new_output("display_data", {kind: f"<b>bold</b> {SCRIPT}"})
    shown = gradebook.harmless(output).data[kind]
    assert "<img" not in shown
    assert ("<b>bold</b>" in shown) == (kind == "text/html")


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT,
        "</p><script>mata()</script>",
        "`<script>`<script>mata()</script>",
        "```mermaid\n<script>mata()</script>\n```",
        "$<script>mata()</script>$",
        "[here](javascript:mata())",
        "[here](java&#115;cript:mata())",
        "![here](javascript:mata())",
        "[here]: javascript:mata()\n\n[here]",
        "<javascript:mata()>",
    ],
)
def test_no_markdown_becomes_a_script(text: str) -> None:
    """nbgrader's pages make of it what nbconvert makes of it: no tag, no link."""
    assert not re.search(r"<(script|img|a\b(?! class=.anchor-link))", markdown2html(gradebook.disarmed(text)))


@pytest.mark.parametrize("text", ["a < b", "1<2", "'<' not supported", "*so* $x < y$", "<3", "x[0] and (y)"])
def test_what_is_no_script_stays_as_it_is(text: str) -> None:
    """Prose and comparisons are still readable."""
    assert gradebook.disarmed(text) == text


def test_test_cells_show_the_score_before_the_words(graded: Course, results: dict[str, Result]) -> None:
    """nbgrader goes by the first output that decides."""
    cells = autograded(graded, "alan")
    for question in results["alan"].questions:
        first, second = cells[f"test-{question.question}"].outputs
        assert float(first.data["text/plain"]) == question.points
        assert first.output_type == "execute_result"
        assert (second.output_type, second.name) == ("stream", "stdout")


def test_a_page_shows_what_nbgrader_would_read_in_the_gradebook(graded: Course, tmp_path: Path) -> None:
    """A person's score and comment, and what is taken off for being late, too."""
    course = Course.at(Path(shutil.copytree(graded.root, tmp_path / "late")))
    with open_gradebook(course) as book:
        notebook = book.find_submission_notebook(NAME, NAME, "ada")
        notebook.grades[0].manual_score = 0.25
        notebook.comments[0].manual_comment = "See me."
        notebook.late_submission_penalty = 3
        book.db.commit()

    class Stock(gradebook.FeedbackFor):
        preprocessors = [GetGrades, CSSHTMLHeaderPreprocessor]  # noqa: RUF012, traitlets reads it

    before, pages = feedback_page(course, "ada"), []
    for converter in (gradebook.FeedbackFor, Stock):
        gradebook._run(converter, gradebook._settings(course), NAME, students=["ada"])
        pages.append(feedback_page(course, "ada"))
    assert pages[0] == pages[1] != before
    assert "See me." in pages[0]
    assert "(Score: 0.25 /" in " ".join(pages[0].split())


def test_the_time_of_handing_in_reaches_the_database(graded: Course) -> None:
    """So nbgrader knows who was late, and by how much."""
    with open_gradebook(graded) as book:
        book.update_or_create_assignment(NAME, duedate="2031-05-01 12:00:00 UTC")
        assert book.find_submission(NAME, "ada").total_seconds_late == 24 * 60 * 60
        assert book.find_submission(NAME, "kurt").timestamp is None


def test_nothing_is_recorded_for_what_could_not_be_checked(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no score, no notebook and no page that a person could mistake for a grade."""
    result = Result("course", "kurt", NAME, "could_not_check", None, 14.0, notes=["The disk was full."])
    result.write(course.results)
    for student in GRADED.keys() - {"kurt"}:
        shutil.rmtree(course.submitted / student)
    config = recorded.load_config(course)
    monkeypatch.setattr(gradebook, "_grade_now", lambda *arguments: None)
    with pytest.raises(ConvGradeError, match=f"{NAME} of kurt could not be checked. The disk was full."):
        gradebook._run(Autograde, config, NAME)
    assert not (course.root / "autograded" / "kurt" / NAME).exists()
    monkeypatch.setattr(gradebook, "_run", lambda *arguments: pytest.fail("nbgrader was started"))
    gradebook.record(course, course.submitted, [result])


def test_who_cannot_be_recorded_costs_nobody_else(course: Course, results: dict[str, Result]) -> None:
    """The others have their scores and their pages; the error names who it is and what is missing."""
    shutil.rmtree(course.root / "feedback")
    shutil.rmtree(course.root / "autograded")
    halved = dataclasses.replace(results["ada"], questions=results["ada"].questions[1:])
    with pytest.raises(ConvGradeError, match=rf"could not record {NAME} \(ada: KeyError: 'test-"):
        gradebook.record(course, course.submitted, [halved, results["kurt"]])
    assert not (course.root / "autograded" / "ada" / NAME).exists()
    assert [path.name for path in (course.root / "feedback").iterdir()] == ["kurt"]


@pytest.mark.parametrize("fault", [ZeroDivisionError, TypeError])
def test_penalties_that_cannot_be_reckoned_cost_nobody_else(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    """They may be the instructor's own code."""
    enter = gradebook._enter_one

    def enter_or_fail(book: Gradebook, late: object, result: Result, *about: Any) -> None:
        enter(book, late, result, *about)
        if result.student == "ada":
            raise fault("in a plugin")

    monkeypatch.setattr(gradebook, "_enter_one", enter_or_fail)
    shutil.rmtree(course.root / "feedback")
    with pytest.raises(
        ConvGradeError, match=rf"could not record {NAME} \(ada: {fault.__name__}: in a plugin"
    ):
        gradebook.record(course, course.submitted, [results["ada"], results["kurt"]])
    assert [path.name for path in (course.root / "feedback").iterdir()] == ["kurt"]


def test_a_process_that_wrote_pages_and_ended_is_told_of(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its like take no more work; the scores are entered."""
    change_gradebook(course, "UPDATE grade SET auto_score = NULL")

    def ended(*arguments: object) -> None:
        raise BrokenProcessPool("a process was killed")

    monkeypatch.setattr(gradebook._ThisProcess, "submit", ended)
    with pytest.raises(
        ConvGradeError, match=f"could not record {NAME} .*a process that wrote pages was ended"
    ):
        gradebook.record(course, course.submitted, [results["alan"]])
    assert scores(course, "alan") == points(results["alan"])


def test_names_that_patterns_would_misread(course: Course, results: dict[str, Result]) -> None:
    """nbgrader looks for notebooks with patterns, in which brackets have a meaning and a line ends."""
    odd = [dataclasses.replace(results["alan"], student=name) for name in ("a[1]", "b\nc", "d*", "ü {e}")]
    for result in odd:
        shutil.copytree(course.results / "alan", course.results / result.student)
    with pytest.raises(ConvGradeError, match="line break; rename the folder") as told:
        gradebook.record(course, course.submitted, odd)
    assert "a[1]" not in str(told.value)
    pages = {path.parent.parent.name for path in (course.root / "feedback").rglob("*.html")}
    assert pages >= {"a[1]", "d*", "ü {e}"}
    assert "b\nc" not in pages


# --- Grading again -------------------------------------------------------------------------------------


@pytest.fixture
def course(graded: Course, tmp_path: Path) -> Course:
    """A copy of the graded course, as old as it is."""
    shutil.copytree(graded.root, tmp_path / "course")
    return Course.at(tmp_path / "course")


def ages(course: Course) -> dict[Path, int]:
    lock = course.root / ".convgrade_lock"  # says who graded last
    files = (path for path in course.root.rglob("*") if path.is_file() and path != lock)
    return {path: path.stat().st_mtime_ns for path in files}


def test_grading_again_changes_nothing(course: Course) -> None:
    """No file is written, and nbgrader, which takes its time, is not even imported."""
    before = ages(course)
    script = (
        "import sys; from autograder import cli\ntry: cli.main()\nfinally: print('nbgrader' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "grade", NAME, "--course", str(course.root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")  # nemo's is still half a file
    assert "6 unchanged, 0 to grade" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
    assert ages(course) == before


@pytest.mark.parametrize("lost", ["gradebook.db", f"autograded/alan/{NAME}"])
def test_what_nbgrader_has_lost_is_recorded_again(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """From the stored results, without grading anything."""
    path = course.root / lost
    path.unlink() if path.is_file() else shutil.rmtree(path)
    monkeypatch.setattr(batch, "grade_one", lambda work: pytest.fail("graded"))
    assert "2 unchanged, 0 to grade" in grade(course, "ada", "alan")
    assert path.exists()
    for student in ("ada", "alan"):
        assert recorded.unrecorded(course, course.submitted, [results[student]]) == []
        assert scores(course, student) == points(results[student])
        assert read_result(course.results, student, NAME) == results[student]


@pytest.mark.parametrize(
    "name", [f"autograded/alan/{NAME}/{NAME}.ipynb", f"feedback/alan/{NAME}/{NAME}.html"]
)
def test_what_is_missing_or_older_than_its_result_is_not_recorded(
    course: Course, results: dict[str, Result], name: str
) -> None:
    """Recording ended between the gradebook and the pages, or somebody removed one."""
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == []
    os.utime(course.root / name, (999, 999))
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == [results["alan"]]
    (course.root / name).unlink()
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == [results["alan"]]


def test_another_time_of_handing_in_is_recorded(course: Course, results: dict[str, Result]) -> None:
    """Penalties hang on it, though the notebook is the same; a time that is none is left alone."""
    stamp = course.submitted / "alan" / NAME / "timestamp.txt"
    kept = course.root / "autograded" / "alan" / NAME / stamp.name
    for text, changes in (("soon", False), ("2031-05-02 12:00 UTC", True), ("2031-05-03 12:00 UTC\n", True)):
        stamp.write_text(text)
        assert bool(recorded.unrecorded(course, course.submitted, list(results.values()))) == changes
        gradebook.record(course, course.submitted, [results["alan"]])
        assert recorded.unrecorded(course, course.submitted, list(results.values())) == []
        with open_gradebook(course) as book:
            told = book.find_submission(NAME, "alan").timestamp
        assert (told and f"{told:%Y-%m-%d %H:%M} UTC") == (text.strip() if changes else None)
    stamp.unlink()
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == [results["alan"]]
    gradebook.record(course, course.submitted, [results["alan"]])
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == []
    assert not kept.exists()


def test_a_better_submission_gets_its_score(course: Course) -> None:
    """It is graded again and recorded again; nobody else is."""
    before = ages(course)
    right = course.submitted / "ada" / NAME / f"{NAME}.ipynb"
    shutil.copy(right, course.submitted / "kurt" / NAME)
    grade(course)
    result = read_result(course.results, "kurt", NAME)
    assert result is not None
    assert scores(course, "kurt") == points(result)
    assert result.score == 14
    written = {path for path, age in ages(course).items() if before.get(path) != age}
    assert written - {course.root / "gradebook.db"} == {
        course.submitted / "kurt" / NAME / f"{NAME}.ipynb",
        *(course.results / "kurt" / f"{NAME}{suffix}" for suffix in (".ipynb", ".json", ".log")),
        course.root / "autograded" / "kurt" / NAME / f"{NAME}.ipynb",
        course.root / "feedback" / "kurt" / NAME / f"{NAME}.html",
    }


# --- What could not be checked any more, and who could not be recorded ---------------------------------


@pytest.fixture
def unchecked(course: Course, results: dict[str, Result]) -> Result:
    """Alan's new notebook, which the engine failed on after the one before it was recorded."""
    result = dataclasses.replace(
        results["alan"], status="could_not_check", score=None, questions=[], notes=["The disk was full."]
    )
    result.write(course.results)
    return result


def test_an_earlier_score_does_not_look_like_a_current_one(course: Course, unchecked: Result) -> None:
    """Formgrader says "needs autograding" in its place, and no feedback can be released."""
    directory = CourseDirectory(config=recorded.load_config(course))
    formgrader = NbGraderAPI(directory)
    assert formgrader.get_submission(NAME, "alan")["autograded"]
    assert recorded.unrecorded(course, course.submitted, [unchecked]) == [unchecked]
    gradebook.record(course, course.submitted, [unchecked])
    assert not formgrader.get_submission(NAME, "alan")["autograded"]
    assert formgrader.get_submission(NAME, "ada")["autograded"]
    assert not (course.root / "feedback" / "alan" / NAME).exists()


def test_an_earlier_score_is_told_of(course: Course, results: dict[str, Result], unchecked: Result) -> None:
    """The gradebook keeps it: nbgrader exports a missing one as 0. The table's row begins with that."""
    gradebook.record(course, course.submitted, [unchecked])
    assert scores(course, "alan") == points(results["alan"])
    stored = read_result(course.results, "alan", NAME)
    assert stored is not None
    assert report.what_went_wrong(stored) == f"{gradebook.EARLIER_SCORE} The disk was full."


def test_nothing_is_said_of_who_has_no_earlier_score(course: Course, unchecked: Result) -> None:
    """A first submission that could not be checked leaves nothing to take away."""
    newcomer = dataclasses.replace(unchecked, student="zoe")
    assert recorded.unrecorded(course, course.submitted, [newcomer]) == []


def test_what_can_be_checked_again_is_recorded_again(
    course: Course, results: dict[str, Result], unchecked: Result
) -> None:
    """With its notebook and its page, although the score is what the gradebook held all the time."""
    gradebook.record(course, course.submitted, [unchecked])
    results["alan"].write(course.results)
    assert recorded.unrecorded(course, course.submitted, [results["alan"]]) == [results["alan"]]
    gradebook.record(course, course.submitted, [results["alan"]])
    assert recorded.unrecorded(course, course.submitted, [results["alan"]]) == []
    assert results["alan"].questions[1].feedback[0] in feedback_page(course, "alan")


def test_a_problem_that_cannot_be_recorded_costs_no_other(course: Course, results: dict[str, Result]) -> None:
    """Nor a student of it: whatever comes after is recorded, and the error tells of all."""
    astray = [dataclasses.replace(results[student], problem="iou") for student in ("ada", "kurt")]
    shutil.rmtree(course.root / "feedback")
    with pytest.raises(ConvGradeError) as told:
        gradebook.record(course, course.submitted, [*astray, results["alan"]])
    assert [student in str(told.value) for student in ("ada", "kurt", "alan")] == [True, True, False]
    assert recorded.unrecorded(course, course.submitted, [results["alan"]]) == []


def test_a_problem_that_is_removed_meanwhile_is_told_of(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In formgrader, perhaps, between the entry of its points and that of its scores."""

    def find_nothing(*arguments: object) -> None:
        raise MissingEntry("No such notebook")

    monkeypatch.setattr(Gradebook, "find_notebook", find_nothing)
    with pytest.raises(ConvGradeError, match=r"could not record .*MissingEntry: No such notebook"):
        gradebook._enter(gradebook._settings(course), NAME, [results["ada"]], {"ada": ""})


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_notebook_costs_nobody_elses_pages(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """Whether pages are written here or by several processes, and in however many goes."""
    shutil.rmtree(course.root / "feedback")
    monkeypatch.setattr(gradebook, "PAGES_AT_A_TIME", 2)
    (course.results / "ada" / f"{NAME}.ipynb").write_text("no notebook")
    chosen = [results[student] for student in ("ada", "kurt", "alan")]
    with pytest.raises(ConvGradeError, match=rf"could not record {NAME} \(ada: .*results are kept"):
        gradebook.record(course, course.submitted, chosen, jobs)
    assert sorted(path.name for path in (course.root / "feedback").iterdir()) == ["alan", "kurt"]
    assert recorded.unrecorded(course, course.submitted, chosen) == [results["ada"]]


# --- Whatever database it is ---------------------------------------------------------------------------


def keep_gradebook_at(course: Course, url: str) -> None:
    """Do what an instructor does to keep the gradebook elsewhere."""
    with (course.root / "nbgrader_config.py").open("a", encoding="utf-8") as file:
        file.write(f"\nc.CourseDirectory.db_url = {url!r}\n")


@pytest.mark.parametrize("absolute", [True, False])
def test_a_gradebook_in_another_place_is_used(
    course: Course,
    results: dict[str, Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    absolute: bool,
) -> None:
    """A relative path starts at the course folder, wherever the command was started."""
    elsewhere = tmp_path / "elsewhere.db" if absolute else course.root / "kept" / "scores.db"
    elsewhere.parent.mkdir(exist_ok=True)
    keep_gradebook_at(course, f"sqlite:///{elsewhere}" if absolute else "sqlite:///kept/scores.db")
    before = (course.root / "gradebook.db").read_bytes()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    chosen = [results["ada"], results["alan"]]
    assert recorded.unrecorded(course, course.submitted, chosen) == chosen
    assert not elsewhere.exists()
    gradebook.record(course, course.submitted, chosen)
    assert recorded.unrecorded(course, course.submitted, chosen) == []
    with Gradebook(f"sqlite:///{elsewhere}") as book:
        assert {s.student.id: s.score for s in book.assignment_submissions(NAME)} == {
            result.student: result.score for result in chosen
        }
    assert (course.root / "gradebook.db").read_bytes() == before
    assert list((tmp_path / "here").iterdir()) == []


def test_a_new_gradebook_is_like_nbgraders_own(graded: Course, tmp_path: Path) -> None:
    """Its tables, and the version they are of, from which the next nbgrader upgrades it."""
    programs = str(Path(sys.executable).parent)  # nbgrader starts alembic by name
    subprocess.run(
        [sys.executable, "-c", "from nbgrader.api import Gradebook; Gradebook('sqlite:///own.db', 'plain')"],
        cwd=tmp_path, env=os.environ | {"PATH": programs + os.pathsep + os.environ["PATH"]}, check=True,
    )  # fmt: skip
    made = []
    for path in (tmp_path / "own.db", graded.root / "gradebook.db"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            tables = database.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name != 'alembic_version'"
            ).fetchall()
            versions = database.execute("SELECT version_num FROM alembic_version").fetchall()
            made.append((sorted(tables), versions))
    own, ours = made
    assert ours == own
    assert len(own[1]) == 1


def change_gradebook(course: Course, statement: str) -> None:
    """Do something to Alan's submission in the gradebook, behind everybody's back."""
    with open_gradebook(course) as book:
        notebook = book.find_submission_notebook(NAME, NAME, "alan").id
        book.db.execute(sqlalchemy.text(statement + " WHERE notebook_id = :notebook"), {"notebook": notebook})
        book.db.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE grade SET auto_score = auto_score + 1",
        "UPDATE grade SET auto_score = NULL",
        "DELETE FROM grade",
    ],
)
def test_the_gradebook_itself_says_what_it_holds(
    course: Course, results: dict[str, Result], statement: str
) -> None:
    """It may be exchanged, or recording may have ended when a submission had just been added to it."""
    change_gradebook(course, statement)
    assert recorded.unrecorded(course, course.submitted, list(results.values())) == [results["alan"]]


def test_a_persons_score_is_no_reason_to_record_again(course: Course, results: dict[str, Result]) -> None:
    """Formgrader keeps it beside the automatic one."""
    with open_gradebook(course) as book:
        grade = book.find_submission_notebook(NAME, NAME, "alan").grades[0]
        grade.manual_score = 0.5
        book.db.commit()
    assert recorded.unrecorded(course, course.submitted, [results["alan"]]) == []


def test_a_gradebook_that_is_none_is_told_of(course: Course, results: dict[str, Result]) -> None:
    """Nothing is written over it."""
    (course.root / "gradebook.db").write_text("my notes on everybody's scores, by hand")
    with pytest.raises(ConvGradeError, match=r"gradebook\.db.* can't be read: file is not a database"):
        recorded.unrecorded(course, course.submitted, [results["ada"]])


@pytest.mark.parametrize(
    "url", ["secret", "postgresql://course:secret@:port/", "nodatabase://course:secret@host"]
)
def test_a_wrong_place_is_told_of_without_its_password(
    course: Course, results: dict[str, Result], url: str
) -> None:
    """The message may end up in a log."""
    keep_gradebook_at(course, url)
    with pytest.raises(ConvGradeError) as told:
        recorded.unrecorded(course, course.submitted, [results["ada"]])
    assert "secret" not in str(told.value)
    assert "gradebook" in str(told.value)


@contextlib.contextmanager
def someone_writing(course: Course) -> Iterator[sqlite3.Connection]:
    """Keep the gradebook to oneself, as formgrader does for a moment."""
    other = sqlite3.connect(course.root / "gradebook.db", isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield other
    finally:
        other.close()


def test_recording_waits_for_another_writer(course: Course, results: dict[str, Result]) -> None:
    """SQLite has one at a time."""
    (course.root / "feedback" / "alan" / NAME / f"{NAME}.html").unlink()
    change_gradebook(course, "UPDATE grade SET auto_score = NULL")  # else there is nothing to write
    with someone_writing(course) as other:
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            sqlite3.connect(course.root / "gradebook.db", timeout=0) as second,
        ):
            second.execute("BEGIN IMMEDIATE")
        letting_go = threading.Timer(1, other.rollback)
        letting_go.start()
        gradebook.record(course, course.submitted, [results["alan"]])
        assert letting_go.finished.is_set()
        letting_go.join()
    assert recorded.unrecorded(course, course.submitted, [results["alan"]]) == []


@pytest.mark.parametrize("student", ["alan", "zoe"])
@pytest.mark.parametrize("begins", ["before", "while entering"])
def test_a_gradebook_that_stays_busy_is_left_to_the_next_run(
    course: Course, results: dict[str, Result], monkeypatch: pytest.MonkeyPatch, student: str, begins: str
) -> None:
    """For somebody it has and for somebody new; one sentence says what to do."""
    keep_gradebook_at(course, "sqlite:///gradebook.db?timeout=0.1")
    change_gradebook(course, "UPDATE grade SET auto_score = NULL")
    result = dataclasses.replace(results["alan"], student=student)
    enter, writers = gradebook._enter_one, contextlib.ExitStack()

    def enter_late(*arguments: Any) -> None:
        writers.enter_context(someone_writing(course))
        enter(*arguments)

    with monkeypatch.context() as patch, writers:
        if begins == "before":
            writers.enter_context(someone_writing(course))
        else:
            patch.setattr(gradebook, "_enter_one", enter_late)
        with pytest.raises(gradebook.Unavailable, match=r"kept the gradebook busy\. The results are kept"):
            gradebook.record(course, course.submitted, [result, results["ada"]])
    assert recorded.unrecorded(course, course.submitted, [result]) == [result]
    gradebook.record(course, course.submitted, [result])
    assert recorded.unrecorded(course, course.submitted, [result]) == []


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of an empty database of a PostgreSQL server that is started for it."""
    driver = next((name for name in ("psycopg", "psycopg2") if importlib.util.find_spec(name)), None)
    if not driver:
        pytest.skip("neither psycopg nor psycopg2 is installed")
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    initdb, pg_ctl = (shutil.which(name, path=os.pathsep.join(places)) for name in ("initdb", "pg_ctl"))
    if not initdb or not pg_ctl:
        pytest.skip("no PostgreSQL server is installed")
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # a socket's path must be short
        if user:
            shutil.chown(folder, user)
        password = Path(folder, "password")
        password.write_text("sesame")
        password.chmod(0o644)

        def run(*command: str) -> None:
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        run(initdb, "-D", f"{folder}/data", "-U", "course", "-A", "scram-sha-256", f"--pwfile={password}")
        served = f"-c listen_addresses= -c unix_socket_directories={folder}"
        run(pg_ctl, "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", served, "-w", "start")
        try:
            yield f"postgresql+{driver}://course:sesame@/postgres?host={folder}"
        finally:
            run(pg_ctl, "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")


def test_the_gradebook_may_be_a_postgresql_database(
    course: Course, results: dict[str, Result], postgresql: str
) -> None:
    """Recorded, found again, exported, recorded again where it was changed, and its password told nobody."""
    keep_gradebook_at(course, postgresql)
    (course.root / "gradebook.db").unlink()
    everybody = list(results.values())
    assert recorded.unrecorded(course, course.submitted, everybody) == everybody
    gradebook.record(course, course.submitted, everybody, 2)
    assert recorded.unrecorded(course, course.submitted, everybody) == []
    for student, result in results.items():
        assert scores(course, student) == points(result)
    exported = nbgrader(course.root, "export")
    assert exported.returncode == 0, exported.stderr
    with (course.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)} == {
            student: result.score for student, result in results.items()
        }
    change_gradebook(course, "UPDATE grade SET auto_score = auto_score + 1")
    assert recorded.unrecorded(course, course.submitted, everybody) == [results["alan"]]
    assert not (course.root / "gradebook.db").exists()
    keep_gradebook_at(course, postgresql.replace("host=", "host=/nowhere"))
    with pytest.raises(ConvGradeError, match=r"can't be read: .*connection") as told:
        recorded.unrecorded(course, course.submitted, everybody)
    assert "sesame" not in str(told.value)


# --- nbgrader's own commands with the course's settings ------------------------------------------------


@dataclass(frozen=True)
class ByCommand:
    """Two courses that nbgrader's own commands have graded.

    Attributes:
        ours: the class with the course's settings, and one whom nbgrader alone would stop at.
        stock: honest students without any of the engine's settings.
    """

    ours: Course
    stock: Course


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory, graded: Course) -> ByCommand:
    """Both courses, with the secret of the one that ``convgrade grade`` has graded."""
    folder = tmp_path_factory.mktemp("courses")
    courses = ByCommand(
        make_class(folder / "ours", **HANDS, dora=_twice_tested),
        make_class(folder / "stock", ada=_warns, alan=_all_sorts),
    )
    (courses.stock.root / "nbgrader_config.py").write_text(PLAIN_CONFIG)

    def autograde(course: Course) -> list[int]:
        shutil.copy(graded.root / ".convgrade_secret", course.root)
        commands = ("generate_assignment", "autograde")
        return [nbgrader(course.root, command, NAME).returncode for command in commands]

    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(autograde, (courses.ours, courses.stock)))
    assert codes == [[0, 1], [0, 0]]  # in ours is half a file, which nbgrader reports
    return courses


@pytest.fixture(scope="module")
def ours(by_command: ByCommand) -> Course:
    return by_command.ours


@pytest.fixture(scope="module")
def stock(by_command: ByCommand) -> Course:
    return by_command.stock


@pytest.mark.parametrize("student", ["ada", "alan", "kurt", "sofia"])
def test_nbgrader_autograde_gives_the_same_scores(graded: Course, ours: Course, student: str) -> None:
    """Whoever grades by nbgrader's command gets what convgrade grade gives, comments included."""
    assert scores(ours, student) == scores(graded, student)
    assert comments(ours, student) == comments(graded, student)


@pytest.mark.parametrize("student", ["ada", "alan", "kurt", "sofia"])
def test_nbgrader_autograde_writes_the_same_notebooks(graded: Course, ours: Course, student: str) -> None:
    """What formgrader shows is the same to the byte, whoever recorded it."""
    by_command, by_us = (
        nbformat.read(course.root / "autograded" / student / NAME / f"{NAME}.ipynb", as_version=4)
        for course in (ours, graded)
    )
    assert by_us == by_command


def test_a_notebook_that_would_stop_nbgrader_is_graded(ours: Course) -> None:
    """A test cell that is there twice and settings of no known version are repaired first."""
    assert sum(scores(ours, "dora").values()) == 14


def test_a_notebook_that_nbgrader_cannot_open_stops_nobody_else(ours: Course) -> None:
    """nbgrader drops it before any of our code runs: ``convgrade grade`` records it with 0 points."""
    assert not (ours.root / "autograded" / "nemo" / NAME).exists()
    assert (ours.root / "autograded" / "sofia" / NAME).is_dir()


def test_the_release_of_the_course_is_the_one_in_the_repository(ours: Course) -> None:
    """``nbgrader generate_assignment`` makes what ``convgrade build`` committed, and nothing beside it."""
    folder = ours.root / "release" / NAME
    assert [path.name for path in folder.iterdir()] == [f"{NAME}.ipynb"]
    made, committed = (nbformat.read(path, 4) for path in (folder / f"{NAME}.ipynb", PROBLEM.release))
    assert made == committed


def test_nbgrader_exports_the_grades(ours: Course) -> None:
    """``nbgrader export`` writes what the engine recorded."""
    exported = nbgrader(ours.root, "export")
    assert exported.returncode == 0, exported.stderr
    with (ours.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    assert {student: rows[student] for student in ("ada", "alan", "kurt")} == {
        student: sum(scores(ours, student).values()) for student in ("ada", "alan", "kurt")
    }


# --- Stock nbgrader ------------------------------------------------------------------------------------


@pytest.mark.parametrize("student", ["ada", "alan"])
def test_stock_nbgrader_gives_honest_students_the_same_scores(
    graded: Course, stock: Course, student: str
) -> None:
    """The hidden line in each test cell calls the same grader, with the student's own variant.

    Ada's answers are right and warn on stderr, which nbgrader would take for a failure.
    """
    assert scores(stock, student) == scores(graded, student)


def test_stock_nbgrader_takes_the_score_although_a_visible_test_fails(stock: Course) -> None:
    """Partial points come first; the error that follows does not undo them."""
    kinds = {
        name: [output.output_type for output in cell.outputs if output.output_type != "stream"]
        for name, cell in autograded(stock, "alan").items()
        if name.startswith("test-")
    }
    partial = [f"test-{name}" for name, score in scores(stock, "alan").items() if score]
    assert partial
    assert ["execute_result", "error"] in [kinds[name] for name in partial]


def test_validating_a_release_shows_no_hidden_test(stock: Course) -> None:
    """``nbgrader validate`` shows students what failed, all of it visible anyway."""
    done = nbgrader(stock.root / "release" / NAME, "validate", f"{NAME}.ipynb")
    assert "VALIDATION FAILED ON 7 CELL(S)" in done.stdout
    assert not re.search("HIDDEN|grade_cell|autograder|SOLUTION", done.stdout + done.stderr)


# --- Formgrader ----------------------------------------------------------------------------------------

Get = Callable[..., str]


@pytest.fixture(scope="module")
def formgrader(graded: Course, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """A Jupyter server on the graded course, asked with ``formgrader(path)``."""
    runtime, settings = tmp_path_factory.mktemp("runtime"), tmp_path_factory.mktemp("settings")
    places = {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(settings)}
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ServerApp.port=0",
            "--IdentityProvider.token=abc",
            '--ServerApp.jpserver_extensions={"nbgrader.server_extensions.formgrader": True}',
        ],
        cwd=graded.root, env=os.environ | places | path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (found := list(runtime.glob("jpserver-*.json"))) or not _listens(found[0]):
        assert process.poll() is None, "the Jupyter server did not start"
        time.sleep(0.05)
    address = json.loads(found[0].read_text())["url"]

    def ask(path: str, method: str = "GET") -> str:
        request = urllib.request.Request(
            f"{address}formgrader/{path}", headers={"Authorization": "token abc"}, method=method
        )
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    yield ask
    process.send_signal(signal.SIGTERM)
    process.wait()


def _listens(server: Path) -> bool:
    """Say whether a Jupyter server answers; it writes its file a moment before."""
    try:
        port = json.loads(server.read_text())["port"]
        socket.create_connection(("127.0.0.1", port)).close()
    except (OSError, ValueError):
        return False
    return True


def test_formgrader_lists_the_scores(formgrader: Get, results: dict[str, Result]) -> None:
    """Its table has everybody's score."""
    rows = json.loads(formgrader(f"api/submissions/{NAME}"))
    assert {row["student"]: row["score"] for row in rows} == {s: r.score for s, r in results.items()}


def test_formgrader_shows_a_submission_with_its_feedback(formgrader: Get, results: dict[str, Result]) -> None:
    """The page of one student has the sentences in its test cells."""
    rows = json.loads(formgrader(f"api/submitted_notebooks/{NAME}/{NAME}"))
    number = next(row["id"] for row in rows if row["student"] == "alan")
    page = unescape(re.sub(r"<[^>]*>", "", formgrader(f"submissions/{number}/")))
    assert [line for q in results["alan"].questions for line in q.feedback if line not in page] == []


def test_formgrader_runs_no_script_of_a_student(formgrader: Get) -> None:
    """It would run as the instructor, in the instructor's own Jupyter."""
    rows = json.loads(formgrader(f"api/submitted_notebooks/{NAME}/{NAME}"))
    number = next(row["id"] for row in rows if row["student"] == "mata")
    page = formgrader(f"submissions/{number}/")
    assert f"Look: {SCRIPT}" in unescape(page)
    assert SCRIPT not in page


def test_formgraders_autograde_button_works(formgrader: Get, graded: Course) -> None:
    """It goes through the engine, and the scores stay what they are."""
    before = scores(graded, "alan")
    done: dict[str, Any] = json.loads(formgrader(f"api/submission/{NAME}/alan/autograde", "POST"))
    assert done["success"], done
    assert "Applying preprocessor: Grade" in done["log"]
    assert scores(graded, "alan") == before


def test_formgraders_feedback_button_works(
    formgrader: Get, graded: Course, results: dict[str, Result]
) -> None:
    """It makes the same page as ``nbgrader generate_feedback`` does."""
    shutil.rmtree(graded.root / "feedback" / "alan")
    assert json.loads(formgrader(f"api/assignment/{NAME}/alan/generate_feedback", "POST"))["success"]
    assert results["alan"].questions[1].feedback[0] in feedback_page(graded, "alan")


# --- When it was handed in -----------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Ada's folder of one problem."""
    folder = tmp_path / "submitted" / "ada" / NAME
    folder.mkdir(parents=True)
    return folder


def timestamp(box: Path) -> str:
    return intake.read_timestamp(box.parent.parent, "ada", NAME)


@pytest.mark.parametrize("text", ["2031-05-02 12:00:00.948203 UTC", "2031-05-02T12:00:00+02:00"])
def test_a_date_is_read(box: Path, text: str) -> None:
    """As nbgrader writes it, or in ISO 8601."""
    (box / "timestamp.txt").write_text(f"{text}\n")
    assert timestamp(box) == text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"yesterday",
        b"2031-05-02 12:00:00 UTC" + b" " * 100,
        "2031-05-02 12:00:00 UTC".encode("utf-16"),
        b"0001-01-01T00:00:00+23:00",
        b"2031-05-02 12:00:00 99999999999999999999",
        b"2031-05-02 12:00:00 /etc/passwd",
    ],
)
def test_what_is_no_date_is_ignored(box: Path, content: bytes) -> None:
    """It would stop nbgrader for the whole class."""
    (box / "timestamp.txt").write_bytes(content)
    assert timestamp(box) == ""


def test_no_date_is_no_date(box: Path) -> None:
    """The file, or the student's whole folder, may be missing."""
    assert timestamp(box) == ""
    assert intake.read_timestamp(box.parent.parent, "nobody", NAME) == ""


@pytest.mark.parametrize("linked", ["timestamp.txt", ".", ".."])
def test_no_link_is_followed_to_a_date(box: Path, tmp_path: Path, linked: str) -> None:
    """Neither the file nor a folder on the way to it may be one."""
    (box / "timestamp.txt").write_text("2031-05-02 12:00:00 UTC")
    assert timestamp(box)
    path = box / "timestamp.txt" if linked == "timestamp.txt" else Path(os.path.normpath(box / linked))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert timestamp(box) == ""


def test_a_pipe_in_the_place_of_the_date_is_not_waited_for(box: Path) -> None:
    """Nobody would ever write into it."""
    os.mkfifo(box / "timestamp.txt")
    assert timestamp(box) == ""
