"""Work of clearcube: jobs, the runner and the command line.

The names below are imported when they are first used, so that ``import jobs`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.errors import JobError
    from jobs.job import Job, Outcome, Plan, Stage, Unit
    from jobs.workspace import Workspace, open_workspace

__all__ = [
    "Job",
    "JobError",
    "Outcome",
    "Plan",
    "Stage",
    "Unit",
    "Workspace",
    "open_workspace",
]

_HOMES = {
    "Job": "job",
    "JobError": "errors",
    "Outcome": "job",
    "Plan": "job",
    "Stage": "job",
    "Unit": "job",
    "Workspace": "workspace",
    "open_workspace": "workspace",
}
"""Name -> module of this package."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jobs' has no attribute {name!r}")
    return getattr(import_module(f"jobs.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
