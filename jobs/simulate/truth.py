"""The truth behind a simulated season: written beside the products, read back by comparisons.

A folder with ``truth.json``, ``<YYYYMMDDTHHMMSS>.npz`` a date (``classes``, uint8 at 10 m) and
``month-<YYYY-MM>.npz`` a month (true reflectance on the 15th, int16, scale 0.0001, one array a
band at its native resolution). Reflectance is true as from nadir, with the sun of that date's pass.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.product_text import compact, iso
from cube.anisotropy import directed_reflectance, nadir_kernels
from cube.landscape import COVERS, SURFACE_BANDS, Landscape, build_landscape
from jobs.simulate.directions import sun_zenith

if TYPE_CHECKING:
    from jobs.simulate.season import Season

_SCALE = 10000


@dataclass(frozen=True, slots=True, eq=False)
class DateTruth:
    """What is true of one date."""

    sensed: datetime
    tile_sensed: datetime
    relative_orbit: int
    products: tuple[str, ...]
    """Names of the products made of it."""
    classes: NDArray[np.uint8]
    """(y, x) true classes at 10 m."""


class Truth:
    """The truth folder of a season, opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document: dict[str, Any] = json.loads((folder / "truth.json").read_text("utf-8"))

    @property
    def dates(self) -> list[dict[str, Any]]:
        """One dict a date: sensed, day, orbit, products, file, shares of the classes."""
        dates: list[dict[str, Any]] = self.document["dates"]
        return dates

    @property
    def months(self) -> list[str]:
        """Months whose 15th lies in the season, e.g. ``2020-04``."""
        months: list[str] = self.document["months"]
        return months

    @property
    def parcels(self) -> list[dict[str, Any]]:
        """A few large fields: number, cover, row and column of the middle, pixels."""
        parcels: list[dict[str, Any]] = self.document["parcels"]
        return parcels

    @cached_property
    def landscape(self) -> Landscape:
        """The land, built again from its seed."""
        size = self.document["season"]["size"]
        return build_landscape((size, size), self.document["season"]["seed"])

    def classes(self, product: str) -> NDArray[np.uint8]:
        """Name of a product -> (y, x) uint8 true classes at 10 m."""
        for entry in self.dates:
            if product in entry["products"]:
                with np.load(self.folder / entry["file"]) as stored:
                    classes: NDArray[np.uint8] = stored["classes"]
                return classes
        raise LookupError(f"the truth in {self.folder} knows no product {product}")

    def on(self, day: date) -> dict[str, Any]:
        """Day -> its entry of ``dates``; a scene is seen once a day at most."""
        for entry in self.dates:
            if entry["sensed"][:10] == day.isoformat():
                return entry
        raise LookupError(f"the truth in {self.folder} knows no date {day}")

    def month(self, month: str) -> dict[str, NDArray[np.float32]]:
        """``2020-05`` -> {band: (y, x) float32 true reflectance on the 15th, as from nadir}."""
        with np.load(self.folder / f"month-{month}.npz") as stored:
            return {name: stored[name].astype(np.float32) / _SCALE for name in stored.files}

    def ground(
        self, day: float, names: tuple[str, ...] = SURFACE_BANDS
    ) -> dict[str, NDArray[np.float32]]:
        """Day of the first year -> {band: (y, x) float32 true reflectance, as from nadir}."""
        about = self.document["season"]
        first = date.fromisoformat(about["first"])
        place = about["west"], about["north"], 10 * about["size"], about["epsg"]
        return _ground(self.landscape, place, first.year, day, names)

    def ndvi(self, parcel: int, days: Sequence[float]) -> NDArray[np.float32]:
        """Number of a parcel, days of year -> (day,) float32 true NDVI, mean over its pixels."""
        inside = self.landscape.area(parcel)
        curve = np.empty(len(days), dtype=np.float32)
        for index, day in enumerate(days):
            ground = self.ground(day, ("red", "nir"))
            red, nir = ground["red"][inside], ground["nir"][inside]
            curve[index] = ((nir - red) / (nir + red)).mean()
        return curve


def write_truth(
    folder: Path, season: "Season", landscape: Landscape, dates: Sequence[DateTruth]
) -> None:
    """Season, its land and its dates -> the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for each in dates:
        file = f"{compact(each.sensed)}.npz"
        np.savez_compressed(folder / file, classes=each.classes)
        counts = np.bincount(each.classes.ravel(), minlength=7) / each.classes.size
        entries.append(
            {
                "sensed": iso(each.sensed),
                "tile_sensed": iso(each.tile_sensed),
                "day": each.tile_sensed.timetuple().tm_yday,
                "relative_orbit": each.relative_orbit,
                "products": list(each.products),
                "file": file,
                "shares": [round(float(share), 5) for share in counts],
            }
        )
    months = _months(season.first, season.last)
    for month in months:
        middle = date.fromisoformat(f"{month}-15")
        place = season.west, season.north, 10 * season.size, season.epsg
        ground = _ground(landscape, place, middle.year, middle.timetuple().tm_yday, SURFACE_BANDS)
        stored = {
            name: (values * _SCALE).round().astype(np.int16) for name, values in ground.items()
        }
        np.savez(folder / f"month-{month}.npz", **stored)  # type: ignore[arg-type]
    described = asdict(season)
    described.update(first=season.first.isoformat(), last=season.last.isoformat())
    document = {
        "season": described,
        "dates": entries,
        "months": months,
        "parcels": _large_fields(landscape),
    }
    text = json.dumps(document, indent=1) + "\n"
    (folder / "truth.json").write_text(text, encoding="utf-8")


def _ground(
    landscape: Landscape,
    place: tuple[float, float, float, int],
    year: int,
    day: float,
    names: tuple[str, ...],
) -> dict[str, NDArray[np.float32]]:
    """The land as from nadir, with the sun of that day's pass."""
    zenith = sun_zenith(*place, date(year, 1, 1) + timedelta(days=round(day) - 1))
    return directed_reflectance(landscape, day, nadir_kernels(zenith), names)


def _months(first: date, last: date) -> list[str]:
    """Months whose 15th lies between two dates."""
    months = []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        if first <= date(year, month, 15) <= last:
            months.append(f"{year}-{month:02d}")
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return months


def _large_fields(landscape: Landscape) -> list[dict[str, Any]]:
    """The largest parcel of each cover that has a calendar."""
    sizes = np.bincount(landscape.parcel.ravel())
    fields = []
    for cover in ("winter_wheat", "maize", "rapeseed", "grassland", "sunflower", "broadleaf"):
        own = np.flatnonzero(landscape.parcel_cover == COVERS.index(cover))
        if not len(own):
            continue
        number = int(own[np.argmax(sizes[own])])
        rows, columns = np.nonzero(landscape.parcel == number)
        fields.append(
            {
                "parcel": number,
                "cover": cover,
                "row": int(np.median(rows)),
                "column": int(np.median(columns)),
                "pixels": int(sizes[number]),
            }
        )
    return fields
