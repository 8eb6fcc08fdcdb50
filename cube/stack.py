"""Layers of one tile over the same dates, read piece by piece: what goes to files of other programs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE, band
from cube.classes import NO_OBSERVATION
from cube.errors import LoadError
from cube.masks import to_grid
from cube.rasters import read_window
from cube.reading import read_band
from cube.store import Cube, DateEntry

AT_ONCE = 16
"""Dates that are read of a band at once: what reading takes beside them stays small."""

Array = npt.NDArray[Any]
Window = tuple[slice, slice]
Read = Callable[[slice, Window], Array]
"""Dates, and rows and columns -> ``(time, y, x)`` pixels."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One variable over all dates of a stack."""

    name: str
    """As it is called in files: letters, digits and ``_``."""
    title: str
    dtype: str
    nodata: int
    read: Read
    scale: float | None = None
    """Physical value of one stored unit; None of classes."""
    wavelength: float | None = None
    """Centre, micrometres; None of classes."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers of one grid over the same dates."""

    name: str
    """Of files, e.g. ``31UES``."""
    title: str
    geobox: GeoBox
    times: tuple[np.datetime64, ...]
    """Acquisition times, UTC milliseconds, ascending."""
    scenes: tuple[str, ...]
    """What each date was made from: ids, separated by spaces."""
    layers: tuple[Layer, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What else files are to say of themselves."""

    def days(self) -> list[str]:
        """ISO dates; with the time of day where two have one date."""
        days = [str(time.astype("datetime64[D]")) for time in self.times]
        if len(set(days)) == len(days):
            return days
        return [f"{time.astype('datetime64[s]')}Z" for time in self.times]


def windows(shape: tuple[int, int], height: int, width: int) -> Iterator[Window]:
    """Rows and columns of a grid -> windows of at most so many, row by row."""
    for y in range(0, shape[0], height):
        for x in range(0, shape[1], width):
            yield slice(y, min(y + height, shape[0])), slice(x, min(x + width, shape[1]))


def band_layer(cube: Cube, entries: Sequence[DateEntry], name: str, resolution: int) -> Layer:
    """Reflectance band of a cube, at the pixel of one of its groups in metres -> layer.

    Coarser than the band, a pixel is the mean of those within it, nodata where one of them is;
    finer, it is repeated.
    """
    about, groups = band(name), cube.spec.groups
    group = next(each for each, size in groups.items() if size == resolution)
    native = next(v.group for v in cube.spec.variables if v.name == name)
    factor = max(1, groups[native] // resolution)

    def read(dates: slice, window: Window) -> Array:
        slots = [entry.slot for entry in entries[dates]]
        if factor == 1:
            return _read_some(cube, group, name, slots, window)
        coarse, (top, left) = _within(window, factor)
        found = _repeated(_read_some(cube, native, name, slots, coarse), factor)
        height, width = (each.stop - each.start for each in window)
        return found[:, top : top + height, left : left + width]

    return Layer(
        name=name,
        title=f"{about.esa} reflectance",
        dtype="int16",
        nodata=REFLECTANCE_NODATA,
        read=read,
        scale=REFLECTANCE_SCALE,
        wavelength=about.centre,
    )


@dataclass(frozen=True, slots=True)
class Corner:
    """Where pixels begin and how large they are, whole metres of the tile's plane."""

    left: int
    top: int
    resolution: int


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A raster of classes."""

    href: str
    corner: Corner
    shape: tuple[int, int]


def corner_of(geobox: GeoBox) -> Corner:
    """Geobox -> its upper left corner and pixel."""
    affine = geobox.affine
    return Corner(round(affine.c), round(affine.f), round(affine.a))


def mask_layer(name: str, title: str, files: Sequence[MaskFile | None], geobox: GeoBox) -> Layer:
    """Rasters of classes, None for dates without, and the grid of a stack -> layer.

    Classes come to a finer grid by repetition, to a coarser one as :func:`cube.masks.to_grid` says.
    Where there is no raster the class is 0, no_observation.
    """
    corner = corner_of(geobox)

    def read(dates: slice, window: Window) -> Array:
        height, width = (each.stop - each.start for each in window)
        out = np.full((len(files[dates]), height, width), NO_OBSERVATION, np.uint8)
        for index, file in enumerate(files[dates]):
            if file is not None:
                out[index] = read_classes(file, corner, window)
        return out

    return Layer(name=name, title=title, dtype="uint8", nodata=NO_OBSERVATION, read=read)


def read_classes(file: MaskFile, grid: Corner, window: Window) -> npt.NDArray[np.uint8]:
    """Raster of classes, a grid and a window of it -> (y, x) uint8 classes there; 0 beyond it.

    ``LoadError`` where the raster cannot be read, or its pixels and those of the grid do not nest.
    """
    size, step = file.corner.resolution, grid.resolution
    # Metres from the edges of the raster to those of the window.
    down, right = file.corner.top - grid.top, grid.left - file.corner.left
    if down % min(size, step) or right % min(size, step):
        raise LoadError(f"{file.href} does not lie on the grid of its cube; make it anew")
    edges = [
        (pixels.start * step + offset, pixels.stop * step + offset)
        for pixels, offset in zip(window, (down, right), strict=True)
    ]
    rows, columns = (slice(first // size, -(-last // size)) for first, last in edges)
    held = np.full((rows.stop - rows.start, columns.stop - columns.start), NO_OBSERVATION, np.uint8)
    there = _clipped(rows, file.shape[0]), _clipped(columns, file.shape[1])
    if all(each.start < each.stop for each in there):
        found = read_window(file.href, there)
        y, x = there[0].start - rows.start, there[1].start - columns.start
        held[y : y + found.shape[0], x : x + found.shape[1]] = found
    # A window that begins or ends within a coarser pixel has but a part of it.
    y, x = (first % size // step for first, _last in edges)
    height, width = (each.stop - each.start for each in window)
    return to_grid(held, size, step)[y : y + height, x : x + width]


def _clipped(span: slice, side: int) -> slice:
    return slice(max(0, span.start), min(side, span.stop))


def _read_some(cube: Cube, group: str, name: str, slots: Sequence[int], window: Window) -> Array:
    height, width = (each.stop - each.start for each in window)
    out = np.empty((len(slots), height, width), np.int16)
    for first in range(0, len(slots), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        out[some] = read_band(cube, group, name, slots[some], window)
    return out


def _within(window: Window, factor: int) -> tuple[Window, tuple[int, int]]:
    """Window -> that of pixels ``factor`` times coarser, and where it begins in their first."""
    rows, columns = (slice(w.start // factor, -(-w.stop // factor)) for w in window)
    return (rows, columns), (window[0].start % factor, window[1].start % factor)


def _repeated(pixels: Array, factor: int) -> Array:
    """(time, y, x) -> (time, factor y, factor x), each pixel repeated."""
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)
