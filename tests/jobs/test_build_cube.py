"""The cube through time: deliveries superseded, replaced, withdrawn; growing and compacting."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from catalog.search import Query
from cube.store import open_cube, open_store
from jobs import ingest, product
from jobs.registry import find_job
from jobs.simulate.season import SeasonFiles
from jobs.synthesis_params import SynthesisParams
from jobs.testing import LEFT, write_scene
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster


@pytest.fixture
def workspace(tmp_path: Path, cluster_address: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        yield workspace


def blue(workspace: Workspace, name: str = "31UES.zarr") -> list[int]:
    """Value of the last row's first pixel on each valid date."""
    return [int(v) for v in open_cube(workspace.cubes / name).blue[:, -1, 0].values]


def test_a_newer_baseline_takes_the_place_of_the_older(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "old", 1000, baseline="02.12"))
    assert workspace.run("cube", tile="31UES").made == ["31UES-20190501T105600"]
    outcome = workspace.ingest(write_scene(tmp_path, "new", 2000, baseline="05.00"))
    assert any("old: superseded by new" in note for note in outcome.notes)
    (old,) = workspace.search(ids=["old"])
    assert old.properties["clearcube:superseded_by"] == "new"
    assert workspace.run("cube", tile="31UES").made == ["31UES-20190501T105600"]
    assert blue(workspace) == [2000]
    dates = open_store(workspace.cubes / "31UES.zarr").dates
    assert [(d.slot, d.valid, d.items[0]["id"]) for d in dates] == [
        (0, False, "old"),
        (1, True, "new"),
    ]
    (item,) = workspace.search(collections=["cubes"])
    assert list(item.properties["clearcube:inputs"]) == ["new"]


def test_a_newer_delivery_and_the_mark_of_the_older_are_seen_at_once(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon after a publication the process ends, no two deliveries are in force."""
    workspace.ingest(write_scene(tmp_path, "old", 1000, baseline="02.12"))
    publish = ingest.publish

    def last_publish(*arguments: Any) -> None:
        publish(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(ingest, "publish", last_publish)
    with pytest.raises(KeyboardInterrupt):
        workspace.ingest(write_scene(tmp_path, "new", 2000, baseline="05.00"))
    found = workspace.documents(Query(tiles=("31UES",), superseded=False))
    assert [item["id"] for item in found] == ["new"]


def test_a_rewritten_file_is_noticed_and_an_untouched_one_is_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = write_scene(tmp_path, "a", 1000)
    workspace.ingest(path)
    workspace.run("cube", tile="31UES")
    assert workspace.ingest(path).current == ["a"]
    assert workspace.run("cube", tile="31UES").made == []
    write_scene(tmp_path, "a", 1500)
    assert workspace.ingest(path).made == ["a"]
    assert len(workspace.run("cube", tile="31UES").made) == 1
    assert blue(workspace) == [1500]


def test_pixels_changed_in_place_are_noticed(workspace: Workspace, tmp_path: Path) -> None:
    """Without compression neither the size of a file nor its ends need to change."""
    path = write_scene(tmp_path, "a", 1000, side=512)
    workspace.ingest(path)
    with rasterio.open(tmp_path / "a_blue.tif", "r+") as raster:
        pixels = raster.read(1)
        pixels[200:300] = 2000
        raster.write(pixels, 1)
    assert workspace.ingest(path).made == ["a"]


def test_changed_cloud_polygons_are_noticed(
    workspace: Workspace, tmp_path: Path, season: SeasonFiles
) -> None:
    product = tmp_path / season.products[1].name
    shutil.copytree(season.products[1], product)
    workspace.ingest(product)
    (before,) = workspace.search(ids=[product.stem])
    (polygons,) = product.rglob("MSK_CLOUDS_B00.gml")
    polygons.write_text(polygons.read_text().replace(">OPAQUE<", ">CIRRUS<"))
    workspace.ingest(product)
    (after,) = workspace.search(ids=[product.stem])
    assert before.properties["clearcube:version"] != after.properties["clearcube:version"]


def test_a_withdrawn_scene_leaves_the_cube(workspace: Workspace, tmp_path: Path) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    workspace.ingest(write_scene(tmp_path, "b", 2000, when="2019-05-06T10:56:00Z"))
    workspace.run("cube", tile="31UES")
    assert blue(workspace) == [1000, 2000]
    workspace.catalog.delete_items([("sentinel-2-l2a", "a")])
    assert workspace.run("cube", tile="31UES").made == []
    assert blue(workspace) == [2000]


def test_granules_of_one_solar_day_are_merged_the_first_with_data_first(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(
        write_scene(tmp_path, "north", 1000, strip="DS_S20190501T105600_N", empty_rows=32),
        write_scene(
            tmp_path, "south", 2000, when="2019-05-01T10:56:20Z", strip="DS_S20190501T105620_N"
        ),
    )
    done = workspace.run("cube", tile="31UES")
    assert len(done.made) == 1
    assert any("merged, the first with data counts: north, south" in note for note in done.notes)
    cube = open_cube(workspace.cubes / "31UES.zarr")
    assert cube.blue[0, 0, 0].values == 2000
    assert cube.blue[0, 63, 0].values == 1000
    coarse = open_cube(workspace.cubes / "31UES.zarr", "r20m")
    assert coarse.nir08[0, [0, 15, 16, 31], 0].values.tolist() == [2000, 2000, 1000, 1000]
    assert (coarse.scl[0] == 4).all()


def test_scenes_beyond_the_extent_are_cut_until_it_is_extended(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    workspace.run("cube", tile="31UES")
    workspace.ingest(write_scene(tmp_path, "b", 2000, when="2019-05-06T10:56:00Z", left=LEFT + 320))
    done = workspace.run("cube", tile="31UES")
    assert any("reach beyond the extent of cube 31UES" in note for note in done.notes)
    cut = open_cube(workspace.cubes / "31UES.zarr")
    assert cut.sizes["x"] == 64
    assert cut.blue[1, 0, [31, 32]].values.tolist() == [-10000, 2000]
    (target,) = workspace.status("31UES")
    assert target.state == "current"
    assert "reach beyond the extent" in target.because[0]
    workspace.run("cube", tile="31UES", extend=True)
    (item,) = workspace.search(collections=["cubes"])
    assert item.assets["r10m"].href.endswith("31UES.g2.zarr")
    grown = open_cube(item.assets["r10m"].href)
    assert grown.sizes["x"] == 96
    assert grown.blue[:, 0, 0].values.tolist() == [1000, -10000]
    assert grown.blue[:, 0, 95].values.tolist() == [-10000, 2000]
    assert workspace.run("cube", tile="31UES").made == []


def test_a_cube_that_grows_keeps_the_dates_that_were_not_asked_for(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    workspace.run("cube", tile="31UES")
    workspace.ingest(write_scene(tmp_path, "b", 2000, when="2019-06-06T10:56:00Z", left=LEFT + 320))
    workspace.run("cube", tile="31UES", datetime="2019-06", extend=True)
    (item,) = workspace.search(collections=["cubes"])
    assert item.assets["r10m"].href.endswith("31UES.g2.zarr")
    assert list(item.properties["clearcube:inputs"]) == ["a", "b"]


def test_a_day_whose_new_first_granule_was_not_asked_for_stays(
    workspace: Workspace, tmp_path: Path
) -> None:
    """At 4 degrees east the solar day is 16 minutes ahead: this one begins at 23:44 UTC."""
    workspace.ingest(write_scene(tmp_path, "late", 1000, when="2019-05-02T00:00:10Z"))
    workspace.ingest(write_scene(tmp_path, "other", 2000, when="2019-05-07T00:00:10Z"))
    workspace.run("cube", tile="31UES")
    early = write_scene(
        tmp_path, "early", 3000, when="2019-05-01T23:59:50Z", strip="DS_S20190501T235950_N"
    )
    workspace.ingest(early)
    workspace.run("cube", tile="31UES", datetime="2019-05-02/2019-05-31")
    assert blue(workspace) == [1000, 2000]
    workspace.run("cube", tile="31UES")
    assert blue(workspace) == [3000, 2000]


def test_a_cube_of_one_fine_resolution_covers_its_scenes_when_it_is_run_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, left=LEFT + 10))
    workspace.run("cube", tile="31UES", resolution=10)
    done = workspace.run("cube", tile="31UES")
    assert (done.made, done.notes) == ([], [])


def test_compaction_makes_a_generation_in_order_of_time(
    workspace: Workspace, tmp_path: Path
) -> None:
    for item_id, day, value in (("b", "06", 2000), ("a", "01", 1000)):
        workspace.ingest(write_scene(tmp_path, item_id, value, when=f"2019-05-{day}T10:56:00Z"))
        workspace.run("cube", tile="31UES")
    workspace.run("cube", tile="31UES", compact=True)
    (item,) = workspace.search(collections=["cubes"])
    assert item.properties["clearcube:generation"] == 2
    path = Path(item.assets["r10m"].href)
    assert [(d.slot, d.items[0]["id"]) for d in open_store(path).dates] == [(0, "a"), (1, "b")]
    assert blue(workspace, path.name) == [1000, 2000]
    # The next date goes into the new generation.
    workspace.ingest(write_scene(tmp_path, "c", 3000, when="2019-05-11T10:56:00Z"))
    workspace.run("cube", tile="31UES")
    assert blue(workspace, path.name) == [1000, 2000, 3000]


def test_a_cube_whose_item_was_lost_is_found_again(workspace: Workspace, tmp_path: Path) -> None:
    """As after a driver that died between the commit of a date and the publication of the item."""
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    workspace.run("cube", tile="31UES")
    workspace.catalog.delete_items([("cubes", "31UES")])
    assert workspace.run("cube", tile="31UES").made == []
    (item,) = workspace.search(collections=["cubes"])
    assert item.properties["clearcube:dates"] == 1


def test_a_date_that_cannot_be_read_leaves_the_others_in(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    broken = write_scene(tmp_path, "b", 2000, when="2019-05-06T10:56:00Z")
    workspace.ingest(broken)
    whole = (tmp_path / "b_blue.tif").read_bytes()
    (tmp_path / "b_blue.tif").write_bytes(whole[:400])
    done = workspace.run("cube", tile="31UES")
    assert done.status == 1
    assert done.made == ["31UES-20190501T105600"]
    (failure,) = done.failures
    assert failure.key == "31UES-20190506T105600"
    assert "b_blue.tif" in failure.cause
    assert blue(workspace) == [1000]
    assert not list(workspace.cubes.glob("*.stage/*"))
    (tmp_path / "b_blue.tif").write_bytes(whole)
    assert workspace.run("cube", tile="31UES").made == ["31UES-20190506T105600"]
    assert blue(workspace) == [1000, 2000]


def test_one_resolution_makes_one_group_for_all_jobs(workspace: Workspace, tmp_path: Path) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    done = workspace.run("cube", tile="31UES", resolution=20)
    assert done.failures == []
    cube = open_cube(workspace.cubes / "31UES.zarr")
    assert set(cube.data_vars) >= {"blue", "nir08", "scl"}
    assert dict(cube.sizes) == {"time": 1, "y": 32, "x": 32}
    made = workspace.run("synthesis", tile="31UES", datetime="2019-05", method="median", mask="scl")
    (item,) = workspace.search(ids=made.made)
    assert set(item.assets) == {
        "blue", "nir08", "weight", "date", "status", "clear_count", "total_count",
    }  # fmt: skip
    with rasterio.open(item.assets["blue"].href) as raster:
        assert raster.read(1).tolist() == np.full((32, 32), 1000).tolist()
    shutil.rmtree(tmp_path / "w")


def test_what_is_made_of_a_cube_says_its_level_and_waits_for_one_version_only(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000))
    request = {"tile": "31UES", "datetime": "2019-05", "method": "wasp", "mask": "scl"}
    assert workspace.run("synthesis", **request).failures == []
    levels = {
        item["collection"]: item["properties"]["processing:level"]
        for item in workspace.documents(Query(tiles=("31UES",)))
    }
    assert levels == {
        "sentinel-2-l2a": "L2A",
        "cubes": "L2A",
        "cloud-mask-scl": "L2A",
        "synthesis-wasp": "L3A",
    }
    # Weights that another version left behind are not taken for its own.
    monkeypatch.setattr(product, "SHARED_VERSION", "another")
    first, batch = find_job("synthesis").plan(workspace, SynthesisParams(**request))
    (target,) = first.targets
    assert (target.state, target.because) == (
        "stale",
        ("synthesis was version 1.2.3, is another.2.3",),
    )
    assert [len(stage.units) for stage in batch.stages[:2]] == [1, 1]


@pytest.mark.parametrize("method", ["median", "wasp"])
def test_a_month_that_cannot_be_read_leaves_the_others_be(
    workspace: Workspace, tmp_path: Path, method: str
) -> None:
    for item_id, when, value in (("a", "2019-05-10", 1000), ("b", "2019-08-10", 2000)):
        workspace.ingest(write_scene(tmp_path, item_id, value, when=f"{when}T10:56:00Z"))
    workspace.run("cube", tile="31UES")
    (slot,) = (
        d.slot for d in open_store(workspace.cubes / "31UES.zarr").dates if d.items[0]["id"] == "b"
    )
    chunk = workspace.cubes / "31UES.zarr" / "r10m" / "blue" / "c" / str(slot) / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    request = {"tile": "31UES", "datetime": "2019-05/2019-08", "method": method, "mask": "scl"}
    done = workspace.run("synthesis", **request)
    assert done.made == [f"31UES_2019-05_{method}_scl"]
    assert done.status == 1
    (failure,) = done.failures
    assert failure.key == f"31UES_2019-08_{method}_scl"
    assert "blue of 2019-08-10" in failure.cause
    chunk.write_bytes(whole)
    again = workspace.run("synthesis", **request)
    assert (again.made, again.failures) == ([f"31UES_2019-08_{method}_scl"], [])
    assert again.current == [f"31UES_2019-05_{method}_scl"]
    assert list((workspace.products.parent / "scratch").glob("31UES_*")) == []


def test_two_runs_of_one_request_at_once_make_everything_once(
    tmp_path: Path, cluster_address: str
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for item_id, day, value in (("a", "10", 1000), ("b", "20", 2000)):
        path = write_scene(tmp_path, item_id, value, when=f"2019-05-{day}T10:56:00Z")
        with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
            workspace.ingest(path)

    def synthesis(_number: int) -> list[str]:
        with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
            done = workspace.run(
                "synthesis", tile="31UES", datetime="2019-05", method="median", mask="scl"
            )
            assert done.failures == []
            return done.made

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(synthesis, range(2)))
    assert sorted(made) == [[], ["31UES_2019-05_median_scl"]]
    assert len(open_store(tmp_path / "w" / "cubes" / "31UES.zarr").dates) == 2
