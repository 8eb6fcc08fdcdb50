"""A synthesis as a product in Theia's format: MUSCATE, level 3A."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyproj
import rasterio

from catalog.backends.base import Document
from catalog.l3a_text import GROUPS, POINTS, Source, Synthesis, l3a_xml
from catalog.products.bands import BANDS
from catalog.products.product import Grid
from catalog.search import instant, tile_of
from cube import theia
from cube.bands import REFLECTANCE_NODATA
from cube.composite import DATE_NODATA, STATUS_CLOUD, STATUS_SNOW
from cube.periods import Period
from jobs.errors import RequestError
from jobs.item_names import find_item
from jobs.job import State
from jobs.lineage import source_item, sources_of
from jobs.outputs import manifest_of, put_folder, require_folder, staged
from jobs.runner.progress import Progress
from jobs.upkeep import states_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

SUFFIX = {"R1": "", "R2": "_20m"}
"""What ends the keys of the layers of a group; of cubes of one resolution there is the first only."""

LAYERS = {"WGT": "weight", "DTS": "date", "FLG": "status"}


@dataclass(frozen=True, slots=True)
class L3aExport:
    """What was written."""

    item_id: str
    path: Path
    files: tuple[Path, ...]
    bytes: int
    notes: tuple[str, ...]

    def document(self) -> Document:
        """As JSON."""
        return {
            "format": "l3a",
            "id": self.item_id,
            "path": str(self.path),
            "files": [str(file) for file in self.files],
            "bytes": self.bytes,
            "notes": list(self.notes),
        }


def export_l3a(
    workspace: "Workspace", name: str, folder: Path, progress: Progress | None = None
) -> L3aExport:
    """Item of a synthesis -> ``SENTINEL2X_..._L3A_T31TCJ_C_V1-1`` in a folder, with ``MTD_ALL.xml``.

    What is not there whole is not there at all; an export of the item is replaced.
    ``RequestError`` where the item is no synthesis, lacks a layer, or the folder cannot take it.
    """
    item = find_item(workspace, name)
    described, hrefs = _described(workspace, item)
    path = (folder / described.name).resolve()
    require_folder(path)
    _require_same(path, item)
    progress = progress or Progress(quiet=True)
    work = list(_files(described, hrefs))
    with staged(path) as stage, rasterio.Env(GDAL_CACHEMAX=64):
        fresh = stage / path.name
        fresh.mkdir()
        counts: Any = None
        with progress.stage(f"export {described.name}", len(work)) as advance:
            for sources, target, convert, dtype, nodata in work:
                found = theia.write_plain(sources, fresh / target, convert, dtype, nodata)
                # The coarsest status counts, as in Theia's products.
                counts = found if dtype == "uint8" else counts
                advance(target, None)
        progress.close()
        rgb = (hrefs["B4"], hrefs["B3"], hrefs["B2"])
        theia.write_quicklook(rgb, fresh / described.quicklook)
        shares = _shares([int(n) for n in counts[:5]])
        text = l3a_xml(replace(described, cloud=shares[0], snow=shares[1]))
        (fresh / described.metadata).write_text(text)
        files = sorted(f.relative_to(fresh) for f in fresh.rglob("*") if f.is_file())
        size = sum((fresh / file).stat().st_size for file in files)
        put_folder(fresh, path, {"item": item["id"], "collection": item["collection"]})
    return L3aExport(
        item["id"], path, tuple(path / file for file in files), size, tuple(_notes(workspace, item))
    )


def _require_same(path: Path, item: Document) -> None:
    """Syntheses of a tile and day by several methods or masks have one name in Theia's words."""
    there = manifest_of(path).get("item", item["id"])
    if there != item["id"]:
        raise RequestError(f"{path} holds {there}, which has the same name; name another folder")


def _files(described: Synthesis, hrefs: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for band in described.bands:
        sources = (hrefs[band],)
        yield sources, described.band_file(band), theia.same, "int16", REFLECTANCE_NODATA
    days = theia.day_of_year(described.centre.year)
    for group in described.grids:
        weight, date, status = (hrefs[f"{code}_{group}"] for code in LAYERS)
        layers: dict[str, tuple[Any, ...]] = {
            "WGT": ((weight, status), theia.stored_weight, "int16", theia.WEIGHT_NODATA),
            "DTS": ((date,), days, "int16", DATE_NODATA),
            "FLG": ((status,), theia.same, "uint8", None),
        }
        for code, (sources, *how) in layers.items():
            yield sources, described.layer_file(code, group), *how


def _described(workspace: "Workspace", item: Document) -> tuple[Synthesis, dict[str, str]]:
    """Item -> what its metadata will say, and the raster that each file is made of."""
    properties, tile = item["properties"], tile_of(item)
    if not str(item["collection"]).startswith("synthesis-") or tile is None:
        raise RequestError(f"{item['id']} is no synthesis: give an item that run synthesis made")
    bands = [band for group in GROUPS.values() for band in group]
    assets = item["assets"]
    missing = [
        key
        for key in (
            *(_KEYS[band] for band in bands),
            *(f"{layer}{suffix}" for suffix in SUFFIX.values() for layer in LAYERS.values()),
        )
        if key not in assets
    ]
    if missing:
        raise RequestError(
            f"{item['id']} has no {', '.join(missing)}: a product of level 3A holds ten bands, "
            "and weight, date and status at 10 m and 20 m"
        )
    hrefs = {band: assets[_KEYS[band]]["href"] for band in bands}
    grids: dict[str, Grid] = {}
    for group, suffix in SUFFIX.items():
        grids[group] = _grid(item, assets[f"weight{suffix}"])
        hrefs |= {
            f"{code}_{group}": assets[f"{key}{suffix}"]["href"] for code, key in LAYERS.items()
        }
    if [grid.step[0] for grid in grids.values()] != [10, 20]:
        raise RequestError(f"{item['id']} is not at 10 m and 20 m, as a product of level 3A is")
    scenes = list(_scenes(workspace, item))
    period = Period.parse(str(properties["clearcube:period"]))
    return Synthesis(
        tile=tile,
        platforms=tuple(
            sorted({scene["properties"].get("platform", "") for scene in scenes} - {""})
        ),
        centre=datetime.combine(period.centre, time(), UTC),
        produced=instant(properties["created"]),
        crs_name=pyproj.CRS.from_epsg(grids["R1"].epsg).name,
        grids=grids,
        bands=tuple(bands),
        places=_places(grids["R1"]),
        cloud=0,
        snow=0,
        sources=tuple(_source(scene) for scene in scenes),
        title=f"{item['id']}, made by clearcube",
    ), hrefs


_KEYS = {band.muscate: band.key for band in BANDS}
"""Theia's name of a band -> key of its asset."""


def _scenes(workspace: "Workspace", item: Document) -> Iterator[Document]:
    """Scenes that a synthesis was made of, in order of time, those that are still catalogued."""
    found = [source_item(workspace, each) for each in sources_of(item)]
    scenes = [one for one in found if one and "clearcube:job" not in one["properties"]]
    yield from sorted(scenes, key=lambda scene: str(scene["properties"]["datetime"]))


def _source(scene: Document) -> Source:
    properties = scene["properties"]
    made = properties.get("s2:generation_time")
    return Source(
        scene["id"],
        instant(properties["datetime"]),
        None if made is None else instant(made),
        properties.get("eo:cloud_cover"),
    )


def _grid(item: Document, asset: Document) -> Grid:
    epsg = int(str(item["properties"]["proj:code"]).removeprefix("EPSG:"))
    width, _, left, _, height, top = asset["proj:transform"][:6]
    rows, columns = asset["proj:shape"]
    return Grid(epsg, left, top, (width, height), (rows, columns))


def _places(grid: Grid) -> dict[str, tuple[float, float]]:
    """Lattice -> longitude and latitude of its corners and centre."""
    to_lonlat = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True)
    return {
        name: to_lonlat.transform(
            grid.left + right * grid.shape[1] * grid.step[0],
            grid.top + down * grid.shape[0] * grid.step[1],
        )
        for name, (down, right) in POINTS.items()
    }


def _shares(counts: list[int]) -> tuple[int, int]:
    """Pixels by status -> per cent of cloud and of snow among those observed."""
    seen = max(1, sum(counts[1:]))
    return round(100 * counts[STATUS_CLOUD] / seen), round(100 * counts[STATUS_SNOW] / seen)


def _notes(workspace: "Workspace", item: Document) -> Iterator[str]:
    for target in states_of(workspace, [item]):
        if target.item_id == item["id"] and target.state in (State.STALE, State.ORPHANED):
            yield f"{item['id']} is {target.state}: {'; '.join(target.because)}"
    gone = sum(source_item(workspace, each) is None for each in sources_of(item))
    if gone:
        yield f"{gone} of the items it was made of are no longer catalogued: MTD_ALL.xml omits them"
    if item["properties"].get("clearcube:status") == "provisional":
        yield f"{item['id']} is provisional: scenes of its window may still come"
