"""How long the first model of a submission takes: a fork of the warm process beside a cold start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import measure
import nbformat
from nbclient import NotebookClient

from autograder import batch, grader
from autograder.sandbox.host import Sandbox

TITLE = "A first model"
ABOUT = """\
Each way imports Keras, builds the same small network and counts its parameters, taking turns: a new Python
that is not isolated at all, a new Jupyter kernel (what a grader that executes notebooks starts for each),
and ConvGrade's fork behind all of its walls.
"""
BUILD = """\
import keras
from keras import layers

def parameters():
    model = keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])
    return model.count_params()
"""
EXPECTED = 34_826


def cold_python() -> None:
    """Build in a new Python process."""
    program = [sys.executable, "-c", BUILD + "print(parameters())"]
    environment = os.environ | measure.QUIET
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == EXPECTED


def cold_kernel() -> None:
    """Build in a new Jupyter kernel."""
    cells = [nbformat.v4.new_code_cell(BUILD), nbformat.v4.new_code_cell("parameters()")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3").execute()
    assert notebook.cells[1].outputs[-1].data["text/plain"] == str(EXPECTED)


def warm_fork(sandbox: Sandbox) -> None:
    """Build in a fork of the warm process."""
    job = sandbox.job(grader.KERAS.limits, seed=0)
    job.run_cell(BUILD, 0)
    reply, _ = job.call("parameters", (), {})
    job.close()
    assert reply["value"] == EXPECTED


def measure_first_model(rounds: int) -> str:
    """Build the model in each way, and return the document's part."""
    conditions = measure.Conditions()
    level, _ = batch.choose_level("auto", lambda level: Sandbox(level).close())
    with Sandbox(level, grader.KERAS.imports) as sandbox:
        ways = {
            "new Python, not isolated": cold_python,
            "new Jupyter kernel, not isolated": cold_kernel,
            f"fork of the warm process, {level}": lambda: warm_fork(sandbox),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        once = f"{rounds} rounds. The warm process took {sandbox.start_seconds:.1f} s to start, once.\n"
    medians = {name: median(values) for name, values in seconds.items()}
    *_, fork = medians.values()
    rows = [[name, f"{value:.2f}", f"{value / fork:.1f}"] for name, value in medians.items()]
    table = measure.table(["", "median s", "times the fork"], rows)
    return "\n".join([ABOUT, f"{conditions.describe()} {once}", table])
