"""The warm process: imports once, then forks one isolated process a submission.

It runs inside the outer sandbox (or bare, on the ``process`` level) and never imports a grader, since
whatever it holds its children can read. It must be single-threaded when it forks, and TensorFlow must
not have run an operation yet: TensorFlow survives a fork after its import, not after its thread pools
started.

Every submission gets a watcher, a trusted fork that keeps the clock and the memory of the whole tree of
the student's processes and kills all of it; the host steers the watcher over a control socket.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.sandbox import jail, kernel

POLL_SECONDS, IDLE_POLL_SECONDS = 0.05, 0.25
"""Between two looks at the student's processes, while a clock runs and while none does."""
GRACE_SECONDS = 1.0
"""Between the interrupt of a cell or call that ran past its limit and the end of its process."""


def main() -> None:
    """Warm up, say so, and fork a watcher for every job that the host asks for."""
    settings = json.loads(sys.argv[1])
    control = socket.socket(fileno=settings["control_fd"])
    jail.hide_memory(True)
    jail.die_with_parent(signal.SIGKILL)
    gc.disable()  # what is imported stays; looking for garbage in it takes a quarter of TensorFlow's import
    _import(settings["imports"])
    shell = kernel.prepare()
    strict = settings["isolation"] == "strict"
    syscall_filter = jail.build_syscall_filter() if strict else None
    if sys.platform == "linux" and len(os.listdir("/proc/self/task")) != 1:
        control.send(b"the warm process has more than one thread and cannot fork safely")
        return
    if _has_touched_the_card():
        control.send(b"the warm process has opened the graphics card and cannot fork safely")
        return
    gc.collect()
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 2**16, 2)
        if not request:
            os._exit(0)  # there is nothing to tidy up, and to take TensorFlow apart takes a while
        if os.fork() == 0:
            control.close()
            try:
                data_fd, control_fd = descriptors
                on_card = settings["device"] == "gpu"
                job = Job(json.loads(request), strict, on_card, syscall_filter, data_fd, control_fd)
                job.run(shell)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _import(names: Iterable[str]) -> None:
    """Import packages, but for scikit-learn.

    Keras looks for it to offer wrappers, and a fifth of its import's time goes there. A notebook that uses
    scikit-learn imports it itself.
    """
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        del sys.modules["sklearn"]


def _has_touched_the_card() -> bool:
    """Say whether this process holds a file of NVIDIA's driver: CUDA does not survive a fork."""
    if sys.platform != "linux":
        return False
    held = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return any(os.readlink(path).startswith("/dev/nvidia") for path in held if os.path.islink(path))


@dataclass
class Clock:
    """What the host allows until it says otherwise.

    Attributes:
        request: which of the host's requests it is for.
        wall_end: when the wall-clock time runs out, by `time.monotonic`.
        cpu_end: at how many seconds of the tree's processor time its share runs out.
        interrupted_at: when the student's process was asked to stop.
    """

    request: int = 0
    wall_end: float | None = None
    cpu_end: float | None = None
    interrupted_at: float | None = None


@dataclass
class Processor:
    """The processor time of a tree of processes.

    Attributes:
        peak: the most seconds that could be proven; it never falls.
        alive: the seconds of each process of the tree, by its number and when it started.
        ended: the seconds of those that are gone, as they were last seen.
    """

    peak: float = 0.0
    alive: dict[tuple[int, str], float] = field(default_factory=dict)
    ended: float = 0.0

    def account(self, tree: dict[int, list[str]]) -> None:
        """Take the state of a tree into account.

        The kernel adds a child's time to its parent's when the parent waits for it, and forgets it where
        the parent won't: both are counted, and the larger is believed.
        """
        before, waited_for = self.alive, 0.0
        self.alive = {}
        for pid, fields in tree.items():
            if fields:
                self.alive[pid, fields[19]] = sum(map(int, fields[11:13])) / _TICKS
                waited_for += sum(map(int, fields[13:15])) / _TICKS
        self.ended += sum(seconds for process, seconds in before.items() if process not in self.alive)
        self.peak = max(self.peak, sum(self.alive.values()) + max(self.ended, waited_for))


@dataclass
class Job:
    """One submission: the watcher's side, in the process that forks the student's."""

    limits: dict[str, Any]
    strict: bool
    on_card: bool
    syscall_filter: Any
    data_fd: int
    control_fd: int
    clock: Clock = field(default_factory=Clock)
    processor: Processor = field(default_factory=Processor)

    def run(self, shell: Any) -> None:
        """Fork the student's process, watch it to its end, and report how it ended."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        jail.die_with_parent(signal.SIGKILL)
        control = socket.socket(fileno=self.control_fd)
        try:
            if self.strict:
                jail.hide_memory(False)  # or the kernel refuses to write the maps of the namespace
                jail.enter_namespaces()
            jail.hide_memory(True)
            jail.adopt_orphans()
            # The student's process covers /proc in the mounts that this one shares with it.
            proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY) if Path("/proc/self").exists() else None
            student = os.fork()
        except OSError as error:
            _report(control, {"end": "sandbox", "why": str(error)})
            return
        if student == 0:
            control.close()
            if proc is not None:
                os.close(proc)
            self._become_student(shell)
        os.close(self.data_fd)
        reason, status = "sandbox", None
        try:
            reason, status = self._watch(student, control, proc)
        finally:  # nobody else keeps the limits
            if status is None:
                status = _end_tree(student, proc)
            _end_orphans(proc)
            _report(control, {"end": reason, "status": status, "cpu": round(self.processor.peak, 3)})

    def _become_student(self, shell: Any) -> None:
        """Put the walls up, give the host its channel, and never return."""
        channel = socket.socket(fileno=self.data_fd)
        try:
            jail.die_with_parent(signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.setsid()  # or a signal to its process group would meet the warm process and every watcher
            if self.strict:
                jail.mount_private_folders(self.limits["disk_mb"])
                os.chdir("/job")
            else:
                os.chdir(self.limits["folder"])
            jail.set_limits(
                # CUDA maps all of the card's memory; the watcher's sum alone bounds what is used of ours.
                memory_mb=None if self.on_card else self.limits["memory_mb"],
                processes=self.limits["processes"] if self.strict else None,
                file_mb=self.limits["disk_mb"],
                open_files=256,
                cpu_seconds=self.limits["total_cpu"],
            )
            jail.hide_memory(False)  # from its watcher, which counts it
            if self.strict:
                jail.drop_privileges(self.syscall_filter)
        except BaseException as error:
            from autograder import protocol

            protocol.send(channel, {"is": "broken", "why": f"{type(error).__name__}: {error}"})
            os._exit(1)
        try:
            kernel.serve(shell, channel, self.limits["seed"])
        finally:
            os._exit(0)

    def _watch(self, student: int, control: socket.socket, proc: int | None) -> tuple[str, int | None]:
        """Wait until the student's process ends or must; return why, and its status if it ended."""
        next_look = 0.0
        while True:
            select.select([control], [], [], max(0.0, next_look - time.monotonic()))
            if not self._obey(student, control, proc):
                return "ended", None
            poll_seconds = IDLE_POLL_SECONDS if self.clock.wall_end is None else POLL_SECONDS
            next_look = min(next_look, time.monotonic() + poll_seconds)
            if time.monotonic() < next_look:
                continue  # there are two orders a call, and a look takes longer than most calls
            next_look = time.monotonic() + poll_seconds
            tree = _tree(student, proc) if proc is not None else {}
            self.processor.account(tree)
            pid, wait_status = os.waitpid(student, os.WNOHANG)
            if pid:
                return "exit", os.waitstatus_to_exitcode(wait_status)
            if tree and _memory_mb(tree, proc, self.limits["memory_mb"]) > self.limits["memory_mb"]:
                return "memory", None
            if self._past_grace():
                return "time", None
            self._interrupt_if_late(student, control)

    def _obey(self, student: int, control: socket.socket, proc: int | None) -> bool:
        """Take all orders that have come; return False where one says that this is the end.

        All, because a tree of many processes is looked at more slowly than the host gives orders.
        """
        while select.select([control], [], [], 0)[0]:
            data = control.recv(4096)
            if not data or data == b"end":
                return False
            order = json.loads(data)
            if "wall" in order and proc is not None:  # what was used before is not this request's
                self.processor.account(_tree(student, proc))
            self._set_clock(order)
        return True

    def _set_clock(self, order: dict[str, float]) -> None:
        if "wall" in order:
            wall_end, cpu_end = time.monotonic() + order["wall"], self.processor.peak + order["cpu"]
            self.clock = Clock(int(order["id"]), wall_end, cpu_end)
        else:
            self.clock = Clock()

    def _past_grace(self) -> bool:
        asked = self.clock.interrupted_at
        return asked is not None and time.monotonic() > asked + GRACE_SECONDS

    def _interrupt_if_late(self, student: int, control: socket.socket) -> None:
        clock = self.clock
        if clock.wall_end is None or clock.cpu_end is None or clock.interrupted_at is not None:
            return
        if time.monotonic() > clock.wall_end or self.processor.peak > clock.cpu_end:
            clock.interrupted_at = time.monotonic()
            _report(control, {"interrupted": clock.request})
            os.kill(student, signal.SIGINT)


def _report(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the host may be gone, and nobody waits for this report
        control.send(json.dumps(message).encode())


def _end_tree(student: int, proc: int | None) -> int:
    """Kill the student's process and all that it started; return its exit status, a signal negative."""
    for pid in _tree(student, proc) if proc is not None else [student]:
        _kill(pid)
    return os.waitstatus_to_exitcode(os.waitpid(student, 0)[1])


def _end_orphans(proc: int | None) -> None:
    """End what the student's process left behind, which now belongs to this process."""
    while True:
        for pid in list(_tree(os.getpid(), proc))[1:] if proc is not None else []:
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _tree(root: int, proc: int | None) -> dict[int, list[str]]:
    """Return what `_stat` says of `root` and of its descendants that are alive, parents first."""
    stats: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for name in os.listdir(proc):
        fields = _stat(int(name), proc) if name.isdigit() else []
        if fields:
            stats[int(name)] = fields
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return {pid: stats.get(pid, []) for pid in found}


def _read(path: str, proc: int | None) -> str:
    try:
        # A process may call itself anything; what is not text must not stop the watcher.
        with open(path, errors="replace", opener=functools.partial(os.open, dir_fd=proc)) as file:
            return file.read()
    except OSError:  # the process ended meanwhile
        return ""


def _stat(pid: int, proc: int | None) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` after the name, from the state on."""
    return _read(f"{pid}/stat", proc).rpartition(")")[2].split()


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 2**10


def _memory_mb(pids: Iterable[int], proc: int | None, enough: float) -> float:
    """Return the processes' memory in MB of 2^20 bytes, what the kernel keeps to find it included.

    What they share with the warm process is counted in full while that stays below `enough`, since the
    exact share takes the kernel longer to add up.
    """
    resident = {pid: _field(f"{pid}/statm", 1, proc) * _PAGE_KB for pid in pids}
    tables = sum(_labelled_kb(f"{pid}/status", "VmPTE:", proc) or 0 for pid in pids)
    total = sum(resident.values()) + tables
    if total > enough * 1024:
        shares = {pid: _labelled_kb(f"{pid}/smaps_rollup", "Pss:", proc) for pid in pids}
        # A process can close that file to its watcher, and counts in full then.
        total = sum(resident[pid] if kb is None else kb for pid, kb in shares.items()) + tables
    return total / 1024


def _field(path: str, index: int, proc: int | None) -> int:
    fields = _read(path, proc).split()
    return int(fields[index]) if fields else 0


def _labelled_kb(path: str, label: str, proc: int | None) -> int | None:
    """Return the number of kB that stands behind `label` in a file, or None where it does not stand there."""
    lines = _read(path, proc).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), None)


if __name__ == "__main__":
    main()
