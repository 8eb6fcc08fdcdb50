"""Results against the truth: masks by class, reflectances by band, gaps. Pure numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASS_NAMES = ("no_observation", "clear", "cloud", "cloud_shadow", "thin_cloud", "snow", "water")
"""Classes of decoded masks by code."""

_USABLE = (1, 5, 6)
"""Classes in which the ground is seen."""


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """How well one class was found; shares are NaN where there is nothing to divide by."""

    name: str
    true: int
    """Pixels that are of the class."""
    called: int
    """Pixels that are called so."""
    producer: float
    """Share of the true pixels that are called so (recall)."""
    user: float
    """Share of the pixels called so that are (precision)."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskAccuracy:
    """How well masks were made; pixels outside the swath do not count."""

    confusion: NDArray[np.int64]
    """(true class, called class) pixels."""
    classes: tuple[ClassAccuracy, ...]
    """By code; only classes that are true or called somewhere."""
    overall: float
    """Share of the pixels with the right class."""
    balanced: float
    """Mean of the classes' producer's accuracies."""
    usable: float
    """Share of the pixels for which seen or hidden ground was told rightly."""
    missed: float
    """Share of the pixels with hidden ground (cloud, shadow, thin cloud) that are called usable."""
    lost: float
    """Share of the pixels with seen ground that are called hidden."""


@dataclass(frozen=True, slots=True)
class ReflectanceError:
    """How far reflectances are from the truth over the pixels that both have."""

    rmse: float
    bias: float
    """Mean of found minus true."""
    median: float
    """Median of the absolute error, which a few missed clouds do not move."""
    pixels: int
    gap: float
    """Share of the area without a value."""


def mask_confusion(truth: NDArray[np.uint8], called: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(..., y, x) uint8 classes, twice -> (7, 7) counts, rows the truth; sums over dates add."""
    if truth.shape != called.shape:
        raise ValueError(f"true and called classes differ in shape: {truth.shape}, {called.shape}")
    size = len(CLASS_NAMES)
    pairs = truth.astype(np.int64).ravel() * size + called.ravel()
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def mask_accuracy(confusion: NDArray[np.int64]) -> MaskAccuracy:
    """(7, 7) counts of ``mask_confusion`` -> the usual figures."""
    seen = confusion.copy()
    seen[0] = 0  # what no sensor saw is not to be classified
    total = int(seen.sum())
    right = int(np.trace(seen))
    classes = []
    recalls = []
    for code, name in enumerate(CLASS_NAMES):
        true, called = int(seen[code].sum()), int(seen[:, code].sum())
        if not true and not called:
            continue
        hits = int(seen[code, code])
        classes.append(ClassAccuracy(name, true, called, _share(hits, true), _share(hits, called)))
        if true:
            recalls.append(hits / true)
    usable = np.zeros(len(CLASS_NAMES), dtype=np.bool_)
    usable[list(_USABLE)] = True
    missed = int(seen[~usable][:, usable].sum())
    lost = int(seen[usable][:, ~usable].sum())
    return MaskAccuracy(
        confusion=confusion,
        classes=tuple(classes),
        overall=_share(right, total),
        balanced=float(np.mean(recalls)) if recalls else float("nan"),
        usable=_share(total - missed - lost, total),
        missed=_share(missed, int(seen[~usable].sum())),
        lost=_share(lost, int(seen[usable].sum())),
    )


def reflectance_error(
    truth: NDArray[np.float32],
    found: NDArray[np.float32],
    area: NDArray[np.bool_] | None = None,
) -> ReflectanceError:
    """(y, x) float reflectances, NaN for none, twice -> errors over an area (all by default)."""
    if area is None:
        area = np.ones(truth.shape, dtype=np.bool_)
    difference = (found - truth)[area].astype(np.float64)
    present = difference[np.isfinite(difference)]
    gap = gap_fraction(found, area)
    if not len(present):
        nan = float("nan")
        return ReflectanceError(nan, nan, nan, 0, gap)
    return ReflectanceError(
        rmse=float(np.sqrt(np.mean(present**2))),
        bias=float(present.mean()),
        median=float(np.median(np.abs(present))),
        pixels=len(present),
        gap=gap,
    )


def gap_fraction(found: NDArray[np.float32], area: NDArray[np.bool_] | None = None) -> float:
    """(y, x) float, NaN for none -> share of the area without a value."""
    values = found if area is None else found[area]
    return float(np.isnan(values).mean()) if values.size else float("nan")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
