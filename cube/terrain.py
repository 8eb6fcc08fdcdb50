"""Rasters of heights -> altitude, slope and aspect on a tile's grid."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT
from scipy import ndimage

from cube.assets import DEGREE
from cube.errors import LoadError
from cube.grid import Extent
from cube.rasters import GDAL_ERRORS, read_header

Floats = NDArray[np.float32]

RESOLUTION = 20
"""Metres: the grid of everything here that needs heights."""

METRES = ("", "m", "metre", "metres", "meter", "meters")
"""Units of heights as files write them; most say nothing."""

MARGIN = 1
"""Pixels beyond the edges that a slope looks at."""

_TOLERANCE = 1e-9
"""Pixels by which a place may be off: by default an eighth, found by interpolating along a row of the
window, so that smaller windows give other numbers. rasterio fails with 0."""

_EDGE_POINTS = 8
"""Points along a side of a raster's outline: meridians bend in other projections."""


@dataclass(frozen=True, slots=True)
class DemHeader:
    """What a raster of heights says of itself."""

    shape: tuple[int, int]
    transform: tuple[float, ...]
    """Six numbers, as in ``proj:transform``."""
    epsg: int | None
    wkt: str
    dtype: str
    nodata: float | None
    scale: float
    offset: float
    """Metres = stored x scale + offset."""
    outline: tuple[tuple[float, float], ...]
    """Longitudes and latitudes along its edges."""


def read_dem_header(href: str) -> DemHeader:
    """Path or GDAL name of a raster of heights -> its header, after its first and last block.

    ``LoadError`` names the file and what makes it none: no raster, truncated, no CRS, more than
    one band, heights that are no real numbers or not in metres.
    """
    with warnings.catch_warnings():
        # That there is no place is said below, as an error.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        header = read_header(href)
        try:
            with rasterio.open(href) as raster:
                crs, unit = raster.crs, raster.units[0] or ""
                scale, offset = raster.scales[0], raster.offsets[0]
        except GDAL_ERRORS as error:  # it was read a moment ago
            raise LoadError(f"cannot read {href}: {error}") from error
    if header.count != 1:
        raise LoadError(f"{href} has {header.count} bands; give a raster of heights alone")
    if not crs:
        raise LoadError(f"{href} has no CRS; say where it lies, e.g. gdal_edit -a_srs EPSG:4326")
    if np.dtype(header.dtype).kind not in "iuf":
        raise LoadError(f"{href} holds {header.dtype}, which are no heights")
    if unit.strip().lower() not in METRES:
        raise LoadError(f"{href} has heights in {unit!r}; convert them to metres")
    return DemHeader(
        shape=header.shape,
        transform=header.transform,
        epsg=header.epsg,
        wkt=crs.to_wkt(version="WKT2_2019"),
        dtype=header.dtype,
        nodata=header.nodata,
        scale=scale,
        offset=offset,
        outline=_outline(href, header.shape, header.transform, crs.to_wkt()),
    )


def read_altitude(
    hrefs: Iterable[str], extent: Extent, resolution: int = RESOLUTION, *, margin: int = 0
) -> Floats:
    """Rasters of heights -> (y, x) float32 metres on the extent's grid, NaN where none has data.

    A pixel is of the first raster with data there. One that is finer than the grid is averaged over
    the pixel, others are interpolated by cubic convolution; the place of each pixel is computed
    exactly, so that a smaller extent gets the same numbers. ``margin`` adds pixels on every side.
    ``LoadError`` names the raster that cannot be read.
    """
    grid = _widened(extent, margin * resolution).geobox(resolution)
    found = np.full(grid.shape, np.nan, np.float32)
    for href in hrefs:
        missing = np.isnan(found)
        if not missing.any():
            break
        np.copyto(found, _warped(href, grid), where=missing)
    return found


def slope_and_aspect(altitude: Floats, resolution: float) -> tuple[Floats, Floats]:
    """(y, x) float32 metres on square pixels -> (y, x) float32 slope and aspect, both degrees.

    Horn 1981 (Hill shading and the reflectance map, Proceedings of the IEEE 69, 14-47): weighted
    differences over 3 x 3 pixels. Slope is 0 on flat ground; aspect is where the ground faces,
    clockwise from north, NaN where it is flat. Outside the array it goes on as at its edge: give
    altitudes with a margin of one pixel and cut it off. NaN beside an unknown altitude.
    """
    with np.errstate(invalid="ignore"):
        east = ndimage.sobel(altitude, axis=1, mode="nearest") / np.float32(8 * resolution)
        north = ndimage.sobel(altitude, axis=0, mode="nearest") / np.float32(-8 * resolution)
    slope = np.degrees(np.arctan(np.hypot(east, north))).astype(np.float32)
    aspect = np.degrees(np.arctan2(-east, -north)).astype(np.float32) % np.float32(360)
    # The remainder of a tiny negative angle is rounded up to a whole turn.
    aspect[aspect == 360] = 0
    aspect[(east == 0) & (north == 0)] = np.nan
    return slope, aspect


def read_terrain(
    hrefs: Sequence[str], extent: Extent, resolution: int = RESOLUTION
) -> tuple[Floats, Floats, Floats]:
    """Rasters of heights -> (y, x) float32 altitude in metres, slope and aspect in degrees.

    As `read_altitude` and `slope_and_aspect`, with what lies beyond the edges taken into account: a
    smaller extent gets the same numbers.
    """
    altitude = read_altitude(hrefs, extent, resolution, margin=MARGIN)
    inner = slice(MARGIN, -MARGIN)
    slope, aspect = slope_and_aspect(altitude, resolution)
    return altitude[inner, inner], slope[inner, inner], aspect[inner, inner]


def _warped(href: str, grid: GeoBox) -> Floats:
    try:
        with rasterio.open(href) as raster:
            finer = max(_steps(raster, grid)) < 1
            with WarpedVRT(
                raster,
                crs=str(grid.crs),
                transform=grid.affine,
                height=grid.shape[0],
                width=grid.shape[1],
                src_nodata=raster.nodata,
                nodata=np.nan,
                dtype="float32",
                resampling=Resampling.average if finer else Resampling.cubic,
                tolerance=_TOLERANCE,
                # Else the kernel's width is taken from the sizes of the two windows.
                **({} if finer else {"XSCALE": "1", "YSCALE": "1"}),
            ) as warped:
                found: Floats = warped.read(1)
            if (raster.scales[0], raster.offsets[0]) != (1, 0):
                found *= np.float32(raster.scales[0])
                found += np.float32(raster.offsets[0])
            return found
    except GDAL_ERRORS as error:
        raise LoadError(f"cannot read {href}: {error}") from error


def _steps(raster: rasterio.DatasetReader, grid: GeoBox) -> tuple[float, float]:
    """Raster, grid -> how many of the grid's pixels one of the raster's is wide and high."""
    source = GeoBox(raster.shape, raster.transform, raster.crs)
    step = abs(raster.transform.a), abs(raster.transform.e)
    if source.crs is not None and source.crs.geographic:
        latitude = grid.geographic_extent.centroid.points[0][1]
        step = step[0] * DEGREE * np.cos(np.radians(latitude)), step[1] * DEGREE
    return step[0] / grid.affine.a, step[1] / -grid.affine.e


def _widened(extent: Extent, metres: int) -> Extent:
    return Extent(
        extent.epsg,
        extent.left - metres,
        extent.bottom - metres,
        extent.right + metres,
        extent.top + metres,
    )


def _outline(
    href: str, shape: tuple[int, int], transform: tuple[float, ...], crs: str
) -> tuple[tuple[float, float], ...]:
    box = GeoBox(shape, rasterio.Affine(*transform), crs)
    side = max(box.extent.length / (4 * _EDGE_POINTS), 1e-9)
    points = box.extent.segmented(side).to_crs("EPSG:4326").exterior.points
    if not np.isfinite(points).all():
        raise LoadError(f"{href} reaches beyond where its CRS has a meaning; cut it")
    return tuple((float(x), float(y)) for x, y in points)
