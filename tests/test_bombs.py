"""One question, not the notebook: whatever blows up in one, all others are graded as if nothing had been."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from textwrap import indent
from typing import Any

import pytest

from autograder import batch, catalog, grader, specimen
from autograder.sandbox.host import Limits
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

from .conftest import SECRET

BOMBS = {
    "hangs": "while True:\n    pass",
    "hangs deaf": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
    "exits": "import os\nos._exit(0)",
    "segfaults": "import ctypes\nctypes.string_at(0)",
    "fills memory": "hoard = [bytearray(b'x') * 2**22 for _ in range(2_000)]",
    "floods": "while True:\n    print('x' * 10**5)",
}
PLACES = ("cell", "call")
TIGHT = Limits(cpu_seconds=0.5, wall_seconds=30, memory_mb=256)
LIMITS = {"fcn_conversion": replace(grader.KERAS.limits, cpu_seconds=12)}
"""What a submission may use, where that is not little: the first call to a network traces its graph."""
COUNTS, MODELS = "parameter_counts", "fcn_conversion"
LIGHT = (COUNTS, "iou", "ram_estimates")


@dataclass(frozen=True)
class Bomb:
    """What blows up, where: at the end of a question's cell, or in every call of its function."""

    problem: str
    question: str
    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.problem}-{self.question}-{self.kind}-{self.place}".replace(" ", "_")

    def planted(self, answers: Mapping[str, str]) -> dict[str, str]:
        """Return the answers with the bomb among them."""
        code = BOMBS[self.kind]
        in_cell, in_call = f"{answers[self.question]}\n{code}", function(self.question, code)
        return {**answers, self.question: in_cell if self.place == "cell" else in_call}


def function(name: str, body: str) -> str:
    return f"def {name}(*args, **kwargs):\n{indent(body, '    ')}"


@dataclass(frozen=True)
class Graded:
    """What came of one submission.

    Attributes:
        made: the cells that ran in the process that was there in the end, in order.
    """

    questions: dict[str, dict[str, Any]]
    made: list[str]

    def others(self, *names: str) -> dict[str, dict[str, Any]]:
        return {name: told for name, told in self.questions.items() if name not in names}


def remembering(answers: Mapping[str, str]) -> dict[str, str]:
    """Return answers whose cells each add their name to what the process remembers, on first of all."""
    note = "made = [*globals().get('made', []), {!r}]\n{}"
    return {name: note.format(name, source) for name, source in answers.items()}


def grade(name: str, answers: Mapping[str, str], level: Level) -> Graded:
    problem, needs = catalog.problem(name), grader.needs(name)
    submission = SandboxSubmission(
        student="mallory",
        sandbox=batch.warm_sandbox(level, needs.imports),
        notebook=specimen.handed_in(problem, remembering(answers)),
        untouched=frozenset(),
        limits=LIMITS.get(name, TIGHT),
        seed=0,
        files=batch.course_files(problem),
    )
    with closing(submission):
        submission.execute()
        questions = grader.grade(name, submission, SECRET).questions
        return Graded({q.question: asdict(q) for q in questions}, submission.value("made"))


@functools.cache
def whole(problem: str, level: Level) -> Graded:
    """Grade the worked solution, in which nothing is wrong."""
    graded = grade(problem, specimen.reference(catalog.problem(problem)), level)
    assert {told["outcome"] for told in graded.questions.values()} == {"passed"}
    return graded


@functools.cache
def without(problem: str, question: str, level: Level) -> Graded:
    """Grade the worked solution without one question's function, for what the others lose by that."""
    answers = specimen.reference(catalog.problem(problem))
    return grade(problem, answers | {question: "missing"}, level)


@functools.cache
def raising(problem: str, question: str, level: Level) -> Graded:
    """Grade the worked solution with one question's function raising an ordinary exception."""
    answers = specimen.reference(catalog.problem(problem))
    return grade(problem, answers | {question: function(question, "raise RuntimeError")}, level)


def bombs(problem: str, question: str = "", kinds: Iterable[str] = BOMBS) -> list[Bomb]:
    """Return bombs of these kinds in both places of one question, of all questions by default."""
    questions = [question] if question else list(grader.load(problem))
    return [Bomb(problem, name, kind, place) for name in questions for kind in kinds for place in PLACES]


def cases() -> list[Any]:
    """Return every bomb on every level; the few that say most about it are always tried."""
    found = []
    long = [bomb for name in LIGHT for bomb in bombs(name)] + bombs(MODELS, kinds=["exits", "hangs"])
    short = [*bombs(COUNTS, kinds=["exits"]), *bombs(COUNTS, "stack_params")]
    for level, every, few in (
        ("strict", long, short),
        ("process", bombs(COUNTS), bombs(COUNTS, "stack_params")),
    ):
        for bomb in every:
            marks = () if bomb in few else (pytest.mark.long,)
            found.append(pytest.param(bomb, level, id=f"{level}-{bomb}", marks=marks))
    return found


@pytest.fixture
def where(request: pytest.FixtureRequest) -> Level:
    """A level of isolation, which works here."""
    if request.param == "strict":
        request.getfixturevalue("strict")
    return request.param


@pytest.mark.parametrize(("bomb", "where"), cases(), indirect=["where"])
def test_a_bomb_costs_its_own_question(bomb: Bomb, where: Level) -> None:
    """All others keep their points, checks and words, but for those whose own code calls what blew up."""
    answers = specimen.reference(catalog.problem(bomb.problem))
    graded = grade(bomb.problem, bomb.planted(answers), where)
    usual = whole(bomb.problem, where)
    own = graded.questions[bomb.question]
    assert own["outcome"] != "could_not_check"
    if bomb.place == "cell":
        survived = bomb.question in graded.made
        assert survived or own["points"] == 0
        alike = usual if survived else without(bomb.problem, bomb.question, where)
        assert graded.others(bomb.question) == alike.others(bomb.question)
        assert [name for name in usual.made if name in graded.made or name != bomb.question] == graded.made
        return
    assert (own["outcome"], own["points"]) in {("timeout", 0), ("crashed", 0), ("error", 0)}
    failing = raising(bomb.problem, bomb.question, where)
    callers = {name for name, told in usual.questions.items() if failing.questions[name] != told}
    assert graded.others(*callers) == usual.others(*callers)
    for name in callers:
        assert graded.questions[name]["outcome"] != "could_not_check"
        assert graded.questions[name]["points"] <= failing.questions[name]["points"]
    assert graded.made == usual.made


@pytest.mark.parametrize("spared", ["center_to_corners", "mask_iou", "box_with_iou"])
def test_a_helper_that_crashes_costs_only_those_who_call_it(level: Level, spared: str) -> None:
    """However many they are, and wherever the one stands that does without it."""
    answers = specimen.reference(catalog.problem("iou"))
    helper = function("helper", BOMBS["exits"])
    crashing = {
        name: f"{helper}\n\n{function(name, 'return helper()')}" for name in answers if name != spared
    }
    graded = grade("iou", answers | crashing, level)
    assert {name for name, told in graded.questions.items() if told["outcome"] == "crashed"} == set(crashing)
    assert graded.questions[spared] == whole("iou", level).questions[spared]
    assert graded.made == whole("iou", level).made
