"""What the hidden graders ask tells every misconception from every other, and follows the course's rules."""

from __future__ import annotations

import functools
import inspect
import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from autograder import audit, catalog, grader, networks
from autograder.catalog import Problem
from autograder.grader import Question
from autograder.notebook import reference_namespace
from autograder.submission import Call, LocalSubmission

LIGHT = [p for p in catalog.problems() if "tensorflow" not in grader.needs(p.name).imports]
SECRETS = (b"first" * 8, b"second" * 8)
WINDOWS = ("kernel_size", "pool_size")
DRAWS = 3
"""The least number of independent draws that a question asks about."""
DRAWN_ONCE = {"lenet5_params", "my_network_params", "my_network_ram"}
"""Questions about the one network that a student is given."""


@functools.cache
def calls(problem: Problem, secret: bytes) -> list[Call]:
    """Return all that the grader of a problem asks of the worked solution."""
    submission = LocalSubmission(student="ada", namespace=reference_namespace(problem.source))
    graded = grader.grade(problem.name, submission, secret)
    assert {question.outcome for question in graded.questions} == {"passed"}
    return submission.calls


def asked(problem: Problem, question: str, secret: bytes = SECRETS[0]) -> list[Call]:
    return [call for call in calls(problem, secret) if call.name == question]


def questions(problems: list[Problem]) -> list[Any]:
    return [
        pytest.param(problem, question, id=question.name)
        for problem in problems
        for question in grader.load(problem.name).values()
    ]


@pytest.mark.parametrize(("problem", "question"), questions(LIGHT))
def test_no_two_misconceptions_give_the_same_answers(problem: Problem, question: Question) -> None:
    """Some hidden case has another answer for each of any two, so that neither is taken for the other."""
    asked_here = asked(problem, question.name)
    given = {
        name: [grader.replay(slip.program, call.args, call.kwargs) for call in asked_here]
        for name, slip in question.slips.items()
        if not slip.slow and not slip.told
    }
    collisions = [
        (one, other)
        for one, other in itertools.combinations(given, 2)
        if all(audit.same(a, b, question) for a, b in zip(given[one], given[other], strict=True))
    ]
    assert collisions == []


@pytest.mark.parametrize(("problem", "question"), questions(LIGHT))
def test_questions_are_asked_about_several_draws(problem: Problem, question: Question) -> None:
    """At least three sets of arguments that another course secret would draw otherwise."""
    if question.name in DRAWN_ONCE:
        return
    first, second = (
        {pickle.dumps((call.args, call.kwargs)) for call in asked(problem, question.name, secret)}
        for secret in SECRETS
    )
    assert len(first - second) >= DRAWS


@pytest.mark.parametrize(("problem", "question"), questions(LIGHT))
def test_hidden_cases_leave_no_wrong_formula_to_luck(problem: Problem, question: Question) -> None:
    """Sides differ, channels are several, windows are not square and not as large as their strides."""
    assert question.answer is not None
    signature = inspect.signature(question.answer)
    given = [
        dict(signature.bind(*call.args, **call.kwargs).arguments) for call in asked(problem, question.name)
    ]
    shapes = [found["input_shape"] for found in given if len(found.get("input_shape", ())) == 3]
    if shapes:
        assert any(height != width and channels > 1 for height, width, channels in shapes)
    settings = [settings for found in given for settings in windowed(found)]
    for key in WINDOWS:
        with_key = [networks.pair(found[key]) for found in settings if key in found]
        if with_key:
            assert any(height != width for height, width in with_key), f"{key} is always square"
    strided = [found for found in settings if found.get("strides") and any(key in found for key in WINDOWS)]
    if strided:
        assert any(
            networks.pair(found["strides"]) != networks.pair(found[key])
            for found in strided
            for key in WINDOWS
            if key in found
        )


def windowed(arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings of each layer with a window that is among some arguments."""
    yield arguments
    for value in arguments.values():
        if isinstance(value, list):
            yield from (layer for layer in value if isinstance(layer, dict))
        elif isinstance(value, dict):
            yield value
