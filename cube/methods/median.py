"""``median``: the middle value of each band over the calendar month."""

from datetime import date

import numpy as np

from cube.account import (
    Account,
    Result,
    Verdict,
    band_results,
    day_text,
    hidden_reason,
    how_many,
    layer_results,
    no_date,
    observed_classes,
    reflectance,
)
from cube.classes import CLEAR, SNOW, WATER
from cube.composite import (
    STATUS_CLOUD,
    STATUS_LAND,
    STATUS_NODATA,
    STATUS_SNOW,
    STATUS_WATER,
    Composite,
    Method,
    Observations,
)
from cube.directional import DirectionalParams
from cube.kernels.composite import mark_data, median, median_select
from cube.periods import Period


class MedianParams(DirectionalParams):
    """The median has no parameters of its own."""


def window(period: Period, _params: MedianParams) -> tuple[date, date]:
    """Period -> its own first and last day."""
    return period.start, period.last


def composite(
    observations: Observations, _period: Period, _params: MedianParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) median of clear and water dates, band by band.

    Snow counts only where the window holds neither. What is seen through cloud alone stays nodata
    with status 1. ``weight`` is the number of dates used, ``date`` their mean.
    """
    dates, _, width = observations.classes.shape
    for first, after in observations.row_tiles():
        rows = slice(first, after)
        observed = np.zeros((dates, after - first, width), np.bool_)
        usable = np.empty_like(observed)
        for band in observations.bands.values():
            mark_data(band, first, observed)
        median_select(
            observations.classes,
            observed,
            observations.days,
            first,
            usable,
            out.weight[rows],
            out.date[rows],
            out.status[rows],
            out.clear_count[rows],
            out.total_count[rows],
        )
        for name, band in observations.bands.items():
            median(band, usable, first, out.bands[name][rows])


def explain(observations: Observations, _period: Period, _params: MedianParams) -> Account:
    """(time, 1, 1) observations -> which dates the median is of, and why the others are not."""
    codes = observed_classes(observations)
    ground = [i for i, code in enumerate(codes) if code in (CLEAR, WATER)]
    kept = ground or [i for i, code in enumerate(codes) if code == SNOW]
    verdicts = []
    for i, code in enumerate(codes):
        if i in kept:
            why = "snow, as nothing else was seen" if code == SNOW else _SEEN[code]
        elif code == SNOW:
            why = "snow, while land or water was seen"
        else:
            why = hidden_reason(observations, i)
        verdicts.append(Verdict(i in kept, why))
    weight = Result(len(kept), "dates kept", tuple(kept))
    layers = layer_results(codes, weight, _mean_date(observations, kept), _status(codes))
    return Account(tuple(verdicts), band_results(observations, kept, _middle) | layers)


_SEEN = {CLEAR: "clear", WATER: "water"}


def _middle(_dates: list[int], dn: list[int]) -> tuple[int, str]:
    """Dn -> their median, half to even, and how."""
    ranked = sorted(dn)
    low, high = ranked[(len(dn) - 1) // 2], ranked[len(dn) // 2]
    shown = " ".join(reflectance(value) for value in ranked)
    if len(dn) == 1:
        return low, f"the only value, {shown}"
    even = "" if len(dn) % 2 else ", the mean of the two in the middle"
    # A half of two whole numbers is exact, and Python rounds it to even.
    return round((low + high) / 2), f"median of {shown}, over {how_many(len(dn))}{even}"


def _mean_date(observations: Observations, kept: list[int]) -> Result:
    if not kept:
        return no_date()
    days = [int(observations.days[i]) for i in kept]
    # As the kernel does: from the first date of the window, not from 1970.
    first = int(observations.days[0])
    mean = round(first + sum(day - first for day in days) / len(days))
    return Result(mean, f"{day_text(mean)}, mean of {how_many(len(days))}", tuple(kept))


def _status(codes: list[int]) -> int:
    if CLEAR in codes or WATER in codes:
        return STATUS_WATER if codes.count(WATER) > codes.count(CLEAR) else STATUS_LAND
    if SNOW in codes:
        return STATUS_SNOW
    return STATUS_CLOUD if any(codes) else STATUS_NODATA


METHOD = Method(
    name="median",
    version="1",
    title="Median of the clear observations of the month",
    params=MedianParams,
    window=window,
    nearness=lambda _params: None,
    composite=composite,
    explain=explain,
    facts=MedianParams.facts,
)
