"""What a schedule has done: a row for each job and moment, kept in the workspace.

A row is written before a run begins and again after it has ended, each time on disk before the
call returns: what was killed in between is seen to have begun and not ended.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from jobs.errors import WorkspaceError

FILE = "schedule.db"
"""Name of the history within ``runs/``."""


class Status(StrEnum):
    """How far the run of a moment came."""

    BEGUN = "begun"
    """At work, or killed at work: done again."""
    STOPPED = "stopped"
    """Ended in order before it was whole: done again."""
    RETRY = "retry"
    """Failed, and tried again."""
    DONE = "done"
    FAILED = "failed"
    """Failed as often as it may."""
    MISSED = "missed"
    """Not run, as the job does not catch up, or a later moment was run in its place."""

    @property
    def is_open(self) -> bool:
        """Whether the run is yet to be done."""
        return self in (Status.BEGUN, Status.STOPPED, Status.RETRY)


@dataclass(frozen=True, slots=True)
class Row:
    """The run of a job for a moment."""

    job: str
    moment: datetime
    """UTC."""
    status: Status
    begun: datetime | None = None
    ended: datetime | None = None
    tries: int = 0
    """Times that it began."""
    failures: int = 0
    """Times that it failed."""
    figures: Mapping[str, int] = field(default_factory=dict)
    causes: str = ""


class History:
    """Rows of all jobs; opened by :func:`open_history`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection

    def rows(self, job: str | None = None) -> list[Row]:
        """Rows of a job or all, latest moment first."""
        where, values = ("where job = ?", (job,)) if job is not None else ("", ())
        with self._told():
            found = self._connection.execute(
                f"select {_COLUMNS} from runs {where} order by moment desc, job", values
            ).fetchall()
        return [_row(values) for values in found]

    def begin(self, job: str, moment: datetime, now: datetime) -> Row:
        """A run begins, for the first time or again."""
        with self._told(), self._connection:
            self._connection.execute(
                "insert into runs (job, moment, status, begun, tries) values (?, ?, ?, ?, 1) "
                "on conflict (job, moment) do update set "
                "status = excluded.status, begun = excluded.begun, ended = null, tries = tries + 1",
                (job, _text(moment), Status.BEGUN, _text(now)),
            )
        return self._one(job, moment)

    def end(
        self,
        job: str,
        moment: datetime,
        status: Status,
        now: datetime,
        figures: Mapping[str, int],
        causes: str,
    ) -> Row:
        """A run has ended."""
        failed = status in (Status.RETRY, Status.FAILED)
        with self._told(), self._connection:
            self._connection.execute(
                "update runs set status = ?, ended = ?, figures = ?, causes = ?, "
                "failures = failures + ? where job = ? and moment = ?",
                (
                    *(status, _text(now), json.dumps(dict(figures)), causes),
                    *(int(failed), job, _text(moment)),
                ),
            )
        return self._one(job, moment)

    def miss(self, job: str, moment: datetime, cause: str) -> None:
        """A moment is not run any more."""
        with self._told(), self._connection:
            self._connection.execute(
                "insert into runs (job, moment, status, causes) values (?, ?, ?, ?) "
                "on conflict (job, moment) do update set "
                "status = excluded.status, causes = excluded.causes",
                (job, _text(moment), Status.MISSED, cause),
            )

    def _one(self, job: str, moment: datetime) -> Row:
        with self._told():
            found = self._connection.execute(
                f"select {_COLUMNS} from runs where job = ? and moment = ?", (job, _text(moment))
            ).fetchone()
        return _row(found)

    @contextmanager
    def _told(self) -> Iterator[Self]:
        try:
            yield self
        except sqlite3.Error as error:
            raise WorkspaceError(f"cannot use {self.path}: {error}") from error


@contextmanager
def open_history(path: Path) -> Iterator[History]:
    """File of a history, made where it is not there -> history."""
    try:
        # FULL: a commit is on disk when it returns, also where the machine loses power.
        connection = sqlite3.connect(path, timeout=60)
        with closing(connection):
            connection.execute("pragma synchronous = full")
            connection.execute(_TABLE)
            yield History(path, connection)
    except sqlite3.Error as error:
        raise WorkspaceError(f"cannot use {path}: {error}") from error


_COLUMNS = "job, moment, status, begun, ended, tries, failures, figures, causes"
_TABLE = """
create table if not exists runs (
    job text not null,
    moment text not null,
    status text not null,
    begun text,
    ended text,
    tries integer not null default 0,
    failures integer not null default 0,
    figures text not null default '{}',
    causes text not null default '',
    primary key (job, moment)
)
"""


def _row(values: tuple[Any, ...]) -> Row:
    job, moment, status, begun, ended, tries, failures, figures, causes = values
    return Row(
        *(job, datetime.fromisoformat(moment), Status(status), _time(begun), _time(ended)),
        *(tries, failures, json.loads(figures), causes),
    )


def _text(moment: datetime) -> str:
    """UTC to the second, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
