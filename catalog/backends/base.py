"""What a catalogue can do, whatever keeps it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol, Self

from catalog.search import Query

Document = dict[str, Any]
"""A STAC collection or item as JSON."""

ITEM_ID = re.compile(r"[A-Za-z0-9_.-]+")
"""What an id may be made of: it is part of URLs and of file names."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What an upsert did."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """Items given."""
        return self.created + self.updated + self.unchanged


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search, latest first, then by collection and id."""

    items: list[Document] = field(default_factory=list)
    next_token: str | None = None
    """Token of the page after; ``None`` on the last one."""
    matched: int | None = None
    """Items on all pages together; counted for the first page only."""


class CatalogBackend(Protocol):
    """A store of STAC collections and items.

    Every method raises ``BackendError`` where the store cannot be read or written. A later kind
    of search is a further field of :class:`~catalog.search.Query`; methods stay as they are.
    """

    @property
    def url(self) -> str:
        """What :func:`catalog.backends.open_catalog` opens it with."""
        ...

    def upsert_collections(self, collections: Iterable[Document]) -> Counts:
        """Create or replace collections; one that is there already as given is left alone."""
        ...

    def collections(self) -> list[Document]:
        """Every collection, in order of id."""
        ...

    def collection(self, collection_id: str) -> Document:
        """One collection; ``ItemNotFoundError`` where there is none."""
        ...

    def upsert_items(self, items: Iterable[Document]) -> Counts:
        """Create or replace items, all or none of them.

        An item that differs in ``created`` and ``updated`` only is unchanged and not written; one
        that is replaced keeps the ``created`` it had. Its collection must be there.
        """
        ...

    def item(self, collection_id: str, item_id: str) -> Document:
        """One item; ``ItemNotFoundError`` where there is none."""
        ...

    def find(self, item_id: str) -> list[Document]:
        """The items of an id, in order of collection; empty where there is none."""
        ...

    def delete_items(self, keys: Iterable[tuple[str, str]]) -> int:
        """Delete items by (collection, id), all in one; how many were there."""
        ...

    def search(self, query: Query) -> Page:
        """One page of the items that a query asks for."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def search_all(catalog: CatalogBackend, query: Query) -> Iterator[Document]:
    """Every item that a query asks for, page after page (``query.limit`` is the page)."""
    while True:
        page = catalog.search(query)
        yield from page.items
        if page.next_token is None:
            return
        query = replace(query, token=page.next_token)
