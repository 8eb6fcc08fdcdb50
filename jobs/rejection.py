"""Scenes and masks that a user takes out, and takes back; they stay catalogued all the while."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog import collections
from catalog.backends.base import Document
from catalog.deliveries import REJECTED, SUPERSEDED_BY, apply_deliveries
from catalog.search import Query, tile_of, times_of
from jobs.errors import RequestError
from jobs.ingest import DAY
from jobs.item_names import find_item
from jobs.job import State, Target
from jobs.lineage import Key, key_of
from jobs.upkeep import status

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PAGE = 1000
"""Items asked for at once."""

TOUCHED = (State.MISSING, State.STALE, State.ORPHANED)
"""States of what `run stale` makes anew or withdraws."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a change of one item's mark came to."""

    collection: str
    item_id: str
    why: str | None
    """None of an item that was taken back."""
    deliveries: Sequence[tuple[str, str | None]] = ()
    """Other deliveries of the acquisition whose mark changed: id, and what supersedes it now."""
    stale: Sequence[Target] = ()
    """Derived items that are stale, missing or orphaned by it, and were not so before."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.item_id,
            "collection": self.collection,
            "rejected": self.why,
            "deliveries": [{"id": name, "superseded_by": by} for name, by in self.deliveries],
            "stale": [target.document() for target in self.stale],
        }


def reject(workspace: "Workspace", name: str, why: str | None) -> Rejection:
    """Take a scene or mask (``ID`` or ``COLLECTION/ID``) out, or back where ``why`` is None.

    Deliveries of the acquisition are settled anew in the same transaction: one that a rejected
    scene had superseded counts again. ``RequestError`` where the item is neither scene nor mask.
    """
    item = find_item(workspace, name)
    _require_kind(item)
    if why is not None and not why.strip():
        raise RequestError(f"say why {item['id']} is rejected: what it is made of is told so")
    if why is None and REJECTED not in item["properties"]:
        raise RequestError(f"{item['id']} is not rejected")
    tile = tile_of(item)
    before = {_key(target): target for target in status(workspace, tile)}
    marked = _marked(item, None if why is None else " ".join(why.split()))
    changed = {key_of(one): one for one in [marked, *_settled(workspace, marked)]}
    # Not by the publish of results: it keeps the mark of what was rejected before.
    collections.publish(workspace.catalog, changed.values())
    others = [one for key, one in changed.items() if key != key_of(item)]
    return Rejection(
        item["collection"],
        item["id"],
        marked["properties"].get(REJECTED),
        [(one["id"], one["properties"].get(SUPERSEDED_BY)) for one in others],
        [
            target
            for target in status(workspace, tile)
            if target.state in TOUCHED and before.get(_key(target)) != target
        ],
    )


def _require_kind(item: Document) -> None:
    properties, name = item["properties"], item["id"]
    if str(item["collection"]).startswith("cloud-mask-"):
        return
    if "clearcube:job" in properties:
        raise RequestError(
            f"{name} is made from others: reject the scene or mask that it shall not be made from "
            f"(clearcube lineage {name} names them)"
        )
    if "clearcube:level" not in properties:
        raise RequestError(f"{name} is no scene: nothing is made from it")


def _marked(item: Document, why: str | None) -> Document:
    properties = {name: value for name, value in item["properties"].items() if name != REJECTED}
    if why is not None:
        properties[REJECTED] = why
    return {**item, "properties": properties}


def _settled(workspace: "Workspace", item: Document) -> list[Document]:
    """Deliveries of the acquisition of a scene whose mark changes with it, it among them or not."""
    level, tile = item["properties"].get("clearcube:level"), tile_of(item)
    if "clearcube:job" in item["properties"] or level is None or tile is None:
        return []
    first, last = times_of(item)
    query = Query(tiles=(tile,), level=level, datetime=(first - DAY, last + DAY), limit=PAGE)
    around = {key_of(one): one for one in workspace.documents(query)}
    return apply_deliveries((around | {key_of(item): item}).values())


def _key(target: Target) -> Key:
    return target.collection, target.item_id
