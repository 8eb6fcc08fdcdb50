"""A DEM's file -> where its raster is, and its STAC item in the collection ``dem``."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from catalog.collections import DEM
from catalog.errors import ProductError
from catalog.footprint import intersects
from catalog.items import collection_link, extensions_of, utc_text, validate_item
from catalog.products.folder import RATIO_FREE, RATIO_LIMIT, Zip, is_zip
from catalog.products.outline import geometry_and_bbox, ring

RASTERS = (".tif", ".tiff", ".jp2", ".img", ".hgt", ".asc", ".bil", ".dem", ".dt0", ".dt1", ".dt2")
"""Suffixes of what may be a DEM inside a zip. No VRT: it could name any other file."""

_TYPES = {
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".jp2": "image/jp2",
}
_HEIGHTS = re.compile(r"(?:^|[^a-z])(?:dem|dsm|dtm)(?:[^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DemFile:
    """One raster of heights, alone or in a zip."""

    path: Path
    """The file or zip, absolute."""
    href: str
    """What GDAL opens."""
    checksum: str | None
    """Size and CRC-32 as a zip records them; None outside of one."""

    @property
    def item_id(self) -> str:
        """Name of the file without suffix, of the characters that an id may have."""
        stem = self.path.name if self.path.name.startswith(".") else self.path.stem
        return re.sub(r"[^A-Za-z0-9_.-]", "-", stem).strip(".-") or "dem"

    @property
    def media_type(self) -> str:
        """Type of the raster by its suffix."""
        return _TYPES.get(Path(self.href).suffix.lower(), "application/octet-stream")


@dataclass(frozen=True, slots=True)
class DemRaster:
    """What a raster of heights says of itself."""

    code: str | None
    """``EPSG:4326`` and the like; None where the CRS has no code."""
    wkt: str
    shape: tuple[int, int]
    transform: tuple[float, ...]
    data_type: str
    nodata: float | None
    scale: float
    offset: float
    outline: Sequence[tuple[float, float]]
    """Longitudes and latitudes along its edges."""


def find_dem(path: Path) -> DemFile:
    """File or zip -> the one raster in it; ``ProductError`` where there is none, or it is not safe.

    Zips are read in place. Of several rasters the one is taken whose name says dem, dsm or dtm as
    a word of its own: beside it lie the masks of its making.
    """
    try:
        if path.is_dir():
            raise ProductError(f"{path}: a folder; give the DEM's file, or a zip of it")
        if not path.exists():
            raise ProductError(f"{path}: no such file")
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise ProductError(f"{path}: {error.strerror or error}") from None
    path = path.absolute()
    if not is_zip(path):
        return DemFile(path, str(path), None)
    folder = Zip(path)
    found = sorted(name for name in folder.members if Path(name).suffix.lower() in RASTERS)
    if len(found) > 1:
        found = [name for name in found if _HEIGHTS.search(Path(name).stem)] or found
    if not found:
        raise ProductError(f"{path}: no raster in it ({' '.join(RASTERS)})")
    if len(found) > 1:
        raise ProductError(f"{path}: holds {len(found)} rasters; give each its own file")
    size, packed = folder.size(found[0]), path.stat().st_size
    # The raster cannot be packed into less than the whole zip.
    if size > RATIO_FREE and size > RATIO_LIMIT * packed:
        raise ProductError(
            f"{folder.describe(found[0])}: refused as a zip bomb: {packed} bytes expand to {size}; "
            "unpack it if it is what it says"
        )
    return DemFile(path, folder.href(found[0]), f"{size}-{folder.checksum(found[0])}")


def dem_item(
    file: DemFile,
    raster: DemRaster,
    span: tuple[datetime, datetime],
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """DEM, its raster, first and last instant that it speaks for -> its STAC item, validated."""
    geometry, bbox = geometry_and_bbox([ring(str(file.path), raster.outline)])
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": file.item_id,
        "collection": DEM,
        "geometry": geometry,
        "bbox": bbox,
        "properties": {**_when(span), **_projection(raster), **(properties or {})},
        "links": [collection_link(DEM)],
        "assets": {"data": _asset(file, raster)},
    }
    item["stac_extensions"] = extensions_of(item)
    validate_item(item)
    return item


def covering(items: Iterable[Mapping[str, Any]], bbox: Sequence[float]) -> list[Mapping[str, Any]]:
    """DEM items, west, south, east and north -> those that meet it, in order of their ids."""
    box = (float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3]))
    return sorted((item for item in items if intersects(item, box)), key=lambda item: item["id"])


def _when(span: tuple[datetime, datetime]) -> dict[str, Any]:
    first, last = span
    if first == last:
        return {"datetime": utc_text(first)}
    return {
        "datetime": None,
        "start_datetime": utc_text(first),
        "end_datetime": utc_text(last),
    }


def _projection(raster: DemRaster) -> dict[str, Any]:
    if raster.code is not None:
        return {"proj:code": raster.code}
    return {"proj:code": None, "proj:wkt2": raster.wkt}


def _asset(file: DemFile, raster: DemRaster) -> dict[str, Any]:
    band: dict[str, Any] = {"data_type": raster.data_type, "unit": "m"}
    if raster.nodata is not None:
        # JSON has no number for it (raster extension: "nan").
        band["nodata"] = "nan" if raster.nodata != raster.nodata else raster.nodata
    if (raster.scale, raster.offset) != (1.0, 0.0):
        band |= {"scale": raster.scale, "offset": raster.offset}
    return {
        "href": file.href,
        "type": file.media_type,
        "title": "Height above sea level",
        "roles": ["data"],
        "proj:shape": list(raster.shape),
        "proj:transform": list(raster.transform),
        "raster:bands": [band],
    }
