"""What an item holds at one place, and how it came to hold it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from catalog.backends.base import Document
from catalog.collections import DEM
from catalog.search import tile_of
from cube.decoding import MaskReading, has_mask, mask_group, variables_read
from cube.encodings import encodings
from cube.errors import CubeError, GridError
from cube.joined import GROUP, JoinedCube
from cube.place import Place, read_place
from cube.reading import read_band
from cube.store import Cube, DateEntry, open_store
from jobs.errors import RequestError
from jobs.explain_month import explain_month
from jobs.item_names import find_item
from jobs.pixel_dates import (
    band_names,
    mask_document,
    meaning,
    read_pixel,
    values_document,
)
from jobs.recorded_month import cubes_of, fits, raw_inputs

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def parse_place(text: str) -> Place:
    """``LON,LAT`` in degrees -> place; ``RequestError`` where it is none."""
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise RequestError(f"--at {text!r} is not two numbers: write LON,LAT in degrees") from None
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise RequestError(f"--at {text!r} leaves the globe: write LON,LAT in degrees")
    return Place(lon, lat)


def explain(workspace: "Workspace", name: str, place: Place) -> Document:
    """Item (``ID`` or ``COLLECTION/ID``) and place -> how its pixel there came about, as JSON.

    A synthesis is told date by date, with what each counted for and the sums, recomputed and
    compared with the item's own rasters; a mask value by value; a cube date by date. Of any other
    item its inputs and the values of its assets are told. ``RequestError`` where the place lies
    outside the item.
    """
    item = find_item(workspace, name)
    job = item["properties"].get("clearcube:job")
    try:
        found = _EXPLAINED.get(str(job), _explain_other)(workspace, item, place)
    except GridError:
        raise _outside(item, place) from None
    return {
        "item": item["id"],
        "collection": item.get("collection"),
        "job": job,
        "at": [place.lon, place.lat],
        **found,
    }


def _explain_mask(workspace: "Workspace", item: Document, place: Place) -> Document:
    properties = item["properties"]
    name, options = properties["clearcube:method"], dict(properties["clearcube:parameters"])
    reading = MaskReading(name, options.pop("reading"), float(options.pop("buffer")), options)
    cubes = cubes_of(workspace, tile_of(item) or "", name, item)
    cube, entry, note = _mask_date(item, cubes)
    group = mask_group(cube.spec, name)
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[group])
    document: Document = {
        "kind": "mask",
        "group": group,
        "resolution": cube.spec.groups[group],
        "pixel": [row, column],
        "reading": reading.reading,
        "buffer": reading.buffer,
        "options": dict(reading.options),
        "scenes": [scene for scene, _ in raw_inputs(item)],
        "note": note,
        "mask": None,
        "agrees": None,
    }
    assets = dict(_assets(item, place))
    held = assets.get("mask", {}).get("values")
    document["item_value"] = held[0] if held else None
    if entry is None:
        return document
    pixel = read_pixel(cube, entry, group, place, reading)
    document["scenes"] = [source["id"] for source in entry.items]
    document["values"] = values_document(pixel.bands)
    document["mask"] = mask_document(pixel, reading)
    document["agrees"] = None if not held else held[0] == pixel.code
    return document


def _explain_series(workspace: "Workspace", item: Document, place: Place) -> Document:
    """A mask that was found along time: the dates it was compared with, what each holds and is."""
    properties = item["properties"]
    name, variant = properties["clearcube:method"], properties.get("clearcube:variant") or None
    cube = cubes_of(workspace, tile_of(item) or "", name, item, variant)[0]
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[GROUP])
    inputs = properties.get("clearcube:inputs", {})
    series = [e for e in cube.valid_dates if any(s["id"] in inputs for s in e.items)]
    dates = [_series_date(cube, each, place, MaskReading(name)) for each in series]
    own = {scene for scene, _ in raw_inputs(item)}
    assets = dict(_assets(item, place))
    held = assets.get("mask", {}).get("values")
    shown = [d["mask"]["code"] for d in dates if d["mask"] and own & set(d["scenes"])]
    return {
        "kind": "series",
        "method": name,
        "parameters": properties["clearcube:parameters"],
        "about": {k: properties[k] for k in _SAID if k in properties},
        "group": GROUP,
        "resolution": cube.spec.groups[GROUP],
        "pixel": [row, column],
        "scenes": sorted(own),
        "dates": dates,
        "gone": [name for name in sorted(inputs) if _is_lost(workspace, name, series)],
        "others": [name for name in sorted(inputs) if not _is_scene(workspace, name)],
        "bits": assets.get("bits", {}).get("meaning", []),
        "item_value": held[0] if held else None,
        "agrees": held[0] == shown[0] if held and shown else None,
    }


def _series_date(cube: Cube, entry: DateEntry, place: Place, reading: MaskReading) -> Document:
    """A date at 20 m with the finer bands, too, as methods read them."""
    found = _cube_date(cube, entry, GROUP, place, reading)
    row, column = place.pixel(cube.spec.extent, cube.spec.groups[GROUP])
    window = slice(row, row + 1), slice(column, column + 1)
    finest = next(iter(cube.spec.groups))
    finer = {
        name: int(read_band(cube, GROUP, name, [entry.slot], window)[0, 0, 0])
        for name in band_names(cube, [entry], finest)
    }
    return found | {"values": values_document(finer) | found["values"]}


def _is_scene(workspace: "Workspace", name: str) -> bool:
    """Whether an input is no mask that a date follows, and no DEM; what is gone may be one."""
    return not any(
        "clearcube:job" in found["properties"] or found["collection"] == DEM
        for found in workspace.catalog.find(name)
    )


def _is_lost(workspace: "Workspace", name: str, series: Sequence[DateEntry]) -> bool:
    held = {source["id"] for entry in series for source in entry.items}
    return name not in held and _is_scene(workspace, name)


_SAID = ("clearcube:status", "clearcube:mode", "clearcube:mode_info", "clearcube:mode_reason")


def _mask_date(item: Document, cubes: list[Cube]) -> tuple[Cube, DateEntry | None, str]:
    """The date that a mask was decoded from: by its key, else by its scenes."""
    recorded = item["properties"].get("clearcube:inputs", {})
    wanted = {name for name, _ in raw_inputs(item)}
    name = item["properties"]["clearcube:method"]
    held = [
        (cube, entry)
        for cube in cubes
        for entry in sorted(cube.dates, key=lambda e: (not e.valid, -e.slot))
        if wanted & {source["id"] for source in entry.items}
    ]
    for cube, entry in held:
        if fits(cube, entry, recorded, variables_read(cube.spec, entry, name)):
            return cube, entry, ""
    if held:
        return *held[0], "replaced since: what is shown is what the cube holds now"
    return cubes[0], None, "the cube holds this date no more"


def _explain_found(workspace: "Workspace", item: Document, place: Place) -> Document:
    """What the job ``cloud-mask`` makes: masks, and the store that holds them."""
    is_store = "clearcube:masks" in item["properties"]
    return (_explain_masks if is_store else _explain_series)(workspace, item, place)


def _explain_masks(_workspace: "Workspace", item: Document, place: Place) -> Document:
    """A store of masks: the class of each of its dates."""
    masks = open_store(next(iter(item["assets"].values()))["href"])
    name = item["properties"]["clearcube:method"]
    joined = JoinedCube(masks, masks, name, {entry.slot: entry.slot for entry in masks.dates})
    row, column = place.pixel(masks.spec.extent, masks.spec.groups[GROUP])
    dates = [
        _cube_date(joined, entry, GROUP, place, MaskReading(name)) for entry in joined.valid_dates
    ]
    group = {"group": GROUP, "resolution": 20, "pixel": [row, column], "dates": dates}
    return {"kind": "cube", "level": masks.spec.level, "groups": [group]}


def _explain_cube(_workspace: "Workspace", item: Document, place: Place) -> Document:
    cube = open_store(next(iter(item["assets"].values()))["href"])
    held = {variable.name for variable in cube.spec.variables}
    masks = [
        MaskReading(each.name)
        for each in encodings()
        if each.name in MAIN_MASKS and each.reads[0] in held
    ]
    groups = [
        {
            "group": group,
            "resolution": resolution,
            "pixel": list(place.pixel(cube.spec.extent, resolution)),
            "dates": [
                _cube_date(cube, entry, group, place, masks[0] if masks else None)
                for entry in cube.valid_dates
            ],
        }
        for group, resolution in cube.spec.groups.items()
    ]
    return {"kind": "cube", "level": cube.spec.level, "groups": groups}


MAIN_MASKS = ("scl", "clm", "classi")
"""The mask that says of each level what is seen."""


def _cube_date(
    cube: Cube, entry: DateEntry, group: str, place: Place, reading: MaskReading | None
) -> Document:
    masked = reading if reading is not None and has_mask(entry, reading.encoding) else None
    pixel = read_pixel(cube, entry, group, place, masked)
    scenes = [source["id"] for source in entry.items]
    return {
        "date": str(entry.datetime.astype("datetime64[D]")),
        "time": f"{entry.datetime.astype('datetime64[s]')}Z",
        "scenes": scenes,
        "values": values_document(pixel.bands),
        "mask": None if masked is None else mask_document(pixel, masked),
    }


def _explain_other(_workspace: "Workspace", item: Document, place: Place) -> Document:
    """What can be told of any item: what it was made of, and what its rasters hold."""
    properties = item["properties"]
    job = properties.get("clearcube:job")
    assets = dict(_assets(item, place))
    if not assets:
        raise RequestError(f"{item['id']} has no raster to look at")
    if all(asset["values"] is None and not asset["note"] for asset in assets.values()):
        raise GridError("no raster holds the place")
    return {
        "kind": "scene" if job is None else "other",
        "note": "" if job is None else f"the job {job} does not explain itself",
        "parameters": properties.get("clearcube:parameters", {}),
        "inputs": properties.get("clearcube:inputs", {}),
        "assets": assets,
    }


_EXPLAINED = {
    "synthesis": explain_month,
    "decode-masks": _explain_mask,
    "cloud-mask": _explain_found,
    "cube": _explain_cube,
}
"""Job -> what explains its items; others are shown as they are."""


def _assets(item: Document, place: Place) -> Iterator[tuple[str, Document]]:
    """Rasters of an item -> what they hold at the place, in numbers and words."""
    for key, asset in item["assets"].items():
        if not _is_raster(asset):
            continue
        document: Document = {"values": None, "reflectance": None, "meaning": [], "note": ""}
        try:
            values = read_place(asset["href"], place)
        except CubeError as error:
            document["note"] = str(error)
            values = None
        document["values"] = values
        if values is not None and len(values) == 1:
            document |= _physical(asset, values[0])
        yield key, document


def _is_raster(asset: Mapping[str, Any]) -> bool:
    kind = str(asset.get("type", ""))
    if "thumbnail" in asset.get("roles", ()) or "xml" in kind:
        return False
    return "raster:bands" in asset or kind.startswith(("image/tiff", "image/jp2"))


def _physical(asset: Mapping[str, Any], value: float) -> Document:
    band = (asset.get("raster:bands") or [{}])[0]
    if "clearcube:encoding" in asset:
        return {"meaning": meaning(asset["clearcube:encoding"], value)}
    for one in asset.get("classification:classes", ()):
        if one["value"] == value:
            return {"meaning": [f"value {value}: {one.get('description') or one.get('name')}"]}
    if value == band.get("nodata") or math.isnan(value):
        return {"meaning": ["nodata"]}
    if "reflectance" in asset.get("roles", ()) and "scale" in band:
        physical = value * band["scale"] + band.get("offset", 0.0)
        return {"reflectance": round(physical, 6)}
    return {}


def _outside(item: Document, place: Place) -> RequestError:
    west, south, east, north = item["bbox"] if len(item.get("bbox") or ()) == 4 else (0, 0, 0, 0)
    return RequestError(
        f"--at {place} lies outside {item['id']}, which spans "
        f"{west:.4f} to {east:.4f} east and {south:.4f} to {north:.4f} north"
    )
