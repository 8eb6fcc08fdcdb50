"""How good a synthesis is, pixel by pixel: gaps, clouds left, fidelity, dates, noise along time.

Every measure turns the layers of one window into counts and sums that add up: what is found block by
block is ``add``-ed to what the whole gives. Reflectances come as the dn of cubes and syntheses (int16,
-10000 is nodata), so that sums of differences are whole numbers, the same in any order and for any
cut; figures are reflectances. A figure of nothing is NaN, in documents None.

``area`` is where to judge (bool, all by default). Measures that look at neighbours are in
``cube.texture``.

The first five follow the criteria of Francini et al. 2023 (doi 10.1016/j.isprsjprs.2023.06.002), the
thresholds are this package's.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.composite import DATE_NODATA
from cube.errors import GridError

Dn = NDArray[np.int16]
Where = NDArray[np.bool_]

CLOUD_STEP = 0.04
"""Reflectance by which blue exceeds what is compared where cloud is left."""

SHADOW_SHARE = 0.6
"""Share of the reference's near infrared below which shadow is left."""

TOLERANCE = 0.01, 0.05
"""Reflectance, and share of the reference, of which the greater is still no difference."""

GREATEST = 20000
"""Dn from which absolute differences are counted as one: NDVI differs by at most as much."""


@dataclass(slots=True)
class Sums:
    """Counts and sums that add up over blocks."""

    def add(self, other: Self) -> None:
        """Those of another block -> taken into these."""
        for each in fields(self):
            setattr(self, each.name, _together(getattr(self, each.name), getattr(other, each.name)))

    def document(self) -> dict[str, Any]:
        """The figures as JSON; those of nothing are None."""
        raise NotImplementedError


# --- gaps -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Gaps(Sums):
    """How often the ground was seen."""

    pixels: int = 0
    """With any observation."""
    unseen: int = 0
    """Without any observation: they are in no other figure."""
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """``histogram[n]``: pixels that were seen clear n times (255: or more)."""

    @property
    def share(self) -> float:
        """Share of the observed pixels without any clear observation."""
        return ratio(int(self.histogram[0]), self.pixels)

    @property
    def mean(self) -> float:
        """Clear observations of an observed pixel, mean."""
        return ratio(int((self.histogram * np.arange(256)).sum()), self.pixels)

    def document(self) -> dict[str, Any]:
        """Share without clear observation, mean of the counts, and how many pixels have which."""
        held = np.flatnonzero(self.histogram)
        last = int(held[-1]) if held.size else -1
        return {
            "pixels": self.pixels,
            "never_observed": self.unseen,
            "share": known(self.share),
            "mean_clear_count": known(self.mean),
            "clear_count": [int(count) for count in self.histogram[: last + 1]],
        }


def gaps(
    clear_count: NDArray[np.uint8], total_count: NDArray[np.uint8], area: Where | None = None
) -> Gaps:
    """(y, x) counts of clear and of all observations -> share without, and the histogram."""
    check_layers(clear_count, total_count, area)
    judged = everywhere(clear_count, area)
    seen = judged & (total_count > 0)
    histogram = np.bincount(clear_count[seen], minlength=256).astype(np.int64)
    return Gaps(int(seen.sum()), int((judged & ~seen).sum()), histogram)


# --- residual cloud and shadow --------------------------------------------------------------------


@dataclass(slots=True)
class Residual(Sums):
    """Clouds and shadows that are left in a synthesis."""

    judged: int = 0
    """Pixels with a value and a reference in blue."""
    cloud: int = 0
    """Of them too bright for the reference and for the darkest observation."""
    cloud_of_clear: int = 0
    """Of them too bright for the reference and for the darkest clear observation."""
    bright: int = 0
    """Of them too bright for the reference, whatever else the window holds."""
    judged_shadow: int = 0
    """Pixels with a value and a reference in near infrared."""
    shadow: int = 0
    """Of them too dark for the reference."""

    def document(self) -> dict[str, Any]:
        """Shares of the judged pixels."""
        return {
            "judged": self.judged,
            "cloud": known(ratio(self.cloud, self.judged)),
            "cloud_by_darkest_clear": known(ratio(self.cloud_of_clear, self.judged)),
            "cloud_by_reference_alone": known(ratio(self.bright, self.judged)),
            "shadow": known(ratio(self.shadow, self.judged_shadow)),
        }


def clear_median(dn: Dn, clear: Where) -> Dn:
    """(time, y, x) dn and where the ground was seen -> (y, x) median of it, nodata where never.

    Of an even number the mean of the middle two, rounded half to even.
    """
    if dn.shape != clear.shape or dn.ndim != 3:
        raise GridError(f"dn are {dn.shape}, clear is {clear.shape}; both (time, y, x)")
    usable = clear & (dn != REFLECTANCE_NODATA)
    count = usable.sum(axis=0)
    if not len(dn):
        return np.full(dn.shape[1:], REFLECTANCE_NODATA, np.int16)
    ordered = np.sort(np.where(usable, dn, np.int16(np.iinfo(np.int16).max)), axis=0)
    upper = np.take_along_axis(ordered, (count // 2 % len(dn))[None], axis=0)[0]
    lower = np.take_along_axis(ordered, (np.maximum(count - 1, 0) // 2)[None], axis=0)[0]
    middle = np.rint((upper.astype(np.float64) + lower) / 2).astype(np.int16)
    return np.where(count > 0, middle, np.int16(REFLECTANCE_NODATA))


def darkest(dn: Dn, observed: Where) -> Dn:
    """(time, y, x) dn and which of them count -> (y, x) least of them, nodata where there is none."""
    if dn.shape != observed.shape or dn.ndim != 3:
        raise GridError(f"dn are {dn.shape}, observed is {observed.shape}; both (time, y, x)")
    most = np.int16(np.iinfo(np.int16).max)
    usable = observed & (dn != REFLECTANCE_NODATA)
    least: Dn = np.where(usable, dn, most).min(axis=0, initial=most)
    return np.where(usable.any(axis=0), least, np.int16(REFLECTANCE_NODATA))


def residual(
    blue: Dn,
    nir: Dn,
    reference_blue: Dn,
    reference_nir: Dn,
    darkest_blue: Dn,
    darkest_clear: Dn,
    area: Where | None = None,
) -> Residual:
    """(y, x) dn of a synthesis and of what it is held against -> clouds and shadows that are left.

    Cloud: blue exceeds by 0.04 both the reference and the darkest observation of the window (bright
    stubble exceeds the reference alone). Shadow: near infrared below 0.6 of the reference; a harvest
    between two dates looks the same, so that it is an upper bound.

    Parameters
    ----------
    blue, nir
        The synthesis, nodata where it shows no ground.
    reference_blue, reference_nir
        ``clear_median`` of a longer span; what has none is not judged.
    darkest_blue
        ``darkest`` of all blue of the window. Where it is nodata the reference alone decides.
    darkest_clear
        The same of what is clear by the mask of the reference, for the second reading.
    """
    check_layers(blue, nir, reference_blue, reference_nir, darkest_blue, darkest_clear, area)
    judged = everywhere(blue, area) & has_value(blue) & has_value(reference_blue)
    step = round(CLOUD_STEP / REFLECTANCE_SCALE)
    value = blue.astype(np.int32)
    bright = judged & (value > reference_blue.astype(np.int32) + step)
    cloud = bright & (~has_value(darkest_blue) | (value > darkest_blue.astype(np.int32) + step))
    of_clear = bright & (
        ~has_value(darkest_clear) | (value > darkest_clear.astype(np.int32) + step)
    )
    lit = everywhere(nir, area) & has_value(nir) & has_value(reference_nir)
    shadow = lit & (nir < SHADOW_SHARE * reference_nir.astype(np.float64))
    return Residual(*(int(each.sum()) for each in (judged, cloud, of_clear, bright, lit, shadow)))


# --- fidelity -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Differences(Sums):
    """How far values are from a reference: a clear date left out of them, or the truth."""

    count: int = 0
    total: int = 0
    """Sum of value minus reference, dn."""
    squares: int = 0
    within: int = 0
    """Not farther from the reference than 0.01 or 5 % of it, whichever is more."""
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """``histogram[n]``: pixels that differ by n dn, either way, as far as there are any."""

    @property
    def rmse(self) -> float:
        """Root of the mean squared difference, reflectance."""
        return math.sqrt(ratio(self.squares, self.count)) * REFLECTANCE_SCALE

    @property
    def bias(self) -> float:
        """Mean difference, value minus reference."""
        return ratio(self.total, self.count) * REFLECTANCE_SCALE

    @property
    def mad(self) -> float:
        """Median of the absolute difference."""
        if not self.count:
            return math.nan
        ranks = [(self.count - 1) // 2 + 1, self.count // 2 + 1]
        found = np.searchsorted(np.cumsum(self.histogram), ranks)
        return float(found.mean()) * REFLECTANCE_SCALE

    @property
    def share_within(self) -> float:
        """Share of the pixels within the tolerance."""
        return ratio(self.within, self.count)

    def document(self) -> dict[str, Any]:
        """RMSE, bias and median absolute difference in reflectance, share within the tolerance."""
        return {
            "pixels": self.count,
            "rmse": known(self.rmse),
            "bias": known(self.bias),
            "mad": known(self.mad),
            "within": known(self.share_within),
        }


def differences(found: Dn, reference: Dn, area: Where | None = None) -> Differences:
    """(y, x) dn twice -> how far the first are from the second where both have a value."""
    check_layers(found, reference, area)
    both = everywhere(found, area) & has_value(found) & has_value(reference)
    right = reference[both].astype(np.int64)
    apart = found[both].astype(np.int64) - right
    size = np.abs(apart)
    least, share = TOLERANCE
    # In whole numbers: a share of 5 % of dn is 20 times the difference.
    near = size <= round(least / REFLECTANCE_SCALE)
    near |= size * round(1 / share) <= np.abs(right)
    histogram = np.bincount(np.minimum(size, GREATEST)).astype(np.int64)
    return Differences(
        size.size, int(apart.sum()), int((apart * apart).sum()), int(near.sum()), histogram
    )


def ndvi(red: Dn, nir: Dn) -> Dn:
    """(...) dn of red and near infrared -> NDVI x 10000, int16, nodata -10000.

    Of values that are not both above 0 it is within -0.9999 and 1; nodata where they add up to none.
    """
    bands = red.astype(np.float64), nir.astype(np.float64)
    total = bands[0] + bands[1]
    has = has_value(red) & has_value(nir) & (total > 0)
    index = np.divide(bands[1] - bands[0], total, out=np.zeros(red.shape), where=has)
    scaled = np.clip(np.rint(index / REFLECTANCE_SCALE), REFLECTANCE_NODATA + 1, 10000)
    return np.where(has, scaled, REFLECTANCE_NODATA).astype(np.int16)


# --- temporal proximity ---------------------------------------------------------------------------


@dataclass(slots=True)
class DateDistance(Sums):
    """How far from the centre of the period the dates are that are shown."""

    pixels: int = 0
    weight: float = 0.0
    total: float = 0.0
    """Sum of weight x days."""
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Days, weighted mean."""
        return self.total / self.weight if self.weight else math.nan

    @property
    def sd(self) -> float:
        """Days, weighted standard deviation."""
        if not self.weight:
            return math.nan
        return math.sqrt(max(0.0, self.squares / self.weight - self.mean**2))

    def document(self) -> dict[str, Any]:
        """Days from the centre: mean and standard deviation."""
        return {"pixels": self.pixels, "mean": known(self.mean), "sd": known(self.sd)}


def date_distance(
    date: NDArray[np.int16],
    weight: NDArray[np.float32],
    centre: int,
    area: Where | None = None,
) -> DateDistance:
    """(y, x) days since 1970-01-01 and weights, day of the centre -> days between, weighted.

    Pixels without weight (snow, water and clouds of a weighted mean) are left out.
    """
    check_layers(date, weight, area)
    used = everywhere(date, area) & (date != DATE_NODATA) & (weight > 0)
    days = np.abs(date[used].astype(np.float64) - centre)
    weights = weight[used].astype(np.float64)
    sums = weights.sum(), (weights * days).sum(), (weights * days**2).sum()
    return DateDistance(days.size, *map(float, sums))


# --- temporal noise -------------------------------------------------------------------------------


@dataclass(slots=True)
class TemporalNoise(Sums):
    """How far a period is from the mean of the one before and the one after."""

    count: int = 0
    squares: int = 0
    """Of twice the difference, dn."""

    @property
    def rms(self) -> float:
        """Root of the mean squared difference, reflectance."""
        return math.sqrt(ratio(self.squares, self.count)) / 2 * REFLECTANCE_SCALE

    def document(self) -> dict[str, Any]:
        """Root mean square of y - (before + after) / 2."""
        return {"pixels": self.count, "rms": known(self.rms)}


def temporal_noise(before: Dn, here: Dn, after: Dn, area: Where | None = None) -> TemporalNoise:
    """(y, x) dn of three periods on end -> noise along time, as Vermote et al. 2009 take it.

    (doi 10.1109/TGRS.2008.2005977.) What grows and is harvested changes too: compare methods by it,
    over the same ground.
    """
    check_layers(before, here, after, area)
    every = everywhere(here, area) & has_value(before) & has_value(here) & has_value(after)
    first, middle, last = (each[every].astype(np.int64) for each in (before, here, after))
    apart = 2 * middle - first - last
    return TemporalNoise(apart.size, int((apart * apart).sum()))


# --- parts ----------------------------------------------------------------------------------------


def _together(one: Any, other: Any) -> Any:
    """Two counts, or two histograms of which one may be shorter -> their sum."""
    if not isinstance(one, np.ndarray):
        return one + other
    total = np.zeros(max(len(one), len(other)), one.dtype)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def known(value: float) -> float | None:
    """Figure -> six digits of it for documents; None where it is of nothing."""
    return None if math.isnan(value) else float(f"{value:.6g}")


def ratio(part: int, whole: int) -> float:
    """Part over whole; NaN where there is no whole."""
    return part / whole if whole else math.nan


def check_layers(*layers: NDArray[Any] | None) -> None:
    """Raise ``GridError`` where layers do not lie on each other."""
    shapes = {each.shape for each in layers if each is not None}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        found = " ".join(map(str, sorted(shapes)))
        raise GridError(f"layers are {found}; give (y, x) of one shape")


def has_value(dn: Dn) -> Where:
    """(...) dn -> where they are not nodata."""
    found: Where = dn != REFLECTANCE_NODATA
    return found


def everywhere(layer: NDArray[Any], area: Where | None) -> Where:
    """Layer and area, or None -> (y, x) bool, the area or all of it; not to be written to."""
    return np.ones(layer.shape, np.bool_) if area is None else area
