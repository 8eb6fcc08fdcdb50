"""Pixels of one date of one array <-> its files: the shards or chunks of a Zarr v3 store.

The bytes are those of the codecs that the array's metadata name (Zarr v3 specification: regular chunk
grid, ``sharding_indexed`` with its index at the end, ``blosc``); zarr-python reads them and is read
here. Going through its event loop for every chunk takes several times the processor time, and writing
a shard through it holds the whole shard in memory; here one chunk is held at a time.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

Array = npt.NDArray[Any]

BLOSC: dict[str, Any] = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle"}
"""Blosc zstd 3 with byte shuffle: the best ratio at full reading speed of those tried on int16."""

_MISSING = np.iinfo(np.uint64).max
"""Offset and length of a chunk that is not stored (Zarr v3, sharding codec, "Binary shard format")."""

_CHECKSUM = 4
"""Bytes of the index's crc32c, little-endian, behind it."""

_HEADER = 16
"""Bytes of the header of what blosc compressed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixels of a date are cut into files."""

    dtype: str
    fill_value: int
    chunk: int
    """Side of a chunk in pixels."""
    shard: int
    """Side of a file in pixels: a whole number of chunks, or one where there are no shards."""


def write_pixels(folder: Path, layout: Layout, y0: int, x0: int, pixels: Array) -> None:
    """``(y, x)`` pixels -> the files of the shards they fill, from pixel ``y0``, ``x0`` on.

    The corner lies on a corner of a shard; what a shard holds beyond the pixels is the fill value.
    Chunks of fill value alone are not stored, nor files without chunks. ``OSError`` where the disk
    refuses.
    """
    side = layout.shard
    stored = np.asarray(pixels, layout.dtype)
    for top in range(0, stored.shape[0], side):
        for left in range(0, stored.shape[1], side):
            file = folder / str((y0 + top) // side) / str((x0 + left) // side)
            _write_shard(file, layout, stored[top : top + side, left : left + side])


def read_pixels(folder: Path | str, layout: Layout, window: tuple[slice, slice], out: Array) -> None:
    """A window of a date's pixels -> ``(y, x)`` ``out``; fill value where nothing is stored.

    ``ValueError`` or ``RuntimeError`` where a file is damaged or cut short.
    """
    rows, columns = window
    for y, ys in _cuts(rows, layout.shard):
        for x, xs in _cuts(columns, layout.shard):
            part = out[
                ys.start - rows.start : ys.stop - rows.start,
                xs.start - columns.start : xs.stop - columns.start,
            ]
            within = _moved(ys, -y * layout.shard), _moved(xs, -x * layout.shard)
            _read_shard(f"{folder}/{y}/{x}", layout, within, part)


# --- writing --------------------------------------------------------------------------------------


def _write_shard(file: Path, layout: Layout, pixels: Array) -> None:
    packed = _packed_chunks(layout, pixels)
    first = next(packed, None)
    if first is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        if layout.shard == layout.chunk:
            stream.write(first[1])
            return
        count = layout.shard // layout.chunk
        index = np.full((count, count, 2), _MISSING, "<u8")
        chunk: tuple[tuple[int, int], bytes] | None = first
        while chunk is not None:
            place, content = chunk
            index[place] = stream.tell(), len(content)
            stream.write(content)
            chunk = next(packed, None)
        stream.write(_signed(index.tobytes()))


def _packed_chunks(layout: Layout, pixels: Array) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Pixels of a shard -> place and compressed bytes of each chunk that holds anything."""
    side = layout.chunk
    height, width = pixels.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            chunk = np.ascontiguousarray(pixels[top : top + side, left : left + side])
            if (chunk == layout.fill_value).all():
                continue
            if chunk.shape != (side, side):
                whole = np.full((side, side), layout.fill_value, layout.dtype)
                whole[: chunk.shape[0], : chunk.shape[1]] = chunk
                chunk = whole
            yield (top // side, left // side), _packed(chunk)


def _packed(chunk: Array) -> bytes:
    found: bytes = blosc.compress(chunk, BLOSC["cname"].encode(), BLOSC["clevel"], blosc.SHUFFLE)
    return found


def _signed(index: bytes) -> bytes:
    checksum: int = google_crc32c.value(index)
    return index + checksum.to_bytes(_CHECKSUM, "little")


# --- reading --------------------------------------------------------------------------------------


def _read_shard(file: str, layout: Layout, window: tuple[slice, slice], out: Array) -> None:
    """A window of one file's pixels -> ``out``."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        out[...] = layout.fill_value
        return
    try:
        index = _read_index(descriptor, layout)
        for y, ys in _cuts(window[0], layout.chunk):
            for x, xs in _cuts(window[1], layout.chunk):
                part = out[
                    ys.start - window[0].start : ys.stop - window[0].start,
                    xs.start - window[1].start : xs.stop - window[1].start,
                ]
                offset, length = (int(number) for number in index[y, x])
                if offset == _MISSING:
                    part[...] = layout.fill_value
                    continue
                within = _moved(ys, -y * layout.chunk), _moved(xs, -x * layout.chunk)
                _unpack(os.pread(descriptor, length, offset), layout, within, part)
    finally:
        os.close(descriptor)


def _read_index(descriptor: int, layout: Layout) -> npt.NDArray[np.uint64]:
    """(rows, columns, 2) uint64 offset and length of the chunks of an open file."""
    size = os.fstat(descriptor).st_size
    if layout.shard == layout.chunk:
        return np.array([[[0, size]]], np.uint64)
    count = layout.shard // layout.chunk
    length = count * count * 16
    tail = os.pread(descriptor, length + _CHECKSUM, max(0, size - length - _CHECKSUM))
    if _signed(tail[:length]) != tail:
        raise ValueError("the checksum of a shard's index is wrong")
    return np.frombuffer(tail, "<u8", count * count * 2).reshape(count, count, 2)


def _unpack(packed: bytes, layout: Layout, window: tuple[slice, slice], out: Array) -> None:
    """A compressed chunk -> a window of it in ``out``."""
    side = layout.chunk
    # Blosc believes the sizes of its header (c-blosc, README_HEADER): they must be those at hand.
    sizes = np.frombuffer(packed, "<u4", 3, 4) if len(packed) >= _HEADER else np.zeros(3, "<u4")
    if sizes[0] != side * side * out.itemsize or sizes[2] != len(packed):
        raise ValueError("a chunk is cut short or of another size")
    if out.shape == (side, side) and out.flags.c_contiguous:
        blosc.decompress(packed, out)
        return
    chunk = np.empty((side, side), layout.dtype)
    blosc.decompress(packed, chunk)
    out[...] = chunk[window]


def _cuts(span: slice, side: int) -> Iterator[tuple[int, slice]]:
    """A span of pixels -> number of each piece of ``side`` pixels it touches, and what lies there."""
    for number in range(span.start // side, -(-span.stop // side)):
        yield number, slice(max(span.start, number * side), min(span.stop, (number + 1) * side))


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)
