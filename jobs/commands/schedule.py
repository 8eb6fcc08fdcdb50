"""``clearcube schedule``: ingests and jobs at their times."""

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from jobs.commands.console import State, json_option, one_line, pass_state, say_json
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.schedule import Clock, Pass, Standing
    from jobs.schedule_file import Schedule
    from jobs.schedule_history import Row
    from jobs.workspace import Workspace

SHOWN = 100
"""Rows of the history printed."""


@click.command("schedule")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Run what is due, and exit.")
@click.option("--list", "as_list", is_flag=True, help="Show jobs, their last and next moment.")
@click.option("--history", "as_history", is_flag=True, help="Show what was run, latest first.")
@json_option
@pass_state
def command(
    state: State, /, file: Path, once: bool, as_list: bool, as_history: bool, as_json: bool
) -> int:
    """Run the jobs of a schedule file at their times, and catch up what was missed.

    Stays until it is told to stop (Ctrl-C or SIGTERM), which it does once the ingest or job at work
    has ended; told twice, at once.
    """
    from jobs.schedule import Clock
    from jobs.schedule_file import read_schedule

    if once + as_list + as_history > 1:
        raise RequestError("give one of --once, --list and --history")
    if as_json and not (once or as_list or as_history):
        raise RequestError("--json goes with --once, --list or --history")
    clock = Clock()
    schedule = read_schedule(file, clock.now())
    with _open(state, schedule, create=not (as_list or as_history)) as workspace:
        if as_list:
            return _list(workspace, schedule, clock, as_json)
        if as_history:
            return _history(workspace, schedule.zone, as_json)
        with _told_to_stop(clock):
            return _work(workspace, schedule, clock, once, as_json)


def _open(state: State, schedule: "Schedule", *, create: bool) -> "Workspace":
    """The workspace of the option or the environment, else that of the file."""
    path = state.path
    if path is None and "CLEARCUBE_WORKSPACE" not in os.environ:
        path = schedule.workspace
    return State(path, state.verbose).open(create=create)


def _work(
    workspace: "Workspace", schedule: "Schedule", clock: "Clock", once: bool, as_json: bool
) -> int:
    from jobs.schedule import keep, run_due

    def ended(row: "Row") -> None:
        if not as_json:
            click.echo(_line(row, schedule.zone))

    if not once:
        keep(workspace, schedule, clock, say=_say, ended=ended)
        return 0
    found = run_due(workspace, schedule, clock, say=_say, ended=ended)
    if as_json:
        rows = [_row(row, schedule.zone) for row in found.rows]
        say_json({"runs": rows, "busy": found.is_busy, "stopped": found.is_stopped})
    else:
        _report(found)
    return found.status


def _report(found: "Pass") -> None:
    if found.is_busy:
        click.echo("another schedule is at work in this workspace; nothing done", err=True)
    elif found.is_stopped:
        click.echo("stopped; what was not finished is done when this is run again", err=True)
    elif not found.rows:
        click.echo("nothing is due")


def _list(workspace: "Workspace", schedule: "Schedule", clock: "Clock", as_json: bool) -> int:
    from jobs.schedule import past, standings

    found = standings(schedule, past(workspace), clock.now())
    if as_json:
        say_json({"jobs": [_standing(one, schedule.zone) for one in found]})
        return 0
    for one in found:
        last = "never" if one.last is None else f"{_time(one.last.moment, schedule.zone)} "
        status = "" if one.last is None else str(one.last.status)
        waiting = "" if one.due is None else f"  due since {_time(one.due, schedule.zone)}"
        click.echo(
            f"{one.job.name}  {one.job.cron.text}  last {last}{status}{waiting}  "
            f"next {_time(one.next, schedule.zone)}"
        )
    return 0


def _history(workspace: "Workspace", zone: ZoneInfo, as_json: bool) -> int:
    from jobs.schedule import past

    rows = past(workspace)
    if as_json:
        say_json({"runs": [_row(row, zone) for row in rows]})
        return 0
    for row in rows[:SHOWN]:
        click.echo(_line(row, zone))
    if not rows:
        click.echo("nothing was run by a schedule yet", err=True)
    elif len(rows) > SHOWN:
        click.echo(f"the last {SHOWN} of {len(rows)}; --json shows all", err=True)
    return 0


@contextlib.contextmanager
def _told_to_stop(clock: "Clock") -> Iterator[None]:
    """The first SIGTERM or Ctrl-C ends in order, the second at once."""

    def stop(_number: int, _frame: Any) -> None:
        if clock.stopping:
            raise KeyboardInterrupt
        clock.stopping = True

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    click.echo(one_line(text), err=True)


def _line(row: "Row", zone: ZoneInfo) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in row.figures.items() if count)
    tries = f", try {row.tries}" if row.tries > 1 else ""
    causes = f": {one_line(row.causes)}" if row.causes else ""
    shown = f"  {counts}" if counts else ""
    return f"{row.job}  {_time(row.moment, zone)}  {row.status}{tries}{shown}{causes}"


def _row(row: "Row", zone: ZoneInfo) -> dict[str, Any]:
    return {
        "job": row.job,
        "moment": _time(row.moment, zone),
        "status": str(row.status),
        "begun": None if row.begun is None else _time(row.begun, zone, "seconds"),
        "ended": None if row.ended is None else _time(row.ended, zone, "seconds"),
        "tries": row.tries,
        "failures": row.failures,
        "figures": dict(row.figures),
        "causes": row.causes,
    }


def _standing(one: "Standing", zone: ZoneInfo) -> dict[str, Any]:
    return {
        "job": one.job.name,
        "cron": one.job.cron.text,
        "last": None if one.last is None else _row(one.last, zone),
        "due": None if one.due is None else _time(one.due, zone),
        "next": _time(one.next, zone),
    }


def _time(moment: datetime, zone: ZoneInfo, spec: str = "minutes") -> str:
    return moment.astimezone(zone).isoformat(timespec=spec)
