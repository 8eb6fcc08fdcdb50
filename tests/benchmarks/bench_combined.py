"""What ``combined`` costs: processor time a pixel, memory of a block; run as a script.

``python tests/benchmarks/bench_combined.py``. One block of 256 pixels with its halo, 124 dates, a
mask beside them; compilation is left out. The peer is the bare minimum of work on the same arrays:
the haze index of every observation and its median along time, by numpy.
"""

import sys
import time
import tracemalloc

import numpy as np

from cube.detectors.combined import BANDS, CombinedParams, detect, halo
from cube.temporal import Series

DATES, BLOCK = 124, 256


def main() -> int:
    """Measure and print."""
    params = CombinedParams()
    detect(_series(10, 12), params)
    side = BLOCK + 2 * halo(params)
    series = _series(DATES, side)
    given = sum(band.nbytes for band in series.bands.values()) + _bytes(series.classes)
    start = time.process_time()
    detect(series, params)
    own = time.process_time() - start
    start = time.process_time()
    index = 2 * series.bands["blue"].astype(np.int32) - series.bands["red"]
    np.median(index, axis=0)
    peer = time.process_time() - start
    tracemalloc.start()
    detect(series, params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sys.stdout.write(
        f"{DATES} dates, {side} x {side} pixels: {own / side**2 * 1e6:.1f} us a pixel of "
        f"processor time, {own:.1f} s a block ({own / peer:.1f} x numpy's median of the index)\n"
        f"memory: {given / 1e6:.0f} MB given, {peak / 1e6:.0f} MB of its own, "
        f"{peak / DATES / side**2:.1f} bytes an observation\n"
    )
    return 0


def _series(dates: int, side: int) -> Series:
    """Two covers with noise; half of the dates under cloud or shadow, in patches of 16 pixels."""
    rng = np.random.default_rng(20190516)
    shape = (dates, side, side)
    coarse = rng.choice(np.array([0, 0, 1, 2], np.uint8), (dates, -(-side // 16), -(-side // 16)))
    kind = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :side, :side]
    bands = {}
    for name, ground in zip(BANDS, (400, 700, 600, 3000, 2000), strict=True):
        values = rng.normal(ground, 60, shape)
        values += 3000 * (kind == 1)
        values *= np.where(kind == 2, 0.45, 1)
        bands[name] = values.round().astype(np.int16)
    days = np.arange(17000, 17000 + 5 * dates, 5, dtype=np.int32)
    return Series(bands, days, np.where(kind == 1, 2, 1).astype(np.uint8))


def _bytes(array: np.ndarray | None) -> int:
    return 0 if array is None else array.nbytes


if __name__ == "__main__":
    raise SystemExit(main())
