"""Products as STAC items."""

import json
from itertools import pairwise

import pystac
import pytest

from catalog.items import validate_item
from catalog.products import open_product, product_item
from catalog.products.bands import BANDS
from catalog.products.outline import geometry_and_bbox
from cube.bands import BANDS as CUBE_BANDS

GENUINE = [
    "safe-l1c-31TCJ/S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE",
    "safe-l1c-31TCJ/S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347.SAFE",
    "safe-l2a-small/S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857.SAFE",
    "safe-l2a-small/S2B_MSIL2A_20191228T210519_N0212_R071_T01CCV_20201003T104658.SAFE",
    "safe-l2a-small/esa_S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500.SAFE",
    "muscate-38KPE/SENTINEL2A_20170213-071209-461_L2A_T38KPE_C_V1-0",
    "muscate-38KPE/SENTINEL2A_20170223-071209-459_L2A_T38KPE_C_V1-0",
    "wasp-reference/l2a/SENTINEL2A_20180422-105000-000_L2A_T31TCJ_C_V1-0",
    "wasp-reference/l2a/SENTINEL2A_20180530-105000-000_L2A_T31TCJ_C_V1-0",
    "wasp-reference/l2a/SENTINEL2B_20180512-105000-000_L2A_T31TCJ_C_V1-0",
]


def test_bands_are_those_of_cubes():
    both = [(one.key, one.esa, one.resolution, one.centre, one.width) for one in BANDS]
    assert both == [
        (one.name, one.esa, one.resolution, one.centre, one.width) for one in CUBE_BANDS
    ]
    assert [one.muscate for one in BANDS] == [one.muscate for one in CUBE_BANDS]


@pytest.mark.shared
@pytest.mark.parametrize("path", GENUINE)
def test_genuine_products_make_valid_items(shared, path):
    document = product_item(open_product(shared / path))
    validate_item(document)
    assert json.loads(json.dumps(document)) == document
    item = pystac.Item.from_dict(document, preserve_dict=True)
    assert item.to_dict(include_self_link=False, transform_hrefs=False) == document


@pytest.mark.shared
def test_properties_of_an_l1c_item(shared):
    document = product_item(open_product(shared / GENUINE[0]))
    assert document["collection"] == "sentinel-2-l1c"
    assert document["properties"] == {
        "datetime": "2024-01-20T10:53:41.024000Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "grid:code": "MGRS-31TCJ",
        "proj:code": "EPSG:32631",
        "eo:cloud_cover": 0.0,
        "eo:snow_cover": 0.0,
        "view:sun_azimuth": 162.689190122297,
        "view:sun_elevation": 90 - 65.7554034542734,
        "view:azimuth": pytest.approx(197.7319531616147),
        "view:off_nadir": pytest.approx(2.86645933646085),
        "sat:relative_orbit": 51,
        "sat:absolute_orbit": 44807,
        "sat:orbit_state": "descending",
        "processing:level": "L1C",
        "s2:product_uri": f"{document['id']}.SAFE",
        "s2:processing_baseline": "05.10",
        "s2:datatake_id": "GS2A_20240120T105341_044807_N05.10",
        "s2:datastrip_id": ("S2A_OPER_MSI_L1C_DS_2APS_20240120T125244_S20240120T105433_N05.10"),
        "s2:granule_id": "S2A_OPER_MSI_L1C_TL_2APS_20240120T125244_A044807_T31TCJ_N05.10",
        "s2:generation_time": "2024-01-20T12:52:44Z",
        "clearcube:level": "l1c",
        "clearcube:version": "05.10 2024-01-20T12:52:44.000000Z",
    }


@pytest.mark.shared
def test_band_asset_of_an_l1c_item(shared):
    document = product_item(open_product(shared / GENUINE[0]))
    red = document["assets"]["red"]
    assert red == {
        "href": str(
            shared / GENUINE[0] / "GRANULE/L1C_T31TCJ_A044807_20240120T105433/IMG_DATA"
            "/T31TCJ_20240120T105341_B04.jp2"
        ),
        "type": "image/jp2",
        "roles": ["data", "reflectance"],
        "gsd": 10,
        "clearcube:saturated": 65535,
        "file:size": red["file:size"],
        "view:azimuth": 197.903966724671,
        "view:off_nadir": 2.74272750982938,
        "proj:shape": [10980, 10980],
        "proj:transform": [10.0, 0.0, 300000.0, 0.0, -10.0, 4900020.0],
        "eo:bands": [
            {
                "name": "B04",
                "common_name": "red",
                "center_wavelength": 0.665,
                "full_width_half_max": 0.031,
            }
        ],
        "raster:bands": [
            {
                "data_type": "uint16",
                "nodata": 0,
                "scale": 0.0001,
                "offset": -0.1,
                "spatial_resolution": 10,
            }
        ],
    }


def test_masks_say_what_their_values_mean(safe, muscate):
    assets = product_item(open_product(safe()))["assets"]
    scl = assets["scl"]["classification:classes"]
    assert [each["value"] for each in scl] == [*range(12)]
    assert (scl[0]["nodata"], scl[8]["name"]) == (True, "cloud_medium_probability")
    bands = assets["classi"]["raster:bands"]
    names = [band["classification:classes"][1]["name"] for band in bands]
    assert names == ["opaque_cloud", "cirrus", "snow_or_ice"]

    assets = product_item(open_product(muscate()))["assets"]
    clm = assets["clm"]["classification:bitfields"]
    assert [each["offset"] for each in clm] == [*range(8)]
    assert clm[5]["name"] == "shadow"
    assert assets["mg2_20m"]["classification:bitfields"][2]["name"] == "snow"
    saturated = [each["name"] for each in assets["sat_20m"]["classification:bitfields"]]
    assert saturated == [f"saturated_{name}" for name in ("B5", "B6", "B7", "B8A", "B11", "B12")]
    assert len(assets["sat"]["classification:bitfields"]) == 4
    assert len(assets["edg"]["classification:bitfields"]) == 1


def test_one_band_of_a_file(muscate):
    aot = product_item(open_product(muscate()))["assets"]["aot"]
    assert aot["href"] == f"vrt://{aot['clearcube:file']}?bands=2"
    assert aot["clearcube:band"] == 2


def test_alternate_reflectance_does_not_answer_to_the_name_of_the_band(muscate):
    assets = product_item(open_product(muscate()))["assets"]
    assert "eo:bands" in assets["red"]
    assert "eo:bands" not in assets["red_sre"]
    assert assets["red_sre"]["raster:bands"] == assets["red"]["raster:bands"]


def test_extensions_are_those_used(safe, muscate):
    l1c = safe(level="L1C")
    documents = [product_item(open_product(each)) for each in (safe(), muscate())]
    named = [{uri.split("/")[-3] for uri in each["stac_extensions"]} for each in documents]
    usual = {"classification", "eo", "file", "grid", "processing", "projection", "raster", "view"}
    assert named == [usual | {"sat"}, usual | {"sat"}]
    assert "classification/v2.0.0" in str(product_item(open_product(l1c))["stac_extensions"])


@pytest.mark.shared
def test_footprint_east_of_the_antimeridian(shared):
    """Zone 1 starts at the antimeridian, but this swath lies before it."""
    document = product_item(open_product(shared / GENUINE[3]))
    assert document["geometry"]["type"] == "Polygon"
    west, south, east, north = document["bbox"]
    assert (west, east) == (176.86462378607973, 178.46576196102689)
    assert (south, north) == (-72.99296585548929, -72.01247788750499)


@pytest.mark.parametrize("start", range(4))
def test_footprint_across_the_antimeridian(start):
    ring = [(179.0, -10.0), (-179.0, -10.0), (-179.0, -9.0), (179.0, -9.0)]
    turned = [*ring[start:], *ring[:start]]
    geometry, bbox = geometry_and_bbox([(*turned, turned[0])])
    assert bbox == [179.0, -10.0, -179.0, -9.0]
    assert geometry["type"] == "MultiPolygon"
    west, east = (sorted({x for x, _ in part[0]}) for part in geometry["coordinates"])
    assert (west, east) == ([-180.0, -179.0], [179.0, 180.0])


def test_footprint_is_counter_clockwise_and_closed():
    clockwise = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0))
    geometry, bbox = geometry_and_bbox([clockwise])
    (ring,) = geometry["coordinates"]
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2
    assert (area, ring[0], bbox) == (1.0, ring[-1], [0.0, 0.0, 1.0, 1.0])


def test_footprint_that_crosses_itself_is_made_valid():
    bow = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
    geometry, bbox = geometry_and_bbox([bow])
    assert (geometry["type"], bbox) == ("MultiPolygon", [0.0, 0.0, 1.0, 1.0])
