"""What a synthesis method is given, what it fills, and how it is declared."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cube.bands import REFLECTANCE_NODATA
from cube.facts import DateFacts
from cube.kernels.shares import WHOLE
from cube.nearness import Nearness
from cube.periods import Period

if TYPE_CHECKING:
    from cube.account import Account

EPOCH = date(1970, 1, 1)
"""Day 0 of every date in arrays."""

DATE_NODATA = -10000
"""Nodata of the ``date`` layer (int16), the value Theia's monthly products use."""

STATUS_NODATA = 0
STATUS_CLOUD = 1
"""Seen, but only through or under cloud, cloud shadow or thin cloud."""
STATUS_SNOW = 2
STATUS_WATER = 3
STATUS_LAND = 4

_TILE_BYTES = 1 << 19
"""Scratch of one row tile: half of a common 1 MiB second-level cache."""

WHOLE_SHARE = WHOLE
"""What a pixel's dates are given between them: whole parts for any mean of up to 16 dates."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The dates of one window over one block: arrays ``(time, y, x)``, C order, read only."""

    bands: Mapping[str, NDArray[np.int16]]
    """dn by band name; nodata -10000."""
    classes: NDArray[np.uint8]
    """Decoded mask, codes of ``cube.classes``."""
    days: NDArray[np.int32]
    """``(time,)`` UTC days since 1970-01-01, ascending."""
    cloud_weight: NDArray[np.float32] | None
    """Weight by distance to clouds in [0, 1]; given to methods that declare ``nearness``."""
    blue: NDArray[np.int16]
    """dn of the blue band on this grid; nodata -10000."""
    facts: tuple[DateFacts, ...] = ()
    """One a date, those that the method declares; none for methods that declare none."""
    aot: NDArray[np.int16] | None = None
    """Aerosol optical thickness at 550 nm in thousandths, nodata -10000; 0 on dates whose source has
    none. Given to methods that use it, where any date has it."""
    deciding: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    """dn of further bands, brought to this grid: they decide with the others, and are not shown."""
    guide: NDArray[np.int16] | None = None
    """``(y, x)`` index of the date that the coarser grid shows there, -1 for none."""

    @property
    def every(self) -> dict[str, NDArray[np.int16]]:
        """dn by name of the bands shown and of those that decide with them."""
        return {**self.bands, **self.deciding}

    def row_tiles(self) -> Iterator[tuple[int, int]]:
        """Rows ``[first, after)`` whose ``(time, rows, x)`` float32 scratch stays in cache."""
        dates, height, width = self.classes.shape
        rows = max(1, _TILE_BYTES // max(1, 4 * dates * width))
        for first in range(0, height, rows):
            yield first, min(first + rows, height)


@dataclass(frozen=True, slots=True)
class Composite:
    """The layers of one synthesis over one block: arrays ``(y, x)``."""

    bands: dict[str, NDArray[np.int16]]
    """dn by band name; nodata -10000."""
    weight: NDArray[np.float32]
    """Sum of the weights of what was averaged; the method says of what."""
    date: NDArray[np.int16]
    """Mean or chosen date, days since 1970-01-01; nodata -10000."""
    status: NDArray[np.uint8]
    """0 nodata, 1 cloud or shadow, 2 snow, 3 water, 4 land."""
    clear_count: NDArray[np.uint8]
    """Dates on which the ground was seen (clear, snow or water), at most 255."""
    total_count: NDArray[np.uint8]
    """Dates with an observation (a class, and data in any band), at most 255."""
    shares: NDArray[np.int64]
    """``(time,)``: what each date gives to the block, ``WHOLE_SHARE`` a pixel that shows something,
    divided among its dates by weight and rounded pixel by pixel: sums do not depend on blocks."""
    further: dict[str, NDArray[np.float32]]
    """Layers that the method declares beside these; NaN is nodata."""
    chosen: NDArray[np.int16]
    """Index of the one date that a pixel shows; -1 where it is none, or of several."""

    @classmethod
    def empty(
        cls,
        names: tuple[str, ...],
        shape: tuple[int, int],
        dates: int,
        further: tuple[str, ...] = (),
    ) -> "Composite":
        """A composite of ``shape``, of so many dates, that holds nodata everywhere."""
        return cls(
            bands={name: np.full(shape, REFLECTANCE_NODATA, np.int16) for name in names},
            weight=np.zeros(shape, np.float32),
            date=np.full(shape, DATE_NODATA, np.int16),
            status=np.zeros(shape, np.uint8),
            clear_count=np.zeros(shape, np.uint8),
            total_count=np.zeros(shape, np.uint8),
            shares=np.zeros(dates, np.int64),
            further={name: np.full(shape, np.nan, np.float32) for name in further},
            chosen=np.full(shape, -1, np.int16),
        )


@dataclass(frozen=True, slots=True)
class FurtherLayer:
    """A float32 layer of one method, with NaN as nodata."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make a synthesis: its declaration and its kernel call."""

    name: str
    """As in ``--method`` and in ids; no ``_``."""
    version: str
    """Raised whenever a change alters numbers."""
    title: str
    """One line for lists and item titles."""
    params: type[BaseModel]
    """Parameters: each field with description, unit and source."""
    window: Callable[[Period, Any], tuple[date, date]]
    """``(period, params)`` -> first and last day of the dates used, both included."""
    composite: Callable[[Observations, Period, Any, Composite], None]
    """``(observations, period, params, out)``: fills ``out``, which holds nodata at the start."""
    explain: "Callable[[Observations, Period, Any], Account] | None" = None
    """``(observations of one pixel, period, params)`` -> what was made of each date and how the
    numbers follow, without the kernel (see ``cube.account``); None: it is asked through its kernel."""
    binary_masks: Callable[[Any], bool] = lambda _params: False
    """``params`` -> whether masks are taken as CNES's public program does (``cube.wasp_masks``)."""
    uses_aot: bool = False
    """Whether ``aot`` is used where there is any."""
    facts: Callable[[Any], tuple[str, ...]] = lambda _params: ()
    """``params`` -> names of the facts of dates (``cube.facts``) that the numbers depend on."""
    nearness: Callable[[Any], Nearness | None] = lambda _params: None
    """``params`` -> how the clouds near a pixel weigh on it; None: no ``cloud_weight`` is needed."""
    further: tuple[FurtherLayer, ...] = ()
    """Layers of its own, on each grid."""
    one_date: bool = False
    """Whether every pixel shows one date, so that neighbours of two dates are two observations."""
    weight_title: str = "Sum of the weights of what was averaged; 0 where nothing was"
    date_title: str = "Weighted mean date, days since 1970-01-01"
    needs: tuple[str, ...] = ()
    """Bands that decide on every grid; where they are not its own they are brought to it."""
    wants: Callable[[Any], tuple[str, ...]] = lambda _params: ()
    """``params`` -> bands that decide on every grid, too, but that a cube may lack."""
    together: bool = False
    """Whether the bands of all grids decide on the coarsest one, which guides the finer ones."""


def day_number(day: date) -> int:
    """UTC date -> days since 1970-01-01."""
    return (day - EPOCH).days


def day_of(number: int) -> date:
    """Days since 1970-01-01 -> UTC date."""
    return EPOCH + timedelta(days=number)
