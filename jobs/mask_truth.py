"""What is held for true of clouds: rasters, labelled cells, points and polygons, read from files.

A truth gives, for a date and the grid of a mask, the true class of each pixel, and which pixels are
judged together. Files are

- a folder of rasters or one raster, a date in each name (``20190516`` or ``2019-05-16``), whose
  values are those of ``cube.classes`` or of any encoding of masks; ALCD's ``classification_map.tif``
  takes the date of its scene's folder;
- JSON of labelled cells, ``{"cells": {"20190516": ["cckk", ...], ...}}``: rows of letters, the first
  one north. They cover the mask, or ``"bounds": [left, bottom, right, top]`` in its CRS;
- GeoJSON of points and polygons in longitude and latitude, each with ``date`` and ``class``.

A class is a name such as ``thin_cloud``, or a letter of ``LETTERS``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom

from cube.classes import (
    CLEAR,
    CLOUD,
    CLOUD_SHADOW,
    NAMES,
    NO_OBSERVATION,
    SNOW,
    THIN_CLOUD,
    WATER,
)
from cube.errors import CubeError
from cube.masks import decode, encoding
from jobs.errors import RequestError

LETTERS = {
    "c": CLEAR,
    "k": CLOUD,
    "t": THIN_CLOUD,
    "s": CLOUD_SHADOW,
    "n": SNOW,
    "w": WATER,
    "x": NO_OBSERVATION,
}
"""Letter of a label -> its class: clear, thick cloud, thin cloud, shadow, snow, water, not judged."""

OWN = "classes"
"""Name for rasters whose values are the classes themselves."""

ALCD = re.compile(r"classification_map.*\.tif", re.IGNORECASE)
"""File of a scene's classes in the ALCD data set (Baetens et al. 2019, Remote Sensing 11, 433)."""

_DATE = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where the pixels of a mask lie."""

    shape: tuple[int, int]
    transform: Affine
    epsg: int


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The truth of one date on one grid."""

    codes: NDArray[np.uint8]
    """(y, x) true classes, 0 where nothing is said."""
    objects: NDArray[np.int32] | None = None
    """(y, x) numbers of what is judged by most of its pixels, 0 for none; None: pixel by pixel."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth of some dates, read when it is asked for."""

    source: str
    kind: str
    """``raster``, ``cells`` or ``shapes``."""
    dates: Mapping[date, Callable[[Grid], Labels]]


def read_truth(path: Path, values: str | None = None, *, whole_shapes: bool = False) -> Truth:
    """File or folder -> the truth that it holds.

    ``values`` names the encoding of rasters, default by their names. ``whole_shapes``: a polygon
    is judged by most of its pixels instead of pixel by pixel. ``RequestError`` names what cannot
    be read or understood.
    """
    if values is not None and values != OWN:
        encoding(values)
    if not path.exists():
        raise RequestError(f"there is no {path}; give rasters, labelled cells or GeoJSON")
    if path.is_dir() or path.suffix.lower() in (".tif", ".tiff"):
        return _rasters(path, values)
    document = _document(path)
    if document.get("type") == "FeatureCollection":
        return _shapes(path, document, whole_shapes)
    if isinstance(document.get("cells"), dict):
        return _cells(path, document)
    raise RequestError(f"{path} holds neither labelled cells nor a GeoJSON FeatureCollection")


def class_code(label: object) -> int:
    """Name of a class or letter -> its code; ``RequestError`` where it is neither."""
    if isinstance(label, str) and label in LETTERS:
        return LETTERS[label]
    if isinstance(label, str) and label in NAMES:
        return NAMES.index(label)
    raise RequestError(f"{label!r} is no class; use {' '.join(NAMES)} or {' '.join(LETTERS)}")


def parse_date(text: object) -> date:
    """``20190516`` or ``2019-05-16``, also within a name -> the date; the last one if several are there.

    ``RequestError`` where there is none.
    """
    for found in reversed(_DATE.findall(str(text))):
        try:
            return date(*map(int, found))
        except ValueError:
            continue
    raise RequestError(f"there is no date such as 20190516 in {str(text)!r}")


# --- rasters --------------------------------------------------------------------------------------


def _rasters(path: Path, values: str | None) -> Truth:
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.suffix.lower() in (".tif", ".tiff"))
        maps = [one for one in files if ALCD.fullmatch(one.name)]
        files = maps or files
    if not files:
        raise RequestError(f"{path} holds no raster of classes (.tif)")
    dates: dict[date, Callable[[Grid], Labels]] = {}
    for file in files:
        day = parse_date(file.stem if _DATE.search(file.stem) else file.parent.as_posix())
        if day in dates:
            raise RequestError(f"{path} holds two rasters of {day}, one of them {file.name}")
        named = values or ("alcd" if ALCD.fullmatch(file.name) else OWN)
        dates[day] = _raster_reader(file, named)
    return Truth(str(path), "raster", dates)


def _raster_reader(file: Path, values: str) -> Callable[[Grid], Labels]:
    def read(grid: Grid) -> Labels:
        stored = _warped(file, grid)
        try:
            codes = stored if values == OWN else decode(values, {encoding(values).reads[0]: stored})
        except CubeError as error:
            raise RequestError(f"{file} is no {values}: {error}") from error
        if codes.max(initial=0) >= len(NAMES):
            raise RequestError(
                f"{file} holds {codes.max()}, which is no class; name its encoding by --values"
            )
        return Labels(codes)

    return read


def _warped(file: Path, grid: Grid) -> NDArray[np.uint8]:
    """The raster's values on a grid, each pixel the nearest one's; 0 outside."""
    try:
        with rasterio.open(file) as raster:
            if raster.crs is None:
                raise RequestError(f"{file} does not say where it lies; it needs a CRS")
            height, width = grid.shape
            with WarpedVRT(
                raster,
                crs=f"EPSG:{grid.epsg}",
                transform=grid.transform,
                height=height,
                width=width,
                resampling=Resampling.nearest,
                nodata=NO_OBSERVATION,
            ) as view:
                stored = view.read(1)
    except RasterioError as error:
        raise RequestError(f"cannot read {file}: {error}") from error
    whole: NDArray[np.uint8] = stored.astype(np.uint8)
    if not np.array_equal(whole, stored):
        raise RequestError(f"{file} holds no classes but {stored.dtype} numbers")
    return whole


# --- labelled cells -------------------------------------------------------------------------------


def _cells(path: Path, document: Mapping[str, Any]) -> Truth:
    bounds = document.get("bounds")
    if bounds is not None and not _are_bounds(bounds):
        raise RequestError(f"{path}: bounds are [left, bottom, right, top], not {bounds!r}")
    dates = {
        parse_date(name): _cell_reader(_cell_codes(path, name, rows), bounds)
        for name, rows in document["cells"].items()
    }
    return Truth(str(path), "cells", dates)


def _cell_codes(path: Path, name: str, rows: object) -> NDArray[np.uint8]:
    strings = isinstance(rows, list) and rows and all(isinstance(row, str) for row in rows)
    if not strings or len({len(row) for row in rows}) != 1 or not rows[0]:  # type: ignore[attr-defined,index]
        raise RequestError(f"{path}: the cells of {name} are no rows of letters of one length")
    unknown = sorted(set("".join(rows)) - set(LETTERS))  # type: ignore[arg-type]
    if unknown:
        raise RequestError(
            f"{path}: {unknown[0]!r} of {name} is no label; labels are {' '.join(LETTERS)}"
        )
    return np.array([[LETTERS[letter] for letter in row] for row in rows], np.uint8)  # type: ignore[attr-defined]


def _cell_reader(
    cells: NDArray[np.uint8], bounds: Sequence[float] | None
) -> Callable[[Grid], Labels]:
    def read(grid: Grid) -> Labels:
        rows, columns = _cell_of_pixels(grid, cells.shape, bounds)
        inside = (rows >= 0)[:, np.newaxis] & (columns >= 0)
        numbers = rows[:, np.newaxis] * cells.shape[1] + columns + 1
        objects = np.where(inside, numbers, 0).astype(np.int32)
        codes = np.append(np.uint8(NO_OBSERVATION), cells.ravel())[objects]
        objects[codes == NO_OBSERVATION] = 0
        return Labels(codes, objects)

    return read


def _cell_of_pixels(
    grid: Grid, shape: tuple[int, ...], bounds: Sequence[float] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the cell that the middle of each pixel lies in, -1 outside."""
    height, width = grid.shape
    left, top = grid.transform.c, grid.transform.f
    right, bottom = left + width * grid.transform.a, top + height * grid.transform.e
    if bounds is None:
        bounds = (left, bottom, right, top)
    y = top + (np.arange(height) + 0.5) * grid.transform.e
    x = left + (np.arange(width) + 0.5) * grid.transform.a
    rows = np.floor((bounds[3] - y) / (bounds[3] - bounds[1]) * shape[0]).astype(np.int64)
    columns = np.floor((x - bounds[0]) / (bounds[2] - bounds[0]) * shape[1]).astype(np.int64)
    rows[(rows < 0) | (rows >= shape[0])] = -1
    columns[(columns < 0) | (columns >= shape[1])] = -1
    return rows, columns


def _are_bounds(bounds: object) -> bool:
    return (
        isinstance(bounds, list)
        and len(bounds) == 4
        and all(isinstance(edge, int | float) for edge in bounds)
        and bounds[0] < bounds[2]
        and bounds[1] < bounds[3]
    )


# --- points and polygons --------------------------------------------------------------------------


def _shapes(path: Path, document: Mapping[str, Any], whole: bool) -> Truth:
    by_date: dict[date, list[tuple[Mapping[str, Any], int]]] = {}
    features = document.get("features")
    for number, feature in enumerate(features if isinstance(features, list) else [], 1):
        try:
            about, geometry = feature["properties"], feature["geometry"]
            day, code = parse_date(about["date"]), class_code(about["class"])
        except (KeyError, TypeError):
            raise RequestError(
                f"{path}: feature {number} lacks a geometry, a date or a class"
            ) from None
        by_date.setdefault(day, []).append((geometry, code))
    if not by_date:
        raise RequestError(f"{path} holds no feature")
    dates = {day: _shape_reader(path, found, whole) for day, found in by_date.items()}
    return Truth(str(path), "shapes", dates)


def _shape_reader(
    path: Path, shapes: Sequence[tuple[Mapping[str, Any], int]], whole: bool
) -> Callable[[Grid], Labels]:
    def read(grid: Grid) -> Labels:
        target = f"EPSG:{grid.epsg}"
        try:
            placed = [(transform_geom("EPSG:4326", target, shape), code) for shape, code in shapes]
            numbers = rasterize(
                [(shape, number) for number, (shape, _) in enumerate(placed, 1)],
                out_shape=grid.shape,
                transform=grid.transform,
                dtype="int32",
            )
        except (ValueError, KeyError, TypeError, AttributeError, RasterioError) as error:
            raise RequestError(f"{path} holds a geometry that is none: {error}") from error
        table = np.array([NO_OBSERVATION, *(code for _, code in placed)], np.uint8)
        codes = table[numbers]
        numbers[codes == NO_OBSERVATION] = 0
        return Labels(codes, numbers if whole else None)

    return read


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} is no JSON object")
    return found
