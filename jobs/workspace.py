"""A workspace: a directory with a catalogue, cubes, products and the ledger of runs."""

import os
from collections.abc import Iterator
from datetime import timedelta
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

    from jobs.cleaning import Cleaning
    from jobs.finding import Finding
    from jobs.forecast import Forecast
    from jobs.job import Outcome, Target
    from jobs.lineage import Lineage
    from jobs.rejection import Rejection
    from jobs.reproduction import Reproduction


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
        self.require()
        return open_catalog(self.settings.catalog_url, create=self._create)

    def require_catalog(self) -> None:
        """Open the catalogue; ``CatalogError`` or ``BackendError`` where it cannot be."""
        _ = self.catalog

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
        """Directory of the ledgers and locks of runs, absolute; of a workspace that is there."""
        self.require()
        return self._make(self.settings.workspace / "runs")

    @property
    def scratch(self) -> Path:
        """Directory of what waits to become products; made by those who write there."""
        return self.products.parent / "scratch"

    @cached_property
    def worker_memory(self) -> int:
        """Bytes that one worker may hold."""
        from jobs.runner.capacity import worker_memory

        return worker_memory(self.settings)

    @property
    def workers(self) -> int:
        """Workers that share the work, as far as is known before any is started."""
        return self.settings.workers or os.cpu_count() or 1

    def require(self) -> None:
        """``WorkspaceError`` where the workspace is not there and shall not be made."""
        if self._create:
            self._make(self.settings.workspace)
        elif not self.settings.catalog and not self.settings.workspace.is_dir():
            raise WorkspaceError(
                f"there is no workspace at {self.settings.workspace}; ingest something first"
            )

    def documents(self, query: Query) -> Iterator[Document]:
        """Every item that a query asks for, as JSON."""
        return search_all(self.catalog, query)

    def search(self, **conditions: Any) -> "list[pystac.Item]":
        """Items by collections, ids, bbox, intersects, datetime, tile, max_cloud, filter; in order.

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

    def plan(self, job: str, **request: Any) -> "Forecast":
        """What :meth:`run` would do: states, units, blocks and memory; touches no pixel."""
        from jobs.forecast import forecast

        return forecast(self, job, request)

    def status(self, tile: str | None = None) -> "list[Target]":
        """Every derived item (of a tile) with its state and why."""
        from jobs.upkeep import status

        return status(self, tile)

    def run_stale(self, tile: str | None = None) -> "Outcome":
        """Make anew what is stale or missing of what was made before; nothing else."""
        from jobs.upkeep import run_stale

        return run_stale(self, tile)

    def lineage(self, item: str, forward: bool = False) -> "Lineage":
        """What an item was made from, down to the scenes; or forward, what was made from it."""
        from jobs.lineage import lineage

        return lineage(self, item, forward=forward)

    def reject(self, item: str, why: str | None) -> "Rejection":
        """Take a scene or mask out of what is made; None takes it back."""
        from jobs.rejection import reject

        return reject(self, item, why)

    def reproduce(self, item: str, keep: str | Path | None = None) -> "Reproduction":
        """Make an item again from what it records, elsewhere, and compare checksums."""
        from jobs.reproduction import reproduce

        return reproduce(self, item, keep=None if keep is None else Path(keep))

    def verify(
        self, tile: str | None = None, *, quick: bool = False, sources: bool = False
    ) -> "list[Finding]":
        """What (of a tile) is not what it is said to be; without pixels and checksums if quick."""
        from jobs.verification import verify

        return list(verify(self, tile, quick=quick, sources=sources))

    def gc(self, *, older_than: timedelta = timedelta(days=1), dry_run: bool = False) -> "Cleaning":
        """Remove what killed runs and former results left, where no run is at work."""
        from jobs.cleaning import clean

        return clean(self, older_than=older_than, dry_run=dry_run)

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
