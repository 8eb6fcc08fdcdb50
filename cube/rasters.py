"""Rasters on disk: what a header says, one block of pixels to prove it, COGs and pictures."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import rasterio
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from cube.errors import CubeError, LoadError, SourceError, StoreError
from cube.remote import (
    breaks_off,
    is_remote,
    may_pass,
    overheard,
    plain_name,
    uncached,
    warned_of_passing,
)

Array = npt.NDArray[Any]
Colour = tuple[int, int, int, int]
T = TypeVar("T")

COG_BLOCK = 512
"""Side of a COG's internal tiles, pixels: the size that map clients and odc-stac read best."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises: its own errors, and those of GDAL that it lets through as they are."""

IN_MEMORY = 2 * COG_BLOCK
"""Longer side of what waits in memory to become a COG, at half the cost of a file. GDAL makes the
further overviews of larger rasters otherwise in memory than in a file."""

Rows = Callable[[int, int], Array]
"""First row and last row + 1 -> ``(rows, x)`` pixels."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a raster file says of itself."""

    shape: tuple[int, int]
    transform: tuple[float, ...]
    """Six numbers, as in ``proj:transform``."""
    epsg: int | None
    dtype: str
    nodata: float | None
    count: int


def read_header(href: str) -> Header:
    """Path or GDAL name of a raster -> its header, after reading its first and last block.

    A truncated file opens well and fails at its end, so the last block is read too. ``LoadError``
    names the file and GDAL's reason; it is a ``SourceError`` where another try may do better.
    """
    return _looked_at(href, _read_header)


def read_through(href: str) -> None:
    """Path or GDAL name of a raster -> nothing, after reading every block of it.

    ``LoadError`` names the file and GDAL's reason: for finding the one of many that is broken.
    """
    _looked_at(href, _read_through)


def read_window(href: str, window: tuple[slice, slice]) -> Array:
    """Raster and rows and columns -> ``(y, x)`` pixels of its first band; ``LoadError``."""
    rows, columns = window
    try:
        with rasterio.open(href) as raster:
            found: Array = raster.read(1, window=Window.from_slices(rows, columns))
    except (OSError, *GDAL_ERRORS) as error:
        raise _unreadable(href, error) from error
    return found


def write_cog(
    path: Path,
    geobox: GeoBox,
    rows: Rows,
    *,
    dtype: str,
    nodata: float | None,
    scale: float = 1.0,
    description: str = "",
    colours: Mapping[int, tuple[int, int, int, int]] | None = None,
    average: bool = True,
) -> int:
    """Rows of ``(y, x)`` pixels -> a Cloud-Optimised GeoTIFF at ``path``; returns its size in bytes.

    Deflate with a predictor, 512-pixel blocks, overviews by average (reflectances) or nearest
    (classes). The same pixels give the same bytes. ``StoreError`` where the disk refuses.
    """
    plain = path.with_name(f".{path.name}.plain-{os.getpid()}.tif")
    fresh = path.with_name(f".{path.name}.cog-{os.getpid()}.tif")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Floating-point weights compress best with predictor 3, integers with 2.
        predictor = "FLOATING_POINT" if dtype.startswith("float") else "STANDARD"
        about = _About(dtype, nodata, scale, description, colours, average)
        with _plain_raster(plain, geobox, rows, about) as raster:
            copy_raster(
                raster,
                str(fresh),
                driver="COG",
                COMPRESS="DEFLATE",
                LEVEL=_level(dtype),
                PREDICTOR="NO" if colours else predictor,
                BLOCKSIZE=str(COG_BLOCK),
                NUM_THREADS="1",
            )
        _require_written(fresh)
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.replace(path)
        return path.stat().st_size
    except CubeError:
        raise  # of the rows: they could not be read
    except (OSError, *GDAL_ERRORS) as error:
        raise StoreError(f"cannot write {path}: {_reason(error)}") from error
    finally:
        _remove(plain, fresh)


def write_picture(path: Path, pixels: Array, colours: Sequence[Colour] = ()) -> None:
    """(y, x, 3 or 4) uint8, or (y, x) uint8 numbers of colours -> a PNG, at most 512 pixels a side.

    Numbers are written as such with their colours, which takes a third of the time.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if colours:
        image.putpalette([level for colour in colours for level in colour], "RGBA")
    image.thumbnail((512, 512))
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(fresh, format="PNG")
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        _remove(fresh)


def strips(height: int, step: int = COG_BLOCK) -> Iterator[tuple[int, int]]:
    """Rows of a raster -> (first, last + 1) of strips of at most ``step`` rows."""
    for first in range(0, height, step):
        yield first, min(first + step, height)


@dataclass(frozen=True, slots=True)
class _About:
    """What a COG says of its pixels, and how they are halved."""

    dtype: str
    nodata: float | None
    scale: float
    description: str
    colours: Mapping[int, tuple[int, int, int, int]] | None
    average: bool


@contextlib.contextmanager
def _plain_raster(
    path: Path, geobox: GeoBox, rows: Rows, about: _About
) -> Iterator[rasterio.io.DatasetReader]:
    """Rows -> a raster with overviews, in memory or in a file of that path."""
    height, width = geobox.shape
    profile = {
        "driver": "MEM",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": about.dtype,
        "crs": str(geobox.crs),
        "transform": geobox.affine,
        "nodata": about.nodata,
    }
    if max(height, width) <= IN_MEMORY:
        with rasterio.open(path, "w+", **profile) as raster:
            _fill(raster, rows, about)
            _build_overviews(raster, about)
            yield raster
        return
    profile |= {"driver": "GTiff", "BIGTIFF": "IF_SAFER"}
    profile |= {"tiled": True, "blockxsize": COG_BLOCK, "blockysize": COG_BLOCK}
    with rasterio.open(path, "w", **profile) as raster:
        _fill(raster, rows, about)
    # What GDAL writes only as it closes a file may fail for want of room without an error.
    if path.stat().st_size < height * width * np.dtype(about.dtype).itemsize:
        raise OSError("the disk took only a part of it")
    with (
        rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE=COG_BLOCK),
        rasterio.open(path, "r+") as raster,
    ):
        _build_overviews(raster, about)
    with rasterio.open(path) as raster:
        yield raster


def _fill(raster: rasterio.io.DatasetWriter, rows: Rows, about: _About) -> None:
    for first, last in strips(raster.height):
        window = Window(0, first, raster.width, last - first)
        raster.write(rows(first, last), 1, window=window)
    if about.scale != 1.0:
        raster.scales = (about.scale,)
    if about.description:
        raster.set_band_description(1, about.description)
    if about.colours:
        raster.write_colormap(1, dict(about.colours))


def _remove(*paths: Path) -> None:
    for path in paths:
        # Where the folder could not be made there is nothing to remove: that is said already.
        with contextlib.suppress(OSError):
            path.unlink()


def _require_written(path: Path) -> None:
    try:
        read_header(str(path))
    except LoadError:
        raise OSError("the disk took only a part of it") from None


def _level(dtype: str) -> str:
    """Data type -> level of deflate.

    Measured on Sentinel-2: of reflectances level 6 makes larger files than level 1, in twice the
    time, since the noise of their lowest bits fills its search; classes it makes a third smaller.
    """
    return "6" if dtype == "uint8" else "1"


def _build_overviews(raster: rasterio.io.DatasetWriter, about: _About) -> None:
    """Halve a raster until it fits into one block.

    The COG driver would make the same ones, but by way of a compressed file, in twice the time.
    """
    side = max(raster.shape)
    if side <= COG_BLOCK:
        return
    factors = [2]
    while side > COG_BLOCK * factors[-1]:
        factors.append(2 * factors[-1])
    raster.build_overviews(factors, Resampling.average if about.average else Resampling.nearest)


def _looked_at(href: str, look: Callable[[str], T]) -> T:
    """What a look at a raster gives; a second, uncached one tells a bad line from a bad file.

    GDAL has few words for what broke off in the middle of a remote file, and remembers that a file
    was not to be had.
    """
    try:
        return look(href)
    except GDAL_ERRORS as error:
        if not is_remote(href) or may_pass(error) is not None:
            raise _unreadable(href, error) from error
        first = error
    with uncached(), overheard() as said:
        try:
            look(plain_name(href))
        except GDAL_ERRORS as error:
            passing = warned_of_passing(said) or breaks_off(plain_name(href))
            if may_pass(error) is not None or not passing:
                raise _unreadable(href, error) from error
    raise SourceError(f"cannot read {href}: {_reason(first)}") from first


def _read_header(href: str) -> Header:
    with rasterio.open(href) as raster:
        height, width = raster.shape
        block_height, block_width = raster.block_shapes[0]
        for row, column in ((0, 0), (height - 1, width - 1)):
            row, column = (
                row // block_height * block_height,
                column // block_width * block_width,
            )
            window = Window(
                column, row, min(block_width, width - column), min(block_height, height - row)
            )
            raster.read(raster.count, window=window)
        return Header(
            shape=(height, width),
            transform=tuple(raster.transform)[:6],
            epsg=raster.crs.to_epsg() if raster.crs else None,
            dtype=raster.dtypes[0],
            nodata=raster.nodata,
            count=raster.count,
        )


def _read_through(href: str) -> None:
    with rasterio.open(href) as raster:
        for _index, window in raster.block_windows(1):
            raster.read(window=window)


def _unreadable(href: str, error: Exception) -> LoadError:
    reason = _reason(error).removeprefix(f"'{href}' ").removeprefix(f"{href}: ")
    kind = SourceError if is_remote(href) and may_pass(error) else LoadError
    return kind(f"cannot read {href}: {reason}")


def _reason(error: BaseException) -> str:
    """First line of the deepest cause: GDAL's own words rather than the wrapper's."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


RESAMPLING = {
    "nearest": Resampling.nearest,
    "average": Resampling.average,
    "bilinear": Resampling.bilinear,
}
"""Names of the resampling methods used, as GDAL's."""
