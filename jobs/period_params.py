"""What a user may ask of products of periods, and the periods that it comes to."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from catalog.items import NAME
from catalog.search import parse_datetime
from cube.periods import Period, months
from jobs.errors import RequestError
from jobs.job import TileParams

if TYPE_CHECKING:
    pass


class PeriodParams(TileParams):
    """What a user may ask of every product of periods; a job's own parameters are further fields."""

    datetime: str = Field(description="Months to make: 2019-05, or 2018-08/2019-11.")
    mask: str | None = Field(
        None,
        description="Mask, e.g. scl, clm, tsmask, or scl:VARIANT; default by what is catalogued.",
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
