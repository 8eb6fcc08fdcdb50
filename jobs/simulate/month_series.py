"""The dates round one month over a simulated land, for syntheses to be held against what is true.

Two orbits see the land from two sides, the border of one swath crosses it, and masks are as wrong as one
asks. All bands lie on the grid of 20 m.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from cube.anisotropy import directed_reflectance, nadir_kernels
from cube.classes import CLEAR, CLOUD, NO_OBSERVATION, THIN_CLOUD, WATER
from cube.composite import Composite, Method, day_number
from cube.facts import DateFacts
from cube.landscape import COVERS, Landscape, coarsen, fine_reflectance
from cube.opinions import degraded_classes
from cube.periods import Period
from cube.sky import Sky
from cube.synthesis import composite
from jobs.simulate.directions import sun_zenith
from jobs.simulate.season import Pass, Season, season_landscape, season_passes, season_scene

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
"""Bands that are made and judged."""

RESOLUTION = 20
"""Metres."""

HALF_WINDOW = 23
"""Days before and after the 15th from which dates are taken (WASP, parameter synthalf)."""


@dataclass(frozen=True, slots=True, eq=False)
class MonthSeries:
    """Observations of one window and what is true of them, on the 20 m grid."""

    season: Season
    period: Period
    landscape: Landscape
    """The ground, at 10 m."""
    bands: dict[str, NDArray[np.int16]]
    """``(time, y, x)`` dn by name, nodata -10000."""
    days: NDArray[np.int32]
    """``(time,)`` days since 1970-01-01, ascending."""
    passes: tuple[Pass, ...]
    truth: dict[str, NDArray[np.int16]]
    """``(y, x)`` dn by name as from nadir on the 15th, with the sun of that day's pass."""
    land: NDArray[np.bool_]
    """``(y, x)`` False on water and what touches it."""
    fields: NDArray[np.int32]
    """``(y, x)`` number of the parcel from 1, 0 where a pixel is of several."""
    skies: tuple[tuple[Sky, NDArray[np.bool_]], ...]
    """Of each date, and where it was observed, at 10 m."""

    @property
    def observed(self) -> NDArray[np.bool_]:
        """``(time, y, x)`` True inside the swath."""
        seen: NDArray[np.bool_] = self.bands["blue"] != _NODATA
        return seen

    @property
    def orbits(self) -> NDArray[np.int64]:
        """``(time,)`` relative orbits."""
        return np.array([each.relative_orbit for each in self.passes])

    def masks(self, omission: float, commission: float) -> NDArray[np.uint8]:
        """(time, y, x) true classes of all dates, wrong by such shares of each date's pixels."""
        land = self.landscape
        blue = fine_reflectance(land, _day_of_year(self.period.centre), ("blue",))["blue"]
        called = []
        for number, (sky, observed) in enumerate(self.skies):
            rng = np.random.default_rng([self.season.seed, 9, number])
            called.append(
                degraded_classes(land, sky, observed, blue, omission, commission, rng, factor=2)
            )
        return np.stack(called)

    def facts(self, classes: NDArray[np.uint8]) -> tuple[DateFacts, ...]:
        """(time, y, x) masks -> what is known of each date as a whole."""
        found = []
        for each, one in zip(self.passes, classes, strict=True):
            hidden = float(((one >= CLOUD) & (one <= THIN_CLOUD)).sum())
            at = each.angles
            found.append(
                DateFacts(
                    platform="sentinel-2a" if each.platform == "S2A" else "sentinel-2b",
                    orbit=each.relative_orbit,
                    clear_share=float(np.isin(one, (CLEAR, WATER)).mean()),
                    cloud_share=hidden / max(1, int((one != NO_OBSERVATION).sum())),
                    sun=(at.sun_zenith, at.sun_azimuth),
                    view=(at.view_zenith, at.view_azimuth),
                )
            )
        return tuple(found)

    def synthesis(self, method: Method, classes: NDArray[np.uint8], **options: object) -> Composite:
        """Method, (time, y, x) masks, its parameters -> (y, x) layers, over the whole window."""
        params = method.params.model_validate(
            {"window": "centred", "half_window": HALF_WINDOW, **options}
        )
        near = method.nearness(params)
        weights = None
        if near is not None:
            shape = classes.shape[1:]
            weights = np.stack(
                [
                    near.weigh(
                        near.gather([(0, near.hidden(one))], shape, RESOLUTION),
                        0, 0, shape, RESOLUTION,
                    )
                    for one in classes
                ]
            )  # fmt: skip
        return composite(
            method, params, self.period, self.bands, classes, self.days, weights,
            self.bands["blue"], self.facts(classes),
        )  # fmt: skip


def simulate_month(month: str, seed: int, *, size: int = 480) -> MonthSeries:
    """``2020-05``, seed, rows and columns at 10 m -> its dates; the same arguments, the same pixels."""
    period = Period.parse(month)
    half = timedelta(days=HALF_WINDOW)
    season = replace(
        Season(), first=period.centre - half, last=period.centre + half, size=size, seed=seed,
        clear_dates=(), offset_date=None, duplicate_date=None, maja_dates=(),
    )  # fmt: skip
    land = season_landscape(season)
    passes = season_passes(season)
    stacks: dict[str, list[NDArray[np.int16]]] = {name: [] for name in BANDS}
    skies = []
    for each in passes:
        scene = season_scene(season, land, each, BANDS)
        whole = coarsen(scene.observed.astype(np.float32), 2) > 0.99
        for name, stack in stacks.items():
            stack.append(np.where(whole, _dn(scene.seen[name], size), np.int16(_NODATA)))
        skies.append((scene.sky, scene.observed))
    centre = period.centre
    sun = nadir_kernels(sun_zenith(season.west, season.north, 10 * size, season.epsg, centre))
    ground = directed_reflectance(land, _day_of_year(centre), sun, BANDS)
    blocks = land.parcel.reshape(size // 2, 2, size // 2, 2)
    pure = blocks.min(axis=(1, 3)) == blocks.max(axis=(1, 3))
    wet = coarsen((land.cover == COVERS.index("water")).astype(np.float32), 2)
    return MonthSeries(
        season=season,
        period=period,
        landscape=land,
        bands={name: np.stack(stack) for name, stack in stacks.items()},
        days=np.array([day_number(each.sensed.date()) for each in passes], np.int32),
        passes=tuple(passes),
        truth={name: _dn(values, size) for name, values in ground.items()},
        land=wet == 0,
        fields=np.where(pure, land.parcel[::2, ::2] + 1, 0),
        skies=tuple(skies),
    )


_NODATA = -10000


def _dn(reflectance: NDArray[np.float32], size: int) -> NDArray[np.int16]:
    """(y, x) reflectance at 10 or 20 m -> dn at 20 m."""
    coarse = coarsen(reflectance, 2 * reflectance.shape[0] // size)
    return np.rint(coarse * 10000).clip(_NODATA + 1, 32767).astype(np.int16)


def _day_of_year(day: date) -> int:
    return day.timetuple().tm_yday
