"""The bands of the MultiSpectral Instrument as products name them, and their keys in items."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band."""

    key: str
    """Key of the asset in items."""
    esa: str
    """Name in ESA's products, e.g. ``B02``."""
    resolution: int
    """Nominal ground sampling, metres."""
    common_name: str
    """Common name of the electro-optical extension."""
    centre: float
    """Centre wavelength, micrometres (Sentinel-2A spectral responses, ESA document S2-SRF v3.0)."""
    width: float
    """Full width at half maximum, micrometres."""

    @property
    def muscate(self) -> str:
        """Name in Theia's products: no leading zero, e.g. ``B2``."""
        return "B" + self.esa[1:].lstrip("0")


BANDS: tuple[Band, ...] = (
    Band("coastal", "B01", 60, "coastal", 0.443, 0.021),
    Band("blue", "B02", 10, "blue", 0.492, 0.066),
    Band("green", "B03", 10, "green", 0.560, 0.036),
    Band("red", "B04", 10, "red", 0.665, 0.031),
    Band("rededge1", "B05", 20, "rededge", 0.704, 0.015),
    Band("rededge2", "B06", 20, "rededge", 0.741, 0.015),
    Band("rededge3", "B07", 20, "rededge", 0.783, 0.020),
    Band("nir", "B08", 10, "nir", 0.833, 0.106),
    Band("nir08", "B8A", 20, "nir08", 0.865, 0.021),
    Band("nir09", "B09", 60, "nir09", 0.945, 0.020),
    Band("cirrus", "B10", 60, "cirrus", 1.374, 0.031),
    Band("swir16", "B11", 20, "swir16", 1.614, 0.091),
    Band("swir22", "B12", 20, "swir22", 2.202, 0.175),
)
"""In the order of ESA's band identifiers 0 to 12 (Sentinel-2 Products Specification Document)."""

BY_ESA = {band.esa: band for band in BANDS}
BY_MUSCATE = {band.muscate: band for band in BANDS}
