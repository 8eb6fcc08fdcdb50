"""Syntheses as products of level 3A: pixels, metadata, reading them back, and what is refused."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio

from cube.theia import day_of_year, stored_weight
from jobs.errors import RequestError
from jobs.export_l3a import export_l3a
from jobs.simulate.season import SMALL_SEASON, SeasonFiles
from jobs.workspace import open_workspace

GENUINE = "SENTINEL2X_20180515-000000-000_L3A_T31TCJ_C_V1-1"
THEIA = {
    "B2": "blue", "B3": "green", "B4": "red", "B8": "nir", "B5": "rededge1", "B6": "rededge2",
    "B7": "rededge3", "B8A": "nir08", "B11": "swir16", "B12": "swir22",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    workspace: Path
    item: dict[str, Any]
    product: Path

    def theirs(self, ending: str) -> np.ndarray:
        return read(self.product / f"{ending.format(self.product.name)}.tif")

    def ours(self, key: str) -> np.ndarray:
        return read(Path(self.item["assets"][key]["href"]))


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, season: SeasonFiles, cluster_address: str
) -> Iterator[Made]:
    """May of the small season by wasp, exported."""
    folder = tmp_path_factory.mktemp("l3a")
    with open_workspace(folder / "w", scheduler=cluster_address) as workspace:
        workspace.ingest(*map(str, season.products))
        outcome = workspace.run("synthesis", tile=SMALL_SEASON.tile, datetime="2020-05", mask="scl")
        assert outcome.failures == []
        (item,) = workspace.search(collections=["synthesis-wasp"])
        done = export_l3a(workspace, item.id, folder)
        yield Made(folder / "w", item.to_dict(), done.path)


def test_every_pixel_is_that_of_the_item(made: Made) -> None:
    for band, key in THEIA.items():
        np.testing.assert_array_equal(made.theirs(f"{{}}_FRC_{band}"), made.ours(key))
    for group, suffix in (("R1", ""), ("R2", "_20m")):
        weight = made.theirs(f"MASKS/{{}}_WGT_{group}")
        status, seen = made.theirs(f"MASKS/{{}}_FLG_{group}"), made.ours(f"weight{suffix}")
        np.testing.assert_array_equal(status, made.ours(f"status{suffix}"))
        np.testing.assert_array_equal(weight == -10000, status == 0)
        off = np.abs(weight / 1000 - seen)[status > 0]
        assert off.max() <= 0.0005 + 1e-9
        assert weight.max() > 500
        assert {2, 4} <= set(np.unique(status)) or {1, 4} <= set(np.unique(status))
        days, ours = made.theirs(f"MASKS/{{}}_DTS_{group}"), made.ours(f"date{suffix}")
        new_year = (np.datetime64("2020-01-01") - np.datetime64("1970-01-01")).astype(int)
        np.testing.assert_array_equal(
            np.where(days == -10000, -10000, days.astype(int) + new_year), ours
        )


def paths_of(root: ElementTree.Element, above: str = "") -> set[str]:
    """Paths of all elements, with the attributes that tell siblings apart."""
    found = set()
    for child in root:
        path = f"{above}/{child.tag}"
        found |= {path, *paths_of(child, path)}
    return found


@pytest.mark.shared
def test_the_metadata_are_built_as_those_of_wasp(made: Made, shared: Path) -> None:
    genuine = shared / "wasp-reference/l3a" / GENUINE / f"{GENUINE}_MTD_ALL.xml"
    theirs = ElementTree.parse(genuine).getroot()
    ours = ElementTree.parse(made.product / f"{made.product.name}_MTD_ALL.xml").getroot()
    assert ours.tag == theirs.tag
    assert paths_of(theirs) - paths_of(ours) == set()
    for tag in ("NATURE", "BAND_ID", "SPATIAL_RESOLUTION", "PRODUCT_LEVEL", "ENCODING"):
        assert [e.text for e in ours.iter(tag)] == [e.text for e in theirs.iter(tag)], tag
    files = [e.text for tag in ("IMAGE_FILE", "MASK_FILE", "QUICKLOOK") for e in ours.iter(tag)]
    named = [e.text for tag in ("IMAGE_FILE", "MASK_FILE", "QUICKLOOK") for e in theirs.iter(tag)]
    assert [f.replace(made.product.name, GENUINE) for f in files] == named
    for file in files:
        assert (made.product / file).is_file()


def test_its_name_and_what_it_says(made: Made) -> None:
    assert re.fullmatch(r"SENTINEL2[ABX]_20200515-000000-000_L3A_T\w{5}_C_V0-1", made.product.name)
    root = ElementTree.parse(made.product / f"{made.product.name}_MTD_ALL.xml").getroot()
    status = made.ours("status_20m")
    cloud = 100 * (status == 1).sum() / max(1, (status > 0).sum())
    assert root.findtext(".//Current_Product//QUALITY_INDEX[@name='CloudPercent']") == str(
        round(cloud)
    )
    sources = {e.text for e in root.findall(".//Contributing_Product/Product/PRODUCT_ID")}
    links = [link["href"] for link in made.item["links"] if link["rel"] == "derived_from"]
    scenes = {href.rpartition("/")[2] for href in links if "/cloud-mask-" not in href}
    assert sources == scenes


def test_xmllint_reads_it(made: Made) -> None:
    if shutil.which("xmllint") is None:
        from conftest import missing

        missing("xmllint (package libxml2-utils)")
    path = made.product / f"{made.product.name}_MTD_ALL.xml"
    subprocess.run(["xmllint", "--noout", path], check=True, capture_output=True)


def test_our_reader_reads_it_back(made: Made, tmp_path: Path, clearcube: Any) -> None:
    assert clearcube(tmp_path / "w", "ingest", made.product).status == 0
    said = clearcube(tmp_path / "w", "search", "--collection", "sentinel-2-l3a-maja", "--json")
    (item,) = json.loads(said.out)["features"]
    assert item["id"] == made.product.name
    loaded = odc.stac.load([pystac.Item.from_dict(item)], bands=["red", "weight"], resolution=10)
    np.testing.assert_array_equal(loaded.red.values[0], made.ours("red"))
    assert clearcube(tmp_path / "w", "verify").status == 0
    again = clearcube(tmp_path / "w", "run", "cube", "--tile", item["properties"]["grid:code"])
    again.refused("no scene")


def test_again_is_replaced_and_what_is_not_ours_is_not(
    made: Made, tmp_path: Path, clearcube: Any
) -> None:
    first = clearcube(made.workspace, "export", "l3a", made.item["id"], tmp_path)
    assert first.status == 0, first.err
    path = Path(first.out.strip())
    before = {f.name: f.read_bytes() for f in path.rglob("*.tif")}
    assert clearcube(made.workspace, "export", "l3a", made.item["id"], tmp_path).status == 0
    assert {f.name: f.read_bytes() for f in path.rglob("*.tif")} == before
    (path / "MASKS" / "mine.txt").write_text("mine")
    clearcube(made.workspace, "export", "l3a", made.item["id"], tmp_path).refused("MASKS/mine.txt")
    assert (path / "MASKS" / "mine.txt").read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_is_no_synthesis_is_refused(made: Made, tmp_path: Path, clearcube: Any) -> None:
    def export(item: str, folder: Path = tmp_path) -> Any:
        return clearcube(made.workspace, "export", "l3a", item, folder)

    export("nothing").refused("no item is called 'nothing'")
    export(made.item["properties"]["grid:code"].removeprefix("MGRS-")).refused("is no synthesis")
    export(made.item["id"], tmp_path / "absent").refused("there is no folder")
    (tmp_path / made.product.name).write_text("mine")
    export(made.item["id"]).refused("is a file; name a folder")
    (tmp_path / made.product.name).unlink()
    without = {key: a for key, a in made.item["assets"].items() if key not in ("nir08", "date_20m")}
    with open_workspace(made.workspace) as workspace:
        less = {**made.item, "id": "less", "assets": without}
        workspace.catalog.upsert_items([less])
        workspace.catalog.upsert_items([{**made.item, "id": "other"}])
        with pytest.raises(RequestError, match=f"holds {made.item['id']}, which has the same name"):
            export_l3a(workspace, "other", made.product.parent)
        with pytest.raises(RequestError, match="less has no nir08, date_20m: a product of level"):
            export_l3a(workspace, "less", tmp_path)
        workspace.catalog.delete_items([("synthesis-wasp", each) for each in ("less", "other")])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_leaves_nothing(made: Made, tmp_path: Path, clearcube: Any) -> None:
    nir = Path(made.item["assets"]["nir08"]["href"])
    nir.rename(nir.with_suffix(".away"))
    try:
        said = clearcube(made.workspace, "export", "l3a", made.item["id"], tmp_path)
        said.refused(nir.name)
    finally:
        nir.with_suffix(".away").rename(nir)
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource
import cube.theia, jobs.cli

write = cube.theia.write_plain

def on_a_full_disk(*arguments):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        return write(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

cube.theia.write_plain = on_a_full_disk
jobs.cli.main()
"""
"""The command, in a process of its own: no file of the tests' own may hit the limit."""


def test_a_full_disk_leaves_nothing(made: Made, tmp_path: Path) -> None:
    words = ["--workspace", made.workspace, "export", "l3a", made.item["id"], tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "clearcube: cannot write" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_dates_go_on_counting_over_the_turn_of_the_year() -> None:
    days = np.array(["2019-12-31", "2020-01-01", "2021-01-01"], "datetime64[D]").astype(int)
    found = day_of_year(2020)(np.array([*days, -10000], np.int16))
    np.testing.assert_array_equal(found, [-1, 0, 366, -10000])


def test_weights_are_thousandths_half_to_even() -> None:
    weight = np.array([0, 1.0005, 1.0015, 40.0, 0], np.float64)
    found = stored_weight(weight, np.array([1, 4, 4, 4, 0], np.uint8))
    np.testing.assert_array_equal(found, [0, 1000, 1002, 32767, -10000])
