"""The tables of an SQLite catalogue: made in a new file, recognised in an old one."""

import sqlite3
import time
from pathlib import Path

from catalog.errors import BackendError

SCHEMA_VERSION = 3
"""Version of the tables below, kept in the file's ``user_version``; 3 has documents in a table of
their own."""

APPLICATION_ID = 0x63_6C_63_62
"""Tells a catalogue ("clcb") from other SQLite files; kept in the file's ``application_id``."""

BUSY_SECONDS = 60.0
"""How long one writer waits for another."""

CACHE_KIB = 65_536
"""Memory of a write: with SQLite's 2 MiB, a page of an index that many items of a transaction belong
on is written, and read again, for most of them."""


READ_CACHE_KIB = 2_048
"""Of a connection else; the system keeps the file's pages too."""


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
            for statement in _SCHEMA if version == 0 else _renewed(version):
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


# What a search chooses and sorts by is in rows of some 100 bytes; the documents, a hundred times as
# long, are read where they are sent, and their properties where a filter names them.
_ITEMS = """CREATE TABLE items (
        rid INTEGER PRIMARY KEY,
        collection TEXT NOT NULL REFERENCES collections (id),
        id TEXT NOT NULL,
        t0 INTEGER NOT NULL,  -- first instant, microseconds since 1970
        t1 INTEGER NOT NULL,  -- last instant, included
        tile TEXT,
        cloud,  -- a number, or NULL
        level TEXT,
        superseded INTEGER NOT NULL,
        grid TEXT,  -- grid:code as it is said, of which tile is the end
        UNIQUE (id, collection)
    )"""
_DOCUMENTS = """CREATE TABLE documents (
        rid INTEGER PRIMARY KEY,
        outline TEXT NOT NULL,  -- geometry and bbox, once more
        properties TEXT NOT NULL,  -- once more
        content TEXT NOT NULL
    )"""
# How many items a collection has, and the longest of their periods, microseconds; added to at the
# end of a write, since a trigger for each item costs a fifth of it.
_TALLIES = """CREATE TABLE tallies (
        collection TEXT PRIMARY KEY, items INTEGER NOT NULL, longest INTEGER NOT NULL
    ) WITHOUT ROWID"""
_GONE = """CREATE TRIGGER items_gone AFTER DELETE ON items BEGIN
       DELETE FROM items_box WHERE rid = old.rid;
       DELETE FROM documents WHERE rid = old.rid;
       UPDATE tallies SET items = items - 1 WHERE collection = old.collection; END"""
_INDEXES = (
    "CREATE INDEX items_order ON items (t0 DESC, collection, id, t1)",
    "CREATE INDEX items_tile ON items (tile, t0 DESC, collection, id, t1)",
    "CREATE INDEX items_collection ON items (collection, t0 DESC, id, t1)",
    "CREATE INDEX items_cloud ON items (cloud, t0 DESC, collection, id)",
)
_SCHEMA = (
    "CREATE TABLE collections (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
    _ITEMS,
    _DOCUMENTS,
    # Days since 1970; rounded outwards, so that exact tests on t0, t1 and geometry follow.
    "CREATE VIRTUAL TABLE items_box USING rtree (rid, west, east, south, north, first, last)",
    *_INDEXES,
    _TALLIES,
    _GONE,
)


def _renewed(version: int) -> tuple[str, ...]:
    """What makes tables of version 1 or 2, whose items held their documents, those above."""
    known = ["items_order", "items_tile", "items_id"]
    known += ["items_collection", "items_cloud"] if version == 2 else []
    cloud = """'$.properties."eo:cloud_cover"'"""
    level = """'$.properties."clearcube:level"'"""
    grid = """'$.properties."grid:code"'"""
    return (
        *(f"DROP INDEX {name}" for name in known),
        "DROP TRIGGER items_gone",
        "ALTER TABLE items RENAME TO items_before",
        _ITEMS,
        _DOCUMENTS,
        _TALLIES,
        f"""INSERT INTO items SELECT rid, collection, id, t0, t1, tile,
            CASE WHEN json_type(content, {cloud}) IN ('integer', 'real')
                THEN json_extract(content, {cloud}) END,
            CASE json_type(content, {level}) WHEN 'text' THEN json_extract(content, {level}) END,
            coalesce(json_type(content, '$.properties."clearcube:superseded_by"'), 'null') <> 'null',
            CASE json_type(content, {grid}) WHEN 'text' THEN json_extract(content, {grid}) END
            FROM items_before""",
        """INSERT INTO documents SELECT rid,
            json_object('bbox', json_extract(content, '$.bbox'),
                'geometry', json_extract(content, '$.geometry')),
            json_extract(content, '$.properties'), content FROM items_before""",
        "DROP TABLE items_before",
        """INSERT INTO tallies SELECT collection, count(*), max(t1 - t0) FROM items
            GROUP BY collection""",
        *_INDEXES,
        _GONE,
    )
