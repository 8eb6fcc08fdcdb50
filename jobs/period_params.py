"""What a user may ask of products of periods, and the mask and periods that it comes to."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator

from catalog.collections import cloud_mask_collection
from catalog.items import NAME
from catalog.search import Query, parse_datetime
from cube.periods import Period, months
from jobs.acquisitions import levels
from jobs.decode_masks import MaskParams
from jobs.errors import RequestError, fault
from jobs.job import TileParams

if TYPE_CHECKING:
    from jobs.workspace import Workspace


class PeriodParams(TileParams):
    """What a user may ask of every product of periods; a job's own parameters are further fields."""

    datetime: str = Field(description="Months to make: 2019-05, or 2018-08/2019-11.")
    mask: str | None = Field(
        None, description="Mask, e.g. scl, clm, or scl:VARIANT; default by what is catalogued."
    )
    period: Literal["month"] = Field("month", description="Length of a period: month.")
    mask_options: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the mask: reading, buffer, its own options."
    )
    skip_corrupt: bool = Field(
        False, description="Make periods without scenes that cannot be read; the items name them."
    )
    name: str | None = Field(None, description="Variant: outputs stand beside the default ones.")

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a variant holds A-Z a-z 0-9 . - only")
        return value


def mask_params(workspace: "Workspace", tile: str, params: PeriodParams) -> MaskParams:
    """The mask asked for, with the settings that a named variant was made with."""
    text = params.mask or _default_mask(workspace, tile)
    encoding, _, variant = text.partition(":")
    settings = dict(params.mask_options)
    if variant and not settings:
        settings = _variant_settings(workspace, tile, encoding, variant)
    # Settings of this request alone do not replace the mask's default items where it is named.
    shown = variant or (params.name if settings else None)
    own = {name: settings.pop(name) for name in ("reading", "buffer") if name in settings}
    try:
        return MaskParams(tile=tile, encoding=encoding, options=settings, name=shown or None, **own)
    except ValidationError as error:
        raise RequestError(f"mask {text}: {fault(error)}") from None


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


def periods(text: str) -> tuple[Period, ...]:
    """STAC datetime with both ends -> the months it touches; else ``RequestError``."""
    start, end = parse_datetime(text)
    if start is None or end is None:
        raise RequestError(f"datetime {text!r} is open: name the first and the last month")
    return months(start.date(), (end - timedelta(microseconds=1)).date() + timedelta(days=1))


def span_of(found: Iterable[Period]) -> str:
    """Periods -> STAC datetime from the first to the last of them."""
    ordered = sorted(found, key=lambda period: period.start)
    return f"{ordered[0].start}/{ordered[-1].last}"
