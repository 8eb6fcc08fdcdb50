import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, THIN_CLOUD, WATER
from cube.confusion import (
    INVALID,
    away_from_edges,
    balanced,
    by_size,
    called_invalid,
    confusion,
    figures,
    majority,
    overall,
    rates,
    two_sides,
)

CODES = st.integers(0, 6)


def codes(*values):
    return np.array(values, np.uint8)


@given(st.data())
def test_counts_are_those_of_a_loop(data):
    shape = data.draw(hnp.array_shapes(max_dims=2, max_side=5))
    truth, predicted = (data.draw(hnp.arrays(np.uint8, shape, elements=CODES)) for _ in range(2))
    expected = np.zeros((7, 7), int)
    for t, p in zip(truth.ravel(), predicted.ravel(), strict=True):
        expected[t, p] += t != NO_OBSERVATION and p != NO_OBSERVATION
    table = confusion(truth, predicted)
    assert np.array_equal(table, expected)
    assert two_sides(table)[1, 0] == sum(
        t in INVALID and p in (CLEAR, SNOW, WATER)
        for t, p in zip(truth.ravel(), predicted.ravel(), strict=True)
    )


def test_figures_by_hand():
    truth = codes(*[CLEAR] * 8, *[CLOUD] * 4, CLOUD_SHADOW, CLOUD_SHADOW, NO_OBSERVATION, CLEAR)
    called = codes(*[CLEAR] * 6, SNOW, CLOUD, *[CLOUD] * 2, THIN_CLOUD, CLEAR, CLOUD_SHADOW)
    called = np.append(called, codes(WATER, CLOUD, NO_OBSERVATION))
    table = confusion(truth, called)
    # Of 8 valid 7 are called so, of 6 invalid 4; the last two are not judged.
    assert two_sides(table).tolist() == [[7, 1], [2, 4]]
    assert overall(two_sides(table)) == pytest.approx(11 / 14)
    assert balanced(two_sides(table)) == pytest.approx((7 / 8 + 4 / 6) / 2)
    assert overall(table) == pytest.approx((6 + 2 + 1) / 14)
    cloud = rates(table)[CLOUD]
    assert (cloud.producers, cloud.users) == (2 / 4, 2 / 3)
    assert cloud.f1 == pytest.approx(2 * 2 / (4 + 3))
    shares = called_invalid(table)
    assert shares[CLEAR] == 1 / 8
    assert shares[CLOUD] == 3 / 4
    assert shares[CLOUD_SHADOW] == 1 / 2
    assert math.isnan(shares[SNOW])
    found = figures(table)
    assert found["judged"] == 14
    assert found["invalid"]["f1"] == pytest.approx(8 / 11, abs=1e-6)
    assert found["confusion"]["cloud_shadow"]["water"] == 1
    assert found["classes"]["snow"]["producers_accuracy"] is None
    assert "thin_cloud" not in found["called_invalid"]


def test_nothing_judged_has_no_figures():
    found = figures(confusion(codes(CLEAR), codes(NO_OBSERVATION)))
    assert found["judged"] == 0
    assert found["balanced_accuracy"] is None
    assert found["confusion"] == {}


def test_balanced_accuracy_is_of_the_sides_that_there_are():
    assert balanced(two_sides(confusion(codes(CLEAR, CLEAR), codes(CLEAR, CLOUD)))) == 0.5


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ([9, 0, 0, 0, 0, 0, 0], NO_OBSERVATION),
        ([9, 0, 1, 0, 0, 0, 0], CLOUD),
        ([0, 8, 8, 0, 0, 0, 0], CLEAR),
        ([0, 7, 3, 3, 3, 0, 0], CLOUD),
        ([0, 7, 2, 3, 4, 0, 0], THIN_CLOUD),
        ([0, 3, 7, 0, 0, 2, 5], WATER),
    ],
)
def test_majority_chooses_the_side_first(pixels, expected):
    assert majority(np.array([pixels])).tolist() == [expected]


def test_edges_are_those_between_sides():
    truth = np.full((5, 9), CLEAR, np.uint8)
    truth[:, 5:] = CLOUD
    truth[:, 7:] = THIN_CLOUD
    truth[0, 0] = SNOW
    away = away_from_edges(truth, 1)
    assert away[0].tolist() == [True] * 4 + [False] * 2 + [True] * 3
    assert away_from_edges(truth, 0).all()
    truth[2, 2] = NO_OBSERVATION
    assert away_from_edges(truth, 1)[2].tolist() == [True, *[False] * 5, True, True, True]


def test_clouds_by_size():
    truth = np.full((10, 10), CLEAR, np.uint8)
    truth[0, 0] = truth[1, 1] = CLOUD  # corners hang together
    truth[4:9, 0:6] = CLOUD
    truth[8, 0] = THIN_CLOUD
    truth[0, 9] = CLOUD
    truth[0, 5] = CLOUD_SHADOW
    called = np.full((10, 10), CLEAR, np.uint8)
    called[0, 0] = CLOUD_SHADOW
    called[4:9, 0:2] = CLOUD
    called[0, 9] = NO_OBSERVATION
    small, large, *rest = by_size(truth, called, 0.04, borders=(1.0, 10.0))
    assert (small.least, small.clouds, small.found, small.pixels, small.hits) == (0, 1, 1, 2, 1)
    assert (large.least, large.clouds, large.found, large.pixels, large.hits) == (1, 1, 0, 30, 10)
    assert [size.clouds for size in rest] == [0]
