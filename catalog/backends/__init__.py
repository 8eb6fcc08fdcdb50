"""The stores that a catalogue can live in, one file each."""

from pathlib import Path

from catalog.backends.base import CatalogBackend
from catalog.backends.sqlite import SqliteCatalog
from catalog.errors import BackendError

__all__ = ["CatalogBackend", "open_catalog", "shown_url"]


def open_catalog(url: str, *, create: bool = True) -> CatalogBackend:
    """Open the catalogue that a URL names, e.g. ``sqlite:///workspace/catalog.db``.

    Three slashes and a path from here, four and a path from the root. Without ``create`` a file
    that is absent is a ``BackendError``.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return SqliteCatalog(Path(rest[1:]), create=create)
    if scheme in ("postgresql", "postgres"):
        try:
            from catalog.backends.pgstac import PgstacCatalog
        except ImportError as error:
            raise BackendError(
                f"catalogue {shown_url(url)}: PostgreSQL needs {error.name}; install clearcube[pgstac]"
            ) from None
        return PgstacCatalog(url, create=create)
    known = f"{scheme!r} is no kind of catalogue" if separator else "this is no URL"
    raise BackendError(
        f"catalogue {shown_url(url)}: {known}; use sqlite:///PATH or postgresql://HOST/DATABASE"
    )


def shown_url(url: str) -> str:
    """A URL fit for a message: without the user and password that it may hold."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
