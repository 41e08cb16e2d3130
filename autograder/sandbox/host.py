"""The trusted side of the sandbox: starts warm processes, asks their forks, and keeps the caps."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


Started = tuple[socket.socket, subprocess.Popen]


class Sandbox:
    """One warm process that forks an isolated process for every job.

    The processes of a pool that are handed one as they are started share it; it ends with whom it is from.

    Args:
        like: one that works here. This one gets the same walls, and is not waited for: its first job is.

    Raises:
        SandboxError: it can't be started on this level here.
    """

    def __init__(
        self,
        level: Level,
        imports: tuple[str, ...] = ("numpy",),
        runner: Runner = CPU,
        like: Sandbox | None = None,
    ) -> None:
        self.level = level
        self.runner = runner
        # The strict level leaves nothing on this disk, not even where its end is a kill.
        self._folder = Path(tempfile.mkdtemp(prefix="convgrade-")) if level == "process" else None
        began = time.perf_counter()
        self._awaited = like is None
        self._bwrap = ""
        self._process: subprocess.Popen | None
        try:
            self._control, self._process = self._start(imports, like)
        except BaseException:
            self._remove_folder()
            raise
        self.start_seconds = time.perf_counter() - began

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to use it; the socket goes to children at their start only."""
        return vars(self) | {"_process": None}

    def _start(self, imports: tuple[str, ...], like: Sandbox | None) -> Started:
        if self._folder:
            isolation.copy_engine(self._folder)
            return self._launch(isolation.process_command, self._folder, imports)
        failures = []
        for self._bwrap in [like._bwrap] if like else isolation.find_bwrap():
            try:
                return self._launch(isolation.strict_command, self._bwrap, imports)
            except SandboxError as error:
                failures.append(f"{self._bwrap}: {error}")
        raise SandboxError(
            "The strict sandbox can't start: "
            + ("; ".join(failures) or "there is no bubblewrap")
            + ". 'convgrade doctor' says what to do."
        )

    def _launch(self, command: Any, where: Any, imports: tuple[str, ...]) -> Started:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            "control_fd": theirs.fileno(),
            "imports": imports,
            "isolation": self.level,
            "device": self.runner.device,
        }
        with tempfile.TemporaryFile() as log:
            try:
                process = subprocess.Popen(
                    command(where, json.dumps(settings), self.runner),
                    env=isolation.environment(str(self._folder), self.runner) if self._folder else {},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder or "/",
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise SandboxError(str(error)) from error
            finally:
                theirs.close()
            if not self._awaited:
                return ours, process
            ours.settimeout(START_SECONDS)
            try:
                greeting = ours.recv(4096)
            except OSError:
                greeting = b""
            if greeting == b"ready":
                ours.settimeout(None)
                return ours, process
            process.kill()
            process.wait()
            ours.close()
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
        if not self._awaited:
            if select.select([self._control], [], [], 0)[0]:
                with contextlib.suppress(OSError):  # it may have ended
                    self._control.recv(4096)
            else:
                self._process.kill()  # it imports still, and has forked nothing
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        cpu, wall = self._limits.of_one_call(cpu_seconds)
        clock = {"id": self._next_id, "wall": wall, "cpu": cpu}
        self._channel.settimeout(wall + _HOST_PATIENCE)
        try:
            self._control.send(json.dumps(clock).encode())
            protocol.send(self._channel, message | {"id": self._next_id}, arrays)
            reply, out = self._receive_reply(outputs)
            self._control.send(b"{}")
        except (OSError, EOFError, protocol.ProtocolError) as error:
            broken = isinstance(error, protocol.ProtocolError)
            raise self._lost("protocol" if broken else None) from error
        finally:
            self.student_seconds += time.perf_counter() - began
        return reply, out, self._was_interrupted()

    def _receive_reply(self, outputs: list[dict[str, Any]] | None) -> tuple[dict[str, Any], list[Any]]:
        received, bytes_received = 0, 0
        while True:
            message, arrays = protocol.receive(self._channel)
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
        # Asked to end a process that was gone already, the watcher reports that it did.
        return Lost(reason or ("exit" if end == "ended" else end), ended.get("status"))

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
