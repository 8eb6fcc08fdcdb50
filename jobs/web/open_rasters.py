"""Rasters kept open: a map asks for dozens of tiles of the same few files.

Opening one takes longer than reading from it, and GDAL keeps the blocks that it has unpacked as long
as their file is open: neighbouring tiles share most of theirs.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio

KEPT = 256
"""Most files that wait open: those of a series of a year and of the pictures beside it. Their unpacked blocks take what GDAL_CACHEMAX allows all of them."""

State = tuple[int, int, int]
"""What changes when a file does: its time, size and inode."""


class OpenRasters:
    """Rasters by path, each in the hands of one thread at a time: GDAL's are not for two."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._waiting: OrderedDict[tuple[str, int], tuple[State, Any]] = OrderedDict()

    @contextlib.contextmanager
    def reading(self, href: str) -> Iterator[Any]:
        """Path or GDAL name of a raster -> it, open; ``OSError`` or GDAL's errors.

        A file that is another than when it was opened is opened anew. What is no plain file (an
        archive's member, an address) tells no state, and is opened and closed.
        """
        state = _state(href)
        if state is None:
            with rasterio.open(href) as raster:
                yield raster
            return
        raster = self._taken(href, state) or rasterio.open(href)
        try:
            yield raster
        except BaseException:
            raster.close()  # in whatever state it is
            raise
        self._put_back(href, state, raster)

    def close(self) -> None:
        """Close what waits."""
        with self._lock:
            while self._waiting:
                self._waiting.popitem()[1][1].close()

    def _taken(self, href: str, state: State) -> Any:
        with self._lock:
            for key in [key for key in self._waiting if key[0] == href]:
                held, raster = self._waiting.pop(key)
                if held == state:
                    return raster
                raster.close()
        return None

    def _put_back(self, href: str, state: State, raster: Any) -> None:
        with self._lock:
            self._waiting[href, id(raster)] = state, raster
            while len(self._waiting) > self._kept:
                self._waiting.popitem(last=False)[1][1].close()


def _state(href: str) -> State | None:
    if href.startswith("/vsi") or "://" in href:
        return None
    found = Path(href).stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


RASTERS = OpenRasters()
"""Of this process: pictures and series read the same files."""
