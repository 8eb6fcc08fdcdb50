"""Arrays that wait on the disk for the next stage, seen whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cube.errors import StoreError


def save(path: Path, write: Callable[[Any], None]) -> None:
    """What ``write`` puts into a stream -> a file; ``StoreError`` where the system refuses."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as stream:
            write(_Plain(stream))
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


class _Plain:
    """A stream that numpy does not take for a file.

    Its own writing to one does not say when the disk takes only a part of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


def is_array(path: Path) -> bool:
    """Whether an array is there and whole: a power cut may have left a name without bytes."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return True
