"""Processes in which models live and only trusted code runs.

A grader computes with Keras in a `Lab` of its own, so that no TensorFlow is needed where it runs itself.
A student's models are built again in another, and nothing else ever runs there.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import json
import textwrap
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autograder import protocol
from autograder.errors import (
    GraderError,
    StudentCrash,
    StudentError,
    StudentTimeout,
    SubmissionError,
    Unreadable,
)
from autograder.models import Model, Network
from autograder.sandbox import models
from autograder.sandbox.host import Interrupted, Job, Limits, Lost, Sandbox


def stand_in(value: Any) -> Any:
    """Return what a model is sent as into a process that does not have it."""
    if isinstance(value, Model):
        try:
            value = value.network()
        except Unreadable as error:
            if isinstance(value.home, Lab):
                raise GraderError(f"A model of the grader can't be sent: {error}") from error
            raise
    return {"config": value.config, "weights": value.weights} if isinstance(value, Network) else None


@dataclass(frozen=True, eq=False)
class HeldNetwork:
    """The home of one of the grader's own models, which is built in the lab when more is asked of it."""

    lab: Lab | LocalLab
    network: Network

    @functools.cached_property
    def _built(self) -> Model:
        return self.lab.rebuild(self.network)

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask about the model."""
        if what == "network":
            return {"config": self.network.config, "weights": self.network.weights}
        return self.lab.ask_model(self._built.number, what, *arguments)

    def rebuild(self, network: Network) -> Model:
        """Return another model of the same config and weights."""
        return self.lab.rebuild(network)

    def describe_type(self, name: str) -> str:
        """Name a class."""
        return name


@dataclass(eq=False)
class Lab:
    """A fork of the warm process that runs the grader's own functions; it starts when first needed."""

    sandbox: Sandbox
    limits: Limits
    seed: int
    _job: Job | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the grader's there; models come back as `Model`.

        Args:
            function: it must import what it uses itself, since only its own source is sent.

        Raises:
            GraderError: it failed.
        """
        job = self._ready_job()
        source = _WITHOUT_NAMES_IN_HINTS + textwrap.dedent(inspect.getsource(function))
        try:
            run = job.run_cell(source, 0)
            reply, arrays = job.call(function.__name__, args, kwargs, self.limits.total_cpu, self._stand_in)
            return self._read(reply, arrays, str(run.outputs[-1:]))
        except (Lost, Interrupted) as error:
            self.close()
            raise GraderError(f"{function.__name__} of the grader did not end well: {error!r}.") from error

    def _stand_in(self, value: Any) -> Any:
        return value.number if isinstance(value, Model) and value.home is self else stand_in(value)

    def once(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of the grader's once for a whole class, whose hidden inputs are the same.

        Returns:
            What it gave to the first submission that was graded in this process; of a model, its `Network`.
        """
        return copy.deepcopy(_remembered(function, args, lambda: self(function, *args)))

    def hold(self, network: Network) -> Model:
        """Return a model that students can be given, and that is built here only if it is asked.

        A student who is given it again meets the same object, with whatever was done to it.
        """
        return Model(HeldNetwork(self, network), 0)

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask about a model that lives here.

        Raises:
            GraderError: there was no answer.
        """
        try:
            reply, arrays = self._ready_job().ask_model(number, what, arguments, self.limits.total_cpu)
        except (Lost, Interrupted) as error:
            self.close()
            raise GraderError(f"A model of the grader was lost: {error!r}.") from error
        return self._read(reply, arrays, "")

    def rebuild(self, network: Network) -> Model:
        """Return another model of the same config and weights that lives here."""
        return self(_same, network)

    def describe_type(self, name: str) -> str:
        """Name a class of the grader's own."""
        return name

    def close(self) -> None:
        """End the process; a later call starts another."""
        if self._job:
            self._job.close()
            self._job = None

    def _ready_job(self) -> Job:
        if self._job is None:
            self._job = self.sandbox.job(self.limits, self.seed)
        return self._job

    def _read(self, reply: dict[str, Any], arrays: list[Any], shown: str) -> Any:
        if reply.get("is") != "value":
            met = f"{reply.get('kinds')} {reply.get('text')}"
            raise GraderError(f"The grader's own code failed: {met} {shown}")
        return protocol.decode(reply.get("value"), arrays, lambda number: Model(self, number))


MAX_REMEMBERED = 64
"""Answers that `Lab.once` keeps in this process."""
_answers: OrderedDict[bytes, Any] = OrderedDict()


def _remembered(function: Callable[..., Any], args: tuple, ask: Callable[[], Any]) -> Any:
    """Return the answer to these arguments, which `ask` finds where it is not known yet."""
    tree, arrays = protocol.encode(args, stand_in)
    digest = hashlib.sha256(json.dumps([inspect.getsource(function), tree]).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    key = digest.digest()
    if key not in _answers:
        value = ask()
        _answers[key] = value.network() if isinstance(value, Model) else value
        while len(_answers) > MAX_REMEMBERED:
            _answers.popitem(last=False)
    return _answers[key]


_WITHOUT_NAMES_IN_HINTS = "from __future__ import annotations\n"


def _same(model: Any) -> Any:
    return model


ROOM = 128 * 2**20
"""Bytes of the weights of a student's models that share one process; more are given a new one."""


@dataclass(eq=False)
class RebuiltModels:
    """The home of a student's models that were built again from what can be trusted of them.

    They share one process, in which nothing else runs. It may end at any time: the next question starts
    another, and what ended it is asked once more alone, so that no model answers for its neighbours.

    Attributes:
        charge: is told the seconds that each answer took.
    """

    sandbox: Sandbox
    limits: Limits
    seed: int
    charge: Callable[[float], object] = lambda seconds: None
    _networks: list[Network] = field(default_factory=list)
    _job: Job | None = None
    _built: dict[int, int] = field(default_factory=dict)

    def add(self, network: Network) -> Model:
        """Return a model that is built when it is first asked."""
        self._networks.append(network)
        return Model(self, len(self._networks) - 1)

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask about a model.

        Raises:
            SubmissionError: it can't be built, or can't do what is asked of it.
        """
        began = time.perf_counter()
        try:
            reply, arrays = self._ask(number, what, arguments)
        finally:
            self.charge(time.perf_counter() - began)
        if reply.get("is") != "value":
            kind = next(iter(reply.get("kinds") or ()), "an exception")
            raise StudentError(f"The model, built again, could not {_ASKED[what]}: {str(kind)[:80]}.")
        return protocol.decode(reply.get("value"), arrays)

    def _ask(self, number: int, what: str, arguments: tuple) -> tuple[dict[str, Any], list[Any]]:
        while True:
            alone = self._built.keys() <= {number}
            try:
                job, known_as = self._build(number)
                reply = job.ask_model(known_as, what, arguments, self.limits.cpu_seconds * 4)
                _require_memory(reply[0])
                return reply
            except (Lost, Interrupted) as error:
                self.close()
                if alone or _is_late(error):  # a clock runs for one question, whoever else is there
                    raise _explain(error, self.limits) from None

    def _build(self, number: int) -> tuple[Job, int]:
        """Return the process, and what it knows a model by."""
        network = self._networks[number]
        taken = sum(_size(self._networks[other]) for other in self._built)
        if number not in self._built and self._built and taken + _size(network) > ROOM:
            self.close()
        if self._job is None:
            self._job = self.sandbox.job(self.limits, self.seed)
        if number not in self._built:
            limit = self.limits.cpu_seconds * 4
            reply, _ = self._job.build_model(network.config, network.weights, limit)
            _require_memory(reply)
            if reply.get("is") != "value":
                kind = next(iter(reply.get("kinds") or ()), "an exception")
                raise StudentError(
                    f"The model can't be built again from its config and weights: {str(kind)[:80]}. "
                    "Use Keras's own layers and functions only."
                )
            self._built[number] = protocol.decode(reply.get("value"), [], lambda known_as: known_as)
        return self._job, self._built[number]

    def rebuild(self, network: Network) -> Model:
        """Return another model of the same config and weights that lives here."""
        return self.add(network)

    def describe_type(self, name: str) -> str:
        """Name a class, which is one of Keras's own."""
        return name

    def close(self) -> None:
        """End the process, if there is one."""
        self._built.clear()
        if self._job:
            self._job.close()
            self._job = None


def _size(network: Network) -> int:
    return sum(weight.nbytes for weight in network.weights)


def _require_memory(reply: dict[str, Any]) -> None:
    """Treat a process that could not get memory as one that was ended for it.

    Raises:
        Lost: it could not.
    """
    if _OUT_OF_MEMORY.intersection(reply.get("kinds") or ()):
        raise Lost("memory")


_OUT_OF_MEMORY = frozenset({"ResourceExhaustedError", "MemoryError"})
_ASKED = {
    "describe": "be described",
    "predict": "predict what the grader gave it",
    "evaluate": "be evaluated (is it compiled, with its loss and metrics?)",
    "network": "be read",
    "shares": "be compared with another",
}


def _is_late(error: Lost | Interrupted) -> bool:
    return isinstance(error, Interrupted) or error.reason == "time"


def _explain(error: Lost | Interrupted, limits: Limits) -> SubmissionError:
    if isinstance(error, Interrupted) or error.reason == "time":
        return StudentTimeout("The model, built again, took too long to answer: make it smaller.")
    if error.reason == "memory":
        return StudentCrash(f"The model, built again, used more than {limits.memory_mb} MB: make it smaller.")
    return StudentCrash("The model, built again, ended its process.")


@dataclass(eq=False)
class LocalLab:
    """This process as a lab: for trusted solutions, and for a kernel that stock nbgrader runs."""

    held: models.Models = field(default_factory=models.Models)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function here, with models for what stands for them, and the other way round."""
        arguments, named = self.receive(args), self.receive(kwargs)
        return self.send(function(*arguments, **named))

    def once(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function here; of a model, its `Network` is returned."""
        value = self(function, *args)
        return value.network() if isinstance(value, Model) else value

    def hold(self, network: Network) -> Model:
        """Return a model that is built when it is asked."""
        return Model(HeldNetwork(self, network), 0)

    def receive(self, value: Any) -> Any:
        """Return `value` as it would arrive where a function is called."""
        tree, arrays = protocol.encode(value, self._stand_in)
        return protocol.decode(tree, [array.copy() for array in arrays], self.held.find)

    def send(self, value: Any) -> Any:
        """Return `value` as it would come back from there."""
        tree, arrays = protocol.encode(value, self.held.name)
        copied = [array.copy() for array in arrays]
        return protocol.decode(tree, copied, lambda number: Model(self, number))

    def _stand_in(self, value: Any) -> Any:
        return value.number if isinstance(value, Model) and value.home is self else stand_in(value)

    def ask_model(self, number: int, what: str, *arguments: Any) -> Any:
        """Ask about a model that lives here."""
        try:
            return self.send(self.held.answer(number, what, arguments))
        except Exception as error:
            raise StudentError(
                f"The model could not {_ASKED[what]}: {type(error).__name__}: {error}."
            ) from error

    def rebuild(self, network: Network) -> Model:
        """Return another model of the same config and weights that lives here."""
        return self(_same, network)

    def describe_type(self, name: str) -> str:
        """Name a class."""
        return name

    def close(self) -> None:
        """Forget the models."""
        self.held = models.Models()
