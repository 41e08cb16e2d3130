"""What nbgrader holds of a course already: its settings, its gradebook, and what is still to be recorded.

The gradebook is asked in SQL, of the tables that nbgrader 0.9 makes: importing nbgrader takes longer than
finding out that nothing is left to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autograder import intake
from autograder.catalog import Course
from autograder.errors import CourseError
from autograder.results import Result

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from traitlets.config import Config


def load_config(course: Course) -> Config:
    """Return nbgrader's settings of a course, without importing nbgrader.

    Raises:
        CourseError: they do not load.
    """
    from traitlets.config import PyFileConfigLoader

    try:
        config = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    except Exception as error:  # the file is the instructor's own Python
        raise CourseError(f"{course.root / 'nbgrader_config.py'} does not load: {error}") from error
    config.CourseDirectory.root = str(course.root)
    return config


BUSY_SECONDS = 60
"""How long recording waits while another program writes to an SQLite gradebook."""


def gradebook_url(course: Course, config: Config | None = None) -> URL:
    """Return where nbgrader keeps the gradebook of a course.

    That is ``c.CourseDirectory.db_url``, or ``gradebook.db`` in the course folder. A relative path of
    SQLite's starts at the course folder, wherever the command was started.

    Args:
        config: the course's settings, by those who have loaded them already.

    Raises:
        CourseError: it is no database URL.
    """
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    chosen = (config or load_config(course)).CourseDirectory.get("db_url", "")
    try:
        url = make_url(chosen) if chosen else URL.create("sqlite", database="gradebook.db")
    except (ArgumentError, ValueError):  # its own message would repeat the URL, and a password with it
        raise CourseError(
            "c.CourseDirectory.db_url in nbgrader_config.py is no database URL like sqlite:///gradebook.db "
            "or postgresql://host/gradebook."
        ) from None
    if url.get_backend_name() == "sqlite":
        if url.database and not url.database.startswith("file:"):
            url = url.set(database=str(course.root / url.database))
        if "timeout" not in url.query:
            url = url.update_query_dict({"timeout": str(BUSY_SECONDS)})
    return url


_SCORES_HELD = """
    SELECT submission.student_id, assignment.name, cell.name, grade.auto_score
    FROM grade
    JOIN base_cell AS cell ON cell.id = grade.cell_id
    JOIN submitted_notebook AS notebook ON notebook.id = grade.notebook_id
    JOIN submitted_assignment AS submission ON submission.id = notebook.assignment_id
    JOIN assignment ON assignment.id = submission.assignment_id
    WHERE assignment.name IN :problems
"""


def scores_held(course: Course, problems: Iterable[str]) -> dict[tuple[str, str], dict[str, float | None]]:
    """Ask the gradebook for the automatic scores of some problems, without importing nbgrader.

    Returns:
        For each student and problem that the gradebook knows, the score of each test cell; None where
        nothing was entered yet.

    Raises:
        CourseError: the gradebook can't be read.
    """
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    url = gradebook_url(course)
    held: dict[tuple[str, str], dict[str, float | None]] = {}
    file = url.database or ""
    if url.get_backend_name() == "sqlite" and not file.startswith("file:") and not _written_at(Path(file)):
        return held  # SQLite would make the file
    wanted = sqlalchemy.text(_SCORES_HELD).bindparams(sqlalchemy.bindparam("problems", expanding=True))
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            if sqlalchemy.inspect(connection).has_table("grade"):
                for student, problem, cell, score in connection.execute(wanted, {"problems": list(problems)}):
                    held.setdefault((student, problem), {})[cell] = score
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise CourseError(
            f"The gradebook at {url.render_as_string()} can't be read: {reason}. Finished results are kept; "
            "run the command again when that is mended."
        ) from error
    return held


def unrecorded(course: Course, submitted: Path, results: Sequence[Result]) -> list[Result]:
    """Return the results that are not, or not all, in nbgrader's hands yet.

    Recording writes the gradebook, then the notebook with scores, then the feedback. The gradebook is asked
    itself, since it may be any database, be lost or be exchanged; each file must be younger than its result.
    Penalties hang on when a submission was handed in: what was recorded of that must still be so.
    A submission that could not be checked is among them as long as the gradebook has an older score of it.

    Raises:
        CourseError: the gradebook can't be read.
    """
    held = scores_held(course, {result.problem for result in results}) if results else {}

    def is_recorded(result: Result) -> bool:
        scores = held.get((result.student, result.problem), {})
        if result.status == "could_not_check":
            return not scores
        place = Path(result.student, result.problem)
        traces = [
            _written_at(course.root / "autograded" / place / f"{result.problem}.ipynb"),
            _written_at(course.root / "feedback" / place / f"{result.problem}.html"),
        ]
        told = _text(course.root / "autograded" / place / "timestamp.txt")
        same_time = intake.read_timestamp(submitted, result.student, result.problem, told) == told
        entered = all(
            (score := scores.get(f"test-{question.question}")) is not None
            and math.isclose(score, question.points, rel_tol=1e-5)  # some databases round
            for question in result.questions
        )
        written = _written_at(course.results / result.student / f"{result.problem}.json")
        return entered and bool(scores) and min(traces) >= written and same_time

    return [result for result in results if not is_recorded(result)]


def _text(path: Path) -> str:
    """Return what stands in a file; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _written_at(path: Path) -> int:
    """Return when a file was last written, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
