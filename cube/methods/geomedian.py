"""``geomedian``: the geometric median of the spectra, and how far the dates are from it.

D. Roberts, N. Mueller and A. McIntyre 2017, "High-dimensional pixel composites from Earth observation
time series", IEEE TGRS 55, 6254-6264; the median absolute deviations after D. Roberts, B. Dunn and
N. Mueller 2018, IGARSS, 2719-2722. As Digital Earth Australia's annual GeoMAD.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cube.account import (
    Account,
    Result,
    Verdict,
    band_results,
    how_many,
    layer_results,
    observed_classes,
)
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.composite import STATUS_NODATA, Composite, FurtherLayer, Method, Observations
from cube.directional import DirectionalParams
from cube.ground import ground_dates, mean_date, status_of_dates, unseen_reason
from cube.kernels import geomedian as kernels
from cube.kernels.choice import mark_whole
from cube.kernels.composite import mark_data, median_select
from cube.kernels.shares import share_evenly
from cube.one_date import Strip, stacked
from cube.periods import Period
from cube.windows import WindowParams, window

Floats = NDArray[np.float64]


class GeomedianParams(WindowParams, DirectionalParams):
    """How exactly the geometric median is found."""

    tolerance: float = Field(
        1e-5,
        ge=1e-6,
        le=1e-2,
        description="Length of a step at which the iteration ends",
        json_schema_extra={"unit": "reflectance", "source": "this project; odc-algo has 1e-4"},
    )
    steps: int = Field(
        1000,
        ge=1,
        description="Most steps of the iteration",
        json_schema_extra={"unit": "1", "source": "odc-algo, maxiters of geomedian_with_mads"},
    )


def composite(
    observations: Observations, _period: Period, params: GeomedianParams, out: Composite
) -> None:
    """(time, y, x) dn and classes -> (y, x) geometric median of clear and water dates, and layers.

    Dates without data in some band are left out; snow counts only where there is neither land nor
    water. ``weight`` is the number of dates, ``date`` their mean. ``emad`` is in reflectance, ``smad``
    and ``bcmad`` have no unit. Each grid has the median of its own bands.
    """
    dates, _, width = observations.classes.shape
    for first, after in observations.row_tiles():
        rows = slice(first, after)
        shape = (dates, after - first, width)
        observed, whole = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
        for band in observations.bands.values():
            mark_data(band, first, observed)
            mark_whole(band, first, whole)
        usable = np.empty(shape, np.bool_)
        layers = (out.weight[rows], out.date[rows], out.status[rows])
        counts = (out.clear_count[rows], out.total_count[rows])
        median_select(
            observations.classes, observed, observations.days, first, usable, *layers, *counts
        )
        kernels.only_whole(observations.classes, usable, whole, observations.days, first, *layers)
        strip = Strip(first, after, usable, out.chosen[rows], out.weight[rows])
        found = np.full((len(observations.bands), *shape[1:]), REFLECTANCE_NODATA, np.int16)
        emad = out.further["emad"][rows]
        kernels.geomedian(
            stacked(observations.bands, strip),
            usable,
            params.tolerance / REFLECTANCE_SCALE,
            params.steps,
            found,
            emad,
            out.further["smad"][rows],
            out.further["bcmad"][rows],
        )
        emad *= np.float32(REFLECTANCE_SCALE)
        for index, name in enumerate(observations.bands):
            out.bands[name][rows] = found[index]
        share_evenly(usable, out.shares)


def explain(observations: Observations, _period: Period, params: GeomedianParams) -> Account:
    """(time, 1, 1) observations -> how far each date is from the geometric median, and the numbers."""
    codes = observed_classes(observations)
    bands = list(observations.bands)
    spectra = np.array([b[:, 0, 0] for b in observations.bands.values()], np.float64).T
    spectra = spectra.reshape(len(codes), len(bands))
    whole = [bool((spectrum != REFLECTANCE_NODATA).all()) for spectrum in spectra]
    ground = ground_dates(codes)
    kept = [i for i in ground if whole[i]]
    found = _geomedian(spectra[kept], params) if kept else np.zeros(len(bands))
    apart = _deviations(spectra[kept], found)
    far = {i: f"{apart['emad'][n] * REFLECTANCE_SCALE:.4f} from it" for n, i in enumerate(kept)}
    reasons = dict.fromkeys(ground, "nodata in a band") | far
    verdicts = [
        Verdict(i in far, reasons.get(i) or unseen_reason(observations, codes, i))
        for i in range(len(codes))
    ]
    values = dict(zip(bands, np.rint(found), strict=True))
    how = f"geometric median of {how_many(len(kept))} over {len(bands)} bands"
    shown = {
        name: result if not kept else Result(float(values[name]), how, tuple(kept))
        for name, result in band_results(observations, kept, lambda _dates, dn: (dn[0], "")).items()
    }
    weight = Result(len(kept), "dates kept", tuple(kept))
    # Ground was seen, though no date has it in all bands: that is not cloud.
    status = status_of_dates(codes, kept) if kept or not ground else STATUS_NODATA
    layers = layer_results(codes, weight, mean_date(observations, kept), status)
    return Account(tuple(verdicts), shown | layers | _mads(apart, kept), tolerance=1)


def _geomedian(spectra: Floats, params: GeomedianParams) -> Floats:
    """(time, band) dn -> (band,), in double precision, by the same steps."""
    centre = spectra.mean(axis=0)
    for _ in range(params.steps if len(spectra) > 2 else 0):
        distance = np.sqrt(((spectra - centre) ** 2).sum(axis=1))
        far = distance > 1e-3
        if not far.any():
            break
        weight = 1 / distance[far]
        goal = (weight[:, np.newaxis] * spectra[far]).sum(axis=0) / weight.sum()
        pull = np.sqrt(((goal - centre) ** 2).sum()) * weight.sum()
        meet = np.count_nonzero(~far)
        go = 1.0 if not meet else 1 - (min(1.0, meet / pull) if pull > 0 else 1.0)
        step = go * (goal - centre)
        centre = centre + step
        if np.sqrt((step**2).sum()) < params.tolerance / REFLECTANCE_SCALE:
            break
    return np.asarray(centre)


def _deviations(spectra: Floats, centre: Floats) -> dict[str, Floats]:
    """(time, band) dn and their geometric median -> the three distances of each date."""
    norm = np.sqrt((spectra**2).sum(axis=1) * (centre**2).sum())
    whole = np.abs(spectra + centre).sum(axis=1)
    dot = (spectra * centre).sum(axis=1)
    cosine = np.divide(dot, norm, out=np.ones_like(norm), where=norm > 0)
    above = np.abs(spectra - centre).sum(axis=1)
    return {
        "emad": np.sqrt(((spectra - centre) ** 2).sum(axis=1)),
        "smad": np.maximum(1 - cosine, 0),
        "bcmad": np.divide(above, whole, out=np.zeros_like(norm), where=whole > 0),
    }


def _mads(apart: dict[str, Floats], kept: list[int]) -> dict[str, Result]:
    found = {}
    for name, distances in apart.items():
        if not kept:
            found[name] = Result(float("nan"), "nodata: no date is kept")
            continue
        scale = REFLECTANCE_SCALE if name == "emad" else 1.0
        value = float(np.median(distances)) * scale
        found[name] = Result(value, f"median over {how_many(len(kept))}", tuple(kept))
    return found


METHOD = Method(
    name="geomedian",
    version="1",
    title="Geometric median of the clear spectra, with median absolute deviations",
    params=GeomedianParams,
    window=window,
    composite=composite,
    explain=explain,
    facts=GeomedianParams.facts,
    weight_title="Number of dates that the geometric median is of",
    date_title="Mean date, days since 1970-01-01",
    further=(
        FurtherLayer("emad", "Median euclidean distance of the dates to it, in reflectance"),
        FurtherLayer("smad", "Median of 1 - cosine between the dates and it"),
        FurtherLayer("bcmad", "Median Bray-Curtis distance of the dates to it"),
    ),
)
