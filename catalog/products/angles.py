"""Grids of angles in the metadata of products: sun, and each detector of each band, at nodes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from catalog.errors import ProductError
from catalog.products.bands import BANDS, BY_ESA
from catalog.products.product import Grid
from catalog.products.xml import Document, attribute, text_of

Rows = tuple[tuple[float | None, ...], ...]
"""Degrees by row and column; None where nothing is known."""

Pair = tuple[Rows, Rows]
"""Zenith and azimuth."""

_LAND = frozenset(band.esa for band in BANDS if band.resolution < 60)


@dataclass(frozen=True, slots=True)
class AngleGrids:
    """Where the sun stood and the detectors looked, at nodes on the ground.

    Node (0, 0) is the outer upper-left corner of the tile (Sentinel-2 Products Specification
    Document, tile metadata; MUSCATE repeats ESA's grids).
    """

    corner: tuple[float, float]
    """x and y of node (0, 0), metres."""
    step: tuple[float, float]
    """Metres between nodes along x and down y."""
    size: tuple[float, float]
    """Width and height of the rasters, metres."""
    sun: Pair
    views: dict[str, tuple[Pair, ...]]
    """Key of a band of the land -> its detectors by number, the way to the sensor."""


def read_angle_grids(
    document: Document, grid: Grid, names: dict[str, str], warnings: list[str]
) -> AngleGrids | None:
    """Metadata of a tile, its 10 m lattice, names of bands -> grids; None and a warning without.

    ``names`` are ESA's names by what the metadata call a band.
    """
    try:
        return _read(document, grid, names)
    except (ProductError, ValueError) as fault:
        warnings.append(f"{document.source}: grids of angles are not used: {fault}")
        return None


def _read(document: Document, grid: Grid, names: dict[str, str]) -> AngleGrids | None:
    sun = document.find("Sun_Angles_Grid", "Sun_Angles_Grids")
    found: dict[str, dict[int, Pair]] = {}
    for name, element in _detectors(document):
        band = names.get(name)
        if band in _LAND:
            detector = int(attribute(element, "detectorId", "detector_id") or 0)
            found.setdefault(BY_ESA[band].key, {})[detector] = _pair(element)
    if sun is None or not found:
        return None
    pair = _pair(sun)
    shape = _shape(pair[0])
    every = [rows for each in found.values() for views in each.values() for rows in views]
    if any(_shape(rows) != shape for rows in (*pair, *every)) or min(shape) < 2:
        raise ValueError("their shapes differ")
    step = _step(sun)
    return AngleGrids(
        (grid.left, grid.top),
        step,
        (grid.shape[1] * grid.step[0], grid.shape[0] * -grid.step[1]),
        pair,
        {key: tuple(views[number] for number in sorted(views)) for key, views in found.items()},
    )


def _detectors(document: Document) -> Iterator[tuple[str, Element]]:
    """What the metadata call a band, and the grids of one of its detectors."""
    for element in document.all("Viewing_Incidence_Angles_Grids"):
        own = attribute(element, "bandId", "band_id")
        if own is not None:
            yield own, element
    for group in document.all("Band_Viewing_Incidence_Angles_Grids_List"):
        for element in group.iterfind("Viewing_Incidence_Angles_Grids"):
            yield attribute(group, "band_id", "bandId") or "", element


def _pair(element: Element) -> Pair:
    return _rows(element, "Zenith"), _rows(element, "Azimuth")


def _rows(element: Element, angle: str) -> Rows:
    rows = tuple(
        tuple(_number(text) for text in text_of(line).split())
        for line in element.iterfind(f"{angle}/Values_List/VALUES")
    )
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"{angle.lower()} has no rows, or rows that differ in length")
    most = 180 if angle == "Zenith" else 360
    if any(value is not None and not abs(value) <= most for row in rows for value in row):
        raise ValueError(f"{angle.lower()} beyond {most} degrees")
    return rows


def _number(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value


def _shape(rows: Rows) -> tuple[int, int]:
    return len(rows), len(rows[0])


def _step(sun: Element) -> tuple[float, float]:
    across, down = (float(sun.findtext(f"Zenith/{n}_STEP", "nan")) for n in ("COL", "ROW"))
    if not (0 < across < math.inf and 0 < down < math.inf):
        raise ValueError("no steps between nodes")
    return across, down
