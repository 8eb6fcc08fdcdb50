"""Syntheses of level 3A: a genuine one of WASP, and what is wrong with broken ones."""

import shutil
from datetime import UTC, datetime

import pytest

from catalog.errors import ProductError
from catalog.products import open_product, product_item
from catalog.vocabulary import normalise_item

SYNTHESIS = "SENTINEL2X_20180515-000000-000_L3A_T31TCJ_C_V1-1"
BANDS = [
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "swir16",
    "swir22",
]
LAYERS = ["weight", "weight_20m", "date", "date_20m", "status", "status_20m"]

pytestmark = pytest.mark.shared


def test_a_genuine_synthesis(shared):
    folder = shared / "wasp-reference/l3a" / SYNTHESIS
    product = open_product(folder)
    assert (product.id, product.level, product.tile) == (SYNTHESIS, "l3a", "31TCJ")
    assert (product.platform, product.epsg) == ("sentinel-2", 32631)
    assert product.acquired == datetime(2018, 5, 15, tzinfo=UTC)
    assert product.span == (
        datetime(2018, 4, 22, 10, 50, tzinfo=UTC),
        datetime(2018, 5, 30, 10, 50, tzinfo=UTC),
    )
    assert (product.cloud_cover, product.snow_cover) == (2, 0)
    assert {each.key for each in product.assets} == {*BANDS, *LAYERS, "thumbnail", "metadata"}
    assert product.warnings == ()
    red, weight, status = (product.asset(key) for key in ("red", "weight_20m", "status"))
    assert red.href == f"{folder}/{SYNTHESIS}_FRC_B4.tif"
    assert (red.scale, red.offset, red.nodata, red.data_type) == (0.0001, 0.0, -10000, "int16")
    assert weight.href == f"{folder}/MASKS/{SYNTHESIS}_WGT_R2.tif"
    assert (weight.scale, weight.nodata, weight.gsd) == (0.001, -10000, 20)
    assert (status.nodata, status.scale, status.grid.shape) == (0, None, (480, 480))


def test_its_item(shared):
    item = product_item(open_product(shared / "wasp-reference/l3a" / SYNTHESIS))
    assert item["collection"] == "sentinel-2-l3a-maja"
    properties = item["properties"]
    assert properties["processing:level"] == "L3A"
    assert properties["clearcube:level"] == "l3a"
    assert properties["datetime"] == "2018-05-15T00:00:00Z"
    assert properties["start_datetime"] == "2018-04-22T10:50:00Z"
    assert properties["end_datetime"] == "2018-05-30T10:50:00Z"
    classes = item["assets"]["status"]["classification:classes"]
    assert [each["name"] for each in classes] == [
        "nodata",
        "cloud_or_shadow",
        "snow",
        "water",
        "land",
    ]
    assert item["assets"]["date"]["raster:bands"][0]["data_type"] == "int16"


def test_its_item_of_another_catalogue_stays_what_it_is(shared):
    item = product_item(open_product(shared / "wasp-reference/l3a" / SYNTHESIS))
    assert normalise_item(item).item == item


def test_what_is_missing_is_named(shared, tmp_path):
    folder = tmp_path / SYNTHESIS
    shutil.copytree(shared / "wasp-reference/l3a" / SYNTHESIS, folder)
    (folder / "MASKS" / f"{SYNTHESIS}_WGT_R2.tif").unlink()
    assert open_product(folder).warnings == (f"{folder}: not delivered: Pixel_Weight_R2",)
    (folder / f"{SYNTHESIS}_FRC_B8A.tif").unlink()
    with pytest.raises(ProductError, match="missing band B8A of FRC"):
        open_product(folder)
