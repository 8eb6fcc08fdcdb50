"""256 x 256 tiles in Web Mercator of catalogued rasters, and of dates of a cube.

COGs and scenes are read by rio-tiler, at the overview that fits. A cube has no overviews: a tile
reads the chunks that it lies over, and where these would be many, a sample of the whole date that is
taken once and kept.
"""

import io
import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from morecantile import Tile
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_bounds
from rasterio.warp import reproject, transform_bounds
from rio_tiler.constants import WEB_MERCATOR_TMS
from rio_tiler.errors import RioTilerError, TileOutsideBounds
from rio_tiler.io import Reader

from catalog.backends.base import Document
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import NO_OBSERVATION
from cube.decoding import MaskReading, mask_group, read_classes
from cube.errors import BandError, LoadError
from cube.rasters import GDAL_ERRORS
from cube.reading import read_band
from cube.store import Cube, DateEntry, open_store
from jobs.web.renderings import Picture, Rendering, Scale

SIDE = 256
"""Side of a tile, pixels."""

MERCATOR = CRS.from_epsg(3857)

# rasterio says it of the arrays that it warps in memory, whose place it was given.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.warp")

DIRECT = 2048
"""Most rows or columns of a date that a tile is read from; beyond, from the sample."""

SAMPLE = 1100
"""Rows of the sample of a date: a full tile at 100 m."""

EQUATOR = 156_543.033928
"""Metres of a pixel at zoom 0 on the equator (OGC Two Dimensional Tile Matrix Set, WebMercatorQuad)."""


def item_tile(item: Document, rendering: Rendering, keys: Sequence[str], tile: Tile) -> Picture:
    """Assets of an item -> the picture of a tile; transparent outside. ``LoadError``."""
    assets = [item["assets"][key] for key in keys]
    pixels = list(_readers.map(lambda asset: _read_asset(asset, rendering, tile), assets))
    if any(one is None for one in pixels):
        return empty()
    return rendering.paint([one for one in pixels if one is not None], rendering.scale(item))


def cube_tile(
    cube: Cube, entry: DateEntry, rendering: Rendering, reading: MaskReading | None, tile: Tile
) -> Picture:
    """A date of a cube, or its mask as read, -> the picture of a tile; transparent outside."""
    if reading is not None:
        group = mask_group(cube.spec, reading.encoding)

        def classes(window: tuple[slice, slice]) -> NDArray[Any]:
            found: NDArray[Any] = read_classes(cube, [entry], reading, group, window)[0]
            return found

        word = f"{reading.encoding} {reading.reading}"
        pixels = [_onto(_source(cube, entry, group, word, classes, tile), NO_OBSERVATION, tile)]
        return rendering.paint(pixels, Scale(0, 1))
    group, names = cube_bands(cube, rendering)

    def reader(name: str) -> Callable[[tuple[slice, slice]], NDArray[Any]]:
        return lambda window: read_band(cube, group, name, [entry.slot], window)[0]

    sources = [_source(cube, entry, group, name, reader(name), tile) for name in names]
    pixels = [_onto(source, REFLECTANCE_NODATA, tile) for source in sources]
    return rendering.paint(pixels, rendering.scale({}))


def cube_bands(cube: Cube, rendering: Rendering) -> tuple[str, tuple[str, ...]]:
    """The finest group that has all bands of a rendering, and their names; ``BandError``."""
    bands = {v.name: v.group for v in cube.spec.variables if v.kind == "reflectance"}
    names = rendering.assets(bands) if rendering.reflectance else None
    if names is None:
        raise BandError(f"the cube of {cube.spec.tile} has no bands for {rendering.name}")
    finest = next(iter(cube.spec.groups))
    if all(bands[name] == finest for name in names):
        return finest, names
    return list(cube.spec.groups)[-1], names


def png(picture: Picture) -> bytes:
    """(y, x, 4) uint8 -> PNG, deflated lightly: a tile is looked at once."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def empty() -> Picture:
    """A tile of nothing."""
    return np.zeros((SIDE, SIDE, 4), np.uint8)


@lru_cache(maxsize=32)
def _opened(path: str, _state: tuple[int, int]) -> Cube:
    return open_store(path)


def opened_cube(item: Document) -> Cube:
    """Item of a cube -> its store, by its first asset."""
    return opened(str(next(iter(item["assets"].values()))["href"]))


def opened(path: str) -> Cube:
    """Path of a store -> its committed state, parsed once for each; ``StoreError``."""
    try:
        root = (Path(path) / "zarr.json").stat()
    except OSError:
        return open_store(path)  # which says what is wrong
    return _opened(path, (root.st_mtime_ns, root.st_ino))


_readers = ThreadPoolExecutor(8, thread_name_prefix="tiles")
"""Reads the bands of a tile beside each other: most of the time is GDAL's, which lets go of Python."""


# --- rasters of items -----------------------------------------------------------------------------


def _read_asset(asset: Mapping[str, Any], rendering: Rendering, tile: Tile) -> NDArray[Any] | None:
    """Stored pixels of one asset on a tile (reflectances as dn); None where it lies outside."""
    coarser = rendering.smooth and _ground(tile) > float(asset.get("gsd", 10))
    resampling: Any = "bilinear" if coarser else "nearest"
    try:
        with Reader(asset["href"]) as raster:
            found = raster.tile(
                tile.x, tile.y, tile.z, tilesize=SIDE, indexes=1,
                resampling_method=resampling, reproject_method=resampling,
            )  # fmt: skip
    except TileOutsideBounds:
        return None
    except (OSError, RioTilerError, *GDAL_ERRORS) as error:
        raise LoadError(f"cannot read {asset['href']}: {error}") from error
    pixels: NDArray[Any] = found.array.data[0]
    seen = ~np.ma.getmaskarray(found.array)[0]
    if rendering.reflectance:
        return _as_dn(pixels, seen, asset)
    return np.where(seen, pixels, _nothing(asset, pixels.dtype))


def _as_dn(pixels: NDArray[Any], seen: NDArray[np.bool_], asset: Mapping[str, Any]) -> NDArray[Any]:
    """Reflectances in a source's encoding -> in ours."""
    band = (asset.get("raster:bands") or [{}])[0]
    scale, offset = float(band.get("scale", 1.0)), float(band.get("offset", 0.0))
    stated = band.get("nodata")
    if stated is not None:
        seen &= pixels != stated
    dn = pixels.astype(np.float32) * (scale / REFLECTANCE_SCALE) + offset / REFLECTANCE_SCALE
    return np.where(seen, np.rint(dn), REFLECTANCE_NODATA).astype(np.int32)


def _nothing(asset: Mapping[str, Any], dtype: np.dtype[Any]) -> Any:
    stated = (asset.get("raster:bands") or [{}])[0].get("nodata")
    return dtype.type(0 if stated in (None, "nan") else stated)


def _ground(tile: Tile) -> float:
    """Metres of a tile's pixel on the ground, at its middle."""
    box = WEB_MERCATOR_TMS.bounds(tile)
    middle = math.radians((box.bottom + box.top) / 2)
    return float(EQUATOR * math.cos(middle) / 2**tile.z)


# --- dates of a cube ------------------------------------------------------------------------------

Source = tuple[NDArray[Any], Affine, CRS]
"""Pixels, where they lie, and in which CRS."""

_samples: dict[tuple[str, str, str, str], Source] = {}
_sampling = threading.Lock()
KEPT = 96
"""Samples kept in memory, of 2.4 MB at most."""


def _source(
    cube: Cube,
    entry: DateEntry,
    group: str,
    word: str,
    read: Callable[[tuple[slice, slice]], NDArray[Any]],
    tile: Tile,
) -> Source | None:
    """What a tile is warped from: the part of a date under it, or the sample; None outside."""
    extent, resolution = cube.spec.extent, cube.spec.groups[group]
    crs = CRS.from_epsg(extent.epsg)
    edges = extent.left, extent.bottom, extent.right, extent.top
    wanted = WEB_MERCATOR_TMS.xy_bounds(tile)
    # Cut in Mercator, where every tile has a place, and then brought to UTM, where not all have.
    west, south, east, north = transform_bounds(crs, MERCATOR, *edges)
    west, south = max(west, wanted.left), max(south, wanted.bottom)
    east, north = min(east, wanted.right), min(north, wanted.top)
    if west >= east or south >= north:
        return None
    left, bottom, right, top = transform_bounds(MERCATOR, crs, west, south, east, north)
    height, width = cube.spec.shape(group)
    rows = _span(extent.top - top, extent.top - bottom, resolution, height)
    columns = _span(left - extent.left, right - extent.left, resolution, width)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    if max(rows.stop - rows.start, columns.stop - columns.start) > DIRECT:
        return _sample(cube, entry, group, word, read)
    corner = Affine(
        resolution, 0, extent.left + columns.start * resolution,
        0, -resolution, extent.top - rows.start * resolution,
    )  # fmt: skip
    return read((rows, columns)), corner, crs


def _span(first: float, last: float, resolution: int, count: int) -> slice:
    """Metres from an edge -> the pixels between, two more on both sides, within the raster."""
    return slice(
        max(0, math.floor(first / resolution) - 2), min(count, math.ceil(last / resolution) + 2)
    )


def _sample(
    cube: Cube,
    entry: DateEntry,
    group: str,
    word: str,
    read: Callable[[tuple[slice, slice]], NDArray[Any]],
) -> Source:
    """Every so many pixels of a whole date, taken once: the pixels of a date's key never change."""
    key = (str(cube.path), entry.key, group, word)
    with _sampling:  # one at a time: each reads a whole date
        if key not in _samples:
            while len(_samples) >= KEPT:
                del _samples[next(iter(_samples))]
            _samples[key] = _sampled(cube, group, read)
        return _samples[key]


def _sampled(cube: Cube, group: str, read: Callable[[tuple[slice, slice]], NDArray[Any]]) -> Source:
    extent, resolution = cube.spec.extent, cube.spec.groups[group]
    height, width = cube.spec.shape(group)
    step = max(1, math.ceil(max(height, width) / SAMPLE))
    strip = max(1, cube.spec.chunk(group) // step) * step
    parts = [
        read((slice(first, min(first + strip, height)), slice(0, width)))[
            step // 2 :: step, step // 2 :: step
        ]
        for first in range(0, height, strip)
    ]
    place = Affine(resolution * step, 0, extent.left, 0, -resolution * step, extent.top)
    return np.concatenate(parts), place, CRS.from_epsg(extent.epsg)


def _onto(source: Source | None, nodata: int, tile: Tile) -> NDArray[Any]:
    """Pixels where they lie -> the nearest of them on a tile."""
    if source is None:
        return np.full((SIDE, SIDE), nodata, np.int16 if nodata < 0 else np.uint8)
    pixels, place, crs = source
    out = np.full((SIDE, SIDE), nodata, pixels.dtype)
    bounds = WEB_MERCATOR_TMS.xy_bounds(tile)
    reproject(
        pixels, out, src_transform=place, src_crs=crs, src_nodata=nodata,
        dst_transform=from_bounds(*bounds, SIDE, SIDE), dst_crs=MERCATOR, dst_nodata=nodata,
        resampling=Resampling.nearest,
    )  # fmt: skip
    return out
