"""Kernels that order a few numbers, as many as a window or a reference has dates."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 128
"""Pixels sorted side by side: 128 int16 of 40 dates fill a third of a 32 KiB first-level cache."""


@njit(cache=True, nogil=True)
def order(values: NDArray[np.int32], first: int, last: int) -> None:
    """(n,) int32 -> ``values[first:last]`` ascending, in place; by insertion, as they are few."""
    for i in range(first + 1, last):
        value = values[i]
        j = i
        while j > first and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@njit(cache=True, nogil=True)
def sort_columns(columns: NDArray[Any]) -> None:
    """(time, LANES) int16 or int32, each column sorted in place.

    Batcher's merge exchange for any number of rows (Knuth, The Art of Computer Programming,
    volume 3, section 5.2.2, algorithm M).
    """
    count = columns.shape[0]
    top = 1
    while 2 * top < count:
        top *= 2
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            for i in range(count - d):
                if i & p == r:
                    _exchange(columns[i], columns[i + d])
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@njit(cache=True, nogil=True)
def _exchange(low: NDArray[Any], high: NDArray[Any]) -> None:
    """Two rows -> the smaller values in the first, the larger in the second."""
    for x in range(LANES):
        a = low[x]
        b = high[x]
        low[x] = min(a, b)
        high[x] = max(a, b)
