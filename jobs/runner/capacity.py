"""How much memory one worker may hold, before any is started."""

import os
import sys

from jobs.settings import Settings


def worker_memory(settings: Settings) -> int:
    """Settings -> bytes of one worker; of a scheduler's workers, the least that one has."""
    if settings.scheduler:
        return _least(settings)
    from dask.utils import parse_bytes
    from distributed.system import MEMORY_LIMIT

    if settings.memory != "auto":
        return min(int(parse_bytes(settings.memory)), int(MEMORY_LIMIT))
    # As distributed shares it out among workers of one thread each.
    return int(MEMORY_LIMIT // (settings.workers or os.cpu_count() or 1))


def _least(settings: Settings) -> int:
    from jobs.runner.cluster import connect

    with connect(settings) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [int(worker["memory_limit"]) for worker in workers if worker["memory_limit"]]
    # Workers started without a limit may take what there is.
    return min(limits, default=sys.maxsize)
