"""One period of a request: what it is made from, what of it is done, and the STAC item of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.items import Recipe, derived_item, utc_text
from cube.decoding import MaskReading
from cube.facts import DateFacts
from cube.grid import lonlat
from cube.periods import Period
from cube.spec import DateEntry, Spec
from cube.store import Cube
from jobs.acquisitions import Acquisition
from jobs.date_facts import PARAMETER, date_facts, facts_document
from jobs.dates import PENDING, TileDate, pixel_checksum
from jobs.errors import RequestError
from jobs.ingest import NOTES
from jobs.mask_item import CHECKSUM, mask_id
from jobs.period_mask import PeriodMask
from jobs.period_params import PeriodParams, datetime_of
from jobs.product import Layer, Product
from jobs.runner.publish import PNG, cog_asset
from jobs.states import WITHOUT
from jobs.stores import source_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

THUMBNAIL = "thumbnail"


@dataclass(frozen=True, slots=True)
class PeriodContext:
    """What all periods of a request share."""

    workspace: "Workspace"
    job: str
    product: Product
    params: PeriodParams
    tile: str
    level: str
    dates: Sequence[TileDate]
    """Catalogued dates of the tile, in order of time."""
    cube: Cube | None
    """None while there is no cube."""
    store: Path | None
    spec: Spec
    """Of the cube, or of the one that would be made."""
    mask: PeriodMask
    masks: Mapping[str, Document]
    """Items of the mask, by id."""
    latest: datetime
    """Last acquisition catalogued of the tile and level."""

    @property
    def collection(self) -> str:
        """Id of the collection of the results."""
        return self.product.collection(self.params)

    @property
    def version(self) -> str:
        """Version of the numbers."""
        return self.product.numbers(self.params)

    @property
    def mask_text(self) -> str:
        """The mask as an option names it."""
        variant = (self.params.mask or "").partition(":")[2]
        return ":".join(filter(None, (self.mask.method, variant)))

    def item_id(self, period: Period) -> str:
        """Id of the item of a period."""
        mask = self.mask_text.replace(":", "-")
        words = (self.tile, period.label, self.product.word(self.params), mask, self.params.name)
        return "_".join(filter(None, words))

    @property
    def masked_spec(self) -> Spec:
        """Of the cube, with the variables of the mask."""
        return self.mask.spec(self.spec)

    @property
    def reading(self) -> MaskReading:
        """How workers read the mask."""
        return self.mask.reading(self.masks)

    def expected(self, result: "PeriodResult") -> list[DateEntry]:
        """Slots of a period's dates; for those not in the cube yet, what they will hold."""
        return [one.entry or _expected(one, self.spec) for one in result.dates]

    def facts(self, dates: Sequence[TileDate]) -> dict[str, DateFacts]:
        """Dates -> by time, the facts that the product depends on; none where it depends on none."""
        names = self.product.facts(self.params)
        if not names:
            return {}
        found = {
            utc_text(one.time): date_facts(
                one.acquisition.items, self.masks.get(self.mask_of(one))
            ).only(names)
            for one in dates
        }
        for one, facts in zip(dates, found.values(), strict=True):
            if facts.nbar:
                raise RequestError(
                    f"{' '.join(one.items)}: normalised to a view from nadir already (NBAR), must not "
                    "be corrected for it again; ask for --set brdf=none"
                )
        return found

    def mask_of(self, one: TileDate) -> str:
        """Id of the mask item of a date."""
        return mask_id(self.tile, one.time, self.mask.method, self.mask.variant)


@dataclass(slots=True)
class PeriodResult:
    """One period to make."""

    item_id: str
    period: Period
    dates: list[TileDate]
    """Dates of its window that it is made from."""
    facts: Mapping[str, DateFacts]
    """By time, what it depends on of each of them."""
    recipe: Recipe
    without: dict[str, dict[str, str]]
    """Scenes left out because they could not be read: version and cause."""
    folder: Path
    """Where its files will be."""
    scratch: Path
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: dict[str, tuple[Layer, str]] = field(default_factory=dict)
    """Key of an asset -> its layer and group."""
    counts: dict[str, list[int]] = field(default_factory=dict)
    """Group -> what its blocks counted."""
    shares: dict[str, dict[str, int]] = field(default_factory=dict)
    """Group -> time of a date -> what it gave, added up over the blocks."""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Block -> fingerprint of what it was made of, and what each date gave to it."""
    taken: int = 0
    """Blocks taken from what was made before."""
    blocks: int = 0
    """Blocks that are done."""
    failure: str | None = None
    """Why it cannot be made, once that is known."""

    @property
    def entries(self) -> tuple[DateEntry, ...]:
        """Slots of its dates."""
        return tuple(one.entry for one in self.dates if one.entry is not None)

    @property
    def is_whole(self) -> bool:
        """Whether every file is there."""
        return bool(self.layers) and set(self.layers) == set(self.files)


def period_recipe(
    context: PeriodContext,
    period: Period,
    dates: Sequence[TileDate],
    facts: Mapping[str, DateFacts],
) -> Recipe:
    """Period, its dates and their facts -> everything its pixels depend on."""
    inputs: dict[str, str] = {}
    for one in dates:
        pixels = PENDING
        if context.cube is not None and one.entry is not None:
            pixels = pixel_checksum(context.cube, one.entry, _read(context, one.entry))
        inputs |= dict.fromkeys(one.items, pixels)
        inputs[context.mask_of(one)] = _mask_checksum(context, one)
    stated = facts_document(facts, context.product.facts(context.params))
    return Recipe(
        job=context.job,
        version=context.version,
        method=context.product.word(context.params),
        parameters={
            **context.product.parameters(context.params),
            "period": period.label,
            "mask": context.mask.method,
            "mask_parameters": context.mask.parameters,
            **({PARAMETER: stated} if stated else {}),
        },
        inputs=inputs,
    )


def follows(context: PeriodContext, dates: Sequence[TileDate]) -> dict[str, tuple[str, ...]]:
    """Mask items -> the scenes that they are made of."""
    return {context.mask_of(one): one.items for one in dates}


def provisional(context: PeriodContext, period: Period, dates: Sequence[TileDate]) -> str:
    """Why more inputs may come, or nothing: no later scene is catalogued, a mask may change."""
    _, last = context.product.window(period, context.params)
    if context.latest.date() <= last:
        return f"scenes until {last} may still come"
    for one in dates:
        item = context.masks.get(context.mask_of(one))
        if item is not None and item["properties"].get("clearcube:status") == "provisional":
            return f"mask {item['id']} is provisional"
    return ""


def scenes_of(one: Acquisition) -> dict[str, str]:
    """Scenes of an acquisition, each with its version."""
    return {source["id"]: source["version"] for source in map(source_of, one.items)}


def period_item(context: PeriodContext, made: PeriodResult) -> Document:
    """A period whose files are all written -> its STAC item."""
    spec, period = context.spec, made.period
    geometry, bbox = lonlat(spec.extent)
    finest = next(group for group in spec.groups if group in made.counts)
    facts = tuple(made.facts.values())
    notes = list(context.product.notes(made.entries, facts, context.params))
    is_provisional = bool(provisional(context, period, made.dates))
    masks = [
        {"id": context.mask_of(one), "collection": cloud_mask_collection(context.mask.method)}
        for one in made.dates
    ]
    scenes = [
        {"id": item["id"], "collection": item["collection"]}
        for one in made.dates
        for item in one.acquisition.items
    ]
    return derived_item(
        made.item_id,
        context.collection,
        when=(_midnight(period.start), _midnight(period.end)),
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile=context.tile,
        recipe=made.recipe,
        status="provisional" if is_provisional else "final",
        request=context.params.recorded(
            tile=context.tile, datetime=datetime_of(period), mask=context.mask_text
        ),
        properties={
            "title": f"{context.tile} {period.label}, {made.recipe.method}, mask {context.mask_text}",
            **context.product.about(made.counts[finest], context.params),
            **_shares(made, finest),
            **({WITHOUT: made.without} if made.without else {}),
            **({NOTES: notes} if notes else {}),
            "clearcube:dates": len(made.dates),
            "clearcube:period": period.label,
            "clearcube:mask": context.mask.method,
            "clearcube:variant": context.params.name or "",
            "processing:level": "L3A",
            "proj:code": f"EPSG:{spec.extent.epsg}",
            "gsd": spec.groups[finest],
        },
        assets={key: _asset(spec, made, key) for key in sorted(made.files)},
        derived_from=[*scenes, *masks],
    )


def _shares(made: PeriodResult, group: str) -> dict[str, Any]:
    """What each date gave to the pixels shown, with its scenes; dates that gave nothing with 0.

    Of granules that were merged it is not recorded which one a pixel is from.
    """
    given = made.shares.get(group, {})
    if not given:
        return {}
    total = sum(given.values())
    times = {one.entry.time: one for one in made.dates if one.entry is not None}
    return {
        "clearcube:shares": [
            {
                "datetime": utc_text(one.time),
                "scenes": list(one.items),
                "percentage": round(100 * given.get(str(time), 0) / total, 4),
            }
            for time, one in sorted(times.items())
        ]
    }


def _asset(spec: Spec, made: PeriodResult, key: str) -> Document:
    layer, group = made.layers[key]
    file = made.files[key]
    if key == THUMBNAIL:
        return {**file, "type": PNG, "roles": ["thumbnail"], "title": layer.title}
    band: dict[str, Any] = {"data_type": layer.dtype}
    if layer.nodata is not None and layer.nodata == layer.nodata:  # NaN is no JSON
        band["nodata"] = int(layer.nodata)
    elif layer.nodata is not None:
        band["nodata"] = "nan"
    own = dict(layer.about)
    band |= own.pop("raster:bands", {})
    about = {"title": layer.title, "roles": list(layer.roles), **own, "raster:bands": [band]}
    return cog_asset(file["href"], {**about, **file}, spec.extent, spec.groups[group])


def _read(context: PeriodContext, entry: DateEntry) -> list[str]:
    """Variables of a date that the product is made of."""
    spec = context.spec
    reads = [
        name
        for group in spec.groups
        for _, name in context.product.reads(spec, [entry], group, context.params)
    ]
    return sorted(set(reads))


def _mask_checksum(context: PeriodContext, one: TileDate) -> str:
    """Checksum of a date's classes, if its mask is what it would be made to now."""
    item = context.masks.get(context.mask_of(one))
    if item is None:
        return PENDING
    recipe = context.mask.recipe(one)
    if item["properties"].get("clearcube:fingerprint") != recipe.fingerprint:
        return PENDING
    return str(item["properties"].get(CHECKSUM, recipe.fingerprint))


def _expected(one: TileDate, spec: Spec) -> DateEntry:
    assets = {key for item in one.acquisition.items for key in item["assets"]}
    names = tuple(v.name for v in spec.variables if v.asset in assets)
    return DateEntry(round(one.time.timestamp() * 1000), "", (), names)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
