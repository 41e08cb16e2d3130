"""The command line, ``convgrade``."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from autograder import __version__, catalog
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError, CourseError, NotRecorded
from autograder.results import Result, write_atomically

if TYPE_CHECKING:
    from autograder.audit import Judgement
    from autograder.batch import Batch
    from autograder.progress import GradingProgress
    from autograder.sandbox.isolation import Level
    from autograder.workers import Pool

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Auto-graded coursework on convolutional networks.",
    epilog="New here? Try `convgrade demo`, then `convgrade doctor`.",
)
NOT_ALL_GRADED, USAGE = 1, 2
STOPPED = 128
"""What a signal's number is added to, where one stopped the command."""

Problems = Annotated[list[str] | None, typer.Argument(help="Problems; all of them by default.")]
CourseFolder = Annotated[Path, typer.Option("--course", help="The course folder.")]


def main() -> None:
    """Run the command line; every expected failure is one sentence and an exit code."""
    stop = _Stop()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a student's folder may have a name that is no text
        sys.stdout.reconfigure(errors="backslashreplace")
    with stop.listening():
        try:
            app()
        except BaseException as error:
            if stop.signal:  # whatever it was turned into on its way here
                raise SystemExit(stop.end()) from None
            if isinstance(error, BrokenPipeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
            elif isinstance(error, ConvGradeError | OSError):
                print(f"convgrade: {error}", file=sys.stderr)
                raise SystemExit(USAGE) from None
            else:
                raise
        finally:
            gc.freeze()  # Python would look through everything once more on its way out, for half a second


class _StopKeyboardInterrupt(KeyboardInterrupt):
    """An interrupt that was asked for.

    Where a plain one passes through a text that is executed, as in the making of a dataclass, Python notes
    that it was not handled, whatever happens to it then, and ``python -m`` ends by SIGINT for all its exit
    code.
    """


@dataclass
class _Stop:
    """Hears the signals that ask a command to stop: Ctrl-C, ``kill``, a terminal that is closed.

    Attributes:
        signal: the first that came; 0 where none did.
    """

    signal: int = 0
    _told: bool = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the first signal into an interrupt; a second one does not wait until it has worked."""

        def stop(number: int, frame: object) -> None:
            if self.signal:
                os._exit(self.end())
            self.signal = number
            raise _StopKeyboardInterrupt

        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # What is ignored already stays so: nohup and background jobs ask for it.
        heard = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, stop) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self) -> int:
        """Say once that the command was stopped, and return its exit code."""
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):  # the terminal may be gone
                print("convgrade: stopped; finished results are kept.", file=sys.stderr)
        return STOPPED + self.signal


def _chosen(names: list[str] | None) -> list[Problem]:
    return [catalog.problem(name) for name in dict.fromkeys(names)] if names else catalog.problems()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"convgrade {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Auto-graded coursework on convolutional networks."""


@app.command(epilog="Example: `convgrade build iou`, then commit what changed.")
def build(
    problems: Problems = None,
    check: Annotated[bool, typer.Option("--check", help="Only say which files are stale.")] = False,
) -> None:
    """Make source notebooks, the release and the worked solutions from `source/<p>/<p>.py`."""
    from autograder import build as building
    from autograder import sentences

    if check:
        stale = building.stale(_chosen(problems)) + ([] if problems else sentences.stale())
        for path in stale:
            print(f"stale: {path.relative_to(catalog.ROOT)}")
        if stale:
            print("Run 'convgrade build' and commit what it writes.")
            raise typer.Exit(NOT_ALL_GRADED)
        print("Everything is fresh.")
        return
    written = building.build(_chosen(problems)) + ([] if problems else sentences.write())
    for path in written:
        print(f"wrote {path.relative_to(catalog.ROOT)}")
    if not written:
        print("Everything was fresh.")


@app.command(epilog="Example: `convgrade new dilated_convolution`")
def new(problem: Annotated[str, typer.Argument(help="Its name, like `dilated_convolution`.")]) -> None:
    """Make the files of a new problem, ready to be filled."""
    from autograder import build as building

    for path in building.new(problem):
        print(f"wrote {path.relative_to(catalog.ROOT)}")
    print(f"Write the questions there, then run 'convgrade build {problem}'.")


@app.command(
    epilog="Examples: `convgrade grade` · `convgrade grade iou --student ada --force` · "
    "`convgrade grade --json -`"
)
def grade(
    problems: Problems = None,
    course: CourseFolder = Path(),
    submitted: Annotated[
        Path | None, typer.Option(help="Where the submissions are; the course's own by default.")
    ] = None,
    student: Annotated[list[str] | None, typer.Option(help="Only this student; repeatable.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many to grade at a time; what this machine can, by default."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Grade on the workers of this dask scheduler, like tcp://host:8786.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Grade again what has not changed.")] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write the results as JSON to a file, or to - .")
    ] = None,
    isolation: Annotated[
        str, typer.Option(help="auto, strict or process: how student code is kept apart.")
    ] = "auto",
) -> None:
    """Grade `submitted/<student>/<problem>/<problem>.ipynb` and record it in nbgrader's gradebook."""
    from autograder import report

    if isolation not in ("auto", "strict", "process"):
        raise ConvGradeError(f"--isolation is auto, strict or process, not {isolation!r}.")
    where = Course.at(course)
    console = Console(stderr=json_file == "-")
    wanted = Grading(_chosen(problems), list(dict.fromkeys(student or [])), jobs, scheduler, force, isolation)
    try:
        results = grade_course(where, submitted or where.submitted, wanted, console)
    except NotRecorded as error:
        report.print_class(console, error.results)
        _write_json(error.results, json_file)
        raise
    report.print_class(console, results)
    report.print_places(console, where)
    _write_json(results, json_file)
    if any(result.status != "graded" for result in results):
        raise typer.Exit(NOT_ALL_GRADED)


def _write_json(found: Sequence[Result] | Sequence[Judgement], file: str | None) -> None:
    """Write what was found as JSON: to `file`, to the standard output where that is -, or nowhere."""
    text = json.dumps([each.to_json() for each in found], indent=1, ensure_ascii=False)
    if file == "-":
        print(text)
    elif file:
        write_atomically(Path(file), text + "\n")


@dataclass(frozen=True)
class Grading:
    """What is to be graded, and how.

    Attributes:
        students: all of them where none is named.
        jobs: how many at a time; None for what this machine can.
        scheduler: the address of a dask scheduler whose workers grade; None for this machine's.
        force: grade again what has not changed.
        isolation: ``auto``, ``strict`` or ``process``.
    """

    problems: list[Problem]
    students: list[str] = field(default_factory=list)
    jobs: int | None = None
    scheduler: str | None = None
    force: bool = False
    isolation: str = "auto"


def grade_course(course: Course, submitted: Path, wanted: Grading, console: Console) -> list[Result]:
    """Grade and record a course; return all results, those that were still right too.

    Raises:
        NotRecorded: everything was graded, but some could not be recorded.
    """
    from autograder import batch

    with course.lock(), course.temporary_files():
        course.tidy()
        try:
            results = _grade_what_changed(course, submitted, wanted, console)
        finally:
            batch.drop_sandboxes()
        results.sort(key=lambda result: (result.student, result.problem))
        _require_kept(course, results)
        try:
            _record(course, submitted, results, wanted.jobs, console)
        except (ConvGradeError, OSError) as error:
            raise NotRecorded(str(error), results) from error
    return results


def _grade_what_changed(course: Course, submitted: Path, wanted: Grading, console: Console) -> list[Result]:
    from autograder import batch, recorded, workers
    from autograder.grader import Needs

    recorded.load_config(course)  # recording needs it: better to fail before grading
    supposed: Level = "process" if wanted.isolation == "process" else "strict"
    with contextlib.ExitStack() as stack:
        # Whether it works is known in a second. Meanwhile the class is looked through, and workers start.
        batch.launch_sandboxes([Needs.imports], supposed)
        begun = stack.enter_context(_begin(course, submitted, wanted, console, supposed, known_to_work=False))
        level, weaker_because = batch.choose_level(wanted.isolation, batch.warm_sandbox)
        if level != supposed or not batch.warm_sandbox(level).worked_at_once:
            stack.close()
            begun = stack.enter_context(_begin(course, submitted, wanted, console, level, known_to_work=True))
        console.print(f"Isolation: {level}")
        if weaker_because:
            console.print(f"Warning: {weaker_because}", style="yellow", markup=False)
        results = list(begun.planned.reused)
        if results:
            console.print(f"{len(results)} unchanged, {len(begun.planned.waiting)} to grade")
        if begun.pool:
            graded_by = workers.grade_all(begun.planned, begun.pool)
            with begun.progress, contextlib.closing(graded_by) as finished:
                for graded in finished:
                    graded.write(course.results)
                    results.append(graded.result)
                    begun.progress.finish(graded.result)
    return results


@dataclass(frozen=True)
class _Begun:
    """A grading that is planned, and whose workers are there.

    Attributes:
        pool: None where nothing waits for them.
    """

    planned: Batch
    progress: GradingProgress
    pool: Pool | None


@contextlib.contextmanager
def _begin(
    course: Course, submitted: Path, wanted: Grading, console: Console, level: Level, known_to_work: bool
) -> Iterator[_Begun]:
    """Plan a grading on a level of isolation, and have workers as long as it lasts.

    Raises:
        CourseError: there is no such scheduler, or it has no worker.
        SandboxError: the level was known to work, and does not.
    """
    from autograder import batch, workers
    from autograder.progress import GradingProgress

    planned = batch.plan(course, submitted, wanted.problems, wanted.students, level, force=wanted.force)
    progress = GradingProgress(console, len(planned.waiting))
    with contextlib.ExitStack() as stack:
        pool = None
        if planned.waiting and wanted.scheduler:
            pool = stack.enter_context(workers.cluster(wanted.scheduler))
        elif planned.waiting:
            start = batch.start_sandboxes if known_to_work else batch.launch_sandboxes
            sandboxes = start(batch.imports_of(planned), level)
            early = bool(sandboxes) and not known_to_work
            offered = workers.processes(_jobs(planned, wanted), progress.hear, sandboxes, early)
            pool = stack.enter_context(offered)
        yield _Begun(planned, progress, pool)


def _jobs(planned: Batch, wanted: Grading) -> int:
    from autograder import batch, workers

    memory_mb = max(batch.needs_of(waiting.problem).limits.memory_mb for waiting in planned.waiting)
    return min(wanted.jobs or workers.default_jobs(memory_mb), len(planned.waiting))


def _require_kept(course: Course, results: list[Result]) -> None:
    """Make sure that everything is still there to be recorded.

    Raises:
        CourseError: results were removed meanwhile.
    """
    lost = [result for result in results if not result.path(course.results).is_file()]
    if lost:
        raise CourseError(
            f"{len(lost)} results were removed from {course.results} during the grading. "
            "Run the command again to grade these once more and to record the others."
        )


def _record(
    course: Course, submitted: Path, results: list[Result], jobs: int | None, console: Console
) -> None:
    from autograder import recorded, workers

    unrecorded = recorded.unrecorded(course, submitted, results)
    if unrecorded:
        from autograder import gradebook

        console.print("Recording in nbgrader's gradebook …")
        slots = jobs or workers.default_jobs(gradebook.PAGES_MB)
        gradebook.record(course, submitted, unrecorded, slots)


@app.command(epilog="Example: `convgrade demo /tmp/my-first-class`")
def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder that does not exist yet; demo-course by default.")
    ] = None,
) -> None:
    """Show the whole story: a sample class, right, wrong and hostile, is made, graded and recorded."""
    from autograder import demo as sample
    from autograder import report

    console = Console()
    course = sample.make_class(folder or sample.free_folder())
    console.print(f"A sample class has handed in below {course.submitted}:", highlight=False)
    report.print_labels(console, sample.labels())
    results = grade_course(course, course.submitted, Grading(catalog.problems()), console)
    report.print_class(console, results)
    report.print_places(console, course)


@app.command(
    epilog="Examples: `convgrade audit iou` · `convgrade audit --mutants 3` · `convgrade audit --json -`"
)
def audit(
    problems: Problems = None,
    mutants: Annotated[
        int | None,
        typer.Option(min=0, help="How many mutants a question; by default all, or 8 with networks."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="How many programs to judge at a time.")] = None,
    seeds: Annotated[
        int, typer.Option(min=0, help="With how many seeds to judge programs that train networks.")
    ] = 0,
    kept: Annotated[
        Path | None, typer.Option(help="Keep judgements in this file, and make none again that it holds.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page for people to this file, on all that is judged now or kept."),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write every judgement as JSON to a file, or to - .")
    ] = None,
) -> None:
    """Grade the graders: how many wrong programs pass, and how many right ones fail."""
    from autograder import audit as auditing
    from autograder import batch, report, workers

    console = Console(stderr=json_file == "-")
    level, _ = batch.choose_level("auto", batch.warm_sandbox)
    wanted = auditing.Wanted(_chosen(problems), mutants, seeds)
    memory_mb = max(batch.needs_of(problem.name).limits.memory_mb for problem in wanted.problems)
    judgements = auditing.audit(wanted, level, jobs or workers.default_jobs(memory_mb), kept)
    report.print_audit(console, judgements)
    _write_json(judgements, json_file)
    if page:
        auditing.publish(judgements, auditing.Wanted(catalog.problems(), mutants, seeds), page, kept)
    if not all(tally.sound for _, _, tally in auditing.by_question(judgements)):
        raise typer.Exit(NOT_ALL_GRADED)


@app.command()
def doctor() -> None:
    """Say what works on this machine, and what to do about what does not."""
    from autograder import doctor as examination

    found = examination.examine()
    console = Console()
    for finding in found:
        examination.print_finding(console, finding)
    if any(finding.needed and not finding.fine for finding in found):
        raise typer.Exit(NOT_ALL_GRADED)


if __name__ == "__main__":
    main()
