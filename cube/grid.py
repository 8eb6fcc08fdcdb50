"""Grids: MGRS tile -> lattice, footprints -> extent, extent -> geoboxes and blocks; pure, no I/O."""

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import mgrs
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, chop_along_antimeridian
from shapely.geometry.polygon import orient

from cube.errors import GridError

TILE_SIZE = 109_800
"""Side of a Sentinel-2 tile, metres (ESA, Sentinel-2 Products Specification Document, tiling grid)."""

TILE_LATTICE = 60
"""A tile's corner lies on multiples of 60 m, the coarsest band, outside its 100 km square."""

SNAP = 20
"""Extents snap outwards to this many metres, so that each 20 m pixel holds four whole 10 m ones."""

BLOCK_PIXELS = 256
"""Side of a block in pixels of the coarsest group: 256 at 20 m is 512 at 10 m."""

_TILE = re.compile(r"(?:[1-9]|0[1-9]|[1-5]\d|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]")


@dataclass(frozen=True, slots=True)
class Extent:
    """A rectangle of a tile's UTM plane, in whole metres, edges included as drawn."""

    epsg: int
    left: int
    bottom: int
    right: int
    top: int

    def geobox(self, resolution: int) -> GeoBox:
        """Extent -> north-up geobox of square pixels; ``GridError`` where they do not fit in."""
        shape = self.shape(resolution)
        affine = Affine(resolution, 0.0, self.left, 0.0, -resolution, self.top)
        return GeoBox(shape, affine, f"EPSG:{self.epsg}")

    def shape(self, resolution: int) -> tuple[int, int]:
        """Rows and columns at a resolution in metres; ``GridError`` where it is no divisor."""
        height, width = self.top - self.bottom, self.right - self.left
        if height % resolution or width % resolution:
            raise GridError(
                f"an extent of {width} x {height} m holds no whole {resolution} m pixels"
            )
        return height // resolution, width // resolution

    def contains(self, other: "Extent") -> bool:
        """Whether the other extent lies inside, edges allowed."""
        return (
            self.epsg == other.epsg
            and self.left <= other.left
            and self.bottom <= other.bottom
            and self.right >= other.right
            and self.top >= other.top
        )

    def meets(self, other: "Extent") -> bool:
        """Whether the two have any area in common."""
        return (
            self.epsg == other.epsg
            and max(self.left, other.left) < min(self.right, other.right)
            and max(self.bottom, other.bottom) < min(self.top, other.top)
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Unit of pixel work: a rectangle counted in pixels of the coarsest group."""

    row: int
    column: int
    y0: int
    x0: int
    height: int
    width: int

    @property
    def key(self) -> str:
        """Name of the block within its tile, e.g. ``y03x11``."""
        return f"y{self.row:02d}x{self.column:02d}"

    def window(self, factor: int) -> tuple[slice, slice]:
        """Row and column slices in a group ``factor`` times finer than the coarsest."""
        y0, x0 = self.y0 * factor, self.x0 * factor
        return slice(y0, y0 + self.height * factor), slice(x0, x0 + self.width * factor)


@lru_cache(maxsize=1024)
def tile_extent(tile: str) -> Extent:
    """MGRS tile such as ``31TCJ`` -> its 109.8 km square in UTM metres; ``GridError`` if no tile."""
    if not _TILE.fullmatch(tile):
        raise GridError(f"{tile!r} is no MGRS tile such as 31TCJ")
    try:
        with warnings.catch_warnings():
            # The corner of a square that a latitude band cuts lies in the band below: no matter.
            warnings.filterwarnings("ignore", ".*Latitude Warning", RuntimeWarning)
            zone, hemisphere, easting, northing = mgrs.MGRS().MGRSToUTM(f"{tile}0000000000")
    except mgrs.core.MGRSError:
        raise GridError(f"there is no MGRS tile {tile}") from None
    # The library gives the middle of the metre; southern northings count from -10 000 km.
    false_northing = 0 if hemisphere == "N" else 10_000_000
    left = math.floor(math.floor(easting) / TILE_LATTICE) * TILE_LATTICE
    square_top = math.floor(northing) + 100_000 - false_northing
    top = math.ceil(square_top / TILE_LATTICE) * TILE_LATTICE + false_northing
    epsg = (32600 if hemisphere == "N" else 32700) + zone
    return Extent(epsg, left, top - TILE_SIZE, left + TILE_SIZE, top)


def footprint_extent(transform: Iterable[float], shape: Iterable[int], epsg: int) -> Extent:
    """Six numbers of an affine transform and (rows, columns) -> the raster's extent, whole metres."""
    a, b, c, d, e, f = list(transform)[:6]
    rows, columns = shape
    if b or d or a <= 0 or e >= 0:
        raise GridError("a raster that is not north-up has no place in a tile")
    return Extent(
        epsg,
        math.floor(c),
        math.floor(f + e * rows),
        math.ceil(c + a * columns),
        math.ceil(f),
    )


def footprint_in(
    transform: Sequence[float], shape: Sequence[int], epsg: int, target: int
) -> Extent:
    """A raster's place in one CRS -> the rectangle around it in another, whole metres.

    ``GridError`` where it is not north-up or lies nowhere in the other CRS.
    """
    extent = footprint_extent(transform, shape, epsg)
    if epsg == target:
        return extent
    box = GeoBox((shape[0], shape[1]), Affine(*transform[:6]), f"EPSG:{epsg}")
    bounds = box.extent.to_crs(f"EPSG:{target}").boundingbox
    if not all(math.isfinite(edge) for edge in bounds):
        raise GridError(f"a raster in EPSG:{epsg} has no place in EPSG:{target}")
    return Extent(target, *(math.floor(v) for v in bounds[:2]), *(math.ceil(v) for v in bounds[2:]))


def union_extent(tile: str, footprints: Iterable[Extent], snap: int = SNAP) -> Extent:
    """Extents on a tile -> the smallest one over all, on the tile's lattice, within the tile.

    The corners move outwards to multiples of ``snap`` metres from the tile's upper left corner.
    ``GridError`` where nothing lies on the tile or a footprint is in another CRS.
    """
    whole = tile_extent(tile)
    found = list(footprints)
    if not found:
        raise GridError(f"no footprint to make the extent of tile {tile} from")
    for extent in found:
        if extent.epsg != whole.epsg:
            raise GridError(f"EPSG:{extent.epsg} is not the CRS of tile {tile}, EPSG:{whole.epsg}")
    left = _floor(min(e.left for e in found) - whole.left, snap) + whole.left
    right = _ceil(max(e.right for e in found) - whole.left, snap) + whole.left
    top = whole.top - _floor(whole.top - max(e.top for e in found), snap)
    bottom = whole.top - _ceil(whole.top - min(e.bottom for e in found), snap)
    left, right = max(left, whole.left), min(right, whole.right)
    bottom, top = max(bottom, whole.bottom), min(top, whole.top)
    if left >= right or bottom >= top:
        raise GridError(f"the footprints lie outside tile {tile}")
    return Extent(whole.epsg, left, bottom, right, top)


def blocks(shape: tuple[int, int], side: int = BLOCK_PIXELS) -> Iterator[Block]:
    """Rows and columns of the coarsest group -> blocks, row by row; those at the edges are smaller."""
    height, width = shape
    for row, y0 in enumerate(range(0, height, side)):
        for column, x0 in enumerate(range(0, width, side)):
            yield Block(row, column, y0, x0, min(side, height - y0), min(side, width - x0))


def on_lattice(transform: Iterable[float], extent: Extent, resolution: int) -> bool:
    """Whether a raster's pixels are exactly pixels of the extent's geobox at this resolution."""
    a, b, c, d, e, f = list(transform)[:6]
    return (
        (a, b, d, e) == (resolution, 0, 0, -resolution)
        and (c - extent.left) % resolution == 0
        and (extent.top - f) % resolution == 0
    )


def lonlat(extent: Extent) -> tuple[dict[str, Any], list[float]]:
    """Extent -> its outline as GeoJSON geometry in longitude and latitude, and its bbox.

    A tile across the antimeridian becomes a MultiPolygon, and its bbox has west > east
    (RFC 7946, sections 3.1.9 and 5.2).
    """
    # Four points a side follow the bend of a tile's edges to a few pixels.
    side = max(extent.right - extent.left, extent.top - extent.bottom) / 4
    ring = extent.geobox(SNAP).extent if not _odd(extent) else extent.geobox(1).extent
    polygon = ring.segmented(side).to_crs("EPSG:4326")
    bounds = polygon.boundingbox
    if bounds.right - bounds.left <= 180:
        return _geojson(polygon), _rounded(bounds.left, bounds.bottom, bounds.right, bounds.top)
    chopped = chop_along_antimeridian(ring.segmented(side)).to_crs("EPSG:4326", wrapdateline=True)
    parts = [part.boundingbox for part in chopped.geoms]
    west = min(part.left for part in parts if part.left > 0)
    east = max(part.right for part in parts if part.right < 0)
    return _geojson(chopped), _rounded(west, bounds.bottom, east, bounds.top)


@lru_cache(maxsize=1024)
def solar_offset(tile: str) -> timedelta:
    """Mean solar time less UTC at the middle of a tile: 4 minutes a degree of longitude."""
    _geometry, bbox = lonlat(tile_extent(tile))
    west, _, east, _ = bbox
    middle = (west + east) / 2 if west <= east else (west + east + 360) / 2
    return timedelta(minutes=4 * ((middle + 180) % 360 - 180))


def _odd(extent: Extent) -> bool:
    return bool((extent.top - extent.bottom) % SNAP or (extent.right - extent.left) % SNAP)


def _geojson(geometry: Geometry) -> dict[str, Any]:
    """Polygons as GeoJSON, their rings counter-clockwise (RFC 7946, section 3.1.6)."""
    polygons = getattr(geometry.geom, "geoms", [geometry.geom])
    rings = [[_ring(orient(polygon))] for polygon in polygons]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _ring(polygon: Any) -> list[list[float]]:
    return [_rounded(x, y) for x, y in polygon.exterior.coords]


def _rounded(*values: float) -> list[float]:
    return [round(value, 7) for value in values]


def _floor(value: int, step: int) -> int:
    return math.floor(value / step) * step


def _ceil(value: int, step: int) -> int:
    return math.ceil(value / step) * step
