"""Submissions that attack: each loses its own points and nothing else, learns nothing and leaves nothing.

Every attack is a file in ``hostile/`` whose code is the last cell of a submission. It prints ``FOUND``
where it got what it must not have, and ``TRIED`` once it has done its work, where it gets that far.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from sqlalchemy.exc import SAWarning

from autograder import answers, batch, catalog, demo, grader, intake, specimen
from autograder.batch import Work
from autograder.catalog import Course
from autograder.errors import SandboxError, StudentTimeout, SubmissionError
from autograder.results import Result, read_result
from autograder.runner import CPU
from autograder.sandbox import isolation
from autograder.sandbox.host import Limits, Sandbox
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

HOSTILE = Path(__file__).parent / "hostile"
IOU, COUNTS = catalog.problem("iou"), catalog.problem("parameter_counts")
QUESTIONS = frozenset(grader.load("iou")) - {"pairwise_iou"}
"""What is asked unless an attack is on more: the one left out takes as long as the others together."""
SECRET = b"the-secret-of-this-course"
TIGHT = Limits(cpu_seconds=1, wall_seconds=20)
HALF = Limits(cpu_seconds=5, wall_seconds=20, memory_mb=512)
MOST_SHOWN, MOST_OUTPUTS = 1.2e6, 1_000
"""Characters and outputs that may be kept of what a cell shows, the sentence that says so included."""
SLEEPERS = str(271_000_000 + os.getpid())
"""What the processes of `survives` are known by, so that another run of these tests is not taken for ours."""
KEPT_BYTES = 256 * 2**20
"""Of all the answers of one submission, which the grader keeps to recognise slips."""


@dataclass(frozen=True)
class Attack:
    """What an attack may cost the submission that it is in.

    Attributes:
        name: the file.
        lost: for each question that may not pass, the outcomes that it may have instead.
        tried: it ends its own cell and says ``TRIED`` there.
        earned: the rest of the notebook is right; else it is untouched, and nothing must be earned.
    """

    name: str
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tried: bool = True
    earned: bool = True
    limits: Limits = TIGHT

    def __str__(self) -> str:
        return self.name

    @property
    def asked(self) -> frozenset[str]:
        return QUESTIONS | self.lost.keys()

    def code(self, **replaced: str) -> str:
        text = (HOSTILE / f"{self.name}.py").read_text(encoding="utf-8")
        for old, new in replaced.items():
            assert text.count(old) == 1, f"{self.name} has no {old} to replace"
            text = text.replace(old, new)
        return text.replace("271828182", SLEEPERS)


def costing_box(name: str, *outcomes: str, **others: Any) -> Attack:
    """An attack in ``box_with_iou``, on which no other question depends."""
    return Attack(name, {"box_with_iou": outcomes}, **others)


def cheating(name: str, **others: Any) -> Attack:
    return Attack(name, earned=False, **others)


ANY_LOSS = ("failed", "error", "crashed", "timeout")
CHEATS = [
    cheating("equals_everything"),
    cheating("lying_values"),
    cheating("replaces_modules"),
    cheating("replaces_engine"),
    cheating("transforms_code"),
    cheating("claims_points"),
    cheating("reads_callers"),
    cheating("reads_history"),
    cheating("answers_ahead", tried=False),
]
SPIES = [
    Attack("reads_files", limits=Limits()),
    Attack("reads_memory", limits=Limits()),
    Attack("refused_syscalls"),
    Attack("writes_outside"),
]
HANGS_AND_CRASHES = [
    Attack("endless_loop", tried=False),
    costing_box("endless_call", "timeout", tried=False),
    Attack("ignores_interrupts", tried=False),
    costing_box("catches_interrupts", "timeout", tried=False),
    Attack("sleeps_for_ever", tried=False, limits=Limits(cpu_seconds=1, wall_seconds=2)),
    Attack("exits", tried=False),
    costing_box("exits_in_a_call", "crashed", tried=False),
    costing_box("segfaults", "crashed", tried=False),
    costing_box("raises_everything", "error"),
    Attack("kills_everybody"),
    Attack("kills_its_group", tried=False),
    Attack("kills_its_parent", tried=False),
    costing_box("blinds_its_watcher", "timeout"),
    costing_box("remembers_calls", "failed"),
    Attack("changes_surroundings"),
]
FLOODS = [
    Attack("forks"),
    Attack("survives"),
    Attack("memory_at_once"),
    Attack("memory_in_pieces", tried=False, limits=HALF),
    costing_box("memory_in_a_call", "crashed", "error", tried=False, limits=HALF),
    Attack("memory_in_children", tried=False, limits=HALF),
    Attack("memory_of_nobody", limits=HALF),
    Attack("memory_of_the_kernel", tried=False, limits=HALF),
    Attack("hides_processor_time", {"pairwise_iou": ("partial",)}, tried=False),
    Attack("fills_disk", limits=Limits()),
    Attack("prints_one_line", tried=False),
    Attack("prints_many_lines", tried=False),
    Attack("prints_in_turns", tried=False),
    Attack("displays_for_ever", tried=False),
    Attack("forges_output", tried=False),
]
ODD_ANSWERS = [
    Attack("odd_values", dict.fromkeys(QUESTIONS, ANY_LOSS), limits=Limits()),
    costing_box("odd_characters", "error"),
]
TELLTALES = [
    Attack("raises_arguments", dict.fromkeys(QUESTIONS, ANY_LOSS)),
    Attack("spells_arguments", dict.fromkeys(QUESTIONS - {"corners_to_center"}, ("error",))),
    Attack("returns_arguments", dict.fromkeys(QUESTIONS, ANY_LOSS)),
    Attack("prints_arguments"),
    costing_box("passes_arguments_on", "crashed"),
]
LARGE = ("center_to_corners", "corners_to_center", "box_with_iou")
HARMLESS = [Attack("warns")]
"""What only looks like an attack, and must cost nothing."""
OTHERS = [
    cheating("pickles_code"),
    Attack("edits_others"),
    Attack("sleeps_in_every_call", limits=replace(TIGHT, total_wall=2)),
    Attack("opens_sockets"),
    Attack("other_abi", tried=False),
    Attack("forges_frames"),
    Attack("large_values", dict.fromkeys(LARGE, ANY_LOSS), limits=Limits()),
]
EVERY_ATTACK = [*CHEATS, *SPIES, *HANGS_AND_CRASHES, *FLOODS, *ODD_ANSWERS, *TELLTALES, *HARMLESS, *OTHERS]
NAMED = {attack.name: attack for attack in EVERY_ATTACK}

NOT_STOPPED_ON_PROCESS_LEVEL = {
    "reads_files": "reads every file that whoever grades may read: graders, gradebook, other submissions",
    "reads_memory": "reads the environment of the same user's processes, and as root their memory",
    "writes_outside": "writes wherever whoever grades may write",
    "passes_arguments_on": "leaves hidden inputs in a folder for whoever is graded next",
    "edits_others": "changes the gradebook and other submissions, as whoever grades may",
    "opens_sockets": "sends what it sees over the network",
    "refused_syscalls": "makes every system call that the user may make",
    "other_abi": "makes system calls by another machine's numbers",
    "kills_everybody": "kills the same user's processes, the one that grades included",
    "blinds_its_watcher": "outlives the process that keeps its limits",
    "survives": "leaves processes behind once it has ended its watcher",
    "forks": "fills the machine with processes",
    "memory_of_nobody": "takes memory that no process maps",
    "memory_of_the_kernel": "has the kernel keep tables for memory that it never uses",
    "fills_disk": "fills the disk",
}
"""What the ``process`` level has no wall against, in a sentence each for the documentation."""

TESTED_APART = ("forges_frames", "large_values", "pickles_code", "sleeps_in_every_call")
"""Attacks on which a test of their own asks for more."""
SLOW_ON_PROCESS_LEVEL = (
    "catches_interrupts", "displays_for_ever", "endless_call", "hides_processor_time", "memory_in_children",
    "memory_in_pieces", "prints_in_turns", "prints_many_lines",
)  # fmt: skip

LEFT_BEHIND = [
    Path(place, "left-behind") for place in ("/", "/etc", "/usr", "/tmp", "/dev", "/run", Path.home())
]
"""What an attack that writes outside its folders would make on this machine."""
WITNESS = """
import os, random, resource, signal, sys, threading
import numpy as np

def below(top):
    return sorted(os.path.join(place, name) for place, *named in os.walk(top) for name in sum(named, []))

print([path for top in ("/dev", "/job", "/tmp", "/run") for path in below(top)])
print(sorted(name for name in os.listdir("/proc") if name.isdigit()), len(os.listdir("/proc/self/fd")))
print(os.getcwd(), sorted(os.environ), os.umask(18), threading.active_count(), len(sys.modules), np.geterr())
print([resource.getrlimit(n) for n in (resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)])
print([str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM)])
print(np.random.random(), random.random(), open("/proc/self/comm").read(), os.getpriority(os.PRIO_PROCESS, 0))
"""


@dataclass(frozen=True)
class Verdict:
    """What grading one submission came to."""

    questions: dict[str, dict[str, Any]]
    notes: list[str]
    cells: list[nbformat.NotebookNode]
    submission: SandboxSubmission

    @property
    def shown(self) -> str:
        """Everything that the student's code showed while its cells ran."""
        return "".join(json.dumps(cell.get("outputs", [])) for cell in self.cells)

    @property
    def words(self) -> list[Any]:
        """Everything that the student gets to read or to work out points from."""
        return [self.questions, self.notes, self.shown]

    @property
    def lost(self) -> dict[str, str]:
        return {name: q["outcome"] for name, q in self.questions.items() if q["outcome"] != "passed"}


def grade(
    sandbox: Sandbox,
    code: str,
    *,
    problem: catalog.Problem = IOU,
    earned: bool = True,
    limits: Limits = TIGHT,
    secret: bytes = SECRET,
    asked: frozenset[str] | None = None,
) -> Verdict:
    """Grade a submission whose last cell is `code`, all its other answers right or none."""
    right = specimen.reference(problem) if earned else {}
    submission = take_in(nbformat.writes(specimen.handed_in(problem, right, code)), sandbox, problem, limits)
    try:
        submission.execute()
        grading = grader.grade(problem.name, submission, secret, asked)
    finally:
        submission.close()
    questions = {question.question: asdict(question) for question in grading.questions}
    return Verdict(questions, submission.stopped(), submission.notebook.cells, submission)


def take_in(
    text: str, sandbox: Sandbox, problem: catalog.Problem = IOU, limits: Limits = TIGHT
) -> SandboxSubmission:
    taken = intake.repair(text.encode(), *batch.course_notebooks(problem))
    assert taken.notebook is not None
    return SandboxSubmission(
        student="mallory",
        sandbox=sandbox,
        notebook=taken.notebook,
        untouched=taken.untouched,
        limits=limits,
        seed=batch.seed_of(problem.name),
    )


# --- The machine around the sandbox --------------------------------------------------------------------


def processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the command line of every process on this machine."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(folder.name)] = int(fields[1]), command
        except OSError:  # it ended meanwhile
            continue
    return found


def offspring() -> set[int]:
    """Return the processes that descend from this one."""
    everybody = processes()
    found = {os.getpid()}
    while new := {pid for pid, (parent, _) in everybody.items() if parent in found} - found:
        found |= new
    return found


def eventually(true: Callable[[], bool]) -> bool:
    """Say whether something comes true: the kernel takes a moment to clear up after a process."""
    for _ in range(200):
        if true():
            return True
        time.sleep(0.05)
    return False


@dataclass
class Ground:
    """Keeps one warm sandbox a level, and knows what the machine is like when no submission runs."""

    folder: Path
    sandboxes: dict[Level, Sandbox] = field(default_factory=dict)
    _honest: dict[Level, list[Any]] = field(default_factory=dict)
    _family: set[int] = field(default_factory=set)
    _files: set[Path] = field(default_factory=set)

    def sandbox(self, level: Level) -> Sandbox:
        if level not in self.sandboxes:
            self.sandboxes[level] = Sandbox(level)
            self._honest[level] = self._grade_somebody_honest(level)
            self._look_around()
        return self.sandboxes[level]

    def drop(self, level: Level) -> None:
        if level in self.sandboxes:
            self.sandboxes.pop(level).close()
            self._look_around()

    def _look_around(self) -> None:
        self._family, self._files = offspring(), set(self.folder.iterdir())

    def _grade_somebody_honest(self, level: Level) -> list[Any]:
        honest = grade(self.sandboxes[level], WITNESS if level == "strict" else "", problem=COUNTS)
        assert not honest.lost, honest.lost
        return honest.words

    def is_as_before(self, level: Level) -> None:
        """Check that an attack left no process, no file, and nothing that an honest neighbour could meet."""
        strangers = offspring() - self._family
        assert eventually(lambda: offspring() <= self._family), [processes().get(pid) for pid in strangers]
        assert not [command for _, command in processes().values() if SLEEPERS in command]
        assert set(self.folder.iterdir()) == self._files
        assert not [place for place in LEFT_BEHIND if os.path.lexists(place)]
        assert self._grade_somebody_honest(level) == self._honest[level]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("temporary")
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    built = Ground(folder)
    yield built
    for level in list(built.sandboxes):
        built.drop(level)
    tempfile.tempdir = usual
    assert not list(folder.iterdir())


@pytest.fixture
def strict(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A warm sandbox behind all walls, which one test's attack is done with before the next."""
    try:
        sandbox = ground.sandbox("strict")
    except SandboxError as error:
        if os.environ.get("CONVGRADE_REQUIRE_STRICT") == "1":
            raise
        pytest.skip(f"strict isolation does not work here: {error}")
    yield from _used(ground, "strict", sandbox, request)


@pytest.fixture
def process(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A warm sandbox with no more walls than a process has."""
    yield from _used(ground, "process", ground.sandbox("process"), request)


@pytest.fixture(params=["strict", pytest.param("process", marks=pytest.mark.long)])
def walled(ground: Ground, request: pytest.FixtureRequest) -> Sandbox:
    """A warm sandbox of each level."""
    return request.getfixturevalue(request.param)


def _used(
    ground: Ground, level: Level, sandbox: Sandbox, request: pytest.FixtureRequest
) -> Iterator[Sandbox]:
    before = request.session.testsfailed
    yield sandbox
    if request.session.testsfailed > before:
        ground.drop(level)  # what one attack broke is not the next one's fault


def characters(value: Any) -> int:
    """Return how many characters a part of a notebook holds."""
    if isinstance(value, str):
        return len(value)
    return sum(map(characters, value.values() if isinstance(value, dict) else value))


def grade_attack(sandbox: Sandbox, attack: Attack, secret: bytes = SECRET, **replaced: str) -> Verdict:
    return grade(
        sandbox,
        attack.code(**replaced),
        earned=attack.earned,
        limits=attack.limits,
        secret=secret,
        asked=attack.asked,
    )


def costs_what_it_should(attack: Attack, verdict: Verdict) -> None:
    """Check every question's outcome, and that the attack did its work and got nothing for it."""
    if attack.earned:
        assert verdict.lost.keys() == attack.lost.keys(), verdict.questions
        for question, outcome in verdict.lost.items():
            assert outcome in attack.lost[question], verdict.questions[question]
    else:
        assert {name: q["points"] for name, q in verdict.questions.items() if q["points"]} == {}
        assert "could_not_check" not in verdict.lost.values()
    assert "FOUND" not in verdict.shown
    assert "TRIED" in verdict.shown or not attack.tried
    outputs = verdict.cells[-1].get("outputs", [])
    assert len(outputs) <= MOST_OUTPUTS
    assert characters(outputs) <= MOST_SHOWN


# --- All walls -----------------------------------------------------------------------------------------


def test_every_attack_is_in_a_table_and_says_what_it_tries() -> None:
    assert {path.stem for path in HOSTILE.glob("*.py")} == NAMED.keys()
    assert len(NAMED) == len(EVERY_ATTACK)
    assert SLEEPERS in NAMED["survives"].code()
    assert NAMED.keys() >= {*NOT_STOPPED_ON_PROCESS_LEVEL, *TESTED_APART, *SLOW_ON_PROCESS_LEVEL}
    for attack in EVERY_ATTACK:
        first_line = attack.code().partition("\n")[0]
        assert first_line.startswith('"""')
        assert first_line.endswith('."""')


def test_every_attack_is_in_the_documentation() -> None:
    """By the name of its file, marked where the process level does not stop it."""
    text = (catalog.ROOT / "docs" / "isolation.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"`((?:models/)?[a-z_]+)`(°?)", text.partition("## Attack by attack")[2]))
    for path in HOSTILE.rglob("*.py"):
        name = path.relative_to(HOSTILE).with_suffix("").as_posix()
        assert name in told, f"{name} is not in docs/isolation.md"
        assert (told[name] == "°") == (name in NOT_STOPPED_ON_PROCESS_LEVEL), name


@pytest.mark.parametrize(
    "attack", [*CHEATS, *SPIES, *HANGS_AND_CRASHES, *FLOODS, *ODD_ANSWERS, *HARMLESS], ids=str
)
def test_an_attack_costs_its_own_points_and_nobody_elses(
    strict: Sandbox, ground: Ground, attack: Attack
) -> None:
    verdict = grade_attack(strict, attack)
    costs_what_it_should(attack, verdict)
    ground.is_as_before("strict")


def test_nobody_outside_can_be_told(strict: Sandbox, ground: Ground) -> None:
    attack = NAMED["opens_sockets"]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as letters,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        port = listener.getsockname()[1]
        letters.bind(("127.0.0.1", port))
        abstract.bind(f"\0canary-{port}")
        abstract.listen()
        for canary in (listener, letters, abstract):
            canary.setblocking(False)
        verdict = grade_attack(strict, attack, **{"PORT = 0": f"PORT = {port}"})
        for canary in (listener, abstract):
            with pytest.raises(BlockingIOError):
                canary.accept()
        with pytest.raises(BlockingIOError):
            letters.recv(1)
        with socket.create_connection(("127.0.0.1", port)):
            eventually(lambda: bool(listener.accept()))  # the listener would have heard
    costs_what_it_should(attack, verdict)
    ground.is_as_before("strict")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has a second set of numbers")
def test_system_calls_by_other_numbers_end_the_process(strict: Sandbox, ground: Ground) -> None:
    attack = NAMED["other_abi"]
    verdict = grade_attack(strict, attack)
    costs_what_it_should(attack, verdict)
    assert verdict.notes == [verdict.notes[0]]
    ground.is_as_before("strict")


@pytest.mark.parametrize("attack", TELLTALES, ids=str)
def test_what_a_student_reads_does_not_depend_on_hidden_arguments(
    strict: Sandbox, ground: Ground, attack: Attack
) -> None:
    one, other = (grade_attack(strict, attack, secret) for secret in (b"one", b"another"))
    costs_what_it_should(attack, one)
    costs_what_it_should(attack, other)  # where what the first left behind would be found
    assert one.submission.calls
    assert hidden_numbers(one) != hidden_numbers(other)
    assert one.words == other.words
    text = json.dumps(one.words)
    assert not [number for number in hidden_numbers(one) if number in text]
    ground.is_as_before("strict")


def hidden_numbers(verdict: Verdict) -> set[str]:
    """Return the numbers of all arguments that are long enough to be known again."""
    numbers = [
        float(number)
        for call in verdict.submission.calls
        for argument in call.args
        for number in np.ravel(np.asarray(argument, dtype=float))[:50]
    ]
    return {repr(number)[:8] for number in numbers if len(repr(number)) > 8}


def answer(submission: SandboxSubmission) -> tuple[Any, str]:
    """Return what a call gave, and why it gave nothing."""
    try:
        return submission.call("iou", (0, 0, 1, 1), (0, 0, 2, 2)), ""
    except SubmissionError as error:
        return None, str(error)


LAYOUTS = {
    "in the interpreter's own packages": "prefix/lib/python/site-packages",
    "in packages beside the interpreter's": "usr/local/lib/python/dist-packages",
    "in a checkout below a system folder": "usr/src/app",
}


@pytest.mark.parametrize("place", LAYOUTS.values(), ids=LAYOUTS)
def test_graders_are_hidden_wherever_the_package_is_installed(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, packages = tmp_path / place / "autograder", tmp_path / place
    for folder in (package / "graders", tmp_path / "prefix", tmp_path / "usr"):
        folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(isolation, "_PACKAGE", package)
    monkeypatch.setattr(isolation, "_SYSTEM_FOLDERS", (str(tmp_path / "usr"),))
    monkeypatch.setattr(isolation, "site_folders", lambda: [packages] if "packages" in place else [])
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "prefix"))
    assert seen_by_the_sandbox(isolation.strict_command("bwrap", "{}", CPU), package / "protocol.py")
    assert not seen_by_the_sandbox(isolation.strict_command("bwrap", "{}", CPU), package / "graders")


def seen_by_the_sandbox(command: list[str], path: Path) -> list[str]:
    """Return where a bubblewrap command shows a path of this machine, later mounts covering earlier ones."""
    seen: list[str] = []
    for number, word in enumerate(command):
        if word in ("--tmpfs", "--ro-bind"):
            covered = command[number + (2 if word == "--ro-bind" else 1)]
            seen = [where for where in seen if not Path(where).is_relative_to(covered)]
        if word == "--ro-bind" and path.is_relative_to(command[number + 1]):
            seen.append(str(Path(command[number + 2], path.relative_to(command[number + 1]))))
    return seen


def frame_kinds() -> list[str]:
    namespace: dict[str, Any] = {}
    code = NAMED["forges_frames"].code().partition("protocol = sys.modules")[0]
    exec(compile(code, "forges_frames", "exec"), namespace)  # the table only; the rest runs in the sandbox
    return list(namespace["FRAMES"])


@pytest.mark.parametrize("kind", frame_kinds())
def test_a_forged_frame_is_one_bad_answer(walled: Sandbox, kind: str) -> None:
    code = NAMED["forges_frames"].code(**{'"not JSON"\n': f"{kind!r}\n"})
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("def iou(*boxes):\n    return 1.0")]
    submission = SandboxSubmission(
        student="mallory",
        sandbox=walled,
        notebook=nbformat.v4.new_notebook(cells=cells),
        untouched=frozenset(),
        limits=TIGHT,
        seed=0,
    )
    try:
        submission.execute()
        assert "TRIED" in json.dumps(cells[0].outputs)
        for _ in range(2):
            value, reason = answer(submission)
            assert reason.isprintable()
            assert answers.difference(value, 0.25)
            assert answers.difference(value, np.zeros(4))
            assert answers.difference(value, [1, 2])
            assert answers.difference(value, {"a": 1})
    finally:
        submission.close()


def test_large_answers_do_not_add_up(walled: Sandbox, ground: Ground) -> None:
    attack = NAMED["large_values"]
    verdict = grade_attack(walled, attack)
    costs_what_it_should(attack, verdict)
    kept = [call.value.nbytes for call in verdict.submission.calls if isinstance(call.value, np.ndarray)]
    assert sum(kept) <= KEPT_BYTES
    ground.is_as_before(walled.level)


@pytest.mark.parametrize("level", isolation.LEVELS)
def test_nothing_is_ever_unpickled(
    level: Level, request: pytest.FixtureRequest, ground: Ground, tmp_path: Path
) -> None:
    """Neither here nor there: whoever did would write down its number."""
    sandbox: Sandbox = request.getfixturevalue(level)
    witness = tmp_path / "witness"
    attack = NAMED["pickles_code"]
    told = {'"/nowhere/witness"': repr(str(witness))}
    verdict = grade_attack(sandbox, attack, **told)
    costs_what_it_should(attack, verdict)
    assert not witness.exists()
    ground.is_as_before(level)
    code = attack.code(**told) + "\nfor bomb in (pickled, pickle.dumps(Bomb())):\n    pickle.loads(bomb)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert len(witness.read_text().split()) == 2  # as it has been here


@pytest.mark.parametrize("level", isolation.LEVELS)
def test_short_sleeps_do_not_add_up(level: Level, request: pytest.FixtureRequest, ground: Ground) -> None:
    """A notebook that keeps every limit of a cell and of a call is stopped by that of the whole."""
    sandbox: Sandbox = request.getfixturevalue(level)
    attack = NAMED["sleeps_in_every_call"]
    verdict = grade_attack(sandbox, attack)
    assert set(verdict.lost.values()) <= {"timeout", "partial"}
    assert "The notebook as a whole ran for more than 2 seconds" in json.dumps(verdict.questions)
    asked_in_vain = [call for call in verdict.submission.calls if isinstance(call.error, StudentTimeout)]
    assert len(verdict.submission.calls) - len(asked_in_vain) <= attack.limits.total_wall / 0.4
    ground.is_as_before(level)


@pytest.mark.parametrize("level", isolation.LEVELS)
def test_short_sleeps_in_cells_do_not_add_up(level: Level, request: pytest.FixtureRequest) -> None:
    sandbox: Sandbox = request.getfixturevalue(level)
    right = specimen.reference(IOU)
    sleepy = {name: f"import time\ntime.sleep(0.4)\n{source}" for name, source in right.items()}
    limits = replace(TIGHT, total_wall=1)
    submission = take_in(nbformat.writes(specimen.handed_in(IOU, sleepy)), sandbox, limits=limits)
    with closing(submission):
        submission.execute()
    stopped = submission.stopped()
    assert len(right) - len(stopped) <= limits.total_wall / 0.4 + 1
    assert all("The notebook as a whole ran for more than 1 seconds" in sentence for sentence in stopped)


# --- A class -------------------------------------------------------------------------------------------

VILLAINS = (
    "answers_ahead", "exits", "kills_its_group", "blinds_its_watcher", "odd_values", "odd_characters",
    "returns_arguments", "passes_arguments_on", "changes_surroundings",
)  # fmt: skip


def work(student: str, problem: catalog.Problem, notebook: nbformat.NotebookNode) -> Work:
    handed_in = intake.HandedIn(nbformat.writes(notebook).encode(), "", (), "")
    return Work("course", student, problem.name, handed_in, SECRET, "strict", "")


def grade_whole(item: Work, folder: Path) -> list[Any]:
    """Grade as a batch does; return all that is kept of it but how long it took."""
    graded = batch.grade_one(item)
    graded.write(folder)
    assert graded.result.status == "graded", graded.result.notes
    return [graded.result.to_json() | {"seconds": None}, graded.notebook, graded.detail]


def test_a_class_is_graded_the_same_with_and_without_attackers(
    strict: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grader, "needs", lambda problem: grader.Needs(limits=TIGHT))
    right = specimen.reference(IOU)
    slips = {
        name: specimen.slip(IOU, name, next(slip.name for slip in question.slips.values() if not slip.slow))
        for name, question in grader.load("iou").items()
    }
    honest = [
        work("ada", IOU, specimen.handed_in(IOU, right)),
        work("alan", IOU, specimen.handed_in(IOU, slips)),
        work("grace", COUNTS, specimen.handed_in(COUNTS, specimen.reference(COUNTS))),
    ]
    try:
        alone = [grade_whole(item, tmp_path) for item in honest]
        for name, neighbour, before in zip(VILLAINS, cycle(honest), cycle(alone)):
            grade_whole(work(name, IOU, specimen.handed_in(IOU, right, NAMED[name].code())), tmp_path)
            assert grade_whole(neighbour, tmp_path) == before, f"{name} changed what {neighbour.student} gets"
    finally:
        batch.drop_sandboxes()


# --- Files that are not as they must be ----------------------------------------------------------------


def visible_tests(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.id.startswith("test-")]


def with_settings(*names: str, **settings: Any) -> Callable[[NotebookNode], None]:
    """Return a change of the nbgrader settings of the cells called `names`, of all by default."""

    def change(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            if "nbgrader" in cell.metadata and (not names or cell.id in names):
                cell.metadata.nbgrader |= settings

    return change


def a_test_twice(notebook: NotebookNode) -> None:
    notebook.cells.append(copy.deepcopy(visible_tests(notebook)[0]))


def a_test_above_its_solution(notebook: NotebookNode) -> None:
    test = visible_tests(notebook)[0]
    notebook.cells.remove(test)
    notebook.cells.insert(0, test)


def no_tests(notebook: NotebookNode) -> None:
    notebook.cells = [cell for cell in notebook.cells if cell not in visible_tests(notebook)]


def no_grade_ids(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata.get("nbgrader", {}).pop("grade_id", None)


def no_metadata(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = {}
        del cell["id"]


def score_in_the_outputs(notebook: NotebookNode) -> None:
    """Write more than the maximum where nbgrader looks for partial credit."""
    for cell in visible_tests(notebook):
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "99.0"})]


def hundred_megabytes(notebook: NotebookNode) -> None:
    text = ["x" * 99 + "\n"] * 250_000
    for cell in visible_tests(notebook)[:4]:
        cell.outputs = [{"output_type": "stream", "name": "stdout", "text": text}]


def warns_on_stderr(notebook: NotebookNode) -> None:
    warns = "import warnings, sys\nwarnings.warn('careful')\nprint('careful', file=sys.stderr)"
    for cell in notebook.cells:
        if cell.id in grader.load(COUNTS.name):
            cell.source += f"\n{warns}"


MENDED: dict[str, Callable[[NotebookNode], None]] = {
    "duplicate-test": a_test_twice,
    "schema-version": with_settings(schema_version=99),
    "moved-test": a_test_above_its_solution,
    "deleted-tests": no_tests,
    "renamed-solution": with_settings("dense_params", grade_id="mine"),
    "renamed-test": with_settings("test-dense_params", grade_id="mine"),
    "missing-ids": no_grade_ids,
    "no-metadata": no_metadata,
    "test-as-solution": with_settings("test-dense_params", solution=True, locked=False),
    "solution-as-test": with_settings("dense_params", grade=True, points=50),
    "raised-maximum": with_settings("test-dense_params", points=99),
    "score-in-outputs": score_in_the_outputs,
    "hundred-megabytes": hundred_megabytes,
    "warnings": warns_on_stderr,
    "latin-1": lambda notebook: notebook.cells.append(nbformat.v4.new_markdown_cell("Übung")),
}
"""Right answers in notebooks that stop nbgrader, or whose authors it gives less."""
ADAS_OWN = "# only ada has written this line"
BYTES = {"not-json": b"print('hello')", "empty": b"", "truncated": b'{"cells": [{"cell_type": "code", "sour'}
LINKS = {
    "link-to-a-classmate": f"../../ada/{COUNTS.name}/{COUNTS.name}.ipynb",
    "link-to-the-gradebook": "../../../gradebook.db",
    "link-to-the-secret": "../../../.convgrade_secret",
    "link-to-the-system": "/etc/passwd",
}
"""Where the notebook should be, links to what its author may not read, but whoever grades may."""
HONEST = ("ada", "alan", "emmy")
FORGES, FOLDER_LINK = "forged-scores", "link-to-a-folder"


UNREADABLE = (*BYTES, *LINKS, FOLDER_LINK)
EVERYBODY = (*HONEST, *MENDED, *UNREADABLE, FORGES)
NOTED = {*MENDED, *UNREADABLE} - {"schema-version", "score-in-outputs", "hundred-megabytes", "warnings"}
"""Whose result says what was mended, or why nothing was read: outputs and versions are not worth a word."""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course in which honest students and others have handed in all sorts of files, and Ada has a grade."""
    hands = {name: ("", demo.STUDENTS[name][1], (COUNTS.name,)) for name in HONEST}
    course = demo.make_class(tmp_path_factory.mktemp("courses") / "hostile", hands)
    right = specimen.reference(COUNTS)
    write(course, "ada", json.dumps(specimen.handed_in(COUNTS, right, ADAS_OWN)).encode())
    for student, change in MENDED.items():
        notebook = specimen.handed_in(COUNTS, right)
        change(notebook)
        encoding = "latin-1" if student == "latin-1" else "utf-8"
        write(course, student, json.dumps(notebook, ensure_ascii=False).encode(encoding, "replace"))
    forged = specimen.untouched(COUNTS)
    score_in_the_outputs(forged)
    write(course, FORGES, json.dumps(forged).encode())
    for student, content in BYTES.items():
        write(course, student, content)
    for student, target in LINKS.items():
        path = write(course, student, b"")
        path.unlink()
        path.symlink_to(target)
    (course.submitted / FOLDER_LINK).symlink_to("ada")
    with gradebook_of(course.root) as book, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader asks about what it is just adding
        book.add_assignment(COUNTS.name)
        book.add_notebook(COUNTS.name, COUNTS.name)
        book.add_grade_cell("test-variant", COUNTS.name, COUNTS.name, max_score=7, cell_type="code")
        book.add_student("ada")
        book.add_submission(COUNTS.name, "ada").notebooks[0].grades[0].auto_score = 7
        book.db.commit()
    return course


def write(course: Course, student: str, content: bytes) -> Path:
    path = handed_in_by(course, student)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def handed_in_by(course: Course, student: str) -> Path:
    return course.submitted / student / COUNTS.name / f"{COUNTS.name}.ipynb"


def gradebook_of(root: Path) -> Gradebook:
    programs = str(Path(sys.executable).parent)  # nbgrader starts alembic by name
    if programs not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] += os.pathsep + programs
    return Gradebook(f"sqlite:///{root / 'gradebook.db'}")


def recorded(root: Path) -> dict[str, float]:
    """Return everybody's score in nbgrader's database."""
    with gradebook_of(root) as book:
        return {found.student.id: found.score for found in book.assignment_submissions(COUNTS.name)}


@pytest.fixture
def warm(level: Level, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Level:
    """The strongest level that works, on which a batch grades with the warm sandbox that is here already."""
    monkeypatch.setitem(batch._sandboxes, (level, grader.needs(COUNTS.name).imports), ground.sandbox(level))
    return level


def grade_in(course: Course, student: str, level: Level) -> batch.Graded:
    planned = batch.plan(course, course.submitted, [COUNTS], [student], level, force=True)
    return batch.grade_one(planned.waiting[0].load())


def secrets_of(course: Course) -> list[bytes]:
    """Return what stands in the files that links lead to."""
    return [ADAS_OWN.encode(), b"SQLite format 3", course.secret(), Path("/etc/passwd").read_bytes()[:20]]


def is_what_it_should_be(student: str, result: Result) -> None:
    full = sum(question.points for question in grader.load(COUNTS.name).values())
    earned = full if student in MENDED or student == "ada" else 0
    assert result.status == ("unreadable" if student in UNREADABLE else "graded")
    assert result.max_score == full
    assert result.score == earned or (student in HONEST and 0 < result.score < full)
    assert bool(result.notes) == (student in NOTED)


@pytest.mark.parametrize("student", EVERYBODY)
def test_an_odd_file_gets_what_is_right_in_it(warm: Level, course: Course, student: str) -> None:
    """Right answers get all points whatever is around them, and no notebook of their own gets none."""
    graded = grade_in(course, student, warm)
    is_what_it_should_be(student, graded.result)
    kept = json.dumps([graded.result.to_json(), graded.notebook, graded.detail]).encode()
    assert len(kept) < 10**6
    assert [secret for secret in secrets_of(course) if secret in kept] == [ADAS_OWN.encode()] * (
        student == "ada"
    )


def test_the_large_notebook_is_large(course: Course) -> None:
    assert handed_in_by(course, "hundred-megabytes").stat().st_size > 10**8


@pytest.mark.long
def test_odd_files_stop_no_batch(warm: Level, course: Course, tmp_path: Path) -> None:
    """All in one batch, with nbgrader's own code writing its own database: each gets what it gets alone."""
    course = Course.at(Path(shutil.copytree(course.root, tmp_path / course.root.name, symlinks=True)))
    (course.root / "gradebook.db").unlink()
    command = [sys.executable, "-m", "autograder.cli", "grade", COUNTS.name, "--course", str(course.root)]
    command += ["--jobs", "2", "--isolation", warm]
    # First one alone, so that the gradebook that a link leads to is there again.
    for who, code in ((["--student", "ada"], 0), ([], 1)):
        done = subprocess.run([*command, *who], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, ""), done.stdout
    scores = recorded(course.root)
    assert scores.keys() == set(EVERYBODY)
    apart = {"seconds": None, "grader_sha256": None}
    for student in EVERYBODY:
        result = read_result(course.results, student, COUNTS.name)
        assert result is not None
        assert result.score == scores[student]
        assert result.to_json() | apart == grade_in(course, student, warm).result.to_json() | apart
        folders = [course.root / name / student for name in ("results", "autograded", "feedback")]
        kept = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        assert kept
        assert sum(path.stat().st_size for path in kept) < 2 * 10**6
        for secret in secrets_of(course) if student != "ada" else ():
            assert not [path for path in kept if secret in path.read_bytes()]


def test_nobody_changes_grades_or_submissions(
    strict: Sandbox, ground: Ground, course: Course, tmp_path: Path
) -> None:
    """The database and every file of the course are what they were; without walls they would not be."""
    attack = NAMED["edits_others"]
    before, scores = digests(course.root), recorded(course.root)
    verdict = grade_attack(strict, attack, **{'"/nowhere"': repr(str(course.root))})
    costs_what_it_should(attack, verdict)
    assert digests(course.root) == before
    assert recorded(course.root) == scores
    ground.is_as_before("strict")
    copied = tmp_path / "copy"
    shutil.copytree(course.submitted / "ada", copied / "submitted" / "ada")
    shutil.copy(course.root / "gradebook.db", copied)
    code = attack.code(**{'"/nowhere"': repr(str(copied))})
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, cwd=tmp_path)
    assert recorded(copied) == {"ada": 99}
    assert (copied / "submitted" / "ada" / COUNTS.name / f"{COUNTS.name}.ipynb").read_text() == "{}"


def digests(folder: Path) -> dict[Path, str]:
    """Return a hash of every file below a folder, and of who may read it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[path] = f"{path.stat().st_mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


# --- No more than a process ----------------------------------------------------------------------------


def withstood() -> list[Any]:
    """Return every attack that the process level is not known to have no wall against."""
    left = NAMED.keys() - NOT_STOPPED_ON_PROCESS_LEVEL.keys() - set(TESTED_APART)
    marks = dict.fromkeys(SLOW_ON_PROCESS_LEVEL, pytest.mark.long)
    return [pytest.param(NAMED[name], id=name, marks=marks.get(name, ())) for name in NAMED if name in left]


@pytest.mark.parametrize("attack", withstood())
def test_the_process_level_withstands(process: Sandbox, ground: Ground, attack: Attack) -> None:
    verdict = grade_attack(process, attack)
    costs_what_it_should(attack, verdict)
    ground.is_as_before("process")
