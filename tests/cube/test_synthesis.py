import doctest
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cube.synthesis
from cube.errors import BandError, GridError
from cube.periods import Period
from cube.synthesis import composite, day_number, method

NODATA = -10000
MAY = Period.parse("2019-05")
CENTRE = day_number(date(2019, 5, 15))
LAYERS = ("weight", "date", "status", "clear_count", "total_count")


def run(name, bands, classes, days, cloud_weight=None, blue=None, **params):
    """Arguments as lists or arrays -> composite of May 2019; the first band serves as blue."""
    bands = {key: np.asarray(band, np.int16) for key, band in bands.items()}
    classes = np.asarray(classes, np.uint8)
    days = np.asarray(days, np.int32)
    chosen = method(name)
    if chosen.nearness(chosen.params()) and cloud_weight is None:
        cloud_weight = np.ones(classes.shape, np.float32)
    if cloud_weight is not None:
        cloud_weight = np.asarray(cloud_weight, np.float32)
    blue = next(iter(bands.values())) if blue is None else np.asarray(blue, np.int16)
    return composite(chosen, chosen.params(**params), MAY, bands, classes, days, cloud_weight, blue)


def series(name, dn, classes, days=None, weight=None, **params):
    """One pixel, one band -> (dn, weight, date, status, clear count, total count)."""
    column = np.s_[:, np.newaxis, np.newaxis]
    days = CENTRE + np.arange(len(dn)) if days is None else days
    weight = None if weight is None else np.asarray(weight, np.float32)[column]
    dn, classes = np.asarray(dn, np.int16)[column], np.asarray(classes, np.uint8)[column]
    made = run(name, {"red": dn}, classes, days, weight, **params)
    return (made.bands["red"].item(), *(getattr(made, layer).item() for layer in LAYERS))


def test_the_worked_example_of_the_module():
    result = doctest.testmod(cube.synthesis)
    assert result.attempted > 20
    assert result.failed == 0


class TestWasp:
    def test_land_is_the_weighted_mean(self):
        dn, weight, day, *rest = series(
            "wasp", [100, 400], [1, 1], weight=[1, 0.5], date_weight_min=1
        )
        assert (dn, weight, day) == (200, 1.5, CENTRE)
        assert rest == [4, 2, 2]

    def test_dates_weigh_less_away_from_the_15th(self):
        days = [CENTRE - 23, CENTRE, CENTRE + 23]
        dn, weight, day, *_ = series("wasp", [0, 100, 100], [1, 1, 1], days)
        assert (dn, weight, day) == (75, 2.0, CENTRE)

    def test_the_window_includes_its_ends_and_nothing_else(self):
        days = [CENTRE - 24, CENTRE - 23, CENTRE + 23, CENTRE + 24]
        assert series("wasp", [1, 2, 4, 8], [1] * 4, days) == (3, 1.0, CENTRE, 4, 2, 2)

    def test_land_beats_snow_water_and_cloud(self):
        dn, weight, day, status, clear, total = series("wasp", [7, 50, 8, 9], [5, 1, 6, 2])
        assert (dn, status, clear, total) == (50, 4, 3, 4)
        assert day == CENTRE + 1
        assert weight == pytest.approx(1 - 0.5 / 23)

    @pytest.mark.parametrize(("classes", "status"), [([5, 6, 2], 3), ([6, 5, 2], 2)])
    def test_the_last_of_snow_and_water_wins(self, classes, status):
        assert series("wasp", [10, 20, 5], classes) == (20, 0.0, CENTRE + 1, status, 2, 3)

    def test_of_clouds_the_least_blue_and_of_equals_the_first(self):
        assert series("wasp", [30, 20, 20], [2, 3, 4]) == (20, 0.0, CENTRE + 1, 1, 0, 3)

    def test_every_band_shows_the_cloudy_date_that_blue_chose(self):
        bands = {"red": [[[1]], [[2]]], "nir": [[[5]], [[NODATA]]]}
        made = run("wasp", bands, [[[2]], [[2]]], [CENTRE, CENTRE + 1], blue=[[[9]], [[-5]]])
        assert made.bands["red"].item() == 2
        assert made.bands["nir"].item() == NODATA
        assert made.date.item() == CENTRE + 1

    def test_a_cloudy_date_without_blue_comes_last(self):
        bands = {"red": [[[1]], [[2]]]}
        days = [CENTRE, CENTRE + 1]
        made = run("wasp", bands, [[[2]], [[2]]], days, blue=[[[NODATA]], [[32767]]])
        assert made.bands["red"].item() == 2
        made = run("wasp", bands, [[[2]], [[2]]], days, blue=[[[NODATA]], [[NODATA]]])
        assert made.bands["red"].item() == 1

    def test_land_of_zero_weight_is_the_plain_mean(self):
        assert series("wasp", [10, 20, 33], [1, 1, 2], weight=[0, 0, 1]) == (
            15,
            0.0,
            CENTRE + 1,
            4,
            2,
            3,
        )

    def test_slightly_negative_reflectances_are_values(self):
        assert series("wasp", [-20, -10], [1, 1], date_weight_min=1)[0] == -15

    def test_halves_go_to_even(self):
        assert CENTRE % 2 == 1
        assert series("wasp", [1, 2], [1, 1], date_weight_min=1)[:3] == (2, 2.0, CENTRE + 1)
        assert series("wasp", [2, 3], [1, 1], date_weight_min=1)[0] == 2

    def test_nodata_is_left_out_of_its_band_alone(self):
        bands = {"red": [[[10]], [[NODATA]]], "nir": [[[30]], [[50]]]}
        made = run("wasp", bands, [[[1]], [[1]]], [CENTRE, CENTRE], date_weight_min=1)
        assert made.bands["red"].item() == 10
        assert made.bands["nir"].item() == 40
        assert made.weight.item() == 2

    def test_it_refuses_to_work_without_cloud_weights(self):
        zeros = np.zeros((1, 1, 1), np.int16)
        wasp = method("wasp")
        with pytest.raises(BandError, match="cloud_weight"):
            composite(
                wasp,
                wasp.params(),
                MAY,
                {"red": zeros},
                np.zeros(zeros.shape, np.uint8),
                np.zeros(1, np.int32),
                None,
                zeros,
            )


class TestMedian:
    def test_odd_even_and_single(self):
        assert series("median", [30, 10, 20], [1, 1, 1]) == (20, 3.0, CENTRE + 1, 4, 3, 3)
        assert series("median", [30, 10, 20, 17], [1, 1, 1, 1])[0] == 18
        assert series("median", [30, 10], [1, 2]) == (30, 1.0, CENTRE, 4, 1, 2)

    def test_halves_go_to_even(self):
        assert series("median", [1, 2], [1, 1])[0] == 2
        assert series("median", [2, 3], [1, 1])[0] == 2
        assert series("median", [-1, -2], [1, 1])[0] == -2
        assert series("median", [32767, 32766], [1, 1])[0] == 32766

    def test_water_counts_and_names_the_pixel_where_it_is_the_majority(self):
        assert series("median", [10, 20, 30], [6, 6, 1])[3:] == (3, 3, 3)
        assert series("median", [10, 20], [6, 1])[3:] == (4, 2, 2)

    def test_snow_only_where_nothing_else(self):
        assert series("median", [900, 10], [5, 1]) == (10, 1.0, CENTRE + 1, 4, 2, 2)
        assert series("median", [900, 700], [5, 5]) == (800, 2.0, CENTRE + 1, 2, 2, 2)

    def test_clouds_alone_give_no_value(self):
        assert series("median", [9, 9], [2, 4]) == (NODATA, 0.0, NODATA, 1, 0, 2)

    def test_the_calendar_month(self):
        days = [day_number(date(2019, *md)) for md in ((4, 30), (5, 1), (5, 31), (6, 1))]
        assert series("median", [1, 10, 20, 300], [1] * 4, days) == (15, 2.0, CENTRE + 1, 4, 2, 2)


@pytest.mark.parametrize("name", ["median", "wasp"])
class TestBoth:
    def test_no_dates_give_nodata(self, name):
        made = run(name, {"red": np.zeros((0, 2, 3))}, np.zeros((0, 2, 3)), [])
        assert (made.bands["red"] == NODATA).all()
        assert made.bands["red"].shape == (2, 3)
        assert (made.date == NODATA).all()
        for layer in ("weight", "status", "clear_count", "total_count"):
            assert not getattr(made, layer).any()

    def test_dtypes(self, name):
        made = run(name, {"red": np.ones((1, 1, 1))}, np.ones((1, 1, 1)), [CENTRE])
        dtypes = [made.bands["red"].dtype, *(getattr(made, layer).dtype for layer in LAYERS)]
        assert dtypes == [np.int16, np.float32, np.int16, np.uint8, np.uint8, np.uint8]

    def test_a_class_without_data_is_no_observation(self, name):
        assert series(name, [NODATA, 7], [1, 0]) == (NODATA, 0.0, NODATA, 0, 0, 0)

    def test_counts_stop_at_255(self, name):
        days = np.full(300, CENTRE)
        assert series(name, [5] * 300, [1] * 300, days) == (5, 300.0, CENTRE, 4, 255, 255)

    def test_blocks_of_any_size_give_the_same_bits(self, name):
        rng = np.random.default_rng(7)
        shape = (24, 45, 300)
        bands = {"red": rng.integers(-200, 9000, shape), "nir": rng.integers(0, 9000, shape)}
        for band in bands.values():
            band[rng.random(shape) < 0.1] = NODATA
        classes = rng.choice(7, shape, p=[0.1, 0.3, 0.3, 0.1, 0.1, 0.05, 0.05])
        classes[:, :20, :40] = rng.choice([0, 2, 5, 6], (24, 20, 40))
        weight = rng.random(shape, np.float32)
        days = CENTRE + np.arange(24) - 12
        whole = run(name, bands, classes, days, weight)
        for rows in (slice(0, 7), slice(7, 45)):
            for columns in (slice(0, 129), slice(129, 300)):
                at = np.s_[:, rows, columns]
                cut = {key: band[at] for key, band in bands.items()}
                part = run(name, cut, classes[at], days, weight[at])
                for layer in LAYERS:
                    assert np.array_equal(getattr(part, layer), getattr(whole, layer)[at[1:]]), (
                        layer
                    )
                for key, band in part.bands.items():
                    assert np.array_equal(band, whole.bands[key][at[1:]]), key

    def test_arrays_that_do_not_fit_are_refused(self, name):
        good = np.zeros((2, 3, 4))
        with pytest.raises(GridError, match=r"band red is int16 \(2, 3, 5\)"):
            run(name, {"red": np.zeros((2, 3, 5))}, good, [1, 2], blue=good)
        with pytest.raises(GridError, match="2 ascending dates"):
            run(name, {"red": good}, good, [2, 1])
        with pytest.raises(GridError, match="2 ascending dates"):
            run(name, {"red": good}, good, [2])
        with pytest.raises(BandError, match="name at least one"):
            run(name, {}, good, [1, 2], blue=good)

    def test_parameters_of_another_method_are_refused(self, name):
        zeros = np.zeros((1, 1, 1), np.int16)
        other = method("wasp" if name == "median" else "median")
        codes, days = zeros.astype(np.uint8), np.zeros(1, np.int32)
        with pytest.raises(BandError, match="Params"):
            composite(method(name), other.params(), MAY, {"red": zeros}, codes, days, None, zeros)


def slow_wasp(dn, classes, days, weight, blue, least):
    """One pixel, (band, time) dn -> (band) values and layers, in plain float64 Python."""
    seen = [t for t, code in enumerate(classes) if code and (dn[:, t] != NODATA).any()]
    land = [t for t in seen if classes[t] == 1]
    ground = [t for t in seen if classes[t] in (5, 6)]
    counts = (len(land) + len(ground), len(seen))
    if land:
        w = {t: weight[t] * (1 - abs(days[t] - CENTRE) / 23 * (1 - least)) for t in land}
        total = sum(w.values())
        used = w if total > 0 else dict.fromkeys(land, 1.0)
        values = []
        for band in dn:
            valid = [t for t in land if band[t] != NODATA and used[t] > 0]
            above = sum(used[t] * int(band[t]) for t in valid)
            below = sum(used[t] for t in valid)
            values.append(round(above / below) if valid else NODATA)
        day = round(sum(used[t] * days[t] for t in land) / sum(used.values()))
        return values, (total, day, 4, *counts)
    if ground:
        t = ground[-1]
        status = 2 if classes[t] == 5 else 3
    elif seen:
        t = min(seen, key=lambda t: (blue[t] == NODATA, blue[t], t))
        status = 1
    else:
        return [NODATA] * len(dn), (0, NODATA, 0, 0, 0)
    return list(dn[:, t]), (0, days[t], status, *counts)


def slow_median(dn, classes, days):
    """As above for the median."""
    seen = [t for t, code in enumerate(classes) if code and (dn[:, t] != NODATA).any()]
    by_code = {code: [t for t in seen if classes[t] == code] for code in range(7)}
    used = sorted(by_code[1] + by_code[6]) or by_code[5]
    clear, total = len(by_code[1] + by_code[5] + by_code[6]), len(seen)
    if not used:
        return [NODATA] * len(dn), (0, NODATA, 1 if seen else 0, clear, total)
    status = 2
    if by_code[1] or by_code[6]:
        status = 3 if len(by_code[6]) > len(by_code[1]) else 4
    values = []
    for band in dn:
        valid = band[used][band[used] != NODATA]
        values.append(round(float(np.median(valid))) if valid.size else NODATA)
    return values, (len(used), round(sum(days[t] for t in used) / len(used)), status, clear, total)


@st.composite
def cubes(draw):
    """(band, time, y, x) dn, classes, weights, blue and days with ties, gaps and extremes."""
    shape = (draw(st.integers(0, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    values = st.sampled_from([NODATA, -9999, -3, 0, 1, 2, 5, 700, 32766, 32767])
    codes = draw(st.sampled_from([range(7), [5], [2, 3, 4], [0, 1], [5, 6, 2], [1, 6]]))
    dn = draw(hnp.arrays(np.int16, (2, *shape), elements=values))
    classes = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(list(codes))))
    weights = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    weight = draw(hnp.arrays(np.float32, shape, elements=weights))
    blue = draw(hnp.arrays(np.int16, shape, elements=values))
    days = draw(st.lists(st.integers(-14, 16), min_size=shape[0], max_size=shape[0]).map(sorted))
    return dn, classes, weight, blue, CENTRE + np.array(days, np.int32)


def compare(made, at, values, layers, tolerance):
    got = [band[at] for band in made.bands.values()]
    assert np.abs(np.subtract(got, values, dtype=np.int64)).max() <= tolerance
    assert np.abs(int(made.date[at]) - layers[1]) <= tolerance
    assert made.weight[at] == pytest.approx(layers[0], abs=1e-6)
    assert (made.status[at], made.clear_count[at], made.total_count[at]) == layers[2:]


@given(cubes(), st.sampled_from([0.5, 1.0]))
def test_wasp_equals_plain_python(data, least):
    dn, classes, weight, blue, days = data
    bands = {"red": dn[0], "nir": dn[1]}
    made = run("wasp", bands, classes, days, weight, blue, date_weight_min=least, outliers="keep")
    for at in np.ndindex(classes.shape[1:]):
        column = (slice(None), *at)
        slow = slow_wasp(
            dn[:, *column],
            classes[column],
            [int(day) for day in days],
            weight[column].astype(float),
            blue[column],
            least,
        )
        # Dyadic weights sum exactly; the ramp's are rounded to float32 and may turn a tie.
        compare(made, at, *slow, tolerance=0 if least == 1 else 1)


@given(cubes())
def test_median_equals_plain_python(data):
    dn, classes, _, blue, days = data
    made = run("median", {"red": dn[0], "nir": dn[1]}, classes, days, blue=blue)
    for at in np.ndindex(classes.shape[1:]):
        column = (slice(None), *at)
        slow = slow_median(dn[:, *column], classes[column], [int(day) for day in days])
        compare(made, at, *slow, tolerance=0)


@pytest.mark.parametrize("dates", [1, 2, 3, 7, 16, 17, 24, 73])
def test_median_of_many_dates_equals_numpy(dates):
    rng = np.random.default_rng(dates)
    dn = rng.integers(-9999, 32767, (dates, 3, 200), np.int16)
    made = run("median", {"red": dn}, np.ones(dn.shape), np.full(dates, CENTRE))
    assert np.array_equal(made.bands["red"], np.rint(np.median(dn, axis=0)))
