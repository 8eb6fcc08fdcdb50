"""``ingest dem``: rasters of heights become items, once; what is none is refused in one line."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from catalog.items import validate_item
from cube.grid import Extent
from cube.terrain import read_altitude
from jobs.dem import dems_over
from jobs.workspace import open_workspace

EXTENT = Extent(32631, 580020, 5600040, 581620, 5601240)


def dem(path: Path, *, height: float = 120.0, crs: str | None = "EPSG:32631", bands: int = 1):
    path.parent.mkdir(parents=True, exist_ok=True)
    heights = np.full((bands, 60, 80), height, np.float32) + np.arange(80, dtype=np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", height=60, width=80, count=bands, dtype="float32", crs=crs,
        transform=from_origin(580020, 5601240, 20, 20), nodata=-9999.0,
    ) as raster:  # fmt: skip
        raster.write(heights)
    return path


def zipped(path: Path, **members: Path | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            archive.writestr(name.replace("__", "."), data)
    return path


def item_of(workspace: Path, item_id: str) -> dict:
    with open_workspace(workspace) as opened:
        return opened.catalog.item("dem", item_id)


def test_a_dem_becomes_an_item(clearcube, tmp_path):
    path = dem(tmp_path / "my heights (1).tif")
    said = clearcube(tmp_path / "w", "ingest", "dem", path, "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["made"] == ["my-heights--1"]
    item = item_of(tmp_path / "w", "my-heights--1")
    validate_item(item)
    assert item["collection"] == "dem"
    assert item["properties"]["proj:code"] == "EPSG:32631"
    asset = item["assets"]["data"]
    assert asset["href"] == str(path)
    assert asset["proj:shape"] == [60, 80]
    assert asset["proj:transform"] == [20, 0, 580020, 0, -20, 5601240]
    assert asset["raster:bands"] == [{"data_type": "float32", "unit": "m", "nodata": -9999.0}]
    west, south, east, north = item["bbox"]
    assert (west, south) == (pytest.approx(4.1287, abs=1e-3), pytest.approx(50.5467, abs=1e-3))
    assert (east, north) == (pytest.approx(4.1516, abs=1e-3), pytest.approx(50.5578, abs=1e-3))
    with open_workspace(tmp_path / "w") as opened:
        (found,) = dems_over(opened, EXTENT)
        assert dems_over(opened, Extent(32631, 500000, 5600040, 501620, 5601240)) == []
    heights = read_altitude([found["assets"]["data"]["href"]], EXTENT)
    assert (heights[0, 0], heights[0, 79]) == (120, 199)


def test_the_same_file_again_changes_nothing_and_another_content_does(clearcube, tmp_path):
    path, workspace = dem(tmp_path / "a.tif"), tmp_path / "w"
    assert clearcube(workspace, "ingest", "dem", path).status == 0
    before = item_of(workspace, "a")
    os.utime(path, (1_000_000_000, 1_000_000_000))  # a copy, an archive unpacked again
    said = clearcube(workspace, "ingest", "dem", path, "--json")
    assert json.loads(said.out)["current"] == ["a"]
    assert item_of(workspace, "a") == before
    dem(path, height=121.0)
    assert json.loads(clearcube(workspace, "ingest", "dem", path, "--json").out)["made"] == ["a"]
    after = item_of(workspace, "a")
    versions = [item["properties"]["clearcube:version"] for item in (before, after)]
    assert versions[0] != versions[1]
    other = dem(tmp_path / "elsewhere" / "a.tif", height=121.0)
    said = clearcube(workspace, "ingest", "dem", other)
    assert f"takes the place of {path}" in said.err


def test_the_time_of_the_heights_may_be_said(clearcube, tmp_path):
    path, workspace = dem(tmp_path / "a.tif"), tmp_path / "w"
    clearcube(workspace, "ingest", "dem", path)
    assert item_of(workspace, "a")["properties"]["datetime"] is not None
    clearcube(workspace, "ingest", "dem", path, "--datetime", "2011/2015")
    properties = item_of(workspace, "a")["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2011-01-01T00:00:00Z"
    assert properties["end_datetime"] == "2015-12-31T23:59:59.999999Z"
    clearcube(workspace, "ingest", "dem", path)  # nothing said: what was said before stays
    assert item_of(workspace, "a")["properties"] == properties


def test_without_its_word_a_dem_is_pointed_there(clearcube, tmp_path):
    path = dem(tmp_path / "heights.TIF")
    said = clearcube(tmp_path / "w", "ingest", path)
    said.refused("not a product", f"a raster of heights goes in by: clearcube ingest dem {path}")
    (tmp_path / "notes.txt").write_text("no raster")
    said = clearcube(tmp_path / "w", "ingest", tmp_path / "notes.txt")
    assert said.refused("not a product").endswith("neither a folder nor a zip")


def test_a_zip_is_read_in_place(clearcube, tmp_path):
    """Of the rasters in Copernicus' archives the one called DEM holds the heights."""
    path = dem(tmp_path / "in.tif")
    archive = zipped(tmp_path / "Copernicus_N50.zip", C_DEM__tif=path, C_WBM__tif=path, a__txt=b"")
    assert clearcube(tmp_path / "w", "ingest", "dem", archive).status == 0
    item = item_of(tmp_path / "w", "Copernicus_N50")
    assert item["assets"]["data"]["href"] == f"/vsizip/{archive}/C_DEM.tif"
    assert read_altitude([item["assets"]["data"]["href"]], EXTENT)[0, 0] == 120
    said = clearcube(tmp_path / "w", "ingest", "dem", archive, "--json")
    assert json.loads(said.out)["current"] == ["Copernicus_N50"]


def truncated(folder: Path) -> Path:
    path = dem(folder / "short.tif")
    path.write_bytes(path.read_bytes()[:9000])
    return path


def text(folder: Path) -> Path:
    (folder / "text.tif").write_text("no raster at all")
    return folder / "text.tif"


def bomb(folder: Path) -> Path:
    return zipped(folder / "bomb.zip", big__tif=bytes(30_000_000))


def slipping(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "slip.zip", "w") as archive:
        archive.write(dem(folder / "in.tif"), "../../out.tif")
    return folder / "slip.zip"


def junk(folder: Path) -> Path:
    (folder / "junk.zip").write_bytes(b"PK\x03\x04 and nothing more")
    return folder / "junk.zip"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (truncated, "short.tif"),
        (text, "text.tif"),
        (bomb, "zip bomb"),
        (slipping, "leaves the archive by '..'"),
        (junk, "damaged or truncated zip"),
        (lambda f: zipped(f / "none.zip", a__txt=b"words"), "no raster in it"),
        (lambda f: zipped(f / "two.zip", a__tif=b"1", b__tif=b"2"), "holds 2 rasters"),
        (lambda f: dem(f / "nowhere.tif", crs=None), "no CRS"),
        (lambda f: dem(f / "many.tif", bands=3), "has 3 bands"),
        (lambda f: f / "absent.tif", "no such file"),
        (lambda f: f, "a folder"),
        (lambda f: f / ("x" * 5000), "File name too long"),
    ],
)
def test_what_is_no_dem_is_refused(clearcube, tmp_path, state_of, make, words):
    workspace = tmp_path / "w"
    clearcube(workspace, "ingest", "dem", make(tmp_path)).refused(words)
    assert state_of(workspace) == {}


def test_one_that_is_none_does_not_hold_up_others(clearcube, tmp_path):
    good, bad = dem(tmp_path / "good.tif"), text(tmp_path)
    said = clearcube(tmp_path / "w", "ingest", "dem", bad, good)
    said.refused("text.tif", status=1)
    assert item_of(tmp_path / "w", "good")["id"] == "good"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "./dem"),
        (("a.tif", "--tile", "31UES"), "only --datetime applies"),
        (("a.tif", "--datetime", "2011/.."), "open end"),
    ],
)
def test_requests_without_meaning(clearcube, tmp_path, words, said):
    clearcube(tmp_path / "w", "ingest", "dem", *words).refused(said)


def test_verify_tells_of_a_dem_that_changed(clearcube, tmp_path):
    path = dem(tmp_path / "a.tif")
    clearcube(tmp_path / "w", "ingest", "dem", path)
    assert clearcube(tmp_path / "w", "verify", "--sources").status == 0
    dem(path, height=121.0)
    said = clearcube(tmp_path / "w", "verify", "--sources")
    assert said.status == 1
    assert "its files are not those that were ingested" in said.out + said.err
