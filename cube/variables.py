"""Which variables a cube of a level holds, in which group, with which encoding."""

from dataclasses import dataclass, replace
from typing import Literal

from cube.bands import AOT_SCALE, BANDS, REFLECTANCE_NODATA, REFLECTANCE_SCALE, Band
from cube.errors import BandError, GridError

Kind = Literal["reflectance", "encoded", "aot", "classes"]
Level = Literal["l2a", "maja", "l1c"]

NATIVE = (10, 20)
"""Resolutions of the groups of a native cube, metres; 60 m bands serve the atmosphere, not the land."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One array ``(time, y, x)`` of a cube."""

    name: str
    asset: str
    """Key of the source's asset."""
    kind: Kind
    resolution: int
    """Nominal ground sampling of the source, metres."""
    group: str
    dtype: str
    fill_value: int
    """Nodata of reflectances and AOT; of encoded masks the value of unwritten chunks, 0."""
    scale: float | None
    title: str
    outside: int = 0
    """Value of encoded masks beyond the source's raster: an edge mask says "outside" there."""


def group_name(resolution: int) -> str:
    """Resolution in metres -> name of the Zarr group, e.g. ``r10m``."""
    return f"r{resolution}m"


def level_variables(level: str, resolution: int | None = None) -> tuple[Variable, ...]:
    """Level ``l2a``, ``maja`` or ``l1c`` -> the variables of its cube.

    With ``resolution`` (metres) all lie in one group of that resolution; without, each in the group
    of its own. ``BandError`` for an unknown level, ``GridError`` for a resolution below 10 m.
    """
    if level not in _ENCODED:
        raise BandError(f"there is no level {level!r}; the levels are {' '.join(_ENCODED)}")
    if resolution is not None and resolution < min(NATIVE):
        raise GridError(
            f"a resolution of {resolution} m is finer than any band; 10 m is the finest"
        )
    bands = [_reflectance(band) for band in BANDS if band.resolution in NATIVE]
    found = [*bands, *(_encoded(*row) for row in _ENCODED[level])]
    if level != "l1c":
        found.append(_aot())
    names = [variable.name for variable in found]
    if resolution is None:
        return tuple(found)
    # The group of one resolution has one array a name: the finer of two masks of one name stays.
    firsts = [v for i, v in enumerate(found) if v.name not in names[:i]]
    return tuple(_regrouped(variable, resolution) for variable in firsts)


_ENCODED: dict[str, tuple[tuple[str, str, int, str], ...]] = {
    # name, asset, nominal resolution, title
    "l2a": (("scl", "scl", 20, "Sen2Cor scene classification"),),
    "maja": (
        ("clm", "clm", 10, "MAJA cloud and shadow bits"),
        ("mg2", "mg2", 10, "MAJA geophysical bits"),
        ("edg", "edg", 10, "MAJA edge of the image"),
        ("sat", "sat", 10, "MAJA saturation bits of the 10 m bands"),
        ("sat", "sat_20m", 20, "MAJA saturation bits of the 20 m bands"),
    ),
    "l1c": (("classi", "classi", 20, "ESA cloud classification bits: opaque, cirrus, snow"),),
}


def _reflectance(band: Band) -> Variable:
    return Variable(
        name=band.name,
        asset=band.name,
        kind="reflectance",
        resolution=band.resolution,
        group=group_name(band.resolution),
        dtype="int16",
        fill_value=REFLECTANCE_NODATA,
        scale=REFLECTANCE_SCALE,
        title=f"{band.esa} reflectance",
    )


def _encoded(name: str, asset: str, resolution: int, title: str) -> Variable:
    return Variable(
        name=name,
        asset=asset,
        kind="encoded",
        resolution=resolution,
        group=group_name(resolution),
        dtype="uint8",
        fill_value=0,
        scale=None,
        title=title,
        outside=int(name == "edg"),
    )


def _aot() -> Variable:
    return Variable(
        name="aot",
        asset="aot",
        kind="aot",
        resolution=20,
        group=group_name(20),
        dtype="int16",
        fill_value=REFLECTANCE_NODATA,
        scale=AOT_SCALE,
        title="aerosol optical thickness at 550 nm",
    )


def _regrouped(variable: Variable, resolution: int) -> Variable:
    return replace(variable, group=group_name(resolution))
