"""Bands of a cube on the grid of any of its groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_NODATA
from cube.kernels.halving import halve
from cube.spec import DateEntry, Spec
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
        out[some] = coarser(cube.read(finest, name, slots[some], finer))
    return out


def coarser(band: NDArray[np.int16]) -> NDArray[np.int16]:
    """(time, 2 y, 2 x) int16 dn -> (time, y, x) mean of four, nodata where one of them is."""
    dates, height, width = band.shape
    out = np.empty((dates, height // 2, width // 2), np.int16)
    halve(band, REFLECTANCE_NODATA, out)
    return out


AOT = "aot"
"""Aerosol optical thickness at 550 nm, thousandths."""


def aot_group(spec: Spec, entries: Sequence[DateEntry]) -> str | None:
    """Cube and dates -> finest group that holds their aerosol; None where no date has any."""
    if not any(AOT in entry.variables for entry in entries):
        return None
    return next((group for group in spec.groups if spec.variable(group, AOT) is not None), None)


def read_aot(
    cube: Cube, group: str, entries: Sequence[DateEntry], window: tuple[slice, slice]
) -> NDArray[np.int16] | None:
    """Dates and a window in pixels of a group -> (time, y, x) int16 aerosol there, the nearest.

    Nodata -10000; dates whose source has no aerosol are 0 throughout. None where none has any.
    """
    held = aot_group(cube.spec, entries)
    if held is None:
        return None
    ratio = cube.spec.groups[group] / cube.spec.groups[held]
    rows, columns = (
        np.floor((np.arange(side.start, side.stop) + 0.5) * ratio).astype(int) for side in window
    )
    there = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    slots = [entry.slot for entry in entries]
    stored = cube.read(held, AOT, slots, there)
    found: NDArray[np.int16] = stored[:, rows - rows[0]][:, :, columns - columns[0]]
    found[[AOT not in entry.variables for entry in entries]] = 0
    return found
