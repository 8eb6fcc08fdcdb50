"""Kernels of the geometric median and of how far dates are from it.

Row tiles as in ``cube.kernels.composite``. Some dozen pixels are worked on side by side, so that the
compiler makes vectors of them; each goes its own way and stops by itself, so that a pixel's bits
depend on that pixel alone.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import WATER
from cube.kernels.composite import NODATA, STATUS_LAND, STATUS_SNOW, STATUS_WATER
from cube.kernels.gathering import gather

_LANES = 32
"""Pixels side by side: their dates and bands fit the first- and second-level caches."""

_TINY = np.float32(1e-3)
"""A date nearer than this (dn) coincides with the estimate."""


@njit(cache=True, nogil=True, error_model="numpy")
def geomedian(
    dn: NDArray[np.int16],
    usable: NDArray[np.bool_],
    tolerance: float,
    most_steps: int,
    out: NDArray[np.int16],
    emad: NDArray[np.float32],
    smad: NDArray[np.float32],
    bcmad: NDArray[np.float32],
) -> None:
    """(band, time, rows, x) int16 dn -> (band, rows, x) int16 geometric median, and its MADs.

    The spectrum of least summed euclidean distance to those of the usable dates, by Weiszfeld's
    iteration from their mean, with Vardi and Zhang's step where the estimate meets a date
    (Y. Vardi and C.-H. Zhang 2000, PNAS 97, 1423). It ends when a step is shorter than ``tolerance``
    dn. Of one or two dates it is the mean.

    ``emad``, ``smad``, ``bcmad`` are ``(rows, x)`` float32 medians over the dates of the euclidean
    distance (in dn), of 1 - cosine and of the Bray-Curtis distance to it (D. Roberts et al. 2019,
    "High-dimensional pixel composites from Earth observation time series", IEEE TGRS 55, 6254).
    Pixels without a usable date are left alone.
    """
    bands, dates, rows, width = dn.shape
    values = np.zeros((bands, dates, _LANES), np.float32)
    index = np.zeros((dates, _LANES), np.int16)
    every = np.ones(_LANES, np.bool_)
    counts = np.zeros(_LANES, np.int32)
    centre = np.zeros((bands, _LANES), np.float32)
    target = np.zeros((bands, _LANES), np.float32)
    sums = np.zeros((3, _LANES), np.float32)
    apart = np.zeros((3, dates, _LANES), np.float32)
    moving = np.zeros(_LANES, np.bool_)
    for y in range(rows):
        for x0 in range(0, width, _LANES):
            lanes = min(_LANES, width - x0)
            values[:] = 0  # and so it is behind the dates of a pixel
            most = gather(dn, usable, y, x0, every[:lanes], values, index, counts)
            if most == 0:
                continue
            _mean(values, counts, most, centre)
            for x in range(_LANES):
                moving[x] = counts[x] > 2
            for _ in range(most_steps):
                if not moving.any():
                    break
                _step(values, counts, most, tolerance, centre, target, sums, moving)
            _distances(values, counts, most, centre, sums, apart)
            for x in range(lanes):
                if counts[x] == 0:
                    continue
                for i in range(bands):
                    out[i, y, x0 + x] = np.rint(centre[i, x])
                n = counts[x]
                emad[y, x0 + x] = _middle(apart[0], n, x)
                smad[y, x0 + x] = _middle(apart[1], n, x)
                bcmad[y, x0 + x] = _middle(apart[2], n, x)


@njit(cache=True, nogil=True)
def only_whole(
    classes: NDArray[np.uint8],
    usable: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    days: NDArray[np.int32],
    row0: int,
    weight: NDArray[np.float32],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
) -> None:
    """(time, rows, x) bool usable -> dates with all bands alone, and the layers that follow.

    A pixel whose usable dates all lack a band becomes nodata, status 0.
    """
    dates, rows, width = usable.shape
    first = days[0] if dates else 0
    kept = np.empty(width, np.int32)
    waters = np.empty(width, np.int32)
    day_sum = np.empty(width, np.int64)
    for y in range(rows):
        kept[:] = 0
        waters[:] = 0
        day_sum[:] = 0
        for t in range(dates):
            day = np.int64(days[t] - first)
            for x in range(width):
                ok = usable[t, y, x] & whole[t, y, x]
                usable[t, y, x] = ok
                kept[x] += ok
                waters[x] += ok & (classes[t, row0 + y, x] == WATER)
                day_sum[x] += day if ok else 0
        for x in range(width):
            if weight[y, x] == 0:
                continue  # no ground was seen
            weight[y, x] = kept[x]
            if kept[x] == 0:
                date[y, x] = NODATA
                status[y, x] = 0
                continue
            date[y, x] = np.rint(first + day_sum[x] / kept[x])
            if status[y, x] != STATUS_SNOW:
                status[y, x] = STATUS_WATER if 2 * waters[x] > kept[x] else STATUS_LAND


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(
    values: NDArray[np.float32],
    counts: NDArray[np.int32],
    most: int,
    centre: NDArray[np.float32],
) -> None:
    """(band, time, lanes) -> (band, lanes) mean of the first ``counts`` dates."""
    for i in range(values.shape[0]):
        centre[i] = 0
        for k in range(most):
            for x in range(_LANES):
                centre[i, x] += values[i, k, x]
        for x in range(_LANES):
            centre[i, x] /= max(counts[x], 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _step(
    values: NDArray[np.float32],
    counts: NDArray[np.int32],
    most: int,
    tolerance: float,
    centre: NDArray[np.float32],
    target: NDArray[np.float32],
    sums: NDArray[np.float32],
    moving: NDArray[np.bool_],
) -> None:
    """One step of the pixels that still move; ``sums`` and ``target`` are scratch."""
    bands = values.shape[0]
    weight, square, meet = sums[0], sums[1], sums[2]
    weight[:] = 0
    meet[:] = 0
    target[:] = 0
    for k in range(most):
        square[:] = 0
        for i in range(bands):
            for x in range(_LANES):
                d = values[i, k, x] - centre[i, x]
                square[x] += d * d
        for x in range(_LANES):
            there = np.float32(1) if k < counts[x] else np.float32(0)
            d = np.sqrt(square[x])
            far = d > _TINY
            meet[x] += np.float32(0) if far else there
            square[x] = there / d if far else np.float32(0)
            weight[x] += square[x]
        for i in range(bands):
            for x in range(_LANES):
                target[i, x] += square[x] * values[i, k, x]
    square[:] = 0
    for i in range(bands):
        for x in range(_LANES):
            # Where all dates coincide nothing weighs: it stays.
            goal = target[i, x] / weight[x] if weight[x] > 0 else centre[i, x]
            target[i, x] = goal
            d = goal - centre[i, x]
            square[x] += d * d
    for x in range(_LANES):
        length = np.sqrt(square[x])
        pull = length * weight[x]
        stay = min(np.float32(1), meet[x] / pull) if pull > 0 else np.float32(1)
        go = np.float32(1) - stay if meet[x] > 0 else np.float32(1)
        go = go if moving[x] else np.float32(0)
        square[x] = go
        moving[x] = moving[x] & (go * length >= tolerance)
    for i in range(bands):
        for x in range(_LANES):
            centre[i, x] += square[x] * (target[i, x] - centre[i, x])


@njit(cache=True, nogil=True, error_model="numpy")
def _distances(
    values: NDArray[np.float32],
    counts: NDArray[np.int32],
    most: int,
    centre: NDArray[np.float32],
    sums: NDArray[np.float32],
    apart: NDArray[np.float32],
) -> None:
    """(band, time, lanes), (band, lanes) -> (3, time, lanes) euclidean, cosine, Bray-Curtis."""
    bands = values.shape[0]
    for k in range(most):
        for x in range(_LANES):
            # In double precision: 1 - cosine is a small difference.
            square = dot = own = other = apart_sum = whole = 0.0
            for i in range(bands):
                a = np.float64(values[i, k, x])
                b = np.float64(centre[i, x])
                square += (a - b) * (a - b)
                dot += a * b
                own += a * a
                other += b * b
                apart_sum += abs(a - b)
                whole += abs(a + b)
            norm = np.sqrt(own) * np.sqrt(other)
            apart[0, k, x] = np.sqrt(square)
            apart[1, k, x] = max(0.0, 1 - dot / norm) if norm > 0 else 0.0
            apart[2, k, x] = apart_sum / whole if whole > 0 else 0.0


@njit(cache=True, nogil=True)
def _middle(apart: NDArray[np.float32], count: int, x: int) -> float:
    """(time, lanes) -> median of the first ``count`` of one lane, which it sorts."""
    for k in range(1, count):
        value = apart[k, x]
        j = k
        while j > 0 and apart[j - 1, x] > value:
            apart[j, x] = apart[j - 1, x]
            j -= 1
        apart[j, x] = value
    low = np.float64(apart[(count - 1) // 2, x])
    return (low + np.float64(apart[count // 2, x])) / 2
