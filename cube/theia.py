"""Rasters of a synthesis in the encodings of Theia's level 3A: strips of one file to another."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from cube.composite import DATE_NODATA, day_number
from cube.errors import StoreError
from cube.rasters import GDAL_ERRORS, strips

WEIGHT_SCALE = 1000
"""Stored units of a weight of 1 (WASP, file of weights)."""

STRIP = 512
"""Rows read and written at once."""

QUICKLOOK = 1000
"""Longest side of the picture, pixels."""

Pixels = NDArray[np.generic]


def write_plain(
    source: str,
    target: Path,
    convert: Callable[[Pixels], Pixels],
    dtype: str,
    nodata: float | None,
) -> NDArray[np.int64]:
    """(y, x) raster -> a GeoTIFF of the same grid, each strip converted; counts of values 0 to 255.

    Deflate, without overviews: as Theia delivers them. The counts are of bytes only, else zeros.
    ``StoreError`` where the source cannot be read or the disk refuses.
    """
    counts = np.zeros(256, np.int64)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(source) as raster:
            profile = {
                "driver": "GTiff",
                "dtype": dtype,
                "nodata": nodata,
                "count": 1,
                "height": raster.height,
                "width": raster.width,
                "crs": raster.crs,
                "transform": raster.transform,
                "compress": "deflate",
                "predictor": 1 if dtype == "uint8" else 2,
            }
            with rasterio.open(target, "w", **profile) as out:
                for first, last in strips(raster.height, STRIP):
                    window = Window(0, first, raster.width, last - first)
                    rows = convert(raster.read(1, window=window)).astype(dtype, copy=False)
                    out.write(rows, 1, window=window)
                    if dtype == "uint8":
                        counts += np.bincount(rows.ravel(), minlength=256)
        with rasterio.open(target) as written:  # a full disk is told when the file is closed
            written.read(1, window=Window(0, written.height - 1, written.width, 1))
    except (OSError, *GDAL_ERRORS) as error:
        raise StoreError(f"cannot write {target.name} from {source}: {error}") from error
    return counts


def same(pixels: Pixels) -> Pixels:
    """Reflectances (int16 dn, nodata -10000) and status are stored as Theia stores them."""
    return pixels


def stored_weight(weight: Pixels) -> Pixels:
    """(y, x) float32 sum of weights -> int16 thousandths, half to even; at most 32.767."""
    stored = np.rint(weight.astype(np.float64) * WEIGHT_SCALE)
    return np.clip(stored, 0, np.iinfo(np.int16).max).astype(np.int16)


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
        # Reflectance 0 to 0.3 is stretched with a gamma of 1.6, as in thumbnails.
        stretched = np.clip(np.stack(bands, axis=-1) / 3000.0, 0, 1) ** (1 / 1.6)
        Image.fromarray(np.rint(stretched * 255).astype(np.uint8)).save(target, quality=85)
    except (OSError, *GDAL_ERRORS) as error:
        raise StoreError(f"cannot write {target.name}: {error}") from error
