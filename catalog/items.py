"""Items of what jobs make, and what every item must be."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any

from catalog.backends.base import ITEM_ID, Document
from catalog.errors import CatalogError
from catalog.extension import field_fault
from catalog.fingerprint import fingerprint
from catalog.footprint import Bbox, bounds_of
from catalog.search import instant, times_of

NAME = re.compile(r"[A-Za-z0-9.-]+")
"""What a method or variant may be made of: ``_`` parts the words of an id."""

EXTENSIONS = {
    "proj:": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "eo:": "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "raster:": "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "grid:": "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "view:": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "sat:": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "processing:": "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "classification:": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "file:": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "cube:": "https://stac-extensions.github.io/datacube/v2.2.0/schema.json",
    "sci:": "https://stac-extensions.github.io/scientific/v1.0.0/schema.json",
    "renders": "https://stac-extensions.github.io/render/v2.0.0/schema.json",
    "zarr:": "https://stac-extensions.github.io/zarr/v1.0.0/schema.json",
    "xarray:": "https://stac-extensions.github.io/xarray-assets/v1.0.0/schema.json",
}
"""STAC extensions by the prefix of their fields."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a derived item was made with: job, method, parameters and inputs."""

    job: str
    version: str
    """Version of the job; changes whenever its numbers do."""
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Ids of the items read, each with its own version or checksum."""

    @property
    def fingerprint(self) -> str:
        """The same for the same job, version, method, parameters and inputs."""
        return fingerprint(
            {
                "job": self.job,
                "version": self.version,
                "method": self.method,
                "parameters": self.parameters,
                "inputs": self.inputs,
            }
        )


def derived_item(
    item_id: str,
    collection: str,
    *,
    when: datetime | tuple[datetime, datetime],
    geometry: Mapping[str, Any],
    assets: Mapping[str, Mapping[str, Any]],
    recipe: Recipe,
    bbox: Bbox | None = None,
    tile: str | None = None,
    status: str = "final",
    request: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    derived_from: Iterable[Mapping[str, Any]] = (),
    now: datetime | None = None,
) -> Document:
    """Item of a cube, mask or synthesis, with where it came from; validated.

    ``when`` is an instant or a half-open period ``[start, end)``; as STAC's ``end_datetime`` is
    included, the item says the last microsecond before ``end``. ``derived_from`` are the items it
    was made of, ``request`` the parameters with which its job makes it again. ``properties`` are
    added to, and win over, those made here.
    """
    if status not in ("final", "provisional"):
        raise CatalogError(f"item {item_id!r}: status {status!r} is neither final nor provisional")
    made = utc_text(now or datetime.now(UTC).replace(microsecond=0))
    own = clearcube_version()
    item: Document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": collection,
        "geometry": dict(geometry),
        "bbox": list(bbox or bounds_of(geometry)),
        "properties": {
            **_when(item_id, when),
            **({} if tile is None else {"grid:code": f"MGRS-{tile}"}),
            "processing:software": {"clearcube": own},
            "processing:version": recipe.version,
            "clearcube:job": recipe.job,
            "clearcube:method": recipe.method,
            "clearcube:parameters": dict(recipe.parameters),
            "clearcube:inputs": dict(recipe.inputs),
            "clearcube:fingerprint": recipe.fingerprint,
            "clearcube:status": status,
            **({} if request is None else {"clearcube:request": dict(request)}),
            "created": made,
            "updated": made,
            **(properties or {}),
        },
        "links": [collection_link(collection), *(_source_link(one) for one in derived_from)],
        "assets": {key: dict(asset) for key, asset in assets.items()},
    }
    item["stac_extensions"] = extensions_of(item)
    validate_item(item)
    return item


def collection_link(collection: str) -> Document:
    """Link from an item to its collection, relative as in an API."""
    return {"rel": "collection", "href": f"../../{collection}", "type": "application/json"}


def extensions_of(item: Mapping[str, Any]) -> list[str]:
    """Schemas of the STAC extensions whose fields an item uses, in order of the table above."""
    names = set(item["properties"])
    for asset in item["assets"].values():
        names |= set(asset)
    return [uri for prefix, uri in EXTENSIONS.items() if any(n.startswith(prefix) for n in names)]


def validate_item(item: Mapping[str, Any]) -> None:
    """Check an item against the core schema and this catalogue's rules, without a network.

    The schemas are those that pystac carries; extensions are not looked up. ``CatalogError``
    names the item and its first fault.
    """
    fault = _fault(item)
    if fault is not None:
        raise CatalogError(f"item {item.get('id')!r} is not valid: {fault}")


def outline_fault(item: Mapping[str, Any]) -> str | None:
    """First thing wrong with an item in what this program relies on, without the schema."""
    if not isinstance(item.get("id"), str) or not ITEM_ID.fullmatch(item["id"]):
        return "an id holds A-Z a-z 0-9 _ . - only"
    if item.get("stac_version") != "1.1.0":
        return f"its STAC version is {item.get('stac_version')!r}, not '1.1.0'"
    return _shape_fault(item) or _time_fault(item)


def utc_text(value: datetime) -> str:
    """Aware time -> RFC 3339 text in UTC, with decimals only where there are any."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@cache
def clearcube_version() -> str:
    """Version of this program."""
    return installed_version("clearcube")


def _when(item_id: str, when: datetime | tuple[datetime, datetime]) -> Document:
    if isinstance(when, datetime):
        return {"datetime": utc_text(when)}
    start, end = when
    if end <= start:
        raise CatalogError(f"item {item_id!r}: its period ends at {end}, before it starts")
    return {
        "datetime": None,
        "start_datetime": utc_text(start),
        "end_datetime": utc_text(end - timedelta(microseconds=1)),
    }


def _source_link(item: Mapping[str, Any]) -> Document:
    return {
        "rel": "derived_from",
        "href": f"../../{item['collection']}/items/{item['id']}",
        "type": "application/geo+json",
        "title": item["id"],
    }


def _fault(item: Mapping[str, Any]) -> str | None:
    """First thing wrong with an item, in words; ``None`` where nothing is."""
    return outline_fault(item) or schema_fault(item, "Feature") or field_fault(item)


def _time_fault(item: Mapping[str, Any]) -> str | None:
    try:
        first, last = times_of(item)
        if item["properties"].get("datetime") is not None:
            instant(str(item["properties"]["datetime"]))
    except (CatalogError, ValueError) as error:
        return str(error)
    return "it ends before it starts" if last < first else None


def _shape_fault(item: Mapping[str, Any]) -> str | None:
    """What the code of this program relies on; all of it holds for items that fit the schema."""
    if item.get("type") != "Feature":
        return f"its type is {item.get('type')!r}, not 'Feature'"
    for name, kind in (("properties", Mapping), ("assets", Mapping), ("links", list)):
        if not isinstance(item.get(name), kind):
            return f"it has no {name}"
    if "geometry" not in item:
        return "it has no geometry"
    if item["geometry"] is not None and len(item.get("bbox") or ()) not in (4, 6):
        return "it has a geometry, but no bbox of 4 or 6 numbers"
    for key, asset in item["assets"].items():
        if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
            return f"assets.{key}: it has no href"
    if item.get("collection") and not any(
        link.get("rel") == "collection" for link in item["links"]
    ):
        return "it names a collection, but has no link to it"
    return None


def schema_fault(document: Mapping[str, Any], kind: str) -> str | None:
    """What STAC's core schema of a kind, Feature or Collection, finds wrong; None for nothing."""
    try:
        plain = json.loads(json.dumps(dict(document)))  # as a reader will have it: tuples are lists
    except (TypeError, ValueError) as error:
        return f"it is no JSON: {error}"
    fault = next(_validator(kind).iter_errors(plain), None)
    return None if fault is None else _told(fault)


@cache
def _validator(kind: str) -> Any:
    """Validator of items or collections by the schemas that pystac carries.

    It is kept: pystac makes one for each item, and checks the schema itself each time, which takes
    nearly as long as to check the item.
    """
    from jsonschema.validators import validator_for
    from pystac.stac_object import STACObjectType
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    kinds = {"Feature": STACObjectType.ITEM, "Collection": STACObjectType.COLLECTION}
    carried = JsonSchemaSTACValidator()
    uri = carried.schema_uri_map.get_object_schema_uri(kinds[kind], "1.1.0")
    schema = carried.schema_cache[str(uri)]
    return validator_for(schema)(schema, registry=carried.registry)


def _told(fault: Any) -> str:
    """What a schema found, as one line: the place and the innermost cause."""
    while fault.context:
        fault = max(fault.context, key=lambda inner: len(inner.absolute_path))
    place = ".".join(str(step) for step in fault.absolute_path)
    said = " ".join(str(fault.message).split())
    said = said if len(said) <= 200 else f"{said[:197]}..."
    return f"{place}: {said}" if place else said
