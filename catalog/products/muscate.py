"""Theia's MUSCATE products of level 2A (made by MAJA), as folder or zip."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

from catalog.errors import ProductError
from catalog.products.angles import read_angle_grids
from catalog.products.bands import BY_ESA, BY_MUSCATE, Band
from catalog.products.folder import Folder, find, open_folder, top_names
from catalog.products.outline import corners, ring
from catalog.products.product import (
    ITEM_ID,
    MEDIA_TYPES,
    Angles,
    Grid,
    Product,
    ProductAsset,
    Ring,
    checked_angles,
    checked_grid,
    mean_angles,
)
from catalog.products.xml import Document, attribute, text_of

Reflectance = Literal["fre", "sre"]

NATURES: dict[Reflectance, str] = {"fre": "Flat_Reflectance", "sre": "Surface_Reflectance"}
"""FRE is corrected for the slope of the terrain, SRE is not (Theia, Sentinel-2 output format)."""

GROUPS = {"R1": 10, "R2": 20}
"""Metres of a pixel of each group."""

GROUP_BANDS = {"R1": ("B2", "B3", "B4", "B8"), "R2": ("B5", "B6", "B7", "B8A", "B11", "B12")}
"""Bands delivered in each group; also the order of the bits of SAT."""

STACK_BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
"""Bands of a ``_STACK.tif``, which holds all ten at 10 m (as iota2 writes it)."""

MASK_NATURES = {
    "Detailed_Cloud": "clm",
    "Geophysics": "mg2",
    "Water": "mg2",
    "Snow": "mg2",
    "Cloud_Shadow": "mg2",
    "Topography_Shadow": "mg2",
    "Hidden_Surface": "mg2",
    "Sun_Too_Low": "mg2",
    "Tangent_Sun": "mg2",
    "Edge": "edg",
    "Saturation": "sat",
    "WVC_Interpolation": "iab",
    "AOT_Interpolation": "iab",
}
"""Which mask a nature lies in. ``Cloud`` is CLM in early products and MG2 in later ones: the
name of its file decides."""

MASKS = ("clm", "mg2", "edg", "sat", "iab")

ORBITS_PER_CYCLE = 143
"""Orbits of a repeat cycle; a lower orbit number is a relative one (Sentinel-2 User Handbook)."""

ORBIT_SHIFTS = {"sentinel-2a": -2, "sentinel-2b": 27}
"""Absolute orbit -> relative: ``(absolute - shift) mod 143 + 1``, as ESA's own products number
them. Sentinel-2C and later are left unknown."""

_NAME = re.compile(
    r"(?P<platform>[A-Z0-9-]+)_\d{8}-\d{6}-\d{3}_(?P<level>L1C|L2A|L3A)"
    r"_(?P<tile>[A-Za-z0-9-]+)_[A-Z]_V\d+-\d+"
)
_FILE = re.compile(r".*_(?P<code>[A-Z0-9]{3})_(?P<group>R[12])\.\w+")


class MuscateReader:
    """Reads MUSCATE products of level 2A."""

    def recognises(self, location: Path) -> bool:
        """Whether a folder or zip is called as Theia calls them or holds ``*_MTD_ALL.xml``."""
        name, inside = top_names(location)
        return bool(_NAME.fullmatch(name)) or any(
            re.fullmatch(r".+_MTD_ALL.*\.xml", each) for each in inside
        )

    def read(self, location: Path, *, reflectance: Reflectance = "fre") -> Product:
        """Folder or zip -> product; ``ProductError`` naming the file and what is wrong with it.

        Parameters
        ----------
        location
            Folder, zip, or metadata file.
        reflectance
            Which reflectance takes the keys of the bands, ``fre`` or ``sre``. Where both are
            delivered the other is kept as ``blue_sre`` (or ``blue_fre``) and so on; where only
            the other is, it takes the keys and a warning says so.
        """
        return _Muscate(open_folder(location), reflectance).product()


class _Muscate:
    """One product being read."""

    def __init__(self, folder: Folder, reflectance: Reflectance) -> None:
        if reflectance not in NATURES:
            raise ProductError(f"reflectance is fre or sre, not {reflectance!r}")
        self.folder = folder
        self.reflectance: Reflectance = reflectance
        self.warnings: list[str] = []
        self.id = folder.name
        if not ITEM_ID.fullmatch(self.id):
            raise ProductError(
                f"{folder.location}: {self.id!r} cannot be the id of a product; give the folder its "
                "own name again"
            )
        self._refuse_other_levels(_NAME.fullmatch(self.id))
        self.main_path = self._main_path()
        self.main = Document(folder.describe(self.main_path), folder.read(self.main_path))
        self._refuse_other_products()
        self._refuse_invalid()
        code = self.main.need("HORIZONTAL_CS_CODE").upper().removeprefix("EPSG:")
        self.epsg = self.main.as_whole(code, "HORIZONTAL_CS_CODE")
        self.grids = {group: self._grid(group) for group in GROUPS}
        self.views = self._views()

    def product(self) -> Product:
        """Everything that the metadata and the names of the files say."""
        main = self.main
        generated = main.need_time("PRODUCTION_DATE")
        version = main.text("PRODUCT_VERSION") or self.id.rpartition("_V")[2]
        platform = re.sub(r"SENTINEL-?2", "sentinel-2", main.need("PLATFORM").upper()).lower()
        absolute, relative = self._orbits(platform)
        assets = tuple(self._assets())
        names = {name: band.esa for name, band in BY_MUSCATE.items()}
        angles = read_angle_grids(main, self.grids["R1"], names, self.warnings)
        return Product(
            id=self.id,
            family="muscate",
            level="maja",
            tile=self._tile(),
            platform=platform,
            acquired=main.need_time("ACQUISITION_DATE"),
            version=f"{version} {generated:%Y-%m-%dT%H:%M:%S.%fZ}",
            epsg=self.epsg,
            footprint=(self._footprint(),),
            assets=assets,
            uri=main.text("PRODUCT_ID"),
            generated=generated,
            relative_orbit=relative,
            absolute_orbit=absolute,
            cloud_cover=self._percent("CloudPercent"),
            snow_cover=self._percent("SnowPercent"),
            sun=self._sun(),
            view=mean_angles(self.views.values()),
            angles=angles,
            warnings=tuple(self.warnings),
        )

    def _refuse_other_levels(self, match: re.Match[str] | None) -> None:
        if match and match["level"] != "L2A":
            self._refuse_level(match["level"])

    def _refuse_level(self, level: str) -> None:
        what = "a monthly synthesis" if level == "L3A" else f"of level {level}"
        raise ProductError(
            f"{self.folder.location}: {self.id} is {what}, not an input product; give MUSCATE L2A"
        )

    def _main_path(self) -> str:
        own = f"{self.id}_MTD_ALL.xml"
        if own in self.folder.members:
            return own
        found = find(self.folder, r"[^/]+_MTD_ALL[^/]*\.xml")
        if not found:
            raise ProductError(f"{self.folder.location}: no {own}")
        return found[0]

    def _refuse_other_products(self) -> None:
        if self.main.root.tag != "Muscate_Metadata_Document":
            raise ProductError(
                f"{self.main.source}: not the metadata of a MUSCATE product but {self.main.root.tag}"
            )
        level = self.main.need("PRODUCT_LEVEL")
        if not level.startswith("L2A"):
            self._refuse_level(level)
        platform = self.main.need("PLATFORM")
        if not re.fullmatch(r"SENTINEL-?2[A-D]", platform.upper()):
            raise ProductError(f"{self.main.source}: platform {platform} is not a Sentinel-2")

    def _refuse_invalid(self) -> None:
        """MAJA marks a product that it could not finish, of cloud or otherwise, as L2NOTV."""
        for path in find(self.folder, r"(DATA/)?[^/]+_JPI_ALL\.xml"):
            report = Document(self.folder.describe(path), self.folder.read(path))
            for element in report.all("Processing_Flags_And_Modes"):
                key = element.findtext("Key", "").strip()
                if key == "Validity_Flag" and element.findtext("Value", "").strip() == "L2NOTV":
                    raise ProductError(
                        f"{report.source}: the product is not valid (L2NOTV), MAJA did not finish it"
                    )

    def _tile(self) -> str:
        match = _NAME.fullmatch(self.id)
        for name in (self.main.text("GEOGRAPHICAL_ZONE"), match["tile"] if match else None):
            if found := re.fullmatch(r"T?(\d{2}[A-Z]{3})", name or ""):
                return found[1]
        raise ProductError(f"{self.main.source}: GEOGRAPHICAL_ZONE names no MGRS tile")

    def _orbits(self, platform: str) -> tuple[int | None, int | None]:
        """Absolute and relative orbit; the relative one follows from the absolute."""
        text = self.main.text("ORBIT_NUMBER")
        if text is None:
            return None, None
        number = self.main.as_whole(text, "ORBIT_NUMBER")
        if 1 <= number <= ORBITS_PER_CYCLE:
            return None, number
        if number < 1:
            return None, None
        shift = ORBIT_SHIFTS.get(platform)
        return number, None if shift is None else (number - shift) % ORBITS_PER_CYCLE + 1

    def _percent(self, name: str) -> float | None:
        return self.main.number(f"QUALITY_INDEX[@name='{name}']")

    def _sun(self) -> Angles | None:
        zenith = self.main.number("Mean_Value_List/Sun_Angles/ZENITH_ANGLE")
        azimuth = self.main.number("Mean_Value_List/Sun_Angles/AZIMUTH_ANGLE")
        sun = checked_angles(self.main.source, zenith, azimuth)
        if sun is None:
            self.warnings.append(f"{self.main.source}: no mean sun angles")
        return sun

    def _views(self) -> dict[str, Angles]:
        """ESA's band name -> mean viewing direction; bands that say NaN are left out."""
        views = {}
        for element in self.main.all("Mean_Viewing_Incidence_Angle"):
            band = BY_MUSCATE.get(attribute(element, "band_id") or "")
            zenith, azimuth = (
                self.main.as_number(element.findtext(each, "nan"), each)
                for each in ("ZENITH_ANGLE", "AZIMUTH_ANGLE")
            )
            view = checked_angles(self.main.source, zenith, azimuth)
            if band and view:
                views[band.esa] = view
        return views

    def _grid(self, group: str) -> Grid:
        def number(name: str) -> float:
            return self.main.need_number(f"Group_Geopositioning[@group_id='{group}']/{name}")

        return checked_grid(
            self.main.source,
            self.epsg,
            corner=(number("ULX"), number("ULY")),
            step=(number("XDIM"), number("YDIM")),
            shape=(number("NROWS"), number("NCOLS")),
        )

    def _footprint(self) -> Ring:
        """Corners that the metadata state, or where they do not, those of the grid."""
        points = []
        for name in ("upperLeft", "lowerLeft", "lowerRight", "upperRight"):
            longitude = self.main.number(f"Global_Geopositioning/Point[@name='{name}']/LON")
            latitude = self.main.number(f"Global_Geopositioning/Point[@name='{name}']/LAT")
            if longitude is None or latitude is None:
                return corners(self.main.source, self.grids["R1"])
            points.append((longitude, latitude))
        return ring(self.main.source, points)

    def _assets(self) -> Iterator[ProductAsset]:
        yield from self._reflectance_assets()
        absent: list[str] = []
        yield from [*self._mask_assets(absent), *self._atmosphere_assets(absent)]
        if absent:
            self.warnings.append(f"{self.folder.location}: not delivered: {' '.join(absent)}")
        if quicklook := self._existing(self.main.text("QUICKLOOK")):
            yield self._file("thumbnail", quicklook, ("thumbnail",))
        yield self._file("metadata", self.main_path, ("metadata",))

    def _existing(self, named: str | None) -> str | None:
        """Path that the metadata name -> the member that it means, where there is one.

        Metadata and files of one product may bear two ids (a product renamed when it was
        distributed): then the file of the folder's id with the same ending is meant.
        """
        path = (named or "").removeprefix("./")
        if path in self.folder.members:
            return path
        head, slash, base = path.rpartition("/")
        match = _NAME.match(base)
        own = f"{head}{slash}{self.id}{base[match.end() :]}" if match else ""
        return own if own in self.folder.members else None

    def _named(self, nature: str, what: Literal["Image", "Mask"]) -> Iterator[Element]:
        """Elements that name the files of a nature."""
        for group in self.main.all(f"{what}_List/{what}"):
            if group.findtext(f"{what}_Properties/NATURE", "").strip() == nature:
                yield from group.iterfind(f"{what}_File_List/{what.upper()}_FILE")

    def _reflectance_assets(self) -> Iterator[ProductAsset]:
        other: Reflectance = "sre" if self.reflectance == "fre" else "fre"
        chosen, alternative = self._reflectances(self.reflectance), self._reflectances(other)
        if not chosen:
            if not alternative:
                raise ProductError(
                    f"{self.folder.location}: no rasters of reflectance, only metadata (MAJA "
                    "delivers so where it finds too much cloud)"
                )
            self.warnings.append(
                f"{self.folder.location}: {self.reflectance.upper()} is not delivered, "
                f"{other.upper()} is taken"
            )
            chosen, alternative = alternative, []
        yield from chosen
        for asset in alternative:
            yield replace(
                asset, key=f"{asset.key}_{other}", roles=("data", "reflectance", "alternate")
            )

    def _reflectances(self, kind: Reflectance) -> list[ProductAsset]:
        """Bands of one reflectance: a file each, or one file for all; empty where none exists."""
        named = list(self._named(NATURES[kind], "Image"))
        files = {
            band.esa: path
            for element in named
            if (band := BY_MUSCATE.get(attribute(element, "band_id") or ""))
            and (path := self._existing(text_of(element)))
        }
        if not files:
            return list(self._stack(kind))
        absent = [
            attribute(element, "band_id") or "?"
            for element in named
            if not self._existing(text_of(element))
        ]
        if absent:
            raise ProductError(
                f"{self.folder.location}: missing band {' '.join(absent)} of {kind.upper()}: "
                f"named by {self.main_path}, not among the files"
            )
        bands = ((BY_ESA[esa], path) for esa, path in files.items())
        return [self._band(kind, band, path, _group_of(band)) for band, path in bands]

    def _stack(self, kind: Reflectance) -> Iterator[ProductAsset]:
        found = find(self.folder, rf"[^/]+_{kind.upper()}_STACK\.tiff?")
        if found:
            for number, name in enumerate(STACK_BANDS, start=1):
                yield self._band(kind, BY_MUSCATE[name], found[0], "R1", number)

    def _band(
        self, kind: Reflectance, band: Band, path: str, group: str, number: int | None = None
    ) -> ProductAsset:
        quantification = self.main.need_quantification("REFLECTANCE_QUANTIFICATION_VALUE")
        return replace(
            self._file(band.key, path, ("data", "reflectance"), group, number),
            band=band.esa,
            data_type=self._data_type(NATURES[kind]),
            nodata=self._special("nodata"),
            scale=1 / quantification,
            offset=0.0,
            view=self.views.get(band.esa),
        )

    def _mask_assets(self, absent: list[str]) -> Iterator[ProductAsset]:
        """R1 masks by their own key, R2 masks as ``clm_20m`` and so on."""
        files = dict(self._mask_files())
        for mask in MASKS:
            for group, metres in GROUPS.items():
                path = files.get((mask, group))
                if path is None:
                    absent.append(f"{mask.upper()}_{group}")
                    continue
                # Early products hold the interpolation of aerosol alone, as bit 0 of IAO.
                encoding = "iao" if "_IAO_" in path.rpartition("/")[2] else mask
                key = mask if group == "R1" else f"{mask}_{metres}m"
                file = self._file(key, path, ("data", "classification"), group)
                yield replace(file, data_type="uint8", encoding=encoding)

    def _mask_files(self) -> Iterator[tuple[tuple[str, str], str]]:
        for nature in (*MASK_NATURES, "Cloud"):
            for element in self._named(nature, "Mask"):
                named = text_of(element)
                match = _FILE.fullmatch(named)
                group = attribute(element, "group_id") or (match["group"] if match else None)
                mask = MASK_NATURES.get(nature) or (match["code"].lower() if match else None)
                if mask in MASKS and group in GROUPS and (path := self._existing(named)):
                    yield (mask, group), path

    def _atmosphere_assets(self, absent: list[str]) -> Iterator[ProductAsset]:
        """Aerosol and water vapour: bands of the 20 m file, or where it is absent the 10 m one."""
        layers = (
            ("aot", "Aerosol_Optical_Thickness", "aerosol", 2),
            ("wvp", "Water_Vapor_Content", "water-vapor", 1),
        )
        for key, nature, role, usual_number in layers:
            files = {
                attribute(element, "group_id"): (path, attribute(element, "band_number"))
                for element in self._named(nature, "Image")
                if (path := self._existing(text_of(element)))
            }
            group = next((each for each in ("R2", "R1") if each in files), None)
            if group is None:
                absent.append(key.upper())
                continue
            path, text = files[group]
            number = self.main.as_whole(text, "band_number") if text else usual_number
            quantification = f"{nature.upper()}_QUANTIFICATION_VALUE"
            yield replace(
                self._file(key, path, ("data", role), group, number),
                data_type=self._data_type(nature),
                nodata=self._special(f"{nature.lower()}_nodata"),
                scale=1 / self.main.need_quantification(quantification),
                offset=0.0,
            )

    def _special(self, name: str) -> int | None:
        text = self.main.text(f"SPECIAL_VALUE[@name='{name}']")
        return None if text is None else self.main.as_whole(text, f"special value {name}")

    def _data_type(self, nature: str) -> str | None:
        for image in self.main.all("Image_List/Image/Image_Properties"):
            if image.findtext("NATURE", "").strip() == nature:
                encoding = image.findtext("ENCODING", "").strip().lower()
                return {"byte": "uint8"}.get(encoding, encoding) or None
        return None

    def _file(
        self,
        key: str,
        path: str,
        roles: tuple[str, ...],
        group: str | None = None,
        number: int | None = None,
    ) -> ProductAsset:
        """Asset of a file, or of one numbered band of it."""
        href = self.folder.href(path)
        return ProductAsset(
            key=key,
            href=href if number is None else f"vrt://{href}?bands={number}",
            media_type=MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream"),
            roles=roles,
            gsd=GROUPS[group] if group else None,
            grid=self.grids[group] if group else None,
            file=None if number is None else href,
            file_band=number,
            size=self.folder.size(path),
        )


def _group_of(band: Band) -> str:
    return next(group for group, bands in GROUP_BANDS.items() if band.muscate in bands)
