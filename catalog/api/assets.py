"""Files of catalogued items over HTTP: whole, in ranges, and what lies in a folder such as a Zarr."""

import mimetypes
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response, StreamingResponse

from catalog.api.client import no_item
from catalog.api.documents import local_file
from catalog.backends.base import CatalogBackend
from catalog.errors import ItemNotFoundError
from catalog.products.folder import zip_member

PIECE = 1 << 18
"""Bytes that are read of an archive at once."""


def assets_router(catalog: CatalogBackend) -> APIRouter:
    """``/assets/{collection}/{item}/{key}``: the file that an asset names, and no other."""
    router = APIRouter(tags=["Assets"])

    def asset(request: Request, collection_id: str, item_id: str, key: str) -> Response:
        """The file of an asset; ranges as HTTP has them."""
        return _asset(request, catalog, collection_id, item_id, key, "")

    def asset_part(
        request: Request,
        collection_id: str,
        item_id: str,
        key: str,
        path: Annotated[str, PathParameter(description="File in the folder.")],
    ) -> Response:
        """A file in the folder that an asset is, such as the chunk of a Zarr store."""
        return _asset(request, catalog, collection_id, item_id, key, path)

    one = "/assets/{collection_id}/{item_id}/{key}"
    for place, endpoint in ((one, asset), (one + "/{path:path}", asset_part)):
        for method in ("GET", "HEAD"):
            router.add_api_route(
                place,
                endpoint,
                methods=[method],
                response_class=FileResponse,
                include_in_schema=method == "GET",
            )
    return router


def _asset(
    request: Request, catalog: CatalogBackend, collection: str, item_id: str, key: str, part: str
) -> Response:
    try:
        item = catalog.item(collection, item_id)
    except ItemNotFoundError:
        raise no_item(collection, item_id) from None
    # A key may hold slashes: the longest that fits is meant.
    whole = f"{key}/{part}" if part else key
    fitting = [each for each in item["assets"] if f"{whole}/".startswith(f"{each}/")]
    key = max(fitting, key=len, default=key)
    part = whole[len(key) + 1 :]
    asset = item["assets"].get(key)
    file = None if asset is None else local_file(str(asset["href"]))
    if asset is None or file is None:
        raise ItemNotFoundError(f"the item {item_id!r} has no asset {key!r} that is served here")
    media_type = str(asset.get("type") or "application/octet-stream")
    member = zip_member(file)
    if member is not None and not part:
        return _zipped(request, *member, media_type)
    path = _inside(Path(file), part) if part else Path(file)
    if path is None or not path.is_file():
        what = (
            "is a folder: name a file in it"
            if not part and path and path.is_dir()
            else "is not here"
        )
        raise ItemNotFoundError(f"the asset {key!r} of {item_id!r}, or that part of it, {what}")
    if part:
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=media_type)


def _inside(root: Path, part: str) -> Path | None:
    """File in a folder; None where its name, or a link, leads out of it."""
    if "\0" in part or "\\" in part or any(step in ("", ".", "..") for step in part.split("/")):
        return None
    try:
        place = root.resolve()
        found = (place / part).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return found if found.is_relative_to(place) else None


def _zipped(request: Request, archive: str, name: str, media_type: str) -> Response:
    """A member of a zip, read as it is sent."""
    try:
        held = zipfile.ZipFile(archive)
        info = held.getinfo(name)
    except (OSError, KeyError, zipfile.BadZipFile):
        raise ItemNotFoundError("the file of that asset is not here") from None
    first, last = _range(request.headers.get("range"), info.file_size)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(last - first + 1)}
    status = 200
    if (first, last) != (0, info.file_size - 1):
        status = 206
        headers["Content-Range"] = f"bytes {first}-{last}/{info.file_size}"
    if request.method == "HEAD":
        held.close()
        return Response(None, status, headers, media_type)
    pieces = _pieces(held, held.open(info), first, last - first + 1)
    return StreamingResponse(pieces, status, headers, media_type)


def _pieces(held: zipfile.ZipFile, member: IO[bytes], first: int, count: int) -> Iterator[bytes]:
    with held, member:
        member.seek(first)  # by reading, where the member is compressed
        while count > 0:
            piece = member.read(min(PIECE, count))
            if not piece:
                return
            count -= len(piece)
            yield piece


def _range(header: str | None, size: int) -> tuple[int, int]:
    """Range header -> first and last byte; all of them where it is none of one range."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", (header or "").strip())
    if found is None or found[0] == "bytes=-":
        return 0, size - 1
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
    if first > last:
        raise HTTPException(
            416, "that range is not in the file", {"Content-Range": f"bytes */{size}"}
        )
    return first, last
