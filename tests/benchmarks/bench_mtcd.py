"""How long mtcd takes for a date of a full tile, and how much memory; run as a script.

``python tests/benchmarks/bench_mtcd.py [--check]``. Reading is left out: bands are made one at a
time, outside the clock, as a job would read them. Compilation is left out by a small date before.
With ``--check`` the status is 1 where a figure misses its target.
"""

import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cube.mtcd.bits import to_fine
from cube.mtcd.coarse import CoarseGrid, choose_grid
from cube.mtcd.image import Image, Meta, make_image
from cube.mtcd.params import MtcdParams
from cube.mtcd.step import step

FULL = (5490, 5490)
SMALL = (768, 768)
TARGET = 10.0
"""Seconds of processor time for a NOMINAL date, from dn to bits and classes at 20 m."""

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


if __name__ == "__main__":
    raise SystemExit(main())
