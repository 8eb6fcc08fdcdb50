"""Masks as users name them: ``scl``, ``tsmask:wide``; which there are, and how one is made."""

from typing import TYPE_CHECKING

from catalog.collections import cloud_mask_collection
from catalog.search import Query
from cube.encodings import encodings
from jobs.errors import RequestError
from jobs.mask_params import methods

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def no_mask(workspace: "Workspace", tile: str, name: str, where: str = "") -> RequestError:
    """Mask of which nothing is catalogued -> the error that says how to make it, or what there is.

    ``where`` says of what dates none is.
    """
    method, _, variant = name.partition(":")
    named = f" --name {variant}" if variant else ""
    if method in methods():
        make = f"clearcube run cloud-mask --tile {tile} --method {method}{named}"
    elif method in _decoded():
        make = f"clearcube run decode-masks --tile {tile} --encoding {method}{named}"
    else:
        made = " ".join(catalogued_masks(workspace, tile)) or "none yet"
        return RequestError(
            f"no mask is called {method!r}; tile {tile} has {made}; found along time are "
            f"{' '.join(methods())}, and products bring {' '.join(_decoded())}"
        )
    there = f"no mask {name}{where} of tile {tile} is catalogued"
    return RequestError(f"{there}; make it first: {make}")


def catalogued_masks(workspace: "Workspace", tile: str) -> list[str]:
    """Tile -> its masks as users name them, in alphabetical order."""
    named = {cloud_mask_collection(method): method for method in [*methods(), *_decoded()]}
    found = set()
    for item in workspace.documents(Query(collections=tuple(named), tiles=(tile,), limit=1000)):
        variant = item["properties"].get("clearcube:variant", "")
        found.add(":".join(filter(None, (named[item["collection"]], variant))))
    return sorted(found)


def _decoded() -> list[str]:
    return [each.name for each in encodings() if each.name not in methods()]
