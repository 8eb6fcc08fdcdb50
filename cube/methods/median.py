"""``median``: the middle value of each band over the dates of the period."""

import numpy as np

from cube.account import (
    Account,
    Result,
    Verdict,
    band_results,
    how_many,
    layer_results,
    observed_classes,
    reflectance,
)
from cube.classes import CLEAR, SNOW, WATER
from cube.composite import Composite, Method, Observations
from cube.directional import DirectionalParams
from cube.ground import ground_dates, mean_date, status_of_dates, unseen_reason
from cube.kernels.composite import mark_data, median, median_select
from cube.kernels.shares import share_evenly
from cube.periods import Period
from cube.windows import WindowParams, window


class MedianParams(WindowParams, DirectionalParams):
    """The median has no parameters of its own."""


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
        share_evenly(usable, out.shares)


def explain(observations: Observations, _period: Period, _params: MedianParams) -> Account:
    """(time, 1, 1) observations -> which dates the median is of, and why the others are not."""
    codes = observed_classes(observations)
    kept = ground_dates(codes)
    verdicts = [
        Verdict(i in kept, _SEEN[code] if i in kept else unseen_reason(observations, codes, i))
        for i, code in enumerate(codes)
    ]
    weight = Result(len(kept), "dates kept", tuple(kept))
    status = status_of_dates(codes, kept)
    layers = layer_results(codes, weight, mean_date(observations, kept), status)
    return Account(tuple(verdicts), band_results(observations, kept, _middle) | layers)


_SEEN = {CLEAR: "clear", WATER: "water", SNOW: "snow, as nothing else was seen"}


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


METHOD = Method(
    name="median",
    version="1",
    title="Median of the clear observations, band by band",
    params=MedianParams,
    window=window,
    composite=composite,
    explain=explain,
    weight_title="Number of dates that the median is of",
    date_title="Mean date, days since 1970-01-01",
    facts=MedianParams.facts,
)
