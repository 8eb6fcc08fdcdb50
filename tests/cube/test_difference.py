import math
import tracemalloc

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from cube.difference import Raster, Tally, compare, overlap
from cube.errors import GridError, LoadError

NODATA = -10000


def raster(path, pixels, *, left=0, top=0, size=10, crs="EPSG:32631", scale=1.0, nodata=NODATA):
    """(y, x) array -> a GeoTIFF, opened."""
    pixels = np.asarray(pixels)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=crs,
        transform=from_origin(500000 + left, 5000000 - top, size, size),
        nodata=nodata,
    ) as file:
        file.write(pixels, 1)
        file.scales = (scale,)
    return Raster(str(path))


def test_numbers_of_a_difference(tmp_path):
    a = raster(tmp_path / "a.tif", np.array([[100, 200, NODATA], [300, 400, 500]], np.int16))
    b = raster(tmp_path / "b.tif", np.array([[100, 210, 7], [270, NODATA, 500]], np.int16))
    found = compare(a, b)
    assert (found.pixels, found.gained, found.lost) == (6, 1, 1)
    # Both have data in four pixels; they differ by 0, 10, -30, 0.
    numbers = found.tally.document()
    assert numbers["pixels"] == 4
    assert (numbers["changed"], numbers["share"]) == (2, 0.5)
    assert (numbers["mean"], numbers["median"], numbers["max"]) == (-5, 0, 30)
    assert numbers["rms"] == pytest.approx(math.sqrt(1000 / 4))
    assert not found.is_none
    assert compare(a, a).is_none


def test_reflectances_of_different_scales_are_compared(tmp_path):
    a = raster(tmp_path / "a.tif", np.array([[1000]], np.int16), scale=1e-4)
    b = raster(tmp_path / "b.tif", np.array([[110]], np.uint16), scale=1e-3, nodata=0)
    numbers = compare(a, b, step=1e-4).tally.document()
    assert numbers["mean"] == pytest.approx(0.01)
    assert numbers["median"] == pytest.approx(0.01)


def test_differences_by_class(tmp_path):
    a = raster(tmp_path / "a.tif", np.array([[1, 2, 3, 4]], np.int16))
    b = raster(tmp_path / "b.tif", np.array([[1, 4, 6, 5]], np.int16))
    status = raster(tmp_path / "s.tif", np.array([[4, 4, 4, 1]], np.uint8), nodata=0)
    found = compare(a, b, classes=status).by_class
    assert {code: tally.document()["mean"] for code, tally in found.items()} == {1: 1, 4: 5 / 3}
    assert found[4].document()["median"] == 2


def test_codes_tell_what_became_what(tmp_path):
    a = raster(tmp_path / "a.tif", np.array([[4, 4, 1, 0]], np.uint8), nodata=0)
    b = raster(tmp_path / "b.tif", np.array([[4, 1, 1, 4]], np.uint8), nodata=0)
    found = compare(a, b, discrete=True)
    assert found.transitions == {(4, 4): 1, (4, 1): 1, (1, 1): 1, (0, 4): 1}
    assert (found.tally.changed, found.lost) == (1, 1)


def test_rasters_of_different_extents_are_compared_where_both_lie(tmp_path):
    whole = np.arange(20, dtype=np.int16).reshape(4, 5)
    a = raster(tmp_path / "a.tif", whole)
    b = raster(tmp_path / "b.tif", whole[1:, 2:] + np.int16(3), left=20, top=10)
    there = overlap(a, b)
    assert (there.shape, there.first, there.second) == ((3, 3), (1, 2), (0, 0))
    numbers = compare(a, b).tally.document()
    assert (numbers["pixels"], numbers["mean"], numbers["max"]) == (9, 3, 3)
    assert compare(b, a).tally.document()["mean"] == -3


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"crs": "EPSG:32632"}, "EPSG:32632"),
        ({"size": 20}, "20 m"),
        ({"left": 5}, "do not lie on each other"),
        ({"left": 1000}, "no place in common"),
    ],
)
def test_grids_that_do_not_meet_are_refused(tmp_path, other, why):
    a = raster(tmp_path / "a.tif", np.zeros((2, 2), np.int16))
    b = raster(tmp_path / "b.tif", np.zeros((2, 2), np.int16), **other)
    with pytest.raises(GridError, match=why):
        compare(a, b)


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "no.tif").write_text("no raster")
    with pytest.raises(LoadError, match=r"no\.tif"):
        Raster(str(tmp_path / "no.tif"))


@given(st.lists(st.lists(st.integers(-65000, 65000), max_size=9), max_size=4))
def test_a_tally_of_parts_equals_numpy_on_the_whole(parts):
    tally = Tally()
    for part in parts:
        tally.add(np.array(part, float))
    whole = np.array([value for part in parts for value in part], float)
    numbers = tally.document()
    assert numbers["pixels"] == whole.size
    if whole.size:
        assert numbers["median"] == np.median(whole)
        assert numbers["mean"] == pytest.approx(whole.mean())
        assert numbers["rms"] == pytest.approx(np.sqrt((whole**2).mean()))
        assert numbers["max"] == np.abs(whole).max()


def test_memory_does_not_grow_with_the_raster(tmp_path):
    peaks = []
    for height in (600, 4800):
        pixels = np.random.default_rng(1).integers(0, 9000, (height, 800), np.int16)
        a = raster(tmp_path / f"a{height}.tif", pixels)
        b = raster(tmp_path / f"b{height}.tif", pixels[::-1])
        tracemalloc.start()
        found = compare(a, b, step=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.pixels == height * 800
    assert peaks[1] < 1.1 * peaks[0]
