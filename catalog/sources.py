"""STAC files and APIs as a stream of items in the words of this catalogue."""

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import cos, radians
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import mgrs
from pystac_client import Client, ItemSearch
from pystac_client.conformance import ConformanceClasses
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning
from requests.exceptions import RequestException
from urllib3.util import Retry

from catalog.backends.base import Document
from catalog.errors import QueryError, SourceError
from catalog.footprint import Bbox
from catalog.items import utc_text
from catalog.search import Query, matches
from catalog.vocabulary import Found, normalise_item

__all__ = ["Found", "Skipped", "read_sources"]

TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for an answer."""

RETRY = Retry(
    total=6,
    connect=2,
    backoff_factor=0.4,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=None,  # a search by POST changes nothing, so that it may be asked again
)
"""How often a request is repeated, with pauses of 0.8, 1.6, 3.2 s and so on between."""

PAGE = 100
"""Items asked for at once."""

_CAUSES = (
    (r"Connection refused", "connection refused; check the address, and that the server runs"),
    (r"NameResolution|getaddrinfo|Name or service", "no such server; check the address"),
    (r"[Tt]imed out", "no answer in time; try again later"),
    (r"too many (\d+ )?error responses", "the server fails again and again; try again later"),
    (r"Failed to parse|No host supplied|Invalid URL", "not a usable URL"),
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a source that gives no item."""

    href: str
    reason: str
    """One line that names the part and says what is wrong with it."""


def read_sources(hrefs: Iterable[str], query: Query | None = None) -> Iterator[Found | Skipped]:
    """Items of STAC files and APIs that a query asks for, each once for each source.

    A source is a catalogue, collection, item or ItemCollection, as a path or URL, or the root of
    an API. What is broken below a source is ``Skipped``; a source that cannot be read or reached
    itself is a ``SourceError``.
    """
    query = query or Query()
    for href in hrefs:
        where = _joined(str(Path.cwd() / "here"), href)
        reader = _Reader()
        document = reader.read(where)
        if not _is_local(where) and _is_api(document):
            yield from _search(where, query)
        else:
            yield from _walk(reader, where, document, query)


def read_items(
    documents: Iterable[tuple[str, Mapping[str, Any]]], query: Query, collection: str | None = None
) -> Iterator[Found | Skipped]:
    """Items with where they came from -> those that a query asks for, normalised."""
    for href, document in documents:
        try:
            found = normalise_item(_resolved(document, href), collection)
        except SourceError as error:
            yield Skipped(href, f"{href}: {error}")
            continue
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # A document of others may be wrong in any place: it is left out, the rest goes on.
            yield Skipped(href, f"{href}: a broken item: {_cause(error)}")
            continue
        if matches(found.item, query):
            yield found


class _Reader:
    """Reads JSON from files and servers; one session for a whole source."""

    def __init__(self) -> None:
        self._io = StacApiIO(timeout=TIMEOUT, max_retries=RETRY)

    def read(self, href: str) -> Document:
        """JSON object at an absolute href; ``SourceError`` names it and the cause."""
        try:
            text = self._text(href)
        except (OSError, APIError) as error:
            raise SourceError(f"{href}: {_cause(error)}") from None
        except UnicodeDecodeError:
            raise SourceError(f"{href}: not a text file, so no STAC") from None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{href}: no JSON: {error}") from None
        if not isinstance(document, dict):
            raise SourceError(f"{href}: JSON, but no STAC")
        return document

    def _text(self, href: str) -> str:
        if _is_local(href):
            return Path(href).read_text(encoding="utf-8")
        return self._io.read_text(href)


def _walk(
    reader: _Reader, href: str, document: Document, query: Query
) -> Iterator[Found | Skipped]:
    """Items below a document, depth first, in the order of its links."""
    seen = {href}
    stack: list[tuple[str, Document | None, str | None]] = [(href, document, None)]
    while stack:
        where, known, collection = stack.pop()
        try:
            content = reader.read(where) if known is None else known
            items, below = _parts(content, where)
        except SourceError as error:
            if known is not None:
                raise
            yield Skipped(where, str(error))
            continue
        yield from read_items(items, query, collection)
        collection = content["id"] if _kind(content, where) == "Collection" else collection
        # Popped from the end, hence the last one first.
        fresh = [one for one in dict.fromkeys(below) if one not in seen]
        stack.extend((target, None, collection) for target in reversed(fresh))
        seen.update(fresh)


def _parts(document: Document, href: str) -> tuple[list[tuple[str, Document]], list[str]]:
    """Items that a document holds, with where each is, and hrefs of the documents below it."""
    kind = _kind(document, href)
    if kind == "Feature":
        return [(href, document)], []
    if kind == "FeatureCollection":
        return [(_self(one, href), one) for one in _features(document, href)], []
    return [], [_joined(href, target) for target in _children(document, href)]


def _search(url: str, query: Query) -> Iterator[Found | Skipped]:
    """Items of an API, page after page; what it cannot be asked is sifted here."""
    if not (query.collections or query.ids or query.bbox or query.tiles or query.datetime):
        raise QueryError(
            f"{url} is an API: say what to take of it by collection, tile, bbox, datetime or ids"
        )
    try:
        client = _opened(url)
        seen: set[str] = set()
        for box in _boxes(query):
            search = _searched(client, _asked(client, query, box))
            pages = ((_self(one, url), one) for one in search.items_as_dicts())
            for part in read_items(pages, query):
                # The boxes of neighbouring tiles overlap.
                key = (
                    f"{part.item['collection']}/{part.item['id']}"
                    if isinstance(part, Found)
                    else part.reason
                )
                if key not in seen:
                    seen.add(key)
                    yield part
    except (APIError, RequestException) as error:
        raise SourceError(f"{url}: {_cause(error)}") from None
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        if isinstance(error, QueryError):
            raise
        raise SourceError(f"{url}: its answer is no STAC: {_cause(error)}") from None


def _opened(url: str) -> Client:
    with warnings.catch_warnings():
        # What an API does not advertise is not asked of it, hence nothing to tell the user.
        warnings.simplefilter("ignore", PystacClientWarning)
        return Client.open(url, stac_io=StacApiIO(timeout=TIMEOUT, max_retries=RETRY))


def _searched(client: Client, asked: dict[str, Any]) -> ItemSearch:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PystacClientWarning)
        return client.search(**asked, limit=PAGE)


def _asked(client: Client, query: Query, box: Bbox | None) -> dict[str, Any]:
    """The part of a query that every API understands, and the cloud cover where it does."""
    asked: dict[str, Any] = {}
    if query.collections:
        asked["collections"] = list(query.collections)
    if query.ids:
        asked["ids"] = list(query.ids)
    if box is not None:
        asked["bbox"] = list(box)
    if query.datetime is not None:
        # An API includes the end; the first instant after the period is sifted here.
        asked["datetime"] = "/".join(_end(one) for one in query.datetime)
    if query.max_cloud is not None and client.conforms_to(ConformanceClasses.QUERY):
        asked["query"] = {"eo:cloud_cover": {"lte": query.max_cloud}}
    return asked


def _boxes(query: Query) -> list[Bbox | None]:
    """Where to look: the bbox, or else round each tile (APIs name tiles each in its own way)."""
    if query.bbox is not None or not query.tiles or query.ids:
        return [query.bbox]
    return [tile_bbox(tile) for tile in query.tiles]


def tile_bbox(tile: str) -> Bbox:
    """Bbox of an MGRS tile, a little too wide; ``QueryError`` where there is no such tile."""
    places = mgrs.MGRS()
    try:
        with warnings.catch_warnings():
            # A square may reach over the edge of its latitude band: tiles do.
            warnings.simplefilter("ignore", RuntimeWarning)
            corners = [places.toLatLon(tile + cell) for cell in ("0000", "0099", "9900", "9999")]
    except (mgrs.core.MGRSError, RuntimeError):
        raise QueryError(f"there is no MGRS tile {tile}") from None
    south, north = min(one[0] for one in corners), max(one[0] for one in corners)
    west, east = min(one[1] for one in corners), max(one[1] for one in corners)
    if east - west > 180:
        west = min(one[1] for one in corners if one[1] > 0)
        east = max(one[1] for one in corners if one[1] < 0)
    # Tiles are 109.8 km wide, 9.8 more than the square of their name: 0.09 degrees of latitude.
    margin = 0.12
    wide = margin / max(cos(radians(max(abs(south), abs(north)))), 0.05)
    return (
        _turned(west - wide),
        max(south - margin, -90.0),
        _turned(east + wide),
        min(north + margin, 90.0),
    )


def _turned(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0


def _end(value: datetime | None) -> str:
    return ".." if value is None else utc_text(value)


def _is_api(document: Document) -> bool:
    rels = {link.get("rel") for link in _links(document)}
    return "conformsTo" in document or "search" in rels


def _kind(document: Document, href: str) -> str:
    kind = document.get("type")
    if kind in ("Feature", "FeatureCollection"):
        return str(kind)
    # Catalogues before STAC 1.0 have no type.
    if "stac_version" in document and isinstance(document.get("id"), str):
        return "Collection" if "extent" in document else "Catalog"
    raise SourceError(f"{href}: JSON, but no STAC catalogue, collection or item")


def _children(document: Document, href: str) -> list[str]:
    """Hrefs of what a catalogue or collection links to, absolute."""
    links = _links(document)
    found = [link["href"] for link in links if link.get("rel") in ("item", "child")]
    if not found and any(link.get("rel") == "items" for link in links):
        raise SourceError(
            f"{href}: a collection of an API; give the API's root and this collection's id"
        )
    return [target for target in found if isinstance(target, str)]


def _links(document: Document) -> list[Document]:
    links = document.get("links")
    return [one for one in links if isinstance(one, dict)] if isinstance(links, list) else []


def _features(document: Document, href: str) -> list[Document]:
    features = document.get("features")
    if not isinstance(features, list) or not all(isinstance(one, dict) for one in features):
        raise SourceError(f"{href}: a FeatureCollection without features")
    return features


def _self(item: Document, href: str) -> str:
    """Where an item says that it is, or else where it was read."""
    for link in _links(item):
        if link.get("rel") == "self" and "://" in str(link.get("href")):
            return str(link["href"])
    return href


def _resolved(item: Mapping[str, Any], href: str) -> Document:
    """Item with absolute hrefs in its assets, local ones as paths, and a link to itself."""
    assets = item.get("assets")
    if isinstance(assets, dict):
        assets = {key: _placed(asset, href) for key, asset in assets.items()}
    links = [link for link in _links(dict(item)) if link.get("rel") not in ("self", "via")]
    kept = [link for link in _links(dict(item)) if link.get("rel") == "via"]
    origin = kept or [{"rel": "self", "href": href}]
    return {**item, "assets": assets, "links": [*origin, *links]}


def _placed(asset: Any, href: str) -> Any:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        return asset
    return {**asset, "href": _joined(href, asset["href"])}


def _joined(base: str, href: str) -> str:
    """An href found in a document, absolute: local ones as plain paths."""
    if href.startswith("file://"):
        return unquote(urlsplit(href).path)
    if not _is_local(href) or href.startswith("/vsi"):
        return href
    if not _is_local(base):
        return urljoin(base, href)
    path = os.path.normpath(Path(base).parent / href)
    if "%" in path and not Path(path).exists() and Path(unquote(path)).exists():
        return unquote(path)
    return path


def _is_local(href: str) -> bool:
    return "://" not in href


def _cause(error: Exception) -> str:
    """Innermost cause of a failure, as one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return f"the server refuses (status {status}); check the address, and what it asks of users"
    if status == 404:
        return "the server has nothing there (status 404); check the address"
    said = " ".join(str(error).split()) or type(error).__name__
    for pattern, plain in _CAUSES:
        if re.search(pattern, said):
            return plain
    return said if len(said) <= 200 else f"{said[:197]}..."
