"""Units of a stage -> results, on dask workers: tries, failures, measures, progress."""

import contextlib
import logging
import pickle
import queue
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cloudpickle

from catalog.errors import CatalogError
from cube.errors import CubeError, SourceError
from jobs.errors import JobError, SchedulerError
from jobs.job import Failure, Stage, Unit
from jobs.runner.measure import Measures, measuring

if TYPE_CHECKING:
    from distributed import Client

    from jobs.runner.ledger import Ledger
    from jobs.runner.progress import Advance, Progress

logger = logging.getLogger(__name__)

RETRIES = 2
"""Tries after the first for an unexpected error or a lost worker, made by dask, at once."""

BACKOFF = (1.0, 4.0, 10.0)
"""Seconds before a unit whose source failed is tried again. GDAL has repeated each request for 7 s by
then (:mod:`jobs.runner.cluster`), so these are for a server that restarts or turns visitors away; one
that is down for longer is left to the next run rather than that the whole night waits for it."""

WINDOW = 4
"""Units submitted ahead per worker: enough to keep it busy, few enough to stay light."""

TICK = 1.0
"""Seconds between two looks at the scheduler, the workers and the clock where no unit ends."""

LOOK_SECONDS = 5.0
"""How long the scheduler is given to answer a question before the connection is looked at."""

QUIET = ("odc", "rasterio")
"""Libraries whose warnings on a worker's stderr only repeat what its failure says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a unit on its worker."""

    value: Any = None
    cause: str | None = None
    """Why it was refused; None where it was done."""
    may_pass: bool = False
    """Whether another try may do better than this refusal."""
    lost: bool = False
    """Whether its worker was lost, again and again."""
    measures: Measures = field(default_factory=Measures)


def run_stage(
    client: "Client", stage: Stage, prefix: str, ledger: "Ledger", progress: "Progress"
) -> list[Failure]:
    """Run every unit of a stage of the job ``prefix``; ``stage.done`` is called as each comes in.

    ``SchedulerError`` where the scheduler is lost: what was done is kept.
    """
    planned = stage.units() if callable(stage.units) else stage.units
    ledger.stage(stage.name, len(planned))
    with progress.stage(stage.name, len(planned)) as advance, _lost_scheduler(client, prefix):
        return _Run(client, stage, ledger, advance, planned).failures()


def call(function: Callable[[Any], Any], payload: Any, tried: int = 0) -> Answer:
    """Call a unit's function on a worker; errors that are ours come back as a value, measured."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    cause, value, may_pass = None, None, False
    with measuring(_worker_name()) as measures:
        try:
            with _asking_anew(tried):
                value = function(payload)
        except (CubeError, CatalogError, JobError) as error:
            cause, may_pass = str(error), isinstance(error, SourceError)
    return Answer(value, cause, may_pass, measures=measures)


def call_packed(packed: bytes, tried: int) -> Answer:
    """:func:`call` of a pickled function and payload.

    A worker that fails to unpickle a task (it lacks the package of a job, say) is closed by dask,
    and the next one after it. Unpickled here, that is the failure of one unit.
    """
    function, payload = pickle.loads(packed)
    return call(function, payload, tried)


def task_key(stage: str, unit: str, tail: str) -> str:
    """Names of stage and unit -> the task's name: ``cube 31UES-20190516T105031-1f3c``.

    Dask's dashboard groups and colours tasks by what is before the first word that is not of
    letters (``dask.utils.key_split``): the stage. The tail keeps runs that share a scheduler apart.
    """
    group = stage.replace("-", "_")
    words = unit.split("-")
    while len(words) > 1 and words[0] in group.split():
        words.pop(0)
    rest = "-".join(words)
    return f"{group}-({rest})-{tail}" if words[0].isalpha() else f"{group}-{rest}-{tail}"


@dataclass(slots=True)
class _Run:
    """A stage at work: what waits, what is with the workers, what is to be tried again and when."""

    client: "Client"
    stage: Stage
    ledger: "Ledger"
    advance: "Advance"
    planned: Any
    tail: str = field(default_factory=lambda: uuid.uuid4().hex[:4])
    ended: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)
    running: dict[str, tuple[Unit, int, Any]] = field(default_factory=dict)
    later: list[tuple[float, Unit, int]] = field(default_factory=list)
    """When to try again, the unit, how often it was tried."""
    suspects: list[Unit] = field(default_factory=list)
    """Units whose worker was lost while it held others too: any of them may be the cause."""
    alone: str = ""
    """The task of the suspect that is tried by itself."""
    workers: int = 1
    looked: float = 0.0

    def failures(self) -> list[Failure]:
        """Work until every unit has its end -> those that failed."""
        found: list[Failure] = []
        waiting = list(reversed(self.planned))
        try:
            while waiting or self.later or self.running or self.suspects:
                self._look()
                self._submit_due(waiting)
                with contextlib.suppress(queue.Empty):
                    future = self.ended.get(timeout=self._patience())
                    failure = self._settle(future)
                    found += [failure] if failure else []
        finally:
            for _unit, _tried, future in self.running.values():
                with contextlib.suppress(Exception):  # the connection may be what was lost
                    future.release()
        return found

    def _look(self) -> None:
        """See that the scheduler is there, and how many workers it has."""
        now = time.monotonic()
        if self.client.status != "running":
            raise ConnectionError("the connection is lost")
        if now - self.looked >= TICK:
            self.looked = now
            try:
                ask = self.client.scheduler.ncores
                self.workers = len(self.client.sync(ask, callback_timeout=LOOK_SECONDS))
            except OSError as error:
                raise ConnectionError(f"the scheduler does not answer: {error}") from error
            self.advance.look(self.workers)

    def _patience(self) -> float:
        due = min((when for when, _unit, _tried in self.later), default=float("inf"))
        return max(0.01, min(TICK, due - time.monotonic()))

    def _submit_due(self, waiting: list[Unit]) -> None:
        now, ahead = time.monotonic(), WINDOW * max(1, self.workers)
        for entry in sorted(self.later, key=lambda entry: entry[0]):
            if entry[0] <= now and len(self.running) < ahead:
                self.later.remove(entry)
                self._submit(entry[1], entry[2])
        while waiting and len(self.running) < ahead:
            self._submit(waiting.pop(), 0)
        if self.suspects and not self.running and not self.later:
            self.alone = self._submit(self.suspects.pop(), 1)

    def _submit(self, unit: Unit, tried: int) -> str:
        """Give a unit to the workers -> the name of its task."""
        tail = f"{self.tail}-again-{tried}" if tried else self.tail
        if self.client.status != "running":
            raise ConnectionError("the connection is lost")
        future = self.client.submit(
            call_packed,
            cloudpickle.dumps((self.stage.run, unit.payload)),
            tried,
            key=task_key(self.stage.name, unit.key, tail),
            pure=False,
            retries=RETRIES,
        )
        self.running[future.key] = (unit, tried, future)
        future.add_done_callback(self.ended.put)
        return str(future.key)

    def _settle(self, future: Any) -> Failure | None:
        """Take in what came of a unit -> its failure, if that is its end."""
        unit, tried, _future = self.running[future.key]
        answer = self._answer(future)
        del self.running[future.key]
        future.release()
        if answer.lost and self.running and future.key != self.alone:
            logger.debug("%s is tried again by itself: %s", unit.key, answer.cause)
            self.ledger.again(self.stage.name, unit.key, str(answer.cause), tried + 1, 0.0)
            self.advance.again(answer.measures)
            self.suspects.append(unit)
            return None
        if answer.may_pass and tried < len(BACKOFF):
            wait = BACKOFF[tried]
            logger.debug("%s is tried again in %g s: %s", unit.key, wait, answer.cause)
            self.ledger.again(self.stage.name, unit.key, str(answer.cause), tried + 1, wait)
            self.advance.again(answer.measures)
            self.later.append((time.monotonic() + wait, unit, tried + 1))
            return None
        cause = answer.cause
        if cause is None:
            try:
                self.stage.done(unit, answer.value)
            except (CubeError, CatalogError, JobError) as error:
                cause = str(error)
        failure = None if cause is None else Failure(unit.key, cause, unit.items)
        if failure is not None:
            logger.debug("%s failed: %s", unit.key, failure.cause)
        self.ledger.unit(self.stage.name, unit.key, failure, answer.measures, tried + 1)
        self.advance(unit.key, failure, answer.measures)
        return failure

    def _answer(self, future: Any) -> Answer:
        while True:
            if future.status == "cancelled":  # this side cancels none that it waits for
                raise ConnectionError("the connection is lost")
            if future.status == "error":
                return _lost_or_broken(future.exception())
            try:
                found: Answer = future.result(timeout=LOOK_SECONDS)
                return found
            except TimeoutError:
                # Its worker was lost with the result, which is being made again; or the scheduler.
                self._look()
            except Exception:
                if future.status == "finished":
                    raise


@contextlib.contextmanager
def _lost_scheduler(client: "Client", job: str) -> Iterator[None]:
    """Whatever a lost connection raises, as the one line that tells it."""
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    address = client.scheduler.address if client.scheduler else "the address given"
    lost = (CommClosedError, FutureCancelledError, ConnectionError, TimeoutError)
    try:
        yield
    except JobError:
        raise
    except lost as error:
        logger.debug("%s: %s", type(error).__name__, error)
        raise SchedulerError(
            f"{job} stopped: the dask scheduler at {address} was lost; what was finished is kept, "
            "start the scheduler and run the same again to go on"
        ) from None


@contextlib.contextmanager
def _asking_anew(tried: int) -> Iterator[None]:
    """From the second try on, past what GDAL remembers of the first."""
    if not tried:
        yield
        return
    from cube.remote import uncached

    with uncached():
        yield


def _worker_name() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""  # called without dask


def _lost_or_broken(error: BaseException) -> Answer:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        limit = getattr(error.last_worker, "memory_limit", 0)
        most = f"limit {limit / 2**30:.1f} GiB" if limit else "no limit set"
        times = error.allowed_failures + 1
        return Answer(
            cause=f"the worker was lost {times} times, most often for want of memory ({most}); use "
            "fewer workers with more memory each, then run the same again",
            lost=True,
        )
    logger.debug("%s", "".join(traceback.format_exception(error)))
    if isinstance(error, ModuleNotFoundError):
        return Answer(cause=f"{error} on the worker; install what the driver has there, too")
    return Answer(cause=f"{type(error).__name__}: {error}".splitlines()[0])
