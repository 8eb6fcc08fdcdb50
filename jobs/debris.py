"""What killed runs and former results leave in a workspace, told from what is of use.

Everything here is decided from names, times and the catalogue, while no run is at work on the tile;
see :mod:`jobs.cleaning`. What has a name that no part of this program gives is never debris.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.backends.base import Document
from catalog.search import Query, instant
from cube.errors import StoreError
from cube.soundness import uncommitted
from cube.store import Cube, open_store
from jobs.compositing import BLOCKS
from jobs.runner.publish import ITEM
from jobs.stores import COLLECTION as CUBES

if TYPE_CHECKING:
    from jobs.workspace import Workspace

TILE = re.compile(r"\.?(\d{2}[C-X][A-Z]{2})(?=[._-]|$)")
"""How names of cubes and items begin."""

STORE = re.compile(r"([\w.-]+?)(?:\.g(\d+))?\.zarr")
"""``31UES.zarr``, ``31UES_maja.g2.zarr``, ``31UES_tsmask-wide.zarr``."""

SIDE = re.compile(r"([\w.-]+?(?:\.g\d+)?\.zarr)\.(sums|stage|lock)")
"""What stands beside a store."""

UNFINISHED = re.compile(r"\.[\w.-]+?(?:\.g\d+)?\.zarr\.(?:new|gone)-\d+")
"""A store that was being made or removed."""

TEMPORARY = re.compile(
    r"\.(?:zarr\.json|blocks\.json|item\.json|c\.\d+|\d+|.+\.np[yz]|.+\.layers)\.\d+"
    r"|\..+\.np[yz]\.new"
    r"|\..+\.png\.new-\d+"
    r"|\..+\.tif\.(?:plain|cog)-\d+\.tif(?:\.[\w.]+)?"
)
"""A file that was being written: of a store, a product, a block, a picture, a COG."""

WAITING = (".layers", ".npy", ".npz")
"""Endings of files in scratch."""

FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Debris:
    """One thing that nothing and nobody needs."""

    kind: str
    path: Path
    parts: tuple[Path, ...]
    """Files and trees that go; folders that are empty then go with them."""
    bytes: int
    used: float
    """When it was last written, read, or in force; seconds since 1970."""

    def document(self) -> dict[str, str | int]:
        """As JSON."""
        return {"kind": self.kind, "path": str(self.path), "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Known:
    """What decides whether something is of use."""

    pointed: frozenset[str]
    """Hrefs of local files, and their folders."""
    waiting: Collection[str]
    """Items that a run meant to make and did not: the next one goes on with their blocks."""
    extending: bool = False
    """The last run of the tile's cube was to extend it, and did not end."""


@dataclass(slots=True)
class Places:
    """What there is of a tile."""

    cubes: list[Path] = field(default_factory=list)
    """Entries of ``cubes/``: stores and what stands beside them."""
    products: list[Path] = field(default_factory=list)
    """Folders of items, with one folder for each fingerprint."""
    scratch: list[Path] = field(default_factory=list)
    weights: list[Path] = field(default_factory=list)


def find_places(workspace: "Workspace") -> tuple[dict[str | None, Places], list[Path]]:
    """Workspace -> what there is of each tile (None: of no tile by its name); what is unknown."""
    found: dict[str | None, Places] = {}
    unknown = list(_unknown_at_top(workspace))
    for path in _children(workspace.cubes):
        if _is_of_cube(path.name):
            found.setdefault(tile_of_name(path.name), Places()).cubes.append(path)
        else:
            unknown.append(path)
    for collection in _children(workspace.products):
        for path in [collection] if not _is_folder(collection) else _children(collection):
            if _is_folder(path):
                found.setdefault(tile_of_name(path.name), Places()).products.append(path)
            else:
                unknown.append(path)
    for path in _children(workspace.scratch):
        if not _is_folder(path):
            unknown.append(path)
        elif path.name == "weights":
            for each in _children(path):
                found.setdefault(tile_of_name(each.name), Places()).weights.append(each)
        else:
            found.setdefault(tile_of_name(path.name), Places()).scratch.append(path)
    return found, unknown


def cube_places(workspace: "Workspace", tile: str | None) -> list[Path]:
    """What there is in ``cubes/`` of a tile, now."""
    of_cubes = (path for path in _children(workspace.cubes) if _is_of_cube(path.name))
    return [path for path in of_cubes if tile_of_name(path.name) == tile]


def find_pointed(workspace: "Workspace") -> frozenset[str]:
    """Local files that any item points to, and the folders that they are in."""
    return frozenset(chain.from_iterable(map(_hrefs, workspace.documents(Query(limit=1000)))))


def tile_debris(
    workspace: "Workspace", places: Places, known: Known, unknown: list[Path]
) -> Iterator[Debris]:
    """What there is of a tile -> what of it is debris; what is not known is added to ``unknown``."""
    yield from _cube_debris(workspace, places.cubes, known, unknown)
    for path in places.products:
        yield from _product_debris(workspace, path, known, unknown)
    for path in places.scratch:
        yield from _scratch_debris(workspace, path, known, unknown)
    for path in places.weights:
        for file in _children(path) if _is_folder(path) else [path]:
            if TEMPORARY.fullmatch(file.name):
                yield _debris("temporary file", file)
            elif re.fullmatch(FINGERPRINT.pattern + r"\.npy", file.name):
                yield _debris("cloud weights", file)
            else:
                unknown.append(file)


def tile_of_name(name: str) -> str | None:
    """Name of a cube or item -> its tile, if it begins with one."""
    found = TILE.match(name)
    return None if found is None else found[1]


def _is_of_cube(name: str) -> bool:
    is_named = any(pattern.fullmatch(name) for pattern in (STORE, SIDE, UNFINISHED))
    return is_named and tile_of_name(name) is not None


# --- cubes ----------------------------------------------------------------------------------------


def _cube_debris(
    workspace: "Workspace", paths: Sequence[Path], known: Known, unknown: list[Path]
) -> Iterator[Debris]:
    stores: dict[str, dict[int, Path]] = {}
    for path in paths:
        found = STORE.fullmatch(path.name)
        if found is not None and _is_folder(path):
            stores.setdefault(found[1], {})[int(found[2] or 1)] = path
        elif found is not None:
            unknown.append(path)
        elif UNFINISHED.fullmatch(path.name):
            yield _debris("unfinished cube", path)
    kept: set[Path] = set()
    for name, generations in stores.items():
        here = _in_force(workspace, name, generations)
        for generation, path in sorted(generations.items()):
            is_next = generation > here and known.extending
            if generation == here or is_next or str(path) in known.pointed:
                kept.add(path)
            elif any(_foreign(path)):
                unknown += _foreign(path)
                kept.add(path)
            else:
                yield _store_debris(path, generations[here])
    for path in paths:
        yield from _side_debris(path, kept, set(paths))
    for path in sorted(kept):
        yield from _inside(path)


def _in_force(workspace: "Workspace", name: str, generations: Mapping[int, Path]) -> int:
    """The generation that the item names; without one the latest, which the next run goes on with."""
    for item in workspace.catalog.find(name):
        if item["collection"] == CUBES:
            hrefs = set(_hrefs(item))
            for generation, path in generations.items():
                if str(path) in hrefs:
                    return generation
    return max(generations)


def _foreign(store: Path) -> list[Path]:
    """Files in a store that nothing of ours puts there."""
    return [
        path
        for path in _children(store)
        if not _is_folder(path) and path.name != "zarr.json" and not TEMPORARY.fullmatch(path.name)
    ]


def _store_debris(path: Path, in_force: Path) -> Debris:
    # The groups of a store are written when it is made, and never again.
    made = [group.stat().st_mtime for group in in_force.glob("*/zarr.json")]
    sums, lock = (path.with_name(f"{path.name}.{side}") for side in ("sums", "lock"))
    pixels = [each for each in (path, sums) if each.exists()]
    # Looking for debris makes the lock: its age says nothing.
    used = max([*map(_used, pixels), *made])
    parts = (*pixels, lock) if lock.exists() else tuple(pixels)
    return Debris("former cube", path, parts, sum(map(_size, parts)), used)


def _side_debris(path: Path, kept: Collection[Path], there: Collection[Path]) -> Iterator[Debris]:
    """Staged dates; checksums and locks of stores that are not there."""
    found = SIDE.fullmatch(path.name)
    if found is None:
        return
    store = path.with_name(found[1])
    if found[2] == "stage":
        if not _is_folder(path) or not any(path.iterdir()):
            yield _debris("staged dates", path)
        for date in _children(path) if _is_folder(path) else ():
            yield _debris("staged date", date)
    elif store not in there and store not in kept:
        yield _debris("checksums of no cube" if found[2] == "sums" else "lock of no cube", path)


def _inside(store: Path) -> Iterator[Debris]:
    """What belongs to no date of a store, and files that were being written into it."""
    folders = [store, store.with_name(f"{store.name}.sums")]
    try:
        cube = open_store(store)
    except StoreError:
        return  # `verify` says so; whatever is in there may be wanted to restore it
    for path in uncommitted(cube):
        yield _debris("uncommitted slot", path)
    for folder in chain(folders, _groups(cube)):
        for path in _children(folder):
            if TEMPORARY.fullmatch(path.name) and not _is_folder(path):
                yield _debris("temporary file", path)


def _groups(cube: Cube) -> Iterator[Path]:
    """Folders of a store that commits write into, but for the slots themselves."""
    for group in cube.spec.groups:
        yield cube.path / group
        for array in _children(cube.path / group):
            if _is_folder(array):
                yield array
                yield from (array / "c" for name in ("time", "valid") if array.name == name)


# --- products and scratch -------------------------------------------------------------------------


def _product_debris(
    workspace: "Workspace", path: Path, known: Known, unknown: list[Path]
) -> Iterator[Debris]:
    """Folders of fingerprints that no item points to; files half-written in the others."""
    items = [i for i in workspace.catalog.find(path.name) if i["collection"] == path.parent.name]
    here = set(chain.from_iterable(map(_hrefs, items))) | {
        # A workspace that was moved: its items point elsewhere, yet this is what they mean.
        str(path / str(item["properties"].get("clearcube:fingerprint", "-")))
        for item in items
    }
    folders = [each for each in _children(path) if _is_folder(each)]
    written = {each: _used(each, with_reads=False) for each in folders}
    for each in _children(path):
        if each not in folders or not FINGERPRINT.fullmatch(each.name):
            unknown.append(each)
            continue
        pointed = str(each) in known.pointed or str(each) in here
        files = _children(each)
        ours = [file for file in files if _is_of_product(path.name, file)]
        foreign = [f for f in files if f not in ours and str(f) not in here | known.pointed]
        unknown += foreign
        if pointed:
            halves = (file for file in ours if TEMPORARY.fullmatch(file.name))
            yield from (_debris("temporary file", file) for file in halves)
            continue
        if foreign and not ours:
            continue
        later = [time for other, time in written.items() if time > written[each]]
        since = min(later) if later else max(map(_updated, items), default=0.0)
        yield _debris("former product" if items else "unpublished product", each, ours, since=since)


def _is_of_product(item_id: str, file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    own = file.name.startswith(f"{item_id}_") and file.suffix in (".tif", ".png", ".npz")
    return own or file.name in (BLOCKS, ITEM) or TEMPORARY.fullmatch(file.name) is not None


def _scratch_debris(
    workspace: "Workspace", path: Path, known: Known, unknown: list[Path]
) -> Iterator[Debris]:
    """Blocks of items that are made, or that no run is going to go on with."""
    folders = [each for each in _children(path) if _is_folder(each)]
    unknown += [each for each in _children(path) if not FINGERPRINT.fullmatch(each.name)]
    made = {
        str(item["properties"].get("clearcube:fingerprint"))
        for item in workspace.catalog.find(path.name)
    }
    newest = max(folders, key=lambda each: _used(each, with_reads=False), default=None)
    for each in folders:
        if not FINGERPRINT.fullmatch(each.name):
            continue
        ours = [
            file
            for file in _children(each)
            if not _is_folder(file)
            and (file.suffix in WAITING or TEMPORARY.fullmatch(file.name) is not None)
        ]
        foreign = [file for file in _children(each) if file not in ours]
        unknown += foreign
        if each == newest and path.name in known.waiting and each.name not in made:
            halves = (file for file in ours if TEMPORARY.fullmatch(file.name))
            yield from (_debris("temporary file", file) for file in halves)
        elif ours or not foreign:
            yield _debris("scratch", each, ours)


# --- what is where --------------------------------------------------------------------------------


def _unknown_at_top(workspace: "Workspace") -> Iterator[Path]:
    root, store = workspace.settings.workspace.resolve(), workspace.products.parent
    own = r"catalog\.db(-wal|-shm|-journal)?|clearcube\.toml|runs"
    made = r"cubes|products|scratch"
    for folder in {root, store}:
        names = "|".join([own] * (folder == root) + [made] * (folder == store))
        yield from (p for p in _children(folder) if not re.fullmatch(names, p.name))
    ours = r".+\.jsonl|.+\.lock|schedule\.db(-wal|-shm|-journal)?"
    yield from (p for p in _children(workspace.runs) if not re.fullmatch(ours, p.name))


def _hrefs(item: Document) -> Iterator[str]:
    for asset in item["assets"].values():
        path = Path(str(asset["href"]))
        if path.is_absolute():
            yield str(path)
            yield str(path.parent)


def _debris(
    kind: str, path: Path, parts: Sequence[Path] | None = None, *, since: float = 0.0
) -> Debris:
    parts = (path,) if parts is None else tuple(parts)
    size = sum(_size(part) for part in parts)
    used = max([since, *(_used(part) for part in parts or (path,))])
    return Debris(kind, path, parts, size, used)


def _size(path: Path) -> int:
    return sum(found.st_size for _, found in _walk(path))


def _used(path: Path, *, with_reads: bool = True) -> float:
    """When a file, or the last of a tree, was written or read.

    Systems note reads once a day at least, which is as exact as the age that is asked by default.
    """
    times = [0.0]
    for is_folder, found in _walk(path):
        times.append(found.st_mtime)
        if with_reads and not is_folder:
            times.append(found.st_atime)
    return max(times)


def _walk(path: Path) -> Iterator[tuple[bool, os.stat_result]]:
    """A file, or every file and folder of a tree; links are not followed."""
    try:
        found = path.lstat()
        yield _is_folder(path), found
        entries = _children(path) if _is_folder(path) else []
    except FileNotFoundError:
        return
    for each in entries:
        yield from _walk(each)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _updated(item: Document) -> float:
    text = item["properties"].get("updated")
    return instant(text).timestamp() if isinstance(text, str) else 0.0
