"""The variables of a cube: reflectance bands, encoded masks and aerosol, with their encodings."""

from dataclasses import dataclass

from cube.errors import BandError

REFLECTANCE_SCALE = 0.0001
"""Reflectance of one stored unit; stored = reflectance / scale, offset 0."""

REFLECTANCE_NODATA = -10000
"""Nodata of reflectances in cubes and syntheses (int16), the value Theia's products use."""

AOT_SCALE = 0.001
"""Aerosol optical thickness (550 nm) of one stored unit: the finest of the sources' steps."""


@dataclass(frozen=True, slots=True)
class Band:
    """One variable of a cube: ``(time, y, x)`` in the group of its nominal resolution."""

    name: str
    """Key of the asset and of the variable: the STAC common name where there is one."""
    esa: str
    """Name in ESA's products, e.g. ``B8A``."""
    resolution: int
    """Nominal ground sampling, metres."""
    centre: float
    """Centre wavelength, micrometres (Sentinel-2A spectral responses, ESA document S2-SRF v3.0)."""
    width: float
    """Full width at half maximum, micrometres."""

    @property
    def muscate(self) -> str:
        """Name in Theia's products, e.g. ``B8A``, ``B2``."""
        return "B" + self.esa[1:].lstrip("0")


BANDS: tuple[Band, ...] = (
    Band("coastal", "B01", 60, 0.443, 0.021),
    Band("blue", "B02", 10, 0.492, 0.066),
    Band("green", "B03", 10, 0.560, 0.036),
    Band("red", "B04", 10, 0.665, 0.031),
    Band("rededge1", "B05", 20, 0.704, 0.015),
    Band("rededge2", "B06", 20, 0.741, 0.015),
    Band("rededge3", "B07", 20, 0.783, 0.020),
    Band("nir", "B08", 10, 0.833, 0.106),
    Band("nir08", "B8A", 20, 0.865, 0.021),
    Band("nir09", "B09", 60, 0.945, 0.020),
    Band("cirrus", "B10", 60, 1.374, 0.031),
    Band("swir16", "B11", 20, 1.614, 0.091),
    Band("swir22", "B12", 20, 2.202, 0.175),
)

_BY_NAME = {band.name: band for band in BANDS}


def band(name: str) -> Band:
    """Name of a band, e.g. ``nir08`` -> its description; ``BandError`` where there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        known = " ".join(_BY_NAME)
        raise BandError(f"no band is called {name!r}; the bands are {known}") from None
