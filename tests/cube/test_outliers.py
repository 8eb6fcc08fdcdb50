"""The outlier defence: against a slow reference, by cases, and what a mean becomes with it."""

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cube.composite import Observations
from cube.outliers import OutlierParams, outlier_weights
from cube.periods import Period
from cube.synthesis import composite, day_number, method
from tests.cube import slow_wasp

NODATA = -10000
MAY = Period.parse("2019-05")
CENTRE = day_number(date(2019, 5, 15))
PARAMS = OutlierParams()


def observations(classes, blue, red, nir=None):
    """Series of one pixel, or of many by columns, as observations."""

    def stack(values, dtype):
        array = np.asarray(values, dtype)
        return np.ascontiguousarray(array.reshape(len(array), 1, -1))

    bands = {"blue": stack(blue, np.int16), "red": stack(red, np.int16)}
    bands |= {} if nir is None else {"nir": stack(nir, np.int16)}
    days = CENTRE + np.arange(len(classes), dtype=np.int32)
    return Observations(bands, stack(classes, np.uint8), days, None, bands["blue"])


def weights(classes, blue, red, nir=None, params=PARAMS):
    found = outlier_weights(observations(classes, blue, red, nir), params)
    assert found is not None
    return found[:, 0, 0]


dn = st.one_of(st.integers(1, 1500), st.sampled_from([NODATA, 0, 4000]))
bright = st.one_of(st.integers(1, 5000), st.sampled_from([NODATA, 300]))
one = st.tuples(st.sampled_from([0, 1, 1, 1, 2, 5]), dn, dn, bright)


@given(series=st.lists(one, min_size=1, max_size=9))
def test_it_is_the_slow_rule(series):
    classes, blue, red, nir = (list(each) for each in zip(*series, strict=True))
    np.testing.assert_allclose(
        weights(classes, blue, red, nir),
        slow_wasp.outlier_parts(classes, blue, red, nir, PARAMS),
        atol=1e-5,
    )


def test_a_missed_cloud_counts_nothing_and_the_others_in_full():
    blue = [400, 420, 1800, 380, 410]
    red = [500, 520, 1700, 480, 510]
    np.testing.assert_array_equal(weights([1] * 5, blue, red), [1, 1, 0, 1, 1])


def test_of_two_dates_the_much_hazier_one_loses():
    np.testing.assert_array_equal(weights([1, 1], [400, 1500], [500, 1500]), [1, 0])
    np.testing.assert_array_equal(weights([1, 1], [400, 480], [500, 560]), [1, 1])


def test_one_date_is_kept():
    np.testing.assert_array_equal(weights([1], [3000], [2900]), [1])


def test_haze_of_half_the_way_weighs_half():
    # Haze of four dates 150, of the last 450: 300 above, 1.5 times the limit of 200.
    blue, red = [400, 400, 400, 400, 700], [500] * 5
    np.testing.assert_allclose(weights([1] * 5, blue, red)[-1], 0.5, atol=1e-6)


def test_a_harvest_is_no_cloud():
    # Bare soil is brighter in red as much as in blue.
    blue, red, nir = [300, 310, 900, 920], [250, 260, 1500, 1520], [4500, 4400, 2600, 2500]
    np.testing.assert_array_equal(weights([1] * 4, blue, red, nir), [1, 1, 1, 1])


def test_a_shadow_between_lit_dates_counts_nothing_and_a_change_is_none():
    blue, red = [400, 390, 250, 410, 405], [500, 490, 260, 510, 505]
    shadow = weights([1] * 5, blue, red, [3000, 3100, 1200, 3050, 3000])
    np.testing.assert_array_equal(shadow, [1, 1, 0, 1, 1])
    changed = weights([1] * 5, blue, red, [3000, 3100, 3050, 1200, 1300])
    np.testing.assert_array_equal(changed, [1] * 5)


def test_what_is_not_clear_is_no_reference_and_keeps_its_weight():
    np.testing.assert_array_equal(
        weights([2, 1, 6, 1], [100, 900, 100, 2500], [100, 1000, 100, 2400]), [1, 1, 1, 0]
    )


def test_rows_are_their_part_of_the_whole():
    rng = np.random.default_rng(3)
    shape = (6, 8, 5)
    bands = {name: rng.integers(100, 2500, shape, np.int16) for name in ("blue", "red", "nir")}
    classes = rng.integers(0, 3, shape).astype(np.uint8)
    days = CENTRE + np.arange(6, dtype=np.int32)
    whole = Observations(bands, classes, days, None, bands["blue"])
    found = outlier_weights(whole, PARAMS)
    part = outlier_weights(whole, PARAMS, slice(3, 7))
    assert found is not None
    assert (found < 1).any()
    np.testing.assert_array_equal(part, found[:, 3:7])


def test_a_mean_without_its_cloud():
    shape = (3, 1, 1)
    bands = {
        name: np.array(values, np.int16).reshape(shape)
        for name, values in {"blue": [400, 2400, 400], "red": [500, 2500, 500]}.items()
    }
    wasp = method("wasp")
    ones = np.ones(shape, np.uint8)
    days = np.array([CENTRE - 1, CENTRE, CENTRE + 1], np.int32)

    def red(**given):
        params = wasp.params(date_weight_min=1, **given)
        far = np.ones(shape, np.float32)
        made = composite(wasp, params, MAY, bands, ones, days, far, bands["blue"])
        return made.bands["red"].item(), made.weight.item(), made.clear_count.item()

    assert red() == (500, 2.0, 3)
    assert red(outliers="keep") == (1167, 3.0, 3)
