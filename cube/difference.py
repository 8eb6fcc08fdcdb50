"""What differs between two rasters on one lattice, strip by strip: memory is that of a strip."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from cube.errors import GridError, LoadError
from cube.rasters import GDAL_ERRORS, strips

STRIP = 128
"""Rows compared at once: a tenth of a gigabyte of work for a whole tile."""

CACHE_MB = 64
"""Decoded blocks that GDAL keeps: those of two rasters across a whole tile, until the strips that
share them are done."""

REACH = 1 << 16
"""Steps either side of no difference that are counted one by one: all that two int16 can differ."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where two rasters lie on each other."""

    shape: tuple[int, int]
    first: tuple[int, int]
    """Row and column in the first raster of its upper left corner."""
    second: tuple[int, int]


@dataclass(slots=True)
class Tally:
    """Differences of physical values, second minus first, where both have data."""

    step: float = 1.0
    """Smallest difference told from none when the median is taken."""
    count: int = 0
    changed: int = 0
    total: float = 0.0
    squares: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * REACH + 1, np.int64))

    def add(self, differences: NDArray[np.float64]) -> None:
        """(n,) differences of some pixels -> taken into the figures."""
        if not differences.size:
            return
        self.count += differences.size
        self.changed += int(np.count_nonzero(differences))
        self.total += float(differences.sum())
        self.squares += float((differences * differences).sum())
        self.least = min(self.least, float(differences.min()))
        self.greatest = max(self.greatest, float(differences.max()))
        steps = np.clip(np.rint(differences / self.step), -REACH, REACH).astype(np.int64)
        found, counts = np.unique(steps + REACH, return_counts=True)
        self.bins[found] += counts

    @property
    def median(self) -> float:
        """Median difference, to a step."""
        if not self.count:
            return math.nan
        ranks = np.searchsorted(
            np.cumsum(self.bins), [(self.count - 1) // 2 + 1, self.count // 2 + 1]
        )
        return float((ranks - REACH).mean() * self.step)

    def document(self) -> dict[str, float | int | None]:
        """Numbers as JSON; those of no pixels are None."""
        some = self.count > 0
        return {
            "pixels": self.count,
            "changed": self.changed,
            "share": self.changed / self.count if some else None,
            "mean": self.total / self.count if some else None,
            "median": self.median if some else None,
            "rms": math.sqrt(self.squares / self.count) if some else None,
            "max": max(abs(self.least), self.greatest) if some else None,
        }


@dataclass(slots=True)
class Difference:
    """How two rasters differ."""

    pixels: int
    """Of the overlap."""
    tally: Tally
    gained: int = 0
    """Pixels that are nodata in the second alone."""
    lost: int = 0
    """Pixels that are nodata in the first alone."""
    by_class: dict[int, Tally] = field(default_factory=dict)
    """Class of the first raster's item -> differences there."""
    transitions: dict[tuple[int, int], int] = field(default_factory=dict)
    """Of rasters of classes: value before and after -> pixels."""

    @property
    def is_none(self) -> bool:
        """Whether the two hold the same."""
        return not (self.tally.changed or self.gained or self.lost)


class Raster:
    """One raster as its physical values: stored numbers with scale and offset, and where data is."""

    def __init__(self, href: str, about: Mapping[str, Any] | None = None) -> None:
        self.href = href
        try:
            self._file = rasterio.open(href)
        except GDAL_ERRORS as error:
            raise _unreadable(href, error) from error
        about = about or {}
        self.dtype = str(self._file.dtypes[0])
        nodata = about.get("nodata", self._file.nodata)
        self.nodata = None if nodata is None else float(nodata)
        self.scale = float(about.get("scale", self._file.scales[0]))
        self.offset = float(about.get("offset", self._file.offsets[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self._file.height), int(self._file.width)

    @property
    def grid(self) -> tuple[str, tuple[float, ...]]:
        """CRS and the six numbers of the transform."""
        return str(self._file.crs), tuple(self._file.transform)[:6]

    def read(self, row: int, column: int, rows: int, columns: int, step: int = 1) -> Array:
        """(rows, columns) stored numbers, of each ``step`` rows and columns the first."""
        try:
            window = Window(column, row, columns, rows)
            with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
                found: Array = self._file.read(1, window=window)[::step, ::step]
        except GDAL_ERRORS as error:
            raise _unreadable(self.href, error) from error
        return found

    def seen(self, stored: Array) -> NDArray[np.bool_]:
        """Stored numbers -> True where they are data."""
        known: NDArray[np.bool_] = (
            ~np.isnan(stored) if stored.dtype.kind == "f" else np.ones(stored.shape, bool)
        )
        return known if self.nodata is None else known & (stored != self.nodata)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def overlap(first: Raster, second: Raster) -> Overlap:
    """Two rasters -> where they lie on each other, pixel on pixel; ``GridError`` where they do not."""
    (crs, a), (other, b) = first.grid, second.grid
    if crs != other:
        raise GridError(f"one is in {crs}, the other in {other}")
    if (a[0], a[1], a[3], a[4]) != (b[0], b[1], b[3], b[4]):
        raise GridError(f"their pixels differ, {abs(a[0]):g} m and {abs(b[0]):g} m")
    across, down = (b[2] - a[2]) / a[0], (b[5] - a[5]) / a[4]
    if across != round(across) or down != round(down):
        raise GridError("their pixels do not lie on each other")
    row, column = round(down), round(across)
    top, left = max(0, row), max(0, column)
    bottom = min(first.shape[0], row + second.shape[0])
    right = min(first.shape[1], column + second.shape[1])
    if bottom <= top or right <= left:
        raise GridError("they have no place in common")
    return Overlap((bottom - top, right - left), (top, left), (top - row, left - column))


def compare(
    first: Raster,
    second: Raster,
    *,
    classes: Raster | None = None,
    discrete: bool = False,
    step: float = 1.0,
) -> Difference:
    """Two rasters -> how the second differs from the first.

    Parameters
    ----------
    classes
        Raster on the first one's grid; differences are also told by its values.
    discrete
        Whether the numbers are codes: then what became what is counted.
    step
        Resolution of the median, in physical units.
    """
    there = overlap(first, second)
    found = Difference(math.prod(there.shape), Tally(step))
    # Of equal scales the stored numbers are subtracted: exact where the physical ones are not.
    alike = (first.scale, first.offset) == (second.scale, second.offset)
    for top, a, b in paired(first, second, there):
        seen_a, seen_b = first.seen(a), second.seen(b)
        both = seen_a & seen_b
        found.gained += int(np.count_nonzero(seen_a & ~seen_b))
        found.lost += int(np.count_nonzero(seen_b & ~seen_a))
        if alike:
            change = (b.astype(np.float64) - a) * first.scale
        else:
            change = (b * second.scale + second.offset) - (a * first.scale + first.offset)
        found.tally.add(change[both])
        if discrete:
            _count_transitions(a, b, found.transitions)
        if classes is not None:
            codes = classes.read(there.first[0] + top, there.first[1], *a.shape)
            for code in np.unique(codes[both]):
                tally = found.by_class.setdefault(int(code), Tally(step))
                tally.add(change[both & (codes == code)])
    return found


def paired(
    first: Raster, second: Raster, there: Overlap, step: int = 1
) -> Iterator[tuple[int, Array, Array]]:
    """Strips of the overlap from top to bottom: first row, and the stored numbers of both."""
    height, width = there.shape
    rows = max(1, STRIP // step) * step
    for top, bottom in strips(height, rows):
        a = first.read(there.first[0] + top, there.first[1], bottom - top, width, step)
        b = second.read(there.second[0] + top, there.second[1], bottom - top, width, step)
        yield top, a, b


def _count_transitions(a: Array, b: Array, into: dict[tuple[int, int], int]) -> None:
    codes = a.astype(np.int64) * 65536 + b.astype(np.int64)
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        pair = int(code) // 65536, int(code) % 65536
        into[pair] = into.get(pair, 0) + int(count)


def _unreadable(href: str, error: Exception) -> LoadError:
    said = str(error).splitlines() or [type(error).__name__]
    return LoadError(f"cannot read {href}: {said[0]}")
