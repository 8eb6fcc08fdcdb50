"""The order of items: the keys of a sort, and the place of an item in it."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from catalog.errors import QueryError
from catalog.filters.evaluation import value_of
from catalog.filters.tree import FIRST, Property
from catalog.queryables import Kind
from catalog.search import SortKey

Place = list[Any]
"""Values of an item by the keys of a sort; None where it lacks one."""


@dataclass(frozen=True, slots=True)
class Key:
    """One column of an order: values of one kind, those that are absent last."""

    field: Property
    descending: bool = False

    @property
    def always(self) -> bool:
        """Whether every item has it."""
        return self.field in _ALWAYS


def keys_of(sortby: Iterable[SortKey]) -> tuple[Key, ...]:
    """What is asked for, and then latest first, by collection, by id: an order without ties.

    A property of which nothing is known is put in order of its numbers, then of its text.
    """
    keys: list[Key] = []
    for asked in sortby:
        kinds: tuple[Kind, ...] = (asked.field.kind,)
        if asked.field.kind == "any":
            kinds = ("number", "text")
        keys += [Key(Property(asked.field.path, kind), asked.descending) for kind in kinds]
    named = {key.field for key in keys}
    keys += [Key(field, field.path == FIRST) for field in _ALWAYS if field not in named]
    return tuple(keys)


def place_of(item: Mapping[str, Any], keys: Sequence[Key]) -> Place:
    """Where an item stands."""
    return [value_of(item, key.field.path, key.field.kind) for key in keys]


def in_order(items: Iterable[Any], sortby: Iterable[SortKey]) -> list[Any]:
    """Items put in order: what every backend must keep to."""
    keys = keys_of(sortby)

    def compared(one: Place, other: Place) -> int:
        for key, a, b in zip(keys, one, other, strict=True):
            if a == b:
                continue
            if a is None or b is None:
                return 1 if a is None else -1
            return (1 if a > b else -1) * (-1 if key.descending else 1)
        return 0

    return sorted(items, key=lambda item: cmp_to_key(compared)(place_of(item, keys)))


def token_of(place: Place, *, back: bool = False) -> str:
    """Token of the page after (or before) a place; items that come or go do not shift it."""
    text = json.dumps(["p" if back else "n", *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(token: str, keys: Sequence[Key]) -> tuple[Place, bool]:
    """Token -> place, and whether the page before it is meant; ``QueryError`` for any other."""
    try:
        padded = token + "=" * (-len(token) % 4)
        side, *place = json.loads(base64.urlsafe_b64decode(padded.encode()))
        if side not in ("n", "p") or len(place) != len(keys):
            raise ValueError("of another search")
        for key, value in zip(keys, place, strict=True):
            if not isinstance(value, _TYPES[key.field.kind]) or (value is None and key.always):
                raise ValueError("of another search")
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise QueryError(
            f"{token[:80]!r} is no page of this search: search again without a token"
        ) from None
    return place, side == "p"


_ALWAYS = (Property(FIRST, "time"), Property(("collection",), "text"), Property(("id",), "text"))
_NONE = type(None)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str, _NONE),
    "number": (int, float, _NONE),
    "boolean": (bool, int, _NONE),
    "time": (int, _NONE),
}
