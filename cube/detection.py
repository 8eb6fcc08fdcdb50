"""A temporal mask method over one block of a cube: its dates read, with a margin, and told apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube.decoding import MaskReading, read_classes
from cube.errors import GridError
from cube.grid import Block
from cube.joined import GROUP
from cube.reading import read_band
from cube.spec import DateEntry, Spec
from cube.store import Cube
from cube.temporal import Series, TemporalMethod

MASKS = {"l2a": "scl", "maja": "clm", "l1c": "classi"}
"""The mask that comes with the products of a level: what methods start from that start from one."""


def require_grid(spec: Spec, method: str) -> None:
    """``GridError`` where a cube does not have the 20 m group that temporal masks lie in."""
    if GROUP not in spec.groups:
        sizes = " ".join(f"{size} m" for size in spec.groups.values())
        raise GridError(
            f"{method} works at 20 m and the {spec.level} cube of {spec.tile} holds {sizes}; make a "
            "cube without --resolution in another workspace"
        )


def days_of(entries: Sequence[DateEntry]) -> NDArray[np.int32]:
    """Dates -> (time,) int32 UTC days since 1970-01-01."""
    return np.array(
        [int(e.datetime.astype("datetime64[D]").astype(int)) for e in entries], np.int32
    )


def detect_block(
    cube: Cube,
    entries: Sequence[DateEntry],
    wanted: Sequence[int],
    block: Block,
    method: TemporalMethod,
    params: Any,
) -> NDArray[np.uint8]:
    """Dates of a series, places of some of them in it -> (wanted, y, x) uint8 classes of a block.

    ``entries`` are in order of time, the block is counted in pixels of the 20 m group. It is read
    with the method's margin around it, as far as the cube goes, so that blocks of any size equal
    those parts of the whole. ``GridError`` where the cube has no 20 m group, ``MaskError`` where
    the series is too short.
    """
    require_grid(cube.spec, method.name)
    height, width = cube.spec.shape(GROUP)
    margin = method.halo(params)
    top, left = max(0, block.y0 - margin), max(0, block.x0 - margin)
    window = (
        slice(top, min(height, block.y0 + block.height + margin)),
        slice(left, min(width, block.x0 + block.width + margin)),
    )
    slots = [entry.slot for entry in entries]
    bands = {name: read_band(cube, GROUP, name, slots, window) for name in method.bands}
    classes = None
    if method.mask:
        reading = MaskReading(MASKS[cube.spec.level])
        classes = read_classes(cube, entries, reading, GROUP, window)
    found = method.detect(Series(bands, days_of(entries), classes), params)
    rows = slice(block.y0 - top, block.y0 - top + block.height)
    columns = slice(block.x0 - left, block.x0 - left + block.width)
    return np.ascontiguousarray(found[list(wanted), rows, columns])
