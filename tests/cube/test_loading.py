"""Pixels of tiny rasters on the grid of a cube: lattice, nodata, offsets, resampling, merging."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loading_rasters import (
    CORNER,
    ENGINES,
    EXTENT,
    RED,
    SCL,
    Array,
    asset,
    item,
    load,
    noise,
    raster,
    variables,
)
from rasterio.warp import transform as transform_points

from cube.errors import LoadError
from cube.grid import Extent
from cube.loading import Loaded, coarser_than_nominal, load_items, resampling_notes
from cube.variables import Variable, level_variables


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


# --- on the lattice -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_pixels_on_the_lattice_are_the_files(tmp_path: Path, engine: str, suffix: str) -> None:
    pixels = noise((24, 24))
    pixels[3:5, 7] = 0
    document = item(red=asset(raster(tmp_path / f"red.{suffix}", pixels)))
    found = load(document, RED, engine=engine)["red"]
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.where(pixels == 0, -10000, pixels.astype(int)))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_grid_is_cut_out_of_a_larger_raster(tmp_path: Path, engine: str) -> None:
    pixels = noise((60, 70))
    corner = (EXTENT.left - 130, EXTENT.top + 200)
    document = item(red=asset(raster(tmp_path / "red.tif", pixels, corner)))
    np.testing.assert_array_equal(
        load(document, RED, engine=engine)["red"], pixels[20:44, 13:37].astype(int)
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_beyond_the_raster_is_nodata_masks_0_and_edge_1(tmp_path: Path, engine: str) -> None:
    # The raster holds the lower right quarter of the grid.
    corner = (EXTENT.left + 120, EXTENT.top - 120)
    red = raster(tmp_path / "red.tif", noise((12, 12)), corner)
    clm = raster(tmp_path / "clm.tif", noise((12, 12), "uint8", 0, 256), corner)
    edg = raster(tmp_path / "edg.tif", np.zeros((12, 12), "uint8"), corner)
    document = item(red=asset(red), clm=asset(clm), edg=asset(edg))
    found = load(document, variables("maja", "red", "clm", "edg"), engine=engine)
    outside = np.ones((24, 24), bool)
    outside[12:, 12:] = False
    assert (found["red"][outside] == -10000).all()
    assert (found["red"][~outside] > 0).all()
    assert (found["clm"][outside] == 0).all()
    np.testing.assert_array_equal(found["edg"], outside.astype("uint8"))
    assert found["clm"].dtype == found["edg"].dtype == np.uint8
    with rasterio.open(clm) as made:
        np.testing.assert_array_equal(found["clm"][12:, 12:], made.read(1))


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_but_the_outside_is_left_of_a_raster_elsewhere(tmp_path: Path, engine: str) -> None:
    corner = (EXTENT.left + 5000, EXTENT.top)
    document = item(
        red=asset(raster(tmp_path / "red.tif", noise((12, 12)), corner)),
        edg=asset(raster(tmp_path / "edg.tif", np.zeros((12, 12), "uint8"), corner)),
    )
    found = load(document, variables("maja", "red", "edg"), engine=engine)
    assert (found["red"] == -10000).all()
    assert (found["edg"] == 1).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nodata", [None, 0, 1, 33])
def test_codes_of_masks_are_never_nodata(tmp_path: Path, engine: str, nodata: float | None) -> None:
    """Whatever the header says: a 0 of the edge mask is "inside", a 33 of CLM is 33."""
    codes = np.tile(np.array([0, 1, 33, 255], "uint8"), (24, 6))
    edge = np.tile(np.array([0, 1], "uint8"), (24, 12))
    document = item(
        clm=asset(raster(tmp_path / "clm.tif", codes, nodata=nodata)),
        edg=asset(raster(tmp_path / "edg.tif", edge, nodata=nodata)),
    )
    found = load(document, variables("maja", "clm", "edg"), engine=engine)
    np.testing.assert_array_equal(found["clm"], codes)
    np.testing.assert_array_equal(found["edg"], edge)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_offset_is_applied_after_nodata_is_tested(tmp_path: Path, engine: str) -> None:
    pixels = np.full((24, 24), 3000, "uint16")
    pixels[0, :4] = [0, 1, 1000, 65535]
    document = item(red=asset(raster(tmp_path / "red.tif", pixels), offset=-0.1))
    loaded = load_items([document], RED, EXTENT, 10, engine=engine)
    assert loaded.pixels["red"][0, :5].tolist() == [-10000, -999, 0, 32767, 2000]
    assert loaded.clipped == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_signed_sources_keep_their_negative_reflectances(tmp_path: Path, engine: str) -> None:
    pixels = np.full((24, 24), 400, "int16")
    pixels[0, :4] = [-10000, -500, 0, 32767]
    path = raster(tmp_path / "red.tif", pixels, nodata=-10000)
    assert load(item(red=asset(path)), RED, engine=engine)["red"][0, :5].tolist() == [
        -10000, -500, 0, 32767, 400,
    ]  # fmt: skip
    # Without a word on nodata, it is that of Theia's signed numbers.
    bare = raster(tmp_path / "bare.tif", pixels)
    said = asset(bare)
    del said["raster:bands"][0]["nodata"]
    assert load(item(red=said), RED, engine=engine)["red"][0, :3].tolist() == [-10000, -500, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_nodata_that_the_type_cannot_hold_marks_nothing(tmp_path: Path, engine: str) -> None:
    # MUSCATE's text says -10000 of numbers without sign; beyond the raster is nodata all the same.
    path = raster(tmp_path / "red.tif", np.full((24, 12), 7, "uint16"))
    found = load(item(red=asset(path, nodata=-10000)), RED, engine=engine)["red"]
    assert (found[:, :12] == 7).all()
    assert (found[:, 12:] == -10000).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_aerosol_is_brought_to_thousandths(tmp_path: Path, engine: str) -> None:
    pixels = np.full((12, 12), 20, "uint8")
    pixels[0, 0] = 0
    path = raster(tmp_path / "aot.tif", pixels, size=20)
    document = item(aot=asset(path, scale=1 / 200))
    found = load(document, variables("maja", "aot"), 20, engine=engine)["aot"]
    assert found[0, :2].tolist() == [-10000, 100]


def test_variables_without_an_asset_are_passed_over(tmp_path: Path) -> None:
    document = item(red=asset(raster(tmp_path / "red.tif", noise((24, 24)))))
    assert set(load(document, variables("l2a", "red", "green"))) == {"red"}
    assert load(item(), RED) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    rows=st.tuples(st.integers(0, 23), st.integers(1, 24)),
    columns=st.tuples(st.integers(0, 23), st.integers(1, 24)),
)
def test_a_part_is_that_part_of_the_whole(
    tmp_path: Path, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    top, left = rows[0], columns[0]
    bottom, right = min(24, top + rows[1]), min(24, left + columns[1])
    documents, wanted, whole = _scene_of_all_kinds(tmp_path)
    part = Extent(
        EXTENT.epsg,
        EXTENT.left + 10 * left,
        EXTENT.top - 10 * bottom,
        EXTENT.left + 10 * right,
        EXTENT.top - 10 * top,
    )
    found = load(documents, wanted, extent=part)
    for name, pixels in whole.items():
        np.testing.assert_array_equal(found[name], pixels[top:bottom, left:right], err_msg=name)


def _scene_of_all_kinds(tmp_path: Path) -> tuple[Any, list[Variable], dict[str, Array]]:
    """Exact, cut off, shifted by half a pixel, coarser: one variable each, and their pixels."""
    pixels = noise((30, 30))
    pixels[10:13] = 0
    paths = {name: tmp_path / f"{name}.tif" for name in ("red", "green", "blue", "nir", "scl")}
    if not paths["scl"].exists():
        raster(paths["red"], pixels, (EXTENT.left + 60, EXTENT.top - 40))
        raster(paths["green"], pixels, (EXTENT.left - 25, EXTENT.top + 35))
        raster(paths["blue"], pixels, (EXTENT.left - 100, EXTENT.top + 100), 20)
        raster(paths["nir"], np.repeat(pixels, 2, 1), (EXTENT.left, EXTENT.top), 5)
        raster(paths["scl"], noise((20, 20), "uint8", 0, 12), (EXTENT.left - 20, EXTENT.top), 20)
    document = item(**{name: asset(path) for name, path in paths.items()})
    wanted = variables("l2a", *paths)
    return document, wanted, load(document, wanted)


# --- brought to the lattice -----------------------------------------------------------------------


def averaged(pixels: Array) -> Array:
    """(2y, 2x) numbers, 0 nodata -> (y, x) means of those that are data, -10000 without any."""
    parts = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 2).astype(float)
    seen = (parts > 0).sum(axis=(1, 3))
    mean = parts.sum(axis=(1, 3)) / np.maximum(seen, 1)
    return np.where(seen > 0, mean, -10000)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("form", "overviews"),
    [("tif-with-nodata", False), ("tif-with-nodata", True), ("tif", True), ("jp2", False)],
)
def test_a_finer_source_is_averaged_over_its_data(
    tmp_path: Path, engine: str, form: str, overviews: bool
) -> None:
    pixels = noise((24, 24))
    pixels[:, 11] = 0
    pixels[4:6, 4:6] = 0
    path = raster(
        tmp_path / f"b.{form[:3]}",
        pixels,
        nodata=0 if form == "tif-with-nodata" else None,
        overviews=overviews,
    )
    swir = variables("l2a", "swir16")
    found = load(item(swir16=asset(path)), swir, 20, engine=engine)["swir16"]
    expected = averaged(pixels)
    assert found[2, 2] == -10000
    assert (found == -10000).sum() == 1
    assert np.abs(found - expected).max() <= 0.5


def test_both_engines_average_alike(tmp_path: Path) -> None:
    pixels = noise((24, 24))
    pixels[:, :3] = 0
    document = item(swir16=asset(raster(tmp_path / "b.tif", pixels, overviews=True)))
    swir = variables("l2a", "swir16")
    one, other = (load(document, swir, 20, engine=engine)["swir16"] for engine in ENGINES)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_coarser_mask_is_repeated(tmp_path: Path, engine: str) -> None:
    codes = noise((12, 12), "uint8", 0, 12)
    document = item(scl=asset(raster(tmp_path / "scl.tif", codes, size=20)))
    found = load(document, SCL, 10, engine=engine)["scl"]
    np.testing.assert_array_equal(found, codes.repeat(2, 0).repeat(2, 1))


def test_both_engines_bring_coarser_bands_to_the_grid_alike(tmp_path: Path) -> None:
    pixels = noise((14, 14), low=1000, high=2000)
    pixels[5:7, 5:7] = 0
    corner = (EXTENT.left - 20, EXTENT.top + 20)
    document = item(swir16=asset(raster(tmp_path / "b.tif", pixels, corner, 20)))
    swir = variables("l2a", "swir16")
    one, other = (load(document, swir, 10, engine=engine)["swir16"] for engine in ENGINES)
    np.testing.assert_array_equal(one, other)
    assert one.max() < 2000
    assert one[one != -10000].min() >= 1000  # nodata never lends its number


def test_both_engines_take_the_same_pixel_of_a_finer_mask(tmp_path: Path) -> None:
    codes = noise((24, 24), "uint8", 0, 256)
    document = item(clm=asset(raster(tmp_path / "clm.tif", codes)))
    clm = [v for v in level_variables("maja", 20) if v.name == "clm"]
    one, other = (load(document, clm, 20, engine=engine)["clm"] for engine in ENGINES)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, codes[1::2, 1::2])


def other_zone(tmp_path: Path, *, nodata: float | None) -> tuple[dict[str, Any], Array]:
    """An item in EPSG:32632 over the grid: red a plane x + 2y of metres, scl its western half 4."""
    (x,), (y,) = transform_points("EPSG:32631", "EPSG:32632", *[[c] for c in CORNER])
    left, top = round(x, -1) - 100, round(y, -1) + 100
    column, row = np.meshgrid(np.arange(60), np.arange(60))
    plane = (1000 + 10 * column + 20 * row).astype("uint16")
    codes = np.where(column < 30, 4, 9).astype("uint8")
    red = raster(tmp_path / "red.tif", plane, (left, top), epsg=32632, nodata=nodata)
    scl = raster(tmp_path / "scl.tif", codes, (left, top), epsg=32632, nodata=nodata)
    centres = np.meshgrid(
        EXTENT.left + 10 * (np.arange(24) + 0.5), EXTENT.top - 10 * (np.arange(24) + 0.5)
    )
    xs, ys = transform_points("EPSG:32631", "EPSG:32632", centres[0].ravel(), centres[1].ravel())
    exact = 1000 + (np.array(xs) - left - 5) + 2 * (top - 5 - np.array(ys))
    return item("zone", red=asset(red), scl=asset(scl)), exact.reshape(24, 24)


def test_a_source_in_another_zone_is_resampled_bilinearly_and_its_mask_by_nearest(
    tmp_path: Path,
) -> None:
    document, exact = other_zone(tmp_path, nodata=0)
    wanted = variables("l2a", "red", "scl")
    found = load(document, wanted)
    # GDAL finds places to an eighth of a pixel; the plane rises by 30 a pixel at most.
    assert np.abs(found["red"] - exact).max() <= 30 / 8
    assert set(np.unique(found["scl"])) == {4, 9}
    notes = resampling_notes(document, wanted, EXTENT, {"r10m": 10, "r20m": 20})
    assert notes == ["zone: red resampled by bilinear from EPSG:32632 10 m"]


def test_a_source_in_degrees_is_resampled_by_its_size_on_the_ground(tmp_path: Path) -> None:
    (west,), (north,) = transform_points("EPSG:32631", "EPSG:4326", *[[c] for c in CORNER])
    plane = np.full((90, 90), 3000, "uint16")
    corner = (west - 0.002, north + 0.002)
    wanted = variables("l2a", "red", "swir16")
    about = asset(raster(tmp_path / "a.tif", plane, corner, 0.0001, epsg=4326))
    coarse = asset(raster(tmp_path / "b.tif", plane, corner, 0.0003, epsg=4326))
    document = item("x", red=about, swir16=about)
    assert (load(document, RED)["red"] == 3000).all()
    assert resampling_notes(document, wanted, EXTENT, {"r10m": 10, "r20m": 20}) == [
        "x: red resampled by bilinear from EPSG:4326 11.1 m",
        "x: swir16 resampled by average from EPSG:4326 11.1 m",
    ]
    # A ten-thousandth of a degree is 11 m, hardly more than 10.
    assert coarser_than_nominal(document, variables("l2a", "swir16")) == {}
    assert coarser_than_nominal(item("x", swir16=coarse), wanted) == {"swir16": 33.4}


def test_stackstac_refuses_another_zone_and_another_lattice(tmp_path: Path) -> None:
    document, _exact = other_zone(tmp_path, nodata=0)
    sentence = r"red\.tif is not on the tile's lattice; .* use engine=odc-stac"
    with pytest.raises(LoadError, match=sentence):
        load(document, RED, engine="stackstac")
    shifted = raster(tmp_path / "red.tif", noise((24, 24)), (CORNER[0] + 5, CORNER[1]))
    with pytest.raises(LoadError, match=sentence):
        load(item(red=asset(shifted)), RED, engine="stackstac")


@pytest.mark.parametrize("nodata", [0, None])
def test_nodata_does_not_bleed_into_resampled_pixels(tmp_path: Path, nodata: int | None) -> None:
    """JPEG 2000 headers name no nodata: what the item says must count as much."""
    pixels = np.full((40, 40), 5000, "uint16")
    pixels[:, :20] = 0
    path = raster(tmp_path / "red.tif", pixels, (CORNER[0] - 95, CORNER[1] + 95), nodata=nodata)
    found = load(item(red=asset(path)), RED)["red"]
    assert set(np.unique(found)) == {-10000, 5000}


def test_notes_say_what_is_averaged_and_nothing_of_what_is_exact(tmp_path: Path) -> None:
    fine = asset(raster(tmp_path / "a.tif", noise((24, 24))))
    document = item(
        "x",
        red=fine,
        swir16=fine,
        swir22=fine,
        scl=asset(raster(tmp_path / "scl.tif", noise((12, 12), "uint8", 0, 12), size=20)),
        classi={"href": "/nowhere.gml", "type": "application/gml+xml"},
    )
    groups = {"r10m": 10, "r20m": 20}
    wanted = variables("l2a", "red", "swir16", "swir22", "scl") + variables("l1c", "classi")
    assert resampling_notes(document, wanted, EXTENT, groups) == [
        "x: swir16 swir22 resampled by average from EPSG:32631 10 m"
    ]
    assert resampling_notes(document, RED, EXTENT, groups) == []


def test_coarser_than_nominal(tmp_path: Path) -> None:
    fine = asset(raster(tmp_path / "a.tif", noise((24, 24))))
    coarse = asset(raster(tmp_path / "c.tif", noise((2, 2)), size=1098))
    wanted = variables("l2a", "red", "green", "swir16", "scl", "blue")
    document = item(red=coarse, green=fine, swir16=fine, scl=coarse)
    assert coarser_than_nominal(document, wanted) == {"red": 1098.0}


# --- granules of one day --------------------------------------------------------------------------


def granule(tmp_path: Path, name: str, red: Array, green: Array, clm: Array) -> dict[str, Any]:
    folder = tmp_path / name
    folder.mkdir()
    return item(
        name,
        red=asset(raster(folder / "red.tif", red)),
        green=asset(raster(folder / "green.tif", green)),
        clm=asset(raster(folder / "clm.tif", clm)),
    )


def test_of_two_granules_the_first_with_data_wins_in_all_variables(tmp_path: Path) -> None:
    def full(value: int, dtype: str = "uint16") -> Array:
        return np.full((24, 24), value, dtype)

    red, green, clm = full(100), full(110), full(11, "uint8")
    red[:, 12:] = 0
    green[:, 13:] = 0  # column 12 is seen in green only
    clm[:, 20:] = 77  # a code where the granule has no data
    first = granule(tmp_path, "first", red, green, clm)
    other_red, other_green, other_clm = full(200), full(210), full(22, "uint8")
    for each in (other_red, other_green):
        each[:2] = 0
    other_clm[:2] = 0
    second = granule(tmp_path, "second", other_red, other_green, other_clm)
    wanted = variables("maja", "red", "green", "clm")

    found = load([first, second], wanted)
    row = {name: pixels[10, [0, 11, 12, 13, 23]].tolist() for name, pixels in found.items()}
    assert row == {
        "red": [100, 100, -10000, 200, 200],
        "green": [110, 110, 110, 210, 210],
        "clm": [11, 11, 11, 22, 22],
    }
    top = {name: pixels[0, [0, 12, 13]].tolist() for name, pixels in found.items()}
    assert top == {
        "red": [100, -10000, -10000],
        "green": [110, 110, -10000],
        "clm": [11, 11, 0],
    }
    turned = load([second, first], wanted)
    assert turned["red"][10, [0, 12, 23]].tolist() == [200, 200, 200]
    assert turned["red"][0, [0, 12, 23]].tolist() == [100, -10000, -10000]
    assert turned["clm"][0, [0, 12, 13]].tolist() == [11, 11, 0]


def test_a_granule_outside_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    inside = item("in", red=asset(raster(tmp_path / "in.tif", noise((24, 24)))))
    far = (CORNER[0] + 3000, CORNER[1])
    outside = item("out", red=asset(raster(tmp_path / "out.tif", noise((24, 24), seed=1), far)))
    alone = load(inside, RED)["red"]
    for order in ([inside, outside], [outside, inside]):
        np.testing.assert_array_equal(load(order, RED)["red"], alone)


def test_a_variable_of_one_granule_only_is_kept_where_that_one_counts(tmp_path: Path) -> None:
    left = np.full((24, 24), 5, "uint16")
    left[:, 12:] = 0
    edge = np.zeros((24, 24), "uint8")
    codes = np.full((24, 24), 9, "uint8")
    first = item("first", red=asset(raster(tmp_path / "a.tif", left)))
    second = item(
        "second",
        red=asset(raster(tmp_path / "b.tif", np.full((24, 24), 6, "uint16"))),
        clm=asset(raster(tmp_path / "clm.tif", codes)),
        edg=asset(raster(tmp_path / "edg.tif", edge)),
    )
    found = load([first, second], variables("maja", "red", "clm", "edg"))
    assert found["red"][0, [11, 12]].tolist() == [5, 6]
    assert found["clm"][0, [11, 12]].tolist() == [0, 9]
    assert found["edg"][0, [11, 12]].tolist() == [1, 0]


def test_masks_of_granules_without_bands_in_the_group_are_merged_too(tmp_path: Path) -> None:
    """A source may deliver 10 m bands and SCL only: the 20 m group then has no reflectances."""
    west, east = np.full((12, 12), 4, "uint8"), np.full((12, 12), 9, "uint8")
    west[:, 6:] = 0
    items = [
        item("west", scl=asset(raster(tmp_path / "w.tif", west, size=20))),
        item("east", scl=asset(raster(tmp_path / "e.tif", east, size=20))),
    ]
    assert load(items, SCL, 20)["scl"][0].tolist() == [4] * 6 + [9] * 6
    assert load(items[::-1], SCL, 20)["scl"][0].tolist() == [9] * 12


def test_clipped_pixels_of_all_granules_are_counted(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.full((24, 24), 40000, "uint16"))
    document = item(red=asset(path))
    assert isinstance(load_items([document], RED, EXTENT, 10), Loaded)
    assert load_items([document, document], RED, EXTENT, 10).clipped == 2 * 576
