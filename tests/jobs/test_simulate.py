"""Simulated products on disk, their truth, and comparisons with it."""

import re
import zipfile
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest
import rasterio

from catalog.products import open_product, product_item
from cube.angles import scene_angles
from cube.anisotropy import directed_reflectance, nadir_kernels, scene_kernels
from cube.directional import Frame
from cube.facts import DateFacts
from cube.landscape import ground_reflectance
from cube.periods import Period
from cube.sky import sun_position
from cube.synthesis import composite, day_number, method
from cube.testing import MaskErrors
from jobs.figures import Curve, class_overlay, difference_picture
from jobs.report import Headline, MonthView, Report, SceneView, quicklook, write_report
from jobs.simulate.accuracy import (
    gap_fraction,
    mask_accuracy,
    mask_confusion,
    reflectance_error,
)
from jobs.simulate.season import (
    SMALL_SEASON,
    Season,
    season_landscape,
    season_passes,
    season_scene,
    write_season,
)
from jobs.simulate.truth import Truth

SAFE = re.compile(r"S2[AB]_MSIL(1C|2A)_\d{8}T\d{6}_N\d{4}_R\d{3}_T31TCJ_\d{8}T\d{6}(\.SAFE|\.zip)")


@pytest.fixture(scope="module")
def season():
    return replace(SMALL_SEASON, l1c_dates=(0, 2), zipped_dates=(3,), extension="jp2")


@pytest.fixture(scope="module")
def files(season, tmp_path_factory):
    return write_season(tmp_path_factory.mktemp("season"), season)


@pytest.fixture(scope="module")
def items(files):
    paths = (*files.products, *files.muscate, *files.l1c)
    return {path: product_item(open_product(path)) for path in paths}


def read(item, key):
    with rasterio.open(item["assets"][key]["href"]) as source:
        return source.read()


def reflectance(item, key):
    """One band of an item as float, NaN for nodata, by what the item says."""
    band = item["assets"][key]["raster:bands"][0]
    stored = read(item, key)[0].astype(np.float64)
    stored[stored == band["nodata"]] = np.nan
    return stored * band["scale"] + band["offset"]


def test_names_are_genuine(files):
    for path in (*files.products, *files.l1c):
        assert SAFE.fullmatch(path.name), path.name
    assert [path.suffix for path in files.products].count(".zip") == 1
    assert [path.name[:11] for path in files.muscate] == ["SENTINEL2B_"]


def test_default_season_is_large_enough():
    passes = season_passes(Season())
    assert len(passes) == 29
    assert {each.platform for each in passes} == {"S2A", "S2B"}
    assert {each.relative_orbit for each in passes} == {51, 8}
    gaps = np.diff([each.sensed.toordinal() for each in passes])
    assert gaps.max() <= 8
    for each in passes:
        anchor = {"S2A": 2, "S2B": -27}[each.platform]
        assert (each.absolute_orbit + anchor) % 143 + 1 == each.relative_orbit
        assert 15 < each.angles.sun_zenith < 50
        assert 130 < each.angles.sun_azimuth < 165


def test_readers_open_products_without_a_warning(files):
    for path in (*files.products, *files.muscate, *files.l1c):
        assert open_product(path).warnings == ()


def test_headers_say_what_the_metadata_say(items):
    count = 0
    for item in items.values():
        for key, asset in item["assets"].items():
            if "proj:shape" not in asset:
                continue
            with rasterio.open(asset["href"]) as source:
                assert list(source.shape) == asset["proj:shape"], key
                assert list(source.transform)[:6] == asset["proj:transform"], key
                assert source.crs.to_epsg() == 32631
                assert source.dtypes[0] == asset["raster:bands"][0]["data_type"], key
            count += 1
    assert count > 120


def test_products_lie_on_the_lattice_of_the_tile(items):
    for item in items.values():
        _, _, left, _, _, top = item["assets"]["red"]["proj:transform"]
        assert (left - 300000) % 60 == 0
        assert (4900020 - top) % 60 == 0


def test_pixels_are_the_scene_to_half_a_unit(files, season, items):
    landscape = season_landscape(season)
    for path, each in zip(files.products[:1], season_passes(season), strict=False):
        scene = season_scene(season, landscape, each)
        found = reflectance(items[path], "red")
        np.testing.assert_allclose(found, scene.seen["red"], atol=0.51e-4)
        np.testing.assert_array_equal(read(items[path], "scl")[0], scene.scl)


def test_offset_date_stores_a_thousand_more(files, season, items):
    assert files.offset_product is not None
    item = items[files.offset_product]
    assert item["properties"]["s2:processing_baseline"] == "05.10"
    assert item["assets"]["nir"]["raster:bands"][0]["offset"] == pytest.approx(-0.1)
    each = season_passes(season)[season.offset_date]
    scene = season_scene(season, season_landscape(season), each)
    stored = read(item, "nir")[0].astype(int)
    np.testing.assert_allclose(stored, scene.seen["nir"] * 10000 + 1000, atol=0.6)


def test_duplicate_shares_its_datatake_and_the_older_is_too_bright(files, items):
    assert files.superseded is not None
    older = items[files.superseded]
    (newer,) = (
        item
        for path, item in items.items()
        if path != files.superseded
        and item["properties"]["datetime"] == older["properties"]["datetime"]
        and item["collection"] == "sentinel-2-l2a"
    )
    strips = [each["properties"]["s2:datastrip_id"].split("_S")[-1][:15] for each in (older, newer)]
    assert strips[0] == strips[1]
    assert older["properties"]["s2:processing_baseline"] == "02.14"
    assert newer["properties"]["s2:processing_baseline"] == "03.01"
    assert older["properties"]["s2:generation_time"] < newer["properties"]["s2:generation_time"]
    ratio = np.nanmedian(reflectance(older, "nir") / reflectance(newer, "nir"))
    assert ratio == pytest.approx(1.06, abs=0.001)


def test_eastern_orbit_leaves_the_west_empty(files, items):
    for path in files.products:
        empty = read(items[path], "red")[0] == 0
        if "_R008_" in path.name:
            assert empty[0, 0]
            assert not empty[:, -1].any()
            assert 0.2 < empty.mean() < 0.4
        else:
            assert not empty.any()


def test_muscate_has_its_masks_and_both_reflectances(files, items):
    item = items[files.muscate[0]]
    flat, sloped = reflectance(item, "red"), reflectance(item, "red_sre")
    np.testing.assert_allclose(sloped, 0.98 * flat, atol=1.1e-4)
    for key, size in (("clm", 96), ("clm_20m", 48), ("mg2", 96), ("edg", 96), ("sat_20m", 48)):
        assert read(item, key).shape == (1, size, size)
    atmosphere = read(item, "aot")
    assert atmosphere.dtype == np.uint8


def test_top_of_atmosphere_is_hazier_in_the_blue(files, items):
    early = items[files.l1c[0]]
    surface = items[files.products[0]]
    assert np.nanmin(reflectance(early, "blue")) > np.nanmin(reflectance(surface, "blue")) + 0.05
    assert early["assets"]["classi"]["href"].endswith(".gml")
    late = items[files.l1c[1]]
    assert late["assets"]["classi"]["href"].endswith("MSK_CLASSI_B00.jp2")
    with rasterio.open(late["assets"]["classi"]["href"]) as source:
        assert source.count == 3
        assert set(np.unique(source.read())) <= {0, 1}


def test_zip_holds_one_product(files):
    (path,) = (each for each in files.products if each.suffix == ".zip")
    with zipfile.ZipFile(path) as archive:
        roots = {name.split("/")[0] for name in archive.namelist()}
    assert roots == {f"{path.stem}.SAFE"}
    assert not path.with_suffix(".SAFE").exists()


def test_truth_tells_of_each_product(files, season):
    truth = Truth(files.truth)
    assert truth.months == ["2020-05"]
    assert len(truth.dates) == 4
    for path in (*files.products, *files.muscate):
        name = path.name.removesuffix(".zip").removesuffix(".SAFE")
        assert truth.classes(name).shape == (96, 96)
    with pytest.raises(LookupError, match="knows no product"):
        truth.classes("nothing")
    month = truth.month("2020-05")
    assert month["red"].shape == (96, 96)
    assert month["swir22"].shape == (48, 48)
    wheat = next(each for each in truth.parcels if each["cover"] == "winter_wheat")
    spring, summer = truth.ndvi(wheat["parcel"], [130, 215])
    assert spring > 0.6
    assert summer < 0.35


def test_clear_dates_show_the_truth(files, items):
    truth = Truth(files.truth)
    found = reflectance(items[files.products[0]], "nir")
    classes = truth.classes(files.products[0].name.removesuffix(".SAFE"))
    day = truth.dates[0]["day"]
    assert day == date(2020, 5, 5).timetuple().tm_yday
    # ten days before the 15th little has grown
    difference = (found - truth.month("2020-05")["nir"])[classes == 1]
    assert abs(float(np.median(difference))) < 0.02


def test_products_tell_the_angles_along_which_they_were_seen(files, season):
    """What the correction reads is what the pixels were made with, on both orbits."""
    landscape = season_landscape(season)
    truth = Truth(files.truth)
    for path, each in zip(files.muscate, season_passes(season)[3:], strict=True):
        told = open_product(path).angles
        read = scene_angles(told.corner, told.step, told.size, told.sun, told.views)
        middle = read.views["nir"][0, :, 0, 0]
        assert middle == pytest.approx([each.angles.view_zenith, each.angles.view_azimuth], abs=0.5)
        frame = Frame(season.west, season.north, 10)
        kernels = {"nir": scene_kernels(read, frame, landscape.shape, "nir")}
        day = each.tile_sensed.timetuple().tm_yday
        seen = directed_reflectance(landscape, day, kernels, ("nir",))["nir"]
        ground = truth.ground(day, ("nir",))["nir"]
        scene = season_scene(season, landscape, each)
        # five minutes more or less than the truth's time of day move the sun by up to a degree
        np.testing.assert_allclose(scene.ground["nir"], ground, rtol=6e-3)
        clear = scene.classes == 1
        ratio = (scene.seen["nir"] / seen)[clear]
        assert np.median(ratio) == pytest.approx(1, abs=0.002)
        assert abs(np.median((scene.seen["nir"] / ground)[clear]) - 1) > 0.01


def test_the_directional_correction_brings_a_month_nearer_to_the_truth(files, season, tmp_path):
    landscape, passes = season_landscape(season), season_passes(season)
    scenes = [season_scene(season, landscape, each) for each in passes]
    facts = []
    for path in (*files.products[:1], *files.products[2:]):
        told = open_product(path).angles
        read = scene_angles(told.corner, told.step, told.size, told.sun, told.views)
        file = tmp_path / f"{read.checksum()}.npz"
        file.write_bytes(read.content())
        facts.append(DateFacts(angles=(read.checksum(),), angle_files=(str(file),)))
    bands = {
        name: np.stack([(1e4 * scene.seen[name]).round() for scene in scenes]).astype(np.int16)
        for name in ("blue", "red", "nir")
    }
    days = np.array([day_number(each.sensed.date()) for each in passes], np.int32)
    classes = np.stack([scene.classes for scene in scenes])
    far = np.ones(classes.shape, np.float32)
    frame = Frame(season.west, season.north, 10)
    wasp, may, truth = method("wasp"), Period.parse("2020-05"), Truth(files.truth).month("2020-05")
    rmse = {}
    for brdf in ("roy", "none"):
        params = wasp.params(brdf=brdf)
        made = composite(
            wasp, params, may, bands, classes, days, far, bands["blue"], facts, frame=frame
        )
        land = made.status == 4
        away = made.bands["nir"][land] / 1e4 - truth["nir"][land]
        rmse[brdf] = float(np.sqrt(np.mean(away**2)))
    assert rmse["roy"] < 0.8 * rmse["none"]


def test_truth_of_a_month_is_nadir_under_the_sun_of_its_middle(files, season):
    landscape = season_landscape(season)
    truth = Truth(files.truth)
    found = truth.month("2020-05")["red"]
    zenith, _ = sun_position(datetime(2020, 5, 15, 10, 53, 20), 1.06, 43.84)
    expected = directed_reflectance(landscape, 136, nadir_kernels(zenith), ("red",))["red"]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(truth.ground(136, ("red",))["red"], found, atol=1e-4)
    bright = found / ground_reflectance(landscape, 136, ("red",))["red"]
    assert np.median(bright) == pytest.approx(1.08, abs=0.03)


def test_stated_rates_reach_the_files(tmp_path):
    errors = MaskErrors(0, 0, 0, 0, 0)
    season = replace(SMALL_SEASON, errors=errors, maja_dates=(), duplicate_date=None)
    files = write_season(tmp_path, replace(season, passes=(1,)))
    item = product_item(open_product(files.products[0]))
    truth = Truth(files.truth).classes(item["id"])
    scl = read(item, "scl")[0]
    # away from borders, where four pixels become one, the classes agree
    blocks = truth.reshape(48, 2, 48, 2)
    pure = (blocks.min(axis=(1, 3)) == blocks.max(axis=(1, 3))) & (scl > 0)
    table = np.array([0, 0, 1, 3, 1, 1, 6, 1, 2, 2, 4, 5], dtype=np.uint8)
    assert (table[scl] == truth[::2, ::2])[pure].mean() > 0.995


def test_confusion_counts_pairs():
    truth = np.array([[1, 1, 2, 0]], dtype=np.uint8)
    called = np.array([[1, 2, 2, 1]], dtype=np.uint8)
    confusion = mask_confusion(truth, called)
    assert confusion[1, 1] == confusion[1, 2] == confusion[2, 2] == confusion[0, 1] == 1
    accuracy = mask_accuracy(confusion)
    assert accuracy.overall == pytest.approx(2 / 3)
    assert accuracy.balanced == pytest.approx(0.75)
    assert accuracy.usable == pytest.approx(2 / 3)
    assert accuracy.missed == 0
    assert accuracy.lost == pytest.approx(0.5)
    clear = next(each for each in accuracy.classes if each.name == "clear")
    assert (clear.true, clear.called, clear.producer, clear.user) == (2, 1, 0.5, 1.0)
    with pytest.raises(ValueError, match="differ in shape"):
        mask_confusion(truth, called[:, :2])


def test_reflectance_errors_are_over_what_both_have():
    truth = np.array([[0.1, 0.2, 0.3, 0.4]], dtype=np.float32)
    found = np.array([[0.1, 0.23, 0.26, np.nan]], dtype=np.float32)
    error = reflectance_error(truth, found)
    assert error.pixels == 3
    assert error.gap == 0.25
    assert error.bias == pytest.approx(-0.01 / 3, abs=1e-6)
    assert error.rmse == pytest.approx((0.0025 / 3) ** 0.5, abs=1e-6)
    assert error.median == pytest.approx(0.03, abs=1e-6)
    land = np.array([[True, False, False, False]])
    assert reflectance_error(truth, found, land).rmse == pytest.approx(0, abs=1e-6)
    assert np.isnan(reflectance_error(truth, np.full_like(truth, np.nan)).rmse)
    assert gap_fraction(found, ~land) == pytest.approx(1 / 3)


def test_pictures_show_classes_and_errors():
    rgb = np.full((1, 3, 3), 100, dtype=np.uint8)
    overlay = class_overlay(rgb, np.array([[0, 1, 2]], dtype=np.uint8))
    assert overlay[0, 0].tolist() == [217, 217, 217]
    assert overlay[0, 2, 0] > overlay[0, 1, 0] + 30
    truth = np.array([[2, 1, 1]], dtype=np.uint8)
    wrong = difference_picture(np.array([[1, 2, 1]], dtype=np.uint8), truth)
    assert wrong[0].tolist() == [[215, 38, 61], [42, 111, 219], [243, 243, 243]]


def test_quicklook_shows_missing_in_grey():
    band = np.array([[0.25, 0.0, np.nan]], dtype=np.float32)
    assert quicklook(band, band, band)[0, :, 0].tolist() == [255, 0, 226]


def test_report_is_one_page_with_its_pictures(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    classes = rng.integers(0, 7, (40, 40)).astype(np.uint8)
    accuracy = mask_accuracy(mask_confusion(classes, classes))
    days = np.array(["2020-04-01", "2020-05-01"], dtype="datetime64[D]")
    values = np.array([0.3, 0.6], dtype=np.float32)
    clear = np.array([True, False])
    report = Report(
        title="Season <1>",
        summary="All & sundry",
        headlines=[Headline("accuracy", "100 %")],
        scenes=[SceneView("5 May", "S2B", rgb, classes, classes, note="odd")],
        months=[
            MonthView(
                "May",
                rgb,
                rng.random((40, 40), dtype=np.float32),
                np.full((40, 40), 18000, dtype=np.int16),
                np.full((40, 40), 4, dtype=np.uint8),
                rgb,
            )
        ],
        curves=[Curve("maize", days, values, clear, days, values, days, values)],
        masks={"scl": accuracy},
        reflectances={"2020-05": {"red": reflectance_error(values[None], values[None])}},
        commands=[("clearcube status", "what is current")],
        notes=["simulated"],
    )
    page = write_report(tmp_path / "out" / "report.html", report).read_text("utf-8")
    assert page.count("<img") == 4 + 5 + 1
    assert page.count("data:image/") == page.count("<img")
    assert "Season &lt;1&gt;" in page
    assert "All &amp; sundry" in page
    assert not re.search(r"(src|href)=.https?:", page)
    assert "100.0 %" in page
