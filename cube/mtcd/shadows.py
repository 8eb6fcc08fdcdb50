"""Shadows: where clouds of unknown height may throw them, and where the ground has darkened there."""

import math

import numpy as np
from numpy.typing import NDArray

from cube.kernels import mtcd as kernels
from cube.mtcd.image import Flags, Floats, Image, Meta
from cube.mtcd.many_dates import recognised
from cube.mtcd.params import MtcdParams
from cube.mtcd.regions import grow, label, shares
from cube.mtcd.state import State

Vector = NDArray[np.float64]


def displacements(meta: Meta, cell: int) -> tuple[Vector, Vector]:
    """Angles, metres of a cell -> (down, right) cells per metre of height, to sensor and to sun.

    With u(φ) = (sin φ, cos φ) in (east, north), a cloud seen at p stands over p + h tan θv u(φv);
    its shadow lies h tan θs u(φs) from there, away from the sun.
    """

    def toward(zenith: float, azimuth: float) -> Vector:
        length = math.tan(math.radians(zenith)) / cell
        angle = math.radians(azimuth)
        return np.array([-math.cos(angle) * length, math.sin(angle) * length])

    return toward(*meta.view), toward(meta.sun_zenith, meta.sun_azimuth)


def darkening(image: Image, state: State, excluded: Flags) -> Floats:
    """Image, state -> (h, w) float32 red over the reference's red; NaN where excluded or unknown."""
    was = state.reference["red"]
    ratio = np.full(image.grid.shape, np.nan, np.float32)
    there = image.observed & ~state.missing & ~excluded & (was > 0)
    np.divide(image.bands["red"], was, out=ratio, where=there)
    return ratio


def shadow_limit(ratio: Floats, cloudy: float, params: MtcdParams) -> float:
    """(h, w) darkening, share of clouds -> the ratio below which a cell may be in shadow.

    As large a share of the land may be in shadow as is in cloud, and a little more.
    """
    known = ratio[ratio > 0]
    if not known.size:
        return params.darkening_max
    share = max(params.darkening_percentile, min(params.darkening_cover * cloudy, 1.0))
    return min(float(np.quantile(known, share)), params.darkening_max)


def cast_shadows(
    ratio: Floats, clouds: Flags, image: Image, meta: Meta, params: MtcdParams
) -> Flags:
    """(h, w) float32 darkening, bool clouds -> (h, w) bool their shadows.

    Each cloud is put at every altitude in turn, over the relief where there is a DEM. Where its
    shadow would be far larger than itself, only the darkest of it stay.
    """
    view, sun = displacements(meta, image.grid.cell)
    # Neighbours by side once each has grown are one cloud; only what was cloud throws a shadow.
    labels, count = label(grow(clouds, params.dilation))
    owners = np.where(clouds, labels, 0).ravel()
    order = np.argsort(owners, kind="stable").astype(np.int32)
    starts = np.searchsorted(owners[order], np.arange(1, count + 2)).astype(np.int32)
    seen = image.observed.sum()
    cloudy = float((clouds & image.observed).sum() / seen) if seen else 0.0
    altitude = np.zeros(image.grid.shape, np.float32)
    if image.altitude is not None:
        altitude = np.nan_to_num(image.altitude)
    out = np.zeros(image.grid.shape, np.bool_)
    kernels.cast_shadows(
        order,
        starts,
        np.ascontiguousarray(altitude),
        _heights(view - sun, params),
        view,
        sun,
        ratio,
        shadow_limit(ratio, cloudy, params),
        params.darkening_max,
        params.small_cloud,
        params.shadow_share_small,
        params.shadow_share,
        out,
    )
    return out


def outside_shadows(
    ratio: Floats, inside: Flags, image: Image, state: State, meta: Meta, params: MtcdParams
) -> Flags:
    """(h, w) float32 darkening, bool shadows -> (h, w) bool shadows of clouds outside the image.

    Such a shadow lies where a cloud of the greatest height would stand outside, is darker than
    most shadows inside, was not there on the date before, and shows unknown ground.
    """
    known = ratio[inside]
    known = known[known > 0]
    if not known.size:
        return np.zeros(image.grid.shape, np.bool_)
    limit = min(float(np.quantile(known, params.outside_percentile)), params.outside_darkening_max)
    view, sun = displacements(meta, image.grid.cell)
    found = ~_moved(image.observed, (view - sun) * params.height_max) & (ratio < limit)
    labels, count = label(found)
    persistent = shares(labels, count, state.outside) > params.outside_persistent
    found &= ~persistent[labels]
    found &= ~recognised(image, state, meta.day, params, found)
    return found


def _heights(move: Vector, params: MtcdParams) -> Vector:
    """Altitudes to try; steps move a shadow by a cell at most, so that it has no gaps."""
    fastest = float(np.abs(move).max())
    step = min(params.height_step, 1 / fastest) if fastest > 0 else params.height_step
    count = math.ceil(params.height_max / step) + 1
    return np.linspace(0, params.height_max, count)


def _moved(flags: Flags, move: Vector) -> Flags:
    """(h, w) bool -> the same moved by (down, right) cells, False where it came from outside."""
    down, right = (round(float(part)) for part in move)
    rows, columns = flags.shape
    moved = np.zeros_like(flags)
    if abs(down) < rows and abs(right) < columns:
        target = (_span(down, rows), _span(right, columns))
        source = (_span(-down, rows), _span(-right, columns))
        moved[target] = flags[source]
    return moved


def _span(move: int, size: int) -> slice:
    return slice(max(move, 0), size + min(move, 0))
