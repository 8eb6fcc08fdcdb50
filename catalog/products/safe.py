"""ESA's SAFE products, L1C and L2A, of one tile, as folder or zip.

Every processing baseline from 02.xx to 05.xx with compact names (since December 2016); names and
tags of the first L2A processors (``L2A_`` prefixes) are read too. The older products that hold
many tiles (``S2A_OPER_PRD_...``, ``S2A_USER_PRD_...``) are refused.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from catalog.errors import ProductError
from catalog.products.angles import read_angle_grids
from catalog.products.bands import BANDS, Band
from catalog.products.folder import Folder, find, open_folder, top_names
from catalog.products.outline import ring
from catalog.products.product import (
    ITEM_ID,
    MEDIA_TYPES,
    Angles,
    Grid,
    Level,
    Product,
    ProductAsset,
    Ring,
    checked_angles,
    checked_grid,
    mean_angles,
)
from catalog.products.xml import Document, attribute, text_of

RESOLUTIONS = (10, 20, 60)

OFFSET_BASELINE = (4, 0)
"""From this baseline on products are delivered with an offset (Sentinel-2 Products Specification
Document, issue 14.9); used only to warn of metadata that do not say so, never to add one."""

_NAME = re.compile(r"(?:[A-Za-z0-9-]*_)?(S2[A-D]_MSIL(?:1C|2A)_[A-Z0-9_]+)\.SAFE", re.IGNORECASE)
_MAIN = r"MTD_MSIL(1C|2A)\.xml"
_IMAGE = re.compile(
    r".*_(?P<name>B\d[0-9A]|SCL|AOT|WVP|TCI)(?:_(?P<resolution>10|20|60)m)?", re.IGNORECASE
)
_SUFFIXES = (".jp2", ".tif", ".tiff")


class SafeReader:
    """Reads SAFE products of level 1C and 2A."""

    def recognises(self, location: Path) -> bool:
        """Whether a folder or zip is called ``.SAFE`` or holds the main metadata of one."""
        name, inside = top_names(location)
        return bool(_NAME.fullmatch(name) or _NAME.fullmatch(f"{name}.SAFE")) or any(
            re.fullmatch(_MAIN, each) for each in inside
        )

    def read(self, location: Path) -> Product:
        """Folder or zip -> product; ``ProductError`` naming the file and what is wrong with it."""
        return _Safe(open_folder(location)).product()


class _Safe:
    """One product being read."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        main = find(folder, _MAIN)
        if not main:
            raise ProductError(
                f"{folder.location}: no MTD_MSIL1C.xml or MTD_MSIL2A.xml in {folder.name}"
            )
        self.main_path = main[0]
        self.level: Level = "l1c" if "L1C" in self.main_path else "l2a"
        self.main = Document(folder.describe(self.main_path), folder.read(self.main_path))
        self.granule_path = self._granule_path()
        self.granule = Document(folder.describe(self.granule_path), folder.read(self.granule_path))
        self.epsg = self._epsg()
        self.grids = {resolution: self._grid(resolution) for resolution in RESOLUTIONS}
        self.names = _band_names(self.main)
        self.views = self._views()
        self.files = dict(self._images())

    def product(self) -> Product:
        """Everything that the metadata and the names of the files say."""
        main, granule = self.main, self.granule
        uri = main.text("PRODUCT_URI", "PRODUCT_URI_2A")
        baseline = main.need("PROCESSING_BASELINE")
        generated = main.need_time("GENERATION_TIME")
        granule_id = granule.text("TILE_ID", "TILE_ID_2A")
        datatake = main.find("Datatake")
        assets = tuple(self._assets())
        angles = read_angle_grids(granule, self.grids[10], self.names, self.warnings)
        return Product(
            id=self._id(uri),
            family="safe",
            level=self.level,
            tile=self._tile(granule_id),
            platform=main.need("SPACECRAFT_NAME").lower(),
            acquired=main.need_time("PRODUCT_START_TIME", "DATATAKE_SENSING_START"),
            version=f"{baseline} {generated:%Y-%m-%dT%H:%M:%S.%fZ}",
            epsg=self.epsg,
            footprint=_footprint(main),
            assets=assets,
            uri=uri,
            baseline=baseline,
            generated=generated,
            datatake_id=None if datatake is None else attribute(datatake, "datatakeIdentifier"),
            datastrip_id=granule.text("DATASTRIP_ID", "DATASTRIP_ID_2A"),
            granule_id=granule_id,
            relative_orbit=self._orbit(),
            absolute_orbit=self._absolute_orbit(granule_id),
            orbit_state=(main.text("SENSING_ORBIT_DIRECTION") or "").lower() or None,
            cloud_cover=self._percent("Cloud_Coverage_Assessment", "CLOUDY_PIXEL_PERCENTAGE"),
            snow_cover=self._percent("SNOW_ICE_PERCENTAGE", "SNOW_PIXEL_PERCENTAGE"),
            sun=self._sun(),
            view=mean_angles(self.views.values()),
            angles=angles,
            warnings=tuple(self.warnings),
        )

    def _id(self, uri: str | None) -> str:
        name = uri or self.folder.name
        match = _NAME.fullmatch(name) or _NAME.fullmatch(f"{name}.SAFE")
        found = match[1] if match else name.removesuffix(".SAFE")
        if not ITEM_ID.fullmatch(found):
            raise ProductError(f"{self.main.source}: {found!r} cannot be the id of a product")
        return found

    def _granule_path(self) -> str:
        # Paths of the images tell which granule the product is about.
        named = {
            match[1]
            for element in _image_elements(self.main)
            if (match := re.match(r"GRANULE/([^/]+)/", text_of(element)))
        }
        if len(named) > 1:
            raise ProductError(
                f"{self.main.source}: holds {len(named)} granules; only products of one tile are read"
            )
        wanted = named.pop() if named else "*"
        pattern = re.escape(wanted) if wanted != "*" else "[^/]+"
        found = find(self.folder, rf"GRANULE/{pattern}/MTD_TL\.xml")
        if len(found) != 1:
            what = "missing" if not found else f"{len(found)} files called"
            raise ProductError(f"{self.folder.location}: {what} GRANULE/{wanted}/MTD_TL.xml")
        return found[0]

    def _tile(self, granule_id: str | None) -> str:
        for name in (granule_id, self.granule_path.split("/")[1]):
            if match := re.search(r"_T(\d{2}[A-Z]{3})(?:_|$)", name or ""):
                return match[1]
        raise ProductError(f"{self.granule.source}: TILE_ID names no MGRS tile")

    def _absolute_orbit(self, granule_id: str | None) -> int | None:
        for name in (granule_id, self.granule_path.split("/")[1]):
            if match := re.search(r"_A(\d{6})_", name or ""):
                return int(match[1])
        return None

    def _orbit(self) -> int | None:
        number = self.main.text("SENSING_ORBIT_NUMBER")
        return None if number is None else self.main.as_whole(number, "SENSING_ORBIT_NUMBER")

    def _percent(self, *names: str) -> float | None:
        value = self.main.number(*names)
        return self.granule.number(*names) if value is None else value

    def _sun(self) -> Angles | None:
        zenith = self.granule.number("Mean_Sun_Angle/ZENITH_ANGLE")
        azimuth = self.granule.number("Mean_Sun_Angle/AZIMUTH_ANGLE")
        sun = checked_angles(self.granule.source, zenith, azimuth)
        if sun is None:
            self.warnings.append(f"{self.granule.source}: no mean sun angles")
        return sun

    def _views(self) -> dict[str, Angles]:
        """ESA's band name -> mean viewing direction; bands that say NaN are left out."""
        views = {}
        for element in self.granule.all("Mean_Viewing_Incidence_Angle"):
            band = self.names.get(attribute(element, "bandId", "band_id") or "")
            zenith, azimuth = (
                self.granule.as_number(element.findtext(each, "nan"), each)
                for each in ("ZENITH_ANGLE", "AZIMUTH_ANGLE")
            )
            view = checked_angles(self.granule.source, zenith, azimuth)
            if band and view:
                views[band] = view
        return views

    def _epsg(self) -> int:
        code = self.granule.need("Tile_Geocoding/HORIZONTAL_CS_CODE")
        return self.granule.as_whole(code.upper().removeprefix("EPSG:"), "HORIZONTAL_CS_CODE")

    def _grid(self, resolution: int) -> Grid:
        def number(element: str, name: str) -> float:
            path = f"Tile_Geocoding/{element}[@resolution='{resolution}']/{name}"
            return self.granule.need_number(path)

        return checked_grid(
            self.granule.source,
            self.epsg,
            corner=(number("Geoposition", "ULX"), number("Geoposition", "ULY")),
            step=(number("Geoposition", "XDIM"), number("Geoposition", "YDIM")),
            shape=(number("Size", "NROWS"), number("Size", "NCOLS")),
        )

    def _images(self) -> Iterator[tuple[tuple[str, int], str]]:
        """(name, resolution) -> path, for all images of the granule that exist."""
        folder = self.granule_path.rpartition("/")[0]
        for path in find(self.folder, rf"{re.escape(folder)}/IMG_DATA/.+"):
            stem, dot, suffix = path.rpartition(".")
            if dot + suffix.lower() in _SUFFIXES and (match := _IMAGE.fullmatch(stem)):
                yield _image_key(match), path

    def _named(self) -> set[tuple[str, int]]:
        """(name, resolution) of all images that the metadata promise."""
        matches = (_IMAGE.fullmatch(text_of(each)) for each in _image_elements(self.main))
        return {_image_key(match) for match in matches if match}

    def _assets(self) -> Iterator[ProductAsset]:
        yield from self._band_assets()
        yield from self._layer_assets()
        yield from self._quality_assets()
        for key, path in (("metadata", self.main_path), ("granule_metadata", self.granule_path)):
            yield self._file(key, path, ("metadata",))

    def _band_assets(self) -> Iterator[ProductAsset]:
        paths = dict(self._band_files())
        if not paths:
            raise ProductError(
                f"{self.folder.location}: no image of any band in {self.folder.name}"
            )
        if self.level == "l1c":
            quantification = self.main.need_quantification("QUANTIFICATION_VALUE")
        else:
            quantification = self.main.need_quantification(
                "BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"
            )
        offsets = self._offsets()
        saturated = self._special("SATURATED")
        for band, (resolution, path) in paths.items():
            yield replace(
                self._file(band.key, path, ("data", "reflectance"), resolution),
                band=band.esa,
                data_type="uint16",
                nodata=self._special("NODATA"),
                scale=1 / quantification,
                offset=self._offset(offsets, band) / quantification,
                saturated=saturated,
                view=self.views.get(band.esa),
            )

    def _band_files(self) -> Iterator[tuple[Band, tuple[int, str]]]:
        """Band -> resolution and path of its finest file; promised ones must exist."""
        named, absent = self._named(), []
        for band in BANDS:
            promised = [each for each in RESOLUTIONS if (band.esa, each) in named]
            present = [each for each in RESOLUTIONS if (band.esa, each) in self.files]
            if promised and (not present or present[0] > promised[0]):
                absent.append((band, promised[0]))
            elif present:
                yield band, (present[0], self.files[band.esa, present[0]])
        fatal = [f"{band.esa} at {metres} m" for band, metres in absent if metres < 60]
        if fatal:
            raise ProductError(
                f"{self.folder.location}: missing band {', '.join(fatal)}: "
                f"named by {Path(self.main_path).name}, not among the files"
            )
        if absent:
            bands = " ".join(band.esa for band, _ in absent)
            self.warnings.append(f"{self.folder.location}: missing band {bands} at 60 m")

    def _offsets(self) -> dict[str, float]:
        """ESA's band name -> offset in stored units; empty where the metadata name none."""
        tag = "RADIO_ADD_OFFSET" if self.level == "l1c" else "BOA_ADD_OFFSET"
        offsets = {}
        for element in self.main.all(tag):
            band = self.names.get(attribute(element, "band_id", "bandId") or "")
            value = self.main.as_number(text_of(element), tag)
            if band is None or value is None:
                raise ProductError(f"{self.main.source}: {tag} without a band or a value")
            offsets[band] = value
        baseline = self.main.need("PROCESSING_BASELINE")
        numbers = tuple(int(each) for each in re.findall(r"\d+", baseline)[:2])
        # Baseline 99.99 marks reprocessing outside of operations: nothing follows from it.
        if not offsets and OFFSET_BASELINE <= numbers < (99, 0):
            self.warnings.append(
                f"{self.main.source}: baseline {baseline} without {tag}; no offset is applied"
            )
        return offsets

    def _offset(self, offsets: dict[str, float], band: Band) -> float:
        if offsets and band.esa not in offsets:
            raise ProductError(f"{self.main.source}: offsets are given, but none for {band.esa}")
        return offsets.get(band.esa, 0.0)

    def _special(self, name: str) -> int | None:
        for element in self.main.all("Special_Values"):
            if element.findtext("SPECIAL_VALUE_TEXT", "").strip().upper() == name:
                index = element.findtext("SPECIAL_VALUE_INDEX", "").strip()
                return self.main.as_whole(index, f"special value {name}")
        return None

    def _layer_assets(self) -> Iterator[ProductAsset]:
        """Classification, aerosol, water vapour and the picture in true colours."""
        absent = []
        for name in ("SCL", "AOT", "WVP") if self.level == "l2a" else ():
            found = [each for each in (20, 10, 60) if (name, each) in self.files]
            if not found:
                absent.append(name)
                continue
            path = self.files[name, found[0]]
            if name == "SCL":
                yield self._mask("scl", path, found[0], nodata=0)
                continue
            tag = f"{name}_QUANTIFICATION_VALUE"
            quantification = self.main.need_quantification(tag, f"L2A_{tag}")
            roles = ("data", "aerosol" if name == "AOT" else "water-vapor")
            yield replace(
                self._file(name.lower(), path, roles, found[0]),
                data_type="uint16",
                nodata=self._special("NODATA"),
                scale=1 / quantification,
                offset=0.0,
            )
        if absent:
            self.warnings.append(f"{self.folder.location}: not delivered: {' '.join(absent)}")
        for resolution in RESOLUTIONS:
            if path := self.files.get(("TCI", resolution), ""):
                picture = self._file("visual", path, ("visual",), resolution)
                yield replace(picture, data_type="uint8", count=3)
                return

    def _quality_assets(self) -> Iterator[ProductAsset]:
        folder = re.escape(self.granule_path.rpartition("/")[0])

        def quality(pattern: str) -> str | None:
            found = find(self.folder, f"{folder}/QI_DATA/{pattern}")
            return found[0] if found else None

        for key, name in (("cldprb", "CLD"), ("snwprb", "SNW")):
            for resolution in (20, 60):
                pattern = rf"(MSK_{name}PRB|L2A_.*_{name}(PRB)?)_{resolution}m\.(jp2|tiff?)"
                if path := quality(pattern):
                    yield self._mask(key, path, resolution)
                    break
        if path := quality(r"MSK_CLASSI_B00\.(jp2|tiff?)"):
            yield self._mask("classi", path, 60, count=3)
        elif path := quality(r".*MSK_CLOUDS_.*B00.*\.gml"):
            polygons = self._file("classi", path, ("data", "classification"))
            yield replace(polygons, encoding="clouds-gml")
        else:
            self.warnings.append(
                f"{self.folder.location}: not delivered: MSK_CLASSI_B00 or MSK_CLOUDS_B00"
            )
        if path := quality(r".*_PVI.*\.(jp2|tiff?)"):
            picture = self._file("thumbnail", path, ("thumbnail",))
            yield replace(picture, data_type="uint8", count=3)

    def _mask(
        self, key: str, path: str, resolution: int, nodata: int | None = None, count: int = 1
    ) -> ProductAsset:
        roles = ("data", "probability" if key.endswith("prb") else "classification")
        file = self._file(key, path, roles, resolution)
        return replace(file, data_type="uint8", nodata=nodata, count=count, encoding=key)

    def _file(
        self, key: str, path: str, roles: tuple[str, ...], resolution: int | None = None
    ) -> ProductAsset:
        return ProductAsset(
            key=key,
            href=self.folder.href(path),
            media_type=MEDIA_TYPES[f".{path.rpartition('.')[2].lower()}"],
            roles=roles,
            gsd=resolution,
            grid=self.grids[resolution] if resolution else None,
            size=self.folder.size(path),
        )


def _image_elements(main: Document) -> Iterator[Element]:
    yield from main.all("IMAGE_FILE")
    yield from main.all("IMAGE_FILE_2A")


def _image_key(match: re.Match[str]) -> tuple[str, int]:
    """Name and resolution; L1C files do not state it, each band has its own."""
    name = match["name"].upper()
    if match["resolution"]:
        return name, int(match["resolution"])
    return name, next((band.resolution for band in BANDS if band.esa == name), 10)


def _band_names(main: Document) -> dict[str, str]:
    """ESA's band identifier -> name, e.g. 8 -> B8A; the standard order where none is given."""
    names = {str(number): band.esa for number, band in enumerate(BANDS)}
    for element in main.all("Spectral_Information"):
        number = attribute(element, "bandId", "band_id")
        physical = attribute(element, "physicalBand") or ""
        if number is not None and physical:
            names[number] = f"B{physical.removeprefix('B').rjust(2, '0')}"
    return names


def _footprint(main: Document) -> tuple[Ring, ...]:
    rings = []
    for element in main.all("Global_Footprint/EXT_POS_LIST"):
        numbers = [main.as_number(each, "EXT_POS_LIST") for each in text_of(element).split()]
        values = [each for each in numbers if each is not None]
        if len(numbers) % 2 or len(values) < len(numbers):
            raise ProductError(
                f"{main.source}: EXT_POS_LIST is no list of latitudes and longitudes"
            )
        rings.append(ring(main.source, zip(values[1::2], values[0::2], strict=True)))
    if not rings:
        raise ProductError(f"{main.source}: no Global_Footprint/EXT_POS_LIST in the metadata")
    return tuple(rings)
