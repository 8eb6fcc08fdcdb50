"""Published syntheses of one period and block, judged by what the clear dates show there."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.backends.base import Document
from cube.bands import REFLECTANCE_NODATA
from cube.classes import CLEAR, NO_OBSERVATION, SEEN, SNOW, WATER
from cube.composite import STATUS_SNOW, day_number
from cube.grid import Block
from cube.periods import Period
from cube.quality import (
    DateDistance,
    Differences,
    Gaps,
    Residual,
    TemporalNoise,
    clear_median,
    darkest,
    date_distance,
    differences,
    gaps,
    has_value,
    ndvi,
    residual,
    temporal_noise,
)
from cube.rasters import read_window
from cube.reading import read_band
from cube.spec import Spec
from cube.texture import (
    DateTexture,
    Noise,
    Pairs,
    Seam,
    Steps,
    date_pairs,
    date_texture,
    edge_pairs,
    homogeneous,
    noise,
    orbits_seen,
    seam,
    steps,
)
from jobs.judged_areas import Areas
from jobs.left_out import GatheredClouds, LeftOut
from jobs.recorded_month import Month
from jobs.seen_dates import SeenDate, SeenDates

Dn = NDArray[np.int16]
Where = NDArray[np.bool_]
Window = tuple[slice, slice]

GROUND = (CLEAR, WATER)
"""Classes of the reference that are compared with: snow comes and goes."""

REFERENCE_DAYS = 91
"""Days to either side of the centre whose clear observations are the reference: three months."""

COMPARED_DAYS = 23
"""Days from the centre within which the date lies that steps and noise are held against."""

NDVI = "ndvi"

HALO = 2
"""Pixels of the coarsest group around a block: squares of 3 x 3 of what is itself told from them."""

CACHE = 64 << 20
"""Bytes of layers that are kept: a period is looked at beside those before and after it, too."""


@dataclass(slots=True)
class BandVerdict:
    """What is found of one band, or of NDVI."""

    fidelity: Differences = field(default_factory=Differences)
    common: Differences = field(default_factory=Differences)
    """The same of the pixels that all syntheses judged together show."""
    truth: Differences = field(default_factory=Differences)
    edges: Steps = field(default_factory=Steps)
    """Across edges of the mask on any of its dates."""
    elsewhere: Steps = field(default_factory=Steps)
    """Across no edge: what averaging alone does to steps."""
    changes: Steps = field(default_factory=Steps)
    """Where neighbours show another date; of methods that show one."""
    noise: Noise = field(default_factory=Noise)
    temporal: TemporalNoise = field(default_factory=TemporalNoise)
    seam: Seam = field(default_factory=Seam)

    def add(self, other: "BandVerdict") -> None:
        """What is found of another block or period -> taken into this."""
        self.fidelity.add(other.fidelity)
        self.common.add(other.common)
        self.truth.add(other.truth)
        self.edges.add(other.edges)
        self.elsewhere.add(other.elsewhere)
        self.changes.add(other.changes)
        self.noise.add(other.noise)
        self.temporal.add(other.temporal)
        self.seam.add(other.seam)


@dataclass(slots=True)
class Verdict:
    """What is found of one synthesis, or of several together."""

    gaps: Gaps = field(default_factory=Gaps)
    residual: Residual = field(default_factory=Residual)
    distance: DateDistance = field(default_factory=DateDistance)
    texture: DateTexture = field(default_factory=DateTexture)
    bands: dict[str, BandVerdict] = field(default_factory=dict)

    def add(self, other: "Verdict") -> None:
        """What is found of another block or period -> taken into this."""
        self.gaps.add(other.gaps)
        self.residual.add(other.residual)
        self.distance.add(other.distance)
        self.texture.add(other.texture)
        for name, verdict in other.bands.items():
            self.bands.setdefault(name, BandVerdict()).add(verdict)


@dataclass(frozen=True, slots=True)
class Judged:
    """One synthesis to judge."""

    name: str
    item: Document
    month: Month
    seen: SeenDates
    """Its mask."""
    before: Document | None
    """The item of the period before, of the same method and mask."""
    after: Document | None
    left_out: LeftOut | None
    """Without the reference's date; None where that cannot be made or is none of its dates."""
    is_without: bool
    """Whether the reference's date is none of its own, so that it is judged as it is."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all syntheses of a period are held against."""

    period: Period
    reference: SeenDates
    areas: Areas
    left_out: SeenDate | None
    """The clear date nearest to the centre, which fidelity is judged by."""
    compared: SeenDate | None
    """The clear date that steps and noise are held against."""
    truth: Mapping[str, Dn]
    """True dn of the whole cube by band; empty where there is none."""

    @property
    def spec(self) -> Spec:
        """Of the cube."""
        return self.reference.cube.spec

    @property
    def dates(self) -> tuple[SeenDate, ...]:
        """Dates within three months of the centre."""
        reach = timedelta(days=REFERENCE_DAYS)
        return self.reference.between(self.period.centre - reach, self.period.centre + reach)


class LayerFiles:
    """Windows of the layers of items; those read last are kept."""

    def __init__(self, size: int = CACHE) -> None:
        self._free = size
        self._kept: OrderedDict[tuple[str, int, int, int, int], NDArray[Any]] = OrderedDict()

    def read(self, item: Document, key: str, window: Window) -> NDArray[Any]:
        """Layer of an item in a window; not to be written to."""
        rows, columns = window
        href = str(item["assets"][key]["href"])
        name = href, rows.start, rows.stop, columns.start, columns.stop
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        found = read_window(href, window)
        found.setflags(write=False)
        self._kept[name] = found
        self._free -= found.nbytes
        while self._free < 0:
            self._free += self._kept.popitem(last=False)[1].nbytes
        return found


def judge_block(
    bench: Bench,
    judged: Sequence[Judged],
    block: Block,
    files: LayerFiles,
    clouds: GatheredClouds,
) -> tuple[dict[str, Verdict], Residual]:
    """Syntheses of a period, all on the same observations, over a block -> a verdict each.

    And what the rule of clouds and shadows says of the clear date itself: changes of the ground that
    it takes for them, which no synthesis can be blamed for.

    What lies around the block is read with it, so that neighbours across its edges are seen once and
    blocks of any size come to the same.
    """
    verdicts = {each.name: Verdict() for each in judged}
    finest: dict[str, str] = {}
    mistaken = Residual()
    for group in bench.spec.groups:
        held = [each for each in judged if _bands(bench.spec, group, each.item)]
        if not held:
            continue
        ground = Ground(bench, group, block)
        if bench.compared is not None and ground.has("blue") and ground.has("nir"):
            blue, nir = (ground.clear_date(bench.compared, name) for name in ("blue", "nir"))
            reach = timedelta(days=COMPARED_DAYS)
            window = bench.period.centre - reach, bench.period.centre + reach
            mistaken.add(_residual(ground, blue, nir, window, ground.own))
        without: dict[str, dict[str, Dn]] = {}
        for each in held:
            view = View(ground, each, files)
            verdict = verdicts[each.name]
            if finest.setdefault(each.name, group) == group:
                _judge_layers(ground, view, verdict)
            _judge_bands(ground, view, verdict)
            found = _left_out(ground, view, clouds)
            if found is not None:
                without[each.name] = found
        _judge_fidelity(ground, without, verdicts)
    return verdicts, mistaken


# --- the ground ------------------------------------------------------------------------------------


class Ground:
    """What the clear dates show of one group, in a block and around it."""

    def __init__(self, bench: Bench, group: str, block: Block) -> None:
        self.bench, self.group, self.block = bench, group, block
        spec = bench.spec
        self.suffix = "" if group == next(iter(spec.groups)) else f"_{spec.groups[group]}m"
        factor, shape = spec.factor(group), spec.shape(group)
        self.window = _widened(block.window(factor), HALO * factor, shape)
        self.core: Window = _inside(block.window(factor), self.window)
        self.numbers = bench.areas.numbers(spec, group, self.window)
        self.area: Where = self.numbers > 0
        self.own = np.zeros_like(self.area)
        self.own[self.core] = self.area[self.core]
        self.dates = bench.dates
        self.classes = bench.reference.classes(self.dates, group, self.window)
        self.clear: Where = np.isin(self.classes, GROUND)
        self._medians: dict[str, Dn] = {}
        self._darkest: dict[tuple[date, date], tuple[Dn, Dn, Where]] = {}
        self._edges: dict[tuple[str, date, date], Pairs] = {}
        self._clear_dates: dict[tuple[int, str], Dn] = {}
        self.orbits = self._orbits()
        self.fields: NDArray[np.integer[Any]] = self._fields()

    def read(self, name: str, dates: Sequence[SeenDate]) -> Dn:
        """Band of some dates, (time, y, x)."""
        slots = [one.entry.slot for one in dates]
        return read_band(self.bench.reference.cube, self.group, name, slots, self.window)

    def has(self, name: str) -> bool:
        """Whether the group holds a band."""
        return self.bench.spec.variable(self.group, name) is not None

    def median(self, name: str) -> Dn:
        """(y, x) median of a band's clear observations within three months."""
        if name not in self._medians:
            self._medians[name] = clear_median(self.read(name, self.dates), self.clear)
        return self._medians[name]

    def darkest(self, window: tuple[date, date]) -> tuple[Dn, Dn, Where]:
        """Least blue of a window, the same of what is clear, and where it holds snow."""
        if window not in self._darkest:
            dates = self.bench.reference.between(*window)
            every = self.bench.reference.classes(dates, self.group, self.window)
            blue = self.read("blue", dates)
            self._darkest[window] = (
                darkest(blue, every != NO_OBSERVATION),
                darkest(blue, np.isin(every, GROUND)),
                (every == SNOW).any(axis=0),
            )
        return self._darkest[window]

    def edges(self, seen: SeenDates, window: tuple[date, date]) -> Pairs:
        """Neighbours of which a mask hides one alone on some date of a window."""
        key = (seen.name, *window)
        if key not in self._edges:
            classes = seen.classes(seen.between(*window), self.group, self.window)
            self._edges[key] = edge_pairs(~np.isin(classes, SEEN))
        return self._edges[key]

    def clear_date(self, one: SeenDate, name: str) -> Dn:
        """(y, x) band of one date where it is clear; nodata elsewhere."""
        key = (one.entry.slot, name)
        if key not in self._clear_dates:
            at = self.dates.index(one)
            seen = self.read(name, [one])[0]
            self._clear_dates[key] = np.where(self.clear[at], seen, np.int16(REFLECTANCE_NODATA))
        return self._clear_dates[key]

    def truth(self, name: str) -> Dn | None:
        """(y, x) true dn; None where there is no truth of the band."""
        found = self.bench.truth.get(name)
        return None if found is None else found[self.window]

    def _orbits(self) -> NDArray[np.uint8] | None:
        orbits = np.array([one.orbit for one in self.dates])
        if len(np.unique(orbits)) < 2:
            return None
        return orbits_seen(self.classes != NO_OBSERVATION, orbits)

    def _fields(self) -> NDArray[np.integer[Any]]:
        if self.bench.areas.source is not None:
            return self.numbers
        for name in ("nir", "nir08"):
            if self.has(name):
                return homogeneous(self.median(name), self.area).astype(np.uint8)
        return np.zeros(self.area.shape, np.uint8)


class View:
    """What one synthesis shows of a group."""

    def __init__(self, ground: Ground, judged: Judged, files: LayerFiles) -> None:
        self.ground, self.judged, self.files = ground, judged, files
        self.names = _bands(ground.bench.spec, ground.group, judged.item)
        self.status = self.layer("status")

    def layer(self, name: str) -> NDArray[Any]:
        """Layer of the group that is no band."""
        key = f"{name}{self.ground.suffix}"
        return self.files.read(self.judged.item, key, self.ground.window)

    def band(self, name: str, item: Document | None = None) -> Dn:
        """Band, or NDVI, of the item or another period's, nodata where it shows no ground."""
        item = item or self.judged.item
        if name == NDVI:
            return ndvi(self.band("red", item), self.band("nir", item))
        window = self.ground.window
        status = self.files.read(item, f"status{self.ground.suffix}", window)
        shown = self.files.read(item, name, window)
        return np.where(status >= STATUS_SNOW, shown, np.int16(REFLECTANCE_NODATA))

    @property
    def indices(self) -> list[str]:
        """Bands of the group, and NDVI where it has those of it."""
        return with_ndvi(self.names)


def with_ndvi(names: Sequence[str]) -> list[str]:
    """Bands -> the same, and NDVI where it can be made of them."""
    return [*names, NDVI] if {"red", "nir"} <= set(names) else list(names)


# --- measures --------------------------------------------------------------------------------------


def _judge_layers(ground: Ground, view: View, verdict: Verdict) -> None:
    """What is judged once: gaps, clouds left, dates."""
    window = view.judged.month.window
    verdict.gaps.add(gaps(view.layer("clear_count"), view.layer("total_count"), ground.own))
    if {"blue", "nir"} <= set(view.names):
        # Snow that the reference sees too is bright by right.
        snow = (view.status == STATUS_SNOW) & ground.darkest(window)[2]
        blue, nir = view.band("blue"), view.band("nir")
        verdict.residual.add(_residual(ground, blue, nir, window, ground.own & ~snow))
    days, weight = view.layer("date"), view.layer("weight")
    centre = day_number(ground.bench.period.centre)
    verdict.distance.add(date_distance(days, weight, centre, ground.own))
    shown = ground.area & (view.status >= STATUS_SNOW)
    verdict.texture.add(date_texture(days, shown, ground.core))


def _residual(
    ground: Ground, blue: Dn, nir: Dn, window: tuple[date, date], area: Where
) -> Residual:
    least, least_clear, _ = ground.darkest(window)
    medians = ground.median("blue"), ground.median("nir")
    return residual(blue, nir, *medians, least, least_clear, area)


def _judge_bands(ground: Ground, view: View, verdict: Verdict) -> None:
    """Steps, noise, noise along time, seams, truth."""
    month = view.judged.month
    edges = ground.edges(view.judged.seen, month.window)
    changes = date_pairs(view.layer("date")) if month.method.one_date else None
    for name in view.indices:
        found, band = view.band(name), verdict.bands.setdefault(name, BandVerdict())
        before, after = view.judged.before, view.judged.after
        if before is not None and after is not None:
            ends = view.band(name, before), view.band(name, after)
            band.temporal.add(temporal_noise(ends[0], found, ends[1], ground.own))
        truth = _truth(ground, name)
        if truth is not None:
            band.truth.add(differences(found, truth, ground.own))
        if name == NDVI:
            continue
        if ground.orbits is not None:
            band.seam.add(seam(found, ground.orbits, ground.area, ground.core))
        if ground.bench.compared is not None:
            clear = ground.clear_date(ground.bench.compared, name)
            band.edges.add(steps(found, clear, edges, ground.area, ground.core))
            band.elsewhere.add(steps(found, clear, edges.others(), ground.area, ground.core))
            if changes is not None:
                band.changes.add(steps(found, clear, changes, ground.area, ground.core))
            band.noise.add(noise(found, clear, ground.fields, ground.core))


def _truth(ground: Ground, name: str) -> Dn | None:
    if name != NDVI:
        return ground.truth(name)
    red, nir = ground.truth("red"), ground.truth("nir")
    return None if red is None or nir is None else ndvi(red, nir)


def _left_out(ground: Ground, view: View, clouds: GatheredClouds) -> dict[str, Dn] | None:
    """Bands and NDVI of the block without the date that is left out; None where none is."""
    judged, core = view.judged, ground.core
    if ground.bench.left_out is None:
        return None
    if judged.is_without:
        shown = {name: view.band(name)[core] for name in view.names}
    elif judged.left_out is not None:
        shown = _without(judged.left_out, ground, view, clouds)
    else:
        return None
    if NDVI in with_ndvi(list(shown)):
        shown[NDVI] = ndvi(shown["red"], shown["nir"])
    return shown


def _judge_fidelity(
    ground: Ground, found: Mapping[str, Mapping[str, Dn]], verdicts: Mapping[str, Verdict]
) -> None:
    """Against the date that is left out: of each synthesis alone, and where all show something."""
    date, core, area = ground.bench.left_out, ground.core, ground.own[ground.core]
    if date is None:
        return
    for name in dict.fromkeys(name for shown in found.values() for name in shown):
        clear = _clear(ground, date, name)[core]
        held = [shown[name] for shown in found.values() if name in shown]
        every = area & np.logical_and.reduce([has_value(dn) for dn in held])
        for synthesis, shown in found.items():
            if name in shown:
                band = verdicts[synthesis].bands.setdefault(name, BandVerdict())
                band.fidelity.add(differences(shown[name], clear, area))
                band.common.add(differences(shown[name], clear, every))


def _clear(ground: Ground, date: SeenDate, name: str) -> Dn:
    if name != NDVI:
        return ground.clear_date(date, name)
    return ndvi(ground.clear_date(date, "red"), ground.clear_date(date, "nir"))


def _without(
    left_out: LeftOut, ground: Ground, view: View, clouds: GatheredClouds
) -> dict[str, Dn]:
    """Bands of the block without the date; nodata where they show no ground then."""
    if not left_out.dates:
        empty = np.full(ground.own[ground.core].shape, REFLECTANCE_NODATA, np.int16)
        return dict.fromkeys(view.names, empty)
    made = left_out.composed(ground.group, ground.block, clouds)
    shown = np.greater_equal(made["status"], STATUS_SNOW)
    return {
        name: np.where(shown, made[name], REFLECTANCE_NODATA).astype(np.int16)
        for name in view.names
        if name in made
    }


# --- windows ---------------------------------------------------------------------------------------


def _bands(spec: Spec, group: str, item: Document) -> list[str]:
    """Bands of a group that an item has."""
    return [
        v.name
        for v in spec.variables
        if v.group == group and v.kind == "reflectance" and v.name in item["assets"]
    ]


def _widened(window: Window, halo: int, shape: tuple[int, int]) -> Window:
    rows, columns = (
        slice(max(0, side.start - halo), min(count, side.stop + halo))
        for side, count in zip(window, shape, strict=True)
    )
    return rows, columns


def _inside(window: Window, wider: Window) -> Window:
    rows, columns = (
        slice(side.start - whole.start, side.stop - whole.start)
        for side, whole in zip(window, wider, strict=True)
    )
    return rows, columns
