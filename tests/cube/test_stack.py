"""Layers of a stack, window by window: bands on coarser and finer grids, masks from their files."""

from pathlib import Path

import numpy as np
import pytest

from cube.errors import LoadError
from cube.grid import Extent
from cube.rasters import write_cog
from cube.stack import (
    Corner,
    MaskFile,
    Stack,
    band_layer,
    corner_of,
    mask_layer,
    read_classes,
    windows,
)
from cube.store import Cube, DateEntry, Spec, StagedDate, commit_date, create_cube, open_store
from cube.variables import level_variables

EXTENT = Extent(32631, 574680, 5621800, 575320, 5622440)  # 64 x 64 at 10 m, 32 x 32 at 20 m
WHOLE = Corner(574680, 5622440, 20)
SECOND = np.timedelta64(1000, "ms")


@pytest.fixture
def cube(tmp_path: Path) -> Cube:
    """Two dates; blue rises by one a pixel, its first pixel was not seen; nir08 likewise by ten."""
    path = tmp_path / "c.zarr"
    made = create_cube(
        path, Spec("31UES", "l2a", EXTENT, {"r10m": 10, "r20m": 20}, level_variables("l2a"))
    ).spec
    for day in (1, 2):
        staged = StagedDate(path, made, f"key{day}")
        fine = (day * 5000 + np.arange(64 * 64)).reshape(64, 64).astype(np.int16)
        fine[0, 0] = -10000
        coarse = (day * 3000 + np.arange(32 * 32)).reshape(32, 32).astype(np.int16)
        for name, group, pixels in (("blue", "r10m", fine), ("nir08", "r20m", coarse)):
            variable = made.variable(group, name)
            assert variable is not None
            staged.write(variable, 0, 0, pixels)
        staged.close()
        entry = DateEntry(day * 86_400_000, f"key{day}", ({"id": "a"},), ("blue", "nir08"))
        commit_date(path, entry)
    return open_store(path)


def test_a_band_comes_as_stored_as_the_mean_of_four_or_repeated(cube: Cube) -> None:
    entries = cube.valid_dates
    part = slice(2, 4), slice(1, 3)
    stored = band_layer(cube, entries, "blue", 10).read(slice(0, 2), part)
    assert stored.tolist() == [[[5129, 5130], [5193, 5194]], [[10129, 10130], [10193, 10194]]]
    mean = band_layer(cube, entries, "blue", 20).read(slice(1, 2), (slice(0, 2), slice(0, 2)))
    # (10002 + 10003 + 10066 + 10067) / 4 = 10034.5: halves go to the even neighbour.
    assert mean.tolist() == [[[-10000, 10034], [10160, 10162]]]
    repeated = band_layer(cube, entries, "nir08", 10).read(slice(0, 1), part)
    assert repeated.tolist() == [[[3032, 3033], [3032, 3033]]]


def test_a_band_says_how_it_is_stored(cube: Cube) -> None:
    layer = band_layer(cube, cube.valid_dates, "nir08", 20)
    assert (layer.name, layer.title, layer.dtype) == ("nir08", "B8A reflectance", "int16")
    assert (layer.scale, layer.nodata, layer.wavelength) == (0.0001, -10000, 0.865)


@pytest.fixture
def mask(tmp_path: Path) -> MaskFile:
    """40 x 40 m at 20 m, 20 m to the right of and below the corner: 1 2 over 3 5."""
    pixels = np.array([[1, 2], [3, 5]], np.uint8)
    box = Extent(32631, 574700, 5622380, 574740, 5622420).geobox(20)
    path = tmp_path / "mask.tif"
    write_cog(path, box, lambda a, b: pixels[a:b], dtype="uint8", nodata=0, average=False)
    return MaskFile(str(path), corner_of(box), (2, 2))


def test_a_mask_lies_where_its_file_does(mask: MaskFile) -> None:
    whole = read_classes(mask, WHOLE, (slice(0, 4), slice(0, 4)))
    assert whole.tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 5, 0], [0, 0, 0, 0]]
    assert read_classes(mask, WHOLE, (slice(2, 3), slice(2, 5))).tolist() == [[5, 0, 0]]
    assert not read_classes(mask, WHOLE, (slice(8, 9), slice(0, 2))).any()


def test_a_mask_on_a_finer_grid_is_repeated_from_any_pixel_on(mask: MaskFile) -> None:
    fine = Corner(WHOLE.left, WHOLE.top, 10)
    whole = read_classes(mask, fine, (slice(0, 8), slice(0, 8)))
    assert whole[2:6, 2:6].tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 5, 5]] * 2
    part = read_classes(mask, fine, (slice(3, 6), slice(1, 4)))
    np.testing.assert_array_equal(part, whole[3:6, 1:4])


def test_a_mask_on_a_coarser_grid_takes_any_cloud(mask: MaskFile) -> None:
    coarse = Corner(574700, 5622420, 40)
    assert read_classes(mask, coarse, (slice(0, 1), slice(0, 1))).tolist() == [[2]]


def test_a_mask_of_another_grid_is_refused(mask: MaskFile) -> None:
    with pytest.raises(LoadError, match=r"mask\.tif does not lie on the grid"):
        read_classes(mask, Corner(574685, 5622440, 20), (slice(0, 1), slice(0, 1)))


def test_a_date_without_a_file_is_not_observed(mask: MaskFile) -> None:
    layer = mask_layer("mask_scl", "classes", [None, mask], EXTENT.geobox(20))
    found = layer.read(slice(0, 2), (slice(1, 2), slice(1, 3)))
    assert found.tolist() == [[[0, 0]], [[1, 2]]]


def test_windows_cover_a_grid_once() -> None:
    seen = np.zeros((5, 7), int)
    for window in windows((5, 7), 2, 3):
        seen[window] += 1
    assert (seen == 1).all()


def test_days_have_a_time_where_two_share_one() -> None:
    first = np.datetime64("2019-05-16T10:56:59.024", "ms")
    stack = Stack("a", "a", EXTENT.geobox(20), (first, first + 86400 * SECOND), ("", ""), ())
    assert stack.days() == ["2019-05-16", "2019-05-17"]
    twice = Stack("a", "a", EXTENT.geobox(20), (first, first + SECOND), ("", ""), ())
    assert twice.days() == ["2019-05-16T10:56:59Z", "2019-05-16T10:57:00Z"]
