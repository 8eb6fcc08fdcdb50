"""``clearcube schedule``: the command, its refusals, and the signals that end it."""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog.products import open_product, product_item
from catalog.testing import make_item
from jobs.job import Outcome
from jobs.schedule import Clock
from jobs.schedule_file import read_schedule
from jobs.schedule_history import Row, Status, open_history
from jobs.simulate.season import SeasonFiles
from jobs.workspace import open_workspace


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def rows_of(runs: Path) -> list[Row]:
    with open_history(runs / "schedule.db") as history:
        return history.rows()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the time of the command."""
    return lambda *parts: monkeypatch.setattr(Clock, "now", lambda _clock: utc(*parts))


@pytest.fixture
def source(season: SeasonFiles, tmp_path: Path) -> Path:
    """The season as a file of STAC items."""
    items = [product_item(open_product(path)) for path in season.products]
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


@pytest.mark.cluster
@pytest.mark.usefixtures("scheduler")
def test_a_month_is_ingested_and_made_once_and_a_missed_run_caught_up_once(
    clearcube: Any, tmp_path: Path, source: Path, at: Callable[..., None]
) -> None:
    workspace, file = tmp_path / "workspace", tmp_path / "schedule.toml"
    file.write_text(
        """
timezone = "Europe/Paris"

[[job]]
name = "monthly"
cron = "0 6 3 * *"
steps = [
  { ingest = ["found.json"], tile = "31TCJ", datetime = "{last-month}" },
  { run = "synthesis", tile = "31TCJ", datetime = "2020-05", method = "median", mask = "scl" },
]
"""
    )
    at(2020, 6, 9, 12)  # the 3rd was missed
    listed = clearcube(workspace, "schedule", file, "--list")
    assert listed.out == (
        "monthly  0 6 3 * *  last never  due since 2020-06-03T06:00+02:00  "
        "next 2020-07-03T06:00+02:00\n"
    )
    assert not workspace.exists()
    first = clearcube(workspace, "schedule", file, "--once")
    assert (first.status, first.out.split("  ")[:3]) == (
        *(0,),
        ["monthly", "2020-06-03T06:00+02:00", "done"],
    ), first.err
    with open_workspace(workspace) as opened:
        (item,) = opened.search(collections=["synthesis-median"])
    assert item.id == "31TCJ_2020-05_median_scl"
    again = clearcube(workspace, "schedule", file, "--once")
    assert (again.status, again.out) == (0, "nothing is due\n")

    at(2020, 10, 20, 12)  # four moments were missed; no scene is of the month before the last
    late = json.loads(clearcube(workspace, "schedule", file, "--once", "--json").out)
    (run,) = late["runs"]
    assert (run["moment"], run["status"]) == ("2020-10-03T06:00+02:00", "done")
    assert run["figures"] == {"made": 0, "prepared": 0, "current": 1, "failed": 0}
    assert clearcube(workspace, "schedule", file, "--once").out == "nothing is due\n"
    history = clearcube(workspace, "schedule", file, "--history").out.splitlines()
    assert [line.split("  ")[1:3] for line in history] == [
        ["2020-10-03T06:00+02:00", "done"],
        ["2020-06-03T06:00+02:00", "done"],
    ]
    told = json.loads(clearcube(workspace, "schedule", file, "--history", "--json").out)
    assert [row["tries"] for row in told["runs"]] == [1, 1]


def test_the_workspace_is_that_of_the_option_then_the_environment_then_the_file(
    clearcube: Any, tmp_path: Path, at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(2026, 7, 9, 12)
    file = tmp_path / "schedule.toml"
    item = make_item("S2A_x")
    item["assets"] = {}
    (tmp_path / "one.json").write_text(json.dumps(item))
    file.write_text(
        'workspace = "of-file"\n[[job]]\nname = "a"\ncron = "0 1 * * *"\ningest = ["one.json"]\n'
    )
    from jobs.commands.console import State
    from jobs.commands.schedule import _open

    schedule = read_schedule(file, utc(2026, 7, 9))
    monkeypatch.delenv("CLEARCUBE_WORKSPACE", raising=False)

    def opened(option: Path | None) -> str:
        return _open(State(option, False), schedule, create=False).settings.workspace.name

    assert opened(None) == "of-file"
    monkeypatch.setenv("CLEARCUBE_WORKSPACE", str(tmp_path / "of-environment"))
    assert opened(None) == "of-environment"
    assert opened(tmp_path / "of-option") == "of-option"


def test_failures_and_their_status(clearcube: Any, tmp_path: Path, at: Callable[..., None]) -> None:
    at(2026, 7, 9, 12)
    file = tmp_path / "schedule.toml"
    file.write_text('[[job]]\nname = "a"\ncron = "0 1 * * *"\ningest = ["none.json"]\n')
    for status in ("retry", "retry, try 2", "failed, try 3"):
        said = clearcube(tmp_path / "w", "schedule", file, "--once")
        assert said.status == 1
        assert said.out.startswith(f"a  2026-07-09T01:00+00:00  {status}  1 failed: ")
        assert "none.json" in said.out
        assert said.err == "a of 2026-07-09T01:00+00:00 begins\n"
    assert clearcube(tmp_path / "w", "schedule", file, "--once").out == "nothing is due\n"
    assert clearcube(tmp_path / "w", "schedule", file, "--list").out == (
        "a  0 1 * * *  last 2026-07-09T01:00+00:00 failed  next 2026-07-10T01:00+00:00\n"
    )


def test_a_source_without_news_is_no_failure(
    clearcube: Any, tmp_path: Path, source: Path, at: Callable[..., None]
) -> None:
    at(2026, 7, 9, 12)
    file = tmp_path / "schedule.toml"
    file.write_text(
        f'[[job]]\nname = "a"\ncron = "0 1 * * *"\ningest = ["{source}"]\ndatetime = "{{today}}"\n'
    )
    said = clearcube(tmp_path / "w", "schedule", file, "--once")
    assert (said.status, said.out) == (0, "a  2026-07-09T01:00+00:00  done\n")


def test_wrong_use_is_refused_in_one_line(
    clearcube: Any, tmp_path: Path, at: Callable[..., None]
) -> None:
    at(2026, 7, 9, 12)
    file, workspace = tmp_path / "schedule.toml", tmp_path / "w"
    file.write_text('[[job]]\nname = "a"\ncron = "0 1 * *"\nrun = "stale"\n')
    clearcube(workspace, "schedule", file, "--once").refused("job 'a': cron: '0 1 * *' has 4")
    clearcube(workspace, "schedule", tmp_path / "none.toml").refused("none.toml: No such file")
    clearcube(workspace, "schedule", file, "--once", "--list").refused("one of --once, --list")
    clearcube(workspace, "schedule", file, "--json").refused("--json goes with --once")
    assert not workspace.exists()


def test_a_second_process_says_that_another_is_at_work(
    clearcube: Any, tmp_path: Path, at: Callable[..., None]
) -> None:
    at(2026, 7, 9, 12)
    file, runs = tmp_path / "schedule.toml", tmp_path / "w" / "runs"
    runs.mkdir(parents=True)
    file.write_text('[[job]]\nname = "a"\ncron = "0 1 * * *"\nrun = "stale"\n')
    with (runs / "schedule.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = clearcube(tmp_path / "w", "schedule", file, "--once")
        assert (said.status, said.out) == (0, "")
        assert said.err == "another schedule is at work in this workspace; nothing done\n"
        told = json.loads(clearcube(tmp_path / "w", "schedule", file, "--once", "--json").out)
        assert told == {"runs": [], "busy": True, "stopped": False}


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handlers of signals as they were before the test."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    assert {each: signal.getsignal(each) for each in before} == before


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_one_that_stays(
    clearcube: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from jobs.workspace import Workspace

    def ingest(_workspace: Workspace, *_sources: str) -> Outcome:
        os.kill(os.getpid(), number)
        return Outcome(made=["x"])

    monkeypatch.setattr(Workspace, "ingest", ingest)
    file = tmp_path / "schedule.toml"
    step = '{ ingest = ["x.json"] }'
    file.write_text(f'[[job]]\nname = "a"\ncron = "0 1 * * *"\nsteps = [{step}, {step}]\n')
    said = clearcube(tmp_path / "w", "schedule", file)
    assert said.status == 0
    assert "  stopped  1 made" in said.out
    assert [row.status for row in rows_of(tmp_path / "w" / "runs")] == [Status.STOPPED]


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_ends_at_once(
    clearcube: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.workspace import Workspace

    def ingest(_workspace: Workspace, *_sources: str) -> Outcome:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the second was not heard")

    monkeypatch.setattr(Workspace, "ingest", ingest)
    file = tmp_path / "schedule.toml"
    file.write_text('[[job]]\nname = "a"\ncron = "0 1 * * *"\ningest = ["x.json"]\n')
    assert clearcube(tmp_path / "w", "schedule", file, "--once").status == 130
    assert [row.status for row in rows_of(tmp_path / "w" / "runs")] == [Status.BEGUN]
