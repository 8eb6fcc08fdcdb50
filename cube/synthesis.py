"""Syntheses: many dates of one window -> one composite per period, by a named method.

A worked example: three dates of May 2019 over 4 x 4 pixels, one band.

>>> import numpy as np
>>> from datetime import date
>>> from cube.periods import Period
>>> from cube.synthesis import composite, day_number, method
>>> may = Period.parse("2019-05")
>>> days = np.array([day_number(date(2019, 5, d)) for d in (5, 15, 25)], np.int32)
>>> red = np.empty((3, 4, 4), np.int16)
>>> red[0], red[1], red[2] = 1000, 2000, 3600
>>> blue = np.full((3, 4, 4), 300, np.int16)
>>> classes = np.ones((3, 4, 4), np.uint8)  # all clear
>>> classes[0, 0] = 2                       # a cloud on the first date, top row
>>> classes[:, 1, :2] = 6                   # a pond
>>> classes[:, 2, 0] = [5, 2, 5]            # snow, cloud, snow
>>> classes[:, 3, 3] = 2                    # always cloudy
>>> red[:, 3, 0] = -10000                   # never observed

The median of each pixel's clear and water dates; snow where there is nothing else; no value under
clouds:

>>> median = method("median")
>>> made = composite(median, median.params(), may, {"red": red}, classes, days, None, blue)
>>> made.bands["red"]
array([[  2800,   2800,   2800,   2800],
       [  2000,   2000,   2000,   2000],
       [  2300,   2000,   2000,   2000],
       [-10000,   2000,   2000, -10000]], dtype=int16)
>>> made.status
array([[4, 4, 4, 4],
       [3, 3, 4, 4],
       [2, 4, 4, 4],
       [0, 4, 4, 1]], dtype=uint8)
>>> made.clear_count
array([[2, 2, 2, 2],
       [3, 3, 3, 3],
       [2, 3, 3, 3],
       [0, 3, 3, 0]], dtype=uint8)

The weighted mean of the clear land. Without clouds nearby the weight is that of the date alone: 1
on the 15th, 1 - 10 / 23 * 0.5 = 0.783 ten days off. The pond and the snow show their last date,
what is always cloudy the date of least blue (here the first):

>>> wasp = method("wasp")
>>> far = np.ones(classes.shape, np.float32)
>>> made = composite(wasp, wasp.params(), may, {"red": red}, classes, days, far, blue)
>>> made.bands["red"]
array([[  2702,   2702,   2702,   2702],
       [  3600,   3600,   2183,   2183],
       [  3600,   2183,   2183,   2183],
       [-10000,   2183,   2183,   1000]], dtype=int16)
>>> np.round(made.weight, 3)
array([[1.783, 1.783, 1.783, 1.783],
       [0.   , 0.   , 2.565, 2.565],
       [0.   , 2.565, 2.565, 2.565],
       [0.   , 2.565, 2.565, 0.   ]], dtype=float32)
>>> made.date[0, 0] - day_number(date(2019, 5, 15)), made.date[2, 2] - days[1]
(np.int16(4), np.int32(0))
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cube.composite import Composite, Method, Observations, day_number
from cube.directional import Frame, corrected
from cube.errors import BandError, GridError
from cube.facts import MAY_BE_UNKNOWN, DateFacts
from cube.methods import method, methods
from cube.periods import Period

__all__ = ["Composite", "Method", "Observations", "composite", "day_number", "method", "methods"]


def composite(
    method: Method,
    params: BaseModel,
    period: Period,
    bands: Mapping[str, NDArray[np.int16]],
    classes: NDArray[np.uint8],
    days: NDArray[np.int32],
    cloud_weight: NDArray[np.float32] | None,
    blue: NDArray[np.int16],
    facts: Sequence[DateFacts] | None = None,
    *,
    aot: NDArray[np.int16] | None = None,
    frame: Frame | None = None,
    fixed: NDArray[np.bool_] | None = None,
    overwrite: bool = False,
    deciding: Mapping[str, NDArray[np.int16]] | None = None,
    guide: NDArray[np.int16] | None = None,
) -> Composite:
    """(time, y, x) int16 dn by band, uint8 classes, (time,) int32 days -> (y, x) composite.

    An observation of a pixel is a date whose class is not 0 and on which some band has data; a
    band's nodata is left out of that band alone. Dates outside the method's window are left out.
    Every pixel is computed for itself in a fixed order: how a tile is cut into blocks does not
    change a bit. Values are rounded half to even.

    Parameters
    ----------
    method, params, period
        What to make; ``params`` is an instance of ``method.params``.
    bands
        dn by name on one grid, nodata -10000; other negative values are valid.
    classes
        Codes of ``cube.classes`` on the same grid.
    days
        UTC days since 1970-01-01, ascending.
    cloud_weight
        Weights in [0, 1] of ``cube.nearness``, or None for methods without ``nearness``.
    blue
        dn of the blue band on the same grid: it chooses among cloudy dates, for all grids alike.
    facts
        One a date, for methods that declare facts.
    aot
        Aerosol in thousandths on the same grid, nodata -10000, for methods that use it; None: of no
        date.
    frame
        Where the block is, for dates with grids of angles.
    fixed
        Where directions are not corrected; None: wherever the ground is no clear land.
    overwrite
        Whether bands may be corrected in place, to save their copies.
    deciding
        dn of further bands on the same grid that decide and are not shown, for methods that
        declare ``needs`` or ``together``.
    guide
        ``(y, x)`` int16 ``chosen`` of a coarser grid, repeated: finer pixels show the same date
        where they can. For methods that declare ``together``.

    Raises
    ------
    GridError
        Arrays that do not fit together, or dates out of order.
    BandError
        No band, parameters of another method, or no cloud weight or facts where the method needs
        them.
    """
    deciding = {name: band for name, band in (deciding or {}).items() if name not in bands}
    _check(method, params, bands, classes, days, cloud_weight, blue, aot, deciding, guide)
    of_dates = dates_facts(method, params, facts, len(days))
    first, last = method.window(period, params)
    start, stop = np.searchsorted(days, [day_number(first), day_number(last) + 1])
    window = slice(int(start), int(stop))
    given = {name: np.ascontiguousarray(band[window]) for name, band in bands.items()}
    observations = Observations(
        bands=given,
        classes=np.ascontiguousarray(classes[window]),
        days=np.ascontiguousarray(days[window], np.int32),
        cloud_weight=None if cloud_weight is None else cloud_weight[window],
        blue=np.ascontiguousarray(blue[window]),
        facts=of_dates[window],
        deciding={name: np.ascontiguousarray(band[window]) for name, band in deciding.items()},
        guide=None if guide is None else _inside(guide, window),
        aot=aot[window] if aot is not None and method.uses_aot else None,
    )
    observations = corrected(
        observations, params, frame, None if fixed is None else fixed[window], overwrite
    )
    further = tuple(layer.name for layer in method.further)
    out = Composite.empty(tuple(bands), classes.shape[1:], len(observations.days), further)
    method.composite(observations, period, params, out)
    shares = np.zeros(len(days), np.int64)
    shares[window] = out.shares
    chosen = np.where(out.chosen < 0, out.chosen, out.chosen + np.int16(start))
    return replace(out, shares=shares, chosen=chosen)


def _inside(guide: NDArray[np.int16], window: slice) -> NDArray[np.int16]:
    """Index among all dates -> among those of a window, -1 outside it."""
    within = (guide >= window.start) & (guide < window.stop)
    return np.where(within, guide - np.int16(window.start), np.int16(-1))


def dates_facts(
    method: Method, params: BaseModel, facts: Sequence[DateFacts] | None, dates: int
) -> tuple[DateFacts, ...]:
    """Facts of all dates -> those that the method declares; none where it declares none.

    ``BandError`` where it declares some and they are not as many as dates; without any, those that
    may be unknown are.
    """
    names = method.facts(params)
    if not names:
        return ()
    if facts is None and MAY_BE_UNKNOWN.issuperset(names):
        facts = [DateFacts()] * dates
    if facts is None or len(facts) != dates:
        raise BandError(f"{method.name}: needs {' '.join(names)} of each date; give facts")
    return tuple(each.only(names) for each in facts)


def _check(
    method: Method,
    params: BaseModel,
    bands: Mapping[str, NDArray[np.int16]],
    classes: NDArray[np.uint8],
    days: NDArray[np.int32],
    cloud_weight: NDArray[np.float32] | None,
    blue: NDArray[np.int16],
    aot: NDArray[np.int16] | None,
    deciding: Mapping[str, NDArray[np.int16]],
    guide: NDArray[np.int16] | None,
) -> None:
    """Raise where the arguments of ``composite`` do not fit together."""
    if not bands:
        raise BandError(f"{method.name}: no band given; name at least one")
    if not isinstance(params, method.params):
        wanted = method.params.__name__
        raise BandError(f"{method.name}: parameters are {type(params).__name__}, give a {wanted}")
    if method.nearness(params) is not None and cloud_weight is None:
        raise BandError(f"{method.name}: needs cloud_weight; compute it as its nearness says")
    absent = [name for name in method.needs if name not in bands and name not in deciding]
    if absent:
        raise BandError(f"{method.name}: needs {' '.join(absent)}; give it among bands or deciding")
    arrays: dict[str, tuple[NDArray[np.generic], type[np.generic]]] = {
        "classes": (classes, np.uint8),
        "blue": (blue, np.int16),
        **{f"band {name}": (band, np.int16) for name, band in {**bands, **deciding}.items()},
    }
    if cloud_weight is not None:
        arrays["cloud_weight"] = (cloud_weight, np.float32)
    if aot is not None:
        arrays["aot"] = (aot, np.int16)
    for name, (array, dtype) in arrays.items():
        if array.ndim != 3 or array.shape != classes.shape or array.dtype != dtype:
            found = f"{array.dtype} {array.shape}"
            wanted = f"{np.dtype(dtype)} {classes.shape} (time, y, x)"
            raise GridError(f"{method.name}: {name} is {found}, expected {wanted}")
    if guide is not None and (guide.shape != classes.shape[1:] or guide.dtype != np.int16):
        raise GridError(
            f"{method.name}: guide is {guide.dtype} {guide.shape}, expected int16 (y, x)"
        )
    if days.shape != classes.shape[:1] or np.any(np.diff(days) < 0):
        raise GridError(f"{method.name}: days must be {classes.shape[0]} ascending dates")
