"""Scale, offset and nodata of a source's rasters, decided from metadata, never by date.

Since processing baseline 04.00 ESA's products hold reflectance * 10000 + 1000 (Sentinel-2 Products
Specification Document, BOA_ADD_OFFSET and RADIO_ADD_OFFSET). Sources keep, remove or forget to say
this; reprocessed old dates have it too.
"""

from typing import Any

from catalog.backends.base import Document
from catalog.products.bands import BANDS

OFFSET_FROM = "clearcube:offset_from"
"""Property that says what the offset was decided from."""

OFFSET_BASELINE = "04.00"
"""First processing baseline whose pixels are shifted."""

UNKNOWN_BASELINE = "99"
"""Baseline 99.99 marks reprocessing outside of operations: nothing follows from it."""

SHIFT = -0.1
"""The offset of shifted pixels: ADD_OFFSET -1000 over QUANTIFICATION_VALUE 10000."""

SCALE = 0.0001

_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_NODATA = {"l1c": 0, "l2a": 0, "maja": -10000}
_DATA_TYPE = {"l1c": "uint16", "l2a": "uint16", "maja": "int16"}
_AIR = ("aot", "wvp")
_AIR_SCALE = 0.001
"""AOT_QUANTIFICATION_VALUE and WVP_QUANTIFICATION_VALUE of ESA's L2A are 1000."""
_CLASSES = ("scl", "cldprb", "snwprb")
_MOVED = ("scale", "offset", "nodata", "data_type", "spatial_resolution", "unit", "statistics")


def radiometry(item: Document, level: str) -> list[str]:
    """Give every raster of an item one ``raster:bands`` and ``eo:bands``; warnings.

    The item is changed in place: its assets bear our keys and it names its baseline.
    """
    given = {
        band.key: _given(item["assets"][band.key]) for band in BANDS if band.key in item["assets"]
    }
    decided, source, warnings = _offsets(item["properties"], level, given)
    for band in BANDS:
        if band.key not in given:
            continue
        asset = item["assets"][band.key]
        _write(
            asset,
            {
                "data_type": _DATA_TYPE[level],
                "nodata": _NODATA[level],
                "scale": SCALE,
                "spatial_resolution": band.resolution,
                **given[band.key],
                "offset": decided[band.key],
            },
        )
        asset["eo:bands"] = [
            {
                "name": band.esa,
                "common_name": band.common_name,
                "center_wavelength": band.centre,
                "full_width_half_max": band.width,
            }
        ]
        asset["roles"] = ["data", "reflectance"]
        asset.setdefault("gsd", band.resolution)
    if given:
        item["properties"][OFFSET_FROM] = source
    _write_others(item, level)
    return warnings


def _offsets(
    properties: Document, level: str, given: dict[str, Document]
) -> tuple[dict[str, float], str, list[str]]:
    """Offset of each band, what it was decided from, and what is odd about it."""
    said = {key: fields["offset"] for key, fields in given.items() if "offset" in fields}
    baseline = properties.get("s2:processing_baseline")
    if baseline is not None and str(baseline) >= UNKNOWN_BASELINE:
        baseline = None
    shifted = baseline is not None and str(baseline) >= OFFSET_BASELINE
    if any(properties.get(flag) is True for flag in _FLAGS):
        contradicted = sorted({offset for offset in said.values() if offset != 0})
        notes = [
            f"its pixels are shifted back already (boa_offset_applied), though its bands say offset "
            f"{offset:g}: 0 is used"
            for offset in contradicted
        ]
        return dict.fromkeys(given, 0.0), "boa_offset_applied", notes
    default = SHIFT if shifted and level != "maja" else 0.0
    offsets = {key: float(said.get(key, default)) for key in given}
    if len(said) == len(given):
        return offsets, "raster:bands", _contradictions(said, baseline, default, level)
    if baseline is not None or level == "maja":
        return offsets, f"baseline {baseline}" if baseline else "level", []
    missing = " ".join(key for key in given if key not in said)
    note = f"neither offset nor processing baseline is known: offset 0 is assumed for {missing}"
    return offsets, "assumed", [note]


def _contradictions(said: dict[str, Any], baseline: Any, default: float, level: str) -> list[str]:
    if baseline is None or level == "maja":
        return []
    odd = sorted({float(offset) for offset in said.values() if float(offset) != default})
    return [
        f"its bands say offset {offset:g}, where baseline {baseline} has {default:g}: {offset:g} is "
        "used"
        for offset in odd
    ]


def _given(asset: Document) -> Document:
    """What an asset says of its one raster band: raster:bands, core bands, or asset fields."""
    found: Document = {}
    places: list[Any] = [
        asset,
        *(asset.get("bands") or [])[:1],
        *(asset.get("raster:bands") or [])[:1],
    ]
    for place in places:
        for name in _MOVED:
            value = place.get(name, place.get(f"raster:{name}"))
            if value is not None:
                found[name] = value
    return found


def _write(asset: Document, fields: Document) -> None:
    """One band in ``raster:bands``, nowhere else: readers of either place see the same."""
    asset["raster:bands"] = [fields]
    asset.pop("bands", None)
    for name in _MOVED:
        asset.pop(name, None)
        asset.pop(f"raster:{name}", None)


def _write_others(item: Document, level: str) -> None:
    assets = item["assets"]
    for key in _AIR:
        if key in assets:
            scale = (
                {} if level == "maja" else {"data_type": "uint16", "nodata": 0, "scale": _AIR_SCALE}
            )
            fields = {"offset": 0.0, **scale, **_given(assets[key])}
            _write(assets[key], fields)
            assets[key].pop("eo:bands", None)
            assets[key]["roles"] = ["data"]
    for key in _CLASSES:
        if key not in assets:
            continue
        fields = {"data_type": "uint8", **_given(assets[key])}
        # Classes and percentages are no reflectances, whatever the source says of them.
        fields.pop("scale", None)
        fields.pop("offset", None)
        if key == "scl":
            fields["nodata"] = 0
            assets[key]["roles"] = ["data", "classification"]
        assets[key]["clearcube:encoding"] = key
        _write(assets[key], fields)
        assets[key].pop("eo:bands", None)
