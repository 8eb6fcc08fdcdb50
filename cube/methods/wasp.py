"""``wasp``: weighted mean of the clear land round the 15th, after Theia's monthly syntheses.

The method is that of CNES and CESBIO (Hagolle et al. 2018, "WASP algorithm theoretical basis
document", doi 10.5281/zenodo.1401360), by its intended formulas: the date weight falls linearly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cube.account import (
    HIDDEN,
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
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
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
    day_number,
)
from cube.kernels.composite import mark_data, take_dates, wasp_select, weighted_mean
from cube.periods import Period
from cube.weights import BlurredClouds, CloudWeightParams


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
) -> dict[str, NDArray[np.float32]]:
    """The factors of an observation's weight by name, each ``(time, 1, 1)`` or ``(time, y, x)``.

    A factor for the sensor or the aerosol is one more member.
    """
    by_date = date_weights(observations.days, period, params)[:, np.newaxis, np.newaxis]
    factors = {"date": by_date, "cloud": observations.cloud_weight}
    return {name: factor for name, factor in factors.items() if factor is not None}


def nearness(params: WaspParams) -> BlurredClouds:
    """Parameters -> how clouds near a pixel lower its weight."""
    shared = params.model_dump(include=set(CloudWeightParams.model_fields))
    return BlurredClouds(CloudWeightParams.model_validate(shared))


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
        for factor in factors.values():
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


def explain(observations: Observations, period: Period, params: WaspParams) -> Account:
    """(time, 1, 1) observations -> what each date weighs, and what the pixel shows of them."""
    codes = observed_classes(observations)
    factors = weight_factors(observations, period, params)
    product = np.ones((len(codes), 1, 1), np.float32)
    for factor in factors.values():
        product *= factor
    # NaN and negative weights count 0, as in the kernel.
    weights = [float(w) if w > 0 else 0.0 for w in product[:, 0, 0]]
    shown = _shown(observations, codes, weights)
    verdicts = [
        Verdict(
            i in shown.kept,
            shown.reasons.get(i) or hidden_reason(observations, i),
            {name: float(factor[i, 0, 0]) for name, factor in factors.items()},
            weights[i],
        )
        for i in range(len(codes))
    ]
    return Account(
        tuple(verdicts),
        band_results(observations, shown.kept, shown.value)
        | layer_results(codes, shown.weight, shown.date, shown.status),
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which dates a pixel shows and how they become its values."""

    kept: list[int]
    reasons: dict[int, str]
    value: Callable[[list[int], list[int]], tuple[int, str]]
    weight: Result
    date: Result
    status: int


def _shown(observations: Observations, codes: list[int], weights: list[float]) -> _Shown:
    if CLEAR in codes:
        return _land(observations, codes, weights)
    grounds = [i for i, code in enumerate(codes) if code in (SNOW, WATER)]
    if grounds:
        last = grounds[-1]
        status = STATUS_SNOW if codes[last] == SNOW else STATUS_WATER
        reasons = dict.fromkeys(grounds, "snow or water, but not the last such date")
        reasons[last] = f"{_GROUND[codes[last]]}, the last such date; no clear land"
        return _single(observations, last, reasons, status)
    clouds = [i for i, code in enumerate(codes) if code in HIDDEN]
    if not clouds:
        none = Result(0.0, "no date is kept")
        return _Shown(
            [], {}, lambda _dates, _dn: (REFLECTANCE_NODATA, ""), none, no_date(), STATUS_NODATA
        )
    blue = [int(observations.blue[i, 0, 0]) for i in clouds]
    # A date without blue comes after all others, and of equals the first.
    _, chosen = min(
        (_NO_BLUE if b == REFLECTANCE_NODATA else b, i) for b, i in zip(blue, clouds, strict=True)
    )
    reasons = {
        i: f"{HIDDEN[codes[i]]}, blue {reflectance(b)}" for b, i in zip(blue, clouds, strict=True)
    }
    reasons[chosen] += ", the least; never seen clear"
    return _single(observations, chosen, reasons, STATUS_CLOUD)


def _land(observations: Observations, codes: list[int], weights: list[float]) -> _Shown:
    """Clear land: its weighted mean, or the plain one where nothing weighs anything."""
    lands = [i for i, code in enumerate(codes) if code == CLEAR]
    total = sum(weights[i] for i in lands)
    plain = total == 0
    used = {i: 1.0 if plain else weights[i] for i in lands}
    kept = [i for i in lands if used[i] > 0]
    reasons = {
        i: f"{_GROUND[code]}, while land was seen"
        for i, code in enumerate(codes)
        if code in _GROUND
    }
    reasons |= {i: "clear, but of weight 0" for i in lands if i not in kept}
    reasons |= dict.fromkeys(kept, "clear, among clouds: all weights are 0" if plain else "clear")

    def value(dates: list[int], dn: list[int]) -> tuple[int, str]:
        numerator = denominator = 0.0
        for i, number in zip(dates, dn, strict=True):
            numerator += used[i] * number
            denominator += used[i]
        rule = "mean, as all weights are 0:" if plain else "sum(weight x value) / sum(weight) ="
        numbers = f"{numerator * REFLECTANCE_SCALE:.6f} / {denominator:.6g}"
        return round(numerator / denominator), f"{rule} {numbers} over {how_many(len(dates))}"

    # As the kernel does: days from the first date of the window, not from 1970.
    first = int(observations.days[0])
    days = {i: int(observations.days[i]) - first for i in kept}
    mean = round(first + sum(used[i] * days[i] for i in kept) / sum(used[i] for i in kept))
    kind = "mean" if plain else "weighted mean"
    return _Shown(
        kept,
        reasons,
        value,
        Result(
            float(np.float32(total)), f"sum of the weights of {how_many(len(kept))}", tuple(kept)
        ),
        Result(mean, f"{day_text(mean)}, {kind} of {how_many(len(kept))}", tuple(kept)),
        STATUS_LAND,
    )


def _single(observations: Observations, date: int, reasons: dict[int, str], status: int) -> _Shown:
    """A pixel that shows one date, with weight 0."""
    day = day_text(observations.days[date])

    def value(_dates: list[int], dn: list[int]) -> tuple[int, str]:
        return dn[0], f"the value of {day}"

    return _Shown(
        [date],
        reasons,
        value,
        Result(0.0, "0, as nothing was averaged"),
        Result(int(observations.days[date]), f"{day}, the date shown", (date,)),
        status,
    )


_GROUND = {SNOW: "snow", WATER: "water"}

_NO_BLUE = 32768
"""Above every dn."""


METHOD = Method(
    name="wasp",
    version="1",
    title="Weighted average of the clear observations round the 15th",
    params=WaspParams,
    window=window,
    nearness=nearness,
    composite=composite,
    explain=explain,
)
