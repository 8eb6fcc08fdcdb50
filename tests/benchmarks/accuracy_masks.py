"""How good the masks are: tables of the documentation, as markdown.

``python tests/benchmarks/accuracy_masks.py`` judges every method on the scenarios of
``jobs.simulate.mask_scenarios``; with ``--labels FOLDER``, the real series s2-l2a-31UES, also on
cells of 80 m labelled by eye. Dates on which mtcd starts, INIT (one date alone, no shadows) or
BACKWARD (references of later dates), are left out of all rows and have a table of their own, in
both ways.
"""

import argparse
import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tables import markdown, title

from cube.classes import CLEAR, CLOUD, NO_OBSERVATION
from cube.confusion import INVALID, SIZES_HA, Table, by_size, confusion, figures
from cube.detectors import combined, tsmask
from cube.landscape import COVERS
from cube.masks import decode, dilate
from cube.mtcd.bits import to_fine
from cube.mtcd.coarse import choose_grid
from cube.mtcd.image import Meta, make_image
from cube.mtcd.modes import Acquisition, follow, plan_modes
from cube.mtcd.params import MtcdParams
from cube.temporal import Series
from jobs.simulate.mask_scenarios import SCENARIOS, Simulated, simulate

Classes = NDArray[np.uint8]

HECTARES = 0.04
"""Of a pixel of 20 m."""

ALONE = MtcdParams(nbackward=100)
"""More dates than a series has: every start is an INIT."""

BLUE = 1200
"""dn of blue above which the one-line rule says cloud."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[4, 11, 23])
    parser.add_argument("--labels", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    simulated(options.seeds)
    if options.labels:
        labelled(options.labels)


def simulated(seeds: Sequence[int]) -> None:
    """Tables of the scenarios, sums over some seeds."""
    accuracy, starts, sizes, covers = [], [], [], []
    for scenario in SCENARIOS:
        worlds = [simulate(scenario, seed) for seed in seeds]
        called = [methods(world.series, angles_of(world)) for world in worlds]
        later = [~init for _, init in called]
        for name in called[0][0]:
            pairs = [
                (world.truth, found[name]) for world, (found, _) in zip(worlds, called, strict=True)
            ]
            table = counted((t[k], c[k]) for (t, c), k in zip(pairs, later, strict=True))
            accuracy.append([scenario.name, name, *cells(figures(table))])
            if name == "mtcd":
                alone = [follow_mtcd(w.series, angles_of(w), params=ALONE)[0] for w in worlds]
                for mode, firsts in (("BACKWARD", [c for _, c in pairs]), ("INIT", alone)):
                    first = counted(
                        (t[~k], c[~k]) for (t, _), c, k in zip(pairs, firsts, later, strict=True)
                    )
                    starts.append([scenario.name, mode, *cells(figures(first))])
            if scenario.name in ("season", "small-clouds"):
                sizes.append([scenario.name, name, *by_area(pairs)])
            if scenario.name == "season":
                covers.append([name, *by_cover(worlds, [found[name] for found, _ in called])])
    heads = [
        "balanced",
        "clear lost %",
        "thick found %",
        "thin",
        "shadow",
        "snow lost",
        "water lost",
    ]
    title("Simulated, seeds " + " ".join(map(str, seeds)))
    markdown(["scenario", "method", *heads], accuracy)
    title("Dates on which mtcd starts")
    markdown(["scenario", "mode", *heads], starts)
    title("Clouds of which half is found, by size; share of their pixels")
    borders = ["< 1 ha", *(f"from {size:g} ha" for size in SIZES_HA)]
    markdown(["scenario", "method", *borders], sizes)
    title("Clear views called cloud or shadow, %, by land cover; season")
    markdown(["method", *COVERS], covers)


def labelled(folder: Path) -> None:
    """Table of the real series, in all and by halves of its months and cells."""
    spec = importlib.util.spec_from_file_location(
        "labelled_series", Path(__file__).parent.parent / "cube" / "labelled_series.py"
    )
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    bands, days, scl = reader.read_series(folder)
    truth = reader.read_labels(folder)
    classes = decode("scl", {"scl": scl})
    plain = np.where(scl == 7, np.uint8(CLEAR), classes)
    series = Series(bands, days, classes)
    about = [properties(scene) for scene in reader.scenes(folder)]
    metas = [Meta(int(day), "l2a", *angles) for day, (_, angles) in zip(days, about, strict=True)]
    found, _ = methods(series, metas, [moment for moment, _ in about])
    published = found["tsmask 2021"]
    rows = {
        "SCL, 7 as cloud": classes,
        "SCL, 7 as clear": plain,
        "SCL, 60 m wider": dilate(classes, 60, 20),
        "blue < 0.12": np.where(bands["blue"] > BLUE, CLOUD, CLEAR).astype(np.uint8),
        "tsmask 2021": published,
        "tsmask 2021 or SCL, 7 as clear": np.where(np.isin(plain, INVALID), plain, published),
        **{name: found[name] for name in ("tsmask", "mtcd", "combined")},
    }
    odd = days.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 2 == 0
    chess = np.add.outer(np.arange(8), np.arange(8)) % 2 == 0
    halves = {
        "odd months": truth * odd[:, None, None],
        "even months": truth * ~odd[:, None, None],
        "black cells": truth * chess,
        "white cells": truth * ~chess,
    }
    title("Labelled cells of 31UES")
    lines = []
    for name, one in rows.items():
        parts = [reader.judge(one, half.astype(np.uint8)) for half in halves.values()]
        balanced = [f"{part['balanced_accuracy']:.3f}" for part in parts]
        lines.append([name, *cells(reader.judge(one, truth))[:5], *balanced])
    heads = ["method", "balanced", "clear lost %", "thick found %", "thin", "shadow"]
    markdown([*heads, *halves], lines)


def methods(
    series: Series, dates: Sequence[Meta], moments: Sequence[datetime] | None = None
) -> tuple[dict[str, Classes], NDArray[np.bool_]]:
    """Series, angles of its dates -> {method: classes}, and (time,) bool where mtcd starts."""
    assert series.classes is not None
    coarse, init = follow_mtcd(series, dates, moments)
    published = tsmask.TsmaskParams.model_validate({"compat": "2021"})
    return {
        "scl": series.classes,
        "tsmask 2021": tsmask.find(series, published),
        "tsmask": tsmask.find(series, tsmask.TsmaskParams()),
        "mtcd": coarse,
        "combined": combined.detect(series, combined.CombinedParams()),
    }, init


def follow_mtcd(
    series: Series,
    dates: Sequence[Meta],
    moments: Sequence[datetime] | None = None,
    params: MtcdParams | None = None,
) -> tuple[Classes, NDArray[np.bool_]]:
    """Series, angles of its dates -> classes of mtcd at 20 m, and (time,) bool where it starts."""
    params = params or MtcdParams()
    grid = choose_grid(series.bands["blue"].shape[1:], params)
    observed = {}

    def read(name: str) -> tuple[object, Meta]:
        t = int(name)
        image, observed[name] = make_image(
            ((band, dn[t]) for band, dn in series.bands.items()), grid, dates[t]
        )
        return image, dates[t]

    if moments is None:
        morning = datetime(1970, 1, 1, 10, 50)
        moments = [morning + timedelta(days=date.day) for date in dates]
    acquisitions = [Acquisition(f"{t:04}", moment) for t, moment in enumerate(moments)]
    planned = plan_modes(acquisitions, [], params)
    classes = np.zeros(series.bands["blue"].shape, np.uint8)
    init = np.zeros(len(dates), np.bool_)
    for plan, result in follow(planned, lambda _name: None, read, params):
        _, classes[int(plan.name)] = to_fine(result.bits, result.ground, grid, observed[plan.name])
        init[int(plan.name)] = result.mode != "NOMINAL"
    return classes, init


def angles_of(world: Simulated) -> list[Meta]:
    """Day and angles of each date, as mtcd reads them."""
    return [
        Meta(int(day), "l2a", at.sun_zenith, at.sun_azimuth, at.view_zenith, at.view_azimuth)
        for day, at in zip(world.series.days, world.angles, strict=True)
    ]


def properties(scene: Path) -> tuple[datetime, tuple[float, float, float, float]]:
    """Folder of a date -> when it was sensed; sun's zenith and azimuth, the sensor's."""
    about = json.loads(next(scene.glob("*.json")).read_text())["properties"]
    sun = 90 - about["view:sun_elevation"], about["view:sun_azimuth"]
    moment = datetime.fromisoformat(about["datetime"]).replace(tzinfo=None)
    return moment, (*sun, about["view:off_nadir"], about["view:azimuth"])


def counted(pairs: Iterable[tuple[Classes, Classes]]) -> Table:
    return np.sum([confusion(truth, found) for truth, found in pairs], axis=0)


def by_area(pairs: Sequence[tuple[Classes, Classes]]) -> list[str]:
    """Truth and classes of all dates -> by size of clouds, share found, share of pixels found."""
    total = np.zeros((len(SIZES_HA) + 1, 4), np.int64)
    for truth, found in pairs:
        for one, other in zip(truth, found, strict=True):
            sizes = by_size(one, other, HECTARES)
            total += [[size.clouds, size.found, size.pixels, size.hits] for size in sizes]
    return [
        f"{100 * found / clouds:.0f}; {100 * hits / pixels:.0f}" if clouds else "-"
        for clouds, found, pixels, hits in total
    ]


def by_cover(worlds: Sequence[Simulated], called: Sequence[Classes]) -> list[str]:
    """Share of the clear views of each cover that is called cloud or shadow, percent."""
    lost = np.zeros((len(COVERS), 2), np.int64)
    for world, found in zip(worlds, called, strict=True):
        seen = ~np.isin(world.truth, (*INVALID, NO_OBSERVATION))
        wrong = seen & np.isin(found, INVALID)
        for code in range(len(COVERS)):
            here = world.cover == code
            lost[code] += wrong[:, here].sum(), seen[:, here].sum()
    return [f"{100 * wrong / max(seen, 1):.1f}" for wrong, seen in lost]


def cells(found: Mapping[str, object]) -> list[str]:
    """Figures -> balanced accuracy, and what of each true class is called invalid."""
    shares = found["called_invalid"]
    assert isinstance(shares, Mapping)
    names = ("clear", "cloud", "thin_cloud", "cloud_shadow", "snow", "water")
    percent = [shares.get(name) for name in names]
    balanced = found["balanced_accuracy"]
    return [
        "-" if balanced is None else f"{balanced:.3f}",
        *("-" if share is None else f"{100 * share:.1f}" for share in percent),
    ]


if __name__ == "__main__":
    main()
