"""``max-ndvi``: of each pixel the greenest date, the maximum value composite.

B. N. Holben 1986, "Characteristics of maximum-value composite images from temporal AVHRR data",
International Journal of Remote Sensing 7, 1417-1434.
"""

import numpy as np

from cube.account import Account
from cube.composite import Composite, Method, Observations
from cube.directional import DirectionalParams
from cube.kernels import choice as kernels
from cube.one_date import Decision, Strip, ndvi
from cube.one_date import composite as compose
from cube.one_date import explain as explain_choice
from cube.periods import Period
from cube.windows import WindowParams, window


class MaxNdviParams(WindowParams, DirectionalParams):
    """The greenest date has no parameters of its own."""


def composite(
    observations: Observations, _period: Period, _params: MaxNdviParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) the date of the highest NDVI, and layers.

    Each grid takes the NDVI of its own pixels; red and nir are averaged to the coarser one. Of
    equals, and where no date has an NDVI, the first date. Under cloud alone nodata with status 1.
    """
    bands = observations.every
    order = np.arange(len(observations.days))

    def choose(strip: Strip) -> None:
        kernels.highest_ndvi(
            bands["red"], bands["nir"], strip.usable, strip.first, _BELOW, strip.choice
        )
        kernels.first_of(order, strip.usable, strip.choice)

    compose(observations, out, choose)


def explain(observations: Observations, _period: Period, _params: MaxNdviParams) -> Account:
    """(time, 1, 1) observations -> the NDVI of each date, and which is the highest."""

    def decide(usable: list[int]) -> Decision:
        found = {i: value for i in usable if (value := ndvi(observations, i)) is not None}
        chosen = max(found, key=lambda i: (found[i], -i), default=usable[0])
        reasons = {i: f"NDVI {found[i]:.3f}" if i in found else "no NDVI" for i in usable}
        reasons[chosen] += ", the highest" if found else ", the first of such dates"
        return Decision(chosen, reasons)

    return explain_choice(observations, decide)


_BELOW = -2.0
"""Below every NDVI."""

METHOD = Method(
    name="max-ndvi",
    version="1",
    title="Greenest date: of each pixel the date of the highest NDVI, all bands of it",
    params=MaxNdviParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=MaxNdviParams.facts,
    weight_title="1 where a date is shown",
    date_title="Date shown, days since 1970-01-01",
    one_date=True,
    needs=("red", "nir"),
)
