"""Grading on a cluster: a real dask scheduler and workers over TCP on loopback, without a shared disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autograder import batch, catalog, demo, workers
from autograder.catalog import Course
from autograder.errors import CourseError
from autograder.results import Result
from autograder.sandbox.isolation import Level

pytest.importorskip("distributed", reason="dask is an extra: pip install -e '.[cluster]'")

STUDENTS = {
    f"{name}-{number}": (*demo.STUDENTS[name][:2], ("iou",))
    for number in range(4)
    for name in ("ada", "alan", "kurt")
}


@dataclass
class Cluster:
    """A scheduler and workers, each in a folder of its own."""

    folder: Path
    address: str = ""
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> subprocess.Popen:
        place = self.folder / name
        place.mkdir()
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        with (place / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True)
        self.processes[name] = process
        return process

    def wait_for(self, name: str, words: str) -> str:
        """Return the line of a process's log that holds `words`, once it does."""
        for _ in range(600):
            log = (self.folder / name / "log").read_text()
            found = [line for line in log.splitlines() if words in line]
            if found:
                return found[0]
            assert self.processes[name].poll() is None, log
            time.sleep(0.1)
        pytest.fail(f"{name} never said {words!r}")

    def start_worker(self, name: str) -> None:
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", ".")
        here = ("--host", "127.0.0.1", "--death-timeout", "60")
        self.start(name, "dask_worker", self.address, *options, *here)
        self.wait_for(name, "Registered to")

    def end(self) -> None:
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler with two workers."""
    made = Cluster(tmp_path / "cluster")
    made.folder.mkdir()
    try:
        made.start("scheduler", "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        made.address = made.wait_for("scheduler", "Scheduler at:").split()[-1]
        made.start_worker("first")
        made.start_worker("second")
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return demo.make_class(tmp_path_factory.mktemp("courses") / "class", STUDENTS)


def graded(course: Course, level: Level, pool: workers.Pool) -> Iterator[Result]:
    """Grade the class and yield what does not depend on when and where."""
    planned = batch.plan(course, course.submitted, [catalog.problem("iou")], [], level, force=True)
    for done in workers.grade_all(planned, pool):
        done.result.seconds = {}
        yield done.result


def by_student(results: Iterator[Result]) -> dict[str, Result]:
    return {result.student: result for result in results}


def test_a_cluster_gives_the_same_results_while_a_worker_dies(
    cluster: Cluster, course: Course, level: Level
) -> None:
    """Killed in the middle, a worker costs nobody a grade: the other one goes on."""
    with workers.processes(1) as pool:
        expected = by_student(graded(course, level, pool))
    with workers.cluster(cluster.address) as pool:
        assert pool.slots == 2
        results = graded(course, level, pool)
        first = next(results)
        os.killpg(cluster.processes["first"].pid, signal.SIGKILL)
        found = by_student(iter([first, *results]))
    assert found == expected
    assert {result.status for result in found.values()} == {"graded"}


def test_a_scheduler_that_is_lost_is_one_sentence(cluster: Cluster, course: Course, level: Level) -> None:
    """What was in hand is no fault of the engine's, and stays as it was."""
    found = []

    def grade_until_it_is_lost() -> None:
        with workers.cluster(cluster.address) as pool:
            for result in graded(course, level, pool):
                found.append(result)
                os.killpg(cluster.processes["scheduler"].pid, signal.SIGKILL)

    with pytest.raises(CourseError, match=r"scheduler at tcp://.* was lost\. Finished results are kept"):
        grade_until_it_is_lost()
    assert {result.status for result in found} == {"graded"}
    assert len(found) < len(STUDENTS)


def test_a_worker_of_another_version_checks_nothing(
    cluster: Cluster, course: Course, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is graded by graders that are not the ones that were asked for."""
    monkeypatch.setattr(batch, "fingerprint", lambda *_: "of another version")
    with workers.cluster(cluster.address) as pool:
        results = list(graded(course, level, pool))
    assert {result.status for result in results} == {"could_not_check"}
    assert all("another version" in result.notes[0] for result in results)


def test_no_scheduler_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with (
        pytest.raises(CourseError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9"),
        workers.cluster("tcp://127.0.0.1:9"),
    ):
        pass


def test_a_scheduler_without_workers_is_one_sentence(tmp_path: Path) -> None:
    alone = Cluster(tmp_path)
    try:
        alone.start("scheduler", "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        address = alone.wait_for("scheduler", "Scheduler at:").split()[-1]
        with pytest.raises(CourseError, match="has no workers yet"), workers.cluster(address):
            pass
    finally:
        alone.end()
