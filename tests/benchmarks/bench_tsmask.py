# ruff: noqa: T201
"""Processor time of tsmask: detection for each pixel, filter and buffer over the notebook's area.

Run ``python tests/benchmarks/bench_tsmask.py``. Best of some runs on one core, compilation left
out. Published program on such data: 161 to 175 microseconds a pixel compiled, 5,700 in Python.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from cube.detectors.tsmask import TsmaskParams, rules
from cube.kernels import neighbours
from cube.kernels.tsmask import Spectra, detect

DATES = 124
CLOUDY = 0.35
AREA = 525, 613
"""Rows and columns of the area of the published notebook."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(42)
    bands = land_under_clouds(rng, options.pixels)
    out = np.empty((DATES, options.pixels), np.uint8)
    taken = best(lambda: detect(Spectra(*bands), rules(TsmaskParams()), out), options.repeat)
    print(f"detection{taken / options.pixels * 1e6:24.2f} us a pixel of {DATES} dates, at most 12")
    coarse = rng.choice(np.array([1, 1, 1, 2, 3, 0], np.uint8), (DATES, 132, 154))
    classes = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : AREA[0], : AREA[1]].copy()
    smoothed, wider = np.empty_like(classes), np.empty_like(classes)

    def both() -> None:
        for plane, once, twice in zip(classes, smoothed, wider, strict=True):
            neighbours.smooth(plane, 1, False, once)
            neighbours.widen(once, True, twice)

    print(f"filter 3x3 and one pixel{best(both, options.repeat):9.3f} s a full area, at most 0.5")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory{peak:22.0f} MiB")


def land_under_clouds(rng: np.random.Generator, pixels: int) -> list[np.ndarray]:
    """(time, pixel) dn of six bands: seasonal land, a third of it under cloud, some in shadow."""
    season = 1 + 0.2 * np.sin(np.linspace(0, 4 * np.pi, DATES))[:, None]
    ground = np.array([500, 800, 700, 2600, 2000, 1300]) * rng.uniform(0.7, 1.3, (pixels, 1))
    sky = rng.random((DATES, pixels))
    cloud = sky < CLOUDY
    light = np.where(sky > 0.92, 0.35, 1) * season
    opacity = np.where(cloud, rng.uniform(0.2, 1, (DATES, pixels)), 0)
    bands = []
    for number in range(6):
        lit = ground[:, number] * light * rng.normal(1, 0.04, (DATES, pixels))
        bands.append((lit * (1 - opacity) + 5500 * opacity).astype(np.int16))
    return bands


def best(work: Callable[[], object], repeat: int) -> float:
    """CPU seconds, the best of several runs after a first."""
    work()
    taken = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
