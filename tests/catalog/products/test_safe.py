"""SAFE products, genuine and simulated."""

import re
import shutil
from datetime import UTC, datetime

import pytest

from catalog.errors import ProductError
from catalog.products import open_product, recognises

L1C_JANUARY = "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244"
L1C_MARCH = "S2B_MSIL1C_20240305T104819_N0510_R051_T31TCJ_20240305T125347"
L2A_TIF = "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857"
L2A_EAST = "S2B_MSIL2A_20191228T210519_N0212_R071_T01CCV_20201003T104658"
L2A_JP2 = "S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500"

BANDS_L2A = [
    "coastal",
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "nir09",
    "swir16",
    "swir22",
]


@pytest.mark.shared
def test_l1c_says_what_its_xml_says(shared):
    product = open_product(shared / "safe-l1c-31TCJ" / f"{L1C_JANUARY}.SAFE")
    assert (product.id, product.family, product.level) == (L1C_JANUARY, "safe", "l1c")
    assert (product.tile, product.platform, product.epsg) == ("31TCJ", "sentinel-2a", 32631)
    assert product.acquired == datetime(2024, 1, 20, 10, 53, 41, 24000, tzinfo=UTC)
    assert product.generated == datetime(2024, 1, 20, 12, 52, 44, tzinfo=UTC)
    assert (product.baseline, product.version) == ("05.10", "05.10 2024-01-20T12:52:44.000000Z")
    assert (product.relative_orbit, product.absolute_orbit) == (51, 44807)
    assert product.orbit_state == "descending"
    assert product.datatake_id == "GS2A_20240120T105341_044807_N05.10"
    strip = "S2A_OPER_MSI_L1C_DS_2APS_20240120T125244_S20240120T105433_N05.10"
    assert product.datastrip_id == strip
    tile = "S2A_OPER_MSI_L1C_TL_2APS_20240120T125244_A044807_T31TCJ_N05.10"
    assert product.granule_id == tile
    assert (product.cloud_cover, product.snow_cover) == (0.0, 0.0)
    assert product.sun.zenith == 65.7554034542734
    assert product.sun.azimuth == 162.689190122297
    assert product.footprint[0][0] == (0.495928592903789, 44.22596415476343)
    assert product.warnings == ()


@pytest.mark.shared
def test_l1c_scales_grids_and_views_of_its_bands(shared):
    product = open_product(shared / "safe-l1c-31TCJ" / f"{L1C_JANUARY}.SAFE")
    red = product.asset("red")
    assert (red.scale, red.offset, red.nodata, red.saturated) == (0.0001, -0.1, 0, 65535)
    assert (red.grid.shape, red.gsd) == ((10980, 10980), 10)
    assert red.grid.transform == (10.0, 0.0, 300000.0, 0.0, -10.0, 4900020.0)
    assert red.href.endswith("/IMG_DATA/T31TCJ_20240120T105341_B04.jp2")
    assert product.asset("coastal").view.zenith == 3.1542472999194
    assert product.asset("coastal").grid.shape == (1830, 1830)
    assert product.asset("nir08").gsd == 20
    assert product.asset("cirrus").band == "B10"
    classi = product.asset("classi")
    assert (classi.count, classi.encoding, classi.media_type) == (3, "classi", "image/jp2")


@pytest.mark.shared
def test_l1c_of_a_cloudy_day(shared):
    product = open_product(shared / "safe-l1c-31TCJ" / f"{L1C_MARCH}.SAFE")
    assert product.cloud_cover == 63.960613932933
    assert product.snow_cover == 0.470990474484159
    assert product.platform == "sentinel-2b"
    assert product.absolute_orbit == 36542


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "name", "cloud", "orbits", "sun", "suffix"),
    [
        (L2A_TIF, L2A_TIF, 51.580326, (13, 19029), 32.707073851362, ".tif"),
        (L2A_EAST, L2A_EAST, 99.99889, (71, 14683), 55.201271439448, ".tif"),
        (f"esa_{L2A_JP2}", L2A_JP2, 0.447807, (81, 20270), 32.3712311857264, ".jp2"),
    ],
)
def test_l2a_before_baseline_4(shared, folder, name, cloud, orbits, sun, suffix):
    product = open_product(shared / "safe-l2a-small" / f"{folder}.SAFE")
    assert (product.id, product.level) == (name, "l2a")
    assert product.cloud_cover == cloud
    assert (product.relative_orbit, product.absolute_orbit) == orbits
    assert product.sun.zenith == sun
    assert [each.key for each in product.assets if each.band] == BANDS_L2A
    assert {each.href[-4:] for each in product.assets if each.band} == {suffix}
    assert {each.offset for each in product.assets if each.band} == {0.0}
    assert product.asset("scl").href.endswith(f"/R20m/{name[38:44]}_{name[11:26]}_SCL_20m{suffix}")
    assert product.asset("aot").scale == product.asset("wvp").scale == 0.001
    assert (product.asset("aot").gsd, product.asset("visual").gsd) == (20, 10)
    assert product.asset("classi").media_type == "application/gml+xml"
    assert product.asset("classi").encoding == "clouds-gml"
    assert product.asset("snwprb").gsd == 20
    assert product.warnings == ()


@pytest.mark.shared
def test_genuine_product_from_its_zip(shared, tmp_path, as_zip):
    folder = shared / "safe-l2a-small" / f"esa_{L2A_JP2}.SAFE"
    copy = shutil.copytree(folder, tmp_path / folder.name)
    archive = as_zip(copy)
    packed, plain = open_product(archive), open_product(folder)
    assert packed.id == plain.id == L2A_JP2
    red = packed.asset("red")
    assert red.href.startswith(f"/vsizip/{archive}/esa_{L2A_JP2}.SAFE/GRANULE/")
    assert (red.size, red.scale) == (plain.asset("red").size, plain.asset("red").scale)
    assert [each.key for each in packed.assets] == [each.key for each in plain.assets]


def test_offset_comes_from_the_xml_by_band(safe):
    folder = safe()
    text = (folder / "MTD_MSIL2A.xml").read_text()
    text = text.replace('band_id="3">-1000<', 'band_id="3">-900<')
    (folder / "MTD_MSIL2A.xml").write_text(text)
    product = open_product(folder)
    assert product.asset("red").offset == -0.09
    assert product.asset("nir").offset == -0.1


def test_baseline_with_offset_whose_xml_names_none_is_warned_of(safe):
    folder = safe()
    text = (folder / "MTD_MSIL2A.xml").read_text()
    (folder / "MTD_MSIL2A.xml").write_text(
        re.sub(r"<BOA_ADD_OFFSET .*?</BOA_ADD_OFFSET>", "", text)
    )
    product = open_product(folder)
    assert product.asset("red").offset == 0.0
    assert "baseline 05.10 without BOA_ADD_OFFSET" in product.warnings[0]


def test_offset_of_some_bands_only_is_refused(safe):
    folder = safe()
    text = (folder / "MTD_MSIL2A.xml").read_text()
    text = re.sub(r'<BOA_ADD_OFFSET band_id="3">.*?</BOA_ADD_OFFSET>', "", text)
    (folder / "MTD_MSIL2A.xml").write_text(text)
    with pytest.raises(ProductError, match="none for B04"):
        open_product(folder)


def test_quantification_comes_from_the_xml(safe):
    folder = safe(level="L1C", baseline="02.14", minutiae={"QUANTIFICATION_VALUE": "1000"})
    product = open_product(folder)
    assert (product.asset("red").scale, product.asset("red").offset) == (0.001, 0.0)
    assert product.asset("classi").encoding == "clouds-gml"


def test_views_that_are_not_numbers_are_left_out(safe):
    folder = safe()
    path = next(folder.glob("GRANULE/*/MTD_TL.xml"))
    text = path.read_text()
    start = text.index('<Mean_Viewing_Incidence_Angle bandId="3">')
    broken = re.sub(r">[\d.]+</ZENITH", ">NaN</ZENITH", text[start:], count=1)
    path.write_text(text[:start] + broken)
    product = open_product(folder)
    assert product.asset("red").view is None
    assert product.asset("green").view.azimuth == pytest.approx(196.0)
    assert product.view.azimuth == pytest.approx(196.0)


def test_mean_azimuth_goes_round_north():
    from catalog.products.product import Angles, mean_angles

    mean = mean_angles([Angles(2.0, 350.0), Angles(4.0, 20.0)])
    assert (mean.zenith, mean.azimuth) == (3.0, pytest.approx(5.0))
    assert mean_angles([]) is None


def test_bands_at_the_finest_delivered_resolution(safe):
    folder = safe()
    text = (folder / "MTD_MSIL2A.xml").read_text()
    (folder / "MTD_MSIL2A.xml").write_text(
        re.sub(r"<IMAGE_FILE>[^<]*R10m.*?</IMAGE_FILE>", "", text)
    )
    shutil.rmtree(next(folder.glob("GRANULE/*/IMG_DATA/R10m")))
    red = open_product(folder).asset("red")
    assert (red.gsd, red.href[-12:]) == (20, "_B04_20m.jp2")


def test_absent_classification_is_a_warning(safe):
    folder = safe()
    for path in folder.rglob("*SCL*"):
        path.unlink()
    product = open_product(folder)
    assert "scl" not in {each.key for each in product.assets}
    assert product.warnings == (f"{folder}: not delivered: SCL",)


def test_tags_of_the_first_processors(safe):
    """Sen2Cor before 2.6 wrote L2A_ before names, and before its files."""
    folder = safe(baseline="02.05")
    text = (folder / "MTD_MSIL2A.xml").read_text()
    for name in ("BOA", "AOT", "WVP"):
        text = text.replace(f"{name}_QUANTIFICATION_VALUE", f"L2A_{name}_QUANTIFICATION_VALUE")
    text = text.replace("PRODUCT_URI", "PRODUCT_URI_2A").replace("IMAGE_FILE", "IMAGE_FILE_2A")
    text = text.replace("/T31TCJ_2024", "/L2A_T31TCJ_2024")
    (folder / "MTD_MSIL2A.xml").write_text(text)
    for path in folder.rglob("T31TCJ_*"):
        path.rename(path.with_name(f"L2A_{path.name}"))
    product = open_product(folder)
    assert product.id == folder.name.removesuffix(".SAFE")
    assert product.asset("red").href.endswith("/L2A_T31TCJ_20240120T105341_B04_10m.jp2")
    assert product.asset("aot").scale == 0.001


@pytest.mark.parametrize("level", ["L1C", "L2A"])
@pytest.mark.parametrize("baseline", ["02.04", "02.14", "03.01", "04.00", "05.11"])
@pytest.mark.parametrize("extension", ["jp2", "tif"])
def test_every_baseline(safe, level, baseline, extension):
    product = open_product(safe(level=level, baseline=baseline, extension=extension))
    assert product.baseline == baseline
    assert product.asset("red").offset == (-0.1 if baseline >= "04" else 0.0)
    assert product.asset("red").href.endswith(extension)
    assert product.cloud_cover == 12.5
    assert product.warnings == ()


def test_metadata_file_stands_for_its_folder(safe):
    folder = safe()
    assert open_product(folder / "MTD_MSIL2A.xml") == open_product(folder)


def test_folder_is_recognised_by_what_it_holds_or_is_called(safe, tmp_path):
    folder = safe()
    assert recognises(folder)
    assert recognises(folder.rename(tmp_path / "renamed"))
    assert not recognises(tmp_path)
    item = tmp_path / f"{L1C_JANUARY}.json"
    item.write_text("{}")
    assert not recognises(item)


def test_renamed_folder_keeps_the_id_of_the_product(safe, tmp_path):
    folder = safe()
    renamed = folder.rename(tmp_path / "renamed")
    assert open_product(renamed).id == folder.name.removesuffix(".SAFE")


def test_id_without_uri_is_the_folder_without_prefix(safe, tmp_path):
    folder = safe()
    path = folder / "MTD_MSIL2A.xml"
    path.write_text(re.sub(r"<PRODUCT_URI>.*?</PRODUCT_URI>", "", path.read_text()))
    prefixed = folder.rename(tmp_path / f"esa_{folder.name}")
    assert open_product(prefixed).id == folder.name.removesuffix(".SAFE")
