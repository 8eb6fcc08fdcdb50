"""Outputs where a user wants them, outside the workspace: there whole, or as they were before."""

import contextlib
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cube.errors import CubeError
from cube.files import sync_directory
from jobs.errors import JobError, RequestError, WorkspaceError

MANIFEST = "export.json"
"""File of a folder that says what was written to it; by it the folder is known as ours."""

SETTLED = 60.0
"""Seconds after which a stage that nobody holds is what a killed command left."""


def require_place(out: Path) -> None:
    """``RequestError`` where nothing can be written to a path."""
    parent = out.parent
    if not parent.is_dir():
        raise RequestError(f"there is no folder {parent} to write {out.name} to; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RequestError(f"cannot write to the folder {parent}; name another")


def require_file(out: Path) -> None:
    """``RequestError`` where a path can hold no file."""
    require_place(out)
    if out.is_dir():
        raise RequestError(f"{out} is a folder; name a file with --out")


def require_folder(out: Path) -> None:
    """``RequestError`` where a path can hold no folder, or one that is not ours to replace."""
    require_place(out)
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file; name a folder")
    if Path.cwd().is_relative_to(out):
        raise RequestError(f"{out} is the folder you are in; name another")
    others = sorted(_others(out)) if out.is_dir() else []
    if others:
        raise RequestError(
            f"{out} holds {others[0]}, which no export wrote there; name another folder"
        )


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder beside a path, gone afterwards whatever comes; what others left goes too."""
    _sweep(out)
    stage = out.with_name(f".{out.name}.new-{uuid.uuid4().hex[:8]}")
    try:
        stage.mkdir()
        with _held(stage):
            yield stage
    except (CubeError, JobError):
        raise  # of what was to be written, or said already
    except OSError as error:
        raise WorkspaceError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def put_file(fresh: Path, out: Path) -> None:
    """A finished file to where it is wanted, in the place of one that is there."""
    fresh.replace(out)
    sync_directory(out.parent)


def put_folder(fresh: Path, out: Path, manifest: dict[str, Any]) -> None:
    """A finished folder, with its manifest, to where it is wanted, in the place of one of ours."""
    names = sorted(_names(fresh))
    (fresh / MANIFEST).write_text(json.dumps({**manifest, "files": names}, indent=2) + "\n")
    sync_directory(fresh)
    former = fresh.with_name(f"{fresh.name}.former")
    if out.exists():
        out.rename(former)
    try:
        fresh.rename(out)
    except OSError:
        if former.exists():
            former.rename(out)
        raise
    sync_directory(out.parent)
    shutil.rmtree(former, ignore_errors=True)


def manifest_of(folder: Path) -> dict[str, Any]:
    """What an export said of a folder; empty where none wrote it."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _others(folder: Path) -> set[str]:
    """Names in a folder that no export wrote, and no viewer beside what one wrote."""
    held = _names(folder)
    try:
        listed = set(manifest_of(folder)["files"])
    except (KeyError, TypeError):
        return held
    return {name for name in held if name.removesuffix(".aux.xml") not in listed | {MANIFEST}}


def _names(folder: Path) -> set[str]:
    """Paths of what a folder holds, at any depth, from it."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*")}


def _sweep(out: Path) -> None:
    """Remove the stages of a path that nobody writes to any more."""
    for stage in out.parent.glob(f".{out.name}.new-*"):
        with contextlib.suppress(OSError), _held(stage):
            if time.time() - stage.stat().st_mtime > SETTLED:
                shutil.rmtree(stage, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder as one's own; ``BlockingIOError`` where another process does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
