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
    samples. Bicubic on absolute positions, replicated edges. Along x it is done once for the four
    coarse rows round a sample, which some dozen fine rows share.
    """
    height, width = out.shape
    samples = width * sub
    lines = np.empty((2, 4, samples), np.float64)
    values = np.empty(samples, np.float64)
    total = np.empty(width, np.float64)
    starts = np.empty(samples, np.int64)
    taps = np.empty((samples, 4), np.float64)
    for s in range(samples):
        starts[s] = _taps(col0, s, step, sub, taps[s])
    row_taps = np.empty(4, np.float64)
    loaded = -10
    for y in range(height):
        total[:] = 0
        for u in range(sub):
            start = _taps(row0, y * sub + u, step, sub, row_taps)
            if start != loaded:
                _along_x(coarse, start, starts, taps, lines)
                loaded = start
            _weigh(lines, row_taps, values)
            for v in range(sub):
                for x in range(width):
                    total[x] += values[x * sub + v]
        for x in range(width):
            out[y, x] = total[x] / (sub * sub)


@njit(cache=True, nogil=True)
def _taps(origin: int, sample: int, step: float, sub: int, weights: NDArray[np.float64]) -> int:
    """Sample of a window beginning at fine pixel ``origin`` -> first coarse pixel; four weights."""
    position = (origin * sub + sample + 0.5) * step / sub - 0.5
    first = int(np.floor(position)) - 1
    for n in range(4):
        weights[n] = cubic(position - (first + n))
    return first


@njit(cache=True, nogil=True)
def _along_x(
    coarse: NDArray[np.float32],
    start: int,
    starts: NDArray[np.int64],
    taps: NDArray[np.float64],
    lines: NDArray[np.float64],
) -> None:
    """(2, h, w) coarse -> (2, 4, samples): the four coarse rows from ``start`` on, fine along x."""
    _, rows, columns = coarse.shape
    for layer in range(2):
        for n in range(4):
            row = coarse[layer, min(max(start + n, 0), rows - 1)]
            for s in range(starts.size):
                value = 0.0
                for m in range(4):
                    value += taps[s, m] * row[min(max(starts[s] + m, 0), columns - 1)]
                lines[layer, n, s] = value


@njit(cache=True, nogil=True)
def _weigh(
    lines: NDArray[np.float64], taps: NDArray[np.float64], values: NDArray[np.float64]
) -> None:
    """(2, 4, samples) and four weights -> (samples) ``(1 - |A|) (1 - |B|)``, not below 0."""
    p, q, r, s = taps[0], taps[1], taps[2], taps[3]
    for x in range(values.size):
        a = p * lines[0, 0, x] + q * lines[0, 1, x] + r * lines[0, 2, x] + s * lines[0, 3, x]
        b = p * lines[1, 0, x] + q * lines[1, 1, x] + r * lines[1, 2, x] + s * lines[1, 3, x]
        values[x] = max(1 - abs(a), 0.0) * max(1 - abs(b), 0.0)
