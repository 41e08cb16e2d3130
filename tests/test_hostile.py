"""Submissions that attack: each loses its own points and nothing else, learns nothing and leaves nothing.

Every attack is a file in ``hostile/`` whose code is the last cell of a submission. It prints ``FOUND``
where it got what it must not have, and ``TRIED`` once it has done its work, where it gets that far.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from autograder import answers, batch, catalog, grader, intake, specimen
from autograder.batch import Work
from autograder.errors import SandboxError, SubmissionError
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
        return text


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
OTHERS = [
    Attack("opens_sockets"),
    Attack("other_abi", tried=False),
    Attack("forges_frames"),
    Attack("large_values", dict.fromkeys(LARGE, ANY_LOSS), limits=Limits()),
]
EVERY_ATTACK = [*CHEATS, *SPIES, *HANGS_AND_CRASHES, *FLOODS, *ODD_ANSWERS, *TELLTALES, *OTHERS]
NAMED = {attack.name: attack for attack in EVERY_ATTACK}

NOT_STOPPED_ON_PROCESS_LEVEL = {
    "reads_files": "reads every file that whoever grades may read: graders, gradebook, other submissions",
    "reads_memory": "reads the environment of the same user's processes, and as root their memory",
    "writes_outside": "writes wherever whoever grades may write",
    "passes_arguments_on": "leaves hidden inputs in a folder for whoever is graded next",
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

WITHSTOOD_ON_PROCESS_LEVEL = [
    "equals_everything", "lying_values", "replaces_modules", "replaces_engine", "claims_points",
    "endless_loop", "ignores_interrupts", "sleeps_for_ever", "exits", "exits_in_a_call", "segfaults",
    "raises_everything", "memory_at_once", "memory_in_a_call", "prints_one_line", "forges_output",
    "odd_values", "odd_characters", "raises_arguments", "spells_arguments", "returns_arguments",
]  # fmt: skip

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
    _as_before: dict[Level, tuple[list[Any], set[int], set[Path]]] = field(default_factory=dict)

    def sandbox(self, level: Level) -> Sandbox:
        if level not in self.sandboxes:
            self.sandboxes[level] = Sandbox(level)
            self._as_before[level] = self._look_around(level)
        return self.sandboxes[level]

    def drop(self, level: Level) -> None:
        if level in self.sandboxes:
            self.sandboxes.pop(level).close()

    def _look_around(self, level: Level) -> tuple[list[Any], set[int], set[Path]]:
        honest = grade(self.sandboxes[level], WITNESS if level == "strict" else "", problem=COUNTS)
        assert not honest.lost, honest.lost
        return honest.words, offspring(), set(self.folder.iterdir())

    def is_as_before(self, level: Level) -> None:
        """Check that an attack left no process, no file, and nothing that an honest neighbour could meet."""
        words, family, files = self._as_before[level]
        assert eventually(lambda: offspring() <= family), [processes().get(p) for p in offspring() - family]
        assert not [command for _, command in processes().values() if "271828182" in command]
        assert set(self.folder.iterdir()) == files
        neighbour = grade(self.sandboxes[level], WITNESS if level == "strict" else "", problem=COUNTS)
        assert neighbour.words == words


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
    assert NAMED.keys() >= NOT_STOPPED_ON_PROCESS_LEVEL.keys()
    assert NOT_STOPPED_ON_PROCESS_LEVEL.keys().isdisjoint(WITHSTOOD_ON_PROCESS_LEVEL)
    for attack in EVERY_ATTACK:
        first_line = attack.code().partition("\n")[0]
        assert first_line.startswith('"""')
        assert first_line.endswith('."""')


@pytest.mark.parametrize("attack", [*CHEATS, *SPIES, *HANGS_AND_CRASHES, *FLOODS, *ODD_ANSWERS], ids=str)
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
def test_a_forged_frame_is_one_bad_answer(strict: Sandbox, kind: str) -> None:
    code = NAMED["forges_frames"].code(**{'"not JSON"\n': f"{kind!r}\n"})
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("def iou(*boxes):\n    return 1.0")]
    submission = SandboxSubmission(
        student="mallory",
        sandbox=strict,
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


def test_large_answers_do_not_add_up(strict: Sandbox, ground: Ground) -> None:
    attack = NAMED["large_values"]
    verdict = grade_attack(strict, attack)
    costs_what_it_should(attack, verdict)
    kept = [call.value.nbytes for call in verdict.submission.calls if isinstance(call.value, np.ndarray)]
    assert sum(kept) <= KEPT_BYTES
    ground.is_as_before("strict")


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


# --- No more than a process ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITHSTOOD_ON_PROCESS_LEVEL)
def test_the_process_level_withstands(process: Sandbox, ground: Ground, name: str) -> None:
    attack = NAMED[name]
    verdict = grade_attack(process, attack)
    costs_what_it_should(attack, verdict)
    ground.is_as_before("process")
