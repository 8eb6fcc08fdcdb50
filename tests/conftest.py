"""What every test may use."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: the first call of a kernel compiles it, and the machine may be busy.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

REQUIRE_ALL = os.environ.get("CLEARCUBE_REQUIRE_ALL") == "1"


def missing(what: str) -> None:
    """Skip the test for want of something, or fail where everything is required (CI)."""
    if REQUIRE_ALL:
        pytest.fail(f"{what} is required here (CLEARCUBE_REQUIRE_ALL=1)")
    pytest.skip(what)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("CLEARCUBE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        missing(f"reference data not found at {folder}")
    return folder / "data"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium browser (Debian's package ``chromium``)."""
    found = shutil.which("chromium")
    if not found:
        missing("chromium is not installed")
    return str(found)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server that these tests started."""
    spec = importlib.util.spec_from_file_location(
        "postgres_server", Path(__file__).with_name("postgres_server.py")
    )
    assert spec is not None
    assert spec.loader is not None
    server = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(server)
    if server.binaries() is None or importlib.util.find_spec("pypgstac") is None:
        missing("PostgreSQL with PostGIS and clearcube[pgstac]")
    with server.running() as url:
        yield url


@pytest.fixture(scope="session")
def pgstac_database(postgres: str) -> str:
    """URL of a database with pgstac, for tests that empty it."""
    return _database(postgres, "catalogue")


@pytest.fixture(scope="session")
def pgstac_other_database(postgres: str, pgstac_database: str) -> str:
    """URL of a second one."""
    return _database(postgres, "other", template="catalogue")


def _database(server: str, name: str, template: str = "template1") -> str:
    import psycopg

    from catalog.backends import open_catalog

    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    open_catalog(f"{server}/{name}").close()
    return f"{server}/{name}"


@pytest.fixture
def pgstac_url(pgstac_database: str) -> str:
    """URL of an empty catalogue; the same database for one test after another."""
    from catalog.backends import open_catalog

    with open_catalog(pgstac_database) as catalog:
        for collection in catalog.collections():
            catalog.delete_collection(collection["id"])
    return pgstac_database
