"""Facts of a date as a whole, from the items of its scenes and of its mask."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from catalog.backends.base import Document
from cube.classes import CLOUD, CLOUD_SHADOW, NAMES, THIN_CLOUD
from cube.facts import DateFacts

PARAMETER = "facts"
"""Among the recorded parameters of a derived item: facts of its dates, by time."""


def date_facts(scenes: Sequence[Document], mask: Document | None) -> DateFacts:
    """Items of a date's granules and of its mask -> what is known of the date as a whole."""
    first = scenes[0]["properties"]
    observed, clear, hidden = _shares(mask)
    return DateFacts(
        platform=str(first.get("platform", "")),
        orbit=int(first.get("sat:relative_orbit") or 0),
        clear_share=round(observed * clear, 6),
        cloud_share=hidden,
    )


def facts_document(
    facts: Mapping[str, DateFacts], names: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Facts by time -> what of them numbers depend on, as parameters record it."""
    return {time: each.document(names) for time, each in facts.items()}


def _shares(mask: Document | None) -> tuple[float, float, float]:
    """Item of a mask -> share observed; of that, share clear, and share hidden."""
    if mask is None:
        return 0.0, 0.0, 0.0
    said = mask["properties"]
    classes = said.get("clearcube:classes", {})
    hidden = sum(float(classes.get(NAMES[code], 0)) for code in (CLOUD, CLOUD_SHADOW, THIN_CLOUD))
    return (
        float(said.get("clearcube:observed_percentage") or 0) / 100,
        float(said.get("clearcube:clear_percentage") or 0) / 100,
        round(hidden / 100, 6),
    )
