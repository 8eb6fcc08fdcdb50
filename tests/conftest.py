"""What every test may use."""

import os
import shutil
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
