"""What MAJA's two cloud rasters share: the rule from the meanings of their bits to a class."""

from dataclasses import dataclass

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, THIN_CLOUD
from cube.encodings._declaration import Options


@dataclass(frozen=True, slots=True)
class CloudBits:
    """Which bit says what; ``MUSCATE`` and the native format order them differently."""

    summary: int
    """All clouds except the thinnest, or any shadow."""
    clouds: tuple[int, ...]
    """All clouds, and the single tests that find one."""
    shadows: tuple[int, ...]
    thinnest: int

    def classify(self, value: int, reading: str, options: Options) -> int:
        """One value -> class.

        The summary bit by itself is a cloud, since up-sampling the union of clouds and shadows
        may leave it without either. The thinnest clouds are no part of the summary, so that
        bit does not explain it; a shadow bit does. Every non-zero value is then other than
        clear, and the strict reading of this raster alone is the standard one.
        """
        shadow = _any(value, self.shadows)
        if _any(value, self.clouds) or (_any(value, (self.summary,)) and not shadow):
            return CLOUD
        if shadow and reading != "clouds-only":
            return CLOUD_SHADOW
        return THIN_CLOUD if _any(value, (self.thinnest,)) else CLEAR


def _any(value: int, bits: tuple[int, ...]) -> bool:
    return any(value >> bit & 1 for bit in bits)
