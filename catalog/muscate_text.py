"""Text of simulated MUSCATE L2A products: ``_MTD_ALL.xml`` and ``_JPI_ALL.xml``.

Element names and nesting follow the MUSCATE metadata format 1.16 that MAJA and Theia write.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from catalog.product_text import (
    GRID_STEP,
    SPECTRAL_BANDS,
    Delivery,
    SpectralBand,
    document,
    iso,
    muscate_name,
    node,
    response,
    sun_grid,
    values_list,
    view_grids,
)

WATER_VAPOUR_QUANTIFICATION = 20
"""Stored water vapour units in a g/cm² (MAJA's product format)."""

AEROSOL_QUANTIFICATION = 200
"""Stored units of optical thickness (MAJA's product format)."""

R1 = ("B2", "B3", "B4", "B8")
R2 = ("B5", "B6", "B7", "B8A", "B11", "B12")
"""Bands of the two resolutions, in the order of their bits in SAT."""

_GEOPHYSICAL = (
    "Water",
    "Cloud",
    "Snow",
    "Cloud_Shadow",
    "Topography_Shadow",
    "Hidden_Surface",
    "Sun_Too_Low",
    "Tangent_Sun",
)


def mtd_xml(
    delivery: Delivery,
    version: str = "1-0",
    reflectances: Sequence[str] = ("SRE", "FRE"),
    absent: Sequence[str] = (),
) -> str:
    """``_MTD_ALL.xml``; absent names mask files (``IAB`` …) that the text does not list."""
    name = muscate_name(delivery, version)
    root = node(
        "Muscate_Metadata_Document",
        node(
            "Metadata_Identification",
            node("METADATA_FORMAT", "METADATA_MUSCATE", version="1.16"),
            node("METADATA_PROFILE", "DISTRIBUTED"),
            node("METADATA_INFORMATION", "EXPERT"),
        ),
        _dataset(delivery, name),
        _characteristics(delivery, name, version),
        _organisation(name, reflectances, absent),
        _geoposition(delivery),
        _geometry(delivery),
        _radiometry(),
        _quality(delivery, name),
    )
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "Muscate_Metadata.xsd")
    for tag, text in delivery.minutiae.items():
        for element in root.iter(tag):
            element.text = text
    return document(root)


def jpi_xml(delivery: Delivery, version: str = "1-0", *, valid: bool = True) -> str:
    """``_JPI_ALL.xml``: how the processing went; ``L2NOTV`` says that the date was too cloudy."""
    flags = {"Validity_Flag": "L2VALD" if valid else "L2NOTV", "Processing_Mode": "NOMINAL"}
    root = node(
        "Muscate_JobProcessingInformation_Document",
        node("PRODUCT_ID", muscate_name(delivery, version)),
        node(
            "Processing_Flags_And_Modes_List",
            *(
                node("Processing_Flags_And_Modes", node("Key", key), node("Value", value))
                for key, value in flags.items()
            ),
        ),
    )
    return document(root)


def _dataset(delivery: Delivery, name: str) -> Element:
    return node(
        "Dataset_Identification",
        node("IDENTIFIER", name),
        node("AUTHORITY", "THEIA"),
        node("PRODUCER", "MUSCATE"),
        node("PROJECT", "SENTINEL2"),
        node("GEOGRAPHICAL_ZONE", f"T{delivery.tile}", type="Tile"),
        node("TITLE", "Simulated surface reflectance"),
        node("DESCRIPTION", f"Simulated product {name}"),
    )


def _characteristics(delivery: Delivery, name: str, version: str) -> Element:
    return node(
        "Product_Characteristics",
        node("PRODUCT_ID", name),
        node("ACQUISITION_DATE", iso(delivery.tile_sensed)),
        node("PRODUCTION_DATE", iso(delivery.generated)),
        node("PRODUCT_VERSION", version.replace("-", ".")),
        node("PRODUCT_LEVEL", "L2A"),
        node("PLATFORM", f"SENTINEL2{delivery.platform[-1]}"),
        node(
            "UTC_Acquisition_Range",
            node("MEAN", iso(delivery.tile_sensed)),
            node("DATE_PRECISION", "0.001", unit="s"),
        ),
        node("ORBIT_NUMBER", delivery.absolute_orbit, type="Orbit"),
        band_list("Band_Global_List", (*R1, *R2)),
        band_groups((("R1", R1), ("R2", R2))),
    )


def band_list(tag: str, bands: Sequence[str]) -> Element:
    """Theia's names of bands, counted."""
    return node(tag, *(node("BAND_ID", band) for band in bands), count=str(len(bands)))


def band_groups(groups: Iterable[tuple[str, Sequence[str]]]) -> Element:
    """Groups of one resolution, with their bands."""
    return node(
        "Band_Group_List",
        *(node("Group", band_list("Band_List", bands), group_id=group) for group, bands in groups),
    )


def _organisation(name: str, reflectances: Sequence[str], absent: Sequence[str]) -> Element:
    natures = {"SRE": "Surface_Reflectance", "FRE": "Flat_Reflectance"}
    images = [
        rasters(
            "Image",
            natures[kind],
            "int16",
            [node("IMAGE_FILE", f"{name}_{kind}_{band}.tif", band_id=band) for band in (*R1, *R2)],
        )
        for kind in reflectances
    ]
    images += [
        rasters(
            "Image",
            nature,
            "byte",
            [
                node(
                    "IMAGE_FILE", f"{name}_ATB_{group}.tif", group_id=group, band_number=str(number)
                )
                for group in ("R1", "R2")
            ],
        )
        for number, nature in ((1, "Water_Vapor_Content"), (2, "Aerosol_Optical_Thickness"))
    ]
    private = node(
        "Data",
        node(
            "Data_Properties",
            node("NATURE", "Job_Processing_Informations_File"),
            node("FORMAT", "text/xml"),
        ),
        node("Data_File_List", node("DATA_FILE", f"DATA/{name}_JPI_ALL.xml", group_id="ALL")),
    )
    return node(
        "Product_Organisation",
        node(
            "Muscate_Product",
            node("QUICKLOOK", f"{name}_QKL_ALL.jpg", bands_id="B4,B3,B2"),
            node("Image_List", *images),
            node("Mask_List", *_masks(name, absent)),
            node("Data_List", private),
        ),
    )


def rasters(what: str, nature: str, encoding: str, files: Iterable[Element]) -> Element:
    """Files of one nature, ``Image`` or ``Mask``: what they hold and how it is stored."""
    return node(
        what,
        node(
            f"{what}_Properties",
            node("NATURE", nature),
            node("FORMAT", "image/tiff"),
            node("ENCODING", encoding),
            node("ENDIANNESS", "LittleEndian"),
            node("COMPRESSION", "DEFLATE"),
        ),
        node(f"{what}_File_List", *files),
    )


def _masks(name: str, absent: Sequence[str]) -> list[Element]:
    def both(kind: str, bit: int | None = None) -> list[Element]:
        files = []
        for group in ("R1", "R2"):
            element = node("MASK_FILE", f"MASKS/{name}_{kind}_{group}.tif", group_id=group)
            if bit is not None:
                element.set("bit_number", str(bit))
            files.append(element)
        return files

    saturated = [
        node(
            "MASK_FILE",
            f"MASKS/{name}_SAT_{group}.tif",
            band_id=band,
            bit_number=str(position),
        )
        for group, bands in (("R1", R1), ("R2", R2))
        for position, band in enumerate(bands, start=1)
    ]
    listed = [
        ("IAB", "WVC_Interpolation", both("IAB", 1)),
        ("IAB", "AOT_Interpolation", both("IAB", 2)),
        ("CLM", "Detailed_Cloud", both("CLM")),
        ("EDG", "Edge", both("EDG")),
        ("SAT", "Saturation", saturated),
    ]
    listed += [
        ("MG2", nature, both("MG2", position))
        for position, nature in enumerate(_GEOPHYSICAL, start=1)
    ]
    return [
        rasters("Mask", nature, "byte", files)
        for kind, nature, files in listed
        if kind not in absent
    ]


def _geoposition(delivery: Delivery) -> Element:
    east = delivery.west + 10 * delivery.columns
    south = delivery.north - 10 * delivery.rows
    west, north = delivery.west, delivery.north
    projected = (
        ("upperLeft", west, north),
        ("upperRight", east, north),
        ("lowerRight", east, south),
        ("lowerLeft", west, south),
        ("center", (west + east) / 2, (north + south) / 2),
    )
    points = [
        node(
            "Point",
            node("LAT", f"{latitude:.10f}"),
            node("LON", f"{longitude:.10f}"),
            node("X", f"{x:.1f}"),
            node("Y", f"{y:.1f}"),
            name=corner,
        )
        for (corner, x, y), (longitude, latitude) in zip(projected, delivery.corners, strict=True)
    ]
    groups = [
        node(
            "Group_Geopositioning",
            node("ULX", west),
            node("ULY", north),
            node("XDIM", step),
            node("YDIM", -step),
            node("NROWS", 10 * delivery.rows // step),
            node("NCOLS", 10 * delivery.columns // step),
            group_id=group,
        )
        for group, step in (("R1", 10), ("R2", 20))
    ]
    return node(
        "Geoposition_Informations",
        reference_system(delivery.zone_name.replace("WGS84", "WGS 84"), delivery.epsg),
        node("Raster_CS", node("RASTER_CS_TYPE", "CELL"), node("PIXEL_ORIGIN", 0)),
        node("Metadata_CS", node("METADATA_CS_TYPE", "CELL")),
        node(
            "Geopositioning",
            node("Global_Geopositioning", *points),
            node("Group_Geopositioning_List", *groups),
        ),
    )


def reference_system(name: str, epsg: int) -> Element:
    """Name and EPSG code of a projected CRS."""
    return node(
        "Coordinate_Reference_System",
        node("GEO_TABLES", "EPSG"),
        node(
            "Horizontal_Coordinate_System",
            node("HORIZONTAL_CS_TYPE", "PROJECTED"),
            node("HORIZONTAL_CS_NAME", name),
            node("HORIZONTAL_CS_CODE", epsg),
        ),
    )


def _geometry(delivery: Delivery) -> Element:
    delivered = [band for band in SPECTRAL_BANDS if band.short in (*R1, *R2)]
    means = [
        node(
            "Mean_Viewing_Incidence_Angle",
            *_angles(delivery.view_zenith + 0.002 * band.index, delivery.view_azimuth),
            band_id=band.short,
        )
        for band in delivered
    ]
    return node(
        "Geometric_Informations",
        node(
            "Mean_Value_List",
            node("Sun_Angles", *_angles(delivery.sun_zenith, delivery.sun_azimuth)),
            node("Mean_Viewing_Incidence_Angle_List", *means),
        ),
        node(
            "Angles_Grids_List",
            node(
                "Sun_Angles_Grids",
                _grid("Zenith", sun_grid(delivery, "zenith")),
                _grid("Azimuth", sun_grid(delivery, "azimuth")),
            ),
            node(
                "Viewing_Incidence_Angles_Grids_List",
                *(_band_grids(delivery, band) for band in delivered),
            ),
        ),
    )


def _band_grids(delivery: Delivery, band: SpectralBand) -> Element:
    grids = [
        node(
            "Viewing_Incidence_Angles_Grids",
            _grid("Zenith", zeniths),
            _grid("Azimuth", azimuths),
            detector_id=f"{detector:02d}",
        )
        for detector, (zeniths, azimuths) in view_grids(delivery, band).items()
    ]
    return node("Band_Viewing_Incidence_Angles_Grids_List", *grids, band_id=band.short)


def _grid(tag: str, lines: Iterable[str]) -> Element:
    return node(
        tag,
        node("COL_STEP", GRID_STEP),
        node("ROW_STEP", GRID_STEP),
        values_list(lines),
        step_unit="m",
        values_unit="deg",
    )


def _angles(zenith: float, azimuth: float) -> list[Element]:
    return [
        node("ZENITH_ANGLE", f"{zenith:.10f}", unit="deg"),
        node("AZIMUTH_ANGLE", f"{azimuth:.10f}", unit="deg"),
    ]


def _radiometry() -> Element:
    special = (
        ("nodata", -10000),
        ("water_vapor_content_nodata", 0),
        ("aerosol_optical_thickness_nodata", 0),
    )
    return node(
        "Radiometric_Informations",
        node("REFLECTANCE_QUANTIFICATION_VALUE", 10000),
        node("WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE", WATER_VAPOUR_QUANTIFICATION),
        node("AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE", AEROSOL_QUANTIFICATION),
        node(
            "Special_Values_List",
            *(node("SPECIAL_VALUE", value, name=name) for name, value in special),
        ),
        node(
            "Spectral_Band_Informations_List",
            *(_spectral(band) for band in SPECTRAL_BANDS if band.short in (*R1, *R2)),
        ),
    )


def _spectral(band: SpectralBand) -> Element:
    shortest, central, longest = band.wavelengths
    gain = node("COEFFICIENT", "4.0", name="PhysicalGain")
    return node(
        "Spectral_Band_Informations",
        node("Calibration_Coefficients_Lists", node("Native_Coefficients_List", gain)),
        node("SOLAR_IRRADIANCE", band.irradiance, unit="W/m²/µm"),
        node("SPATIAL_RESOLUTION", band.resolution, unit="m"),
        node(
            "Wavelength",
            node("MIN", shortest, unit="nm"),
            node("MAX", longest, unit="nm"),
            node("CENTRAL", central, unit="nm"),
        ),
        node("Spectral_Response", node("STEP", 1, unit="nm"), node("VALUES", response(band))),
        band_id=band.short,
    )


def _quality(delivery: Delivery, name: str) -> Element:
    indices = {
        "CloudPercent": f"{delivery.cloud_percentage:.0f}",
        "HotSpotDetected": "false",
        "RainDetected": "false",
        "SnowPercent": "0",
        "SunGlintDetected": "false",
    }
    quality = node(
        "Product_Quality",
        node(
            "Source_Product",
            node("PRODUCT_ID", name),
            node("ACQUISITION_DATE", iso(delivery.tile_sensed)),
            node("PRODUCTION_DATE", iso(delivery.generated)),
        ),
        node(
            "Global_Index_List",
            *(node("QUALITY_INDEX", value, name=key) for key, value in indices.items()),
        ),
    )
    return node(
        "Quality_Informations",
        node("Current_Product", node("Product_Quality_List", quality, level="N2")),
    )
