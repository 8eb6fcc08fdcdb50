"""Syntheses that show one date a pixel, all bands of it: what such methods share.

The ground that may be shown is clear land and water; snow where there is neither; of these the dates
with data in all bands, where there are such. A method says which of them it takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cube.account import (
    HIDDEN,
    Account,
    Result,
    Verdict,
    band_results,
    day_text,
    layer_results,
    no_date,
    observed_classes,
)
from cube.bands import REFLECTANCE_NODATA
from cube.classes import CLOUD, CLOUD_SHADOW, THIN_CLOUD
from cube.composite import STATUS_CLOUD, STATUS_NODATA, Composite, Observations
from cube.ground import STATUS_OF, ground_dates, unseen_reason
from cube.kernels.choice import date_layers, follow, keep_whole, mark_hidden, mark_whole
from cube.kernels.composite import mark_data, median_select, take_dates
from cube.kernels.shares import share_choice

Bands = Mapping[str, NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a block, ``[first, after)``, whose dates are to be chosen."""

    first: int
    after: int
    usable: NDArray[np.bool_]
    """``(time, rows, x)``: dates that may be shown."""
    choice: NDArray[np.int16]
    """``(rows, x)`` out: index of the date shown; stays -1 where there is none."""
    weight: NDArray[np.float32]
    """``(rows, x)`` out: what the weight layer says of the date shown; 1 at the start."""


def composite(
    observations: Observations,
    out: Composite,
    choose: Callable[[Strip], None],
    *,
    unseen: Callable[[Strip], None] | None = None,
    least_cloudy: bool = False,
) -> None:
    """(time, y, x) observations -> (y, x) the chosen date of each pixel, and layers.

    ``choose`` fills ``Strip.choice``. ``unseen`` does the same where no ground was seen, among the
    cloudy dates (of the least cloudy class with ``least_cloudy``); without it these stay nodata with
    status 1.
    """
    dates, _, width = observations.classes.shape
    for first, after in observations.row_tiles():
        rows = slice(first, after)
        shape = (dates, after - first, width)
        observed, whole = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
        for band in observations.bands.values():
            mark_data(band, first, observed)
        for band in observations.every.values():
            mark_whole(band, first, whole)
        usable = np.empty(shape, np.bool_)
        weight, status = out.weight[rows], out.status[rows]
        median_select(
            observations.classes,
            observed,
            observations.days,
            first,
            usable,
            weight,
            out.date[rows],
            status,
            out.clear_count[rows],
            out.total_count[rows],
        )
        keep_whole(usable, whole)
        choice = out.chosen[rows]
        weight[:] = 1
        if observations.guide is not None:
            follow(observations.guide, usable, first, choice)
        choose(Strip(first, after, usable, choice, weight))
        if unseen is not None and (status == STATUS_CLOUD).any():
            mark_hidden(observations.classes, observed, first, least_cloudy, status, usable)
            if observations.guide is not None:
                follow(observations.guide, usable, first, choice)
            unseen(Strip(first, after, usable, choice, weight))
        date_layers(
            observations.classes,
            observations.days,
            first,
            choice,
            weight,
            out.date[rows],
            status,
        )
        for name, band in observations.bands.items():
            take_dates(band, choice, first, out.bands[name][rows])
        share_choice(choice, out.shares)


def stacked(bands: Bands, strip: Strip) -> NDArray[np.int16]:
    """Bands (time, y, x) -> (band, time, rows, x) of a strip."""
    found = np.empty((len(bands), *strip.usable.shape), np.int16)
    for index, band in enumerate(bands.values()):
        found[index] = band[:, strip.first : strip.after]
    return found


# --- in words -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """Which date of one pixel is shown, and why."""

    chosen: int
    reasons: Mapping[int, str]
    """Of each date that might have been."""
    weight: float = 1.0
    factors: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    weights: Mapping[int, float] = field(default_factory=dict)


def usable_dates(observations: Observations) -> tuple[list[int], list[int]]:
    """(time, 1, 1) observations -> class of each date; the dates that may be shown."""
    codes = observed_classes(observations)
    ground = ground_dates(codes)
    every = observations.every.values()
    whole = [i for i in ground if all(b[i, 0, 0] != REFLECTANCE_NODATA for b in every)]
    return codes, whole or ground


def ndvi(observations: Observations, date: int) -> float | None:
    """NDVI of one date of one pixel, within -1 and 1; None where it has none."""
    every = observations.every
    red, nir = (int(every[name][date, 0, 0]) for name in ("red", "nir"))
    if REFLECTANCE_NODATA in (red, nir) or red + nir <= 0:
        return None
    return min(max((nir - red) / (nir + red), -1.0), 1.0)


def explain(
    observations: Observations,
    decide: Callable[[list[int]], Decision | None],
    *,
    unseen: Callable[[list[int]], Decision] | None = None,
    least_cloudy: bool = False,
) -> Account:
    """(time, 1, 1) observations and the method's decision -> the account of one pixel.

    ``decide`` is given the dates that may be shown, ``unseen`` the cloudy ones where no ground was
    seen; None: it takes none of them.
    """
    codes, usable = usable_dates(observations)
    guided = -1 if observations.guide is None else int(observations.guide[0, 0])
    decision: Decision | None = None
    cloudy = _cloudy(codes, least_cloudy)
    shown = usable or (cloudy if unseen is not None else [])
    if guided in shown:
        others = dict.fromkeys(shown, "the coarser grid shows another date")
        decision = Decision(guided, others | {guided: "the date that the coarser grid shows"})
    elif usable:
        decision = decide(usable)
    elif cloudy and unseen is not None:
        decision = unseen(cloudy)
    chosen = None if decision is None else decision.chosen
    verdicts = [_verdict(observations, codes, i, decision) for i in range(len(codes))]
    kept = [] if chosen is None else [chosen]
    status, weight, date = STATUS_NODATA, Result(0.0, "no date is shown"), no_date()
    if chosen is not None and decision is not None:
        status = STATUS_OF.get(codes[chosen], STATUS_CLOUD)
        told = decision.weight if status != STATUS_CLOUD else 0.0
        weight = Result(float(np.float32(told)), "of the date shown", (chosen,))
        day = int(observations.days[chosen])
        date = Result(day, f"{day_text(day)}, the date shown", (chosen,))
    elif any(codes):
        status = STATUS_CLOUD
    bands = band_results(
        observations, kept, lambda dates, dn: (dn[0], f"the value of {_day(observations, dates)}")
    )
    return Account(tuple(verdicts), bands | layer_results(codes, weight, date, status), chosen)


def _cloudy(codes: Sequence[int], least: bool) -> list[int]:
    """Classes of the dates -> those on which the ground is hidden; by choice the least cloudy alone."""
    hidden = [i for i, code in enumerate(codes) if code in HIDDEN]
    if not least or not hidden:
        return hidden
    rank = {THIN_CLOUD: 0, CLOUD_SHADOW: 1, CLOUD: 2}
    lowest = min(rank[codes[i]] for i in hidden)
    return [i for i in hidden if rank[codes[i]] == lowest]


def _verdict(
    observations: Observations, codes: Sequence[int], date: int, decision: Decision | None
) -> Verdict:
    if decision is not None and date in decision.reasons:
        return Verdict(
            date == decision.chosen,
            decision.reasons[date],
            decision.factors.get(date, {}),
            decision.weights.get(date),
        )
    if date in ground_dates(codes):
        return Verdict(False, "nodata in a band, while other dates have all")
    return Verdict(False, unseen_reason(observations, codes, date))


def _day(observations: Observations, dates: Sequence[int]) -> str:
    return day_text(int(observations.days[dates[0]]))
