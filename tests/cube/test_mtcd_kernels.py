"""mtcd's kernels against slow references in plain Python."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cube.kernels import mtcd as kernels

NODATA = -10000
FEW = settings(max_examples=25)


def dn(shape):
    values = st.sampled_from([NODATA, -9999, -3, 0, 7, 5000, 32767]) | st.integers(-200, 9000)
    return arrays("int16", shape, elements=values)


@FEW
@given(st.tuples(st.integers(1, 8), st.integers(1, 8)).flatmap(dn), st.integers(1, 4))
def test_average_like_numpy(plane, factor):
    rows, columns = (-(-n // factor) for n in plane.shape)
    out = np.empty((rows, columns), "float32")
    kernels.average(plane, factor, out)
    for row in range(rows):
        for column in range(columns):
            cell = plane[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            there = cell[cell != NODATA].astype("float64")
            expected = there.mean() if there.size else np.nan
            np.testing.assert_equal(out[row, column], np.float32(expected))


@FEW
@given(st.sampled_from([1, 2]), st.data())
def test_missing_where_one_of_the_parts_is(factor, data):
    plane = data.draw(dn((3 * factor, 4 * factor)))
    missing = np.zeros((3, 4), "bool")
    missing[0, 0] = True
    kernels.mark_missing(plane, factor, missing)
    expected = (plane == NODATA).reshape(3, factor, 4, factor).any((1, 3))
    expected[0, 0] = True
    np.testing.assert_array_equal(missing, expected)


def slow_bits(coarse, factor, shape):
    out = np.zeros(shape, "uint8")
    rows, columns = coarse.shape
    y, x = ((np.arange(n) + 0.5) / factor - 0.5 for n in shape)
    for bit in range(8):
        plane = (coarse >> bit & 1).astype("float64")
        along = np.array([np.interp(x, np.arange(columns), line) for line in plane])
        value = np.array([np.interp(y, np.arange(rows), line) for line in along.T]).T
        out |= (value > 0.25 + 1e-9).astype("uint8") << bit
    return out


@FEW
@given(arrays("uint8", (4, 3)), st.sampled_from([1, 2, 3, 6, 12, 24]), st.integers(0, 11))
def test_bits_are_interpolated_and_cut_at_a_quarter(coarse, factor, less):
    shape = 4 * factor - less % factor, 3 * factor - less % factor
    out = np.empty(shape, "uint8")
    kernels.interpolate_bits(coarse, factor, out)
    np.testing.assert_array_equal(out, slow_bits(coarse, factor, shape))


def test_a_lonely_cell_grows_by_a_quarter_of_its_side():
    coarse = np.zeros((3, 3), "uint8")
    coarse[1, 1] = 128
    out = np.empty((36, 36), "uint8")
    kernels.interpolate_bits(coarse, 12, out)
    # Through its centre the bit reaches where the weight is 0.25: 9 pixels from the centre.
    assert np.flatnonzero(out[17]).tolist() == list(range(9, 27))
    assert set(np.unique(out)) == {0, 128}


def slow_correlation(now, before, y, x, radius, least):
    box = (
        slice(max(y - radius, 0), y + radius + 1),
        slice(max(x - radius, 0), x + radius + 1),
    )
    a, b = now[box].astype("float64").ravel(), before[box].astype("float64").ravel()
    there = np.isfinite(a) & np.isfinite(b)
    a, b = a[there], b[there]
    if a.size < least or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return np.corrcoef(a, b)[0, 1]


@FEW
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([3, 9, 15]))
def test_correlation_like_numpy(seed, radius, least):
    random = np.random.default_rng(seed)
    now = random.choice([0.02, 0.05, 0.1, 0.3, np.nan], (7, 8)).astype("float32")
    noise = random.normal(0, 0.05, (3, 7, 8))
    before = (now * random.uniform(0.5, 2) + noise).astype("float32")
    before[1, :4] = 0.2
    wanted = random.random((7, 8)) < 0.8
    out = np.empty((7, 8), "bool")
    kernels.correlates(now, before, wanted, radius, least, 0.6, out)
    for y in range(7):
        for x in range(8):
            each = [slow_correlation(now, old, y, x, radius, least) for old in before]
            assert out[y, x] == (wanted[y, x] and max(each) > 0.6)


def slow_zone(cloud, altitude, heights, view, sun, ratio):
    rows, columns = altitude.shape
    zone = set()
    for pixel in cloud:
        y, x = divmod(int(pixel), columns)
        ground = float(altitude[y, x])
        for height in heights:
            above = max(1.0, height - ground)
            fall = above
            for _ in range(3):
                row = math.floor(y + above * view[0] - fall * sun[0] + 0.5)
                column = math.floor(x + above * view[1] - fall * sun[1] + 0.5)
                if not (0 <= row < rows and 0 <= column < columns):
                    break
                fall = max(1.0, ground + above - float(altitude[row, column]))
            else:
                if np.isfinite(ratio[row, column]):
                    zone.add((row, column))
    return zone


def slow_shadows(clouds, altitude, heights, view, sun, ratio, limit, most, small, shares):
    share_small, share = shares
    zones = [slow_zone(cloud, altitude, heights, view, sun, ratio) for cloud in clouds]
    dark = [{p for p in zone if ratio[p] < limit} for zone in zones]
    first, again = set(), []
    for n, cloud in enumerate(clouds):
        if len(dark[n]) <= (share_small if len(cloud) < small else share) * len(cloud):
            first |= dark[n]
        else:
            again.append(n)
    out = set(first)
    for n in again:
        candidates = dark[n] - first
        if len(candidates) <= share * len(clouds[n]):
            out |= dark[n]
            continue
        ranked = sorted(float(ratio[p]) for p in zones[n])
        rank = int(share * len(clouds[n]) / len(candidates) * (len(ranked) - 1))
        out |= {p for p in zones[n] if ratio[p] < min(ranked[rank], most)}
    return out


@FEW
@given(st.integers(0, 2**32 - 1))
def test_shadows_like_brute_force(seed):
    random = np.random.default_rng(seed)
    shape = (12, 13)
    altitude = random.choice([0.0, 300.0, 900.0], shape).astype("float32")
    labels = np.zeros(shape, "int32")
    for cloud in (1, 2, 3):
        y, x = random.integers(0, 9, 2)
        labels[y : y + cloud, x : x + 4] = cloud
    ratio = random.uniform(0.1, 1.2, shape).astype("float32")
    ratio[(random.random(shape) < 0.1) | (labels > 0)] = np.nan
    clouds = [np.flatnonzero(labels == n).astype("int32") for n in (1, 2, 3)]
    starts = np.cumsum([0, *(each.size for each in clouds)]).astype("int32")
    heights = np.linspace(0, 4000, 9)
    view, sun = random.uniform(-3e-4, 3e-4, 2), random.uniform(-2e-3, 2e-3, 2)
    limit, most = random.uniform(0.3, 0.7), 0.65
    out = np.empty(shape, "bool")
    kernels.cast_shadows(
        np.concatenate(clouds), starts, altitude, heights, view, sun, ratio, limit, most,
        5, 1.0, 0.5, out,
    )  # fmt: skip
    expected = np.zeros(shape, "bool")
    found = slow_shadows(
        clouds, altitude, heights, view, sun, ratio, np.float64(limit), most, 5, (1.0, 0.5)
    )
    for place in found:
        expected[place] = True
    np.testing.assert_array_equal(out, expected)
