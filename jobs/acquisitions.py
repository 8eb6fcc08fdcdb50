"""Raw items of a tile -> its acquisitions: what was seen on one solar day, in order of merging."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from catalog.backends.base import Document
from catalog.deliveries import REJECTED
from catalog.search import Interval, Query, instant
from cube.grid import solar_offset
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PAGE = 1000
"""Items asked for at once."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The granules of one solar day over a tile: one date of the cube."""

    items: tuple[Document, ...]
    """In order of time, then id: a pixel is taken from the first that has data there."""

    @property
    def time(self) -> datetime:
        """When the first granule was seen, UTC, to the millisecond, as cubes keep it."""
        found = instant(self.items[0]["properties"]["datetime"])
        return found.replace(microsecond=found.microsecond // 1000 * 1000)

    @property
    def stamp(self) -> str:
        """Time as ids have it, ``YYYYMMDDTHHMMSS``."""
        return self.time.strftime("%Y%m%dT%H%M%S")


def acquisitions(
    workspace: "Workspace", tile: str, level: str, interval: Interval | None
) -> list[Acquisition]:
    """Catalogued deliveries of a tile and level -> acquisitions, in order of time.

    Granules of one solar day belong together; superseded and rejected deliveries are left out.
    An acquisition belongs to an interval when its first granule does.
    """
    query = Query(
        tiles=(tile,), level=level, superseded=False, datetime=_widened(interval), limit=PAGE
    )
    days: dict[str, list[Document]] = {}
    offset = solar_offset(tile)
    for item in workspace.documents(query):
        if "clearcube:job" in item["properties"] or REJECTED in item["properties"]:
            continue
        seen = instant(item["properties"]["datetime"])
        days.setdefault((seen + offset).strftime("%Y%m%d"), []).append(item)
    found = [Acquisition(tuple(_ordered(items))) for items in days.values()]
    kept = [one for one in found if interval is None or _within(one.time, interval)]
    return sorted(kept, key=lambda one: one.time)


def levels(workspace: "Workspace", tile: str) -> list[str]:
    """Levels of which the catalogue holds deliveries of a tile."""

    query = Query(tiles=(tile,), limit=1)
    return [
        level
        for level in ("l2a", "maja", "l1c")
        if workspace.catalog.search(replace(query, level=level)).items
    ]


def choose_level(workspace: "Workspace", tile: str, wanted: str | None) -> str:
    """Level asked for, or the one catalogued for the tile; ``RequestError`` where there is none.

    Without a wish it is ESA's L2A, else MAJA's, else L1C.
    """
    held = levels(workspace, tile)
    if wanted is None and held:
        return held[0]
    if wanted in held:
        return str(wanted)
    if not held:
        raise RequestError(f"no scene of tile {tile} is catalogued; ingest some first")
    raise RequestError(
        f"no {wanted} scene of tile {tile} is catalogued; there are {' '.join(held)}"
    )


def _ordered(items: Iterable[Document]) -> Sequence[Document]:
    return sorted(items, key=lambda item: (instant(item["properties"]["datetime"]), item["id"]))


def _widened(interval: Interval | None) -> Interval | None:
    """A day more on both sides, so that no granule of an acquisition is cut off."""
    if interval is None:
        return None
    start, end = interval
    day = timedelta(days=1)
    return (start - day if start else None, end + day if end else None)


def _within(time: datetime, interval: Interval) -> bool:
    start, end = interval
    return (start is None or time >= start) and (end is None or time < end)
