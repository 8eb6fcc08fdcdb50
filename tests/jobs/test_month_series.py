"""Series for syntheses to be held against: a month over a small land, and a tile by blocks."""

from dataclasses import replace

import numpy as np
import pytest

from cube.anisotropy import directed_reflectance, nadir_kernels
from cube.composite import STATUS_LAND, day_number
from cube.facts import DateFacts
from cube.landscape import COVERS
from cube.opinions import true_classes
from cube.quality import differences
from cube.synthesis import composite, method
from cube.testing import swath
from cube.texture import noise, orbits_seen, seam
from jobs.simulate.directions import sun_zenith
from jobs.simulate.month_series import BANDS, simulate_month
from jobs.simulate.season import EASTERN_ORBIT
from jobs.simulate.tile_series import BORDER, simulate_tile


@pytest.fixture(scope="module")
def may():
    return simulate_month("2020-05", 3, size=192)


@pytest.fixture(scope="module")
def perfect(may):
    return may.masks(0, 0)


def test_dates_lie_round_the_15th_and_are_of_two_orbits(may):
    assert set(may.orbits) == {8, 51}
    assert len(may.days) == 9
    assert (np.diff(may.days) > 0).all()
    assert np.abs(may.days - day_number(may.period.centre)).max() <= 23
    for orbit, observed in zip(may.orbits, may.observed, strict=True):
        assert observed[:, -1].all()
        assert observed[0, 0] == (orbit != EASTERN_ORBIT)


def test_the_same_seed_gives_the_same_month():
    first, again, other = (simulate_month("2020-05", seed, size=48) for seed in (3, 3, 4))
    for name in BANDS:
        np.testing.assert_array_equal(first.bands[name], again.bands[name])
        np.testing.assert_array_equal(first.truth[name], again.truth[name])
    assert (other.bands["red"] != first.bands["red"]).mean() > 0.5


def test_truth_is_nadir_under_the_sun_of_the_15th(may):
    season = may.season
    zenith = sun_zenith(season.west, season.north, 1920, season.epsg, may.period.centre)
    ground = directed_reflectance(may.landscape, 136, nadir_kernels(zenith), ("swir16",))["swir16"]
    np.testing.assert_allclose(may.truth["swir16"], 1e4 * ground, atol=0.51)
    water = (may.landscape.cover == COVERS.index("water")).reshape(96, 2, 96, 2).any(axis=(1, 3))
    np.testing.assert_array_equal(may.land, ~water)


def test_masks_without_error_are_true_and_with_error_wrong_by_so_much(may, perfect):
    sky, observed = may.skies[0]
    np.testing.assert_array_equal(perfect[0], true_classes(may.landscape, sky, observed, 2))
    wrong = may.masks(0.2, 0)
    hidden = np.isin(perfect, (2, 3, 4))
    seen = np.isin(wrong, (1, 6))
    for was, now in zip(hidden, seen, strict=True):
        assert now[was].sum() == round(0.2 * was.sum())


def rmse(may, made, name="nir"):
    return differences(made.bands[name], may.truth[name], may.land & (made.status == 4)).rmse


def test_a_weighted_mean_of_perfect_masks_is_near_the_truth_and_smooth(may, perfect):
    wasp, medoid = method("wasp"), method("medoid")
    mean, as_seen = may.synthesis(wasp, perfect), may.synthesis(wasp, perfect, brdf="none")
    chosen = may.synthesis(medoid, perfect, brdf="roy")
    assert rmse(may, mean) < 0.012
    assert rmse(may, mean) < rmse(may, as_seen)
    fields = np.where(may.land, may.fields, 0)
    sigma = [
        noise(made.bands["nir"] - may.truth["nir"], may.truth["nir"], fields).sigma
        for made in (mean, chosen)
    ]
    assert sigma[0] < 0.7 * sigma[1]


def test_missed_clouds_take_the_mean_away_from_the_truth(may, perfect):
    wasp = method("wasp")
    blue = [
        rmse(may, may.synthesis(wasp, may.masks(rate, 0), outliers="keep"), "blue")
        for rate in (0, 0.05, 0.2)
    ]
    assert blue[0] < blue[1] < blue[2]
    assert blue[2] > 3 * blue[0]


# --- a tile ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tile():
    return simulate_tile("2020-05", 1, size=480, side=120)


def test_blocks_are_the_tile(tile):
    assert len(tile.blocks) == 16
    number = int(np.argmax([each.relative_orbit == EASTERN_ORBIT for each in tile.passes]))
    whole = np.zeros((480, 480), bool)
    for row, column in tile.blocks:
        here = slice(row, row + 120), slice(column, column + 120)
        whole[here] = tile.observed(number, (row, column))
        opacity = tile.sky(number, (row, column)).opacity
        np.testing.assert_array_equal(
            np.rint(255 * opacity[::2, ::2]),
            tile.opacity[number][tile.coarse((row, column))],
        )
    np.testing.assert_array_equal(whole, swath((480, 480), BORDER))
    western = int(np.argmax([each.relative_orbit != EASTERN_ORBIT for each in tile.passes]))
    assert tile.observed(western, (0, 0)).all()
    assert (tile.land((0, 0)).cover != tile.land((0, 120)).cover).mean() > 0.3


def test_masks_of_some_rows_are_those_of_the_whole(tile):
    whole, part = tile.masks(0.05, 0.05), tile.masks(0.05, 0.05, [1])
    np.testing.assert_array_equal(part[:, 60:120], whole[:, 60:120])
    assert not part[:, :60].any()
    assert not part[:, 120:].any()


def test_a_seam_shows_where_the_swath_ends_and_the_correction_takes_most_of_it(tile, tmp_path):
    """Without clouds, so that little else differs between the two sides."""
    clear = np.zeros_like(tile.opacity)
    tile = replace(tile, opacity=clear, shadow=clear)
    block = (120, 120)
    land = tile.land(block)
    bands, truth = tile.observations(block, land), tile.truth(block, land)
    orbits = orbits_seen(
        np.stack([tile.observed(n, block) for n in range(len(tile.days))]),
        np.array([each.relative_orbit for each in tile.passes]),
    )
    assert 0.1 < (orbits == orbits.max()).mean() < 0.9
    facts = []
    for angles in tile.angles:
        path = tmp_path / f"{angles.checksum()}.npz"
        path.write_bytes(angles.content())
        facts.append(DateFacts(angles=(angles.checksum(),), angle_files=(str(path),)))
    masks = tile.masks(0, 0, [1])[:, *tile.coarse(block)]
    classes = masks.repeat(2, axis=1).repeat(2, axis=2)
    wasp, step = method("wasp"), {}
    for brdf in ("none", "roy"):
        made = composite(
            wasp, wasp.params(brdf=brdf), tile.period, bands, classes, tile.days,
            np.ones(classes.shape, np.float32), bands["blue"], facts, frame=tile.frame(block),
        )  # fmt: skip
        area = tile.dry(land) & (made.status == STATUS_LAND)
        away = np.where(area, made.bands["nir"] - truth["nir"], np.int16(-10000))
        step[brdf] = seam(away, orbits).step
    assert step["roy"] < step["none"] / 2
