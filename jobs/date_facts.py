"""Facts of a date as a whole, from the items of its scenes and of its mask."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from catalog.backends.base import Document
from cube.classes import CLOUD, CLOUD_SHADOW, NAMES, THIN_CLOUD
from cube.facts import DateFacts
from jobs.mtcd_meta import sun_of, view_of

ANGLES = "angles"
"""Asset of a scene: the grids of angles that ingest took from its metadata."""

PARAMETER = "facts"
"""Among the recorded parameters of a derived item: facts of its dates, by time."""


def date_facts(scenes: Sequence[Document], mask: Document | None) -> DateFacts:
    """Items of a date's granules and of its mask -> what is known of the date as a whole."""
    first = scenes[0]["properties"]
    observed, clear, hidden = _shares(mask)
    angles = [scene["assets"][ANGLES] for scene in scenes if ANGLES in scene["assets"]]
    return DateFacts(
        platform=str(first.get("platform", "")),
        orbit=int(first.get("sat:relative_orbit") or 0),
        clear_share=round(observed * clear, 6),
        cloud_share=hidden,
        sun=_rounded(sun_of(scenes)),
        view=_rounded(view_of(scenes)),
        angles=tuple(angles_checksum(asset) for asset in angles),
        angle_files=tuple(str(asset["href"]) for asset in angles),
        nbar=any(map(_is_nbar, scenes)),
    )


def angles_checksum(asset: Mapping[str, Any]) -> str:
    """Asset of a scene's grids of angles -> what stands for them: the end of its checksum."""
    return str(asset["file:checksum"])[-16:]


def facts_document(
    facts: Mapping[str, DateFacts], names: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Facts by time -> what of them numbers depend on, as parameters record it."""
    return {time: each.document(names) for time, each in facts.items()}


def _rounded(direction: tuple[float, float] | None) -> tuple[float, ...]:
    return () if direction is None else tuple(round(angle, 6) for angle in direction)


def _is_nbar(scene: Document) -> bool:
    """Whether a scene says of itself that its reflectance is normalised to nadir (NBAR, NBART)."""
    said = scene["properties"]
    words = [scene["id"], scene["collection"], *scene["assets"]]
    words += [asset.get("clearcube:source_key", "") for asset in scene["assets"].values()]
    words += [said.get(name, "") for name in ("product:type", "processing:level", "title")]
    return any(re.search(r"(?i)(?<![a-z])nbart?(?![a-su-z])", str(word)) for word in words)


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
