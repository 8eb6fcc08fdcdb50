"""What a job is: a declaration, its parameters, and a plan of stages of units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from jobs.product import Product

if TYPE_CHECKING:
    from jobs.workspace import Workspace

Progress = Callable[[str], None]

SHOWN = 3
"""Failures named where one line has to do."""


class State(StrEnum):
    """How a derived item stands to what it is made from; the first that applies."""

    ORPHANED = "orphaned"
    """Nothing is left to make it of."""
    MISSING = "missing"
    """Not made, or files of it are gone."""
    STALE = "stale"
    """Made of other inputs, with other parameters or by another version than now."""
    PROVISIONAL = "provisional"
    """True to its inputs, of which more may come."""
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Target:
    """One item that a request comes to, and how it stands."""

    collection: str
    item_id: str
    state: State
    because: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """What is to be made of it where it is not made as a whole: dates of a cube."""

    @property
    def is_due(self) -> bool:
        """Whether a run would make it."""
        return self.state in (State.MISSING, State.STALE)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.item_id,
            "collection": self.collection,
            "state": str(self.state),
            "because": list(self.because),
        }


class TileParams(BaseModel):
    """What every request about a tile may say; parameters of jobs are further fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tile: str = Field(description="MGRS tile, e.g. 31UES.")
    only: frozenset[str] = Field(
        frozenset(), description="Ids to make, of those that the request comes to; default all."
    )
    lost: Mapping[str, str] = Field(
        default_factory=dict,
        description="Scenes that this run could not read, with the cause; filled in by the runner.",
    )

    def recorded(self, **own: Any) -> dict[str, Any]:
        """The request as an item records it: what differs from the defaults, and ``own``."""
        said = self.model_dump(mode="json", exclude_defaults=True, exclude={"only", "lost"})
        return {name: value for name, value in (said | own).items() if value is not None}

    def wants(self, name: str) -> bool:
        """Whether an id is among those to be made."""
        return not self.only or name in self.only


@dataclass(frozen=True, slots=True)
class Unit:
    """Smallest piece of work: done wholly or not at all, by one task on one worker."""

    key: str
    """Name within the run, as the dask dashboard shows it: ``cube-31UES-20190516``."""
    payload: Any
    """What the stage's function is given; small and picklable, never arrays."""
    items: tuple[str, ...] = ()
    """Raw items that it reads, so that a failure can name them."""


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
    memory: int = 0
    """Bytes that a unit takes at most, beside what a worker holds without any."""
    count: int = 0
    """Units, where they are known only later."""
    unit: str = "unit"
    """What one of them is, as plans say it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request comes to: stages to run, ids they make, ids that are current already."""

    stages: Sequence[Stage] = ()
    makes: Sequence[str] = ()
    current: Sequence[str] = ()
    targets: Sequence[Target] = ()
    """Every item that the request comes to, with its state and why."""
    later: Sequence[Stage] = ()
    """Stages in outline, of what can be planned only once the jobs it needs are done."""
    notes: Sequence[str] = ()
    """Sentences for the user: what was left out, resampled or merged, and why."""
    remarks: list[str] = field(default_factory=list)
    """Sentences for the user that are known only at the end; filled in by ``finish``."""
    finish: Callable[[], "Sequence[Failure] | None"] = lambda: None
    """Called in the driver after the last stage; gives what could not be made of ``makes``."""


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
    survey: Callable[["Workspace", Any], Sequence[Target]] | None = None
    """Targets of a request, where they can be told with less than a plan."""
    product: Product | None = None
    """What workers are to know of a job that makes something of every period."""
    numbers: Callable[[Any], str] | None = None
    """Parameters -> version as recipes have it, where it depends on them; products say their own."""
    methods: Callable[[], Sequence[tuple[str, str, type[BaseModel]]]] = lambda: ()
    """Methods that a request chooses from: name, title, and what ``options`` may hold of each."""


@dataclass(slots=True)
class Failure:
    """A unit or input that could not be done."""

    key: str
    cause: str
    items: tuple[str, ...] = ()
    """Raw items concerned."""

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
            "failed": [
                {"key": f.key, "cause": f.cause} | ({"items": list(f.items)} if f.items else {})
                for f in self.failures
            ],
            "notes": self.notes,
        }
