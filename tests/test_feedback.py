"""What a student reads: the mistake that explains the answers, and nothing of the hidden arguments."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograder import feedback
from autograder.errors import NotAttempted, StudentCrash, StudentError, StudentTimeout, Unreadable
from autograder.feedback import describe_place, recognise, safe_message
from autograder.grader import Question, replay
from autograder.submission import Call

QUESTION = Question("area", 2.0)


@QUESTION.slip("Only one side was used.")
def one_side(height, width):
    return height


@QUESTION.slip("The sides were added.")
def added(height, width):
    return height + width


@QUESTION.slip("The sides were added, and negative ones refused.")
def added_and_checked(height, width):
    if height < 0 or width < 0:
        raise ValueError("negative")
    return height + width


@QUESTION.slip("The second side is missing in the call.")
def raises(height, width):
    raise TypeError("one argument")


@QUESTION.slip("Squares were counted one by one.", slow=True)
def counted(height, width):
    return height * width


@QUESTION.slip("A generator was returned.")
def lazy(height, width):
    yield height


def calls(program, *arguments):
    """Return the calls of one check, answered by a student who wrote `program`."""
    found = []
    for args in arguments:
        answer = replay(program, args, {})
        found.append(Call("area", args, {}, answer.value, answer.error))
    return found


POSITIVE = ((2, 3), (4, 5))
EQUAL = ((2, 2), (0, 0))
NEGATIVE = ((-2, 3), (2, -3))


class TestRecognise:
    """A slip is named where it gives the student's answers."""

    @pytest.mark.parametrize("slip", [one_side, added, raises])
    def test_a_slip_that_explains_everything(self, slip):
        checks = [calls(slip, *POSITIVE), calls(slip, *EQUAL), calls(slip, *NEGATIVE)]
        assert recognise(QUESTION, checks, [0, 1, 2]) == [slip.__name__]

    def test_answers_of_passed_checks_count_too(self):
        """Two slips that agree where the check failed are told apart by what was right."""
        checks = [calls(added_and_checked, *POSITIVE), calls(added_and_checked, *NEGATIVE)]
        assert recognise(QUESTION, checks, [0]) == ["added_and_checked"]

    def test_the_first_of_several_that_explain_everything(self):
        """Slips that no call told apart are named in the order in which the grader has them."""
        assert recognise(QUESTION, [calls(added, *POSITIVE)], [0]) == ["added"]

    def test_another_spelling_is_the_same_mistake(self):
        checks = [calls(lambda h, w: np.float32(h + w), *POSITIVE, *NEGATIVE)]
        assert recognise(QUESTION, checks, [0]) == ["added"]

    def test_nothing_failed(self):
        assert recognise(QUESTION, [calls(one_side, *POSITIVE)], []) == []

    def test_nothing_was_asked(self):
        assert recognise(QUESTION, [[], []], [0, 1]) == []
        others = [Call("perimeter", (2, 3), {}, value=2)]
        assert recognise(QUESTION, [others], [0]) == []

    def test_a_mistake_of_nobody_elses(self):
        assert recognise(QUESTION, [calls(lambda h, w: h - w, *POSITIVE)], [0]) == []

    def test_two_mistakes_are_named_by_the_checks_that_show_them(self):
        checks = [calls(one_side, *POSITIVE), calls(raises, *NEGATIVE), calls(lambda h, w: h * w, (3, 4))]
        assert recognise(QUESTION, checks, [0, 1]) == ["one_side", "raises"]

    def test_the_same_mistake_is_named_once(self):
        checks = [calls(one_side, *POSITIVE), calls(one_side, *EQUAL), calls(lambda h, w: -1, (3, 4), (1, 1))]
        assert recognise(QUESTION, checks, [0, 1, 2]) == ["one_side"]

    def test_two_candidates_for_one_check_name_none(self):
        checks = [calls(added, *POSITIVE), calls(lambda h, w: -1, *EQUAL)]
        assert recognise(QUESTION, checks, [0, 1]) == []

    def test_a_single_call_proves_too_little(self):
        """One answer may be a slip's by chance, so that a check of one call names none."""
        checks = [calls(one_side, (2, 3)), calls(lambda h, w: -1, *EQUAL)]
        assert recognise(QUESTION, checks, [0, 1]) == []

    def test_calls_of_other_functions_are_left_out(self):
        other = Call("perimeter", (2, 3), {}, error=NotAttempted("no perimeter"))
        assert recognise(QUESTION, [[other, *calls(one_side, *POSITIVE)]], [0]) == ["one_side"]

    def test_a_timeout_is_a_slow_slip(self):
        checks = [calls(lambda h, w: h * w, *EQUAL), [Call("area", (9, 9), {}, error=StudentTimeout("slow"))]]
        assert recognise(QUESTION, checks, [1]) == ["counted"]

    def test_a_slow_slip_needs_a_timeout(self):
        """It answers rightly, and is no explanation for a wrong answer elsewhere."""
        checks = [calls(lambda h, w: h * w, *POSITIVE), calls(lambda h, w: -1, *EQUAL)]
        assert recognise(QUESTION, checks, [1]) == []

    def test_a_timeout_without_a_slow_slip(self):
        question = Question("area", 1.0)
        question.slip("Only one side.")(one_side)
        timeout = Call("area", (9, 9), {}, error=StudentTimeout("slow"))
        assert recognise(question, [[timeout]], [0]) == []

    @pytest.mark.parametrize("kinds", [("ValueError", "Exception"), ("StrangeError", "TypeError"), ("",)])
    def test_another_exception_is_another_mistake(self, kinds):
        raised = [Call("area", args, {}, error=StudentError("no", kinds)) for args in POSITIVE]
        assert recognise(QUESTION, [raised], [0]) == []

    @pytest.mark.parametrize("error", [StudentCrash("died"), Unreadable("odd"), NotAttempted("none")])
    def test_what_is_no_answer_is_explained_by_no_slip(self, error):
        assert recognise(QUESTION, [[Call("area", (2, 3), {}, error=error)]], [0]) == []

    def test_a_slip_leaves_the_arguments_as_they_were(self):
        """A wrong program that changes its arguments changes its own copy."""
        question = Question("area", 1.0)

        @question.slip("Sorted in place.")
        def sorts(boxes):
            boxes.sort()
            return boxes[0]

        call = Call("area", ([3, 1, 2],), {}, value=1)
        assert recognise(question, [[call, call]], [0]) == ["sorts"]
        assert call.args == ([3, 1, 2],)


SOURCE = "def area(height, width):\n    raise ValueError(f'bad side {height}')\n"
WORD = re.compile("[A-Za-z_]+")
PIECES = (
    "0",
    "17",
    "1.5e-3",
    "…",
    "x",
    "height",
    "xheight",
    "secret_key",
    "é",
    "\n",
    ",",
    "(",
    "]",
    "'",
    "-",
)


class TestSafeMessage:
    """Of an exception only a text of Python's, of numpy's or of the student's own code is told."""

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("division by zero", "ValueError: division by zero"),
            ("", "ValueError"),
            ("7", "ValueError"),
            ("bad side 7", "ValueError: bad side …"),
            ("bad side height", "ValueError: bad side …"),
            ("'height' object has no attribute 'width'", "ValueError: 'height' object has no attribute '…'"),
            ("'int' object has no attribute 'width'", "ValueError: 'int' object has no attribute 'width'"),
            ("bad sides", "ValueError"),
            ("[3, 4, 5] hunter2", "ValueError"),
            ("index 7 is out of bounds for axis 0 with size 3",
             "ValueError: index … is out of bounds for axis … with size …"),
            ("name 'heigth' is not defined. Did you mean: 'height'?",
             "ValueError: name '…' is not defined. Did you mean: 'height'?"),
            ("width width height height height", "ValueError"),
            ("side height", "ValueError"),
            ("sechs ٦ VI ⅵ 六", "ValueError"),
        ],
    )  # fmt: skip
    def test_examples(self, text, told):
        assert safe_message(["ValueError", "Exception"], text, SOURCE) == told

    def test_control_characters_are_left_out(self):
        """What a student wrote into a text does not reach the instructor's terminal."""
        source = "raise ValueError('a\x1b[31mb')"
        assert safe_message(["ValueError"], "a\x1b[31mb", source) == "ValueError: a [31mb"

    def test_no_text_takes_for_ever(self):
        """A text with many values in it is compared in no more steps than it has letters and parts."""
        source = "f'" + "{x}" * 5000 + "never'"
        assert safe_message(["ValueError"], "a" * 10_000, source) == "ValueError"

    @pytest.mark.parametrize(
        "fault",
        [
            lambda: [1, 2][5],
            lambda: {}["height"],
            lambda: (lambda nothing: nothing[0])(None),
            lambda: "a" + 1,
            lambda: int("x"),
            lambda: [] < 1,
            lambda: len(3),
            lambda: exec("def f(height): ...\nf()"),
            lambda: exec("def f(height): ...\nf(1, 2)"),
            lambda: exec("height, width = [1]"),
            lambda: exec("height, width = [1, 2, 3]"),
            lambda: exec("def f():\n  height += 1\nf()"),
            lambda: math.sqrt(-1),
            lambda: np.zeros(3)[5],
            lambda: np.zeros(3)[0, 0],
            lambda: np.zeros(3) + np.zeros(4),
            lambda: np.zeros((2, 3)) @ np.zeros((2, 3)),
            lambda: np.dot(np.zeros(3), np.zeros(4)),
            lambda: np.zeros(6).reshape(4, 4),
            lambda: bool(np.zeros(2)),
            lambda: np.array([[1], [1, 2]]),
            lambda: np.concatenate([]),
            lambda: np.concatenate([np.zeros((2, 2)), np.zeros((3, 3))]),
            lambda: np.max(np.zeros(0)),
            lambda: np.zeros(3)["height"],
            lambda: np.zeros(-1),
        ],
    )
    def test_pythons_own_messages_can_be_read(self, fault):
        """Of what Python and numpy say most often, only numbers and names are blanked."""
        with pytest.raises(Exception) as raised:  # noqa: PT011
            fault()
        kinds = [kind.__name__ for kind in type(raised.value).__mro__]
        message = safe_message(kinds, str(raised.value), "height = width = numpy = lambda: 0\nf")
        said = WORD.findall(str(raised.value))[:12]
        assert len(set(said) - set(WORD.findall(message))) <= len(said) / 4, message

    def test_a_key_is_told_where_the_student_wrote_it(self):
        """A file name, an answer or a key does not come back otherwise."""
        assert safe_message(["KeyError"], "'convgrade_secret'", SOURCE) == "KeyError: '…'"
        assert safe_message(["KeyError"], "'height'", SOURCE) == "KeyError: 'height'"

    @pytest.mark.parametrize(
        ("kinds", "name"),
        [
            (["MyError", "ValueError", "Exception"], "ValueError"),
            (["KeyboardInterrupt"], "KeyboardInterrupt"),
            (["secret_of_the_course"], "an exception"),
            (["int", "print", "__doc__", "True", "Exception"], "Exception"),
            (["\ud800", "a b", ""], "an exception"),
            ([], "an exception"),
        ],
    )
    def test_only_pythons_own_exceptions_are_named(self, kinds, name):
        assert safe_message(kinds, "", SOURCE) == name

    def test_long_texts_are_cut(self):
        assert len(safe_message(["ValueError"], "height " * 10_000, SOURCE)) < feedback.MAX_MESSAGE + 20

    @settings(deadline=None)
    @given(
        st.lists(st.text(max_size=8) | st.sampled_from(["ValueError", "int", "MyError"]), max_size=3),
        st.text() | st.lists(st.sampled_from(PIECES)).map("".join),
        st.sampled_from([SOURCE, "", "x = 1\nxheight = 2"]),
    )  # fmt: skip
    @example(["E"], "……xheight", SOURCE + "xheight")
    @example(["E"], "hei\nght wi\u00addth", SOURCE)
    def test_nothing_else_gets_through(self, kinds, text, source):
        """What is told is a message of Python's with one name of theirs, or their own without any value."""
        message = safe_message(kinds, text, source)
        told = message.partition(": ")[2]
        blank = feedback._TYPES | feedback._OPERATORS | {"…"}
        of_python, own = (
            [
                set(values) - blank
                for parts in messages
                if (values := feedback._between(parts, told)) is not None
            ]
            for messages in (feedback._MESSAGES, feedback._own_messages(source))
        )
        names = set(WORD.findall(source))
        assert not told or set() in own or any(len(left) <= 1 and left <= names for left in of_python)


class TestDescribePlace:
    """The line of the student's own cell is quoted."""

    def test_a_line(self):
        assert describe_place(SOURCE, 2) == " in line 2: `raise ValueError(f'bad side {height}')`"

    @pytest.mark.parametrize("line", [0, -1, 3 + 1, 10**9])
    def test_lines_that_are_not_there(self, line):
        assert describe_place(SOURCE, line) == ""

    def test_an_empty_cell(self):
        assert describe_place("", 2) == ""

    def test_lines_are_counted_as_python_does(self):
        """A form feed or a Unicode line separator ends no line of Python."""
        source = "text = '\x0c\u2028'\r\nheight = 1\rwidth = 0\n1 / width"
        compile(source, "cell", "exec")
        assert describe_place(source, 4) == " in line 4: `1 / width`"

    def test_long_lines_and_control_characters(self):
        shown = describe_place("x = '\x1b[31m'" + "y" * 200, 1)
        assert shown.startswith(" in line 1: `x = ' [31m'yyy")
        assert len(shown) < 100
