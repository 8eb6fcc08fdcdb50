"""Arrays of clearcube: grids, loading, masks, syntheses and the Zarr store; no server, no scheduler.

The names below are imported when they are first used, so that ``import cube`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cube.bands import BANDS
    from cube.classes import CLASSES
    from cube.errors import CubeError
    from cube.grid import Extent, tile_extent
    from cube.masks import decode, dilate, encoding, explain
    from cube.periods import Period
    from cube.series import load_items
    from cube.store import open_cube
    from cube.synthesis import method

__all__ = [
    "BANDS",
    "CLASSES",
    "CubeError",
    "Extent",
    "Period",
    "decode",
    "dilate",
    "encoding",
    "explain",
    "load_items",
    "method",
    "open_cube",
    "tile_extent",
]

_HOMES = {
    "BANDS": "bands",
    "CLASSES": "classes",
    "CubeError": "errors",
    "Extent": "grid",
    "Period": "periods",
    "decode": "masks",
    "dilate": "masks",
    "encoding": "masks",
    "explain": "masks",
    "load_items": "series",
    "method": "synthesis",
    "open_cube": "store",
    "tile_extent": "grid",
}
"""Name -> module of this package."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cube' has no attribute {name!r}")
    return getattr(import_module(f"cube.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
