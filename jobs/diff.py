"""What changed between two items, or two generations of one: recipes, numbers and a picture."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from cube.account import STATUS_NAMES
from cube.classes import NAMES
from cube.difference import Difference, Raster, compare, overlap
from cube.errors import GridError
from jobs.diff_sides import Side, Source, generation_before, of_item, side
from jobs.errors import RequestError
from jobs.item_names import find_item

if TYPE_CHECKING:
    from jobs.workspace import Workspace

SMALL = {"reflectance": 1e-4, "number": 1e-3, "codes": 1.0}
"""Kind -> to what a median difference is told."""


def diff(
    workspace: "Workspace", first: str, second: str | None = None, picture: Path | None = None
) -> Document:
    """Two items, generations, folders or files -> how the second differs from the first, as JSON.

    One alone is compared with the generation before it. ``picture`` is where a PNG is written,
    unless nothing differs. ``RequestError`` where the two have no raster to compare.
    """
    if second is None:
        after = of_item(find_item(workspace, first))
        before = generation_before(workspace, find_item(workspace, first))
    else:
        before, after = side(workspace, first), side(workspace, second)
    pairs = _pairs(before, after)
    apart: dict[str, str] = {
        key: f"only in {one.label}"
        for one, other in ((before, after), (after, before))
        for key in one.sources
        if key not in other.sources and key not in pairs
    }
    found: dict[str, Document] = {}
    differences: dict[str, Difference] = {}
    for key, (a, b) in pairs.items():
        try:
            differences[key] = _compare(before, a, b)
        except GridError as error:
            apart[key] = str(error)
            continue
        found[key] = _document(key, a, b, differences[key])
    if not found:
        why = next(iter(apart.values()), "they have no asset in common")
        raise RequestError(f"{before.label} and {after.label} cannot be compared: {why}")
    same = all(difference.is_none for difference in differences.values())
    drawn = None
    if picture is not None and not same:
        from jobs.diff_picture import draw

        drawn = draw(picture, before, after, pairs, differences)
    return {
        "first": before.label,
        "second": after.label,
        "same": same,
        "recipe": _recipes(before, after),
        "assets": found,
        "not_compared": apart,
        "picture": None if drawn is None else str(drawn),
    }


def _pairs(before: Side, after: Side) -> dict[str, tuple[Source, Source]]:
    """Rasters of the same name; two lone files are a pair whatever they are called."""
    if len(before.sources) == len(after.sources) == 1:
        (key, a), (_, b) = (*before.sources.items(), *after.sources.items())
        return {key: (a, b)}
    return {
        key: (a, after.sources[key]) for key, a in before.sources.items() if key in after.sources
    }


def _compare(before: Side, a: Source, b: Source) -> Difference:
    with contextlib.ExitStack() as stack:
        first, second = _open(a, stack), _open(b, stack)
        overlap(first, second)
        classes = None
        if a.kind != "codes":
            classes = _status_on(first, before, stack)
        return compare(
            first, second, classes=classes, discrete=a.kind == "codes", step=SMALL[a.kind]
        )


def _open(source: Source, stack: contextlib.ExitStack) -> Raster:
    raster = Raster(source.href, source.about)
    stack.callback(raster.close)
    return raster


def _status_on(raster: Raster, before: Side, stack: contextlib.ExitStack) -> Raster | None:
    """The first side's status on a raster's grid, if it has one."""
    for key, source in before.sources.items():
        if key.startswith("status"):
            status = _open(source, stack)
            if (status.grid, status.shape) == (raster.grid, raster.shape):
                return status
    return None


def _document(key: str, a: Source, b: Source, found: Difference) -> Document:
    numbers = found.tally.document()
    document: Document = {
        "kind": a.kind,
        "pixels": found.pixels,
        "compared": numbers.pop("pixels"),
        **{name: _short(value) for name, value in numbers.items()},
        "nodata_gained": found.gained,
        "nodata_lost": found.lost,
    }
    if a.kind != "codes":
        return document | {
            "by_status": {
                STATUS_NAMES.get(code, str(code)): {
                    name: _short(value) for name, value in tally.document().items()
                }
                for code, tally in sorted(found.by_class.items())
            }
        }
    for name in ("mean", "median", "rms", "max"):
        del document[name]  # codes have none
    names = {**_own_names(key), **b.names, **a.names}
    document["transitions"] = [
        {
            "from": names.get(before, str(before)),
            "to": names.get(after, str(after)),
            "pixels": count,
        }
        for (before, after), count in sorted(found.transitions.items(), key=lambda p: -p[1])
        if before != after
    ]
    return document


def _own_names(key: str) -> Mapping[int, str]:
    if key.startswith("status"):
        return STATUS_NAMES
    return dict(enumerate(NAMES)) if key == "mask" else {}


def _short(value: float | int | None) -> float | int | None:
    """A number without the digits that arithmetic alone gives it."""
    if value is None or isinstance(value, int):
        return value
    return None if math.isnan(value) else float(f"{value:.6g}")


# --- recipes --------------------------------------------------------------------------------------


def _recipes(before: Side, after: Side) -> Document | None:
    """How the makings of two items differ; None where files do not say how they were made."""
    if before.item is None or after.item is None:
        return None
    a, b = before.item["properties"], after.item["properties"]
    inputs_a, inputs_b = a.get("clearcube:inputs", {}), b.get("clearcube:inputs", {})
    flat_a = dict(_flat(a.get("clearcube:parameters", {})))
    flat_b = dict(_flat(b.get("clearcube:parameters", {})))
    return {
        "inputs_added": sorted(set(inputs_b) - set(inputs_a)),
        "inputs_removed": sorted(set(inputs_a) - set(inputs_b)),
        "inputs_changed": {
            name: [inputs_a[name], inputs_b[name]]
            for name in sorted(set(inputs_a) & set(inputs_b))
            if inputs_a[name] != inputs_b[name]
        },
        "parameters": _changed(flat_a, flat_b),
        "made_by": _changed(
            {name: a.get(name) for name in _MAKING}, {name: b.get(name) for name in _MAKING}
        ),
    }


_MAKING = ("clearcube:job", "clearcube:method", "processing:version", "processing:software")


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [a.get(name), b.get(name)]
        for name in sorted(set(a) | set(b))
        if a.get(name) != b.get(name)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
