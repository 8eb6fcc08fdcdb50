"""Progress on stderr: one live view in a terminal, a few plain lines elsewhere."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

from jobs.job import Failure
from jobs.runner.measure import Measures

PLAIN_SECONDS = 10.0
"""Time between two plain lines of a run: a log stays short however long the work, and however many
its stages."""

IDLE_SECONDS = 60.0
"""Time after which a plain line is said though nothing ended since."""

RATE_SECONDS = 30.0
"""Units that ended within this time make the rate."""

KEPT = 4
"""Stages that one plain line tells of at most."""


class Advance(Protocol):
    """What is told of a stage as its units end."""

    def __call__(
        self, key: str, failure: Failure | None, measures: Measures | None = None, /
    ) -> None:
        """A unit was done, or failed."""

    def again(self, measures: Measures | None = None, /) -> None:
        """A unit is going to be tried again."""

    def look(self, workers: int, /) -> None:
        """Time went by; so many workers are there."""


@dataclass(slots=True)
class Figures:
    """Where a stage is, in numbers; an :class:`Advance` by itself."""

    name: str
    total: int
    begun: float = field(default_factory=lambda: time.monotonic())
    count: int = 0
    failed: int = 0
    tries: int = 0
    """Tries after the first, of all units."""
    workers: int | None = None
    moved: int = 0
    """Bytes read and written."""
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    changed: "Callable[[Figures], None]" = field(default=lambda _figures: None)
    """Called after each change: shows it."""

    def __call__(
        self, _key: str, failure: Failure | None, measures: Measures | None = None
    ) -> None:
        """A unit was done, or failed."""
        self.count += 1
        self.failed += failure is not None
        self._take(measures)
        self.changed(self)

    def again(self, measures: Measures | None = None) -> None:
        """A unit is going to be tried again."""
        self.tries += 1
        self._take(measures)
        self.changed(self)

    def look(self, workers: int) -> None:
        """So many workers are there."""
        self.workers = workers
        self.changed(self)

    def rate(self) -> float:
        """Bytes a second, of late; over all where the stage has ended."""
        now = time.monotonic()
        while self.recent and now - self.recent[0][0] > RATE_SECONDS:
            self.recent.popleft()
        if self.count >= self.total:
            return self.moved / max(now - self.begun, 1e-3)
        span = min(RATE_SECONDS, now - self.begun)
        return sum(size for _when, size in self.recent) / max(span, 1e-3)

    def left(self) -> float | None:
        """Seconds to the end at the pace so far; None where nothing tells."""
        if not 0 < self.count < self.total:
            return None
        return (time.monotonic() - self.begun) / self.count * (self.total - self.count)

    def line(self) -> str:
        """``cube 31UES: 12/48 in 10.1 s, 120 MB/s, 30 s left, 2 workers, 1 failed``."""
        seconds = time.monotonic() - self.begun
        return f"{self.name}: {self.count}/{self.total} in {seconds:.1f} s{self.about()}"

    def about(self) -> str:
        """The figures beside the count, those that there are."""
        left, rate = self.left(), self.rate() / 1e6
        parts = [
            f"{rate:.0f} MB/s" if rate >= 1 else f"{rate:.2f} MB/s" if rate > 0.005 else "",
            "" if left is None else f"{duration(left)} left",
            "" if self.workers is None else f"{self.workers} worker{'s'[self.workers == 1 :]}",
            f"{self.tries} tried again" if self.tries else "",
            # Why is told once, at the end, and in the ledger.
            f"{self.failed} failed" if self.failed else "",
        ]
        return "".join(f", {part}" for part in parts if part)

    def _take(self, measures: Measures | None) -> None:
        if measures is not None:
            size = measures.read + measures.written
            self.moved += size
            self.recent.append((time.monotonic(), size))


class Progress:
    """What a user sees while units are worked on: the stages of a run as one view.

    A stage that ended leaves a line. No more than one is said every ten seconds, beside those of the
    ends of stages that took longer; what ended meanwhile waits for the next, or for :meth:`close`.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._ended: list[str] = []
        self._said = float("-inf")
        self._state: tuple[object, ...] = ()

    def say(self, text: str) -> None:
        """One line."""
        if not self._quiet:
            self.console.print(text, markup=False)

    @contextlib.contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """Follow the units of a stage; what is given is called as each ends."""
        figures = Figures(name, total)
        if self._quiet or total == 0:
            yield figures
            return
        if self.console.is_terminal:
            with self._live(figures):
                yield figures
        else:
            figures.changed = self._tell
            yield figures
        self._end(figures)

    def close(self) -> None:
        """Say what waited for its time."""
        if self._ended:
            self._flush()

    @contextlib.contextmanager
    def _live(self, figures: Figures) -> Iterator[None]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[about]}", markup=False),
        )
        # Gone at the end, however it comes: the terminal is as it was, its cursor shown.
        with Bars(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(figures.name, total=figures.total, about="")

            def show(now: Figures) -> None:
                bars.update(task, completed=now.count, about=now.about().removeprefix(", "))

            figures.changed = show
            yield

    def _tell(self, figures: Figures) -> None:
        """Say how a stage is, if its time has come and something has changed."""
        state = (figures.name, figures.count, figures.tries, figures.failed, figures.workers)
        silent = time.monotonic() - max(self._said, figures.begun)
        wanted = PLAIN_SECONDS if state != self._state else IDLE_SECONDS
        if figures.count < figures.total and silent >= wanted:
            self._state = state
            self._ended.append(figures.line())
            self._flush()

    def _end(self, figures: Figures) -> None:
        # Of very many short stages the last few tell enough.
        self._ended = [*self._ended, figures.line()][-KEPT:]
        now = time.monotonic()
        if now - self._said >= PLAIN_SECONDS or now - figures.begun >= PLAIN_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self._said = time.monotonic()
        lines, self._ended = self._ended, []
        self.say("; ".join(lines))


def duration(seconds: float) -> str:
    """``30 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
