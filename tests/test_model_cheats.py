"""Models that cheat: each is a file in ``hostile/models/`` that redefines functions of `mnist_cnn`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autograder import batch, catalog, grader, specimen
from autograder.results import QuestionResult
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

from .conftest import SECRET

PROBLEM = catalog.problem("mnist_cnn")
CHEATS = Path(__file__).parent / "hostile" / "models"
BUILDS, TRAINS = "build_digit_cnn", "train_digit_cnn"
NOTHING = {
    "foreign_config": (BUILDS, TRAINS),
    "huge_config": (BUILDS, TRAINS),
    "looks_up_digits": (TRAINS,),
    "opens_files_in_a_lambda": (BUILDS, TRAINS),
    "reads_the_clock": (BUILDS, TRAINS),
    "replaces_predict": (TRAINS,),
}
"""The questions in which each of them must earn nothing."""
CANARIES = ("opened-by-a-lambda", "made-by-a-config")


@pytest.fixture
def canaries() -> Iterator[list[Path]]:
    """Files that a cheat makes where its code runs outside a sandbox."""
    paths = [Path("/tmp") / name for name in CANARIES]
    assert not any(path.exists() for path in paths)
    yield paths
    for path in paths:
        path.unlink(missing_ok=True)


def grade(name: str, level: Level, questions: tuple[str, ...]) -> list[QuestionResult]:
    needs = grader.needs(PROBLEM.name)
    cheat = (CHEATS / f"{name}.py").read_text(encoding="utf-8")
    submission = SandboxSubmission(
        student="mallory",
        sandbox=batch.warm_sandbox(level, needs.imports),
        notebook=specimen.handed_in(PROBLEM, specimen.reference(PROBLEM), cheat),
        untouched=frozenset(),
        limits=needs.limits,
        seed=0,
    )
    with closing(submission):
        return grader.grade(PROBLEM.name, submission, SECRET, questions).questions


def test_every_cheat_is_tried() -> None:
    assert {path.stem for path in CHEATS.glob("*.py")} == {*NOTHING, "lies_about_parameters"}


@pytest.mark.parametrize("name", NOTHING)
def test_cheats_earn_nothing(name: str, level: Level, canaries: list[Path]) -> None:
    """The question that a model cheats in gets no point, says so to its student, and nothing else happens."""
    for result in grade(name, level, NOTHING[name]):
        assert result.points == 0, result
        assert result.outcome in ("failed", "error", "crashed", "timeout")
        assert result.feedback
    if level == "strict":
        assert not any(path.exists() for path in canaries)


def test_a_lie_about_its_size_helps_no_model(level: Level) -> None:
    """What else is right of it counts, and the check that it lies about does not."""
    (result,) = grade("lies_about_parameters", level, (BUILDS,))
    failed = [check.label for check in result.checks if check.outcome != "passed"]
    assert len(failed) == 1
    assert "parameters" in failed[0]


def test_the_neighbours_of_a_cheat_keep_their_points(level: Level) -> None:
    """What a patched Keras does to one question's model costs the questions without models nothing."""
    asked = ("prepare_images", "confusion_matrix", "top_k_accuracy")
    assert {result.outcome for result in grade("huge_config", level, asked)} == {"passed"}
