"""``combined``: haze and darkness of a window against the pixel's own clear dates, beside a mask.

The ideas are those of the multi-temporal method (Hagolle et al. 2010, doi
10.1016/j.rse.2010.03.002): a cloud raises blue more than red above the pixel's clear reference, a
shadow dims it; and of the haze index of Zhang et al. 2002 (doi 10.1016/S0034-4257(02)00034-2). Unlike
there, the reference lies on both sides of a date, so that a change of the ground that stays
(harvest, ploughing) is no shadow, and a single-date mask, which knows the 1.38 micrometre band that
surface reflectances lack, halves the haze that is needed where it says cloud over most of a window.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cube.bands import REFLECTANCE_NODATA
from cube.classes import CLEAR, CLOUD, THIN_CLOUD
from cube.errors import MaskError
from cube.kernels.combined import (
    Limits,
    Seen,
    Told,
    decide,
    find_water,
    most_say,
    refer,
    start,
)
from cube.temporal import Series, TemporalMethod

BANDS = ("blue", "green", "red", "nir08", "swir16")

DN = 10_000
"""dn of reflectance 1."""

START_QUANTILE = 0.15
"""Share of a pixel's haze indices that are taken for clear to begin with; of its dates at least
so many must be. Between 0.10 and 0.25 nothing changes on a real series."""

START_SLACK = 0.04
"""What the index of clear ground may rise by over the seasons, to begin with; reflectance."""

GLARE = 0.05
"""Haze index above which clear ground is bright: roofs, greenhouses, sand. Sun and view change it by
tenths of itself, so that a quarter of what it has above this is no haze."""

ALONE = 0.04
"""Haze of one pixel that is cloud whatever its window shows: clouds of less than a hectare. Nothing
clear is lost by it down to 0.035, neither on simulated series nor on a real one."""

THICK = 0.10
"""Mean haze of a window from which cloud is thick; the index of the thickest is 0.2 to 0.4."""

BAND_SEED, BAND_RIM = 0.90, 0.95
"""Neither NIR nor SWIR may be brighter than this against its reference in a shadow and at its rim:
ploughing and harvest dim one of them only."""

SEEDS = 0.2
"""Share of a window that must be certain shadow for its rim to be shadow."""

DROP = 0.02
"""Loss of NIR reflectance below which nothing is called shadow: water and dark ground vary by it."""

SNOW_NDSI, SNOW_RED, SNOW_SWIR = 0.4, 0.12, 0.16
"""Snow: NDSI above, red above, SWIR below (MAJA, parameters of the snow mask)."""

WATER_NDVI, WATER_RED = 0.01, 0.05
"""Water: NDVI and red below (MAJA, parameters of the water mask)."""


BYTES_A_DATE = 18
"""Excess 2, usual and least 4 each, classes and five booleans 1 each, and two to spare."""


class CombinedParams(BaseModel):
    """Parameters of ``combined``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int | Literal["all"] = Field(
        12,
        description="Months on both sides of a date that are its series at least, or all",
        json_schema_extra={"unit": "months", "source": "a whole cycle of seasons on each side"},
    )
    haze: float = Field(
        0.03,
        gt=0,
        le=0.5,
        description="Rise of the haze index above the pixel's clear reference that is cloud",
        json_schema_extra={"unit": "reflectance", "source": "Hagolle et al. 2010, 0.03 in blue"},
    )
    haze_said: float = Field(
        0.015,
        gt=0,
        le=0.5,
        description="The same where the single-date mask calls most of the window cloud",
        json_schema_extra={"unit": "reflectance", "source": "MAJA 4, 0.016 at 240 m"},
    )
    shadow: float = Field(
        0.72,
        gt=0,
        lt=1,
        description="Mean of NIR and SWIR, against the darker of before and after, that is shadow",
        json_schema_extra={"unit": "1", "source": "MAJA darkens red by 0.65; measured here"},
    )
    shadow_rim: float = Field(
        0.85,
        gt=0,
        lt=1,
        description="The same against both sides together, beside certain shadow",
        json_schema_extra={"unit": "1", "source": "own"},
    )
    reach: int = Field(
        120,
        ge=10,
        le=400,
        description="A clear date farther away than this is no reference",
        json_schema_extra={"unit": "days", "source": "MAJA, composite expires after 90 days"},
    )
    radius: int = Field(
        2,
        ge=0,
        le=10,
        description="Half the side of the window, less its middle, over which haze and darkness count",
        json_schema_extra={"unit": "pixels of 20 m", "source": "own"},
    )
    rounds: int = Field(
        2,
        ge=1,
        le=5,
        description="Times that clear dates are chosen and everything is decided on them",
        json_schema_extra={"unit": "1", "source": "own; a third changes one cell in a thousand"},
    )
    min_observations: int = Field(
        8,
        ge=3,
        description="Fewer dates than this are refused",
        json_schema_extra={"unit": "dates", "source": "own: a reference holds eight"},
    )


def halo(params: CombinedParams) -> int:
    """Parameters -> pixels around a block: two windows a round, as rims look at seeds."""
    return 2 * params.radius * params.rounds


def detect(series: Series, params: CombinedParams) -> NDArray[np.uint8]:
    """(time, y, x) dn of five bands and, if there is one, a mask -> classes at 20 m.

    Clear, cloud, thin cloud and shadow after the rounds described above; snow by its spectrum,
    unless it stands above the reference as a cloud would; water last. No observation where a band
    has nodata. ``MaskError`` where there are fewer than ``min_observations`` dates.
    """
    dates = len(series.days)
    if dates < params.min_observations:
        raise MaskError(
            f"combined needs {params.min_observations} dates or more, not {dates}; "
            "give a longer datetime or a smaller min_observations"
        )
    blue, _, red, nir, swir = (series.bands[name] for name in BANDS)
    observed = _observed(series)
    said = np.zeros(blue.shape, np.bool_)
    if series.classes is not None:
        cloudy = (series.classes == CLOUD) | (series.classes == THIN_CLOUD)
        most_say(cloudy, observed, params.radius, said)
        del cloudy
    snowy = _snow_like(series)
    base = np.empty(blue.shape[1:], np.int32)
    clear = np.empty(blue.shape, np.bool_)
    start(blue, red, observed, START_QUANTILE, _doubled(START_SLACK), base, clear)
    seen = Seen(nir, swir, observed, said, snowy)
    told = Told(
        excess=np.empty(blue.shape, np.int16),
        usual=np.empty((2, *blue.shape), np.int16),
        least=np.empty((2, *blue.shape), np.int16),
        known=np.empty(blue.shape, np.bool_),
    )
    classes = np.empty(blue.shape, np.uint8)
    for _round in range(params.rounds):
        refer(
            blue, red, nir, swir, series.days, observed, clear, base, params.reach,
            _doubled(GLARE), told,
        )  # fmt: skip
        decide(seen, told, _limits(params), classes)
        np.equal(classes, CLEAR, out=clear)
    ratio = (1 + WATER_NDVI) / (1 - WATER_NDVI)
    find_water(red, nir, ratio, round(WATER_RED * DN), classes)
    return classes


def _limits(params: CombinedParams) -> Limits:
    return Limits(
        haze=_doubled(params.haze),
        haze_said=_doubled(min(params.haze, params.haze_said)),
        haze_one=_doubled(max(params.haze, ALONE)),
        thick=_doubled(THICK),
        dark_seed=params.shadow**2,
        band_seed=max(BAND_SEED, params.shadow),
        dark_grow=params.shadow_rim**2,
        band_grow=max(BAND_RIM, params.shadow_rim),
        drop=round(DROP * DN),
        share=SEEDS,
        radius=params.radius,
    )


def _doubled(reflectance: float) -> int:
    """Haze as reflectance -> as the kernels count it, in dn of the doubled index."""
    return round(2 * DN * reflectance)


def _observed(series: Series) -> NDArray[np.bool_]:
    """Where all bands have data."""
    observed = np.ones(series.bands["blue"].shape, np.bool_)
    for name in BANDS:
        observed &= series.bands[name] != REFLECTANCE_NODATA
    return observed


def _snow_like(series: Series) -> NDArray[np.bool_]:
    """Where the spectrum is that of snow, date by date to save memory."""
    green, red, swir = (series.bands[name] for name in ("green", "red", "swir16"))
    snowy = np.empty(green.shape, np.bool_)
    for t in range(len(green)):
        wide, narrow = green[t].astype(np.int32), swir[t].astype(np.int32)
        bright = (red[t] > SNOW_RED * DN) & (narrow < SNOW_SWIR * DN)
        snowy[t] = bright & (wide - narrow > SNOW_NDSI * (wide + narrow))
    return snowy


def provisional(days: NDArray[np.int32], params: CombinedParams) -> NDArray[np.bool_]:
    """(time,) days -> (time,) bool: within ``reach`` of an end, where the reference may still grow."""
    near_end = (days[-1] - days < params.reach) | (days - days[0] < params.reach)
    found: NDArray[np.bool_] = near_end
    return found


DETECTOR = TemporalMethod(
    name="combined",
    version="2",
    title="Haze and darkness against the pixel's clear dates, beside a single-date mask",
    params=CombinedParams,
    bands=BANDS,
    halo=halo,
    detect=detect,
    provisional=provisional,
    bytes_a_date=BYTES_A_DATE,
    mask=True,
)
