"""What the routers share: the items that a stranger may name, and answers without a server's path."""

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from fastapi import HTTPException, Path, Query

from catalog.backends.base import Document
from catalog.errors import BackendError, CatalogError, ItemNotFoundError
from cube.errors import CubeError
from jobs.errors import JobError, RequestError

if TYPE_CHECKING:
    from jobs.workspace import Workspace

log = logging.getLogger(__name__)

WORD = r"^[A-Za-z0-9_.-]{1,200}$"
"""Collections, items and tiles: no slash, no address."""

Word = Annotated[str, Path(pattern=WORD)]
Longitude = Annotated[float, Query(ge=-180, le=180, description="Degrees east.")]
Latitude = Annotated[float, Query(ge=-90, le=90, description="Degrees north.")]

_FOLDERS = re.compile(r"(?<![\w.:/])(?:/vsi\w+)*/+(?:[^/\s'\"]+/)+")
"""Directories before the name of a file."""


def find_item(workspace: "Workspace", collection: str, item_id: str) -> Document:
    """The catalogued item of a collection and id, else 404."""
    try:
        return workspace.catalog.item(collection, item_id)
    except ItemNotFoundError:
        refuse(404, f"there is no item {item_id} in {collection}")


def refuse(status: int, sentence: str) -> NoReturn:
    """Answer with a status and one sentence."""
    raise HTTPException(status, without_folders(sentence))


@contextlib.contextmanager
def answering(what: str) -> Iterator[None]:
    """Errors of the packages -> an answer of one line; what a server alone may know is logged."""
    try:
        yield
    except ItemNotFoundError:
        refuse(404, f"{what}: it is not catalogued")
    except RequestError as error:
        # Written for the command, whose option a place is there.
        refuse(404, str(error).removeprefix("--at "))
    except (CubeError, JobError, BackendError) as error:
        log.warning("%s: %s", what, error)
        refuse(503, f"{what} cannot be read now; the server's log says why")
    except CatalogError as error:
        refuse(400, str(error))
    except (KeyError, TypeError, IndexError, AttributeError):
        # Catalogues take any valid item; what this shows must be as jobs write it.
        log.exception("%s", what)
        refuse(422, f"{what} cannot be shown: it is not as clearcube writes its items")


def without_folders(document: Any) -> Any:
    """JSON -> the same, with files in its sentences by their names alone."""
    if isinstance(document, str):
        return _FOLDERS.sub("", document)
    if isinstance(document, dict):
        return {key: without_folders(value) for key, value in document.items()}
    if isinstance(document, list):
        return [without_folders(value) for value in document]
    return document


def version_of(item: Document) -> str:
    """Item -> what changes whenever its rasters may: 16 digits."""
    properties = item["properties"]
    said = [properties.get(f"clearcube:{name}") for name in ("fingerprint", "version", "checksum")]
    sums = [asset.get("file:checksum") for asset in item["assets"].values()]
    return digits([*said, properties.get("updated"), *sums])


def digits(value: Any) -> str:
    """Anything -> 16 digits that stand for it."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
