"""Workspaces before and after a command that is killed, watched by a reader: what tests of it share."""

import hashlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import killing
import pytest
from distributed import Client

from catalog.backends.base import Document
from catalog.search import Query
from cube.store import Cube, open_cube, open_store
from jobs.settings import read_settings
from jobs.workspace import Workspace, open_workspace

# Workers cannot import it: its functions go to them whole.
cloudpickle.register_pickle_by_value(killing)

Point = killing.Point

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
