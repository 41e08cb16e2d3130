"""Handing submissions out: to processes that die, and no faster than results are kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from autograder import batch, catalog, workers
from autograder.batch import Graded, Work
from autograder.intake import HandedIn
from autograder.sandbox.host import Limits, Sandbox
from autograder.sandbox.isolation import Level
from autograder.workers import News, Pool, run

from .test_batch import PROBLEM, by_student, result_of, work_of


def grade_or_die(work: Work) -> Graded:
    """Stand in for grading: some students' work ends its process, once or always."""
    if work.student.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if work.student.startswith("unlucky"):
        try:
            Path(work.course, work.student).touch(exist_ok=False)
        except FileExistsError:
            return Graded(result_of(work))
        os._exit(1)
    return Graded(result_of(work))


def start_forked(slots: int) -> Executor:
    return ProcessPoolExecutor(slots, mp_context=get_context("fork"))


@pytest.mark.parametrize("slots", [1, 3])
def test_a_worker_that_dies_costs_only_what_it_dies_of(slots: int) -> None:
    """Everybody else is graded, once each, however many submissions kill their worker."""
    students = ["ada", "deadly-1", "grace", "alan", "deadly-2", "deadly-3", "emmy", "kurt"]
    results = by_student(run(work_of(*students), Pool(slots, start_forked, grade_or_die)))
    assert set(results) == set(students)
    lost = {student for student, result in results.items() if result.status == "could_not_check"}
    assert lost == {"deadly-1", "deadly-2", "deadly-3"}
    assert results["deadly-1"].score is None
    assert "died twice" in results["deadly-1"].notes[0]


def test_a_worker_that_dies_by_bad_luck_costs_nothing(tmp_path: Path) -> None:
    """What was in hand when a worker died is graded on the second try."""
    work = work_of("ada", "unlucky", "grace", "kurt", course=str(tmp_path))
    results = by_student(run(work, Pool(2, start_forked, grade_or_die)))
    assert {result.status for result in results.values()} == {"graded"}
    assert len(results) == 4


class Inline(Executor):
    """Works at once, in this process, and notes what it was given."""

    def __init__(self, given: list[str], breaks_at: str = "") -> None:
        self.given = given
        self.breaks_at = breaks_at

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if args[0].student == self.breaks_at:
            raise BrokenProcessPool("a worker died with nothing in hand")
        self.given.append(args[0].student)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def test_an_executor_that_breaks_with_nothing_in_hand_costs_nothing() -> None:
    """The rest goes to a new one."""
    given: list[str] = []
    breaks = iter(["grace", ""])
    pool = Pool(2, lambda _: Inline(given, next(breaks)), grade_or_die)
    results = by_student(run(work_of("ada", "grace", "kurt"), pool))
    assert {result.status for result in results.values()} == {"graded"}
    assert given == ["ada", "grace", "kurt"]


def test_the_next_is_handed_out_when_a_finished_one_was_taken() -> None:
    """So whoever takes a result can keep it before more work is in hand than there are slots."""
    given: list[str] = []
    graded = run(work_of("ada", "grace", "alan", "kurt"), Pool(2, lambda _: Inline(given), grade_or_die))
    next(graded)
    assert len(given) == 2
    assert len(list(graded)) == 3


def test_a_fault_of_the_engine_costs_only_whom_it_met() -> None:
    """An error that nobody foresaw is no score, and its traceback is in the log, not in the notes."""

    def fail_for_grace(work: Work) -> Graded:
        if work.student == "grace":
            raise ZeroDivisionError("of the engine's own")
        return Graded(result_of(work))

    pool = Pool(1, lambda _: Inline([]), fail_for_grace)
    graded = {g.result.student: g for g in run(work_of("ada", "grace"), pool)}
    assert graded["ada"].result.status == "graded"
    assert (graded["grace"].result.status, graded["grace"].result.score) == ("could_not_check", None)
    assert "fail_for_grace" in graded["grace"].detail
    assert "fail_for_grace" not in " ".join(graded["grace"].result.notes)


# --- Workers of this machine ---------------------------------------------------------------------------


def test_no_more_work_is_read_than_there_are_slots() -> None:
    """A class's notebooks are never in memory all at once."""
    read: list[str] = []

    def reading() -> Iterator[Work]:
        for work in work_of(*(f"student-{number}" for number in range(20))):
            read.append(work.student)
            yield work

    graded = run(reading(), Pool(2, lambda _: Inline([]), grade_or_die))
    next(graded)
    assert len(read) <= 4
    assert len(list(graded)) == 19
    assert len(read) == 20


def test_workers_tell_what_they_do(tmp_path: Path) -> None:
    """Each submission is announced by the worker that takes it."""
    heard: list[News] = []
    unreadable = work_of("ada", "grace")
    with workers.processes(2, heard.append) as pool:
        results = by_student(run(unreadable, pool))
    assert {news.student for news in heard} == set(results) == {"ada", "grace"}


def test_workers_share_a_sandbox(level: Level) -> None:
    """They ask the warm process that they were given, and start their own where it is gone."""
    untouched = HandedIn(catalog.problem(PROBLEM).release.read_bytes(), "", (), "")
    work = [replace(each, handed_in=untouched, level=level) for each in work_of("ada", "grace", "linus")]
    with Sandbox(level) as sandbox:
        shared = {(level, ("numpy",)): sandbox}
        with workers.processes(1, sandboxes=shared) as pool, pool.start(1) as executor:
            first = executor.submit(batch.grade_one, work[0]).result()
            executor.submit(batch.drop_sandboxes).result()
        with closing(sandbox.job(Limits(), 0)) as job:
            assert job.run_cell("1", 0).ok
        sandbox._control.shutdown(socket.SHUT_RDWR)
        with workers.processes(1, sandboxes=shared) as pool, pool.start(1) as executor:
            others = [executor.submit(batch.grade_one, each).result() for each in work[1:]]
    assert [graded.result.status for graded in (first, *others)] == ["graded", "could_not_check", "graded"]


@pytest.mark.parametrize(
    ("limits", "cores", "jobs"),
    [
        ({"cpu.max": "150000 100000", "memory.max": str(64 << 30)}, 2, 2),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 8, 8),
        ({"cpu.max": "300000 100000", "memory.max": str(4 << 30)}, 3, 2),
        ({"memory.max": str(1 << 20)}, 8, 1),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8, 8),
        ({"memory/memory.limit_in_bytes": str(5 << 30)}, 8, 3),
        ({}, 8, 8),
    ],
)
def test_as_many_at_a_time_as_a_container_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str], cores: int, jobs: int
) -> None:
    """On a machine of eight cores and 64 GiB, with limits of a container in either version of the files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 16 << 20, "SC_PAGE_SIZE": 4096}.__getitem__)
    for name, content in limits.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert (workers.cores(tmp_path), workers.default_jobs(1024, tmp_path)) == (cores, jobs)


FAR_TOO_LONG = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from autograder import batch, catalog, workers

if __name__ == "__main__":
    with workers.processes(2) as pool:
        executor = pool.start(2)
        pids = {executor.submit(os.getpid).result() for _ in range(20)}
        print(*pids, flush=True)
        executor.submit(time.sleep, 600)
        time.sleep(600)
"""


def test_workers_end_with_the_process_that_asked_them(tmp_path: Path) -> None:
    """A grading that is killed leaves no process behind, at work or waiting."""
    script = tmp_path / "grading.py"
    script.write_text(FAR_TOO_LONG)
    grading = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert grading.stdout is not None
    pids = [int(pid) for pid in grading.stdout.readline().split()]
    assert pids
    grading.kill()
    grading.wait()
    until_gone(pids)


COPIES = """
import json, os, signal, sys, threading, time
from autograder import workers

known = "as it was imported"

def told():
    return known, os.getpid(), signal.getsignal(signal.SIGTERM)

if __name__ == "__main__":
    known = "as it is now"
    signal.signal(signal.SIGTERM, lambda *_: print("heard by a copy"))
    if sys.argv[1] == "beside a thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    processes = workers.Processes(2, forked=True)
    answers = [processes.submit(told).result() for _ in range(20)]
    assert {handler for _, _, handler in answers} == {signal.SIG_DFL}
    print(json.dumps([known for known, _, _ in answers]))
    print(json.dumps([pid for _, pid, _ in answers]), flush=True)
    processes.submit(time.sleep, 600)
    sys.stdin.readline()
    processes.shutdown(wait=False)
    print("done", flush=True)
    os._exit(0)  # whatever threads there are
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(
    ("where", "known"), [("alone", "as it is now"), ("beside a thread", "as it was imported")]
)
def test_forked_workers_are_copies_where_that_is_safe(
    tmp_path: Path, where: str, known: str, killed: bool
) -> None:
    """They take no signal for the process that they were copied from, and end with it, or when it says so."""
    script = tmp_path / "copies.py"
    script.write_text(COPIES)
    process = subprocess.Popen(
        [sys.executable, script, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert set(json.loads(process.stdout.readline())) == {known}
    pids = json.loads(process.stdout.readline())
    if killed:
        process.kill()
    else:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert not any(is_alive(pid) for pid in pids)
    process.communicate()
    until_gone(pids)


def until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived the process that asked it"
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("memory_mb", "cores", "installed_mb", "jobs"),
    [(1024, 8, 64_000, 8), (4096, 8, 16_000, 3), (4096, 2, 3_000, 1)],
)
def test_slots_are_counted_by_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, memory_mb: int, cores: int, installed_mb: int, jobs: int
) -> None:
    """As many as there are cores, unless that many of the largest submissions would not fit."""
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": installed_mb * 2**20 // 4096}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert workers.default_jobs(memory_mb) == jobs
