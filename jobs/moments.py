"""Moments of a cron expression in a time zone, and dates written relative to a moment."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from jobs.errors import RequestError

MINUTE = timedelta(minutes=1)

REACH = 9 * 366 * 24 * 60
"""Minutes looked back for the last moment: 29 February may be eight years ago."""

SHIFT = timedelta(hours=3)
"""More than clocks are put forward or back anywhere."""


def time_zone(name: str) -> ZoneInfo:
    """IANA name -> zone; ``RequestError`` where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RequestError(
            f"no time zone is called {name!r}; write one like Europe/Paris or UTC"
        ) from None


class Cron:
    """Moments of minute, hour, day, month and weekday, as cron understands them.

    Weekdays are names or numbers from 0 or 7, Sunday; where day and weekday are both given, either
    will do; ``last`` is the last day of a month. An hour that is named happens once a day: what
    falls into the hour that clocks skip comes as much later, in the hour that they repeat it comes
    the first time. ``*`` as hour goes by the time that passes.
    """

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self.text, self.zone = text, zone
        fields = text.split()
        if len(fields) != 5:
            raise RequestError(
                f"{text!r} has {len(fields)} fields: write minute, hour, day, month and weekday"
            )
        # Named hours are those of a clock on the wall, which is put to this zone afterwards.
        self._is_wall = not fields[1].startswith("*")
        self._trigger = _trigger(text, fields, UTC if self._is_wall else zone)
        if self._fires(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise RequestError(f"{text!r} never comes: no month has such a day")

    def next(self, after: datetime) -> datetime:
        """First moment after a time, in UTC: times of one zone compare by what its clocks show."""
        return self._first(after.astimezone(UTC) + timedelta(microseconds=1))

    def last(self, now: datetime) -> datetime | None:
        """Last moment that is not after a time, in UTC; ``None`` where it is long ago."""
        whole = now.astimezone(UTC).replace(second=0, microsecond=0)

        def has(minutes: int) -> bool:
            return self._first(whole - minutes * MINUTE) <= whole

        if not has(REACH):
            return None
        near, far = -1, REACH
        while far - near > 1:
            middle = (near + far) // 2
            near, far = (near, middle) if has(middle) else (middle, far)
        return whole - far * MINUTE

    def _first(self, start: datetime) -> datetime:
        """First moment from a time on."""
        if not self._is_wall:
            found = self._fires(start.astimezone(self.zone))
        else:
            found = self._first_on_wall(start)
        if found is None:
            raise RequestError(f"{self.text!r} does not come again after {start:%Y-%m-%d}")
        return found.astimezone(UTC)

    def _first_on_wall(self, start: datetime) -> datetime | None:
        wall = start.astimezone(self.zone).replace(tzinfo=UTC) - SHIFT
        best: datetime | None = None
        while (found := self._fires(wall)) is not None:
            # fold=0: what clocks were before a change counts, in the hour skipped and the one repeated
            moment = found.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if moment >= start and (best is None or moment < best):
                best = moment
            # Round a change moments do not come in the order in which walls show them.
            if best is not None and moment > best + SHIFT:
                return best
            wall = found + MINUTE
        return best

    def _fires(self, start: datetime) -> datetime | None:
        found: datetime | None = self._trigger.get_next_fire_time(None, start)
        return found


def resolve(value: Any, moment: datetime) -> Any:
    """Text with relative dates in braces -> the dates; of tables and lists, all that is in them.

    ``{today}``, ``{yesterday}``, ``{days:30}`` (30 days, the last is that of the moment),
    ``{this-month}``, ``{last-month}``, each as of the moment in its own zone.
    """
    if isinstance(value, str):
        return _BRACES.sub(lambda found: _date(found[1], moment), value)
    if isinstance(value, Mapping):
        return {name: _resolve_named(name, inner, moment) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(inner, moment) for inner in value]
    return value


_BRACES = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("minute", "hour", "day", "month", "weekday")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS = r"(\*|\d+(-\d+)?)(/\d+)?"
_WRITTEN = {
    "minute": re.compile(_NUMBERS),
    "hour": re.compile(_NUMBERS),
    "day": re.compile(f"{_NUMBERS}|last"),
    "month": re.compile(f"{_NUMBERS}|[a-z]{{3}}(-[a-z]{{3}})?"),
    "weekday": re.compile(r"\*|([0-7]|[a-z]{3})(-([0-7]|[a-z]{3}))?"),
}
"""What the parts of a field may look like; the library would overlook what it cannot read."""


def _resolve_named(name: str, value: Any, moment: datetime) -> Any:
    try:
        return resolve(value, moment)
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from None


def _date(name: str, moment: datetime) -> str:
    today = moment.date()
    dates: dict[str, Callable[[], str]] = {
        "today": lambda: f"{today}",
        "yesterday": lambda: f"{today - timedelta(days=1)}",
        "this-month": lambda: f"{today:%Y-%m}",
        "last-month": lambda: f"{today.replace(day=1) - timedelta(days=1):%Y-%m}",
    }
    days = re.fullmatch(r"days:([1-9]\d{0,3})", name)
    if days is not None:
        return f"{today - timedelta(days=int(days[1]) - 1)}/{today}"
    if name not in dates:
        known = " ".join(f"{{{each}}}" for each in dates)
        raise RequestError(f"{{{name}}} is no relative date; there are {known} {{days:30}}")
    return dates[name]()


def _trigger(text: str, fields: list[str], zone: Any) -> Any:
    for name, field in zip(_FIELDS, fields, strict=True):
        for part in field.lower().split(","):
            if not _WRITTEN[name].fullmatch(part):
                raise RequestError(f"{text!r}: {name} {part!r} cannot be read{_hint(name)}")
    minute, hour, day, month, weekday = fields
    weekday = ",".join(_weekdays(text, part) for part in weekday.lower().split(","))
    try:
        if day.startswith("*") or weekday == "*":
            return CronTrigger(
                minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone
            )
        return OrTrigger(
            [
                CronTrigger(minute=minute, hour=hour, day=day, month=month, timezone=zone),
                CronTrigger(
                    minute=minute, hour=hour, month=month, day_of_week=weekday, timezone=zone
                ),
            ]
        )
    except ValueError as error:
        raise RequestError(f"{text!r}: {error}") from None


def _hint(name: str) -> str:
    return ": name the days, e.g. mon-fri or sat,sun" if name == "weekday" else ""


def _weekdays(text: str, part: str) -> str:
    """Days by name, whose order is nobody's: cron counts from Sunday, the library from Monday."""
    if part == "*":
        return part
    first, _, last = part.partition("-")
    begin, end = _weekday(text, first), _weekday(text, last or first)
    if end == 0 < begin:
        end = 7
    if end < begin:
        raise RequestError(f"{text!r}: weekday {part!r} ends before it begins")
    return ",".join(_DAYS[number % 7] for number in range(begin, end + 1))


def _weekday(text: str, name: str) -> int:
    if name.isdigit():
        return int(name)
    if name not in _DAYS:
        raise RequestError(f"{text!r}: no weekday is called {name!r}; there are {' '.join(_DAYS)}")
    return _DAYS.index(name)
