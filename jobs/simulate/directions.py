"""Directions of a simulated season: the sun over its scene, and the grids that products tell."""

from datetime import UTC, date, datetime

import numpy as np
from rasterio.warp import transform as transform_points

from catalog.product_text import GRID_STEP, SPECTRAL_BANDS, Delivery, sun_grid, view_grids
from cube.angles import SceneAngles
from cube.bands import BANDS
from cube.sky import sun_position

_PASS = (10, 53, 20)
"""Hour, minute and second (UTC) between those at which the two orbits see tile 31TCJ."""


def delivery_angles(delivery: Delivery) -> SceneAngles:
    """Delivery -> the grids that its metadata hold, number for number, of all bands."""
    names = {each.esa: each.name for each in BANDS}
    corner = float(delivery.west), float(delivery.north)
    views = {}
    for band in SPECTRAL_BANDS:
        detectors = view_grids(delivery, band).values()
        views[names[band.esa]] = np.array([[_rows(z), _rows(a)] for z, a in detectors])
    sun = np.array([[_rows(sun_grid(delivery, angle)) for angle in ("zenith", "azimuth")]])
    size = 10.0 * delivery.columns, 10.0 * delivery.rows
    return SceneAngles(*corner, (float(GRID_STEP), float(GRID_STEP)), size, sun, views)


def sun_zenith(west: float, north: float, side: float, epsg: int, day: date) -> float:
    """Corner and side of a scene in metres, UTM zone, day -> zenith of the sun over its middle.

    At the time of day at which the scene is passed.
    """
    longitude, latitude = transform_points(
        f"EPSG:{epsg}", "EPSG:4326", [west + side / 2], [north - side / 2]
    )[:2]
    moment = datetime(day.year, day.month, day.day, *_PASS, tzinfo=UTC)
    return sun_position(moment, longitude[0], latitude[0])[0]


def _rows(lines: list[str]) -> list[list[float]]:
    """Lines of numbers as metadata hold them; ``NaN`` where nobody looks."""
    return [[float(text) for text in line.split()] for line in lines]
