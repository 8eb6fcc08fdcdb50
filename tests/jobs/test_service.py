"""``clearcube serve`` on what the jobs made, asked with the libraries that users have."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import requests
import stackstac
import xarray as xr
from pystac_client import Client

from catalog.items import validate_item
from catalog.search import Query
from jobs.simulate.season import SeasonFiles
from jobs.workspace import Workspace, open_workspace

pytestmark = pytest.mark.cluster

TOKEN = "a token of the tests"
TILE = "31TCJ"
ALL = Query(limit=1000)


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, season: SeasonFiles, cluster_address: str
) -> Iterator[Workspace]:
    path = tmp_path_factory.mktemp("served")
    with open_workspace(path, scheduler=cluster_address) as workspace:
        fill(workspace, season)
        yield workspace


def fill(workspace: Workspace, season: SeasonFiles) -> None:
    assert workspace.ingest(*season.products).failures == []
    done = workspace.run("synthesis", tile=TILE, datetime="2020-05", method="wasp", mask="scl")
    assert done.failures == []


@pytest.fixture(scope="module")
def service(workspace: Workspace) -> Iterator[str]:
    """Address of a process that serves the workspace."""
    command = [
        sys.executable, "-m", "jobs.cli", "--workspace", str(workspace.settings.workspace),
        "serve", "--port", "0",
    ]  # fmt: skip
    environment = {**os.environ, "CLEARCUBE_API_TOKEN": TOKEN}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found is not None, line + process.stderr.read()
            yield found[0]
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def client(service: str) -> Client:
    return Client.open(service)


# Clients


def test_search_then_load(client: Client, workspace: Workspace) -> None:
    """As the README says, with public libraries alone."""
    found = client.search(
        collections=["synthesis-wasp"], filter=f"grid:code = 'MGRS-{TILE}'", datetime="2020-05"
    )
    loaded = odc.stac.load(found.items(), bands=["red", "weight"], chunks={}).compute()
    item = workspace.search(collections=["synthesis-wasp"])[0]
    with rasterio.open(item.assets["red"].href) as raster:
        expected = raster.read(1)
    assert loaded.red.dtype == np.int16
    np.testing.assert_array_equal(loaded.red.isel(time=0), expected)
    assert float(loaded.weight.max()) > 0


def test_the_clear_fraction_of_each_mask_by_date(client: Client) -> None:
    search = client.search(
        collections=["cloud-mask-scl"],
        filter={"op": "=", "args": [{"property": "grid:code"}, f"MGRS-{TILE}"]},
        sortby="datetime",
    )
    assert search.matched() == 4
    items = list(search.items())
    stack = odc.stac.load(items, bands=["mask"]).mask
    for item, mask in zip(items, stack.values, strict=True):
        observed = mask[mask > 0]
        clear = 100 * np.isin(observed, (1, 5, 6)).mean()
        assert clear == pytest.approx(item.properties["clearcube:clear_percentage"], abs=0.01)


def test_stackstac_over_http(client: Client) -> None:
    items = list(client.search(collections=["synthesis-wasp"]).items())
    epsg = int(items[0].properties.get("proj:code", "EPSG:32631").removeprefix("EPSG:"))
    stack = stackstac.stack(items, assets=["red"], epsg=epsg, resolution=10, rescale=False)
    loaded = stack.isel(time=0, band=0).compute()
    with rasterio.open(items[0].assets["red"].href) as raster:
        assert raster.crs.to_epsg() == epsg
        expected = raster.read(1).astype(float)
    inner = loaded.sel(x=loaded.x[2:-2], y=loaded.y[2:-2]).values
    assert np.isin(inner[np.isfinite(inner)], expected).all()


def test_gdal_opens_a_search_as_a_raster(service: str, workspace: Workspace) -> None:
    """GDAL's STACIT driver: the items of a search as one mosaic."""
    search = f"{service}/search?collections=synthesis-wasp"
    item = workspace.search(collections=["synthesis-wasp"])[0]
    with (
        rasterio.open(item.assets["red"].href) as expected,
        rasterio.open(f'STACIT:"{search}":asset=red') as mosaic,
    ):
        assert mosaic.driver == "STACIT"
        assert mosaic.crs == expected.crs
        assert mosaic.transform == expected.transform
        np.testing.assert_array_equal(mosaic.read(1), expected.read(1))


def test_a_cube_is_opened_by_its_asset(client: Client, workspace: Workspace) -> None:
    item = next(client.search(collections=["cubes"]).items())
    asset = item.assets["r10m"]
    keywords = {**asset.extra_fields["xarray:open_kwargs"], "chunks": None}
    with xr.open_zarr(asset.href, **keywords) as served:
        local = workspace.search(collections=["cubes"])[0].assets["r10m"].href
        with xr.open_zarr(local, **keywords) as there:
            xr.testing.assert_identical(served.red.load(), there.red.load())


def test_every_search_option_of_pystac_client(client: Client, workspace: Workspace) -> None:
    item = workspace.search(collections=["sentinel-2-l2a"])[0]
    west, south, east, north = item.bbox
    point = {"type": "Point", "coordinates": [(west + east) / 2, (south + north) / 2]}
    options: list[dict[str, Any]] = [
        {"collections": ["sentinel-2-l2a"]},
        {"ids": [item.id]},
        {"bbox": item.bbox},
        {"intersects": point, "collections": "cubes"},
        {"datetime": "2020-05-01/2020-05-31"},
        {"datetime": "2020-05-10T00:00:00Z/.."},
        {"query": ["eo:cloud_cover<50"]},
        {"query": {"eo:cloud_cover": {"lt": 50}}},
        {"filter": "eo:cloud_cover < 50"},
        {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 50]}},
        {"filter": "eo:cloud_cover < 50", "filter_lang": "cql2-text"},
        {"sortby": "-properties.datetime", "limit": 2},
        {"sortby": [{"field": "id", "direction": "asc"}], "limit": 3},
        {"fields": ["id", "properties.datetime", "-assets"]},
        {"max_items": 3},
    ]
    for option in options:
        by_post, by_get = (
            [item["id"] for item in client.search(method=method, **option).items_as_dicts()]
            for method in ("POST", "GET")
        )
        assert by_post == by_get, option
        assert len(set(by_post)) == len(by_post) > 0, option
    assert {each.id for each in client.get_collections()} >= {"cubes", "synthesis-wasp"}
    assert [each.id for each in client.collection_search(q="synthes").collections()]
    assert client.get_collection("cubes").get_item(TILE).id == TILE
    assert len(list(client.get_collection("cloud-mask-scl").get_items())) == 4
    assert "eo:cloud_cover" in client.get_queryables()["properties"]
    assert client.search(collections=["cloud-mask-scl"]).matched() == 4


def test_items_served_are_valid(client: Client) -> None:
    for item in client.search().items_as_dicts():
        validate_item(item)


# Safety


def test_writes_need_the_token(service: str) -> None:
    item = requests.get(f"{service}/collections/cubes/items/{TILE}", timeout=10).json()
    address = f"{service}/collections/cubes/items/{TILE}"
    assert requests.put(address, json=item, timeout=10).status_code == 401
    assert requests.delete(address, timeout=10).status_code == 401
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.put(address, json=item, headers=allowed, timeout=10).status_code == 200


def test_nothing_of_the_server_is_told(service: str, workspace: Workspace) -> None:
    home = str(workspace.settings.workspace)
    for path in ("search", "collections", "collections/cubes/items", "nope", "assets/x/y/z"):
        assert home not in requests.get(f"{service}/{path}", timeout=10).text
    assert requests.get(f"{service}/healthz", timeout=10).json() == {"status": "ok"}


def test_runs_are_told_by_their_numbers_and_not_by_paths(
    service: str, workspace: Workspace
) -> None:
    answer = requests.get(f"{service}/jobs", timeout=30)
    runs = answer.json()
    assert {run["job"] for run in runs} >= {"cube", "decode-masks", "synthesis"}
    assert {run["state"] for run in runs} == {"done"}
    one = requests.get(f"{service}/jobs/{runs[0]['id']}", timeout=30)
    assert one.json() == runs[0]
    assert requests.get(f"{service}/jobs?limit=1", timeout=30).json() == runs[:1]
    none = requests.get(f"{service}/jobs/none", timeout=30)
    assert none.status_code == 404
    assert none.json()["description"] == "there is no run 'none' in runs; see clearcube runs"
    assert str(workspace.settings.workspace) not in answer.text + one.text + none.text


def test_addresses_that_cannot_be(clearcube: Any, workspace: Workspace, service: str) -> None:
    home = workspace.settings.workspace
    port = service.rpartition(":")[2]
    clearcube(home, "serve", "--port", port).refused(f"127.0.0.1:{port}", "give another")
    clearcube(home, "serve", "--host", "nowhere.invalid").refused("nowhere.invalid")
    clearcube(home / "none", "serve").refused("there is no workspace")


# The command line


def test_search_by_filter_geometry_and_order(
    clearcube: Any, workspace: Workspace, tmp_path: Path
) -> None:
    home = workspace.settings.workspace
    words = ["search", "--json", "--collection", "sentinel-2-l2a"]
    said = clearcube(home, *words, "--filter", "eo:cloud_cover < 50", "--sortby", "eo:cloud_cover")
    clouds = [item["properties"]["eo:cloud_cover"] for item in json.loads(said.out)["features"]]
    assert clouds == sorted(clouds)
    assert 0 < len(clouds) < 5
    item = json.loads(said.out)["features"][0]
    file = tmp_path / "field.geojson"
    file.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": item["geometry"]}))
    assert json.loads(clearcube(home, *words, "--intersects", file).out)["numberMatched"] == 5
    assert json.loads(clearcube(home, *words, "--intersects", "POINT(0 0)").out)["features"] == []
    clearcube(home, *words, "--filter", "eo:cloud_cover <").refused("is no cql2-text")
    clearcube(home, *words, "--intersects", "nothing.json").refused("no file of one")
    clearcube(home, *words, "--bbox", "0,0,1,1", "--intersects", "POINT(0 0)").refused("exclude")


# PostgreSQL, and copies


def test_jobs_run_on_postgresql(
    workspace: Workspace,
    season: SeasonFiles,
    pgstac_url: str,
    cluster_address: str,
    tmp_path: Path,
) -> None:
    with open_workspace(tmp_path, catalog=pgstac_url, scheduler=cluster_address) as other:
        fill(other, season)
        assert not (tmp_path / "catalog.db").exists()
        there, here = known(other), known(workspace)
        assert set(there) == set(here)
        for key, item in here.items():
            for one, two in zip(there[key], item, strict=True):
                assert one == two, (key, [(n, one[n], two[n]) for n in two if one[n] != two[n]])
        again = other.run("synthesis", tile=TILE, datetime="2020-05", method="wasp", mask="scl")
        assert (again.made, again.failures) == ([], [])
        assert {target.state.value for target in other.status()} == {
            target.state.value for target in workspace.status()
        }


def known(workspace: Workspace) -> dict[str, Any]:
    """All items as far as two workspaces can be compared."""
    found = {}
    for item in workspace.documents(ALL):
        own = {k: v for k, v in item["properties"].items() if k not in ("created", "updated")}
        sums = {key: asset.get("file:checksum") for key, asset in item["assets"].items()}
        found[item["collection"], item["id"]] = own, sums, item["geometry"], item["links"]
    return found


def test_the_catalogue_is_copied_and_compared(
    clearcube: Any, workspace: Workspace, pgstac_url: str, tmp_path: Path
) -> None:
    home = workspace.settings.workspace
    items = list(workspace.documents(ALL))
    said = clearcube(home, "export", "catalog", "--to", pgstac_url, "--json")
    assert said.status == 0, said.err
    copied = json.loads(said.out)
    assert (copied["items"], copied["searches"] > 20) == (len(items), True)
    with open_workspace(home, catalog=pgstac_url) as other:
        assert list(other.documents(ALL)) == items
    lines, parquet, folder = (tmp_path / name for name in ("a.ndjson", "a.parquet", "static"))
    for path in (lines, parquet, folder):
        assert json.loads(clearcube(home, "export", "catalog", "--to", path, "--json").out)[
            "items"
        ] == len(items)
    assert [json.loads(line) for line in lines.read_text().splitlines()] == items
    assert (
        len((tmp_path / "a.collections.ndjson").read_text().splitlines()) == copied["collections"]
    )
    root = pystac.Catalog.from_file(str(folder / "catalog.json"))
    assert {item.id for item in root.get_items(recursive=True)} == {item["id"] for item in items}
    (synthesis,) = root.get_child("synthesis-wasp").get_items()
    sources = [link for link in synthesis.links if link.rel == "derived_from"]
    assert all(Path(link.get_absolute_href()).is_file() for link in sources)
    read_by_duckdb(parquet, items)
    with open_workspace(tmp_path / "again") as again:
        assert again.ingest(folder / "sentinel-2-l2a" / "collection.json").failures == []
    clearcube(home, "export", "catalog", "--to", "x.csv").refused("FILE.ndjson")
    clearcube(home, "export", "catalog", "--to", "mysql://x").refused("no kind of catalogue")
    clearcube(home, "export", "catalog", "--to", f"sqlite:///{home}/catalog.db").refused("itself")


def read_by_duckdb(path: Path, items: list[dict[str, Any]]) -> None:
    import duckdb

    rows = duckdb.sql(
        f"SELECT id, \"eo:cloud_cover\", geometry FROM '{path}' "
        "WHERE collection = 'sentinel-2-l2a' ORDER BY id"
    ).fetchall()
    scenes = sorted(
        (each for each in items if each["collection"] == "sentinel-2-l2a"),
        key=lambda each: str(each["id"]),
    )
    assert [(row[0], row[1]) for row in rows] == [
        (each["id"], each["properties"]["eo:cloud_cover"]) for each in scenes
    ]
