"""A request -> what it needs, its plan, its stages, its end."""

import contextlib
import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from catalog.errors import CatalogError
from catalog.search import normalise_tile
from cube.errors import CubeError
from jobs.errors import JobError, WorkspaceError
from jobs.forecast import forecast
from jobs.job import Failure, Job, Outcome, Plan
from jobs.registry import find_job
from jobs.requests import parse_request as parse_request
from jobs.runner.cluster import connect, performance
from jobs.runner.ledger import Ledger
from jobs.runner.progress import Progress
from jobs.runner.submit import run_stage

if TYPE_CHECKING:
    from distributed import Client

    from jobs.workspace import Workspace


def run(
    workspace: "Workspace",
    job: str,
    request: Mapping[str, Any],
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Carry out a job's request after those that it needs; what is current is not made again.

    ``RequestError`` where the request means nothing. Units that fail are in the outcome.
    """
    with Session(workspace, progress or Progress(quiet=True)) as session:
        return session.run(job, request)


@dataclass(slots=True)
class Session:
    """Requests carried out one after the other by the same workers, started for the first unit."""

    workspace: "Workspace"
    progress: Progress
    report: Path | None = None
    """Where dask's performance report goes, if it is wanted."""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _client: "Client | None" = None

    def run(self, job: str, request: Mapping[str, Any]) -> Outcome:
        """Carry out a request, as :func:`run` does; it is refused where it does not fit the memory."""
        forecast(self.workspace, job, request).require_memory()
        return self._carry_out(find_job(job), request, asked=True)

    def _carry_out(self, job: Job, request: Mapping[str, Any], *, asked: bool) -> Outcome:
        params = parse_request(job, request)
        outcome = Outcome()
        for name, needed in job.needs(self.workspace, params):
            before = self._carry_out(find_job(name), needed, asked=False)
            outcome.failures += before.failures
            outcome.notes += before.notes
            outcome.prepared += before.prepared + before.made
        lost = {name: failure.cause for failure in outcome.failures for name in failure.items}
        if getattr(params, "skip_corrupt", False):
            self._leave_out(outcome)
        if lost and "lost" in type(params).model_fields:
            params = params.model_copy(update={"lost": lost})
        with self._alone(job, params):
            try:
                planned = job.plan(self.workspace, params)
            except (CubeError, CatalogError, JobError):
                if outcome.failures:
                    return outcome  # nothing to work on because of these: they are the cause
                raise
            plans = [planned] if isinstance(planned, Plan) else planned
            for plan in plans:
                self._work(job, params, plan, outcome, asked)
        return outcome

    def _leave_out(self, outcome: Outcome) -> None:
        """Scenes that by choice are left out are no failures; what is made without names them."""
        left_out = [failure for failure in outcome.failures if failure.items]
        outcome.failures = [failure for failure in outcome.failures if not failure.items]
        outcome.notes += [f"left out: {failure}" for failure in left_out]
        for failure in left_out:
            self.progress.say(f"warning: left out: {failure}")

    @contextlib.contextmanager
    def _alone(self, job: Job, params: BaseModel) -> Iterator[None]:
        """One run of a job on a tile at a time: the next one waits, and finds it current."""
        tile = normalise_tile(params.tile) if hasattr(params, "tile") else "all"
        lock = self.workspace.runs / f"{job.name}-{tile}.lock"
        try:
            stream = lock.open("w")
        except OSError as error:
            raise WorkspaceError(f"cannot write {lock}: {error.strerror or error}") from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.progress.say(f"waiting for another run of {lock.stem}")
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _work(self, job: Job, params: BaseModel, plan: Plan, outcome: Outcome, asked: bool) -> None:
        for note in plan.notes:
            self.progress.say(f"note: {note}")
        outcome.notes += plan.notes
        if asked:
            outcome.current += plan.current
        if not plan.makes:
            plan.finish()
            return
        with Ledger(self.workspace.runs, job.name, params.model_dump(mode="json")) as ledger:
            ledger.plan(list(plan.makes), list(plan.current))
            for stage in plan.stages:
                if callable(stage.units) or stage.units:
                    outcome.failures += run_stage(
                        self.client, stage, job.name, ledger, self.progress
                    )
            try:
                outcome.failures += plan.finish() or []
            except (CubeError, CatalogError, JobError) as error:
                if not outcome.failures:
                    raise
                outcome.failures.append(Failure(job.name, str(error)))  # the first is the cause
            outcome.notes += plan.remarks
            lost = {failure.key for failure in outcome.failures}
            outcome.made += [made for made in plan.makes if made not in lost]
            ledger.end(outcome.made, outcome.failures)

    @property
    def client(self) -> "Client":
        """Client of the workers."""
        if self._client is None:
            self._client = self._stack.enter_context(connect(self.workspace.settings))
            self.progress.say(f"dask dashboard: {self._client.dashboard_link}")
            if self.report is not None:
                self._stack.enter_context(performance(self._client, self.report))
        return self._client

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        self.progress.close()
