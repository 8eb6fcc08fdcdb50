"""How a synthesis's pixel follows from its dates: one pixel's arithmetic, in numbers and words.

What a method says of itself is :attr:`cube.composite.Method.explain`; it works on plain numbers and
calls no kernel, so that its result is a second opinion of what the kernel made. Here is what such
explanations are made of, and :func:`account`, which asks a method for one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cube.bands import REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.classes import CLOUD, CLOUD_SHADOW, NAMES, NO_OBSERVATION, SEEN, STATUSES, THIN_CLOUD
from cube.composite import (
    DATE_NODATA,
    Composite,
    Method,
    Observations,
    day_number,
    day_of,
)
from cube.directional import Frame, corrected
from cube.errors import GridError
from cube.facts import DateFacts
from cube.periods import Period

STATUS_NAMES = {each.code: each.name.replace("_", " ") for each in STATUSES}
"""The status layer in words."""

HIDDEN = {CLOUD: "cloud", CLOUD_SHADOW: "cloud shadow", THIN_CLOUD: "thin cloud"}
"""Classes that hide the ground, as reasons."""

LAYERS = ("weight", "date", "status", "clear_count", "total_count")
"""Results beside the bands, in order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a method makes of one date at one pixel."""

    kept: bool | None
    """Whether a band's value comes from it; None where the method does not say."""
    reason: str
    """Why it is kept or dropped, in words."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """What its weight is the product of, by name."""
    weight: float | None = None
    """What it counts for; None where the method weighs nothing."""
    corrected: Mapping[str, int] = field(default_factory=dict)
    """dn by band as the method was given it, where the directional correction changed any."""


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a synthesis's pixel and how it follows from the dates."""

    value: float
    """As stored: dn of bands, days since 1970-01-01, codes and counts."""
    formula: str
    """What was computed, with its numbers."""
    dates: tuple[int, ...] = ()
    """Indices of the dates that it comes from."""
    dropped: Mapping[int, str] = field(default_factory=dict)
    """Kept dates that do not count here, e.g. for want of data in this band, and why."""


@dataclass(frozen=True, slots=True)
class Account:
    """One pixel of a synthesis: what was made of each date, and every number of the result."""

    verdicts: tuple[Verdict, ...]
    """By date, in the order of the dates given."""
    results: Mapping[str, Result]
    """Bands by name, then ``weight``, ``date``, ``status``, ``clear_count``, ``total_count``, and
    what layers the method has of its own."""
    chosen: int | None = None
    """Index of the one date shown, by methods that show one."""
    tolerance: int = 0
    """Dn by which a band may differ from the kernel's, whose iteration is in another precision."""


def account(
    method: Method,
    params: BaseModel,
    period: Period,
    bands: Mapping[str, Sequence[int]],
    classes: Sequence[int],
    days: Sequence[int],
    cloud_weight: Sequence[float] | None,
    blue: Sequence[int],
    facts: Sequence[DateFacts] = (),
    *,
    aot: Sequence[int] | None = None,
    frame: Frame | None = None,
    fixed: Sequence[bool] | None = None,
    deciding: Mapping[str, Sequence[int]] | None = None,
    guide: int | None = None,
) -> Account:
    """(time,) dn by band, classes, ascending days of one pixel -> how its synthesis follows.

    Arguments are those of :func:`cube.synthesis.composite` at one pixel, and so are the numbers of
    the results; ``frame`` is that of the pixel, ``guide`` the date that the coarser grid shows there
    (-1: none). A method that declares no ``explain`` is asked through its kernel: what would the
    result be without each date. ``GridError`` where the dates are not as many everywhere.
    """
    lengths = {len(days), len(classes), len(blue), *(len(band) for band in bands.values())}
    if len(lengths) > 1 or list(days) != sorted(days):
        raise GridError(f"{method.name}: give as many values as dates, in order of time")
    first, last = method.window(period, params)
    inside = [i for i, day in enumerate(days) if day_number(first) <= day <= day_number(last)]
    # As in composite: what is not said of a date is unknown.
    known = facts or ([DateFacts()] * len(days) if method.facts(params) else [])
    observations = Observations(
        bands={name: _column([band[i] for i in inside], np.int16) for name, band in bands.items()},
        classes=_column([classes[i] for i in inside], np.uint8),
        days=np.array([days[i] for i in inside], np.int32),
        cloud_weight=None
        if cloud_weight is None
        else _column([cloud_weight[i] for i in inside], np.float32),
        blue=_column([blue[i] for i in inside], np.int16),
        facts=tuple(known[i] for i in inside) if known else (),
        deciding={
            name: _column([band[i] for i in inside], np.int16)
            for name, band in (deciding or {}).items()
            if name not in bands
        },
        guide=None
        if guide is None
        else np.array([[inside.index(guide) if guide in inside else -1]], np.int16),
        aot=None
        if aot is None or not method.uses_aot
        else _column([aot[i] for i in inside], np.int16),
    )
    kept = None if fixed is None else _column([fixed[i] for i in inside], np.bool_)
    stored, observations = observations, corrected(observations, params, frame, kept)
    if method.explain is None:
        found = _asked(method, observations, period, params)
    else:
        found = method.explain(observations, period, params)
    outside = Verdict(False, f"outside the window, {first} to {last}")
    verdicts = [outside] * len(days)
    for at, (i, verdict) in enumerate(zip(inside, found.verdicts, strict=True)):
        verdicts[i] = replace(verdict, corrected=_changed(stored, observations, at))
    results = {
        name: replace(
            result,
            dates=tuple(inside[i] for i in result.dates),
            dropped={inside[i]: why for i, why in result.dropped.items()},
        )
        for name, result in found.results.items()
    }
    chosen = None if found.chosen is None else inside[found.chosen]
    return replace(found, verdicts=tuple(verdicts), results=results, chosen=chosen)


def _changed(stored: Observations, given: Observations, date: int) -> dict[str, int]:
    """Bands of a date as they were given to the method, where any differs from what is stored."""
    values = {name: int(band[date, 0, 0]) for name, band in given.bands.items()}
    same = all(stored.bands[name][date, 0, 0] == value for name, value in values.items())
    return {} if same else values


# --- what methods explain themselves with ---------------------------------------------------------


def observed_classes(observations: Observations) -> list[int]:
    """(time, 1, 1) observations -> class of each date, 0 where no band has data."""
    seen = np.zeros(len(observations.days), bool)
    for band in observations.bands.values():
        seen |= band[:, 0, 0] != REFLECTANCE_NODATA
    return [int(c) if s else NO_OBSERVATION for c, s in zip(_flat(observations), seen, strict=True)]


def hidden_reason(observations: Observations, date: int) -> str:
    """Why a date whose ground is not seen is dropped."""
    code = int(_flat(observations)[date])
    if code == NO_OBSERVATION:
        return "no observation"
    if observed_classes(observations)[date] == NO_OBSERVATION:
        return "no data in any band"
    return HIDDEN.get(code) or f"class {code}, which is not known"


def band_results(
    observations: Observations,
    kept: Collection[int],
    value: Callable[[list[int], list[int]], tuple[int, str]],
) -> dict[str, Result]:
    """Kept dates -> each band's result; ``value`` is given the dates with data there and their dn.

    A date without data in a band is left out of that band alone.
    """
    found = {}
    for name, band in observations.bands.items():
        dn = [int(v) for v in band[:, 0, 0]]
        used = [i for i in sorted(kept) if dn[i] != REFLECTANCE_NODATA]
        number, formula = REFLECTANCE_NODATA, "nodata: no kept date has data in this band"
        if not kept:
            formula = "nodata: no date is kept"
        elif used:
            number, formula = value(used, [dn[i] for i in used])
        dropped = {i: "nodata in this band" for i in sorted(kept) if i not in used}
        found[name] = Result(number, formula, tuple(used), dropped)
    return found


def layer_results(
    codes: Sequence[int], weight: Result, date: Result, status: int
) -> dict[str, Result]:
    """Classes of the dates and what the method says of three layers -> all five."""
    seen = tuple(i for i, code in enumerate(codes) if code in SEEN)
    observed = tuple(i for i, code in enumerate(codes) if NO_OBSERVATION < code < len(NAMES))
    return {
        "weight": weight,
        "date": date,
        "status": Result(status, STATUS_NAMES[status]),
        "clear_count": Result(min(len(seen), 255), "dates on which the ground was seen", seen),
        "total_count": Result(min(len(observed), 255), "dates with an observation", observed),
    }


def no_date() -> Result:
    """The date layer where no date is kept."""
    return Result(DATE_NODATA, "nodata: no date is kept")


def reflectance(dn: float) -> str:
    """Dn -> reflectance as text, with the decimals that a stored number has."""
    return "nodata" if dn == REFLECTANCE_NODATA else f"{dn * REFLECTANCE_SCALE:.4f}"


def day_text(day: float) -> str:
    """Days since 1970-01-01 -> ``2019-05-15``."""
    return "nodata" if day == DATE_NODATA else day_of(int(day)).isoformat()


def how_many(count: int) -> str:
    """``1 date``, ``2 dates``."""
    return f"{count} date" if count == 1 else f"{count} dates"


# --- methods that do not explain themselves -------------------------------------------------------


def _asked(
    method: Method, observations: Observations, period: Period, params: BaseModel
) -> Account:
    """One pixel -> what the kernel makes of it, and of it without each of its dates."""
    whole = _composed(method, observations, period, params)
    codes = observed_classes(observations)
    verdicts = []
    for date, code in enumerate(codes):
        if code == NO_OBSERVATION:
            verdicts.append(Verdict(False, hidden_reason(observations, date)))
            continue
        classes = observations.classes.copy()
        classes[date] = NO_OBSERVATION
        without = _composed(method, replace(observations, classes=classes), period, params)
        changed = [name for name in observations.bands if without[name] != whole[name]]
        if changed:
            name = changed[0]
            said = f"without it {name} would be {reflectance(without[name])}"
            verdicts.append(Verdict(True, said))
        else:
            verdicts.append(Verdict(None, "without it every band would be the same"))
    said = f"what {method.name} gives; it does not explain itself"
    return Account(tuple(verdicts), {name: Result(v, said) for name, v in whole.items()})


def _composed(
    method: Method, observations: Observations, period: Period, params: BaseModel
) -> dict[str, float]:
    further = tuple(layer.name for layer in method.further)
    out = Composite.empty(tuple(observations.bands), (1, 1), len(observations.days), further)
    method.composite(observations, period, params, out)
    bands = {name: band.item() for name, band in out.bands.items()}
    own = {name: layer.item() for name, layer in out.further.items()}
    return bands | {name: getattr(out, name).item() for name in LAYERS} | own


def _flat(observations: Observations) -> NDArray[np.uint8]:
    classes: NDArray[np.uint8] = observations.classes[:, 0, 0]
    return classes


def _column(values: Sequence[float], dtype: type[np.generic]) -> NDArray[Any]:
    """(time,) -> (time, 1, 1)."""
    return np.array(values, dtype).reshape(-1, 1, 1)
