"""Heights on a tile's grid: values, precedence, crops, and the slopes that they make."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from rasterio.transform import Affine, from_bounds, from_origin

from cube.errors import LoadError
from cube.grid import Extent
from cube.terrain import read_altitude, read_dem_header, read_terrain, slope_and_aspect

EXTENT = Extent(32631, 580020, 5600040, 581620, 5601240)
"""80 columns and 60 rows of 20 m."""


def written(path: Path, heights, transform, crs="EPSG:32631", **profile) -> str:
    shape = {"height": heights.shape[-2], "width": heights.shape[-1]}
    count = 1 if heights.ndim == 2 else heights.shape[0]
    about = {"driver": "GTiff", "count": count, "dtype": heights.dtype.name, "crs": crs}
    units = profile.pop("units", None)
    with rasterio.open(path, "w", **shape, **about, transform=transform, **profile) as raster:
        raster.write(heights if heights.ndim == 3 else heights[np.newaxis])
        if units is not None:
            raster.units = units
    return str(path)


def plane(extent: Extent, size: float, *, east: float, north: float, around: float = 0):
    """Heights of an inclined plane, 100 m at the extent's upper left corner; its transform."""
    left, top = extent.left - around, extent.top + around
    rows = round((extent.top - extent.bottom + 2 * around) / size)
    columns = round((extent.right - extent.left + 2 * around) / size)
    x = left + size * (np.arange(columns) + 0.5) - extent.left
    y = top - size * (np.arange(rows)[:, np.newaxis] + 0.5) - extent.top
    return (100 + east * x + north * y).astype(np.float32), from_origin(left, top, size, size)


def hills(shape: tuple[int, int], seed: int = 0):
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
    rough = np.random.default_rng(seed).normal(0, 3, shape)
    return (400 + 90 * np.sin(row / 17) * np.cos(column / 23) + rough).astype(np.float32)


@pytest.mark.parametrize("size", [5, 10, 20, 40, 100])
def test_a_plane_keeps_its_heights_at_any_pixel_size(tmp_path, size):
    heights, transform = plane(EXTENT, size, east=0.2, north=-0.1, around=400)
    dem = written(tmp_path / "plane.tif", heights, transform)
    wanted, _ = plane(EXTENT, 20, east=0.2, north=-0.1)
    found = read_altitude([dem], EXTENT)
    assert found.dtype == np.float32
    assert_allclose(found, wanted, atol=2e-3)


def test_a_plane_has_one_slope_and_aspect(tmp_path):
    heights, transform = plane(EXTENT, 10, east=0.3, north=0.4, around=200)
    dem = written(tmp_path / "plane.tif", heights, transform)
    altitude, slope, aspect = read_terrain([dem], EXTENT)
    assert altitude.shape == slope.shape == aspect.shape == (60, 80)
    # It rises by 0.5 toward (0.3, 0.4), so it faces the other way: 180 + 36.87 degrees.
    assert_allclose(slope, np.degrees(np.arctan(0.5)), atol=1e-3)
    assert_allclose(aspect, 180 + np.degrees(np.arctan2(0.3, 0.4)), atol=1e-2)


@pytest.mark.parametrize(
    ("east", "north", "faces"), [(0, -1, 0), (-1, 0, 90), (0, 1, 180), (1, 0, 270), (-1, -1, 45)]
)
def test_aspect_is_where_the_ground_faces(east, north, faces):
    heights, _ = plane(EXTENT, 20, east=east, north=north)
    _slope, aspect = slope_and_aspect(heights, 20)
    assert_allclose(aspect[1:-1, 1:-1], faces, atol=1e-3)
    assert np.all((aspect >= 0) & (aspect < 360))


def test_flat_ground_faces_nowhere():
    slope, aspect = slope_and_aspect(np.full((4, 5), 7, np.float32), 20)
    assert_array_equal(slope, 0)
    assert np.isnan(aspect).all()


def test_slope_is_that_of_horns_weights():
    heights = hills((12, 15))
    slope, aspect = slope_and_aspect(heights, 20)
    for row in range(1, 11):
        for column in range(1, 14):
            (a, b, c), (d, _, f), (g, h, i) = heights[
                row - 1 : row + 2, column - 1 : column + 2
            ].astype(float)
            east = (c + 2 * f + i - a - 2 * d - g) / 160
            north = (a + 2 * b + c - g - 2 * h - i) / 160
            wanted = np.degrees(np.arctan(np.hypot(east, north)))
            assert slope[row, column] == pytest.approx(wanted, abs=1e-3)
            faces = np.degrees(np.arctan2(-east, -north)) % 360
            assert aspect[row, column] == pytest.approx(faces, abs=2e-2)


def test_unknown_heights_spread_by_one_pixel_of_slope():
    heights = hills((7, 7))
    heights[3, 3] = np.nan
    slope, _ = slope_and_aspect(heights, 20)
    unknown = np.zeros((7, 7), bool)
    unknown[2:5, 2:5] = True
    assert_array_equal(np.isnan(slope), unknown)


def test_the_first_raster_with_data_counts(tmp_path):
    whole, transform = plane(EXTENT, 20, east=0, north=0)
    first = np.full(whole.shape, 500, np.int16)
    first[:, 40:] = -32768
    near = written(tmp_path / "near.tif", first, transform, nodata=-32768)
    second = np.full(whole.shape, 200, np.float32)
    second[:20] = np.nan
    far = written(tmp_path / "far.tif", second, transform)
    found = read_altitude([near, far], EXTENT)
    assert_array_equal(found[:, :40], 500)
    assert_array_equal(found[20:, 40:], 200)
    assert np.isnan(found[:20, 40:]).all()
    assert_array_equal(read_altitude([far, near], EXTENT)[20:], 200)


def test_beyond_all_rasters_there_is_no_height(tmp_path):
    heights, transform = plane(EXTENT, 20, east=0.1, north=0)
    east = written(tmp_path / "east.tif", heights, transform @ Affine.translation(40, 0))
    found = read_altitude([east], EXTENT)
    assert np.isnan(found[:, :40]).all()
    assert np.isfinite(found[:, 40:]).all()
    assert np.isnan(read_altitude([], EXTENT)).all()


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, tuple[str, ...]]:
    """Hills in degrees, coarser and finer than the grid, and off its lattice."""
    folder = tmp_path_factory.mktemp("dem")
    made = {}
    for name, step in (("coarse", 3 / 3600), ("fine", 0.3 / 3600)):
        rows, columns = round(0.04 / step), round(0.06 / step)
        transform = from_origin(4.125, 50.565, step, step)
        heights = hills((rows, columns))
        made[name] = (written(folder / f"{name}.tif", heights, transform, "EPSG:4326"),)
    heights, transform = plane(EXTENT, 30, east=0.1, north=0.2, around=90)
    heights += hills(heights.shape)
    shifted = transform @ Affine.translation(0.37, 0.61)
    made["both"] = (written(folder / "utm.tif", heights, shifted), *made["coarse"])
    return made


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["coarse", "fine", "both"]),
    rows=st.tuples(st.integers(0, 59), st.integers(1, 60)),
    columns=st.tuples(st.integers(0, 79), st.integers(1, 80)),
)
def test_a_crop_is_that_part_of_the_whole(sources, name, rows, columns):
    first, last = rows[0], min(60, rows[0] + rows[1])
    left, right = columns[0], min(80, columns[0] + columns[1])
    part = Extent(
        EXTENT.epsg,
        EXTENT.left + 20 * left,
        EXTENT.top - 20 * last,
        EXTENT.left + 20 * right,
        EXTENT.top - 20 * first,
    )
    found = read_terrain(sources[name], part)
    for whole, crop in zip(read_terrain(sources[name], EXTENT), found, strict=True):
        assert_array_equal(crop, whole[first:last, left:right])


def test_heights_in_degrees_lie_where_they_belong(tmp_path):
    """Against pyproj: each pixel's own longitude and latitude, heights linear in both."""
    import pyproj

    step = 1 / 3600
    row, column = np.mgrid[0:200, 0:260]
    longitude, latitude = 4.12 + step * (column + 0.5), 50.58 - step * (row + 0.5)
    heights = (3000 * (longitude - 4.1) + 8000 * (latitude - 50.5)).astype(np.float32)
    dem = written(tmp_path / "d.tif", heights, from_origin(4.12, 50.58, step, step), "EPSG:4326")
    y, x = np.mgrid[EXTENT.top - 10 : EXTENT.bottom : -20, EXTENT.left + 10 : EXTENT.right : 20]
    to = pyproj.Transformer.from_crs(32631, 4326, always_xy=True)
    longitudes, latitudes = to.transform(x, y)
    wanted = 3000 * (longitudes - 4.1) + 8000 * (latitudes - 50.5)
    assert_allclose(read_altitude([dem], EXTENT), wanted, atol=2e-3)


def test_scale_and_offset_make_metres(tmp_path):
    path = tmp_path / "scaled.tif"
    written(path, np.full((60, 80), 1234, np.int16), from_origin(EXTENT.left, EXTENT.top, 20, 20))
    with rasterio.open(path, "r+") as raster:
        raster.scales, raster.offsets = (0.5,), (-100,)
    assert_array_equal(read_altitude([str(path)], EXTENT), 517)
    header = read_dem_header(str(path))
    assert (header.scale, header.offset, header.epsg) == (0.5, -100, 32631)


def test_a_real_dem(shared, tmp_path):
    """Slovenian hills of 664 to 801 m, on pixels of nearly 10 m."""
    heights = np.load(shared / "s2-l1c-slovenia-5dates" / "DEM.npy")[..., 0]
    bounds = (465181.0522, 5079244.8912, 466180.5315, 5080254.6335)
    transform = from_bounds(*bounds, heights.shape[1], heights.shape[0])
    dem = written(tmp_path / "dem.tif", heights, transform, "EPSG:32633")
    extent = Extent(32633, 465200, 5079260, 466160, 5080240)
    altitude, slope, _ = read_terrain([dem], extent)
    assert np.isfinite(altitude).all()
    assert (altitude.min(), altitude.max()) == (
        pytest.approx(664, abs=2),
        pytest.approx(801, abs=2),
    )
    assert altitude.mean() == pytest.approx(heights.mean(), abs=1)
    assert 5 < np.nanmedian(slope) < 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": None}, "has no CRS"),
        ({"bands": 3}, "has 3 bands"),
        ({"dtype": np.complex64}, "no heights"),
        ({"units": ("ft",)}, "in 'ft'"),
    ],
)
def test_what_is_no_dem_is_refused(tmp_path, change, words):
    shape = (change.get("bands", 1), 20, 20)
    heights = np.ones(shape, change.get("dtype", np.float32))
    path = written(
        tmp_path / "bad.tif",
        heights,
        from_origin(580020, 5601240, 20, 20),
        change.get("crs", "EPSG:32631"),
        **({"units": change["units"]} if "units" in change else {}),
    )
    with pytest.raises(LoadError, match=words):
        read_dem_header(path)


def test_a_raster_that_is_gone_is_named(tmp_path):
    with pytest.raises(LoadError, match=r"gone\.tif"):
        read_altitude([str(tmp_path / "gone.tif")], EXTENT)
