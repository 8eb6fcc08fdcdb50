"""Spans of time: merged, recorded, written as STAC datetimes."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from catalog.search import Interval, parse_datetime
from catalog.spans import from_recorded, merged, recorded, span_text, within


def day(number: int) -> datetime:
    return datetime(2019, 5, number, tzinfo=UTC)


def test_spans_that_touch_become_one() -> None:
    spans: list[Interval] = [(day(10), day(12)), (day(1), day(5)), (day(5), day(7))]
    assert merged(spans) == [(day(1), day(7)), (day(10), day(12))]
    assert merged([(day(3), None), (day(9), day(10))]) == [(day(3), None)]
    assert merged([(day(3), day(4)), (None, day(2))]) == [(None, day(2)), (day(3), day(4))]
    assert merged([(None, None), (day(3), day(4))]) == [(None, None)]
    assert merged([]) == []


ends = st.one_of(st.none(), st.integers(1, 30))
spans = st.tuples(ends, ends).map(
    lambda pair: (
        None if pair[0] is None else day(pair[0]),
        None if pair[1] is None else day(min(31, max(pair[1], (pair[0] or 0) + 1))),
    )
)


@given(st.lists(spans, max_size=6))
def test_merging_covers_the_same_days_and_is_recorded_without_loss(found: list[Interval]) -> None:
    made = merged(found)
    for number in range(1, 32):
        assert within(day(number), made) == within(day(number), found)
    assert merged(made) == made
    assert from_recorded(recorded(made)) == made
    for span in made:
        text = span_text(span)
        assert text is None if span == (None, None) else parse_datetime(str(text)) == span
