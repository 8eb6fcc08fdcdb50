"""The picture of a difference: the first, the second, and what changed, beside each other."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cube.account import STATUS_NAMES
from cube.classes import NAMES
from cube.colours import GAMMA, TOP
from cube.difference import Difference, Raster, overlap, paired
from cube.errors import GridError
from jobs.diff_sides import Side, Source
from jobs.figures import CLASS_COLOURS, save_figure, status_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pairs = Mapping[str, tuple[Source, Source]]
Pixels = NDArray[Any]

SIDE = 640
"""Pixels a panel has at most."""

GREY = (226, 226, 226)
UNSEEN = "#787878"


def draw(
    path: Path, before: Side, after: Side, pairs: Pairs, differences: Mapping[str, Difference]
) -> Path:
    """The most changed raster of two sides -> a PNG of three panels; returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    key = most_changed(pairs, differences)
    figure = Figure(figsize=(15, 5.9), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    a, b = _values(*pairs[key])
    if pairs[key][0].kind == "codes":
        pictures = _coloured(key, a), _coloured(key, b)
        _draw_codes(right, key, a, b)
        shown = key
    else:
        colours = _true_colour(pairs, key)
        shown = "true colour" if colours is not None else key
        pictures = colours if colours is not None else _greys(a, b)
        _draw_signed(right, key, pairs[key][0].kind, b - a)
    for axes, picture, side in ((left, pictures[0], before), (middle, pictures[1], after)):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(f"{side.label}\n{shown}", fontsize=9, loc="left")
    for axes in (left, middle, right):
        axes.set_xticks([])
        axes.set_yticks([])
    return save_figure(path, figure)


def most_changed(pairs: Pairs, differences: Mapping[str, Difference]) -> str:
    """The raster to show: reflectances first, then codes, then numbers; of these the most changed."""
    ranks = {"reflectance": 2, "codes": 1, "number": 0}

    def rank(key: str) -> tuple[bool, int, float]:
        found = differences[key]
        return (
            not found.is_none,
            ranks[pairs[key][0].kind],
            found.tally.squares + found.gained + found.lost,
        )

    return max(differences, key=rank)


def _values(a: Source, b: Source) -> tuple[Pixels, Pixels]:
    """Two rasters -> (y, x) physical values where both lie, thinned to a panel; NaN for nodata."""
    first, second = Raster(a.href, a.about), Raster(b.href, b.about)
    with contextlib.closing(first), contextlib.closing(second):
        there = overlap(first, second)
        step = max(1, -(-max(there.shape) // SIDE))
        parts = [
            (_physical(first, one), _physical(second, other))
            for _, one, other in paired(first, second, there, step)
        ]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _physical(raster: Raster, stored: Pixels) -> Pixels:
    values = stored * np.float32(raster.scale) + np.float32(raster.offset)
    found: Pixels = np.where(raster.seen(stored), values, np.float32(np.nan))
    return found


def _true_colour(pairs: Pairs, key: str) -> tuple[Pixels, Pixels] | None:
    """(y, x, 3) uint8 of both sides; None where they have no red, green and blue in common."""
    if not {"red", "green", "blue"} <= set(pairs) or pairs[key][0].kind != "reflectance":
        return None
    try:
        bands = [_values(*pairs[name]) for name in ("red", "green", "blue")]
    except GridError:
        return None
    first, second = (np.stack([band[i] for band in bands], axis=-1) for i in (0, 1))
    return _stretched(first), _stretched(second)


def _stretched(values: Pixels) -> Pixels:
    """Reflectance as in thumbnails, grey where there is none."""
    seen = np.isfinite(values).all(axis=-1)
    shown = np.clip(np.nan_to_num(values) / TOP, 0, 1) ** (1 / GAMMA)
    picture: Pixels = np.rint(shown * 255).astype(np.uint8)
    picture[~seen] = GREY
    return picture


def _greys(a: Pixels, b: Pixels) -> tuple[Pixels, Pixels]:
    """Two rasters of any numbers -> greys on one scale."""
    both = np.concatenate([a[np.isfinite(a)], b[np.isfinite(b)]])
    low, high = np.percentile(both, (2, 98)) if both.size else (0.0, 1.0)
    pictures = []
    for values in (a, b):
        shown = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-9), 0, 1)
        picture = np.repeat(np.rint(shown * 255).astype(np.uint8)[..., np.newaxis], 3, axis=-1)
        picture[~np.isfinite(values)] = GREY
        pictures.append(picture)
    return pictures[0], pictures[1]


def _coloured(key: str, values: Pixels) -> Pixels:
    """Codes -> (y, x, 3) uint8 in the colours of classes or of status."""
    codes = np.nan_to_num(values).astype(np.uint8)
    if key.startswith("status"):
        return status_picture(codes)
    palette = np.array(CLASS_COLOURS, np.uint8)
    if key == "mask":
        return palette[np.minimum(codes, len(palette) - 1)]
    return palette[codes % len(palette)]


def _draw_codes(axes: "Axes", key: str, a: Pixels, b: Pixels) -> None:
    """What changed, in the colour of what it became."""
    from matplotlib.patches import Patch

    before, after = np.nan_to_num(a), np.nan_to_num(b)
    changed = before != after
    picture = np.where(changed[..., np.newaxis], _coloured(key, b), np.uint8(248))
    axes.imshow(picture, interpolation="nearest")
    names: Mapping[int, str] = dict(enumerate(NAMES)) if key == "mask" else {}
    if key.startswith("status"):
        names = STATUS_NAMES
    became = [int(code) for code in np.unique(after[changed])][:8]
    patches = [
        Patch(
            color=tuple(_coloured(key, np.array([[code]], float))[0, 0] / 255),
            label=f"became {names.get(code, code)}",
        )
        for code in became
    ]
    axes.set_title(f"{key}: what changed", fontsize=9, loc="left")
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, fontsize=8)


def _draw_signed(axes: "Axes", key: str, kind: str, change: Pixels) -> None:
    """Second minus first: red where it is more, blue where it is less; grey where one has no data."""
    known = np.abs(change[np.isfinite(change)])
    limit = float(np.percentile(known, 99)) if known.any() else 1.0
    limit = limit or float(known.max())
    axes.set_facecolor(UNSEEN)
    shown = axes.imshow(change, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    what = "reflectance" if kind == "reflectance" else "value"
    axes.set_title(f"{key}: second minus first", fontsize=9, loc="left")
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(shown, ax=axes, shrink=0.8, extend="both")
        bar.set_label(f"difference in {what}; grey: nodata in one of them", fontsize=8)
