"""Grading the graders: how many wrong programs pass, how many right ones fail, and who is told what.

A grader sorts programs into right and wrong, so it has error rates like any classifier. Programs of known
kind are handed in like a student's. A mutant's kind is not known: its answers to many arguments drawn from
all that the question's text allows, none of them the grader's own, decide whether it is wrong at all.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import itertools
import json
import pickle
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from autograder import answers, batch, build, catalog, grader, programs, specimen, workers
from autograder.catalog import Problem
from autograder.errors import CourseError, StudentCrash, StudentError, StudentTimeout, SubmissionError
from autograder.grader import Question, Replay, replay
from autograder.programs import Program
from autograder.results import QuestionResult, write_atomically
from autograder.sandbox.isolation import Level
from autograder.submission import SandboxSubmission, Submission

SAMPLE = 400
"""Arguments that a program which passes is compared on, beside the grader's own."""
SECRET = b"an audit's secret"
CONFIDENCE = 0.95
MOST_UNDIAGNOSED = 0.1
"""The share of wrong programs with a misconception's name that may be told only which check failed."""
FEW_MUTANTS = 8
"""Of each question, where one takes seconds to minutes."""
HANGS = 2
"""Timeouts and crashes after which a program is asked no more."""

Truth = Literal["right", "wrong", "open"]


@dataclass
class Judgement:
    """What a grader made of one program, and what it should have made of it.

    Attributes:
        truth: ``open`` where the program passed, is of no known kind, and its question has no domain to
            draw arguments from.
        slips: the misconceptions that the student would have been told.
        same_as: the slips that give the program's answers wherever it was asked.
        evidence: arguments by which a program was found to be wrong; why a person found a mutant right.
    """

    program: Program
    truth: Truth
    outcome: str
    points: float
    max_points: float
    slips: list[str]
    feedback: list[str]
    same_as: list[str] = field(default_factory=list)
    evidence: str = ""

    @property
    def passed(self) -> bool:
        return self.points == self.max_points

    @property
    def false_accept(self) -> bool:
        return self.truth == "wrong" and self.passed

    @property
    def false_reject(self) -> bool:
        return self.truth == "right" and not self.passed

    @property
    def failure(self) -> bool:
        """Whether it is wrong and was found to be."""
        return self.truth == "wrong" and not self.passed

    @property
    def named(self) -> bool:
        """Whether it was found to be wrong and has a misconception that has a name."""
        return self.failure and bool(self.same_as)

    @property
    def diagnosed(self) -> bool:
        return self.named and bool(set(self.slips) & set(self.same_as))

    @property
    def misdiagnosed(self) -> bool:
        """Whether it has a misconception that has a name, and was told another's."""
        return self.named and bool(self.slips) and not self.diagnosed

    @property
    def fault(self) -> str:
        """A word for what is wrong with the grader; empty where it did as it should."""
        faults = {
            "false accept": self.false_accept,
            "false reject": self.false_reject,
            "misdiagnosed": self.misdiagnosed,
            "undiagnosed": self.named and not self.diagnosed,
            "open": self.truth == "open",
        }
        return next((word for word, is_met in faults.items() if is_met), "")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Wanted:
    """What an audit judges.

    Attributes:
        most_mutants: of a question, drawn always alike. None for all of them, and for a few where a network
            has to be built or trained.
        seeds: how many of them the programs that train networks are judged with.
    """

    problems: Sequence[Problem]
    most_mutants: int | None = None
    seeds: int = 0

    def programs(self) -> list[Program]:
        """Return every program."""
        found = [_programs(problem, self.most_mutants, self.seeds) for problem in self.problems]
        return list(itertools.chain.from_iterable(found))


@functools.cache
def _programs(problem: Problem, most_mutants: int | None, seeds: int) -> list[Program]:
    """Return a problem's programs; to make its mutants takes a minute."""
    builds = "tensorflow" in grader.needs(problem.name).imports
    most = FEW_MUTANTS if builds and most_mutants is None else most_mutants
    return [*chosen(programs.of_problem(problem), most), *programs.reseeded(problem, seeds)]


def audit(wanted: Wanted, level: Level, jobs: int, kept: Path | None = None) -> list[Judgement]:
    """Judge every program.

    Args:
        kept: a file of judgements, one a line. Those that it holds of the same programs and graders are not
            made again, and what is made is added at once: an audit may be stopped and goes on. Those that
            show a fault are not kept, since it is to be mended.
    """
    everything = {key(program): program for program in wanted.programs()}
    known = recall(everything, kept) if kept else {}
    imports = {grader.needs(problem.name).imports for problem in wanted.problems}
    processes = workers.Processes(jobs, batch.use_sandboxes, batch.start_sandboxes(imports, level))
    with (
        workers.stopped_on_error(processes) as pool,
        kept.open("a", encoding="utf-8") if kept else contextlib.nullcontext() as file,
    ):
        made = {pool.submit(judge, program, level): k for k, program in everything.items() if k not in known}
        for future in as_completed(made):
            k = made[future]
            known[k] = future.result()
            if file and not known[k].fault:
                file.write(_line(k, known[k]) + "\n")
                file.flush()
    return [known[k] for k in everything]


def key(program: Program) -> str:
    """Return what tells a judgement's program and grader from all others."""
    told = json.dumps([_sha256_behind(program.problem, program.question), *astuple(program)])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _sha256_behind(name: str, question: str) -> str:
    """Return a hash of what a question's judgements stand on: its part of the grader, the notebook's code."""
    problem = catalog.problem(name)
    texts = (path.read_text(encoding="utf-8") for path in (problem.grader, problem.notebook))
    return _sha256_of_parts(question, *texts)


@functools.cache
def _sha256_of_parts(question: str, source: str, notebook: str) -> str:
    code = [[cell.id, cell.source] for cell in build.runnable(nbformat.reads(notebook, as_version=4))]
    return hashlib.sha256(json.dumps([part_of(source, question), code]).encode()).hexdigest()[:16]


def part_of(source: str, question: str) -> list[str]:
    """Return the statements of a grader's file that a question stands on, in their order.

    These are its own, which are decorated by it, and those that define anything that they mention, or that
    one mentioned so mentions in its turn. What defines nothing counts for all, but for texts.
    """
    wanted, places = [], defaultdict[str, list[int]](list)
    asks: dict[str, str] = {}  # by the name of a variable, the question that it stands for so far
    body = ast.parse(source).body
    for place, statement in enumerate(body):
        match statement:
            case ast.Assign(
                [ast.Name(variable)], ast.Call(ast.Attribute(attr="question"), [ast.Constant(str(asked)), *_])
            ):
                asks[variable] = asked
                own = asked == question
            case ast.FunctionDef(decorator_list=decorators):
                names = {name for decorator in decorators for name in _mentioned(decorator)}
                own = question in {asks.get(name) for name in names} or "autouse" in names
            case _:
                own = not _defined(statement) and not isinstance(statement, ast.Expr)
        for name in _defined(statement):
            places[name].append(place)
        if own:
            wanted.append(place)
    found: set[int] = set()
    while wanted:
        place = wanted.pop()
        if place not in found:
            found.add(place)
            wanted += [other for name in _mentioned(body[place]) for other in places.get(name, ())]
    lines = source.splitlines()
    return ["\n".join(lines[_first_line(body[p]) - 1 : body[p].end_lineno]) for p in sorted(found)]


def _first_line(statement: ast.stmt) -> int:
    """Return where a statement begins, with its decorators."""
    return min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])


def _defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names) | ast.ImportFrom(names=names):
            return [(alias.asname or alias.name).partition(".")[0] for alias in names]
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return [node.id for node in stored if isinstance(node.ctx, ast.Store)]


def _mentioned(node: ast.AST) -> Iterator[str]:
    """Yield every name in a piece of code; pytest finds fixtures by those of arguments, or by texts."""
    for each in ast.walk(node):
        match each:
            case ast.Name(name) | ast.arg(name) | ast.keyword(arg=str(name)) | ast.Constant(str(name)):
                yield name


_TOLD_BY_PROGRAM = ("problem", "question", "kind", "name", "seed")
_TOLD_BY_JUDGEMENT = ("truth", "outcome", "points", "max_points", "slips", "same_as", "evidence")


def _line(k: str, judgement: Judgement) -> str:
    """Return what is kept of a judgement; whoever has the program can find it by its key."""
    of_program, own = asdict(judgement.program), asdict(judgement)
    told = {"key": k, "grader": _sha256_behind(judgement.program.problem, judgement.program.question)}
    told |= {name: of_program[name] for name in _TOLD_BY_PROGRAM}
    return json.dumps(told | {name: own[name] for name in _TOLD_BY_JUDGEMENT}, ensure_ascii=False)


def _read(kept: Path) -> Iterator[dict[str, Any]]:
    """Yield what each line of a file tells."""
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []:
        with contextlib.suppress(ValueError):  # half a line, of an audit that was killed
            told = json.loads(line)
            if isinstance(told, dict):
                yield told


def recall(everything: Mapping[str, Program], kept: Path) -> dict[str, Judgement]:
    """Return by key what a file holds of some programs' judgements."""
    found = {}
    for told in _read(kept):
        if program := everything.get(told.get("key", "")):
            own = {name: told[name] for name in _TOLD_BY_JUDGEMENT}
            found[told["key"]] = _by_hand(Judgement(program, feedback=[], **own))
    return found


def publish(judgements: Iterable[Judgement], wanted: Wanted, to: Path, kept: Path | None = None) -> None:
    """Write the page about all that is wanted, as far as it was judged now or is kept.

    Args:
        kept: forgets what was judged by a grader that has changed since.
    """
    everything = {key(program): program for program in wanted.programs()}
    known = recall(everything, kept) if kept else {}
    known |= {key(judgement.program): judgement for judgement in judgements}
    found = {k: known[k] for k in everything if k in known}
    write_atomically(to, page(list(found.values()), everything.values()))
    if kept:
        graders = {
            _sha256_behind(p.name, question) for p in catalog.problems() for question in grader.load(p.name)
        }
        current = [told for told in _read(kept) if told.get("grader") in graders]
        write_atomically(kept, "".join(f"{json.dumps(told, ensure_ascii=False)}\n" for told in current))


def chosen(found: Iterable[Program], most_mutants: int | None) -> list[Program]:
    """Return all programs but for mutants over a number a question."""
    kept = []
    for question, of_question in itertools.groupby(found, lambda program: program.question):
        together = list(of_question)
        mutants = [program for program in together if program.kind == "mutant"]
        if most_mutants is not None and len(mutants) > most_mutants:
            mutants = random.Random(question).sample(mutants, most_mutants)
        kept += [program for program in together if program.kind != "mutant"] + mutants
    return kept


def judge(program: Program, level: Level) -> Judgement:
    """Hand one program in, grade it, and find out what it is."""
    problem = catalog.problem(program.problem)
    question = grader.load(program.problem)[program.question]
    needs = grader.needs(program.problem)
    submission = SandboxSubmission(
        student="ada",
        sandbox=batch.warm_sandbox(level, needs.imports),
        notebook=notebook_of(program, problem),
        untouched=frozenset() if program.source else frozenset({program.question}),
        limits=needs.limits,
        seed=batch.seed_of(program.problem) + program.seed,
        files=batch.course_files(problem),
    )
    with closing(submission):
        secret = SECRET + bytes(str(program.seed or ""), "ascii")
        graded = grader.grade(program.problem, submission, secret, [program.question]).questions[0]
        if graded.outcome == "could_not_check":
            raise CourseError(f"The grader of {program.question} broke on a program: {program.source}")
        return _by_hand(_judged(program, question, graded, submission))


def notebook_of(program: Program, problem: Problem) -> NotebookNode:
    """Return the worked notebook with the program in the place of its question's solution."""
    notebook = specimen.handed_in(problem, _reference(problem) | {program.question: program.source})
    if program.earlier:
        (place,) = [n for n, cell in enumerate(notebook.cells) if cell.id == program.question]
        notebook.cells[place].source = "# It stands above."
        notebook.cells.insert(place, nbformat.v4.new_code_cell(program.source, id="earlier"))
    return notebook


@functools.cache
def _reference(problem: Problem) -> specimen.Answers:
    return specimen.reference(problem)


def _judged(
    program: Program, question: Question, graded: QuestionResult, submission: Submission
) -> Judgement:
    judgement = Judgement(
        program, "wrong", graded.outcome, graded.points, graded.max_points, graded.slips, graded.feedback
    )
    if program.kind in programs.RIGHT:
        judgement.truth = "right"
    elif program.kind == "slip":
        judgement.same_as = [program.name]
    elif program.kind == "mutant":
        if question.domain is None:
            judgement.truth = "open" if judgement.passed else "wrong"
        else:
            _decide(judgement, question, submission)
    return judgement


def _by_hand(judgement: Judgement) -> Judgement:
    """Take a person's word on a mutant, also on one that was judged before somebody looked at it."""
    program = judgement.program
    listed = programs.equivalent(catalog.problem(program.problem)) if program.kind == "mutant" else {}
    why = listed.get((program.question, program.change))
    return replace(judgement, truth="right", evidence=why) if why else judgement


def _decide(judgement: Judgement, question: Question, submission: Submission) -> None:
    """Find out whether a mutant is right, and which slips it is."""
    likely = {name for name, slip in question.slips.items() if not (slip.slow or slip.told)}
    hangs = 0
    judgement.truth = "right" if judgement.passed else "wrong"
    for number, arguments in enumerate(domain(judgement.program.problem, question.name)):
        if (judgement.truth == "wrong" and not likely) or hangs >= HANGS:
            break
        submission.forget()  # all these answers together are larger than a grader's may be
        try:
            answer = Replay(submission.call(question.name, *arguments))
        except StudentError as error:
            answer = Replay(error=error)
        except SubmissionError as error:
            hangs += isinstance(error, StudentTimeout | StudentCrash)
            answer = Replay(error=StudentError("", ("",)))
        if not _is_right(answer, arguments, question, number, judgement.program.problem):
            judgement.truth = "wrong"
            judgement.evidence = judgement.evidence or repr(arguments)[:2_000]
        likely = {
            slip
            for slip in likely
            if same(answer, _answer(judgement.program.problem, question.name, slip, number), question)
        }
    if judgement.truth == "wrong" and not hangs:
        judgement.same_as = sorted(likely)


@functools.cache
def domain(problem: str, question: str) -> tuple[tuple[Any, ...], ...]:
    """Return arguments drawn from everything that a question's text allows."""
    drawn_by = grader.load(problem)[question].domain
    assert drawn_by is not None
    rng = grader.generator(SECRET, f"domain of {problem}::{question}")
    drawn = [tuple(drawn_by.draw(rng)) for _ in range(SAMPLE)]
    return tuple({pickle.dumps(arguments): arguments for arguments in drawn}.values())


def _is_right(
    answer: Replay, arguments: tuple[Any, ...], question: Question, number: int, problem: str
) -> bool:
    assert question.domain is not None
    if question.domain.right is None:
        return same(answer, _answer(problem, question.name, "", number), question)
    try:
        return answer.error is None and bool(question.domain.right(answer.value, *arguments))
    except Exception:  # a mutant's answer may be anything
        return False


@functools.cache
def _answer(problem: str, question: str, slip: str, number: int) -> Replay:
    """Return what the reference, or one of the slips, makes of one draw of the domain."""
    asked = grader.load(problem)[question]
    program = asked.slips[slip].program if slip else asked.answer
    assert program is not None
    return replay(program, domain(problem, question)[number], {})


def same(got: Replay, want: Replay, question: Question) -> bool:
    """Say whether two programs made the same of a call."""
    if got.error is not None or want.error is not None:
        return got.error is not None and want.error is not None and want.error.kinds[0] in got.error.kinds
    try:
        return answers.agree(got.value, want.value, question.tolerance)
    except TypeError:
        return False


# --- Rates ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """How often something happened, and how often it may happen after all."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    @property
    def bound(self) -> float:
        """The one-sided upper 95 % bound of the share (Clopper and Pearson, Biometrika 26, 1934)."""
        from scipy.stats import binomtest

        if not self.of:
            return 1.0
        interval = binomtest(self.count, self.of, alternative="less").proportion_ci(CONFIDENCE, "exact")
        return float(interval.high)


@dataclass(frozen=True)
class Tally:
    """The rates of some judgements."""

    judgements: Sequence[Judgement]

    def _rate(self, happened: Callable[[Judgement], bool], among: Callable[[Judgement], bool]) -> Rate:
        found = [happened(judgement) for judgement in self.judgements if among(judgement)]
        return Rate(sum(found), len(found))

    @property
    def false_accepts(self) -> Rate:
        return self._rate(
            lambda j: j.false_accept, lambda j: j.truth == "wrong" and j.program.kind != "baseline"
        )

    @property
    def false_accepted_mutants(self) -> Rate:
        return self._rate(
            lambda j: j.false_accept, lambda j: j.truth == "wrong" and j.program.kind == "mutant"
        )

    @property
    def false_rejects(self) -> Rate:
        return self._rate(
            lambda j: j.false_reject, lambda j: j.truth == "right" and j.program.kind != "reseeded"
        )

    @property
    def undiagnosed(self) -> Rate:
        """Of the failures that have a misconception's name, those that are not told it."""
        return self._rate(lambda j: not j.diagnosed, lambda j: j.named)

    @property
    def misdiagnosed(self) -> Rate:
        return self._rate(lambda j: j.misdiagnosed, lambda j: j.named)

    @property
    def general(self) -> Rate:
        """Of all failures, those that are told only which check failed."""
        return self._rate(lambda j: not j.slips, lambda j: j.failure and j.program.kind != "baseline")

    @property
    def lost_by_chance(self) -> Rate:
        """Of right programs that train networks, those that lost points to a seed."""
        return self._rate(lambda j: j.false_reject, lambda j: j.program.kind == "reseeded")

    @property
    def gained_by_chance(self) -> Rate:
        """Of wrong programs that train networks, those that a seed gave all points."""
        return self._rate(lambda j: j.passed, lambda j: j.program.kind == "baseline")

    @property
    def open(self) -> int:
        """How many mutants pass of which nothing says whether they are right."""
        return sum(j.truth == "open" for j in self.judgements)

    @property
    def sound(self) -> bool:
        """Whether the grader is as good as it has to be."""
        errors = (
            self.false_accepts, self.false_rejects, self.misdiagnosed, self.lost_by_chance,
            self.gained_by_chance,
        )  # fmt: skip
        no_error = not any(rate.count for rate in errors)
        return no_error and not self.open and self.undiagnosed.share <= MOST_UNDIAGNOSED

    @property
    def equivalent(self) -> int:
        return sum(j.truth == "right" and j.program.kind == "mutant" for j in self.judgements)


def by_problem(judgements: Iterable[Judgement]) -> Iterator[tuple[str, Tally]]:
    """Yield each problem's name and rates."""
    groups: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        groups.setdefault(judgement.program.problem, []).append(judgement)
    for problem, of_problem in groups.items():
        yield problem, Tally(of_problem)


def by_question(judgements: Iterable[Judgement]) -> Iterator[tuple[str, str, Tally]]:
    """Yield each question's problem, name and rates."""
    groups: dict[tuple[str, str], list[Judgement]] = {}
    for judgement in judgements:
        groups.setdefault((judgement.program.problem, judgement.program.question), []).append(judgement)
    for (problem, question), of_question in groups.items():
        yield problem, question, Tally(of_question)


# --- In words --------------------------------------------------------------------------------------------

BOUND = "at most"
COLUMNS = (
    "question", "wrong", "accepted", BOUND, "right", "rejected", BOUND, "mutants", "equivalent", "named",
    "told so", "told another",
)  # fmt: skip


def rows(judgements: Sequence[Judgement]) -> Iterator[tuple[str, ...]]:
    """Yield the table's cells: a row a question, one a problem, and one for all of them together."""
    for problem, of_problem in by_problem(judgements):
        for _, question, tally in by_question(of_problem.judgements):
            yield _row(question, tally)
        yield _row(f"all of {problem}", of_problem)
    yield _row("all together", Tally(judgements))


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    accepts, rejects, undiagnosed = tally.false_accepts, tally.false_rejects, tally.undiagnosed
    numbers = (
        accepts.of, accepts.count, f"{accepts.bound:.2%}", rejects.of, rejects.count, f"{rejects.bound:.2%}",
        tally.false_accepted_mutants.of, tally.equivalent, undiagnosed.of,
        undiagnosed.of - undiagnosed.count, tally.misdiagnosed.count,
    )  # fmt: skip
    return (name, *map(str, numbers))


def summary(tally: Tally) -> list[str]:
    """Return the rates in sentences, each with its upper bound."""

    def line(what: str, rate: Rate) -> str:
        bound = f"at most {rate.bound:.2%} with {CONFIDENCE:.0%} confidence"
        return f"{what}: {rate.count} of {rate.of} ({rate.share:.2%}; {bound})"

    lines = [
        line("False accepts, all wrong programs", tally.false_accepts),
        line("False accepts, mutants that are wrong", tally.false_accepted_mutants),
        line("False rejects, all right programs", tally.false_rejects),
        line("Undiagnosed, of wrong programs whose misconception has a name", tally.undiagnosed),
        line("Misdiagnosed, of the same", tally.misdiagnosed),
        line("Told only which check failed, of all wrong programs", tally.general),
    ]
    if tally.lost_by_chance.of:
        lines.append(line("Points lost by chance, right programs that train networks", tally.lost_by_chance))
        lines.append(line("All points gained by chance, wrong ones", tally.gained_by_chance))
    if tally.open:
        lines.append(f"Open: {tally.open} mutants pass, and nothing says whether they are right.")
    return lines


INTRODUCTION = """\
# How good the graders are

A grader sorts programs into right and wrong, and like every classifier it makes mistakes. This page says how
many. `convgrade audit` wrote it; the graders, not the students, were on trial.

**Programs that are wrong:** notebooks as they were handed out, constants and echoes of the arguments,
programs that know the visible tests by heart, every misconception that has a name, and *mutants*: the worked
solution and every accepted alternative with one operator, number or statement changed. **Programs that are
right:** solution and alternatives, each also restyled in up to eight ways that mean nothing to Python. Where
a network is trained, also the same programs with other seeds.

A mutant may happen to be right. One that passes is asked hundreds of questions more, drawn from all that the
question's text allows, none of them the grader's own: one answer unlike the reference's makes it a *false
accept*. Where no such sample can decide, a person did; the reasons stand below.

*At most* is the one-sided upper 95 % bound of a rate (Clopper and Pearson): what it may be after all, given
how many programs were tried. *Named* are wrong programs that answer like a misconception with a sentence of
its own; *told so* are those whose author would read that sentence, *told another* those that would be misled.

A judgement counts as long as the question's part of the grader and the notebook's code stay as they were. The
engine around them may have changed since; the tests try it on a few programs of each kind.
"""


def page(judgements: Sequence[Judgement], wanted: Iterable[Program]) -> str:
    """Return what was found, in Markdown, for people who want to know how far to trust a grade.

    Args:
        wanted: all programs that there are to judge; where some were not, that is told.
    """
    everything = Tally(judgements)
    parts = [INTRODUCTION, *(f"- {line}" for line in summary(everything)), "", "## By question", ""]
    parts.append(_table(COLUMNS, rows(judgements)))
    if missing := [f"- {line}" for line in _missing(judgements, wanted)]:
        parts += [*missing, ""]
    if everything.lost_by_chance.of:
        parts += ["## Programs that train networks", "", CHANCE, _table(SEED_COLUMNS, _seed_rows(judgements))]
    by_hand = [j for j in judgements if j.program.kind == "mutant" and j.truth == "right" and j.evidence]
    if by_hand:
        parts += ["## Mutants that a person found to be right", ""]
        parts += [
            f"- `{j.program.question}`: {j.evidence}\n\n  ```diff\n{_indented(j.program.change)}\n  ```"
            for j in by_hand
        ]
    found = [account(word, judgement) for word, judgement in faults(judgements)]
    if found:
        parts += ["", "## Faults", "", "```", *found, "```"]
    return "\n".join(parts).rstrip() + "\n"


def _missing(judgements: Iterable[Judgement], wanted: Iterable[Program]) -> Iterator[str]:
    """Yield a sentence for each question of which some programs were not judged."""
    judged = Counter((j.program.problem, j.program.question) for j in judgements)
    numbers = Counter((program.problem, program.question) for program in wanted)
    for place, number in numbers.items():
        if judged[place] < number:
            yield f"Of `{place[1]}`, {judged[place]} of {number} programs have been judged so far."


CHANCE = """\
Each was graded with so many seeds, which decide the first weights, the order of the images, dropout, and the
hidden images themselves. A right program should never lose a point to chance, and a wrong one never get them
all. What it gets is for what its network has learned all the same.
"""
SEED_COLUMNS = (
    "question",
    "program",
    "seeds",
    "fewest points",
    "most points",
    "of",
    "lost some, or gained all",
    "at most",
)


def _seed_rows(judgements: Iterable[Judgement]) -> Iterator[tuple[str, ...]]:
    groups: dict[tuple[str, str, str], list[Judgement]] = {}
    for j in judgements:
        if j.program.kind in ("reseeded", "baseline"):
            groups.setdefault((j.program.question, j.program.kind, j.program.name), []).append(j)
    for (question, kind, name), found in groups.items():
        tally = Tally(found)
        rate = tally.lost_by_chance if kind == "reseeded" else tally.gained_by_chance
        points = [j.points for j in found]
        yield (
            question, name if kind == "reseeded" else f"{name} (wrong)", str(len(found)), f"{min(points):g}",
            f"{max(points):g}", f"{found[0].max_points:g}", str(rate.count), f"{rate.bound:.1%}",
        )  # fmt: skip


def _table(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def faults(judgements: Iterable[Judgement]) -> Iterator[tuple[str, Judgement]]:
    """Yield what is wrong with the graders: a word for it, and the program that shows it."""
    for judgement in judgements:
        if judgement.fault:
            yield judgement.fault, judgement


def account(word: str, judgement: Judgement) -> str:
    """Tell a course's author about one fault, hidden arguments and all."""
    program = judgement.program
    lines = [
        f"{word}: {program.problem} · {program.question} · {program.kind} · {program.name.splitlines()[0]}"
    ]
    lines += [f"    {line}" for line in program.change.splitlines()]
    lines.append(f"    {judgement.points:g} of {judgement.max_points:g} points, {judgement.outcome}")
    lines += [f"    told: {sentence}" for sentence in judgement.feedback]
    if judgement.same_as:
        lines.append(f"    answers like: {', '.join(judgement.same_as)}")
    if judgement.evidence:
        lines.append(f"    wrong for: {judgement.evidence}")
    return "\n".join(lines)
