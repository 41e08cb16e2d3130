"""Sample submissions are made of a problem's own material, and do what that material does."""

from __future__ import annotations

import itertools
import shutil

import nbformat
import pytest

from autograder import build, catalog, grader, specimen
from autograder.catalog import Problem

SOURCE = '''\
# %% provided="scale"
def scale(student_id):
    return len(student_id)

# %% [markdown] hint="area"
# How many squares lie in one row?

# %% solution="area"
def area(height, width):
    """Return the number of unit squares in a rectangle."""
    ### BEGIN SOLUTION
    return height * width
    ### END SOLUTION

# %% test="area"
assert area(1, 1) == 1

# %% [markdown] hint="perimeter"
# How many sides are there?

# %% solution="perimeter"
def perimeter(height, width):
    ### BEGIN SOLUTION
    return 2 * (height + width)
    ### END SOLUTION

# %% test="perimeter"
assert perimeter(1, 1) == 4
'''

GRADER = '''\
import math
from dataclasses import dataclass
from fractions import Fraction as Exact
from autograder import answers, grader

SIDES = 4
HALF, WHOLE = Exact(1, 2), 1
LIMIT: int = 100
scale = grader.provided("sizes", "scale")


@dataclass
class Box:
    height: int
    width: int = WHOLE

    def area(self):
        return self.height * self.width


def area_of(height, width=WHOLE):
    return Box(height, width).area()


def unrelated():
    return answers.TOLERANCE


question = grader.question("area", points=1)


@question.reference
def area(height, width):
    return area_of(height, width)


@question.slip("One side only.")
def one_side(height, width):
    SIDES = 1  # not the one of the module
    return height * SIDES


@question.slip("Twice too much.")
def twice(height, width):
    return area(height, width) / HALF


@question.slip("The limit was forgotten.")
def limited(height, width):
    def clipped(area):
        return min(area, LIMIT)

    return clipped(area(height, width))


@question.slip("One by one.", slow=True)
def one_by_one(height, width):
    count = lambda area: sum(WHOLE for _ in range(area))
    return count(area(height, width))


@question.slip("A root was taken.")
def rooted(height, width):
    return math.isqrt(area_of(height)) if height > WHOLE else [area for area in range(height)]


@question.slip("Scaled by the name.")
def scaled(height, width):
    return area(height, width) * scale("ada")


@question.test
def test_area(compare):
    """counts the squares"""
    compare(2, 3)


question = grader.question("perimeter", points=1)


@question.reference
def perimeter(height, width):
    return SIDES * (height + width) // 2


@question.slip("Half of it.")
def half(height, width):
    return perimeter(height, width) // 2


@question.slip("The area.")
def as_area(height, width):
    return area(height, width)


@question.test
def test_perimeter(compare):
    """adds the sides"""
    compare(2, 3)
'''

ACCEPTED = """\
from functools import reduce
import operator as op

SIDES = 2


def product(*factors):
    return reduce(op.mul, factors)


def area(height, width):
    # every row holds `width` squares
    return product(height, width)


def perimeter(height, width):
    return SIDES * sum((height, width))
"""
ARGUMENTS = list(itertools.product([0, 1, 4, 30], repeat=2))


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """A problem of two questions, built, with a right answer in another style."""
    root = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "GRADERS", root / "graders")
        patch.setattr(grader, "provided", lambda problem, name: len)  # it looks in the repository only
        grader.load.cache_clear()
        found = Problem("sizes", root)
        accepted = found.grader.parent / "accepted" / "products.py"
        for path, text in {found.source: SOURCE, found.grader: GRADER, accepted: ACCEPTED}.items():
            path.parent.mkdir(parents=True)
            path.write_text(text)
        shutil.copy(catalog.ROOT / "nbgrader_config.py", root)
        build.build([found], execute=False)
        yield found
    grader.load.cache_clear()


def run(source, **namespace):
    """Return the globals that a cell leaves behind."""
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace


class TestNotebooks:
    """A sample notebook is the released one with answers in it."""

    def test_untouched_is_the_release(self, problem):
        notebook = specimen.untouched(problem)
        assert notebook == nbformat.read(problem.release, as_version=4)
        assert "raise NotImplementedError" in next(c for c in notebook.cells if c.id == "area").source

    def test_answers_stand_in_their_cells(self, problem):
        notebook = specimen.handed_in(problem, {"area": "area = max"})
        sources = {cell.id: cell.source for cell in notebook.cells}
        released = {cell.id: cell.source for cell in specimen.untouched(problem).cells}
        assert sources == released | {"area": "area = max"}
        nbformat.validate(notebook)

    def test_one_more_cell(self, problem):
        """It comes last, is code, and makes no notebook invalid."""
        notebook = specimen.handed_in(problem, {}, "print('attack')")
        assert notebook.cells[-1].source == "print('attack')"
        assert len(notebook.cells) == len(specimen.untouched(problem).cells) + 1
        nbformat.validate(notebook)

    def test_the_reference_answers_every_question(self, problem):
        """Solutions come without markers, and only those of questions."""
        answers = specimen.reference(problem)
        assert list(answers) == ["area", "perimeter"]
        assert run(answers["area"])["area"](2, 3) == 6
        assert "SOLUTION" not in "".join(answers.values())


class TestAccepted:
    """Each answer of an alternative brings what it needs, and no more."""

    @pytest.fixture
    def answers(self, problem):
        (path,) = problem.accepted
        return specimen.accepted(problem, path)

    def test_each_stands_alone(self, answers):
        assert run(answers["area"])["area"](2, 3) == 6
        assert run(answers["perimeter"])["perimeter"](2, 3) == 10

    def test_only_what_is_needed_in_its_own_words(self, answers):
        """Comments stay, since it is the author's own text; the other question's helpers do not come."""
        assert "# every row holds" in answers["area"]
        assert "SIDES" not in answers["area"]
        assert answers["perimeter"] == (
            "SIDES = 2\n\ndef perimeter(height, width):\n    return SIDES * sum((height, width))"
        )


def slips():
    names = ("one_side", "twice", "limited", "one_by_one", "rooted", "scaled")
    return [*(("area", name) for name in names), ("perimeter", "half"), ("perimeter", "as_area")]


class TestSlips:
    """A slip's cell is a student's: it defines the question's function, and behaves as the slip does."""

    @pytest.mark.parametrize(("question", "name"), slips())
    def test_behaves_as_the_slip(self, problem, question, name):
        """Also where helpers are called like the question, or like a local of the slip."""
        program = grader.load("sizes")[question].slips[name].program
        cell = run(specimen.slip(problem, question, name), scale=lambda student_id: len(student_id))
        assert [cell[question](*args) for args in ARGUMENTS] == [program(*args) for args in ARGUMENTS]

    @pytest.mark.parametrize(("question", "name"), slips())
    def test_holds_nothing_of_the_grader(self, problem, question, name):
        """No registration, no engine, and nothing that the slip does not need."""
        source = specimen.slip(problem, question, name)
        assert "grader" not in source
        assert "@question" not in source
        assert "unrelated" not in source
        assert "test_" not in source
        assert f"def {question}(" in source

    def test_helpers_do_not_take_the_questions_name(self, problem):
        """The slip calls the reference, which must not become the slip itself."""
        source = specimen.slip(problem, "area", "twice")
        assert "def _area(height, width)" in source
        assert "return _area(height, width) / _HALF" in source

    def test_every_slip_of_the_sample_is_tested(self, problem):
        registered = [(q.name, slip) for q in grader.load("sizes").values() for slip in q.slips]
        assert registered == slips()
