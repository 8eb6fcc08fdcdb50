"""Collections and items to test with."""

from collections.abc import Iterable
from typing import Any

from catalog.backends.base import CatalogBackend, Counts, Document
from catalog.footprint import Bbox
from catalog.search import parse_query


def make_collection(collection_id: str = "sentinel-2-l2a") -> Document:
    """Least collection that is valid."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection_id,
        "description": f"Test collection {collection_id}",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-23T00:00:00Z", None]]},
        },
        "links": [],
    }


def make_item(
    item_id: str = "S2A_TEST",
    *,
    collection: str = "sentinel-2-l2a",
    datetime: str | None = "2019-05-12T10:50:31Z",
    bbox: Bbox | None = (4.0, 50.0, 5.0, 51.0),
    tile: str | None = "31UES",
    **properties: Any,
) -> Document:
    """Item with one red asset; further properties by name, with ``__`` for the colon."""
    named = {name.replace("__", ":", 1): value for name, value in properties.items()}
    code = {} if tile is None else {"grid:code": f"MGRS-{tile}"}
    place = {} if bbox is None else {"bbox": list(bbox)}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": collection,
        "geometry": None if bbox is None else rectangle(bbox),
        **place,
        "properties": {"datetime": datetime, **code, **named},
        "links": [{"rel": "collection", "href": f"./{collection}.json"}],
        "assets": {"red": {"href": f"/data/{item_id}/red.tif", "roles": ["data"]}},
    }


def rectangle(bbox: Bbox) -> Document:
    """Bbox -> GeoJSON polygon, or two where it crosses the antimeridian."""
    west, south, east, north = bbox
    if west > east:
        halves = (west, south, 180.0, north), (-180.0, south, east, north)
        rings = [rectangle(half)["coordinates"] for half in halves]
        return {"type": "MultiPolygon", "coordinates": rings}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def fill(catalog: CatalogBackend, items: Iterable[Document]) -> Counts:
    """Upsert items, and before them a collection for each that they name."""
    items = list(items)
    names = {item["collection"] for item in items} | {"sentinel-2-l2a"}
    catalog.upsert_collections([make_collection(name) for name in sorted(names)])
    return catalog.upsert_items(items)


def found(catalog: CatalogBackend, **conditions: Any) -> list[str]:
    """Ids of the items that a search as users write it finds, in order."""
    return [item["id"] for item in catalog.search(parse_query(**conditions)).items]
