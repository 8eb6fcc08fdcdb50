"""A place on the ground: which pixel of a grid it lies in, and what a raster holds there."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import rasterio
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.windows import Window

from cube.errors import GridError, LoadError
from cube.grid import Extent
from cube.rasters import GDAL_ERRORS


@dataclass(frozen=True, slots=True)
class Place:
    """A point by longitude and latitude."""

    lon: float
    """Degrees east, -180 to 180."""
    lat: float
    """Degrees north, -90 to 90."""

    def __str__(self) -> str:
        return f"{self.lon:.10g},{self.lat:.10g}"

    def metres(self, epsg: int) -> tuple[float, float]:
        """EPSG code -> x and y there; ``GridError`` where the place has none."""
        try:
            x, y = _to(epsg).transform(self.lon, self.lat)
        except ProjError:
            x = y = math.inf
        if not (math.isfinite(x) and math.isfinite(y)):
            raise GridError(f"{self} has no place in EPSG:{epsg}")
        return x, y

    def pixel(self, extent: Extent, resolution: int) -> tuple[int, int]:
        """Extent and metres of a pixel -> row and column; ``GridError`` where it lies outside."""
        x, y = self.metres(extent.epsg)
        row = math.floor((extent.top - y) / resolution)
        column = math.floor((x - extent.left) / resolution)
        height, width = extent.shape(resolution)
        if not (0 <= row < height and 0 <= column < width):
            raise GridError(f"{self} lies outside")
        return row, column


@lru_cache
def _to(epsg: int) -> Transformer:
    """From degrees; finding the way takes longer than going it."""
    return Transformer.from_crs(4326, epsg, always_xy=True)


def read_place(href: str, place: Place) -> list[int | float] | None:
    """Path or GDAL name of a raster -> the stored value of each of its bands there.

    None where the place lies outside; ``LoadError`` where the raster cannot be read or says no CRS.
    """
    try:
        with rasterio.open(href) as raster:
            return values_at(raster, place)
    except GDAL_ERRORS as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise LoadError(f"cannot read {href}: {said[0]}") from error


def values_at(raster: Any, place: Place) -> list[int | float] | None:
    """Open raster of rasterio -> the stored value of each of its bands at a place.

    None where the place lies outside; ``LoadError`` where the raster says no CRS, else GDAL's errors.
    """
    epsg = raster.crs.to_epsg() if raster.crs else None
    if epsg is None:
        raise LoadError(f"{raster.name} does not say where it lies")
    x, y = place.metres(epsg)
    row, column = raster.index(x, y)
    if not (0 <= row < raster.height and 0 <= column < raster.width):
        return None
    pixels = raster.read(window=Window(column, row, 1, 1))
    return [value.item() for value in pixels[:, 0, 0]]
