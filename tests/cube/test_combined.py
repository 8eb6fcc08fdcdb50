"""The method ``combined``: against plain numpy, on made-up scenes, and on a labelled real series."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, THIN_CLOUD, WATER
from cube.confusion import INVALID, confusion, figures
from cube.detectors import detector
from cube.detectors.combined import BANDS, CombinedParams, detect, halo, provisional
from cube.errors import MaskError
from cube.landscape import COVERS, coarsen
from cube.masks import decode
from cube.opinions import true_classes
from cube.temporal import Series
from cube.testing import Angles, CloudLayer, build_landscape, simulate_scene

_spec = importlib.util.spec_from_file_location(
    "labelled", Path(__file__).with_name("labelled_series.py")
)
labelled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(labelled)

NODATA = -10000
PARAMS = CombinedParams()


# --- the rules in plain numpy ---------------------------------------------------------------------


def window_sums(values, radius):
    """(time, y, x) -> sums over squares, clipped at the edges."""
    _, rows, columns = values.shape
    padded = np.pad(values.astype(np.int64), ((0, 0), (radius, radius), (radius, radius)))
    steps = range(2 * radius + 1)
    return sum(padded[:, i : i + rows, j : j + columns] for i in steps for j in steps)


def middle(values):
    ordered = sorted(int(v) for v in values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def references(clear, index, bands, days, reach):
    """What the pixel's clear neighbours in time say; pixel by pixel, date by date."""
    haze = np.zeros(index.shape, np.int64)
    known = np.zeros(index.shape, bool)
    usual, least = (np.zeros((2, *index.shape), np.int64) for _ in range(2))
    for t, y, x in np.ndindex(index.shape):
        good = np.flatnonzero(clear[:, y, x])
        before = [u for u in good[good < t][-4:] if days[t] - days[u] <= reach]
        after = [u for u in good[good > t][:4] if days[u] - days[t] <= reach]
        both = before + after
        if not both:
            continue
        known[t, y, x] = True
        haze[t, y, x] = sorted(index[both, y, x])[int(0.3 * (len(both) - 1))]
        for band, values in enumerate(bands):
            usual[band, t, y, x] = middle(values[both, y, x])
            least[band, t, y, x] = min(middle(values[s, y, x]) for s in (before, after) if s)
    return haze, known, usual, least


def slow(series, params):
    """The rules of the method as its text has them, in reflectance x 20000 for haze."""
    blue, green, red, nir, swir = (series.bands[name].astype(np.int64) for name in BANDS)
    observed = np.all([series.bands[name] != NODATA for name in BANDS], axis=0)
    index, radius = 2 * blue - red, params.radius
    base = np.zeros(blue.shape[1:], np.int64)
    for y, x in np.ndindex(base.shape):
        seen = np.sort(index[observed[:, y, x], y, x])
        base[y, x] = seen[int(0.15 * (len(seen) - 1))] if len(seen) else 0
    clear = observed & (index < base + 800)
    count = window_sums(observed, radius)
    said = np.zeros(blue.shape, bool)
    if series.classes is not None:
        cloudy = observed & np.isin(series.classes, (CLOUD, THIN_CLOUD))
        said = 2 * window_sums(cloudy, radius) > count
    limit = np.where(said, round(20000 * params.haze_said), round(20000 * params.haze))
    snowy = observed & (green - swir > 0.4 * (green + swir)) & (red > 1200) & (swir < 1600)
    for _ in range(params.rounds):
        haze, known, usual, least = references(clear, index, (nir, swir), series.days, params.reach)
        known &= observed
        reference = np.where(known, haze, base)
        # Light and view change bright ground: a quarter of what its haze index has above 0.05.
        reference += np.maximum(reference - 1000, 0) // 4
        excess = np.where(observed, index - reference, 0).clip(-32768, 32767)
        above = window_sums(excess, radius)
        cloud = observed & (((above > limit * count) & (3 * excess > limit)) | (excess > 800))
        snow = snowy & (~cloud | (known & ~said & (swir <= usual[1])))
        cloud &= ~snow
        dim = [nir, swir, *least, *usual]
        n, s, n_least, s_least, n_usual, s_usual = (
            window_sums(np.where(known, values, 0), radius).astype(float) for values in dim
        )
        seed = known & (n * s < params.shadow**2 * (n_least * s_least))
        seed &= (n < 0.9 * n_least) & (s < 0.9 * s_least)
        seed &= n_least - n > 200 * window_sums(known, radius)
        rim = known & (n * s < params.shadow_rim**2 * (n_usual * s_usual))
        rim &= (n < 0.95 * n_usual) & (s < 0.95 * s_usual)
        rim &= window_sums(seed, radius) >= 0.2 * count
        shadow = ~cloud & ~snow & (seed | rim)
        clear = observed & ~cloud & ~shadow & ~snow
    found = np.where(observed, CLEAR, NO_OBSERVATION)
    found[clear & (red < 500) & (nir < 1.01 / 0.99 * red)] = WATER
    found[snow] = SNOW
    found[shadow] = CLOUD_SHADOW
    thick = (above > 2000 * count) | (excess > 4000)
    found[cloud] = np.where(thick, CLOUD, THIN_CLOUD)[cloud]
    return found


def random_series(seed, dates, shape, mask=True):
    """Two covers under hard-edged clouds and shadows, gaps, and values that no ground has."""
    rng = np.random.default_rng(seed)
    size = (dates, *shape)
    ground = {"blue": 400, "green": 700, "red": 600, "nir08": 3000, "swir16": 2000}
    kind = rng.choice(5, size, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    lumps = kind[:, ::2, ::2].repeat(2, 1).repeat(2, 2)[:, : shape[0], : shape[1]]
    factor = np.array([1.0, 1.0, 0.45, 1.0, 1.0])[lumps]
    haze = np.array([0, 2500, 0, 250, 6000])[lumps]
    absent = rng.random(size) < 0.05
    bands = {}
    for name, level in ground.items():
        cover = level * rng.choice([0.6, 1.0], shape)
        white = haze * (0.2 if name == "swir16" else 1.0)
        noise = rng.normal(0, 60, size)
        values = (cover * factor + white + noise).round().clip(-9999, 32767).astype(np.int16)
        values[rng.random(size) < 0.01] = 32767
        values[absent] = NODATA
        bands[name] = values
    days = np.cumsum(rng.integers(1, 40, dates)).astype(np.int32)
    classes = rng.choice(np.array([0, 1, 2, 4], np.uint8), size) if mask else None
    return Series(bands, days, classes)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    dates=st.integers(8, 16),
    side=st.integers(1, 7),
    mask=st.booleans(),
    radius=st.integers(0, 2),
    reach=st.sampled_from([20, 120, 400]),
)
def test_kernels_do_what_plain_numpy_does(seed, dates, side, mask, radius, reach):
    series = random_series(seed, dates, (side, 8 - side), mask)
    params = CombinedParams(radius=radius, reach=reach, rounds=1 + radius)
    assert np.array_equal(detect(series, params), slow(series, params))


@pytest.mark.parametrize("block", [9, 16])
def test_blocks_with_their_halo_equal_the_whole(block):
    series = random_series(3, 40, (40, 33))
    whole = detect(series, PARAMS)
    assert (np.bincount(whole.ravel(), minlength=7)[:5] > 20).all()
    edge = halo(PARAMS)
    assert edge == 8
    for y in range(0, 40, block):
        for x in range(0, 33, block):
            top, left = max(0, y - edge), max(0, x - edge)
            part = (slice(None), slice(top, y + block + edge), slice(left, x + block + edge))
            cut = Series(
                {name: np.ascontiguousarray(band[part]) for name, band in series.bands.items()},
                series.days,
                np.ascontiguousarray(series.classes[part]),
            )
            made = detect(cut, PARAMS)[:, y - top :, x - left :][:, :block, :block]
            assert np.array_equal(made, whole[:, y : y + block, x : x + block])


# --- what may and may not be called cloud ---------------------------------------------------------


def steady(dates=24, side=12, **levels):
    """The same ground every ten days, without noise."""
    ground = {"blue": 500, "green": 800, "red": 600, "nir08": 3000, "swir16": 2000} | levels
    shape = (dates, side, side)
    bands = {name: np.full(shape, level, np.int16) for name, level in ground.items()}
    return Series(bands, (17000 + 10 * np.arange(dates)).astype(np.int32))


def test_haze_and_darkness_of_one_date():
    series = steady()
    for name, rise in {"blue": 400, "green": 350, "red": 200, "nir08": 150, "swir16": 50}.items():
        series.bands[name][10] += rise
    for name in BANDS:
        series.bands[name][15] = series.bands[name][15] // 2
    classes = detect(series, PARAMS)
    # 400 - 200 / 2 is 0.03, which is not above 0.03.
    assert (classes[10] == CLEAR).all()
    series.bands["blue"][10] += 1
    classes = detect(series, PARAMS)
    assert (classes[10] == THIN_CLOUD).all()
    assert (classes[15] == CLOUD_SHADOW).all()
    assert (np.delete(classes, [10, 15], axis=0) == CLEAR).all()


def test_a_mask_halves_the_haze_that_is_needed():
    series = steady()
    series.bands["blue"][10:12] += 160
    said = np.full(series.bands["blue"].shape, CLEAR, np.uint8)
    said[10] = THIN_CLOUD
    said[20] = CLOUD  # and what it says alone is not believed
    classes = detect(replace(series, classes=said), PARAMS)
    assert (classes[10] == THIN_CLOUD).all()
    assert (np.delete(classes, 10, axis=0) == CLEAR).all()


@pytest.mark.parametrize(
    "levels",
    [
        {"blue": 4300, "green": 4600, "red": 4800, "nir08": 5100, "swir16": 4800},  # a bright roof
        {"blue": 120, "green": 180, "red": 120, "nir08": 500, "swir16": 250},  # dark conifers
        {"blue": 460, "green": 430, "red": 270, "nir08": 100, "swir16": 50},  # water
    ],
)
def test_steady_ground_is_clear_however_bright_or_dark(levels):
    series = steady(**levels)
    for name in BANDS:
        wave = 1 + 0.15 * np.sin(np.arange(24) / 3)[:, np.newaxis, np.newaxis]
        series.bands[name][:] = series.bands[name] * wave
    classes = detect(series, PARAMS)
    assert np.isin(classes, (CLEAR, WATER)).all()
    assert (classes == WATER).all() == (levels["nir08"] == 100)


def test_ground_that_changes_for_good_is_no_shadow():
    series = steady()
    series.bands["nir08"][12:] = 1200  # ploughed: from crop to wet dark soil
    series.bands["red"][12:] = 900
    series.bands["blue"][12:] = 600
    series.bands["swir16"][12:] = 1300
    assert (detect(series, PARAMS) == CLEAR).all()


def test_snow_is_ground_and_told_from_cloud_by_what_it_does_in_the_swir():
    series = steady()
    snow = {"blue": 7000, "green": 7000, "red": 6800, "nir08": 6000, "swir16": 900}
    cloud = {"blue": 7000, "green": 7000, "red": 6800, "nir08": 6500, "swir16": 4000}
    for name in BANDS:
        series.bands[name][8] = snow[name]
        series.bands[name][9] = cloud[name]
    classes = detect(series, PARAMS)
    assert (classes[8] == SNOW).all()
    assert (classes[9] == CLOUD).all()
    said = np.full(series.bands["blue"].shape, CLEAR, np.uint8)
    said[8] = CLOUD
    assert (detect(replace(series, classes=said), PARAMS)[8] == CLOUD).all()


def test_small_clouds_are_found_and_gaps_stay_gaps():
    series = steady()
    for name in BANDS:
        series.bands[name][5, 6, 6] += 2000
    series.bands["blue"][9, 6, 6] += 401
    series.bands["blue"][13, 6, 6] += 400
    series.bands["swir16"][7, 3] = NODATA
    classes = detect(series, PARAMS)
    assert classes[5, 6, 6] != CLEAR
    assert (classes[5] != CLEAR).sum() == 1
    assert classes[9, 6, 6] == THIN_CLOUD
    assert (classes[13] == CLEAR).all()
    assert (classes[7, 3] == NO_OBSERVATION).all()
    assert (classes[7, :3] == CLEAR).all()


def test_short_series_are_refused_and_ends_are_provisional():
    with pytest.raises(MaskError, match="needs 8 dates or more, not 7"):
        detect(steady(7), PARAMS)
    assert provisional(steady(8).days, PARAMS).all()
    ends = provisional(steady(30, 2).days, PARAMS)
    assert ends.tolist() == [True] * 12 + [False] * 6 + [True] * 12
    assert detector("combined").params().window == 12


@pytest.fixture(scope="module")
def season():
    """A year of a simulated countryside, every eighth day: bands, truth, cover at 20 m."""
    land = build_landscape((160, 160), 5)
    rng = np.random.default_rng(5)
    bands = {name: [] for name in BANDS}
    truth, scl, days = [], [], np.arange(4, 365, 8)
    for number, day in enumerate(days):
        zenith = 47 - 24 * np.sin(np.pi * (day - 80) / 182.5)
        layers = [
            (),
            (),
            (CloudLayer(1.0, 1500),),
            (CloudLayer(rng.uniform(0.2, 0.7), rng.uniform(800, 2500)),),
            (CloudLayer(0.8, 9000, 0.3, 2.0),),
        ][number % 5]
        scene = simulate_scene(
            land, day, Angles(zenith, 155, 5, 100), layers, seed=number, bands=BANDS
        )
        for name in BANDS:
            seen = scene.seen[name]
            seen = coarsen(seen, 2) if seen.shape == land.shape else seen
            bands[name].append(np.rint(seen * 10000).clip(-9999, 32767).astype(np.int16))
        truth.append(true_classes(land, scene.sky, scene.observed, 2))
        scl.append(scene.scl)
    stacked = {name: np.stack(band) for name, band in bands.items()}
    classes = decode("scl", {"scl": np.stack(scl)})
    return Series(stacked, days.astype(np.int32), classes), np.stack(truth), land.cover[::2, ::2]


def test_a_simulated_year(season):
    series, truth, cover = season
    invalid = np.isin(truth, INVALID)
    assert 0.35 < invalid.mean() < 0.5
    classes = detect(series, PARAMS)
    found = figures(confusion(truth, classes))
    assert found["balanced_accuracy"] > 0.95
    assert found["called_invalid"]["cloud"] > 0.995
    assert found["called_invalid"]["clear"] < 0.025
    # Where no cloud is within the scene nothing is lost: crops, harvest, woods, water, roofs.
    open_sky = ~invalid.any(axis=(1, 2))
    assert open_sky.sum() == 19
    lost = np.isin(classes[open_sky], INVALID)
    for number, name in enumerate(COVERS):
        here = cover == number
        if here.any():
            assert lost[:, here].mean() < 0.002, name
    # Without the single-date mask a little less of the thin clouds is found.
    alone = figures(confusion(truth, detect(replace(series, classes=None), PARAMS)))
    assert alone["balanced_accuracy"] > 0.95


# --- the labelled real series ---------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_series(shared):
    """72 dates west of Brussels, cells of 80 m labelled by eye; see the table in the design."""
    bands, days, scl = labelled.read_series(shared / "s2-l2a-31UES")
    classes = detect(Series(bands, days, decode("scl", {"scl": scl})), PARAMS)
    found = labelled.judge(classes, labelled.read_labels(shared / "s2-l2a-31UES"))
    assert found["judged"] == 3942
    assert found["balanced_accuracy"] == pytest.approx(0.990, abs=0.001)
    shares = found["called_invalid"]
    assert shares["clear"] < 0.01
    assert shares["cloud"] > 0.995
    assert shares["thin_cloud"] > 0.95
    assert shares["cloud_shadow"] > 0.95
