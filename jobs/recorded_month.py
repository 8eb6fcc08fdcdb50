"""What a synthesis records of how it was made, and where its dates are in cubes.

What the item says is what counts: its inputs, mask and parameters, not what would be made today.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from catalog.backends.base import Document
from catalog.deliveries import REJECTED, SUPERSEDED_BY
from catalog.items import utc_text
from catalog.search import Query, instant, tile_of
from cube.composite import Method
from cube.decoding import MaskReading, has_mask
from cube.facts import DateFacts
from cube.grid import Extent
from cube.joined import JoinedCube
from cube.periods import Period
from cube.store import Cube, DateEntry, open_store
from cube.synthesis import method
from jobs.date_facts import ANGLES, PARAMETER, angles_checksum
from jobs.dates import pixel_checksum
from jobs.errors import RequestError
from jobs.mask_params import methods
from jobs.mask_store import store_level
from jobs.period_mask import level_of
from jobs.states import WITHOUT
from jobs.stores import cube_store, latest_store
from jobs.synthesis import method_reads

if TYPE_CHECKING:
    from jobs.workspace import Workspace


PAGE = 1000
"""Items asked for at once."""


@dataclass(frozen=True, slots=True)
class MonthDate:
    """One acquisition of the window."""

    time: datetime | None
    scenes: tuple[str, ...]
    cube: Cube | None
    """The generation that holds it; None where none does."""
    entry: DateEntry | None
    note: str = ""
    """In what the cube of today differs from what the item records."""
    left_out: str = ""
    """Why it is no input of the item; empty for one that is."""


@dataclass(frozen=True, slots=True)
class Month:
    """What an item records of how it was made."""

    item: Document
    tile: str
    period: Period
    method: Method
    params: BaseModel
    reading: MaskReading
    angle_files: Mapping[str, str] = field(default_factory=dict)
    """Checksum of a scene's grids of angles -> where they are."""

    @property
    def inputs(self) -> dict[str, str]:
        """Ids of what it was made of, each with the version or checksum that it had."""
        return dict(self.item["properties"].get("clearcube:inputs", {}))

    def facts(self, time: datetime | None) -> DateFacts:
        """Facts of a date that the item records; defaults for those that it does not need."""
        recorded = self.item["properties"].get("clearcube:parameters", {}).get(PARAMETER, {})
        found = DateFacts.parse({} if time is None else recorded.get(utc_text(time), {}))
        files = tuple(self.angle_files[one] for one in found.angles if one in self.angle_files)
        return replace(found, angle_files=files)

    @property
    def binary(self) -> bool:
        """Whether masks are taken as CNES's public program does."""
        return self.method.binary_masks(self.params)

    @property
    def window(self) -> tuple[date, date]:
        """First and last day, both included."""
        return self.method.window(self.period, self.params)


def recorded_month(item: Document) -> Month:
    """Item of a synthesis -> what it says of itself; ``RequestError`` where that is not enough."""
    properties = item["properties"]
    parameters = dict(properties.get("clearcube:parameters", {}))
    try:
        mask = dict(parameters["mask_parameters"])
        chosen = method(properties["clearcube:method"])
        own = {k: v for k, v in parameters.items() if k in chosen.params.model_fields}
        return Month(
            item,
            tile_of(item) or "",
            Period.parse(parameters["period"]),
            chosen,
            chosen.params.model_validate(own),
            _reading(str(parameters["mask"]), mask),
        )
    except KeyError as error:
        raise RequestError(f"{item['id']} does not record {error}; make it again") from None


def _reading(name: str, settings: dict[str, Any]) -> MaskReading:
    """Mask and its parameters, as recorded -> how it is read; one found along time as it is."""
    if name in methods():
        return MaskReading(name)
    return MaskReading(name, settings.pop("reading"), float(settings.pop("buffer")), settings)


def cubes_of(
    workspace: "Workspace", tile: str, name: str, item: Document, variant: str | None = None
) -> list[Cube]:
    """Generations of the cube that a mask belongs to: that in force first, if it has the item's grid.

    Masks that were found along time are joined to them. ``RequestError`` where there is none.
    """
    level = level_of(workspace, tile, name)
    path = cube_store(workspace, tile, level)
    if path is None:
        raise RequestError(f"there is no {level} cube of tile {tile} to explain {item['id']} from")
    stem = re.sub(r"(\.g\d+)?\.zarr$", "", path.name)
    others = {*path.parent.glob(f"{stem}.zarr"), *path.parent.glob(f"{stem}.g*.zarr")} - {path}
    cubes = [open_store(path), *(open_store(other) for other in sorted(others, reverse=True))]
    if name in methods():
        cubes = [_joined(workspace, cube, name, variant) for cube in cubes]
    return sorted(cubes, key=lambda cube: not _on_grid(item, cube.spec.extent))


def _joined(workspace: "Workspace", cube: Cube, name: str, variant: str | None) -> Cube:
    """Cube -> with the masks in force; as it is where there are none on its grid."""
    path = latest_store(workspace, f"{cube.spec.tile}_{store_level(name, variant)}")
    masks = None if path is None else open_store(path)
    if masks is None or masks.spec.extent != cube.spec.extent:
        return JoinedCube(cube, cube, name, {})
    slots = {entry.time: entry.slot for entry in masks.valid_dates}
    held = {entry.slot: slots[entry.time] for entry in cube.dates if entry.time in slots}
    return JoinedCube(cube, masks, name, held)


def inputs_of(workspace: "Workspace", month: Month, cubes: Sequence[Cube]) -> Iterator[MonthDate]:
    """The dates that an item records as its inputs, as the cubes hold them."""
    left = dict(raw_inputs(month.item))
    for exactly in (True, False):
        for cube in cubes:
            for entry in sorted(cube.dates, key=lambda e: _rank(workspace, month, e)):
                ids = [source["id"] for source in entry.items]
                if not any(name in left for name in ids):
                    continue
                notes = list(_differences(workspace, month, cube, entry, left))
                if exactly and not fits(cube, entry, month.inputs, _read(month, cube, entry)):
                    continue
                for name in ids:
                    left.pop(name, None)
                yield MonthDate(_time(entry), tuple(ids), cube, entry, "; ".join(notes))
    for name, collection in left.items():
        seen = _seen(workspace, collection, name)
        yield MonthDate(seen, (name,), None, None, "the cube holds this date no more")


def fits(
    cube: Cube, entry: DateEntry, recorded: Mapping[str, str], variables: Sequence[str]
) -> bool:
    """Whether a date of a cube is what inputs record: by its pixels, its key or its versions."""
    pixels = pixel_checksum(cube, entry, variables)
    return all(
        recorded.get(source["id"], pixels) in (pixels, entry.key, source["version"])
        for source in entry.items
    )


def angle_files(workspace: "Workspace", item: Document) -> dict[str, str]:
    """Item -> checksums of its scenes' grids of angles, and where these are."""
    found = {}
    for name, _ in raw_inputs(item):
        for scene in workspace.catalog.find(name):
            if ANGLES in scene["assets"]:
                asset = scene["assets"][ANGLES]
                found[angles_checksum(asset)] = str(asset["href"])
    return found


def raw_inputs(item: Document) -> Iterator[tuple[str, str]]:
    """Scenes that an item was made of: id and collection."""
    for link in item["links"]:
        if link.get("rel") == "derived_from":
            collection, _, name = link["href"].removeprefix("../../").rpartition("/items/")
            if collection and not collection.startswith(("cloud-mask-", "cubes")):
                yield name, collection


def _rank(workspace: "Workspace", month: Month, entry: DateEntry) -> tuple[bool, int]:
    """Dates in force first, unless their mask is not the recorded one; of others the latest."""
    return not (entry.valid and _has_recorded_mask(workspace, month, entry)), -entry.slot


def _has_recorded_mask(workspace: "Workspace", month: Month, entry: DateEntry) -> bool:
    """Whether the mask catalogued of a date has the classes that the item records."""
    start = _mask_id(month, entry)
    for name, recorded in month.inputs.items():
        if name == start or name.startswith(f"{start}_"):
            for item in workspace.catalog.find(name):
                return bool(item["properties"].get("clearcube:checksum", recorded) == recorded)
    return True


def _mask_id(month: Month, entry: DateEntry) -> str:
    """Id of the mask of a date, without the name of a variant."""
    stamp = _time(entry).strftime("%Y%m%dT%H%M%S")
    return f"{month.tile}_{stamp}_{month.reading.encoding}"


def _read(month: Month, cube: Cube, entry: DateEntry) -> list[str]:
    """Variables of a date that a synthesis is made of."""
    spec = cube.spec
    found = [
        method_reads(spec, [entry], group, month.method, month.params) for group in spec.groups
    ]
    return sorted({name for reads in found for _, name in reads})


def _differences(
    workspace: "Workspace", month: Month, cube: Cube, entry: DateEntry, left: Mapping[str, str]
) -> Iterator[str]:
    """In what a date of the cube is not what an item records."""
    if not fits(cube, entry, month.inputs, _read(month, cube, entry)):
        yield "replaced since: what is shown is what the cube holds now"
    elif entry.valid and not _has_recorded_mask(workspace, month, entry):
        yield "its mask was made again since: what is shown is the mask of now"
    for source in entry.items:
        if source["id"] not in left:
            yield f"the cube now holds {source['id']} in this date too"


def left_out(
    workspace: "Workspace", month: Month, cube: Cube, used: Sequence[MonthDate]
) -> Iterator[MonthDate]:
    """Scenes of the window that are no inputs of the item, and why."""
    first, last = month.window
    span = (_midnight(first), _midnight(last + timedelta(days=1)))
    query = Query(tiles=(month.tile,), level=cube.spec.level, datetime=span, limit=PAGE)
    inputs = {name for one in used for name in one.scenes}
    skipped = dict(month.item["properties"].get(WITHOUT, {}))
    entries = {source["id"]: e for e in cube.valid_dates for source in e.items}
    for scene in workspace.documents(query):
        name, entry = scene["id"], entries.get(scene["id"])
        if name in inputs or "clearcube:job" in scene["properties"]:
            continue
        why = _why_not(workspace, month, scene, entry, skipped.pop(name, None))
        when = instant(scene["properties"]["datetime"])
        yield MonthDate(when, (name,), cube if entry else None, entry, left_out=why)
    for name, cause in skipped.items():
        yield MonthDate(None, (name,), None, None, left_out=f"skipped: {_cause(cause)}")


def _why_not(
    workspace: "Workspace",
    month: Month,
    scene: Document,
    entry: DateEntry | None,
    skipped: Mapping[str, str] | str | None,
) -> str:
    properties = scene["properties"]
    if skipped is not None:
        return f"skipped: {_cause(skipped)}"
    if REJECTED in properties:
        return f"rejected: {properties[REJECTED]}"
    if properties.get(SUPERSEDED_BY):
        return f"superseded by {properties[SUPERSEDED_BY]}"
    if entry is None:
        return "not in the cube"
    if not has_mask(entry, month.reading.encoding):
        return f"it came without {month.reading.encoding}"
    for mask in workspace.catalog.find(_mask_id(month, entry)):
        if REJECTED in mask["properties"]:
            return f"its mask is rejected: {mask['properties'][REJECTED]}"
    return "no input of the item: it came after the item was made"


def _seen(workspace: "Workspace", collection: str, name: str) -> datetime | None:
    """When a scene was seen: as the catalogue says, else by its name."""
    for item in workspace.catalog.find(name):
        if item["collection"] == collection:
            return instant(item["properties"]["datetime"])
    found = re.search(r"(\d{8})[T-]\d{6}", name)
    return datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC) if found else None


def _on_grid(item: Document, extent: Extent) -> bool:
    """Whether the item's rasters begin and end where an extent does."""
    for asset in item["assets"].values():
        if "proj:transform" in asset and "proj:shape" in asset:
            size, _, left, _, _, top = asset["proj:transform"][:6]
            rows, columns = asset["proj:shape"]
            found = (left, top - rows * size, left + columns * size, top)
            return found == (extent.left, extent.bottom, extent.right, extent.top)
    return False


def _time(entry: DateEntry) -> datetime:
    return datetime.fromtimestamp(entry.time / 1000, UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _cause(skipped: Mapping[str, str] | str) -> str:
    """Why a scene was left out, as an item records it."""
    return skipped if isinstance(skipped, str) else skipped["cause"]
