"""A dask client from settings: local processes with one thread each, or a scheduler's address."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.items import clearcube_version
from jobs.errors import SchedulerError, WorkspaceError
from jobs.settings import Settings

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

WORKER_ENVIRONMENT = {
    # One pool only: dask fills the cores with processes, so libraries keep to one thread each.
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GDAL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    # A server that is busy or a line that breaks is asked again, after 1, 2 and 4 s (GDAL, /vsicurl/).
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    # One that says nothing is left after 10 s, or after 30 s with less than 1000 bytes a second.
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
    # Blocks are read once: a large cache of GDAL's only fills the worker's memory (default 5 %).
    "GDAL_CACHEMAX": "64",
    # Arrays of a block are kept for the next one: the system zeroes the pages of new memory, which
    # takes longer than to decode pixels into it. 64 MiB may stay unused (mallopt(3)).
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


LOCAL = {
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    # A unit is given up when the third worker is lost over it (default: the fourth).
    "distributed.scheduler.allowed-failures": 2,
    # Samples of what a worker does, every 10 ms, are kept by the second: nobody reads them, and in a
    # run of half an hour they held 100 MiB of each worker.
    "distributed.worker.profile.enabled": False,
    # What keeps a worker is closed for good where the worker is away this long after it was lost,
    # even if it came back and was lost again (distributed.deploy.spec; default 15 s). That of a
    # worker of one's own lives as long as the run: it is always to start the worker anew.
    "distributed.deploy.lost-worker-timeout": "365 days",
}
"""Configuration of dask for workers of one's own."""

CONNECT_SECONDS = 10
"""How long a scheduler may take to answer: one that is being started needs a few."""


REPORT_SECONDS = 60
"""How long a scheduler may draw its report: of a day's tasks it takes a few seconds."""


@contextlib.contextmanager
def connect(settings: Settings) -> "Iterator[Client]":
    """Settings -> a client, closed at the end; ``SchedulerError`` where none can be had."""
    import dask
    from distributed import Client, LocalCluster

    # What distributed has to say of its own sockets is no news to a user.
    for name in ("distributed", "bokeh", "tornado.application"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # That a scheduler is lost is said once, by the run.
    for name in ("distributed.client", "distributed.core", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    if settings.scheduler:
        try:
            client = Client(settings.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SchedulerError(f"no dask scheduler at {settings.scheduler}: {error}") from None
        with client:
            _check_versions(client, settings.scheduler)
            yield client
        return
    with (
        dask.config.set(LOCAL),
        contextlib.ExitStack() as stack,
    ):
        with _deaf_to_interrupts():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers or os.cpu_count() or 1,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=settings.memory,
                    dashboard_address="127.0.0.1:0",
                    # Failures come back to the driver, which says them once and in one line.
                    silence_logs=logging.CRITICAL,
                )
            )
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextlib.contextmanager
def performance(client: "Client", path: Path) -> Iterator[None]:
    """Write dask's report of what is done meanwhile, one HTML page that needs no network.

    ``WorkspaceError`` where it cannot be written, before anything is done if possible. After an
    error there is a report of what came before it, if the scheduler still gives one.
    """
    _require_room(path)
    begun = time.time()
    # Asking once has the scheduler keep the stream of tasks from here on.
    client.get_task_stream(start=0, stop=0)
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            _write_report(client, path, begun)
        raise
    _write_report(client, path, begun)


def _require_room(path: Path) -> None:
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror or error}") from None


def _write_report(client: "Client", path: Path, begun: float) -> None:
    try:
        page = client.sync(
            client.scheduler.performance_report,
            start=begun,
            last_count=0,
            code="",
            mode="inline",
            callback_timeout=REPORT_SECONDS,
        )
    except (OSError, ValueError) as error:
        raise SchedulerError(f"no performance report from the scheduler: {error}") from None
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror or error}") from None


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile do not hear Ctrl-C: the driver does, and ends them in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _check_versions(client: "Client", address: str) -> None:
    own = clearcube_version()
    try:
        found = client.run(clearcube_version)
    except (ImportError, AttributeError) as error:
        raise SchedulerError(f"the workers of {address} do not have clearcube: {error}") from None
    others = {version for version in found.values() if version != own}
    if others:
        raise SchedulerError(
            f"the workers of {address} run clearcube {', '.join(sorted(others))}, this is {own}; "
            "install the same on both"
        )
    if not found:
        raise SchedulerError(f"the scheduler at {address} has no workers")
