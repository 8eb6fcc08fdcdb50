"""Kernel of the outlier defence: what a mask missed weighs less, pixel by pixel.

As in ``cube.kernels.composite``: ``weights`` holds rows ``row0 ...`` of the ``(time, y, x)`` arrays,
and a pixel's arithmetic depends on nothing but its own dates. The rule is that of ``cube.outliers``.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR
from cube.kernels.composite import NODATA
from cube.kernels.ranking import order

BRIGHT_FROM = 500
"""dn of blue from which ground is bright: there light and view move haze by more than the floor."""

SHADOW_DATES = 3
"""Least number of clear dates among which a shadow is looked for."""


@njit(cache=True, nogil=True)
def down_weight(
    classes: NDArray[np.uint8],
    blue: NDArray[np.int16],
    red: NDArray[np.int16],
    nir: NDArray[np.int16],
    row0: int,
    haze_floor: float,
    haze_spread: float,
    haze_bright: float,
    shadow_full: float,
    shadow_none: float,
    weights: NDArray[np.float32],
) -> None:
    """(time, y, x) uint8 classes and int16 dn -> (time, rows, x) float32 ``weights``, lowered in place.

    A date of weight 0 at the start is no reference.

    Parameters
    ----------
    red
        dn of red, or of the first red edge.
    nir
        dn of a near infrared; an array without dates where there is none, then no shadow is found.
    haze_floor, haze_spread, haze_bright
        Excess of haze, in dn, from which a date weighs less: the floor, or so many times the spread
        below the reference, and a share of what the blue has above ``BRIGHT_FROM``.
    shadow_full, shadow_none
        Near infrared over that of the middle date below which a date counts nothing, and from which
        it counts in full.
    """
    dates, rows, width = weights.shape
    has_nir = nir.shape[0] == dates
    least = np.empty(width, np.int32)
    most = np.empty(width, np.int32)
    darkest = np.empty(width, np.int32)
    brightest = np.empty(width, np.int32)
    at = np.empty(dates, np.int64)
    haze = np.empty(dates, np.int32)
    ranked = np.empty(dates, np.int32)
    for y in range(rows):
        least[:] = 1 << 20
        most[:] = -(1 << 20)
        darkest[:] = 1 << 20
        brightest[:] = -(1 << 20)
        for t in range(dates):
            for x in range(width):
                b = np.int32(blue[t, row0 + y, x])
                r = np.int32(red[t, row0 + y, x])
                ok = (classes[t, row0 + y, x] == CLEAR) & (b != NODATA) & (r != NODATA)
                ok &= weights[t, y, x] > 0
                h = 2 * b - r
                least[x] = min(least[x], h) if ok else least[x]
                most[x] = max(most[x], h) if ok else most[x]
                if has_nir:
                    n = np.int32(nir[t, row0 + y, x])
                    ok &= n != NODATA
                    darkest[x] = min(darkest[x], n) if ok else darkest[x]
                    brightest[x] = max(brightest[x], n) if ok else brightest[x]
        for x in range(width):
            # Where all dates are alike none can be an outlier: most pixels end here.
            is_hazy = most[x] - least[x] > 2 * haze_floor
            is_dark = darkest[x] < shadow_none * brightest[x]
            if not (is_hazy or is_dark):
                continue
            count = 0
            for t in range(dates):
                b = np.int32(blue[t, row0 + y, x])
                r = np.int32(red[t, row0 + y, x])
                ok = classes[t, row0 + y, x] == CLEAR and b != NODATA and r != NODATA
                if ok and weights[t, y, x] > 0:
                    at[count] = t
                    haze[count] = 2 * b - r
                    count += 1
            if is_hazy:
                for i in range(count):
                    ranked[i] = haze[i]
                order(ranked, 0, count)
                middle = ranked[(count - 1) // 3]  # clouds only add
                spread = middle - ranked[0]
                for i in range(count):
                    ranked[i] = blue[at[i], row0 + y, x]
                order(ranked, 0, count)
                usual = ranked[(count - 1) // 3]
                limit = max(haze_floor, haze_spread * 0.5 * spread)
                limit += haze_bright * max(usual - BRIGHT_FROM, 0)
                for i in range(count):
                    t = at[i]
                    excess = min(0.5 * (haze[i] - middle), blue[t, row0 + y, x] - usual)
                    if excess > limit:
                        weights[t, y, x] *= np.float32(max(0.0, 2 - excess / limit))
            if is_dark:
                kept = 0
                for i in range(count):
                    t = at[i]
                    if weights[t, y, x] > 0 and nir[t, row0 + y, x] != NODATA:
                        at[kept] = t
                        ranked[kept] = nir[t, row0 + y, x]
                        kept += 1
                if kept < SHADOW_DATES:
                    continue
                order(ranked, 0, kept)
                lit = ranked[kept // 2]
                for i in range(kept):
                    ranked[i] = blue[at[i], row0 + y, x]
                order(ranked, 0, kept)
                usual = ranked[kept // 2]
                before, after = kept, -1
                for i in range(kept):
                    if nir[at[i], row0 + y, x] >= shadow_none * lit:
                        before = min(before, i)
                        after = i
                for i in range(before + 1, after):
                    t = at[i]
                    share = nir[t, row0 + y, x] / lit if lit > 0 else 1.0
                    if share < shadow_none and blue[t, row0 + y, x] < usual:
                        part = (share - shadow_full) / (shadow_none - shadow_full)
                        weights[t, y, x] *= np.float32(max(0.0, part))
