"""What a simulated delivery says of itself: one acquisition of one tile, its names and angle grids.

``safe_text`` and ``muscate_text`` turn a ``Delivery`` into the XML of ESA's and Theia's products.
Nothing here touches pixels or disks.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from xml.etree import ElementTree

from catalog.errors import ProductError

XSI = "http://www.w3.org/2001/XMLSchema-instance"
"""Namespace of the attributes that name a schema."""

GRID_STEP = 5000
"""Metres between the nodes of an angle grid (Sentinel-2 product specification, tile metadata)."""

GRID_NODES = 23
"""Nodes along each side of an angle grid: 22 steps of 5 km span a tile of 109.8 km."""

_GRID_PIXELS = GRID_STEP // 10
"""Pixels of 10 m from node to node."""

_TRACK_REACH = 700_000
"""Metres from the track over the tangent of the zenith: the orbit's 786 km, less an eighth for the
curvature of the earth, which turns the ground away from the sensor."""


@dataclass(frozen=True, slots=True)
class SpectralBand:
    """A band as the metadata of both families list it."""

    index: int
    """``bandId`` in ESA's files."""
    esa: str
    """``B01`` … ``B8A`` … ``B12``."""
    resolution: int
    """Metres."""
    wavelengths: tuple[float, float, float]
    """Shortest, central, longest, nanometres (Sentinel-2A spectral responses, S2-SRF v3.0)."""
    irradiance: float
    """Solar irradiance outside the atmosphere, W/m²/µm (Sentinel-2A)."""

    @property
    def short(self) -> str:
        """Name without the leading zero, as Theia's files and ``physicalBand`` have it."""
        return "B" + self.esa[1:].lstrip("0")


SPECTRAL_BANDS: tuple[SpectralBand, ...] = tuple(
    SpectralBand(index, esa, resolution, (shortest, central, longest), irradiance)
    for index, (esa, resolution, shortest, central, longest, irradiance) in enumerate(
        (
            ("B01", 60, 412, 442.7, 456, 1884.69),
            ("B02", 10, 456, 492.4, 533, 1959.66),
            ("B03", 10, 538, 559.8, 583, 1823.24),
            ("B04", 10, 646, 664.6, 684, 1512.06),
            ("B05", 20, 695, 704.1, 714, 1424.64),
            ("B06", 20, 731, 740.5, 749, 1287.61),
            ("B07", 20, 769, 782.8, 797, 1162.08),
            ("B08", 10, 760, 832.8, 907, 1041.63),
            ("B8A", 20, 837, 864.7, 881, 955.32),
            ("B09", 60, 932, 945.1, 958, 812.92),
            ("B10", 60, 1337, 1373.5, 1412, 367.15),
            ("B11", 20, 1539, 1613.7, 1682, 245.59),
            ("B12", 20, 2078, 2202.4, 2320, 85.25),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One acquisition of one tile as one processing centre delivered it."""

    platform: str
    """``S2A`` or ``S2B``."""
    sensed: datetime
    """Start of the datatake (UTC): the first date in the product's name."""
    strip_sensed: datetime
    """Start of the data strip: the date in the granule's name."""
    tile_sensed: datetime
    """When the tile itself was seen; Theia names its products by it."""
    generated: datetime
    """When the product was made: the last date in the product's name."""
    baseline: str
    """Processing baseline, e.g. ``02.14``; an add-offset belongs to 04.00 and later."""
    relative_orbit: int
    absolute_orbit: int
    tile: str
    """MGRS tile, e.g. ``31TCJ``."""
    epsg: int
    west: int
    """Easting of the raster's upper left corner, metres."""
    north: int
    """Northing of the raster's upper left corner, metres."""
    rows: int
    """Rows at 10 m."""
    columns: int
    """Columns at 10 m."""
    sun_zenith: float
    sun_azimuth: float
    view_zenith: float
    view_azimuth: float
    footprint: tuple[tuple[float, float], ...]
    """Corners (longitude, latitude), anticlockwise, not closed."""
    corners: tuple[tuple[float, float], ...]
    """Longitude, latitude of upper left, upper right, lower right, lower left and centre."""
    percentages: Mapping[str, float] = field(default_factory=dict)
    """Percent of pixels by the element names of ``Image_Content_QI``."""
    extension: str = "jp2"
    """``jp2`` or ``tif``."""
    centre: str = "VGS2"
    """Processing centre, four characters."""
    minutiae: Mapping[str, str] = field(default_factory=dict)
    """Texts that replace the usual ones, by element name, to make odd products."""

    def __post_init__(self) -> None:
        if self.platform not in ("S2A", "S2B", "S2C"):
            raise ProductError(f"no Sentinel-2 is called {self.platform!r}: use S2A, S2B or S2C")
        for moment in (self.sensed, self.strip_sensed, self.tile_sensed, self.generated):
            if moment.tzinfo is None or moment.utcoffset() != UTC.utcoffset(None):
                raise ProductError(f"times of a delivery are in UTC, {moment} is not")

    @property
    def offset(self) -> int:
        """Number added to a stored value before it is divided, 0 before baseline 04.00."""
        # Sentinel-2 product specification 15: baseline 04.00 brought the offset of -1000.
        return -1000 if float(self.baseline) >= 4 else 0

    @property
    def spacecraft(self) -> str:
        """``Sentinel-2A`` of ``S2A``."""
        return f"Sentinel-2{self.platform[-1]}"

    @property
    def zone_name(self) -> str:
        """``WGS84 / UTM zone 31N`` of the coordinate system 32631."""
        return f"WGS84 / UTM zone {self.epsg % 100}{'N' if self.epsg < 32700 else 'S'}"

    @property
    def cloud_percentage(self) -> float:
        """Percent of pixels that are cloud."""
        return self.percentages.get("CLOUDY_PIXEL_PERCENTAGE", 0.0)


def safe_name(delivery: Delivery, level: str) -> str:
    """Name of a SAFE folder; level is ``L1C`` or ``L2A``."""
    return (
        f"{delivery.platform}_MSI{level}_{compact(delivery.sensed)}"
        f"_N{delivery.baseline.replace('.', '')}_R{delivery.relative_orbit:03d}"
        f"_T{delivery.tile}_{compact(delivery.generated)}.SAFE"
    )


def granule_name(delivery: Delivery, level: str) -> str:
    """Name of the folder below ``GRANULE``."""
    return (
        f"{level}_T{delivery.tile}_A{delivery.absolute_orbit:06d}_{compact(delivery.strip_sensed)}"
    )


def file_stem(delivery: Delivery) -> str:
    """What the rasters of a SAFE begin with: ``T31TCJ_20200410T105031``."""
    return f"T{delivery.tile}_{compact(delivery.sensed)}"


def muscate_name(delivery: Delivery, version: str = "1-0", kind: str = "C") -> str:
    """Name of Theia's folder, e.g. ``SENTINEL2A_20200410-105851-024_L2A_T31TCJ_C_V1-0``."""
    seen = delivery.tile_sensed
    return (
        f"SENTINEL2{delivery.platform[-1]}_{seen:%Y%m%d-%H%M%S}-{seen.microsecond // 1000:03d}"
        f"_L2A_T{delivery.tile}_{kind}_V{version}"
    )


def datastrip_name(delivery: Delivery) -> str:
    """Name of the folder below ``DATASTRIP``."""
    return f"DS_{delivery.centre}_{compact(delivery.generated)}_S{compact(delivery.strip_sensed)}"


def datastrip_id(delivery: Delivery, level: str) -> str:
    """Identifier of the data strip; its ``S…`` time is the same in every reprocessing."""
    return f"{delivery.platform}_OPER_MSI_{level}_{datastrip_name(delivery)}_N{delivery.baseline}"


def granule_id(delivery: Delivery, level: str) -> str:
    """Identifier of the granule."""
    return (
        f"{delivery.platform}_OPER_MSI_{level}_TL_{delivery.centre}_{compact(delivery.generated)}"
        f"_A{delivery.absolute_orbit:06d}_T{delivery.tile}_N{delivery.baseline}"
    )


def datatake_id(delivery: Delivery) -> str:
    """Identifier of the datatake as this baseline writes it."""
    return (
        f"G{delivery.platform}_{compact(delivery.sensed)}_{delivery.absolute_orbit:06d}"
        f"_N{delivery.baseline}"
    )


def compact(moment: datetime) -> str:
    """``20200410T105031``."""
    return f"{moment:%Y%m%dT%H%M%S}"


def iso(moment: datetime) -> str:
    """``2020-04-10T10:50:31.024Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def absolute_orbit(platform: str, relative_orbit: int, day: datetime) -> int | None:
    """Absolute orbit number of a pass, or None where the satellite does not fly it that day.

    The cycle is 143 orbits in 10 days (ESA, Sentinel-2 mission). The anchors are the passes of
    relative orbit 51 of 2024-01-20 (S2A, 44807) and 2024-03-05 (S2B, 36542).
    """
    anchors = {"S2A": (44807, datetime(2024, 1, 20)), "S2B": (36542, datetime(2024, 3, 5))}
    if platform not in anchors:
        return None
    number, anchor = anchors[platform]
    behind = (relative_orbit - 51) % 143
    # 14.3 orbits a day; a pass by daylight falls on the nearest whole day
    lag = round(behind / 14.3)
    days = (day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - anchor).days
    cycles, rest = divmod(days - lag, 10)
    return number + 143 * cycles + behind if rest == 0 else None


def sun_grid(delivery: Delivery, angle: str) -> list[str]:
    """23 lines of 23 numbers: the sun's ``zenith`` or ``azimuth``, degrees, every 5 km.

    In the middle of the raster they are the delivery's own, as all grids are.
    """
    if angle == "zenith":
        # 5 km southward lower the sun's zenith angle by 0.045 degrees of latitude.
        start, down, right = delivery.sun_zenith, -0.045, -0.012
    else:
        start, down, right = delivery.sun_azimuth, 0.035, 0.062
    rows, columns = (side / (2 * _GRID_PIXELS) for side in (delivery.rows, delivery.columns))
    return [
        " ".join(
            f"{start + down * (row - rows) + right * (column - columns):.6g}"
            for column in range(GRID_NODES)
        )
        for row in range(GRID_NODES)
    ]


def view_grids(delivery: Delivery, band: SpectralBand) -> dict[int, tuple[list[str], list[str]]]:
    """Detector -> zenith and azimuth lines of a band, NaN where the detector does not look.

    Zenith grows away from the track, on either side, and the azimuth points back to it.
    """
    # Detectors are slanted strips along the track, which falls 13 degrees westward to the south.
    borders = (-1e9, 11.5 + 0.12 * band.index / 12, 1e9)
    grids: dict[int, tuple[list[str], list[str]]] = {}
    views = _views(delivery.rows, delivery.columns, delivery.view_zenith, delivery.view_azimuth)
    for detector, (left, right) in enumerate(pairwise(borders), start=5):
        zeniths: list[str] = []
        azimuths: list[str] = []
        for row in range(GRID_NODES):
            inside = [left <= column + 0.23 * (row - 11) < right for column in range(GRID_NODES)]
            zeniths.append(_line(inside, [z + 0.002 * band.index for z, _ in views[row]]))
            azimuths.append(
                _line(inside, [(a + 0.4 * (detector - 5.5)) % 360 for _, a in views[row]])
            )
        grids[detector] = (zeniths, azimuths)
    return grids


@lru_cache(maxsize=64)
def _views(
    rows: int, columns: int, zenith: float, azimuth: float
) -> list[list[tuple[float, float]]]:
    """Size of the raster, view from its middle -> zenith and azimuth of the view by row and column.

    The sensor scans across its track.
    """
    toward = math.radians(azimuth)
    across, along = math.sin(toward), math.cos(toward)
    middle = _TRACK_REACH * math.tan(math.radians(zenith))
    views = []
    for row in range(GRID_NODES):
        north = 5 * rows - GRID_STEP * row
        away = [
            middle - (GRID_STEP * column - 5 * columns) * across - north * along
            for column in range(GRID_NODES)
        ]
        views.append(
            [
                (
                    math.degrees(math.atan(abs(each) / _TRACK_REACH)),
                    azimuth if each >= 0 else azimuth + 180,
                )
                for each in away
            ]
        )
    return views


def _line(inside: Iterable[bool], angles: Iterable[float]) -> str:
    """One row of a grid."""
    return " ".join(
        f"{angle:.6g}" if seen else "NaN" for seen, angle in zip(inside, angles, strict=True)
    )


def node(
    tag: str, /, *content: ElementTree.Element | str | float, **attributes: str
) -> ElementTree.Element:
    """One element; content is its text or its children."""
    element = ElementTree.Element(tag, attributes)
    for part in content:
        if isinstance(part, ElementTree.Element):
            element.append(part)
        else:
            element.text = str(part)
    return element


def document(root: ElementTree.Element) -> str:
    """A whole XML file, indented."""
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def altered(root: ElementTree.Element, delivery: Delivery) -> ElementTree.Element:
    """Put the delivery's odd texts in place of the usual ones."""
    for tag, text in delivery.minutiae.items():
        for element in root.iter(tag):
            element.text = text
    return root


def values_list(lines: Iterable[str]) -> ElementTree.Element:
    """Lines of numbers -> ``Values_List`` with a ``VALUES`` each."""
    return node("Values_List", *(node("VALUES", line) for line in lines))


def response(band: SpectralBand) -> str:
    """A bell over the band's width, a number per nanometre: enough for a reader to parse."""
    shortest, central, longest = band.wavelengths
    width = (longest - shortest) / 4
    return " ".join(
        f"{2.718281828 ** (-(((shortest + step - central) / width) ** 2)):.6f}"
        for step in range(int(longest - shortest) + 1)
    )
