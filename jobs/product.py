"""What a job declares that makes something of every period: its layers, and how a block is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cube.facts import DateFacts
    from cube.nearness import Nearness
    from cube.periods import Period
    from cube.spec import DateEntry, Spec
    from jobs.block_dates import BlockDates

SHARED_VERSION = "1"
"""Version of what all products share: raised when a change of theirs alters numbers."""

Layers = dict[str, "NDArray[np.generic]"]
"""Name of a layer -> its ``(y, x)`` pixels over a block."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster of a product, a file of its own."""

    name: str
    """As ``compose`` names it."""
    dtype: str
    nodata: float | None
    title: str
    key: str = ""
    """Key of the asset; the name where it is empty."""
    scale: float = 1.0
    """Physical value of one step of the stored numbers."""
    average: bool = True
    """Whether overviews average; else they take the nearest."""
    roles: tuple[str, ...] = ("data",)
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the asset; ``raster:bands`` adds to the one band's."""

    @property
    def asset(self) -> str:
        """Key of the asset."""
        return self.key or self.name


@dataclass(frozen=True, slots=True)
class Product:
    """What a job makes of the dates of a period, and what it needs for it.

    Every function gets the request's parameters last. ``compose`` runs on workers and must give
    every pixel a value that depends on that pixel alone (or on what ``nearness`` brings), so that
    blocks of any size come to the same.
    """

    collection: Callable[[Any], str]
    word: Callable[[Any], str]
    """What ids call it, between period and mask; without ``_``."""
    version: Callable[[Any], str]
    """Changes whenever numbers do."""
    parameters: Callable[[Any], dict[str, Any]]
    """What the pixels depend on beside dates, period and mask."""
    window: "Callable[[Period, Any], tuple[date, date]]"
    """First and last day of the dates used, both included."""
    reads: "Callable[[Spec, Sequence[DateEntry], str, Any], Sequence[tuple[str, str]]]"
    """Group and name of the variables read for a group."""
    layers: "Callable[[Spec, Sequence[DateEntry], str, Any], Sequence[Layer]]"
    """Layers made of a group; none where there is nothing to make of it."""
    compose: "Callable[[BlockDates, Any], Layers]"
    tally: "Callable[[Layers], Sequence[int]]"
    """Layers of a block -> counts, added up over the blocks of the finest group made."""
    about: Callable[[Sequence[int], Any], dict[str, Any]]
    """Counts -> properties of the item."""
    nearness: "Callable[[Any], Nearness | None]" = lambda _params: None
    """How the clouds near a pixel weigh on it; None where they do not."""
    facts: Callable[[Any], tuple[str, ...]] = lambda _params: ()
    """Names of the facts of dates (``cube.facts``) that the pixels depend on."""
    notes: "Callable[[Sequence[DateEntry], Sequence[DateFacts], Any], Sequence[str]]" = (
        lambda _entries, _facts, _params: ()
    )
    """Dates of a period -> sentences that its item keeps."""
    picture: tuple[str, str, str] | None = None
    """Layers shown as red, green and blue in the thumbnail."""
    scratch: int = 0
    """Bytes a pixel and date that ``compose`` takes beside what it is given."""

    def numbers(self, params: Any) -> str:
        """Version of the numbers, as recipes have it."""
        return f"{SHARED_VERSION}.{self.version(params)}"
