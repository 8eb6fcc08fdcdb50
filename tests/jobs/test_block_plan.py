"""How much work a plan is: one task a block, whatever the number of dates and bands."""

from pathlib import Path
from typing import Any

import pytest

from cube.grid import tile_extent
from cube.store import DateEntry, Spec, commit_date, create_cube
from cube.variables import level_variables
from jobs.compositing import composite_block
from jobs.registry import find_job
from jobs.runner.publish import publish
from jobs.runner.run import parse_request
from jobs.workspace import Workspace, open_workspace

DAY = 86_400_000
MAY = 18_017
"""2019-05-01 in days since 1970-01-01."""


def full_tile(workspace: Workspace, dates: int, bands: tuple[str, ...] | None = None) -> None:
    """An empty cube of a whole tile with entries of dates, and one scene to plan from."""
    extent = tile_extent("31UES")
    assert extent.shape(10) == (10980, 10980)
    variables = level_variables("l2a")
    if bands is not None:
        variables = tuple(v for v in variables if v.kind == "encoded" or v.name in bands)
    path = workspace.cubes / "31UES.zarr"
    create_cube(path, Spec("31UES", "l2a", extent, {"r10m": 10, "r20m": 20}, variables))
    names = tuple(variable.name for variable in variables)
    for number in range(dates):
        item = {"id": f"scene{number}", "collection": "sentinel-2-l2a", "version": "1"}
        commit_date(path, DateEntry((MAY + number) * DAY, f"key{number}", (item,), names))


def scene() -> dict[str, Any]:
    ring = [[3.0, 50.0], [4.5, 50.0], [4.5, 51.0], [3.0, 51.0], [3.0, 50.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "scene0",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [3.0, 50.0, 4.5, 51.0],
        "properties": {
            "datetime": "2019-05-01T10:50:00Z",
            "grid:code": "MGRS-31UES",
            "clearcube:level": "l2a",
        },
        "links": [],
        "assets": {},
    }


def stages(workspace: Workspace, **request: str) -> dict[Any, list[Any]]:
    """Function of each stage of a synthesis -> its units, without carrying any out."""
    job = find_job("synthesis")
    planned = job.plan(workspace, parse_request(job, {"tile": "31UES", "mask": "scl", **request}))
    found: dict[Any, list[Any]] = {}
    for plan in planned if isinstance(planned, list) else [planned]:
        for stage in plan.stages:
            # Files are planned once the blocks of a month are all there.
            units = [] if callable(stage.units) else stage.units
            found.setdefault(stage.run, []).extend(units)
    return found


@pytest.mark.parametrize("method", ["median", "wasp"])
@pytest.mark.parametrize("dates", [1, 30])
def test_a_month_of_a_whole_tile_is_one_task_a_block(
    tmp_path: Path, method: str, dates: int
) -> None:
    with open_workspace(tmp_path) as workspace:
        publish(workspace, [scene()])
        full_tile(workspace, dates)
        found = stages(workspace, datetime="2019-05", method=method)
    tasks = found[composite_block]
    assert len(tasks) == 22 * 22 == 484
    assert len({unit.key for unit in tasks}) == 484
    assert {len(unit.payload.periods[0].slots) for unit in tasks} == {dates}


def test_the_number_of_bands_does_not_matter(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        publish(workspace, [scene()])
        full_tile(workspace, 3, bands=("red", "nir"))
        found = stages(workspace, datetime="2019-05", method="median")
    assert len(found[composite_block]) == 484


def test_months_share_the_tasks_of_their_blocks(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        publish(workspace, [scene()])
        full_tile(workspace, 60)
        found = stages(workspace, datetime="2019-05/2019-06", method="median")
    assert len(found[composite_block]) == 484
    assert {len(unit.payload.periods) for unit in found[composite_block]} == {2}


def test_the_blocks_cover_the_tile_once(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        publish(workspace, [scene()])
        full_tile(workspace, 1)
        found = stages(workspace, datetime="2019-05", method="median")
    blocks = [unit.payload.block for unit in found[composite_block]]
    assert sum(block.height * block.width for block in blocks) == 5490 * 5490
    assert len({(block.y0, block.x0) for block in blocks}) == 484
