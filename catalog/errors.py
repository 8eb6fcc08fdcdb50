"""What can go wrong with metadata: one base, five children, each also the builtin it refines."""


class CatalogError(Exception):
    """Base of every error of this package; its message is one line: what, which, what to do."""


class ProductError(CatalogError, ValueError):
    """A folder, zip or file that is not a usable product; the message names it and the cause."""


class SourceError(CatalogError, OSError):
    """A STAC file or API that cannot be reached or read."""


class QueryError(CatalogError, ValueError):
    """A search that means nothing: a bbox, date, tile or limit out of range."""


class ItemNotFoundError(CatalogError, LookupError):
    """An id that the catalogue does not hold."""


class BackendError(CatalogError, RuntimeError):
    """A catalogue that cannot be opened, read or written."""
