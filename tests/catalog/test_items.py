"""Derived items: what they say, and that they are valid."""

from copy import deepcopy
from datetime import UTC, datetime

import pystac
import pytest

from catalog.errors import CatalogError
from catalog.items import Recipe, derived_item, utc_text, validate_item
from catalog.search import times_of
from catalog.testing import make_item, rectangle

RECIPE = Recipe("synthesis", "1.0.0", "wasp", {"window": 23}, {"a": "05.00", "b": "05.09"})
MAY = (datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(**changes):
    values = {
        "when": MAY,
        "geometry": rectangle((4, 50, 5, 51)),
        "assets": {"red": {"href": "/data/red.tif", "roles": ["data"], "proj:shape": [2, 2]}},
        "recipe": RECIPE,
        "tile": "31UES",
        "derived_from": [make_item("a"), make_item("b")],
        "now": NOW,
        **changes,
    }
    return derived_item("31UES_2019-05_wasp_scl", "synthesis-wasp", **values)


def test_period_item_says_all():
    item = made(properties={"eo:cloud_cover": 12.5})
    assert item["bbox"] == [4, 50, 5, 51]
    version = item["properties"]["processing:software"]["clearcube"]
    assert item["properties"] == {
        "datetime": None,
        "start_datetime": "2019-05-01T00:00:00Z",
        "end_datetime": "2019-05-31T23:59:59.999999Z",
        "grid:code": "MGRS-31UES",
        "processing:software": {"clearcube": version},
        "processing:version": "1.0.0",
        "clearcube:job": "synthesis",
        "clearcube:method": "wasp",
        "clearcube:parameters": {"window": 23},
        "clearcube:inputs": {"a": "05.00", "b": "05.09"},
        "clearcube:fingerprint": RECIPE.fingerprint,
        "clearcube:status": "final",
        "created": "2026-01-02T03:04:05Z",
        "updated": "2026-01-02T03:04:05Z",
        "eo:cloud_cover": 12.5,
    }
    assert [(link["rel"], link["href"]) for link in item["links"]] == [
        ("collection", "../../synthesis-wasp"),
        ("derived_from", "../../sentinel-2-l2a/items/a"),
        ("derived_from", "../../sentinel-2-l2a/items/b"),
    ]
    names = [uri.split("/")[3] for uri in item["stac_extensions"]]
    assert names == ["projection", "eo", "grid", "processing"]


def test_instant_item():
    item = made(when=NOW, tile=None, bbox=(4, 50, 5, 51), status="provisional")
    assert item["properties"]["datetime"] == "2026-01-02T03:04:05Z"
    assert item["properties"]["clearcube:status"] == "provisional"
    assert "start_datetime" not in item["properties"]
    assert "grid:code" not in item["properties"]


def test_pystac_reads_it():
    item = pystac.Item.from_dict(made(), migrate=False)
    assert item.datetime is None
    assert times_of(made())[0] == MAY[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": (MAY[1], MAY[0])}, "before it starts"),
        ({"status": "done"}, "neither final nor provisional"),
        ({"assets": {"red": {"title": "no href"}}}, "'31UES_2019-05_wasp_scl'.*assets.red.*href"),
    ],
)
def test_bad_items_are_refused(changes, message):
    with pytest.raises(CatalogError, match=message):
        made(**changes)


def broken(path, value):
    item = deepcopy(made())
    target = item
    for step in path[:-1]:
        target = target[step]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return item


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["id"], "a/b"),
        (["type"], "Thing"),
        (["stac_version"], "1.0.0"),
        (["geometry"], None),
        (["bbox"], None),
        (["bbox"], [1, 2]),
        (["properties", "start_datetime"], None),
        (["properties", "datetime"], "soon"),
        (["properties", "end_datetime"], "2019-04-01T00:00:00Z"),
        (["links"], None),
        (["links"], []),
        (["assets"], None),
        (["assets", "red"], {}),
    ],
    ids=str,
)
def test_invalid_items_are_named(path, value):
    with pytest.raises(CatalogError, match=r"^item '[^']+' is not valid: ") as caught:
        validate_item(broken(path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["properties", "gsd"], -1, "properties.gsd: -1 is less"),
        (["assets", "red", "roles"], "data", "assets.red.roles: 'data' is not of type 'array'"),
        (["properties", "created"], 5, "properties.created: 5 is not of type 'string'"),
    ],
)
def test_the_schema_is_asked(path, value, message):
    with pytest.raises(CatalogError, match=message):
        validate_item(broken(path, value))


def test_fingerprint_of_a_recipe():
    other = Recipe("synthesis", "1.0.0", "wasp", {"window": 23.0}, {"b": "05.09", "a": "05.00"})
    assert other.fingerprint == RECIPE.fingerprint
    late = Recipe("synthesis", "1.0.0", "wasp", {"window": 23}, {**RECIPE.inputs, "c": "1"})
    assert late.fingerprint != RECIPE.fingerprint


def test_utc_text():
    assert utc_text(datetime.fromisoformat("2019-05-12T12:00:00.25+02:00")) == (
        "2019-05-12T10:00:00.250000Z"
    )
