"""One date of masks that were found along time, on a worker: into their store, and into files."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cube.checksums import combined
from cube.classes import CLASSES, NO_OBSERVATION, palette
from cube.errors import StoreError
from cube.grid import Extent
from cube.joined import GROUP, MASK
from cube.rasters import strips, write_cog, write_picture
from cube.spec import Spec
from cube.store import StagedDate, open_store
from jobs.memory import SMALL
from jobs.runner.publish import checksum

Bytes = NDArray[np.uint8]

RESOLUTION = 20
"""Metres."""

PICTURE = 512
"""Pixels along the longer side of a thumbnail, at most."""


AT_ONCE = 2 << 20
"""Pixels that a unit finishes, if no single date has more: handing a unit out takes as long as a date
of some hundred thousand pixels."""

MOST_AT_ONCE = 8
"""Dates of a unit, at most: they are lost together where its worker is."""


class Planes(Protocol):
    """Where the pixels of one date wait."""

    def read(self) -> Mapping[str, Bytes]:
        """``mask`` (classes) and, of methods that have them, ``bits``: (y, x) of the whole extent."""


@dataclass(frozen=True, slots=True)
class MaskDateTask:
    """What a worker needs to finish one date."""

    store: str
    spec: Spec
    """Of the store."""
    time: int
    """Milliseconds since 1970-01-01, UTC."""
    item_id: str
    folder: str
    """Holds a folder for each content that the item has had."""
    planes: Planes
    before: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Path and checksum of the files that the catalogue names."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Key of a further asset -> the file to be handed over."""


def date_bytes(spec: Spec) -> int:
    """Store -> bytes to finish one date: its planes, a second time while shards are written.

    A method that finishes whole dates holds classes three times, and distances of two bytes.
    """
    height, width = spec.shape(GROUP)
    return max(2 * (len(spec.variables) + 1), 5) * height * width + SMALL


def dates_at_once(spec: Spec, dates: int, workers: int) -> int:
    """Store, dates that are due, workers -> dates of a unit; every worker has some units to take."""
    height, width = spec.shape(GROUP)
    return max(1, min(MOST_AT_ONCE, AT_ONCE // (height * width), dates // (4 * workers)))


def write_dates(tasks: Sequence[MaskDateTask]) -> dict[str, dict[str, Any]]:
    """Some dates, one after the other -> what they hold, by the ids of their masks."""
    return {task.item_id: write_date(task) for task in tasks}


def write_date(task: MaskDateTask) -> dict[str, Any]:
    """The planes of one date -> staged for the store, COGs and a thumbnail; says what they hold.

    Pixels that the store holds already are not staged again, and files that hold them are kept.
    """
    planes = task.planes.read()
    content = combined([f"{task.time} {task.spec.extent}", *(planes[n] for n in sorted(planes))])
    known = {(entry.time, entry.key) for entry in open_store(task.store).valid_dates}
    if (task.time, content) not in known:
        _stage(task, content, planes)
    handed = [checksum(Path(path)) for _, path in sorted(task.beside.items())]
    # What is handed over may differ where the pixels do not: nothing of before is written over.
    folder = Path(task.folder) / (combined([content, *handed]) if handed else content)
    files = {
        name: _kept(task, folder / f"{task.item_id}_{name}.tif")
        or _write(folder / f"{task.item_id}_{name}.tif", task.spec.extent, name, plane)
        for name, plane in planes.items()
    }
    picture = folder / f"{task.item_id}_thumbnail.png"
    if _kept(task, picture) is None:
        _draw(picture, planes[MASK])
    files["thumbnail"] = picture
    for key, path in task.beside.items():
        files[key] = folder / f"{task.item_id}_{key}{Path(path).suffix}"
        _hand_over(Path(path), files[key])
    return {
        "key": content,
        "counts": _counts(planes[MASK]),
        "checksum": _classes_checksum(planes[MASK]),
        "files": {key: _fields(path) for key, path in files.items()},
    }


def _stage(task: MaskDateTask, key: str, planes: Mapping[str, Bytes]) -> None:
    staged = StagedDate(task.store, task.spec, key)
    try:
        for variable in task.spec.variables:
            plane, side = planes[variable.name], task.spec.shard(GROUP)
            for y0 in range(0, plane.shape[0], side):
                for x0 in range(0, plane.shape[1], side):
                    staged.write(variable, y0, x0, plane[y0 : y0 + side, x0 : x0 + side])
        staged.close()
    except StoreError:
        staged.discard()
        raise


def _kept(task: MaskDateTask, path: Path) -> Path | None:
    """A file that the catalogue names and that is still what it says; else None."""
    named = dict(task.before.values())
    try:
        return path if named.get(str(path)) == checksum(path) else None
    except OSError:
        return None


def _write(path: Path, extent: Extent, name: str, plane: Bytes) -> Path:
    is_mask = name == MASK
    write_cog(
        path,
        extent.geobox(RESOLUTION),
        lambda first, last: plane[first:last],
        dtype="uint8",
        nodata=NO_OBSERVATION if is_mask else None,
        colours=palette() if is_mask else None,
        average=False,
    )
    return path


def _hand_over(source: Path, target: Path) -> None:
    """A file that waits beside -> its place among the item's, whole or not at all."""
    fresh = target.with_name(f".{target.name}.new")
    try:
        shutil.copyfile(source, fresh)
        fresh.replace(target)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error


def _draw(path: Path, plane: Bytes) -> None:
    # Every so many pixels, never a blend of classes.
    step = -(-max(plane.shape) // PICTURE)
    write_picture(path, plane[::step, ::step], [each.colour for each in CLASSES])


def _counts(plane: Bytes) -> list[int]:
    counts = [0] * len(CLASSES)
    for part in _strips(plane):
        for each in CLASSES:
            counts[each.code] += int(np.count_nonzero(part == each.code))
    return counts


def _classes_checksum(plane: Bytes) -> str:
    """As of every mask: what uses classes alone is stale only where these change."""
    digest = hashlib.sha256(f"{plane.shape[0]} {plane.shape[1]}".encode())
    for part in _strips(plane):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:16]


def _strips(plane: Bytes) -> Iterator[Bytes]:
    for first, last in strips(plane.shape[0]):
        yield plane[first:last]


def _fields(path: Path) -> dict[str, Any]:
    return {"href": str(path), "file:size": path.stat().st_size, "file:checksum": checksum(path)}
