"""Graders are ordinary pytest files; what comes of them is fair to students and tells no secrets."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import weakref
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from autograder import batch, catalog, grader, models
from autograder.errors import (
    GraderError,
    NotAttempted,
    SandboxError,
    StudentCrash,
    StudentError,
    StudentTimeout,
    Unreadable,
)
from autograder.grader import Comparison, Question
from autograder.lab import LocalLab
from autograder.models import Model
from autograder.sandbox.host import Limits
from autograder.submission import LimitedSubmission, LocalSubmission, SandboxSubmission, Submission

from .conftest import SECRET

HIDDEN = ("7919", "104729", "-6007", "hunter2")
"""Arguments and words of the grader that no student may read."""
HEAD = """\
import pytest
from autograder import grader

question = grader.question("area", points=3)


@question.reference
def area(height, width):
    if height < 0:
        raise ValueError("a height below 0: hunter2")
    return height * width


@question.slip("The sides were added.")
def added(height, width):
    if height < 0:
        raise ValueError
    return height + width


@question.slip("Squares were counted one by one.", slow=True)
def counted(height, width):
    return height * width

"""
CURIOUS = {
    "echo in an exception": "raise ValueError(f'{height} {width}')",
    "echo in an exception's name": "raise type(f'E{height}', (ValueError,), {})(str(width))",
    "echo in a type's name": "return type(f'T{height}', (), {})()",
    "echo in the output": "print(height, width); return 1",
    "echo": "return [height, width]",
    "exception with a long text": "raise ValueError('x' * 150 + str(height))",
    "wrong": "return height - width",
    "none": "return None",
    "deep in a call": "return (lambda: height / 0)()",
}
"""What students' functions may try to tell their authors."""
GRADER = f'''{HEAD}
@question.test(points=1)
@pytest.mark.parametrize("side", [7919, 104729])
def test_squares(compare, side):
    """multiplies a side by itself"""
    compare(side, side)


@question.test
def test_rectangles(compare):
    """multiplies two different sides"""
    compare(7919, 104729)


@question.test
def test_negative_heights(compare):
    """refuses heights below 0"""
    compare(-6007, 2)


question = grader.question("perimeter", points=2)


@question.test
def test_perimeter(submission, rng):
    """adds all four sides"""
    height, width = (int(side) for side in rng.integers(1, 10**9, 2))
    assert submission.perimeter(height, width) == 2 * (height + width)


@question.test
def test_perimeter_of_a_square(submission):
    """takes a side four times"""
    if submission.perimeter(7919, 7919) != 4 * 7919:
        grader.fail("the sides are all the same here")
'''
TELLING = f'''{HEAD}
@question.slip("The area was told in feet.", told=True)
def in_feet(height, width):
    return height * width / 9


@question.slip("A side was forgotten.", told=True)
def forgotten(height, width):
    return height


@question.test
def test_units(submission):
    """measures in yards"""
    if submission.area(3, 3) == 1:
        question.blame("in_feet")
    assert submission.area(3, 3) == 9


@question.test
def test_sides(submission):
    """multiplies both sides"""
    if submission.area(7919, 1) == submission.area(7919, 2):
        question.blame("forgotten")
    assert submission.area(7919, 3) == 3 * 7919


@question.test
def test_negative_heights(compare):
    """refuses heights below 0"""
    compare(-6007, 2)
'''
"""A grader that looks for slips itself."""


@pytest.fixture(autouse=True)
def write(tmp_path, monkeypatch):
    """Writes the grader of the problem "shapes", which is all there is."""
    monkeypatch.setattr(catalog, "GRADERS", tmp_path / "graders")
    path = catalog.Problem("shapes").grader
    path.parent.mkdir(parents=True)

    def forget():
        grader.load.cache_clear()
        grader._collect.cache_clear()
        sys.modules.pop("test_shapes", None)  # where pytest keeps it for the next submission

    def write(text):
        forget()
        path.write_text(text)

    write(GRADER)
    yield write
    forget()


@dataclass(kw_only=True)
class Told(Submission):
    """A submission that answers with what it is told to, or raises it."""

    programs: dict[str, Any] = field(default_factory=dict)
    kept_lab: Any = None

    @property
    def lab(self):
        return self.kept_lab

    def _call(self, function, args, kwargs):
        answer = self.programs[function]
        if isinstance(answer, Exception):
            raise answer
        return answer(*args, **kwargs)


def area(height, width):
    if height < 0:
        raise StudentError("`area` raised ValueError", ("ValueError", "Exception"))
    return height * width


def perimeter(height, width):
    return 2 * (height + width)


RIGHT = {"area": area, "perimeter": perimeter}


def grade(secret=SECRET, only=None, **programs):
    """Grade these programs, and right ones in the place of others; return the results by question."""
    submission = Told(student="ada", programs=RIGHT | programs)
    done = grader.grade("shapes", submission, secret, only)
    return {question.question: question for question in done.questions}


def outcomes(question):
    return [(check.outcome, check.points) for check in question.checks]


class TestPoints:
    """A question is worth what its passed checks are worth."""

    def test_all_right(self):
        found = grade()
        assert [(q.outcome, q.points, q.max_points) for q in found.values()] == [
            ("passed", 3.0, 3.0), ("passed", 2.0, 2.0),
        ]  # fmt: skip
        assert [q.feedback + q.slips for q in found.values()] == [[], []]

    def test_labels_and_shares(self):
        """A check's label is its docstring; what no check claims is shared equally."""
        checks = [(check.label, check.max_points) for check in grade()["area"].checks]
        assert checks == [
            ("multiplies a side by itself", 1.0),
            ("multiplies two different sides", 1.0),
            ("refuses heights below 0", 1.0),
        ]

    def test_partial_credit(self):
        """A passed check counts although another failed."""
        found = grade(area=lambda h, w: area(h, w) if h == w or h < 0 else -1)["area"]
        assert (found.outcome, found.points) == ("partial", 2.0)
        assert outcomes(found) == [("passed", 1.0), ("failed", 0.0), ("passed", 1.0)]
        assert found.feedback == ["Not yet: multiplies two different sides (a different number is expected)."]

    def test_one_failed_case_fails_its_check(self):
        found = grade(area=lambda h, w: area(h, w) if h != 104729 else -1)["area"]
        assert outcomes(found)[0] == ("failed", 0.0)

    def test_questions_are_graded_apart(self):
        found = grade(area=lambda h, w: None)
        assert (found["area"].points, found["perimeter"].points) == (0.0, 2.0)

    def test_a_part_of_the_questions(self):
        assert list(grade(only=["perimeter"])) == ["perimeter"]

    def test_plain_asserts_and_the_graders_own_words(self):
        """A failed assert says only its label; `grader.fail` adds a sentence."""
        found = grade(perimeter=lambda h, w: h + w)["perimeter"]
        assert found.feedback == [
            "Not yet: adds all four sides.",
            "Not yet: takes a side four times (the sides are all the same here).",
        ]

    def test_fixtures_of_pytests_own(self, write):
        """A check may use them, whatever the student's function does."""
        write(
            HEAD
            + '@question.test\ndef test_file(submission, tmp_path):\n    """measures"""\n'
            + '    (tmp_path / "area").write_text(str(submission.area(2, 3)))\n'
            + '    assert (tmp_path / "area").read_text() == "6"\n'
        )
        assert grade()["area"].outcome == "passed"
        assert grade(area=lambda h, w: 7)["area"].outcome == "failed"
        assert grade(area=NotAttempted("`area` is not written yet."))["area"].outcome == "not_attempted"

    @pytest.mark.parametrize("body", ["raise RuntimeError", "yield\n    raise RuntimeError"])
    def test_a_fixture_that_fails(self, write, body):
        """At its beginning or at its end, it is the grader's fault."""
        write(
            f"{HEAD}@pytest.fixture\ndef broken():\n    {body}\n\n\n"
            '@question.test\ndef test_it(submission, broken):\n    """measures"""\n'
            "    submission.area(2, 3)\n"
        )
        assert grade()["area"].outcome == "could_not_check"

    def test_points_never_exceed_the_maximum(self, write):
        """Nine ninths of 2 points are 2 points: nbgrader refuses anything more."""
        check = '@question.test\ndef test_{0}(compare):\n    """measures"""\n    compare({0}, 1)\n'
        write(HEAD.replace("points=3", "points=2") + "".join(check.format(n) for n in range(9)))
        found = grade()["area"]
        assert (found.outcome, found.points, found.max_points) == ("passed", 2.0, 2.0)

    @pytest.mark.parametrize("body", ["pytest.fail('7919')", "with pytest.raises(ValueError): pass"])
    def test_pytests_own_failures(self, write, body):
        """`pytest.raises` finds fault with a student as an assert does."""
        write(f'{HEAD}@question.test\ndef test_it(submission):\n    """measures"""\n    {body}\n')
        found = grade()["area"]
        assert (found.outcome, found.feedback) == ("failed", ["Not yet: measures."])

    def test_a_slip_speaks_for_all_its_checks(self):
        found = grade(area=lambda h, w: area(h, w) and h + w)["area"]
        assert (found.slips, found.feedback) == (["added"], ["The sides were added."])
        assert outcomes(found) == [("failed", 0.0), ("failed", 0.0), ("passed", 1.0)]


class TestToldSlips:
    """A check that looks for a slip itself names it, and the student reads its sentence."""

    @pytest.fixture(autouse=True)
    def _telling(self, write):
        write(TELLING)

    def test_is_named(self):
        """Its check fails with that sentence and nothing else; the others count as always."""
        found = grade(area=lambda h, w: area(h, w) / 9)["area"]
        assert (found.slips, found.feedback) == (["in_feet"], ["The area was told in feet."])
        assert outcomes(found) == [("failed", 0.0), ("failed", 0.0), ("passed", 1.0)]
        assert found.outcome == "partial"

    def test_nobody_who_is_right_is_blamed(self):
        found = grade()["area"]
        assert (found.outcome, found.slips, found.feedback) == ("passed", [], [])

    @pytest.mark.parametrize(("told", "slips"), [(True, []), (False, ["doubled"])])
    def test_answers_are_not_compared_with_its_own(self, write, told, slips):
        """Only a check can name it, though its program gives every answer that was given."""
        write(
            f'{HEAD}@question.slip("It is twice as much.", told={told})\n'
            "def doubled(height, width):\n    return 2 * height * width\n"
            '@question.test\ndef test_it(compare):\n    """measures"""\n    compare(3, 5)\n'
        )
        assert grade(area=lambda h, w: 2 * h * w)["area"].slips == slips

    def test_other_slips_are_recognised_beside_it(self):
        """Replayed slips, and slow ones, as if no slip were told."""
        found = grade(area=lambda h, w: area(h, w) and h + w)["area"]
        assert (found.slips, found.feedback) == (["added"], ["The sides were added."])
        assert grade(area=StudentTimeout("slow"))["area"].slips == ["counted"]

    def test_what_is_told_comes_before_what_is_recognised(self, write):
        """Where a check is sure, nobody guesses."""
        write(
            f'{HEAD}@question.slip("Told.", told=True)\ndef told(height, width): ...\n'
            '@question.test\ndef test_it(submission):\n    """measures"""\n'
            '    if submission.area(2, 3) == 5:\n        question.blame("told")\n'
            '@question.test\ndef test_more(compare):\n    """measures more"""\n    compare(3, 4)\n'
        )
        found = grade(area=lambda h, w: h + w)["area"]
        assert (found.slips, found.feedback) == (["told"], ["Told."])

    def test_several(self, write):
        """Each that was told is named once, in the order of the checks."""
        write(
            f"{TELLING}\n@question.test(points=0.5)\ndef test_again(submission):\n"
            '    """measures in yards again"""\n'
            '    if submission.area(6, 6) == 4:\n        question.blame("in_feet")\n'
        )
        both = {(3, 3): 1, (6, 6): 4}
        found = grade(area=lambda h, w: both.get((h, w), 0))["area"]
        assert found.slips == ["in_feet", "forgotten"]
        assert found.feedback == ["The area was told in feet.", "A side was forgotten."]

    def test_a_slip_that_nobody_registered(self, write):
        """The grader's fault, not the student's."""
        write(
            f'{HEAD}@question.test\ndef test_it(submission):\n    """measures"""\n'
            '    question.blame("no_such_slip")\n'
        )
        assert grade()["area"].outcome == "could_not_check"

    def test_models_among_the_calls(self, write):
        """Slips are recognised as always where some calls were given models, or answered with them."""
        write(GRADER.replace("compare(7919, 104729)", "submission.area(MODEL, 2); compare(7919, 104729)")
              .replace("def test_rectangles(compare)", "def test_rectangles(compare, submission)")
              .replace("import pytest\n", "import pytest\nfrom autograder.models import Model\n"
                       "MODEL = Model(None, 0)\n"))  # fmt: skip
        found = grade(area=lambda h, w: h if isinstance(h, Model) else area(h, w) and h + w)["area"]
        assert found.outcome == "partial"
        assert outcomes(found) == [("failed", 0.0), ("failed", 0.0), ("passed", 1.0)]
        assert found.slips == ["added"]


class TestNeeds:
    """A grader says what it takes to grade with it."""

    def test_usually(self):
        needs = grader.needs("shapes")
        assert (needs.imports, needs.limits) == (("numpy",), Limits())

    def test_models(self, write):
        write(f"NEEDS = grader.KERAS\n{GRADER}".replace("NEEDS", "from autograder import grader\nNEEDS", 1))
        needs = grader.needs("shapes")
        assert needs is grader.KERAS
        assert "keras" in needs.imports
        assert needs.limits.cpu_seconds > Limits().cpu_seconds
        assert needs.limits.memory_mb > Limits().memory_mb


class TestLab:
    """A grader's own functions run in the submission's lab."""

    CHECK = (
        f"{HEAD}NUMBER = 1\ndef product(a, b):\n    import math\n    return math.prod([a, b])\n"
        '@question.test\ndef test_it(submission, lab):\n    """measures"""\n'
        "    assert submission.area(2, 3) == lab(product, 2, 3)\n"
    )

    @pytest.fixture
    def asked(self):
        """What the lab of `Told` was asked."""
        return []

    def grade(self, lab, area=area):
        submission = Told(student="ada", programs=RIGHT | {"area": area})
        submission.kept_lab = lab
        return grader.grade("shapes", submission, SECRET).questions[0]

    def test_is_the_submissions_own(self, write, asked):
        write(self.CHECK)

        def lab(function, *args):
            asked.append((function.__name__, args))
            return function(*args)

        assert self.grade(lab).outcome == "passed"
        assert asked == [("product", (2, 3))]
        assert self.grade(lab, area=lambda h, w: 0).outcome == "failed"

    def test_its_fault_is_the_graders(self, write):
        """It is raised, so that nobody is graded by it."""
        write(self.CHECK)

        def lab(function, *args):
            raise GraderError("The grader's own code failed.")

        with pytest.raises(GraderError, match="own code failed"):
            self.grade(lab)

    def test_in_this_process(self, write):
        """Trusted code needs no sandbox for it."""
        write(self.CHECK)
        submission = LocalSubmission(student="ada", namespace={"area": area})
        assert grader.grade("shapes", submission, SECRET).questions[0].outcome == "passed"


class TestOutcomes:
    """What a submission may meet, each with its own outcome and its own words."""

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (NotAttempted("There is no `area`."), "not_attempted"),
            (StudentError("`area` raised TypeError", ("TypeError",)), "error"),
            (StudentTimeout("`area` was stopped."), "timeout"),
            (StudentCrash("`area` ended the process."), "crashed"),
            (Unreadable("`area` gave a generator."), "failed"),
        ],
    )
    def test_of_a_question(self, error, outcome):
        """No points, the reason is told once, and the other question is not touched."""
        found = grade(area=error)
        assert (found["area"].outcome, found["area"].points) == (outcome, 0.0)
        assert [check.outcome for check in found["area"].checks] == [outcome] * 3
        assert found["perimeter"].outcome == "passed"
        if outcome != "timeout":
            assert found["area"].feedback == [str(error)]

    @pytest.mark.parametrize("error", [NotAttempted("none"), StudentTimeout("slow"), StudentCrash("gone")])
    def test_what_would_cost_its_time_again_is_not_asked_again(self, error):
        """The first call decides all checks of the question."""
        submission = Told(student="ada", programs=RIGHT | {"area": error})
        grader.grade("shapes", submission, SECRET)
        assert [call.name for call in submission.calls] == ["area", "perimeter", "perimeter"]

    def test_exceptions_are_asked_again(self):
        """Other arguments may not raise."""

        def fragile(height, width):
            if height == width:
                raise StudentError("`area` raised ZeroDivisionError", ("ZeroDivisionError",))
            return area(height, width)

        found = grade(area=fragile)["area"]
        assert outcomes(found) == [("error", 0.0), ("passed", 1.0), ("passed", 1.0)]
        assert (found.outcome, found.feedback) == ("partial", ["`area` raised ZeroDivisionError"])

    def test_a_timeout_after_a_passed_check(self):
        """What was right before counts."""

        def slow(height, width):
            if height != width:
                raise StudentTimeout("`area` was stopped.")
            return area(height, width)

        found = grade(area=slow)["area"]
        assert outcomes(found) == [("passed", 1.0), ("timeout", 0.0), ("timeout", 0.0)]
        assert (found.outcome, found.slips) == ("partial", ["counted"])

    @pytest.mark.parametrize(
        ("programs", "outcome"),
        [
            ([StudentCrash("c"), StudentTimeout("t"), -1], "crashed"),
            ([StudentError("e"), -1, -1], "error"),
            ([-1, StudentTimeout("t"), -1], "timeout"),
            ([Unreadable("u"), StudentError("e"), -1], "error"),
        ],
    )
    def test_the_worst_names_the_question(self, programs, outcome):
        answers = iter([programs[0], *programs])

        def mixed(height, width):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert grade(area=mixed)["area"].outcome == outcome

    @pytest.mark.parametrize("kinds", [("ValueError",), ("MyError", "ValueError", "Exception")])
    def test_the_right_exception_is_right(self, kinds):
        """A subclass of what the reference raises is as good."""

        def refuses(height, width):
            if height < 0:
                raise StudentError("`area` raised", kinds)
            return height * width

        assert grade(area=refuses)["area"].outcome == "passed"

    def test_another_exception_is_wrong(self):
        def refuses(height, width):
            if height < 0:
                raise StudentError("`area` raised TypeError", ("TypeError", "Exception"))
            return height * width

        assert outcomes(grade(area=refuses)["area"])[2] == ("error", 0.0)

    def test_no_exception_where_one_is_due(self):
        found = grade(area=lambda h, w: h * w)["area"]
        (sentence,) = found.feedback
        assert sentence.startswith("Not yet: refuses heights below 0 (bad arguments must raise ValueError, ")


class TestFaults:
    """A fault of the grader's own is never a student's failure."""

    @pytest.mark.parametrize(
        "body",
        [
            "1 / 0",
            "grader.no_such_name",
            "pytest.skip('not today')",
            "pytest.xfail('known')",
            "submission.area(1)[0]",
            "import no_such_module",
        ],
    )
    def test_a_bug_in_a_check(self, write, body):
        """The question could not be checked, says so, and tells the instructor where."""
        write(f'{HEAD}@question.test\ndef test_it(submission):\n    """measures"""\n    {body}\n')
        submission = Told(student="ada", programs={"area": lambda *_: 1})
        done = grader.grade("shapes", submission, SECRET)
        (found,) = done.questions
        assert (found.outcome, outcomes(found)) == ("could_not_check", [("could_not_check", 0.0)])
        assert found.feedback == [
            "Could not be checked: measures. This is not your fault; the instructor has the details."
        ]
        assert "test_shapes.py" in done.detail

    def test_a_bug_beside_a_passed_and_a_failed_check(self, write):
        """One check that could not be checked leaves the question open."""
        write(f'{GRADER}\n@question.test\ndef test_more(submission):\n    """has a bug"""\n    1 / 0\n')
        found = grade(perimeter=lambda h, w: 4 * h)["perimeter"]
        assert found.outcome == "could_not_check"
        assert [check.outcome for check in found.checks] == ["failed", "passed", "could_not_check"]

    def test_a_check_without_cases(self, write):
        """An empty list of cases is no reason to fail anybody, nor to pass."""
        write(
            f'{HEAD}@question.test\n@pytest.mark.parametrize("side", [])\n'
            'def test_it(compare, side):\n    """measures"""\n    compare(side, side)\n'
        )
        assert grade()["area"].outcome == "could_not_check"

    def test_a_fixture_that_is_not_there(self, write):
        write(f'{HEAD}@question.test\ndef test_it(fixture_of_nobody):\n    """measures"""\n')
        assert grade()["area"].outcome == "could_not_check"

    def test_a_reference_that_is_missing(self, write):
        write(
            "from autograder import grader\n"
            'question = grader.question("area", points=1)\n'
            '@question.test\ndef test_it(compare):\n    """measures"""\n    compare(2, 3)\n'
        )
        with pytest.raises(GraderError, match=r"area has no @question\.reference"):
            grade()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("import no_such_module", "ModuleNotFoundError.*no_such_module"),
            ("def f(:", "SyntaxError"),
            (f'{HEAD}@question.test\ndef test_it(compare):\n    compare(1, 2)\n', "no docstring"),
            (f"{HEAD}@question.slip('Again.')\ndef added(): ...\n", "two slips called added"),
        ],
    )  # fmt: skip
    def test_a_grader_that_does_not_import(self, write, text, message):
        """Nobody is graded by it, and the message says how to find the fault."""
        write(text)
        with pytest.raises(GraderError, match=message):
            grader.load("shapes")
        with pytest.raises(GraderError, match=rf"'pytest {catalog.GRADERS / 'shapes'}' shows where"):
            grader.load("shapes")
        with pytest.raises(GraderError, match=r"grader of shapes is broken: .*'pytest .*' shows where"):
            grade()

    @pytest.mark.parametrize("points", [2, 4])
    def test_points_that_do_not_add_up(self, write, points):
        """Neither too few nor too many: the question's points are what its checks are worth."""
        write(f'{HEAD}@question.test(points={points})\ndef test_it(compare):\n    """measures"""\n')
        with pytest.raises(GraderError, match=r"area: its checks' points do not sum to 3"):
            grader.load("shapes")

    def test_no_grader(self):
        with pytest.raises(GraderError, match=r"There is no grader .*convgrade new circles"):
            grader.load("circles")
        with pytest.raises(GraderError, match="grader of circles is broken"):
            grader.grade("circles", Told(student="ada"), SECRET)

    def test_a_grader_without_tests(self, write):
        write(HEAD)
        with pytest.raises(GraderError, match="is broken"):
            grade()

    def test_a_grader_that_ends_all_tests(self, write):
        write(f'{HEAD}@question.test\ndef test_it(compare):\n    """measures"""\n    pytest.exit("enough")\n')
        with pytest.raises(GraderError, match="is broken: it ended all tests: enough"):
            grade()

    def test_a_broken_grader_leaves_nothing(self, write):
        """It is tried with every submission of a class."""
        write("import no_such_module")
        finders = list(sys.meta_path)
        with pytest.raises(GraderError):
            grade()
        assert sys.meta_path == finders

    def test_a_lost_sandbox_is_nobodys_failure(self):
        """It is raised, so that no result is written."""
        with pytest.raises(SandboxError, match="gone"):
            grade(area=SandboxError("The warm process is gone."))


class TestOneAfterTheOther:
    """Test cases are collected once, and nothing of one submission's grading reaches the next."""

    def test_collected_once(self, monkeypatch):
        collect, collected = pytest.Session.perform_collect, []
        monkeypatch.setattr(
            pytest.Session, "perform_collect", lambda self: collected.append(self) or collect(self)
        )
        found = [grade(area=program)["area"].points for program in (area, lambda h, w: 0, area)]
        assert found == [3, 0, 3]
        assert len(collected) == 1

    @pytest.mark.parametrize("scope", ["function", "module", "session"])
    def test_fixtures_are_made_anew(self, write, scope):
        """Of whatever scope they are, and also what is made once in a grading."""
        write(f'''{HEAD}
MADE = []

@pytest.fixture(scope="{scope}")
def number():
    MADE.append("fixture")
    return len(MADE)

@question.test
@pytest.mark.parametrize("side", [2, 3])
def test_it(request, submission, number, tmp_path, side):
    """measures"""
    first = grader.once(request, "first", lambda: submission.area(side, side))
    grader.fail(f"{{number}} {{first}} {{tmp_path}}")
''')
        told = [grade(area=lambda h, w, by=by: by)["area"].feedback[0] for by in (7, 8)]
        (number, first, folder), (another, again, other) = (
            re.search(r"\((\d+) (\d) (.*)\)", line).groups() for line in told
        )
        assert (first, again) == ("7", "8")
        assert int(another) == int(number) + (2 if scope == "function" else 1)
        assert folder != other
        assert not Path(folder).exists()

    def test_after_an_interrupt(self):
        """What a case had set up is not there for the next submission."""

        def interrupted(height, width):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            grade(area=interrupted)
        assert grade()["area"].points == 3

    def test_nothing_is_kept(self):
        """A submission and what it answered can go when it is graded."""
        submission = Told(student="ada", programs=RIGHT)
        grader.grade("shapes", submission, SECRET)
        gone = weakref.ref(submission)
        del submission
        gc.collect()
        assert gone() is None


class TestSecrets:
    """Hidden arguments reach the instructor's account, and no student's feedback."""

    @pytest.mark.parametrize("body", CURIOUS.values(), ids=CURIOUS)
    def test_never_in_feedback(self, body, level):
        """Whatever the student's code does with its arguments."""
        notebook = nbformat.v4.new_notebook()
        source = f"def area(height, width):\n    {body}\nperimeter = area"
        notebook.cells = [nbformat.v4.new_code_cell(source)]
        submission = SandboxSubmission(
            student="ada", sandbox=batch.warm_sandbox(level), notebook=notebook, untouched=frozenset(),
            limits=Limits(), seed=0,
        )  # fmt: skip
        with closing(submission):
            submission.execute()
            done = grader.grade("shapes", submission, SECRET)
        read = json.dumps([vars(q) | {"checks": None} for q in done.questions]) + nbformat.writes(notebook)
        visible = read.replace(json.dumps(source)[1:-1], "")
        assert [secret for secret in HIDDEN if secret in visible] == []
        assert "7919" in done.detail
        assert done.questions[1].points == 0

    def test_draws_depend_on_the_secret_and_the_case(self):
        """The same for a class, and unknown to who does not know the secret."""
        drawn = {
            grader.generator(secret, purpose).integers(2**62)
            for secret in (b"a", b"b")
            for purpose in ("test_iou::one", "test_iou::two")
        }
        assert len(drawn) == 4
        again = (grader.generator(b"a", "test_iou::one").integers(2**62) for _ in range(2))
        assert len(set(again)) == 1

    def test_a_class_sees_the_same_cases(self):
        """Two gradings with one secret ask the same, with another secret something else."""
        asked = []
        for secret in (b"first", b"first", b"second"):
            submission = Told(student="ada", programs=RIGHT)
            grader.grade("shapes", submission, secret, ["perimeter"])
            asked.append(submission.calls[0].args)
        assert asked[0] == asked[1] != asked[2]

    def test_arguments_are_kept_from_being_changed(self):
        """What a student's function does to its arguments changes no other call, nor the account."""

        def spoils(boxes):
            boxes.append("spoiled")
            return len(boxes)

        submission = LocalSubmission(student="ada", namespace={"count": spoils})
        boxes = [1]
        assert [submission.count(boxes), submission.count(boxes)] == [2, 2]
        assert [call.args for call in submission.calls] == [([1],), ([1],)]


class TestComparison:
    """`compare` asks the submission and the reference the same."""

    @pytest.fixture
    def compare(self):
        question = Question("scaled", 1.0, 1e-6)
        question.reference(lambda x, by=1: np.asarray(x, float) * by)
        programs = {"scaled": lambda x, by=1: np.asarray(x, float) * by + 5e-5}
        return Comparison(question, Told(student="ada", programs=programs), question.tolerance)

    def test_another_tolerance(self, compare):
        with pytest.raises(grader.Feedback, match="some of its values should be different"):
            compare([1.0, 2.0], by=3)
        compare.within(tolerance=1e-4)([1.0, 2.0], by=3)
        assert compare.tolerance == 1e-6

    def test_less_processor_time(self, compare):
        within = compare.within(cpu_seconds=0.5)
        assert isinstance(within.submission, LimitedSubmission)
        assert within.submission.cpu_seconds == 0.5
        assert within.within(cpu_seconds=0.1).submission.whole is compare.submission

    def test_the_reference_gets_its_own_arguments(self, compare):
        """Both sides may spoil theirs."""
        compare.question.reference(lambda x: x.pop())
        compare.submission.programs["scaled"] = lambda x: x.pop()
        boxes = [1, 2]
        compare(boxes)
        assert boxes == [1, 2]


class TestReplaying:
    """A class is asked alike, so a trusted program answers once."""

    @pytest.fixture
    def counted(self, monkeypatch):
        monkeypatch.setattr(grader, "_replays", grader._Replays("shapes"))
        runs = []

        def program(value, factor=2):
            runs.append(value)
            return value * factor

        return program, runs

    def test_the_same_arguments(self, counted):
        """As objects of the same content, by position and by name."""
        program, runs = counted
        for _ in range(2):
            assert grader.replay(program, (np.arange(3),), {"factor": 3}).value.tolist() == [0, 3, 6]
        assert len(runs) == 1

    @pytest.mark.parametrize(
        "other", [(np.arange(3.0), {}), (np.arange(4), {}), (np.arange(3), {"factor": 2}), ([0, 1, 2], {})]
    )
    def test_other_arguments(self, counted, other):
        """Another type, another length or another way of giving them."""
        program, runs = counted
        grader.replay(program, (np.arange(3),), {})
        grader.replay(program, (other[0],), other[1])
        assert len(runs) == 2

    def test_what_it_raises(self, counted):
        program, runs = counted
        for _ in range(2):
            assert grader.replay(program, (None,), {}).error.kinds[0] == "TypeError"
        assert len(runs) == 1

    def test_models_count_by_their_networks(self, counted):
        """Those that the grader holds; one that lives somewhere may change."""
        program, runs = counted
        network = models.sequential((2,), [("Dense", {"units": 1})], [np.ones((2, 1)), np.zeros(1)])
        for lab in (LocalLab(), LocalLab()):
            grader.replay(program, (lab.hold(network),), {})
        assert len(runs) == 1
        for _ in range(2):
            grader.replay(program, (models.Model(LocalLab(), 0),), {})
        assert len(runs) == 3

    def test_large_answers_make_room(self, counted, monkeypatch):
        """What is too large is not kept, and what was not asked for longest goes first."""
        program, runs = counted
        monkeypatch.setattr(grader, "MAX_REPLAY", 80)
        monkeypatch.setattr(grader, "MAX_REPLAYS", 220)
        for size in (10, 9, 8, 10, 11, 11, 9, 7, 8, 9, 10):
            grader.replay(program, (np.zeros(size),), {})
        assert [len(value) for value in runs] == [10, 9, 8, 11, 11, 7, 8, 10]

    def test_another_problem(self, counted):
        """Nobody will ask again what was asked of the problem before, and it may be large."""
        program, runs = counted
        for shapes in ("shapes", "shapes", "circles", "shapes"):
            grader._replays.begin(shapes)
            grader.replay(program, (2,), {})
        assert len(runs) == 3
        assert grader._replays.size == 64

    def test_each_grading_begins(self, counted):
        grader._replays.begin("circles")
        grade()
        assert grader._replays.problem == "shapes"


class TestRunning:
    """Other settings of pytest and of the environment change nothing."""

    @pytest.mark.parametrize(
        "settings",
        [
            {"PYTEST_ADDOPTS": "--collect-only -k nothing --no-such-option"},
            {"PYTEST_PLUGINS": "no_such_plugin"},
            {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "0"},
        ],
    )
    def test_environment(self, monkeypatch, settings):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        before = dict(os.environ)
        assert grade()["area"].outcome == "passed"
        assert {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"} == {
            k: v for k, v in before.items() if k != "PYTEST_CURRENT_TEST"
        }

    def test_files_around_the_grader(self):
        """A conftest or settings file beside it is not read."""
        folder = catalog.Problem("shapes").grader.parent
        (folder / "conftest.py").write_text("raise RuntimeError")
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
        assert grade()["area"].outcome == "passed"

    def test_nothing_is_printed_or_left_behind(self, capfd):
        folder = catalog.Problem("shapes").grader.parent
        grade(area=lambda h, w: -1)
        assert capfd.readouterr() == ("", "")
        assert [p.name for p in folder.iterdir() if p.name != "__pycache__"] == ["test_shapes.py"]

    def test_questions_in_order(self):
        assert list(grader.load("shapes")) == ["area", "perimeter"]
        assert [q.points for q in grader.load("shapes").values()] == [3.0, 2.0]

    def test_provided_names_come_from_the_notebook(self):
        with pytest.raises(GraderError, match='iou has no cell provided="no_such_cell"'):
            grader.provided("iou", "no_such_cell")()
        shape, _ = grader.provided("parameter_counts", "variant")("ada")
        assert len(shape) == 3


class TestInAKernel:
    """Stock nbgrader runs one line a question, which grades in the student's own kernel."""

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        (tmp_path / "nbgrader_config.py").write_text("")
        folder = tmp_path / "autograded" / "ada" / "shapes"
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        return folder

    @pytest.mark.usefixtures("folder")
    def test_the_score_is_the_cells_result(self, capsys):
        """nbgrader reads partial credit from it; the sentences follow."""
        program = {"area": lambda h, w: h * w}
        grader.grade_cell("shapes", "area", program)
        shown = capsys.readouterr().out.splitlines()
        assert shown[0] == "2.0"
        assert shown[1].startswith("Not yet: refuses heights below 0")

    @pytest.mark.usefixtures("folder")
    def test_what_could_not_be_checked_has_no_score(self, write, capsys):
        write(f'{HEAD}@question.test\ndef test_it(submission):\n    """measures"""\n    1 / 0\n')
        with pytest.raises(GraderError, match="area could not be checked"):
            grader.grade_cell("shapes", "area", {"area": max})
        assert capsys.readouterr().out == ""

    def test_the_owner_is_read_from_the_path(self, folder):
        """Whose work it is never comes from the notebook."""
        owner, secret = grader._owner_and_secret(folder, "shapes")
        assert owner == "ada"
        assert secret == catalog.Course(folder.parents[2]).secret()
        assert grader._owner_and_secret(folder, "other") == ("", b"")
        assert grader._owner_and_secret(folder.parents[3], "shapes") == ("", b"")


TRAINS_FOR_MINUTES = ("transfer_learning",)
GRADERS = [
    pytest.param(problem.name, marks=pytest.mark.long if problem.name in TRAINS_FOR_MINUTES else ())
    for problem in catalog.problems()
]


@pytest.mark.parametrize("name", GRADERS)
def test_a_grader_runs_under_plain_pytest(name):
    """Against the reference solution, from a shell, with no command of ours in between."""
    folder = catalog.ROOT / "autograder" / "graders" / name
    command = [sys.executable, "-m", "pytest", str(folder), "-v", "-p", "no:cacheprovider", "--no-header"]
    done = subprocess.run(command, cwd=catalog.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " PASSED" in done.stdout
