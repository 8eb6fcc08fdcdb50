"""Times of a filter: instants and spans, and how two spans may lie to each other."""

from collections.abc import Callable, Mapping
from typing import Any

from catalog.errors import QueryError
from catalog.filters.tree import FIRST, LAST, Call, Constant, Node, Property
from catalog.moments import instant, ticks

Span = tuple[Node, Node]
"""First and last instant, both included, as nodes of times."""

NEVER = 1 << 62
"""Microseconds that no clock shows: an open end."""

RELATIONS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "t_after": (("a0", ">", "b1"),),
    "t_before": (("a1", "<", "b0"),),
    "t_contains": (("a0", "<", "b0"), ("a1", ">", "b1")),
    "t_during": (("a0", ">", "b0"), ("a1", "<", "b1")),
    "t_equals": (("a0", "=", "b0"), ("a1", "=", "b1")),
    "t_finishedby": (("a0", "<", "b0"), ("a1", "=", "b1")),
    "t_finishes": (("a0", ">", "b0"), ("a1", "=", "b1")),
    "t_intersects": (("a0", "<=", "b1"), ("a1", ">=", "b0")),
    "t_meets": (("a1", "=", "b0"),),
    "t_metby": (("a0", "=", "b1"),),
    "t_overlappedby": (("a0", ">", "b0"), ("a0", "<", "b1"), ("a1", ">", "b1")),
    "t_overlaps": (("a0", "<", "b0"), ("a1", ">", "b0"), ("a1", "<", "b1")),
    "t_startedby": (("a0", "=", "b0"), ("a1", ">", "b1")),
    "t_starts": (("a0", "=", "b0"), ("a1", "<", "b1")),
}
"""Allen's relations of spans [a0, a1] and [b0, b1] (OGC 21-065r2, table 10); all must hold."""


def relation(op: str, one: Span, other: Span) -> Node:
    """A temporal operator on two spans -> comparisons of their ends."""
    ends = {"a0": one[0], "a1": one[1], "b0": other[0], "b1": other[1]}
    if op == "t_disjoint":
        before, after = relation("t_before", one, other), relation("t_after", one, other)
        return Call("or", (before, after))
    parts = tuple(Call(sign, (ends[a], ends[b])) for a, sign, b in RELATIONS[op])
    return parts[0] if len(parts) == 1 else Call("and", parts)


def span(value: Any, named: Callable[[str], Property]) -> Span:
    """JSON of an instant, interval or property of time -> span."""
    if isinstance(value, Mapping):
        if isinstance(value.get("property"), str):
            return _property_span(named(value["property"]))
        if "timestamp" in value:
            return _instant(value["timestamp"])
        if "date" in value:
            return _day(value["date"])
        if "interval" in value:
            return _interval(value["interval"], named)
    if isinstance(value, str):
        return _instant(value)
    raise QueryError("a temporal operator takes datetime, TIMESTAMP, DATE or INTERVAL")


def moment(text: Any) -> int:
    """Time or date as text -> microseconds since 1970; a date is its first instant."""
    try:
        whole = f"{text}T00:00:00Z" if len(str(text)) == 10 else str(text)
        return ticks(instant(whole))
    except (ValueError, OverflowError):
        raise QueryError(f"{str(text)[:80]!r} is no time: write 2019-05-12T10:50:31Z") from None


def _property_span(found: Property) -> Span:
    if found.path == FIRST:
        return Property(FIRST, "time"), Property(LAST, "time")
    if found.kind not in ("time", "any"):
        raise QueryError(f"{found.path[-1]} is no time")
    own = Property(found.path, "time")
    return own, own


def _instant(text: Any) -> Span:
    if isinstance(text, str) and len(text) == 10:
        return _day(text)
    own = Constant(moment(text), "time")
    return own, own


def _day(text: Any) -> Span:
    first = moment(text)
    if len(str(text)) != 10:
        raise QueryError(f"{str(text)[:80]!r} is no date: write 2019-05-12")
    return Constant(first, "time"), Constant(first + _DAY - 1, "time")


def _interval(ends: Any, named: Callable[[str], Property]) -> Span:
    if not isinstance(ends, list) or len(ends) != 2:
        raise QueryError("an INTERVAL has two ends")
    first = Constant(-NEVER, "time") if ends[0] in ("..", "") else span(ends[0], named)[0]
    last = Constant(NEVER, "time") if ends[1] in ("..", "") else span(ends[1], named)[1]
    if isinstance(first, Constant) and isinstance(last, Constant) and first.value > last.value:
        raise QueryError("an INTERVAL ends before it starts")
    return first, last


_DAY = 86_400_000_000
