"""Catalogues behind an API, on both backends: one that a test writes into, and one only read."""

import pytest
from api_answers import client_of

from catalog.backends import open_catalog
from catalog.testing import fill, make_item


@pytest.fixture(params=["sqlite", "pgstac"])
def catalog(request, tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "pgstac":
        url = request.getfixturevalue("pgstac_url")
    with open_catalog(url) as catalog:
        yield catalog


@pytest.fixture
def api(catalog):
    return client_of(catalog)


@pytest.fixture(scope="module", params=["sqlite", "pgstac"])
def full(request, tmp_path_factory):
    """A catalogue that is only read, and its API."""
    url = f"sqlite:///{tmp_path_factory.mktemp('full')}/catalog.db"
    if request.param == "pgstac":
        url = request.getfixturevalue("pgstac_other_database")
    catalog = open_catalog(url)
    fill(
        catalog,
        [
            make_item("a", eo__cloud_cover=5, bbox=(0, 0, 1, 1), datetime="2019-05-01T00:00:00Z"),
            make_item("b", eo__cloud_cover=50, bbox=(1, 1, 2, 2), datetime="2019-06-01T00:00:00Z"),
            make_item("c", eo__cloud_cover=10.5, collection="cubes", bbox=(5, 5, 6, 6)),
        ],
    )
    with catalog:
        yield catalog, client_of(catalog)


@pytest.fixture
def filled(full):
    return full[1]
