"""Which dates mtcd makes masks of, each in which mode, from what: before a pixel is touched.

Modes are planned over all dates that are catalogued, whatever a request asks for: so what a mask is
made from depends on nothing else. A date that follows another has that one's recipe among its
inputs, by fingerprint. A late date thereby makes stale just what comes after it, up to the next start.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from catalog.backends.base import Document
from catalog.fingerprint import fingerprint
from catalog.items import Recipe
from cube.grid import Extent
from cube.mtcd import VERSION
from cube.mtcd.image import LOWEST, Meta, wanted_bands
from cube.mtcd.modes import Acquisition, Planned, plan_modes, same
from cube.mtcd.params import MtcdParams
from cube.store import Cube
from jobs.dates import PENDING, TileDate, pixel_checksum
from jobs.mtcd_meta import date_meta

METHOD = "mtcd"

NEEDED = ("blue", "red", "nir08")
"""Bands without which a date gets no mask: dates are compared in all three."""

BESIDE = ("coastal", "cirrus")
"""Bands of L1C that cubes do not hold: they are read from the scenes themselves."""


@dataclass(frozen=True, slots=True)
class MtcdDate:
    """One date that gets a mask."""

    name: str
    """Id of the mask."""
    one: TileDate
    meta: Meta
    bands: tuple[str, ...]
    """Bands of the cube that are read."""
    beside: tuple[str, ...]
    """Bands that are read from the scenes."""

    @property
    def acquisition(self) -> Acquisition:
        """As the plan of modes knows it."""
        return Acquisition(self.name, self.one.time.astimezone(UTC).replace(tzinfo=None))

    def source(self, cube: Cube | None) -> str:
        """Checksum of all that is read of the date: pixels, angles, scenes beside the cube."""
        entry = self.one.entry
        if cube is None or entry is None:
            return PENDING
        meta = self.meta
        versions = {
            item["id"]: item["properties"].get("clearcube:version", "")
            for item in self.one.acquisition.items
        }
        return fingerprint(
            {
                "pixels": pixel_checksum(cube, entry, self.bands),
                "sun": [meta.sun_zenith, meta.sun_azimuth],
                "view": [meta.view_zenith, meta.view_azimuth],
                "beside": versions if self.beside else {},
            }
        )


def usable_dates(
    named: Mapping[str, TileDate], level: str, extent: Extent
) -> tuple[list[MtcdDate], list[str]]:
    """Dates by the ids of their masks -> those that mtcd can work on, and why not the others.

    All dates play blue with the same band: B01 of L1C where each of them has it, else B02.
    """
    metas = {
        name: date_meta(one.acquisition.items, level, one.time, extent)
        for name, one in named.items()
    }
    faults = {name: _fault(one, metas[name]) for name, one in named.items()}
    kept = {name: one for name, one in named.items() if not faults[name]}
    offered: tuple[str, ...] = BESIDE if level == "l1c" else ()
    if not all("coastal" in _assets(one) for one in kept.values()):
        offered = tuple(name for name in offered if name != "coastal")
    dates = []
    for name, one in kept.items():
        assets = _assets(one)
        beside = [each for each in offered if each in assets]
        held = [each for each in assets if each not in BESIDE]
        wanted = wanted_bands([*held, *beside], level)
        dates.append(
            MtcdDate(
                name,
                one,
                metas[name],
                tuple(each for each in wanted if each not in beside),
                tuple(each for each in wanted if each in beside),
            )
        )
    return dates, [f"{name} is not made: {fault}" for name, fault in faults.items() if fault]


def chains(planned: Iterable[Planned]) -> list[tuple[Planned, ...]]:
    """Plan, oldest first -> the dates that follow each other, from each start to before the next."""
    found: list[list[Planned]] = []
    for each in planned:
        if each.follows is None or not found:
            found.append([])
        found[-1].append(each)
    return [tuple(chain) for chain in found]


def recorded_mode(item: Document) -> Planned | None:
    """Mask item -> how its date was done; None where it does not say."""
    properties = item["properties"]
    if "clearcube:mode" not in properties or "clearcube:reads" not in properties:
        return None
    return Planned(
        name=str(item["id"]),
        mode=str(properties["clearcube:mode"]),
        reads=tuple(properties["clearcube:reads"]),
        follows=properties.get("clearcube:follows"),
        info=str(properties.get("clearcube:mode_info", "")),
        reason=str(properties.get("clearcube:mode_reason", "")),
    )


def mode_fields(planned: Planned, tests: Mapping[str, str]) -> dict[str, Any]:
    """How a date was done -> what its item says of it."""
    return {
        "clearcube:mode": planned.mode,
        "clearcube:mode_info": planned.info,
        "clearcube:mode_reason": planned.reason,
        "clearcube:reads": list(planned.reads),
        **({} if planned.follows is None else {"clearcube:follows": planned.follows}),
        "clearcube:evaluated": dict(tests),
    }


def mode_text(planned: Planned) -> str:
    """One date of a plan -> its mode, what that means for it, and why it has it."""
    return f"{planned.mode} ({planned.info}; {planned.reason})"


@dataclass(slots=True)
class Recipes:
    """What the mask of each date is made from, in the mode in which it is, or was, done."""

    dates: Mapping[str, MtcdDate]
    planned: Mapping[str, Planned]
    """All dates of the tile, as they are planned now."""
    done: dict[str, Planned]
    """Dates as they were done: of items, and of what was done just now."""
    sources: Mapping[str, str]
    """Date -> checksum of what is read of it."""
    dems: Mapping[str, str]
    """DEM -> its version."""
    parameters: Mapping[str, Any]
    job: str
    version: str
    """Of the job."""
    _known: dict[str, Recipe] = field(default_factory=dict)

    def mode(self, name: str) -> Planned:
        """How a date was done, where that still is how it would be; else how it will be."""
        now, was = self.planned[name], self.done.get(name)
        return was if was is not None and same(was, now) else now

    def recipe(self, name: str) -> Recipe:
        """Date -> recipe; what it follows goes in by fingerprint, back to the start."""
        line = [name]
        while (before := self.planned[line[-1]].follows) is not None and before not in self._known:
            line.append(before)
        # From the oldest on: a chain may be longer than calls may be nested.
        for each in reversed(line):
            self._known[each] = self._made_of(each)
        return self._known[name]

    def are_done(self, planned: Iterable[Planned]) -> None:
        """Dates were done just now; recipes from now on say how."""
        self.done.update((each.name, each) for each in planned)
        self._known.clear()

    def _made_of(self, name: str) -> Recipe:
        mode = self.mode(name)
        inputs: dict[str, str] = {}
        for each in mode.reads:
            inputs |= dict.fromkeys(self.dates[each].one.items, self.sources[each])
        inputs |= self.dems
        if mode.follows is not None:
            inputs[mode.follows] = self._known[mode.follows].fingerprint
        return Recipe(
            job=self.job,
            version=f"{self.version}.{VERSION}",
            method=METHOD,
            parameters=self.parameters,
            inputs=inputs,
        )


def plan_dates(dates: Sequence[MtcdDate], params: MtcdParams) -> dict[str, Planned]:
    """Dates -> how each is to be done, by name, oldest first."""
    planned = plan_modes([each.acquisition for each in dates], (), params)
    return {each.name: each for each in planned}


def _fault(one: TileDate, meta: Meta) -> str:
    """Why a date gets no mask; empty where it does."""
    missing = [name for name in NEEDED if name not in _assets(one)]
    if missing:
        return f"{', '.join(one.items)} came without {' '.join(missing)}"
    if max(meta.sun_zenith, meta.view[0]) >= LOWEST:
        zeniths = f"{meta.sun_zenith:.1f} and {meta.view[0]:.1f}"
        return (
            f"sun and sensor stand {zeniths} degrees from the zenith; mtcd needs less than {LOWEST}"
        )
    return ""


def _assets(one: TileDate) -> set[str]:
    """Bands that some scene of a date came with."""
    return {key for item in one.acquisition.items for key in item["assets"]}
