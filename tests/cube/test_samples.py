from pathlib import Path

import numpy as np
import pytest

from cube.bands import REFLECTANCE_NODATA
from cube.grid import Extent
from cube.samples import PIXELS, is_empty, read_sample
from cube.spec import DateEntry, Spec
from cube.store import Cube, StagedDate, commit_date, create_cube, open_store
from cube.variables import level_variables

DAY = 86_400_000


def make_cube(path: Path, side: int, dates: int, empty: tuple[int, ...] = ()) -> Cube:
    """A cube of red and SCL alone, side pixels of 20 m, its red the row of the pixel at 10 m."""
    extent = Extent(32631, 300000, 4900020 - 20 * side, 300000 + 20 * side, 4900020)
    variables = tuple(v for v in level_variables("l2a") if v.name in ("red", "scl", "swir22"))
    spec = Spec("31TCJ", "l2a", extent, {"r10m": 10, "r20m": 20}, variables)
    create_cube(path, spec)
    for date in range(dates):
        staged = StagedDate(path, spec, f"key{date}")
        for variable in variables:
            shape = spec.shape(variable.group)
            rows = np.broadcast_to(np.arange(shape[0])[:, None], shape)
            pixels = np.full(shape, 4) if variable.name == "scl" else rows + date
            if variable.name == "scl":
                pixels[0] = 9
            if date in empty:
                pixels = np.full(shape, variable.fill_value)
            staged.write(variable, 0, 0, pixels.astype(variable.dtype))
        staged.close()
        source = {"id": f"scene{date}", "collection": "sentinel-2-l2a", "version": "1"}
        names = tuple(v.name for v in variables)
        commit_date(path, DateEntry(date * DAY, f"key{date}", (source,), names))
    return open_store(path)


def test_a_small_cube_is_read_whole(tmp_path):
    sample = read_sample(make_cube(tmp_path / "a.zarr", 32, 3), "scl")
    assert sample.bands == ("red", "swir22")
    assert sample.dn.shape == (3, 2, 32 * 32)
    # The upper left pixel of 10 m in each of 20 m.
    assert sample.dn[1, 0].reshape(32, 32)[:3, 5].tolist() == [1, 3, 5]
    assert sample.dn[1, 1].reshape(32, 32)[:3, 5].tolist() == [1, 2, 3]
    # The first row is cloud.
    assert sample.clear.sum(axis=1).tolist() == [31 * 32] * 3
    assert sample.unread == {}


def test_a_large_cube_is_thinned(tmp_path):
    sample = read_sample(make_cube(tmp_path / "a.zarr", 700, 1), "scl")
    assert PIXELS / 4 < sample.dn.shape[2] < PIXELS * 1.1
    assert np.unique(sample.dn[0, 1]).size > 50


def test_empty_dates(tmp_path):
    cube = make_cube(tmp_path / "a.zarr", 32, 2, empty=(1,))
    assert [is_empty(cube, entry) for entry in cube.valid_dates] == [False, True]
    sample = read_sample(cube, "scl")
    assert sample.observed.any(axis=1).tolist() == [True, False]
    assert (sample.dn[1] == REFLECTANCE_NODATA).all()


def test_a_date_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path):
    cube = make_cube(tmp_path / "a.zarr", 32, 3)
    for file in (cube.path / "r10m" / "red" / "c" / "1").rglob("*"):
        if file.is_file():
            file.write_bytes(b"x" * 40)
    sample = read_sample(cube, "scl")
    assert list(sample.unread) == [1]
    assert "red" in sample.unread[1]
    assert sample.observed.any(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize("mask", ["clm"])
def test_a_mask_that_the_cube_does_not_hold_leaves_nothing_clear(tmp_path, mask):
    sample = read_sample(make_cube(tmp_path / "a.zarr", 32, 1), mask)
    assert not sample.clear.any()
    assert "clm" in sample.unread[0]
