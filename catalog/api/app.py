"""A catalogue -> its STAC API, as an ASGI application."""

from typing import Any

from fastapi import FastAPI
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import CollectionUri, ItemUri
from stac_fastapi.extensions.collection_search import CollectionSearchExtension
from stac_fastapi.extensions.collection_search.collection_search import (
    CollectionSearchConformanceClasses,
)
from stac_fastapi.extensions.fields.fields import FieldsConformanceClasses, FieldsExtension
from stac_fastapi.extensions.filter import FilterConformanceClasses, FilterExtension
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses, FreeTextExtension
from stac_fastapi.extensions.query.query import QueryConformanceClasses, QueryExtension
from stac_fastapi.extensions.sort.sort import SortConformanceClasses, SortExtension
from stac_fastapi.types.config import ApiSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.api.assets import assets_router
from catalog.api.client import CatalogClient, QueryablesClient
from catalog.api.docs import docs_router
from catalog.api.errors import add_handlers
from catalog.api.guard import Guard
from catalog.api.operations import describe
from catalog.api.requests import CollectionsGet, ItemsGet, SearchGet, SearchPost
from catalog.api.settings import ServerSettings
from catalog.api.transactions import Transactions
from catalog.backends.base import CatalogBackend

SORT_V1 = (
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
)
"""What pystac-client looks for; stac-fastapi names version 1.1.0 only."""

FILTERS = [
    each.value
    for each in FilterConformanceClasses
    if each.name not in ("COLLECTIONS", "BASIC_SPATIAL_FUNCTIONS_PLUS", "FUNCTIONS")
]
"""Every class of CQL2 but functions of others, and filters of collections."""


def create_app(catalog: CatalogBackend, settings: ServerSettings | None = None) -> FastAPI:
    """Catalogue -> STAC API at ``/``, with the files of local assets at ``/assets``.

    Routes of others may be added to it: what is no GET is for those who have the token.
    """
    settings = settings or ServerSettings()
    api = StacApi(
        settings=ApiSettings(
            stac_fastapi_title=settings.title,
            stac_fastapi_description=settings.description,
            stac_fastapi_landing_id="clearcube",
            stac_fastapi_version=settings.version,
            openapi_url="/api",
            docs_url="",  # FastAPI's own page loads from elsewhere; ours is mounted below
        ),
        client=CatalogClient(catalog=catalog, landing_page_id="clearcube"),
        stac_version="1.1.0",
        extensions=_extensions(catalog),
        search_get_request_model=SearchGet,
        search_post_request_model=SearchPost,
        items_get_request_model=ItemsGet,
        collections_get_request_model=CollectionsGet,
        collection_get_request_model=CollectionUri,
        item_get_request_model=ItemUri,
        exceptions={},
        middlewares=_middlewares(settings),
    )
    describe(api.app)
    add_handlers(api.app)
    api.app.include_router(assets_router(catalog))
    api.app.include_router(docs_router(settings.title))
    api.app.state.catalog = catalog
    return api.app


class Compression(GZipMiddleware):
    """Answers packed, but for files, whose ranges would be none of the file, and pictures."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["path"].startswith(("/assets/", "/tiles/")):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Heads:
    """HEAD wherever GET is: what GET answers, without its body.

    Files answer it themselves, as they need not be read for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        asked = scope["type"] == "http" and scope["method"] == "HEAD"
        if not asked or scope["path"].startswith("/assets/"):
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, sent)


def _extensions(catalog: CatalogBackend) -> list[Any]:
    sort = [
        *SORT_V1,
        SortConformanceClasses.ITEM_SEARCH_SORT.value,
        SortConformanceClasses.FEATURES_SORT.value,
        SortConformanceClasses.COLLECTION_SEARCH_SORT.value,
    ]
    collections = [each.value for each in CollectionSearchConformanceClasses]
    return [
        FilterExtension(client=QueryablesClient(catalog=catalog), conformance_classes=FILTERS),
        SortExtension(conformance_classes=sort),
        FieldsExtension(conformance_classes=[each.value for each in FieldsConformanceClasses]),
        QueryExtension(
            conformance_classes=[
                QueryConformanceClasses.SEARCH.value,
                QueryConformanceClasses.ITEMS.value,
            ]
        ),
        CollectionSearchExtension(conformance_classes=collections),
        FreeTextExtension(conformance_classes=[FreeTextConformanceClasses.COLLECTIONS.value]),
        Transactions(catalog=catalog),
    ]


def _middlewares(settings: ServerSettings) -> list[Middleware]:
    """From the inside outwards."""
    return [
        Middleware(Guard, settings=settings),
        Middleware(Compression, minimum_size=1000, compresslevel=1),
        Middleware(Heads),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match", "Range"],
            expose_headers=["ETag", "Location", "Content-Range", "Accept-Ranges"],
            max_age=600,
        ),
    ]
