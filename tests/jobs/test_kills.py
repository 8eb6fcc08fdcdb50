"""Runs that are killed, find the disk full, or meet each other; readers look on all the while."""

import hashlib
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from distributed import Client

from catalog.backends.base import Document
from catalog.search import Query
from cube.store import Cube, open_cube, open_store
from jobs.settings import read_settings
from jobs.workspace import Workspace, open_workspace

spec = importlib.util.spec_from_file_location("killing", Path(__file__).with_name("killing.py"))
assert spec is not None
assert spec.loader is not None
killing = sys.modules["killing"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(killing)
# Workers cannot import it: its functions go to them whole.
cloudpickle.register_pickle_by_value(killing)

Point = killing.Point

pytestmark = pytest.mark.cluster

MONTH = ("run", "synthesis", "--tile", "31TCJ", "--datetime", "2020-05", "--method", "wasp")
STALE = ("run", "stale")
MASKS = ("run", "cloud-mask", "--tile", "31TCJ", "--method", "tsmask")
MASKS += ("--set", "min_observations=3")
COMPACT = ("run", "cube", "--tile", "31TCJ", "--set", "compact=true")

ROOT = ".zarr/zarr.json"
"""What the path of a cube's root ends in; replacing it is the commit."""


# --- what a workspace holds -----------------------------------------------------------------------


def documents(path: Path) -> list[Document]:
    """Every item, read as a reader does who comes just now."""
    with Workspace(read_settings(workspace=path), create=False) as workspace:
        return list(workspace.documents(Query(limit=1000)))


def stores(path: Path) -> list[Path]:
    """Cubes that a reader may find."""
    return [store for store in path.glob("cubes/*.zarr") if not store.name.startswith(".")]


def files(item: Document) -> Iterator[tuple[Path, Document]]:
    """Files of an item that was made, each with its asset."""
    for asset in item["assets"].values():
        if "file:checksum" in asset and "clearcube:job" in item["properties"]:
            yield Path(asset["href"]), asset


def pixels(cube: Cube, slot: int, window: Callable[[str], tuple[slice, slice]]) -> dict[str, str]:
    """Variables of a date -> digest of what is in a window of each."""
    found = {}
    for variable in cube.spec.variables:
        held = cube.read(variable.group, variable.name, [slot], window(variable.group))
        found[f"{variable.group}/{variable.name}"] = hashlib.sha256(held.tobytes()).hexdigest()
    return found


def corner(_group: str) -> tuple[slice, slice]:
    return slice(40, 42), slice(40, 42)


def state(path: Path) -> dict[str, Any]:
    """All that a workspace holds, but for times of writing and numbers of slots; checked as read."""
    found: dict[str, Any] = {}
    for item in documents(path):
        for name in ("created", "updated"):
            item["properties"].pop(name, None)
        for file, asset in files(item):
            content = file.read_bytes()
            assert asset["file:checksum"] == f"1220{hashlib.sha256(content).hexdigest()}", file
        if item["collection"] == "cubes":
            for asset in item["assets"].values():
                asset["cube:dimensions"]["time"]["values"].sort()
        found[f"{item['collection']}/{item['id']}"] = item
    for store in stores(path):
        cube = open_store(store)

        def whole(group: str, cube: Cube = cube) -> tuple[slice, slice]:
            height, width = cube.spec.shape(group)
            return slice(0, height), slice(0, width)

        for entry in cube.valid_dates:
            chunks = cube.checksums(entry.slot)
            found[f"{store.name} {entry.key}"] = {
                **asdict(entry),
                "slot": None,
                "pixels": pixels(cube, entry.slot, whole),
                "chunks": None if chunks is None else chunks.tolist(),
            }
    return found


def finished(path: Path) -> dict[str, tuple[int, int]]:
    """Files that units of runs have finished -> what tells whether they were written again.

    Pixels of dates that are committed, files of items, files of months that a ledger calls done
    though there is no item yet, weights and blocks in scratch.
    """
    items = documents(path)
    done = {str(file) for item in items for file, _ in files(item)}
    cubes = [
        asset["href"]
        for item in items
        if item["collection"] == "cubes"
        for asset in item["assets"].values()
    ]
    # A generation that no item names yet is not finished.
    for store in map(Path, cubes or stores(path)):
        for entry in open_store(store).dates:
            done |= {str(file) for file in store.glob(f"r??m/*/c/{entry.slot}/**/*")}
    for ledger in path.glob("runs/*.jsonl"):
        for line in map(json.loads, ledger.read_text().splitlines()):
            if line["event"] == "done" and line["stage"].startswith("files "):
                item, _, key = line["unit"].rpartition("-")
                done |= {str(file) for file in path.glob(f"products/*/{item}/*/{item}_{key}.*")}
    # Names that begin with a point are of files still being written.
    done |= {str(file) for file in path.glob("scratch/**/*") if file.name[0] != "."}
    return {name: about for name, about in killing.files_of(str(path)).items() if name in done}


def identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


class Reader:
    """Looks at a workspace again and again until it is stopped; raises what was not as it must be."""

    def __init__(self, path: Path, known: dict[str, dict[str, str]]) -> None:
        self.path, self.known = path, known
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._looks = self._pool.submit(self._watch)

    def stop(self) -> None:
        self._end.set()
        with self._pool:
            self._looks.result()

    def _watch(self) -> None:
        took = self._timed_look()
        # A third of the time at most: what is looked at shall not wait for its reader.
        while not self._end.wait(max(0.1, 2 * took)):
            took = self._timed_look()
        self._look()

    def _timed_look(self) -> float:
        begun = time.monotonic()
        self._look()
        return time.monotonic() - begun

    def _look(self) -> None:
        for item in documents(self.path):
            for file, asset in files(item):
                assert file.stat().st_size == asset["file:size"], file
            if item["collection"] == "cubes":
                self._look_at(Path(next(iter(item["assets"].values()))["href"]))
        for store in stores(self.path):
            seen = identity(store)
            try:
                self._look_at(store)
            except Exception:
                # A generation that no item names yet may be begun anew, and goes as a whole.
                if identity(store) == seen is not None:
                    raise

    def _look_at(self, store: Path) -> None:
        cube = open_store(store)
        for entry in cube.valid_dates:
            assert pixels(cube, entry.slot, corner) == self.known[entry.key], entry
        for group in cube.spec.groups:
            dataset = open_cube(store, group)
            # Where others committed meanwhile, the dataset may be of any state in between.
            if open_store(store).dates == cube.dates:
                assert dataset.sizes["time"] == len(cube.valid_dates)
            name = next(v.name for v in cube.spec.variables if v.group == group)
            held = dataset[name][:, 40:42, 40:42].values
            digests = {values.get(f"{group}/{name}") for values in self.known.values()}
            for date in held:
                assert hashlib.sha256(date.tobytes()).hexdigest() in digests


# --- scenarios ------------------------------------------------------------------------------------


@dataclass
class Scenario:
    """A workspace as it is before a command, what that comes to, and a place to try it again."""

    path: Path
    before: Path
    command: tuple[str, ...]
    expected: dict[str, Any]
    known: dict[str, dict[str, str]]
    """Dates that may be in the cube -> pixels of each variable."""

    def restored(self) -> Path:
        """The workspace as it was before; the same path, which items name."""
        shutil.rmtree(self.path)
        shutil.copytree(self.before, self.path)
        return self.path


@pytest.fixture(scope="module")
def commands() -> Iterator[Any]:
    with killing.Commands() as server:
        yield server


@pytest.fixture(scope="module")
def client(cluster_address: str) -> Iterator[Client]:
    with Client(cluster_address, set_as_default=False) as client:
        yield client


@pytest.fixture
def quiet(client: Client) -> Iterator[Client]:
    """Workers that have nothing to do for runs that are dead; all there again afterwards."""
    _settle(client)
    yield client
    _settle(client)


def _settle(client: Client) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        nannies = list(client.run(killing.nanny_state, nanny=True).values())
        workers = client.processing()
        if nannies == ["running"] * 2 and len(workers) == 2 and not any(workers.values()):
            return
        time.sleep(0.05)
    raise TimeoutError(f"workers are {nannies}, at {workers}")


def scenario(
    folder: Path,
    commands: Any,
    address: str,
    command: tuple[str, ...],
    prepare: Callable[..., None],
) -> Scenario:
    path, before = folder / "w", folder / "before"
    with open_workspace(path, scheduler=address) as workspace:
        prepare(workspace)
    shutil.copytree(path, before)
    ended = commands(path, *command, CLEARCUBE_SCHEDULER=address)
    assert ended.status == 0, ended.err
    known = {}
    for store in [*stores(path), *stores(before)]:
        cube = open_store(store)
        known |= {entry.key: pixels(cube, entry.slot, corner) for entry in cube.dates}
    return Scenario(path, before, command, state(path), known)


@pytest.fixture(scope="module")
def first(tmp_path_factory, season, commands, cluster_address) -> Scenario:
    """Two dates are ingested; a month is asked for, and with it a cube and masks."""

    def prepare(workspace: Workspace) -> None:
        workspace.ingest(*season.products[:1], season.products[3])

    folder = tmp_path_factory.mktemp("first")
    return scenario(folder, commands, cluster_address, MONTH, prepare)


@pytest.fixture(scope="module")
def update(tmp_path_factory, season, commands, cluster_address) -> Scenario:
    """All is made of three dates; one is rejected, one delivered anew, a fourth comes late."""

    def prepare(workspace: Workspace) -> None:
        workspace.ingest(*season.products[:2], season.products[3])
        outcome = workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method="wasp")
        assert outcome.failures == []
        workspace.ingest(season.products[2], season.products[4])
        workspace.reject(season.products[3].stem, why="haze")

    folder = tmp_path_factory.mktemp("update")
    return scenario(folder, commands, cluster_address, STALE, prepare)


@pytest.fixture(scope="module")
def compaction(tmp_path_factory, season, commands, cluster_address) -> Scenario:
    """A cube of two dates, the later one first; it is to be rewritten in order."""

    def prepare(workspace: Workspace) -> None:
        for product in (season.products[3], season.products[0]):
            workspace.ingest(product)
            assert workspace.run("cube", tile="31TCJ").failures == []

    folder = tmp_path_factory.mktemp("compaction")
    return scenario(folder, commands, cluster_address, COMPACT, prepare)


@pytest.fixture(scope="module")
def late(tmp_path_factory, season, commands, cluster_address) -> Scenario:
    """Masks were found along three dates; a fourth comes between them."""

    def prepare(workspace: Workspace) -> None:
        workspace.ingest(*season.products[:2], season.products[3])
        options = {"min_observations": "3"}
        outcome = workspace.run("cloud-mask", tile="31TCJ", method="tsmask", options=options)
        assert outcome.failures == []
        workspace.ingest(season.products[2])
        assert workspace.run("cube", tile="31TCJ").failures == []

    folder = tmp_path_factory.mktemp("late")
    return scenario(folder, commands, cluster_address, MASKS, prepare)


@contextmanager
def watched(case: Scenario) -> Iterator[Path]:
    """The workspace of a scenario restored, with a reader until the end."""
    path = case.restored()
    reader = Reader(path, case.known)
    try:
        yield path
    finally:
        reader.stop()


def goes_on(case: Scenario, commands: Any, address: str) -> None:
    """The command again: what was finished is not done again, and all comes to the same."""
    path = case.path
    done = finished(path)
    # Scratch goes when a month is published: what was in it is looked at just before.
    seen = path.with_name("seen")
    seen.unlink(missing_ok=True)
    record = (Point("jobs.period_job:_publish"), seen)
    ended = commands(path, *case.command, record=record, CLEARCUBE_SCHEDULER=address)
    assert ended.status == 0, ended.err
    after = killing.files_of(str(path))
    if seen.exists():
        after |= {name: tuple(about) for name, about in json.loads(seen.read_text()).items()}
    again = {name for name, about in done.items() if name in after and after[name] != about}
    assert not again
    assert {name for name in done if name not in after and "/scratch/" not in name} == set()
    found = state(path)
    assert found.keys() == case.expected.keys()
    for name, expected in case.expected.items():
        assert found[name] == expected, name
    assert not [file for file in path.glob("cubes/*.stage/**/*") if file.is_file()]


# --- a driver is killed ---------------------------------------------------------------------------

REPLACE, RENAME = "pathlib:Path.replace", "pathlib:Path.rename"

FIRST = [
    # A new cube, and its dates.
    Point(RENAME, "before", about=".zarr.new-"),
    Point(RENAME, "after", about=".zarr.new-"),
    Point("cube.store:_move_pixels"),
    Point(REPLACE, "after", 5, about="/c/0'"),
    Point("cube.store:_move_pixels", "after", 2),
    Point("cube.store:_write_coordinate", "before", 7),
    Point(REPLACE, "before", 2, about=ROOT),
    Point(REPLACE, "after", 2, about=ROOT),
    Point(REPLACE, "before", 2, about="r10m/red/zarr.json"),
    Point("jobs.build_cube:publish_cube"),
    # Masks: before, within and after the transaction.
    Point("jobs.decode_masks:publish", "before", 2),
    Point("catalog.backends.sqlite:_upsert", "after", 2),
    Point("jobs.decode_masks:publish", "after"),
    # The ledger.
    Point("jobs.runner.ledger:Ledger.plan", "after"),
    # The month: blocks, files, item, scratch.
    Point("jobs.period_job:_count"),
    Point("jobs.period_job:_keep", "after", 9),
    Point(REPLACE, "before", about="blocks.json"),
    Point("jobs.period_job:publish"),
    Point("catalog.backends.sqlite:_upsert", "after", 4),
    Point("jobs.period_job:publish", "after"),
    Point("os:unlink", "after", about=".layers"),
    Point("jobs.runner.ledger:Ledger.end", "before", 3),
]


@pytest.mark.parametrize("point", FIRST, ids=str)
def test_a_driver_is_killed(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        ended = commands(path, *MONTH, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(first, commands, cluster_address)


UPDATE = [
    Point("jobs.build_cube:retire_dates"),
    Point(REPLACE, "before", 3, about=ROOT),
    Point("jobs.build_cube:publish_cube", "after"),
    Point("jobs.decode_masks:publish", "after"),
    Point("catalog.backends.sqlite:_upsert", "after", 4),
    Point("catalog.backends.sqlite:SqliteCatalog.delete_items"),
]


@pytest.mark.parametrize("point", UPDATE, ids=str)
def test_a_driver_is_killed_while_it_makes_what_is_stale(
    point, update, commands, quiet, cluster_address
) -> None:
    with watched(update) as path:
        ended = commands(path, *STALE, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(update, commands, cluster_address)


COMPACTION = [
    Point("cube.store:commit_date", "after"),
    Point("jobs.build_cube:compact_cube", "after"),
]


@pytest.mark.parametrize("point", COMPACTION, ids=str)
def test_a_driver_is_killed_while_it_compacts(
    point, compaction, commands, quiet, cluster_address
) -> None:
    with watched(compaction) as path:
        ended = commands(path, *COMPACT, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(compaction, commands, cluster_address)


TOGETHER = [
    Point("cube.store:_move_pixels", "after", 2),
    Point(REPLACE, "after", about=ROOT),
    Point("catalog.backends.sqlite:_upsert", "after", 3),
]


@pytest.mark.parametrize("point", TOGETHER, ids=str)
def test_a_driver_is_killed_while_many_masks_change(
    point, late, commands, quiet, cluster_address
) -> None:
    with watched(late) as path:
        ended = commands(path, *MASKS, kill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(late, commands, cluster_address)


def test_workers_of_a_driver_that_is_killed_end_with_it(
    first, commands, quiet, cluster_address
) -> None:
    point = Point("jobs.decode_masks:publish", "before", 2)
    with watched(first) as path:
        # Its outputs come to their end only when the workers that hold them are gone, too.
        ended = commands(path, *MONTH, kill=point, CLEARCUBE_WORKERS="1")
        assert ended.status == -signal.SIGKILL, ended.err
        goes_on(first, commands, cluster_address)


# --- a worker is killed ---------------------------------------------------------------------------

WORKER = [
    Point(RENAME, "before", about=".zarr.stage/."),
    Point("cube.rasters:_require_written", "after", about="_mask"),
    Point(REPLACE, "before", about=".npy"),
    Point(REPLACE, "before", about=".layers"),
    Point("cube.rasters:_require_written", "after", 2, about="_wasp"),
]


@pytest.mark.parametrize("point", WORKER, ids=str)
def test_a_worker_is_killed(point, first, commands, quiet, cluster_address, tmp_path) -> None:
    flag = tmp_path / "killed"
    with watched(first) as path:
        quiet.run(killing.arm, asdict(point), str(flag))
        try:
            ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert flag.exists()
        # Its unit is done by another: the run itself goes on.
        assert ended.status == 0, ended.err
        goes_on(first, commands, cluster_address)


def test_a_worker_is_killed_in_a_series(late, commands, quiet, cluster_address, tmp_path) -> None:
    point, flag = Point("jobs.temporal_masks:detect_block", "after"), tmp_path / "killed"
    with watched(late) as path:
        quiet.run(killing.arm, asdict(point), str(flag))
        try:
            ended = commands(path, *MASKS, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert flag.exists()
        assert ended.status == 0, ended.err
        goes_on(late, commands, cluster_address)


# --- the scheduler is killed ----------------------------------------------------------------------


@pytest.fixture
def own_scheduler(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A scheduler with a worker, not of this session: its address and its process."""
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    quietly = partial(subprocess.Popen, stderr=subprocess.DEVNULL)
    scheduler = quietly([*dask, "scheduler", *common, "--host", "127.0.0.1", "--port", "0"])
    worker = quietly([*dask, "worker", *common, "--nthreads", "1", "--no-nanny"])
    until = time.monotonic() + 60
    while not (file.exists() and file.stat().st_size) and time.monotonic() < until:
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
    yield address, scheduler.pid
    for process in (worker, scheduler):
        process.kill()
        process.wait()


def test_the_scheduler_is_killed_while_blocks_are_made(
    own_scheduler, first, commands, quiet, cluster_address
) -> None:
    address, pid = own_scheduler
    point = Point("jobs.runner.submit:_Run._submit", "after", about="BlockTask(")
    with watched(first) as path:
        process = commands.start(path, *MONTH, kill=point, victim=pid, CLEARCUBE_SCHEDULER=address)
        ended = commands.wait(process)
        assert ended.status == 2
        assert refusals(ended) == [
            f"clearcube: synthesis stopped: the dask scheduler at {address} was lost; what was "
            "finished is kept, start the scheduler and run the same again to go on"
        ]
        goes_on(first, commands, cluster_address)


# --- two drivers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["first", "update"])
def test_two_drivers_at_once_make_everything_once(
    name, request, commands, quiet, cluster_address
) -> None:
    case = request.getfixturevalue(name)
    with watched(case) as path:
        before = ledger_units(path)
        start = partial(commands.start, path, *case.command, CLEARCUBE_SCHEDULER=cluster_address)
        ended = [commands.wait(process) for process in [start(), start()]]
        assert [one.status for one in ended] == [0, 0], ended
        units = ledger_units(path)[len(before) :]
        assert len(units) == len(set(units)) > 0
        goes_on(case, commands, cluster_address)


def test_a_driver_that_is_killed_lets_the_one_that_waits_go_on(
    first, commands, quiet, cluster_address
) -> None:
    with watched(first) as path:
        start = partial(commands.start, path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        killed = start(kill=Point("jobs.build_cube:publish_cube"))
        until = time.monotonic() + 30
        while not list(path.glob("runs/*-cube.jsonl")) and time.monotonic() < until:
            time.sleep(0.01)
        waiting = start()
        assert commands.wait(killed).status == -signal.SIGKILL
        ended = commands.wait(waiting)
        assert ended.status == 0, ended.err
        assert "waiting for another run of cube-31TCJ" in ended.err
        ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        assert (ended.status, ended.out) == (0, "nothing to make: 1 current\n")
        goes_on(first, commands, cluster_address)


# --- disks that are full or cannot be written -----------------------------------------------------

FULL = [
    Point("jobs.build_cube:create_cube"),
    Point("cube.store:_commit_root", "before", 2),
    Point("jobs.period_job:publish"),
]


@pytest.mark.parametrize("point", FULL, ids=str)
def test_the_disk_of_a_driver_is_full(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        ended = commands(path, *MONTH, fill=point, CLEARCUBE_SCHEDULER=cluster_address)
        assert ended.status == 2, ended.err
        assert len(refusals(ended)) == 1, ended.err
        assert "cannot write" in ended.err or "check that its disk" in ended.err, ended.err
        goes_on(first, commands, cluster_address)


FULL_WORKER = [
    Point("cube.store:StagedDate.write", "before", 3),
    Point("jobs.compositing:save", about=".layers"),
    Point("jobs.compositing:write_file"),
]


@pytest.mark.parametrize("point", FULL_WORKER, ids=str)
def test_the_disk_of_workers_is_full(point, first, commands, quiet, cluster_address) -> None:
    with watched(first) as path:
        quiet.run(killing.clutter, asdict(point))
        try:
            ended = commands(path, *MONTH, CLEARCUBE_SCHEDULER=cluster_address)
        finally:
            quiet.run(killing.disarm, asdict(point))
        assert ended.status in (1, 2), ended.err
        assert all("cannot write" in line or "31TCJ_2020-05" in line for line in refusals(ended))
        goes_on(first, commands, cluster_address)


@contextmanager
def read_only(client: Client, folder: Path) -> Iterator[None]:
    """A directory in which nobody may make anything, not even root."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    client.run(killing.obey_on_worker, True)
    try:
        yield
    finally:
        folder.chmod(0o755)
        client.run(killing.obey_on_worker, False)


@pytest.mark.parametrize("name", ["cubes", "scratch", "runs"])
def test_a_store_that_is_read_only(name, first, commands, quiet, cluster_address) -> None:
    path = first.restored()
    before = state(path)
    with read_only(quiet, path / name):
        ended = commands(path, *MONTH, obedient=True, CLEARCUBE_SCHEDULER=cluster_address)
    assert ended.status in (1, 2), ended.err
    assert all(": cannot write " in line for line in refusals(ended)[:1]), ended.err
    assert f"{path / name}" in refusals(ended)[0]
    assert "Permission denied" in refusals(ended)[0]
    after = state(path)
    assert {key: value for key, value in after.items() if key in before} == before
    assert not [key for key in after if "synthesis" in key]
    goes_on(first, commands, cluster_address)


def refusals(ended: Any) -> list[str]:
    """Lines that say why a command came to nothing; no other than these and progress."""
    lines = [line for line in ended.err.splitlines() if not PROGRESS.match(line)]
    assert lines
    for line in lines:
        assert line.startswith(("clearcube: ", "failed: ")), ended.err
    return lines


PROGRESS = re.compile(
    r"dask dashboard: |note: |waiting for |\d+ dates and masks |[\w ]+: \d+/\d+ in "
)


def ledger_units(path: Path) -> list[tuple[str, str]]:
    """Stage and unit of all that the ledgers of a workspace call done."""
    lines = [
        json.loads(line)
        for ledger in sorted(path.glob("runs/*.jsonl"))
        for line in ledger.read_text().splitlines()
    ]
    return [(line["stage"], line["unit"]) for line in lines if line["event"] == "done"]
