"""Running a command and noting what it took: wall and processor time, memory, and what it left behind."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import itertools
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from autograder.workers import cores

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.5
PATIENCE_SECONDS = 5
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
"""No graphics card for anybody, and no log lines: nbgrader gives no points where a test cell has any."""


@dataclass
class Memory:
    """Samples of the proportional set size of a command's whole tree of processes, in 2^20 bytes."""

    times: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def between(self, first: float, last: float) -> list[float]:
        """Return the samples taken between two times, in seconds since the epoch."""
        return [mb for when, mb in zip(self.times, self.megabytes, strict=True) if first <= when <= last]


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Attributes:
        began: when it was started, in seconds since the epoch.
        wall: seconds from start to end.
        cpu: processor seconds of all its processes.
        processes: how many were still there some seconds after it had ended.
        files: what it left in its folder for temporary files.
    """

    began: float
    wall: float
    cpu: float
    processes: int
    files: tuple[str, ...]
    memory: Memory

    @property
    def ended(self) -> float:
        return self.began + self.wall


class Accounting:
    """A control group that counts processor time.

    wait4 alone would not do: ConvGrade's warm process lets the kernel reap the forks that students' code ran
    in, and their time is then nobody's. Where no group can be made, wait4 has to do, and `exact` is False.
    """

    NUMBERS = itertools.count()
    COUNTERS = (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat"))

    def __init__(self) -> None:
        self.counter: Path | None = None
        for parent, counter in self.COUNTERS:
            group = Path(parent, f"convgrade-benchmark-{os.getpid()}-{next(self.NUMBERS)}")
            with contextlib.suppress(OSError):
                group.mkdir()
                if (group / counter).is_file():
                    self.counter = group / counter
                    break
                group.rmdir()

    @property
    def exact(self) -> bool:
        return self.counter is not None

    def join(self) -> None:
        """Put this process into the group."""
        if self.counter:
            (self.counter.parent / "cgroup.procs").write_text("0")

    def seconds(self, waited: float) -> float:
        """Return the processor seconds of all that ever joined, or `waited` where nobody counted."""
        if self.counter is None:
            return waited
        text = self.counter.read_text()
        found = re.search(r"usage_usec (\d+)", text)
        return int(found.group(1)) / 1e6 if found else int(text) / 1e9

    def close(self) -> None:
        if self.counter:
            with contextlib.suppress(OSError):  # something is still running in it
                self.counter.parent.rmdir()


def _counts_exactly() -> bool:
    accounting = Accounting()
    accounting.close()
    return accounting.exact


INEXACT = (
    " Processor time is that of processes that somebody waited for: without a control group to count, the "
    "forks in which ConvGrade runs students' code are missing."
)


def run(command: Sequence[str | Path], folder: Path, *, sample: bool = False) -> Spent:
    """Run a command quietly, with a folder of its own for temporary files.

    Args:
        sample: look at its memory all the time.

    Raises:
        RuntimeError: it failed; the message is the end of what it said.
    """
    _adopt_orphans()
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for alembic
    memory, accounting = Memory(), Accounting()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, tempfile.TemporaryFile() as said:
        environment = os.environ | QUIET | {"PATH": programs, "TMPDIR": scratch}
        began, clock = time.time(), time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            preexec_fn=accounting.join,
        )
        with _sampling(process.pid, memory) if sample else contextlib.nullcontext():
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - clock
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = accounting.seconds(usage.ru_utime + usage.ru_stime)
        left = tuple(sorted(path.name for path in Path(scratch).iterdir()))
        processes = _living_orphans()
        accounting.close()
        if process.returncode:
            said.seek(0)
            tail = said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(map(str, command[:6]))} … failed:\n{tail}")
    return Spent(began, wall, cpu, processes, left, memory)


def _adopt_orphans() -> None:
    """Let processes whose parent ends become children of this one, so that none is overlooked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _living_orphans() -> int:
    """Return how many children this process still has after `PATIENCE_SECONDS`: most end a moment later."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        living = len(_tree(os.getpid())) - 1
        if not living or time.monotonic() > give_up:
            return living
        time.sleep(0.05)


@contextlib.contextmanager
def _sampling(root: int, memory: Memory) -> Iterator[None]:
    """Sample the memory of `root` and all its descendants until the end of the block."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            memory.times.append(time.time())
            memory.megabytes.append(sum(map(_pss_mb, _tree(root))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tree(root: int) -> list[int]:
    """Return `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # A process may call itself anything, bytes that are no text too.
            parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def _pss_mb(pid: int) -> float:
    """Return a process's share of the memory, in 2^20 bytes; 0 where it has ended or may not be looked at."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found.group(1)) / 1024 if found else 0.0
    return 0.0


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


@dataclass(frozen=True)
class Conditions:
    """What a measurement ran on, and what else went on there."""

    load_before: str = field(default_factory=load)

    def describe(self, packages: Iterable[str] = ()) -> str:
        """Return the sentences that stand above a table, once all is measured."""
        versions = ", ".join(f"{name} {version(name)}" for name in ("nbgrader", "numpy", "tensorflow-cpu"))
        others = "".join(f", {package}" for package in packages)
        return (
            f"{datetime.date.today():%d %B %Y}. {platform.system()} {platform.machine()}, {_processor()}, "
            f"{cores()} cores; load average {self.load_before} before and {load()} after. "
            f"Python {platform.python_version()}, {versions}{others}."
            + ("" if _counts_exactly() else INEXACT)
        )


def _processor() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or "unknown processor"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
