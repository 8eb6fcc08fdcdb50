"""gc: what killed runs and former results left goes, everything else stays."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cube.files import write_json
from cube.store import StagedDate, open_cube, open_store, retire_dates
from jobs.cleaning import Cleaning, parse_age
from jobs.errors import RequestError
from jobs.runner.ledger import Ledger
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

NOW = timedelta(0)
MONTH = "31TCJ_2020-05_median_scl"
REQUEST = {"tile": "31TCJ", "datetime": "2020-05", "method": "median"}
OTHER = "0123456789abcdef"


@pytest.fixture(scope="module")
def made(
    season: SeasonFiles, cluster_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace with cube, masks and a month of two dates; tests leave it as it was."""
    path = tmp_path_factory.mktemp("made") / "w"
    with open_workspace(path, scheduler=cluster_address) as workspace:
        assert not workspace.ingest(season.products[0], season.products[4]).failures
        assert not workspace.run("synthesis", **REQUEST).failures
    return path


@pytest.fixture
def workspace(made: Path, cluster_address: str) -> Iterator[Workspace]:
    with open_workspace(made, scheduler=cluster_address) as workspace:
        before = files(made)
        yield workspace
        assert files(made) == before, "this test left something behind"


@pytest.fixture
def own(made: Path, cluster_address: str, tmp_path: Path) -> Iterator[Workspace]:
    """The same, to be changed; it is put back afterwards, as hrefs are absolute."""
    kept = shutil.copytree(made, tmp_path / "kept")
    try:
        with open_workspace(made, scheduler=cluster_address) as workspace:
            yield workspace
    finally:
        shutil.rmtree(made)
        shutil.copytree(kept, made)


def files(path: Path) -> set[str]:
    """Files but those that come and go with reading and locking."""
    found = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    return {name for name in found if not name.endswith((".lock", "-wal", "-shm"))}


def store(workspace: Workspace) -> Path:
    return workspace.cubes / "31TCJ.zarr"


def folder(workspace: Workspace) -> Path:
    """Where the files of the month are."""
    (item,) = workspace.catalog.find(MONTH)
    return Path(item["assets"]["red"]["href"]).parent


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """What a run or a commit at work does."""
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


# --- every kind -----------------------------------------------------------------------------------


def staged(workspace: Workspace) -> list[Path]:
    cube = open_store(store(workspace))
    date = StagedDate(store(workspace), cube.spec, OTHER)
    variable = cube.spec.variables[0]
    date.write(variable, 0, 0, np.ones(cube.spec.shape(variable.group), variable.dtype))
    date.close()
    return [date.directory.parent]


def unfinished(workspace: Workspace) -> list[Path]:
    found = [workspace.cubes / f".31TCJ.g2.zarr.{word}-4242" for word in ("new", "gone")]
    for path in found:
        shutil.copytree(store(workspace), path)
    return found


def half_written(workspace: Workspace) -> list[Path]:
    """Files whose writer was killed before it gave them their names."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    targets = [
        store(workspace) / "zarr.json",
        store(workspace) / "r10m" / "red" / "zarr.json",
        store(workspace) / "r20m" / "time" / "c" / "0",
        store(workspace) / "r20m" / "valid" / "c.0",
        folder(workspace) / "blocks.json",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", die)
        for target in targets:
            target.parent.mkdir(exist_ok=True)
            with pytest.raises(Killed):
                write_json(target, {"half": True})
    return [target.with_name(f".{target.name}.{os.getpid()}") for target in targets]


def half_cogs(workspace: Workspace) -> list[Path]:
    names = ("red.tif.plain-77.tif", "red.tif.cog-77.tif", "thumbnail.png.new-77")
    found = [folder(workspace) / f".{MONTH}_{name}" for name in names]
    for path in found:
        path.write_bytes(b"half")
    return found


def blocks_of_what_is_made(workspace: Workspace) -> list[Path]:
    found = workspace.scratch / MONTH / folder(workspace).name
    found.mkdir(parents=True)
    (found / "r10m-0-0-0-0.layers").write_bytes(b"{}\n")
    (found / ".r10m-0-0-0-0.layers.77").write_bytes(b"{}")
    return [found.parent]


def cloud_weights(workspace: Workspace) -> list[Path]:
    found = workspace.scratch / "weights" / "31TCJ"
    found.mkdir(parents=True)
    np.save(found / f"{OTHER}.npy", np.zeros(3))
    (found / f".{OTHER}.npy.77").write_bytes(b"half")
    return [found]


def former_product(workspace: Workspace) -> list[Path]:
    return [Path(shutil.copytree(folder(workspace), folder(workspace).with_name(OTHER)))]


def unpublished_product(workspace: Workspace) -> list[Path]:
    found = workspace.products / "synthesis-wasp" / "31TCJ_2020-04_wasp_scl" / OTHER
    found.mkdir(parents=True)
    (found / "31TCJ_2020-04_wasp_scl_red.tif").write_bytes(b"whole")
    return [found.parent]


def former_cube(workspace: Workspace) -> list[Path]:
    path = workspace.cubes / "31TCJ.g2.zarr"
    shutil.copytree(store(workspace), path)
    sums = workspace.cubes / "31TCJ.g2.zarr.sums"
    shutil.copytree(workspace.cubes / "31TCJ.zarr.sums", sums)
    return [path, sums, workspace.cubes / "31TCJ.g2.zarr.lock"]


def uncommitted_slots(workspace: Workspace) -> list[Path]:
    slots = [store(workspace) / "r10m" / name / "c" / "7" for name in ("red", "green")]
    for slot in slots:
        shutil.copytree(slot.with_name("1"), slot)
    sums = workspace.cubes / "31TCJ.zarr.sums"
    return [*slots, Path(shutil.copy(sums / "1.npy", sums / "7.npy"))]


def sides_of_no_cube(workspace: Workspace) -> list[Path]:
    sums = workspace.cubes / "31TCJ.g5.zarr.sums"
    sums.mkdir()
    (sums / "0.npy").write_bytes(b"sums")
    lock = workspace.cubes / "31TCJ.g5.zarr.lock"
    lock.touch()
    return [sums, lock]


KINDS: list[Callable[[Workspace], list[Path]]] = [
    staged,
    unfinished,
    half_written,
    half_cogs,
    blocks_of_what_is_made,
    cloud_weights,
    former_product,
    unpublished_product,
    former_cube,
    uncommitted_slots,
    sides_of_no_cube,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_goes(kind: Callable[[Workspace], list[Path]], workspace: Workspace) -> None:
    whole = files(workspace.settings.workspace)
    paths = kind(workspace)
    young = workspace.gc()
    assert young.removed == []
    assert young.young
    there = files(workspace.settings.workspace)
    dry = workspace.gc(older_than=NOW, dry_run=True)
    assert files(workspace.settings.workspace) == there
    done = workspace.gc(older_than=NOW)
    assert [one.path for one in done.removed] == [one.path for one in dry.removed]
    assert not [path for path in paths if path.exists()]
    assert files(workspace.settings.workspace) == whole
    assert (done.failures, done.unknown, done.busy, done.notes) == ([], [], [], [])
    assert workspace.gc(older_than=NOW).removed == []


@pytest.mark.parametrize("kind", [staged, former_product, half_cogs, unpublished_product])
def test_the_age_of_what_goes(
    kind: Callable[[Workspace], list[Path]], workspace: Workspace
) -> None:
    for path in kind(workspace):
        for each in [path, *path.rglob("*")]:
            os.utime(each, (time.time() - 3 * 3600,) * 2)
    assert workspace.gc(older_than=timedelta(hours=4)).removed == []
    done = workspace.gc(older_than=timedelta(hours=2))
    # What was in force until a moment ago is young, however long ago it was made.
    assert bool(done.removed) == (kind is not former_product)
    workspace.gc(older_than=NOW)


def test_after_it_nothing_is_amiss_and_all_is_current(workspace: Workspace) -> None:
    for kind in KINDS:
        kind(workspace)
    done = workspace.gc(older_than=NOW)
    assert done.bytes == sum(one.bytes for one in done.removed) > 1000
    assert workspace.verify() == []
    again = workspace.run("synthesis", **REQUEST)
    assert (again.made, again.prepared, again.current) == ([], [], [MONTH])


LOCKS = {
    "": True,
    "runs/cube-31TCJ.lock": False,
    "runs/decode-masks-31TCJ.lock": False,
    "runs/of-another-package-31TCJ.lock": False,
    "cubes/31TCJ.zarr.lock": False,
    "runs/synthesis-32TMT.lock": True,
}
"""A lock that somebody holds -> whether the debris of 31TCJ goes all the same."""


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.sets(st.sampled_from(KINDS)), lock=st.sampled_from(list(LOCKS)))
def test_any_debris_under_any_lock(
    workspace: Workspace, kinds: set[Callable[[Workspace], list[Path]]], lock: str
) -> None:
    root = workspace.settings.workspace
    whole = files(root)
    paths = [path for kind in kinds for path in kind(workspace)]
    elsewhere = workspace.scratch / "weights" / "32TMT" / f"{OTHER}.npy"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"weights")
    there = files(root)
    if lock:
        with held(root / lock):
            done = workspace.gc(older_than=NOW)
    else:
        done = workspace.gc(older_than=NOW)
    assert elsewhere.exists() == ("32TMT" in lock)
    if LOCKS[lock]:
        assert not [path for path in paths if path.exists()]
    else:
        assert files(root) == there - {str(elsewhere.relative_to(root))}
        assert len(done.busy) == 1
        assert done.busy[0].startswith("31TCJ")
    workspace.gc(older_than=NOW)
    assert files(root) == whole


# --- what is no debris ----------------------------------------------------------------------------


def test_blocks_that_the_next_run_goes_on_with(own: Workspace) -> None:
    blocks = own.scratch / MONTH / OTHER
    blocks.mkdir(parents=True)
    (blocks / "r10m-0-0-0-0.layers").write_bytes(b"{}\n")
    with Ledger(own.runs, "synthesis", REQUEST) as ledger:
        ledger.plan([MONTH], [])
    assert own.gc(older_than=NOW).removed == []
    time.sleep(0.01)
    with Ledger(own.runs, "synthesis", REQUEST) as later:
        later.plan([MONTH], [])
        later.end([MONTH], [])
    assert [one.path for one in own.gc(older_than=NOW).removed] == [blocks]
    assert not blocks.parent.exists()


def test_the_store_of_a_run_that_was_killed_before_publishing(own: Workspace) -> None:
    own.catalog.delete_items([("cubes", "31TCJ")])
    assert own.gc(older_than=NOW).removed == []
    assert store(own).is_dir()
    assert own.run("cube", tile="31TCJ").made == []


def test_a_generation_that_is_being_made(own: Workspace) -> None:
    paths = former_cube(own)[:2]
    with Ledger(own.runs, "cube", {"tile": "31TCJ", "extend": True}) as ledger:
        ledger.plan(["31TCJ-20200505T105029"], [])
    assert own.gc(older_than=NOW).removed == []
    assert all(path.is_dir() for path in paths)


def test_what_is_not_of_our_making(own: Workspace) -> None:
    (former,) = former_product(own)
    second = former_cube(own)[0]
    strange = [
        own.settings.workspace / "notes.txt",
        own.cubes / "31TCJ.zarr.bak",
        own.cubes / "north.zarr",
        second / "readme.md",
        own.runs / "report.html",
        own.scratch / "mine",
        own.products / "list.csv",
        folder(own) / "style.qml",
        former / "style.qml",
        former.parent / "best",
    ]
    own.scratch.mkdir(exist_ok=True)
    for path in strange:
        path.write_text("mine")
    done = own.gc(older_than=NOW)
    assert set(done.unknown) == set(strange)
    assert all(path.exists() for path in strange)
    assert [path.name for path in former.iterdir()] == ["style.qml"]
    assert own.verify()
    assert all(f.severity == "note" for f in own.verify())


def test_a_catalogue_of_another_workspace(made: Path, workspace: Workspace, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    before = files(made)
    staged(workspace)
    with open_workspace(made, catalog=url) as other:
        done = other.gc(older_than=NOW)
    assert files(made) == before
    assert [one.kind for one in done.removed] == ["staged date"]
    assert "is it the right catalogue?" in done.notes[0]


def test_a_workspace_that_was_moved(made: Path, workspace: Workspace, tmp_path: Path) -> None:
    moved = shutil.copytree(made, tmp_path / "moved")
    before = files(moved)
    with open_workspace(moved) as other:
        assert other.gc(older_than=NOW).removed == []
    assert files(moved) == before


# --- readers and runs beside it -------------------------------------------------------------------


def test_readers_of_former_results(own: Workspace) -> None:
    old = folder(own) / f"{MONTH}_red.tif"
    former = store(own)
    retire_dates(former, [0])
    assert not own.run("cube", tile="31TCJ", compact=True).failures
    assert (own.cubes / "31TCJ.g2.zarr").is_dir()
    (scene,) = open_store(former).dates[1].items
    own.reject(str(scene["id"]), "haze")
    assert MONTH in own.run_stale("31TCJ").made
    reader, cube = rasterio.open(old), open_cube(former)
    # All this was in force a moment ago.
    done = own.gc()
    assert done.removed == []
    assert {one.path for one in done.young} >= {old.parent, former}
    before = cube.red.values.sum()
    done = own.gc(older_than=NOW)
    assert {one.path for one in done.removed} >= {old.parent, former}
    assert not former.exists()
    assert not old.exists()
    assert before > 0
    # A file that is open stays readable until it is closed.
    assert reader.read(1).max() > 0
    reader.close()
    assert [f for f in own.verify() if f.severity == "error"] == []
    assert own.run_stale("31TCJ").made == []


def test_beside_a_run_of_the_same_tile(own: Workspace, made: Path, cluster_address: str) -> None:
    ended = threading.Event()
    found: list[Cleaning] = []

    def clean() -> None:
        with open_workspace(made, scheduler=cluster_address) as other:
            while not ended.is_set():
                found.append(other.gc(older_than=NOW))
                time.sleep(0.05)

    thread = threading.Thread(target=clean)
    thread.start()
    try:
        done = own.run("synthesis", tile="31TCJ", datetime="2020-05", mask="scl", name="b")
    finally:
        ended.set()
        thread.join()
    assert (done.made, done.failures) == (["31TCJ_2020-05_wasp_scl_b"], [])
    assert "31TCJ" in {tile for each in found for tile in each.busy}
    assert not [failure for each in found for failure in each.failures]
    assert own.verify() == []


@pytest.mark.parametrize("point", ["cubes/*.stage/*", "scratch/31TCJ*"])
def test_after_a_run_was_killed(
    point: str, season: SeasonFiles, cluster_address: str, tmp_path: Path
) -> None:
    path = tmp_path / "w"
    with open_workspace(path, scheduler=cluster_address) as workspace:
        assert not workspace.ingest(season.products[0], season.products[4]).failures
        words = ["run", "synthesis", "--tile", "31TCJ", "--datetime", "2020-05"]
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "--workspace", str(path), *words],
            env={**os.environ, "CLEARCUBE_SCHEDULER": cluster_address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not any(path.glob(point)) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1)  # for tasks that the workers have begun
        workspace.gc(older_than=NOW)
        assert [f for f in workspace.verify() if f.severity == "error"] == []
        done = workspace.run("synthesis", tile="31TCJ", datetime="2020-05")
        assert done.failures == []
        workspace.gc(older_than=NOW)
        assert [f for f in workspace.verify() if f.severity == "error"] == []
        again = workspace.run("synthesis", tile="31TCJ", datetime="2020-05")
        assert (again.made, again.current) == ([], ["31TCJ_2020-05_wasp_scl"])
        assert workspace.gc(older_than=NOW, dry_run=True).removed == []


# --- the command ----------------------------------------------------------------------------------


def test_the_command(workspace: Workspace, made: Path, clearcube: Callable[..., Any]) -> None:
    before = files(made)
    said = clearcube(made, "gc")
    assert (said.status, said.out) == (0, "")
    assert said.err.splitlines()[-1] == "nothing to remove"
    (stage,) = staged(workspace)
    size = sum(each.lstat().st_size for each in (stage / OTHER).rglob("*") if each.is_file())
    assert size > 0
    half_cogs(workspace)
    said = clearcube(made, "gc")
    assert (said.status, said.out) == (0, "")
    assert "of debris are younger than 1d" in said.err
    said = clearcube(made, "gc", "--older-than", "0", "--dry-run")
    assert said.status == 0
    first, second = said.out.splitlines()
    assert first.startswith(f"staged date  {stage / OTHER}  ")
    assert second == f"temporary file  {folder(workspace)}: 3  12 B"
    assert "would be removed" in said.err
    (made / "notes.txt").write_text("mine")
    document = json.loads(clearcube(made, "gc", "--older-than", "0", "--json").out)
    assert document["removed"][0]["path"] == str(stage / OTHER)
    assert document["bytes"] == sum(each["bytes"] for each in document["removed"])
    assert document["unknown"] == [str(made / "notes.txt")]
    (made / "notes.txt").unlink()
    assert files(made) == before
    with held(made / "runs" / "synthesis-31TCJ.lock"):
        said = clearcube(made, "gc")
    assert "note: 31TCJ is left alone, as a run is at work there" in said.err
    assert clearcube(made, "gc", "--older-than", "soon").status == 2
    assert clearcube(made / "none", "gc").status == 2


def test_what_cannot_be_removed(
    workspace: Workspace, made: Path, clearcube: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage,) = staged(workspace)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    cogs = half_cogs(workspace)
    with monkeypatch.context() as patch:
        patch.setattr("jobs.cleaning.shutil.rmtree", refuse)
        said = clearcube(made, "gc", "--older-than", "0")
    assert said.status == 1
    assert f"failed: cannot remove {stage / OTHER}: Permission denied" in said.err
    assert not [path for path in cogs if path.exists()]
    assert clearcube(made, "gc", "--older-than", "0").status == 0


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", timedelta(0)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        (" 2 w ", timedelta(weeks=2)),
    ],
)
def test_ages(text: str, length: timedelta) -> None:
    assert parse_age(text) == length


@pytest.mark.parametrize("text", ["", "1", "-1d", "d", "1.5h", "1 month", "9999999d"])
def test_ages_that_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match="write a number"):
        parse_age(text)
