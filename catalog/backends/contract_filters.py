"""Items and filters for the suite that every backend must pass, stated and drawn."""

from typing import Any

from hypothesis import strategies as st

from catalog.backends.base import CatalogBackend, Document
from catalog.ordering import in_order
from catalog.search import matches, parse_query
from catalog.testing import fill, make_item

FILTERS: tuple[tuple[str, str], ...] = (
    ("eo:cloud_cover < 20", "a c"),
    ("NOT eo:cloud_cover < 20", "b"),
    ("eo:cloud_cover = '5'", "a"),
    ("eo:cloud_cover <> 5", "b c"),
    ("eo:cloud_cover BETWEEN 5 AND 10.5", "a c"),
    ("eo:cloud_cover IS NULL", "e"),
    ("eo:cloud_cover IS NOT NULL AND platform = 'sentinel-2a'", "a b"),
    ("platform IN ('sentinel-2b', 'x')", "c"),
    ("eo:cloud_cover IN (5, 50)", "a b"),
    ("platform NOT IN ('sentinel-2b')", "a b"),
    ("platform LIKE 'sentinel-2_'", "a b c"),
    ("platform LIKE 'Sentinel%'", ""),
    ("CASEI(platform) LIKE CASEI('Sentinel%')", "a b c"),
    ("CASEI(note) = 'été'", "a"),
    ("ACCENTI(CASEI(note)) = 'ete'", "a"),
    ("note LIKE '50*%'", "b"),
    ("note LIKE '50*\\%'", ""),
    ("note LIKE '%\\%[x]'", "b"),
    ("note = '50*%[x]'", "b"),
    ("flag = TRUE", "a"),
    ("flag <> TRUE", "b"),
    ("flag", "a"),
    ("depth.inner > 1", "a"),
    ("eo:cloud_cover + 1 = 6", "a"),
    ("eo:cloud_cover / 0 = 1", ""),
    ("7 / 2 = sat:relative_orbit", ""),
    ("sat:relative_orbit / 2 = 25.5", "a"),
    ("sat:relative_orbit % 10 = 1 AND sat:relative_orbit div 10 = 5", "a"),
    ("eo:cloud_cover ^ 2 = 25", "a"),
    ("-eo:cloud_cover = -5", "a"),
    ("sat:relative_orbit > eo:cloud_cover", "a b"),
    ("one = two", "a b"),
    ("NOT one = two", "c"),
    ("collection = 'cubes'", "e"),
    ("id IN ('a', 'zz')", "a"),
    ("grid:code = 'MGRS-31UES'", "a b c d"),
    ("NOT grid:code = 'MGRS-31UES'", "e"),
    ("grid:code IN ('MGRS-31TCJ', 'x')", "e"),
    ("grid:code = '31TCJ'", ""),
    ("datetime >= TIMESTAMP('2019-06-01T00:00:00Z')", "c"),
    ("datetime < '2019-05-13'", "a d e"),
    ("datetime = TIMESTAMP('2019-05-12T12:50:31+02:00')", "a"),
    ("created > DATE('2020-01-01')", "b"),
    ("start_datetime IS NOT NULL", "d e"),
    ("datetime IS NULL", "d e"),
    ("T_INTERSECTS(datetime, INTERVAL('2019-05-12', '2019-05-12'))", "a d"),
    ("T_INTERSECTS(datetime, INTERVAL('2019-05-20', '..'))", "b c d"),
    ("T_DURING(datetime, INTERVAL('2019-04-30', '2019-05-31'))", "a b"),
    ("T_AFTER(datetime, DATE('2019-05-31'))", "c"),
    ("T_BEFORE(datetime, TIMESTAMP('2019-05-01T00:00:00Z'))", "e"),
    ("T_CONTAINS(datetime, DATE('2019-05-12'))", "d"),
    ("T_EQUALS(datetime, TIMESTAMP('2019-05-12T10:50:31Z'))", "a"),
    ("T_DISJOINT(datetime, INTERVAL('2019-05-01', '2019-05-31'))", "c e"),
    ("T_STARTS(datetime, INTERVAL('2019-05-01', '2019-06-30'))", "d"),
    ("T_INTERSECTS(INTERVAL(start_datetime, end_datetime), DATE('2019-05-03'))", "d"),
    ("S_INTERSECTS(geometry, POINT(1 1))", "a b"),
    ("S_INTERSECTS(geometry, BBOX(0.5, 0.5, 0.6, 0.6))", "a"),
    ("S_INTERSECTS(geometry, BBOX(179, 0, -179, 1))", "c"),
    ("S_WITHIN(geometry, POLYGON((-1 -1, 1.5 -1, 1.5 2, -1 2, -1 -1)))", "a"),
    ("S_CONTAINS(geometry, POINT(0.5 0.5))", "a"),
    ("S_WITHIN(POINT(0.5 0.5), geometry)", "a"),
    ("S_TOUCHES(geometry, POINT(1 1))", "a b"),
    ("S_DISJOINT(geometry, POINT(0.5 0.5))", "b c d"),
    ("S_EQUALS(geometry, POLYGON((0 0, 0 1, 1 1, 1 0, 0 0)))", "a"),
    ("S_OVERLAPS(geometry, BBOX(0.5, 0.5, 0.9, 3))", "a"),
    ("S_CROSSES(geometry, LINESTRING(-1 0.5, 0.5 0.5))", "a"),
    ("NOT S_INTERSECTS(geometry, POINT(1 1))", "c d e"),
    ("A_CONTAINS(tags, ('x', 'y'))", "a"),
    ("A_CONTAINEDBY(tags, ('x', 'y', 'z'))", "a b"),
    ("A_OVERLAPS(tags, ('z', 'y'))", "a b"),
    ("A_EQUALS(tags, ('y', 'x'))", "a"),
    ("A_CONTAINS(tags, (1))", "c"),
    ("TRUE", "a b c d e"),
    ("NOT TRUE OR FALSE", ""),
    ("platform = ''' OR 1=1 --'", ""),
)
"""CQL2 text, and the ids of the items below that it finds."""


def filtered_items() -> list[Document]:
    """Five items that differ in all that the filters ask for."""
    return [
        make_item(
            "a", bbox=(0, 0, 1, 1), platform="sentinel-2a", eo__cloud_cover=5, sat__relative_orbit=51,
            flag=True, note="Été", one=1, two=1.0, tags=["x", "y"], depth={"inner": 2},
        ),
        make_item(
            "b", bbox=(1, 1, 2, 2), platform="sentinel-2a", eo__cloud_cover=50.0,
            sat__relative_orbit=94, flag=False, note="50*%[x]", one="1", two="1", tags=["z"],
            datetime="2019-05-20T00:00:00Z", created="2020-02-01T00:00:00Z",
        ),
        make_item(
            "c", bbox=(179.5, 0, -179.5, 1), platform="sentinel-2b", eo__cloud_cover=10.5, one="a",
            two="b", tags=[1, 2.5], datetime="2019-06-01T00:00:00Z",
        ),
        make_item(
            "d", bbox=(10, 10, 11, 11), datetime=None, start_datetime="2019-05-01T00:00:00Z",
            end_datetime="2019-05-31T23:59:59.999999Z", eo__cloud_cover="cloudy", tags="x",
            flag="true", one=1, two="1", depth=3,
        ),
        make_item(
            "e", collection="cubes", bbox=None, tile="31TCJ", datetime=None,
            start_datetime="2019-04-01T00:00:00Z", end_datetime="2019-04-30T23:59:59.999999Z",
            eo__cloud_cover=None,
        ),
    ]  # fmt: skip


def finds_what_holds(
    catalog: CatalogBackend, made: list[dict[str, Any]], trees: list[Any], order: str
) -> None:
    """Check that an empty catalogue, filled, finds what filters hold of, in order."""
    items = []
    for number, values in enumerate(made):
        known = {name: value for name, value in values.items() if value is not None}
        items.append(make_item(f"i{number}", **known))
    fill(catalog, items)
    for tree in trees:
        query = parse_query(filter=tree, sortby=order)
        expected = in_order([item for item in items if matches(item, query)], query.sortby)
        assert catalog.search(query).items == expected, tree


NUMBERS = st.sampled_from([0, 5, 5.0, 50, 10.5])
TEXTS = st.sampled_from(["sentinel-2a", "Sentinel-2B", "a%_", ""])
COMPARED = st.builds(
    lambda op, name, value: {"op": op, "args": [{"property": name}, value]},
    st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
    st.sampled_from(["eo:cloud_cover", "x"]),
    NUMBERS,
) | st.builds(
    lambda op, value: {"op": op, "args": [{"property": "platform"}, value]},
    st.sampled_from(["=", "<>", "<", ">="]),
    TEXTS,
)
OTHERS = st.sampled_from(
    [
        {"op": "isNull", "args": [{"property": "x"}]},
        {"op": "in", "args": [{"property": "platform"}, ["sentinel-2a", ""]]},
        {"op": "between", "args": [{"property": "x"}, 1, 10.5]},
        {"op": "like", "args": [{"property": "platform"}, "%-2_"]},
        {"op": "=", "args": [{"op": "+", "args": [{"property": "x"}, {"property": "eo:cloud_cover"}]}, 10]},
    ]
)  # fmt: skip
TREES = st.recursive(
    COMPARED | OTHERS,
    lambda inner: (
        st.builds(
            lambda op, args: {"op": op, "args": args},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        )
        | inner.map(lambda each: {"op": "not", "args": [each]})
    ),
    max_leaves=6,
)
MISSING = st.just(None)
PROPERTIES = st.fixed_dictionaries(
    {
        "eo:cloud_cover": NUMBERS | MISSING,
        "x": NUMBERS | TEXTS | MISSING,
        "platform": TEXTS | MISSING,
    }
)
ORDERS = st.sampled_from(["x", "-x", "platform,-x", "-eo:cloud_cover,platform", "datetime"])
