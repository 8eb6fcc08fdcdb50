"""Kernels of the directional correction: factors at nodes -> reflectances of any window.

C order, x innermost. A pixel's factor depends on its place on the ground alone, so windows of any
size give the same bits.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.kernels.weights import cubic

NODATA = np.int16(-10000)
"""Nodata of reflectances (``cube.bands.REFLECTANCE_NODATA``)."""

LEAST, MOST = -9999.0, 32767.0
"""What a corrected int16 reflectance may be: never nodata."""


@njit(cache=True, nogil=True)
def correct_bilinear(
    band: NDArray[np.int16],
    fixed: NDArray[np.bool_],
    nodes: NDArray[np.float64],
    x0: float,
    y0: float,
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
    x0, y0
        Centre of pixel (0, 0) in nodes: columns, rows.
    step
        A pixel in nodes, along x and y.
    """
    height, width = band.shape
    _, rows, columns = nodes.shape
    factors = np.empty(width, np.float64)
    for y in range(height):
        at = min(max(y0 + y * step[1], 0.0), rows - 1.0)
        row = min(int(at), rows - 2)
        down = at - row
        x = 0
        while x < width:
            column = min(int(min(max(x0 + x * step[0], 0.0), columns - 1.0)), columns - 2)
            after = x + 1
            while after < width:
                place = min(max(x0 + after * step[0], 0.0), columns - 1.0)
                if min(int(place), columns - 2) != column:
                    break
                after += 1
            _cell(nodes[:, row : row + 2, column : column + 2], down, x0, step[0], column,
                  columns - 1.0, x, after, factors)  # fmt: skip
            x = after
        for x in range(width):
            dn = band[y, x]
            value = min(max(np.rint(dn * factors[x]), LEAST), MOST)
            band[y, x] = dn if fixed[y, x] | (dn == NODATA) else np.int16(value)


@njit(cache=True, nogil=True)
def _cell(
    corners: NDArray[np.float64],
    down: float,
    x0: float,
    step: float,
    column: int,
    last: float,
    first: int,
    after: int,
    factors: NDArray[np.float64],
) -> None:
    """(detector, 2, 2) nodes round pixels ``first`` to ``after`` of a row -> their factors."""
    detectors = len(corners)
    whole = -1
    for d in range(detectors):
        c = corners[d]
        known = np.isfinite(c[0, 0]) & np.isfinite(c[0, 1]) & np.isfinite(c[1, 0])
        if known & np.isfinite(c[1, 1]):
            whole = d
            break
    if whole >= 0:
        # No other can have more weight: one straight line.
        c = corners[whole]
        left = c[0, 0] + down * (c[1, 0] - c[0, 0])
        right = c[0, 1] + down * (c[1, 1] - c[0, 1])
        for x in range(first, after):
            along = min(max(x0 + x * step, 0.0), last) - column
            factors[x] = left + along * (right - left)
        return
    for x in range(first, after):
        along = min(max(x0 + x * step, 0.0), last) - column
        most = 0.0
        factor = 1.0
        for d in range(detectors):
            weight = 0.0
            total = 0.0
            for j in range(2):
                for i in range(2):
                    value = corners[d, j, i]
                    w = (down if j else 1 - down) * (along if i else 1 - along)
                    if np.isfinite(value):
                        weight += w
                        total += w * value
            if weight > most:
                most = weight
                factor = total / weight
        factors[x] = factor


@njit(cache=True, nogil=True)
def bicubic(
    grid: NDArray[np.float64], x0: float, y0: float, step: tuple[float, float], out: NDArray[np.float64]
) -> None:  # fmt: skip
    """(row, column) float64 -> (y, x), by cubic convolution, edges replicated; NaN spreads.

    ``x0``, ``y0`` are the centre of pixel (0, 0) in cells of the grid, whose centres are whole
    numbers; ``step`` is a pixel in cells.
    """
    height, width = out.shape
    rows, columns = grid.shape
    for y in range(height):
        top = y0 + y * step[1]
        row = int(np.floor(top)) - 1
        for x in range(width):
            left = x0 + x * step[0]
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
