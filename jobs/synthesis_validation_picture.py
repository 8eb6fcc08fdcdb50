"""The picture of a validation of syntheses: period by period, and what stands out in all."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#1b6ca8", "#c2612c", "#3a8f5c", "#8a4f9e", "#b5972b", "#5b6770", "#c44569", "#2aa3a3")
"""One a method; masks differ by their lines."""

LINES = ("-", "--", ":", "-.")

Figure = Callable[[Mapping[str, Any]], float | None]


def draw(path: Path, found: Mapping[str, Any]) -> Path:
    """Document of ``validate_synthesis`` -> a PNG; returns its path.

    Left: gaps, cloud left and error by period. Right: the same and more of all periods together.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    syntheses: Mapping[str, Any] = found["syntheses"]
    height = max(9.0, 2.5 + 0.28 * len(syntheses))
    figure = Canvas(figsize=(16, height), layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    left, right = parts
    for axes, (title, figure_of) in zip(left.subplots(3, 1, sharex=True), BY_PERIOD, strict=True):
        _draw_periods(axes, title, figure_of, found)
    # Beneath, where no line is behind it.
    left.axes[-1].legend(
        loc="upper left", bbox_to_anchor=(0, -0.35), fontsize=7, ncols=4, frameon=False
    )
    panels = right.subplots(1, len(IN_ALL), sharey=True)
    for axes, (title, figure_of) in zip(panels, IN_ALL, strict=True):
        _draw_all(axes, title, figure_of, syntheses)
    return save_figure(path, figure)


def style(name: str, names: list[tuple[str, str]]) -> tuple[str, str]:
    """Name of a synthesis among all, each as method and mask -> its colour and line."""
    methods = list(dict.fromkeys(method for method, _ in names))
    masks = list(dict.fromkeys(mask for _, mask in names))
    method, _, mask = name.partition(" ")
    return (
        COLOURS[methods.index(method) % len(COLOURS)],
        LINES[masks.index(mask) % len(LINES)],
    )


def _draw_periods(axes: "Axes", title: str, figure_of: Figure, found: Mapping[str, Any]) -> None:
    labels, syntheses = found["periods"], found["syntheses"]
    names = [(one["method"], one["mask"]) for one in syntheses.values()]
    for name, one in syntheses.items():
        values = [
            None if label not in one["per_period"] else figure_of(one["per_period"][label])
            for label in labels
        ]
        colour, line = style(name, names)
        # Lines break where there is nothing to judge.
        marks = [math.nan if value is None else value for value in values]
        axes.plot(
            range(len(labels)), marks, line, color=colour, marker=".", linewidth=1.1, label=name
        )
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(len(labels)), labels, rotation=60, fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)


def _draw_all(axes: "Axes", title: str, figure_of: Figure, syntheses: Mapping[str, Any]) -> None:
    names = [(one["method"], one["mask"]) for one in syntheses.values()]
    for row, (name, one) in enumerate(syntheses.items()):
        value = figure_of(one["all"])
        if value is None:
            axes.text(0, row, " -", va="center", fontsize=8)
            continue
        axes.barh(row, value, color=style(name, names)[0], height=0.7)
        axes.text(value, row, f" {value:.3g}", va="center", fontsize=7)
    axes.set_yticks(range(len(syntheses)), list(syntheses), fontsize=8)
    axes.tick_params(left=False)
    axes.set_ylim(len(syntheses) - 0.5, -0.5)
    axes.margins(x=0.3)
    axes.set_xlim(left=0)
    axes.set_xticks([])
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _percent(part: str, key: str) -> Figure:
    def find(one: Mapping[str, Any]) -> float | None:
        value = one[part][key]
        return None if value is None else 100 * float(value)

    return find


def _of_bands(part: str, key: str, times: float = 1) -> Figure:
    def find(one: Mapping[str, Any]) -> float | None:
        value = one["mean_of_bands"].get(part, {}).get(key)
        return None if value is None else times * float(value)

    return find


BY_PERIOD: tuple[tuple[str, Figure], ...] = (
    ("gaps, % of the pixels", _percent("gaps", "share")),
    ("cloud left, % of what shows ground", _percent("residual", "cloud")),
    (
        "RMSE against a clear date left out, reflectance x 1000, mean of the bands",
        _of_bands("fidelity", "rmse", 1000),
    ),
)
IN_ALL: tuple[tuple[str, Figure], ...] = (
    ("gaps %", _percent("gaps", "share")),
    ("cloud %", _percent("residual", "cloud")),
    ("RMSE x 1000", _of_bands("fidelity", "rmse", 1000)),
    ("noise ratio", _of_bands("noise", "ratio")),
    ("steps at edges", _of_bands("edges", "index")),
)
