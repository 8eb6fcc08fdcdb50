"""What a job is: a declaration, its parameters, and a plan of stages of units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from jobs.workspace import Workspace

Progress = Callable[[str], None]

SHOWN = 3
"""Failures named where one line has to do."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Smallest piece of work: done wholly or not at all, by one task on one worker."""

    key: str
    """Name within the run, as the dask dashboard shows it: ``cube-31UES-20190516``."""
    payload: Any
    """What the stage's function is given; small and picklable, never arrays."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A map over units; the next stage begins when all are done."""

    name: str
    units: Sequence[Unit] | Callable[[], Sequence[Unit]]
    """Units, or what gives them once the stages before are done."""
    run: Callable[[Any], Any]
    """Module-level function of a payload, called on a worker; returns something small."""
    done: Callable[[Unit, Any], None]
    """Called in the driver as each result comes in: commits, publishes, counts."""
    essential: bool = False
    """Whether one failed unit makes the later stages of the plan impossible."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to: stages to run, ids they make, ids that are current already."""

    stages: Sequence[Stage] = ()
    makes: Sequence[str] = ()
    current: Sequence[str] = ()
    notes: Sequence[str] = ()
    """Sentences for the user: what was left out, resampled or merged, and why."""
    finish: Callable[[], "Sequence[Failure] | None"] = lambda: None
    """Called in the driver after the last stage, unless an essential unit failed; gives what could
    not be made of ``makes``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work that a user may ask for."""

    name: str
    version: str
    """Part of every fingerprint: raised whenever a change alters numbers."""
    title: str
    params: type[BaseModel]
    """What a request may say; each field with a description, its unit and source."""
    plan: Callable[["Workspace", Any], Sequence[Plan] | Plan]
    """Workspace and parameters -> plan; reads the catalogue, touches no pixel."""
    needs: Callable[["Workspace", Any], Sequence[tuple[str, Mapping[str, Any]]]] = (
        lambda _workspace, _params: ()
    )
    """Requests of other jobs to be carried out before this one is planned."""


@dataclass(slots=True)
class Failure:
    """A unit or input that could not be done."""

    key: str
    cause: str

    def __str__(self) -> str:
        # A cause that names the file need not be told twice which it is.
        return self.cause if self.key in self.cause else f"{self.key}: {self.cause}"


@dataclass(slots=True)
class Outcome:
    """What a command did."""

    made: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    """Made because what was asked for needs it."""
    current: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Exit status of the command: 0 all done, 1 some of it failed, 2 all of it."""
        if not self.failures:
            return 0
        return 1 if self.made or self.prepared or self.current else 2

    @property
    def causes(self) -> str:
        """Failures as one line, the first few of many."""
        shown = "; ".join(str(failure) for failure in self.failures[:SHOWN])
        more = len(self.failures) - SHOWN
        return f"{shown}; and {more} more" if more > 0 else shown

    def add(self, other: "Outcome") -> None:
        """Take in what another command did."""
        self.made += other.made
        self.prepared += other.prepared
        self.current += other.current
        self.failures += other.failures
        self.notes += other.notes

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "made": self.made,
            "prepared": self.prepared,
            "current": self.current,
            "failed": [{"key": f.key, "cause": f.cause} for f in self.failures],
            "notes": self.notes,
        }
