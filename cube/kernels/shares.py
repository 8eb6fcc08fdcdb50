"""Kernels of shares: what each date gives to a block, in whole numbers.

A pixel that shows something gives ``WHOLE`` parts to its dates, rounded pixel by pixel; sums of whole
numbers are the same in any order and for any cut into blocks.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

WHOLE = 720720
"""As ``cube.composite.WHOLE_SHARE``: 1, 2, ... 16 dates of equal weight divide it."""


@njit(cache=True, nogil=True)
def share_weights(weights: NDArray[np.float32], shares: NDArray[np.int64]) -> None:
    """(time, rows, x) float32 weights >= 0 -> added to (time,) int64 shares, by weight."""
    dates, rows, width = weights.shape
    scale = np.empty(width, np.float64)
    for y in range(rows):
        scale[:] = 0
        for t in range(dates):
            for x in range(width):
                scale[x] += weights[t, y, x]
        for x in range(width):
            scale[x] = WHOLE / scale[x] if scale[x] > 0 else 0.0
        for t in range(dates):
            total = np.int64(0)
            for x in range(width):
                total += np.int64(weights[t, y, x] * scale[x] + 0.5)
            shares[t] += total


@njit(cache=True, nogil=True)
def share_evenly(usable: NDArray[np.bool_], shares: NDArray[np.int64]) -> None:
    """(time, rows, x) bool -> added to (time,) int64 shares, the same for each date of a pixel."""
    dates, rows, width = usable.shape
    part = np.empty(width, np.int32)
    for y in range(rows):
        part[:] = 0
        for t in range(dates):
            for x in range(width):
                part[x] += usable[t, y, x]
        for x in range(width):
            part[x] = (WHOLE + part[x] // 2) // part[x] if part[x] > 0 else 0
        for t in range(dates):
            total = 0
            for x in range(width):
                total += part[x] if usable[t, y, x] else 0
            shares[t] += total


@njit(cache=True, nogil=True)
def share_choice(choice: NDArray[np.int16], shares: NDArray[np.int64]) -> None:
    """(rows, x) index of the date shown, or -1 -> added to (time,) int64 shares."""
    rows, width = choice.shape
    for y in range(rows):
        for x in range(width):
            if choice[y, x] >= 0:
                shares[choice[y, x]] += WHOLE
