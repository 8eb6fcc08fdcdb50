"""A job in one file outside the package, as README shows it: it gets everything for nothing."""

import importlib
import json
import re
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import rasterio
from distributed import Client

from cube.store import open_cube
from jobs import registry
from jobs.workspace import open_workspace

pytestmark = pytest.mark.cluster

README = (Path(__file__).parents[2] / "README.md").read_text()
ASKED = ("--tile", "31TCJ", "--datetime", "2020-05")
ITEM = "31TCJ_2020-05_monthly-ndvi_scl"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str):
    """A package with README's job, installed for this process and for the workers."""
    folder = tmp_path / "site"
    about = folder / "monthly_ndvi-1.dist-info"
    about.mkdir(parents=True)
    (code,) = re.findall(r"```python\n(# monthly_ndvi\.py.*?)```", README, re.DOTALL)
    (entry,) = re.findall(
        r"```toml\n\[project\.entry-points\.\"(.*?)\"\]\n(.*?)```", README, re.DOTALL
    )
    (folder / "monthly_ndvi.py").write_text(code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: monthly-ndvi\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[{entry[0]}]\n{entry[1].replace(chr(34), '')}")
    monkeypatch.syspath_prepend(str(folder))
    # Workers cannot import this file: what they are to call travels as it is.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with Client(scheduler, set_as_default=False) as client:
        client.run(_install, str(folder))
        yield folder
        client.run(_remove, str(folder))
    _remove(str(folder))


def _install(folder: str) -> None:
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    registry.find_job.cache_clear()


def _remove(folder: str) -> None:
    sys.path[:] = [path for path in sys.path if path != folder]
    sys.modules.pop("monthly_ndvi", None)
    registry.find_job.cache_clear()


def expected(workspace: Path, least: int = 1) -> np.ndarray:
    """Highest NDVI by plain numpy, from the cube."""
    dates = open_cube(workspace / "cubes" / "31TCJ.zarr", masked=True)
    coarse = open_cube(workspace / "cubes" / "31TCJ.zarr", "r20m").scl.values
    scl = coarse.repeat(2, axis=1).repeat(2, axis=2)
    red, nir = dates.red.values.astype("f4"), dates.nir.values.astype("f4")
    clear = np.isin(scl, (2, 4, 5, 6, 11)) & ~np.isnan(red) & ~np.isnan(nir)
    ndvi = np.where(clear, (nir - red) / (nir + red), -np.inf).max(axis=0)
    return np.where(clear.sum(axis=0) >= least, ndvi, np.nan)


def made(workspace: Path, item_id: str) -> tuple[dict, np.ndarray]:
    with open_workspace(workspace) as opened:
        (item,) = opened.search(ids=[item_id])
    with rasterio.open(item.assets["ndvi"].href) as raster:
        return item.to_dict(), raster.read(1)


def test_a_job_of_another_package_gets_everything(plugin, season, clearcube, tmp_path) -> None:
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", *season.products[:2]).status == 0
    said = clearcube(workspace, "run", "monthly-ndvi", "--help")
    assert "min_clear=1: Fewest clear dates for a pixel to be kept." in said.out
    assert "Highest NDVI of the month" in said.out
    plan = json.loads(clearcube(workspace, "plan", "monthly-ndvi", *ASKED, "--json").out)["plans"][
        0
    ]
    assert [(i["id"], i["state"]) for i in plan["items"]] == [(ITEM, "missing")]
    assert {stage["name"]: stage["units"] for stage in plan["stages"]} == {
        "monthly-ndvi 31TCJ": 1,
        "files 31TCJ": 2,
    }
    assert clearcube(workspace, "run", "monthly-ndvi", *ASKED).out.split() == [ITEM]
    item, ndvi = made(workspace, ITEM)
    np.testing.assert_allclose(ndvi, expected(workspace), atol=1e-6)
    assert np.isfinite(ndvi).mean() > 0.5
    assert item["collection"] == "monthly-ndvi"
    assert item["assets"]["ndvi"]["raster:bands"] == [{"data_type": "float32", "nodata": "nan"}]
    assert set(item["assets"]) == {"ndvi", "clear_count"}
    parents = {link["title"] for link in item["links"] if link["rel"] == "derived_from"}
    assert set(item["properties"]["clearcube:inputs"]) == parents
    assert clearcube(workspace, "run", "monthly-ndvi", *ASKED).out == "nothing to make: 1 current\n"
    # A late scene makes it stale, and only that is made again.
    late = season.products[3]
    assert clearcube(workspace, "ingest", late).status == 0
    states = json.loads(clearcube(workspace, "status", "--json").out)["items"]
    (state,) = (each for each in states if each["id"] == ITEM)
    assert state["state"] == "stale"
    assert state["because"] == [f"{late.stem} is new"]
    assert ITEM in clearcube(workspace, "run", "stale").out.split()
    _, after = made(workspace, ITEM)
    np.testing.assert_allclose(after, expected(workspace), atol=1e-6)
    assert not np.array_equal(after, ndvi, equal_nan=True)
    # Its own parameters are part of the recipe, and a variant stands beside.
    variant = ("--set", "min_clear=3", "--name", "strict")
    assert clearcube(workspace, "run", "monthly-ndvi", *ASKED, *variant).status == 0
    item, ndvi = made(workspace, f"{ITEM}_strict")
    assert item["properties"]["clearcube:parameters"]["min_clear"] == 3
    np.testing.assert_allclose(ndvi, expected(workspace, least=3), atol=1e-6)


def test_what_a_job_that_is_not_installed_made_is_left_alone(
    plugin, season, clearcube, tmp_path
) -> None:
    workspace = tmp_path / "w"
    assert clearcube(workspace, "ingest", season.products[0]).status == 0
    assert clearcube(workspace, "run", "monthly-ndvi", *ASKED).status == 0
    _remove(str(plugin))
    states = json.loads(clearcube(workspace, "status", "--json").out)["items"]
    (state,) = (each for each in states if each["id"] == ITEM)
    assert (state["state"], state["because"]) == (
        "current",
        ["job monthly-ndvi is not installed here"],
    )
    assert clearcube(workspace, "run", "stale").status == 0
    assert made(workspace, ITEM)[0]["id"] == ITEM
    clearcube(workspace, "run", "monthly-ndvi", *ASKED).refused("no job is called 'monthly-ndvi'")
