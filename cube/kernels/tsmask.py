"""Cloud and shadow along time, pixel by pixel: the rules of Geoscience Australia's TSmask.

All arithmetic is in whole numbers: brightness is the *sum* of the six bands in dn, the haze index
blue - red / 2 is counted twice over, and every quotient of the rules is compared as a product, so
nothing is rounded, nothing is divided by zero and segments of equal brightness are equal. A
pixel's answer depends on its own series alone.

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
_MOST = 2**30 - 1  # above every sum of six bands

_NEAR = 4
"""Clear observations on each side that tell what haze a pixel has anyway."""

_GLARE = 4
"""Light and view change the haze index of bright ground by its share of this part."""

_THIN, _BARE, _WET, _IS_WATER = 1, 2, 4, 8  # what a spectrum says, as bits

Band = NDArray[np.int16]
Bytes = NDArray[np.uint8]
Work = NDArray[np.int32]


class Spectra(NamedTuple):
    """Six bands, (time, pixel) int16 dn."""

    blue: Band
    green: Band
    red: Band
    nir08: Band
    swir16: Band
    swir22: Band


class Rules(NamedTuple):
    """Thresholds as whole numbers: of reflectance in dn, of a mean as the sum of six bands."""

    nodata: int  # a band of this or less makes no observation
    opaque: int  # what is brighter is cloud before any comparison
    cloud: int  # a segment of this brightness or less is no cloud
    shadow: int  # a segment of this brightness or more is no shadow
    dark: int  # darker ground is no reference, unless it is water
    factor: int  # cloud is more than this many times as bright, ground than shadow, x 10000
    usual: int  # share of a pixel's observations below what is usual for it, x 10000
    haze: int  # rise of the doubled haze index that is no haze yet
    glare: int  # doubled haze index above which ground is bright
    published: bool  # whether to judge as the published program does, with what it misses


# Rows of a pixel's scratch, int32. Columns of the first group are its clear observations in order
# of time (positions), columns of the second those of them that are references, from 1 (nodes).
_WHEN = 0  # date
_VALUE = 1  # brightness
_WATERY = 2  # whether it looks like water
_HAZE = 3  # doubled haze index
_BLUE = 4  # doubled
_SEGMENT = 5  # brightness of the segment that starts here
_PENDING = 6  # key of that segment if it is to be judged, else _NONE
_USABLE = 7  # whether it is a reference
_BEFORE = 8  # number of references before it; one more is its own node
_LABEL = 9  # what this pass calls it, 0 for nothing
_NODE = 10  # brightness
_TOTAL = 11  # sum of all references up to this one
_PREVIOUS = 12  # neighbours among the references that are still clear
_FOLLOWING = 13
_GONE = 14  # whether it has been labelled; its neighbours then lead to clear ones
_ROWS = 15

# Rows of what is known of the lanes while values are ranked, int32.
_RANK = 0  # of the value looked for
_LOW = 1  # the span that it lies in
_HIGH = 2
_MIDDLE = 3
_WITHIN = 4  # values up to the middle
_STEPS = 5

# Rows of what is told of a lane in the end, int32.
_CLEAN = 0  # haze index up to which nothing is cloud
_TRAITS = 1  # bits of what its spectra say that count


@njit(cache=True, nogil=True)
def detect(bands: Spectra, rules: Rules, out: Bytes) -> None:
    """Six bands (time, pixel) int16 dn -> (time, pixel) uint8 classes; `MOST_DATES` at most.

    No observation is final: where one band has none, the class is 0 and stays so.
    """
    dates, pixels = bands.blue.shape
    work = np.empty((_ROWS, dates + 2), np.int32)
    sums = np.empty((dates, _LANES), np.int32)
    haze = np.empty((dates, _LANES), np.int32)
    traits = np.empty((dates, _LANES), np.uint8)
    label = np.empty((dates, _LANES), np.uint8)
    usual = np.zeros(_LANES, np.int32)
    base = np.zeros(_LANES, np.int32)
    held = np.full((-(-dates // 4) * 4, _LANES), _MOST, np.int32)
    halving = np.empty((_STEPS, _LANES), np.int32)
    ends = np.empty((2, _LANES), np.int32)
    for first in range(0, pixels, _LANES):
        after = min(first + _LANES, pixels)
        sums[:] = 0
        label[:] = CLEAR
        for band in bands:
            _read(band, first, after, rules.nodata, sums, label)
        _look(bands, first, after, rules.published, sums, haze, traits)
        lanes = after - first
        if not rules.published:
            _ranked(sums, label, lanes, rules.usual, held, halving, usual)
            _ranked(haze, label, lanes, rules.usual, held, halving, base)
        for lane in range(lanes):
            ground = usual[lane], base[lane]
            blue = bands.blue[:, first + lane]
            _pixel(blue, sums, haze, traits, label, lane, ground, rules, work, ends)
        thin = CLOUD if rules.published else THIN_CLOUD
        _conclude(label, traits, haze, ends, thin, out[:, first:after])


@njit(cache=True, nogil=True)
def _read(band: Band, first: int, after: int, nodata: int, sums: Work, label: Bytes) -> None:
    """Add a band to the sums, and take away the observations it does not have."""
    limit = np.int16(nodata)
    for t in range(band.shape[0]):
        row, total, start = band[t, first:after], sums[t], label[t]
        for x in range(row.size):
            total[x] += np.int32(row[x])
        # The codes are 0 and 1 so far: no observation, clear.
        for x in range(row.size):
            start[x] &= np.uint8(row[x] > limit)


@njit(cache=True, nogil=True)
def _look(
    bands: Spectra, first: int, after: int, published: bool, sums: Work, haze: Work, traits: Bytes
) -> None:
    """Bands and their sums -> haze index, and what each spectrum says (TSmask's final rules).

    MNDWI = (green - swir16) / (green + swir16) above w is green (1 - w) > swir16 (1 + w), also
    where a negative sum makes the index meaningless. MSAVI below v is 2 nir (1 - v) - 2 red <
    v (1 - v): the smaller root of V² - (2 nir + 1) V + 2 (nir - red), without taking it.
    """
    here = slice(first, after)
    for t in range(bands.blue.shape[0]):
        row_b, row_g, row_r = bands.blue[t, here], bands.green[t, here], bands.red[t, here]
        row_n, row_s = bands.nir08[t, here], bands.swir16[t, here]
        total, index, out = sums[t], haze[t], traits[t]
        for x in range(row_b.size):
            b, g, r = np.int32(row_b[x]), np.int32(row_g[x]), np.int32(row_r[x])
            n, s = np.int32(row_n[x]), np.int32(row_s[x])
            index[x] = 2 * b - r
            # A quotient with a negative denominator turns its comparison round.
            w = np.int32(-1) if published & (g + s < 0) else np.int32(1)
            d = np.int32(-1) if published & (b < 0) else np.int32(1)
            water_005 = w * np.int32(21 * g - 19 * s) > 0  # MNDWI > -0.05
            water_020 = w * np.int32(12 * g - 8 * s) > 0  # MNDWI > -0.2
            wet = (water_005 & (total[x] < 3000)) | (water_020 & (47 * n - 50 * r < 14100))
            bare = w * np.int32(138 * g - 62 * s) < 0  # MNDWI < -0.38
            bluish = d * np.int32(50 * r - 49 * b) < 0  # (red - blue) / blue < -0.02
            grey = (r + b > 600) & (r + b < 2900) & (5 * g < 3 * (r + b))
            thin = bluish & grey & (w * np.int32(11 * g - 9 * s) < 0)  # MNDWI < -0.1
            watery = w * np.int32(g - s) > 0
            out[x] = np.uint8(thin * _THIN | bare * _BARE | wet * _WET | watery * _IS_WATER)


@njit(cache=True, nogil=True)
def _conclude(label: Bytes, traits: Bytes, haze: Work, ends: Work, thin: int, out: Bytes) -> None:
    """Labels after all passes, traits, and what is told of each lane in the end -> classes."""
    lanes = out.shape[1]
    clean, counting = ends[_CLEAN, :lanes], ends[_TRAITS, :lanes]
    for t in range(out.shape[0]):
        index, row = haze[t], out[t]
        for x in range(lanes):
            trait = traits[t, x] & counting[x]
            is_hazy = index[x] > clean[x]
            here = np.uint8(CLEAR) if (label[t, x] == CLOUD) & (not is_hazy) else label[t, x]
            bare = (here == CLOUD) & (trait & _BARE != 0)
            wet = (here == CLOUD_SHADOW) & (trait & _WET != 0)
            veiled = (here == CLEAR) & (trait & _THIN != 0)
            final = np.uint8(CLEAR) if bare | wet else here
            row[x] = np.uint8(thin) if veiled else final


@njit(cache=True, nogil=True)
def _pixel(
    blue: Band,
    sums: Work,
    haze: Work,
    traits: Bytes,
    label: Bytes,
    lane: int,
    ground: tuple[int, int],
    rules: Rules,
    work: Work,
    ends: Work,
) -> None:
    """All passes over the series of one lane; labels are changed in place, `ends` is filled in."""
    ends[_CLEAN, lane], ends[_TRAITS, lane] = _NONE, 255
    count = 0
    for t in range(sums.shape[0]):
        work[_WHEN, count] = t
        work[_VALUE, count] = sums[t, lane]
        work[_WATERY, count] = traits[t, lane] & _IS_WATER
        work[_HAZE, count] = haze[t, lane]
        work[_BLUE, count] = 2 * np.int32(blue[t])
        count += label[t, lane] != NO_OBSERVATION
    dark, opaque, usual, hazy = rules.dark, rules.opaque, 0, 2**31 - 1
    if count > 0 and not rules.published:
        dark, opaque, usual, hazy = _own_limits(ground, rules)
    for i in range(count):
        work[_LABEL, i] = CLOUD if (work[_VALUE, i] > opaque) | (work[_HAZE, i] > hazy) else 0
    count = _close_ranks(work, count, label, lane)
    # A pass that finds nothing will find nothing again until another pass has.
    quiet = 0
    for length in SCHEDULE:
        if count < 3 * length or (quiet >> length) & 1:
            continue
        if _run_pass(work, count, length, dark, usual, rules):
            quiet = 0
            count = _close_ranks(work, count, label, lane)
        else:
            quiet |= 1 << length
    if not rules.published:
        wet = np.count_nonzero(work[_WATERY, :count])
        _veil(work, count, rules)
        _close_ranks(work, count, label, lane)
        # Ground that is mostly dry is in shadow, however wet it looks; no cloud is without haze.
        ends[_TRAITS, lane] = 255 & ~_WET if 2 * wet <= count else 255
        ends[_CLEAN, lane] = hazy - rules.haze


@njit(cache=True, nogil=True)
def _own_limits(ground: tuple[int, int], rules: Rules) -> tuple[int, int, int, int]:
    """Usual sum and haze index -> limits of references, of opaque cloud, what is usual, of haze.

    Where what is usual is itself about as dark as a shadow or as bright as a cloud, the first two
    move as far from it as the tests reach. Seasons move the haze index of clear ground: twice here.
    """
    usual, base = ground
    above = usual * rules.factor // UNIT
    # Below zero, what lies a factor below is the product.
    below = above if usual < 0 else usual * UNIT // rules.factor
    hazy = base + 2 * rules.haze + max(base - rules.glare, 0) // _GLARE
    return min(rules.dark, below), max(rules.opaque, above), usual, hazy


@njit(cache=True, nogil=True)
def _veil(work: Work, count: int, rules: Rules) -> None:
    """Label the clear: thin cloud where half of those near have less haze, and are less blue."""
    blue, index, more = work[_BLUE, :count], work[_HAZE, :count], work[_GONE, :count]
    reach = work[_NODE, :count]
    for i in range(count):
        more[i] = 0
        reach[i] = index[i] + rules.haze + max(index[i] - rules.glare, 0) // _GLARE
    for shift in range(1, _NEAR + 1):
        for i in range(count - shift):
            bluer = blue[i] - blue[i + shift]
            more[i] += (index[i] > reach[i + shift]) & (bluer > rules.haze)
            more[i + shift] += (index[i + shift] > reach[i]) & (-bluer > rules.haze)
    for i in range(count):
        near = min(i, _NEAR) + min(count - 1 - i, _NEAR)
        work[_LABEL, i] = THIN_CLOUD if (more[i] > 0) & (2 * more[i] >= near) else 0


@njit(cache=True, nogil=True)
def _ranked(
    values: Work, label: Bytes, lanes: int, share: int, held: Work, halving: Work, out: Work
) -> None:
    """(time, lane) values -> (lane,) the one that has a share of the lane's others before it.

    The span that it is in is halved, of all lanes at once: they run on vectors, side by side.
    """
    rank, low, high = halving[_RANK, :lanes], halving[_LOW, :lanes], halving[_HIGH, :lanes]
    middle, within = halving[_MIDDLE, :lanes], halving[_WITHIN, :lanes]
    rank[:], low[:], high[:] = 0, _MOST, -_MOST
    for t in range(values.shape[0]):
        row, seen, kept = values[t], label[t], held[t]
        for x in range(lanes):
            observed = seen[x] != NO_OBSERVATION
            # What was not observed comes after all others.
            kept[x] = row[x] if observed else np.int32(_MOST)
            rank[x] += np.int32(observed)
            low[x] = min(low[x], kept[x])
            high[x] = max(high[x], row[x] if observed else np.int32(-_MOST))
    for x in range(lanes):
        rank[x] = np.int32(rank[x] * share // UNIT)
    widest = np.int32(1)
    while widest > 0:
        for x in range(lanes):
            middle[x] = np.int32((low[x] + high[x]) >> 1)
            within[x] = 0
        for t in range(0, held.shape[0], 4):  # four at a time: the counts go to memory less often
            one, two, three, four = held[t], held[t + 1], held[t + 2], held[t + 3]
            for x in range(lanes):
                most = middle[x]
                pair = np.int32(one[x] <= most) + np.int32(two[x] <= most)
                other = np.int32(three[x] <= most) + np.int32(four[x] <= most)
                within[x] += np.int32(pair + other)
        widest = np.int32(0)
        for x in range(lanes):
            is_open, is_low = low[x] < high[x], within[x] > rank[x]
            high[x] = middle[x] if is_open & is_low else high[x]
            low[x] = np.int32(middle[x] + 1) if is_open & (not is_low) else low[x]
            widest = max(widest, np.int32(high[x] - low[x]))
    out[:lanes] = low


@njit(cache=True, nogil=True)
def _close_ranks(work: Work, count: int, label: Bytes, lane: int) -> int:
    """Write labels to their dates and keep the positions without; returns how many remain."""
    kept = 0
    for i in range(count):
        found = work[_LABEL, i]
        if found != 0:
            label[work[_WHEN, i], lane] = found
        for row in range(_BLUE + 1):
            work[row, kept] = work[row, i]
        kept += found == 0
    return kept


@njit(cache=True, nogil=True)
def _run_pass(work: Work, count: int, length: int, dark: int, usual: int, rules: Rules) -> bool:
    """One pass over the clear observations -> their labels; whether there are any."""
    nodes = _prepare(work, count, length, dark)
    if nodes < 2 * length or not _stand_out(work, count, length, nodes, usual, rules):
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
        low, high = _references(work, k, length, nodes, rules.published)
        found = _judge(work[_SEGMENT, k], low, high, length, usual, rules)
        if low == _NONE or found == 0:
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
        _recall(work, k, key, count, length, usual, rules)


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
def _stand_out(work: Work, count: int, length: int, nodes: int, usual: int, rules: Rules) -> bool:
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
        low, high = _sides(begin[i] - before[i], after[i] - end[i], True, rules.published)
        found = _judge(segment[i], low, high, length, usual, rules) != 0
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
        from_left = work[_TOTAL, left] - work[_TOTAL, left - take]
        from_right = work[_TOTAL, until] - work[_TOTAL, last]
        low, high = _sides(from_left, from_right, take == length, rules.published)
        enough = left + right >= 2 * length
        found = (_judge(work[_SEGMENT, k], low, high, length, usual, rules) != 0) & enough
        waiting += found
        work[_PENDING, k] = work[_SEGMENT, k] * _KEY + k if found else _NONE
    return waiting > 0


@njit(cache=True, nogil=True)
def _sides(left: int, right: int, even: bool, published: bool) -> tuple[int, int]:
    """Sums of the references on each side, whether as many -> the darker and the brighter, doubled.

    As published, and where one side makes up for the other, it is all of them together.
    """
    both = left + right
    apart = abs(left - right) if even and not published else 0
    return both - apart, both + apart


@njit(cache=True, nogil=True)
def _judge(segment: int, low: int, high: int, length: int, usual: int, rules: Rules) -> int:
    """Sums of ``length`` observations and of twice as many references -> label, 0 for none.

    Cloud is brighter than both sides and than what is usual, shadow darker than all of these.
    Float64 holds these products exactly, and is compared faster than int64.
    """
    twice, most, least = 2 * np.float64(segment), np.float64(high), np.float64(low)
    if not rules.published:
        own = np.float64(2 * length * usual)
        most, least = max(most, own), min(least, own)
    cloud = (segment > rules.cloud * length) & (twice * UNIT > most * rules.factor)
    # In the published program's single precision a mean of exactly 0.055 is a little less.
    dim = segment < rules.shadow * length + rules.published
    shadow = dim & (least > twice) & (least * UNIT > twice * rules.factor)
    if rules.published:
        # Its quotients fail without positive numbers.
        cloud, shadow = cloud & (low > 0), shadow & (segment > 0)
    return int(cloud * CLOUD + shadow * CLOUD_SHADOW)


@njit(cache=True, nogil=True)
def _references(work: Work, k: int, length: int, nodes: int, published: bool) -> tuple[int, int]:
    """Sums of the nearest references, left and right in turn; `_NONE` where there are too few."""
    left = work[_BEFORE, k]
    right = work[_BEFORE, k + length] + 1
    while work[_GONE, left] != 0:
        left = work[_PREVIOUS, left]
    while work[_GONE, right] != 0:
        right = work[_FOLLOWING, right]
    from_left = from_right = taken = 0
    wanted = 2 * length
    while wanted > 0:
        if left > 0:
            from_left += work[_NODE, left]
            left = work[_PREVIOUS, left]
            taken += 1
            wanted -= 1
        elif right > nodes:
            return _NONE, _NONE
        if right <= nodes and wanted > 0:
            from_right += work[_NODE, right]
            right = work[_FOLLOWING, right]
            wanted -= 1
    low, high = _sides(from_left, from_right, taken == length, published)
    return low, high


@njit(cache=True, nogil=True)
def _recall(
    work: Work, k: int, key: int, count: int, length: int, usual: int, rules: Rules
) -> None:
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
            _await(work, j, key, length, usual, rules)
        passed += (work[_USABLE, j] != 0) & (work[_LABEL, j] == 0)
    passed = 0
    for j in range(k - 1, -1, -1):
        gap = j + length
        passed += (gap < k) & (work[_USABLE, gap] != 0) & (work[_LABEL, gap] == 0)
        if passed == 2 * length:
            break
        if passed < length or work[_BEFORE, j] < first:
            _await(work, j, key, length, usual, rules)


@njit(cache=True, nogil=True)
def _await(work: Work, j: int, key: int, length: int, usual: int, rules: Rules) -> None:
    """Make segment ``j`` pending if its turn is still to come and it may be labelled at all."""
    segment = work[_SEGMENT, j]
    own = np.int32(segment * _KEY + j)
    # Whatever its references, they are judged together with what is usual.
    ground = 2 * length * usual
    possible = rules.published or _judge(segment, ground, ground, length, usual, rules) != 0
    if (own < key) & possible & (work[_LABEL, j] == 0):
        work[_PENDING, j] = own
