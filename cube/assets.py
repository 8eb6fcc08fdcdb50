"""What a STAC item says of a raster: where its pixels lie, what they mean, how they come to a grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from odc.geo import CRS

from cube.bands import REFLECTANCE_NODATA
from cube.errors import BandError
from cube.grid import Extent, on_lattice
from cube.variables import Variable

Document = Mapping[str, Any]

DEGREE = 111_320.0
"""Metres in a degree of latitude, to a third of a percent (WGS 84)."""


@dataclass(frozen=True, slots=True)
class Raster:
    """One band of one file, as both engines are told of it."""

    key: str
    href: str
    epsg: int
    transform: tuple[float, ...]
    shape: tuple[int, int]
    dtype: str
    nodata: float
    kind: str
    literal: bool
    """Whether the file's own nodata is a code of the mask, to be read as any other."""
    scale: float
    offset: float

    @property
    def size(self) -> float:
        """Side of a pixel on the ground, metres."""
        return ground_size(self.transform, self.epsg)

    def resampling(self, extent: Extent, resolution: int) -> str | None:
        """How the raster comes to a grid; None where its pixels are the grid's."""
        if self.epsg == extent.epsg and on_lattice(self.transform, extent, resolution):
            return None
        if self.kind == "encoded":
            return "nearest"  # codes do not average
        finer = self.size < resolution
        return "average" if finer else "bilinear"

    def name(self, method: str | None) -> str:
        """What GDAL is to open: where pixels are mixed, the file with its nodata said.

        The JP2 of ESA's products carry none, so that their 0 would be averaged as a value. Of
        masks, a nodata of the file that is a code is taken away: an edge mask's 0 is "inside".
        """
        exact = method in (None, "nearest") and not self.literal
        if exact or (self.href.startswith(("http", "/vsicurl?")) and "?" in self.href):
            return self.href
        nodata = "none" if self.literal else f"{self.nodata:.17g}"
        if self.href.startswith("vrt://"):
            return f"{self.href}&a_nodata={nodata}"
        place = f"/vsicurl/{self.href}" if self.href.startswith("http") else self.href
        return f"vrt://{place}?a_nodata={nodata}"


def describe_raster(
    item: Document, asset: Document, variable: Variable, key: str, band: int | None
) -> Raster:
    """Item, asset and the variable that it becomes -> the raster, or one band of it, under a key.

    ``BandError`` where the item does not say on which lattice the raster lies.
    """
    about = (asset.get("raster:bands") or asset.get("bands") or [{}])[0]
    dtype = about.get("data_type") or ("uint8" if variable.kind == "encoded" else "uint16")
    stated = about.get("nodata")
    nodata = stated
    if variable.kind == "encoded":
        nodata = variable.outside
    elif stated is None or not _holds(dtype, float(stated)):
        # DN 0 is "no data" in every Sentinel-2 product; Theia's signed numbers use -10000.
        nodata = REFLECTANCE_NODATA if dtype == "int16" else 0
    href = asset["href"] if band is None else f"vrt://{asset['href']}?bands={band}"
    return Raster(
        key=key,
        href=href,
        epsg=_epsg(item, asset),
        transform=_transform(item, asset),
        shape=tuple(_projection(item, asset, "proj:shape")),
        dtype=dtype,
        nodata=float(nodata),
        kind=variable.kind,
        literal=variable.kind == "encoded" and stated not in (None, variable.outside),
        scale=float(about.get("scale", 1.0)),
        offset=float(about.get("offset", 0.0)),
    )


def pixel_size(item: Document, asset: Document) -> float:
    """Item and asset -> side of a pixel on the ground, metres; ``BandError`` if not said."""
    return ground_size(_transform(item, asset), _epsg(item, asset))


def ground_size(transform: Sequence[float], epsg: int) -> float:
    """Affine transform -> side of a pixel on the ground, metres, from south to north."""
    degrees = bool(CRS(f"EPSG:{epsg}").geographic)
    return round(abs(transform[4]) * DEGREE, 1) if degrees else abs(transform[4])


def _transform(item: Document, asset: Document) -> tuple[float, ...]:
    return tuple(float(v) for v in _projection(item, asset, "proj:transform")[:6])


def _holds(dtype: str, value: float) -> bool:
    """Whether a number can stand in pixels of a type: Theia's text says -10000 of unsigned ones."""
    if np.dtype(dtype).kind == "f":
        return True
    return value.is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _projection(item: Document, asset: Document, name: str) -> Any:
    value = asset.get(name, item["properties"].get(name))
    if value is None:
        raise BandError(f"item {item['id']} does not say {name}; ingest it again")
    return value


def _epsg(item: Document, asset: Document) -> int:
    code = str(_projection(item, asset, "proj:code"))
    try:
        return int(code.removeprefix("EPSG:"))
    except ValueError:
        raise BandError(f"item {item['id']}: {code!r} is no EPSG code") from None
