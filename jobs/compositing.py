"""What workers do for a product of periods: weights of a date, layers of a block, files of a layer."""

import functools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from catalog.fingerprint import fingerprint
from cube.bands import REFLECTANCE_NODATA
from cube.colours import stretched
from cube.decoding import MaskReading, mask_group, read_classes
from cube.errors import CubeError, StoreError
from cube.facts import DateFacts
from cube.grid import Block, Extent
from cube.joined import open_masked
from cube.nearness import Nearness
from cube.periods import Period
from cube.rasters import read_window, strips, write_cog, write_picture
from cube.spec import DateEntry
from cube.store import Cube
from jobs.block_dates import BlockDates, Shared
from jobs.decode_masks import VERSION as MASK_VERSION
from jobs.product import SHARES, Layer, Product
from jobs.registry import find_job
from jobs.runner.publish import checksum
from jobs.scratch import is_array, save

if TYPE_CHECKING:
    from pydantic import BaseModel

Array = npt.NDArray[Any]

STRIP = 1024
"""Rows of a mask decoded at once for the weights of a date: 11 MB of a whole tile at 10 m."""

BLOCKS = "blocks.json"
"""Beside the files of a product: what each of its blocks was made of."""


@dataclass(frozen=True, slots=True)
class WeightTask:
    """The cloud weight of one date."""

    store: str
    slot: int
    reading: MaskReading
    nearness: Nearness
    path: str


@dataclass(frozen=True, slots=True)
class Before:
    """What a period was made to before: blocks made of the same are taken from there."""

    folder: str
    """Where ``blocks.json`` is."""
    files: Mapping[str, tuple[str, str]]
    """Key of an asset -> its path and checksum."""


@dataclass(frozen=True, slots=True)
class PeriodTask:
    """One period of a block's work."""

    period: Period
    slots: tuple[int, ...]
    """Dates of the window in order of time."""
    folder: str
    """Where the blocks of the period wait to become assets."""
    before: Before | None = None
    facts: tuple[DateFacts, ...] = ()
    """One a slot, those that the product depends on; none for products without."""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """All periods of one block."""

    job: str
    request: Mapping[str, Any]
    """Parameters of the job."""
    store: str
    block: Block
    periods: tuple[PeriodTask, ...]
    reading: MaskReading
    weights: Mapping[int, str] = field(default_factory=dict)
    """Slot -> file of the date's gathered clouds; empty for products without."""


@dataclass(frozen=True, slots=True)
class AssetTask:
    """One file of one period."""

    folder: str
    layer: Layer
    group: str
    extent: Extent
    resolution: int
    factor: int
    blocks: tuple[Block, ...]
    path: str
    picture: tuple[str, str, str] | None = None
    """Layers shown as red, green and blue, where the file is a picture."""
    is_new: bool = False
    """Whether no item names the file: if it is there, an interrupted run of the same made it."""


def make_weights(task: WeightTask) -> None:
    """One date's decoded mask -> its gathered clouds, (n, h, w) in a file."""
    path = Path(task.path)
    if is_array(path):
        return
    cube = open_masked(task.store, task.reading)
    gathered = gathered_clouds(cube, cube.dates[task.slot], task.reading, task.nearness)
    save(path, lambda stream: np.save(stream, gathered))


def gathered_clouds(
    cube: Cube, entry: DateEntry, reading: MaskReading, nearness: Nearness
) -> npt.NDArray[np.generic]:
    """One date of a cube and its mask -> its gathered clouds, (n, h, w), decoded strip by strip."""
    group = mask_group(cube.spec, reading.encoding)
    height, width = cube.spec.shape(group)

    def rows(first: int, last: int) -> Array:
        window = (slice(first, last), slice(0, width))
        return nearness.hidden(read_classes(cube, [entry], reading, group, window)[0])

    return nearness.gather(
        ((first, rows(first, last)) for first, last in strips(height, STRIP)),
        (height, width),
        cube.spec.groups[group],
    )


def make_block(task: BlockTask) -> dict[str, dict[str, Any] | str]:
    """All dates of a block -> one file a period and group; returns counts and fingerprints.

    Periods are done one after the other, so that memory holds the dates of one window only, and
    one that fails (then its cause is returned) leaves the others be. What was finished before an
    interruption is not made again; what was made of the same before is taken from there.
    """
    job = find_job(task.job)
    if job.product is None:
        raise StoreError(f"job {task.job} declares no product")
    cube = open_masked(task.store, task.reading)
    params = job.params.model_validate(dict(task.request))
    found: dict[str, dict[str, Any] | str] = {}
    for part in task.periods:
        try:
            found[part.period.label] = _make_period(job.product, params, cube, task, part)
        except CubeError as error:
            found[part.period.label] = str(error)
    return found


def recipe_of(product: Product, job: str, reading: MaskReading, params: Any) -> str:
    """What all blocks of a request share -> 16 digits."""
    return fingerprint(
        {
            "job": job,
            "version": product.numbers(params),
            "parameters": product.parameters(params),
            "mask": [reading.encoding, reading.reading, reading.buffer, dict(reading.options)],
            "decoding": MASK_VERSION,
        }
    )


def write_file(task: AssetTask) -> dict[str, Any]:
    """The blocks of a layer (or of the three of a picture) -> its file; returns its fields."""
    path = Path(task.path)
    if task.is_new and _is_of_this_run(task, path):
        return file_fields(path)  # files appear whole
    if task.picture is not None:
        write_picture(path, _pictured(task, task.picture))
        return file_fields(path)
    layer = task.layer
    write_cog(
        path,
        task.extent.geobox(task.resolution),
        lambda first, last: _assembled(task, layer.name, first, last),
        dtype=layer.dtype,
        nodata=layer.nodata,
        scale=layer.scale,
        description=layer.asset,
        colours=layer.colours,
        average=layer.average,
    )
    return file_fields(path)


def true_colour(dn: Array) -> Array:
    """(y, x, 3) int16 red, green, blue -> (y, x, 4) uint8, transparent where there is nodata."""
    seen = (dn != REFLECTANCE_NODATA).all(axis=-1)
    colours = np.zeros((*dn.shape[:2], 4), np.uint8)
    colours[..., :3] = stretched(dn)
    colours[..., 3] = np.where(seen, 255, 0)
    return colours


def file_fields(path: Path) -> dict[str, Any]:
    """Written file -> its href, size and checksum as an asset says them."""
    return {"href": str(path), "file:size": path.stat().st_size, "file:checksum": checksum(path)}


def block_path(folder: str, group: str, block: Block) -> Path:
    """Where the layers of a block wait; the name holds place and size, so that cuts do not mix."""
    return Path(folder) / f"{block_name(group, block)}.layers"


def block_name(group: str, block: Block) -> str:
    """A block of a group in ``blocks.json``."""
    return f"{group}-{block.y0}-{block.x0}-{block.height}-{block.width}"


# --- a block --------------------------------------------------------------------------------------


def _make_period(
    product: Product, params: "BaseModel", cube: Cube, task: BlockTask, part: PeriodTask
) -> dict[str, Any]:
    entries = tuple(cube.dates[slot] for slot in part.slots)
    nearness = product.nearness(params)
    tallies: dict[str, list[int]] = {}
    records: dict[str, dict[str, Any]] = {}
    shares: dict[str, dict[str, int]] = {}
    taken = 0
    shared = Shared()
    for group in cube.spec.groups:
        layers = product.layers(cube.spec, entries, group, params)
        if not layers:
            continue
        files = tuple(task.weights[slot] for slot in part.slots) if nearness else ()
        dates = BlockDates(
            cube,
            group,
            task.block,
            part.period,
            entries,
            task.reading,
            nearness,
            files,
            part.facts,
            shared,
        )
        reads = product.reads(cube.spec, entries, group, params)
        recipe = recipe_of(product, task.job, task.reading, params)
        name = block_name(group, task.block)
        made_of = dates.fingerprint(recipe, reads)
        path = block_path(part.folder, group, task.block)
        made = _read_layers(path)
        if made is None:
            before = _before(part.before, name, made_of, dates, layers)
            taken += before is not None
            made = before or product.compose(dates, params)
            save(path, partial(_write_layers, layers=made))
        tallies[group] = list(product.tally(made))
        shares[group] = _by_time(entries, made.get(SHARES))
        records[name] = {"made_of": made_of, SHARES: shares[group]}
    return {"counts": tallies, SHARES: shares, "records": records, "taken": taken}


def _by_time(entries: Sequence[DateEntry], shares: Array | None) -> dict[str, int]:
    """What each date gives to a block -> the same by its time; dates that give nothing left out."""
    if shares is None:
        return {}
    pairs = zip(entries, shares.tolist(), strict=True)
    return {str(entry.time): int(share) for entry, share in pairs if share}


def _before(
    before: Before | None, name: str, made_of: str, dates: BlockDates, layers: Sequence[Layer]
) -> dict[str, Array] | None:
    """Layers of a block as they were made before, where they were made of the same."""
    record = {} if before is None else _records(before.folder).get(name, {})
    # The record of another version may be a text.
    if before is None or not made_of or not isinstance(record, dict):
        return None
    if record.get("made_of") != made_of:
        return None
    found: dict[str, Array] = {}
    for layer in layers:
        path, digest = before.files.get(layer.asset, ("", ""))
        if not path or not _is_intact(path, digest, _times(path)):
            return None
        try:
            found[layer.name] = read_window(path, dates.window)
        except CubeError:
            return None  # then it is made again
    # By time: dates without a pixel here may have come or gone in between.
    given = record.get(SHARES, {})
    found[SHARES] = np.array([given.get(str(e.time), 0) for e in dates.entries], np.int64)
    return found


@functools.lru_cache(maxsize=64)
def _records(folder: str) -> Mapping[str, Any]:
    try:
        found = json.loads((Path(folder) / BLOCKS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@functools.lru_cache(maxsize=256)
def _is_intact(path: str, digest: str, _as_of: tuple[int, int]) -> bool:
    """Whether a file is what the item says: damage must not be handed on as something new."""
    try:
        return checksum(Path(path)) == digest
    except OSError:
        return False


def _times(path: str) -> tuple[int, int]:
    """Size and time of a file, so that it is looked at again when it changed."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


# --- a file ---------------------------------------------------------------------------------------


def _is_of_this_run(task: AssetTask, path: Path) -> bool:
    """Whether a file was written from the blocks that wait, by a run that was cut short.

    One that is older is a former result's: nobody has looked after it since.
    """
    blocks = (block_path(task.folder, task.group, block) for block in task.blocks)
    try:
        return path.stat().st_mtime_ns >= max(block.stat().st_mtime_ns for block in blocks)
    except OSError:
        return False


def _pictured(task: AssetTask, names: tuple[str, str, str]) -> Array:
    height, width = task.extent.shape(task.resolution)
    step = max(1, max(height, width) // 512)
    parts = [
        np.stack([_assembled(task, name, a, b)[::step, ::step] for name in names], axis=-1)
        for a, b in strips(height, step * max(1, 512 // step))
    ]
    return true_colour(np.concatenate(parts))


def _assembled(task: AssetTask, name: str, first: int, last: int) -> Array:
    """Rows of a layer -> ``(rows, x)``, from the blocks that lie there."""
    width = task.extent.shape(task.resolution)[1]
    nodata = 0 if task.layer.nodata is None else task.layer.nodata
    out: Array = np.full((last - first, width), nodata, task.layer.dtype)
    for block in task.blocks:
        rows, columns = block.window(task.factor)
        top, bottom = max(rows.start, first), min(rows.stop, last)
        if top >= bottom:
            continue
        made = _read_layer(block_path(task.folder, task.group, block), name)
        if made is not None:
            part = made[top - rows.start : bottom - rows.start]
            out[top - first : bottom - first, columns] = part
    return out


def _write_layers(stream: BinaryIO, layers: Mapping[str, Array]) -> None:
    """Layers of a block one behind the other, after a line that says which they are."""
    stream.write(json.dumps({k: [v.dtype.str, v.shape] for k, v in layers.items()}).encode())
    stream.write(b"\n")
    for layer in layers.values():
        stream.write(np.ascontiguousarray(layer).data)


def _read_layers(path: Path) -> dict[str, Array] | None:
    """Every layer of a block; None where it is not made yet, or cannot be read and is made again."""
    try:
        with path.open("rb") as stream:
            names = list(json.loads(stream.readline()))
        found = {name: _read_layer(path, name) for name in names}
    except (OSError, ValueError):
        return None
    return {name: layer for name, layer in found.items() if layer is not None}


def _read_layer(path: Path, name: str) -> Array | None:
    """One layer of a block; the others stay on the disk. None where there is none of that name."""
    with path.open("rb") as stream:
        for key, (dtype, shape) in json.loads(stream.readline()).items():
            size = np.dtype(dtype).itemsize * math.prod(shape)
            if key == name:
                return np.frombuffer(stream.read(size), dtype).reshape(shape)
            stream.seek(size, os.SEEK_CUR)
    return None
