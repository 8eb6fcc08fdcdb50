"""Metadata of clearcube: products, items, search and the catalogue; no arrays.

The names below are imported when they are first used, so that ``import catalog`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalog.backends import CatalogBackend, open_catalog
    from catalog.backends.base import search_all
    from catalog.errors import CatalogError
    from catalog.items import Recipe, derived_item, validate_item
    from catalog.products import Product, open_product, product_item
    from catalog.search import Query, parse_query
    from catalog.sources import read_sources

__all__ = [
    "CatalogBackend",
    "CatalogError",
    "Product",
    "Query",
    "Recipe",
    "derived_item",
    "open_catalog",
    "open_product",
    "parse_query",
    "product_item",
    "read_sources",
    "search_all",
    "validate_item",
]

_HOMES = {
    "CatalogBackend": "backends",
    "CatalogError": "errors",
    "Product": "products",
    "Query": "search",
    "Recipe": "items",
    "derived_item": "items",
    "open_catalog": "backends",
    "open_product": "products",
    "parse_query": "search",
    "product_item": "products",
    "read_sources": "sources",
    "search_all": "backends.base",
    "validate_item": "items",
}
"""Name -> module of this package."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'catalog' has no attribute {name!r}")
    return getattr(import_module(f"catalog.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
