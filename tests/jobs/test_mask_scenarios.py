"""The series that masks along time are held against are what they say."""

import numpy as np
import pytest

from cube.classes import CLEAR, CLOUD, NO_OBSERVATION, SNOW, WATER
from cube.landscape import COVERS
from jobs.simulate.mask_scenarios import BANDS, SCENARIOS, Simulated, scenario, simulate


def small(name: str, seed: int = 3) -> Simulated:
    return simulate(scenario(name), seed, size=64, dates=12)


def brightness(world: Simulated) -> np.ndarray:
    return np.mean([world.series.bands[name] for name in BANDS], axis=0) / 10_000


@pytest.mark.parametrize("name", [each.name for each in SCENARIOS])
def test_each_has_all_bands_and_both_sides(name: str) -> None:
    world = small(name)
    assert set(world.series.bands) == set(BANDS)
    for band in world.series.bands.values():
        assert band.shape == world.truth.shape == (12, 32, 32)
        assert band.dtype == np.int16
    assert world.series.classes is not None
    assert len(world.angles) == len(world.series.days) == 12
    assert {CLOUD} < set(np.unique(world.truth).tolist())


def test_the_same_seed_gives_the_same_pixels() -> None:
    one, two, other = small("season"), small("season"), small("season", 5)
    np.testing.assert_array_equal(one.series.bands["blue"], two.series.bands["blue"])
    assert (one.series.bands["blue"] != other.series.bands["blue"]).any()


def test_dark_ground_is_darker_than_the_published_ceiling() -> None:
    world = small("dark-ground")
    # Air of less than 5 % opacity is clear too: only where nothing is in the sky is it ground alone.
    open_sky = np.isin(world.truth, (CLEAR, WATER)).all(axis=(1, 2))
    assert open_sky.any()
    assert (brightness(world)[open_sky] < 0.055).all()
    assert (brightness(small("bright-soil"))[world.truth == CLEAR] > 0.3).mean() > 0.9


def test_snow_lies_in_winter_alone() -> None:
    world = small("snow")
    snowy = (world.truth == SNOW).any(axis=(1, 2))
    assert snowy.any()
    assert (abs(world.series.days[snowy] - 365) <= 60).all()
    assert (brightness(world)[world.truth == SNOW] > 0.3).mean() > 0.9


def test_only_its_covers_are_judged() -> None:
    world = small("town")
    roof = world.cover == COVERS.index("roof")
    assert (world.truth[:, ~roof] == NO_OBSERVATION).all()
    assert (world.truth[:, roof] != NO_OBSERVATION).all()


def test_an_unknown_scenario() -> None:
    with pytest.raises(LookupError, match="no scenario fog; there are season year snow"):
        scenario("fog")
