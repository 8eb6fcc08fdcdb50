"""Every method and period by the command: the same from any blocks, order and former results."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from catalog.extension import validate_fields
from catalog.search import Query
from cube.place import Place
from cube.store import Cube, open_store
from cube.synthesis import Composite, Method, methods
from jobs import period_job, synthesis
from jobs.compositing import make_block
from jobs.explain_month import explain_month
from jobs.registry import find_job
from jobs.reproduction import reproduce
from jobs.requests import parse_request
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

NAMES = [method.name for method in methods()]
ONE_DATE = ("medoid", "s2gm", "bap", "max-ndvi", "lcf")
MAY = {"tile": "31TCJ", "datetime": "2020-05", "mask": "scl"}


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, season: SeasonFiles, cluster_address: str
) -> Iterator[Workspace]:
    """May 2020 by every method, each block the whole extent."""
    with open_workspace(tmp_path_factory.mktemp("w"), scheduler=cluster_address) as workspace:
        workspace.ingest(*season.products)
        for name in NAMES:
            assert workspace.run("synthesis", **MAY, method=name).failures == []
        yield workspace


def document(workspace: Workspace, item_id: str) -> dict[str, Any]:
    (found,) = workspace.documents(Query(ids=(item_id,)))
    validate_fields(found)
    return found


def content(item: dict[str, Any]) -> dict[str, Any]:
    """Checksums of all files, and what is counted."""
    counted = {k: item["properties"][k] for k in ("clearcube:shares", "clearcube:shown")}
    return counted | {key: asset["file:checksum"] for key, asset in item["assets"].items()}


def layer(item: dict[str, Any], key: str) -> np.ndarray[Any, Any]:
    with rasterio.open(item["assets"][key]["href"]) as raster:
        pixels: np.ndarray[Any, Any] = raster.read(1)
    return pixels


def test_blocks_and_order_of_ingest_change_no_bit(
    workspace: Workspace,
    season: SeasonFiles,
    tmp_path: Path,
    cluster_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(period_job, "block_side", lambda *_about: 17)
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as other:
        for product in reversed(season.products):
            other.ingest(product)
        for name in NAMES:
            assert other.run("synthesis", **MAY, method=name).failures == []
            item_id = f"31TCJ_2020-05_{name}_scl"
            assert content(document(other, item_id)) == content(document(workspace, item_id)), name


def test_blocks_from_before_keep_their_shares(
    season: SeasonFiles, tmp_path: Path, cluster_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_job, "block_side", lambda *_about: 17)
    *early, late = season.products
    with (
        open_workspace(tmp_path / "a", scheduler=cluster_address) as grown,
        open_workspace(tmp_path / "b", scheduler=cluster_address) as fresh,
    ):
        grown.ingest(*early)
        before = grown.run("synthesis", **MAY, method="lcf")
        assert before.failures == []
        grown.ingest(late)
        assert grown.run("synthesis", **MAY, method="lcf").failures == []
        fresh.ingest(*season.products)
        fresh.run("synthesis", **MAY, method="lcf")
        item_id = "31TCJ_2020-05_lcf_scl"
        assert content(document(grown, item_id)) == content(document(fresh, item_id))


@pytest.mark.parametrize("name", NAMES)
def test_an_item_says_what_each_scene_gave(workspace: Workspace, name: str) -> None:
    item = document(workspace, f"31TCJ_2020-05_{name}_scl")
    properties = item["properties"]
    shares = properties["clearcube:shares"]
    assert len(shares) == properties["clearcube:dates"]
    assert sum(each["percentage"] for each in shares) == pytest.approx(100, abs=0.001)
    sources = {link["title"] for link in item["links"] if link["rel"] == "derived_from"}
    assert {scene for each in shares for scene in each["scenes"]} <= sources
    status = layer(item, "status")
    assert [int((status == code).sum()) for code in range(5)] == list(
        properties["clearcube:shown"].values()
    )
    if name not in ONE_DATE:
        return
    days = layer(item, "date")
    for each in shares:
        day = np.datetime64(each["datetime"][:10]).astype(int)
        part = 100 * (days == day).sum() / (days != -10000).sum()
        assert each["percentage"] == pytest.approx(part, abs=0.001)


@pytest.mark.parametrize("name", ["medoid", "s2gm", "bap", "lcf"])
def test_both_grids_show_the_same_date(workspace: Workspace, name: str) -> None:
    item = document(workspace, f"31TCJ_2020-05_{name}_scl")
    coarse = layer(item, "date_20m").repeat(2, axis=0).repeat(2, axis=1)
    # A 20 m mask, and no band that lacks data alone: everywhere.
    assert np.array_equal(layer(item, "date"), coarse)


@pytest.mark.parametrize("name", ["medoid", "wasp"])
def test_a_block_composes_each_grid_once_and_reads_no_raster_twice(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    composed: list[tuple[int, ...]] = []
    read: list[tuple[str, str]] = []
    compose, take = synthesis.composite, Cube.read

    def counted(
        of: Method, params: Any, period: Any, bands: Any, classes: Any, *more: Any, **its: Any
    ) -> Composite:
        composed.append(classes.shape[1:])
        return compose(of, params, period, bands, classes, *more, **its)

    def noted(cube: Cube, group: str, name: str, *where: Any) -> np.ndarray[Any, Any]:
        read.append((group, name))
        return take(cube, group, name, *where)

    monkeypatch.setattr(synthesis, "composite", counted)
    monkeypatch.setattr(Cube, "read", noted)
    job = find_job("synthesis")
    planned = job.plan(workspace, parse_request(job, {**MAY, "method": name, "name": "once"}))
    assert isinstance(planned, list)
    (unit,) = planned[1].stages[1].units
    assert make_block(unit.payload)["2020-05"]["taken"] == 0
    spec = open_store(workspace.cubes / "31TCJ.zarr").spec
    assert sorted(composed) == [spec.shape("r20m"), spec.shape("r10m")]
    assert read.count(("r20m", "scl")) == 1
    bands = [variable for variable in read if variable[1] not in ("scl", "aot")]
    assert len(bands) == len(set(bands)) == 10


@pytest.mark.parametrize("name", NAMES)
def test_explain_comes_to_the_same_numbers(workspace: Workspace, name: str) -> None:
    item = document(workspace, f"31TCJ_2020-05_{name}_scl")
    extent = open_store(workspace.cubes / "31TCJ.zarr").spec.extent
    to = Transformer.from_crs(extent.epsg, 4326, always_xy=True)
    rng = np.random.default_rng(NAMES.index(name))
    for _ in range(4):
        x = rng.uniform(extent.left, extent.right)
        y = rng.uniform(extent.bottom, extent.top)
        found = explain_month(workspace, item, Place(*to.transform(x, y)))
        json.dumps(found, allow_nan=False)
        assert found["agrees"], [
            r for g in found["groups"] for r in g["results"] if not r["agrees"]
        ]


def test_a_synthesis_by_a_choice_of_dates_is_reproduced(workspace: Workspace) -> None:
    assert reproduce(workspace, "31TCJ_2020-05_bap_scl").same


def test_the_geometric_median_has_its_deviations(workspace: Workspace) -> None:
    item = document(workspace, "31TCJ_2020-05_geomedian_scl")
    for key in ("emad", "smad", "bcmad", "emad_20m", "smad_20m", "bcmad_20m"):
        assert item["assets"][key]["raster:bands"][0]["data_type"] == "float32"
        shown = layer(item, "status_20m" if key.endswith("_20m") else "status") > 1
        assert np.array_equal(np.isfinite(layer(item, key)), shown)


def test_periods(workspace: Workspace) -> None:
    for kind, datetime, labels in (
        ("dekad", "2020-05-01/2020-05-15", ["2020-05-D1", "2020-05-D2"]),
        ("quarter", "2020-Q2", ["2020-Q2"]),
        ("season", "2020-05", ["2020-MAM"]),
        ("year", "2020", ["2020"]),
        ("rolling", "2020-06", ["2020-06-R3"]),
        ("rolling-2", "2020-05-R2", ["2020-05-R2"]),
    ):
        asked = {**MAY, "datetime": datetime, "method": "lcf", "period": kind}
        done = workspace.run("synthesis", **asked)
        assert done.made == [f"31TCJ_{label}_lcf_scl" for label in labels]
        assert workspace.run("synthesis", **asked).made == []
    quarter = document(workspace, "31TCJ_2020-Q2_lcf_scl")["properties"]
    assert quarter["clearcube:period"] == "2020-Q2"
    assert quarter["start_datetime"] == "2020-04-01T00:00:00Z"
    assert reproduce(workspace, "31TCJ_2020-06-R3_lcf_scl").same
    states = {each.item_id: each.state.value for each in workspace.status()}
    assert states["31TCJ_2020-05-D1_lcf_scl"] in ("current", "provisional")
    assert not {"stale", "missing", "orphaned"} & set(states.values())


def test_a_period_without_a_clear_date_says_so(workspace: Workspace) -> None:
    wide = {"mask_options": {"buffer": 4000}, "name": "wide"}
    for name in ("median", "lcf"):
        done = workspace.run("synthesis", **MAY, method=name, **wide)
        item = document(workspace, done.made[0])
        properties = item["properties"]
        assert properties["clearcube:clear_percentage"] == 0
        assert properties["eo:cloud_cover"] == 100
        assert properties["clearcube:notes"] == [
            "no clear date: the ground was seen nowhere in the window"
        ]
        assert (layer(item, "status") == 1).all()
        assert ("clearcube:shares" in properties) is (name == "lcf")  # which shows the clouds


def test_what_cannot_be_asked_is_said(workspace: Workspace, clearcube) -> None:
    path = workspace.settings.workspace
    run = ("run", "synthesis", "--tile", "31TCJ", "--datetime")
    clearcube(path, *run, "2020-05", "--period", "week").refused("month, dekad, quarter, season")
    clearcube(path, *run, "2020-Q2").refused("2020-Q2 is no month", "--period quarter")
    clearcube(path, *run, "2020-05", "--set", "window=wide").refused("calendar", "centred")
    said = clearcube(path, "plan", "synthesis", *run[2:], "2020-05", "--set", "half_window=5")
    assert "dates from 2020-05-10 to 2020-05-20 only" in said.out + said.err
