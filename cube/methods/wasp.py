"""``wasp``: weighted mean of the clear land round the 15th, after Theia's monthly syntheses.

The method is that of CNES and CESBIO (Hagolle et al. 2018, "WASP algorithm theoretical basis
document", doi 10.5281/zenodo.1401360), by its intended formulas; what their public program does
otherwise can be switched on, alone or (``compat``) as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

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
from cube.bands import AOT_SCALE, REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import CLEAR, SNOW, WATER
from cube.composite import (
    STATUS_CLOUD,
    STATUS_NODATA,
    Composite,
    Method,
    Observations,
    day_number,
    day_of,
)
from cube.directional import DirectionalParams
from cube.ground import STATUS_OF
from cube.kernels.composite import (
    NO_BLUE,
    aot_weight,
    heaviest_ground,
    mark_data,
    take_dates,
    wasp_select,
    weighted_mean,
)
from cube.kernels.shares import share_choice, share_weights
from cube.kernels.wasp_binary import add_date, fresh
from cube.outliers import OutlierParams, compared_bands, outlier_weights
from cube.periods import Period
from cube.weights import BlurredClouds, CloudWeightParams
from cube.windows import WindowParams, reach, window

COMPAT: dict[str, Any] = {
    "date_weight": "wasp-binary",
    "aot_nodata": "best",
    "small_clouds": "drop",
    "brdf": "wasp",
    "outliers": "keep",
    "averaging": "wasp-binary",
}
"""What ``compat=wasp-binary`` stands for, unless a switch says otherwise."""


class WaspParams(WindowParams, CloudWeightParams, DirectionalParams, OutlierParams):
    """Parameters of ``wasp``; the defaults are those of Theia's production."""

    window: Literal["calendar", "centred"] = Field(
        "centred",
        description="Dates within half_window days of the centre, or those of the period itself",
        json_schema_extra={"unit": "name", "source": "WASP uses a centred one"},
    )
    date_weight: Literal["linear", "wasp-binary"] = Field(
        "linear",
        description="How the weight falls from the 15th to the end of the window; wasp-binary: it is "
        "1 but on the last day, as whole days are divided",
        json_schema_extra={"unit": "linear or wasp-binary", "source": "WASP; the public program"},
    )
    date_weight_min: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of a date at the end of the window; it is 1 at the centre",
        json_schema_extra={"unit": "1", "source": "WASP, parameter weightdatemin"},
    )
    aot_weight_max: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Weight of an observation through clean air; it falls linearly with the aerosol",
        json_schema_extra={"unit": "1", "source": "WASP, parameter weightaotmax"},
    )
    aot_weight_min: float = Field(
        0.33,
        ge=0,
        le=1,
        description="Weight from aot_max on",
        json_schema_extra={"unit": "1", "source": "WASP, parameter weightaotmin"},
    )
    aot_max: float = Field(
        0.8,
        gt=0,
        description="Aerosol optical thickness at 550 nm from which the weight is the least",
        json_schema_extra={"unit": "1", "source": "WASP, parameter aotmax"},
    )
    aot_nodata: Literal["least", "best"] = Field(
        "least",
        description="Weight where the aerosol of a date that has any is unknown: aot_weight_min, or "
        "as the public program aot_weight_max",
        json_schema_extra={"unit": "least or best", "source": "this project; the public program"},
    )
    sensor_weight: float = Field(
        0.33,
        ge=0,
        le=1,
        description="Weight of other satellites than Sentinel-2 and VENuS, whose weight is 1",
        json_schema_extra={"unit": "1", "source": "WASP, weight of the sensor"},
    )
    ground: Literal["last", "heaviest"] = Field(
        "last",
        description="Snow and water: the last such date, where land is never clear; or the mean of "
        "whichever of land, water and snow has most weight",
        json_schema_extra={"unit": "last or heaviest", "source": "WASP; this project"},
    )
    brdf: Literal["roy", "none", "wasp"] = Field(
        "roy",
        description="Correct land to a view from nadir by Roy's c-factor; none: not at all; wasp: as "
        "the public program, whose kernels are swapped and whose grid of angles is stretched",
        json_schema_extra={"unit": "roy, none or wasp", "source": "Roy et al. 2016 and 2017"},
    )
    averaging: Literal["exact", "wasp-binary"] = Field(
        "exact",
        description="The weighted mean, rounded; or one date after the other, cut to whole numbers "
        "after each, as the public program: weight and date of the first band, below 0 is nodata",
        json_schema_extra={
            "unit": "exact or wasp-binary",
            "source": "this project; the public program",
        },
    )
    compat: Literal["none", "wasp-binary"] = Field(
        "none",
        description="wasp-binary: all that the public program does otherwise, but for what is given",
        json_schema_extra={"unit": "none or wasp-binary", "source": "this project"},
    )

    @model_validator(mode="before")
    @classmethod
    def _all_of_it(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("compat") == "wasp-binary":
            return {**COMPAT, **given}
        return given

    @property
    def is_binary(self) -> bool:
        """Whether dates are averaged as the public program does."""
        return self.averaging == "wasp-binary"


# --- weights --------------------------------------------------------------------------------------


def weight_factors(
    observations: Observations, period: Period, params: WaspParams, rows: slice = slice(None)
) -> dict[str, NDArray[np.float32]]:
    """The factors of an observation's weight by name, ``(time, 1, 1)`` or of some rows ``(time, y, x)``."""
    factors = {"date": date_weights(observations.days, period, params).reshape(-1, 1, 1)}
    if observations.cloud_weight is not None:
        factors["cloud"] = observations.cloud_weight[:, rows]
    if observations.aot is not None:
        factors["aerosol"] = aot_weights(observations.aot[:, rows], params)
    factors["sensor"] = sensor_weights(observations, params).reshape(-1, 1, 1)
    outlying = outlier_weights(observations, params, rows)
    if outlying is not None:
        factors["outlier"] = outlying
    return factors


def total_weights(
    observations: Observations, period: Period, params: WaspParams, rows: slice = slice(None)
) -> NDArray[np.float32]:
    """The product of the factors, ``(time, rows, x)``."""
    factors = weight_factors(observations, period, params, rows)
    return _product(factors, observations.classes[:, rows].shape)


def _product(
    factors: Mapping[str, NDArray[np.float32]], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    weights = np.ones(shape, np.float32)
    for factor in factors.values():
        weights *= factor
    return weights


def date_weights(
    days: NDArray[np.int32], period: Period, params: WaspParams
) -> NDArray[np.float32]:
    """(time,) days since 1970-01-01 -> (time,) weight, linear: 1 at the centre, the least at the end."""
    share = np.abs(days - day_number(period.centre)) / max(1, reach(period, params))
    if params.date_weight == "wasp-binary":
        share = np.floor(share)
    return (1 - share * (1 - params.date_weight_min)).astype(np.float32)


def aot_weights(aot: NDArray[np.int16], params: WaspParams) -> NDArray[np.float32]:
    """(time, y, x) int16 aerosol in thousandths -> weight, linear down to the least at ``aot_max``.

    Where the aerosol is unknown it is the least (by choice the most), whatever is round it.
    """
    most, least = params.aot_weight_max, params.aot_weight_min
    unknown = least if params.aot_nodata == "least" else most
    out = np.empty(aot.shape, np.float32)
    aot_weight(aot, most, (most - least) * AOT_SCALE / params.aot_max, least, unknown, out)
    return out


def sensor_weights(observations: Observations, params: WaspParams) -> NDArray[np.float32]:
    """Platforms of the dates -> (time,) weight: 1 of Sentinel-2, VENuS and what is not stated."""
    names = [fact.platform.lower() for fact in observations.facts]
    full = [not name or name.startswith(("sentinel-2", "sentinel2", "venus")) for name in names]
    weights = [1.0 if each else params.sensor_weight for each in full]
    return np.array(weights or [1.0] * len(observations.days), np.float32)


# --- the composite --------------------------------------------------------------------------------


def nearness(params: WaspParams) -> BlurredClouds:
    """Parameters -> how clouds near a pixel lower its weight."""
    shared = params.model_dump(include=set(CloudWeightParams.model_fields))
    return BlurredClouds(CloudWeightParams.model_validate(shared))


def composite(
    observations: Observations, period: Period, params: WaspParams, out: Composite
) -> None:
    """(time, y, x) dn, classes, weights -> (y, x) weighted mean of the clear land, and layers.

    Clear land beats all else: its mean, band by band, over the dates with data there; ``weight`` is
    the sum of weights and ``date`` the weighted mean date. Where every weight of a pixel is 0 (all
    its clear dates lie deep among clouds) it is the plain mean, with weight 0 and status land.
    Without clear land the last snow or water date is shown, without those the cloudy date of least
    blue (the earlier of equals); both with weight 0, all bands from that date. With
    ``ground=heaviest`` land, water and snow are equals: the one of most weight is averaged.
    """
    dates, _, width = observations.classes.shape
    select = heaviest_ground if params.ground == "heaviest" else wasp_select
    for first, after in observations.row_tiles():
        rows = slice(first, after)
        observed = np.zeros((dates, after - first, width), np.bool_)
        for band in observations.bands.values():
            mark_data(band, first, observed)
        weights = total_weights(observations, period, params, rows)
        given = weights.copy() if params.is_binary else weights
        choice = np.empty((after - first, width), np.int16)
        select(
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
        share_weights(weights, out.shares)
        share_choice(choice, out.shares)
        if params.is_binary:
            _one_after_the_other(observations, period, given, rows, out)
            continue
        for name, band in observations.bands.items():
            target = out.bands[name][rows]
            weighted_mean(band, weights, first, target)
            take_dates(band, choice, first, target)


def _one_after_the_other(
    observations: Observations,
    period: Period,
    weights: NDArray[np.float32],
    rows: slice,
    out: Composite,
) -> None:
    """Rows of all layers but the counts, as the public program makes them.

    Its dates are days of the year of each observation, 1 January 0; here they are days of the
    centre's year, so that over a turn of the year they are as wrong as its own.
    """
    status = np.zeros_like(out.status[rows])
    values, weight, day = fresh(len(observations.bands), weights.shape[1:])
    for t, days in enumerate(observations.days):
        when = day_of(int(days))
        add_date(
            np.stack([band[t, rows] for band in observations.bands.values()]),
            observations.classes[t, rows],
            weights[t],
            (when - when.replace(month=1, day=1)).days,
            "blue" in observations.bands,
            values,
            weight,
            day,
            status,
        )
    known = day != REFLECTANCE_NODATA
    new_year = day_number(period.centre.replace(month=1, day=1))
    for name, value in zip(observations.bands, values, strict=True):
        out.bands[name][rows] = value
    out.status[rows] = status
    out.weight[rows] = np.where(weight > 0, weight / np.float32(1000), 0)
    out.date[rows] = np.where(known, day + new_year, day)


# --- the account ----------------------------------------------------------------------------------


def explain(observations: Observations, period: Period, params: WaspParams) -> Account:
    """(time, 1, 1) observations -> what each date weighs, and what the pixel shows of them."""
    codes = observed_classes(observations)
    factors = weight_factors(observations, period, params)
    product = _product(factors, observations.classes.shape)
    # NaN and negative weights count 0, as in the kernel.
    weights = [float(w) if w > 0 else 0.0 for w in product[:, 0, 0]]
    shown = _shown(observations, codes, weights, params)
    verdicts = [
        Verdict(
            i in shown.kept,
            shown.reasons.get(i) or hidden_reason(observations, i),
            {name: float(factor[i, 0, 0]) for name, factor in factors.items()},
            weights[i],
        )
        for i in range(len(codes))
    ]
    results = band_results(observations, shown.kept, shown.value) | layer_results(
        codes, shown.weight, shown.date, shown.status
    )
    if params.is_binary:
        results |= _binary_results(observations, period, params)
    return Account(tuple(verdicts), results)


def _binary_results(
    observations: Observations, period: Period, params: WaspParams
) -> dict[str, Result]:
    """What the public program's arithmetic makes of a pixel: that of the kernel, date by date."""
    out = Composite.empty(tuple(observations.bands), (1, 1), len(observations.days))
    composite(observations, period, params, out)
    said = "one date after the other, cut to whole numbers after each"
    found = {name: Result(int(band[0, 0]), said) for name, band in out.bands.items()}
    layers = {name: getattr(out, name)[0, 0].item() for name in ("weight", "date", "status")}
    return found | {name: Result(value, said) for name, value in layers.items()}


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which dates a pixel shows and how they become its values."""

    kept: list[int]
    reasons: dict[int, str]
    value: Callable[[list[int], list[int]], tuple[int, str]]
    weight: Result
    date: Result
    status: int


def _shown(
    observations: Observations, codes: list[int], weights: list[float], params: WaspParams
) -> _Shown:
    grounds = [code for code in _GROUND if code in codes]
    if CLEAR in grounds and params.ground == "last":
        return _averaged(observations, codes, weights, CLEAR)
    if grounds and params.ground == "heaviest":
        return _averaged(observations, codes, weights, _heaviest(codes, weights, grounds))
    if grounds:
        places = [i for i, code in enumerate(codes) if code in grounds]
        last = places[-1]
        reasons = dict.fromkeys(places, "snow or water, but not the last such date")
        reasons[last] = f"{_GROUND[codes[last]]}, the last such date; no clear land"
        return _single(observations, last, reasons, STATUS_OF[codes[last]])
    clouds = [i for i, code in enumerate(codes) if code in HIDDEN]
    if not clouds:
        none = Result(0.0, "no date is kept")
        return _Shown(
            [], {}, lambda _dates, _dn: (REFLECTANCE_NODATA, ""), none, no_date(), STATUS_NODATA
        )
    blue = [int(observations.blue[i, 0, 0]) for i in clouds]
    # A date without blue comes after all others, and of equals the first.
    _, chosen = min(
        (NO_BLUE if b == REFLECTANCE_NODATA else b, i) for b, i in zip(blue, clouds, strict=True)
    )
    reasons = {
        i: f"{HIDDEN[codes[i]]}, blue {reflectance(b)}" for b, i in zip(blue, clouds, strict=True)
    }
    reasons[chosen] += ", the least; never seen clear"
    return _single(observations, chosen, reasons, STATUS_CLOUD)


def _heaviest(codes: list[int], weights: list[float], grounds: list[int]) -> int:
    """Of the classes seen that of most weight; where nothing weighs anything, of most dates."""
    sums = {g: sum(w for w, c in zip(weights, codes, strict=True) if c == g) for g in grounds}
    if not any(sums.values()):
        sums = {g: codes.count(g) for g in grounds}
    return max(grounds, key=lambda g: sums[g])  # of equals the first


def _averaged(
    observations: Observations, codes: list[int], weights: list[float], ground: int
) -> _Shown:
    """The dates of one class: their weighted mean, or the plain one where nothing weighs anything."""
    shown = "clear" if ground == CLEAR else _GROUND[ground]
    lands = [i for i, code in enumerate(codes) if code == ground]
    total = sum(weights[i] for i in lands)
    plain = total == 0
    used = {i: 1.0 if plain else weights[i] for i in lands}
    kept = [i for i in lands if used[i] > 0]
    more = "was seen" if ground == CLEAR else "has more weight"
    reasons = {
        i: f"{_GROUND[code]}, while {_GROUND[ground]} {more}"
        for i, code in enumerate(codes)
        if code in _GROUND
    }
    reasons |= {i: f"{shown}, but of weight 0" for i in lands if i not in kept}
    reasons |= dict.fromkeys(kept, f"{shown}, among clouds: all weights are 0" if plain else shown)

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
        STATUS_OF[ground],
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


_GROUND = {CLEAR: "land", WATER: "water", SNOW: "snow"}

METHOD = Method(
    name="wasp",
    version="3",
    title="Weighted average of the clear observations round the 15th",
    params=WaspParams,
    window=window,
    nearness=nearness,
    composite=composite,
    explain=explain,
    facts=lambda params: ("platform", *params.facts()),
    binary_masks=lambda params: params.is_binary,
    uses_aot=True,
    wants=compared_bands,
)
