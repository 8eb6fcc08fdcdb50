# ruff: noqa: T201
"""Speed and memory of the synthesis kernels beside numpy, bottleneck and geomad, in one process.

Run ``python tests/benchmarks/bench_synthesis.py``. Unit: million pixels x dates per CPU-second, all
bands counted once; best of some runs, compilation left out.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import bottleneck
import geomad
import numpy as np

from cube.angles import SceneAngles
from cube.directional import Frame
from cube.facts import DateFacts
from cube.kernels.composite import NODATA
from cube.periods import Period
from cube.synthesis import composite, day_number, method, methods
from cube.weights import CloudWeightParams, cloud_weight, coarse_cloud_weights, not_clear

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
MASKED = 0.45
PATCH = 8
PLAIN = method("wasp").params(outliers="keep")
"""The weighted mean alone: noise without end, as of the random bands, is all outliers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--dates", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(42)
    shape = (options.dates, options.size, options.size)
    may = Period.parse("2019-05")
    first = day_number(may.start + timedelta(days=1))
    days = np.linspace(first, first + 28, options.dates).astype(np.int32)
    classes = scene_classes(rng, shape)
    bands = {name: rng.integers(100, 6000, shape, np.int16) for name in BANDS}
    weight = rng.uniform(0.1, 1, shape).astype(np.float32)
    wasp, median = method("wasp"), method("median")
    mpx_dates = classes.size / 1e6

    def run(name: str, work: Callable[[], object], repeat: int = options.repeat) -> None:
        work()
        best = min(cpu_seconds(work) for _ in range(repeat))
        print(f"{name:34s}{mpx_dates / best:10.1f} Mpx*dates / CPU-s")

    natural = lifelike(rng, shape)
    before = peak_mib()
    for name, params in {"wasp": wasp.params(), "wasp, outliers kept": PLAIN}.items():
        run(
            name,
            lambda params=params: composite(
                wasp, params, may, natural, classes, days, weight, natural["blue"]
            ),
        )
    with tempfile.TemporaryDirectory() as folder:
        facts = [scene_facts(Path(folder))] * options.dates
        frame = Frame(0, 0, 10)
        run(
            "wasp, outliers kept, directions by grids",
            lambda: composite(
                wasp, PLAIN, may, bands, classes, days, weight, bands["blue"], facts, frame=frame
            ),
        )  # fmt: skip
    aot = rng.integers(0, 900, shape, np.int16)
    run(
        "wasp, outliers kept, with aerosol",
        lambda: composite(wasp, PLAIN, may, bands, classes, days, weight, bands["blue"], aot=aot),
    )
    run(
        "median",
        lambda: composite(median, median.params(), may, bands, classes, days, None, bands["blue"]),
    )
    shares = [
        DateFacts(clear_share=a, cloud_share=b) for a, b in rng.random((options.dates, 2)).tolist()
    ]
    for each in methods():
        if each.name in ("wasp", "median"):
            continue
        near = None if each.nearness(each.params()) is None else weight
        run(
            each.name,
            lambda each=each, near=near: composite(
                each, each.params(), may, natural, classes, days, near, natural["blue"], shares
            ),
        )
    spectra = np.stack([masked(band, classes) for band in natural.values()])
    series = np.ascontiguousarray(np.moveaxis(spectra, (0, 1), (2, 3)))
    run("geomad", lambda: geomad.nangeomedian_pcm(series, num_threads=1, eps=1.0), 1)
    run("geomad with deviations", lambda: deviations(series), 1)
    print(f"{'inputs / peak above them':34s}{before:6.0f} / {peak_mib() - before:.0f} MiB")
    cloudy = not_clear(classes[0], wasp.params())
    params = CloudWeightParams()
    coarse = coarse_cloud_weights([(0, cloudy)], cloudy.shape, 10, params)
    for resolution in (10, 20):
        work = lambda r=resolution: [  # noqa: E731
            cloud_weight(coarse, 0, 0, cloudy.shape, r, params) for _ in range(options.dates)
        ]
        run(f"cloud weight to {resolution} m", work)
    run(
        "cloud weight, coarse",
        lambda: [
            coarse_cloud_weights([(0, cloudy)], cloudy.shape, 10, params)
            for _ in range(options.dates)
        ],
    )
    floats = {name: masked(band, classes) for name, band in bands.items()}
    last = {name: np.ascontiguousarray(np.moveaxis(f, 0, -1)) for name, f in floats.items()}
    run("numpy nanmean, time first", lambda: [np.nanmean(f, axis=0) for f in floats.values()])
    run(
        "bottleneck nanmean, time first",
        lambda: [bottleneck.nanmean(f, 0) for f in floats.values()],
    )
    run(
        "bottleneck nanmedian, time first",
        lambda: [bottleneck.nanmedian(f, 0) for f in floats.values()],
    )
    run(
        "bottleneck nanmedian, time last",
        lambda: [bottleneck.nanmedian(f, -1) for f in last.values()],
    )
    run(
        "numpy nanmedian, time first", lambda: [np.nanmedian(f, axis=0) for f in floats.values()], 1
    )


def scene_facts(folder: Path) -> DateFacts:
    """Grids of angles of three detectors that meet within the block, in a file."""
    row, column = np.mgrid[:23, :23]
    sun = np.array([40 - 0.05 * row, 150 + 0.04 * column])
    views = np.full((3, 2, 23, 23), np.nan)
    for detector, (left, right) in enumerate(((0, 1), (0, 2), (1, 23))):
        inside = (column >= left) & (column <= right)
        views[detector] = np.where(inside, [2 + 0.35 * column, 280 + 3 * detector + row], np.nan)
    angles = SceneAngles(0, 0, (5000, 5000), (109_800, 109_800), sun[np.newaxis],
                         dict.fromkeys(BANDS, views))  # fmt: skip
    path = folder / "angles.npz"
    path.write_bytes(angles.content())
    return DateFacts(angles=(angles.checksum(),), angle_files=(str(path),))


def lifelike(rng: np.random.Generator, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """(time, y, x) int16 dn by band: each pixel's own spectrum and some noise, so that medians exist."""
    found = {}
    for name in BANDS:
        level = rng.uniform(300, 4000, shape[1:])
        found[name] = (level + rng.normal(0, 150, shape)).astype(np.int16)
    return found


def deviations(series: np.ndarray) -> None:
    """(y, x, band, time) float32 -> geomad's geometric median and its three deviations."""
    found = geomad.nangeomedian_pcm(series, num_threads=1, eps=1.0)
    for peer in (geomad.emad_pcm, geomad.smad_pcm, geomad.bcmad_pcm):
        peer(series, found, num_threads=1)


def scene_classes(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """(time, y, x) uint8 classes: cloud in patches on a share of the pixels, the rest clear."""
    dates, height, width = shape
    coarse = rng.random((dates, -(-height // PATCH), -(-width // PATCH))) < MASKED
    cloud = coarse.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[:, :height, :width]
    return np.where(cloud, 2, 1).astype(np.uint8)


def masked(band: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(time, y, x) int16 dn -> float32 with NaN where not clear: what the peers are given."""
    return np.where((classes == 1) & (band != NODATA), band, np.nan).astype(np.float32)


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
