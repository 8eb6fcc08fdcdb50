# ruff: noqa: D102  the names of the tests say what they state
"""The suite that every backend must pass: its test class inherits this one.

A fixture ``catalog`` gives each test an empty catalogue. (Needs pytest, hence not in ``testing``.)
"""

import threading
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from catalog.backends.base import CatalogBackend, Counts, Document, search_all
from catalog.backends.contract_filters import FILTERS, filtered_items
from catalog.errors import BackendError, CatalogError, ItemNotFoundError, QueryError
from catalog.ordering import in_order
from catalog.search import Query, parse_query
from catalog.testing import fill, found, make_collection, make_item


class BackendTests:
    """What every backend does, stated as tests."""

    # Collections, and single items

    def test_empty(self, catalog: CatalogBackend) -> None:
        assert catalog.collections() == []
        page = catalog.search(Query())
        assert (page.items, page.next_token, page.matched) == ([], None, 0)

    def test_collections_are_kept(self, catalog: CatalogBackend) -> None:
        given = [make_collection("cubes"), make_collection("a")]
        assert catalog.upsert_collections(given) == Counts(created=2)
        assert catalog.upsert_collections(given) == Counts(unchanged=2)
        changed = {**given[0], "title": "Cubes"}
        assert catalog.upsert_collections([changed]) == Counts(updated=1)
        assert catalog.collections() == [given[1], changed]
        assert catalog.collection("cubes") == changed

    def test_unknown_collection(self, catalog: CatalogBackend) -> None:
        with pytest.raises(ItemNotFoundError, match="no collection 'x'"):
            catalog.collection("x")
        with pytest.raises(BackendError, match=r"'S2A_TEST'.*no collection 'x'"):
            catalog.upsert_items([make_item(collection="x")])

    def test_item_comes_back_as_given(self, catalog: CatalogBackend) -> None:
        item = make_item(note="é, ü, 中")
        assert fill(catalog, [item]) == Counts(created=1)
        assert catalog.item("sentinel-2-l2a", "S2A_TEST") == item
        assert catalog.search(Query()).items == [item]

    def test_odd_items_come_back_as_given(self, catalog: CatalogBackend) -> None:
        period: dict[str, Any] = {
            "start_datetime": "2019-05-01T00:00:00Z",
            "end_datetime": "2019-05-02T00:00:00Z",
        }
        items = [
            make_item(
                "nulls", datetime=None, **period, x=None, y={"z": None, "e": {}}, w=[None, []]
            ),
            make_item("nowhere", bbox=None),
            make_item("box", bbox=(4.000000001, 50, 5, 51), big=2**53, small=1e-300, t=True),
            {**make_item("flat", bbox=(0, 0, 1, 1)), "geometry": None},
        ]
        items[0]["assets"] = {"other": {"href": "s3://x", "raster:bands": [{"nodata": None}]}}
        collection = make_collection("sentinel-2-l2a")
        collection["item_assets"] = {
            "red": {"roles": ["data"], "title": "Red"},
            "other": {"raster:bands": [{"nodata": 0, "scale": 1}]},
        }
        catalog.upsert_collections([collection])
        assert catalog.upsert_items(items) == Counts(created=4)
        for item in items:
            assert catalog.item("sentinel-2-l2a", item["id"]) == item
        assert catalog.upsert_items(items) == Counts(unchanged=4)
        catalog.upsert_collections([{**collection, "item_assets": {}}])
        assert catalog.upsert_items(items) == Counts(unchanged=4)

    def test_counts_of_collections_follow_writes(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(f"i{n}", collection="ab"[n % 2]) for n in range(5)])
        catalog.upsert_items([make_item("i0", collection="a", note="x"), make_item("n")])
        catalog.delete_items([("b", "i1"), ("b", "none")])

        def counts() -> list[int | None]:
            asked = ((), ("a",), ("b",), ("a", "b"), ("none",))
            return [catalog.search(Query(collections=each, limit=1)).matched for each in asked]

        assert counts() == [5, 3, 1, 4, 0]
        catalog.delete_collection("a")
        assert counts() == [2, 0, 1, 1, 0]

    def test_long_periods_are_found_by_dates_within(self, catalog: CatalogBackend) -> None:
        years: dict[str, Any] = {
            "start_datetime": "2015-01-01T00:00:00Z",
            "end_datetime": "2020-12-31T00:00:00Z",
        }
        fill(
            catalog, [make_item(f"i{n}", datetime=f"2019-05-0{n + 1}T00:00:00Z") for n in range(4)]
        )
        assert found(catalog, datetime="2019-05-02/2019-05-03") == ["i2", "i1"]
        catalog.upsert_items([make_item("long", datetime=None, **years)])
        assert found(catalog, datetime="2019-05-02/2019-05-03") == ["i2", "i1", "long"]
        assert found(catalog, datetime="2020-06/..") == ["long"]
        catalog.upsert_items([make_item("i0", datetime=None, **years)])
        assert found(catalog, datetime="2020-06") == ["i0", "long"]

    def test_unknown_item(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a")])
        with pytest.raises(ItemNotFoundError, match="no item 'b'"):
            catalog.item("sentinel-2-l2a", "b")
        assert catalog.find("b") == []

    def test_one_id_in_two_collections(self, catalog: CatalogBackend) -> None:
        items = [make_item("a", collection=name) for name in ("two", "one")]
        fill(catalog, items)
        assert catalog.find("a") == [items[1], items[0]]
        assert catalog.delete_items([("two", "a")]) == 1
        assert catalog.find("a") == [items[1]]

    # Upsert

    def test_upsert_of_the_same_changes_nothing(self, catalog: CatalogBackend) -> None:
        item = make_item(created="2020-01-01T00:00:00Z", updated="2020-01-01T00:00:00Z")
        fill(catalog, [item])
        later = deepcopy(item)
        later["properties"] |= {
            "created": "2021-01-01T00:00:00Z",
            "updated": "2021-01-01T00:00:00Z",
        }
        assert catalog.upsert_items([later]) == Counts(unchanged=1)
        assert catalog.find("S2A_TEST") == [item]

    def test_upsert_replaces_and_keeps_created(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(created="2020-01-01T00:00:00Z")])
        moved = make_item(
            created="2021-01-01T00:00:00Z",
            bbox=(10, 0, 11, 1),
            tile="32NKF",
            datetime="2020-02-03T00:00:00Z",
        )
        assert catalog.upsert_items([moved, make_item("b")]) == Counts(created=1, updated=1)
        kept = deepcopy(moved)
        kept["properties"]["created"] = "2020-01-01T00:00:00Z"
        assert catalog.find("S2A_TEST") == [kept]
        assert found(catalog, bbox=(10, 0, 11, 1)) == ["S2A_TEST"]
        assert found(catalog, bbox=(4, 50, 5, 51)) == ["b"]
        assert found(catalog, tile="32NKF") == ["S2A_TEST"]
        assert found(catalog, datetime="2020-02") == ["S2A_TEST"]

    def test_upsert_is_all_or_nothing(self, catalog: CatalogBackend) -> None:
        with pytest.raises(CatalogError, match="'b/c'"):
            fill(catalog, [make_item("a"), make_item("b/c")])
        with pytest.raises(BackendError, match="no collection 'x'"):
            catalog.upsert_items([make_item("a"), make_item("b", collection="x")])
        assert catalog.search(Query()).items == []

    @pytest.mark.parametrize("item_id", ["", "a b", "a/b", "a:b", "é", None])
    def test_bad_ids_are_refused(self, catalog: CatalogBackend, item_id: Any) -> None:
        with pytest.raises(CatalogError, match="id holds"):
            fill(catalog, [{**make_item(), "id": item_id}])

    @pytest.mark.parametrize(
        "properties",
        [
            {"datetime": None},
            {"datetime": "yesterday"},
            {"start_datetime": "2019-02-01T00:00:00Z", "end_datetime": "2019-01-01T00:00:00Z"},
            {"size": float("nan")},
        ],
        ids=["none", "word", "inverted", "nan"],
    )
    def test_unusable_items_are_refused(
        self, catalog: CatalogBackend, properties: dict[str, Any]
    ) -> None:
        item = make_item()
        item["properties"] |= properties
        with pytest.raises(CatalogError, match="'S2A_TEST'"):
            fill(catalog, [item])

    # Search

    def test_search_by_each_field(self, catalog: CatalogBackend) -> None:
        fill(
            catalog,
            [
                make_item("a", clearcube__level="l2a", eo__cloud_cover=10),
                make_item("b", collection="cubes", tile="31TCJ", bbox=(0, 43, 1, 44)),
                make_item("c", datetime="2020-01-01T00:00:00Z", eo__cloud_cover=10.5),
                make_item("d", tile=None, clearcube__superseded_by="a"),
            ],
        )
        assert found(catalog, collections=["cubes"]) == ["b"]
        assert found(catalog, collections=["sentinel-2-l2a", "cubes"]) == ["c", "b", "a", "d"]
        assert found(catalog, ids=["d", "a", "zz"]) == ["a", "d"]
        assert found(catalog, tile=["T31TCJ", "31UES"]) == ["c", "b", "a"]
        assert found(catalog, bbox="0.5,43.5,0.6,43.6") == ["b"]
        assert found(catalog, datetime="2019-05-12") == ["b", "a", "d"]
        assert found(catalog, level="l2a") == ["a"]
        assert found(catalog, max_cloud=10) == ["a"]
        assert found(catalog, superseded=False) == ["c", "b", "a"]
        assert found(catalog, tile="31UES", collections=["cubes"]) == []
        assert found(catalog, ids=["' OR 1=1 --"]) == []

    def test_months_are_half_open(self, catalog: CatalogBackend) -> None:
        times = {
            "last": "2019-04-30T23:59:59.999999Z",
            "first": "2019-05-01T00:00:00Z",
            "zone": "2019-06-01T00:30:00+01:00",
            "next": "2019-06-01T00:00:00Z",
        }
        fill(catalog, [make_item(name, datetime=text) for name, text in times.items()])
        assert found(catalog, datetime="2019-05") == ["zone", "first"]
        assert found(catalog, datetime="../2019-04") == ["last"]
        assert found(catalog, datetime="2019-06/..") == ["next"]
        assert found(catalog, datetime="2019-05-01T00:00:00Z") == ["first"]

    def test_periods_are_found_by_overlap(self, catalog: CatalogBackend) -> None:
        item = make_item(
            datetime=None,
            start_datetime="2019-05-01T00:00:00Z",
            end_datetime="2019-05-31T23:59:59.999999Z",
        )
        fill(catalog, [item])
        for text in ("2019-05", "2019-05-31", "2019", "../2019-05-01", "2019-05-31/.."):
            assert found(catalog, datetime=text) == ["S2A_TEST"], text
        for text in ("2019-04", "2019-06", "../2019-04-30", "2019-06-01/.."):
            assert found(catalog, datetime=text) == [], text

    def test_bbox_asks_the_geometry(self, catalog: CatalogBackend) -> None:
        swath = make_item("swath", bbox=(0, 0, 1, 1))
        swath["geometry"] = {
            "type": "Polygon",
            "coordinates": [[[0, 0], [1, 0], [0, 1], [0, 0]]],
        }
        fill(catalog, [swath, make_item("nowhere", bbox=None)])
        assert found(catalog, bbox=(0.9, 0.9, 1, 1)) == []
        assert found(catalog, bbox=(0.4, 0.4, 1, 1)) == ["swath"]
        assert found(catalog, bbox=(0.2, 0.2, 0.2, 0.2)) == ["swath"]
        assert found(catalog, bbox=(-1, -1, 0, 0)) == ["swath"]  # touching counts

    def test_bbox_is_exact(self, catalog: CatalogBackend) -> None:
        # Neighbours that 32-bit floats cannot tell apart.
        fill(catalog, [make_item("a", bbox=(4.0, 50.0, 5.00000001, 51.0))])
        assert found(catalog, bbox=(5.00000001, 50, 6, 51)) == ["a"]
        assert found(catalog, bbox=(5.00000002, 50, 6, 51)) == []

    def test_antimeridian(self, catalog: CatalogBackend) -> None:
        fill(
            catalog,
            [
                make_item("across", bbox=(179.5, -17, -179.5, -16)),
                make_item("west", bbox=(-179.9, -17, -179, -16)),
                make_item("east", bbox=(179, -17, 179.9, -16)),
                make_item("far", bbox=(0, -17, 1, -16)),
            ],
        )
        assert found(catalog, bbox=(179, -18, -179, -15)) == ["across", "east", "west"]
        assert found(catalog, bbox=(-179.95, -18, -179.92, -15)) == ["across"]
        assert found(catalog, bbox=(178, -18, 179.2, -15)) == ["east"]
        assert found(catalog, bbox=(-1, -18, 2, -15)) == ["far"]
        assert found(catalog, bbox=(-180, -90, 180, 90)) == ["across", "east", "far", "west"]

    # Order and paging

    def test_order_is_latest_first_then_collection_then_id(self, catalog: CatalogBackend) -> None:
        fill(
            catalog,
            [
                make_item("b", collection="two"),
                make_item("c", collection="one"),
                make_item("a", collection="two"),
                make_item("z", datetime="2019-06-01T00:00:00Z"),
                make_item("y", datetime="2019-05-12T10:50:31.000001Z"),
            ],
        )
        assert found(catalog) == ["z", "y", "c", "a", "b"]

    def test_pages_have_no_gap_nor_double(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(f"i{number:03d}") for number in range(25)])
        page = catalog.search(Query(limit=10))
        assert page.matched == 25
        ids = [item["id"] for item in page.items]
        while page.next_token is not None:
            page = catalog.search(Query(limit=10, token=page.next_token))
            ids += [item["id"] for item in page.items]
        assert ids == [f"i{number:03d}" for number in range(25)]

    def test_a_full_last_page_has_no_next(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(name) for name in "abcd"])
        page = catalog.search(Query(limit=2))
        page = catalog.search(Query(limit=2, token=page.next_token))
        assert [item["id"] for item in page.items] == ["c", "d"]
        assert page.next_token is None

    def test_pages_stand_while_items_come_and_go(self, catalog: CatalogBackend) -> None:
        names = [f"i{number:03d}" for number in range(0, 40, 2)]
        fill(catalog, [make_item(name) for name in names])
        query, seen = Query(limit=4), []
        while True:
            page = catalog.search(query)
            seen += [item["id"] for item in page.items]
            if page.next_token is None:
                break
            # One before the page, one that the page already showed goes.
            catalog.upsert_items([make_item(f"h{len(seen)}")])
            catalog.delete_items([("sentinel-2-l2a", seen[-1])])
            query = replace(query, token=page.next_token)
        assert seen == names

    def test_search_all_walks_every_page(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(f"i{number}") for number in range(9)])
        assert len(list(search_all(catalog, Query(limit=2)))) == 9

    @pytest.mark.parametrize("token", ["x", "", "!!", "bnVsbA", "W10", "WzEsMiwzXQ", "é"])
    def test_bad_tokens_are_refused(self, catalog: CatalogBackend, token: str) -> None:
        with pytest.raises(QueryError, match="no page of this search"):
            catalog.search(Query(token=token))

    # Filters, geometries, order

    def test_filters(self, catalog: CatalogBackend) -> None:
        fill(catalog, filtered_items())
        got = {text: " ".join(sorted(found(catalog, filter=text))) for text, _ in FILTERS}
        assert got == dict(FILTERS)

    def test_intersects_is_exact(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a", bbox=(0, 0, 1, 1)), make_item("b", bbox=(2, 0, 3, 1))])
        corner = {"type": "Polygon", "coordinates": [[[0.5, -1], [4, -1], [4, 0.5], [0.5, -1]]]}
        assert found(catalog, intersects=corner) == ["b"]
        assert found(catalog, intersects="POINT (1 1)") == ["a"]
        assert found(catalog, intersects="LINESTRING (0.5 0.5, 2.5 0.5)") == ["a", "b"]
        assert found(catalog, intersects="POINT (1.5 1)") == []

    def test_sorting_puts_what_is_absent_last(self, catalog: CatalogBackend) -> None:
        fill(
            catalog,
            [
                make_item("a", eo__cloud_cover=10.01, x="b"),
                make_item("b", eo__cloud_cover=9, x="a", datetime="2020-01-01T00:00:00Z"),
                make_item("c", eo__cloud_cover="7", x=2),
                make_item("d", eo__cloud_cover=1.8, x=10),
                make_item("e"),
            ],
        )
        assert found(catalog, sortby="eo:cloud_cover") == ["d", "b", "a", "c", "e"]
        assert found(catalog, sortby="-properties.eo:cloud_cover") == ["a", "b", "d", "c", "e"]
        assert found(catalog, sortby="x") == ["c", "d", "b", "a", "e"]
        assert found(catalog, sortby="-id") == ["e", "d", "c", "b", "a"]
        assert found(catalog, sortby="+datetime,-id") == ["e", "d", "c", "a", "b"]

    @pytest.mark.parametrize("order", ["", "eo:cloud_cover", "-eo:cloud_cover,id", "datetime"])
    def test_pages_go_both_ways(self, catalog: CatalogBackend, order: str) -> None:
        clouds = [None, 5, 1, 5, None, 2, 5]
        items = [make_item(f"i{n}", eo__cloud_cover=c) for n, c in enumerate(clouds)]
        fill(catalog, items)
        query = parse_query(sortby=order.split(",") if order else (), limit=3)
        whole = [item["id"] for item in search_all(catalog, replace(query, limit=100))]
        assert whole == [item["id"] for item in in_order(items, query.sortby)]
        first = catalog.search(query)
        second = catalog.search(replace(query, token=first.next_token))
        third = catalog.search(replace(query, token=second.next_token))
        pages = [[item["id"] for item in page.items] for page in (first, second, third)]
        assert pages == [whole[:3], whole[3:6], whole[6:]]
        assert (first.previous_token, third.next_token) == (None, None)
        back = catalog.search(replace(query, token=third.previous_token))
        assert [item["id"] for item in back.items] == pages[1]
        start = catalog.search(replace(query, token=back.previous_token))
        assert [item["id"] for item in start.items] == pages[0]
        assert start.previous_token is None
        again = catalog.search(replace(query, token=start.next_token))
        assert [item["id"] for item in again.items] == pages[1]

    def test_a_token_of_another_order_is_refused(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item(name) for name in "abc"])
        token = catalog.search(Query(limit=1)).next_token
        with pytest.raises(QueryError, match="no page of this search"):
            catalog.search(parse_query(sortby="eo:cloud_cover", limit=1, token=token))

    # Writing under a condition

    def test_a_check_sees_both_and_undoes_all(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a")])
        seen: list[tuple[str | None, str]] = []

        def check(old: Document | None, new: Document) -> None:
            seen.append((None if old is None else old["id"], new["id"]))
            if old is not None:
                raise CatalogError("it is there")

        with pytest.raises(CatalogError, match="it is there"):
            catalog.upsert_items([make_item("b"), make_item("a", note="x")], check=check)
        assert seen == [(None, "b"), ("a", "a")]
        assert found(catalog) == ["a"]

    def test_a_check_keeps_items_from_being_deleted(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a")])

        def check(old: Document | None, _: Document) -> None:
            raise CatalogError(f"{old and old['id']} stays")

        with pytest.raises(CatalogError, match="a stays"):
            catalog.delete_items([("sentinel-2-l2a", "a")], check=check)
        assert found(catalog) == ["a"]

    def test_a_collection_goes_with_its_items(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a"), make_item("b", collection="cubes")])
        assert catalog.delete_collection("cubes") == 1
        assert [each["id"] for each in catalog.collections()] == ["sentinel-2-l2a"]
        assert found(catalog) == ["a"]
        assert found(catalog, bbox=(4, 50, 5, 51)) == ["a"]
        with pytest.raises(ItemNotFoundError, match="no collection 'cubes'"):
            catalog.delete_collection("cubes")

    # Delete, threads, closing

    def test_deleted_items_are_gone(self, catalog: CatalogBackend) -> None:
        fill(catalog, [make_item("a"), make_item("b")])
        keys = [("sentinel-2-l2a", "a"), ("sentinel-2-l2a", "zz")]
        assert catalog.delete_items(keys) == 1
        assert catalog.delete_items(keys) == 0
        assert found(catalog, bbox=(4, 50, 5, 51)) == ["b"]
        assert fill(catalog, [make_item("a")]) == Counts(created=1)
        assert found(catalog, bbox=(4, 50, 5, 51)) == ["a", "b"]

    def test_threads_share_it(self, catalog: CatalogBackend) -> None:
        fill(catalog, [])
        failures: list[Exception] = []

        def work(name: str) -> None:
            try:
                for number in range(20):
                    catalog.upsert_items([make_item(f"{name}{number}")])
                    catalog.search(Query(limit=5))
            except CatalogError as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert catalog.search(Query()).matched == 60

    def test_closed_is_closed(self, catalog: CatalogBackend) -> None:
        with catalog as same:
            assert same is catalog
        with pytest.raises(BackendError, match="closed"):
            catalog.search(Query())
