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
    groups = [
        _group(month, cubes[0], group, dates, place)
        for group in cubes[0].spec.groups
        if _has_assets(item, cubes[0], group)
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


def _group(
    month: Month, cube: Cube, group: str, dates: Sequence[MonthDate], place: Place
) -> Document:
    """One group: its dates at the pixel, and each number of the result beside the item's."""
    resolution = cube.spec.groups[group]
    pixels = [_pixel(one, group, place, month) for one in dates]
    places = [i for i, one in enumerate(dates) if not one.left_out and pixels[i] is not None]
    taken = [(dates[i], pixel) for i in places if (pixel := pixels[i]) is not None]
    found = _account(month, cube, group, taken, place)
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
    results = [
        _result(month.item, name, suffix if name in LAYERS else "", found, shown, place)
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


def _pixel(one: MonthDate, group: str, place: Place, month: Month) -> PixelDate | None:
    if one.cube is None or one.entry is None or group not in one.cube.spec.groups:
        return None
    reading = month.reading if has_mask(one.entry, month.reading.encoding) else None
    return read_pixel(one.cube, one.entry, group, place, reading, binary=_is_binary(month))


def _is_binary(month: Month) -> bool:
    """Whether masks are taken as CNES's public program does."""
    return bool(getattr(month.params, "is_binary", False))


def _account(
    month: Month,
    cube: Cube,
    group: str,
    taken: Sequence[tuple[MonthDate, PixelDate]],
    place: Place,
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
        fixed=[pixel.fixed for _, pixel in taken] if _is_binary(month) else None,
    )


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
    item: Document, name: str, suffix: str, found: Account, dates: Sequence[str], place: Place
) -> Document:
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
    if name not in LAYERS:
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
        document["agrees"] = math.isclose(held[0], result.value, rel_tol=1e-6, abs_tol=1e-9)
    if name == "weight":
        document |= {key: _short(document[key]) for key in ("value", "item")}
    return document


def _short(value: float | None) -> float | None:
    """A float32 without the digits that it does not have."""
    return None if value is None else float(f"{value:.6g}")


def _has_assets(item: Document, cube: Cube, group: str) -> bool:
    """Whether an item has rasters of the group's resolution."""
    resolution = cube.spec.groups[group]
    return any(asset.get("gsd") == resolution for asset in item["assets"].values())


_EVER = datetime.max.replace(tzinfo=UTC)
