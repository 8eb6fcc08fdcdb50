"""The fields of our own: each has its type, its page, and is refused by its name."""

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from catalog.errors import CatalogError
from catalog.extension import extension_schema, field_fault, validate_fields
from catalog.testing import make_item

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "catalog" / "EXTENSION.md").read_text("utf-8")
SCHEMA = extension_schema()["properties"]
PROPERTIES = SCHEMA["properties"]["properties"]
ASSETS = SCHEMA["assets"]["additionalProperties"]["properties"]

RECIPE = {
    "processing:version": "1.0.0",
    "clearcube:job": "synthesis",
    "clearcube:method": "wasp",
    "clearcube:parameters": {"half_window": 23},
    "clearcube:inputs": {"S2A_x": "05.00+1234"},
    "clearcube:fingerprint": "0123456789abcdef",
    "clearcube:status": "final",
    "clearcube:request": {"tile": "31UES"},
    "clearcube:without": {"S2A_y": "broken", "S2A_z": {"version": "05.00", "cause": "broken"}},
    "clearcube:variant": "",
    "clearcube:rejected": "haze",
}
SCENE = {
    "clearcube:level": "l2a",
    "clearcube:version": "05.00",
    "clearcube:superseded_by": "S2A_other",
    "clearcube:offset_from": "the baseline",
    "clearcube:notes": ["nodata is 0 in the file"],
}
CUBE = {
    "clearcube:cube_level": "maja",
    "clearcube:generation": 1,
    "clearcube:dates": 4,
    "clearcube:spans": [["2019-04-01T00:00:00Z", None], [None, "2019-04-01T10:20:30.5Z"]],
}
MASK = {
    "clearcube:checksum": "0123456789abcdef",
    "clearcube:classes": {"clear": 62.5, "cloud": 37.5},
    "clearcube:clear_percentage": 62.5,
    "clearcube:observed_percentage": 100,
}
DECODED = {"clearcube:contradictory_pixels": 0}
FOUND = {
    "clearcube:pixels": "0123456789abcdef",
    "clearcube:dates": 72,
    "clearcube:mode": "NOMINAL",
    "clearcube:mode_info": "L2 from previous",
    "clearcube:mode_reason": "5.0 days after the previous date; a start is made from 15 on",
    "clearcube:reads": ["31UES_20190516T105659_mtcd"],
    "clearcube:follows": "31UES_20190511T105659_mtcd",
    "clearcube:evaluated": {"shadow": "evaluated", "high_cloud": "not evaluated: no cirrus band"},
}
MASKS = {"clearcube:masks": "tsmask-wide", "clearcube:generation": 2, "clearcube:dates": 72}
SYNTHESIS = {
    "clearcube:period": "2019-05",
    "clearcube:mask": "scl",
    "clearcube:dates": 9,
}
SHOWN = {
    "clearcube:shown": {"land": 90, "cloud_or_shadow": 10},
    "clearcube:shares": [
        {"datetime": "2019-05-16T10:56:59Z", "scenes": ["S2A_x"], "percentage": 62.5}
    ],
}
ASSET = {
    "clearcube:file": "/d/stack.tif",
    "clearcube:band": 4,
    "clearcube:encoding": "scl",
    "clearcube:saturated": 65535,
    "clearcube:source_key": "B04",
}
KINDS = {
    "scene": SCENE,
    "cube": {**RECIPE, **CUBE},
    "mask": {**RECIPE, **MASK},
    "decoded": {**RECIPE, **MASK, **DECODED},
    "found": {**RECIPE, **MASK, **FOUND},
    "masks": {**RECIPE, **MASKS},
    "synthesis": {**RECIPE, **SYNTHESIS, **SHOWN},
}
EVERY = {name: value for fields in KINDS.values() for name, value in fields.items()}

WRONG = {
    "clearcube:level": "l3b",
    "clearcube:version": 5,
    "clearcube:superseded_by": None,
    "clearcube:rejected": True,
    "clearcube:offset_from": 0,
    "clearcube:notes": "one",
    "clearcube:job": "",
    "clearcube:method": None,
    "clearcube:parameters": [],
    "clearcube:inputs": {"a": 5},
    "clearcube:fingerprint": "0123",
    "clearcube:status": "current",
    "clearcube:request": "tile=31UES",
    "clearcube:without": {"a": {"version": "5"}},
    "clearcube:variant": None,
    "clearcube:checksum": 12,
    "clearcube:classes": {"clear": 101},
    "clearcube:clear_percentage": "62 %",
    "clearcube:observed_percentage": -1,
    "clearcube:contradictory_pixels": 0.5,
    "clearcube:pixels": "0123",
    "clearcube:mode": "nominal",
    "clearcube:mode_info": None,
    "clearcube:mode_reason": 5,
    "clearcube:reads": "31UES_20190516T105659_mtcd",
    "clearcube:follows": None,
    "clearcube:evaluated": {"shadow": True},
    "clearcube:masks": "",
    "clearcube:dates": "4",
    "clearcube:period": 2019,
    "clearcube:mask": None,
    "clearcube:shown": {"land": 0.5},
    "clearcube:shares": [{"datetime": "2019-05-16T10:56:59Z", "percentage": 62.5}],
    "clearcube:cube_level": "L2A",
    "clearcube:generation": 0,
    "clearcube:spans": [["2019-04-01", None]],
    "clearcube:file": 4,
    "clearcube:band": 0,
    "clearcube:encoding": ["scl"],
    "clearcube:saturated": "65535",
    "clearcube:source_key": 4,
}


def item(properties, asset=None):
    made = make_item("S2A_x")
    made["properties"] |= deepcopy(properties)
    made["assets"]["red"] |= deepcopy(asset or {})
    return made


def kind_with(name):
    return next(dict(fields) for fields in KINDS.values() if name in fields)


def test_the_schema_is_one():
    Draft7Validator.check_schema(extension_schema())
    assert SCHEMA["properties"]["propertyNames"]["then"]["enum"] == list(PROPERTIES)
    names = SCHEMA["assets"]["additionalProperties"]["propertyNames"]
    assert names["then"]["enum"] == list(ASSETS)
    needed = SCHEMA["properties"]["dependencies"]
    assert {name for names in needed.values() for name in names} <= {*PROPERTIES, *needed} | {
        "processing:version"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_items_of_each_kind_are_valid(kind):
    validate_fields(item(KINDS[kind], ASSET))


def test_items_of_others_are_none_of_its_business():
    validate_fields(item({"s2:processing_baseline": 4, "processing:version": None}))


def test_every_field_has_a_value_here_right_and_wrong():
    assert set(EVERY) - {"processing:version"} == set(PROPERTIES)
    assert set(ASSET) == set(ASSETS)
    assert set(WRONG) == {*PROPERTIES, *ASSETS}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_wrong_property_is_refused_by_its_name(name):
    with pytest.raises(CatalogError) as refused:
        validate_fields(item({**kind_with(name), name: WRONG[name]}))
    assert str(refused.value).startswith(f"item 'S2A_x' is not valid: properties.{name}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ASSETS)
def test_a_wrong_field_of_an_asset_is_refused_by_its_name(name):
    fault = field_fault(item(SCENE, {**ASSET, name: WRONG[name]}))
    assert fault.startswith(f"assets.red.{name}: ")


def test_unknown_fields_are_refused():
    assert field_fault(item({"clearcube:colour": 1})) == (
        "properties: there is no field clearcube:colour"
    )
    # Where a field stands counts: this one is of assets.
    assert field_fault(item({"clearcube:band": 1})) == (
        "properties: there is no field clearcube:band"
    )
    assert field_fault(item({}, {"clearcube:job": "cube"})) == (
        "assets.red: there is no field clearcube:job"
    )


@pytest.mark.parametrize(
    ("kind", "without"),
    [
        *(("cube", name) for name in (*RECIPE, *CUBE) if name in PROPERTIES),
        *(("mask", name) for name in MASK),
        *(("synthesis", name) for name in SYNTHESIS),
        ("synthesis", "processing:version"),
    ],
)
def test_what_a_kind_needs_is_missed_by_its_name(kind, without):
    fields = dict(KINDS[kind])
    del fields[without]
    free = {"clearcube:without", "clearcube:rejected", *(["clearcube:variant"] * (kind == "cube"))}
    # What tells the kind may be absent: then it is none of this kind.
    tells = {"mask": "clearcube:classes", "synthesis": "clearcube:period"}.get(kind)
    fault = field_fault(item(fields))
    if without in (*free, tells):
        assert fault is None
    else:
        assert f"'{without}' is a dependency of" in fault


def test_a_file_of_bands_names_the_band():
    assert "'clearcube:band' is a dependency of" in field_fault(item({}, {"clearcube:file": "/x"}))


def test_the_page_names_every_field_once():
    rows = re.findall(r"^\| `(clearcube:\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted([*PROPERTIES, *ASSETS])
    assert set(re.findall(r"clearcube:\w+", PAGE)) == {*PROPERTIES, *ASSETS}


def test_the_examples_of_the_page_are_valid():
    examples = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        validate_fields(item(json.loads(example)))


def test_every_field_that_the_code_writes_is_described():
    written = set()
    for package in ("catalog", "cube", "jobs"):
        for module in (ROOT / package).rglob("*.py"):
            written |= set(
                re.findall(r"[\"'`](clearcube:[a-z_]+)[\"'`]", module.read_text("utf-8"))
            )
    assert written <= {*PROPERTIES, *ASSETS}
