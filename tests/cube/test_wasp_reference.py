"""Cloud weights and syntheses beside what CNES's own WASP program wrote for the same input."""

from datetime import date

import numpy as np
import pytest
import rasterio

from cube.periods import Period
from cube.synthesis import composite, day_number, method
from cube.weights import CloudWeightParams, cloud_weight, coarse_cloud_weights

pytestmark = pytest.mark.shared

DAYS = [day_number(date(2018, *md)) for md in ((4, 22), (5, 12), (5, 30))]
NEW_YEAR = day_number(date(2018, 1, 1))
BANDS = {1: ("B2", "B3", "B4", "B8"), 2: ("B5", "B6", "B7", "B8A", "B11", "B12")}


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
def decoded(reference):
    """(date, y, x) classes at 10 m: CLM bit 0, then MG2 bit 0 water over bit 2 snow."""
    classes = []
    for day in ("20180422", "20180512", "20180530"):
        clm, mg2 = (
            read(find(reference, f"l2a/*_{day}-*/MASKS/*_{m}_R1.tif")) for m in ("CLM", "MG2")
        )
        cloud, water, snow = clm & 0b1 != 0, mg2 & 0b1 != 0, mg2 & 0b100 != 0
        classes.append(np.select([cloud, water, snow], [2, 6, 5], 1).astype(np.uint8))
    return np.stack(classes)


@pytest.fixture(scope="module")
def total_weights(reference):
    return np.stack([read(reference / "weights" / f"{k}_WeightTotal.tif") for k in range(3)])


@pytest.fixture(scope="module")
def synthesis(reference, decoded, total_weights):
    """Synthesis of the first dates at R1 or R2, with the program's own weights for each date."""

    def make(group, dates=3):
        bands = {
            name: np.stack(
                [read(reference / "directional" / f"{k}_CP_R{group}.tif", i + 1) for k in range(3)]
            )
            for i, name in enumerate(BANDS[group])
        }
        classes, weights = decoded, total_weights
        blue = np.stack([read(reference / "directional" / f"{k}_CP_R1.tif") for k in range(3)])
        if group == 2:
            classes = np.ascontiguousarray(classes[:, 1::2, 1::2])
            weights = weights.reshape(3, 240, 2, 240, 2).mean(axis=(2, 4))
            blue = np.ascontiguousarray(blue[:, 1::2, 1::2])
        wasp = method("wasp")
        # The program's weights hold the date already: no date weight on top.
        params = wasp.params(date_weight_min=1)
        return composite(
            wasp,
            params,
            Period.parse("2018-05"),
            {name: band[:dates] for name, band in bands.items()},
            classes[:dates],
            np.array(DAYS[:dates], np.int32),
            weights[:dates].astype(np.float32),
            blue[:dates],
        )

    return make


@pytest.mark.parametrize("k", range(3))
def test_cloud_weight(reference, decoded, k):
    cloudy = decoded[k] == 2
    params = CloudWeightParams()
    coarse = coarse_cloud_weights([(0, cloudy)], cloudy.shape, 10, params)
    made = cloud_weight(coarse, 0, 0, cloudy.shape, 10, params)
    expected = read(reference / "weights" / f"{k}_WeightOnCloud.tif")
    assert np.abs(made - expected).max() < 2e-4


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
    # The program cuts the weight to a thousandth and the date to a day after each of three dates;
    # here the exact mean is rounded.
    shown = flag > 0
    assert np.abs(made.weight * 1000 - weight)[shown].max() <= 5
    land = flag == 4
    assert np.abs(made.date - NEW_YEAR - day)[land].max() <= 2
    assert (made.date[~shown] == -10000).all()
    for name in BANDS[group]:
        expected = read(find(l3a, f"*_FRC_{name}.tif"))
        off = np.abs(made.bands[name].astype(int) - expected)
        # Beside a cloud its cut weight moves five 20 m pixels of large contrast by up to 4.
        assert off[land].max() <= (2 if group == 1 else 4), name
        assert np.count_nonzero(off[land] > 2) <= 5, name
        # Where nothing was ever clear the program's 20 m bands do not follow the date of least blue.
        same = (flag == 0) | (flag == 2) | (flag == 3) | ((flag == 1) & (group == 1))
        assert off[same].max() <= group - 1, name
        assert (made.date[same & shown] - NEW_YEAR == day[same & shown]).all()


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
        assert abs(int(made.bands["B2"][at]) - blue) <= 2, at
        if nir is not None:
            assert abs(int(made.bands["B8"][at]) - nir) <= 2, at
        if day is None:
            assert made.date[at] == -10000, at
        else:
            assert abs(int(made.date[at]) - NEW_YEAR - day) <= 1, at
