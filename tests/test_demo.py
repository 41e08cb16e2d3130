"""The sample class, and the command that shows it."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from autograder import catalog, demo, specimen
from autograder.catalog import Course
from autograder.errors import CourseError
from autograder.results import read_result

from .test_cli import Run


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The whole sample class."""
    return demo.make_class(tmp_path_factory.mktemp("courses") / "demo")


def text_of(course: Course, student: str, problem: str) -> str:
    return (course.submitted / student / problem / f"{problem}.ipynb").read_text(encoding="utf-8")


def cells_of(course: Course, student: str, problem: str) -> dict[str, str]:
    notebook = nbformat.reads(text_of(course, student, problem), as_version=4)
    return {cell.id: cell.source for cell in notebook.cells}


def test_everybody_has_handed_in_what_the_class_says(course: Course) -> None:
    """One notebook for each student and problem, and nothing else."""
    found = {(path.parent.parent.name, path.stem) for path in course.submitted.glob("*/*/*.ipynb")}
    assert found == {(student, name) for student, (_, _, names) in demo.STUDENTS.items() for name in names}
    assert {path.name for path in course.root.iterdir()} == {"nbgrader_config.py", "source", "submitted"}


def test_the_class_is_the_same_every_time(course: Course, tmp_path: Path) -> None:
    """Draws have a fixed seed, so that its scores can be told beforehand."""
    again = demo.make_class(tmp_path / "again")
    for path in course.submitted.glob("*/*/*.ipynb"):
        assert path.read_bytes() == (again.submitted / path.relative_to(course.submitted)).read_bytes()


def test_every_problem_is_handed_in_right_and_wrong() -> None:
    """The class shows the course as it is."""
    known = {problem.name for problem in catalog.problems()}
    for student in ("ada", "grace", "alan"):
        assert set(demo.STUDENTS[student][2]) == known


@pytest.mark.parametrize("name", demo.STUDENTS["alan"][2])
def test_slips_are_everywhere(course: Course, name: str) -> None:
    """Every answer of the student with slips is another than the right one."""
    answers = specimen.reference(catalog.problem(name))
    given = cells_of(course, "alan", name)
    assert [question for question, answer in answers.items() if given[question] == answer] == []


def test_labels_describe_what_was_handed_in(course: Course) -> None:
    """Untouched is the release, half a file no JSON, deleted tests are gone, an attack is the last cell."""
    problem = catalog.problem("iou")
    release = {cell.id: cell.source for cell in specimen.untouched(problem).cells}
    assert cells_of(course, "kurt", "iou") == release
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(course, "nemo", "iou"))
    assert release.keys() - cells_of(course, "sofia", "iou").keys() == {
        name for name in release if name.startswith("test-")
    }
    attack = (demo.HOSTILE / "exits.py").read_text(encoding="utf-8")
    assert list(cells_of(course, "eve", "iou").values())[-1] == attack


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """An empty one is taken."""
    (tmp_path / "empty").mkdir()
    one = {"kurt": (*demo.STUDENTS["kurt"][:2], ("iou",))}
    assert demo.make_class(tmp_path / "empty", one).submitted.is_dir()
    with pytest.raises(CourseError, match="is not empty"):
        demo.make_class(tmp_path / "empty", one)


def test_a_demo_without_a_name_finds_a_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """demo-course, then demo-course-2 and so on."""
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        folder = demo.free_folder()
        folder.mkdir()
        names.append(str(folder))
    assert names == ["demo-course", "demo-course-2", "demo-course-3"]


def test_the_demo_tells_the_whole_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right, hostile and broken are labelled, graded, recorded, shown, and told where to look."""
    chosen = {student: demo.STUDENTS[student] for student in ("mallory", "nemo")}
    chosen["ada"] = (*demo.STUDENTS["ada"][:2], ("iou",))
    monkeypatch.setattr(demo, "STUDENTS", chosen)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo-course").mkdir()
    done = Run(monkeypatch, capsys)("demo")
    assert (done.code, done.err) == (0, "")
    course = Course.at(tmp_path / "demo-course-2")
    found = {student: read_result(course.results, student, "iou") for student in chosen}
    assert {s: (r.status, r.score) for s, r in found.items() if r} == {
        "ada": ("graded", 13), "mallory": ("graded", 0), "nemo": ("unreadable", 0)
    }  # fmt: skip
    for label, _, _ in chosen.values():
        assert label in done.out
    assert "3 submissions, 2 graded, 1 unreadable" in done.out
    for name in ("results", "gradebook.db", "autograded", "feedback"):
        assert str(course.root / name) in done.out
