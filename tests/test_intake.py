"""Intake takes whatever a student hands in, and what leaves it is always fit to be graded."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import socket
import subprocess
import sys
import tracemalloc
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from nbgrader.nbgraderformat import MetadataValidator

from autograder import intake
from autograder.intake import read_submission, repair

STUB = (
    'def {name}(x):\n    """Return the {name} of x."""\n    # YOUR CODE HERE\n    raise NotImplementedError()'
)
SOLUTION = 'def {name}(x):\n    """Return the {name} of x."""\n    SECRET = x\n    return SECRET'
ANSWER = "def {name}(x):\n    return x + {value}"
VISIBLE = "assert {name}(1) == 2"
HIDDEN = "### BEGIN HIDDEN TESTS\nHIDDEN\n### END HIDDEN TESTS\n"
QUESTIONS = ("area", "iou")
ORDER = ["intro", "setup", "area", "test-area", "iou", "test-iou", "essay", "outro"]


def cell(kind, name, text, **settings):
    """Return a course cell that nbgrader knows under `name`."""
    make = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}[kind]
    known = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False, "locked": False}
    return make(text, id=name, metadata={"nbgrader": known | {"task": False} | settings})


def course(solution, hidden, essay):
    """Return the notebook of a small course: two functions, one essay."""
    cells = [
        cell("markdown", "intro", "# Boxes", locked=True),
        cell("code", "setup", "import math", locked=True),
    ]
    for number, name in enumerate(QUESTIONS, start=1):
        cells += [
            cell("code", name, solution.format(name=name), solution=True),
            cell(
                "code",
                f"test-{name}",
                hidden + VISIBLE.format(name=name),
                grade=True,
                locked=True,
                points=number,
            ),
        ]
    cells += [
        cell("markdown", "essay", essay, grade=True, solution=True, points=3),
        cell("markdown", "outro", "That was all.", locked=True),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return new_notebook(cells=cells, metadata=kernel)


SOURCE = course(SOLUTION, HIDDEN, "The SECRET essay.")
RELEASE = course(STUB, "", "Write here.")


@pytest.fixture
def student():
    """A notebook in which everything is answered and nothing else was changed."""
    return answered(RELEASE)


def answered(release):
    notebook = copy.deepcopy(release)
    for name in QUESTIONS:
        find(notebook, name).source = ANSWER.format(name=name, value=1)
    find(notebook, "essay").source = "My essay."
    return notebook


def find(notebook, name):
    return next(c for c in notebook.cells if c.id == name)


def ids(notebook):
    return [c.id for c in notebook.cells]


def position(notebook, name):
    return ids(notebook).index(name)


def stripped(notebook):
    """Return the notebook as an editor saves it that keeps neither ids nor metadata."""
    cells = [{"cell_type": c.cell_type, "metadata": {}, "source": c.source} for c in notebook.cells]
    return {"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": cells}


def mended(handed_in):
    """Repair a notebook, or the bytes of one, and check what must be true of whatever comes out."""
    content = handed_in if isinstance(handed_in, bytes) else json.dumps(handed_in).encode()
    result = repair(content, SOURCE, RELEASE)
    if result.notebook is None:
        assert result.reason.endswith(".")
        return result
    assert result.reason == ""
    nbformat.validate(result.notebook)
    MetadataValidator().validate_nb(result.notebook)
    text = nbformat.writes(result.notebook)
    assert "SECRET" not in text
    assert nbformat.reads(text.encode().decode(), as_version=4) == result.notebook
    assert result.notebook.nbformat_minor == 5
    assert [name for name in ids(result.notebook) if name in ORDER] == ORDER
    for its, ours in zip([c for c in result.notebook.cells if c.id in ORDER], SOURCE.cells, strict=True):
        assert (its.cell_type, its.metadata) == (ours.cell_type, ours.metadata)
        if not ours.metadata.nbgrader.solution:
            assert its.source == ours.source
    for extra in result.notebook.cells:
        assert extra.id in ORDER or (extra.metadata == {} and extra.id.startswith("student-"))
        assert extra.cell_type != "code" or (extra.outputs, extra.execution_count) == ([], None)
    return result


def source_of(result, name):
    return find(result.notebook, name).source


def test_an_ordinary_submission_passes_without_a_word(student):
    result = mended(student)
    assert ids(result.notebook) == ORDER
    assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
    assert source_of(result, "essay") == "My essay."
    assert (result.notes, result.untouched) == ((), frozenset())


def test_hidden_tests_come_back_into_the_test_cells(student):
    assert "HIDDEN" in source_of(mended(student), "test-iou")


def test_the_same_submission_is_always_repaired_alike(student):
    student.cells.insert(2, new_code_cell("x = 1"))
    assert mended(student) == mended(student)


def test_repairing_leaves_the_courses_notebooks_as_they_were(student):
    before = copy.deepcopy((SOURCE, RELEASE))
    result = mended(student)
    find(result.notebook, "test-iou").metadata.nbgrader.points = 99
    assert before == (SOURCE, RELEASE)


def test_importing_intake_loads_neither_nbgrader_nor_nbformat():
    code = "import sys, autograder.intake; print({'nbgrader', 'nbformat', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


class TestUntouched:
    """A question counts as untouched while there is nothing in it that the student wrote."""

    def test_the_release_as_it_is(self):
        assert mended(RELEASE).untouched == {"area", "iou", "essay"}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "  \n",
            "# I did not get to this one",
            STUB.format(name="iou") + "\n\n\n# later",
            STUB.format(name="iou").replace("# YOUR CODE HERE", "#"),
            "def iou(x):\n    pass",
            "def iou(x):\n    ...",
            'def iou(x):\n    """Mine."""',
            "def iou(x: int) -> int:\n    raise NotImplementedError",
            "import math\ndef iou(x):\n    raise NotImplementedError('todo')",
        ],
    )
    def test_placeholders_and_comments(self, student, text):
        find(student, "iou").source = text
        assert mended(student).untouched == {"iou"}

    @pytest.mark.parametrize(
        "text",
        [
            "def iou(x):\n    return None",
            "def iou(x):\n    raise ValueError",
            "def iou(x):\n    return x +",
            "iou = max",
            "%%time\ndef iou(x):\n    return x",
            "def iou(x):\n    pass\ndef iou(x):\n    return x",
            'def iou(x):\n    """Return x."""\n    return x',
            "def iou(x):\n    return " + "-(" * 60 + "x" + ")" * 60,
            "def iou(x):\n    return x" + "+1" * 900,
            "def iou(x):\n    return x" + "+1" * 2_000,
            "def iou(x):\n    return x" + "+1" * 50_000,
            "def iou(x):\n    return " + "not " * 40_000 + "x",
        ],
    )
    def test_anything_written_counts_whatever_it_is_worth(self, student, text):
        find(student, "iou").source = text
        result = mended(student)
        assert result.untouched == set()
        assert source_of(result, "iou") == text

    @pytest.mark.parametrize("error", [SyntaxError, ValueError, RecursionError, MemoryError, SystemError])
    def test_whatever_pythons_parser_meets(self, student, monkeypatch, error):
        """What can't be parsed is told by the look of its lines."""

        def fail(source):
            raise error

        monkeypatch.setattr(intake.ast, "parse", fail)
        result = mended(stripped(student))
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert "iou" not in result.untouched

    def test_a_stub_that_is_no_python_is_compared_as_text(self, student):
        source, release = copy.deepcopy((SOURCE, RELEASE))
        find(release, "iou").source = "def iou(x):\n    return ___"
        find(student, "iou").source = "def iou(x):\n    return ___\n"
        result = repair(json.dumps(student).encode(), source, release)
        assert result.untouched == {"iou"}

    def test_a_wrong_escape_in_a_students_string_warns_nobody(self, student, recwarn):
        find(student, "iou").source = "def iou(x):\n    return '\\d'"
        mended(student)
        assert not [w for w in recwarn if w.category in (SyntaxWarning, DeprecationWarning)]


class TestMatching:
    """A cell is known by its grade id, then by its id, then by what is in it."""

    def test_by_grade_id_alone(self, student):
        for c in student.cells:
            del c["id"]
        result = mended(student)
        assert (result.notes, result.untouched) == ((), frozenset())
        assert ids(result.notebook) == ORDER

    def test_by_id_alone(self, student):
        for c in student.cells:
            c.metadata = {}
        result = mended(student)
        assert result.untouched == set()
        assert result.notes == ("Some cells had lost their nbgrader settings, which were put back.",)

    def test_by_function_and_by_text_where_everything_was_stripped(self, student):
        result = mended(stripped(student))
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert "The cell iou was found by the function that it defines." in result.notes
        # The essay alone can't be told from a remark: it stays where it was written.
        assert [c.source for c in result.notebook.cells if c.id not in ORDER] == ["My essay."]
        assert result.untouched == {"essay"}

    def test_an_edited_test_without_any_metadata_stays_as_an_extra_cell(self, student):
        find(student, "test-iou").source = "assert iou(1) == 2\nprint('fine')"
        result = mended(stripped(student))
        assert "The cell test-iou was missing and was restored." in result.notes
        assert "print('fine')" in [c.source.splitlines()[-1] for c in result.notebook.cells]

    def test_swapped_names(self, student):
        area, iou = find(student, "area"), find(student, "iou")
        area.source, iou.source = iou.source, area.source
        result = mended(student)
        for name in QUESTIONS:
            assert source_of(result, name) == ANSWER.format(name=name, value=1)
            assert f"The cell {name} was found by the function that it defines." in result.notes

    def test_names_swapped_between_an_answer_and_its_test(self, student):
        answer, test = find(student, "iou"), find(student, "test-iou")
        answer.metadata, test.metadata = test.metadata, answer.metadata
        answer.id, test.id = test.id, answer.id
        result = mended(student)
        assert ids(result.notebook) == ORDER
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)

    def test_a_renamed_grade_id(self, student):
        find(student, "iou").metadata.nbgrader.grade_id = "iou_final"
        result = mended(student)
        assert result.notes == (
            "The nbgrader settings of the cell iou (grade_id) had been changed and were put back.",
        )
        assert result.untouched == set()

    def test_a_renamed_cell_in_every_respect(self, student):
        renamed = find(student, "iou")
        renamed.id = renamed.metadata.nbgrader.grade_id = "mine"
        result = mended(student)
        assert "The cell iou was found by the function that it defines." in result.notes
        assert ids(result.notebook) == ORDER

    def test_an_answer_written_below_the_untouched_cell(self, student):
        find(student, "iou").source = find(RELEASE, "iou").source
        student.cells.append(new_code_cell("def iou(x):\n    return 7"))
        result = mended(student)
        assert source_of(result, "iou") == "def iou(x):\n    return 7"
        assert ids(result.notebook) == ORDER
        assert result.untouched == set()

    def test_a_later_experiment_does_not_replace_the_answer(self, student):
        student.cells.append(new_code_cell("def iou(x):\n    return 'an experiment'"))
        result = mended(student)
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert ids(result.notebook) == [*ORDER, "student-1"]

    def test_a_helper_of_another_answer_is_not_taken_from_it(self, student):
        both = ANSWER.format(name="iou", value=1) + "\n\ndef area(x):\n    return 0"
        find(student, "iou").source = both
        result = mended(student)
        assert source_of(result, "iou") == both
        assert source_of(result, "area") == ANSWER.format(name="area", value=1)

    @pytest.mark.parametrize("leave_stub", [True, False])
    @pytest.mark.parametrize(("host", "guest"), [QUESTIONS, QUESTIONS[::-1]])
    def test_two_answers_in_one_cell(self, student, host, guest, leave_stub):
        find(student, host).source += "\n\n" + find(student, guest).source
        find(student, guest).source = find(RELEASE, guest).source
        if not leave_stub:
            student.cells.remove(find(student, guest))
        result = mended(student)
        assert result.untouched == set()
        assert source_of(result, host) == find(student, host).source
        assert source_of(result, guest) == f"# {guest} is written in the cell {host}."
        assert result.notes == (f"The question {guest} was found in the cell {host}.",)

    def test_two_definitions_where_everything_was_stripped(self, student):
        student.cells.append(new_code_cell("def iou(x):\n    return 7"))
        result = mended(stripped(student))
        assert source_of(result, "iou") == "def iou(x):\n    return 7"
        assert "There were 2 cells iou; the last one that is written was taken." in result.notes

    def test_locked_cells_of_the_same_text_keep_to_their_names(self, student):
        source, release = copy.deepcopy((SOURCE, RELEASE))
        for notebook in (source, release, student):
            find(notebook, "outro").source = find(notebook, "intro").source
        student.cells.remove(find(student, "intro"))
        result = repair(json.dumps(student).encode(), source, release)
        assert result.notes == ("The cell intro was missing and was restored.",)

    def test_a_quoted_function_is_no_answer(self, student):
        find(student, "iou").source = '"""\n' + ANSWER.format(name="iou", value=1) + '\n"""'
        plain = stripped(student)
        plain["cells"].append({"cell_type": "markdown", "source": ANSWER.format(name="iou", value=2)})
        result = mended(plain)
        assert "iou" in result.untouched
        assert "The cell iou was missing and was restored." in result.notes

    @pytest.mark.parametrize(
        "text",
        [
            "iou = lambda x: x",
            "async def iou(x):\n    return x",
            "@print\ndef iou(x):\n    return x",
            "%matplotlib inline\ndef iou(x):\n    return x",
            "def iou(x):\n    return x +",
        ],
    )
    def test_functions_are_recognised_however_they_are_written(self, student, text):
        find(student, "iou").source = text
        assert source_of(mended(stripped(student)), "iou") == text

    def test_a_huge_paste_stops_no_answer_from_being_found(self, student):
        plain = stripped(student)
        junk = {"cell_type": "code", "source": "x = 1\n" * intake.MAX_PARSED}
        plain["cells"].insert(0, junk)
        plain["cells"].insert(0, junk | {"source": "x = 1\n" * (intake.MAX_PARSED // 6)})
        assert source_of(mended(plain), "iou") == ANSWER.format(name="iou", value=1)

    def test_no_more_code_is_parsed_than_memory_allows(self, student, monkeypatch):
        parsed = []
        parse = intake.ast.parse
        monkeypatch.setattr(intake.ast, "parse", lambda code: parsed.append(len(code)) or parse(code))
        student.cells += [new_code_cell("def iou(x):\n    return 7\n" * 1_500) for _ in range(20)]
        mended(student)
        assert sum(parsed) < 1.1 * intake.MAX_PARSED


class TestRepairs:
    """What is the course's own is put back, with one sentence each."""

    @pytest.mark.parametrize("name", ["intro", "setup", "test-iou"])
    def test_a_missing_locked_cell(self, student, name):
        student.cells.remove(find(student, name))
        result = mended(student)
        assert result.notes == (f"The cell {name} was missing and was restored.",)
        assert result.untouched == set()

    def test_a_missing_answer_is_the_released_stub(self, student):
        student.cells.remove(find(student, "iou"))
        result = mended(student)
        assert source_of(result, "iou") == find(RELEASE, "iou").source
        assert result.notes == ("The cell iou was missing and was restored.",)
        assert result.untouched == {"iou"}

    def test_no_cell_at_all(self, student):
        student.cells = []
        result = mended(student)
        assert ids(result.notebook) == ORDER
        assert len(result.notes) == len(ORDER)

    def test_an_edited_test(self, student):
        find(student, "test-iou").source = "assert True"
        assert mended(student).notes == ("The cell test-iou had been changed and was put back.",)

    def test_white_space_outputs_kernel_and_checksum_are_not_worth_a_word(self, student):
        test = find(student, "test-iou")
        test.source += "  \n"
        test.outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
        test.execution_count = 7
        test.metadata.nbgrader.checksum = "0" * 32
        test.metadata.nbgrader.schema_version = 1
        test.metadata.nbgrader.extra = "key"
        student.metadata = {"kernelspec": {"name": "julia", "display_name": 5}, "language_info": []}
        result = mended(student)
        assert result.notes == ()
        assert result.notebook.metadata == SOURCE.metadata

    @pytest.mark.parametrize("version", [0, 2, 99, -1, "3", None, [3]])
    def test_a_wrong_schema_version(self, student, version):
        for c in student.cells:
            c.metadata.nbgrader.schema_version = version
        assert mended(student).untouched == set()

    @pytest.mark.parametrize("kind", ["markdown", "raw"])
    def test_an_answer_turned_into_prose(self, student, kind):
        find(student, "iou").cell_type = kind
        result = mended(student)
        assert result.notes == (f"The cell iou had been turned into a {kind} cell and was turned back.",)
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert result.untouched == set()

    @pytest.mark.parametrize(
        ("name", "key", "value"),
        [
            ("test-iou", "points", 99),
            ("test-iou", "points", float("nan")),
            ("test-iou", "solution", True),
            ("test-iou", "locked", False),
            ("test-iou", "grade", {"very": "odd"}),
            ("iou", "locked", True),
            ("iou", "grade", True),
            ("intro", "task", True),
        ],
    )
    def test_changed_settings(self, student, name, key, value):
        find(student, name).metadata.nbgrader[key] = value
        assert mended(student).notes == (
            f"The nbgrader settings of the cell {name} ({key}) had been changed and were put back.",
        )

    def test_a_test_moved_above_its_answer(self, student):
        test = student.cells.pop(position(student, "test-iou"))
        student.cells.insert(position(student, "iou"), test)
        result = mended(student)
        assert result.notes == ("The cell test-iou had been moved and was put back in its place.",)

    def test_one_cell_moved_far_is_one_note(self, student):
        student.cells.insert(0, student.cells.pop(position(student, "outro")))
        assert mended(student).notes == ("The cell outro had been moved and was put back in its place.",)

    def test_a_copied_answer_of_which_the_last_counts(self, student):
        again = copy.deepcopy(find(student, "iou"))
        again.source = ANSWER.format(name="iou", value=2)
        student.cells.insert(position(student, "iou") + 1, again)
        result = mended(student)
        assert source_of(result, "iou") == again.source
        assert source_of(result, "student-1") == ANSWER.format(name="iou", value=1)
        assert position(result.notebook, "student-1") < position(result.notebook, "iou")
        assert result.notes == ("There were 2 cells iou; the last one that is written was taken.",)

    def test_a_copy_that_is_still_the_stub_does_not_undo_the_answer(self, student):
        student.cells.append(copy.deepcopy(find(RELEASE, "iou")))
        result = mended(student)
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert ids(result.notebook) == ORDER
        assert result.untouched == set()
        assert result.notes == ("There were 2 cells iou; the last one that is written was taken.",)

    def test_the_rest_of_a_split_answer_stays_beside_it(self, student):
        rest = copy.deepcopy(find(student, "iou"))
        rest.source = "print(iou(1))"
        student.cells.insert(position(student, "iou") + 1, rest)
        result = mended(student)
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert position(result.notebook, "student-1") == position(result.notebook, "iou") + 1

    def test_a_copied_test(self, student):
        again = copy.deepcopy(find(student, "test-iou"))
        again.source = "assert iou(5) == 6"
        student.cells.insert(0, again)
        result = mended(student)
        assert ids(result.notebook) == ["student-1", *ORDER]
        assert source_of(result, "student-1") == "assert iou(5) == 6"
        assert result.notes == ("There were 2 cells test-iou; one was put back.",)

    def test_every_cell_twice(self, student):
        student.cells += copy.deepcopy(student.cells)
        result = mended(student)
        assert result.untouched == set()
        assert len(result.notes) == len(ORDER)


class TestAdditions:
    """What students add stays, as ordinary cells, behind the cell that it followed."""

    def test_their_places_and_names(self, student):
        student.cells.insert(0, new_markdown_cell("mine, first"))
        student.cells.insert(position(student, "iou") + 1, new_code_cell("print(iou(1))"))
        student.cells.append(new_raw_cell("mine, last"))
        result = mended(student)
        expected = ["student-1", *ORDER, "student-3"]
        expected.insert(expected.index("iou") + 1, "student-2")
        assert ids(result.notebook) == expected
        assert [source_of(result, f"student-{n}") for n in (1, 2, 3)] == [
            "mine, first",
            "print(iou(1))",
            "mine, last",
        ]
        assert result.notes == ()

    def test_they_follow_the_moved_cell_that_they_followed(self, student):
        moved = student.cells.pop(position(student, "test-iou"))
        student.cells[0:0] = [moved, new_code_cell("x = 1")]
        result = mended(student)
        assert position(result.notebook, "student-1") == position(result.notebook, "test-iou") + 1

    def test_their_names_are_in_the_order_in_which_they_stand(self, student):
        """So that whoever hands in what came out of it gets the same again."""
        moved = student.cells.pop(position(student, "test-iou"))
        student.cells[0:0] = [moved, new_code_cell("x = 1")]
        student.cells.insert(position(student, "area"), new_code_cell("y = 2"))
        result = mended(student)
        assert [source_of(result, f"student-{n}") for n in (1, 2)] == ["y = 2", "x = 1"]
        assert mended(result.notebook).notebook == result.notebook

    def test_their_metadata_outputs_and_attachments_go(self, student):
        extra = new_markdown_cell("![plot](attachment:plot.png)")
        extra.attachments = {"plot.png": {"image/png": "AAAA"}}
        extra.metadata = {"nbgrader": {"grade": True, "points": 9}, "tags": ["train"]}
        student.cells.append(extra)
        assert "attachments" not in find(mended(student).notebook, "student-1")

    def test_their_names_avoid_the_courses(self, student):
        source, release = copy.deepcopy((SOURCE, RELEASE))
        for notebook in (source, release, student):
            intro = find(notebook, "intro")
            intro.id = intro.metadata.nbgrader.grade_id = "student-1"
        student.cells.append(new_code_cell("x = 1"))
        result = repair(json.dumps(student).encode(), source, release)
        nbformat.validate(result.notebook)
        assert ids(result.notebook)[-1] == "student-2"

    def test_duplicate_and_impossible_cell_ids(self, student):
        for bad in ("same", "same", "", "with space", "x" * 100, 7, None, ["iou"]):
            extra = new_code_cell("x = 1")
            extra["id"] = bad
            student.cells.append(extra)
        assert ids(mended(student).notebook) == [*ORDER, *(f"student-{n}" for n in range(1, 9))]


class TestBytes:
    """Whatever the bytes are, they are read or refused in a sentence."""

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_encodings_that_json_allows(self, student, encoding):
        find(student, "essay").source = "Überdeckung ∩ 😀"
        result = mended(json.dumps(student, ensure_ascii=False).encode(encoding))
        assert source_of(result, "essay") == "Überdeckung ∩ 😀"
        assert result.notes == ()

    def test_latin_1(self, student):
        find(student, "essay").source = "Überdeckung"
        result = mended(json.dumps(student, ensure_ascii=False).encode("latin-1"))
        assert source_of(result, "essay") == "Überdeckung"
        assert [note for note in result.notes if "Latin-1" in note]

    @pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf", b"\xff\xfe"])
    def test_empty(self, content):
        assert mended(content).notebook is None

    def test_truncated_anywhere(self, student):
        content = json.dumps(student).encode()
        for end in range(1, len(content), 97):
            assert mended(content[:end]).notebook is None

    def test_a_truncated_notebook_is_called_so(self, student):
        content = json.dumps(student).encode()
        for end in (-1, -40, content.index(b"true") + 2, content.index(b"assert") + 1, content.index(b"5,")):
            assert "breaks off" in mended(content[:end]).reason

    @pytest.mark.parametrize(
        "content",
        [b"print('hello')", b"%PDF-1.7 \x00\xe2\xe3\xcf\xd3", bytes(range(256)), b"PK\x03\x04", b"{]"],
    )
    def test_not_json(self, content):
        assert "not JSON" in mended(content).reason

    @pytest.mark.parametrize(
        "content",
        [
            b"[]",
            b"{}",
            b"7",
            b"null",
            b"NaN",
            b'"text"',
            b"1" * 10_000,
            b'{"cells": {}}',
            b'{"cells": 3}',
            b'{"worksheets": {"cells": []}}',
            b'[{"cell_type": "code", "source": ""}]',
        ],
    )
    def test_json_that_is_no_notebook(self, content):
        assert "no cells" in mended(content).reason

    @pytest.mark.parametrize("bracket", [b"[", b'{"cells":'])
    @pytest.mark.parametrize("closed", [True, False])
    def test_absurd_depth(self, bracket, closed):
        content = bracket * 200_000 + (b"1" + (b"]" if bracket == b"[" else b"}") * 200_000) * closed
        assert "too deeply" in mended(content).reason

    def test_deep_metadata_of_one_cell(self, student):
        content = json.dumps(student).replace('"setup"', "[" * 5_000 + "]" * 5_000).encode()
        assert mended(content).notebook is None

    def test_more_values_than_a_notebook_has(self):
        assert "too many values" in mended(b'{"cells": [' + b"{}," * intake.MAX_BRACKETS + b"{}]}").reason
        assert "too many values" in mended(b'{"cells": [' + b"1," * (intake.MAX_COMMAS + 1) + b"1]}").reason

    def test_huge_numbers_and_nan(self, student):
        text = json.dumps(student).replace('"points": 1', '"points": ' + "9" * 100_000)
        text = text.replace('"nbformat_minor": 5', '"nbformat_minor": -Infinity, "x": NaN, "y": 1e999')
        result = mended(text.encode())
        assert result.untouched == set()
        assert [note for note in result.notes if "(points)" in note]

    def test_lone_surrogates_and_nul(self, student):
        find(student, "iou").source += "  # \ud800 \x00"
        find(student, "iou").metadata.nbgrader["\udfff"] = "\ud800"
        student.cells.append({"cell_type": "markdown", "metadata": {}, "source": ["\udc00"]})
        result = mended(json.dumps(student).encode())
        assert source_of(result, "iou").endswith("  # \ufffd \ufffd")
        assert "Characters that no text file can hold were replaced." in result.notes

    def test_surrogates_that_were_written_as_bytes(self, student):
        find(student, "essay").source = "é \ud800"
        content = json.dumps(student, ensure_ascii=False).encode("utf-8", "surrogatepass")
        assert source_of(mended(content), "essay") == "é \ufffd"

    def test_line_ends_that_are_not_escaped(self, student):
        content = json.dumps(student).replace("My essay.", "My\n\tessay.").encode()
        assert source_of(mended(content), "essay") == "My\n\tessay."

    def test_outputs_never_add_up_in_memory(self, student):
        noise = [{"output_type": "stream", "name": "stdout", "text": ["y" * 20 + "\n"] * 20_000}]
        for _ in range(20):
            student.cells.append(new_code_cell("noise()", outputs=noise))
        content = json.dumps(student).encode()
        assert len(content) > 10_000_000
        tracemalloc.start()
        try:
            result = repair(content, SOURCE, RELEASE)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1.5 * len(content)
        assert len(nbformat.writes(result.notebook)) < 10_000


class TestFormats:
    """Every notebook format, real or claimed, gives the same answers."""

    @pytest.mark.filterwarnings("ignore:Cell is missing an id")
    @pytest.mark.parametrize("major", [2, 3])
    def test_what_nbformat_itself_writes(self, student, major):
        student.cells.insert(0, new_markdown_cell("### A title of mine"))
        for c in student.cells:
            c.pop("id")
            c.metadata = {}
        old = nbformat.convert(nbformat.from_dict(student), major)
        if major == 2:
            for c in old.worksheets[0].cells:
                c.pop("metadata", None)
        result = mended(getattr(nbformat, f"v{major}").writes_json(old).encode())
        for name in QUESTIONS:
            assert source_of(result, name) == ANSWER.format(name=name, value=1)
        assert "The cell setup was missing and was restored." not in result.notes
        assert result.notebook.cells[0].source == "### A title of mine"

    def test_the_first_format(self):
        cells = [
            {"cell_type": "text", "text": "mine"},
            {"cell_type": "code", "code": ANSWER.format(name="iou", value=1), "prompt_number": 1},
        ]
        result = mended({"nbformat": 1, "cells": cells})
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert (result.notebook.cells[0].cell_type, result.notebook.cells[0].source) == ("markdown", "mine")

    @pytest.mark.parametrize("major", [None, 0, 3, 5, 99, "4", [4], 1e300])
    @pytest.mark.parametrize("minor", [None, 0, 5, 99, "x"])
    def test_claimed_versions_decide_nothing(self, student, major, minor):
        student["nbformat"], student["nbformat_minor"] = major, minor
        assert mended(student).notes == ()

    def test_no_version_and_no_metadata(self, student):
        assert mended({"cells": student.cells}).notes == ()

    @pytest.mark.parametrize("level", [None, 0, 7, "2", [2], True])
    def test_odd_headings(self, level):
        sheet = {"cells": [{"cell_type": "heading", "level": level, "source": "A\ntitle"}]}
        result = mended({"worksheets": [None, 3, {"cells": 4}, sheet]})
        assert result.notebook.cells[0].source == "# A title"


class TestWrongTypes:
    """A value of the wrong type costs that value, never the submission."""

    def test_source_as_lines(self, student):
        find(student, "iou").source = ["def iou(x):\n", "    return x"]
        assert source_of(mended(student), "iou") == "def iou(x):\n    return x"

    @pytest.mark.parametrize("value", [None, 7, 1.5, True, {}, {"a": 1}, [None, 3], [["def"]], [{"x": "y"}]])
    def test_source_that_is_no_text(self, student, value):
        find(student, "iou")["source"] = value
        result = mended(student)
        assert source_of(result, "iou") == ""
        assert result.untouched == {"iou"}
        assert result.notes == ("Something that is no text was left out of a cell.",)

    def test_no_source(self, student):
        del find(student, "iou")["source"]
        assert mended(student).untouched == {"iou"}

    @pytest.mark.parametrize("value", [None, 7, "cell", [], [{}]])
    def test_cells_that_are_none(self, student, value):
        student["cells"].insert(1, value)
        result = mended(student)
        assert result.notes == ("Something that is no cell was left out.",)
        assert ids(result.notebook) == ORDER

    @pytest.mark.parametrize("value", [None, 7, "x", [], {"nbgrader": None}, {"nbgrader": [1]}])
    def test_metadata(self, student, value):
        student["metadata"] = value
        for c in student.cells:
            c["metadata"] = value
        assert mended(student).untouched == set()

    @pytest.mark.parametrize("value", [None, 7, [], {}, ["iou"], {"iou": 1}, "", "\ud800"])
    def test_grade_ids(self, student, value):
        for c in student.cells:
            c.metadata.nbgrader["grade_id"] = value
        assert mended(student).untouched == set()

    @pytest.mark.parametrize("value", [None, 7, [], {}, "", "python", "CODE"])
    def test_cell_types(self, student, value):
        find(student, "iou")["cell_type"] = value
        result = mended(student)
        assert source_of(result, "iou") == ANSWER.format(name="iou", value=1)
        assert "The cell iou had been turned into a raw cell and was turned back." in result.notes


class TestCaps:
    """What is too large is cut, and says so."""

    def test_too_many_cells(self, student):
        student = json.loads(json.dumps(student))
        student["cells"] += [{"cell_type": "code", "source": "x"}] * 100_000
        result = mended(student)
        assert len(result.notebook.cells) == intake.MAX_CELLS + len(ORDER)
        assert result.notes == ("The notebook is too long: its last cells were left out.",)

    def test_too_long_a_cell(self, student):
        student.cells.append(new_markdown_cell("x" * (intake.MAX_SOURCE + 1)))
        result = mended(student)
        assert len(source_of(result, "student-1")) == intake.MAX_SOURCE
        assert result.notes == ("A cell of more than 1000000 characters was cut.",)

    def test_too_much_text(self, student, monkeypatch):
        monkeypatch.setattr(intake, "MAX_TEXT", 5_000)
        student.cells += [new_markdown_cell("x" * 1_000) for _ in range(10)]
        result = mended(student)
        assert len(result.notebook.cells) < len(ORDER) + 6
        assert result.notes == ("The notebook is too long: its last cells were left out.",)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*ORDER, "code", "markdown", "heading", "cells", "nbgrader", STUB.format(name="iou")])
    | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def mutate(draw, root):
    """Change one place of a JSON tree: replace, remove, double, move or rename it."""
    nodes, places = [root], []
    while nodes:
        node = nodes.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places += [(node, key) for key in keys]
        nodes += [node[key] for key in keys]
    if not places:
        return
    node, key = draw(st.sampled_from(places))
    other, other_key = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "remove", "double", "swap", "graft"])):
        case "replace":
            node[key] = draw(JSON_VALUES)
        case "remove":
            del node[key]
        case "double" if isinstance(node, list):
            node.insert(0, copy.deepcopy(node[key]))
        case "double":
            node[draw(st.sampled_from(["source", "id", "cells", "metadata", "grade_id"]))] = node[key]
        case "swap":
            first, second = copy.deepcopy((node[key], other[other_key]))
            other[other_key], node[key] = first, second
        case "graft":
            node[key] = copy.deepcopy(other[other_key])


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_mutation_of_a_notebook_breaks_intake(data):
    notebook = json.loads(json.dumps(answered(RELEASE)))
    for _ in range(data.draw(st.integers(1, 12))):
        mutate(data.draw, notebook)
    content = json.dumps(notebook).encode()
    if data.draw(st.integers(0, 9)) == 0:
        content = content[: data.draw(st.integers(0, len(content)))]
    mended(content)


def hand_in(root: Path, content: bytes = b"{}", name: str = "iou.ipynb") -> Path:
    """Put a file into ada's folder and return the path of it."""
    path = root / "submitted" / "ada" / "iou" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(root: Path, student: str = "ada", problem: str = "iou") -> intake.HandedIn:
    handed_in = read_submission(root / "submitted", student, problem)
    assert (handed_in.content is None) == bool(handed_in.reason) == (handed_in.sha256 == "")
    handed_in.reason.encode()
    return handed_in


class TestReading:
    """Nothing outside the submission's own folder is ever read through it."""

    def test_a_notebook_is_read_as_it_is(self, tmp_path):
        hand_in(tmp_path, b"{} ")
        handed_in = found(tmp_path)
        assert handed_in.content == b"{} "
        assert handed_in.sha256 == hashlib.sha256(b"{} ").hexdigest()
        assert handed_in.notes == ()

    def test_an_empty_file_was_handed_in_too(self, tmp_path):
        hand_in(tmp_path, b"")
        assert found(tmp_path).content == b""

    @pytest.mark.parametrize("missing", ["submitted", "submitted/ada", "submitted/ada/iou"])
    def test_nothing_there(self, tmp_path, missing):
        (tmp_path / missing).parent.mkdir(parents=True, exist_ok=True)
        assert f"{Path(missing).name} could not be read" in found(tmp_path).reason

    @pytest.mark.parametrize(
        ("number", "refused"), [(errno.EACCES, True), (errno.EIO, True), (errno.ENOENT, False)]
    )
    def test_whose_fault_it_is(self, tmp_path, monkeypatch, number, refused):
        """A file that this machine refuses to read is not the student's fault."""

        def refuse(*arguments, **options):
            raise OSError(number, os.strerror(number), "iou.ipynb")

        hand_in(tmp_path)
        monkeypatch.setattr(os, "open", refuse)
        assert found(tmp_path).refused == refused

    def test_an_empty_folder(self, tmp_path):
        hand_in(tmp_path).unlink()
        assert found(tmp_path).reason == "There is no notebook: iou.ipynb is missing."

    @pytest.mark.parametrize("name", ["IoU.IPYNB", "iou (1).ipynb", "iou_ada.ipynb"])
    def test_another_name_is_taken_with_a_note(self, tmp_path, name):
        hand_in(tmp_path, b"mine", name)
        hand_in(tmp_path, b"old", ".ipynb_checkpoints/iou-checkpoint.ipynb")
        hand_in(tmp_path, b"hidden", "._iou.ipynb")
        hand_in(tmp_path, b"other", "notes.txt")
        handed_in = found(tmp_path)
        assert handed_in.content == b"mine"
        assert handed_in.notes == (f"There was no iou.ipynb; {name} was taken for it.",)

    def test_the_right_name_wins_over_others(self, tmp_path):
        hand_in(tmp_path, b"right")
        hand_in(tmp_path, b"wrong", "iou-old.ipynb")
        assert found(tmp_path).content == b"right"

    def test_several_notebooks_are_listed(self, tmp_path):
        for number in range(7):
            hand_in(tmp_path, name=f"try{number}.ipynb")
        reason = found(tmp_path).reason
        assert "try0.ipynb, try1.ipynb" in reason
        assert "and more" in reason

    def test_a_name_that_would_forge_a_note(self, tmp_path):
        hand_in(tmp_path, name="x\nFull marks \u202e.ipynb")
        (note,) = found(tmp_path).notes
        assert "x\ufffdFull marks \ufffd.ipynb" in note

    def test_a_name_that_is_not_utf_8(self, tmp_path):
        try:
            hand_in(tmp_path, b"mine", os.fsdecode(b"\xff.ipynb"))
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        handed_in = found(tmp_path)
        assert handed_in.content == b"mine"
        assert "\ufffd.ipynb" in handed_in.notes[0]

    @pytest.mark.parametrize("bad", ["", ".", "..", "../bob", "a/b", "/etc", "a\\b", "a\0b", "\ud800"])
    def test_names_that_lead_elsewhere(self, tmp_path, bad):
        hand_in(tmp_path)
        assert found(tmp_path, student=bad).content is None
        assert found(tmp_path, problem=bad).content is None

    @pytest.mark.parametrize("level", ["ada", "ada/iou", "ada/iou/iou.ipynb", "ada/iou/mine.ipynb"])
    def test_links_are_not_followed(self, tmp_path, level):
        hand_in(tmp_path).rename(tmp_path / "iou.ipynb")
        victim = tmp_path / "submitted/bob/iou/iou.ipynb"
        victim.parent.mkdir(parents=True)
        victim.write_bytes(b"bob's own")
        link = tmp_path / "submitted" / level
        target = tmp_path / "submitted" / level.replace("ada", "bob").replace("mine", "iou")
        if link.is_dir():
            link.rename(tmp_path / "away")
        link.symlink_to(target)
        assert f"{link.name} is a symbolic link" in found(tmp_path).reason

    @pytest.mark.parametrize("outside", ["gradebook.db", "missing", "submitted/ada/iou/other.txt"])
    def test_links_to_files_of_other_kinds(self, tmp_path, outside):
        path = hand_in(tmp_path)
        path.unlink()
        if outside != "missing":
            (tmp_path / outside).write_bytes(b"the course's")
        path.symlink_to(tmp_path / outside)
        assert "iou.ipynb is a symbolic link" in found(tmp_path).reason

    def test_a_link_that_appears_after_the_check(self, tmp_path, monkeypatch):
        path = hand_in(tmp_path)
        (tmp_path / "gradebook.db").write_bytes(b"the course's")
        status = os.stat

        def exchanged(name, **options):
            before = status(name, **options)
            if name == "iou.ipynb":
                path.unlink()
                path.symlink_to(tmp_path / "gradebook.db")
            return before

        monkeypatch.setattr(intake.os, "stat", exchanged)
        assert found(tmp_path).content is None

    def test_the_courses_own_folder_may_be_a_link(self, tmp_path):
        hand_in(tmp_path, b"mine")
        (tmp_path / "submitted").rename(tmp_path / "elsewhere")
        (tmp_path / "submitted").symlink_to(tmp_path / "elsewhere")
        assert found(tmp_path).content == b"mine"

    def test_a_folder_named_like_a_notebook(self, tmp_path):
        hand_in(tmp_path).unlink()
        (tmp_path / "submitted/ada/iou/iou.ipynb").mkdir()
        assert "iou.ipynb is a folder" in found(tmp_path).reason

    def test_a_notebook_in_place_of_a_folder(self, tmp_path):
        (tmp_path / "submitted/ada").mkdir(parents=True)
        (tmp_path / "submitted/ada/iou").write_bytes(b"{}")
        assert "iou is a file" in found(tmp_path).reason

    def test_a_named_pipe_keeps_nobody_waiting(self, tmp_path):
        path = hand_in(tmp_path)
        path.unlink()
        os.mkfifo(path)
        assert "iou.ipynb is a named pipe" in found(tmp_path).reason

    def test_a_named_pipe_that_appears_after_the_check(self, tmp_path, monkeypatch):
        path = hand_in(tmp_path)
        status = os.stat

        def exchanged(name, **options):
            before = status(name, **options)
            if name == "iou.ipynb":
                path.unlink()
                os.mkfifo(path)
            return before

        monkeypatch.setattr(intake.os, "stat", exchanged)
        assert "iou.ipynb is a named pipe" in found(tmp_path).reason

    def test_a_socket(self, tmp_path, monkeypatch):
        path = hand_in(tmp_path)
        path.unlink()
        monkeypatch.chdir(path.parent)  # a socket's path may not be long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
            assert "iou.ipynb is a device or a socket" in found(tmp_path).reason

    def test_a_device(self):
        assert "null is a device" in read_submission(Path("/"), "dev", "null").reason

    def test_too_large_a_file_is_not_read(self, tmp_path):
        with hand_in(tmp_path).open("wb") as file:
            file.truncate(intake.MAX_NOTEBOOK + 1)  # a hole: it takes no room on the disk
        assert found(tmp_path).reason == (
            "iou.ipynb is larger than 200 MB; clear all outputs, save, hand in again."
        )

    @pytest.mark.parametrize("content", [b"y" * 200, b"y" * 50, b"y" * 100])
    def test_a_file_that_changes_while_it_is_read(self, tmp_path, monkeypatch, content):
        """Somebody may be copying it here, which is not the student's fault."""
        path = hand_in(tmp_path, b"x" * 100)

        def change_and_open(descriptor, *args, **options):
            path.write_bytes(content)
            os.utime(path, (1, 1))
            return os.fdopen(descriptor, *args, **options)

        monkeypatch.setattr(intake, "open", change_and_open, raising=False)
        handed_in = found(tmp_path)
        assert handed_in.reason == "iou.ipynb could not be read: it is just being written."
        assert handed_in.refused

    def test_no_descriptor_stays_open(self, tmp_path):
        def lowest_free():
            descriptor = os.open(tmp_path, os.O_RDONLY)
            os.close(descriptor)
            return descriptor

        before = lowest_free()
        path = hand_in(tmp_path)
        found(tmp_path)
        found(tmp_path, problem="none")
        path.rename(path.with_name("folder"))
        path.mkdir()
        found(tmp_path)
        assert lowest_free() == before
