"""Which Zarr store is the cube of a tile and level, and what its item says."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.items import Recipe, derived_item, utc_text
from catalog.search import Interval
from catalog.spans import from_recorded, merged, recorded
from cube.errors import StoreError
from cube.grid import lonlat
from cube.store import Cube, DateEntry, Spec, open_store
from cube.variables import Variable
from jobs.runner.publish import publish, published

if TYPE_CHECKING:
    from jobs.workspace import Workspace

COLLECTION = "cubes"

SPANS = "clearcube:spans"
"""Property of a cube: spans of time whose scenes it was asked to hold, ``[start, end)`` in UTC."""

ZARR = "application/vnd.zarr"
"""The media type that QGIS and xpystac both know a Zarr store by."""

VERSION = "1"
"""Version of the cube job: raised when the same scenes would give other numbers."""


def cube_id(workspace: "Workspace", tile: str, level: str) -> str:
    """Tile and level -> id of the cube: the tile's name for its first level, ``31TCJ_maja`` beside.

    A level keeps the id it has; a new one takes the plain name while that is free.
    """
    for name in (tile, f"{tile}_{level}"):
        store = latest_store(workspace, name)
        if store is None or open_store(store).spec.level == level:
            return name
    raise StoreError(f"{workspace.cubes}: the cubes of {tile} are of other levels than their names")


def cube_store(workspace: "Workspace", tile: str, level: str) -> Path | None:
    """The store in force of a tile and level, or None while there is no cube."""
    return latest_store(workspace, cube_id(workspace, tile, level))


def generation_path(workspace: "Workspace", name: str, generation: int) -> Path:
    """Where a generation of a cube is: ``31UES.zarr``, then ``31UES.g2.zarr``."""
    suffix = "" if generation == 1 else f".g{generation}"
    return workspace.cubes / f"{name}{suffix}.zarr"


def publish_cube(workspace: "Workspace", name: str, path: Path, asked: Interval) -> bool:
    """Bring the item of a cube up to date with its store; whether anything changed.

    ``asked`` is the span whose scenes the cube has been brought up to date with; the item remembers
    all of them. The item of a cube that holds no date any more is taken away.
    """
    cube = open_store(path)
    if not cube.valid_dates:
        return workspace.catalog.delete_items([(COLLECTION, name)]) > 0
    item = published(workspace, COLLECTION, name)
    spans = merged([*asked_spans(item), asked])
    counts = publish(workspace, [cube_item(name, cube, spans)])
    return counts.unchanged == 0


def asked_spans(item: Document | None) -> list[Interval]:
    """Item of a cube -> the spans of time whose scenes it was asked to hold."""
    if item is None:
        return []
    return from_recorded(item["properties"].get(SPANS, []))


def cube_item(name: str, cube: Cube, spans: Iterable[Interval] = ((None, None),)) -> Document:
    """Committed state of a store, and what it was asked to hold -> the STAC item of the cube."""
    geometry, bbox = lonlat(cube.spec.extent)
    dates = cube.valid_dates
    first, last = _utc(dates[0]), _utc(dates[-1])
    sources = {item["id"]: item for entry in dates for item in entry.items}
    recipe = Recipe(
        job="cube",
        version=VERSION,
        method=cube.spec.level,
        parameters={"groups": cube.spec.groups},
        inputs={item_id: item["version"] for item_id, item in sorted(sources.items())},
    )
    return derived_item(
        name,
        COLLECTION,
        when=(first, last + timedelta(microseconds=1)),
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile=cube.spec.tile,
        recipe=recipe,
        properties={
            "title": f"{name}, time cube of {cube.spec.level}",
            "clearcube:cube_level": cube.spec.level,
            "clearcube:dates": len(dates),
            "clearcube:generation": cube.spec.generation,
            SPANS: recorded(spans),
            "processing:level": "L1C" if cube.spec.level == "l1c" else "L2A",
            "proj:code": f"EPSG:{cube.spec.extent.epsg}",
            "gsd": min(cube.spec.groups.values()),
        },
        assets={group: zarr_asset(cube, group) for group in cube.spec.groups},
        derived_from=sources.values(),
        request=_request(cube.spec),
    )


def _request(spec: Spec) -> Document:
    """What brings a cube up to date; the time that it was asked for is in its spans."""
    request: Document = {"tile": spec.tile, "level": spec.level}
    if len(spec.groups) == 1:
        request["resolution"] = next(iter(spec.groups.values()))
    return request


def latest_store(workspace: "Workspace", name: str) -> Path | None:
    """Id of a cube -> its store in force, None where there is none.

    It is the generation that the catalogue names; before there is an item, the latest on disk.
    """
    item = published(workspace, COLLECTION, name)
    if item is not None:
        path = Path(next(iter(item["assets"].values()))["href"])
        if path.is_dir():
            return path
    first = [path for path in (generation_path(workspace, name, 1),) if path.is_dir()]
    later = sorted(workspace.cubes.glob(f"{name}.g*.zarr"), key=_generation)
    found = first + later
    return found[-1] if found else None


def _generation(path: Path) -> int:
    number = path.name.split(".")[-2].removeprefix("g")
    return int(number) if number.isdigit() else 0


def zarr_asset(cube: Cube, group: str) -> Document:
    """Group of a store -> the asset of it, with all that its readers ask for."""
    resolution = cube.spec.groups[group]
    extent, dates = cube.spec.extent, cube.valid_dates
    variables = [v for v in cube.spec.variables if v.group == group]
    half = resolution / 2
    return {
        "href": str(cube.path),
        "type": ZARR,
        "roles": ["data"],
        "title": f"{cube.spec.tile} {cube.spec.level} at {resolution} m",
        "gsd": resolution,
        "proj:code": f"EPSG:{extent.epsg}",
        "proj:shape": list(extent.shape(resolution)),
        "proj:transform": [resolution, 0.0, extent.left, 0.0, -resolution, extent.top],
        "zarr:node_type": "group",
        "zarr:zarr_format": 3,
        "zarr:consolidated": True,
        "xarray:open_kwargs": {
            "group": group,
            "consolidated": True,
            "chunks": {},
            "decode_coords": "all",
        },
        "cube:dimensions": {
            "time": {
                "type": "temporal",
                "extent": [utc_text(_utc(dates[0])), utc_text(_utc(dates[-1]))],
                "values": [utc_text(_utc(entry)) for entry in cube.dates],
            },
            "x": _axis("x", extent.left + half, extent.right - half, resolution, extent.epsg),
            "y": _axis("y", extent.bottom + half, extent.top - half, resolution, extent.epsg),
        },
        "cube:variables": {variable.name: _variable(variable) for variable in variables},
    }


def _axis(axis: str, low: float, high: float, step: int, epsg: int) -> Document:
    return {
        "type": "spatial",
        "axis": axis,
        "extent": [low, high],
        "step": step,
        "reference_system": epsg,
    }


def _variable(variable: Variable) -> Document:
    about: dict[str, Any] = {
        "type": "data",
        "dimensions": ["time", "y", "x"],
        "description": variable.title,
    }
    if variable.scale is not None:
        about |= {"nodata": variable.fill_value, "raster:scale": variable.scale}
    return about


def source_of(item: Mapping[str, Any]) -> Document:
    """Raw item -> what a cube remembers of it: id, collection, version."""
    return {
        "id": item["id"],
        "collection": item["collection"],
        "version": str(item["properties"].get("clearcube:version", "")),
    }


def _utc(entry: DateEntry) -> datetime:
    return datetime.fromtimestamp(entry.time / 1000, UTC)
