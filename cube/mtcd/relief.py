"""What the ground's relief does to sunlight: slope, and the angle at which the sun meets it."""

import math

import numpy as np

from cube.mtcd.image import Floats, Image, Meta


def gradient(image: Image) -> tuple[Floats, Floats]:
    """Image with altitude -> (h, w) float32 rise per metre toward the east and the north.

    0 where the altitude of a neighbour is unknown, and along sides of one cell.
    """
    if image.altitude is None or min(image.grid.shape) < 2:
        flat = np.zeros(image.grid.shape, np.float32)
        return flat, flat
    down, right = np.gradient(image.altitude.astype(np.float64), float(image.grid.cell))
    east: Floats = np.where(np.isfinite(right), right, 0).astype(np.float32)
    north: Floats = np.where(np.isfinite(down), -down, 0).astype(np.float32)
    return east, north


def slope(image: Image) -> Floats:
    """Image -> (h, w) float32 rise over run; 0 without a DEM."""
    east, north = gradient(image)
    return np.hypot(east, north)


def levelling(image: Image, meta: Meta, least: float = 0.20) -> Floats:
    """Image, sun -> (h, w) float32 factor that makes a slope as bright as flat ground.

    cos(sun zenith) / cos(incidence), the latter not below `least` (MAJA's snow test).
    """
    east, north = gradient(image)
    zenith, azimuth = math.radians(meta.sun_zenith), math.radians(meta.sun_azimuth)
    toward = math.sin(zenith) * (east * math.sin(azimuth) + north * math.cos(azimuth))
    incidence = (math.cos(zenith) - toward) / np.sqrt(1 + east**2 + north**2)
    factor: Floats = (math.cos(zenith) / np.maximum(incidence, least)).astype(np.float32)
    return factor
