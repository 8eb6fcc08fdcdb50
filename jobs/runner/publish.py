"""Items into the catalogue: validated, with their collections, by the driver only."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import collections
from catalog.backends.base import Counts, Document
from catalog.deliveries import REJECTED
from catalog.errors import ItemNotFoundError
from cube.files import write_json

if TYPE_CHECKING:
    from jobs.workspace import Workspace

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG = "image/png"

ITEM = "item.json"
"""Beside the files of a result: the item as it was published first."""


def publish(workspace: "Workspace", items: Iterable[Document]) -> Counts:
    """Put items, and the collections they are in, into the catalogue, all or none.

    One that a user rejected stays rejected when it is made again.
    """
    items = list(items)
    for item in items:
        known = published(workspace, item["collection"], item["id"])
        if known is not None and REJECTED in known["properties"]:
            item["properties"].setdefault(REJECTED, known["properties"][REJECTED])
    return collections.publish(workspace.catalog, items)


def published(workspace: "Workspace", collection: str, item_id: str) -> Document | None:
    """An item of the catalogue, if it is there."""
    try:
        return workspace.catalog.item(collection, item_id)
    except ItemNotFoundError:
        return None


def keep_beside(folder: Path, item: Document) -> None:
    """Write an item beside its files: when another takes its place, they still say what they are."""
    write_json(folder / ITEM, item)


def percent(part: int, whole: int) -> float:
    """Share in percent, to a hundredth; 0 of nothing."""
    return round(100.0 * part / whole, 2) if whole else 0.0


def is_current(item: Document | None, fingerprint: str) -> bool:
    """Whether an item was made just so and its files are all there."""
    if item is None or item["properties"].get("clearcube:fingerprint") != fingerprint:
        return False
    return all(Path(asset["href"]).exists() for asset in item["assets"].values())


def checksum(path: Path) -> str:
    """File -> sha-256 as a multihash in hexadecimal, as ``file:checksum`` wants it."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    # 0x12 is sha2-256, 0x20 its 32 bytes (multiformats, Multihash table).
    return f"1220{digest.hexdigest()}"


def cog_asset(path: str, about: Mapping[str, Any], extent: Any, resolution: int) -> dict[str, Any]:
    """A COG on a cube's grid -> its asset with projection, file and raster fields."""
    return {
        "href": path,
        "type": COG,
        "gsd": resolution,
        "proj:code": f"EPSG:{extent.epsg}",
        "proj:shape": list(extent.shape(resolution)),
        "proj:transform": [resolution, 0.0, extent.left, 0.0, -resolution, extent.top],
        **about,
    }
