"""The tables of an SQLite catalogue: made in a new file, recognised in an old one."""

import sqlite3
import time
from pathlib import Path

from catalog.backends.sqlite_filter import SqliteDialect
from catalog.errors import BackendError
from catalog.filters.tree import CLOUD_COVER

SCHEMA_VERSION = 2
"""Version of the tables below, kept in the file's ``user_version``; 2 has two more indexes."""

APPLICATION_ID = 0x63_6C_63_62
"""Tells a catalogue ("clcb") from other SQLite files; kept in the file's ``application_id``."""

BUSY_SECONDS = 60.0
"""How long one writer waits for another."""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; refuse a file that is not ours or newer than this code."""
    if _version(db, path) == SCHEMA_VERSION:
        return
    _use_write_ahead_log(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have made the tables while this one waited.
        version = _version(db, path)
        if version != SCHEMA_VERSION:
            for statement in _SCHEMA if version == 0 else _INDEXES:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Schema version of a file, 0 for an empty one; ``BackendError`` for one that is not ours."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = int(db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if version > SCHEMA_VERSION and application in (0, APPLICATION_ID):
        raise BackendError(
            f"catalogue {path}: it is of version {version}, this clearcube knows versions up to "
            f"{SCHEMA_VERSION}; upgrade clearcube"
        )
    if tables and application != APPLICATION_ID:
        raise BackendError(f"catalogue {path}: an SQLite file, but no catalogue of clearcube")
    return version


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Switch the file's journal; SQLite does not wait here for others, so this does."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


CLOUD = SqliteDialect(counting=True).property(CLOUD_COVER)
"""Cloud cover as filters write it: an index is used by those who write the same."""

_INDEXES = (
    "CREATE INDEX items_collection ON items (collection, t0 DESC, id, t1)",
    f"CREATE INDEX items_cloud ON items ({CLOUD}) WHERE {CLOUD} IS NOT NULL",
)
_SCHEMA = (
    "CREATE TABLE collections (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE items (
        rid INTEGER PRIMARY KEY,
        collection TEXT NOT NULL REFERENCES collections (id),
        id TEXT NOT NULL,
        t0 INTEGER NOT NULL,  -- first instant, microseconds since 1970
        t1 INTEGER NOT NULL,  -- last instant, included
        tile TEXT,
        content TEXT NOT NULL,
        UNIQUE (collection, id)
    )""",
    "CREATE INDEX items_order ON items (t0 DESC, collection, id, t1)",
    "CREATE INDEX items_tile ON items (tile, t0 DESC, collection, id, t1)",
    "CREATE INDEX items_id ON items (id)",
    # Days since 1970; rounded outwards, so that exact tests on t0, t1 and geometry follow.
    "CREATE VIRTUAL TABLE items_box USING rtree (rid, west, east, south, north, first, last)",
    """CREATE TRIGGER items_gone AFTER DELETE ON items
       BEGIN DELETE FROM items_box WHERE rid = old.rid; END""",
    *_INDEXES,
)
