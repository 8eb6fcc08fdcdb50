"""What every test may use."""

import os
from pathlib import Path

import pytest

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
