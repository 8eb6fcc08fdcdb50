"""Fingerprints: equal for equal content only, and the same for ever."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogError
from catalog.fingerprint import fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def test_stays_what_it_was():
    # Catalogued items hold these: a change here makes every item stale.
    assert fingerprint({}) == "44136fa355b3678a"
    assert fingerprint({"b": [1, 2.5, None, True], "a": "é"}) == "0b8cc543e984d4d7"


def test_order_of_keys_and_kind_of_number_do_not_matter():
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1.0, 2], "a": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 0.1}, {"a": 0.1000001}),
    ],
)
def test_different_content(one, other):
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "value", [float("nan"), {1, 2}, {1: "a"}, object()], ids=lambda v: type(v).__name__
)
def test_what_is_no_json(value):
    with pytest.raises(CatalogError, match="no JSON"):
        fingerprint({"a": value})


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_any_order_is_the_same(document):
    backwards = dict(reversed(document.items()))
    assert fingerprint(document) == fingerprint(backwards)
    assert len(fingerprint(document)) == 16
