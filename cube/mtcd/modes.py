"""Which mode each date gets, planned as StartMaja plans MAJA's runs, and what is to be done anew."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cube.mtcd.image import Image, Meta
from cube.mtcd.params import MtcdParams
from cube.mtcd.state import State
from cube.mtcd.step import Result, backward, step

SAME = timedelta(hours=6)
"""A result so near to an acquisition is its own (StartMaja)."""

_TWO_SATELLITES = datetime(2017, 7, 1)
_GAP_BEFORE, _GAP_AFTER = 30, 15
"""Days between dates from which on a start is made anew: with one Sentinel-2, with two (StartMaja)."""

_TOO_FEW = "Not enough L1 products available for a BACKWARD mode."


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One date of a tile."""

    name: str
    """Product or item, unique among those that are planned."""
    moment: datetime
    """UTC of its sensing, without time zone."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One date and how it is to be done."""

    name: str
    mode: str
    """``INIT``, ``NOMINAL`` or ``BACKWARD``."""
    reads: tuple[str, ...]
    """Acquisitions whose pixels it needs, oldest first: its own, and later ones in BACKWARD."""
    follows: str | None
    """The acquisition whose state it starts from, or would have if that had left one."""
    info: str = field(compare=False)
    """StartMaja's additional information."""
    reason: str = field(compare=False)
    """Why it got this mode."""
    ahead: tuple[str, ...] = field(default=(), compare=False)
    """What a start backward from here would read; empty where too few dates remain."""


def plan_modes(
    acquisitions: Sequence[Acquisition], done: Sequence[Acquisition], params: MtcdParams
) -> tuple[Planned, ...]:
    """All dates there are, results there are -> the dates to do, oldest first, each with its mode.

    The first date follows a result not older than the gap, or else starts: backward where there are
    ``nbackward`` dates. A later one follows the date before it, and starts anew where that lies as
    far back as the gap or farther. Dates with a result within six hours are left as they are.
    """
    dates = sorted(acquisitions, key=lambda each: (each.moment, each.name))
    names = [each.name for each in dates]
    planned = []
    for index, each in enumerate(dates):
        if any(abs(result.moment - each.moment) <= SAME for result in done):
            continue
        remaining = names[index : index + params.nbackward]
        ahead = tuple(remaining) if len(remaining) == params.nbackward else ()
        if index == 0:
            planned.append(_first(each, done, ahead, params))
        else:
            planned.append(_later(each, dates[index - 1], ahead, params))
    return tuple(planned)


def follow(
    planned: Sequence[Planned],
    state: Callable[[str], State | None],
    read: Callable[[str], tuple[Image, Meta]],
    params: MtcdParams,
) -> Iterator[tuple[Planned, Result]]:
    """Plan, states of dates already done, reader of images -> each date as it was done, in order.

    A NOMINAL date whose predecessor left no state (it was too cloudy to start from) starts anew,
    backward where enough dates remain; the plan that comes back says so.
    """
    states: dict[str, State | None] = {}
    for each in planned:
        before = None
        if each.mode == "NOMINAL" and each.follows is not None:
            before = states[each.follows] if each.follows in states else state(each.follows)
            if before is None:
                each = restarted(each)
        if each.mode == "BACKWARD":
            result = backward((read(name) for name in reversed(each.reads)), params)
        else:
            image, meta = read(each.name)
            result = step(before, image, meta, params)
        # Only the last state is followed.
        states = {each.name: result.state}
        yield each, result


def to_redo(before: Mapping[str, Planned], now: Sequence[Planned]) -> tuple[str, ...]:
    """Dates as they were done, by name; plan of all dates -> those that must be done (again).

    A late date, a changed mode, and whatever follows either, until a date starts anew.
    """
    changed: list[str] = []
    for each in now:
        was = before.get(each.name)
        if was is None or not same(was, each) or each.follows in changed:
            changed.append(each.name)
    return tuple(changed)


def restarted(date: Planned) -> Planned:
    """A NOMINAL date without a state to follow -> how it is done instead."""
    why = "the previous date is too cloudy to follow"
    if date.ahead:
        info = f"Backward of {len(date.ahead)} products"
        return replace(date, mode="BACKWARD", reads=date.ahead, info=info, reason=why)
    reason = f"{_TOO_FEW} Continuing with INIT... ({why})"
    return replace(date, mode="INIT", info="Init mode - No previous L2", reason=reason)


def same(was: Planned, now: Planned) -> bool:
    """Whether a date was done as it is planned now, or as that plan ends without a state."""
    if was == now:
        return True
    could_be = now.mode == "NOMINAL" and was.mode != "NOMINAL"
    return could_be and was == restarted(now)


def _first(
    date: Acquisition, done: Sequence[Acquisition], ahead: tuple[str, ...], params: MtcdParams
) -> Planned:
    gap = _gap(date.moment, params)
    within = [each for each in done if timedelta() <= date.moment - each.moment <= gap]
    if within:
        newest = max(within, key=lambda each: (each.moment, each.name))
        return _nominal(date, newest, ahead, params)
    return _start(date, ahead, f"{_TOO_FEW} Beginning with INIT...", "no previous L2")


def _later(
    date: Acquisition, previous: Acquisition, ahead: tuple[str, ...], params: MtcdParams
) -> Planned:
    gap, limit = date.moment - previous.moment, _gap(date.moment, params)
    if gap < limit:
        return _nominal(date, previous, ahead, params)
    why = _since(gap, limit)
    return _start(date, ahead, f"{_TOO_FEW} Continuing with INIT... ({why})", why)


def _nominal(
    date: Acquisition, previous: Acquisition, ahead: tuple[str, ...], params: MtcdParams
) -> Planned:
    why = _since(date.moment - previous.moment, _gap(date.moment, params))
    return Planned(
        date.name, "NOMINAL", (date.name,), previous.name, "L2 from previous", why, ahead
    )


def _start(date: Acquisition, ahead: tuple[str, ...], too_few: str, why: str) -> Planned:
    if not ahead:
        info = "Init mode - No previous L2"
        return Planned(date.name, "INIT", (date.name,), None, info, too_few)
    info = f"Backward of {len(ahead)} products"
    return Planned(date.name, "BACKWARD", ahead, None, info, why, ahead)


def _since(passed: timedelta, limit: timedelta) -> str:
    days = passed / timedelta(days=1)
    return f"{days:.1f} days after the previous date; a start is made from {limit.days} on"


def _gap(moment: datetime, params: MtcdParams) -> timedelta:
    if params.gap is not None:
        return timedelta(days=params.gap)
    return timedelta(days=_GAP_BEFORE if moment < _TWO_SATELLITES else _GAP_AFTER)
