"""Pictures of arrays for the report: overlays of masks, weights, dates, curves."""

import contextlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cube.classes import STATUSES
from jobs.errors import WorkspaceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLASS_COLOURS: tuple[tuple[int, int, int], ...] = (
    (217, 217, 217),
    (185, 201, 138),
    (228, 87, 107),
    (91, 91, 214),
    (242, 166, 90),
    (143, 220, 245),
    (47, 128, 195),
)
"""Red, green, blue of the classes of decoded masks, by code."""

_STATUS_COLOURS = tuple(each.colour[:3] for each in STATUSES)
_NO_VALUE = 226
_USABLE = (1, 5, 6)
_NO_DATE = -10000


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """NDVI of one field through time; dates are numpy days (``datetime64[D]``)."""

    title: str
    dates: NDArray[np.datetime64]
    """(date,) acquisitions."""
    values: NDArray[np.float32]
    """(date,) NDVI as seen, NaN where the field lies outside the swath."""
    clear: NDArray[np.bool_]
    """(date,) True where the mask says that the field is clear."""
    true_dates: NDArray[np.datetime64]
    """(day,) of the true curve; empty where the truth is not known."""
    true_values: NDArray[np.float32]
    month_dates: NDArray[np.datetime64]
    """(month,) middles of the syntheses."""
    month_values: NDArray[np.float32]
    """(month,) NDVI of the syntheses, NaN for none."""


def class_overlay(rgb: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(y, x, 3) uint8, (y, x) uint8 classes -> (y, x, 3) uint8: classes laid over a grey picture."""
    grey = rgb.mean(axis=2, keepdims=True)
    ground = 0.62 * grey + 70
    colours = np.array(CLASS_COLOURS, dtype=np.float64)[classes]
    # clear ground keeps its picture; classes shine through it
    strength = np.where(classes == 1, 0.12, np.where(classes == 0, 1.0, 0.66))[..., None]
    blended = ground * (1 - strength) + colours * strength
    picture: NDArray[np.uint8] = np.clip(blended, 0, 255).astype(np.uint8)
    return picture


def difference_picture(called: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(y, x) uint8 classes, twice -> (y, x, 3) uint8: where the mask is wrong, and how badly."""
    usable_called, usable_true = np.isin(called, _USABLE), np.isin(truth, _USABLE)
    picture = np.full((*truth.shape, 3), 243, dtype=np.uint8)
    picture[called != truth] = (233, 196, 106)
    picture[~usable_true & usable_called] = (215, 38, 61)
    picture[usable_true & ~usable_called] = (42, 111, 219)
    picture[truth == 0] = CLASS_COLOURS[0]
    return picture


def weight_picture(weight: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    """(y, x) sums of weights -> (y, x, 3) uint8, from 0 to top."""
    picture = _mapped(np.nan_to_num(weight) / top, "plasma")
    picture[~(weight > 0)] = _NO_VALUE
    return picture


def date_picture(
    days: NDArray[np.int16], land: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """(y, x) days since 1970, -10000 for none -> (y, x, 3) uint8, from first to last day of land.

    Water takes single dates, which would leave land one colour.
    """
    known = days != _NO_DATE
    ranged = known if land is None or not (known & land).any() else known & land
    if not known.any():
        return np.full((*days.shape, 3), _NO_VALUE, dtype=np.uint8)
    first, last = np.percentile(days[ranged], (1, 99))
    picture = _mapped((days - first) / max(last - first, 1), "viridis")
    picture[~known] = _NO_VALUE
    return picture


def status_picture(status: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(y, x) uint8 status of a synthesis -> (y, x, 3) uint8."""
    colours = np.array(_STATUS_COLOURS, dtype=np.uint8)
    picture: NDArray[np.uint8] = colours[np.minimum(status, len(colours) - 1)]
    return picture


def curves_figure(curves: Sequence[Curve]) -> bytes:
    """Curves -> an SVG file with a panel each, two to a row."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.dates import ConciseDateFormatter, MonthLocator
    from matplotlib.figure import Figure

    rows = -(-len(curves) // 2)
    figure = Figure(figsize=(12, 2.75 * rows + 0.5), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    locator = MonthLocator()  # type: ignore[no-untyped-call]
    for panel, curve in zip(panels.flat, curves, strict=False):
        _draw(panel, curve)
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    for panel in panels.flat[len(curves) :]:
        panel.set_visible(False)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save_figure(path: Path, figure: "Figure") -> Path:
    """Figure -> a PNG, there whole or as it was; ``WorkspaceError`` where it cannot be written."""
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        figure.savefig(fresh, format="png", dpi=100, metadata={"Software": None})
        fresh.replace(path)
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    return path


def _draw(axes: "Axes", curve: Curve) -> None:
    """One field into one panel."""
    hidden = ~curve.clear & np.isfinite(curve.values)
    seen = curve.clear & np.isfinite(curve.values)
    axes.plot(curve.true_dates, curve.true_values, color="#9db8ab", lw=5, alpha=0.7, label="truth")
    axes.plot(
        curve.dates[hidden], curve.values[hidden], "x", color="#d98c8c", ms=5, label="masked date"
    )
    axes.plot(
        curve.dates[seen], curve.values[seen], "o", color="#2e7d5a", ms=4.5, label="clear date"
    )
    axes.plot(
        curve.month_dates, curve.month_values, "D-", color="#1d2a26", ms=7, lw=1.2, mfc="#f4c95d",
        label="monthly synthesis",
    )  # fmt: skip
    axes.set_title(curve.title, loc="left", fontsize=11, fontweight="bold")
    axes.set_ylim(-0.1, 1)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("NDVI", fontsize=9)


def _mapped(shares: NDArray[np.floating], name: str) -> NDArray[np.uint8]:
    """(y, x) from 0 to 1 -> (y, x, 3) uint8 of a colour map."""
    from matplotlib import colormaps

    table = (colormaps[name](np.linspace(0, 1, 64))[:, :3] * 255).round().astype(np.uint8)
    picture: NDArray[np.uint8] = table[(np.clip(shares, 0, 1) * 63).round().astype(np.intp)]
    return picture
