"""How well masks tell where the ground is seen: published items against a truth, date by date."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from catalog.backends.base import Document
from catalog.collections import cloud_mask_collection
from catalog.search import instant, normalise_tile, parse_query
from cube.classes import NO_OBSERVATION
from cube.confusion import (
    CLASSES,
    CloudSize,
    Table,
    away_from_edges,
    by_size,
    confusion,
    figures,
    majority,
    ratio,
)
from jobs.errors import RequestError, WorkspaceError
from jobs.mask_names import no_mask
from jobs.mask_truth import Grid, Labels, read_truth

if TYPE_CHECKING:
    from jobs.workspace import Workspace

EDGE = 60.0
"""Metres on both sides of an edge of the truth that are left out of the second table: the side of a
pixel of ALCD's maps, and about what readers of pictures differ by."""

Codes = NDArray[np.uint8]


@dataclass(slots=True)
class Tally:
    """What is counted of one mask, over one date or all."""

    table: Table = field(default_factory=lambda: np.zeros((CLASSES, CLASSES), np.int64))
    inner: Table = field(default_factory=lambda: np.zeros((CLASSES, CLASSES), np.int64))
    """The same without what lies at an edge of the truth."""
    sizes: list[CloudSize] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Counts of another date -> taken into these."""
        self.table += other.table
        self.inner += other.inner
        self.sizes = (
            [
                CloudSize(
                    a.least,
                    a.clouds + b.clouds,
                    a.found + b.found,
                    a.pixels + b.pixels,
                    a.hits + b.hits,
                )
                for a, b in zip(self.sizes, other.sizes, strict=True)
            ]
            if self.sizes
            else other.sizes
        )


def validate_masks(
    workspace: "Workspace",
    tile: str,
    masks: Sequence[str],
    truth: Path,
    *,
    datetime: str | None = None,
    values: str | None = None,
    whole_shapes: bool = False,
    edge: float = EDGE,
    picture: Path | None = None,
) -> Document:
    """Masks of a tile (``scl``, ``tsmask:wide``) and a truth -> tables of accuracy, as JSON.

    Judged are the dates that the truth and every mask have. ``picture`` is where a PNG is written.
    ``RequestError`` where a mask or the truth has nothing to compare.
    """
    tile, names = normalise_tile(tile), list(dict.fromkeys(masks))
    held = read_truth(truth, values, whole_shapes=whole_shapes)
    items = {name: _items(workspace, tile, name, datetime) for name in names}
    days = sorted(day for day in held.dates if all(day in found for found in items.values()))
    if not days:
        raise RequestError(
            f"no date of {truth} has a mask {' and '.join(names)} of tile {tile}; make them first"
        )
    per_date: dict[str, dict[date, Tally]] = {name: {} for name in names}
    for day in days:
        for name in names:
            predicted, grid = read_mask(items[name][day])
            per_date[name][day] = judge(held.dates[day](grid), predicted, grid, held.kind, edge)
    totals = {name: _total(found.values()) for name, found in per_date.items()}
    if not any(total.table.any() for total in totals.values()):
        raise RequestError(f"{truth} says nothing of what the masks of tile {tile} observed")
    if picture is not None:
        from jobs.mask_validation_picture import draw

        draw(picture, {n: [t.table for t in f.values()] for n, f in per_date.items()}, days)
    return {
        "tile": tile,
        "truth": {"source": held.source, "kind": held.kind},
        "judged_by": "majority" if held.kind == "cells" or whole_shapes else "pixel",
        "edge": edge,
        "dates": len(days),
        "without_mask": {
            name: [str(day) for day in sorted(held.dates) if day not in found]
            for name, found in items.items()
        },
        "masks": {
            name: _document(totals[name], held.kind)
            | {"per_date": {str(day): figures(t.table) for day, t in per_date[name].items()}}
            for name in names
        },
        "picture": None if picture is None else str(picture),
    }


def judge(
    labels: Labels, predicted: Codes, grid: Grid, kind: str = "raster", edge: float = EDGE
) -> Tally:
    """Truth and (y, x) uint8 classes on one grid -> their counts.

    Numbered objects count once each, by most of their pixels. Edges are looked for in rasters and
    cells, clouds by size in rasters alone: shapes do not say what lies between them.
    """
    metres = abs(grid.transform.a)
    away = np.zeros(labels.codes.shape, np.bool_)
    if kind != "shapes":
        away = away_from_edges(labels.codes, math.ceil(edge / metres))
    if labels.objects is not None:
        return _judge_objects(labels.codes, labels.objects, predicted, away)
    inner = np.where(away, labels.codes, np.uint8(NO_OBSERVATION))
    sizes = by_size(labels.codes, predicted, metres**2 / 1e4) if kind == "raster" else []
    return Tally(confusion(labels.codes, predicted), confusion(inner, predicted), sizes)


def read_mask(item: Mapping[str, Any]) -> tuple[Codes, Grid]:
    """Mask item -> (y, x) uint8 classes and where they lie; ``WorkspaceError`` names the file."""
    href = item["assets"]["mask"]["href"]
    try:
        with rasterio.open(href) as raster:
            grid = Grid(raster.shape, raster.transform, raster.crs.to_epsg())
            codes: Codes = raster.read(1)
    except (RasterioError, AttributeError) as error:
        raise WorkspaceError(f"cannot read {href}: {error}") from error
    return codes, grid


def _judge_objects(
    codes: Codes, objects: NDArray[np.int32], predicted: Codes, away: NDArray[np.bool_]
) -> Tally:
    count = int(objects.max(initial=0)) + 1
    pairs = np.bincount((objects * CLASSES + predicted).ravel(), minlength=count * CLASSES)
    pixels = np.bincount(objects.ravel(), minlength=count)
    truth = np.zeros(count, np.uint8)
    truth[objects.ravel()] = codes.ravel()
    truth[0] = NO_OBSERVATION
    found = majority(pairs.reshape(count, CLASSES))
    inside = 2 * np.bincount(objects[away], minlength=count) > pixels
    inner = np.where(inside, truth, np.uint8(NO_OBSERVATION))
    return Tally(confusion(truth, found), confusion(inner, found))


def _items(
    workspace: "Workspace", tile: str, name: str, datetime: str | None
) -> dict[date, Document]:
    """Mask as it is named in options -> its items by UTC date."""
    method, _, variant = name.partition(":")
    query = parse_query(
        collections=[cloud_mask_collection(method)], tile=tile, datetime=datetime, limit=10_000
    )
    found = {
        instant(item["properties"]["datetime"]).date(): item
        for item in workspace.documents(query)
        if item["properties"].get("clearcube:variant", "") == variant
    }
    if not found:
        raise no_mask(workspace, tile, name)
    return found


def _total(tallies: Iterator[Tally] | Any) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def _document(total: Tally, kind: str) -> Document:
    document: Document = {"all": figures(total.table)}
    if kind != "shapes":
        document["away_from_edges"] = figures(total.inner)
    if total.sizes:
        document["cloud_sizes"] = [
            {
                "least_ha": size.least,
                "clouds": size.clouds,
                "found": size.found,
                "pixels": size.pixels,
                "recall": _share(size.hits, size.pixels),
            }
            for size in total.sizes
        ]
    return document


def _share(part: int, whole: int) -> float | None:
    return float(f"{ratio(part, whole):.6g}") if whole else None
