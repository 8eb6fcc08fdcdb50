"""The viewer: its page, and what the page asks for: tiles of the catalogue, their dates and months."""

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from catalog.backends.base import Document, search_all
from catalog.collections import CUBES, DEM
from catalog.deliveries import REJECTED, SUPERSEDED_BY
from catalog.items import utc_text
from catalog.search import Query as Search
from catalog.search import normalise_tile, tile_of, times_of
from cube.decoding import has_mask
from cube.errors import CubeError
from cube.masks import READINGS
from cube.place import Place
from jobs.dates import time_of
from jobs.explain import explain
from jobs.lineage import lineage
from jobs.web.answers import (
    Latitude,
    Longitude,
    Word,
    answering,
    digits,
    refuse,
    without_folders,
)
from jobs.web.pictures import opened_cube
from jobs.web.renderings import RENDERINGS, renderings_of
from jobs.web.series import cubes, mask_of, stamp_of_item, used_mask
from jobs.web.tiles import date_version, item_version, main_mask, stamp_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

log = logging.getLogger(__name__)

PAGE = 1000

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'self'"
)
"""The page loads nothing from elsewhere (Content Security Policy Level 3)."""


def viewer_router(workspace: "Workspace") -> APIRouter:
    """Workspace -> ``/viewer``: the page, and the JSON behind it."""
    router = APIRouter(prefix="/viewer", tags=["viewer"])

    @router.get("", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    def page(request: Request) -> Response:
        base = str(request.scope.get("root_path", "")).rstrip("/")
        text = static("index.html").decode().replace("{base}", base)
        headers = {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-cache",
        }
        return Response(text, media_type=KINDS["html"], headers=headers)

    @router.get("/static/{name:path}", include_in_schema=False)
    def part(name: str, request: Request) -> Response:
        if name not in PARTS:
            refuse(404, f"the viewer has no file {name[:60]}")
        headers = {
            "Cache-Control": "no-cache",
            "ETag": mark(name),
            "X-Content-Type-Options": "nosniff",
        }
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        kind = KINDS[name.rpartition(".")[2]]
        return Response(static(name), media_type=kind, headers=headers)

    @router.get("/tiles", summary="Tiles that something is held of")
    def held_tiles() -> list[Document]:
        with answering("tiles"):
            return list(tiles(workspace))

    @router.get("/tiles/{tile}", summary="Dates and months of a tile, and how they can be shown")
    def held(tile: Word) -> Document:
        with answering(f"tile {tile}"):
            return contents(workspace, normalise_tile(tile))

    @router.get("/explain/{collection}/{item_id}", summary="How a pixel of an item came about")
    def explained(collection: Word, item_id: Word, lon: Longitude, lat: Latitude) -> Document:
        with answering(f"{collection}/{item_id}"):
            found = explain(workspace, f"{collection}/{item_id}", Place(lon, lat))
            return dict(without_folders(found))

    @router.get("/lineage/{collection}/{item_id}", summary="What an item was made from, or became")
    def line(
        collection: Word,
        item_id: Word,
        forward: Annotated[bool, Query(description="What was made from it.")] = False,
    ) -> Document:
        with answering(f"{collection}/{item_id}"):
            found = lineage(workspace, f"{collection}/{item_id}", forward=forward)
            return dict(without_folders(found.document()))

    return router


@lru_cache
def static(name: str) -> bytes:
    """One of ``PARTS``, or the page."""
    return files("jobs.web").joinpath("static", name).read_bytes()


@lru_cache
def mark(name: str) -> str:
    """ETag of one of ``PARTS``."""
    return f'"{digits(static(name))}"'


def _parts(folder: Any, before: str = "") -> Iterator[str]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _parts(each, f"{before}{each.name}/")
        elif each.name.rpartition(".")[2] in KINDS and each.name != "index.html":
            yield before + each.name


PARTS = frozenset(_parts(files("jobs.web").joinpath("static")))
"""Files beside the page: nothing else is given away."""


# --- what is held ---------------------------------------------------------------------------------


def tiles(workspace: "Workspace") -> Iterator[Document]:
    """Workspace -> its tiles, each with its bbox and what there is of it."""
    found: dict[str, Document] = {}
    for item in _outlining(workspace):
        tile = tile_of(item)
        if tile is None or not item.get("bbox"):
            continue
        west, south, east, north = (item["bbox"][i] for i in (0, 1, -2, -1))
        box = found.setdefault(
            tile, {"tile": tile, "bbox": [west, south, east, north], "months": 0}
        )
        low, high = box["bbox"][:2], box["bbox"][2:]
        box["bbox"] = [*map(min, low, (west, south)), *map(max, high, item["bbox"][-2:])]
        box["months"] += item["collection"].startswith("synthesis-")
    yield from (found[tile] for tile in sorted(found))


def _outlining(workspace: "Workspace") -> Iterator[Document]:
    """Cubes and syntheses; and of a catalogue of scenes alone, the latest of these."""
    names = [c["id"] for c in workspace.catalog.collections()]
    derived = tuple(n for n in names if n == CUBES or n.startswith("synthesis-"))
    if derived:
        yield from search_all(workspace.catalog, Search(collections=derived, limit=PAGE))
    scenes = tuple(n for n in names if n != DEM and not n.startswith("cloud-mask-"))
    scenes = tuple(n for n in scenes if n not in derived)
    if scenes:
        yield from workspace.catalog.search(Search(collections=scenes, limit=PAGE)).items


def contents(workspace: "Workspace", tile: str) -> Document:
    """Tile -> its syntheses, its dates with their masks, and the legends of all of it."""
    months: list[Document] = []
    masks: dict[str, list[Document]] = {}
    scenes: list[Document] = []
    outline = None
    for item in search_all(workspace.catalog, Search(tiles=(tile,), limit=PAGE)):
        collection = str(item["collection"])
        if collection.startswith("synthesis-"):
            months.append(_month(item))
            outline = outline or item.get("geometry")
        elif collection.startswith("cloud-mask-") and mask_of(item):
            masks.setdefault(stamp_of_item(item), []).append(_mask(item))
        elif "clearcube:job" not in item["properties"]:
            scenes.append(item)
    if not (months or masks or scenes):
        refuse(404, f"nothing is catalogued of tile {tile}")
    dates = _dates(workspace, tile, scenes, masks)
    return {
        "tile": tile,
        "outline": outline or (scenes[0]["geometry"] if scenes else None),
        "months": sorted(months, key=lambda m: (m["start"], m["collection"], m["id"])),
        "dates": dates,
        "renderings": [
            {
                "name": each.name,
                "title": each.title,
                "legend": each.legend(each.scale(_ANY)),
            }
            for each in RENDERINGS.values()
        ],
    }


_ANY: Document = {"properties": {"datetime": "1970-01-01T00:00:00Z"}, "id": "", "links": []}
"""Stands for the items whose legends say their own ends."""


def _month(item: Document) -> Document:
    properties = item["properties"]
    shown = list(renderings_of(item["assets"]))
    own = {each.name: each.scale(item) for each in shown if not each.reflectance}
    return {
        "id": item["id"],
        "collection": item["collection"],
        "method": properties.get("clearcube:method", ""),
        "mask": used_mask(item),
        "variant": str(properties.get("clearcube:variant") or ""),
        "period": properties.get("clearcube:period", ""),
        "start": utc_text(times_of(item)[0]),
        "end": utc_text(times_of(item)[1]),
        "status": properties.get("clearcube:status", ""),
        "dates": properties.get("clearcube:dates"),
        "clear": properties.get("clearcube:clear_percentage"),
        "rejected": properties.get(REJECTED),
        "version": item_version(item),
        "renderings": [each.name for each in shown],
        "scales": {name: [scale.low, scale.high] for name, scale in own.items()},
    }


def _mask(item: Document) -> Document:
    properties = item["properties"]
    return {
        "name": mask_of(item),
        "id": item["id"],
        "collection": item["collection"],
        "clear": properties.get("clearcube:clear_percentage"),
        "status": properties.get("clearcube:status", ""),
        "rejected": properties.get(REJECTED),
        "version": item_version(item),
    }


def _dates(
    workspace: "Workspace",
    tile: str,
    scenes: list[Document],
    masks: Mapping[str, list[Document]],
) -> list[Document]:
    """Dates of every cube of a tile, and scenes that are in none, in order of time."""
    by_id = {str(scene["id"]): scene for scene in scenes}
    dates: list[Document] = []
    held: set[str] = set()
    for item in cubes(workspace, tile):
        try:
            cube = opened_cube(item)
        except CubeError as error:
            log.warning("cube %s: %s", item["id"], error)
            continue
        names = [
            each.name
            for each in RENDERINGS.values()
            if each.reflectance
            and each.assets({v.name: v for v in cube.spec.variables}) is not None
        ]
        mask = main_mask(cube)
        for entry in cube.valid_dates:
            ids = [str(source["id"]) for source in entry.items]
            held.update(ids)
            stamp = stamp_of(entry)
            found = masks.get(stamp, [])
            dates.append(
                {
                    "time": utc_text(time_of(entry)),
                    "stamp": stamp,
                    "level": cube.spec.level,
                    "collection": CUBES,
                    "id": item["id"],
                    "version": date_version(cube, entry),
                    "renderings": names,
                    "encoding": mask if mask and has_mask(entry, mask) else "",
                    "readings": list(READINGS) if mask and has_mask(entry, mask) else [],
                    "masks": found,
                    "scenes": [_scene(by_id[name]) for name in ids if name in by_id],
                }
            )
    loose = [s for s in scenes if s["id"] not in held and not s["properties"].get(SUPERSEDED_BY)]
    dates += [_loose(scene) for scene in loose]
    return sorted(dates, key=lambda one: (one["time"], one["level"], one["id"]))


def _scene(scene: Document) -> Document:
    return {
        "id": scene["id"],
        "collection": scene["collection"],
        "geometry": scene.get("geometry"),
        "rejected": scene["properties"].get(REJECTED),
        "cloud": scene["properties"].get("eo:cloud_cover"),
    }


def _loose(scene: Document) -> Document:
    """A scene that no cube holds: shown from its own files."""
    when, _ = times_of(scene)
    return {
        "time": utc_text(when),
        "stamp": stamp_of_item(scene),
        "level": scene["properties"].get("clearcube:level", ""),
        "collection": scene["collection"],
        "id": scene["id"],
        "version": item_version(scene),
        "renderings": [r.name for r in renderings_of(scene["assets"]) if r.reflectance],
        "encoding": "",
        "readings": [],
        "masks": [],
        "scenes": [_scene(scene)],
    }
