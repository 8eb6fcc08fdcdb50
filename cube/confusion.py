"""Classes of a mask against the truth: tables of confusion and the figures that follow from them.

Rows are true classes, columns are predicted ones, codes of ``cube.classes``. Cloud, thin cloud and
shadow are **invalid**; clear, snow and water are **valid**, since the ground is seen. What either
side did not observe is not judged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cube.classes import CLOUD, CLOUD_SHADOW, NAMES, NO_OBSERVATION, THIN_CLOUD

Codes = NDArray[np.uint8]
Table = NDArray[np.int64]

INVALID = (CLOUD, CLOUD_SHADOW, THIN_CLOUD)
"""The classes in which the ground is not seen as it is."""

CLASSES = len(NAMES)

SIZES_HA = (1.0, 10.0, 100.0)
"""Borders between sizes of clouds, hectares; below 1 ha is what a grid of 240 m cannot hold."""

_IS_INVALID = np.isin(np.arange(CLASSES), INVALID)

_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Rates:
    """How well one class, or one of two sides, is found."""

    truth: int
    """How many truly are of it."""
    predicted: int
    hits: int

    @property
    def producers(self) -> float:
        """Producer's accuracy (recall): share of the truth that was found; NaN where there is none."""
        return ratio(self.hits, self.truth)

    @property
    def users(self) -> float:
        """User's accuracy (precision): share of the predicted that is true; NaN where there is none."""
        return ratio(self.hits, self.predicted)

    @property
    def f1(self) -> float:
        """F1, which is Dice's coefficient: twice the hits over truth and predicted together."""
        return ratio(2 * self.hits, self.truth + self.predicted)


@dataclass(frozen=True, slots=True)
class CloudSize:
    """How well clouds of some sizes are found."""

    least: float
    """Smallest area, hectares; the largest is below the next entry's."""
    clouds: int
    found: int
    """Of them, those of which at least half the pixels are called invalid."""
    pixels: int
    hits: int
    """Of their pixels, those that are called invalid."""


def confusion(truth: Codes, predicted: Codes) -> Table:
    """Two uint8 arrays of codes, one shape -> (truth, predicted) counts, 7 x 7; unobserved left out."""
    pairs = (np.multiply(truth, CLASSES, dtype=np.uint8) + predicted).ravel()
    table: Table = np.zeros((CLASSES, CLASSES), np.int64)
    # Counting widens to eight bytes: a part at a time keeps a tile's pixels small.
    for first in range(0, pairs.size, _PART):
        counted = np.bincount(pairs[first : first + _PART], minlength=CLASSES**2)
        table += counted.reshape(CLASSES, CLASSES)
    table[NO_OBSERVATION] = 0
    table[:, NO_OBSERVATION] = 0
    return table


def majority(counts: Table) -> Codes:
    """(object, class) pixels -> (object,) uint8 class of each: the side of most pixels, then its class.

    An object is invalid where more than half of its observed pixels are, whatever their classes;
    of its side's classes it takes the most frequent, of equals the lower code. Nothing observed is
    no_observation.
    """
    observed = counts[:, 1:].sum(axis=1)
    invalid = 2 * counts[:, _IS_INVALID].sum(axis=1) > observed
    among = np.where(invalid[:, np.newaxis] == _IS_INVALID, counts, -1)
    among[:, NO_OBSERVATION] = -1
    chosen: Codes = among.argmax(axis=1).astype(np.uint8)
    chosen[observed == 0] = NO_OBSERVATION
    return chosen


def two_sides(table: Table) -> Table:
    """7 x 7 counts -> 2 x 2: valid and invalid, truth in rows."""
    sides = np.array([~_IS_INVALID, _IS_INVALID], dtype=np.int64)
    found: Table = sides @ table @ sides.T
    return found


def rates(table: Table) -> list[Rates]:
    """(truth, predicted) counts of any number of classes -> the rates of each."""
    truth, predicted, hits = table.sum(axis=1), table.sum(axis=0), table.diagonal()
    return [Rates(*map(int, each)) for each in zip(truth, predicted, hits, strict=True)]


def overall(table: Table) -> float:
    """(truth, predicted) counts -> share on the diagonal; NaN where nothing was judged."""
    return ratio(int(table.trace()), int(table.sum()))


def balanced(table: Table) -> float:
    """(truth, predicted) counts -> mean of the producer's accuracies of the classes that there are."""
    found = [each.producers for each in rates(table) if each.truth]
    return sum(found) / len(found) if found else math.nan


def called_invalid(table: Table) -> NDArray[np.float64]:
    """7 x 7 counts -> (class,) share of each true class that is called invalid; NaN where none is.

    Of valid classes it is what is lost, of the others what is found.
    """
    found: NDArray[np.float64] = np.array(
        [ratio(int(row[_IS_INVALID].sum()), int(row.sum())) for row in table]
    )
    return found


def away_from_edges(truth: Codes, pixels: int) -> NDArray[np.bool_]:
    """(y, x) uint8 true classes -> True where all within a square of ``pixels`` is of one side.

    Sides are valid, invalid and not observed; the edge of the raster is no edge of a class.
    """
    side = np.where(truth == NO_OBSERVATION, 2, np.isin(truth, INVALID)).astype(np.uint8)
    if pixels < 1:
        return np.ones(truth.shape, np.bool_)
    size = 2 * pixels + 1
    least = ndimage.minimum_filter(side, size=size, mode="nearest")
    most = ndimage.maximum_filter(side, size=size, mode="nearest")
    same: NDArray[np.bool_] = least == most
    return same


def by_size(
    truth: Codes, predicted: Codes, hectares: float, borders: Sequence[float] = SIZES_HA
) -> list[CloudSize]:
    """(y, x) uint8 true and predicted classes, area of a pixel -> how clouds of each size are found.

    A cloud is what hangs together of cloud and thin cloud, corners included, as far as the
    prediction observed it; those cut by the edge of the raster count with what is seen of them.
    """
    cloudy = np.isin(truth, (CLOUD, THIN_CLOUD)) & (predicted != NO_OBSERVATION)
    labels, count = ndimage.label(cloudy, structure=np.ones((3, 3)))
    pixels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    called = np.isin(predicted, INVALID) & cloudy
    hits = np.bincount(labels[called], minlength=count + 1)[1:]
    group = np.searchsorted(borders, pixels * hectares, side="right")
    found = []
    for number, least in enumerate((0.0, *borders)):
        here = group == number
        found.append(
            CloudSize(
                least=least,
                clouds=int(here.sum()),
                found=int((2 * hits[here] >= pixels[here]).sum()),
                pixels=int(pixels[here].sum()),
                hits=int(hits[here].sum()),
            )
        )
    return found


def figures(table: Table) -> dict[str, Any]:
    """7 x 7 counts -> every figure of this module as JSON; what has no value is None."""
    sides = two_sides(table)
    present = [code for code in range(1, CLASSES) if table[code].any() or table[:, code].any()]
    classes, (valid, invalid) = rates(table), rates(sides)
    shares = called_invalid(table)
    return {
        "judged": int(table.sum()),
        "balanced_accuracy": _known(balanced(sides)),
        "overall_accuracy": _known(overall(sides)),
        "valid": _document(valid),
        "invalid": _document(invalid),
        "overall_accuracy_of_classes": _known(overall(table)),
        "called_invalid": {
            NAMES[code]: _known(float(shares[code])) for code in present if table[code].any()
        },
        "classes": {NAMES[code]: _document(classes[code]) for code in present},
        "confusion": {
            NAMES[code]: {NAMES[other]: int(table[code, other]) for other in present}
            for code in present
            if table[code].any()
        },
    }


def ratio(part: int, whole: int) -> float:
    """Part over whole; NaN where there is no whole."""
    return part / whole if whole else math.nan


def _document(found: Rates) -> dict[str, Any]:
    return {
        "truth": found.truth,
        "predicted": found.predicted,
        "producers_accuracy": _known(found.producers),
        "users_accuracy": _known(found.users),
        "f1": _known(found.f1),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
