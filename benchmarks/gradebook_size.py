"""A large class in nbgrader's gradebook: how long recording takes, and how long formgrader then does.

    python benchmarks/gradebook_size.py --students 1000 --pages 200

Three students are really graded: one all right, one with slips, one who wrote nothing. Everybody else gets
copies of their submissions and results, and all of them are recorded by what ``convgrade grade`` records
with. Pages take longest, so only so many are made by way of recording, and the rest are copies as well.
The same is done for a class of ten, and a Jupyter server with nbgrader's formgrader is asked for the same
pages of both; every answer is compared with the results.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from statistics import mean

from rich.console import Console

from autograder import catalog, cli, demo, gradebook, recorded, workers
from autograder.catalog import Course
from autograder.results import Result, read_result

MODELS = ("ada", "alan", "kurt")
"""All right, a slip everywhere, untouched."""
SMALL = 10


@dataclass
class Class:
    """A course whose students have all handed in everything, with the results of all of it."""

    course: Course
    results: list[Result] = field(default_factory=list)

    def of(self, problem: str) -> dict[str, Result]:
        """Return everybody's result of one problem."""
        return {result.student: result for result in self.results if result.problem == problem}


def graded(folder: Path) -> Course:
    """Grade the three who are copied, unless that was done here before."""
    if folder.exists():
        return Course.at(folder)
    course = demo.make_class(
        folder, {student: ("", demo.STUDENTS[student][1], demo.ALL) for student in MODELS}
    )
    cli.grade_course(course, course.submitted, cli.Grading(catalog.problems()), Console(stderr=True))
    return course


def make_class(folder: Path, models: Course, students: int, db_url: str = "") -> Class:
    """Copy the submissions and the results of `models` to a class of `students`."""
    folder.mkdir(parents=True)
    shutil.copytree(models.root / "source", folder / "source")
    settings = (models.root / "nbgrader_config.py").read_text(encoding="utf-8")
    if db_url:
        settings += f"c.CourseDirectory.db_url = {db_url!r}\n"
    (folder / "nbgrader_config.py").write_text(settings, encoding="utf-8")
    made = Class(Course.at(folder))
    for number, model in zip(range(students), itertools.cycle(MODELS), strict=False):
        student = f"student-{number:04}"
        shutil.copytree(models.submitted / model, made.course.submitted / student)
        shutil.copytree(models.results / model, made.course.results / student)
        for problem in demo.ALL:
            found = read_result(models.results, model, problem)
            if found is None or found.status != "graded":
                raise RuntimeError(f"{problem} of {model} was not graded.")
            result = dataclasses.replace(found, student=student)
            path = made.course.results / student / f"{problem}.json"
            path.write_text(json.dumps(result.to_json()), encoding="utf-8")
            made.results.append(result)
    return made


def copy_pages(models: Course, made: Class) -> None:
    """Give everybody without pages those of the student whose results they have."""
    for (student, model), step in itertools.product(
        zip(dict.fromkeys(result.student for result in made.results), itertools.cycle(MODELS), strict=False),
        ("autograded", "feedback"),
    ):
        for problem in demo.ALL:
            target = made.course.root / step / student / problem
            if not target.exists():
                shutil.copytree(models.root / step / model / problem, target, copy_function=shutil.copyfile)


# --- Recording -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_pages() -> Iterator[None]:
    """Let recording enter scores and comments only."""
    write, gradebook._write_pages = gradebook._write_pages, lambda *arguments: []
    try:
        yield
    finally:
        gradebook._write_pages = write


@contextlib.contextmanager
def noted_entries() -> Iterator[list[float]]:
    """Note the processor time at which each submission is begun to be entered."""
    times: list[float] = []
    enter = gradebook._enter_one

    def noted(*arguments: object) -> None:
        times.append(time.process_time())
        enter(*arguments)

    gradebook._enter_one = noted
    try:
        yield times
    finally:
        gradebook._enter_one = enter


def measure_entering(made: Class) -> None:
    """Enter everybody's scores, and print whether the last take longer than the first."""
    began, cpu_began, memory = time.monotonic(), time.process_time(), peak_mb()
    with without_pages(), noted_entries() as times:
        gradebook.record(made.course, made.course.submitted, made.results)
    wall, cpu = time.monotonic() - began, time.process_time() - cpu_began
    number = len(made.results)
    print(f"entering {number} submissions: {wall:.0f} s, {1e3 * wall / number:.0f} ms each "
          f"({1e3 * cpu / number:.0f} ms of processor time)")  # fmt: skip
    print(f"  peak memory {memory} → {peak_mb()} MB")
    class_size = number // len(demo.ALL)
    share = max(1, class_size // 10)
    for place, problem in enumerate(dict.fromkeys(result.problem for result in made.results)):
        own = times[place * class_size : (place + 1) * class_size]
        each = [1e3 * (after - before) for before, after in itertools.pairwise(own)]
        print(f"  {problem}: first {share} {mean(each[:share]):.0f} ms each, "
              f"last {share} {mean(each[-share:]):.0f} ms, of processor time")  # fmt: skip
    file = Path(recorded.gradebook_url(made.course).database or "")
    if file.is_file():
        print(f"  {file.name}: {file.stat().st_size / 2**20:.1f} MB")


def measure_pages(made: Class, number: int, jobs: int) -> None:
    """Record some of the class again, with their pages."""
    students = -(-number // len(demo.ALL))
    chosen = [result for result in made.results if int(result.student.split("-")[1]) < students]
    began, cpu_began = time.monotonic(), _cpu_of_all()
    gradebook.record(made.course, made.course.submitted, chosen, jobs)
    wall, cpu = time.monotonic() - began, _cpu_of_all() - cpu_began
    each = len(chosen)
    print(f"recording {each} of them with pages, {jobs} at a time: {wall / each:.2f} s each "
          f"({cpu / each:.2f} s of processor time)")  # fmt: skip


def measure_unrecorded(made: Class) -> None:
    """Ask what is not recorded yet, when everything is."""
    began = time.monotonic()
    missing = recorded.unrecorded(made.course, made.course.submitted, made.results)
    print(f"finding that all {len(made.results)} are recorded: {time.monotonic() - began:.1f} s")
    if missing:
        raise RuntimeError(f"{len(missing)} are not recorded, {missing[0].student} for one.")


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _cpu_of_all() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


# --- Formgrader ----------------------------------------------------------------------------------------

Get = Callable[[str], str]


@contextlib.contextmanager
def formgrader(course: Course) -> Iterator[Get]:
    """Start a Jupyter server on a course; yield what asks formgrader there for a path."""
    with tempfile.TemporaryDirectory() as folder:
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        places = {"JUPYTER_RUNTIME_DIR": folder, "JUPYTER_CONFIG_DIR": f"{folder}/config", "PATH": programs}
        server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ServerApp.port=0",
                "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=size",
                '--ServerApp.jpserver_extensions={"nbgrader.server_extensions.formgrader": True}',
            ],
            cwd=course.root, env=os.environ | places, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not (found := list(Path(folder).glob("jpserver-*.json"))):
                if server.poll() is not None:
                    raise RuntimeError("The Jupyter server did not start.")
                time.sleep(0.1)
            address = json.loads(found[0].read_text())["url"]

            def get(path: str) -> str:
                request = urllib.request.Request(
                    f"{address}formgrader{path}", headers={"Authorization": "token size"}
                )
                with urllib.request.urlopen(request, timeout=600) as answer:  # raises unless it is 200
                    return answer.read().decode()

            yield get
        finally:
            server.terminate()
            server.wait()


def ask_formgrader(made: Class, problem: str) -> dict[str, float]:
    """Ask for every kind of page; return the seconds of each.

    Raises:
        RuntimeError: an answer is not what the results say.
    """
    expected = made.of(problem)
    student = next(name for name, result in expected.items() if 0 < (result.score or 0) < result.max_score)
    seconds: dict[str, float] = {}

    with formgrader(made.course) as get:
        get("/api/status")

        def asked(kind: str, path: str) -> str:
            began = time.monotonic()
            answer = get(path)
            seconds[kind] = time.monotonic() - began
            return answer

        asked("/formgrader", "")
        rows = json.loads(asked("/api/assignments", "/api/assignments"))
        _agree("assignments", {r["name"]: r["num_submissions"] for r in rows if r["name"] in demo.ALL},
               dict.fromkeys(demo.ALL, len(expected)))  # fmt: skip
        asked("/manage_submissions/…", f"/manage_submissions/{problem}")
        rows = json.loads(asked("/api/submissions/…", f"/api/submissions/{problem}"))
        _agree("submissions", {r["student"]: r["score"] for r in rows}, scores(expected))
        asked("/gradebook/…/…", f"/gradebook/{problem}/{problem}")
        rows = json.loads(
            asked("/api/submitted_notebooks/…", f"/api/submitted_notebooks/{problem}/{problem}")
        )
        _agree("notebooks", {r["student"]: r["score"] for r in rows}, scores(expected))
        number = next(row["id"] for row in rows if row["student"] == student)
        rows = json.loads(asked("/api/students", "/api/students"))
        totals = {s: sum(r.score or 0 for r in made.results if r.student == s) for s in list(expected)[:3]}
        _agree("students", {r["id"]: r["score"] for r in rows if r["id"] in totals}, totals)
        rows = json.loads(asked("/api/student_submissions/…", f"/api/student_submissions/{student}"))
        _agree("problems", {r["name"]: r["score"] for r in rows if r["name"] in demo.ALL},
               {r.problem: r.score or 0.0 for r in made.results if r.student == student})  # fmt: skip
        page = unescape(asked("/submissions/<id>/", f"/submissions/{number}/"))
        label = expected[student].questions[0].checks[0].label
        if label not in page:
            raise RuntimeError(f"The page of {student} does not say {label!r}.")
        rows = json.loads(asked("/api/grades?…", f"/api/grades?submission_id={number}"))
        _agree("grades", {row["name"]: row["auto_score"] for row in rows},
               {f"test-{q.question}": q.points for q in expected[student].questions})  # fmt: skip
        asked("/submissions/<id>/next", f"/submissions/{number}/next")
    return seconds


def scores(results: dict[str, Result]) -> dict[str, float]:
    return {student: result.score or 0.0 for student, result in results.items()}


def _agree(what: str, answered: dict[str, float], expected: dict[str, float]) -> None:
    wrong = [
        name
        for name in answered.keys() | expected.keys()
        if abs(answered.get(name, -1) - expected.get(name, -1)) > 1e-6
    ]
    if wrong:
        raise RuntimeError(f"formgrader's {what} are not the results': {', '.join(sorted(wrong)[:5])}.")


def measure_formgrader(classes: Sequence[Class], problem: str) -> None:
    """Print how long each page takes, a column a class."""
    columns = [ask_formgrader(made, problem) for made in classes]
    sizes = [len(made.of(problem)) for made in classes]
    print(f"| formgrader, {problem} | " + " | ".join(f"{size} students" for size in sizes) + " |")
    print("|---|" + "---|" * len(sizes))
    for kind in columns[0]:
        print(f"| `{kind}` | " + " | ".join(f"{column[kind]:.2f} s" for column in columns) + " |")


def measure_export(made: Class) -> None:
    """Run ``nbgrader export``, and compare every row."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "export"],
        cwd=made.course.root, env=os.environ | {"PATH": programs}, check=True, capture_output=True,
    )  # fmt: skip
    seconds = time.monotonic() - began
    with (made.course.root / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["student_id"], row["assignment"]): float(row["score"]) for row in csv.DictReader(file)}
    wrong = [r for r in made.results if abs(rows.get((r.student, r.problem), -1) - (r.score or 0)) > 1e-6]
    if wrong or len(rows) != len(made.results):
        raise RuntimeError(f"{len(wrong)} of {len(rows)} exported scores are not the results'.")
    print(f"nbgrader export: {seconds:.1f} s, all {len(rows)} scores are the results'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--students", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=200, help="pages that recording makes")
    parser.add_argument("--jobs", type=int, help="processes that make them")
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the classes; the three graded stay in it"
    )
    parser.add_argument("--problem", default="parameter_counts", help="whose pages formgrader is asked for")
    parser.add_argument("--db-url", default="", help="of the large class's gradebook; SQLite by default")
    wanted = parser.parse_args()
    models = graded(wanted.folder / "graded")
    for name in ("small", "large"):
        shutil.rmtree(wanted.folder / name, ignore_errors=True)
    small = make_class(wanted.folder / "small", models, SMALL)
    large = make_class(wanted.folder / "large", models, wanted.students, wanted.db_url)
    with without_pages():
        gradebook.record(small.course, small.course.submitted, small.results)
    measure_entering(large)
    measure_pages(large, wanted.pages, wanted.jobs or workers.default_jobs(gradebook.PAGES_MB))
    for made in (small, large):
        copy_pages(models, made)
    measure_unrecorded(large)
    measure_formgrader([small, large], wanted.problem)
    measure_export(large)


if __name__ == "__main__":
    main()
