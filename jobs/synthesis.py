"""JOB synthesis: the cube of a tile and its masks, block by block, into monthly syntheses."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from catalog.collections import synthesis_collection
from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE, band
from cube.classes import STATUSES, described, palette
from cube.composite import DATE_NODATA, FurtherLayer
from cube.directional import DirectionalParams, remarks
from cube.facts import DateFacts
from cube.periods import Period
from cube.reading import AOT, aot_group
from cube.spec import DateEntry, Spec
from cube.synthesis import Composite, Method, composite, method, methods
from jobs.block_dates import BlockDates
from jobs.period_job import period_job
from jobs.product import SHARES, Layer, Layers, Product
from jobs.runner.publish import percent
from jobs.synthesis_params import SynthesisParams

VERSION = "2"
"""Version of the job: raised when the same inputs would give other numbers or other files.

2: the file of ``status`` has a colour table, and items say the share of each date."""


def window(period: Period, params: SynthesisParams) -> tuple[date, date]:
    """First and last day of the dates that the method uses."""
    return method(params.method).window(period, params.method_params())


def reads(
    spec: Spec, entries: Sequence[DateEntry], group: str, params: SynthesisParams
) -> list[tuple[str, str]]:
    """What is read of a group for a request."""
    return method_reads(spec, entries, group, method(params.method), params.method_params())


def method_reads(
    spec: Spec, entries: Sequence[DateEntry], group: str, of: Method, params: BaseModel
) -> list[tuple[str, str]]:
    """Bands of the group that some date has, blue, which chooses among cloudy dates, and aerosol.

    And bands of other groups that decide with them.
    """
    own = _bands(spec, entries, group)
    if not own:
        return []
    names = dict.fromkeys(deciding_bands(spec, entries, group, of, params))
    if spec.variable(next(iter(spec.groups)), "blue") is not None:
        names["blue"] = None
    if of.together and group != _coarsest(spec):
        # What the coarsest group decides by, which guides this one.
        names |= dict.fromkeys(_held(spec, entries))
    homes = {v.name: v.group for v in spec.variables if v.kind == "reflectance"}
    found = [*((group, name) for name in own)]
    found += [(homes[name], name) for name in names if name not in own]
    aerosol = aot_group(spec, entries) if of.uses_aot else None
    if aerosol is not None:
        found.append((aerosol, AOT))
    return found


def layers(
    spec: Spec, entries: Sequence[DateEntry], group: str, params: SynthesisParams
) -> list[Layer]:
    """A layer a band, weight, date, status, counts, and what the method has of its own."""
    bands = [_band_layer(name, spec.groups[group]) for name in _bands(spec, entries, group)]
    if not bands:
        return []
    used = method(params.method)
    suffix = "" if group == next(iter(spec.groups)) else f"_{spec.groups[group]}m"
    titles = {"weight": used.weight_title, "date": used.date_title}
    return [
        *bands,
        *(_quality_layer(name, f"{name}{suffix}", titles.get(name)) for name in _QUALITY),
        *(_further_layer(layer, f"{layer.name}{suffix}") for layer in used.further),
    ]


def compose(dates: BlockDates, params: SynthesisParams) -> Layers:
    """(time, y, x) dn and classes of a block -> (y, x) composite, its layers, and shares of dates."""
    made = dates.shared.composed.pop(dates.group, None)
    if made is None:
        made = _composed(dates, params)
    quality = {name: getattr(made, name) for name in _QUALITY}
    return {**made.bands, **quality, **made.further, SHARES: made.shares}


def _composed(dates: BlockDates, params: SynthesisParams) -> Composite:
    spec = dates.cube.spec
    names = _bands(spec, dates.entries, dates.group)
    bands = {name: dates.read(name) for name in names}
    of, chosen = method(params.method), params.method_params()
    # Before they are corrected in place.
    for name in _shared_bands(dates, of, chosen):
        dates.keep_coarser(name, bands[name])
    guide = _guide(dates, params)
    brought = deciding_bands(spec, dates.entries, dates.group, of, chosen)
    deciding = {name: dates.read(name) for name in brought}
    has_blue = any(v.name == "blue" for v in spec.variables)
    every = {**deciding, **bands}
    fixed = None
    if of.binary_masks(chosen):
        classes, fixed = dates.binary_classes()
    else:
        classes = dates.classes()
    return composite(
        of,
        chosen,
        dates.period,
        bands,
        classes,
        dates.days,
        dates.cloud_weight(),
        every["blue"] if "blue" in every else dates.read("blue" if has_blue else names[0]),
        dates.facts,
        aot=dates.aot() if of.uses_aot else None,
        frame=dates.frame,
        fixed=fixed,
        overwrite=True,
        deciding=deciding,
        guide=guide,
    )


def _guide(dates: BlockDates, params: SynthesisParams) -> NDArray[np.int16] | None:
    """(y, x) date that the coarsest group shows, on this grid; None where it has no part in it."""
    spec = dates.cube.spec
    coarsest = _coarsest(spec)
    if not method(params.method).together or dates.group == coarsest:
        return None
    if not _bands(spec, dates.entries, coarsest):
        return None
    made = _composed(replace(dates, group=coarsest), params)
    # Its turn comes next; should it be taken from before, this is dropped with the block.
    dates.shared.composed[coarsest] = made
    factor = spec.groups[coarsest] // spec.groups[dates.group]
    return made.chosen.repeat(factor, axis=0).repeat(factor, axis=1)


def _shared_bands(dates: BlockDates, of: Method, params: BaseModel) -> list[str]:
    """Bands of the group that the coarsest group needs, too."""
    spec, coarsest = dates.cube.spec, _coarsest(dates.cube.spec)
    if dates.group == coarsest:
        return []
    reads = method_reads(spec, dates.entries, coarsest, of, params)
    own = _bands(spec, dates.entries, dates.group)
    return [name for home, name in reads if home == dates.group and name in own]


def deciding_bands(
    spec: Spec, entries: Sequence[DateEntry], group: str, used: Method, params: BaseModel
) -> list[str]:
    """Bands of other groups that a method brings to a group, to decide by."""
    own, held = _bands(spec, entries, group), _held(spec, entries)
    named = [*used.needs, *used.wants(params)]
    if used.together and group == _coarsest(spec):
        named += [name for name in held if name not in named]
    return [name for name in named if name in held and name not in own]


def _coarsest(spec: Spec) -> str:
    return max(spec.groups, key=lambda group: spec.groups[group])


def _held(spec: Spec, entries: Sequence[DateEntry]) -> list[str]:
    """Reflectance bands of all groups that some date has."""
    return [name for group in spec.groups for name in _bands(spec, entries, group)]


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
    """Pixels by status -> cloud cover, clear share and shown classes of the item, or that none is clear."""
    names = [each.name for each in STATUSES]
    clear = sum(counts[2:])
    found = {
        "eo:cloud_cover": percent(counts[1], sum(counts[1:])),
        "clearcube:clear_percentage": percent(clear, sum(counts)),
        "clearcube:shown": dict(zip(names, counts, strict=True)),
    }
    if not clear:
        found["clearcube:notes"] = ["no clear date: the ground was seen nowhere in the window"]
    return found


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


def _further_layer(layer: FurtherLayer, key: str) -> Layer:
    roles = ("data", "quality")
    return Layer(layer.name, "float32", float("nan"), layer.title, key, roles=roles)


def _quality_layer(name: str, key: str, title: str | None) -> Layer:
    dtype, nodata, average, about = _QUALITY[name]
    own = dict(about)
    title = title or str(own.pop("title"))
    roles = ("data", "quality")
    colours = palette(STATUSES) if name == "status" else None
    return Layer(
        name, dtype, nodata, title, key, average=average, roles=roles, colours=colours, about=own
    )


_COMMON = {"coastal", "blue", "green", "red", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22"}
_QUALITY: dict[str, tuple[str, float | None, bool, dict[str, Any]]] = {
    "weight": ("float32", None, True, {}),
    "date": ("int16", float(DATE_NODATA), False, {}),
    "status": (
        "uint8",
        0.0,
        False,
        {
            "title": "What the pixel shows",
            "classification:classes": described(STATUSES),
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
        "synthesis",
        "Cloud-free syntheses of a tile, by month or other period",
        VERSION,
        SynthesisParams,
        PRODUCT,
    ),
    methods=lambda: [(each.name, each.title, each.params) for each in methods()],
)
