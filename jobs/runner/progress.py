"""Progress on stderr: a live bar in a terminal, a few plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from jobs.job import Failure

Advance = Callable[[str, Failure | None], None]

PLAIN_SECONDS = 10.0
"""Time between two plain lines of one stage: a log stays short however long the work."""


class Progress:
    """What a user sees while units are worked on."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """One line."""
        if not self._quiet:
            self.console.print(text, markup=False)

    @contextlib.contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """Follow the units of a stage; the function given is called as each ends."""
        if self._quiet or total == 0:
            yield lambda _key, _failure: None
        elif self.console.is_terminal:
            with self._bar(name, total) as advance:
                yield advance
        else:
            yield self._lines(name, total)

    @contextlib.contextmanager
    def _bar(self, name: str, total: int) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self.console) as bars:
            task = bars.add_task(name, total=total)
            failed = 0

            def advance(_key: str, failure: Failure | None) -> None:
                nonlocal failed
                failed += failure is not None
                bars.update(task, advance=1, description=f"{name}{_failed(failed)}")

            yield advance

    def _lines(self, name: str, total: int) -> Advance:
        begun = said = time.monotonic()
        count = failed = 0

        def advance(_key: str, failure: Failure | None) -> None:
            nonlocal said, count, failed
            count += 1
            failed += failure is not None
            now = time.monotonic()
            if count == total or now - said >= PLAIN_SECONDS:
                said = now
                self.say(f"{name}: {count}/{total} in {now - begun:.1f} s{_failed(failed)}")

        return advance


def _failed(count: int) -> str:
    """How many failed, where any did; why is told once, at the end, and in the ledger."""
    return f", {count} failed" if count else ""
