"""``medoid``: the one date of each pixel that is nearest to all others.

N. Flood 2013, "Seasonal composite Landsat TM/ETM+ images using the medoid (a multi-dimensional
median)", Remote Sensing 5, 6481-6500, doi 10.3390/rs5126481.
"""

from math import sqrt

from cube.account import Account, how_many
from cube.composite import Composite, Method, Observations
from cube.directional import DirectionalParams
from cube.kernels import choice as kernels
from cube.one_date import Decision, Strip, stacked
from cube.one_date import composite as compose
from cube.one_date import explain as explain_choice
from cube.periods import Period
from cube.windows import WindowParams, window


class MedoidParams(WindowParams, DirectionalParams):
    """The medoid has no parameters of its own."""


def composite(
    observations: Observations, _period: Period, _params: MedoidParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) the date of least distance to all others, and layers.

    The distance is euclidean in dn, over the bands shown and those that decide with them; of equals
    the first date. Two dates are equally far from each other: the first is shown.
    """
    bands = observations.every

    def choose(strip: Strip) -> None:
        kernels.medoid(stacked(bands, strip), strip.usable, 1, strip.choice)

    compose(observations, out, choose)


def explain(observations: Observations, _period: Period, _params: MedoidParams) -> Account:
    """(time, 1, 1) observations -> how far each date is from the others, and which is shown."""
    return explain_choice(observations, lambda usable: decide(observations, usable))


def decide(observations: Observations, usable: list[int]) -> Decision:
    """One pixel's usable dates -> the medoid, with the distances in words."""
    bands = observations.every
    spectra = {i: [int(band[i, 0, 0]) for band in bands.values()] for i in usable}
    sums = {
        i: sum(_distance(spectra[i], spectra[other]) for other in usable if other != i)
        for i in usable
    }
    chosen = min(usable, key=lambda i: (sums[i], i))
    reasons = {i: f"{far * 1e-4:.4f} from the others in all" for i, far in sums.items()}
    reasons[chosen] += f", the least of {how_many(len(usable))} over {len(bands)} bands"
    return Decision(chosen, reasons)


def _distance(one: list[int], other: list[int]) -> float:
    return sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


METHOD = Method(
    name="medoid",
    version="1",
    title="Medoid: of each pixel the date nearest to all others, all bands of it",
    params=MedoidParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=MedoidParams.facts,
    weight_title="1 where a date is shown",
    date_title="Date shown, days since 1970-01-01",
    one_date=True,
    together=True,
)
