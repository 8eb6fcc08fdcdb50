"""A mask of a tile and the dates of the cube that have it: what was seen when, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.deliveries import REJECTED
from catalog.search import Query
from cube.composite import day_number
from cube.decoding import MaskReading, has_mask, mask_group, read_classes
from cube.joined import open_masked
from cube.rasters import strips
from cube.spec import DateEntry
from cube.store import Cube
from jobs.date_facts import date_facts
from jobs.dates import tile_dates
from jobs.errors import RequestError
from jobs.judged_areas import Areas
from jobs.mask_item import mask_id
from jobs.mask_names import catalogued_masks, no_mask
from jobs.period_mask import level_of, period_mask
from jobs.period_params import PeriodParams
from jobs.stores import cube_store

if TYPE_CHECKING:
    from jobs.workspace import Workspace

BEST = ("combined", "tsmask", "mtcd", "clm", "scl", "classi")
"""Masks from the best to the least, by the tables of ``cube/ACCURACY.md``."""

STRIP = 512
"""Rows of a mask that are counted at once."""


@dataclass(frozen=True, slots=True)
class SeenDate:
    """One date of the cube that has the mask."""

    entry: DateEntry
    day: date
    scenes: tuple[str, ...]
    orbit: int
    """Relative orbit; 0 where it is not stated."""


@dataclass(frozen=True)
class SeenDates:
    """A mask, the cube that it belongs to, and the dates that have both, in order of time."""

    name: str
    """As options name it, ``scl:wide``."""
    cube: Cube
    reading: MaskReading
    dates: tuple[SeenDate, ...]
    _shares: dict[int, float] = field(default_factory=dict, repr=False)

    def between(self, first: date, last: date) -> tuple[SeenDate, ...]:
        """Dates of a window, both ends included."""
        return tuple(one for one in self.dates if first <= one.day <= last)

    def classes(
        self, dates: Sequence[SeenDate], group: str, window: tuple[slice, slice]
    ) -> NDArray[np.uint8]:
        """Some dates and a window of a group -> (time, y, x) classes."""
        entries = [one.entry for one in dates]
        return read_classes(self.cube, entries, self.reading, group, window)

    def clear_share(self, one: SeenDate, areas: Areas, clear: tuple[int, ...]) -> float:
        """Share of the areas that a date shows in some classes, counted strip by strip."""
        if one.entry.slot not in self._shares:
            group = mask_group(self.cube.spec, self.reading.encoding)
            height, width = self.cube.spec.shape(group)
            seen = total = 0
            for first, last in strips(height, STRIP):
                window = slice(first, last), slice(0, width)
                inside = areas.numbers(self.cube.spec, group, window) > 0
                seen += int((np.isin(self.classes([one], group, window)[0], clear) & inside).sum())
                total += int(inside.sum())
            self._shares[one.entry.slot] = seen / total if total else 0.0
        return self._shares[one.entry.slot]


def seen_dates(workspace: "Workspace", tile: str, name: str) -> SeenDates:
    """Mask of a tile, as options name it -> the cube's dates that have it.

    Dates whose mask is rejected are left out. ``RequestError`` where no date has one.
    """
    method, _, variant = name.partition(":")
    query = Query(collections=(cloud_mask_collection(method),), tiles=(tile,), limit=1000)
    items: dict[str, Document] = {
        item["id"]: item
        for item in workspace.documents(query)
        if item["properties"].get("clearcube:variant", "") == variant
    }
    if not items:
        raise no_mask(workspace, tile, name)
    mask = period_mask(workspace, tile, PeriodParams(tile=tile, datetime="2000", mask=name))
    path = cube_store(workspace, tile, mask.level)
    if path is None:
        raise RequestError(f"there is no {mask.level} cube of tile {tile}; make it first")
    reading = mask.reading(items)
    cube = open_masked(path, reading)
    dates = []
    for one in tile_dates(workspace, tile, mask.level):
        item = items.get(mask_id(tile, one.time, mask.method, mask.variant))
        entry = None if one.entry is None else cube.dates[one.entry.slot]
        if entry is None or item is None or REJECTED in item["properties"]:
            continue
        if has_mask(entry, reading.encoding):
            orbit = date_facts(one.acquisition.items, None).orbit
            dates.append(SeenDate(entry, one.time.date(), one.items, orbit))
    if not dates:
        raise RequestError(f"the cube of tile {tile} holds no date with mask {name}; make it again")
    return SeenDates(name, cube, reading, tuple(dates))


def best_mask(workspace: "Workspace", tile: str, level: str) -> str:
    """Tile and level of a cube -> the best mask of it that is catalogued, a variant only if need be."""
    held = [
        name
        for name in catalogued_masks(workspace, tile)
        if name.partition(":")[0] in BEST
        and level_of(workspace, tile, name.partition(":")[0]) == level
    ]
    if not held:
        raise RequestError(
            f"no mask of the {level} cube of tile {tile} is catalogued; make one first"
        )
    return min(held, key=lambda name: (":" in name, BEST.index(name.partition(":")[0]), name))


def days_from(day: date, centre: date) -> int:
    """Days between two dates, either way."""
    return abs(day_number(day) - day_number(centre))
