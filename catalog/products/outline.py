"""A product's footprint as GeoJSON: valid, and cut where it crosses the antimeridian."""

from collections.abc import Iterable
from typing import Any

import pyproj
import shapely

from catalog.errors import ProductError
from catalog.products.product import Grid, Ring


def ring(source: str, points: Iterable[tuple[float, float]]) -> Ring:
    """Points (longitude, latitude) -> closed ring; ``ProductError`` where they enclose nothing."""
    found = tuple(points)
    if any(abs(longitude) > 360 or abs(latitude) > 90 for longitude, latitude in found):
        raise ProductError(f"{source}: the footprint is not in degrees of longitude and latitude")
    if len(set(found)) < 3 or shapely.Polygon(found).convex_hull.area == 0:
        raise ProductError(f"{source}: the footprint encloses no area")
    return found if found[0] == found[-1] else (*found, found[0])


def corners(source: str, grid: Grid) -> Ring:
    """Outer corners of a lattice -> closed counter-clockwise ring of (longitude, latitude)."""
    right = grid.left + grid.shape[1] * grid.step[0]
    bottom = grid.top + grid.shape[0] * grid.step[1]
    xs = (grid.left, grid.left, right, right, grid.left)
    ys = (grid.top, bottom, bottom, grid.top, grid.top)
    try:
        transformer = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    except pyproj.exceptions.CRSError:
        raise ProductError(f"{source}: EPSG:{grid.epsg} is not a coordinate system") from None
    longitudes, latitudes = transformer.transform(xs, ys)
    return ring(source, zip(longitudes, latitudes, strict=True))


def geometry_and_bbox(rings: Iterable[Ring]) -> tuple[dict[str, Any], list[float]]:
    """Rings of (longitude, latitude) -> GeoJSON geometry and its bbox.

    A ring whose neighbouring longitudes jump by more than half a turn crosses the antimeridian:
    it is cut there into a MultiPolygon, and the bbox then has west > east (RFC 7946, sections
    3.1.9 and 5.2). Polygons are made valid and counter-clockwise.
    """
    parts = [part for ring in rings for part in _parts(_unwrapped(ring))]
    polygons = sorted(
        (shapely.orient_polygons(part) for part in parts), key=lambda part: part.bounds
    )
    geometry = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    document = shapely.geometry.mapping(geometry)
    return {"type": document["type"], "coordinates": _lists(document["coordinates"])}, _bbox(
        polygons
    )


def _unwrapped(ring: Ring) -> list[tuple[float, float]]:
    """Longitudes counted on beyond 180 degrees, so that neighbours are close."""
    turn, last, points = 0.0, ring[0][0], []
    for longitude, latitude in ring:
        if longitude - last > 180:
            turn -= 360
        elif longitude - last < -180:
            turn += 360
        last = longitude
        points.append((longitude + turn, latitude))
    return points


def _parts(points: list[tuple[float, float]]) -> list[shapely.Polygon]:
    """Polygon that may reach beyond 180 degrees -> its parts, each within -180..180."""
    shape = shapely.make_valid(shapely.Polygon(points))
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        inside = shapely.intersection(shape, shapely.box(turn - 180, -90, turn + 180, 90))
        moved = shapely.transform(inside, lambda xy, turn=turn: xy - (turn, 0.0))
        parts += [each for each in shapely.get_parts(moved) if each.area > 0]
    return parts


def _bbox(polygons: list[shapely.Polygon]) -> list[float]:
    bounds = [polygon.bounds for polygon in polygons]
    south, north = min(each[1] for each in bounds), max(each[3] for each in bounds)
    west, east = min(each[0] for each in bounds), max(each[2] for each in bounds)
    if west == -180.0 and east == 180.0:
        west = min(each[0] for each in bounds if each[0] > 0)
        east = max(each[2] for each in bounds if each[2] < 0)
    return [west, south, east, north]


def _lists(value: Any) -> Any:
    """Nested sequences -> nested lists, as JSON would give them back."""
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value
