"""A month of a tile, from COGs and from the cube, by the command itself; and how its cost grows.

``python tests/benchmarks/bench_tile_month.py --size 10980`` makes one month of a whole tile: ten dates,
ten bands, by ``clearcube run synthesis`` with two workers of 1 GiB, first from COGs, then again from the
cube that is there. It tells wall time with the load of the machine, processor time by stage, the largest
peak of a worker beside what the plan promised, and bytes. ``--methods`` makes further months from the
same cube. Without ``--size`` it makes small months instead, of more or fewer dates, bands and pixels, and
tells the processor time of their units, in all and for each 100 million pixels x dates x bands at 10 m: a
cost that grows linearly stays the same.

The scenes are cheap: a pattern of 11 km, parcels with noise under clouds, is repeated over the tile, and
of the dates only some (``--distinct``) are different, the others are hard links to their files. That
spares the disk, not the reader: every date is read, decoded, stored and composed for itself; only the
system's cache serves a file that was read before.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bench_engine import BANDS, Warm, ledgers
from bench_main_job import (
    CLOUDY,
    COARSE,
    PATCH,
    TILE,
    document,
    landscape,
    say,
    write,
)

WHOLE = 10980
"""Pixels along the side of a tile."""
PATTERN = 1098
"""Pixels along the side of the pattern, at 10 m: a tenth of a tile."""
MONTH = {"tile": TILE, "datetime": "2019-05", "mask": "scl"}
MINUTES = {"from COGs": 3.5, "from the cube": 2.5}
"""Wall time of a whole tile on two cores of its own, at most."""
WORKER_MB = 1024

GROWTH = (
    # Pixels of a side, dates, bands.
    (2048, 5, 10),
    (2048, 10, 10),
    (2048, 20, 10),
    (2048, 10, 5),
    (1024, 10, 10),
    (4096, 10, 10),
)
HALF = ("blue", "nir", "rededge1", "rededge2", "swir16")
"""Half of the ten bands, and of their pixels."""


def main() -> int:
    options = parsed()
    say(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="clearcube-bench-", dir=options.folder) as folder:
        if options.size is None:
            growth(Path(folder), options)
        else:
            month(Path(folder), options)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, help="pixels of a side at 10 m; 10980 is a tile")
    parser.add_argument("--dates", type=int, default=10)
    parser.add_argument("--distinct", type=int, default=3, help="dates that are not links")
    parser.add_argument("--methods", nargs="*", default=["wasp"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="1GiB", help="of a worker")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    return parser.parse_args()


# --- one month ------------------------------------------------------------------------------------


def month(folder: Path, options: argparse.Namespace) -> None:
    """A month by each method: the first from COGs and again from the cube, the others from it."""
    say(f"making {options.dates} dates of {options.size} x {options.size}, {len(BANDS)} bands")
    made = make_scenes(folder / "scenes", options.size, options.dates, BANDS, options.distinct)
    workspace = folder / "w"
    ingest(workspace, made)
    first, *others = options.methods
    told("from COGs", first, run(workspace, first, "cogs", options), options)
    shutil.rmtree(workspace / "scratch" / "weights", ignore_errors=True)
    for method in (first, *others):
        told("from the cube", method, run(workspace, method, "cube", options), options)
    for name in ("scenes", "w/cubes", "w/products"):
        say(f"{name}: {held(folder / name) / 1e6:.0f} MB")


@dataclass
class Stage:
    """What the units of a stage took in all, and the most that a worker held."""

    units: int = 0
    cpu: float = 0.0
    read: int = 0
    written: int = 0
    peak: int = 0
    promised: int = 0


@dataclass
class Cost:
    """What a command took."""

    wall: float
    cpu: float
    load: float
    stages: dict[str, Stage] = field(default_factory=dict)

    @property
    def of_units(self) -> float:
        """Processor seconds that units account for; the rest are imports and the engine's."""
        return sum(stage.cpu for stage in self.stages.values())


def run(workspace: Path, method: str, name: str, options: argparse.Namespace) -> Cost:
    """``clearcube run synthesis`` in a process of its own -> what it took."""
    request = {**MONTH, "method": method, "name": name}
    promised = promises(workspace, request, options)
    command = [sys.executable, "-m", "jobs.cli", "--workspace", str(workspace), "run", "synthesis"]
    command += [f"--{key}={value}" for key, value in request.items()]
    workers = {"CLEARCUBE_WORKERS": str(options.workers), "CLEARCUBE_MEMORY": options.memory}
    before = set(ledgers(workspace))
    wall, cpu = time.perf_counter(), children_seconds()
    done = subprocess.run(command, env={**os.environ, **workers}, capture_output=True, text=True)
    found = Cost(time.perf_counter() - wall, children_seconds() - cpu, os.getloadavg()[0])
    if done.returncode:
        raise RuntimeError(done.stderr.splitlines()[-1])
    for path in sorted(set(ledgers(workspace)) - before):
        for line in map(json.loads, path.read_text().splitlines()):
            if line["event"] == "done":
                count(found.stages.setdefault(line["stage"], Stage()), line)
    for stage, bytes_held in promised.items():
        if stage in found.stages:
            found.stages[stage].promised = bytes_held
    return found


def promises(
    workspace: Path, request: Mapping[str, Any], options: argparse.Namespace
) -> dict[str, int]:
    """Stage -> bytes that the plan promises a worker to hold at most."""
    from jobs.memory import WORKER_BYTES
    from jobs.workspace import open_workspace

    with open_workspace(workspace, workers=options.workers, memory=options.memory) as opened:
        planned = opened.plan("synthesis", **request)
        stages = [stage for one in planned.every() for stage in one.stages]
    return {stage.name: WORKER_BYTES + stage.memory for stage in stages}


def count(stage: Stage, line: Mapping[str, Any]) -> None:
    """Add a unit of the ledger to its stage."""
    stage.units += 1
    stage.cpu += line["cpu"]
    stage.read += line["read"]
    stage.written += line["written"]
    stage.peak = max(stage.peak, line["peak"])


def told(way: str, method: str, cost: Cost, options: argparse.Namespace) -> None:
    """Say what a command took, beside what it may."""
    target = f", target {60 * MINUTES[way]:.0f} s alone" if options.size == WHOLE else ""
    say(
        f"\n{method} {way}: {cost.cpu:.0f} s cpu; {cost.wall:.0f} s wall, load {cost.load:.1f}{target}"
    )
    say(
        f"{'':24}{'units':>8}{'cpu s':>10}{'read MB':>10}{'wrote MB':>10}{'peak MiB':>10}{'promised':>10}"
    )
    for name, stage in cost.stages.items():
        sizes = [f"{size / 1e6:>10.0f}" for size in (stage.read, stage.written)]
        sizes += [f"{size / (1 << 20):>10.0f}" for size in (stage.peak, stage.promised)]
        broken = "  broken" if stage.peak > stage.promised else ""
        say(f"{name:24}{stage.units:>8}{stage.cpu:>10.1f}{''.join(sizes)}{broken}")
    say(f"{'imports and engine':24}{'':>8}{cost.cpu - cost.of_units:>10.1f}")


def children_seconds() -> float:
    """Processor seconds of processes that this one started and their own, once they have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def held(folder: Path) -> int:
    """Bytes that the files of a folder take; of hard links one."""
    files = {
        file.stat().st_ino: file.stat().st_size for file in folder.rglob("*") if file.is_file()
    }
    return sum(files.values())


# --- growth ---------------------------------------------------------------------------------------


def growth(folder: Path, options: argparse.Namespace) -> None:
    """Months of several sizes: processor seconds of their units."""
    small_month(folder, options, 256, 2, BANDS)  # compiles what there is to compile
    heads = ("cube", "masks", "blocks", "files", "all", "a unit of work")
    say(f"{'':32}{''.join(f'{head:>10}' for head in heads[:-1])}{heads[-1]:>18}")
    for size, dates, bands in GROWTH:
        names = BANDS if bands == len(BANDS) else HALF
        cost = small_month(folder, options, size, dates, names)
        parts = [
            sum(s.cpu for k, s in cost.stages.items() if k.split()[0] == key)
            for key in ("cube", "masks", options.methods[0], "files")
        ]
        # Six of the ten bands have a quarter of the pixels.
        work = size**2 / 1e8 * dates * sum(0.25 if name in COARSE else 1.0 for name in names)
        cells = "".join(f"{part:>10.1f}" for part in (*parts, cost.of_units))
        title = f"{size} x {size}, {dates} dates, {bands} bands"
        say(f"{title:32}{cells}{cost.of_units / work:>18.2f}")


def small_month(
    folder: Path, options: argparse.Namespace, size: int, dates: int, bands: Sequence[str]
) -> Cost:
    """A month from COGs by a command -> what it took."""
    made = make_scenes(folder / "scenes", size, dates, bands, options.distinct)
    ingest(folder / "w", made)
    cost = run(folder / "w", options.methods[0], "v", options)
    for name in ("scenes", "w"):
        shutil.rmtree(folder / name)
    return cost


# --- the scenes -----------------------------------------------------------------------------------


def ingest(workspace: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """Items into a catalogue without opening their files; not measured."""
    Warm("", []).ingest(workspace, documents)


def make_scenes(
    folder: Path, size: int, dates: int, bands: Sequence[str], distinct: int
) -> list[dict[str, Any]]:
    """COGs of a month -> their items; the files of most dates are links."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(20190501)
    fields = {band: landscape(rng, PATTERN) for band in bands}
    noise = rng.normal(0, 40, (PATTERN, PATTERN)).astype(np.int16)
    sizes = {band: 20 if band in COARSE else 10 for band in bands} | {"scl": 20}
    found = []
    for number in range(dates):
        when = datetime(2019, 5, 1, 10, 50, tzinfo=UTC) + timedelta(days=30 * number / dates)
        name = f"S2_{TILE}_{when:%Y%m%dT%H%M%S}_L2A"
        one = document(folder, name, when, size, sizes)
        found.append(one)
        if number >= distinct:
            for key, asset in found[number % distinct]["assets"].items():
                os.link(asset["href"], one["assets"][key]["href"])
            continue
        for key, pixels in pattern(rng, fields, noise, sizes):
            repeats = -(-size * 10 // (sizes[key] * len(pixels)))
            side = size * 10 // sizes[key]
            whole = np.tile(pixels, (repeats, repeats))[:side, :side]
            write(Path(one["assets"][key]["href"]), whole, sizes[key])
    return found


def pattern(
    rng: np.random.Generator,
    fields: Mapping[str, np.ndarray],
    noise: np.ndarray,
    sizes: Mapping[str, int],
) -> Iterator[tuple[str, np.ndarray]]:
    """The pattern of one date: its classes, and each band on its own grid."""
    side = PATTERN // 2
    cells = -(-side // PATCH)
    cloud = (rng.random((cells, cells)) < CLOUDY).repeat(PATCH, 0).repeat(PATCH, 1)[:side, :side]
    yield "scl", np.where(cloud, 9, 4).astype(np.uint8)
    white = cloud.repeat(2, 0).repeat(2, 1)
    for band, ground in fields.items():
        pixels = ground + np.roll(noise, rng.integers(0, PATTERN, 2), (0, 1))
        pixels = np.where(white, pixels // 4 + 6000, pixels).clip(1, 15000)
        step = sizes[band] // 10
        yield band, pixels[::step, ::step].astype(np.uint16)


if __name__ == "__main__":
    sys.exit(main())
