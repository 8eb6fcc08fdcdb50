"""Kernels of the method ``combined``: clear references along time, decisions over windows in space.

Arrays are ``(time, y, x)`` and C-ordered. All that is compared is a sum of integers, or a product
of two of them in float64, so that no result depends on how a block is cut or summed. The haze
index is counted twice over, 2 x blue - red, to stay whole.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, THIN_CLOUD, WATER
from cube.kernels.ranking import order

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int16]

SIDE = 4
"""Clear observations of a pixel that are its reference on each side of a date."""

RANK = 0.3
"""Share of the reference's haze indices that lie below the one taken: the third of eight."""

_LEAST, _MOST = -32768, 32767

_GLARE = 4

_SEED, _WEAK, _CLOUD, _THICK, _SNOW = 1, 2, 4, 8, 16


class Limits(NamedTuple):
    """Thresholds of a decision: haze in dn of the doubled index, the rest as ratios or dn."""

    haze: int
    haze_said: int
    haze_one: int
    thick: int
    dark_seed: float
    """Square of the mean of NIR and SWIR against their reference."""
    band_seed: float
    dark_grow: float
    band_grow: float
    drop: int
    share: float
    radius: int


class Seen(NamedTuple):
    """What was observed, (time, y, x)."""

    nir: Numbers
    swir: Numbers
    observed: Flags
    said: Flags
    """Whether the single-date mask calls most of the window cloud."""
    snowy: Flags
    """Whether the spectrum is that of snow."""


class Told(NamedTuple):
    """How each observation stands to its clear neighbours in time (`refer`), (time, y, x)."""

    excess: Numbers
    usual: Numbers
    """(2, time, y, x), NIR and SWIR, as is the next."""
    least: Numbers
    known: Flags


@njit(cache=True, nogil=True)
def start(
    blue: Numbers,
    red: Numbers,
    observed: Flags,
    quantile: float,
    slack: int,
    base: NDArray[np.int32],
    clear: Flags,
) -> None:
    """(time, y, x) dn -> (y, x) int32 low quantile of each pixel's haze index, and what is near it.

    ``clear`` is set where a pixel was observed with an index less than ``slack`` above ``base``:
    a first guess of its clear dates, whatever ground it shows.
    """
    dates, rows, width = blue.shape
    values = np.empty(dates, np.int32)
    for y in range(rows):
        for x in range(width):
            count = 0
            for t in range(dates):
                if observed[t, y, x]:
                    values[count] = 2 * np.int32(blue[t, y, x]) - np.int32(red[t, y, x])
                    count += 1
            base[y, x] = 0
            if count:
                values[:count].sort()
                base[y, x] = values[int(quantile * (count - 1))]
            for t in range(dates):
                index = 2 * np.int32(blue[t, y, x]) - np.int32(red[t, y, x])
                clear[t, y, x] = observed[t, y, x] and index < base[y, x] + slack


@njit(cache=True, nogil=True)
def refer(
    blue: Numbers,
    red: Numbers,
    nir: Numbers,
    swir: Numbers,
    days: NDArray[np.int32],
    observed: Flags,
    clear: Flags,
    base: NDArray[np.int32],
    reach: int,
    glare: int,
    out: Told,
) -> None:
    """(time, y, x) dn and clear dates -> how each observation stands to its clear neighbours in time.

    The reference of an observation is up to ``SIDE`` clear observations of the same pixel before
    it and as many after it, none farther than ``reach`` days; ``known`` where there is any.
    ``excess`` is the doubled haze index above that of rank ``RANK`` among them (above ``base``
    where there is none; within int16, 0 where nothing was observed), raised by a quarter of what it
    has above ``glare``, as light and view change bright ground. ``usual`` and ``least`` are
    ``(2, time, y, x)`` for NIR and SWIR: the median of the reference, and the lower of the medians
    of its two sides. Medians of an even number are the mean of the two, rounded down.
    """
    dates, rows, width = blue.shape
    good = np.empty(dates, np.int64)
    values = np.empty((3, dates), np.int32)
    # A row of all dates, dates side by side: reading along time in the cube misses the caches.
    index = np.empty((width, dates), np.int32)
    dim = np.empty((2, width, dates), np.int16)
    is_clear = np.empty((width, dates), np.bool_)
    told = np.empty((4, width, dates), np.int16)
    above = np.empty((width, dates), np.int16)
    knows = np.empty((width, dates), np.bool_)
    found = np.empty(5, np.int32)
    group = np.empty(2 * SIDE, np.int32)
    for y in range(rows):
        for t in range(dates):
            for x in range(width):
                index[x, t] = 2 * np.int32(blue[t, y, x]) - np.int32(red[t, y, x])
                dim[0, x, t] = nir[t, y, x]
                dim[1, x, t] = swir[t, y, x]
                is_clear[x, t] = clear[t, y, x]
        for x in range(width):
            count = 0
            for t in range(dates):
                if is_clear[x, t]:
                    good[count] = t
                    values[0, count] = index[x, t]
                    values[1, count] = dim[0, x, t]
                    values[2, count] = dim[1, x, t]
                    count += 1
            passed = first = last = 0
            former = (-1, -1, -1, -1)
            for t in range(dates):
                after = passed + (passed < count and good[passed] == t)
                first = max(first, passed - SIDE)
                while first < passed and days[t] - days[good[first]] > reach:
                    first += 1
                last = max(last, after)
                while last < min(count, after + SIDE) and days[good[last]] - days[t] <= reach:
                    last += 1
                both = passed - first + last - after
                knows[x, t] = both > 0
                reference = base[y, x]
                if both > 0:
                    span = (first, passed, after, last)
                    # Dates without a clear one between them have the same reference.
                    if span != former:
                        _consult(values, span, group, found)
                        former = span
                    reference = found[0]
                    for kind in range(4):
                        told[kind, x, t] = found[1 + kind]
                reference += max(reference - glare, 0) // _GLARE
                above[x, t] = min(max(index[x, t] - reference, _LEAST), _MOST)
                passed = after
        for t in range(dates):
            for x in range(width):
                out.known[t, y, x] = observed[t, y, x] and knows[x, t]
                out.excess[t, y, x] = above[x, t] if observed[t, y, x] else 0
                for band in range(2):
                    out.usual[band, t, y, x] = told[band, x, t]
                    out.least[band, t, y, x] = told[2 + band, x, t]


@njit(cache=True, nogil=True)
def _consult(
    values: NDArray[np.int32],
    span: tuple[int, int, int, int],
    group: NDArray[np.int32],
    found: NDArray[np.int32],
) -> None:
    """(3, clear date) haze index, NIR, SWIR; clear dates before and after -> what they say.

    ``group`` is working space; ``found`` is the haze index of rank ``RANK``, the medians of NIR and SWIR, and of each the lower
    of the medians of the two sides.
    """
    first, passed, after, last = span
    left, both = passed - first, passed - first + last - after
    if left == SIDE and both == 2 * SIDE:
        for kind in range(3):
            _consult_eight(values[kind], first, after, kind, found)
        return
    for kind in range(3):
        for i in range(left):
            group[i] = values[kind, first + i]
        for i in range(left, both):
            group[i] = values[kind, after + i - left]
        if kind > 0:
            order(group, 0, left)
            order(group, left, both)
            lower = _median(group, left, both) if both > left else np.int32(_MOST)
            found[2 + kind] = min(lower, _median(group, 0, left)) if left else lower
        order(group, 0, both)
        found[kind] = _median(group, 0, both) if kind > 0 else group[int(RANK * (both - 1))]


@njit(cache=True, nogil=True)
def _consult_eight(
    values: NDArray[np.int32], first: int, after: int, kind: int, found: NDArray[np.int32]
) -> None:
    """What four clear dates before and four after say: the common case at ``SIDE`` 4.

    Of two ordered fours, the lesser of each and its opposite (bitonic merge, Batcher 1968) are the
    lower half of the eight.
    """
    a, b, c, d = _four(values[first], values[first + 1], values[first + 2], values[first + 3])
    e, f, g, h = _four(values[after], values[after + 1], values[after + 2], values[after + 3])
    _, _, third, fourth = _four(min(a, h), min(b, g), min(c, f), min(d, e))
    if kind == 0:
        found[0] = third
        return
    fifth = min(min(max(a, h), max(b, g)), min(max(c, f), max(d, e)))
    found[kind] = (fourth + fifth) >> 1
    found[2 + kind] = min((b + c) >> 1, (f + g) >> 1)


@njit(cache=True, nogil=True)
def _four(
    a: np.int32, b: np.int32, c: np.int32, d: np.int32
) -> tuple[np.int32, np.int32, np.int32, np.int32]:
    """Four numbers in ascending order."""
    low, high = min(a, b), max(a, b)
    less, more = min(c, d), max(c, d)
    least, most = min(low, less), max(high, more)
    one, other = max(low, less), min(high, more)
    return least, min(one, other), max(one, other), most


@njit(cache=True, nogil=True)
def _median(values: NDArray[np.int32], first: int, last: int) -> np.int32:
    """Median of an ordered part; of an even number the mean of the two, rounded down."""
    below = values[first + (last - first - 1) // 2]
    above = values[first + (last - first) // 2]
    return np.int32((below + above) >> 1)


@njit(cache=True, nogil=True)
def most_say(said: Flags, observed: Flags, radius: int, out: Flags) -> None:
    """(time, y, x) bool -> True where it holds for more than half of a window's observed pixels."""
    dates, rows, width = said.shape
    columns = np.empty((2, width), np.int32)
    for t in range(dates):
        for y in range(rows):
            columns[:] = 0
            for near in range(max(0, y - radius), min(rows, y + radius + 1)):
                for x in range(width):
                    columns[0, x] += observed[t, near, x]
                    columns[1, x] += observed[t, near, x] and said[t, near, x]
            for x in range(width):
                seen = says = 0
                for near in range(max(0, x - radius), min(width, x + radius + 1)):
                    seen += columns[0, near]
                    says += columns[1, near]
                out[t, y, x] = 2 * says > seen


@njit(cache=True, nogil=True)
def decide(seen: Seen, told: Told, limits: Limits, out: Bytes) -> None:
    """(time, y, x) observations and their references -> uint8 classes of ``cube.classes``.

    Cloud where the haze index of a window stands above its reference by ``haze`` on the mean
    (``haze_said`` where ``said``), or that of the pixel by ``haze_one``. Snow where ``snowy`` and
    no haze, or, unless ``said``, no brighter in SWIR than usual. Shadow where a window is dark in
    NIR and SWIR against the dates before and those after it (seed), or beside enough seeds and
    somewhat darker than usual.
    """
    dates, rows, width = seen.nir.shape
    marks = np.empty((rows, width), np.uint8)
    for t in range(dates):
        _mark(t, seen, told, limits, marks)
        _settle(marks, seen.observed[t], limits.share, limits.radius, out[t])


@njit(cache=True, nogil=True)
def _mark(t: int, seen: Seen, told: Told, limits: Limits, marks: Bytes) -> None:
    """One date -> what speaks for cloud, snow and shadow in each pixel, as bits."""
    nir, swir, observed = seen.nir[t], seen.swir[t], seen.observed[t]
    said, snowy = seen.said[t], seen.snowy[t]
    excess, known = told.excess[t], told.known[t]
    usual, least = told.usual[:, t], told.least[:, t]
    rows, width = nir.shape
    radius = limits.radius
    columns = np.empty((width, 9), np.int32)
    window = np.empty(9, np.int32)
    for y in range(rows):
        columns[:] = 0
        for near in range(max(0, y - radius), min(rows, y + radius + 1)):
            for x in range(width):
                columns[x, 0] += observed[near, x]
                columns[x, 1] += excess[near, x]
                if known[near, x]:
                    columns[x, 2] += 1
                    columns[x, 3] += nir[near, x]
                    columns[x, 4] += swir[near, x]
                    columns[x, 5] += least[0, near, x]
                    columns[x, 6] += least[1, near, x]
                    columns[x, 7] += usual[0, near, x]
                    columns[x, 8] += usual[1, near, x]
        window[:] = 0
        for x in range(min(radius, width)):
            window += columns[x]
        for x in range(width):
            if x + radius < width:
                window += columns[x + radius]
            if x - radius > 0:
                window -= columns[x - radius - 1]
            mark = 0
            if observed[y, x]:
                above, alone = window[1], excess[y, x]
                haze = limits.haze_said if said[y, x] else limits.haze
                if (above > haze * window[0] and 3 * alone > haze) or alone > limits.haze_one:
                    mark |= _CLOUD
                if above > limits.thick * window[0] or alone > 2 * limits.thick:
                    mark |= _THICK
                dim = known[y, x] and not said[y, x] and swir[y, x] <= usual[1, y, x]
                if snowy[y, x] and (not mark & _CLOUD or dim):
                    mark = _SNOW
                if known[y, x]:
                    mark |= _darkness(window, limits)
            marks[y, x] = mark


@njit(cache=True, nogil=True)
def _darkness(window: NDArray[np.int32], limits: Limits) -> int:
    """Sums over a window -> whether it is a seed of shadow, and whether it may be one's rim."""
    nir, swir = np.float64(window[3]), np.float64(window[4])
    product = nir * swir
    mark = 0
    if (
        product < limits.dark_seed * (np.float64(window[5]) * np.float64(window[6]))
        and nir < limits.band_seed * window[5]
        and swir < limits.band_seed * window[6]
        and window[5] - window[3] > limits.drop * window[2]
    ):
        mark |= _SEED
    if (
        product < limits.dark_grow * (np.float64(window[7]) * np.float64(window[8]))
        and nir < limits.band_grow * window[7]
        and swir < limits.band_grow * window[8]
    ):
        mark |= _WEAK
    return mark


@njit(cache=True, nogil=True)
def _settle(marks: Bytes, observed: Flags, share: float, radius: int, out: Bytes) -> None:
    """Bits of one date -> its classes; the rim of a shadow needs seeds in its window."""
    rows, width = marks.shape
    columns = np.empty((2, width), np.int32)
    for y in range(rows):
        columns[:] = 0
        for near in range(max(0, y - radius), min(rows, y + radius + 1)):
            for x in range(width):
                columns[0, x] += observed[near, x]
                columns[1, x] += (marks[near, x] & _SEED) != 0
        for x in range(width):
            mark = marks[y, x]
            if not observed[y, x]:
                out[y, x] = NO_OBSERVATION
            elif mark & _SNOW:
                out[y, x] = SNOW
            elif mark & _CLOUD:
                out[y, x] = CLOUD if mark & _THICK else THIN_CLOUD
            elif mark & _SEED:
                out[y, x] = CLOUD_SHADOW
            else:
                out[y, x] = CLEAR
                if mark & _WEAK:
                    seen = seeds = 0
                    for near in range(max(0, x - radius), min(width, x + radius + 1)):
                        seen += columns[0, near]
                        seeds += columns[1, near]
                    if seeds >= share * seen:
                        out[y, x] = CLOUD_SHADOW


@njit(cache=True, nogil=True)
def find_water(red: Numbers, nir: Numbers, ratio: float, dark: int, classes: Bytes) -> None:
    """(time, y, x) dn -> ``classes`` set to water where clear ground is dark in red and NIR."""
    dates, rows, width = classes.shape
    for t in range(dates):
        for y in range(rows):
            for x in range(width):
                is_water = (
                    classes[t, y, x] == CLEAR
                    and red[t, y, x] < dark
                    and nir[t, y, x] < ratio * red[t, y, x]
                )
                if is_water:
                    classes[t, y, x] = WATER
