"""The text of simulated products, against their grammar and genuine files."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from catalog.errors import ProductError
from catalog.granule_text import tile_xml
from catalog.muscate_text import jpi_xml, mtd_xml
from catalog.product_text import (
    SPECTRAL_BANDS,
    Delivery,
    absolute_orbit,
    file_stem,
    granule_name,
    muscate_name,
    safe_name,
    sun_grid,
    view_grids,
)
from catalog.safe_text import clouds_gml, manifest, product_xml

DELIVERY = Delivery(
    platform="S2A",
    sensed=datetime(2020, 4, 10, 10, 50, 31, 24000, tzinfo=UTC),
    strip_sensed=datetime(2020, 4, 10, 10, 51, 23, tzinfo=UTC),
    tile_sensed=datetime(2020, 4, 10, 10, 58, 51, 461000, tzinfo=UTC),
    generated=datetime(2020, 4, 10, 14, 0, tzinfo=UTC),
    baseline="02.14",
    relative_orbit=51,
    absolute_orbit=25073,
    tile="31TCJ",
    epsg=32631,
    west=343200,
    north=4855020,
    rows=480,
    columns=480,
    sun_zenith=37.0,
    sun_azimuth=155.0,
    view_zenith=4.3,
    view_azimuth=285.0,
    footprint=((1.0, 43.8), (1.0, 43.7), (1.1, 43.7), (1.1, 43.8)),
    corners=((1.0, 43.8), (1.1, 43.8), (1.1, 43.7), (1.0, 43.7), (1.05, 43.75)),
    percentages={"CLOUDY_PIXEL_PERCENTAGE": 12.5, "WATER_PERCENTAGE": 4.0},
)
WITH_OFFSET = replace(DELIVERY, baseline="05.10")


def paths(xml):
    """Every path of tags with its attributes' names, namespaces kept."""
    found = set()

    def walk(element, above):
        here = f"{above}/{element.tag}"
        found.add(here)
        found.update(f"{here}/@{name}" for name in element.attrib)
        for child in element:
            walk(child, here)

    walk(ElementTree.fromstring(xml), "")
    return found


def texts(xml, tag):
    return [element.text for element in ElementTree.fromstring(xml).iter(tag)]


def test_names_follow_the_grammar():
    assert (
        safe_name(DELIVERY, "L2A")
        == "S2A_MSIL2A_20200410T105031_N0214_R051_T31TCJ_20200410T140000.SAFE"
    )
    assert granule_name(DELIVERY, "L2A") == "L2A_T31TCJ_A025073_20200410T105123"
    assert file_stem(DELIVERY) == "T31TCJ_20200410T105031"
    assert muscate_name(DELIVERY) == "SENTINEL2A_20200410-105851-461_L2A_T31TCJ_C_V1-0"
    assert re.fullmatch(
        r"SENTINEL2[A-DX]_\d{8}-\d{6}-\d{3}_L2A_T\d{2}[A-Z]{3}_[A-Z]_V\d+-\d+",
        muscate_name(DELIVERY, "2-2", "D"),
    )


def test_times_without_zone_and_unknown_platforms_are_refused():
    with pytest.raises(ProductError, match="UTC"):
        replace(DELIVERY, generated=datetime(2020, 4, 10))
    with pytest.raises(ProductError, match="S2X"):
        replace(DELIVERY, platform="S2X")


@pytest.mark.parametrize(
    ("platform", "orbit", "day", "number"),
    [
        ("S2A", 51, datetime(2024, 1, 20), 44807),
        ("S2B", 51, datetime(2024, 3, 5), 36542),
        ("S2A", 51, datetime(2024, 1, 30), 44950),
        ("S2A", 51, datetime(2024, 1, 21), None),
        ("S2A", 8, datetime(2024, 1, 17), 44764),
    ],
)
def test_satellites_pass_every_ten_days(platform, orbit, day, number):
    assert absolute_orbit(platform, orbit, day) == number
    if number is not None:
        anchor = {"S2A": 2, "S2B": -27}[platform]
        assert (number + anchor) % 143 + 1 == orbit


def test_offsets_come_with_baseline_4():
    before, after = product_xml(DELIVERY, "L2A", []), product_xml(WITH_OFFSET, "L2A", [])
    assert texts(before, "BOA_ADD_OFFSET") == []
    assert texts(after, "BOA_ADD_OFFSET") == ["-1000"] * 13
    assert texts(product_xml(WITH_OFFSET, "L1C", []), "RADIO_ADD_OFFSET") == ["-1000"] * 13
    assert texts(before, "BOA_QUANTIFICATION_VALUE") == ["10000"]


def test_odd_texts_replace_the_usual_ones():
    odd = replace(DELIVERY, minutiae={"BOA_QUANTIFICATION_VALUE": "1000"})
    assert texts(product_xml(odd, "L2A", []), "BOA_QUANTIFICATION_VALUE") == ["1000"]


def test_tile_says_where_the_raster_lies():
    root = ElementTree.fromstring(tile_xml(DELIVERY, "L2A", []))
    sizes = {each.get("resolution"): each.findtext("NROWS") for each in root.iter("Size")}
    assert sizes == {"10": "480", "20": "240", "60": "80"}
    assert {each.findtext("ULX") for each in root.iter("Geoposition")} == {"343200"}
    assert root.findtext(".//CLOUDY_PIXEL_PERCENTAGE") == "12.500000"
    assert len(list(root.iter("Mean_Viewing_Incidence_Angle"))) == 13


def middle_of(lines, delivery):
    """Grid -> its value in the middle of the raster, which lies in the first cell of nodes here."""
    numbers = [[float(text) for text in line.split()] for line in lines]
    down, right = delivery.rows / 1000, delivery.columns / 1000
    assert down <= 1
    assert right <= 1
    upper, lower = (row[0] * (1 - right) + row[1] * right for row in numbers[:2])
    return upper * (1 - down) + lower * down


def test_angle_grids_have_23_by_23_nodes_and_the_mean_in_the_middle_of_the_raster():
    lines = sun_grid(DELIVERY, "zenith")
    numbers = [[float(text) for text in line.split()] for line in lines]
    assert len(numbers) == 23
    assert {len(line) for line in numbers} == {23}
    assert middle_of(lines, DELIVERY) == pytest.approx(37.0, abs=1e-4)
    assert middle_of(sun_grid(DELIVERY, "azimuth"), DELIVERY) == pytest.approx(155, abs=1e-3)
    assert numbers[0][11] > numbers[22][11]  # the sun stands higher in the south
    zeniths, azimuths = view_grids(DELIVERY, SPECTRAL_BANDS[3])[5]
    assert middle_of(zeniths, DELIVERY) == pytest.approx(4.3 + 0.006, abs=1e-4)
    assert middle_of(azimuths, DELIVERY) == pytest.approx(285 - 0.2, abs=1e-3)
    grids = view_grids(DELIVERY, SPECTRAL_BANDS[3])
    cells = [[line.split() for line in zeniths] for zeniths, _azimuths in grids.values()]
    for row in range(23):
        for column in range(23):
            looking = [cell[row][column] != "NaN" for cell in cells]
            assert sum(looking) == 1


def test_zenith_of_the_view_grows_from_the_track_and_azimuth_points_to_it():
    tile = replace(DELIVERY, rows=10980, columns=10980)
    grids = view_grids(tile, SPECTRAL_BANDS[3])
    zeniths, azimuths = (
        np.nanmax([[[float(t) for t in line.split()] for line in grid[i]] for grid in grids.values()], 0)
        for i in (0, 1)
    )  # fmt: skip
    # the track runs 52.6 km west of the middle: it crosses the north-west of the tile
    expected = np.degrees(np.arctan((52_636 + 40_000 * np.cos(np.radians(15))) / 700_000))
    assert zeniths[11, 19] == pytest.approx(expected + 0.006, abs=0.01)
    assert np.all(np.diff(zeniths[11, 2:]) > 0.35)
    assert set(azimuths[11, 2:].round(1)) == {284.8, 285.2}
    assert set(azimuths[0, :1].round(1)) == {104.8}


def test_clouds_are_listed_or_absent():
    ring = (343200, 4855020, 343260, 4855020, 343260, 4854960, 343200, 4855020)
    xml = clouds_gml(DELIVERY, [("OPAQUE", ring), ("CIRRUS", ring)])
    assert texts(xml, "{http://www.opengis.net/eop/2.0}maskType") == ["OPAQUE", "CIRRUS"]
    assert "posList" not in clouds_gml(DELIVERY, [])


def test_manifest_lists_files():
    xml = manifest(DELIVERY, "L2A", [("MTD_MSIL2A.xml", 3, "abc")])
    located = ElementTree.fromstring(xml).find(".//fileLocation")
    assert located is not None
    assert located.get("href") == "./MTD_MSIL2A.xml"


def test_muscate_lists_masks_by_nature_and_may_leave_some_out():
    assert "Detailed_Cloud" in mtd_xml(DELIVERY)
    assert "WVC_Interpolation" not in mtd_xml(DELIVERY, absent=("IAB",))
    assert texts(jpi_xml(DELIVERY, valid=False), "Value")[0] == "L2NOTV"


SAFE_PRODUCT = [
    "PRODUCT_START_TIME",
    "PRODUCT_URI",
    "PROCESSING_LEVEL",
    "PRODUCT_TYPE",
    "PROCESSING_BASELINE",
    "GENERATION_TIME",
    "Datatake/@datatakeIdentifier",
    "Datatake/SPACECRAFT_NAME",
    "Datatake/DATATAKE_SENSING_START",
    "Datatake/SENSING_ORBIT_NUMBER",
    "Datatake/SENSING_ORBIT_DIRECTION",
    "Product_Organisation/Granule_List/Granule/@datastripIdentifier",
    "Product_Organisation/Granule_List/Granule/@granuleIdentifier",
    "Product_Organisation/Granule_List/Granule/@imageFormat",
    "Product_Organisation/Granule_List/Granule/IMAGE_FILE",
]
SAFE_REST = [
    "n1:General_Info/Product_Image_Characteristics/Special_Values/SPECIAL_VALUE_TEXT",
    "n1:General_Info/Product_Image_Characteristics/Special_Values/SPECIAL_VALUE_INDEX",
    "n1:General_Info/Product_Image_Characteristics/Spectral_Information_List/Spectral_Information/@physicalBand",
    "n1:Geometric_Info/Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST",
    "n1:Quality_Indicators_Info/Cloud_Coverage_Assessment",
]
SCALES = {
    "L2A": ["QUANTIFICATION_VALUES_LIST/BOA_QUANTIFICATION_VALUE",
            "QUANTIFICATION_VALUES_LIST/AOT_QUANTIFICATION_VALUE",
            "QUANTIFICATION_VALUES_LIST/WVP_QUANTIFICATION_VALUE"],
    "L1C": ["QUANTIFICATION_VALUE", "Radiometric_Offset_List/RADIO_ADD_OFFSET/@band_id"],
}  # fmt: skip
SAFE_TILE = [
    "n1:General_Info/TILE_ID",
    "n1:General_Info/DATASTRIP_ID",
    "n1:General_Info/SENSING_TIME",
    "n1:Geometric_Info/Tile_Geocoding/HORIZONTAL_CS_CODE",
    "n1:Geometric_Info/Tile_Geocoding/Size/@resolution",
    "n1:Geometric_Info/Tile_Geocoding/Size/NROWS",
    "n1:Geometric_Info/Tile_Geocoding/Size/NCOLS",
    "n1:Geometric_Info/Tile_Geocoding/Geoposition/@resolution",
    "n1:Geometric_Info/Tile_Geocoding/Geoposition/ULX",
    "n1:Geometric_Info/Tile_Geocoding/Geoposition/YDIM",
    "n1:Geometric_Info/Tile_Angles/Sun_Angles_Grid/Zenith/COL_STEP",
    "n1:Geometric_Info/Tile_Angles/Sun_Angles_Grid/Azimuth/Values_List/VALUES",
    "n1:Geometric_Info/Tile_Angles/Mean_Sun_Angle/ZENITH_ANGLE",
    "n1:Geometric_Info/Tile_Angles/Viewing_Incidence_Angles_Grids/@bandId",
    "n1:Geometric_Info/Tile_Angles/Viewing_Incidence_Angles_Grids/@detectorId",
    "n1:Geometric_Info/Tile_Angles/Viewing_Incidence_Angles_Grids/Zenith/Values_List/VALUES",
    "n1:Geometric_Info/Tile_Angles/Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle/@bandId",
    "n1:Geometric_Info/Tile_Angles/Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle/AZIMUTH_ANGLE",
    "n1:Quality_Indicators_Info/Image_Content_QI/CLOUDY_PIXEL_PERCENTAGE",
    "n1:Quality_Indicators_Info/Pixel_Level_QI/MASK_FILENAME/@type",
]
MUSCATE = [
    "Dataset_Identification/IDENTIFIER",
    "Dataset_Identification/GEOGRAPHICAL_ZONE/@type",
    "Product_Characteristics/PRODUCT_ID",
    "Product_Characteristics/ACQUISITION_DATE",
    "Product_Characteristics/PRODUCTION_DATE",
    "Product_Characteristics/PRODUCT_VERSION",
    "Product_Characteristics/PLATFORM",
    "Product_Characteristics/ORBIT_NUMBER",
    "Product_Characteristics/Band_Group_List/Group/Band_List/BAND_ID",
    "Product_Organisation/Muscate_Product/QUICKLOOK",
    "Product_Organisation/Muscate_Product/Image_List/Image/Image_Properties/NATURE",
    "Product_Organisation/Muscate_Product/Image_List/Image/Image_File_List/IMAGE_FILE/@band_id",
    "Product_Organisation/Muscate_Product/Image_List/Image/Image_File_List/IMAGE_FILE/@group_id",
    "Product_Organisation/Muscate_Product/Mask_List/Mask/Mask_Properties/NATURE",
    "Product_Organisation/Muscate_Product/Mask_List/Mask/Mask_File_List/MASK_FILE/@bit_number",
    "Geoposition_Informations/Coordinate_Reference_System/Horizontal_Coordinate_System/HORIZONTAL_CS_CODE",
    "Geoposition_Informations/Geopositioning/Global_Geopositioning/Point/LAT",
    "Geoposition_Informations/Geopositioning/Group_Geopositioning_List/Group_Geopositioning/@group_id",
    "Geoposition_Informations/Geopositioning/Group_Geopositioning_List/Group_Geopositioning/NROWS",
    "Geometric_Informations/Mean_Value_List/Sun_Angles/ZENITH_ANGLE",
    "Geometric_Informations/Mean_Value_List/Mean_Viewing_Incidence_Angle_List/Mean_Viewing_Incidence_Angle/@band_id",
    "Geometric_Informations/Angles_Grids_List/Sun_Angles_Grids/Zenith/Values_List/VALUES",
    "Geometric_Informations/Angles_Grids_List/Viewing_Incidence_Angles_Grids_List/Band_Viewing_Incidence_Angles_Grids_List/Viewing_Incidence_Angles_Grids/@detector_id",
    "Radiometric_Informations/REFLECTANCE_QUANTIFICATION_VALUE",
    "Radiometric_Informations/WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE",
    "Radiometric_Informations/AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE",
    "Radiometric_Informations/Special_Values_List/SPECIAL_VALUE/@name",
    "Quality_Informations/Current_Product/Product_Quality_List/Product_Quality/Global_Index_List/QUALITY_INDEX/@name",
]


def rooted(root, wanted):
    """Short paths -> the full ones of a document with a namespace."""
    space = root[: root.index("}") + 1] if "}" in root else ""
    return {f"/{root}/{path.replace('n1:', space)}" for path in wanted}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("level", "delivery", "folder"),
    [("L2A", DELIVERY, "safe-l2a-small"), ("L1C", WITH_OFFSET, "safe-l1c-31TCJ")],
)
def test_safe_text_has_the_paths_of_genuine_products(shared, level, delivery, folder):
    image = "GRANULE/X/IMG_DATA/Y"
    wanted = [f"n1:General_Info/Product_Info/{path}" for path in SAFE_PRODUCT] + SAFE_REST
    scaling = "n1:General_Info/Product_Image_Characteristics"
    wanted += [f"{scaling}/{path}" for path in SCALES[level]]
    simulated = product_xml(delivery, level, [image])
    tile = tile_xml(delivery, level, [("MSK_CLASSI", "x", None)])
    products = sorted((shared / folder).glob(f"*.SAFE/MTD_MSI{level}.xml"))
    assert len(products) >= 2
    for path in products:
        genuine = path.read_text("utf-8")
        root = ElementTree.fromstring(genuine).tag
        needed = rooted(root, wanted)
        assert needed <= paths(genuine)
        assert needed <= paths(simulated)
        (beside,) = path.parent.glob("GRANULE/*/MTD_TL.xml")
        genuine = beside.read_text("utf-8")
        needed = rooted(ElementTree.fromstring(genuine).tag, SAFE_TILE)
        assert needed <= paths(genuine)
        assert needed <= paths(tile)


@pytest.mark.shared
def test_muscate_text_has_the_paths_of_genuine_products(shared):
    needed = rooted("Muscate_Metadata_Document", MUSCATE)
    assert needed <= paths(mtd_xml(DELIVERY))
    files = sorted((shared / "muscate-38KPE").glob("*/*_MTD_ALL*.xml"))
    assert len(files) == 4
    for path in files:
        assert needed <= paths(path.read_text("utf-8")), path.name
