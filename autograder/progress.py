"""How far a grading is: a moving picture on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autograder.results import Result
from autograder.workers import News

LINE_SECONDS = 20.0
"""Between two lines where the output is no terminal."""
SHOWN = 4
"""Submissions in work that are named."""


class GradingProgress:
    """Shows what is done, what is left, how long that may take, and which submissions are in work."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._running: dict[tuple[str, str], News] = {}
        self._finished: set[tuple[str, str]] = set()
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> GradingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def hear(self, news: News) -> None:
        """Take note of what a worker does; what has come in already is in work no more."""
        if (news.student, news.problem) not in self._finished:
            self._running[news.student, news.problem] = news
        self._bar.update(self._task, description=self._describe_running())

    def finish(self, result: Result) -> None:
        """Take note of a result."""
        self._finished.add((result.student, result.problem))
        self._running.pop((result.student, result.problem), None)
        self._bar.update(self._task, advance=1, description=self._describe_running())
        done, now = len(self._finished), time.monotonic()
        if not self._console.is_terminal and now - self._last_line > LINE_SECONDS:
            self._last_line = now
            left = (now - self._began) / done * (self._total - done)
            self._console.print(
                f"{done} of {self._total} graded, about {timedelta(seconds=round(left))} left"
            )

    def _describe_running(self) -> str:
        running = list(self._running.values())  # at once: news comes from another thread
        names = [
            f"{news.student} · {news.problem}" + (f" ({news.training} trains)" if news.training else "")
            for news in running[:SHOWN]
        ]
        return ", ".join(names) + (f" and {len(running) - SHOWN} more" if len(running) > SHOWN else "")
