"""Four pixels into one."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def halve(fine: NDArray[np.int16], nodata: int, out: NDArray[np.int16]) -> None:
    """(time, 2y, 2x) int16 -> (time, y, x) int16 mean of four, nodata where one of them is.

    Halves go to the even neighbour, as numpy rounds; in whole numbers, so that it is exact.
    """
    for t in range(out.shape[0]):
        for y in range(out.shape[1]):
            upper, lower = fine[t, 2 * y], fine[t, 2 * y + 1]
            for x in range(out.shape[2]):
                a, b = np.int32(upper[2 * x]), np.int32(upper[2 * x + 1])
                c, d = np.int32(lower[2 * x]), np.int32(lower[2 * x + 1])
                total = a + b + c + d
                mean, rest = total >> 2, total & 3
                # Bitwise: without a branch the loop runs on vectors.
                up = (rest == 3) | ((rest == 2) & ((mean & 1) == 1))
                none = (a == nodata) | (b == nodata) | (c == nodata) | (d == nodata)
                out[t, y, x] = nodata if none else mean + up
