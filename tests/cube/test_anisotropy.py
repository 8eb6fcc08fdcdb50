"""The synthetic land by where the sun and the sensor stand."""

import numpy as np
import pytest

from cube.angles import SceneAngles
from cube.anisotropy import (
    REFERENCE_SUN,
    directed_reflectance,
    nadir_kernels,
    parcel_coefficients,
    scene_kernels,
)
from cube.classes import CLEAR
from cube.directional import ROY, DirectionalParams, Frame, correct
from cube.facts import DateFacts
from cube.landscape import (
    COVERS,
    build_landscape,
    endmember_shares,
    fine_reflectance,
    ground_reflectance,
)
from cube.testing import Angles, simulate_scene

DAY = 135
NAMES = ("blue", "red", "nir", "swir16")
WEST, EAST = (4.2, 285.0), (11.9, 104.0)
"""Views of two orbits where the swath of one ends: zenith and azimuth of the way to the sensor."""
SUN = (30.0, 152.0)


@pytest.fixture(scope="module")
def land():
    return build_landscape((120, 120), seed=5)


def grids(view, sun=SUN, step=5000.0, bands=NAMES):
    """The same directions at 2 x 2 nodes of two detectors, each of which looks at one column."""
    detectors = np.full((2, 2, 2, 2), np.nan)
    for detector in (0, 1):
        detectors[detector, :, :, detector] = np.array(view)[:, None]
    everywhere = np.broadcast_to(np.reshape(sun, (1, 2, 1, 1)), (1, 2, 2, 2)).astype(float)
    views = dict.fromkeys(bands, detectors)
    return SceneAngles(300000.0, 4900020.0, (step, step), (1200, 1200), everywhere, views)


def seen(land, view, sun=SUN):
    angles = grids(view, sun)
    frame = Frame(angles.left, angles.top, 10)
    kernels = {name: scene_kernels(angles, frame, land.shape, name) for name in NAMES}
    return directed_reflectance(land, DAY, kernels, NAMES)


def from_nadir(land, sun=SUN[0]):
    return directed_reflectance(land, DAY, nadir_kernels(sun), NAMES)


def test_nadir_under_the_sun_of_the_spectra_is_the_ground(land):
    ground = ground_reflectance(land, DAY, NAMES)
    for name, found in from_nadir(land, REFERENCE_SUN).items():
        np.testing.assert_allclose(found, ground[name], rtol=2e-6)


def test_a_sensor_in_the_zenith_sees_the_truth(land):
    truth = from_nadir(land)
    for name, found in seen(land, (0.0, 77.0)).items():
        np.testing.assert_allclose(found, truth[name], rtol=2e-6)
    frame = Frame(300000.0, 4900020.0, 10)
    kernels = scene_kernels(grids(EAST), frame, land.shape)
    for name, found in directed_reflectance(land, DAY, kernels, NAMES).items():
        np.testing.assert_allclose(found, truth[name], rtol=2e-6)


def kernel_pair(sun, view, azimuth):
    """Ross-Thick and Li-Sparse-Reciprocal (h/b 2, b/r 1), number by number, angles in degrees."""
    s, v, p = (float(np.radians(each)) for each in (sun, view, azimuth))
    cosine = np.cos(s) * np.cos(v) + np.sin(s) * np.sin(v) * np.cos(p)
    phase = np.arccos(cosine)
    ross = ((np.pi / 2 - phase) * cosine + np.sin(phase)) / (np.cos(s) + np.cos(v)) - np.pi / 4
    secants = 1 / np.cos(s) + 1 / np.cos(v)
    apart = np.tan(s) ** 2 + np.tan(v) ** 2 - 2 * np.tan(s) * np.tan(v) * np.cos(p)
    apart += (np.tan(s) * np.tan(v) * np.sin(p)) ** 2
    t = np.arccos(min(1, 2 * np.sqrt(apart) / secants))
    overlap = (t - np.sin(t) * np.cos(t)) * secants / np.pi
    return ross, overlap - secants + (1 + cosine) / (2 * np.cos(s) * np.cos(v))


def test_a_parcel_is_as_bright_as_its_coefficients_say(land):
    fine = fine_reflectance(land, DAY, ("nir",))["nir"]
    found = seen(land, EAST)["nir"]
    volumetric, geometric = parcel_coefficients(land, endmember_shares(land, DAY), "nir")
    before, now = kernel_pair(45, 0, 0), kernel_pair(SUN[0], EAST[0], SUN[1] - EAST[1])
    for parcel in range(0, len(volumetric), 7):
        v, g = float(volumetric[parcel]), float(geometric[parcel])
        ratio = (1 + v * now[0] + g * now[1]) / (1 + v * before[0] + g * before[1])
        inside = land.area(parcel)
        np.testing.assert_allclose(found[inside], fine[inside] * ratio, rtol=1e-5)


def test_water_looks_the_same_from_everywhere_and_land_does_not(land):
    water = land.cover == COVERS.index("water")
    west, east, ground = seen(land, WEST), seen(land, EAST), ground_reflectance(land, DAY, NAMES)
    np.testing.assert_allclose(east["red"][water], ground["red"][water], rtol=2e-6)
    np.testing.assert_allclose(west["red"][water], ground["red"][water], rtol=2e-6)
    # the eastern orbit has the sun behind it in the morning
    step = (east["red"] / west["red"])[~water]
    assert np.median(step) == pytest.approx(1.06, abs=0.01)
    assert step.min() > 1


def test_coefficients_lie_round_the_global_ones_and_are_not_those(land):
    shares = endmember_shares(land, DAY)
    dry = land.parcel_cover != COVERS.index("water")
    pixels = np.bincount(land.parcel.ravel())[dry]
    for name in NAMES:
        for found, whole in zip(parcel_coefficients(land, shares, name), ROY[name], strict=True):
            ratio = found[dry] / whole
            assert np.average(ratio, weights=pixels) == pytest.approx(1, abs=0.35)
            assert 0.2 < ratio.std() < 0.6
            assert np.abs(ratio - 1).min() > 1e-5


def test_directions_change_linearly_between_nodes(land):
    """A scene of which one corner lies on a node and the opposite one halfway to the next."""
    angles = grids(WEST, step=2400.0)
    angles.sun[0, 0] = [[20, 40], [20, 40]]
    frame = Frame(angles.left - 5, angles.top + 5, 10)
    kernels = scene_kernels(angles, frame, (121, 121), None)
    at = [kernel_pair(zenith, 0, 0)[1] for zenith in (20, 40)]
    assert kernels.geometric[0, 0] == pytest.approx(at[0], rel=1e-5)
    assert kernels.geometric[7, 120] == pytest.approx((at[0] + at[1]) / 2, rel=1e-5)


@pytest.fixture(scope="module")
def corrected(land, tmp_path_factory):
    """Both views of one morning by what was told of their angles; dn."""

    def make(view, told):
        angles = grids(told)
        path = tmp_path_factory.mktemp("angles") / f"{angles.checksum()}.npz"
        path.write_bytes(angles.content())
        facts = [DateFacts(angles=(angles.checksum(),), angle_files=(str(path),))]
        dn = {
            name: (1e4 * each).round().astype(np.int16) for name, each in seen(land, view).items()
        }
        bands = {name: np.repeat(np.repeat(each, 120 // len(each), 0), 120 // len(each), 1)[None]
                 for name, each in dn.items()}  # fmt: skip
        classes = np.full((1, *land.shape), CLEAR, np.uint8)
        frame = Frame(angles.left, angles.top, 10)
        correct(bands, classes, facts, frame, DirectionalParams(brdf="roy"))
        return {name: each[0].astype(float) for name, each in bands.items()}

    return make


def test_right_angles_bring_two_views_of_a_pixel_together(land, corrected):
    dry = land.cover != COVERS.index("water")

    def apart(told_west, told_east):
        one, other = corrected(WEST, told_west), corrected(EAST, told_east)
        return {name: np.abs(one[name] - other[name])[dry].mean() for name in NAMES}

    as_seen = {
        name: 1e4 * np.abs(seen(land, WEST)[name] - seen(land, EAST)[name]).mean()
        for name in ("red", "nir")
    }
    right, swapped = apart(WEST, EAST), apart(EAST, WEST)
    for name in ("red", "nir"):
        assert right[name] < as_seen[name] / 2.8
        assert right[name] > as_seen[name] / 8  # coefficients are not those of the correction
        assert swapped[name] > 1.5 * as_seen[name]


def test_a_scene_is_seen_along_its_grids_and_its_truth_is_nadir(land):
    bands = ("red", "nir")
    angles = grids(EAST, bands=("blue", "red", "nir", "nir08"))
    scene = simulate_scene(land, DAY, Angles(*SUN, *EAST), directions=angles, bands=bands, seed=3)
    plain = simulate_scene(land, DAY, Angles(*SUN, *EAST), bands=bands, seed=3)
    truth = from_nadir(land)
    for name in bands:
        np.testing.assert_allclose(scene.ground[name], truth[name], rtol=2e-6)
        np.testing.assert_array_equal(
            plain.ground[name], ground_reflectance(land, DAY, bands)[name]
        )
        # noise of 0.0015 and 1 %
        away = scene.seen[name] - seen(land, EAST)[name]
        assert abs(float(away.mean())) < 2e-4
        assert float(away.std()) < 0.005
    np.testing.assert_array_equal(scene.classes, plain.classes)
