"""A synthetic countryside whose reflectance is known on any day: fields, woods, water, a town.

Spectra are mixtures of a few endmembers with plausible Sentinel-2 surface reflectances; crops move
along calendars of growth, ripening and harvest. Everything follows from one seed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cube.bands import band
from cube.errors import GridError

COVERS = (
    "winter_wheat",
    "maize",
    "grassland",
    "rapeseed",
    "sunflower",
    "bare_soil",
    "broadleaf",
    "conifer",
    "water",
    "street",
    "roof",
)
"""Land covers; a pixel's code is the position here."""

SURFACE_BANDS = (
    "coastal",
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "nir09",
    "swir16",
    "swir22",
)
"""Bands with a surface reflectance: all but cirrus."""

# Reflectances by endmember, in the order of SURFACE_BANDS. Shapes after the spectra of green and
# dry vegetation, soil, water and roofing in the USGS spectral library (version 7), rounded.
_ENDMEMBERS = {
    "green": (0.020, 0.026, 0.058, 0.027, 0.082, 0.300, 0.400, 0.430, 0.450, 0.450, 0.200, 0.085),
    "yellow": (0.030, 0.034, 0.150, 0.140, 0.200, 0.330, 0.400, 0.430, 0.440, 0.440, 0.210, 0.100),
    "dry": (0.060, 0.078, 0.125, 0.175, 0.210, 0.240, 0.262, 0.285, 0.300, 0.310, 0.350, 0.255),
    "soil": (0.055, 0.070, 0.102, 0.135, 0.155, 0.172, 0.187, 0.202, 0.215, 0.225, 0.290, 0.240),
    "leaf": (0.016, 0.020, 0.044, 0.021, 0.068, 0.270, 0.370, 0.395, 0.415, 0.415, 0.175, 0.072),
    "twig": (0.035, 0.042, 0.060, 0.072, 0.098, 0.135, 0.155, 0.175, 0.190, 0.195, 0.180, 0.120),
    "needle": (0.014, 0.018, 0.032, 0.019, 0.050, 0.140, 0.178, 0.195, 0.208, 0.210, 0.092, 0.042),
    "water": (0.050, 0.046, 0.043, 0.027, 0.022, 0.016, 0.014, 0.012, 0.010, 0.009, 0.005, 0.003),
    "street": (0.085, 0.095, 0.108, 0.118, 0.124, 0.130, 0.135, 0.140, 0.145, 0.148, 0.165, 0.155),
    "tile": (0.090, 0.105, 0.140, 0.205, 0.225, 0.245, 0.258, 0.268, 0.276, 0.280, 0.300, 0.280),
    "bright": (0.400, 0.430, 0.460, 0.480, 0.490, 0.495, 0.500, 0.505, 0.510, 0.510, 0.480, 0.440),
}
ENDMEMBERS = tuple(_ENDMEMBERS)
"""Names of the endmembers, in the order of shares and spectra."""

SPECTRA = np.array([_ENDMEMBERS[name] for name in ENDMEMBERS], dtype=np.float32)
"""(endmember, band) reflectance, bands as in ``SURFACE_BANDS``."""

_TEXTURE = 0.04
"""Standard deviation of the within-field share of green cover."""

_STRUCTURE = 0.2
"""Standard deviation of the logarithm of a parcel's directional scattering round its cover's."""


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """A piece of land at 10 m: what grows where, and how each parcel departs from the average."""

    cover: NDArray[np.uint8]
    """(y, x) codes of ``COVERS``."""
    parcel: NDArray[np.int32]
    """(y, x) parcel numbers from 0; each parcel has one cover."""
    texture: NDArray[np.float32]
    """(y, x) departure of the green share from the parcel's, mean 0."""
    parcel_cover: NDArray[np.uint8]
    """(parcel,) code of each parcel."""
    parcel_delay: NDArray[np.float32]
    """(parcel,) days by which the calendar is late."""
    parcel_vigour: NDArray[np.float32]
    """(parcel,) factor on the green share, 0.8 to 1."""
    parcel_soil: NDArray[np.float32]
    """(parcel,) factor on the brightness of soil and roofs."""
    parcel_volume: NDArray[np.float32]
    """(parcel,) factor on volumetric scattering, see ``cube.anisotropy``."""
    parcel_geometry: NDArray[np.float32]
    """(parcel,) factor on geometric scattering."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns at 10 m."""
        rows, columns = self.cover.shape
        return rows, columns

    def area(self, parcel: int) -> NDArray[np.bool_]:
        """Parcel number -> (y, x) bool, True inside it."""
        inside: NDArray[np.bool_] = self.parcel == parcel
        return inside


def build_landscape(shape: tuple[int, int], seed: int) -> Landscape:
    """(rows, columns) at 10 m, seed -> the landscape; even sides, so that 20 m pixels fit."""
    rows, columns = shape
    if rows < 16 or columns < 16 or rows % 2 or columns % 2:
        raise GridError(f"a landscape has even sides of 16 pixels or more, not {rows} x {columns}")
    rng = np.random.default_rng([seed, 1])
    parcel = _parcels(shape, rng)
    count = int(parcel.max()) + 1
    crops = rng.choice(6, size=count, p=[0.28, 0.2, 0.22, 0.1, 0.14, 0.06]).astype(np.uint8)
    crops[:5] = np.arange(5)  # each crop somewhere, however small the scene
    cover = crops[parcel]
    _grow_woods(cover, rng)
    _build_town(cover, rng)
    _let_water_in(cover, rng)
    parcel, parcel_cover = _renumber(parcel, cover)
    count = len(parcel_cover)
    texture = fractal(shape, rng, slope=1.2) * _TEXTURE
    return Landscape(
        cover=cover,
        parcel=parcel,
        texture=texture.astype(np.float32),
        parcel_cover=parcel_cover,
        parcel_delay=rng.normal(0, 6, count).astype(np.float32),
        parcel_vigour=rng.uniform(0.8, 1.0, count).astype(np.float32),
        parcel_soil=rng.uniform(0.8, 1.2, count).astype(np.float32),
        parcel_volume=_scatter(count, [seed, 5]),
        parcel_geometry=_scatter(count, [seed, 6]),
    )


def ground_reflectance(
    landscape: Landscape, day: float, names: tuple[str, ...] = SURFACE_BANDS
) -> dict[str, NDArray[np.float32]]:
    """Landscape, day of year -> {band: (y, x) float32 reflectance at the band's own resolution}.

    Free of clouds, atmosphere and noise, as from nadir with the sun of the endmembers' spectra
    whatever the day; ``cube.anisotropy`` turns it to other directions. Bands of 20 and 60 m are
    means of the 10 m pixels.
    """
    return {
        name: coarsen(fine, band(name).resolution // 10)
        for name, fine in fine_reflectance(landscape, day, names).items()
    }


def fine_reflectance(
    landscape: Landscape, day: float, names: tuple[str, ...] = SURFACE_BANDS
) -> dict[str, NDArray[np.float32]]:
    """``ground_reflectance`` with every band at 10 m."""
    shares = endmember_shares(landscape, day)
    parcels = shares @ SPECTRA
    # Texture moves pixels between green cover and soil, by as much as the parcel is green.
    greenness = shares[
        :, [ENDMEMBERS.index(name) for name in ("green", "yellow", "leaf", "needle")]
    ]
    weight = greenness.sum(axis=1, keepdims=True)
    green = SPECTRA[ENDMEMBERS.index("green")] - SPECTRA[ENDMEMBERS.index("soil")]
    slopes = weight * green + (1 - weight) * 1.2 * parcels
    bands: dict[str, NDArray[np.float32]] = {}
    for name in names:
        position = SURFACE_BANDS.index(name)
        fine = parcels[:, position][landscape.parcel]
        fine += slopes[:, position][landscape.parcel] * landscape.texture
        np.maximum(fine, np.float32(0.0005), out=fine)
        bands[name] = fine
    return bands


def coarsen(fine: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """(y, x) float -> (ceil(y/factor), ceil(x/factor)) float32 means; the last row repeats."""
    if factor == 1:
        return fine
    rows, columns = fine.shape
    down, right = -rows % factor, -columns % factor
    if down or right:
        fine = np.pad(fine, ((0, down), (0, right)), mode="edge")
    rows, columns = fine.shape
    blocks = fine.reshape(rows // factor, factor, columns // factor, factor)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def fractal(
    shape: tuple[int, int], rng: np.random.Generator, slope: float, largest: float = np.inf
) -> NDArray[np.float32]:
    """(rows, columns) -> (y, x) float32 periodic noise of mean 0, deviation 1, power 1/f^(2 slope).

    Waves longer than ``largest`` pixels are as strong as those of that length.
    """
    rows, columns = shape
    radius = np.maximum(_frequencies(rows, columns), np.float32(max(shape) / largest))
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    spectrum *= radius ** np.float32(-slope)
    spectrum[0, 0] = 0
    noise: NDArray[np.float32] = np.fft.irfft2(spectrum, s=shape).astype(np.float32)
    noise /= noise.std()
    return noise


@lru_cache(maxsize=4)
def _frequencies(rows: int, columns: int) -> NDArray[np.float32]:
    """Distance of each frequency of a real transform from the zeroth, at least one step."""
    vertical = np.fft.fftfreq(rows)[:, None] * rows
    horizontal = np.fft.rfftfreq(columns)[None, :] * columns
    radius: NDArray[np.float32] = np.hypot(vertical, horizontal).astype(np.float32)
    radius[0, 0] = 1
    return radius


def endmember_shares(landscape: Landscape, day: float) -> NDArray[np.float32]:
    """Landscape, day of year -> (parcel, endmember) float32 shares, each row about 1."""
    shares = np.zeros((len(landscape.parcel_cover), len(ENDMEMBERS)), dtype=np.float32)
    local = day - landscape.parcel_delay
    for code, cover in enumerate(COVERS):
        chosen = landscape.parcel_cover == code
        if not chosen.any():
            continue
        for name, share in _calendar(cover, local[chosen]).items():
            if name == "green":
                share = share * landscape.parcel_vigour[chosen]
            shares[chosen, ENDMEMBERS.index(name)] = share
    soil = ENDMEMBERS.index("soil")
    rest = 1 - shares.sum(axis=1)
    shares[:, soil] += np.maximum(rest, 0) * landscape.parcel_soil
    tile, bright = ENDMEMBERS.index("tile"), ENDMEMBERS.index("bright")
    shares[:, tile] *= landscape.parcel_soil
    # Halls with metal or gravel roofs: as bright as cloud, which classifiers fall for.
    halls = (shares[:, tile] > 0.5) & (landscape.parcel_vigour > 0.93)
    shares[halls, bright] = 0.8 * shares[halls, tile]
    shares[halls, tile] *= 0.2
    return shares


def _calendar(cover: str, day: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Cover, days of year -> shares by endmember; what is missing to one is soil.

    Middle and pace of green-up, ripening and harvest follow crop calendars of south-western
    France (Agreste).
    """
    one = np.ones_like(day)
    if cover == "winter_wheat":
        ripe, cut = _step(day, 163, 7), _step(day, 192, 2)
        green = (0.25 + 0.71 * _step(day, 78, 11)) * (1 - ripe)
        return {"green": green, "dry": 0.85 * ripe * (1 - cut) + 0.4 * cut}
    if cover == "rapeseed":
        bloom = _step(day, 92, 3) * (1 - _step(day, 117, 4))
        ripe, cut = _step(day, 160, 7), _step(day, 184, 2)
        cropped = (0.45 + 0.47 * _step(day, 68, 9)) * (1 - ripe)
        return {
            "green": cropped * (1 - 0.7 * bloom),
            "yellow": cropped * 0.7 * bloom,
            "dry": 0.8 * ripe * (1 - cut) + 0.35 * cut,
        }
    if cover == "maize":
        ripe, cut = _step(day, 252, 9), _step(day, 285, 2)
        return {
            "green": 0.03 + 0.92 * _step(day, 170, 8) * (1 - ripe),
            "dry": 0.7 * ripe - 0.4 * cut,
        }
    if cover == "sunflower":
        ripe, cut = _step(day, 222, 8), _step(day, 258, 2)
        return {
            "green": 0.03 + 0.85 * _step(day, 160, 8) * (1 - ripe),
            "dry": 0.6 * ripe - 0.3 * cut,
        }
    if cover == "grassland":
        mown = _step(day, 146, 1.5) * np.exp(-np.maximum(day - 146, 0) / 16)
        thirst = _step(day, 185, 12) * (1 - _step(day, 270, 12))
        green = (0.5 + 0.4 * _step(day, 85, 12)) * (1 - 0.55 * mown) * (1 - 0.35 * thirst)
        return {"green": green, "dry": 0.9 * (0.9 - green).clip(0)}
    if cover == "bare_soil":
        return {"green": 0.05 * one, "dry": 0.08 * one}
    if cover == "broadleaf":
        leaf = _step(day, 104, 6) * (1 - _step(day, 295, 9))
        return {"leaf": 0.96 * leaf, "twig": 1 - 0.96 * leaf}
    if cover == "conifer":
        return {"needle": 0.95 * one, "twig": 0.05 * one}
    if cover == "water":
        return {"water": one}
    if cover == "street":
        return {"street": 0.8 * one, "green": 0.12 * one}
    return {"tile": 0.95 * one}


def _step(day: NDArray[np.float32], middle: float, pace: float) -> NDArray[np.float32]:
    """Logistic rise from 0 to 1 round a day; pace is the time constant in days."""
    rise: NDArray[np.float32] = 1 / (1 + np.exp(-np.clip((day - middle) / pace, -30, 30)))
    return rise


def _parcels(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int32]:
    """Numbers of fields: the land is split into quarters, each ploughed along its own direction."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    quarters = max(2, round(rows * columns / 150**2))
    centres = rng.uniform(0, 1, (quarters, 2)) * (rows, columns)
    distance = np.full(shape, np.inf, dtype=np.float32)
    quarter = np.zeros(shape, dtype=np.int32)
    for number, (row, column) in enumerate(centres):
        # A metric turned by each centre makes borders that do not meet at one angle.
        away = np.hypot(y - row, (x - column) * rng.uniform(0.8, 1.25))
        nearer = away < distance
        distance[nearer] = away[nearer]
        quarter[nearer] = number
    parcel = np.zeros(shape, dtype=np.int32)
    total = 0
    for number in range(quarters):
        inside = quarter == number
        if not inside.any():
            continue
        angle = rng.uniform(0, np.pi)
        along = np.cos(angle) * x[inside] + np.sin(angle) * y[inside]
        across = -np.sin(angle) * x[inside] + np.cos(angle) * y[inside]
        strip = np.searchsorted(_cuts(along, 16, 36, rng), along)
        field = np.zeros_like(strip)
        for each in np.unique(strip):
            row_of_fields = strip == each
            cuts = _cuts(across[row_of_fields], 10, 40, rng)
            field[row_of_fields] = np.searchsorted(cuts, across[row_of_fields])
        labels = np.unique(strip * 10_000 + field, return_inverse=True)[1].ravel()
        parcel[inside] = total + labels
        total += int(labels.max()) + 1
    return parcel


def _scatter(count: int, seed: list[int]) -> NDArray[np.float32]:
    """(parcel,) float32 factors round 1: how parcels of one cover differ in structure."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(0, _STRUCTURE, count)).astype(np.float32)


def _cuts(
    positions: NDArray[np.float32], least: int, most: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Random borders over the span of positions, pixels apart by least to most."""
    span = float(positions.max() - positions.min())
    widths = rng.uniform(least, most, size=int(span / least) + 2)
    borders: NDArray[np.float64] = positions.min() + np.cumsum(widths)
    return borders


def _grow_woods(cover: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Turn about a seventh of the land into woods, broadleaf and conifer in stands."""
    where = fractal(cover.shape, rng, slope=1.7)
    kind = fractal(cover.shape, rng, slope=1.8)
    woods = where > np.quantile(where, 0.86)
    cover[woods] = COVERS.index("broadleaf")
    cover[woods & (kind > np.quantile(kind[woods], 0.55))] = COVERS.index("conifer")


def _build_town(cover: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A town of streets, gardens and roofs, some of them large and bright."""
    rows, columns = cover.shape
    y, x = np.mgrid[0:rows, 0:columns]
    row, column = rng.uniform(0.2, 0.45) * rows, rng.uniform(0.6, 0.8) * columns
    ragged = fractal(cover.shape, rng, slope=1.5)
    distance = np.hypot((y - row) * 1.2, x - column) / min(rows, columns) + 0.02 * ragged
    town = distance < 0.12
    cover[town] = COVERS.index("grassland")
    streets = ((y + x // 3) % 9 == 0) | ((x - y // 3) % 11 == 0)
    cover[town & streets] = COVERS.index("street")
    houses = town & ~streets & (rng.random(cover.shape) < 0.55)
    cover[houses] = COVERS.index("roof")
    core = distance < 0.045
    cover[core & ~streets] = COVERS.index("roof")


def _let_water_in(cover: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """A meandering river with a fringe of trees, and a lake."""
    rows, columns = cover.shape
    y, x = np.mgrid[0:rows, 0:columns]
    scale = min(rows, columns)
    bends = rng.uniform(0.5, 1.0, 3) * (0.06, 0.03, 0.012) * scale
    phases = rng.uniform(0, 2 * np.pi, 3)
    down = np.arange(rows) / rows
    middle = 0.33 * columns + 0.25 * columns * down
    for bend, phase, turns in zip(bends, phases, (1.3, 3.1, 7.3), strict=True):
        middle = middle + bend * np.sin(2 * np.pi * turns * down + phase)
    width = max(1.6, 0.009 * scale)
    away = np.abs(x - middle[:, None])
    cover[away < 2.2 * width] = COVERS.index("broadleaf")
    cover[away < width] = COVERS.index("water")
    ragged = fractal(cover.shape, rng, slope=1.6)
    row, column = 0.78 * rows, rng.uniform(0.72, 0.85) * columns
    lake = np.hypot(y - row, (x - column) * 0.7) / scale + 0.012 * ragged
    cover[lake < 0.075] = COVERS.index("water")


def _renumber(
    parcel: NDArray[np.int32], cover: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Give what woods, town and water took of a field its own number, so that covers are uniform."""
    fields = parcel.astype(np.int64)
    pairs = fields * len(COVERS) + cover
    numbers, renumbered = np.unique(pairs, return_inverse=True)
    return (
        renumbered.reshape(parcel.shape).astype(np.int32),
        (numbers % len(COVERS)).astype(np.uint8),
    )
