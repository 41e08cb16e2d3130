"""An authored notebook: the cells of ``source/<problem>/<problem>.py``.

The file is in jupytext's percent format. What a cell is for stands in its header:

``# %% [markdown]``                       prose
``# %% [markdown] hint="iou"``            a hint of question ``iou``, folded away in the release
``# %% [markdown] explain="iou"``         why the solution is right; in ``solutions/`` only
``# %% provided="variant"``               locked code that students get as it is
``# %% solution="iou"``                   the solution, its body between nbgrader's SOLUTION markers
``# %% test="iou"``                       the visible tests; the build adds the line that grades

Any code cell may carry ``tags=["train"]`` or ``tags=["picture"]``: the engine skips those.

Files beside it that students get too stand in its front matter::

    # ---
    # jupyter:
    #   convgrade:
    #     files: [backbone.py]
    # ---
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autograder.errors import CourseError

SKIPPED_TAGS = frozenset({"train", "picture"})
"""Tags of provided cells that are not run while grading."""
ROLES = ("solution", "test", "provided", "hint", "explain")


@dataclass(frozen=True)
class SourceCell:
    """One authored cell; at most one of the names in `ROLES` is not empty."""

    kind: str
    source: str
    solution: str = ""
    test: str = ""
    provided: str = ""
    hint: str = ""
    explain: str = ""
    tags: tuple[str, ...] = ()

    @property
    def skipped(self) -> bool:
        return bool(SKIPPED_TAGS.intersection(self.tags))


def read_percent(path: Path) -> list[SourceCell]:
    """Read an authored notebook.

    Raises:
        CourseError: it is not there, or a header says something that is not known here.
    """
    import jupytext

    if not path.is_file():
        raise CourseError(f"There is no {path}. 'convgrade new {path.stem}' makes one.")
    cells = []
    for cell in jupytext.read(path, fmt="py:percent").cells:
        metadata: dict[str, Any] = dict(cell.metadata)
        metadata.pop("lines_to_next_cell", None)  # jupytext's note to itself about blank lines
        tags = tuple(metadata.pop("tags", ()))
        roles = {role: metadata.pop(role) for role in ROLES if role in metadata}
        if metadata or len(roles) > 1:
            raise CourseError(
                f"{path}: a cell's header says {', '.join([*metadata, *roles])}; "
                f"it may have tags and one of {', '.join(ROLES)}."
            )
        cells.append(SourceCell(cell.cell_type, cell.source, tags=tags, **roles))
    return cells


def provided_files(path: Path) -> list[Path]:
    """Return the files beside an authored notebook that its front matter gives to students.

    Raises:
        CourseError: one is not there, is elsewhere, or is the authored notebook itself.
    """
    listed = _front_matter(path).get("convgrade", {}).get("files", []) if path.is_file() else []
    files = [path.parent / str(name) for name in listed]
    for file in files:
        if file == path or file.parent != path.parent or not file.is_file():
            raise CourseError(f"{path} gives {file.name} to students, which is no other file beside it.")
    return files


def _front_matter(path: Path) -> dict[str, Any]:
    """Return what an authored notebook's front matter says to Jupyter.

    jupytext would read the whole notebook for it, and every command needs to know which files are given.
    """
    rule, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    if rule.rstrip() != "# ---":
        return {}
    header = [
        line.removeprefix("#") for line in itertools.takewhile(lambda line: line.rstrip() != rule, lines)
    ]
    return (yaml.safe_load("\n".join(header)) or {}).get("jupyter", {})


def reference_namespace(path: Path) -> dict[str, Any]:
    """Run an authored notebook's solutions and provided cells here, and return their globals."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(read_percent(path), start=1):
        if cell.kind == "code" and not cell.test and not cell.skipped:
            exec(compile(cell.source, f"<{path.stem}: cell {number}>", "exec"), namespace)
    return namespace
