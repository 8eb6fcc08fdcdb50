"""What collections say of their items at once: summaries, and how their assets may be shown."""

from typing import Any

from catalog.backends.base import Document
from catalog.products.bands import BANDS

TOP = 3000
"""Stored reflectance that is white in pictures: 0.3, as that of land seldom is more."""
TOP_OF_VEGETATION = 5000
"""The same in the near infrared, of which vegetation reflects up to half."""


def summaries(level: str | None, finest: int = 10, coarsest: int = 20) -> Document:
    """Processing level if all have one, metres -> summaries of a collection made of Sentinel-2."""
    sizes = sorted({band.resolution for band in BANDS if finest <= band.resolution <= coarsest})
    levels = {} if level is None else {"processing:level": [level]}
    return {"constellation": ["sentinel-2"], "instruments": ["msi"], **levels, "gsd": sizes}


def renders() -> dict[str, dict[str, Any]]:
    """Ways to show a synthesis, as the render extension has them and titiler reads them.

    Values are those stored. The names are those of the renderings of ``/tiles``.
    """
    red, vegetation = [0, TOP], [0, TOP_OF_VEGETATION]
    return {
        "true-colour": {
            "title": "True colour",
            "assets": ["red", "green", "blue"],
            "rescale": [red, red, red],
            "nodata": -10000,
        },
        "false-colour": {
            "title": "False colour (near infrared, red, green)",
            "assets": ["nir", "red", "green"],
            "rescale": [vegetation, red, red],
            "nodata": -10000,
        },
        "ndvi": {
            "title": "NDVI",
            "assets": ["nir", "red"],
            "expression": "(b1-b2)/(b1+b2)",
            "rescale": [[-0.1, 0.9]],
            "colormap_name": "rdylgn",
            "nodata": -10000,
        },
    }
