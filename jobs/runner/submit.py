"""Units of a stage -> results, on dask workers: retries, failures, progress."""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError
from cube.errors import CubeError
from jobs.errors import JobError
from jobs.job import Failure, Stage, Unit

if TYPE_CHECKING:
    from distributed import Client

    from jobs.runner.ledger import Ledger
    from jobs.runner.progress import Progress

logger = logging.getLogger(__name__)

RETRIES = 2
"""Tries after the first for what may pass, such as a worker that was lost. Requests over a network
are repeated by GDAL itself, see :mod:`jobs.runner.cluster`."""

WINDOW = 4
"""Units submitted ahead per worker: enough to keep it busy, few enough to stay light."""


QUIET = ("odc", "rasterio")
"""Libraries whose warnings on a worker's stderr only repeat what its failure says."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """An error that another try would only repeat, sent back as a value."""

    cause: str


def run_stage(
    client: "Client", stage: Stage, prefix: str, ledger: "Ledger", progress: "Progress"
) -> list[Failure]:
    """Run every unit of a stage; ``stage.done`` is called for each as it comes in."""
    from distributed import as_completed

    failures: list[Failure] = []
    planned = stage.units() if callable(stage.units) else stage.units
    waiting = list(reversed(planned))
    ahead = WINDOW * max(1, len(client.scheduler_info()["workers"]))
    pool = as_completed([], loop=client.loop, with_results=True, raise_errors=False)
    units: dict[str, Unit] = {}

    def submit() -> None:
        unit = waiting.pop()
        future = client.submit(
            call, stage.run, unit.payload, key=f"{prefix}-{unit.key}", pure=False, retries=RETRIES
        )
        units[future.key] = unit
        pool.add(future)

    with progress.stage(stage.name, len(planned)) as advance:
        while waiting and len(units) < ahead:
            submit()
        for future, result in pool:
            unit = units.pop(future.key)
            failure = _settle(stage, unit, future, result)
            if failure is not None:
                failures.append(failure)
                logger.debug("%s failed: %s", unit.key, failure.cause)
            ledger.unit(stage.name, unit.key, failure)
            advance(unit.key, failure)
            future.release()
            if waiting:
                submit()
    return failures


def call(function: Callable[[Any], Any], payload: Any) -> Any:
    """Call a unit's function on a worker; errors that would only repeat come back as a value."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return function(payload)
    except (CubeError, CatalogError, JobError) as error:
        return _Refused(str(error))


def _settle(stage: Stage, unit: Unit, future: Any, result: Any) -> Failure | None:
    if future.status != "finished":
        return Failure(unit.key, _cause(result))
    if isinstance(result, _Refused):
        return Failure(unit.key, result.cause)
    try:
        stage.done(unit, result)
    except (CubeError, CatalogError, JobError) as error:
        return Failure(unit.key, str(error))
    return None


def _cause(result: Any) -> str:
    error = result[1] if isinstance(result, tuple) else result
    if isinstance(error, BaseException):
        logger.debug("%s", "".join(traceback.format_exception(error)))
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return str(error)
