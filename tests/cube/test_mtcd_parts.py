"""mtcd's grid, images, single tests, bits and state, by their values."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cube import masks
from cube.errors import BandError, GridError, MaskError, StoreError
from cube.mtcd import one_date, shadows
from cube.mtcd.bits import cloud_bits, to_fine
from cube.mtcd.coarse import CoarseGrid, average_altitude, choose_grid, grid_note
from cube.mtcd.evaluation import evaluations, not_evaluated
from cube.mtcd.image import (
    Image,
    Meta,
    make_image,
    path_reflectance,
    reflectance,
    stored,
    wanted_bands,
)
from cube.mtcd.many_dates import haze_threshold, risen_haze
from cube.mtcd.params import MtcdParams
from cube.mtcd.regions import close, grow, shrink
from cube.mtcd.state import load, save
from cube.mtcd.step import backward, step

PARAMS = MtcdParams()
GRID = CoarseGrid(240, (480, 480))
META = Meta(18000, "l2a", 40.0, 150.0)
GROUND = {"blue": 0.06, "green": 0.08, "red": 0.07, "nir": 0.3, "swir16": 0.2, "swir22": 0.15}
SOURCES = {**{role: role for role in GROUND}, "nir": "nir08"}


def picture(changes=(), altitude=None, sources=SOURCES, **bands):
    """Uniform ground, with (row, column) cells of other values by role."""
    random = np.random.default_rng(5)
    texture = random.uniform(0.9, 1.1, GRID.shape)
    values = {
        role: (texture * bands.get(role, GROUND.get(role, 0))).astype("float32") for role in sources
    }
    for place, cell in changes:
        for role, value in cell.items():
            values[role][place] = value
    values = {role: reflectance(stored(plane)) for role, plane in values.items()}
    observed = np.ones(GRID.shape, "bool")
    return Image(GRID, values, sources, observed, ~observed, altitude)


@pytest.mark.parametrize(
    ("fine", "cell", "shape"),
    [
        ((5490, 5490), 240, (458, 458)),
        ((384, 900), 240, (32, 75)),
        ((383, 900), 120, (64, 150)),
        ((191, 900), 60, (64, 300)),
        ((96, 96), 60, (32, 32)),
        ((95, 96), 20, (95, 96)),
        ((32, 32), 20, (32, 32)),
        ((3, 500), 20, (3, 500)),
    ],
)
def test_the_grid_falls_on_small_extents(fine, cell, shape):
    grid = choose_grid(fine, PARAMS)
    assert (grid.cell, grid.shape) == (cell, shape)


def test_what_a_plan_says_of_the_grid():
    assert grid_note(choose_grid((5490, 5490), PARAMS), PARAMS) is None
    assert grid_note(choose_grid((100, 100), PARAMS), PARAMS) == (
        "mtcd works at 60 m instead of 240 m: the extent has 8 cells of 240 m a side, fewer than 32"
    )
    chosen = MtcdParams(coarse=120)
    assert choose_grid((5490, 5490), chosen).cell == 120
    with pytest.raises(GridError, match="coarse=100 is no cell"):
        choose_grid((100, 100), MtcdParams(coarse=100))


def test_altitudes_are_averaged_without_what_is_unknown():
    altitude = np.float32([[1, 3, 5], [np.nan, np.nan, np.nan]])
    grid = CoarseGrid(60, (2, 3))
    np.testing.assert_array_equal(average_altitude(altitude, grid), [[3]])
    np.testing.assert_array_equal(average_altitude(altitude * np.nan, grid), [[np.nan]])


def test_bands_by_role():
    every = ("cirrus", "swir22", "nir", "red", "green", "blue", "coastal", "nir08", "rededge1")
    assert wanted_bands(every, "l1c") == (
        "coastal", "green", "red", "nir08", "swir22", "cirrus",
    )  # fmt: skip
    assert wanted_bands(("blue", "red", "nir", "cirrus"), "l2a") == ("blue", "red", "nir")


def test_an_image_of_10_and_20_m():
    grid = CoarseGrid(60, (6, 6))
    blue = np.full((12, 12), 600, "int16")
    blue[:6, :6] = -10000
    blue[11, 11] = -10000
    red = np.full((6, 6), 700, "int16")
    image, observed = make_image([("red", red), ("blue", blue)], grid, META)
    np.testing.assert_array_equal(image.observed, [[False, True], [True, True]])
    assert np.isnan(image.bands["red"][0, 0])
    np.testing.assert_allclose(image.bands["blue"][1:], 0.06, atol=1e-7)
    assert observed.sum() == 36 - 9 - 1
    assert not observed[5, 5]
    assert image.sources == {"red": "red", "blue": "blue"}
    # The better band of a role wins, whichever comes first.
    coastal = np.full((6, 6), 500, "int16")
    for given_bands in (("blue", "coastal", "red"), ("red", "coastal", "blue")):
        dn = {"blue": blue, "coastal": coastal, "red": red}
        image, _ = make_image([(name, dn[name]) for name in given_bands], grid, META)
        assert image.sources["blue"] == "coastal"


def test_wrong_images_are_told():
    grid, plane = CoarseGrid(20, (4, 4)), np.zeros((4, 4), "int16")
    with pytest.raises(BandError, match="needs a blue and a red band; given are green"):
        make_image([("green", plane)], grid, META)
    with pytest.raises(GridError, match=r"\(5, 4\) is neither"):
        make_image([("red", np.zeros((5, 4), "int16"))], grid, META)
    with pytest.raises(GridError, match="altitudes are"):
        make_image([], grid, META, np.zeros((2, 2), "float32"))
    with pytest.raises(MaskError, match="level 'l3'"):
        make_image([], grid, Meta(0, "l3", 40, 150))
    with pytest.raises(MaskError, match="leave the date out"):
        make_image([], grid, Meta(0, "l1c", 95, 150))


def test_clean_air_is_taken_off_l1c():
    """0.236 of optical depth at 0.443 µm, scattered back by 140 degrees, at one air mass and 1.31."""
    meta = Meta(0, "l1c", 40.0, 150.0)
    assert path_reflectance("coastal", meta, None) == pytest.approx(0.0920, abs=5e-4)
    assert path_reflectance("blue", meta, None) == pytest.approx(0.0594, abs=5e-4)
    assert path_reflectance("swir16", meta, None) == pytest.approx(0.0005, abs=1e-4)
    high = path_reflectance("blue", meta, np.float32([[8000]]))
    assert high[0, 0] == pytest.approx(0.0594 / np.e, abs=5e-4)
    grid, plane = CoarseGrid(20, (2, 2)), np.full((2, 2), 1000, "int16")
    image, _ = make_image([("red", plane), ("blue", plane), ("cirrus", plane)], grid, meta)
    assert image.bands["blue"][0, 0] == pytest.approx(0.1 - 0.0594, abs=5e-4)
    assert image.bands["cirrus"][0, 0] == pytest.approx(0.1)


def test_saturated_cells_are_cloud():
    grid = CoarseGrid(20, (40, 40))
    planes = {band: np.full((40, 40), 1000, "int16") for band in ("blue", "red")}
    planes["red"][3, 4] = 32767
    image, _ = make_image(planes.items(), grid, META)
    assert np.argwhere(image.saturated).tolist() == [[3, 4]]
    result = step(None, image, META, MtcdParams(dilation=0))
    assert np.argwhere(result.bits).tolist() == [[3, 4]]
    assert result.bits[3, 4] == 7


WHITE = {"blue": 0.5, "green": 0.5, "red": 0.5, "nir": 0.52, "swir16": 0.4, "swir22": 0.3}


@pytest.mark.parametrize(
    ("change", "cloud"),
    [
        ({}, True),
        ({"blue": 0.24}, False),  # not above
        ({"red": 0.14, "nir": 0.2, "swir16": 0.1}, False),
        ({"nir": 1.01}, False),  # green: NIR is not below twice red
        ({"nir": 0.40}, False),
        ({"swir16": 0.53}, False),  # bare soil
        ({"green": 0.6, "swir16": 0.1}, False),  # snow
    ],
)
def test_bright_clouds(change, cloud):
    image = picture([((9, 9), WHITE | change)])
    nothing = ~image.observed
    white = one_date.snow(image, META, PARAMS, nothing)
    found = one_date.bright_clouds(image, PARAMS, white)
    assert found.sum() == cloud
    assert found[9, 9] == cloud


def test_cirrus_by_altitude():
    """0.007 at sea level, 0.013 at 1000 m, 0.031 at 2000 m, 0.061 at 3000 m."""
    altitude = np.zeros(GRID.shape, "float32")
    altitude[0, :5] = (0, 1000, 2000, 3000, np.nan)
    for row, offset in ((0, 1e-4), (0, -1e-4)):
        levels = np.zeros(GRID.shape, "float32")
        levels[row, :5] = np.array([0.007, 0.013, 0.031, 0.061, 0.9]) + offset
        image = picture(altitude=altitude)
        image = Image(
            GRID, {**image.bands, "cirrus": levels}, image.sources, image.observed,
            image.saturated, altitude,
        )  # fmt: skip
        found = one_date.high_clouds(image, PARAMS)
        assert found[0, :5].tolist() == [offset > 0] * 4 + [False]


def test_a_cold_core_is_cloud_and_snow_on_the_ground_is_not():
    observed = np.ones((9, 9), "bool")
    white, clouds = ~observed, ~observed
    white[2, 2], white[6, 6] = True, True
    clouds[1, 2] = clouds[3, 2] = clouds[2, 1] = clouds[2, 3] = clouds[6, 5] = True
    core = one_date.cold_cores(white, clouds, observed, 0)
    assert np.argwhere(core).tolist() == [[2, 2]]
    # Snow to all edges has nothing round it.
    assert not one_date.cold_cores(observed, ~observed, observed, 1).any()


def test_the_haze_threshold_doubles_with_age_and_is_capped():
    state = step(None, picture(), META, PARAMS).state
    for day, expected in ((18000, 0.016), (18045, 0.032), (17955, 0.032), (18400, 0.06)):
        threshold = haze_threshold(state, day, PARAMS)
        np.testing.assert_allclose(threshold, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rise", "cloud", "thin"),
    [
        ({"blue": 0.05, "red": 0.05, "nir": 0.02}, True, True),
        ({"blue": 0.05, "red": 0.08, "nir": 0.02}, False, False),  # ploughed: redder
        ({"blue": 0.05, "red": 0.05, "nir": 0.9}, False, False),
        ({"blue": 0.026, "red": 0.026, "nir": 0.0}, False, True),
        ({"blue": 0.02, "red": 0.02, "nir": 0.0}, False, False),
    ],
)
def test_risen_haze(rise, cloud, thin):
    before = picture()
    state = step(None, before, META, PARAMS).state
    place = (7, 11)
    cell = {role: float(before.bands[role][place]) + value for role, value in rise.items()}
    now = picture([(place, cell)])
    found, candidates = risen_haze(now, state, 18001, PARAMS, ~now.observed)
    assert (found[place], candidates[place]) == (cloud, thin)
    assert found.sum() == cloud


def test_the_shadow_limit():
    """As large a share of the land as is in cloud, and a tenth more; 0.65 at most."""
    ratio = np.linspace(0.01, 1, 100, dtype="float32").reshape(10, 10)
    assert shadows.shadow_limit(ratio, 0.0, PARAMS) == pytest.approx(0.109)
    assert shadows.shadow_limit(ratio, 0.4, PARAMS) == pytest.approx(0.4456)
    assert shadows.shadow_limit(ratio, 0.9, PARAMS) == 0.65
    assert shadows.shadow_limit(np.full((2, 2), np.nan, "float32"), 0.4, PARAMS) == 0.65


def test_displacements():
    """The sun in the south-east throws shadows to the north-west; a western sensor sees clouds east."""
    view, sun = shadows.displacements(Meta(0, "l2a", 45.0, 135.0, 45.0, 270.0), 20)
    np.testing.assert_allclose(sun * 20, [np.sqrt(0.5), np.sqrt(0.5)])
    np.testing.assert_allclose(view * 20, [0, -1], atol=1e-12)


def test_morphology():
    one = np.zeros((5, 5), "bool")
    one[2, 2] = True
    assert grow(one, 1).sum() == 5
    assert grow(one, 2).sum() == 13
    assert (shrink(grow(one, 1), 1) == one).all()
    assert shrink(np.ones((3, 3), "bool"), 1).all()
    ring = ~one[1:4, 1:4]
    assert close(ring, 1).all()
    assert close(ring, 0).sum() == 8
    # A patch at the edge is not drawn out along it.
    assert (close(one[2:], 1) == one[2:]).all()


ALL = {role: role for role in ("blue", "green", "red", "nir", "swir16", "swir22", "cirrus")}


def test_what_is_not_evaluated():
    def missing(sources=ALL, level="l1c", altitude=True, view=True, compared=True):
        tests = evaluations(sources, level, altitude=altitude, view=view, compared=compared)
        return not_evaluated(tests)

    assert missing() == {}
    assert missing(level="l2a") == {"high_cloud": "1.38 µm (B10) is kept in L1C alone, this is l2a"}
    assert missing(altitude=False) == {"high_cloud": "no altitude; ingest a DEM"}
    without = {role: name for role, name in ALL.items() if role not in ("cirrus", "swir16")}
    assert missing(without) == {
        "high_cloud": "no band cirrus",
        "snow": "no band swir16",
        "cloud_one_date": "no band swir16",
    }
    tests = evaluations(ALL, "l1c", altitude=False, view=False, compared=True)
    assert tests["cloud_many_dates"].text == (
        "evaluated: with B02 for B01, at the thresholds published for B01"
    )
    assert tests["shadow"].note == (
        "without altitudes: the ground taken as flat; without the view's direction: taken as nadir"
    )


def test_two_bands_are_enough():
    few = {"blue": "blue", "red": "red"}
    result = step(None, picture(sources=few), META, PARAMS)
    later = step(result.state, picture(sources=few), Meta(18005, "l2a", 40, 150), PARAMS)
    assert not later.bits.any()
    assert [name for name, each in later.evaluated.items() if each.done] == [
        "correlation", "shadow", "shadow_from_outside",
    ]  # fmt: skip


flags = arrays("bool", (6, 7))
NAMES = (
    "cloud_one_date",
    "cloud_many_dates",
    "thinnest_clouds",
    "shadow",
    "shadow_from_outside",
    "high_cloud",
)


@settings(max_examples=30)
@given(st.tuples(*[flags] * 6), st.sampled_from([0, 1, 2]), arrays("bool", (69, 84)))
def test_the_bits_never_contradict_each_other(found, dilation, observed):
    """Bits 2, 3, 7 imply 1; bits 1, 5, 6 imply 0; outside the image all are 0."""
    grown = {name: grow(each, dilation) for name, each in zip(NAMES, found, strict=True)}
    bits = cloud_bits(grown)
    grid = CoarseGrid(240, (69, 84))
    fine, classes = to_fine(bits, np.zeros_like(bits), grid, observed)
    for each in (bits, fine):
        assert masks.contradictions("clm", {"clm": each}) == 0
        tests = (each & (4 | 8 | 128)) != 0
        assert ((each[tests] & 2) != 0).all()
        either = (each & (2 | 32 | 64)) != 0
        assert ((each[either] & 1) != 0).all()
    assert not fine[~observed].any()
    np.testing.assert_array_equal(classes == 0, ~observed)
    assert set(np.unique(classes)) <= {0, 1, 2, 3, 4}
    both = to_fine(bits, np.zeros_like(bits), grid, observed, 10)
    assert both[0].shape == (138, 168)


def test_the_state_comes_back_bit_by_bit(tmp_path):
    absent = picture([((3, 3), dict.fromkeys(GROUND, np.nan))])
    absent.observed[3, 3] = False
    result = step(None, absent, META, PARAMS)
    cloudy = picture([((8, n), WHITE) for n in range(6)])
    second = Meta(18005, "l2a", 40, 150)
    state = step(result.state, cloudy, second, PARAMS).state
    path = tmp_path / "state.npz"
    save(state, path)
    again = load(path)
    save(again, tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.npz", "state.npz"]
    third = picture([((n, 12), WHITE) for n in range(6)], red=0.03)
    for kept in (state, again):
        now = step(kept, third, Meta(18010, "l2a", 40, 150), PARAMS)
        if kept is state:
            expected = now
    np.testing.assert_array_equal(now.bits, expected.bits)
    for role, plane in now.state.reference.items():
        np.testing.assert_array_equal(plane, expected.state.reference[role])
    np.testing.assert_array_equal(now.state.stack, expected.state.stack)
    assert now.state.stack_days.tolist() == [18010, 18005, 18000]


def test_states_that_cannot_be_used(tmp_path):
    image = picture()
    state = step(None, image, META, PARAMS).state
    path = tmp_path / "state.npz"
    save(state, path)
    with np.load(path) as archive:
        arrays_of = dict(archive)
    header = json.loads(arrays_of["header"].tobytes()) | {"version": 2}
    arrays_of["header"] = np.frombuffer(json.dumps(header).encode(), "uint8")
    np.savez(tmp_path / "newer.npz", **arrays_of)
    with pytest.raises(StoreError, match="in version 2, this clearcube reads 1"):
        load(tmp_path / "newer.npz")
    (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:500])
    for name in ("torn.npz", "none.npz"):
        with pytest.raises(StoreError, match="no state of mtcd can be read"):
            load(tmp_path / name)
    with pytest.raises(StoreError, match="cannot be written"):
        save(state, tmp_path / "no" / "state.npz")
    with pytest.raises(MaskError, match=r"the level of this date \(l1c\) is not that"):
        step(state, image, Meta(18001, "l1c", 40, 150), PARAMS)
    with pytest.raises(MaskError, match="the bands of this date"):
        step(state, picture(sources=SOURCES | {"blue": "coastal"}), META, PARAMS)
    with pytest.raises(MaskError, match="no dates"):
        backward([], PARAMS)


def test_a_reference_is_forgotten():
    state = step(None, picture(), META, PARAMS).state
    overcast = picture([((slice(0, 8), slice(0, 40)), WHITE)])
    soon = step(state, overcast, Meta(18090, "l2a", 40, 150), PARAMS).state
    late = step(state, overcast, Meta(18091, "l2a", 40, 150), PARAMS).state
    assert not soon.missing.any()
    assert late.missing[:8].all()
    assert np.isnan(late.reference["red"][:8]).all()
    assert not late.missing[12:].any()


def test_every_parameter_says_its_unit_and_source():
    for name, each in MtcdParams.model_fields.items():
        assert each.description, name
        assert each.json_schema_extra["unit"], name
        assert each.json_schema_extra["source"], name
