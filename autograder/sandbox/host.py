"""The trusted side of the sandbox: starts warm processes, asks their forks, and keeps the caps."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from autograder import protocol
from autograder.errors import SandboxError
from autograder.runner import CPU, Runner
from autograder.sandbox import isolation
from autograder.sandbox.isolation import Level

START_SECONDS = 180
"""How long a warm process may take for its imports on a busy machine."""
MAX_OUTPUT, MAX_OUTPUTS = 16 * 2**20, 1_000
"""Bytes and number of output frames that one cell may send before its process counts as flooding."""
_HOST_PATIENCE = 20
"""Seconds that the host waits longer than the watcher should."""
_QUICK_SECONDS, _QUICK_BYTES = 0.02, 2**15
"""What a request takes, and how large it is, at most, if the watcher is not to hear of it.

Most calls are answered in a millisecond, and to wake another process twice for each takes as long again. A
socket's buffer takes that much, so that sending it waits for nobody.
"""


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cpu_seconds: processor time of one cell or call, its children's included.
        wall_seconds: wall-clock time of one cell or call.
        total_cpu: processor time of one process.
        total_wall: wall-clock time of all cells and calls together.
        memory_mb: memory of all its processes together, in 2^20 bytes.
        processes: processes and threads together.
        disk_mb: the folder it runs in, in 2^20 bytes.
    """

    cpu_seconds: float = 5
    wall_seconds: float = 30
    total_cpu: int = 120
    total_wall: float = 120
    memory_mb: int = 1024
    processes: int = 128
    disk_mb: int = 64

    def of_one_call(self, cpu_seconds: float | None = None) -> tuple[float, float]:
        """Return the processor and the wall-clock seconds of one call, the latter longer where both must be.

        Args:
            cpu_seconds: the call's own budget, where it has one.
        """
        cpu = cpu_seconds or self.cpu_seconds
        return cpu, self.wall_seconds * max(1.0, cpu / self.cpu_seconds)


class Lost(Exception):
    """The process that ran student code is gone.

    Attributes:
        reason: ``time``, ``memory``, ``output``, ``exit`` or ``protocol``.
        status: its exit status, a signal's number negative; None where it was not learned.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Interrupted(Exception):
    """A cell or call ran past its limit and yielded; its process is still there."""


@dataclass
class CellRun:
    """What running one cell showed."""

    ok: bool
    outputs: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False


class Sandbox:
    """One warm process that forks an isolated process for every job.

    The processes of a pool that are handed one as they are started share it; it ends with whom it is from.

    Args:
        like: one whose walls this one gets. It is not waited for: its first job is.
        wait: whether to wait until it works; otherwise its first job is what waits, unless `wait` is called.

    Raises:
        SandboxError: it can't be started on this level here.
    """

    def __init__(
        self,
        level: Level,
        imports: tuple[str, ...] = ("numpy",),
        runner: Runner = CPU,
        like: Sandbox | None = None,
        wait: bool = True,
    ) -> None:
        self.level = level
        self.runner = runner
        self._imports = imports
        # The strict level leaves nothing on this disk, not even where its end is a kill.
        self._folder = Path(tempfile.mkdtemp(prefix="convgrade-")) if level == "process" else None
        self._bwrap = ""
        self._untried = iter([like._bwrap] if like else isolation.find_bwrap())
        self._failures: list[str] = []
        self._process: subprocess.Popen | None = None
        self._log: IO[bytes] | None = None
        self._greeted = False
        self._began = time.perf_counter()
        self.start_seconds = 0.0
        try:
            if self._folder:
                isolation.copy_engine(self._folder)
                self._launch(isolation.process_command, str(self._folder))
            else:
                self._try_next_bwrap()
        except BaseException:
            self._remove_folder()
            raise
        if wait and like is None:
            self.wait()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to use it; the socket goes to children at their start only."""
        return vars(self) | {"_process": None, "_log": None, "_untried": iter(())}

    def has_walls_of(self, other: Sandbox) -> bool:
        """Say whether it was started in the same way."""
        return (self.level, self._bwrap) == (other.level, other._bwrap)

    @property
    def worked_at_once(self) -> bool:
        """Whether it is still the process that was started first, which others may have been handed."""
        return not self._failures

    def wait(self) -> None:
        """Wait until it is known to work, with another bubblewrap where the first one does not.

        Another process's is not waited for: only who started it is told.

        Raises:
            SandboxError: it does not.
        """
        while self._process and not self._greeted:
            try:
                self._greet()
            except SandboxError as error:
                if self._folder:
                    self._remove_folder()
                    raise
                self._failures.append(f"{self._bwrap}: {error}")
                self._try_next_bwrap()
        self.start_seconds = self.start_seconds or time.perf_counter() - self._began

    def _try_next_bwrap(self) -> None:
        for bwrap in self._untried:
            self._bwrap = bwrap
            try:
                return self._launch(isolation.strict_command, bwrap)
            except SandboxError as error:
                self._failures.append(f"{bwrap}: {error}")
        raise SandboxError(
            "The strict sandbox can't start: "
            + ("; ".join(self._failures) or "there is no bubblewrap")
            + ". 'convgrade doctor' says what to do."
        )

    def _launch(self, command: Callable[[Any, str, Runner], list[str]], where: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            "control_fd": theirs.fileno(),
            "imports": self._imports,
            "isolation": self.level,
            "device": self.runner.device,
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, it is closed when what it says is known
        try:
            self._process = subprocess.Popen(
                command(where, json.dumps(settings), self.runner),
                env=isolation.environment(str(self._folder), self.runner) if self._folder else {},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                cwd=self._folder or "/",
                start_new_session=True,
            )
        except OSError as error:
            self._control.close()
            self._log.close()
            raise SandboxError(str(error)) from error
        finally:
            theirs.close()

    def _greet(self) -> None:
        """Wait for the warm process's greeting.

        Raises:
            SandboxError: it does not work; it is gone then.
        """
        assert self._process is not None
        assert self._log is not None
        self._control.settimeout(START_SECONDS)
        try:
            greeting = self._control.recv(4096)
        except OSError:
            greeting = b""
        with self._log as log:
            if greeting == b"ready":
                self._control.settimeout(None)
                self._greeted = True
                return
            self._kill()
            self._process.wait()
            self._control.close()
            log.seek(0)
            said = log.read()[-2000:].decode(errors="replace").strip().splitlines()
        raise SandboxError(greeting.decode() or (said[-1] if said else "it ended without a word"))

    def job(self, limits: Limits, seed: int) -> Job:
        """Fork an isolated process.

        Raises:
            SandboxError: the walls could not be put up; nothing of the student's ran.
        """
        if self._process and self._process.poll() is not None:
            raise SandboxError("The warm process is gone; run the command again.")
        folder = Path(tempfile.mkdtemp(dir=self._folder)) if self._folder else None
        request = {
            "memory_mb": limits.memory_mb,
            "processes": limits.processes,
            "disk_mb": limits.disk_mb,
            "total_cpu": limits.total_cpu,
            "seed": seed,
            "folder": str(folder),
        }
        channel, channel_end = socket.socketpair()
        control, control_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with channel_end, control_end:
            try:
                descriptors = [channel_end.fileno(), control_end.fileno()]
                socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
            except OSError as error:
                channel.close()
                control.close()
                raise SandboxError("The warm process is gone; run the command again.") from error
        return Job(channel, control, limits, folder)

    def close(self) -> None:
        """End the warm process and everything that it forked, unless it is another process's."""
        if self._process is None:
            self._control.close()
            return
        if not self._greeted:
            if select.select([self._control], [], [], 0)[0]:
                with contextlib.suppress(OSError):  # it may have ended
                    self._control.recv(4096)
            else:
                self._kill()  # it imports still, and has forked nothing
        self._control.close()
        if self._log:
            self._log.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._remove_folder()

    def _kill(self) -> None:
        """Kill the process that was started, and a child of it that doesn't yet die with its parent."""
        assert self._process is not None
        if self._process.returncode is None:  # or its number may be another's by now
            os.killpg(self._process.pid, signal.SIGKILL)

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Clock:
    """The watcher's clock for one request, which starts only where the reply is not there at once.

    Args:
        limit: seconds of processor time and of wall-clock time.
    """

    def __init__(
        self, control: socket.socket, channel: socket.socket, request: int, limit: tuple[float, float]
    ) -> None:
        self.started = False
        self._control = control
        self._channel = channel
        self._request = request
        self._cpu, self._wall = limit
        self._began = time.perf_counter()
        channel.settimeout(_QUICK_SECONDS)

    def start(self) -> None:
        """Have the watcher keep the limits from here on."""
        self.started = True
        self._channel.settimeout(self._wall + _HOST_PATIENCE)
        order = {"id": self._request, "wall": self._wall, "cpu": self._cpu}
        self._control.send(json.dumps(order).encode())

    def start_if_late(self) -> bool:
        """Start it where it is time to; say whether the reply may still be waited for."""
        if self.started:
            return False
        if time.perf_counter() - self._began >= _QUICK_SECONDS:
            self.start()
        return True

    def stop(self) -> None:
        """Stop it, since the reply is there."""
        if self.started:
            self._control.send(b"{}")


class Job:
    """One submission's process. Every frame that comes from it is unverified."""

    def __init__(
        self, channel: socket.socket, control: socket.socket, limits: Limits, folder: Path | None
    ) -> None:
        self._channel = channel
        self._control = control
        self._limits = limits
        self._folder = folder
        self._next_id = 0
        self._ended: dict[str, Any] | None = None
        self.student_seconds = 0.0
        channel.settimeout(START_SECONDS)
        try:
            greeting, _ = protocol.receive(channel)
        except (OSError, EOFError, protocol.ProtocolError) as error:
            why = self.close().get("why", "it ended without a word")
            raise SandboxError(f"The sandbox for a submission could not start: {why}") from error
        if greeting.get("is") != "ready":
            self.close()
            raise SandboxError(f"The sandbox for a submission could not start: {greeting.get('why')}")

    def run_cell(self, source: str, position: int) -> CellRun:
        """Run a code cell.

        Raises:
            Lost: its process died or had to be ended.
        """
        outputs: list[dict[str, Any]] = []
        reply, _, interrupted = self._ask(
            {"do": "cell", "source": source, "position": position}, [], outputs=outputs
        )
        if reply.get("full") is True:
            cut = "[The output was cut here: a cell may show 1 MB, a notebook 4 MB.]\n"
            outputs.append({"output_type": "stream", "name": "stdout", "text": cut})
        return CellRun(reply.get("ok") is True, outputs, interrupted)

    def call(
        self,
        name: str,
        args: tuple,
        kwargs: dict[str, Any],
        cpu_seconds: float | None = None,
        stand_in: Callable[[Any], Any] = lambda value: None,
    ) -> tuple[dict[str, Any], list[Any]]:
        """Call a function of the notebook; return the reply's frame.

        Args:
            cpu_seconds: processor time that it may use, more or less than the limits say.
            stand_in: gives what the process knows a model by, and None for all that is no model.

        Raises:
            Interrupted: it ran past its limit.
            Lost: its process died or had to be ended.
        """
        tree, arrays = protocol.encode((args, kwargs), stand_in)
        return self._answer({"do": "call", "name": name, "arguments": tree}, arrays, cpu_seconds)

    def build_model(
        self, config: str, weights: list[np.ndarray], cpu_seconds: float
    ) -> tuple[dict[str, Any], list[Any]]:
        """Build a model from its config and weights; return the reply's frame, which names it.

        Raises:
            Interrupted: it ran past its limit.
            Lost: its process died or had to be ended.
        """
        tree, arrays = protocol.encode(weights)
        return self._answer({"do": "build", "config": config, "weights": tree}, arrays, cpu_seconds)

    def ask_model(
        self, number: int, what: str, arguments: tuple, cpu_seconds: float | None = None
    ) -> tuple[dict[str, Any], list[Any]]:
        """Ask about a model that an earlier reply named; return the reply's frame.

        Raises:
            Interrupted: it ran past its limit.
            Lost: its process died or had to be ended.
        """
        tree, arrays = protocol.encode(arguments)
        message = {"do": "model", "number": number, "what": what, "arguments": tree}
        return self._answer(message, arrays, cpu_seconds)

    def read(self, name: str) -> tuple[dict[str, Any], list[Any]]:
        """Read a global of the notebook; return the reply's frame.

        Raises:
            Interrupted: reading it ran past its limit.
            Lost: its process died or had to be ended.
        """
        return self._answer({"do": "read", "name": name}, [], None)

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file into the folder that the notebook runs in.

        Raises:
            Lost: its process died or had to be ended.
        """
        tree, arrays = protocol.encode(np.frombuffer(content, np.uint8))
        self._ask({"do": "put", "name": name, "content": tree}, arrays)

    def read_file(self, path: str) -> tuple[dict[str, Any], list[Any]]:
        """Read a file that the notebook wrote, as an array of bytes; return the reply's frame.

        Raises:
            Interrupted: reading it ran past its limit.
            Lost: its process died or had to be ended.
        """
        return self._answer({"do": "file", "name": path}, [], None)

    def _answer(
        self, message: dict[str, Any], arrays: list[Any], cpu_seconds: float | None
    ) -> tuple[dict[str, Any], list[Any]]:
        reply, out, interrupted = self._ask(message, arrays, cpu_seconds)
        if interrupted:
            raise Interrupted
        return reply, out

    def _ask(
        self,
        message: dict[str, Any],
        arrays: list[Any],
        cpu_seconds: float | None = None,
        outputs: list[dict[str, Any]] | None = None,
    ) -> tuple[dict[str, Any], list[Any], bool]:
        """Send one request and wait for its reply, under the watcher's clock."""
        if self._ended is not None:
            raise Lost("exit")
        self._next_id += 1
        began = time.perf_counter()
        clock = _Clock(self._control, self._channel, self._next_id, self._limits.of_one_call(cpu_seconds))
        try:
            parts = protocol.frame(message | {"id": self._next_id}, arrays)
            if sum(map(len, parts)) > _QUICK_BYTES:
                clock.start()
            for part in parts:
                self._channel.sendall(part)
            reply, out = self._receive_reply(outputs, clock)
            clock.stop()
        except (OSError, EOFError, protocol.ProtocolError) as error:
            broken = isinstance(error, protocol.ProtocolError)
            raise self._lost("protocol" if broken else None) from error
        finally:
            self.student_seconds += time.perf_counter() - began
        return reply, out, clock.started and self._was_interrupted()

    def _receive_reply(
        self, outputs: list[dict[str, Any]] | None, clock: _Clock
    ) -> tuple[dict[str, Any], list[Any]]:
        received, bytes_received = 0, 0
        while True:
            message, arrays = protocol.receive(self._channel, clock.start_if_late)
            clock.start_if_late()
            kind = message.get("is")
            if kind == "output":
                received += 1
                bytes_received += len(json.dumps(message)) + sum(array.nbytes for array in arrays)
                if bytes_received > MAX_OUTPUT or received > MAX_OUTPUTS:
                    raise self._lost("output")
                if outputs is not None and isinstance(message.get("output"), dict):
                    outputs.append(message["output"])
            elif message.get("id") == self._next_id and isinstance(kind, str):
                return message, arrays
            else:
                raise protocol.ProtocolError("a frame that nobody asked for")

    def _was_interrupted(self) -> bool:
        """Say whether the watcher interrupted the request that was just answered."""
        interrupted = False
        while select.select([self._control], [], [], 0)[0]:
            report = self._next_report()
            if not report:
                break
            # A report on an earlier request may come late: it was answered just before its interrupt.
            interrupted |= json.loads(report).get("interrupted") == self._next_id
        return interrupted

    def _lost(self, reason: str | None = None) -> Lost:
        ended = self.close()
        end = ended.get("end", "exit")
        if end == "ended":  # it was asked to end a process that was gone already
            end = "exit"
        if end == "exit" and ended.get("interrupted") == self._next_id:
            end = "time"  # an interrupt can crash TensorFlow's training
        return Lost(reason or end, ended.get("status"))

    def close(self) -> dict[str, Any]:
        """End the process and all that it started; return the watcher's report."""
        if self._ended is not None:
            return self._ended
        report: dict[str, Any] = {}
        self._control.settimeout(_HOST_PATIENCE)
        with contextlib.suppress(OSError):  # the watcher may have ended already; its report waits
            self._control.send(b"end")
        with contextlib.suppress(OSError):
            while data := self._next_report():
                report |= json.loads(data)
        self._control.close()
        self._channel.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._ended = report
        return report

    def _next_report(self) -> bytes:
        try:
            return self._control.recv(4096)
        except ConnectionResetError:  # the watcher ended without reading an order; its report still waits
            return self._control.recv(4096)
