"""The fields ``clearcube:`` of items: their types, and which need which; see EXTENSION.md."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from catalog.backends.base import Document
from catalog.errors import CatalogError

PREFIX = "clearcube:"


def validate_fields(item: Mapping[str, Any]) -> None:
    """Check the ``clearcube:`` fields of an item; ``CatalogError`` names the item and the field."""
    fault = field_fault(item)
    if fault is not None:
        raise CatalogError(f"item {item.get('id')!r} is not valid: {fault}")


def field_fault(item: Mapping[str, Any]) -> str | None:
    """First ``clearcube:`` field that is wrong, with its place, in words; ``None`` where none is."""
    # The schema wants an object of lists and objects of JSON, and an item may be made of others.
    bare = {
        "properties": _own(item["properties"]),
        "assets": {key: _own(asset) for key, asset in item["assets"].items()},
    }
    error = next(iter(_validator().iter_errors(bare)), None)
    return None if error is None else _words(error)


@cache
def extension_schema() -> Document:
    """JSON Schema, draft 07, of the fields."""
    text = files("catalog").joinpath("extension.json").read_text("utf-8")
    schema: Document = json.loads(text)
    return schema


@cache
def _validator() -> Any:
    from jsonschema import Draft7Validator

    return Draft7Validator(extension_schema())


def _own(fields: Mapping[str, Any]) -> Document:
    """Fields that the schema speaks of."""
    return {
        name: value
        for name, value in fields.items()
        if name.startswith(PREFIX) or name == "processing:version"
    }


def _words(error: Any) -> str:
    if "propertyNames" in error.absolute_schema_path:
        place = ".".join(map(str, error.absolute_path))
        return f"{place}: there is no field {error.instance}"
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    place = ".".join(map(str, error.absolute_path))
    said = " ".join(str(error.message).split())
    return f"{place}: {said if len(said) <= 200 else said[:197] + '...'}"
