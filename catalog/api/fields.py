"""The fields extension: which parts of an item are sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.backends.base import Document

DEFAULT = (
    "type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links",
    "assets", "properties",
)  # fmt: skip
"""What is sent where nothing is asked to be included: all of it."""
ALWAYS = ("type", "id", "collection", "stac_version", "links")
"""Sent unless excluded by name: without them nobody can tell what came."""


def parse_fields(text: str | None) -> tuple[frozenset[str], frozenset[str]]:
    """``id,-geometry,+properties.datetime`` -> included and excluded."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    excluded = frozenset(name[1:] for name in names if name.startswith("-"))
    included = frozenset(name.removeprefix("+") for name in names if not name.startswith("-"))
    return included, excluded


def project(item: Document, include: Iterable[str], exclude: Iterable[str]) -> Document:
    """Item -> what is asked of it; of include and exclude, the longer path wins, then include."""
    wanted, unwanted = set(include), set(exclude)
    if not wanted and not unwanted:
        return item
    wanted |= {f"properties.{name}" for name in wanted if _is_property(name, item)}
    kept = wanted | (set(ALWAYS if wanted else DEFAULT) - unwanted)
    shown = _picked(item, "", kept, unwanted, inherited=False)
    return shown if isinstance(shown, dict) else {}


def _is_property(name: str, item: Mapping[str, Any]) -> bool:
    """Whether a name without ``properties.`` means a property, as some clients write it."""
    return name not in item and name.partition(".")[0] in item.get("properties", {})


def _picked(
    value: Mapping[str, Any], path: str, kept: set[str], unwanted: set[str], *, inherited: bool
) -> Document | None:
    """The members of a mapping that are kept; None where there is none."""
    found: Document = {}
    for key, inner in value.items():
        own = f"{path}{key}"
        stays = own in kept or (inherited and own not in unwanted)
        if isinstance(inner, Mapping) and _below(own, kept | unwanted):
            part = _picked(inner, f"{own}.", kept, unwanted, inherited=stays)
            if part is not None or stays:
                found[key] = part or {}
        elif stays:
            found[key] = inner
    return found or None


def _below(path: str, names: set[str]) -> bool:
    return any(name.startswith(f"{path}.") for name in names)
