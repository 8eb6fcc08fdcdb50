from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import GridError
from cube.periods import KINDS, Period, is_kind, label_of, periods
from cube.windows import WindowParams, reach, window


def test_a_month_has_the_15th_as_centre():
    february = Period.parse("2020-02")
    assert february == Period("2020-02", date(2020, 2, 1), date(2020, 3, 1))
    assert february.centre == date(2020, 2, 15)
    assert february.last == date(2020, 2, 29)
    assert str(february) == "2020-02"


@pytest.mark.parametrize(
    ("label", "kind", "first", "last", "centre"),
    [
        ("2019-12", "month", "2019-12-01", "2019-12-31", "2019-12-15"),
        ("2019-05-D1", "dekad", "2019-05-01", "2019-05-10", "2019-05-05"),
        ("2019-05-D2", "dekad", "2019-05-11", "2019-05-20", "2019-05-15"),
        ("2019-05-D3", "dekad", "2019-05-21", "2019-05-31", "2019-05-26"),
        ("2019-02-D3", "dekad", "2019-02-21", "2019-02-28", "2019-02-24"),
        ("2019-Q4", "quarter", "2019-10-01", "2019-12-31", "2019-11-15"),
        ("2019-DJF", "season", "2018-12-01", "2019-02-28", "2019-01-14"),
        ("2020-DJF", "season", "2019-12-01", "2020-02-29", "2020-01-15"),
        ("2019-SON", "season", "2019-09-01", "2019-11-30", "2019-10-16"),
        ("2019", "year", "2019-01-01", "2019-12-31", "2019-07-02"),
        ("2019-05-R3", "rolling", "2019-03-01", "2019-05-31", "2019-04-15"),
        ("2019-01-R12", "rolling", "2018-02-01", "2019-01-31", "2018-08-02"),
    ],
)
def test_labels(label, kind, first, last, centre):
    period = Period.parse(label)
    shown = [str(day) for day in (period.start, period.last, period.centre)]
    assert (period.kind, *shown) == (kind, first, last, centre)


@pytest.mark.parametrize(
    "label",
    [
        *("2019-13", "2019-00", "2019-5", "2019-05-D4", "2019-Q5", "2019-XYZ", "2019-05-R1"),
        *("2019-05-R37", "0000-01", "0001-DJF", "0001-01-R3", "9999-12", "19", "", "\u0662019"),
    ],
)
def test_other_labels_are_refused(label):
    with pytest.raises(GridError, match="YYYY-MM"):
        Period.parse(label)


def test_periods_are_those_that_a_span_touches():
    found = periods("month", date(2018, 8, 1), date(2019, 12, 1))
    assert len(found) == 16
    assert [found[0].label, found[-1].label] == ["2018-08", "2019-11"]
    assert [p.label for p in periods("season", date(2018, 11, 30), date(2019, 3, 2))] == [
        *("2018-SON", "2019-DJF", "2019-MAM")
    ]
    assert [p.label for p in periods("rolling-6", date(2019, 1, 5), date(2019, 2, 2))] == [
        *("2019-01-R6", "2019-02-R6")
    ]
    assert periods("month", date(2019, 5, 3), date(2019, 5, 3)) == ()


@given(st.sampled_from(KINDS), st.dates(date(1, 12, 1), date(9990, 1, 1)), st.integers(1, 800))
def test_periods_of_a_span_follow_each_other_and_cover_it(kind, start, days):
    end = start + timedelta(days=days)
    found = periods(kind, start, end)
    assert all(Period.parse(each.label) == each for each in found)
    assert all(label_of(kind, each.last) == each.label for each in found)
    assert found[0].start <= start
    assert found[-1].start < end <= found[-1].end
    if kind != "rolling":
        assert start < found[0].end
        assert all(a.end == b.start for a, b in pairwise(found))
    else:
        assert all(a.end < b.end <= a.end + timedelta(days=31) for a, b in pairwise(found))


def test_kinds():
    assert all(is_kind(kind) for kind in (*KINDS, "rolling-2", "rolling-36"))
    assert not any(is_kind(kind) for kind in ("week", "rolling-1", "rolling-37", "rolling-", ""))
    with pytest.raises(GridError, match="month dekad quarter season year rolling"):
        label_of("week", date(2019, 5, 1))


class TestWindows:
    def test_the_calendar(self):
        winter = Period.parse("2019-DJF")
        assert window(winter, WindowParams()) == (date(2018, 12, 1), date(2019, 2, 28))
        assert reach(winter, WindowParams()) == 45

    def test_round_the_centre_across_the_end_of_the_year(self):
        december, centred = Period.parse("2019-12"), WindowParams(window="centred")
        assert window(december, centred) == (date(2019, 11, 22), date(2020, 1, 7))
        assert reach(december, centred) == 23

    @pytest.mark.parametrize(("label", "half"), [("2019-05-D1", 8), ("2019-Q1", 68), ("2019", 274)])
    def test_by_default_three_quarters_of_other_periods(self, label, half):
        period = Period.parse(label)
        assert reach(period, WindowParams(window="centred")) == half
        assert reach(period, WindowParams(window="centred", half_window=5)) == 5
