"""nbgrader's settings for this course."""

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "convgrade"
c.CourseDirectory.ignore.append("*.py")  # what lies beside a source notebook is not for students

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
