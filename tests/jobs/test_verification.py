"""verify: what is damaged is found and named, what is whole gives no finding."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.search import Query
from cube.store import open_store, retire_dates
from jobs.finding import Finding
from jobs.runner.ledger import Ledger
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

MONTH = "31TCJ_2020-05_median_scl"
MASK = "31TCJ_20200505T105029_scl"
AGAIN = "run clearcube run stale --tile 31TCJ"


@pytest.fixture(scope="module")
def made(
    season: SeasonFiles, cluster_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace with cube, masks and a month; copied for each test."""
    path = tmp_path_factory.mktemp("made") / "w"
    products = shutil.copytree(season.products[0].parent, path.parent / "products")
    with open_workspace(path, scheduler=cluster_address) as workspace:
        assert not workspace.ingest(products).failures
        done = workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method="median")
        assert not done.failures
    return path


@pytest.fixture
def workspace(made: Path, cluster_address: str, tmp_path: Path) -> Iterator[Workspace]:
    """The workspace as it was; damage is undone after the test, as hrefs are absolute."""
    kept = shutil.copytree(made.parent, tmp_path / "kept")
    try:
        with open_workspace(made, scheduler=cluster_address) as workspace:
            yield workspace
    finally:
        shutil.rmtree(made.parent)
        shutil.copytree(kept, made.parent)


def lines(found: list[Finding]) -> list[str]:
    return [str(each) for each in found]


def flip(path: Path, at: int = -1) -> None:
    """Change a byte, by default the one in the middle."""
    content = bytearray(path.read_bytes())
    at = len(content) // 2 if at < 0 else at
    content[at] ^= 0xFF
    path.write_bytes(content)


def edit(workspace: Workspace, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a document behind the catalogue's back."""
    with sqlite3.connect(workspace.settings.workspace / "catalog.db") as db:
        (rid,) = db.execute("SELECT rid FROM items WHERE id = ?", (name,)).fetchone()
        (text,) = db.execute("SELECT content FROM documents WHERE rid = ?", (rid,)).fetchone()
        document = json.loads(text)
        change(document)
        db.execute("UPDATE documents SET content = ? WHERE rid = ?", (json.dumps(document), rid))
    db.close()


def asset(workspace: Workspace, name: str, key: str) -> Path:
    (item,) = workspace.catalog.find(name)
    return Path(item["assets"][key]["href"])


def store(workspace: Workspace) -> Path:
    return workspace.cubes / "31TCJ.zarr"


def slot_of(workspace: Workspace, day: str) -> int:
    """Where a date is: dates are committed in the order in which they are loaded."""
    (slot,) = (e.slot for e in open_store(store(workspace)).dates if str(e.datetime)[:10] == day)
    return slot


def scene(workspace: Workspace) -> str:
    """The id of the first date's scene."""
    (source,) = open_store(store(workspace)).valid_dates[0].items
    return str(source["id"])


def test_a_whole_workspace_has_no_findings(workspace: Workspace) -> None:
    assert workspace.verify() == []
    assert workspace.verify("31TCJ", sources=True) == []
    assert workspace.verify(quick=True) == []


def test_a_name_on_two_grids_is_judged_on_both(workspace: Workspace) -> None:
    """MAJA's saturation is at 10 m and at 20 m."""
    assert not workspace.run("cube", tile="31TCJ", level="maja").failures
    assert workspace.verify() == []
    path = store(workspace).with_name("31TCJ_maja.zarr")
    (entry,) = open_store(path).valid_dates
    chunk = path / "r20m" / "sat" / "c" / str(entry.slot) / "0" / "0"
    flip(chunk)
    (found,) = workspace.verify()
    assert (found.severity, found.id) == ("error", "31TCJ_maja")
    assert "sat" in found.what
    flip(chunk)
    # Without the checksums of chunks the root tells of both grids together.
    (path.with_name(f"{path.name}.sums") / f"{entry.slot}.npy").unlink()
    assert [f for f in workspace.verify() if f.severity == "error"] == []


# --- cubes ----------------------------------------------------------------------------------------


def test_a_byte_in_a_chunk(workspace: Workspace) -> None:
    path = store(workspace)
    slot = slot_of(workspace, "2020-05-10")
    file = path / "r10m" / "red" / "c" / str(slot) / "0" / "0"
    flip(file, at=40)
    (found,) = workspace.verify()
    assert (found.severity, found.id) == ("error", "31TCJ")
    assert "red of 2020-05-10" in found.what
    assert found.advice == f"call cube.store.retire_dates('{path}', [{slot}]) in Python and {AGAIN}"
    assert workspace.verify(quick=True) == []  # which reads no pixel
    # The advice holds: the date is loaded anew, and what was made of it is as good as before.
    retire_dates(path, [slot])
    done = workspace.run_stale("31TCJ")
    assert (done.made, done.failures) == (["31TCJ-20200510T105031"], [])
    assert workspace.verify() == []


def test_pixels_that_another_program_wrote(workspace: Workspace) -> None:
    import zarr

    path = store(workspace)
    array = zarr.open_array(str(path / "r20m" / "scl"), mode="r+")
    array[slot_of(workspace, "2020-05-05"), 3, 4] = 9
    (found,) = workspace.verify()
    assert found.what == "scl of 2020-05-05 is not what was committed: 1 of 1 chunks differ"
    # The sum of a date stands in the root, too, so that nothing is lost with those of its chunks.
    shutil.rmtree(path.with_name("31TCJ.zarr.sums"))
    found, *notes = [f for f in workspace.verify() if f.severity == "error"]
    assert (found.what, notes) == ("scl of 2020-05-05 is not what was committed", [])


def test_a_chunk_that_is_gone_or_empty(workspace: Workspace) -> None:
    slot = slot_of(workspace, "2020-05-05")
    file = store(workspace) / "r20m" / "scl" / "c" / str(slot) / "0" / "0"
    file.write_bytes(b"")
    for quick in (True, False):
        (found,) = workspace.verify(quick=quick)
        assert found.what == f"scl of 2020-05-05: {file} is empty"
    file.unlink()
    for quick in (True, False):
        (found,) = workspace.verify(quick=quick)
        assert found.what == f"scl of 2020-05-05: {file} is gone"


def test_checksums_of_chunks(workspace: Workspace) -> None:
    file = workspace.cubes / "31TCJ.zarr.sums" / f"{slot_of(workspace, '2020-05-15')}.npy"
    sums = np.load(file)
    sums[0, 0, 0] += 1
    np.save(file, sums)
    wrong = (
        f"error 31TCJ: {file} is not what the root says of 2020-05-15; "
        "remove it: blocks that use it are then made anew"
    )
    assert lines(workspace.verify()) == [wrong]
    file.write_bytes(b"no array")
    assert lines(workspace.verify(quick=True)) == [wrong]
    file.unlink()
    assert lines(workspace.verify()) == [
        f"note 31TCJ: {file} is gone: what is made of 2020-05-15 next is made in whole"
    ]


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_dates_of_the_root_that_were_edited(workspace: Workspace) -> None:
    path = store(workspace)

    def withdraw(root: dict[str, Any]) -> None:
        root["attributes"]["clearcube"]["dates"][1]["valid"] = False

    rewrite(path / "zarr.json", withdraw)
    whats = [found.what for found in workspace.verify()]
    assert whats[0].startswith(f"its item does not say what the root of {path} says: ")
    assert "clearcube:dates" in whats[0]
    assert "clearcube:inputs" in whats[0]
    assert [w.rpartition(" is not ")[2] for w in whats[1:]] == ["the valid of the root's dates"] * 2

    def cut(root: dict[str, Any]) -> None:
        del root["attributes"]["clearcube"]["dates"][-1]

    rewrite(path / "zarr.json", cut)
    whats = [found.what for found in workspace.verify() if found.severity == "error"]
    assert "r10m/red is 4 long, the root has 3 dates" in whats


def test_a_root_that_cannot_be_read(workspace: Workspace) -> None:
    path = store(workspace)
    content = (path / "zarr.json").read_bytes()
    (path / "zarr.json").write_bytes(content[:-20])
    (found,) = workspace.verify()
    assert (found.severity, found.id) == ("error", "31TCJ")
    assert found.what.startswith(f"{path} is not a cube of clearcube: ")
    assert found.advice == f"remove it and {AGAIN}"
    shutil.rmtree(path)
    (found,) = workspace.verify()
    assert str(found) == f"error 31TCJ: {path} is gone; {AGAIN}"
    done = workspace.run_stale("31TCJ")
    assert len(done.made) == 4
    assert workspace.verify() == []


def test_metadata_of_arrays_and_coordinates(workspace: Workspace) -> None:
    path = store(workspace)
    rewrite(path / "r10m" / "red" / "zarr.json", lambda node: node["shape"].reverse())
    (found,) = workspace.verify()
    assert (
        str(found)
        == "note 31TCJ: the metadata of r10m/red differ from those in the root, which count"
    )
    flip(path / "r20m" / "x" / "c" / "0", at=6)
    what = f"{path / 'r20m' / 'x' / 'c' / '0'} is not the x of the cube's extent"
    assert what in [found.what for found in workspace.verify(quick=True)]


def test_slots_that_no_commit_reached(workspace: Workspace) -> None:
    slot = store(workspace) / "r10m" / "red" / "c" / "4"
    shutil.copytree(slot.with_name("2"), slot)
    assert lines(workspace.verify()) == [
        f"note 31TCJ: {slot} belongs to no committed date; clearcube gc removes it"
    ]


def test_an_item_that_lags_behind_a_killed_run(workspace: Workspace, made: Path) -> None:
    (item,) = workspace.catalog.find("31TCJ")
    whole = workspace.run("cube", tile="31TCJ")
    assert whole.made == []
    for shown in item["assets"].values():
        shown["cube:dimensions"]["time"]["values"].pop()
    item["properties"]["clearcube:dates"] = 3
    edit(workspace, "31TCJ", lambda document: document.update(item))
    (found,) = workspace.verify()
    assert found.severity == "note"
    assert found.what == f"its item lags behind {store(workspace)}: 1 dates were committed since"
    assert found.advice.endswith("run cube --tile 31TCJ --level l2a --datetime 2020-05-05")
    workspace.run("cube", tile="31TCJ", level="l2a", datetime="2020-05-05")
    assert workspace.verify() == []


# --- files and items ------------------------------------------------------------------------------


def test_files_of_products(workspace: Workspace) -> None:
    red = asset(workspace, MONTH, "red")
    content = red.read_bytes()
    flip(red, at=len(content) - 900)
    assert lines(workspace.verify()) == [
        f"error {MONTH}: {red} is not what was written: its checksum differs; remove it and {AGAIN}"
    ]
    red.write_bytes(content[: len(content) // 2])
    for quick in (True, False):
        (found,) = workspace.verify(quick=quick)
        half = len(content) // 2
        assert found.what == f"{red} has {half} bytes, not {len(content)}"
    red.unlink()
    assert lines(workspace.verify(quick=True)) == [f"error {MONTH}: {red} is gone; {AGAIN}"]
    assert workspace.run_stale("31TCJ").made == [MONTH]
    assert workspace.verify() == []


def test_a_file_on_another_grid_or_with_other_classes(workspace: Workspace) -> None:
    def move(document: dict[str, Any]) -> None:
        document["assets"]["mask"]["proj:transform"][2] += 20

    mask = asset(workspace, MASK, "mask")
    edit(workspace, MASK, move)
    (found,) = workspace.verify(quick=True)
    assert found.what == f"{mask} lies on another grid than its item says"

    def other(document: dict[str, Any]) -> None:
        document["assets"]["mask"]["proj:transform"][2] -= 20
        document["properties"]["clearcube:checksum"] = "0123456789abcdef"

    edit(workspace, MASK, other)
    (found,) = workspace.verify()
    assert found.what == f"{mask} has other classes than the item's clearcube:checksum says"


def test_what_blocks_were_made_of(workspace: Workspace) -> None:
    file = asset(workspace, MONTH, "red").parent / "blocks.json"
    file.write_text("{")
    what = f"note {MONTH}: {file} cannot be read: next time all its blocks are made anew"
    assert lines(workspace.verify()) == [what]
    file.unlink()
    assert lines(workspace.verify()) == [what.replace("cannot be read", "is gone")]


def test_items_edited_behind_the_catalogue(workspace: Workspace) -> None:
    edit(workspace, MASK, lambda d: d["properties"]["clearcube:parameters"].update(buffer=60))
    (found,) = workspace.verify()
    said = workspace.catalog.find(MASK)[0]["properties"]["clearcube:fingerprint"]
    assert found.what == f"its fingerprint {said} is not that of what it says it was made of"
    assert found.advice == f"remove {asset(workspace, MASK, 'mask').parent} and {AGAIN}"
    # The advice holds.
    shutil.rmtree(asset(workspace, MASK, "mask").parent)
    assert MASK in workspace.run_stale("31TCJ").made
    assert workspace.verify() == []

    edit(workspace, MONTH, lambda d: d["properties"].update({"clearcube:status": "good"}))
    (found,) = workspace.verify()
    assert found.id == MONTH
    assert "clearcube:status" in found.what


def test_a_document_that_is_no_json(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.settings.workspace / "catalog.db") as db:
        db.execute(
            "UPDATE documents SET content = substr(content, 1, 99)"
            " WHERE rid = (SELECT rid FROM items WHERE id = ?)",
            (MONTH,),
        )
    db.close()
    found = workspace.verify()[0]
    assert (found.severity, found.id) == ("error", "catalogue")
    assert "an item is no JSON" in found.what


def test_a_collection_that_is_gone(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.settings.workspace / "catalog.db") as db:
        db.execute("DELETE FROM collections WHERE id = 'synthesis-median'")
    db.close()
    (found,) = workspace.verify()
    assert (found.id, found.what) == (MONTH, "its collection synthesis-median is not there")


# --- scenes ---------------------------------------------------------------------------------------


def test_scenes_whose_files_are_gone_or_others(workspace: Workspace) -> None:
    name = scene(workspace)
    file = asset(workspace, name, "red")
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    assert workspace.verify() == []
    (found,) = workspace.verify(sources=True)
    assert found.id == name
    assert found.what.startswith("its files are not those that were ingested (version ")
    file.unlink()
    assert lines(workspace.verify(quick=True)) == [
        f"error {name}: file gone: {file}; put it back, or ingest the product from where it is now"
    ]


def test_zips_that_are_gone(workspace: Workspace) -> None:
    zips = list((workspace.settings.workspace.parent / "products").glob("*.zip"))
    assert len(zips) == 1
    zips[0].unlink()
    (found,) = workspace.verify()
    assert found.what.startswith(f"file gone: /vsizip/{zips[0]}/")


def test_inputs_that_no_longer_count(workspace: Workspace) -> None:
    name = scene(workspace)
    edit(workspace, name, lambda d: d["properties"].update({"clearcube:rejected": "haze"}))
    found = {each.id: each for each in workspace.verify()}
    assert set(found) == {"31TCJ", MASK, MONTH}
    assert str(found[MASK]) == (
        f"note {MASK}: made of what does not count any more: {name} was rejected: haze; {AGAIN}"
    )


# --- ledgers --------------------------------------------------------------------------------------


def test_runs_without_an_end(workspace: Workspace) -> None:
    request = {"tile": "31TCJ", "datetime": "2020-05"}
    with Ledger(workspace.runs, "synthesis", request) as ledger:
        ledger.plan([MONTH], [])
        (found,) = workspace.verify()
        assert str(found) == f"note {ledger.path.stem}: synthesis of 31TCJ is running now"
    text = ledger.path.read_text()
    ledger.path.write_text(text.replace('"born": ', '"born": 1'))
    (found,) = workspace.verify("31TCJ")
    what = "the run of synthesis was killed; run the same again"
    assert str(found) == f"note {ledger.path.stem}: {what}"
    assert workspace.verify("31UES") == []
    with Ledger(workspace.runs, "synthesis", request) as later:
        later.end([], [])
    assert workspace.verify() == []


def test_what_a_ledger_says_was_made_and_is_gone(workspace: Workspace) -> None:
    workspace.catalog.delete_items([("synthesis-median", MONTH)])
    (found,) = workspace.verify()
    assert found.severity == "note"
    assert "synthesis" in found.id
    assert found.what == f"made {MONTH}, which are not there now"
    # What was withdrawn with its scenes is not missed.
    for item in list(workspace.documents(Query(tiles=("31TCJ",)))):
        if "clearcube:level" in item["properties"]:
            item["properties"]["clearcube:rejected"] = "haze"
            workspace.catalog.upsert_items([item])
    assert all("not there now" not in found.what for found in workspace.verify())


def test_stores_that_no_item_points_to(workspace: Workspace) -> None:
    other = workspace.cubes / "31TCJ.g2.zarr"
    shutil.copytree(store(workspace), other)
    (found,) = workspace.verify()
    assert str(found) == (f"note 31TCJ.g2.zarr: no item points to {other}; clearcube gc removes it")


# --- the command ----------------------------------------------------------------------------------


def test_the_command(workspace: Workspace, clearcube: Callable[..., Any], made: Path) -> None:
    said = clearcube(made, "verify")
    assert (said.status, said.out) == (0, "")
    assert said.err.splitlines()[-1] == "nothing is wrong"
    red = asset(workspace, MONTH, "red")
    red.unlink()
    said = clearcube(made, "verify", "--tile", "31TCJ", "--quick")
    assert (said.status, said.out) == (1, f"error {MONTH}: {red} is gone; {AGAIN}\n")
    said = clearcube(made, "verify", "--json")
    assert said.status == 1
    document = json.loads(said.out)
    assert (document["errors"], document["notes"]) == (1, 0)
    assert document["findings"] == [
        {"severity": "error", "id": MONTH, "what": f"{red} is gone", "advice": AGAIN}
    ]
    assert clearcube(made, "verify", "--tile", "31UES").status == 0
    assert clearcube(made, "verify", "--tile", "xx").status == 2
    assert clearcube(made / "none", "verify").status == 2
