"""Arrays that wait on the disk for the next stage, seen whole or not at all."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cube.errors import StoreError


def save(path: Path, write: Callable[[Any], None]) -> None:
    """What ``write`` puts into a stream -> a file; ``StoreError`` where the system refuses."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # numpy's own writing to a file does not say when the disk takes only a part of it.
        content = io.BytesIO()
        write(content)
        with fresh.open("wb") as stream:
            stream.write(content.getbuffer())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def is_array(path: Path) -> bool:
    """Whether an array is there and whole: a power cut may have left a name without bytes."""
    try:
        np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return True
