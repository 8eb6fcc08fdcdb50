"""Draw the pictures of README.md from a demonstration: ``python draw.py DEMO-FOLDER``."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import odc.stac
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

import cube
from jobs import Workspace, open_workspace
from jobs.figures import CLASS_COLOURS, class_overlay, date_picture, status_picture, weight_picture
from jobs.report import quicklook
from jobs.simulate.truth import Truth

HERE = Path(__file__).parent
TILE, MONTH = "31TCJ", "2020-05"
DAYS = ("2020-04-05", "2020-05-07", "2020-05-12", "2020-05-27", "2020-06-04", "2020-07-14")
"""Clear, cloudy and half outside the swath."""
CROP = slice(30, 430)
COLOURS = 160
"""A palette keeps a picture small without being seen."""


def main() -> None:
    """Draw the scenes, the synthesis and the curves."""
    folder = Path(sys.argv[1])
    mpl.rcParams |= {"font.size": 8, "axes.titlesize": 8, "font.family": "DejaVu Sans"}
    with open_workspace(folder / "workspace") as workspace:
        scenes(workspace)
        synthesis(workspace)
        curves(workspace, Truth(folder / "truth"))


def scenes(workspace: Workspace) -> None:
    """Dates of the cube, and under each its decoded mask."""
    dataset = cube.open_cube(workspace.cubes / f"{TILE}.zarr", masked=True)
    figure = Figure(figsize=(8.4, 3.25), dpi=100, layout="constrained")
    panels = figure.subplots(2, len(DAYS))
    for column, day in enumerate(DAYS):
        date = dataset.sel(time=day).isel(time=0, x=CROP, y=CROP)
        colours = quicklook(*(date[name].values for name in ("red", "green", "blue")))
        (item,) = workspace.search(collections=["cloud-mask-scl"], datetime=day)
        mask = odc.stac.load([item], bands=["mask"], resolution=10, resampling="nearest").mask[0]
        panels[0, column].imshow(colours)
        panels[0, column].set_title(f"{np.datetime64(day).astype(object):%-d %B}")
        panels[1, column].imshow(class_overlay(colours, mask.values[CROP, CROP]))
    bare(panels)
    names = [each.name.replace("_", " ") for each in cube.CLASSES]
    swatches = [
        Patch(color=np.array(colour) / 255, label=name)
        for name, colour in zip(names, CLASS_COLOURS, strict=True)
        if name != "snow"
    ]
    figure.legend(handles=swatches, loc="outside lower center", ncols=len(swatches), frameon=False)
    save(figure, "scenes.png")


def synthesis(workspace: Workspace) -> None:
    """One month and its layers."""
    (item,) = workspace.search(ids=[f"{TILE}_{MONTH}_wasp_scl"])
    month = odc.stac.load([item], resolution=10).isel(time=0, x=CROP, y=CROP)
    red, green, blue, nir = (month[name].values / 1e4 for name in ("red", "green", "blue", "nir"))
    ndvi = mpl.colormaps["YlGn"](np.clip((nir - red) / (nir + red), 0, 1))
    shown = {
        "true colour": quicklook(red, green, blue),
        "NDVI": ndvi,
        "weight": weight_picture(month.weight.values, float(month.weight.max())),
        "mean date": date_picture(month.date.values, month.status.values == 4),
        "status": status_picture(month.status.values),
        "clear dates": weight_picture(month.clear_count.values, float(month.total_count.max())),
    }
    figure = Figure(figsize=(8.4, 1.6), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(shown))
    for panel, (title, picture) in zip(panels, shown.items(), strict=True):
        panel.imshow(picture)
        panel.set_title(title)
    bare(panels)
    save(figure, "synthesis.png")


def curves(workspace: Workspace, truth: Truth) -> None:
    """NDVI of two fields: dates, clear dates, months and the truth."""
    dataset = cube.open_cube(workspace.cubes / f"{TILE}.zarr", masked=True)
    items = workspace.search(collections=["synthesis-wasp"], tile=TILE)
    months = odc.stac.load(items, bands=["red", "nir"], resolution=10) * 1e-4
    figure = Figure(figsize=(8.4, 2.5), dpi=100, layout="constrained")
    fields = [p for p in truth.parcels if p["cover"] in ("winter_wheat", "maize")]
    panels = figure.subplots(1, len(fields), sharey=True, squeeze=False)[0]
    for panel, field in zip(panels, fields, strict=True):
        inside = truth.landscape.area(field["parcel"])
        classes = cube.decode("scl", {"scl": scl_at_10m(workspace)})
        clear = np.isin(classes, (1, 5, 6))[:, inside].mean(axis=1) > 0.9
        each = ndvi_inside(dataset, inside)
        year = np.arange(80, 225)
        days = np.datetime64("2020-01-01") + year - 1
        panel.plot(
            days, truth.ndvi(field["parcel"], year.tolist()), color="#9db8ab", lw=5, alpha=0.7
        )
        panel.plot(dataset.time[~clear], each[~clear], "x", color="#d98c8c", ms=4)
        panel.plot(dataset.time[clear], each[clear], "o", color="#2e7d5a", ms=4)
        middles = months.time.values.astype("datetime64[M]") + np.timedelta64(14, "D")
        panel.plot(middles, ndvi_inside(months, inside), "D-", color="#1d2a26", mfc="#f4c95d", ms=6)
        panel.set_title(field["cover"].replace("_", " "), loc="left", fontweight="bold")
        panel.set_ylim(-0.05, 1)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_locator(mpl.dates.MonthLocator())
        panel.xaxis.set_major_formatter(mpl.dates.DateFormatter("%b"))
    panels[0].set_ylabel("NDVI")
    labels = ("truth", "masked date", "clear date", "monthly synthesis")
    figure.legend(panels[0].lines, labels, loc="outside upper center", ncols=4, frameon=False)
    save(figure, "ndvi.png")


def scl_at_10m(workspace: Workspace) -> NDArray[np.uint8]:
    """(time, y, x) uint8 SCL of the cube, each pixel repeated."""
    scl = cube.open_cube(workspace.cubes / f"{TILE}.zarr", "r20m").scl.values
    return scl.repeat(2, axis=1).repeat(2, axis=2)


def ndvi_inside(dataset: xr.Dataset, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dataset[time, y, x] -> (time,) mean NDVI of a field."""
    red, nir = (dataset[name].values[:, inside] for name in ("red", "nir"))
    return ((nir - red) / (nir + red)).mean(axis=1)


def bare(panels: NDArray[np.object_]) -> None:
    """Pictures have no axes."""
    for panel in np.ravel(panels):
        panel.set_axis_off()


def save(figure: Figure, name: str) -> None:
    """A figure -> a PNG of few colours."""
    figure.savefig(HERE / name)
    picture = Image.open(HERE / name).convert("RGB")
    few = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
