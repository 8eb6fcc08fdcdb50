"""The dates of a tile: what is catalogued of each, and what its cube holds of that."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from catalog.fingerprint import fingerprint
from catalog.search import Interval
from cube.checksums import combined
from cube.grid import solar_offset
from cube.spec import DateEntry, Spec
from cube.store import Cube, open_store
from jobs.acquisitions import Acquisition, acquisitions
from jobs.stores import VERSION, cube_store, source_of

if TYPE_CHECKING:
    from jobs.workspace import Workspace

PENDING = "pending"
"""What stands for a checksum of pixels that are not in the cube yet: equal to none."""


@dataclass(frozen=True, slots=True)
class TileDate:
    """One catalogued acquisition, and the slot of the cube that holds just that."""

    acquisition: Acquisition
    entry: DateEntry | None
    """None while the cube does not hold it, or holds other deliveries of it."""

    @property
    def time(self) -> datetime:
        """When its first granule was seen, UTC."""
        return self.acquisition.time

    @property
    def items(self) -> tuple[str, ...]:
        """Ids of its scenes."""
        return tuple(item["id"] for item in self.acquisition.items)


def tile_dates(
    workspace: "Workspace", tile: str, level: str, interval: Interval | None = None
) -> list[TileDate]:
    """Catalogued dates of a tile and level in order of time, with what the cube holds of them."""
    found = acquisitions(workspace, tile, level, interval)
    path = cube_store(workspace, tile, level)
    if path is None:
        return [TileDate(one, None) for one in found]
    cube = open_store(path)
    held = {entry.key: entry for entry in cube.valid_dates}
    return [TileDate(one, held.get(date_key(one, cube.spec))) for one in found]


def held(dates: Iterable[TileDate]) -> Iterator[DateEntry]:
    """Slots of the dates that the cube holds."""
    return (one.entry for one in dates if one.entry is not None)


def date_key(acquisition: Acquisition, spec: Spec) -> str:
    """Acquisition -> fingerprint of what its date in the cube is made of."""
    return fingerprint(
        {
            "job": "cube",
            "version": VERSION,
            "items": [source_of(item) for item in acquisition.items],
            "times": [item["properties"]["datetime"] for item in acquisition.items],
            "groups": spec.groups,
            "extent": [spec.extent.left, spec.extent.bottom, spec.extent.right, spec.extent.top],
        }
    )


def pixel_checksum(cube: Cube, entry: DateEntry, variables: Sequence[str]) -> str:
    """Checksum of what a date of a cube holds of some variables: of pixels, not of deliveries.

    A cube that keeps no checksums (it was made before there were any) answers with the key of the
    date, which changes with its deliveries.
    """
    if not entry.checksums:
        return entry.key
    extent = cube.spec.extent
    edges = f"{extent.left} {extent.bottom} {extent.right} {extent.top}"
    place = f"{extent.epsg} {edges} {sorted(cube.spec.groups.items())}"
    names = [name for name in variables if name in entry.variables]
    return combined([place, *(f"{name} {entry.checksums[name]}" for name in names)])


def solar_day(time: datetime, tile: str) -> date:
    """UTC time -> day by the sun over a tile."""
    offset: timedelta = solar_offset(tile)
    return (time + offset).date()


def time_of(entry: DateEntry) -> datetime:
    """Acquisition time of a slot, UTC."""
    return datetime.fromtimestamp(entry.time / 1000, UTC)
