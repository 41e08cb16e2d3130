"""What models are trained on while grading: this machine's processor, or one graphics card of NVIDIA's.

There is one choice for a machine. The card is taken where its driver, its device files and a TensorFlow
that can use it are all here; ``CONVGRADE_DEVICE=cpu`` or ``=gpu`` in the environment decides otherwise.
The warm process never touches the card: CUDA does not survive a fork.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Device = Literal["cpu", "gpu"]

LOCKS = "/tmp"
"""Where all of a user's gradings find the card's lock; each has a folder for temporary files of its own."""


@dataclass(frozen=True)
class Runner:
    """Where TensorFlow computes.

    Attributes:
        because: why it is this one, for `convgrade doctor`.
    """

    device: Device = "cpu"
    because: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What TensorFlow reads when it starts.

        On the card, memory is taken as it is needed, so that two processes fit, and sums are not rounded to
        the 10 bits of TF32.
        """
        if self.device == "cpu":
            return {"CUDA_VISIBLE_DEVICES": "-1"}
        return {
            "CUDA_VISIBLE_DEVICES": "0",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "NVIDIA_TF32_OVERRIDE": "0",
        }

    @property
    def device_files(self) -> list[str]:
        """The files in /dev that a process needs for it."""
        return [str(path) for path in device_files()] if self.device == "gpu" else []

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process of this user trains on the card; a processor needs no turns."""
        if self.device == "cpu":
            yield
            return
        import fcntl

        lock = os.open(
            f"{LOCKS}/convgrade-gpu-{os.getuid()}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


CPU = Runner()


@functools.cache
def find() -> Runner:
    """Return this machine's runner."""
    return choose(os.environ.get("CONVGRADE_DEVICE", ""), device_files(), _tensorflow_has_cuda())


def choose(wanted: str, files: list[Path], has_cuda: bool) -> Runner:
    """Return the runner for what was found.

    Args:
        wanted: ``cpu`` or ``gpu``, or nothing for the best that is here.
        files: the device files of NVIDIA's driver.
        has_cuda: whether the TensorFlow that is installed brings CUDA.
    """
    if wanted == "cpu":
        return Runner("cpu", "CONVGRADE_DEVICE=cpu asks for it")
    if wanted == "gpu":
        return Runner("gpu", "CONVGRADE_DEVICE=gpu asks for it")
    if not files:
        return Runner("cpu", "there is no NVIDIA card")
    if not has_cuda:
        return Runner("cpu", "there is an NVIDIA card, but TensorFlow without CUDA")
    return Runner("gpu", "an NVIDIA card and a TensorFlow with CUDA are here")


def device_files(dev: Path = Path("/dev")) -> list[Path]:
    """Return the files of NVIDIA's first card and its driver; none where one that is needed is missing."""
    needed = [dev / "nvidia0", dev / "nvidiactl", dev / "nvidia-uvm"]
    return needed if all(path.exists() for path in needed) else []


def _tensorflow_has_cuda() -> bool:
    names = {str(found.metadata["Name"]).lower() for found in importlib.metadata.distributions()}
    return "tensorflow" in names and any(name.startswith("nvidia-cudnn") for name in names)
