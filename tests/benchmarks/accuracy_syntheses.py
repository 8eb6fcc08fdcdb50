"""How good the syntheses are by how good the mask is: tables and a chart of the documentation.

``python tests/benchmarks/accuracy_syntheses.py`` prints markdown and draws
``deploy/pictures/fairness.png``. Every method is given the same dates (23 days to either side of the
15th), the same masks and the same directional correction; masks are the true ones, wrong by stated shares
(``cube.opinions.degraded_classes``). The land is judged where the mask has a clear date, against what a
sensor in the zenith would see on the 15th (``jobs.simulate.month_series``).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tables import markdown, title

from cube.classes import CLEAR
from cube.composite import STATUS_LAND, Composite
from cube.quality import Differences, Residual, differences, residual
from cube.synthesis import method
from cube.texture import Noise, noise
from jobs.simulate.month_series import BANDS, MonthSeries, simulate_month

MONTHS = ("2020-04", "2020-05", "2020-06", "2020-07", "2020-08", "2020-09")

RATES = (0.0, 0.02, 0.05, 0.1, 0.2)

KINDS = {"omission": (1, 0), "commission": (0, 1), "both": (1, 1)}
"""What of an error rate is omission, and what commission."""

METHODS: dict[str, tuple[str, dict[str, str]]] = {
    "wasp, outliers kept": ("wasp", {"outliers": "keep"}),
    "wasp, outliers down-weighted": ("wasp", {"outliers": "down-weight"}),
    "median": ("median", {}),
    "geomedian": ("geomedian", {}),
    "medoid": ("medoid", {}),
    "s2gm": ("s2gm", {}),
    "bap": ("bap", {}),
    "max-ndvi": ("max-ndvi", {}),
    "lcf": ("lcf", {}),
}
MEANS = tuple(METHODS)[:2]

PICTURES = Path(__file__).parents[2] / "deploy" / "pictures"
COLOURS = 64


@dataclass
class Found:
    """Sums over all series of one method under one mask."""

    bands: dict[str, Differences] = field(default_factory=lambda: {n: Differences() for n in BANDS})
    left: Residual = field(default_factory=Residual)
    noise: dict[str, Noise] = field(default_factory=lambda: {n: Noise() for n in BANDS})
    area: list[float] = field(default_factory=list)
    """Share of the land that is judged."""
    rmse_of: list[float] = field(default_factory=list)
    """Of each series."""

    @property
    def rmse(self) -> float:
        """Over all bands and series."""
        return mean_square([each.rmse for each in self.bands.values()])


Key = tuple[str, float, str]
"""Kind of error, rate, method."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--months", nargs="+", default=list(MONTHS))
    options = parser.parse_args()
    found: dict[Key, Found] = {}
    clear_dates = []
    for seed in options.seeds:
        for month in options.months:
            series = simulate_month(month, seed)
            clear_dates.append(judge_series(series, found))
    title(
        f"{len(clear_dates)} months; clear dates of a pixel: {np.mean(clear_dates):.1f} on average"
    )
    tables(found)
    chart(found)


def judge_series(series: MonthSeries, found: dict[Key, Found]) -> float:
    """One series -> its sums added; returns how often a pixel was truly clear, mean."""
    perfect = series.masks(0, 0)
    for kind, (omitted, committed) in KINDS.items():
        for rate in RATES:
            if rate == 0 and kind != "both":
                continue
            classes = series.masks(rate * omitted, rate * committed)
            for name, (key, options) in METHODS.items():
                made = series.synthesis(method(key), classes, brdf="roy", **options)
                one = found.setdefault((kind, rate, name), Found())
                add(one, series, made)
                if kind == "both":
                    add_noise(one, series, made, perfect)
    return float((perfect == CLEAR).sum(axis=0).mean())


def add(found: Found, series: MonthSeries, made: Composite) -> None:
    """What one synthesis is like -> added to the sums."""
    area = series.land & (made.status == STATUS_LAND)
    found.area.append(float(area.sum() / series.land.sum()))
    each = {name: differences(made.bands[name], series.truth[name], area) for name in BANDS}
    for name, one in each.items():
        found.bands[name].add(one)
    found.rmse_of.append(mean_square([one.rmse for one in each.values()]))
    nothing = np.full(area.shape, -10000, np.int16)
    truth = series.truth["blue"], series.truth["nir"]
    shown = (np.where(area, made.bands[name], nothing) for name in ("blue", "nir"))
    found.left.add(residual(*shown, *truth, nothing, nothing))


def add_noise(
    found: Found, series: MonthSeries, made: Composite, perfect: NDArray[np.uint8]
) -> None:
    """Noise of one synthesis, and of the date of most clear pixels -> added to the sums.

    The texture of the ground is no noise: it is of what is left when the truth is taken away.
    """
    clear = perfect == CLEAR
    date = int(np.argmax(clear.sum(axis=(1, 2))))
    area = series.land & (made.status == STATUS_LAND) & clear[date]
    fields = np.where(area, series.fields, 0)
    for name in BANDS:
        away, once = (
            dn - series.truth[name] for dn in (made.bands[name], series.bands[name][date])
        )
        found.noise[name].add(noise(away, once, fields))


# --- tables ---------------------------------------------------------------------------------------


def rate_key(kind: str, rate: float, name: str) -> Key:
    """Without error all kinds are one."""
    return ("both" if rate == 0 else kind), rate, name


def tables(found: Mapping[Key, Found]) -> None:
    """RMSE, what is left of clouds, noise; crossovers."""
    heads = [f"{100 * rate:g} %" for rate in RATES]
    for kind in KINDS:
        title(f"RMSE x 10000 by {kind}")
        rows = [
            [name, *(f"{1e4 * found[rate_key(kind, r, name)].rmse:.0f}" for r in RATES)]
            for name in METHODS
        ]
        markdown(["method", *heads], rows)
    title("Residual cloud, % of the land: blue more than 0.04 above the truth; by omission")
    rows = []
    for name in METHODS:
        left = [found[rate_key("omission", rate, name)].left for rate in RATES]
        rows.append([name, *(f"{100 * each.cloud / each.judged:.2f}" for each in left)])
    markdown(["method", *heads], rows)
    title("Land without any clear date, %")
    rows = []
    for kind in KINDS:
        areas = [np.mean(found[rate_key(kind, rate, "median")].area) for rate in RATES]
        rows.append([kind, *(f"{100 * (1 - area):.1f}" for area in areas)])
    markdown(["error", *heads], rows)
    title("Noise over that of one clear date, mean of the bands, by both")
    rows = [
        [name, *(f"{noise_ratio(found['both', r, name]):.2f}" for r in RATES)] for name in METHODS
    ]
    markdown(["method", *heads], rows)
    title("Error from which a composite is nearer to the truth than the weighted mean")
    rows = []
    for name in tuple(METHODS)[2:]:
        row = [name]
        for mean in MEANS:
            row += [crossover(found, kind, mean, name) for kind in KINDS]
        rows.append(row)
    markdown(["method", *(f"{mean.split()[-1]}: {kind}" for mean in MEANS for kind in KINDS)], rows)
    title("Months of all in which a composite is nearer to the truth than the weighted mean")
    rows = []
    for name in tuple(METHODS)[2:]:
        row = [name]
        for mean in MEANS:
            row += [wins(found, rate, mean, name) for rate in RATES]
        rows.append(row)
    markdown(["method", *(f"{mean.split()[-1]}: {head}" for mean in MEANS for head in heads)], rows)


def noise_ratio(one: Found) -> float:
    """Noise over that of one clear date, mean of the bands."""
    return float(np.mean([each.ratio for each in one.noise.values()]))


def crossover(found: Mapping[Key, Found], kind: str, mean: str, name: str) -> str:
    """The least error rate, in percent, at which a method is no farther from the truth than a mean."""
    ahead = [
        found[rate_key(kind, r, name)].rmse - found[rate_key(kind, r, mean)].rmse for r in RATES
    ]
    if ahead[0] <= 0:
        return "always" if max(ahead) <= 0 else "from 0"
    for (low, high), (before, after) in zip(pairwise(RATES), pairwise(ahead), strict=True):
        if after <= 0:
            return f"{100 * (low + (high - low) * before / (before - after)):.1f} %"
    return "never"


def wins(found: Mapping[Key, Found], rate: float, mean: str, name: str) -> str:
    """Series in which the method is nearer to the truth, of all; omission and commission alike."""
    own, others = (found[rate_key("both", rate, each)].rmse_of for each in (name, mean))
    return f"{sum(a < b for a, b in zip(own, others, strict=True))} of {len(own)}"


def mean_square(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


# --- the chart ------------------------------------------------------------------------------------

STYLES = {
    "wasp, outliers kept": ("#1d2a26", "-"),
    "wasp, outliers down-weighted": ("#1d2a26", "--"),
    "median": ("#2e7d5a", "-"),
    "geomedian": ("#2e7d5a", "--"),
    "medoid": ("#3b5b92", "-"),
    "s2gm": ("#3b5b92", "--"),
    "bap": ("#c2612c", "-"),
    "max-ndvi": ("#b8902a", "-"),
    "lcf": ("#c2612c", "--"),
}


def chart(found: Mapping[Key, Found]) -> None:
    """RMSE by the error of the mask, a panel for each kind of error."""
    mpl.rcParams |= {"font.size": 8, "axes.titlesize": 8, "font.family": "DejaVu Sans"}
    figure = Figure(figsize=(8.4, 3.4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(KINDS), sharey=True)
    percent = [100 * rate for rate in RATES]
    for panel, kind in zip(panels, KINDS, strict=True):
        for name, (colour, line) in STYLES.items():
            rmse = [found[rate_key(kind, rate, name)].rmse for rate in RATES]
            panel.plot(percent, rmse, line, color=colour, label=name, lw=1.4)
        panel.set_title({"both": "omission and commission"}.get(kind, kind), loc="left")
        panel.set_xlabel("error of the mask, %")
        panel.set_xticks(percent)
        panel.set_yscale("log")
        panel.set_yticks((0.01, 0.02, 0.04, 0.08), ("0.01", "0.02", "0.04", "0.08"))
        panel.minorticks_off()
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("RMSE, reflectance")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=5,
        frameon=False,
    )
    save(figure, "fairness.png")


def save(figure: Figure, name: str) -> None:
    """A figure -> a PNG of few colours in ``deploy/pictures``."""
    path = PICTURES / name
    figure.savefig(path)
    picture = Image.open(path).convert("RGB")
    few = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    main()
