"""The STAC item of a mask: what its pixels are, what they show, and how they came about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.items import Recipe, derived_item, utc_text
from cube.classes import CLASSES, CLOUD, NO_OBSERVATION, SEEN, THIN_CLOUD, described
from cube.grid import Extent, lonlat
from cube.masks import encoding
from jobs.job import TileParams
from jobs.runner.publish import PNG, cog_asset, percent

CHECKSUM = "clearcube:checksum"
"""Property of a mask: checksum of its classes, so that what uses them knows whether they changed."""


@dataclass(frozen=True, slots=True)
class MadeMask:
    """What a worker made of one date."""

    counts: Sequence[int]
    """Pixels of each class."""
    checksum: str
    """Of the classes."""
    resolution: int
    """Metres."""
    files: Mapping[str, Mapping[str, Any]]
    """Key of an asset -> href, size and checksum."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What else the item says."""


def mask_id(tile: str, time: datetime, method: str, variant: str | None) -> str:
    """Id of a mask item: ``31UES_20190516T105659_scl``, with ``_VARIANT`` where it is named."""
    return "_".join(filter(None, (tile, f"{time:%Y%m%dT%H%M%S}", method, variant)))


def mask_item(
    item_id: str,
    made: MadeMask,
    *,
    when: datetime,
    tile: str,
    level: str,
    extent: Extent,
    recipe: Recipe,
    params: TileParams,
    variant: str | None,
    title: str,
    bits: tuple[str, str] | None = None,
    status: str = "final",
    derived_from: Iterable[Mapping[str, Any]] = (),
) -> Document:
    """One date's mask, its files written -> its item.

    ``bits`` are the encoding whose bits the asset of that name holds, and its title; ``params`` the
    request that makes it again.
    """
    counts = made.counts
    observed = sum(counts) - counts[NO_OBSERVATION]
    geometry, bbox = lonlat(extent)
    about = {"mask": _about_mask(title), "thumbnail": _ABOUT_THUMBNAIL, "state": _ABOUT_STATE}
    about |= {"bits": _about_bits(*bits)} if bits else {}
    assets: dict[str, Any] = {}
    for key, file in made.files.items():
        fields = {**about[key], **file}
        is_raster = key in ("mask", "bits")
        assets[key] = (
            cog_asset(file["href"], fields, extent, made.resolution) if is_raster else fields
        )
    named = recipe.method, variant
    return derived_item(
        item_id,
        cloud_mask_collection(recipe.method),
        when=when,
        geometry=geometry,
        bbox=(bbox[0], bbox[1], bbox[2], bbox[3]),
        tile=tile,
        recipe=recipe,
        status=status,
        properties={
            "title": f"{tile} {when:%Y-%m-%d}, classes by {':'.join(filter(None, named))}",
            "eo:cloud_cover": percent(counts[CLOUD] + counts[THIN_CLOUD], observed),
            "clearcube:clear_percentage": percent(sum(counts[c] for c in SEEN), observed),
            "clearcube:observed_percentage": percent(observed, sum(counts)),
            "clearcube:classes": {c.name: percent(counts[c.code], observed) for c in CLASSES[1:]},
            CHECKSUM: made.checksum,
            "clearcube:variant": variant or "",
            "processing:level": "L1C" if level == "l1c" else "L2A",
            "proj:code": f"EPSG:{extent.epsg}",
            "gsd": made.resolution,
            **made.properties,
        },
        assets=assets,
        derived_from=derived_from,
        request=params.recorded(tile=tile, datetime=utc_text(when)),
    )


def _about_mask(title: str) -> dict[str, Any]:
    return {
        "title": title,
        "roles": ["data", "classification"],
        "raster:bands": [{"data_type": "uint8", "nodata": NO_OBSERVATION}],
        "classification:classes": described(),
    }


def _about_bits(name: str, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "roles": ["data", "classification"],
        "raster:bands": [{"data_type": "uint8"}],
        "clearcube:encoding": name,
        "classification:bitfields": [
            {
                "offset": bit.index,
                "length": 1,
                "name": bit.name,
                "description": bit.meaning,
                "classes": [{"value": 0, "name": "no"}, {"value": 1, "name": "yes"}],
            }
            for bit in encoding(name).bits
        ],
    }


_ABOUT_THUMBNAIL = {"type": PNG, "roles": ["thumbnail"], "title": "Classes"}

_ABOUT_STATE = {
    "type": "application/octet-stream",
    "roles": ["metadata"],
    "title": "What the detection of the next date starts from",
}
