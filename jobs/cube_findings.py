"""Cubes held against their items: what the root says, and whether the store is that."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from cube.errors import StoreError
from cube.soundness import Fault, date_faults, store_faults
from cube.spec import DateEntry
from cube.store import Cube, open_store
from jobs.finding import Finding, error, note, remake
from jobs.mask_store import recorded_store_item
from jobs.stores import asked_spans, cube_item

if TYPE_CHECKING:
    from jobs.workspace import Workspace

Step = Callable[[str], None]

SAID = ("href", "proj:code", "proj:shape", "proj:transform", "cube:dimensions")
"""Fields of an asset that a store's root decides."""

THREADS = 2
"""Dates read at once: decoding and hashing let go of the interpreter; each holds a row of chunks."""


def cube_findings(
    item: Document, *, quick: bool, begin: Callable[[int], Step]
) -> Iterator[Finding]:
    """Item of a cube -> where it, the root and the files of the store disagree.

    ``begin`` is told how many dates there are, and what it gives is called for each.
    """
    paths = sorted({str(asset["href"]) for asset in item["assets"].values()})
    path = Path(paths[0])
    if not path.is_dir():
        yield error(item["id"], f"{path} is gone", remake(item))
        return
    try:
        cube = open_store(path)
        faults = list(store_faults(path))
    except (StoreError, OSError, ValueError, KeyError, TypeError) as fault:
        what = str(fault) if isinstance(fault, StoreError) else f"{path} cannot be read: {fault!r}"
        yield error(item["id"], what, f"remove it and {remake(item)}")
        return
    yield from _item_faults(item, cube)
    yield from (_finding(item, cube, fault) for fault in faults)
    step = begin(len(cube.valid_dates))

    def of_date(entry: DateEntry) -> list[Fault]:
        found = list(date_faults(cube, entry, quick=quick))
        step(str(entry.datetime))
        return found

    with ThreadPoolExecutor(1 if quick else THREADS) as pool:
        for found in pool.map(of_date, cube.valid_dates):
            yield from (_finding(item, cube, fault) for fault in found)


def stray_stores(workspace: "Workspace", tile: str | None, pointed: set[str]) -> Iterator[Finding]:
    """Stores that no item points to: the latest of a cube that was never published, or debris."""
    names = {cube_name(path) for path in pointed}
    for path in sorted(workspace.cubes.glob("*.zarr")):
        name = cube_name(path)
        if str(path) in pointed or tile not in (None, name.partition("_")[0]):
            continue
        advice = "clearcube gc removes it" if name in names else "run the same again to go on"
        yield note(path.name, f"no item points to {path}", advice)


def cube_name(store: Path | str) -> str:
    """Path of a store -> id of the cube that it is a generation of."""
    return re.sub(r"(\.g\d+)?\.zarr$", "", Path(store).name)


def _item_faults(item: Document, cube: Cube) -> Iterator[Finding]:
    tile = cube.spec.tile
    is_masks = "clearcube:masks" in item["properties"]
    again = f"run clearcube run cube --tile {tile} --level {cube.spec.level}"
    if is_masks:
        again = remake(item)
    if not cube.valid_dates:
        yield error(item["id"], f"no date of {cube.path} is in force, yet it has an item", again)
        return
    if not is_masks:
        again += f" --datetime {cube.valid_dates[0].datetime.astype('datetime64[D]')}"
    expected = (
        recorded_store_item(item, cube)
        if is_masks
        else cube_item(item["id"], cube, asked_spans(item))
    )
    wanted, held = _said(expected), _said(item)
    differing = [name for name in sorted(wanted) if held.get(name) != wanted[name]]
    if not differing:
        return
    times, known = _times(expected), _times(item)
    if len(known) < len(times) and times[: len(known)] == known:
        count = len(times) - len(known)
        what = f"its item lags behind {cube.path}: {count} dates were committed since"
        yield note(item["id"], what, again)
        return
    what = f"its item does not say what the root of {cube.path} says: {', '.join(differing)}"
    yield error(item["id"], what, again)


def _said(item: Document) -> dict[str, Any]:
    """What an item says that the root says, too; as JSON has it."""
    properties = item["properties"]
    found = {
        name: properties.get(name)
        for name in (
            "start_datetime",
            "end_datetime",
            "clearcube:dates",
            "clearcube:generation",
            "clearcube:cube_level",
            "clearcube:masks",
            "clearcube:inputs",
        )
    }
    found["bbox"] = item.get("bbox")
    for key, asset in item["assets"].items():
        found |= {f"{key}.{name}": asset.get(name) for name in SAID}
        found[f"{key}.cube:variables"] = sorted(asset.get("cube:variables", ()))
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _times(item: Document) -> list[str]:
    asset = next(iter(item["assets"].values()))
    return list(asset.get("cube:dimensions", {}).get("time", {}).get("values", []))


def _finding(item: Document, cube: Cube, fault: Fault) -> Finding:
    if fault.is_note:
        advice = "clearcube gc removes it" if "no committed date" in fault.what else ""
        return note(item["id"], fault.what, advice)
    if fault.file is not None:
        return error(item["id"], fault.what, "remove it: blocks that use it are then made anew")
    if not fault.slots:
        return error(item["id"], fault.what, f"remove {cube.path} and {remake(item)}")
    # A slot out of force is loaded again into another one by the next run.
    slots = ", ".join(map(str, fault.slots))
    call = f"cube.store.retire_dates({str(cube.path)!r}, [{slots}])"
    return error(item["id"], fault.what, f"call {call} in Python and {remake(item)}")
