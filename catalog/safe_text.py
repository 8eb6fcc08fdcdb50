"""Text of simulated SAFE products: ``MTD_MSI*.xml``, ``manifest.safe``, cloud GML.

Element names, nesting and namespaces follow the Sentinel-2 product specification (S2-PDGS-TAS-DI-PSD,
issue 14), which the products themselves name.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from catalog.granule_text import content_percentages
from catalog.product_text import (
    SPECTRAL_BANDS,
    XSI,
    Delivery,
    SpectralBand,
    altered,
    compact,
    datastrip_id,
    datatake_id,
    document,
    granule_id,
    iso,
    node,
    response,
    safe_name,
)

_SCENE_CLASSES = (
    "SC_NODATA",
    "SC_SATURATED_DEFECTIVE",
    "SC_DARK_FEATURE_SHADOW",
    "SC_CLOUD_SHADOW",
    "SC_VEGETATION",
    "SC_NOT_VEGETATED",
    "SC_WATER",
    "SC_UNCLASSIFIED",
    "SC_CLOUD_MEDIUM_PROBA",
    "SC_CLOUD_HIGH_PROBA",
    "SC_THIN_CIRRUS",
    "SC_SNOW_ICE",
)


def product_xml(delivery: Delivery, level: str, images: Sequence[str]) -> str:
    """``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``; images are paths without their extension."""
    namespace = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level[1:]}.xsd"
    root = node(
        f"n1:Level-{level[1:]}_User_Product",
        node(
            "n1:General_Info",
            _product_info(delivery, level, images),
            _image_characteristics(delivery, level),
        ),
        node("n1:Geometric_Info", _product_footprint(delivery), _geographic_system()),
        node("n1:Auxiliary_Data_Info", node("GIPP_List"), node("GRI_List")),
        _product_quality(delivery, level),
    )
    root.set("xmlns:n1", namespace)
    root.set("xmlns:xsi", XSI)
    root.set("xsi:schemaLocation", namespace)
    return document(altered(root, delivery))


def manifest(delivery: Delivery, level: str, files: Iterable[tuple[str, int, str]]) -> str:
    """``manifest.safe``; files are (path in the product, size in bytes, MD5)."""
    long_level = f"Level-{level[1:]}"
    root = node(
        "xfdu:XFDU",
        node(
            "informationPackageMap",
            node(
                "xfdu:contentUnit",
                unitType=f"Product_{long_level}",
                textInfo=f"SENTINEL-2 MSI {long_level} User Product",
                pdiID="processing",
            ),
        ),
        node("metadataSection", *_manifest_metadata(delivery, long_level)),
        node("dataObjectSection", *(_data_object(*each) for each in files)),
        version=f"esa/safe/sentinel/1.1/sentinel-2/msi/archive_{level.lower()}_user_product",
    )
    root.set("xmlns:xfdu", "urn:ccsds:schema:xfdu:1")
    root.set("xmlns:gml", "http://www.opengis.net/gml")
    root.set("xmlns:safe", "http://www.esa.int/safe/sentinel/1.1")
    return document(root)


def clouds_gml(delivery: Delivery, polygons: Iterable[tuple[str, Sequence[float]]]) -> str:
    """``MSK_CLOUDS_B00.gml`` of baselines before 04: (OPAQUE or CIRRUS, eastings and northings)."""
    name = (
        f"{delivery.platform}_OPER_MSK_CLOUDS_{delivery.centre}_{compact(delivery.generated)}"
        f"_A{delivery.absolute_orbit:06d}_T{delivery.tile}_B00_MSIL1C"
    )
    members = [
        node(
            "eop:MaskFeature",
            node("eop:maskType", kind, codeSpace="urn:gs2:S2PDGS:maskType"),
            node("eop:extentOf", _gml_polygon(f"{kind}.{number}_Polygon", ring)),
            **{"gml:id": f"{kind}.{number}"},
        )
        for number, (kind, ring) in enumerate(polygons)
    ]
    root = node("eop:Mask", node("gml:name", f"MSK_CLOUDS pixels mask from data-strip {name}"))
    root.set("xmlns:eop", "http://www.opengis.net/eop/2.0")
    root.set("xmlns:xsi", XSI)
    root.set("xmlns:gml", "http://www.opengis.net/gml/3.2")
    root.set("gml:id", name)
    if members:
        east = delivery.west + 10 * delivery.columns
        south = delivery.north - 10 * delivery.rows
        envelope = node(
            "gml:Envelope",
            node("gml:lowerCorner", f"{delivery.west} {south}"),
            node("gml:upperCorner", f"{east} {delivery.north}"),
            srsName=f"urn:ogc:def:crs:EPSG:8.7:{delivery.epsg}",
        )
        root.append(node("gml:boundedBy", envelope))
        root.append(node("eop:maskMembers", *members))
    return document(root)


def _gml_polygon(name: str, ring: Sequence[float]) -> Element:
    positions = node("gml:posList", " ".join(f"{value:.0f}" for value in ring), srsDimension="2")
    exterior = node("gml:exterior", node("gml:LinearRing", positions))
    return node("gml:Polygon", exterior, **{"gml:id": name})


def _product_info(delivery: Delivery, level: str, images: Sequence[str]) -> Element:
    image_format = "JPEG2000" if delivery.extension == "jp2" else "GeoTIFF"
    granule = node(
        "Granule",
        *(node("IMAGE_FILE", path) for path in images),
        datastripIdentifier=datastrip_id(delivery, level),
        granuleIdentifier=granule_id(delivery, level),
        imageFormat=image_format,
    )
    return node(
        "Product_Info",
        node("PRODUCT_START_TIME", iso(delivery.sensed)),
        node("PRODUCT_STOP_TIME", iso(delivery.sensed)),
        node("PRODUCT_URI", safe_name(delivery, level)),
        node("PROCESSING_LEVEL", f"Level-{level[1:]}"),
        node("PRODUCT_TYPE", f"S2MSI{level[1:]}"),
        node("PROCESSING_BASELINE", delivery.baseline),
        node("GENERATION_TIME", iso(delivery.generated)),
        node("PREVIEW_IMAGE_URL", "Not applicable"),
        node("PREVIEW_GEO_INFO", "Not applicable"),
        node(
            "Datatake",
            node("SPACECRAFT_NAME", delivery.spacecraft),
            node("DATATAKE_TYPE", "INS-NOBS"),
            node("DATATAKE_SENSING_START", iso(delivery.sensed)),
            node("SENSING_ORBIT_NUMBER", delivery.relative_orbit),
            node("SENSING_ORBIT_DIRECTION", "DESCENDING"),
            datatakeIdentifier=datatake_id(delivery),
        ),
        node("Query_Options", node("PRODUCT_FORMAT", "SAFE_COMPACT"), completeSingleTile="true"),
        node("Product_Organisation", node("Granule_List", granule)),
    )


def _image_characteristics(delivery: Delivery, level: str) -> Element:
    parts = [
        _special_value("NODATA", 0),
        _special_value("SATURATED", 65535),
        node(
            "Image_Display_Order",
            node("RED_CHANNEL", 3),
            node("GREEN_CHANNEL", 2),
            node("BLUE_CHANNEL", 1),
        ),
        *_scaling(delivery, level),
        node(
            "Reflectance_Conversion",
            node("U", "1.0"),
            node("Solar_Irradiance_List", *(_irradiance(band) for band in SPECTRAL_BANDS)),
        ),
        node("Spectral_Information_List", *(_spectral(band) for band in SPECTRAL_BANDS)),
        *(node("PHYSICAL_GAINS", "4.0", bandId=str(band.index)) for band in SPECTRAL_BANDS),
    ]
    if level == "L2A":
        classes = (
            node(
                "Scene_Classification_ID",
                node("SCENE_CLASSIFICATION_TEXT", text),
                node("SCENE_CLASSIFICATION_INDEX", index),
            )
            for index, text in enumerate(_SCENE_CLASSES)
        )
        parts.append(node("Scene_Classification_List", *classes))
    return node("Product_Image_Characteristics", *parts)


def _scaling(delivery: Delivery, level: str) -> list[Element]:
    """Quantification values and, from baseline 04.00 on, the add-offsets."""
    if level == "L1C":
        parts = [node("QUANTIFICATION_VALUE", 10000, unit="none")]
        list_name, tag = "Radiometric_Offset_List", "RADIO_ADD_OFFSET"
    else:
        parts = [
            node(
                "QUANTIFICATION_VALUES_LIST",
                node("BOA_QUANTIFICATION_VALUE", 10000, unit="none"),
                node("AOT_QUANTIFICATION_VALUE", "1000.0", unit="none"),
                node("WVP_QUANTIFICATION_VALUE", "1000.0", unit="cm"),
            )
        ]
        list_name, tag = "BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"
    if delivery.offset:
        offsets = (node(tag, delivery.offset, band_id=str(band.index)) for band in SPECTRAL_BANDS)
        parts.append(node(list_name, *offsets))
    return parts


def _special_value(text: str, index: int) -> Element:
    return node(
        "Special_Values", node("SPECIAL_VALUE_TEXT", text), node("SPECIAL_VALUE_INDEX", index)
    )


def _irradiance(band: SpectralBand) -> Element:
    return node("SOLAR_IRRADIANCE", band.irradiance, bandId=str(band.index), unit="W/m²/µm")


def _spectral(band: SpectralBand) -> Element:
    shortest, central, longest = band.wavelengths
    return node(
        "Spectral_Information",
        node("RESOLUTION", band.resolution),
        node(
            "Wavelength",
            node("MIN", shortest, unit="nm"),
            node("MAX", longest, unit="nm"),
            node("CENTRAL", central, unit="nm"),
        ),
        node("Spectral_Response", node("STEP", 1, unit="nm"), node("VALUES", response(band))),
        bandId=str(band.index),
        physicalBand=band.short,
    )


def _positions(delivery: Delivery) -> str:
    """The footprint, closed, latitude first."""
    ring = (*delivery.footprint, delivery.footprint[0])
    return " ".join(f"{latitude:.9f} {longitude:.9f}" for longitude, latitude in ring)


def _product_footprint(delivery: Delivery) -> Element:
    return node(
        "Product_Footprint",
        node(
            "Product_Footprint",
            node("Global_Footprint", node("EXT_POS_LIST", _positions(delivery))),
        ),
        node("RASTER_CS_TYPE", "POINT"),
        node("PIXEL_ORIGIN", 1),
    )


def _geographic_system() -> Element:
    return node(
        "Coordinate_Reference_System",
        node("GEO_TABLES", "EPSG", version="1"),
        node("HORIZONTAL_CS_TYPE", "GEOGRAPHIC"),
    )


def _product_quality(delivery: Delivery, level: str) -> Element:
    parts = [node("Cloud_Coverage_Assessment", f"{delivery.cloud_percentage:.6f}")]
    if delivery.offset:
        snow = delivery.percentages.get("SNOW_ICE_PERCENTAGE", 0.0)
        parts.append(node("Snow_Coverage_Assessment", f"{snow:.6f}"))
    parts += [
        node(
            "Technical_Quality_Assessment",
            node("DEGRADED_ANC_DATA_PERCENTAGE", "0.0"),
            node("DEGRADED_MSI_DATA_PERCENTAGE", 0),
        ),
        node(
            "Quality_Control_Checks",
            node(
                "Quality_Inspections",
                *(
                    node("quality_check", "PASSED", checkType=f"{check}")
                    for check in ("FORMAT_CORRECTNESS", "GENERAL_QUALITY", "RADIOMETRIC_QUALITY")
                ),
            ),
            node("Failed_Inspections"),
        ),
    ]
    if level == "L2A":
        parts.append(node("Image_Content_QI", *content_percentages(delivery)))
    return node("n1:Quality_Indicators_Info", *parts)


def _manifest_metadata(delivery: Delivery, long_level: str) -> list[Element]:
    period = node("safe:acquisitionPeriod", node("safe:startTime", iso(delivery.sensed)))
    orbit = node(
        "safe:orbitReference",
        node(
            "safe:orbitNumber",
            f"{delivery.absolute_orbit:06d}",
            groundTrackDirection="descending",
            type="start",
        ),
        node("safe:relativeOrbitNumber", f"{delivery.relative_orbit:03d}", type="start"),
    )
    platform = node(
        "safe:platform",
        node("safe:familyName", "SENTINEL"),
        node("safe:number", delivery.platform[1:]),
        node(
            "safe:instrument",
            node("safe:familyName", "Multi-Spectral Instrument", abbreviation="MSI"),
        ),
    )
    processing = node(
        "safe:processing",
        name=f"Generation of {long_level} User Product",
        start=iso(delivery.generated),
    )
    frames = node(
        "safe:frameSet",
        node(
            "safe:footPrint",
            node("gml:coordinates", _positions(delivery)),
            srsName="http://www.opengis.net/gml/srs/epsg.xml#4326",
        ),
    )
    described = (
        ("acquisitionPeriod", "DMD", "DESCRIPTION", "Acquisition Period", period),
        ("measurementOrbitReference", "DMD", "DESCRIPTION", "Orbit Reference", orbit),
        ("platform", "DMD", "DESCRIPTION", "Platform Description", platform),
        ("processing", "PDI", "PROVENANCE", "Processing", processing),
        ("measurementFrameSet", "DMD", "DESCRIPTION", "Frame Set", frames),
    )
    return [
        node(
            "metadataObject",
            node(
                "metadataWrap",
                node("xmlData", element),
                mimeType="text/xml",
                vocabularyName="Sentinel-SAFE",
                textInfo=title,
            ),
            ID=name,
            category=category,
            classification=classification,
        )
        for name, category, classification, title, element in described
    ]


def _data_object(path: str, size: int, md5: str) -> Element:
    mime = {"xml": "text/xml", "jp2": "application/octet-stream", "gml": "text/xml"}
    suffix = path.rsplit(".", 1)[-1]
    stream = node(
        "byteStream",
        node("fileLocation", href=f"./{path}", locatorType="URL"),
        node("checksum", md5, checksumName="MD5"),
        mimeType=mime.get(suffix, "application/octet-stream"),
        size=str(size),
    )
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return node("dataObject", stream, ID=f"{name}_Data")
