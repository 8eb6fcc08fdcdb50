"""What goes wrong, as one sentence for the client: no traceback, no path of this server."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from catalog.errors import BackendError, CatalogError, ItemNotFoundError, QueryError

logger = logging.getLogger(__name__)


class ConflictError(CatalogError):
    """Something of that id is there already."""


class PreconditionError(CatalogError):
    """The item is not, or no longer, the one that the client knows."""


def problem(status: int, code: str, description: str) -> Response:
    """Status and sentence -> answer."""
    body = orjson.dumps({"code": code, "description": _clean(description)})
    return Response(body, status, media_type="application/json")


def add_handlers(app: FastAPI) -> None:
    """Let an application answer errors so."""
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)


def _named(status: int) -> Callable[[Request, Any], Response]:
    def handler(_: Request, error: Any) -> Response:
        return problem(status, _CODES[status], str(error))

    return handler


def _backend(_: Request, error: Any) -> Response:
    # Its message names the file or the server of the catalogue.
    logger.error("%s", error)
    return problem(503, "Unavailable", "the catalogue cannot be read or written now")


def _invalid(_: Request, error: Any) -> Response:
    """What a request lacks, or has wrong: the first fault, with its place."""
    fault = error.errors()[0]
    steps = [str(step) for step in fault.get("loc", ())[1:]]
    # Steps such as list[str] are types of ours that were tried.
    place = ".".join(step for step in steps if step != "request_data" and "[" not in step)
    said = str(fault.get("msg", "not valid"))
    if fault.get("type") == "json_invalid":
        return problem(400, "BadRequest", "the body is no JSON")
    if not place:
        said = f"{said}; send JSON with the header Content-Type: application/json"
    return problem(400, "BadRequest", f"{place}: {said}" if place else said)


def _http(_: Request, error: Any) -> Response:
    words = {404: "there is nothing here", 405: "this cannot be done here"}
    said = error.detail
    if said == HTTPStatus(error.status_code).phrase:  # nobody said more
        said = words.get(error.status_code, said)
    answer = problem(error.status_code, _CODES.get(error.status_code, "Error"), str(said))
    answer.headers.update(error.headers or {})
    return answer


def _gone(_: Request, __: Any) -> Response:
    return problem(400, "BadRequest", "the body ended too soon")


def _failed(_: Request, error: Any) -> Response:
    logger.error("a request failed", exc_info=error)
    return problem(500, "Failed", "the server failed; its log says why")


def _clean(text: str) -> str:
    """One line of a length to be read, of signs that JSON can hold."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= 400 else f"{line[:397]}..."


_CODES = {
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    416: "RangeNotSatisfiable",
    422: "Unprocessable",
    503: "Unavailable",
}
_HANDLERS: dict[Any, Callable[[Request, Any], Response]] = {
    QueryError: _named(400),
    ItemNotFoundError: _named(404),
    ConflictError: _named(409),
    PreconditionError: _named(412),
    BackendError: _backend,
    CatalogError: _named(400),
    RequestValidationError: _invalid,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _failed,
}
