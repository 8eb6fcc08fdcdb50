"""Kernel that orders a few numbers, as many as a window or a reference has dates."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


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
