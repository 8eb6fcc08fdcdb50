"""Products, STAC files and APIs -> items of the catalogue, checked against their files.

Readers know text only; here every local raster's header is opened, with one block at either end.
Where the header says otherwise than the text, the file counts and a warning is kept in the item.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from catalog.backends.base import Document
from catalog.deliveries import REJECTED, SUPERSEDED_BY, apply_deliveries
from catalog.errors import CatalogError, ItemNotFoundError
from catalog.fingerprint import fingerprint
from catalog.products import open_product, product_item, recognises
from catalog.products.angles import AngleGrids
from catalog.products.folder import zip_member
from catalog.search import Query, matches, parse_query, tile_of, times_of
from catalog.signing import signed
from catalog.sources import Skipped, read_sources
from cube.errors import CubeError, GridError, LoadError
from cube.grid import footprint_in, tile_extent
from cube.rasters import Header, read_header
from jobs.angle_files import add_angles
from jobs.job import Failure, Outcome
from jobs.runner.progress import Progress
from jobs.runner.publish import publish

if TYPE_CHECKING:
    from jobs.workspace import Workspace

NOTES = "clearcube:notes"
"""Property of an item: what was assumed, or differed between its text and its files."""

SAMPLE = 1 << 16
"""Bytes at either end of a compressed raster whose hash stands for its content: any other encoding
of the pixels moves the offsets that the header and the end of a file hold. Files without
compression, whose pixels may change in place, and text are hashed whole."""

DAY = timedelta(days=1)
"""Deliveries of one acquisition begin within seconds of each other; a day is safely more."""

THREADS = 4
"""Headers opened at once: waiting for disks and servers, not computing."""

GML = "application/gml+xml"
"""Cloud polygons of ESA's products before baseline 04.00: pixels of the cube are made of them."""

HEIGHTS = (".tif", ".tiff", ".vrt", ".img", ".asc", ".bil", ".hgt", ".dt0", ".dt1", ".dt2")
"""Names in which rasters of heights end."""

RASTERS = ("image/tiff", "image/jp2", "image/vrt")


@dataclass(slots=True)
class _Batch:
    """What was read of one source."""

    items: list[Document] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    angles: dict[str, AngleGrids] = field(default_factory=dict)
    """By id, the grids of angles that metadata hold."""


def ingest(
    workspace: "Workspace",
    sources: Iterable[str],
    *,
    progress: Progress | None = None,
    sign: str | None = None,
    **conditions: Any,
) -> Outcome:
    """Sources -> catalogue; what cannot be read is in the outcome's failures, the rest goes in.

    ``conditions`` are those of a search (collections, tile, bbox, datetime, max_cloud); they choose
    among the items of a source. Ingesting the same again changes nothing. ``sign`` names who signs
    the addresses of STAC items when they are read (``catalog.signing``).
    """
    progress = progress or Progress(quiet=True)
    query = parse_query(**conditions)
    outcome = Outcome()
    for source in sources:
        batch = _read(source, query, sign)
        outcome.failures += batch.failures
        checked = _checked(batch, outcome, progress)
        outcome.notes += batch.notes
        checked = [item for item in checked if _has_angles(workspace, item, batch, outcome)]
        _publish(workspace, checked, outcome)
        if not batch.items and not batch.failures:
            outcome.failures.append(Failure(source, "nothing in it answers the search"))
    for note in outcome.notes:
        progress.say(f"warning: {note}")
    return outcome


def _read(source: str, query: Query, sign: str | None) -> _Batch:
    batch = _Batch()
    try:
        if source.startswith(("http://", "https://")) or source.endswith((".json", ".geojson")):
            _read_stac(source, query, batch, sign)
        else:
            _read_products(Path(source), query, batch)
    except (CatalogError, CubeError) as error:
        batch.failures.append(Failure(source, str(error)))
    except OSError as error:  # a folder that may not be listed, a name that is too long
        batch.failures.append(Failure(source, f"{source}: {error.strerror or error}"))
    return batch


def _read_stac(source: str, query: Query, batch: _Batch, sign: str | None) -> None:
    for found in read_sources([source], query):
        if isinstance(found, Skipped):
            batch.failures.append(Failure(found.href, found.reason))
        else:
            batch.items.append(found.item if sign is None else signed(found.item, sign))
            batch.notes += found.warnings


def _read_products(path: Path, query: Query, batch: _Batch) -> None:
    """A product, or a folder whose children are products."""
    children: list[Path] = []
    if path.is_dir() and not recognises(path):
        children = [child for child in sorted(path.iterdir()) if recognises(child)]
    for one in children or [path]:
        try:
            product = open_product(one)
            item = product_item(product)
            if not matches(item, query):
                continue
            batch.items.append(item)
            if product.angles is not None:
                batch.angles[item["id"]] = product.angles
            batch.notes += [f"{product.id}: {text}" for text in product.warnings]
        except CatalogError as error:
            batch.failures.append(Failure(str(one), f"{error}{_hint(one)}"))


def _hint(path: Path) -> str:
    """What else a file may be than a product."""
    if not path.is_file() or path.suffix.lower() not in HEIGHTS:
        return ""
    return f"; a raster of heights goes in by: clearcube ingest dem {path}"


def _has_angles(workspace: "Workspace", item: Document, batch: _Batch, outcome: Outcome) -> bool:
    """Whether an item names its grids of angles, if it has any; else it is a failure."""
    try:
        if item["id"] in batch.angles:
            add_angles(workspace, item, batch.angles[item["id"]])
    except CubeError as error:
        outcome.failures.append(Failure(item["id"], str(error)))
        return False
    return True


# --- headers --------------------------------------------------------------------------------------


def _checked(batch: _Batch, outcome: Outcome, progress: Progress) -> list[Document]:
    """Items whose files could be opened, with what the files say."""
    checked = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress.stage("headers", len(batch.items)) as advance,
    ):
        for item, result in zip(batch.items, pool.map(_check, batch.items), strict=True):
            if isinstance(result, Failure):
                outcome.failures.append(result)
            else:
                batch.notes += result
                _keep_notes(item, batch.notes)
                checked.append(item)
            advance(item["id"], result if isinstance(result, Failure) else None)
    return checked


def _check(item: Document) -> Failure | list[str]:
    """Open an item's local rasters; the item takes what they say. Notes, or why it cannot be used."""
    if "clearcube:job" in item["properties"]:
        return []
    notes: list[str] = []
    differing: dict[str, list[str]] = {}
    try:
        for key, asset in item["assets"].items():
            if not _is_raster(asset):
                continue
            if _is_local(asset["href"]):
                header = read_header(asset["href"])
            elif not _is_placed(item, asset):
                header = read_header(f"/vsicurl/{asset['href']}")
            else:
                continue
            for difference in _compare(item, asset, header):
                differing.setdefault(difference, []).append(key)
        _require_place(item)
        _sign(item)
    except CubeError as error:
        return Failure(item["id"], str(error))
    notes += [f"{item['id']}: {' '.join(keys)}: {what}" for what, keys in differing.items()]
    return notes


def _compare(item: Document, asset: Document, header: Header) -> Iterator[str]:
    """Fill in what the header says; yield a sentence where it contradicts the text."""
    if header.epsg is None:
        raise LoadError(f"{asset['href']} has no CRS that is an EPSG code")
    code = asset.get("proj:code", item["properties"].get("proj:code"))
    if code is not None and code != f"EPSG:{header.epsg}":
        yield f"the file is in EPSG:{header.epsg}, the metadata say {code}; the file counts"
    if code != f"EPSG:{header.epsg}":
        asset["proj:code"] = f"EPSG:{header.epsg}"
    yield from _compare_lattice(asset, header)
    asset["proj:shape"], asset["proj:transform"] = list(header.shape), list(header.transform)
    bands = asset.setdefault("raster:bands", [{} for _ in range(header.count)])
    for about in bands:
        if about.get("data_type") not in (None, header.dtype):
            yield f"the file holds {header.dtype}, the metadata say {about['data_type']}; the file counts"
        about["data_type"] = header.dtype
        yield from _compare_nodata(about, header)


def _compare_lattice(asset: Document, header: Header) -> Iterator[str]:
    shape, transform = asset.get("proj:shape"), asset.get("proj:transform")
    rows, columns = header.shape
    size, left, top = header.transform[0], header.transform[2], header.transform[5]
    if shape and (list(shape) != [rows, columns] or (transform and transform[0] != size)):
        said = f"{shape[0]} x {shape[1]}" + (f" of {transform[0]:g} m" if transform else "")
        yield (
            f"the file has {rows} x {columns} pixels of {size:g} m, the metadata say {said}; "
            "the file counts"
        )
    if transform and (transform[2], transform[5]) != (left, top):
        yield (
            f"the file begins at {left:.10g}, {top:.10g}, the metadata say {transform[2]:.10g}, "
            f"{transform[5]:.10g}; the file counts"
        )


def _require_place(item: Document) -> None:
    """``LoadError`` where a raster has no pixel on the item's tile."""
    tile = tile_of(item)
    if tile is None:
        return
    whole = tile_extent(tile)
    for asset in item["assets"].values():
        if not (_is_raster(asset) and _is_placed(item, asset)):
            continue
        said = {**item["properties"], **asset}
        epsg = int(str(said["proj:code"]).removeprefix("EPSG:"))
        try:
            found = footprint_in(said["proj:transform"], said["proj:shape"], epsg, whole.epsg)
        except GridError as error:
            raise LoadError(f"{asset['href']}: {error}") from None
        if not whole.meets(found):
            raise LoadError(f"{asset['href']} lies outside tile {tile}")


def _compare_nodata(about: Document, header: Header) -> Iterator[str]:
    if header.nodata is None:
        return
    nodata = int(header.nodata) if float(header.nodata).is_integer() else header.nodata
    if about.get("nodata") not in (None, nodata):
        yield f"nodata is {nodata} in the file, {about['nodata']} in the metadata; the file counts"
    about["nodata"] = nodata


def _sign(item: Document) -> None:
    """Make the version of an item change with the content of its files and how they are read."""
    item["properties"]["clearcube:version"] = signed_version(item)


def signed_version(item: Document) -> str:
    """Item that went through the checks of headers -> its version, of its files as they are now."""
    signed: dict[str, list[Any]] = {}
    contents: dict[str, str] = {}  # several assets may be bands of one file
    for key, asset in sorted(item["assets"].items()):
        if _is_raster(asset) or asset.get("type") == GML:
            bands = asset.get("raster:bands", [])
            href = str(asset.get("clearcube:file") or asset["href"])
            if href not in contents:
                contents[href] = _content(href, asset)
            signed[key] = [
                contents[href],
                [[b.get("scale"), b.get("offset"), b.get("nodata")] for b in bands],
            ]
            if not _is_local(href):
                # Only the item says where a remote raster lies: its header is not read.
                said = {**item["properties"], **asset}
                signed[key] += [[said.get(f"proj:{n}") for n in ("code", "shape", "transform")]]
    version = str(item["properties"].get("clearcube:version", "")).partition("+")[0]
    return f"{version}+{fingerprint(signed)[:8]}"


def _content(href: str, asset: Mapping[str, Any]) -> str:
    """Size and a hash that changes with a file; what the source says of a remote one."""
    try:
        return _digest(href, asset)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise LoadError(f"cannot read {href}: {getattr(error, 'strerror', error)}") from None


def _digest(href: str, asset: Mapping[str, Any]) -> str:
    packed = zip_member(href)
    if packed is not None:
        with zipfile.ZipFile(packed[0]) as opened:
            info = opened.getinfo(packed[1])
        return f"{info.file_size}-{info.CRC:08x}"
    if not _is_local(href):
        return str(asset.get("file:checksum") or asset.get("file:size") or "")
    path = Path(href)
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size >= _plain_size(asset):
            digest = hashlib.file_digest(stream, "sha256")
        else:
            digest = hashlib.sha256(stream.read(SAMPLE))
            stream.seek(max(0, size - SAMPLE))
            digest.update(stream.read(SAMPLE))
    return f"{size}-{digest.hexdigest()[:16]}"


def _plain_size(asset: Mapping[str, Any]) -> int:
    """Bytes of one band without compression; 0 for what is no raster."""
    if not _is_raster(asset):
        return 0
    rows, columns = asset["proj:shape"]
    return int(rows * columns * np.dtype(asset["raster:bands"][0]["data_type"]).itemsize)


def _is_raster(asset: Mapping[str, Any]) -> bool:
    if "thumbnail" in asset.get("roles", []) or "visual" in asset.get("roles", []):
        return False
    kind = str(asset.get("type", ""))
    return kind.startswith(RASTERS) or str(asset["href"]).lower().endswith(
        (".tif", ".tiff", ".jp2")
    )


def _is_local(href: str) -> bool:
    return href.startswith(("/", "vrt:///")) and not href.startswith("/vsicurl")


def _is_placed(item: Mapping[str, Any], asset: Mapping[str, Any]) -> bool:
    """Whether the source says where a remote raster lies, so that it need not be opened."""
    said = {**item["properties"], **asset}
    return all(said.get(name) for name in ("proj:code", "proj:shape", "proj:transform"))


def _keep_notes(item: Document, notes: Iterable[str]) -> None:
    own = [text.removeprefix(f"{item['id']}: ") for text in notes if text.startswith(item["id"])]
    if own:
        item["properties"][NOTES] = own


# --- the catalogue --------------------------------------------------------------------------------


def _publish(workspace: "Workspace", items: list[Document], outcome: Outcome) -> None:
    """Put what changed into the catalogue, and at once which delivery of an acquisition counts."""
    changed = []
    for item, is_given in _settled(workspace, items):
        held = _held(workspace, item)
        if held is None or _bare(held) != _bare(item):
            changed.append(item)
        if is_given:
            is_new = held is None or _bare(held, SUPERSEDED_BY) != _bare(item, SUPERSEDED_BY)
            (outcome.made if is_new else outcome.current).append(item["id"])
        winner = item["properties"].get(SUPERSEDED_BY)
        if winner is not None and (held is None or held["properties"].get(SUPERSEDED_BY) != winner):
            outcome.notes.append(f"{item['id']}: superseded by {winner}, left out of cubes")
    if changed:
        publish(workspace, changed)


def _settled(workspace: "Workspace", items: list[Document]) -> Iterator[tuple[Document, bool]]:
    """Items with the mark of those that another supersedes, and whether each was given here.

    The others are deliveries in the catalogue whose mark changes with what came.
    """
    given = {_key(item): _still_rejected(workspace, item) for item in items}
    around: dict[tuple[str, str], Document] = {}
    for (tile, level), days in _places(items).items():
        query = Query(tiles=(tile,), level=level, datetime=days, limit=1000)
        around |= {_key(item): item for item in workspace.documents(query)}
    marked = {_key(item): item for item in apply_deliveries((around | given).values())}
    for key, item in (given | marked).items():
        yield item, key in given


def _still_rejected(workspace: "Workspace", item: Document) -> Document:
    """A scene that a user took out stays out when it is ingested again."""
    held = _held(workspace, item)
    if held is not None and REJECTED in held["properties"]:
        item["properties"][REJECTED] = held["properties"][REJECTED]
    return item


def _places(items: Iterable[Document]) -> dict[tuple[str, str], tuple[datetime, datetime]]:
    """Tile and level of raw items -> the span within which their other deliveries were seen."""
    found: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for item in items:
        tile, level = tile_of(item), item["properties"].get("clearcube:level")
        if tile is None or level is None:
            continue
        first, last = times_of(item)
        start, end = found.get((tile, level), (first, last))
        found[tile, level] = min(start, first - DAY), max(end, last + DAY)
    return found


def _key(item: Document) -> tuple[str, str]:
    return str(item["collection"]), str(item["id"])


def _held(workspace: "Workspace", item: Document) -> Document | None:
    try:
        return workspace.catalog.item(item["collection"], item["id"])
    except ItemNotFoundError:
        return None


def _bare(item: Document, *more: str) -> Document:
    """An item without what changes at every ingest, and without further properties."""
    left_out = ("created", "updated", *more)
    properties = {k: v for k, v in item["properties"].items() if k not in left_out}
    return {**item, "properties": properties}
