"""What students read: all of it on one page, short, and without a hidden argument."""

from __future__ import annotations

import re

import pytest

from autograder import catalog, grader, sentences

LONGEST = 240
"""Characters: two lines of a feedback page."""


@pytest.fixture(scope="module")
def page() -> str:
    return sentences.page()


def said(page: str) -> list[str]:
    return [line.removeprefix("- ") for line in page.splitlines() if line.startswith("- ")]


def test_the_page_is_fresh() -> None:
    """What is committed is what the graders and the engine say now."""
    assert sentences.stale() == []


def test_every_misconception_and_every_check_is_on_it(page: str) -> None:
    """Nothing that a grader can say by name is missing."""
    told = said(page)
    for problem in catalog.problems():
        for question in grader.load(problem.name).values():
            assert {check.label for check in question.checks} <= set(told)
            assert {slip.sentence for slip in question.slips.values()} <= set(told)


@pytest.mark.parametrize(
    "sentence",
    [
        "a different number is expected",
        "`…` is still as it was handed out.",
        "the model has fewer than two convolutions",
        "The model, built again, took too long to answer: make it smaller.",
        "… was stopped: it used more than … seconds of processor time, or waited too long. "
        "Is there a loop that never ends?",
    ],
)
def test_what_the_engine_says_is_on_it(page: str, sentence: str) -> None:
    """Differences, timeouts, crashes and a grader's own words are found in the code."""
    assert sentence in said(page)


def test_nothing_is_longer_than_two_lines(page: str) -> None:
    """A student reads a sentence or two, not a lecture."""
    assert [sentence for sentence in said(page) if len(sentence) > LONGEST] == []


def test_no_value_is_put_into_a_sentence_about_a_wrong_answer(page: str) -> None:
    """A difference names kinds, positions and keys of the answer, and no number that was expected."""
    differences = page.partition("of another kind than was asked for")[2].partition("###")[0]
    assert differences
    assert not re.search(r"\d", differences)
