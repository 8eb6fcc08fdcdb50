"""Filters in the words of SQLite, and the functions that it is given for them."""

import json
import re
import sqlite3
from functools import lru_cache
from typing import Any

import orjson

from catalog.backends.filter_sql import GRID_CODE, Values
from catalog.filters import evaluation
from catalog.filters.tree import (
    CLOUD_COVER,
    FIRST,
    LAST,
    Constant,
    Node,
    Property,
    pattern_parts,
)
from catalog.footprint import Bbox, halves, intersects, relates, stated_bounds
from catalog.moments import moment_of
from catalog.queryables import Kind


class SqliteDialect:
    """The :class:`~catalog.backends.filter_sql.Dialect` of SQLite."""

    mark = "?"

    def __init__(self, *, counting: bool = False) -> None:
        # A page comes in the order of its index, row by row until it is full; an index of a
        # property would find all and sort them. To count, it is just what is wanted.
        self._sign = "" if counting else "+"

    def property(self, node: Property) -> str:
        """A property as of its kind, NULL where it is not."""
        if node in _COLUMNS:
            return f"{self._sign}{_COLUMNS[node]}" if node == CLOUD_COVER else _COLUMNS[node]
        place = json_place(node.path)
        if node.kind == "time":
            return f"moment(json_extract({place}))"
        if node.kind == "boolean":
            return f"CASE json_type({place}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
        types = _TYPES[node.kind]
        return f"CASE WHEN json_type({place}) IN {types} THEN json_extract({place}) END"

    def is_null(self, node: Property) -> str:
        """Whether a property is absent or null."""
        if node.path in _ALWAYS:
            return f"{_ALWAYS[node.path]} IS NULL"
        return f"(coalesce(json_type({json_place(node.path)}), 'null') = 'null')"

    def bound(self, _: Kind, value: Any) -> Any:
        """A value as it is: times are microseconds here too."""
        return value

    def constant(self, node: Constant, values: Values) -> str:
        """A stated value."""
        values.append(node.value)
        return "?"

    def like(self, text: str, pattern: str, values: Values) -> str:
        """Whether text is like a pattern; by GLOB, which tells capitals."""
        signs = {"%": "*", "_": "?"}
        values.append(
            "".join(
                signs[part] if wild else re.sub(r"([*?\[])", r"[\1]", part)
                for wild, part in pattern_parts(pattern)
            )
        )
        return f"({text} GLOB ?)"

    def member(self, value: Node, text: str, members: str, values: Values) -> str:
        """Whether a value is one of a JSON list."""
        values.append(members)
        found = f"{text} IN (SELECT value FROM json_each(?))"
        if isinstance(value, Property) and value.path == GRID_CODE:
            tiles = [str(code).removeprefix("MGRS-") for code in json.loads(members)]
            # One alone lets the index give the order too.
            values.append(tiles[0] if len(tiles) == 1 else json.dumps(tiles))
            among = "= ?" if len(tiles) == 1 else "IN (SELECT value FROM json_each(?))"
            return f"({found} AND tile {among})"
        return f"({found})"

    def array(self, op: str, own: Property, stated: str, values: Values) -> str:
        """How a property that is a list lies to a JSON list."""
        values += [op, stated]
        return f"arrays_relate({self.property(own)}, ?, ?)"

    def spatial(self, predicate: str, geometry: str, values: Values) -> str:
        """How the item's geometry lies to GeoJSON text: by the R*Tree first, then exactly."""
        exact = "relates(outline, ?, ?)"
        if predicate == "disjoint":
            values += [predicate, geometry]
            return exact
        text, more = near(stated_bounds(geometry))
        values += [*more, predicate, geometry]
        return f"({text} AND {exact})"

    def function(self, name: str, *args: str) -> str:
        """A function of :func:`add_functions`."""
        return f"{name}({', '.join(args)})"


def near(bbox: Bbox) -> tuple[str, Values]:
    """Condition that an item's box in the R*Tree meets a bbox, and its values."""
    parts: list[str] = []
    values: Values = []
    for west, south, east, north in halves(bbox):
        parts.append(
            "SELECT rid FROM items_box WHERE west <= ? AND east >= ? AND south <= ? AND north >= ?"
        )
        values += [east, west, north, south]
    return f"rid IN ({' UNION '.join(parts)})", values


def json_place(path: tuple[str, ...]) -> str:
    """Steps -> column and JSON path as SQL; the names were checked when the filter was read."""
    column = "content"
    if path[0] == "properties":
        column, path = "properties", path[1:]
    elif path[0] == "geometry":
        column = "outline"
    return f"{column}, '$" + "".join(f'."{step}"' for step in path) + "'"


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection what the texts above call."""
    for name, count, function in _FUNCTIONS:
        connection.create_function(name, count, function, deterministic=True)


# Scenes of a tile have few outlines between them.
@lru_cache(maxsize=4096)
def _touches(outline: str, west: float, south: float, east: float, north: float) -> bool:
    """Whether an item's geometry meets a bbox, exactly."""
    return intersects(orjson.loads(outline), (west, south, east, north))


@lru_cache(maxsize=4096)
def _relates(outline: str, predicate: str, geometry: str) -> bool:
    return relates(orjson.loads(outline), predicate, geometry)


def _arrays_relate(own: str | None, op: str, stated: str) -> bool | None:
    if own is None:
        return None
    return evaluation.arrays_relate(op, json.loads(own), json.loads(stated))


def _known(function: Any) -> Any:
    """A function that is NULL where one of its values is."""

    def applied(*args: Any) -> Any:
        return None if None in args else function(*args)

    return applied


_ALWAYS = {FIRST: "t0", LAST: "t1", ("id",): "id", ("collection",): "collection"}
_COLUMNS = {
    Property(FIRST, "time"): "t0",
    Property(LAST, "time"): "t1",
    Property(("id",), "text"): "id",
    Property(("collection",), "text"): "collection",
    CLOUD_COVER: "cloud",
    Property(("properties", "clearcube:level"), "text"): "level",
    Property(GRID_CODE, "text"): "grid",
}
_TYPES = {"number": "('integer', 'real')", "text": "('text')", "array": "('array')"}
_FUNCTIONS: tuple[tuple[str, int, Any], ...] = (
    ("touches", 5, _touches),
    ("relates", 3, _relates),
    ("arrays_relate", 3, _arrays_relate),
    ("moment", 1, moment_of),
    ("casei", 1, _known(evaluation.without_case)),
    ("accenti", 1, _known(evaluation.without_accents)),
    ("powered", 2, _known(evaluation.powered)),
    ("remainder", 2, _known(evaluation.remainder)),
    ("truncated", 1, _known(evaluation.truncated)),
)
