"""Sampled pixels of a cube's dates -> which dates are shifted by an offset or off by a factor.

An offset forgotten or applied twice moves all bands of all pixels of a date by 0.1. Two things tell
it from haze, harvest or wet soil. *Others*: the visible bands of the same clear pixels differ by
0.1 from the dates around, where seasons move them by less than 0.04 in a month. *Physics*: land with
chlorophyll is dark in red, and something is dark in some band; nothing is darker than nothing.

Differences tell only by how much dates differ. They are rounded to steps of 0.1 and added up along
the most certain ones, which gives every date a level; which level is right is decided by physics
and, where that is silent, by the majority.

The thresholds were measured on 72 dates of farmland in Belgium (Sen2Cor L2A, 39 of them with a third
clear or more; tests/cube/test_radiometric_audit.py repeats it) and lie midway between what those
dates show as they are and shifted by 0.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.levels import find_levels
from cube.samples import Sample

STEP = 0.1
"""What an offset moves reflectances by: BOA_ADD_OFFSET and RADIO_ADD_OFFSET are -1000 of 10000
(Sentinel-2 Products Specification Document, from processing baseline 04.00)."""

LEAST_CLEAR = 1 / 3
"""Least share of the observed pixels that is clear. Between clouds the ground is seen through their
fringes: dates with 27 and 12 % clear were brighter by 0.07 to 0.1 in every band."""

LEAST_PIXELS = 100
"""Fewest clear pixels of a date, or of two together."""

NEIGHBOURS = 4
"""Dates compared to either side. Over four dates and 60 days visible bands differed by 0.038 at
most, while half of 0.1 decides."""

FARTHEST = 120 * 86_400_000
"""Milliseconds to the farthest date compared: snow-free seasons apart, land is another."""

VISIBLE = ("blue", "green", "red")
"""Bands that vegetation, harvest and moisture move least."""

DARKEST_BRIGHT = 0.07
"""Darkest 2 % of the darkest band: 0.042 at most as it was, 0.101 at least with 0.1 more."""

NEGATIVE = -0.025
"""Darkest 2 % of the second darkest band: 0.013 at least as it was, -0.058 at most with 0.1 less."""

GREEN = 0.25
"""Near infrared minus red of dense vegetation; no offset changes it."""

LEAST_GREEN = 30
"""Fewest pixels of dense vegetation."""

GREEN_RED = (0.0, 0.095)
"""Red of dense vegetation, median: 0.022 to 0.073 as it was, between its values 0.1 less and more."""

AGREEMENT = 0.05
"""How far any band may be from a shift of 0.1 where there is neither vegetation nor a dark pixel:
half a step."""

SMALL_FACTOR = 1.75
"""Brightness of all bands against the dates around: 0.57 to 1.47 as it was, median over bands."""

SMALL_SPREAD = 1.7
"""Greatest ratio between the factors of two bands of a date that is off by a small factor: those of
the dates as they were that came nearest (0.57, 0.61) differed by 1.88 and more."""

LARGE_FACTOR = 4.0
"""From here on no season explains it, whatever the bands say: between 1.47 and 10 x 0.57."""

_WRONG, _BRIGHT, _MOVED = 3.0, 1.0, 1.5
"""Costs of a level: a date physically impossible, one without any dark pixel but no vegetation
either (a desert), one that is moved. Vegetation outweighs a majority of up to two thirds."""

Floats = npt.NDArray[np.float64]


class Verdict(StrEnum):
    """What is found of a date."""

    RIGHT = "right"
    MISSING = "missing"
    """Brighter by 0.1: the offset was not applied."""
    TWICE = "twice"
    """Darker by 0.1: the offset was applied to pixels that were shifted already."""
    SCALE = "scale"
    """Brighter or darker by a factor."""
    UNDECIDED = "undecided"
    """At odds with the dates around, but not by which of them is wrong."""
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is found of one date, and from what."""

    position: int
    """Of the date in the sample."""
    verdict: Verdict
    why: str
    clear: float
    """Share of the observed pixels of the sample that is clear."""
    pixels: int
    """Clear pixels of the sample."""
    neighbours: int = 0
    """Dates that it was compared with."""
    shift: float | None = None
    """Reflectance against those dates, each moved to its own right level: median of visible bands."""
    bands: dict[str, float] = field(default_factory=dict)
    """The same for each band."""
    factor: float | None = None
    """Ratio to those dates as they are: median over bands."""
    darkest: float | None = None
    """Darkest 2 % of the clear pixels in the darkest band."""
    green_red: float | None = None
    """Red of dense vegetation, median."""


@dataclass(slots=True)
class _Date:
    """One date's own statistics, and what the others say of it."""

    clear: float
    pixels: int
    floors: Floats
    """(band,) darkest 2 % of the clear pixels, sorted; without the bands that it lacks."""
    green_red: float | None
    peers: dict[int, Floats] = field(default_factory=dict)
    """Date -> (band,) difference of the same pixels, this minus that: medians."""
    medians: dict[int, Floats] = field(default_factory=dict)
    """Date -> (band,) medians of this date over the pixels that both have clear."""
    level: int = 0

    def cost(self, level: int) -> float:
        """How little this date could be at a level, from 0: its own pixels alone."""
        floors = self.floors - STEP * level
        cost = 0.0
        if len(floors) > 1 and floors[1] <= NEGATIVE:
            cost = _WRONG
        if self.green_red is not None:
            least, most = GREEN_RED
            return cost if least < self.green_red - STEP * level < most else _WRONG
        if not cost and len(floors) and floors[0] >= DARKEST_BRIGHT:
            cost = _BRIGHT
        return cost


def judge_dates(sample: Sample) -> list[Judgement]:
    """Sample of a cube -> one judgement for each of its dates, in their order."""
    values = sample.dn.astype(np.float32) * np.float32(REFLECTANCE_SCALE)
    values[sample.dn == REFLECTANCE_NODATA] = np.nan
    dates = [_date(sample, values, position) for position in range(len(sample.entries))]
    fit = [p for p, date in enumerate(dates) if _is_fit(date)]
    _compare(sample, values, dates, fit)
    visible = [sample.bands.index(name) for name in VISIBLE if name in sample.bands]
    # What is off by 10 has no level; the others must have theirs before smaller factors show.
    far = {p for p in fit if _factor(dates, p).is_wrong(LARGE_FACTOR, math.inf)}
    _find_levels(dates, [p for p in fit if p not in far], visible)
    return [_judge(sample, dates, p, p in far, visible) for p in range(len(dates))]


def equal_dates(sample: Sample) -> list[tuple[int, int]]:
    """Pairs of dates whose sampled pixels are the same in every band; empty ones left out."""
    seen: dict[bytes, int] = {}
    pairs = []
    for position in range(len(sample.entries)):
        if not sample.observed[position].any():
            continue
        content = sample.dn[position].tobytes()
        if content in seen:
            pairs.append((seen[content], position))
        else:
            seen[content] = position
    return pairs


# --- a date by itself -----------------------------------------------------------------------------


def _date(sample: Sample, values: npt.NDArray[np.float32], position: int) -> _Date:
    clear = sample.clear[position]
    count, observed = int(clear.sum()), int(sample.observed[position].sum())
    share = count / observed if observed else 0.0
    if count < LEAST_PIXELS:
        return _Date(share, count, np.empty(0), None)
    seen = values[position][:, clear]
    delivered = ~np.isnan(seen[:, 0])
    floors = np.sort(np.percentile(seen[delivered], 2, axis=1))
    return _Date(share, count, floors.astype(np.float64), _green_red(sample.bands, seen))


def _green_red(bands: Sequence[str], seen: npt.NDArray[np.float32]) -> float | None:
    near = next((name for name in ("nir", "nir08") if name in bands), None)
    if near is None or "red" not in bands:
        return None
    red = seen[bands.index("red")]
    green = seen[bands.index(near)] - red > GREEN
    return float(np.median(red[green])) if green.sum() >= LEAST_GREEN else None


def _is_fit(date: _Date) -> bool:
    return date.pixels >= LEAST_PIXELS and date.clear >= LEAST_CLEAR


# --- dates against each other ---------------------------------------------------------------------


def _compare(
    sample: Sample, values: npt.NDArray[np.float32], dates: list[_Date], fit: Sequence[int]
) -> None:
    """Fill in what each date that is fit differs by from the next ones that share its pixels."""
    for index, one in enumerate(fit):
        found = 0
        for other in fit[index + 1 :]:
            apart = sample.entries[other].time - sample.entries[one].time
            if found == NEIGHBOURS or apart > FARTHEST:
                break
            both = sample.clear[one] & sample.clear[other]
            if both.sum() < LEAST_PIXELS:
                continue
            first, second = values[one][:, both], values[other][:, both]
            found += 1
            medians = np.median(np.stack([first, second, first - second]), axis=2)
            ours, theirs, difference = medians.astype(np.float64)
            dates[one].peers[other], dates[other].peers[one] = difference, -difference
            dates[one].medians[other], dates[other].medians[one] = ours, theirs


@dataclass(frozen=True, slots=True)
class _Factor:
    """How many times brighter a date is than those around."""

    value: float = 1.0
    """Median over bands."""
    spread: float = 1.0
    """Greatest over least of the bands' factors."""

    def is_wrong(self, least: float, spread: float) -> bool:
        """Whether it is as large, or as small, and the bands agree as much."""
        return max(self.value, 1 / self.value) >= least and self.spread <= spread


def _factor(dates: Sequence[_Date], position: int) -> _Factor:
    """Factor against the dates around, each moved to its right level."""
    date = dates[position]
    if not date.peers or (len(date.floors) > 1 and date.floors[1] <= NEGATIVE):
        # No factor makes what is bright negative.
        return _Factor()
    rows = []
    for other, medians in date.medians.items():
        pair = np.stack([medians, dates[other].medians[position] - STEP * dates[other].level])
        pair[pair <= 0] = np.nan
        rows.append(np.log(pair[0]) - np.log(pair[1]))
    bands = _median(np.stack(rows))
    known = bands[~np.isnan(bands)]
    if len(known) <= len(bands) // 2:
        return _Factor()
    return _Factor(float(np.exp(np.median(known))), float(np.exp(known.max() - known.min())))


def _median(rows: Floats) -> Floats:
    """(date, band) -> (band,) median over the dates that have the band; NaN where none has."""
    if not np.isnan(rows).any():
        found: Floats = np.median(rows, axis=0)
        return found
    known = [column[~np.isnan(column)] for column in rows.T]
    return np.array([np.median(column) if len(column) else np.nan for column in known])


# --- levels ---------------------------------------------------------------------------------------


def _find_levels(dates: Sequence[_Date], chosen: Sequence[int], visible: Sequence[int]) -> None:
    """Give each of the chosen dates the level at which it lies, in steps of 0.1; 0 is right."""
    left = set(chosen)
    steps = {
        (one, other): _steps(difference, visible)
        for one in chosen
        for other, difference in dates[one].peers.items()
        if other in left
    }

    def cost(position: int, level: int) -> float:
        return dates[position].cost(level) + _MOVED * abs(level)

    for position, level in find_levels(chosen, steps, cost).items():
        dates[position].level = level


def _steps(difference: Floats, visible: Sequence[int]) -> float:
    """(band,) difference -> steps of 0.1, unrounded: the median of the visible bands."""
    chosen = difference[list(visible)] if visible else difference
    known = chosen[~np.isnan(chosen)]
    return float(np.median(known)) / STEP if len(known) else 0.0


# --- verdicts -------------------------------------------------------------------------------------


def _judge(
    sample: Sample,
    dates: Sequence[_Date],
    position: int,
    far: bool,
    visible: Sequence[int],
) -> Judgement:
    date = dates[position]
    shifts, factor = _shifts(dates, position), _factor(dates, position)
    scaled = far or factor.is_wrong(SMALL_FACTOR, SMALL_SPREAD)
    verdict, why = _decide(sample, date, position, factor if scaled else None, shifts)
    return Judgement(
        position=position,
        verdict=verdict,
        why=why,
        clear=round(date.clear, 3),
        pixels=date.pixels,
        neighbours=len(date.peers),
        shift=round(STEP * _steps(shifts, visible), 4) if len(shifts) else None,
        bands={
            name: round(float(shift), 4)
            for name, shift in zip(sample.bands, shifts, strict=False)
            if not np.isnan(shift)
        },
        factor=round(factor.value, 3) if date.peers else None,
        darkest=round(float(date.floors[0]), 4) if len(date.floors) else None,
        green_red=None if date.green_red is None else round(date.green_red, 4),
    )


def _shifts(dates: Sequence[_Date], position: int) -> Floats:
    """(band,) difference from the dates around, each moved to its right level: medians."""
    rows = [
        difference + STEP * dates[other].level
        for other, difference in dates[position].peers.items()
    ]
    return _median(np.stack(rows)) if rows else np.empty(0)


def _decide(
    sample: Sample,
    date: _Date,
    position: int,
    factor: _Factor | None,
    shifts: Floats,
) -> tuple[Verdict, str]:
    if position in sample.unread:
        return Verdict.NOT_JUDGED, sample.unread[position]
    if not sample.observed[position].any():
        return Verdict.NOT_JUDGED, "it has no data in the sample"
    if date.pixels < LEAST_PIXELS:
        return Verdict.NOT_JUDGED, f"{date.pixels} clear pixels in the sample, fewer than 100"
    if not _is_fit(date) or not date.peers:
        return _alone(date)
    if factor is not None:
        return Verdict.SCALE, f"all bands are {factor.value:.3g} times those of the dates around"
    if date.level == 0:
        return Verdict.RIGHT, ""
    return _moved(date, shifts)


def _alone(date: _Date) -> tuple[Verdict, str]:
    """Too cloudy, or without others to compare: only what is darker than nothing is certain."""
    if len(date.floors) > 1 and date.floors[1] <= NEGATIVE and date.cost(-1) < _WRONG:
        return Verdict.TWICE, "dark pixels are negative in several bands"
    if not _is_fit(date):
        return Verdict.NOT_JUDGED, f"only {date.clear:.0%} of it is clear, less than a third"
    return Verdict.NOT_JUDGED, "no other date within 120 days shows the same pixels clear"


def _moved(date: _Date, shifts: Floats) -> tuple[Verdict, str]:
    """A date at another level than the others: what its own pixels say to that."""
    moved = f"{abs(STEP * date.level):.1f} {'brighter' if date.level > 0 else 'darker'}"
    there, here = date.cost(date.level), date.cost(0)
    # Haze brightens vegetation, too, but leaves dark what is dark in the short-wave infrared.
    if there > here or (len(date.floors) > 1 and date.floors[1] - STEP * date.level <= NEGATIVE):
        cause = "haze or snow" if date.level > 0 else "shadow or water"
        return Verdict.RIGHT, f"visible bands are {moved} than around, but not all: {cause}?"
    if abs(date.level) > 1:
        return Verdict.UNDECIDED, f"{moved} than the dates around: no known offset does that"
    known = shifts[~np.isnan(shifts)]
    agreed = bool((np.abs(known - STEP * date.level) <= AGREEMENT).all())
    if there == here and not agreed:
        return (
            Verdict.UNDECIDED,
            f"visible bands are {moved} than around; neither vegetation nor dark "
            "pixels tell which is right",
        )
    proof = "its dark pixels and vegetation agree" if there < here else "in every band"
    verdict = Verdict.MISSING if date.level > 0 else Verdict.TWICE
    return verdict, f"{moved} than the dates around, {proof}"
