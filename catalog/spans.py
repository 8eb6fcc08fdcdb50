"""Spans of time as items record them: lists of ``[start, end)`` in UTC, ``None`` for an open end."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta

from catalog.items import utc_text
from catalog.search import Interval, instant

Recorded = Sequence[Sequence[str | None]]
"""Spans as JSON: ``[["2019-04-01T00:00:00Z", "2019-07-01T00:00:00Z"], [..., null]]``."""

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def merged(spans: Iterable[Interval]) -> list[Interval]:
    """Spans in any order -> the fewest that cover the same time, in order."""
    found: list[Interval] = []
    for start, end in sorted(spans, key=lambda span: span[0] or _FIRST):
        if found and (start or _FIRST) <= (found[-1][1] or _LAST):
            last = max(found[-1][1] or _LAST, end or _LAST)
            found[-1] = (found[-1][0], None if last == _LAST else last)
        else:
            found.append((start, end))
    return found


def recorded(spans: Iterable[Interval]) -> list[list[str | None]]:
    """Spans -> JSON."""
    return [[None if each is None else utc_text(each) for each in span] for span in spans]


def from_recorded(spans: Recorded) -> list[Interval]:
    """JSON -> spans."""
    pairs = ([None if each is None else instant(each) for each in span] for span in spans)
    return [(start, end) for start, end in pairs]


def within(time: datetime, spans: Iterable[Interval]) -> bool:
    """Whether a time lies in one of the spans."""
    return any((s is None or time >= s) and (e is None or time < e) for s, e in spans)


def span_text(span: Interval) -> str | None:
    """Span -> STAC datetime that means just that; None for all time."""
    start, end = span
    if start is None and end is None:
        return None
    if all(each is None or each.time() == time() for each in span):  # whole days
        first = ".." if start is None else f"{start:%Y-%m-%d}"
        last = ".." if end is None else f"{end - timedelta(days=1):%Y-%m-%d}"
    else:
        first = ".." if start is None else utc_text(start)
        last = ".." if end is None else utc_text(end - _STEP)
    return f"{first}/{last}"
