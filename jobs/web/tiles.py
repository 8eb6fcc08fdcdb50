"""Tiles and values of catalogued rasters, by collection, id and the name of a rendering.

A route takes names only: no address, path, expression or colour comes from who asks.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from morecantile import Tile

from catalog.backends.base import Document
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import NAMES, STATUSES
from cube.decoding import MaskReading, has_mask
from cube.errors import BandError, GridError
from cube.masks import READINGS, encodings
from cube.place import Place, read_place
from cube.reading import read_band
from cube.store import Cube, DateEntry
from jobs.dates import time_of
from jobs.explain import MAIN_MASKS
from jobs.pixel_dates import read_pixel
from jobs.stores import COLLECTION as CUBES
from jobs.web.answers import (
    Latitude,
    Longitude,
    Word,
    answering,
    digits,
    find_item,
    refuse,
    version_of,
)
from jobs.web.pictures import cube_bands, cube_tile, empty, item_tile, opened_cube, png
from jobs.web.renderings import RENDERINGS, VERSION, Rendering

if TYPE_CHECKING:
    from jobs.workspace import Workspace

DEEPEST = 22
"""Last zoom: a pixel is 4 cm there."""

FOREVER = "public, max-age=31536000, immutable"
"""Of an address that names the version of what it shows."""

ASKED_AGAIN = "no-cache"
"""Of one that does not: kept, and asked for with its ETag."""

STAMP = r"^\d{8}T\d{6}$"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request names, found."""

    item: Document
    rendering: Rendering
    version: str
    cube: Cube | None = None
    entry: DateEntry | None = None
    reading: MaskReading | None = None


def tiles_router(workspace: "Workspace") -> APIRouter:
    """Workspace -> ``/tiles``: PNG of 256 x 256 pixels in Web Mercator, and values at a place."""
    router = APIRouter(prefix="/tiles", tags=["tiles"])

    @router.get(
        "/{collection}/{item_id}/{name}/{z}/{x}/{y}.png",
        summary="A tile of an item, or of a date of a cube",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, 304: {"description": "as it was"}},
    )
    def tile(
        request: Request,
        collection: Word,
        item_id: Word,
        name: Word,
        z: Annotated[int, Path(ge=0, le=DEEPEST)],
        x: Annotated[int, Path(ge=0)],
        y: Annotated[int, Path(ge=0)],
        time: Annotated[str | None, Query(pattern=STAMP, description="Date of a cube.")] = None,
        reading: Annotated[str, Query(description=f"{', '.join(READINGS)}.")] = "standard",
        v: Annotated[str, Query(max_length=64, description="Version that is expected.")] = "",
    ) -> Response:
        if max(x, y) >= 2**z:
            refuse(404, f"zoom {z} has {2**z} columns and rows")
        with answering(f"{collection}/{item_id}"):
            shown = _find(workspace, collection, item_id, name, time, reading)
            headers = {
                "ETag": f'"{shown.version}"',
                "Cache-Control": FOREVER if v == shown.version else ASKED_AGAIN,
            }
            if headers["ETag"] in request.headers.get("If-None-Match", ""):
                return Response(status_code=304, headers=headers)
            picture = _picture(shown, Tile(x, y, z))
            return Response(png(picture), media_type="image/png", headers=headers)

    @router.get(
        "/{collection}/{item_id}/{name}/point",
        summary="What the rasters of a rendering hold at a place",
    )
    def point(
        collection: Word,
        item_id: Word,
        name: Word,
        lon: Longitude,
        lat: Latitude,
        time: Annotated[str | None, Query(pattern=STAMP, description="Date of a cube.")] = None,
        reading: Annotated[str, Query(description=f"{', '.join(READINGS)}.")] = "standard",
    ) -> Document:
        with answering(f"{collection}/{item_id}"):
            shown = _find(workspace, collection, item_id, name, time, reading)
            place = Place(lon, lat)
            try:
                values = _cube_values(shown, place) if shown.cube else _values(shown, place)
            except GridError:
                refuse(404, f"{place} lies outside {item_id}")
            return {"item": item_id, "collection": collection, "at": [lon, lat], "values": values}

    return router


def main_mask(cube: Cube) -> str:
    """The mask that says of a cube's level what is seen, empty where it holds none."""
    held = {variable.name for variable in cube.spec.variables}
    names = (e.name for e in encodings() if e.name in MAIN_MASKS and e.reads[0] in held)
    return next(names, "")


def stamp_of(entry: DateEntry) -> str:
    """Date of a cube -> its time as ids write it, ``20190516T105659``."""
    return f"{time_of(entry):%Y%m%dT%H%M%S}"


def date_version(cube: Cube, entry: DateEntry) -> str:
    """Date of a cube -> what changes whenever it shows something else."""
    return digits([VERSION, cube.spec.generation, entry.slot, entry.key])


def item_version(item: Document) -> str:
    """Item -> what changes whenever a tile of it does."""
    return digits([VERSION, version_of(item)])


def _find(
    workspace: "Workspace",
    collection: str,
    item_id: str,
    name: str,
    time: str | None,
    reading: str,
) -> Shown:
    chosen = RENDERINGS.get(name)
    if chosen is None:
        refuse(404, f"there is no rendering {name}; there are {' '.join(RENDERINGS)}")
    item = find_item(workspace, collection, item_id)
    if collection == CUBES:
        return _find_date(item, chosen, time, reading)
    if chosen.assets(item["assets"]) is None:
        refuse(404, f"{item_id} has no assets to show as {name}")
    return Shown(item, chosen, item_version(item))


def _find_date(item: Document, chosen: Rendering, time: str | None, reading: str) -> Shown:
    cube = opened_cube(item)
    if time is None:
        refuse(400, f"{item['id']} is a cube: say which date with time=YYYYMMDDTHHMMSS")
    entry = next((each for each in cube.valid_dates if stamp_of(each) == time), None)
    if entry is None:
        refuse(404, f"the cube {item['id']} has no date {time}")
    version = date_version(cube, entry)
    if chosen.reflectance:
        try:
            cube_bands(cube, chosen)
        except BandError as error:
            refuse(404, str(error))
        return Shown(item, chosen, version, cube, entry)
    mask = main_mask(cube)
    if not chosen.name.startswith("mask") or not mask or not has_mask(entry, mask):
        refuse(404, f"the date {time} of {item['id']} has nothing to show as {chosen.name}")
    if reading not in READINGS:
        refuse(400, f"there is no reading {reading}; there are {' '.join(READINGS)}")
    return Shown(item, chosen, version, cube, entry, MaskReading(mask, reading))


def _picture(shown: Shown, tile: Tile) -> Any:
    if shown.cube is not None and shown.entry is not None:
        return cube_tile(shown.cube, shown.entry, shown.rendering, shown.reading, tile)
    keys = shown.rendering.assets(shown.item["assets"])
    return empty() if keys is None else item_tile(shown.item, shown.rendering, keys, tile)


# --- values ---------------------------------------------------------------------------------------


def _values(shown: Shown, place: Place) -> list[Document]:
    """Assets of a rendering -> the stored number of each, and what it means."""
    found = []
    for key in shown.rendering.assets(shown.item["assets"]) or ():
        asset = shown.item["assets"][key]
        held = read_place(asset["href"], place)
        if held is None:
            raise GridError("outside")
        found.append({"asset": key, "value": held[0], **_meaning(shown.rendering, asset, held[0])})
    return found


def _meaning(chosen: Rendering, asset: Document, value: float) -> Document:
    band = (asset.get("raster:bands") or [{}])[0]
    if value == band.get("nodata") and "classification:classes" not in asset:
        return {"meaning": "nodata"}
    if chosen.reflectance:
        physical = value * float(band.get("scale", 1.0)) + float(band.get("offset", 0.0))
        return {"reflectance": round(physical, 6)}
    if chosen.name == "status":
        return {"meaning": STATUSES[int(value)].name}
    return {"meaning": NAMES[int(value)]} if chosen.name.startswith("mask") else {}


def _cube_values(shown: Shown, place: Place) -> list[Document]:
    cube, entry = shown.cube, shown.entry
    if cube is None or entry is None:
        return []
    if shown.reading is not None:
        group = next(iter(cube.spec.groups))
        code = read_pixel(cube, entry, group, place, shown.reading).code
        return [{"asset": shown.reading.encoding, "value": code, "meaning": NAMES[code]}]
    group, names = cube_bands(cube, shown.rendering)
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    window = slice(row, row + 1), slice(column, column + 1)
    found: list[Document] = []
    for name in names:
        dn = int(read_band(cube, group, name, [entry.slot], window)[0, 0, 0])
        if dn == REFLECTANCE_NODATA:
            known: Document = {"meaning": "nodata"}
        else:
            known = {"reflectance": round(dn * REFLECTANCE_SCALE, 4)}
        found.append({"asset": name, "value": dn, **known})
    return found
