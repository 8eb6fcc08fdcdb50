"""Outlier defence: clear dates that look like clouds or shadows among a pixel's own dates weigh less.

A mask misses some clouds, and one of them spoils a mean. Haze shows in blue beyond what red explains
(Zhang et al. 2002, doi 10.1016/S0034-4257(02)00034-2), and ground has little of it on all dates, so a date
with much more haze, and more blue, than the least hazy third of the pixel's clear dates loses weight.
Clouds only add, so the comparison is one-sided: with two dates the hazier one loses. Shadow shows as near
infrared far below that of the middle date, with less blue; it is looked for among three dates or more, and
between two lit ones, so that a harvest is none.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cube.bands import REFLECTANCE_SCALE
from cube.composite import Observations
from cube.kernels.outliers import down_weight

REDS = ("red", "rededge1")
"""Bands beside which blue tells haze, the first that there is: finer ones are brought to a grid."""

INFRAREDS = ("nir", "nir08")
"""Bands that are dark in shadow, the first that there is."""


class OutlierParams(BaseModel):
    """How far a date may stand out before it loses weight; the numbers are this project's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outliers: Literal["down-weight", "keep"] = Field(
        "down-weight",
        description="Clear dates that look like missed clouds or shadows among the pixel's dates lose "
        "weight; or are kept as they are",
        json_schema_extra={"unit": "down-weight or keep", "source": "this project"},
    )
    haze_floor: float = Field(
        0.02,
        gt=0,
        le=1,
        description="Excess of haze (blue - red/2) from which a date weighs less; at twice that nothing",
        json_schema_extra={"unit": "reflectance", "source": "this project"},
    )
    haze_spread: float = Field(
        2.0,
        ge=0,
        description="The excess is at least so many times the spread of the least hazy third of dates",
        json_schema_extra={"unit": "1", "source": "this project"},
    )
    haze_bright: float = Field(
        0.25,
        ge=0,
        le=1,
        description="And grows by this share of what blue has above 0.05: light moves bright ground",
        json_schema_extra={"unit": "1", "source": "this project, as mask combined"},
    )
    shadow_none: float = Field(
        0.7,
        gt=0,
        lt=1,
        description="Near infrared, over that of the middle date, below which a date weighs less",
        json_schema_extra={"unit": "1", "source": "this project, as mask combined"},
    )
    shadow_full: float = Field(
        0.55,
        ge=0,
        lt=1,
        description="Near infrared, over that of the middle date, from which down it weighs nothing",
        json_schema_extra={"unit": "1", "source": "this project"},
    )


def compared_bands(params: OutlierParams) -> tuple[str, ...]:
    """Parameters -> bands by which dates are told apart, on every grid alike; none without the defence."""
    return () if params.outliers == "keep" else ("blue", REDS[0], INFRAREDS[0])


def outlier_weights(
    observations: Observations, params: OutlierParams, rows: slice = slice(None)
) -> NDArray[np.float32] | None:
    """(time, y, x) dn and classes -> (time, rows, x) float32 weight in [0, 1]; None where none is kept.

    1 for all that is not clear. A pixel depends on its own dates alone. Without a
    red or first red edge there is no such weight, without near infrared none for shadow.
    """
    red = _first(observations, REDS)
    if params.outliers == "keep" or red is None:
        return None
    nir = _first(observations, INFRAREDS)
    dates, height, width = observations.classes.shape
    first, last, _ = rows.indices(height)
    weights = np.ones((dates, last - first, width), np.float32)
    down_weight(
        observations.classes,
        observations.every.get("blue", observations.blue),
        red,
        np.empty((0, height, width), np.int16) if nir is None else nir,
        first,
        params.haze_floor / REFLECTANCE_SCALE,
        params.haze_spread,
        params.haze_bright,
        params.shadow_full,
        params.shadow_none,
        weights,
    )
    return weights


def _first(observations: Observations, names: tuple[str, ...]) -> NDArray[np.int16] | None:
    every = observations.every
    return next((every[n] for n in names if n in every), None)
