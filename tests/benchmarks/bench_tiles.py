"""What a tile of a synthesis costs, beside titiler's own; run as a script.

``python tests/benchmarks/bench_tiles.py [SIDE]``. Three bands of SIDE x SIDE pixels (5490) at 10 m
as COGs, and a date of a cube of as many. Tiles at random places of zooms 9 to 15 are asked for over
the application, without a network. The peer is titiler.core's endpoint for STAC items with the same
assets and stretch, in the same process. The target: a tile of a synthesis within 150 ms p50, whatever
else the machine does (its load is printed); the exit status is 1 where it is missed.
"""

import json
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient
from morecantile import tms
from rio_tiler.io import STACReader
from titiler.core.factory import MultiBaseTilerFactory

from catalog.items import Recipe, derived_item, utc_text
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.grid import Extent, lonlat, tile_extent
from cube.rasters import write_cog
from cube.spec import DateEntry, Spec
from cube.store import StagedDate, commit_date, create_cube, open_store
from cube.variables import level_variables
from jobs.runner.publish import cog_asset, publish
from jobs.stores import cube_item
from jobs.web.tiles import stamp_of, tiles_router
from jobs.workspace import open_workspace

TARGET = 150
"""Milliseconds that the middle tile of a synthesis may take."""
TILES = 140
OF_A_SYNTHESIS = ("true colour", "ndvi")
NAMES = ("red", "green", "blue")
MERCATOR = tms.get("WebMercatorQuad")


def main() -> int:
    """Measure and print."""
    warnings.simplefilter("ignore")
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 5490
    with tempfile.TemporaryDirectory() as name, open_workspace(Path(name) / "ws") as workspace:
        folder = Path(name)
        whole = tile_extent("31UES")
        extent = Extent(
            whole.epsg, whole.left, whole.top - side * 10, whole.left + side * 10, whole.top
        )
        pixels = _pixels(side)
        month = _month(folder, extent, pixels)
        cube, stamp = _cube(folder, extent, pixels)
        publish(workspace, [month, cube])
        (folder / "item.json").write_text(json.dumps(month))
        app = FastAPI()
        app.include_router(tiles_router(workspace))
        peer = MultiBaseTilerFactory(reader=STACReader, router_prefix="/peer")
        app.include_router(peer.router, prefix="/peer")
        client = TestClient(app)
        return _compare(client, month, cube, stamp, extent, folder / "item.json")


def _compare(
    client: TestClient, month: Any, cube: Any, stamp: str, extent: Extent, item: Path
) -> int:
    _, (west, south, east, north) = lonlat(extent)
    chosen = random.Random(1)
    places = [
        MERCATOR.tile(chosen.uniform(west, east), chosen.uniform(south, north), 9 + i % 7)
        for i in range(TILES)
    ]
    own = f"/tiles/{month['collection']}/{month['id']}"
    asked = "&".join(f"assets={name}" for name in NAMES)
    roads = {
        "titiler, true colour": lambda t: (
            f"/peer/tiles/WebMercatorQuad/{t.z}/{t.x}/{t.y}.png?url={item}&{asked}"
            "&rescale=0,3000&return_mask=true"
        ),
        "true colour": lambda t: f"{own}/true-colour/{t.z}/{t.x}/{t.y}.png",
        "ndvi": lambda t: f"{own}/ndvi/{t.z}/{t.x}/{t.y}.png",
        "date of a cube": lambda t: (
            f"/tiles/cubes/{cube['id']}/true-colour/{t.z}/{t.x}/{t.y}.png?time={stamp}"
        ),
    }
    first, status = 0.0, 0
    for title, path in roads.items():
        client.get(path(places[0]))
        taken = []
        used = time.process_time()
        for tile in places:
            start = time.perf_counter()
            answer = client.get(path(tile))
            taken.append(time.perf_counter() - start)
            if answer.status_code != 200:
                sys.stdout.write(f"{title}: {answer.status_code} {answer.text[:200]}\n")
                return 1
        used = (time.process_time() - used) / len(places)
        middle, late = np.percentile(taken, (50, 95)) * 1000
        first = first or middle
        late_for = title in OF_A_SYNTHESIS and bool(middle > TARGET)
        status |= late_for
        sys.stdout.write(
            f"{title:22} p50 {middle:5.0f} ms  p95 {late:5.0f} ms  "
            f"{used * 1000:5.0f} ms of processor  {middle / first:.2f} of the peer"
            f"{f'  later than {TARGET} ms' if late_for else ''}\n"
        )
    met = "missed" if status else "met"
    load, cores = os.getloadavg()[0], os.cpu_count()
    sys.stdout.write(f"target {TARGET} ms p50: {met}; load {load:.1f} on {cores} cores\n")
    return status


def _pixels(side: int) -> np.ndarray:
    """Fields of 40 pixels and noise of the size that Sentinel-2 has."""
    rng = np.random.default_rng(1)
    fields = rng.integers(300, 3000, (side // 40 + 1, side // 40 + 1)).astype(np.int16)
    pixels = fields.repeat(40, 0).repeat(40, 1)[:side, :side]
    return pixels + rng.normal(0, 40, (side, side)).astype(np.int16)


def _month(folder: Path, extent: Extent, pixels: np.ndarray) -> dict[str, Any]:
    from datetime import UTC, datetime

    assets = {}
    for shift, name in enumerate((*NAMES, "nir")):
        path = folder / f"{name}.tif"
        band = pixels + np.int16(100 * shift)
        write_cog(
            path, extent.geobox(10), lambda a, b, band=band: band[a:b],
            dtype="int16", nodata=REFLECTANCE_NODATA, scale=REFLECTANCE_SCALE,
        )  # fmt: skip
        about = {"data_type": "int16", "nodata": REFLECTANCE_NODATA, "scale": 0.0001, "offset": 0}
        assets[name] = cog_asset(
            str(path), {"roles": ["data", "reflectance"], "raster:bands": [about]}, extent, 10
        )
    geometry, bbox = lonlat(extent)
    when = datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC)
    recipe = Recipe(job="made up", version="1", method="wasp", parameters={}, inputs={})
    return derived_item(
        "31UES_2019-05_wasp_scl", "synthesis-wasp", when=when, geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]), tile="31UES", recipe=recipe,
        properties={"updated": utc_text(when[0])}, assets=assets, derived_from=[],
        request={"tile": "31UES"},
    )  # fmt: skip


def _cube(folder: Path, extent: Extent, pixels: np.ndarray) -> tuple[dict[str, Any], str]:
    variables = tuple(v for v in level_variables("l2a") if v.name in NAMES)
    spec = Spec("31UES", "l2a", extent, {"r10m": 10}, variables)
    path = folder / "cube.zarr"
    create_cube(path, spec)
    staged = StagedDate(path, spec, "a")
    side = spec.shard("r10m")
    for variable in variables:
        for y in range(0, len(pixels), side):
            for x in range(0, len(pixels), side):
                staged.write(variable, y, x, pixels[y : y + side, x : x + side])
    staged.close()
    source = {"id": "scene", "collection": "sentinel-2-l2a", "version": "1"}
    entry = DateEntry(1_557_000_000_000, "a", (source,), NAMES)
    commit_date(path, entry)
    held = open_store(path)
    return cube_item("31UES", held), stamp_of(held.valid_dates[0])


if __name__ == "__main__":
    sys.exit(main())
