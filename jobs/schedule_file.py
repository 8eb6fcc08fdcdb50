"""A schedule as written: when which sources are ingested and which jobs are run."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from zoneinfo import ZoneInfo

from catalog.errors import CatalogError, QueryError
from catalog.search import normalise_tile, parse_query
from cube.errors import CubeError
from jobs.errors import JobError, RequestError
from jobs.job import Failure, Outcome
from jobs.moments import Cron, resolve, time_zone
from jobs.registry import find_job

if TYPE_CHECKING:
    from jobs.workspace import Workspace

CatchUp = Literal["one", "all", "none"]
"""What several missed moments come to: a run for the last, one for each, none."""

STALE = "stale"
"""What ``run`` calls making again all that is stale; no job bears this name."""

NOTHING = "nothing in it answers the search"
"""Cause that ingest gives for a source without items: at night that is no failure, no satellite
passed."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """A step: sources into the catalogue."""

    sources: tuple[str, ...]
    conditions: Mapping[str, Any]
    """As of a search; dates may be relative."""

    def check(self, moment: datetime) -> None:
        """``CatalogError`` or ``JobError`` where it could not be done at a moment."""
        parse_query(**resolve(self.conditions, moment))

    def parts(self, moment: datetime) -> Iterator["Part"]:
        """What is done one after the other."""
        yield Part(self.sources, None, resolve(self.conditions, moment))


@dataclass(frozen=True, slots=True)
class Run:
    """A step: a job for each of some tiles, or all that is stale."""

    job: str
    request: Mapping[str, Any]
    """Parameters of the job but its tile; dates may be relative."""
    tiles: tuple[str, ...]
    """Empty: the request is one, without a tile."""

    def check(self, moment: datetime) -> None:
        """``CatalogError`` or ``JobError`` where it could not be done at a moment."""
        if self.job == STALE:
            for name in self.request:
                raise RequestError(f"{name}: {STALE} takes a tile, and nothing else")
            return
        from jobs.runner.run import parse_request

        for part in self.parts(moment):
            parse_request(find_job(self.job), part.values)

    def parts(self, moment: datetime) -> Iterator["Part"]:
        """What is done one after the other."""
        request = resolve(self.request, moment)
        for tile in self.tiles:
            yield Part((), self.job, {**request, "tile": tile})
        if not self.tiles:
            yield Part((), self.job, request)


Step = Ingest | Run


@dataclass(frozen=True, slots=True)
class Part:
    """One call of the workspace: what is not begun any more once a schedule is told to stop."""

    sources: tuple[str, ...]
    job: str | None
    values: Mapping[str, Any]

    def carry_out(self, workspace: "Workspace") -> Outcome:
        """Do it; what makes it impossible is a failure of the outcome."""
        try:
            if self.job is None:
                return _not_empty(workspace.ingest(*self.sources, **self.values))
            if self.job == STALE:
                return workspace.run_stale(**self.values)
            return workspace.run(self.job, **self.values)
        except (CubeError, CatalogError, JobError, OSError) as error:
            name = self.job or self.sources[0]
            return Outcome(failures=[Failure(str(self.values.get("tile", name)), str(error))])


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """Steps and when they are taken."""

    name: str
    cron: Cron
    steps: tuple[Step, ...]
    catch_up: CatchUp = "one"
    attempts: int = 3
    """Times that a run may fail before its moment is given up."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule file, checked."""

    path: Path
    zone: ZoneInfo
    jobs: tuple[ScheduledJob, ...]
    workspace: Path | None = None


def read_schedule(path: Path, now: datetime) -> Schedule:
    """TOML file -> schedule; ``RequestError`` names the table and key that cannot be.

    Requests of jobs are checked as if they were made now.
    """
    document = _toml(path)
    try:
        _require_known(document, ("timezone", "workspace", "job"))
        zone = _zone(document)
        jobs = _jobs(document, path.absolute().parent, zone, now)
        workspace = _text(document, "workspace", "")
    except (CubeError, CatalogError, JobError) as error:
        raise RequestError(f"{path}: {error}") from None
    home = path.absolute().parent / workspace if workspace else None
    return Schedule(path, zone, jobs, home)


# --- tables ---------------------------------------------------------------------------------------

_OWN = ("name", "cron", "catch_up", "attempts", "steps")
"""Keys of a job; the others are those of its only step."""
_CONDITIONS = {
    "collection": "collections",
    "tile": "tile",
    "bbox": "bbox",
    "datetime": "datetime",
    "max_cloud": "max_cloud",
}
"""Conditions of an ingest -> those of a search."""


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise RequestError(f"{path} is no TOML: {error}") from None


def _zone(document: Mapping[str, Any]) -> ZoneInfo:
    name = _text(document, "timezone", "UTC")
    try:
        return time_zone(name)
    except RequestError as error:
        raise RequestError(f"timezone: {error}") from None


def _jobs(
    document: Mapping[str, Any], folder: Path, zone: ZoneInfo, now: datetime
) -> tuple[ScheduledJob, ...]:
    tables = document.get("job", [])
    if not _are_tables(tables):
        raise RequestError("job: write [[job]] above each of them")
    if not tables:
        raise RequestError("there is no [[job]] in it")
    jobs: list[ScheduledJob] = []
    for number, table in enumerate(tables, start=1):
        place = f"job {table['name']!r}" if _is_name(table.get("name")) else f"job {number}"
        try:
            job = _job(_plain_keys(table), folder, zone, now)
            if job.name in {other.name for other in jobs}:
                raise RequestError("name: another job has it")
        except (CubeError, CatalogError, JobError) as error:
            raise RequestError(f"{place}: {error}") from None
        jobs.append(job)
    return tuple(jobs)


def _job(table: dict[str, Any], folder: Path, zone: ZoneInfo, now: datetime) -> ScheduledJob:
    if not _is_name(table.get("name")):
        raise RequestError("name: every job has one, a text on one line")
    try:
        cron = Cron(_text(table, "cron"), zone)
    except RequestError as error:
        raise RequestError(f"cron: {str(error).removeprefix('cron: ')}") from None
    catch_up = table.get("catch_up", "one")
    if catch_up not in get_args(CatchUp):
        raise RequestError(f"catch-up: {catch_up!r} is none of {' '.join(get_args(CatchUp))}")
    attempts = table.get("attempts", 3)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
        raise RequestError(f"attempts: {attempts!r} is no number from 1 on")
    steps = _steps(table, folder, now.astimezone(zone))
    return ScheduledJob(str(table["name"]), cron, steps, catch_up, attempts)


def _steps(table: dict[str, Any], folder: Path, now: datetime) -> tuple[Step, ...]:
    rest = {name: value for name, value in table.items() if name not in _OWN}
    if "steps" not in table:
        return (_step(rest, folder, now),)
    for name in rest:
        raise RequestError(f"{_shown(name)}: it belongs into one of the steps")
    steps = table["steps"]
    if not _are_tables(steps) or not steps:
        raise RequestError("steps: write a list of tables, each with ingest or run")
    found = []
    for number, step in enumerate(steps, start=1):
        try:
            found.append(_step(_plain_keys(step), folder, now))
        except (CubeError, CatalogError, JobError) as error:
            raise RequestError(f"step {number}: {error}") from None
    return tuple(found)


def _step(table: dict[str, Any], folder: Path, now: datetime) -> Step:
    if ("ingest" in table) == ("run" in table):
        raise RequestError("write one of ingest = [SOURCE, ...] and run = JOB")
    step = _ingest(table, folder) if "ingest" in table else _run(table)
    step.check(now)
    return step


def _ingest(table: dict[str, Any], folder: Path) -> Ingest:
    sources = _texts(table, "ingest")
    _require_known(table, ("ingest", *_CONDITIONS))
    conditions = {full: table[name] for name, full in _CONDITIONS.items() if name in table}
    for name in ("collection", "tile"):
        if name in table:
            conditions[_CONDITIONS[name]] = _texts(table, name)
    if "datetime" in table:
        _text(table, "datetime")
    if "bbox" in table and not isinstance(table["bbox"], str | list):
        raise RequestError(f"bbox: {table['bbox']!r} is no west,south,east,north")
    cloud = table.get("max_cloud", 0)
    if not isinstance(cloud, int | float) or isinstance(cloud, bool):
        raise RequestError(f"max-cloud: {cloud!r} is no percentage")
    return Ingest(tuple(_source(text, folder) for text in sources), conditions)


def _run(table: dict[str, Any]) -> Run:
    job = _text(table, "run")
    if job != STALE:
        try:
            find_job(job)
        except RequestError as error:
            raise RequestError(f"run: {error} {STALE}") from None
    request = {name: value for name, value in table.items() if name not in ("run", "tile")}
    try:
        tiles = [normalise_tile(tile) for tile in _texts(table, "tile")] if "tile" in table else []
    except QueryError as error:
        raise RequestError(f"tile: {error}") from None
    return Run(job, request, tuple(dict.fromkeys(tiles)))


def _source(text: str, folder: Path) -> str:
    """Folders and files as seen from the schedule, which may run in any directory."""
    return text if "://" in text else str(folder / Path(text).expanduser())


def _not_empty(outcome: Outcome) -> Outcome:
    """An ingest in which sources without items are notes."""
    empty = [failure for failure in outcome.failures if failure.cause == NOTHING]
    outcome.failures = [failure for failure in outcome.failures if failure.cause != NOTHING]
    outcome.notes += [f"{failure.key}: {failure.cause}" for failure in empty]
    return outcome


# --- keys -----------------------------------------------------------------------------------------


def _plain_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as the command line writes its options, or as Python does."""
    return {name.replace("-", "_"): value for name, value in table.items()}


def _shown(name: str) -> str:
    return name.replace("_", "-")


def _require_known(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            shown = " ".join(_shown(each) for each in known)
            raise RequestError(f"{_shown(name)}: there is no such key; there are {shown}")


def _text(table: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = table.get(name, default)
    if value is None:
        raise RequestError(f"{_shown(name)}: it is missing")
    if not isinstance(value, str):
        raise RequestError(f"{_shown(name)}: {value!r} is no text")
    return value


def _texts(table: Mapping[str, Any], name: str) -> list[str]:
    value = table[name]
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise RequestError(f"{_shown(name)}: {value!r} is neither a text nor a list of texts")
    return values


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.strip() == value != "" and value.isprintable()
