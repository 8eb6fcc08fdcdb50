"""Tiles of web maps: which part of a raster lies under one, and its pixels brought onto it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import morecantile
import numpy as np
from affine import Affine
from morecantile import Tile
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import array_bounds, from_bounds
from rasterio.warp import reproject, transform_bounds

SIDE = 256
"""Side of a tile, pixels."""

MERCATOR = CRS.from_epsg(3857)
GRID = morecantile.tms.get("WebMercatorQuad")

MARGIN = 2
"""Pixels read beyond the edges of a tile, for those that are mixed of their neighbours."""


@dataclass(frozen=True, slots=True)
class Source:
    """Pixels to be brought onto a tile."""

    pixels: NDArray[Any]
    """(y, x)."""
    place: Affine
    crs: CRS
    nodata: float


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a raster under a tile, in its pixels from the upper left."""

    rows: tuple[float, float]
    columns: tuple[float, float]
    shape: tuple[int, int]
    """Of the whole raster."""
    coarser: float
    """Pixels of the raster, by its columns, to one of the tile."""

    def window(self, multiple: int = 1) -> tuple[slice, slice]:
        """Rows and columns to be read: from and to multiples, but where the raster ends."""
        return (
            _span(self.rows, self.shape[0], multiple),
            _span(self.columns, self.shape[1], multiple),
        )


def _span(edges: tuple[float, float], count: int, multiple: int) -> slice:
    first, last = edges[0] / multiple - MARGIN, edges[1] / multiple + MARGIN
    return slice(max(0, math.floor(first) * multiple), min(count, math.ceil(last) * multiple))


def part_under(tile: Tile, crs: CRS, place: Affine, shape: tuple[int, int]) -> Part | None:
    """Grid of a raster with its north up -> its part under a tile; None outside."""
    height, width = shape
    wanted = GRID.xy_bounds(tile)
    # Cut in Mercator, where every tile has a place, and then brought to the raster's own CRS,
    # where not all have.
    west, south, east, north = _bounds(crs, place, shape)
    west, south = max(west, wanted.left), max(south, wanted.bottom)
    east, north = min(east, wanted.right), min(north, wanted.top)
    if west >= east or south >= north:
        return None
    left, bottom, right, top = transform_bounds(MERCATOR, crs, west, south, east, north)
    columns = (left - place.c) / place.a, (right - place.c) / place.a
    rows = (top - place.f) / place.e, (bottom - place.f) / place.e
    if columns[1] <= 0 or columns[0] >= width or rows[1] <= 0 or rows[0] >= height:
        return None
    on_tile = (east - west) / (wanted.right - wanted.left) * SIDE
    return Part(rows, columns, shape, (columns[1] - columns[0]) / on_tile)


@lru_cache(maxsize=256)
def _bounds(crs: CRS, place: Affine, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """West, south, east, north of a raster, in Mercator."""
    found: tuple[float, float, float, float] = transform_bounds(
        crs, MERCATOR, *array_bounds(*shape, place)
    )
    return found


def onto_tile(sources: Sequence[Source], tile: Tile, *, smooth: bool = False) -> list[NDArray[Any]]:
    """Pixels where they lie -> ``(256, 256)`` each, nodata where there are none.

    The nearest pixel, or with ``smooth`` a mean of those around, nodata left out. What lies in the
    same place is brought there at once: half of the time goes into where a pixel comes from.
    """
    out: list[NDArray[Any]] = [np.empty(0)] * len(sources)
    alike: dict[Any, list[int]] = {}
    for index, one in enumerate(sources):
        key = (one.pixels.shape, one.pixels.dtype, one.place, one.crs, str(one.nodata))
        alike.setdefault(key, []).append(index)
    for indices in alike.values():
        first = sources[indices[0]]
        stack = np.stack([sources[index].pixels for index in indices])
        warped = _warped(first, stack, tile, Resampling.bilinear if smooth else Resampling.nearest)
        for layer, index in enumerate(indices):
            out[index] = warped[layer]
    return out


def _warped(like: Source, stack: NDArray[Any], tile: Tile, how: Resampling) -> NDArray[Any]:
    out = np.full((len(stack), SIDE, SIDE), like.nodata, stack.dtype)
    missing = np.isnan(stack) if math.isnan(like.nodata) else stack == like.nodata
    # GDAL weighs every pixel where it is told of nodata: twice the time, of use where there is some.
    nodata = like.nodata if missing.any() else None
    reproject(
        stack, out, src_transform=like.place, src_crs=like.crs, src_nodata=nodata,
        dst_transform=from_bounds(*GRID.xy_bounds(tile), SIDE, SIDE), dst_crs=MERCATOR,
        dst_nodata=nodata, init_dest_nodata=nodata is not None, resampling=how,
        UNIFIED_SRC_NODATA="NO",  # each band by its own: else nodata of one is mixed with the others
    )  # fmt: skip
    return out
