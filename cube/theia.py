"""Rasters of a synthesis in the encodings of Theia's level 3A: strips of one file to another."""

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from cube.colours import stretched
from cube.composite import DATE_NODATA, STATUS_NODATA, day_number
from cube.errors import StoreError
from cube.rasters import GDAL_ERRORS, strips

WEIGHT_SCALE = 1000
"""Stored units of a weight of 1 (WASP, file of weights)."""

WEIGHT_NODATA = -10000
"""Weight of what was never observed."""

QUICKLOOK = 1000
"""Longest side of the picture, pixels."""

Pixels = NDArray[Any]


def write_plain(
    sources: Sequence[str],
    target: Path,
    convert: Callable[..., Pixels],
    dtype: str,
    nodata: float | None,
) -> NDArray[np.int64]:
    """(y, x) rasters of one grid -> a GeoTIFF of it, each strip converted; counts of values 0 to 255.

    Deflate, without overviews: as Theia delivers them. The counts are of bytes only, else zeros.
    ``StoreError`` where a source cannot be read or the disk refuses.
    """
    counts = np.zeros(256, np.int64)
    written = read_back = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            rasters = [stack.enter_context(rasterio.open(source)) for source in sources]
            profile = {
                "driver": "GTiff",
                "dtype": dtype,
                "nodata": nodata,
                "count": 1,
                "height": rasters[0].height,
                "width": rasters[0].width,
                "crs": rasters[0].crs,
                "transform": rasters[0].transform,
                "compress": "deflate",
                "predictor": 1 if dtype == "uint8" else 2,
                "bigtiff": "IF_SAFER",
            }
            out = stack.enter_context(rasterio.open(target, "w", **profile))
            for window in _strips(out):
                rows = convert(*(each.read(1, window=window) for each in rasters))
                rows = np.ascontiguousarray(rows.astype(dtype, copy=False))
                out.write(rows, 1, window=window)
                written = zlib.crc32(rows.data, written)
                if dtype == "uint8":
                    counts += np.bincount(rows.ravel(), minlength=256)
        # What GDAL writes as it closes a file may fail for want of room without an error.
        with rasterio.open(target) as raster:
            for window in _strips(raster):
                read_back = zlib.crc32(raster.read(1, window=window).data, read_back)
        if read_back != written:
            raise OSError("the disk took only a part of it")
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
    except (OSError, *GDAL_ERRORS) as error:
        raise StoreError(f"cannot write {target.name} from {sources[0]}: {error}") from error
    return counts


def _strips(raster: Any) -> Iterator[Window]:
    for first, last in strips(raster.height):
        yield Window(0, first, raster.width, last - first)


def same(pixels: Pixels) -> Pixels:
    """Reflectances (int16 dn, nodata -10000) and status are stored as Theia stores them."""
    return pixels


def stored_weight(weight: Pixels, status: Pixels) -> Pixels:
    """(y, x) float32 sum of weights and uint8 status -> int16 thousandths, half to even.

    At most 32.767. 0 is never clear land, -10000 never observed.
    """
    stored = np.clip(np.rint(weight.astype(np.float64) * WEIGHT_SCALE), 0, np.iinfo(np.int16).max)
    return np.where(status == STATUS_NODATA, WEIGHT_NODATA, stored).astype(np.int16)


def day_of_year(year: int) -> Callable[[Pixels], Pixels]:
    """Year -> (y, x) int16 days since 1970 to days from 1 January of it, which is 0.

    Days of the year before are negative and of the next go on counting: none is ambiguous, where
    the public WASP begins anew with each year. Nodata stays -10000.
    """
    start = day_number(date(year, 1, 1))

    def convert(days: Pixels) -> Pixels:
        counted = days.astype(np.int32)
        return np.where(counted == DATE_NODATA, DATE_NODATA, counted - start).astype(np.int16)

    return convert


def write_quicklook(sources: tuple[str, str, str], target: Path) -> None:
    """Rasters of red, green and blue dn -> a JPEG of at most 1000 pixels a side."""
    try:
        bands = []
        for source in sources:
            with rasterio.open(source) as raster:
                step = max(1, -(-max(raster.shape) // QUICKLOOK))
                shape = tuple(-(-n // step) for n in raster.shape)
                bands.append(raster.read(1, out_shape=shape))
        Image.fromarray(stretched(np.stack(bands, axis=-1))).save(target, quality=85)
    except (OSError, *GDAL_ERRORS) as error:
        raise StoreError(f"cannot write {target.name}: {error}") from error
