"""What every store makes of documents: checked items, and counts of what a write did."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from catalog.backends.base import ITEM_ID, Check, Counts, Document
from catalog.errors import CatalogError
from catalog.footprint import Bbox, bbox_of
from catalog.search import tile_of, times_of


class Row:
    """One item, ready to be written; ``CatalogError`` where it cannot be."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        name, collection = item.get("id"), item.get("collection")
        if not isinstance(name, str) or not ITEM_ID.fullmatch(name):
            raise CatalogError(f"item {name!r}: an id holds A-Z a-z 0-9 _ . - only")
        if not isinstance(collection, str):
            raise CatalogError(f"item {name!r} names no collection")
        if not isinstance(item.get("properties"), dict):
            raise CatalogError(f"item {name!r} has no properties")
        self.id, self.collection = name, collection
        self.first, self.last = times_of(item)
        if self.last < self.first:
            raise CatalogError(f"item {name!r} ends before it starts")
        self.tile = tile_of(item)
        self.box = checked_box(name, bbox_of(item))
        self.item = item
        self.text = encoded(item)


class Tally:
    """Counts in the making."""

    def __init__(self) -> None:
        self.created = self.updated = self.unchanged = 0

    def same(self, old: str | None, text: str) -> bool:
        """Count one document; whether it is there already as given."""
        if old is None:
            self.created += 1
        elif old == text or _bare(old) == _bare(text):
            self.unchanged += 1
            return True
        else:
            self.updated += 1
        return False

    def counts(self) -> Counts:
        """What was counted."""
        return Counts(self.created, self.updated, self.unchanged)


def allowed(check: Check | None, old: str | None, new: str) -> None:
    """Let a caller refuse a write, knowing what is there."""
    if check is not None:
        check(None if old is None else decoded(old), decoded(new))


def checked_box(item_id: str, box: Bbox | None) -> Bbox | None:
    """Bbox of an item, refused where no place has it."""
    if box is None:
        return None
    west, south, east, north = box
    if not (-360 <= west <= 360 and -360 <= east <= 360 and -90 <= south <= north <= 90):
        raise CatalogError(f"item {item_id!r} has an impossible bbox {box}")
    return box


def encoded(document: Mapping[str, Any]) -> str:
    """Document -> JSON text; ``CatalogError`` for what JSON cannot hold."""
    try:
        text = orjson.dumps(document, option=_AS_JSON)
        # orjson writes NaN as null, which read again is not the same.
        if b"null" not in text or orjson.loads(text) == document:
            return text.decode()
    except orjson.JSONEncodeError:
        pass  # also for integers of more than 64 bits, which the slower one below knows
    return _strictly_encoded(document)


def decoded(text: str) -> Document:
    """JSON text -> document."""
    document: Document = orjson.loads(text)
    return document


def keeping_created(old: str, new: str) -> str:
    """The new document with the old one's time of creation, where it had one."""
    created = decoded(old)["properties"].get("created")
    document = decoded(new)
    if created in (None, document["properties"].get("created")):
        return new
    document["properties"]["created"] = created
    return encoded(document)


def _strictly_encoded(document: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError) as error:
        raise CatalogError(f"item {document.get('id')!r} is no JSON: {error}") from None
    return text


def _bare(text: str) -> Document:
    """A document without the times at which it was written."""
    document = decoded(text)
    properties = document.get("properties")
    if isinstance(properties, dict):
        for name in ("created", "updated"):
            properties.pop(name, None)
    return document


_AS_JSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
