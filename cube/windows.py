"""Which dates a synthesis takes: those of its period, or those round its centre."""

from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cube.periods import Period


class WindowParams(BaseModel):
    """Parameters that every method has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Literal["calendar", "centred"] = Field(
        "calendar",
        description="Dates of the period itself, or within half_window days of its centre",
        json_schema_extra={"unit": "name", "source": "this project"},
    )
    half_window: int | None = Field(
        None,
        ge=1,
        le=1100,
        description="Days on either side of the centre, the last included, where window=centred; "
        "by default 23 for months, else three quarters of the period",
        json_schema_extra={"unit": "days", "source": "WASP, parameter synthalf for Sentinel-2"},
    )


def window(period: Period, params: WindowParams) -> tuple[date, date]:
    """Period -> first and last day of the dates used, both included."""
    if params.window == "calendar":
        return period.start, period.last
    half = timedelta(days=params.half_window or _half(period))
    return period.centre - half, period.centre + half


def reach(period: Period, params: WindowParams) -> int:
    """Days from the centre of a period to the farther end of its window."""
    first, last = window(period, params)
    return max((period.centre - first).days, (last - period.centre).days)


def _half(period: Period) -> int:
    """Days to either side by default: of a month WASP's 23, which is three quarters of it."""
    if period.kind == "month":
        return _WASP_HALF
    return max(1, round(0.75 * (period.end - period.start).days))


_WASP_HALF = 23
