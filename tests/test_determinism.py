"""The same submission gets the same score and makes the same predictions, whenever and beside whatever."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from typing import Any

import numpy as np

from autograder import batch, catalog, grader, specimen
from autograder.datasets import digits
from autograder.sandbox.host import Sandbox
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

from .conftest import SECRET

PROBLEM = catalog.problem("mnist_cnn")
TRAINED = "train_digit_cnn"


def grade_and_predict(sandbox: Sandbox) -> tuple[Any, np.ndarray]:
    """Grade the worked solution's training, train once more, and return the result and predictions."""
    needs = grader.needs(PROBLEM.name)
    submission = SandboxSubmission(
        student="ada",
        sandbox=sandbox,
        notebook=specimen.handed_in(PROBLEM, specimen.reference(PROBLEM)),
        untouched=frozenset(),
        limits=needs.limits,
        seed=batch.seed_of(PROBLEM.name),
    )
    few = digits.load().valid
    images = few.images[..., None].astype(np.float32) / 255
    with closing(submission):
        (graded,) = grader.grade(PROBLEM.name, submission, SECRET, [TRAINED]).questions
        model = submission.training(60).call(TRAINED, images, few.labels, images, few.labels)
        return graded, model.rebuilt().predict(images)


def run_in_a_new_sandbox(level: Level, times: int) -> list[tuple[Any, np.ndarray]]:
    with Sandbox(level, grader.needs(PROBLEM.name).imports) as sandbox:
        return [grade_and_predict(sandbox) for _ in range(times)]


def test_graded_five_times(level: Level) -> None:
    """Cold, warm, and by two workers at a time: bit for bit the same."""
    runs = run_in_a_new_sandbox(level, 3)
    # Forked, since pytest imports this file under a name that a new process does not find.
    with ProcessPoolExecutor(2, get_context("fork")) as workers:
        for side_by_side in workers.map(run_in_a_new_sandbox, [level] * 2, [1] * 2):
            runs += side_by_side
    graded, predictions = runs[0]
    assert graded.points == graded.max_points
    for other_graded, other_predictions in runs[1:]:
        assert other_graded == graded
        assert np.array_equal(other_predictions, predictions)
