"""How long it takes to decide: a year with nothing to do, ten years of many tiles, what is next.

``python tests/benchmarks/bench_scale.py [--check] [--quick] [--whole]``. No pixel is made: items,
the lists of dates of cubes and empty files stand for archives of full tiles (10980 x 10980 at 10 m,
22 x 22 blocks). Scenes are copies of the item that the catalogue's own reader makes of a product,
with other ids, dates, places and paths; masks, months and cubes are what the jobs would publish.

*Nothing to do*: one tile, 70 dates and 12 months, wasp. A run and a status, in this process and as
commands with their imports.

*Ten years*: a few tiles in full (73 dates a year; scenes, cube, masks, months) in one catalogue with
scenes of a thousand tiles: of one year each, or with ``--whole`` of ten. Planning and status are
timed for each tile that is there in full.

*What is next*: 100,000 units wait in a plan; units of 0.2 s are carried out by two workers until
enough are done. Measured is the time from the end of a unit on its worker to the driver's handing
out another one, the way through dask included.

Targets are held to processor seconds of this process where it alone is at work, else to wall time,
which other work on the machine lengthens: its load is told. With ``--check`` the status is 1 where a
target is missed.
"""

import argparse
import contextlib
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from bench_engine import Row, cluster, say, told

from catalog.search import Query
from cube.errors import GridError
from cube.grid import lonlat, tile_extent
from cube.store import DateEntry, Spec, _commit_root, create_cube, open_store
from cube.variables import level_variables
from jobs import period_job
from jobs.acquisitions import acquisitions
from jobs.dates import date_key, tile_dates
from jobs.decode_masks import MaskParams, _item, _task, mask_recipe
from jobs.forecast import forecast
from jobs.job import Stage, Unit
from jobs.mask_item import mask_id
from jobs.period_item import period_item
from jobs.registry import find_job
from jobs.requests import parse_request
from jobs.runner.ledger import Ledger
from jobs.runner.measure import Measures
from jobs.runner.progress import Progress
from jobs.runner.publish import publish, published
from jobs.runner.run import Session
from jobs.runner.submit import run_stage
from jobs.stores import publish_cube, source_of
from jobs.upkeep import status
from jobs.workspace import Workspace, open_workspace

YEARS = 10
A_YEAR = 73
"""Dates of a tile in a year."""
WAITING = 100_000
UNIT_SECONDS = 0.2
"""Of a block of a full tile, about."""

IDLE_SECONDS = 2.0
"""Within which a run and a status, alone on the machine, say that nothing is to be done."""
PLAN_SECONDS = 1.0
"""Processor seconds to plan ten years of a tile."""
NEXT_MS = 50.0
"""Milliseconds from the end of a unit to the next submission, of 99 in 100."""


def main() -> int:
    options = parsed()
    say(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="clearcube-bench-", dir=options.folder) as folder:
        template = scene_of_a_product(Path(folder) / "season")
        rows = [
            *nothing_to_do(Path(folder) / "year", template),
            *ten_years(Path(folder) / "archive", template, options),
            *what_is_next(Path(folder) / "next", options),
        ]
    return told(rows, options.check)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 tiles in full, 20 of scenes")
    parser.add_argument("--whole", action="store_true", help="scenes of all ten years")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--full", type=int, help="tiles in full; default 20")
    parser.add_argument("--tiles", type=int, help="tiles with scenes; default 1000")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    found = parser.parse_args()
    found.full = found.full or (2 if found.quick else 20)
    found.tiles = found.tiles or (20 if found.quick else 1000)
    return found


# --- nothing to do --------------------------------------------------------------------------------


def nothing_to_do(path: Path, template: dict[str, Any]) -> Iterator[Row]:
    """A year of a full tile, all current."""
    tile, request = "31UES", {"datetime": "2019-01/2019-12", "method": "wasp", "mask": "scl"}
    dates = [datetime(2019, 1, 2, 10, 56, tzinfo=UTC) + timedelta(days=5.2 * n) for n in range(70)]
    with open_workspace(path) as workspace:
        publish(workspace, scenes(template, tile, dates))
        fill(workspace, tile, request)

        def run() -> None:
            with Session(workspace, Progress(quiet=True)) as session:
                outcome = session.run("synthesis", {"tile": tile, **request})
            if outcome.made or outcome.failures or len(outcome.current) != 12:
                raise RuntimeError(f"there was something to do: {outcome.document()}")

        say("\na year of a full tile, 70 dates, 12 months, 484 blocks, nothing to do:")
        for name, work in (("run", run), ("status", lambda: statuses(workspace, tile, 83))):
            took = timed(work, 5)
            say(f"  {name} in this process: {took.text()}")
            yield Row(f"nothing to do, {name} in process: cpu s, median", took.cpu, IDLE_SECONDS)
    words = [f"--{key}={value}" for key, value in {"tile": tile, **request}.items()]
    for name, command in (
        ("run", ["run", "synthesis", *words]),
        ("status", ["status", "--tile", tile]),
    ):
        took = timed(lambda command=command: carried_out(path, command), 3)
        say(f"  {name} as a command: {took.text()}")
        yield Row(f"nothing to do, {name} as a command: cpu s, median", took.cpu, IDLE_SECONDS)


def carried_out(path: Path, words: Sequence[str]) -> None:
    command = [sys.executable, "-m", "jobs.cli", "--workspace", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr.strip().splitlines()[-1:]}")


def statuses(workspace: Workspace, tile: str, least: int) -> None:
    found = status(workspace, tile)
    if len(found) < least or any(target.is_due for target in found):
        raise RuntimeError(f"{len(found)} items, not all current")


# --- ten years ------------------------------------------------------------------------------------


def ten_years(path: Path, template: dict[str, Any], options: argparse.Namespace) -> Iterator[Row]:
    """Plans and statuses of tiles in a catalogue of many."""
    request = {"datetime": f"2016-01/{2015 + YEARS}-12", "method": "wasp", "mask": "scl"}
    names = list(tiles(options.tiles))
    years = YEARS if options.whole else 1
    with open_workspace(path) as workspace:
        before = time.perf_counter()
        for index, tile in enumerate(names):
            count = YEARS if index < options.full else years
            publish(workspace, scenes(template, tile, passes(count)))
        raw = time.perf_counter() - before
        before = time.perf_counter()
        for tile in names[: options.full]:
            fill(workspace, tile, request)
        full = time.perf_counter() - before
        say(
            f"\nmade: scenes of {options.full} tiles for {YEARS} years and of "
            f"{len(names) - options.full} tiles for {years}, {A_YEAR} dates a year, in {raw:.0f} s; "
            f"cubes, masks and months of the {options.full} tiles in {full:.0f} s"
        )
        sizes(path / "catalog.db")
        plans, shown, fresh = [], [], []
        for tile in names[: options.full]:
            asked = {"tile": tile, **request}
            plans.append(timed(lambda asked=asked: idle(workspace, asked), 1))
            shown.append(timed(lambda tile=tile: statuses(workspace, tile, YEARS * 85), 1))
        before_peak = peak_mib()
        for tile in names[: min(3, options.full)]:
            asked = {"tile": tile, **request, "method": "median"}
            fresh.append(timed(lambda asked=asked: all_due(workspace, asked), 1))
        say(f"ten years of one tile ({YEARS * A_YEAR} dates, {YEARS * 12} months):")
        for name, found in (("plan, all current", plans), ("status", shown)):
            cpu, wall = [one.cpu for one in found], [one.wall for one in found]
            say(f"  {name}: cpu s {spread(cpu)}; wall s {spread(wall)}; {len(found)} tiles")
            yield Row(f"ten years of a tile, {name}: cpu s, p99", p99(cpu), PLAN_SECONDS)
        units = all_due(workspace, {"tile": names[0], **request, "method": "median"})
        say(
            f"  plan, all months due ({units} units of blocks): cpu s "
            f"{spread([one.cpu for one in fresh])}; peak of the driver {peak_mib():.0f} MiB "
            f"({before_peak:.0f} before)"
        )
    yield from ledger_size(path, options)


def idle(workspace: Workspace, request: dict[str, str]) -> None:
    found = forecast(workspace, "synthesis", request)
    if not found.is_idle or len(found.targets) != YEARS * 12:
        due = [target.because for target in found.due][:2]
        raise RuntimeError(f"{len(found.targets)} months, due {due}")


def all_due(workspace: Workspace, request: dict[str, str]) -> int:
    """Plan months that are not there yet -> units of their blocks."""
    found = forecast(workspace, "synthesis", request)
    if len(found.due) != YEARS * 12:
        raise RuntimeError(f"{len(found.due)} months are due")
    return sum(len(s.units) for s in found.stages if "median" in s.name and not callable(s.units))


def sizes(path: Path) -> None:
    """Say how large a catalogue is, and what in it."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = db.execute(
            "SELECT collection, count(*), sum(length(content)) FROM items JOIN documents USING (rid)"
            " GROUP BY collection"
        ).fetchall()
    whole = path.stat().st_size
    count = sum(row[1] for row in rows)
    say(f"catalogue: {whole / 1e9:.2f} GB, {count} items, {whole / count:.0f} bytes an item")
    for name, number, size in rows:
        say(f"  {name}: {number} items, {size / number:.0f} bytes each")
    mean = {name: size / number for name, number, size in rows}
    text = sum(size for _, _, size in rows)
    each = (whole - text) / count
    a_tile = YEARS * (A_YEAR * (mean["sentinel-2-l2a"] + mean["cloud-mask-scl"] + 2 * each))
    a_tile += YEARS * 12 * (mean["synthesis-wasp"] + each)
    say(f"  hence 1000 tiles of ten years in full: {a_tile * 1000 / 1e9:.1f} GB (calculated)")


def ledger_size(path: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Lines of a run of very many units."""
    lines = WAITING // (10 if options.quick else 1)
    measures = Measures(1.234, 1.123, 34_567_890, 4_567_890, 456_789_012, "tcp://127.0.0.1:45678")
    cpu = time.process_time()
    with Ledger(path, "synthesis", {}) as ledger:
        for number in range(lines):
            ledger.unit("wasp 31UES", f"31UES-wasp-2019-05-{number}", None, measures)
    cpu, size = time.process_time() - cpu, ledger.path.stat().st_size
    # A tile: a unit a date in cube, masks and weights; blocks of two months each; files of months.
    a_tile = 3 * YEARS * A_YEAR + YEARS * 12 // 2 * 484 + YEARS * 12 * 21
    say(
        f"ledger: {lines} units {size / 1e6:.1f} MB, {size / lines:.0f} bytes and "
        f"{1e6 * cpu / lines:.0f} us cpu a unit; ten years of one tile are {a_tile} units, "
        f"{a_tile * size / lines / 1e6:.1f} MB; of 1000 tiles {a_tile * size / lines / 1e6:.1f} GB "
        "(calculated)"
    )
    yield from ()


# --- what is next ---------------------------------------------------------------------------------


class Enough(Exception):
    """As many units as are to be measured are done."""


@dataclass
class Watched:
    """A client that notes when units are handed out."""

    client: Any
    submitted: list[float] = field(default_factory=list)

    def submit(self, *args: Any, **more: Any) -> Any:
        self.submitted.append(time.time())
        return self.client.submit(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


def what_is_next(path: Path, options: argparse.Namespace) -> Iterator[Row]:
    """From the end of a unit to the next submission, while very many wait."""
    wanted = 100 if options.quick else 500
    gaps: list[float] = []
    before = rss_mib()
    waiting = [Unit(f"31UES-wasp-{n}", (UNIT_SECONDS, "x" * 500)) for n in range(WAITING)]
    ends: list[float] = []
    with (
        cluster(2) as (address, _),
        open_workspace(path, scheduler=address) as workspace,
        Session(workspace, Progress(quiet=True)) as session,
        Ledger(workspace.runs, "next", {}) as ledger,
    ):
        client = Watched(session.client)

        def done(_unit: Unit, ended: float) -> None:
            # What was handed out last answers the end before this one.
            if ends:
                gaps.append(client.submitted[-1] - ends[-1])
            ends.append(ended)
            if len(ends) >= wanted:
                raise Enough

        stage = Stage("wasp 31UES", waiting, asleep, done)
        with contextlib.suppress(Enough):
            run_stage(client, stage, "next", ledger, session.progress)
    millis = [1000 * gap for gap in gaps]
    say(
        f"\n{WAITING} units wait, {len(gaps)} measured, of {UNIT_SECONDS} s each, two workers: from an end to "
        f"the next submission ms {spread(millis)}; the driver with scheduler grew from "
        f"{before:.0f} to {rss_mib():.0f} MiB; load average {os.getloadavg()[0]:.1f}"
    )
    yield Row("what is next, 100,000 wait: ms, p99", p99(millis), NEXT_MS)


def asleep(payload: tuple[float, str]) -> float:
    """A unit of some length -> when it ended."""
    time.sleep(payload[0])
    return time.time()


# --- archives -------------------------------------------------------------------------------------


def scene_of_a_product(folder: Path) -> dict[str, Any]:
    """The item that the catalogue's reader makes of a product."""
    from jobs.simulate.season import SMALL_SEASON, write_season

    files = write_season(folder, SMALL_SEASON)
    with open_workspace(folder / "workspace") as workspace:
        workspace.ingest(files.products[0])
        (item,) = workspace.documents(Query())
    return {"item": item, "product": str(files.products[0])}


def scenes(
    template: dict[str, Any], tile: str, dates: Sequence[datetime]
) -> Iterator[dict[str, Any]]:
    """An item a date, as of a full tile."""
    extent = tile_extent(tile)
    geometry, bbox = lonlat(extent)
    item = deepcopy(template["item"])
    item |= {"id": "@ID@", "geometry": geometry, "bbox": list(bbox)}
    item["properties"] |= {
        "datetime": "@WHEN@",
        "grid:code": f"MGRS-{tile}",
        "proj:code": f"EPSG:{extent.epsg}",
        "s2:datastrip_id": "@ID@",
        "s2:product_uri": "@ID@.SAFE",
    }
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            step = asset["proj:transform"][0]
            asset["proj:transform"] = [step, 0, extent.left, 0, -step, extent.top]
            asset["proj:shape"] = [int(109800 // step)] * 2
    text = json.dumps(item).replace(template["product"], f"/archive/{tile}/@ID@.SAFE")
    for when in dates:
        name = f"S2A_MSIL2A_{when:%Y%m%dT%H%M%S}_N0500_R051_T{tile}_{when:%Y%m%dT%H%M%S}"
        own = text.replace("@ID@", name).replace("@WHEN@", f"{when:%Y-%m-%dT%H:%M:%SZ}")
        document: dict[str, Any] = json.loads(own)
        yield document


def fill(workspace: Workspace, tile: str, request: dict[str, str]) -> None:
    """Cube, masks and months of the scenes of a tile, as if they had been made."""
    extent, variables = tile_extent(tile), level_variables("l2a")
    path = workspace.cubes / f"{tile}.zarr"
    spec = Spec(tile, "l2a", extent, {"r10m": 10, "r20m": 20}, variables)
    cube = create_cube(path, spec)
    names = tuple(variable.name for variable in variables)
    entries = [
        DateEntry(
            time=round(one.time.timestamp() * 1000),
            key=date_key(one, spec),
            items=(source_of(one.items[0]),),
            variables=names,
            slot=slot,
            checksums={name: f"{slot:08x}{index:08x}" for index, name in enumerate(names)},
        )
        for slot, one in enumerate(acquisitions(workspace, tile, "l2a", None))
    ]
    _commit_root(path, cube, entries)
    # Held against schemas as they are made, these items would take five times as long.
    with mock.patch("catalog.items.validate_item"):
        publish_cube(workspace, tile, path, (None, None))
        publish(workspace, masks(workspace, tile, path))
        publish(workspace, months(workspace, tile, request))


def masks(workspace: Workspace, tile: str, path: Path) -> Iterator[dict[str, Any]]:
    cube, params = open_store(path), MaskParams(tile=tile)
    source = published(workspace, "cubes", tile)
    for one in tile_dates(workspace, tile, "l2a"):
        name = mask_id(tile, one.time, "scl", None)
        recipe = mask_recipe(cube, one, params)
        if one.entry is None or source is None:
            raise RuntimeError(f"{name} has no date in the cube")
        task = _task(workspace, path, one.entry, params, name, recipe)
        files = {
            key: file(Path(task.folder) / f"{name}_{key}.{kind}")
            for key, kind in (("mask", "tif"), ("thumbnail", "png"))
        }
        result = {
            "counts": [0, 20_000_000, 5_000_000, 1_000_000, 100_000, 0, 40_100],
            "contradictions": 0,
            "checksum": recipe.fingerprint[:16],
            "resolution": 20,
            "files": files,
        }
        yield _item(task, cube, one.entry, recipe, params, result, source)


def months(workspace: Workspace, tile: str, request: dict[str, str]) -> Iterator[dict[str, Any]]:
    job = find_job("synthesis")
    if job.product is None:
        raise RuntimeError("synthesis declares no product")
    params = parse_request(job, {"tile": tile, **request})
    context = period_job._context(job.name, job.product, workspace, params)
    for result in period_job._results(context, []):
        result.counts = {"r10m": [0, 1, 2, 3, 4], "r20m": [0, 1, 2, 3, 4]}
        for layer, group in period_job._files(context, result):
            result.layers[layer.asset] = (layer, group)
            path = result.folder / f"{result.item_id}_{layer.asset}.tif"
            result.files[layer.asset] = file(path)
        yield period_item(context, result)


def file(path: Path) -> dict[str, Any]:
    """An empty file, and what an asset says of a written one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return {"href": str(path), "file:size": 123_456_789, "file:checksum": "1220" + "ab" * 32}


def passes(years: int) -> list[datetime]:
    """Dates of a tile, five days apart."""
    first = datetime(2016, 1, 2, 10, 56, tzinfo=UTC)
    return [
        first + timedelta(days=365.25 * year + 5 * n)
        for year in range(years)
        for n in range(A_YEAR)
    ]


def tiles(count: int) -> Iterator[str]:
    """Names of tiles of the northern temperate zones."""
    for zone in range(29, 61):
        for column in "ABCDEFGHJKLMNPQRSTUVWXYZ":
            for row in "ABCDEFGHJKLMNPQRSTUV":
                name = f"{zone}U{column}{row}"
                try:
                    extent = tile_extent(name)
                except GridError:
                    continue
                if 5_300_000 < extent.top < 6_200_000 and 300_000 < extent.left < 700_000:
                    yield name
                    count -= 1
                if not count:
                    return


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Took:
    """Seconds of some rounds of the same."""

    cpus: list[float]
    walls: list[float]

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpus)

    @property
    def wall(self) -> float:
        return statistics.median(self.walls)

    def text(self) -> str:
        return f"cpu s {spread(self.cpus)}; wall s {spread(self.walls)}"


def timed(work: Callable[[], object], rounds: int) -> Took:
    """Seconds of this process and its ended children."""
    found = Took([], [])
    for _ in range(rounds):
        cpu, wall = own_seconds(), time.perf_counter()
        work()
        found.cpus.append(own_seconds() - cpu)
        found.walls.append(time.perf_counter() - wall)
    return found


def own_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(each)[:2]) for each in who)


def spread(values: Sequence[float]) -> str:
    return f"p50 {statistics.median(values):.3f} p99 {p99(values):.3f} most {max(values):.3f}"


def p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
