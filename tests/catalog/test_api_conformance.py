"""stac-api-validator against a running server; what it complains of, and why that stands."""

import re
import socket
import threading
import time

import pytest
import uvicorn

from catalog.api.app import create_app
from catalog.backends import open_catalog
from catalog.testing import fill, make_item

validations = pytest.importorskip("stac_api_validator.validations")

CLASSES = [
    "core", "collections", "features", "item-search", "filter", "item-search#sort",
    "item-search#fields", "item-search#query", "features#sort", "features#fields",
]  # fmt: skip
COMPLAINTS = {
    r"schemas\.stacspec\.org|stac-validator validation": "it fetches schemas, tests have no network; "
    "items are validated against those that pystac carries",
    r"'datetime': '1985-04-12'": "a date is the whole day here, as the command line has it",
    r"'datetime': '1985-12-12T23:20:50\.52'": "a time without a zone is UTC",
    r"\"fields\": null": "null is as nothing asked",
    r"more than 5 extra fields": "type, id, collection, stac_version and links always come: without "
    "them pystac reads no item",
    r"should have been excluded": "where only exclusions are asked, all else comes",
    r"non-matching results: got": "it wants all the values of `in` to be found, and there is one",
}
"""Pattern of an error -> why it is none of ours to mend."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("validated") / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as catalog, socket.socket() as listening:
        fill(
            catalog,
            [
                make_item(
                    f"i{n:02d}",
                    eo__cloud_cover=n,
                    platform="sentinel-2a",
                    datetime=f"2019-05-{n + 1:02d}T10:00:00Z",
                )
                for n in range(12)
            ],
        )
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(catalog), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.filterwarnings("ignore")  # of the validator's own libraries
def test_the_validator_finds_nothing_but_what_is_known(address):
    _, errors = validations.validate_api(
        root_url=f"{address}/",
        ccs_to_validate=CLASSES,
        collection="sentinel-2-l2a",
        geometry='{"type": "Polygon", "coordinates": [[[4,50],[5,50],[5,51],[4,51],[4,50]]]}',
        auth_bearer_token=None,
        auth_query_parameter=None,
        fields_nested_property="properties.eo:cloud_cover",
        validate_pagination=False,
        query_config=validations.QueryConfig(
            query_comparison_field="eo:cloud_cover",
            query_eq_value="5",
            query_neq_value="5",
            query_lt_value="5",
            query_lte_value="5",
            query_gt_value="5",
            query_gte_value="5",
            query_substring_field="platform",
            query_starts_with_value="sent",
            query_ends_with_value="2a",
            query_contains_value="tin",
            query_in_field="platform",
            query_in_values="sentinel-2a,x",
        ),
        transaction_collection=None,
        headers={},
    )
    found = [str(error) for error in errors]
    unknown = [each for each in found if not any(re.search(known, each) for known in COMPLAINTS)]
    assert unknown == []
    unused = [known for known in COMPLAINTS if not any(re.search(known, each) for each in found)]
    assert unused == []
