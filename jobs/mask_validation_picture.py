"""The picture of a validation: how each mask calls each true class, and its accuracy by date."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cube.classes import NAMES
from cube.confusion import CLASSES, Table, balanced, overall, two_sides
from jobs.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS, MISS = "#c2612c", "#3b5b92"

DARK = 0.6
"""Share from which a field is so dark that its number is white."""


def draw(path: Path, tables: Mapping[str, Sequence[Table]], days: Sequence[date]) -> Path:
    """Mask -> (truth, predicted) counts of each date -> a PNG, a row a mask; returns its path.

    Left: the share of each true class that is called each class. Right: by date the share of
    valid that is lost, upwards, and of invalid that is missed, downwards.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 3.6 * len(tables)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(tables), 2, squeeze=False, width_ratios=(1, 2.4))
    for (left, right), (name, found) in zip(panels, tables.items(), strict=True):
        _draw_confusion(left, name, np.sum(found, axis=0))
        _draw_dates(right, name, found, days)
    return save_figure(path, figure)


def _draw_confusion(axes: "Axes", name: str, table: Table) -> None:
    truths = [code for code in range(1, CLASSES) if table[code].any()]
    called = [code for code in range(1, CLASSES) if table[:, code].any() or code in truths]
    counts = table[np.ix_(truths, called)]
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.3, aspect="auto")
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        colour = "white" if share > DARK else "black"
        axes.text(column, row, f"{100 * share:.1f}", color=colour, ha="center", va="center")
    axes.set_xticks(range(len(called)), [NAMES[code].replace("_", "\n") for code in called])
    labels = [
        f"{NAMES[c].replace('_', ' ')} ({n})"
        for c, n in zip(truths, counts.sum(axis=1), strict=True)
    ]
    axes.set_yticks(range(len(truths)), labels)
    axes.set_title(f"{name}: % of each true class, by what it is called", fontsize=9, loc="left")


def _draw_dates(axes: "Axes", name: str, tables: Sequence[Table], days: Sequence[date]) -> None:
    # Matplotlib counts dates in days since 1970-01-01.
    at = [float((day - date(1970, 1, 1)).days) for day in days]
    sides = [two_sides(table) for table in tables]
    for row, sign, colour, what in ((0, 1, LOSS, "valid lost"), (1, -1, MISS, "invalid missed")):
        wrong = [side[row, 1 - row] / max(side[row].sum(), 1) for side in sides]
        axes.bar(at, [sign * 100 * each for each in wrong], width=3, color=colour, label=what)
        seen = [day for day, side in zip(at, sides, strict=True) if side[row].any()]
        axes.plot(seen, [0.0] * len(seen), "|", color=colour, markersize=9)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylim(-105, 105)
    axes.xaxis_date()
    axes.set_yticks((-100, -50, 0, 50, 100), ("100", "50", "0", "50", "100"))
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.set_ylabel("% of the date's\ninvalid, and valid")
    total = two_sides(np.sum(tables, axis=0))
    figures = f"balanced {_text(balanced(total))}, overall {_text(overall(total))}"
    axes.set_title(f"{name}: what is wrong on each date; {figures}", fontsize=9, loc="left")
    # Beside the title, where no bar is behind it.
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.2,
        fontsize=8,
        ncols=2,
        frameon=False,
    )


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
