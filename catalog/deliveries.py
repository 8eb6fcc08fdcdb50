"""The same acquisition delivered more than once: which delivery counts.

A product is made again with a new processing baseline, or by two ground stations, or in a new
version. All deliveries stay catalogued; those that lose bear ``clearcube:superseded_by``.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from catalog.backends.base import Document
from catalog.errors import CatalogError
from catalog.search import instant, tile_of, times_of

SUPERSEDED_BY = "clearcube:superseded_by"

REJECTED = "clearcube:rejected"
"""Why a user took an item out; it stays catalogued, and nothing is made of it."""

Key = tuple[str, str]
"""Collection and id."""

Acquisition = tuple[str, str, str, str]


def rule_deliveries(items: Iterable[Mapping[str, Any]]) -> dict[Key, str | None]:
    """Raw items -> (collection, id) to the id of the delivery that supersedes it, or ``None``.

    Every item given is named, so that the mark of one whose better is gone is taken away. Items
    without a tile or level are never compared; rejected ones supersede none.
    """
    groups: dict[Acquisition, list[Mapping[str, Any]]] = defaultdict(list)
    rulings: dict[Key, str | None] = {}
    for item in items:
        acquisition = acquisition_of(item)
        if acquisition is None or REJECTED in item["properties"]:
            rulings[_key(item)] = None
        else:
            groups[acquisition].append(item)
    for group in groups.values():
        best = max(group, key=rank)
        for item in group:
            rulings[_key(item)] = None if _key(item) == _key(best) else str(best["id"])
    return rulings


def apply_deliveries(items: Iterable[Document]) -> list[Document]:
    """Raw items -> those of them whose mark changes, with the new mark; the rest is left out."""
    items = list(items)
    rulings = rule_deliveries(items)
    changed = []
    for item in items:
        winner = rulings[_key(item)]
        if item["properties"].get(SUPERSEDED_BY) == winner:
            continue
        properties = {
            name: value for name, value in item["properties"].items() if name != SUPERSEDED_BY
        }
        if winner is not None:
            properties[SUPERSEDED_BY] = winner
        changed.append({**item, "properties": properties})
    return changed


def acquisition_of(item: Mapping[str, Any]) -> Acquisition | None:
    """Level, tile, platform and start of sensing; equal for deliveries of one acquisition.

    The start is that of the datastrip where the item names it: two granules of one datatake with
    different datastrips share tile and datatake, but show different ground.
    """
    level, tile = item["properties"].get("clearcube:level"), tile_of(item)
    if level is None or tile is None:
        return None
    platform = str(item["properties"].get("platform", "")).lower()
    strip = _STRIP.search(str(item["properties"].get("s2:datastrip_id", "")))
    if strip is not None:
        return str(level), tile, platform, f"strip {strip[1]}"
    return str(level), tile, platform, times_of(item)[0].strftime("%Y%m%dT%H%M%S")


def rank(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides between deliveries, greatest first: baseline, time of generation, version, id."""
    properties = item["properties"]
    baseline = _numbers(properties.get("s2:processing_baseline"))
    generated = _instant(properties.get("s2:generation_time"))
    version = _MUSCATE_VERSION.search(str(item["id"]))
    numbers = _numbers(version[1]) if version else ()
    return baseline, generated, numbers, str(item["id"]), str(item.get("collection", ""))


_STRIP = re.compile(r"_S(\d{8}T\d{6})_")
_MUSCATE_VERSION = re.compile(r"_V(\d+(?:-\d+)*)$")


def _key(item: Mapping[str, Any]) -> Key:
    return str(item.get("collection", "")), str(item["id"])


def _numbers(text: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(text or "")))


def _instant(text: Any) -> float:
    """Seconds since 1970 of a time; what has none comes before all that have."""
    try:
        return instant(str(text)).timestamp()
    except (ValueError, CatalogError):
        return float("-inf")
