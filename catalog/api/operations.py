"""What the OpenAPI document at ``/api`` says of the STAC operations, and what it is served as."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import request_response
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
"""Media type of the version that FastAPI writes."""

CORE, FEATURES, SEARCH, FILTER = "Core", "Features", "Item Search", "Filter"
"""Tags: the parts of the STAC API that operations belong to."""

ITEMS = "/collections/{collection_id}/items"
OPERATIONS = {
    ("get", "/"): (CORE, "The landing page: links to all there is, and what the API conforms to."),
    ("get", "/conformance"): (CORE, "The conformance classes that the API keeps to."),
    ("get", "/collections"): (
        FEATURES,
        "Collections, by words, place and time if these are given.",
    ),
    ("get", "/collections/{collection_id}"): (FEATURES, "One collection, with its ETag."),
    ("get", ITEMS): (FEATURES, "Items of a collection, page by page, searched as all items are."),
    ("get", ITEMS + "/{item_id}"): (FEATURES, "One item, with its ETag."),
    ("get", "/search"): (SEARCH, "Items that meet all that is asked by parameters, page by page."),
    ("post", "/search"): (SEARCH, "Items that meet all that is asked by a body, page by page."),
    ("get", "/queryables"): (FILTER, "Properties that filters may name, as JSON Schema."),
    ("get", "/collections/{collection_id}/queryables"): (
        FILTER,
        "Properties that filters of a collection may name, as JSON Schema.",
    ),
    ("get", "/_mgmt/ping"): ("Health", "Whether the server answers; nothing else is looked at."),
    ("get", "/_mgmt/health"): ("Health", "Whether the server answers, as a document of its state."),
}
"""Method and path -> tag and sentence; operations that are not here describe themselves."""


def describe(app: FastAPI) -> None:
    """Let an application's OpenAPI document say what its STAC operations do, under its own type."""
    app.openapi = _described(app.openapi)  # type: ignore[method-assign]
    route = next(
        each for each in app.routes if isinstance(each, Route) and each.path == app.openapi_url
    )

    async def document(request: Request) -> Response:
        answer: Response = await route.endpoint(request)
        answer.headers["Content-Type"] = OPENAPI
        return answer

    # stac-fastapi puts its own type, that of version 3.0, in the same place.
    route.app = request_response(document)


def _described(made: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        document = made()
        for (method, path), (tag, sentence) in OPERATIONS.items():
            document["paths"][path][method] |= {"tags": [tag], "description": sentence}
        return document

    return openapi
