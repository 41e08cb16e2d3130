"""Problems and courses are found by path, and a course keeps one secret."""

from __future__ import annotations

import stat

import pytest

from autograder import catalog
from autograder.catalog import Course, Problem
from autograder.errors import CourseError


@pytest.fixture
def graders(tmp_path, monkeypatch):
    folder = tmp_path / "graders"
    monkeypatch.setattr(catalog, "GRADERS", folder)
    return folder


@pytest.fixture
def author(tmp_path, graders):
    """Writes the two files of a problem, or one of them."""

    def write(name, *, source=True, grader=True):
        problem = Problem(name, tmp_path)
        for path, wanted in ((problem.source, source), (problem.grader, grader)):
            if wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
        return problem

    return write


class TestProblems:
    """A problem is the same name in every folder, and there is no registry of them."""

    def test_paths(self, tmp_path, graders):
        problem = Problem("iou", tmp_path)
        assert problem.source == tmp_path / "source/iou/iou.py"
        assert problem.notebook == tmp_path / "source/iou/iou.ipynb"
        assert problem.release == tmp_path / "release/iou/iou.ipynb"
        assert problem.solution == tmp_path / "solutions/iou/iou.ipynb"
        assert problem.grader == graders / "iou/test_iou.py"

    def test_found_in_alphabetical_order(self, tmp_path, author):
        for name in ("iou", "convolution", "detection"):
            author(name)
        assert [p.name for p in catalog.problems(tmp_path)] == ["convolution", "detection", "iou"]

    def test_needs_both_authored_files(self, tmp_path, author):
        author("iou")
        author("no_grader", grader=False)
        author("no_source", source=False)
        assert [p.name for p in catalog.problems(tmp_path)] == ["iou"]

    def test_files_beside_the_source_are_no_problems(self, tmp_path, author):
        """A provided module has another name than its folder."""
        author("iou").source.with_name("helper.py").write_text("")
        assert [p.name for p in catalog.problems(tmp_path)] == ["iou"]

    def test_none(self, tmp_path, graders):
        assert catalog.problems(tmp_path) == []

    def test_by_name(self, tmp_path, author):
        problem = author("iou")
        assert catalog.problem("iou", tmp_path) == problem
        with pytest.raises(CourseError, match=r"no problem called 'nms'\. Known problems: iou"):
            catalog.problem("nms", tmp_path)

    def test_by_name_where_there_is_none(self, tmp_path, graders):
        with pytest.raises(CourseError, match="Known problems: none"):
            catalog.problem("iou", tmp_path)

    def test_accepted_alternatives(self, tmp_path, author):
        problem = author("iou")
        assert problem.accepted == []
        folder = problem.grader.parent / "accepted"
        folder.mkdir()
        for name in ("nested.py", "broadcast.py", "notes.txt"):
            (folder / name).write_text("")
        assert [p.name for p in problem.accepted] == ["broadcast.py", "nested.py"]

    def test_this_course(self):
        """The repository's own problems are found without a root."""
        found = catalog.problems()
        assert found == [catalog.problem(p.name) for p in found]
        assert {"iou", "parameter_counts", "ram_estimates"} <= {p.name for p in found}


class TestCourse:
    """A course is a folder that nbgrader knows."""

    @pytest.fixture
    def course(self, tmp_path):
        (tmp_path / "nbgrader_config.py").write_text("")
        return Course.at(tmp_path)

    def test_places(self, course, tmp_path):
        assert (course.submitted, course.results) == (tmp_path / "submitted", tmp_path / "results")

    def test_relative_paths(self, course, monkeypatch):
        """The course stays the same one whatever the working folder becomes."""
        monkeypatch.chdir(course.root.parent)
        assert Course.at(course.root.relative_to(course.root.parent)) == course

    def test_not_a_folder(self, tmp_path):
        with pytest.raises(CourseError, match=r"There is no folder .*Give the course folder with --course"):
            Course.at(tmp_path / "missing")

    def test_not_a_course(self, tmp_path):
        with pytest.raises(CourseError, match=r"no nbgrader_config\.py.*convgrade demo"):
            Course.at(tmp_path)

    def test_the_secret_is_kept(self, course):
        """The first call makes it, for its owner's eyes only; the others read it."""
        secret = course.secret()
        path = course.root / ".convgrade_secret"
        assert course.secret() == Course.at(course.root).secret() == secret == path.read_bytes()
        assert len(secret) == 64
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_every_course_has_its_own(self, course, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        assert Course(other).secret() != course.secret()

    @pytest.mark.parametrize("content", [b"", b"0123456789abcdef"])
    def test_half_a_secret_is_none(self, course, content):
        """Hidden inputs are not drawn from what anybody could guess; a person decides what to do."""
        (course.root / ".convgrade_secret").write_bytes(content)
        with pytest.raises(CourseError, match=r"is not whole\. Restore it, or remove it"):
            course.secret()

    def test_a_secret_that_cannot_be_read(self, course):
        (course.root / ".convgrade_secret").mkdir()
        with pytest.raises(CourseError, match=r"Could not read or write .*secret"):
            course.secret()

    def test_a_secret_that_cannot_be_written(self, course):
        with pytest.raises(CourseError, match=r"Could not read or write .*secret"):
            Course(course.root / "removed").secret()
