"""Directional correction: what a reflectance would be if the sensor had looked straight down.

The c-factor of Roy et al. 2016 (doi 10.1016/j.rse.2016.01.023): reflectance times the ratio of a model
seen from nadir to the same model seen as it was. The model is the MODIS one, 1 + v K_vol + g K_geo,
with the Ross-Thick and Li-Sparse-Reciprocal kernels of the MODIS BRDF/albedo algorithm theoretical
basis document (Strahler et al. 1999, version 5.0, equations 38 to 44; h/b = 2, b/r = 1) and the global
coefficients of Roy et al.; of the red edge those of Roy et al. 2017 (doi 10.1016/j.rse.2017.06.019).

Only land is corrected: the model is of vegetation and soil, not of water, snow or cloud.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cube.angles import SceneAngles, read_angles
from cube.classes import CLEAR
from cube.composite import Observations
from cube.errors import BandError
from cube.facts import DateFacts
from cube.kernels.directional import bicubic, correct_bilinear

FACTS = ("sun", "view", "angles", "nbar")
"""What the correction must know of a date."""

LOWEST_SUN = 70.0
"""Zenith beyond which kernels are evaluated as if the sun stood there: the reciprocal Li-Sparse
kernel grows without bound toward the horizon, and was fitted to angles below (Strahler et al. 1999)."""

FIXED_SUN = 45.0
"""Zenith of the sun that Flood et al. 2013 (doi 10.3390/rs5010083) normalise to."""

Angle = NDArray[np.float64]

Coefficients = tuple[float, float]
"""Volumetric and geometric coefficient, each over the isotropic one."""

ROY: Mapping[str, Coefficients] = {
    name: (volumetric / isotropic, geometric / isotropic)
    for name, isotropic, geometric, volumetric in (
        ("blue", 0.0774, 0.0079, 0.0372),
        ("green", 0.1306, 0.0178, 0.0580),
        ("red", 0.1690, 0.0227, 0.0574),
        ("rededge1", 0.2085, 0.0256, 0.0845),
        ("rededge2", 0.2316, 0.0273, 0.1003),
        ("rededge3", 0.2599, 0.0294, 0.1197),
        ("nir", 0.3093, 0.0330, 0.1535),
        ("nir08", 0.3093, 0.0330, 0.1535),
        ("swir16", 0.3430, 0.0453, 0.1154),
        ("swir22", 0.2658, 0.0387, 0.0639),
    )
}
"""Roy et al. 2016, table 5 (MODIS global), and for the red edge Roy et al. 2017, table 3."""

WASP: Mapping[str, Coefficients] = {
    "blue": (0.481, 0.102),
    "green": (0.440, 0.136),
    "red": (0.340, 0.134),
    "rededge1": (0.340, 0.134),
    "rededge2": (0.418, 0.121),
    "rededge3": (0.496, 0.107),
    "nir": (0.496, 0.107),
    "nir08": (0.496, 0.107),
    "swir16": (0.336, 0.132),
    "swir22": (0.240, 0.145),
}
"""Coefficients of CNES's public program: of its geometric kernel, and of its volumetric one."""


class DirectionalParams(BaseModel):
    """How the directions of sun and sensor are accounted for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    brdf: Literal["roy", "none", "wasp"] = Field(
        "none",
        description="Correct land to a view from nadir by Roy's c-factor; none: not at all; wasp: as "
        "CNES's public program, whose kernels are swapped",
        json_schema_extra={"unit": "name", "source": "Roy et al. 2016 and 2017"},
    )
    sun: Literal["date", "fixed"] = Field(
        "date",
        description="Keep the height of the sun of each date, or correct that to sun_zenith, too",
        json_schema_extra={"unit": "name", "source": "Roy et al. 2016"},
    )
    sun_zenith: float = Field(
        FIXED_SUN,
        ge=0,
        le=LOWEST_SUN,
        description="Zenith angle of the sun that sun=fixed corrects to",
        json_schema_extra={"unit": "degrees", "source": "Flood et al. 2013"},
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sun == "fixed" and self.brdf != "roy":
            raise ValueError(f"sun=fixed needs brdf=roy, not brdf={self.brdf}")
        return self

    def facts(self) -> tuple[str, ...]:
        """Names of the facts of dates that the correction needs."""
        return () if self.brdf == "none" else FACTS


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the pixels of a block are."""

    left: float
    """x of the outer left edge, metres in the tile's UTM zone."""
    top: float
    """y of the outer upper edge."""
    resolution: float
    """Side of a pixel, metres."""


def corrected(
    observations: Observations,
    params: BaseModel,
    frame: Frame | None,
    fixed: NDArray[np.bool_] | None = None,
    overwrite: bool = False,
) -> Observations:
    """Observations -> with the directions of sun and sensor accounted for, as the parameters want it."""
    if not isinstance(params, DirectionalParams) or params.brdf == "none":
        return observations
    bands = observations.bands
    if not overwrite:
        bands = {name: band.copy() for name, band in bands.items()}
    correct(bands, observations.classes, observations.facts, frame, params, fixed)
    return replace(observations, bands=bands)


def correct(
    bands: Mapping[str, NDArray[np.int16]],
    classes: NDArray[np.uint8],
    facts: Sequence[DateFacts],
    frame: Frame | None,
    params: DirectionalParams,
    fixed: NDArray[np.bool_] | None = None,
) -> None:
    """(time, y, x) int16 dn by band -> the same corrected in place where the ground is clear land.

    Parameters
    ----------
    bands
        dn by name, nodata -10000; bands without coefficients stay as they are.
    classes
        Codes of ``cube.classes``; only ``CLEAR`` is corrected.
    facts
        One a date: its mean angles, and where its grids are. A date of which either direction is
        unknown stays as it is.
    frame
        Where the block is; needed for dates with grids.
    fixed
        ``(time, y, x)``, where nothing is corrected, instead of what ``classes`` say.

    Raises
    ------
    BandError
        A source that is normalised already, or grids without a place.
    StoreError
        Grids that cannot be read.
    """
    if params.brdf == "none":
        return
    require_directional(facts)
    for t, fact in enumerate(facts):
        angles = _angles(fact)
        if angles is None:
            continue
        if frame is None and len(angles.sun[0, 0]) > 2:
            raise BandError("grids of angles need a frame: say where the block is")
        here = frame or Frame(0, 0, 1)
        kept = fixed[t] if fixed is not None else classes[t] != CLEAR
        for name, band in bands.items():
            if params.brdf == "wasp":
                _correct_as_wasp(name, band[t], kept, angles, here)
            else:
                _correct(name, band[t], kept, angles, here, params)


def require_directional(facts: Sequence[DateFacts]) -> None:
    """``BandError`` where the directions of a date are normalised already."""
    if any(fact.nbar for fact in facts):
        raise BandError(
            "the reflectance of a date is normalised to nadir already (NBAR); ask for brdf=none"
        )


def remarks(
    facts: Sequence[DateFacts], days: Sequence[str], params: DirectionalParams
) -> list[str]:
    """Facts and names of dates -> what the correction could not do as it should, in words."""
    if params.brdf == "none":
        return []
    unknown = [day for day, fact in zip(days, facts, strict=True) if _angles(fact) is None]
    low = [
        day
        for day, fact in zip(days, facts, strict=True)
        if (angles := _angles(fact)) is not None and np.nanmax(angles.sun[0, 0]) > LOWEST_SUN
    ]
    said = []
    if unknown:
        said.append(
            f"angles of sun or sensor unknown, direction not corrected: {' '.join(unknown)}"
        )
    if low and params.brdf == "roy":
        said.append(
            f"sun more than {LOWEST_SUN:g} degrees from the zenith, corrected as at that: "
            f"{' '.join(low)}"
        )
    return said


def c_factor(
    sun_zenith: Angle,
    view_zenith: Angle,
    azimuth: Angle,
    coefficients: Coefficients,
    to_sun: float | None = None,
) -> Angle:
    """Angles in degrees (azimuth: sun minus sensor) -> what reflectance is multiplied by.

    ``to_sun`` is the zenith of the sun to correct to; None keeps it. NaN where an angle is NaN.
    """
    sun = np.minimum(sun_zenith, LOWEST_SUN)
    to = sun if to_sun is None else np.full_like(sun, to_sun)
    nadir = np.zeros_like(sun)
    return _model(to, nadir, nadir, coefficients) / _model(sun, view_zenith, azimuth, coefficients)


def ross_thick(sun: Angle, view: Angle, azimuth: Angle) -> Angle:
    """Angles in radians -> volumetric kernel, 0 with sun and sensor in the zenith."""
    phase = np.arccos(_cos_phase(sun, view, azimuth))
    scattered = (np.pi / 2 - phase) * np.cos(phase) + np.sin(phase)
    return np.asarray(scattered / (np.cos(sun) + np.cos(view)) - np.pi / 4)


def li_sparse(sun: Angle, view: Angle, azimuth: Angle, height: float = 2.0) -> Angle:
    """Angles in radians, height of crowns over their radius -> reciprocal geometric kernel."""
    secants = 1 / np.cos(sun) + 1 / np.cos(view)
    tangents = np.tan(sun) * np.tan(view)
    distance = np.tan(sun) ** 2 + np.tan(view) ** 2 - 2 * tangents * np.cos(azimuth)
    # Rounding may leave a hair below 0 where both look the same way.
    apart = np.sqrt(np.maximum(distance, 0) + (tangents * np.sin(azimuth)) ** 2)
    t = np.arccos(np.clip(height * apart / secants, -1, 1))
    overlap = (t - np.sin(t) * np.cos(t)) * secants / np.pi
    lit = (1 + _cos_phase(sun, view, azimuth)) / (2 * np.cos(sun) * np.cos(view))
    return np.asarray(overlap - secants + lit)


def _model(sun: Angle, view: Angle, azimuth: Angle, coefficients: Coefficients) -> Angle:
    at = np.radians(sun), np.radians(view), np.radians(azimuth)
    volumetric, geometric = coefficients
    return 1 + volumetric * ross_thick(*at) + geometric * li_sparse(*at)


def _cos_phase(sun: Angle, view: Angle, azimuth: Angle) -> Angle:
    cosine = np.cos(sun) * np.cos(view) + np.sin(sun) * np.sin(view) * np.cos(azimuth)
    return np.asarray(np.clip(cosine, -1, 1))


# --- Roy ------------------------------------------------------------------------------------------


def _angles(fact: DateFacts) -> SceneAngles | None:
    """Grids of a date, or its mean angles everywhere; None where either direction is unknown."""
    if fact.angles:
        if len(fact.angle_files) != len(fact.angles):
            raise BandError("the grids of angles of a date are gone; ingest its scenes again")
        return _with_means(read_angles(fact.angle_files), fact)
    if len(fact.sun) != 2 or len(fact.view) != 2:
        return None
    views = dict.fromkeys(ROY, _everywhere(fact.view))
    return SceneAngles(0, 0, (1, 1), (1, 1), _everywhere(fact.sun), views)


def _with_means(angles: SceneAngles, fact: DateFacts) -> SceneAngles | None:
    """Grids with the mean sun where they lack the sun altogether."""
    if np.isfinite(angles.sun).any():
        return angles
    if len(fact.sun) != 2:
        return None
    sun = np.broadcast_to(np.reshape(fact.sun, (1, 2, 1, 1)), angles.sun.shape)
    return SceneAngles(angles.left, angles.top, angles.step, angles.size, sun, angles.views)


def _everywhere(direction: tuple[float, ...]) -> NDArray[np.float64]:
    return np.broadcast_to(np.reshape(direction, (1, 2, 1, 1)), (1, 2, 2, 2)).astype(np.float64)


def _correct(
    name: str,
    band: NDArray[np.int16],
    fixed: NDArray[np.bool_],
    angles: SceneAngles,
    frame: Frame,
    params: DirectionalParams,
) -> None:
    """One date of a band.

    Factors are computed at the nodes and interpolated, not the angles: a factor knows no jump from
    359 degrees to 1, and between nodes the two differ by less than 1e-5.
    """
    if name not in ROY or name not in angles.views:
        return
    to_sun = params.sun_zenith if params.sun == "fixed" else None
    sun, view = angles.sun, angles.views[name]
    nodes = _node_factors(sun.tobytes(), view.tobytes(), view.shape, ROY[name], to_sun)
    first = _first_pixel(angles, frame)
    correct_bilinear(band, fixed, nodes, first, frame.resolution, angles.step)


def _first_pixel(angles: SceneAngles, frame: Frame) -> tuple[float, float]:
    """Centre of a block's first pixel from the corner of the grids, metres along x and down y."""
    half = frame.resolution / 2
    return frame.left + half - angles.left, angles.top - frame.top + half


@functools.lru_cache(maxsize=1024)
def _node_factors(
    sun: bytes, view: bytes, shape: tuple[int, ...], band: Coefficients, to_sun: float | None
) -> NDArray[np.float64]:
    """Grids of the sun and of a band's detectors -> ``(detector, row, column)`` factors, NaN."""
    zenith, azimuth = np.frombuffer(sun).reshape(shape[1:])
    views = np.frombuffer(view).reshape(shape)
    seen = views[:, 0]
    return c_factor(np.broadcast_to(zenith, seen.shape), seen, azimuth - views[:, 1], band, to_sun)


# --- CNES's public program ------------------------------------------------------------------------


def _correct_as_wasp(
    name: str, band: NDArray[np.int16], fixed: NDArray[np.bool_], angles: SceneAngles, frame: Frame
) -> None:
    """One date of a band, cut to whole numbers; what would fall below 0 is kept as it is.

    The detectors' grids are laid over each other, the last one that knows a node counts; the grid is
    stretched over the scene as so many equal cells and interpolated by cubic convolution.
    """
    if name not in WASP or name not in angles.views:
        return
    view = angles.views[name][0]
    for grids in angles.views[name][1:]:
        view = np.where(np.isnan(grids), view, grids)
    rows, columns = view.shape[1:]
    cell = angles.size[0] / columns, angles.size[1] / rows
    first = _first_pixel(angles, frame)
    out = np.empty((4, *band.shape))
    for grid, into in zip((*angles.sun[0], *view), out, strict=True):
        bicubic(np.ascontiguousarray(grid), first, frame.resolution, cell, into)
    sun, sun_azimuth, seen, seen_azimuth = np.radians(out)
    nadir = np.zeros_like(sun)
    geometric, volumetric = WASP[name]

    def model(at: Angle, azimuth: Angle) -> Angle:
        first = geometric * li_sparse(sun, at, azimuth, height=1.0)
        return 1 + first + volumetric * _ross_with_hot_spot(sun, at, azimuth)

    factor = model(nadir, nadir) / model(seen, sun_azimuth - seen_azimuth)
    value = np.trunc(band * factor)
    kept = fixed | (band < 0) | ~(value >= 0)
    band[...] = np.where(kept, band, np.minimum(value, 32767)).astype(np.int16)


def _ross_with_hot_spot(sun: Angle, view: Angle, azimuth: Angle) -> Angle:
    """Angles in radians -> volumetric kernel with the hot spot of Maignan et al. 2004, 1.5 degrees."""
    cosine = _cos_phase(sun, view, azimuth)
    phase = np.arccos(cosine)
    scattered = ((np.pi / 2 - phase) * cosine + np.sin(phase)) / (np.cos(sun) + np.cos(view))
    hot = 1 + 1 / (1 + phase / np.radians(1.5))
    return np.asarray(4 / (3 * np.pi) * scattered * hot - 1 / 3)
