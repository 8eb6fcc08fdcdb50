"""Writes: items and collections made, replaced, changed in part, deleted, one or many."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import attr
import jsonpatch
from fastapi import APIRouter, Body, FastAPI
from jsonpointer import JsonPointerException
from pydantic import BaseModel
from stac_fastapi.extensions.transaction.transaction import TransactionConformanceClasses
from stac_fastapi.types.extension import ApiExtension
from stac_fastapi.types.requests import get_base_url
from starlette.requests import Request
from starlette.responses import Response

from catalog.api.client import known_collection, no_collection, no_item, tagged
from catalog.api.documents import (
    GEOJSON,
    answer,
    etag_of,
    kept_collection,
    kept_item,
    shown_collection,
    shown_item,
)
from catalog.api.errors import ConflictError, PreconditionError
from catalog.api.requests import CollectionId, ItemId
from catalog.backends.base import CatalogBackend, Check, Document
from catalog.collections import check_collection
from catalog.errors import CatalogError, ItemNotFoundError
from catalog.items import outline_fault, validate_item

MAX_PATCH = 1000
"""Operations of a JSON patch."""
MAX_BULK = 10_000
"""Items of one bulk write."""

JsonObject = Annotated[dict[str, Any], Body()]
Patch = Annotated[dict[str, Any] | list[dict[str, Any]], Body()]


class Bulk(BaseModel):
    """Items by id, and whether those that are there are replaced."""

    items: dict[str, dict[str, Any]]
    method: Literal["insert", "upsert"] = "insert"


@attr.s
class Transactions(ApiExtension):
    """STAC's transaction extensions for items and collections, and bulk items.

    stac-fastapi's own reads bodies into models that write times anew; documents are kept as sent.
    """

    catalog: CatalogBackend = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(
        factory=lambda: [each.value for each in TransactionConformanceClasses]
    )
    schema_href: str | None = attr.ib(default=None)

    def register(self, app: FastAPI) -> None:
        """Add the routes."""
        router = APIRouter(prefix=app.state.router_prefix)
        one_collection = "/collections/{collection_id}"
        one_item = one_collection + "/items/{item_id}"
        routes: tuple[tuple[str, str, Callable[..., Response], int], ...] = (
            ("POST", "/collections", self.create_collection, 201),
            ("PUT", one_collection, self.replace_collection, 200),
            ("PATCH", one_collection, self.patch_collection, 200),
            ("DELETE", one_collection, self.delete_collection, 204),
            ("POST", one_collection + "/items", self.create_items, 201),
            ("POST", one_collection + "/bulk_items", self.bulk_items, 200),
            ("PUT", one_item, self.replace_item, 200),
            ("PATCH", one_item, self.patch_item, 200),
            ("DELETE", one_item, self.delete_item, 204),
        )
        for method, path, endpoint, status in routes:
            router.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                name=endpoint.__name__.replace("_", " ").capitalize(),
                response_class=Response,
                responses=_REFUSALS,
            )
        app.include_router(router, tags=["Transactions"])

    def create_items(
        self, request: Request, collection_id: CollectionId, item: JsonObject
    ) -> Response:
        """Add an item, or all of a FeatureCollection or none; 409 where one is there."""
        base = get_base_url(request)
        known_collection(self.catalog, collection_id)
        if item.get("type") == "FeatureCollection":
            given = _listed(item)
            items = [self._kept(each, collection_id, base) for each in given]
            counts = self.catalog.upsert_items(items, check=_absent)
            return answer({"created": counts.created}, status=201)
        document = self._kept(item, collection_id, base)
        self.catalog.upsert_items([document], check=_absent)
        return self._written(request, document, 201)

    def replace_item(
        self, request: Request, collection_id: CollectionId, item_id: ItemId, item: JsonObject
    ) -> Response:
        """Replace an item that is there."""
        old = self._item(collection_id, item_id)
        if item.get("id", item_id) != item_id:
            raise CatalogError(f"the item is called {item.get('id')!r}, its address {item_id!r}")
        document = self._kept({**item, "id": item_id}, collection_id, get_base_url(request), old)
        self.catalog.upsert_items([document], check=_unchanged(request, old))
        return self._written(request, document)

    def patch_item(
        self, request: Request, collection_id: CollectionId, item_id: ItemId, patch: Patch
    ) -> Response:
        """Change parts of an item: a merge patch (object) or a JSON patch (list)."""
        old = self._item(collection_id, item_id)
        changed = patched(old, patch)
        if (changed.get("id"), changed.get("collection")) != (item_id, collection_id):
            raise CatalogError("a patch cannot change the id or collection of an item")
        document = self._kept(changed, collection_id, get_base_url(request), old)
        self.catalog.upsert_items([document], check=_unchanged(request, old, read=True))
        return self._written(request, document)

    def delete_item(
        self, request: Request, collection_id: CollectionId, item_id: ItemId
    ) -> Response:
        """Delete an item."""
        check = _unchanged(request, None)
        if not self.catalog.delete_items([(collection_id, item_id)], check=check):
            raise no_item(collection_id, item_id)
        return Response(status_code=204)

    def bulk_items(self, request: Request, collection_id: CollectionId, bulk: Bulk) -> Response:
        """Add (method insert) or also replace (upsert) many items, all or none."""
        base = get_base_url(request)
        known_collection(self.catalog, collection_id)
        if len(bulk.items) > MAX_BULK:
            raise CatalogError(f"{len(bulk.items)} items: at most {MAX_BULK} are taken at once")
        items = []
        for name, item in bulk.items.items():
            if item.get("id") != name:
                raise CatalogError(f"the item under {name!r} is called {item.get('id')!r}")
            items.append(self._kept(item, collection_id, base, whole=False))
        check = _absent if bulk.method == "insert" else None
        counts = self.catalog.upsert_items(items, check=check)
        done = counts.created + counts.updated
        return answer(
            {"received": counts.total, "success": done, "skipped": counts.unchanged, "errors": []}
        )

    def create_collection(self, request: Request, collection: JsonObject) -> Response:
        """Add a collection; 409 where one of that id is there."""
        document = kept_collection(collection, get_base_url(request))
        check_collection(document)
        self.catalog.upsert_collections([document], check=_absent)
        return self._written_collection(request, document["id"], 201)

    def replace_collection(
        self, request: Request, collection_id: CollectionId, collection: JsonObject
    ) -> Response:
        """Replace a collection that is there; its items stay."""
        old = known_collection(self.catalog, collection_id)
        return self._put_collection(request, old, collection)

    def patch_collection(
        self, request: Request, collection_id: CollectionId, patch: Patch
    ) -> Response:
        """Change parts of a collection: a merge patch (object) or a JSON patch (list)."""
        old = known_collection(self.catalog, collection_id)
        return self._put_collection(request, old, patched(old, patch), read=True)

    def delete_collection(self, request: Request, collection_id: CollectionId) -> Response:
        """Delete a collection and all its items."""
        try:
            self.catalog.delete_collection(collection_id, check=_unchanged(request, None))
        except ItemNotFoundError:
            raise no_collection(collection_id) from None
        return Response(status_code=204)

    def _put_collection(
        self, request: Request, old: Document, new: Mapping[str, Any], *, read: bool = False
    ) -> Response:
        if new.get("id", old["id"]) != old["id"]:
            raise CatalogError(f"the collection is called {new.get('id')!r}, not {old['id']!r}")
        document = kept_collection({**new, "id": old["id"]}, get_base_url(request))
        check_collection(document)
        self.catalog.upsert_collections([document], check=_unchanged(request, old, read=read))
        return self._written_collection(request, document["id"])

    def _kept(
        self, item: Any, collection: str, base: str, old: Any = None, *, whole: bool = True
    ) -> Document:
        """Item as sent -> checked, to be kept; against the schema too where ``whole``."""
        if not isinstance(item, Mapping):
            raise CatalogError("an item is a JSON object")
        if item.get("collection", collection) != collection:
            raise CatalogError(
                f"item {item.get('id')!r} names the collection {item.get('collection')!r}, "
                f"its address {collection!r}"
            )
        document = kept_item({**item, "collection": collection}, collection, base, old)
        if whole:
            validate_item(document)
        else:
            fault = outline_fault(document)
            if fault is not None:
                raise CatalogError(f"item {item.get('id')!r} is not valid: {fault}")
        return document

    def _item(self, collection_id: str, item_id: str) -> Document:
        try:
            return self.catalog.item(collection_id, item_id)
        except ItemNotFoundError:
            known_collection(self.catalog, collection_id)
            raise no_item(collection_id, item_id) from None

    def _written(self, request: Request, document: Document, status: int = 200) -> Response:
        # Read again: what is kept may differ, in the time of creation.
        kept = self._item(str(document["collection"]), str(document["id"]))
        shown = shown_item(kept, get_base_url(request))
        found = tagged(request, kept, shown, media_type=GEOJSON, status=status)
        if status == 201:
            found.headers["Location"] = shown["links"][0]["href"]
        return found

    def _written_collection(self, request: Request, name: str, status: int = 200) -> Response:
        kept = known_collection(self.catalog, name)
        shown = shown_collection(kept, get_base_url(request))
        found = tagged(request, kept, shown, status=status)
        if status == 201:
            found.headers["Location"] = shown["links"][0]["href"]
        return found


def patched(document: Document, patch: Mapping[str, Any] | Iterable[Any]) -> Document:
    """Document and merge patch (RFC 7396) or JSON patch (RFC 6902) -> changed document."""
    if isinstance(patch, Mapping):
        return _merged(document, patch)
    operations = list(patch)
    if len(operations) > MAX_PATCH:
        raise CatalogError(f"{len(operations)} operations: at most {MAX_PATCH} are done at once")
    if sum(each.get("op") == "copy" for each in operations) > 20:
        raise CatalogError("at most 20 operations of a patch may copy")
    try:
        changed = jsonpatch.apply_patch(document, operations)
    # What jsonpatch says shows the document, hrefs of this server and all.
    except jsonpatch.JsonPatchTestFailed:
        raise PreconditionError("a test of the patch failed") from None
    except (JsonPointerException, jsonpatch.JsonPatchConflict):
        raise CatalogError(
            "the patch cannot be applied: it names a place that is not in the document"
        ) from None
    except (jsonpatch.JsonPatchException, TypeError, ValueError, KeyError):
        raise CatalogError(
            "the patch cannot be applied: its operations are add, remove, replace, move, copy and "
            "test, each with op and path, and value or from"
        ) from None
    if not isinstance(changed, dict):
        raise CatalogError("the patch leaves no object")
    return changed


def _merged(value: Any, patch: Mapping[str, Any]) -> Document:
    found = dict(value) if isinstance(value, Mapping) else {}
    for name, part in patch.items():
        if part is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), part) if isinstance(part, Mapping) else part
    return found


def _listed(document: Mapping[str, Any]) -> list[Any]:
    features = document.get("features")
    if not isinstance(features, list) or len(features) > MAX_BULK:
        raise CatalogError(f"a FeatureCollection has a list of at most {MAX_BULK} features")
    return features


def _absent(old: Document | None, new: Document) -> None:
    if old is not None:
        raise ConflictError(f"{new['id']!r} is there already: PUT replaces it")


def _unchanged(request: Request, old: Document | None, *, read: bool = False) -> Check:
    """Check that what is there is what the client names, or (if ``read``) what was changed."""
    wanted = [each.strip() for each in request.headers.get("if-match", "").split(",") if each]

    def check(there: Document | None, new: Document) -> None:
        if there is None:
            raise PreconditionError(f"{new['id']!r} was deleted meanwhile")
        tag = etag_of(there)
        if wanted and tag not in wanted and "*" not in wanted:
            raise PreconditionError(f"{new['id']!r} is not the one of that ETag: read it again")
        if read and old is not None and tag != etag_of(old):
            raise PreconditionError(f"{new['id']!r} was changed meanwhile: try again")

    return check


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not valid, in a sentence."},
    401: {"description": "No token, or a wrong one."},
    403: {"description": "This server takes no writes."},
    404: {"description": "No such collection or item."},
    409: {"description": "It is there already."},
    412: {"description": "It is not the one that If-Match names."},
    413: {"description": "The body is too large."},
}
