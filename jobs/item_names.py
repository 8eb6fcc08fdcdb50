"""What users call an item, ``ID`` or ``COLLECTION/ID``, and the item that it means."""

from typing import TYPE_CHECKING

from catalog.backends.base import Document
from catalog.errors import ItemNotFoundError
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def find_item(workspace: "Workspace", name: str) -> Document:
    """``ID`` or ``COLLECTION/ID`` -> the catalogued item.

    ``ItemNotFoundError`` where there is none, ``RequestError`` where several collections have one.
    """
    collection, _, item_id = name.rpartition("/")
    if collection:
        return workspace.catalog.item(collection, item_id)
    found = workspace.catalog.find(name)
    if not found:
        raise ItemNotFoundError(f"no item is called {name!r}; clearcube search lists what there is")
    if len(found) > 1:
        names = " or ".join(f"{item['collection']}/{name}" for item in found)
        raise RequestError(f"{name} is in several collections: write {names}")
    return found[0]
