"""``tsmask``: cloud and shadow as what stands out of a pixel's own series, and of no neighbour's.

The method is that of Geoscience Australia's time-series cloud and shadow mask ("TSmask", P. Tan,
2019 to 2021; Digital Earth Australia), written anew from its rules. It departs from the published
program where that one goes astray (DESIGN.md); ``compat=2021`` answers as published. Own is what a
pixel's haze index tells, that of Hagolle et al. 2010 (doi 10.1016/j.rse.2010.03.002).
"""

from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from cube.bands import REFLECTANCE_NODATA
from cube.errors import MaskError
from cube.kernels import neighbours
from cube.kernels.tsmask import BANDS, MOST_DATES, UNIT, Rules, Spectra, detect
from cube.masks import dilate
from cube.temporal import Series, TemporalMethod

BAND_NAMES = ("blue", "green", "red", "nir08", "swir16", "swir22")
"""The six bands, in the order that the kernel takes them."""

PIXEL = 20
"""Metres."""

SETTLED = 6
"""Dates on each side that make a date final: the longest segments, of 3, are compared with 3 clear
observations on each side, and about every second date is cloudy."""

BYTES_A_DATE = 2
"""Classes, and one to spare."""

_PUBLISHED_NODATA = -999
"""Of the published program's input; what is less counts as that too, and zero."""

_PUBLISHED = {"window": "all", "shadow_ceiling": 0.055}
"""What ``compat=2021`` has instead of this method's defaults."""

_GLARE = 0.05
"""Haze index above which clear ground is bright: roofs, sand, marl (as in ``combined``)."""

_TSMASK = "TSmask 2021"


def _brightness(default: float, description: str, source: str = _TSMASK) -> Any:
    extra: JsonDict = {"unit": "reflectance, mean of six bands", "source": source}
    return Field(default, gt=0, le=1, description=description, json_schema_extra=extra)


class TsmaskParams(BaseModel):
    """Parameters of ``tsmask``; thresholds count in steps of 0.0001."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compat: Literal["none", "2021"] = Field(
        "none",
        description="2021 answers as the published program, over the whole series, zero as nodata",
        json_schema_extra={"unit": "", "source": "TSmask 2021, its newest detection and filter"},
    )
    window: int | Literal["all"] = Field(
        12,
        description="Months on both sides of a date that are its series, or all",
        json_schema_extra={"unit": "months", "source": "a whole cycle of seasons on each side"},
    )
    min_observations: int = Field(
        9,
        ge=3,
        description="Dates below which a series is refused",
        json_schema_extra={"unit": "dates", "source": "TSmask: thrice its longest segment"},
    )
    filter: Literal["none", "3x3", "5x5"] = Field(
        "3x3",
        description="Neighbourhood that lone clouds and lone gaps are judged by, date by date",
        json_schema_extra={"unit": "pixels of 20 m", "source": _TSMASK},
    )
    buffer: float = Field(
        0,
        ge=0,
        le=10_000,
        description="Clouds and shadows grow by a disc of this radius",
        json_schema_extra={"unit": "metres", "source": "none; TSmask 2020 grew by one pixel"},
    )
    opaque: float = _brightness(0.45, "Brighter is cloud before any comparison")
    cloud_floor: float = _brightness(0.10, "What is not brighter is no cloud")
    shadow_ceiling: float = _brightness(
        1.0, "What is not darker is no shadow; 0.055 with compat=2021", "own: a pixel's usual tells"
    )
    dark_ground: float = _brightness(0.055, "What is not brighter is no reference, unless water")
    abnormality: float = Field(
        0.42,
        gt=0,
        le=10,
        description="Share by which cloud is brighter than its reference, a reference than shadow",
        json_schema_extra={"unit": "1", "source": _TSMASK},
    )
    usual: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Share of observations below a pixel's usual brightness and haze: clouds and "
        "shadows stand out of these too, and dark_ground and opaque give way to them",
        json_schema_extra={"unit": "1", "source": "own: between the shares of shadow and cloud"},
    )
    haze: float = Field(
        0.015,
        gt=0,
        le=0.5,
        description="Rise of blue - red / 2 above half of the clear dates near that is thin cloud; "
        "twice that above the pixel's usual is cloud before any comparison",
        json_schema_extra={"unit": "reflectance", "source": "MAJA 4, 0.016 at 240 m"},
    )

    @model_validator(mode="before")
    @classmethod
    def _whole_series(cls, given: Any) -> Any:
        """``compat=2021`` has the published limits, and no window but the whole series."""
        if isinstance(given, dict) and given.get("compat") == "2021":
            return _PUBLISHED | given
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.window != "all" and not 1 <= self.window <= 1200:
            raise ValueError(f"window={self.window}; give 1 to 1200 months, or all")
        if self.compat == "2021" and self.window != "all":
            raise ValueError(f"compat=2021 reads the whole series, not window={self.window}")
        if self.compat == "2021" and self.buffer not in (0, PIXEL):
            raise ValueError(f"compat=2021 grows by 0 or {PIXEL} m, not by {self.buffer:g}")
        return self


def rules(params: TsmaskParams) -> Rules:
    """Parameters -> the kernel's thresholds in whole numbers."""
    published = params.compat == "2021"
    whole = BANDS * UNIT
    return Rules(
        nodata=REFLECTANCE_NODATA,
        opaque=round(params.opaque * whole),
        cloud=round(params.cloud_floor * whole),
        shadow=round(params.shadow_ceiling * whole),
        dark=round(params.dark_ground * whole),
        factor=round((1 + params.abnormality) * UNIT),
        usual=round(params.usual * UNIT),
        # The kernel's index is the doubled one.
        haze=round(2 * params.haze * UNIT),
        glare=round(2 * _GLARE * UNIT),
        published=published,
    )


def find(series: Series, params: TsmaskParams) -> NDArray[np.uint8]:
    """(time, y, x) dn of six bands -> (time, y, x) uint8 classes: `label`, then `smooth`."""
    return smooth(label(series, params), params)


def label(series: Series, params: TsmaskParams) -> NDArray[np.uint8]:
    """(time, y, x) dn of six bands -> (time, y, x) uint8 classes, each pixel by its series alone.

    Classes are no_observation, clear, cloud, cloud_shadow and thin_cloud. The series is taken as
    it comes: ``window`` is for whoever cuts it. ``MaskError`` where there are too few dates, or too many.
    """
    dates = series.days.size
    if dates < params.min_observations:
        raise MaskError(
            f"tsmask compares dates with each other and has {dates}, fewer than "
            f"min_observations={params.min_observations}; give a longer series or a wider window"
        )
    if dates > MOST_DATES:
        raise MaskError(f"tsmask takes {MOST_DATES} dates, not {dates}; set a narrower window")
    bands = [np.ascontiguousarray(series.bands[name]) for name in BAND_NAMES]
    classes = np.empty(bands[0].shape, np.uint8)
    if params.compat == "2021":
        bands[0] = _published_blue(bands)
    if classes.size:
        flat = Spectra(*(band.reshape(dates, -1) for band in bands))
        detect(flat, rules(params), classes.reshape(dates, -1))
    return classes


def smooth(classes: NDArray[np.uint8], params: TsmaskParams) -> NDArray[np.uint8]:
    """(time, y, x) uint8 classes -> the same after filter and buffer, each date by itself."""
    return _buffered(_filtered(classes, params), params) if classes.size else classes


def provisional(days: NDArray[np.int32], _params: TsmaskParams) -> NDArray[np.bool_]:
    """(time,) days -> (time,) bool: fewer than `SETTLED` dates lie before or after."""
    place = np.arange(days.size)
    found: NDArray[np.bool_] = np.minimum(place, place[::-1]) < SETTLED
    return found


_REACH = {"none": 0, "3x3": 1, "5x5": 2}


def _published_blue(bands: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Six bands -> blue, nodata where the published program has no observation.

    That is where a band is nodata or zero, or where MNDWI or MSAVI is undefined.
    """
    blue = bands[0].copy()
    for t in range(len(blue)):
        date = np.stack([band[t] for band in bands]).astype(np.int64)
        _, green, red, nir, swir, _ = date
        radicand = (2 * nir + UNIT) ** 2 - 8 * UNIT * (nir - red)
        missing = ((date <= _PUBLISHED_NODATA) | (date == 0)).any(axis=0)
        blue[t][missing | (green + swir == 0) | (radicand <= 0)] = REFLECTANCE_NODATA
    return blue


def _filtered(classes: NDArray[np.uint8], params: TsmaskParams) -> NDArray[np.uint8]:
    reach = _REACH[params.filter]
    if reach == 0:
        return classes
    smoothed = np.empty_like(classes)
    for plane, target in zip(classes, smoothed, strict=True):
        neighbours.smooth(plane, reach, params.compat == "2021", target)
    return smoothed


def _buffered(classes: NDArray[np.uint8], params: TsmaskParams) -> NDArray[np.uint8]:
    """The disc of `cube.masks.dilate`; one pixel wide it is a plain look at the neighbours."""
    if params.buffer < PIXEL:
        return classes
    if params.compat == "2021":
        widen = neighbours.widen_published
    elif params.buffer < 2 * PIXEL:
        widen = partial(neighbours.widen, diagonal=params.buffer**2 >= 2 * PIXEL**2)
    else:
        return dilate(classes, params.buffer, PIXEL)
    wider = np.empty_like(classes)
    for plane, target in zip(classes, wider, strict=True):
        widen(plane, out=target)
    return wider


DETECTOR = TemporalMethod(
    name="tsmask",
    version="2",
    title="Cloud and shadow as what stands out of a pixel's own series",
    params=TsmaskParams,
    bands=BAND_NAMES,
    halo=lambda _params: 0,
    detect=label,
    finish=smooth,
    provisional=provisional,
    bytes_a_date=BYTES_A_DATE,
)
