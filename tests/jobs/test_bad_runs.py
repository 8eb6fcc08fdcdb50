"""Files that break after ingest, cubes that cannot be read, disks that are full: during runs."""

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client

from cube.store import open_store
from jobs.workspace import open_workspace

pytestmark = pytest.mark.cluster

TILE = ("--tile", "31TCJ")
CUBE = ("run", "cube", *TILE)
MASKS = ("run", "decode-masks", *TILE)
MONTH = ("run", "synthesis", *TILE, "--datetime", "2020-05")
DATES = ["2020-05-05", "2020-05-10", "2020-05-15"]


@pytest.fixture
def products(season, tmp_path: Path) -> list[Path]:
    """Three dates of one's own: two folders, a zip."""
    found = []
    for product in (season.products[0], season.products[3], season.products[4]):
        copy = tmp_path / product.name
        (shutil.copytree if product.is_dir() else shutil.copy)(product, copy)
        found.append(copy)
    return found


@pytest.fixture
def workspace(products, clearcube, scheduler, tmp_path: Path) -> Path:
    assert clearcube(tmp_path / "w", "ingest", *products).status == 0
    return tmp_path / "w"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made") / "w"


@pytest.fixture
def made(made_once, clearcube, season, scheduler) -> Path:
    """A workspace with a cube of one date; whoever breaks it mends it."""
    if not made_once.exists():
        assert clearcube(made_once, "ingest", season.products[0]).status == 0
        assert clearcube(made_once, *CUBE).status == 0
    return made_once


def dates(workspace: Path) -> list[str]:
    store = workspace / "cubes" / "31TCJ.zarr"
    if not store.exists():
        return []
    return [str(entry.datetime)[:10] for entry in open_store(store).valid_dates]


@contextmanager
def cut(path: Path, share: float = 0.5) -> Iterator[None]:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    yield
    path.write_bytes(content)


def one(folder: Path, pattern: str) -> Path:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())[0]


@pytest.mark.parametrize("engine", ["odc-stac", "stackstac"])
def test_a_corrupt_scene_among_good_dates(engine, products, workspace, clearcube, state_of) -> None:
    run = (*CUBE, "--set", f"engine={engine}")
    with cut(one(products[1], "*B03_10m.tif")):
        said = clearcube(workspace, *run)
        line = said.refused("31TCJ-20200510T105031: cannot read", "B03_10m.tif: ", status=1)
        assert line.count("B03_10m.tif") == 1
        assert said.out.split() == ["31TCJ-20200505T105029", "31TCJ-20200515T105029"]
        assert dates(workspace) == [DATES[0], DATES[2]]
        # Again: the same, and nothing changes.
        before = state_of(workspace)
        said = clearcube(workspace, *run, "--json")
        said.refused("31TCJ-20200510T105031: cannot read", status=1)
        document = json.loads(said.out)
        assert (document["made"], len(document["current"])) == ([], 2)
        assert [failure["key"] for failure in document["failed"]] == ["31TCJ-20200510T105031"]
        assert state_of(workspace) == before
    assert clearcube(workspace, *run).status == 0
    assert dates(workspace) == DATES
    assert clearcube(workspace, *run).out == "nothing to make: 3 current\n"
    assert not (workspace / "cubes" / "31TCJ.zarr.stage").exists()


def test_a_month_with_a_corrupt_scene_is_made_without_it_by_choice_only(
    products, workspace, clearcube, state_of
) -> None:
    scene = products[0].stem
    key = "synthesis-wasp/31TCJ_2020-05_wasp_scl"
    with cut(one(products[0], "*SCL_20m.tif")):
        said = clearcube(workspace, *MONTH)
        assert said.status == 1
        assert said.out == ""
        first, second = said.err.strip().splitlines()[-2:]
        assert first.startswith("failed: 31TCJ-20200505T105029: cannot read")
        assert f"31TCJ_2020-05_wasp_scl: {scene} could not be read" in second
        assert "--skip-corrupt makes it without" in second
        assert key not in state_of(workspace)
        said = clearcube(workspace, *MONTH, "--skip-corrupt")
        assert said.status == 0
        assert "warning: left out: 31TCJ-20200505T105029: cannot read" in said.err
        assert said.out == "31TCJ_2020-05_wasp_scl\n"
        made = state_of(workspace)[key]["properties"]
        assert scene not in made["clearcube:inputs"]
        assert list(made["clearcube:without"]) == [scene]
        assert "SCL_20m.tif" in made["clearcube:without"][scene]["cause"]
        # That the scene is left out is known: nothing of the month is stale.
        states = json.loads(clearcube(workspace, "status", "--json").out)["items"]
        assert {t["state"] for t in states if t["collection"].startswith("synth")} == {
            "provisional"
        }
    assert clearcube(workspace, *MONTH).status == 0
    again = state_of(workspace)[key]["properties"]
    assert scene in again["clearcube:inputs"]
    assert "clearcube:without" not in again
    assert clearcube(workspace, *MONTH).out == "nothing to make: 1 current\n"


@pytest.mark.parametrize("command", [CUBE, MASKS, MONTH], ids=lambda words: words[1])
def test_nothing_is_left_where_every_scene_is_corrupt(
    command, season, clearcube, state_of, scheduler, tmp_path: Path
) -> None:
    product = shutil.copy(season.products[4], tmp_path)
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", product).status == 0
    before = state_of(workspace)
    with cut(Path(product), 0.9):
        said = clearcube(workspace, *command, "--json")
        said.refused("31TCJ-20200515T105029: cannot read /vsizip/", "B02_10m.tif")
        assert json.loads(said.out)["failed"][0]["key"] == "31TCJ-20200515T105029"
        assert state_of(workspace) == before
        assert dates(workspace) == []
    assert clearcube(workspace, *command).status == 0
    assert dates(workspace) == DATES[2:]


def test_a_scene_that_was_deleted(season, clearcube, scheduler, tmp_path: Path) -> None:
    product = shutil.copytree(season.products[0], tmp_path / season.products[0].name)
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", product).status == 0
    shutil.rmtree(product)
    clearcube(workspace, *CUBE).refused("cannot read", "B02_10m.tif: No such file or directory")


def test_dates_without_the_mask(season, clearcube, state_of, scheduler, tmp_path: Path) -> None:
    product = shutil.copytree(season.products[0], tmp_path / season.products[0].name)
    one(product, "*SCL_20m.tif").unlink()
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", product).status == 0
    said = clearcube(workspace, *MASKS)
    assert said.status == 0
    assert f"{product.stem} came without scl: no mask of that date" in said.err
    clearcube(workspace, *MONTH).refused("no scene with mask scl of tile 31TCJ is catalogued")
    kinds = {key.partition("/")[0] for key in state_of(workspace) if "zarr" not in key}
    assert kinds == {"sentinel-2-l2a", "cubes"}


# --- cubes ----------------------------------------------------------------------------------------

BAD_ROOTS = {
    "newer": (
        '{"attributes": {"clearcube": {"format": 99}}}',
        "was written by a newer clearcube (format 99); upgrade to read it",
    ),
    "broken": ("{", "is not a cube of clearcube"),
    "incomplete": (
        '{"attributes": {"clearcube": {"format": 1}}}',
        "is not a cube of clearcube: it has no 'spec'",
    ),
    "a list": ("[]", "is not a cube of clearcube"),
    "another store": ('{"attributes": {}}', "is not a cube of clearcube: it has no 'clearcube'"),
}


@pytest.mark.parametrize("name", BAD_ROOTS)
def test_a_cube_that_cannot_be_opened(name, made, clearcube) -> None:
    content, words = BAD_ROOTS[name]
    root = made / "cubes" / "31TCJ.zarr" / "zarr.json"
    good = root.read_bytes()
    root.write_text(content)
    try:
        for command in (CUBE, MASKS, MONTH):
            clearcube(made, *command).refused(str(root.parent), words)
        assert root.read_text() == content
    finally:
        root.write_bytes(good)
    assert clearcube(made, *CUBE).out == "nothing to make: 1 current\n"


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ((*MASKS, "--name", "b"), "r20m/scl"),
        ((*MONTH, "--set", "scl.buffer=10", "--method", "median"), "r10m/red"),
    ],
)
def test_pixels_of_a_cube_that_are_damaged(command, variable, made, clearcube, state_of) -> None:
    group, name = variable.split("/")
    store = made / "cubes" / "31TCJ.zarr"
    chunk = one(store / group / name / "c" / "0", "*")
    good = chunk.read_bytes()
    assert clearcube(made, *MASKS, "--set", "buffer=10").status == 0
    before = state_of(made)
    chunk.write_bytes(good[:20] + bytes(len(good) - 20))
    try:
        clearcube(made, *command).refused(f"{name} of 2020-05-05", str(store))
    finally:
        chunk.write_bytes(good)
    after = state_of(made)
    assert {key: value for key, value in after.items() if key in before} == before
    assert clearcube(made, *command).status == 0


# --- full disks -----------------------------------------------------------------------------------


@contextmanager
def files_up_to(size: int, *processes: int) -> Iterator[None]:
    """No file of these processes may grow beyond a size: what a full disk does to a writer.

    Python ignores SIGXFSZ from its start, so that writing fails as it does for want of room.
    """
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for process in processes:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process, resource.RLIMIT_FSIZE, unlimited)


@pytest.fixture(scope="module")
def workers(cluster_address: str) -> list[int]:
    with Client(cluster_address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_store_that_is_full_while_scenes_are_loaded(
    workspace, workers, clearcube, state_of
) -> None:
    before = state_of(workspace)
    with files_up_to(4000, *workers):
        said = clearcube(workspace, *CUBE)
    said.refused("31TCJ-20200505T105029: cannot write", "31TCJ.zarr.stage", "File too large")
    assert state_of(workspace) == before
    assert not (workspace / "cubes" / "31TCJ.zarr.stage").exists()
    assert clearcube(workspace, *CUBE).status == 0
    assert dates(workspace) == DATES


def test_a_store_that_is_full_while_masks_and_months_are_written(
    made, workers, clearcube, state_of
) -> None:
    before = state_of(made)
    with files_up_to(200, *workers):
        said = clearcube(made, "run", "decode-masks", *TILE, "--name", "full", "--set", "buffer=20")
        said.refused("cannot write", "_scl_full_mask.tif")
        said = clearcube(made, *MONTH, "--name", "full", "--set", "half_window=20")
        assert said.status in (1, 2)
        assert "cannot write" in said.err
        assert "Traceback" not in said.err
    after = state_of(made)
    assert {key: value for key, value in after.items() if key in before} == before
    assert not [key for key in after if "full" in key]
    assert clearcube(made, *MONTH, "--name", "full", "--set", "half_window=20").status == 0
    assert not list(made.rglob("*.cog-*"))
    assert not list(made.rglob("*.plain-*"))


def test_a_store_that_is_full_when_a_date_is_committed(
    workspace, workers, clearcube, state_of
) -> None:
    assert clearcube(workspace, *CUBE, "--datetime", "2020-05-05").status == 0
    before = state_of(workspace)
    # As long as somebody has the catalogue open, reading it takes no room of its own.
    with open_workspace(workspace) as reader:
        assert len(reader.search()) == 4
        with files_up_to(20000, os.getpid()):
            said = clearcube(workspace, *CUBE, "--datetime", "2020-05-10")
    said.refused("31TCJ-20200510T105031: cannot write", "31TCJ.zarr", "File too large")
    assert state_of(workspace) == before
    assert clearcube(workspace, *CUBE).status == 0
    assert dates(workspace) == DATES


def test_a_catalogue_that_has_no_room(season, clearcube, state_of, tmp_path: Path) -> None:
    assert clearcube(tmp_path, "ingest", season.products[0]).status == 0
    before = state_of(tmp_path)
    with files_up_to(1000, os.getpid()):
        said = clearcube(tmp_path, "ingest", season.products[3])
    said.refused(str(tmp_path / "catalog.db"), "disk I/O error; check that its disk")
    assert state_of(tmp_path) == before
    assert clearcube(tmp_path, "ingest", season.products[3]).status == 0
