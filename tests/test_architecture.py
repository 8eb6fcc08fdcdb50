"""The house stands as it was planned: imports, names, sizes."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for package in ("cube", "catalog", "jobs") for path in (ROOT / package).rglob("*.py")
)


def test_the_import_contracts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


@pytest.mark.parametrize("package", ["cube", "catalog", "jobs"])
def test_the_package_names_are_ours_alone(package: str) -> None:
    # An editable install of ours lists no packages; nobody else may.
    owners = importlib.metadata.packages_distributions().get(package, ["clearcube"])
    assert set(owners) == {"clearcube"}


def test_no_module_outgrows_a_head() -> None:
    long = {
        str(path): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > 600
    }
    assert long == {}


def test_no_room_is_called_utils() -> None:
    assert [path for path in MODULES if path.stem in ("utils", "helpers", "common", "misc")] == []


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_only_the_cli_prints() -> None:
    printing = [
        path for path in MODULES if re.search(r"^\s*print\(", path.read_text(), re.MULTILINE)
    ]
    assert printing == []


def test_the_ten_packages_are_used() -> None:
    wanted = {
        "pystac", "pystac_client", "stackstac", "odc.stac", "dask", "distributed", "xarray",
        "numpy", "numba", "zarr",
    }  # fmt: skip
    text = "\n".join(path.read_text() for path in MODULES)
    missing = {
        name for name in wanted if not re.search(rf"(import|from) {re.escape(name)}\b", text)
    }
    assert missing == set()
