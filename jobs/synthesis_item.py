"""A synthesis of one month: what it is made from, its layers, and the STAC item of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection, synthesis_collection
from catalog.items import Recipe, derived_item
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE, band
from cube.composite import DATE_NODATA, Method
from cube.grid import lonlat
from cube.periods import Period
from cube.store import Cube, DateEntry
from jobs.decode_masks import MaskParams, mask_id, mask_recipe
from jobs.runner.publish import PNG, cog_asset
from jobs.synthesis_params import SynthesisParams

if TYPE_CHECKING:
    from jobs.workspace import Workspace

VERSION = "1"
"""Version of the job: raised when the same inputs would give other numbers."""

Layer = tuple[str, float | None, float, bool]
"""dtype, nodata, scale, whether overviews average."""

BAND: Layer = ("int16", float(REFLECTANCE_NODATA), REFLECTANCE_SCALE, True)
LAYERS: dict[str, Layer] = {
    "weight": ("float32", None, 1.0, True),
    "date": ("int16", float(DATE_NODATA), 1.0, False),
    "status": ("uint8", 0.0, 1.0, False),
    "clear_count": ("uint8", None, 1.0, False),
    "total_count": ("uint8", None, 1.0, False),
}
"""Layers beside the bands, in each group."""


@dataclass(slots=True)
class Month:
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
    blocks: int = 0
    """Blocks that are done."""
    wanted: list[str] = field(default_factory=list)
    """Keys of the files that make it whole."""
    failure: str | None = None
    """Why it cannot be made, once that is known."""


@dataclass(slots=True)
class SynthesisContext:
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
        """Id of the collection of the method's syntheses."""
        return synthesis_collection(self.params.method)


def month_recipe(context: SynthesisContext, period: Period, entries: Sequence[DateEntry]) -> Recipe:
    """Month and its dates -> everything its pixels depend on."""
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


def status_of(context: SynthesisContext, month: Month) -> str:
    """Provisional while scenes of the window may still come: none later than it is catalogued."""
    _, last = context.method.window(month.period, context.method_params)
    return "final" if context.latest.date() > last else "provisional"


def month_item(context: SynthesisContext, month: Month) -> Document:
    """A month whose files are all written -> its STAC item."""
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
        status=status_of(context, month),
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
        assets={key: _asset(context, key, file) for key, file in sorted(month.files.items())},
        derived_from=[*sources, *masks],
    )


def _asset(context: SynthesisContext, key: str, file: Mapping[str, Any]) -> Document:
    if key == "thumbnail":
        return {**file, "type": PNG, "roles": ["thumbnail"], "title": "True colour"}
    spec = context.cube.spec
    finest = next(iter(spec.groups))
    layer = key.removesuffix("_20m")
    if layer in LAYERS:
        resolution = spec.groups[finest] if layer == key else 20
        dtype, nodata, _, _ = LAYERS[layer]
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


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, 2) if whole else 0.0
