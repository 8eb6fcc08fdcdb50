"""A filter as a tree whose every leaf has a kind: what backends translate, and items are asked."""

import re
from dataclasses import dataclass
from typing import Any

from catalog.errors import QueryError
from catalog.queryables import Kind, kind_of

FIRST = ("@first",)
LAST = ("@last",)
"""First and last instant of an item, both included."""


@dataclass(frozen=True, slots=True)
class Property:
    """A value of an item, of its kind; any other value is as one that is absent.

    ``path`` leads through the document: ``("id",)``, ``("properties", "eo:cloud_cover")``; or it
    is :data:`FIRST` or :data:`LAST`.
    """

    path: tuple[str, ...]
    kind: Kind


CLOUD_COVER = Property(("properties", "eo:cloud_cover"), "number")


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that the filter states.

    Times are microseconds since 1970, geometries GeoJSON text, arrays JSON text.
    """

    value: Any
    kind: Kind


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on other nodes, with three values of truth: true, false, unknown (absent)."""

    op: str
    args: tuple["Node", ...]
    kind: Kind = "boolean"


Node = Property | Constant | Call

NAME = re.compile(r"[^\W\d][\w:@-]*(\.[\w:@-]+)*")
"""What a property may be called: names are part of the SQL, values never."""


def property_named(name: str) -> Property:
    """Property by the name that users write, with or without ``properties.``."""
    if not NAME.fullmatch(name) or len(name) > 200:
        raise QueryError(f"{name[:80]!r} is no name of a property")
    plain = name.removeprefix("properties.")
    if plain == "datetime":
        return Property(FIRST, "time")
    if name in ("id", "collection", "geometry"):
        return Property((name,), kind_of(name))
    kind = kind_of(plain) if plain not in ("id", "collection", "geometry") else "any"
    # A name of which the type is known may hold dots; others lead into what is nested.
    return Property(("properties", *plain.split(".")), kind)


def pattern_parts(pattern: str) -> list[tuple[bool, str]]:
    r"""CQL2's LIKE pattern -> parts: (True, "%" or "_") or (False, literal text); ``\`` escapes."""
    parts: list[tuple[bool, str]] = []
    escaped = False
    for sign in pattern:
        if not escaped and sign == "\\":
            escaped = True
        elif not escaped and sign in "%_":
            parts.append((True, sign))
        elif parts and not parts[-1][0]:
            parts[-1] = (False, parts[-1][1] + sign)
            escaped = False
        else:
            parts.append((False, sign))
            escaped = False
    return parts
