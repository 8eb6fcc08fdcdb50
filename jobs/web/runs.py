"""What was run in a workspace, as JSON: what ``clearcube runs`` prints."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from catalog.backends.base import Document
from jobs.runs import find_run, list_runs
from jobs.web.answers import Word, answering, without_folders

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def runs_router(workspace: "Workspace") -> APIRouter:
    """Workspace -> ``/jobs``: runs, newest first, and all about one; files by their names alone."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])

    @router.get("", summary="Runs of the workspace, newest first")
    def runs(
        limit: Annotated[int, Query(ge=1, le=1000, description="Most runs.")] = 20,
    ) -> list[Document]:
        with answering("runs"):
            found = [record.document() for record in list_runs(workspace, limit)]
            return list(without_folders(found))

    @router.get("/{run}", summary="A run by its id, or the beginning of it")
    def run(run: Word) -> Document:
        with answering(f"run {run}"):
            return dict(without_folders(find_run(workspace, run).document()))

    return router
