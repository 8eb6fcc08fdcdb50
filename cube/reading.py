"""Bands of a cube on the grid of any of its groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_NODATA
from cube.kernels.halving import halve
from cube.store import Cube

AT_ONCE = 16
"""Dates averaged at once: what that takes is small beside a series."""


def read_band(
    cube: Cube, group: str, name: str, slots: Sequence[int], window: tuple[slice, slice]
) -> NDArray[np.int16]:
    """Slots and a window in pixels of a group -> (time, y, x) int16 dn there, nodata -10000.

    A band of the group itself comes as stored; one of the finest group, which is twice as fine, as
    the mean of four, nodata where one of them is. ``StoreError`` where the cube has no such band.
    """
    spec = cube.spec
    if spec.variable(group, name) is not None:
        stored: NDArray[np.int16] = cube.read(group, name, slots, window)
        return stored
    finest = next(iter(spec.groups))
    rows, columns = window
    out = np.empty((len(slots), rows.stop - rows.start, columns.stop - columns.start), np.int16)
    finer = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
    for first in range(0, len(slots), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        halve(cube.read(finest, name, slots[some], finer), REFLECTANCE_NODATA, out[some])
    return out
