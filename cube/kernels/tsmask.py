"""Cloud and shadow along time, pixel by pixel: the rules of Geoscience Australia's TSmask.

All arithmetic is in whole numbers: brightness is the *sum* of the six bands in dn, and every
quotient of the rules is compared as a product, so nothing is rounded, nothing is divided by zero
and segments of equal brightness are equal. A pixel's answer depends on its own series alone.

Arrays are ``(time, pixel)`` and C-ordered. Bands are read for `_LANES` pixels at a time along
memory; then each pixel runs through its passes in scratch that stays in the first-level cache.

A pass is settled by events instead of by visiting every segment. A segment's verdict can change
only when something near it is labelled, so the passes start from the segments that stand out
while nothing is labelled yet (running sums tell in one sweep), and each label sends only those
neighbours back to be judged whose references it may have taken.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, THIN_CLOUD

SCHEDULE = (1, 1, 1, 2, 2, 3, 1)
"""Length of the segments of each pass (TSmask)."""

UNIT = 10000  # shares, factors and reflectances are whole numbers of this part
BANDS = 6

_LANES = 32
"""Pixels read side by side: their sums of 124 dates fill half of a first-level cache."""

MOST_DATES = 2047
"""Dates whose number fits into a segment's key beside its brightness."""

_KEY = MOST_DATES + 1
"""A segment's key is its brightness times this plus its number: of equals, the later is first."""

_NONE = -(2**31)  # below every key

# What a spectrum says, as bits.
_THIN = 1
_BARE = 2
_WET = 4
_IS_WATER = 8


class Rules(NamedTuple):
    """Thresholds as whole numbers: of reflectance in dn, of a mean as the sum of six bands."""

    lowest: int
    """A band at or below this dn makes no observation."""
    opaque: int
    """Brighter is cloud before any comparison."""
    cloud: int
    """A segment of this brightness or less is no cloud."""
    shadow: int
    """A segment of this brightness or more is no shadow."""
    dark: int
    """Darker ground is no reference, unless it is water."""
    factor: int
    """The brighter of segment and reference is more than this many times the other, x 10000."""
    usual: int
    """Share of a pixel's observations that are darker than its usual ground, x 10000."""
    zero_is_nodata: bool
    """Whether a band of 0 makes no observation."""
    published: bool
    """Whether to judge as the published program does, with what it misses."""


# Rows of a pixel's scratch, int32. Columns of the first group are its clear observations in order
# of time (positions), columns of the second those of them that are references, from 1 (nodes).
_WHEN = 0  # date
_VALUE = 1  # brightness
_WATERY = 2  # whether it looks like water
_SEGMENT = 3  # brightness of the segment that starts here
_PENDING = 4  # key of that segment if it is to be judged, else _NONE
_USABLE = 5  # whether it is a reference
_BEFORE = 6  # number of references before it; one more is its own node
_LABEL = 7  # what this pass calls it, 0 for nothing
_NODE = 8  # brightness
_TOTAL = 9  # sum of all references up to this one
_PREVIOUS = 10  # neighbours among the references that are still clear
_FOLLOWING = 11
_GONE = 12  # whether it has been labelled; its neighbours then lead to clear ones

Work = NDArray[np.int32]


@njit(cache=True, nogil=True)
def detect(
    blue: NDArray[np.int16],
    green: NDArray[np.int16],
    red: NDArray[np.int16],
    nir08: NDArray[np.int16],
    swir16: NDArray[np.int16],
    swir22: NDArray[np.int16],
    rules: Rules,
    out: NDArray[np.uint8],
) -> None:
    """Six bands (time, pixel) int16 dn -> (time, pixel) uint8 classes; `MOST_DATES` at most.

    No observation is final: where one band has none, the class is 0 and stays so.
    """
    dates, pixels = blue.shape
    work = np.empty((_GONE + 1, dates + 2), np.int32)
    sums = np.empty((dates, _LANES), np.int32)
    traits = np.empty((dates, _LANES), np.uint8)
    label = np.empty((dates, _LANES), np.uint8)
    for first in range(0, pixels, _LANES):
        after = min(first + _LANES, pixels)
        sums[:] = 0
        label[:] = CLEAR
        for band in (blue, green, red, nir08, swir16, swir22):
            _read(band, first, after, rules.lowest, rules.zero_is_nodata, sums, label)
        _look(blue, green, red, nir08, swir16, first, after, rules.published, sums, traits)
        if rules.published:
            _drop_undefined(green, red, nir08, swir16, first, after, label)
        for lane in range(after - first):
            _pixel(sums, traits, label, lane, rules, work)
        _conclude(label, traits, first, after, CLOUD if rules.published else THIN_CLOUD, out)


@njit(cache=True, nogil=True)
def _read(
    band: NDArray[np.int16],
    first: int,
    after: int,
    lowest: int,
    zero_is_nodata: bool,
    sums: NDArray[np.int32],
    label: NDArray[np.uint8],
) -> None:
    """Add a band to the sums, and take away the observations it does not have."""
    limit = np.int16(lowest)
    for t in range(band.shape[0]):
        row, total, start = band[t, first:after], sums[t], label[t]
        for x in range(row.size):
            total[x] += np.int32(row[x])
        # The codes are 0 and 1 so far: no observation, clear.
        for x in range(row.size):
            start[x] &= np.uint8(row[x] > limit)
        if zero_is_nodata:
            for x in range(row.size):
                start[x] &= np.uint8(row[x] != 0)


@njit(cache=True, nogil=True)
def _look(
    blue: NDArray[np.int16],
    green: NDArray[np.int16],
    red: NDArray[np.int16],
    nir08: NDArray[np.int16],
    swir16: NDArray[np.int16],
    first: int,
    after: int,
    published: bool,
    sums: NDArray[np.int32],
    traits: NDArray[np.uint8],
) -> None:
    """Bands and their sums -> what each spectrum says (TSmask's final rules).

    MNDWI = (green - swir16) / (green + swir16) above w is green (1 - w) > swir16 (1 + w), also
    where a negative sum makes the index meaningless. MSAVI below v is 2 nir (1 - v) - 2 red <
    v (1 - v): the smaller root of V² - (2 nir + 1) V + 2 (nir - red), without taking it.
    """
    for t in range(blue.shape[0]):
        row_b, row_g, row_r = blue[t, first:after], green[t, first:after], red[t, first:after]
        row_n, row_s = nir08[t, first:after], swir16[t, first:after]
        total, out = sums[t], traits[t]
        for x in range(row_b.size):
            b, g, r = np.int32(row_b[x]), np.int32(row_g[x]), np.int32(row_r[x])
            n, s = np.int32(row_n[x]), np.int32(row_s[x])
            # A quotient with a negative denominator turns its comparison round.
            w = np.int32(-1) if published & (g + s < 0) else np.int32(1)
            d = np.int32(-1) if published & (b < 0) else np.int32(1)
            water_005 = w * np.int32(21 * g - 19 * s) > 0  # MNDWI > -0.05
            water_020 = w * np.int32(12 * g - 8 * s) > 0  # MNDWI > -0.2
            wet = (water_005 & (total[x] < 3000)) | (water_020 & (47 * n - 50 * r < 14100))
            bare = w * np.int32(138 * g - 62 * s) < 0  # MNDWI < -0.38
            haze = d * np.int32(50 * r - 49 * b) < 0  # (red - blue) / blue < -0.02
            grey = (r + b > 600) & (r + b < 2900) & (5 * g < 3 * (r + b))
            thin = haze & grey & (w * np.int32(11 * g - 9 * s) < 0)  # MNDWI < -0.1
            watery = w * np.int32(g - s) > 0
            out[x] = np.uint8(thin * _THIN | bare * _BARE | wet * _WET | watery * _IS_WATER)


@njit(cache=True, nogil=True)
def _drop_undefined(
    green: NDArray[np.int16],
    red: NDArray[np.int16],
    nir08: NDArray[np.int16],
    swir16: NDArray[np.int16],
    first: int,
    after: int,
    label: NDArray[np.uint8],
) -> None:
    """As published: no observation where MNDWI or MSAVI is undefined."""
    for t in range(green.shape[0]):
        for x in range(first, after):
            n, r = np.int64(nir08[t, x]), np.int64(red[t, x])
            radicand = (2 * n + UNIT) ** 2 - 8 * UNIT * (n - r)
            if np.int32(green[t, x]) + np.int32(swir16[t, x]) == 0 or radicand <= 0:
                label[t, x - first] = NO_OBSERVATION


@njit(cache=True, nogil=True)
def _conclude(
    label: NDArray[np.uint8],
    traits: NDArray[np.uint8],
    first: int,
    after: int,
    thin: int,
    out: NDArray[np.uint8],
) -> None:
    """Labels after all passes, and traits -> classes."""
    for t in range(out.shape[0]):
        last, trait, row = label[t], traits[t], out[t, first:after]
        for x in range(row.size):
            here = last[x]
            bare = (here == CLOUD) & (trait[x] & _BARE != 0)
            wet = (here == CLOUD_SHADOW) & (trait[x] & _WET != 0)
            veiled = (here == CLEAR) & (trait[x] & _THIN != 0)
            final = np.uint8(CLEAR) if bare | wet else here
            row[x] = np.uint8(thin) if veiled else final


@njit(cache=True, nogil=True)
def _pixel(
    sums: NDArray[np.int32],
    traits: NDArray[np.uint8],
    label: NDArray[np.uint8],
    lane: int,
    rules: Rules,
    work: Work,
) -> None:
    """All passes over the series of one lane; its labels are changed in place."""
    count = 0
    for t in range(sums.shape[0]):
        work[_WHEN, count] = t
        work[_VALUE, count] = sums[t, lane]
        work[_WATERY, count] = traits[t, lane] & _IS_WATER
        count += label[t, lane] != NO_OBSERVATION
    dark, opaque = _limits(work, count, rules)
    for i in range(count):
        work[_LABEL, i] = CLOUD if work[_VALUE, i] > opaque else 0
    count = _close_ranks(work, count, label, lane)
    # A pass that finds nothing will find nothing again until another pass has.
    quiet = 0
    for length in SCHEDULE:
        if count < 3 * length or (quiet >> length) & 1:
            continue
        if _run_pass(work, count, length, dark, rules):
            quiet = 0
            count = _close_ranks(work, count, label, lane)
        else:
            quiet |= 1 << length


@njit(cache=True, nogil=True)
def _limits(work: Work, count: int, rules: Rules) -> tuple[int, int]:
    """All observations -> above which brightness one is a reference, above which a cloud.

    Where a pixel's usual ground, a low quantile of all it shows, is itself about as dark as a
    shadow or as bright as a cloud, both limits move as far from it as the tests reach.
    """
    if rules.published:
        return rules.dark, rules.opaque
    rank = count * rules.usual // UNIT
    # Beyond these the ground has to be for a limit to move; most pixels are spared the quantile.
    below = rules.dark * rules.factor // UNIT
    above = rules.opaque * UNIT // rules.factor
    darker = 0
    not_brighter = 0
    for i in range(count):
        darker += work[_VALUE, i] < below
        not_brighter += work[_VALUE, i] <= above
    if darker <= rank < not_brighter or count == 0:
        return rules.dark, rules.opaque
    usual = _ranked(work, count, rank)
    above = usual * rules.factor // UNIT
    # Below zero, what lies a factor below is the product.
    below = above if usual < 0 else usual * UNIT // rules.factor
    return min(rules.dark, below), max(rules.opaque, above)


@njit(cache=True, nogil=True)
def _ranked(work: Work, count: int, rank: int) -> int:
    """The value that has `rank` others before it in order, by halving the span it is in."""
    low, high = -BANDS * 2**15, BANDS * 2**15
    while low < high:
        middle = (low + high) >> 1
        within = 0
        for i in range(count):
            within += work[_VALUE, i] <= middle
        if within > rank:
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True)
def _close_ranks(work: Work, count: int, label: NDArray[np.uint8], lane: int) -> int:
    """Write labels to their dates and keep the positions without; returns how many remain."""
    kept = 0
    for i in range(count):
        found = work[_LABEL, i]
        when = work[_WHEN, i]
        if found != 0:
            label[when, lane] = found
        work[_WHEN, kept] = when
        work[_VALUE, kept] = work[_VALUE, i]
        work[_WATERY, kept] = work[_WATERY, i]
        kept += found == 0
    return kept


@njit(cache=True, nogil=True)
def _run_pass(work: Work, count: int, length: int, dark: int, rules: Rules) -> bool:
    """One pass over the clear observations -> their labels; whether there are any."""
    nodes = _prepare(work, count, length, dark)
    if nodes < 2 * length or not _stand_out(work, count, length, nodes, rules):
        return False
    for i in range(count):
        work[_LABEL, i] = 0
    for i in range(nodes + 2):
        work[_PREVIOUS, i] = i - 1
        work[_FOLLOWING, i] = i + 1
        work[_GONE, i] = 0
    any_labelled = False
    while True:
        brightest = np.int32(_NONE)
        for i in range(count - length + 1):
            brightest = max(brightest, work[_PENDING, i])
        if brightest == _NONE:
            return any_labelled
        key = int(brightest)
        k = key & MOST_DATES
        work[_PENDING, k] = _NONE
        # The published program looks at the first member alone.
        taken = work[_LABEL, k] != 0
        for i in range(k + 1, k + length):
            taken |= (not rules.published) & (work[_LABEL, i] != 0)
        if taken:
            continue
        reference = _reference(work, k, length, nodes)
        found = _judge(work[_SEGMENT, k], reference, length, rules)
        if reference == _NONE or found == 0:
            continue
        any_labelled = True
        for i in range(k, k + length):
            work[_LABEL, i] = found
            node = work[_BEFORE, i] + 1
            if work[_USABLE, i] != 0 and work[_GONE, node] == 0:
                previous, following = work[_PREVIOUS, node], work[_FOLLOWING, node]
                work[_GONE, node] = 1
                work[_FOLLOWING, previous] = following
                work[_PREVIOUS, following] = previous
        _recall(work, k, key, count, length, rules)


@njit(cache=True, nogil=True)
def _prepare(work: Work, count: int, length: int, dark: int) -> int:
    """Sums of segments, and the references in order; returns how many of these there are."""
    nodes = 0
    total = np.int32(0)
    work[_TOTAL, 0] = 0
    for i in range(count):
        value = work[_VALUE, i]
        usable = (value > dark) | (work[_WATERY, i] != 0)
        total += value if usable else np.int32(0)
        work[_USABLE, i] = usable
        work[_BEFORE, i] = nodes
        work[_NODE, nodes + 1] = value
        work[_TOTAL, nodes + 1] = total
        nodes += usable
    work[_BEFORE, count] = nodes
    for k in range(count - length + 1):
        work[_SEGMENT, k] = work[_VALUE, k]
    for shift in range(1, length):
        for k in range(count - length + 1):
            work[_SEGMENT, k] += work[_VALUE, k + shift]
    return nodes


@njit(cache=True, nogil=True)
def _stand_out(work: Work, count: int, length: int, nodes: int, rules: Rules) -> bool:
    """Make pending the segments that are labelled if none is before; whether there are any."""
    segments = count - length + 1
    waiting = 0
    # Where every position is a reference, an inner segment's are simply the nearest on each side.
    inner = max(segments - 2 * length, 0) if nodes == count else 0
    before, begin = work[_TOTAL, :inner], work[_TOTAL, length : length + inner]
    end = work[_TOTAL, 2 * length : 2 * length + inner]
    after = work[_TOTAL, 3 * length : 3 * length + inner]
    segment = work[_SEGMENT, length : length + inner]
    pending = work[_PENDING, length : length + inner]
    for i in range(inner):
        reference = begin[i] - before[i] + after[i] - end[i]
        found = _judge(segment[i], reference, length, rules) != 0
        waiting += found
        key = segment[i] * np.int32(_KEY) + np.int32(i + length)
        pending[i] = key if found else np.int32(_NONE)
    for k in range(segments):
        if length <= k < length + inner:
            continue
        left = work[_BEFORE, k]
        last = work[_BEFORE, k + length]
        right = nodes - last
        take = min(max(length, 2 * length - right), left)
        until = min(last + 2 * length - take, nodes)
        reference = work[_TOTAL, left] - work[_TOTAL, left - take]
        reference += work[_TOTAL, until] - work[_TOTAL, last]
        enough = left + right >= 2 * length
        found = (_judge(work[_SEGMENT, k], reference, length, rules) != 0) & enough
        waiting += found
        work[_PENDING, k] = work[_SEGMENT, k] * _KEY + k if found else _NONE
    return waiting > 0


@njit(cache=True, nogil=True)
def _judge(segment: int, reference: int, length: int, rules: Rules) -> int:
    """Sums of ``length`` observations and of twice as many references -> label, 0 for none.

    Float64 holds these products exactly, and is compared faster than int64.
    """
    twice, other = 2 * np.float64(segment), np.float64(reference)
    cloud = (segment > rules.cloud * length) & (twice * UNIT > other * rules.factor)
    # In the published program's single precision a mean of exactly 0.055 is a little less.
    dim = segment < rules.shadow * length + rules.published
    shadow = dim & (other > twice) & (other * UNIT > twice * rules.factor)
    if rules.published:
        # Its quotients fail without positive numbers.
        cloud, shadow = cloud & (reference > 0), shadow & (segment > 0)
    return int(cloud * CLOUD + shadow * CLOUD_SHADOW)


@njit(cache=True, nogil=True)
def _reference(work: Work, k: int, length: int, nodes: int) -> int:
    """Sum of the nearest references, left and right in turn; `_NONE` where there are too few."""
    left = work[_BEFORE, k]
    right = work[_BEFORE, k + length] + 1
    while work[_GONE, left] != 0:
        left = work[_PREVIOUS, left]
    while work[_GONE, right] != 0:
        right = work[_FOLLOWING, right]
    total = 0
    wanted = 2 * length
    while wanted > 0:
        if left > 0:
            total += work[_NODE, left]
            left = work[_PREVIOUS, left]
            wanted -= 1
        elif right > nodes:
            return _NONE
        if right <= nodes and wanted > 0:
            total += work[_NODE, right]
            right = work[_FOLLOWING, right]
            wanted -= 1
    return total


@njit(cache=True, nogil=True)
def _recall(work: Work, k: int, key: int, count: int, length: int, rules: Rules) -> None:
    """Make pending what comes after segment ``k`` and may have lost a reference to its label.

    A segment takes ``length`` references from this side, or up to twice as many where it lies
    beyond the last ones of the other.
    """
    nodes = work[_BEFORE, count]
    first, last = 0, nodes + 1
    for _ in range(length):
        first = work[_FOLLOWING, first] if first <= nodes else first
        last = work[_PREVIOUS, last] if last > 0 else last
    passed = 0
    for j in range(k + length, count - length + 1):
        if passed == 2 * length:
            break
        if passed < length or work[_BEFORE, j + length] >= last:
            _await(work, j, key, length, rules)
        passed += (work[_USABLE, j] != 0) & (work[_LABEL, j] == 0)
    passed = 0
    for j in range(k - 1, -1, -1):
        gap = j + length
        passed += (gap < k) & (work[_USABLE, gap] != 0) & (work[_LABEL, gap] == 0)
        if passed == 2 * length:
            break
        if passed < length or work[_BEFORE, j] < first:
            _await(work, j, key, length, rules)


@njit(cache=True, nogil=True)
def _await(work: Work, j: int, key: int, length: int, rules: Rules) -> None:
    """Make segment ``j`` pending if its turn is still to come and it may be labelled at all."""
    segment = work[_SEGMENT, j]
    own = np.int32(segment * _KEY + j)
    extreme = (segment > rules.cloud * length) | (segment <= rules.shadow * length)
    if (own < key) & extreme & (work[_LABEL, j] == 0):
        work[_PENDING, j] = own
