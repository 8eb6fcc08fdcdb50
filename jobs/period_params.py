"""What a user may ask of products of periods, and the periods that it comes to."""

from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator

from catalog.items import NAME
from catalog.search import parse_datetime
from cube.errors import GridError
from cube.periods import KINDS, Period, is_kind, label_of, periods
from jobs.errors import RequestError
from jobs.job import TileParams


class PeriodParams(TileParams):
    """What a user may ask of every product of periods; a job's own parameters are further fields."""

    datetime: str = Field(
        description="Periods to make, all that it touches: 2019-05, 2018-08/2019-11, or 2019-Q2."
    )
    mask: str | None = Field(
        None,
        description="Mask, e.g. scl, clm, tsmask, or scl:VARIANT; default by what is catalogued.",
    )
    period: str = Field(
        "month",
        description="month, dekad, quarter, season, year, or rolling: the 3 months that end with "
        "each (rolling-N: N months).",
    )
    mask_options: dict[str, Any] = Field(
        default_factory=dict, description="Settings of the mask: reading, buffer, its own options."
    )
    skip_corrupt: bool = Field(
        False, description="Make periods without scenes that cannot be read; the items name them."
    )
    name: str | None = Field(None, description="Variant: outputs stand beside the default ones.")

    @field_validator("period")
    @classmethod
    def _known(cls, value: str) -> str:
        if not is_kind(value):
            raise ValueError(f"write {', '.join(KINDS)}, or rolling-N of 2 to 36 months")
        return value

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a variant holds A-Z a-z 0-9 . - only")
        return value


def periods_of(params: PeriodParams) -> tuple[Period, ...]:
    """Request -> the periods that its datetime touches, in order; ``RequestError`` for open ends.

    ``datetime`` is STAC's, or the label of a period of the kind asked for, or two with ``/`` between.
    """
    text, kind = params.datetime, params.period
    ends = [_labelled(kind, part.strip()) for part in text.split("/")]
    if len(ends) <= 2 and all(ends):
        found = [end for end in ends if end is not None]
        first, last = found[0], found[-1]
        # Rolling periods begin before: what names them is the month that they end with.
        start = last.last if len(found) == 1 else first.last
        made = periods(kind, start, last.end)
        if not made:
            raise RequestError(f"datetime {text!r} ends before it starts")
        return made
    start_time, end_time = parse_datetime(text)
    if start_time is None or end_time is None:
        raise RequestError(f"datetime {text!r} is open: name the first and the last month")
    after = (end_time - timedelta(microseconds=1)).date() + timedelta(days=1)
    return periods(kind, start_time.date(), after)


def _labelled(kind: str, text: str) -> Period | None:
    """Label of a period of a kind -> the period; None for other text.

    ``RequestError`` for labels that only another kind has.
    """
    try:
        found = Period.parse(text)
    except GridError:
        return None
    if label_of(kind, found.last) == found.label:
        return found
    if found.kind not in ("month", "year"):  # these are dates of STAC too
        raise RequestError(f"{text} is no {kind}: add --period {_option(found)}")
    return None


def _option(period: Period) -> str:
    """As ``--period`` names the kind of a period."""
    months = period.label.rpartition("-R")[2]
    return f"rolling-{months}" if period.kind == "rolling" else period.kind


def datetime_of(period: Period) -> str:
    """Period -> STAC datetime that, with its kind, touches this period alone."""
    if period.kind == "month":
        return period.label
    if period.kind == "rolling":  # found by the month that it ends with
        return period.label.partition("-R")[0]
    return f"{period.start}/{period.last}"
