"""``/docs``: Swagger UI over the OpenAPI document, from files of this server alone.

The files are those that the package ``fastapi-offline`` brings; FastAPI's own page takes them from a
server of others.
"""

from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

PARTS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'self'"
)
"""The page loads nothing from elsewhere (Content Security Policy Level 3); its parts carry styles."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}: operations</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<base href="{base}/docs/">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="swagger-ui.css?v={version}">
</head>
<body>
<div id="operations"></div>
<noscript>The operations are described in <a href="../api">/api</a> (OpenAPI).</noscript>
<script src="swagger-ui-bundle.js?v={version}"></script>
<script src="start.js"></script>
</body>
</html>
"""

START = """SwaggerUIBundle({
  url: new URL("../api", document.baseURI).href,
  dom_id: "#operations",
  deepLinking: true,
  validatorUrl: null,
});
"""


SNIFFED = {"X-Content-Type-Options": "nosniff"}


def docs_router(title: str) -> APIRouter:
    """Title of the service -> ``/docs`` and the files of its page."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    @router.get("", name="swagger_ui_html")  # the name by which the landing page links it
    def page(request: Request) -> Response:
        base = str(request.scope.get("root_path", "")).rstrip("/")
        text = PAGE.format(title=title, base=base, version=version("fastapi-offline"))
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", **SNIFFED}
        return Response(text, media_type="text/html; charset=utf-8", headers=headers)

    @router.get("/start.js")
    def start() -> Response:
        headers = {"Cache-Control": "no-cache", **SNIFFED}
        return Response(START, media_type=PARTS["swagger-ui-bundle.js"], headers=headers)

    @router.get("/{name}")
    def part(name: str, v: str = "") -> Response:
        if name not in PARTS:
            raise HTTPException(404, f"the page of operations has no file {name[:60]}")
        kept = "public, max-age=31536000, immutable" if v else "no-cache"
        return Response(
            _part(name), media_type=PARTS[name], headers={"Cache-Control": kept, **SNIFFED}
        )

    return router


@lru_cache
def _part(name: str) -> bytes:
    return files("fastapi_offline").joinpath("static", name).read_bytes()
