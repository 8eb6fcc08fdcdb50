"""PostgreSQL with pgstac: the common suite, and what is its own."""

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.backends import open_catalog
from catalog.backends.contract import BackendTests
from catalog.backends.contract_filters import ORDERS, PROPERTIES, TREES, finds_what_holds
from catalog.errors import BackendError
from catalog.testing import fill, found, make_item


class TestPgstac(BackendTests):
    @pytest.fixture
    def catalog(self, pgstac_url):
        with open_catalog(pgstac_url) as catalog:
            yield catalog


def test_it_is_a_pgstac_that_others_read(pgstac_url):
    with open_catalog(pgstac_url) as catalog:
        fill(
            catalog, [make_item(f"i{n}", eo__cloud_cover=c) for n, c in enumerate((10.01, 9, 1.8))]
        )
    with psycopg.connect(pgstac_url) as database:
        database.execute("SET search_path = pgstac, public")
        asked = '{"sortby": [{"field": "eo:cloud_cover", "direction": "asc"}]}'
        page = database.execute("SELECT search(%s::jsonb)", (asked,)).fetchone()[0]
    # As numbers, since the queryables are registered: as text, 10.01 would come before 9.
    assert [item["id"] for item in page["features"]] == ["i2", "i1", "i0"]


def test_the_same_catalogue_again(pgstac_url):
    with open_catalog(pgstac_url, create=False) as catalog:
        fill(catalog, [make_item("a")])
        assert catalog.url == pgstac_url
    with open_catalog(pgstac_url) as catalog:
        assert found(catalog) == ["a"]


def test_absent_catalogues_are_not_made_by_reading(postgres):
    with pytest.raises(BackendError, match=r"no catalogue; ingest something first"):
        open_catalog(f"{postgres}/postgres", create=False)
    with pytest.raises(BackendError, match=r'database "nothing" does not exist'):
        open_catalog(f"{postgres}/nothing")


def test_a_server_that_does_not_answer():
    with pytest.raises(BackendError, match=r"catalogue 127\.0\.0\.1/x: ") as caught:
        open_catalog("postgresql://me:secret@127.0.0.1:9/x")
    assert "secret" not in str(caught.value)


@settings(max_examples=10)
@given(st.lists(PROPERTIES, max_size=8), st.lists(TREES, min_size=1, max_size=6), ORDERS)
def test_it_finds_what_holds_in_its_order(pgstac_database, made, trees, order):
    with open_catalog(pgstac_database) as catalog:
        for collection in catalog.collections():
            catalog.delete_collection(collection["id"])
        finds_what_holds(catalog, made, trees, order)
