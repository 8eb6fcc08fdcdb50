"""``bap``: of each pixel the best date by a score of cloud distance, coverage and day.

Best available pixel after J. C. White et al. 2014, "Pixel-based image compositing for large-area dense
time series applications and science", Canadian Journal of Remote Sensing 40, 192-212, and P. Griffiths
et al. 2013, doi 10.1109/JSTARS.2012.2228167, with the scores and weights of openEO's implementation.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cube.account import Account
from cube.composite import Composite, Method, Observations, day_number
from cube.directional import DirectionalParams
from cube.distance import CloudDistance, CloudDistanceParams
from cube.kernels import choice as kernels
from cube.one_date import Decision, Strip
from cube.one_date import composite as compose
from cube.one_date import explain as explain_choice
from cube.periods import Period
from cube.windows import WindowParams, window

_OPENEO = "openEO community example of best-available-pixel composites"


class BapParams(WindowParams, CloudDistanceParams, DirectionalParams):
    """What the score is made of."""

    distance_weight: float = Field(
        1.0,
        ge=0,
        description="Part of the distance to the date's clouds in the score",
        json_schema_extra={"unit": "1", "source": _OPENEO},
    )
    coverage_weight: float = Field(
        0.5,
        ge=0,
        description="Part of the date's share without cloud and shadow in the score",
        json_schema_extra={"unit": "1", "source": _OPENEO},
    )
    date_weight: float = Field(
        0.8,
        ge=0,
        description="Part of the nearness to the centre of the period in the score",
        json_schema_extra={"unit": "1", "source": _OPENEO},
    )
    date_sigma: float = Field(
        10,
        gt=0,
        description="Standard deviation of the Gaussian by which the day counts",
        json_schema_extra={"unit": "days", "source": "this project"},
    )


def nearness(params: BapParams) -> CloudDistance:
    """Parameters -> the distance to clouds that the score asks for."""
    return CloudDistance(CloudDistanceParams(cloud_distance=params.cloud_distance))


def date_scores(
    observations: Observations, period: Period, params: BapParams
) -> dict[str, NDArray[np.float64]]:
    """Scores in [0, 1] that a whole date has, each (time,): ``coverage`` and ``date``."""
    away = observations.days - day_number(period.centre)
    return {
        "coverage": 1 - np.array([one.cloud_share for one in observations.facts], np.float64),
        "date": np.exp(-((away / params.date_sigma) ** 2) / 2),
    }


def composite(
    observations: Observations, period: Period, params: BapParams, out: Composite
) -> None:
    """(time, y, x) dn, classes, weight by clouds -> (y, x) the date of the highest score, and layers.

    ``weight`` is the score, the weighted mean of the three. Of equals the first date is shown. Under
    cloud alone nodata with status 1.
    """
    near_part, of_date = _parts(observations, period, params)
    near = _near(observations)

    def choose(strip: Strip) -> None:
        kernels.highest_score(
            strip.usable, near, strip.first, near_part, of_date, strip.choice, strip.weight
        )

    compose(observations, out, choose)


def explain(observations: Observations, period: Period, params: BapParams) -> Account:
    """(time, 1, 1) observations -> the scores of each date, and which is the highest."""
    near_part, of_date = _parts(observations, period, params)
    scores = date_scores(observations, period, params)
    near = [float(score) for score in _near(observations)[:, 0, 0]]

    def decide(usable: list[int]) -> Decision:
        total = {i: float(of_date[i]) + near_part * near[i] for i in usable}
        chosen = max(usable, key=lambda i: (total[i], -i))
        reasons = {i: f"score {score:.3f}" for i, score in total.items()}
        reasons[chosen] += ", the highest"
        factors = {
            i: {"distance": near[i], **{name: float(s[i]) for name, s in scores.items()}}
            for i in usable
        }
        return Decision(chosen, reasons, total[chosen], factors, total)

    return explain_choice(observations, decide)


def _near(observations: Observations) -> NDArray[np.float32]:
    """(time, y, x) score by the distance to clouds; nothing where none was computed."""
    if observations.cloud_weight is None:
        return np.zeros(observations.classes.shape, np.float32)
    return observations.cloud_weight


def _parts(
    observations: Observations, period: Period, params: BapParams
) -> tuple[float, NDArray[np.float64]]:
    """What the weight by clouds counts in the score, and the rest of it, (time,)."""
    parts = {"coverage": params.coverage_weight, "date": params.date_weight}
    whole = (params.distance_weight + sum(parts.values())) or 1.0
    scores = date_scores(observations, period, params)
    rest = np.zeros(len(observations.days))
    for name, score in scores.items():
        rest += parts[name] / whole * score
    return params.distance_weight / whole, rest


METHOD = Method(
    name="bap",
    version="1",
    title="Best available pixel: the date of the best score by cloud distance, coverage and day",
    params=BapParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=lambda params: ("cloud_share", *params.facts()),
    nearness=nearness,
    weight_title="Score of the date shown, 0 to 1",
    date_title="Date shown, days since 1970-01-01",
    one_date=True,
)
