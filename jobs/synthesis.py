"""JOB synthesis: the cube of a tile and its masks, block by block, into monthly syntheses."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from catalog.collections import synthesis_collection
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE, band
from cube.composite import DATE_NODATA, Method
from cube.directional import DirectionalParams, remarks
from cube.facts import DateFacts
from cube.periods import Period
from cube.reading import AOT, aot_group
from cube.spec import DateEntry, Spec
from cube.synthesis import composite, method, methods
from jobs.block_dates import BlockDates
from jobs.period_job import period_job
from jobs.product import Layer, Layers, Product
from jobs.runner.publish import percent
from jobs.synthesis_params import SynthesisParams

VERSION = "1"
"""Version of the job: raised when the same inputs would give other numbers."""


def window(period: Period, params: SynthesisParams) -> tuple[date, date]:
    """First and last day of the dates that the method uses."""
    return method(params.method).window(period, params.method_params())


def reads(
    spec: Spec, entries: Sequence[DateEntry], group: str, params: SynthesisParams
) -> list[tuple[str, str]]:
    """What is read of a group for a request."""
    return method_reads(spec, entries, group, method(params.method))


def method_reads(
    spec: Spec, entries: Sequence[DateEntry], group: str, of: Method
) -> list[tuple[str, str]]:
    """Bands of the group that some date has, blue, which chooses among cloudy dates, and aerosol."""
    names = [(group, name) for name in _bands(spec, entries, group)]
    finest = next(iter(spec.groups))
    if names and (group, "blue") not in names and spec.variable(finest, "blue") is not None:
        names.append((finest, "blue"))
    aerosol = aot_group(spec, entries) if of.uses_aot else None
    if names and aerosol is not None:
        names.append((aerosol, AOT))
    return names


def layers(spec: Spec, entries: Sequence[DateEntry], group: str, _params: Any) -> list[Layer]:
    """A layer a band, and weight, date, status and counts."""
    bands = [_band_layer(name, spec.groups[group]) for name in _bands(spec, entries, group)]
    if not bands:
        return []
    suffix = "" if group == next(iter(spec.groups)) else f"_{spec.groups[group]}m"
    return [*bands, *(_quality_layer(name, f"{name}{suffix}") for name in _QUALITY)]


def compose(dates: BlockDates, params: SynthesisParams) -> Layers:
    """(time, y, x) dn and classes of a block -> (y, x) composite and its layers."""
    names = _bands(dates.cube.spec, dates.entries, dates.group)
    bands = {name: dates.read(name) for name in names}
    has_blue = any(v.name == "blue" for v in dates.cube.spec.variables)
    chosen, of = params.method_params(), method(params.method)
    fixed = None
    if getattr(chosen, "is_binary", False):
        classes, fixed = dates.binary_classes()
    else:
        classes = dates.classes()
    made = composite(
        of,
        chosen,
        dates.period,
        bands,
        classes,
        dates.days,
        dates.cloud_weight(),
        bands["blue"] if "blue" in bands else dates.read("blue" if has_blue else names[0]),
        dates.facts,
        aot=dates.aot() if of.uses_aot else None,
        frame=dates.frame,
        fixed=fixed,
        overwrite=True,
    )
    quality = {name: getattr(made, name) for name in _QUALITY}
    return {**made.bands, **quality}


def notes(
    entries: Sequence[DateEntry], facts: Sequence[DateFacts], params: SynthesisParams
) -> list[str]:
    """Dates of a period -> what could not be done as the method wants it, in words."""
    found = params.method_params()
    days = [str(entry.datetime.astype("datetime64[D]")) for entry in entries]
    said = []
    without = [day for day, e in zip(days, entries, strict=True) if AOT not in e.variables]
    if method(params.method).uses_aot and without:
        every = "every date" if len(without) == len(days) else " ".join(without)
        said.append(f"no aerosol, weight not lowered: {every}")
    if isinstance(found, DirectionalParams) and facts:
        said += remarks(facts, days, found)
    return said


def tally(made: Layers) -> list[int]:
    """Pixels by status."""
    return [int(count) for count in np.bincount(made["status"].ravel(), minlength=5)]


def about(counts: Sequence[int], _params: Any) -> dict[str, Any]:
    """Pixels by status -> cloud cover and clear share of the item."""
    return {
        "eo:cloud_cover": percent(counts[1], sum(counts[1:])),
        "clearcube:clear_percentage": percent(sum(counts[2:]), sum(counts)),
    }


def _bands(spec: Spec, entries: Sequence[DateEntry], group: str) -> list[str]:
    """Reflectance bands of a group that some date has."""
    held = {name for entry in entries for name in entry.variables}
    return [
        v.name
        for v in spec.variables
        if v.group == group and v.kind == "reflectance" and v.name in held
    ]


def _band_layer(name: str, resolution: int) -> Layer:
    shown = band(name)
    eo = {
        "name": shown.esa,
        "common_name": name if name in _COMMON else "rededge",
        "center_wavelength": shown.centre,
        "full_width_half_max": shown.width,
    }
    raster = {"scale": REFLECTANCE_SCALE, "offset": 0.0, "spatial_resolution": resolution}
    return Layer(
        name,
        "int16",
        float(REFLECTANCE_NODATA),
        f"{shown.esa} ({name}) reflectance",
        scale=REFLECTANCE_SCALE,
        roles=("data", "reflectance"),
        about={"eo:bands": [eo], "raster:bands": raster},
    )


def _quality_layer(name: str, key: str) -> Layer:
    dtype, nodata, average, about = _QUALITY[name]
    own = dict(about)
    title = str(own.pop("title"))
    roles = ("data", "quality")
    return Layer(name, dtype, nodata, title, key, average=average, roles=roles, about=own)


_COMMON = {"coastal", "blue", "green", "red", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22"}
_QUALITY: dict[str, tuple[str, float | None, bool, dict[str, Any]]] = {
    "weight": (
        "float32",
        None,
        True,
        {"title": "Sum of the weights of what was averaged; 0 where nothing was"},
    ),
    "date": (
        "int16",
        float(DATE_NODATA),
        False,
        {"title": "Weighted mean date, days since 1970-01-01"},
    ),
    "status": (
        "uint8",
        0.0,
        False,
        {
            "title": "What the pixel shows",
            "classification:classes": [
                {"value": 0, "name": "nodata", "description": "never observed"},
                {"value": 1, "name": "cloud_or_shadow", "description": "never seen clear"},
                {"value": 2, "name": "snow", "description": "snow on the ground"},
                {"value": 3, "name": "water", "description": "water"},
                {"value": 4, "name": "land", "description": "clear land"},
            ],
        },
    ),
    "clear_count": ("uint8", None, False, {"title": "Dates on which the ground was seen"}),
    "total_count": ("uint8", None, False, {"title": "Dates with an observation"}),
}
"""Layers beside the bands, in each group: dtype, nodata, whether overviews average, fields."""

PRODUCT = Product(
    collection=lambda params: synthesis_collection(params.method),
    word=lambda params: str(params.method),
    version=lambda params: f"{VERSION}.{method(params.method).version}",
    parameters=lambda params: params.method_params().model_dump(mode="json"),
    window=window,
    reads=reads,
    layers=layers,
    compose=compose,
    tally=tally,
    about=about,
    nearness=lambda params: method(params.method).nearness(params.method_params()),
    facts=lambda params: method(params.method).facts(params.method_params()),
    notes=notes,
    picture=("red", "green", "blue"),
)

JOB = replace(
    period_job(
        "synthesis", "Monthly cloud-free syntheses of a tile", VERSION, SynthesisParams, PRODUCT
    ),
    methods=lambda: [(each.name, each.title, each.params) for each in methods()],
)
