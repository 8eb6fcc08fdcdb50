"""Items as the public catalogues write them, in the words of this one.

data/: one item each, written by hand after what these catalogues serve, with few bands.
"""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from catalog.errors import SourceError
from catalog.testing import make_item
from catalog.vocabulary import normalise_item

DATA = Path(__file__).parent / "data"


def source(name):
    return json.loads((DATA / f"{name}.json").read_text())


def asset_of(found, key):
    return found.item["assets"][key]


def offsets(found):
    bands = (one for one in found.item["assets"].values() if "reflectance" in one.get("roles", ()))
    return {band["raster:bands"][0]["offset"] for band in bands}


SOURCES = ["earth-search-v0", "earth-search-v1", "planetary-computer", "copernicus-data-space"]


@pytest.mark.parametrize("name", SOURCES)
def test_what_every_source_becomes(name):
    given = source(name)
    untouched = deepcopy(given)
    found = normalise_item(given)
    assert given == untouched
    item, properties = found.item, found.item["properties"]
    assert (item["id"], item["collection"]) == (given["id"], given["collection"])
    assert item["stac_version"] == "1.1.0"
    assert properties["clearcube:level"] == "l2a"
    assert properties["processing:level"] == "L2A"
    assert properties["grid:code"] == "MGRS-31UES"
    assert properties["proj:code"] == "EPSG:32631"
    assert "proj:epsg" not in properties
    assert properties["constellation"] == "sentinel-2"
    assert properties["platform"] in ("sentinel-2a", "sentinel-2b", "sentinel-2c")
    for key, esa, size in (("blue", "B02", 10), ("rededge1", "B05", 20), ("nir08", "B8A", 20)):
        band = item["assets"][key]
        assert band["eo:bands"][0]["name"] == esa
        assert band["roles"] == ["data", "reflectance"]
        assert band["gsd"] == size
        assert band["proj:shape"] == [109800 // size] * 2
        assert band["proj:transform"] == [size, 0, 499980, 0, -size, 5700000]
        assert "proj:code" not in band
        assert "bands" not in band
        raster = band["raster:bands"][0]
        assert (raster["data_type"], raster["nodata"], raster["scale"]) == ("uint16", 0, 0.0001)
    scl = item["assets"]["scl"]
    assert scl["clearcube:encoding"] == "scl"
    assert scl["raster:bands"][0]["nodata"] == 0
    assert "scale" not in scl["raster:bands"][0]
    assert scl["roles"] == ["data", "classification"]
    assert [link["rel"] for link in item["links"]] == ["collection", "via"]
    versions = {uri.split("/")[3]: uri.split("/")[4] for uri in item["stac_extensions"]}
    assert versions["projection"] == "v2.0.0"
    assert versions["raster"] == "v1.1.0"
    # Once in these words, always the same.
    assert normalise_item(item).item == item


def test_earth_search_v1():
    found = normalise_item(source("earth-search-v1"))
    # The pixels were shifted back, whatever the bands say.
    assert offsets(found) == {0.0}
    assert found.item["properties"]["clearcube:offset_from"] == "boa_offset_applied"
    assert found.warnings == (
        "S2B_31UES_20230607_0_L2A: its pixels are shifted back already (boa_offset_applied), "
        "though its bands say offset -0.1: 0 is used",
    )
    # The JP2 twins come first in the file, and are not taken.
    assert asset_of(found, "blue")["href"].endswith("B02.tif")
    assert not [key for key in found.item["assets"] if "jp2" in key]
    assert asset_of(found, "aot")["raster:bands"][0]["scale"] == 0.001
    assert found.item["properties"]["clearcube:version"].startswith("05.09 2023-06-07T13:59:14")
    assert (
        "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json"
        in (found.item["stac_extensions"])
    )


def test_jp2_alone_is_taken():
    given = source("earth-search-v1")
    del given["assets"]["blue"]
    blue = asset_of(normalise_item(given), "blue")
    assert (blue["href"][-4:], blue["clearcube:source_key"]) == (".jp2", "blue-jp2")


def test_earth_search_v0():
    found = normalise_item(source("earth-search-v0"))
    assert offsets(found) == {0.0}
    # The baseline stands in the name of ESA's product only.
    assert found.item["properties"]["s2:processing_baseline"] == "02.12"
    assert found.item["properties"]["clearcube:offset_from"] == "baseline 02.12"
    assert found.warnings == ()
    assert asset_of(found, "blue")["clearcube:source_key"] == "B02"
    assert "overview" in found.item["assets"]  # three bands: none of ours


def test_planetary_computer():
    found = normalise_item(source("planetary-computer"))
    assert offsets(found) == {-0.1}
    assert found.item["properties"]["clearcube:offset_from"] == "baseline 04.00"
    assert found.warnings == ()
    assert asset_of(found, "nir08")["clearcube:source_key"] == "B8A"
    assert asset_of(found, "metadata")["href"].endswith("MTD_MSIL2A.xml")
    assert asset_of(found, "wvp")["raster:bands"] == [
        {"offset": 0.0, "data_type": "uint16", "nodata": 0, "scale": 0.001}
    ]


def test_copernicus_data_space():
    found = normalise_item(source("copernicus-data-space"))
    assert offsets(found) == {-0.1}
    assert found.item["properties"]["s2:processing_baseline"] == "05.11"
    assert found.item["properties"]["s2:generation_time"] == "2025-06-12T16:00:00Z"
    assert found.warnings == ()
    keys = {key: one.get("clearcube:source_key") for key, one in found.item["assets"].items()}
    assert keys["coastal"] == "B01_60m"  # nominal, though 20 m is delivered too
    assert keys["blue"] == "B02_10m"
    assert keys["scl"] == "SCL_20m"
    assert keys["aot"] == "AOT_20m"
    assert (
        asset_of(found, "blue")["alternate"]["https"]["href"] == "https://download.example/B02_10m"
    )
    assert asset_of(found, "blue")["file:size"] == 10000
    assert [one["value"] for one in asset_of(found, "scl")["classification:classes"]] == [0, 3]


# The offset


def item_with(baseline=None, said=None, flag=None, **changes):
    given = source("planetary-computer")
    properties = given["properties"]
    for name in ("s2:processing_baseline", "s2:product_uri"):
        del properties[name]
    if baseline is not None:
        properties["s2:processing_baseline"] = baseline
    if flag is not None:
        properties["earthsearch:boa_offset_applied"] = flag
    properties |= changes
    if said is not None:
        for key, asset in given["assets"].items():
            if key.startswith("B"):
                asset["raster:bands"] = [{"offset": said}]
    return given


@pytest.mark.parametrize(
    ("values", "offset", "source", "warned"),
    [
        ({"baseline": "05.10", "said": -0.1}, -0.1, "raster:bands", ""),
        ({"baseline": "02.12", "said": 0}, 0, "raster:bands", ""),
        ({"said": -0.1}, -0.1, "raster:bands", ""),
        ({"said": 0}, 0, "raster:bands", ""),
        ({"baseline": "05.10", "said": 0}, 0, "raster:bands", "baseline 05.10 has -0.1: 0 is used"),
        ({"baseline": "02.12", "said": -0.1}, -0.1, "raster:bands", "baseline 02.12 has 0"),
        ({"baseline": "04.00"}, -0.1, "baseline 04.00", ""),
        ({"baseline": "03.01"}, 0, "baseline 03.01", ""),
        ({"baseline": "05.10", "flag": True}, 0, "boa_offset_applied", ""),
        ({"baseline": "05.10", "flag": True, "said": -0.1}, 0, "boa_offset_applied", "0 is used"),
        ({"baseline": "05.10", "flag": False}, -0.1, "baseline 05.10", ""),
        ({}, 0, "assumed", "neither offset nor processing baseline is known"),
        ({"baseline": "99.99"}, 0, "assumed", "neither offset nor processing baseline is known"),
        ({"flag": False}, 0, "assumed", "neither offset nor processing baseline is known"),
        # A reprocessed old date, and a new one without shift: the date says nothing.
        ({"baseline": "05.00", "datetime": "2016-01-01T00:00:00Z"}, -0.1, "baseline 05.00", ""),
        ({"baseline": "02.14", "datetime": "2024-01-01T00:00:00Z"}, 0, "baseline 02.14", ""),
    ],
    ids=str,
)
def test_offset_is_decided_from_metadata(values, offset, source, warned):
    found = normalise_item(item_with(**values))
    assert offsets(found) == {offset}
    assert found.item["properties"]["clearcube:offset_from"] == source
    assert (warned in " ".join(found.warnings)) if warned else (found.warnings == ())
    assert asset_of(found, "aot")["raster:bands"][0]["offset"] == 0


def test_where_scale_may_stand():
    expected = {
        "data_type": "int16",
        "nodata": -9999,
        "scale": 0.001,
        "spatial_resolution": 10,
        "offset": 0.5,
    }
    fields = {"raster:scale": 0.001, "raster:offset": 0.5, "nodata": -9999, "data_type": "int16"}
    plain = {name.removeprefix("raster:"): value for name, value in fields.items()}
    for place in (fields, {"bands": [{"name": "B02", **fields}]}, {"raster:bands": [plain]}):
        given = item_with(baseline="02.12")
        given["assets"] = {"B02": {**given["assets"]["B02"], **place}}
        blue = asset_of(normalise_item(given), "blue")
        assert blue["raster:bands"] == [expected]
        assert not {"bands", "nodata", "data_type", "raster:scale"} & set(blue)


# Keys, tiles, levels


def test_bands_are_known_by_their_names_too():
    given = item_with(baseline="02.12")
    rasters = given["assets"]
    given["assets"] = {
        "img1": {**rasters["B02"], "eo:bands": [{"name": "x", "common_name": "blue"}]},
        "img2": {**rasters["B05"], "eo:bands": [{"name": "B05", "common_name": "rededge"}]},
        "img3": {"href": "x.tif", "bands": [{"name": "x", "eo:common_name": "swir22"}]},
        "img4": {"href": "y.tif", "bands": [{"name": "x", "eo:common_name": "rededge"}]},
        "img5": {"href": "z.tif", "roles": ["overview"], "bands": [{"name": "B04"}]},
        "B3": {"href": "b3.tif"},
    }
    assert list(normalise_item(given).item["assets"]) == [
        *("blue", "rededge1", "swir22", "green"),
        *("img4", "img5"),  # which red edge? and a picture
    ]


@pytest.mark.parametrize(
    ("properties", "item_id"),
    [
        ({"grid:code": "MGRS-31UES"}, "S2A_x"),
        ({"s2:mgrs_tile": "31UES"}, "S2A_x"),
        ({"s2:mgrs_tile": "T31UES"}, "S2A_x"),
        ({"mgrs:utm_zone": 31, "mgrs:latitude_band": "U", "mgrs:grid_square": "ES"}, "S2A_x"),
        (
            {"sentinel:utm_zone": 31, "sentinel:latitude_band": "U", "sentinel:grid_square": "ES"},
            "S2A_x",
        ),
        ({}, "S2A_MSIL2A_20190512T105031_N0212_R051_T31UES_20190512T134103"),
        ({}, "S2A_31UES_20190512_0_L2A"),
    ],
    ids=str,
)
def test_tile_wherever_it_is_said(properties, item_id):
    item = make_item(item_id, tile=None, **{"processing:level": "L2A", **properties})
    assert normalise_item(item).item["properties"]["grid:code"] == "MGRS-31UES"


def test_item_without_tile_is_warned_of():
    found = normalise_item(make_item("S2A_x", tile=None))
    assert found.warnings[0].startswith("S2A_x: no MGRS tile is named")


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({"collection": "sentinel-2-l1c"}, "l1c"),
        ({"collection": "sentinel-2-c1-l2a"}, "l2a"),
        ({"collection": "s", "platform": "sentinel-2a", "s2:product_type": "S2MSI1C"}, "l1c"),
        ({"collection": "s", "platform": "sentinel-2a", "s2:product_type": "S2MSI2A"}, "l2a"),
        ({"collection": "s", "constellation": "Sentinel 2", "processing:level": "Level-2A"}, "l2a"),
        ({"collection": "s", "constellation": "sentinel-2", "processing:level": "L1"}, "l1c"),
        ({"collection": "sentinel-2-l2a-theia"}, "maja"),
        ({"collection": "s", "clearcube:level": "maja"}, "maja"),
    ],
    ids=str,
)
def test_level(values, level):
    item = make_item("SX", collection=values.pop("collection"))
    item["properties"] |= values
    assert normalise_item(item).item["properties"]["clearcube:level"] == level


def test_item_of_a_collection_that_is_not_named():
    item = make_item("S2A_MSIL2A_x")
    del item["collection"]
    assert normalise_item(item, "theirs").item["collection"] == "theirs"
    assert normalise_item(item).item["collection"] == "sentinel-2-l2a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "Feature", "properties": None}, "is no STAC item"),
        ({"type": "Polygon"}, "is no STAC item"),
        ({"id": "a b"}, "an id holds"),
        ({"assets": []}, "have no hrefs"),
        ({"assets": {"B02": {"title": "x"}}}, "have no hrefs"),
        ({"collection": "landsat-c2-l2"}, "is not of Sentinel-2"),
        ({"collection": "sentinel-2"}, "whether it is L1C or L2A"),
        ({"id": "SENTINEL2X_20180515_L3A_T31TCJ"}, "is a synthesis of level 3A, no scene"),
        ({"bbox": [1, 2]}, "'SX' is not valid: .*bbox"),
    ],
    ids=str,
)
def test_what_is_refused(change, message):
    with pytest.raises(SourceError, match=message):
        normalise_item({**make_item("SX"), **change})


def test_version_of_items_that_say_none_is_that_of_their_files():
    one = normalise_item(make_item("S2A_x")).item["properties"]["clearcube:version"]
    moved = make_item("S2A_x")
    moved["assets"]["red"]["href"] = "/elsewhere/S2A_x/red.tif"
    assert normalise_item(moved).item["properties"]["clearcube:version"] == one
    moved["assets"]["red"]["file:size"] = 5
    assert normalise_item(moved).item["properties"]["clearcube:version"] != one


def test_derived_items_are_left_as_they_are():
    item = make_item("31UES", collection="cubes", clearcube__job="cube")
    assert normalise_item(item).item == item


def test_muscate_items_keep_their_own_encodings():
    item = make_item("SENTINEL2A_x", collection="sentinel-2-l2a-maja", clearcube__level="maja")
    item["assets"] = {
        "red": {"href": "/d/B4.tif", "raster:bands": [{"nodata": -10000, "scale": 1e-4}]},
        "clm": {"href": "/d/CLM.tif", "clearcube:encoding": "clm", "raster:bands": [{}]},
    }
    found = normalise_item(item)
    assert asset_of(found, "red")["raster:bands"][0] == {
        "data_type": "int16",
        "nodata": -10000,
        "scale": 1e-4,
        "spatial_resolution": 10,
        "offset": 0.0,
    }
    assert asset_of(found, "clm") == item["assets"]["clm"]
    assert found.warnings == ()
