"""The synthetic land, sky and opinions."""

import time
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings

from cube.errors import GridError, MaskError
from cube.landscape import COVERS, build_landscape, coarsen, fractal, ground_reflectance
from cube.opinions import (
    NO_ERRORS,
    MaskErrors,
    degraded_classes,
    maja_masks,
    scene_classification,
    true_classes,
)
from cube.sky import Angles, CloudLayer, Sky, build_sky, observe, shadow_displacement, sun_position
from cube.testing import class_stacks, dn_stacks, random_cube, simulate_scene, swath

NADIR = Angles(45.0, 150.0, 0.0, 0.0)
MORNING = Angles(30.0, 150.0, 4.0, 285.0)


@pytest.fixture(scope="module")
def land():
    return build_landscape((240, 240), seed=5)


def ndvi(land, cover, day):
    ground = ground_reflectance(land, day, ("red", "nir"))
    where = land.cover == COVERS.index(cover)
    red, nir = ground["red"][where], ground["nir"][where]
    return float(((nir - red) / (nir + red)).mean())


def test_the_same_seed_gives_the_same_land_and_another_seed_another():
    first, again = build_landscape((64, 64), 1), build_landscape((64, 64), 1)
    np.testing.assert_array_equal(first.cover, again.cover)
    np.testing.assert_array_equal(first.texture, again.texture)
    assert (first.cover != build_landscape((64, 64), 2).cover).mean() > 0.2


def test_land_has_every_cover_and_parcels_of_one_cover(land):
    assert set(np.unique(land.cover)) == set(range(len(COVERS)))
    np.testing.assert_array_equal(land.parcel_cover[land.parcel], land.cover)


def test_land_of_odd_sides_is_refused():
    with pytest.raises(GridError, match="even sides"):
        build_landscape((33, 32), 0)


@pytest.mark.parametrize(
    ("cover", "day", "low", "high"),
    [
        ("winter_wheat", 130, 0.70, 0.90),
        ("winter_wheat", 220, 0.15, 0.35),
        ("maize", 120, 0.15, 0.35),
        ("maize", 205, 0.70, 0.90),
        ("rapeseed", 90, 0.55, 0.85),
        ("broadleaf", 60, 0.30, 0.55),
        ("broadleaf", 180, 0.80, 0.95),
        ("conifer", 60, 0.75, 0.90),
        ("bare_soil", 130, 0.15, 0.35),
        ("water", 130, -0.6, 0.0),
    ],
)
def test_covers_follow_their_calendars(land, cover, day, low, high):
    assert low < ndvi(land, cover, day) < high


def test_bands_have_their_own_resolution_and_plausible_reflectance(land):
    ground = ground_reflectance(land, 150)
    assert ground["red"].shape == (240, 240)
    assert ground["swir16"].shape == (120, 120)
    assert ground["coastal"].shape == (40, 40)
    for values in ground.values():
        assert values.dtype == np.float32
        assert values.min() > 0
        assert values.max() < 0.75


def test_coarse_pixels_are_means():
    fine = np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(coarsen(fine, 2), [[2.5, 4.5], [10.5, 12.5]])
    # five columns: the last repeats to fill its pixel of two
    assert coarsen(np.arange(5, dtype=np.float32)[None].repeat(2, 0), 2).tolist() == [
        [0.5, 2.5, 4.0]
    ]


def test_fractal_noise_is_standardised():
    noise = fractal((50, 64), np.random.default_rng(0), slope=1.5)
    assert abs(float(noise.mean())) < 1e-4
    assert float(noise.std()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("moment", "place", "zenith", "azimuth"),
    [
        # equinox noon on the meridian and the equator; solstices at 45 degrees north
        (datetime(2020, 3, 20, 12, 7), (0.0, 0.0), 0.1, None),
        (datetime(2020, 6, 21, 12, 2), (0.0, 45.0), 45 - 23.44, 180.0),
        (datetime(2020, 12, 21, 11, 58), (0.0, 45.0), 45 + 23.44, 180.0),
    ],
)
def test_sun_stands_where_it_should(moment, place, zenith, azimuth):
    found = sun_position(moment, *place)
    assert found[0] == pytest.approx(zenith, abs=0.3)
    if azimuth is not None:
        assert found[1] == pytest.approx(azimuth, abs=0.7)


@pytest.mark.parametrize(
    ("sun_azimuth", "east", "north"),
    [(90.0, -1000, 0), (180.0, 0, 1000), (270.0, 1000, 0), (135.0, -707.1, 707.1)],
)
def test_shadow_falls_away_from_the_sun(sun_azimuth, east, north):
    found = shadow_displacement(1000, Angles(45, sun_azimuth, 0, 0))
    assert found == pytest.approx((east, north), abs=0.1)


def test_shadow_moves_toward_the_sensor_by_the_view():
    # a cloud is seen displaced away from a sensor in the east, so its shadow lies east of that
    east, north = shadow_displacement(1000, Angles(0, 0, 45, 90))
    assert (east, north) == pytest.approx((1000, 0), abs=1e-6)


def test_shadows_in_the_image_are_the_clouds_displaced():
    angles = Angles(45, 135, 0, 0)
    sky = build_sky((200, 200), (CloudLayer(0.3, 600),), angles, seed=4)
    # 600 m at 45 degrees from the south-east: 42 pixels west and 42 north
    expected = np.zeros((200, 200), dtype=np.float32)
    expected[:-42, :-42] = sky.opacity[42:, 42:] ** 2
    inside = ~sky.outside[:-42, :-42]
    np.testing.assert_allclose(
        sky.shadow[:-42, :-42][inside], expected[:-42, :-42][inside], atol=1e-3
    )
    assert sky.outside[-42:].sum() > 0


def test_sky_has_the_asked_cover_and_thin_edges():
    sky = build_sky((256, 256), (CloudLayer(0.4, 2000),), MORNING, seed=1)
    assert (sky.opacity > 0).mean() == pytest.approx(0.4, abs=0.06)
    assert ((sky.opacity > 0) & (sky.opacity < 0.4)).sum() > 1000
    assert sky.opacity.max() == pytest.approx(1, abs=1e-3)
    clear = build_sky((64, 64), (), MORNING, seed=1)
    assert not clear.opacity.any()
    assert not clear.shadow.any()


def test_clouds_brighten_and_shadows_darken():
    ground = {"red": np.full((4, 4), 0.1, np.float32), "nir08": np.full((2, 2), 0.4, np.float32)}
    zero = np.zeros((4, 4), np.float32)
    opacity, shadow = zero.copy(), zero.copy()
    opacity[:2, :2] = 1
    shadow[2:, 2:] = 1
    sky = Sky(opacity, zero, shadow, zero > 0)
    seen = observe(ground, sky, np.random.default_rng(0))
    assert seen["red"][0, 0] > 0.7
    assert seen["red"][3, 3] == pytest.approx(0.033, abs=0.006)
    assert seen["nir08"][0, 0] > 0.7
    assert seen["nir08"][1, 1] == pytest.approx(0.1, abs=0.015)
    assert seen["red"][0, 3] == pytest.approx(0.1, abs=0.01)


def test_scene_is_deterministic(land):
    layers = (CloudLayer(0.3, 1500),)
    first = simulate_scene(land, 120, MORNING, layers, seed=9)
    again = simulate_scene(land, 120, MORNING, layers, seed=9)
    np.testing.assert_array_equal(first.scl, again.scl)
    np.testing.assert_array_equal(first.seen["red"], again.seen["red"])
    assert set(np.unique(first.classes)) == {1, 2, 3, 4, 6}


def test_swath_edge_leans_west_to_the_south():
    inside = swath((100, 100), 0.5)
    assert inside[0].sum() == 50
    assert inside[99].sum() == 72
    assert inside[0, 99]
    assert swath((100, 100), 0.5, side="west")[0, 0]


def test_classification_without_errors_is_the_truth(land):
    observed = swath(land.shape, 0.4)
    scene = simulate_scene(
        land, 150, MORNING, (CloudLayer(0.3, 1500),), seed=2, observed=observed, errors=NO_ERRORS
    )
    truth = true_classes(land, scene.sky, observed, factor=2)
    for code, values in {0: (0,), 2: (8, 9), 3: (3,), 4: (10,), 6: (6,), 1: (2, 4, 5)}.items():
        np.testing.assert_array_equal(np.isin(scene.scl, values), truth == code)


def test_classification_is_wrong_at_the_stated_rates(land):
    errors = MaskErrors(
        missed_cloud=0.02, missed_thin=0.2, missed_shadow=0.1, false_cloud=0.03, false_shadow=0.02
    )
    layers = (CloudLayer(0.3, 1500),)
    scene = simulate_scene(land, 150, MORNING, layers, seed=2, errors=errors)
    truth = true_classes(land, scene.sky, scene.observed, factor=2)
    ground = np.isin(scene.scl, (2, 4, 5, 6))

    def share(where, among):
        return float(where[among].mean())

    assert share(ground, truth == 2) == pytest.approx(0.02, abs=0.001)
    assert share(ground, truth == 4) == pytest.approx(0.2, abs=0.001)
    assert share(ground, truth == 3) == pytest.approx(0.1, abs=0.001)
    assert share(np.isin(scene.scl, (8, 9)), truth == 1) == pytest.approx(0.03, abs=0.001)
    seen = (truth == 1) | (truth == 6)
    assert share(scene.scl == 3, seen) == pytest.approx(0.02, abs=0.002)


def test_bright_roofs_are_taken_for_cloud_first(land):
    sky = build_sky(land.shape, (), MORNING, seed=0)
    observed = np.ones(land.shape, bool)
    ground = ground_reflectance(land, 150)
    errors = MaskErrors(0, 0, 0, false_cloud=0.01, false_shadow=0)
    rng = np.random.default_rng(0)
    scl = scene_classification(land, sky, observed, ground, errors, rng)
    called = np.isin(scl, (8, 9))
    blue = coarsen(ground["blue"], 2)
    assert called.sum() == round(0.01 * (true_classes(land, sky, observed, 2) == 1).sum())
    assert blue[called].mean() > 2 * blue[~called].mean()


def degraded(land, omission, commission, factor=2, seed=0):
    sky = build_sky(land.shape, (CloudLayer(0.3, 1500), CloudLayer(0.3, 5600, 0.35)), MORNING, 3)
    observed = swath(land.shape, 0.3)
    blue = ground_reflectance(land, 150)["blue"]
    rng = np.random.default_rng(seed)
    called = degraded_classes(land, sky, observed, blue, omission, commission, rng, factor)
    return true_classes(land, sky, observed, factor), called, sky, blue


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("rate", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_degraded_masks_are_wrong_by_the_asked_shares_to_a_pixel(land, rate, factor):
    truth, called, _, _ = degraded(land, rate, rate / 2, factor)
    hidden, ground = np.isin(truth, (2, 3, 4)), np.isin(truth, (1, 6))
    assert np.isin(called, (1, 6))[hidden].sum() == round(rate * hidden.sum())
    assert (called == 2)[ground].sum() == round(rate / 2 * ground.sum())
    np.testing.assert_array_equal(called == 0, truth == 0)
    kept = hidden & ~np.isin(called, (1, 6))
    np.testing.assert_array_equal(called[kept], truth[kept])
    water = truth == 6
    assert not (called[water] == 1).any()


def beside(wrong):
    """Share of wrong pixels whose right neighbour is wrong, too."""
    return float((wrong[:, :-1] & wrong[:, 1:]).sum() / wrong[:, :-1].sum())


def test_what_degraded_masks_get_wrong_lies_together_in_plausible_places(land):
    truth, called, sky, blue = degraded(land, 0.1, 0.1)
    hidden, ground = np.isin(truth, (2, 3, 4)), np.isin(truth, (1, 6))
    missed, blobs = hidden & np.isin(called, (1, 6)), ground & (called == 2)
    assert beside(missed) > 0.7
    assert beside(blobs) > 0.8
    faint = np.maximum(coarsen(sky.opacity, 2), coarsen(sky.shadow, 2))
    assert faint[missed].mean() < 0.6 * faint[hidden].mean()
    assert (truth[missed] != 2).mean() > 0.85  # thin cloud and shadow, hardly thick cloud
    bright = coarsen(blue, 2)
    assert bright[blobs].mean() > 1.3 * bright[ground].mean()


def test_a_worse_mask_holds_the_errors_of_a_better_one(land):
    truth, better, _, _ = degraded(land, 0.05, 0.05)
    _, worse, _, _ = degraded(land, 0.1, 0.1)
    wrong, more = better != truth, worse != truth
    assert (more | ~wrong).all()
    _, other, _, _ = degraded(land, 0.05, 0.05, seed=1)
    assert (better != other).any()


def test_degraded_masks_of_impossible_shares_are_refused(land):
    with pytest.raises(MaskError, match="commission is a share"):
        degraded(land, 0.1, -0.1)


def test_rates_beyond_one_are_refused():
    with pytest.raises(MaskError, match="missed_thin"):
        MaskErrors(missed_thin=1.5)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("thin_alone", [True, False])
def test_maja_bits_keep_their_invariants(land, factor, thin_alone):
    layers = (CloudLayer(0.3, 1500), CloudLayer(0.3, 5600, 0.35))
    sky = build_sky(land.shape, layers, MORNING, seed=3)
    observed = swath(land.shape, 0.3)
    masks = maja_masks(land, sky, observed, factor, thin_alone=thin_alone)

    def bit(number, values=masks.clm):
        return values >> number & 1 == 1

    clouds = bit(2) | bit(3) | bit(7)
    assert (bit(1) | ~clouds).all()
    assert (bit(0) | ~(bit(1) | bit(5) | bit(6))).all()
    assert not masks.clm[masks.edg == 1].any()
    assert not (masks.mg2 | masks.sat | masks.iab)[masks.edg == 1].any()
    np.testing.assert_array_equal(bit(3, masks.mg2), bit(5) | bit(6))
    np.testing.assert_array_equal(bit(1, masks.mg2), bit(1))
    for number in (2, 4, 5, 6, 7):
        assert bit(number).any(), number
    alone = masks.clm == 16
    assert alone.any() == thin_alone


def test_maja_masks_may_be_malformed(land):
    sky = build_sky(land.shape, (), MORNING, seed=3)
    masks = maja_masks(land, sky, np.ones(land.shape, bool), malformed=7)
    assert (masks.clm == 25).sum() == 4
    assert (masks.clm == 74).sum() == 3


def test_random_cube_has_nodata_where_scl_has():
    cube = random_cube(times=4, shape=(6, 10), seed=3)
    assert dict(cube.sizes) == {"time": 4, "y": 6, "x": 10}
    assert cube.red.dtype == np.int16
    assert cube.scl.dtype == np.uint8
    np.testing.assert_array_equal(cube.red == -10000, cube.scl == 0)
    assert 0 < int((cube.scl == 0).sum()) < 60
    assert cube.identical(random_cube(times=4, shape=(6, 10), seed=3))


@settings(max_examples=20)
@given(dn=dn_stacks(most=4), classes=class_stacks(most=4))
def test_strategies_give_stacks(dn, classes):
    assert dn.ndim == classes.ndim == 3
    assert dn.dtype == np.int16
    assert classes.dtype == np.uint8
    assert classes.max() <= 6
    assert ((dn == -10000) | (dn >= -500)).all()


def test_a_season_is_simulated_fast():
    start = time.process_time()
    land = build_landscape((512, 512), 1)
    for number in range(3):
        simulate_scene(land, 100 + number, MORNING, (CloudLayer(0.3, 1500),), seed=number)
    # a tenth of a season of 30 dates in 15 seconds, with room for a busy machine
    assert time.process_time() - start < 4
