"""Every operation of the OpenAPI document, asked with what nobody would: no 500, whatever comes."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from catalog.api.app import create_app
from catalog.api.settings import ServerSettings
from catalog.backends import open_catalog
from catalog.testing import fill, make_item

TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "catalog.db"
    with open_catalog(f"sqlite:///{path}") as catalog:
        fill(catalog, [make_item("a"), make_item("b", collection="cubes")])
        app = create_app(catalog, ServerSettings(token="secret"))
        schema = schemathesis.openapi.from_asgi("/api", app)
        yield [found.ok() for found in schema.get_all_operations()]


def test_no_request_breaks_the_server(operations):
    assert len(operations) >= 20
    for operation in operations:

        @settings(
            max_examples=8,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy())
        def ask(case):
            answer = case.call(headers=TOKEN)
            assert answer.status_code < 500, (case, answer.text)
            if answer.status_code >= 400:
                said = answer.json()
                assert set(said) == {"code", "description"}, (case, said)
                assert "Traceback" not in said["description"]

        ask()
