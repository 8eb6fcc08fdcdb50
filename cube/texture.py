"""What neighbours in a synthesis tell of it: dates that change, steps, noise, seams of swaths.

Measures as those of ``cube.quality``: counts and whole sums that add up over blocks. They take
``core`` too: the part of the window that is judged, where the rest is its surroundings. A pair of
neighbours belongs to its left or upper pixel, a square of 3 x 3 to its middle; with a surrounding of
one pixel, blocks give what the whole gives.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_SCALE
from cube.composite import DATE_NODATA
from cube.errors import GridError
from cube.quality import Dn, Sums, Where, check_layers, everywhere, has_value, known, ratio

Core = tuple[slice, slice]

HOMOGENEOUS = 0.03
"""Standard deviation within 3 x 3 pixels, as a share of their mean, of homogeneous ground."""

_LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.int64)

# --- spatial agreement of dates -------------------------------------------------------------------


@dataclass(slots=True)
class DateTexture(Sums):
    """How dates change from pixel to pixel."""

    squares: int = 0
    """Of 3 x 3 pixels, all with a date."""
    total: float = 0.0
    """Sum of the standard deviations within them, days."""
    pairs: int = 0
    """Neighbours, right or below, both with a date."""
    different: int = 0
    """Of them with another date."""

    def document(self) -> dict[str, Any]:
        """Mean standard deviation within 3 x 3 pixels in days; share of neighbours that differ."""
        sd = self.total / self.squares if self.squares else math.nan
        return {
            "local_sd": known(sd),
            "pairs": self.pairs,
            "different": known(ratio(self.different, self.pairs)),
        }


def date_texture(
    date: NDArray[np.int16], area: Where | None = None, core: Core | None = None
) -> DateTexture:
    """(y, x) days -> standard deviation within 3 x 3 pixels, and how many neighbours differ."""
    check_layers(date, area)
    held = everywhere(date, area) & (date != DATE_NODATA)
    middle = _middles(held, core)
    days = np.where(held, date, 0).astype(np.int64)
    first = _nine(days)[middle]
    second = _nine(days**2)[middle]
    # In whole numbers: 81 times the variance.
    sd = np.sqrt((9 * second - first**2).astype(np.float64)) / 9
    both = _both(held).within(core)
    apart = date_pairs(date)
    return DateTexture(
        int(middle.sum()),
        float(sd.sum()),
        both.count,
        Pairs(both.right & apart.right, both.below & apart.below).count,
    )


# --- pairs of neighbours --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of neighbours: each belongs to its left or upper pixel. Both are (y, x) bool."""

    right: Where
    """Pixel and its neighbour to the right; never true in the last column."""
    below: Where
    """Pixel and its neighbour below; never true in the last row."""

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.right.sum()) + int(self.below.sum())

    def others(self) -> "Pairs":
        """The pairs that these are not."""
        right, below = ~self.right, ~self.below
        right[:, -1:] = below[-1:] = False
        return Pairs(right, below)

    def within(self, core: Core | None) -> "Pairs":
        """Those that belong to pixels of a part of the window."""
        own = _core(self.right, core)
        return Pairs(self.right & own, self.below & own)


def date_pairs(date: NDArray[np.int16]) -> Pairs:
    """(y, x) days -> neighbours that show another date; none of nodata."""
    both, apart = _both(date != DATE_NODATA), _apart(date)
    return Pairs(both.right & apart.right, both.below & apart.below)


def edge_pairs(hidden: Where) -> Pairs:
    """(time, y, x) where the ground was hidden -> neighbours of which on some date one alone was.

    It is where the number of dates that a mean is of changes.
    """
    if hidden.ndim != 3:
        raise GridError(f"hidden is {hidden.shape}, expected (time, y, x)")
    right, below = np.zeros((2, *hidden.shape[1:]), np.bool_)
    for one in hidden:
        apart = _apart(one)
        right |= apart.right
        below |= apart.below
    return Pairs(right, below)


# --- artefacts ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Steps(Sums):
    """Steps between neighbours, beside the same steps of a clear date."""

    pairs: int = 0
    found: int = 0
    """Sum of the absolute steps, dn."""
    reference: int = 0
    """The same of the clear date."""

    @property
    def index(self) -> float:
        """Mean step by that of the clear date: 1 is no artefact."""
        return ratio(self.found, self.reference)

    def document(self) -> dict[str, Any]:
        """Pairs, mean step, and the index."""
        return {
            "pairs": self.pairs,
            "step": known(ratio(self.found, self.pairs) * REFLECTANCE_SCALE),
            "index": known(self.index),
        }


def steps(
    found: Dn, reference: Dn, pairs: Pairs, area: Where | None = None, core: Core | None = None
) -> Steps:
    """(y, x) dn of a synthesis and of a clear date -> their steps over some pairs of neighbours.

    Only pairs with values in both count. The index over ``date_pairs`` is that of methods that show
    one date, over ``edge_pairs`` that of all.
    """
    check_layers(found, reference, area)
    both = _both(everywhere(found, area) & has_value(found) & has_value(reference)).within(core)
    right, below = both.right & pairs.right, both.below & pairs.below
    sums = []
    for dn in (found, reference):
        across, down = _steps(dn)
        sums.append(int(np.abs(across[right]).sum()) + int(np.abs(down[below]).sum()))
    return Steps(Pairs(right, below).count, *sums)


# --- noise ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Noise(Sums):
    """Noise within homogeneous fields, beside that of a clear date."""

    pixels: int = 0
    found: int = 0
    """Sum of the absolute responses, dn."""
    reference: int = 0
    """The same of the clear date."""

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise, reflectance."""
        return _sigma(self.found, self.pixels)

    @property
    def ratio(self) -> float:
        """Noise by that of the clear date."""
        return ratio(self.found, self.reference)

    def document(self) -> dict[str, Any]:
        """Standard deviations of the noise, of both, and their ratio."""
        return {
            "pixels": self.pixels,
            "sigma": known(self.sigma),
            "sigma_reference": known(_sigma(self.reference, self.pixels)),
            "ratio": known(self.ratio),
        }


def noise(
    found: Dn, reference: Dn, fields: NDArray[np.integer[Any]], core: Core | None = None
) -> Noise:
    """(y, x) dn of a synthesis and of a clear date, numbers of fields -> noise within the fields.

    Immerkaer's estimate (1996, doi 10.1006/cviu.1996.0060): the mean absolute response to a 3 x 3
    mask that takes neither planes nor edges along axes for noise. Squares that lie within one field
    (number not 0), with values in both, count.
    """
    check_layers(found, reference, fields)
    inside = _middles(has_value(found) & has_value(reference) & (fields != 0), core)
    for dy, dx in _NINE:
        inside &= _shifted(fields, dy, dx) == fields
    sums = [int(np.abs(_response(dn)[inside]).sum()) for dn in (found, reference)]
    return Noise(int(inside.sum()), *sums)


def homogeneous(dn: Dn, area: Where | None = None, limit: float = HOMOGENEOUS) -> Where:
    """(y, x) dn -> where 3 x 3 pixels vary by less than a share of their mean: fields where none are
    known. Take it of the median of many dates, lest it chooses by the noise of one."""
    check_layers(dn, area)
    middle = _middles(everywhere(dn, area) & has_value(dn), None)
    values = np.where(has_value(dn), dn, 0).astype(np.int64)
    first, second = _nine(values), _nine(values**2)
    spread = np.sqrt(np.maximum(9 * second - first**2, 0).astype(np.float64))
    found: Where = middle & (first > 0) & (spread < limit * first)
    return found


# --- seams of swaths ------------------------------------------------------------------------------


@dataclass(slots=True)
class Seam(Sums):
    """Steps across the borders of swaths."""

    borders: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """``borders[a, b]``, a < b: neighbours of which one was seen by the orbits a, the other by b,
    and the sum of the steps from a to b, dn."""

    def add(self, other: Self) -> None:
        """Those of another block -> taken into these."""
        for border, (pairs, total) in other.borders.items():
            held = self.borders.get(border, (0, 0))
            self.borders[border] = held[0] + pairs, held[1] + total

    @property
    def pairs(self) -> int:
        """Neighbours on two sides of a border."""
        return sum(pairs for pairs, _ in self.borders.values())

    @property
    def step(self) -> float:
        """Size of the mean step of each border, mean by length, reflectance."""
        total = sum(abs(total) for _, total in self.borders.values())
        return ratio(total, self.pairs) * REFLECTANCE_SCALE

    def document(self) -> dict[str, Any]:
        """Pairs across borders, and the step."""
        return {"pairs": self.pairs, "step": known(self.step)}


def orbits_seen(observed: Where, orbits: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """(time, y, x) where dates saw anything, (time,) orbit -> (y, x) uint8, a bit an orbit.

    Bits are in order of the orbits' numbers; ``GridError`` for more than eight.
    """
    numbers = np.unique(orbits)
    if len(numbers) > 8:
        raise GridError(f"{len(numbers)} relative orbits see the window; at most 8 are told apart")
    if observed.ndim != 3 or orbits.shape != observed.shape[:1]:
        raise GridError(f"observed is {observed.shape}, orbits are {orbits.shape}")
    codes = np.zeros(observed.shape[1:], np.uint8)
    for bit, number in enumerate(numbers):
        codes[observed[orbits == number].any(axis=0)] |= np.uint8(1 << bit)
    return codes


def seam(
    found: Dn, orbits: NDArray[np.uint8], area: Where | None = None, core: Core | None = None
) -> Seam:
    """(y, x) dn, and by which orbits each pixel was seen -> steps where these change.

    Steps keep their sign, so that what is no seam averages out along a border. Pixels that no orbit
    saw (code 0) are no side of one.
    """
    check_layers(found, orbits, area)
    both = _both(everywhere(found, area) & has_value(found) & (orbits != 0)).within(core)
    apart, result = _apart(orbits), Seam()
    across, down = _steps(found)
    sides = (
        (both.right & apart.right, across, _shifted(orbits, 0, 1)),
        (both.below & apart.below, down, _shifted(orbits, 1, 0)),
    )
    for where, step, other in sides:
        here, there, steps = orbits[where], other[where], step[where]
        steps = np.where(here < there, steps, -steps)
        ends = np.stack([np.minimum(here, there), np.maximum(here, there)], axis=-1)
        for border in np.unique(ends, axis=0):
            own = steps[(ends == border).all(axis=-1)]
            low, high = map(int, border)
            result.add(Seam({(low, high): (own.size, int(own.sum()))}))
    return result


# --- parts ----------------------------------------------------------------------------------------

_NINE = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


def _sigma(total: int, pixels: int) -> float:
    return math.sqrt(math.pi / 2) / 6 * ratio(total, pixels) * REFLECTANCE_SCALE


def _core(layer: NDArray[Any], core: Core | None) -> Where:
    own = np.zeros(layer.shape, np.bool_)
    own[... if core is None else core] = True
    return own


def _shifted(layer: NDArray[Any], dy: int, dx: int) -> NDArray[Any]:
    """Each pixel's neighbour at an offset; at the border what comes round, which nobody uses."""
    return np.roll(layer, (-dy, -dx), axis=(0, 1))


def _both(held: Where) -> Pairs:
    """Pairs of which both pixels are held."""
    right, below = np.zeros((2, *held.shape), np.bool_)
    right[:, :-1] = held[:, :-1] & held[:, 1:]
    below[:-1] = held[:-1] & held[1:]
    return Pairs(right, below)


def _apart(layer: NDArray[Any]) -> Pairs:
    """Pairs of which the pixels differ."""
    right, below = np.zeros((2, *layer.shape), np.bool_)
    right[:, :-1] = layer[:, :-1] != layer[:, 1:]
    below[:-1] = layer[:-1] != layer[1:]
    return Pairs(right, below)


def _steps(dn: Dn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps to the right and down, each at its left or upper pixel."""
    across, down = np.zeros((2, *dn.shape), np.int64)
    across[:, :-1] = np.diff(dn.astype(np.int64), axis=1)
    down[:-1] = np.diff(dn.astype(np.int64), axis=0)
    return across, down


def _middles(held: Where, core: Core | None) -> Where:
    """Middles of squares of 3 x 3 that are held throughout."""
    middle = _core(held, core)
    for dy, dx in _NINE:
        middle &= _shifted(held, dy, dx)
    for edge in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        middle[edge] = False
    return middle


def _nine(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum over 3 x 3 pixels; what lies at the border is not used."""
    total = np.zeros_like(values)
    for dy, dx in _NINE:
        total += _shifted(values, dy, dx)
    return total


def _response(dn: Dn) -> NDArray[np.int64]:
    """Response to Immerkaer's mask."""
    values, total = dn.astype(np.int64), np.zeros(dn.shape, np.int64)
    for dy, dx in _NINE:
        total += _LAPLACE[dy + 1, dx + 1] * _shifted(values, dy, dx)
    return total
