"""256 x 256 tiles in Web Mercator of catalogued rasters, and of dates of a cube.

COGs and scenes are read at the overview that fits. A cube has no overviews: a tile reads the chunks
that it lies over, and where these would be many, a sample of the whole date that is taken once and
kept.
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
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from rio_tiler.errors import RioTilerError
from rio_tiler.reader import read as read_masked

from catalog.backends.base import Document
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import NO_OBSERVATION
from cube.decoding import MaskReading, mask_group, read_classes
from cube.errors import BandError, LoadError
from cube.rasters import GDAL_ERRORS
from cube.reading import read_band
from cube.store import Cube, DateEntry, open_store
from jobs.web.mercator import SIDE, Source, onto_tile, part_under
from jobs.web.open_rasters import RASTERS
from jobs.web.renderings import Picture, Rendering, Scale

# rasterio says it of the arrays that it warps in memory, whose place it was given.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.warp")

DIRECT = 2048
"""Most rows or columns of a date that a tile is read from; beyond, from the sample."""

SAMPLE = 1100
"""Rows of the sample of a date: a full tile at 100 m."""


def item_tile(item: Document, rendering: Rendering, keys: Sequence[str], tile: Tile) -> Picture:
    """Assets of an item -> the picture of a tile; transparent outside. ``LoadError``."""
    assets = [item["assets"][key] for key in keys]
    found = list(_readers.map(lambda asset: _read_asset(asset, rendering, tile), assets))
    sources = [each[0] for each in found if each is not None]
    if len(sources) < len(found):
        return empty()
    coarser = any(each[1] for each in found if each is not None)
    pixels = onto_tile(sources, tile, smooth=rendering.smooth and coarser)
    return rendering.paint(pixels, rendering.scale(item))


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
        source = _source(cube, entry, group, word, classes, tile, NO_OBSERVATION)
        if source is None:
            return empty()
        return rendering.paint(onto_tile([source], tile), Scale(0, 1))
    group, names = cube_bands(cube, rendering)

    def reader(name: str) -> Callable[[tuple[slice, slice]], NDArray[Any]]:
        return lambda window: read_band(cube, group, name, [entry.slot], window)[0]

    found = [
        _source(cube, entry, group, name, reader(name), tile, REFLECTANCE_NODATA) for name in names
    ]
    sources = [source for source in found if source is not None]
    if len(sources) < len(found):
        return empty()
    return rendering.paint(onto_tile(sources, tile), rendering.scale({}))


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


def _read_asset(
    asset: Mapping[str, Any], rendering: Rendering, tile: Tile
) -> tuple[Source, bool] | None:
    """What a tile is made of, at the overview that fits (reflectances as dn), and whether the raster
    is finer than the tile; None where it lies outside."""
    try:
        with RASTERS.reading(asset["href"]) as raster:
            return _read_under(raster, asset, rendering, tile)
    except (OSError, RioTilerError, *GDAL_ERRORS) as error:
        raise LoadError(f"cannot read {asset['href']}: {error}") from error


def _read_under(
    raster: Any, asset: Mapping[str, Any], rendering: Rendering, tile: Tile
) -> tuple[Source, bool] | None:
    place = raster.transform
    if raster.crs is None or place.b or place.d:
        raise LoadError(f"{asset['href']} does not lie with its north up in a known CRS")
    part = part_under(tile, raster.crs, place, raster.shape)
    if part is None:
        return None
    step = 2 ** max(0, math.floor(math.log2(part.coarser)))
    overviews = raster.overviews(1)
    step = min(step, max(overviews)) if overviews else step
    # From and to multiples of the step: pixels of the overview then come as they are.
    rows, columns = part.window(step)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    found = read_masked(
        raster, indexes=1, window=Window(columns.start, rows.start, width, height),
        height=math.ceil(height / step), width=math.ceil(width / step),
    )  # fmt: skip
    seen = ~np.ma.getmaskarray(found.array)[0]
    corner = place @ Affine.translation(columns.start, rows.start) @ Affine.scale(step)
    pixels, nodata = _stored(found.array.data[0], seen, asset, rendering)
    return Source(pixels, corner, raster.crs, nodata), part.coarser > 1


def _stored(
    pixels: NDArray[Any], seen: NDArray[np.bool_], asset: Mapping[str, Any], rendering: Rendering
) -> tuple[NDArray[Any], float]:
    """Pixels as they are painted, and what stands for those that are not there."""
    if rendering.reflectance:
        return _as_dn(pixels, seen, asset), REFLECTANCE_NODATA
    stated = (asset.get("raster:bands") or [{}])[0].get("nodata")
    if stated is None and pixels.dtype == np.uint8:  # counts: 0 is one, so -1 beyond the edge
        return np.where(seen, pixels, np.int16(-1)), -1
    nodata = float(stated or 0)
    return np.where(seen, pixels, pixels.dtype.type(nodata)), nodata


def _as_dn(pixels: NDArray[Any], seen: NDArray[np.bool_], asset: Mapping[str, Any]) -> NDArray[Any]:
    """Reflectances in a source's encoding -> in ours."""
    band = (asset.get("raster:bands") or [{}])[0]
    scale, offset = float(band.get("scale", 1.0)), float(band.get("offset", 0.0))
    stated = band.get("nodata")
    if stated is not None:
        seen &= pixels != stated
    if pixels.dtype == np.int16 and math.isclose(scale, REFLECTANCE_SCALE) and offset == 0:
        return np.where(seen, pixels, np.int16(REFLECTANCE_NODATA))
    dn = pixels.astype(np.float32) * (scale / REFLECTANCE_SCALE) + offset / REFLECTANCE_SCALE
    return np.where(seen, np.rint(dn), REFLECTANCE_NODATA).astype(np.int32)


# --- dates of a cube ------------------------------------------------------------------------------

_samples: dict[tuple[str, str, str, str], tuple[NDArray[Any], int]] = {}
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
    nodata: int,
) -> Source | None:
    """What a tile is made of: the part of a date under it, or the sample; None outside."""
    extent, resolution = cube.spec.extent, cube.spec.groups[group]
    crs = CRS.from_epsg(extent.epsg)
    place = Affine(resolution, 0, extent.left, 0, -resolution, extent.top)
    part = part_under(tile, crs, place, cube.spec.shape(group))
    if part is None:
        return None
    rows, columns = part.window()
    if max(rows.stop - rows.start, columns.stop - columns.start) > DIRECT:
        pixels, step = _sample(cube, entry, group, word, read)
        return Source(pixels, place @ Affine.scale(step), crs, nodata)
    corner = place @ Affine.translation(columns.start, rows.start)
    return Source(read((rows, columns)), corner, crs, nodata)


def _sample(
    cube: Cube,
    entry: DateEntry,
    group: str,
    word: str,
    read: Callable[[tuple[slice, slice]], NDArray[Any]],
) -> tuple[NDArray[Any], int]:
    """Every so many pixels of a whole date, taken once: the pixels of a date's key never change."""
    key = (str(cube.path), entry.key, group, word)
    with _sampling:  # one at a time: each reads a whole date
        if key not in _samples:
            while len(_samples) >= KEPT:
                del _samples[next(iter(_samples))]
            _samples[key] = _sampled(cube, group, read)
        return _samples[key]


def _sampled(
    cube: Cube, group: str, read: Callable[[tuple[slice, slice]], NDArray[Any]]
) -> tuple[NDArray[Any], int]:
    height, width = cube.spec.shape(group)
    step = max(1, math.ceil(max(height, width) / SAMPLE))
    strip = max(1, cube.spec.chunk(group) // step) * step
    parts = [
        read((slice(first, min(first + strip, height)), slice(0, width)))[
            step // 2 :: step, step // 2 :: step
        ]
        for first in range(0, height, strip)
    ]
    return np.concatenate(parts), step
