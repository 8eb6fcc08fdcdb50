"""The main job beside a plain odc-stac script and stackstac: speed and memory, in one run.

``python tests/benchmarks/bench_main_job.py [--check]``. The work is that of a user with a folder of
COGs: 24 dates of 6 bands, 2048 x 2048 at 10 m, with a scene classification at 20 m, masked by it and
brought to monthly medians on disk. As Sentinel-2 delivers them, two of the bands have pixels of 20 m;
with ``--one-grid`` all six are at 10 m. The scripts bring all to one grid, as such scripts do;
clearcube keeps every band at its own. clearcube does all that its workers do for it (time cube, mask items,
block by block medians with their quality layers, COGs with overviews and checksums). Three scripts
write the medians alone to Zarr. Two end as clearcube does, with COGs: bottleneck on each chunk, files
with overviews in the same compression; one of them brings all bands to 10 m, the other keeps each on
its own grid, which is the same work but for cube, quality layers and checksums.

Each contender is a process of its own that first does the whole work on a tiny scene, so that
imports and compilation are left out, and then reports the processor time of all its threads and the
peak of its resident memory from there on; the best of all rounds counts, for other work on the
machine only adds to it, and the load beside the wall time says how much there was. Bytes are of what
is there at the end, of COGs and in all. The targets are over the plain script, with xarray's own
median, and over the one that ends with COGs of one grid; the tuned one and that of own grids are
printed beside. With ``--check`` the status is 1 where a target is missed.

``--runner`` adds a row with the whole command on two dask workers, started afresh.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jobs.runner.cluster import WORKER_ENVIRONMENT

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
COARSE = ("swir16", "swir22", "rededge1", "rededge2", "rededge3", "nir08")
"""Bands that Sentinel-2 has at 20 m."""
TILE = "31UES"
LEFT, TOP, EPSG = 499_980, 5_700_000, 32631
CLEAR_SCL = (4, 5, 6, 7)
"""Vegetation, bare, water and unclassified are clear; see ``clearcube explain-mask scl``."""
CLOUDY = 0.45
PATCH = 32
"""Side of a cloud in pixels of 20 m."""

TIMES_ODC = 1.2
"""Pixels per CPU-second of clearcube over those of the odc-stac script, at least."""
OF_STACKSTAC = 0.5
"""Peak memory of a clearcube worker over that of stackstac, at most."""

TIMES_COGS = 1.5
"""Pixels per CPU-second of clearcube over those of bottleneck by odc-stac to COGs, at least."""
SPEED = 3.0
"""Million pixels x dates per CPU-second, at least: what FORCE reaches for a median of six bands."""
WORKER_MB = 512
"""Most memory of a worker, MB."""

CONTENDERS = (
    *("clearcube", "clearcube wasp", "odc-stac", "odc-stac tuned"),
    *("odc-stac COGs", "odc-stac COGs, own grids", "stackstac"),
)


def main() -> int:
    options = parsed()
    if options.contender:
        sys.stdout.write(json.dumps(contend(options)) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="clearcube-bench-", dir=options.folder) as folder:
        scenes = options.scenes or Path(folder) / "scenes"
        if not (scenes / "items.json").exists():
            say(f"making {options.dates} dates of {options.size} x {options.size} in {scenes}")
            make_scenes(scenes, options.dates, options.size, options.one_grid)
        tiny = Path(folder) / "tiny"
        make_scenes(tiny, 4, 256, options.one_grid)
        names = [*(options.only or CONTENDERS)] + ["clearcube runner"] * options.runner
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for number in range(options.repeat):
            for name in names:
                out = Path(folder) / f"{name.replace(', ', '-').replace(' ', '-')}-{number}"
                rounds[name].append(measured(name, scenes, tiny, out, options))
                shutil.rmtree(out, ignore_errors=True)
    return report(rounds, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--dates", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one-grid", action="store_true", help="all bands at 10 m")
    parser.add_argument("--runner", action="store_true")
    parser.add_argument("--only", nargs="*", help="contenders to run")
    parser.add_argument("--scenes", type=Path, help="where scenes are, or are made and kept")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    parser.add_argument("--profile", type=Path, help="write a cProfile of each contender here")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--tiny", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- measuring ------------------------------------------------------------------------------------


def measured(
    name: str, scenes: Path, tiny: Path, out: Path, options: argparse.Namespace
) -> dict[str, float]:
    """One contender in its own process -> CPU seconds, wall seconds, load, peak MB, MB on disk."""
    command = [sys.executable, __file__, "--contender", name, "--scenes", str(scenes)]
    command += ["--tiny", str(tiny), "--out", str(out)]
    if options.profile:
        command += ["--profile", str(options.profile / f"{out.name}.prof")]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if name.startswith("clearcube"):
        # As the workers are started.
        environment |= WORKER_ENVIRONMENT
    else:
        environment |= {key: value for key, value in WORKER_ENVIRONMENT.items() if "THREADS" in key}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    say(f"{name}: " + ", ".join(f"{key} {value:.1f}" for key, value in found.items()))
    return found


def contend(options: argparse.Namespace) -> dict[str, float]:
    """The work of one contender, after a round on the tiny scene."""
    work = WORK[options.contender]
    options.out.mkdir()
    work(options.tiny, options.out / "tiny")
    gc.collect()
    begin_peak()
    wall, cpu = time.perf_counter(), cpu_seconds()
    if options.profile:
        import cProfile

        with cProfile.Profile() as profile:
            work(options.scenes, options.out / "whole")
        profile.dump_stats(options.profile)
    else:
        work(options.scenes, options.out / "whole")
    return {
        "cpu": cpu_seconds() - cpu,
        "wall": time.perf_counter() - wall,
        "load": os.getloadavg()[0],
        "peak": peak_mb(),
        "cogs": megabytes(options.out / "whole", "*.tif"),
        "disk": megabytes(options.out / "whole", "*"),
    }


def megabytes(folder: Path, pattern: str) -> float:
    """Files of a folder, at any depth, whose name is such -> their size in MB."""
    return sum(file.stat().st_size for file in folder.rglob(pattern) if file.is_file()) / 1e6


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return sum(times[:4])


def begin_peak() -> None:
    """Let the kernel's high-water mark of resident memory begin again (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def report(rounds: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> int:
    """Print the table; status 1 where a target is missed and that is to be checked."""
    mpx_dates = options.dates * options.size**2 / 1e6
    columns = {
        "cpu": ".1f",
        "wall": ".1f",
        "load": ".1f",
        "peak": ".0f",
        "cogs": ".0f",
        "disk": ".0f",
    }
    heads = ("cpu s", "wall s", "load", "peak MB", "COGs MB", "all MB")
    say(f"{'':25}{'Mpx*dates/cpu-s':>16}{''.join(f'{head:>12}' for head in heads)}")
    for name, found in rounds.items():
        speeds = [mpx_dates / one["cpu"] for one in found]
        cells = [
            f"{spread([one[key] for one in found], form):>12}" for key, form in columns.items()
        ]
        say(f"{name:25}{spread(speeds, '.2f'):>16}{''.join(cells)}")
    if not set(CONTENDERS) <= set(rounds):
        return 0
    misses = [held(*one) for one in figures(rounds, mpx_dates)]
    return int(options.check and not all(misses))


def figures(
    rounds: Mapping[str, list[dict[str, float]]], mpx_dates: float
) -> Iterator[tuple[str, float, float | None]]:
    """What is told, the figure, and its target, if it has one: above 0 the least, below the most."""
    cpu = {name: min(one["cpu"] for one in found) for name, found in rounds.items()}
    peak = {name: max(one["peak"] for one in found) for name, found in rounds.items()}
    for own in ("clearcube", "clearcube wasp"):
        targets = {"odc-stac": TIMES_ODC} if own == "clearcube" else {}
        targets["odc-stac COGs"] = TIMES_COGS
        for other in CONTENDERS[2:]:
            yield f"{own}: speed over {other}", cpu[other] / cpu[own], targets.get(other)
        yield f"{own}: Mpx x dates per CPU-second", mpx_dates / cpu[own], SPEED
        yield f"{own}: peak MB", peak[own], -WORKER_MB
    least = min(one["peak"] for one in rounds["stackstac"])
    yield "clearcube: peak over stackstac's", peak["clearcube"] / least, -OF_STACKSTAC


def held(name: str, value: float, target: float | None) -> bool:
    """Say a figure beside its target -> whether it is reached."""
    reached = target is None or (value >= target if target > 0 else value <= -target)
    said = "" if target is None else f"{'>=' if target > 0 else '<='} {abs(target):g}"
    say(f"{name:52}{value:8.2f}  {said}{'' if reached else '  missed'}")
    return reached


def spread(values: Sequence[float], form: str) -> str:
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low}-{high}"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# --- the contenders -------------------------------------------------------------------------------


def clearcube(scenes: Path, out: Path, method: str = "median") -> None:
    """What workers and driver do for a cube and its months, one after the other in one process."""
    from jobs.workspace import open_workspace

    with open_workspace(out) as workspace:
        # Read as every contender reads its items: without opening the files.
        publish_items(workspace, items(scenes))
        request = {"tile": TILE, "datetime": period(scenes)}
        carry_out(workspace, "cube", request | grid(scenes))
        carry_out(workspace, "synthesis", request | SYNTHESIS | {"method": method})


def carry_out(workspace: Any, name: str, request: Mapping[str, Any]) -> None:
    """A request after those that it needs, as a run does it, but in this process."""
    from jobs.job import Plan
    from jobs.registry import find_job
    from jobs.requests import parse_request

    job = find_job(name)
    params = parse_request(job, request)
    for needed, its in job.needs(workspace, params):
        carry_out(workspace, needed, its)
    planned = job.plan(workspace, params)
    for plan in [planned] if isinstance(planned, Plan) else planned:
        for stage in plan.stages:
            for unit in stage.units() if callable(stage.units) else stage.units:
                stage.done(unit, stage.run(unit.payload))
        failures = plan.finish()
        if failures:
            raise RuntimeError(f"{name}: {failures[0]}")


def clearcube_runner(scenes: Path, out: Path) -> None:
    """The same by a session of runs, on two dask workers."""
    from jobs.workspace import open_workspace

    with open_workspace(out, workers=2) as workspace:
        publish_items(workspace, items(scenes))
        for job, more in (("cube", grid(scenes)), ("synthesis", SYNTHESIS)):
            outcome = workspace.run(job, tile=TILE, datetime=period(scenes), **more)
            if outcome.failures:
                raise RuntimeError(outcome.causes)


SYNTHESIS = {"method": "median", "mask": "scl", "mask_options": {"unclassified": "clear"}}


def grid(scenes: Path) -> dict[str, int]:
    """Of the cube: that of each band, or one for all where all have it."""
    sizes = {items(scenes)[0]["assets"][band]["gsd"] for band in BANDS}
    return {"resolution": 10} if sizes == {10} else {}


def publish_items(workspace: Any, documents: Sequence[dict[str, Any]]) -> None:
    from jobs.runner.publish import publish

    publish(workspace, documents)


def odc_stac(scenes: Path, out: Path) -> None:
    """COGs -> masked float32 -> xarray's median of all dates of a chunk -> Zarr."""
    write_medians(odc_clear(scenes), lambda data: data.chunk(time=-1).median("time"), out)


def odc_stac_tuned(scenes: Path, out: Path) -> None:
    """The same by one who calls bottleneck on the chunks, which xarray does not do for dask."""
    write_medians(odc_clear(scenes), bottleneck_median, out)


def odc_stac_cogs(scenes: Path, out: Path) -> None:
    """COGs -> bottleneck's median of each chunk -> COGs, all bands at 10 m."""
    write_cogs(odc_clear(scenes), out)


def odc_stac_own_grids(scenes: Path, out: Path) -> None:
    """The same, each band on its own grid."""
    sizes = {band: items(scenes)[0]["assets"][band]["gsd"] for band in BANDS}
    for size in sorted(set(sizes.values())):
        names = [band for band in BANDS if sizes[band] == size]
        write_cogs(odc_clear(scenes, names, size), out)


def write_cogs(data: Any, out: Path) -> None:
    """Lazy reflectances -> one median a month and band, int16 COGs, by one thread."""
    import dask

    out.mkdir(exist_ok=True)
    for month, part in data.groupby("time.month"):
        stored = bottleneck_median(part).round().fillna(-10000).astype("int16")
        with dask.config.set(scheduler="single-threaded"):
            found = stored.compute()
        for band, median in found.data_vars.items():
            resolution = round(abs(float(median.x[1] - median.x[0])))
            # As clearcube's: level 1 is the fastest, and of reflectances the smallest.
            write(out / f"{month}-{band}.tif", median.values, resolution, -10000, LEVEL="1")


def bottleneck_median(data: Any) -> Any:
    import bottleneck
    import xarray as xr

    return xr.apply_ufunc(
        bottleneck.nanmedian,
        data.chunk(time=-1),
        input_core_dims=[["time"]],
        kwargs={"axis": -1},
        dask="parallelized",
        output_dtypes=["float32"],
    )


def odc_clear(scenes: Path, names: Sequence[str] = BANDS, resolution: int = 10) -> Any:
    """Lazy float32 reflectances, NaN where not clear."""
    import odc.stac
    import pystac

    loaded = odc.stac.load(
        [pystac.Item.from_dict(item) for item in items(scenes)],
        bands=[*names, "scl"],
        crs=f"EPSG:{EPSG}",
        resolution=resolution,
        chunks={"x": CHUNK, "y": CHUNK},
        groupby="solar_day",
    )
    clear = loaded.scl.isin(CLEAR_SCL)
    bands = loaded[list(names)]
    return bands.where(clear & (bands != 0)).astype("float32")


CHUNK = 1024


def stackstac_median(scenes: Path, out: Path) -> None:
    """COGs -> stackstac's array of all bands, float64 as it comes -> the tuned median -> Zarr."""
    import stackstac

    # It does not know proj:code.
    documents = items(scenes)
    for document in documents:
        document["properties"]["proj:epsg"] = EPSG
    stack = stackstac.stack(
        documents,
        assets=[*BANDS, "scl"],
        epsg=EPSG,
        resolution=10,
        bounds=bounds(documents),
        rescale=False,
        snap_bounds=False,
        chunksize=CHUNK,
    )
    clear = stack.sel(band="scl").isin(CLEAR_SCL)
    masked = stack.sel(band=list(BANDS)).where(clear)

    # Its coordinates of every property of every item do not go into Zarr.
    data = masked.drop_vars([name for name in masked.coords if name not in masked.dims])
    data.attrs.clear()
    write_medians(data.to_dataset(name="reflectance"), bottleneck_median, out)


def write_medians(data: Any, median: Callable[[Any], Any], out: Path) -> None:
    """Lazy reflectances -> one median a month, int16 in Zarr, by one thread."""
    import dask
    import xarray as xr

    months = [median(part) for _, part in data.groupby("time.month")]
    whole = xr.concat(months, "month", coords="minimal", compat="override")
    stored = whole.round().fillna(-10000).astype("int16")
    for variable in stored.variables.values():
        variable.encoding.clear()
    stored = stored.chunk(month=1)
    with dask.config.set(scheduler="single-threaded"):
        stored.to_zarr(out, mode="w")


WORK: dict[str, Callable[[Path, Path], None]] = {
    "clearcube": clearcube,
    "clearcube wasp": partial(clearcube, method="wasp"),
    "clearcube runner": clearcube_runner,
    "odc-stac": odc_stac,
    "odc-stac tuned": odc_stac_tuned,
    "odc-stac COGs": odc_stac_cogs,
    "odc-stac COGs, own grids": odc_stac_own_grids,
    "stackstac": stackstac_median,
}


# --- the scenes -----------------------------------------------------------------------------------


def make_scenes(
    folder: Path,
    dates: int,
    size: int,
    one_grid: bool,
    bands: Sequence[str] = BANDS,
    swaths: Mapping[int, float] | None = None,
) -> None:
    """Fields under clouds as COGs like those of public archives, and their STAC items.

    ``swaths`` says of a date, by its number, which share of the rows, the last, was seen.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(20190501)
    fields = {band: landscape(rng, size) for band in bands}
    resolutions = {band: 20 if band in COARSE and not one_grid else 10 for band in bands}
    resolutions["scl"] = 20
    noise = rng.normal(0, 40, (size, size)).astype(np.int16)
    documents = []
    for number in range(dates):
        # Two orbits see a tile every 2.5 days: twelve dates a month.
        when = datetime(2019, 5, 1, 10, 50, tzinfo=UTC) + timedelta(days=2.5 * number)
        name = f"S2_{TILE}_{when:%Y%m%dT%H%M%S}_L2A"
        cells = -(-size // 2 // PATCH)
        cloudy = rng.random((cells, cells)) < CLOUDY
        cloud = cloudy.repeat(PATCH, 0).repeat(PATCH, 1)[: size // 2, : size // 2]
        scl = np.where(cloud, 9, 4).astype(np.uint8)
        unseen = round(size / 2 * (1 - (swaths or {}).get(number, 1.0)))
        scl[:unseen] = 0
        write(folder / f"{name}_scl.tif", scl, 20)
        white = cloud.repeat(2, 0).repeat(2, 1)
        for band in bands:
            pixels = fields[band] + np.roll(noise, rng.integers(0, size, 2), (0, 1))
            pixels = np.where(white, pixels // 4 + 6000, pixels).clip(1, 15000)
            pixels[: 2 * unseen] = 0
            step = resolutions[band] // 10
            file = folder / f"{name}_{band}.tif"
            write(file, pixels[::step, ::step].astype(np.uint16), resolutions[band])
        documents.append(document(folder, name, when, size, resolutions))
    (folder / "items.json").write_text(json.dumps(documents))


def landscape(rng: np.random.Generator, size: int) -> np.ndarray:
    """(y, x) int32 dn of parcels of some 300 m on slowly changing ground."""
    coarse = rng.normal(0, 400, (9, 9))
    places = np.linspace(0, 8, size)
    rows = np.stack([np.interp(places, np.arange(9), column) for column in coarse.T], 1)
    ground = np.stack([np.interp(places, np.arange(9), row) for row in rows])
    cells = -(-size // 32)
    parcels = rng.integers(300, 3500, (cells, cells)).repeat(32, 0).repeat(32, 1)
    return (ground + parcels[:size, :size]).astype(np.int32)


def write(path: Path, pixels: np.ndarray, resolution: int, nodata: int = 0, **options: str) -> None:
    """(y, x) pixels -> a COG with overviews by average."""
    import rasterio
    from affine import Affine
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    height, width = pixels.shape
    transform = Affine(resolution, 0, LEFT, 0, -resolution, TOP)
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1}
    profile |= {
        "dtype": pixels.dtype,
        "crs": f"EPSG:{EPSG}",
        "transform": transform,
        "nodata": nodata,
    }
    with MemoryFile() as memory:
        with rasterio.open(memory.name, "w", **profile) as raster:
            raster.write(pixels, 1)
        options = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BLOCKSIZE": "512", **options}
        options |= {"OVERVIEW_RESAMPLING": "AVERAGE"} if nodata else {}
        copy(memory.name, path, driver="COG", **options)


def document(
    folder: Path, name: str, when: datetime, size: int, resolutions: dict[str, int]
) -> dict[str, Any]:
    """The STAC item of a date."""
    import shapely
    from pyproj import Transformer

    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    right, bottom = LEFT + 10 * size, TOP - 10 * size
    corners = [(LEFT, bottom), (right, bottom), (right, TOP), (LEFT, TOP), (LEFT, bottom)]
    ring = [to_lonlat.transform(x, y) for x, y in corners]
    assets = {}
    for key, resolution in resolutions.items():
        side = size * 10 // resolution
        about: dict[str, Any] = {"data_type": "uint16", "nodata": 0, "scale": 1e-4, "offset": 0}
        assets[key] = {
            "href": str((folder / f"{name}_{key}.tif").absolute()),
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "gsd": resolution,
            "roles": ["data", "classification" if key == "scl" else "reflectance"],
            "proj:shape": [side, side],
            "proj:transform": [resolution, 0, LEFT, 0, -resolution, TOP],
            "raster:bands": [{"data_type": "uint8", "nodata": 0} if key == "scl" else about],
        }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(shapely.Polygon(ring).bounds),
        "properties": {
            "datetime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "grid:code": f"MGRS-{TILE}",
            "proj:code": f"EPSG:{EPSG}",
            "clearcube:level": "l2a",
            "clearcube:version": "1",
        },
        "links": [],
        "assets": assets,
    }


def items(scenes: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((scenes / "items.json").read_text())
    return found


def period(scenes: Path) -> str:
    """First and last month of the scenes, as a request says them."""
    months = [item["properties"]["datetime"][:7] for item in items(scenes)]
    return f"{months[0]}/{months[-1]}"


def bounds(documents: Sequence[dict[str, Any]]) -> tuple[float, float, float, float]:
    rows, columns = documents[0]["assets"]["blue"]["proj:shape"]
    return LEFT, TOP - 10 * rows, LEFT + 10 * columns, TOP


if __name__ == "__main__":
    sys.exit(main())
