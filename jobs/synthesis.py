"""JOB synthesis: the cube of a tile and its masks, block by block, into monthly syntheses."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.fingerprint import fingerprint
from catalog.search import Query, instant, normalise_tile
from cube.decoding import has_mask
from cube.grid import Block, blocks
from cube.store import DateEntry, open_store
from cube.synthesis import method
from jobs.compositing import (
    AssetTask,
    BlockTask,
    PeriodTask,
    WeightTask,
    band_names,
    composite_block,
    make_weights,
    write_asset,
    write_thumbnail,
)
from jobs.decode_masks import mask_level, mask_recipe
from jobs.errors import RequestError
from jobs.job import Failure, Job, Plan, Stage, Unit
from jobs.runner.publish import is_current, publish, published
from jobs.stores import cube_store
from jobs.synthesis_item import (
    BAND,
    LAYERS,
    VERSION,
    Month,
    SynthesisContext,
    month_item,
    month_recipe,
    status_of,
)
from jobs.synthesis_params import SynthesisParams, mask_params, periods

if TYPE_CHECKING:
    from jobs.workspace import Workspace

SCRATCH_BYTES = 10 << 30
"""Blocks waiting to become assets take at most about this much of the disk at once."""

PIXEL_BYTES = 30
"""Scratch of one 10 m pixel: four bands, its layers, and its quarter of the 20 m ones."""


def needs(
    workspace: "Workspace", params: SynthesisParams
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The masks, and with them the cube, of all dates that any window touches."""
    tile = normalise_tile(params.tile)
    mask = mask_params(workspace, tile, params)
    chosen = method(params.method)
    method_params = params.method_params()
    windows = [chosen.window(period, method_params) for period in periods(params.datetime)]
    first, last = min(w[0] for w in windows), max(w[1] for w in windows)
    request = mask.model_dump(exclude_none=True) | {"datetime": f"{first}/{last}"}
    return [("decode-masks", request)]


def plan(workspace: "Workspace", params: SynthesisParams) -> list[Plan]:
    """Months whose synthesis is missing or was made of other inputs; some at a time."""
    context = _context(workspace, params)
    notes: list[str] = []
    current: list[str] = []
    missing: list[Month] = []
    restated: list[Document] = []
    for month in _months(context, notes):
        item = published(workspace, context.collection, month.item_id)
        if item is None or not is_current(item, month.recipe.fingerprint):
            missing.append(month)
            continue
        current.append(month.item_id)
        if item["properties"]["clearcube:status"] != status_of(context, month):
            item["properties"]["clearcube:status"] = status_of(context, month)
            restated.append(item)
    if not missing and not current:
        raise RequestError(
            f"no scene with mask {params.mask or context.mask.encoding} of tile {context.tile} "
            f"is catalogued for {params.datetime}"
        )
    first = Plan(current=current, notes=notes, finish=partial(_restate, workspace, restated))
    return [first, *(_batch(context, part) for part in _batches(context, missing))]


# --- what to make ---------------------------------------------------------------------------------


def _context(workspace: "Workspace", params: SynthesisParams) -> SynthesisContext:
    tile = normalise_tile(params.tile)
    mask = mask_params(workspace, tile, params)
    level = mask_level(mask.encoding)
    path = cube_store(workspace, tile, level)
    if path is None:
        raise RequestError(f"there is no {level} cube of tile {tile}; ingest scenes first")
    newest = workspace.catalog.search(Query(tiles=(tile,), level=level, superseded=False, limit=1))
    latest = instant(newest.items[0]["properties"]["datetime"])
    chosen = method(params.method)
    return SynthesisContext(
        workspace, params, tile, open_store(path), mask, chosen, params.method_params(), latest
    )


def _months(context: SynthesisContext, notes: list[str]) -> Iterator[Month]:
    params, mask = context.params, context.mask
    for period in periods(params.datetime):
        first, last = context.method.window(period, context.method_params)
        entries = [e for e in context.cube.valid_dates if first <= _date(e) <= last]
        usable = [entry for entry in entries if has_mask(entry, mask.encoding)]
        if not usable:
            notes.append(f"{period}: no scene with mask {mask.encoding} between {first} and {last}")
            continue
        if not any(period.start <= _date(entry) < period.end for entry in usable):
            notes.append(f"{period}: no scene within the month itself, only around it")
        variant = (params.mask or "").partition(":")[2]
        named = "-".join(filter(None, (mask.encoding, variant)))
        item_id = "_".join(
            filter(None, (context.tile, period.label, params.method, named, params.name))
        )
        recipe = month_recipe(context, period, usable)
        folder = context.workspace.products / context.collection / item_id / recipe.fingerprint
        scratch = _scratch(context.workspace) / item_id / recipe.fingerprint
        yield Month(item_id, period, usable, recipe, folder, scratch)


def _publish_months(
    context: SynthesisContext, batch: Sequence[Month], blocks: int
) -> list[Failure]:
    """Publish the months that are whole; why the others are not."""
    whole = [
        month
        for month in batch
        if month.blocks == blocks and month.wanted and set(month.wanted) == set(month.files)
    ]
    if whole:
        publish(context.workspace, [month_item(context, month) for month in whole])
    for month in whole:
        shutil.rmtree(month.scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            month.scratch.parent.rmdir()  # only where nothing else waits in it
    return [
        Failure(month.item_id, month.failure or "a block or file of it failed")
        for month in batch
        if month not in whole
    ]


def _restate(workspace: "Workspace", items: Sequence[Document]) -> None:
    if items:
        publish(workspace, items)


# --- how it is made -------------------------------------------------------------------------------


def _batches(context: SynthesisContext, missing: Sequence[Month]) -> Iterator[Sequence[Month]]:
    height, width = context.cube.spec.shape(next(iter(context.cube.spec.groups)))
    size = max(1, SCRATCH_BYTES // (height * width * PIXEL_BYTES))
    for first in range(0, len(missing), size):
        yield missing[first : first + size]


def _batch(context: SynthesisContext, batch: Sequence[Month]) -> Plan:
    cube, tile = context.cube, context.tile
    coarsest = list(cube.spec.groups)[-1]
    grid = tuple(blocks(cube.spec.shape(coarsest)))
    weights = _weight_files(context, batch)
    stages = [
        Stage(f"weights {tile}", _weight_units(context, weights), make_weights, _nothing),
        Stage(
            f"{context.params.method} {tile}",
            _block_units(context, batch, grid, weights),
            composite_block,
            partial(_count, {month.period.label: month for month in batch}),
        ),
        Stage(
            f"files {tile}",
            partial(_asset_units, context, batch, grid),
            _write,
            partial(_keep, {month.item_id: month for month in batch}),
        ),
    ]
    return Plan(
        stages=stages,
        makes=[month.item_id for month in batch],
        finish=partial(_publish_months, context, batch, len(grid)),
    )


def _weight_files(context: SynthesisContext, batch: Sequence[Month]) -> dict[int, Path]:
    if not context.method.weights_cloud:
        return {}
    shared = {
        "version": f"{VERSION}.{context.method.version}",
        **context.method_params.model_dump(mode="json"),
    }
    entries = {entry.slot: entry for month in batch for entry in month.entries}
    folder = _scratch(context.workspace) / "weights" / context.tile
    return {
        slot: folder
        / f"{fingerprint({'mask': mask_recipe(e, context.mask).fingerprint, **shared})}.npy"
        for slot, e in entries.items()
    }


def _weight_units(context: SynthesisContext, files: Mapping[int, Path]) -> list[Unit]:
    reading = context.mask.mask_reading()
    shared = context.method_params.model_dump(mode="json")
    return [
        Unit(
            f"{context.tile}-weights-{slot:04d}",
            WeightTask(
                str(context.cube.path), slot, reading, context.method.name, shared, str(path)
            ),
        )
        for slot, path in files.items()
        if not path.exists()
    ]


def _block_units(
    context: SynthesisContext,
    batch: Sequence[Month],
    grid: Sequence[Block],
    weights: Mapping[int, Path],
) -> list[Unit]:
    periods = tuple(
        PeriodTask(m.period, tuple(e.slot for e in m.entries), str(m.scratch)) for m in batch
    )
    files = {slot: str(path) for slot, path in weights.items()}
    return [
        Unit(
            f"{context.tile}-{context.method.name}-{batch[0].period}-{block.key}",
            BlockTask(
                str(context.cube.path),
                block,
                periods,
                context.mask.mask_reading(),
                context.method.name,
                context.method_params.model_dump(mode="json"),
                files,
            ),
        )
        for block in grid
    ]


def _asset_units(
    context: SynthesisContext, batch: Sequence[Month], grid: tuple[Block, ...]
) -> list[Unit]:
    """Files of the months whose blocks are all there."""
    return [
        unit
        for month in batch
        if month.blocks == len(grid)
        for unit in _month_units(context, month, grid)
    ]


def _month_units(
    context: SynthesisContext, month: Month, grid: tuple[Block, ...]
) -> Iterator[Unit]:
    spec = context.cube.spec
    finest = next(iter(spec.groups))
    for group, resolution in spec.groups.items():
        names = band_names(context.cube, month.entries, group)
        suffix = "" if group == finest else f"_{resolution}m"
        layers = [(name, name, BAND) for name in names]
        layers += [(layer, f"{layer}{suffix}", kind) for layer, kind in LAYERS.items()]
        if group == finest and {"red", "green", "blue"} <= set(names):
            layers.append(("thumbnail", "thumbnail", BAND))
        for layer, key, (dtype, nodata, scale, average) in layers:
            extension = "png" if layer == "thumbnail" else "tif"
            path = month.folder / f"{month.item_id}_{key}.{extension}"
            month.wanted.append(key)
            yield Unit(
                f"{month.item_id}-{key}",
                AssetTask(
                    folder=str(month.scratch),
                    layer=layer,
                    group=group,
                    extent=spec.extent,
                    resolution=resolution,
                    factor=spec.factor(group),
                    blocks=grid,
                    path=str(path),
                    dtype=dtype,
                    nodata=nodata,
                    scale=scale,
                    average=average,
                    title=key,
                ),
            )


def _write(task: AssetTask) -> dict[str, Any]:
    """One layer of one month -> its file; on a worker."""
    return write_thumbnail(task) if task.layer == "thumbnail" else write_asset(task)


def _nothing(_unit: Unit, _result: Any) -> None:
    """A weight is in its file; there is nothing to keep."""


def _count(by_label: Mapping[str, Month], _unit: Unit, result: Mapping[str, Any]) -> None:
    for label, groups in result.items():
        if isinstance(groups, str):
            by_label[label].failure = by_label[label].failure or groups
            continue
        by_label[label].blocks += 1
        for group, counts in groups.items():
            held = by_label[label].counts.setdefault(group, [0] * len(counts))
            by_label[label].counts[group] = [a + b for a, b in zip(held, counts, strict=True)]


def _keep(by_id: Mapping[str, Month], unit: Unit, result: Mapping[str, Any]) -> None:
    item_id, key = unit.key.rsplit("-", 1)
    by_id[item_id].files[key] = dict(result)


def _scratch(workspace: "Workspace") -> Path:
    return workspace.products.parent / "scratch"


def _date(entry: DateEntry) -> date:
    return datetime.fromtimestamp(entry.time / 1000, UTC).date()


JOB = Job(
    name="synthesis",
    version=VERSION,
    title="Monthly cloud-free syntheses of a tile",
    params=SynthesisParams,
    plan=plan,
    needs=needs,
)
