"""CQL2 text or JSON, and the query extension -> a checked tree; ``QueryError`` names the fault."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from textwrap import shorten
from typing import Any

import cql2

from catalog.errors import QueryError
from catalog.filters.evaluation import FOLDS
from catalog.filters.intervals import RELATIONS, moment, relation, span
from catalog.filters.tree import (
    FIRST,
    Call,
    Constant,
    Node,
    Property,
    pattern_parts,
    property_named,
)
from catalog.footprint import geometry_text
from catalog.queryables import Kind

MAX_TEXT = 200_000
"""Characters of a filter: a polygon of some thousand corners."""
MAX_NODES = 500
MAX_DEPTH = 60
MAX_WILDCARDS = 16

COMPARISONS = {
    "=": "=",
    "eq": "=",
    "<>": "<>",
    "!=": "<>",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "div")
SPATIAL = {
    "s_intersects": "intersects",
    "s_equals": "equals",
    "s_disjoint": "disjoint",
    "s_touches": "touches",
    "s_within": "within",
    "s_overlaps": "overlaps",
    "s_crosses": "crosses",
    "s_contains": "contains",
}
"""CQL2's operators -> shapely's and PostGIS' predicates."""
CONVERSE = {"within": "contains", "contains": "within"}
ARRAYS = ("a_equals", "a_contains", "a_containedby", "a_overlaps")


def parse_filter(value: str | Mapping[str, Any], lang: str | None = None) -> Node:
    """CQL2 as text or JSON (told by what it is, or by ``lang``) -> tree."""
    if isinstance(value, Mapping):
        value, lang = json.dumps(value), "cql2-json"
    text = value.strip()
    if lang is None:
        lang = "cql2-json" if text.startswith("{") else "cql2-text"
    if lang not in ("cql2-json", "cql2-text"):
        raise QueryError(f"filter language {lang!r}: give cql2-text or cql2-json")
    if not text:
        raise QueryError(
            "the filter is empty: leave it out, or write one such as eo:cloud_cover < 20"
        )
    if len(text) > MAX_TEXT:
        raise QueryError(f"the filter has {len(text)} characters: at most {MAX_TEXT} are read")
    _check_nesting(text)
    parse = cql2.parse_json if lang == "cql2-json" else cql2.parse_text
    try:
        document = parse(text).to_json()
    except (cql2.ParseError, ValueError, TypeError) as error:
        raise QueryError(f"the filter is no {lang}: {_cause(error)}") from None
    return _condition(document, _Budget())


def query_filter(query: Mapping[str, Any]) -> Node | None:
    """The query extension's ``{property: {operator: value}}`` -> tree; None where it asks nothing."""
    budget = _Budget()
    parts: list[Node] = []
    for name, asked in query.items():
        if not isinstance(asked, Mapping):
            raise QueryError(f'query of {name!r}: give operators, such as {{"lt": 20}}')
        for op, value in asked.items():
            parts.append(_asked(name, op, value, budget))
    return conjunction(parts)


def conjunction(parts: Sequence[Node]) -> Node | None:
    """Conditions -> the one that asks for all of them."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return Call("and", tuple(parts))


class _Budget:
    """How much of a filter is left to be read."""

    def __init__(self) -> None:
        self.nodes, self.depth = MAX_NODES, 0

    def spend(self) -> None:
        self.nodes -= 1
        if self.nodes < 0:
            raise QueryError(f"the filter has more than {MAX_NODES} parts: ask in smaller ones")

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise QueryError(f"the filter is nested deeper than {MAX_DEPTH}: write it flatter")

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


_OPERATORS = {
    "eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=",
}  # fmt: skip
_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def _asked(name: str, op: str, value: Any, budget: _Budget) -> Node:
    """One operator of the query extension."""
    if op in _OPERATORS:
        return _compared(_OPERATORS[op], {"property": name}, value, budget)
    if op == "in":
        return _within_list([{"property": name}, value], budget)
    if op in _PATTERNS:
        if not isinstance(value, str):
            raise QueryError(f"query of {name!r}: {op} takes text")
        escaped = re.sub(r"([\\%_])", r"\\\1", value)
        return _like([{"property": name}, _PATTERNS[op].format(escaped)], budget)
    known = " ".join([*_OPERATORS, "in", *_PATTERNS])
    raise QueryError(f"query of {name!r}: no operator is called {op!r}; there are {known}")


def _condition(value: Any, budget: _Budget) -> Node:
    """JSON of something true or false -> node."""
    budget.spend()
    if isinstance(value, bool):
        return Constant(value, "boolean")
    if isinstance(value, Mapping) and isinstance(value.get("property"), str):
        return _as(property_named(value["property"]), "boolean")
    op, args = _call(value)
    with budget:
        if op in ("and", "or"):
            if not args:
                raise QueryError(f"{op} needs something to join")
            return Call(op, tuple(_condition(each, budget) for each in args))
        if op == "not":
            return Call(op, (_condition(_taken(op, args, 1)[0], budget),))
        if op == "isNull":
            return _is_null(_taken(op, args, 1)[0])
        if op in COMPARISONS:
            one, other = _taken(op, args, 2)
            return _compared(COMPARISONS[op], one, other, budget)
        if op == "between":
            if len(args) == 2 and isinstance(args[1], list):  # as drafts of CQL2 had it
                args = [args[0], *args[1]]
            value, low, high = _taken(op, args, 3)
            pair = _compared(">=", value, low, budget), _compared("<=", value, high, budget)
            return Call("and", pair)
        for names, read in _READERS:
            if op in names:
                return read(op, args, budget)
    raise QueryError(f"the filter's operator {op!r} is unknown, or gives nothing true or false")


def _is_null(value: Any) -> Node:
    if not isinstance(value, Mapping) or not isinstance(value.get("property"), str):
        raise QueryError("IS NULL takes the name of a property")
    found = property_named(value["property"])
    if found.path == FIRST:
        found = Property(("properties", "datetime"), "time")
    return Call("isNull", (replace(found, kind="any"),))


def _compared(op: str, left: Any, right: Any, budget: _Budget) -> Node:
    """A comparison, its two sides brought to one kind."""
    one, other = _operand(left, budget), _operand(right, budget)
    return _matched(op, one, other)


def _matched(op: str, one: Node, other: Node) -> Node:
    for kind in ("time", "number", "text", "boolean"):
        if kind in (one.kind, other.kind):
            if kind == "boolean" and op not in ("=", "<>"):
                raise QueryError(f"true and false have no order: {op} cannot compare them")
            return Call(op, (_as(one, kind), _as(other, kind)))
    if "geometry" in (one.kind, other.kind) or "array" in (one.kind, other.kind):
        raise QueryError(f"{op} compares numbers, text and times; use s_ or a_ operators here")
    # Two properties of which nothing is known: as numbers, else as text.
    numbers = Call(op, (_as(one, "number"), _as(other, "number")))
    return Call("coalesce", (numbers, Call(op, (_as(one, "text"), _as(other, "text")))))


def _as(node: Node, kind: Kind) -> Node:
    """A node as of a kind: an unknown property becomes it, text is read, all else is refused."""
    if node.kind == kind:
        return node
    if isinstance(node, Property) and node.kind == "any":
        return replace(node, kind=kind)
    if isinstance(node, Constant) and node.kind == "text":
        if kind == "time":
            return Constant(moment(node.value), "time")
        try:
            if kind == "number":
                return Constant(_finite(float(node.value)), "number")
        except ValueError:
            pass
        if kind == "boolean" and node.value.lower() in ("true", "false"):
            return Constant(node.value.lower() == "true", "boolean")
    raise QueryError(f"{_shown(node)} is {_KINDS[node.kind]}, not {_KINDS[kind]}")


def _finite(number: float) -> float:
    if number - number != 0.0:
        raise QueryError("a number of the filter is not finite")
    return number


def _operand(value: Any, budget: _Budget) -> Node:
    """JSON of a value -> node of its own kind."""
    budget.spend()
    if isinstance(value, bool):
        return Constant(value, "boolean")
    if isinstance(value, int | float):
        return Constant(_finite(float(value)), "number")
    if isinstance(value, str):
        return Constant(value, "text")
    if value is None:
        raise QueryError("nothing equals NULL: write IS NULL, or IS NOT NULL")
    if isinstance(value, Mapping):
        if isinstance(value.get("property"), str):
            return property_named(value["property"])
        for name in ("timestamp", "date"):
            if name in value:
                return Constant(moment(value[name]), "time")
        if "op" in value:
            return _computed(value, budget)
    raise QueryError(f"{json.dumps(value)[:80]} is no number, text, time or property")


def _computed(value: Any, budget: _Budget) -> Node:
    op, args = _call(value)
    with budget:
        if op in ARITHMETIC:
            pair = (_as(_operand(each, budget), "number") for each in _taken(op, args, 2))
            return Call(op, tuple(pair), "number")
        if op in ("casei", "accenti"):
            inner = _as(_operand(_taken(op, args, 1)[0], budget), "text")
            return Call(op, (inner,), "text")
    raise QueryError(f"the filter's function {op!r} is unknown: there are casei and accenti")


def _like(args: Sequence[Any], budget: _Budget) -> Node:
    value, pattern = _taken("like", args, 2)
    left = _as(_operand(value, budget), "text")
    right = _as(_operand(pattern, budget), "text")
    inner: Node = right
    while isinstance(inner, Call):
        inner = inner.args[0]
    if not isinstance(inner, Constant):
        raise QueryError("LIKE takes a pattern in quotes, not a property")
    if sum(wild for wild, _ in pattern_parts(inner.value)) > MAX_WILDCARDS:
        raise QueryError(f"a pattern has more than {MAX_WILDCARDS} wildcards")
    while isinstance(right, Call):  # what is done to the value is done to the pattern here
        left_ops = _functions(left)
        if right.op not in left_ops:
            raise QueryError(f"LIKE with {right.op} on the pattern needs it on the value too")
        right = right.args[0]
    return Call("like", (left, Constant(_folded(inner.value, _functions(left)), "text")))


def _functions(node: Node) -> set[str]:
    found: set[str] = set()
    while isinstance(node, Call):
        found.add(node.op)
        node = node.args[0]
    return found


def _folded(text: str, functions: set[str]) -> str:
    for name in sorted(functions):
        text = FOLDS[name](text)
    return text


def _within_list(args: Sequence[Any], budget: _Budget) -> Node:
    value, listed = _taken("in", args, 2)
    if not isinstance(listed, list) or not listed:
        raise QueryError(
            "IN takes a list of values, e.g. platform IN ('sentinel-2a', 'sentinel-2b')"
        )
    left = _operand(value, budget)
    constants = [_operand(each, _Budget()) for each in listed]
    if not all(isinstance(each, Constant) for each in constants):
        raise QueryError("IN takes a list of numbers, text or times")
    kinds: set[Kind] = {each.kind for each in constants} if left.kind == "any" else {left.kind}
    if len(kinds) > 1:
        raise QueryError("the values of IN are of several kinds")
    kind = kinds.pop()
    if kind not in ("text", "number", "time", "boolean"):
        raise QueryError("IN compares numbers, text and times")
    members = sorted({_value(_as(each, kind)) for each in constants})
    return Call("in", (_as(left, kind), Constant(json.dumps(members), "array")))


def _value(node: Node) -> Any:
    return node.value if isinstance(node, Constant) else None


def _related(op: str, args: Sequence[Any], budget: _Budget) -> Node:
    """A spatial operator between the item's footprint and a stated geometry."""
    one, other = _taken(op, args, 2)
    predicate = SPATIAL[op]
    if not _is_footprint(one):
        one, other, predicate = other, one, CONVERSE.get(predicate, predicate)
    if not _is_footprint(one) or _is_footprint(other):
        raise QueryError(f"{op} compares the property geometry with a geometry that is stated")
    budget.spend()
    return Call(
        "spatial", (Constant(predicate, "text"), Constant(geometry_text(other), "geometry"))
    )


def _is_footprint(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("property") == "geometry"


def _temporal(op: str, args: Sequence[Any], budget: _Budget) -> Node:
    one, other = (span(each, property_named) for each in _taken(op, args, 2))
    for _ in range(4):
        budget.spend()
    return relation(op, one, other)


def _arrays(op: str, args: Sequence[Any], budget: _Budget) -> Node:
    one, other = _taken(op, args, 2)
    if isinstance(one, list):
        swapped = {"a_contains": "a_containedby", "a_containedby": "a_contains"}
        one, other, op = other, one, swapped.get(op, op)
    if not isinstance(other, list) or not isinstance(one, Mapping) or "property" not in one:
        raise QueryError(f"{op} compares a property with a list of values")
    if not all(isinstance(each, str | int | float) for each in other):
        raise QueryError(f"{op} takes a list of numbers or text")
    found = property_named(str(one["property"]))
    if found.kind not in ("any", "array"):
        raise QueryError(f"{_shown(found)} is {_KINDS[found.kind]}, not a list")
    budget.spend()
    return Call(op, (replace(found, kind="array"), Constant(json.dumps(other), "array")))


Reader = Callable[[str, Sequence[Any], _Budget], Node]
_READERS: tuple[tuple[Any, Reader], ...] = (
    (("like",), lambda op, args, budget: _like(args, budget)),
    (("in",), lambda op, args, budget: _within_list(args, budget)),
    (SPATIAL, _related),
    ((*RELATIONS, "t_disjoint"), _temporal),
    (ARRAYS, _arrays),
)
_KINDS: Mapping[Kind, str] = {
    "text": "text",
    "number": "a number",
    "boolean": "true or false",
    "time": "a time",
    "geometry": "a geometry",
    "array": "a list",
    "any": "anything",
}


def _call(value: Any) -> tuple[str, list[Any]]:
    if not isinstance(value, Mapping) or not isinstance(value.get("op"), str):
        raise QueryError(f"{json.dumps(value)[:80]} is nothing true or false")
    args = value.get("args")
    if not isinstance(args, list):
        raise QueryError(f"the operator {value['op']!r} has no args")
    op = value["op"]
    return op.lower() if op[:2].lower() in ("a_", "s_", "t_") else op, args


def _taken(op: str, args: Sequence[Any], count: int) -> Sequence[Any]:
    if len(args) != count:
        raise QueryError(f"the operator {op!r} takes {count} values, not {len(args)}")
    return args


def _shown(node: Node) -> str:
    if isinstance(node, Property):
        return node.path[-1].replace("@first", "datetime").replace("@last", "datetime")
    if isinstance(node, Constant):
        return repr(node.value)[:80]
    return f"what {node.op} gives"


def _check_nesting(text: str) -> None:
    """Refuse what is nested so deeply that a parser might run out of stack."""
    depth = deepest = 0
    for sign in text:
        if sign in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in ")]}":
            depth -= 1
    if deepest > 2 * MAX_DEPTH or len(re.findall(r"\bnot\b", text, re.IGNORECASE)) > MAX_NODES:
        raise QueryError(f"the filter is nested deeper than {MAX_DEPTH}: write it flatter")
    if re.search(r"(-\s*){20}", text):
        raise QueryError("the filter has a row of signs")


def _cause(error: Exception) -> str:
    """What the parser says, in one line: the place, and what it expected."""
    lines = [line.strip(" |") for line in str(error).splitlines()]
    place = re.search(r"(\d+):(\d+)", lines[0]) if lines else None
    expected = next((line.lstrip("= ") for line in lines if "expected" in line), "")
    if place and expected:
        return f"at character {place[2]}, {shorten(expected, 120, placeholder=' ...')}"
    return shorten(" ".join(lines), 160, placeholder=" ...")
