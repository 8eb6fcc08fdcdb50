"""Files written whole: a reader sees the content before or the content after."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cube.errors import StoreError


def write_json(file: Path, document: Mapping[str, Any], *, durable: bool = True) -> None:
    """JSON document into a file, on the disk when it returns if ``durable``."""
    # Without indentation, which Python's fast encoder does not know: thousands of dates go through it.
    write_bytes(file, json.dumps(document).encode(), durable=durable)


def write_bytes(file: Path, content: bytes, *, durable: bool = True) -> None:
    """Bytes into a file, whole or not at all; ``StoreError`` where the system refuses."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error
    if durable:
        sync_directory(file.parent)


def sync_file(file: Path) -> None:
    """Bring a file's bytes to the disk; directories are left alone."""
    if file.is_file():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_directory(folder: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
