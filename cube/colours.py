"""How reflectance is shown: one stretch for thumbnails, quicklooks, maps and differences."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_SCALE

TOP = 0.3
"""Reflectance that is shown as bright as can be: few fields and forests have more in red, green, blue."""

GAMMA = 1.6
"""Lifts the dark, so that forests are told apart as well as fields."""

_TOP_DN = float(round(TOP / REFLECTANCE_SCALE))


def stretched(dn: NDArray[Any]) -> NDArray[np.uint8]:
    """(...,) dn -> (...,) uint8, 0 to ``TOP`` stretched by ``GAMMA``; nodata is 0."""
    shown: NDArray[np.uint8] = np.rint(np.clip(dn / _TOP_DN, 0, 1) ** (1 / GAMMA) * 255).astype(
        np.uint8
    )
    return shown
