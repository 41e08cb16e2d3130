"""Handing submissions out to workers: processes of this machine, or those of a cluster.

Work goes out as bytes and comes back as bytes, so that workers need share no disk. Each result is taken
and kept by whoever asks before the next submission is handed out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autograder import batch
from autograder.batch import Batch, Graded, Waiting, Work
from autograder.errors import CourseError
from autograder.results import Result

SPARE_MB = 1_024
"""Memory that is left to the system, in 2^20 bytes, where slots are counted by memory."""
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells a container its limits: version 2 in files here, version 1 in a folder for each kind."""
CONNECT_SECONDS = 20
"""How long a scheduler is looked for."""
WARM_MB = 600
"""What the warm process with TensorFlow takes beside the submissions that it forks, in 2^20 bytes."""


@dataclass(frozen=True)
class News:
    """What a worker is doing.

    Attributes:
        training: the function that trains a model just now; empty where none does.
    """

    student: str
    problem: str
    training: str = ""


Hear = Callable[[News], object]


@dataclass(frozen=True)
class Pool:
    """Workers that can be started, as often as one of them dies.

    Attributes:
        slots: how many submissions they grade at a time.
        start: starts an executor with that many workers.
        grade: what a worker runs.
    """

    slots: int
    start: Callable[[int], Executor]
    grade: Callable[[Work], Graded] = batch.grade_one


class Processes(ProcessPoolExecutor):
    """Processes of this machine that end without a word, and with the process that started them.

    `shutdown` without waiting ends them at once, whatever they are at; so does the death of their parent,
    which closes no queue, and whose workers would wait for ever.

    Args:
        slots: how many.
        begin: what each of them calls first, if anything, with `arguments`.
        forked: start them as copies of this process, which need import nothing again. Where that is not safe,
            on other systems than Linux or beside other threads, they are started as always.
    """

    def __init__(
        self, slots: int, begin: Callable[..., object] | None = None, *arguments: Any, forked: bool = False
    ) -> None:
        safe = sys.platform == "linux" and threading.active_count() == 1
        context = multiprocessing.get_context("fork" if forked and safe else "spawn")
        self._their_end, self._lifeline = context.Pipe(duplex=False)
        inherited = self._lifeline if context.get_start_method() == "fork" else None
        with _held_back():
            super().__init__(slots, context, _begin, (self._their_end, inherited, begin, *arguments))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand out a call; the first one starts the processes."""
        with _held_back():
            return super().submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the processes finish and end, or end them at once; return when they are gone."""
        if not wait:
            self._lifeline.close()
        super().shutdown(cancel_futures=cancel_futures)
        self._lifeline.close()
        self._their_end.close()


_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all processes of the command in front."""


@contextmanager
def _held_back() -> Iterator[None]:
    """Let processes start without those signals, which they can't take quietly yet.

    This process gets them a moment later; its workers let them in again, multiprocessing's own helper never.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(
    lifeline: Connection,
    inherited: Connection | None,
    begin: Callable[..., object] | None,
    *arguments: Any,
) -> None:
    """Make this process a worker: it ends without a word when interrupted, and with its `lifeline`.

    Args:
        inherited: a copy of the other end, which would keep the lifeline open.
    """
    if inherited:
        inherited.close()
        gc.freeze()  # what is looked at by no collection stays shared with the process that it is a copy of
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):  # of the process that this is a copy of
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINAL_SIGNALS)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()  # nobody ever sends any
    os._exit(1)


@contextmanager
def processes(
    jobs: int,
    hear: Hear = lambda news: None,
    sandboxes: batch.Sandboxes | None = None,
    early: bool = False,
) -> Iterator[Pool]:
    """Offer `jobs` processes of this machine.

    Args:
        hear: is told what the processes are doing, from a thread of its own.
        sandboxes: what all of them grade in; otherwise each starts its own.
        early: whether they begin at once, before there is work for them: as copies of this process, or to
            import what they need.
    """
    heard, reports = multiprocessing.Pipe(duplex=False)
    shared = sandboxes or {}
    begun = [Processes(jobs, _prepare, reports, shared, forked=True)] if early else []
    for executor in begun:
        for _ in range(jobs):
            executor.submit(os.getpid)  # which starts one
    listener = threading.Thread(target=_listen, args=(heard, hear), daemon=True)
    listener.start()

    def start(slots: int) -> Executor:
        return begun.pop() if begun else Processes(slots, _prepare, reports, shared)

    try:
        yield Pool(jobs, start, _grade_and_tell)
    finally:
        for executor in begun:
            executor.shutdown(wait=False)
        reports.send_bytes(b"null")
        listener.join()
        heard.close()
        reports.close()


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """Offer the workers of a dask scheduler.

    Raises:
        CourseError: dask is not installed, there is no scheduler or no worker, or the scheduler was lost.
    """
    try:
        from distributed import Client
        from distributed.client import ClosedClientError
    except ImportError:
        raise CourseError("--scheduler needs dask: pip install -e '.[cluster]'.") from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise CourseError(f"There is no dask scheduler at {address} ({error}).") from None
    try:
        threads = client.nthreads()
        if not threads:
            raise CourseError(
                f"The scheduler at {address} has no workers yet. Start some with 'dask worker {address}'."
            )
        # The same submission may be graded twice on purpose: what it gives is not to be remembered.
        yield Pool(sum(threads.values()), lambda slots: client.get_executor(pure=False))
    except (CancelledError, ClosedClientError) as error:
        raise CourseError(
            f"The scheduler at {address} was lost. Finished results are kept; run the command again when it "
            "is there."
        ) from error
    finally:
        client.close()


_reports: Connection | None = None
"""Where this worker tells what it is doing."""


def _prepare(reports: Connection, sandboxes: batch.Sandboxes) -> None:
    global _reports
    _reports = reports
    batch.use_sandboxes(sandboxes)


def _grade_and_tell(work: Work) -> Graded:
    _tell(News(work.student, work.problem))
    return batch.grade_one(work, lambda function: _tell(News(work.student, work.problem, function)))


def _tell(news: News) -> None:
    assert _reports is not None
    # One write of a few bytes, which needs no lock that a dying worker could keep.
    _reports.send_bytes(json.dumps(dataclasses.astuple(news)).encode())


def _listen(heard: Connection, hear: Hear) -> None:
    while (told := json.loads(heard.recv_bytes())) is not None:
        hear(News(*told))


def cores(control_groups: Path = CONTROL_GROUPS) -> int:
    """Return how many cores this process may use, in a container too."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    older = control_groups / "cpu"
    for limit in (
        _numbers(control_groups / "cpu.max"),
        _numbers(older / "cpu.cfs_quota_us") + _numbers(older / "cpu.cfs_period_us"),
    ):
        if len(limit) == 2:
            of_each_period, period = limit
            here = min(here, math.ceil(of_each_period / period))
    return here


def _numbers(file: Path) -> list[int]:
    """Return the positive numbers that a control group's file holds; words and -1 stand for no limit."""
    try:
        return [int(word) for word in file.read_text().split() if word.isdecimal()]
    except OSError:
        return []


def default_jobs(memory_mb: int, control_groups: Path = CONTROL_GROUPS) -> int:
    """Return how many submissions this machine, or this container, can grade at a time.

    Args:
        memory_mb: what the largest may use, in 2^20 bytes.
    """
    limits = _numbers(control_groups / "memory.max")
    limits += _numbers(control_groups / "memory" / "memory.limit_in_bytes")
    with contextlib.suppress(ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    at_most = cores(control_groups)
    if limits:
        at_most = min(at_most, ((min(limits) >> 20) - SPARE_MB - WARM_MB) // memory_mb)
    return max(1, at_most)


def grade_all(planned: Batch, pool: Pool) -> Generator[Graded, None, None]:
    """Grade a batch and yield what is finished, in the order it finishes.

    What was taken away since it was planned is left out.
    """
    yield from run(_still_there(planned.waiting), pool)


def _still_there(planned: Iterable[Waiting]) -> Iterator[Work]:
    for waiting in planned:
        work = waiting.load()
        if waiting.is_there():
            yield work


def run(work: Iterable[Work], pool: Pool) -> Generator[Graded, None, None]:
    """Grade `work` and yield what is finished; one more is handed out when one that is finished was taken.

    A worker that dies takes its executor with it. What was in hand then is tried again, each alone, and
    only what its worker dies of again could not be checked.
    """
    source, waiting = iter(work), deque[Work]()
    while _fill(waiting, source, pool.slots):
        for suspect in (yield from _until_a_worker_dies(waiting, source, pool)):
            alone = dataclasses.replace(pool, slots=1)
            if (yield from _until_a_worker_dies(deque([suspect]), iter(()), alone)):
                yield _not_checked(suspect, "The process that graded it died twice; run the command again.")


def _fill(waiting: deque[Work], source: Iterator[Work], number: int) -> bool:
    """Take work until `number` are waiting; say whether any is."""
    while len(waiting) < number and (work := next(source, None)) is not None:
        waiting.append(work)
    return bool(waiting)


def _until_a_worker_dies(
    waiting: deque[Work], source: Iterator[Work], pool: Pool
) -> Generator[Graded, None, Collection[Work]]:
    """Grade and take away what is waiting; return what was in hand when a worker died, if one did."""
    in_hand: dict[Future[Graded], Work] = {}
    lost: list[Work] = []
    with stopped_on_error(pool.start(min(pool.slots, max(len(waiting), 1)))) as executor:
        while in_hand or (_fill(waiting, source, pool.slots) and not lost):
            while len(in_hand) < pool.slots and not lost and _fill(waiting, source, 1):
                try:
                    in_hand[executor.submit(pool.grade, waiting[0])] = waiting[0]
                except BrokenExecutor:  # one died with nothing in hand, or a moment ago
                    break
                waiting.popleft()
            if not in_hand:
                break
            finished, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            for future in finished:
                item = in_hand.pop(future)
                try:
                    graded = future.result()
                except BrokenExecutor:
                    lost.append(item)
                    continue
                except CancelledError:  # with the scheduler, all that was in hand is gone
                    raise
                except Exception as error:  # a fault of the engine's own stops nobody else's grading
                    graded = _not_checked(
                        item,
                        f"The engine failed: {type(error).__name__}. The submission's log says where; "
                        "please report it.",
                        "".join(traceback.format_exception(error)),
                    )
                yield graded
    return lost


@contextmanager
def stopped_on_error(executor: Executor) -> Iterator[Executor]:
    """Stop workers at once on an error or an interrupt: nobody would take what they do."""
    with executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)
            raise


def _not_checked(work: Work, why: str, detail: str = "") -> Graded:
    result = Result(
        work.course, work.student, work.problem, "could_not_check", None, 0.0, notes=[why],
        isolation=work.level, seed=batch.seed_of(work.problem), submission_sha256=work.handed_in.sha256,
        grader_sha256=work.grader_sha256, versions=batch.versions(),
    )  # fmt: skip
    return Graded(result, detail=detail or why)
