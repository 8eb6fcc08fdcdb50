"""JOB synthesis: the cube of a tile and its masks, block by block, into monthly syntheses."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection, synthesis_collection
from catalog.fingerprint import fingerprint
from catalog.items import NAME, Recipe, derived_item
from catalog.search import Query, instant, normalise_tile, parse_datetime
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE, band
from cube.composite import DATE_NODATA, Method
from cube.decoding import has_mask
from cube.grid import Block, blocks, lonlat
from cube.periods import Period, months
from cube.store import Cube, DateEntry, open_store
from cube.synthesis import method
from jobs.acquisitions import levels
from jobs.compositing import (
    AssetTask,
    BlockTask,
    PeriodTask,
    WeightTask,
    band_names,
    composite_block,
    make_weights,
    write_asset,
    write_thumbnail,
)
from jobs.decode_masks import MaskParams, mask_id, mask_level, mask_recipe
from jobs.errors import RequestError
from jobs.job import Job, Plan, Stage, Unit
from jobs.runner.publish import PNG, cog_asset, is_current, publish, published
from jobs.stores import cube_store

if TYPE_CHECKING:
    from jobs.workspace import Workspace

VERSION = "1"

SCRATCH_BYTES = 10 << 30
"""Blocks waiting to become assets take at most about this much of the disk at once."""

PIXEL_BYTES = 30
"""Scratch of one 10 m pixel: four bands, its layers, and its quarter of the 20 m ones."""


class SynthesisParams(BaseModel):
    """What a user may ask of syntheses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tile: str = Field(description="MGRS tile, e.g. 31UES.")
    datetime: str = Field(description="Months to make: 2019-05, or 2018-08/2019-11.")
    method: str = Field("wasp", description="wasp (weighted mean) or median.")
    mask: str | None = Field(
        None, description="Mask, e.g. scl, clm, or scl:VARIANT; default by what is catalogued."
    )
    period: str = Field("month", pattern="^month$", description="Length of a period: month.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the method, e.g. half_window=23."
    )
    mask_options: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the mask: reading, buffer, its own options."
    )
    name: str | None = Field(None, description="Variant: outputs stand beside the default ones.")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a variant holds A-Z a-z 0-9 . - only")
        return value

    def method_params(self) -> BaseModel:
        """Parameters of the method, checked: ``RequestError`` names the one that cannot be."""
        declared = method(self.method).params
        for name in self.options:
            if name not in declared.model_fields:
                known = " ".join(declared.model_fields)
                raise RequestError(f"{self.method} has no parameter {name!r}; it has {known}")
        try:
            return declared.model_validate(self.options)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise RequestError(
                f"{self.method}: {name}={first['input']!r}: {first['msg']}"
            ) from None


@dataclass(slots=True)
class _Month:
    """One synthesis to make."""

    item_id: str
    period: Period
    entries: list[DateEntry]
    recipe: Recipe
    folder: Path
    """Where its files will be."""
    scratch: Path
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Group -> pixels by status."""


@dataclass(slots=True)
class _Context:
    """What all months of a request share."""

    workspace: "Workspace"
    params: SynthesisParams
    tile: str
    cube: Cube
    mask: MaskParams
    method: Method
    method_params: BaseModel
    latest: datetime
    """Last acquisition catalogued of the tile and level."""

    @property
    def collection(self) -> str:
        return synthesis_collection(self.params.method)


def needs(
    workspace: "Workspace", params: SynthesisParams
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The masks, and with them the cube, of all dates that any window touches."""
    tile = normalise_tile(params.tile)
    mask = _mask_params(workspace, tile, params)
    chosen = method(params.method)
    method_params = params.method_params()
    windows = [chosen.window(period, method_params) for period in _periods(params.datetime)]
    first, last = min(w[0] for w in windows), max(w[1] for w in windows)
    request = mask.model_dump(exclude_none=True) | {"datetime": f"{first}/{last}"}
    return [("decode-masks", request)]


def plan(workspace: "Workspace", params: SynthesisParams) -> list[Plan]:
    """Months whose synthesis is missing or was made of other inputs; some at a time."""
    context = _context(workspace, params)
    notes: list[str] = []
    current: list[str] = []
    missing: list[_Month] = []
    restated: list[Document] = []
    for month in _months(context, notes):
        item = published(workspace, context.collection, month.item_id)
        if item is None or not is_current(item, month.recipe.fingerprint):
            missing.append(month)
            continue
        current.append(month.item_id)
        if item["properties"]["clearcube:status"] != _status(context, month):
            item["properties"]["clearcube:status"] = _status(context, month)
            restated.append(item)
    if not missing and not current:
        raise RequestError(
            f"no scene with mask {params.mask or context.mask.encoding} of tile {context.tile} "
            f"is catalogued for {params.datetime}"
        )
    first = Plan(current=current, notes=notes, finish=partial(_restate, workspace, restated))
    return [first, *(_batch(context, part) for part in _batches(context, missing))]


# --- what to make ---------------------------------------------------------------------------------


def _context(workspace: "Workspace", params: SynthesisParams) -> _Context:
    tile = normalise_tile(params.tile)
    mask = _mask_params(workspace, tile, params)
    level = mask_level(mask.encoding)
    path = cube_store(workspace, tile, level)
    if path is None:
        raise RequestError(f"there is no {level} cube of tile {tile}; ingest scenes first")
    newest = workspace.catalog.search(Query(tiles=(tile,), level=level, superseded=False, limit=1))
    latest = instant(newest.items[0]["properties"]["datetime"])
    chosen = method(params.method)
    return _Context(
        workspace, params, tile, open_store(path), mask, chosen, params.method_params(), latest
    )


def _mask_params(workspace: "Workspace", tile: str, params: SynthesisParams) -> MaskParams:
    """The mask asked for, with the settings that a named variant was made with."""
    text = params.mask or _default_mask(workspace, tile)
    encoding, _, variant = text.partition(":")
    settings = dict(params.mask_options)
    if variant and not settings:
        settings = _variant_settings(workspace, tile, encoding, variant)
    own = {name: settings.pop(name) for name in ("reading", "buffer") if name in settings}
    try:
        return MaskParams(
            tile=tile, encoding=encoding, options=settings, name=variant or None, **own
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(
            f"mask {text}: {first['loc'][0]}={first['input']!r}: {first['msg']}"
        ) from None


def _default_mask(workspace: "Workspace", tile: str) -> str:
    held = levels(workspace, tile)
    if not held:
        raise RequestError(f"no scene of tile {tile} is catalogued; ingest some first")
    return {"l2a": "scl", "maja": "clm", "l1c": "classi"}[held[0]]


def _variant_settings(
    workspace: "Workspace", tile: str, encoding: str, variant: str
) -> dict[str, Any]:
    query = Query(collections=(cloud_mask_collection(encoding),), tiles=(tile,), limit=1000)
    for item in workspace.documents(query):
        if item["properties"].get("clearcube:variant") == variant:
            return dict(item["properties"]["clearcube:parameters"])
    raise RequestError(
        f"no mask {encoding}:{variant} of tile {tile} is catalogued; make it with "
        f"run decode-masks --encoding {encoding} --name {variant}"
    )


def _periods(text: str) -> tuple[Period, ...]:
    start, end = parse_datetime(text)
    if start is None or end is None:
        raise RequestError(f"datetime {text!r} is open: name the first and the last month")
    return months(start.date(), (end - timedelta(microseconds=1)).date() + timedelta(days=1))


def _months(context: _Context, notes: list[str]) -> Iterator[_Month]:
    params, mask = context.params, context.mask
    for period in _periods(params.datetime):
        first, last = context.method.window(period, context.method_params)
        entries = [e for e in context.cube.valid_dates if first <= _date(e) <= last]
        usable = [entry for entry in entries if has_mask(entry, mask.encoding)]
        if not usable:
            notes.append(f"{period}: no scene with mask {mask.encoding} between {first} and {last}")
            continue
        named = "-".join(filter(None, (mask.encoding, mask.name)))
        item_id = "_".join(
            filter(None, (context.tile, period.label, params.method, named, params.name))
        )
        recipe = _recipe(context, period, usable)
        folder = context.workspace.products / context.collection / item_id / recipe.fingerprint
        scratch = _scratch(context.workspace) / item_id / recipe.fingerprint
        yield _Month(item_id, period, usable, recipe, folder, scratch)


def _recipe(context: _Context, period: Period, entries: Sequence[DateEntry]) -> Recipe:
    mask = context.mask
    inputs: dict[str, str] = {}
    for entry in entries:
        inputs |= {item["id"]: item["version"] for item in entry.items}
        inputs[mask_id(context.tile, entry, mask.encoding, mask.name)] = mask_recipe(
            entry, mask
        ).fingerprint
    return Recipe(
        job="synthesis",
        version=f"{VERSION}.{context.method.version}",
        method=context.params.method,
        parameters={
            **context.method_params.model_dump(mode="json"),
            "period": period.label,
            "mask": mask.encoding,
            "mask_parameters": mask.parameters,
        },
        inputs=inputs,
    )


def _status(context: _Context, month: _Month) -> str:
    """Provisional while scenes of the window may still come: none later than it is catalogued."""
    _, last = context.method.window(month.period, context.method_params)
    return "final" if context.latest.date() > last else "provisional"


# --- how it is made -------------------------------------------------------------------------------


def _batches(context: _Context, missing: Sequence[_Month]) -> Iterator[Sequence[_Month]]:
    height, width = context.cube.spec.shape(next(iter(context.cube.spec.groups)))
    size = max(1, SCRATCH_BYTES // (height * width * PIXEL_BYTES))
    for first in range(0, len(missing), size):
        yield missing[first : first + size]


def _batch(context: _Context, batch: Sequence[_Month]) -> Plan:
    cube, tile = context.cube, context.tile
    coarsest = list(cube.spec.groups)[-1]
    grid = tuple(blocks(cube.spec.shape(coarsest)))
    weights = _weight_files(context, batch)
    stages = [
        Stage(f"weights {tile}", _weight_units(context, weights), make_weights, _nothing, True),
        Stage(
            f"{context.params.method} {tile}",
            _block_units(context, batch, grid, weights),
            composite_block,
            partial(_count, {month.period.label: month for month in batch}),
            True,
        ),
        Stage(
            f"files {tile}",
            list(_asset_units(context, batch, grid)),
            _write,
            partial(_keep, {month.item_id: month for month in batch}),
            True,
        ),
    ]
    return Plan(
        stages=stages,
        makes=[month.item_id for month in batch],
        finish=partial(_publish_months, context, batch),
    )


def _weight_files(context: _Context, batch: Sequence[_Month]) -> dict[int, Path]:
    if not context.method.weights_cloud:
        return {}
    shared = context.method_params.model_dump(mode="json")
    entries = {entry.slot: entry for month in batch for entry in month.entries}
    folder = _scratch(context.workspace) / "weights" / context.tile
    return {
        slot: folder
        / f"{fingerprint({'mask': mask_recipe(e, context.mask).fingerprint, **shared})}.npy"
        for slot, e in entries.items()
    }


def _weight_units(context: _Context, files: Mapping[int, Path]) -> list[Unit]:
    reading = context.mask.mask_reading()
    shared = context.method_params.model_dump(mode="json")
    return [
        Unit(
            f"{context.tile}-weights-{slot:04d}",
            WeightTask(
                str(context.cube.path), slot, reading, context.method.name, shared, str(path)
            ),
        )
        for slot, path in files.items()
        if not path.exists()
    ]


def _block_units(
    context: _Context,
    batch: Sequence[_Month],
    grid: Sequence[Block],
    weights: Mapping[int, Path],
) -> list[Unit]:
    periods = tuple(
        PeriodTask(m.period, tuple(e.slot for e in m.entries), str(m.scratch)) for m in batch
    )
    files = {slot: str(path) for slot, path in weights.items()}
    return [
        Unit(
            f"{context.tile}-{context.method.name}-{batch[0].period}-{block.key}",
            BlockTask(
                str(context.cube.path),
                block,
                periods,
                context.mask.mask_reading(),
                context.method.name,
                context.method_params.model_dump(mode="json"),
                files,
            ),
        )
        for block in grid
    ]


def _asset_units(
    context: _Context, batch: Sequence[_Month], grid: tuple[Block, ...]
) -> Iterator[Unit]:
    spec = context.cube.spec
    finest = next(iter(spec.groups))
    for month in batch:
        for group, resolution in spec.groups.items():
            names = band_names(context.cube, month.entries, group)
            suffix = "" if group == finest else f"_{resolution}m"
            layers = [(name, name, _BAND) for name in names]
            layers += [(layer, f"{layer}{suffix}", kind) for layer, kind in _LAYERS.items()]
            if group == finest and {"red", "green", "blue"} <= set(names):
                layers.append(("thumbnail", "thumbnail", _BAND))
            for layer, key, (dtype, nodata, scale, average) in layers:
                extension = "png" if layer == "thumbnail" else "tif"
                path = month.folder / f"{month.item_id}_{key}.{extension}"
                yield Unit(
                    f"{month.item_id}-{key}",
                    AssetTask(
                        folder=str(month.scratch),
                        layer=layer,
                        group=group,
                        extent=spec.extent,
                        resolution=resolution,
                        factor=spec.factor(group),
                        blocks=grid,
                        path=str(path),
                        dtype=dtype,
                        nodata=nodata,
                        scale=scale,
                        average=average,
                        title=key,
                    ),
                )


_BAND = ("int16", float(REFLECTANCE_NODATA), REFLECTANCE_SCALE, True)
_LAYERS: dict[str, tuple[str, float | None, float, bool]] = {
    # dtype, nodata, scale, whether overviews average
    "weight": ("float32", None, 1.0, True),
    "date": ("int16", float(DATE_NODATA), 1.0, False),
    "status": ("uint8", 0.0, 1.0, False),
    "clear_count": ("uint8", None, 1.0, False),
    "total_count": ("uint8", None, 1.0, False),
}


def _write(task: AssetTask) -> dict[str, Any]:
    """One layer of one month -> its file; on a worker."""
    return write_thumbnail(task) if task.layer == "thumbnail" else write_asset(task)


def _nothing(_unit: Unit, _result: Any) -> None:
    """A weight is in its file; there is nothing to keep."""


def _count(by_label: Mapping[str, _Month], _unit: Unit, result: Mapping[str, Any]) -> None:
    for label, groups in result.items():
        for group, counts in groups.items():
            held = by_label[label].counts.setdefault(group, [0] * len(counts))
            by_label[label].counts[group] = [a + b for a, b in zip(held, counts, strict=True)]


def _keep(by_id: Mapping[str, _Month], unit: Unit, result: Mapping[str, Any]) -> None:
    item_id, key = unit.key.rsplit("-", 1)
    by_id[item_id].files[key] = dict(result)


# --- what is published ----------------------------------------------------------------------------


def _publish_months(context: _Context, batch: Sequence[_Month]) -> None:
    publish(context.workspace, [_item(context, month) for month in batch])
    for month in batch:
        shutil.rmtree(month.scratch, ignore_errors=True)


def _restate(workspace: "Workspace", items: Sequence[Document]) -> None:
    if items:
        publish(workspace, items)


def _item(context: _Context, month: _Month) -> Document:
    spec = context.cube.spec
    geometry, bbox = lonlat(spec.extent)
    finest = next(iter(spec.groups))
    counts = month.counts[finest]
    seen, observed = sum(counts[2:]), sum(counts[1:])
    period = month.period
    mask_collection = cloud_mask_collection(context.mask.encoding)
    masks = [
        {
            "id": mask_id(context.tile, entry, context.mask.encoding, context.mask.name),
            "collection": mask_collection,
        }
        for entry in month.entries
    ]
    sources = [item for entry in month.entries for item in entry.items]
    return derived_item(
        month.item_id,
        context.collection,
        when=(_midnight(period.start), _midnight(period.end)),
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile=context.tile,
        recipe=month.recipe,
        status=_status(context, month),
        properties={
            "eo:cloud_cover": _percent(counts[1], observed),
            "clearcube:clear_percentage": _percent(seen, sum(counts)),
            "clearcube:dates": len(month.entries),
            "clearcube:period": period.label,
            "clearcube:mask": context.mask.encoding,
            "clearcube:variant": context.params.name or "",
            "processing:level": "L3A",
            "proj:code": f"EPSG:{spec.extent.epsg}",
            "gsd": spec.groups[finest],
        },
        assets={key: _asset(context, key, file) for key, file in month.files.items()},
        derived_from=[*sources, *masks],
    )


def _asset(context: _Context, key: str, file: Mapping[str, Any]) -> Document:
    if key == "thumbnail":
        return {**file, "type": PNG, "roles": ["thumbnail"], "title": "True colour"}
    spec = context.cube.spec
    finest = next(iter(spec.groups))
    layer = key.removesuffix("_20m")
    if layer in _LAYERS:
        resolution = spec.groups[finest] if layer == key else 20
        dtype, nodata, _, _ = _LAYERS[layer]
        about: dict[str, Any] = {**_ABOUT_LAYERS[layer], "roles": ["data", "quality"]}
        about["raster:bands"] = [
            {"data_type": dtype} | ({} if nodata is None else {"nodata": int(nodata)})
        ]
    else:
        shown = band(key)
        variable = next(v for v in spec.variables if v.name == key)
        resolution = spec.groups[variable.group]
        about = {
            "title": f"{shown.esa} ({key}) reflectance",
            "roles": ["data", "reflectance"],
            "eo:bands": [
                {
                    "name": shown.esa,
                    "common_name": key if key in _COMMON else "rededge",
                    "center_wavelength": shown.centre,
                    "full_width_half_max": shown.width,
                }
            ],
            "raster:bands": [
                {
                    "data_type": "int16",
                    "nodata": REFLECTANCE_NODATA,
                    "scale": REFLECTANCE_SCALE,
                    "offset": 0.0,
                    "spatial_resolution": resolution,
                }
            ],
        }
    return cog_asset(file["href"], {**about, **file}, spec.extent, resolution)


_COMMON = {"coastal", "blue", "green", "red", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22"}
_ABOUT_LAYERS: dict[str, dict[str, Any]] = {
    "weight": {"title": "Sum of the weights of what was averaged; 0 where nothing was"},
    "date": {"title": "Weighted mean date, days since 1970-01-01"},
    "status": {
        "title": "What the pixel shows",
        "classification:classes": [
            {"value": 0, "name": "nodata", "description": "never observed"},
            {"value": 1, "name": "cloud_or_shadow", "description": "never seen clear"},
            {"value": 2, "name": "snow", "description": "snow on the ground"},
            {"value": 3, "name": "water", "description": "water"},
            {"value": 4, "name": "land", "description": "clear land"},
        ],
    },
    "clear_count": {"title": "Dates on which the ground was seen"},
    "total_count": {"title": "Dates with an observation"},
}


def _scratch(workspace: "Workspace") -> Path:
    return workspace.products.parent / "scratch"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _date(entry: DateEntry) -> date:
    return datetime.fromtimestamp(entry.time / 1000, UTC).date()


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, 2) if whole else 0.0


JOB = Job(
    name="synthesis",
    version=VERSION,
    title="Monthly cloud-free syntheses of a tile",
    params=SynthesisParams,
    plan=plan,
    needs=needs,
)
