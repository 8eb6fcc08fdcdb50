"""A catalogue in one SQLite file: JSON documents, an R*Tree, nothing but the standard library.

Any number of processes may read while one writes (write-ahead log); writers wait for each other.
The file belongs on a local disk: the write-ahead log needs memory shared by all who have it open.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from catalog.backends.base import Check, Counts, Document, Page, page_of
from catalog.backends.filter_sql import GRID_CODE, Values, beyond, order_by
from catalog.backends.rows import Row, Tally, allowed, decoded, encoded, keeping_created
from catalog.backends.sqlite_filter import add_functions
from catalog.backends.sqlite_query import (
    COUNT,
    DAY,
    FEW,
    LEVEL,
    PAGE,
    candidates,
    in_order_of_cloud,
    source,
    tallied,
    where,
)
from catalog.backends.sqlite_schema import BUSY_SECONDS, CACHE_KIB, READ_CACHE_KIB, prepare
from catalog.errors import BackendError, ItemNotFoundError
from catalog.filters.evaluation import value_of
from catalog.filters.tree import CLOUD_COVER
from catalog.footprint import Bbox
from catalog.moments import ticks
from catalog.ordering import Key, keys_of, read_token
from catalog.queryables import Kind
from catalog.search import Query


class SqliteCatalog:
    """A :class:`~catalog.backends.base.CatalogBackend` kept in one SQLite file.

    Safe to share between threads: each has its own connection.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        if not create and not path.is_file():
            raise BackendError(f"catalogue {path}: no such file; ingest something first")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(
                f"catalogue {path}: cannot make {path.parent}: {error.strerror or error}"
            ) from None
        try:
            with self._errors():
                prepare(self._connection(), path)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """What ``open_catalog`` opens it with."""
        return f"sqlite:///{self._path}"

    def upsert_collections(
        self, collections: Iterable[Document], *, check: Check | None = None
    ) -> Counts:
        """Create or replace collections; one that is there already as given is left alone."""
        rows = [(str(document["id"]), encoded(document)) for document in collections]
        tally = Tally()
        with self._errors(), self._transaction() as db:
            for name, text in rows:
                old = db.execute("SELECT content FROM collections WHERE id = ?", (name,)).fetchone()
                allowed(check, old and old[0], text)
                if tally.same(old and old[0], text):
                    continue
                db.execute(
                    "INSERT INTO collections (id, content) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET content = excluded.content",
                    (name, text),
                )
        return tally.counts()

    def collections(self) -> list[Document]:
        """Every collection, in order of id."""
        with self._errors():
            rows = self._connection().execute("SELECT content FROM collections ORDER BY id")
            return [decoded(text) for (text,) in rows]

    def collection(self, collection_id: str) -> Document:
        """One collection; ``ItemNotFoundError`` where there is none."""
        with self._errors():
            row = (
                self._connection()
                .execute("SELECT content FROM collections WHERE id = ?", (collection_id,))
                .fetchone()
            )
        if row is None:
            raise ItemNotFoundError(f"no collection {collection_id!r} in {self._path}")
        return decoded(row[0])

    def delete_collection(self, collection_id: str, *, check: Check | None = None) -> int:
        """Delete a collection and its items, all in one; how many items there were."""
        with self._errors(), self._transaction() as db:
            row = db.execute(
                "SELECT content FROM collections WHERE id = ?", (collection_id,)
            ).fetchone()
            if row is None:
                raise ItemNotFoundError(f"no collection {collection_id!r} in {self._path}")
            allowed(check, row[0], row[0])
            gone = db.execute("DELETE FROM items WHERE collection = ?", (collection_id,)).rowcount
            db.execute("DELETE FROM collections WHERE id = ?", (collection_id,))
        return gone

    def upsert_items(self, items: Iterable[Document], *, check: Check | None = None) -> Counts:
        """Create or replace items, all or none of them."""
        # Encoded before the lock is taken: `items` may come slowly, from a network.
        rows = [Row(item) for item in items]
        tally, added = Tally(), _Added()
        with self._errors(), self._transaction() as db:
            known = {name for (name,) in db.execute("SELECT id FROM collections")}
            for row in rows:
                if row.collection not in known:
                    raise BackendError(
                        f"item {row.id!r}: no collection {row.collection!r} in {self._path}; "
                        "upsert the collection before its items"
                    )
                _upsert(db, row, tally, added, check)
            db.executemany(_TALLIED, added.rows())
        return tally.counts()

    def item(self, collection_id: str, item_id: str) -> Document:
        """One item; ``ItemNotFoundError`` where there is none."""
        with self._errors():
            row = self._connection().execute(_ITEM, (collection_id, item_id)).fetchone()
        if row is None:
            raise ItemNotFoundError(f"no item {item_id!r} in {collection_id!r} of {self._path}")
        return decoded(row[0])

    def find(self, item_id: str) -> list[Document]:
        """The items of an id, in order of collection; empty where there is none."""
        with self._errors():
            rows = self._connection().execute(
                "SELECT content FROM items JOIN documents USING (rid) WHERE id = ?"
                " ORDER BY collection",
                (item_id,),
            )
            return [decoded(text) for (text,) in rows]

    def delete_items(self, keys: Iterable[tuple[str, str]], *, check: Check | None = None) -> int:
        """Delete items by (collection, id), all in one; how many were there."""
        gone = 0
        wanted = list(keys)
        with self._errors(), self._transaction() as db:
            for key in wanted:
                if check is not None:
                    for (text,) in db.execute(_ITEM, key).fetchall():
                        allowed(check, text, text)
                gone += db.execute(
                    "DELETE FROM items WHERE collection = ? AND id = ?", key
                ).rowcount
        return gone

    def search(self, query: Query) -> Page:
        """One page of the items that a query asks for."""
        keys = keys_of(query.sortby)
        with self._errors(), self._snapshot() as db:
            asked = _Asked(db, query)
            found, back = asked.page(keys)
            matched = asked.matched(len(found)) if query.token is None else None
            documents = [
                decoded(db.execute(_CONTENT, (rid,)).fetchone()[0])
                for rid in found[: query.limit + 1]
            ]
        return page_of(documents, query, keys, matched, back=back)

    def close(self) -> None:
        """Let go of the file, in every thread."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                connection.close()
            self._open.clear()
            self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        """Connection of this thread; a process that was forked opens its own."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        if self._closed:
            raise BackendError(f"catalogue {self._path}: it is closed")
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self._lock:
            self._open.append(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        add_functions(connection)
        self._local.held = (os.getpid(), connection)
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write: the lock is taken at the start, so that it never fails half-way for it."""
        db = self._connection()
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        finally:
            # Every thread has a connection: what it does not need, it lets go.
            db.execute(f"PRAGMA cache_size = -{READ_CACHE_KIB}")

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """The catalogue as it is now, whatever is written meanwhile."""
        db = self._connection()
        inside = db.in_transaction  # of a write, whose check asks
        if inside:
            yield db
            return
        db.execute("BEGIN")
        try:
            yield db
        finally:
            if db.in_transaction:
                db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Anything that SQLite says, as one line that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise BackendError(f"catalogue {self._path}: {_advised(error)}") from error


class _Asked:
    """A query and how it is best put to a catalogue as it is."""

    def __init__(self, db: sqlite3.Connection, query: Query) -> None:
        self._db = db
        self._query = query
        near = candidates(query)
        # Whether its place holds so few items that it is best begun there.
        self._few = near is not None and db.execute(*near).fetchone()[0] < FEW
        self._since = None if self._few else _since(db, query)

    def page(self, keys: tuple[Key, ...]) -> tuple[list[int], bool]:
        """Rows of the page and more, in order; and whether it is one before a place."""
        query, back = self._query, False
        asked, values = where(query, PAGE, few=self._few, since=self._since)
        if query.token is not None:
            place, back = read_token(query.token, keys)
            asked = f"{asked} AND {beyond(keys, place, PAGE, values, back=back)}"
        order = order_by(keys, COUNT if in_order_of_cloud(query) else PAGE, back=back)
        text = f"SELECT rid FROM {source(asked, order)} WHERE {asked} ORDER BY {order}"
        if not self._few:
            text += " LIMIT ?"
            values.append(query.limit + 1)
        return [rid for (rid,) in self._db.execute(text, values)], back

    def matched(self, found: int) -> int:
        """How many items there are on all pages; ``found`` are known of the first."""
        if self._few or found <= self._query.limit:
            return found
        kept = tallied(self._query)
        asked = kept or _counted(where(self._query, COUNT, since=self._since))
        return int(self._db.execute(*asked).fetchone()[0] or 0)


def _counted(asked: tuple[str, Values]) -> tuple[str, Values]:
    return f"SELECT count(*) FROM {source(asked[0])} WHERE {asked[0]}", asked[1]


def _since(db: sqlite3.Connection, query: Query) -> int | None:
    """Before what no item that answers begins: the start less the longest period that there is."""
    start = (query.datetime or (None, None))[0]
    if start is None:
        return None
    names = json.dumps(query.collections)
    longest = db.execute(_LONGEST, (names, names)).fetchone()[0]
    return ticks(start) - int(longest or 0)


class _Added:
    """What a write adds to the tallies of collections."""

    def __init__(self) -> None:
        self._items: dict[str, tuple[int, int]] = {}

    def note(self, collection: str, count: int, length: int) -> None:
        """So many more items, of a period of that length."""
        items, longest = self._items.get(collection, (0, 0))
        self._items[collection] = items + count, max(longest, length)

    def rows(self) -> list[tuple[str, int, int]]:
        """Collection, items more, longest period."""
        return [(name, *values) for name, values in self._items.items()]


def _upsert(
    db: sqlite3.Connection, row: Row, tally: Tally, added: _Added, check: Check | None
) -> None:
    found = db.execute(_FOUND, (row.collection, row.id)).fetchone()
    allowed(check, found and found[1], row.text)
    if tally.same(found and found[1], row.text):
        return
    t0, t1 = ticks(row.first), ticks(row.last)
    item, text = row.item, row.text
    if found is not None:
        text = keeping_created(found[1], text)
        item = decoded(text)
    added.note(row.collection, int(found is None), t1 - t0)
    said = (value_of(item, *each) for each in _SAID)
    columns = (t0, t1, row.tile, *said, _is_superseded(item))
    if found is None:
        rid = db.execute(_NEW, (row.collection, row.id, *columns)).lastrowid
    else:
        rid = found[0]
        db.execute(_CHANGED, (*columns, rid))
        db.execute("DELETE FROM items_box WHERE rid = ?", (rid,))
    outline = encoded({"bbox": item.get("bbox"), "geometry": item.get("geometry")})
    document = (rid, outline, encoded(item["properties"]), text)
    db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", document)
    if row.box is not None:
        west, south, east, north = _tree_box(row.box)
        box = (rid, west, east, south, north, t0 / DAY, t1 / DAY)
        db.execute("INSERT INTO items_box VALUES (?, ?, ?, ?, ?, ?, ?)", box)


def _is_superseded(item: Mapping[str, Any]) -> bool:
    return item["properties"].get("clearcube:superseded_by") is not None


def _tree_box(box: Bbox) -> Bbox:
    """Bbox as the R*Tree holds it: widened a hair, the whole round where it crosses 180 degrees."""
    west, south, east, north = box
    if west > east:
        west, east = -180.0, 180.0
    # The R*Tree rounds to 32 bits, outwards; the margin keeps the least of doubles inside too.
    return west - _MARGIN, south - _MARGIN, east + _MARGIN, north + _MARGIN


def _advised(error: sqlite3.Error) -> str:
    """What SQLite says, with what to do about it."""
    said = " ".join(str(error).split())
    for word, advice in _ADVICE.items():
        if word in said:
            return f"{said}; {advice}"
    return said


_MARGIN = 1e-6
_SAID: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (CLOUD_COVER.path, "number"),
    (LEVEL.path, "text"),
    (GRID_CODE, "text"),
)
"""Properties that have a column."""
_FOUND = """SELECT rid, content FROM items JOIN documents USING (rid)
    WHERE collection = ? AND id = ?"""
_NEW = """INSERT INTO items (collection, id, t0, t1, tile, cloud, level, grid, superseded)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHANGED = """UPDATE items SET t0 = ?, t1 = ?, tile = ?, cloud = ?, level = ?, grid = ?,
    superseded = ? WHERE rid = ?"""
_TALLIED = """INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT DO UPDATE
    SET items = items + excluded.items, longest = max(longest, excluded.longest)"""
_LONGEST = """SELECT max(longest) FROM tallies
    WHERE ? = '[]' OR collection IN (SELECT value FROM json_each(?))"""
_CONTENT = "SELECT content FROM documents WHERE rid = ?"
_ITEM = """SELECT content FROM documents WHERE rid =
    (SELECT rid FROM items WHERE collection = ? AND id = ?)"""
_ADVICE = {
    "not a database": "give the path of a catalogue, or of a file that does not exist yet",
    "malformed": "the file is damaged: restore it, or ingest anew into another one",
    "unable to open": "check that the folder exists and may be written",
    "readonly": "check that file and folder may be written",
    "full": "make room on its disk and run again",
    "disk I/O": "check that its disk is sound and has room",
    "locked": "another process writes to it: wait for that and run again",
}
