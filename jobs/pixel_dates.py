"""Dates of a cube at one place: reflectances, the mask in numbers and words, the cloud weight."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import CLEAR, NAMES
from cube.decoding import MaskReading, mask_group, read_classes
from cube.errors import CubeError
from cube.masks import encoding, explain
from cube.nearness import Nearness
from cube.place import Place
from cube.rasters import strips
from cube.reading import read_aot
from cube.store import Cube, DateEntry
from cube.wasp_masks import binary_classes

STRIP = 512
"""Rows of a mask decoded at once."""


@dataclass(frozen=True, slots=True)
class PixelDate:
    """One date at one pixel of one group."""

    bands: dict[str, int]
    """dn by name; nodata -10000."""
    blue: int
    """dn of blue on this grid: what chooses among cloudy dates."""
    raw: dict[str, tuple[int, ...]]
    """Raster of the mask -> its stored values within the pixel."""
    code: int
    """Class, as the mask is read."""
    own: int
    """Class without the buffer."""
    aot: int | None = None
    """Aerosol in thousandths, nodata -10000; None where the date has none."""
    fixed: bool = False
    """Whether the directions are not corrected, by the rule of CNES's public program."""


def read_pixel(
    cube: Cube,
    entry: DateEntry,
    group: str,
    place: Place,
    reading: MaskReading | None,
    *,
    binary: bool = False,
) -> PixelDate:
    """A date of a cube -> what it holds of one place in one group; without a mask the class is 0.

    ``binary``: the mask as CNES's public program takes it.
    """
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    window = slice(row, row + 1), slice(column, column + 1)
    bands = {
        name: int(cube.read(group, name, [entry.slot], window)[0, 0, 0])
        for name in band_names(cube, [entry], group)
    }
    code = own = 0
    raw: dict[str, tuple[int, ...]] = {}
    if reading is not None:
        raw = _stored(cube, entry, reading.encoding, group, window)
        code = int(read_classes(cube, [entry], reading, group, window)[0, 0, 0])
        bare = replace(reading, buffer=0.0)
        own = int(read_classes(cube, [entry], bare, group, window)[0, 0, 0])
    fixed = code != CLEAR
    if reading is not None and binary:
        classes, kept = binary_classes(cube, [entry], reading, group, window)
        code = int(classes[0, 0, 0])
        fixed = code != CLEAR if kept is None else bool(kept[0, 0, 0])
    aot = read_aot(cube, group, [entry], window)
    return PixelDate(
        bands,
        _blue(cube, entry, group, window, bands),
        raw,
        code,
        own,
        None if aot is None else int(aot[0, 0, 0]),
        fixed,
    )


def band_names(cube: Cube, entries: Sequence[DateEntry], group: str) -> list[str]:
    """Reflectance bands of a group that some date has."""
    held = {name for entry in entries for name in entry.variables}
    return [
        v.name
        for v in cube.spec.variables
        if v.group == group and v.kind == "reflectance" and v.name in held
    ]


def pixel_weight(
    cube: Cube,
    entry: DateEntry,
    reading: MaskReading,
    group: str,
    place: Place,
    nearness: Nearness,
) -> float:
    """Cloud weight of a date at one place, from the clouds within its reach alone.

    The same to the last bit as from the whole tile: the window begins and ends on the grid of what
    is gathered, which is weighed at its place in the whole.
    """
    native = mask_group(cube.spec, reading.encoding)
    resolution, extent = cube.spec.groups[native], cube.spec.extent
    shape = cube.spec.shape(native)
    first, last = zip(
        *(
            _reach(at, count, resolution, nearness)
            for at, count in zip(place.pixel(extent, resolution), shape, strict=True)
        ),
        strict=True,
    )
    columns = slice(first[1], last[1])

    def rows(top: int, bottom: int) -> Any:
        window = (slice(first[0] + top, first[0] + bottom), columns)
        return nearness.hidden(read_classes(cube, [entry], reading, native, window)[0])

    height, width = last[0] - first[0], last[1] - first[1]
    part = nearness.gather(
        ((top, rows(top, bottom)) for top, bottom in strips(height, STRIP)),
        (height, width),
        resolution,
    )
    cells = [math.ceil(count * resolution / nearness.cell - 1e-6) for count in shape]
    whole = np.zeros((len(part), max(1, cells[0]), max(1, cells[1])), part.dtype)
    top, left = (round(start * resolution / nearness.cell) for start in first)
    whole[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    row, column = place.pixel(extent, cube.spec.groups[group])
    found = nearness.weigh(whole, row, column, (1, 1), cube.spec.groups[group])
    return float(found[0, 0])


def values_document(bands: Mapping[str, int]) -> dict[str, Any]:
    """Dn by band -> stored number and reflectance of each; None for nodata."""
    return {
        name: None
        if dn == REFLECTANCE_NODATA
        else {"dn": dn, "reflectance": round(dn * REFLECTANCE_SCALE, 4)}
        for name, dn in bands.items()
    }


def mask_document(pixel: PixelDate, reading: MaskReading) -> dict[str, Any]:
    """What the mask holds at a pixel and what it is taken for, in words."""
    return {
        "encoding": reading.encoding,
        "values": {key: list(values) for key, values in pixel.raw.items()},
        "meaning": {
            f"{key} {value}": meaning(key, value)
            for key, values in pixel.raw.items()
            for value in dict.fromkeys(values)
        },
        "class": NAMES[pixel.code],
        "code": pixel.code,
        "class_without_buffer": NAMES[pixel.own],
    }


def meaning(name: str, value: float) -> list[str]:
    """Raster of a mask and one stored value -> what it says, a line a bit."""
    try:
        found = explain(name, value)
    except CubeError as error:
        return [str(error)]
    return [*found.lines, *(f"contradiction: {sentence}" for sentence in found.contradictions)]


def _stored(
    cube: Cube, entry: DateEntry, name: str, group: str, window: tuple[slice, slice]
) -> dict[str, tuple[int, ...]]:
    """Values of the mask's rasters in the pixel: one, or those of the finer pixels in it."""
    native = mask_group(cube.spec, name)
    ratio = cube.spec.groups[group] / cube.spec.groups[native]
    there = tuple(
        slice(math.floor(side.start * ratio), math.ceil(side.stop * ratio)) for side in window
    )
    keys = [
        key
        for key in encoding(name).reads
        if key in entry.variables and cube.spec.variable(native, key) is not None
    ]
    return {
        key: tuple(
            cube.read(native, key, [entry.slot], (there[0], there[1]))[0].reshape(-1).tolist()
        )
        for key in keys
    }


def _blue(
    cube: Cube,
    entry: DateEntry,
    group: str,
    window: tuple[slice, slice],
    bands: Mapping[str, int],
) -> int:
    """Blue on the grid of the group, as syntheses take it: its own, or the mean of the finer."""
    if "blue" in bands or cube.spec.variable(group, "blue") is not None:
        return bands.get("blue", REFLECTANCE_NODATA)
    finest = next(iter(cube.spec.groups))
    if finest == group or cube.spec.variable(finest, "blue") is None:
        return next(iter(bands.values()), REFLECTANCE_NODATA)
    ratio = cube.spec.groups[group] // cube.spec.groups[finest]
    rows, columns = (slice(side.start * ratio, side.stop * ratio) for side in window)
    fine = cube.read(finest, "blue", [entry.slot], (rows, columns))[0]
    if (fine == REFLECTANCE_NODATA).any():
        return REFLECTANCE_NODATA
    return int(np.rint(fine.mean(dtype=np.float32)))


def _reach(at: int, count: int, resolution: int, nearness: Nearness) -> tuple[int, int]:
    """A pixel's row (or column) -> the first and last + 1 whose clouds weigh on it."""
    size, cells = nearness.cell, nearness.reach
    # Whole cells that are whole pixels too.
    step = resolution // math.gcd(resolution, size)
    cell = int((at + 0.5) * resolution // size)  # that in its middle, of a pixel of several
    first = max(0, (cell - cells) // step * step)
    last = -(-(cell + cells + 1) // step) * step
    return first * size // resolution, min(last * size // resolution, count)
