"""What the engine costs beside the work: late dates, units that do nothing, two workers and one.

``python tests/benchmarks/bench_engine.py [--check] [--quick]``. All figures are processor seconds
(of driver, scheduler and workers, every thread and ended child), with wall time beside, for other
work on the machine only stretches the latter; ratios are of one run. With ``--check`` the status is 1
where a target is missed.

*Late date*: twelve dates of a month (COGs as in ``bench_main_job.py``, ten bands, scl) are brought
from an empty workspace to a synthesis; elsewhere the same of eleven of them, then the twelfth comes.
The ratio is what the second run takes over what the first took. It is told twice: as commands that
start their own workers, imports and all; and by a driver and workers that are warm, which is what
a service has. Where the time goes is told from the ledger, and what no unit accounts for is the
engine's.

*Overhead*: as many units as a full tile has blocks, which do nothing, over the processor seconds of
one block of a full tile (512 x 512 at 10 m and 256 x 256 at 20 m, twelve dates, ten bands, wasp).

*Two workers*: a synthesis from a cube that is there, by one worker and by two; only on a machine with
nothing else to do is that ratio what it claims to be, so the load is told beside.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from bench_main_job import TILE, items, make_scenes, publish_items, say

BANDS = (
    *("blue", "green", "red", "nir"),
    *("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22"),
)
MONTH = {"tile": TILE, "datetime": "2019-05", "mask": "scl"}
THIRD = 1 / 3
BLOCKS = 484
"""Blocks of a full tile."""

LATE_SHARE = 0.25
"""Processor seconds of a late date over those of all twelve from nothing, at most."""
OVERHEAD_SHARE = 0.05
"""Processor seconds of the engine a unit over those of a block, at most."""
TWO_WORKERS = 1.8
"""Times as fast as one worker, at least, on a quiet machine."""
QUIET = 0.5
"""Load average beside which two workers are held to that."""


def main() -> int:
    options = parsed()
    sys.stdout.write(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="clearcube-bench-", dir=options.folder) as folder:
        bench = Bench(Path(folder), options)
        bench.prepare()
        methods = options.methods or (["wasp"] if options.quick else ["wasp", "median"])
        for method in methods:
            rows += bench.late_dates(method)
        rows.append(bench.overhead())
        rows.append(bench.two_workers())
    return told(rows, options.check)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, help="pixels of a side at 10 m; default 2048")
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="1024 pixels, wasp, warm workers only")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    found = parser.parse_args()
    found.size = found.size or (1024 if found.quick else 2048)
    return found


@dataclass(frozen=True)
class Row:
    """One figure beside what it is to reach."""

    name: str
    value: float
    target: float
    is_most: bool = True
    """Whether the target is the most allowed; else the least."""
    counts: bool = True
    """Whether missing it is a failure here."""

    @property
    def is_missed(self) -> bool:
        return self.value > self.target if self.is_most else self.value < self.target


def told(rows: Sequence[Row], check: bool) -> int:
    """Print the table of targets -> status."""
    say(f"\n{'':64}{'':>10}{'target':>12}")
    for row in rows:
        sign = "<=" if row.is_most else ">="
        verdict = ("  missed" if row.counts else "  missed (not held to it)") * row.is_missed
        say(f"{row.name:64}{row.value:10.3f}{sign:>6}{row.target:6.2f}{verdict}")
    return int(check and any(row.is_missed and row.counts for row in rows))


# --- measuring ------------------------------------------------------------------------------------


@dataclass
class Cost:
    """What a piece of work took."""

    cpu: float = 0.0
    wall: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    """First word of a stage's name -> processor seconds of its units, from the ledger."""

    @property
    def rest(self) -> float:
        """What no unit accounts for."""
        return self.cpu - sum(self.stages.values())


@contextlib.contextmanager
def measured(workspace: Path, others: Sequence[int] = ()) -> Iterator[Cost]:
    """What this process, its ended children and other processes take meanwhile."""
    found = Cost()
    before = set(ledgers(workspace))
    cpu, wall = cpu_seconds(others), time.perf_counter()
    yield found
    found.cpu, found.wall = cpu_seconds(others) - cpu, time.perf_counter() - wall
    for path in set(ledgers(workspace)) - before:
        for line in map(json.loads, path.read_text().splitlines()):
            if line["event"] in ("done", "failed"):
                stage = line["stage"].split()[0]
                found.stages[stage] = found.stages.get(stage, 0.0) + line["cpu"]


def cpu_seconds(others: Sequence[int]) -> float:
    own = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    total = sum(sum(resource.getrusage(who)[:2]) for who in own)
    for pid in others:
        total += sum(psutil.Process(pid).cpu_times()[:2])
    return total


def ledgers(workspace: Path) -> list[Path]:
    return sorted((workspace / "runs").glob("*.jsonl"))


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[int]]]:
    """Workers with all that they need loaded -> address, and the numbers of their processes.

    The scheduler is a thread of this process, and so measured with it.
    """
    import dask
    from distributed import Client, LocalCluster

    from jobs.runner.cluster import LOCAL

    warnings.filterwarnings("ignore", "Port .* is already in use", UserWarning)

    with (
        dask.config.set(LOCAL),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit="4GiB",
            dashboard_address=None,
            silence_logs=50,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield local.scheduler_address, list(client.run(os.getpid).values())


# --- the work -------------------------------------------------------------------------------------


@dataclass
class Bench:
    """Scenes, and what is measured with them."""

    folder: Path
    options: argparse.Namespace
    block: float = 0.0
    """Processor seconds of a block of twelve dates and ten bands, wasp."""
    ready: Path | None = None
    """A workspace with cube and masks of all dates."""

    def prepare(self) -> None:
        """Make scenes: twelve dates that saw all, and one that saw a third."""
        size, dates = self.options.size, self.options.dates
        say(f"making {dates} dates of {size} x {size} and {len(BANDS)} bands")
        make_scenes(self.scenes("whole"), dates, size, False, BANDS)
        make_scenes(self.scenes("third"), 1, size, False, BANDS, {0: THIRD})
        make_scenes(self.scenes("tiny"), 2, 256, False, BANDS)

    def scenes(self, name: str) -> Path:
        return self.folder / f"scenes-{name}"

    def documents(self, name: str) -> list[dict[str, Any]]:
        """Items of the month, the last of which is late; it saw the whole, or a third."""
        found = items(self.scenes("whole"))
        if name == "third":
            (last,) = items(self.scenes("third"))
            when = found[-1]["properties"]["datetime"]
            last["properties"]["datetime"] = when
            found[-1] = {**last, "id": found[-1]["id"]}
        return found

    def late_dates(self, method: str) -> Iterator[Row]:
        """Ratios of a late date, by commands and by what is warm."""
        with cluster(2) as (address, pids):
            self.warm(address, method)
            for name in ("whole", "third"):
                yield from self.late_date(
                    f"late {name}, {method}, warm", name, method, Warm(address, pids)
                )
        if not self.options.quick:
            yield from self.late_date(
                f"late whole, {method}, commands", "whole", method, Commands()
            )

    def late_date(self, title: str, name: str, method: str, way: "Way") -> Iterator[Row]:
        documents = self.documents(name)
        scratch, late, again = (self.folder / f"w-{kind}" for kind in ("scratch", "late", "again"))
        way.ingest(scratch, documents)
        full = way.synthesis(scratch, method)
        shown(f"{title}: {len(documents)} dates from nothing", full)
        if method == "wasp" and name == "whole" and isinstance(way, Warm):
            # Of workers that just started, the first block would hold their imports.
            self.block = full.stages["wasp"] / units(scratch, "wasp")
        way.ingest(late, documents[:-1])
        way.synthesis(late, method)
        shutil.copytree(late, again)
        move_hrefs(late, again)
        yield from self.taken(title, "run stale", full, late, way, way.stale, documents)
        yield from self.taken(
            title,
            "run synthesis",
            full,
            again,
            way,
            lambda path: way.synthesis(path, method),
            documents,
        )
        if self.ready is None:
            self.ready = self.folder / "w-ready"
            scratch.rename(self.ready)
            move_hrefs(scratch, self.ready)
        for path in (scratch, late, again):
            shutil.rmtree(path, ignore_errors=True)

    def taken(
        self,
        title: str,
        command: str,
        full: Cost,
        path: Path,
        way: "Way",
        work: Callable[[Path], Cost],
        documents: Sequence[Mapping[str, Any]],
    ) -> Iterator[Row]:
        way.ingest(path, documents[-1:])
        cost = work(path)
        shown(f"{title}: {command} once the last came", cost)
        yield Row(
            f"{title}, {command}: cpu over that of all dates", cost.cpu / full.cpu, LATE_SHARE
        )

    def warm(self, address: str, method: str) -> None:
        """Let workers and this process load what they need."""
        path = self.folder / "w-tiny"
        way = Warm(address, [])
        way.ingest(path, items(self.scenes("tiny")))
        for number in range(3):  # two workers: each is to have made a block and a file
            way.synthesis(path, method, name=f"v{number}")
        shutil.rmtree(path)

    def overhead(self) -> Row:
        """Processor seconds of the engine a unit, over those of a block."""
        from jobs.job import Stage, Unit
        from jobs.runner.ledger import Ledger
        from jobs.runner.progress import Progress
        from jobs.runner.run import Session
        from jobs.runner.submit import run_stage
        from jobs.workspace import open_workspace

        path = self.folder / "w-nothing"
        done: list[str] = []
        with (
            cluster(2) as (address, pids),
            open_workspace(path, scheduler=address) as workspace,
            Session(workspace, Progress(quiet=True)) as session,
        ):
            for name in ("warm", "nothing"):
                made = [Unit(f"{TILE}-{name}-{n}", (n, "x" * 2000)) for n in range(BLOCKS)]
                stage = Stage(name, made, nothing, lambda unit, _: done.append(unit.key))
                client = session.client
                with measured(path, pids) as cost, Ledger(workspace.runs, name, {}) as ledger:
                    failures = run_stage(client, stage, name, ledger, session.progress)
                if failures or len(done) % BLOCKS:
                    raise RuntimeError(f"{len(done)} of {BLOCKS} units were done")
        share = cost.cpu / BLOCKS / self.block
        say(
            f"\n{BLOCKS} units that do nothing: {1000 * cost.cpu / BLOCKS:.2f} ms cpu and "
            f"{1000 * cost.wall / BLOCKS:.2f} ms wall a unit; a block of {self.options.dates} dates "
            f"and {len(BANDS)} bands, wasp: {self.block:.3f} s cpu"
        )
        return Row("engine and dask: cpu a unit over that of a block", share, OVERHEAD_SHARE)

    def two_workers(self) -> Row:
        """Wall time of a synthesis from a cube by one worker over that by two."""
        path = self.ready
        if path is None:
            raise RuntimeError("no workspace was kept")
        costs: dict[int, Cost] = {}
        loads: dict[int, float] = {}
        for workers in (1, 2):
            with cluster(workers) as (address, pids):
                self.warm(address, "wasp")
                shutil.rmtree(path / "scratch" / "weights", ignore_errors=True)
                way = Warm(address, pids)
                costs[workers] = way.synthesis(path, "wasp", name=f"by{workers}")
                loads[workers] = os.getloadavg()[0]
        say("")
        for workers, cost in costs.items():
            shown(f"wasp from the cube, {workers} workers, load {loads[workers]:.1f}", cost)
        # What others use of the cores while two workers want both is not theirs to answer for.
        idle = loads[2] - 2 <= QUIET and (os.cpu_count() or 1) >= 2
        return Row(
            f"two workers: wall of one over wall of two (load average {loads[2]:.1f})",
            costs[1].wall / costs[2].wall,
            TWO_WORKERS,
            is_most=False,
            counts=idle,
        )


def nothing(payload: tuple[int, str]) -> int:
    """A unit that does nothing."""
    return payload[0]


def shown(name: str, cost: Cost) -> None:
    """Say a cost and where it went."""
    parts = ", ".join(f"{stage} {cpu:.2f}" for stage, cpu in cost.stages.items())
    say(
        f"{name}: {cost.cpu:.2f} s cpu, {cost.wall:.1f} s wall; units {parts}; the rest {cost.rest:.2f}"
    )


def units(workspace: Path, stage: str) -> int:
    """Units of a stage that a workspace's ledgers hold."""
    lines = [json.loads(t) for path in ledgers(workspace) for t in path.read_text().splitlines()]
    return sum(line["event"] == "done" and line["stage"].split()[0] == stage for line in lines)


def move_hrefs(old: Path, new: Path) -> None:
    """Let the catalogue of a copied workspace name its own files."""
    from catalog.search import Query
    from jobs.workspace import open_workspace

    with open_workspace(new) as workspace:
        found = [json.dumps(item) for item in workspace.documents(Query(limit=1000))]
        moved = [json.loads(text.replace(f"{old}/", f"{new}/")) for text in found]
        workspace.catalog.upsert_items(moved)


# --- ways to run ----------------------------------------------------------------------------------


class Way:
    """How runs are carried out."""

    def ingest(self, path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
        """Items into the catalogue, without opening their files; not measured."""
        from jobs.workspace import open_workspace

        with open_workspace(path) as workspace:
            publish_items(workspace, [dict(document) for document in documents])

    def synthesis(self, path: Path, method: str, **more: str) -> Cost:
        raise NotImplementedError

    def stale(self, path: Path) -> Cost:
        raise NotImplementedError


@dataclass
class Warm(Way):
    """Within this process, by workers that are there."""

    address: str
    pids: list[int]

    def synthesis(self, path: Path, method: str, **more: str) -> Cost:
        return self._run(path, lambda it: it.run("synthesis", method=method, **MONTH, **more))

    def stale(self, path: Path) -> Cost:
        return self._run(path, lambda it: it.run_stale())

    def _run(self, path: Path, work: Callable[[Any], Any]) -> Cost:
        from jobs.workspace import open_workspace

        with (
            measured(path, self.pids) as cost,
            open_workspace(path, scheduler=self.address) as workspace,
        ):
            outcome = work(workspace)
        if outcome.failures or not outcome.made:
            raise RuntimeError(outcome.causes or "nothing was made")
        return cost


class Commands(Way):
    """As commands, each with two workers that it starts."""

    def synthesis(self, path: Path, method: str, **more: str) -> Cost:
        words = [f"--{name}={value}" for name, value in {**MONTH, "method": method, **more}.items()]
        return self._run(path, "synthesis", *words)

    def stale(self, path: Path) -> Cost:
        return self._run(path, "stale")

    def _run(self, path: Path, *words: str) -> Cost:
        command = [sys.executable, "-m", "jobs.cli", "--workspace", str(path), "run", *words]
        environment = {**os.environ, "CLEARCUBE_WORKERS": "2", "CLEARCUBE_MEMORY": "4GiB"}
        with measured(path) as cost:
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.splitlines()[-1])
        return cost


if __name__ == "__main__":
    sys.exit(main())
