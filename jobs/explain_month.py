"""A synthesis at one place: every date of its window, what it counted for, and how it all adds up."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from catalog.backends.base import Document
from cube.account import LAYERS, Account, account, day_text
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.composite import day_number
from cube.decoding import MaskReading, has_mask
from cube.errors import CubeError
from cube.place import Place, read_place
from cube.reading import read_band
from cube.store import Cube
from jobs.block_dates import pixel_frame
from jobs.pixel_dates import (
    PixelDate,
    band_names,
    mask_document,
    pixel_weight,
    read_pixel,
    values_document,
)
from jobs.recorded_month import (
    Month,
    MonthDate,
    angle_files,
    cubes_of,
    inputs_of,
    left_out,
    recorded_month,
)
from jobs.synthesis import deciding_bands

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def explain_month(workspace: "Workspace", item: Document, place: Place) -> Document:
    """Item of a synthesis and a place -> the account of its pixel there, as JSON."""
    month = replace(recorded_month(item), angle_files=angle_files(workspace, item))
    request = item["properties"].get("clearcube:request", {})
    variant = str(request.get("mask", "")).partition(":")[2] or None
    cubes = cubes_of(workspace, month.tile, month.reading.encoding, item, variant)
    used = list(inputs_of(workspace, month, cubes))
    others = list(left_out(workspace, month, cubes[0], used))
    dates = sorted([*used, *others], key=lambda one: (one.time or _EVER, one.scenes))
    named = [group for group in cubes[0].spec.groups if _has_assets(item, cubes[0], group)]
    guide = _guide(month, cubes[0], dates, place) if month.method.together and named[1:] else None
    groups = [
        _group(month, cubes[0], group, dates, place, None if group == named[-1] else guide)
        for group in named
    ]
    first, last = month.window
    settings = item["properties"]["clearcube:parameters"]["mask_parameters"]
    verdicts = [group["agrees"] for group in groups]
    return {
        "kind": "synthesis",
        "method": month.method.name,
        "title": month.method.title,
        "period": month.period.label,
        "window": [first.isoformat(), last.isoformat()],
        "mask": {
            "encoding": month.reading.encoding,
            "reading": month.reading.reading,
            "buffer": month.reading.buffer,
            "options": {k: v for k, v in settings.items() if k not in ("reading", "buffer")},
        },
        "parameters": month.params.model_dump(mode="json"),
        "notes": list(_notes(month, used)),
        "groups": groups,
        "agrees": None if None in verdicts or not verdicts else all(verdicts),
    }


def _notes(month: Month, used: Sequence[MonthDate]) -> Iterator[str]:
    made_by = str(month.item["properties"].get("processing:version", "")).rpartition(".")[2]
    if made_by != month.method.version:
        yield (
            f"made by version {made_by} of {month.method.name}; "
            f"explained by version {month.method.version}"
        )
    gone = [one for one in used if one.entry is None]
    if gone:
        yield f"{len(gone)} of its dates are in no cube any more; what follows is of the others"


def _guide(month: Month, cube: Cube, dates: Sequence[MonthDate], place: Place) -> int:
    """Date that the coarsest group shows at a place, which guides the finer ones; -1 for none."""
    group = max(cube.spec.groups, key=lambda name: cube.spec.groups[name])
    pixels = [_pixel(one, group, place, month) for one in dates]
    places, taken = _taken(dates, pixels)
    chosen = _account(month, cube, group, taken, place, None).chosen
    return -1 if chosen is None else places[chosen]


def _group(
    month: Month,
    cube: Cube,
    group: str,
    dates: Sequence[MonthDate],
    place: Place,
    guide: int | None,
) -> Document:
    """One group: its dates at the pixel, and each number of the result beside the item's.

    ``guide`` is the date that the coarser group shows, -1 where it shows none.
    """
    resolution = cube.spec.groups[group]
    pixels = [_pixel(one, group, place, month) for one in dates]
    places, taken = _taken(dates, pixels)
    if guide is not None:
        guide = places.index(guide) if guide in places else -1
    found = _account(month, cube, group, taken, place, guide)
    documents = [_date(one, pixel, month.reading) for one, pixel in zip(dates, pixels, strict=True)]
    for i, verdict in zip(places, found.verdicts, strict=True):
        documents[i] |= {
            "kept": verdict.kept,
            "reason": verdict.reason + _within_buffer(pixels[i]),
            "factors": {name: _short(value) for name, value in verdict.factors.items()},
            "weight": None if verdict.weight is None else _short(verdict.weight),
            "corrected": values_document(verdict.corrected),
        }
    suffix = "" if group == next(iter(cube.spec.groups)) else f"_{resolution}m"
    shown = [documents[i]["date"] for i in places]
    layers = (*LAYERS, *(layer.name for layer in month.method.further))
    results = [
        _result(month.item, name, (suffix, name in layers), found, shown, place)
        for name in found.results
    ]
    agree = [result["agrees"] for result in results if result["asset"] in month.item["assets"]]
    return {
        "group": group,
        "resolution": resolution,
        "pixel": list(place.pixel(cube.spec.extent, resolution)),
        "dates": documents,
        "results": results,
        "agrees": None if None in agree or not agree else all(agree),
    }


def _taken(
    dates: Sequence[MonthDate], pixels: Sequence[PixelDate | None]
) -> tuple[list[int], list[tuple[MonthDate, PixelDate]]]:
    """Dates and what each saw -> those that count: their places in the list, and they themselves."""
    pairs = enumerate(zip(dates, pixels, strict=True))
    found = {i: (one, p) for i, (one, p) in pairs if not one.left_out and p is not None}
    return list(found), list(found.values())


def _pixel(one: MonthDate, group: str, place: Place, month: Month) -> PixelDate | None:
    if one.cube is None or one.entry is None or group not in one.cube.spec.groups:
        return None
    reading = month.reading if has_mask(one.entry, month.reading.encoding) else None
    return read_pixel(one.cube, one.entry, group, place, reading, binary=month.binary)


def _account(
    month: Month,
    cube: Cube,
    group: str,
    taken: Sequence[tuple[MonthDate, PixelDate]],
    place: Place,
    guide: int | None,
) -> Account:
    entries = [one.entry for one, _ in taken if one.entry is not None]
    names = band_names(cube, entries, group)
    weights = None
    nearness = month.method.nearness(month.params)
    if nearness is not None:
        weights = [
            pixel_weight(one.cube, one.entry, month.reading, group, place, nearness)
            for one, _ in taken
            if one.cube is not None and one.entry is not None
        ]
    aerosol = [pixel.aot for _, pixel in taken]
    known = any(aot is not None for aot in aerosol)
    resolution = cube.spec.groups[group]
    return account(
        month.method,
        month.params,
        month.period,
        {name: [p.bands.get(name, REFLECTANCE_NODATA) for _, p in taken] for name in names},
        [pixel.code for _, pixel in taken],
        [day_number(one.time.date()) for one, _ in taken if one.time is not None],
        weights,
        [pixel.blue for _, pixel in taken],
        [month.facts(one.time) for one, _ in taken],
        aot=[aot or 0 for aot in aerosol] if known else None,
        frame=pixel_frame(cube.spec, group, *place.pixel(cube.spec.extent, resolution)),
        fixed=[pixel.fixed for _, pixel in taken] if month.binary else None,
        deciding=_deciding(month, cube, group, taken, place),
        guide=guide,
    )


def _deciding(
    month: Month,
    cube: Cube,
    group: str,
    taken: Sequence[tuple[MonthDate, PixelDate]],
    place: Place,
) -> dict[str, list[int]]:
    """Bands of other groups that decide in a group, brought to it: (time,) dn by name."""
    entries = [one.entry for one, _ in taken if one.entry is not None]
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    window = slice(row, row + 1), slice(column, column + 1)
    return {
        name: [
            int(read_band(one.cube, group, name, [one.entry.slot], window)[0, 0, 0])
            for one, _ in taken
            if one.cube is not None and one.entry is not None
        ]
        for name in deciding_bands(cube.spec, entries, group, month.method, month.params)
    }


def _date(one: MonthDate, pixel: PixelDate | None, reading: MaskReading) -> Document:
    document: Document = {
        "date": "unknown" if one.time is None else one.time.date().isoformat(),
        "time": None if one.time is None else one.time.isoformat().replace("+00:00", "Z"),
        "scenes": list(one.scenes),
        "granule": None
        if len(one.scenes) == 1
        else "the first of these with data there; which is not recorded",
        "input": not one.left_out,
        "note": one.note,
        "values": {} if pixel is None else values_document(pixel.bands),
        "mask": None if pixel is None or not pixel.raw else mask_document(pixel, reading),
        "kept": False,
        "reason": one.left_out or one.note,
        "factors": {},
        "weight": None,
        "corrected": {},
    }
    return document


def _within_buffer(pixel: PixelDate | None) -> str:
    return "" if pixel is None or pixel.code == pixel.own else ", within the buffer"


def _result(
    item: Document,
    name: str,
    layer: tuple[str, bool],
    found: Account,
    dates: Sequence[str],
    place: Place,
) -> Document:
    suffix = layer[0] if layer[1] else ""
    result, asset = found.results[name], item["assets"].get(f"{name}{suffix}")
    document: Document = {
        "name": name,
        "asset": f"{name}{suffix}",
        "value": result.value,
        "formula": result.formula,
        "dates": [dates[i] for i in result.dates],
        "dropped": {dates[i]: why for i, why in result.dropped.items()},
        "item": None,
        "agrees": None,
    }
    if not layer[1]:
        document["reflectance"] = (
            None
            if result.value == REFLECTANCE_NODATA
            else round(result.value * REFLECTANCE_SCALE, 4)
        )
    if name == "date":
        document["day"] = day_text(result.value)
    if asset is None:
        return document | {"note": "the item has no such asset"}
    try:
        held = read_place(asset["href"], place)
    except CubeError as error:
        return document | {"note": str(error)}
    if held is not None:
        document["item"] = held[0]
        document["agrees"] = _agrees(
            held[0], result.value, name if layer[1] else "", found.tolerance
        )
    if layer[1] and name not in _WHOLE:
        document |= {key: _short(document[key]) for key in ("value", "item")}
    return document


def _agrees(held: float, value: float, layer: str, tolerance: int) -> bool:
    """Whether a stored number is what was computed anew, to the precision that it has."""
    if math.isnan(held) or math.isnan(value):
        return math.isnan(held) and math.isnan(value)
    if layer in LAYERS:
        return math.isclose(held, value, rel_tol=1e-6, abs_tol=1e-9)
    if layer:
        return math.isclose(held, value, rel_tol=0.01, abs_tol=1e-4)
    return abs(held - value) <= tolerance


def _short(value: float | None) -> float | None:
    """A float32 without the digits that it does not have; None for NaN, which is no JSON."""
    return None if value is None or math.isnan(value) else float(f"{value:.6g}")


def _has_assets(item: Document, cube: Cube, group: str) -> bool:
    """Whether an item has rasters of the group's resolution."""
    resolution = cube.spec.groups[group]
    return any(asset.get("gsd") == resolution for asset in item["assets"].values())


_WHOLE = ("date", "status", "clear_count", "total_count")
"""Layers of whole numbers."""

_EVER = datetime.max.replace(tzinfo=UTC)
