"""Grading submissions: one, in a worker that keeps a warm sandbox, or a class of them.

Work goes to a worker as bytes and comes back as bytes, so that a worker may be a process here or, with
the same function, a machine elsewhere.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import nbformat

import autograder
from autograder import catalog, grader, intake
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError, CourseError, SandboxError
from autograder.results import QuestionResult, Result, read_result, write_atomically
from autograder.sandbox import isolation
from autograder.sandbox.host import Limits, Sandbox
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission

_VERSIONED = ("numpy", "tensorflow", "tensorflow-cpu", "keras", "ipython", "pytest")


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


def grade_one(work: Work) -> Graded:
    """Grade one submission; never raises for what a student handed in."""
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
        graded = _grade(work, problem, result)
    except ConvGradeError as error:
        result.status, result.score = "could_not_check", None
        result.notes.append(str(error))
        graded = Graded(result, detail=str(error))
    result.seconds["total"] = round(time.perf_counter() - began, 4)
    return graded


def _grade(work: Work, problem: Problem, result: Result) -> Graded:
    questions = grader.load(problem.name)
    result.max_score = float(sum(question.points for question in questions.values()))
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
        sandbox=warm_sandbox(work.level),
        notebook=taken.notebook,
        untouched=taken.untouched,
        limits=Limits(),
        seed=result.seed,
    )
    try:
        submission.execute()
        grading = grader.grade(problem.name, submission, work.secret)
    except SandboxError:
        drop_sandbox(work.level)  # the next submission starts with a new one
        raise
    finally:
        submission.close()
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


def seed_of(problem: str) -> int:
    """Return what students' processes are seeded with: no secret, the same for everybody."""
    return int.from_bytes(hashlib.sha256(problem.encode()).digest()[:4], "big")


_sandboxes: dict[Level, Sandbox] = {}


def warm_sandbox(level: Level) -> Sandbox:
    """Return this worker's warm sandbox, started by the first call."""
    if level not in _sandboxes:
        _sandboxes[level] = Sandbox(level)
    return _sandboxes[level]


def drop_sandbox(level: Level) -> None:
    """End this worker's warm sandbox, if there is one."""
    if level in _sandboxes:
        _sandboxes.pop(level).close()


@atexit.register
def _drop_sandboxes() -> None:
    for level in list(_sandboxes):
        drop_sandbox(level)


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions that scores may depend on; reading them imports nothing."""
    found = {"convgrade": autograder.__version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(problem: Problem, secret: bytes, level: Level) -> str:
    """Return a hash of everything but the submission that can change its score."""
    engine = sorted(Path(autograder.__file__).parent.glob("*.py"))
    engine += sorted(Path(isolation.__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for path in [problem.grader, problem.notebook, problem.release, *engine]:
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    settings = [level, versions(), hashlib.sha256(secret).hexdigest()]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


@dataclass
class Batch:
    """A class of submissions to grade.

    Attributes:
        reused: stored results that are still right.
        work: what has to be graded.
    """

    reused: list[Result] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)


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
    for problem in problems:
        sha256 = fingerprint(problem, secret, level)
        for student in students or everybody:
            if not os.path.lexists(submitted / student / problem.name):
                continue
            handed_in = intake.read_submission(submitted, student, problem.name)
            stored = None if force else read_result(course.results, student, problem.name)
            if (
                stored
                and stored.status != "could_not_check"
                and (stored.submission_sha256, stored.grader_sha256) == (handed_in.sha256, sha256)
            ):
                batch.reused.append(stored)
            else:
                work = Work(course.root.name, student, problem.name, handed_in, secret, level, sha256)
                batch.work.append(work)
    return batch


def grade_all(batch: Batch, jobs: int) -> Iterator[Graded]:
    """Grade a batch in `jobs` processes and yield what is finished, in the order it finishes."""
    if not batch.work:
        return
    with ProcessPoolExecutor(min(jobs, len(batch.work)), mp_context=get_context("spawn")) as executor:
        yield from run(batch.work, executor)


def run(work: Iterable[Work], executor: Executor) -> Iterator[Graded]:
    """Grade `work` with any executor; what a lost worker had in hand could not be checked."""
    futures: dict[Future[Graded], Work] = {executor.submit(grade_one, item): item for item in work}
    for future in as_completed(futures):
        item = futures[future]
        try:
            yield future.result()
        except BrokenProcessPool:
            yield _lost(item, "The process that graded it was lost; run the command again.")


def _lost(work: Work, why: str) -> Graded:
    result = Result(
        work.course, work.student, work.problem, "could_not_check", None, 0.0, notes=[why],
        isolation=work.level, submission_sha256=work.handed_in.sha256,
        grader_sha256=work.grader_sha256, versions=versions(),
    )  # fmt: skip
    return Graded(result, detail=why)


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
