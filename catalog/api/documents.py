"""Documents as they are kept -> as the API shows them, and back."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urljoin

import orjson
from starlette.responses import Response

from catalog.backends.base import Document
from catalog.errors import CatalogError
from catalog.items import collection_link
from catalog.signing import unsigned

GEOJSON = "application/geo+json"
OWN_LINKS = frozenset(("self", "root", "parent", "collection", "items", "queryables", "data"))
"""Relations that the server states anew in each answer."""


def shown_item(item: Mapping[str, Any], base: str) -> Document:
    """Item -> with its links and the addresses of its assets here."""
    collection, name = str(item["collection"]), str(item["id"])
    home = f"{base}collections/{_step(collection)}"
    own = f"{home}/items/{_step(name)}"
    links = [
        {"rel": "self", "type": GEOJSON, "href": own},
        {"rel": "parent", "type": "application/json", "href": home},
        {"rel": "collection", "type": "application/json", "href": home},
        {"rel": "root", "type": "application/json", "href": base},
        *_others(item.get("links", ()), own),
    ]
    return {**item, "links": links, "assets": _shown_assets(item, base)}


def shown_collection(collection: Mapping[str, Any], base: str) -> Document:
    """Collection -> with its links here."""
    own = f"{base}collections/{_step(str(collection['id']))}"
    links = [
        {"rel": "self", "type": "application/json", "href": own},
        {"rel": "parent", "type": "application/json", "href": base},
        {"rel": "root", "type": "application/json", "href": base},
        {"rel": "items", "type": GEOJSON, "href": f"{own}/items"},
        {
            "rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables",
            "type": "application/schema+json",
            "href": f"{own}/queryables",
        },
        *_others(collection.get("links", ()), own),
    ]
    return {**collection, "links": links}


def kept_item(item: Mapping[str, Any], collection: str, base: str, old: Any) -> Document:
    """Item as a client sends it -> to be kept: without the links and addresses of this server.

    An asset whose address is this server's own keeps the href that it has in ``old``, the item
    that is there. ``CatalogError`` where it names anything but a remote address otherwise: what is
    read of this machine is for those who work on it to say, not for clients.
    """
    known = (old or {}).get("assets", {})
    assets = item.get("assets")
    if not isinstance(assets, Mapping):
        raise CatalogError(
            f"item {item.get('id')!r} has no assets: give an object, if an empty one"
        )
    kept = {}
    for key, asset in assets.items():
        if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
            raise CatalogError(f"item {item.get('id')!r}: the asset {key!r} has no href")
        href = asset["href"]
        ours = plain_address(href) == asset_address(base, collection, str(item.get("id")), key)
        if key in known and (ours or unsigned(str(known[key]["href"])) == href):
            asset = {**asset, **{name: known[key][name] for name in _PATHS if name in known[key]}}
        elif not is_remote(href) and known.get(key, {}).get("href") != href:
            what = "a file of the server" if local_file(href) is not None else "no remote address"
            raise CatalogError(
                f"item {item.get('id')!r}: the asset {key!r} names {what}; "
                "give an address such as https:// or s3://"
            )
        kept[key] = dict(asset)
    return {**item, "links": [collection_link(collection), *_foreign(item, base)], "assets": kept}


def kept_collection(collection: Mapping[str, Any], base: str) -> Document:
    """Collection as a client sends it -> to be kept."""
    return {**collection, "links": _foreign(collection, base)}


def local_file(href: str) -> str | None:
    """Href -> path on this machine (``/vsizip/`` for what is in a zip); None for all else."""
    href = plain_address(href)
    if href.startswith("file:"):
        return unquote(href.removeprefix("file://").removeprefix("file:"))
    if href.startswith("/vsi") and not href.startswith("/vsizip/"):
        return None
    return href if href.startswith("/") else None


def is_remote(href: str) -> bool:
    """Whether whoever opens an href asks another machine, whatever GDAL can be made to open."""
    return _REMOTE.fullmatch(unsigned(plain_address(href))) is not None


def plain_address(href: str) -> str:
    """``vrt://PATH?bands=N`` -> PATH; any other href as it is."""
    if not href.startswith("vrt://"):
        return href
    return href.removeprefix("vrt://").partition("?")[0].removeprefix("/vsicurl/")


def asset_address(base: str, collection: str, item: str, key: str) -> str:
    """Where an asset is served."""
    return f"{base}assets/{_step(collection)}/{_step(item)}/{_step(key)}"


@lru_cache(maxsize=4096)
def _step(name: str) -> str:
    """A name as a step of an address."""
    return quote(name, safe="")


def etag_of(document: Mapping[str, Any]) -> str:
    """Tag of a document as it is kept: the same as long as it says the same."""
    text = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def answer(document: Any, media_type: str = "application/json", status: int = 200) -> Response:
    """Document -> answer."""
    return Response(orjson.dumps(document), status, media_type=media_type)


def _shown_assets(item: Mapping[str, Any], base: str) -> Document:
    shown = {}
    home = asset_address(base, str(item["collection"]), str(item["id"]), "")
    for key, asset in item.get("assets", {}).items():
        href = asset.get("href", "")
        if local_file(href) is not None:
            address = f"{home}{_step(key)}"
            bands = href.partition("?")[2] if href.startswith("vrt://") else ""
            asset = {**asset, **{name: address for name in _PATHS if name in asset}}
            # GDAL reads the band of a file with several; others find the number beside.
            asset["href"] = f"vrt:///vsicurl/{address}?{bands}" if bands else address
        elif (plain := unsigned(href)) != href:
            asset = {**asset, "href": plain}  # clients have signers of their own
        shown[key] = asset
    return shown


def _others(links: Any, own: str) -> list[Any]:
    """Links that a document brings, made absolute; those to files of this machine are not told."""
    found = []
    for link in links:
        href = str(link.get("href", ""))
        if link.get("rel") in OWN_LINKS or local_file(href) is not None:
            continue
        found.append({**link, "href": urljoin(own, href)})
    return found


def _foreign(document: Mapping[str, Any], base: str) -> list[Any]:
    """Links of a document that are not this server's to state; those to it become relative."""
    links = document.get("links", [])
    if not isinstance(links, list) or not all(isinstance(link, Mapping) for link in links):
        raise CatalogError(f"{document.get('id')!r}: its links are no list of objects")
    kept = []
    for link in links:
        if link.get("rel") in OWN_LINKS or str(link.get("rel", "")).endswith("/queryables"):
            continue
        href = str(link.get("href", ""))
        inside = f"{base}collections/"
        if href.startswith(inside):
            href = f"../../{href.removeprefix(inside)}"
        kept.append({**link, "href": href})
    return kept


_PATHS = ("href", "clearcube:file")
"""Fields of an asset that may name files of this machine."""
_REMOTE = re.compile(
    r"((/vsicurl/)?(https?|ftp)://|(s3|gs|gcs|az|abfss?|oss|swift)://"
    r"|/vsi(s3|gs|az|adls|oss|swift)(_streaming)?/)[^\s/].*"
)
"""Addresses that an item from outside may name; GDAL's other names lead to files, or in them."""
