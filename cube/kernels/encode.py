"""Source numbers -> the cube's int16. Memory order: C, ``(y, x)``; the caller owns the output."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

LOWEST = -9999
"""Smallest stored value that is data; -10000 is nodata."""

HIGHEST = 32767
"""Largest value of int16."""


@njit(cache=True, nogil=True)
def encode(raw: Array, nodata: float, gain: float, shift: float, out: Array) -> int:
    """(y, x) source numbers -> (y, x) int16 of ``rint(raw * gain + shift)``; returns pixels clipped.

    ``nodata`` (NaN: none) is tested on the source's number, before gain and shift, and becomes
    -10000, as NaN does. Results beyond -9999..32767 are set to the nearer end and counted.
    """
    clipped = 0
    rows, columns = raw.shape
    for y in range(rows):
        for x in range(columns):
            value = np.float64(raw[y, x])
            if value == nodata or value != value:
                out[y, x] = -10000
                continue
            value = np.rint(value * gain + shift)
            if value > HIGHEST:
                value = np.float64(HIGHEST)
                clipped += 1
            elif value < LOWEST:
                value = np.float64(LOWEST)
                clipped += 1
            out[y, x] = np.int16(value)
    return clipped
