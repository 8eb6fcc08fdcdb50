"""Measures of neighbours in syntheses: values by hand, and against loops over pixels."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cube.errors import GridError
from cube.texture import (
    DateTexture,
    Noise,
    Seam,
    Steps,
    date_pairs,
    date_texture,
    edge_pairs,
    homogeneous,
    noise,
    orbits_seen,
    seam,
    steps,
)

NODATA = -10000


def dn(*rows):
    return np.array(rows, np.int16)


def series(low: int, high: int):
    return arrays.arrays(
        np.int16, (6, 7), elements=st.integers(low, high) | st.sampled_from([NODATA, low])
    )


def cuts():
    """Windows of a raster of 6 x 7 with a surrounding of one pixel, each with its core."""
    for top, bottom in ((0, 2), (2, 6)):
        for left, right in ((0, 3), (3, 7)):
            window = slice(max(0, top - 1), bottom + 1), slice(max(0, left - 1), right + 1)
            first = top - window[0].start, left - window[1].start
            core = (
                slice(first[0], first[0] + bottom - top),
                slice(first[1], first[1] + right - left),
            )
            yield window, core


def by_parts(total, measure):
    for window, core in cuts():
        total.add(measure(window, core))
    return total


def test_dates_of_neighbours() -> None:
    date = dn([1, 1, 1], [1, 1, 10], [1, 1, NODATA])
    found = date_texture(date)
    assert (found.squares, found.pairs, found.different) == (0, 10, 2)
    assert found.document() == {"local_sd": None, "pairs": 10, "different": 0.2}
    date[2, 2] = 1
    found = date_texture(date)
    # One of nine is 9 days later: the variance is 9 * 9 * (1 / 9) * (8 / 9).
    assert found.document() == {"local_sd": 2.82843, "pairs": 12, "different": 0.25}
    inside = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0]], np.bool_)
    assert date_texture(date, inside).document() == {
        "local_sd": None, "pairs": 5, "different": 0.2,
    }  # fmt: skip


@given(series(17000, 17004))
def test_dates_against_loops_and_by_parts(date) -> None:
    found = date_texture(date)
    held = date != NODATA
    spreads = [
        statistics.pstdev(map(int, date[y - 1 : y + 2, x - 1 : x + 2].ravel()))
        for y in range(1, 5)
        for x in range(1, 6)
        if held[y - 1 : y + 2, x - 1 : x + 2].all()
    ]
    assert found.squares == len(spreads)
    assert found.total == pytest.approx(sum(spreads))
    pairs = [
        (int(date[y, x]), int(date[y + dy, x + dx]))
        for dy, dx in ((0, 1), (1, 0))
        for y in range(6 - dy)
        for x in range(7 - dx)
        if held[y, x] and held[y + dy, x + dx]
    ]
    assert (found.pairs, found.different) == (len(pairs), sum(a != b for a, b in pairs))
    parts = by_parts(DateTexture(), lambda window, core: date_texture(date[window], None, core))
    assert (parts.squares, parts.pairs, parts.different) == (
        found.squares,
        found.pairs,
        found.different,
    )
    assert parts.total == pytest.approx(found.total)


def test_steps_where_dates_change() -> None:
    date = dn([5, 5, 9], [5, 5, NODATA])
    pairs = date_pairs(date)
    assert pairs.right.tolist() == [[False, True, False], [False] * 3]
    assert not pairs.below.any()
    found, clear = dn([100, 110, 160], [100, 100, 100]), dn([100, 105, 115], [90, NODATA, 90])
    one = steps(found, clear, pairs)
    assert (one.pairs, one.found, one.reference) == (1, 50, 10)
    assert one.document() == {"pairs": 1, "step": 0.005, "index": 5}
    # All others: right 10 of 5, below 0 of 10, 60 of 25; those of the missing pixel do not count.
    rest = steps(found, clear, pairs.others())
    assert (rest.pairs, rest.found, rest.reference) == (3, 70, 40)
    assert steps(found, clear, pairs, date == 5).document() == {
        "pairs": 0, "step": None, "index": None,
    }  # fmt: skip


def test_pairs_at_edges_of_clouds() -> None:
    hidden = np.zeros((2, 2, 3), np.bool_)
    hidden[0, 0, 0] = hidden[1, :, 2] = True
    pairs = edge_pairs(hidden)
    assert pairs.right.tolist() == [[True, True, False], [False, True, False]]
    assert pairs.below.tolist() == [[True, False, False], [False] * 3]
    assert pairs.count + pairs.others().count == 7
    with pytest.raises(GridError, match="time"):
        edge_pairs(hidden[0])


@given(series(0, 900), series(0, 900), arrays.arrays(np.bool_, (2, 6, 7)))
def test_steps_against_loops_and_by_parts(found, clear, hidden) -> None:
    whole = steps(found, clear, edge_pairs(hidden))
    total = [0, 0, 0]
    for dy, dx in ((0, 1), (1, 0)):
        for y in range(6 - dy):
            for x in range(7 - dx):
                here, there = (y, x), (y + dy, x + dx)
                is_edge = any(one[here] != one[there] for one in hidden)
                if is_edge and NODATA not in (found[here], found[there], clear[here], clear[there]):
                    total[0] += 1
                    total[1] += abs(int(found[here]) - int(found[there]))
                    total[2] += abs(int(clear[here]) - int(clear[there]))
    assert [whole.pairs, whole.found, whole.reference] == total
    parts = by_parts(
        Steps(),
        lambda w, core: steps(found[w], clear[w], edge_pairs(hidden[:, w[0], w[1]]), None, core),
    )
    assert parts == whole


def test_noise_within_fields() -> None:
    plane = np.add.outer(np.arange(5) * 30, np.arange(5) * 7).astype(np.int16)
    spike = plane.copy()
    spike[2, 2] += 90
    field = np.ones((5, 5), np.uint8)
    found = noise(plane, spike, field)
    # A plane is no noise; a spike is met 4 + 4 * 2 + 4 * 1 times.
    assert (found.pixels, found.found, found.reference) == (9, 0, 16 * 90)
    sigma = math.sqrt(math.pi / 2) / (6 * 9) * 16 * 0.009
    assert found.document() == {
        "pixels": 9, "sigma": 0, "sigma_reference": pytest.approx(sigma, rel=1e-5), "ratio": 0,
    }  # fmt: skip
    field[:, 3:] = 2
    assert noise(plane, spike, field).pixels == 3
    field[:, 3:] = 0
    assert noise(spike, plane, field).document()["ratio"] is None
    spike[0, 0] = NODATA
    assert noise(spike, plane, field).pixels == 2


def test_noise_is_that_which_was_added() -> None:
    drawn = np.random.default_rng(3).normal(2000, 50, (2, 300, 300))
    one, other = np.rint(drawn * [[[1]], [[2]]]).astype(np.int16)
    found = noise(one, other, np.ones((300, 300), np.uint8))
    assert found.sigma == pytest.approx(0.005, rel=0.02)
    assert found.ratio == pytest.approx(0.5, rel=0.02)


@given(series(0, 900), series(0, 900), arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, 1)))
def test_noise_against_loops_and_by_parts(found, clear, field) -> None:
    whole = noise(found, clear, field)
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    total = [0, 0, 0]
    for y in range(1, 5):
        for x in range(1, 6):
            part = slice(y - 1, y + 2), slice(x - 1, x + 2)
            if (
                field[part].all()
                and not (found[part] == NODATA).any() | (clear[part] == NODATA).any()
            ):
                total[0] += 1
                total[1] += abs(int((kernel * found[part]).sum()))
                total[2] += abs(int((kernel * clear[part]).sum()))
    assert [whole.pixels, whole.found, whole.reference] == total
    assert by_parts(Noise(), lambda w, core: noise(found[w], clear[w], field[w], core)) == whole


def test_homogeneous_ground() -> None:
    values = np.full((5, 6), 2000, np.int16)
    values[2, 5] = 2400
    values[0, 0] = NODATA
    found = homogeneous(values)
    # The middle of every whole square that neither holds the bright pixel nor lacks one.
    assert np.argwhere(found).tolist() == [
        [1, 2],
        [1, 3],
        [2, 1],
        [2, 2],
        [2, 3],
        [3, 1],
        [3, 2],
        [3, 3],
    ]
    # One of nine 20 % above: the standard deviation is 0.2 * sqrt(8) / 9 of 1.022 times the ground.
    assert homogeneous(values, limit=0.0616)[2, 4]
    assert not homogeneous(values, limit=0.0614)[2, 4]
    assert not homogeneous(values, np.zeros((5, 6), np.bool_)).any()


def test_orbits_and_the_step_between_them() -> None:
    observed = np.zeros((3, 2, 4), np.bool_)
    observed[0, :, :3] = observed[2, 0, 2:] = True
    observed[1, :, 0] = True
    orbits = orbits_seen(observed, np.array([94, 94, 8]))
    assert orbits.tolist() == [[2, 2, 3, 1], [2, 2, 2, 0]]
    values = dn([100, 100, 130, 150], [100, 100, 110, 500])
    found = seam(values, orbits)
    # 2 -> 3: 30 to the right and 20 upwards; 1 -> 3: -20; none to where nothing was seen.
    assert found.borders == {(2, 3): (2, 50), (1, 3): (1, -20)}
    assert found.step == pytest.approx(0.0070 / 3)
    assert seam(values, np.full((2, 4), 2, np.uint8)).document() == {"pairs": 0, "step": None}
    many = np.ones((9, 1, 1), np.bool_)
    with pytest.raises(GridError, match="9 relative orbits"):
        orbits_seen(many, np.arange(9))


@given(series(0, 900), arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, 3)))
def test_seams_by_parts(found, orbits) -> None:
    whole = seam(found, orbits)
    parts = by_parts(Seam(), lambda w, core: seam(found[w], orbits[w], None, core))
    assert parts.borders == whole.borders
    # What climbs to the right does so at every border across.
    climb = np.tile(np.arange(7, dtype=np.int16) * 10, (6, 1))
    halves = np.where(np.arange(7) < 4, np.uint8(1), np.uint8(2)) * np.ones((6, 1), np.uint8)
    assert seam(climb, halves).borders == {(1, 2): (6, 60)}
