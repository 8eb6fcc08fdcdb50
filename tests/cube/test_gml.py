"""Cloud polygons: bits by pixel centre, holes, CRS, empty and broken files, genuine ones."""

from xml.etree import ElementTree

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from cube import masks
from cube.errors import MaskError
from cube.gml import rasterise_clouds

HEAD = (
    '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
    'xmlns:gml="http://www.opengis.net/gml/3.2">'
)


def grid(rows=6, columns=8, crs="EPSG:32631"):
    return GeoBox((rows, columns), from_origin(300000, 5000000, 60, 60), crs)


def ring(west, north, east, south):
    points = [(west, north), (east, north), (east, south), (west, south), (west, north)]
    flat = " ".join(f"{300000 + x} {5000000 - y}" for x, y in points)
    return f'<gml:LinearRing><gml:posList srsDimension="2">{flat}</gml:posList></gml:LinearRing>'


def feature(kind, outer, hole="", srs=""):
    inner = f"<gml:interior>{hole}</gml:interior>" if hole else ""
    return (
        f"<eop:MaskFeature><eop:maskType>{kind}</eop:maskType><eop:extentOf><gml:Polygon {srs}>"
        f"<gml:exterior>{outer}</gml:exterior>{inner}"
        "</gml:Polygon></eop:extentOf></eop:MaskFeature>"
    )


def mask(*features):
    return f"{HEAD}<eop:maskMembers>{''.join(features)}</eop:maskMembers></eop:Mask>"


def test_each_type_sets_its_bit_and_overlaps_keep_both():
    text = mask(feature("OPAQUE", ring(0, 0, 180, 120)), feature("CIRRUS", ring(120, 60, 300, 180)))
    bits = rasterise_clouds(text, grid())
    expected = np.zeros((6, 8), "uint8")
    expected[0:2, 0:3] |= 0b01
    expected[1:3, 2:5] |= 0b10
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits, expected)


def test_the_pixel_whose_centre_is_inside_counts():
    bits = rasterise_clouds(mask(feature("OPAQUE", ring(0, 0, 89, 91))), grid())
    assert bits.sum() == 2  # centres at 30 and 90 m: one column, two rows
    assert bits[0, 0] == bits[1, 0] == 0b1


def test_holes_stay_free():
    text = mask(feature("OPAQUE", ring(0, 0, 300, 300), hole=ring(60, 60, 180, 120)))
    bits = rasterise_clouds(text, grid())
    assert bits[1, 1] == bits[1, 2] == 0
    assert bits.sum() == 25 - 2


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}</eop:Mask>",
        f"{HEAD}<eop:maskMembers/></eop:Mask>",
        '<?xml version="1.0" encoding="UTF-8"?>' + mask(),
    ],
    ids=["no-members", "empty-members", "declared"],
)
def test_an_empty_collection_is_no_cloud(text):
    for form in (text, text.encode()):
        assert not rasterise_clouds(form, grid()).any()


def test_polygons_of_another_crs_are_reprojected():
    # 0.01 degrees round the central meridian of zone 31: longitude 3 is easting 500000.
    flat = "2.99 45.01 3.01 45.01 3.01 44.99 2.99 44.99 2.99 45.01"
    outer = f"<gml:LinearRing><gml:posList>{flat}</gml:posList></gml:LinearRing>"
    text = mask(feature("OPAQUE", outer, srs='srsName="urn:ogc:def:crs:EPSG::4326"'))
    box = GeoBox((100, 100), from_origin(497000, 4986000, 60, 60), "EPSG:32631")
    bits = rasterise_clouds(text, box)
    # 0.02 degrees are about 1577 m by 2223 m there.
    assert bits.any(axis=0).sum() == pytest.approx(1577 / 60, abs=1)
    assert bits.any(axis=1).sum() == pytest.approx(2223 / 60, abs=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<eop:Mask",
        "<html/>",
        mask(feature("FOG", ring(0, 0, 60, 60))),
        mask(
            feature("OPAQUE", "<gml:LinearRing><gml:posList>1 2 3</gml:posList></gml:LinearRing>")
        ),
        mask(feature("OPAQUE", "<gml:LinearRing><gml:posList>a b</gml:posList></gml:LinearRing>")),
        mask(feature("OPAQUE", "<gml:LinearRing/>")),
        mask(feature("OPAQUE", ring(0, 0, 60, 60), srs='srsName="urn:ogc:def:crs:EPSG:8.7:x"')),
        f'<!DOCTYPE a [<!ENTITY b "c">]>{HEAD}&b;</eop:Mask>',
    ],
    ids=["empty", "cut", "html", "type", "odd-numbers", "words", "no-positions", "crs", "entity"],
)
def test_a_broken_file_is_named(text):
    with pytest.raises(MaskError, match=r"MSK_CLOUDS_B00\.gml: ") as caught:
        rasterise_clouds(text, grid(), source="MSK_CLOUDS_B00.gml")
    assert "\n" not in str(caught.value)


def _area(text):
    """Signed areas of the rings by the shoelace formula: polygons are made of whole pixels."""
    total = 0.0
    for polygon in ElementTree.fromstring(text).iter("{http://www.opengis.net/gml/3.2}Polygon"):
        for each in polygon.iter("{http://www.opengis.net/gml/3.2}posList"):
            numbers = np.array(each.text.split(), dtype=float).reshape(-1, 2)
            x, y = numbers.T
            area = abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
            inside = each is next(polygon.iter("{http://www.opengis.net/gml/3.2}posList"))
            total += area if inside else -area
    return total


@pytest.mark.shared
@pytest.mark.parametrize(
    ("tile", "epsg", "west", "north"),
    [("T07HFE", 32707, 600000, 6500020), ("T01CCV", 32701, 300000, 2000020),
     ("T22HBD", 32722, 199980, 5900020)],
)  # fmt: skip
def test_genuine_files_cover_the_area_of_their_polygons(shared, tile, epsg, west, north):
    (path,) = shared.glob(f"safe-l2a-small/*{tile}*/GRANULE/*/QI_DATA/MSK_CLOUDS_B00.gml")
    text = path.read_bytes()
    box = GeoBox((1830, 1830), from_origin(west, north, 60, 60), f"EPSG:{epsg}")
    bits = rasterise_clouds(text, box, source=path.name)
    # Their outlines follow the edges of 60 m pixels and do not overlap within a type.
    assert (bits & 0b01).astype(bool).sum() + (bits & 0b10).astype(bool).sum() == pytest.approx(
        _area(text) / 3600, rel=1e-3
    )
    decoded = masks.decode("classi", {"classi": bits})
    np.testing.assert_array_equal(decoded == 2, (bits & 1).astype(bool))
