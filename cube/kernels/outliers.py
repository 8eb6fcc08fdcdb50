"""Kernel of the outlier defence: what a mask missed weighs less, pixel by pixel.

As in ``cube.kernels.composite``: ``weights`` holds rows ``row0 ...`` of the ``(time, y, x)`` arrays,
and a pixel's arithmetic depends on nothing but its own dates. The rule is that of ``cube.outliers``.
``LANES`` pixels are ordered side by side, those of one row; where none of them has a date that could
stand out they are not ordered at all.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR
from cube.kernels.composite import NODATA
from cube.kernels.ranking import LANES, sort_columns

BRIGHT_FROM = 500
"""dn of blue from which ground is bright: there light and view move haze by more than the floor."""

SHADOW_DATES = 3
"""Least number of clear dates among which a shadow is looked for."""

_PAD = np.int32(1 << 20)
"""Above any dn and any haze: sorts behind every value."""


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
    blues = np.empty((dates, LANES), np.int32)
    hazes = np.empty((dates, LANES), np.int32)
    nirs = np.empty((dates, LANES), np.int32)
    ranked = np.empty((2, dates, LANES), np.int32)
    parts = np.empty((dates, LANES), np.float32)
    has_nir = nir.shape[0] == dates
    for y in range(rows):
        for x0 in range(0, width, LANES):
            lanes = min(LANES, width - x0)
            parts[:] = 1
            nirs[:] = _PAD
            _gather(classes, blue, red, weights, row0, y, x0, lanes, blues, hazes)
            if has_nir:
                _gather_nir(nir, row0 + y, x0, lanes, blues, nirs)
            _haze(blues, hazes, lanes, haze_floor, haze_spread, haze_bright, ranked, parts)
            if has_nir:
                _shadow(blues, nirs, lanes, shadow_full, shadow_none, ranked, parts)
            for t in range(dates):
                for x in range(lanes):
                    weights[t, y, x0 + x] *= parts[t, x]


@njit(cache=True, nogil=True)
def _gather(
    classes: NDArray[np.uint8],
    blue: NDArray[np.int16],
    red: NDArray[np.int16],
    weights: NDArray[np.float32],
    row0: int,
    y: int,
    x0: int,
    lanes: int,
    blues: NDArray[np.int32],
    hazes: NDArray[np.int32],
) -> None:
    """Lanes of a row -> blue, and 2 x blue - red, so that it is whole; ``_PAD`` where not clear."""
    for t in range(len(blues)):
        for x in range(lanes):
            b = np.int32(blue[t, row0 + y, x0 + x])
            r = np.int32(red[t, row0 + y, x0 + x])
            ok = (classes[t, row0 + y, x0 + x] == CLEAR) & (b != NODATA) & (r != NODATA)
            ok &= weights[t, y, x0 + x] > 0
            blues[t, x] = b if ok else _PAD
            hazes[t, x] = 2 * b - r if ok else _PAD


@njit(cache=True, nogil=True)
def _gather_nir(
    nir: NDArray[np.int16],
    row: int,
    x0: int,
    lanes: int,
    blues: NDArray[np.int32],
    nirs: NDArray[np.int32],
) -> None:
    """Lanes of a row -> near infrared; ``_PAD`` where it or the blue is unknown."""
    for t in range(len(blues)):
        for x in range(lanes):
            n = np.int32(nir[t, row, x0 + x])
            nirs[t, x] = n if (n != NODATA) & (blues[t, x] != _PAD) else _PAD


@njit(cache=True, nogil=True)
def _haze(
    blues: NDArray[np.int32],
    hazes: NDArray[np.int32],
    lanes: int,
    floor: float,
    spread: float,
    bright: float,
    ranked: NDArray[np.int32],
    parts: NDArray[np.float32],
) -> None:
    """(time, LANES) -> lower ``parts`` of dates with much more haze and blue than the least hazy third."""
    dates = len(blues)
    if not _differ(hazes, lanes, 2 * floor):
        return
    by_haze, by_blue = ranked[0], ranked[1]
    by_haze[:] = hazes
    by_blue[:] = blues
    sort_columns(by_haze)
    sort_columns(by_blue)
    middle = np.zeros(LANES, np.int32)
    usual = np.zeros(LANES, np.int32)
    limit = np.ones(LANES, np.float32)
    counts = _count(blues)
    for x in range(lanes):
        third = max(counts[x] - 1, 0) // 3  # clouds only add
        middle[x] = by_haze[third, x]
        usual[x] = by_blue[third, x]
        limit[x] = max(floor, spread * 0.5 * (middle[x] - by_haze[0, x]))
        limit[x] += bright * max(usual[x] - BRIGHT_FROM, 0)
    for t in range(dates):
        for x in range(LANES):
            more_haze = np.float32(0.5) * np.float32(hazes[t, x] - middle[x])
            excess = min(more_haze, np.float32(blues[t, x] - usual[x]))
            part = min(np.float32(1), max(np.float32(0), np.float32(2) - excess / limit[x]))
            parts[t, x] = part if blues[t, x] != _PAD else np.float32(1)


@njit(cache=True, nogil=True)
def _shadow(
    blues: NDArray[np.int32],
    nirs: NDArray[np.int32],
    lanes: int,
    full: float,
    none: float,
    ranked: NDArray[np.int32],
    parts: NDArray[np.float32],
) -> None:
    """(time, LANES) -> lower ``parts`` of dark dates between lit ones."""
    dates = len(blues)
    by_nir, by_blue = ranked[0], ranked[1]
    for t in range(dates):
        for x in range(LANES):
            ok = (nirs[t, x] != _PAD) & (parts[t, x] > 0)
            by_nir[t, x] = nirs[t, x] if ok else _PAD
            by_blue[t, x] = blues[t, x] if ok else _PAD
    counts = _count(by_nir)
    sort_columns(by_nir)
    is_any = False
    for x in range(lanes):
        middle = by_nir[counts[x] // 2, x]
        is_any |= (counts[x] >= SHADOW_DATES) & (by_nir[0, x] < none * middle)
    if not is_any:
        return
    sort_columns(by_blue)
    for x in range(lanes):
        lit = by_nir[counts[x] // 2, x] if counts[x] >= SHADOW_DATES else 0
        if lit <= 0 or by_nir[0, x] >= none * lit:
            continue
        usual = by_blue[counts[x] // 2, x]
        before, after = dates, -1
        for t in range(dates):
            if nirs[t, x] != _PAD and parts[t, x] > 0 and nirs[t, x] >= none * lit:
                before = min(before, t)
                after = t
        for t in range(before + 1, after):
            if nirs[t, x] != _PAD and blues[t, x] < usual:
                part = (nirs[t, x] / lit - full) / (none - full)
                parts[t, x] *= np.float32(min(1.0, max(0.0, part)))


@njit(cache=True, nogil=True)
def _differ(values: NDArray[np.int32], lanes: int, limit: float) -> bool:
    """(time, LANES) -> whether some pixel's dates differ by more; else none can be an outlier."""
    least = np.full(LANES, _PAD)
    most = np.full(LANES, -_PAD)
    for t in range(len(values)):
        for x in range(LANES):
            value = values[t, x]
            least[x] = min(least[x], value)
            most[x] = max(most[x], value if value != _PAD else -_PAD)
    found = False
    for x in range(lanes):
        found |= most[x] - least[x] > limit
    return found


@njit(cache=True, nogil=True)
def _count(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """(time, LANES) -> (LANES,) number of known dates."""
    counts = np.zeros(LANES, np.int32)
    for t in range(len(values)):
        for x in range(LANES):
            counts[x] += values[t, x] != _PAD
    return counts
