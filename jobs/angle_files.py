"""Grids of angles of scenes: from the text of metadata to a file that the scene's item points to."""

from typing import TYPE_CHECKING

from catalog.backends.base import Document
from catalog.products.angles import AngleGrids
from catalog.search import tile_of
from cube.angles import load_angles, scene_angles
from cube.errors import StoreError
from cube.files import write_bytes
from jobs.date_facts import ANGLES
from jobs.runner.publish import checksum

if TYPE_CHECKING:
    from jobs.workspace import Workspace

NPZ = "application/x-npz"
"""Media type of numpy's archives of arrays, which has no registered one."""


def add_angles(workspace: "Workspace", item: Document, grids: AngleGrids) -> None:
    """Write a scene's grids of angles beside the products, and name the file in its item.

    ``StoreError`` where the system refuses.

    The folder is called after what the file holds: the same angles are written once, others are
    another file, and those that no item names are debris.
    """
    angles = scene_angles(grids.corner, grids.step, grids.size, grids.sun, grids.views)
    workspace.require_catalog()  # before anything is written
    # Whatever is a tile's begins with its name: it is left alone while the tile is worked on.
    name = f"{tile_of(item)}_{item['id']}"
    folder = workspace.products / item["collection"] / name / angles.checksum()
    path = folder / f"{name}_angles.npz"
    try:
        load_angles(path)
    except StoreError:  # not there, or not whole
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {folder}: {error.strerror or error}") from error
        write_bytes(path, angles.content())
    item["assets"][ANGLES] = {
        "href": str(path),
        "type": NPZ,
        "roles": ["metadata"],
        "title": "Angles of the sun and of each band's detectors at nodes on the ground",
        "file:size": path.stat().st_size,
        "file:checksum": checksum(path),
    }
