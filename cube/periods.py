"""Periods of syntheses: half-open spans of UTC dates with a label, a kind and a centre."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from cube.errors import GridError

SEASONS = {"DJF": 12, "MAM": 3, "JJA": 6, "SON": 9}
"""Meteorological seasons and the month that each begins with; DJF begins in the year before."""

ROLLING_MONTHS = 3
"""Months of a rolling period, where none are stated."""

MOST_ROLLING_MONTHS = 36

_KINDS = {
    "month": (r"(\d{4})-(\d\d)", "2019-05"),
    "dekad": (r"(\d{4})-(\d\d)-D([123])", "2019-05-D2"),
    "quarter": (r"(\d{4})-Q([1-4])", "2019-Q2"),
    "season": (r"(\d{4})-(DJF|MAM|JJA|SON)", "2019-MAM"),
    "year": (r"(\d{4})", "2019"),
    "rolling": (r"(\d{4})-(\d\d)-R(\d{1,2})", "2019-05-R3"),
}
"""Kind -> its labels and one of them."""

KINDS = tuple(_KINDS)
"""Kinds of periods; ``rolling`` may state its months, as ``rolling-6``."""

_ROLLING = re.compile(r"rolling(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Period:
    """One month, dekad, quarter, season or year, or the months that end with one."""

    label: str
    """As in ids of syntheses, e.g. ``2019-05``."""
    start: date
    """First day (UTC)."""
    end: date
    """The day after the last one (UTC): the span is ``[start, end)``."""
    kind: str = "month"
    """As ``--period`` names it, without the number of months."""

    @classmethod
    def parse(cls, label: str) -> Self:
        """Label -> the period; ``GridError`` where it names none.

        ``2019-05`` is a month, ``2019-05-D2`` its days 11 to 20 (``D1`` 1 to 10, ``D3`` the rest),
        ``2019-Q2`` April to June, ``2019-MAM`` March to May, ``2019-DJF`` December 2018 to February
        2019, ``2019`` the year, ``2019-05-R3`` the three months that end with May 2019.
        """
        for kind, (form, _) in _KINDS.items():
            found = re.fullmatch(form, label, re.ASCII)
            if found is None:
                continue
            try:
                start, end = _SPANS[kind](*found.groups())
            except (ValueError, OverflowError):
                break
            return cls(label, start, end, kind)
        raise GridError(
            f"period {label!r} is not known: write a month as YYYY-MM, or {_examples()}"
        )

    @property
    def centre(self) -> date:
        """The day that it stands for: of a month the 15th, else the middle one (of two the first)."""
        if self.kind == "month":
            return self.start + timedelta(days=14)  # as Theia's monthly products
        return self.start + (self.last - self.start).days // 2 * _DAY

    @property
    def last(self) -> date:
        """Last day inside the period (UTC)."""
        return self.end - timedelta(days=1)

    def __str__(self) -> str:
        return self.label


def periods(kind: str, start: date, end: date) -> tuple[Period, ...]:
    """Half-open span of UTC dates -> every period of a kind that it touches, in order.

    Rolling periods are those that end with a month which the span touches. ``GridError`` where the
    kind is not known.
    """
    found = []
    first = start
    while first < end:
        period = Period.parse(label_of(kind, first))
        found.append(period)
        first = period.end
    return tuple(found)


def label_of(kind: str, day: date) -> str:
    """Kind of period and a day -> label of the period that it lies in (of rolling ones the last month)."""
    year, month = day.year, day.month
    rolling = _ROLLING.fullmatch(kind)
    if rolling:
        return f"{year:04}-{month:02}-R{int(rolling[1] or ROLLING_MONTHS)}"
    if kind == "month":
        return f"{year:04}-{month:02}"
    if kind == "dekad":
        return f"{year:04}-{month:02}-D{min((day.day - 1) // 10, 2) + 1}"
    if kind == "quarter":
        return f"{year:04}-Q{(month - 1) // 3 + 1}"
    if kind == "season":
        name = list(SEASONS)[month % 12 // 3]
        return f"{year + (month == 12):04}-{name}"
    if kind == "year":
        return f"{year:04}"
    raise GridError(f"period {kind!r} is not known: {' '.join(KINDS)}, or rolling-N of N months")


def is_kind(kind: str) -> bool:
    """Whether ``--period`` may say so: a kind, or ``rolling-N`` of 2 to 36 months."""
    rolling = _ROLLING.fullmatch(kind)
    months = int(rolling[1] or ROLLING_MONTHS) if rolling else 0
    return kind in KINDS or 2 <= months <= MOST_ROLLING_MONTHS


_DAY = timedelta(days=1)

Span = tuple[date, date]


def _month(year: str, month: str) -> Span:
    start = date(int(year), int(month), 1)
    return start, _later(start, 1)


def _dekad(year: str, month: str, number: str) -> Span:
    start, end = _month(year, month)
    first = start + 10 * (int(number) - 1) * _DAY
    return first, end if number == "3" else first + 10 * _DAY


def _quarter(year: str, number: str) -> Span:
    start = date(int(year), 3 * int(number) - 2, 1)
    return start, _later(start, 3)


def _season(year: str, name: str) -> Span:
    start = date(int(year) - (name == "DJF"), SEASONS[name], 1)
    return start, _later(start, 3)


def _year(year: str) -> Span:
    return date(int(year), 1, 1), date(int(year) + 1, 1, 1)


def _rolling(year: str, month: str, count: str) -> Span:
    if not 2 <= int(count) <= MOST_ROLLING_MONTHS:
        raise ValueError(count)
    start, end = _month(year, month)
    return _later(start, 1 - int(count)), end


def _later(first: date, months: int) -> date:
    """First of a month -> first of the month so many later."""
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)


_SPANS: dict[str, Callable[..., Span]] = {
    "month": _month,
    "dekad": _dekad,
    "quarter": _quarter,
    "season": _season,
    "year": _year,
    "rolling": _rolling,
}


def _examples() -> str:
    return ", ".join(
        f"{example} ({kind})" for kind, (_, example) in _KINDS.items() if kind != "month"
    )
