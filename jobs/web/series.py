"""One pixel along time: what every date saw there, what it was taken for, what the months say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from catalog.backends.base import Document, search_all
from catalog.collections import cloud_mask_collection, synthesis_collection
from catalog.items import utc_text
from catalog.search import Query as Search
from catalog.search import normalise_tile, times_of
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import NAMES, STATUSES
from cube.composite import DATE_NODATA, day_of
from cube.decoding import MaskReading, has_mask, read_classes
from cube.errors import GridError, LoadError
from cube.methods import methods
from cube.place import Place, values_at
from cube.rasters import GDAL_ERRORS
from cube.reading import read_band
from cube.store import Cube, DateEntry
from jobs.dates import time_of
from jobs.stores import COLLECTION as CUBES
from jobs.web.answers import Latitude, Longitude, Word, answering, refuse
from jobs.web.open_rasters import RASTERS
from jobs.web.pictures import opened_cube
from jobs.web.renderings import NEAR_INFRARED
from jobs.web.tiles import main_mask, stamp_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PAGE = 1000
MASKS = "cloud-mask-"
SYNTHESES = "synthesis-"
VISIBLE = ("blue", "green", "red")


def series_router(workspace: "Workspace") -> APIRouter:
    """Workspace -> ``/series/{tile}``."""
    router = APIRouter(prefix="/series", tags=["series"])

    @router.get("/{tile}", summary="Every date and month at one place")
    def series(
        tile: Word,
        lon: Longitude,
        lat: Latitude,
        mask: Annotated[str, Query(max_length=100, description="METHOD or METHOD:VARIANT.")] = "",
        method: Annotated[str, Query(max_length=100, description="Of the syntheses.")] = "wasp",
        variant: Annotated[str, Query(max_length=100, description="Of the syntheses.")] = "",
        cube: Annotated[str, Query(max_length=100, description="Id; default the first.")] = "",
    ) -> Document:
        with answering(f"series of {tile}"):
            name = normalise_tile(tile)
            try:
                return pixel_series(workspace, name, Place(lon, lat), mask, method, variant, cube)
            except GridError:
                refuse(404, f"{lon:.6g},{lat:.6g} lies outside what is held of tile {name}")

    return router


def pixel_series(
    workspace: "Workspace",
    tile: str,
    place: Place,
    mask: str = "",
    method: str = "wasp",
    variant: str = "",
    cube_id: str = "",
) -> Document:
    """Tile, place, mask and method of synthesis -> its dates and months there, as JSON.

    Reflectances of blue, green, red and near infrared, None for nodata. The class of a date is that
    of its mask item (``METHOD`` or ``METHOD:VARIANT``; default the cube's own), or the standard
    reading of the cube where there is no such item. ``GridError`` outside the cube; 404 where there
    is no such cube, mask or method.
    """
    found = _cube(workspace, tile, cube_id)
    if found is None:
        refuse(404, f"there is no cube of tile {tile}")
    item, cube = found
    own = main_mask(cube)
    wanted = mask or own
    dates = _dates(cube, place, own if wanted == own else "")
    masked = _take_masks(workspace, tile, wanted, place, dates)
    months = _months(workspace, tile, place, wanted, method, variant)
    # What is found shows that its names are there; only without it are all looked through.
    if not months:
        _check_method(workspace, method)
        if not masked and wanted != own:
            _check_mask(workspace, tile, wanted, own)
    row, column = place.pixel(cube.spec.extent, min(cube.spec.groups.values()))
    return {
        "tile": tile,
        "cube": item["id"],
        "at": [place.lon, place.lat],
        "pixel": [row, column],
        "mask": wanted,
        "method": method,
        "dates": dates,
        "months": months,
    }


def cubes(workspace: "Workspace", tile: str) -> list[Document]:
    """Items of the cubes of scenes of a tile; stores of masks are not among them."""
    found = search_all(workspace.catalog, Search(collections=(CUBES,), tiles=(tile,), limit=PAGE))
    return sorted(
        (one for one in found if "clearcube:masks" not in one["properties"]),
        key=lambda one: str(one["id"]),
    )


def mask_of(item: Document) -> str:
    """Item of a mask -> ``METHOD`` or ``METHOD:VARIANT``."""
    properties = item["properties"]
    words = (properties.get("clearcube:method"), properties.get("clearcube:variant"))
    return ":".join(str(word) for word in words if word)


def stamp_of_item(item: Document) -> str:
    """Item -> its time as ids write it, ``20190516T105659``."""
    return f"{times_of(item)[0]:%Y%m%dT%H%M%S}"


def used_mask(item: Document) -> str:
    """Item of a synthesis -> the mask that it was made with, as options name it."""
    properties = item["properties"]
    request = properties.get("clearcube:request", {})
    return str(request.get("mask") or properties.get("clearcube:mask", ""))


def _cube(workspace: "Workspace", tile: str, cube_id: str) -> tuple[Document, Cube] | None:
    for item in cubes(workspace, tile):
        if cube_id in ("", item["id"]):
            return item, opened_cube(item)
    return None


def _dates(cube: Cube, place: Place, mask: str) -> list[Document]:
    """Dates of a cube at a place; of the mask that the cube itself holds, too, if it is asked."""
    entries = cube.valid_dates
    slots = [entry.slot for entry in entries]
    bands = {v.name: v.group for v in cube.spec.variables if v.kind == "reflectance"}
    near = next((name for name in NEAR_INFRARED if name in bands), None)
    names = [name for name in (*VISIBLE, near) if name in bands and name is not None]
    dn = {name: _pixel(cube, bands[name], name, slots, place) for name in names}
    codes: list[int | None] = [None] * len(entries)
    if mask:
        codes = _codes(cube, entries, mask, place)
    return [
        {
            "time": utc_text(time_of(entry)),
            "stamp": stamp_of(entry),
            "scenes": [source["id"] for source in entry.items],
            "values": {
                _band(name): None
                if dn[name][i] == REFLECTANCE_NODATA or name not in entry.variables
                else round(dn[name][i] * REFLECTANCE_SCALE, 4)
                for name in names
            },
            "code": codes[i],
            "class": None if (code := codes[i]) is None else NAMES[code],
            "mask": "cube" if codes[i] is not None else None,
        }
        for i, entry in enumerate(entries)
    ]


def _pixel(cube: Cube, group: str, name: str, slots: Sequence[int], place: Place) -> list[int]:
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    window = slice(row, row + 1), slice(column, column + 1)
    # Slots one after the other are read at once.
    order = sorted(range(len(slots)), key=lambda i: slots[i])
    values = read_band(cube, group, name, [slots[i] for i in order], window)[:, 0, 0].tolist()
    found = [0] * len(slots)
    for i, value in zip(order, values, strict=True):
        found[i] = int(value)
    return found


def _codes(cube: Cube, entries: Sequence[DateEntry], mask: str, place: Place) -> "list[int | None]":
    group = next(iter(cube.spec.groups))
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    window = slice(row, row + 1), slice(column, column + 1)
    codes = read_classes(cube, entries, MaskReading(mask), group, window)[:, 0, 0].tolist()
    return [
        int(code) if has_mask(entry, mask) else None
        for code, entry in zip(codes, entries, strict=True)
    ]


def _band(name: str) -> str:
    return "nir" if name in NEAR_INFRARED else name


def _take_masks(
    workspace: "Workspace", tile: str, mask: str, place: Place, dates: list[Document]
) -> bool:
    """The class that a date's mask item holds, in the place of what the cube's own says.

    Whether there is any item of that mask.
    """
    if not mask:
        return False
    search = Search(
        collections=(cloud_mask_collection(mask.partition(":")[0]),), tiles=(tile,), limit=PAGE
    )
    by_stamp = {date["stamp"]: date for date in dates}
    items = [item for item in search_all(workspace.catalog, search) if mask_of(item) == mask]
    for item in items:
        date = by_stamp.get(stamp_of_item(item))
        if date is None or "mask" not in item["assets"]:
            continue
        held = _value(item, "mask", place)
        if held is not None:
            date |= {"code": int(held), "class": NAMES[int(held)], "mask": item["id"]}
    return bool(items)


def _check_method(workspace: "Workspace", method: str) -> None:
    """404 for a method that is neither installed nor catalogued."""
    made = [name.removeprefix(SYNTHESES) for name in _collections(workspace, SYNTHESES)]
    known = sorted({*(each.name for each in methods()), *made})
    if method not in known:
        refuse(404, f"there is no synthesis method {method}; there are {' '.join(known)}")


def _check_mask(workspace: "Workspace", tile: str, mask: str, own: str) -> None:
    """404 for a mask that is neither the cube's nor catalogued, nor was used by a synthesis."""
    known = {own}
    for prefix, name_of in ((MASKS, mask_of), (SYNTHESES, used_mask)):
        names = _collections(workspace, prefix)
        if names:
            search = Search(collections=names, tiles=(tile,), limit=PAGE)
            known.update(name_of(item) for item in search_all(workspace.catalog, search))
    if mask not in known:
        listed = " ".join(sorted(known - {""})) or "none"
        refuse(404, f"there is no mask {mask} of tile {tile}; there are {listed}")


def _collections(workspace: "Workspace", prefix: str) -> tuple[str, ...]:
    names = (str(each["id"]) for each in workspace.catalog.collections())
    return tuple(name for name in names if name.startswith(prefix))


def _months(
    workspace: "Workspace", tile: str, place: Place, mask: str, method: str, variant: str
) -> list[Document]:
    search = Search(collections=(synthesis_collection(method),), tiles=(tile,), limit=PAGE)
    items = [
        item
        for item in search_all(workspace.catalog, search)
        if used_mask(item) == mask
        and str(item["properties"].get("clearcube:variant") or "") == variant
    ]
    return [_month(item, place) for item in sorted(items, key=lambda one: str(one["id"]))]


def _month(item: Document, place: Place) -> Document:
    """A synthesis -> its reflectances, status, day and counts at a place."""
    near = next((name for name in NEAR_INFRARED if name in item["assets"]), "nir")
    values = {}
    for name in (*VISIBLE, near):
        dn = _value(item, name, place)
        known = dn is not None and dn != REFLECTANCE_NODATA
        values[_band(name)] = round(float(dn or 0) * REFLECTANCE_SCALE, 4) if known else None
    status, day = _value(item, "status", place), _value(item, "date", place)
    properties = item["properties"]
    return {
        "id": item["id"],
        "collection": item["collection"],
        "period": properties.get("clearcube:period", ""),
        "start": utc_text(times_of(item)[0]),
        "end": utc_text(times_of(item)[1]),
        "values": values,
        "status": None if status is None else STATUSES[int(status)].name,
        "date": None if day in (None, DATE_NODATA) else day_of(int(day)).isoformat(),
        "clear_count": _value(item, "clear_count", place),
        "total_count": _value(item, "total_count", place),
        "weight": _value(item, "weight", place),
    }


def _value(item: Document, key: str, place: Place) -> Any:
    """What an asset holds at a place; None where it is not there, or lies elsewhere."""
    asset = item["assets"].get(key)
    if asset is None:
        return None
    try:
        with RASTERS.reading(asset["href"]) as raster:
            held = values_at(raster, place)
    except (LoadError, OSError, *GDAL_ERRORS):
        # Made anew at this moment, or lost: the other dates are still worth seeing.
        return None
    return None if held is None else held[0]
