"""From an authored problem to its notebooks: what is in them, what is not, and when they are rebuilt."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder import build, catalog, grader
from autograder.catalog import Problem
from autograder.errors import CourseError
from autograder.notebook import SourceCell, reference_namespace
from autograder.submission import LocalSubmission

SOURCE = '''\
# %% [markdown]
# # Sizes

# %% provided="setup"
import numpy as np

# %% provided="picture-area" tags=["picture"]
print("a drawing")

# %% [markdown]
# ## Question 1: the area of a rectangle

# %% [markdown] hint="area"
# How many squares lie in one row?

# %% [markdown] hint="area"
# And how many rows are there?

# %% solution="area"
def area(height, width):
    """Return the number of unit squares in a rectangle."""
    ### BEGIN SOLUTION
    secret_step = height * width
    return secret_step
    ### END SOLUTION

# %% test="area"
assert area(1, 1) == 1
print("area is right on this example.")

# %% [markdown] explain="area"
# Every row holds `width` squares.

# %% [markdown]
# What to take away.
'''

GRADER = '''\
from autograder import grader

question = grader.question("area", points=2.5)

@question.reference
def area(height, width):
    return height * width

@question.test
def test_area(compare):
    """counts the squares"""
    compare(2, 3)
'''


@pytest.fixture
def graders(tmp_path, monkeypatch):
    folder = tmp_path / "graders"
    monkeypatch.setattr(catalog, "GRADERS", folder)
    grader.load.cache_clear()
    yield folder
    grader.load.cache_clear()


@pytest.fixture
def problem(tmp_path, graders):
    """A problem of one question in a course folder of its own."""
    found = Problem("sizes", tmp_path)
    for path, text in {found.source: SOURCE, found.grader: GRADER}.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    shutil.copy(catalog.ROOT / "nbgrader_config.py", tmp_path)
    return found


@pytest.fixture
def no_kernel(monkeypatch):
    """Fails a test that executes a notebook."""

    def executed(notebook, problem):
        pytest.fail("the notebook was executed")

    monkeypatch.setattr(build, "executed", executed)


@pytest.fixture
def pretend_kernel(monkeypatch):
    """Lets every code cell print its own id, at once."""

    def executed(notebook, problem):
        for count, cell in enumerate(build.runnable(notebook), start=1):
            cell.execution_count = count
            cell.outputs = [nbformat.v4.new_output("stream", text=cell.id)]
        return notebook

    monkeypatch.setattr(build, "executed", executed)


def cells_of(path):
    return {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class TestSource:
    """The generated source notebook is what nbgrader expects of an instructor."""

    @pytest.fixture
    def cells(self, problem):
        build.build([problem], execute=False)
        return cells_of(problem.notebook)

    def test_cell_ids(self, cells):
        """Ids come from names, from the number of a hint and from the place among the prose."""
        assert list(cells) == [
            "sizes-1", "setup", "picture-area", "sizes-2", "hint-area-1", "hint-area-2", "area", "test-area",
            "sizes-3",
        ]  # fmt: skip

    def test_grading_metadata(self, cells):
        """A question's solution is open, its test cell locked and worth the grader's points."""
        solution, test = (cells[name].metadata.nbgrader for name in ("area", "test-area"))
        assert solution == {
            "grade": False, "grade_id": "area", "locked": False, "schema_version": 3, "solution": True,
            "task": False,
        }  # fmt: skip
        assert test == solution | {
            "grade": True, "grade_id": "test-area", "locked": True, "solution": False, "points": 2.5,
        }  # fmt: skip

    def test_everything_else_is_locked(self, cells):
        """Provided code, prose and hints are read-only, so that they can be restored."""
        for name in ("setup", "picture-area", "sizes-1", "hint-area-1"):
            metadata = cells[name].metadata.nbgrader
            assert metadata.grade_id == name
            assert (metadata.locked, metadata.grade, metadata.solution) == (True, False, False)

    def test_hidden_region_comes_first(self, cells):
        """The hidden region is the beginning of the test cell, so that the score is its first output."""
        assert cells["test-area"].source == (
            "### BEGIN HIDDEN TESTS\n"
            "from autograder.grader import grade_cell\n\n"
            'grade_cell("sizes", "area", globals())\n'
            "### END HIDDEN TESTS\n"
            'assert area(1, 1) == 1\nprint("area is right on this example.")'
        )

    def test_hints_are_folded(self, cells):
        """A hint opens on a click; several of them are numbered."""
        assert cells["hint-area-2"].source == (
            "<details><summary>Hint 2</summary>\n\nAnd how many rows are there?\n\n</details>"
        )

    def test_a_single_hint_has_no_number(self):
        cell = SourceCell("markdown", "Think of rows.", hint="area")
        (hint,) = build.compose("sizes", [cell], {"area": 1}).cells
        assert hint.id == "hint-area"
        assert "<summary>Hint</summary>" in hint.source

    def test_code_without_a_role_is_the_students(self):
        """It may be edited, and deleting it harms nothing."""
        cells = [SourceCell("code", f"height = {height}") for height in (1, 2)]
        first, second = build.compose("sizes", cells, {}).cells
        assert (first.id, second.id) == ("sizes-open-1", "sizes-open-2")
        assert not first.metadata

    def test_tags_and_nothing_of_jupytext(self, problem, cells):
        """Tags are where the engine looks for them, and how the file was authored is not told."""
        assert cells["picture-area"].metadata.tags == ["picture"]
        metadata = nbformat.read(problem.notebook, as_version=4).metadata
        assert set(metadata) == {"kernelspec", "language_info"}
        assert metadata.kernelspec.name == "python3"

    def test_valid_and_without_outputs(self, problem, cells):
        nbformat.validate(nbformat.read(problem.notebook, as_version=4))
        assert problem.notebook.read_text().endswith("}\n")
        assert all(not cell.get("outputs") for cell in cells.values())


class TestRelease:
    """The release is nbgrader's own, and gives nothing away."""

    def test_stub_in_place_of_the_solution(self, problem):
        build.build([problem], execute=False)
        source = cells_of(problem.release)["area"].source
        assert source.endswith("    # YOUR CODE HERE\n    raise NotImplementedError()")
        assert '"""Return the number of unit squares in a rectangle."""' in source

    def test_nothing_leaks(self, problem):
        """No solution, hidden test, explanation or output is in it, and no file beside it."""
        problem.source.with_name("helper.py").write_text("secret_step = 1\n")
        build.build([problem], execute=False)
        text = problem.release.read_text()
        for secret in ("secret_step", "grade_cell", "HIDDEN", "SOLUTION", "Every row holds"):
            assert secret not in text
        assert all(not cell.get("outputs") for cell in cells_of(problem.release).values())
        assert list(problem.release.parent.iterdir()) == [problem.release]

    def test_ids_are_kept(self, problem):
        build.build([problem], execute=False)
        assert list(cells_of(problem.release)) == list(cells_of(problem.notebook))

    def test_same_as_nbgraders_own_command(self, problem):
        """The course's settings make nbgrader's command release the same bytes and no helper file."""
        build.build([problem], execute=False)
        expected = problem.release.read_bytes()
        problem.release.unlink()
        problem.source.with_name("helper.py").write_text("secret_step = 1\n")
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", "sizes", "--no-db", "--force"]
        subprocess.run(command, cwd=problem.root, check=True, capture_output=True)
        assert problem.release.read_bytes() == expected
        assert list(problem.release.parent.iterdir()) == [problem.release]

    def test_no_gradebook_is_touched(self, problem):
        build.build([problem], execute=False)
        assert not list(problem.root.rglob("*.db"))

    def test_quiet(self, problem, capfd, caplog):
        """nbgrader's own log is not shown while all is well."""
        build.build([problem], execute=False)
        assert capfd.readouterr() == ("", "")
        assert not caplog.records

    def test_a_refusal_is_told(self, problem):
        """Where nbgrader refuses, its reason is in the one sentence that the author reads."""
        edit(problem.source, "assert area(1, 1) == 1", "# AUTOTEST area(1, 1)")
        with pytest.raises(CourseError, match=r"release of .*sizes\.py .*autotests\.yml.*build again"):
            build.build([problem], execute=False)
        assert not problem.release.exists()

    def test_course_without_settings(self, problem):
        (problem.root / "nbgrader_config.py").unlink()
        with pytest.raises(CourseError, match=r"no nbgrader_config\.py"):
            build.build([problem], execute=False)


class TestSolutions:
    """The worked solutions are the source without its markers, explained and executed."""

    def test_explained_and_clean(self, problem, pretend_kernel):
        build.build([problem])
        cells = cells_of(problem.solution)
        assert list(cells)[6:9] == ["area", "test-area", "explain-area"]
        assert cells["explain-area"].source == "Every row holds `width` squares."
        assert cells["area"].source.endswith(
            'squares in a rectangle."""\n    secret_step = height * width\n    return secret_step'
        )
        assert cells["test-area"].source.startswith("assert area(1, 1) == 1")

    def test_executing_twice_gives_the_same_bytes(self, problem):
        """A real kernel runs every cell, pictures too, and nothing of when or where it ran is kept."""
        edit(
            problem.source,
            'print("a drawing")',
            'import sys\nprint(set("abcdefgh"))\nprint("noise", file=sys.stderr)\nprint("a drawing")\n'
            "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        )
        build.build([problem])
        first = problem.solution.read_bytes()
        problem.solution.unlink()
        assert build.build([problem]) == [problem.solution]
        assert problem.solution.read_bytes() == first

        notebook = nbformat.read(problem.solution, as_version=4)
        nbformat.validate(notebook)
        assert [cell.execution_count for cell in build.runnable(notebook)] == [1, 2, 3, 4]
        picture = cells_of(problem.solution)["picture-area"]
        assert [output.output_type for output in picture.outputs] == ["stream", "display_data"]
        assert picture.outputs[0].text.endswith("a drawing\n")
        assert "image/png" in picture.outputs[1].data
        assert "execution" not in picture.metadata
        assert set(notebook.metadata) == {"kernelspec", "language_info", "convgrade"}

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ("assert area(1, 1) == 2, 'one square'", "AssertionError: one square"),
            ("while True: pass", "timed out"),
            ("import os; os._exit(1)", "Kernel died"),
        ],
    )
    def test_a_failing_cell_is_named(self, problem, monkeypatch, fault, reason):
        """A cell that raises, hangs or ends the kernel stops the build, and no solution is written."""
        monkeypatch.setattr(build, "CELL_SECONDS", 3)
        edit(problem.source, "assert area(1, 1) == 1", fault)
        with pytest.raises(CourseError, match=rf"sizes\.py: cell test-area failed .*{reason}.*build again"):
            build.build([problem])
        assert not problem.solution.exists()


class TestRebuilding:
    """Only what changed is written, and only changed code is executed."""

    @pytest.fixture
    def built(self, problem, pretend_kernel):
        assert build.build([problem]) == [problem.notebook, problem.release, problem.solution]
        return problem

    def test_nothing_changed(self, built, no_kernel):
        before = [path.stat().st_mtime_ns for path in (built.notebook, built.release, built.solution)]
        assert build.build([built]) == []
        assert before == [path.stat().st_mtime_ns for path in (built.notebook, built.release, built.solution)]
        assert build.stale([built]) == []

    def test_changed_prose_keeps_the_outputs(self, built, no_kernel):
        """An explanation is rewritten without executing the code again."""
        edit(built.source, "Every row holds", "Each row holds")
        assert build.stale([built]) == [built.solution]
        assert build.build([built]) == [built.solution]
        cells = cells_of(built.solution)
        assert cells["explain-area"].source.startswith("Each row")
        assert cells["setup"].outputs[0].text == "setup"

    @pytest.mark.parametrize("text", ["", "[]", "{}", "<<<<<<< ours", None])
    def test_lost_solutions_are_executed(self, built, text):
        """A file that is missing, empty, in conflict or no notebook is made anew."""
        before = built.solution.read_bytes()
        built.solution.unlink()
        if text is not None:
            built.solution.write_text(text)
        assert build.stale([built]) == [built.solution]
        assert build.build([built]) == [built.solution]
        assert built.solution.read_bytes() == before

    def test_changed_code_is_executed(self, built):
        edit(built.source, "secret_step = height * width", "secret_step = width * height")
        assert build.stale([built]) == [built.notebook, built.solution]
        assert build.build([built], execute=False) == [built.notebook]
        assert build.stale([built]) == [built.solution]
        assert build.build([built]) == [built.solution]
        assert build.stale([built]) == []

    def test_changed_points(self, built, no_kernel):
        edit(built.grader, "points=2.5", "points=3")
        grader.load.cache_clear()
        assert build.stale([built]) == [built.notebook, built.release, built.solution]
        assert build.build([built]) == [built.notebook, built.release, built.solution]

    @pytest.mark.parametrize(
        "tamper",
        [
            lambda cell: cell.update(source=cell["source"] + ["\n# edited"]),
            lambda cell: cell.update(id="renamed"),
            lambda cell: cell.update(execution_count=None),
            lambda cell: cell["metadata"].update(collapsed=True),
            lambda cell: cell["outputs"].append(
                {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
            ),
        ],
    )
    def test_tampered_solutions_are_stale(self, built, tamper):
        """Another source, id or metadata, a cell that never ran and one that failed are all noticed."""
        before = built.solution.read_bytes()
        notebook = json.loads(before)
        tamper(notebook["cells"][1])
        built.solution.write_text(json.dumps(notebook))
        assert build.stale([built]) == [built.solution]
        build.build([built])
        assert built.solution.read_bytes() == before

    def test_tampered_release_is_stale(self, built):
        edit(built.release, "How many", "How  many")
        assert build.stale([built]) == [built.release]

    def test_extra_files_in_the_release(self, built):
        """What is not the notebook does not belong into a release, however deep it lies."""
        extra = built.release.parent / "data" / "answers.csv"
        extra.parent.mkdir()
        extra.write_text("42\n")
        assert build.stale([built]) == [extra]


HINT = SourceCell("markdown", "Think of rows.", hint="area")
SOLUTION = SourceCell("code", "### BEGIN SOLUTION\narea = 1\n### END SOLUTION", solution="area")
TEST = SourceCell("code", "assert area", test="area")
GOOD = [HINT, SOLUTION, TEST]


class TestFilesBesideANotebook:
    """What the front matter lists goes to students with the notebook, and nothing else does."""

    @pytest.fixture
    def problem(self, problem):
        front_matter = "# ---\n# jupyter:\n#   convgrade:\n#     files: [shapes.py]\n# ---\n\n"
        problem.source.write_text(front_matter + problem.source.read_text())
        (problem.source.parent / "shapes.py").write_text("SIDE = 3\n")
        (problem.source.parent / "answers.py").write_text("SECRET = 9\n")
        return problem

    def test_it_is_released_and_lies_beside_the_solutions(self, problem, pretend_kernel):
        build.build([problem])
        assert {path.name for path in problem.release.parent.iterdir()} == {"sizes.ipynb", "shapes.py"}
        assert {path.name for path in problem.solution.parent.iterdir()} == {"sizes.ipynb", "shapes.py"}
        assert build.stale([problem]) == []

    def test_a_changed_one_is_stale(self, problem, pretend_kernel):
        build.build([problem])
        (problem.release.parent / "shapes.py").write_text("SIDE = 4\n")
        assert build.stale([problem]) == [problem.release.parent / "shapes.py"]

    def test_nbgraders_own_command_releases_the_same(self, problem, pretend_kernel):
        build.build([problem])
        released = {path.name: path.read_bytes() for path in problem.release.parent.iterdir()}
        shutil.rmtree(problem.release.parent)
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", "sizes", "--no-db"]
        subprocess.run(command, cwd=problem.root, check=True, capture_output=True)
        assert {path.name: path.read_bytes() for path in problem.release.parent.iterdir()} == released

    def test_the_solutions_are_executed_beside_it(self, problem):
        edit(problem.source, '# %% test="area"', '# %%\nimport shapes\n\n# %% test="area"')
        build.build([problem])
        assert problem.solution.is_file()

    @pytest.mark.parametrize("name", ["missing.py", "sizes.py", "../sizes/shapes.py"])
    def test_what_can_not_be_given_away(self, problem, name):
        edit(problem.source, "shapes.py", name)
        with pytest.raises(CourseError, match="to students, which is no other file beside it"):
            build.build([problem], execute=False)


class TestFaults:
    """Where the two authored files do not fit together, a sentence says where and what to do."""

    def test_none(self):
        assert list(build.faults(Problem("sizes"), GOOD, ["area"])) == []

    @pytest.mark.parametrize(
        ("cells", "questions", "sentence"),
        [
            ([HINT, SOLUTION], ["area"], 'question area has no test cell; add one with test="area"'),
            ([HINT, TEST], ["area"], "question area has no solution cell"),
            ([SOLUTION, TEST], ["area"], "question area has no hint cell"),
            (GOOD, ["area", "volume"], "question volume has no solution cell"),
            (GOOD, [], r"area is no question of .*test_sizes\.py; add it there or remove its hint cell"),
            ([*GOOD, SourceCell("markdown", "Why.", explain="aera")], ["area"], "aera is no question"),
            ([*GOOD, SourceCell("markdown", " ", hint="area")], ["area"], r"4 \(hint of area\) is empty"),
            ([*GOOD, SourceCell("raw", "x")], ["area"], r"cell 4 \(prose\) is raw but should be markdown"),
            ([*GOOD, SourceCell("code", "x", hint="area")], ["area"], r"cell 4 \(hint of area\) is code"),
            ([*GOOD, SOLUTION], ["area"], "2 cells would be called area"),
            ([*GOOD, SourceCell("code", "x", provided="test-area")], ["area"], "would be called test-area"),
            ([*GOOD, SourceCell("code", "x", provided="a b")], ["area"], "no cell can be called 'a b'"),
            ([*GOOD, SourceCell("code", "x", provided="x" * 65)], ["area"], "at most 64 letters"),
        ],
    )  # fmt: skip
    def test_of_structure(self, cells, questions, sentence):
        found = list(build.faults(Problem("sizes"), cells, questions))
        assert any(re.search(sentence, fault) for fault in found)

    @pytest.mark.parametrize(
        "cell",
        [
            SourceCell("code", "def area(): return 1", solution="area"),
            SourceCell("code", "### BEGIN SOLUTION\narea = 1", solution="area"),
            SourceCell("code", "### END SOLUTION\n### BEGIN SOLUTION", solution="area"),
            SourceCell("code", "### BEGIN SOLUTION\n### END SOLUTION", provided="area"),
            SourceCell("code", "### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", test="area"),
            SourceCell("markdown", "Write ### BEGIN SOLUTION yourself."),
        ],
    )
    def test_of_markers(self, cell):
        """Solutions without whole regions would vanish or leak; markers elsewhere would cut cells short."""
        assert any("wrong markers" in fault for fault in build.cell_faults(1, cell))

    def test_the_build_stops_at_the_first(self, problem):
        edit(problem.source, '# %% test="area"', '# %% provided="area-tests"')
        with pytest.raises(CourseError, match=r"sizes\.py: question area has no test cell"):
            build.build([problem], execute=False)
        assert not problem.notebook.exists()

    def test_without_a_grader(self, problem):
        problem.grader.unlink()
        with pytest.raises(CourseError, match=r"no grader: write .*test_sizes\.py"):
            build.build([problem], execute=False)


class TestNew:
    """`convgrade new` writes a problem that already works."""

    def test_builds_and_grades(self, tmp_path, graders):
        """It has what the course's tests ask for: two slips, both caught, and three more right answers."""
        shutil.copy(catalog.ROOT / "nbgrader_config.py", tmp_path)
        source, hidden, *accepted = build.new("image_sizes", tmp_path, graders)
        problem = Problem("image_sizes", tmp_path)
        assert (source, hidden, accepted) == (problem.source, problem.grader, problem.accepted)
        assert problem.source.read_text().startswith("# %% [markdown]\n# # Image sizes\n")
        assert build.build([problem], execute=False) == [problem.notebook, problem.release]

        solved = reference_namespace(source)
        (question,) = grader.load("image_sizes").values()
        assert run_grader(hidden, solved) == pytest.ExitCode.OK
        assert len(accepted) == 3
        for path in accepted:
            other = runpy.run_path(str(path))
            assert run_grader(hidden, solved | {"relu": other["relu"]}) == pytest.ExitCode.OK
        assert len(question.slips) == 2
        for slip in question.slips.values():
            assert run_grader(hidden, solved | {"relu": slip.program}) == pytest.ExitCode.TESTS_FAILED

    @pytest.mark.parametrize(
        "name", ["", "Sizes", "2d", "image-sizes", "_sizes", "a__b", "class", "../up", "ä"]
    )
    def test_names_that_cannot_be(self, tmp_path, name):
        with pytest.raises(CourseError, match="can't be a problem's name"):
            build.new(name, tmp_path, tmp_path / "graders")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("taken", ["source/sizes", "graders/sizes"])
    def test_names_that_are_taken(self, tmp_path, taken):
        (tmp_path / taken).mkdir(parents=True)
        with pytest.raises(CourseError, match="already"):
            build.new("sizes", tmp_path, tmp_path / "graders")
        assert not list(tmp_path.rglob("*.py"))


def run_grader(path: Path, namespace: dict) -> int:
    plugin = grader.Plugin(LocalSubmission(student="ada", namespace=namespace))
    return pytest.main([str(path), "-q", "--noconftest", "-p", "no:cacheprovider"], plugins=[plugin])
