"""JOB cloud-mask: clouds and shadows found along the time axis of a cube, into masks of its dates.

What differs from method to method (which dates are made together, from what, in which stages) is a
`jobs.mask_work.MaskWork`; what all have in common is here: which dates are due, their last stage,
and the commit. Masks lie in a store beside the cube (`jobs.mask_store`), so that what changes for
many dates at once is seen at once.
"""

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.search import Interval, Query, normalise_tile, parse_datetime
from catalog.spans import merged, span_text
from cube.detectors import detector
from cube.mtcd import VERSION as MTCD_VERSION
from cube.spec import DateEntry
from cube.store import open_store
from jobs.acquisitions import choose_level
from jobs.build_cube import planned_spec
from jobs.dates import PENDING, TileDate, tile_dates, time_of
from jobs.errors import RequestError
from jobs.job import Failure, Job, Plan, Stage, State, Target, Unit
from jobs.mask_dates import MaskDateTask, date_bytes, dates_at_once, write_dates
from jobs.mask_item import MadeMask, mask_item
from jobs.mask_params import MTCD, CloudMaskParams, described_methods
from jobs.mask_store import (
    JOB as NAME,
)
from jobs.mask_store import (
    MaskStore,
    commit_masks,
    find_mask_store,
    make_store,
    store_item,
)
from jobs.mask_work import MaskContext, MaskWork
from jobs.runner.publish import keep_beside, publish, published
from jobs.states import WITHOUT, assess
from jobs.stores import COLLECTION as CUBES
from jobs.stores import cube_id, cube_store, source_of
from jobs.temporal_masks import VERSION, series_works

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PIXELS = "clearcube:pixels"
"""Property of a mask: which of the slots of its store holds it."""


@dataclass(slots=True)
class _Run:
    """The dates of a work that are due, and what came of them."""

    context: MaskContext
    work: MaskWork
    store: MaskStore
    due: dict[str, TileDate]
    """By the ids of their masks."""
    made: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether the cube holds all that they are made from."""
        recipes = (self.work.recipe(one) for one in self.due.values())
        return all(PENDING not in recipe.inputs.values() for recipe in recipes)


def mask_context(workspace: "Workspace", params: CloudMaskParams) -> MaskContext:
    """Workspace and request -> what is catalogued of the tile, and what its cube holds of that."""
    tile = normalise_tile(params.tile)
    level = choose_level(workspace, tile, params.level)
    settings = params.settings()
    every = tile_dates(workspace, tile, level)
    if not every:
        raise RequestError(f"no {level} scene of tile {tile} is catalogued; ingest some first")
    path = cube_store(workspace, tile, level)
    cube = None if path is None else open_store(path)
    spec = planned_spec(workspace, tile, level) if cube is None else cube.spec
    context = MaskContext(
        workspace, params, settings, tile, level, every, cube, path, spec, without={}
    )
    without = _left_out(context)
    kept = [one for one in every if not (one.entry is None and without.keys() & set(one.items))]
    return replace(context, dates=kept, without=without)


def mask_works(context: MaskContext) -> Sequence[MaskWork]:
    """Context -> its dates by what is made together."""
    if context.params.method == MTCD:
        from jobs.mtcd_masks import mtcd_works

        return mtcd_works(context)
    return series_works(context)


def mask_store(context: MaskContext) -> MaskStore:
    """The store of the masks of a context."""
    params = context.params
    bits = params.method == MTCD
    return find_mask_store(context.workspace, context.spec, params.method, params.name, bits=bits)


def _needs(
    workspace: "Workspace", params: CloudMaskParams
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The cube, with every date that those asked for are compared with."""
    context = mask_context(workspace, params)
    touched = [work for work in mask_works(context) if _wanted(context, work)]
    request = {"tile": context.tile, "level": context.level}
    if not touched or any(work.span is None for work in touched):
        return [("cube", request)]
    spans = merged(work.span for work in touched if work.span is not None)
    return [("cube", request | {"datetime": span_text(span)}) for span in spans]


def _plan(workspace: "Workspace", params: CloudMaskParams) -> list[Plan]:
    """Dates whose mask is missing, was made of other dates, or otherwise; those together at once."""
    context = mask_context(workspace, params)
    store = mask_store(context)
    works = mask_works(context)
    notes = [note for work in works for note in work.notes]
    targets: list[Target] = []
    runs: list[_Run] = []
    settled: list[tuple[MaskWork, TileDate]] = []
    for work in works:
        due: dict[str, TileDate] = {}
        for item_id, one in _wanted(context, work).items():
            target = _target(context, work, store, item_id, one)
            targets.append(target)
            if target.is_due:
                due[item_id] = one
            else:
                settled.append((work, one))
        if due:
            runs.append(_Run(context, work, store, due))
    if not targets:
        asked = "" if params.datetime is None else f" in {params.datetime}"
        why = f": {notes[0].removeprefix(f'{context.tile}: ')}" if notes else ""
        raise RequestError(f"no date of {context.tile}{asked} gets a mask{why}")
    ready = [run for run in runs if run.is_ready]
    pending = [run for run in runs if run not in ready]
    first = Plan(
        makes=[name for run in pending for name in run.due],
        current=[target.item_id for target in targets if not target.is_due],
        targets=[*targets, *_store_target(context, store, targets)],
        later=[] if params.lost else [stage for run in pending for stage in _stages(run)],
        notes=notes,
        finish=partial(_finish_first, context, settled, pending),
    )
    return [first, *(_planned(run) for run in ready)]


def _wanted(context: MaskContext, work: MaskWork) -> dict[str, TileDate]:
    """Dates of a work that are asked for, and those that they follow, by the ids of their masks."""
    params = context.params
    interval = (None, None) if params.datetime is None else parse_datetime(params.datetime)
    asked = [
        one for one in work.dates if _is_in(one, interval) and params.wants(context.item_id(one))
    ]
    needed = {context.item_id(each) for one in asked for each in (*work.before(one), one)}
    named = {context.item_id(one): one for one in work.dates}
    return {name: one for name, one in named.items() if name in needed}


def _is_in(one: TileDate, interval: Interval) -> bool:
    start, end = interval
    return (start is None or one.time >= start) and (end is None or one.time < end)


def _left_out(context: MaskContext) -> dict[str, dict[str, str]]:
    """Scenes that no mask is made from, by choice, as they cannot be read."""
    versions = {
        source["id"]: source["version"]
        for one in context.dates
        for source in map(source_of, one.acquisition.items)
    }
    found: dict[str, dict[str, str]] = {}
    query = Query(collections=(context.collection,), tiles=(context.tile,), limit=1000)
    for item in context.workspace.documents(query):
        for name, said in item["properties"].get(WITHOUT, {}).items():
            if versions.get(name) == said["version"]:
                found[name] = dict(said)
    if context.params.skip_corrupt:
        lost = context.params.lost
        found |= {
            name: {"version": versions[name], "cause": lost[name]}
            for name in lost.keys() & versions.keys()
        }
    return found


# --- how masks stand ------------------------------------------------------------------------------


def _target(
    context: MaskContext, work: MaskWork, store: MaskStore, item_id: str, one: TileDate
) -> Target:
    item = published(context.workspace, context.collection, item_id)
    target = assess(
        context.workspace,
        item,
        context.collection,
        item_id,
        work.recipe(one),
        provisional=work.provisional(one),
    )
    manner = tuple(filter(None, [work.manner(one)]))
    if target.is_due:
        # First, as tables show the first few reasons only.
        return replace(target, because=manner + target.because)
    if item is None or mask_slot(store, item, one) is not None:
        return target
    because = (*manner, f"{store.path} does not hold it")
    return Target(context.collection, item_id, State.MISSING, because)


def mask_slot(store: MaskStore, item: Document, one: TileDate) -> int | None:
    """Item of a mask and its date -> the slot of the store that holds its pixels, if one does."""
    return store.slot(_milliseconds(one), str(item["properties"].get(PIXELS, "")))


def _milliseconds(one: TileDate) -> int:
    return round(one.time.timestamp() * 1000)


def _store_target(
    context: MaskContext, store: MaskStore, targets: Sequence[Target]
) -> Iterable[Target]:
    """How the item of the store stands: as the worst of what is in it."""
    due = [target for target in targets if target.is_due]
    because = (f"{len(due)} masks are to be made",) if due else ()
    state = State.STALE if due else State.CURRENT
    if store.cube is None or published(context.workspace, CUBES, store.name) is None:
        state = State.MISSING
        because = because or ("not made yet",)
    yield Target(CUBES, store.name, state, because)


def _finish_first(
    context: MaskContext,
    settled: Sequence[tuple[MaskWork, TileDate]],
    pending: Sequence[_Run],
) -> list[Failure]:
    """State anew what is final, or provisional, by now; say why dates cannot be made."""
    restated = []
    for work, one in settled:
        item = published(context.workspace, context.collection, context.item_id(one))
        status = _status(work, one)
        if item is not None and item["properties"].get("clearcube:status") != status:
            properties = item["properties"] | {"clearcube:status": status}
            restated.append({**item, "properties": properties})
    if restated:
        publish(context.workspace, restated)
    lacking = [one for one in context.dates if one.entry is None]
    absent = tuple(name for one in lacking for name in one.items)
    hint = "" if context.params.skip_corrupt else " (--skip-corrupt makes masks without)"
    why = f"{', '.join(absent) or 'a date of its series'} could not be read{hint}"
    return [Failure(name, why, absent) for run in pending for name in run.due]


def _status(work: MaskWork, one: TileDate) -> str:
    return "provisional" if work.provisional(one) else "final"


# --- how they are made ----------------------------------------------------------------------------


def _planned(run: _Run) -> Plan:
    *before, last = _stages(run)
    return Plan(
        stages=[*before, replace(last, units=partial(_date_units, run))],
        makes=list(run.due),
        finish=partial(_publish, run),
    )


def _stages(run: _Run) -> list[Stage]:
    """All stages, the last still without units."""

    def keep(_unit: Unit, made: Mapping[str, Mapping[str, Any]]) -> None:
        run.made.update(made)

    method = run.context.params.method
    together = _together(run)
    last = Stage(
        f"{method} dates {run.context.tile}",
        [],
        write_dates,
        keep,
        memory=date_bytes(run.store.spec),
        count=-(-len(run.due) // together),
        unit="date" if together == 1 else f"{together} dates",
    )
    return [*run.work.stages(list(run.due.values())), last]


def _together(run: _Run) -> int:
    """Dates that one unit finishes."""
    return dates_at_once(run.store.spec, len(run.due), run.context.workspace.workers)


def _date_units(run: _Run) -> list[Unit]:
    """Dates whose pixels are all there, with the store that takes them."""
    context, store = run.context, run.store
    tasks = []
    for item_id, one in run.due.items():
        planes = run.work.planes(one)
        if planes is None:
            continue
        task = MaskDateTask(
            str(store.path),
            store.spec,
            _milliseconds(one),
            item_id,
            str(context.workspace.products / context.collection / item_id),
            planes,
            _before(context, item_id),
            run.work.beside(one),
        )
        tasks.append(task)
    if tasks:
        make_store(store)
    together = _together(run)
    return [
        _date_unit(run, tasks[first : first + together]) for first in range(0, len(tasks), together)
    ]


def _date_unit(run: _Run, tasks: Sequence[MaskDateTask]) -> Unit:
    scenes = (name for task in tasks for name in run.due[task.item_id].items)
    return Unit(tasks[0].item_id, tasks, tuple(scenes))


def _before(context: MaskContext, item_id: str) -> dict[str, tuple[str, str]]:
    item = published(context.workspace, context.collection, item_id)
    assets = {} if item is None else item["assets"]
    return {
        key: (str(asset["href"]), str(asset.get("file:checksum", "")))
        for key, asset in assets.items()
    }


def _publish(run: _Run) -> list[Failure]:
    """Commit the dates that are done to the store, all at once, then their items with it."""
    context, store = run.context, run.store
    if run.made:
        names = tuple(variable.name for variable in store.spec.variables)
        done = {name: run.due[name] for name in run.made}
        entries = [
            DateEntry(
                time=_milliseconds(one),
                key=run.made[name]["key"],
                items=tuple(map(source_of, one.acquisition.items)),
                variables=names,
            )
            # In order of time, so that plain readers of a new store find its dates so.
            for name, one in sorted(done.items(), key=lambda each: each[1].time)
        ]
        cube = commit_masks(context.workspace, store, entries)
        items = [_item(run, name, one) for name, one in done.items()]
        for item in items:
            keep_beside(Path(item["assets"]["mask"]["href"]).parent, item)
        recipe = run.work.recipe(next(iter(done.values())))
        request = context.params.recorded(tile=context.tile, datetime=None)
        whole = store_item(
            store.name, cube, recipe.version, recipe.method, recipe.parameters, request
        )
        publish(context.workspace, [whole, *items])
    failed = [name for name in run.due if name not in run.made]
    if not failed and run.work.scratch is not None:
        shutil.rmtree(run.work.scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            run.work.scratch.parent.rmdir()  # only where nothing else waits in it
    return [Failure(name, "something that it is made from failed") for name in failed]


def _item(run: _Run, name: str, one: TileDate) -> Document:
    context, work, result = run.context, run.work, run.made[name]
    source = published(
        context.workspace, CUBES, cube_id(context.workspace, context.tile, context.level)
    )
    about = {PIXELS: result["key"]} | work.about(one)
    if context.without:
        about[WITHOUT] = context.without
    made = MadeMask(result["counts"], result["checksum"], 20, result["files"], about)
    sources = [source_of(item) for item in one.acquisition.items]
    return mask_item(
        name,
        made,
        when=one.time if one.entry is None else time_of(one.entry),
        tile=context.tile,
        level=context.level,
        extent=context.spec.extent,
        recipe=work.recipe(one),
        params=context.params,
        variant=context.params.name,
        title=work.title,
        bits=work.bits,
        status=_status(work, one),
        derived_from=[*sources, *([] if source is None else [source])],
    )


def _numbers(params: CloudMaskParams) -> str:
    if params.method == MTCD:
        from jobs import mtcd_masks

        return f"{mtcd_masks.VERSION}.{MTCD_VERSION}"
    return f"{VERSION}.{detector(params.method).version}"


JOB = Job(
    name=NAME,
    version=VERSION,
    title="Clouds and shadows found along the time axis, into mask items",
    params=CloudMaskParams,
    plan=_plan,
    needs=_needs,
    numbers=_numbers,
    methods=described_methods,
)
