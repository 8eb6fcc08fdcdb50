"""Periods of syntheses: half-open spans of UTC dates with a label and a centre."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from cube.errors import GridError

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Period:
    """One calendar month; other lengths differ in label, span and centre only."""

    label: str
    """As in ids of syntheses, e.g. ``2019-05``."""
    start: date
    """First day (UTC)."""
    end: date
    """The day after the last one (UTC): the span is ``[start, end)``."""

    @classmethod
    def parse(cls, label: str) -> Self:
        """``"2019-05"`` -> the period; ``GridError`` where the label names none."""
        found = _MONTH.fullmatch(label)
        if found is None or found[1] == "0000":
            raise GridError(
                f"period {label!r} is not known: write a month as YYYY-MM, e.g. 2019-05"
            )
        start = date(int(found[1]), int(found[2]), 1)
        return cls(label, start, _next_month(start))

    @property
    def centre(self) -> date:
        """The 15th, the day that Theia's monthly products stand for."""
        return self.start + timedelta(days=14)

    @property
    def last(self) -> date:
        """Last day inside the period (UTC)."""
        return self.end - timedelta(days=1)

    def __str__(self) -> str:
        return self.label


def months(start: date, end: date) -> tuple[Period, ...]:
    """Half-open span of UTC dates -> every month that it touches, in order; none where empty."""
    found = []
    first = start.replace(day=1)
    while first < end and start < end:
        period = Period.parse(f"{first:%Y-%m}")
        found.append(period)
        first = period.end
    return tuple(found)


def _next_month(first: date) -> date:
    """First of a month -> first of the next one."""
    return (first + timedelta(days=31)).replace(day=1)
