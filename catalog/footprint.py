"""Where an item lies: its bbox and geometry against a rectangle of longitudes and latitudes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import shapely
import shapely.geometry
from shapely.errors import ShapelyError

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
    if own is None or not _overlap(own, bbox):
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


def halves(bbox: Bbox) -> list[Bbox]:
    """A bbox as one or, across the antimeridian, two with west <= east."""
    west, south, east, north = bbox
    if west <= east:
        return [bbox]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


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


def _overlap(one: Bbox, other: Bbox) -> bool:
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
