"""Kernels of the directional correction: factors at nodes -> reflectances of any window.

C order, x innermost. A pixel's factor depends on its place on the ground alone, so windows of any
size give the same bits.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.kernels.composite import NODATA
from cube.kernels.weights import cubic

LEAST, MOST = -9999.0, 32767.0
"""What a corrected int16 reflectance may be: never nodata."""


@njit(cache=True, nogil=True)
def correct_bilinear(
    band: NDArray[np.int16],
    fixed: NDArray[np.bool_],
    nodes: NDArray[np.float64],
    first: tuple[float, float],
    pixel: float,
    step: tuple[float, float],
) -> None:
    """(y, x) int16 dn of one date, corrected in place where not ``fixed`` (y, x) bool.

    Parameters
    ----------
    nodes
        ``(detector, row, column)`` float64 factors, two rows and columns at least; NaN where the
        detector does not look. A pixel has the factor of the detector whose known nodes have most
        of the weight in the bilinear interpolation there (the first of equals), interpolated from
        these nodes alone; beyond the outer nodes that of the edge; without any known node 1.
    first
        Centre of pixel (0, 0) from node (0, 0), metres along x and down y: whole numbers or halves,
        so that sums with whole pixels are exact and places do not depend on the window.
    pixel, step
        Metres of a pixel, and between nodes along x and down y.
    """
    height, width = band.shape
    _, rows, columns = nodes.shape
    along = np.empty(width, np.float64)
    edges = np.empty(columns + 1, np.int64)
    cells = np.empty(columns, np.int64)
    count = 0
    for x in range(width):
        place = min(max((first[0] + x * pixel) / step[0], 0.0), columns - 1.0)
        column = min(int(place), columns - 2)
        along[x] = place - column
        if count == 0 or cells[count - 1] != column:
            edges[count] = x
            cells[count] = column
            count += 1
    edges[count] = width
    factors = np.empty(width, np.float32)
    for y in range(height):
        place = min(max((first[1] + y * pixel) / step[1], 0.0), rows - 1.0)
        row = min(int(place), rows - 2)
        for k in range(count):
            part = slice(edges[k], edges[k + 1])
            corners = nodes[:, row : row + 2, cells[k] : cells[k] + 2]
            _cell(corners, place - row, along[part], factors[part])
        _correct_row(band[y], fixed[y], factors)


@njit(cache=True, nogil=True)
def _correct_row(
    band: NDArray[np.int16], fixed: NDArray[np.bool_], factors: NDArray[np.float32]
) -> None:
    """(x) int16 dn -> times (x) float32 factors, rounded, where not fixed and not nodata."""
    for x in range(len(band)):
        dn = band[x]
        value = np.rint(np.float32(dn) * factors[x])
        value = min(max(value, np.float32(LEAST)), np.float32(MOST))
        band[x] = dn if fixed[x] | (dn == NODATA) else np.int16(value)


@njit(cache=True, nogil=True)
def _cell(
    corners: NDArray[np.float64],
    down: float,
    along: NDArray[np.float64],
    factors: NDArray[np.float32],
) -> None:
    """(detector, 2, 2) nodes round some pixels of a row -> (x) float32 factors of these."""
    for d in range(len(corners)):
        c = corners[d]
        if np.isfinite(c[0, 0] + c[0, 1] + c[1, 0] + c[1, 1]):
            # No other can have more weight: one straight line.
            left = c[0, 0] + down * (c[1, 0] - c[0, 0])
            right = c[0, 1] + down * (c[1, 1] - c[0, 1])
            for x in range(len(along)):
                factors[x] = left + along[x] * (right - left)
            return
    for x in range(len(along)):
        most = 0.0
        factor = 1.0
        for d in range(len(corners)):
            weight = 0.0
            total = 0.0
            for j in range(2):
                for i in range(2):
                    value = corners[d, j, i]
                    w = (down if j else 1 - down) * (along[x] if i else 1 - along[x])
                    if np.isfinite(value):
                        weight += w
                        total += w * value
            if weight > most:
                most = weight
                factor = total / weight
        factors[x] = factor


@njit(cache=True, nogil=True)
def bicubic(
    grid: NDArray[np.float64],
    first: tuple[float, float],
    pixel: float,
    cell: tuple[float, float],
    out: NDArray[np.float64],
) -> None:
    """(row, column) float64 -> (y, x), by cubic convolution, edges replicated; NaN spreads.

    ``first`` is the centre of pixel (0, 0) from the outer corner of cell (0, 0), metres along x and
    down y; ``pixel`` and ``cell`` are their sizes in metres.
    """
    height, width = out.shape
    rows, columns = grid.shape
    for y in range(height):
        top = (first[1] + y * pixel) / cell[1] - 0.5
        row = int(np.floor(top)) - 1
        for x in range(width):
            left = (first[0] + x * pixel) / cell[0] - 0.5
            column = int(np.floor(left)) - 1
            total = 0.0
            for j in range(4):
                line = 0.0
                source = min(max(row + j, 0), rows - 1)
                for i in range(4):
                    place = min(max(column + i, 0), columns - 1)
                    line += cubic(left - (column + i)) * grid[source, place]
                total += cubic(top - (row + j)) * line
            out[y, x] = total
