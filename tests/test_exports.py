"""The public names of the packages: exactly these, found at first use, costing nothing before."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

NAMES = {
    "cube": [
        "BANDS", "CLASSES", "CubeError", "Extent", "Period", "decode", "dilate", "encoding",
        "explain", "load_items", "method", "open_cube", "tile_extent",
    ],
    "catalog": [
        "CatalogBackend", "CatalogError", "Product", "Query", "Recipe", "derived_item",
        "open_catalog", "open_product", "parse_query", "product_item", "read_sources",
        "search_all", "validate_item",
    ],
    "jobs": [
        "Job", "JobError", "Outcome", "Plan", "Stage", "Unit", "Workspace", "open_workspace",
    ],
}  # fmt: skip


@pytest.mark.parametrize("package", NAMES)
def test_the_public_names_are_these(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == NAMES[package]
    assert dir(module) == NAMES[package]
    for name in NAMES[package]:
        assert getattr(module, name) is not None
        assert vars(module)["_HOMES"][name]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("package", NAMES)
def test_no_public_name_is_a_module_too(package: str) -> None:
    # Importing such a module would put it in the place of the name.
    module = importlib.import_module(package)
    modules = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert modules & set(NAMES[package]) == set()


def test_importing_the_packages_and_the_command_is_light() -> None:
    code = (
        "import sys, cube, catalog, jobs, jobs.cli; "
        "print(sorted({'numpy', 'xarray', 'zarr', 'pystac', 'distributed', 'numba', 'rasterio', "
        "'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
