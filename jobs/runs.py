"""The ledgers of a workspace -> what its runs did, and which of them are still at it."""

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import RequestError, WorkspaceError
from jobs.job import Failure
from jobs.runner.ledger import process_born

if TYPE_CHECKING:
    from jobs.workspace import Workspace

Line = Mapping[str, Any]

SAME_SECONDS = 2.0
"""Two statements of when a process began that are this near speak of the same one: the system counts
from its start, whose time shifts as the clock is set."""


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It came to its end, but some units failed."""
    STOPPED = "stopped"
    """Ended by Ctrl-C or an error."""
    KILLED = "killed"
    """Its process is gone and nobody wrote an end."""
    UNKNOWN = "unknown"
    """No end, and the process is on another host or not told."""


@dataclass(slots=True)
class StageRecord:
    """A stage of a run, in numbers."""

    name: str
    planned: int = 0
    done: int = 0
    failed: int = 0
    tries: int = 0
    """Tries after the first."""
    begun: float = 0.0
    ended: float = 0.0
    work: float = 0.0
    """Seconds of all units together."""
    cpu: float = 0.0
    read: int = 0
    written: int = 0
    peak: int = 0
    """Most memory of one unit, bytes."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "stage": self.name,
            "planned": self.planned,
            "done": self.done,
            "failed": self.failed,
            "tries": self.tries,
            "seconds": round(self.ended - self.begun, 3),
            "work": round(self.work, 3),
            "cpu": round(self.cpu, 3),
            "read": self.read,
            "written": self.written,
            "peak": self.peak,
        }


@dataclass(slots=True)
class RunRecord:
    """A run, as its ledger tells it."""

    id: str
    job: str
    request: Mapping[str, Any]
    version: str
    group: str
    """The same for runs of one command: that which was asked for and those it needed."""
    start: datetime
    end: datetime
    """The end, or the last sign of life."""
    state: RunState
    makes: list[str] = field(default_factory=list)
    """What it planned to make."""
    made: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """Units that failed, with their causes."""
    cause: str = ""
    """Why it was stopped."""
    stages: list[StageRecord] = field(default_factory=list)

    @property
    def planned(self) -> int:
        """Units of the stages that were begun."""
        return sum(stage.planned for stage in self.stages)

    @property
    def done(self) -> int:
        """Units that were done."""
        return sum(stage.done for stage in self.stages)

    @property
    def failed(self) -> int:
        """Units that failed."""
        return sum(stage.failed for stage in self.stages)

    @property
    def bytes(self) -> int:
        """Bytes that units read and wrote."""
        return sum(stage.read + stage.written for stage in self.stages)

    @property
    def seconds(self) -> float:
        """From start to end."""
        return (self.end - self.start).total_seconds()

    @property
    def causes(self) -> list[str]:
        """Why units failed and the run stopped, each once."""
        found = [failure.cause for failure in self.failures]
        return list(dict.fromkeys([*found, self.cause] if self.cause else found))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "job": self.job,
            "request": dict(self.request),
            "version": self.version,
            "group": self.group,
            "start": _iso(self.start),
            "end": _iso(self.end),
            "seconds": round(self.seconds, 3),
            "state": str(self.state),
            "units": {"planned": self.planned, "done": self.done, "failed": self.failed},
            "bytes": self.bytes,
            "made": self.made,
            "failed": [{"key": f.key, "cause": f.cause} for f in self.failures],
            "causes": self.causes,
            "stages": [stage.document() for stage in self.stages],
        }


def list_runs(workspace: "Workspace", limit: int | None = None) -> list[RunRecord]:
    """Runs of a workspace, newest first; a ledger that says nothing is passed over."""
    paths = sorted(_folder(workspace).glob("*.jsonl"), key=_order, reverse=True)
    found: list[RunRecord] = []
    for path in paths:
        if limit is not None and len(found) >= limit:
            break
        record = read_run(path)
        if record is not None:
            found.append(record)
    return found


def find_run(workspace: "Workspace", name: str) -> RunRecord:
    """The run of an id, or of the beginning of one; ``RequestError`` where none or many have it."""
    folder = _folder(workspace)
    names = sorted(path.stem for path in folder.glob("*.jsonl"))
    found = [name] if name in names else [each for each in names if each.startswith(name)]
    if len(found) > 1:
        raise RequestError(f"{len(found)} runs begin with {name!r}, such as {found[0]}; say more")
    record = read_run(folder / f"{found[0]}.jsonl") if found else None
    if record is None:
        raise RequestError(f"there is no run {name!r} in {folder}; see clearcube runs")
    return record


def read_run(path: Path) -> RunRecord | None:
    """A ledger -> what it tells; None where not even its first line is whole."""
    lines = _lines(path)
    start = next(lines, None)
    if start is None or start.get("event") != "start":
        return None
    begun = _time(start["at"])
    record = RunRecord(
        id=path.stem,
        job=str(start.get("job", "")),
        request=start.get("request") or {},
        version=str(start.get("version", "")),
        group=str(start.get("group", "")),
        start=begun,
        end=begun,
        state=RunState.UNKNOWN,
    )
    ended = _take(record, lines)
    record.state = _alive(start) if ended is None else ended
    return record


def _folder(workspace: "Workspace") -> Path:
    """Where ledgers are; looking does not make it."""
    workspace.require()
    return workspace.settings.workspace / "runs"


def _take(record: RunRecord, lines: Iterator[Line]) -> RunState | None:
    """Take in what followed the start of a run -> how it ended, if it did."""
    stages: dict[str, StageRecord] = {}
    planned: set[str] = set()
    ended = None
    for line in lines:
        event = line.get("event")
        record.end = max(record.end, _time(line["at"]))
        if event == "plan":
            planned |= set(line.get("makes", []))
        elif event in ("stage", "done", "failed", "again"):
            _count(record, stages, event, line)
        elif event == "stopped":
            ended, record.cause = RunState.STOPPED, str(line.get("cause", ""))
        elif event == "end":
            # What one command made before, of another plan, is told by the ledger of that.
            record.made = [made for made in line.get("made", []) if made in planned]
            ended = RunState.FAILED if line.get("failed") else RunState.DONE
    record.makes = sorted(planned)
    record.stages = list(stages.values())
    return ended


def _count(record: RunRecord, stages: dict[str, StageRecord], event: str, line: Line) -> None:
    name, at = str(line.get("stage", "")), float(line["at"])
    stage = stages.setdefault(name, StageRecord(name, begun=at))
    stage.ended = at
    if event == "stage":
        stage.planned += int(line.get("units", 0))
    elif event == "again":
        stage.tries += 1
    else:
        stage.done += event == "done"
        stage.failed += event == "failed"
        stage.work += float(line.get("seconds", 0.0))
        stage.cpu += float(line.get("cpu", 0.0))
        stage.read += int(line.get("read", 0))
        stage.written += int(line.get("written", 0))
        stage.peak = max(stage.peak, int(line.get("peak", 0)))
    if event == "failed":
        record.failures.append(Failure(str(line.get("unit", "")), str(line.get("cause", ""))))


def _alive(start: Line) -> RunState:
    """Whether the process that began a ledger is still there; the same one, not its number only."""
    if start.get("host") != socket.gethostname() or not start.get("born"):
        return RunState.UNKNOWN
    born = process_born(int(start["pid"]))
    same = born is not None and abs(born - float(start["born"])) <= SAME_SECONDS
    return RunState.RUNNING if same else RunState.KILLED


def _lines(path: Path) -> Iterator[Line]:
    """Lines that are whole: the last of a run that was killed, or met a full disk, may be cut."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror or error}") from None
    for each in text.splitlines():
        try:
            line = json.loads(each)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("at"), int | float):
            yield line


def _order(path: Path) -> tuple[str, float, str]:
    """Ids begin with the second; within one, the file that was written to last is the newest."""
    try:
        return path.name[:15], path.stat().st_mtime, path.name
    except OSError:
        return path.name[:15], 0.0, path.name


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
