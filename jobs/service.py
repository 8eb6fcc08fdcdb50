"""Everything that ``clearcube serve`` answers: the STAC API, files, health, and what is mounted."""

from typing import TYPE_CHECKING

from catalog.search import Query

if TYPE_CHECKING:
    from fastapi import FastAPI

    from catalog.api.settings import ServerSettings
    from jobs.workspace import Workspace


def create_service(workspace: "Workspace", settings: "ServerSettings | None" = None) -> "FastAPI":
    """Workspace -> ASGI application: STAC API, and the rest of what is mounted.

    What is mounted further belongs here, one line each.
    """
    from catalog.api.app import create_app
    from jobs.web.runs import runs_router
    from jobs.web.series import series_router
    from jobs.web.tiles import tiles_router
    from jobs.web.viewer import viewer_router

    app = create_app(workspace.catalog, settings)
    add_health(app, workspace)
    app.include_router(tiles_router(workspace))
    app.include_router(series_router(workspace))
    app.include_router(viewer_router(workspace))
    app.include_router(runs_router(workspace))
    return app


def add_health(app: "FastAPI", workspace: "Workspace") -> None:
    """``/healthz``: whether the catalogue can be read."""

    def healthz() -> dict[str, str]:
        """Whether searches are answered; 503 where they are not."""
        workspace.catalog.search(Query(limit=1, ids=("-",)))
        return {"status": "ok"}

    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["Health"])
