"""What can go wrong with work: one base and its children, each also the builtin it refines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class JobError(Exception):
    """Base of every error of this package; its message is one line: what, which, what to do."""


class RequestError(JobError, ValueError):
    """A request that cannot be carried out: unknown job, method, mask, tile, period or setting."""


class WorkspaceError(JobError, OSError):
    """A workspace or store that cannot be made, read or written."""


class SchedulerError(JobError, ConnectionError):
    """A dask scheduler that cannot be reached, or workers that run another version."""


def fault(error: "ValidationError") -> str:
    """First thing that a check of values found wrong, as ``name='value': why``."""
    first = error.errors()[0]
    why = first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "extra_forbidden":
        return f"there is no parameter {name!r}"
    return f"{name}={first['input']!r}: {why}" if name else why
