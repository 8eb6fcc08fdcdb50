"""Rasters, and items that name them as ingesting would: what tests of loading share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import from_origin

from cube.grid import Extent
from cube.loading import load_items
from cube.variables import Variable, level_variables

Array = npt.NDArray[Any]
ENGINES = ["odc-stac", "stackstac"]
EXTENT = Extent(32631, 574680, 5622200, 574920, 5622440)  # 24 x 24 at 10 m, 12 x 12 at 20 m
CORNER = (EXTENT.left, EXTENT.top)


def raster(
    path: Path,
    pixels: Array,
    corner: tuple[float, float] = CORNER,
    size: float = 10,
    *,
    epsg: int = 32631,
    nodata: float | None = None,
    overviews: bool = False,
) -> Path:
    """(y, x) or (band, y, x) pixels -> a GeoTIFF, or a lossless JPEG 2000 by its suffix."""
    bands = pixels if pixels.ndim == 3 else pixels[None]
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff",
        count=bands.shape[0],
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs=f"EPSG:{epsg}",
        transform=from_origin(*corner, size, size),
        nodata=nodata,
        **(lossless if path.suffix == ".jp2" else {}),
    ) as made:
        made.write(bands)
        if overviews:
            made.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    return path


def asset(
    path: Path | str,
    *,
    scale: float = 0.0001,
    offset: float = 0.0,
    nodata: float | None = 0,
    **more: Any,
) -> dict[str, Any]:
    """The asset of a raster, as ingesting it would state it."""
    with rasterio.open(path) as made:
        said = {
            "href": str(path),
            "type": "image/jp2" if str(path).endswith(".jp2") else "image/tiff",
            "proj:code": f"EPSG:{made.crs.to_epsg()}",
            "proj:shape": list(made.shape),
            "proj:transform": list(made.transform)[:6],
            "raster:bands": [
                {
                    "data_type": made.dtypes[0],
                    "nodata": nodata if made.nodata is None else made.nodata,
                    "scale": scale,
                    "offset": offset,
                }
            ],
        }
    return {**said, **more}


def item(name: str = "one", **assets: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name, "properties": {}, "assets": dict(assets)}


def variables(level: str, *names: str, group: str | None = None) -> list[Variable]:
    return [
        v for v in level_variables(level) if v.name in names and (group is None or v.group == group)
    ]


def load(
    document: Mapping[str, Any] | list[dict[str, Any]],
    wanted: list[Variable],
    resolution: int = 10,
    extent: Extent = EXTENT,
    engine: str = "odc-stac",
) -> dict[str, Array]:
    documents = document if isinstance(document, list) else [document]
    return load_items(documents, wanted, extent, resolution, engine=engine).pixels


def noise(
    shape: tuple[int, ...], dtype: str = "uint16", low: int = 1, high: int = 9000, seed: int = 0
) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


RED = variables("l2a", "red")
SCL = variables("l2a", "scl")
