"""Masks by mtcd, which goes from date to date: images of dates, then chains of them.

What is made together is a chain: the dates from one start to before the next.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.backends.base import Document
from catalog.fingerprint import fingerprint
from catalog.items import Recipe
from catalog.search import parse_datetime
from cube.detection import require_grid
from cube.errors import StoreError
from cube.joined import GROUP
from cube.mtcd import TITLE
from cube.mtcd.coarse import CoarseGrid, choose_grid, grid_note
from cube.mtcd.modes import Planned
from cube.mtcd.params import MtcdParams
from cube.mtcd.waiting import Found, load_found
from jobs.dates import PENDING, TileDate
from jobs.dem import dems_over
from jobs.job import Stage, Unit
from jobs.mask_store import JOB
from jobs.mask_work import MaskContext
from jobs.mtcd_dates import (
    METHOD,
    MtcdDate,
    Recipes,
    chains,
    mode_fields,
    mode_text,
    plan_dates,
    recorded_mode,
    usable_dates,
)
from jobs.mtcd_stages import (
    ChainTask,
    ImageTask,
    MtcdPlanes,
    chain_bytes,
    image_bytes,
    make_date_image,
    run_chain,
)
from jobs.runner.publish import published

VERSION = "1"
"""Of what lies around the method; raised when a change of it alters numbers."""

BITS = ("clm", "Clouds and shadows by mtcd, bit by bit as in a CLM")

_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all chains of a request share."""

    context: MaskContext
    settings: MtcdParams
    dates: Mapping[str, MtcdDate]
    """Dates that get a mask, by its id, oldest first."""
    planned: Mapping[str, Planned]
    recipes: Recipes
    items: Mapping[str, Document]
    """Masks that are catalogued."""
    dems: tuple[Document, ...]
    grid: CoarseGrid


@dataclass
class ChainWork:
    """Dates that follow each other, as `jobs.mask_work.MaskWork`."""

    shared: Shared
    chain: tuple[Planned, ...]
    remarks: Sequence[str] = ()
    """What is to be said of the tile: with its first chain."""
    title: str = TITLE
    bits: tuple[str, str] | None = BITS
    scratch: Path | None = None
    _tasks: dict[str, ImageTask] = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)
    _done: dict[str, Found] = field(default_factory=dict)

    @property
    def dates(self) -> Sequence[TileDate]:
        """Dates that get a mask, oldest first."""
        return [self.shared.dates[each.name].one for each in self.chain]

    @property
    def notes(self) -> Sequence[str]:
        """What is to be said of the tile."""
        return self.remarks

    def manner(self, one: TileDate) -> str:
        """Mode, what that means for the date, and why."""
        return mode_text(self.shared.recipes.mode(self._name(one)))

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From the start of the chain to the last date that may be read for what is asked for."""
        asked = self._asked()
        if self.shared.context.params.datetime is None or not asked:
            return None
        names = {name for each in asked for name in (*each.reads, *each.ahead)}
        times = [self.shared.dates[name].one.time for name in names]
        return min(times), max(times) + _AFTER

    def before(self, one: TileDate) -> Sequence[TileDate]:
        """The dates of the chain up to it."""
        names = [each.name for each in self.chain]
        return [self.shared.dates[name].one for name in names[: names.index(self._name(one))]]

    def recipe(self, one: TileDate) -> Recipe:
        """What the mask of a date is made from; of one that was made just now, as it was."""
        return self.shared.recipes.recipe(self._name(one))

    def provisional(self, one: TileDate) -> str:
        """Whether the chain may yet start backward, once enough dates follow its first."""
        start = self.shared.recipes.mode(self.chain[0].name)
        if start.mode != "INIT":
            return ""
        names = list(self.shared.planned)
        there = len(names) - names.index(start.name)
        return (
            f"{start.name} starts from itself: {there} of the nbackward="
            f"{self.shared.settings.nbackward} dates for a start backward are there"
        )

    def stages(self, due: Sequence[TileDate]) -> list[Stage]:
        """Images of the dates that are read, then the chain."""
        shared, context = self.shared, self.shared.context
        planned = self._to_do({self._name(one) for one in due})
        reads = list(dict.fromkeys(name for each in planned for name in each.reads))
        recipes = [shared.recipes.recipe(each.name) for each in planned]
        is_ready = all(PENDING not in recipe.inputs.values() for recipe in recipes)
        images, units = [], []
        if is_ready:
            self._lay_out(planned, recipes)
            images = [self._image_unit(name) for name in reads]
            units = [self._chain_unit(planned)]
        memory = image_bytes(context.spec, beside=any(shared.dates[name].beside for name in reads))
        return [
            Stage(
                f"{METHOD} images {context.tile}",
                images,
                make_date_image,
                lambda _unit, _result: None,
                memory=memory,
                count=len(reads),
                unit="date",
            ),
            Stage(
                f"{METHOD} chain {context.tile}",
                units,
                run_chain,
                lambda _unit, _result: None,
                memory=chain_bytes(shared.grid, shared.settings, image=memory),
                count=1,
                unit=f"chain of {len(planned)} dates",
            ),
        ]

    def planes(self, one: TileDate) -> MtcdPlanes | None:
        """Where the pixels of a date wait: those before a failure are whole, too."""
        if not self._done:
            self._read_done()
        name = self._name(one)
        return MtcdPlanes(self._found[name], self._tasks[name].path) if name in self._done else None

    def about(self, one: TileDate) -> dict[str, Any]:
        """In which mode it was done and why, and which tests ran."""
        found = self._done[self._name(one)]
        return mode_fields(found.planned, found.tests)

    def beside(self, one: TileDate) -> dict[str, str]:
        """The state after the date, if it left one."""
        name = self._name(one)
        return {"state": self._states[name]} if self._done[name].has_state else {}

    def _name(self, one: TileDate) -> str:
        return self.shared.context.item_id(one)

    def _asked(self) -> tuple[Planned, ...]:
        """Dates that are asked for, and all before them."""
        text = self.shared.context.params.datetime
        if text is None:
            return self.chain
        start, end = parse_datetime(text)
        inside = [
            (start is None or one.time >= start) and (end is None or one.time < end)
            for one in self.dates
        ]
        last = max((place for place, is_in in enumerate(inside) if is_in), default=-1)
        return self.chain[: last + 1]

    def _read_done(self) -> None:
        """What was done just now, as it was done; recipes know of it from then on."""
        for name, path in self._found.items():
            # One that is not there failed, or one before it.
            with contextlib.suppress(StoreError):
                self._done[name] = load_found(Path(path))
        self.shared.recipes.are_done(found.planned for found in self._done.values())

    def _to_do(self, due: set[str]) -> tuple[Planned, ...]:
        """Dates that are due, and those before without whose state they cannot be done."""
        wanted = set(due)
        for each in reversed(self.chain):
            if each.name in wanted and each.follows is not None and not self._is_kept(each.follows):
                wanted.add(each.follows)
        return tuple(each for each in self.chain if each.name in wanted)

    def _is_kept(self, name: str) -> bool:
        """Whether a mask is catalogued that says what state it left, true to what it is made of."""
        item = self.shared.items.get(name)
        if item is None or recorded_mode(item) is None:
            return False
        said = item["properties"].get("clearcube:fingerprint")
        files = [Path(asset["href"]) for asset in item["assets"].values()]
        return said == self.shared.recipes.recipe(name).fingerprint and all(
            file.exists() for file in files
        )

    def _lay_out(self, planned: Sequence[Planned], recipes: Sequence[Recipe]) -> None:
        """Say where everything waits until the masks are published."""
        context = self.shared.context
        key = {"store": str(context.store), "recipes": [r.fingerprint for r in recipes]}
        self.scratch = context.workspace.scratch / planned[0].name / fingerprint(key)
        for each in planned:
            self._found[each.name] = str(self.scratch / f"{each.name}.found.npz")
            self._states[each.name] = str(self.scratch / f"{each.name}.state.npz")
        for name, item in self.shared.items.items():
            if name not in self._found and "state" in item["assets"]:
                self._states[name] = str(item["assets"]["state"]["href"])
        needed = {n for each in self.chain for n in (each.name, *each.reads, *each.ahead)}
        self._tasks = {name: task for name in needed if (task := self._task(name)) is not None}

    def _task(self, name: str) -> ImageTask | None:
        """How to make the image of a date; None where the cube does not hold it."""
        shared, context = self.shared, self.shared.context
        date = shared.dates[name]
        if date.one.entry is None or self.scratch is None:
            return None
        heights = fingerprint(dict(shared.recipes.dems))
        return ImageTask(
            path=str(self.scratch / f"{name}.{shared.recipes.sources[name]}.image.npz"),
            store=str(context.store),
            slot=date.one.entry.slot,
            bands=date.bands,
            beside=date.beside,
            scenes=tuple(_scene(item, date.beside) for item in date.one.acquisition.items),
            dems=tuple(str(item["assets"]["data"]["href"]) for item in shared.dems),
            altitude=str(self.scratch / f"altitude.{heights}.npy"),
            grid=shared.grid,
            meta=date.meta,
        )

    def _image_unit(self, name: str) -> Unit:
        return Unit(f"{name}-image", self._tasks[name], self.shared.dates[name].one.items)

    def _chain_unit(self, planned: tuple[Planned, ...]) -> Unit:
        task = ChainTask(
            planned=planned,
            images=self._tasks,
            found=self._found,
            states=self._states,
            settings=self.shared.settings.model_dump(mode="json"),
        )
        return Unit(f"{planned[0].name}-chain", task)


def mtcd_works(context: MaskContext) -> list[ChainWork]:
    """Context -> its dates by the chains that they are in, in order of time."""
    settings = MtcdParams.model_validate(context.settings.model_dump())
    named = {context.item_id(one): one for one in context.dates}
    dates, notes = usable_dates(named, context.level, context.spec.extent)
    planned = plan_dates(dates, settings)
    found = (published(context.workspace, context.collection, name) for name in planned)
    items = {str(item["id"]): item for item in found if item is not None}
    dems = tuple(dems_over(context.workspace, context.spec.extent))
    require_grid(context.spec, METHOD)
    grid = choose_grid(context.spec.shape(GROUP), settings)
    recipes = Recipes(
        dates={each.name: each for each in dates},
        planned=planned,
        done={name: was for name, item in items.items() if (was := recorded_mode(item))},
        sources={each.name: each.source(context.cube) for each in dates},
        dems={str(d["id"]): str(d["properties"]["clearcube:version"]) for d in dems},
        parameters=settings.model_dump(mode="json"),
        job=JOB,
        version=VERSION,
    )
    shared = Shared(context, settings, recipes.dates, planned, recipes, items, dems, grid)
    remark = grid_note(grid, settings)
    remarks = [*notes, *([] if remark is None else [f"{context.tile}: {remark}"])]
    works = [ChainWork(shared, chain) for chain in chains(planned.values())]
    for first in works[:1]:
        first.remarks = remarks
    return works


def _scene(item: Document, wanted: Sequence[str]) -> Document:
    """Of an item what it takes to read some of its bands; payloads are to be small."""
    names = {n: v for n, v in item["properties"].items() if n.startswith(("proj:", "datetime"))}
    assets = {key: item["assets"][key] for key in wanted if key in item["assets"]}
    return {"id": item["id"], "properties": names, "assets": assets}
