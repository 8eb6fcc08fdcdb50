"""``wasp``: weighted mean of the clear land round the 15th, after Theia's monthly syntheses.

The method is that of CNES and CESBIO (Hagolle et al. 2018, "WASP algorithm theoretical basis
document", doi 10.5281/zenodo.1401360), by its intended formulas: the date weight falls linearly.
"""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cube.composite import Composite, Method, Observations, day_number
from cube.kernels.composite import mark_data, take_dates, wasp_select, weighted_mean
from cube.periods import Period
from cube.weights import CloudWeightParams


class WaspParams(CloudWeightParams):
    """Parameters of ``wasp``; the defaults are those of Theia's production."""

    half_window: int = Field(
        23,
        ge=1,
        le=183,
        description="Dates at most this far from the 15th are used, the last day included",
        json_schema_extra={"unit": "days", "source": "WASP, parameter synthalf for Sentinel-2"},
    )
    date_weight_min: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of a date at the end of the window; it is 1 on the 15th",
        json_schema_extra={"unit": "1", "source": "WASP, parameter weightdatemin"},
    )


def window(period: Period, params: WaspParams) -> tuple[date, date]:
    """Period -> the 15th minus and plus ``half_window`` days, both included."""
    reach = timedelta(days=params.half_window)
    return period.centre - reach, period.centre + reach


def date_weights(
    days: NDArray[np.int32], period: Period, params: WaspParams
) -> NDArray[np.float32]:
    """(time,) days since 1970-01-01 -> (time,) weight, linear: 1 at the centre, the least at the end."""
    away = np.abs(days - day_number(period.centre))
    return (1 - away / params.half_window * (1 - params.date_weight_min)).astype(np.float32)


def weight_factors(
    observations: Observations, period: Period, params: WaspParams
) -> tuple[NDArray[np.float32], ...]:
    """The factors of an observation's weight, each ``(time, 1, 1)`` or ``(time, y, x)``.

    A factor for the sensor or the aerosol is one more member.
    """
    by_date = date_weights(observations.days, period, params)[:, np.newaxis, np.newaxis]
    factors = (by_date, observations.cloud_weight)
    return tuple(factor for factor in factors if factor is not None)


def composite(
    observations: Observations, period: Period, params: WaspParams, out: Composite
) -> None:
    """(time, y, x) dn, classes, cloud weight -> (y, x) weighted mean of the clear land, and layers.

    Clear land beats all else: its mean, band by band, over the dates with data there; ``weight`` is
    the sum of weights and ``date`` the weighted mean date. Where every weight of a pixel is 0 (all
    its clear dates lie deep among clouds) it is the plain mean, with weight 0 and status land.
    Without clear land the last snow or water date is shown, without those the cloudy date of least
    blue (the earlier of equals); both with weight 0, all bands from that date.
    """
    factors = weight_factors(observations, period, params)
    dates, _, width = observations.classes.shape
    for first, after in observations.row_tiles():
        rows = slice(first, after)
        shape = (dates, after - first, width)
        observed = np.zeros(shape, np.bool_)
        for band in observations.bands.values():
            mark_data(band, first, observed)
        weights = np.ones(shape, np.float32)
        for factor in factors:
            weights *= factor if factor.shape[1] == 1 else factor[:, rows]
        choice = np.empty(shape[1:], np.int16)
        wasp_select(
            observations.classes,
            observed,
            observations.blue,
            observations.days,
            first,
            weights,
            choice,
            out.weight[rows],
            out.date[rows],
            out.status[rows],
            out.clear_count[rows],
            out.total_count[rows],
        )
        for name, band in observations.bands.items():
            target = out.bands[name][rows]
            weighted_mean(band, weights, first, target)
            take_dates(band, choice, first, target)


METHOD = Method(
    name="wasp",
    version="1",
    title="Weighted average of the clear observations round the 15th",
    params=WaspParams,
    window=window,
    weights_cloud=True,
    composite=composite,
)
