"""What models are trained on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autograder import answers, models, runner
from autograder.runner import CPU, Runner
from autograder.sandbox import isolation
from autograder.sandbox.host import Sandbox

CARD = [Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/nvidia-uvm")]


class TestTheChoice:
    """One runner for a machine, and the reason for it."""

    def test_no_card(self):
        assert runner.choose("", [], True).device == "cpu"

    def test_a_card_that_tensorflow_cannot_use(self):
        chosen = runner.choose("", CARD, False)
        assert chosen.device == "cpu"
        assert "without CUDA" in chosen.because

    def test_a_card(self):
        assert runner.choose("", CARD, True).device == "gpu"

    @pytest.mark.parametrize("wanted", ["cpu", "gpu"])
    def test_somebody_decided(self, wanted: str):
        assert runner.choose(wanted, CARD if wanted == "cpu" else [], wanted == "cpu").device == wanted

    def test_half_a_driver_is_none(self, tmp_path: Path):
        (tmp_path / "nvidia0").touch()
        assert runner.device_files(tmp_path) == []
        (tmp_path / "nvidiactl").touch()
        (tmp_path / "nvidia-uvm").touch()
        assert len(runner.device_files(tmp_path)) == 3


class TestWhatASandboxSees:
    """Only a sandbox on the card sees the card."""

    def test_without(self):
        assert isolation.environment("", CPU)["CUDA_VISIBLE_DEVICES"] == "-1"
        assert not [part for part in isolation.strict_command("bwrap", "{}", CPU) if "nvidia" in part]

    def test_with(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(runner, "device_files", lambda: CARD)
        on_card = Runner("gpu")
        assert isolation.environment("", on_card)["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        command = isolation.strict_command("bwrap", "{}", on_card)
        last = len(command) - 1 - command[::-1].index("--dev")
        assert "/dev/nvidia0" in command[last : command.index("--remount-ro")]


def test_one_training_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process has its turn on the card, no other gets one, wherever it keeps temporary files."""
    monkeypatch.setattr(runner, "LOCKS", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", "/a/folder/of/this/grading/alone")
    tries = (
        "import fcntl, sys; lock = open(sys.argv[1], 'w')\n"
        "try: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError: sys.exit(3)"
    )

    def try_elsewhere() -> int:
        (lock,) = tmp_path.glob("convgrade-gpu-*.lock")
        return subprocess.run([sys.executable, "-c", tries, lock], check=False).returncode

    with Runner("gpu").turn():
        assert try_elsewhere() == 3
    assert try_elsewhere() == 0


@pytest.mark.gpu
@pytest.mark.skipif(runner.find().device != "gpu", reason="needs an NVIDIA card and a TensorFlow with CUDA")
def test_both_runners_predict_the_same(level: isolation.Level) -> None:
    """A network predicts the same on the card and on the processor, within the stated tolerance."""
    from autograder.grader import KERAS
    from autograder.lab import RebuiltModels

    rng = np.random.default_rng(0)
    shapes = [(3, 3, 3, 32), (32,), (3, 3, 32, 32), (32,), (32, 10), (10,)]
    weights = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]
    conv = ("Conv2D", {"filters": 32, "kernel_size": 3, "activation": "relu"})
    head = [("GlobalAveragePooling2D", {}), ("Dense", {"units": 10, "activation": "softmax"})]
    network = models.sequential((64, 48, 3), [conv, conv, *head], weights)
    images = rng.random((4, 64, 48, 3), dtype=np.float32)
    outputs = []
    for where in (CPU, runner.find()):
        with Sandbox(level, KERAS.imports, where) as sandbox:
            home = RebuiltModels(sandbox, KERAS.limits, seed=0)
            outputs.append(home.add(network).predict(images))
            home.close()
    np.testing.assert_allclose(*outputs, rtol=0, atol=answers.MODEL_TOLERANCE)
