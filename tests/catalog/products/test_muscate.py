"""MUSCATE products, genuine and simulated."""

import shutil
from datetime import UTC, datetime

import pytest

from catalog.errors import ProductError
from catalog.products import open_product, recognises
from catalog.products.muscate import MuscateReader

HAZE = "SENTINEL2A_20170213-071209-461_L2A_T38KPE_C_V1-0"
CLEAR = "SENTINEL2A_20170223-071209-459_L2A_T38KPE_C_V1-0"
MAY = "SENTINEL2B_20180512-105000-000_L2A_T31TCJ_C_V1-0"
SYNTHESIS = "SENTINEL2X_20180515-000000-000_L3A_T31TCJ_C_V1-1"

BANDS = ["blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16"]
BANDS += ["swir22"]


@pytest.mark.shared
def test_genuine_product_with_a_stack_and_no_masks(shared):
    folder = shared / "muscate-38KPE" / HAZE
    product = open_product(folder)
    assert (product.id, product.family, product.level) == (HAZE, "muscate", "maja")
    assert (product.tile, product.platform, product.epsg) == ("38KPE", "sentinel-2a", 32738)
    assert product.acquired == datetime(2017, 2, 13, 7, 12, 9, 461000, tzinfo=UTC)
    # The file called by the product's own id is read, not the second one beside it (93 %).
    assert product.cloud_cover == 79.0
    assert product.snow_cover == 0.0
    assert product.uri == "SENTINEL2A_20170213-071209-461_L2A_T38KPE_D_V1-4"
    assert product.version == "1.4 2017-05-06T15:19:20.869065Z"
    assert (product.absolute_orbit, product.relative_orbit) == (8597, 20)
    assert product.sun.zenith == 27.7768021621213
    assert product.sun.azimuth == 83.1675443205438
    assert product.asset("green").view.zenith == 4.67336836873037
    assert product.footprint[0][0] == (45.9450459819, -18.0862138917)
    masks = "CLM_R1 CLM_R2 MG2_R1 MG2_R2 EDG_R1 EDG_R2 SAT_R1 SAT_R2 IAB_R1 IAB_R2 AOT WVP"
    assert product.warnings == (f"{folder}: not delivered: {masks}",)


@pytest.mark.shared
def test_bands_of_a_stack(shared):
    folder = shared / "muscate-38KPE" / CLEAR
    product = open_product(folder)
    assert [each.key for each in product.assets] == [*BANDS, "metadata"]
    swir = product.asset("swir16")
    stack = f"{folder}/{CLEAR}_FRE_STACK.tif"
    assert (swir.href, swir.file, swir.file_band) == (f"vrt://{stack}?bands=9", stack, 9)
    assert (swir.scale, swir.offset, swir.nodata, swir.gsd) == (0.0001, 0.0, -10000, 10)
    assert swir.data_type == "uint16"


@pytest.mark.shared
def test_product_with_a_file_a_band_and_masks(shared):
    folder = shared / "wasp-reference/l2a" / MAY
    product = open_product(folder)
    assert (product.tile, product.platform) == ("31TCJ", "sentinel-2b")
    assert product.cloud_cover == 10.0
    assert (product.sun.zenith, product.sun.azimuth) == (31.0, 148.0)
    assert (product.view.zenith, product.view.azimuth) == (3.0, pytest.approx(104.0))
    masks = ["clm", "clm_20m", "mg2", "mg2_20m"]
    expected = {*BANDS, *masks, "aot", "metadata"}
    assert {each.key for each in product.assets} == expected
    red, swir = product.asset("red"), product.asset("swir22")
    assert (red.href, red.file) == (f"{folder}/{MAY}_FRE_B4.tif", None)
    assert (red.grid.shape, red.data_type, red.nodata) == ((480, 480), "int16", -10000)
    assert swir.grid.transform == (20.0, 0.0, 300000.0, 0.0, -20.0, 4800000.0)
    aot = product.asset("aot")
    assert aot.href == f"vrt://{folder}/{MAY}_ATB_R2.tif?bands=2"
    assert (aot.scale, aot.nodata, aot.gsd) == (1 / 200, 0, 20)
    assert product.asset("clm_20m").href == f"{folder}/MASKS/{MAY}_CLM_R2.tif"
    # One corner alone is stated: the footprint is the grid's.
    assert product.footprint[0][0] == pytest.approx((0.53321795, 43.32624634))
    missing = "EDG_R1 EDG_R2 SAT_R1 SAT_R2 IAB_R1 IAB_R2 WVP"
    assert product.warnings == (f"{folder}: not delivered: {missing}",)


@pytest.mark.shared
def test_a_synthesis_in_a_folder_of_another_name_is_named(shared, tmp_path):
    folder = tmp_path / "renamed"
    shutil.copytree(shared / "wasp-reference/l3a" / SYNTHESIS, folder)
    assert recognises(folder)
    with pytest.raises(ProductError, match="is a monthly synthesis of level 3A; give its folder"):
        open_product(folder)


def test_both_reflectances(muscate):
    folder = muscate()
    product = open_product(folder)
    assert product.warnings == ()
    assert product.asset("red").href.endswith("_FRE_B4.tif")
    assert product.asset("red_sre").href.endswith("_SRE_B4.tif")
    assert product.asset("red_sre").roles == ("data", "reflectance", "alternate")
    other = MuscateReader().read(folder, reflectance="sre")
    assert other.asset("red").href.endswith("_SRE_B4.tif")
    assert other.asset("red_fre").href.endswith("_FRE_B4.tif")


def test_only_the_other_reflectance_is_taken_with_a_warning(muscate):
    folder = muscate(reflectances=("SRE",))
    product = open_product(folder)
    assert product.asset("red").href.endswith("_SRE_B4.tif")
    assert product.warnings == (f"{folder}: FRE is not delivered, SRE is taken",)


def test_masks_of_both_groups(muscate):
    product = open_product(muscate())
    keys = {each.key for each in product.assets if each.encoding}
    names = ("clm", "mg2", "edg", "sat", "iab")
    assert keys == {*names, *(f"{each}_20m" for each in names)}
    assert {product.asset(each).gsd for each in names} == {10}
    assert product.asset("sat_20m").grid.shape == (60, 60)
    assert (product.asset("wvp").file_band, product.asset("aot").file_band) == (1, 2)


def test_early_interpolation_mask(muscate):
    folder = muscate()
    path = next(folder.glob("*_MTD_ALL.xml"))
    path.write_text(path.read_text().replace("_IAB_", "_IAO_"))
    for mask in folder.glob("MASKS/*_IAB_*"):
        mask.rename(mask.with_name(mask.name.replace("_IAB_", "_IAO_")))
    product = open_product(folder)
    assert product.asset("iab").encoding == product.asset("iab_20m").encoding == "iao"
    assert product.warnings == ()


def test_zip_is_read_in_place(muscate, as_zip):
    folder = muscate()
    plain = open_product(folder)
    archive = as_zip(folder)
    product = open_product(archive)
    assert (product.id, product.version) == (plain.id, plain.version)
    inside = f"/vsizip/{archive}/{folder.name}"
    assert product.asset("red").href == f"{inside}/{folder.name}_FRE_B4.tif"
    assert product.asset("aot").href == f"vrt://{inside}/{folder.name}_ATB_R2.tif?bands=2"
    assert product.asset("aot").file == f"{inside}/{folder.name}_ATB_R2.tif"


def test_id_is_the_name_of_the_folder(muscate, tmp_path):
    folder = muscate()
    renamed = folder.rename(tmp_path / folder.name.replace("_C_V1-0", "_D_V2-2"))
    for path in [*renamed.rglob("*.*")]:
        path.rename(path.with_name(path.name.replace("_C_V1-0", "_D_V2-2")))
    product = open_product(renamed)
    assert product.id == renamed.name
    assert product.uri == folder.name
    assert product.asset("red").href == f"{renamed}/{renamed.name}_FRE_B4.tif"
    assert product.warnings == ()


def test_relative_orbit_is_kept_as_it_is(muscate):
    path = next(muscate(minutiae={"ORBIT_NUMBER": "51"}).glob("*_MTD_ALL.xml"))
    product = open_product(path)
    assert (product.absolute_orbit, product.relative_orbit) == (None, 51)


def test_quantification_comes_from_the_xml(muscate):
    odd = {"WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE": "10"}
    product = open_product(muscate(minutiae=odd))
    assert product.asset("wvp").scale == 0.1
    assert product.asset("red").scale == 0.0001


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"PLATFORM": "LANDSAT8"}, "platform LANDSAT8 is not a Sentinel-2"),
        ({"PRODUCT_LEVEL": "L1C"}, "is of level L1C; give MUSCATE L2A or L3A"),
        ({"REFLECTANCE_QUANTIFICATION_VALUE": "0"}, "it must be above zero"),
        ({"REFLECTANCE_QUANTIFICATION_VALUE": "many"}, "'many' is not a number"),
        ({"ACQUISITION_DATE": "yesterday"}, "'yesterday' is not a time"),
        ({"HORIZONTAL_CS_CODE": "UTM"}, "'UTM' is not a number"),
        ({"HORIZONTAL_CS_CODE": "4326"}, "EPSG:4326 is not a UTM zone"),
        ({"NROWS": "nan"}, "is not a number"),
        ({"NROWS": "0"}, "a raster of 0 x 120 pixels of 10 x -10 m"),
        ({"ZENITH_ANGLE": "-3"}, "a zenith of -3 and azimuth of"),
        ({"LAT": "95"}, "not in degrees of longitude and latitude"),
        ({"LON": "0.5"}, "encloses no area"),
    ],
)
def test_odd_metadata(muscate, odd, message):
    with pytest.raises(ProductError, match=message):
        open_product(muscate(minutiae=odd))


def test_product_that_maja_did_not_finish(muscate):
    with pytest.raises(ProductError, match=r"not valid \(L2NOTV\)"):
        open_product(muscate(valid=False))


def test_product_of_metadata_alone(muscate):
    folder = muscate(reflectances=())
    with pytest.raises(ProductError, match="no rasters of reflectance"):
        open_product(folder)


def test_missing_band(muscate):
    folder = muscate()
    (folder / f"{folder.name}_FRE_B11.tif").unlink()
    with pytest.raises(ProductError, match="missing band B11 of FRE"):
        open_product(folder)


def test_name_that_cannot_be_an_id(muscate, tmp_path):
    folder = muscate()
    renamed = folder.rename(tmp_path / f"{folder.name} (copy)")
    with pytest.raises(ProductError, match="cannot be the id of a product"):
        open_product(renamed)
