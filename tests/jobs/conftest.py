"""What tests of jobs share: worker processes, the command line, a few products."""

import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from catalog.search import Query
from jobs.cli import main
from jobs.simulate.season import SMALL_SEASON, SeasonFiles, write_season
from jobs.testing import write_scene
from jobs.workspace import Workspace, open_workspace

JOBS = ("jobs.cloud_mask", "jobs.mtcd_masks", "jobs.runner.submit", "jobs.synthesis")
"""What workers import for nearly all that they do."""


@pytest.fixture(scope="session")
def cluster_address() -> Iterator[str]:
    """Address of two dask worker processes, started once.

    They are forked from a process that has imported everything, as are those that take the place
    of one that a test has killed: importing takes longer than most of what they do.
    """
    import dask
    from distributed import LocalCluster
    from distributed.utils import get_mp_context

    from jobs.runner.cluster import LOCAL

    forked = {"distributed.worker.multiprocessing-method": "forkserver"}
    with dask.config.set(forked):
        get_mp_context().set_forkserver_preload(["distributed", *JOBS])
    silent = {"distributed.worker": "critical", "distributed.nanny": "critical"}
    with (
        dask.config.set({**LOCAL, **forked, "logging": silent}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def scheduler(cluster_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commands of this test use the session's workers instead of starting their own."""
    monkeypatch.setenv("CLEARCUBE_SCHEDULER", cluster_address)
    return cluster_address


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    def refused(self, *words: str, status: int = 2) -> str:
        """The one line that says why a command came to nothing, checked to hold some words."""
        lines = [line for line in self.err.splitlines() if not PROGRESS.match(line)]
        assert self.status == status, self.err
        assert len(lines) == 1, self.err
        assert lines[0].startswith("clearcube: " if status == 2 else "failed: "), self.err
        for word in words:
            assert word in lines[0], f"{word!r} is not in {lines[0]!r}"
        return lines[0]


PROGRESS = re.compile(r"dask dashboard: |note: |warning: |\d+ dates and masks |[\w ]+: \d+/\d+ in ")
"""Lines on stderr that are no failure."""

Command = Callable[..., Said]


@pytest.fixture
def clearcube(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line within this process: ``clearcube(workspace, "search", ...)``."""

    def call(workspace: Path | str, *arguments: object) -> Said:
        words = ["clearcube", "--workspace", str(workspace), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return Said(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def state_of() -> Callable[[Path], dict[str, Any]]:
    """All that a workspace holds for its users: items of the catalogue, committed cubes."""

    def state(path: Path) -> dict[str, Any]:
        if not (path / "catalog.db").is_file():
            return {}
        with open_workspace(path) as workspace:
            found = {f"{i['collection']}/{i['id']}": i for i in workspace.documents(Query())}
        roots = path.glob("cubes/*/zarr.json")
        return {**found, **{str(root): root.read_bytes() for root in roots}}

    return state


@dataclass(frozen=True)
class Kept:
    """A folder and a copy of it, put back at the same place, as hrefs in it are absolute."""

    path: Path
    before: Path

    def restored(self) -> Path:
        """The folder as it was when it was kept."""
        shutil.rmtree(self.path)
        shutil.copytree(self.before, self.path)
        return self.path


@pytest.fixture(scope="session")
def keep() -> Callable[[Path], Kept]:
    """Keep a folder as it is now, for tests that change it one after the other."""

    def keep(path: Path) -> Kept:
        return Kept(path, shutil.copytree(path, path.with_name(f"{path.name}-kept")))

    return keep


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> SeasonFiles:
    """Products of four dates, the last as a zip and from MUSCATE too; never written to."""
    folder = tmp_path_factory.mktemp("season")
    return write_season(folder, replace(SMALL_SEASON, zipped_dates=(3,)))


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory, cluster_address: str) -> Iterator[Workspace]:
    """Four dates of 64 x 64 pixels with known values, their masks, two months by two methods.

    Of 4 and 14 May and 8 and 18 June; the dates of the 14th and 18th have cloud in the 32 southern
    rows at 10 m, shadow in the last 8 of them. Red is 500, 600, 700, 800, near infrared 3500, blue
    and green 400 (dn).
    """
    folder = tmp_path_factory.mktemp("shown")
    days = (
        ("20190504", 500, 0),
        ("20190514", 600, 32),
        ("20190608", 700, 0),
        ("20190618", 800, 32),
    )
    bands = ("blue", "green", "red", "nir")
    for day, red, cloudy in days:
        name, when = f"S2_31UES_{day}", f"{day[:4]}-{day[4:6]}-{day[6:]}T10:56:00Z"
        write_scene(folder, name, 400, when=when, bands=bands, cloudy_rows=cloudy)
        for band, dn in (("red", red), ("nir", 3500)):
            with rasterio.open(folder / f"{name}_{band}.tif", "r+") as raster:
                raster.write(np.full((64, 64), dn, "uint16"), 1)
        if cloudy:
            with rasterio.open(folder / f"{name}_scl.tif", "r+") as raster:
                raster.write(np.full((4, 32), 3, "uint8"), 1, window=((28, 32), (0, 32)))
    with open_workspace(folder / "workspace", scheduler=cluster_address) as workspace:
        assert not workspace.ingest(*sorted(folder.glob("*.json"))).failures
        for method in ("wasp", "median"):
            made = workspace.run(
                "synthesis", tile="31UES", datetime="2019-05/2019-06", method=method
            )
            assert not made.failures
        yield workspace
