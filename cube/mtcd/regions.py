"""Patches of the coarse grid: growing, closing, labelling, shares by patch."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cube.mtcd.image import Flags

Labels = NDArray[np.int32]


def grow(flags: Flags, radius: int) -> Flags:
    """(h, w) bool -> True within `radius` cells, from centre to centre."""
    if radius == 0 or not flags.any():
        return flags.copy()
    grown: Flags = ndimage.binary_dilation(flags, _disc(radius))
    return grown


def shrink(flags: Flags, radius: int) -> Flags:
    """(h, w) bool -> True where all within `radius` cells is; beyond the edge all is."""
    if radius == 0:
        return flags.copy()
    shrunk: Flags = ndimage.binary_erosion(flags, _disc(radius), border_value=1)
    return shrunk


def close(flags: Flags, radius: int) -> Flags:
    """(h, w) bool -> gaps and notches closed that no disc of `radius` cells fits in."""
    if radius == 0:
        return flags.copy()
    # With room round it, so that what is grown towards an edge is taken back there.
    padded = np.pad(flags, radius)
    return shrink(grow(padded, radius), radius)[radius:-radius, radius:-radius]


def label(flags: Flags) -> tuple[Labels, int]:
    """(h, w) bool -> patches of neighbours by side, numbered from 1, 0 elsewhere; their number."""
    labels, count = ndimage.label(flags, output=np.int32)
    return labels, int(count)


def boxes(labels: Labels) -> list[tuple[slice, slice]]:
    """Patches -> the rows and columns that each reaches over, in order of their numbers."""
    found: list[tuple[slice, slice]] = ndimage.find_objects(labels)
    return found


def shares(labels: Labels, count: int, flags: Flags) -> NDArray[np.float64]:
    """Patches, (h, w) bool -> (count + 1) share of each patch that is True; 0 for no patch."""
    size = np.bincount(labels.ravel(), minlength=count + 1)
    inside = np.bincount(labels[flags], minlength=count + 1)
    inside[0] = 0
    return inside / np.maximum(size, 1)


def _disc(radius: int) -> Flags:
    away = np.arange(-radius, radius + 1)
    inside: Flags = away[:, None] ** 2 + away**2 <= radius**2
    return inside
