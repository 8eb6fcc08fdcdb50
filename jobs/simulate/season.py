"""A season of simulated products over part of a tile, with the truth kept aside."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform as transform_points

from catalog.product_text import Delivery, absolute_orbit
from cube.landscape import SURFACE_BANDS, Landscape, build_landscape
from cube.opinions import MaskErrors
from cube.sky import Angles, CloudLayer, sun_position
from cube.testing import Scene, simulate_scene, swath
from jobs.simulate.directions import delivery_angles
from jobs.simulate.products import write_muscate, write_safe_l1c, write_safe_l2a
from jobs.simulate.truth import DateTruth, write_truth

WESTERN_ORBIT, EASTERN_ORBIT = 51, 8
"""Relative orbits that see tile 31TCJ; the western edge of 8 crosses the scene."""


@dataclass(frozen=True, slots=True)
class Season:
    """What to simulate; the same values give the same files, byte for byte in their pixels."""

    first: date = date(2020, 3, 20)
    last: date = date(2020, 8, 10)
    size: int = 480
    """Rows and columns at 10 m; a multiple of 6."""
    tile: str = "31TCJ"
    epsg: int = 32631
    west: int = 343200
    north: int = 4855020
    """Corner of the scene, on the tile's lattice of 60 m (origin 300000, 4900020)."""
    passes: tuple[int, ...] = (0, 3, 5, 6)
    """Which of each 8 passes were delivered: archives have gaps."""
    seed: int = 2020
    baseline: str = "02.14"
    errors: MaskErrors = field(default_factory=MaskErrors)
    offset_date: int | None = 13
    """Number of the date delivered by baseline 05.10, with its offset; None for no such date."""
    duplicate_date: int | None = 8
    """Number of the date delivered twice: by baseline 03.01, and before by ``baseline``, then 6 %
    too bright; None for no such date."""
    maja_dates: tuple[int, ...] = (9, 12, 16, 20)
    """Numbers of the dates delivered by Theia too."""
    l1c_dates: tuple[int, ...] = ()
    """Numbers of the dates delivered as L1C too."""
    zipped_dates: tuple[int, ...] = ()
    """Numbers of the dates whose SAFE is a zip."""
    extension: str = "jp2"
    clear_dates: tuple[int, ...] = (4, 11, 16, 22)
    """Numbers of dates with hardly a cloud."""


SMALL_SEASON = Season(
    first=date(2020, 5, 5),
    last=date(2020, 5, 16),
    size=96,
    passes=(0, 1, 2, 4),
    offset_date=2,
    duplicate_date=1,
    maja_dates=(3,),
    clear_dates=(0,),
    extension="tif",
)
"""Four dates of 96 x 96 pixels, for tests."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One acquisition of the season."""

    number: int
    platform: str
    relative_orbit: int
    absolute_orbit: int
    sensed: datetime
    """Start of the datatake, UTC."""
    tile_sensed: datetime
    angles: Angles


@dataclass(frozen=True, slots=True)
class SeasonFiles:
    """What ``write_season`` wrote."""

    products: tuple[Path, ...]
    """SAFE L2A, folders or zips, in order of date; both deliveries of the duplicate."""
    muscate: tuple[Path, ...]
    l1c: tuple[Path, ...]
    truth: Path
    """Folder with ``truth.json``; see ``jobs.simulate.truth``."""
    offset_product: Path | None
    """The delivery with an offset."""
    superseded: Path | None
    """The older delivery of the duplicate: its radiometry is wrong."""


def write_season(folder: Path, season: Season | None = None) -> SeasonFiles:
    """Folder, season -> products in ``<folder>/products``, truth in ``<folder>/truth``."""
    season = season or Season()
    landscape = season_landscape(season)
    passes = season_passes(season)
    with ThreadPoolExecutor(max_workers=2) as pool:
        written = list(pool.map(lambda each: _write_pass(folder, season, landscape, each), passes))
    write_truth(folder / "truth", season, landscape, [each.truth for each in written])
    by_kind: dict[str, list[Path]] = {"L2A": [], "MUSCATE": [], "L1C": []}
    offset_product = superseded = None
    for each in written:
        for kind, paths in each.products.items():
            by_kind[kind] += paths
        offset_product = offset_product or each.offset_product
        superseded = superseded or each.superseded
    return SeasonFiles(
        products=tuple(by_kind["L2A"]),
        muscate=tuple(by_kind["MUSCATE"]),
        l1c=tuple(by_kind["L1C"]),
        truth=folder / "truth",
        offset_product=offset_product,
        superseded=superseded,
    )


def season_landscape(season: Season) -> Landscape:
    """The land under a season, without any file."""
    return build_landscape((season.size, season.size), season.seed)


def season_passes(season: Season) -> list[Pass]:
    """The delivered acquisitions of a season, in order of time."""
    delivered = [
        each for index, each in enumerate(_all_passes(season)) if index % 8 in season.passes
    ]
    return [replace(each, number=number) for number, each in enumerate(delivered)]


def season_scene(
    season: Season, landscape: Landscape, each: Pass, bands: tuple[str, ...] = SURFACE_BANDS
) -> Scene:
    """The scene of one acquisition, without any file: seen along the angles that its products tell."""
    shape = (season.size, season.size)
    observed: NDArray[np.bool_] = np.ones(shape, dtype=np.bool_)
    if each.relative_orbit == EASTERN_ORBIT:
        observed = swath(shape, _edge(season, each), side="east")
    return simulate_scene(
        landscape,
        each.tile_sensed.timetuple().tm_yday,
        each.angles,
        season_weather(season, each),
        seed=season.seed * 1000 + each.number,
        observed=observed,
        errors=season.errors,
        bands=bands,
        directions=delivery_angles(season_delivery(season, each, season.baseline)),
    )


def season_weather(season: Season, each: Pass) -> tuple[CloudLayer, ...]:
    """Cloud layers of a date: a third nearly clear, the others broken or covered."""
    rng = np.random.default_rng([season.seed, 7, each.number])
    kind, low, thin = rng.random(3)
    height = float(rng.uniform(1000, 3000))
    slope = float(rng.uniform(1.15, 1.7))
    if each.number in season.clear_dates or kind < 0.2:
        return (CloudLayer(0.02 * float(low), height, slope=slope),)
    cover = 0.08 + 0.42 * float(low) if kind < 0.78 else 0.75 + 0.24 * float(low)
    layers = [CloudLayer(cover, height, slope=slope)]
    if thin < 0.4:
        cirrus = float(rng.uniform(0.1, 0.5))
        layers.append(CloudLayer(cirrus, float(rng.uniform(5200, 6000)), 0.35, 1.9))
    return tuple(layers)


def season_delivery(season: Season, each: Pass, baseline: str) -> Delivery:
    """What a processing centre of some baseline tells of one acquisition."""
    edge = _edge(season, each) if each.relative_orbit == EASTERN_ORBIT else None
    generated = each.sensed + timedelta(hours=3, minutes=9)
    if float(baseline) > float(season.baseline):
        # a reprocessing long after
        generated = each.sensed + timedelta(days=400, hours=17)
    span = 10 * season.size
    west, east = season.west, season.west + span
    north, south = season.north, season.north - span
    middle = (west + span / 2, north - span / 2)
    corners = [(west, north), (east, north), (east, south), (west, south), middle]
    return Delivery(
        platform=each.platform,
        sensed=each.sensed,
        strip_sensed=each.sensed + timedelta(seconds=52),
        tile_sensed=each.tile_sensed,
        generated=generated,
        baseline=baseline,
        relative_orbit=each.relative_orbit,
        absolute_orbit=each.absolute_orbit,
        tile=season.tile,
        epsg=season.epsg,
        west=season.west,
        north=season.north,
        rows=season.size,
        columns=season.size,
        sun_zenith=each.angles.sun_zenith,
        sun_azimuth=each.angles.sun_azimuth,
        view_zenith=each.angles.view_zenith,
        view_azimuth=each.angles.view_azimuth,
        footprint=_degrees(season, _outline(season, edge)),
        corners=_degrees(season, corners),
        extension=season.extension,
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """What one pass became."""

    products: dict[str, list[Path]]
    offset_product: Path | None
    superseded: Path | None
    truth: DateTruth


def _write_pass(folder: Path, season: Season, landscape: Landscape, each: Pass) -> _Written:
    scene = season_scene(season, landscape, each)
    products = folder / "products"
    baseline = season.baseline
    if each.number == season.offset_date:
        baseline = "05.10"
    elif each.number == season.duplicate_date:
        baseline = "03.01"
    delivery = season_delivery(season, each, baseline)
    zipped = each.number in season.zipped_dates
    safe = write_safe_l2a(products, delivery, scene, zipped=zipped)
    kinds: dict[str, list[Path]] = {"L2A": [safe], "MUSCATE": [], "L1C": []}
    superseded = None
    if each.number == season.duplicate_date:
        wrong = replace(scene, seen={name: 1.06 * seen for name, seen in scene.seen.items()})
        superseded = write_safe_l2a(products, season_delivery(season, each, season.baseline), wrong)
        kinds["L2A"].insert(0, superseded)
    if each.number in season.l1c_dates:
        kinds["L1C"].append(write_safe_l1c(products, delivery, scene))
    if each.number in season.maja_dates:
        kinds["MUSCATE"].append(write_muscate(products, delivery, landscape, scene))
    truth = DateTruth(
        sensed=each.sensed,
        tile_sensed=each.tile_sensed,
        relative_orbit=each.relative_orbit,
        products=tuple(_item_name(path) for paths in kinds.values() for path in paths),
        classes=scene.classes,
    )
    offset_product = safe if delivery.offset else None
    return _Written(kinds, offset_product, superseded, truth)


def _item_name(path: Path) -> str:
    """Product's path -> the id that it gets in a catalogue."""
    return path.name.removesuffix(".zip").removesuffix(".SAFE")


def _all_passes(season: Season) -> Iterator[Pass]:
    """Each pass of both satellites on both orbits over the season, in order of time."""
    longitude, latitude = _centre(season)
    day = datetime(season.first.year, season.first.month, season.first.day, tzinfo=UTC)
    while day.date() <= season.last:
        for orbit, minute in ((WESTERN_ORBIT, 50), (EASTERN_ORBIT, 40)):
            for platform in ("S2A", "S2B"):
                number = absolute_orbit(platform, orbit, day)
                if number is None:
                    continue
                # Datatakes start ten minutes before the tile is passed; S2B is a little earlier.
                second = 31 if platform == "S2A" else 29
                sensed = day.replace(hour=10, minute=minute, second=second, microsecond=24000)
                seen = sensed + timedelta(minutes=8, seconds=20 + number % 7, milliseconds=437)
                zenith, azimuth = sun_position(seen, longitude, latitude)
                # The orbits pass to the west and to the east of the scene.
                view = (4.3, 285.0) if orbit == WESTERN_ORBIT else (9.8, 104.0)
                yield Pass(0, platform, orbit, number, sensed, seen, Angles(zenith, azimuth, *view))
        day += timedelta(days=1)


def _edge(season: Season, each: Pass) -> float:
    """Where the swath's edge meets the upper side, as a share of the width; it wanders a little."""
    rng = np.random.default_rng([season.seed, 8, each.number])
    return 0.42 + 0.03 * float(rng.uniform(-1, 1))


def _outline(season: Season, edge: float | None) -> list[tuple[float, float]]:
    """Corners of what was seen, in metres, anticlockwise from the upper left."""
    span = 10.0 * season.size
    west, north = float(season.west), float(season.north)
    if edge is None:
        return [
            (west, north),
            (west, north - span),
            (west + span, north - span),
            (west + span, north),
        ]
    upper, lower = edge * span, edge * span - 0.23 * span
    outline = [(west + upper, north)]
    if lower >= 0:
        outline.append((west + lower, north - span))
    else:
        outline += [(west, north - upper / 0.23), (west, north - span)]
    return [*outline, (west + span, north - span), (west + span, north)]


def _centre(season: Season) -> tuple[float, float]:
    half = 5 * season.size
    ((longitude, latitude),) = _degrees(season, [(season.west + half, season.north - half)])
    return longitude, latitude


def _degrees(season: Season, points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Metres of the season's system -> longitude, latitude."""
    eastings, northings = zip(*points, strict=True)
    longitudes, latitudes = transform_points(
        f"EPSG:{season.epsg}", "EPSG:4326", list(eastings), list(northings)
    )[:2]
    return tuple(zip(longitudes, latitudes, strict=True))
