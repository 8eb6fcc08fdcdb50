"""Masks by methods that take the whole series of a pixel at once: one task a block, all its dates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.fingerprint import fingerprint
from catalog.items import Recipe
from cube.decoding import has_mask, variables_read
from cube.detection import MASKS, days_of, detect_block, require_grid
from cube.detectors import detector
from cube.grid import Block, blocks
from cube.joined import GROUP, MASK
from cube.spec import DateEntry
from cube.store import open_store
from cube.temporal import TemporalMethod
from jobs.dates import PENDING, TileDate, pixel_checksum
from jobs.job import Stage, Unit
from jobs.mask_store import JOB
from jobs.mask_work import MaskContext
from jobs.memory import SeriesLoad, series_side
from jobs.scratch import is_array, save

VERSION = "1"
"""Of what all methods share; raised when a change of it alters numbers."""


@dataclass(frozen=True, slots=True)
class SeriesTask:
    """What a worker needs to tell the dates of one block apart."""

    store: str
    slots: tuple[int, ...]
    """The series, in order of time."""
    wanted: tuple[int, ...]
    """Places in it of the dates that are to be made."""
    block: Block
    method: str
    settings: Mapping[str, Any]
    path: str


@dataclass(frozen=True, slots=True)
class BlockPlanes:
    """One date in the files of the blocks."""

    files: tuple[tuple[Block, str], ...]
    index: int
    shape: tuple[int, int]
    method: str
    settings: Mapping[str, Any]

    def read(self) -> Mapping[str, NDArray[np.uint8]]:
        """(y, x) uint8 classes of the whole extent, finished."""
        plane = np.empty((1, *self.shape), np.uint8)
        for block, path in self.files:
            plane[(0, *block.window(1))] = np.load(path, mmap_mode="r")[self.index]
        method = detector(self.method)
        if method.finish is not None:
            plane = method.finish(plane, method.params.model_validate(dict(self.settings)))
        return {MASK: plane[0]}


@dataclass
class SeriesWork:
    """Dates that share a series."""

    context: MaskContext
    method: TemporalMethod
    series: tuple[TileDate, ...]
    """All dates that are compared with each other, in order of time."""
    dates: Sequence[TileDate]
    span: tuple[datetime, datetime] | None
    bits: None = None
    notes: Sequence[str] = ()
    scratch: Path | None = None
    """Where blocks wait."""
    _planes: dict[str, BlockPlanes] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Of the masks."""
        return self.method.title

    def before(self, _one: TileDate) -> Sequence[TileDate]:
        """None: each is compared with pixels, not with masks."""
        return ()

    def manner(self, _one: TileDate) -> str:
        """All are done alike."""
        return ""

    def recipe(self, one: TileDate) -> Recipe:
        """The same for all: each date is compared with every other."""
        return self._recipe

    @cached_property
    def _recipe(self) -> Recipe:
        inputs: dict[str, str] = {}
        for one in self.series:
            inputs |= dict.fromkeys(one.items, self._pixels(one))
        return Recipe(
            job=JOB,
            version=f"{VERSION}.{self.method.version}",
            method=self.method.name,
            parameters=self.context.settings.model_dump(mode="json"),
            inputs=inputs,
        )

    def _pixels(self, one: TileDate) -> str:
        """Checksum of what the method reads of a date."""
        cube, entry = self.context.cube, one.entry
        if cube is None or entry is None:
            return PENDING
        read = list(self.method.bands)
        encoded = MASKS[cube.spec.level]
        if self.method.mask and has_mask(entry, encoded):
            read += variables_read(cube.spec, entry, encoded)
        return pixel_checksum(cube, entry, read)

    def provisional(self, one: TileDate) -> str:
        """Whether too few dates lie on one side of it."""
        place = self.series.index(one)
        if not self._provisional[place]:
            return ""
        side = "after" if place >= len(self.series) / 2 else "before"
        return f"too few dates {side} it to be sure"

    @cached_property
    def _provisional(self) -> NDArray[np.bool_]:
        # From the times alone: the cube may not hold the dates yet.
        entries = [DateEntry(round(o.time.timestamp() * 1000), "", (), ()) for o in self.series]
        return self.method.provisional(days_of(entries), self.context.settings)

    def stages(self, due: Sequence[TileDate]) -> list[Stage]:
        """One stage: the blocks of the tile."""
        context = self.context
        require_grid(context.spec, self.method.name)
        load = self._load()
        workspace = context.workspace
        side = series_side(workspace.worker_memory, workspace.workers, load)
        shape = context.spec.shape(GROUP)
        grid = tuple(blocks(shape, side))
        wanted = tuple(self.series.index(one) for one in due)
        is_ready = PENDING not in self._recipe.inputs.values()
        units = list(self._units(due, wanted, grid)) if is_ready else []
        files = tuple((unit.payload.block, unit.payload.path) for unit in units)
        settings = context.settings.model_dump(mode="json")
        done: set[str] = set()

        def count(unit: Unit, _result: Any) -> None:
            done.add(unit.key)
            if len(done) == len(units):
                for index, one in enumerate(due):
                    self._planes[context.item_id(one)] = BlockPlanes(
                        files, index, shape, self.method.name, settings
                    )

        height, width = (min(side, n) for n in shape)
        return [
            Stage(
                f"{self.method.name} {context.tile}",
                units,
                detect,
                count,
                memory=load.block_bytes(side),
                count=len(grid),
                unit=f"block of {height} x {width} pixels at 20 m, {len(self.series)} dates",
            )
        ]

    def _load(self) -> SeriesLoad:
        method = self.method
        return SeriesLoad(
            self.context.spec,
            dates=len(self.series),
            given=2 * len(method.bands) + int(method.mask),
            taken=method.bytes_a_date,
            margin=method.halo(self.context.settings),
        )

    def _units(
        self, due: Sequence[TileDate], wanted: tuple[int, ...], grid: Sequence[Block]
    ) -> Iterator[Unit]:
        context, method = self.context, self.method
        slots = tuple(one.entry.slot for one in self.series if one.entry is not None)
        made_of = fingerprint(
            {
                "recipe": self._recipe.fingerprint,
                "slots": slots,
                "wanted": wanted,
                "store": str(context.store),
            }
        )
        # Named after an item that waits for it, so that its blocks are kept as long as that does.
        folder = context.workspace.scratch / context.item_id(due[0]) / made_of
        self.scratch = folder
        settings = context.settings.model_dump(mode="json")
        label = f"{context.tile}-{method.name}-{self.series[0].time:%Y%m}"
        for block in grid:
            name = f"{block.y0}-{block.x0}-{block.height}-{block.width}.npy"
            task = SeriesTask(
                str(context.store), slots, wanted, block, method.name, settings, str(folder / name)
            )
            yield Unit(f"{label}-{block.key}", task)

    def planes(self, one: TileDate) -> BlockPlanes | None:
        """Where a date waits, once every block is done."""
        return self._planes.get(self.context.item_id(one))

    def about(self, one: TileDate) -> dict[str, Any]:
        """How many dates it was compared with."""
        return {"clearcube:dates": len(self.series)}

    def beside(self, one: TileDate) -> dict[str, str]:
        """Nothing."""
        return {}


_Shared = tuple[tuple[TileDate, ...], list[TileDate], tuple[datetime, datetime] | None]
"""A series, the dates that share it, and the time that it is of."""


def series_works(context: MaskContext) -> list[SeriesWork]:
    """Context -> its dates by the series that they share, in order of time.

    Time is cut into spans of as many months as the window has, from the year 0 on; the series of
    a span's dates reaches one more span to both sides. So every date is compared with a window to
    each side at least, and what it is compared with depends on nothing but what is catalogued.
    """
    method = detector(context.params.method)
    months: int | str = getattr(context.settings, "window", "all")
    if months == "all":
        every = tuple(context.dates)
        return _long_enough(context, method, [(every, list(every), None)])
    window = int(months)
    spans: dict[int, list[TileDate]] = {}
    for one in context.dates:
        spans.setdefault(_month(one.time) // window, []).append(one)
    found: list[_Shared] = []
    for number, dates in spans.items():
        near = (spans.get(n, []) for n in (number - 1, number, number + 1))
        series = tuple(one for some in near for one in some)
        span = _first((number - 1) * window), _first((number + 2) * window)
        if found and found[-1][0] == series:
            # Neighbouring spans at the end of what there is compare the same dates.
            before = found[-1][2]
            first = span[0] if before is None else before[0]
            found[-1] = (series, found[-1][1] + dates, (first, span[1]))
        else:
            found.append((series, dates, span))
    return _long_enough(context, method, found)


def _long_enough(
    context: MaskContext,
    method: TemporalMethod,
    found: Sequence[_Shared],
) -> list[SeriesWork]:
    """Series of which something can be told; those that are too short are named in a note."""
    least = int(getattr(context.settings, "min_observations", 1))
    works = []
    for series, dates, span in found:
        notes: Sequence[str] = ()
        if len(series) < least:
            wider = "" if len(series) == len(context.dates) else ", or set a wider window"
            notes = [
                f"{context.tile}: {len(dates)} dates from {dates[0].time.date()} on get no "
                f"{method.name} mask: their series has {len(series)} dates, fewer than "
                f"min_observations={least}; ingest more{wider}"
            ]
            dates = []
        works.append(SeriesWork(context, method, series, dates, span, notes=notes))
    return works


def detect(task: SeriesTask) -> None:
    """All dates of a block -> (wanted, y, x) uint8 classes in a file; on a worker."""
    path = Path(task.path)
    if is_array(path):
        return
    cube = open_store(task.store)
    method = detector(task.method)
    found = detect_block(
        cube,
        [cube.dates[slot] for slot in task.slots],
        task.wanted,
        task.block,
        method,
        method.params.model_validate(dict(task.settings)),
    )
    save(path, partial(np.save, arr=found))


def _month(time: datetime) -> int:
    return time.year * 12 + time.month - 1


def _first(month: int) -> datetime:
    """First moment of a month, counted from the year 0."""
    return datetime(max(1, month // 12), month % 12 + 1, 1, tzinfo=UTC)
