"""The distance to clouds: against a slow search, over any strips and windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cube.distance import CloudDistance, CloudDistanceParams
from cube.errors import GridError

NEAR = CloudDistance(CloudDistanceParams(cloud_distance=120))  # six cells


def slow(cells, most):
    """(h, w) bool cloudy cells -> (h, w) distance to the nearest, by looking at all of them."""
    found = np.full(cells.shape, most)
    for y, x in np.ndindex(cells.shape):
        for v, u in zip(*np.nonzero(cells), strict=True):
            found[y, x] = min(found[y, x], abs(y - v) + abs(x - u))
    return found


@given(
    cloudy=hnp.arrays(
        bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
    ),
    cut=st.integers(0, 9),
)
def test_distances_are_those_of_a_search(cloudy, cut):
    strips = [(0, cloudy[:cut]), (min(cut, len(cloudy)), cloudy[cut:])]
    found = NEAR.gather([s for s in strips if len(s[1])], cloudy.shape, 20)
    np.testing.assert_array_equal(found[0], slow(cloudy, 6))


def test_a_cell_is_cloudy_where_any_of_its_pixels_is():
    cloudy = np.zeros((6, 6), bool)
    cloudy[3, 2] = True
    found = NEAR.gather([(0, cloudy)], (6, 6), 10)[0]
    np.testing.assert_array_equal(found, [[2, 1, 2], [1, 0, 1], [2, 1, 2]])


@pytest.mark.parametrize("resolution", [30, 60, 100])
@given(seed=st.integers(0, 20))
def test_coarser_pixels_are_as_far_as_the_cell_in_their_middle(resolution, seed):
    cloudy = np.random.default_rng(seed).random((5, 6)) < 0.1
    score = NEAR.weigh(NEAR.gather([(0, cloudy)], (5, 6), resolution), 0, 0, (5, 6), resolution)
    sides = [-(-n * resolution // 20) for n in cloudy.shape]
    touched = np.zeros(sides, bool)
    for v, u in np.ndindex(*sides):
        for y, x in zip(*np.nonzero(cloudy), strict=True):
            touched[v, u] |= (
                y * resolution < (v + 1) * 20
                and v * 20 < (y + 1) * resolution
                and x * resolution < (u + 1) * 20
                and u * 20 < (x + 1) * resolution
            )
    away = slow(touched, 6)
    for y, x in np.ndindex(*cloudy.shape):
        cells = away[int((y + 0.5) * resolution // 20), int((x + 0.5) * resolution // 20)]
        expected = 0 if cells == 0 else np.exp(-0.5 * ((6 - cells) / 2) ** 2)
        assert score[y, x] == pytest.approx(expected, rel=1e-6)


def test_a_window_of_coarser_pixels_is_its_part_of_the_whole():
    cloudy = np.random.default_rng(1).random((9, 9)) < 0.1
    gathered = NEAR.gather([(0, cloudy)], (9, 9), 60)
    whole = NEAR.weigh(gathered, 0, 0, (9, 9), 60)
    np.testing.assert_array_equal(NEAR.weigh(gathered, 3, 4, (4, 5), 60), whole[3:7, 4:9])


def test_the_score_rises_from_0_in_cloud_to_1_beyond_the_distance():
    cloudy = np.zeros((1, 9), bool)
    cloudy[0, 0] = True
    score = NEAR.weigh(NEAR.gather([(0, cloudy)], (1, 9), 20), 0, 0, (1, 9), 20)[0]
    sigma = 2.0
    expected = [0, *(np.exp(-0.5 * ((6 - d) / sigma) ** 2) for d in range(1, 7)), 1, 1]
    np.testing.assert_allclose(score, expected, rtol=1e-6)


@given(
    row=st.integers(0, 10), column=st.integers(0, 10), seed=st.integers(0, 5), fine=st.booleans()
)
def test_a_window_is_its_part_of_the_whole(row, column, seed, fine):
    resolution = 10 if fine else 20
    cloudy = np.random.default_rng(seed).random((16, 16)) < 0.05
    gathered = NEAR.gather([(0, cloudy)], (16, 16), resolution)
    whole = NEAR.weigh(gathered, 0, 0, (16, 16), resolution)
    part = NEAR.weigh(gathered, row, column, (5, 6), resolution)
    np.testing.assert_array_equal(part, whole[row : row + 5, column : column + 6])


def test_clouds_farther_than_the_reach_change_nothing():
    rng = np.random.default_rng(1)
    cloudy = rng.random((1, 60)) < 0.1
    other = cloudy.copy()
    other[0, 30 + NEAR.reach :] = True
    one, two = (
        NEAR.weigh(NEAR.gather([(0, c)], c.shape, 20), 0, 30, (1, 1), 20) for c in (cloudy, other)
    )
    assert one == two


def test_shadow_and_thin_cloud_count_as_clouds_and_nodata_does_not():
    np.testing.assert_array_equal(NEAR.hidden(np.arange(7, dtype=np.uint8)), [0, 0, 1, 1, 1, 0, 0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(GridError, match="expected row 0"):
        NEAR.gather([(2, np.zeros((2, 4), bool))], (4, 4), 20)
    with pytest.raises(GridError, match="end at row 2"):
        NEAR.gather([(0, np.zeros((2, 4), bool))], (4, 4), 20)
