"""Small scenes as files, for tests of jobs and of what others build on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from cube.bands import band

BRIGHT = 6000
"""Reflectance 0.6: cloud to any method."""

LEFT, TOP = 574680, 5622440
"""Upper left corner of the scenes, metres in EPSG:32631, on the lattice of tile 31UES."""


def write_scene(
    folder: Path,
    item_id: str,
    value: int,
    *,
    when: str = "2019-05-01T10:56:00Z",
    left: int = LEFT,
    side: int = 64,
    baseline: str = "02.12",
    strip: str = "",
    empty_rows: int = 0,
    cloudy_rows: int = 0,
    bright_rows: int = 0,
    bands: Sequence[str] = ("blue", "nir08"),
) -> Path:
    """Bands of one value and an SCL of vegetation -> path of their STAC item.

    A GeoTIFF each, of ``side`` pixels at 10 m on tile 31UES; the first ``empty_rows`` (at 10 m) hold
    nodata, the last ``cloudy_rows`` are cloud for the SCL, the last ``bright_rows`` as bright as
    cloud in every band.
    """
    folder.mkdir(parents=True, exist_ok=True)
    assets = {}
    rasters = [(name, band(name).resolution, value) for name in bands]
    for key, resolution, held in (*rasters, ("scl", 20, 4)):
        pixels = side * 10 // resolution
        path = folder / f"{item_id}_{key}.tif"
        dtype = "uint8" if key == "scl" else "uint16"
        data = np.full((pixels, pixels), held, dtype)
        data[: empty_rows * 10 // resolution] = 0
        if key == "scl" and cloudy_rows:
            data[-(cloudy_rows * 10 // resolution) :] = 9
        if key != "scl" and bright_rows:
            data[-(bright_rows * 10 // resolution) :] = BRIGHT
        transform = Affine(resolution, 0, left, 0, -resolution, TOP)
        with rasterio.open(
            path, "w", driver="GTiff", height=pixels, width=pixels, count=1, dtype=dtype,
            crs="EPSG:32631", transform=transform, nodata=0,
        ) as raster:  # fmt: skip
            raster.write(data, 1)
        assets[key] = {
            "href": f"./{path.name}",
            "type": "image/tiff; application=geotiff",
            "proj:shape": [pixels, pixels],
            "proj:transform": list(transform)[:6],
            "raster:bands": [{"data_type": dtype, "nodata": 0, "scale": 0.0001, "offset": 0}],
        }
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": "sentinel-2-l2a",
        "geometry": {
            "type": "Polygon",
            "coordinates": [
                [[4.05, 50.74], [4.07, 50.74], [4.07, 50.75], [4.05, 50.75], [4.05, 50.74]]
            ],
        },
        "bbox": [4.05, 50.74, 4.07, 50.75],
        "properties": {
            "datetime": when,
            "platform": "sentinel-2a",
            "grid:code": "MGRS-31UES",
            "proj:code": "EPSG:32631",
            "processing:level": "L2A",
            "s2:processing_baseline": baseline,
            "s2:datastrip_id": strip or f"DS_S{when[:10].replace('-', '')}T105600_N",
        },
        "links": [{"rel": "collection", "href": "./collection.json"}],
        "assets": assets,
    }
    path = folder / f"{item_id}.json"
    path.write_text(json.dumps(item))
    return path
