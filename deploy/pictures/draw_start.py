"""Draw how mtcd starts, for README.md: ``python draw_start.py`` prints the numbers, too.

One simulated first date, done alone (INIT) and from the eight dates after it (BACKWARD).
"""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

import cube
from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW
from cube.confusion import confusion, figures
from cube.mtcd.bits import to_fine
from cube.mtcd.coarse import choose_grid
from cube.mtcd.image import Image as Coarse
from cube.mtcd.image import Meta, make_image
from cube.mtcd.params import MtcdParams
from cube.mtcd.step import Result, backward, step
from jobs.figures import CLASS_COLOURS, class_overlay
from jobs.report import quicklook
from jobs.simulate.mask_scenarios import Simulated, scenario, simulate

HERE = Path(__file__).parent
SEED = 21
SIZE = 960
"""Pixels of 10 m: 40 cells of 240 m."""
DATES = 9
COLOURS = 160


def main() -> None:
    """Simulate, detect both ways, draw."""
    mpl.rcParams |= {"font.size": 8, "axes.titlesize": 8, "font.family": "DejaVu Sans"}
    spring = replace(scenario("season"), first=120, last=160)
    world = simulate(spring, SEED, size=SIZE, dates=DATES)
    grid = choose_grid(world.truth.shape[1:], MtcdParams())
    images = [date(world, number) for number in range(DATES)]
    results = {
        "INIT": step(None, *images[0][:2], MtcdParams()),
        "BACKWARD": backward((each[:2] for each in reversed(images)), MtcdParams()),
    }
    panels = {"as seen": None, "truth": world.truth[0]}
    for mode, result in results.items():
        found = classes(result, world, images[0][2])
        panels[f"{mode}: {said(world.truth[0], found)}"] = found
    draw(world, panels, grid.cell)


def date(world: Simulated, number: int) -> tuple[Coarse, Meta, NDArray[np.bool_]]:
    """One date on the coarse grid, its angles, and where it was observed."""
    at = world.angles[number]
    meta = Meta(
        int(world.series.days[number]), "l2a",
        at.sun_zenith, at.sun_azimuth, at.view_zenith, at.view_azimuth,
    )  # fmt: skip
    grid = choose_grid(world.truth.shape[1:], MtcdParams())
    bands = ((name, dn[number]) for name, dn in world.series.bands.items())
    image, observed = make_image(bands, grid, meta)
    return image, meta, observed


def classes(result: Result, world: Simulated, observed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Bits on coarse cells -> classes at 20 m."""
    grid = choose_grid(world.truth.shape[1:], MtcdParams())
    found: NDArray[np.uint8] = to_fine(result.bits, result.ground, grid, observed)[1]
    return found


def said(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> str:
    """How much of each true class is called invalid, percent."""
    about = figures(confusion(truth, found))["called_invalid"]
    parts = {"cloud": CLOUD, "shadow": CLOUD_SHADOW, "clear": CLEAR}
    shares = {name: about.get(cube.CLASSES[code].name) for name, code in parts.items()}
    return " ".join(f"{n} {100 * s:.0f}" for n, s in shares.items() if s is not None)


def draw(world: Simulated, panels: dict[str, NDArray[np.uint8] | None], cell: int) -> None:
    """Four panels side by side."""
    seen = (world.series.bands[name][0] / 10000 for name in ("red", "green", "blue"))
    colours = quicklook(*seen)
    figure = Figure(figsize=(8.4, 2.9), dpi=100, layout="constrained")
    for axes, (title, mask) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        axes.imshow(colours if mask is None else class_overlay(colours, mask))
        axes.set_title("\n".join(title.split(": ")))
        axes.set_axis_off()
    names = [each.name.replace("_", " ") for each in cube.CLASSES]
    swatches = [
        Patch(color=np.array(colour) / 255, label=name)
        for name, colour in zip(names, CLASS_COLOURS, strict=True)
        if name in ("cloud", "cloud shadow", "thin cloud", "clear", "water")
    ]
    figure.legend(handles=swatches, loc="outside lower center", ncols=5, frameon=False)
    path = HERE / "start.png"
    figure.savefig(path)
    Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    for title in panels:
        print(f"{cell} m  {title}")  # noqa: T201


if __name__ == "__main__":
    main()
