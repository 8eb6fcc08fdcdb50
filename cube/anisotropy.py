"""Directions on the synthetic countryside: how bright it is by where the sun and the sensor stand.

A cover reflects 1 + v K_vol + g K_geo times as much, over the same with the sensor in the zenith and the
sun 45 degrees from it, with the kernels of ``cube.directional``. v and g are mixed as the endmembers'
reflectances are: foliage scatters from its volume, soil, stubble and crowns by their shadows, water not
at all; and each parcel departs from its cover. So they lie round the global coefficients by which
``cube.directional`` corrects, and are nowhere those: what a correction gains here is not what it was
given. There is no hot spot and no glint.

What is true is what a sensor in the zenith would see with the sun where it stood on that date.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cube.angles import SceneAngles
from cube.bands import band
from cube.directional import ROY, Frame, li_sparse, ross_thick
from cube.landscape import (
    ENDMEMBERS,
    SPECTRA,
    SURFACE_BANDS,
    Landscape,
    coarsen,
    endmember_shares,
    fine_reflectance,
)

REFERENCE_SUN = 45.0
"""Zenith of the sun under which the endmembers' spectra hold, seen from nadir."""

# Volumetric and geometric scattering over the global mean: numbers of this simulator, such that closed
# canopies scatter from their volume, rough and sparse ground by its shadows (Gao et al. 2003, "Detecting
# vegetation structure using a kernel-based BRDF model").
_OVER_MEAN = {
    "green": (1.25, 0.75),
    "yellow": (1.10, 0.80),
    "dry": (0.75, 1.15),
    "soil": (0.60, 1.35),
    "leaf": (1.20, 1.10),
    "twig": (0.80, 1.50),
    "needle": (0.90, 1.60),
    "water": (0.0, 0.0),
    "street": (0.40, 1.00),
    "tile": (0.40, 1.60),
    "bright": (0.30, 1.20),
}
_ALIKE = {"coastal": "blue", "nir09": "nir08"}
"""Bands without coefficients of their own, and those they are taken to be like."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Both kernels at each pixel of 10 m, or for all of them."""

    volumetric: NDArray[np.float32]
    """``(y, x)`` or ``()``."""
    geometric: NDArray[np.float32]


def nadir_kernels(sun_zenith: float) -> Kernels:
    """Zenith of the sun, degrees -> kernels of a sensor in the zenith, the same everywhere."""
    return _kernels(np.array(sun_zenith), np.array(0.0), np.array(0.0))


def scene_kernels(
    angles: SceneAngles, frame: Frame, shape: tuple[int, int], name: str | None = None
) -> Kernels:
    """Grids of angles -> kernels at the pixels of a block.

    Parameters
    ----------
    angles
        Grids; a node's direction is that of any detector that looks there.
    frame
        Where the block is, and its pixels' side.
    shape
        Rows and columns.
    name
        The band whose views are meant; None for a sensor in the zenith.
    """
    sun, azimuth = angles.sun[0]
    view = np.zeros((2, *sun.shape)) if name is None else _merged(angles.views[name])
    nodes = _kernels(sun, view[0], azimuth - view[1])
    down = _between(sun.shape[0], shape[0], angles.top - frame.top, angles.step[1], frame)
    right = _between(sun.shape[1], shape[1], frame.left - angles.left, angles.step[0], frame)
    volumetric, geometric = (
        _interpolated(_interpolated(each, down).T, right).T
        for each in (nodes.volumetric, nodes.geometric)
    )
    return Kernels(volumetric, geometric)


def directed_reflectance(
    landscape: Landscape,
    day: float,
    kernels: Kernels | Mapping[str, Kernels],
    names: tuple[str, ...] = SURFACE_BANDS,
) -> dict[str, NDArray[np.float32]]:
    """Landscape, day of year, directions -> {band: (y, x) float32 reflectance at its own resolution}.

    ``kernels`` are of all bands, or one of each by name. Free of clouds, atmosphere and noise.
    """
    shares = endmember_shares(landscape, day)
    before = nadir_kernels(REFERENCE_SUN)
    seen = {}
    for name, fine in fine_reflectance(landscape, day, names).items():
        now = kernels if isinstance(kernels, Kernels) else kernels[name]
        volumetric, geometric = parcel_coefficients(landscape, shares, name)
        lit = 1 + volumetric * before.volumetric + geometric * before.geometric
        base, volume, shadows = (
            (each / lit).astype(np.float32)[landscape.parcel]
            for each in (np.ones_like(lit), volumetric, geometric)
        )
        fine *= base + volume * now.volumetric + shadows * now.geometric
        seen[name] = coarsen(fine, band(name).resolution // 10)
    return seen


def parcel_coefficients(
    landscape: Landscape, shares: NDArray[np.float32], name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(parcel, endmember) shares, band -> (parcel,) volumetric and geometric, over the isotropic."""
    light = shares * SPECTRA[:, SURFACE_BANDS.index(name)]
    light /= light.sum(axis=1, keepdims=True)
    factors = np.array([_OVER_MEAN[each] for each in ENDMEMBERS], np.float32)
    factors *= np.array(ROY[_ALIKE.get(name, name)], np.float32)
    volumetric, geometric = (light @ factors).T
    return volumetric * landscape.parcel_volume, geometric * landscape.parcel_geometry


def _kernels(
    sun: NDArray[np.float64], view: NDArray[np.float64], azimuth: NDArray[np.float64]
) -> Kernels:
    """Angles in degrees -> kernels."""
    at = np.radians(sun), np.radians(view), np.radians(azimuth)
    return Kernels(ross_thick(*at).astype(np.float32), li_sparse(*at).astype(np.float32))


def _merged(detectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(detector, 2, row, column) -> (2, row, column) of the first detector that looks."""
    merged: NDArray[np.float64] = detectors[0].copy()
    for other in detectors[1:]:
        merged = np.where(np.isnan(merged), other, merged)
    return merged


Between = tuple[NDArray[np.intp], NDArray[np.float32]]
"""Of each pixel along an axis the node before it, and how far it is to the next one, 0 to 1."""


def _between(count: int, side: int, offset: float, step: float, frame: Frame) -> Between:
    """Nodes, pixels, metres from the first node to the first pixel's edge -> where pixels lie."""
    centres = (offset + frame.resolution * (np.arange(side) + 0.5)) / step
    before = np.floor(centres).clip(0, count - 2).astype(np.intp)
    return before, (centres - before).clip(0, 1).astype(np.float32)


def _interpolated(nodes: NDArray[np.float32], between: Between) -> NDArray[np.float32]:
    """(node, ...) -> (pixel, ...) linear along the first axis."""
    before, share = between
    share = share[:, None]
    along: NDArray[np.float32] = nodes[before] * (1 - share) + nodes[before + 1] * share
    return along
