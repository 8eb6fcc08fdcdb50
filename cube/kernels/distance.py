"""Kernels of the distance to clouds: over a whole extent once, to weights of any window.

C order, x innermost; whole numbers, so that strips and windows of any size give the same bits.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def mark_cells(
    not_clear: NDArray[np.uint8], row0: int, pixel: int, cell: int, out: NDArray[np.uint8]
) -> None:
    """(rows, x) uint8 not clear -> (h, w) cells, set 0 where any pixel that they touch is.

    ``pixel`` and ``cell`` are their sides in metres, ``row0`` is the row of ``not_clear[0]``; ``out``
    is left as it is elsewhere.
    """
    rows, width = not_clear.shape
    for y in range(rows):
        top, bottom = _touched(row0 + y, pixel, cell)
        for x in range(width):
            if not_clear[y, x] != 0:
                left, right = _touched(x, pixel, cell)
                out[top:bottom, left:right] = 0


@njit(cache=True, nogil=True)
def _touched(at: int, pixel: int, cell: int) -> tuple[int, int]:
    """Row or column of a pixel -> the first and last + 1 of its cells."""
    return at * pixel // cell, -(-(at + 1) * pixel // cell)


@njit(cache=True, nogil=True)
def spread(cells: NDArray[np.uint8], most: int) -> None:
    """(h, w) uint8, 0 at clouds and ``most`` elsewhere -> Manhattan distance in cells, in place.

    Distances end at ``most`` (at most 255). Two passes of the city-block metric: A. Rosenfeld and
    J. L. Pfaltz 1966, "Sequential operations in digital picture processing", section 4.
    """
    height, width = cells.shape
    for y in range(height):
        for x in range(width):
            near = int(cells[y, x])
            if y > 0:
                near = min(near, int(cells[y - 1, x]) + 1)
            if x > 0:
                near = min(near, int(cells[y, x - 1]) + 1)
            cells[y, x] = min(near, most)
    for y in range(height - 1, -1, -1):
        for x in range(width - 1, -1, -1):
            near = int(cells[y, x])
            if y < height - 1:
                near = min(near, int(cells[y + 1, x]) + 1)
            if x < width - 1:
                near = min(near, int(cells[y, x + 1]) + 1)
            cells[y, x] = near


@njit(cache=True, nogil=True)
def look_up(
    cells: NDArray[np.uint8],
    row0: int,
    col0: int,
    step: float,
    table: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """(h, w) uint8 distances and (256,) float32 weight of each -> (y, x) float32 of a window.

    The window begins at pixel ``(row0, col0)``; ``step`` is the pixel in cells; one
    of several cells has the weight of that in its middle.
    """
    height, width = out.shape
    for y in range(height):
        row = int((row0 + y + 0.5) * step)
        for x in range(width):
            out[y, x] = table[cells[row, int((col0 + x + 0.5) * step)]]
