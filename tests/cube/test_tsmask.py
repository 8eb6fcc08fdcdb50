"""tsmask beside the published program, beside plain Python, on land whose truth is known."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from cube import masks
from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, THIN_CLOUD, WATER
from cube.detectors import detector
from cube.detectors.tsmask import BAND_NAMES, TsmaskParams, find, label, provisional, smooth
from cube.errors import MaskError
from cube.kernels import neighbours
from cube.landscape import COVERS, build_landscape, coarsen
from cube.opinions import true_classes
from cube.sky import Angles, CloudLayer
from cube.temporal import Series
from cube.testing import simulate_scene

_spec = importlib.util.spec_from_file_location("slow", Path(__file__).with_name("slow_tsmask.py"))
slow = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slow)
_spec = importlib.util.spec_from_file_location(
    "labelled", Path(__file__).with_name("labelled_series.py")
)
labelled = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(labelled)

ALONE = TsmaskParams(filter="none")
PUBLISHED = TsmaskParams(compat="2021", filter="none")
SETS = ("syn", "edge")
HIDDEN = (CLOUD, CLOUD_SHADOW, THIN_CLOUD)


def series(bands):
    """(6, time, y, x) dn -> a series of one date every five days."""
    stack = np.ascontiguousarray(bands, dtype="int16")
    days = np.arange(stack.shape[1], dtype="int32") * 5
    return Series(dict(zip(BAND_NAMES, stack, strict=True)), days)


def classes_of(bands, params=ALONE):
    return find(series(bands), params)


def pixel(brightness):
    """Mean reflectances of the dates of one pixel -> (6, time, 1, 1) dn of grey ground."""
    dn = np.rint(np.asarray(brightness) * 10000)
    return np.broadcast_to(dn[None, :, None, None], (6, len(dn), 1, 1))


@cache
def reference(folder, name):
    with np.load(folder / "tsmask-reference" / f"synthetic_{name}_20x20x124.npz") as stored:
        found = dict(stored)
    order = list(found["band_order"])
    names = ("blue", "green", "red", "nir", "swir1", "swir2")
    return found | {"bands": found["bands"][[order.index(name) for name in names]]}


@pytest.mark.shared
@pytest.mark.parametrize("name", SETS)
def test_compat_is_the_published_program(shared, name):
    """None of 49,600 labels differs: the published sort puts the later of equal segments first."""
    known = reference(shared, name)
    for params, answer in (
        (PUBLISHED, "out_cy2021"),
        (TsmaskParams(compat="2021"), "out_filter_cy2021"),
        (TsmaskParams(compat="2021", filter="5x5"), "out_filter25_cy2021"),
    ):
        np.testing.assert_array_equal(classes_of(known["bands"], params), known[answer])


@pytest.mark.shared
@pytest.mark.parametrize("name", SETS)
def test_published_buffer(shared, name):
    known = reference(shared, name)
    for plane, wider in zip(known["out_filter_py"], known["out_buffer_py"], strict=True):
        out = np.empty_like(plane)
        neighbours.widen_published(plane, out)
        np.testing.assert_array_equal(out, wider)


@pytest.mark.shared
@pytest.mark.parametrize("params", [ALONE, PUBLISHED])
def test_slow_python_on_the_reference(shared, params):
    """The slow rules, on a row of each set with its zeros, negatives, gaps and ties."""
    for name in SETS:
        bands = reference(shared, name)["bands"][:, :, 9:10, 8:12].copy()
        if params is ALONE:
            bands[bands == -999] = -10000
        np.testing.assert_array_equal(classes_of(bands, params), slow_classes(bands, params))


def slow_classes(bands, params):
    _, dates, rows, columns = bands.shape
    out = np.empty((dates, rows, columns), "uint8")
    for y in range(rows):
        for x in range(columns):
            spectra = [tuple(map(int, bands[:, t, y, x])) for t in range(dates)]
            out[:, y, x] = slow.slow_series(spectra, params.compat == "2021")
    return out


@st.composite
def few_spectra(draw):
    """(6, time, 1, 2) dn drawn from few spectra, so that brightness ties and ratios meet limits."""
    dn = st.one_of(
        st.sampled_from([-10000, -999, 0, 1, 550, 1000, 1420, 4500]), st.integers(-300, 5000)
    )
    grey = st.integers(-50, 6000).map(lambda level: (level,) * 6)
    spectrum = st.one_of(grey, grey, st.tuples(*[dn] * 6))
    palette = draw(st.lists(spectrum, min_size=2, max_size=6))
    dates = draw(st.integers(9, 24))
    chosen = draw(arrays("int64", (dates, 1, 2), elements=st.integers(0, len(palette) - 1)))
    return np.moveaxis(np.array(palette, "int16")[chosen], -1, 0)


@settings(max_examples=60)
@given(few_spectra(), st.sampled_from([ALONE, PUBLISHED]))
def test_like_plain_python(bands, params):
    np.testing.assert_array_equal(classes_of(bands, params), slow_classes(bands, params))


def test_time_may_run_backwards():
    """300 pixels of 60 dates without ties."""
    random = np.random.default_rng(7)
    level = random.choice([0.03, 0.12, 0.2, 0.35, 0.6], (60, 300), p=[0.1, 0.3, 0.3, 0.2, 0.1])
    bands = (level * random.uniform(5000, 15000, (6, 60, 300)))[..., None]
    forwards = classes_of(bands)
    np.testing.assert_array_equal(classes_of(bands[:, ::-1])[::-1], forwards)
    assert {CLEAR, CLOUD, CLOUD_SHADOW} <= set(np.unique(forwards).tolist())


def test_no_observation_is_final():
    """A missing band outweighs the brightest cloud; a band of zero is a value."""
    bands = pixel([0.1] * 6 + [0.9] * 3 + [0.1] * 6).astype("int16")
    bands[2, 7] = -10000
    bands[4, 2] = 0
    assert classes_of(bands).ravel().tolist() == [1] * 6 + [2, 0, 2] + [1] * 6
    assert classes_of(bands, PUBLISHED).ravel().tolist() == [1, 1, 0, 1, 1, 1, 2, 0, 2] + [1] * 6


def test_thin_cloud_is_a_class_of_its_own():
    haze = [[900], [850], [800], [1500], [1800], [1400]]
    bands = np.repeat(np.array(haze), 12, axis=1)[..., None, None]
    assert (classes_of(bands) == THIN_CLOUD).all()
    assert (classes_of(bands, PUBLISHED) == CLOUD).all()


def test_dark_ground_does_not_turn_the_mask_round():
    """Land of 0.041 all year under seven clouds: published, all its clear dates are shadow."""
    cloudy = np.isin(np.arange(60), [5, 12, 20, 33, 41, 42, 55])
    forest = np.array([120, 200, 140, 1200, 500, 300])
    bands = np.where(cloudy, 3000, forest[:, None])[..., None, None]
    assert classes_of(bands).ravel().tolist() == np.where(cloudy, CLOUD, CLEAR).tolist()
    published = np.where(cloudy, CLEAR, CLOUD_SHADOW)
    assert classes_of(bands, PUBLISHED).ravel().tolist() == published.tolist()


def test_bright_ground_is_no_cloud():
    """A roof of 0.48 under clouds of 0.75: published, every view is cloud."""
    roof = np.full(40, 0.48)
    roof[[3, 9, 10, 22, 37]] = 0.75
    bands = pixel(roof)
    np.testing.assert_array_equal(classes_of(bands).ravel(), np.where(roof == 0.75, CLOUD, CLEAR))
    assert (classes_of(bands, PUBLISHED) == CLOUD).all()


@cache
def season():
    """(6, 40, 96, 96) dn of March to November under 40 % cloud, true classes, covers at 20 m."""
    random = np.random.default_rng(1)
    land = build_landscape((192, 192), seed=4)
    covers = random.permutation(np.repeat([0, 0.1, 0.3, 0.45, 0.7, 0.85], 7)[:40])
    angles = Angles(40, 150, 4, 100)
    bands, truth = [], []
    for number, (day, cover) in enumerate(zip(np.linspace(75, 320, 40), covers, strict=True)):
        layers = (CloudLayer(float(cover), 1500, slope=1.8),)
        scene = simulate_scene(land, float(day), angles, layers, seed=number, bands=BAND_NAMES)
        seen = (scene.seen[name] for name in BAND_NAMES)
        bands.append([coarsen(band, band.shape[0] // 96) for band in seen])
        truth.append(true_classes(land, scene.sky, scene.observed, factor=2))
    dn = np.rint(np.stack(bands, axis=1) * 10000)
    return dn, np.stack(truth), land.cover[::2, ::2]


def test_a_simulated_season():
    """What is asked of it under 40 % cloud: 0.95 in all, and hardly a roof called cloud."""
    dn, truth, cover = season()
    called = np.isin(classes_of(dn, TsmaskParams()), HIDDEN)
    hidden = np.isin(truth, HIDDEN)
    assert (called[hidden].mean() + (~called[~hidden]).mean()) / 2 >= 0.96
    assert called[~hidden].mean() <= 0.005
    assert called[truth == CLOUD].mean() >= 0.999
    assert called[truth == THIN_CLOUD].mean() >= 0.85
    assert called[truth == CLOUD_SHADOW].mean() >= 0.75
    conifer = np.broadcast_to(cover == COVERS.index("conifer"), truth.shape)
    assert called[conifer & ~hidden].mean() <= 0.01
    assert called[conifer & (truth == CLOUD)].mean() >= 0.99
    bright = (cover == COVERS.index("roof")) & (np.quantile(dn[0], 0.3, axis=0) > 1500)
    assert bright.sum() >= 10
    assert called[bright & ~hidden].mean() <= 0.01


def test_haze_is_what_a_pixel_has_more_than_on_the_dates_near():
    """Blue ground is no haze; 0.03 more of white light is, and so is the thickest of a spell."""
    blue_roof = np.repeat(np.array([[1500], [1300], [1200], [1300], [1200], [1100]]), 24, axis=1)
    assert (classes_of(blue_roof[..., None, None]) == CLEAR).all()
    hazy = blue_roof.copy()
    hazy[:3, 7] += 400
    hazy[:3, 8] += 450
    expected = np.where(np.isin(np.arange(24), [7, 8]), THIN_CLOUD, CLEAR)
    # The index of what is bright in blue varies with the light: a quarter of 0.09 - 0.05 besides.
    assert classes_of(hazy[..., None, None]).ravel().tolist() == [CLEAR] * 24
    hazy[:3, 7:9] += 250
    np.testing.assert_array_equal(classes_of(hazy[..., None, None]).ravel(), expected)


def test_a_shadow_beside_a_gap_does_not_make_clouds():
    """Of the two dates beside each, one in shadow: compared with their mean it would be cloud."""
    ground = np.full(30, 0.2)
    ground[[4, 12, 13, 20]] = 0.07
    expected = np.where(ground < 0.1, CLOUD_SHADOW, CLEAR)
    assert classes_of(pixel(ground)).ravel().tolist() == expected.tolist()


def test_ground_that_changes_for_good_is_neither():
    """A crop that is ploughed under, to half its brightness; and the way back."""
    crop = np.array([500, 800, 600, 3000, 2000, 1300])
    soil = np.array([450, 600, 700, 900, 1000, 800])
    bands = np.where(np.arange(30) < 15, crop[:, None], soil[:, None])[..., None, None]
    assert (classes_of(bands) == CLEAR).all()
    assert (classes_of(bands[:, ::-1]) == CLEAR).all()


def test_flowers_are_no_clear_sky_to_compare_with():
    """Rapeseed in flower has less of the haze index; before and after it is no bluer."""
    field = np.repeat(np.array([[400], [700], [500], [3500], [1800], [900]]), 20, axis=1)
    field[1:3, 4:12] = [[1500], [1400]]
    assert (classes_of(field[..., None, None]) == CLEAR).all()


@pytest.mark.shared
def test_the_real_series(shared):
    """72 dates west of Brussels, cells of 80 m labelled by eye; odd and even months alike."""
    bands, days, _ = labelled.read_series(shared / "s2-l2a-31UES")
    truth = labelled.read_labels(shared / "s2-l2a-31UES")
    classes = find(Series(bands, days), TsmaskParams())
    found = labelled.judge(classes, truth)
    assert found["judged"] == 3942
    assert found["balanced_accuracy"] == pytest.approx(0.968, abs=0.002)
    assert found["called_invalid"]["clear"] < 0.02
    odd = days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 2 == 0
    for half in (odd, ~odd):
        assert labelled.judge(classes[half], truth[half])["balanced_accuracy"] > 0.95


@pytest.mark.parametrize("filtered", ["none", "3x3", "5x5"])
@pytest.mark.parametrize("buffer", [0, 20, 30, 60])
def test_blocks_make_whole_dates_that_are_then_smoothed(filtered, buffer):
    params = TsmaskParams(filter=filtered, buffer=buffer)
    dn = np.tile(season()[0][:, :20, :75, :75], (1, 1, 2, 2))
    dn[:, ::7, 20:90, :40] = -10000
    made = np.empty(dn.shape[1:], np.uint8)
    for size in (64, 100):
        for y in range(0, 150, size):
            for x in range(0, 150, size):
                block = slice(None), slice(y, y + size), slice(x, x + size)
                made[block] = label(series(dn[(slice(None), *block)]), params)
        np.testing.assert_array_equal(smooth(made, params), classes_of(dn, params))
        assert smooth(made[3:4], params).shape == (1, 150, 150)


PLANES = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays("uint8", shape, elements=st.sampled_from([0, 1, 1, 1, 2, 2, 3, 4]))
)


@given(PLANES, st.sampled_from([1, 2]), st.booleans())
def test_smoothing_like_plain_python(plane, reach, published):
    out = np.empty_like(plane)
    neighbours.smooth(plane, reach, published, out)
    np.testing.assert_array_equal(out, slow.slow_smooth(plane, reach, published))


def test_what_was_not_observed_says_nothing():
    """A clear pixel between swath's edge and clear land stays; published, it becomes cloud."""
    plane = np.ones((5, 5), "uint8")
    plane[:, :2] = NO_OBSERVATION
    plane[0:2] = plane[3:] = NO_OBSERVATION
    out = np.empty_like(plane)
    neighbours.smooth(plane, 1, False, out)
    np.testing.assert_array_equal(out, plane)
    neighbours.smooth(plane, 1, True, out)
    assert out[2].tolist() == [0, 0, CLOUD, CLEAR, CLEAR]


def test_a_line_of_cloud_loses_no_more_than_its_ends():
    plane = np.ones((5, 9), "uint8")
    plane[2, 1:8] = CLOUD
    out = np.empty_like(plane)
    neighbours.smooth(plane, 1, False, out)
    assert out[2].tolist() == [1, 1, 2, 2, 2, 2, 2, 1, 1]


@given(
    arrays("uint8", (6, 7), elements=st.integers(0, 6)), st.sampled_from([(False, 20), (True, 29)])
)
def test_one_pixel_wider_is_the_disc(plane, step):
    diagonal, metres = step
    out = np.empty_like(plane)
    neighbours.widen(plane, diagonal, out)
    np.testing.assert_array_equal(out, masks.dilate(plane, metres, 20))


def test_too_few_dates_are_refused():
    with pytest.raises(MaskError, match="has 8, fewer than min_observations=9; give a longer"):
        classes_of(pixel([0.1] * 8))
    assert classes_of(pixel([0.1] * 8), TsmaskParams(min_observations=8)).shape == (8, 1, 1)
    with pytest.raises(MaskError, match="2047 dates, not 2048"):
        classes_of(pixel([0.1] * 2048))


def test_provisional_dates_are_those_at_the_ends():
    ends = provisional(series(pixel([0.1] * 20)).days, ALONE)
    assert ends.tolist() == [True] * 6 + [False] * 8 + [True] * 6


def test_an_empty_block():
    assert classes_of(np.empty((6, 12, 0, 5))).shape == (12, 0, 5)


def test_the_declaration():
    method = detector("tsmask")
    assert (method.detect, method.finish) == (label, smooth)
    assert method.halo(TsmaskParams(filter="5x5", buffer=60)) == 0
    assert TsmaskParams.model_validate({"window": "24"}).window == 24
    assert PUBLISHED.window == "all"
    for field in TsmaskParams.model_fields.values():
        assert {"unit", "source"} == set(field.json_schema_extra)


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"window": 0}, "give 1 to 1200 months, or all"),
        ({"compat": "2021", "window": 12}, "compat=2021 reads the whole series, not window=12"),
        ({"compat": "2021", "buffer": 60}, "compat=2021 grows by 0 or 20 m, not by 60"),
    ],
)
def test_wrong_parameters(given_, why):
    with pytest.raises(ValidationError, match=why):
        TsmaskParams.model_validate(given_)


def test_water_in_shadow_is_seen():
    """A lake that darkens is no shadow (MNDWI); its class is clear."""
    lake = np.repeat(np.array([[600], [700], [500], [250], [120], [80]]), 12, axis=1)
    lake[:, 5] //= 2
    assert (classes_of(lake[..., None, None]) == CLEAR).all()
    assert WATER not in classes_of(season()[0])
