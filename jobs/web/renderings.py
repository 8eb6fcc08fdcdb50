"""Named ways to show rasters: stored pixels -> red, green, blue, alpha, and the legend of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.backends.base import Document
from catalog.search import times_of
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import CLASSES, CLEAR, NO_OBSERVATION, STATUSES, MaskClass, palette
from cube.colours import GAMMA, TOP
from cube.composite import DATE_NODATA, day_number
from cube.errors import CubeError
from jobs.errors import JobError
from jobs.figures import CLASS_COLOURS
from jobs.recorded_month import recorded_month

VERSION = "1"
"""Part of every tile's ETag: raised when the same pixels would be shown otherwise."""

Pixels = Sequence[NDArray[Any]]
"""A ``(y, x)`` array for each raster of a rendering, as stored; reflectances as dn."""

Picture = NDArray[np.uint8]
"""(y, x, 4) red, green, blue, alpha."""

NEAR_INFRARED = ("nir", "nir08")
"""The 10 m band where there is one, else the narrow one at 20 m."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values that the two ends of a ramp stand for."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rendering:
    """One named way to show an item."""

    name: str
    title: str
    rasters: tuple[tuple[str, ...], ...]
    """For each raster shown, the assets that may give it, best first."""
    paint: Callable[[Pixels, Scale], Picture]
    legend: Callable[[Scale], Document]
    scale: Callable[[Document], Scale] = lambda _item: Scale(0, 1)
    """Item -> what the ends of the ramp stand for."""
    smooth: bool = False
    """Whether neighbouring pixels may be mixed where a picture is coarser than the raster."""
    reflectance: bool = False

    def assets(self, held: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Assets of an item (or bands of a cube) -> those shown; None where one is missing."""
        found = [next((k for k in keys if k in held), None) for keys in self.rasters]
        names = tuple(name for name in found if name is not None)
        return names if len(names) == len(found) else None


def renderings_of(held: Mapping[str, Any]) -> Iterator[Rendering]:
    """Assets of an item -> the renderings that they allow."""
    for each in RENDERINGS.values():
        if each.assets(held) is not None:
            yield each


# --- colours --------------------------------------------------------------------------------------


def _three(tops: tuple[float, float, float]) -> Callable[[Pixels, Scale], Picture]:
    """Three reflectances, each stretched to its own top with the gamma of the thumbnails."""

    def paint(pixels: Pixels, _scale: Scale) -> Picture:
        picture = _blank(pixels[0])
        seen = np.ones(picture.shape[:2], bool)
        for index, (dn, top) in enumerate(zip(pixels, tops, strict=True)):
            picture[..., index] = _stretch(top)[np.clip(dn, 0, round(top / REFLECTANCE_SCALE))]
            seen &= dn != REFLECTANCE_NODATA
        picture[..., 3] = np.where(seen, 255, 0)
        return picture

    return paint


@lru_cache
def _stretch(top: float) -> NDArray[np.uint8]:
    """Reflectance that is white -> the brightness of every dn up to it."""
    dn = np.arange(round(top / REFLECTANCE_SCALE) + 1, dtype=np.float32)
    share = np.clip(dn * np.float32(REFLECTANCE_SCALE / top), 0, 1) ** np.float32(1 / GAMMA)
    brightness: NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return brightness


def _index(pixels: Pixels, scale: Scale) -> Picture:
    """Near infrared and red -> NDVI along the ramp."""
    nir, red = (dn.astype(np.float32) for dn in pixels)
    total = nir + red
    seen = (pixels[0] != REFLECTANCE_NODATA) & (pixels[1] != REFLECTANCE_NODATA) & (total > 0)
    ndvi = np.divide(nir - red, total, out=np.zeros_like(total), where=seen)
    return _along(ndvi, seen, scale, "RdYlGn")


def _ramp(colours: str, nodata: float) -> Callable[[Pixels, Scale], Picture]:
    def paint(pixels: Pixels, scale: Scale) -> Picture:
        return _along(pixels[0], pixels[0] != nodata, scale, colours)

    return paint


def _along(values: NDArray[Any], seen: NDArray[np.bool_], scale: Scale, colours: str) -> Picture:
    span = max(scale.high - scale.low, 1e-9)
    place = np.clip((values.astype(np.float32) - scale.low) / span, 0, 1)
    picture: Picture = _colours(colours)[np.rint(place * 255).astype(np.uint8)]
    picture[~seen] = 0
    return picture


@lru_cache
def _colours(name: str) -> Picture:
    """Name of a colour map of matplotlib -> its 256 colours."""
    from matplotlib import colormaps

    table: Picture = colormaps[name](np.arange(256), bytes=True)
    return table


def _coded(colours: Mapping[int, tuple[int, int, int, int]]) -> Callable[[Pixels, Scale], Picture]:
    table = np.zeros((256, 4), np.uint8)
    for code, colour in colours.items():
        table[code] = colour

    def paint(pixels: Pixels, _scale: Scale) -> Picture:
        picture: Picture = table[pixels[0]]
        return picture

    return paint


def _blank(like: NDArray[Any]) -> Picture:
    return np.zeros((*like.shape, 4), np.uint8)


# --- legends --------------------------------------------------------------------------------------


def _no_legend(_scale: Scale) -> Document:
    return {"kind": "none"}


def _ramp_legend(colours: str, unit: str, kind: str = "ramp") -> Callable[[Scale], Document]:
    def legend(scale: Scale) -> Document:
        stops = _colours(colours)[np.linspace(0, 255, 9).astype(int), :3]
        return {
            "kind": kind,
            "unit": unit,
            "low": scale.low,
            "high": scale.high,
            "stops": [_hex(stop) for stop in stops],
        }

    return legend


def _class_legend(
    classes: Sequence[MaskClass], colours: Mapping[int, tuple[int, int, int, int]]
) -> Callable[[Scale], Document]:
    entries = [
        {"code": c.code, "name": c.name, "colour": _hex(colours[c.code]), "about": c.description}
        for c in classes
        if colours[c.code][3]
    ]
    return lambda _scale: {"kind": "classes", "classes": entries}


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour[:3])


# --- scales ---------------------------------------------------------------------------------------


def _window(item: Document) -> Scale:
    """First and last day of the dates that a synthesis may be made of, since 1970-01-01."""
    try:
        first, last = recorded_month(item).window
    except (JobError, CubeError, ValueError):
        # Made by a job of a user's own, which says its period and no more.
        first, last = (end.date() for end in times_of(item))
    return Scale(day_number(first), day_number(last))


def _counts(item: Document) -> Scale:
    """None to all of the dates that a synthesis was made of."""
    return Scale(0, max(1, int(item["properties"].get("clearcube:dates", 10))))


_OVER = {
    c.code: (*CLASS_COLOURS[c.code], 0 if c.code in (NO_OBSERVATION, CLEAR) else 255)
    for c in CLASSES
}
"""Colours that stand out from a picture: cloud is not white there, clear ground not covered."""

RENDERINGS: Mapping[str, Rendering] = {
    each.name: each
    for each in (
        Rendering(
            "true-colour", "True colour", (("red",), ("green",), ("blue",)),
            _three((TOP, TOP, TOP)), _no_legend, smooth=True, reflectance=True,
        ),
        Rendering(
            "false-colour", "False colour (near infrared, red, green)",
            (NEAR_INFRARED, ("red",), ("green",)),
            # Vegetation reflects up to half of the near infrared.
            _three((0.5, TOP, TOP)), _no_legend, smooth=True, reflectance=True,
        ),
        Rendering(
            "ndvi", "NDVI", (NEAR_INFRARED, ("red",)),
            _index, _ramp_legend("RdYlGn", "NDVI"), lambda _item: Scale(-0.1, 0.9),
            smooth=True, reflectance=True,
        ),
        Rendering(
            "weight", "Sum of weights", (("weight",),),
            # The weights of `wasp` are at most 1 a date; sums beyond 4 are rare.
            _ramp("plasma", 0.0), _ramp_legend("plasma", "sum of weights"), lambda _item: Scale(0, 4),
            smooth=True,
        ),
        Rendering(
            "date", "Mean date", (("date",),),
            _ramp("viridis", DATE_NODATA), _ramp_legend("viridis", "mean date", "days"), _window,
        ),
        Rendering(
            "clear_count", "Clear dates", (("clear_count",),),
            _ramp("YlGnBu", -1), _ramp_legend("YlGnBu", "clear dates"), _counts,
        ),
        Rendering(
            "total_count", "Observed dates", (("total_count",),),
            _ramp("YlGnBu", -1), _ramp_legend("YlGnBu", "observed dates"), _counts,
        ),
        Rendering(
            "status", "Status", (("status",),),
            _coded(palette(STATUSES)), _class_legend(STATUSES, palette(STATUSES)),
        ),
        Rendering(
            "mask", "Classes", (("mask",),),
            _coded(palette()), _class_legend(CLASSES, palette()),
        ),
        Rendering(
            "mask-overlay", "What is not clear", (("mask",),),
            _coded(_OVER), _class_legend(CLASSES, _OVER),
        ),
    )
}  # fmt: skip
"""By name, in the order in which they are offered."""
