"""What the agencies' processors would say of a synthetic scene: SCL and MAJA's masks, with errors.

Errors have stated rates and plausible places: the thinnest clouds and faintest shadows are missed
first, the brightest roofs and the rims of clouds are taken for cloud first, dark water and woods
for shadow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cube.errors import MaskError
from cube.landscape import COVERS, Landscape, coarsen, fractal
from cube.sky import Sky

NO_OBSERVATION, CLEAR, CLOUD, CLOUD_SHADOW, THIN_CLOUD, SNOW, WATER = range(7)
"""Classes of decoded masks; where several apply: 0, 2, 3, 4, 5, 6, 1."""

THIN_FROM = 0.05
"""Opacity from which a cloud is one: thinner air changes reflectance by less than 0.035."""
THICK_FROM = 0.40
"""Opacity from which a cloud is thick."""
SHADOW_FROM = 0.15
"""Share of sunlight taken from which ground is in shadow."""


@dataclass(frozen=True, slots=True)
class MaskErrors:
    """Rates of error of a classifier, each a share of the pixels of the true class, 0 to 1."""

    missed_cloud: float = 0.01
    missed_thin: float = 0.15
    missed_shadow: float = 0.10
    false_cloud: float = 0.015
    """Share of the clear pixels that are called cloud."""
    false_shadow: float = 0.01
    """Share of the clear and water pixels that are called shadow."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            rate = getattr(self, name)
            if not 0 <= rate <= 1:
                raise MaskError(f"{name} is a share of pixels between 0 and 1, not {rate}")


NO_ERRORS = MaskErrors(0, 0, 0, 0, 0)


def true_classes(
    landscape: Landscape, sky: Sky, observed: NDArray[np.bool_], factor: int = 1
) -> NDArray[np.uint8]:
    """Scene at 10 m -> (y/factor, x/factor) uint8 classes: what really is there.

    A pixel of 20 m has the class of its mean opacity and shadow; nodata where any part is.
    """
    opacity, shadow = coarsen(sky.opacity, factor), coarsen(sky.shadow, factor)
    water = coarsen((landscape.cover == COVERS.index("water")).astype(np.float32), factor) > 0.5
    seen = coarsen(observed.astype(np.float32), factor) > 0.99
    classes = np.full(opacity.shape, CLEAR, dtype=np.uint8)
    classes[water] = WATER
    classes[opacity >= THIN_FROM] = THIN_CLOUD
    classes[(shadow >= SHADOW_FROM)] = CLOUD_SHADOW
    classes[opacity >= THICK_FROM] = CLOUD
    classes[~seen] = NO_OBSERVATION
    return classes


def scene_classification(
    landscape: Landscape,
    sky: Sky,
    observed: NDArray[np.bool_],
    ground: dict[str, NDArray[np.float32]],
    errors: MaskErrors,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Scene at 10 m -> (y/2, x/2) uint8 SCL of Sen2Cor, wrong at the stated rates.

    ``ground`` needs blue and red (10 m) and nir08 (20 m).
    """
    truth = true_classes(landscape, sky, observed, factor=2)
    called = _mistaken(truth, sky, coarsen(ground["blue"], 2), ground["nir08"], errors, rng)
    red, nir = coarsen(ground["red"], 2), ground["nir08"]
    scl = np.zeros(truth.shape, dtype=np.uint8)
    green = (nir - red) > 0.4 * (nir + red)
    land = called == CLEAR
    scl[land] = np.where(green, 4, 5)[land]
    # Sen2Cor calls very dark land a dark area, and doubtful pixels unclassified.
    scl[land & (nir < 0.06)] = 2
    scl[called == WATER] = 6
    scl[called == CLOUD_SHADOW] = 3
    scl[called == THIN_CLOUD] = 10
    opacity = coarsen(sky.opacity, 2)
    scl[called == CLOUD] = np.where(opacity > 0.7, 9, 8)[called == CLOUD]
    return scl


def degraded_classes(
    landscape: Landscape,
    sky: Sky,
    observed: NDArray[np.bool_],
    blue: NDArray[np.float32],
    omission: float,
    commission: float,
    rng: np.random.Generator,
    factor: int = 1,
) -> NDArray[np.uint8]:
    """Scene at 10 m -> (y/factor, x/factor) uint8 true classes, wrong by so much, in patches.

    Parameters
    ----------
    blue
        ``(y, x)`` true reflectance at 10 m: bright ground is what is taken for cloud.
    omission
        Share of the cloud, thin cloud and shadow that is called what lies below it: the faintest
        first, hence thin cloud and the rims of thick.
    commission
        Share of the clear ground and water that is called cloud: blobs on bright ground.
    rng
        From the same state, what is wrong at a lower rate is wrong at a higher one.

    Raises
    ------
    MaskError
        A share that is none.
    """
    for name, rate in (("omission", omission), ("commission", commission)):
        if not 0 <= rate <= 1:
            raise MaskError(f"{name} is a share of pixels between 0 and 1, not {rate}")
    called = true_classes(landscape, sky, observed, factor)
    if not omission and not commission:
        return called
    dimmed = _blurred(coarsen(np.maximum(sky.opacity, sky.shadow), factor))
    water = coarsen((landscape.cover == COVERS.index("water")).astype(np.float32), factor) > 0.5
    missed, blobs = (fractal(called.shape, rng, slope=1.6) for _ in range(2))
    hidden = (called == CLOUD) | (called == CLOUD_SHADOW) | (called == THIN_CLOUD)
    ground = (called == CLEAR) | (called == WATER)
    wrong = _most(missed - dimmed / 0.25, hidden, omission)
    bright = _blurred(coarsen(blue, factor))
    bright = (bright - bright.mean()) / bright.std()
    called[_most(bright + blobs, ground, commission)] = CLOUD
    called[wrong] = np.where(water, WATER, CLEAR)[wrong]
    return called


def cloud_probability(sky: Sky, observed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Sky at 10 m -> (y/2, x/2) uint8 percent, as ``MSK_CLDPRB``."""
    percent = 100 * np.clip(coarsen(sky.opacity, 2) * 1.3, 0, 1)
    percent[coarsen(observed.astype(np.float32), 2) < 0.99] = 0
    rounded: NDArray[np.uint8] = percent.round().astype(np.uint8)
    return rounded


@dataclass(frozen=True, slots=True, eq=False)
class MajaMasks:
    """MUSCATE masks of one resolution, (y, x) uint8."""

    clm: NDArray[np.uint8]
    mg2: NDArray[np.uint8]
    edg: NDArray[np.uint8]
    sat: NDArray[np.uint8]
    iab: NDArray[np.uint8]


def maja_masks(
    landscape: Landscape,
    sky: Sky,
    observed: NDArray[np.bool_],
    factor: int = 1,
    *,
    thin_alone: bool = True,
    malformed: int = 0,
) -> MajaMasks:
    """Scene at 10 m -> masks at 10 m (factor 1) or 20 m (factor 2).

    Bits of CLM keep MAJA's invariants: 2, 3 or 7 set 1; 1, 5 or 6 set 0; nothing outside the
    swath. ``thin_alone``: bit 4 (thinnest clouds) stands alone, as documented; False sets bits 1
    and 0 with it, as MAJA 4 does. ``malformed`` pixels, half 25 and half 74, break the invariants.
    """
    opacity, shadow = coarsen(sky.opacity, factor), coarsen(sky.shadow, factor)
    high = coarsen(sky.high, factor)
    outside = coarsen(sky.outside.astype(np.float32), factor) > 0.5
    edge = coarsen(observed.astype(np.float32), factor) < 0.99
    thick, medium = opacity >= 0.6, opacity >= 0.25
    cirrus = high >= 0.12
    thin = (opacity >= THIN_FROM) & ~medium & ~cirrus
    dark = shadow >= SHADOW_FROM
    clouds = thick | medium | cirrus
    if not thin_alone:
        clouds |= thin
    clm = np.zeros(opacity.shape, dtype=np.uint8)
    for bit, where in (
        (0, clouds | dark),
        (1, clouds),
        (2, thick),
        (3, medium),
        (4, thin),
        (5, dark & ~outside),
        (6, dark & outside),
        (7, cirrus),
    ):
        clm |= where.astype(np.uint8) << bit
    clm[edge] = 0
    water = coarsen((landscape.cover == COVERS.index("water")).astype(np.float32), factor) > 0.5
    mg2 = np.zeros(opacity.shape, dtype=np.uint8)
    for bit, where in ((0, water), (1, clouds), (3, dark)):
        mg2 |= where.astype(np.uint8) << bit
    mg2[edge] = 0
    # Four bands at 10 m, six at 20 m: the brightest cores saturate the first two.
    sat = np.where(opacity > 0.985, 0b11, 0).astype(np.uint8)
    sat[edge] = 0
    iab = np.where(clouds | water, 0b10, 0).astype(np.uint8)
    iab[edge] = 0
    if malformed:
        places = np.flatnonzero(~edge.ravel())[:malformed]
        clm.flat[places[::2]] = 25
        clm.flat[places[1::2]] = 74
    return MajaMasks(clm=clm, mg2=mg2, edg=edge.astype(np.uint8), sat=sat, iab=iab)


def _mistaken(
    truth: NDArray[np.uint8],
    sky: Sky,
    blue: NDArray[np.float32],
    nir: NDArray[np.float32],
    errors: MaskErrors,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """(y, x) uint8 true classes -> (y, x) uint8 classes as called, wrong at the stated rates."""
    opacity, shadow = coarsen(sky.opacity, 2), coarsen(sky.shadow, 2)
    called = truth.copy()
    ground = np.where(nir < 0.04, WATER, CLEAR).astype(np.uint8)
    rows, columns = truth.shape
    # Errors come in patches of some hundred metres, not pixel by pixel.
    patches = fractal((rows, columns), rng, slope=1.0)
    for code, rate, faintness in (
        (CLOUD, errors.missed_cloud, -opacity / 0.3),
        (THIN_CLOUD, errors.missed_thin, -opacity / 0.12),
        (CLOUD_SHADOW, errors.missed_shadow, -shadow / 0.3),
    ):
        wrong = _most(faintness + patches, truth == code, rate)
        called[wrong] = ground[wrong]
    rim = fractal((rows, columns), rng, slope=0.6)
    near = np.clip(_blurred(opacity), 0, 0.2)
    wrong = _most(blue / 0.08 + near / 0.05 + 0.5 * rim, truth == CLEAR, errors.false_cloud)
    called[wrong] = CLOUD
    ground_seen = (truth == CLEAR) | (truth == WATER)
    wrong = _most(-nir / 0.4 + patches, ground_seen & (called == truth), errors.false_shadow)
    called[wrong] = CLOUD_SHADOW
    return called


def _most(score: NDArray[np.float32], among: NDArray[np.bool_], rate: float) -> NDArray[np.bool_]:
    """The share of pixels with the highest score among some, exactly to rounding."""
    chosen = np.zeros(among.shape, dtype=np.bool_)
    places = np.flatnonzero(among)
    count = round(rate * len(places))
    if count:
        order = np.argpartition(score.ravel()[places], -count)[-count:]
        chosen.flat[places[order]] = True
    return chosen


def _blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(y, x) -> running mean over 9 x 9 pixels, edges repeated."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (5, 4)
        summed = np.cumsum(np.pad(values, width, mode="edge"), axis=axis, dtype=np.float64)
        after = np.take(summed, np.arange(9, summed.shape[axis]), axis=axis)
        before = np.take(summed, np.arange(0, summed.shape[axis] - 9), axis=axis)
        values = ((after - before) / 9).astype(np.float32)
    return values
