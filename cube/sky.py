"""Synthetic skies: clouds with thick cores and thin edges, and the shadows they throw.

Geometry is that of a flat earth: a cloud at height dh above the ground is seen displaced away from
the sensor, and its shadow lies on the far side of the cloud from the sun. With u(φ) = (sin φ, cos φ)
in (east, north) and azimuths φ toward the sensor and the sun, the shadow of a cloud *seen* at
(x, y) lies at (x, y) + dh·tan θv·u(φv) - dh·tan θs·u(φs).
"""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from cube.landscape import SURFACE_BANDS, coarsen, fractal

FAINTEST = 0.03
"""Opacity below which air counts as clear; smaller values are set to 0."""

# Share of sunlight that a full shadow takes away: skylight fills shadows in the blue most (the
# scattered share of irradiance in a clear mid-latitude atmosphere falls from 0.4 to 0.05).
_SHADOW_DEPTH = (0.50, 0.55, 0.62, 0.67, 0.69, 0.71, 0.73, 0.74, 0.75, 0.76, 0.80, 0.82)
# Reflectance of opaque water cloud; ice and water absorb beyond 1.5 µm.
_CLOUD = (0.74, 0.74, 0.72, 0.73, 0.74, 0.74, 0.74, 0.74, 0.74, 0.72, 0.50, 0.38)


@dataclass(frozen=True, slots=True)
class Angles:
    """Where the sun and the sensor stand, degrees; azimuths clockwise from north, toward them."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float
    view_azimuth: float


@dataclass(frozen=True, slots=True)
class CloudLayer:
    """Clouds of one height and kind."""

    cover: float
    """Share of the scene, 0 to 1."""
    height: float
    """Metres above the ground."""
    opacity: float = 1.0
    """Greatest opacity: about 0.3 for cirrus."""
    slope: float = 1.6
    """Exponent of the amplitude spectrum: larger makes larger clouds."""
    largest: float = math.inf
    """Metres beyond which no larger clouds form, however large the scene."""


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """What stands between the sensor and a scene, at 10 m."""

    opacity: NDArray[np.float32]
    """(y, x) of all clouds as seen, 0 to 1."""
    high: NDArray[np.float32]
    """(y, x) opacity of the clouds above 5 km alone."""
    shadow: NDArray[np.float32]
    """(y, x) share of direct sunlight taken by clouds, 0 to 1."""
    outside: NDArray[np.bool_]
    """(y, x) True where the shadow is thrown by a cloud outside the scene."""


def sun_position(moment: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """UTC, degrees -> sun zenith and azimuth, degrees, to about 0.2 degrees.

    Low-precision formulas of the Astronomical Almanac (section C, "Low precision formulas for the
    Sun's coordinates").
    """
    days = (moment.replace(tzinfo=None) - datetime(2000, 1, 1, 12)).total_seconds() / 86400
    mean_longitude = math.radians((280.460 + 0.9856474 * days) % 360)
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = mean_longitude + math.radians(
        1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians((280.46062 + 360.98564737 * days + longitude) % 360)
    hour = sidereal - ascension
    phi = math.radians(latitude)
    cosine = math.sin(phi) * math.sin(declination)
    cosine += math.cos(phi) * math.cos(declination) * math.cos(hour)
    azimuth = math.atan2(
        -math.sin(hour), math.tan(declination) * math.cos(phi) - math.sin(phi) * math.cos(hour)
    )
    return math.degrees(math.acos(cosine)), math.degrees(azimuth) % 360


def shadow_displacement(height: float, angles: Angles) -> tuple[float, float]:
    """Height above ground, metres -> (east, north) metres from a cloud as seen to its shadow."""
    view = height * math.tan(math.radians(angles.view_zenith))
    sun = height * math.tan(math.radians(angles.sun_zenith))
    view_azimuth, sun_azimuth = math.radians(angles.view_azimuth), math.radians(angles.sun_azimuth)
    return (
        view * math.sin(view_azimuth) - sun * math.sin(sun_azimuth),
        view * math.cos(view_azimuth) - sun * math.cos(sun_azimuth),
    )


def build_sky(
    shape: tuple[int, int], layers: tuple[CloudLayer, ...], angles: Angles, seed: int | list[int]
) -> Sky:
    """(rows, columns) at 10 m -> the sky over the scene; layers are independent."""
    rng = np.random.default_rng(seed)
    clearness = np.ones(shape, dtype=np.float32)
    light = np.ones(shape, dtype=np.float32)
    high = np.zeros(shape, dtype=np.float32)
    from_outside = np.zeros(shape, dtype=np.float32)
    for layer in layers:
        if layer.cover <= 0:
            continue
        seen, thrown, outside = _layer(shape, layer, angles, rng)
        clearness *= 1 - seen
        light *= 1 - thrown
        from_outside = np.maximum(from_outside, np.where(outside, thrown, 0))
        if layer.height > 5000:
            high = np.maximum(high, seen)
    opacity = 1 - clearness
    shadow = 1 - light
    return Sky(
        opacity=np.where(opacity < FAINTEST, np.float32(0), opacity),
        high=high,
        shadow=shadow,
        outside=(from_outside > 0) & (from_outside >= shadow * 0.999),
    )


def observe(
    ground: dict[str, NDArray[np.float32]], sky: Sky, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """{band: reflectance of the ground} under a sky -> {band: reflectance as observed}, with noise.

    Shadows dim the ground, clouds cover it in proportion to their opacity; the noise has a
    deviation of 0.0015 and 1 % of the signal.
    """
    rows = sky.opacity.shape[0]
    # Cores are brighter than edges; the pattern is the opacity's own.
    skies: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    seen: dict[str, NDArray[np.float32]] = {}
    for name, reflectance in ground.items():
        position = SURFACE_BANDS.index(name)
        factor = -(-rows // reflectance.shape[0])
        if factor not in skies:
            skies[factor] = coarsen(sky.opacity, factor), coarsen(sky.shadow, factor)
        opacity, shadow = skies[factor]
        lit = reflectance * (1 - np.float32(_SHADOW_DEPTH[position]) * shadow)
        cloud = np.float32(_CLOUD[position]) * (np.float32(0.75) + np.float32(0.35) * opacity)
        total = lit + opacity * (cloud - lit)
        noise = rng.standard_normal(total.shape, dtype=np.float32)
        total += noise * (np.float32(0.0015) + np.float32(0.01) * total)
        seen[name] = total
    return seen


def _layer(
    shape: tuple[int, int], layer: CloudLayer, angles: Angles, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """One layer -> opacity as seen, shadow, and where a shadow comes from outside the scene."""
    rows, columns = shape
    # The field repeats at the edges of a wider square, which stands for the sky outside the scene.
    # Half the resolution is enough for clouds and saves three quarters of the time.
    half_side = math.ceil(max(rows, columns) * 1.25 / 2)
    half = fractal((half_side, half_side), rng, layer.slope, layer.largest / 20)
    field = _doubled(half)
    threshold = np.quantile(field[:rows:4, :columns:4], 1 - min(layer.cover, 0.999))
    # Opacity is full 0.9 deviations above the threshold: edges of a few hundred metres.
    rise = np.clip((field - threshold) / np.float32(0.9), 0, 1)
    opacity = (layer.opacity * (rise * rise * (3 - 2 * rise))).astype(np.float32)
    east, north = shadow_displacement(layer.height, angles)
    down, right = round(-north / 10), round(east / 10)
    thrown = np.roll(opacity, (down, right), axis=(0, 1))[:rows, :columns]
    row, column = np.ogrid[0:rows, 0:columns]
    outside = (
        (row - down < 0) | (row - down >= rows) | (column - right < 0) | (column - right >= columns)
    )
    # Thin cloud scatters light forward: the ground loses less than the sensor sees.
    return opacity[:rows, :columns], np.where(thrown < FAINTEST, 0, thrown * thrown), outside


def _doubled(half: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x) periodic -> (2y, 2x), linear between the points."""
    rows = np.repeat(half, 2, axis=0)
    rows[1::2] = (half + np.roll(half, -1, axis=0)) / 2
    both = np.repeat(rows, 2, axis=1)
    both[:, 1::2] = (rows + np.roll(rows, -1, axis=1)) / 2
    return both
