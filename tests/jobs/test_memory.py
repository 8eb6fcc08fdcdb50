"""Memory: what plans promise is what runs keep to, and what does not fit is refused beforehand."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np
import pytest
import rasterio
from distributed import Client, LocalCluster, Scheduler, SpecCluster, Worker

from cube.decoding import MaskReading
from cube.grid import tile_extent
from cube.spec import Spec
from cube.variables import level_variables
from cube.weights import BlurredClouds, CloudWeightParams
from jobs.build_cube import planned_spec
from jobs.errors import RequestError
from jobs.job import Stage, Unit
from jobs.memory import (
    MIB,
    PAUSED,
    WORKER_BYTES,
    BlockLoad,
    asset_bytes,
    block_side,
    date_bytes,
    least_memory,
    mask_bytes,
    require,
    weights_bytes,
)
from jobs.runner.cluster import LOCAL
from jobs.runner.ledger import Ledger
from jobs.runner.progress import Progress
from jobs.runner.submit import run_stage
from jobs.testing import write_scene
from jobs.workspace import Workspace, open_workspace

# Workers cannot import this file: what they are to call travels as it is.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

FULL = Spec("31UES", "l2a", tile_extent("31UES"), {"r10m": 10, "r20m": 20}, level_variables("l2a"))
"""Cube of a whole tile, 10980 x 10980 pixels at 10 m."""

MAJA = Spec(
    "31UES", "maja", tile_extent("31UES"), {"r10m": 10, "r20m": 20}, level_variables("maja")
)


BLURRED = BlurredClouds(CloudWeightParams())


def units(workspace: Workspace) -> list[dict[str, Any]]:
    """Every unit that was done, as ledgers tell."""
    lines = [
        json.loads(line)
        for path in sorted(workspace.runs.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert not [line for line in lines if line["event"] in ("failed", "again", "stopped")]
    return [line for line in lines if line["event"] == "done"]


def broken(done: list[dict[str, Any]], promised: Mapping[str, int]) -> list[str]:
    """Units that took more than was promised; every unit belongs to a stage that was planned."""
    return [
        f"{line['unit']}: {line['peak'] // MIB} MiB of {(WORKER_BYTES + promised[line['stage']]) // MIB}"
        for line in done
        if line["peak"] > WORKER_BYTES + promised[line["stage"]]
    ]


def promises(workspace: Workspace, job: str, **request: Any) -> dict[str, int]:
    """Stage -> bytes of a unit, as the plan of a request and of what it needs has it."""
    planned = workspace.plan(job, **request)
    return {stage.name: stage.memory for one in planned.every() for stage in one.stages}


def run(workspace: Workspace, job: str, **request: Any) -> dict[str, int]:
    """Carry out a request -> what had been promised before."""
    promised = promises(workspace, job, **request)
    done = workspace.run(job, **request)
    assert done.failures == []
    assert done.made
    return promised


@pytest.fixture
def cluster_address() -> Iterator[str]:
    """Two workers as a run starts its own, for which promises are made.

    Those of the session hold what every test before has had them compile.
    """
    with (
        dask.config.set({**LOCAL, "logging": {"distributed.worker": "critical"}}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as own,
    ):
        yield own.scheduler_address


# --- formulas -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promised", "measured"),
    [
        (date_bytes(FULL, 1), 259),
        (date_bytes(FULL, 2), 630),
        (mask_bytes(FULL, MaskReading("scl")), 102),
        (mask_bytes(MAJA, MaskReading("clm")), 150),
        (mask_bytes(MAJA, MaskReading("clm", buffer=100)), 178),
        (mask_bytes(MAJA, MaskReading("clm", buffer=2000)), 210),
        (weights_bytes(MAJA, MaskReading("clm"), BLURRED), 86),
        (weights_bytes(MAJA, MaskReading("clm", buffer=100), BLURRED), 152),
        (asset_bytes(FULL), 88),
        (BlockLoad(FULL, 40, {"r10m": 4}, {"r10m": 9}, 4, BLURRED).block_bytes(256), 164),
        (BlockLoad(FULL, 40, {"r10m": 4}, {"r10m": 9}, 0).block_bytes(256), 123),
        (BlockLoad(FULL, 40, {"r10m": 2}, {"r10m": 2}, 32).block_bytes(256), 295),
    ],
)
def test_promises_for_a_whole_tile_are_near_what_was_measured(promised: int, measured: int) -> None:
    """MiB that single units of a whole tile took in a new process, beside its libraries' 336."""
    assert WORKER_BYTES + promised >= (336 + measured) * MIB
    assert promised <= 1.6 * measured * MIB


def test_the_side_of_a_block_follows_from_the_memory() -> None:
    load = BlockLoad(FULL, 40, {"r10m": 4, "r20m": 7}, {"r10m": 9, "r20m": 11}, 4, BLURRED)
    sides = {side: load.block_bytes(side) for side in (256, 128, 64, 32)}
    assert list(sides.values()) == sorted(sides.values(), reverse=True)
    for side, needed in sides.items():
        assert block_side(least_memory(needed), load) == side
        assert block_side(least_memory(needed) - MIB, load) == max(32, side // 2)
    assert block_side(64 << 30, load) == 256


def test_a_unit_that_does_not_fit_is_refused_with_what_it_takes() -> None:
    stages = [Stage(name, [], print, print, memory=n * MIB) for name, n in (("a", 10), ("b", 900))]
    least = least_memory(900 * MIB)
    assert least == -(-(WORKER_BYTES + 900 * MIB) * 10 // 8 // MIB) * MIB
    require(least, stages)
    require(1, [])
    with pytest.raises(RequestError, match=f"^b: .* 900MiB .* CLEARCUBE_MEMORY={least // MIB}MiB"):
        require(least - 1, stages)


# --- runs -----------------------------------------------------------------------------------------

cluster = pytest.mark.cluster


@cluster
def test_units_of_a_season_keep_their_promises(season, scheduler, tmp_path) -> None:
    with open_workspace(tmp_path, scheduler=scheduler) as workspace:
        workspace.ingest(*season.products)
        asked = {"tile": "31TCJ", "datetime": "2020-05"}
        promised = run(workspace, "synthesis", **asked, method="wasp", mask="scl")
        promised |= run(workspace, "synthesis", **asked, method="median", mask="scl")
        promised |= run(workspace, "decode-masks", **asked, name="grown", buffer=500)
        done = units(workspace)
    stages = {line["stage"].split()[0] for line in done}
    assert stages == {"cube", "masks", "weights", "wasp", "median", "files"}
    assert broken(done, promised) == []


@cluster
def test_units_of_muscate_products_keep_their_promises(season, scheduler, tmp_path) -> None:
    with open_workspace(tmp_path, scheduler=scheduler) as workspace:
        workspace.ingest(*season.muscate)
        asked = {"tile": "31TCJ", "datetime": "2020-05"}
        promised = run(workspace, "synthesis", **asked, method="wasp", mask="clm")
        done = units(workspace)
    assert len(done) > 20
    assert broken(done, promised) == []


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve dates of 660 x 660 pixels, on the last of them two granules."""
    folder = tmp_path_factory.mktemp("scenes")
    for day in range(1, 13):
        write_scene(
            folder,
            f"S2A_{day:02d}",
            1000 + 37 * day,
            when=f"2019-05-{2 * day:02d}T10:56:00Z",
            side=660,
            empty_rows=20 * day,
            cloudy_rows=100 * (day % 5),
        )
    write_scene(folder, "S2A_12_north", 4000, when="2019-05-24T10:56:30Z", side=660, strip="other")
    return folder


ASKED = {"tile": "31UES", "datetime": "2019-05", "method": "wasp", "mask": "scl"}


@contextmanager
def local(scenes: Path, path: Path, memory: str, names: str = "*") -> Iterator[Workspace]:
    """A workspace of some scenes, with one worker of its own of so much memory."""
    with open_workspace(path, workers=1, memory=memory) as workspace:
        workspace.ingest(*sorted(scenes.glob(f"{names}.json")))
        yield workspace


def pixels(workspace: Workspace) -> dict[str, np.ndarray[Any, Any]]:
    (item,) = workspace.search(collections=["synthesis-wasp"])
    found = {}
    for key, asset in item.assets.items():
        with rasterio.open(asset.href) as raster:
            found[key] = raster.read()
    return found


@cluster
def test_blocks_of_any_side_make_the_same_within_the_memory_given(scenes, tmp_path) -> None:
    results = {}
    for memory, side in (("2GiB", 512), ("641MiB", 128)):
        # Without the granule that is merged, whose date would need more than such a block.
        with local(scenes, tmp_path / memory, memory, "S2A_0[1-6]") as workspace:
            planned = workspace.plan("synthesis", **ASKED)
            (blocks,) = (s for one in planned.every() for s in one.stages if "block" in s.unit)
            assert blocks.unit == f"block of {side} x {side} pixels at 10 m"
            assert blocks.count == (-(-660 // side)) ** 2
            promised = run(workspace, "synthesis", **ASKED)
            done = units(workspace)
            assert sum(line["stage"] == "wasp 31UES" for line in done) == blocks.count
            assert broken(done, promised) == []
            limit = int(memory[:3]) * MIB if memory.endswith("MiB") else 2 << 30
            assert max(line["peak"] for line in done) <= PAUSED * limit
            results[side] = pixels(workspace)
    assert list(results[512]) == list(results[128])
    assert {"blue", "nir08", "weight", "status_20m"} < set(results[512])
    for key, expected in results[512].items():
        np.testing.assert_array_equal(results[128][key], expected, err_msg=key)


@cluster
def test_what_a_refusal_suggests_is_enough(scenes, clearcube, tmp_path) -> None:
    with local(scenes, tmp_path, "500MiB") as workspace:
        with pytest.raises(RequestError) as refused:
            workspace.run("synthesis", **ASKED)
        assert units(workspace) == []
    suggested = re.search(r"CLEARCUBE_MEMORY=(\d+)MiB", str(refused.value))
    assert suggested is not None
    least = int(suggested[1])
    arguments = [f"--{key}={value}" for key, value in ASKED.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARCUBE_WORKERS", "1")
        patch.setenv("CLEARCUBE_MEMORY", f"{least - 1}MiB")
        clearcube(tmp_path, "run", "synthesis", *arguments).refused(
            f"{least}MiB", f"{least - 1}MiB"
        )
        clearcube(tmp_path, "plan", "synthesis", *arguments).refused(f"{least}MiB")
        patch.setenv("CLEARCUBE_MEMORY", f"{least}MiB")
        document = json.loads(clearcube(tmp_path, "plan", "synthesis", *arguments, "--json").out)
        said = clearcube(tmp_path, "plan", "synthesis", *arguments).out
        made = clearcube(tmp_path, "run", "synthesis", *arguments)
    assert made.out.split() == ["31UES_2019-05_wasp_scl"], made.err
    (plan,) = document["plans"]
    assert plan["worker_limit"] == least * MIB
    assert plan["worker_bytes"] <= PAUSED * plan["worker_limit"]
    assert all(
        stage["bytes_a_unit"] + WORKER_BYTES <= plan["worker_bytes"] for stage in plan["stages"]
    )
    assert re.search(
        r"wasp 31UES: \d+ x block of (\d+) x \1 pixels at 10 m, each up to \d+MiB", said
    )
    with open_workspace(tmp_path) as workspace:
        done = units(workspace)
        promised = {
            stage["name"]: stage["bytes_a_unit"]
            for one in (plan, *plan["needs"], *plan["needs"][0]["needs"])
            for stage in one["stages"]
        }
    assert broken(done, promised) == []
    assert max(line["peak"] for line in done) <= PAUSED * least * MIB


def hold(size: int) -> None:
    np.ones(size, np.uint8)


def test_masks_are_promised_their_memory_before_there_is_a_cube(tmp_path) -> None:
    with open_workspace(tmp_path / "w") as workspace:
        workspace.ingest(write_scene(tmp_path, "a", 1000))
        planned = workspace.plan("synthesis", **ASKED)
        (masks,) = (s for one in planned.every() for s in one.stages if s.name == "masks scl 31UES")
        extent = planned_spec(workspace, "31UES", "l2a").extent
    assert masks.memory == mask_bytes(replace(FULL, extent=extent), MaskReading("scl"))
    assert masks.memory > 16 * MIB


@cluster
def test_workers_keep_no_samples_of_what_they_did(cluster_address) -> None:
    with Client(cluster_address, set_as_default=False) as client:
        running = client.run(lambda dask_worker: list(dask_worker.periodic_callbacks))
    assert len(running) == 2
    for names in running.values():
        assert "heartbeat" in names
        assert not [name for name in names if "profile" in name]


@cluster
def test_a_promise_of_half_of_what_is_taken_is_found_broken(scheduler, tmp_path) -> None:
    size = 2 * WORKER_BYTES  # half of it is too little even for a worker that holds nothing else
    stage = Stage("held 31UES", [Unit("held", size)], hold, lambda _unit, _value: None, size)
    with open_workspace(tmp_path) as workspace, Client(scheduler, set_as_default=False) as client:
        workspace.runs.mkdir(exist_ok=True)
        with Ledger(workspace.runs, "held", {}) as ledger:
            assert run_stage(client, stage, "held", ledger, Progress(quiet=True)) == []
        done = units(workspace)
    assert broken(done, {stage.name: stage.memory}) == []
    assert len(broken(done, {stage.name: stage.memory // 2})) == 1


def crumble(size: int) -> None:
    """Free a heap but for a crumb at its end."""
    pieces = [np.ones(MIB, np.uint8) for _ in range(size // MIB)]
    crumbs.append(bytes(1000))
    pieces.clear()


crumbs: list[bytes] = []


@cluster
def test_a_worker_keeps_little_of_what_units_before_have_freed(scheduler, tmp_path) -> None:
    with open_workspace(tmp_path) as workspace, Client(scheduler, set_as_default=False) as client:
        workspace.runs.mkdir(exist_ok=True)
        with Ledger(workspace.runs, "freed", {}) as ledger:
            for name, function, size in (("much", crumble, 700 * MIB), ("little", hold, MIB)):
                planned = [Unit(f"{name}{number}", size) for number in range(4)]
                stage = Stage(name, planned, function, lambda _unit, _value: None)
                assert run_stage(client, stage, "freed", ledger, Progress(quiet=True)) == []
        done = units(workspace)
    assert max(line["peak"] for line in done if line["stage"] == "much") > 700 * MIB
    assert broken([line for line in done if line["stage"] == "little"], {"little": 0}) == []


@cluster
@pytest.mark.parametrize(
    ("limits", "least"), [((3 << 30, 2 << 30), 2 << 30), ((0, 2 << 30), 2 << 30), ((0, 0), None)]
)
def test_of_a_scheduler_the_worker_with_the_least_memory_counts(limits, least, tmp_path) -> None:
    workers = {
        number: {"cls": Worker, "options": {"nthreads": 1, "memory_limit": limit}}
        for number, limit in enumerate(limits)
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": "127.0.0.1:0"}}
    with (
        SpecCluster(workers=workers, scheduler=scheduler) as started,
        open_workspace(tmp_path, scheduler=started.scheduler_address) as workspace,
    ):
        assert workspace.worker_memory == (least or sys.maxsize)
