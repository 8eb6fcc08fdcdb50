"""Filters in the words of PostgreSQL over pgstac's table of items."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.backends.filter_sql import GRID_CODE, Values, condition
from catalog.filters.intervals import NEVER
from catalog.filters.tree import (
    CLOUD_COVER,
    FIRST,
    LAST,
    Call,
    Constant,
    Node,
    Property,
    pattern_parts,
)
from catalog.footprint import box_text
from catalog.queryables import Kind
from catalog.search import Query

LEVEL = Property(("properties", "clearcube:level"), "text")
SUPERSEDED = Property(("properties", "clearcube:superseded_by"), "any")
TILE = """pgstac.to_text(content->'properties'->'grid:code')"""
"""As pgstac's index of the queryable has it."""


class PgstacDialect:
    """The :class:`~catalog.backends.filter_sql.Dialect` of PostgreSQL."""

    mark = "%s"

    def property(self, node: Property) -> str:
        """A property as of its kind, NULL where it is not."""
        if node.path in _COLUMNS:
            return _COLUMNS[node.path]
        path = json_path(node.path)
        if node.kind == "time":
            return f"clearcube.moment(content #>> {path})"
        typed, cast = _TYPES[node.kind]
        found = f"content #> {path}" if node.kind == "array" else f"content #>> {path}"
        return f"(CASE jsonb_typeof(content #> {path}) WHEN '{typed}' THEN ({found}){cast} END)"

    def is_null(self, node: Property) -> str:
        """Whether a property is absent or null."""
        if node.path in _COLUMNS:
            return f"{_COLUMNS[node.path]} IS NULL"
        return f"(coalesce(jsonb_typeof(content #> {json_path(node.path)}), 'null') = 'null')"

    def bound(self, kind: Kind, value: Any) -> Any:
        """A value as psycopg takes it."""
        if kind == "time":
            return (
                "infinity" if value >= NEVER else "-infinity" if value <= -NEVER else time_of(value)
            )
        if kind == "boolean":
            return bool(value)
        return float(value) if kind == "number" else value

    def constant(self, node: Constant, values: Values) -> str:
        """A stated value."""
        values.append(self.bound(node.kind, node.value))
        return f"%s::{_CASTS[node.kind]}"

    def like(self, text: str, pattern: str, values: Values) -> str:
        """Whether text is like a pattern."""
        values.append(
            "".join(
                part if wild else re.sub(r"([\\%_])", r"\\\1", part)
                for wild, part in pattern_parts(pattern)
            )
        )
        return f"({text} LIKE %s)"

    def member(self, value: Node, text: str, members: str, values: Values) -> str:
        """Whether a value is one of a JSON list."""
        kind = value.kind
        values.append([self.bound(kind, each) for each in json.loads(members)])
        found = f"{text} = ANY(%s::{_CASTS[kind]}[])"
        if isinstance(value, Property) and value.path == GRID_CODE:
            values.append(values[-1])
            return f"({found} AND {TILE} = ANY(%s))"
        return f"({found})"

    def array(self, op: str, own: Property, stated: str, values: Values) -> str:
        """How a property that is a list lies to a JSON list."""
        values += [op, stated]
        return f"clearcube.arrays_relate({self.property(own)}, %s, %s::jsonb)"

    def spatial(self, predicate: str, geometry: str, values: Values) -> str:
        """How the item's geometry lies to GeoJSON text: by the index first, then exactly."""
        stated = "ST_GeomFromGeoJSON(%s)"
        exact = f"clearcube.relates(%s, geometry, {stated})"
        if predicate == "disjoint":
            values += [predicate, geometry]
            return exact
        values += [geometry, predicate, geometry]
        return f"(geometry && {stated} AND {exact})"

    def function(self, name: str, *args: str) -> str:
        """A function of the schema clearcube."""
        return f"clearcube.{name}({', '.join(args)})"


DIALECT = PgstacDialect()


def where(query: Query) -> tuple[str, Values]:
    """Condition on pgstac's items and its values."""
    parts: list[str] = ["true"]
    values: Values = []
    for column, wanted in (("collection", query.collections), ("id", query.ids)):
        if wanted:
            parts.append(f"{column} = ANY(%s)")
            values.append(list(wanted))
    if query.tiles:
        parts.append(f"{TILE} = ANY(%s)")
        values.append([f"{prefix}{tile}" for tile in query.tiles for prefix in ("MGRS-", "")])
    start, end = query.datetime or (None, None)
    for text, value in (("end_datetime >= %s", start), ("datetime < %s", end)):
        if value is not None:
            parts.append(text)
            values.append(value)
    if query.bbox is not None:
        parts.append(DIALECT.spatial("intersects", box_text(query.bbox), values))
    if query.intersects is not None:
        parts.append(DIALECT.spatial("intersects", query.intersects, values))
    parts += [condition(node, DIALECT, values) for node in _conditions(query)]
    return " AND ".join(parts), values


def json_path(path: tuple[str, ...]) -> str:
    """Steps -> path of jsonb as an SQL text; the names were checked when the filter was read."""
    return "'{" + ",".join(f'"{step}"' for step in path) + "}'"


def time_of(microseconds: int) -> datetime:
    """Microseconds since 1970 -> aware time."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _conditions(query: Query) -> list[Node]:
    found: list[Node] = []
    if query.level is not None:
        found.append(Call("=", (LEVEL, Constant(query.level, "text"))))
    if not query.superseded:
        found.append(Call("isNull", (SUPERSEDED,)))
    if query.max_cloud is not None:
        found.append(Call("<=", (CLOUD_COVER, Constant(query.max_cloud, "number"))))
    return found if query.filter is None else [*found, query.filter]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = {
    FIRST: "datetime",
    LAST: "end_datetime",
    ("id",): 'id COLLATE "C"',
    ("collection",): 'collection COLLATE "C"',
}
_TYPES: Mapping[Kind, tuple[str, str]] = {
    "number": ("number", "::double precision"),
    "text": ("string", ' COLLATE "C"'),
    "boolean": ("boolean", "::boolean"),
    "array": ("array", ""),
}
_CASTS: Mapping[Kind, str] = {
    "number": "double precision",
    "text": "text",
    "boolean": "boolean",
    "time": "timestamptz",
}
