"""What must be true of every problem of the course."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing

import nbformat
import pytest

from autograder import batch, build, catalog, grader, programs, specimen
from autograder.catalog import Problem
from autograder.intake import HandedIn
from autograder.notebook import provided_files, read_percent, reference_namespace
from autograder.results import QuestionResult, Result
from autograder.submission import LocalSubmission, SandboxSubmission

from .conftest import SECRET

PROBLEMS = catalog.problems()
QUESTIONS = [(p, name) for p in PROBLEMS for name in grader.load(p.name)]
SLIPS = [(p, q.name, slip) for p in PROBLEMS for q in grader.load(p.name).values() for slip in q.slips]
ACCEPTED = [(p, path) for p in PROBLEMS for path in p.accepted]


def named(value: object) -> str:
    return getattr(value, "stem", None) or getattr(value, "name", None) or str(value)


def grade(problem: Problem, notebook: nbformat.NotebookNode, level: str, student: str = "ada") -> Result:
    content = nbformat.writes(notebook).encode()
    handed_in = HandedIn(content, "", (), "")
    work = batch.Work("course", student, problem.name, handed_in, SECRET, level, "")
    return batch.grade_one(work).result


def by_name(result: Result) -> dict[str, QuestionResult]:
    return {question.question: question for question in result.questions}


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_an_untouched_notebook_earns_nothing(problem: Problem, level: str) -> None:
    """Every question of the released notebook is "not attempted", and nothing had to be mended."""
    result = grade(problem, specimen.untouched(problem), level)
    assert (result.status, result.score, result.notes) == ("graded", 0, [])
    assert {question.outcome for question in result.questions} == {"not_attempted"}


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_the_worked_solution_earns_everything(problem: Problem, level: str) -> None:
    """The reference gets full marks, and there is nothing to say about it."""
    result = grade(problem, specimen.handed_in(problem, specimen.reference(problem)), level)
    assert [q for q in result.questions if q.outcome != "passed"] == []
    assert (result.score, result.notes) == (result.max_score, [])


@pytest.mark.parametrize(("problem", "path"), ACCEPTED, ids=named)
def test_right_answers_in_another_style_earn_everything(problem: Problem, path, level: str) -> None:
    """An accepted alternative gets full marks."""
    result = grade(problem, specimen.handed_in(problem, specimen.accepted(problem, path)), level)
    assert [q for q in result.questions if q.outcome != "passed"] == []


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_every_question_has_three_accepted_alternatives(problem: Problem) -> None:
    """Of truly different construction, by whoever wrote them: at least they are other programs."""
    answers = [specimen.reference(problem), *(specimen.accepted(problem, path) for path in problem.accepted)]
    for question in grader.load(problem.name):
        assert len({programs._meaning(answer[question]) for answer in answers}) >= 4, question


@pytest.mark.parametrize(("problem", "question", "slip"), SLIPS, ids=named)
def test_a_slip_loses_points_and_is_named(problem: Problem, question: str, slip: str, level: str) -> None:
    """The program of a misconception does not get full marks, and is told its own sentence."""
    answers = specimen.reference(problem) | {question: specimen.slip(problem, question, slip)}
    needs = grader.needs(problem.name)
    submission = SandboxSubmission(
        student="ada",
        sandbox=batch.warm_sandbox(level, needs.imports),
        notebook=specimen.handed_in(problem, answers),
        untouched=frozenset(),
        limits=needs.limits,
        seed=0,
    )
    with closing(submission):
        graded = grader.grade(problem.name, submission, SECRET, [question]).questions[0]
    assert graded.points < graded.max_points
    assert graded.slips == [slip]
    assert graded.feedback == [grader.load(problem.name)[question].slips[slip].sentence]


@pytest.mark.parametrize("secret", [b"first", b"second", b"third"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_slips_are_told_apart_whatever_the_secret(problem: Problem, secret: bytes) -> None:
    """Hidden draws never make two slips give the same answers, nor a slip the right ones."""
    wrong = []
    for name, question in grader.load(problem.name).items():
        for slip in question.slips.values():
            if slip.slow or slip.told:
                continue
            namespace = {name: slip.program}
            submission = LocalSubmission(student="grace", namespace=namespace)
            found = grader.grade(problem.name, submission, secret, [name]).questions[0]
            if found.slips != [slip.name] or found.points == found.max_points:
                wrong.append((name, slip.name, found.slips, found.points))
    assert wrong == []


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
@pytest.mark.parametrize("constant", programs.CONSTANTS)
def test_programs_that_know_nothing_earn_nothing(problem: Problem, constant: str) -> None:
    """No check is passed by a constant, an echo, or an error for every argument."""
    code = f"lambda *args, **kwargs: {constant}"
    namespace = {name: eval(code, {}) for name in grader.load(problem.name)}
    submission = LocalSubmission(student="ada", namespace=namespace)
    graded = grader.grade(problem.name, submission, SECRET).questions
    assert [(q.question, c.label) for q in graded for c in q.checks if c.points] == []
    assert {q.outcome for q in graded} <= {"failed", "error"}


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_generated_files_are_fresh(problem: Problem) -> None:
    """What is committed is what the sources give, and release/ holds nothing else."""
    assert build.stale([problem]) == []


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_the_release_holds_no_solution_and_no_hidden_test(problem: Problem) -> None:
    """No line of a solution, of an explanation or of a hidden region is in what students get."""
    text = problem.release.read_text(encoding="utf-8")
    assert not re.search("SOLUTION|HIDDEN|autograder|grade_cell", text)
    released = "\n".join(cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
                         for cell in json.loads(text)["cells"])  # fmt: skip
    secret = [line for cell in read_percent(problem.source) for line in _secret_lines(cell)]
    assert secret
    assert [line for line in secret if line in released] == []


def _secret_lines(cell) -> Iterator[str]:
    """Yield the lines that students must not get, but for those too short to tell anything."""
    text = cell.source if cell.explain else ""
    text += "".join(re.findall("### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL))
    yield from (line.strip() for line in text.splitlines() if len(line.strip()) > 24)


@pytest.mark.parametrize("problem", PROBLEMS, ids=named)
def test_only_what_is_meant_for_students_is_released(problem: Problem) -> None:
    """release/<problem>/ holds the notebook and the files that its source gives away."""
    given = {file.name for file in provided_files(problem.source)}
    assert {path.name for path in problem.release.parent.iterdir()} == {f"{problem.name}.ipynb"} | given


@pytest.mark.parametrize(("problem", "question"), QUESTIONS, ids=named)
def test_a_question_teaches_its_misconceptions(problem: Problem, question: str) -> None:
    """Slips have sentences of their own, short and without a hidden argument's look."""
    slips = grader.load(problem.name)[question].slips.values()
    sentences = [slip.sentence for slip in slips]
    assert len(sentences) >= 2
    assert len(set(sentences)) == len(sentences)
    assert [s for s in sentences if len(s) > 240 or not s.endswith((".", "!", "?"))] == []


@pytest.mark.parametrize(
    ("problem", "question"), [(p, q) for p, q in QUESTIONS if q.startswith("my_")], ids=named
)
def test_a_copied_number_is_wrong_for_the_copier(problem: Problem, question: str, level: str) -> None:
    """What is right for one student's variant earns another student nothing."""
    value = reference_namespace(problem.source)[question]("ada")
    answers = {question: f"def {question}(student_id):\n    return {value!r}"}
    notebook = specimen.handed_in(problem, answers)
    owner = by_name(grade(problem, notebook, level, student="ada"))[question]
    copier = by_name(grade(problem, notebook, level, student="grace"))[question]
    assert (owner.outcome, copier.points) == ("passed", 0)


def test_the_three_foundation_problems_are_there() -> None:
    """The course has its problems, found by path alone."""
    assert {"parameter_counts", "ram_estimates", "iou"} <= {p.name for p in PROBLEMS}
