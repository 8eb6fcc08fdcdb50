"""Collection search: words, place and time; a catalogue has few enough to look at each."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from catalog.api.documents import shown_collection
from catalog.api.fields import parse_fields, project
from catalog.backends.base import Document
from catalog.errors import QueryError
from catalog.footprint import Bbox, boxes_overlap
from catalog.moments import instant
from catalog.search import Interval, parse_bbox, parse_datetime

SORTED_BY = ("id", "title")
ALWAYS = "type,id,stac_version,links,extent,license,description"


def search_collections(
    collections: Iterable[Document], base: str, asked: Mapping[str, Any]
) -> tuple[list[Document], list[Document], int]:
    """Collections that are asked for -> those of the page, links to the next, number of all."""
    box = parse_bbox(asked["bbox"]) if asked.get("bbox") else None
    span = parse_datetime(asked["datetime"]) if asked.get("datetime") is not None else None
    words = [word.strip().lower() for word in (asked.get("q") or "").split(",") if word.strip()]
    found = [each for each in collections if _answers(each, words, box, span)]
    for name, descending in reversed(_order(asked.get("sortby"))):
        found.sort(key=lambda each: str(each.get(name, "")), reverse=descending)
    start, limit = _start(asked.get("token")), asked.get("limit") or len(found)
    page = found[start : start + limit]
    include, exclude = parse_fields(asked.get("fields"))
    if include:
        include |= frozenset(ALWAYS.split(",")) - exclude
    links = []
    for rel, place in (("next", start + limit), ("prev", max(start - limit, 0))):
        if place < len(found) if rel == "next" else start > 0:
            given = {name: value for name, value in asked.items() if value is not None}
            query = urlencode({**given, "token": str(place)})
            href = f"{base}collections?{query}"
            links.append({"rel": rel, "type": "application/json", "method": "GET", "href": href})
    shown = [_parts(shown_collection(each, base), include, exclude) for each in page]
    return shown, links, len(found)


def _answers(document: Document, words: list[str], box: Bbox | None, span: Interval | None) -> bool:
    texts = [document.get(name) or "" for name in ("id", "title", "description")]
    said = " ".join([*map(str, texts), *map(str, document.get("keywords") or ())]).lower()
    if words and not any(word in said for word in words):
        return False
    extent = document.get("extent", {})
    boxes = extent.get("spatial", {}).get("bbox", [])
    if box is not None and not any(boxes_overlap(_plane(each), box) for each in boxes):
        return False
    spans = extent.get("temporal", {}).get("interval", [])
    return span is None or any(_overlaps(each, span) for each in spans)


def _plane(numbers: list[float]) -> Bbox:
    half = len(numbers) // 2
    return numbers[0], numbers[1], numbers[half], numbers[half + 1]


def _overlaps(interval: list[str | None], span: Interval) -> bool:
    first, last = (None if each is None else instant(each) for each in interval)
    start, end = span
    return (start is None or last is None or last >= start) and (
        end is None or first is None or first < end
    )


def _order(text: str | None) -> list[tuple[str, bool]]:
    order = []
    for field in (text or "").split(","):
        name = field.strip().removeprefix("+").removeprefix("-").strip()
        if name and name not in SORTED_BY:
            raise QueryError(f"collections are sorted by {' or '.join(SORTED_BY)}, not by {name!r}")
        if name:
            order.append((name, field.strip().startswith("-")))
    return order


def _start(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise QueryError(f"{token[:80]!r} is no page of this search: search again without a token")
    return int(token)


def _parts(document: Document, include: frozenset[str], exclude: frozenset[str]) -> Document:
    if not include and exclude:
        return {name: value for name, value in document.items() if name not in exclude}
    return project(document, include, exclude)
