"""STAC items of raw products -> one lazy ``Dataset[time, y, x]`` on a tile's grid.

What a cube would hold of the same items, without a store: the notebook's way to the pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pystac
import xarray as xr
from odc.geo.xr import xr_coords

from cube import loading
from cube.errors import BandError, GridError, LoadError
from cube.grid import SNAP, Extent, footprint_in, solar_offset, tile_extent, union_extent
from cube.variables import Variable, level_variables

Document = Mapping[str, Any]

CHUNK = 2048
"""Pixels along a side of a chunk: 8 MiB of int16, read from 4 x 4 tiles of a COG."""


def load_items(
    items: Iterable[pystac.Item | Document],
    bands: Sequence[str] | None = None,
    *,
    resolution: int = 10,
    tile: str | None = None,
    extent: Extent | None = None,
    masked: bool = False,
    chunk: int = CHUNK,
    engine: str = "odc-stac",
) -> xr.Dataset:
    """STAC items of one tile and level -> lazy ``Dataset[time, y, x]``, one date a solar day.

    Parameters
    ----------
    items : items of raw products as the catalogue holds them; superseded ones are left out.
    bands : reflectance bands and encoded masks by name, e.g. ``["red", "nir", "scl"]``; default all
        that a cube of the level has.
    resolution : metres of a pixel. Reflectances are averaged to a coarser grid and interpolated to
        a finer one; masks take the nearest.
    tile, extent : the grid; default the tile that the items name, as far as they reach.
    masked : reflectances as floats with NaN instead of the stored integers (int16, scale 0.0001,
        nodata -10000).
    chunk : pixels along a side of a dask chunk; each chunk of a date is read by one task.
    engine : ``odc-stac`` or ``stackstac``; the pixels are the same.

    Granules of one solar day are one date: a pixel comes from the first of them that has data there.
    ``BandError`` for an unknown band, ``GridError`` for items of several tiles, ``LoadError`` where
    there are no items, and at reading where a file is broken.
    """
    documents = [_document(item) for item in items]
    documents = [d for d in documents if "clearcube:superseded_by" not in d["properties"]]
    if not documents:
        raise LoadError("there is no item to load; superseded deliveries do not count")
    tile = tile or _only("grid:code", documents).removeprefix("MGRS-")
    level = _only("clearcube:level", documents)
    variables = _variables(level, bands, resolution)
    wanted = (*variables, *_guide(level, variables, documents))
    extent = extent or _extent(tile, documents, wanted, resolution)
    dates = _dates(documents, solar_offset(tile))
    planes = [_planes(date.items, wanted, extent, resolution, chunk, engine) for date in dates]
    dataset = xr.Dataset(
        {
            v.name: (("time", "y", "x"), da.stack([p[v.name] for p in planes]), _attributes(v))
            for v in variables
        },
        coords={
            "time": np.array([date.time for date in dates], "datetime64[ns]"),
            **xr_coords(extent.geobox(resolution), crs_coord_name="spatial_ref"),
        },
    )
    if not masked:
        return dataset
    return xr.decode_cf(dataset, decode_times=False, decode_coords=False)


class _Date(NamedTuple):
    time: datetime
    """When the first granule was seen, UTC, without a zone as numpy wants it."""
    items: tuple[Document, ...]
    """In the order of merging."""


def _document(item: pystac.Item | Document) -> Document:
    if isinstance(item, pystac.Item):
        return item.to_dict(include_self_link=False, transform_hrefs=False)
    return item


def _only(name: str, documents: Sequence[Document]) -> str:
    """The value of a property that all items must share."""
    found = {str(d["properties"].get(name)) for d in documents}
    if found == {"None"}:
        raise LoadError(f"item {documents[0]['id']} does not say {name}; ingest it first")
    if len(found) > 1:
        raise GridError(
            f"the items differ in {name}: {' '.join(sorted(found))}; load one at a time"
        )
    return found.pop()


def _variables(level: str, bands: Sequence[str] | None, resolution: int) -> tuple[Variable, ...]:
    known = {variable.name: variable for variable in level_variables(level, resolution)}
    for name in bands or ():
        if name not in known:
            raise BandError(f"level {level} has no band {name!r}; it has {' '.join(known)}")
    return tuple(known[name] for name in bands or known)


def _guide(
    level: str, variables: Sequence[Variable], documents: Sequence[Document]
) -> Sequence[Variable]:
    """A reflectance to read beside masks alone: it says which granule a pixel comes from."""
    if any(v.kind == "reflectance" for v in variables):
        return ()
    reflectances = [v for v in level_variables(level) if v.kind == "reflectance"]
    return [v for v in reflectances if all(v.asset in d["assets"] for d in documents)][:1]


def _extent(
    tile: str, documents: Sequence[Document], variables: Sequence[Variable], resolution: int
) -> Extent:
    """What the items' rasters cover of the tile, in whole pixels of its lattice."""
    epsg = tile_extent(tile).epsg
    footprints = []
    for document in documents:
        for variable in variables:
            asset = document["assets"].get(variable.asset)
            said = {**document["properties"], **(asset or {})}
            if asset is not None and "proj:transform" in said:
                code = int(str(said["proj:code"]).removeprefix("EPSG:"))
                place = said["proj:transform"], said["proj:shape"], code
                footprints.append(footprint_in(*place, epsg))
    return union_extent(tile, footprints, resolution if resolution % SNAP == 0 else SNAP)


def _dates(documents: Iterable[Document], offset: timedelta) -> list[_Date]:
    """Items -> the solar days on which they were seen, in order of time."""
    seen = sorted((_instant(document), document["id"], document) for document in documents)
    days: dict[str, list[tuple[datetime, Document]]] = {}
    for time, _, document in seen:
        days.setdefault(f"{time + offset:%Y%m%d}", []).append((time, document))
    return [_Date(day[0][0], tuple(document for _, document in day)) for day in days.values()]


def _instant(document: Document) -> datetime:
    time = datetime.fromisoformat(document["properties"]["datetime"])
    return time.astimezone(UTC).replace(tzinfo=None)


def _planes(
    items: Sequence[Document],
    variables: Sequence[Variable],
    extent: Extent,
    resolution: int,
    chunk: int,
    engine: str,
) -> dict[str, da.Array]:
    """One date -> a lazy ``(y, x)`` array for each variable; a chunk of all of them is one task."""
    height, width = extent.shape(resolution)
    rows: dict[str, list[list[da.Array]]] = {variable.name: [] for variable in variables}
    for y0 in range(0, height, chunk):
        for cells in rows.values():
            cells.append([])
        for x0 in range(0, width, chunk):
            shape = min(chunk, height - y0), min(chunk, width - x0)
            part = _part(extent, resolution, y0, x0, shape)
            read = dask.delayed(_read, pure=False)(items, variables, part, resolution, engine)
            for variable in variables:
                cell = da.from_delayed(read[variable.name], shape, variable.dtype)
                rows[variable.name][-1].append(cell)
    return {name: da.block(cells) for name, cells in rows.items()}


def _part(extent: Extent, resolution: int, y0: int, x0: int, shape: tuple[int, int]) -> Extent:
    left, top = extent.left + x0 * resolution, extent.top - y0 * resolution
    return Extent(extent.epsg, left, top - shape[0] * resolution, left + shape[1] * resolution, top)


def _read(
    items: Sequence[Document],
    variables: Sequence[Variable],
    extent: Extent,
    resolution: int,
    engine: str,
) -> dict[str, npt.NDArray[Any]]:
    """One date and part -> ``(y, x)`` pixels of every variable; nodata where no item has it."""
    loaded = loading.load_items(items, variables, extent, resolution, engine=engine).pixels
    shape = extent.shape(resolution)
    return {
        v.name: loaded[v.name]
        if v.name in loaded
        else np.full(shape, v.outside or v.fill_value, v.dtype)
        for v in variables
    }


def _attributes(variable: Variable) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": variable.title, "grid_mapping": "spatial_ref"}
    if variable.scale is not None:
        attributes |= {"scale_factor": variable.scale, "_FillValue": variable.fill_value}
    return attributes
