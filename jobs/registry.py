"""The jobs there are: modules of this package that hold a ``JOB``, and those of other packages."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from jobs.errors import RequestError
from jobs.job import Job

OWN = {
    "cube": "jobs.build_cube",
    "decode-masks": "jobs.decode_masks",
    "cloud-mask": "jobs.cloud_mask",
    "synthesis": "jobs.synthesis",
}
"""Name -> module, so that listing them imports none."""

GROUP = "clearcube.jobs"
"""Entry points of other packages: name = "module:JOB"."""


def job_names() -> list[str]:
    """Names of all jobs, our own first."""
    return [*OWN, *sorted(point.name for point in entry_points(group=GROUP))]


@cache
def find_job(name: str) -> Job:
    """Name -> job; ``RequestError`` naming the known ones. Errors of its module are errors."""
    found: Any = None
    if name in OWN:
        found = import_module(OWN[name]).JOB
    else:
        for point in entry_points(group=GROUP):
            if point.name == name:
                found = point.load()
    if not isinstance(found, Job):
        raise RequestError(f"no job is called {name!r}; there are {' '.join(job_names())}")
    return found
