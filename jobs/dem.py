"""Files of heights -> items of the collection ``dem``, and which of them cover a cube."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.backends.base import Document
from catalog.collections import DEM
from catalog.dem import DemFile, DemRaster, covering, dem_item, find_dem
from catalog.errors import CatalogError, QueryError
from catalog.fingerprint import fingerprint
from catalog.search import Query, parse_datetime
from cube.errors import CubeError
from cube.grid import Extent, lonlat
from cube.terrain import DemHeader, read_dem_header
from jobs.acquisitions import PAGE
from jobs.ingest import signed_version
from jobs.job import Failure, Outcome
from jobs.runner.progress import Progress
from jobs.runner.publish import publish, published

if TYPE_CHECKING:
    from jobs.workspace import Workspace

VERSION = "clearcube:version"
_TIMES = ("datetime", "start_datetime", "end_datetime")
_TICK = timedelta(microseconds=1)


def ingest_dems(
    workspace: "Workspace",
    files: Iterable[str],
    *,
    when: str | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Rasters of heights, or zips of one each -> items; what cannot be used is in the failures.

    ``when`` is the STAC datetime of the heights; else it is that of the file's last change, as the
    rasters themselves do not say. Ingesting the same file again changes nothing.
    """
    progress = progress or Progress(quiet=True)
    span = None if when is None else _span(when)
    outcome = Outcome()
    for file in files:
        try:
            item = read_dem(Path(file), span)
        except (CatalogError, CubeError) as error:
            outcome.failures.append(Failure(file, str(error)))
            continue
        except OSError as error:
            outcome.failures.append(Failure(file, f"{file}: {error.strerror or error}"))
            continue
        held = published(workspace, DEM, item["id"])
        if held is not None and _same(held, item, stated=span is not None):
            outcome.current.append(item["id"])
            continue
        if held is not None and _path(held) != _path(item) and Path(_path(held)).exists():
            outcome.notes.append(f"{item['id']}: takes the place of {_path(held)}")
        publish(workspace, [item])
        outcome.made.append(item["id"])
    for note in outcome.notes:
        progress.say(f"warning: {note}")
    return outcome


def read_dem(path: Path, span: tuple[datetime, datetime] | None = None) -> Document:
    """File or zip -> the item of its raster; its version changes with the content and the header.

    ``CatalogError`` or ``CubeError``, one line, where it is none that can be used.
    """
    file = find_dem(path)
    header = read_dem_header(file.href)
    changed = datetime.fromtimestamp(int(file.path.stat().st_mtime), UTC)
    item = dem_item(file, _raster(header), span or (changed, changed))
    said = [header.transform, header.wkt, repr(header.nodata), header.scale, header.offset]
    item["properties"][VERSION] = fingerprint({"content": _content(file), "header": said})
    # Signed as scenes are, so that `verify` can tell that a file is not what was ingested.
    item["properties"][VERSION] = signed_version(item)
    return item


def dems_over(workspace: "Workspace", extent: Extent) -> list[Document]:
    """DEM items that meet an extent, in order of their ids: the first has precedence."""
    _geometry, bbox = lonlat(extent)
    found = workspace.documents(Query(collections=(DEM,), limit=PAGE))
    return [dict(item) for item in covering(found, bbox)]


def _raster(header: DemHeader) -> DemRaster:
    return DemRaster(
        code=None if header.epsg is None else f"EPSG:{header.epsg}",
        wkt=header.wkt,
        shape=header.shape,
        transform=header.transform,
        data_type=header.dtype,
        nodata=header.nodata,
        scale=header.scale,
        offset=header.offset,
        outline=header.outline,
    )


def _content(file: DemFile) -> str:
    """Hash of a whole file: a DEM is small, and one height in its middle may change."""
    if file.checksum is not None:
        return file.checksum
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _span(text: str) -> tuple[datetime, datetime]:
    start, end = parse_datetime(text)
    if start is None or end is None:
        raise QueryError(f"datetime {text!r} has an open end: say when the heights were measured")
    return start, end - _TICK


def _same(held: Document, item: Document, *, stated: bool) -> bool:
    """Whether nothing is new but perhaps the time of a copy of the same content."""
    told = (VERSION, *_TIMES) if stated else (VERSION,)
    before, now = held["properties"], item["properties"]
    return all(before.get(name) == now.get(name) for name in told) and _path(held) == _path(item)


def _path(item: Document) -> str:
    return str(item["assets"]["data"]["href"])
