"""The dates round one month over a whole tile, block by block, for what only a large extent can show.

Two orbits see the tile: the western one all of it, the eastern one what lies east of the border of its
swath, which crosses the tile from its upper to its lower edge. Clouds, shadows and masks are those of the
whole tile, on pixels of 20 m; the ground is another landscape in each block, with pixels of 10 m.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from cube.angles import SceneAngles
from cube.anisotropy import directed_reflectance, nadir_kernels, scene_kernels
from cube.composite import day_number
from cube.directional import Frame
from cube.landscape import COVERS, Landscape, build_landscape, fine_reflectance
from cube.opinions import degraded_classes
from cube.periods import Period
from cube.sky import Sky, build_sky, observe
from cube.testing import swath
from jobs.simulate.directions import delivery_angles, sun_zenith
from jobs.simulate.month_series import HALF_WINDOW
from jobs.simulate.season import (
    EASTERN_ORBIT,
    Pass,
    Season,
    season_delivery,
    season_passes,
    season_weather,
)

SIDE = 10980
"""Rows and columns of a tile at 10 m."""

BANDS = ("blue", "green", "red", "nir")
"""The bands of 10 m."""

BORDER = 0.42
"""Where the border of the eastern swath meets the upper edge, as a share of the width."""

SLANT = 0.23
"""Columns by which the border moves west with each row, as ``cube.testing.swath`` has it."""

LARGEST_CLOUD = 12_000
"""Metres; over 110 km the spectrum of a small scene would make one cloud of all."""


@dataclass(frozen=True, slots=True, eq=False)
class TileSeries:
    """The dates of a window over a tile: what is of the whole, and what blocks are made from."""

    season: Season
    period: Period
    passes: tuple[Pass, ...]
    days: NDArray[np.int32]
    angles: tuple[SceneAngles, ...]
    """Of each date, nodes over the whole tile."""
    opacity: NDArray[np.uint8]
    """``(time, y, x)`` of the clouds at 20 m, 255 is opaque."""
    shadow: NDArray[np.uint8]
    """``(time, y, x)`` share of the sunlight taken, at 20 m, 255 is all."""
    side: int
    """Rows and columns of a block at 10 m."""

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Row and column of each block's first pixel at 10 m."""
        starts = range(0, self.season.size, self.side)
        return [(row, column) for row in starts for column in starts]

    def frame(self, block: tuple[int, int]) -> Frame:
        """Where a block lies, at 10 m."""
        row, column = block
        return Frame(self.season.west + 10 * column, self.season.north - 10 * row, 10)

    def land(self, block: tuple[int, int]) -> Landscape:
        """The land of a block."""
        number = self.blocks.index(block)
        return build_landscape((self.side, self.side), self.season.seed * 1000 + number)

    def observed(self, number: int, block: tuple[int, int]) -> NDArray[np.bool_]:
        """Number of a date -> (y, x) bool at 10 m of a block, True inside its swath."""
        shape = (self.side, self.side)
        if self.passes[number].relative_orbit != EASTERN_ORBIT:
            return np.ones(shape, np.bool_)
        row, column = block
        start = BORDER * self.season.size - SLANT * row - column
        return swath(shape, start / self.side)

    def sky(self, number: int, block: tuple[int, int]) -> Sky:
        """Number of a date -> the sky over a block, at 10 m."""
        opacity, shadow = (
            stored[number][self.coarse(block)].astype(np.float32) / np.float32(255)
            for stored in (self.opacity, self.shadow)
        )
        nothing = np.zeros((self.side, self.side), np.float32)
        return Sky(_doubled(opacity), nothing, _doubled(shadow), nothing > 0)

    def coarse(self, block: tuple[int, int]) -> tuple[slice, slice]:
        """Where a block lies among the pixels of 20 m."""
        row, column = (start // 2 for start in block)
        return slice(row, row + self.side // 2), slice(column, column + self.side // 2)

    def masks(
        self, omission: float, commission: float, rows: Collection[int] | None = None
    ) -> NDArray[np.uint8]:
        """(time, y, x) classes at 20 m of the whole tile, wrong by such shares of each block.

        ``rows``: which rows of blocks are needed; the others stay as if nobody had seen them.
        """
        size = self.season.size // 2
        classes = np.zeros((len(self.days), size, size), np.uint8)
        day = self.period.centre.timetuple().tm_yday
        for index, block in enumerate(self.blocks):
            if rows is not None and block[0] // self.side not in rows:
                continue
            land = self.land(block)
            blue = fine_reflectance(land, day, ("blue",))["blue"]
            for number in range(len(self.days)):
                rng = np.random.default_rng([self.season.seed, 9, number, index])
                classes[number][self.coarse(block)] = degraded_classes(
                    land, self.sky(number, block), self.observed(number, block), blue, omission,
                    commission, rng, factor=2,
                )  # fmt: skip
        return classes

    def observations(self, block: tuple[int, int], land: Landscape) -> dict[str, NDArray[np.int16]]:
        """Block and its land -> {band: (time, y, x) dn as seen}, nodata -10000."""
        shape, frame = land.shape, self.frame(block)
        stacks = {name: np.full((len(self.days), *shape), -10000, np.int16) for name in BANDS}
        for number, (each, angles) in enumerate(zip(self.passes, self.angles, strict=True)):
            observed = self.observed(number, block)
            if not observed.any():
                continue
            day = each.tile_sensed.timetuple().tm_yday
            views = {name: scene_kernels(angles, frame, shape, name) for name in BANDS}
            ground = directed_reflectance(land, day, views, BANDS)
            rng = np.random.default_rng([self.season.seed, 10, number, *block])
            for name, seen in observe(ground, self.sky(number, block), rng).items():
                stacks[name][number][observed] = _dn(seen)[observed]
        return stacks

    def truth(
        self, block: tuple[int, int], land: Landscape, sun: float | None = None
    ) -> dict[str, NDArray[np.int16]]:
        """Block, its land, zenith of the sun (the 15th's over the block by default) -> {band: dn}."""
        centre, frame = self.period.centre, self.frame(block)
        if sun is None:
            sun = sun_zenith(frame.left, frame.top, 10 * self.side, self.season.epsg, centre)
        day = centre.timetuple().tm_yday
        ground = directed_reflectance(land, day, nadir_kernels(sun), BANDS)
        return {name: _dn(values) for name, values in ground.items()}

    def dry(self, land: Landscape) -> NDArray[np.bool_]:
        """(y, x) True on land."""
        found: NDArray[np.bool_] = land.cover != COVERS.index("water")
        return found


def simulate_tile(month: str, seed: int, *, size: int = SIDE, side: int = SIDE // 10) -> TileSeries:
    """``2020-05``, seed -> the dates round it over tile 31TCJ, or over its upper left ``size`` pixels."""
    period = Period.parse(month)
    half = timedelta(days=HALF_WINDOW)
    season = replace(
        Season(), first=period.centre - half, last=period.centre + half, west=300000,
        north=4900020, size=size, seed=seed, clear_dates=(),
    )  # fmt: skip
    passes = season_passes(season)
    skies = [_tile_sky(season, each) for each in passes]
    return TileSeries(
        season=season,
        period=period,
        passes=tuple(passes),
        days=np.array([day_number(each.sensed.date()) for each in passes], np.int32),
        angles=tuple(
            delivery_angles(season_delivery(season, each, season.baseline)) for each in passes
        ),
        opacity=_stacked([sky.opacity for sky in skies]),
        shadow=_stacked([sky.shadow for sky in skies]),
        side=side,
    )


def _tile_sky(season: Season, each: Pass) -> Sky:
    """The sky over the tile at 20 m: half the heights and sizes on half the pixels."""
    layers = tuple(
        replace(layer, height=layer.height / 2, largest=LARGEST_CLOUD / 2)
        for layer in season_weather(season, each)
    )
    half = season.size // 2
    return build_sky((half, half), layers, each.angles, [season.seed, 2, each.number])


def _stacked(shares: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """(y, x) shares of one -> (time, y, x) of 255."""
    return np.stack([np.rint(255 * each).astype(np.uint8) for each in shares])


def _doubled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x) -> (2y, 2x), each pixel four times."""
    return values.repeat(2, axis=0).repeat(2, axis=1)


def _dn(reflectance: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(reflectance * 10000).clip(-9999, 32767).astype(np.int16)
