"""What a catalogue can do, whatever keeps it."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol, Self

from catalog.ordering import Key, place_of, token_of
from catalog.search import Query

Document = dict[str, Any]
"""A STAC collection or item as JSON."""

Check = Callable[[Document | None, Document], None]
"""Called within a write with what is there (None where nothing is) and what is given; what it
raises undoes the whole write."""

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
    """One page of a search, in its order."""

    items: list[Document] = field(default_factory=list)
    next_token: str | None = None
    """Token of the page after; ``None`` on the last one."""
    previous_token: str | None = None
    """Token of the page before; ``None`` on the first one."""
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

    def upsert_collections(
        self, collections: Iterable[Document], *, check: Check | None = None
    ) -> Counts:
        """Create or replace collections; one that is there already as given is left alone."""
        ...

    def collections(self) -> list[Document]:
        """Every collection, in order of id."""
        ...

    def collection(self, collection_id: str) -> Document:
        """One collection; ``ItemNotFoundError`` where there is none."""
        ...

    def delete_collection(self, collection_id: str, *, check: Check | None = None) -> int:
        """Delete a collection and its items, all in one; how many items there were.

        ``check`` is given the collection twice; ``ItemNotFoundError`` where there is none.
        """
        ...

    def upsert_items(self, items: Iterable[Document], *, check: Check | None = None) -> Counts:
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

    def delete_items(self, keys: Iterable[tuple[str, str]], *, check: Check | None = None) -> int:
        """Delete items by (collection, id), all in one; how many were there.

        ``check`` is given each that is there, twice.
        """
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


def page_of(
    documents: list[Document], query: Query, keys: Sequence[Key], matched: int | None, *, back: bool
) -> Page:
    """The items that a store gave, one more than the page holds where there are more -> page."""
    more = len(documents) > query.limit
    items = documents[: query.limit]
    if back:
        items.reverse()
    after = more if not back else bool(items)
    before = more if back else query.token is not None and bool(items)
    return Page(
        items=items,
        next_token=token_of(place_of(items[-1], keys)) if after else None,
        previous_token=token_of(place_of(items[0], keys), back=True) if before else None,
        matched=matched,
    )


def search_all(catalog: CatalogBackend, query: Query) -> Iterator[Document]:
    """Every item that a query asks for, page after page (``query.limit`` is the page)."""
    while True:
        page = catalog.search(query)
        yield from page.items
        if page.next_token is None:
            return
        query = replace(query, token=page.next_token)
