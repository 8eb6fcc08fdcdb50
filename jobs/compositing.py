"""What workers do for a synthesis: weights of a date, composites of a block, COGs of an asset."""

import io
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cube.bands import REFLECTANCE_NODATA
from cube.composite import EPOCH
from cube.decoding import MaskReading, mask_group, read_classes
from cube.errors import CubeError, StoreError
from cube.grid import Block, Extent
from cube.periods import Period
from cube.rasters import strips, write_cog, write_picture
from cube.store import Cube, DateEntry, open_store
from cube.synthesis import composite, method
from cube.weights import cloud_weight, coarse_cloud_weights, not_clear
from jobs.runner.publish import checksum

Array = npt.NDArray[Any]

STRIP = 1024
"""Rows of a mask decoded at once for the weights of a date: 11 MB of a whole tile at 10 m."""


@dataclass(frozen=True, slots=True)
class WeightTask:
    """The cloud weight of one date."""

    store: str
    slot: int
    reading: MaskReading
    method: str
    params: Mapping[str, Any]
    path: str


@dataclass(frozen=True, slots=True)
class PeriodTask:
    """One period of a block's work."""

    period: Period
    slots: tuple[int, ...]
    """Dates of the window in order of time."""
    folder: str
    """Where the blocks of the period wait to become assets."""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """All periods of one block."""

    store: str
    block: Block
    periods: tuple[PeriodTask, ...]
    reading: MaskReading
    method: str
    params: Mapping[str, Any]
    weights: Mapping[int, str]
    """Slot -> file of the date's coarse weights; empty for methods without."""


@dataclass(frozen=True, slots=True)
class AssetTask:
    """One file of one period."""

    folder: str
    layer: str
    group: str
    extent: Extent
    resolution: int
    factor: int
    blocks: tuple[Block, ...]
    path: str
    dtype: str
    nodata: float | None
    scale: float
    average: bool
    title: str


def make_weights(task: WeightTask) -> None:
    """One date's decoded mask -> its coarse blurred clouds, (2, h, w) float32 in a file."""
    path = Path(task.path)
    if path.exists():
        return
    cube = open_store(task.store)
    entry = cube.dates[task.slot]
    group = mask_group(cube.spec, task.reading.encoding)
    height, width = cube.spec.shape(group)
    params = method(task.method).params.model_validate(dict(task.params))

    def rows(first: int, last: int) -> Array:
        window = (slice(first, last), slice(0, width))
        return not_clear(read_classes(cube, [entry], task.reading, group, window)[0], params)  # type: ignore[arg-type]

    coarse = coarse_cloud_weights(
        ((first, rows(first, last)) for first, last in strips(height, STRIP)),
        (height, width),
        cube.spec.groups[group],
        params,  # type: ignore[arg-type]
    )
    _save(path, lambda stream: np.save(stream, coarse))


def composite_block(task: BlockTask) -> dict[str, dict[str, list[int]] | str]:
    """All dates of a block -> one file a period and group; returns pixels by status.

    Periods are done one after the other, so that memory holds the dates of one window only, and
    one that fails (then its cause is returned) leaves the others be. Whatever was finished before
    an interruption is not made again.
    """
    cube = open_store(task.store)
    found: dict[str, dict[str, list[int]] | str] = {}
    for part in task.periods:
        try:
            found[part.period.label] = _composite_period(cube, task, part)
        except CubeError as error:
            found[part.period.label] = str(error)
    return found


def _composite_period(cube: Cube, task: BlockTask, part: PeriodTask) -> dict[str, list[int]]:
    counts = {}
    for group in cube.spec.groups:
        path = block_path(part.folder, group, task.block)
        if not path.exists():
            layers = _composite_layers(cube, task, part, group)
            _save(path, partial(_write_layers, layers=layers))
        status = _read_layer(path, "status")
        if status is None:
            raise StoreError(f"{path} holds no status; remove it and run the same again")
        counts[group] = np.bincount(status.ravel(), minlength=5).tolist()
    return counts


def write_asset(task: AssetTask) -> dict[str, Any]:
    """The blocks of one layer -> a COG; returns its file fields."""
    path = Path(task.path)
    write_cog(
        path,
        task.extent.geobox(task.resolution),
        lambda first, last: _assembled(task, task.layer, first, last),
        dtype=task.dtype,
        nodata=task.nodata,
        scale=task.scale,
        description=task.title,
        average=task.average,
    )
    return file_fields(path)


def write_thumbnail(task: AssetTask) -> dict[str, Any]:
    """The blocks of red, green and blue -> a small picture; returns its file fields."""
    height, width = task.extent.shape(task.resolution)
    step = max(1, max(height, width) // 512)
    names = ("red", "green", "blue")
    parts = [
        np.stack([_assembled(task, name, a, b)[::step, ::step] for name in names], axis=-1)
        for a, b in strips(height, 512 * step)
    ]
    path = Path(task.path)
    write_picture(path, true_colour(np.concatenate(parts)))
    return file_fields(path)


def true_colour(dn: Array) -> Array:
    """(y, x, 3) int16 red, green, blue -> (y, x, 4) uint8, transparent where there is nodata.

    Reflectance 0 to 0.3 is stretched with a gamma of 1.6, which shows fields and forests alike.
    """
    seen = (dn != REFLECTANCE_NODATA).all(axis=-1)
    stretched = np.clip(dn / 3000.0, 0, 1) ** (1 / 1.6)
    colours = np.zeros((*dn.shape[:2], 4), np.uint8)
    colours[..., :3] = np.rint(stretched * 255)
    colours[..., 3] = np.where(seen, 255, 0)
    return colours


def file_fields(path: Path) -> dict[str, Any]:
    """Written file -> its href, size and checksum as an asset says them."""
    return {"href": str(path), "file:size": path.stat().st_size, "file:checksum": checksum(path)}


def block_path(folder: str, group: str, block: Block) -> Path:
    """Where the composite of a block waits."""
    return Path(folder) / f"{group}-{block.key}.layers"


def _composite_layers(
    cube: Cube, task: BlockTask, part: PeriodTask, group: str
) -> dict[str, Array]:
    window = task.block.window(cube.spec.factor(group))
    entries = [cube.dates[slot] for slot in part.slots]
    names = band_names(cube, entries, group)
    bands = {name: cube.read(group, name, part.slots, window) for name in names}
    shown = method(task.method)
    params = shown.params.model_validate(dict(task.params))
    made = composite(
        shown,
        params,
        part.period,
        bands,
        read_classes(cube, entries, task.reading, group, window),
        np.array([_day(entry) for entry in entries], np.int32),
        _weights(cube, task, part, group, window, params) if shown.weights_cloud else None,
        _blue(cube, task, part, group, bands),
    )
    layers: dict[str, Array] = {
        "weight": made.weight,
        "date": made.date,
        "status": made.status,
        "clear_count": made.clear_count,
        "total_count": made.total_count,
    }
    return {**made.bands, **layers}


def band_names(cube: Cube, entries: Sequence[DateEntry], group: str) -> list[str]:
    """Reflectance bands of a group that some date has."""
    held = {name for entry in entries for name in entry.variables}
    return [
        v.name
        for v in cube.spec.variables
        if v.group == group and v.kind == "reflectance" and v.name in held
    ]


def _weights(
    cube: Cube,
    task: BlockTask,
    part: PeriodTask,
    group: str,
    window: tuple[slice, slice],
    params: Any,
) -> Array:
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    out = np.empty((len(part.slots), *shape), np.float32)
    for index, slot in enumerate(part.slots):
        coarse = _load_weights(task.weights[slot])
        out[index] = cloud_weight(
            coarse, rows.start, columns.start, shape, cube.spec.groups[group], params
        )
    return out


def _load_weights(path: str) -> Array:
    try:
        weights: Array = np.load(path)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the weights of a date, {path}: {error}") from error
    return weights


def _blue(
    cube: Cube, task: BlockTask, part: PeriodTask, group: str, bands: Mapping[str, Array]
) -> Array:
    """Blue on the grid of a group: its own, else the mean of the four finer pixels."""
    if "blue" in bands:
        return bands["blue"]
    finest = next(iter(cube.spec.groups))
    if finest == group or cube.spec.variable(finest, "blue") is None:
        return next(iter(bands.values()))
    window = task.block.window(cube.spec.factor(finest))
    return _halved(cube.read(finest, "blue", part.slots, window))


def _halved(fine: Array) -> Array:
    """(time, 2y, 2x) int16 -> (time, y, x) int16 mean of four, nodata where one of them is."""
    dates, height, width = fine.shape
    four = fine.reshape(dates, height // 2, 2, width // 2, 2)
    mean: Array = np.rint(four.mean(axis=(2, 4), dtype=np.float32)).astype(np.int16)
    mean[(four == REFLECTANCE_NODATA).any(axis=(2, 4))] = REFLECTANCE_NODATA
    return mean


def _assembled(task: AssetTask, layer: str, first: int, last: int) -> Array:
    """Rows of a layer -> ``(rows, x)``, from the blocks that lie there."""
    width = task.extent.shape(task.resolution)[1]
    out: Array = np.full((last - first, width), task.nodata or 0, task.dtype)
    for block in task.blocks:
        rows, columns = block.window(task.factor)
        top, bottom = max(rows.start, first), min(rows.stop, last)
        if top >= bottom:
            continue
        made = _read_layer(block_path(task.folder, task.group, block), layer)
        if made is not None:
            part = made[top - rows.start : bottom - rows.start]
            out[top - first : bottom - first, columns] = part
    return out


def _write_layers(stream: BinaryIO, layers: Mapping[str, Array]) -> None:
    """Layers of a block one behind the other, after a line that says which they are."""
    stream.write(json.dumps({k: [v.dtype.str, v.shape] for k, v in layers.items()}).encode())
    stream.write(b"\n")
    for layer in layers.values():
        stream.write(layer.tobytes())


def _read_layer(path: Path, name: str) -> Array | None:
    """One layer of a block; the others stay on the disk. None where there is none of that name."""
    with path.open("rb") as stream:
        for key, (dtype, shape) in json.loads(stream.readline()).items():
            size = np.dtype(dtype).itemsize * math.prod(shape)
            if key == name:
                return np.frombuffer(stream.read(size), dtype).reshape(shape)
            stream.seek(size, os.SEEK_CUR)
    return None


def _save(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file of arrays, seen whole or not at all."""

    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # numpy's own writing to a file does not say when the disk takes only a part of it.
        content = io.BytesIO()
        write(content)
        with fresh.open("wb") as stream:
            stream.write(content.getbuffer())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _day(entry: DateEntry) -> int:
    """UTC day of a date since 1970-01-01."""
    return int((entry.datetime - np.datetime64(EPOCH)) // np.timedelta64(1, "D"))
