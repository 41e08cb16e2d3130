"""The command line, ``convgrade``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autograder import __version__, catalog
from autograder.catalog import Course, Problem
from autograder.errors import ConvGradeError
from autograder.results import Result, write_atomically

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Auto-graded coursework on convolutional networks.",
    epilog="New here? Try `convgrade demo`, then `convgrade doctor`.",
)
NOT_ALL_GRADED, USAGE = 1, 2
INTERRUPTED = 130
"""What typer makes of an interrupt, without a word."""

Problems = Annotated[list[str] | None, typer.Argument(help="Problems; all of them by default.")]
CourseFolder = Annotated[Path, typer.Option("--course", help="The course folder.")]


def main() -> None:
    """Run the command line; every expected failure is one sentence and an exit code."""
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
    except (ConvGradeError, OSError) as error:
        print(f"convgrade: {error}", file=sys.stderr)
        raise SystemExit(USAGE) from None
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("convgrade: stopped; finished results are kept.", file=sys.stderr)
        raise


def _chosen(names: list[str] | None) -> list[Problem]:
    return [catalog.problem(name) for name in names] if names else catalog.problems()


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

    if check:
        stale = building.stale(_chosen(problems))
        for path in stale:
            print(f"stale: {path.relative_to(catalog.ROOT)}")
        if stale:
            print("Run 'convgrade build' and commit what it writes.")
            raise typer.Exit(NOT_ALL_GRADED)
        print("Everything is fresh.")
        return
    written = building.build(_chosen(problems))
    for path in written:
        print(f"wrote {path.relative_to(catalog.ROOT)}")
    if not written:
        print("Everything was fresh.")


@app.command(epilog="Example: `convgrade new dilated_convolution`")
def new(problem: Annotated[str, typer.Argument(help="Its name, like `dilated_convolution`.")]) -> None:
    """Make the two files of a new problem, ready to be filled."""
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
    jobs: Annotated[int, typer.Option(min=1, help="How many to grade at a time.")] = 1,
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
    results = grade_course(
        where, submitted or where.submitted, _chosen(problems), student or [], jobs, force, isolation, console
    )
    report.print_class(console, results)
    report.print_places(console, where)
    text = json.dumps([result.to_json() for result in results], indent=1, ensure_ascii=False)
    if json_file == "-":
        print(text)
    elif json_file:
        write_atomically(Path(json_file), text + "\n")
    if any(result.status != "graded" for result in results):
        raise typer.Exit(NOT_ALL_GRADED)


def grade_course(
    course: Course,
    submitted: Path,
    problems: list[Problem],
    students: list[str],
    jobs: int,
    force: bool,
    isolation: str,
    console: Console,
) -> list[Result]:
    """Grade and record a course; return all results, those that were still right too."""
    from autograder import batch
    from autograder.sandbox.host import Sandbox

    batch.load_config(course)  # recording needs it: better to fail before grading
    level, weaker_because = batch.choose_level(isolation, lambda level: Sandbox(level).close())
    console.print(f"Isolation: {level}")
    if weaker_because:
        console.print(f"Warning: {weaker_because}", style="yellow", markup=False)
    planned = batch.plan(course, submitted, problems, students, level, force=force)
    results = list(planned.reused)
    if planned.reused:
        console.print(f"{len(planned.reused)} unchanged, {len(planned.work)} to grade")
    with _progress(console) as progress:
        task = progress.add_task("Grading", total=len(planned.work))
        running: dict[tuple[str, str], str] = {}

        def hear(news: batch.News) -> None:
            doing = f" ({news.training} trains)" if news.training else ""
            running[news.student, news.problem] = f"{news.student} · {news.problem}{doing}"
            progress.update(task, description=", ".join(list(running.values())))

        for graded in batch.grade_all(planned, jobs, hear):
            graded.write(course.results)
            results.append(graded.result)
            running.pop((graded.result.student, graded.result.problem), None)
            progress.update(task, advance=1, description=", ".join(list(running.values())))
    unrecorded = batch.unrecorded(course, results)
    if unrecorded:
        from autograder import gradebook

        console.print("Recording in nbgrader's gradebook …")
        gradebook.record(course, submitted, unrecorded)
    return sorted(results, key=lambda result: (result.student, result.problem))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


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
    results = grade_course(
        course, course.submitted, catalog.problems(), [], os.cpu_count() or 1, False, "auto", console
    )
    report.print_class(console, results)
    report.print_places(console, course)


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
