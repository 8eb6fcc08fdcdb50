"""Runs that are killed or meet each other; readers look on all the while."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import killing
import pytest
from distributed import Client
from kill_scenarios import (
    COMPACT,
    MASKS,
    MONTH,
    ROOT,
    STALE,
    Point,
    client,
    commands,
    compaction,
    first,
    goes_on,
    late,
    quiet,
    refusals,
    update,
    watched,
)

__all__ = ["client", "commands", "compaction", "first", "late", "quiet", "update"]

pytestmark = pytest.mark.cluster


# --- a driver is killed ---------------------------------------------------------------------------

REPLACE, RENAME = "pathlib:Path.replace", "pathlib:Path.rename"

FIRST = [
    # A new cube, and its dates.
    Point(RENAME, "before", about=".zarr.new-"),
    Point(RENAME, "after", about=".zarr.new-"),
    Point("cube.store:_move_pixels"),
    Point(REPLACE, "after", 5, about="/c/0'"),
    Point("cube.store:_move_pixels", "after", 2),
    Point("cube.store:_write_coordinate", "before", 7),
    Point(REPLACE, "before", 2, about=ROOT),
    Point(REPLACE, "after", 2, about=ROOT),
    Point(REPLACE, "before", 2, about="r10m/red/zarr.json"),
    Point("jobs.build_cube:publish_cube"),
    # Masks: before, within and after the transaction.
    Point("jobs.decode_masks:publish", "before", 2),
    Point("catalog.backends.sqlite:_upsert", "after", 2),
    Point("jobs.decode_masks:publish", "after"),
    # The ledger.
    Point("jobs.runner.ledger:Ledger.plan", "after"),
    # The month: blocks, files, item, scratch.
    Point("jobs.period_job:_count"),
    Point("jobs.period_job:_keep", "after", 9),
    Point(REPLACE, "before", about="blocks.json"),
    Point("jobs.period_job:publish"),
    Point("catalog.backends.sqlite:_upsert", "after", 4),
    Point("jobs.period_job:publish", "after"),
    Point("os:unlink", "after", about=".layers"),
    Point("jobs.runner.ledger:Ledger.end", "before", 3),
]


@pytest.mark.parametrize("point", FIRST, ids=str)
def test_a_driver_is_killed(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        ended = commands(path, *MONTH, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(first, commands, cluster_address)


UPDATE = [
    Point("jobs.build_cube:retire_dates"),
    Point(REPLACE, "before", 3, about=ROOT),
    Point("jobs.build_cube:publish_cube", "after"),
    Point("jobs.decode_masks:publish", "after"),
    Point("catalog.backends.sqlite:_upsert", "after", 4),
    Point("catalog.backends.sqlite:SqliteCatalog.delete_items"),
]


@pytest.mark.parametrize("point", UPDATE, ids=str)
def test_a_driver_is_killed_while_it_makes_what_is_stale(
    point, update, commands, quiet, cluster_address
) -> None:
    with watched(update) as path:
        ended = commands(path, *STALE, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(update, commands, cluster_address)


COMPACTION = [
    Point("cube.store:commit_date", "after"),
    Point("jobs.build_cube:compact_cube", "after"),
]


@pytest.mark.parametrize("point", COMPACTION, ids=str)
def test_a_driver_is_killed_while_it_compacts(
    point, compaction, commands, quiet, cluster_address
) -> None:
    with watched(compaction) as path:
        ended = commands(path, *COMPACT, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(compaction, commands, cluster_address)


TOGETHER = [
    Point("cube.store:_move_pixels", "after", 2),
    Point(REPLACE, "after", about=ROOT),
    Point("catalog.backends.sqlite:_upsert", "after", 3),
]


@pytest.mark.parametrize("point", TOGETHER, ids=str)
def test_a_driver_is_killed_while_many_masks_change(
    point, late, commands, quiet, cluster_address
) -> None:
    with watched(late) as path:
        ended = commands(path, *MASKS, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(late, commands, cluster_address)


def test_workers_of_a_driver_that_is_killed_end_with_it(
    first, commands, quiet, cluster_address
) -> None:
    point = Point("jobs.decode_masks:publish", "before", 2)
    with watched(first) as path:
        # Its outputs come to their end only when the workers that hold them are gone, too.
        ended = commands(path, *MONTH, kill=point, CLEARCUBE_WORKERS="1")
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(first, commands, cluster_address)


# --- a worker is killed ---------------------------------------------------------------------------

WORKER = [
    Point(RENAME, "before", about=".zarr.stage/."),
    Point("cube.rasters:_require_written", "after", about="_mask"),
    Point(REPLACE, "before", about=".npy"),
    Point(REPLACE, "before", about=".layers"),
    Point("cube.rasters:_require_written", "after", 2, about="_wasp"),
]


@pytest.mark.parametrize("point", WORKER, ids=str)
def test_a_worker_is_killed(point, first, commands, quiet, cluster_address, tmp_path) -> None:
    flag = tmp_path / "killed"
    with watched(first) as path:
        quiet.run(killing.arm, asdict(point), str(flag))
        try:
            ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert flag.exists()
        # Its unit is done by another: the run itself goes on.
        assert ended.status == 0, ended.err
        goes_on(first, commands, cluster_address)


def test_a_worker_is_killed_in_a_series(late, commands, quiet, cluster_address, tmp_path) -> None:
    point, flag = Point("jobs.temporal_masks:detect_block", "after"), tmp_path / "killed"
    with watched(late) as path:
        quiet.run(killing.arm, asdict(point), str(flag))
        try:
            ended = commands(path, *MASKS, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert flag.exists()
        assert ended.status == 0, ended.err
        goes_on(late, commands, cluster_address)


# --- the scheduler is killed ----------------------------------------------------------------------


@pytest.fixture
def own_scheduler(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A scheduler with a worker, not of this session: its address and its process."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    quietly = partial(subprocess.Popen, stderr=subprocess.DEVNULL)
    scheduler = quietly([*dask, "scheduler", *common, "--host", "127.0.0.1", "--port", "0"])
    worker = quietly([*dask, "worker", *common, "--nthreads", "1", "--no-nanny"])
    until = time.monotonic() + 60
    while not (file.exists() and file.stat().st_size) and time.monotonic() < until:
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
    yield address, scheduler.pid
    for process in (worker, scheduler):
        process.kill()
        process.wait()


def test_the_scheduler_is_killed_while_blocks_are_made(
    own_scheduler, first, commands, quiet, cluster_address
) -> None:
    address, pid = own_scheduler
    point = Point("jobs.runner.submit:_Run._submit", "after", about="BlockTask(")
    with watched(first) as path:
        process = commands.start(path, *MONTH, kill=point, victim=pid, CLEARCUBE_SCHEDULER=address)
        ended = commands.wait(process)
        assert ended.status == 2
        assert refusals(ended) == [
            f"clearcube: synthesis stopped: the dask scheduler at {address} was lost; what was "
            "finished is kept, start the scheduler and run the same again to go on"
        ]
        goes_on(first, commands, cluster_address)


# --- two drivers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["first", "update"])
def test_two_drivers_at_once_make_everything_once(
    name, request, commands, quiet, cluster_address
) -> None:
    case = request.getfixturevalue(name)
    with watched(case) as path:
        before = ledger_units(path)
        start = partial(commands.start, path, *case.command, CLEARCUBE_SCHEDULER=cluster_address)
        ended = [commands.wait(process) for process in [start(), start()]]
        assert [one.status for one in ended] == [0, 0], ended
        units = ledger_units(path)[len(before) :]
        assert len(units) == len(set(units)) > 0
        goes_on(case, commands, cluster_address)


def test_a_driver_that_is_killed_lets_the_one_that_waits_go_on(
    first, commands, quiet, cluster_address
) -> None:
    with watched(first) as path:
        start = partial(commands.start, path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        killed = start(kill=Point("jobs.build_cube:publish_cube"))
        until = time.monotonic() + 30
        while not list(path.glob("runs/*-cube.jsonl")) and time.monotonic() < until:
            time.sleep(0.01)
        waiting = start()
        assert commands.wait(killed).status == -signal.SIGKILL
        ended = commands.wait(waiting)
        assert ended.status == 0, ended.err
        assert "waiting for another run of cube-31TCJ" in ended.err
        ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        assert (ended.status, ended.out) == (0, "nothing to make: 1 current\n")
        goes_on(first, commands, cluster_address)


def ledger_units(path: Path) -> list[tuple[str, str]]:
    """Stage and unit of all that the ledgers of a workspace call done."""
    lines = [
        json.loads(line)
        for ledger in sorted(path.glob("runs/*.jsonl"))
        for line in ledger.read_text().splitlines()
    ]
    return [(line["stage"], line["unit"]) for line in lines if line["event"] == "done"]
