import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.levels import find_levels


def both_ways(pairs):
    return pairs | {(other, one): -step for (one, other), step in pairs.items()}


def test_dates_that_agree_stand_on_the_level_that_costs_least():
    steps = both_ways({(0, 1): 0.1, (1, 2): -0.2})
    assert find_levels([0, 1, 2], steps, lambda _, level: abs(level - 1)) == {0: 1, 1: 1, 2: 1}


def test_the_most_certain_pairs_decide():
    # 0 -> 1 -> 2 is certain; the doubtful pair (0, 2) says otherwise.
    steps = both_ways({(0, 1): -1.0, (1, 2): 0.0, (0, 2): -0.45})
    assert find_levels([0, 1, 2], steps, lambda _, level: abs(level)) == {0: -1, 1: 0, 2: 0}


def test_dates_without_pairs_are_by_themselves():
    assert find_levels([4, 7], {}, lambda date, level: abs(level - (date == 7))) == {4: 0, 7: 1}
    assert find_levels([], {}, lambda *_: 0) == {}


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=20), st.integers(0, 2**32 - 1))
def test_levels_are_found_again_where_noise_is_below_half_a_step(true, seed):
    noise = np.random.default_rng(seed).uniform(-0.4, 0.4, (len(true), len(true)))
    steps = {
        (one, other): true[one] - true[other] + float(noise[one, other])
        for one in range(len(true))
        for other in range(one + 1, min(one + 4, len(true)))
    }
    found = find_levels(range(len(true)), both_ways(steps), lambda d, level: abs(level - true[d]))
    assert found == dict(enumerate(true))


@pytest.mark.parametrize("wrong", [1, -1])
def test_a_block_of_wrong_dates_is_told_by_costs(wrong):
    true = [0] * 6 + [wrong] * 5
    steps = {(d, d + 1): float(true[d] - true[d + 1]) for d in range(10)}
    found = find_levels(range(11), both_ways(steps), lambda _, level: 1.5 * abs(level))
    assert found == dict(enumerate(true))
