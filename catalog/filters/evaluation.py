"""Item and filter -> whether the filter holds: the meaning that every backend must keep to."""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from catalog.filters.tree import FIRST, LAST, Call, Constant, Node, Property, pattern_parts
from catalog.footprint import relates
from catalog.moments import moment_of
from catalog.queryables import Kind


def holds(node: Node, item: Mapping[str, Any]) -> bool:
    """Whether a filter is true of an item; what is unknown is not."""
    return _value(node, item) is True


def value_of(item: Mapping[str, Any], path: tuple[str, ...], kind: Kind) -> Any:
    """A property's value, None where it is absent or of another kind."""
    if path in (FIRST, LAST):
        return _span(item)[path == LAST]
    value: Any = item
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return _CASTS[kind](value)


def without_case(text: str) -> str:
    """Text in lower case (CQL2's CASEI)."""
    return text.lower()


def without_accents(text: str) -> str:
    """Text without combining marks (CQL2's ACCENTI)."""
    parts = unicodedata.normalize("NFD", text)
    kept = "".join(sign for sign in parts if not "\u0300" <= sign <= "\u036f")
    return unicodedata.normalize("NFC", kept)


FOLDS: Mapping[str, Callable[[str], str]] = {"casei": without_case, "accenti": without_accents}


def divided(a: float, b: float) -> float | None:
    """a / b; None where there is none."""
    return None if b == 0 else a / b


def powered(a: float, b: float) -> float | None:
    """a to the b; None where it is no finite real number."""
    try:
        value = float(a) ** float(b)
    except (OverflowError, ZeroDivisionError):
        return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def truncated(a: float) -> float | None:
    """Whole part of a number."""
    return float(math.trunc(a)) if math.isfinite(a) else None


def remainder(a: float, b: float) -> float | None:
    """a - b * whole part of a / b, as SQL has it: with the sign of a."""
    whole = None if b == 0 else truncated(a / b)
    return None if whole is None else a - b * whole


def arrays_relate(op: str, own: list[Any], stated: list[Any]) -> bool:
    """How two lists lie to each other, as sets."""
    one, other = ({_member(each) for each in listed} for listed in (own, stated))
    if op == "a_contains":
        return other <= one
    if op == "a_containedby":
        return one <= other
    return bool(one & other) if op == "a_overlaps" else one == other


def _member(value: Any) -> str:
    """A member of a list, such that equal ones of one kind have the same."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"n{float(value)!r}"
    return json.dumps(value, sort_keys=True)


def _span(item: Mapping[str, Any]) -> tuple[int | None, int | None]:
    said = item["properties"]
    ends = said.get("start_datetime"), said.get("end_datetime")
    first, last = (said.get("datetime"),) * 2 if None in ends else ends
    return moment_of(first), moment_of(last)


def _value(node: Node, item: Mapping[str, Any]) -> Any:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Property):
        return value_of(item, node.path, node.kind)
    return _OPERATIONS[node.op](node, item)


def _and(node: Call, item: Mapping[str, Any]) -> bool | None:
    values = [_value(each, item) for each in node.args]
    if False in values:
        return False
    return None if None in values else True


def _or(node: Call, item: Mapping[str, Any]) -> bool | None:
    values = [_value(each, item) for each in node.args]
    if True in values:
        return True
    return None if None in values else False


def _not(node: Call, item: Mapping[str, Any]) -> bool | None:
    value = _value(node.args[0], item)
    return None if value is None else not value


def _is_null(node: Call, item: Mapping[str, Any]) -> bool:
    return _value(node.args[0], item) is None


def _coalesce(node: Call, item: Mapping[str, Any]) -> Any:
    for each in node.args:
        value = _value(each, item)
        if value is not None:
            return value
    return None


def _strict(function: Callable[..., Any]) -> Callable[[Call, Mapping[str, Any]], Any]:
    """An operation that is unknown where one of its values is."""

    def applied(node: Call, item: Mapping[str, Any]) -> Any:
        values = [_value(each, item) for each in node.args]
        return None if None in values else function(*values)

    return applied


def _like(text: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    signs = {"%": ".*", "_": "."}
    parts = (signs[text] if wild else re.escape(text) for wild, text in pattern_parts(pattern))
    return re.compile("".join(parts), re.DOTALL)


def _in(value: Any, members: str) -> bool:
    return value in _members(members)


@lru_cache(maxsize=256)
def _members(text: str) -> frozenset[Any]:
    return frozenset(json.loads(text))


def _spatial(node: Call, item: Mapping[str, Any]) -> bool:
    predicate, stated = node.args
    return relates(item, _value(predicate, item), _value(stated, item))


def _array(node: Call, item: Mapping[str, Any]) -> bool | None:
    own, stated = (_value(each, item) for each in node.args)
    return None if own is None else arrays_relate(node.op, own, json.loads(stated))


_OPERATIONS: Mapping[str, Callable[[Call, Mapping[str, Any]], Any]] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "isNull": _is_null,
    "coalesce": _coalesce,
    "spatial": _spatial,
    "=": _strict(lambda a, b: a == b),
    "<>": _strict(lambda a, b: a != b),
    "<": _strict(lambda a, b: a < b),
    "<=": _strict(lambda a, b: a <= b),
    ">": _strict(lambda a, b: a > b),
    ">=": _strict(lambda a, b: a >= b),
    "+": _strict(lambda a, b: a + b),
    "-": _strict(lambda a, b: a - b),
    "*": _strict(lambda a, b: a * b),
    "/": _strict(divided),
    "^": _strict(powered),
    "%": _strict(remainder),
    "div": _strict(lambda a, b: None if b == 0 else truncated(a / b)),
    "like": _strict(_like),
    "in": _strict(_in),
    "casei": _strict(without_case),
    "accenti": _strict(without_accents),
    **dict.fromkeys(("a_equals", "a_contains", "a_containedby", "a_overlaps"), _array),
}
_CASTS: Mapping[Kind, Callable[[Any], Any]] = {
    "any": lambda value: value,
    "geometry": lambda value: value,
    "text": lambda value: value if isinstance(value, str) else None,
    "boolean": lambda value: value if isinstance(value, bool) else None,
    "array": lambda value: value if isinstance(value, list) else None,
    "time": moment_of,
    "number": lambda value: (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    ),
}
