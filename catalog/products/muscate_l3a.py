"""Theia's MUSCATE products of level 3A: monthly syntheses made by WASP, as folder or zip."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from catalog.products.folder import open_folder, top_names
from catalog.products.muscate import GROUPS, NAME, Muscate
from catalog.products.product import Product, ProductAsset
from catalog.products.xml import attribute, text_of

LAYERS = {
    "weight": ("Pixel_Weight", "int16", 0.001),
    "date": ("Weighted_Average_Dates", "int16", None),
    "status": ("Pixel_Status_Flag", "uint8", None),
}
"""Layer -> nature of its files, type, value of one step. Dates are days of the year of the synthesis,
1 January being 0 (as the public WASP writes them)."""


class L3aReader:
    """Reads MUSCATE products of level 3A."""

    def recognises(self, location: Path) -> bool:
        """Whether a folder or zip is called as Theia calls its syntheses."""
        found = NAME.fullmatch(top_names(location)[0])
        return found is not None and found["level"] == "L3A"

    def read(self, location: Path) -> Product:
        """Folder, zip or metadata file -> product; ``ProductError`` naming the file and the fault."""
        return _Synthesis(open_folder(location), "frc").product()


class _Synthesis(Muscate):
    """One synthesis being read."""

    level = "L3A"
    platforms = r"SENTINEL-?2[A-DX]"
    natures: ClassVar[Mapping[str, str]] = {"frc": "Flat_Reflectance_Composite"}

    def product(self) -> Product:
        """Everything that the metadata and the names of the files say."""
        main = self.main
        generated = main.need_time("PRODUCTION_DATE")
        version = main.text("PRODUCT_VERSION") or self.id.rpartition("_V")[2]
        seen = sorted(
            main.as_time(text_of(each), "ACQUISITION_DATE")
            for each in main.all("Contributing_Product/Product/ACQUISITION_DATE")
        )
        if not seen:
            self.warnings.append(f"{main.source}: names no product that it was made of")
        assets = tuple(self._assets())
        return Product(
            id=self.id,
            family="muscate",
            level="l3a",
            tile=self._tile(),
            platform=self._platform(),
            acquired=main.need_time("ACQUISITION_DATE"),
            span=(seen[0], seen[-1]) if seen else None,
            version=f"{version} {generated:%Y-%m-%dT%H:%M:%S.%fZ}",
            epsg=self.epsg,
            footprint=(self._footprint(),),
            assets=assets,
            uri=main.text("PRODUCT_ID"),
            generated=generated,
            cloud_cover=self._percent("CloudPercent"),
            snow_cover=self._percent("SnowPercent"),
            warnings=tuple(self.warnings),
        )

    def _platform(self) -> str:
        """``sentinel-2a``; ``sentinel-2`` of a synthesis of several satellites."""
        letter = self.main.need("PLATFORM")[-1].lower()
        return "sentinel-2" if letter == "x" else f"sentinel-2{letter}"

    def _reflectance_assets(self) -> Iterator[ProductAsset]:
        yield from self._reflectances("frc")

    def _mask_assets(self, absent: list[str]) -> Iterator[ProductAsset]:
        """R1 layers by their own key, R2 layers as ``weight_20m`` and so on."""
        for key, (nature, data_type, scale) in LAYERS.items():
            files = {
                attribute(element, "group_id"): path
                for element in self._named(nature, "Mask")
                if (path := self._existing(text_of(element)))
            }
            for group, metres in GROUPS.items():
                if group not in files:
                    absent.append(f"{nature}_{group}")
                    continue
                name = key if group == "R1" else f"{key}_{metres}m"
                yield replace(
                    self._file(name, files[group], ("data", "quality"), group),
                    data_type=data_type,
                    nodata=0 if key == "status" else self._special("nodata"),
                    scale=scale,
                    offset=None if scale is None else 0.0,
                    encoding="flg" if key == "status" else None,
                )

    def _atmosphere_assets(self, _absent: list[str]) -> Iterator[ProductAsset]:
        """A synthesis has none."""
        return iter(())
