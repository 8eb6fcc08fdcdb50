"""A workspace: a directory with a catalogue, cubes, products and the ledger of runs."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from catalog.backends import CatalogBackend, open_catalog
from catalog.backends.base import Document, search_all
from catalog.search import Query, parse_query
from jobs.errors import WorkspaceError
from jobs.settings import Settings, read_settings

if TYPE_CHECKING:
    import pystac

    from jobs.job import Outcome


class Workspace:
    """Where a user's items, cubes and products are; use :func:`open_workspace`."""

    def __init__(self, settings: Settings, *, create: bool = True) -> None:
        self.settings = settings
        self._create = create
        # A store that cannot be is refused here, not by the first command that writes to it.
        self._store = settings.store_path

    @cached_property
    def catalog(self) -> CatalogBackend:
        """The catalogue, opened at first use."""
        if self._create:
            self._make(self.settings.workspace)
        elif not self.settings.catalog and not self.settings.workspace.is_dir():
            raise WorkspaceError(
                f"there is no workspace at {self.settings.workspace}; ingest something first"
            )
        return open_catalog(self.settings.catalog_url, create=self._create)

    @cached_property
    def cubes(self) -> Path:
        """Directory of the Zarr cubes, absolute."""
        return self._make(self._store / "cubes")

    @cached_property
    def products(self) -> Path:
        """Directory of masks and syntheses, absolute."""
        return self._make(self._store / "products")

    @cached_property
    def runs(self) -> Path:
        """Directory of the ledgers of runs, absolute."""
        return self._make(self.settings.workspace / "runs")

    def documents(self, query: Query) -> Iterator[Document]:
        """Every item that a query asks for, as JSON."""
        return search_all(self.catalog, query)

    def search(self, **conditions: Any) -> "list[pystac.Item]":
        """Items by collections, ids, bbox, datetime, tile, max_cloud, limit; latest first.

        The values are those of ``clearcube search``: ``workspace.search(tile="31UES",
        collections=["synthesis-wasp"], datetime="2019-05/2019-08")``.
        """
        import pystac

        page = self.catalog.search(parse_query(**conditions))
        return [pystac.Item.from_dict(document) for document in page.items]

    def ingest(self, *sources: str | Path, **conditions: Any) -> "Outcome":
        """Products, STAC files or APIs -> items of the catalogue."""
        from jobs.ingest import ingest

        return ingest(self, [str(source) for source in sources], **conditions)

    def run(self, job: str, **request: Any) -> "Outcome":
        """Make what a job's request asks for and the catalogue does not hold yet.

        ``workspace.run("synthesis", tile="31UES", datetime="2019-05", method="wasp", mask="scl")``.
        """
        from jobs.runner.run import run

        return run(self, job, request)

    def close(self) -> None:
        """Let go of the catalogue."""
        if "catalog" in self.__dict__:
            self.catalog.close()
            del self.__dict__["catalog"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make(self, path: Path) -> Path:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"cannot make {path}: {error.strerror or error}") from error
        return path.resolve()


def open_workspace(path: str | Path | None = None, **options: Any) -> Workspace:
    """Directory -> workspace, made at first use; other settings as in ``jobs.settings``."""
    return Workspace(read_settings(workspace=path, **options))
