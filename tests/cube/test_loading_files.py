"""What loading reads from: bits and polygons of masks, archives, stacks, and files that are broken."""

import logging
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from loading_rasters import (
    CORNER,
    ENGINES,
    EXTENT,
    RED,
    asset,
    item,
    load,
    noise,
    raster,
    variables,
)
from rasterio.transform import from_origin

from cube.errors import BandError, LoadError
from cube.grid import Extent


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


# --- masks of bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_the_bands_of_classi_are_packed_into_bits(tmp_path: Path, engine: str, suffix: str) -> None:
    bands = np.zeros((3, 12, 12), "uint8")
    bands[0, 0] = 1
    bands[1, :2] = 1
    bands[2, :, 0] = 1
    path = raster(tmp_path / f"MSK_CLASSI_B00.{suffix}", bands, size=20)
    found = load(item(classi=asset(path)), variables("l1c", "classi"), 20, engine=engine)["classi"]
    assert found.dtype == np.uint8
    assert found[0, :3].tolist() == [0b111, 0b011, 0b011]
    assert found[1, :2].tolist() == [0b110, 0b010]
    assert found[2, :2].tolist() == [0b100, 0b000]


GML = """<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0"
 xmlns:gml="http://www.opengis.net/gml/3.2"><eop:maskMembers><eop:MaskFeature>
 <eop:maskType>OPAQUE</eop:maskType><eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing>
 <gml:posList srsDimension="2">574680 5622440 574740 5622440 574740 5622400 574680 5622400
 574680 5622440</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf>
 </eop:MaskFeature></eop:maskMembers></eop:Mask>"""


def test_polygons_are_burnt_on_the_grid_from_a_folder_or_a_zip(tmp_path: Path) -> None:
    file = tmp_path / "MSK_CLOUDS_B00.gml"
    file.write_text(GML)
    packed = tmp_path / "p.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "QI/MSK_CLOUDS_B00.gml")
    for href in (str(file), f"/vsizip/{packed}/QI/MSK_CLOUDS_B00.gml"):
        document = item(classi={"href": href, "type": "application/gml+xml"})
        found = load(document, variables("l1c", "classi"), 20)["classi"]
        assert found.sum() == 6
        assert (found[:2, :3] == 1).all()
    gone = item(classi={"href": f"/vsizip/{packed}/no.gml", "type": "application/gml+xml"})
    with pytest.raises(LoadError, match=re.escape("/p.zip/no.gml")):
        load(gone, variables("l1c", "classi"), 20)


# --- hrefs and files that fail --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("p.zip", "odc-stac"),
        ("p.zip", "stackstac"),
        ("p q & r.zip", "odc-stac"),
        ("p.SAFE.archive", "odc-stac"),
    ],
)
def test_rasters_are_read_inside_a_zip(tmp_path: Path, engine: str, name: str) -> None:
    pixels = noise((24, 24))
    bands = np.zeros((3, 24, 24), "uint8")
    bands[1, 0] = 1
    packed = tmp_path / name
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(raster(tmp_path / "red.jp2", pixels), "a/red.jp2")
        archive.write(raster(tmp_path / "classi.jp2", bands), "a/classi.jp2")
    inside = f"/vsizip/{packed}" if name.endswith(".zip") else f"/vsizip/{{{packed}}}"
    document = item(red=asset(f"{inside}/a/red.jp2"), classi=asset(f"{inside}/a/classi.jp2"))
    found = load(document, variables("l1c", "red", "classi"), engine=engine)
    np.testing.assert_array_equal(found["red"], pixels.astype(int))
    assert (found["classi"][0] == 2).all()


def test_stackstac_refuses_archives_of_other_names(tmp_path: Path) -> None:
    said = asset(raster(tmp_path / "red.jp2", noise((24, 24))))
    document = item(red={**said, "href": f"/vsizip/{{{tmp_path}/p.archive}}/red.jp2"})
    with pytest.raises(LoadError, match=r"stackstac cannot read archives .* use engine=odc-stac"):
        load(document, RED, engine="stackstac")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_band_of_a_stack_is_read(tmp_path: Path, engine: str) -> None:
    stack = noise((3, 24, 24))
    path = raster(tmp_path / "x_FRE_STACK.tif", stack)
    document = item(red=asset(f"vrt://{path}?bands=3"), green=asset(f"vrt://{path}?bands=1"))
    found = load(document, variables("maja", "red", "green"), engine=engine)
    np.testing.assert_array_equal(found["red"], stack[2].astype(int))
    np.testing.assert_array_equal(found["green"], stack[0].astype(int))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("suffix", ["tif", "jp2"])
@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "rubbish"])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, engine: str, suffix: str, harm: str
) -> None:
    good = raster(tmp_path / "green.tif", noise((24, 24)))
    bad = raster(tmp_path / f"red.{suffix}", noise((24, 24)))
    document = item(green=asset(good), red=asset(bad))
    content = bad.read_bytes()
    if harm == "gone":
        bad.unlink()
    else:
        bad.write_bytes(
            {"cut": content[: len(content) // 2], "empty": b"", "rubbish": b"x" * 999}[harm]
        )
    with pytest.raises(LoadError, match=re.escape(f"cannot read {bad}: ")) as raised:
        load(document, variables("l2a", "red", "green"), engine=engine)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_broken_in_its_middle_is_named(tmp_path: Path, engine: str) -> None:
    good = raster(tmp_path / "green.tif", noise((24, 24)))
    bad = tmp_path / "red.tif"
    extent = Extent(32631, EXTENT.left, EXTENT.top - 960, EXTENT.left + 960, EXTENT.top)
    with rasterio.open(
        bad, "w", driver="GTiff", count=1, height=96, width=96, dtype="uint16", crs="EPSG:32631",
        transform=from_origin(*CORNER, 10, 10), tiled=True, blockxsize=32, blockysize=32,
        compress="deflate",
    ) as made:  # fmt: skip
        made.write(noise((96, 96)), 1)
    document = item(green=asset(good), red=asset(bad))
    content = bytearray(bad.read_bytes())
    middle = len(content) // 2
    content[middle - 400 : middle + 400] = b"\xff" * 800
    bad.write_bytes(content)
    with pytest.raises(LoadError, match=re.escape(f"cannot read {bad}: ")):
        load(document, variables("l2a", "red", "green"), extent=extent, engine=engine)


def test_an_item_that_does_not_say_where_its_raster_lies_is_refused(tmp_path: Path) -> None:
    whole = asset(raster(tmp_path / "red.tif", noise((24, 24))))
    for name in ("proj:code", "proj:shape", "proj:transform"):
        bare = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(BandError, match=f"item one does not say {name}; ingest it again"):
            load(item(red=bare), RED)
        said = item(red=bare) | {"properties": {name: whole[name]}}
        assert load(said, RED)["red"].shape == (24, 24)
    with pytest.raises(BandError, match="item one: 'local' is no EPSG code"):
        load(item(red={**whole, "proj:code": "local"}), RED)


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    document = item(red=asset(raster(tmp_path / "red.tif", noise((24, 24)))))
    with pytest.raises(BandError, match="no engine is called 'gdal'; there are odc-stac stackstac"):
        load(document, RED, engine="gdal")
