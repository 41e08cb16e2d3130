"""Whatever stops a grading, no finished grade is lost, and the next run does the rest."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook
from rich.console import Console

from autograder import batch, catalog, cli, demo, gradebook, workers
from autograder.batch import Graded
from autograder.catalog import Course
from autograder.errors import CourseError
from autograder.results import write_atomically
from autograder.workers import Pool

from .test_batch import result_of
from .test_workers import Inline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BOTH = ("iou", "ram_estimates")
CLASS = {student: (*demo.STUDENTS[student][:2], BOTH) for student in ("ada", "alan", "grace", "kurt")} | {
    "eve": (*demo.STUDENTS["eve"][:2], ("iou",))
}
"""Right, a slip everywhere, right in another style, untouched; and one that ends its process."""
SUBMISSIONS = 9
PART = ("ada/iou", "alan/iou", "kurt/iou")
PART_OPTIONS = ("iou", "--student", "ada", "--student", "alan", "--student", "kurt")
MADE = ("results", "gradebook.db", "autograded", "feedback", ".convgrade_lock")
"""What a grading adds to a course folder, its secret aside."""
PATIENCE = 300
"""Seconds after which something that must come has not come."""
RECORDING = "Recording in nbgrader's gradebook"
STOPPED = "convgrade: stopped; finished results are kept.\n"


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.005)


# --- Processes -----------------------------------------------------------------------------------------


def stat_of(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` after the name; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one of the same number by when it started."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, (stat_of(pid) or [""] * 20)[19])

    @property
    def lives(self) -> bool:
        fields = stat_of(self.pid)
        return bool(fields) and fields[19] == self.started and fields[0] not in "ZX"

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def descendants(root: int) -> list[Process]:
    """Return a process and all that come from it, in whatever namespace they are."""
    children: dict[int, list[int]] = {}
    for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
        if fields := stat_of(pid):
            children.setdefault(int(fields[1]), []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return [Process.of(pid) for pid in found]


def freeze(root: int) -> list[Process]:
    """Stop a whole tree of processes where it stands, so that none starts another meanwhile."""
    tree: list[Process] = []
    while len(now := descendants(root)) > len(tree) or set(now) - set(tree):
        tree = now
        for process in tree:
            process.send(signal.SIGSTOP)
    return tree


# --- Runs ----------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A ``convgrade grade`` of a course in a process, and a group, of its own."""

    course: Course
    folder: Path
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    program: tuple[str, ...] = ("-m", "autograder.cli")
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True, exist_ok=True)
        with self.log("out").open("wb") as out, self.log("err").open("wb") as err:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, *self.program, "grade", "--course", str(self.course.root),
                 "--jobs", "2", *self.options],
                cwd=catalog.ROOT, env=os.environ | {"TMPDIR": str(self.temporary)},
                stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    @property
    def temporary(self) -> Path:
        """Where all temporary files belong, so that what is left of them is found."""
        return self.folder / "temporary"

    def log(self, name: str) -> Path:
        return self.folder / name

    @property
    def out(self) -> str:
        return self.log("out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.log("err").read_text(encoding="utf-8")

    def wait_for(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something holds; the run may end before."""
        until(lambda: self.process.poll() is not None or holds(), what)

    def wait_for_results(self, number: int = 1) -> None:
        self.wait_for(lambda: len(results_of(self.course)) >= number, f"result {number}")

    def wait_for_recording(self) -> None:
        self.wait_for(lambda: RECORDING in self.out, "recording")

    def end(self) -> int:
        """Wait for its end and return its exit code, a signal negative."""
        return self.process.wait(PATIENCE)

    def kill(self, order: random.Random | None) -> None:
        """End it as ``kill -9`` does: all of its processes in a random order, or the command alone.

        None of them is left afterwards.
        """
        tree = freeze(self.process.pid)
        if order:
            order.shuffle(tree)
            for process in tree:
                process.send(signal.SIGKILL)
        else:
            self.process.kill()
            for process in tree[1:]:
                process.send(signal.SIGCONT)
        self.end()
        require_gone(tree)


def require_gone(tree: list[Process]) -> None:
    until(lambda: not any(process.lives for process in tree), "the end of a process that was left behind")


def results_of(course: Course) -> dict[str, Any]:
    """Return all stored results without the seconds they took; each of them is whole."""
    found = {}
    for path in sorted(course.results.glob("*/*.json")):
        found[f"{path.parent.name}/{path.stem}"] = json.loads(path.read_text(encoding="utf-8")) | {
            "seconds": {}
        }
    return found


def files_of(course: Course) -> set[str]:
    """Return what is in a course folder, hidden files too."""
    return {str(path.relative_to(course.root)) for path in course.root.rglob("*")}


def contents_of(course: Course) -> dict[str, bytes]:
    """Return the bytes of all that a grading writes, but for the results and the gradebook."""
    made = [path for name in MADE for path in (course.root / name).rglob("*.*")]
    return {
        str(p.relative_to(course.root)): p.read_bytes() for p in made if p.suffix != ".json" and p.is_file()
    }


def gradebook_of(course: Course) -> list[tuple[Any, ...]]:
    """Return all scores and comments, each with whose it is; and which version of nbgrader made it."""
    rows: list[tuple[Any, ...]] = []
    with Gradebook(f"sqlite:///{course.root}/gradebook.db", "convgrade") as gradebook:
        for assignment in gradebook.assignments:
            rows.append((assignment.name, assignment.max_score))
            for submission in assignment.submissions:
                whose = (assignment.name, submission.student.id)
                rows.append((*whose, submission.score))
                for notebook in submission.notebooks:
                    rows += [(*whose, g.name, g.auto_score, g.needs_manual_grade) for g in notebook.grades]
                    rows += [(*whose, c.name, c.auto_comment) for c in notebook.comments]
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db")) as database:
        rows += database.execute("SELECT version_num FROM alembic_version").fetchall()
    return sorted(rows, key=repr)


@dataclass(frozen=True)
class Reference:
    """A class that was graded and recorded without a break."""

    course: Course
    grading_seconds: float
    recording_seconds: float
    results: dict[str, Any]
    files: set[str]
    contents: dict[str, bytes]
    gradebook: list[tuple[Any, ...]]

    @classmethod
    def of(cls, course: Course, grading_seconds: float, recording_seconds: float) -> Reference:
        made = (results_of(course), files_of(course), contents_of(course), gradebook_of(course))
        return cls(course, grading_seconds, recording_seconds, *made)

    def fresh(self, folder: Path) -> Course:
        """Copy the class as it was before grading; its secret is the same, so its grades will be, too."""
        return self._copy(folder, *MADE)

    def unrecorded(self, folder: Path) -> Course:
        """Copy the class as it was before recording."""
        return self._copy(folder, "gradebook.db", "autograded", "feedback")

    def recorded(self, folder: Path) -> Course:
        """Copy the class with all that was made of it."""
        return self._copy(folder)

    def require_part(self, course: Course) -> None:
        """Make sure that a course's part came to the same, whatever the isolation."""
        level = ("isolation", "grader_sha256")
        for name in PART:
            ours, expected = results_of(course)[name], self.results[name]
            assert {k: v for k, v in ours.items() if k not in level} == {
                k: v for k, v in expected.items() if k not in level
            }
            for path, content in self.contents.items():
                if path.startswith(tuple(f"{step}/{name}" for step in ("results", "autograded", "feedback"))):
                    assert (course.root / path).read_bytes() == content
        whose = [tuple(reversed(name.split("/"))) for name in PART]
        of_part = [
            [row for row in rows if row[:2] in whose] for rows in (gradebook_of(course), self.gradebook)
        ]
        assert of_part[0] == of_part[1]
        assert files_of(course) <= self.files

    def kilobytes(self, name: str) -> int:
        """Return what a result takes at most on a disk of 4 kB pages, with its folder and one to spare."""
        student, problem = name.split("/")
        files = (self.course.results / student).glob(f"{problem}.*")
        return 8 + sum(4 * (path.stat().st_size // 4096 + 1) for path in files)

    def _copy(self, folder: Path, *without: str) -> Course:
        root = folder / self.course.root.name  # its name is told in every result

        def ignore(place: str, names: list[str]) -> list[str]:
            return [name for name in names if Path(place) == self.course.root and name in without]

        shutil.copytree(self.course.root, root, ignore=ignore)
        return Course(root)

    def require_same(self, course: Course) -> None:
        """Make sure that a course came to the same: nothing is missing, nothing there twice or left over."""
        assert results_of(course) == self.results
        assert files_of(course) == self.files
        assert contents_of(course) == self.contents
        assert gradebook_of(course) == self.gradebook


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    course = demo.make_class(folder / "course", CLASS)
    began = time.monotonic()
    run = Run(course, folder)
    run.wait_for_recording()
    recording = time.monotonic()
    assert (run.end(), run.err) == (0, "")
    ended = time.monotonic()
    found = Reference.of(course, recording - began, ended - recording)
    assert [result["status"] for result in found.results.values()] == ["graded"] * SUBMISSIONS
    return found


# --- kill -9 -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """When a kill comes: that many results are there, or recording has begun, and so many seconds ago."""

    results: int
    recording: bool
    seconds: float

    @classmethod
    def draw(cls, draw: random.Random, reference: Reference) -> Moment:
        match draw.choice(["start", "grading", "recording"]):
            case "start":
                return cls(0, False, draw.uniform(0, reference.grading_seconds))
            case "grading":
                seconds = draw.uniform(0, reference.grading_seconds / SUBMISSIONS)
                return cls(draw.randrange(1, SUBMISSIONS), False, seconds)
        return cls(0, True, draw.uniform(0, reference.recording_seconds))

    def wait(self, run: Run) -> None:
        if self.recording:
            run.wait_for_recording()
        run.wait_for_results(self.results)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(self.seconds)


def written_at(course: Course) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in course.results.glob("*/*.json")}


def require_sound(course: Course, reference: Reference, folder: Path) -> None:
    """Make sure that what is there after a kill is right, and that the gradebook can be read."""
    for name, result in results_of(course).items():
        assert result == reference.results[name]
    if (course.root / "gradebook.db").exists():
        copy = folder / "copy"  # looking at it would mend it
        copy.mkdir()
        for path in course.root.glob("gradebook.db*"):
            shutil.copy(path, copy)
        with contextlib.closing(sqlite3.connect(copy / "gradebook.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        shutil.rmtree(copy)


def kill_and_finish(
    course: Course, reference: Reference, folder: Path, draw: random.Random, kills: int
) -> None:
    """Kill some gradings in a row, then let one finish: nothing is lost, and nothing is graded twice."""
    for _ in range(kills):
        moment, whole_tree = Moment.draw(draw, reference), draw.random() < 0.7
        kept = written_at(course)
        run = Run(course, folder)
        moment.wait(run)
        ended = run.process.poll()
        run.kill(draw if whole_tree else None)
        now = written_at(course)
        print(f"{moment}, {'all' if whole_tree else 'the command alone'}: {len(now)} results, ended {ended}")
        assert kept.items() <= now.items()
        require_sound(course, reference, folder)
    kept = written_at(course)
    run = Run(course, folder)
    assert (run.end(), run.err) == (0, "")
    assert kept.items() <= written_at(course).items()
    reference.require_same(course)
    assert list(run.temporary.iterdir()) == []


def drawing() -> random.Random:
    """Return a source of chance that can be repeated."""
    seed = int(os.environ.get("CONVGRADE_TEST_SEED") or random.randrange(2**32))
    print(f"CONVGRADE_TEST_SEED={seed}")
    return random.Random(seed)


def test_kills_at_random_moments_lose_nothing(reference: Reference, tmp_path: Path) -> None:
    """Three in a row: results are whole or absent, no process stays, and the next run comes to the same."""
    kill_and_finish(reference.fresh(tmp_path), reference, tmp_path, drawing(), 3)


@pytest.mark.long
def test_fifty_kills_lose_nothing(reference: Reference, tmp_path: Path) -> None:
    """One to four in a row, from the start, from results that are not recorded, and while all is regraded."""
    draw, left, rounds = drawing(), 50, 0
    while left:
        kills, folder = min(left, draw.randint(1, 4)), tmp_path / str(rounds)
        begin = draw.choice([reference.fresh, reference.fresh, reference.unrecorded])
        print(f"round {rounds}: {begin.__name__}")
        kill_and_finish(begin(folder), reference, folder, draw, kills)
        shutil.rmtree(folder)
        left, rounds = left - kills, rounds + 1


# --- A disk that is full, or not to be written ---------------------------------------------------------


@dataclass(frozen=True)
class Disk:
    """A small disk, seen only by who is brought to it.

    Attributes:
        root: where it is seen from outside.
        enter: what brings a command to it.
    """

    root: Path
    enter: tuple[str, ...]

    def leave_free(self, kilobytes: int) -> None:
        """Fill it with a file until so much is left."""
        filler = self.root / "filler"
        filler.unlink(missing_ok=True)
        free = os.statvfs(self.root)
        filler.write_bytes(bytes(free.f_bavail * free.f_bsize - kilobytes * 1024))

    def run(self, command: str, path: Path) -> None:
        """Run a shell command on a path, there."""
        inside = str(path).removeprefix(f"/proc/{self.enter[2]}/root")
        subprocess.run([*self.enter, "sh", "-ec", command, inside], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 8 MB in namespaces of its own, which leave this machine's as they are."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = 'mount -t tmpfs -o size=8m none "$0" && echo mounted && exec cat'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place)]
    try:
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    with holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"mounted\n":
            pytest.skip("no namespaces here")
        enter = ["nsenter", "--target", str(holder.pid), "--user", "--mount", "--preserve-credentials"]
        enter += ["env", "--chdir", str(catalog.ROOT)]  # they begin at the root
        yield Disk(Path(f"/proc/{holder.pid}/root{place}"), tuple(enter))
        holder.communicate()


def require_refused(run: Run, *sentences: str) -> None:
    """Make sure that a run ended with one of these sentences alone."""
    assert run.end() == 2
    assert run.err.count("\n") == 1
    assert run.err.startswith("convgrade: ")
    assert any(sentence in run.err for sentence in sentences), run.err


def test_a_disk_that_cannot_be_written_loses_nothing(
    reference: Reference, tmp_path: Path, disk: Disk
) -> None:
    """Wherever the space ends, there is one sentence and exit code 2, and the next run goes on from there."""
    course = reference.fresh(disk.root)

    def grade() -> Run:
        return Run(course, tmp_path, ("--isolation", "process", *PART_OPTIONS), disk.enter)

    course.results.mkdir()
    disk.run('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"', course.results)
    require_refused(grade(), "Read-only file system. Free some space or fix the permissions")
    disk.run('umount "$0"', course.results)
    sizes = [reference.kilobytes(name) for name in PART]
    kept: list[dict[Path, int]] = [{}]
    # Any one result fits, then all of them but no gradebook, then a gradebook but not all pages.
    for kilobytes in (max(sizes), sum(sizes), 600):
        disk.leave_free(kilobytes)
        require_refused(grade(), "No space left on device", "database or disk is full")
        kept.append(written_at(course))
        assert kept[-2].items() <= kept[-1].items()
    assert 0 < len(kept[1]) < len(kept[-1]) == 3
    (disk.root / "filler").unlink()
    run = grade()
    assert (run.end(), run.err) == (0, "")
    assert kept[-1] == written_at(course)
    reference.require_part(Course(shutil.copytree(course.root, tmp_path / "seen" / course.root.name)))


# --- What is taken away, or damaged --------------------------------------------------------------------


def test_what_is_taken_away_or_damaged_comes_back(reference: Reference, tmp_path: Path) -> None:
    """The next run makes what is missing, and no more.

    A damaged gradebook costs no result, and is left alone for whoever wants to save it; once it is gone,
    a new one is as it should be.
    """
    course = reference.recorded(tmp_path)
    for gone in ("results/ada", "autograded/alan", "feedback/kurt"):
        shutil.rmtree(course.root / gone)
    (course.root / "gradebook.db").write_bytes(b"no database" * 1000)
    kept = written_at(course)
    run = Run(course, tmp_path, PART_OPTIONS)
    require_refused(run, "file is not a database")
    assert "2 unchanged, 1 to grade" in run.out
    assert (course.root / "gradebook.db").read_bytes() == b"no database" * 1000
    (course.root / "gradebook.db").unlink()
    run = Run(course, tmp_path, PART_OPTIONS)
    assert (run.end(), run.err) == (0, "")
    assert "3 unchanged, 0 to grade" in run.out
    assert kept.items() <= written_at(course).items()
    reference.require_part(course)


KILLED_HALFWAY = """
import os, signal
from alembic.migration import MigrationContext
from autograder import cli
MigrationContext.stamp = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
cli.main()
"""


def test_a_gradebook_is_made_whole_or_not_at_all(reference: Reference, tmp_path: Path) -> None:
    """A kill between its tables and its version leaves none behind."""
    course = reference.unrecorded(tmp_path)
    assert Run(course, tmp_path, PART_OPTIONS, program=("-c", KILLED_HALFWAY)).end() == -signal.SIGKILL
    assert not (course.root / "gradebook.db").exists()
    run = Run(course, tmp_path, PART_OPTIONS)
    assert (run.end(), run.err) == (0, "")
    reference.require_part(course)


def test_results_that_are_removed_during_a_grading_are_missed(reference: Reference, tmp_path: Path) -> None:
    """Nothing is recorded as if they were there, and the next run grades them again."""
    course = reference.fresh(tmp_path)
    run = Run(course, tmp_path, PART_OPTIONS)
    run.wait_for_results()
    command = Process.of(run.process.pid)
    command.send(signal.SIGSTOP)
    shutil.rmtree(course.results)
    command.send(signal.SIGCONT)
    require_refused(run, "removed from", "No such file or directory")
    assert not (course.root / "gradebook.db").exists()
    level = reference.results["ada/iou"]["isolation"]
    planned = batch.plan(course, course.submitted, [catalog.problem("iou")], [], level)
    assert len(planned.waiting) + len(planned.reused) == len(CLASS)
    assert len(planned.reused) == len(results_of(course)) < len(PART)


def test_a_submission_that_is_taken_away_during_a_grading_is_left_out(
    reference: Reference, tmp_path: Path
) -> None:
    """It is neither unreadable nor worth 0 points; an earlier result of it stays."""
    course = reference.recorded(tmp_path)
    problem = catalog.problem("iou")
    planned = batch.plan(course, course.submitted, [problem], [], "process", force=True)
    shutil.rmtree(course.submitted / "grace")
    graded = workers.grade_all(planned, Pool(2, lambda _: Inline([]), lambda work: Graded(result_of(work))))
    assert {item.result.student for item in graded} == {"ada", "alan", "eve", "kurt"}


def test_what_a_killed_writer_had_begun_is_removed(tmp_path: Path) -> None:
    """The old file is as it was, and nothing that anybody else has put there is touched."""
    (tmp_path / "nbgrader_config.py").touch()
    path = tmp_path / "results" / "ada" / "iou.json"
    write_atomically(path, "old")
    hidden = path.with_name(".notes")
    hidden.touch()
    dies = (
        "import os, pathlib, signal, sys; from autograder.results import write_atomically; "
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); "
        "write_atomically(pathlib.Path(sys.argv[1]), 'new')"
    )
    died = subprocess.run([sys.executable, "-c", dies, path], cwd=catalog.ROOT)
    assert died.returncode == -signal.SIGKILL
    assert len(list(path.parent.iterdir())) == 3
    Course.at(tmp_path).tidy()
    assert sorted(path.parent.iterdir()) == [hidden, path]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_secret_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk when it is created does not stop the next run for good."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CourseError, match="No space left on device"):
            Course(tmp_path).secret()
    assert list(tmp_path.iterdir()) == []
    assert len(Course(tmp_path).secret()) == 64


# --- Two at a time -------------------------------------------------------------------------------------


def test_two_gradings_of_a_course_do_not_meet(reference: Reference, tmp_path: Path) -> None:
    """Another ``convgrade grade`` and ``nbgrader autograde`` are refused, and the first one is unharmed."""
    course = reference.recorded(tmp_path)
    for name in PART:
        (course.results / f"{name}.json").unlink()
    first = Run(course, tmp_path / "first", PART_OPTIONS)
    first.wait_for_results(SUBMISSIONS - len(PART) + 1)
    command = Process.of(first.process.pid)
    command.send(signal.SIGSTOP)
    kept = written_at(course)
    sentence = f"Another process (process {command.pid} on "
    require_refused(Run(course, tmp_path / "second", PART_OPTIONS), sentence)
    autograde = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", "iou", "--student", "kurt", "--force"],
        cwd=course.root, env=os.environ | {"PYTHONPATH": str(catalog.ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert autograde.returncode == 1
    assert sentence in autograde.stderr
    assert written_at(course) == kept
    command.send(signal.SIGCONT)
    assert (first.end(), first.err) == (0, "")
    reference.require_part(course)


# --- Signals -------------------------------------------------------------------------------------------


def listens(pid: int) -> bool:
    """Say whether a command hears signals yet, and still: Python starts and ends without it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def listens_on(run: Run) -> bool:
    """Hold a command still, so that it can't end before its signal comes, if it listens; let others go on."""
    run.process.send_signal(signal.SIGSTOP)
    until(lambda: (stat_of(run.process.pid) or ["X"])[0] in "TZX", "a command that stands still")
    if run.process.poll() is None and listens(run.process.pid):
        return True
    run.process.send_signal(signal.SIGCONT)
    return False


def interrupt(run: Run, number: signal.Signals, group: bool) -> None:
    """Ask a run to stop as ``kill`` does, or as a terminal asks all of its group; it does, quietly."""
    tree = descendants(run.process.pid)
    (os.killpg if group else os.kill)(run.process.pid, number)
    run.process.send_signal(signal.SIGCONT)  # it may be held still
    assert (run.end(), run.err) == (128 + number, STOPPED)
    require_gone(tree)
    until(lambda: not list(run.temporary.iterdir()), "the end of its temporary files")


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGHUP, True)])
def test_a_grading_that_is_stopped_says_so_alone(
    reference: Reference, tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    """One sentence, no process left, and what is finished is kept; nobody waits for what is in hand."""
    course = reference.fresh(tmp_path)
    run = Run(course, tmp_path, PART_OPTIONS)
    run.wait_for_results()
    interrupt(run, number, group)
    require_sound(course, reference, tmp_path)


def test_a_recording_that_is_stopped_goes_on_later(reference: Reference, tmp_path: Path) -> None:
    """nbgrader takes an interrupt for an error, the command does not."""
    course = reference.unrecorded(tmp_path)
    run = Run(course, tmp_path, PART_OPTIONS)
    run.wait_for_recording()
    interrupt(run, signal.SIGTERM, False)
    require_sound(course, reference, tmp_path)
    run = Run(course, tmp_path, PART_OPTIONS)
    assert (run.end(), run.err) == (0, "")
    reference.require_part(course)


def test_a_stop_within_a_text_that_is_executed(tmp_path: Path) -> None:
    """``python -m`` would end by SIGINT, though the interrupt was handled: a dataclass is made like that."""
    (tmp_path / "stopped.py").write_text(
        "import os, signal\n"
        "from autograder import cli\n"
        "cli.app = lambda: exec('os.kill(os.getpid(), signal.SIGHUP)')\n"
        "cli.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{catalog.ROOT}{os.pathsep}{tmp_path}"}
    run = subprocess.run(
        [sys.executable, "-m", "stopped"], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert (run.returncode, run.stderr) == (128 + signal.SIGHUP, STOPPED)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [True, False])
def test_stops_at_random_moments_lose_nothing(
    reference: Reference, tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    """While it starts, grades and records."""
    draw, course = drawing(), reference.fresh(tmp_path)
    for _ in range(4):
        run = Run(course, tmp_path)
        Moment.draw(draw, reference).wait(run)
        run.wait_for(lambda run=run: listens(run.process.pid), "a command that listens")
        if listens_on(run):
            interrupt(run, number, group)
        else:
            assert (run.end(), run.err) == (0, "")
        require_sound(course, reference, tmp_path)
    run = Run(course, tmp_path)
    assert (run.end(), run.err) == (0, "")
    reference.require_same(course)


# --- Only what changed ---------------------------------------------------------------------------------


def test_another_grader_regrades_one_problem(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its submissions, and none of any other problem."""
    course, graders = reference.recorded(tmp_path), tmp_path / "graders"
    shutil.copytree(catalog.GRADERS, graders)
    monkeypatch.setattr(catalog, "GRADERS", graders)
    level = next(iter(reference.results.values()))["isolation"]
    problems = [catalog.problem(name) for name in BOTH]
    assert batch.plan(course, course.submitted, problems, [], level).waiting == []
    changed = catalog.problem("iou").grader
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    planned = batch.plan(course, course.submitted, problems, [], level)
    assert {(waiting.problem, waiting.student) for waiting in planned.waiting} == {
        ("iou", student) for student in CLASS
    }
    assert {result.problem for result in planned.reused} == {"ram_estimates"}


def test_an_unchanged_class_is_left_alone(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is graded, recorded or written, the lock's file aside."""
    course = reference.recorded(tmp_path)
    level = next(iter(reference.results.values()))["isolation"]
    before = {path: path.stat().st_mtime_ns for path in course.root.rglob("*") if path.is_file()}
    monkeypatch.setattr(workers, "processes", lambda *_: pytest.fail("there was something to grade"))
    monkeypatch.setattr(gradebook, "record", lambda *_: pytest.fail("there was something to record"))
    wanted = cli.Grading([catalog.problem(name) for name in BOTH], isolation=level)
    results = cli.grade_course(course, course.submitted, wanted, Console(file=io.StringIO()))
    assert len(results) == SUBMISSIONS
    after = {path: path.stat().st_mtime_ns for path in course.root.rglob("*") if path.is_file()}
    lock = course.root / ".convgrade_lock"
    assert before.pop(lock) <= after.pop(lock)
    assert after == before
