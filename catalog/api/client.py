"""Searches and look-ups: stac-fastapi's client over any backend."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import attr
from stac_fastapi.extensions.filter.client import BaseFiltersClient
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.requests import get_base_url
from starlette.requests import Request
from starlette.responses import Response

from catalog.api.collection_search import search_collections
from catalog.api.documents import GEOJSON, answer, etag_of, shown_collection, shown_item
from catalog.api.fields import project
from catalog.api.operations import OPENAPI
from catalog.api.requests import Parts, SearchPost, read_search
from catalog.backends.base import CatalogBackend, Document, Page
from catalog.errors import ItemNotFoundError, QueryError
from catalog.queryables import QUERYABLES
from catalog.search import Query


@attr.s
class CatalogClient(BaseCoreClient):
    """Answers of the API, made of what a catalogue holds."""

    catalog: CatalogBackend = attr.ib(kw_only=True)

    def landing_page(self, **kwargs: Any) -> Any:
        """The root, with a link to each collection."""
        page = super().landing_page(**kwargs)
        for link in page["links"]:
            if link["rel"] == "service-desc":
                link["type"] = OPENAPI
        base = get_base_url(kwargs["request"])
        page["links"] += [
            {
                "rel": "child",
                "type": "application/json",
                "title": document.get("title", document["id"]),
                "href": f"{base}collections/{document['id']}",
            }
            for document in self.catalog.collections()
        ]
        return answer(page)

    def conformance(self, **_: Any) -> Any:
        """What the API conforms to."""
        return answer({"conformsTo": self.conformance_classes()})

    def all_collections(self, request: Request, **asked: Any) -> Response:
        """Collections by words, place and time."""
        known_only(request, asked)
        base = get_base_url(request)
        found, links, matched = search_collections(self.catalog.collections(), base, asked)
        return answer(
            {
                "collections": found,
                "links": [_link("self", str(request.url)), _link("root", base), *links],
                "numberMatched": matched,
                "numberReturned": len(found),
            }
        )

    def get_collection(self, collection_id: str, request: Request, **_: Any) -> Response:
        """One collection."""
        document = known_collection(self.catalog, collection_id)
        return tagged(request, document, shown_collection(document, get_base_url(request)))

    def get_item(self, item_id: str, collection_id: str, request: Request, **_: Any) -> Response:
        """One item."""
        try:
            document = self.catalog.item(collection_id, item_id)
        except ItemNotFoundError:
            known_collection(self.catalog, collection_id)
            raise no_item(collection_id, item_id) from None
        shown = shown_item(document, get_base_url(request))
        return tagged(request, document, shown, media_type=GEOJSON)

    def item_collection(
        self, collection_id: str, request: Request, collections: str | None = None, **asked: Any
    ) -> Response:
        """Items of a collection."""
        known_only(request, {**asked, "collections": collections})
        known_collection(self.catalog, collection_id)
        if collections is not None and collections != collection_id:
            raise QueryError(f"these are the items of {collection_id!r}: search for others")
        query, parts = read_search(**asked, collections=[collection_id])
        base = get_base_url(request)
        home = f"{base}collections/{collection_id}"
        links = [_link("collection", home), _link("parent", home)]
        return self._found(request, query, parts, links)

    def get_search(self, request: Request, **asked: Any) -> Response:
        """Items by GET."""
        known_only(request, asked)
        query, parts = read_search(**asked)
        return self._found(request, query, parts)

    def post_search(self, search_request: SearchPost, request: Request, **_: Any) -> Response:
        """Items by POST."""
        asked = {name: getattr(search_request, name) for name in SearchPost.model_fields}
        query, parts = read_search(**asked)
        body = search_request.model_dump(by_alias=True, exclude_unset=True)
        return self._found(request, query, parts, body=body)

    def _found(
        self,
        request: Request,
        query: Query,
        parts: Parts,
        links: Iterable[Document] = (),
        body: Document | None = None,
    ) -> Response:
        page = self.catalog.search(query)
        base = get_base_url(request)
        document: Document = {
            "type": "FeatureCollection",
            "features": [project(shown_item(item, base), *parts) for item in page.items],
            "links": [
                _link("self", _here(request), GEOJSON),
                _link("root", base),
                *links,
                *_page_links(request, page, body),
            ],
            "numberReturned": len(page.items),
        }
        if page.matched is not None:
            document["numberMatched"] = page.matched
        return answer(document, GEOJSON)


@attr.s
class QueryablesClient(BaseFiltersClient):
    """Properties that filters may name, with their types."""

    catalog: CatalogBackend = attr.ib(kw_only=True)

    def get_queryables(
        self, request: Request, collection_id: str | None = None, **_: Any
    ) -> Response:
        """JSON schema of the properties, of all collections alike."""
        if collection_id is not None:
            known_collection(self.catalog, collection_id)
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": _here(request),
            "type": "object",
            "title": "Queryables",
            "properties": {name: dict(schema) for name, schema in QUERYABLES.items()},
            "additionalProperties": True,
        }
        return answer(document, "application/schema+json")


def known_collection(catalog: CatalogBackend, collection_id: str) -> Document:
    """Collection of an id; ``ItemNotFoundError`` where there is none."""
    try:
        return catalog.collection(collection_id)
    except ItemNotFoundError:
        raise no_collection(collection_id) from None


def no_collection(collection_id: str) -> ItemNotFoundError:
    """The error that there is none of that id."""
    return ItemNotFoundError(f"there is no collection {collection_id!r}")


def no_item(collection_id: str, item_id: str) -> ItemNotFoundError:
    """The error that there is none of that id."""
    return ItemNotFoundError(f"there is no item {item_id!r} in the collection {collection_id!r}")


def tagged(
    request: Request,
    kept: Mapping[str, Any],
    shown: Document,
    *,
    media_type: str = "application/json",
    status: int = 200,
) -> Response:
    """Answer with the tag of what is kept; 304 where the client has it."""
    tag = etag_of(kept)
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if request.method in ("GET", "HEAD") and (tag in known or f"W/{tag}" in known or "*" in known):
        return Response(status_code=304, headers={"ETag": tag})
    found = answer(shown, media_type, status)
    found.headers["ETag"] = tag
    return found


def known_only(request: Request, asked: Mapping[str, Any]) -> None:
    """``QueryError`` for a parameter that there is not: a slip would be a search for everything."""
    names = {_ALIASES.get(name, name) for name in asked}
    for name in request.query_params:
        if name not in names:
            raise QueryError(
                f"no parameter is called {name!r}; there are {' '.join(sorted(names))}"
            )


def _page_links(request: Request, page: Page, body: Document | None) -> list[Document]:
    links = []
    for rel, token in (("next", page.next_token), ("prev", page.previous_token)):
        if token is None:
            continue
        if body is None:
            query = {**request.query_params, "token": token}
            address = f"{_here(request, query=False)}?{urlencode(query)}"
            links.append({**_link(rel, address, GEOJSON), "method": "GET"})
        else:
            link = _link(rel, _here(request, query=False), GEOJSON)
            links.append({**link, "method": "POST", "body": {**body, "token": token}})
    return links


def _here(request: Request, *, query: bool = True) -> str:
    path = request.scope["path"].lstrip("/")
    text = f"?{request.url.query}" if query and request.url.query else ""
    return f"{request.base_url}{path}{text}"


def _link(rel: str, href: str, media_type: str = "application/json") -> Document:
    return {"rel": rel, "type": media_type, "href": href}


_ALIASES = {"filter_expr": "filter", "filter_lang": "filter-lang", "filter_crs": "filter-crs"}
