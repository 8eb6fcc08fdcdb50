"""Runs make only what its inputs changed, and come to what a run from scratch comes to."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.search import Query
from cube.store import open_store
from jobs.errors import RequestError
from jobs.job import State, Target
from jobs.registry import find_job
from jobs.synthesis_params import SynthesisParams
from jobs.testing import LEFT, write_scene
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

MAY = {"tile": "31UES", "datetime": "2019-05", "mask": "scl"}
WIDE = 1200
"""Pixels at 10 m: three by three blocks."""


@pytest.fixture
def workspace(tmp_path: Path, cluster_address: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        yield workspace


def outputs(workspace: Workspace) -> dict[str, Any]:
    """All that was made, as far as two workspaces can be compared."""
    found: dict[str, Any] = {}
    for item in workspace.documents(Query(limit=1000)):
        properties = item["properties"]
        if "clearcube:job" not in properties:
            continue
        own = {k: v for k, v in properties.items() if k not in ("created", "updated")}
        sums = {key: asset.get("file:checksum") for key, asset in item["assets"].items()}
        links = sorted(link["href"] for link in item["links"])
        found[f"{item['collection']}/{item['id']}"] = (own, sums, links)
    for store in workspace.cubes.glob("*.zarr"):
        dates = open_store(store).valid_dates
        found[store.name] = [(d.time, d.key, d.checksums, d.variables) for d in dates]
    return found


def states(workspace: Workspace) -> dict[str, Target]:
    return {target.item_id: target for target in workspace.status()}


def files_of(workspace: Workspace) -> dict[str, int]:
    """Files of products, with the times at which they were written."""
    return {str(path): path.stat().st_mtime_ns for path in workspace.products.rglob("*.tif")}


# --- the chain ------------------------------------------------------------------------------------


def test_a_late_scene_makes_stale_what_it_touches(workspace: Workspace, tmp_path: Path) -> None:
    for day, value in ((5, 1000), (25, 3000)):
        workspace.ingest(
            write_scene(tmp_path, f"s{day}", value, when=f"2019-05-{day:02d}T10:56:00Z")
        )
    workspace.ingest(write_scene(tmp_path, "july", 500, when="2019-07-20T10:56:00Z"))
    for month in ("2019-05", "2019-07"):
        workspace.run("synthesis", **{**MAY, "datetime": month}, method="median")
    before = files_of(workspace)
    assert {t.state for t in workspace.status()} == {State.CURRENT, State.PROVISIONAL}
    workspace.ingest(write_scene(tmp_path, "late", 2000, when="2019-05-15T10:56:00Z"))
    found = {t.item_id: t for t in workspace.status() if t.is_due}
    assert {name: target.state for name, target in found.items()} == {
        "31UES": State.STALE,
        "31UES_20190515T105600_scl": State.MISSING,
        "31UES_2019-05_median_scl": State.STALE,
    }
    assert found["31UES"].because == found["31UES_2019-05_median_scl"].because == ("late is new",)
    outcome = workspace.run_stale()
    assert outcome.made == [
        "31UES-20190515T105600",
        "31UES_20190515T105600_scl",
        "31UES_2019-05_median_scl",
    ]
    assert not outcome.failures
    # Nothing of before was written again.
    assert {p: t for p, t in files_of(workspace).items() if p in before} == before
    assert not any(target.is_due for target in workspace.status())
    assert workspace.run_stale().made == []


def test_pixels_that_stay_the_same_stop_the_chain(workspace: Workspace, tmp_path: Path) -> None:
    for name, day in (("a", 5), ("b", 15)):
        workspace.ingest(write_scene(tmp_path, name, 1000, when=f"2019-05-{day:02d}T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="wasp")
    before = files_of(workspace)
    # Delivered again: other files, the same pixels.
    write_scene(tmp_path, "b", 1000, when="2019-05-15T10:56:00Z", baseline="05.09")
    with (tmp_path / "b_blue.tif").open("ab") as stream:
        stream.write(bytes(8))
    workspace.ingest(tmp_path / "b.json")
    assert states(workspace)["31UES_2019-05_wasp_scl"].because == ("b changed",)
    outcome = workspace.run_stale()
    assert outcome.made == ["31UES-20190515T105600"]
    assert files_of(workspace) == before
    assert not any(target.is_due for target in workspace.status())
    # Other values, but the same classes: the mask stays, the month does not.
    write_scene(tmp_path, "b", 1400, when="2019-05-15T10:56:00Z", baseline="05.09")
    workspace.ingest(tmp_path / "b.json")
    assert workspace.run_stale().made == ["31UES-20190515T105600", "31UES_2019-05_wasp_scl"]


@pytest.mark.parametrize("method", ["median", "wasp"])
def test_blocks_that_a_late_scene_does_not_reach_are_taken_from_before(
    workspace: Workspace, tmp_path: Path, cluster_address: str, method: str
) -> None:
    scenes = [
        write_scene(tmp_path, f"s{day}", 100 * day, when=f"2019-05-{day:02d}T10:56:00Z", side=WIDE)
        for day in (5, 25)
    ]
    workspace.ingest(*scenes)
    workspace.run("synthesis", **MAY, method=method)
    # Only the last of three rows of blocks has data on the late date.
    late = write_scene(
        tmp_path, "late", 7000, when="2019-05-15T10:56:00Z", side=WIDE, empty_rows=1024
    )
    workspace.ingest(late)
    outcome = workspace.run("synthesis", **MAY, method=method)
    assert outcome.made == [f"31UES_2019-05_{method}_scl"]
    (note,) = (note for note in outcome.notes if "taken from before" in note)
    # Two groups, nine blocks each; two rows of three are as they were.
    assert note.startswith(f"31UES_2019-05_{method}_scl: 12 of 18 blocks taken from before")
    with open_workspace(tmp_path / "scratch", scheduler=cluster_address) as other:
        other.ingest(*scenes, late)
        other.run("synthesis", **MAY, method=method)
        assert outputs(workspace) == outputs(other)


def test_a_damaged_file_is_not_handed_on(
    workspace: Workspace, tmp_path: Path, cluster_address: str
) -> None:
    scenes = [
        write_scene(tmp_path, f"s{day}", 100 * day, when=f"2019-05-{day:02d}T10:56:00Z", side=WIDE)
        for day in (5, 25)
    ]
    workspace.ingest(*scenes)
    workspace.run("synthesis", **MAY, method="median")
    (file,) = workspace.products.rglob("*_median_scl_blue.tif")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    late = write_scene(
        tmp_path, "late", 7000, when="2019-05-15T10:56:00Z", side=WIDE, empty_rows=1024
    )
    workspace.ingest(late)
    assert workspace.run_stale().status == 0
    with open_workspace(tmp_path / "scratch", scheduler=cluster_address) as other:
        other.ingest(*scenes, late)
        other.run("synthesis", **MAY, method="median")
        assert outputs(workspace) == outputs(other)


def test_parameters_and_versions_make_stale(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-10T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="wasp")
    name = "31UES_2019-05_wasp_scl"
    plan = workspace.plan("synthesis", **MAY, method="wasp", options={"half_window": 20})
    (target,) = plan.targets
    assert (target.state, target.because) == (
        State.STALE,
        ("parameter half_window was None, is 20",),
    )
    assert states(workspace)[name].state is State.PROVISIONAL
    # The request is remembered: what was made with other parameters stays so.
    workspace.run("synthesis", **MAY, method="wasp", options={"half_window": 20})
    assert states(workspace)[name].state is State.PROVISIONAL
    monkeypatch.setattr("jobs.decode_masks.VERSION", "2")
    found = states(workspace)
    assert found["31UES_20190510T105600_scl"].because == ("decode-masks was version 1, is 2",)
    assert found[name].because == ("31UES_20190510T105600_scl changed",)
    # The classes came out the same: the month need not be made again.
    assert workspace.run_stale().made == ["31UES_20190510T105600_scl"]
    assert states(workspace)[name].state is State.PROVISIONAL


def test_what_has_lost_all_its_inputs_is_orphaned_and_withdrawn(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-10T10:56:00Z"))
    workspace.ingest(write_scene(tmp_path, "b", 1000, when="2019-08-10T10:56:00Z"))
    for month in ("2019-05", "2019-08"):
        workspace.run("synthesis", **{**MAY, "datetime": month}, method="median")
    workspace.catalog.delete_items([("sentinel-2-l2a", "a")])
    found = states(workspace)
    for name in ("31UES_20190510T105600_scl", "31UES_2019-05_median_scl"):
        assert found[name].state is State.ORPHANED
        assert "a is no longer catalogued" in found[name].because
    assert found["31UES"].because == ("a is no longer catalogued",)
    outcome = workspace.run_stale()
    assert outcome.status == 0
    assert set(states(workspace)) == {
        "31UES",
        "31UES_20190810T105600_scl",
        "31UES_2019-08_median_scl",
    }
    assert not any(target.is_due for target in workspace.status())


def test_a_refused_request_is_no_reason_to_give_items_up(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-10T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="median")
    before = outputs(workspace)

    def refuse(*_arguments: Any) -> None:
        raise RequestError("not today")

    monkeypatch.setattr("jobs.period_job.period_mask", refuse)
    target = states(workspace)["31UES_2019-05_median_scl"]
    assert (target.state, target.because) == (State.STALE, ("not today",))
    outcome = workspace.run_stale()
    assert [str(failure) for failure in outcome.failures] == ["synthesis 31UES: not today"]
    assert outputs(workspace) == before


def test_a_later_scene_makes_a_month_final(
    workspace: Workspace, tmp_path: Path, cluster_address: str
) -> None:
    first = write_scene(tmp_path, "a", 1000, when="2019-05-10T10:56:00Z")
    later = write_scene(tmp_path, "b", 1000, when="2019-06-10T10:56:00Z")
    workspace.ingest(first)
    workspace.run("synthesis", **MAY, method="median")
    assert states(workspace)["31UES_2019-05_median_scl"].state is State.PROVISIONAL
    workspace.ingest(later)
    assert states(workspace)["31UES_2019-05_median_scl"].state is State.CURRENT
    assert workspace.run_stale().made == []
    with open_workspace(tmp_path / "other", scheduler=cluster_address) as other:
        other.ingest(first, later)
        other.run("synthesis", **MAY, method="median")
        assert outputs(workspace) == outputs(other)


def test_a_corrected_time_reaches_the_cube_and_all_after_it(
    workspace: Workspace, tmp_path: Path, cluster_address: str
) -> None:
    scenes = [write_scene(tmp_path, "b", 3000, when="2019-05-25T10:56:00Z")]
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-05T10:56:00Z"), *scenes)
    workspace.run("synthesis", **MAY, method="wasp")
    scenes.append(write_scene(tmp_path, "a", 1000, when="2019-05-09T10:56:00Z"))
    workspace.ingest(scenes[-1])
    assert workspace.run_stale().status == 0
    with open_workspace(tmp_path / "other", scheduler=cluster_address) as other:
        other.ingest(*scenes)
        other.run("synthesis", **MAY, method="wasp")
        assert outputs(workspace) == outputs(other)


def test_a_cube_that_grew_makes_masks_and_months_of_the_old_extent_stale(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-05T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="median")
    wider = write_scene(tmp_path, "b", 2000, when="2019-06-05T10:56:00Z", left=LEFT + 320)
    workspace.ingest(wider)
    workspace.run("cube", tile="31UES", extend=True)
    due = {target.item_id for target in workspace.status() if target.is_due}
    assert {"31UES_20190505T105600_scl", "31UES_2019-05_median_scl"} <= due
    workspace.run_stale()
    (item,) = workspace.search(ids=["31UES_2019-05_median_scl"])
    assert item.assets["blue"].extra_fields["proj:shape"] == [64, 96]


def test_another_version_of_decoding_takes_no_block_from_before(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoded mask is the same, its classes may not be."""
    from cube.decoding import MaskReading
    from jobs import compositing

    product, params = find_job("synthesis").product, SynthesisParams(**MAY, method="median")
    assert product is not None
    before = compositing.recipe_of(product, "synthesis", MaskReading("scl"), params)
    assert compositing.recipe_of(product, "synthesis", MaskReading("scl"), params) == before
    monkeypatch.setattr(compositing, "MASK_VERSION", "2")
    assert compositing.recipe_of(product, "synthesis", MaskReading("scl"), params) != before


def test_a_rejected_mask_stays_rejected_when_its_scene_goes_and_comes_back(
    workspace: Workspace, tmp_path: Path
) -> None:
    for day in (5, 15):
        workspace.ingest(write_scene(tmp_path, f"s{day}", 900, when=f"2019-05-{day:02d}T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="median")
    workspace.reject("31UES_20190505T105600_scl", "the mask missed a cloud")
    workspace.reject("s5", "wrong altogether")
    workspace.run_stale()
    workspace.reject("s5", None)
    workspace.run_stale()
    (month,) = workspace.search(ids=["31UES_2019-05_median_scl"])
    assert sorted(month.properties["clearcube:inputs"]) == ["31UES_20190515T105600_scl", "s15"]


def test_a_generation_that_lacks_a_date_of_the_former_is_not_published(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-05T10:56:00Z"))
    workspace.run("cube", tile="31UES")
    workspace.ingest(write_scene(tmp_path, "b", 2000, when="2019-06-05T10:56:00Z", left=LEFT + 320))
    file = tmp_path / "a_blue.tif"
    content = file.read_bytes()
    file.write_bytes(content[:200])
    outcome = workspace.run("cube", tile="31UES", extend=True)
    assert any("lacks a and is not published" in str(failure) for failure in outcome.failures)
    (item,) = workspace.search(collections=["cubes"])
    assert item.assets["r10m"].href.endswith("31UES.zarr")
    file.write_bytes(content)
    assert workspace.run("cube", tile="31UES", extend=True).status == 0
    (item,) = workspace.search(collections=["cubes"])
    assert item.assets["r10m"].href.endswith("31UES.g2.zarr")


def test_files_that_are_gone_are_missing(workspace: Workspace, tmp_path: Path) -> None:
    workspace.ingest(write_scene(tmp_path, "a", 1000, when="2019-05-10T10:56:00Z"))
    workspace.run("synthesis", **MAY, method="median")
    before = outputs(workspace)
    (file,) = workspace.products.rglob("*_blue.tif")
    file.unlink()
    target = states(workspace)["31UES_2019-05_median_scl"]
    assert (target.state, target.because) == (State.MISSING, (f"{file} is gone",))
    assert workspace.run_stale().made == ["31UES_2019-05_median_scl"]
    assert outputs(workspace) == before


def test_only_what_was_asked_for_is_brought_up_to_date(
    workspace: Workspace, tmp_path: Path
) -> None:
    for month in (3, 5, 8):
        when = f"2019-{month:02d}-10T10:56:00Z"
        workspace.ingest(write_scene(tmp_path, f"m{month}", 1000, when=when))
    for month in ("2019-03", "2019-08"):
        workspace.run("synthesis", **{**MAY, "datetime": month}, method="median")
    workspace.ingest(write_scene(tmp_path, "late3", 2000, when="2019-03-20T10:56:00Z"))
    workspace.ingest(write_scene(tmp_path, "late8", 2000, when="2019-08-20T10:56:00Z"))
    outcome = workspace.run_stale()
    assert not outcome.failures
    assert not [name for name in outcome.made if "2019-05" in name or "201905" in name]
    dates = open_store(workspace.cubes / "31UES.zarr").valid_dates
    assert [str(d.datetime)[5:10] for d in dates] == ["03-10", "03-20", "08-10", "08-20"]


# --- any order ------------------------------------------------------------------------------------

DAYS = (3, 11, 20, 29)
STEP = st.one_of(
    st.tuples(st.just("arrives"), st.sampled_from(DAYS), st.sampled_from([900, 1700])),
    st.tuples(st.just("rejected"), st.sampled_from(DAYS), st.none()),
    st.tuples(st.just("deleted"), st.sampled_from(DAYS), st.none()),
    st.tuples(st.just("run"), st.none(), st.none()),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=3, max_size=8), method=st.sampled_from(["median", "wasp"]))
def test_any_order_of_arrival_comes_to_a_run_from_scratch(
    steps: list[tuple[str, Any, Any]],
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    cluster_address: str,
) -> None:
    folder = tmp_path_factory.mktemp("order")
    request = {**MAY, "datetime": "2019-05/2019-06", "method": method}
    there: dict[int, int] = {}
    with open_workspace(folder / "w", scheduler=cluster_address) as workspace:
        # One scene is there all the time, so that the extent is recorded once.
        workspace.ingest(write_scene(folder, "s15", 1300, when="2019-05-15T10:56:00Z"))
        for what, day, value in steps:
            _step(workspace, folder, there, what, day, value, request)
        workspace.run_stale()
        workspace.run("synthesis", **request)
        made = outputs(workspace)
        assert not any(target.is_due for target in workspace.status())
    with open_workspace(folder / "other", scheduler=cluster_address) as other:
        other.ingest(folder / "s15.json", *(folder / f"s{day}.json" for day in there))
        other.run("synthesis", **request)
        assert made == outputs(other)
    shutil.rmtree(folder)


def _step(
    workspace: Workspace,
    folder: Path,
    there: dict[int, int],
    what: str,
    day: Any,
    value: Any,
    request: dict[str, Any],
) -> None:
    if what == "run":
        workspace.run("synthesis", **request)
        return
    name = f"s{day}"
    if what == "arrives":
        scene = write_scene(
            folder, name, value + day, when=f"2019-05-{day:02d}T10:56:00Z",
            cloudy_rows=32 if day == 11 else 0, empty_rows=24 if day == 20 else 0,
        )  # fmt: skip
        workspace.ingest(scene)
        _unreject(workspace, name)
        there[day] = value
    elif day in there:
        del there[day]
        if what == "deleted":
            workspace.catalog.delete_items([("sentinel-2-l2a", name)])
        else:
            workspace.reject(name, "it is not right")


def _unreject(workspace: Workspace, name: str) -> None:
    if "clearcube:rejected" in workspace.catalog.item("sentinel-2-l2a", name)["properties"]:
        workspace.reject(name, None)


# --- real scenes ----------------------------------------------------------------------------------

LATE = ("20190426", "20190610", "20190615")
"""Dates that come late; by wasp the first touches April and May."""


@pytest.mark.shared
@pytest.mark.slow
def test_three_late_dates_of_a_real_spring(
    shared: Path, clearcube, scheduler, tmp_path: Path
) -> None:
    method, stale = "wasp", ("2019-04", "2019-05", "2019-06")
    folder = shared / "s2-l2a-31UES" / "sentinel-2-l2a"
    spring = sorted(folder.glob("S2_31UES_20190[456]*/*_L2A.json"))
    late = [path for path in spring if path.name[9:17] in LATE]
    assert (len(spring), len(late)) == (14, 3)
    asked = ("--tile", "31UES", "--datetime", "2019-04/2019-06", "--method", method)
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", *(set(spring) - set(late))).status == 0
    assert clearcube(workspace, "run", "synthesis", *asked).status == 0
    assert clearcube(workspace, "ingest", *late).status == 0
    found = json.loads(clearcube(workspace, "status", "--json").out)["items"]
    months = {t["id"]: t for t in found if t["collection"] == f"synthesis-{method}"}
    assert [name for name, t in months.items() if t["state"] == "stale"] == [
        f"31UES_{month}_{method}_scl" for month in stale
    ]
    for name, target in months.items():
        window = {"2019-04": LATE[:1], "2019-05": LATE[:1], "2019-06": LATE[1:]}[name[6:13]]
        expected = [f"S2_31UES_{day}" for day in window] if target["state"] == "stale" else []
        assert [because[:17] for because in target["because"] if "is new" in because] == expected
    outcome = json.loads(clearcube(workspace, "run", "stale", "--json").out)
    assert not outcome["failed"]
    assert [name for name in outcome["made"] if method in name] == [
        f"31UES_{month}_{method}_scl" for month in stale
    ]
    assert len(outcome["made"]) == 3 + 3 + len(stale)
    other = tmp_path / "other"
    assert clearcube(other, "ingest", *spring).status == 0
    assert clearcube(other, "run", "synthesis", *asked).status == 0
    with open_workspace(workspace) as first, open_workspace(other) as second:
        assert outputs(first) == outputs(second)


def test_jobs_tell_how_their_items_stand_without_planning_units() -> None:
    assert find_job("synthesis").survey is not None
