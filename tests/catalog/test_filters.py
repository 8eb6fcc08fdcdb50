"""CQL2 as a tree: what it means for one item, what cql2 says of it, and what is refused."""

import json

import cql2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.backends import open_catalog
from catalog.backends.contract_filters import (
    FILTERS,
    ORDERS,
    PROPERTIES,
    TREES,
    filtered_items,
    finds_what_holds,
)
from catalog.errors import QueryError
from catalog.filters.evaluation import holds
from catalog.filters.reading import parse_filter, query_filter
from catalog.testing import make_item


def test_one_item_is_asked_as_the_backends_are():
    items = filtered_items()
    got = {
        text: " ".join(item["id"] for item in items if holds(parse_filter(text), item))
        for text, _ in FILTERS
    }
    assert got == dict(FILTERS)


def test_json_and_text_are_one():
    for text, _ in FILTERS:
        document = cql2.parse_text(text).to_json()
        if isinstance(document, dict):
            assert parse_filter(document) == parse_filter(text), text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eo:cloud_cover <", "is no cql2-text: at character"),
        ("", "is empty"),
        ("eo:cloud_cover < 'low'", "'low' is text, not a number"),
        ("eo:cloud_cover = NULL", "write IS NULL"),
        ("grid:code = 5", "is text, not a number"),
        ("5", "is nothing true or false"),
        ("foo(id) = 1", "function 'foo' is unknown"),
        ("foo(id)", "operator 'foo' is unknown"),
        ("platform LIKE grid:code", "pattern in quotes"),
        ("platform LIKE '" + "%a" * 30 + "'", "more than 16 wildcards"),
        ("geometry = 5", "not a number"),
        ("flag > TRUE", "have no order"),
        ("datetime > 'yesterday'", "'yesterday' is no time"),
        ("datetime > TIMESTAMP('2019-13-01T00:00:00Z')", "is no time"),
        ("T_AFTER(datetime, INTERVAL('2019-02-01', '2019-01-01'))", "ends before it starts"),
        ("T_AFTER(platform, DATE('2019-02-01'))", "platform is no time"),
        ("S_INTERSECTS(geometry, geometry)", "a geometry that is stated"),
        ("S_INTERSECTS(id, POINT(0 0))", "compares the property geometry"),
        ("S_INTERSECTS(geometry, POLYGON((0 0, 1 1, 1 0, 0 1, 0 0)))", "Self-intersection"),
        ("S_INTERSECTS(geometry, POINT(200 0))", "leaves the globe"),
        ("S_INTERSECTS(geometry, POLYGON((0 0)))", "no usable GeoJSON"),
        ('"a""b" = 1', "is no name of a property"),
        ("\"a'; DROP TABLE items --\" = 1", "is no name of a property"),
        ("NOT " * 2000 + "a = 1", "nested deeper"),
        ("(" * 500 + "a = 1" + ")" * 500, "nested deeper"),
        ("a = " + "-" * 5000 + "1", "row of signs|is no cql2"),
        (" AND ".join(["a = 1"] * 400), "more than 500 parts"),
        ("a = '" + "x" * 300_000 + "'", "at most 200000"),
    ],
)  # fmt: skip
def test_filters_that_mean_nothing(text, message):
    with pytest.raises(QueryError, match=message) as caught:
        parse_filter(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_what_a_filter_lacks_is_said_in_whole_words():
    with pytest.raises(
        QueryError, match=r"^the filter is no cql2-text: at character 4, "
    ) as caught:
        parse_filter("a === (")
    assert str(caught.value).endswith("SingleQuotedString, ...")


@pytest.mark.parametrize(
    "document",
    [
        {"op": "=", "args": [{"property": "a"}]},
        {"op": "=", "args": []},
        {"op": "and", "args": []},
        {"op": "nope", "args": [1, 2]},
        {"op": "in", "args": [{"property": "a"}, 5]},
        {"op": "in", "args": [{"property": "a"}, [1, "x"]]},
        {"op": "like", "args": [{"property": "a"}, 5]},
        {"op": "=", "args": [{"property": 1}, 2]},
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon"}]},
        {"op": "t_after", "args": [{"property": "datetime"}, {"interval": ["x"]}]},
        {"op": "=", "args": [{"property": "datetime"}, {"timestamp": 5}]},
        {"op": "casei", "args": ["x"]},
        {"args": []},
        {},
    ],
)
def test_documents_that_mean_nothing(document):
    with pytest.raises(QueryError):
        parse_filter(document)


def test_query_extension():
    items = filtered_items()

    def ask(query):
        node = query_filter(query)
        return [item["id"] for item in items if node is None or holds(node, item)]

    assert ask({"eo:cloud_cover": {"gte": 5, "lt": 50}}) == ["a", "c"]
    assert ask({"eo:cloud_cover": {"lt": "10"}}) == ["a"]
    assert ask({"platform": {"endsWith": "2b"}}) == ["c"]
    assert ask({"note": {"contains": "%["}, "platform": {"startsWith": "sent"}}) == ["b"]
    assert ask({"properties.platform": {"in": ["sentinel-2b"]}}) == ["c"]
    assert ask({"platform": {"neq": "sentinel-2a"}}) == ["c"]
    assert ask({}) == ["a", "b", "c", "d", "e"]
    for bad in ({"a": {"like": "x"}}, {"a": 5}, {"a": {"contains": 5}}, {"a": {"eq": None}}):
        with pytest.raises(QueryError):
            ask(bad)


# Against each other: this package's meaning, the backend, and cql2's own evaluation


@settings(max_examples=60)
@given(st.lists(PROPERTIES, max_size=8), st.lists(TREES, min_size=1, max_size=6), ORDERS)
def test_sqlite_finds_what_holds_in_its_order(tmp_path_factory, made, trees, order):
    path = tmp_path_factory.mktemp("db") / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as catalog:
        finds_what_holds(catalog, made, trees, order)


@settings(max_examples=100)
@given(PROPERTIES.filter(lambda each: None not in each.values()), TREES)
def test_cql2_agrees_where_nothing_is_absent(made, tree):
    if isinstance(made["x"], str):
        made = {**made, "x": 1}
    if "isNull" in json.dumps(tree):
        return  # cql2 0.6 cannot say of an item that a property is there
    item = make_item("a", **made)
    assert holds(parse_filter(tree), item) is cql2.Expr(tree).matches(item)
