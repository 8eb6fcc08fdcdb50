"""What ``diff`` compares: an item, an older generation of one, a folder or a file, as rasters."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from cube.account import LAYERS
from jobs.errors import RequestError
from jobs.item_names import find_item
from jobs.runner.publish import ITEM

if TYPE_CHECKING:
    from jobs.workspace import Workspace

RASTERS = (".tif", ".tiff", ".jp2")

CODES = ("status", "mask", "bits")
"""Files of products whose numbers are codes."""


@dataclass(frozen=True, slots=True)
class Source:
    """One raster of a side."""

    href: str
    kind: str
    """``reflectance``, ``codes`` or ``number``."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Nodata, scale and offset, where an item says them."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Codes in words, where an item says them."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    label: str
    sources: dict[str, Source]
    item: Document | None = None
    """None for files of which no item says how they were made."""


def side(workspace: "Workspace", text: str) -> Side:
    """``ID``, ``COLLECTION/ID``, ``ID@FINGERPRINT``, folder or file -> its rasters.

    ``RequestError`` or ``ItemNotFoundError`` where it is none of these, or has no raster.
    """
    path = Path(text)
    is_path = path.is_dir() or (path.is_file() and path.suffix.lower() in RASTERS)
    if is_path and ("/" in text or text.startswith(".") or not _catalogued(workspace, text)):
        return _of_path(path, text)
    name, at, mark = text.partition("@")
    if at:
        return _of_generation(workspace, name, mark)
    return of_item(find_item(workspace, text))


def of_item(item: Document) -> Side:
    """Catalogued item -> its rasters; ``RequestError`` where it has none."""
    found = {
        key: Source(asset["href"], _kind(key, asset), _about(asset), _names(asset))
        for key, asset in item["assets"].items()
        if _is_raster(asset)
    }
    if not found:
        raise RequestError(f"{item['id']} has no raster to compare; give a mask or a synthesis")
    return Side(item["id"], found, item)


def generation_before(workspace: "Workspace", item: Document) -> Side:
    """Item -> its generation before the one in force; ``RequestError`` where its files are gone."""
    now = {Path(asset["href"]).parent for asset in item["assets"].values()}
    folder = workspace.products / str(item["collection"]) / item["id"]
    older = [one for one in folder.glob("*") if one not in now and _rasters(one)]
    if not older:
        raise RequestError(
            f"no older generation of {item['id']} is on the disk; name two items to compare"
        )
    latest = max(older, key=lambda one: max(file.stat().st_mtime for file in _rasters(one)))
    return _of_folder(latest, item["id"], f"{item['id']}@{latest.name}")


def _of_generation(workspace: "Workspace", name: str, mark: str) -> Side:
    collection, _, item_id = name.rpartition("/")
    plain = all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for part in (item_id, mark))
    pattern = f"{collection or '*'}/{item_id}/{mark}*"
    found = [one for one in workspace.products.glob(pattern) if _rasters(one)] if plain else []
    if not found:
        raise RequestError(f"no files of the generation {mark!r} of {name} are on the disk")
    if len(found) > 1:
        names = " or ".join(f"{one.parents[1].name}/{item_id}@{one.name}" for one in found)
        raise RequestError(f"{name}@{mark} means several generations: write {names}")
    item = _in_force(workspace, found[0], item_id)
    if item is not None:
        return of_item(item)
    return _of_folder(found[0], item_id, f"{item_id}@{found[0].name}")


def _in_force(workspace: "Workspace", folder: Path, item_id: str) -> Document | None:
    """The item whose files a folder holds, if that is what the catalogue points to."""
    for item in workspace.catalog.find(item_id):
        if any(Path(asset["href"]).parent == folder for asset in item["assets"].values()):
            return item
    return None


def _of_path(path: Path, text: str) -> Side:
    path = path.resolve()
    if path.is_dir():
        return _of_folder(path, path.parent.name, text)
    # products/<collection>/<item>/<fingerprint>/<item>_<key>.tif
    key = path.stem.removeprefix(f"{path.parent.parent.name}_")
    return Side(text, {key: Source(str(path), _kind(key, {}))})


def _of_folder(folder: Path, item_id: str, label: str) -> Side:
    item = _kept(folder)
    if item is not None:
        return replace(of_item(item), label=label)
    found = {}
    for file in _rasters(folder):
        key = file.stem.removeprefix(f"{item_id}_")
        found[key] = Source(str(file), _kind(key, {}))
    if not found:
        raise RequestError(f"{folder} holds no raster to compare")
    return Side(label, found)


def _kept(folder: Path) -> Document | None:
    """The item of a former generation, kept beside its files; None where it is not as it was."""
    try:
        item: Document = json.loads((folder / ITEM).read_text())
        rasters = [Path(a["href"]) for a in item["assets"].values() if _is_raster(a)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = bool(rasters) and all(one.parent == folder and one.is_file() for one in rasters)
    return item if is_whole else None


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in RASTERS)


def _catalogued(workspace: "Workspace", name: str) -> bool:
    known = workspace.settings.catalog or workspace.settings.workspace.is_dir()
    return bool(known) and bool(workspace.catalog.find(name))


def _is_raster(asset: Mapping[str, Any]) -> bool:
    kind = str(asset.get("type", ""))
    return "thumbnail" not in asset.get("roles", ()) and kind.startswith(
        ("image/tiff", "image/jp2")
    )


def _kind(key: str, asset: Mapping[str, Any]) -> str:
    layer = re.sub(r"_\d+m$", "", key)
    if layer in CODES or "classification" in asset.get("roles", ()):
        return "codes"
    if layer in LAYERS:
        return "number"
    return "reflectance" if "reflectance" in asset.get("roles", ("reflectance",)) else "number"


def _about(asset: Mapping[str, Any]) -> dict[str, Any]:
    band = (asset.get("raster:bands") or [{}])[0]
    return {name: band[name] for name in ("nodata", "scale", "offset") if name in band}


def _names(asset: Mapping[str, Any]) -> dict[int, str]:
    return {
        int(one["value"]): str(one.get("name", one["value"]))
        for one in asset.get("classification:classes", ())
    }
