"""Medoid, geometric median, best pixel, greenest and clearest date against plain numpy."""

from datetime import date

import geomad
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.composite import WHOLE_SHARE
from cube.errors import BandError, GridError
from cube.facts import DateFacts
from cube.periods import Period
from cube.synthesis import composite, day_number, method, methods

NODATA = -10000
MAY = Period.parse("2019-05")
CENTRE = day_number(date(2019, 5, 15))
NAMES = [each.name for each in methods()]
BANDS = ("blue", "red", "nir")


def run(name, bands, classes, days, *, cloud=None, facts=None, guide=None, **params):
    """Arguments as arrays -> composite of May 2019; without clouds nearby, all dates half clear."""
    used = method(name)
    bands = {key: np.asarray(band, np.int16) for key, band in bands.items()}
    classes = np.asarray(classes, np.uint8)
    if cloud is None and used.nearness(used.params()) is not None:
        cloud = np.ones(classes.shape, np.float32)
    facts = facts or [DateFacts(clear_share=0.5, cloud_share=0.5)] * len(days)
    blue = bands.get("blue", next(iter(bands.values())))
    params = used.params(**params)
    days = np.asarray(days, np.int32)
    return composite(used, params, MAY, bands, classes, days, cloud, blue, facts, guide=guide)


def pixel(name, series, classes, **more):
    """Band -> dn of one pixel; dates from the 15th on -> (dn by band, day of May or None, status)."""
    column = np.s_[:, np.newaxis, np.newaxis]
    days = more.pop("days", CENTRE + np.arange(len(classes)))
    bands = {key: np.asarray(dn, np.int16)[column] for key, dn in series.items()}
    made = run(name, bands, np.asarray(classes)[column], days, **more)
    day = made.date.item()
    values = [band.item() for band in made.bands.values()]
    return values, None if day == NODATA else day - CENTRE + 15, made.status.item()


def stack(seed=5, shape=(11, 40, 70)):
    """(time, y, x) dn by band round a common spectrum, classes with gaps, weights, days, facts."""
    rng = np.random.default_rng(seed)
    bands = {}
    for name in BANDS:
        level = rng.uniform(200, 3000, shape[1:])
        bands[name] = (level + rng.normal(0, 200, shape)).astype(np.int16)
        bands[name][rng.random(shape) < 0.03] = NODATA
    classes = rng.choice(7, shape, p=[0.1, 0.35, 0.25, 0.1, 0.1, 0.05, 0.05])
    classes[:, :9, :20] = rng.choice([0, 2, 3, 4, 5], (shape[0], 9, 20))
    classes[:, 10, :20] = 2
    cloud = rng.random(shape, np.float32)
    days = np.sort(rng.integers(CENTRE - 14, CENTRE + 16, shape[0])).astype(np.int32)
    shares = rng.integers(0, 11, (2, shape[0])) / 10
    facts = [DateFacts(clear_share=a, cloud_share=b) for a, b in shares.T]
    return bands, classes.astype(np.uint8), days, cloud, facts


class TestChoice:
    def test_the_medoid_is_a_date_and_not_the_outlier(self):
        series = {"blue": [300, 310, 2900, 305], "red": [500, 480, 3000, 490]}
        assert pixel("medoid", series, [1, 1, 1, 1]) == ([305, 490], 18, 4)

    def test_of_two_dates_the_medoid_is_the_first(self):
        assert pixel("medoid", {"red": [900, 100]}, [1, 1]) == ([900], 15, 4)

    def test_all_bands_come_from_one_date_and_dates_that_lack_one_are_passed_over(self):
        series = {"red": [100, 101, 700], "nir": [NODATA, 900, 800]}
        assert pixel("medoid", series, [1, 1, 1]) == ([101, 900], 16, 4)
        assert pixel("medoid", {"red": [100], "nir": [NODATA]}, [1]) == ([100, NODATA], 15, 4)

    def test_water_counts_and_snow_only_where_nothing_else(self):
        assert pixel("lcf", {"red": [9, 8]}, [5, 6]) == ([8], 16, 3)
        assert pixel("lcf", {"red": [9, 8]}, [5, 2]) == ([9], 15, 2)

    def test_the_guide_is_followed_where_the_date_may_be_shown(self):
        series = {"red": [100, 101, 102, 900]}
        assert pixel("medoid", series, [1] * 4)[1] == 16
        for guide, day in ((3, 18), (0, 15), (-1, 16)):
            at = np.array([[guide]], np.int16)
            assert pixel("medoid", series, [1] * 4, guide=at)[1] == day
        cloudy = [1, 1, 1, 2]
        assert pixel("medoid", series, cloudy, guide=np.array([[3]], np.int16))[1] == 16

    def test_bap_weighs_cloud_distance_coverage_and_day(self):
        days = [CENTRE, CENTRE + 10]
        near = np.array([0.5, 1.0], np.float32)[:, np.newaxis, np.newaxis]
        facts = [DateFacts(cloud_share=0.4), DateFacts(cloud_share=0.0)]
        column = np.array([1000, 2000], np.int16)[:, np.newaxis, np.newaxis]
        made = run("bap", {"red": column}, np.ones((2, 1, 1)), days, cloud=near, facts=facts)
        scores = [
            (1.0 * 0.5 + 0.5 * 0.6 + 0.8 * 1.0) / 2.3,
            (1.0 * 1.0 + 0.5 * 1.0 + 0.8 * np.exp(-0.5)) / 2.3,
        ]
        assert scores[1] > scores[0]
        assert made.bands["red"].item() == 2000
        assert made.weight.item() == pytest.approx(scores[1], abs=1e-6)
        parts = {"distance_weight": 0.0, "coverage_weight": 0.0}
        made = run("bap", {"red": column}, np.ones((2, 1, 1)), days, facts=facts, **parts)
        assert (made.bands["red"].item(), made.weight.item()) == (1000, 1)

    def test_the_greenest_date(self):
        series = {"red": [500, 200, 100], "nir": [3000, 3000, 4000]}
        assert pixel("max-ndvi", series, [1, 1, 2]) == ([200, 3000], 16, 4)
        dark = {"red": [-5, -6], "nir": [5, 3]}  # sums of 0 and less have no NDVI
        assert pixel("max-ndvi", dark, [1, 1])[1] == 15

    def test_the_clearest_scene_first_and_clouds_where_nothing_is_clear(self):
        facts = [DateFacts(clear_share=share) for share in (0.2, 0.9, 0.5)]
        assert pixel("lcf", {"red": [1, 2, 3]}, [1, 1, 1], facts=facts) == ([2], 16, 4)
        assert pixel("lcf", {"red": [1, 2, 3]}, [1, 2, 1], facts=facts) == ([3], 17, 4)
        assert pixel("lcf", {"red": [1, 2, 3]}, [2, 3, 4], facts=facts) == ([2], 16, 1)

    def test_s2gm_turns_to_the_medoid_from_four_dates_on(self):
        series = {
            "blue": [50, 300, 310, 305],
            "red": [60, 400, 410, 405],
            "nir": [70, 900, 905, 900],
        }
        assert pixel("s2gm", series, [1, 1, 1, 1])[1] == 18
        assert pixel("s2gm", series, [1, 1, 1, 2])[1] == 16  # the greenest
        assert pixel("s2gm", series, [1, 1, 1, 2], green=0.5)[1] == 15  # the darkest
        assert pixel("s2gm", series, [1, 1, 1, 2], medoid_min_obs=3)[1] == 16

    def test_s2gm_shows_the_least_cloudy_class_where_nothing_is_clear(self):
        series = {"blue": [100, 500, 400], "red": [1, 2, 3], "nir": [1, 2, 3]}
        assert pixel("s2gm", series, [2, 4, 4]) == ([400, 3, 3], 17, 1)
        assert pixel("s2gm", series, [2, 3, 2]) == ([500, 2, 2], 16, 1)

    def test_bands_that_decide_must_be_there(self):
        with pytest.raises(BandError, match="max-ndvi: needs red nir"):
            pixel("max-ndvi", {"blue": [1]}, [1])
        with pytest.raises(GridError, match="guide is int16"):
            pixel("medoid", {"red": [1]}, [1], guide=np.zeros((2, 1), np.int16))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([3, 2000]))
def test_the_medoid_equals_plain_numpy(seed, dates, spread):
    rng = np.random.default_rng(seed)
    shape = (dates, 2, 70)
    dn = rng.integers(0, spread, (3, *shape)).astype(np.int16)
    classes = np.where(rng.random(shape) < 0.6, 1, 2)
    made = run("medoid", dict(zip(BANDS, dn, strict=True)), classes, CENTRE + np.arange(dates))
    apart = np.sqrt(((dn[:, :, None].astype(float) - dn[:, None]) ** 2).sum(axis=0))
    apart = np.where((classes == 1)[None], apart, 0)  # (of, to, y, x)
    total = np.zeros(shape)
    for to in range(dates):
        total += apart[:, to]
    total[classes != 1] = np.inf
    expected = np.where(np.isinf(total).all(axis=0), -1, total.argmin(axis=0))
    assert np.array_equal(made.chosen, expected)


class TestGeomedian:
    @staticmethod
    def peers(bands, classes):
        """(y, x, band, time) float32 with NaN, as geomad takes them, in dn."""
        whole = np.all([band != NODATA for band in bands.values()], axis=0)
        ground = np.isin(classes, (1, 6)) & whole
        data = [np.where(ground, band, np.nan) for band in bands.values()]
        return np.ascontiguousarray(np.moveaxis(np.array(data, np.float32), (0, 1), (2, 3)))

    def test_it_is_that_of_geomad(self):
        bands, classes, days, _, _ = stack()
        made = run("geomedian", bands, classes, days, tolerance=1e-6)
        data = self.peers(bands, classes)
        usable = np.isfinite(data).all(axis=2).sum(axis=-1)
        several = usable > 2
        assert several.sum() > 1500
        data = data[several][np.newaxis]
        peer = geomad.nangeomedian_pcm(data, num_threads=1, eps=1e-2, maxiters=100000)
        for index, name in enumerate(bands):
            apart = np.abs(made.bands[name][several] - peer[0, :, index])
            assert apart.max() <= 1.0, name
        for name, function in (
            ("emad", geomad.emad_pcm),
            ("smad", geomad.smad_pcm),
            ("bcmad", geomad.bcmad_pcm),
        ):
            expected = function(data, peer, num_threads=1)[0]
            scale = 1e-4 if name == "emad" else 1
            np.testing.assert_allclose(
                made.further[name][several], expected * scale, rtol=2e-3, atol=1e-4
            )
        assert np.array_equal(made.weight, np.where(made.status == 2, made.weight, usable))

    def test_of_one_or_two_dates_the_mean(self):
        series = {"red": [100, 300, NODATA], "nir": [1000, 2001, 5]}
        assert pixel("geomedian", series, [1, 1, 1]) == ([200, 1500], 16, 4)
        assert pixel("geomedian", series, [1, 2, 1]) == ([100, 1000], 15, 4)

    def test_dates_that_lack_a_band_are_dropped(self):
        assert pixel("geomedian", {"red": [1], "nir": [NODATA]}, [1]) == ([NODATA, NODATA], None, 0)

    def test_where_it_meets_a_date_it_stays_there(self):
        series = {"red": [500, 500, 500, 900, 100], "nir": [2000, 2000, 2000, 2100, 1200]}
        assert pixel("geomedian", series, [1] * 5)[0] == [500, 2000]
        assert pixel("geomedian", {"red": [7] * 4}, [1] * 4)[0] == [7]

    @settings(max_examples=40)
    @given(st.integers(0, 10**6), st.integers(3, 9))
    def test_no_spectrum_is_nearer_to_the_dates(self, seed, dates):
        rng = np.random.default_rng(seed)
        dn = rng.integers(0, 5000, (3, dates)).astype(np.int16)
        made = run(
            "geomedian",
            dict(zip(BANDS, dn[:, :, None, None], strict=True)),
            np.ones((dates, 1, 1)),
            CENTRE + np.arange(dates),
        )
        found = np.array([band.item() for band in made.bands.values()], float)

        def total(spectrum):
            return np.sqrt(((dn - spectrum[:, None]) ** 2).sum(axis=0)).sum()

        # Rounded to whole dn: 0.5 in each band moves every distance by less than 0.87.
        nearby = found[:, None] + rng.normal(0, 60, (3, 200))
        others = np.concatenate([nearby, dn], axis=1)
        assert total(found) <= min(total(other) for other in others.T) + 0.87 * dates


@pytest.mark.parametrize("name", NAMES)
class TestEveryMethod:
    def test_blocks_of_any_size_give_the_same_bits(self, name):
        bands, classes, days, cloud, facts = stack()
        guide = None
        if method(name).together:
            guide = np.random.default_rng(1).integers(-1, len(days), classes.shape[1:], np.int16)
        whole = run(name, bands, classes, days, cloud=cloud, facts=facts, guide=guide)
        shares = np.zeros(len(days), np.int64)
        for rows in (slice(0, 13), slice(13, 40)):
            for columns in (slice(0, 33), slice(33, 70)):
                at = np.s_[:, rows, columns]
                part = run(
                    name,
                    {key: band[at] for key, band in bands.items()},
                    classes[at],
                    days,
                    cloud=cloud[at],
                    facts=facts,
                    guide=None if guide is None else guide[at[1:]],
                )
                shares += part.shares
                for layer in ("weight", "date", "status", "clear_count", "total_count", "chosen"):
                    assert np.array_equal(getattr(part, layer), getattr(whole, layer)[at[1:]])
                for key, band in {**part.bands, **part.further}.items():
                    full = {**whole.bands, **whole.further}[key]
                    assert np.array_equal(band, full[at[1:]], equal_nan=key in part.further), key
        assert np.array_equal(shares, whole.shares)

    def test_shares_are_what_each_date_gave(self, name):
        bands, classes, days, cloud, facts = stack()
        whole = run(name, bands, classes, days, cloud=cloud, facts=facts)
        shown = np.any([band != NODATA for band in whole.bands.values()], axis=0)
        assert whole.shares.sum() / WHOLE_SHARE == pytest.approx(shown.sum(), abs=0.01)
        if (whole.chosen >= 0).any() and name != "wasp":
            counts = np.bincount(whole.chosen[whole.chosen >= 0], minlength=len(days))
            assert np.array_equal(whole.shares, counts * WHOLE_SHARE)
            at = np.nonzero(whole.chosen >= 0)
            for key, band in whole.bands.items():
                assert np.array_equal(band[at], bands[key][whole.chosen[at], *at]), key
            assert np.array_equal(whole.date[at], days[whole.chosen[at]])

    def test_counts_are_the_same_whatever_the_method(self, name):
        bands, classes, days, cloud, facts = stack()
        whole = run(name, bands, classes, days, cloud=cloud, facts=facts)
        seen = np.any([band != NODATA for band in bands.values()], axis=0)
        assert np.array_equal(whole.total_count, ((classes > 0) & seen).sum(axis=0))
        assert np.array_equal(whole.clear_count, (np.isin(classes, (1, 5, 6)) & seen).sum(axis=0))
        assert not whole.weight[whole.status < 2].any()

    def test_without_a_clear_date_the_status_says_so(self, name):
        bands, classes, days, cloud, facts = stack()
        hidden = np.where(np.isin(classes, (1, 5, 6)), 2, classes)
        whole = run(name, bands, hidden, days, cloud=cloud, facts=facts)
        assert set(np.unique(whole.status)) <= {0, 1}
        assert not whole.clear_count.any()
        assert not whole.weight.any()

    def test_no_dates_give_nodata(self, name):
        empty = {key: np.zeros((0, 2, 3)) for key in BANDS}
        whole = run(name, empty, np.zeros((0, 2, 3)), [])
        assert all((band == NODATA).all() for band in whole.bands.values())
        assert not whole.status.any()
        assert whole.shares.size == 0


def test_shares_by_weight():
    column = np.s_[:, np.newaxis, np.newaxis]
    red = np.array([100, 200, 300], np.int16)[column]
    cloud = np.array([1, 0.5, 0.5], np.float32)[column]
    classes = np.ones((3, 1, 1))
    made = run("wasp", {"red": red}, classes, [CENTRE] * 3, cloud=cloud, date_weight_min=1)
    assert made.shares.tolist() == [WHOLE_SHARE // 2, WHOLE_SHARE // 4, WHOLE_SHARE // 4]
    made = run("median", {"red": red}, np.array([1, 6, 2])[column], [CENTRE] * 3)
    assert made.shares.tolist() == [WHOLE_SHARE // 2, WHOLE_SHARE // 2, 0]
