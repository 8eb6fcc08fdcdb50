from datetime import date
from itertools import pairwise

import pytest

from cube.errors import GridError
from cube.periods import Period, months


def test_a_label_is_a_month_with_its_15th_as_centre():
    february = Period.parse("2020-02")
    assert february == Period("2020-02", date(2020, 2, 1), date(2020, 3, 1))
    assert february.centre == date(2020, 2, 15)
    assert february.last == date(2020, 2, 29)
    assert str(february) == "2020-02"


def test_december_ends_on_new_year():
    assert Period.parse("2019-12").end == date(2020, 1, 1)


@pytest.mark.parametrize(
    "label", ["2019-13", "2019-00", "2019-5", "2019", "2019-05-D2", "0000-01", ""]
)
def test_other_labels_are_refused(label):
    with pytest.raises(GridError, match="YYYY-MM"):
        Period.parse(label)


def test_months_are_those_that_a_span_touches():
    found = months(date(2018, 8, 1), date(2019, 12, 1))
    assert len(found) == 16
    assert [found[0].label, found[-1].label] == ["2018-08", "2019-11"]
    assert all(a.end == b.start for a, b in pairwise(found))
    assert [p.label for p in months(date(2019, 1, 31), date(2019, 2, 2))] == ["2019-01", "2019-02"]


def test_an_empty_span_touches_none():
    assert months(date(2019, 5, 3), date(2019, 5, 3)) == ()
