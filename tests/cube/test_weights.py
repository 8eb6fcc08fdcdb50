import tracemalloc

import numpy as np
import pytest
from pydantic import ValidationError

from cube.errors import GridError
from cube.weights import CloudWeightParams, cloud_weight, coarse_cloud_weights, not_clear

PARAMS = CloudWeightParams()


def strips(cloudy, height):
    return ((row, cloudy[row : row + height]) for row in range(0, cloudy.shape[0], height))


def patchy(shape, seed=3):
    """(y, x) bool with clouds of some hundred metres to some kilometres at 10 m."""
    rng = np.random.default_rng(seed)
    cells = rng.random((shape[0] // 60 + 1, shape[1] // 60 + 1)) < 0.4
    return cells.repeat(60, axis=0).repeat(60, axis=1)[: shape[0], : shape[1]]


def test_not_clear_is_cloud_shadow_and_by_choice_thin_cloud():
    codes = np.arange(7, dtype=np.uint8)
    assert not_clear(codes, PARAMS).tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert not_clear(codes, CloudWeightParams(near_thin=False)).tolist() == [0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(("cloudy", "weight"), [(False, 1.0), (True, 0.0)])
def test_a_clear_sky_weighs_one_and_an_overcast_one_nothing(cloudy, weight):
    sky = np.full((500, 300), cloudy)
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    assert coarse.shape == (2, 21, 13)
    assert coarse.dtype == np.float32
    made = cloud_weight(coarse, 0, 0, sky.shape, 10, PARAMS)
    np.testing.assert_allclose(made, weight, atol=1e-6)


def test_weight_grows_away_from_a_cloud_bank():
    sky = np.zeros((960, 1920), bool)
    sky[:, :480] = True
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    line = cloud_weight(coarse, 480, 0, (1, 1920), 10, PARAMS)[0]
    assert line[100] < 0.02
    # At the straight edge both blurs are near one half.
    assert line[479] == pytest.approx(0.25, abs=0.02)
    # The truncated kernel ends in a step, round which the cubic swings by less than a thousandth.
    assert (np.diff(line[480:1200]) >= -1e-3).all()
    # The wide kernel reaches 26 coarse pixels (6.2 km), the interpolation one or two more.
    assert (line[480 + 28 * 24 :] == 1).all()


def test_a_small_cloud_lowers_its_neighbours_weight_by_its_share():
    sky = np.zeros((4800, 4800), bool)
    sky[2410:2418, 2410:2418] = True
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    # 64 of the 576 pixels of one cell, spread and none lost.
    np.testing.assert_allclose(coarse.sum(axis=(1, 2)), 64 / 576, rtol=1e-5)
    weight = cloud_weight(coarse, 2400, 2400, (24, 24), 10, PARAMS)
    # The kernel of two cells has exp(-4) I_0(4) = 0.207 in its middle, along either axis.
    assert 1 - weight[12, 12] == pytest.approx(64 / 576 * 0.2070**2, rel=0.1)
    dropping = CloudWeightParams(small_clouds="drop")
    assert not coarse_cloud_weights([(0, sky)], sky.shape, 10, dropping).any()


def test_shares_at_the_edges_are_of_what_is_there():
    sky = np.zeros((36, 60), bool)
    sky[24:, 48:54] = True
    params = CloudWeightParams(sigma_small=0.01, sigma_large=0.01)
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, params)
    np.testing.assert_allclose(coarse[0], [[0, 0, 0], [0, 0, 0.5]], atol=1e-6)


@pytest.mark.parametrize("rule", ["share", "drop"])
@pytest.mark.parametrize(
    ("shape", "resolution"), [((725, 613), 10), ((363, 307), 20), ((90, 77), 60)]
)
def test_strips_of_any_height_give_the_same_bits(shape, resolution, rule):
    sky, params = patchy(shape), CloudWeightParams(small_clouds=rule)
    whole = coarse_cloud_weights([(0, sky)], shape, resolution, params)
    for height in (1, 64, 100):
        made = coarse_cloud_weights(strips(sky, height), shape, resolution, params)
        assert np.array_equal(made, whole)


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_windows_equal_the_whole_bit_for_bit(resolution):
    sky = patchy((725, 613))
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    shape = (725 * 10 // resolution, 613 * 10 // resolution)
    whole = cloud_weight(coarse, 0, 0, shape, resolution, PARAMS)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert np.ptp(whole) > 0.5
    for row0, col0 in ((0, 0), (13, 40), (64, 50)):
        part = cloud_weight(coarse, row0, col0, (30, 41), resolution, PARAMS)
        assert np.array_equal(part, whole[row0 : row0 + 30, col0 : col0 + 41])


def test_weight_at_20_m_is_the_mean_of_four_at_10_m():
    sky = patchy((720, 600))
    coarse = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    fine = cloud_weight(coarse, 0, 0, sky.shape, 10, PARAMS).astype(float)
    made = cloud_weight(coarse, 0, 0, (360, 300), 20, PARAMS)
    np.testing.assert_allclose(made, fine.reshape(360, 2, 300, 2).mean(axis=(1, 3)), atol=1e-7)


def test_mask_at_20_m_gives_nearly_the_weight_of_the_same_mask_at_10_m():
    coarse_sky = patchy((360, 300))
    sky = coarse_sky.repeat(2, axis=0).repeat(2, axis=1)
    at_10 = coarse_cloud_weights([(0, sky)], sky.shape, 10, PARAMS)
    at_20 = coarse_cloud_weights([(0, coarse_sky)], coarse_sky.shape, 20, PARAMS)
    assert at_10.shape == at_20.shape
    np.testing.assert_allclose(at_10, at_20, atol=1e-6)


def test_extents_smaller_than_a_coarse_cell():
    coarse = coarse_cloud_weights([(0, np.ones((5, 3), bool))], (5, 3), 10, PARAMS)
    assert coarse.shape == (2, 1, 1)
    assert cloud_weight(coarse, 0, 0, (5, 3), 10, PARAMS).max() < 1e-6


def test_a_whole_tile_streams_in_little_memory():
    size = 10980
    strip = patchy((549, size))
    tracemalloc.start()
    rows = ((row, strip) for row in range(0, size, 549))
    coarse = coarse_cloud_weights(rows, (size, size), 10, PARAMS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert coarse.shape == (2, 458, 458)
    assert peak < 60e6


def test_strips_that_are_not_the_extent_are_refused():
    sky = np.zeros((20, 30), bool)
    with pytest.raises(GridError, match="at row 10: expected row 0"):
        coarse_cloud_weights([(10, sky)], (20, 30), 10, PARAMS)
    with pytest.raises(GridError, match="end at row 20, the extent has 21"):
        coarse_cloud_weights([(0, sky)], (21, 30), 10, PARAMS)
    with pytest.raises(GridError, match="expected row 0 of"):
        coarse_cloud_weights([(0, sky.astype(np.int16))], (20, 30), 10, PARAMS)
    with pytest.raises(GridError, match="500 m"):
        coarse_cloud_weights([(0, sky)], (20, 30), 500, PARAMS)


def test_unknown_parameters_are_refused():
    with pytest.raises(ValidationError, match="sigma"):
        CloudWeightParams(sigma=3)
