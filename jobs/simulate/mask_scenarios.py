"""Series that masks along time are held against: one land, one difficulty each, truth known.

The physics is that of ``cube.sky`` and ``cube.landscape``, the errors of the single-date mask those
of ``cube.opinions``; a scenario says only what lies on the ground, and which clouds come when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cube.classes import CLEAR, SNOW, WATER
from cube.landscape import COVERS, Landscape, build_landscape, coarsen, ground_reflectance
from cube.masks import decode
from cube.opinions import MaskErrors, scene_classification, true_classes
from cube.sky import Angles, CloudLayer, build_sky, observe
from cube.temporal import Series

BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
"""The bands of all methods along time, in the order of the spectra below."""

NODATA_BELOW = -9999
"""Least dn that a simulated observation has."""

COVER_SHARES = (0.0, 0.1, 0.3, 0.45, 0.7, 0.85)
"""Cloud cover of the dates, in random order: 40 % on the mean, every sixth date free of cloud."""

WINTER = 60
"""Days before and after the turn of the year in which ``snow`` lies on every second date."""

# Spectra after the USGS spectral library (version 7), rounded: fresh snow of medium grains, marl,
# and basalt or a burn scar, whose mean is darker than 0.055.
_SNOW = (0.93, 0.92, 0.90, 0.78, 0.12, 0.10)
_MARL = (0.26, 0.33, 0.38, 0.46, 0.52, 0.46)
_DARK = (0.020, 0.028, 0.034, 0.062, 0.058, 0.048)
_PLOUGHED = 0.55
"""Wet turned soil against dry stubble."""

Ground = dict[str, NDArray[np.float32]]
Change = Callable[[Landscape, float, int, Ground], Ground]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What makes a series hard."""

    name: str
    title: str
    change: Change | None = None
    """(land, day of year, number of the date, ground) -> the ground as it is there."""
    covers: tuple[str, ...] = ()
    """Land covers that are judged; none for all."""
    layers: Callable[[float, int], tuple[CloudLayer, ...]] | None = None
    """(cover, number of the date) -> the sky; None for cumulus at 1500 m."""
    first: int = 75
    last: int = 320
    """Days of the year; above 365 in the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A series and what is true of it, on the 20 m grid."""

    series: Series
    truth: NDArray[np.uint8]
    """``(time, y, x)`` true classes; no_observation where the scenario does not judge."""
    cover: NDArray[np.uint8]
    """``(y, x)`` codes of ``cube.landscape.COVERS``."""
    angles: tuple[Angles, ...]


def simulate(scenario: Scenario, seed: int, *, size: int = 192, dates: int = 40) -> Simulated:
    """Scenario, seed, rows and columns at 10 m -> its series; the same arguments, the same pixels."""
    rng = np.random.default_rng([seed, 11])
    land = build_landscape((size, size), seed)
    days = np.linspace(scenario.first, scenario.last, dates).round().astype(np.int32)
    covers = rng.permutation(np.resize(COVER_SHARES, dates))
    stacks: dict[str, list[NDArray[np.int16]]] = {name: [] for name in BANDS}
    truth, scl, angles = [], [], []
    for number, (day, cover) in enumerate(zip(days, covers, strict=True)):
        at = _angles(float(day))
        layers = (scenario.layers or _cumulus)(float(cover), number)
        sky = build_sky(land.shape, layers, at, [seed * 1000 + number, 2])
        ground = ground_reflectance(land, float(day % 365), BANDS)
        if scenario.change is not None:
            ground = scenario.change(land, float(day), number, ground)
        noise = np.random.default_rng([seed * 1000 + number, 3])
        seen = observe(ground, sky, noise)
        everywhere = np.ones(land.shape, np.bool_)
        for name, stack in stacks.items():
            band = coarsen(seen[name], seen[name].shape[0] * 2 // size)
            stack.append(np.rint(band * 10000).clip(NODATA_BELOW, 32767).astype(np.int16))
        classes = true_classes(land, sky, everywhere, 2)
        snowy = _is_snow(ground)
        classes[snowy & np.isin(classes, (CLEAR, WATER))] = SNOW
        truth.append(classes)
        scl.append(scene_classification(land, sky, everywhere, ground, MaskErrors(), noise))
        angles.append(at)
    cover20 = land.cover[::2, ::2]
    judged = np.stack(truth)
    if scenario.covers:
        judged[:, ~np.isin(cover20, [COVERS.index(name) for name in scenario.covers])] = 0
    return Simulated(
        Series(
            {name: np.stack(stack) for name, stack in stacks.items()},
            days,
            decode("scl", {"scl": np.stack(scl)}),
        ),
        judged,
        cover20,
        tuple(angles),
    )


def _angles(day: float) -> Angles:
    """The sun of 47 degrees north at half past ten, to a few degrees."""
    return Angles(47 - 24 * float(np.sin(np.pi * (day - 80) / 182.5)), 155, 4, 100)


def _cumulus(cover: float, _number: int) -> tuple[CloudLayer, ...]:
    return (CloudLayer(cover, 1500, slope=1.8),)


def _puffs(cover: float, _number: int) -> tuple[CloudLayer, ...]:
    """Fair-weather clouds of some tens of metres, on the days that have any."""
    return (CloudLayer(cover / 4, 1200, slope=0.9),)


def _veils(cover: float, number: int) -> tuple[CloudLayer, ...]:
    """Thin haze of wide extent on every third date, cumulus on the others."""
    return (CloudLayer(cover, 5500, 0.3, 1.9),) if number % 3 == 0 else _cumulus(cover, number)


def _is_snow(ground: Mapping[str, NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Ground -> (y, x) bool at 20 m: where it is snow, which alone is bright and dark beyond 1.5 um."""
    green, swir = coarsen(ground["green"], 2), ground["swir16"]
    snowy: NDArray[np.bool_] = (green > 0.5) & (swir < 0.25)
    return snowy


def _painted(
    land: Landscape,
    ground: Ground,
    spectrum: tuple[float, ...],
    where: NDArray[np.bool_],
    by: float,
) -> Ground:
    """Ground, spectrum, (y, x) bool -> the ground with that spectrum there, textured as the land is."""
    fine = (by * (1 + 2 * land.texture)).astype(np.float32)
    painted = {}
    for (name, below), level in zip(ground.items(), spectrum, strict=True):
        factor = land.shape[0] // below.shape[0]
        share = coarsen(where.astype(np.float32), factor)
        painted[name] = below + share * (np.float32(level) * coarsen(fine, factor) - below)
    return painted


def _snow(land: Landscape, day: float, number: int, ground: Ground) -> Ground:
    """Snow on all but woods and water, on every second date of the middle of winter."""
    if abs(day - 365) > WINTER or number % 2:
        return ground
    bare = ~np.isin(land.cover, [COVERS.index(name) for name in ("conifer", "broadleaf", "water")])
    return _painted(land, ground, _SNOW, bare, 1.0)


def _ploughed(land: Landscape, day: float, _number: int, ground: Ground) -> Ground:
    """Every field turned over once, on its own day from August on, and dark until it has dried."""
    turned = 215 + land.parcel % 97
    since = np.where(day >= turned, day - turned, np.inf)
    fields = land.cover <= COVERS.index("bare_soil")
    factor = 1 - (1 - _PLOUGHED) * np.exp(-since / 25) * fields
    return {
        name: band * coarsen(factor.astype(np.float32), land.shape[0] // band.shape[0])
        for name, band in ground.items()
    }


def _marl(land: Landscape, day: float, number: int, ground: Ground) -> Ground:
    """Bare bright soil everywhere, moist and dry by turns."""
    moist = 1 + 0.12 * float(np.sin(number * 2.1))
    return _painted(land, ground, _MARL, np.ones(land.shape, np.bool_), moist)


def _dark(land: Landscape, day: float, number: int, ground: Ground) -> Ground:
    """Ground darker than any ceiling of shadows, all the time."""
    wave = 1 + 0.1 * float(np.sin(day / 58))
    return _painted(land, ground, _DARK, np.ones(land.shape, np.bool_), wave)


SCENARIOS = (
    Scenario("season", "crops, woods, water and town from March to November"),
    Scenario("year", "the same over a year", first=4, last=364),
    Scenario("snow", "October to April, snow every second time in mid winter", _snow,
             first=280, last=470),
    Scenario("ploughing", "harvest and ploughing", _ploughed,
             covers=("winter_wheat", "maize", "rapeseed", "sunflower", "bare_soil")),
    Scenario("bright-soil", "bare marl everywhere", _marl),
    Scenario("water", "river and lake", covers=("water",)),
    Scenario("dark-ground", "ground of 0.042 everywhere", _dark),
    Scenario("town", "roofs, a quarter of them bright", covers=("roof",)),
    Scenario("small-clouds", "fair-weather clouds", layers=_puffs),
    Scenario("haze", "thin haze every third time", layers=_veils),
)  # fmt: skip
"""All, by difficulty."""


def scenario(name: str) -> Scenario:
    """Name -> scenario; ``LookupError`` for another."""
    for known in SCENARIOS:
        if known.name == name:
            return known
    raise LookupError(f"no scenario {name}; there are {' '.join(s.name for s in SCENARIOS)}")
