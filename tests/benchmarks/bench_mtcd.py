"""How long mtcd takes for a date of a full tile, and how much memory; run as a script.

``python tests/benchmarks/bench_mtcd.py [--check]``. Reading is left out: bands are made one at a
time, outside the clock, as a job would read them. Compilation is left out by a small date before.
With ``--check`` the status is 1 where a figure misses its target.

``--job`` measures the units of the job instead, reading included: a cube of a whole tile with two
dates of L1C, B01 and B10 beside it at 60 m, a DEM of 1 second; each unit in a process of its own,
held against the memory that it promises. It writes about 1 GB to a temporary folder.
"""

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from cube.grid import Extent, tile_extent
from cube.mtcd.bits import to_fine
from cube.mtcd.coarse import CoarseGrid, choose_grid
from cube.mtcd.image import Image, Meta, make_image
from cube.mtcd.modes import Planned
from cube.mtcd.params import MtcdParams
from cube.mtcd.step import step
from cube.spec import DateEntry, Spec
from cube.store import StagedDate, commit_date, create_cube
from cube.variables import level_variables
from jobs.mtcd_stages import (
    ChainTask,
    ImageTask,
    MtcdPlanes,
    chain_bytes,
    image_bytes,
    make_date_image,
    run_chain,
)
from jobs.runner.cluster import WORKER_ENVIRONMENT
from jobs.runner.measure import measuring

FULL = (5490, 5490)
SMALL = (768, 768)
TARGET = 10.0
"""Seconds of processor time for a NOMINAL date, from dn to bits and classes at 20 m."""

GDAL_CACHE = 64 << 20
"""Bytes that GDAL keeps for the next reading: promised with the worker, not with its units."""

BANDS = {"blue": 10, "green": 10, "red": 10, "nir08": 20, "swir16": 20, "swir22": 20, "cirrus": 20}
GROUND = {
    "blue": 600,
    "green": 800,
    "red": 700,
    "nir08": 3000,
    "swir16": 2000,
    "swir22": 1500,
    "cirrus": 20,
}


class Clock:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self.started = 0.0

    def start(self) -> None:
        """Begin a stage."""
        self.started = time.process_time()

    def stop(self, stage: str) -> None:
        """End it."""
        passed = time.process_time() - self.started
        self.stages[stage] = self.stages.get(stage, 0.0) + passed


def main() -> int:
    """Measure, print a table, compare with the target."""
    if "--job" in sys.argv:
        return job()
    take(SMALL, MtcdParams())
    missed = False
    sys.stdout.write(f"{'5490 x 5490, cpu seconds':28}{'to cells':>9}{'tests':>9}{'back':>9}")
    sys.stdout.write(f"{'all':>9}{'target':>9}{'cells':>14}{'cloudy':>9}\n")
    for cell in (240, 120, 60):
        clock, cloudy, cells = take(FULL, MtcdParams(coarse=cell))
        total = sum(clock.stages.values())
        shown = "".join(f"{clock.stages[name]:9.2f}" for name in ("coarse", "tests", "fine"))
        target = f"{TARGET:9.0f}" if cell == 240 else " " * 9
        sys.stdout.write(f"{f'cells of {cell} m':28}{shown}{total:9.2f}{target}")
        sys.stdout.write(f"{f'{cells[0]} x {cells[1]}':>14}{cloudy:8.0f}%\n")
        missed = missed or (cell == 240 and total > TARGET)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"peak memory {peak:.0f} MiB, the bands' own arrays included\n")
    return int(missed and "--check" in sys.argv)


def take(fine: tuple[int, int], params: MtcdParams) -> tuple[Clock, float, tuple[int, int]]:
    """Rows and columns at 20 m -> the clock of a second date, its cloud and the coarse shape."""
    grid = choose_grid(fine, params)
    altitude = np.full(grid.shape, 300, np.float32)
    clock = Clock()
    first, _ = image(grid, 0, altitude, Clock())
    state = step(None, first, Meta(18000, "l1c", 40.0, 150.0, 6.0, 285.0), params).state
    second, observed = image(grid, 1, altitude, clock)
    clock.start()
    result = step(state, second, Meta(18005, "l1c", 40.0, 150.0, 6.0, 285.0), params)
    clock.stop("tests")
    clock.start()
    to_fine(result.bits, result.ground, grid, observed)
    clock.stop("fine")
    return clock, result.cloudy, grid.shape


def image(
    grid: CoarseGrid, date: int, altitude: NDArray[np.float32], clock: Clock
) -> tuple[Image, NDArray[np.bool_]]:
    """Grid, 0 (clear) or 1 (broken clouds) -> the coarse image; only mtcd's part is on the clock."""
    clock.start()
    made = make_image(
        bands(grid.fine, date, clock), grid, Meta(18000, "l1c", 40.0, 150.0, 6.0, 285.0), altitude
    )
    clock.stop("coarse")
    return made


def bands(
    fine: tuple[int, int], date: int, clock: Clock
) -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Bands of a date, one after the other: fields of 160 m, and clouds with shadows in 40 %."""
    for name, resolution in BANDS.items():
        clock.stop("coarse")
        scale = 20 // resolution
        plane = scene(fine, name, date).repeat(scale, axis=0).repeat(scale, axis=1)
        clock.start()
        yield name, plane
        del plane


def scene(fine: tuple[int, int], name: str, date: int) -> NDArray[np.int16]:
    """One band at 20 m."""
    random = np.random.default_rng(7)
    rows, columns = (-(-n // 8) for n in fine)
    plane = random.uniform(0.6, 1.4, (rows, columns)) * GROUND[name]
    if date:
        sky = random.random((-(-rows // 60), -(-columns // 60)))
        sky = sky.repeat(60, axis=0).repeat(60, axis=1)[:rows, :columns]
        cloud = sky < 0.4
        shadow = np.roll(cloud, (-12, -8), axis=(0, 1)) & ~cloud
        plane[shadow] *= 0.3
        plane[cloud] = 60 if name == "cirrus" else 5000
    fields = plane.astype(np.int16).repeat(8, axis=0).repeat(8, axis=1)
    return np.ascontiguousarray(fields[: fine[0], : fine[1]])


# --- units of the job -----------------------------------------------------------------------------


def job() -> int:
    """Make a cube, run the units of its two dates, print time and memory of each."""
    os.environ.update(WORKER_ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        tasks, chain, promised = laid_out(Path(folder))
        sys.stdout.write(f"{'whole tile, L1C':28}{'cpu s':>8}{'peak MiB':>10}{'promised':>10}\n")
        missed = False
        context = multiprocessing.get_context("spawn")
        units = (
            ("image, heights first", make_date_image, tasks[0], promised[0]),
            ("image", make_date_image, tasks[1], promised[0]),
            ("chain of two dates", run_chain, chain, promised[1]),
            ("planes of a date", read_planes, (chain, tasks[1]), None),
        )
        for name, run, payload, most in units:
            with context.Pool(1) as pool:
                seconds, peak = pool.apply(measured, (run, payload))
            said = "" if most is None else f"{most / 2**20:10.0f}"
            sys.stdout.write(f"{name:28}{seconds:8.1f}{peak / 2**20:10.0f}{said}\n")
            missed = missed or (most is not None and peak > most + GDAL_CACHE)
    return int(missed and "--check" in sys.argv)


def measured(run: Callable[[Any], Any], payload: Any) -> tuple[float, int]:
    """Unit, payload -> processor seconds, and bytes beyond those of the process before it."""
    take((128, 128), MtcdParams())  # compiles, and brings the libraries in
    before = psutil.Process().memory_info().rss
    with measuring("") as figures:
        run(payload)
    return figures.cpu, figures.peak - before


def read_planes(payload: tuple[ChainTask, ImageTask]) -> None:
    """Classes and bits of the second date at 20 m."""
    chain, image_task = payload
    MtcdPlanes(chain.found["1"], image_task.path).read()


def laid_out(folder: Path) -> tuple[list[ImageTask], ChainTask, tuple[int, int]]:
    """Folder -> tasks for two images and their chain, and the bytes that these promise."""
    extent = tile_extent("31UES")
    spec = Spec("31UES", "l1c", extent, {"r10m": 10, "r20m": 20}, level_variables("l1c"))
    create_cube(folder / "cube.zarr", spec)
    dem = raster(folder / "dem.tif", np.full((3600, 5800), 300, np.int16), "EPSG:4326",
                 from_origin(2.9, 51.5, 1 / 3600, 1 / 3600))  # fmt: skip
    params = MtcdParams()
    grid = choose_grid(FULL, params)
    tasks = []
    for date in (0, 1):
        commit(folder / "cube.zarr", spec, date)
        name = str(date)
        scenes = (beside(folder, name, extent),)
        tasks.append(
            ImageTask(
                path=str(folder / f"{name}.image.npz"),
                store=str(folder / "cube.zarr"),
                slot=date,
                bands=("green", "red", "nir08", "swir16", "swir22"),
                beside=("coastal", "cirrus"),
                scenes=scenes,
                dems=(dem,),
                altitude=str(folder / "altitude.npy"),
                grid=grid,
                meta=Meta(18000 + 5 * date, "l1c", 40.0, 150.0, 6.0, 285.0),
            )
        )
    planned = (
        Planned("0", "INIT", ("0",), None, "", ""),
        Planned("1", "NOMINAL", ("1",), "0", "", ""),
    )
    chain = ChainTask(
        planned,
        {"0": tasks[0], "1": tasks[1]},
        {name: str(folder / f"{name}.found.npz") for name in "01"},
        {name: str(folder / f"{name}.state.npz") for name in "01"},
        params.model_dump(mode="json"),
    )
    return tasks, chain, (image_bytes(spec, beside=True), chain_bytes(grid, params))


def commit(path: Path, spec: Spec, date: int) -> None:
    """The bands of a date that mtcd reads, into the cube."""
    staged = StagedDate(path, spec, f"date{date}")
    wanted = [v for v in spec.variables if v.name in BANDS and v.name not in ("blue", "cirrus")]
    for variable in wanted:
        scale = 20 // spec.groups[variable.group]
        plane = scene(FULL, variable.name, date).repeat(scale, axis=0).repeat(scale, axis=1)
        staged.write(variable, 0, 0, plane)
        del plane
    staged.close()
    names = tuple(variable.name for variable in wanted)
    commit_date(path, DateEntry(date * 432_000_000, f"date{date}", (), names))


def beside(folder: Path, name: str, extent: Extent) -> dict[str, Any]:
    """B01 and B10 of a date at 60 m -> as much of the scene's item as loading needs."""
    assets = {}
    for key, source in (("coastal", "blue"), ("cirrus", "cirrus")):
        pixels = scene(FULL, source, int(name))[::3, ::3].astype(np.uint16)
        transform = from_origin(extent.left, extent.top, 60, 60)
        href = raster(folder / f"{name}_{key}.tif", pixels, f"EPSG:{extent.epsg}", transform)
        assets[key] = {
            "href": href,
            "proj:code": f"EPSG:{extent.epsg}",
            "proj:shape": list(pixels.shape),
            "proj:transform": list(transform)[:6],
            "raster:bands": [{"data_type": "uint16", "nodata": 0, "scale": 0.0001, "offset": 0}],
        }
    return {"id": name, "properties": {}, "assets": assets}


def raster(path: Path, pixels: NDArray[Any], crs: str, transform: Any) -> str:
    """(y, x) pixels -> a GeoTIFF in tiles; its path."""
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=pixels.dtype.name,
        crs=crs, transform=transform, tiled=True, compress="deflate",
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    return str(path)


if __name__ == "__main__":
    raise SystemExit(main())
