"""JOB decode-masks: the encoded masks of a cube, one task a date, into mask items."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.items import NAME, Recipe
from catalog.search import normalise_tile, parse_datetime
from cube.classes import CLASSES, NO_OBSERVATION, palette
from cube.decoding import (
    MaskReading,
    count_contradictions,
    mask_group,
    read_classes,
    variables_read,
)
from cube.errors import BandError
from cube.masks import READINGS, encoding, encodings
from cube.rasters import strips, write_cog, write_picture
from cube.store import Cube, DateEntry, open_store
from cube.variables import level_variables
from jobs.build_cube import planned_spec
from jobs.dates import PENDING, TileDate, pixel_checksum, tile_dates, time_of
from jobs.errors import RequestError
from jobs.job import Job, Plan, Stage, TileParams, Unit
from jobs.mask_item import MadeMask, mask_id, mask_item
from jobs.mask_params import methods
from jobs.memory import mask_bytes
from jobs.runner.publish import checksum, keep_beside, publish, published
from jobs.states import assess
from jobs.stores import cube_id, cube_store

if TYPE_CHECKING:
    from jobs.workspace import Workspace

VERSION = "1"

STRIP = 512
"""Rows decoded at once; a picture, which shows every so many, takes whole steps of them."""

Array = npt.NDArray[Any]


class MaskParams(TileParams):
    """What a user may ask of decoded masks."""

    datetime: str | None = Field(None, description="Dates to decode, STAC datetime; default all.")
    encoding: str = Field(
        "scl", description="Encoded mask: scl, clm, classi, ... (see explain-mask)."
    )
    reading: str = Field(
        "standard", description=f"{', '.join(READINGS)}: how doubtful values are taken."
    )
    buffer: float = Field(
        0.0, ge=0, le=5000, description="Clouds and shadows grow by a disc of so many metres."
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the encoding, e.g. unclassified=clear for scl.",
    )
    name: str | None = Field(None, description="Variant: outputs stand beside the default ones.")

    @field_validator("reading")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in READINGS:
            raise ValueError(f"choose one of {' '.join(READINGS)}")
        return value

    @field_validator("encoding")
    @classmethod
    def _ours(cls, value: str) -> str:
        return value.replace("_", "-")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a variant holds A-Z a-z 0-9 . - only")
        return value

    def mask_reading(self) -> MaskReading:
        """What decoding needs, checked: ``MaskError`` names an unknown option."""
        settings = encoding(self.encoding).settings(self.options)
        changed = {k: v for k, v in settings.items() if k in self.options}
        return MaskReading(self.encoding, self.reading, self.buffer, changed)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the items say of how they were made."""
        reading = self.mask_reading()
        return {"reading": reading.reading, "buffer": reading.buffer, **reading.options}


@dataclass(frozen=True, slots=True)
class MaskTask:
    """What a worker needs to decode one date."""

    store: str
    slot: int
    reading: MaskReading
    folder: str
    item_id: str


def mask_level(name: str) -> str:
    """Encoding -> level of the cube that holds it; ``BandError`` where none does."""
    wanted = encoding(name).reads[0]
    for level in ("l2a", "maja", "l1c"):
        if any(variable.name == wanted for variable in level_variables(level)):
            return level
    held = [e.name for e in encodings() if is_held(e.reads[0])]
    raise BandError(
        f"no cube holds masks of the encoding {name!r}; decode-masks knows {' '.join(held)}, "
        f"cloud-mask {' '.join(methods())}"
    )


def has_mask(one: TileDate, name: str) -> bool:
    """Whether a date was delivered with the encoding's main raster."""
    wanted = encoding(name).reads[0]
    if one.entry is not None:
        return wanted in one.entry.variables
    return any(wanted in item["assets"] for item in one.acquisition.items)


def needs(workspace: "Workspace", params: MaskParams) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The cube of the level that holds the mask, for the dates asked for."""
    params.mask_reading()
    level = mask_level(params.encoding)
    return [("cube", {"tile": params.tile, "datetime": params.datetime, "level": level})]


def plan(workspace: "Workspace", params: MaskParams) -> Plan:
    """Dates whose mask item is missing or was made otherwise."""
    tile, level = normalise_tile(params.tile), mask_level(params.encoding)
    interval = None if params.datetime is None else parse_datetime(params.datetime)
    dates = tile_dates(workspace, tile, level, interval)
    path = cube_store(workspace, tile, level)
    if not dates:
        raise RequestError(f"no {level} scene of tile {tile} is catalogued; ingest some first")
    cube = None if path is None else open_store(path)
    spec = planned_spec(workspace, tile, level) if cube is None else cube.spec
    collection = cloud_mask_collection(params.encoding)
    with_mask = [one for one in dates if has_mask(one, params.encoding)]
    named = {mask_id(tile, one.time, params.encoding, params.name): one for one in with_mask}
    recipes = {name: mask_recipe(cube, one, params) for name, one in named.items()}
    targets = [
        assess(workspace, published(workspace, collection, name), collection, name, recipe)
        for name, recipe in recipes.items()
        if params.wants(name)
    ]
    due = {target.item_id for target in targets if target.is_due}
    wanted = {n: one.entry for n, one in named.items() if n in due and one.entry is not None}
    tasks = {
        name: _task(workspace, path, entry, params, name, recipes[name])
        for name, entry in wanted.items()
        if path is not None
    }
    units = [Unit(name, task, named[name].items) for name, task in tasks.items()]
    source = published(workspace, "cubes", cube_id(workspace, tile, level))

    def finished(unit: Unit, result: Mapping[str, Any]) -> None:
        if cube is not None and source is not None:
            entry, recipe = wanted[unit.key], recipes[unit.key]
            item = _item(unit.payload, cube, entry, recipe, params, result, source)
            keep_beside(Path(unit.payload.folder), item)
            publish(workspace, [item])

    stage = Stage(
        f"masks {params.encoding} {tile}",
        units,
        decode_date,
        finished,
        memory=mask_bytes(spec, params.mask_reading()),
        count=len(due),
        unit="date",
    )
    return Plan(
        stages=[stage],
        makes=list(tasks),
        current=[target.item_id for target in targets if not target.is_due],
        targets=targets,
        notes=[_without(one, params) for one in dates if not has_mask(one, params.encoding)],
    )


def mask_recipe(cube: Cube | None, one: TileDate, params: MaskParams) -> Recipe:
    """What the mask of a date is made from and how; pixels that are to come are equal to none."""
    checksum = PENDING
    if cube is not None and one.entry is not None:
        read = variables_read(cube.spec, one.entry, params.encoding)
        checksum = pixel_checksum(cube, one.entry, read)
    return Recipe(
        job="decode-masks",
        version=VERSION,
        method=params.encoding,
        parameters=params.parameters,
        inputs=dict.fromkeys(one.items, checksum),
    )


def decode_date(task: MaskTask) -> dict[str, Any]:
    """One date of a cube -> COGs of its classes (and bits) and a thumbnail; on a worker."""
    cube = open_store(task.store)
    entry = cube.dates[task.slot]
    group = mask_group(cube.spec, task.reading.encoding)
    resolution = cube.spec.groups[group]
    height, width = cube.spec.shape(group)
    folder = Path(task.folder)
    counts = np.zeros(len(CLASSES), np.int64)
    contradictory = 0
    pixels = hashlib.sha256(f"{height} {width}".encode())

    def classes(first: int, last: int) -> Array:
        nonlocal contradictory
        window = (slice(first, last), slice(0, width))
        found: Array = read_classes(cube, [entry], task.reading, group, window)[0]
        counts[:] += np.bincount(found.ravel(), minlength=len(CLASSES))
        pixels.update(np.ascontiguousarray(found).data)
        contradictory += count_contradictions(cube, entry, task.reading.encoding, window)
        return found

    geobox = cube.spec.extent.geobox(resolution)
    mask = folder / f"{task.item_id}_mask.tif"
    write_cog(
        mask,
        geobox,
        classes,
        dtype="uint8",
        nodata=NO_OBSERVATION,
        colours=palette(),
        average=False,
    )
    files = {"mask": mask}
    if encoding(task.reading.encoding).kind == "bits":
        main = encoding(task.reading.encoding).reads[0]
        files["bits"] = folder / f"{task.item_id}_bits.tif"
        write_cog(
            files["bits"],
            geobox,
            lambda first, last: cube.read(
                group, main, [entry.slot], (slice(first, last), slice(0, width))
            )[0],
            dtype="uint8",
            nodata=None,
            average=False,
        )
    files["thumbnail"] = folder / f"{task.item_id}_thumbnail.png"
    write_picture(files["thumbnail"], _picture(cube, entry, task.reading, group, (height, width)))
    return {
        "counts": counts.tolist(),
        "contradictions": contradictory,
        "checksum": pixels.hexdigest()[:16],
        "resolution": resolution,
        "files": {
            key: {
                "href": str(path),
                "file:size": path.stat().st_size,
                "file:checksum": checksum(path),
            }
            for key, path in files.items()
        },
    }


def _picture(
    cube: Cube, entry: DateEntry, reading: MaskReading, group: str, shape: tuple[int, int]
) -> Array:
    height, width = shape
    step = max(1, max(shape) // 512)
    colours = np.array([each.colour for each in CLASSES], np.uint8)
    rows = [
        read_classes(cube, [entry], reading, group, (slice(a, b), slice(0, width)))[0][
            ::step, ::step
        ]
        for a, b in strips(height, step * max(1, STRIP // step))
    ]
    picture: Array = colours[np.concatenate(rows)]
    return picture


def _task(
    workspace: "Workspace",
    path: Path,
    entry: DateEntry,
    params: MaskParams,
    name: str,
    recipe: Recipe,
) -> MaskTask:
    collection = cloud_mask_collection(params.encoding)
    folder = workspace.products / collection / name / recipe.fingerprint
    return MaskTask(str(path), entry.slot, params.mask_reading(), str(folder), name)


def _item(
    task: MaskTask,
    cube: Cube,
    entry: DateEntry,
    recipe: Recipe,
    params: MaskParams,
    result: Mapping[str, Any],
    source: Document,
) -> Document:
    made = MadeMask(
        result["counts"],
        result["checksum"],
        result["resolution"],
        result["files"],
        {"clearcube:contradictory_pixels": result["contradictions"]},
    )
    title = encoding(params.encoding).title
    return mask_item(
        task.item_id,
        made,
        when=time_of(entry),
        tile=cube.spec.tile,
        level=cube.spec.level,
        extent=cube.spec.extent,
        recipe=recipe,
        params=params,
        variant=params.name,
        title=f"Classes decoded from {title}",
        bits=(params.encoding, f"{title}, as delivered"),
        derived_from=[*entry.items, source],
    )


def is_held(variable: str) -> bool:
    """Whether the cube of some level holds a variable of this name."""
    return any(
        v.name == variable for level in ("l2a", "maja", "l1c") for v in level_variables(level)
    )


def _without(one: TileDate, params: MaskParams) -> str:
    return f"{', '.join(one.items)} came without {params.encoding}: no mask of that date"


JOB = Job(
    name="decode-masks",
    version=VERSION,
    title="Encoded masks of a cube into mask items",
    params=MaskParams,
    plan=plan,
    needs=needs,
)
