"""JOB cube: the scenes of a tile, one task a date, into its Zarr time cube."""

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from catalog.backends.base import Document
from catalog.search import Interval, normalise_tile, parse_datetime
from catalog.spans import within
from cube.errors import CubeError, GridError, StoreError
from cube.grid import SNAP, Extent, footprint_in, tile_extent, union_extent
from cube.loading import coarser_than_nominal, load_items, resampling_notes
from cube.store import (
    DateEntry,
    Spec,
    StagedDate,
    commit_date,
    compact_cube,
    create_cube,
    discard_cube,
    open_store,
    retire_dates,
    staging_directory,
)
from cube.variables import NATIVE, Variable, group_name, level_variables
from jobs.acquisitions import Acquisition, acquisitions, choose_level
from jobs.dates import date_key, solar_day, time_of
from jobs.errors import RequestError
from jobs.job import Failure, Job, Plan, Stage, State, Target, TileParams, Unit
from jobs.memory import LOAD_PIXELS, date_bytes
from jobs.states import why_out
from jobs.stores import (
    COLLECTION,
    VERSION,
    cube_id,
    cube_store,
    generation_path,
    publish_cube,
    source_of,
)

if TYPE_CHECKING:
    from jobs.workspace import Workspace


class CubeParams(TileParams):
    """What a user may ask of a cube."""

    datetime: str | None = Field(
        None, description="Acquisitions to add, STAC datetime; default all."
    )
    level: Literal["l2a", "maja", "l1c"] | None = Field(
        None, description="l2a, maja or l1c; default what is catalogued."
    )
    resolution: int | None = Field(
        None, ge=10, description="One group of this resolution in metres instead of 10 m and 20 m."
    )
    compact: bool = Field(
        False, description="Rewrite the store in order of time, as a new generation."
    )
    extend: bool = Field(
        False, description="Grow to scenes beyond the extent, as a new generation."
    )
    engine: Literal["odc-stac", "stackstac"] = Field(
        "odc-stac",
        description="Library that reads the pixels: odc-stac or stackstac; the pixels are the same.",
    )
    shards: Literal["auto", "none"] = Field(
        "auto",
        description="auto, or none for a new cube that GDAL before 3.13 can read: a file a chunk.",
    )


@dataclass(frozen=True, slots=True)
class DateTask:
    """What a worker needs to load one date."""

    path: str
    spec: Spec
    key: str
    items: tuple[Document, ...]
    engine: str


def plan(workspace: "Workspace", params: CubeParams) -> Plan:
    """Which dates the cube lacks, or holds of other deliveries than are catalogued now."""
    tile = normalise_tile(params.tile)
    level = choose_level(workspace, tile, params.level)
    interval = None if params.datetime is None else parse_datetime(params.datetime)
    found = acquisitions(workspace, tile, level, interval)
    name = cube_id(workspace, tile, level)
    nothing = (
        f"no {level} scene of tile {tile} is catalogued in {params.datetime or 'this workspace'}"
    )
    if not found and cube_store(workspace, tile, level) is None:
        raise RequestError(nothing)
    every = found if interval is None else acquisitions(workspace, tile, level, None)
    path, spec, beyond = _store(workspace, name, tile, level, params, found or every)
    notes = list(beyond)
    is_new_generation = cube_store(workspace, tile, level) not in (None, path)
    if is_new_generation:
        # It takes the place of the one in force, hence with all dates.
        found, interval = every, None
    expected = _held_before(workspace, tile, level, found) if is_new_generation else frozenset()
    held = {entry.key: entry for entry in open_store(path).valid_dates} if path.exists() else {}
    wanted = {date_key(one, spec): one for one in found}
    lacking = {key: one for key, one in wanted.items() if key not in held}
    replaced = {key: _same_day(one, held, wanted, tile) for key, one in lacking.items()}
    missing = {
        key: one
        for key, one in lacking.items()
        if is_new_generation or params.wants(f"{name}-{one.stamp}")
    }
    gone = _withdrawn(_asked(tile, held, found, every), wanted, interval, replaced)
    if not found and not gone:
        raise RequestError(nothing)
    for one in missing.values():
        notes += _notes(one, spec)
    units = [
        Unit(
            f"{name}-{one.stamp}",
            DateTask(str(path), spec, key, _stripped(one, spec), params.engine),
            tuple(item["id"] for item in one.items),
        )
        for key, one in missing.items()
    ]
    by_unit = {unit.key: (unit.payload.key, missing[unit.payload.key]) for unit in units}

    def commit(unit: Unit, result: Mapping[str, Any]) -> None:
        key, one = by_unit[unit.key]
        entry = DateEntry(
            time=round(one.time.timestamp() * 1000),
            key=key,
            items=tuple(source_of(item) for item in one.items),
            variables=tuple(result["variables"]),
            clipped=result["clipped"],
            notes=tuple(_notes(one, spec)),
        )
        _require_store(path, spec)
        commit_date(path, entry, replaced[key])

    memory = max((date_bytes(spec, len(one.items)) for one in missing.values()), default=0)
    return Plan(
        stages=[Stage(f"cube {name}", units, load_date, commit, memory=memory, unit="date")],
        makes=[unit.key for unit in units],
        current=[f"{name}-{one.stamp}" for key, one in wanted.items() if key in held],
        targets=[_target(workspace, name, missing, held, gone, beyond)],
        notes=notes,
        finish=partial(_finish, workspace, name, path, gone, params, interval, expected),
    )


def _held_before(
    workspace: "Workspace", tile: str, level: str, found: Iterable[Acquisition]
) -> frozenset[str]:
    """Scenes that count and that the generation in force holds: the next one must not lose them."""
    path = cube_store(workspace, tile, level)
    entries = () if path is None else open_store(path).valid_dates
    held = {item["id"] for entry in entries for item in entry.items}
    return frozenset(item["id"] for one in found for item in one.items if item["id"] in held)


def _target(
    workspace: "Workspace",
    name: str,
    missing: Mapping[str, Acquisition],
    held: Mapping[str, DateEntry],
    gone: Collection[int],
    beyond: Sequence[str],
) -> Target:
    """How the cube stands to the scenes that were asked for."""
    parts = tuple(f"{name}-{one.stamp}" for one in missing.values())
    if not held:
        because = f"{len(missing)} dates are to be loaded"
        return Target(COLLECTION, name, State.MISSING, (because,), parts)
    known = {item["id"] for entry in held.values() for item in entry.items}
    reasons = [
        f"{item['id']} {'changed' if item['id'] in known else 'is new'}"
        for one in missing.values()
        for item in one.items
    ]
    leaving = [item for e in held.values() if e.slot in gone for item in e.items]
    reasons += [f"{item['id']} {why_out(workspace, item['id'])}" for item in leaving]
    state = State.STALE if reasons else State.CURRENT
    return Target(COLLECTION, name, state, (*reasons, *beyond), parts)


def load_date(task: DateTask) -> dict[str, Any]:
    """One acquisition's rasters -> the staging area of the cube; on a worker."""
    spec = task.spec
    staged = StagedDate(task.path, spec, task.key)
    present: set[str] = set()
    clipped = 0
    try:
        for group, resolution in spec.groups.items():
            for y0, x0, part in _regions(spec, group):
                for variables in _at_once(task, group, part):
                    loaded = load_items(task.items, variables, part, resolution, engine=task.engine)
                    clipped += loaded.clipped
                    for variable in variables:
                        if variable.name in loaded.pixels:
                            present.add(variable.name)
                            staged.write(variable, y0, x0, loaded.pixels.pop(variable.name))
        staged.close()
    except CubeError:
        staged.discard()
        raise
    return {"variables": sorted(present), "clipped": clipped}


def _at_once(task: DateTask, group: str, part: Extent) -> Iterator[Sequence[Variable]]:
    """Variables of a group, some at a time: as many as fit into the memory of a load.

    Granules that are merged are loaded whole: their pixels are taken from one or the other in all
    variables alike.
    """
    variables = [v for v in task.spec.variables if v.group == group]
    height, width = part.shape(task.spec.groups[group])
    count = max(1, LOAD_PIXELS // (height * width))
    if len(task.items) > 1:
        count = len(variables)
    for first in range(0, len(variables), count):
        yield variables[first : first + count]


def planned_spec(workspace: "Workspace", tile: str, level: str) -> Spec:
    """What the cube of a tile and level is made as, or would be."""
    found = acquisitions(workspace, tile, level, None)
    params = CubeParams(tile=tile)
    return _store(workspace, cube_id(workspace, tile, level), tile, level, params, found)[1]


# --- the store ------------------------------------------------------------------------------------


def _store(
    workspace: "Workspace",
    name: str,
    tile: str,
    level: str,
    params: CubeParams,
    found: Sequence[Acquisition],
) -> tuple[Path, Spec, list[str]]:
    """The store to add to, which may not be there yet, and what the user should know of it."""
    path = cube_store(workspace, tile, level)
    every = acquisitions(workspace, tile, level, None) if path is None or params.extend else found
    spec = open_store(path).spec if path is not None else None
    snap = params.resolution or SNAP
    if spec is not None:
        _same_grid(name, spec, params.resolution)
        snap = max(spec.groups.values())
    if path is not None and spec is not None and not every:
        return path, spec, []  # no scene is left that could reach beyond it
    variables = spec.variables if spec is not None else level_variables(level, params.resolution)
    _refuse_coarse(every, variables, params.resolution or (spec and len(spec.groups) == 1))
    extent = union_extent(tile, _footprints(tile, every, variables), snap)
    if path is not None and spec is not None:
        if spec.extent.contains(extent):
            return path, spec, []
        if not params.extend:
            return (
                path,
                spec,
                [
                    f"scenes reach beyond the extent of cube {name} as first made; they are cut off "
                    "there (run cube --extend makes it grow)"
                ],
            )
    groups = spec.groups if spec is not None else _groups(params.resolution)
    generation = 1 if spec is None else spec.generation + 1
    sharded = params.shards == "auto" if spec is None else spec.sharded
    target = generation_path(workspace, name, generation)
    while target.exists() and open_store(target).spec.extent != extent:
        # Left there by a run that was killed, which made it for other scenes.
        generation += 1
        target = generation_path(workspace, name, generation)
    new = Spec(tile, level, extent, groups, variables, generation, sharded)
    return target, open_store(target).spec if target.exists() else new, []


def _require_store(path: Path, spec: Spec) -> None:
    """Make the store when its first date is there to be committed, so that none stays empty."""
    if not path.exists():
        create_cube(path, spec)
        return
    held = open_store(path).spec
    if (held.extent, held.groups) != (spec.extent, spec.groups):
        raise StoreError(f"{path} was made by another run meanwhile; run again")


def _groups(resolution: int | None) -> dict[str, int]:
    """Groups of a new cube: the native ones, or the one asked for."""
    return {group_name(r): r for r in (NATIVE if resolution is None else (resolution,))}


def _same_grid(name: str, spec: Spec, resolution: int | None) -> None:
    if resolution is not None and list(spec.groups.values()) != [resolution]:
        held = " and ".join(f"{r} m" for r in spec.groups.values())
        raise RequestError(f"cube {name} is at {held}; use another workspace for {resolution} m")


def _refuse_coarse(
    found: Iterable[Acquisition], variables: Sequence[Variable], allowed: object
) -> None:
    if allowed:
        return
    for one in found:
        for item in one.items:
            coarse = coarser_than_nominal(item, variables)
            if coarse:
                size = max(coarse.values())
                raise RequestError(
                    f"{item['id']}: {' '.join(coarse)} have pixels of {size:g} m, coarser than the "
                    f"bands are; give --resolution {ceil(size)} to make a cube of that"
                )


def _footprints(
    tile: str, found: Iterable[Acquisition], variables: Sequence[Variable]
) -> Iterator[Extent]:
    epsg = tile_extent(tile).epsg
    names = [v.asset for v in variables if v.kind == "reflectance"]
    for one in found:
        for item in one.items:
            places = {
                (tuple(asset["proj:transform"][:6]), tuple(asset["proj:shape"]), _epsg(item, asset))
                for name, asset in item["assets"].items()
                if name in names
            }
            for transform, shape, code in places:
                yield footprint_in(transform, shape, code, epsg)


def _epsg(item: Document, asset: Document) -> int:
    code = str(asset.get("proj:code") or item["properties"].get("proj:code"))
    try:
        return int(code.removeprefix("EPSG:"))
    except ValueError:
        raise GridError(f"{item['id']}: {code!r} is no EPSG code") from None


def _regions(spec: Spec, group: str) -> Iterator[tuple[int, int, Extent]]:
    """Shards of a group: first row, first column, and their extent in metres."""
    resolution, side = spec.groups[group], spec.shard(group)
    height, width = spec.shape(group)
    for y0 in range(0, height, side):
        for x0 in range(0, width, side):
            bottom, right = min(y0 + side, height), min(x0 + side, width)
            yield (
                y0,
                x0,
                Extent(
                    spec.extent.epsg,
                    spec.extent.left + x0 * resolution,
                    spec.extent.top - bottom * resolution,
                    spec.extent.left + right * resolution,
                    spec.extent.top - y0 * resolution,
                ),
            )


# --- the dates ------------------------------------------------------------------------------------


def _stripped(one: Acquisition, spec: Spec) -> tuple[Document, ...]:
    """Items with what loading needs only: they travel to the workers."""
    wanted = {variable.asset for variable in spec.variables}
    return tuple(
        {
            "id": item["id"],
            "properties": {k: v for k, v in item["properties"].items() if k.startswith("proj:")},
            "assets": {key: asset for key, asset in item["assets"].items() if key in wanted},
        }
        for item in one.items
    )


def _notes(one: Acquisition, spec: Spec) -> list[str]:
    notes = []
    for item in one.items:
        notes += resampling_notes(item, spec.variables, spec.extent, spec.groups)
    if len(one.items) > 1:
        names = ", ".join(item["id"] for item in one.items)
        notes.append(f"{one.stamp[:8]}: merged, the first with data counts: {names}")
    return notes


def _same_day(
    one: Acquisition, held: Mapping[str, DateEntry], wanted: Mapping[str, Acquisition], tile: str
) -> tuple[int, ...]:
    """Slots in force of the acquisition's solar day, made of other deliveries."""
    day = solar_day(one.time, tile)
    return tuple(
        entry.slot
        for key, entry in held.items()
        if key not in wanted and solar_day(time_of(entry), tile) == day
    )


def _asked(
    tile: str,
    held: Mapping[str, DateEntry],
    found: Iterable[Acquisition],
    every: Iterable[Acquisition],
) -> list[DateEntry]:
    """Slots but those of a day whose first granule lies beyond what was asked for.

    They are not withdrawn, but left as they are.
    """
    asked: set[date] = {solar_day(one.time, tile) for one in found}
    beyond = {solar_day(one.time, tile) for one in every} - asked
    return [entry for entry in held.values() if solar_day(time_of(entry), tile) not in beyond]


def _withdrawn(
    held: Iterable[DateEntry],
    wanted: Mapping[str, Acquisition],
    interval: Interval | None,
    replaced: Mapping[str, tuple[int, ...]],
) -> list[int]:
    """Slots in force, within what was asked, whose deliveries are no longer catalogued."""
    taken = {slot for slots in replaced.values() for slot in slots}
    return [
        entry.slot
        for entry in held
        if entry.key not in wanted
        and entry.slot not in taken
        and within(time_of(entry), [interval or (None, None)])
    ]


def _finish(
    workspace: "Workspace",
    name: str,
    path: Path,
    gone: Sequence[int],
    params: CubeParams,
    interval: Interval | None,
    expected: Collection[str],
) -> list[Failure]:
    # What still waits there is of units whose run or worker was lost: all of ours are committed.
    shutil.rmtree(staging_directory(path, ""), ignore_errors=True)
    if not path.exists():
        return []  # no date could be loaded
    if gone:
        retire_dates(path, gone)
    cube = open_store(path)
    absent = set(expected) - {item["id"] for entry in cube.valid_dates for item in entry.items}
    if absent:
        why = f"{path} lacks {' '.join(sorted(absent))} and is not published; run the same again"
        return [Failure(name, why)]
    is_compact = [entry.slot for entry in cube.valid_dates] == list(range(len(cube.dates)))
    if params.compact and not is_compact:
        # From here on the item names the generation that the next one is made from.
        publish_cube(workspace, name, path, interval or (None, None))
        target = generation_path(workspace, name, cube.spec.generation + 1)
        discard_cube(target)  # half of one, where a run was killed while it made it
        compact_cube(path, target)
        path = target
    publish_cube(workspace, name, path, interval or (None, None))
    return []


JOB = Job(
    name="cube",
    version=VERSION,
    title="Scenes of a tile into its Zarr time cube",
    params=CubeParams,
    plan=plan,
)
