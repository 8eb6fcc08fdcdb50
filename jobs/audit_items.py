"""Catalogued deliveries of a tile -> what their metadata contradict, and which of them count."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from re import compile as pattern
from typing import Any, Literal

from catalog.backends.base import Document
from catalog.deliveries import SUPERSEDED_BY, acquisition_of, rank
from catalog.errors import CatalogError
from catalog.products import open_product, product_item
from catalog.radiometry import OFFSET_BASELINE, OFFSET_FROM, SCALE, SHIFT, UNKNOWN_BASELINE
from catalog.search import instant
from cube.bands import BANDS
from cube.grid import solar_offset

Severity = Literal["error", "warning", "note"]

SAME_PASS = timedelta(minutes=30)
"""Sources name the start of the datatake or the time over the tile, a quarter of an hour apart at
most; the next pass of any satellite of the mission is a day later, or 50 minutes at high latitudes."""

_NAMES = frozenset(band.name for band in BANDS)
_STATION = pattern(r"_DS_([A-Z0-9]{4})_")
_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found of one item."""

    id: str
    collection: str
    tile: str
    finding: str
    """What kind, e.g. ``offset-missing``."""
    severity: Severity
    detail: str
    """For people, one line."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """What it was found from."""

    def line(self) -> str:
        """For people, with the item."""
        day = self.numbers.get("date")
        when = f" ({day})" if day else ""
        return f"{self.severity}: {self.tile} {self.id}{when}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What an item says of its reflectances."""

    baseline: str | None
    """Processing baseline; None where it is unknown or says nothing (99.99)."""
    offsets: dict[float, list[str]]
    """Offset -> bands that say it."""
    scales: dict[float, list[str]]
    shifted_back: bool
    """Whether the source says that it took the offset out of the pixels."""


def found_of(item: Mapping[str, Any]) -> Facts:
    """Item -> what it says of its reflectances."""
    properties = item["properties"]
    baseline = properties.get("s2:processing_baseline")
    if baseline is not None and str(baseline) >= UNKNOWN_BASELINE:
        baseline = None
    offsets: dict[float, list[str]] = defaultdict(list)
    scales: dict[float, list[str]] = defaultdict(list)
    for key, asset in item["assets"].items():
        if key not in _NAMES:
            continue
        about = (asset.get("raster:bands") or [{}])[0]
        offsets[float(about.get("offset", 0.0))].append(key)
        scales[float(about.get("scale", 1.0))].append(key)
    shifted = any(properties.get(flag) is True for flag in _FLAGS)
    shifted = shifted or properties.get(OFFSET_FROM) == "boa_offset_applied"
    return Facts(
        baseline if baseline is None else str(baseline), dict(offsets), dict(scales), shifted
    )


def audit_items(
    items: Sequence[Document], tile: str, *, pixels_right: Set[str] = frozenset()
) -> Iterator[Finding]:
    """Deliveries of one tile and level -> findings; those whose pixels were found right are notes."""
    for item in items:
        yield from _metadata(item, tile, item["id"] in pixels_right)
    yield from _duplicates(items, tile)
    yield from _choices(items, tile)


# --- scale and offset -----------------------------------------------------------------------------


def _metadata(item: Document, tile: str, right: bool) -> Iterator[Finding]:
    facts = found_of(item)
    doubt: Severity = "note" if right or item["properties"].get(SUPERSEDED_BY) else "warning"
    suffix = "; its pixels agree with those of other dates" if right else ""
    numbers = {"baseline": facts.baseline, "offsets": sorted(facts.offsets)}

    def say(finding: str, severity: Severity, detail: str, **more: Any) -> Finding:
        return _of(item, tile, finding, severity, detail + suffix, {**numbers, **more})

    if len(facts.offsets) > 1:
        said = ", ".join(f"{o:g} for {' '.join(keys)}" for o, keys in sorted(facts.offsets.items()))
        yield say("offset-bands", "error", f"its bands say different offsets: {said}")
    yield from _against_baseline(item, facts, doubt, say)
    for scale, keys in facts.scales.items():
        if abs(scale - SCALE) > 1e-9:
            detail = f"{' '.join(keys)} say scale {scale:g}, where products of the mission have {SCALE:g}"
            yield say("scale-metadata", doubt, detail, scale=scale)
    differing = _against_product(item, facts)
    if differing:
        yield say("offset-product", "error", differing)


def _against_baseline(
    item: Document, facts: Facts, doubt: Severity, say: Callable[..., Finding]
) -> Iterator[Finding]:
    """Whether the offset is that of the baseline, and where it differs, what is known of why."""
    maja = item["properties"].get("clearcube:level") == "maja"
    if item["properties"].get(OFFSET_FROM) == "assumed":
        yield say(
            "offset-assumed", doubt, "neither offset nor baseline is known; offset 0 is assumed"
        )
    for offset in facts.offsets:
        if min(abs(offset), abs(offset - SHIFT)) > 1e-9:
            known = f"its bands say offset {offset:g}; known are 0 and {SHIFT:g}"
            yield say("offset-metadata", doubt, known)
    if len(facts.offsets) != 1:
        return
    (offset,) = facts.offsets
    if facts.shifted_back:
        detail = "the source shifted its pixels back already (boa_offset_applied); offset 0 is used"
        yield say("offset-applied", "note" if offset == 0 else "error", detail)
    elif maja and offset:
        yield say("offset-metadata", "error", f"offset {offset:g}, where MAJA's products have none")
    elif maja or facts.baseline is None:
        return
    elif facts.baseline >= OFFSET_BASELINE and offset == 0:
        detail = f"baseline {facts.baseline} has offset {SHIFT:g}, its bands say 0"
        yield say(
            "offset-metadata", doubt, f"{detail}; right only if the source shifted its pixels"
        )
    elif facts.baseline < OFFSET_BASELINE and offset:
        detail = f"baseline {facts.baseline} has no offset, its bands say {offset:g}"
        yield say("offset-metadata", doubt, detail)


def _against_product(item: Document, facts: Facts) -> str | None:
    """What the product's own metadata say otherwise than the item; None where they agree or are far."""
    metadata = item["assets"].get("metadata", {})
    path = Path(str(metadata.get("href", "")))
    if item["properties"].get("clearcube:level") == "maja" or not path.is_file():
        return None
    try:
        said = found_of(product_item(open_product(path.parent)))
    except (CatalogError, OSError):
        return None
    if set(said.offsets) == set(facts.offsets) and set(said.scales) == set(facts.scales):
        return None
    theirs, ours = (" ".join(f"{o:g}" for o in sorted(f.offsets)) for f in (said, facts))
    return f"its product says offset {theirs}, the catalogue {ours}; ingest it again"


# --- which deliveries count -----------------------------------------------------------------------


def _duplicates(items: Sequence[Document], tile: str) -> Iterator[Finding]:
    """Deliveries that both count, though they show one acquisition."""
    days: dict[Any, list[Document]] = defaultdict(list)
    for item in items:
        if not item["properties"].get(SUPERSEDED_BY):
            seen = instant(item["properties"]["datetime"])
            days[(seen + solar_offset(tile)).date()].append(item)
    for day, held in days.items():
        for one, other in combinations(sorted(held, key=lambda i: str(i["id"])), 2):
            severity = _sameness(one, other)
            if severity is None:
                continue
            word = "of one acquisition" if severity == "error" else "of one pass, maybe the same"
            detail = f"{other['id']} ({other['collection']}) is {word}, and both count"
            numbers = {"date": day.isoformat(), "other": other["id"]}
            yield _of(one, tile, "duplicate-delivery", severity, detail, numbers)


def _sameness(one: Document, other: Document) -> Severity | None:
    """How sure it is that two deliveries of a day show the same; None where they need not."""
    if acquisition_of(one) == acquisition_of(other):
        return "error"
    first, second = one["properties"], other["properties"]
    if str(first.get("platform", "")).lower() != str(second.get("platform", "")).lower():
        return None
    if first.get("s2:datastrip_id") and second.get("s2:datastrip_id"):
        # Parts of a pass that was cut in two show different ground.
        return None
    apart = abs(instant(first["datetime"]) - instant(second["datetime"]))
    return "warning" if apart <= SAME_PASS else None


def _choices(items: Sequence[Document], tile: str) -> Iterator[Finding]:
    """What won each solar day and what it won against, and what was merged."""
    by_id = {item["id"]: item for item in items}
    days: dict[Any, list[Document]] = defaultdict(list)
    losers: dict[str, list[Document]] = defaultdict(list)
    for item in items:
        winner = item["properties"].get(SUPERSEDED_BY)
        if winner:
            losers[winner].append(item)
            yield _superseded(item, by_id.get(winner), winner, tile)
        elif not item["properties"].get("clearcube:rejected"):
            seen = instant(item["properties"]["datetime"])
            days[(seen + solar_offset(tile)).date()].append(item)
    for day, held in sorted(days.items()):
        order = sorted(held, key=lambda i: (instant(i["properties"]["datetime"]), i["id"]))
        for item in order:
            lost = losers.get(item["id"], [])
            detail = f"it counts: {_about(item)}"
            if lost:
                detail += f"; chosen over {' '.join(i['id'] for i in lost)}"
            if len(order) > 1:
                place = order.index(item) + 1
                detail += (
                    f"; merged with {len(order) - 1} of the same day, the first with data counts, "
                    f"this is number {place}"
                )
            numbers = {"date": day.isoformat(), **_marks(item)}
            yield _of(item, tile, "granule-choice", "note", detail, numbers)


def _superseded(item: Document, winner: Document | None, name: str, tile: str) -> Finding:
    if winner is None:
        detail = f"superseded by {name}, which is not catalogued; ingest it, or this again"
        return _of(item, tile, "superseded", "warning", detail, {"winner": name})
    detail = f"superseded by {name}: {_reason(item, winner)}"
    numbers = {"winner": name, **_marks(item), "winners": _marks(winner)}
    return _of(item, tile, "superseded", "note", detail, numbers)


def _reason(item: Document, winner: Document) -> str:
    """What decided between two deliveries: the first part of their rank in which they differ."""
    ours, theirs = _marks(item), _marks(winner)
    words = (
        f"baseline {theirs['baseline']} over {ours['baseline']}",
        f"made {theirs['generated']}, this {ours['generated']}",
        "its version is higher",
        "its id is the last of equal ones",
        "its collection is the last of equal ones",
    )
    for one, other, why in zip(rank(item), rank(winner), words, strict=True):
        if one != other:
            return why
    return "they are equal"


def _marks(item: Document) -> dict[str, Any]:
    properties = item["properties"]
    station = _STATION.search(str(properties.get("s2:datastrip_id", "")))
    return {
        "baseline": properties.get("s2:processing_baseline"),
        "generated": properties.get("s2:generation_time"),
        "station": station[1] if station else None,
    }


def _about(item: Document) -> str:
    marks = _marks(item)
    said = [f"{name} {value}" for name, value in marks.items() if value]
    return ", ".join(said) or "nothing is said of its baseline, generation or station"


def _of(
    item: Document,
    tile: str,
    finding: str,
    severity: Severity,
    detail: str,
    numbers: dict[str, Any],
) -> Finding:
    return Finding(item["id"], item["collection"], tile, finding, severity, detail, numbers)
