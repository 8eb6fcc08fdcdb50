"""Moments of cron expressions where clocks change and months end; relative dates."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import RequestError
from jobs.moments import Cron, resolve, time_zone

PARIS = ZoneInfo("Europe/Paris")
EXPRESSIONS = (
    *("30 2 * * *", "*/20 2-3 * * *", "15 * * * *", "0 6 3 * *", "0 6 last * *"),
    *("0 0 1 * mon", "30 1,2,3 * * 0-3", "59 23 31 12 *", "* * * * *"),
)


def after(text: str, start: str, count: int, zone: ZoneInfo = PARIS) -> list[str]:
    cron, at, found = Cron(text, zone), datetime.fromisoformat(start), []
    for _ in range(count):
        at = cron.next(at)
        found.append(at.astimezone(zone).isoformat(timespec="minutes"))
    return found


def test_what_the_skipped_hour_holds_comes_as_much_later() -> None:
    assert after("30 2 * * *", "2026-03-28T12:00Z", 2) == [
        *("2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00")
    ]
    # Midnight itself was skipped; the day is not.
    assert after("30 0 * * *", "2018-11-03T12:00Z", 2, ZoneInfo("America/Sao_Paulo")) == [
        *("2018-11-04T01:30-02:00", "2018-11-05T00:30-02:00")
    ]


def test_what_falls_together_after_the_skipped_hour_comes_once() -> None:
    assert after("30 2,3 * * *", "2026-03-28T12:00Z", 3) == [
        *("2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00", "2026-03-30T03:30+02:00")
    ]


def test_the_repeated_hour_comes_once() -> None:
    assert after("30 2 * * *", "2026-10-24T12:00Z", 2) == [
        *("2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00")
    ]
    # Asked between the first and the second half past two.
    assert after("30 2 * * *", "2026-10-25T00:45Z", 1) == ["2026-10-26T02:30+01:00"]
    last = Cron("30 2 * * *", PARIS).last(datetime(2026, 10, 25, 1, 45, tzinfo=UTC))
    assert last == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_every_hour_is_every_hour_that_passes() -> None:
    assert after("30 * * * *", "2026-10-24T23:45Z", 3) == [
        *("2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00")
    ]
    assert after("30 * * * *", "2026-03-29T00:00Z", 2) == [
        *("2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00")
    ]


def test_months_end() -> None:
    assert after("0 6 31 * *", "2026-01-31T12:00Z", 2, ZoneInfo("UTC")) == [
        *("2026-03-31T06:00+00:00", "2026-05-31T06:00+00:00")
    ]
    assert after("0 6 last * *", "2028-01-31T12:00Z", 2, ZoneInfo("UTC")) == [
        *("2028-02-29T06:00+00:00", "2028-03-31T06:00+00:00")
    ]
    now = datetime(2027, 6, 1, tzinfo=UTC)
    assert Cron("0 0 29 2 *", ZoneInfo("UTC")).last(now) == datetime(2024, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        *(("0", "6"), ("7", "6"), ("1-5", "01234"), ("sun-tue", "016"), ("5-7", "456")),
        *(("mon-sun", "0123456"), ("sat,sun", "56"), ("MON,3", "02")),
    ],
)
def test_weekdays_count_from_sunday(weekday: str, days: str) -> None:
    found = after(f"0 3 * * {weekday}", "2026-06-01T00:00Z", 7, ZoneInfo("UTC"))
    assert {str(datetime.fromisoformat(each).weekday()) for each in found} == set(days)


def test_either_of_day_and_weekday_will_do() -> None:
    assert after("0 3 3 * mon", "2026-06-01T12:00Z", 3, ZoneInfo("UTC")) == [
        *("2026-06-03T03:00+00:00", "2026-06-08T03:00+00:00", "2026-06-15T03:00+00:00")
    ]


@given(
    text=st.sampled_from(EXPRESSIONS),
    zone=st.sampled_from(["Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"]),
    minutes=st.one_of(
        st.integers(0, 60 * 24 * 800),
        # Round the two changes of 2026 in Paris.
        st.integers(125_000, 128_000),
        st.integers(427_000, 430_000),
    ),
)
def test_the_last_and_the_next_moment_lie_on_both_sides(text: str, zone: str, minutes: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    cron = Cron(text, time_zone(zone))
    last, following = cron.last(now), cron.next(now)
    assert last is not None
    assert last <= now < following
    assert cron.next(last) == following
    assert cron.last(following) == following


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 6 3 *", "has 4 fields"),
        ("61 6 3 * *", "higher than the maximum"),
        ("0 6 30 2 *", "never comes"),
        ("0 6 * * */2", "weekday '*/2' cannot be read: name the days"),
        ("0 6 * * fri-mon", "ends before it begins"),
        ("0 6 * * foo", "no weekday is called 'foo'"),
        ("0 6 * jan-marx *", "month 'jan-marx' cannot be read"),
        ("0 6 * foo *", "Invalid month name"),
        ("0 6x * * *", "hour '6x' cannot be read"),
        ("0 6,, * * *", "hour '' cannot be read"),
        ("@daily", "has 1 fields"),
        ("", "has 0 fields"),
    ],
)
def test_what_is_no_cron_expression_is_refused(text: str, why: str) -> None:
    with pytest.raises(RequestError, match=r"^'") as refused:
        Cron(text, PARIS)
    assert why in str(refused.value)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "Europe", "../etc/passwd", "", "/etc/passwd"])
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="no time zone is called"):
        time_zone(name)


def test_relative_dates_are_those_of_the_moment_in_its_zone() -> None:
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=PARIS)  # still December in UTC
    asked = {
        "a": "{last-month}",
        "b": "{last-month}/{this-month}",
        "c": ["{yesterday}", {"d": "{days:30}", "e": 7}],
        "f": "{today}",
        "g": "{days:1}",
        "h": "2019-05",
    }
    assert resolve(asked, moment) == {
        "a": "2025-12",
        "b": "2025-12/2026-01",
        "c": ["2025-12-31", {"d": "2025-12-03/2026-01-01", "e": 7}],
        "f": "2026-01-01",
        "g": "2026-01-01/2026-01-01",
        "h": "2019-05",
    }
    assert resolve("{last-month}", datetime(2028, 3, 31, tzinfo=UTC)) == "2028-02"


@pytest.mark.parametrize("text", ["{next-month}", "{days:0}", "{days:x}", "{}", "{days}"])
def test_unknown_relative_dates_are_refused(text: str) -> None:
    with pytest.raises(
        RequestError, match=r"is no relative date; there are \{today\} \{yesterday\}"
    ):
        resolve(text, datetime(2026, 1, 1, tzinfo=UTC))
