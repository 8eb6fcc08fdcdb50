"""Items held against their own rules, their recipes and their files."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from catalog.backends.base import Document
from catalog.errors import CatalogError
from catalog.items import Recipe, validate_item
from catalog.products.folder import zip_member
from cube.errors import CubeError
from cube.rasters import read_header, read_window, strips
from jobs.compositing import BLOCKS
from jobs.date_facts import ANGLES
from jobs.finding import Finding, error, note, remake
from jobs.ingest import signed_version
from jobs.mask_item import CHECKSUM
from jobs.runner.publish import COG, checksum
from jobs.stores import COLLECTION as CUBES

SHOWN = 3
"""Inputs named where one line has to do."""

Why = Callable[[str], str]
"""Id of an input -> why it is no longer used, or nothing."""


def item_findings(
    item: Document, collections: Collection[str], why_out: Why, *, quick: bool, sources: bool
) -> Iterator[Finding]:
    """Catalogued item -> what is wrong with it and its files, but for cubes' stores.

    ``quick`` reads no more of a file than its header; ``sources`` reads the files of scenes, too.
    """
    try:
        validate_item(item)
    except CatalogError as fault:
        yield error(str(item.get("id")), _bare(str(fault)), _mended(item))
        return
    if item["collection"] not in collections:
        yield error(item["id"], f"its collection {item['collection']} is not there", _mended(item))
    if "clearcube:job" not in item["properties"]:
        yield from _scene(item, quick=quick, sources=sources)
        return
    yield from _recipe(item, why_out)
    if item["collection"] != CUBES:
        yield from _files(item, quick=quick)


# --- scenes ---------------------------------------------------------------------------------------


def _scene(item: Document, *, quick: bool, sources: bool) -> Iterator[Finding]:
    gone = sorted({href for href in map(_href, item["assets"].values()) if _is_gone(href)})
    if gone:
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        advice = "put it back, or ingest the product from where it is now"
        yield error(item["id"], f"file gone: {gone[0]}{more}", advice)
        return
    angles = item["assets"].get(ANGLES)
    fault = angles and _file_fault(item, angles, Path(angles["href"]), quick=quick)
    if fault:
        yield error(item["id"], fault, "ingest the product again")
    if sources:
        held = item["properties"].get("clearcube:version", "")
        try:
            found = signed_version(item)
        except CubeError as fault:
            yield error(item["id"], str(fault), "restore it from where it came")
            return
        # Items of catalogues that were never signed have nothing to compare.
        if "+" in held and found != held:
            yield error(
                item["id"],
                f"its files are not those that were ingested (version {held}, now {found})",
                f"ingest it again, then {remake(item)}",
            )


def _href(asset: Mapping[str, Any]) -> str:
    return str(asset.get("clearcube:file") or asset["href"])


def _is_gone(href: str) -> bool:
    packed = zip_member(href)
    if packed is not None:
        try:
            with zipfile.ZipFile(packed[0]) as opened:
                opened.getinfo(packed[1])
        except (OSError, KeyError, zipfile.BadZipFile):
            return True
        return False
    return href.startswith("/") and not href.startswith("/vsi") and not Path(href).exists()


# --- what was made --------------------------------------------------------------------------------


def _recipe(item: Document, why_out: Why) -> Iterator[Finding]:
    properties = item["properties"]
    recipe = Recipe(
        job=properties["clearcube:job"],
        version=str(properties.get("processing:version", "")),
        method=properties["clearcube:method"],
        parameters=properties["clearcube:parameters"],
        inputs=properties["clearcube:inputs"],
    )
    said = properties["clearcube:fingerprint"]
    if said != recipe.fingerprint:
        what = f"its fingerprint {said} is not that of what it says it was made of"
        yield error(item["id"], what, _mended(item))
    without = [f"{name} {why}" for name in sorted(recipe.inputs) if (why := why_out(name))]
    if without:
        more = f"; and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        what = f"made of what does not count any more: {'; '.join(without[:SHOWN])}{more}"
        yield note(item["id"], what, remake(item))


def _files(item: Document, *, quick: bool) -> Iterator[Finding]:
    folders = set()
    is_whole = True
    for key, asset in sorted(item["assets"].items()):
        path = Path(asset["href"])
        if not path.is_absolute():
            continue
        folders.add(path.parent)
        what = _file_fault(item, asset, path, quick=quick)
        if what is None and not quick and key == "mask" and CHECKSUM in item["properties"]:
            found = _classes_checksum(str(path))
            if found != item["properties"][CHECKSUM]:
                what = f"{path} has other classes than the item's {CHECKSUM} says"
        if what is not None:
            is_whole = False
            advice = f"{'remove it and ' if path.exists() else ''}{remake(item)}"
            yield error(item["id"], what, advice)
    if is_whole and "clearcube:period" in item["properties"]:
        yield from (_blocks(item, folder) for folder in folders if not _has_blocks(folder))


def _file_fault(item: Document, asset: Document, path: Path, *, quick: bool) -> str | None:
    """What is wrong with a file, or None."""
    if not path.is_file():
        return f"{path} is gone"
    size, wanted = path.stat().st_size, asset.get("file:size")
    if wanted is not None and size != wanted:
        return f"{path} has {size} bytes, not {wanted}"
    if not quick and "file:checksum" in asset and checksum(path) != asset["file:checksum"]:
        return f"{path} is not what was written: its checksum differs"
    return _raster_fault(item, asset, path) if asset.get("type") == COG else None


def _raster_fault(item: Document, asset: Document, path: Path) -> str | None:
    try:
        header = read_header(str(path))
    except CubeError as fault:
        return str(fault)
    said = {**item["properties"], **asset}
    code = f"EPSG:{header.epsg}"
    if (
        code != said.get("proj:code")
        or list(header.shape) != list(said.get("proj:shape", ()))
        or list(header.transform) != list(said.get("proj:transform", ()))[:6]
    ):
        return f"{path} lies on another grid than its item says"
    return None


def _classes_checksum(href: str) -> str:
    """Classes of a mask, read from its file -> the checksum that its item has of them."""
    height, width = read_header(href).shape
    digest = hashlib.sha256(f"{height} {width}".encode())
    for first, last in strips(height):
        digest.update(read_window(href, (slice(first, last), slice(0, width))).tobytes())
    return digest.hexdigest()[:16]


def _has_blocks(folder: Path) -> bool:
    try:
        return isinstance(json.loads((folder / BLOCKS).read_text()), dict)
    except (OSError, ValueError):
        return False


def _blocks(item: Document, folder: Path) -> Finding:
    state = "cannot be read" if (folder / BLOCKS).exists() else "is gone"
    return note(item["id"], f"{folder / BLOCKS} {state}: next time all its blocks are made anew")


def _mended(item: Document) -> str:
    """How an item that is wrong itself is made right."""
    properties = item.get("properties")
    job = properties.get("clearcube:job") if isinstance(properties, Mapping) else None
    if job is None:
        return "ingest it again"
    if item.get("collection") == CUBES:
        return "run clearcube run cube for one of its dates: that writes its item anew"
    assets = item.get("assets")
    hrefs = [a.get("href") for a in assets.values()] if isinstance(assets, Mapping) else []
    folders = sorted({str(Path(href).parent) for href in hrefs if isinstance(href, str)})
    return f"remove {folders[0]} and {remake(item)}" if folders else f"run {job} again"


def _bare(text: str) -> str:
    """A fault without the id that goes before it anyway."""
    return text.partition(" is not valid: ")[2] or text
