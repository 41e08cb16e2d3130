"""How long the first model of a submission takes: a fork of the warm process beside a cold start.

    python benchmarks/warm_models.py --rounds 5

Both import Keras, build the same small network and count its parameters, taking turns in one run. Three
ways: a new Python that is not isolated at all, a new Jupyter kernel (what a grader that executes
notebooks starts for each), and ConvGrade's fork behind all of its walls.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

import nbformat
from nbclient import NotebookClient

from autograder import batch, grader
from autograder.sandbox.host import Sandbox

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
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    program = [sys.executable, "-c", BUILD + "print(parameters())"]
    done = subprocess.run(program, env=quiet, capture_output=True, text=True, check=True)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
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
        started = sandbox.start_seconds
    medians = {name: median(values) for name, values in seconds.items()}
    *_, (_, fastest) = medians.items()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{rounds} rounds, {os.cpu_count()} CPUs, load {load}; the warm process took {started:.1f} s, once")
    print("| | median s | times the fork |")
    print("|---|---:|---:|")
    for name, value in medians.items():
        print(f"| {name} | {value:.3f} | {value / fastest:.1f} |")


if __name__ == "__main__":
    main()
