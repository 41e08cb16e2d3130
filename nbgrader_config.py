"""nbgrader's settings for this course."""

from pathlib import Path

from autograder import catalog

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "convgrade"
# What lies beside a source notebook is not for students, unless its front matter says so.
c.CourseDirectory.ignore.extend(catalog.unreleased(Path(__file__).parent))

# The engine grades outside the kernel, in a sandbox that knows no tests: it stands in for Execute.
c.Autograde.sanitize_preprocessors = [
    "autograder.gradebook.TakeIn",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "autograder.gradebook.Grade",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "autograder.gradebook.Comment",  # SaveAutoGrades resets comments
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
