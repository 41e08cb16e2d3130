"""What the command line does, says and returns."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from autograder import catalog, cli, demo, gradebook, progress, recorded
from autograder.catalog import Course
from autograder.results import Result, read_result
from autograder.sandbox import isolation

NAME = "ram_estimates"
CLASS = {student: (*demo.STUDENTS[student][:2], (NAME,)) for student in ("ada", "alan", "kurt")}
"""All right, a slip everywhere, untouched."""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


class Run:
    """Runs ``convgrade`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments: str | Path) -> Done:
        self.monkeypatch.setattr(sys, "argv", ["convgrade", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = self.capsys.readouterr()
        return Done(int(end.value.code or 0), said.out, said.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def command(*arguments: str | Path, cwd: Path = catalog.ROOT) -> subprocess.Popen[str]:
    """Start ``convgrade`` in a process, and a group, of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "autograder.cli", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def graders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, as far as grading needs it, in which the grader of one problem is broken."""
    root = tmp_path_factory.mktemp("repository")
    for name in ("autograder", "source", "release"):
        shutil.copytree(catalog.ROOT / name, root / name)
    shutil.copy(catalog.ROOT / "nbgrader_config.py", root)
    (root / "autograder" / "graders" / "iou" / "test_iou.py").write_text("import there_is_no_such_module\n")
    return root


@pytest.fixture
def one(tmp_path: Path) -> Course:
    """A course in which Kurt has handed in an untouched notebook."""
    return demo.make_class(tmp_path / "one", {"kurt": CLASS["kurt"]})


# --- Grading -------------------------------------------------------------------------------------------


def test_a_broken_grader_costs_only_its_problem(graders: Path, tmp_path: Path) -> None:
    """Its submissions could not be checked: exit code 1, nothing recorded for them, the others are graded.

    Standard output is the array of the result files and nothing else; the table goes to standard error,
    and neither has an escape sequence in it, since nobody reads them on a terminal.
    """
    course = demo.make_class(tmp_path / "course", {"kurt": (*demo.STUDENTS["kurt"][:2], ("iou", NAME))})
    process = command("grade", "--course", course.root, "--json", "-", cwd=graders)
    out, err = process.communicate()
    assert process.returncode == 1
    found = {result["problem"]: result for result in json.loads(out)}
    stored = {n: json.loads((course.results / "kurt" / f"{n}.json").read_text()) for n in ("iou", NAME)}
    assert found == stored
    assert (found["iou"]["status"], found["iou"]["score"]) == ("could_not_check", None)
    assert "there_is_no_such_module" in found["iou"]["notes"][0]
    assert found[NAME]["status"] == "graded"
    assert "2 submissions, 1 graded, 1 could not check" in err
    assert [path.name for path in (course.root / "autograded" / "kurt").iterdir()] == [NAME]
    assert "Traceback" not in err
    assert "\x1b" not in out + err


def test_what_cannot_be_recorded_is_shown(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The table and the JSON file come first, then the sentence; the exit code tells of it."""

    def refuse(*arguments: object) -> None:
        raise gradebook.Unavailable("The gradebook is busy.")

    monkeypatch.setattr(gradebook, "record", refuse)
    scores = tmp_path / "scores.json"
    ran = run("grade", NAME, "--course", one.root, "--json", scores)
    assert (ran.code, ran.err) == (2, "convgrade: The gradebook is busy.\n")
    assert "kurt" in ran.out
    assert [result["student"] for result in json.loads(scores.read_text())] == ["kurt"]


@pytest.mark.parametrize("works", ["the second", "none"])
def test_what_was_begun_for_a_level_that_does_not_work_is_begun_again(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch, strict: None, works: str
) -> None:
    """Workers start before it is known which bubblewrap works, and grade in what does work after all."""
    programs = ["/bin/false", *isolation.find_bwrap()] if works == "the second" else ["/bin/false"]
    monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(programs))
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    ran = run("grade", NAME, "--course", one.root, "--json", "-")
    assert ran.code == 0
    (result,) = json.loads(ran.out)
    assert (result["status"], result["score"]) == ("graded", 0)
    level = "strict" if works == "the second" else "process"
    assert result["isolation"] == level
    assert f"Isolation: {level}\n" in ran.err
    assert ("Warning: The strict sandbox can't start: /bin/false" in ran.err) == (works == "none")


def test_what_is_left_is_counted_for_the_level_that_works(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch, strict: None
) -> None:
    """A result of the level that was hoped for is none of the level that it is after all."""
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    assert "Isolation: strict\n" in run("grade", NAME, "--course", one.root).out
    monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(["/bin/false"]))
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    ran = run("grade", NAME, "--course", one.root)
    assert "Isolation: process\n" in ran.out
    assert "1 of 1 graded" in ran.out
    assert "1 unchanged, 0 to grade" in run("grade", NAME, "--course", one.root, "--isolation", "process").out


def test_the_gradebook_is_named_where_it_is(one: Course, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another database of the course's settings is the one that is printed, without its password."""
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    monkeypatch.setattr(recorded, "unrecorded", lambda *arguments: [])
    config = one.root / "nbgrader_config.py"
    config.write_text(
        config.read_text() + '\nc.CourseDirectory.db_url = "postgresql://ada:secret@host/scores"\n'
    )
    out = run("grade", NAME, "--course", one.root).out
    assert "nbgrader's gradebook: postgresql://ada:***@host/scores" in out
    assert "secret" not in out


def test_what_was_killed_goes_on_where_it_was(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ``kill -9`` finished results are kept, and the rest is graded."""
    course = demo.make_class(tmp_path / "course", CLASS)
    process = command("grade", NAME, "--course", course.root)
    while not (finished := list(course.results.glob("*/*.json"))):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in finished}
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    assert run("grade", NAME, "--course", course.root).code == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == kept
    found = {student: read_result(course.results, student, NAME) for student in CLASS}
    assert [result.status for result in found.values() if result] == ["graded"] * 3
    assert (found["ada"].score, found["kurt"].score) == (found["ada"].max_score, 0)


def test_an_interrupt_stops_quietly(tmp_path: Path) -> None:
    """One sentence, exit code 130, no traceback of any process."""
    course = demo.make_class(tmp_path / "course", CLASS)
    process = command("grade", NAME, "--course", course.root)
    while not course.results.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "convgrade: stopped; finished results are kept.\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (None, False, [], "auto")),
        (["--jobs", "3", "--force", "--student", "ada", "--student", "kurt", "--isolation", "process"],
         (3, True, ["ada", "kurt"], "process")),
    ],
)  # fmt: skip
def test_options_reach_grading(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: tuple
) -> None:
    """What was asked for is what is done, on the course's own submissions by default."""
    asked = []

    def note(course: Course, submitted: Path, wanted: cli.Grading, console: Console) -> list[Result]:
        asked.append((course, submitted, [p.name for p in wanted.problems]))
        asked.append((wanted.jobs, wanted.force, wanted.students, wanted.isolation))
        return []

    monkeypatch.setattr(cli, "grade_course", note)
    assert run("grade", NAME, "--course", one.root, *options).code == 0
    assert asked == [(one, one.submitted, [NAME]), expected]


# --- Mistakes ------------------------------------------------------------------------------------------


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["grade", "no_such_problem"], "There is no problem called 'no_such_problem'. Known problems: fcn_"),
        (["grade", "--student", "nobody"], "Nothing was handed in by nobody below"),
        (["grade", "--isolation", "weak"], "--isolation is auto, strict or process, not 'weak'."),
        (["grade", "--submitted", "nowhere"], "There is no folder nowhere. Put each notebook at"),
        (["grade", "--course", "nowhere"], "There is no folder {cwd}/nowhere. Give the course folder with"),
        (
            ["grade", "--course", "source"],
            "{cwd}/source is not a course folder: it has no nbgrader_config.py.",
        ),
        (["demo", "source"], "source is not empty. Give the demo a new folder: 'convgrade demo NAME'."),
        (["demo", "nbgrader_config.py"], "nbgrader_config.py is not empty. Give the demo a new folder:"),
        (["demo", "nbgrader_config.py/x"], "The sample class could not be written to nbgrader_config.py/x:"),
        (["new", "No Name"], "'No Name' can't be a problem's name; write it like pooling_layers."),
        (["build", "no_such_problem"], "There is no problem called 'no_such_problem'."),
    ],
)
def test_a_mistake_is_answered_by_one_sentence(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """It says what is wrong on stderr, the exit code is 2, and nothing but the secret is written."""
    monkeypatch.chdir(one.root)
    before = files_in(one.root)
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith("convgrade: " + sentence.format(cwd=one.root))
    assert done.err.count("\n") == 1
    assert files_in(one.root) - before <= {".convgrade_secret", ".convgrade_lock"}


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["grade", "--nonsense"], ["grade", "--jobs", "0"], ["new"], ["demo", "a", "b"]],
)
def test_what_is_no_command_is_a_usage_error(run: Run, arguments: list[str]) -> None:
    """Exit code 2, a hint at --help, no traceback."""
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "--help" in done.err
    assert "Traceback" not in done.err


def test_a_class_without_submissions_is_told_where_they_belong(one: Course, run: Run) -> None:
    """Exit code 2, since nothing was graded."""
    shutil.rmtree(one.submitted)
    done = run("grade", "--course", one.root)
    assert done.code == 2
    assert "submitted/<student>/<problem>/<problem>.ipynb" in done.err


def test_settings_that_do_not_load_stop_before_grading(one: Course, run: Run) -> None:
    """Nobody waits for an hour of grading that can't be recorded."""
    (one.root / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = nonsense\n")
    done = run("grade", "--course", one.root)
    assert (done.code, one.results.exists()) == (2, False)
    assert done.err == (
        f"convgrade: {one.root}/nbgrader_config.py does not load: name 'nonsense' is not defined\n"
    )


def test_an_unreadable_submission_is_named(one: Course, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the notebook's place: 0 points, with the reason and exit code 1; the next one is graded."""
    folder = one.submitted / "dora" / NAME / f"{NAME}.ipynb"
    folder.mkdir(parents=True)
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    done = run("grade", "--course", one.root, "--json", one.root / "out.json")
    assert (done.code, done.err) == (1, "")
    dora, kurt = json.loads((one.root / "out.json").read_text(encoding="utf-8"))
    assert (dora["status"], dora["score"]) == ("unreadable", 0)
    assert dora["notes"] == [f"{NAME}.ipynb is a folder; it must be a file of its own."]
    assert kurt["status"] == "graded"
    assert "2 submissions, 1 graded, 1 unreadable" in done.out


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_shown(one: Course) -> None:
    """Some archives hold such; SQLite has no room for it, and everybody else is there."""
    odd = os.fsencode(one.submitted) + b"/jos\xe9"
    shutil.copytree(os.fsencode(one.submitted) + b"/kurt", odd)
    process = command("grade", NAME, "--course", one.root, "--json", "-")
    out, err = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in err
    assert [result["student"] for result in json.loads(out)] == ["jos\udce9", "kurt"]
    assert "convgrade: nbgrader could not record ram_estimates (jos" in err
    assert (one.root / "feedback" / "kurt" / NAME).is_dir()


def test_one_who_is_named_twice_is_graded_once(
    one: Course, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradebook, "record", lambda *arguments: None)
    twice = ("--student", "kurt", "--student", "kurt")
    done = run("grade", NAME, NAME, *twice, "--course", one.root, "--json", one.root / "out.json")
    assert (done.code, done.err) == (0, "")
    assert len(json.loads((one.root / "out.json").read_text(encoding="utf-8"))) == 1


def test_results_that_cannot_be_written_are_one_sentence(one: Course, run: Run) -> None:
    """A file in the place of the folder stops grading; it is left alone."""
    one.results.touch()
    done = run("grade", "--course", one.root)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(
        f"convgrade: Could not write {one.results}/kurt/{NAME}.ipynb: Not a directory."
    )
    assert not (one.root / "gradebook.db").exists()


def test_a_full_disk_is_one_sentence(one: Course, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-written is left behind."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = run("grade", "--course", one.root)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "No space left on device. Free some space" in done.err
    assert [path for path in one.results.rglob("*") if path.is_file()] == []


def test_json_that_cannot_be_written_is_one_sentence(one: Course, run: Run) -> None:
    """The table, here an empty one, is shown all the same."""
    shutil.rmtree(one.submitted / "kurt")
    done = run("grade", "--course", one.root, "--json", one.root / "nbgrader_config.py" / "x.json")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"convgrade: Could not write {one.root}/nbgrader_config.py/x.json: ")
    assert "No submissions were found." in done.out


def test_the_version_is_told(run: Run) -> None:
    """``convgrade --version`` prints it and succeeds."""
    done = run("--version")
    assert (done.code, done.out) == (0, f"convgrade {cli.__version__}\n")


# --- Two at a time -------------------------------------------------------------------------------------


def test_a_second_grading_of_the_same_course_is_refused(one: Course, run: Run) -> None:
    """It says who is at work, writes nothing, and the lock is gone with whoever held it."""
    with one.lock():
        done = run("grade", NAME, "--course", one.root)
    assert done.code == 2
    assert f"Another process (process {os.getpid()} on " in done.err
    assert not one.results.exists()
    with one.lock():
        pass
