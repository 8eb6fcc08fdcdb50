"""A short name for exactly what went into something."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from catalog.errors import CatalogError

LENGTH = 16
"""Hexadecimal digits kept: 64 bits, so that a billion items have one chance in 37 to collide."""


def fingerprint(document: Mapping[str, Any]) -> str:
    """JSON document -> 16 hexadecimal digits, the same for the same content in any order of keys.

    Numbers that are equal are the same, written ``1`` or ``1.0``.
    """
    try:
        text = json.dumps(
            _plain(document),
            sort_keys=True,
            ensure_ascii=True,
            allow_nan=False,
            separators=(",", ":"),
        )
    except (TypeError, ValueError) as error:
        raise CatalogError(f"no fingerprint of what is no JSON: {error}") from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:LENGTH]


def _plain(value: Any) -> Any:
    """A value as JSON has it; keys must be text, or two documents could become one."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key is not text")
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
