"""``wasp`` beside a slow reference of its intended formulas, and what its parameters do."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from cube.account import account
from cube.facts import DateFacts
from cube.periods import Period
from cube.synthesis import composite, day_number, method
from tests.cube import slow_wasp

MAY = Period.parse("2019-05")
CENTRE = day_number(date(2019, 5, 15))
WASP = method("wasp")
NODATA = -10000


@st.composite
def series(draw, names=("blue", "rededge2")):
    """Some dates over 2 x 3 pixels, all that ``composite`` may be given."""
    dates = draw(st.integers(1, 6))
    shape = (dates, 2, 3)
    dn = st.one_of(st.just(NODATA), st.integers(-150, 9000))
    bands = {name: draw(hnp.arrays(np.int16, shape, elements=dn)) for name in names}
    away = st.lists(st.integers(-23, 23), min_size=dates, max_size=dates)
    angle = st.tuples(st.floats(0, 79, width=32), st.floats(0, 359, width=32))
    view = st.tuples(st.floats(0, 13, width=32), st.floats(0, 359, width=32))
    facts = [
        DateFacts(
            platform=draw(st.sampled_from(["sentinel-2a", "sentinel-2", "landsat-8"])),
            sun=draw(st.one_of(st.just(()), angle)),
            view=draw(st.one_of(st.just(()), view)),
        )
        for _ in range(dates)
    ]
    weight = st.one_of(st.just(0.0), st.floats(2**-7, 1, width=32))
    aerosol = hnp.arrays(np.int16, shape, elements=st.sampled_from([NODATA, 0, 1, 400, 799, 2000]))
    return (
        bands,
        draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 6))),
        CENTRE + np.array(sorted(draw(away)), np.int32),
        draw(hnp.arrays(np.float32, shape, elements=weight)),
        facts,
        draw(st.one_of(st.none(), aerosol)),
    )


@settings(deadline=None, max_examples=60)
@given(
    series(),
    st.sampled_from(["last", "heaviest"]),
    st.sampled_from([{}, {"sun": "fixed", "sun_zenith": 30.0}, {"brdf": "none"}]),
)
def test_agrees_with_a_reference_in_double_precision(given_series, ground, directions):
    bands, classes, days, cloud, facts, aot = given_series
    params = WASP.params(ground=ground, **directions)
    before = {name: band.copy() for name, band in bands.items()}
    made = composite(WASP, params, MAY, bands, classes, days, cloud, bands["blue"], facts, aot=aot)
    assert all(np.array_equal(bands[name], before[name]) for name in bands)
    to = params.sun_zenith if params.sun == "fixed" else None
    for y, x in np.ndindex(2, 3):
        here = {name: band[:, y, x].astype(float) for name, band in bands.items()}
        for name, dn in here.items():
            for t, fact in enumerate(facts):
                known = fact.sun and fact.view and params.brdf == "roy"
                if known and classes[t, y, x] == 1 and dn[t] != NODATA:
                    azimuth = fact.sun[1] - fact.view[1]
                    dn[t] *= slow_wasp.factor(name, fact.sun[0], fact.view[0], azimuth, to)
        values, weight, day, status, margin = slow_wasp.pixel(
            here,
            classes[:, y, x],
            days,
            cloud[:, y, x].astype(float),
            bands["blue"][:, y, x],
            None if aot is None else aot[:, y, x],
            [fact.platform for fact in facts],
            CENTRE,
            params,
        )
        if margin < 1e-5:
            continue  # land, water and snow weigh the same but for rounding
        assert made.status[y, x] == status
        assert made.weight[y, x] == pytest.approx(weight, rel=1e-5)
        for name, value in values.items():
            stored = made.bands[name][y, x]
            assert (stored == NODATA) if np.isnan(value) else abs(stored - value) <= 1
        assert (made.date[y, x] == NODATA) if np.isnan(day) else abs(made.date[y, x] - day) <= 0.51


@settings(deadline=None, max_examples=60)
@given(series(("blue", "red", "nir", "swir16")))
def test_agrees_with_a_reference_that_lowers_missed_clouds_and_shadows(given_series):
    bands, classes, days, cloud, facts, aot = given_series
    params = WASP.params(brdf="none")
    made = composite(WASP, params, MAY, bands, classes, days, cloud, bands["blue"], facts, aot=aot)
    for y, x in np.ndindex(2, 3):
        here = {name: band[:, y, x].tolist() for name, band in bands.items()}
        codes = classes[:, y, x]
        parts = slow_wasp.outlier_parts(codes, here["blue"], here["red"], here["nir"], params)
        values, weight, _, status, _ = slow_wasp.pixel(
            here, codes, days, cloud[:, y, x].astype(float), here["blue"],
            None if aot is None else aot[:, y, x], [fact.platform for fact in facts], CENTRE,
            params, parts,
        )  # fmt: skip
        assert made.status[y, x] == status
        assert made.weight[y, x] == pytest.approx(weight, rel=1e-5, abs=1e-5)
        for name, value in values.items():
            stored = made.bands[name][y, x]
            assert (stored == NODATA) if np.isnan(value) else abs(stored - value) <= 1


def one(dn, classes, days=None, facts=None, aot=None, **params):
    """One pixel of one band -> dn, weight, date, status."""
    shape = (len(dn), 1, 1)
    days = CENTRE + np.arange(len(dn)) if days is None else days
    made = composite(
        WASP,
        WASP.params(date_weight_min=1, outliers="keep", **params),
        MAY,
        {"red": np.array(dn, np.int16).reshape(shape)},
        np.array(classes, np.uint8).reshape(shape),
        np.array(days, np.int32),
        np.ones(shape, np.float32),
        np.array(dn, np.int16).reshape(shape),
        facts,
        aot=None if aot is None else np.array(aot, np.int16).reshape(shape),
    )
    layers = (made.weight, made.date, made.status)
    return (made.bands["red"].item(), *(layer.item() for layer in layers))


class TestWeights:
    def test_aerosol_lowers_the_weight_and_the_unknown_one_most(self):
        aot = [0, 400, 800, 5000, NODATA]
        dn, weight, *_ = one([0, 0, 0, 0, 1000], [1] * 5, aot=aot)
        assert weight == pytest.approx(1 + 0.665 + 3 * 0.33, abs=1e-6)
        assert dn == round(1000 * 0.33 / (1.665 + 0.99))
        assert one([0], [1], aot=[NODATA], aot_nodata="best")[1] == 1

    def test_without_aerosol_nothing_is_lowered(self):
        assert one([0, 10], [1, 1])[:2] == (5, 2)

    def test_other_satellites_weigh_less(self):
        facts = [DateFacts(platform=name) for name in ("sentinel-2b", "landsat-9", "VENUS", "")]
        dn, weight, *_ = one([0, 1000, 0, 0], [1] * 4, facts=facts)
        assert weight == pytest.approx(3.33)
        assert dn == round(1000 * 0.33 / 3.33)
        assert one([0, 1000], [1, 1], facts=facts[:2], sensor_weight=1)[:2] == (500, 2)


class TestGround:
    def test_the_class_of_most_weight_is_averaged(self):
        # Two dates of water, one of land: land beats all else only by the other rule.
        assert one([100, 300, 900], [6, 6, 1], ground="heaviest") == (200, 2, CENTRE + 1, 3)
        assert one([100, 300, 900], [6, 6, 1])[::3] == (900, 4)

    def test_snow_is_averaged_where_it_was_there_for_longer(self):
        assert one([8000, 8400, 900], [5, 5, 1], ground="heaviest")[::3] == (8200, 2)

    def test_of_equals_land_then_water(self):
        assert one([100, 300, 900], [6, 1, 5], ground="heaviest")[::3] == (300, 4)
        assert one([100, 900], [6, 5], ground="heaviest")[::3] == (100, 3)

    def test_counts_are_those_of_all_classes(self):
        shape = (3, 1, 1)
        made = composite(
            WASP,
            WASP.params(ground="heaviest"),
            MAY,
            {"red": np.full(shape, 5, np.int16)},
            np.array([6, 5, 2], np.uint8).reshape(shape),
            np.full(3, CENTRE, np.int32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.int16),
        )
        assert (made.clear_count.item(), made.total_count.item()) == (2, 3)
        # All weights are 0: as many dates of each, so water, plainly.
        assert (made.status.item(), made.weight.item()) == (3, 0)


class TestCompat:
    def test_it_stands_for_switches_that_can_be_set_alone(self):
        params = WASP.params(compat="wasp-binary")
        assert params.brdf == "wasp"
        assert params.averaging == params.date_weight == "wasp-binary"
        assert (params.small_clouds, params.aot_nodata) == ("drop", "best")
        assert WASP.params(compat="wasp-binary", brdf="none").brdf == "none"
        assert WASP.params.model_validate(params.model_dump()) == params

    def test_whole_days_are_divided(self):
        params = {"date_weight": "wasp-binary", "averaging": "wasp-binary"}
        days = [CENTRE - 23, CENTRE - 22, CENTRE + 22]
        shape = (3, 1, 1)
        made = composite(
            WASP,
            WASP.params(**params),
            MAY,
            {"blue": np.array([0, 100, 101], np.int16).reshape(shape)},
            np.ones(shape, np.uint8),
            np.array(days, np.int32),
            np.ones(shape, np.float32),
            np.zeros(shape, np.int16),
        )
        assert made.weight.item() == 2.5
        # 100 / 1.5 is cut to 66, then (1.5 x 66 + 101) / 2.5 to 80; days of the year alike.
        assert made.bands["blue"].item() == 80

    def test_nothing_over_nothing_is_0_on_land(self):
        made = one([500, 700], [2, 1], averaging="wasp-binary", aot=[0, 0], aot_weight_max=0,
                   aot_weight_min=0)  # fmt: skip
        assert made == (0, 0, day_number(date(2019, 1, 1)), 4)

    def test_below_0_is_nodata(self):
        assert one([-5, 50], [1, 1], averaging="wasp-binary")[:2] == (50, 1)
        assert one([-5, 50], [1, 1])[0] in (22, 23)

    def test_a_fixed_sun_needs_the_kernels_of_roy(self):
        with pytest.raises(ValidationError, match="sun=fixed needs brdf=roy"):
            WASP.params(compat="wasp-binary", sun="fixed")


@pytest.mark.parametrize("ground", ["last", "heaviest"])
@pytest.mark.parametrize("averaging", ["exact", "wasp-binary"])
def test_the_account_ends_at_the_kernels_numbers(ground, averaging):
    """With every factor and the values that were averaged."""
    params = WASP.params(ground=ground, averaging=averaging)
    dn, classes, aot = [310, 420, 8000, 530], [1, 1, 5, 6], [100, NODATA, 0, 200]
    facts = [DateFacts(platform="landsat-8", sun=(50, 150), view=(9, 100))] * 4
    days = [CENTRE - 9, CENTRE, CENTRE + 1, CENTRE + 20]
    cloud = [0.5, 1, 1, 1]
    shape = (4, 1, 1)
    blue = np.array(dn, np.int16).reshape(shape)
    made = composite(
        WASP,
        params,
        MAY,
        {"blue": blue},
        np.array(classes, np.uint8).reshape(shape),
        np.array(days, np.int32),
        np.array(cloud, np.float32).reshape(shape),
        blue,
        facts,
        aot=np.array(aot, np.int16).reshape(shape),
    )
    found = account(WASP, params, MAY, {"blue": dn}, classes, days, cloud, dn, facts, aot=aot)
    assert found.results["blue"].value == made.bands["blue"].item()
    for layer in ("weight", "date", "status", "clear_count", "total_count"):
        assert found.results[layer].value == getattr(made, layer).item()
    first = found.verdicts[0]
    assert first.factors == pytest.approx(
        {"date": 1 - 9 / 46, "cloud": 0.5, "aerosol": 1 - 0.67 / 8, "sensor": 0.33}
    )
    assert first.weight == pytest.approx(np.prod(list(first.factors.values())))
    assert first.corrected == {"blue": round(310 * slow_wasp.factor("blue", 50, 9, 50))}
    # Snow and water are not corrected.
    assert found.verdicts[2].corrected == {}
