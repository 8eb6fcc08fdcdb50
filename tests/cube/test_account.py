import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cube.account import account
from cube.composite import Method
from cube.errors import GridError
from cube.facts import DateFacts
from cube.kernels.composite import mark_data
from cube.methods import method, methods
from cube.periods import Period
from cube.synthesis import composite, day_number

NODATA = -10000
MAY = Period.parse("2019-05")
CENTRE = day_number(MAY.centre)


def explained(name, bands, classes, days=None, cloud=None, blue=None, **params):
    """Account of one pixel of May 2019; the first band serves as blue."""
    chosen = method(name) if isinstance(name, str) else name
    bands = bands if isinstance(bands, dict) else {"red": bands}
    first = next(iter(bands.values()))
    days = [CENTRE + i for i in range(len(first))] if days is None else days
    cloud = [1.0] * len(first) if cloud is None and chosen.nearness(chosen.params()) else cloud
    params = chosen.params(**params)
    return account(chosen, params, MAY, bands, classes, days, cloud, blue or first)


def kept(found):
    return [verdict.kept for verdict in found.verdicts]


def reasons(found):
    return [verdict.reason for verdict in found.verdicts]


class TestWasp:
    def test_a_weighted_mean_with_its_numbers(self):
        found = explained("wasp", [100, 400, 900], [1, 1, 2], cloud=[1, 0.5, 1], date_weight_min=1)
        assert kept(found) == [True, True, False]
        assert reasons(found) == ["clear", "clear", "cloud"]
        assert [v.weight for v in found.verdicts] == [1.0, 0.5, 1.0]
        assert found.verdicts[1].factors == {
            "date": 1.0,
            "sensor": 1.0,
            "cloud": 0.5,
            "outlier": 1.0,
        }
        red = found.results["red"]
        # (100 + 0.5 x 400) / 1.5
        assert (red.value, red.dates, red.dropped) == (200, (0, 1), {})
        assert red.formula == "sum(weight x value) / sum(weight) = 0.030000 / 1.5 over 2 dates"
        assert found.results["weight"].value == 1.5
        # (0 + 0.5 x 1) / 1.5 days after the first
        assert found.results["date"].value == CENTRE
        assert [found.results[n].value for n in ("status", "clear_count", "total_count")] == [
            4,
            2,
            3,
        ]
        assert found.results["total_count"].dates == (0, 1, 2)

    def test_the_date_weight_falls_to_the_end_of_the_window(self):
        days = [CENTRE - 24, CENTRE - 23, CENTRE, CENTRE + 24]
        found = explained("wasp", [1, 2, 5, 9], [1, 1, 1, 1], days)
        assert kept(found) == [False, True, True, False]
        assert reasons(found)[0] == "outside the window, 2019-04-22 to 2019-06-07"
        assert [v.weight for v in found.verdicts] == [None, 0.5, 1.0, None]
        assert found.results["red"].value == 4
        assert found.results["red"].dates == (1, 2)

    def test_nodata_is_left_out_of_its_band_alone(self):
        bands = {"red": [10, NODATA], "nir": [30, 50]}
        found = explained("wasp", bands, [1, 1], [CENTRE, CENTRE])
        assert found.results["red"].value == 10
        assert found.results["red"].dropped == {1: "nodata in this band"}
        assert found.results["nir"].value == 40

    def test_snow_and_water_give_way_to_land(self):
        found = explained("wasp", [7, 50, 8], [5, 1, 6])
        assert reasons(found) == [
            "snow, while land was seen",
            "clear",
            "water, while land was seen",
        ]
        assert found.results["red"].value == 50

    def test_without_land_the_last_snow_or_water_is_shown(self):
        found = explained("wasp", [10, 20, 5], [5, 6, 2])
        assert kept(found) == [False, True, False]
        assert reasons(found)[1] == "water, the last such date; no clear land"
        assert found.results["red"].value == 20
        assert found.results["red"].formula == "the value of 2019-05-16"
        assert found.results["status"].value == 3

    def test_never_clear_shows_the_least_blue(self):
        found = explained("wasp", [30, 20, 20], [2, 3, 4], blue=[NODATA, 90, 90])
        assert kept(found) == [False, True, False]
        assert reasons(found)[1] == "cloud shadow, blue 0.0090, the least; never seen clear"
        assert reasons(found)[0] == "cloud, blue nodata"
        assert found.results["status"].value == 1

    def test_weights_of_zero_alone_give_the_plain_mean(self):
        found = explained("wasp", [10, 20], [1, 1], cloud=[0, 0])
        assert found.results["red"].value == 15
        assert found.results["weight"].value == 0
        assert found.results["red"].formula.startswith("mean, as all weights are 0: 0.003000 / 2")

    def test_one_weight_of_zero_drops_its_date(self):
        found = explained("wasp", [10, 20], [1, 1], cloud=[0, 1])
        assert kept(found) == [False, True]
        assert reasons(found)[0] == "clear, but of weight 0"


class TestMedian:
    def test_a_median_with_its_numbers(self):
        found = explained("median", [300, 100, 200, 170], [1, 6, 1, 1])
        assert kept(found) == [True] * 4
        # (170 + 200) / 2
        red = found.results["red"]
        assert (red.value, red.dates) == (185, (0, 1, 2, 3))
        assert red.formula.startswith("median of 0.0100 0.0170 0.0200 0.0300, over 4 dates")
        assert [v.weight for v in found.verdicts] == [None] * 4
        assert found.results["weight"].value == 4

    def test_why_dates_are_dropped(self):
        found = explained("median", [1, 2, 3, 4, 5, NODATA], [1, 2, 3, 4, 5, 1])
        assert reasons(found) == [
            "clear",
            "cloud",
            "cloud shadow",
            "thin cloud",
            "snow, while land or water was seen",
            "no data in any band",
        ]
        assert found.results["red"].formula == "the only value, 0.0001"
        assert found.results["total_count"].value == 5

    def test_cloud_alone_is_nodata(self):
        found = explained("median", [30, 40], [2, 0])
        assert reasons(found) == ["cloud", "no observation"]
        assert found.results["red"].value == NODATA
        assert found.results["red"].formula == "nodata: no date is kept"
        assert found.results["status"].value == 1
        assert found.results["date"].value == NODATA

    def test_a_date_of_the_month_before_is_outside(self):
        found = explained("median", [30, 40], [1, 1], [CENTRE - 15, CENTRE])
        assert kept(found) == [False, True]
        assert reasons(found)[0] == "outside the window, 2019-05-01 to 2019-05-31"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("geomedian", "nodata in a band"),
        ("bap", "nodata in a band, while other dates have all"),
    ],
)
def test_snow_without_a_band_is_not_dropped_for_land_that_nobody_saw(name, reason):
    bands = {"red": [800, 810], "nir": [NODATA, 700]}
    found = explained(name, bands, [5, 5])
    assert kept(found) == [False, True]
    assert reasons(found)[0] == reason
    assert found.results["status"].value == 2


class Nothing(BaseModel):
    """No parameters."""


def _greatest(observations, _period, _params, out):
    """The greatest clear value; status and the other layers are left as they are."""
    observed = np.zeros(observations.classes.shape, bool)
    for name, band in observations.bands.items():
        mark_data(band, 0, observed)
        values = np.where(observations.classes == 1, band, NODATA)
        out.bands[name][...] = values.max(axis=0, initial=NODATA)


GREATEST = Method(
    "greatest",
    "1",
    "Greatest",
    Nothing,
    lambda p, _: (p.start, p.last),
    _greatest,
)


def test_a_method_that_says_nothing_is_asked_through_its_kernel():
    found = explained(GREATEST, [100, 900, 200, 50, 5000], [1, 1, 1, 0, 2])
    assert found.results["red"].value == 900
    assert found.results["red"].formula == "what greatest gives; it does not explain itself"
    assert kept(found) == [None, True, None, False, None]
    assert reasons(found) == [
        "without it every band would be the same",
        "without it red would be 0.0200",
        "without it every band would be the same",
        "no observation",
        "without it every band would be the same",
    ]


def test_dates_that_do_not_fit_are_refused():
    with pytest.raises(GridError, match="as many values"):
        explained("median", [1, 2], [1])
    with pytest.raises(GridError, match="in order of time"):
        explained("median", [1, 2], [1, 1], [CENTRE, CENTRE - 1])


@st.composite
def stacks(draw):
    """A pixel's dates: two bands, classes, days beyond the window, weights with zeros."""
    n = draw(st.integers(0, 9))
    dn = st.one_of(st.just(NODATA), st.integers(-300, 32767))

    def values(of):
        return draw(st.lists(of, min_size=n, max_size=n))

    bands = {"red": values(dn), "nir": values(dn)}
    days = sorted(values(st.integers(CENTRE - 30, CENTRE + 30)))
    weights = values(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32)))
    tenths = st.integers(0, 10).map(lambda n: n / 10)
    # Few classes at a time, so that pixels without land come up as well.
    codes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    facts = values(st.builds(DateFacts, clear_share=tenths, cloud_share=tenths))
    guide = draw(st.none() | st.integers(-1, n - 1))
    return bands, values(st.sampled_from(codes)), days, weights, values(dn), facts, guide


@pytest.mark.parametrize("name", [*(known.name for known in methods()), "greatest"])
@given(stack=stacks())
def test_the_account_ends_at_the_kernels_numbers(name, stack):
    bands, classes, days, weights, blue, facts, guide = stack
    chosen = GREATEST if name == "greatest" else method(name)
    cloud = weights if chosen.nearness(chosen.params()) else None
    guide = guide if chosen.together else None
    given = (chosen, chosen.params(), MAY, bands, classes, days, cloud, blue, facts)
    found = account(*given, guide=guide)
    column = np.s_[:, np.newaxis, np.newaxis]
    made = composite(
        chosen,
        chosen.params(),
        MAY,
        {key: np.array(band, np.int16)[column] for key, band in bands.items()},
        np.array(classes, np.uint8)[column],
        np.array(days, np.int32),
        None if cloud is None else np.array(cloud, np.float32)[column],
        np.array(blue, np.int16)[column],
        facts,
        guide=None if guide is None else np.array([[guide]], np.int16),
    )
    for band in bands:
        apart = abs(found.results[band].value - made.bands[band].item())
        assert apart <= found.tolerance
    assert found.chosen == (made.chosen.item() if made.chosen.item() >= 0 else None)
    for layer, values in made.further.items():
        told = found.results[layer].value
        np.testing.assert_allclose(values.item(), told, rtol=0.02, atol=1e-4)
    for layer in ("weight", "date", "status", "clear_count", "total_count"):
        assert found.results[layer].value == getattr(made, layer).item(), layer
    assert len(found.verdicts) == len(days)
    for band in bands:
        for date in found.results[band].dates:
            assert found.verdicts[date].kept
            assert bands[band][date] != NODATA
