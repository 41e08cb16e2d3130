"""Which problems and courses there are, found by path; there is no registry."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import CourseError
from autograder.results import UNFINISHED, remove_unfinished, write_whole

ROOT = Path(__file__).resolve().parent.parent
"""The repository that this package is installed from."""
GRADERS = Path(__file__).resolve().parent / "graders"

_SECRET_BYTES = 64
_TEMPORARY = "convgrade-"


@dataclass(frozen=True)
class Problem:
    """One notebook of the course, known by its stem: the same name in every folder."""

    name: str
    root: Path = ROOT

    @property
    def source(self) -> Path:
        """The authored percent-format file."""
        return self.root / "source" / self.name / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        """The generated notebook with solutions, from which the release is made."""
        return self.source.with_suffix(".ipynb")

    @property
    def release(self) -> Path:
        return self.root / "release" / self.name / f"{self.name}.ipynb"

    @property
    def solution(self) -> Path:
        return self.root / "solutions" / self.name / f"{self.name}.ipynb"

    @property
    def grader(self) -> Path:
        return GRADERS / self.name / f"test_{self.name}.py"

    @property
    def accepted(self) -> list[Path]:
        """Whole sets of right answers in other styles, one module each."""
        return sorted((GRADERS / self.name / "accepted").glob("*.py"))


def problems(root: Path = ROOT) -> list[Problem]:
    """Return every problem that has both of its authored files, in alphabetical order."""
    found = [Problem(path.stem, root) for path in (root / "source").glob("*/*.py")]
    return sorted(
        (p for p in found if p.source.parent.name == p.name and p.grader.is_file()),
        key=lambda p: p.name,
    )


def problem(name: str, root: Path = ROOT) -> Problem:
    """Return the problem called `name`.

    Raises:
        CourseError: there is none.
    """
    known = {p.name: p for p in problems(root)}
    if name not in known:
        raise CourseError(
            f"There is no problem called {name!r}. Known problems: {', '.join(known) or 'none'}."
        )
    return known[name]


def unreleased(root: Path) -> list[str]:
    """Return the names of the Python files in ``source/`` that students don't get.

    nbgrader releases whatever lies beside a source notebook, unless its settings say otherwise.
    """
    from autograder.notebook import provided_files

    given = {file for p in (root / "source").glob("*/") for file in provided_files(p / f"{p.name}.py")}
    return sorted({path.name for path in (root / "source").glob("*/*.py") if path not in given})


@dataclass(frozen=True)
class Course:
    """A course folder as nbgrader lays it out."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Course:
        """Open the course folder `root`.

        Raises:
            CourseError: `root` is not a course folder.
        """
        root = root.resolve()
        if not root.is_dir():
            raise CourseError(f"There is no folder {root}. Give the course folder with --course.")
        if not (root / "nbgrader_config.py").is_file():
            raise CourseError(
                f"{root} is not a course folder: it has no nbgrader_config.py. "
                "Give the course folder with --course, or make a sample one with 'convgrade demo'."
            )
        return cls(root)

    @property
    def submitted(self) -> Path:
        return self.root / "submitted"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from grading this course; the system lets go when this one ends, however.

        Raises:
            CourseError: another one is at work on it.
        """
        import fcntl

        path = self.root / ".convgrade_lock"
        try:
            file = path.open("a+")
        except OSError as error:
            raise CourseError(f"Could not write {path}: {error.strerror}.") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CourseError(
                    f"Another process ({file.read().strip() or 'unknown'}) is grading this course. Wait "
                    "until it is done, or end it: finished results are kept."
                ) from None
            with contextlib.suppress(OSError):  # the lock holds on a full disk, too
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}".encode())
            yield

    @contextlib.contextmanager
    def temporary_files(self) -> Iterator[None]:
        """Keep this process's temporary files, and its children's, in a folder that is removed afterwards.

        Where a kill prevents that, the next one to come here does it. Needs the lock.
        """
        note = self.root / ".convgrade_temporary"
        with contextlib.suppress(OSError, ValueError):
            _remove_own(Path(note.read_text(encoding="utf-8")))
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        before = tempfile.tempdir, os.environ.get("TMPDIR")
        try:
            with contextlib.suppress(OSError):  # a full disk stops nobody who writes nothing
                note.write_text(str(folder), encoding="utf-8")
            tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
            yield
        finally:
            tempfile.tempdir = before[0]
            os.environ.pop("TMPDIR")
            if before[1] is not None:
                os.environ["TMPDIR"] = before[1]
            _remove_own(folder)
            if not folder.exists():
                note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what another process had begun to write when it was killed. Needs the lock."""
        for path in self.root.glob(f".*{UNFINISHED}*"):  # a database has a journal beside it
            path.unlink(missing_ok=True)
        for folder in (self.results, self.root / "autograded", self.root / "feedback"):
            remove_unfinished(folder)

    def secret(self) -> bytes:
        """Return the course's secret, from which hidden inputs are drawn; the first call creates it.

        Raises:
            CourseError: it can't be read or written, or is not whole.
        """
        path = self.root / ".convgrade_secret"
        try:
            if not path.exists():
                write_whole(path, secrets.token_hex(_SECRET_BYTES // 2), 0o600)
            found = path.read_bytes()
        except OSError as error:
            raise CourseError(
                f"Could not read or write {path}: {error.strerror}. Free some space or fix the permissions, "
                "then run the command again."
            ) from error
        if len(found) < _SECRET_BYTES:
            raise CourseError(f"{path} is not whole. Restore it, or remove it and grade everything again.")
        return found


def _remove_own(folder: Path) -> None:
    """Remove a folder for temporary files, if it is one that this user has made."""
    if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(_TEMPORARY):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder)
