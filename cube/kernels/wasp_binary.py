"""Kernel of CNES's public WASP program as it runs: one date after the other, cut after each.

For comparison with its results; the intended formulas are in ``cube.kernels.composite``.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, SNOW, THIN_CLOUD, WATER
from cube.kernels.composite import (
    NODATA,
    STATUS_CLOUD,
    STATUS_LAND,
    STATUS_SNOW,
    STATUS_WATER,
)


@njit(cache=True, nogil=True)
def add_date(
    bands: NDArray[np.int16],
    classes: NDArray[np.uint8],
    weights: NDArray[np.float32],
    day: int,
    has_blue: bool,
    values: NDArray[np.int16],
    weight: NDArray[np.int16],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
) -> None:
    """(band, y, x) int16 dn of one date -> into the state of all dates before.

    Parameters
    ----------
    bands
        dn; whatever is below 0 counts as nodata.
    classes, weights
        ``(y, x)``: codes of ``cube.classes`` and total weight of the date.
    day
        Day of the year, 1 January is 0.
    has_blue
        Whether the first band is blue, by which cloudy dates are chosen; without, the first stays.
    values, weight, date, status
        State, changed in place: dn by band, thousandths, day of the year, status; -10000 (status 0)
        where nothing is known. Weight and date are those of the first band.
    """
    count, height, width = bands.shape
    for y in range(height):
        for x in range(width):
            code = classes[y, x]
            before = status[y, x]
            held = max(np.float32(weight[y, x]), np.float32(0)) / np.float32(1000)
            any_data = False
            for b in range(count):
                any_data |= bands[b, y, x] >= 0
            if (code == 0) | (not any_data):
                continue
            is_cloudy = (code >= CLOUD) & (code <= THIN_CLOUD)
            is_ground = (code == SNOW) | (code == WATER)
            if is_cloudy:
                darker = has_blue & (bands[0, y, x] < values[0, y, x])
                takes = (before == 0) | ((before == STATUS_CLOUD) & darker)
                new = STATUS_CLOUD
            elif is_ground:
                takes = weight[y, x] <= 0
                new = STATUS_SNOW if code == SNOW else STATUS_WATER
            elif code == CLEAR:
                _mean(bands[:, y, x], weights[y, x], held, day, values[:, y, x], weight, date, y, x)
                status[y, x] = STATUS_LAND
                continue
            else:
                continue
            if takes & (is_cloudy | (before != STATUS_LAND) | (weight[y, x] <= 0)):
                for b in range(count):
                    values[b, y, x] = bands[b, y, x]
                weight[y, x] = 0
                date[y, x] = day
                status[y, x] = new


@njit(cache=True, nogil=True)
def _mean(
    now: NDArray[np.int16],
    w: float,
    held: float,
    day: int,
    values: NDArray[np.int16],
    weight: NDArray[np.int16],
    date: NDArray[np.int16],
    y: int,
    x: int,
) -> None:
    """Clear land of one date -> running means of a pixel, cut to whole numbers."""
    total = held + w
    for b in range(len(now)):
        known = values[b] >= 0
        if now[b] < 0:
            continue
        if known:
            # Nothing over nothing is 0 there.
            mean = (held * values[b] + w * now[b]) / total if total > 0 else 0.0
            if b == 0:
                mean_day = (held * date[y, x] + w * day) / total if total > 0 else 0.0
                date[y, x] = np.int16(mean_day)
                weight[y, x] = np.int16(np.float32(1000) * total)
            values[b] = np.int16(mean)
        else:
            values[b] = now[b]
            if b == 0:
                date[y, x] = day
                weight[y, x] = np.int16(np.float32(1000) * w)


def fresh(count: int, shape: tuple[int, ...]) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:  # fmt: skip
    """Number of bands and (y, x) -> values, weight and date of a state that knows nothing."""
    return (
        np.full((count, *shape), NODATA, np.int16),
        np.full(shape, NODATA, np.int16),
        np.full(shape, NODATA, np.int16),
    )
