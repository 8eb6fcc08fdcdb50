"""Masks found along time: what a plan knows of a tile, and what a method adds to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from catalog.collections import cloud_mask_collection
from catalog.items import Recipe
from cube.spec import Spec
from cube.store import Cube
from jobs.dates import TileDate
from jobs.job import Stage
from jobs.mask_dates import Planes
from jobs.mask_item import mask_id
from jobs.mask_params import CloudMaskParams

if TYPE_CHECKING:
    from jobs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class MaskContext:
    """What all dates of a request share."""

    workspace: "Workspace"
    params: CloudMaskParams
    settings: BaseModel
    """Parameters of the method."""
    tile: str
    level: str
    dates: Sequence[TileDate]
    """Every catalogued date of the tile and level, in order of time."""
    cube: Cube | None
    """None while there is no cube."""
    store: Path | None
    """Of the cube."""
    spec: Spec
    """Of the cube, or of the one that would be made."""
    without: Mapping[str, Mapping[str, str]]
    """Scenes left out as they could not be read: version and cause."""

    @property
    def collection(self) -> str:
        """Id of the collection of the masks."""
        return cloud_mask_collection(self.params.method)

    def item_id(self, one: TileDate) -> str:
        """Id of the mask of a date."""
        return mask_id(self.tile, one.time, self.params.method, self.params.name)


class MaskWork(Protocol):
    """Dates whose masks are made together, as a method plans them."""

    @property
    def dates(self) -> Sequence[TileDate]:
        """Dates that get a mask."""

    @property
    def title(self) -> str:
        """Of the masks."""

    @property
    def bits(self) -> tuple[str, str] | None:
        """Encoding and title of the bits beside the classes; None where there are none."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the user."""

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """First and last moment whose dates are read; None for all."""

    @property
    def scratch(self) -> Path | None:
        """What can be removed once the masks are published."""

    def before(self, one: TileDate) -> Sequence[TileDate]:
        """Dates whose masks that of a date follows: they are made with it."""

    def manner(self, one: TileDate) -> str:
        """How a date that is due will be done, and why; empty where all are done alike."""

    def recipe(self, one: TileDate) -> Recipe:
        """All that the mask of a date is made from; of one that was made just now, as it was."""

    def provisional(self, one: TileDate) -> str:
        """Why dates still to come may change a mask; empty where they cannot."""

    def stages(self, due: Sequence[TileDate]) -> Sequence[Stage]:
        """What comes before the dates are finished one by one."""

    def planes(self, one: TileDate) -> Planes | None:
        """Where the pixels of a date wait after these stages; None where they failed."""

    def about(self, one: TileDate) -> dict[str, Any]:
        """What else the item says."""

    def beside(self, one: TileDate) -> dict[str, str]:
        """Further assets by key: files that wait to be handed over."""
