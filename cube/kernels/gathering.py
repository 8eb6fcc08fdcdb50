"""Kernel that lines up the dates of some pixels, so that the compiler makes vectors of the pixels."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def gather(
    dn: NDArray[np.int16],
    usable: NDArray[np.bool_],
    y: int,
    x0: int,
    wanted: NDArray[np.bool_],
    values: NDArray[np.floating],
    index: NDArray[np.int16],
    counts: NDArray[np.int32],
) -> int:
    """(band, time, rows, x) int16 dn -> usable dates of the pixels from ``(y, x0)``, in ``values``.

    ``wanted`` is True for each of these pixels that has a part in it; the others count no date.
    ``values`` (band, time, pixel) holds a pixel's dates one behind the other and what it held
    before behind them; ``index`` (time, pixel) says which dates they are, ``counts`` (pixel,) how
    many. Returned is the most of any pixel.
    """
    bands, dates = dn.shape[:2]
    counts[:] = 0
    most = 0
    for t in range(dates):
        for x in range(len(wanted)):
            if wanted[x] and usable[t, y, x0 + x]:
                n = counts[x]
                index[n, x] = t
                for i in range(bands):
                    values[i, n, x] = dn[i, t, y, x0 + x]
                counts[x] = n + 1
                most = max(most, n + 1)
    return most
