"""The mask of a product of periods: one that its scenes brought, or one found along time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.items import Recipe
from catalog.search import Interval, Query
from catalog.spans import span_text
from cube.decoding import MaskReading
from cube.joined import joined_spec
from cube.spec import Spec
from cube.store import Cube, open_store
from jobs.acquisitions import choose_level, levels
from jobs.cloud_mask import mask_context, mask_slot, mask_store, mask_works
from jobs.dates import TileDate
from jobs.decode_masks import MaskParams, has_mask, mask_level, mask_recipe
from jobs.errors import RequestError, fault
from jobs.mask_params import CloudMaskParams, methods
from jobs.mask_store import JOB, MaskStore
from jobs.mask_work import MaskContext, MaskWork
from jobs.stores import cube_store

if TYPE_CHECKING:
    from jobs.period_params import PeriodParams
    from jobs.workspace import Workspace


class PeriodMask(Protocol):
    """What a product of periods asks of its mask."""

    @property
    def method(self) -> str:
        """Encoding or method, as ids and ``--mask`` have it."""

    @property
    def variant(self) -> str | None:
        """Variant whose items are used."""

    @property
    def level(self) -> str:
        """Level of the cube."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What its items say of how they were made."""

    def request(self, span: Interval) -> tuple[str, dict[str, Any]]:
        """Job and request that bring the masks of a span up to date."""

    def covers(self, one: TileDate) -> bool:
        """Whether a date gets such a mask at all."""

    def recipe(self, one: TileDate) -> Recipe:
        """What the mask of a date would be made from now."""

    def reading(self, masks: Mapping[str, Document]) -> MaskReading:
        """How workers read it; ``masks`` are its items by id."""

    def spec(self, spec: Spec) -> Spec:
        """Specification of the cube -> with the variables of the mask."""


@dataclass(frozen=True)
class DecodedMask:
    """A mask that comes with the scenes and lies in the cube."""

    params: MaskParams
    cube: Cube | None

    @property
    def method(self) -> str:
        """Encoding."""
        return self.params.encoding

    @property
    def variant(self) -> str | None:
        """Variant whose items are used."""
        return self.params.name

    @property
    def level(self) -> str:
        """Level whose cube holds it."""
        return mask_level(self.params.encoding)

    @property
    def parameters(self) -> dict[str, Any]:
        """Reading, buffer and options."""
        return self.params.parameters

    def request(self, span: Interval) -> tuple[str, dict[str, Any]]:
        """Of the job ``decode-masks``."""
        return "decode-masks", _said(self.params) | {"datetime": span_text(span)}

    def covers(self, one: TileDate) -> bool:
        """Whether the date was delivered with it."""
        return has_mask(one, self.params.encoding)

    def recipe(self, one: TileDate) -> Recipe:
        """What it would be decoded from."""
        return mask_recipe(self.cube, one, self.params)

    def reading(self, _masks: Mapping[str, Document]) -> MaskReading:
        """Straight from the cube."""
        return self.params.mask_reading()

    def spec(self, spec: Spec) -> Spec:
        """The cube's own."""
        return spec


@dataclass(frozen=True)
class FoundMask:
    """A mask that was found along time and lies in a store beside the cube."""

    context: MaskContext

    @property
    def method(self) -> str:
        """Method."""
        return self.context.params.method

    @property
    def variant(self) -> str | None:
        """Variant whose items are used."""
        return self.context.params.name

    @property
    def level(self) -> str:
        """Level of the cube that it was found in."""
        return self.context.level

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the method."""
        return self.context.settings.model_dump(mode="json")

    def request(self, span: Interval) -> tuple[str, dict[str, Any]]:
        """Of the job ``cloud-mask``."""
        return JOB, _said(self.context.params) | {"datetime": span_text(span)}

    @cached_property
    def _works(self) -> dict[str, MaskWork]:
        works: Sequence[MaskWork] = mask_works(self.context)
        return {self.context.item_id(one): work for work in works for one in work.dates}

    @cached_property
    def _store(self) -> MaskStore:
        return mask_store(self.context)

    def covers(self, one: TileDate) -> bool:
        """Whether its series is long enough; of scenes left out, that they could not be read."""
        is_left_out = one.entry is None and not self.context.without.keys().isdisjoint(one.items)
        return is_left_out or self.context.item_id(one) in self._works

    def recipe(self, one: TileDate) -> Recipe:
        """What it would be found from."""
        return self._works[self.context.item_id(one)].recipe(one)

    def reading(self, masks: Mapping[str, Document]) -> MaskReading:
        """From the store, in the slots of these very items."""
        slots: dict[int, int] = {}
        for one in self.context.dates:
            item = masks.get(self.context.item_id(one))
            slot = None if item is None else mask_slot(self._store, item, one)
            if slot is not None and one.entry is not None:
                slots[one.entry.slot] = slot
        return MaskReading(self.method, store=str(self._store.path), slots=slots)

    def spec(self, spec: Spec) -> Spec:
        """With one variable more."""
        return joined_spec(spec, self.method)


def period_mask(workspace: "Workspace", tile: str, params: "PeriodParams") -> PeriodMask:
    """The mask asked for, with the settings that a named variant was made with."""
    text = params.mask or _default_mask(workspace, tile)
    method, _, variant = text.partition(":")
    settings = dict(params.mask_options)
    if variant and not settings:
        settings = _variant_settings(workspace, tile, method, variant)
    # Settings of this request alone do not replace the mask's default items where it is named.
    name = variant or (params.name if settings else None) or None
    try:
        if method in methods():
            found = CloudMaskParams(
                tile=tile,
                method=method,
                options=settings,
                name=name,
                skip_corrupt=params.skip_corrupt,
                lost=params.lost,
            )
            return FoundMask(mask_context(workspace, found))
        own = {each: settings.pop(each) for each in ("reading", "buffer") if each in settings}
        decoded = MaskParams(tile=tile, encoding=method, options=settings, name=name, **own)
    except ValidationError as error:
        raise RequestError(f"mask {text}: {fault(error)}") from None
    path = cube_store(workspace, tile, mask_level(method))
    return DecodedMask(decoded, None if path is None else open_store(path))


def level_of(workspace: "Workspace", tile: str, method: str) -> str:
    """Mask as an option names it, without variant -> level of the cube that it belongs to."""
    return choose_level(workspace, tile, None) if method in methods() else mask_level(method)


def _said(params: MaskParams | CloudMaskParams) -> dict[str, Any]:
    return params.model_dump(mode="json", exclude_none=True, exclude={"only", "lost"})


def _default_mask(workspace: "Workspace", tile: str) -> str:
    held = levels(workspace, tile)
    if not held:
        raise RequestError(f"no scene of tile {tile} is catalogued; ingest some first")
    return {"l2a": "scl", "maja": "clm", "l1c": "classi"}[held[0]]


def _variant_settings(
    workspace: "Workspace", tile: str, method: str, variant: str
) -> dict[str, Any]:
    query = Query(collections=(cloud_mask_collection(method),), tiles=(tile,), limit=1000)
    for item in workspace.documents(query):
        if item["properties"].get("clearcube:variant") == variant:
            return dict(item["properties"]["clearcube:parameters"])
    job = f"{JOB} --method" if method in methods() else "decode-masks --encoding"
    raise RequestError(
        f"no mask {method}:{variant} of tile {tile} is catalogued; make it with "
        f"run {job} {method} --name {variant}"
    )
