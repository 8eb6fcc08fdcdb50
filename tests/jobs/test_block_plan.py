"""How much work a plan is: one task a block, whatever the number of dates and bands."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog.items import derived_item
from cube.grid import lonlat, tile_extent
from cube.store import (
    Cube,
    DateEntry,
    Spec,
    StagedDate,
    commit_date,
    create_cube,
    open_store,
)
from cube.variables import level_variables
from jobs.acquisitions import acquisitions
from jobs.compositing import make_block
from jobs.dates import TileDate, date_key, tile_dates
from jobs.decode_masks import MaskParams, mask_recipe
from jobs.mask_item import CHECKSUM, mask_id
from jobs.registry import find_job
from jobs.requests import parse_request
from jobs.runner.publish import publish
from jobs.stores import publish_cube, source_of
from jobs.workspace import Workspace, open_workspace

MAY = date(2019, 5, 1)


def full_tile(workspace: Workspace, dates: int, bands: tuple[str, ...] | None = None) -> None:
    """A catalogue of scenes of a whole tile with their masks, and a cube that says it holds them."""
    extent = tile_extent("31UES")
    assert extent.shape(10) == (10980, 10980)
    variables = level_variables("l2a")
    if bands is not None:
        variables = tuple(v for v in variables if v.kind == "encoded" or v.name in bands)
    publish(workspace, [scene(number) for number in range(dates)])
    path = workspace.cubes / "31UES.zarr"
    create_cube(path, Spec("31UES", "l2a", extent, {"r10m": 10, "r20m": 20}, variables))
    names = tuple(variable.name for variable in variables)
    for one in acquisitions(workspace, "31UES", "l2a", None):
        key = date_key(one, open_store(path).spec)
        StagedDate(path, open_store(path).spec, key).close()
        time = round(one.time.timestamp() * 1000)
        commit_date(path, DateEntry(time, key, (source_of(one.items[0]),), names))
    publish_cube(workspace, "31UES", path, (None, None))
    cube, params = open_store(path), MaskParams(tile="31UES")
    publish(workspace, (mask(cube, one, params) for one in tile_dates(workspace, "31UES", "l2a")))


def scene(number: int) -> dict[str, Any]:
    ring = [[3.0, 50.0], [4.5, 50.0], [4.5, 51.0], [3.0, 51.0], [3.0, 50.0]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"scene{number}",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [3.0, 50.0, 4.5, 51.0],
        "properties": {
            "datetime": f"{MAY + timedelta(number):%Y-%m-%d}T10:50:00Z",
            "grid:code": "MGRS-31UES",
            "clearcube:level": "l2a",
            "clearcube:version": "1",
        },
        "links": [],
        "assets": {"scl": {"href": "/none.tif"}},
    }


def mask(cube: Cube, one: TileDate, params: MaskParams) -> dict[str, Any]:
    geometry, bbox = lonlat(cube.spec.extent)
    return derived_item(
        mask_id("31UES", one.time, "scl", None),
        "cloud-mask-scl",
        when=one.time,
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile="31UES",
        assets={},
        recipe=mask_recipe(cube, one, params),
        properties={CHECKSUM: "0" * 16},
        request=params.recorded(datetime=f"{one.time:%Y-%m-%d}"),
    )


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
        full_tile(workspace, dates)
        found = stages(workspace, datetime="2019-05", method=method)
    tasks = found[make_block]
    assert len(tasks) == 22 * 22 == 484
    assert len({unit.key for unit in tasks}) == 484
    assert {len(unit.payload.periods[0].slots) for unit in tasks} == {dates}


def test_the_number_of_bands_does_not_matter(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        full_tile(workspace, 3, bands=("red", "nir"))
        found = stages(workspace, datetime="2019-05", method="median")
    assert len(found[make_block]) == 484


def test_months_share_the_tasks_of_their_blocks(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        full_tile(workspace, 60)
        found = stages(workspace, datetime="2019-05/2019-06", method="median")
    assert len(found[make_block]) == 484
    assert {len(unit.payload.periods) for unit in found[make_block]} == {2}


def test_the_blocks_cover_the_tile_once(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        full_tile(workspace, 1)
        found = stages(workspace, datetime="2019-05", method="median")
    blocks = [unit.payload.block for unit in found[make_block]]
    assert sum(block.height * block.width for block in blocks) == 5490 * 5490
    assert len({(block.y0, block.x0) for block in blocks}) == 484
