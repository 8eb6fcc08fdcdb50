"""Schedules at work: what is due is run once, whatever happens in between."""

import fcntl
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.errors import RequestError, WorkspaceError
from jobs.job import Failure, Outcome
from jobs.schedule import Clock, Pass, keep, past, run_due, standings
from jobs.schedule_file import Schedule, read_schedule
from jobs.schedule_history import Row, Status, open_history


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@dataclass(slots=True)
class Hands(Clock):
    """A clock that is moved by hand, or by waiting for it."""

    time: datetime = datetime(2026, 7, 9, 12, tzinfo=UTC)
    waits: list[timedelta] = field(default_factory=list)
    waited: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.time

    def wait(self, length: timedelta) -> None:
        assert length > timedelta(0)
        self.waits.append(length)
        self.time += length
        self.waited()


class Rooms:
    """A workspace that notes what it is asked, and answers as it is told."""

    def __init__(self, path: Path) -> None:
        self.runs = path / "runs"
        self.runs.mkdir(parents=True)
        self.settings = SimpleNamespace(workspace=path)
        self.calls: list[tuple[Any, ...]] = []
        self.answer: Callable[[tuple[Any, ...]], Outcome] = lambda _call: Outcome(made=["x"])
        self.closed = 0

    def ingest(self, *sources: str, **conditions: Any) -> Outcome:
        return self._called("ingest", *sources, conditions)

    def run(self, job: str, **request: Any) -> Outcome:
        return self._called(job, request)

    def run_stale(self, **request: Any) -> Outcome:
        return self._called("stale", request)

    def close(self) -> None:
        self.closed += 1

    def _called(self, *call: Any) -> Outcome:
        self.calls.append(call)
        return self.answer(call)

    def taken(self) -> list[tuple[Any, ...]]:
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return Rooms(tmp_path / "workspace")


@pytest.fixture
def clock() -> Hands:
    return Hands()


MONTHLY = 'cron = "0 6 3 * *"\nrun = "synthesis"\ntile = "31TCJ"\ndatetime = "{last-month}"'


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Schedule]:
    def write(*jobs: str, zone: str = "UTC") -> Schedule:
        path = tmp_path / "schedule.toml"
        named = [
            f'[[job]]\nname = "{name}"\n{job}' for name, job in zip("abcd", jobs, strict=False)
        ]
        path.write_text("\n".join([f'timezone = "{zone}"', *named]))
        return read_schedule(path, utc(2026, 7, 1))

    return write


def months(calls: list[tuple[Any, ...]]) -> list[str]:
    return [call[-1]["datetime"] for call in calls]


def statuses(rooms: Rooms) -> list[tuple[str, str]]:
    """Status of each moment, the first first."""
    return [
        (f"{row.moment:%m-%d}", str(row.status))
        for row in reversed(past(rooms))  # type: ignore[arg-type]
    ]


def once(rooms: Any, schedule: Schedule, clock: Clock, **more: Any) -> Pass:
    return run_due(rooms, schedule, clock, **more)


# --- what is due ----------------------------------------------------------------------------------


def test_a_new_job_is_due_for_its_last_moment_and_then_not_again(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(MONTHLY)
    found = once(rooms, schedule, clock)
    # On the 9th the run of the 3rd makes the month before that 3rd.
    assert rooms.taken() == [("synthesis", {"datetime": "2026-06", "tile": "31TCJ"})]
    assert (found.status, [row.status for row in found.rows]) == (0, [Status.DONE])
    assert found.rows[0].figures == {"made": 1, "prepared": 0, "current": 0, "failed": 0}
    assert once(rooms, schedule, clock) == Pass()
    clock.time = utc(2026, 8, 3, 5, 59)
    assert once(rooms, schedule, clock).rows == []
    clock.time = utc(2026, 8, 3, 6)
    assert len(once(rooms, schedule, clock).rows) == 1
    assert months(rooms.taken()) == ["2026-07"]


@pytest.mark.parametrize(
    ("catch_up", "made"),
    [("one", ["2026-10"]), ("all", ["2026-07", "2026-08", "2026-09", "2026-10"]), ("none", [])],
)
def test_several_missed_moments(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule], catch_up: str, made: list[str]
) -> None:
    schedule = written(f'{MONTHLY}\ncatch-up = "{catch_up}"')
    clock.time = utc(2026, 7, 3, 6, 10)
    once(rooms, schedule, clock)
    assert months(rooms.taken()) == ["2026-06"]
    clock.time = utc(2026, 11, 20)
    assert once(rooms, schedule, clock).status == 0
    assert months(rooms.taken()) == made
    assert once(rooms, schedule, clock).rows == []
    if catch_up == "none":
        assert statuses(rooms)[-1] == ("11-03", "missed")
    clock.time = utc(2026, 12, 3, 6, 59)
    once(rooms, schedule, clock)
    assert months(rooms.taken()) == ["2026-11"]


def test_moments_are_run_in_order_of_time_then_of_the_file(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    late, early, same = (
        f'cron = "0 {hour} * * *"\ningest = ["{source}"]\ncatch-up = "all"'
        for hour, source in ((9, "/late"), (3, "/early"), (9, "/same"))
    )
    schedule = written(late, early, same)
    once(rooms, schedule, clock)
    clock.time += timedelta(days=2)
    rooms.taken()
    once(rooms, schedule, clock)
    assert [call[1] for call in rooms.taken()] == ["/early", "/late", "/same"] * 2


def test_dates_are_those_of_the_zone(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    ingest = 'cron = "30 0 * * *"\ningest = ["/x"]\ndatetime = "{yesterday}"'
    clock.time = utc(2026, 7, 31, 22, 40)  # the first of August in Paris
    once(rooms, written(ingest, zone="Europe/Paris"), clock)
    assert months(rooms.taken()) == ["2026-07-31"]


def test_a_night_with_a_repeated_hour_has_one_run(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written('cron = "30 2 * * *"\ningest = ["/x"]', zone="Europe/Paris")
    clock.time = utc(2026, 10, 24, 12)
    runs = []
    for _ in range(4 * 48):
        clock.time += timedelta(minutes=15)
        runs += [row.moment for row in once(rooms, schedule, clock).rows]
    assert runs == [utc(2026, 10, 24, 0, 30), utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


def test_a_changed_job_keeps_its_history(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    once(rooms, written(MONTHLY), clock)
    rooms.taken()
    assert once(rooms, written(MONTHLY.replace("6 3", "6 2")), clock).rows == []
    changed = written(MONTHLY.replace("0 6 3", "0 6 5"))
    assert [row.moment for row in once(rooms, changed, clock).rows] == [utc(2026, 7, 5, 6)]


# --- what fails -----------------------------------------------------------------------------------


def failing(*causes: str, made: tuple[str, ...] = ()) -> Callable[[tuple[Any, ...]], Outcome]:
    return lambda _call: Outcome(made=list(made), failures=[Failure("unit", c) for c in causes])


def test_what_fails_is_tried_again_and_then_given_up(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(f"{MONTHLY}\nattempts = 2")
    rooms.answer = failing("no disk", made=("x",))
    found = once(rooms, schedule, clock)
    assert (found.status, found.rows[0].status, found.rows[0].tries) == (1, Status.RETRY, 1)
    assert found.rows[0].causes == "unit: no disk"
    found = once(rooms, schedule, clock)
    assert (found.status, found.rows[0].status, found.rows[0].tries) == (1, Status.FAILED, 2)
    assert once(rooms, schedule, clock) == Pass()
    clock.time = utc(2026, 8, 4)
    rooms.answer = lambda _call: Outcome(current=["x"])
    assert once(rooms, schedule, clock).rows[0].status == Status.DONE


def test_a_second_try_may_do(rooms: Rooms, clock: Hands, written: Callable[..., Schedule]) -> None:
    schedule = written(MONTHLY)
    rooms.answer = failing("no network")
    once(rooms, schedule, clock)
    rooms.answer = lambda _call: Outcome(made=["x"])
    (row,) = once(rooms, schedule, clock).rows
    assert (row.status, row.tries, row.failures, row.causes) == (Status.DONE, 2, 1, "")


def test_errors_are_failures_of_their_run_alone(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    def answer(call: tuple[Any, ...]) -> Outcome:
        if call[0] == "synthesis":
            raise RequestError("no scene of tile 31TCJ")
        return Outcome(made=["x"])

    rooms.answer = answer
    found = once(rooms, written(MONTHLY, 'cron = "0 7 3 * *"\nrun = "stale"'), clock)
    assert [str(row.status) for row in found.rows] == ["retry", "done"]
    assert found.rows[0].causes == "no scene of tile 31TCJ"
    assert found.status == 1


def test_steps_after_one_of_which_nothing_came_are_left(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    text = 'cron = "0 2 * * *"\nsteps = [{ ingest = ["/x"] }, { run = "stale", tile = "31TCJ" }]'
    rooms.answer = failing("no network")
    once(rooms, written(text), clock)
    assert rooms.taken() == [("ingest", "/x", {})]
    # Part of it came: what follows is for that part.
    rooms.answer = failing("a broken file", made=("y",))
    once(rooms, written(text), clock)
    assert rooms.taken() == [("ingest", "/x", {}), ("stale", {"tile": "31TCJ"})]


def test_a_tile_that_fails_does_not_keep_others_from_being_made(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    rooms.answer = lambda call: (
        failing("broken")(call) if call[-1]["tile"] == "31TCJ" else Outcome(made=["x"])
    )
    schedule = written(MONTHLY.replace('"31TCJ"', '["31TCJ", "31UES"]'))
    (row,) = once(rooms, schedule, clock).rows
    assert [call[-1]["tile"] for call in rooms.taken()] == ["31TCJ", "31UES"]
    assert (row.status, row.figures["made"], row.figures["failed"]) == (Status.RETRY, 1, 1)


def test_a_newer_moment_stands_for_one_that_failed(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(MONTHLY)
    rooms.answer = failing("no network")
    once(rooms, schedule, clock)
    clock.time = utc(2026, 8, 4)
    once(rooms, schedule, clock)
    assert months(rooms.taken()) == ["2026-06", "2026-07"]
    assert statuses(rooms) == [("07-03", "missed"), ("08-03", "retry")]


def test_each_moment_is_tried_again_where_all_are_caught_up(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(f'{MONTHLY}\ncatch-up = "all"')
    rooms.answer = failing("no network")
    once(rooms, schedule, clock)
    clock.time = utc(2026, 8, 4)
    rooms.answer = lambda _call: Outcome(made=["x"])
    once(rooms, schedule, clock)
    assert months(rooms.taken()) == ["2026-06", "2026-06", "2026-07"]
    assert statuses(rooms) == [("07-03", "done"), ("08-03", "done")]


# --- what is ended --------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from jobs.job import Outcome
from jobs.schedule import Clock, run_due
from jobs.schedule_file import read_schedule

class Fixed(Clock):
    def now(self):
        return datetime(2026, 8, 9, 12, tzinfo=UTC)

class Rooms(SimpleNamespace):
    def ingest(self, source, **conditions):
        log.write(source + "\\n")
        log.flush()
        if source == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(made=[source])

folder, deadly = Path(sys.argv[1]), sys.argv[2]
log = (folder / "log").open("a")
now = Fixed().now()
run_due(Rooms(runs=folder / "runs"), read_schedule(folder / "schedule.toml", now), Fixed())
"""


def test_a_killed_run_is_run_again_and_a_finished_one_is_not(
    tmp_path: Path, written: Callable[..., Schedule]
) -> None:
    written(*(f'cron = "0 {n} * * *"\ningest = ["/{n}"]' for n in (1, 2, 3)))
    (tmp_path / "runs").mkdir()

    def call(deadly: str) -> tuple[int, list[str]]:
        (tmp_path / "log").write_text("")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), deadly], capture_output=True, check=False
        )
        return done.returncode, (tmp_path / "log").read_text().split()

    assert call("/2") == (-signal.SIGKILL, ["/1", "/2"])
    assert call("/3") == (-signal.SIGKILL, ["/2", "/3"])
    assert call("") == (0, ["/3"])
    rows = rows_of(tmp_path / "runs")
    # Being killed is no failure.
    assert [(row.moment.hour, str(row.status), row.tries, row.failures) for row in rows] == [
        *((3, "done", 2, 0), (2, "done", 2, 0), (1, "done", 1, 0))
    ]


def rows_of(runs: Path) -> list[Row]:
    with open_history(runs / "schedule.db") as history:
        return history.rows()


def test_one_told_to_stop_ends_after_the_part_at_work(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(MONTHLY.replace('"31TCJ"', '["31TCJ", "31UES"]'), MONTHLY)

    def answer(_call: tuple[Any, ...]) -> Outcome:
        clock.stopping = True
        return Outcome(made=["x"])

    rooms.answer = answer
    found = once(rooms, schedule, clock)
    assert (found.status, found.is_stopped) == (1, True)
    assert [row.status for row in found.rows] == [Status.STOPPED]
    assert [call[-1]["tile"] for call in rooms.taken()] == ["31TCJ"]
    clock.stopping, rooms.answer = False, lambda _call: Outcome(current=["x"])
    assert once(rooms, schedule, clock).status == 0
    assert [call[-1]["tile"] for call in rooms.taken()] == ["31TCJ", "31UES", "31TCJ"]


def test_two_do_not_work_at_a_time(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(MONTHLY)
    inner: list[Pass] = []

    def answer(_call: tuple[Any, ...]) -> Outcome:
        inner.append(once(rooms, schedule, clock))
        return Outcome(made=["x"])

    rooms.answer = answer
    assert len(once(rooms, schedule, clock).rows) == 1
    assert inner == [Pass(is_busy=True)]
    assert inner[0].status == 0
    assert len(rooms.taken()) == 1


def test_a_history_that_is_none_is_named(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    (rooms.runs / "schedule.db").write_text("this is no database, and long enough to be seen so")
    with pytest.raises(WorkspaceError, match=r"cannot use .*schedule\.db: file is not a database"):
        once(rooms, written(MONTHLY), clock)


# --- one that stays -------------------------------------------------------------------------------


def test_one_that_stays_catches_up_and_waits_for_each_moment(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written('cron = "*/20 * * * *"\ningest = ["/x"]\ndatetime = "{today}"')
    clock.time = utc(2026, 7, 9, 11, 58)

    def waited() -> None:
        clock.stopping = clock.time >= utc(2026, 7, 9, 12, 41)

    clock.waited = waited
    ended = []
    keep(rooms, schedule, clock, ended=ended.append)  # type: ignore[arg-type]
    assert [(row.moment.minute, row.begun.minute) for row in ended] == [
        *((40, 58), (0, 0), (20, 20), (40, 40))
    ]
    assert max(clock.waits) == timedelta(minutes=5)
    assert clock.waits[0] == timedelta(minutes=2)
    assert rooms.closed == len(clock.waits)


def test_one_that_stays_is_patient_with_what_failed_and_what_is_at_work(
    rooms: Rooms, clock: Hands, written: Callable[..., Schedule]
) -> None:
    schedule = written(MONTHLY)
    begun = clock.time
    rooms.answer = failing("no network")
    said: list[str] = []
    with (rooms.runs / "schedule.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def waited() -> None:
            if clock.time - begun >= timedelta(minutes=3):
                fcntl.flock(other, fcntl.LOCK_UN)
            clock.stopping = clock.time - begun > timedelta(hours=2)

        clock.waited = waited
        ended = []
        keep(rooms, schedule, clock, say=said.append, ended=ended.append)  # type: ignore[arg-type]
    tried = [(row.begun - begun) // timedelta(minutes=1) for row in ended]
    assert tried == [3, 18, 33]
    assert [str(row.status) for row in ended] == ["retry", "retry", "failed"]
    assert said[0] == "another schedule is at work in this workspace; waiting"


def test_the_clock_tells_the_time_and_does_not_wait_once_told_to_stop() -> None:
    clock = Clock(stopping=True)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=10)
    clock.wait(timedelta(days=1))


# --- what is shown --------------------------------------------------------------------------------


def test_where_jobs_stand(rooms: Rooms, clock: Hands, written: Callable[..., Schedule]) -> None:
    schedule = written(MONTHLY, 'cron = "0 2 * * *"\nrun = "stale"')

    def stand() -> list[tuple[Any, ...]]:
        found = standings(schedule, past(rooms), clock.time)  # type: ignore[arg-type]
        return [(s.last and str(s.last.status), s.due, s.next) for s in found]

    monthly, nightly = utc(2026, 8, 3, 6), utc(2026, 7, 10, 2)
    assert stand() == [(None, utc(2026, 7, 3, 6), monthly), (None, utc(2026, 7, 9, 2), nightly)]
    assert not (rooms.runs / "schedule.db").exists()
    rooms.answer = lambda call: failing("x")(call) if call[0] == "stale" else Outcome(made=["x"])
    once(rooms, schedule, clock)
    assert stand() == [("done", None, monthly), ("retry", utc(2026, 7, 9, 2), nightly)]
    clock.time = utc(2026, 7, 10, 3)
    assert stand()[1] == ("retry", utc(2026, 7, 10, 2), utc(2026, 7, 11, 2))
