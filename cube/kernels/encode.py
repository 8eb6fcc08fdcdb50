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
        # No branch depends on the data, and the count is as narrow as the vectors it is made in.
        beyond = np.int32(0)
        for x in range(columns):
            source = np.float64(raw[y, x])
            seen = (source == source) & (source != nodata)
            value = np.rint((source if seen else 0.0) * gain + shift)
            high, low = value > HIGHEST, value < LOWEST
            value = np.float64(HIGHEST) if high else value
            value = np.float64(LOWEST) if low else value
            beyond += np.int32(seen & (high | low))
            out[y, x] = np.int16(np.int32(value if seen else -10000.0))
        clipped += int(beyond)
    return clipped
