"""Tiles that a command is about: named, or those catalogued in a bbox or area of interest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import shape

from catalog.errors import QueryError
from catalog.footprint import Bbox
from catalog.search import Query, normalise_tile, parse_bbox, tile_of
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.workspace import Workspace

NO_GEOJSON = "no GeoJSON file of areas"
WANTED = "give polygons in longitude and latitude, alone or as features"


def find_tiles(
    workspace: "Workspace", tiles: Sequence[str], bbox: str | None, aoi: str | None
) -> list[str]:
    """Tiles named, else those of catalogued scenes in a bbox or area; never none."""
    if tiles:
        return list(dict.fromkeys(normalise_tile(tile) for tile in tiles))
    area = None if aoi is None else read_area(aoi)
    if bbox is not None:
        box = parse_bbox(bbox)
    elif area is not None:
        box = _box(area, str(aoi))
    else:
        raise RequestError("name a tile with --tile, or an area with --bbox or --aoi")
    found = set()
    for item in workspace.documents(Query(bbox=box, limit=1000)):
        tile = tile_of(item)
        if tile is None or "clearcube:job" in item["properties"]:
            continue
        if area is None or shape(item["geometry"]).intersects(area):
            found.add(tile)
    if not found:
        raise RequestError(f"no scene is catalogued in {bbox or aoi}; ingest some first")
    return sorted(found)


def read_area(text: str) -> Any:
    """GeoJSON file or WKT, longitude and latitude -> shapely geometry; else ``RequestError``."""
    area = shapely.union_all(read_geometries(Path(text))) if _is_file(text) else _from_wkt(text)
    if area.is_empty:
        raise RequestError(f"area {text!r} is empty: give one that holds something")
    return area


def read_geometries(path: Path) -> list[Any]:
    """GeoJSON file of any kind -> its geometries in shapely, at least one; else ``RequestError``."""
    try:
        document = json.loads(path.read_text("utf-8"))
        features = document.get("features", [document])
        held = [each.get("geometry", each) for each in features]
        found = [shape(each) for each in held if each is not None]
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise RequestError(f"{path} is {NO_GEOJSON}: it is no JSON from {place} on") from None
    except (ValueError, AttributeError, LookupError, TypeError, shapely.errors.ShapelyError):
        # What these say is about the code that met it.
        raise RequestError(f"{path} is {NO_GEOJSON}: {WANTED}") from None
    found = [each for each in found if not each.is_empty]
    if not found:
        raise RequestError(f"{path} holds no geometry: {WANTED}")
    return found


def _from_wkt(text: str) -> Any:
    try:
        return shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        if "(" not in text:
            raise RequestError(f"area {text!r}: no such file, and no WKT") from None
        raise RequestError(f"area {text!r} is no WKT: {_reason(error)}") from None


def _box(area: Any, text: str) -> Bbox:
    try:
        return parse_bbox(area.bounds)
    except QueryError as error:
        raise RequestError(f"area {text!r}: {error}") from None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:
        return False  # a WKT is longer than names of files may be


def _reason(error: Exception) -> str:
    """What an error says, as one line without the names of its classes."""
    return " ".join(str(error).split()).removeprefix("ParseException: ")
