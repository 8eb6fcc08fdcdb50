"""What tests of the API share: a client, and how answers and refusals are read."""

from starlette.testclient import TestClient

from catalog.api.app import create_app
from catalog.api.settings import ServerSettings

TOKEN = {"Authorization": "Bearer secret-token"}
L2A = "/collections/sentinel-2-l2a"


def client_of(catalog, **settings):
    app = create_app(catalog, ServerSettings(**{"token": "secret-token", **settings}))
    return TestClient(app, raise_server_exceptions=False)


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["features"]]


def refused(answer, status, *words):
    """The one sentence that says why, checked to hold some words and no more than that."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "description"}
    said = answer.json()["description"]
    assert "\n" not in said
    assert len(said) <= 400
    for word in ("Traceback", "/tmp", "/work", "site-packages"):
        assert word not in said
    for word in words:
        assert word in said, said
    return said


def link(document, rel):
    found = [each for each in document["links"] if each["rel"] == rel]
    return found[0] if found else None
