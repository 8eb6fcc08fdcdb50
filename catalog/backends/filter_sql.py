"""Filters and orders as SQL, whatever the database: names are checked, values always bound."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from catalog.filters.tree import Call, Constant, Node, Property
from catalog.ordering import Key, Place
from catalog.queryables import Kind

Values = list[Any]

GRID_CODE = ("properties", "grid:code")


class Dialect(Protocol):
    """What differs between databases; each method adds the values that its text has marks for."""

    mark: str
    """What stands for a bound value."""

    def property(self, node: Property) -> str:
        """A property as of its kind, NULL where it is not; binds nothing."""
        ...

    def is_null(self, node: Property) -> str:
        """Whether a property is absent or null; binds nothing."""
        ...

    def bound(self, kind: Kind, value: Any) -> Any:
        """A value as the database takes it."""
        ...

    def constant(self, node: Constant, values: Values) -> str:
        """A stated value."""
        ...

    def like(self, text: str, pattern: str, values: Values) -> str:
        """Whether text is like a CQL2 pattern."""
        ...

    def member(self, value: Node, text: str, members: str, values: Values) -> str:
        """Whether a value is one of a JSON list."""
        ...

    def array(self, op: str, own: Property, stated: str, values: Values) -> str:
        """How a property that is a list lies to a JSON list."""
        ...

    def spatial(self, predicate: str, geometry: str, values: Values) -> str:
        """How the item's geometry lies to GeoJSON text."""
        ...

    def function(self, name: str, *args: str) -> str:
        """A function of ours: casei, accenti, powered, remainder, truncated."""
        ...


def condition(node: Node, dialect: Dialect, values: Values) -> str:
    """Filter -> SQL; its values are added in the order of their marks."""
    if isinstance(node, Constant):
        return dialect.constant(node, values)
    if isinstance(node, Property):
        return dialect.property(node)
    return _EMITTERS[node.op](node, dialect, values)


def order_by(keys: Sequence[Key], dialect: Dialect, *, back: bool = False) -> str:
    """Keys -> ORDER BY, those that are absent last; reversed for the page before."""
    parts = []
    for key in keys:
        direction = "DESC" if key.descending != back else "ASC"
        # Where every item has the key, an index gives the order only if no place of NULL is named.
        nulls = "" if key.always else f" NULLS {'FIRST' if back else 'LAST'}"
        parts.append(f"{dialect.property(key.field)} {direction}{nulls}")
    return ", ".join(parts)


def beyond(
    keys: Sequence[Key], place: Place, dialect: Dialect, values: Values, *, back: bool = False
) -> str:
    """Condition that an item comes after a place (or before it)."""
    ties: list[tuple[str, Any]] = []
    cases: list[str] = []
    texts = [dialect.property(key.field) for key in keys]
    lead = ""
    if keys[0].always:  # lets the index begin at the place
        sign = "<=" if keys[0].descending != back else ">="
        lead = f"{texts[0]} {sign} {dialect.mark} AND "
        values.append(dialect.bound(keys[0].field.kind, place[0]))
    for key, text, held in zip(keys, texts, place, strict=True):
        value = None if held is None else dialect.bound(key.field.kind, held)
        step = _step(key, text, value, dialect.mark, back=back)
        if step is not None:
            tied = [
                f"{own} IS NULL" if stated is None else f"{own} = {dialect.mark}"
                for own, stated in ties
            ]
            cases.append(f"({' AND '.join([*tied, step])})")
            values += [stated for _, stated in ties if stated is not None]
            values += [value] if dialect.mark in step else []
        ties.append((text, value))
    return f"({lead}({' OR '.join(cases)}))"


def _step(key: Key, text: str, value: Any, mark: str, *, back: bool) -> str | None:
    """Condition that one key alone is further on; None where nothing can be."""
    if value is None:
        return f"{text} IS NOT NULL" if back else None
    sign = "<" if key.descending != back else ">"
    further = f"{text} {sign} {mark}"
    return further if key.always or back else f"({further} OR {text} IS NULL)"


Emitter = Callable[[Call, Dialect, Values], str]


def _joined(word: str) -> Emitter:
    def emit(node: Call, dialect: Dialect, values: Values) -> str:
        return f"({f' {word} '.join(condition(each, dialect, values) for each in node.args)})"

    return emit


def _called(name: str) -> Emitter:
    def emit(node: Call, dialect: Dialect, values: Values) -> str:
        args = [condition(each, dialect, values) for each in node.args]
        return dialect.function(name, *args)

    return emit


def _equal(node: Call, dialect: Dialect, values: Values) -> str:
    own, stated = node.args
    if isinstance(own, Property) and own.path == GRID_CODE and isinstance(stated, Constant):
        # As a list of one: databases have an index of tiles.
        return dialect.member(
            own, condition(own, dialect, values), json.dumps([stated.value]), values
        )
    return _joined("=")(node, dialect, values)


def _divided(node: Call, dialect: Dialect, values: Values) -> str:
    one, other = (condition(each, dialect, values) for each in node.args)
    return f"(1.0 * {one} / nullif({other}, 0))"


def _is_null(node: Call, dialect: Dialect, values: Values) -> str:
    own = node.args[0]
    assert isinstance(own, Property)
    return dialect.is_null(own)


def _like(node: Call, dialect: Dialect, values: Values) -> str:
    text = condition(node.args[0], dialect, values)
    return dialect.like(text, _stated(node.args[1]), values)


def _member(node: Call, dialect: Dialect, values: Values) -> str:
    text = condition(node.args[0], dialect, values)
    return dialect.member(node.args[0], text, _stated(node.args[1]), values)


def _array(node: Call, dialect: Dialect, values: Values) -> str:
    own = node.args[0]
    assert isinstance(own, Property)
    return dialect.array(node.op, own, _stated(node.args[1]), values)


def _spatial(node: Call, dialect: Dialect, values: Values) -> str:
    return dialect.spatial(_stated(node.args[0]), _stated(node.args[1]), values)


def _stated(node: Node) -> str:
    return str(node.value) if isinstance(node, Constant) else ""


_EMITTERS: dict[str, Emitter] = {
    **{word: _joined(word.upper()) for word in ("and", "or")},
    "=": _equal,
    **{sign: _joined(sign) for sign in ("<>", "<", "<=", ">", ">=", "+", "-", "*")},
    "not": lambda node, dialect, values: f"(NOT {condition(node.args[0], dialect, values)})",
    "coalesce": lambda node, dialect, values: (
        f"coalesce({', '.join(condition(each, dialect, values) for each in node.args)})"
    ),
    "isNull": _is_null,
    "/": _divided,
    "^": _called("powered"),
    "%": _called("remainder"),
    "div": lambda node, dialect, values: dialect.function(
        "truncated", _divided(node, dialect, values)
    ),
    "casei": _called("casei"),
    "accenti": _called("accenti"),
    "like": _like,
    "in": _member,
    "spatial": _spatial,
    **dict.fromkeys(("a_equals", "a_contains", "a_containedby", "a_overlaps"), _array),
}
