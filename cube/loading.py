"""STAC items of one solar day -> pixels on a cube's grid, in the cube's encodings.

The only importer of odc.stac and of stackstac, the second engine. Everything read is eager and
bounded: one group of one window of one date at a time.
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import odc.stac
import pystac

from cube.assets import Document, Raster, describe_raster, pixel_size
from cube.errors import BandError, LoadError, SourceError
from cube.gml import rasterise_clouds
from cube.grid import Extent, footprint_extent, on_lattice
from cube.kernels.encode import encode
from cube.rasters import GDAL_ERRORS, RESAMPLING, read_header, read_through
from cube.remote import is_remote, may_pass
from cube.variables import Variable

Array = npt.NDArray[Any]
Engine = Callable[[Sequence[Raster], Extent, int], dict[str, Array]]

GML = "application/gml+xml"
CLASSI_BANDS = ("opaque", "cirrus", "snow")
"""Bands of MSK_CLASSI_B00, packed into bits 0, 1 and 2 (ESA, Products Specification, 5.x masks)."""

MARGIN = 64
"""Pixels loaded beyond the edges where a raster is resampled, and cut off again: GDAL and odc-stac
take the scale of the kernel from the sizes of the two windows, which in small ones tell little."""


@dataclass(slots=True)
class Loaded:
    """Pixels of a date in one group and window."""

    pixels: dict[str, Array] = field(default_factory=dict)
    """Variable -> ``(y, x)`` int16 or uint8; variables that no source has are absent."""
    clipped: int = 0
    """Pixels beyond what int16 holds."""


def load_items(
    items: Sequence[Document],
    variables: Sequence[Variable],
    extent: Extent,
    resolution: int,
    *,
    engine: str = "odc-stac",
) -> Loaded:
    """STAC items of one solar day -> ``(y, x)`` arrays on the extent's grid, cube encodings.

    Parameters
    ----------
    items : granules in the order of merging: a pixel comes, in all variables, from the first item
        that has data there in any reflectance band.
    variables : what to load, all of one group; an item without the asset is passed over.
    extent, resolution : the grid, metres.
    engine : ``odc-stac`` or ``stackstac``; the pixels are the same.

    Reflectances are int16, scale 0.0001, nodata -10000; the source's nodata is tested before its
    offset is applied. Masks are as delivered, 0 outside. ``LoadError`` names the file that failed; it is
    a ``SourceError`` where another try may do better.
    """
    load = _engine(engine)
    # One after the other: beside what is merged, memory holds one granule.
    granules = (_load_granule(item, variables, extent, resolution, load) for item in items)
    return next(granules) if len(items) == 1 else _merge(granules, variables)


def resampling_notes(
    item: Document, variables: Iterable[Variable], extent: Extent, groups: Mapping[str, int]
) -> list[str]:
    """One sentence for each way in which an item's rasters are brought to the grid, if any is."""
    found: dict[tuple[str, str], list[str]] = {}
    for variable in variables:
        asset = item["assets"].get(variable.asset)
        if asset is None or asset.get("type") == GML:
            continue
        raster = describe_raster(item, asset, variable, variable.name, None)
        method = raster.resampling(extent, groups[variable.group])
        if method is not None and variable.kind == "reflectance":
            source = f"EPSG:{raster.epsg} {raster.size:g} m"
            found.setdefault((method, source), []).append(variable.name)
    return [
        f"{item['id']}: {' '.join(names)} resampled by {method} from {source}"
        for (method, source), names in found.items()
    ]


def coarser_than_nominal(item: Document, variables: Iterable[Variable]) -> dict[str, float]:
    """Reflectance bands whose rasters are coarser than the band is: name -> metres."""
    found = {}
    for variable in variables:
        asset = item["assets"].get(variable.asset)
        if asset is None or variable.kind != "reflectance":
            continue
        size = pixel_size(item, asset)
        if size > variable.resolution:
            found[variable.name] = size
    return found


def _load_granule(
    item: Document,
    variables: Sequence[Variable],
    extent: Extent,
    resolution: int,
    load: Engine,
) -> Loaded:
    rasters: list[Raster] = []
    loaded = Loaded()
    for variable in variables:
        asset = item["assets"].get(variable.asset)
        if asset is None:
            continue
        if asset.get("type") == GML:
            loaded.pixels[variable.name] = rasterise_clouds(
                _text(asset["href"]), extent.geobox(resolution), asset["href"]
            )
        elif variable.name == "classi":
            rasters += [
                describe_raster(item, asset, variable, f"classi_{name}", band)
                for band, name in enumerate(CLASSI_BANDS, 1)
            ]
        else:
            rasters.append(describe_raster(item, asset, variable, variable.name, None))
    if not rasters and not loaded.pixels:
        return loaded
    raw = _read(load, rasters, extent, resolution, item)
    by_key = {raster.key: raster for raster in rasters}
    for variable in variables:
        if variable.name == "classi" and "classi_opaque" in raw:
            loaded.pixels["classi"] = _packed([raw[f"classi_{name}"] for name in CLASSI_BANDS])
        elif variable.name in raw:
            # Taken out of what was read, so that its memory is free for the next one.
            pixels, clipped = _encoded(raw.pop(variable.name), by_key[variable.name], variable)
            loaded.pixels[variable.name] = pixels
            loaded.clipped += clipped
    return loaded


def _text(href: str) -> bytes:
    """Content of a small file beside the rasters, in a folder or a zip."""
    path = Path(href.removeprefix("/vsizip/").replace("{", "").replace("}", ""))
    try:
        # GDAL reads members as rasters only: the zip is the one of its folders that is a file.
        archive = next((parent for parent in path.parents if parent.is_file()), None)
        if archive is None:
            return path.read_bytes()
        with zipfile.ZipFile(archive) as opened:
            return opened.read(path.relative_to(archive).as_posix())
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise LoadError(f"cannot read {href}: {error}") from error


def _encoded(raw: Array, raster: Raster, variable: Variable) -> tuple[Array, int]:
    if variable.scale is None:
        return raw.astype(variable.dtype, copy=False), 0
    out = np.empty(raw.shape, variable.dtype)
    gain, shift = raster.scale / variable.scale, raster.offset / variable.scale
    # 0.0001 / 0.0001 and -0.1 / 0.0001 are whole but for the last bit; the stored numbers are not.
    clipped = encode(raw, float(raster.nodata), _whole(gain), _whole(shift), out)
    return out, clipped if variable.kind == "reflectance" else 0


def _whole(value: float) -> float:
    return float(round(value)) if abs(value - round(value)) < 1e-9 else value


def _packed(bands: Sequence[Array]) -> Array:
    packed = np.zeros(bands[0].shape, np.uint8)
    for bit, pixels in enumerate(bands):
        packed |= (pixels == 1).astype(np.uint8) << bit
    return packed


def _unseen(variable: Variable) -> int:
    return variable.outside if variable.kind == "encoded" else variable.fill_value


def _merge(granules: Iterable[Loaded], variables: Sequence[Variable]) -> Loaded:
    """First granule with data wins, for all variables of the pixel alike."""
    merged = Loaded()
    taken: Array | None = None
    for granule in granules:
        merged.clipped += granule.clipped
        observed = _observed(granule, variables)
        if observed is None:
            continue
        wanted = observed if taken is None else observed & ~taken
        for variable in variables:
            source = granule.pixels.pop(variable.name, None)
            if source is None:
                continue
            target = merged.pixels.get(variable.name)
            if target is None:
                # What only this one has needs no memory but its own.
                source[~wanted] = _unseen(variable)
                merged.pixels[variable.name] = source
            else:
                np.copyto(target, source, where=wanted)
        taken = observed if taken is None else taken | observed
    return merged


def _observed(granule: Loaded, variables: Sequence[Variable]) -> Array | None:
    """(y, x) bool: where any reflectance has data or, in a group without any, where a mask does."""
    present = [v for v in variables if v.name in granule.pixels]
    telling = [v for v in present if v.kind == "reflectance"] or present
    seen: Array | None = None
    for variable in telling:
        found = granule.pixels[variable.name] != _unseen(variable)
        seen = found if seen is None else np.logical_or(seen, found, out=seen)
    return seen


# --- the engines ----------------------------------------------------------------------------------


def _engine(name: str) -> Engine:
    engines: dict[str, Engine] = {"odc-stac": _load_odc, "stackstac": _load_stackstac}
    try:
        return engines[name]
    except KeyError:
        raise BandError(f"no engine is called {name!r}; there are {' '.join(engines)}") from None


def _read(
    load: Engine, rasters: Sequence[Raster], extent: Extent, resolution: int, item: Document
) -> dict[str, Array]:
    exact = [raster for raster in rasters if raster.resampling(extent, resolution) is None]
    others = [raster for raster in rasters if raster not in exact]
    try:
        found = load(exact, extent, resolution) if exact else {}
        if others:
            wider = load(others, _widened(extent, MARGIN * resolution), resolution)
            inner = slice(MARGIN, -MARGIN)
            found |= {key: pixels[inner, inner] for key, pixels in wider.items()}
        return found
    except (*GDAL_ERRORS, RuntimeError, AssertionError) as error:
        # Neither engine says which file it was; the header of the broken one does. odc.stac
        # asserts that a raster has a CRS, which one that was cut short may have lost.
        for raster in rasters:
            read_header(raster.href)
        for raster in rasters:
            read_through(raster.href)
        # All of them can be read now: where a server gave them, what failed has passed.
        remote = any(is_remote(raster.href) for raster in rasters)
        kind = SourceError if remote and may_pass(error) is not False else LoadError
        raise kind(f"cannot read the rasters of {item['id']}: {error}") from error


def _widened(extent: Extent, metres: int) -> Extent:
    return Extent(
        extent.epsg,
        extent.left - metres,
        extent.bottom - metres,
        extent.right + metres,
        extent.top + metres,
    )


def _load_odc(rasters: Sequence[Raster], extent: Extent, resolution: int) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for size in sorted({_read_at(raster, extent, resolution) for raster in rasters}):
        part = [raster for raster in rasters if _read_at(raster, extent, resolution) == size]
        times = size // resolution
        for key, pixels in _load_odc_at(part, size, extent).items():
            found[key] = pixels if times == 1 else pixels.repeat(times, 0).repeat(times, 1)
    return found


def _read_at(raster: Raster, extent: Extent, resolution: int) -> int:
    """Pixel size to read a raster at: its own where repeating its pixels is the nearest-neighbour."""
    size = abs(raster.transform[0])
    if raster.kind != "encoded" or raster.epsg != extent.epsg or size % resolution:
        return resolution
    whole = not (extent.right - extent.left) % size and not (extent.top - extent.bottom) % size
    return int(size) if whole and on_lattice(raster.transform, extent, int(size)) else resolution


def _load_odc_at(rasters: Sequence[Raster], resolution: int, extent: Extent) -> dict[str, Array]:
    item = pystac.Item("loading", None, None, _ANY_TIME, {"proj:code": f"EPSG:{rasters[0].epsg}"})
    item.stac_extensions = [_PROJECTION, _RASTER]
    methods = {raster.key: raster.resampling(extent, resolution) for raster in rasters}
    for raster in rasters:
        href, fields = raster.name(methods[raster.key]), _asset_fields(raster)
        item.add_asset(raster.key, pystac.Asset(href, media_type=_TIFF, extra_fields=fields))
    dataset = odc.stac.load(
        [item],
        bands=[raster.key for raster in rasters],
        geobox=extent.geobox(resolution),
        groupby="id",
        resampling={key: method or "nearest" for key, method in methods.items()},
        fail_on_error=True,
    )
    return {raster.key: dataset[raster.key].values[0] for raster in rasters}


def _load_stackstac(rasters: Sequence[Raster], extent: Extent, resolution: int) -> dict[str, Array]:
    import stackstac  # what few ask for takes every worker a tenth of a second and 9 MB

    found: dict[str, Array] = {}
    for raster in rasters:
        method = raster.resampling(extent, resolution)
        if raster.epsg != extent.epsg or not _nested(raster, extent, resolution):
            raise LoadError(
                f"{raster.href} is not on the tile's lattice; stackstac would resample it in its "
                "own way: use engine=odc-stac"
            )
        dtype = np.dtype(raster.dtype)
        if not footprint_extent(raster.transform, raster.shape, raster.epsg).meets(extent):
            found[raster.key] = np.full(extent.shape(resolution), raster.nodata, dtype)
            continue
        if "{" in raster.href:
            raise LoadError(
                f"{raster.href}: stackstac cannot read archives whose name does not end in .zip; "
                "use engine=odc-stac"
            )
        document = {
            "id": "loading",
            "type": "Feature",
            "bbox": None,
            "properties": {"datetime": _ANY_TIME.isoformat(), "proj:epsg": raster.epsg},
            "assets": {raster.key: {"href": raster.name(method), **_asset_fields(raster)}},
        }
        stack = stackstac.stack(
            [document],
            assets=[raster.key],
            epsg=extent.epsg,
            resolution=resolution,
            bounds=(extent.left, extent.bottom, extent.right, extent.top),
            dtype=dtype,
            fill_value=dtype.type(raster.nodata),
            rescale=False,
            xy_coords="center",
            snap_bounds=False,
            resampling=RESAMPLING[method or "nearest"],
            errors_as_nodata=(),
        )
        found[raster.key] = stack.data.compute(scheduler="synchronous")[0, 0]
    return found


def _nested(raster: Raster, extent: Extent, resolution: int) -> bool:
    """Whether the raster's pixels are the grid's, or divide them, or are divided by them."""
    size = abs(raster.transform[0])
    aligned = Extent(extent.epsg, extent.left, extent.bottom, extent.right, extent.top)
    whole = resolution % size == 0 or size % resolution == 0
    return bool(whole and size.is_integer() and on_lattice(raster.transform, aligned, int(size)))


def _asset_fields(raster: Raster) -> dict[str, Any]:
    return {
        "proj:shape": list(raster.shape),
        "proj:transform": list(raster.transform),
        "proj:code": f"EPSG:{raster.epsg}",
        "raster:bands": [{"data_type": raster.dtype, "nodata": raster.nodata}],
    }


_TIFF = "image/tiff"
"""Said of every raster, JP2 too: it only tells odc.stac that a name without suffix is one."""

_ANY_TIME = np.datetime64("2000-01-01", "s").astype(object)
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
