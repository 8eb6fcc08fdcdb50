"""Masks found along time as a job: what it makes, what it makes again, what it refuses."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from distributed import LocalCluster

from catalog.search import Query
from cube.classes import CLEAR, CLOUD
from cube.detectors.tsmask import BAND_NAMES
from cube.grid import Extent
from cube.place import Place
from cube.spec import Spec
from cube.store import open_store
from jobs import cloud_mask, temporal_masks
from jobs.cloud_mask import PIXELS
from jobs.errors import RequestError
from jobs.explain import explain
from jobs.job import State
from jobs.mask_dates import dates_at_once
from jobs.memory import WORKER_BYTES, SeriesLoad, series_side
from jobs.testing import write_scene
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

MASK = {"tile": "31UES", "method": "tsmask"}
DAYS = [date(2019, 3, 3) + timedelta(days=5 * i) for i in range(14)]
"""March to May; of tsmask the first six and the last six are provisional."""

CLOUDY = 6
"""The date with a cloud over its last rows."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A scene a date: ground of reflectance 0.08, which differs a little from date to date."""
    folder = tmp_path_factory.mktemp("scenes")
    return [
        write_scene(
            folder,
            f"s{index:02d}",
            800 + 3 * index,
            when=f"{day}T10:56:00Z",
            bands=BAND_NAMES,
            bright_rows=20 if index == CLOUDY else 0,
        )
        for index, day in enumerate(DAYS)
    ]


@pytest.fixture
def workspace(tmp_path: Path, cluster_address: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        yield workspace


def items(workspace: Workspace, collection: str) -> dict[str, Any]:
    query = Query(collections=(collection,), limit=1000)
    return {item["id"]: item for item in workspace.documents(query)}


def named(index: int, method: str = "tsmask") -> str:
    return f"31UES_{DAYS[index]:%Y%m%d}T105600_{method}"


def content(workspace: Workspace) -> dict[str, Any]:
    """All that two workspaces can be compared by: recipes, files, pixels of the stores."""
    found: dict[str, Any] = {}
    for name, item in items(workspace, "cloud-mask-tsmask").items():
        own = {k: v for k, v in item["properties"].items() if k not in ("created", "updated")}
        found[name] = own, {k: a.get("file:checksum") for k, a in item["assets"].items()}
    for store in workspace.cubes.glob("*.zarr"):
        dates = open_store(store).valid_dates
        found[store.name] = [(d.time, d.key, d.checksums) for d in dates]
    return found


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, cluster_address: str, scenes: list[Path]
) -> Iterator[Workspace]:
    """A workspace with all masks; not to be changed."""
    path = tmp_path_factory.mktemp("made") / "w"
    with open_workspace(path, scheduler=cluster_address) as workspace:
        workspace.ingest(*scenes)
        outcome = workspace.run("cloud-mask", **MASK)
        assert outcome.failures == []
        assert outcome.made == [named(index) for index in range(14)]
        yield workspace


# --- what is made ---------------------------------------------------------------------------------


def test_every_date_has_a_mask_in_the_store_and_as_a_file(made: Workspace) -> None:
    found = items(made, "cloud-mask-tsmask")
    assert sorted(found) == [named(index) for index in range(14)]
    item = found[named(CLOUDY)]
    with rasterio.open(item["assets"]["mask"]["href"]) as raster:
        plane = raster.read(1)
        assert raster.res == (20, 20)
        assert raster.nodata == 0
    assert plane.shape == (32, 32)
    assert np.array_equal(plane, np.repeat([CLEAR] * 22 + [CLOUD] * 10, 32).reshape(32, 32))
    properties = item["properties"]
    assert properties["eo:cloud_cover"] == properties["clearcube:classes"]["cloud"] == 31.25
    assert properties["clearcube:clear_percentage"] == 68.75
    assert properties["clearcube:dates"] == 14
    assert sorted(properties["clearcube:inputs"]) == [f"s{index:02d}" for index in range(14)]
    assert properties["clearcube:parameters"]["window"] == 12
    assert sorted(item["assets"]) == ["mask", "thumbnail"]
    store = items(made, "cubes")["31UES_tsmask"]
    assert store["properties"]["clearcube:masks"] == "tsmask"
    held = xr.open_zarr(store["assets"]["r20m"]["href"], group="r20m", decode_coords="all")
    assert held.mask.shape == (14, 32, 32)
    assert np.array_equal(held.mask.isel(time=CLOUDY), plane)


def test_dates_at_the_ends_are_provisional(made: Workspace) -> None:
    found = items(made, "cloud-mask-tsmask")
    said = [found[named(index)]["properties"]["clearcube:status"] for index in range(14)]
    assert said == ["provisional"] * 6 + ["final"] * 2 + ["provisional"] * 6
    targets = {target.item_id: target for target in made.status()}
    assert targets[named(0)].because == ("too few dates before it to be sure",)
    assert targets[named(13)].because == ("too few dates after it to be sure",)
    assert targets[named(7)].state is targets["31UES_tsmask"].state is State.CURRENT


def test_a_second_run_and_a_look_change_nothing(made: Workspace) -> None:
    before = {p: p.stat().st_mtime_ns for p in made.products.rglob("*") if p.is_file()}
    outcome = made.run("cloud-mask", **MASK)
    assert (outcome.made, len(outcome.current)) == ([], 14)
    assert made.run_stale().made == []
    assert {p: p.stat().st_mtime_ns for p in made.products.rglob("*") if p.is_file()} == before
    assert [found for found in made.verify() if found.level == "error"] == []
    assert not list(made.scratch.rglob("*.npy"))
    forecast = made.plan("cloud-mask", **MASK, options={"filter": "none"})
    assert [(s.count, s.unit.partition(",")[0]) for s in forecast.stages] == [
        (1, "block of 32 x 32 pixels at 20 m"),
        (14, "date"),
    ]


@pytest.fixture
def one_worker() -> Iterator[str]:
    """Address of a scheduler with one worker, within this process."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_block_sizes_and_workers_change_nothing(
    made: Workspace,
    scenes: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_worker: str,
) -> None:
    """Nine blocks by one worker are one block by one of two; dates are finished by two or three."""
    monkeypatch.setattr(temporal_masks, "series_side", lambda *_about: 12)
    monkeypatch.setattr(cloud_mask, "dates_at_once", lambda *_about: 3)
    with open_workspace(tmp_path / "w", scheduler=one_worker) as other:
        other.ingest(*scenes)
        forecast = other.plan("cloud-mask", **MASK)
        assert [stage.count for stage in forecast.stages if "tsmask" in stage.name] == [9, 5]
        other.run("cloud-mask", **MASK)
        assert content(other) == content(made)


def test_a_request_for_some_dates_compares_them_with_all(
    made: Workspace, workspace: Workspace, scenes: list[Path]
) -> None:
    workspace.ingest(*reversed(scenes))
    outcome = workspace.run("cloud-mask", **MASK, datetime="2019-04-02")
    assert outcome.made == [named(CLOUDY)]
    assert len(outcome.prepared) == 14
    assert content(workspace)[named(CLOUDY)] == content(made)[named(CLOUDY)]
    workspace.run("cloud-mask", **MASK)
    assert content(workspace) == content(made)


# --- what comes later -----------------------------------------------------------------------------


def test_a_late_date_ends_as_if_it_had_always_been_there(
    made: Workspace, workspace: Workspace, scenes: list[Path]
) -> None:
    late = scenes[CLOUDY]
    workspace.ingest(*(path for path in scenes if path != late))
    months = {"tile": "31UES", "datetime": "2019-03/2019-05", "method": "median", "mask": "tsmask"}
    workspace.run("synthesis", **months)
    files = {p: p.stat().st_mtime_ns for p in workspace.products.rglob("*_mask.tif")}
    march = "31UES_2019-03_median_tsmask"
    workspace.ingest(late)
    due = {target.item_id: target for target in workspace.status() if target.is_due}
    assert due[named(0)].because == ("s06 is new",)
    assert due[named(CLOUDY)].state is State.MISSING
    assert due["31UES_tsmask"].because == ("14 masks are to be made",)
    outcome = workspace.run_stale()
    assert outcome.failures == []
    # March's dates were looked at again, and found to be as they were: so is what was made of them.
    assert march not in outcome.made
    assert "31UES_2019-04_median_tsmask" in outcome.made
    assert {p: t for p, t in files.items() if p.exists() and p.stat().st_mtime_ns != t} == {}
    assert content(workspace).items() >= content(made).items()
    assert workspace.run_stale().made == []
    assert not [target for target in workspace.status() if target.is_due]
    assert [found for found in workspace.verify() if found.level == "error"] == []


def test_parameters_make_a_variant_that_stands_beside(
    made: Workspace, workspace: Workspace, scenes: list[Path]
) -> None:
    workspace.ingest(*scenes)
    workspace.run("cloud-mask", **MASK, options={"buffer": "40"}, name="wide")
    wide = items(workspace, "cloud-mask-tsmask")
    assert wide[f"{named(CLOUDY)}_wide"]["properties"]["eo:cloud_cover"] == 37.5
    assert "31UES_tsmask-wide" in items(workspace, "cubes")
    outcome = workspace.run(
        "synthesis", tile="31UES", datetime="2019-04", method="median", mask="tsmask:wide"
    )
    assert outcome.made == ["31UES_2019-04_median_tsmask-wide"]
    assert outcome.prepared == []
    item = items(workspace, "synthesis-median")["31UES_2019-04_median_tsmask-wide"]
    assert item["properties"]["clearcube:parameters"]["mask_parameters"]["buffer"] == 40
    with rasterio.open(item["assets"]["clear_count"]["href"]) as raster:
        counts = raster.read(1)[:, 5]
    # The cloud of 20 rows at 10 m, and four more on its rim.
    assert counts.tolist() == [6] * 40 + [5] * 24
    workspace.gc(older_than=timedelta(0))
    assert workspace.run_stale().made == []


def test_the_store_is_written_anew_when_it_holds_more_of_before_than_of_now(
    workspace: Workspace, scenes: list[Path]
) -> None:
    workspace.ingest(*scenes)
    for size in (0, 20, 40, 60):
        workspace.run("cloud-mask", **MASK, options={"buffer": size})
    (store,) = (i for i in items(workspace, "cubes").values() if i["id"] == "31UES_tsmask")
    cube = open_store(store["assets"]["r20m"]["href"])
    # Only the cloudy date differs from size to size.
    assert [len(cube.dates), cube.spec.generation] == [17, 1]
    # Now every pixel is cloud.
    workspace.run("cloud-mask", **MASK, options={"compat": "2021", "opaque": 0.06})
    (store,) = (i for i in items(workspace, "cubes").values() if i["id"] == "31UES_tsmask")
    cube = open_store(store["assets"]["r20m"]["href"])
    assert store["properties"]["clearcube:generation"] == cube.spec.generation == 2
    assert len(cube.dates) == len(cube.valid_dates) == 14
    keys = {i["properties"][PIXELS] for i in items(workspace, "cloud-mask-tsmask").values()}
    assert keys == {entry.key for entry in cube.valid_dates}
    assert any("former cube" in one.kind for one in workspace.gc(older_than=timedelta(0)).removed)
    assert [found for found in workspace.verify() if found.level == "error"] == []


def test_a_store_that_is_lost_is_made_again(workspace: Workspace, scenes: list[Path]) -> None:
    workspace.ingest(*scenes)
    workspace.run("cloud-mask", **MASK)
    before = content(workspace)
    shutil.rmtree(workspace.cubes / "31UES_tsmask.zarr")
    states = {t.item_id: t.state for t in workspace.status()}
    assert states[named(0)] is states["31UES_tsmask"] is State.MISSING
    assert workspace.run_stale().failures == []
    assert content(workspace) == before


# --- series ---------------------------------------------------------------------------------------


def test_what_a_date_is_compared_with_depends_on_the_catalogue_alone(
    workspace: Workspace, scenes: list[Path], tmp_path: Path
) -> None:
    workspace.ingest(*scenes)
    old = write_scene(tmp_path, "old", 800, when="2015-07-06T10:50:00Z", bands=BAND_NAMES)
    workspace.ingest(old)
    forecast = workspace.plan("cloud-mask", **MASK)
    assert len(forecast.targets) == 15
    assert forecast.notes == [
        "31UES: 1 dates from 2015-07-06 on get no tsmask mask: their series has 1 dates, fewer than "
        "min_observations=9; ingest more, or set a wider window"
    ]
    # Spans of one month, the series of each with one more on both sides: February to June here.
    narrow = {"window": 1, "min_observations": 3}
    (need,) = workspace.plan("cloud-mask", **MASK, options=narrow, datetime="2019-04-12").needs
    assert need.request["datetime"] == "2019-03-01/2019-05-31"
    (whole,) = workspace.plan("cloud-mask", **MASK, options={"window": "all"}).needs
    assert "datetime" not in whole.request


def test_bad_requests(workspace: Workspace, scenes: list[Path]) -> None:
    with pytest.raises(RequestError, match="no scene of tile 31UES is catalogued"):
        workspace.run("cloud-mask", **MASK)
    workspace.ingest(*scenes[:5])
    for request, why in (
        (MASK, "no date of 31UES gets a mask.*fewer than min_observations=9; ingest more$"),
        ({**MASK, "method": "fmask"}, "choose one of combined tsmask mtcd"),
        ({**MASK, "options": {"windw": 3}}, "tsmask: there is no parameter 'windw'"),
        ({**MASK, "options": {"window": 0}}, "tsmask: .*give 1 to 1200 months, or all"),
        ({**MASK, "name": "a_b"}, "a variant holds"),
        ({**MASK, "level": "maja"}, "no maja scene of tile 31UES is catalogued; there are l2a"),
        ({**MASK, "datetime": "2017"}, "no date of 31UES in 2017 gets a mask"),
    ):
        with pytest.raises(RequestError, match=why):
            workspace.run("cloud-mask", **request)
    assert not list(workspace.cubes.glob("*tsmask*"))


def test_a_scene_that_cannot_be_read(workspace: Workspace, scenes: list[Path]) -> None:
    workspace.ingest(*scenes)
    broken = scenes[3].with_name("s03_red.tif")
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    try:
        outcome = workspace.run("cloud-mask", **MASK)
        assert outcome.status == 1
        assert "s03 could not be read (--skip-corrupt makes masks without)" in str(
            outcome.failures[-1]
        )
        outcome = workspace.run("cloud-mask", **MASK, skip_corrupt=True)
        assert len(outcome.made) == 13
        (item,) = (i for i in items(workspace, "cloud-mask-tsmask").values() if named(4) == i["id"])
        assert list(item["properties"]["clearcube:without"]) == ["s03"]
        assert "s03" not in item["properties"]["clearcube:inputs"]
        assert not [t for t in workspace.status() if t.is_due and "tsmask" in t.item_id]
    finally:
        broken.write_bytes(whole)


def test_small_dates_are_finished_by_several() -> None:
    """As many as make two million pixels, at most eight, and four units for each worker."""
    for side, dates, workers, expected in (
        (5490, 70, 2, 1),
        (1024, 70, 2, 2),
        (567, 124, 1, 6),
        (567, 124, 8, 3),
        (32, 124, 2, 8),
        (32, 3, 2, 1),
    ):
        extent = Extent(32631, 499980, 5700000 - 20 * side, 499980 + 20 * side, 5700000)
        spec = Spec("31UES", "tsmask", extent, {"r20m": 20}, ())
        assert dates_at_once(spec, dates, workers) == expected


def test_blocks_fit_into_a_worker() -> None:
    from cube.grid import tile_extent
    from cube.variables import level_variables

    spec = Spec(
        "31UES", "l2a", tile_extent("31UES"), {"r10m": 10, "r20m": 20}, level_variables("l2a")
    )
    load = SeriesLoad(spec, dates=70, given=12, taken=2, margin=0)
    gibi = 1 << 30
    assert series_side(gibi, 2, load) == series_side(4 * gibi, 2, load) == 256
    assert load.block_bytes(256) < 0.8 * gibi - WORKER_BYTES
    # A margin is read from whole chunks: it is worth a larger block.
    assert series_side(4 * gibi, 2, replace(load, margin=8)) == 1024
    assert series_side(gibi, 2, SeriesLoad(spec, dates=219, given=11, taken=18, margin=8)) == 128


def test_a_mask_is_explained_by_its_series_and_made_again(
    made: Workspace, clearcube: Callable[..., Any]
) -> None:
    found = explain(made, named(CLOUDY), Place(4.0601, 50.7435))
    assert (found["item_value"], found["agrees"], found["gone"]) == (CLOUD, True, [])
    assert [one["mask"]["code"] for one in found["dates"]] == [1] * 6 + [CLOUD] + [1] * 7
    assert found["dates"][CLOUDY]["values"]["swir16"] == {"dn": 6000, "reflectance": 0.6}
    path = made.settings.workspace
    said = clearcube(path, "explain", named(CLOUDY), "--at", "4.0601,50.7435")
    assert "  7   2019-04-02  *  cloud" in said.out
    assert said.out.endswith("the item (*) holds class 2: agrees\n")
    said = clearcube(path, "explain", "31UES_tsmask", "--at", "4.0601,50.7435")
    assert "  7   2019-04-02  cloud  tsmask 2" in said.out
    again = made.reproduce(named(CLOUDY))
    assert again.same
    assert [part.name for part in again.parts] == ["mask", "thumbnail"]


# --- the command line -----------------------------------------------------------------------------


def test_settings_of_the_method_and_of_the_mask(
    made: Workspace, clearcube: Callable[..., Any], scheduler: str
) -> None:
    path = made.settings.workspace
    asked = ("cloud-mask", "--tile", "31UES", "--method", "tsmask")
    said = clearcube(path, "plan", *asked, "--set", "window=6", "--set", "tsmask.filter=none")
    assert said.status == 0
    assert "cloud-mask 31UES: 15 to make" in said.out
    assert "parameter filter was 3x3, is none; parameter window was 12, is 6" in said.out
    said = clearcube(path, "plan", *asked, "--set", "combined.haze=0.1")
    assert "cloud-mask uses nothing called 'combined'" in said.refused()
    months = ("synthesis", "--tile", "31UES", "--datetime", "2019-04", "--mask", "tsmask")
    said = clearcube(path, "plan", *months, "--set", "tsmask.buffer=20", "--name", "near")
    assert "31UES_2019-04_wasp_tsmask_near" in said.out
    assert f"{named(CLOUDY)}_near" in said.out
    said = clearcube(path, "run", "cloud-mask", "--help")
    assert "min_observations=9, dates: Dates below which a series is refused" in said.out
    said = clearcube(path, "explain-mask", "tsmask", "3")
    assert said.out.startswith("tsmask 3 (")
