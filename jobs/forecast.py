"""What a request would do, before anything is done: states, units, memory; touches no pixel."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.job import Plan, Stage, Target
from jobs.memory import WORKER_BYTES, in_mib
from jobs.memory import require as require_memory
from jobs.registry import find_job
from jobs.requests import parse_request

if TYPE_CHECKING:
    from jobs.workspace import Workspace


@dataclass(slots=True)
class Forecast:
    """The plan of a request, with those of the jobs that it needs."""

    job: str
    request: Mapping[str, Any]
    targets: list[Target] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    needs: "list[Forecast]" = field(default_factory=list)
    memory: int = 0
    """Bytes that a worker may hold."""

    @property
    def due(self) -> list[Target]:
        """What would be made, that which it needs not included."""
        return [target for target in self.targets if target.is_due]

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be made at all."""
        return not self.due and all(need.is_idle for need in self.needs)

    def every(self) -> "Iterator[Forecast]":
        """This and what it needs, in the order in which they are carried out."""
        for need in self.needs:
            yield from need.every()
        yield self

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "job": self.job,
            "request": dict(self.request),
            "items": [target.document() for target in self.targets],
            "stages": [
                {
                    "name": stage.name,
                    "units": units_of(stage),
                    "unit": stage.unit,
                    "bytes_a_unit": stage.memory,
                }
                for stage in self.stages
            ],
            "worker_bytes": WORKER_BYTES + max((s.memory for s in self.stages), default=0),
            "worker_limit": self.memory,
            "notes": self.notes,
            "needs": [need.document() for need in self.needs],
        }

    def require_memory(self) -> None:
        """``RequestError`` where a unit does not fit into a worker."""
        require_memory(self.memory, [stage for one in self.every() for stage in one.stages])


def units_of(stage: Stage) -> int:
    """Units of a stage, as far as is known."""
    return stage.count if callable(stage.units) or not stage.units else len(stage.units)


def memory_text(stage: Stage) -> str:
    """What a worker needs while it does a unit of a stage."""
    return (
        f"each up to {in_mib(stage.memory)} of memory, {in_mib(WORKER_BYTES + stage.memory)} "
        "with its worker"
    )


def forecast(workspace: "Workspace", job: str, request: Mapping[str, Any]) -> Forecast:
    """Request -> what :func:`jobs.runner.run.run` would do for it; ``RequestError`` as there."""
    declared = find_job(job)
    params = parse_request(declared, request)
    shown = params.model_dump(mode="json", exclude_defaults=True)
    found = Forecast(job, shown)
    found.needs = [
        forecast(workspace, name, needed) for name, needed in declared.needs(workspace, params)
    ]
    planned = declared.plan(workspace, params)
    for plan in [planned] if isinstance(planned, Plan) else planned:
        found.targets += plan.targets
        found.notes += plan.notes
        found.stages += [s for s in (*plan.stages, *plan.later) if units_of(s)]
    if not found.is_idle:
        found.memory = workspace.worker_memory
    return found
