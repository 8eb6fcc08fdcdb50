"""A real series with labels by eye: 72 dates west of Brussels, cells of 80 m."""

import json

import numpy as np
import rasterio

from cube.bands import REFLECTANCE_NODATA
from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, THIN_CLOUD
from cube.confusion import confusion, figures, majority

FILES = {
    "blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "nir08": "B8A",
    "swir16": "B11", "swir22": "B12",
}  # fmt: skip

LETTERS = {
    "c": CLEAR,
    "k": CLOUD,
    "t": THIN_CLOUD,
    "s": CLOUD_SHADOW,
    "x": NO_OBSERVATION,
}

SIDE, CELLS = 32, 8
"""Pixels of 20 m and cells along each side."""


def scenes(folder):
    """Folder of the series -> the folder of each date, in order."""
    return sorted((folder / "sentinel-2-l2a").glob("S2_*"))


def read_series(folder):
    """Folder of the series -> {band: (72, 32, 32) dn}, (72,) days, (72, 32, 32) SCL."""
    dates = scenes(folder)
    bands = {
        name: np.stack([_read(date / f"{file}.tif") for date in dates])
        for name, file in FILES.items()
    }
    scl = []
    for date in dates:
        with rasterio.open(date / "SCL.tif") as raster:
            scl.append(raster.read(1))
    return bands, _days(dates), np.stack(scl)


def read_labels(folder):
    """Folder of the series -> (72, 8, 8) classes that both readers saw."""
    labels = json.loads((folder / "photo-labels.json").read_text())["cells"]
    rows = [labels[_day(date)] for date in scenes(folder)]
    return np.array(
        [[[LETTERS[letter] for letter in row] for row in rows_] for rows_ in rows], "uint8"
    )


def judge(classes, truth):
    """(time, 32, 32) classes, (time, 8, 8) labels -> figures of a cell's majority."""
    width = SIDE // CELLS
    pixels = classes.reshape(-1, CELLS, width, CELLS, width).swapaxes(2, 3).reshape(-1, width**2)
    counts = (pixels[:, :, np.newaxis] == np.arange(7)).sum(axis=1)
    return figures(confusion(truth.ravel(), majority(counts)))


def _day(date):
    return date.name.split("_")[2][:8]


def _days(dates):
    names = [_day(date) for date in dates]
    return np.array([f"{n[:4]}-{n[4:6]}-{n[6:]}" for n in names], "datetime64[D]").astype("int32")


def _read(path):
    """Band -> dn at 20 m; nodata where one of four pixels of 10 m is."""
    with rasterio.open(path) as raster:
        stored = raster.read(1).astype("int32")
    width = stored.shape[0] // SIDE
    blocks = stored.reshape(SIDE, width, SIDE, width)
    means = np.rint(blocks.mean(axis=(1, 3)))
    missing = (blocks == 0).any(axis=(1, 3))
    return np.where(missing, REFLECTANCE_NODATA, means).astype("int16")
