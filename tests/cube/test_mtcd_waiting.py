"""Files that wait between stages: the same bits come back, and what is no such file is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cube.errors import StoreError
from cube.mtcd.bits import to_fine
from cube.mtcd.coarse import choose_grid
from cube.mtcd.image import Meta, make_image
from cube.mtcd.modes import Planned
from cube.mtcd.params import MtcdParams
from cube.mtcd.step import step
from cube.mtcd.waiting import (
    fine_planes,
    load_found,
    load_image,
    load_observed,
    save_found,
    save_image,
)

META = Meta(day=18000, level="l1c", sun_zenith=40.0, sun_azimuth=150.0, view_zenith=3.0)
PLANNED = Planned("b", "BACKWARD", ("b", "c"), "a", "Backward of 2 products", "why", ("b", "c"))


def image(seed: int = 0, *, altitude: bool = True):
    rng = np.random.default_rng(seed)
    grid = choose_grid((50, 70), MtcdParams(coarse=60))
    names = {"blue": 1200, "green": 1000, "red": 900, "nir08": 2500, "swir16": 1800, "cirrus": 20}
    bands = {
        n: rng.normal(level, level / 10, (50, 70)).astype(np.int16) for n, level in names.items()
    }
    bands["blue"][5:30, 10:40] = 6000
    bands["red"][5:30, 10:40] = bands["nir08"][5:30, 10:40] = 5500
    for dn in bands.values():
        dn[:8, :9] = -10000
    heights = rng.normal(500, 50, grid.shape).astype(np.float32) if altitude else None
    return make_image(bands.items(), grid, META, heights)


@pytest.mark.parametrize("altitude", [True, False])
def test_an_image_comes_back_bit_by_bit(tmp_path, altitude):
    made, observed = image(altitude=altitude)
    save_image(tmp_path / "a.npz", made, observed, META)
    found, meta = load_image(tmp_path / "a.npz")
    assert (found.grid, found.sources, meta) == (made.grid, made.sources, META)
    for role, pixels in made.bands.items():
        assert_array_equal(found.bands[role], pixels)
        assert found.bands[role].dtype == np.float32
    assert_array_equal(found.observed, made.observed)
    assert_array_equal(found.saturated, made.saturated)
    assert (found.altitude is None) == (not altitude)
    if made.altitude is not None:
        assert_array_equal(found.altitude, made.altitude)
    assert_array_equal(load_observed(tmp_path / "a.npz")[1], observed)


def test_what_was_found_comes_back_with_how(tmp_path):
    made, observed = image()
    save_image(tmp_path / "image.npz", made, observed, META)
    result = step(None, made, META, MtcdParams())
    save_found(tmp_path / "found.npz", PLANNED, result)
    found = load_found(tmp_path / "found.npz")
    assert found.planned == PLANNED
    assert (found.planned.info, found.planned.ahead) == (PLANNED.info, PLANNED.ahead)
    assert found.tests == {name: each.text for name, each in result.evaluated.items()}
    assert (found.cloudy, found.has_state) == (result.cloudy, True)
    bits, classes = fine_planes(tmp_path / "found.npz", tmp_path / "image.npz")
    wanted = to_fine(result.bits, result.ground, made.grid, observed)
    assert_array_equal(bits, wanted[0])
    assert_array_equal(classes, wanted[1])
    assert set(np.unique(classes)) == {0, 1, 2}
    save_found(tmp_path / "found.npz", PLANNED, replace(result, state=None))
    assert not load_found(tmp_path / "found.npz").has_state


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and nothing more", b"words"])
def test_what_is_no_image_is_said(tmp_path: Path, content: bytes | None):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.npz: no image of mtcd can be read: .*run again"):
        load_image(path)


def test_the_kinds_are_not_taken_for_each_other(tmp_path):
    made, observed = image()
    save_image(tmp_path / "a.npz", made, observed, META)
    with pytest.raises(StoreError, match="no result of mtcd"):
        load_found(tmp_path / "a.npz")


def test_a_disk_that_refuses_leaves_nothing(tmp_path):
    made, observed = image()
    with pytest.raises(StoreError, match="the image of mtcd cannot be written"):
        save_image(tmp_path / "gone" / "a.npz", made, observed, META)
    assert list(tmp_path.iterdir()) == []
