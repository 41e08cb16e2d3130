"""ConvGrade beside its peers on three classes, and what came of it."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean, median

import measure
import samples
from peers import HIDDEN, LEFT_OUT, RECORDED, RESULTS, VISIBLE, Contestant, ConvGrade, Turn, contestants
from samples import HandedIn

from autograder import grader

SAME = 1e-6
"""Points by which two scores may differ for having been added up in another order."""


@dataclass(frozen=True)
class SchoolClass:
    """A class of submissions.

    Attributes:
        goal: how many times less wall time than nbgrader's it should take.
        without: ways of grading that are left out whatever is asked for.
    """

    title: str
    problems: tuple[str, ...]
    goal: float
    about: str
    without: tuple[str, ...] = ()


CLASSES = {
    "light": SchoolClass("Light problems", samples.LIGHT, 20, "No TensorFlow."),
    "large_light": SchoolClass(
        "Light problems, a larger class",
        samples.LIGHT,
        20,
        "What starting and the gradebook cost once is shared by more submissions.",
        tuple(LEFT_OUT),
    ),
    "build": SchoolClass("A problem that builds models", samples.BUILD_ONLY, 12, "It trains none."),
    "large_build": SchoolClass(
        "A problem that builds models, a larger class",
        samples.BUILD_ONLY,
        12,
        "It trains none.",
        tuple(LEFT_OUT),
    ),
    "all": SchoolClass(
        "All six problems",
        samples.ALL,
        3,
        "Two of them train networks. The peers also run the notebooks' own training cells and pictures, "
        "which are locked and which ConvGrade skips.",
    ),
}


def compare(name: str, students: int, rounds: int, environment: Path, without: Collection[str] = ()) -> str:
    """Grade a class in all ways but those `without`, and return its part of the document.

    Args:
        environment: otter's; it is made if need be.
    """
    chosen, conditions = CLASSES[name], measure.Conditions()
    submissions = samples.whole_class(students, chosen.problems)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        found = contestants(Path(folder), submissions, environment, {*without, *chosen.without})
        for number in range(rounds):
            for contestant in order(found, number):
                turn = contestant.take_turn()
                require_full_points(contestant.name, turn, submissions)
                seconds = sum(spent.wall for spent in turn.spent)
                print(f"round {number + 1}: {contestant.name}, {seconds:.1f} s", file=sys.stderr, flush=True)
    return "\n".join(report(chosen, students, rounds, submissions, found, conditions))


def order(found: Sequence[Contestant], number: int) -> list[Contestant]:
    """Return who takes turns in a round.

    ConvGrade stands before and after the peers, and these change their order from round to round, so that a
    machine that slows down slows all of them.
    """
    ours = [contestant for contestant in found if isinstance(contestant, ConvGrade)]
    peers = [contestant for contestant in found if contestant not in ours]
    return [*ours, *(peers if number % 2 == 0 else reversed(peers)), *reversed(ours)]


def report(
    chosen: SchoolClass,
    students: int,
    rounds: int,
    submissions: Sequence[HandedIn],
    found: Sequence[Contestant],
    conditions: measure.Conditions,
) -> Iterator[str]:
    """Yield the paragraphs of a class."""
    yield (
        f"{', '.join(f'`{problem}`' for problem in chosen.problems)}. {chosen.about} {students} students, "
        f"{len(submissions)} submissions, {rounds} round{'s' * (rounds > 1)}. "
        + conditions.describe(package for contestant in found for package in contestant.packages)
        + "\n"
    )
    yield timing(found, len(submissions))
    yield ratios(chosen, found)
    yield breakdown(found)
    yield scoring(submissions, found)


def wall(contestant: Contestant, extra: bool = False) -> float:
    """Return the median over the turns of the class's wall seconds."""
    return median(
        sum(s.wall for s in (*turn.spent, *(turn.extra if extra else ()))) for turn in contestant.turns
    )


def cpu(contestant: Contestant, extra: bool = False) -> float:
    return median(
        sum(s.cpu for s in (*turn.spent, *(turn.extra if extra else ()))) for turn in contestant.turns
    )


def timing(found: Sequence[Contestant], number: int) -> str:
    rows = []
    for contestant in found:
        own = f"{median(second for turn in contestant.turns for second in turn.own):.2f}"
        rows.append(_row(contestant.name, wall(contestant) / number, cpu(contestant) / number, own))
        if contestant.turns[0].extra:
            total = wall(contestant, True) / number, cpu(contestant, True) / number
            rows.append(_row(f"{contestant.name}, and its feedback pages", *total, ""))
    header = [
        "seconds a submission",
        "whole commands, wall",
        "processor",
        "without the commands' start, median",
    ]
    return measure.table(header, rows)


def _row(name: str, wall_seconds: float, cpu_seconds: float, own: str) -> list[str]:
    return [name, f"{wall_seconds:.2f}", f"{cpu_seconds:.2f}", own]


def ratios(chosen: SchoolClass, found: Sequence[Contestant]) -> str:
    """Return how many times ConvGrade's time the others took."""
    by_name = {contestant.name: contestant for contestant in found}
    results, recorded = by_name[RESULTS], by_name[RECORDED]
    rows = []
    for other in found:
        if other in (results, recorded):
            continue
        for extra in (False, True):
            if extra and not other.turns[0].extra:
                continue
            rows.append(
                [other.name + ", and its feedback pages" * extra]
                + [f"{wall(other, extra) / wall(ours):.1f}" for ours in (results, recorded)]
                + [f"{cpu(other, extra) / cpu(ours):.1f}" for ours in (results, recorded)]
            )
    header = ["times ConvGrade's", "wall, results only", "wall, recorded", "processor, results only",
              "processor, recorded"]  # fmt: skip
    stock = by_name[HIDDEN]
    reached = [wall(stock) / wall(ours) for ours in (results, recorded)]
    verdict = ["reached" if ratio >= chosen.goal else "missed" for ratio in reached]
    return measure.table(header, rows) + (
        f"\nThe goal is {chosen.goal:g} times less wall time than nbgrader with the same hidden graders: "
        f"{reached[0]:.1f} with results only ({verdict[0]}), {reached[1]:.1f} recorded and with feedback "
        f"pages, which nbgrader's time does not hold ({verdict[1]}).\n"
    )


def breakdown(found: Sequence[Contestant]) -> str:
    """Return where ConvGrade's wall time goes."""
    rows = []
    for contestant in found:
        measured = [astuple(turn.phases) for turn in contestant.turns if turn.phases]
        if measured:
            rows.append(
                [contestant.name, *(f"{median(column):.1f}" for column in zip(*measured, strict=True))]
            )
    header = ["seconds of the whole command", "start", "grading", "after the last result"]
    return measure.table(header, rows)


def require_full_points(name: str, turn: Turn, submissions: Sequence[HandedIn]) -> None:
    """Make sure that a right submission got all points, since nothing could be compared otherwise.

    Raises:
        RuntimeError: one did not.
    """
    for s in submissions:
        score, full = turn.scores[s.student, s.problem], full_points(s.problem)
        if s.kind == "right" and abs(score - full) > SAME:
            raise RuntimeError(f"{name} gives the right {s.problem} {score:g} of {full:g} points.")


def scoring(submissions: Sequence[HandedIn], found: Sequence[Contestant]) -> str:
    """Return the mean share of the points by kind of submission, and where the peers' scores differ."""
    kinds = list(dict.fromkeys(submission.kind for submission in submissions))
    ours, rows, told = found[0].turns[0].scores, [], []
    for contestant in found:
        scores = contestant.turns[0].scores
        shares: dict[str, list[float]] = defaultdict(list)
        different = []
        for s in submissions:
            score, expected = scores[s.student, s.problem], ours[s.student, s.problem]
            shares[s.kind].append(score / full_points(s.problem))
            if abs(score - expected) > SAME:
                different.append(f"`{s.problem}`, {s.kind}: {score:g} for {expected:g}")
        rows.append([contestant.name, *(f"{fmean(shares[k]):.0%}" for k in kinds), str(len(different))])
        if different and contestant.name != VISIBLE:
            told.append(f"{contestant.name}: {'; '.join(dict.fromkeys(different))}.\n")
    table = measure.table(["share of the points", *kinds, "scores unlike ConvGrade's"], rows)
    return "\n".join([table, *told])


@functools.cache
def full_points(problem: str) -> float:
    return sum(question.points for question in grader.load(problem).values())
