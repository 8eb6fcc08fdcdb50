"""Items of an archive of full tiles, to measure catalogues with: scenes, masks and months.

A scene is the item that the catalogue's own reader makes of a SAFE product, with sixteen assets;
masks and months are as the jobs publish them. Each is copied for tiles and dates; nothing is on disk.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from bench_scale import fill, scene_of_a_product, scenes, tiles

from catalog.search import Query
from cube.grid import lonlat, tile_extent
from jobs.runner.publish import publish
from jobs.workspace import open_workspace

Document = dict[str, Any]

COLLECTIONS = ("sentinel-2-l2a", "cloud-mask-scl", "synthesis-wasp")
A_YEAR = 73
"""Dates of a tile in a year, each a scene and a mask; and twelve months."""
FIRST = datetime(2016, 1, 2, 10, 56, tzinfo=UTC)
ASSETS = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09",
    "swir16", "swir22", "scl", "aot", "wvp", "visual",
)  # fmt: skip


class Archive:
    """Scenes, masks and months of as many tiles as ``count`` items need, in order of tile."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self.templates, self.collections = _templates(folder)
        # Ten times the items are five times the tiles and twice the years.
        self.tiles = list(tiles(max(4, round(200 * (count / 100_000) ** 0.7))))
        each = count / len(self.tiles)
        self.years = each / (2 * A_YEAR + 12)

    def items(self) -> Iterator[Document]:
        """Every item, the same in every run."""
        left = self.count
        for index, tile in enumerate(self.tiles):
            share = left // (len(self.tiles) - index)
            left -= share
            yield from self._of_tile(tile, share)

    def batches(self, size: int) -> Iterator[list[Document]]:
        """Items in lists."""
        batch = []
        for item in self.items():
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def place(self, tile: str) -> Document:
        """Geometry, bbox and origin of a tile."""
        extent = tile_extent(tile)
        geometry, bbox = lonlat(extent)
        return {"geometry": geometry, "bbox": bbox, "extent": extent}

    def _of_tile(self, tile: str, count: int) -> Iterator[Document]:
        place = self.place(tile)
        texts = {name: _placed(item, tile, place) for name, item in self.templates.items()}
        number, month = 0, None
        while count > 0:
            year, step = divmod(number, A_YEAR)
            when = FIRST.replace(year=FIRST.year + year) + timedelta(days=5 * step)
            number += 1
            kinds = ["sentinel-2-l2a", "cloud-mask-scl"]
            if (when.year, when.month) != month:
                month = when.year, when.month
                kinds.append("synthesis-wasp")
            for kind in kinds[:count]:
                count -= 1
                yield _dated(texts[kind], kind, when)


def _templates(folder: Path) -> tuple[dict[str, Document], list[Document]]:
    """An item of each collection as it is made, of tile 31UES and the first date."""
    scene = scene_of_a_product(folder / "season")
    scene["item"]["assets"] = {key: scene["item"]["assets"][key] for key in ASSETS}
    dates = [FIRST + timedelta(days=5 * step) for step in range(6)]
    with open_workspace(folder / "archive") as workspace:
        publish(workspace, scenes(scene, "31UES", dates))
        fill(workspace, "31UES", {"datetime": "2016-01", "method": "wasp", "mask": "scl"})
        found = {
            name: list(workspace.documents(Query(collections=(name,))))[-1] for name in COLLECTIONS
        }
        return found, [workspace.catalog.collection(name) for name in COLLECTIONS]


def _placed(item: Document, tile: str, place: Document) -> str:
    """Template -> text of the item at a tile, still of the first date."""
    extent = place["extent"]
    item = {**item, "geometry": place["geometry"], "bbox": list(place["bbox"])}
    item["properties"] = {**item["properties"], "proj:code": f"EPSG:{extent.epsg}"}
    item["assets"] = {key: dict(asset) for key, asset in item["assets"].items()}
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            step = asset["proj:transform"][0]
            asset["proj:transform"] = [step, 0, extent.left, 0, -step, extent.top]
    return json.dumps(item, separators=(",", ":")).replace("31UES", tile)


def _dated(text: str, kind: str, when: datetime) -> Document:
    """Text of the first date -> item of another one, with a cloud cover of its own."""
    text = text.replace(f"{FIRST:%Y%m%dT%H%M%S}", f"{when:%Y%m%dT%H%M%S}")
    text = text.replace(f"{FIRST:%Y-%m-%dT%H:%M:%S}", f"{when:%Y-%m-%dT%H:%M:%S}")
    if kind == "synthesis-wasp":
        text = text.replace(f"{FIRST:%Y-%m}", f"{when:%Y-%m}")
    item: Document = orjson.loads(text)
    properties = item["properties"]
    if kind == "synthesis-wasp":
        start = when.replace(day=1, hour=0, minute=0)
        end = (start + timedelta(days=32)).replace(day=1) - timedelta(microseconds=1)
        properties["start_datetime"] = f"{start:%Y-%m-%dT%H:%M:%SZ}"
        properties["end_datetime"] = f"{end:%Y-%m-%dT%H:%M:%S.%fZ}"
    else:
        # Knuth's multiplier scatters the days over 0 to 100.
        properties["eo:cloud_cover"] = (when.toordinal() * 2654435761 % 10_000) / 100
    return item
