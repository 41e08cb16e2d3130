"""What runs a student's notebook: executes cells with IPython, then answers calls.

Everything in this process, this module too, may be subverted by the student's code: whoever reads its
frames must not believe them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from autograder import protocol
from autograder.sandbox.models import Models, build

CELL_OUTPUT = 2**20
"""Characters of output that one cell may send."""
NOTEBOOK_OUTPUT = 4 * 2**20
"""Characters of output that all cells together may send."""
CELL_OUTPUTS = 500
"""Outputs that one cell may send: text, until there is something else to show, is one."""
MAX_FILE = 32 * 2**20
"""Bytes of a file that is asked for; of a larger one, one byte more comes."""
_CHUNK = 2**16


class _Outputs:
    """Sends what a cell shows, in nbformat's terms, until it has shown too much."""

    def __init__(self) -> None:
        self.send: Callable[[dict[str, Any]], None] = lambda output: None
        self.pending: dict[str, list[str]] = {}
        self.pending_size = 0
        self.cell_room = self.notebook_room = self.cell_outputs = 0
        self.was_cut = False

    def begin_cell(self) -> None:
        self.cell_room = min(CELL_OUTPUT, self.notebook_room)
        self.cell_outputs = CELL_OUTPUTS
        self.was_cut = False

    def text(self, name: str, text: str) -> None:
        if name not in self.pending:
            self.flush()
        taken = text[: self.cell_room]
        self.was_cut |= len(taken) < len(text)
        self._spend(len(taken))
        if taken:
            self.pending.setdefault(name, []).append(taken)
            self.pending_size += len(taken)
            if self.pending_size > _CHUNK:
                self.flush()

    def flush(self) -> None:
        for name, parts in self.pending.items():
            self._count_and_send({"output_type": "stream", "name": name, "text": "".join(parts)})
        self.pending, self.pending_size = {}, 0

    def rich(self, output: dict[str, Any]) -> None:
        self.flush()
        size = len(repr(output))
        if size > self.cell_room:
            self.was_cut = True
            return
        self._spend(size)
        self._count_and_send(output)

    def _count_and_send(self, output: dict[str, Any]) -> None:
        self.cell_outputs -= 1
        if self.cell_outputs < 0:
            self.cell_room = 0
            self.was_cut = True
        else:
            self.send(output)

    def _spend(self, size: int) -> None:
        self.cell_room -= size
        self.notebook_room -= size


OUTPUTS = _Outputs()
MODELS = Models()


class _Publisher(DisplayPublisher):
    def publish(self, data: Any, metadata: Any = None, *_: Any, **__: Any) -> None:
        OUTPUTS.rich({"output_type": "display_data", "data": data, "metadata": metadata or {}})


class _Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
        OUTPUTS.rich({"output_type": "execute_result", "data": format_dict, "metadata": md_dict or {}})


class _Compiler(CachingCompiler):
    """Names every cell's code by its position, so that a traceback says which cell it is in."""

    position = 0

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return f"<cell {self.position}>"


class _Shell(InteractiveShell):
    display_pub_class = _Publisher
    displayhook_class = _Hook
    compiler_class = _Compiler

    def enable_gui(self, gui: str | None = None) -> None:
        pass

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        OUTPUTS.rich(
            {
                "output_type": "error",
                "ename": etype.__name__,
                "evalue": str(evalue)[:2000],
                "traceback": stb,
            }
        )


class _Stream(io.TextIOBase):
    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, text: str) -> int:
        OUTPUTS.text(self._name, text)
        return len(text)


def prepare() -> _Shell:
    """Make the shell that forked processes will use, and import what its first cell would."""
    config = Config(
        {
            "HistoryManager": {"enabled": False},
            "InteractiveShell": {"colors": "nocolor", "xmode": "Plain", "cache_size": 0},
        }
    )
    shell = _Shell.instance(config=config)  # display() and inline pictures ask for the one instance
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell("%matplotlib inline\nNone", store_history=False, silent=True)
    shell.reset(new_session=False)
    return shell


def serve(shell: _Shell, channel: socket.socket, seed: int) -> None:
    """Answer the frames that come over `channel` until it closes."""
    _make_deterministic()
    _seed(seed)
    sys.path.insert(0, "")  # notebooks import what lies beside them
    sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
    OUTPUTS.send = lambda output: _send_output(channel, output)
    OUTPUTS.notebook_room = NOTEBOOK_OUTPUT
    protocol.send(channel, {"is": "ready"})
    while True:
        try:
            message, arrays = protocol.receive(channel)
        except EOFError:
            return
        try:
            reply, out = _answer(shell, message, arrays, seed)
        except KeyboardInterrupt as interrupt:  # it came just after the student's code was through
            reply, out = _describe_exception(interrupt), []
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # while no student code runs, there is nothing to stop
        try:
            protocol.send(channel, reply | {"id": message["id"]}, out)
        except protocol.ProtocolError:  # more text than one frame holds
            large = {"t": "opaque", "type": "text (too large)"}
            protocol.send(channel, {"is": "value", "value": large, "id": message["id"]})


def _answer(
    shell: _Shell, message: dict[str, Any], arrays: list[np.ndarray], seed: int
) -> tuple[dict[str, Any], list[np.ndarray]]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    match message["do"]:
        case "cell":
            return _run_cell(shell, message), []
        case "call":
            _seed(seed)  # what a call draws must not depend on which calls came before
            return _call(shell, message, arrays)
        case "model":
            return _ask_model(message, arrays)
        case "build":  # from no seed: all that is drawn is replaced by the weights that came
            weights = protocol.decode(message["weights"], arrays)
            return _reply(lambda: build(message["config"], weights))
        case "put":
            content = protocol.decode(message["content"], arrays)
            return _reply(lambda: content.tofile(message["name"]))
        case "file":
            return _reply(lambda: np.fromfile(message["name"], np.uint8, MAX_FILE + 1))
        case _:
            return _read(shell, message)


def _make_deterministic() -> None:
    """Fix in which order TensorFlow sums: one thread gives the same numbers on every machine's load."""
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_tensor_float_32_execution(False)
        tf.config.experimental.enable_op_determinism()
        _spare_tensorflow_needless_seeds()


def _spare_tensorflow_needless_seeds() -> None:
    """Let TensorFlow be given the seed that it has already only if something may have drawn from it.

    With every seed it throws away all kernels that it has compiled, and makes them again in the next call.
    What draws asks for its own seeds first, but a function that was traced only once: from the first time on
    no seed is spared.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context
    from tensorflow.python.framework import random_seed

    get_seed, set_seed = random_seed.get_seed, tf.random.set_seed
    has_drawn = False

    @functools.wraps(get_seed)
    def remember_and_get_seed(op_seed: Any) -> Any:
        nonlocal has_drawn
        has_drawn = True
        return get_seed(op_seed)

    @functools.wraps(set_seed)
    def set_seed_if_needed(seed: Any) -> None:
        if has_drawn or seed != context.global_seed():
            set_seed(seed)

    random_seed.get_seed, tf.random.set_seed = remember_and_get_seed, set_seed_if_needed


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)


def _send_output(channel: socket.socket, output: dict[str, Any]) -> None:
    # What JSON can't say is shown by a student's own object; the cell goes on without it.
    with contextlib.suppress(TypeError, ValueError, protocol.ProtocolError):
        protocol.send(channel, {"is": "output", "output": output})


def _run_cell(shell: _Shell, message: dict[str, Any]) -> dict[str, Any]:
    _Compiler.position = message["position"]
    OUTPUTS.begin_cell()
    try:
        result = shell.run_cell(message["source"], store_history=False)
        ok = bool(result.success)
    except BaseException:  # an interrupt between two of IPython's own lines
        ok = False
    OUTPUTS.flush()
    return {"is": "done", "ok": ok, "full": OUTPUTS.was_cut}


def _call(
    shell: _Shell, message: dict[str, Any], arrays: list[np.ndarray]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    if message["name"] not in shell.user_ns:
        return {"is": "missing"}, []

    def call() -> Any:
        args, kwargs = protocol.decode(message["arguments"], arrays, MODELS.find)
        return shell.user_ns[message["name"]](*args, **kwargs)

    return _reply(call)


def _ask_model(message: dict[str, Any], arrays: list[np.ndarray]) -> tuple[dict[str, Any], list[np.ndarray]]:
    arguments = protocol.decode(message["arguments"], arrays)
    return _reply(lambda: MODELS.answer(message["number"], message["what"], arguments))


def _read(shell: _Shell, message: dict[str, Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
    if message["name"] not in shell.user_ns:
        return {"is": "missing"}, []
    return _reply(lambda: shell.user_ns[message["name"]])


def _reply(ask: Callable[[], Any]) -> tuple[dict[str, Any], list[np.ndarray]]:
    with _quiet():
        try:
            tree, out = protocol.encode(ask(), MODELS.name)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers here too
            return _describe_exception(error), []
    return {"is": "value", "value": tree}, out


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Show nothing of what hidden calls print: they know hidden inputs."""
    room = OUTPUTS.notebook_room
    OUTPUTS.cell_room = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    OUTPUTS.notebook_room = room


def _describe_exception(error: BaseException) -> dict[str, Any]:
    """Say what was raised, and where in the student's own cells, innermost last."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith("<cell "):
            places.append([int(name[6:-1]), trace.tb_lineno])
        trace = trace.tb_next
    try:
        text = str(error)[:2000]
    except BaseException:
        text = ""
    return {
        "is": "exception",
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "text": text,
        "places": places[-20:],
    }
