"""Programs that a grader is judged by: right ones in many styles, and wrong ones of every kind.

Each is the text of one question's solution cell. What is right stays right under a change of style that
means nothing to Python; what is wrong is a constant, an echo, a slip, or a mutant of something right.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import copy
import functools
import io
import math
import pickle
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autograder import grader, specimen
from autograder.catalog import Problem
from autograder.errors import CourseError
from autograder.notebook import read_percent, reference_namespace

Kind = Literal[
    "reference", "accepted", "restyled", "reseeded", "untouched", "constant", "visible", "slip", "mutant",
    "baseline",
]  # fmt: skip
RIGHT: frozenset[Kind] = frozenset({"reference", "accepted", "restyled", "reseeded"})

CONSTANTS = (
    "0", "1", "0.0", "1.0", "None", "True", "False", "''", "[]", "()", "{}", "[0, 0, 0, 0]", "float('nan')",
    "args[0]", "args[-1]", "len(args)", "args", "list(args)", "__import__('numpy').zeros((3, 3))",
    "__import__('numpy').zeros(__import__('numpy').shape(args[0]))", "(_ for _ in ()).throw(ValueError())",
)  # fmt: skip
"""What programs that know nothing return: constants, and echoes of their arguments `args`."""


@dataclass(frozen=True)
class Program:
    """One answer to one question.

    Attributes:
        name: tells it apart from others of its question and kind.
        source: its solution cell.
        earlier: it stands in a cell of the student's own above the solution cell, which holds nothing then.
        change: for a mutant, the lines that were changed, the old ones before the new ones.
        seed: what all that is drawn while it is graded depends on: 0 for all but the reseeded and baselines.
    """

    problem: str
    question: str
    kind: Kind
    name: str
    source: str
    earlier: bool = False
    change: str = ""
    seed: int = 0


def of_problem(problem: Problem, *, alternatives: bool = True) -> Iterator[Program]:
    """Yield all programs of a problem, question by question.

    Args:
        alternatives: with the accepted ones, and what is made of them.
    """
    right = _right(problem) if alternatives else _right(problem)[:1]
    for question, asked in grader.load(problem.name).items():
        yield Program(problem.name, question, "untouched", "untouched", "")
        for constant in CONSTANTS:
            code = f"def {question}(*args, **kwargs):\n    return {constant}"
            yield Program(problem.name, question, "constant", constant, code)
        yield from _visible_answers(problem, question)
        for slip in asked.slips:
            source = specimen.slip(problem, question, slip)
            yield Program(problem.name, question, "slip", slip, source)
        seen = set()
        for name, answers in right:
            source = answers[question]
            kind: Kind = "reference" if name == "reference" else "accepted"
            yield Program(problem.name, question, kind, name, source)
            styles = _restyled(source, question, _is_hashable(problem, question))
            # A style means nothing to a training either, which takes a hundred times as long.
            for style, restyled in styles if kind == "reference" or not asked.trained else ():
                yield Program(
                    problem.name, question, "restyled", f"{name}, {style}", restyled, style == EARLIER
                )
            for operator, change, mutant in mutants(source):
                if (meaning := _meaning(mutant)) not in seen:
                    seen.add(meaning)
                    label = f"{name}, {operator}, {change}"
                    yield Program(problem.name, question, "mutant", label, mutant, change=change)


def reseeded(problem: Problem, seeds: int) -> Iterator[Program]:
    """Yield the programs of the questions that train networks, each with several seeds.

    Right ones are reseeded. Those with a misconception, of which there are many more, are baselines with a
    third of the seeds.
    """
    for name, question in grader.load(problem.name).items():
        if not question.trained:
            continue
        for seed in range(seeds):
            for style, answers in _right(problem):
                yield Program(problem.name, name, "reseeded", style, answers[name], seed=seed)
        for seed in range(math.ceil(seeds / 3)):
            for slip in question.slips:
                source = specimen.slip(problem, name, slip)
                yield Program(problem.name, name, "baseline", slip, source, seed=seed)


def _right(problem: Problem) -> list[tuple[str, specimen.Answers]]:
    """Return the reference and the accepted alternatives, each with its name."""
    alternatives = [(path.stem, specimen.accepted(problem, path)) for path in problem.accepted]
    return [("reference", specimen.reference(problem)), *alternatives]


# --- Right programs in another style -------------------------------------------------------------------

EARLIER = "in an earlier cell"


def _restyled(source: str, question: str, hashable: bool) -> Iterator[tuple[str, str]]:
    """Yield programs that mean the same, each with the name of its style.

    Args:
        hashable: the question's arguments can be remembered.
    """
    yield EARLIER, source
    styles: dict[str, Callable[[ast.FunctionDef], str]] = {
        "locals renamed": _with_renamed_locals,
        "in a helper called by keywords": _with_helper,
        "with type hints": _with_hints,
        "decorated": _decorated,
        "as a partial": _as_partial,
        "as a callable object": _as_object,
    }
    if hashable:
        styles["with a cache"] = _cached
    for style, restyle in styles.items():
        tree = ast.parse(source)
        (place,) = [n for n, node in enumerate(tree.body) if _defines(node, question)]
        parts = [ast.unparse(node) for node in tree.body]
        parts[place] = restyle(tree.body[place])  # type: ignore[arg-type]
        yield style, "\n\n".join(parts)


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == name


def _with_renamed_locals(function: ast.FunctionDef) -> str:
    # Arguments, inner functions' too, keep their names: somebody may call by them.
    given = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    renamed = {name: f"{name}_of_mine" for name in stored - given}
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name) if name in renamed:
                node.id = renamed[name]
            case ast.Nonlocal(names=names):
                node.names = [renamed.get(name, name) for name in names]
    return ast.unparse(function)


def _with_helper(function: ast.FunctionDef) -> str:
    wrapper = copy.deepcopy(function)
    keywords = ", ".join(f"{a.arg}={a.arg}" for a in _arguments(function.args))
    wrapper.body = ast.parse(f"return answer_of_mine({keywords})").body
    function.name = "answer_of_mine"
    return f"{ast.unparse(function)}\n\n{ast.unparse(wrapper)}"


def _with_hints(function: ast.FunctionDef) -> str:
    for argument in _arguments(function.args):
        argument.annotation = ast.Constant("object")
    function.returns = ast.Name("object")
    return ast.unparse(function)


def _decorated(function: ast.FunctionDef) -> str:
    function.decorator_list.insert(0, ast.Name("noted"))
    return (
        "import functools\n\ndef noted(function):\n    @functools.wraps(function)\n"
        "    def inner(*args, **kwargs):\n        return function(*args, **kwargs)\n    return inner\n\n"
        + ast.unparse(function)
    )


def _cached(function: ast.FunctionDef) -> str:
    function.decorator_list.append(ast.Name("functools.cache"))
    return f"import functools\n\n{ast.unparse(function)}"


def _is_hashable(problem: Problem, question: str) -> bool:
    """Say whether a question's arguments can be the keys of a dictionary."""
    domain = grader.load(problem.name)[question].domain
    if domain is None:
        return False
    rng = np.random.default_rng(0)
    try:
        for _ in range(20):
            hash(tuple(domain.draw(rng)))
    except TypeError:
        return False
    return True


def _as_partial(function: ast.FunctionDef) -> str:
    name, function.name = function.name, "answer_of_mine"
    return f"import functools\n\n{ast.unparse(function)}\n\n{name} = functools.partial(answer_of_mine)"


def _as_object(function: ast.FunctionDef) -> str:
    name, function.name = function.name, "answer_of_mine"
    return (
        f"{ast.unparse(function)}\n\nclass Answer:\n    def __call__(self, *args, **kwargs):\n"
        f"        return answer_of_mine(*args, **kwargs)\n\n{name} = Answer()"
    )


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


# --- Programs that know the visible tests and nothing else -----------------------------------------------


def _visible_answers(problem: Problem, question: str) -> Iterator[Program]:
    """Yield the program that has the answers to the visible tests' calls by heart, where they are values.

    To any other call it gives the first of them.
    """
    if grader.load(problem.name)[question].domain is None:
        return
    namespace = _worked_namespace(problem)
    answer, known = namespace[question], []

    def noting(*args: Any, **kwargs: Any) -> Any:
        value = answer(*args, **kwargs)
        if args or kwargs:  # without any, the only answer that there is would be learnt, not a test's
            known.append((pickle.dumps((args, kwargs)), pickle.dumps(value)))
        return value

    tests = "\n".join(cell.source for cell in read_percent(problem.source) if cell.test == question)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(tests, "<visible tests>", "exec"), namespace | {question: noting})
    except Exception:
        return  # they look at files or models that only a whole notebook has
    if known:
        table = base64.b64encode(pickle.dumps(known)).decode()
        source = (
            f"import base64, pickle\n\nANSWERS = pickle.loads(base64.b64decode({table!r}))\n\n"
            f"def {question}(*args, **kwargs):\n"
            "    return pickle.loads(dict(ANSWERS).get(pickle.dumps((args, kwargs)), ANSWERS[0][1]))"
        )
        yield Program(problem.name, question, "visible", "knows the visible tests", source)


@functools.cache
def _worked_namespace(problem: Problem) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()):  # the notebook's own cells print
        return reference_namespace(problem.source)


# --- Mutants -------------------------------------------------------------------------------------------


def mutants(source: str) -> Iterator[tuple[str, str, str]]:
    """Yield programs that differ from `source` in one place: the operator, the change, the program.

    Raises:
        CourseError: the package that makes them is not installed.
    """
    try:
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator, operator_names
    except ImportError:
        raise CourseError("An audit needs cosmic-ray: pip install -e '.[dev]'.") from None
    meaning = _meaning(source)
    for name in operator_names():
        try:
            operator = get_operator(name)()
        except TypeError:  # one that must be told which variable to use
            continue
        occurrence = 0
        while (mutant := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            if _parses(mutant) and _meaning(mutant) != meaning:
                yield name.rpartition("/")[2], _change(source, mutant), mutant


@functools.cache
def equivalent(problem: Problem) -> dict[tuple[str, str], str]:
    """Return the mutants that somebody found to be right: why, by question and change.

    They stand in ``equivalent.toml`` beside the grader, for questions whose answers no sample can decide::

        [[mutants]]
        question = "train_head"
        why = "How many epochs it takes is the author's choice."
        changes = ['''
        - epochs=10
        + epochs=11
        ''']
    """
    path = problem.grader.with_name("equivalent.toml")
    listed = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {
        (group["question"], "\n".join(line.strip() for line in change.strip().splitlines())): group["why"]
        for group in listed.get("mutants", [])
        for change in group["changes"]
    }


def _parses(source: str) -> bool:
    """Say whether Python takes a program without a word: ``x is 3`` gives what the interpreter pleases."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            compile(source, "<mutant>", "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


def _meaning(source: str) -> str:
    return ast.dump(ast.parse(source))


def _change(old: str, new: str) -> str:
    """Return the lines that differ, the old ones before the new ones."""
    before, after = old.splitlines(), new.splitlines()
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    return "\n".join([*(f"- {line.strip()}" for line in before), *(f"+ {line.strip()}" for line in after)])
