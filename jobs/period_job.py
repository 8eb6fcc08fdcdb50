"""Jobs that make a product of every period: what is due, in which blocks and files, its commit."""

import contextlib
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.collections import cloud_mask_collection
from catalog.deliveries import REJECTED
from catalog.fingerprint import fingerprint
from catalog.search import Query, instant, normalise_tile, parse_datetime
from catalog.spans import merged
from cube.decoding import mask_group
from cube.files import write_json
from cube.grid import Block, blocks
from cube.periods import Period
from cube.reading import AOT
from cube.spec import Spec
from cube.store import open_store
from jobs.build_cube import planned_spec
from jobs.compositing import (
    BLOCKS,
    AssetTask,
    Before,
    BlockTask,
    PeriodTask,
    WeightTask,
    make_block,
    make_weights,
    write_file,
)
from jobs.dates import PENDING, TileDate, tile_dates
from jobs.errors import RequestError
from jobs.job import Failure, Job, Plan, Stage, Target, Unit
from jobs.memory import BlockLoad, asset_bytes, block_side, weights_bytes
from jobs.period_item import (
    THUMBNAIL,
    PeriodContext,
    PeriodResult,
    follows,
    period_item,
    period_recipe,
    provisional,
    scenes_of,
)
from jobs.period_mask import period_mask
from jobs.period_params import PeriodParams, periods_of
from jobs.product import SHARES, Layer, Product
from jobs.runner.publish import keep_beside, publish, published
from jobs.states import WITHOUT, assess
from jobs.stores import cube_store

if TYPE_CHECKING:
    from jobs.workspace import Workspace

SCRATCH_BYTES = 10 << 30
"""Blocks waiting to become assets take at most about this much of the disk at once."""

PIXEL_BYTES = 30
"""Scratch of one 10 m pixel: four bands, its layers, and its quarter of the 20 m ones."""


def period_job(
    name: str, title: str, version: str, params: type[PeriodParams], product: Product
) -> Job:
    """Declaration of a product -> the job that makes it of every period of a request."""
    return Job(
        name=name,
        version=version,
        title=title,
        params=params,
        plan=partial(_plan, name, product),
        needs=partial(_needs, product),
        survey=partial(_survey, name, product),
        product=product,
    )


def _needs(
    product: Product, workspace: "Workspace", params: PeriodParams
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The masks, and with them the cube, of all dates that any window touches."""
    tile = normalise_tile(params.tile)
    mask = period_mask(workspace, tile, params)
    spans = [
        parse_datetime(f"{first}/{last}")
        for first, last in (
            product.window(period, params)
            for period in periods_of(params)
            if _is_wanted(params, period)
        )
    ]
    return [mask.request(span) for span in merged(spans)]


def _is_wanted(params: PeriodParams, period: Period) -> bool:
    """Whether some id that is to be made is of this period."""
    return not params.only or any(f"_{period.label}_" in name for name in params.only)


def _survey(
    job: str, product: Product, workspace: "Workspace", params: PeriodParams
) -> list[Target]:
    """How the products of a request stand."""
    return [target for _, target in _assessed(_context(job, product, workspace, params), [])]


def _plan(job: str, product: Product, workspace: "Workspace", params: PeriodParams) -> list[Plan]:
    """Periods whose product is missing or was made of other inputs; some at a time."""
    context = _context(job, product, workspace, params)
    notes: list[str] = []
    assessed = _assessed(context, notes)
    if not assessed:
        raise RequestError(
            f"no scene with mask {params.mask or context.mask.method} of tile {context.tile} "
            f"is catalogued for {params.datetime}"
        )
    due = [result for result, target in assessed if target.is_due]
    ready = [result for result in due if _is_ready(context, result)]
    pending = [result for result in due if result not in ready]
    restated = [result for result, target in assessed if not target.is_due]
    first = Plan(
        makes=[result.item_id for result in pending],
        current=[result.item_id for result in restated],
        targets=[target for _, target in assessed],
        later=_outline(context, pending) if pending and not params.lost else (),
        notes=notes,
        finish=partial(_finish_first, context, restated, pending),
    )
    return [first, *(_batch(context, part) for part in _batches(context, ready))]


# --- what to make ---------------------------------------------------------------------------------


def _context(
    job: str, product: Product, workspace: "Workspace", params: PeriodParams
) -> PeriodContext:
    tile = normalise_tile(params.tile)
    mask = period_mask(workspace, tile, params)
    level = mask.level
    dates = tile_dates(workspace, tile, level)
    if not dates:
        raise RequestError(f"no {level} scene of tile {tile} is catalogued; ingest some first")
    path = cube_store(workspace, tile, level)
    cube = None if path is None else open_store(path)
    collection = cloud_mask_collection(mask.method)
    query = Query(collections=(collection,), tiles=(tile,), limit=1000)
    masks = {item["id"]: item for item in workspace.documents(query)}
    latest = max(instant(i["properties"]["datetime"]) for i in dates[-1].acquisition.items)
    spec = planned_spec(workspace, tile, level) if cube is None else cube.spec
    return PeriodContext(
        workspace, job, product, params, tile, level, dates, cube, path, spec, mask, masks, latest
    )


def _results(context: PeriodContext, notes: list[str]) -> Iterator[PeriodResult]:
    """Periods of the request that there is something to make of."""
    params, mask = context.params, context.mask
    days = [one.time.date() for one in context.dates]
    for period in periods_of(params):
        item_id = context.item_id(period)
        if not params.wants(item_id):
            continue
        first, last = context.product.window(period, params)
        window = context.dates[bisect_left(days, first) : bisect_right(days, last)]
        usable = [one for one in window if mask.covers(one)]
        kept = [one for one in usable if not _is_rejected(context, one)]
        kept, without = _readable(context, item_id, kept)
        if not kept:
            notes.append(f"{period}: no scene with mask {mask.method} between {first} and {last}")
            continue
        if not any(period.start <= one.time.date() < period.end for one in kept):
            notes.append(f"{period}: no scene within the {period.kind} itself, only around it")
        if first > period.start or last < period.last:
            notes.append(
                f"{period}: dates from {first} to {last} only, which is not all of it; "
                "--set window=calendar takes all"
            )
        facts = context.facts(kept)
        recipe = period_recipe(context, period, kept, facts)
        folder = context.workspace.products / context.collection / item_id / recipe.fingerprint
        scratch = context.workspace.scratch / item_id / recipe.fingerprint
        yield PeriodResult(item_id, period, kept, facts, recipe, without, folder, scratch)


def _assessed(context: PeriodContext, notes: list[str]) -> list[tuple[PeriodResult, Target]]:
    return [
        (
            result,
            assess(
                context.workspace,
                published(context.workspace, context.collection, result.item_id),
                context.collection,
                result.item_id,
                result.recipe,
                provisional=provisional(context, result.period, result.dates),
                follows=follows(context, result.dates),
            ),
        )
        for result in _results(context, notes)
    ]


def _is_rejected(context: PeriodContext, one: TileDate) -> bool:
    item = context.masks.get(context.mask_of(one))
    return item is not None and REJECTED in item["properties"]


def _readable(
    context: PeriodContext, item_id: str, dates: Sequence[TileDate]
) -> tuple[list[TileDate], dict[str, dict[str, str]]]:
    """Dates but those that by choice are left out as they cannot be read; these with the cause."""
    item = published(context.workspace, context.collection, item_id)
    before = {} if item is None else item["properties"].get(WITHOUT, {})
    kept: list[TileDate] = []
    without: dict[str, dict[str, str]] = {}
    for one in dates:
        scenes = scenes_of(one.acquisition)
        causes = {name: context.params.lost[name] for name in scenes if name in context.params.lost}
        known = {name: before[name] for name in scenes if name in before}
        is_known = known and all(known[n]["version"] == scenes[n] for n in known)
        if one.entry is None and causes and context.params.skip_corrupt:
            cause = next(iter(causes.values()))
            without |= {n: {"version": v, "cause": cause} for n, v in scenes.items()}
        elif one.entry is None and is_known:
            without |= known
        else:
            kept.append(one)
    return kept, without


def _is_ready(context: PeriodContext, result: PeriodResult) -> bool:
    """Whether the cube and the masks hold all that it is made from."""
    return context.cube is not None and PENDING not in result.recipe.inputs.values()


def _finish_first(
    context: PeriodContext, current: Sequence[PeriodResult], pending: Sequence[PeriodResult]
) -> list[Failure]:
    """State anew what is final; say which periods lack a date, and which."""
    restated = []
    for result in current:
        item = published(context.workspace, context.collection, result.item_id)
        waits = provisional(context, result.period, result.dates)
        status = "provisional" if waits else "final"
        if item is None:
            continue
        said = {"clearcube:status": status} | ({WITHOUT: result.without} if result.without else {})
        kept = {k: v for k, v in item["properties"].items() if k != WITHOUT}
        if kept | said != item["properties"]:
            restated.append({**item, "properties": kept | said})
    if restated:
        publish(context.workspace, restated)
    failures = []
    for result in pending:
        absent = [name for one in result.dates if one.entry is None for name in one.items]
        causes = [f"{name} could not be read" for name in absent] or ["a mask could not be made"]
        hint = "" if context.params.skip_corrupt else " (--skip-corrupt makes it without)"
        why = "; ".join(causes) + (hint if absent else "")
        failures.append(Failure(result.item_id, why, tuple(absent)))
    return failures


# --- how it is made -------------------------------------------------------------------------------


def _batches(
    context: PeriodContext, due: Sequence[PeriodResult]
) -> Iterator[Sequence[PeriodResult]]:
    height, width = context.spec.shape(next(iter(context.spec.groups)))
    size = max(1, SCRATCH_BYTES // (height * width * PIXEL_BYTES))
    for first in range(0, len(due), size):
        yield due[first : first + size]


def _batch(context: PeriodContext, batch: Sequence[PeriodResult]) -> Plan:
    weights, cut, files = _outline(context, batch)
    grid = _grid(context, batch)
    weight_files = _weight_files(context, batch)
    stages = [
        replace(weights, units=_weight_units(context, weight_files)),
        replace(cut, units=_block_units(context, batch, grid, weight_files)),
        replace(files, units=partial(_asset_units, context, batch, grid)),
    ]
    remarks: list[str] = []
    return Plan(
        stages=stages,
        makes=[result.item_id for result in batch],
        remarks=remarks,
        finish=partial(_publish, context, batch, len(grid), remarks),
    )


def _outline(context: PeriodContext, batch: Sequence[PeriodResult]) -> tuple[Stage, Stage, Stage]:
    """The stages that make some periods, with their numbers and memory, still without units."""
    spec, tile = context.spec, context.tile
    load = block_load(context, batch)
    grid = _grid(context, batch)
    dates = {one.time for result in batch for one in result.dates}
    nearness = context.product.nearness(context.params)
    side = _side(context, batch)
    reading, masked = context.reading, context.masked_spec
    return (
        Stage(
            f"weights {tile}",
            [],
            make_weights,
            _nothing,
            memory=0 if nearness is None else weights_bytes(masked, reading, nearness),
            count=0 if nearness is None else len(dates),
            unit="date",
        ),
        Stage(
            f"{context.product.word(context.params)} {tile}",
            [],
            make_block,
            partial(_count, {result.period.label: result for result in batch}),
            memory=load.block_bytes(side),
            count=len(grid),
            unit=_block_text(spec, side),
        ),
        Stage(
            f"files {tile}",
            [],
            write_file,
            partial(_keep, {result.item_id: result for result in batch}),
            memory=asset_bytes(spec),
            count=sum(len(list(_files(context, result))) for result in batch),
            unit="file",
        ),
    )


def _block_text(spec: Spec, side: int) -> str:
    """``block of 512 x 512 pixels at 10 m``: of the finest group, smaller where the cube is."""
    group = next(iter(spec.groups))
    height, width = (min(side * spec.factor(group), n) for n in spec.shape(group))
    return f"block of {height} x {width} pixels at {spec.groups[group]} m"


def _grid(context: PeriodContext, batch: Sequence[PeriodResult]) -> tuple[Block, ...]:
    coarsest = list(context.spec.groups)[-1]
    return tuple(blocks(context.spec.shape(coarsest), _side(context, batch)))


def _side(context: PeriodContext, batch: Sequence[PeriodResult]) -> int:
    return block_side(context.workspace.worker_memory, block_load(context, batch))


def block_load(context: PeriodContext, batch: Sequence[PeriodResult]) -> BlockLoad:
    """What a block of some periods holds at most."""
    most = max(batch, key=lambda result: len(result.dates))
    product, params, spec = context.product, context.params, context.spec
    entries = context.expected(most)
    nearness = product.nearness(params)
    return BlockLoad(
        spec,
        dates=len(most.dates),
        reads={
            g: _bands_held(spec, product.reads(spec, entries, g, params), g) for g in spec.groups
        },
        layers={g: len(product.layers(spec, entries, g, params)) for g in spec.groups},
        scratch=product.scratch + (0 if nearness is None else 4),
        nearness=nearness,
    )


def _bands_held(spec: Spec, reads: Sequence[tuple[str, str]], group: str) -> int:
    """Variables read for a group -> as many bands of its grid.

    Coarser bands, which only decide, stay as they are and are a part of one; aerosol is brought to
    the grid.
    """
    ratios = (
        1.0 if name == AOT else spec.groups[group] / spec.groups[home] for home, name in reads
    )
    return ceil(sum(min(ratio, 1.0) ** 2 for ratio in ratios))


def _weight_files(context: PeriodContext, batch: Sequence[PeriodResult]) -> dict[int, Path]:
    nearness = context.product.nearness(context.params)
    if nearness is None:
        return {}
    folder = context.workspace.scratch / "weights" / context.tile
    spec = context.masked_spec
    grid = [spec.groups[mask_group(spec, context.mask.method)], asdict(spec.extent)]
    found = {}
    for result in batch:
        for one in result.dates:
            if one.entry is not None:
                name = {
                    "grid": grid,
                    "mask": result.recipe.inputs[context.mask_of(one)],
                    "version": context.version,
                    "nearness": nearness.name,
                    "parameters": nearness.params.model_dump(mode="json"),
                }
                found[one.entry.slot] = folder / f"{fingerprint(name)}.npy"
    return found


def _weight_units(context: PeriodContext, files: Mapping[int, Path]) -> list[Unit]:
    nearness = context.product.nearness(context.params)
    if nearness is None:
        return []
    return [
        Unit(
            f"{context.tile}-weights-{slot:04d}",
            WeightTask(str(context.store), slot, context.reading, nearness, str(path)),
        )
        for slot, path in files.items()
        if not path.exists()
    ]


def _block_units(
    context: PeriodContext,
    batch: Sequence[PeriodResult],
    grid: Sequence[Block],
    weights: Mapping[int, Path],
) -> list[Unit]:
    tasks = tuple(
        PeriodTask(
            r.period,
            tuple(e.slot for e in r.entries),
            str(r.scratch),
            _before(context, r),
            tuple(r.facts.values()),
        )
        for r in batch
    )
    files = {slot: str(path) for slot, path in weights.items()}
    request = context.params.model_dump(mode="json", exclude={"only", "lost"})
    word, reading = context.product.word(context.params), context.reading
    return [
        Unit(
            f"{context.tile}-{word}-{batch[0].period}-{block.key}",
            BlockTask(
                context.job,
                request,
                str(context.store),
                block,
                tasks,
                reading,
                files,
            ),
        )
        for block in grid
    ]


def _before(context: PeriodContext, result: PeriodResult) -> Before | None:
    """What the catalogue holds of a period: blocks made of the same are taken from there."""
    item = published(context.workspace, context.collection, result.item_id)
    if item is None:
        return None
    files = {
        key: (str(asset["href"]), str(asset.get("file:checksum", "")))
        for key, asset in item["assets"].items()
    }
    folder = Path(next(iter(files.values()))[0]).parent
    return Before(str(folder), files)


def _asset_units(
    context: PeriodContext, batch: Sequence[PeriodResult], grid: tuple[Block, ...]
) -> list[Unit]:
    """Files of the periods whose blocks are all there."""
    spec = context.spec
    units = []
    for result in batch:
        if result.blocks != len(grid):
            continue
        before = _before(context, result)
        named = {path for path, _ in before.files.values()} if before else set()
        for layer, group in _files(context, result):
            key = layer.asset
            result.layers[key] = (layer, group)
            picture = context.product.picture if key == THUMBNAIL else None
            path = result.folder / f"{result.item_id}_{key}.{'tif' if picture is None else 'png'}"
            resolution, factor = spec.groups[group], spec.factor(group)
            task = AssetTask(
                folder=str(result.scratch),
                layer=layer,
                group=group,
                extent=spec.extent,
                resolution=resolution,
                factor=factor,
                blocks=grid,
                path=str(path),
                picture=picture,
                is_new=str(path) not in named,
            )
            units.append(Unit(f"{result.item_id}-{key}", task))
    return units


def _files(context: PeriodContext, result: PeriodResult) -> Iterator[tuple[Layer, str]]:
    """Layers of a period, each with its group, the thumbnail among them."""
    product, params = context.product, context.params
    entries = context.expected(result)
    for group in context.spec.groups:
        layers = product.layers(context.spec, entries, group, params)
        for layer in layers:
            yield layer, group
        names = {layer.name for layer in layers}
        if product.picture is not None and set(product.picture) <= names:
            yield Layer(THUMBNAIL, "int16", -10000, "True colour"), group


def _count(by_label: Mapping[str, PeriodResult], _unit: Unit, found: Mapping[str, Any]) -> None:
    for label, made in found.items():
        result = by_label[label]
        if isinstance(made, str):
            result.failure = result.failure or made
            continue
        result.blocks += 1
        result.taken += made["taken"]
        result.records |= made["records"]
        for group, given in made[SHARES].items():
            shares = result.shares.setdefault(group, {})
            for time, share in given.items():
                shares[time] = shares.get(time, 0) + share
        for group, counts in made["counts"].items():
            held = result.counts.setdefault(group, [0] * len(counts))
            result.counts[group] = [a + b for a, b in zip(held, counts, strict=True)]


def _keep(by_id: Mapping[str, PeriodResult], unit: Unit, found: Mapping[str, Any]) -> None:
    key = unit.payload.layer.asset
    by_id[unit.key.removesuffix(f"-{key}")].files[key] = dict(found)


def _publish(
    context: PeriodContext, batch: Sequence[PeriodResult], count: int, remarks: list[str]
) -> list[Failure]:
    """Publish the periods that are whole; why the others are not."""
    whole = [result for result in batch if result.blocks == count and result.is_whole]
    for result in whole:
        write_json(result.folder / BLOCKS, result.records)
    items = [period_item(context, result) for result in whole]
    for result, item in zip(whole, items, strict=True):
        keep_beside(result.folder, item)
    if items:
        publish(context.workspace, items)
    remarks += [
        f"{r.item_id}: {r.taken} of {len(r.records)} blocks taken from before"
        for r in whole
        if r.taken
    ]
    for result in whole:
        shutil.rmtree(result.scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            result.scratch.parent.rmdir()  # only where nothing else waits in it
    return [
        Failure(result.item_id, result.failure or "a block or file of it failed")
        for result in batch
        if result not in whole
    ]


def _nothing(_unit: Unit, _result: Any) -> None:
    """A weight is in its file; there is nothing to keep."""
