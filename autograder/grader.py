"""What hidden graders are written with, and the pytest plugin that runs them.

A grader is an ordinary pytest file::

    question = grader.question("iou", points=2)

    @question.reference
    def iou(box_a, box_b): ...

    @question.slip("Boxes that only touch share no area.")
    def touching_boxes(box_a, box_b): ...

    @question.test
    @pytest.mark.parametrize(("box_a", "box_b"), PAIRS)
    def test_overlap(compare, box_a, box_b):
        \"\"\"divides the shared area by the area of the union\"\"\"
        compare(box_a, box_b)

One test function is one check: its docstring is the line that the student reads, and it passes when
every one of its parametrised cases does. A slip is the sentence that a student reads and the wrong
program that earns it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import hmac
import importlib.util
import inspect
import io
import os
import pickle
import reprlib
import sys
import tempfile
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import pytest
from _pytest.config import _prepareconfig  # as pytest-xdist does, whose workers wait for cases too

from autograder import answers, catalog, feedback
from autograder.errors import (
    ConvGradeError,
    GraderError,
    NotAttempted,
    StudentCrash,
    StudentError,
    StudentTimeout,
    SubmissionError,
)
from autograder.lab import HeldNetwork, Lab, LocalLab
from autograder.models import Model
from autograder.results import CheckResult, Outcome, QuestionResult
from autograder.sandbox.host import Limits
from autograder.submission import Call, LimitedSubmission, LocalSubmission, Submission

Function = Callable[..., Any]


@dataclass(frozen=True)
class Needs:
    """What grading a problem takes; a grader that takes more than this says so as its ``NEEDS``.

    Attributes:
        imports: packages that the warm process holds ready.
        limits: what one submission may use.
    """

    imports: tuple[str, ...] = ("numpy",)
    limits: Limits = field(default_factory=Limits)


KERAS = Needs(
    ("numpy", "keras", "tensorflow"),
    # A first call traces its graph, and TensorFlow alone maps more than the usual memory.
    Limits(cpu_seconds=30, wall_seconds=120, total_cpu=1_200, total_wall=1_800, memory_mb=4_096),
)
"""What problems with models need."""


class Feedback(AssertionError):
    """A failed check whose message is meant for the student: the only text that is forwarded.

    Attributes:
        slip: the misconception that was found, if the check could tell.
    """

    def __init__(self, message: str, slip: str = "") -> None:
        super().__init__(message)
        self.slip = slip


def fail(sentence: str) -> NoReturn:
    """Fail the check with a sentence for the student; it must not show a hidden argument or answer."""
    raise Feedback(sentence)


@dataclass(frozen=True)
class Slip:
    """A misconception: the sentence that names it and the wrong program that has it.

    Attributes:
        slow: it gives right answers too slowly, so that it shows as a timeout only.
        told: a check looks for it and tells, with `Question.blame`; answers are not compared with its own.
    """

    name: str
    sentence: str
    program: Function
    slow: bool = False
    told: bool = False


@dataclass(frozen=True, eq=False)
class Check:
    """One test function of a question."""

    question: Question
    label: str
    points: float | None


@dataclass(frozen=True)
class Domain:
    """All that a question's text allows to be asked, and what is right there; for audits.

    Attributes:
        draw: draws arguments with a random generator.
        right: says of an answer and the arguments whether it is right; None for what the reference says.
    """

    draw: Function
    right: Function | None = None


@dataclass(eq=False)
class Question:
    """One question of a problem: its points, its reference, its slips and its checks."""

    name: str
    points: float
    tolerance: float = answers.TOLERANCE
    trained: bool = False
    slips: dict[str, Slip] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    answer: Function | None = None
    domain: Domain | None = None

    def draws(self, function: Function | None = None, *, right: Function | None = None) -> Any:
        """Register what draws arguments, as a tuple, from all that the question's text allows.

        No grade depends on it: an audit asks programs that pass what no hidden case asks.

        Args:
            right: says of an answer and the arguments whether it is right, where many answers are.
        """

        def register(draw: Function) -> Function:
            self.domain = Domain(draw, right)
            return draw

        return register if function is None else register(function)

    def reference(self, function: Function) -> Function:
        """Register the function that gives the right answers."""
        self.answer = function
        return function

    def slip(
        self, sentence: str, *, slow: bool = False, told: bool = False
    ) -> Callable[[Function], Function]:
        """Register a wrong program with the sentence that its author should read.

        Args:
            slow: it is right but takes too long.
            told: its models are known by what they are, so that a check must name it, with `blame`.
        """

        def register(program: Function) -> Function:
            name = program.__name__
            if name in self.slips:
                raise GraderError(f"{self.name}: there are two slips called {name}.")
            self.slips[name] = Slip(name, sentence, program, slow, told)
            return program

        return register

    def blame(self, name: str) -> NoReturn:
        """Fail the check because of the slip called `name`, whose sentence the student reads."""
        raise Feedback(self.slips[name].sentence, name)

    def test(self, function: Function | None = None, *, points: float | None = None) -> Any:
        """Make a pytest function a check of this question.

        Args:
            points: what the check is worth; checks without share the rest equally.
        """

        def register(test: Function) -> Function:
            label = (inspect.getdoc(test) or "").split("\n\n")[0].replace("\n", " ")
            if not label:
                raise GraderError(f"{test.__name__} has no docstring for the student to read.")
            check = Check(self, label, points)
            self.checks.append(check)
            return pytest.mark.check(check)(test)

        return register if function is None else register(function)

    def check_points(self) -> list[float]:
        """Return what each check is worth; they sum to the question's points."""
        stated = sum(check.points or 0 for check in self.checks)
        open_checks = sum(check.points is None for check in self.checks)
        rest = self.points - stated
        if rest < -1e-9 or (open_checks == 0) != (abs(rest) < 1e-9):
            raise GraderError(f"{self.name}: its checks' points do not sum to {self.points}.")
        return [rest / open_checks if c.points is None else c.points for c in self.checks]


@dataclass(frozen=True)
class Comparison:
    """The `compare` fixture: asks the submission and the reference the same.

    Where the reference raises, the student's function must raise the same exception.
    """

    question: Question
    submission: Submission | LimitedSubmission
    tolerance: float

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Compare both answers to the arguments.

        Raises:
            Feedback: the answers differ.
            SubmissionError: there is no answer to compare.
        """
        if self.question.answer is None:
            raise GraderError(f"{self.question.name} has no @question.reference to compare with.")
        want = replay(self.question.answer, args, kwargs)
        try:
            got = self.submission.call(self.question.name, *args, **kwargs)
        except StudentError as error:
            if want.error is None or want.error.kinds[0] not in error.kinds:
                raise
            return
        if want.error is not None:
            fail(f"bad arguments must raise {want.error.kinds[0]}, and here nothing was raised")
        found = answers.difference(got, want.value, self.tolerance)
        if found:
            fail(found)

    def within(self, *, cpu_seconds: float | None = None, tolerance: float | None = None) -> Comparison:
        """Return the same comparison under a limit of processor time or with another tolerance."""
        submission = self.submission
        if cpu_seconds and isinstance(submission, Submission):
            submission = submission.limited(cpu_seconds)
        return replace(self, submission=submission, tolerance=tolerance or self.tolerance)


@dataclass(frozen=True)
class Replay:
    """What a trusted program, a reference or a slip, makes of a call."""

    value: Any = None
    error: StudentError | None = None


def replay(program: Function, args: tuple, kwargs: dict[str, Any]) -> Replay:
    """Run a trusted program on its own copy of the arguments.

    A class is asked alike, so what came of it is remembered and must not be changed.
    """
    content = _content((args, kwargs))
    return _replays.find((program, content), args, kwargs) if content else _run(program, args, kwargs)


MAX_REPLAY, MAX_REPLAYS = 40 * 2**20, 96 * 2**20
"""Bytes of the largest answer that is remembered, and of all of them together."""


@dataclass
class _Replays:
    """What trusted programs answered lately, all for one problem: a class is graded problem by problem.

    Attributes:
        answers: and the bytes of each, by the program and a hash of what it was asked.
        size: bytes of all of them.
    """

    problem: str = ""
    answers: OrderedDict[tuple[Function, bytes], tuple[Replay, int]] = field(default_factory=OrderedDict)
    size: int = 0

    def begin(self, problem: str) -> None:
        """Forget everything where it was for another problem."""
        if problem != self.problem:
            self.problem, self.size = problem, 0
            self.answers.clear()

    def find(self, key: tuple[Function, bytes], args: tuple, kwargs: dict[str, Any]) -> Replay:
        """Return an answer, and remember it."""
        if key in self.answers:
            self.answers.move_to_end(key)
            return self.answers[key][0]
        found = _run(key[0], args, kwargs)
        of_this = _bytes_of(found.value)
        if of_this <= MAX_REPLAY:
            self.answers[key] = found, of_this
            self.size += of_this
        while self.size > MAX_REPLAYS:
            self.size -= self.answers.popitem(last=False)[1][1]
        return found


_replays = _Replays()


def _run(program: Function, args: tuple, kwargs: dict[str, Any]) -> Replay:
    try:
        return Replay(program(*copy.deepcopy(args), **copy.deepcopy(kwargs)))
    except Exception as error:  # a slip may fail in any way that a student's program does
        kinds = tuple(kind.__name__ for kind in type(error).__mro__)
        return Replay(error=StudentError(str(error), kinds))


class _Contents(pickle.Pickler):
    """Writes down what arguments hold; a model is its config and weights."""

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Model):
            return None
        if not isinstance(value.home, HeldNetwork):
            raise pickle.PicklingError("a model that may change")
        network = value.home.network
        return network.config, [weight.tobytes() for weight in network.weights]


def _content(arguments: Any) -> bytes:
    """Return a hash of arguments; nothing where they hold what may change."""
    written = io.BytesIO()
    try:
        _Contents(written).dump(arguments)
    except Exception:  # what pickle raises depends on what it meets
        return b""
    return hashlib.sha256(written.getbuffer()).digest()


def _bytes_of(value: Any) -> int:
    """Return about how much memory an answer takes."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return 64 + sum(map(_bytes_of, parts))


def question(
    name: str, points: float, tolerance: float = answers.TOLERANCE, *, trained: bool = False
) -> Question:
    """Begin a question: `name` is the student's function, `points` what it is worth.

    Args:
        trained: it is graded by what a network has learned, so that chance has a say.
    """
    return Question(name, float(points), tolerance, trained)


def once(request: pytest.FixtureRequest, name: Hashable, make: Callable[[], Any]) -> Any:
    """Return what `make` made, or raise what it raised, the first time in this grading.

    Args:
        request: pytest's, of any fixture.
        name: what tells it from all else that is made once.

    Raises:
        SubmissionError: making it asked the submission, in vain.
        Feedback: making it found fault.
    """
    made = request.session.stash.setdefault(_MADE, {})
    if name not in made:
        try:
            made[name] = make()
        except (SubmissionError, Feedback) as error:
            made[name] = error
    if isinstance(made[name], Exception):
        raise made[name]
    return made[name]


_MADE = pytest.StashKey[dict[Hashable, Any]]()


@functools.cache
def load(problem: str) -> dict[str, Question]:
    """Import the grader of `problem` and return its questions by name, in order.

    Raises:
        GraderError: it does not import, or its points or checks do not add up.
    """
    path = catalog.Problem(problem).grader
    spec = importlib.util.spec_from_file_location(f"autograder_graders_{problem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise GraderError(f"There is no grader {path}. 'convgrade new {problem}' makes one.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that inspect finds the source of its functions
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise GraderError(
            f"The grader of {problem} does not import: {type(error).__name__}: {error}. "
            f"'pytest {path.parent}' shows where."
        ) from error
    questions: dict[str, Question] = {}
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "check":
                questions.setdefault(mark.args[0].question.name, mark.args[0].question)
    for found in questions.values():
        found.check_points()
    return questions


def needs(problem: str) -> Needs:
    """Return what grading `problem` takes."""
    load(problem)
    return getattr(sys.modules[f"autograder_graders_{problem}"], "NEEDS", Needs())


def provided(problem: str, name: str) -> Callable[..., Any]:
    """Return the function `name` as the notebook's own locked cell ``provided="<name>"`` defines it.

    The notebook is read when it is first called, which those who only ask for limits never do.
    """

    @functools.cache
    def defined() -> Callable[..., Any]:
        from autograder.notebook import read_percent

        for cell in read_percent(catalog.Problem(problem).source):
            if cell.provided == name:
                namespace: dict[str, Any] = {}
                exec(compile(cell.source, f"<{problem}: {name}>", "exec"), namespace)
                return namespace[name]
        raise GraderError(f'{problem} has no cell provided="{name}".')

    return lambda *args, **kwargs: defined()(*args, **kwargs)


class Plugin:
    """The pytest plugin: gives tests their `submission` and gathers what came of every check.

    Without a submission of its own it gives each test file the reference solution of its problem, so
    that a grader runs under plain ``pytest``.
    """

    def __init__(self, submission: Submission | None = None) -> None:
        self.broken: list[str] = []
        self._references: dict[Path, LocalSubmission] = {}
        self.begin(submission)

    def begin(self, submission: Submission | None, secret: bytes = b"") -> None:
        """Forget what came of the last submission, and give the next one to the tests."""
        self.given = submission
        self.secret = secret
        self.attempts: dict[Check, list[Attempt]] = {}
        self.ended: dict[str, SubmissionError] = {}
        self.fault: ConvGradeError | None = None

    @pytest.fixture
    def submission(self, request: pytest.FixtureRequest) -> Submission:
        """One student's executed notebook."""
        return self.given or self._reference(request.path)

    @pytest.fixture
    def compare(self, request: pytest.FixtureRequest, submission: Submission) -> Comparison:
        """Asks the submission what the question's reference is asked, and compares."""
        question = _check_of(request.node).question
        return Comparison(question, submission, question.tolerance)

    @pytest.fixture
    def lab(self, submission: Submission) -> Lab | LocalLab:
        """Runs the grader's own functions where Keras is: ``lab(function, *args)``."""
        return submission.lab

    @pytest.fixture
    def rng(self, request: pytest.FixtureRequest) -> np.random.Generator:
        """Draws for one test case: the same for a whole class, and known to nobody beforehand."""
        return generator(self.secret, f"{request.path.stem}::{request.node.name}")

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """A folder for one test case, gone with it: pytest would keep its own as long as the session."""
        with tempfile.TemporaryDirectory(prefix="convgrade-") as folder:
            yield Path(folder)

    def _reference(self, path: Path) -> LocalSubmission:
        from autograder.notebook import reference_namespace

        if path not in self._references:
            source = catalog.Problem(path.stem.removeprefix("test_")).source
            self._references[path] = LocalSubmission(student="ada", namespace=reference_namespace(source))
        return self._references[path]

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "check(check): one check of a question of a problem")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run one test case of a submission.

        pytest's own way writes three reports on each, which nobody reads here and which takes longer than
        most calls of a student's function.
        """
        mark = item.get_closest_marker("check")
        if not mark or self.given is None:
            return None  # plain pytest reports as it always does
        check, asked_before = mark.args[0], len(self.given.calls)
        error = self.ended.get(check.question.name) or _run_case(item, nextitem)
        if isinstance(error, ConvGradeError):
            self.fault = error
        if isinstance(error, NotAttempted | StudentTimeout | StudentCrash):
            # The rest of the question is not asked: each try would cost its time again.
            self.ended[check.question.name] = error
        calls = tuple(self.given.calls[asked_before:])
        self.attempts.setdefault(check, []).append(Attempt(item.name, error, calls))
        item.session.testsfailed += error is not None
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport | None:
        if self.given is None or call.when == "collect":
            return None  # plain pytest reports as it always does
        # Without pytest's own account of a failure, which takes it longer than the rest of grading.
        outcome: Literal["failed", "passed"] = "failed" if call.excinfo else "passed"
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)


def _run_case(item: Any, nextitem: pytest.Item | None) -> BaseException | None:
    """Set a test case up, call it and tear it down, as `_pytest.runner` does; return what was raised."""
    state, let_through = item.session._setupstate, (KeyboardInterrupt, pytest.exit.Exception)
    item._initrequest()

    def call() -> None:
        state.setup(item)
        item.runtest()

    called = pytest.CallInfo.from_call(call, "call", let_through)
    item.ihook.pytest_runtest_makereport(item=item, call=called)  # some fixtures look at it before they go
    torn_down = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), "teardown", let_through)
    item._request, item.funcargs = False, None  # until it runs for another submission
    met = called.excinfo or torn_down.excinfo
    return met.value if met else None


def _check_of(item: pytest.Item) -> Check:
    mark = item.get_closest_marker("check")
    if mark is None:
        raise GraderError(f"{item.name} is a test of no question: decorate it with @question.test.")
    return mark.args[0]


@dataclass(frozen=True)
class Attempt:
    """One parametrised case of a check: what it met, and the calls it made."""

    name: str
    error: BaseException | None
    calls: tuple[Call, ...]

    def account(self) -> str:
        """Tell the instructor what was asked, answered and met; hidden arguments are in it."""
        lines = [self.name]
        for call in self.calls:
            arguments = [reprlib.repr(a) for a in call.args]
            arguments += [f"{name}={reprlib.repr(a)}" for name, a in call.kwargs.items()]
            answer = call.error if call.error is not None else reprlib.repr(call.value)
            lines.append(f"    {call.name}({', '.join(arguments)}) -> {answer}")
        if isinstance(self.error, SubmissionError | AssertionError):
            lines.append(f"    {type(self.error).__name__}: {self.error}")
        elif self.error is not None:
            lines += traceback.format_exception(self.error)
        return "\n".join(lines)


def generator(secret: bytes, purpose: str) -> np.random.Generator:
    """Return a random generator that only those who know `secret` can predict."""
    digest = hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


@dataclass(frozen=True)
class Grading:
    """What a grader made of one submission.

    Attributes:
        detail: what was asked and answered where a check failed, with hidden arguments in it, for the
            instructor only.
    """

    questions: list[QuestionResult]
    detail: str


def grade(
    problem: str, submission: Submission, secret: bytes, only: Collection[str] | None = None
) -> Grading:
    """Run the hidden grader of `problem` on a submission.

    Args:
        secret: the course's, from which hidden inputs are drawn.
        only: the questions to grade; all of them by default.

    Raises:
        GraderError: the grader is broken; nothing can be said about any submission.
        SandboxError: the sandbox was lost, by no fault of the student's.
    """
    session, plugin = _collect(problem)
    _replays.begin(problem)
    cases = [item for item in session.items if only is None or _check_of(item).question.name in only]
    questions = list(dict.fromkeys(_check_of(item).question for item in cases))
    plugin.begin(submission, secret)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for item, nextitem in zip(cases, [*cases[1:], None], strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        if plugin.fault:
            raise plugin.fault
        failures = [a for attempts in plugin.attempts.values() for a in attempts if a.error is not None]
        detail = "\n".join(attempt.account() for attempt in failures)
        return Grading([_question_result(question, plugin.attempts) for question in questions], detail)
    except (KeyboardInterrupt, pytest.exit.Exception) as error:
        _collect.cache_clear()  # what the case had set up is still there
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _broken(problem, f"it ended all tests: {error}") from error
    finally:
        plugin.begin(None)
        session.stash[_MADE] = {}


@functools.cache
def _collect(problem: str) -> tuple[pytest.Session, Plugin]:
    """Collect a grader's test cases, once for all submissions: it takes longer than most of them run.

    Returns:
        A session of pytest's that stays open, and the plugin that gives its cases their submission.

    Raises:
        GraderError: pytest can't.
    """
    path = catalog.Problem(problem).grader
    plugin = Plugin()
    disabled = [part for name in _UNUSED_PLUGINS for part in ("-p", f"no:{name}")]
    arguments = [str(path), *disabled, "-c", os.devnull, "--rootdir", str(path.parent), "--noconftest",
                 "--import-mode=importlib", "--capture=no"]  # fmt: skip
    with contextlib.ExitStack() as stack:
        try:
            with _without_foreign_plugins():
                config = _prepareconfig(arguments, [plugin])
            stack.callback(config._ensure_unconfigure)
            config._do_configure()
            session = pytest.Session.from_config(config)
            config.hook.pytest_sessionstart(session=session)
            config.hook.pytest_collection(session=session)
        except pytest.UsageError as error:
            plugin.broken.append(str(error))
        if plugin.broken or not session.items:
            why = "".join(plugin.broken).strip().splitlines() or ["it has no tests"]
            raise _broken(problem, why[-1])
        stack.pop_all()
    return session, plugin


def _broken(problem: str, why: str) -> GraderError:
    where = catalog.Problem(problem).grader.parent
    return GraderError(f"The grader of {problem} is broken: {why}. 'pytest {where}' shows where.")


_UNUSED_PLUGINS = ("terminal", "cacheprovider", "faulthandler", "logging", "unraisableexception",
                   "threadexception", "junitxml", "doctest", "debugging", "warnings")  # fmt: skip


@contextlib.contextmanager
def _without_foreign_plugins() -> Iterator[None]:
    """Keep pytest from loading what else is installed, and from options meant for other runs."""
    kept = {name: os.environ.pop(name, None) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _question_result(question: Question, attempts: dict[Check, list[Attempt]]) -> QuestionResult:
    checks, failed, errors = [], [], []
    for number, (check, worth) in enumerate(zip(question.checks, question.check_points(), strict=True)):
        error = next((a.error for a in attempts.get(check, []) if a.error is not None), None)
        outcome = _check_outcome(error) if check in attempts else "could_not_check"
        points = worth if outcome == "passed" else 0.0
        checks.append(CheckResult(check.label, outcome, points, worth))
        if outcome != "passed":
            failed.append(number)
            errors.append(error)
    calls = [[call for a in attempts.get(check, []) for call in a.calls] for check in question.checks]
    told = [error.slip for error in errors if isinstance(error, Feedback) and error.slip]
    slips = list(dict.fromkeys(told)) or feedback.recognise(question, calls, failed)
    sentences = [question.slips[name].sentence for name in slips]
    if not slips:
        failures = [(checks[number].label, error) for number, error in zip(failed, errors, strict=True)]
        sentences = list(dict.fromkeys(_sentence(label, error) for label, error in failures))
    return QuestionResult(
        question.name, _question_outcome(checks), round(sum(c.points for c in checks), 6), question.points,
        sentences, slips, checks,
    )  # fmt: skip


def _check_outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return "passed"
    if isinstance(error, SubmissionError):
        return error.outcome
    return "failed" if _is_failed_check(error) else "could_not_check"


def _is_failed_check(error: BaseException | None) -> bool:
    """Say whether a grader found fault: `pytest.raises` and `pytest.fail` raise no AssertionError."""
    return isinstance(error, AssertionError) or type(error) is pytest.fail.Exception


def _question_outcome(checks: list[CheckResult]) -> Outcome:
    outcomes = {check.outcome for check in checks}
    if outcomes == {"passed"}:
        return "passed"
    if "could_not_check" in outcomes:
        return "could_not_check"
    if "passed" in outcomes:
        return "partial"
    for outcome in ("crashed", "timeout", "error", "failed"):
        if outcome in outcomes:
            return outcome
    return "not_attempted"


def _sentence(label: str, error: BaseException | None) -> str:
    """Say what failed in words that hold no hidden argument."""
    if isinstance(error, SubmissionError):
        return str(error)
    if isinstance(error, Feedback):
        return f"Not yet: {label} ({error})."
    if _is_failed_check(error):
        return f"Not yet: {label}."
    return f"Could not be checked: {label}. This is not your fault; the instructor has the details."


def grade_cell(problem: str, name: str, namespace: dict[str, Any]) -> None:
    """Show the score of one question as the cell's result, for nbgrader without the engine.

    The students' code and the hidden grader share this process: use it only for students you trust.
    """
    owner, secret = _owner_and_secret(Path.cwd(), problem)
    # What answers print would decide the score before it stands there, and show hidden arguments.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        done = grade(problem, LocalSubmission(student=owner, namespace=namespace), secret, [name])
    result = done.questions[0]
    if result.outcome == "could_not_check":
        raise GraderError(f"{name} could not be checked:\n{done.detail}")
    sys.displayhook(result.points)
    for sentence in result.feedback:
        print(sentence)


def _owner_and_secret(folder: Path, problem: str) -> tuple[str, bytes]:
    """Read from where nbgrader runs a notebook, ``autograded/<student>/<problem>``, whose it is."""
    course = next((p for p in folder.parents if (p / "nbgrader_config.py").is_file()), None)
    if course is None or folder.name != problem:
        return "", b""
    return folder.parent.name, catalog.Course(course).secret()
