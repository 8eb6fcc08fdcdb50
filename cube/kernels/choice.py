"""Kernels of syntheses that show one date a pixel: which dates may be shown, and which one is.

Row tiles as in ``cube.kernels.composite``. ``choice`` is ``(rows, x)`` int16, the index of the date
shown; a kernel leaves a pixel alone whose date is chosen already. Of equals the first date is taken.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, SNOW, THIN_CLOUD, WATER
from cube.kernels.composite import (
    NO_BLUE,
    NODATA,
    STATUS_CLOUD,
    STATUS_LAND,
    STATUS_SNOW,
    STATUS_WATER,
)
from cube.kernels.gathering import gather

_LANES = 64
"""Pixels that are worked on side by side."""


@njit(cache=True, nogil=True)
def mark_whole(band: NDArray[np.int16], row0: int, whole: NDArray[np.bool_]) -> None:
    """(time, y, x) int16 dn -> (time, rows, x) bool ``whole``, set False where it has no data."""
    dates, rows, width = whole.shape
    for t in range(dates):
        for y in range(rows):
            for x in range(width):
                whole[t, y, x] &= band[t, row0 + y, x] != NODATA


@njit(cache=True, nogil=True)
def keep_whole(usable: NDArray[np.bool_], whole: NDArray[np.bool_]) -> None:
    """(time, rows, x) bool usable -> only dates with all bands, where a pixel has such dates."""
    dates, rows, width = usable.shape
    has = np.empty(width, np.bool_)
    for y in range(rows):
        has[:] = False
        for t in range(dates):
            for x in range(width):
                has[x] |= usable[t, y, x] & whole[t, y, x]
        for t in range(dates):
            for x in range(width):
                usable[t, y, x] &= whole[t, y, x] | (not has[x])


@njit(cache=True, nogil=True)
def follow(
    guide: NDArray[np.int16], usable: NDArray[np.bool_], row0: int, choice: NDArray[np.int16]
) -> None:
    """(y, x) int16 date of the coarser grid -> ``choice``, where the pixel may show that date."""
    rows, width = choice.shape
    for y in range(rows):
        for x in range(width):
            t = guide[row0 + y, x]
            if t >= 0 and usable[t, y, x]:
                choice[y, x] = t


@njit(cache=True, nogil=True)
def medoid(
    dn: NDArray[np.int16], usable: NDArray[np.bool_], least: int, choice: NDArray[np.int16]
) -> None:
    """(band, time, rows, x) int16 dn -> ``choice``: the date of least distance to all others.

    The sum of the euclidean distances over all bands to the other usable dates (N. Flood 2013,
    "Seasonal composite Landsat TM/ETM+ images using the medoid", Remote Sensing 5, 6481). Pixels
    with fewer than ``least`` usable dates are left alone.
    """
    bands, dates, rows, width = dn.shape
    values = np.zeros((bands, dates, _LANES), np.float64)
    index = np.zeros((dates, _LANES), np.int16)
    counts = np.zeros(_LANES, np.int32)
    total = np.zeros((dates, _LANES), np.float64)
    square = np.zeros(_LANES, np.float64)
    for y in range(rows):
        for x0 in range(0, width, _LANES):
            lanes = min(_LANES, width - x0)
            wanted = choice[y, x0 : x0 + lanes] < 0
            most = gather(dn, usable, y, x0, wanted, values, index, counts)
            if most < least:
                continue
            total[:most] = 0
            for a in range(most):
                for b in range(a + 1, most):
                    square[:] = 0
                    for i in range(bands):
                        one = values[i, a]
                        other = values[i, b]
                        for x in range(_LANES):
                            d = one[x] - other[x]
                            square[x] += d * d
                    for x in range(_LANES):
                        d = np.sqrt(square[x]) if b < counts[x] else 0.0
                        total[a, x] += d
                        total[b, x] += d
            for x in range(lanes):
                if counts[x] >= max(least, 1):
                    best = 0
                    for a in range(1, counts[x]):
                        if total[a, x] < total[best, x]:
                            best = a
                    choice[y, x0 + x] = index[best, x]


@njit(cache=True, nogil=True)
def highest_score(
    usable: NDArray[np.bool_],
    near: NDArray[np.float32],
    row0: int,
    near_part: float,
    of_date: NDArray[np.float64],
    choice: NDArray[np.int16],
    weight: NDArray[np.float32],
) -> None:
    """(time, y, x) float32 weight by clouds, (time,) rest of the score -> ``choice`` and its score.

    The score of a date is ``of_date[t] + near_part * near[t, y, x]``.
    """
    dates, rows, width = usable.shape
    best = np.empty(width, np.float64)
    for y in range(rows):
        best[:] = -1
        for t in range(dates):
            for x in range(width):
                score = of_date[t] + near_part * near[t, row0 + y, x]
                better = usable[t, y, x] & (score > best[x])
                best[x] = score if better else best[x]
                choice[y, x] = t if better else choice[y, x]
        for x in range(width):
            weight[y, x] = best[x]


@njit(cache=True, nogil=True)
def highest_ndvi(
    red: NDArray[np.int16],
    nir: NDArray[np.int16],
    usable: NDArray[np.bool_],
    row0: int,
    least: float,
    choice: NDArray[np.int16],
) -> None:
    """(time, y, x) int16 red and nir -> ``choice``: the date of the highest NDVI above ``least``.

    NDVI is ``(nir - red) / (nir + red)`` within -1 and 1; dates without one of both, or whose sum is
    not above 0, have none and are not chosen.
    """
    dates, rows, width = usable.shape
    best = np.empty(width, np.float64)
    found = np.empty(width, np.int16)
    for y in range(rows):
        best[:] = least
        found[:] = -1
        for t in range(dates):
            for x in range(width):
                r = np.float64(red[t, row0 + y, x])
                n = np.float64(nir[t, row0 + y, x])
                ok = usable[t, y, x] & (r != NODATA) & (n != NODATA) & (n + r > 0)
                ndvi = (n - r) / (n + r if n + r > 0 else 1.0)
                ndvi = np.float64(min(max(ndvi, -1.0), 1.0))
                better = ok & (ndvi > best[x])
                best[x] = ndvi if better else best[x]
                found[x] = t if better else found[x]
        for x in range(width):
            if choice[y, x] < 0:
                choice[y, x] = found[x]


@njit(cache=True, nogil=True)
def least_blue(
    blue: NDArray[np.int16], usable: NDArray[np.bool_], row0: int, choice: NDArray[np.int16]
) -> None:
    """(time, y, x) int16 blue -> ``choice``: the usable date of least blue; without blue the last."""
    dates, rows, width = usable.shape
    best = np.empty(width, np.int32)
    found = np.empty(width, np.int16)
    for y in range(rows):
        best[:] = NO_BLUE + 1
        found[:] = -1
        for t in range(dates):
            for x in range(width):
                dn = np.int32(blue[t, row0 + y, x])
                dn = dn if dn != NODATA else np.int32(NO_BLUE)
                better = usable[t, y, x] & (dn < best[x])
                best[x] = dn if better else best[x]
                found[x] = t if better else found[x]
        for x in range(width):
            if choice[y, x] < 0:
                choice[y, x] = found[x]


@njit(cache=True, nogil=True)
def first_of(
    order: NDArray[np.int64], usable: NDArray[np.bool_], choice: NDArray[np.int16]
) -> None:
    """(time,) dates in order of preference -> ``choice``: the first usable one."""
    _, rows, width = usable.shape
    for y in range(rows):
        for k in range(order.size):
            t = order[k]
            for x in range(width):
                if (choice[y, x] < 0) & usable[t, y, x]:
                    choice[y, x] = t


@njit(cache=True, nogil=True)
def mark_hidden(
    classes: NDArray[np.uint8],
    observed: NDArray[np.bool_],
    row0: int,
    ranked: bool,
    status: NDArray[np.uint8],
    hidden: NDArray[np.bool_],
) -> None:
    """(time, y, x) uint8 classes -> (time, rows, x) bool dates to show where no ground was seen.

    All observed dates; with ``ranked`` those of the least cloudy class alone: thin cloud, else
    shadow, else cloud.
    """
    dates, rows, width = observed.shape
    rank = np.empty(width, np.int32)
    for y in range(rows):
        rank[:] = 3
        for t in range(dates):
            for x in range(width):
                code = classes[t, row0 + y, x]
                own = _cloudiness(code)
                if observed[t, y, x] and status[y, x] == STATUS_CLOUD:
                    rank[x] = min(rank[x], own)
        for t in range(dates):
            for x in range(width):
                own = _cloudiness(classes[t, row0 + y, x])
                ok = observed[t, y, x] & (status[y, x] == STATUS_CLOUD) & (own < 3)
                hidden[t, y, x] = ok & ((own == rank[x]) | (not ranked))


@njit(cache=True, nogil=True)
def _cloudiness(code: int) -> int:
    if code == THIN_CLOUD:
        return 0
    if code == CLOUD_SHADOW:
        return 1
    return 2 if code == CLOUD else 3


@njit(cache=True, nogil=True)
def date_layers(
    classes: NDArray[np.uint8],
    days: NDArray[np.int32],
    row0: int,
    choice: NDArray[np.int16],
    weight: NDArray[np.float32],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
) -> None:
    """(rows, x) date shown -> its day and class in ``date`` and ``status``; without one none.

    ``weight`` is set to 0 where no ground is shown.
    """
    rows, width = choice.shape
    for y in range(rows):
        for x in range(width):
            t = choice[y, x]
            if t < 0:
                date[y, x] = NODATA
                weight[y, x] = 0
                continue
            date[y, x] = days[t]
            code = classes[t, row0 + y, x]
            if code == CLEAR:
                status[y, x] = STATUS_LAND
            elif code == WATER:
                status[y, x] = STATUS_WATER
            elif code == SNOW:
                status[y, x] = STATUS_SNOW
            else:
                weight[y, x] = 0
