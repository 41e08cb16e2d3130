"""Everything ConvGrade raises on purpose.

ConvGradeError                 what the command line prints as one sentence, exit code 2
├── CourseError                the course folder, its problems or its files are not as they must be
├── GraderError                a hidden grader is broken: nobody is graded by it
├── SandboxError               the sandbox can't start or was lost: the engine's fault, never a student's
└── NotRecorded                everything was graded, and nbgrader could not record some of it

SubmissionError                what a grader may meet when it asks a submission something
├── NotAttempted               no such name, or the body is still the released one
├── StudentError               the student's code raised
├── StudentTimeout             the student's code ran past its limit
├── StudentCrash               the student's process died
└── Unreadable                 the answer is of a type that cannot cross the boundary
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.results import Outcome, Result


class ConvGradeError(Exception):
    """A problem the reader can solve: the message says what happened and what to do next."""


class CourseError(ConvGradeError):
    """The course folder, one of its problems or one of its files is not as it must be."""


class GraderError(ConvGradeError):
    """A hidden grader is broken, so nothing can be graded by it."""


class SandboxError(ConvGradeError):
    """The sandbox could not start or was lost; what was in it could not be checked."""


class NotRecorded(ConvGradeError):
    """Not all results reached nbgrader's gradebook or their pages.

    Attributes:
        results: all of them, which are kept.
    """

    def __init__(self, message: str, results: list[Result]) -> None:
        super().__init__(message)
        self.results = results


class SubmissionError(Exception):
    """What went wrong on the student's side; the message is fit for the student to read."""

    outcome: Outcome = "error"


class NotAttempted(SubmissionError):
    """The submission has no such name, or its body is still the released one."""

    outcome: Outcome = "not_attempted"


class StudentError(SubmissionError):
    """The student's code raised an exception.

    Attributes:
        kinds: the names of the exception's class and of its base classes, most specific first.
    """

    outcome: Outcome = "error"

    def __init__(self, message: str, kinds: tuple[str, ...] = ("Exception",)) -> None:
        super().__init__(message)
        self.kinds = kinds


class StudentTimeout(SubmissionError):
    """The student's code ran past its limit of processor or wall time."""

    outcome: Outcome = "timeout"


class StudentCrash(SubmissionError):
    """The process that ran the student's code died."""

    outcome: Outcome = "crashed"


class Unreadable(SubmissionError):
    """The answer is of a type that cannot cross the boundary."""

    outcome: Outcome = "failed"
