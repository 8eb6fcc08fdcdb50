# ruff: noqa: T201
"""The job ``cloud-mask`` from a cube to committed masks: time, share of reading, peak memory.

``python tests/benchmarks/bench_cloud_mask.py [--tile] [--method tsmask]``. The cube is of noise over
fields under patches of cloud and shadow: 567 x 568 pixels of 20 m (321,825 and some) on 124 dates, or
with ``--tile`` a whole tile on 70 dates. Seven dates are different; the others are links to their
files, so that what a tile has on the disk (4 GB instead of 40) may come from the system's cache, and
pixels have the values of seven dates only. The job is run by its command on one worker and on two,
started afresh each time; processor time is that of all its processes, imports and start included, and
of its units alone, as its ledger has it. Memory is the largest resident size of any process and of any
unit, beside what the plan promises. Reading alone is measured in this process, of a tile on every
sixth row of blocks, and multiplied.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from cube.grid import Extent, tile_extent
from cube.joined import GROUP
from cube.reading import read_band
from cube.store import (
    DateEntry,
    Spec,
    StagedDate,
    commit_date,
    create_cube,
    open_store,
    staging_directory,
)
from cube.variables import level_variables
from jobs.acquisitions import acquisitions
from jobs.dates import date_key
from jobs.memory import WORKER_BYTES
from jobs.runner.publish import publish
from jobs.runs import list_runs
from jobs.stores import publish_cube, source_of
from jobs.workspace import Workspace, open_workspace

TILE = "31UES"
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
GROUND = {"blue": 500, "green": 800, "red": 700, "nir08": 2800, "swir16": 2100, "swir22": 1300}
SMALL = Extent(32631, 500_000, 5_588_660, 511_360, 5_600_000)
DIFFERENT = 7
"""Dates with pixels of their own."""
PATCH = 64
"""Side of a cloud, pixels of 20 m."""


def main() -> int:
    """Build the cube once, then run the job on one worker and on two."""
    options = parsed()
    extent, dates = (tile_extent(TILE), 70) if options.tile else (SMALL, 124)
    with tempfile.TemporaryDirectory(prefix="clearcube-bench-", dir=options.folder) as folder:
        path = Path(folder) / "w"
        # Elsewhere: a process that is started from this one would count this one's memory as its own.
        builder = get_context("spawn").Process(target=build, args=(path, extent, dates))
        builder.start()
        builder.join()
        if builder.exitcode:
            return 1
        pixels = extent.shape(20)[0] * extent.shape(20)[1]
        print(f"{options.method}: {pixels / 1e6:.2f} Mpx x {dates} dates; reading alone: ", end="")
        print(f"{reading(path, extent):.1f} s of processor")
        for workers in options.workers:
            shutil.rmtree(path / "products", ignore_errors=True)
            for store in path.glob(f"cubes/{TILE}_*"):
                shutil.rmtree(store) if store.is_dir() else store.unlink()
            measure(path, options.method, workers, options.memory)
    return 0


def parsed() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tile", action="store_true", help="a whole tile, 70 dates")
    parser.add_argument("--method", default="tsmask")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--memory", default="auto", help="of a worker, as CLEARCUBE_MEMORY")
    parser.add_argument("--folder", help="where the cube is built")
    return parser.parse_args()


def build(path: Path, extent: Extent, dates: int) -> None:
    """A workspace whose catalogue and cube hold scenes that never were."""
    variables = tuple(v for v in level_variables("l2a") if v.name in (*BANDS, "scl"))
    spec = Spec(TILE, "l2a", extent, {"r10m": 10, "r20m": 20}, variables)
    with open_workspace(path) as workspace:
        publish(workspace, [scene(number, extent) for number in range(dates)])
        store = workspace.cubes / f"{TILE}.zarr"
        create_cube(store, spec)
        sources: list[str] = []
        for number, one in enumerate(acquisitions(workspace, TILE, "l2a", None)):
            key = date_key(one, spec)
            if number < DIFFERENT:
                stage(store, spec, key, number)
                keep = Path(f"{path}.{key}")
                shutil.copytree(staging_directory(store, key), keep, copy_function=os.link)
                sources.append(str(keep))
            else:
                target = staging_directory(store, key)
                shutil.copytree(sources[number % DIFFERENT], target, copy_function=os.link)
            names = tuple(variable.name for variable in variables)
            when = round(one.time.timestamp() * 1000)
            commit_date(store, DateEntry(when, key, (source_of(one.items[0]),), names))
        publish_cube(workspace, TILE, store, (None, None))


def stage(store: Path, spec: Spec, key: str, number: int) -> None:
    """One date: fields of 30 pixels that differ by a third, noise of 2 %, 40 % under the sky."""
    rng = np.random.default_rng(number)
    height, width = spec.shape(GROUP)
    cells = (height // PATCH + 1, width // PATCH + 1)
    coarse = rng.choice([0, 1, 2], cells, p=[0.6, 0.3, 0.1])
    sky = coarse.repeat(PATCH, 0).repeat(PATCH, 1)[:height, :width]
    fields = np.random.default_rng(99).uniform(0.8, 1.2, (height // 30 + 1, width // 30 + 1))
    ground = fields.repeat(30, 0).repeat(30, 1)[:height, :width].astype("float32")
    date = StagedDate(store, spec, key)
    for variable in spec.variables:
        factor = spec.factor(variable.group)
        here = sky.repeat(factor, 0).repeat(factor, 1)
        if variable.name == "scl":
            pixels = np.choose(here, [4, 9, 3]).astype("uint8")
        else:
            level = ground.repeat(factor, 0).repeat(factor, 1) * GROUND[variable.name]
            noise = rng.standard_normal(level.shape, dtype="float32") * (0.02 * level)
            pixels = (np.choose(here, [level, level + 4500, level * 0.5]) + noise).astype("int16")
        side = spec.shard(variable.group)
        for y0 in range(0, pixels.shape[0], side):
            for x0 in range(0, pixels.shape[1], side):
                date.write(variable, y0, x0, pixels[y0 : y0 + side, x0 : x0 + side])
    date.close()


def scene(number: int, extent: Extent) -> dict[str, Any]:
    """Item of a scene without files."""
    when = datetime(2019, 1, 2, 10, 50, tzinfo=UTC) + timedelta(5 * number)
    ring = [[3.0, 50.0], [4.5, 50.0], [4.5, 51.0], [3.0, 51.0], [3.0, 50.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"scene{number:03d}",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [3.0, 50.0, 4.5, 51.0],
        "properties": {
            "datetime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "grid:code": f"MGRS-{TILE}",
            "clearcube:level": "l2a",
            "clearcube:version": "1",
        },
        "links": [],
        "assets": {
            name: {
                "href": "/none.tif",
                "proj:code": f"EPSG:{extent.epsg}",
                "proj:shape": list(extent.shape(size)),
                "proj:transform": [size, 0, extent.left, 0, -size, extent.top],
            }
            for name in (*BANDS, "scl")
            for size in [20 if name in ("nir08", "swir16", "swir22", "scl") else 10]
        },
    }


def reading(path: Path, extent: Extent) -> float:
    """Processor seconds to read all bands of all dates once, without any margin, at 20 m."""
    cube = open_store(path / "cubes" / f"{TILE}.zarr")
    height, width = extent.shape(20)
    slots = [entry.slot for entry in cube.valid_dates]
    read_band(cube, GROUP, BANDS[0], slots[:2], (slice(0, 64), slice(0, 64)))  # loads the kernel
    every = 6 if height > 6 * 256 else 1
    read = 0
    before = time.process_time()
    for y0 in range(0, height, 256 * every):
        for x0 in range(0, width, 256):
            window = slice(y0, min(height, y0 + 256)), slice(x0, min(width, x0 + 256))
            for name in BANDS:
                read_band(cube, GROUP, name, slots, window)
        read += min(height, y0 + 256) - y0
    return (time.process_time() - before) * height / read


@contextmanager
def emptied(workspace: Workspace) -> Iterator[Workspace]:
    """The workspace without masks."""
    names = [("cubes", f"{TILE}_{name}") for name in ("tsmask", "combined", "mtcd")]
    found = [
        (item.collection_id or "", item.id)
        for name in ("tsmask", "combined", "mtcd")
        for item in workspace.search(collections=[f"cloud-mask-{name}"], limit=1000)
    ]
    workspace.catalog.delete_items([*names, *found])
    yield workspace


def measure(path: Path, method: str, workers: int, memory: str) -> None:
    """Run the command and print what it took."""
    with open_workspace(path) as workspace, emptied(workspace):
        options = {"window": "all"} if method != "mtcd" else {}
        request = {"tile": TILE, "method": method, "options": options}
        promised = max(s.memory for s in workspace.plan("cloud-mask", **request).stages)
    words = [sys.executable, "-m", "jobs.cli", "--workspace", str(path), "run", "cloud-mask"]
    words += ["--tile", TILE, "--method", method]
    words += ["--set", "window=all"] if options else []
    environment = {"CLEARCUBE_WORKERS": str(workers), "CLEARCUBE_MEMORY": memory}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(
        words, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"  {workers} workers: {wall:.1f} s wall, {cpu:.1f} s CPU, load {os.getloadavg()[0]:.1f}; "
        f"largest process {after.ru_maxrss / 1024:.0f} MiB, promised "
        f"{(promised + WORKER_BYTES) / (1 << 20):.0f} MiB"
    )
    with open_workspace(path) as workspace:
        record = next(run for run in list_runs(workspace) if run.job == "cloud-mask")
    for each in record.stages:
        print(
            f"    {each.name}: {each.done} units, {each.ended - each.begun:.1f} s wall, "
            f"{each.work:.1f} s of work, {each.cpu:.1f} s CPU, largest {each.peak >> 20} MiB"
        )


if __name__ == "__main__":
    sys.exit(main())
