"""Where an item lies: its bbox and geometry against a rectangle or a geometry of degrees."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import shapely
import shapely.geometry
from shapely.errors import ShapelyError

from catalog.errors import QueryError

Bbox = tuple[float, float, float, float]
"""west, south, east, north in degrees; west > east crosses the antimeridian."""


def bbox_of(item: Mapping[str, Any]) -> Bbox | None:
    """Bbox of an item, from its ``bbox`` or else its geometry; ``None`` where it has neither."""
    numbers = item.get("bbox")
    if numbers:
        half = len(numbers) // 2
        return float(numbers[0]), float(numbers[1]), float(numbers[half]), float(numbers[half + 1])
    if item.get("geometry") is None:
        return None
    return bounds_of(item["geometry"])


def bounds_of(geometry: Mapping[str, Any]) -> Bbox:
    """Least and greatest longitude and latitude of a GeoJSON geometry, as west, south, east, north."""
    points = list(_points(geometry))
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))


def intersects(item: Mapping[str, Any], bbox: Bbox) -> bool:
    """Whether an item's geometry shares a point with a bbox; touching counts."""
    own = bbox_of(item)
    if own is None or not boxes_overlap(own, bbox):
        return False
    if item.get("geometry") is None or _inside(own, bbox):
        return True
    crosses = own[0] > own[2]
    try:
        shape = shapely.geometry.shape(
            _unwrapped(item["geometry"]) if crosses else item["geometry"]
        )
        return any(
            bool(shapely.intersects(shape, _rectangle(box, turn)))
            for box in halves(bbox)
            for turn in ((0.0, 360.0) if crosses else (0.0,))
        )
    except (ShapelyError, ValueError, TypeError):
        # A geometry that GEOS cannot read still has its bbox, and that overlaps.
        return True


def relates(item: Mapping[str, Any], predicate: str, stated: str) -> bool:
    """Whether an item's geometry (else its bbox) lies so to a stated one, in plane degrees.

    ``predicate`` is shapely's name, ``stated`` a text of :func:`geometry_text`. An item that lies
    nowhere relates to nothing.
    """
    own = item.get("geometry")
    box = bbox_of(item) if own is None else None
    if own is None and box is None:
        return False
    try:
        if own is None:
            parts = [_rectangle(half, 0.0) for half in halves(box)] if box else []
            shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
        else:
            shape = shapely.geometry.shape(own)
        return bool(getattr(shapely, predicate)(shape, stated_shape(stated)))
    except (ShapelyError, ValueError, TypeError, AttributeError):
        return False


def geometry_text(value: Any) -> str:
    """GeoJSON geometry, Feature or ``{"bbox": [...]}`` of a question -> checked GeoJSON text."""
    if isinstance(value, Mapping) and "bbox" in value and "type" not in value:
        value = _box_geometry(value["bbox"])
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        value = value.get("geometry")
    if not isinstance(value, Mapping) or value.get("type") not in _TYPES:
        raise QueryError("a geometry is GeoJSON: give type and coordinates, e.g. of a Polygon")
    try:
        text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
        plain = json.loads(text)
        shape = shapely.geometry.shape(plain)
        bounds = shape.bounds
    except (ShapelyError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise QueryError(f"the {value['type']} is no usable GeoJSON") from None
    if shape.is_empty or not all(math.isfinite(each) for each in bounds):
        raise QueryError(f"the {value['type']} is empty or not finite")
    if not all(ring[0] == ring[-1] for ring in _rings(plain)):
        raise QueryError(f"a ring of the {value['type']} does not end where it begins")
    if bounds[0] < -180 or bounds[2] > 180 or bounds[1] < -90 or bounds[3] > 90:
        raise QueryError(
            f"the {value['type']} leaves the globe: give degrees of longitude, latitude"
        )
    if not shape.is_valid:
        raise QueryError(f"the {value['type']} is not valid: {shapely.is_valid_reason(shape)}")
    return text


def box_text(bbox: Bbox) -> str:
    """Bbox -> GeoJSON text of the rectangle, line or point that it is, or of its two halves."""
    return json.dumps(_plain(_box_geometry(list(bbox))), separators=(",", ":"))


@lru_cache(maxsize=64)
def stated_shape(text: str) -> Any:
    """GeoJSON text -> shapely geometry, kept for the next item."""
    shape = shapely.geometry.shape(json.loads(text))
    shapely.prepare(shape)
    return shape


def stated_bounds(text: str) -> Bbox:
    """GeoJSON text -> west, south, east, north."""
    west, south, east, north = stated_shape(text).bounds
    return float(west), float(south), float(east), float(north)


def _box_geometry(numbers: Any) -> dict[str, Any]:
    if not isinstance(numbers, list) or len(numbers) not in (4, 6):
        raise QueryError("a BBOX has four numbers: west, south, east, north")
    half = len(numbers) // 2
    try:
        west, south, east, north = (float(numbers[index]) for index in (0, 1, half, half + 1))
    except (TypeError, ValueError):
        raise QueryError("a BBOX has four numbers: west, south, east, north") from None
    if south > north:
        raise QueryError("a BBOX has south above north")
    parts = [
        shapely.geometry.mapping(_rectangle(half_box, 0.0))
        for half_box in halves((west, south, east, north))
    ]
    if len(parts) == 1:
        return dict(parts[0])
    if all(part["type"] == "Polygon" for part in parts):
        return {"type": "MultiPolygon", "coordinates": [part["coordinates"] for part in parts]}
    return {"type": "GeometryCollection", "geometries": parts}


def _plain(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """A geometry with its type and coordinates only, without heights."""
    if geometry.get("type") not in _TYPES:
        raise ValueError("no geometry")
    if geometry["type"] == "GeometryCollection":
        return {
            "type": geometry["type"],
            "geometries": [_plain(part) for part in geometry["geometries"]],
        }
    return {"type": geometry["type"], "coordinates": _flat(geometry["coordinates"], 0)}


def _flat(value: Any, depth: int) -> Any:
    if depth > 4 or not isinstance(value, list | tuple):
        raise ValueError("coordinates are nested lists of numbers")
    if value and not isinstance(value[0], list | tuple):
        if len(value) not in (2, 3):
            raise ValueError("a position has two or three numbers")
        if any(isinstance(each, bool) for each in value):
            raise ValueError("a position has numbers")
        return [float(value[0]), float(value[1])]
    return [_flat(part, depth + 1) for part in value]


_TYPES = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
)  # fmt: skip


def halves(bbox: Bbox) -> list[Bbox]:
    """A bbox as one or, across the antimeridian, two with west <= east."""
    west, south, east, north = bbox
    if west <= east:
        return [bbox]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def _rings(geometry: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Rings of a GeoJSON geometry; shapely closes what is open, PostGIS refuses it."""
    for part in geometry.get("geometries", ()):
        yield from _rings(part)
    if geometry["type"] == "Polygon":
        yield from geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        for polygon in geometry["coordinates"]:
            yield from polygon


def _points(value: Any) -> Iterator[Sequence[float]]:
    """Every position of a GeoJSON geometry or of its nested coordinates."""
    if isinstance(value, Mapping):
        for part in value.get("geometries", [value.get("coordinates", [])]):
            yield from _points(part)
    elif value and isinstance(value[0], int | float):
        yield value
    else:
        for part in value:
            yield from _points(part)


def boxes_overlap(one: Bbox, other: Bbox) -> bool:
    """Whether two boxes share a point, in degrees; touching counts."""
    return any(
        a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
        for a in halves(one)
        for b in halves(other)
    )


def _inside(inner: Bbox, outer: Bbox) -> bool:
    return all(
        any(b[0] <= a[0] and a[2] <= b[2] and b[1] <= a[1] and a[3] <= b[3] for b in halves(outer))
        for a in halves(inner)
    )


def _unwrapped(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """A geometry across the antimeridian with its western longitudes counted on from 180."""
    if "geometries" in geometry:
        return {**geometry, "geometries": [_unwrapped(part) for part in geometry["geometries"]]}
    return {**geometry, "coordinates": _turned(geometry["coordinates"])}


def _turned(value: Any) -> Any:
    if value and isinstance(value[0], int | float):
        return [value[0] + 360.0 if value[0] < 0 else value[0], *value[1:]]
    return [_turned(part) for part in value]


def _rectangle(box: Bbox, turn: float) -> Any:
    """A box as the geometry that it really is: a rectangle, a line or a point."""
    west, south, east, north = box[0] + turn, box[1], box[2] + turn, box[3]
    if west == east and south == north:
        return shapely.Point(west, south)
    if west == east or south == north:
        return shapely.LineString([(west, south), (east, north)])
    return shapely.box(west, south, east, north)
