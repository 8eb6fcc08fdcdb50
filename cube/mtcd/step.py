"""One date after the other: the tests in their order, and the state before and after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cube.errors import MaskError
from cube.mtcd import water
from cube.mtcd.bits import Bytes, cloud_bits, pack
from cube.mtcd.evaluation import Evaluation, evaluations
from cube.mtcd.image import Flags, Image, Meta
from cube.mtcd.many_dates import recognised, risen_haze, thin_edges
from cube.mtcd.one_date import (
    bright_clouds,
    clouds_over_water,
    cloudy_share,
    cold_cores,
    high_clouds,
    snow,
)
from cube.mtcd.params import MtcdParams
from cube.mtcd.reference import update
from cube.mtcd.regions import grow, shrink
from cube.mtcd.shadows import cast_shadows, darkening, outside_shadows
from cube.mtcd.state import State, check


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What mtcd finds on one date."""

    bits: Bytes
    """(h, w) uint8 CLM bits on the coarse grid; 0 where it was not observed."""
    ground: Bytes
    """(h, w) uint8 MG2 bits of water and snow."""
    state: State | None
    """What the next date starts from; None where there is nothing to start from."""
    evaluated: Mapping[str, Evaluation]
    """Each test by name: whether it ran, and why not."""
    mode: str
    """``INIT``, ``NOMINAL`` or ``BACKWARD``."""
    cloudy: float
    """Percent of the observed cells under cloud, the thinnest included."""
    usable: bool
    """Whether the date entered the reference: it is not where it is cloudier than ``max_cloud``."""


def step(state: State | None, image: Image, meta: Meta, params: MtcdParams) -> Result:
    """State, coarse image of a date -> its bits, and the state after it; nothing is changed.

    Without a state this is INIT: one date alone tells high cloud, snow and bright cloud, and starts
    the reference; shadows are not looked for. With one it is NOMINAL. A date cloudier than
    ``max_cloud`` gets its bits and leaves the state as it was. The order is that of MAJA 4; mtcd is
    a method after its description (Hagolle et al. 2010, doi 10.1016/j.rse.2010.03.002, and the
    MAJA documentation), not MAJA: see `cube.mtcd` for what it leaves out. ``MaskError`` where the
    state is of another grid, level or bands.
    """
    if state is not None:
        check(state, image, meta)
    evaluated = evaluations(
        image.sources,
        meta.level,
        altitude=image.altitude is not None,
        view=meta.view_zenith is not None and meta.view_azimuth is not None,
        compared=state is not None,
    )
    tests = _Tests(state, image, meta, params, evaluated)
    found, white = tests.clouds()
    thick = found["cloud_one_date"] | found["cloud_many_dates"] | found["high_cloud"]
    found |= tests.shadows(thick, thick | found["thinnest_clouds"])
    grown = {name: grow(each, params.dilation) & image.observed for name, each in found.items()}
    clouds = np.logical_or.reduce([grown[name] for name in _CLOUDS])
    shadows = grown["shadow"] | grown["shadow_from_outside"]
    cloudy = cloudy_share(clouds, image.observed)
    usable = cloudy <= params.max_cloud
    after = state
    if usable:
        after = update(
            state,
            image,
            meta,
            params,
            clouds=clouds,
            shadows=shadows,
            snow=white,
            outside=found["shadow_from_outside"] & ~found["shadow"],
        )
    wet = np.zeros(image.grid.shape, np.bool_)
    if after is not None:
        wet = water.known(after.water_tested, after.water_possible, params)
    return Result(
        bits=cloud_bits(grown),
        ground=pack("mg2", {"water": wet & image.observed, "snow": white}),
        state=after,
        evaluated=evaluated,
        mode="INIT" if state is None else "NOMINAL",
        cloudy=cloudy,
        usable=usable,
    )


def backward(dates: Iterable[tuple[Image, Meta]], params: MtcdParams) -> Result:
    """Images of several dates, newest first -> what is found on the oldest, and the state after it.

    The newest that is not too cloudy starts a reference, which is brought back to the oldest date;
    so its pixels may be of days to come. ``MaskError`` without dates.
    """
    result: Result | None = None
    for image, meta in dates:
        result = step(None if result is None else result.state, image, meta, params)
    if result is None:
        raise MaskError("a start backward has no dates; give the date and those after it")
    return replace(result, mode="BACKWARD", usable=result.state is not None)


_CLOUDS = ("cloud_one_date", "cloud_many_dates", "high_cloud", "thinnest_clouds")


@dataclass(frozen=True, slots=True)
class _Tests:
    """The tests of one date, those that cannot run finding nothing."""

    state: State | None
    image: Image
    meta: Meta
    params: MtcdParams
    evaluated: Mapping[str, Evaluation]

    def clouds(self) -> tuple[dict[str, Flags], Flags]:
        """Nothing -> (h, w) bool of each cloud bit by name, and (h, w) bool snow."""
        image, params, state = self.image, self.params, self.state
        lake = self._water()
        high = high_clouds(image, params) if self._runs("high_cloud") else self._none()
        white = self._none()
        if self._runs("snow"):
            white = snow(image, self.meta, params, high | lake)
        one = image.saturated & ~white
        if self._runs("cloud_one_date"):
            one = bright_clouds(image, params, white)
        if self._runs("cloud_over_water"):
            one |= clouds_over_water(image, self.meta, params, shrink(lake, 1))
        many, candidates = self._none(), self._none()
        if state is not None:
            day = self.meta.day
            if self._runs("cloud_many_dates"):
                excluded = grow(lake | white, 1)
                many, candidates = risen_haze(image, state, day, params, excluded)
            known = recognised(image, state, day, params, one | many)
            one, many = one & ~known, many & ~known
        core = cold_cores(white, one | many, image.observed, params.dilation)
        one, white = one | core, white & ~core
        thin = self._none()
        if state is not None and self._runs("thinnest_clouds"):
            thin = thin_edges(image, state, self.meta.day, params, one | many, candidates)
        found = {
            "cloud_one_date": one,
            "cloud_many_dates": many,
            "thinnest_clouds": thin,
            "high_cloud": high,
        }
        return found, white

    def shadows(self, thick: Flags, clouds: Flags) -> dict[str, Flags]:
        """(h, w) bool clouds that throw shadows, and all -> (h, w) bool of both shadow bits."""
        inside, outside = self._none(), self._none()
        if self.state is not None:
            ratio = darkening(self.image, self.state, clouds | self._water())
            inside = cast_shadows(ratio, thick, self.image, self.meta, self.params)
            outside = outside_shadows(ratio, inside, self.image, self.state, self.meta, self.params)
        return {"shadow": inside, "shadow_from_outside": outside}

    def _runs(self, test: str) -> bool:
        return self.evaluated[test].done

    def _none(self) -> Flags:
        return np.zeros(self.image.grid.shape, np.bool_)

    def _water(self) -> Flags:
        if self.state is None:
            return self._none()
        return water.known(self.state.water_tested, self.state.water_possible, self.params)
