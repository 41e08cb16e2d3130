"""Whole results of the sample class, word for word.

After a change that is meant to change them, rewrite them with ``pytest tests/test_golden.py
--update-goldens`` and read the difference.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder import batch, catalog, demo
from autograder.intake import HandedIn

from .conftest import SECRET

GOLDEN = Path(__file__).parent / "golden"
VARYING = ("seconds", "versions", "isolation", "submission_sha256", "grader_sha256")
"""What differs between machines or with every change of the engine."""
LONG = {("ada", "transfer_learning"), ("grace", "transfer_learning")}
"""What takes minutes, and of which other tests show as much: right answers, in two styles."""
SUBMISSIONS = [
    pytest.param(student, name, marks=pytest.mark.long if (student, name) in LONG else ())
    for student, (_, _, names) in demo.STUDENTS.items()
    for name in names
]


@pytest.mark.parametrize(("student", "name"), SUBMISSIONS)
def test_the_sample_class_gets_the_same_results_as_ever(
    student: str, name: str, level: str, request: pytest.FixtureRequest
) -> None:
    """Scores, checks, feedback, slips and notes are those that are kept."""
    content = demo.STUDENTS[student][1](catalog.problem(name)).encode()
    work = batch.Work("course", student, name, HandedIn(content, "", (), ""), SECRET, level, "")
    result = batch.grade_one(work).result.to_json()
    text = json.dumps({k: v for k, v in result.items() if k not in VARYING}, indent=1, ensure_ascii=False)
    path = GOLDEN / f"{student}-{name}.json"
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")
