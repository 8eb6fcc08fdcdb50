"""What mtcd carries from date to date, in memory and on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube.errors import MaskError
from cube.mtcd.archive import Kind, unpacked
from cube.mtcd.coarse import CoarseGrid
from cube.mtcd.image import Flags, Floats, Image, Meta, reflectance, stored

VERSION = 1
"""Version of the file; raised whenever what it holds or means changes."""

CARRIED = ("blue", "red", "nir")
"""Roles of the bands of the reference: those that tests compare."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The cloud-free reference and what goes with it, on the coarse grid; never changed in place."""

    grid: CoarseGrid
    level: str
    """Surface or top of the atmosphere: levels do not mix."""
    sources: dict[str, str]
    """Role -> band of the reference."""
    day: int
    """UTC days since 1970-01-01 of the date after which this is the state."""
    reference: dict[str, Floats]
    """(h, w) float32 reflectance by role, NaN where there is no reference."""
    days: NDArray[np.int32]
    """(h, w) day each reference pixel was seen on; after `day` where a start went backward."""
    missing: Flags
    """(h, w) True where there is no reference."""
    stack: Floats
    """(n, h, w) float32 red of the last dates, clouds and all, the newest first."""
    stack_days: NDArray[np.int32]
    """(n,) their days."""
    water_tested: NDArray[np.uint16]
    """(h, w) last dates, the newest in bit 0: whether the ground was seen."""
    water_possible: NDArray[np.uint16]
    """(h, w) the same: whether it looked like water."""
    outside: Flags
    """(h, w) shadow from outside the image on the last date, where no other shadow was."""


def check(state: State, image: Image, meta: Meta) -> None:
    """State, image -> nothing; ``MaskError`` where the one cannot be compared with the other."""
    sources = {role: image.sources[role] for role in CARRIED if role in image.sources}
    here = (image.grid, meta.level, sources)
    there = (state.grid, state.level, state.sources)
    for what, now, before in zip(("grid", "level", "bands"), here, there, strict=True):
        if now != before:
            raise MaskError(
                f"mtcd: the {what} of this date ({now}) is not that of the reference ({before}); "
                "start anew from the first date"
            )


def save(state: State, path: Path) -> None:
    """State -> one file, written beside and renamed; the same state gives the same bytes."""
    header = {
        "cell": state.grid.cell,
        "fine": state.grid.fine,
        "level": state.level,
        "sources": state.sources,
        "day": state.day,
    }
    arrays: dict[str, NDArray[Any]] = {
        **{f"reference_{role}": stored(state.reference[role]) for role in sorted(state.sources)},
        "days": state.days,
        "missing": np.packbits(state.missing),
        "stack": stored(state.stack),
        "stack_days": state.stack_days,
        "water_tested": state.water_tested,
        "water_possible": state.water_possible,
        "outside": np.packbits(state.outside),
    }
    _KIND.write(path, header, arrays)


def load(path: Path) -> State:
    """File -> the state that `save` was given, bit by bit.

    ``StoreError`` where it cannot be read or another version wrote it.
    """
    return _KIND.read(path, _state)


_KIND = Kind("state", VERSION, "start anew from the first date")


def _state(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> State:
    rows, columns = header["fine"]
    grid = CoarseGrid(int(header["cell"]), (int(rows), int(columns)))
    sources: dict[str, str] = header["sources"]
    return State(
        grid=grid,
        level=str(header["level"]),
        sources=sources,
        day=int(header["day"]),
        reference={
            role: reflectance(arrays[f"reference_{role}"].astype(np.int16)) for role in sources
        },
        days=arrays["days"].astype(np.int32),
        missing=unpacked(arrays["missing"], grid.shape),
        stack=reflectance(arrays["stack"].astype(np.int16)),
        stack_days=arrays["stack_days"].astype(np.int32),
        water_tested=arrays["water_tested"].astype(np.uint16),
        water_possible=arrays["water_possible"].astype(np.uint16),
        outside=unpacked(arrays["outside"], grid.shape),
    )
