"""Directional correction: kernels against a second writing of them, grids, detectors, windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.angles import read_angles, scene_angles
from cube.directional import (
    ROY,
    WASP,
    DirectionalParams,
    Frame,
    c_factor,
    correct,
    li_sparse,
    remarks,
    ross_thick,
)
from cube.errors import BandError, StoreError
from cube.facts import DateFacts
from tests.cube import slow_wasp

ROY_BRDF = DirectionalParams(brdf="roy")
LEFT, TOP = 300_000, 4_900_020


def grids(detectors=2, nodes=23, seed=1):
    """Sun and detectors side by side, slanted, with a step of the azimuth from one to the next."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:nodes, :nodes]
    sun = np.array([40 - 0.05 * row, 150 + 0.04 * column])
    views = np.full((detectors, 2, nodes, nodes), np.nan)
    width = nodes / detectors
    for d in range(detectors):
        at = column + 0.23 * (row - nodes / 2)
        inside = (at >= d * width - 1) & (at < (d + 1) * width + 1)
        views[d, 0] = np.where(inside, 2 + 0.35 * column + rng.uniform(0, 0.01), np.nan)
        views[d, 1] = np.where(inside, (355 + 3 * d + 0.6 * column) % 360, np.nan)
    return sun, views


def dated(tmp_path, sun, views, name="scene", band="nir"):
    """Facts of a date with such grids in a file."""
    size = 5000.0 * (sun.shape[1] - 1)
    made = scene_angles(
        (LEFT, TOP), (5000, 5000), (size, size), sun.tolist(), {band: views.tolist()}
    )
    path = tmp_path / f"{name}_{made.checksum()}.npz"
    path.write_bytes(made.content())
    return DateFacts(angles=(made.checksum(),), angle_files=(str(path),))


def factors(facts, frame, shape, params=ROY_BRDF, band="nir"):
    """Factor of each pixel, to 1e-4 at best: what 10000 becomes."""
    dn = np.full((1, *shape), 10000, np.int16)
    correct({band: dn}, np.ones(dn.shape, np.uint8), [facts], frame, params)
    return dn[0] / 10000


@given(st.floats(0, 70), st.floats(0, 20), st.floats(0, 360))
def test_kernels_equal_a_second_writing(sun, view, azimuth):
    volume, shadow = slow_wasp.kernels(sun, view, azimuth)
    at = [np.radians(np.array(v)) for v in (sun, view, azimuth)]
    assert ross_thick(*at) == pytest.approx(volume, abs=1e-9)
    assert li_sparse(*at) == pytest.approx(shadow, abs=1e-9)


def test_kernels_vanish_with_sun_and_sensor_in_the_zenith():
    at = np.zeros(3)
    assert ross_thick(*at) == pytest.approx(0)
    assert li_sparse(*at) == pytest.approx(0)


def test_published_factors():
    """B8 seen at 10 degrees, 40 off the sun's plane, sun at 25 and 60: toward the sun, away from it."""
    got = [
        float(c_factor(np.array(sun), np.array(10.0), np.array(azimuth), ROY["nir"]))
        for sun in (25.0, 60.0)
        for azimuth in (40.0, 140.0)
    ]
    assert got == pytest.approx([0.965, 1.042, 0.957, 1.034], abs=6e-4)


def test_coefficients_of_the_public_program_are_those_of_roy_rounded():
    for name in ("blue", "green", "red", "nir", "nir08", "swir16", "swir22"):
        assert WASP[name] == pytest.approx(ROY[name], abs=5e-3)
    # Of the red edge it has neighbours'; here they are its own.
    assert ROY["rededge1"] == pytest.approx((0.4053, 0.1228), abs=1e-4)


def test_a_low_sun_is_taken_at_70_degrees():
    facts = [DateFacts(sun=(zenith, 180.0), view=(8.0, 100.0)) for zenith in (70.0, 78.0)]
    made = [factors(fact, None, (1, 1)).item() for fact in facts]
    assert made[0] == made[1] != 1
    said = remarks(facts, ["2019-12-01", "2019-12-11"], ROY_BRDF)
    assert said == ["sun more than 70 degrees from the zenith, corrected as at that: 2019-12-11"]


def test_a_fixed_sun_brings_dates_to_one_height():
    params = DirectionalParams(brdf="roy", sun="fixed")
    for zenith in (30.0, 45.0, 60.0):
        made = factors(DateFacts(sun=(zenith, 0.0), view=(0.0, 0.0)), None, (1, 1), params)
        want = slow_wasp.factor("nir", zenith, 0, 0, 45.0)
        assert made.item() == pytest.approx(want, abs=6e-5)
    assert factors(DateFacts(sun=(60.0, 0.0), view=(0.0, 0.0)), None, (1, 1)).item() == 1


@pytest.mark.parametrize("facts", [DateFacts(), DateFacts(sun=(30, 1)), DateFacts(view=(3, 1))])
def test_without_angles_nothing_is_corrected_and_it_is_said(facts):
    assert factors(facts, None, (1, 1)).item() == 1
    assert remarks([facts], ["2019-05-01"], ROY_BRDF) == [
        "angles of sun or sensor unknown, direction not corrected: 2019-05-01"
    ]


def test_only_clear_land_is_corrected():
    dn = np.full((1, 1, 7), 3000, np.int16)
    dn[0, 0, 1] = 3001
    blue = np.full((1, 1, 7), -10000, np.int16)
    coastal = dn.copy()
    facts = [DateFacts(sun=(50, 150), view=(9, 100))]
    classes = np.arange(7, dtype=np.uint8).reshape(1, 1, 7)
    correct({"nir": dn, "blue": blue, "coastal": coastal}, classes, facts, None, ROY_BRDF)
    want = round(3001 * slow_wasp.factor("nir", 50, 9, 50))
    assert dn[0, 0].tolist() == [3000, want, 3000, 3000, 3000, 3000, 3000]
    assert (blue == -10000).all()
    assert (coastal[0, 0, 1]) == 3001


def test_what_is_normalised_already_is_refused():
    with pytest.raises(BandError, match=r"NBAR.*brdf=none"):
        factors(DateFacts(sun=(50, 150), view=(9, 100), nbar=True), None, (1, 1))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 5490),
    st.integers(0, 5490),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([10, 20]),
)
def test_factors_are_those_of_angles_interpolated_as_vectors(
    tmp_path_factory, row, column, detectors, resolution
):
    """Within 1 of 10000, at the nodes' true places, each pixel by the detector that covers it most."""
    sun, views = grids(detectors)
    facts = dated(tmp_path_factory.mktemp("a"), sun, views)
    frame = Frame(LEFT + column * resolution, TOP - row * resolution, resolution)
    made = factors(facts, frame, (2, 300))
    for y in range(2):
        for x in range(0, 300, 37):
            place = (
                (column + x + 0.5) * resolution / 5000,
                (row + y + 0.5) * resolution / 5000,
            )
            want = slow_wasp.grid_factor("nir", sun, views, *place)
            assert made[y, x] == pytest.approx(want, abs=1.01e-4), place


def test_the_first_node_is_the_corner_of_the_tile(tmp_path):
    sun, views = grids(1)
    views[0, 0, 0, 0] = 30
    facts = dated(tmp_path, sun, views)
    corner = factors(facts, Frame(LEFT, TOP, 10), (1, 1)).item()
    want = slow_wasp.factor("nir", sun[0, 0, 0], 30, sun[1, 0, 0] - views[0, 1, 0, 0])
    assert corner == pytest.approx(want, abs=3e-4)


@pytest.mark.parametrize("brdf", ["roy", "wasp"])
def test_windows_equal_the_whole_bit_for_bit(tmp_path, brdf):
    facts = dated(tmp_path, *grids(3, nodes=5))
    params = DirectionalParams(brdf=brdf)
    whole = factors(facts, Frame(LEFT, TOP, 20), (300, 1000), params)
    assert np.ptp(whole) > 0.005
    for y, x, height, width in ((0, 0, 1, 1000), (217, 240, 64, 513), (299, 999, 1, 1)):
        part = factors(facts, Frame(LEFT + 20 * x, TOP - 20 * y, 20), (height, width), params)
        assert np.array_equal(part, whole[y : y + height, x : x + width])


def test_an_azimuth_knows_no_break_at_north(tmp_path):
    sun, views = grids(1, nodes=3)
    views[0, 0], views[0, 1] = 9, [[350, 359, 8]] * 3
    made = factors(dated(tmp_path, sun, views), Frame(LEFT, TOP, 20), (1, 500))
    turned = np.where(views < 180, views + 360, views)
    turned[0, 0] = 9
    smooth = factors(dated(tmp_path, sun, turned, "turned"), Frame(LEFT, TOP, 20), (1, 500))
    assert np.array_equal(made, smooth)


def test_pixels_that_no_detector_saw_stay(tmp_path):
    sun, views = grids(1, nodes=5)
    views[0, :, :, 2:] = np.nan
    made = factors(dated(tmp_path, sun, views), Frame(LEFT, TOP, 20), (1, 1000))[0]
    assert (made[:499] != 1).all()
    assert (made[502:] == 1).all()


def test_granules_of_a_date_know_what_they_saw(tmp_path):
    sun, views = grids(1, nodes=5)
    north, south = views.copy(), views.copy()
    north[:, :, 3:] = np.nan
    south[:, :, :2] = np.nan
    south[:, 0] += 5
    first, second = dated(tmp_path, sun, north), dated(tmp_path, sun, south)
    both = DateFacts(
        angles=first.angles + second.angles, angle_files=first.angle_files + second.angle_files
    )
    frame = Frame(LEFT, TOP, 20)
    made = factors(both, frame, (1000, 1))
    assert np.array_equal(made[:500], factors(first, frame, (500, 1)))
    own = factors(second, Frame(LEFT, TOP - 15000, 20), (250, 1))
    assert np.array_equal(made[750:], own)


def test_a_file_that_is_gone_is_said_and_what_it_holds_survives(tmp_path):
    sun, views = grids(2)
    facts = dated(tmp_path, sun, views)
    held = read_angles(facts.angle_files)
    np.testing.assert_allclose(held.views["nir"], views, rtol=1e-6)
    assert held.checksum() == facts.angles[0]
    with pytest.raises(StoreError, match="ingest the scene again"):
        read_angles((str(tmp_path / "gone.npz"),))
    with pytest.raises(BandError, match="ingest its scenes again"):
        factors(DateFacts(angles=facts.angles), Frame(LEFT, TOP, 20), (1, 1))


def test_facts_record_no_places_of_files():
    facts = DateFacts(sun=(30.0, 150.0), angles=("ab",), angle_files=("/x",))
    document = facts.document(("sun", "angles", "platform"))
    assert document == {"sun": [30.0, 150.0], "angles": ["ab"], "platform": ""}
    assert DateFacts.parse(document) == facts
    assert "/x" not in str(facts)
    assert facts.only(("angles",)).angle_files == ("/x",)
    assert facts.only(("sun",)).angle_files == ()
