"""Measure everything that docs/benchmarks.md says, and write it.

    python benchmarks/run.py --quick                    # some minutes: does it run, what comes out
    python benchmarks/run.py                            # hours
    python benchmarks/run.py light growth --growth 1000 # these parts; the document's others stay

Every part makes its own classes in a temporary folder and leaves nothing. otter-grader gets an environment of
its own, .venv-otter, the first time.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import comparison
import first_model
import floor
import growth
import otter_form
import peers

from autograder.catalog import ROOT
from autograder.results import write_atomically

DOCUMENT = ROOT / "docs" / "benchmarks.md"
HEAD = """\
# Benchmarks

`python benchmarks/run.py` measures all of this again and writes this page. Each part says when and on what
it was measured; compare figures within a table only. Processor time is that of all processes of a command.

**What is compared.** Everybody grades the same submissions of the same questions: right ones in two styles,
ones with misconceptions, unfinished and untouched ones. None attacks, since the peers drop the submission
or stop there. ConvGrade runs with one slot a core; `nbgrader autograde` and `otter run` grade one
submission after another, so that a second core helps them little. nbgrader is measured with the course's
hidden graders in its kernel, which is the same work, and with the visible tests alone, the least that it
can do. otter-grader runs without a container, a command a submission, on the same notebooks in its own
form: test files whose cases call the same hidden graders. ConvGrade is measured up to its results, and with
all that it does by default: the gradebook, scored notebooks and feedback pages. It alone runs the students'
code in a sandbox. The larger classes are graded beside nbgrader alone, since the time otter-grader takes for
a submission does not depend on their number.
"""
TITLES = {
    **{name: chosen.title for name, chosen in comparison.CLASSES.items()},
    "first_model": first_model.TITLE,
    "floor": floor.TITLE,
    "growth": growth.TITLE,
}
"""What each part is called in the document, in its order."""
LONG = ("large_light", "large_build", "all")
"""Parts that a quick run leaves out."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(TITLES)}; all of them by default"
    )
    parser.add_argument("--light", type=int, default=20, help="students of the light problems (20)")
    parser.add_argument(
        "--build", type=int, default=20, help="students of the problem that builds models (20)"
    )
    parser.add_argument(
        "--large-light", type=int, default=100, help="students of the larger light class (100)"
    )
    parser.add_argument(
        "--large-build", type=int, default=40, help="students of the larger class that builds (40)"
    )
    parser.add_argument("--all", type=int, default=3, help="students of all six problems (3)")
    parser.add_argument("--rounds", type=int, default=2, help="how often the ways of grading take turns (2)")
    parser.add_argument(
        "--without", action="append", default=[], choices=peers.LEFT_OUT, help="leave this way of grading out"
    )
    parser.add_argument("--first-model", type=int, default=5, help="how often a first model is built (5)")
    parser.add_argument("--floor", type=int, default=20, help="students of light problems for the floor (20)")
    parser.add_argument("--models", type=int, default=3, help="students of models for the floor (3)")
    parser.add_argument("--growth", type=int, default=1000, help="submissions of the largest class (1000)")
    parser.add_argument("--slots", type=int, default=100, help="submissions for one slot and all (100)")
    parser.add_argument("--quick", action="store_true", help="tiny classes, one round, nobody trains")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="what is written")
    parser.add_argument("--otter", type=Path, default=otter_form.ENVIRONMENT, help="otter's environment")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(TITLES):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    if options.quick:
        options.light = options.build = options.floor = 2
        options.rounds = options.first_model = 1
        options.models, options.growth, options.slots = 0, 10, 4
    return options


def measurements(options: argparse.Namespace) -> Mapping[str, Callable[[], str]]:
    """Return what measures each part and gives its section."""

    def compare(name: str, students: int) -> str:
        return comparison.compare(name, students, options.rounds, options.otter, options.without)

    sizes = [size for size in (1, 10, 100) if size < options.growth]
    return {
        "light": lambda: compare("light", options.light),
        "large_light": lambda: compare("large_light", options.large_light),
        "build": lambda: compare("build", options.build),
        "large_build": lambda: compare("large_build", options.large_build),
        "all": lambda: compare("all", options.all),
        "first_model": lambda: first_model.measure_first_model(options.first_model),
        "floor": lambda: floor.measure_floor(options.floor, options.models),
        "growth": lambda: growth.measure_growth([*sizes, options.growth], options.slots),
    }


def write(document: Path, title: str, section: str) -> None:
    """Put a section into the document in the place of the one it had, in the order of the parts."""
    stored = document.read_text(encoding="utf-8") if document.is_file() else ""
    sections = {text.split("\n")[0]: text.strip() for text in re.split(r"^## ", stored, flags=re.M)[1:]}
    sections[title] = section.strip()
    kept = [f"## {sections[name]}\n" for name in TITLES.values() if name in sections]
    write_atomically(document, "\n".join([HEAD, *kept]))


def main() -> None:
    options = parse()
    everything = measurements(options)
    chosen = options.parts or [part for part in TITLES if not (options.quick and part in LONG)]
    for part in chosen:
        print(f"measuring: {TITLES[part]}", file=sys.stderr, flush=True)
        write(options.document, TITLES[part], f"{TITLES[part]}\n\n{everything[part]()}")


if __name__ == "__main__":
    main()
