"""What any Sentinel-2 product says of itself, and what a reader of products is."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from catalog.errors import ProductError

if TYPE_CHECKING:
    from catalog.products.angles import AngleGrids

Family = Literal["safe", "muscate"]
Level = Literal["l1c", "l2a", "maja"]
Ring = tuple[tuple[float, float], ...]

MEDIA_TYPES = {
    ".gml": "application/gml+xml",
    ".jp2": "image/jp2",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".xml": "application/xml",
}
"""Media type by suffix of the file."""

ITEM_ID = re.compile(r"[A-Za-z0-9_.-]+")
"""What an item's id may be made of."""


@dataclass(frozen=True, slots=True)
class Angles:
    """A direction seen from the ground, degrees."""

    zenith: float
    azimuth: float


@dataclass(frozen=True, slots=True)
class Grid:
    """The lattice of a raster as the metadata states it."""

    epsg: int
    left: float
    """x of the outer left edge, metres."""
    top: float
    """y of the outer upper edge, metres."""
    step: tuple[float, float]
    """Size of a pixel (x, y), metres; y is negative."""
    shape: tuple[int, int]
    """Rows, columns."""

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Column, row -> x, y: the six numbers a, b, c, d, e, f of an affine transform."""
        return (self.step[0], 0.0, self.left, 0.0, self.step[1], self.top)


@dataclass(frozen=True, slots=True)
class ProductAsset:
    """One file of a product, or one band of a file."""

    key: str
    href: str
    """What GDAL opens: a path, ``/vsizip/...`` inside a zip, ``vrt://...?bands=N`` for one band."""
    media_type: str
    roles: tuple[str, ...]
    gsd: float | None = None
    grid: Grid | None = None
    band: str | None = None
    """ESA's name of the spectral band."""
    file: str | None = None
    """The plain href, where ``href`` names one band of it."""
    file_band: int | None = None
    data_type: str | None = None
    count: int = 1
    """Bands in the raster."""
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    saturated: int | None = None
    """Stored value that marks saturation."""
    encoding: str | None = None
    """How a mask is to be read, e.g. ``scl``."""
    view: Angles | None = None
    size: int | None = None
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class Product:
    """A Sentinel-2 product, read from its text alone."""

    id: str
    family: Family
    level: Level
    tile: str
    """MGRS tile without the leading T, e.g. ``31TCJ``."""
    platform: str
    """E.g. ``sentinel-2a``."""
    acquired: datetime
    version: str
    """Changes whenever the delivery changes: baseline or version, and time of generation."""
    epsg: int
    footprint: tuple[Ring, ...]
    """Outer rings, each closed, of (longitude, latitude)."""
    assets: tuple[ProductAsset, ...]
    uri: str | None = None
    baseline: str | None = None
    generated: datetime | None = None
    datatake_id: str | None = None
    datastrip_id: str | None = None
    granule_id: str | None = None
    relative_orbit: int | None = None
    absolute_orbit: int | None = None
    orbit_state: str | None = None
    """``ascending`` or ``descending``."""
    cloud_cover: float | None = None
    """Per cent."""
    snow_cover: float | None = None
    """Per cent."""
    sun: Angles | None = None
    view: Angles | None = None
    """Mean over the bands."""
    angles: "AngleGrids | None" = field(default=None, repr=False)
    """By node, band and detector, where the metadata have them."""
    warnings: tuple[str, ...] = ()

    def asset(self, key: str) -> ProductAsset:
        """Asset of a key; ``KeyError`` where the product has none."""
        for asset in self.assets:
            if asset.key == key:
                return asset
        raise KeyError(key)


class Reader(Protocol):
    """Reads one family of products."""

    def recognises(self, location: Path) -> bool:
        """Whether this reader should be asked; looks at names only, never fails."""
        ...

    def read(self, location: Path) -> Product:
        """Folder, zip or metadata file -> product; ``ProductError`` where it is unusable."""
        ...


def checked_grid(
    source: str,
    epsg: int,
    corner: tuple[float, float],
    step: tuple[float, float],
    shape: tuple[float, float],
) -> Grid:
    """Facts of a lattice -> the lattice; ``ProductError`` where they cannot be true.

    Tiles lie in the UTM zones of WGS 84, with rows running south (Sentinel-2 Products
    Specification Document, tiling grid).
    """
    if not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        raise ProductError(f"{source}: EPSG:{epsg} is not a UTM zone of WGS 84, as tiles have it")
    if min(shape) < 1 or step[0] <= 0 or step[1] >= 0:
        raise ProductError(
            f"{source}: a raster of {shape[0]:g} x {shape[1]:g} pixels of {step[0]:g} x {step[1]:g} m"
        )
    return Grid(epsg, corner[0], corner[1], step, (int(shape[0]), int(shape[1])))


def checked_angles(source: str, zenith: float | None, azimuth: float | None) -> Angles | None:
    """Zenith and azimuth -> direction, nothing where either is; ``ProductError`` if impossible."""
    if zenith is None or azimuth is None:
        return None
    if not 0 <= zenith <= 180 or abs(azimuth) > 360:
        raise ProductError(f"{source}: a zenith of {zenith:g} and azimuth of {azimuth:g} degrees")
    return Angles(zenith, azimuth % 360)


def mean_angles(angles: Iterable[Angles]) -> Angles | None:
    """Directions -> their mean zenith and circular mean azimuth; nothing for no direction."""
    directions = list(angles)
    if not directions:
        return None
    zenith = sum(each.zenith for each in directions) / len(directions)
    east = sum(math.sin(math.radians(each.azimuth)) for each in directions)
    north = sum(math.cos(math.radians(each.azimuth)) for each in directions)
    return Angles(zenith, math.degrees(math.atan2(east, north)) % 360.0)
