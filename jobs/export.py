"""Series and masks of a tile to files of other programs: NetCDF, ENVI."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio

from catalog.backends.base import Document
from catalog.collections import ATTRIBUTION, cloud_mask_collection
from catalog.deliveries import REJECTED
from catalog.items import utc_text
from catalog.search import instant, normalise_tile, parse_datetime, parse_query
from cube import envi, netcdf
from cube.bands import band
from cube.spec import Spec
from cube.stack import Corner, Layer, MaskFile, Stack, band_layer, mask_layer
from cube.store import Cube, DateEntry, open_store
from jobs.dates import time_of
from jobs.errors import RequestError
from jobs.job import State, Target
from jobs.mask_names import no_mask
from jobs.outputs import put_file, put_folder, require_file, require_folder, staged
from jobs.runner.progress import Progress
from jobs.runner.publish import published
from jobs.stores import COLLECTION, cube_id, cube_store
from jobs.upkeep import states_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

LEVELS = ("l2a", "maja", "l1c")
"""Levels of cubes, in the order in which one is taken where none is asked for."""

GDAL_CACHE = 64
"""MiB of rasters that GDAL keeps while masks are read window by window."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a tile a user wants written."""

    tile: str
    datetime: str | None = None
    """STAC datetime; None for all dates of the cube."""
    level: str | None = None
    bands: tuple[str, ...] | None = None
    """None for all that the cube has."""
    masks: tuple[str, ...] = ()
    """``METHOD`` or ``METHOD:VARIANT``."""
    resolution: int | None = None
    """Metres; None for the coarsest of the bands, so that none is made to look finer than it is."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    format: str
    files: tuple[Path, ...]
    tile: str
    level: str
    resolution: int
    layers: Mapping[str, str]
    """Name of a variable or file -> the band or mask that it is."""
    dates: tuple[Mapping[str, Any], ...]
    """Of each date its time, scenes, and items of masks, None where it has none."""
    outdated: tuple[Target, ...]
    """The cube and masks that are stale or orphaned: what they were made from has changed since."""
    bytes: int

    def document(self) -> Document:
        """As JSON."""
        return {
            "format": self.format,
            "files": [str(file) for file in self.files],
            "bytes": self.bytes,
            **self.about(),
            "outdated": [target.document() for target in self.outdated],
        }

    def about(self) -> Document:
        """What is in it, wherever it lies."""
        return {
            "tile": self.tile,
            "level": self.level,
            "resolution": self.resolution,
            "layers": dict(self.layers),
            "dates": [dict(each) for each in self.dates],
        }

    def notes(self) -> list[str]:
        """What a user would not expect of it."""
        found = []
        for mask in self.dates[0]["masks"]:
            without = [each["datetime"][:10] for each in self.dates if not each["masks"][mask]]
            if without:
                found.append(
                    f"{len(without)} of {len(self.dates)} dates have no mask {mask} and are 0 "
                    f"(no_observation) in it, the first {without[0]}"
                )
        if self.outdated:
            first = self.outdated[0]
            found.append(
                f"{len(self.outdated)} of the items written are not current, the first, "
                f"{first.item_id}, is {first.state}: {'; '.join(first.because)}; "
                "clearcube run stale brings them up to date"
            )
        return found


def export_netcdf(
    workspace: "Workspace",
    selection: Selection,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Export:
    """Series and masks of a tile -> one NetCDF-4 file, by default ``31UES.nc`` where one is.

    What is not there whole is not there at all. ``RequestError`` where there is no such cube, band,
    mask or date, or ``out`` can be no file.
    """
    chosen = _chosen(workspace, selection)
    path = (out or Path(f"{chosen.stack.name}.nc")).resolve()
    require_file(path)
    with staged(path) as stage:
        fresh = stage / path.name
        write = partial(netcdf.write_netcdf, fresh, chosen.stack)
        _carry_out(chosen, netcdf.count_pieces(chosen.stack), write, progress)
        done = chosen.export("netcdf", (path,), fresh.stat().st_size)
        put_file(fresh, path)
    return done


def export_envi(
    workspace: "Workspace",
    selection: Selection,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Export:
    """Series and masks of a tile -> a folder of ENVI rasters, one a band or mask.

    The folder, by default ``31UES_envi``, is replaced where an export wrote it before. What is not
    there whole is not there at all. ``RequestError`` as of :func:`export_netcdf`.
    """
    chosen = _chosen(workspace, selection)
    path = (out or Path(f"{chosen.stack.name}_envi")).resolve()
    require_folder(path)
    with staged(path) as stage:
        fresh = stage / path.name
        fresh.mkdir()
        write = partial(envi.write_envi, fresh, chosen.stack)
        _carry_out(chosen, envi.count_pieces(chosen.stack), write, progress)
        names = sorted(file.name for file in fresh.iterdir())
        size = sum(file.stat().st_size for file in fresh.iterdir())
        done = chosen.export("envi", tuple(path / name for name in names), size)
        put_folder(fresh, path, done.about())
    return done


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A selection, found."""

    tile: str
    level: str
    resolution: int
    stack: Stack
    asked: Mapping[str, str]
    """Name of a layer -> the band or mask, as it was asked for."""
    dates: tuple[Mapping[str, Any], ...]
    outdated: tuple[Target, ...]

    def export(self, kind: str, files: tuple[Path, ...], size: int) -> Export:
        return Export(
            format=kind,
            files=files,
            tile=self.tile,
            level=self.level,
            resolution=self.resolution,
            layers=self.asked,
            dates=self.dates,
            outdated=self.outdated,
            bytes=size,
        )


def _carry_out(
    chosen: _Chosen,
    pieces: int,
    write: Callable[[Callable[[str], None]], object],
    progress: Progress | None,
) -> None:
    progress = progress or Progress(quiet=True)
    with (
        rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE),
        progress.stage(f"export {chosen.stack.name}", pieces) as advance,
    ):
        write(lambda piece: advance(piece, None))
    progress.close()


def _chosen(workspace: "Workspace", selection: Selection) -> _Chosen:
    """What a selection means; nothing but metadata is read."""
    tile = normalise_tile(selection.tile)
    name, cube = _cube(workspace, tile, selection.level)
    entries = _entries(cube, name, selection.datetime)
    bands = _bands(cube.spec, entries, selection.bands)
    if not bands and not selection.masks:
        raise RequestError("neither a band nor a mask is asked for; name some")
    resolution = _resolution(cube.spec, bands, selection.resolution)
    geobox = cube.spec.extent.geobox(resolution)
    masks = {mask: _items(workspace, tile, mask, entries) for mask in selection.masks}
    layers = {each: band_layer(cube, entries, each, resolution) for each in bands}
    for mask, items in masks.items():
        files = [None if item is None else _file(item) for item in items]
        layers[mask] = mask_layer(_layer_name(mask), f"classes of mask {mask}", files, geobox)
    stack = Stack(
        name=name,
        title=f"Sentinel-2 {cube.spec.level} {tile}",
        geobox=geobox,
        times=tuple(entry.datetime for entry in entries),
        scenes=tuple(" ".join(item["id"] for item in entry.items) for entry in entries),
        layers=_distinct(layers),
        attributes={
            "tile": tile,
            "level": cube.spec.level,
            "source": "Sentinel-2 MSI",
            "acknowledgment": f"{ATTRIBUTION} {_years(entries)}",
        },
    )
    dates = tuple(
        {
            "datetime": utc_text(time_of(entry)),
            "scenes": [item["id"] for item in entry.items],
            "masks": {mask: _id(items[i]) for mask, items in masks.items()},
        }
        for i, entry in enumerate(entries)
    )
    asked = {layer.name: name for name, layer in layers.items()}
    items = [item for found in masks.values() for item in found if item is not None]
    outdated = _outdated(workspace, [published(workspace, COLLECTION, name), *items])
    return _Chosen(tile, cube.spec.level, resolution, stack, asked, dates, outdated)


def _outdated(workspace: "Workspace", items: Sequence[Document | None]) -> tuple[Target, ...]:
    there = [item for item in items if item is not None]
    ours = {(item["collection"], item["id"]) for item in there}
    return tuple(
        target
        for target in states_of(workspace, there)
        if (target.collection, target.item_id) in ours
        and target.state in (State.STALE, State.ORPHANED)
    )


def _cube(workspace: "Workspace", tile: str, level: str | None) -> tuple[str, Cube]:
    for each in LEVELS if level is None else (level,):
        path = cube_store(workspace, tile, each)
        if path is not None:
            return cube_id(workspace, tile, each), open_store(path)
    wanted = f"{level} cube" if level else "cube"
    raise RequestError(f"there is no {wanted} of tile {tile}; make it first: clearcube run cube")


def _entries(cube: Cube, name: str, datetime: str | None) -> list[DateEntry]:
    start, end = (None, None) if datetime is None else parse_datetime(datetime)
    found = [
        entry
        for entry in cube.valid_dates
        if (start is None or time_of(entry) >= start) and (end is None or time_of(entry) < end)
    ]
    if not found:
        within = f" within {datetime}" if datetime else ""
        raise RequestError(f"the cube {name} holds no date{within}; clearcube run cube adds some")
    return found


def _years(entries: Sequence[DateEntry]) -> str:
    return "-".join(dict.fromkeys(str(time_of(entries[i]).year) for i in (0, -1)))


def _bands(
    spec: Spec, entries: Sequence[DateEntry], asked: Sequence[str] | None
) -> tuple[str, ...]:
    written = {name for entry in entries for name in entry.variables}
    held = [v.name for v in spec.variables if v.kind == "reflectance" and v.name in written]
    if asked is None:
        return tuple(held)
    for name in asked:
        if name not in held:
            raise RequestError(
                f"the {spec.level} cube of {spec.tile} holds no {band(name).name}; "
                f"it holds {' '.join(held)}"
            )
    return tuple(dict.fromkeys(asked))


def _resolution(spec: Spec, bands: Sequence[str], asked: int | None) -> int:
    sizes = sorted(spec.groups.values())
    if asked is None:
        own = [spec.groups[v.group] for v in spec.variables if v.name in bands]
        return max(own, default=sizes[-1])
    if asked not in sizes:
        raise RequestError(
            f"the {spec.level} cube of {spec.tile} has no grid of {asked} m; "
            f"it has {' '.join(map(str, sizes))}"
        )
    return asked


def _items(
    workspace: "Workspace", tile: str, mask: str, entries: Sequence[DateEntry]
) -> list[Document | None]:
    """Mask as it is named in options -> its item of each date; rejected ones count as none."""
    method, _, variant = mask.partition(":")
    query = parse_query(collections=[cloud_mask_collection(method)], tile=tile, limit=10_000)
    found = {
        int(instant(item["properties"]["datetime"]).timestamp()): item
        for item in workspace.documents(query)
        if item["properties"].get("clearcube:variant", "") == variant
        and REJECTED not in item["properties"]
    }
    items = [found.get(entry.time // 1000) for entry in entries]
    if not any(items):
        raise no_mask(workspace, tile, mask, " of these dates")
    return items


def _id(item: Document | None) -> str | None:
    return None if item is None else str(item["id"])


def _file(item: Document) -> MaskFile:
    asset = item["assets"]["mask"]
    step, _, left, _, _, top = asset["proj:transform"][:6]
    height, width = asset["proj:shape"]
    return MaskFile(asset["href"], Corner(round(left), round(top), round(step)), (height, width))


def _layer_name(mask: str) -> str:
    """``tsmask:wide`` -> ``mask_tsmask_wide``: letters, digits and ``_``, as CF wants names."""
    return "".join(letter if letter.isalnum() else "_" for letter in f"mask_{mask}")


def _distinct(layers: Mapping[str, Layer]) -> tuple[Layer, ...]:
    firsts: dict[str, str] = {}
    for asked, layer in layers.items():
        other = firsts.setdefault(layer.name, asked)
        if other != asked:
            raise RequestError(f"{other} and {asked} would both be called {layer.name}; name one")
    return tuple(layers.values())
