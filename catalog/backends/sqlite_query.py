"""A Query as SQL over the tables of :mod:`catalog.backends.sqlite`; values are always bound."""

import base64
import binascii
import json
from datetime import UTC, datetime

from catalog.errors import QueryError
from catalog.footprint import Bbox, halves
from catalog.search import Interval, Query

Values = list[str | int | float]

DAY = 86_400_000_000
"""Microseconds, the unit of ``t0`` and ``t1``, in a day, the unit of the R*Tree."""


def where(query: Query) -> tuple[str, Values]:
    """Condition on ``items`` and its values."""
    parts: list[str] = ["1"]
    values: Values = []
    for column, wanted in (
        ("collection", query.collections),
        ("id", query.ids),
        ("tile", query.tiles),
    ):
        if len(wanted) == 1:
            # Lets the index give the order too, which a list of values does not.
            parts.append(f"{column} = ?")
            values.append(wanted[0])
        elif wanted:
            parts.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(wanted))
    if query.level is not None:
        parts.append(f"{_LEVEL} = ?")
        values.append(query.level)
    if not query.superseded:
        parts.append(f"{_SUPERSEDED} IS NULL")
    if query.max_cloud is not None:
        parts.append(f"json_type({_CLOUD}) IN ('integer', 'real') AND json_extract({_CLOUD}) <= ?")
        values.append(query.max_cloud)
    for text, value in _times(query.datetime, "t1 >= ?", "t0 < ?"):
        parts.append(text)
        values.append(value)
    if query.bbox is not None:
        text, more = _within(query.bbox, query.datetime)
        parts.append(text)
        values.extend(more)
    return " AND ".join(f"({part})" for part in parts), values


def order(query: Query) -> tuple[str, Values]:
    """Condition that an item comes after the last one of the page before, and its values."""
    if query.token is None:
        return "1", []
    t0, collection, item_id = _position(query.token)
    return "(t0 < ? OR (t0 = ? AND (collection, id) > (?, ?)))", [t0, t0, collection, item_id]


def next_token(t0: int, collection: str, item_id: str) -> str:
    """Sort keys of the last item of a page -> token; items that come or go do not shift it."""
    text = json.dumps([t0, collection, item_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def ticks(value: datetime) -> int:
    """Aware time -> microseconds since 1970, exactly."""
    span = value.astimezone(UTC) - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _position(token: str) -> tuple[int, str, str]:
    try:
        padded = token + "=" * (-len(token) % 4)
        t0, collection, item_id = json.loads(base64.urlsafe_b64decode(padded.encode()))
    except (binascii.Error, ValueError, TypeError):
        raise _bad(token) from None
    if not (isinstance(t0, int) and isinstance(collection, str) and isinstance(item_id, str)):
        raise _bad(token)
    return t0, collection, item_id


def _bad(token: str) -> QueryError:
    return QueryError(f"{token!r} is no page of this search: search again without a token")


def _within(bbox: Bbox, interval: Interval | None) -> tuple[str, Values]:
    """Items whose geometry meets the bbox: first by the R*Tree, then exactly."""
    parts: list[str] = []
    values: Values = []
    for west, south, east, north in halves(bbox):
        overlap = "box.west <= ? AND box.east >= ? AND box.south <= ? AND box.north >= ?"
        values += [east, west, north, south]
        # Periods in days, as the R*Tree has them; the exact test is on t0 and t1.
        for text, value in _times(interval, "box.last >= ?", "box.first <= ?"):
            overlap += f" AND {text}"
            values.append(value / DAY)
        # An item that lies inside need not be asked for its geometry.
        inside = "box.west >= ? AND box.east <= ? AND box.south >= ? AND box.north <= ?"
        values += [west, east, south, north, west, south, east, north]
        parts.append(
            "SELECT box.rid FROM items_box AS box JOIN items AS it ON it.rid = box.rid "
            f"WHERE {overlap} AND (({inside}) OR touches(it.content, ?, ?, ?, ?))"
        )
    return f"rid IN ({' UNION '.join(parts)})", values


def _times(interval: Interval | None, since: str, until: str) -> list[tuple[str, int]]:
    start, end = interval or (None, None)
    found = [(since, ticks(start))] if start is not None else []
    return [*found, (until, ticks(end))] if end is not None else found


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEVEL = """json_extract(content, '$.properties."clearcube:level"')"""
_SUPERSEDED = """json_extract(content, '$.properties."clearcube:superseded_by"')"""
_CLOUD = """content, '$.properties."eo:cloud_cover"'"""
