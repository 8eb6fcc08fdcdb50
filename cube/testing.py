"""Synthetic scenes and cubes for tests, demonstrations and authors of jobs.

``simulate_scene`` puts a sky over a landscape; ``random_cube`` and the hypothesis strategies make
small arrays without meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from cube.angles import SceneAngles
from cube.anisotropy import directed_reflectance, scene_kernels
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.directional import Frame
from cube.landscape import SURFACE_BANDS, Landscape, build_landscape, ground_reflectance
from cube.opinions import MaskErrors, cloud_probability, scene_classification, true_classes
from cube.sky import Angles, CloudLayer, Sky, build_sky, observe

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "Angles",
    "CloudLayer",
    "MaskErrors",
    "Scene",
    "build_landscape",
    "class_stacks",
    "dn_stacks",
    "random_cube",
    "simulate_scene",
    "swath",
]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One date over a landscape: what is true, what a sensor sees, what Sen2Cor says."""

    ground: dict[str, NDArray[np.float32]]
    """{band: (y, x) true reflectance without clouds, noise or nodata, at native resolution}; what a
    sensor in the zenith would see, with the sun where it stood."""
    seen: dict[str, NDArray[np.float32]]
    """{band: (y, x) reflectance with clouds, shadows and noise}; see ``observed`` for nodata."""
    sky: Sky
    observed: NDArray[np.bool_]
    """(y, x) at 10 m, False outside the swath."""
    classes: NDArray[np.uint8]
    """(y, x) at 10 m, true classes."""
    scl: NDArray[np.uint8]
    """(y, x) at 20 m, Sen2Cor's classification with its errors."""
    probability: NDArray[np.uint8]
    """(y, x) at 20 m, percent of cloud."""


def simulate_scene(
    landscape: Landscape,
    day: float,
    angles: Angles,
    layers: tuple[CloudLayer, ...] = (),
    *,
    seed: int = 0,
    observed: NDArray[np.bool_] | None = None,
    errors: MaskErrors | None = None,
    bands: tuple[str, ...] = SURFACE_BANDS,
    directions: SceneAngles | None = None,
) -> Scene:
    """Landscape, day of year, sky -> a scene; the same arguments give the same pixels.

    ``directions``: grids of angles from the scene's upper-left corner on. The ground is seen from
    there, and ``Scene.ground`` from nadir under the same sun; without them it looks the same from
    everywhere, and under any sun. Clouds and shadows fall by ``angles`` alike.
    """
    if observed is None:
        observed = np.ones(landscape.shape, dtype=np.bool_)
    needed = dict.fromkeys((*bands, "blue", "red", "nir08"))
    ground, turned = _grounds(landscape, day, tuple(needed), directions)
    sky = build_sky(landscape.shape, layers, angles, [seed, 2])
    rng = np.random.default_rng([seed, 3])
    seen = observe({name: turned[name] for name in bands}, sky, rng)
    scl = scene_classification(landscape, sky, observed, ground, errors or MaskErrors(), rng)
    return Scene(
        ground={name: ground[name] for name in bands},
        seen=seen,
        sky=sky,
        observed=observed,
        classes=true_classes(landscape, sky, observed),
        scl=scl,
        probability=cloud_probability(sky, observed),
    )


def _grounds(
    landscape: Landscape, day: float, names: tuple[str, ...], directions: SceneAngles | None
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """The ground from nadir, and as it is seen."""
    if directions is None:
        ground = ground_reflectance(landscape, day, names)
        return ground, ground
    frame = Frame(directions.left, directions.top, 10)
    nadir = scene_kernels(directions, frame, landscape.shape)
    views = {n: scene_kernels(directions, frame, landscape.shape, n) for n in names}
    return (
        directed_reflectance(landscape, day, nadir, names),
        directed_reflectance(landscape, day, views, names),
    )


def swath(shape: tuple[int, int], start: float, side: str = "east") -> NDArray[np.bool_]:
    """(rows, columns) -> (y, x) bool, True inside a swath whose edge crosses the scene.

    The edge runs along a descending orbit, 13 degrees west of south; ``start`` is where it meets
    the upper edge, as a share of the width; ``side`` is where the swath lies.
    """
    row, column = np.ogrid[0 : shape[0], 0 : shape[1]]
    # tan(13 degrees): the ground track at middle latitudes (Sentinel-2 orbit, inclination 98.6°)
    edge = start * shape[1] - 0.23 * row
    return column >= edge if side == "east" else column < edge


def random_cube(
    times: int = 6,
    shape: tuple[int, int] = (8, 8),
    bands: Sequence[str] = ("red", "nir"),
    *,
    seed: int = 0,
    nodata: float = 0.1,
    first: str = "2020-04-01",
    step: int = 5,
) -> xr.Dataset:
    """Dates, (rows, columns) -> Dataset (time, y, x) of int16 dn with ``scl``, uint8.

    Reflectances lie between -0.01 and 0.9; a share of the pixels is nodata, the same in each band
    of a date, where SCL is 0. Coordinates are metres on the lattice of tile 31TCJ.
    """
    rng = np.random.default_rng(seed)
    size = (times, *shape)
    absent = rng.random(size) < nodata
    variables: dict[str, Any] = {}
    attributes = {"scale_factor": REFLECTANCE_SCALE, "add_offset": 0.0}
    for name in bands:
        dn = rng.integers(-100, 9000, size=size, dtype=np.int16)
        dn[absent] = REFLECTANCE_NODATA
        variables[name] = (("time", "y", "x"), dn, {**attributes, "_FillValue": REFLECTANCE_NODATA})
    scl = rng.integers(1, 12, size=size).astype(np.uint8)
    scl[absent] = 0
    variables["scl"] = (("time", "y", "x"), scl)
    start = np.datetime64(first, "ns")
    coordinates = {
        "time": start + np.arange(times) * np.timedelta64(step, "D"),
        "y": 4900020.0 - 10 * (np.arange(shape[0]) + 0.5),
        "x": 300000.0 + 10 * (np.arange(shape[1]) + 0.5),
    }
    return xr.Dataset(variables, coords=coordinates, attrs={"crs": "EPSG:32631"})


def dn_stacks(
    *, least: int = 1, most: int = 6, nodata: int = REFLECTANCE_NODATA
) -> "SearchStrategy[NDArray[np.int16]]":
    """Strategy: (time, y, x) int16 stored reflectances, sides least to most, some nodata."""
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp

    values = st.one_of(st.integers(-500, 12000), st.just(nodata))
    return hnp.arrays(np.int16, _stack_shape(least, most), elements=values)


def class_stacks(
    *, least: int = 1, most: int = 6, codes: Sequence[int] = tuple(range(7))
) -> "SearchStrategy[NDArray[np.uint8]]":
    """Strategy: (time, y, x) uint8 classes, sides least to most."""
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp

    return hnp.arrays(np.uint8, _stack_shape(least, most), elements=st.sampled_from(list(codes)))


def _stack_shape(least: int, most: int) -> "SearchStrategy[tuple[int, ...]]":
    from hypothesis.extra import numpy as hnp

    return hnp.array_shapes(min_dims=3, max_dims=3, min_side=least, max_side=most)
