"""What a temporal mask method is given and how it is declared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Series:
    """All dates of one block on the 20 m grid: arrays ``(time, y, x)``, C order, read only."""

    bands: Mapping[str, NDArray[np.int16]]
    """dn (reflectance x 10000) by band name; nodata -10000. Bands of 10 m are means of 2 x 2,
    nodata where one of the four is."""
    days: NDArray[np.int32]
    """``(time,)`` UTC days since 1970-01-01, ascending."""
    classes: NDArray[np.uint8] | None = None
    """Single-date mask, codes of ``cube.classes``; given to methods that declare ``mask``."""


@dataclass(frozen=True, slots=True)
class TemporalMethod:
    """One way to tell cloud and shadow along the time axis: its declaration and its kernel call.

    Before ``finish`` a pixel depends on its own series and on neighbours within ``halo``: a block that is given with
    that many pixels around it, cut back afterwards, equals that part of the whole.
    """

    name: str
    """As in ``--method`` and in ids; no ``_``."""
    version: str
    """Raised whenever a change alters numbers."""
    title: str
    """One line for lists and item titles."""
    params: type[BaseModel]
    """Parameters: each field with description, unit and source; a field ``window`` says how many
    months on both sides of a date are in its series at least, or ``all``."""
    bands: tuple[str, ...]
    """Bands read, by common name (``cube.bands``)."""
    halo: Callable[[Any], int]
    """Parameters -> pixels of 20 m around a block that its result depends on."""
    detect: Callable[[Series, Any], NDArray[np.uint8]]
    """``(series, params)`` -> ``(time, y, x)`` codes of ``cube.classes``; ``MaskError`` where the
    series is too short."""
    provisional: Callable[[NDArray[np.int32], Any], NDArray[np.bool_]]
    """``(days, params)`` -> ``(time,)`` whether dates that may still come on one side could change
    what is said of a date."""
    bytes_a_date: int
    """Bytes a pixel and date that ``detect`` takes at most beside the series it is given."""
    finish: Callable[[NDArray[np.uint8], Any], NDArray[np.uint8]] | None = None
    """``(classes, params)`` -> the same, each date smoothed or grown by itself: done on whole dates,
    so that blocks need no margin for it."""
    mask: bool = False
    """Whether it starts from a single-date mask."""
