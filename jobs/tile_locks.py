"""Locks of runs and stores, taken only where nobody has them."""

import contextlib
import fcntl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import WorkspaceError
from jobs.registry import job_names

if TYPE_CHECKING:
    from jobs.workspace import Workspace


@contextlib.contextmanager
def idle(workspace: "Workspace", tile: str | None, *, create: bool = True) -> Iterator[bool]:
    """Keep runs off a tile (None: off all) meanwhile; False, with nothing held, where one is at work.

    Without ``create`` only locks that some run made before are taken.
    """
    names = {path.name for path in workspace.runs.glob(f"*-{tile or '*'}.lock")}
    if create and tile is not None:
        names |= {f"{job}-{tile}.lock" for job in job_names()}
    with taken((workspace.runs / name for name in sorted(names)), create=create) as free:
        yield free


@contextlib.contextmanager
def taken(locks: Iterable[Path], *, create: bool = True) -> Iterator[bool]:
    """Hold locks; False, with nothing held, where one of them is held already."""
    with contextlib.ExitStack() as stack:
        is_free = all(_take(lock, stack, create=create) for lock in locks)
        if not is_free:
            stack.close()
        yield is_free


def _take(lock: Path, stack: contextlib.ExitStack, *, create: bool) -> bool:
    try:
        stream = stack.enter_context(lock.open("a" if create else "r"))
    except FileNotFoundError:
        return True
    except OSError as error:
        raise WorkspaceError(f"cannot open {lock}: {error.strerror or error}") from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
