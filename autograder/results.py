"""What grading one submission came to, and the JSON file that keeps it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from autograder.errors import ConvGradeError

SCHEMA = 1

Outcome = Literal[
    "passed", "partial", "failed", "not_attempted", "error", "timeout", "crashed",
    "could_not_check", "needs_review",
]  # fmt: skip
Status = Literal["graded", "unreadable", "could_not_check"]


@dataclass
class CheckResult:
    """One line of a question that the student reads."""

    label: str
    outcome: Outcome
    points: float
    max_points: float


@dataclass
class QuestionResult:
    """What a question earned, and why.

    Attributes:
        feedback: sentences for the student.
        slips: the names of the misconceptions that were recognised.
    """

    question: str
    outcome: Outcome
    points: float
    max_points: float
    feedback: list[str] = field(default_factory=list)
    slips: list[str] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)


@dataclass
class Result:
    """What one submission earned; field by field the file ``results/<student>/<problem>.json``.

    Attributes:
        score: the sum of the questions' points, or None where the engine could not check them all.
        notes: what intake had to mend or leave out.
        isolation: the level of the sandbox that the student's code ran in.
        seed: what the student's process was seeded with.
        submission_sha256: of the notebook as it was handed in.
        grader_sha256: of everything that can change the score of the same notebook.
        seconds: ``total`` and ``student``, the part of it spent in the student's own code.
    """

    course: str
    student: str
    problem: str
    status: Status
    score: float | None
    max_score: float
    questions: list[QuestionResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    isolation: str = ""
    seed: int = 0
    submission_sha256: str = ""
    grader_sha256: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA} | asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """Read a result back.

        Raises:
            ValueError: `data` is not a result of this schema.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ValueError("not a result of this schema")
        try:
            questions = [
                QuestionResult(**q | {"checks": [CheckResult(**c) for c in q["checks"]]})
                for q in data["questions"]
            ]
            return cls(**{k: v for k, v in data.items() if k != "schema"} | {"questions": questions})
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a result: {error}") from error

    def path(self, folder: Path) -> Path:
        """Return where below `folder` the result is kept."""
        return folder / self.student / f"{self.problem}.json"

    def write(self, folder: Path) -> Path:
        """Write the result below `folder`, whole or not at all."""
        path = self.path(folder)
        write_atomically(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")
        return path


def read_result(folder: Path, student: str, problem: str) -> Result | None:
    """Return the stored result, or None where there is none that can be read."""
    try:
        text = (folder / student / f"{problem}.json").read_text(encoding="utf-8")
        return Result.from_json(json.loads(text))
    except (OSError, ValueError):
        return None


UNFINISHED = ".unfinished"
"""What the name of a file ends with that is still being written."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path` and rename it, so that no reader meets half of it.

    Raises:
        ConvGradeError: the disk is full or not writable; `path` is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, 0o644)
    except OSError as error:
        raise ConvGradeError(
            f"Could not write {path}: {error.strerror}. Free some space or fix the permissions, "
            "then run the command again; finished results are kept."
        ) from error


def write_whole(path: Path, text: str, mode: int) -> None:
    """Do as `write_atomically` does, in a folder that is there, for those whom `mode` lets read it.

    Raises:
        OSError: it can't be written; `path` is as it was.
    """
    descriptor, temporary = tempfile.mkstemp(UNFINISHED, f".{path.name}.", path.parent)
    try:
        # What UTF-8 can't hold, half a surrogate pair, is written as JSON and Python escape it.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what `write_atomically` had begun anywhere below `folder` when it was killed.

    Nobody else may be writing there.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(UNFINISHED):
                with contextlib.suppress(OSError):  # it can't be harmful, only superfluous
                    Path(place, name).unlink()
