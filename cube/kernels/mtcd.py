"""Kernels of mtcd: down to the coarse grid and back, windowed correlation, projected shadows.

C order, x innermost. Sums of dn are exact integers and weights whole numbers, so results are the
same bits on every machine; correlations are summed in float64 in a fixed order.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

NODATA = np.int16(-10000)
"""Nodata of reflectances (``cube.bands.REFLECTANCE_NODATA``)."""


@njit(cache=True, nogil=True)
def average(dn: NDArray[np.int16], factor: int, out: NDArray[np.float32]) -> None:
    """(y, x) int16 dn -> (coarse y, coarse x) float32 mean dn of what has data, NaN where nothing.

    A coarse cell is ``factor x factor`` pixels from the upper-left corner on; those of the last
    row and column hold what is left.
    """
    height, width = dn.shape
    rows, columns = out.shape
    total = np.empty(columns, np.int64)
    count = np.empty(columns, np.int64)
    for row in range(rows):
        total[:] = 0
        count[:] = 0
        for y in range(row * factor, min((row + 1) * factor, height)):
            for column in range(columns):
                part = np.int32(0)
                seen = np.int32(0)
                for x in range(column * factor, min((column + 1) * factor, width)):
                    value = dn[y, x]
                    there = value != NODATA
                    part += np.int32(value) if there else np.int32(0)
                    seen += np.int32(1) if there else np.int32(0)
                total[column] += part
                count[column] += seen
        for column in range(columns):
            if count[column]:
                out[row, column] = total[column] / count[column]
            else:
                out[row, column] = np.nan


@njit(cache=True, nogil=True)
def mark_missing(dn: NDArray[np.int16], factor: int, missing: NDArray[np.bool_]) -> None:
    """(factor y, factor x) int16 dn -> (y, x) bool, set True where one of the parts is nodata."""
    rows, columns = missing.shape
    for y in range(rows):
        for part in range(factor):
            line = dn[y * factor + part]
            if factor == 1:
                for x in range(columns):
                    missing[y, x] |= line[x] == NODATA
            else:
                for x in range(columns):
                    missing[y, x] |= (line[2 * x] == NODATA) | (line[2 * x + 1] == NODATA)


@njit(cache=True, nogil=True)
def interpolate_bits(coarse: NDArray[np.uint8], factor: int, out: NDArray[np.uint8]) -> None:
    """(coarse y, coarse x) uint8 bits -> (y, x) uint8: each bit 0 or 1 linearly, then above 0.25.

    ``factor`` pixels make a cell, counted from the upper-left corner; beyond the outermost centres
    the edge's value holds. Weights are whole numbers of ``1 / (2 factor)``, so a quarter is met
    exactly. A set of bits within another stays within it.
    """
    rows, columns = coarse.shape
    height, width = out.shape
    full = 2 * factor
    for y in range(height):
        position = 2 * y + 1 - factor
        upper = position // full
        down = position - upper * full
        above = coarse[min(max(upper, 0), rows - 1)]
        below = coarse[min(max(upper + 1, 0), rows - 1)]
        line = out[y]
        for left in range(-1, columns):
            first = max(left * factor + factor // 2, 0)
            after = min((left + 1) * factor + factor // 2, width)
            a, b = above[max(left, 0)], above[min(left + 1, columns - 1)]
            c, d = below[max(left, 0)], below[min(left + 1, columns - 1)]
            if a == b == c == d:
                for x in range(first, after):
                    line[x] = a
                continue
            for x in range(first, after):
                right = 2 * x + 1 - factor - left * full
                found = 0
                for bit in range(8):
                    weight = (full - down) * (
                        (full - right) * (a >> bit & 1) + right * (b >> bit & 1)
                    ) + down * ((full - right) * (c >> bit & 1) + right * (d >> bit & 1))
                    # full * full is 1, so factor * factor is a quarter.
                    if weight > factor * factor:
                        found |= 1 << bit
                line[x] = found


@njit(cache=True, nogil=True)
def correlates(
    now: NDArray[np.float32],
    before: NDArray[np.float32],
    wanted: NDArray[np.bool_],
    radius: int,
    least: int,
    threshold: float,
    out: NDArray[np.bool_],
) -> None:
    """(y, x) and (n, y, x) float32 -> (y, x) bool where one of the n shows the same ground.

    True where Pearson's correlation in the window of ``2 radius + 1`` pixels a side is above the
    threshold with one of ``before``, which are tried in order. Pixels with NaN on either side are
    left out; with fewer than ``least`` pixels, or no variance on one side, there is no correlation.
    Only ``wanted`` pixels are looked at.
    """
    rows, columns = now.shape
    for y in range(rows):
        for x in range(columns):
            out[y, x] = False
            if not wanted[y, x]:
                continue
            for other in range(before.shape[0]):
                if _correlation(now, before[other], y, x, radius, least) > threshold:
                    out[y, x] = True
                    break


@njit(cache=True, nogil=True)
def _correlation(
    now: NDArray[np.float32], before: NDArray[np.float32], y: int, x: int, radius: int, least: int
) -> float:
    rows, columns = now.shape
    top, bottom = max(y - radius, 0), min(y + radius + 1, rows)
    left, right = max(x - radius, 0), min(x + radius + 1, columns)
    count = 0
    sum_a = sum_b = 0.0
    for j in range(top, bottom):
        for i in range(left, right):
            a, b = now[j, i], before[j, i]
            if a == a and b == b:
                count += 1
                sum_a += a
                sum_b += b
    if count < least:
        return 0.0
    mean_a, mean_b = sum_a / count, sum_b / count
    aa = bb = ab = 0.0
    for j in range(top, bottom):
        for i in range(left, right):
            a, b = now[j, i], before[j, i]
            if a == a and b == b:
                from_a, from_b = a - mean_a, b - mean_b
                aa += from_a * from_a
                bb += from_b * from_b
                ab += from_a * from_b
    # A plateau leaves the rounding of its mean, some 1e-17 of its square.
    if aa <= 1e-14 * count * mean_a * mean_a or bb <= 1e-14 * count * mean_b * mean_b:
        return 0.0
    return float(ab / np.sqrt(aa * bb))


@njit(cache=True, nogil=True)
def cast_shadows(
    pixels: NDArray[np.int32],
    starts: NDArray[np.int32],
    altitude: NDArray[np.float32],
    heights: NDArray[np.float64],
    view: NDArray[np.float64],
    sun: NDArray[np.float64],
    darkening: NDArray[np.float32],
    limit: float,
    limit_max: float,
    small: int,
    share_small: float,
    share: float,
    out: NDArray[np.bool_],
) -> None:
    """Clouds and (y, x) float32 darkening -> (y, x) bool, their shadows.

    Parameters
    ----------
    pixels, starts
        Flat indices of cloud pixels, cloud after cloud; cloud ``n`` is
        ``pixels[starts[n]:starts[n + 1]]``.
    altitude
        ``(y, x)`` metres, without NaN.
    heights
        Altitudes at which a cloud may be, metres above the sea.
    view, sun
        (down, right) cells by which one metre of height displaces the nadir point toward the
        sensor, and the shadow toward the sun (it is cast the other way).
    darkening
        Reflectance now / reference; NaN where unknown, water or cloud.
    limit, limit_max
        A shadow is darker than ``limit``; ``limit_max`` bounds what the third pass may choose.
    small, share_small, share
        A cloud of n pixels takes at most ``share`` n pixels of shadow as they are, ``share_small``
        n where n is below ``small``.
    out
        Written: True in shadow.
    """
    clouds = starts.size - 1
    rows, columns = darkening.shape
    stamp = np.full(rows * columns, -1, np.int32)
    zone = np.empty(rows * columns, np.int32)
    first = np.zeros(rows * columns, np.bool_)
    final = out.reshape(-1)
    final[:] = False
    ratio = darkening.reshape(-1)
    rejected = np.zeros(clouds, np.bool_)
    for n in range(clouds):
        cloud = pixels[starts[n] : starts[n + 1]]
        size = _zone(cloud, altitude, heights, view, sun, ratio, n, stamp, zone)
        most = (share_small if cloud.size < small else share) * cloud.size
        if _count_below(ratio, zone[:size], limit, first, False) > most:
            rejected[n] = True
            continue
        for k in zone[:size]:
            final[k] |= ratio[k] < limit
    first[:] = final
    for n in range(clouds):
        if not rejected[n]:
            continue
        cloud = pixels[starts[n] : starts[n + 1]]
        size = _zone(cloud, altitude, heights, view, sun, ratio, clouds + n, stamp, zone)
        candidates = _count_below(ratio, zone[:size], limit, first, True)
        chosen = limit
        if candidates > share * cloud.size:
            ranked = np.sort(ratio[zone[:size]])
            rank = int(share * cloud.size / candidates * (size - 1))
            chosen = min(np.float64(ranked[rank]), limit_max)
        for k in zone[:size]:
            final[k] |= ratio[k] < chosen


@njit(cache=True, nogil=True)
def _count_below(
    ratio: NDArray[np.float32],
    zone: NDArray[np.int32],
    limit: float,
    taken: NDArray[np.bool_],
    without: bool,
) -> int:
    count = 0
    for k in zone:
        count += (ratio[k] < limit) and not (without and taken[k])
    return count


@njit(cache=True, nogil=True)
def _zone(
    cloud: NDArray[np.int32],
    altitude: NDArray[np.float32],
    heights: NDArray[np.float64],
    view: NDArray[np.float64],
    sun: NDArray[np.float64],
    ratio: NDArray[np.float32],
    mark: int,
    stamp: NDArray[np.int32],
    zone: NDArray[np.int32],
) -> int:
    """One cloud -> the pixels on which its shadow may lie, into ``zone``; returns their number.

    The ray from the cloud meets the ground where its height above it is used up: the ground's
    altitude is first taken from below the cloud, then twice from where the ray arrived.
    """
    rows, columns = altitude.shape
    size = 0
    for pixel in cloud:
        y, x = pixel // columns, pixel % columns
        ground = np.float64(altitude[y, x])
        for height in heights:
            above = max(1.0, height - ground)
            nadir_y, nadir_x = y + above * view[0], x + above * view[1]
            fall = above
            row = column = -1
            for _ in range(3):
                row = int(np.floor(nadir_y - fall * sun[0] + 0.5))
                column = int(np.floor(nadir_x - fall * sun[1] + 0.5))
                if not (0 <= row < rows and 0 <= column < columns):
                    break
                fall = max(1.0, ground + above - altitude[row, column])
            if not (0 <= row < rows and 0 <= column < columns):
                continue
            k = row * columns + column
            if stamp[k] != mark:
                stamp[k] = mark
                if ratio[k] == ratio[k]:
                    zone[size] = k
                    size += 1
    return size
