"""A catalogue in PostgreSQL, in the tables of pgstac: for teams, and for all that read pgstac.

pgstac keeps the items, in its partitions and with its indexes; searches are made here, so that a
filter and an order mean the same on every backend. All writes go through one lock.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg
from hydraters import hydrate
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from catalog.backends.base import Check, Counts, Document, Page, page_of
from catalog.backends.filter_sql import beyond, order_by
from catalog.backends.pgstac_filter import DIALECT, where
from catalog.backends.pgstac_schema import prepare
from catalog.backends.pgstac_write import write_items
from catalog.backends.rows import Row, Tally, allowed, decoded, encoded, keeping_created
from catalog.errors import BackendError, CatalogError, ItemNotFoundError, QueryError
from catalog.ordering import keys_of, read_token
from catalog.search import Query

BATCH = 1000
"""Items that are handed to the server at once."""
WRITERS = 7_236_828_374_659
"""Key of the advisory lock of those who write: pgstac's partitions and parallel writers may
deadlock."""
EXACT = "clearcube_document"
"""Member of pgstac's private column: an item that pgstac itself would not give back as it came
(it drops nulls, and has a geometry for each)."""
Key = tuple[str, str]


class PgstacCatalog:
    """A :class:`~catalog.backends.base.CatalogBackend` kept by pgstac.

    Safe to share between threads: each takes a connection of the pool.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._url = url
        parts = urlsplit(url)
        self._name = f"{parts.hostname or 'local'}{parts.path}"
        self._pool: Any = ConnectionPool(
            url,
            min_size=0,
            max_size=16,
            timeout=30,
            open=False,
            kwargs={
                "autocommit": True,
                "options": "-c search_path=pgstac,public",
                "connect_timeout": 10,
            },
        )
        try:
            with (
                self._errors(),
                psycopg.connect(
                    url, autocommit=True, options="-c search_path=pgstac,public", connect_timeout=10
                ) as connection,
            ):
                prepare(connection, url, create=create)
        except BackendError as error:
            text = str(error)
            raise (
                error
                if text.startswith("catalogue ")
                else BackendError(f"catalogue {self._name}: {text}")
            ) from None
        self._pool.open()

    @property
    def url(self) -> str:
        """What ``open_catalog`` opens it with."""
        return self._url

    def upsert_collections(
        self, collections: Iterable[Document], *, check: Check | None = None
    ) -> Counts:
        """Create or replace collections; one that is there already as given is left alone."""
        rows = [(str(document["id"]), encoded(document)) for document in collections]
        tally = Tally()
        with self._writing() as connection:
            for name, text in rows:
                found = connection.execute(_COLLECTION, (name,)).fetchone()
                old = None if found is None else encoded(found[0])
                allowed(check, old, text)
                if not tally.same(old, text):
                    connection.execute("SELECT pgstac.upsert_collection(%s::jsonb)", (text,))
        return tally.counts()

    def collections(self) -> list[Document]:
        """Every collection, in order of id."""
        with self._reading() as connection:
            rows = connection.execute(
                'SELECT content FROM pgstac.collections ORDER BY id COLLATE "C"'
            )
            return [content for (content,) in rows]

    def collection(self, collection_id: str) -> Document:
        """One collection; ``ItemNotFoundError`` where there is none."""
        with self._reading() as connection:
            row = connection.execute(_COLLECTION, (_plain(collection_id),)).fetchone()
        if row is None:
            raise ItemNotFoundError(f"no collection {collection_id!r} in {self._name}")
        document: Document = row[0]
        return document

    def delete_collection(self, collection_id: str, *, check: Check | None = None) -> int:
        """Delete a collection and its items, all in one; how many items there were."""
        with self._writing() as connection:
            row = connection.execute(_COLLECTION, (_plain(collection_id),)).fetchone()
            if row is None:
                raise ItemNotFoundError(f"no collection {collection_id!r} in {self._name}")
            allowed(check, encoded(row[0]), encoded(row[0]))
            gone = connection.execute(
                "SELECT count(*) FROM pgstac.items WHERE collection = %s", (collection_id,)
            ).fetchone()
            connection.execute("SELECT pgstac.delete_collection(%s)", (collection_id,))
        return int(gone[0])

    def upsert_items(self, items: Iterable[Document], *, check: Check | None = None) -> Counts:
        """Create or replace items, all or none of them; counted after."""
        rows = [Row(item) for item in items]
        tally = Tally()
        with self._writing() as connection:
            known = {name for (name,) in connection.execute("SELECT id FROM pgstac.collections")}
            for row in rows:
                if row.collection not in known:
                    raise BackendError(
                        f"item {row.id!r}: no collection {row.collection!r} in {self._name}; "
                        "upsert the collection before its items"
                    )
            for start in range(0, len(rows), BATCH):
                self._upsert(connection, rows[start : start + BATCH], tally, check)
        return tally.counts()

    def item(self, collection_id: str, item_id: str) -> Document:
        """One item; ``ItemNotFoundError`` where there is none."""
        with self._reading() as connection:
            row = connection.execute(
                f"{_ITEMS} WHERE collection = %s AND id = %s",
                (_plain(collection_id), _plain(item_id)),
            ).fetchone()
            if row is None:
                raise ItemNotFoundError(f"no item {item_id!r} in {collection_id!r} of {self._name}")
            return BaseItems(connection).document(row)

    def find(self, item_id: str) -> list[Document]:
        """The items of an id, in order of collection; empty where there is none."""
        with self._reading() as connection:
            rows = connection.execute(
                f'{_ITEMS} WHERE id = %s ORDER BY collection COLLATE "C"', (_plain(item_id),)
            ).fetchall()
            return BaseItems(connection).documents(rows)

    def delete_items(self, keys: Iterable[Key], *, check: Check | None = None) -> int:
        """Delete items by (collection, id), all in one; how many were there."""
        wanted = list(keys)
        with self._writing() as connection:
            if check is not None:
                for text in self._there(connection, wanted).values():
                    allowed(check, text, text)
            gone = connection.execute(
                f"DELETE FROM pgstac.items AS items USING {_KEYS}", _columns(wanted)
            ).rowcount
        return int(gone)

    def search(self, query: Query) -> Page:
        """One page of the items that a query asks for."""
        keys = keys_of(query.sortby)
        asked, values = where(query)
        count, bound = f"SELECT count(*) FROM pgstac.items WHERE {asked}", list(values)
        back = False
        if query.token is not None:
            place, back = read_token(query.token, keys)
            asked = f"{asked} AND {beyond(keys, place, DIALECT, values, back=back)}"
        order = order_by(keys, DIALECT, back=back)
        page = f"{_ITEMS} WHERE {asked} ORDER BY {order} LIMIT %s"
        try:
            with self._reading() as connection:
                rows = connection.execute(page, [*values, query.limit + 1]).fetchall()
                found = BaseItems(connection).documents(rows)
                matched = None
                if query.token is None:
                    many = len(rows) > query.limit
                    matched = connection.execute(count, bound).fetchone()[0] if many else len(rows)
        except psycopg.DataError as error:
            raise QueryError(f"the search cannot be computed: {_said(error)}") from None
        return page_of(found, query, keys, matched, back=back)

    def close(self) -> None:
        """Let go of the server."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _upsert(self, connection: Any, rows: list[Row], tally: Tally, check: Check | None) -> None:
        """Write a batch; what is there is read first, so that nothing is written in vain."""
        held: dict[Key, str | None] = {(row.collection, row.id): None for row in rows}
        held |= self._there(connection, list(held))
        changed: dict[Key, str] = {}
        for row in rows:
            key = row.collection, row.id
            old = held[key]
            allowed(check, old, row.text)
            if tally.same(old, row.text):
                continue
            held[key] = changed[key] = row.text if old is None else keeping_created(old, row.text)
        if not changed:
            return
        try:
            write_items(connection, changed.values())
        except psycopg.DataError as error:
            raise CatalogError(f"PostgreSQL cannot keep these items: {_said(error)}") from None
        self._check_kept(connection, changed)

    def _check_kept(self, connection: Any, changed: Mapping[Key, str]) -> None:
        """Read again what was written: count it, and keep whole what pgstac gives otherwise."""
        kept = self._held(connection, list(changed))
        if len(kept) != len(changed):
            raise BackendError(
                f"catalogue {self._name}: it kept {len(kept)} of {len(changed)} items"
            )
        for key, text in changed.items():
            if kept[key] != decoded(text):
                connection.execute(
                    "UPDATE pgstac.items SET private = jsonb_build_object(%s::text, %s::jsonb)"
                    " WHERE collection = %s AND id = %s",
                    (EXACT, text, *key),
                )

    def _held(self, connection: Any, keys: list[Key]) -> dict[Key, Document]:
        """The items of these keys that there are."""
        rows = connection.execute(f"{_ITEMS}, {_KEYS}", _columns(keys)).fetchall()
        found = BaseItems(connection).documents(rows)
        return {(item["collection"], item["id"]): item for item in found}

    def _there(self, connection: Any, keys: list[Key]) -> dict[Key, str]:
        """Texts of the items of these keys that there are."""
        return {key: encoded(item) for key, item in self._held(connection, keys).items()}

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with self._errors(), self._pool.connection() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """One write: all or nothing, one writer at a time."""
        with self._reading() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Anything that PostgreSQL says, as one line that names the database."""
        try:
            yield
        except PoolClosed:
            raise BackendError(f"catalogue {self._name}: it is closed") from None
        except PoolTimeout:
            raise BackendError(f"catalogue {self._name}: no connection in time") from None
        except psycopg.DataError:
            raise
        except psycopg.Error as error:
            raise BackendError(f"catalogue {self._name}: {_said(error)}") from error


class BaseItems:
    """What items of a collection have in common, which pgstac keeps once: read where it is needed.

    pgstac's own function puts it back too, ten times as slowly.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: dict[tuple[str, Any], Any] = {}

    def documents(self, rows: Iterable[Sequence[Any]]) -> list[Document]:
        """Rows of items -> items as they were given."""
        return [self.document(row) for row in rows]

    def document(self, row: Sequence[Any]) -> Document:
        """Collection, id, geometry, content, exact document -> item as it was given."""
        collection, name, geometry, content, exact = row
        document: Document
        if exact is not None:
            document = exact
            return document
        tag = content.pop("pgstac:base_item", None)
        document = hydrate(
            self._base(collection, tag),
            {
                "type": "Feature",
                "id": name,
                "collection": collection,
                "geometry": json.loads(geometry),
                **content,
            },
        )
        # pgstac leaves out the datetime of items that have a period.
        document["properties"].setdefault("datetime", None)
        return document

    def _base(self, collection: str, tag: Any) -> Any:
        key = collection, tag
        if key not in self._known:
            self._known[key] = self._connection.execute(
                "SELECT pgstac.collection_base_item(%s, %s)",
                (collection, None if tag is None else int(tag)),
            ).fetchone()[0]
        return self._known[key]


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    listed = list(keys)
    return [collection for collection, _ in listed], [name for _, name in listed]


def _plain(text: str) -> str:
    """Text that PostgreSQL can hold; one that it cannot is the id of nothing."""
    return text.replace("\0", "�")


def _said(error: Exception) -> str:
    """What the server says, in its first line, without the user and password that it may hold."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[0].split())[:300]


_KEYS = (
    "unnest(%s::text[], %s::text[]) AS wanted (collection, id)"
    " WHERE items.collection = wanted.collection AND items.id = wanted.id"
)
_ITEMS = (
    "SELECT items.collection, items.id, ST_AsGeoJSON(items.geometry, 20), items.content,"
    f" items.private -> '{EXACT}' FROM pgstac.items AS items"
)
_COLLECTION = "SELECT content FROM pgstac.collections WHERE id = %s"
