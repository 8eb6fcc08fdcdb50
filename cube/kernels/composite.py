"""Kernels of syntheses: one row tile of a C-ordered ``(time, y, x)`` cube at a time.

Time is the outer loop and x the inner one, so every read runs along memory, and what one row
needs of all dates stays in cache. ``row0`` is the tile's first row in the cube; arrays called
``(time, rows, x)`` and all ``(rows, x)`` outputs hold the tile only. A pixel's arithmetic never
depends on its neighbours or on the tile: any split of a cube gives the same bits.

Round half to even everywhere. Counts stop at 255.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, SNOW, THIN_CLOUD, WATER
from cube.kernels.ranking import LANES, sort_columns

NODATA = np.int16(-10000)
"""Nodata of reflectances and dates (``cube.bands.REFLECTANCE_NODATA``)."""

# Codes of the status layer (``cube.composite``).
STATUS_CLOUD = 1
STATUS_SNOW = 2
STATUS_WATER = 3
STATUS_LAND = 4

NO_BLUE = 32768
"""Above every int16: a cloudy date without blue is taken only where no other has one."""

_PAD = np.int16(32767)
"""Sorts behind every value, beside the equal ones."""


@njit(cache=True, nogil=True)
def mark_data(band: NDArray[np.int16], row0: int, observed: NDArray[np.bool_]) -> None:
    """(time, y, x) int16 dn -> (time, rows, x) bool ``observed``, set True where it has data."""
    dates, rows, width = observed.shape
    for t in range(dates):
        for y in range(rows):
            for x in range(width):
                observed[t, y, x] |= band[t, row0 + y, x] != NODATA


@njit(cache=True, nogil=True)
def wasp_select(
    classes: NDArray[np.uint8],
    observed: NDArray[np.bool_],
    blue: NDArray[np.int16],
    days: NDArray[np.int32],
    row0: int,
    weights: NDArray[np.float32],
    choice: NDArray[np.int16],
    weight: NDArray[np.float32],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
    clear: NDArray[np.uint8],
    total: NDArray[np.uint8],
) -> None:
    """(time, y, x) uint8 classes and (time, rows, x) float32 weights -> what each pixel shows.

    Parameters
    ----------
    classes, blue
        ``(time, y, x)`` uint8 codes and int16 dn of the cube.
    observed
        ``(time, rows, x)`` bool: some band has data.
    days
        ``(time,)`` int32, ascending.
    weights
        ``(time, rows, x)`` float32, changed in place: kept on clear land, 0 elsewhere; where all
        weights of a pixel's clear land are 0 they become 1 (plain mean). NaN and negative count 0.
    choice
        ``(rows, x)`` int16 out: index of the date to show instead of a mean, -1 for none.
    weight, date, status, clear, total
        ``(rows, x)`` out: float32, int16, uint8, uint8, uint8.
    """
    dates, rows, width = observed.shape
    first = days[0] if dates else 0
    lands = np.empty(width, np.int32)
    seen = np.empty(width, np.int32)
    all_seen = np.empty(width, np.int32)
    ground = np.empty(width, np.int32)
    cloudy = np.empty(width, np.int32)
    least = np.empty(width, np.int32)
    total_weight = np.empty(width, np.float64)
    total_day = np.empty(width, np.float64)
    for y in range(rows):
        lands[:] = 0
        seen[:] = 0
        all_seen[:] = 0
        ground[:] = -1
        cloudy[:] = -1
        least[:] = NO_BLUE + 1
        total_weight[:] = 0
        total_day[:] = 0
        for t in range(dates):
            day = np.float64(days[t] - first)
            for x in range(width):
                code = np.int32(classes[t, row0 + y, x]) if observed[t, y, x] else np.int32(0)
                is_land = code == CLEAR
                is_ground = (code == SNOW) | (code == WATER)
                is_cloudy = (code >= CLOUD) & (code <= THIN_CLOUD)
                w = weights[t, y, x]
                w = w if is_land & (w > 0) else np.float32(0)
                weights[t, y, x] = w
                total_weight[x] += w
                total_day[x] += w * day
                lands[x] += is_land
                seen[x] += is_land | is_ground
                all_seen[x] += is_land | is_ground | is_cloudy
                ground[x] = t if is_ground else ground[x]
                dn = np.int32(blue[t, row0 + y, x])
                dn = dn if dn != NODATA else np.int32(NO_BLUE)
                better = is_cloudy & (dn < least[x])
                least[x] = dn if better else least[x]
                cloudy[x] = t if better else cloudy[x]
        for x in range(width):
            clear[y, x] = min(seen[x], 255)
            total[y, x] = min(all_seen[x], 255)
            weight[y, x] = total_weight[x]
            choice[y, x] = -1
            if lands[x] > 0:
                status[y, x] = STATUS_LAND
                if total_weight[x] > 0:
                    date[y, x] = np.rint(first + total_day[x] / total_weight[x])
                    continue
                day_sum = 0
                for t in range(dates):
                    if observed[t, y, x] and classes[t, row0 + y, x] == CLEAR:
                        weights[t, y, x] = 1
                        day_sum += days[t] - first
                date[y, x] = np.rint(first + day_sum / lands[x])
            elif ground[x] >= 0:
                t = ground[x]
                choice[y, x] = t
                date[y, x] = days[t]
                snow = classes[t, row0 + y, x] == SNOW
                status[y, x] = STATUS_SNOW if snow else STATUS_WATER
            elif cloudy[x] >= 0:
                choice[y, x] = cloudy[x]
                date[y, x] = days[cloudy[x]]
                status[y, x] = STATUS_CLOUD
            else:
                date[y, x] = NODATA
                status[y, x] = 0


@njit(cache=True, nogil=True)
def heaviest_ground(
    classes: NDArray[np.uint8],
    observed: NDArray[np.bool_],
    blue: NDArray[np.int16],
    days: NDArray[np.int32],
    row0: int,
    weights: NDArray[np.float32],
    choice: NDArray[np.int16],
    weight: NDArray[np.float32],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
    clear: NDArray[np.uint8],
    total: NDArray[np.uint8],
) -> None:
    """(time, y, x) uint8 classes and (time, rows, x) float32 weights -> what each pixel shows.

    As ``wasp_select``, but land, water and snow are equals: the one of most weight is averaged. Of
    equal weights land comes before water and water before snow. Where all weights are 0 the number
    of dates decides, and they become 1.
    """
    dates, rows, width = observed.shape
    first = days[0] if dates else 0
    # By kind: land, water, snow; then cloud.
    sums = np.empty(3, np.float64)
    counts = np.empty(4, np.int64)
    for y in range(rows):
        for x in range(width):
            sums[:] = 0
            counts[:] = 0
            cloudy = -1
            least = np.int32(NO_BLUE + 1)
            for t in range(dates):
                kind = _kind(classes[t, row0 + y, x], observed[t, y, x])
                w = weights[t, y, x]
                w = w if (kind >= 0) & (kind < 3) & (w > 0) else np.float32(0)
                weights[t, y, x] = w
                if kind < 0:
                    continue
                counts[kind] += 1
                if kind < 3:
                    sums[kind] += w
                    continue
                dn = np.int32(blue[t, row0 + y, x])
                dn = dn if dn != NODATA else np.int32(NO_BLUE)
                if dn < least:
                    least = dn
                    cloudy = t
            seen = counts[0] + counts[1] + counts[2]
            clear[y, x] = min(seen, 255)
            total[y, x] = min(seen + counts[3], 255)
            choice[y, x] = -1
            weight[y, x] = 0
            if seen == 0:
                choice[y, x] = cloudy
                date[y, x] = days[cloudy] if cloudy >= 0 else NODATA
                status[y, x] = STATUS_CLOUD if cloudy >= 0 else 0
                continue
            plain = sums[0] + sums[1] + sums[2] == 0
            best = 0
            for kind in range(1, 3):
                more = counts[kind] > counts[best] if plain else sums[kind] > sums[best]
                best = kind if more else best
            day_sum = 0.0
            for t in range(dates):
                w = weights[t, y, x]
                if _kind(classes[t, row0 + y, x], observed[t, y, x]) != best:
                    w = np.float32(0)
                elif plain:
                    w = np.float32(1)
                weights[t, y, x] = w
                day_sum += np.float64(w) * (days[t] - first)
            weight[y, x] = sums[best]
            date[y, x] = np.rint(first + day_sum / (counts[best] if plain else sums[best]))
            status[y, x] = STATUS_LAND if best == 0 else STATUS_WATER if best == 1 else STATUS_SNOW


@njit(cache=True, nogil=True)
def _kind(code: int, is_observed: bool) -> int:
    """Class -> 0 land, 1 water, 2 snow, 3 cloud, -1 not observed."""
    if not is_observed:
        return -1
    if code == CLEAR:
        return 0
    if code == WATER:
        return 1
    if code == SNOW:
        return 2
    return 3 if (code >= CLOUD) & (code <= THIN_CLOUD) else -1


@njit(cache=True, nogil=True)
def aot_weight(
    aot: NDArray[np.int16],
    most: float,
    slope: float,
    least: float,
    unknown: float,
    out: NDArray[np.float32],
) -> None:
    """(time, y, x) int16 aerosol -> float32 ``most - slope x aerosol``, not below ``least``.

    ``slope`` is that of one stored unit; nodata, and whatever is below 0, gets ``unknown``.
    """
    dates, rows, width = aot.shape
    for t in range(dates):
        for y in range(rows):
            for x in range(width):
                dn = aot[t, y, x]
                # Whichever way it slopes, it ends at the least.
                value = most - slope * dn
                value = max(value, least) if slope > 0 else min(value, least)
                out[t, y, x] = value if dn >= 0 else unknown


@njit(cache=True, nogil=True)
def weighted_mean(
    band: NDArray[np.int16], weights: NDArray[np.float32], row0: int, out: NDArray[np.int16]
) -> None:
    """(time, y, x) int16 dn, (time, rows, x) float32 weights >= 0 -> (rows, x) int16 mean.

    Nodata is left out band by band; ``out`` is nodata where the weights that remain sum to 0.
    """
    dates, rows, width = weights.shape
    total = np.empty(width, np.float64)
    total_weight = np.empty(width, np.float64)
    for y in range(rows):
        total[:] = 0
        total_weight[:] = 0
        for t in range(dates):
            for x in range(width):
                dn = band[t, row0 + y, x]
                w = weights[t, y, x] if dn != NODATA else np.float32(0)
                total[x] += np.float64(w) * np.float64(dn)
                total_weight[x] += w
        for x in range(width):
            if total_weight[x] > 0:
                out[y, x] = np.rint(total[x] / total_weight[x])
            else:
                out[y, x] = NODATA


@njit(cache=True, nogil=True)
def take_dates(
    band: NDArray[np.int16], choice: NDArray[np.int16], row0: int, out: NDArray[np.int16]
) -> None:
    """(time, y, x) int16 dn, (rows, x) int16 date index -> (rows, x) dn; kept where it is < 0."""
    rows, width = choice.shape
    for y in range(rows):
        for x in range(width):
            if choice[y, x] >= 0:
                out[y, x] = band[choice[y, x], row0 + y, x]


@njit(cache=True, nogil=True)
def median_select(
    classes: NDArray[np.uint8],
    observed: NDArray[np.bool_],
    days: NDArray[np.int32],
    row0: int,
    usable: NDArray[np.bool_],
    weight: NDArray[np.float32],
    date: NDArray[np.int16],
    status: NDArray[np.uint8],
    clear: NDArray[np.uint8],
    total: NDArray[np.uint8],
) -> None:
    """(time, y, x) uint8 classes -> (time, rows, x) bool usable dates and the layers.

    Usable: clear and water; snow only where there is neither. ``status`` is water where more than
    half of the usable dates are water. ``weight`` is the number of usable dates, ``date`` their
    mean; arrays as in ``wasp_select``, ``usable`` is out.
    """
    dates, rows, width = observed.shape
    first = days[0] if dates else 0
    lands = np.empty(width, np.int32)
    waters = np.empty(width, np.int32)
    snows = np.empty(width, np.int32)
    all_seen = np.empty(width, np.int32)
    day_sum = np.empty(width, np.int32)
    for y in range(rows):
        lands[:] = 0
        waters[:] = 0
        snows[:] = 0
        all_seen[:] = 0
        day_sum[:] = 0
        for t in range(dates):
            day = np.int32(days[t] - first)
            for x in range(width):
                code = np.int32(classes[t, row0 + y, x]) if observed[t, y, x] else np.int32(0)
                is_used = (code == CLEAR) | (code == WATER)
                usable[t, y, x] = is_used
                lands[x] += code == CLEAR
                waters[x] += code == WATER
                snows[x] += code == SNOW
                all_seen[x] += (code >= CLEAR) & (code <= WATER)
                day_sum[x] += day if is_used else np.int32(0)
        for x in range(width):
            used = lands[x] + waters[x]
            clear[y, x] = min(used + snows[x], 255)
            total[y, x] = min(all_seen[x], 255)
            if used > 0:
                status[y, x] = STATUS_WATER if waters[x] > lands[x] else STATUS_LAND
            elif snows[x] > 0:
                status[y, x] = STATUS_SNOW
                used = snows[x]
                for t in range(dates):
                    if observed[t, y, x] and classes[t, row0 + y, x] == SNOW:
                        usable[t, y, x] = True
                        day_sum[x] += days[t] - first
            else:
                status[y, x] = STATUS_CLOUD if all_seen[x] > 0 else 0
            weight[y, x] = used
            date[y, x] = np.rint(first + day_sum[x] / used) if used > 0 else NODATA


@njit(cache=True, nogil=True)
def median(
    band: NDArray[np.int16], usable: NDArray[np.bool_], row0: int, out: NDArray[np.int16]
) -> None:
    """(time, y, x) int16 dn, (time, rows, x) bool usable -> (rows, x) int16 median.

    Nodata is left out band by band; of an even number the mean of the two middle values. Many
    pixels are sorted side by side by one network, which the compiler turns into vector minima and
    maxima: no branch depends on the data.
    """
    dates, rows, width = usable.shape
    columns = np.empty((dates, LANES), np.int16)
    counts = np.empty(LANES, np.int32)
    for y in range(rows):
        for x0 in range(0, width, LANES):
            lanes = min(LANES, width - x0)
            counts[:] = 0
            for t in range(dates):
                for x in range(lanes):
                    dn = band[t, row0 + y, x0 + x]
                    ok = usable[t, y, x0 + x] & (dn != NODATA)
                    columns[t, x] = dn if ok else _PAD
                    counts[x] += ok
            sort_columns(columns)
            for x in range(lanes):
                n = counts[x]
                if n == 0:
                    out[y, x0 + x] = NODATA
                else:
                    low = np.int32(columns[(n - 1) // 2, x])
                    high = np.int32(columns[n // 2, x])
                    out[y, x0 + x] = _half(low + high)


@njit(cache=True, nogil=True)
def _half(total: int) -> int:
    """Sum of two int16 as int32 -> half of it, a half rounded to even."""
    half = total >> 1
    return half + (half & 1) if total & 1 else half
