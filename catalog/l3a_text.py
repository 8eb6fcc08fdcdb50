"""Text of a synthesis as Theia delivers it: the name and ``_MTD_ALL.xml`` of a MUSCATE L3A product.

Element names and nesting follow the MUSCATE metadata format that WASP and Theia write.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from catalog.muscate_text import R1, R2, band_groups, band_list, rasters, reference_system
from catalog.product_text import document, iso, node
from catalog.products.bands import BANDS
from catalog.products.product import Grid

VERSION = "0.1"
"""Theia's own begin at 1.0 (``V1-0``): one of the same month stays another item of the catalogue."""

GROUPS: dict[str, tuple[str, ...]] = {"R1": R1, "R2": R2}

LAYERS = {
    "DTS": ("Weighted_Average_Dates", "int16"),
    "WGT": ("Pixel_Weight", "int16"),
    "FLG": ("Pixel_Status_Flag", "byte"),
}
"""Code of the files of a layer -> nature and type, in the order in which they are listed."""

POINTS = {
    "upperLeft": (0, 0),
    "upperRight": (0, 1),
    "lowerRight": (1, 1),
    "lowerLeft": (1, 0),
    "center": (0.5, 0.5),
}
"""Places that the metadata name -> share of the rows and columns."""


@dataclass(frozen=True, slots=True)
class Source:
    """One product that a synthesis was made of."""

    id: str
    seen: datetime
    produced: datetime | None
    cloud: float | None
    """Per cent."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What the metadata of a synthesis say."""

    tile: str
    platforms: tuple[str, ...]
    """Satellites it was made of, e.g. ``sentinel-2a``."""
    centre: datetime
    """The day that it stands for."""
    produced: datetime
    crs_name: str
    grids: Mapping[str, Grid]
    """By group."""
    bands: tuple[str, ...]
    """Theia's names, e.g. ``B8A``."""
    places: Mapping[str, tuple[float, float]]
    """Name of a place of :data:`POINTS` -> longitude, latitude."""
    cloud: int
    """Per cent of what was observed."""
    snow: int
    sources: tuple[Source, ...]
    title: str

    @property
    def platform(self) -> str:
        """``SENTINEL2A``, or ``SENTINEL2X`` of several satellites."""
        letters = {name[-1].upper() for name in self.platforms}
        return f"SENTINEL2{letters.pop() if len(letters) == 1 else 'X'}"

    @property
    def stem(self) -> str:
        """Name without version."""
        moment = f"{self.centre:%Y%m%d-%H%M%S}-{self.centre.microsecond // 1000:03d}"
        return f"{self.platform}_{moment}_L3A_T{self.tile}_C"

    @property
    def name(self) -> str:
        """Name of the product, its folder and the beginning of its files."""
        return f"{self.stem}_V{VERSION.replace('.', '-')}"

    def band_file(self, band: str) -> str:
        """Theia's name of a band -> its file within the product."""
        return f"{self.name}_FRC_{band}.tif"

    def layer_file(self, code: str, group: str) -> str:
        """Code of a layer and group -> its file within the product."""
        return f"MASKS/{self.name}_{code}_{group}.tif"

    @property
    def quicklook(self) -> str:
        """File of the picture."""
        return f"{self.name}_QKL_ALL.jpg"

    @property
    def metadata(self) -> str:
        """File of the metadata."""
        return f"{self.name}_MTD_ALL.xml"


def l3a_xml(made: Synthesis) -> str:
    """``_MTD_ALL.xml`` of a synthesis."""
    root = node(
        "Muscate_Metadata_Document",
        node(
            "Metadata_Identification",
            node("METADATA_FORMAT", "METADATA_MUSCATE", version="1.0"),
            node("METADATA_PROFILE", "GENERIC"),
            node("METADATA_INFORMATION", "EXPERT"),
        ),
        _identification(made),
        _characteristics(made),
        node("Product_Organisation", node("Muscate_Product", *_organisation(made))),
        _geoposition(made),
        node("Geometric_Informations"),
        _radiometry(made),
        _quality(made),
        node("Production_Informations"),
    )
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "Muscate_Metadata.xsd")
    return document(root)


def _identification(made: Synthesis) -> Element:
    return node(
        "Dataset_Identification",
        node("IDENTIFIER", made.stem),
        # Who wrote it: the file must not pass for one of Theia's own.
        node("AUTHORITY", "CLEARCUBE"),
        node("PRODUCER", "CLEARCUBE"),
        node("PROJECT", "SENTINEL2"),
        node("GEOGRAPHICAL_ZONE", f"T{made.tile}", type="Tile"),
        node("TITLE", made.title),
    )


def _characteristics(made: Synthesis) -> Element:
    return node(
        "Product_Characteristics",
        node("PRODUCT_ID", made.name),
        node("ACQUISITION_DATE", iso(made.centre)),
        node("PRODUCTION_DATE", iso(made.produced)),
        node("PRODUCT_VERSION", VERSION),
        node("PRODUCT_LEVEL", "L3A"),
        node("PLATFORM", made.platform),
        node("ORBIT_NUMBER", "-1", type="Orbit"),
        node(
            "UTC_Acquisition_Range",
            node("MEAN", iso(made.centre)),
            node("DATE_PRECISION", "0.001", unit="s"),
        ),
        band_list("Band_Global_List", _in_order(made.bands)),
        band_groups(_groups(made)),
    )


def _in_order(bands: Iterable[str]) -> list[str]:
    """Bands by wavelength, as they are numbered."""
    return sorted(bands, key=[band.muscate for band in BANDS].index)


def _groups(made: Synthesis) -> Iterable[tuple[str, list[str]]]:
    for group in made.grids:
        yield group, [band for band in GROUPS[group] if band in made.bands]


def _organisation(made: Synthesis) -> Iterable[Element]:
    yield node("QUICKLOOK", made.quicklook, bands_id="B4,B3,B2")
    files = [
        node("IMAGE_FILE", made.band_file(band), band_id=band)
        for _, bands in _groups(made)
        for band in bands
    ]
    yield node("Image_List", rasters("Image", "Flat_Reflectance_Composite", "int16", files))
    masks = []
    for code, (nature, encoding) in LAYERS.items():
        files = [
            node("MASK_FILE", made.layer_file(code, group), group_id=group) for group in made.grids
        ]
        masks.append(rasters("Mask", nature, encoding, files))
    yield node("Mask_List", *masks)


def _geoposition(made: Synthesis) -> Element:
    first = next(iter(made.grids.values()))
    return node(
        "Geoposition_Informations",
        reference_system(made.crs_name, first.epsg),
        *(
            node(tag, node(f"{tag.upper()}_TYPE", "CELL"), node("PIXEL_ORIGIN", 0))
            for tag in ("Raster_CS", "Metadata_CS")
        ),
        node(
            "Geopositioning",
            node(
                "Global_Geopositioning",
                *(_point(name, first, made.places[name]) for name in POINTS),
            ),
            node(
                "Group_Geopositioning_List",
                *(_group_grid(group, grid) for group, grid in made.grids.items()),
            ),
        ),
    )


def _point(name: str, grid: Grid, place: tuple[float, float]) -> Element:
    down, right = POINTS[name]
    return node(
        "Point",
        node("LAT", f"{place[1]:.8f}"),
        node("LON", f"{place[0]:.8f}"),
        node("X", f"{grid.left + right * grid.shape[1] * grid.step[0]:g}"),
        node("Y", f"{grid.top + down * grid.shape[0] * grid.step[1]:g}"),
        name=name,
    )


def _group_grid(group: str, grid: Grid) -> Element:
    values = {
        "ULX": grid.left,
        "ULY": grid.top,
        "XDIM": grid.step[0],
        "YDIM": grid.step[1],
        "NROWS": grid.shape[0],
        "NCOLS": grid.shape[1],
    }
    return node(
        "Group_Geopositioning",
        *(node(tag, f"{value:.10g}") for tag, value in values.items()),
        group_id=group,
    )


def _radiometry(made: Synthesis) -> Element:
    resolution = {
        band: str(round(made.grids[group].step[0]))
        for group, found in _groups(made)
        for band in found
    }
    return node(
        "Radiometric_Informations",
        node("REFLECTANCE_QUANTIFICATION_VALUE", 10000),
        node("Special_Values_List", node("SPECIAL_VALUE", -10000, name="nodata")),
        node(
            "Spectral_Band_Informations_List",
            *(
                node(
                    "Spectral_Band_Informations",
                    node("SPATIAL_RESOLUTION", resolution[band], unit="m"),
                    band_id=band,
                )
                for band in _in_order(made.bands)
            ),
        ),
    )


def _quality(made: Synthesis) -> Element:
    own = Source(made.name, made.centre, made.produced, None)
    contributing = (
        node(
            "Contributing_Product",
            node("Product", *_product(source)),
            node(
                "Product_Quality_List",
                node(
                    "Product_Quality",
                    node("Source_Product", *_product(source)),
                    _indices({"CloudPercent": source.cloud}),
                ),
                level="N2",
            ),
        )
        for source in made.sources
    )
    return node(
        "Quality_Informations",
        node(
            "Current_Product",
            node(
                "Product_Quality_List",
                node(
                    "Product_Quality",
                    node("Source_Product", *_product(own)),
                    _indices({"CloudPercent": made.cloud, "SnowPercent": made.snow}),
                ),
                level="N3",
            ),
        ),
        node("Contributing_Products_List", *contributing),
    )


def _product(source: Source) -> list[Element]:
    produced = [] if source.produced is None else [node("PRODUCTION_DATE", iso(source.produced))]
    return [node("PRODUCT_ID", source.id), node("ACQUISITION_DATE", iso(source.seen)), *produced]


def _indices(values: Mapping[str, float | None]) -> Element:
    return node(
        "Global_Index_List",
        *(
            node("QUALITY_INDEX", round(value), name=name)
            for name, value in values.items()
            if value is not None
        ),
    )
