"""What users write of times, tiles and boxes, and which items answer."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogError, QueryError
from catalog.search import (
    Query,
    instant,
    matches,
    normalise_tile,
    parse_bbox,
    parse_datetime,
    parse_query,
    tile_of,
    times_of,
)
from catalog.testing import make_item


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2019-05", utc(2019, 5, 1), utc(2019, 6, 1)),
        ("2019-12", utc(2019, 12, 1), utc(2020, 1, 1)),
        ("2020-02", utc(2020, 2, 1), utc(2020, 3, 1)),
        ("2019-05-12", utc(2019, 5, 12), utc(2019, 5, 13)),
        ("2019-12-31", utc(2019, 12, 31), utc(2020, 1, 1)),
        ("2019", utc(2019, 1, 1), utc(2020, 1, 1)),
        ("2018-08/2019-11", utc(2018, 8, 1), utc(2019, 12, 1)),
        ("2019-05-01/2019-05-01", utc(2019, 5, 1), utc(2019, 5, 2)),
        ("../2019-01-31", None, utc(2019, 2, 1)),
        ("/2019-01", None, utc(2019, 2, 1)),
        ("2019-01/..", utc(2019, 1, 1), None),
        ("2019-01-05/", utc(2019, 1, 5), None),
        (" 2019-05 ", utc(2019, 5, 1), utc(2019, 6, 1)),
        ("2019-05-12T10:00:00Z", utc(2019, 5, 12, 10), utc(2019, 5, 12, 10, 0, 0, 1)),
        ("2019-05-12t10:00:00z/..", utc(2019, 5, 12, 10), None),
        ("2019-05-12T10:00:00+02:00/..", utc(2019, 5, 12, 8), None),
        ("2019-05-12T10:00:00/..", utc(2019, 5, 12, 10), None),
        ("2019-05-12T10:00:00.5Z/2019-06", utc(2019, 5, 12, 10, 0, 0, 500000), utc(2019, 7, 1)),
        ("../2019-05-31T23:59:59.999999999Z", None, utc(2019, 6, 1)),
    ],
)
def test_datetime(text, start, end):
    assert parse_datetime(text) == (start, end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2019-13", "is no date"),
        ("2019-02-30", "is no date"),
        ("2019-5", "is no date"),
        ("2019-05-12T25:00:00Z", "is no date"),
        ("2019-05-12T10:00:60Z", "is no date"),
        ("yesterday", "is no date"),
        ("", "is no date"),
        ("\u0662\u0660\u0661\u0669-05", "is no date"),
        ("2019-05/2019-13", "is no date"),
        ("..", "is no date"),
        ("../..", "two open ends"),
        ("/", "two open ends"),
        ("2019/2020/2021", "more than two ends"),
        ("2019-06/2019-05", "ends before it starts"),
        ("2019-05-12/2019-05-11", "ends before it starts"),
        ("0000-01", "outside 1970 to 2100"),
        ("9999-12", "outside 1970 to 2100"),
        ("1850-01-01/2019", "outside 1970 to 2100"),
        ("9999-12-31T23:59:59-12:00", "is no date|outside"),
    ],
)
def test_datetime_that_means_nothing(text, message):
    with pytest.raises(QueryError, match=message) as caught:
        parse_datetime(text)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_datetime_or_refused(text):
    try:
        start, end = parse_datetime(text)
    except QueryError:
        return
    assert start is None or end is None or start < end


@pytest.mark.parametrize(
    ("text", "tile"),
    [
        ("31UES", "31UES"),
        ("T31UES", "31UES"),
        ("MGRS-31UES", "31UES"),
        (" t31ues ", "31UES"),
        ("1KAB", "01KAB"),
        ("T01KAB", "01KAB"),
        ("60WWT", "60WWT"),
    ],
)
def test_tile(text, tile):
    assert normalise_tile(text) == tile


@pytest.mark.parametrize(
    "text",
    [
        *("", "31", "31UE", "31UESS", "00UES", "61UES", "MGRS31UES", "TT31UES", "\u0663\u0661UES"),
        *("31IES", "31OES", "31AES", "31YES", "31UIS", "31UEI"),  # letters that no band or row has
        *("31UEW", "31UZS", "99ZZZ"),
    ],
)
def test_tile_that_is_none(text):
    with pytest.raises(QueryError, match="no MGRS tile"):
        normalise_tile(text)


@pytest.mark.parametrize(
    ("value", "bbox"),
    [
        ("4,50,5,51", (4, 50, 5, 51)),
        (" 4.5 , 50, 5,51 ", (4.5, 50, 5, 51)),
        ((179, -17, -179, -16), (179, -17, -179, -16)),
        ([4, 50, 0, 5, 51, 100], (4, 50, 5, 51)),
        ("4,50,4,50", (4, 50, 4, 50)),
    ],
)
def test_bbox(value, bbox):
    assert parse_bbox(value) == bbox


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "has 0 numbers"),
        ("1,2,3", "has 3 numbers"),
        ("a,b,c,d", "is not numbers"),
        ("nan,0,1,1", "is not finite"),
        ("0,0,inf,1", "is not finite"),
        ("0,51,1,50", "south above north"),
        ("0,0,181,1", "leaves the globe"),
        ("0,-91,1,1", "leaves the globe"),
    ],
)
def test_bbox_that_means_nothing(value, message):
    with pytest.raises(QueryError, match=message):
        parse_bbox(value)


def test_query_as_users_write_it():
    query = parse_query(tile=["T31UES", "31UES"], bbox="4,50,5,51", datetime="2019-05", ids=["a"])
    assert query.tiles == ("31UES",)
    assert query.bbox == (4.0, 50.0, 5.0, 51.0)
    assert query.datetime == (utc(2019, 5, 1), utc(2019, 6, 1))
    assert (query.ids, query.collections, query.limit) == (("a",), (), 100)


@pytest.mark.parametrize(
    "values", [{"limit": 0}, {"limit": 10001}, {"max_cloud": -1}, {"max_cloud": 101}]
)
def test_query_out_of_range(values):
    with pytest.raises(QueryError):
        parse_query(**values)


def test_an_empty_query_asks_nothing():
    assert matches(make_item(bbox=None, tile=None), Query())


def test_period_wins_over_datetime():
    item = make_item(
        start_datetime="2019-05-01T00:00:00Z", end_datetime="2019-05-31T23:59:59.999999Z"
    )
    assert times_of(item) == (utc(2019, 5, 1), utc(2019, 5, 31, 23, 59, 59, 999999))
    assert matches(item, parse_query(datetime="2019-05-02"))


def test_item_without_time():
    with pytest.raises(CatalogError, match="'S2A_TEST' has no usable datetime"):
        times_of(make_item(datetime=None))


def test_tile_of():
    assert tile_of(make_item()) == "31UES"
    assert tile_of(make_item(tile=None)) is None


def test_instant_has_microseconds():
    assert instant("2019-05-12T10:50:31.123456789Z") == utc(2019, 5, 12, 10, 50, 31, 123456)


def test_bbox_of_a_line_and_a_bad_geometry():
    # Neither may fail: what GEOS cannot read is judged by its bbox.
    item = make_item(bbox=(0, 0, 2, 2))
    item["geometry"] = {"type": "LineString", "coordinates": [[0, 0], [2, 2]]}
    assert matches(item, parse_query(bbox=(1, 1, 1, 1)))
    assert not matches(item, parse_query(bbox=(1.5, 0, 2, 0.5)))
    item["geometry"] = {"type": "Blob", "coordinates": []}
    assert matches(item, parse_query(bbox=(1.5, 0, 2, 0.5)))
    del item["bbox"]
    item["geometry"] = {"type": "Point", "coordinates": [1, 1]}
    assert matches(item, parse_query(bbox=(0, 0, 1, 1)))


def test_geometry_across_the_antimeridian_that_was_not_cut():
    item = make_item(bbox=(179, -17, -179, -16))
    item["geometry"] = {
        "type": "Polygon",
        "coordinates": [[[179, -17], [-179, -17], [-179, -16], [179, -16], [179, -17]]],
    }
    assert matches(item, parse_query(bbox=(-179.5, -17, -179.2, -16)))
    assert matches(item, parse_query(bbox=(179.5, -17, -179.9, -16)))
    assert not matches(item, parse_query(bbox=(0, -17, 1, -16)))
