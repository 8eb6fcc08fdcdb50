"""What an item was made from, down to the scenes, and what was made from it, to the last of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.collections import DEM
from catalog.deliveries import REJECTED, SUPERSEDED_BY
from catalog.search import Query, tile_of
from jobs.item_names import find_item
from jobs.job import Target
from jobs.runner.publish import published

if TYPE_CHECKING:
    from jobs.workspace import Workspace

Key = tuple[str, str]
"""Collection and id; the collection is empty where an item that is gone was named by id alone."""

PAGE = 1000
"""Items asked for at once."""

GONE = "no longer catalogued"

DELIVERED = ("scene", "dem")
"""States of what is not made here."""


@dataclass(frozen=True, slots=True)
class Source:
    """One item that another says it was made from."""

    collection: str
    """Empty where only the id is recorded."""
    item_id: str
    version: str | None
    """Version or checksum that is recorded of it; None of an item that others stand for, as a
    date's scenes do for the cube that its mask was read from."""


@dataclass(frozen=True, slots=True)
class Node:
    """One item of a lineage, as it is now."""

    collection: str
    item_id: str
    state: str
    """One of ``jobs.job.State``, of what is delivered ``scene`` or ``dem``, or that it is gone."""
    because: tuple[str, ...] = ()
    rejected: str | None = None
    superseded_by: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = {
            "id": self.item_id,
            "collection": self.collection,
            "state": self.state,
            "because": list(self.because),
        }
        marks = {"rejected": self.rejected, "superseded_by": self.superseded_by}
        return found | {name: mark for name, mark in marks.items() if mark is not None}


@dataclass(frozen=True, slots=True)
class Edge:
    """That one item was made from another."""

    made: Key
    source: Key
    version: str | None


@dataclass(slots=True)
class Lineage:
    """Items that hang together, seen from one of them."""

    root: Key
    forward: bool
    nodes: dict[Key, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def next_of(self, key: Key) -> list[Edge]:
        """What leads on from an item: to its inputs, or forward to what was made from it."""
        return [edge for edge in self.edges if (edge.source if self.forward else edge.made) == key]

    def document(self) -> dict[str, Any]:
        """As JSON: ``items``, and ``made_from``, which names them as COLLECTION/ID."""
        return {
            "item": name_of(self.root),
            "forward": self.forward,
            "items": [node.document() for node in self.nodes.values()],
            "made_from": [
                {"item": name_of(e.made), "input": name_of(e.source), "version": e.version}
                for e in self.edges
            ],
        }


def lineage(workspace: "Workspace", name: str, *, forward: bool = False) -> Lineage:
    """``ID`` or ``COLLECTION/ID`` -> what it was made from, or forward what was made from it.

    Forward it looks among the derived items of the item's tile, or among all where it has none.
    """
    item = find_item(workspace, name)
    found = Lineage(key_of(item), forward)
    items = {found.root: item}
    for edge, document in (_made_from if forward else _inputs)(workspace, item):
        found.edges.append(edge)
        if document is not None:
            items[key_of(document)] = document
    keys = [found.root, *((e.made if forward else e.source) for e in found.edges)]
    states = _states(workspace, items.values())
    found.nodes = {key: _node(key, items.get(key), states) for key in dict.fromkeys(keys)}
    return found


def sources_of(item: Document) -> Iterator[Source]:
    """Derived item -> the items that it records it was made from, each once; scenes have none."""
    properties = item["properties"]
    if "clearcube:job" not in properties:
        return
    versions = dict(properties.get("clearcube:inputs", {}))
    linked = set()
    for link in item["links"]:
        if link.get("rel") == "derived_from":
            place, _, name = str(link["href"]).rpartition("/items/")
            collection = place.rpartition("/")[2]
            if name and (collection, name) not in linked:
                linked.add((collection, name))
                yield Source(collection, name, versions.get(name))
    named = {name for _, name in linked}
    yield from (Source("", name, v) for name, v in versions.items() if name not in named)


def key_of(item: Document) -> Key:
    """Collection and id of an item."""
    return str(item["collection"]), str(item["id"])


def name_of(key: Key) -> str:
    """COLLECTION/ID, or what is known of it."""
    return "/".join(filter(None, key))


def source_item(workspace: "Workspace", source: Source) -> Document | None:
    """The catalogued item that a source is; None where it is gone."""
    if source.collection:
        return published(workspace, source.collection, source.item_id)
    found = workspace.catalog.find(source.item_id)
    return found[0] if found else None


# --- both ways ------------------------------------------------------------------------------------


def _inputs(workspace: "Workspace", root: Document) -> Iterator[tuple[Edge, Document | None]]:
    """Each step from an item to one of its inputs, with the input where it is catalogued.

    What others stand for is named, but its own inputs are not: a mask is of its date's scenes, not
    of all those of the cube.
    """
    waiting, seen = [root], {key_of(root)}
    while waiting:
        item = waiting.pop(0)
        for source in sources_of(item):
            document = source_item(workspace, source)
            key = (source.collection, source.item_id) if document is None else key_of(document)
            yield Edge(key_of(item), key, source.version), document
            if document is not None and source.version is not None and key not in seen:
                seen.add(key)
                waiting.append(document)


def _made_from(workspace: "Workspace", root: Document) -> Iterator[tuple[Edge, Document | None]]:
    """Each step from an item to one that was made from it.

    From an item that others stand for only its own results are followed: a scene's cube does not
    lead to the masks of other dates.
    """
    tile = tile_of(root)
    query = Query(tiles=() if tile is None else (tile,), limit=PAGE)
    uses: dict[str, list[tuple[Source, Document]]] = {}
    for item in workspace.documents(query):
        for source in sources_of(item):
            uses.setdefault(source.item_id, []).append((source, item))
    waiting, seen = [key_of(root)], {key_of(root)}
    while waiting:
        key = waiting.pop(0)
        for source, item in uses.get(key[1], ()):
            if source.collection not in ("", key[0]):
                continue
            if source.version is None and key != key_of(root):
                continue
            yield Edge(key_of(item), key, source.version), item
            if key_of(item) not in seen:
                seen.add(key_of(item))
                waiting.append(key_of(item))


def _states(workspace: "Workspace", items: Iterable[Document]) -> dict[Key, Target]:
    """How the derived ones of some items stand."""
    from jobs.upkeep import states_of

    return {(t.collection, t.item_id): t for t in states_of(workspace, items)}


def _delivered(key: Key) -> str:
    return "dem" if key[0] == DEM else "scene"


def _node(key: Key, item: Document | None, states: Mapping[Key, Target]) -> Node:
    if item is None:
        return Node(*key, GONE)
    properties = item["properties"]
    target = states.get(key)
    return Node(
        *key,
        _delivered(key) if target is None else str(target.state),
        () if target is None else target.because,
        properties.get(REJECTED),
        properties.get(SUPERSEDED_BY),
    )
