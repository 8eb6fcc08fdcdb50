"""Weights, corrections and syntheses beside what CNES's own WASP program wrote for the same input.

Everything goes from its L2A products to its layers by ``compat=wasp-binary``; nothing of what it
wrote is put in.
"""

from datetime import date
from functools import cache

import numpy as np
import pytest
import rasterio

from catalog.products import open_product
from cube.angles import scene_angles
from cube.bands import BANDS
from cube.composite import Observations
from cube.directional import Frame, correct
from cube.facts import DateFacts
from cube.methods.wasp import aot_weights, total_weights
from cube.periods import Period
from cube.synthesis import composite, day_number, method
from cube.wasp_masks import halved
from cube.weights import cloud_weight, coarse_cloud_weights

pytestmark = pytest.mark.shared

DATES = ((2018, 4, 22), (2018, 5, 12), (2018, 5, 30))
DAYS = np.array([day_number(date(*ymd)) for ymd in DATES], np.int32)
NEW_YEAR = day_number(date(2018, 1, 1))
GROUPS = {1: ("B2", "B3", "B4", "B8"), 2: ("B5", "B6", "B7", "B8A", "B11", "B12")}
NAMES = {band.muscate: band.name for band in BANDS}
MAY = Period.parse("2018-05")
COMPAT = method("wasp").params(compat="wasp-binary")


def read(path, band=1):
    with rasterio.open(path) as raster:
        return raster.read(band)


def find(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def reference(shared):
    return shared / "wasp-reference"


@pytest.fixture(scope="module")
def products(reference):
    return [find(reference, f"l2a/*_{y}{m:02}{d:02}-*") for y, m, d in DATES]


@pytest.fixture(scope="module")
def decoded(products):
    """(date, y, x) classes at 10 m: CLM bit 0, then MG2 bit 0 water over bit 2 snow."""
    classes = []
    for folder in products:
        clm, mg2 = (read(find(folder, f"MASKS/*_{m}_R1.tif")) for m in ("CLM", "MG2"))
        cloud, water, snow = clm & 0b1 != 0, mg2 & 0b1 != 0, mg2 & 0b100 != 0
        classes.append(np.select([cloud, water, snow], [2, 6, 5], 1).astype(np.uint8))
    return np.stack(classes)


@pytest.fixture(scope="module")
def cloud_weights(decoded):
    """By resolution, (date, y, x): as made from the masks at 10 m."""
    coarse = [
        coarse_cloud_weights([(0, classes == 2)], classes.shape, 10, COMPAT) for classes in decoded
    ]
    height, width = decoded.shape[1:]
    return {
        m: np.stack(
            [cloud_weight(c, 0, 0, (height * 10 // m, width * 10 // m), m, COMPAT) for c in coarse]
        )
        for m in (10, 20)
    }


@pytest.fixture(scope="module")
def aot(products):
    """(date, y, x) thousandths at 10 m: the second band in two hundredths, 0 where it is unknown."""
    stored = np.stack([read(find(folder, "*_ATB_R1.tif"), 2) for folder in products]).astype(int)
    return np.where(stored == 0, -10000, stored * 5).astype(np.int16)


@pytest.fixture(scope="module")
def facts(products, tmp_path_factory):
    """What is known of each date, with its grids of angles as our readers take them."""
    folder = tmp_path_factory.mktemp("angles")
    found = []
    for path in products:
        grids = open_product(path).angles
        angles = scene_angles(grids.corner, grids.step, grids.size, grids.sun, grids.views)
        file = folder / f"{path.name}.npz"
        file.write_bytes(angles.content())
        found.append(
            DateFacts(platform="sentinel-2a", angles=(angles.checksum(),), angle_files=(str(file),))
        )
    return found


@pytest.fixture(scope="module")
def inputs(products, decoded, cloud_weights, aot):
    """What a composite of R1 or R2 is given: bands, classes, weights, blue, aerosol, fixed."""

    def make(group):
        bands = {
            NAMES[name]: np.stack([read(find(f, f"*_FRE_{name}.tif")) for f in products])
            for name in GROUPS[group]
        }
        if group == 1:
            return bands, decoded, cloud_weights[10], bands["blue"], aot, None
        classes, fixed = halved(decoded)
        blue = np.stack([read(find(f, "*_FRE_B2.tif"))[1::2, 1::2] for f in products])
        # Its weight of a 20 m pixel is the mean of four products; a cube holds one aerosol for four.
        fine = cloud_weights[10] * aot_weights(aot, COMPAT)
        weights = fine.reshape(3, 240, 2, 240, 2).mean(axis=(2, 4))
        return bands, classes, weights, np.ascontiguousarray(blue), None, fixed

    return make


@pytest.fixture(scope="module")
def synthesis(inputs, facts):
    """Synthesis of the first dates at R1 or R2."""

    @cache
    def make(group, dates=3):
        bands, classes, weights, blue, aerosol, fixed = inputs(group)
        return composite(
            method("wasp"),
            COMPAT,
            MAY,
            {name: band[:dates] for name, band in bands.items()},
            classes[:dates],
            DAYS[:dates],
            weights[:dates],
            blue[:dates],
            facts[:dates],
            aot=None if aerosol is None else aerosol[:dates],
            frame=Frame(300_000, 4_800_000, 10 * group),
            fixed=None if fixed is None else fixed[:dates],
        )

    return make


@pytest.mark.parametrize("k", range(3))
def test_cloud_weight(reference, cloud_weights, k):
    expected = read(reference / "weights" / f"{k}_WeightOnCloud.tif")
    assert np.abs(cloud_weights[10][k] - expected).max() < 2e-4


@pytest.mark.parametrize("k", range(3))
def test_aerosol_weight(reference, aot, k):
    expected = read(reference / "weights" / f"{k}_WeightAot.tif")
    assert np.abs(aot_weights(aot[k : k + 1], COMPAT)[0] - expected).max() < 1e-6


def test_unknown_aerosol_is_not_favoured(reference, aot):
    made = aot_weights(aot, method("wasp").params())
    assert (aot < 0).sum() == 1800
    assert (made[aot < 0] == np.float32(0.33)).all()
    assert np.array_equal(made[aot >= 0], aot_weights(aot, COMPAT)[aot >= 0])


def test_total_weight(reference, decoded, cloud_weights, aot, facts):
    bands = {"blue": np.zeros(decoded.shape, np.int16)}
    observations = Observations(
        bands, decoded, DAYS, cloud_weights[10], bands["blue"], tuple(facts), aot
    )
    made = total_weights(observations, MAY, COMPAT)
    for k in range(3):
        expected = read(reference / "weights" / f"{k}_WeightTotal.tif")
        assert np.abs(made[k] - expected).max() < 2e-4


@pytest.mark.parametrize("group", [1, 2])
def test_directional_correction(reference, inputs, facts, group):
    bands, classes, *_, fixed = inputs(group)
    before = {name: band.copy() for name, band in bands.items()}
    correct(bands, classes, facts, Frame(300_000, 4_800_000, 10 * group), COMPAT, fixed)
    for i, name in enumerate(GROUPS[group]):
        for k in range(3):
            expected = read(reference / "directional" / f"{k}_CP_R{group}.tif", i + 1)
            off = np.abs(bands[NAMES[name]][k].astype(int) - expected)
            assert off.max() <= 1, (name, k)
            assert (off > 0).mean() < 0.02
            assert np.abs(before[NAMES[name]][k].astype(int) - expected).max() > 15


@pytest.mark.parametrize("group", [1, 2])
def test_layers(reference, synthesis, group):
    made = synthesis(group)
    l3a = find(reference, "l3a/*")
    flag, weight, day = (
        read(find(l3a, f"MASKS/*_{layer}_R{group}.tif")) for layer in ("FLG", "WGT", "DTS")
    )
    assert np.array_equal(made.status, flag)
    if group == 1:
        assert np.bincount(flag.ravel()).tolist() == [400, 4868, 800, 4000, 220332]
    assert np.abs(made.weight * 1000 - np.maximum(weight, 0)).max() <= 5
    shown = flag > 0
    assert np.abs(made.date - NEW_YEAR - day)[shown].max() <= 1
    assert (made.date[~shown] == -10000).all()
    for name in GROUPS[group]:
        expected = read(find(l3a, f"*_FRC_{name}.tif"))
        assert np.abs(made.bands[NAMES[name]].astype(int) - expected).max() <= 2, name


def test_never_clear_pixels_of_20_m_keep_the_first_date(reference, synthesis):
    """There the program compares blue with what lies outside its array: what it did is reproduced."""
    made = synthesis(2)
    never = made.status == 1
    assert never.sum() == 1230
    assert (made.date[never] - NEW_YEAR == 111).all()
    fine = synthesis(1)
    assert (fine.date[fine.status == 1] - NEW_YEAR == 149).any()


# pixel: per number of dates (weight x 1000, day of year from 0, status, B2, B8 or None)
PIXELS = {
    (350, 420): [(438, 111, 4, 563, 3780), (978, 122, 4, 560, 3751), (1302, 128, 4, 532, 3563)],
    (70, 260): [(0, 111, 2, 7000, None), (705, 131, 4, 406, 3220), (1218, 138, 4, 373, 2955)],
    (30, 40): [(0, 111, 2, 7000, None), (0, 131, 2, 7100, None), (0, 149, 2, 7200, None)],
    (420, 100): [(0, 111, 3, 80, 600), (0, 131, 3, 88, 660), (0, 149, 3, 74, 552)],
    (130, 125): [(0, 111, 1, 5550, None), (0, 131, 1, 4650, None), (0, 149, 1, 3750, None)],
    (470, 470): [(0, None, 0, -10000, -10000)] * 3,
    (350, 5): [(0, None, 0, -10000, -10000), (925, 131, 4, 408, None), (1848, 139, 4, 368, 2823)],
    (340, 290): [(447, 111, 4, 491, None), (1154, 123, 4, 489, None), (1154, 123, 4, 489, None)],
    (304, 354): [(0, 111, 1, 5550, None), (571, 131, 4, 560, None), (961, 138, 4, 515, 3856)],
}


@pytest.mark.parametrize("dates", [1, 2, 3])
def test_single_pixels_after_each_date(synthesis, dates):
    made = synthesis(1, dates)
    for at, states in PIXELS.items():
        weight, day, status, blue, nir = states[dates - 1]
        assert made.status[at] == status, at
        assert made.weight[at] * 1000 == pytest.approx(weight, abs=3), at
        assert abs(int(made.bands["blue"][at]) - blue) <= 2, at
        if nir is not None:
            assert abs(int(made.bands["nir"][at]) - nir) <= 2, at
        if day is None:
            assert made.date[at] == -10000, at
        else:
            assert abs(int(made.date[at]) - NEW_YEAR - day) <= 1, at
