"""A workspace checked against itself: items, files, cubes and ledgers."""

import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from catalog.backends import shown_url
from catalog.backends.base import Document
from catalog.deliveries import REJECTED
from catalog.errors import CatalogError
from catalog.search import Interval, Query, normalise_tile
from cube.errors import GridError, StoreError
from cube.periods import Period
from cube.store import open_store
from jobs.cube_findings import cube_findings, cube_name, stray_stores
from jobs.finding import Finding, error, note
from jobs.item_findings import Why, item_findings
from jobs.runner.progress import Progress
from jobs.runs import RunRecord, RunState, list_runs
from jobs.states import why_out
from jobs.stores import COLLECTION as CUBES

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PAGE = 100
"""Items looked at side by side; no more of them are held."""

THREADS = 4
"""Items whose files are looked at side by side: hashing and waiting for disks."""

AROUND = timedelta(days=31)
"""Scenes so long before and after a month may have gone into its products."""

RESTORE = "restore the catalogue from a copy, or ingest and run anew in another workspace"


def verify(
    workspace: "Workspace",
    tile: str | None = None,
    *,
    quick: bool = False,
    sources: bool = False,
    progress: Progress | None = None,
) -> Iterator[Finding]:
    """Everything (of a tile) held against everything that says something of it -> what differs.

    ``quick`` opens files but reads no pixels and computes no checksums. ``sources`` reads the files
    of scenes, too, to tell whether they are still those that were ingested.
    """
    tile = None if tile is None else normalise_tile(tile)
    progress = progress or Progress(quiet=True)
    cubes: list[Document] = []
    try:
        yield from _items(workspace, tile, cubes, progress, quick=quick, sources=sources)
    except ValueError as fault:
        # The catalogue's own errors are others: this is a document that it holds.
        if isinstance(fault, CatalogError):
            raise
        yield error(
            "catalogue", f"{shown_url(workspace.catalog.url)}: an item is no JSON: {fault}", RESTORE
        )
        return
    for item in cubes:
        yield from _cube(item, progress, quick=quick)
    pointed = {str(asset["href"]) for item in cubes for asset in item["assets"].values()}
    yield from stray_stores(workspace, tile, pointed)
    yield from _ledgers(workspace, tile, pointed)
    progress.close()


# --- items ----------------------------------------------------------------------------------------


def _items(
    workspace: "Workspace",
    tile: str | None,
    cubes: list[Document],
    progress: Progress,
    *,
    quick: bool,
    sources: bool,
) -> Iterator[Finding]:
    """Findings of all items; cubes that are valid are kept for later."""
    collections = {document["id"] for document in workspace.catalog.collections()}
    query = Query(tiles=() if tile is None else (tile,), limit=PAGE)
    total = workspace.catalog.search(replace(query, limit=1)).matched or 0
    why = _why_out(workspace)

    def of_item(item: Document) -> list[Finding]:
        return list(item_findings(item, collections, why, quick=quick, sources=sources))

    items = workspace.documents(query)
    with ThreadPoolExecutor(THREADS) as pool, progress.stage("items and files", total) as advance:
        while page := list(islice(items, PAGE)):
            for item, found in zip(page, pool.map(of_item, page), strict=True):
                yield from found
                # What is not even valid says nothing that a store could be held against.
                if item.get("collection") == CUBES and not any("valid" in f.what for f in found):
                    cubes.append(item)
                advance(str(item.get("id")), None)


def _why_out(workspace: "Workspace") -> Why:
    @lru_cache(maxsize=100_000)
    def why(name: str) -> str:
        found = why_out(workspace, name)
        return "" if found == "is no longer used" else found

    return why


def _cube(item: Document, progress: Progress, *, quick: bool) -> Iterator[Finding]:
    """Findings of a cube, with the stage that shows its dates."""

    with ExitStack() as stack:

        def begin(dates: int) -> Callable[[str], None]:
            advance = stack.enter_context(progress.stage(f"cube {item['id']}", dates))
            return lambda key: advance(key, None)

        yield from cube_findings(item, quick=quick, begin=begin)


# --- ledgers --------------------------------------------------------------------------------------


def _ledgers(
    workspace: "Workspace", tile: str | None, pointed: Collection[str]
) -> Iterator[Finding]:
    """Runs without an end that no later one made good, and what was made and is gone."""
    dates, damaged = _cube_dates(workspace, pointed)
    ended: set[tuple[str, str]] = set()
    told: set[str] = set()
    for record in list_runs(workspace):  # newest first
        named = str(record.request.get("tile", ""))
        if tile not in (None, named):
            continue
        key = record.job, named
        if record.state in (RunState.DONE, RunState.FAILED):
            ended.add(key)
        elif record.state is RunState.RUNNING:
            yield note(record.id, f"{record.job} of {named or 'all tiles'} is running now")
        elif key not in ended:
            yield note(record.id, f"the run of {key[0]} {_end(record)}", "run the same again")
        if record.job != "cube" or not damaged & {n.rpartition("-")[0] for n in record.made}:
            yield from _lost(workspace, record, dates, told)


def _end(record: RunRecord) -> str:
    if record.state is RunState.STOPPED:
        return f"was stopped: {record.cause}" if record.cause else "was stopped"
    return "was killed" if record.state is RunState.KILLED else "has no end"


def _lost(
    workspace: "Workspace", record: RunRecord, dates: Collection[str], told: set[str]
) -> Iterator[Finding]:
    """What a run says it made and is not there; the last run to make it is the one that is named."""
    lost = []
    for name in record.made:
        if name in told:
            continue
        told.add(name)
        if name not in dates and not workspace.catalog.find(name) and _has_scenes(workspace, name):
            lost.append(name)
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        what = f"made {', '.join(lost[:3])}{more}, which are not there now"
        yield note(record.id, what, "run the same again if they are wanted")


def _cube_dates(workspace: "Workspace", pointed: Collection[str]) -> tuple[set[str], set[str]]:
    """Dates that cubes hold or held, as ledgers name them; ids of cubes that cannot be read.

    Former stores are left alone: that they are read would keep them from being removed.
    """
    found: set[str] = set()
    damaged: set[str] = set()
    named = {cube_name(path) for path in pointed}
    others = {str(path) for path in workspace.cubes.glob("*.zarr") if cube_name(path) not in named}
    for path in {*pointed, *others}:
        name = cube_name(path)
        try:
            entries = open_store(path).dates
        except StoreError:
            damaged.add(name)  # which was found already
        else:
            found |= {f"{name}-{entry.datetime.item():%Y%m%dT%H%M%S}" for entry in entries}
    return found, damaged


def _has_scenes(workspace: "Workspace", name: str) -> bool:
    """Whether scenes count that a date, mask or product could be made of; else it was withdrawn."""
    found = _NAME.match(name)
    span = _span(found[2]) if found is not None else None
    if found is None or span is None:
        return True
    query = Query(tiles=(found[1],), superseded=False, datetime=span, limit=PAGE)
    return any(
        "clearcube:level" in item["properties"] and REJECTED not in item["properties"]
        for item in workspace.documents(query)
    )


_NAME = re.compile(r"(\w{5})(?:_[a-z0-9]+)?[-_](\d{8}T\d{6}|\d{4}(?:-[A-Z\d]+){0,2})(?:_|$)")
"""``31UES-20190516T105659``, ``31UES_maja-...``, ``31UES_20190516T105659_scl``, ``31UES_2019-05-D2_wasp``."""


def _span(text: str) -> Interval | None:
    """``20190516T105659`` or the label of a period -> when its scenes were seen."""
    if "T" in text:
        try:
            start = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return start, start + timedelta(seconds=1)
    try:
        period = Period.parse(text)
    except GridError:
        return None
    first = datetime.combine(period.start, datetime.min.time(), UTC)
    last = datetime.combine(period.end, datetime.min.time(), UTC)
    return first - AROUND, last + AROUND
