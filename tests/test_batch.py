"""What a batch grades, in which order, and what a fault costs."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

import autograder
from autograder import batch, catalog, recorded, specimen
from autograder.batch import Graded, Work
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError, CourseError, SandboxError
from autograder.intake import HandedIn
from autograder.results import Result, read_result
from autograder.sandbox import isolation

from .conftest import SECRET

PROBLEM = "iou"


def work_of(*students: str, course: str = "course") -> list[Work]:
    handed_in = HandedIn(None, "", (), "There is no notebook.")
    return [Work(course, student, PROBLEM, handed_in, SECRET, "process", "") for student in students]


def result_of(work: Work, status: str = "graded") -> Result:
    score = None if status == "could_not_check" else 1.0
    return Result(
        work.course, work.student, work.problem, status, score, 1.0,
        submission_sha256=work.handed_in.sha256, grader_sha256=work.grader_sha256,
    )  # fmt: skip


def by_student(graded: Iterator[Graded]) -> dict[str, Result]:
    """Return each student's result; nobody has two."""
    results = [item.result for item in graded]
    assert len({result.student for result in results}) == len(results)
    return {result.student: result for result in results}


def test_a_file_that_the_machine_refuses_is_nobodys_zero() -> None:
    """It could not be checked, with what to do, and is graded once it can be read."""
    (work,) = work_of("ada")
    refused = replace(work.handed_in, reason="iou.ipynb could not be read: Permission denied.", refused=True)
    result = batch.grade_one(replace(work, handed_in=refused)).result
    assert (result.status, result.score) == ("could_not_check", None)
    assert result.notes == [f"{refused.reason} Make it readable and grade again."]


def test_a_grader_that_does_not_import_could_not_check_anybody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no score, and the note says which grader and how to find the fault."""
    broken = tmp_path / "broken" / "test_broken.py"
    broken.parent.mkdir()
    broken.write_text("import there_is_no_such_module\n")
    monkeypatch.setattr(catalog, "GRADERS", tmp_path)
    result = batch.grade_one(replace(work_of("ada")[0], problem="broken")).result
    assert (result.status, result.score) == ("could_not_check", None)
    assert "there_is_no_such_module" in result.notes[0]
    assert f"pytest {broken.parent}" in result.notes[0]


# --- What is graded again ------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """Ada, Grace and Alan have handed in the same."""
    (tmp_path / "nbgrader_config.py").touch()
    for student in ("ada", "alan", "grace"):
        path = tmp_path / "submitted" / student / PROBLEM / f"{PROBLEM}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(f"handed in by {student}")
    return Course.at(tmp_path)


def plan(course: Course, **settings: Any) -> batch.Batch:
    students = settings.pop("students", [])
    problem = settings.pop("problem", catalog.problem(PROBLEM))
    return batch.plan(course, course.submitted, [problem], students, "process", **settings)


def store(course: Course, status: str = "graded") -> None:
    """Keep a result for everything that is to be graded."""
    for work in plan(course, force=True).waiting:
        result_of(work.load(), status).write(course.results)


def students_of(work: list[batch.Waiting] | list[Result]) -> list[str]:
    return [item.student for item in work]


def test_what_has_not_changed_is_not_graded_again(course: Course) -> None:
    """Stored results of the same submission and grader are reused, unless they are not wanted."""
    store(course)
    assert (students_of(plan(course).reused), plan(course).waiting) == (["ada", "alan", "grace"], [])
    assert students_of(plan(course, force=True).waiting) == ["ada", "alan", "grace"]


def test_a_changed_submission_is_graded_again(course: Course) -> None:
    """The others are not."""
    store(course)
    (course.submitted / "alan" / PROBLEM / f"{PROBLEM}.ipynb").write_text("better")
    assert students_of(plan(course).waiting) == ["alan"]
    assert students_of(plan(course).reused) == ["ada", "grace"]


def test_what_could_not_be_checked_is_graded_again(course: Course) -> None:
    """A stored result without a score does not count."""
    store(course, "could_not_check")
    assert students_of(plan(course).waiting) == ["ada", "alan", "grace"]


def test_a_damaged_result_is_graded_again(course: Course) -> None:
    """Half a JSON file is no result."""
    store(course)
    path = course.results / "ada" / f"{PROBLEM}.json"
    path.write_text(path.read_text()[:40])
    assert students_of(plan(course).waiting) == ["ada"]


def test_another_reason_for_having_nothing_is_told(course: Course) -> None:
    """A folder without a notebook is like any other only to its hash, which both have not."""
    notebook = course.submitted / "ada" / PROBLEM / f"{PROBLEM}.ipynb"
    notebook.unlink()
    store(course)
    why = f"There is no notebook: {notebook.name} is missing."
    empty = replace(read_result(course.results, "ada", PROBLEM), status="unreadable", notes=[why])
    empty.write(course.results)
    assert "ada" in students_of(plan(course).reused)
    for name in ("old.ipynb", "new.ipynb"):
        notebook.with_name(name).touch()
    assert students_of(plan(course).waiting) == ["ada"]


def test_a_folder_that_may_not_be_looked_into_is_not_passed_over(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be checked, which is told; who has handed in nothing is not there at all."""
    (course.submitted / "kurt").mkdir()
    lstat = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if "ada" in path.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", refuse)
    planned = plan(course)
    assert students_of(planned.waiting) == ["ada", "alan", "grace"]
    assert planned.waiting[0].is_there()


def test_only_the_students_asked_for_are_graded(course: Course) -> None:
    """A name that handed in nothing is an error, not an empty batch."""
    assert students_of(plan(course, students=["grace"]).waiting) == ["grace"]
    with pytest.raises(CourseError, match="Nothing was handed in by nobody"):
        plan(course, students=["ada", "nobody"])


def touch(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n# touched\n", encoding="utf-8")


def change_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = Path(autograder.__file__).parent
    for path in package.glob("*.py"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(autograder, "__file__", str(tmp_path / "__init__.py"))
    touch(tmp_path / "answers.py")


CHANGES: dict[str, Callable[[Problem, pytest.MonkeyPatch, Path], object]] = {
    "grader": lambda problem, monkeypatch, tmp_path: touch(problem.grader),
    "authored source": lambda problem, monkeypatch, tmp_path: touch(problem.source),
    "source notebook": lambda problem, monkeypatch, tmp_path: touch(problem.notebook),
    "release": lambda problem, monkeypatch, tmp_path: touch(problem.release),
    "data beside it": lambda problem, monkeypatch, tmp_path: problem.source.with_suffix(".csv").touch(),
    "engine": lambda problem, monkeypatch, tmp_path: change_engine(monkeypatch, tmp_path),
    "versions": lambda problem, monkeypatch, tmp_path: monkeypatch.setattr(batch, "versions", dict),
}


@pytest.fixture
def own_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A copy of one problem that may be changed."""
    root, graders = tmp_path / "root", tmp_path / "graders"
    for folder in ("source", "release"):
        shutil.copytree(catalog.ROOT / folder / PROBLEM, root / folder / PROBLEM)
    shutil.copytree(catalog.GRADERS / PROBLEM, graders / PROBLEM)
    monkeypatch.setattr(catalog, "GRADERS", graders)
    return Problem(PROBLEM, root)


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_can_change_a_score_changes_the_fingerprint(
    own_problem: Problem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    """A result belongs to its grader, its notebooks, the engine and the versions of what it runs on."""
    before = batch.fingerprint(own_problem, SECRET, "process")
    assert batch.fingerprint(own_problem, SECRET, "process") == before
    CHANGES[what](own_problem, monkeypatch, tmp_path)
    assert batch.fingerprint(own_problem, SECRET, "process") != before


def test_a_worker_that_runs_an_older_engine_checks_nothing(
    course: Course, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever it was asked for is on its disk, but what it has loaded is not."""
    (tmp_path / "engine").mkdir()
    change_engine(monkeypatch, tmp_path / "engine")
    result = batch.grade_one(plan(course).waiting[0].load()).result
    assert (result.status, result.score) == ("could_not_check", None)
    assert "changed after this worker had started" in result.notes[0]


def test_secret_and_isolation_change_the_fingerprint(own_problem: Problem) -> None:
    """A result belongs to its course's secret and to its level of isolation, too."""
    settings = [(SECRET, "process"), (SECRET, "strict"), (b"another", "process")]
    assert len({batch.fingerprint(own_problem, *setting) for setting in settings}) == 3


# --- What is written -----------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_last_result_as_it_was(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one sentence, and nothing half-written is left behind."""
    store(course)
    before = {path: path.read_bytes() for path in course.results.rglob("*") if path.is_file()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    better = Graded(replace(result_of(work_of("ada")[0]), score=0.5), "a notebook", "a log")
    with pytest.raises(ConvGradeError, match=r"Could not write .*: No space left on device\."):
        better.write(course.results)
    assert {path: path.read_bytes() for path in course.results.rglob("*") if path.is_file()} == before


def test_the_result_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file says that the notebook and the log are there."""
    written = []
    monkeypatch.setattr(batch, "write_atomically", lambda path, text: written.append(path.name))
    monkeypatch.setattr(Result, "write", lambda result, folder: written.append("the result"))
    Graded(result_of(work_of("ada")[0]), "a notebook", "a log").write(tmp_path)
    assert written == [f"{PROBLEM}.ipynb", f"{PROBLEM}.log", "the result"]


# --- What is recorded ----------------------------------------------------------------------------------


def test_what_could_not_be_checked_is_not_to_be_recorded(course: Course) -> None:
    """There is no score that a person could mistake for one."""
    assert (
        recorded.unrecorded(course, course.submitted, [result_of(work_of("ada")[0], "could_not_check")]) == []
    )


def test_settings_that_do_not_load_are_one_sentence(course: Course) -> None:
    """The instructor learns which file, and why."""
    (course.root / "nbgrader_config.py").write_text("c = get_config(")
    with pytest.raises(CourseError, match=r"nbgrader_config.py does not load: '\(' was never closed"):
        recorded.load_config(course)


# --- Isolation -----------------------------------------------------------------------------------------


def only_process(level: str) -> None:
    if level == "strict":
        raise SandboxError("no namespaces here")


def test_the_strongest_level_that_works_is_taken() -> None:
    """Where it is not the strongest of all, the reason is told."""
    assert batch.choose_level("auto", lambda level: None) == ("strict", "")
    assert batch.choose_level("auto", only_process) == ("process", "no namespaces here")


def test_a_level_that_was_asked_for_is_never_weakened() -> None:
    """Strict refuses to be anything less; process does not even try to be more."""
    with pytest.raises(SandboxError, match="no namespaces here"):
        batch.choose_level("strict", only_process)
    assert batch.choose_level("process", lambda level: pytest.fail("nobody asked")) == ("process", "")


def test_a_sandbox_that_is_lost_could_not_check_and_is_replaced(level: str) -> None:
    """The engine's fault is nobody's score, and the next submission meets a new sandbox."""
    problem = catalog.problem(PROBLEM)
    content = nbformat.writes(specimen.handed_in(problem, specimen.reference(problem)))
    handed_in = HandedIn(content.encode(), "", (), "")
    work = replace(work_of("ada")[0], handed_in=handed_in, level=level)
    batch.warm_sandbox(level)._control.shutdown(socket.SHUT_RDWR)
    lost = batch.grade_one(work).result
    assert (lost.status, lost.score) == ("could_not_check", None)
    again = batch.grade_one(work).result
    assert (again.status, again.score) == ("graded", again.max_score)


def test_a_sandbox_that_does_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks twice is told twice why it does not."""
    monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(["/bin/false"]))
    for _ in range(2):
        with pytest.raises(SandboxError, match="can't start: /bin/false"):
            batch.warm_sandbox("strict", ("numpy", "this"))
