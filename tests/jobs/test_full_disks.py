"""Disks that are full or cannot be written: whatever a command meets, nothing half-done is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import killing
import pytest
from distributed import Client
from kill_scenarios import (
    MONTH,
    Point,
    client,
    commands,
    first,
    goes_on,
    quiet,
    refusals,
    state,
    watched,
)

__all__ = ["client", "commands", "first", "quiet"]

pytestmark = pytest.mark.cluster

FULL = [
    Point("jobs.build_cube:create_cube"),
    Point("cube.store:_commit_root", "before", 2),
    Point("jobs.period_job:publish"),
]


@pytest.mark.parametrize("point", FULL, ids=str)
def test_the_disk_of_a_driver_is_full(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        ended = commands(path, *MONTH, fill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == 2, ended.err
        assert len(refusals(ended)) == 1, ended.err
        assert "cannot write" in ended.err or "check that its disk" in ended.err, ended.err
        goes_on(first, commands, cluster_address)


FULL_WORKER = [
    Point("cube.store:StagedDate.write", "before", 3),
    Point("jobs.compositing:save", about=".layers"),
    Point("jobs.compositing:write_file"),
]


@pytest.mark.parametrize("point", FULL_WORKER, ids=str)
def test_the_disk_of_workers_is_full(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        quiet.run(killing.clutter, asdict(point))
        try:
            ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert ended.status in (1, 2), ended.err
        assert all("cannot write" in line or "31TCJ_2020-05" in line for line in refusals(ended))
        goes_on(first, commands, cluster_address)


@contextmanager
def read_only(client: Client, folder: Path) -> Iterator[None]:
    """A directory in which nobody may make anything, not even root."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    client.run(killing.obey_on_worker, True)
    try:
        yield
    finally:
        folder.chmod(0o755)
        client.run(killing.obey_on_worker, False)


@pytest.mark.parametrize("name", ["cubes", "scratch", "runs"])
def test_a_store_that_is_read_only(name, first, commands, quiet, cluster_address) -> None:
    path = first.restored()
    before = state(path)
    with read_only(quiet, path / name):
        ended = commands(path, *MONTH, obedient=True, CLEARCUBE_SCHEDULER=cluster_address)
    assert ended.status in (1, 2), ended.err
    assert all(": cannot write " in line for line in refusals(ended)[:1]), ended.err
    assert f"{path / name}" in refusals(ended)[0]
    assert "Permission denied" in refusals(ended)[0]
    after = state(path)
    assert {key: value for key, value in after.items() if key in before} == before
    assert not [key for key in after if "synthesis" in key]
    goes_on(first, commands, cluster_address)
