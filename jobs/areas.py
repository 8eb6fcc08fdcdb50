"""Tiles that a command is about: named, or those catalogued in a bbox or area of interest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import shape

from catalog.search import Query, normalise_tile, parse_bbox, tile_of
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.workspace import Workspace


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
        box = parse_bbox(area.bounds)
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
    try:
        if not _is_file(text):
            return shapely.from_wkt(text)
        document = json.loads(Path(text).read_text("utf-8"))
        features = document.get("features", [document])
        return shapely.union_all([shape(f.get("geometry", f)) for f in features])
    except shapely.errors.GEOSException as error:
        if "(" not in text:
            raise RequestError(f"area {text!r}: no such file, and no WKT") from None
        raise RequestError(f"area {text!r} is no WKT: {_reason(error)}") from None
    except (ValueError, AttributeError, KeyError, TypeError, OSError) as error:
        raise RequestError(f"area {text!r} is no GeoJSON file: {_reason(error)}") from None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:
        return False  # a WKT is longer than names of files may be


def _reason(error: Exception) -> str:
    """What an error says, as one line without the names of its classes."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return str(said).removeprefix("ParseException: ")
