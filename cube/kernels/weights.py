"""Kernels of the cloud weight: down to the coarse grid, and back up to any window.

C order, x innermost. Every output value is a sum in a fixed order, so strips and windows of any
size give the same bits.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def cubic(distance: float) -> float:
    """Distance in samples -> weight of Keys' cubic convolution, a = -0.5; 0 from 2 on.

    R. G. Keys 1981, "Cubic convolution interpolation for digital image processing", equation 15.
    """
    d = abs(distance)
    if d < 1:
        return (1.5 * d - 2.5) * d * d + 1
    if d < 2:
        return ((-0.5 * d + 2.5) * d - 4) * d + 2
    return 0.0


@njit(cache=True, nogil=True)
def add_rows(
    not_clear: NDArray[np.uint8],
    row0: int,
    first: NDArray[np.int64],
    taps: NDArray[np.float64],
    sums: NDArray[np.float32],
) -> None:
    """(rows, x) uint8 not clear -> added to (coarse rows, x) float32 sums.

    ``taps`` is ``(coarse, n)`` float64, the weights of the rows ``first[k] ... first[k] + n - 1``
    in the coarse row ``k``; ``row0`` is the row of ``not_clear[0]``. Rows come in order, each once.
    """
    rows, width = not_clear.shape
    coarse, count = taps.shape
    for r in range(rows):
        row = row0 + r
        for k in range(coarse):
            tap = row - first[k]
            if tap < 0 or tap >= count or taps[k, tap] == 0:
                continue
            weight = np.float32(taps[k, tap])
            for x in range(width):
                sums[k, x] += weight if not_clear[r, x] != 0 else np.float32(0)


@njit(cache=True, nogil=True)
def sum_columns(
    sums: NDArray[np.float32],
    first: NDArray[np.int64],
    taps: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """(coarse rows, x) float32 -> (coarse rows, coarse columns) float64, ``taps`` as above."""
    rows, width = sums.shape
    coarse, count = taps.shape
    for y in range(rows):
        for k in range(coarse):
            total = 0.0
            for tap in range(count):
                x = first[k] + tap
                if x < width:
                    total += taps[k, tap] * sums[y, x]
            out[y, k] = total


@njit(cache=True, nogil=True)
def cloud_weight(
    coarse: NDArray[np.float32],
    row0: int,
    col0: int,
    step: float,
    sub: int,
    out: NDArray[np.float32],
) -> None:
    """(2, h, w) float32 blurred clouds -> (y, x) float32 weight ``(1 - A) (1 - B)`` in [0, 1].

    ``step`` is the fine pixel in coarse pixels; each fine pixel is the mean of ``sub x sub``
    samples. Bicubic on absolute positions, replicated edges.
    """
    height, width = out.shape
    _, rows, columns = coarse.shape
    line = np.empty((2, columns), np.float64)
    total = np.empty(width, np.float64)
    samples = width * sub
    start = np.empty(samples, np.int64)
    taps = np.empty((samples, 4), np.float64)
    for s in range(samples):
        start[s], taps[s] = _taps(col0, s, step, sub)
    for y in range(height):
        total[:] = 0
        for u in range(sub):
            at, w = _taps(row0, y * sub + u, step, sub)
            for layer in range(2):
                for k in range(columns):
                    value = 0.0
                    for n in range(4):
                        value += w[n] * coarse[layer, min(max(at + n, 0), rows - 1), k]
                    line[layer, k] = value
            for s in range(samples):
                a = 0.0
                b = 0.0
                for n in range(4):
                    k = min(max(start[s] + n, 0), columns - 1)
                    a += taps[s, n] * line[0, k]
                    b += taps[s, n] * line[1, k]
                a = abs(a)
                b = abs(b)
                if a < 1 and b < 1:
                    total[s // sub] += (1 - a) * (1 - b)
        for x in range(width):
            out[y, x] = total[x] / (sub * sub)


@njit(cache=True, nogil=True)
def _taps(origin: int, sample: int, step: float, sub: int) -> tuple[int, NDArray[np.float64]]:
    """Sample of a window beginning at fine pixel ``origin`` -> first coarse pixel, four weights."""
    position = (origin * sub + sample + 0.5) * step / sub - 0.5
    first = int(np.floor(position)) - 1
    weights = np.empty(4, np.float64)
    for n in range(4):
        weights[n] = cubic(position - (first + n))
    return first, weights
