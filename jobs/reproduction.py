"""An item made again from what it records of its inputs and parameters, and compared with it.

It is made in a workspace of its own, whose catalogue holds the recorded scenes and nothing else: what
came since, what was rejected or superseded since, and the variants of today change nothing there.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from catalog import collections
from catalog.backends.base import Document
from catalog.deliveries import REJECTED, SUPERSEDED_BY
from catalog.products.folder import zip_member
from catalog.search import tile_of
from cube.grid import Extent
from cube.spec import DateEntry, Spec
from cube.store import Cube, create_cube, open_store
from jobs.dates import time_of
from jobs.errors import RequestError, WorkspaceError
from jobs.item_names import find_item
from jobs.job import Job
from jobs.lineage import GONE, Key, Source, key_of, source_item, sources_of
from jobs.registry import find_job, job_names
from jobs.requests import parse_request
from jobs.runner.progress import Progress
from jobs.runner.publish import checksum, published
from jobs.stores import COLLECTION as CUBES
from jobs.stores import cube_id, cube_store, generation_path, source_of
from jobs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Part:
    """One asset of an item, or one date of a cube, beside what was made again."""

    name: str
    same: bool
    """Whether it came out as the item records it."""
    intact: bool = True
    """Whether the catalogued file is what the item records; always so of a cube's dates."""
    note: str = ""
    """In what it differs."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "same": self.same, "intact": self.intact, "note": self.note}


@dataclass(frozen=True, slots=True)
class Reproduction:
    """An item beside what was made again."""

    collection: str
    item_id: str
    parts: Sequence[Part]
    kept: Path | None = None
    """Workspace that holds what was made, where it was to be kept."""

    @property
    def same(self) -> bool:
        """Whether all came out as recorded, and the catalogued files are that still."""
        return all(part.same and part.intact for part in self.parts)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.item_id,
            "collection": self.collection,
            "same": self.same,
            "parts": [part.document() for part in self.parts],
            "kept": None if self.kept is None else str(self.kept),
        }


def reproduce(
    workspace: Workspace,
    name: str,
    *,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """``ID`` or ``COLLECTION/ID`` of a derived item -> how it compares with itself made again.

    ``keep`` is a directory, new or empty, for the workspace that it is made in; without it that is
    a temporary one. ``RequestError`` names what it takes to make it again and is not there any more:
    an input, the files or the delivery of one, the version of the job.
    """
    from jobs.runner.run import Session

    item = find_item(workspace, name)
    job, request = _recorded_job(item)
    tile = tile_of(item)
    if tile is None:
        raise RequestError(f"{item['id']} is of no tile: it cannot be made again")
    scenes = _scenes(workspace, item)
    specs = {level: _spec(workspace, item, tile, level) for level in _levels(scenes)}
    for scene in scenes:
        _require_files(scene, specs[scene["properties"]["clearcube:level"]], item)
    if item["collection"] == CUBES:
        _require_versions(item, scenes)
    with _beside(workspace, keep) as other:
        collections.publish(other.catalog, [_unmarked(scene) for scene in scenes])
        for level, spec in specs.items():
            create_cube(generation_path(other, cube_id(other, tile, level), 1), spec)
        with Session(other, progress or Progress(quiet=True)) as session:
            outcome = session.run(job.name, request)
        if outcome.failures:
            raise RequestError(f"{item['id']} cannot be made again: {outcome.causes}")
        if item["collection"] == CUBES:
            parts = list(_compare_dates(item, _made_cube(other, item, tile)))
        else:
            made = _made_item(other, item)
            _require_recipe(item, made)
            changed = _require_inputs(workspace, other, item, made, specs)
            parts = [*changed, *_compare_assets(item, made)]
    return Reproduction(item["collection"], item["id"], parts, keep)


# --- what it takes --------------------------------------------------------------------------------


def _recorded_job(item: Document) -> tuple[Job, dict[str, Any]]:
    """Job and request of an item; ``RequestError`` where this program is not what made it."""
    properties, name = item["properties"], item["id"]
    job_name = properties.get("clearcube:job")
    if job_name is None:
        raise RequestError(f"{name} was not made here: give a cube, a mask or a synthesis")
    if job_name not in job_names():
        raise RequestError(f"{name} was made by job {job_name}, which is not installed here")
    request = dict(properties.get("clearcube:request", {}))
    if not request:
        raise RequestError(f"{name} does not record how it was asked for; make it again first")
    job = find_job(job_name)
    params = parse_request(job, request)
    was, now = properties.get("processing:version"), _version(job, params)
    if was != now:
        raise RequestError(
            f"{name} was made by version {was} of {job_name}, this is version {now}; "
            "reproduce it with the clearcube that made it"
        )
    return job, request | _mask_settings(job, properties)


def _version(job: Job, params: BaseModel) -> str:
    if job.product is not None:
        return job.product.numbers(params)
    return job.version if job.numbers is None else job.numbers(params)


def _mask_settings(job: Job, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a named mask: a request has the name only, which may mean another by now."""
    variant = str(properties.get("clearcube:request", {}).get("mask", "")).partition(":")[2]
    settings = properties.get("clearcube:parameters", {}).get("mask_parameters")
    return {"mask_options": settings} if job.product and variant and settings else {}


def _scenes(workspace: Workspace, item: Document) -> list[Document]:
    """Scenes that an item was made from, itself or by way of its inputs, each once."""
    found: dict[Key, Document] = {}
    waiting, seen = [item], {key_of(item)}
    while waiting:
        one = waiting.pop()
        for source in sources_of(one):
            if source.version is None:
                continue  # others stand for it
            document = source_item(workspace, source)
            if document is not None and "clearcube:job" not in document["properties"]:
                found[key_of(document)] = document
            elif document is not None and key_of(document) not in seen:
                seen.add(key_of(document))
                waiting.append(document)
            elif document is None and not _is_mask(source):
                raise RequestError(f"{item['id']}: input {source.item_id} is {GONE}; ingest it")
    if not found:
        raise RequestError(f"{item['id']} records no scene that it was made from")
    return sorted(found.values(), key=lambda scene: str(scene["id"]))


def _is_mask(source: Source) -> bool:
    """Whether a source can be done without, as what it was made from is recorded beside it."""
    return source.collection.startswith("cloud-mask-")


def _levels(scenes: "Iterable[Document]") -> list[str]:
    return sorted({str(scene["properties"].get("clearcube:level")) for scene in scenes})


def _spec(workspace: Workspace, item: Document, tile: str, level: str) -> Spec:
    """What the cube of a level was made as when the item was: of today, but for its extent."""
    path = cube_store(workspace, tile, level)
    if item["collection"] == CUBES:
        path = Path(next(iter(item["assets"].values()))["href"])
    if path is None or not path.is_dir():
        raise RequestError(f"{item['id']}: the {level} cube of tile {tile} is gone")
    spec = open_store(path).spec
    return replace(spec, extent=_extent(item) or spec.extent, generation=1)


def _extent(item: Document) -> Extent | None:
    """Extent of the rasters of an item; None where they do not say it."""
    for asset in item["assets"].values():
        code = str(asset.get("proj:code", item["properties"].get("proj:code", "")))
        if "proj:transform" in asset and "proj:shape" in asset and code.startswith("EPSG:"):
            size, _, left, _, _, top = map(int, asset["proj:transform"][:6])
            rows, columns = asset["proj:shape"]
            epsg = int(code.removeprefix("EPSG:"))
            return Extent(epsg, left, top - rows * size, left + columns * size, top)
    return None


def _require_files(scene: Document, spec: Spec, item: Document) -> None:
    """``RequestError`` where a local file that the cube is loaded from is gone."""
    wanted = {variable.asset for variable in spec.variables}
    for key, asset in scene["assets"].items():
        path = _local(asset) if key in wanted else None
        if path is not None and not path.exists():
            raise RequestError(f"{item['id']}: {path} of input {scene['id']} is gone")


def _local(asset: Mapping[str, Any]) -> Path | None:
    href = str(asset.get("clearcube:file") or asset["href"])
    packed = zip_member(href)
    if packed is not None:
        href = packed[0]
    return Path(href) if href.startswith("/") and not href.startswith("/vsi") else None


def _require_versions(item: Document, scenes: "Iterable[Document]") -> None:
    """``RequestError`` where a scene of a cube was delivered again since it was loaded."""
    recorded = item["properties"]["clearcube:inputs"]
    for scene in scenes:
        name, now = scene["id"], source_of(scene)["version"]
        if recorded[name] != now:
            raise RequestError(
                f"{item['id']}: input {name} was delivered again since: the cube holds version "
                f"{recorded[name]}, the catalogue version {now}"
            )


# --- where it is made -----------------------------------------------------------------------------


@contextmanager
def _beside(workspace: Workspace, keep: Path | None) -> Iterator[Workspace]:
    """A workspace with the settings of another, but for all that says where things are."""
    with tempfile.TemporaryDirectory(prefix="clearcube-reproduce-") as temporary:
        path = Path(temporary) if keep is None else _new(keep)
        where = {"workspace": path.resolve(), "catalog": "", "store": ""}
        with Workspace(workspace.settings.model_copy(update=where)) as other:
            yield other


def _new(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise RequestError(f"{path} is not empty: give a directory that is, or a new one")
    except OSError as error:
        raise WorkspaceError(f"cannot make {path}: {error.strerror or error}") from error
    return path


def _unmarked(scene: Document) -> Document:
    properties = {
        name: value
        for name, value in scene["properties"].items()
        if name not in (REJECTED, SUPERSEDED_BY)
    }
    return {**scene, "properties": properties}


def _made_item(other: Workspace, item: Document) -> Document:
    made = published(other, item["collection"], item["id"])
    if made is None:
        raise RequestError(f"{item['id']}: its request does not make an item of this name any more")
    return made


def _made_cube(other: Workspace, item: Document, tile: str) -> Cube:
    path = cube_store(other, tile, str(item["properties"]["clearcube:cube_level"]))
    if path is None:
        raise RequestError(f"{item['id']}: its request does not make a cube any more")
    return open_store(path)


# --- what came of it ------------------------------------------------------------------------------


def _require_recipe(item: Document, made: Document) -> None:
    """``RequestError`` where the request of an item means other parameters than it was made with."""
    was, now = (one["properties"].get("clearcube:parameters", {}) for one in (item, made))
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            raise RequestError(
                f"{item['id']} was made with {name} {was.get(name)}, its request now means "
                f"{now.get(name)}"
            )


def _require_inputs(
    workspace: Workspace,
    other: Workspace,
    item: Document,
    made: Document,
    specs: Mapping[str, Spec],
) -> list[Part]:
    """Inputs that come out otherwise though the delivery is that of the cube.

    ``RequestError`` where one was delivered, or its mask made, otherwise than the item records.
    """
    was, now = (dict(one["properties"]["clearcube:inputs"]) for one in (item, made))
    pairs = [pair for level in specs for pair in _pairs(workspace, other, item, level)]
    keys = {name: fresh.key for fresh, _ in pairs for name in _ids(fresh)}
    unfaithful = {name for fresh, held in pairs for name in _ids(fresh) if _differing(held, fresh)}
    unfaithful |= set(_otherwise_decoded(workspace, other, made))
    scenes = {source.item_id for source in sources_of(item) if not _is_mask(source)}
    found: list[Part] = []
    # Scenes first: a mask differs where its scene does.
    for name in sorted(was.keys() | now.keys(), key=lambda each: (each not in scenes, each)):
        # Before cubes had checksums, the key of its date stood for a scene's pixels.
        if was.get(name) in (now.get(name), keys.get(name, "")):
            continue
        if name not in unfaithful and (name in scenes or not unfaithful):
            raise RequestError(f"{item['id']}: {_other_input(name, name in scenes, was, now)}")
        found.append(Part(name, same=False, note="this input comes out otherwise"))
    return found


def _otherwise_decoded(workspace: Workspace, other: Workspace, made: Document) -> Iterator[str]:
    """Derived inputs that were made of the same just so, and yet hold other values."""
    for source in sources_of(made):
        now, was = source_item(other, source), source_item(workspace, source)
        if now is None or was is None:
            continue
        if _property(now, "fingerprint") != _property(was, "fingerprint"):
            continue
        if _property(now, "checksum") != _property(was, "checksum"):
            yield source.item_id


def _property(item: Document, name: str) -> Any:
    return item["properties"].get(f"clearcube:{name}")


def _other_input(name: str, is_scene: bool, was: Mapping[str, str], now: Mapping[str, str]) -> str:
    if name not in was:
        return f"its request now takes {name} too"
    if name not in now:
        return f"its request does not take input {name} any more"
    what = "" if is_scene else "the scene of "
    return (
        f"{what}input {name} was delivered again since: checksum {was[name]} is recorded, "
        f"{now[name]} is what it gives now"
    )


def _pairs(
    workspace: Workspace, other: Workspace, item: Document, level: str
) -> Iterator[tuple[DateEntry, DateEntry]]:
    """Dates made again, each with that of the cube which was made from the same deliveries."""
    tile = str(tile_of(item))
    stores = cube_store(other, tile, level), cube_store(workspace, tile, level)
    if stores[0] is None or stores[1] is None:
        return
    held = {entry.key: entry for entry in open_store(stores[1]).dates}
    for fresh in open_store(stores[0]).valid_dates:
        if fresh.key in held:
            yield fresh, held[fresh.key]


def _ids(entry: DateEntry) -> list[str]:
    return [str(item["id"]) for item in entry.items]


def _differing(held: DateEntry, fresh: DateEntry) -> list[str]:
    """Variables of a date whose pixels differ."""
    names = held.checksums.keys() | fresh.checksums.keys()
    if not held.checksums:
        return []
    return sorted(name for name in names if held.checksums.get(name) != fresh.checksums.get(name))


def _compare_dates(item: Document, made: Cube) -> Iterator[Part]:
    """Dates in force of the cube, as recorded and as made again."""
    cube = open_store(Path(next(iter(item["assets"].values()))["href"]))
    fresh = {frozenset(_ids(entry)): entry for entry in made.valid_dates}
    for entry in cube.valid_dates:
        name = f"{time_of(entry):%Y-%m-%dT%H:%M:%SZ}"
        if not entry.checksums:
            raise RequestError(f"{item['id']} keeps no checksums of {name} to compare with")
        again = fresh.pop(frozenset(_ids(entry)), None)
        if again is None:
            yield Part(name, same=False, note="was not made again")
            continue
        names = _differing(entry, again)
        yield Part(name, not names, note=f"{' '.join(names)} differ" if names else "")
    for again in fresh.values():
        yield Part(f"{time_of(again):%Y-%m-%dT%H:%M:%SZ}", same=False, note="was not made before")


def _compare_assets(item: Document, made: Document) -> Iterator[Part]:
    """Assets of an item, as recorded, as catalogued and as made again."""
    was, now = item["assets"], made["assets"]
    for key in sorted(was.keys() | now.keys()):
        if key not in was or key not in now:
            missing = "was not made again" if key in was else "was not made before"
            yield Part(key, same=False, note=missing)
            continue
        recorded = was[key].get("file:checksum")
        if recorded is None:
            yield Part(key, same=False, note="no checksum is recorded")
            continue
        same = now[key].get("file:checksum") == recorded
        fault = _fault(Path(was[key]["href"]), recorded)
        notes = ([] if same else ["comes out otherwise"]) + ([fault] if fault else [])
        yield Part(key, same, intact=not fault, note="; ".join(notes))


def _fault(path: Path, recorded: str) -> str:
    """What is wrong with a catalogued file; empty where nothing is."""
    try:
        found = checksum(path)
    except OSError as error:
        return f"the catalogued file cannot be read: {error.strerror or error}"
    return "" if found == recorded else "the catalogued file is not what was recorded"
