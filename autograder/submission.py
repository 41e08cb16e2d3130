"""What a grader asks of one student's notebook: the `submission` fixture."""

from __future__ import annotations

import contextlib
import copy
import itertools
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder import feedback, protocol
from autograder.errors import (
    NotAttempted,
    StudentCrash,
    StudentError,
    StudentTimeout,
    SubmissionError,
    Unreadable,
)
from autograder.lab import HeldNetwork, Lab, LocalLab, RebuiltModels, stand_in
from autograder.models import Model, Network
from autograder.notebook import SKIPPED_TAGS
from autograder.sandbox.host import Interrupted, Job, Limits, Lost, Sandbox

MAX_FILE = 32 * 2**20
"""Bytes of a file that a submission wrote and a grader reads."""


@dataclass(frozen=True)
class Call:
    """One question asked of a submission, and what came of it.

    Attributes:
        name: the function that was called.
        value: what it returned, where it did.
        error: what it met instead, where it did not return.
    """

    name: str
    args: tuple
    kwargs: dict[str, Any]
    value: Any = None
    error: SubmissionError | None = None


@dataclass(kw_only=True)
class Submission:
    """One student's executed notebook. ``submission.iou(a, b)`` calls the student's ``iou``.

    Subclasses say where the code runs, in `_call` and `_read`.

    Attributes:
        student: the owner, who is never taken from what the notebook says.
        calls: everything asked so far.
        cpu_limit: the seconds of processor time that a call may use now, where they are not the usual ones.
        advice: what to tell a student whose call used them up.
    """

    student: str
    calls: list[Call] = field(default_factory=list)
    cpu_limit: float | None = None
    advice: str = ""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the student's `function` and return its answer as plain values.

        Raises:
            SubmissionError: there is no answer; the subclass says why.
        """
        try:
            value = self._call(function, copy.deepcopy(args), copy.deepcopy(kwargs))
            self._reject_opaque(value, function)
        except SubmissionError as error:
            self.calls.append(Call(function, args, kwargs, error=error))
            raise
        self.calls.append(Call(function, args, kwargs, value=value))
        return value

    def value(self, name: str) -> Any:
        """Return the student's global variable `name`.

        Raises:
            SubmissionError: it is not there, or cannot be read.
        """
        value = self._read(name)
        self._reject_opaque(value, name)
        return value

    def forget(self) -> None:
        """Forget everything asked so far: it may be large, and reference cycles of pytest's keep it."""
        self.calls.clear()

    def file(self, path: str) -> bytes:
        """Return what the student's code wrote to the file `path`, of which nothing is verified.

        Raises:
            SubmissionError: there is no such file, or it can't be read.
        """
        content = self._read_file(path)
        if not isinstance(content, np.ndarray) or content.dtype != np.uint8 or content.nbytes > MAX_FILE:
            raise Unreadable(f"`{path}` is over {MAX_FILE >> 20} MB.")
        return content.tobytes()

    def _reject_opaque(self, value: Any, name: str) -> None:
        match value:
            case protocol.Opaque(type_name):
                raise Unreadable(f"`{name}` gave {self._describe_type(type_name)} that can't be read.")
            case list() | tuple():
                for item in value:
                    self._reject_opaque(item, name)
            case dict():
                for key, item in value.items():
                    self._reject_opaque(key, name)
                    self._reject_opaque(item, name)

    def _describe_type(self, type_name: str) -> str:
        return f"a value of type {type_name}"

    def limited(self, cpu_seconds: float, advice: str = "") -> LimitedSubmission:
        """Return a view of this submission whose calls may each use `cpu_seconds` of processor time.

        Args:
            advice: a sentence for those whose calls use more.
        """
        return LimitedSubmission(self, cpu_seconds, advice)

    def training(self, cpu_seconds: float) -> LimitedSubmission:
        """Return a view of this submission whose calls train a model within `cpu_seconds`."""
        return self.limited(cpu_seconds, "Train for fewer epochs, or make the model smaller.")

    @property
    def lab(self) -> Lab | LocalLab:
        """Where the grader's own functions run, with Keras."""
        raise NotImplementedError

    def _call(self, function: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _read(self, name: str) -> Any:
        raise NotImplementedError

    def _read_file(self, path: str) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class LimitedSubmission:
    """A submission whose calls have a budget of processor time of their own."""

    whole: Submission
    cpu_seconds: float
    advice: str = ""

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the student's `function` as `Submission.call` does, within the limit."""
        whole = self.whole
        before = whole.cpu_limit, whole.advice
        whole.cpu_limit, whole.advice = self.cpu_seconds, self.advice
        try:
            return whole.call(function, *args, **kwargs)
        finally:
            whole.cpu_limit, whole.advice = before

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)


@dataclass(kw_only=True)
class LocalSubmission(Submission):
    """Trusted code in this process: the reference solution, or a kernel that stock nbgrader runs."""

    namespace: dict[str, Any] = field(default_factory=dict)
    _lab: LocalLab = field(default_factory=LocalLab)

    @property
    def lab(self) -> LocalLab:
        """This process."""
        return self._lab

    def _call(self, function: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        target = self._find(function)
        arguments, named = self._lab.receive(args), self._lab.receive(kwargs)
        try:
            return self._lab.send(target(*arguments, **named))
        except NotImplementedError as error:
            raise NotAttempted(f"`{function}` is not written yet.") from error
        except Exception as error:
            raise StudentError(
                f"`{function}` raised {type(error).__name__}: {error}"
                f" (line {traceback.extract_tb(error.__traceback__)[-1].lineno})",
                tuple(kind.__name__ for kind in type(error).__mro__),
            ) from error

    def _read(self, name: str) -> Any:
        return self._lab.send(self._find(name))

    def _read_file(self, path: str) -> Any:
        try:
            return np.fromfile(path, np.uint8)
        except OSError:
            raise StudentError(f"There is no file `{path}`.") from None

    def _find(self, name: str) -> Any:
        if name not in self.namespace:
            raise NotAttempted(f"There is no `{name}` in the notebook.")
        return self.namespace[name]


CELL_OUTPUT, NOTEBOOK_OUTPUT = 17 * 2**16, 17 * 2**18
"""Characters of outputs that are kept: a bit more than the sandbox lets through."""
MAX_ANSWERS = 80 * 2**20
"""Bytes of arrays that one function may answer with in all: they are kept, to recognise slips by."""


@dataclass(kw_only=True)
class SandboxSubmission(Submission):
    """One student's notebook, executed in the sandbox.

    A cell or call that hangs or crashes costs its own question: the process is started again without
    that cell, at most `MAX_REBUILDS` times.

    Attributes:
        sandbox: forks the processes that the notebook runs in.
        notebook: repaired by intake; its cells' outputs are filled in here.
        untouched: questions whose body is still the released one.
        files: what lies beside the notebook, by name.
        on_training: is told which function begins to train.
        seconds: wall-clock time spent in the student's process, and in those of their models, so far.
    """

    sandbox: Sandbox
    notebook: NotebookNode
    untouched: frozenset[str]
    limits: Limits
    seed: int
    files: Mapping[str, bytes] = field(default_factory=dict)
    on_training: Callable[[str], object] = lambda function: None
    seconds: float = 0.0
    _job: Job | None = None
    _starts: int = 0
    _stopped: dict[int, SubmissionError] = field(default_factory=dict)
    _errors: dict[int, str] = field(default_factory=dict)
    _output_room: int = NOTEBOOK_OUTPUT
    _answered: dict[str, int] = field(default_factory=dict)
    _lab: Lab | None = None
    _rebuilt: RebuiltModels | None = None
    _given: list[Network] = field(default_factory=list)

    @property
    def lab(self) -> Lab:
        """Another fork of the same warm process, in which nothing of the student's ever runs."""
        if self._lab is None:
            self._lab = Lab(self.sandbox, self.limits, self.seed)
        return self._lab

    def forget(self) -> None:
        """Forget everything asked so far, and how much was answered."""
        super().forget()
        self._answered.clear()

    def execute(self) -> None:
        """Run the notebook's cells, keeping what they show; never raises for what a student wrote."""
        with contextlib.suppress(SubmissionError):  # every question says so when it is asked
            self._ready_job()

    def stopped(self) -> list[str]:
        """Return a sentence for each cell that had to be stopped."""
        code = [p for p, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]
        return [
            f"Code cell {code.index(position) + 1}: {error}"
            for position, error in sorted(self._stopped.items())
        ]

    def close(self) -> None:
        """End the student's process, and the one that models were built again in."""
        if self._job:
            self._job.close()
            self._job = None
        if self._rebuilt:
            self._rebuilt.close()
        if self._lab:
            self._lab.close()

    def _ready_job(self) -> Job:
        """Return a process in which all cells have run but those that stopped one before.

        Raises:
            StudentCrash: it was started too often.
            StudentTimeout: the notebook's time is used up.
        """
        while self._job is None:
            if self._starts > MAX_REBUILDS:
                raise StudentCrash(
                    f"The notebook's process was stopped {self._starts} times, so the rest was not run."
                )
            self._starts += 1
            self._job = self.sandbox.job(self.limits, self.seed)
            self._given.clear()
            for name, content in self.files.items():
                self._job.put_file(name, content)
            for position, cell in enumerate(self.notebook.cells):
                if _runs(cell) and position not in self._stopped and not self._run(position, cell):
                    break
        return self._job

    def _run(self, position: int, cell: NotebookNode) -> bool:
        """Run one cell; return False where that cost the process."""
        job = self._job
        assert job is not None
        try:
            self._spend_nothing_more()
            run = self._timed(job, lambda: job.run_cell(cell.source, position))
        except StudentTimeout as error:
            self._stopped[position] = error
            return True
        except Lost as lost:
            self._job = None
            self._stopped[position] = _explain(lost, "This cell", self.limits)
            cell.outputs = _clean_outputs([_stop_output(self._stopped[position])])
            return False
        if run.interrupted:
            self._stopped[position] = _explain(Lost("time"), "This cell", self.limits)
        if cell.execution_count is None:  # a rerun shows nothing new
            cell.execution_count = position + 1
            cell.outputs = self._kept(run.outputs)
            if run.interrupted:
                cell.outputs += _clean_outputs([_stop_output(self._stopped[position])])
        self._errors[position] = "" if run.ok else _last_error(cell.outputs)
        return True

    def _kept(self, outputs: list[dict[str, Any]]) -> list[NotebookNode]:
        """Return what is kept of a cell's outputs: a subverted process keeps to no caps of its own."""
        kept = []
        room = min(CELL_OUTPUT, self._output_room)
        for output in _clean_outputs(outputs):
            size = _characters(output)
            if size > room:
                break
            room -= size
            self._output_room -= size
            kept.append(output)
        return kept

    def _call(self, function: str, args: tuple, kwargs: dict[str, Any]) -> Any:
        trains = self.cpu_limit is not None and self.cpu_limit > self.limits.cpu_seconds
        if trains:
            self.on_training(function)
        with self.sandbox.runner.turn() if trains else contextlib.nullcontext():
            try:
                value = self._ask(
                    function, lambda job: job.call(function, args, kwargs, self.cpu_limit, self._stand_in)
                )
            except SubmissionError:
                self._given.clear()  # it may have ended before it had them
                raise
        # Asked all the same, since another cell may define what the released one left open.
        if value is None and function in self.untouched:
            raise NotAttempted(f"`{function}` is still as it was handed out.")
        return value

    def _read(self, name: str) -> Any:
        return self._ask(name, lambda job: job.read(name))

    def _read_file(self, path: str) -> Any:
        try:
            return self._ask(path, lambda job: job.read_file(path))
        except StudentError:
            raise StudentError(f"There is no file `{path}`.") from None

    def _stand_in(self, value: Any) -> Any:
        """Return what the student's process knows a model by."""
        if isinstance(value, Model) and isinstance(value.home, StudentModels):
            self.require(value.home.job)
            return value.number
        if isinstance(value, Model) and isinstance(value.home, HeldNetwork):
            return self._give(value.home.network)
        return stand_in(value)

    def _give(self, network: Network) -> dict[str, Any]:
        """Return what a network that the grader holds is sent as: whole once, and then by its number.

        Building it takes the student's process longer than most answers.
        """
        for number, given in enumerate(self._given):
            if given is network:
                return {"given": number}
        self._given.append(network)
        return {"config": network.config, "weights": network.weights, "given": len(self._given) - 1}

    def require(self, job: Job) -> None:
        """Make sure that the models of `job` are still there.

        Raises:
            StudentCrash: they were lost with their process.
        """
        if job is not self._job:
            raise StudentCrash("The model was lost when the notebook's process was stopped.")

    def rebuild(self, network: Network) -> Model:
        """Return the model built in another process, in which no student code ran."""
        self._spend_nothing_more()
        if self._rebuilt is None:
            self._rebuilt = RebuiltModels(self.sandbox, self.limits, self.seed, self._charge)
        return self._rebuilt.add(network)

    def ask_model(self, number: int, what: str, arguments: tuple) -> Any:
        """Ask the student's process about a model."""
        return self._ask(
            "the model", lambda job: job.ask_model(number, what, arguments, self.cpu_limit), keeps=False
        )

    def _ask(
        self, name: str, ask: Callable[[Job], tuple[dict[str, Any], list[Any]]], *, keeps: bool = True
    ) -> Any:
        """Ask the student's process and decode its reply.

        Args:
            keeps: the answer will be kept, so that its size counts.
        """
        job = self._ready_job()
        self._spend_nothing_more()
        try:
            reply, arrays = self._timed(job, lambda: ask(job))
        except Interrupted:
            raise _explain(Lost("time"), f"`{name}`", self.limits, self.cpu_limit, self.advice) from None
        except Lost as lost:
            self._job = None
            raise _explain(lost, f"`{name}`", self.limits, self.cpu_limit, self.advice) from None
        match reply["is"]:
            case "value":
                if keeps:
                    self._answered[name] = self._answered.get(name, 0) + sum(a.nbytes for a in arrays)
                if self._answered.get(name, 0) > MAX_ANSWERS:
                    raise Unreadable(f"`{name}` gave more than {MAX_ANSWERS >> 20} MB in all its answers.")
                try:
                    return protocol.decode(reply.get("value"), arrays, StudentModels(self, job).find)
                except protocol.ProtocolError:
                    raise Unreadable(f"`{name}` gave something that can't be read.") from None
            case "exception":
                raise self._student_error(name, reply)
            case _:
                raise self._missing(name)

    def _timed(self, job: Job, action: Callable[[], Any]) -> Any:
        before = job.student_seconds
        try:
            return action()
        finally:
            self._charge(job.student_seconds - before)

    def _charge(self, seconds: float) -> None:
        self.seconds += seconds

    def _spend_nothing_more(self) -> None:
        if self.seconds > self.limits.total_wall:
            raise StudentTimeout(
                f"The notebook as a whole ran for more than {self.limits.total_wall:g} seconds, "
                "so the rest was not run."
            )

    def _student_error(self, name: str, reply: dict[str, Any]) -> SubmissionError:
        """Put an exception of the student's into words; nothing in `reply` is verified."""
        kinds = tuple(str(kind)[:80] for kind in _as_list(reply.get("kinds")))[:20]
        if "NotImplementedError" in kinds:
            return NotAttempted(f"`{name}` is not written yet.")
        sources = self._sources()
        message = feedback.safe_message(kinds, str(reply.get("text", "")), "\n".join(sources.values()))
        place = ""
        for found in _as_list(reply.get("places")):
            match found:
                case [int(position), int(line)] if position in sources:
                    source = sources[position]
                    place = feedback.describe_place(source, line + _leading_blank_lines(source))
        return StudentError(f"`{name}` raised {message}{place}", kinds or ("Exception",))

    def _sources(self) -> dict[int, str]:
        return {n: c.source for n, c in enumerate(self.notebook.cells) if _runs(c)}

    def describe_layer(self, class_name: str) -> str:
        """Name a layer's class as `_describe_type` names a type."""
        source = "\n".join(self._sources().values())
        return f"a layer of {feedback.safe_type(class_name, source)}"

    def _describe_type(self, type_name: str) -> str:
        """Name a type without what its name may tell: code that knows hidden inputs may have chosen it."""
        source = "\n".join(self._sources().values())
        return f"a value of {feedback.safe_type(type_name, source)}"

    def _missing(self, name: str) -> SubmissionError:
        """Say why the notebook has no `name` after all its cells ran."""
        for position, cell in enumerate(self.notebook.cells):
            if cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") == name:
                if position in self._stopped:
                    return self._stopped[position]
                if self._errors.get(position):
                    return StudentError(
                        f"The cell of `{name}` stopped with {self._errors[position]}, "
                        f"so there is no `{name}`.",
                        ("CellError",),
                    )
        return NotAttempted(f"There is no `{name}` in the notebook.")


@dataclass(frozen=True, eq=False)
class StudentModels:
    """The home of the models of one of a submission's processes: what it says is the student's word."""

    submission: SandboxSubmission
    job: Job

    def find(self, number: Any) -> Model:
        """Return the model that `number` stands for."""
        if type(number) is not int or number < 0:
            raise protocol.ProtocolError("not a model's number")
        return Model(self, number)

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask the student's process about a model."""
        self.submission.require(self.job)
        return self.submission.ask_model(number, what, arguments)

    def rebuild(self, network: Network) -> Model:
        """Build a model where no student code ran."""
        return self.submission.rebuild(network)

    def describe_type(self, name: str) -> str:
        """Name a layer's class without what its name may tell."""
        return self.submission.describe_layer(name)


MAX_REBUILDS = 12
"""How often a submission's process is started again after it was lost.

More often than a problem has questions: a helper that crashes may cost all but one of them a process each,
and the one that does without it is still asked.
"""


def _runs(cell: NotebookNode) -> bool:
    """Say whether the engine runs a cell: tests, training and pictures of the course's own it skips."""
    grading = cell.metadata.get("nbgrader", {})
    if cell.cell_type != "code" or (grading.get("grade") and grading.get("locked")):
        return False
    return not (grading.get("locked") and SKIPPED_TAGS.intersection(cell.metadata.get("tags", ())))


def _leading_blank_lines(source: str) -> int:
    """Return how many lines IPython takes off a cell's beginning, and does not count."""
    lines = source.splitlines()
    return len(list(itertools.takewhile(lambda line: not line.strip(), lines)))


def _explain(
    lost: Lost, what: str, limits: Limits, cpu_limit: float | None = None, advice: str = ""
) -> StudentTimeout | StudentCrash:
    match lost.reason:
        case "time":
            return StudentTimeout(
                f"{what} was stopped: it used more than {cpu_limit or limits.cpu_seconds:g} seconds "
                "of processor time, or waited too long. " + (advice or "Is there a loop that never ends?")
            )
        case "memory":
            return StudentCrash(f"{what} was stopped: it used more than {limits.memory_mb} MB of memory.")
        case "output":
            return StudentCrash(f"{what} was stopped: it printed far too much.")
    return StudentCrash(f"{what} ended the notebook's process.")


def _stop_output(error: SubmissionError) -> dict[str, Any]:
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": str(error),
        "traceback": [str(error)],
    }


def _clean_outputs(outputs: list[dict[str, Any]]) -> list[NotebookNode]:
    """Return those of a student process's outputs that nbformat knows, with nothing else in them."""
    cleaned = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            cleaned.append(new_output("stream", name=name, text=_text(output.get("text", ""))))
        elif kind == "error":
            trace = [_text(line) for line in _as_list(output.get("traceback"))]
            cleaned.append(
                new_output("error", ename=_text(output.get("ename")), evalue=_text(output.get("evalue")),
                           traceback=trace)
            )  # fmt: skip
        elif kind in ("display_data", "execute_result") and isinstance(output.get("data"), dict):
            data = {k: _text(v) for k, v in output["data"].items() if k in _SHOWN and isinstance(v, str)}
            cleaned.append(new_output("display_data", data=data))
    return cleaned


def _text(value: Any) -> str:
    """Return a text that every file and database can hold: half a surrogate pair becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode()


_SHOWN = ("text/plain", "text/html", "text/latex", "text/markdown", "image/png", "image/jpeg")


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_characters, parts))


def _last_error(outputs: list[NotebookNode]) -> str:
    found = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
    return found[-1][:300] if found else "an error"


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else []
