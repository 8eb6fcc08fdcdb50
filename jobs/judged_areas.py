"""Areas within which syntheses are judged: polygons of a GeoJSON file, or all there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from shapely.geometry import mapping

from cube.rasters import strips
from cube.spec import Spec
from jobs.areas import NO_GEOJSON, WANTED, read_geometries
from jobs.errors import RequestError

STRIP = 512
"""Rows that are looked at at once."""


@dataclass(frozen=True, slots=True)
class Areas:
    """Where to judge."""

    source: str | None = None
    """The file; None where all is judged."""
    shapes: Sequence[Mapping[str, Any]] = ()
    """Geometries in the plane of the tile."""

    def numbers(self, spec: Spec, group: str, window: tuple[slice, slice]) -> NDArray[np.int32]:
        """Window in pixels of a group -> (y, x) number of the area, from 1; 0 outside of all.

        A pixel belongs to an area that its middle lies in, whatever window it is in.
        """
        rows, columns = window
        shape = rows.stop - rows.start, columns.stop - columns.start
        if self.source is None:
            return np.ones(shape, np.int32)
        size, extent = spec.groups[group], spec.extent
        left, top = extent.left + columns.start * size, extent.top - rows.start * size
        found: NDArray[np.int32] = rasterize(
            [(each, number) for number, each in enumerate(self.shapes, 1)],
            out_shape=shape,
            transform=Affine(size, 0, left, 0, -size, top),
            dtype="int32",
        )
        return found


def read_areas(path: Path | None, spec: Spec) -> Areas:
    """GeoJSON of polygons, or None for all, and a cube -> areas; ``RequestError`` where none is in it."""
    if path is None:
        return Areas()
    geometries = read_geometries(path)
    try:
        shapes = [
            transform_geom("EPSG:4326", f"EPSG:{spec.extent.epsg}", mapping(each))
            for each in geometries
        ]
        areas = Areas(str(path), shapes)
        group = next(iter(spec.groups))
        height, width = spec.shape(group)
        held = any(
            areas.numbers(spec, group, (slice(first, last), slice(0, width))).any()
            for first, last in strips(height, STRIP)
        )
    except (ValueError, RasterioError) as error:
        raise RequestError(f"{path} is {NO_GEOJSON}: {WANTED}") from error
    if not held:
        raise RequestError(f"no area of {path} lies in the cube of tile {spec.tile}")
    return areas
