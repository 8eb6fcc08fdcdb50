"""What only a large extent shows of syntheses: clouds near by, borders of swaths, directions.

``python tests/benchmarks/accuracy_tile.py`` simulates one month over a whole tile of two orbits
(``jobs.simulate.tile_series``), prints markdown and draws ``deploy/pictures/seam.png``. Clouds, masks and
cloud weights are of the whole tile; syntheses are made and judged on whole rows of blocks of 11 km
(``--rows``, all ten are the tile), on the bands of 10 m. Truth is what a sensor in the zenith would see
on the 15th; where the sun is fixed, under that sun. ``brdf=wasp``, which takes minutes a block, is
judged on strips of 1.2 km across the border of the swath, and all others there too.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from tables import markdown, title

from cube.classes import CLEAR, CLOUD, NO_OBSERVATION, THIN_CLOUD, WATER
from cube.composite import STATUS_LAND, Composite
from cube.directional import FIXED_SUN
from cube.facts import DateFacts
from cube.landscape import coarsen
from cube.quality import Differences, Residual, differences, residual
from cube.synthesis import composite, method
from cube.texture import Pairs, Seam, Steps, edge_pairs, orbits_seen, seam, steps
from jobs.simulate.tile_series import BANDS, TileSeries, simulate_tile

RATES = {"true": 0.0, "5 % wrong": 0.05}
"""Masks: omission, and as much commission."""


@dataclass(frozen=True)
class Variant:
    """One synthesis of the tile."""

    method: str = "wasp"
    mask: str = "true"
    cloud_weight: bool = True
    options: Mapping[str, object] = field(default_factory=dict)
    slow: bool = False


KEEP = {"outliers": "keep"}
WRONG = "5 % wrong"

VARIANTS = {
    "wasp": Variant(),
    "wasp, brdf=none": Variant(options={"brdf": "none"}),
    "wasp, sun=fixed": Variant(options={"sun": "fixed"}),
    "wasp, brdf=wasp": Variant(options={"brdf": "wasp"}, slow=True),
    "wasp, no cloud weight": Variant(cloud_weight=False),
    "wasp, outliers=keep": Variant(options=KEEP),
    "wasp, outliers=keep, no cloud weight": Variant(cloud_weight=False, options=KEEP),
    "median, brdf=roy": Variant("median", options={"brdf": "roy", "window": "centred"}),
    "wasp; wrong": Variant(mask=WRONG),
    "wasp, no cloud weight; wrong": Variant(mask=WRONG, cloud_weight=False),
    "wasp, outliers=keep; wrong": Variant(mask=WRONG, options=KEEP),
    "wasp, outliers=keep, no cloud weight; wrong": Variant(
        mask=WRONG, cloud_weight=False, options=KEEP
    ),
}
"""After a semicolon: with the mask that is wrong."""

SHOWN = (
    "wasp, brdf=none",
    "wasp",
    "wasp, outliers=keep, no cloud weight; wrong",
    "wasp; wrong",
)
STRIP = 122
"""Rows of 10 m of a strip across the border."""
PICTURES = Path(__file__).parents[2] / "deploy" / "pictures"
CELL = 61
"""Pixels of 10 m in a cell of the picture."""


@dataclass
class Found:
    """Sums over blocks of one variant."""

    bands: dict[str, Differences] = field(default_factory=lambda: {n: Differences() for n in BANDS})
    seams: dict[str, Seam] = field(default_factory=lambda: {n: Seam() for n in BANDS})
    left: Residual = field(default_factory=Residual)
    edges: Steps = field(default_factory=Steps)
    """Of near infrared, across edges of masks."""
    error: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)
    """By block, mean error of near infrared in cells."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--month", default="2020-05")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="+", default=list(range(10)))
    options = parser.parse_args()
    series = simulate_tile(options.month, options.seed)
    # Clouds beyond the next row of blocks, 11 km away, weigh on nothing.
    rows = {row + step for row in options.rows for step in (-1, 0, 1)}
    masks = {name: series.masks(rate, rate, rows) for name, rate in RATES.items()}
    weights = {name: gathered(classes) for name, classes in masks.items()}
    found = {name: Found() for name in VARIANTS}
    at_border = {name: Found() for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        facts = date_facts(series, Path(folder))
        for block in series.blocks:
            if block[0] // series.side in options.rows:
                judge(Block(series, block), masks, weights, facts, found, at_border)
    title(f"Dates of {series.period.label}")
    dates(series, masks["true"])
    tell({name: one for name, one in found.items() if not VARIANTS[name].slow})
    tell(at_border)
    picture(found)


def gathered(classes: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
    """(time, y, x) masks at 20 m of the whole tile -> blurred clouds at 240 m of each date."""
    near = nearness()
    return [near.gather([(0, near.hidden(one))], one.shape, 20) for one in classes]


def nearness():
    wasp = method("wasp")
    return wasp.nearness(wasp.params())


def date_facts(series: TileSeries, folder: Path) -> list[DateFacts]:
    """Platforms and grids of angles, as the correction reads them."""
    facts = []
    for each, angles in zip(series.passes, series.angles, strict=True):
        path = folder / f"{angles.checksum()}.npz"
        path.write_bytes(angles.content())
        platform = "sentinel-2a" if each.platform == "S2A" else "sentinel-2b"
        facts.append(
            DateFacts(platform=platform, angles=(angles.checksum(),), angle_files=(str(path),))
        )
    return facts


class Block:
    """What is given of one block."""

    def __init__(self, series: TileSeries, corner: tuple[int, int]) -> None:
        self.series, self.corner = series, corner
        land = series.land(corner)
        self.bands = series.observations(corner, land)
        self.truths = {
            "date": series.truth(corner, land),
            "fixed": series.truth(corner, land, FIXED_SUN),
        }
        self.dry = series.dry(land)
        orbit_of = np.array([each.relative_orbit for each in series.passes])
        self.orbits = orbits_seen(self.bands["blue"] != -10000, orbit_of)

    @property
    def is_border(self) -> bool:
        """Whether the border of the swath crosses its first rows in the midst."""
        eastern = self.orbits[:STRIP] == self.orbits.max()
        return bool(0.2 < eastern.mean() < 0.8)


def judge(
    block: Block,
    masks: Mapping[str, NDArray[np.uint8]],
    weights: Mapping[str, Sequence[NDArray[np.generic]]],
    facts: Sequence[DateFacts],
    found: Mapping[str, Found],
    at_border: Mapping[str, Found],
) -> None:
    """All variants of one block -> their sums added."""
    series, near = block.series, nearness()
    for mask, whole in masks.items():
        here = series.coarse(block.corner)
        classes = whole[:, *here].repeat(2, axis=1).repeat(2, axis=2)
        edges = edge_pairs((classes >= CLOUD) & (classes <= THIN_CLOUD))
        shape = block.dry.shape
        by_clouds = np.stack(
            [near.weigh(each, *block.corner, shape, 10) for each in weights[mask]]
        )  # fmt: skip
        for name, variant in VARIANTS.items():
            if variant.mask != mask or (variant.slow and not block.is_border):
                continue
            rows = slice(STRIP) if variant.slow else slice(None)
            made = make(variant, block, classes[:, rows], by_clouds[:, rows], facts, rows)
            truth = block.truths[str(variant.options.get("sun", "date"))]
            if not variant.slow:
                add(found[name], block, made, truth, edges)
            if block.is_border:
                add(at_border[name], block, made, truth, edges, slice(STRIP))


def make(
    variant: Variant,
    block: Block,
    classes: NDArray[np.uint8],
    by_clouds: NDArray[np.float32],
    facts: Sequence[DateFacts],
    rows: slice,
) -> Composite:
    """Some first rows of a block by one variant."""
    chosen = method(variant.method)
    params = chosen.params.model_validate(dict(variant.options))
    weight = None
    if chosen.nearness(params) is not None:
        weight = by_clouds if variant.cloud_weight else np.ones_like(by_clouds)
    bands = {name: band[:, rows] for name, band in block.bands.items()}
    series = block.series
    return composite(
        chosen, params, series.period, bands, classes, series.days, weight, bands["blue"],
        facts, frame=series.frame(block.corner),
    )  # fmt: skip


def add(
    found: Found,
    block: Block,
    made: Composite,
    truth: Mapping[str, NDArray[np.int16]],
    edges: Pairs,
    rows: slice = slice(None),
) -> None:
    """Some first rows of one variant of one block -> its sums added."""
    area = block.dry[rows] & (made.status[rows] == STATUS_LAND)
    nothing = np.full(area.shape, -10000, np.int16)
    orbits = block.orbits[rows]
    bands = {name: (made.bands[name][rows], truth[name][rows]) for name in BANDS}
    for name, (one, true) in bands.items():
        found.bands[name].add(differences(one, true, area))
        if orbits.min() < orbits.max():
            found.seams[name].add(seam(np.where(area, one - true, nothing), orbits))
    nir, true = bands["nir"]
    pairs = Pairs(edges.right[rows], edges.below[rows])
    found.edges.add(steps(nir, true, pairs, area))
    if len(area) == len(block.dry):
        away = np.where(area, nir - true, 0).astype(np.float32)
        share = np.maximum(coarsen(area.astype(np.float32), CELL), 0.01)
        found.error[block.corner] = coarsen(away, CELL) / share / 1e4
    shown = (np.where(area, bands[name][0], nothing) for name in ("blue", "nir"))
    found.left.add(residual(*shown, bands["blue"][1], true, nothing, nothing))


# --- what is told ---------------------------------------------------------------------------------


def dates(series: TileSeries, masks: NDArray[np.uint8]) -> None:
    """When the tile was seen, by which orbit, and how much of it."""
    rows = []
    for each, classes in zip(series.passes, masks, strict=True):
        seen = classes != NO_OBSERVATION
        clear = 100 * np.isin(classes, (CLEAR, WATER)).sum() / seen.sum()
        rows.append([f"{each.sensed:%Y-%m-%d}", str(each.relative_orbit), f"{clear:.0f}"])
    markdown(["date", "orbit", "clear of what was seen, %"], rows)


def tell(found: Mapping[str, Found]) -> None:
    """A row a variant."""
    first = next(iter(found.values()))
    title(
        f"{first.bands['red'].count / 1e6:.2f} million pixels of land; "
        f"{first.seams['nir'].pairs} pairs across the border"
    )
    rows = [
        [
            name,
            *(f"{1e4 * each.rmse:.0f}" for each in one.bands.values()),
            f"{1e4 * one.bands['nir'].bias:+.0f}",
            *(f"{1e4 * each.step:.0f}" for each in one.seams.values()),
            f"{one.edges.index:.3f}",
            f"{100 * one.left.cloud / one.left.judged:.2f}",
        ]
        for name, one in found.items()
    ]
    heads = [f"RMSE {name}" for name in BANDS]
    heads += ["bias nir", *(f"seam {name}" for name in BANDS)]
    markdown(["synthesis", *heads, "step at mask edges", "cloud left %"], rows)


def picture(found: Mapping[str, Found]) -> None:
    """Error of near infrared over the judged rows, a panel a variant."""
    mpl.rcParams |= {"font.size": 8, "axes.titlesize": 8, "font.family": "DejaVu Sans"}
    panels_of = {name: mosaic(found[name].error) for name in SHOWN}
    height, width = next(iter(panels_of.values())).shape
    size = 7.4, len(SHOWN) * (6.2 * height / width + 0.25)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    panels = figure.subplots(len(SHOWN), 1)
    for panel, (name, error) in zip(panels, panels_of.items(), strict=True):
        shown = panel.imshow(error, cmap="RdBu_r", vmin=-0.012, vmax=0.012)
        panel.set_title(name, loc="left")
        panel.set_xticks([])
        panel.set_yticks([])
    figure.colorbar(shown, ax=panels, shrink=0.6, label="error of near infrared")
    path = PICTURES / "seam.png"
    figure.savefig(path)
    few = Image.open(path).convert("RGB").quantize(96, Image.Quantize.FASTOCTREE)
    few.save(path, optimize=True)


def mosaic(blocks: Mapping[tuple[int, int], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Cells by block -> one array of all."""
    rows = sorted({row for row, _ in blocks})
    columns = sorted({column for _, column in blocks})
    return np.block([[blocks[row, column] for column in columns] for row in rows])


if __name__ == "__main__":
    main()
