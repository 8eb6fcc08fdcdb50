"""A schedule at work: what is due is run, once for each moment, whatever ends the process."""

import contextlib
import fcntl
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import WorkspaceError
from jobs.job import Outcome
from jobs.schedule_file import Schedule, ScheduledJob
from jobs.schedule_history import FILE, History, Row, Status, open_history

if TYPE_CHECKING:
    from jobs.workspace import Workspace

LOCK = "schedule.lock"
"""Held, within ``runs/``, while what is due is run; not while a schedule waits."""

GRACE = timedelta(hours=1)
"""How late a job that does not catch up may begin: timers call every few minutes, and other jobs
may be at work."""

PATIENCE = timedelta(minutes=15)
"""Wait of a schedule that stays before it tries what failed again."""

LOOK = timedelta(minutes=5)
"""Longest wait of a schedule that stays: clocks are set, machines sleep."""

BUSY = timedelta(minutes=1)
"""Wait of a schedule that stays while another is at work."""

UNUSABLE = 2
"""Status of an outcome of which nothing came: the steps after it are left."""

Say = Callable[[str], None]
Ended = Callable[[Row], None]


@dataclass(slots=True)
class Clock:
    """Time, waiting, and being told to stop."""

    stopping: bool = False

    def now(self) -> datetime:
        """This moment, in UTC."""
        return datetime.now(UTC)

    def wait(self, length: timedelta) -> None:
        """Return after some time, or soon after ``stopping`` is set."""
        # A signal's handler sets a mere flag: an event that it set might be held by its waiter.
        end = time.monotonic() + length.total_seconds()
        while not self.stopping and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))


@dataclass(frozen=True, slots=True)
class Due:
    """A moment of a job that is yet to be run."""

    job: ScheduledJob
    moment: datetime
    """UTC."""


@dataclass(slots=True)
class Pass:
    """What came of running what is due."""

    rows: list[Row] = field(default_factory=list)
    """In the order in which they ran."""
    is_busy: bool = False
    """Another process is at work on a schedule in this workspace; nothing was done here."""
    is_stopped: bool = False
    """Told to stop before all was run."""

    @property
    def status(self) -> int:
        """Exit status: 0 all that was due is done, 1 it is not."""
        return int(self.is_stopped or any(row.status is not Status.DONE for row in self.rows))


def run_due(
    workspace: "Workspace",
    schedule: Schedule,
    clock: Clock | None = None,
    *,
    patience: timedelta = timedelta(0),
    say: Say = lambda _text: None,
    ended: Ended = lambda _row: None,
) -> Pass:
    """Run what is due now, by moment, then in the order of the file; ``ended`` is told of each.

    Where another process is at work nothing is done: it was started to do the same, and what it
    leaves is due when this is called again. What failed is tried again once ``patience`` is over.
    """
    clock = clock or Clock()
    found = Pass()
    with _turn(workspace) as is_free:
        if not is_free:
            found.is_busy = True
            return found
        with open_history(workspace.runs / FILE) as history:
            now = clock.now()
            dues = [one for job in schedule.jobs for one in due(job, history, now, patience)]
            for one in sorted(dues, key=lambda each: each.moment):
                if clock.stopping:
                    found.is_stopped = True
                    break
                row = _run(workspace, one, history, clock, say)
                ended(row)
                found.rows.append(row)
                found.is_stopped = found.is_stopped or row.status is Status.STOPPED
    return found


def keep(
    workspace: "Workspace",
    schedule: Schedule,
    clock: Clock,
    *,
    say: Say = lambda _text: None,
    ended: Ended = lambda _row: None,
) -> None:
    """Run what is due whenever it is, until the clock is told to stop."""
    while not clock.stopping:
        found = run_due(workspace, schedule, clock, patience=PATIENCE, say=say, ended=ended)
        # Held open only for work: a catalogue on a server is not kept waiting with it.
        workspace.close()
        if found.is_busy:
            say("another schedule is at work in this workspace; waiting")
        now = clock.now()
        ahead = min(job.cron.next(now) for job in schedule.jobs) - now
        if not clock.stopping:
            clock.wait(BUSY if found.is_busy else min(ahead, LOOK))


def due(
    job: ScheduledJob, history: History, now: datetime, patience: timedelta = timedelta(0)
) -> list[Due]:
    """Moments of a job that are to be run now, oldest first; what is missed is written down.

    A job that was never seen is due for its last moment before now: who sets up a schedule on the
    10th means the month that should have been made on the 3rd too.
    """
    rows = history.rows(job.name)
    begun = [row for row in reversed(rows) if row.status.is_open]
    fresh = _fresh(job, rows[0].moment if rows else None, now)
    if job.catch_up == "none":
        fresh = _in_time(job, fresh, history, now)
    if job.catch_up != "all":
        begun = _latest(job, begun, fresh, history)
    begun = [row for row in begun if _is_ready(row, now, patience)]
    return [Due(job, moment) for moment in (*(row.moment for row in begun), *fresh)]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job of a schedule stands."""

    job: ScheduledJob
    last: Row | None
    """Its latest moment that was begun or missed."""
    due: datetime | None
    """Its latest moment until now, where that is yet to be run."""
    next: datetime


def standings(schedule: Schedule, rows: Collection[Row], now: datetime) -> list[Standing]:
    """Where the jobs of a schedule stand, in the order of the file; writes nothing."""
    found = []
    for job in schedule.jobs:
        own = [row for row in rows if row.job == job.name]
        last = max(own, key=lambda row: row.moment, default=None)
        moment = job.cron.last(now)
        if last is not None and (moment is None or moment <= last.moment):
            moment = last.moment if last.status.is_open else None
        found.append(Standing(job, last, moment, job.cron.next(now)))
    return found


def past(workspace: "Workspace") -> list[Row]:
    """Rows of the history of a workspace, latest moment first; none where there is none."""
    path = Path(workspace.settings.workspace) / "runs" / FILE
    if not path.is_file():
        return []
    with open_history(path) as history:
        return history.rows()


# --- what is due ----------------------------------------------------------------------------------


def _fresh(job: ScheduledJob, after: datetime | None, now: datetime) -> list[datetime]:
    """Moments until now that no row is about."""
    last = job.cron.last(now)
    if last is None or (after is not None and last <= after):
        return []
    if after is None or job.catch_up != "all":
        return [last]
    moments = []
    while (after := job.cron.next(after)) <= last:
        moments.append(after)
    return moments


def _in_time(
    job: ScheduledJob, fresh: list[datetime], history: History, now: datetime
) -> list[datetime]:
    """Moments that are not long ago; the others are missed."""
    late = [moment for moment in fresh if now - moment > GRACE]
    for moment in late:
        history.miss(job.name, moment, f"not begun within {GRACE.seconds // 60} minutes")
    return [moment for moment in fresh if moment not in late]


def _latest(
    job: ScheduledJob, begun: list[Row], fresh: list[datetime], history: History
) -> list[Row]:
    """The last of what is open, and only where nothing later is to be run in its place."""
    kept = [] if fresh else begun[-1:]
    for row in begun:
        if row not in kept:
            history.miss(job.name, row.moment, f"{row.status}, then a later moment came")
    return kept


def _is_ready(row: Row, now: datetime, patience: timedelta) -> bool:
    return row.status is not Status.RETRY or row.ended is None or now - row.ended >= patience


# --- running --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _turn(workspace: "Workspace") -> Iterator[bool]:
    """Whether this process alone works on a schedule in the workspace, for as long as it does."""
    lock = workspace.runs / LOCK
    try:
        stream = lock.open("w")
    except OSError as error:
        raise WorkspaceError(f"cannot write {lock}: {error.strerror or error}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _run(workspace: "Workspace", due: Due, history: History, clock: Clock, say: Say) -> Row:
    job = due.job
    row = history.begin(job.name, due.moment, clock.now())
    local = due.moment.astimezone(job.cron.zone)
    say(f"{job.name} of {local.isoformat(timespec='minutes')} begins")
    outcome, is_whole = _steps(workspace, due, clock)
    if not is_whole:
        status = Status.STOPPED
    elif not outcome.failures:
        status = Status.DONE
    else:
        status = Status.RETRY if row.failures + 1 < job.attempts else Status.FAILED
    return history.end(job.name, due.moment, status, clock.now(), _figures(outcome), outcome.causes)


def _steps(workspace: "Workspace", due: Due, clock: Clock) -> tuple[Outcome, bool]:
    """What came of the steps, and whether all were taken as far as they could be."""
    total = Outcome()
    local = due.moment.astimezone(due.job.cron.zone)  # dates are relative to it
    for step in due.job.steps:
        outcome = Outcome()
        for part in step.parts(local):
            if clock.stopping:
                total.add(outcome)
                return total, False
            outcome.add(part.carry_out(workspace))
        total.add(outcome)
        if outcome.status == UNUSABLE:
            break  # what follows was meant to use it
    return total, True


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "made": len(outcome.made),
        "prepared": len(outcome.prepared),
        "current": len(outcome.current),
        "failed": len(outcome.failures),
    }
