"""Checksums of pixels: of the chunks of a raster, and of the raster by those of its chunks.

They are of values, not of files: the same pixels compressed by another library, or cut out of
another delivery, have the same ones.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

FILL = 0
"""Checksum of a chunk that holds the fill value alone, and of one that was never written."""

Checksums = npt.NDArray[np.uint64]


def chunk_checksums(pixels: npt.NDArray[Any], chunk: int, fill_value: int) -> Checksums:
    """(y, x) pixels -> (rows, columns) uint64, one for each chunk; those at the edges are smaller."""
    height, width = pixels.shape
    rows, columns = -(-height // chunk), -(-width // chunk)
    found = np.zeros((rows, columns), np.uint64)
    for row in range(rows):
        for column in range(columns):
            part = pixels[
                row * chunk : (row + 1) * chunk,
                column * chunk : (column + 1) * chunk,
            ]
            found[row, column] = _checksum(part, fill_value)
    return found


def combined(parts: Iterable[npt.NDArray[Any] | bytes | str]) -> str:
    """Arrays, bytes and texts in order -> 16 hexadecimal digits that change with any of them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _checksum(part: npt.NDArray[Any], fill_value: int) -> int:
    if part.flat[0] == fill_value and (part == fill_value).all():
        return FILL
    digest = hashlib.sha256(f"{part.shape}".encode())
    digest.update(np.ascontiguousarray(part).data)
    # One value in 2**64 would be taken for a chunk without pixels; it gets its neighbour's name.
    return int.from_bytes(digest.digest()[:8], "little") or 1
