"""Items made again from what they record: a season, what has gone since, and a real month."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import rasterio
from distributed import Client

from catalog.backends.base import Document
from jobs import registry
from jobs.registry import find_job
from jobs.runner.publish import publish, published
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("scheduler")]

SCENES, MASKS = "sentinel-2-l2a", "cloud-mask-scl"
WASP, MEDIAN = "31TCJ_2020-05_wasp_scl", "31TCJ_2020-05_median_scl"
WIDE = "31TCJ_2020-05_median_scl-wide"


@pytest.fixture(scope="module")
def kept(
    season: SeasonFiles,
    cluster_address: str,
    keep: Callable[[Path], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A folder with products and a workspace of them, with wasp and median of May."""
    folder = tmp_path_factory.mktemp("reproduced") / "season"
    products = folder / "products"
    shutil.copytree(season.products[0].parent, products)
    with open_workspace(folder / "workspace", scheduler=cluster_address) as workspace:
        workspace.ingest(*(products / path.name for path in season.products))
        for method in ("wasp", "median"):
            workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method=method)
    return keep(folder)


@pytest.fixture
def made(kept: Any) -> Iterator[Workspace]:
    """That workspace; it and its products may be changed."""
    with open_workspace(kept.restored() / "workspace") as workspace:
        yield workspace


def item_of(workspace: Workspace, collection: str, name: str) -> Document:
    found = published(workspace, collection, name)
    assert found is not None
    return found


def scene_of(workspace: Workspace, day: str) -> Document:
    """The scene of a day that counts."""
    inputs = item_of(workspace, "cubes", "31TCJ")["properties"]["clearcube:inputs"]
    (name,) = (name for name in inputs if f"_{day}T" in name.split("_R")[0])
    return item_of(workspace, SCENES, name)


def brighten(path: Path) -> None:
    """Other pixels into a raster as it was delivered."""
    with rasterio.open(path) as raster:
        pixels, profile = raster.read(), raster.profile
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.where(pixels > 0, pixels + 50, 0).astype(pixels.dtype))


def test_all_comes_out_as_recorded(made: Workspace, tmp_path: Path) -> None:
    assets = item_of(made, "synthesis-wasp", WASP)["assets"]
    month = made.reproduce(WASP, keep=tmp_path / "again")
    assert month.same
    assert {part.name for part in month.parts} == set(assets)
    with open_workspace(tmp_path / "again") as again:
        assert again.settings.store_path == tmp_path / "again"
        scenes = again.search(collections=[SCENES])
        assert len(scenes) == 4
        assert not any("clearcube:superseded_by" in scene.properties for scene in scenes)
        other = item_of(again, "synthesis-wasp", WASP)["assets"]
    assert {key: asset["file:checksum"] for key, asset in other.items()} == {
        key: asset["file:checksum"] for key, asset in assets.items()
    }
    cube = made.reproduce("31TCJ")
    assert cube.same
    assert [part.name for part in cube.parts] == [
        "2020-05-05T10:50:29Z",
        "2020-05-07T10:40:31Z",
        "2020-05-10T10:50:31Z",
        "2020-05-15T10:50:29Z",
    ]
    mask = made.reproduce("31TCJ_20200507T104031_scl")
    assert mask.same
    assert {part.name for part in mask.parts} == {"mask", "thumbnail"}
    assert not list(made.settings.workspace.glob("**/*reproduce*"))


def test_what_came_since_changes_nothing(made: Workspace) -> None:
    """A rejected scene and a withdrawn mask; a variant whose name means something else by now."""
    wide = {"tile": "31TCJ", "encoding": "scl", "name": "wide"}
    made.run("decode-masks", **wide, buffer=60.0)
    made.run("synthesis", tile="31TCJ", datetime="2020-05", method="median", mask="scl:wide")
    made.run("decode-masks", **wide, buffer=20.0)
    made.reject(scene_of(made, "20200510")["id"], "haze")
    made.catalog.delete_items([(MASKS, "31TCJ_20200510T105031_scl")])
    assert {t.item_id for t in made.status() if t.state == "stale"} >= {MEDIAN, WIDE, "31TCJ"}
    assert made.reproduce(MEDIAN).same
    assert made.reproduce(WIDE).same
    assert made.reproduce("31TCJ").same


def test_a_damaged_file_is_named(made: Workspace, clearcube: Callable[..., Any]) -> None:
    item = item_of(made, "synthesis-median", MEDIAN)
    path = Path(item["assets"]["red"]["href"])
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    said = clearcube(made.settings.workspace, "reproduce", MEDIAN)
    assert said.status == 1
    lines = {line.split()[1]: line for line in said.out.splitlines()}
    assert lines["red"].startswith("damaged")
    assert lines["red"].endswith("the catalogued file is not what was recorded")
    assert {line.split()[0] for name, line in lines.items() if name != "red"} == {"same"}
    assert f"{MEDIAN}: 1 differ: red" in said.err

    path.unlink()
    item["assets"]["nir"]["file:checksum"] = f"1220{'0' * 64}"
    publish(made, [item])
    said = clearcube(made.settings.workspace, "reproduce", MEDIAN, "--json")
    assert said.status == 1
    document = json.loads(said.out)
    assert document["same"] is False
    assert {p["name"]: (p["same"], p["intact"]) for p in document["parts"] if p["note"]} == {
        "red": (True, False),
        "nir": (False, False),
    }


def test_a_cube_whose_pixels_come_out_otherwise_names_date_and_variable(made: Workspace) -> None:
    root = made.cubes / "31TCJ.zarr" / "zarr.json"
    document = json.loads(root.read_text())
    document["attributes"]["clearcube"]["dates"][1]["checksums"]["red"] = "0" * 16
    root.write_text(json.dumps(document))
    found = made.reproduce("31TCJ")
    assert [part.note for part in found.parts if not part.same] == ["red differ"]


def test_inputs_that_are_gone_are_named(
    made: Workspace, tmp_path: Path, clearcube: Callable[..., Any]
) -> None:
    path = made.settings.workspace
    scene = scene_of(made, "20200505")
    file = Path(scene["assets"]["red"]["href"])
    file.rename(tmp_path / "aside")
    for name in ("31TCJ", WASP, "31TCJ_20200505T105029_scl"):
        clearcube(path, "reproduce", name).refused(name, f"{file} of input {scene['id']} is gone")
    (tmp_path / "aside").rename(file)
    made.catalog.delete_items([(SCENES, scene["id"])])
    for name in ("31TCJ", WASP, "31TCJ_20200505T105029_scl"):
        said = clearcube(path, "reproduce", name)
        said.refused(name, f"input {scene['id']} is no longer catalogued")
    assert made.reproduce("31TCJ_20200507T104031_scl").same


def test_a_scene_that_was_delivered_again_is_named(
    made: Workspace, clearcube: Callable[..., Any]
) -> None:
    path = made.settings.workspace
    scene = scene_of(made, "20200510")
    brighten(Path(scene["assets"]["red"]["href"]))
    product = next(p for p in Path(scene["assets"]["red"]["href"]).parents if p.suffix == ".SAFE")
    assert made.ingest(product).made == [scene["id"]]
    again = f"input {scene['id']} was delivered again since"
    clearcube(path, "reproduce", "31TCJ").refused("31TCJ", again, "the cube holds version")
    clearcube(path, "reproduce", WASP).refused(WASP, again, "is recorded")
    # The classes are the same, and so is the mask.
    assert made.reproduce("31TCJ_20200510T105031_scl").same
    assert made.run("cube", tile="31TCJ").made == ["31TCJ-20200510T105031"]
    clearcube(path, "reproduce", WASP).refused(WASP, again)
    assert made.reproduce("31TCJ").same


def test_other_versions_and_items_are_refused(
    made: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clearcube: Callable[..., Any]
) -> None:
    path = made.settings.workspace
    clearcube(path, "reproduce", scene_of(made, "20200505")["id"]).refused("was not made here")
    clearcube(path, "reproduce", "none").refused("no item is called 'none'")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    clearcube(path, "reproduce", WASP, "--keep", tmp_path / "full").refused("is not empty")
    job = find_job("synthesis")
    assert job.product is not None
    newer = replace(job, product=replace(job.product, version=lambda _params: "9.9"))
    monkeypatch.setattr("jobs.reproduction.find_job", lambda _name: newer)
    said = clearcube(path, "reproduce", WASP)
    said.refused(WASP, "version 1.2.3 of synthesis, this is version 1.9.9")
    monkeypatch.undo()
    item = item_of(made, "synthesis-wasp", WASP)
    item["properties"]["clearcube:job"] = "elsewhere"
    publish(made, [item])
    clearcube(path, "reproduce", WASP).refused("job elsewhere, which is not installed here")


SUMS = """
from jobs.pixel_job import pixel_job
from jobs.product import Layer

def compute(dates, params):
    return {"sum": dates["red"].where(dates["clear"]).sum("time")}

LAYERS = [Layer("sum", "float32", float("nan"), "Sum")]
JOB = pixel_job(
    "sums", title="Sums", version="3", reads=["red"], layers=LAYERS, compute=compute
)
"""


def _add(folder: str) -> None:
    sys.path.insert(0, folder)
    registry.OWN["sums"] = "job_of_sums"


def _remove(folder: str) -> None:
    sys.path.remove(folder)
    registry.OWN.pop("sums")
    registry.find_job.cache_clear()


@pytest.fixture
def sums(scheduler: str, tmp_path: Path) -> Iterator[None]:
    """A job of sums of red, known here and to the workers."""
    (tmp_path / "job_of_sums.py").write_text(SUMS)
    # Workers cannot import this file: what they are to call travels as it is.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Client(scheduler, set_as_default=False) as client:
        _add(str(tmp_path))
        client.run(_add, str(tmp_path))
        yield
        client.run(_remove, str(tmp_path))
        _remove(str(tmp_path))
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.usefixtures("sums")
def test_jobs_of_other_packages(season: SeasonFiles, tmp_path: Path) -> None:
    name = "31TCJ_2020-05_sums_scl"
    with open_workspace(tmp_path / "workspace") as workspace:
        workspace.ingest(*season.products[:3])
        assert workspace.run("sums", tile="31TCJ", datetime="2020-05").failures == []
        workspace.ingest(*season.products[3:])
        found = workspace.reproduce(name)
        assert (found.same, [part.name for part in found.parts]) == (True, ["sum"])
        first = workspace.lineage(name).nodes
        scenes = [node.item_id for node in first.values() if node.state == "scene"]
        assert len(scenes) == 2
        assert ("sums", name) in workspace.lineage(scenes[0], forward=True).nodes


@pytest.mark.shared
def test_a_real_month(shared: Path, tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        workspace.ingest(shared / "s2-l2a-31UES" / "catalog.json")
        for method in ("wasp", "median"):
            workspace.run("synthesis", tile="31UES", datetime="2019-05", method=method, mask="scl")
        for method in ("wasp", "median"):
            found = workspace.reproduce(f"31UES_2019-05_{method}_scl")
            assert found.same
            assert len(found.parts) == 21
        assert workspace.reproduce("31UES").same
        (mask,) = workspace.search(collections=[MASKS], datetime="2019-05-16")
        assert workspace.reproduce(mask.id).same
