"""What missed clouds do to ``wasp``, and what the rule of clouds says of a mask read by eye.

``python tests/benchmarks/quality_by_labels.py --labels FOLDER`` composes the months of the real series
s2-l2a-31UES at 20 m, inside the parcels, by masks and by the labels of its cells (cells on which the
readers differ by ``combined``), with and without the defence against outliers. Directions are not
corrected and clouds nearby not weighed: the series is too small for either.
"""

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom
from tables import markdown, title

from cube.classes import CLEAR, CLOUD, NO_OBSERVATION, WATER
from cube.detectors import combined, tsmask
from cube.masks import decode
from cube.periods import Period
from cube.quality import Residual, clear_median, darkest, gaps, has_value, residual
from cube.synthesis import Composite, composite, day_number, method
from cube.temporal import Series

MONTHS = [f"2018-{m:02}" for m in range(8, 13)] + [f"2019-{m:02}" for m in range(1, 12)]
REACH, WINDOW = 91, 23
"""Days from the centre: of the reference, of the dates shown."""

FAR = 200
"""dn from which a value is off."""

SHOWN = ("blue", "green", "red", "nir")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, metavar="FOLDER")
    folder = parser.parse_args().labels
    reader = reader_of_labels()
    bands, days, scl = reader.read_series(folder)
    area = parcels(folder, reader.scenes(folder)[0])
    masks = masks_of(reader, folder, bands, days, scl)
    months = {name: {keep: made(bands, days, classes, keep) for keep in ("keep", "down-weight")}
              for name, classes in masks.items()}  # fmt: skip
    wanted = months["labels"]["down-weight"]
    rows = []
    for name, ways in months.items():
        for keep, found in ways.items():
            holes, left = judged(found, bands, days, masks["scl"], masks["labels"], area)
            shares = [holes, left.cloud / left.judged, left.cloud_of_clear / left.judged]
            shares.append(off(found, wanted, area))
            rows.append([name, keep, *(f"{100 * each:.2f}" for each in shares)])
    title("By labels read by eye")
    markdown(["mask", "outliers", "gaps %", "cloud %", "by clear %", "off %"], rows)


def reader_of_labels() -> Any:
    """The reader of the series that tests use."""
    path = Path(__file__).parent.parent / "cube" / "labelled_series.py"
    spec = importlib.util.spec_from_file_location("labelled_series", path)
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    return reader


def parcels(folder: Path, scene: Path) -> NDArray[np.bool_]:
    """Folder of the series, one date -> (y, x) whether a pixel of 20 m is inside a parcel."""
    with rasterio.open(scene / "SCL.tif") as raster:
        shape, transform, crs = raster.shape, raster.transform, raster.crs
    features = json.loads((folder / "parcels.geojson").read_text())["features"]
    shapes = [transform_geom("EPSG:4326", crs, each["geometry"]) for each in features]
    inside: NDArray[np.bool_] = geometry_mask(shapes, shape, transform, invert=True)
    return inside


def masks_of(
    reader: Any, folder: Path, bands: dict[str, Any], days: Any, scl: Any
) -> dict[str, NDArray[np.uint8]]:
    """Series -> (time, y, x) classes by mask; the labels are of cells of 4 x 4 pixels."""
    classes = decode("scl", {"scl": scl})
    series = Series(bands, days, classes)
    best = combined.detect(series, combined.CombinedParams())
    seen = reader.read_labels(folder).repeat(4, axis=1).repeat(4, axis=2)
    labels = np.where(seen == NO_OBSERVATION, best, seen)
    bright = bands["blue"] > round(0.12 * 10000)
    return {
        "labels": labels,
        "combined": best,
        "tsmask": tsmask.find(series, tsmask.TsmaskParams()),
        "scl": classes,
        "scl, 7 as clear": np.where(scl == 7, np.uint8(CLEAR), classes),
        "blue < 0.12": np.where(bright, np.uint8(CLOUD), np.uint8(CLEAR)),
    }


def made(bands: dict[str, Any], days: Any, classes: Any, keep: str) -> list[Composite]:
    """Series and mask -> its months by ``wasp``."""
    wasp = method("wasp")
    params = wasp.params(brdf="none", outliers=keep)
    shown = {name: bands[name] for name in SHOWN}
    far = np.ones(classes.shape, np.float32)
    return [
        composite(wasp, params, Period.parse(each), shown, classes, days, far, bands["blue"])
        for each in MONTHS
    ]


def judged(
    found: list[Composite], bands: dict[str, Any], days: Any, scl: Any, labels: Any, area: Any
) -> tuple[float, Residual]:
    """Months -> share without a clear date, and clouds left by the reference of SCL."""
    holes, left = [], Residual()
    for label, month in zip(MONTHS, found, strict=True):
        away = np.abs(days - day_number(Period.parse(label).centre))
        near, within = away <= REACH, away <= WINDOW
        clear = np.isin(scl[near], (CLEAR, WATER))
        is_ground = month.clear_count > 0
        shown = {
            name: np.where(is_ground, band, np.int16(-10000)) for name, band in month.bands.items()
        }
        blue = bands["blue"][within]
        left.add(
            residual(
                shown["blue"],
                shown["nir"],
                clear_median(bands["blue"][near], clear),
                clear_median(bands["nir"][near], clear),
                darkest(blue, np.ones(blue.shape, np.bool_)),
                darkest(blue, labels[within] == CLEAR),
                area,
            )
        )
        holes.append(gaps(month.clear_count, month.total_count, area).share)
    return float(np.mean(holes)), left


def off(found: list[Composite], wanted: list[Composite], area: Any) -> float:
    """Months twice -> share of the values of both that are far from each other."""
    far = both = 0
    for month, right in zip(found, wanted, strict=True):
        judged = area & (month.clear_count > 0) & (right.clear_count > 0)
        for name in SHOWN:
            pair = month.bands[name][judged], right.bands[name][judged]
            known = has_value(pair[0]) & has_value(pair[1])
            apart = np.abs(pair[0].astype(int) - pair[1])[known]
            far, both = far + int((apart > FAR).sum()), both + apart.size
    return far / both


if __name__ == "__main__":
    main()
