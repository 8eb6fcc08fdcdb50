"""Growing one class of a raster by a disc, at a cost that does not depend on the radius.

All arrays are (y, x) and row-major; every inner loop runs along a row.

A pixel is within the disc of another when the horizontal step between them is at most the
half-width of the disc at their vertical step. So it is enough to know, for each pixel, how far
up or down the nearest pixel of the class in its column is: that gives a half-width, hence an
interval of the row that this column covers. The union of all intervals of a row is found by one
sweep from the left and one from the right, each remembering how far it is covered.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, SNOW, WATER

Bytes = NDArray[np.uint8]


@njit(cache=True, nogil=True)
def column_distance(classes: Bytes, code: int, cap: int, out: NDArray[np.uint16]) -> bool:
    """(y, x) uint8 classes -> (y, x) uint16 rows to the nearest pixel of the code, `cap` at most.

    Returns whether any pixel has the code; where none has, `out` is `cap` everywhere.
    """
    rows, columns = classes.shape
    limit = np.uint16(cap)
    found = False
    for y in range(rows):
        for x in range(columns):
            here = classes[y, x] == code
            found = found or here
            above = out[y - 1, x] if y > 0 else limit
            out[y, x] = np.uint16(0) if here else min(np.uint16(above + np.uint16(1)), limit)
    for y in range(rows - 2, -1, -1):
        for x in range(columns):
            out[y, x] = min(out[y, x], np.uint16(out[y + 1, x] + np.uint16(1)))
    return found


@njit(cache=True, nogil=True)
def grow(
    classes: Bytes,
    distance: NDArray[np.uint16],
    widths: NDArray[np.int32],
    code: int,
    reached: Bytes,
    out: Bytes,
) -> None:
    """(y, x) classes and column distances -> `out` set to the code where its disc meets ground.

    `widths` holds the disc's half-width at each distance, and a large negative number for the
    last one, which is out of reach. `reached` is working space for one row. Only pixels that
    are clear, snow or water in `classes` are written.
    """
    rows, columns = classes.shape
    for y in range(rows):
        here, steps, row = classes[y], distance[y], out[y]
        covered = np.int32(-1)
        for x in range(columns):
            covered = max(covered, np.int32(x) + widths[steps[x]])
            reached[x] = covered >= x
        covered = np.int32(columns)
        for x in range(columns - 1, -1, -1):
            covered = min(covered, np.int32(x) - widths[steps[x]])
            reached[x] |= covered <= x
        for x in range(columns):
            ground = (here[x] == CLEAR) | (here[x] == SNOW) | (here[x] == WATER)
            row[x] = code if ground & (reached[x] != 0) else row[x]
