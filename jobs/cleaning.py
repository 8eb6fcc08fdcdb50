"""Debris removed, tile by tile, while no run is at work there."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends import shown_url
from jobs.debris import (
    STORE,
    Debris,
    Known,
    Places,
    cube_places,
    find_places,
    find_pointed,
    tile_debris,
)
from jobs.errors import RequestError
from jobs.job import Failure
from jobs.runner.progress import Progress
from jobs.runs import RunRecord, RunState, read_run
from jobs.tile_locks import idle, taken

if TYPE_CHECKING:
    from jobs.workspace import Workspace

DAY = timedelta(days=1)

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

OF_ITEMS = ("former product", "unpublished product", "former cube")
"""Kinds that are debris only as no item of the catalogue names them."""


@dataclass(slots=True)
class Cleaning:
    """What was removed, and what was not."""

    removed: list[Debris] = field(default_factory=list)
    """In a dry run: what would be."""
    young: list[Debris] = field(default_factory=list)
    """Debris used or in force too short a time ago."""
    busy: list[str] = field(default_factory=list)
    """Tiles and cubes left alone, as a run is at work there."""
    unknown: list[Path] = field(default_factory=list)
    """What nothing of ours has made; left alone."""
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_dry: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of what was removed."""
        return sum(one.bytes for one in self.removed)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "dry_run": self.is_dry,
            "removed": [one.document() for one in self.removed],
            "bytes": self.bytes,
            "young": [one.document() for one in self.young],
            "busy": self.busy,
            "unknown": [str(path) for path in self.unknown],
            "failed": [{"key": f.key, "cause": f.cause} for f in self.failures],
            "notes": self.notes,
        }


def clean(
    workspace: "Workspace",
    *,
    older_than: timedelta = DAY,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Cleaning:
    """Remove what killed runs and former results left, if nothing used it for some time.

    A tile that a run is at work on is left alone; so is everything that has no name of ours.
    """
    progress = progress or Progress(quiet=True)
    workspace.require()
    done = Cleaning(is_dry=dry_run)
    places, done.unknown = find_places(workspace)
    pointed = find_pointed(workspace)
    ledgers = _Ledgers(workspace)
    # A catalogue that names nothing here is likely that of another workspace.
    ours = (workspace.cubes, workspace.products)
    names_any = any(Path(path).is_relative_to(folder) for path in pointed for folder in ours)
    until = time.time() - older_than.total_seconds()
    with progress.stage("tiles", len(places)) as advance:
        for tile, there in sorted(places.items(), key=lambda each: each[0] or "~"):
            with idle(workspace, tile, create=not dry_run) as free:
                if free:
                    waiting, extending = ledgers.unfinished(tile)
                    known = Known(pointed, waiting, extending)
                    _tile(workspace, tile, there, known, done, until, names_any=names_any)
                else:
                    done.busy.append(tile or "items of no tile")
            advance(tile or "", None)
    progress.close()
    return done


def parse_age(text: str) -> timedelta:
    """``30m``, ``2h``, ``1d``, ``0`` -> length of time; ``RequestError`` for anything else."""
    if text.strip() == "0":
        return timedelta(0)
    found = re.fullmatch(r"(\d{1,6}) *([smhdw])", text.strip())
    if found is None:
        raise RequestError(f"age {text!r}: write a number and s, m, h, d or w, e.g. 1d; or 0")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _tile(
    workspace: "Workspace",
    tile: str | None,
    places: Places,
    known: Known,
    done: Cleaning,
    until: float,
    *,
    names_any: bool,
) -> None:
    places.cubes = cube_places(workspace, tile)  # runs that ended meanwhile may have made some
    stores = [path for path in places.cubes if STORE.fullmatch(path.name)]
    locks = [path.with_name(f"{path.name}.lock") for path in stores]
    with taken(locks, create=not done.is_dry) as free:
        if not free:
            done.busy.append(f"{tile}: a commit to its cube")
            return
        unnamed = 0
        for one in list(tile_debris(workspace, places, known, done.unknown)):
            if one.kind in OF_ITEMS and not names_any:
                unnamed += 1
            elif one.used > until:
                done.young.append(one)
            elif done.is_dry or _remove(one, done):
                done.removed.append(one)
        if unnamed:
            done.notes.append(
                f"{tile or 'items of no tile'}: {unnamed} results are left alone, as no item of "
                f"{shown_url(workspace.catalog.url)} names any file here: is it the right catalogue?"
            )


class _Ledgers:
    """What runs meant to make and did not; each ledger is read once, and again when it grew."""

    def __init__(self, workspace: "Workspace") -> None:
        self._folder = workspace.runs
        self._read: dict[Path, tuple[float, RunRecord | None]] = {}
        self._refresh()

    def unfinished(self, tile: str | None) -> tuple[set[str], bool]:
        """Items that the last run to plan them did not make; whether a cube was being extended."""
        self._refresh()
        waiting: set[str] = set()
        told: set[str] = set()
        extending: bool | None = None
        records = [record for _, record in self._read.values() if record is not None]
        for record in sorted(records, key=lambda each: (each.start, each.id), reverse=True):
            if tile is not None and str(record.request.get("tile", tile)) != tile:
                continue
            fresh = set(record.makes) - told
            told |= fresh
            waiting |= fresh - set(record.made)
            if record.job == "cube" and extending is None:
                is_done = record.state is RunState.DONE
                extending = bool(record.request.get("extend")) and not is_done
        return waiting, bool(extending)

    def _refresh(self) -> None:
        for path in self._folder.glob("*.jsonl"):
            changed = path.stat().st_mtime
            if self._read.get(path, (0.0, None))[0] != changed:
                self._read[path] = changed, read_run(path)


def _remove(one: Debris, done: Cleaning) -> bool:
    """Remove debris and the folders that it leaves empty; whether all of it is gone."""
    try:
        for part in one.parts:
            _remove_part(part, is_store=STORE.fullmatch(part.name) is not None)
        for folder in _emptied(one):
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it is empty
    except OSError as error:
        where = error.filename or one.path
        done.failures.append(
            Failure(str(one.path), f"cannot remove {where}: {error.strerror or error}")
        )
        return False
    return True


def _remove_part(part: Path, *, is_store: bool) -> None:
    if part.is_dir() and not part.is_symlink():
        if is_store:
            # Half a store must not be taken for one if this ends here.
            gone = part.with_name(f".{part.name}.gone-{os.getpid()}")
            part = part.rename(gone)
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def _emptied(one: Debris) -> Iterator[Path]:
    if one.kind in ("former product", "unpublished product", "scratch"):
        yield from (one.path, one.path.parent)
    elif one.kind in ("staged date", "cloud weights"):
        yield one.path.parent
