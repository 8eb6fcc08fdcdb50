"""The short way to a job: a function from the dates of a block to rasters of a period.

Such a job is one file, in this package or another's (entry point group ``clearcube.jobs``). From its
declaration come the command and its options, plans, incremental runs, items and lineage.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import SEEN
from cube.errors import BandError
from cube.periods import Period
from cube.spec import DateEntry, Spec
from jobs.block_dates import BlockDates
from jobs.job import Job
from jobs.period_job import period_job
from jobs.period_params import PeriodParams
from jobs.product import Layer, Layers, Product
from jobs.runner.publish import percent

Compute = Callable[[xr.Dataset, Any], Mapping[Any, xr.DataArray]]
"""Dates of a block and parameters -> ``(y, x)`` rasters by name of their layer."""


def pixel_job(
    name: str,
    *,
    title: str,
    version: str,
    reads: Sequence[str],
    layers: Sequence[Layer],
    compute: Compute,
    params: type[PeriodParams] = PeriodParams,
) -> Job:
    """A function of the dates of one period -> the job that makes its rasters month by month.

    Parameters
    ----------
    name : of the command, the collection and in ids; no ``_``.
    title : one line for lists.
    version : raised whenever numbers change; then what was made before is stale.
    reads : bands, by the names of ``cube.bands``; the layers lie on the grid of the coarsest.
    layers : rasters that ``compute`` gives: name, dtype, nodata, title.
    compute : called on workers with a block of the month: bands ``(time, y, x)`` float32 reflectance,
        NaN where there is no data; ``clear`` bool, True where the mask says that the ground is seen;
        ``classes`` uint8 codes of ``cube.classes``; ``time``, ``y`` and ``x`` in UTC and metres.
        A pixel's value must depend on that pixel alone. A date without any data in a block must
        make no difference there.
    params : what a user may set; each field with a description.
    """
    product = Product(
        collection=lambda _params: name,
        word=lambda _params: name,
        version=lambda _params: version,
        parameters=_own_parameters,
        window=_month,
        reads=partial(_reads, tuple(reads)),
        layers=partial(_layers, tuple(reads), tuple(layers)),
        compose=partial(_compose, tuple(reads), tuple(layers), compute),
        tally=partial(_tally, layers[0]),
        about=_about,
        # Floats and their temporaries: three times four bytes a band.
        scratch=12 * len(reads) + 8,
    )
    return period_job(name, title, version, params, product)


def _own_parameters(params: PeriodParams) -> dict[str, Any]:
    shared = set(PeriodParams.model_fields)
    return params.model_dump(mode="json", exclude=shared)


def _month(period: Period, _params: Any) -> tuple[date, date]:
    return period.start, period.last


def _home(names: Sequence[str], spec: Spec) -> str:
    """Group of the coarsest band read."""
    found = {v.name: v.group for v in spec.variables if v.name in names}
    absent = [name for name in names if name not in found]
    if absent:
        raise BandError(f"a cube of {spec.level} holds no {' '.join(absent)}")
    return max(found.values(), key=lambda group: spec.groups[group])


def _reads(
    names: Sequence[str], spec: Spec, _entries: Sequence[DateEntry], group: str, _params: Any
) -> list[tuple[str, str]]:
    if group != _home(names, spec):
        return []
    return [(v.group, v.name) for v in spec.variables if v.name in names]


def _layers(
    names: Sequence[str],
    layers: Sequence[Layer],
    spec: Spec,
    _entries: Sequence[DateEntry],
    group: str,
    _params: Any,
) -> Sequence[Layer]:
    return layers if group == _home(names, spec) else ()


def _compose(
    names: Sequence[str],
    layers: Sequence[Layer],
    compute: Compute,
    dates: BlockDates,
    params: Any,
) -> Layers:
    """Dates of a block -> what ``compute`` makes of them, as stored."""
    made = compute(_dataset(names, dates), params)
    shape = dates.shape[1:]
    found: Layers = {}
    for layer in layers:
        values = np.asarray(made[layer.name].values)
        if values.shape != shape:
            raise BandError(f"layer {layer.name} is {values.shape}, expected {shape} (y, x)")
        found[layer.name] = _stored(values, layer)
    return found


def _stored(values: np.ndarray[Any, Any], layer: Layer) -> np.ndarray[Any, Any]:
    if values.dtype.kind != "f" or np.dtype(layer.dtype).kind == "f":
        return values.astype(layer.dtype, copy=False)
    limits = np.iinfo(layer.dtype)
    held = np.clip(np.rint(values / layer.scale), limits.min, limits.max)
    nodata = 0 if layer.nodata is None else layer.nodata
    return np.where(np.isnan(values), nodata, held).astype(layer.dtype)


def _dataset(names: Sequence[str], dates: BlockDates) -> xr.Dataset:
    spec = dates.cube.spec
    rows, columns = dates.window
    size = spec.groups[dates.group]
    dims = ("time", "y", "x")
    bands = {}
    seen = np.zeros(dates.shape, np.bool_)
    for name in names:
        dn = dates.read(name)
        has_data = dn != REFLECTANCE_NODATA
        seen |= has_data
        scaled = dn.astype(np.float32) * np.float32(REFLECTANCE_SCALE)
        bands[name] = (dims, np.where(has_data, scaled, np.float32(np.nan)))
    classes = np.where(seen, dates.classes(), 0).astype(np.uint8)
    return xr.Dataset(
        {**bands, "classes": (dims, classes), "clear": (dims, np.isin(classes, SEEN))},
        coords={
            "time": [entry.datetime.astype("datetime64[ns]") for entry in dates.entries],
            "y": spec.extent.top - size * (np.arange(rows.start, rows.stop) + 0.5),
            "x": spec.extent.left + size * (np.arange(columns.start, columns.stop) + 0.5),
        },
    )


def _tally(first: Layer, made: Layers) -> list[int]:
    """Pixels of the first layer, and those of them that hold a value."""
    pixels = made[first.name]
    if first.nodata is None:
        return [pixels.size, pixels.size]
    empty = np.isnan(pixels) if np.isnan(first.nodata) else pixels == first.nodata
    return [pixels.size, int(pixels.size - np.count_nonzero(empty))]


def _about(counts: Sequence[int], _params: Any) -> dict[str, Any]:
    return {"clearcube:clear_percentage": percent(counts[1], counts[0])}
