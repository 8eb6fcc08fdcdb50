"""Masks on the 20 m grid as CNES's public WASP program takes them from those at 10 m."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cube.classes import CLOUD, SNOW, THIN_CLOUD, WATER
from cube.decoding import MaskReading, mask_group, read_classes
from cube.spec import DateEntry
from cube.store import Cube


def binary_classes(
    cube: Cube,
    entries: Sequence[DateEntry],
    reading: MaskReading,
    group: str,
    window: tuple[slice, slice],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Dates and a window -> (time, y, x) classes, and where directions are not corrected.

    On a grid twice as coarse as the mask a pixel is what the lower right of its four is, and escapes
    the correction where all four are cloud, all water or all snow; None: as classes say.
    """
    native = mask_group(cube.spec, reading.encoding)
    if cube.spec.groups[group] != 2 * cube.spec.groups[native]:
        return read_classes(cube, entries, reading, group, window), None
    rows, columns = (slice(2 * side.start, 2 * side.stop) for side in window)
    return halved(read_classes(cube, entries, reading, native, (rows, columns)))


def halved(fine: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(time, 2 y, 2 x) classes -> (time, y, x) of the lower right of four; where all four are masked."""
    dates, height, width = fine.shape
    fours = fine.reshape(dates, height // 2, 2, width // 2, 2)
    masks = ((fours >= CLOUD) & (fours <= THIN_CLOUD), fours == WATER, fours == SNOW)
    fixed = np.logical_or.reduce([mask.all(axis=(2, 4)) for mask in masks])
    return np.ascontiguousarray(fine[:, 1::2, 1::2]), fixed
