"""A Query as SQL over the tables of :mod:`catalog.backends.sqlite`; values are always bound."""

import json
import re
from dataclasses import replace

from catalog.backends.filter_sql import GRID_CODE, Values, condition
from catalog.backends.sqlite_filter import SqliteDialect
from catalog.filters.tree import CLOUD_COVER, Call, Node, Property
from catalog.footprint import Bbox, halves, stated_bounds
from catalog.moments import ticks
from catalog.search import Interval, Query, SortKey

LEVEL = Property(("properties", "clearcube:level"), "text")

PAGE = SqliteDialect()
COUNT = SqliteDialect(counting=True)

DAY = 86_400_000_000
"""Microseconds, the unit of ``t0`` and ``t1``, in a day, the unit of the R*Tree."""


FEW = 2000
"""Items of a place that are looked up and sorted faster than all are gone through in order."""


def candidates(query: Query) -> tuple[str, Values] | None:
    """Count of the items that the R*Tree has for a query, up to ``FEW``; None where it has no say."""
    box = query.bbox
    if box is None and query.intersects is not None:
        box = stated_bounds(query.intersects)
    if box is None or query.ids:
        return None
    parts, values = [], []
    for half in halves(box):
        overlap, more = _overlap(half, query.datetime)
        parts.append(f"SELECT rid FROM items_box AS box WHERE {overlap}")
        values += more
    return f"SELECT count(*) FROM ({' UNION ALL '.join(parts)} LIMIT {FEW})", values


def source(*texts: str) -> str:
    """Tables that conditions and orders speak of: documents only where their JSON is asked for."""
    if not any(_OF_DOCUMENTS.search(text) for text in texts):
        return "items"
    # CROSS JOIN is SQLite's word for: in this order.
    return "items CROSS JOIN documents USING (rid)"


def tallied(query: Query) -> tuple[str, Values] | None:
    """Count that is kept, for a query that asks for whole collections; None for any other."""
    if replace(query, collections=(), sortby=(), limit=1, token=None) != Query(limit=1):
        return None
    if not query.collections:
        return "SELECT sum(items) FROM tallies", []
    return (
        "SELECT sum(items) FROM tallies WHERE collection IN (SELECT value FROM json_each(?))",
        [json.dumps(query.collections)],
    )


def in_order_of_cloud(query: Query) -> bool:
    """Whether the index of cloud cover is to give the order, and nothing else is to be gone by."""
    chosen = query.ids or query.tiles or query.datetime or query.bbox or query.intersects
    return not chosen and query.sortby[:1] in (
        (SortKey(CLOUD_COVER),),
        (SortKey(CLOUD_COVER, descending=True),),
    )


def _names_tiles(query: Query) -> bool:
    """Whether the index of tiles can be gone by: they are named, if by a filter that must hold."""

    def names(node: Node | None) -> bool:
        if not isinstance(node, Call):
            return False
        if node.op == "and":
            return any(names(each) for each in node.args)
        own = node.args[0] if node.op in ("=", "in") else None
        return isinstance(own, Property) and own.path == GRID_CODE

    return bool(query.tiles) or names(query.filter)


def where(
    query: Query, dialect: SqliteDialect, *, few: bool = False, since: int | None = None
) -> tuple[str, Values]:
    """Condition on ``items`` and its values.

    ``few``: the R*Tree is to be asked first. ``since``: no item that answers begins before.
    """
    parts: list[str] = ["1"]
    values: Values = []
    # A plus keeps SQLite from using the index of a column.
    plain = "+" if few else ""
    for column, wanted in (
        ("collection", query.collections),
        ("id", query.ids),
        ("tile", query.tiles),
    ):
        # A tile has some thousand items, a collection may have most of all.
        other = column == "collection" and (in_order_of_cloud(query) or _names_tiles(query))
        sign = "+" if other else plain
        if len(wanted) == 1:
            # Lets the index give the order too, which a list of values does not.
            parts.append(f"{sign}{column} = ?")
            values.append(wanted[0])
        elif wanted:
            parts.append(f"{sign}{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(wanted))
    if query.level is not None:
        parts.append("level = ?")
        values.append(query.level)
    if not query.superseded:
        parts.append("NOT superseded")
    if query.max_cloud is not None:
        parts.append(f"{dialect.property(CLOUD_COVER)} <= ?")
        values.append(query.max_cloud)
    for text, value in _times(query.datetime, "t1 >= ?", "t0 < ?"):
        parts.append(f"{plain}{text}")
        values.append(value)
    if since is not None and not few:
        parts.append("t0 >= ?")
        values.append(since)
    if query.bbox is not None:
        text, more = _within(query.bbox, query.datetime)
        parts.append(text)
        values.extend(more)
    if query.intersects is not None:
        parts.append(dialect.spatial("intersects", query.intersects, values))
    if query.filter is not None:
        parts.append(condition(query.filter, dialect, values))
    return " AND ".join(f"({part})" for part in parts), values


def _within(bbox: Bbox, interval: Interval | None) -> tuple[str, Values]:
    """Items whose geometry meets the bbox: first by the R*Tree, then exactly."""
    parts: list[str] = []
    values: Values = []
    for west, south, east, north in halves(bbox):
        overlap, more = _overlap((west, south, east, north), interval)
        values += more
        # An item that lies inside need not be asked for its geometry.
        inside = "box.west >= ? AND box.east <= ? AND box.south >= ? AND box.north <= ?"
        values += [west, east, south, north, west, south, east, north]
        edge = "(SELECT touches(outline, ?, ?, ?, ?) FROM documents WHERE rid = box.rid)"
        parts.append(
            f"SELECT box.rid FROM items_box AS box WHERE {overlap} AND (({inside}) OR {edge})"
        )
    return f"rid IN ({' UNION '.join(parts)})", values


def _overlap(box: Bbox, interval: Interval | None) -> tuple[str, Values]:
    """Condition that an entry of the R*Tree meets a box with west <= east, and a time."""
    west, south, east, north = box
    text = "box.west <= ? AND box.east >= ? AND box.south <= ? AND box.north >= ?"
    values: Values = [east, west, north, south]
    # Periods in days, as the R*Tree has them; the exact test is on t0 and t1.
    for bound, value in _times(interval, "box.last >= ?", "box.first <= ?"):
        text += f" AND {bound}"
        values.append(value / DAY)
    return text, values


def _times(interval: Interval | None, since: str, until: str) -> list[tuple[str, int]]:
    start, end = interval or (None, None)
    found = [(since, ticks(start))] if start is not None else []
    return [*found, (until, ticks(end))] if end is not None else found


_OF_DOCUMENTS = re.compile(r"(?<!touches)\((outline|properties|content), ")
