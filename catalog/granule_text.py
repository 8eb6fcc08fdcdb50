"""Text of a simulated granule: ``MTD_TL.xml`` of SAFE products, with its angle grids."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from catalog.product_text import (
    GRID_STEP,
    SPECTRAL_BANDS,
    XSI,
    Delivery,
    altered,
    datastrip_id,
    document,
    file_stem,
    granule_id,
    granule_name,
    iso,
    node,
    sun_grid,
    values_list,
    view_grids,
)

_L2A_PERCENTAGES = (
    "NODATA_PIXEL_PERCENTAGE",
    "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE",
    "DARK_FEATURES_PERCENTAGE",
    "CLOUD_SHADOW_PERCENTAGE",
    "VEGETATION_PERCENTAGE",
    "NOT_VEGETATED_PERCENTAGE",
    "WATER_PERCENTAGE",
    "UNCLASSIFIED_PERCENTAGE",
    "MEDIUM_PROBA_CLOUDS_PERCENTAGE",
    "HIGH_PROBA_CLOUDS_PERCENTAGE",
    "THIN_CIRRUS_PERCENTAGE",
    "SNOW_ICE_PERCENTAGE",
    "RADIATIVE_TRANSFER_ACCURACY",
    "WATER_VAPOUR_RETRIEVAL_ACCURACY",
    "AOT_RETRIEVAL_ACCURACY",
)


def tile_xml(delivery: Delivery, level: str, masks: Iterable[tuple[str, str, int | None]]) -> str:
    """``MTD_TL.xml``; masks are (type, path, band index or None)."""
    namespace = (
        f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level[1:]}_Tile_Metadata.xsd"
    )
    root = node(
        f"n1:Level-{level[1:]}_Tile_ID",
        _tile_general(delivery, level),
        node("n1:Geometric_Info", _geocoding(delivery), _tile_angles(delivery)),
        _tile_quality(delivery, level, masks),
    )
    root.set("xmlns:n1", namespace)
    root.set("xmlns:xsi", XSI)
    root.set("xsi:schemaLocation", namespace)
    return document(altered(root, delivery))


def content_percentages(delivery: Delivery) -> list[Element]:
    """Shares of the classes of a level 2A product, an element each."""
    return [node(tag, f"{delivery.percentages.get(tag, 0.0):.6f}") for tag in _L2A_PERCENTAGES]


def _tile_general(delivery: Delivery, level: str) -> Element:
    parts = [
        node("TILE_ID", granule_id(delivery, level), metadataLevel="Brief"),
        node("DATASTRIP_ID", datastrip_id(delivery, level), metadataLevel="Standard"),
        node("DOWNLINK_PRIORITY", "NOMINAL", metadataLevel="Standard"),
        node("SENSING_TIME", iso(delivery.tile_sensed), metadataLevel="Standard"),
        node(
            "Archiving_Info",
            node("ARCHIVING_CENTRE", delivery.centre),
            node("ARCHIVING_TIME", iso(delivery.generated)),
            metadataLevel="Expertise",
        ),
    ]
    if level == "L2A":
        l1c = node("L1C_TILE_ID", granule_id(delivery, "L1C"), metadataLevel="Brief")
        parts.insert(0, l1c)
    return node("n1:General_Info", *parts)


def _geocoding(delivery: Delivery) -> Element:
    # Rasters of 60 m cover the last pixel even where it is cut by the edge.
    resolutions = (10, 20, 60)
    sizes = [
        node(
            "Size",
            node("NROWS", -(-10 * delivery.rows // step)),
            node("NCOLS", -(-10 * delivery.columns // step)),
            resolution=str(step),
        )
        for step in resolutions
    ]
    positions = [
        node(
            "Geoposition",
            node("ULX", delivery.west),
            node("ULY", delivery.north),
            node("XDIM", step),
            node("YDIM", -step),
            resolution=str(step),
        )
        for step in resolutions
    ]
    return node(
        "Tile_Geocoding",
        node("HORIZONTAL_CS_NAME", delivery.zone_name),
        node("HORIZONTAL_CS_CODE", f"EPSG:{delivery.epsg}"),
        *sizes,
        *positions,
        metadataLevel="Brief",
    )


def _tile_angles(delivery: Delivery) -> Element:
    viewing = [
        node(
            "Viewing_Incidence_Angles_Grids",
            _grid("Zenith", zeniths),
            _grid("Azimuth", azimuths),
            bandId=str(band.index),
            detectorId=str(detector),
        )
        for band in SPECTRAL_BANDS
        for detector, (zeniths, azimuths) in view_grids(delivery, band).items()
    ]
    means = [
        node(
            "Mean_Viewing_Incidence_Angle",
            *_angles(delivery.view_zenith + 0.002 * band.index, delivery.view_azimuth),
            bandId=str(band.index),
        )
        for band in SPECTRAL_BANDS
    ]
    return node(
        "Tile_Angles",
        node(
            "Sun_Angles_Grid",
            _grid("Zenith", sun_grid(delivery, "zenith")),
            _grid("Azimuth", sun_grid(delivery, "azimuth")),
        ),
        node("Mean_Sun_Angle", *_angles(delivery.sun_zenith, delivery.sun_azimuth)),
        *viewing,
        node("Mean_Viewing_Incidence_Angle_List", *means),
        metadataLevel="Standard",
    )


def _grid(tag: str, lines: Iterable[str]) -> Element:
    return node(
        tag,
        node("COL_STEP", GRID_STEP, unit="m"),
        node("ROW_STEP", GRID_STEP, unit="m"),
        values_list(lines),
    )


def _angles(zenith: float, azimuth: float) -> list[Element]:
    return [
        node("ZENITH_ANGLE", f"{zenith:.10f}", unit="deg"),
        node("AZIMUTH_ANGLE", f"{azimuth:.10f}", unit="deg"),
    ]


def _tile_quality(
    delivery: Delivery, level: str, masks: Iterable[tuple[str, str, int | None]]
) -> Element:
    content = [
        node("CLOUDY_PIXEL_PERCENTAGE", f"{delivery.cloud_percentage:.6f}"),
        node("DEGRADED_MSI_DATA_PERCENTAGE", 0),
    ]
    if level == "L2A":
        content += content_percentages(delivery)
    elif delivery.offset:
        content.append(node("SNOW_PIXEL_PERCENTAGE", 0))
    files = []
    for kind, path, band in masks:
        element = node("MASK_FILENAME", path, type=kind)
        if band is not None:
            element.set("bandId", str(band))
        files.append(element)
    granule = f"GRANULE/{granule_name(delivery, level)}"
    preview = f"{granule}/QI_DATA/{file_stem(delivery)}_PVI.{delivery.extension}"
    return node(
        "n1:Quality_Indicators_Info",
        node("Image_Content_QI", *content),
        node("Pixel_Level_QI", *files, geometry="FULL_RESOLUTION"),
        node("PVI_FILENAME", preview),
        metadataLevel="Standard",
    )
