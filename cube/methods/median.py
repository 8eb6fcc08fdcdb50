"""``median``: the middle value of each band over the calendar month."""

from datetime import date

import numpy as np
from pydantic import BaseModel, ConfigDict

from cube.composite import Composite, Method, Observations
from cube.kernels.composite import mark_data, median, median_select
from cube.periods import Period


class MedianParams(BaseModel):
    """The median has no parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


METHOD = Method(
    name="median",
    version="1",
    title="Median of the clear observations of the month",
    params=MedianParams,
    window=window,
    weights_cloud=False,
    composite=composite,
)
