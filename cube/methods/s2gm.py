"""``s2gm``: the medoid where enough dates are clear, else greenest or darkest; after Copernicus S2GM.

The rule of the Sentinel-2 Global Mosaic service: a medoid of four or more valid observations, else a
short-term composite. What is published of the latter is not its tree of decisions, so that here it is
``stc-like``: the highest NDVI where there is vegetation, else the least blue.
"""

from pydantic import Field

from cube.account import HIDDEN, Account, reflectance
from cube.bands import REFLECTANCE_NODATA
from cube.composite import Composite, Method, Observations
from cube.directional import DirectionalParams
from cube.kernels import choice as kernels
from cube.methods.medoid import decide as decide_medoid
from cube.one_date import Decision, Strip, ndvi, stacked
from cube.one_date import composite as compose
from cube.one_date import explain as explain_choice
from cube.periods import Period
from cube.windows import WindowParams, window


class S2gmParams(WindowParams, DirectionalParams):
    """When the medoid is taken, and what counts as vegetation."""

    medoid_min_obs: int = Field(
        4,
        ge=1,
        le=255,
        description="Clear dates from which on the medoid is taken",
        json_schema_extra={"unit": "dates", "source": "S2GM user manual"},
    )
    green: float = Field(
        0.15,
        ge=-1,
        le=1,
        description="NDVI above which the greenest date is taken, where dates are fewer",
        json_schema_extra={"unit": "1", "source": "this project; S2GM publishes none"},
    )


def composite(
    observations: Observations, _period: Period, params: S2gmParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) one date a pixel, and layers.

    The medoid of ``medoid_min_obs`` or more dates. Of fewer the one of highest NDVI, if that is
    above ``green``, else of least blue. Where no ground was seen the date of least blue of the least
    cloudy class (thin cloud, else shadow, else cloud), with status 1.
    """
    bands = observations.every

    def choose(strip: Strip) -> None:
        kernels.medoid(stacked(bands, strip), strip.usable, params.medoid_min_obs, strip.choice)
        kernels.highest_ndvi(
            bands["red"], bands["nir"], strip.usable, strip.first, params.green, strip.choice
        )
        darkest(strip)

    def darkest(strip: Strip) -> None:
        blue = bands.get("blue", observations.blue)
        kernels.least_blue(blue, strip.usable, strip.first, strip.choice)

    compose(observations, out, choose, unseen=darkest, least_cloudy=True)


def explain(observations: Observations, _period: Period, params: S2gmParams) -> Account:
    """(time, 1, 1) observations -> what each date had for it, and which is shown."""
    codes = observations.classes[:, 0, 0]

    def decide(usable: list[int]) -> Decision:
        if len(usable) >= params.medoid_min_obs:
            return decide_medoid(observations, usable)
        found = {i: value for i in usable if (value := ndvi(observations, i)) is not None}
        best = max(found, key=lambda i: (found[i], -i), default=None)
        if best is None or found[best] <= params.green:
            return _darkest(observations, usable, "")
        reasons = {i: f"NDVI {found[i]:.3f}" if i in found else "no NDVI" for i in usable}
        reasons[best] += ", the highest"
        return Decision(best, reasons)

    def unseen(cloudy: list[int]) -> Decision:
        return _darkest(observations, cloudy, f"{HIDDEN[int(codes[cloudy[0]])]}, ")

    return explain_choice(observations, decide, unseen=unseen, least_cloudy=True)


def _darkest(observations: Observations, dates: list[int], said: str) -> Decision:
    bands = observations.every
    blue = {i: int(bands.get("blue", observations.blue)[i, 0, 0]) for i in dates}
    chosen = min(dates, key=lambda i: (blue[i] == REFLECTANCE_NODATA, blue[i], i))
    reasons = {i: f"{said}blue {reflectance(blue[i])}" for i in dates}
    reasons[chosen] += ", the least"
    return Decision(chosen, reasons)


METHOD = Method(
    name="s2gm",
    version="1",
    title="Medoid of four or more dates, else the greenest or darkest (stc-like), after S2GM",
    params=S2gmParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=S2gmParams.facts,
    weight_title="1 where ground is shown",
    date_title="Date shown, days since 1970-01-01",
    one_date=True,
    needs=("red", "nir"),
    together=True,
)
