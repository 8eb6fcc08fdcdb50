"""Addresses that need a signature: kept unsigned, and signed by GDAL whenever they are read."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from catalog.backends.base import Document
from catalog.errors import QueryError

SIGNERS = ("planetary-computer",)
"""Who signs: GDAL's ``/vsicurl`` asks the Planetary Computer for a signature and renews it."""

_PREFIX = "/vsicurl?pc_url_signing=yes&url="


def signed(item: Mapping[str, Any], signer: str) -> Document:
    """Item -> with the hrefs of its assets such that GDAL signs them, in any process, as they expire.

    A signature in the catalogue would be stale within the hour.
    """
    if signer not in SIGNERS:
        raise QueryError(f"nobody signs as {signer!r}; there is {' '.join(SIGNERS)}")
    assets = {
        key: {**asset, "href": f"{_PREFIX}{quote(asset['href'], safe='')}"}
        if str(asset["href"]).startswith(("http://", "https://"))
        else asset
        for key, asset in item["assets"].items()
    }
    return {**item, "assets": assets}


def unsigned(href: str) -> str:
    """Href of :func:`signed` -> the address that it was; any other as it is."""
    return unquote(href.removeprefix(_PREFIX)) if href.startswith(_PREFIX) else href
