"""RFC 3339 text, aware times and microseconds since 1970."""

import re
from datetime import UTC, datetime
from functools import lru_cache

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1 << 16)
def instant(text: str) -> datetime:
    """RFC 3339 time (UTC where it names no zone) -> aware datetime in UTC; else ``ValueError``."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    # Deliveries write up to nine decimals; the clock here ends at microseconds.
    decimals = (found[3] or "")[:6].ljust(6, "0")
    zone = (found[4] or "Z").upper().replace("Z", "+00:00")
    value = datetime.fromisoformat(f"{found[1]}T{found[2]}.{decimals}{zone}")
    return value.astimezone(UTC)


def ticks(value: datetime) -> int:
    """Aware time -> microseconds since 1970, exactly."""
    span = value.astimezone(UTC) - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def moment_of(text: object) -> int | None:
    """Text as an item says it -> microseconds since 1970; None where it is no time."""
    try:
        return ticks(instant(text)) if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
