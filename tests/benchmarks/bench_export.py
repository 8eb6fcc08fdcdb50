"""What writing NetCDF and ENVI costs: time, size and memory for a full tile; run as a script.

``python tests/benchmarks/bench_export.py [DATES]``. One band and one mask of 5490 x 5490 pixels at
20 m, 70 dates. The pixels are made up, so that writing alone is measured, but for the mask, which
is read from one COG date after date.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from cube.envi import write_envi
from cube.grid import tile_extent
from cube.netcdf import write_netcdf
from cube.rasters import write_cog
from cube.stack import Layer, MaskFile, Stack, Window, corner_of, mask_layer

SIDE = 5490
TILE = 512


def main() -> int:
    """Measure and print."""
    dates = int(sys.argv[1]) if len(sys.argv) > 1 else 70
    with tempfile.TemporaryDirectory() as name, rasterio.Env(GDAL_CACHEMAX=64):
        folder = Path(name)
        stack = _stack(folder, dates)
        size = dates * SIDE * SIDE * 3
        before = _peak()
        for kind, write in (("envi", _envi), ("netcdf", _netcdf)):
            start, used = time.perf_counter(), time.process_time()
            write(folder, stack)
            wall, used = time.perf_counter() - start, time.process_time() - used
            held = sum(f.stat().st_size for f in folder.glob("series*"))
            sys.stdout.write(
                f"{kind}: {size / 1e9:.1f} GB of pixels in {wall:.0f} s ({used:.0f} s of processor "
                f"time), {held / 1e9:.1f} GB on the disk, peak memory {_peak()} MB "
                f"({before} MB before)\n"
            )
            if kind == "netcdf":
                _read(folder / "series.nc")
            for file in folder.glob("series*"):
                file.unlink()
    return 0


def _netcdf(folder: Path, stack: Stack) -> None:
    write_netcdf(folder / "series.nc", stack)


def _envi(folder: Path, stack: Stack) -> None:
    write_envi(folder, stack)


def _read(path: Path) -> None:
    with xr.open_dataset(path) as file:
        start = time.perf_counter()
        for row in range(100, 5100, 500):
            file.band[:, row, row].values.sum()
        sys.stdout.write(f"  a pixel's series: {(time.perf_counter() - start) * 100:.1f} ms\n")
        start = time.perf_counter()
        file.band[3].values.sum()
        sys.stdout.write(f"  a date of the tile: {time.perf_counter() - start:.1f} s\n")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _stack(folder: Path, dates: int) -> Stack:
    geobox = tile_extent("31UES").geobox(20)
    rng = np.random.default_rng(1)
    # Ground in patches, noise of a few dn, a third of the dates under cloud.
    ground = rng.integers(300, 3000, (SIDE // 30 + 1, SIDE // 30 + 1)).astype(np.int16)
    noise = rng.normal(0, 40, (TILE * 2, TILE * 2)).astype(np.int16)
    cloudy = rng.random(dates) < 0.3

    def read(some: slice, window: Window) -> np.ndarray:
        rows, columns = (np.arange(w.start, w.stop) for w in window)
        here = ground[np.ix_(rows // 30, columns // 30)]
        return np.stack([
            here + noise[np.ix_((rows + 37 * t) % len(noise), columns % len(noise))]
            + np.int16(4000 * cloudy[t])
            for t in range(*some.indices(dates))
        ])  # fmt: skip

    classes = rng.integers(1, 4, (SIDE // 90 + 1, SIDE // 90 + 1)).astype(np.uint8)
    pixels = classes.repeat(90, 0).repeat(90, 1)[:SIDE, :SIDE]
    rows: Callable[[int, int], np.ndarray] = lambda a, b: pixels[a:b]  # noqa: E731
    write_cog(folder / "mask.tif", geobox, rows, dtype="uint8", nodata=0, average=False)
    file = MaskFile(str(folder / "mask.tif"), corner_of(geobox), (SIDE, SIDE))
    times = np.datetime64("2019-01-01", "ms") + np.arange(dates) * np.timedelta64(5, "D")
    return Stack(
        name="series",
        title="made up",
        geobox=geobox,
        times=tuple(times.astype("datetime64[ms]")),
        scenes=tuple(map(str, range(dates))),
        layers=(
            Layer("band", "band", "int16", -10000, read, 0.0001, 0.5),
            mask_layer("mask", "mask", [file] * dates, geobox),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
