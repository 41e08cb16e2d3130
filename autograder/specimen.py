"""Sample submissions: right, wrong and untouched notebooks made from a problem's own material.

They play the students of `convgrade demo`, and prove the graders in the tests.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import grader
from autograder.build import worked_notebook
from autograder.catalog import Problem

Answers = dict[str, str]
"""The source of a solution cell for each question that has one."""


def untouched(problem: Problem) -> NotebookNode:
    """Return the notebook as students get it."""
    return nbformat.read(problem.release, as_version=4)


def handed_in(problem: Problem, answers: Mapping[str, str], last_cell: str = "") -> NotebookNode:
    """Return the released notebook with answers written into it, and perhaps one more cell."""
    notebook = copy.deepcopy(untouched(problem))
    for cell in notebook.cells:
        if cell.id in answers:
            cell.source = answers[cell.id]
    if last_cell:
        notebook.cells.append(nbformat.v4.new_code_cell(last_cell, id="last-cell"))
    return notebook


def reference(problem: Problem) -> Answers:
    """Return the worked solutions."""
    questions = grader.load(problem.name)
    return {cell.id: cell.source for cell in worked_notebook(problem).cells if cell.id in questions}


def accepted(problem: Problem, path: Path) -> Answers:
    """Return the right answers of one alternative, each with the helpers that it needs."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    answers = {}
    for name in grader.load(problem.name):
        parts = [_segment(text, node) for node in _needed(tree, name)]
        answers[name] = "\n\n".join(parts)
    return answers


def slip(problem: Problem, question: str, name: str) -> str:
    """Return the wrong program `name`, with what it needs of the grader, as `question`'s cell.

    The helpers' names get an underscore, since a helper may be called like the question itself.
    """
    tree = ast.parse(problem.grader.read_text(encoding="utf-8"))
    nodes = _needed(tree, name)
    renamed = {other: f"_{other}" for node in nodes for other in _defines(node) if _is_own(node)}
    renamed[name] = question
    body = [_Renamer(renamed).visit(_bare(node)) for node in nodes]
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


def _needed(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the top-level statements that define `name` and all that it uses, in their order."""
    definitions = {
        defined: node for node in tree.body for defined in _defines(node) if not _belongs_to_engine(node)
    }
    wanted, found = [name], set()
    while wanted:
        current = wanted.pop()
        node = definitions.get(current)
        if node is None or node in found:
            continue
        found.add(node)
        wanted += [n.id for part in _parts(node) for n in ast.walk(part) if isinstance(n, ast.Name)]
    return [node for node in tree.body if node in found]


def _belongs_to_engine(node: ast.stmt) -> bool:
    """Say whether a statement needs this package, as ``variant = grader.provided(...)`` does.

    What it defines, the notebook's own locked cells define too.
    """
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").startswith("autograder")
    names = {n.id for part in _parts(node) for n in ast.walk(part) if isinstance(n, ast.Name)}
    return "grader" in names


def _parts(node: ast.stmt) -> Iterable[ast.AST]:
    """Leave out decorators, which register a slip and belong to the grader."""
    return [node.args, *node.body] if isinstance(node, ast.FunctionDef) else ast.iter_child_nodes(node)


def _defines(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name.split(".")[0] for alias in names]
        case ast.Assign(targets=targets):
            return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _is_own(node: ast.stmt) -> bool:
    return not isinstance(node, ast.Import | ast.ImportFrom)


def _bare(node: ast.stmt) -> ast.stmt:
    """Return a copy without the grader's decorators."""
    node = copy.deepcopy(node)
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = []
    return node


def _segment(text: str, node: ast.stmt) -> str:
    """Return a statement's own text, decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


class _Renamer(ast.NodeTransformer):
    """Renames module-level names, but not where a function has a local one of the same name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self.names.get(node.name, node.name)
        inner = _Renamer({k: v for k, v in self.names.items() if k not in _locals(node)})
        self.generic_visit(node.args)
        node.body = [inner.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.name = self.names.get(node.name, node.name)
        node.bases = [self.visit(base) for base in node.bases]
        own = {name for statement in node.body for name in _defines(statement)}
        inner = _Renamer({k: v for k, v in self.names.items() if k not in own})
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):  # a method sees the module's names, not its class's
                name = statement.name
                self.visit(statement)
                statement.name = name
            else:
                inner.visit(statement)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        arguments = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        inner = _Renamer({k: v for k, v in self.names.items() if k not in arguments})
        node.body = inner.visit(node.body)
        return node


def _locals(node: ast.FunctionDef) -> set[str]:
    arguments = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}
    stored = {
        n.id
        for statement in node.body
        for n in ast.walk(statement)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return arguments | stored
