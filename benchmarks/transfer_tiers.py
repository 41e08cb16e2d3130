"""What hidden accuracy sensible students of `transfer_learning` reach, and those who must not pass.

    python benchmarks/transfer_tiers.py --seeds 20 --runs runs.jsonl            # half an hour of one core
    python benchmarks/transfer_tiers.py --report --runs runs.jsonl

Every run trains as the grader lets students train: on the renamed labels of the course's training crops,
with one TensorFlow thread and deterministic operations, and is tested on crops freshly drawn from the hidden
cells. The seed of a run changes the names of the classes, the hidden crops, the random weights and all that
Keras draws. Each finished run is one line of the file of runs; started again, only what is missing is run.

A frozen network without augmentation gives the same features in every epoch. From the seed `WHOLE_SEEDS` on
they are computed once, which is the same mathematics in a fifth of the time; processor time is taken from the
seeds before it.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autograder.datasets import backbone, photos

CONTENT, CONFIDENCE = 0.999, 0.95
INPUT_SHAPE = (photos.SIDE, photos.SIDE, 3)
CLASSES = len(photos.CLASS_NAMES)
HISTOGRAM_BINS = 32
WHOLE_SEEDS = 1

Run = dict[str, Any]
"""One line of the file of runs: who, which seed, the accuracies and the processor time."""


class Data(NamedTuple):
    """Images and labels of one part."""

    images: np.ndarray
    labels: np.ndarray


class Parts(NamedTuple):
    """What a run trains with and is tested on."""

    train: Data
    valid: Data
    hidden: Data


@dataclass(frozen=True)
class Student:
    """A sensible way through the three stages.

    Attributes:
        augmented: whether crops are mirrored, turned and zoomed inside the model.
        top_layers: how many layers of the backbone are fine-tuned, batch norms left out.
    """

    name: str
    learning_rate: float = 3e-3
    epochs: int = 6
    batch_size: int = 32
    dropout: float = 0.3
    augmented: bool = False
    top_layers: int = 20
    fine_rate: float = 1e-5
    fine_epochs: int = 3


STUDENTS = (
    Student("plain"),
    Student(
        "augmented", epochs=12, dropout=0.2, augmented=True, top_layers=60, fine_rate=1e-4, fine_epochs=5
    ),
    Student("slow and careful", 1e-3, 12, 16, dropout=0.5, top_layers=40, fine_rate=3e-5, fine_epochs=5),
)
TOO_SLOW = Student("head trained with the fine-tuning rate", learning_rate=1e-5)


def parts(seed: int, preprocess: Callable[[np.ndarray], np.ndarray]) -> Parts:
    """Return the data of one run, its classes renamed by the seed."""
    rng = np.random.default_rng([seed, CLASSES])
    names = rng.permutation(CLASSES)
    splits = photos.load()
    return Parts(
        *(
            Data(preprocess(part.images), names[part.labels])
            for part in (splits.train, splits.valid, photos.fresh(rng))
        )
    )


def few(data: Parts) -> Parts:
    """Return what the grader has random weights trained with: 8 crops of a class, and half as many."""

    def first(part: Data, per_class: int) -> Data:
        chosen = photos.first_of_each(part.labels, per_class)
        return Data(part.images[chosen], part.labels[chosen])

    return Parts(first(data.train, 8), first(data.valid, 4), data.hidden)


def build_transfer_model(weights: backbone.Weights, student: Student) -> keras.Model:
    trunk = backbone.helper().build(INPUT_SHAPE, include_top=False)
    backbone.helper().load_weights(trunk, weights)
    trunk.trainable = False
    x = inputs = keras.Input(INPUT_SHAPE)
    if student.augmented:
        for augment in (
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.03),
            layers.RandomZoom(0.1),
        ):
            x = augment(x)
    x = layers.GlobalAveragePooling2D()(trunk(x, training=False))
    x = layers.Dropout(student.dropout)(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


def fit(model: keras.Model, data: Parts, rate: float, epochs: int, batch_size: int) -> None:
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data.train, batch_size=batch_size, epochs=epochs, validation_data=tuple(data.valid), verbose=0)


def unfreeze_top(model: keras.Model, n_layers: int) -> None:
    trunk = model.get_layer("efficientnet_lite0")
    trunk.trainable = True
    for layer in trunk.layers[:-n_layers]:
        layer.trainable = False
    for layer in trunk.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def accuracy(model: keras.Model, hidden: Data) -> float:
    return float((model.predict(hidden.images, verbose=0).argmax(axis=1) == hidden.labels).mean())


def train_head(model: keras.Model, data: Parts, student: Student, whole: bool) -> None:
    """Train what stands on the frozen trunk, in the whole model or on features computed once."""
    rate, epochs, batch_size = student.learning_rate, student.epochs, student.batch_size
    if whole or student.augmented:
        fit(model, data, rate, epochs, batch_size)
        return
    *_, pool, dropout, dense = model.layers
    features = keras.Model(model.input, pool.output)
    head = keras.Sequential([keras.Input(pool.output.shape[1:]), dropout, dense])
    cached = (Data(features.predict(part.images, verbose=0), part.labels) for part in data)
    fit(head, Parts(*cached), rate, epochs, batch_size)


def run_student(student: Student, seed: int) -> Run:
    """Train a head on pretrained features, fine-tune it, and train one on random features for comparison."""
    whole = seed < WHOLE_SEEDS
    data = parts(seed, backbone.helper().preprocess_input)
    run: Run = {}
    clock = Stopwatch(run)

    with clock("head"):
        model = build_transfer_model(backbone.weights(), student)
        train_head(model, data, student, whole)
    with clock("predictions"):
        run["head"] = accuracy(model, data.hidden)
    with clock("fine-tuning"):
        unfreeze_top(model, student.top_layers)
        fit(model, data, student.fine_rate, student.fine_epochs, student.batch_size)
    run["fine-tuned"] = accuracy(model, data.hidden)
    if whole or student is STUDENTS[0]:
        with clock("random"):
            model = build_transfer_model(backbone.random_weights(np.random.default_rng(seed)), student)
            train_head(model, few(data), student, whole)
        run["random"] = accuracy(model, data.hidden)
    return run


class Stopwatch:
    """Notes the processor time of the blocks that it is put around."""

    def __init__(self, run: Run) -> None:
        self.seconds = run.setdefault("cpu_seconds", {})

    def __call__(self, stage: str) -> Stopwatch:
        self.stage = stage
        return self

    def __enter__(self) -> None:
        self.began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] = round(time.process_time() - self.began, 2)


def run_too_slow(seed: int) -> Run:
    data = parts(seed, backbone.helper().preprocess_input)
    model = build_transfer_model(backbone.weights(), TOO_SLOW)
    train_head(model, data, TOO_SLOW, whole=False)
    return {"head": accuracy(model, data.hidden)}


def run_unscaled(seed: int) -> Run:
    """Train on pixels from 0 to 255; hidden images are tested as they should be."""
    data = parts(seed, backbone.helper().preprocess_input)
    unscaled = parts(seed, np.float32)
    model = build_transfer_model(backbone.weights(), STUDENTS[0])
    train_head(model, unscaled, STUDENTS[0], whole=False)
    return {"head": accuracy(model, data.hidden)}


def run_scratch(seed: int) -> Run:
    """Train a small CNN from nothing, for four times as many epochs as a head."""
    data = parts(seed, backbone.helper().preprocess_input)
    run: Run = {}
    with Stopwatch(run)("head"):
        model = keras.Sequential([keras.Input(INPUT_SHAPE)])
        for filters in (16, 32, 64, 128):
            model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(layers.MaxPooling2D())
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dropout(0.3))
        model.add(layers.Dense(CLASSES, activation="softmax"))
        fit(model, data, 1e-3, 40, 32)
    return {**run, "head": accuracy(model, data.hidden)}


def run_histogram(seed: int) -> Run:
    """Fit a logistic regression to histograms of the grey levels."""

    def histograms(images: np.ndarray) -> np.ndarray:
        counts = [np.histogram(image, HISTOGRAM_BINS, (0, 256))[0] for image in images[..., 0]]
        return np.array(counts) / images[0, ..., 0].size

    data = parts(seed, histograms)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*data.train)
    return {"head": model.score(*data.hidden)}


def run_table(seed: int) -> Run:
    """Look a crop up among all public ones, those of the hidden cells too: the nearest tells its class."""

    def normalized(images: np.ndarray) -> np.ndarray:
        rows = images[:, ::2, ::2, 0].reshape(len(images), -1).astype(np.float32)
        rows -= rows.mean(axis=1, keepdims=True)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    public = photos.load()
    crops = [public.train, public.valid, public.hidden]
    table = normalized(np.concatenate([part.images for part in crops]))
    labels = np.concatenate([part.labels for part in crops])
    fresh = photos.fresh(np.random.default_rng([seed, CLASSES]))
    nearest = (normalized(fresh.images) @ table.T).argmax(axis=1)
    return {"head": float((labels[nearest] == fresh.labels).mean())}


BASELINES: dict[str, tuple[Callable[[int], Run], int]] = {
    "small CNN from scratch": (run_scratch, 20),
    "grey levels' histogram, logistic regression": (run_histogram, 20),
    "table of all public crops, the nearest one": (run_table, 20),
    "images not scaled": (run_unscaled, 8),
    TOO_SLOW.name: (run_too_slow, 8),
}
"""Those who must not pass, and how many seeds are enough to tell."""


def contestants(seed: int) -> Iterator[tuple[str, Callable[[int], Run]]]:
    for student in STUDENTS:
        yield student.name, functools.partial(run_student, student)
    for name, (run, seeds) in BASELINES.items():
        if seed < seeds:
            yield name, run


def measure(path: Path, seeds: int, only: Collection[str]) -> None:
    """Run all that is missing from the file of runs, seed by seed, or some contestants only."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    done = {(run["who"], run["seed"]) for run in read(path)}
    for seed in range(seeds):
        for who, train in contestants(seed):
            if (who, seed) not in done and (not only or who in only):
                keras.backend.clear_session()
                keras.utils.set_random_seed(seed)
                run = {"who": who, "seed": seed, **train(seed)}
                with path.open("a") as file:
                    print(json.dumps(run), file=file)


def read(path: Path) -> list[Run]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tolerance_factor(n: int) -> float:
    """Return how many standard deviations from the mean of n normal values the one-sided bound lies.

    With confidence 95 %, at least 99.9 % of all further values lie on the right side of it: Natrella (1963),
    *Experimental Statistics*, by the noncentral t distribution.
    """
    return float(stats.nct.ppf(CONFIDENCE, n - 1, stats.norm.ppf(CONTENT) * n**0.5) / n**0.5)


def bound(values: list[float], side: int) -> float:
    """Return the tolerance bound below (side -1) or above (side 1) which hardly any further value lies."""
    return statistics.mean(values) + side * tolerance_factor(len(values)) * statistics.stdev(values)


def table(title: str, measured: dict[str, list[float]], side: int) -> str:
    """Return a Markdown table with a row for everybody who was measured at least three times."""
    bound_name = "lower bound" if side < 0 else "upper bound"
    lines = [f"| {title} | runs | mean | s.d. | lowest | highest | {bound_name} |", "|---" * 7 + "|"]
    for who, values in measured.items():
        if len(values) >= 3:
            numbers = statistics.mean(values), statistics.stdev(values), min(values), max(values)
            cells = [who, str(len(values)), *(f"{x:.3f}" for x in (*numbers, bound(values, side)))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def report(runs: list[Run]) -> str:
    """Return all tables in Markdown."""

    def values(who: str, of: Callable[[Run], float], needs: str = "head") -> list[float]:
        return [of(run) for run in runs if run["who"] == who and needs in run]

    def of_students(of: Callable[[Run], float], needs: str) -> dict[str, list[float]]:
        return {student.name: values(student.name, of, needs) for student in STUDENTS}

    random = of_students(lambda run: run["random"], "random")
    baselines = {who: values(who, lambda run: run["head"]) for who in BASELINES}
    failing = {f"{who}, random weights": accuracies for who, accuracies in random.items()} | baselines
    return "\n".join(
        [
            table("the head", of_students(lambda run: run["head"], "head"), -1),
            table("after fine-tuning", of_students(lambda run: run["fine-tuned"], "fine-tuned"), -1),
            table(
                "gained by fine-tuning",
                of_students(lambda run: run["fine-tuned"] - run["head"], "fine-tuned"),
                -1,
            ),
            table(
                "pretrained above random weights",
                of_students(lambda run: run["head"] - run["random"], "random"),
                -1,
            ),
            table("must not pass", failing, 1),
            seconds(runs),
            f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
            f"NumPy {np.__version__}, Pillow {version('pillow')}, {platform.machine()}.",
        ]
    )


def seconds(runs: list[Run]) -> str:
    """Return the table of processor time, of the runs that computed nothing in advance."""
    stages = ("head", "fine-tuning", "random", "predictions")
    lines = [f"| processor seconds | {' | '.join(stages)} |", "|---" * (len(stages) + 1) + "|"]
    for student in STUDENTS:
        whole = [run for run in runs if run["who"] == student.name and run["seed"] < WHOLE_SEEDS]
        if whole:
            means = (statistics.mean(run["cpu_seconds"][stage] for run in whole) for stage in stages)
            lines.append(f"| {student.name} | {' | '.join(f'{mean:.1f}' for mean in means)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one JSON object a line")
    parser.add_argument("--seeds", type=int, default=0, help="how many seeds of each to have measured")
    parser.add_argument("--only", action="append", default=[], metavar="WHO", help="measure nobody else")
    parser.add_argument("--report", action="store_true", help="print the tables")
    options = parser.parse_args()
    measure(options.runs, options.seeds, options.only)
    if options.report:
        print(report(read(options.runs)))


if __name__ == "__main__":
    main()
