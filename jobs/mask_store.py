"""The store beside a cube that holds the masks of one method: which it is, its commit, its item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.items import Recipe, derived_item
from cube.grid import lonlat
from cube.joined import BITS, GROUP, MASK
from cube.spec import DateEntry, Spec
from cube.store import (
    Cube,
    commit_dates,
    compact_cube,
    create_cube,
    discard_cube,
    open_store,
)
from cube.variables import Variable
from jobs.dates import time_of
from jobs.stores import COLLECTION, generation_path, latest_store, zarr_asset

if TYPE_CHECKING:
    from jobs.workspace import Workspace

JOB = "cloud-mask"
"""The job that makes such stores."""


@dataclass(frozen=True, slots=True)
class MaskStore:
    """The store of a tile, method and variant, as a plan finds it."""

    name: str
    """Id of its item, e.g. ``31UES_tsmask``, ``31UES_tsmask-wide``."""
    path: Path
    """Of the generation to write to, which may not be there yet."""
    spec: Spec
    cube: Cube | None
    """Committed state of that generation; None before there is one."""

    def slot(self, time: int, key: str) -> int | None:
        """Time of a date and key of its pixels -> where they are; None where they are not."""
        dates = () if self.cube is None else self.cube.valid_dates
        return next((d.slot for d in dates if d.time == time and d.key == key), None)


def store_level(method: str, variant: str | None) -> str:
    """What the root of a store of masks says in place of a level: ``tsmask``, ``tsmask-wide``."""
    return "-".join(filter(None, (method, variant)))


def find_mask_store(
    workspace: "Workspace", cube: Spec, method: str, variant: str | None, *, bits: bool
) -> MaskStore:
    """Cube, method and variant -> the store of its masks; a new generation where the extent grew."""
    level = store_level(method, variant)
    name = f"{cube.tile}_{level}"
    names = (MASK, BITS) if bits else (MASK,)
    spec = Spec(
        tile=cube.tile,
        level=level,
        extent=cube.extent,
        groups={GROUP: 20},
        variables=tuple(_variable(each, method) for each in names),
        sharded=cube.sharded,
    )
    path = latest_store(workspace, name)
    if path is None:
        return MaskStore(name, generation_path(workspace, name, 1), spec, None)
    held = open_store(path)
    if (held.spec.extent, held.spec.variables) == (spec.extent, spec.variables):
        return MaskStore(name, path, held.spec, held)
    spec = replace(spec, generation=held.spec.generation + 1)
    path = generation_path(workspace, name, spec.generation)
    begun = open_store(path) if path.exists() else None
    return MaskStore(name, path, spec, begun if begun and begun.spec == spec else None)


def make_store(store: MaskStore) -> None:
    """Make the store where it is not there yet; half of a former one is taken away first."""
    if store.cube is None:
        if store.path.exists() and open_store(store.path).spec != store.spec:
            discard_cube(store.path)
        if not store.path.exists():
            create_cube(store.path, store.spec)


def commit_masks(workspace: "Workspace", store: MaskStore, entries: Sequence[DateEntry]) -> Cube:
    """Staged masks of some dates into their store, all at once, in the place of what it held.

    Where more slots are out of force than in it, the store is written anew as its next generation;
    the one before is left to ``gc``, as somebody may be reading it.
    """
    times = {entry.time: entry.key for entry in entries}
    held = open_store(store.path).valid_dates
    replaced = [e.slot for e in held if e.time in times and times[e.time] != e.key]
    commit_dates(store.path, entries, replaced)
    cube = open_store(store.path)
    if len(cube.dates) <= 2 * len(cube.valid_dates):
        return cube
    target = generation_path(workspace, store.name, cube.spec.generation + 1)
    discard_cube(target)
    return compact_cube(store.path, target)


def store_item(
    name: str,
    cube: Cube,
    version: str,
    method: str,
    parameters: Mapping[str, Any],
    request: Mapping[str, Any],
    derived_from: Iterable[Mapping[str, Any]] = (),
) -> Document:
    """Committed state of a store of masks -> its STAC item, beside the cubes'."""
    geometry, bbox = lonlat(cube.spec.extent)
    dates = cube.valid_dates
    sources = {item["id"]: item for entry in dates for item in entry.items}
    recipe = Recipe(
        job=JOB,
        version=version,
        method=method,
        parameters=parameters,
        inputs={item_id: item["version"] for item_id, item in sorted(sources.items())},
    )
    first, last = time_of(dates[0]), time_of(dates[-1])
    return derived_item(
        name,
        COLLECTION,
        when=(first, last + timedelta(microseconds=1)),
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile=cube.spec.tile,
        recipe=recipe,
        properties={
            "clearcube:masks": cube.spec.level,
            "clearcube:dates": len(dates),
            "clearcube:generation": cube.spec.generation,
            "processing:level": "L2A",
            "proj:code": f"EPSG:{cube.spec.extent.epsg}",
            "gsd": 20,
        },
        assets={GROUP: zarr_asset(cube, GROUP)},
        derived_from=[*sources.values(), *derived_from],
        request=request,
    )


def recorded_store_item(item: Document, cube: Cube) -> Document:
    """Item of a store of masks, state of the store -> what the item is to say now."""
    properties = item["properties"]
    return store_item(
        item["id"],
        cube,
        str(properties["processing:version"]),
        properties["clearcube:method"],
        properties["clearcube:parameters"],
        properties["clearcube:request"],
    )


def _variable(name: str, method: str) -> Variable:
    return Variable(
        name=name,
        asset="",
        kind="classes" if name == MASK else "encoded",
        resolution=20,
        group=GROUP,
        dtype="uint8",
        fill_value=0,
        scale=None,
        title=f"classes by {method}" if name == MASK else f"bits by {method}",
    )
