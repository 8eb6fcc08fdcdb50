"""``lcf``: least cloud cover first, the date of each pixel that comes from the clearest scene.

The method of the Brazil Data Cube (K. R. Ferreira et al. 2020, "Earth observation data cubes for
Brazil", Remote Sensing 12, 4033, doi 10.3390/rs12244033), formerly called stack.
"""

import numpy as np
from numpy.typing import NDArray

from cube.account import HIDDEN, Account
from cube.composite import Composite, Method, Observations
from cube.directional import DirectionalParams
from cube.kernels import choice as kernels
from cube.one_date import Decision, Strip
from cube.one_date import composite as compose
from cube.one_date import explain as explain_choice
from cube.periods import Period
from cube.windows import WindowParams, window


class LcfParams(WindowParams, DirectionalParams):
    """Least cloud first has no parameters of its own."""


def date_order(observations: Observations) -> NDArray[np.int64]:
    """Dates by their clear share of the whole tile, the clearest first, of equals the first."""
    shares = np.array([one.clear_share for one in observations.facts])
    return np.argsort(-shares, kind="stable").astype(np.int64)


def composite(
    observations: Observations, _period: Period, _params: LcfParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) the first date in order of clearness, and layers.

    The clear share is that of the date's whole mask, of all pixels of the tile, so that half a tile
    counts half. Where no ground was seen the first date with data, with status 1.
    """
    order = date_order(observations)

    def choose(strip: Strip) -> None:
        kernels.first_of(order, strip.usable, strip.choice)

    compose(observations, out, choose, unseen=choose)


def explain(observations: Observations, _period: Period, _params: LcfParams) -> Account:
    """(time, 1, 1) observations -> how clear each date is as a whole, and which is shown."""
    ranks = {int(date): rank for rank, date in enumerate(date_order(observations))}
    codes = observations.classes[:, 0, 0]

    def decide(dates: list[int]) -> Decision:
        chosen = min(dates, key=lambda i: ranks[i])
        reasons = {
            i: f"{HIDDEN.get(int(codes[i]), 'clear')}, {observations.facts[i].clear_share:.1%} of "
            f"the tile is clear, rank {ranks[i] + 1} of {len(ranks)}"
            for i in dates
        }
        reasons[chosen] += ", the first"
        return Decision(chosen, reasons)

    return explain_choice(observations, decide, unseen=decide)


METHOD = Method(
    name="lcf",
    version="1",
    title="Least cloud first: of each pixel the date whose scene is the clearest",
    params=LcfParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=lambda params: ("clear_share", *params.facts()),
    weight_title="1 where ground is shown",
    date_title="Date shown, days since 1970-01-01",
    one_date=True,
)
