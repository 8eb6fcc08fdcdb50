"""One date as mtcd sees it: coarse reflectances by role, freed from the air's own brightness."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_SCALE, band
from cube.errors import BandError, GridError, MaskError
from cube.kernels import mtcd as kernels
from cube.mtcd.coarse import CoarseGrid, average

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

LEVELS = ("l1c", "l2a", "maja")

ROLES: Mapping[str, tuple[str, ...]] = {
    "blue": ("coastal", "blue"),
    "green": ("green",),
    "red": ("red",),
    "nir": ("nir08", "nir"),
    "swir16": ("swir16",),
    "swir22": ("swir22",),
    "cirrus": ("cirrus",),
}
"""What the tests call a band -> the bands that may play it, the best first."""

LOWEST = 89
"""Degrees from the zenith: with sun or sensor lower, shadows and the air's path have no end."""

_SCALE_HEIGHT = 8000.0
"""Metres in which the air's mass falls by e (isothermal atmosphere of 273 K)."""

_LARGEST = 32767


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of one date beside its pixels; angles are means over the extent, degrees."""

    day: int
    """UTC days since 1970-01-01."""
    level: str
    """``l1c`` (top of the atmosphere), ``l2a`` or ``maja`` (surface)."""
    sun_zenith: float
    sun_azimuth: float
    """Clockwise from north, direction toward the sun."""
    view_zenith: float | None = None
    view_azimuth: float | None = None
    """Clockwise from north, direction toward the sensor."""

    @property
    def view(self) -> tuple[float, float]:
        """Zenith and azimuth toward the sensor; nadir where they are not known."""
        if self.view_zenith is None or self.view_azimuth is None:
            return 0.0, 0.0
        return self.view_zenith, self.view_azimuth

    @property
    def glint_angle(self) -> float:
        """Degrees between the direction to the sensor and that of the sun mirrored by calm water."""
        zenith, azimuth = (math.radians(angle) for angle in self.view)
        sun, toward = math.radians(self.sun_zenith), math.radians(self.sun_azimuth)
        cosine = math.cos(sun) * math.cos(zenith)
        cosine -= math.sin(sun) * math.sin(zenith) * math.cos(azimuth - toward)
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One date on the coarse grid."""

    grid: CoarseGrid
    bands: Mapping[str, Floats]
    """(h, w) float32 reflectance by role, NaN where it was not observed; multiples of 0.0001."""
    sources: Mapping[str, str]
    """Role -> band that plays it."""
    observed: Flags
    """(h, w) True where each band has data."""
    saturated: Flags
    """(h, w) True where most of a cell is beyond what its sensor or file can hold."""
    altitude: Floats | None
    """(h, w) metres above the sea, NaN where unknown; None without a DEM."""


def wanted_bands(available: Iterable[str], level: str) -> tuple[str, ...]:
    """Bands of a cube, level -> those that mtcd reads of them, in order of ``ROLES``."""
    there = set(available)
    chosen = []
    for role, names in ROLES.items():
        playing = [name for name in names if name in there]
        if playing and (role != "cirrus" or level == "l1c"):
            chosen.append(playing[0])
    return tuple(chosen)


def make_image(
    bands: Iterable[tuple[str, NDArray[np.int16]]],
    grid: CoarseGrid,
    meta: Meta,
    altitude: Floats | None = None,
) -> tuple[Image, Flags]:
    """(name, (y, x) int16 dn) of one date -> its coarse image, and (y, x) bool observed at 20 m.

    Bands are taken one after the other, so a generator that reads them holds one at a time; those
    that mtcd does not use are passed over. Of L1C the path reflectance of clean air is taken off,
    except at 1.38 µm, where none of it arrives. A 20 m pixel is observed where all bands have data.

    Parameters
    ----------
    bands
        dn = reflectance x 10000 at 10 or 20 m, nodata -10000, offsets removed.
    altitude
        ``(h, w)`` float32 metres on the coarse grid (`coarse.average_altitude`), NaN where unknown.

    Raises
    ------
    MaskError
        An unknown level, or a sun below the horizon.
    BandError
        Neither red nor blue.
    GridError
        A raster that does not cover the grid's extent, altitudes of another grid.
    """
    _check(meta)
    if altitude is not None and altitude.shape != grid.shape:
        raise GridError(f"altitudes are {altitude.shape}; give them on the grid of {grid.shape}")
    missing = np.zeros(grid.fine, np.bool_)
    found: dict[str, Floats] = {}
    sources: dict[str, str] = {}
    saturated = np.zeros(grid.shape, np.bool_)
    for name, dn in bands:
        role = _role(name, meta.level)
        better = role is not None and (
            role not in sources or _rank(role, name) < _rank(role, sources[role])
        )
        if role is not None and better:
            mean = average(dn, grid)
            kernels.mark_missing(np.ascontiguousarray(dn), dn.shape[0] // grid.fine[0], missing)
            saturated |= mean > _SATURATED * _LARGEST
            of_air = meta.level == "l1c" and role != "cirrus"
            path = path_reflectance(name, meta, altitude) if of_air else 0
            found[role] = reflectance(stored(mean * REFLECTANCE_SCALE - path))
            sources[role] = name
        # Let go before the next is read: a full band of 10 m is 241 MB.
        del dn
    if "blue" not in found or "red" not in found:
        raise BandError(f"mtcd needs a blue and a red band; given are {' '.join(sources.values())}")
    observed = np.logical_and.reduce([np.isfinite(each) for each in found.values()])
    for each in found.values():
        each[~observed] = np.nan
    return Image(grid, found, sources, observed, saturated & observed, altitude), ~missing


def path_reflectance(name: str, meta: Meta, altitude: Floats | None) -> Floats | float:
    """Band, angles, altitude in metres -> reflectance of the air above, without aerosol.

    Single scattering (Rayleigh), with the optical depth of Hansen and Travis 1974 (Light scattering
    in planetary atmospheres, equation 2.30). What is scattered twice is left out: some percent.
    """
    wave = band(name).centre
    depth = 0.008569 * wave**-4 * (1 + 0.0113 * wave**-2 + 0.00013 * wave**-4)
    sun, toward = math.radians(meta.sun_zenith), math.radians(meta.sun_azimuth)
    zenith, azimuth = (math.radians(angle) for angle in meta.view)
    # The angle by which light is turned on its way sun - air - sensor.
    cosine = -math.cos(sun) * math.cos(zenith)
    cosine -= math.sin(sun) * math.sin(zenith) * math.cos(azimuth - toward)
    phase = 0.75 * (1 + cosine * cosine)
    sea = depth * phase / (4 * math.cos(sun) * math.cos(zenith))
    if altitude is None:
        return sea
    heights = np.where(np.isfinite(altitude), altitude, 0)
    thinned: Floats = (sea * np.exp(-heights / _SCALE_HEIGHT)).astype(np.float32)
    return thinned


def stored(values: Floats) -> NDArray[np.int16]:
    """Reflectance, NaN for none -> int16 dn, nodata -10000; what states keep on disk."""
    dn = np.rint(np.nan_to_num(values, nan=-1.0) / REFLECTANCE_SCALE)
    held: NDArray[np.int16] = np.clip(dn, -10000, _LARGEST).astype(np.int16)
    return held


def reflectance(dn: NDArray[np.int16]) -> Floats:
    """Int16 dn -> float32 reflectance, NaN where nodata."""
    values = dn.astype(np.float32) * np.float32(REFLECTANCE_SCALE)
    values[dn == kernels.NODATA] = np.nan
    return values


_SATURATED = 0.9
"""Share of the largest dn (MAJA, Saturation_Threshold, there a share of saturated pixels)."""


def _role(name: str, level: str) -> str | None:
    for role, names in ROLES.items():
        if name in names:
            return None if role == "cirrus" and level != "l1c" else role
    return None


def _rank(role: str, name: str) -> int:
    return ROLES[role].index(name)


def _check(meta: Meta) -> None:
    if meta.level not in LEVELS:
        raise MaskError(f"level {meta.level!r} is not known to mtcd; give one of {LEVELS}")
    if not 0 <= meta.sun_zenith < LOWEST or not 0 <= meta.view[0] < LOWEST:
        raise MaskError(
            f"sun or view zenith of {meta.sun_zenith:g} and {meta.view[0]:g} degrees: mtcd needs "
            f"both below {LOWEST}; leave the date out"
        )
