"""From an authored problem to the notebooks that are read, handed out and learned from.

::

    source/<p>/<p>.py ─▶ source/<p>/<p>.ipynb ─▶ release/<p>/<p>.ipynb    nbgrader takes the solutions out
                     └─▶ solutions/<p>/<p>.ipynb                          explained and executed

Cell ids come from names and positions, and executing starts from the same state everywhere, so that an
unchanged source is built to the same bytes.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import keyword
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder import catalog, grader, recorded
from autograder.catalog import Problem
from autograder.errors import CourseError
from autograder.notebook import ROLES, SourceCell, provided_files, read_percent
from autograder.results import write_atomically

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_SECONDS = 300
"""How long one cell of a worked solution may run."""
PROSE, OPEN = "prose", "open"
"""What cells without a role are for: text to read, and code that is the student's to change."""
NUMBERED = ("hint", "explain")
"""Roles that several cells of one question may have."""
KINDS = dict.fromkeys((OPEN, *ROLES), "code") | dict.fromkeys((PROSE, *NUMBERED), "markdown")
MARKER = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
HIDDEN_REGION = re.compile(r"### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n", re.DOTALL)
HIDDEN_TESTS = """\
### BEGIN HIDDEN TESTS
from autograder.grader import grade_cell

grade_cell("{problem}", "{question}", globals())
### END HIDDEN TESTS
"""


def build(problems: Iterable[Problem], *, execute: bool = True) -> list[Path]:
    """Write the generated notebooks of `problems` and return the files that changed.

    Worked solutions are executed only where their code changed or their file is missing.

    Args:
        execute: whether to; without, solutions that would have to be are left as they are.

    Raises:
        CourseError: a problem is not as it must be, or one of its solutions fails.
    """
    written = []
    for problem in problems:
        texts = handouts(problem)
        fresh = worked_notebook(problem)
        solution = with_outputs(fresh, stored_notebook(problem.solution))
        if solution is None and execute:
            solution = executed(fresh, problem)
        if solution is not None:
            texts[problem.solution] = to_text(solution)
        for path, text in texts.items():
            if not holds(path, text):
                write_atomically(path, text)
                written.append(path)
    return written


def stale(problems: Iterable[Problem]) -> list[Path]:
    """Return the generated files that `build` would write, and files in the release that don't belong there.

    Nothing is executed.

    Raises:
        CourseError: a problem is not as it must be.
    """
    found = []
    for problem in problems:
        found += [path for path, text in handouts(problem).items() if not holds(path, text)]
        solution = with_outputs(worked_notebook(problem), stored_notebook(problem.solution))
        if solution is None or not holds(problem.solution, to_text(solution)):
            found.append(problem.solution)
        known = {problem.release, *(problem.release.parent / f.name for f in provided_files(problem.source))}
        beside = sorted(problem.release.parent.rglob("*"))
        found += [path for path in beside if path not in known and not path.is_dir()]
    return found


def handouts(problem: Problem) -> dict[Path, str]:
    """Return all that is made of a problem's files but the worked solutions, as texts by path.

    The source notebook, the release that nbgrader makes of it, and the files that go with a notebook.
    """
    cells, points = authored(problem)
    source = to_text(compose(problem.name, [cell for cell in cells if not cell.explain], points))
    texts = {problem.notebook: source, problem.release: released(problem, source)}
    for file in provided_files(problem.source):
        for folder in (problem.release.parent, problem.solution.parent):
            texts[folder / file.name] = file.read_text(encoding="utf-8")
    return texts


def worked_notebook(problem: Problem) -> NotebookNode:
    """Return the worked solutions before they are executed."""
    return worked(compose(problem.name, *authored(problem)))


def authored(problem: Problem) -> tuple[list[SourceCell], dict[str, float]]:
    """Return a problem's cells and the points of its questions.

    Raises:
        CourseError: the two authored files do not belong together; the message names the first fault.
    """
    cells = read_percent(problem.source)
    if not problem.grader.is_file():
        raise CourseError(f"{problem.source} has no grader: write {problem.grader}.")
    points = {name: question.points for name, question in grader.load(problem.name).items()}
    for fault in faults(problem, cells, points):
        raise CourseError(f"{problem.source}: {fault}")
    return cells, points


def faults(problem: Problem, cells: list[SourceCell], questions: Collection[str]) -> Iterator[str]:
    """Yield a sentence for everything in which a source departs from the format or from its grader."""
    for number, cell in enumerate(cells, start=1):
        yield from cell_faults(number, cell)
    present = {role_of(cell) for cell in cells}
    for role, name in sorted(present):
        if role not in (PROSE, OPEN, "provided") and name not in questions:
            yield f"{name} is no question of {problem.grader}; add it there or remove its {role} cell here."
    for name in questions:
        for role in ("solution", "test", "hint"):
            if (role, name) not in present:
                yield f'question {name} has no {role} cell; add one with {role}="{name}".'
    for cell_id, uses in Counter(cell_ids(problem.name, cells)).items():
        if uses > 1:
            yield f"{uses} cells would be called {cell_id}; rename or remove all but one."
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id):
            yield f"no cell can be called {cell_id!r}; use at most 64 letters, digits, - and _."


def cell_faults(number: int, cell: SourceCell) -> Iterator[str]:
    """Yield a sentence for everything in which one cell departs from the format."""
    role, name = role_of(cell)
    label = f"cell {number} ({role}{name and f' of {name}'})"
    if cell.kind != KINDS[role]:
        yield f"{label} is {cell.kind} but should be {KINDS[role]}; change its kind or its role."
    if role in NUMBERED and not cell.source.strip():
        yield f"{label} is empty; write it or remove it."
    markers = MARKER.findall(cell.source)
    pairs = max(len(markers) // 2, 1) if role == "solution" else 0
    if markers != [("BEGIN", "SOLUTION"), ("END", "SOLUTION")] * pairs:
        yield (
            f"{label} has wrong markers; put '### BEGIN SOLUTION' and '### END SOLUTION' around what "
            "students write, in solution cells only, and hidden tests into the grader."
        )


def role_of(cell: SourceCell) -> tuple[str, str]:
    """Return what a cell is for and the name that it has as such, if any."""
    unnamed = (OPEN if cell.kind == "code" else PROSE, "")
    return next(((role, name) for role in ROLES if (name := getattr(cell, role))), unnamed)


def cell_ids(problem: str, cells: list[SourceCell]) -> list[str]:
    """Return an id for each cell, from its role and name, or from its place among those without."""
    roles = [role_of(cell) for cell in cells]
    totals, seen = Counter(roles), Counter[tuple[str, str]]()
    ids = []
    for role, name in roles:
        seen[role, name] += 1
        plain = {PROSE: problem, OPEN: f"{problem}-open", "solution": name, "provided": name}
        stem = plain.get(role, f"{role}-{name}")
        numbered = not name or (role in NUMBERED and totals[role, name] > 1)
        ids.append(f"{stem}-{seen[role, name]}" if numbered else stem)
    return ids


def compose(problem: str, cells: list[SourceCell], points: Mapping[str, float]) -> NotebookNode:
    """Return the cells as nbgrader's source notebook, and explanations, where there are any, beside them."""
    notebook = new_notebook(metadata=copy.deepcopy(METADATA))
    for cell_id, cell in zip(cell_ids(problem, cells), cells, strict=True):
        role, name = role_of(cell)
        text = cell.source
        if role == "test":
            text = HIDDEN_TESTS.format(problem=problem, question=name) + text
        if role == "hint":
            number = cell_id.removeprefix(f"hint-{name}").replace("-", " ")
            text = f"<details><summary>Hint{number}</summary>\n\n{text}\n\n</details>"
        metadata: dict[str, Any] = {"tags": list(cell.tags)} if cell.tags else {}
        if role not in (OPEN, "explain"):
            metadata["nbgrader"] = {
                "grade": role == "test",
                "grade_id": cell_id,
                "locked": role != "solution",
                "schema_version": 3,
                "solution": role == "solution",
                "task": False,
            } | ({"points": points[name]} if role == "test" else {})
        make = new_code_cell if cell.kind == "code" else new_markdown_cell
        notebook.cells.append(make(text, id=cell_id, metadata=metadata))
    return notebook


def worked(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook without hidden tests and markers, noting which code its outputs belong to."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        visible = HIDDEN_REGION.sub("", cell.source)
        cell.source = "\n".join(line for line in visible.split("\n") if not MARKER.search(line))
    code = json.dumps([[cell.id, cell.source] for cell in runnable(notebook)])
    notebook.metadata["convgrade"] = {"source_sha256": hashlib.sha256(code.encode()).hexdigest()}
    return notebook


def runnable(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that executing gives an execution count."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def with_outputs(fresh: NotebookNode, stored: NotebookNode | None) -> NotebookNode | None:
    """Return `fresh` with the outputs of `stored`, or None where it must be executed to have any."""
    if stored is None or stored.metadata.get("convgrade") != fresh.metadata.convgrade:
        return None
    outputs = {cell.get("id"): cell for cell in runnable(stored) if ran_well(cell)}
    notebook = copy.deepcopy(fresh)
    for cell in runnable(notebook):
        if cell.id not in outputs:
            return None
        cell.outputs = outputs[cell.id].outputs
        cell.execution_count = outputs[cell.id].execution_count
    return notebook


def ran_well(cell: NotebookNode) -> bool:
    return bool(cell.execution_count) and all(out.output_type != "error" for out in cell.outputs)


def executed(notebook: NotebookNode, problem: Problem) -> NotebookNode:
    """Return the notebook with the outputs of a fresh kernel in a folder of its own.

    What libraries say on stderr is left out: it names paths and process ids, and differs between runs.

    Raises:
        CourseError: a cell raised, ran for more than `CELL_SECONDS` seconds or ended the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    result = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        for file in provided_files(problem.source):
            shutil.copy(file, folder)
        client = NotebookClient(
            result,
            timeout=CELL_SECONDS,
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        )
        inline = "module://matplotlib_inline.backend_inline"
        same = {"IPYTHONDIR": f"{folder}/.ipython", "MPLBACKEND": inline, "PYTHONHASHSEED": "0"}
        with client.setup_kernel(env=os.environ | same, stderr=subprocess.DEVNULL):
            for index, cell in enumerate(result.cells):
                try:
                    client.execute_cell(cell, index)
                except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                    reason = str(error).split("\n")[0]
                    if isinstance(error, CellExecutionError):
                        reason = f"{error.ename}: {error.evalue}"
                    raise CourseError(
                        f"{problem.source}: cell {cell.id} failed in the worked solutions ({reason}); "
                        "mend it and build again."
                    ) from error
    for cell in runnable(result):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    result.metadata = copy.deepcopy(notebook.metadata)  # nbclient notes the kernel's own version there
    return result


def released(problem: Problem, source: str) -> str:
    """Return what ``nbgrader generate_assignment --no-db`` makes of a source notebook.

    Raises:
        CourseError: there are no settings for nbgrader, or it refused; the message holds its reason.
    """
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    config = recorded.load_config(catalog.Course.at(problem.root))
    said = io.StringIO()
    log = logging.Logger("nbgrader", logging.WARNING)  # nobody's child, so that only `said` hears it
    log.addHandler(logging.StreamHandler(said))
    with tempfile.TemporaryDirectory() as folder:
        config.CourseDirectory.root = folder
        config.SaveCells.enabled = False  # as --no-db does
        config.GenerateAssignment.no_database = True
        copied = Problem(problem.name, Path(folder))
        write_atomically(copied.notebook, source)
        course = CourseDirectory(config=config, assignment_id=problem.name)
        try:
            GenerateAssignment(coursedir=course, config=config, log=log).start()
        except NbGraderException as error:
            reasons = re.findall(r"^[\w.]+(?:Error|Exception): .+$", said.getvalue(), re.MULTILINE)
            raise CourseError(
                f"nbgrader could not make the release of {problem.source} "
                f"({reasons[-1] if reasons else error}); mend the source and build again."
            ) from error
        return copied.release.read_text(encoding="utf-8")


def to_text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook) + "\n"


def stored_notebook(path: Path) -> NotebookNode | None:
    """Return the notebook at `path`, or None where there is none that can be read."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):  # all that nbformat raises
        return None


def holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def new(name: str, root: Path = catalog.ROOT, graders: Path = catalog.GRADERS) -> list[Path]:
    """Write the files of a new problem, complete with an example question, and return their paths.

    They are the two that every problem has, and right answers in other styles.

    Raises:
        CourseError: the name can't be a problem's, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise CourseError(f"{name!r} can't be a problem's name; write it like pooling_layers.")
    source = Problem(name, root).source
    hidden = graders / name / f"test_{name}.py"
    for folder in (source.parent, hidden.parent):
        if folder.exists():
            raise CourseError(f"There is already a {folder}; choose another name or remove it.")
    title = name.replace("_", " ").capitalize()
    templates = {source: SOURCE_TEMPLATE, hidden: GRADER_TEMPLATE}
    templates |= {hidden.parent / "accepted" / file: text for file, text in ACCEPTED_TEMPLATES.items()}
    for path, template in templates.items():
        write_atomically(path, Template(template).substitute(problem=name, title=title))
    return list(templates)


SOURCE_TEMPLATE = '''\
# %% [markdown]
# # $title
#
# Say in two or three sentences what one learns here, and why it matters.
#
# Write each function, then run the cell below it. Those tests are friendly and incomplete: hidden tests
# try other inputs, so passing the visible ones never guarantees full marks.

# %% provided="setup"
import numpy as np

# %% [markdown]
# ## Question 1: the rectifier  (1 point)
#
# Teach the idea here: a rectified linear unit lets positive values through and blocks the others.

# %% [markdown] hint="relu"
# Which of two numbers is larger, the value or 0?


# %% solution="relu"
def relu(x):
    """Return the rectified values of `x`.

    Args:
        x: array of any shape.

    Returns:
        An array of the same shape: the positive values as they are, 0 elsewhere.

    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    ### BEGIN SOLUTION
    return np.maximum(x, 0)
    ### END SOLUTION


# %% test="relu"
assert np.array_equal(relu(np.array([-3.0, 0.0, 3.0])), [0.0, 0.0, 3.0]), "only the positive 3 gets through"
print("relu is right on this example.")

# %% [markdown] explain="relu"
# Say here why the solution is right, and what goes wrong most often.
'''

GRADER_TEMPLATE = '''\
"""Hidden grader of `$problem`."""

import numpy as np
import pytest

from autograder import grader

question = grader.question("relu", points=1)


@question.reference
def relu(x):
    return np.where(x > 0, x, 0)


@question.slip("A negative value becomes 0; it does not change its sign.")
def absolute_value(x):
    return np.abs(x)


@question.slip("Positive values are let through as they are, whatever their size: nothing is cut off at 1.")
def clipped_at_one(x):
    return np.clip(x, 0, 1)


@question.test
@pytest.mark.parametrize("draw", range(3))
def test_rectifies(compare, rng, draw):
    """lets positive values through and blocks the others"""
    compare(rng.normal(size=(3, 4)))
'''

ACCEPTED_TEMPLATES = {
    "clipping.py": '''\
"""Right answers that clip."""

import numpy as np


def relu(x):
    return np.clip(x, 0, None)
''',
    "comparing.py": '''\
"""Right answers that compare, and multiply by what came of it."""


def relu(x):
    return x * (x > 0)
''',
    "loops.py": '''\
"""Right answers in plain loops."""

import numpy as np


def relu(x):
    values = [max(float(value), 0.0) for value in np.ravel(x)]
    return np.array(values).reshape(np.shape(x))
''',
}
