"""The main job on a real series: scenes to cube, masks and syntheses that other tools load."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import stackstac
import xarray as xr
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from rio_cogeo import cog_validate
from rio_tiler.io import STACReader

from catalog.items import validate_item
from catalog.search import Query
from cube.store import open_cube
from jobs.workspace import Workspace, open_workspace

pytestmark = [pytest.mark.shared, pytest.mark.cluster]

MONTHS = "2018-08/2019-11"
WHEAT, MAIZE = 1110, 1200


@pytest.fixture(scope="module")
def series(shared: Path) -> Path:
    return shared / "s2-l2a-31UES"


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, series: Path, cluster_address: str
) -> Iterator[Workspace]:
    path = tmp_path_factory.mktemp("31UES")
    with open_workspace(path, scheduler=cluster_address) as workspace:
        ingested = workspace.ingest(series / "catalog.json")
        assert len(ingested.made) == 72
        assert ingested.failures == []
        for method in ("wasp", "median"):
            done = workspace.run(
                "synthesis", tile="31UES", datetime=MONTHS, method=method, mask="scl"
            )
            assert done.failures == []
            assert len(done.made) == 16
        yield workspace


def read(item: pystac.Item, key: str) -> np.ndarray[Any, Any]:
    with rasterio.open(item.assets[key].href) as raster:
        pixels: np.ndarray[Any, Any] = raster.read(1)
    return pixels


def find(workspace: Workspace, item_id: str) -> pystac.Item:
    (item,) = workspace.search(ids=[item_id])
    return item


def files_of(workspace: Workspace) -> dict[str, bytes]:
    """Every file that a run which makes nothing must leave alone."""
    root = workspace.settings.workspace
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and not path.name.startswith("catalog.db")
        and path.suffix != ".lock"
        and "runs" not in path.relative_to(root).parts
    }


def test_every_month_and_every_mask_is_published(workspace: Workspace) -> None:
    for method in ("wasp", "median"):
        items = workspace.search(collections=[f"synthesis-{method}"], tile="31UES")
        assert len(items) == 16
        assert items[0].id == f"31UES_2019-11_{method}_scl"
    assert len(workspace.search(collections=["cloud-mask-scl"], limit=1000)) == 72
    (cube,) = workspace.search(collections=["cubes"])
    assert cube.id == "31UES"
    assert cube.properties["clearcube:dates"] == 72


def test_items_say_what_the_contract_asks(workspace: Workspace) -> None:
    item = find(workspace, "31UES_2019-05_wasp_scl")
    validate_item(item.to_dict(include_self_link=False))
    about = item.properties
    assert about["grid:code"] == "MGRS-31UES"
    assert about["start_datetime"] == "2019-05-01T00:00:00Z"
    assert about["clearcube:status"] == "final"
    assert about["clearcube:method"] == "wasp"
    assert about["clearcube:parameters"]["window"] == "centred"
    # Five scenes lie within 23 days of 15 May 2019, each with its mask.
    assert len(about["clearcube:inputs"]) == 10
    assert about["clearcube:dates"] == 5
    assert len(item.get_links("derived_from")) == 10
    last = find(workspace, "31UES_2019-11_wasp_scl")
    assert last.properties["clearcube:status"] == "provisional"
    layers = {"weight", "date", "status", "clear_count", "total_count"}
    bands10 = {"blue", "green", "red", "nir"}
    bands20 = {"rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22"}
    assert set(item.assets) == (
        layers | {f"{layer}_20m" for layer in layers} | bands10 | bands20 | {"thumbnail"}
    )
    assert item.assets["swir16"].extra_fields["proj:shape"] == [32, 32]


def test_every_cog_is_valid(workspace: Workspace) -> None:
    cogs = sorted(workspace.products.rglob("*.tif"))
    assert len(cogs) == 72 + 2 * 16 * 20
    for cog in cogs[:: max(1, len(cogs) // 60)]:
        valid, errors, warnings = cog_validate(cog, quiet=True)
        assert (valid, errors, warnings) == (True, [], []), cog


@pytest.mark.parametrize("method", ["wasp", "median"])
def test_parcels_follow_their_crops(workspace: Workspace, series: Path, method: str) -> None:
    parcels = json.loads((series / "parcels.geojson").read_text())["features"]

    def ndvi(month: str, crop: int) -> float:
        item = find(workspace, f"31UES_{month}_{method}_scl")
        red, nir = read(item, "red").astype(float), read(item, "nir").astype(float)
        with rasterio.open(item.assets["red"].href) as raster:
            shapes = [
                transform_geom("EPSG:4326", raster.crs, parcel["geometry"])
                for parcel in parcels
                if parcel["properties"]["crop_code"] == crop
            ]
            inside = rasterize(shapes, out_shape=raster.shape, transform=raster.transform) == 1
        seen = inside & (red != -10000) & (nir != -10000)
        return float(np.median(((nir - red) / (nir + red))[seen]))

    assert ndvi("2019-05", WHEAT) > 0.7
    assert ndvi("2019-08", WHEAT) < 0.35
    assert ndvi("2019-05", MAIZE) < 0.5
    assert ndvi("2019-08", MAIZE) > 0.7


def test_the_median_is_the_median_of_the_clear_dates(workspace: Workspace) -> None:
    """Recomputed from the source COGs and the SCL with numpy alone."""
    items = list(workspace.search(collections=["sentinel-2-l2a"], datetime="2019-04", limit=100))
    assert len(items) == 5
    red = np.stack([read(item, "red") for item in items]).astype(float)
    scl = np.stack([read(item, "scl") for item in items]).repeat(2, 1).repeat(2, 2)
    red[~np.isin(scl, (2, 4, 5, 6)) | (red == 0)] = np.nan
    expected = np.rint(np.nanmedian(red, axis=0))
    made = find(workspace, "31UES_2019-04_median_scl")
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(read(made, "red"), expected)
    count = np.isfinite(red).sum(axis=0)
    np.testing.assert_array_equal(read(made, "clear_count"), count)


def test_odc_stac_loads_the_items_as_they_are(workspace: Workspace) -> None:
    items = workspace.search(collections=["synthesis-wasp"], datetime="2019-05/2019-06")
    loaded = odc.stac.load(items, bands=["red", "nir", "swir16", "status"], resolution=10)
    assert dict(loaded.sizes) == {"time": 2, "y": 64, "x": 64}
    assert loaded.red.dtype == np.int16
    may = find(workspace, "31UES_2019-05_wasp_scl")
    np.testing.assert_array_equal(loaded.red[0].values, read(may, "red"))
    np.testing.assert_array_equal(loaded.status[0].values, read(may, "status"))
    twenty = read(may, "swir16").repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(loaded.swir16[0].values, twenty)
    masks = workspace.search(collections=["cloud-mask-scl"], datetime="2019-05-16")
    classes = odc.stac.load(masks, bands=["mask"])
    np.testing.assert_array_equal(classes.mask[0].values, read(masks[0], "mask"))


def test_items_have_titles_that_tell_them_apart(workspace: Workspace) -> None:
    made = [i for i in workspace.documents(Query()) if "clearcube:job" in i["properties"]]
    titles = {item["id"]: item["properties"]["title"] for item in made}
    assert titles["31UES"] == "31UES, time cube of l2a"
    assert titles["31UES_2019-05_wasp_scl"] == "31UES 2019-05, wasp, mask scl"
    assert titles["31UES_20190516T105659_scl"] == "31UES 2019-05-16, classes by scl"
    assert len(set(titles.values())) == len(made) == 32 + 72 + 1


# Assets state no statistics: rio-tiler says of none what it says of wrong ones.
@pytest.mark.filterwarnings("ignore:Some statistics data in STAC are invalid:UserWarning")
def test_renderings_of_the_collection_are_what_tilers_read(
    workspace: Workspace, tmp_path: Path
) -> None:
    may = find(workspace, "31UES_2019-05_wasp_scl")
    (tmp_path / "item.json").write_text(json.dumps(may.to_dict()))
    ways = workspace.catalog.collection("synthesis-wasp")["renders"]
    red, nir = (read(may, name).astype(float) for name in ("red", "nir"))
    with STACReader(str(tmp_path / "item.json")) as reader:
        true = reader.preview(assets=ways["true-colour"]["assets"])
        ndvi = reader.preview(assets=ways["ndvi"]["assets"])
        ndvi = ndvi.apply_expression(ways["ndvi"]["expression"])
    np.testing.assert_array_equal(true.array.data[0], read(may, "red"))
    np.testing.assert_allclose(ndvi.array.data[0], (nir - red) / (nir + red), rtol=1e-6)


def test_stackstac_loads_the_same_pixels(workspace: Workspace) -> None:
    may = find(workspace, "31UES_2019-05_wasp_scl")
    stack = stackstac.stack(
        [may],
        assets=["red", "nir"],
        epsg=32631,
        bounds=(574680, 5621800, 575320, 5622440),
        resolution=10,
        dtype="int16",
        fill_value=np.int16(-10000),
        rescale=False,
    )
    pixels = stack.data.compute(scheduler="synchronous")[0]
    np.testing.assert_array_equal(pixels[0], read(may, "red"))
    np.testing.assert_array_equal(pixels[1], read(may, "nir"))


def test_xarray_opens_the_cube_by_its_item_alone(workspace: Workspace) -> None:
    (item,) = workspace.search(collections=["cubes"])
    for group, shape in (("r10m", (64, 64)), ("r20m", (32, 32))):
        asset = item.assets[group]
        assert asset.media_type == "application/vnd.zarr"
        assert asset.extra_fields["zarr:zarr_format"] == 3
        dataset = xr.open_zarr(asset.href, **asset.extra_fields["xarray:open_kwargs"])
        assert (dataset.sizes["y"], dataset.sizes["x"]) == shape
        assert dataset.odc.crs.epsg == 32631
        assert "spatial_ref" in dataset.coords
    ten = xr.open_zarr(
        item.assets["r10m"].href, **item.assets["r10m"].extra_fields["xarray:open_kwargs"]
    )
    source = find(workspace, "S2_31UES_20190516T105659_L2A")
    date = np.datetime64("2019-05-16T10:56:59")
    np.testing.assert_allclose(
        ten.blue.sel(time=date).values, read(source, "blue") * 0.0001, atol=1e-9
    )


def test_a_second_run_makes_nothing_and_touches_nothing(workspace: Workspace, series: Path) -> None:
    before = files_of(workspace)
    again = workspace.ingest(series / "catalog.json")
    assert (again.made, len(again.current)) == ([], 72)
    for job, request in (
        ("cube", {}),
        ("decode-masks", {"encoding": "scl"}),
        ("synthesis", {"datetime": MONTHS, "method": "wasp", "mask": "scl"}),
        ("synthesis", {"datetime": MONTHS, "method": "median", "mask": "scl"}),
    ):
        done = workspace.run(job, tile="31UES", **request)
        assert (done.made, done.prepared, done.failures) == ([], [], [])
        assert len(done.current) in (16, 72)
    assert files_of(workspace) == before


def test_a_variant_stands_beside_the_default(workspace: Workspace) -> None:
    strict = workspace.run(
        "decode-masks",
        tile="31UES",
        datetime="2019-05",
        encoding="scl",
        reading="strict",
        buffer=60.0,
        name="strict",
    )
    assert len(strict.made) == 4
    wider = find(workspace, "31UES_20190511T105704_scl_strict")
    plain = find(workspace, "31UES_20190511T105704_scl")
    cloudy = np.isin(read(plain, "mask"), (2, 3, 4))
    assert np.isin(read(wider, "mask"), (2, 3, 4))[cloudy].all()
    done = workspace.run(
        "synthesis", tile="31UES", datetime="2019-05", method="median", mask="scl:strict"
    )
    assert done.made == ["31UES_2019-05_median_scl-strict"]
    item = find(workspace, "31UES_2019-05_median_scl-strict")
    assert item.properties["clearcube:parameters"]["mask_parameters"] == {
        "reading": "strict",
        "buffer": 60.0,
    }
    assert (
        read(item, "clear_count")
        <= read(find(workspace, "31UES_2019-05_median_scl"), "clear_count")
    ).all()


def test_the_two_engines_give_identical_pixels(
    tmp_path: Path, workspace: Workspace, series: Path, cluster_address: str
) -> None:
    with open_workspace(tmp_path, scheduler=cluster_address) as other:
        other.ingest(series / "catalog.json", datetime="2019-05/2019-07")
        other.run("cube", tile="31UES", engine="stackstac")
        dates = slice("2019-05-01", "2019-07-31")
        for group in ("r10m", "r20m"):
            with_stackstac = open_cube(other.cubes / "31UES.zarr", group).load()
            with_odc = open_cube(workspace.cubes / "31UES.zarr", group).sel(time=dates).load()
            xr.testing.assert_identical(with_stackstac.drop_attrs(), with_odc.drop_attrs())


def test_dates_may_arrive_in_any_order(
    tmp_path: Path, workspace: Workspace, series: Path, cluster_address: str
) -> None:
    with open_workspace(tmp_path, scheduler=cluster_address) as other:
        for period in ("2019-06", "2019-04", "2019-05"):
            other.ingest(series / "catalog.json", datetime=period)
            added = other.run("cube", tile="31UES")
            assert added.made
        built = open_cube(other.cubes / "31UES.zarr").load()
        whole = open_cube(workspace.cubes / "31UES.zarr")
        expected = whole.sel(time=slice("2019-04-01", "2019-06-30")).load()
        xr.testing.assert_identical(built.drop_attrs(), expected.drop_attrs())
        # What is asked for is made of the same pixels, whatever else is catalogued.
        done = other.run("synthesis", tile="31UES", datetime="2019-05", method="median", mask="scl")
        assert done.made == ["31UES_2019-05_median_scl"]
    here = find(workspace, "31UES_2019-05_median_scl")
    file = tmp_path / "products" / "synthesis-median" / "31UES_2019-05_median_scl"
    (red,) = file.rglob("*_red.tif")
    assert red.read_bytes() == Path(here.assets["red"].href).read_bytes()


def test_settings_of_a_named_request_leave_the_default_masks_alone(workspace: Workspace) -> None:
    before = find(workspace, "31UES_20190511T105704_scl").to_dict()
    done = workspace.run(
        "synthesis",
        tile="31UES",
        datetime="2019-05",
        method="median",
        mask="scl",
        mask_options={"unclassified": "clear"},
        name="open",
    )
    assert done.made == ["31UES_2019-05_median_scl_open"]
    assert find(workspace, "31UES_20190511T105704_scl").to_dict() == before
    mask = find(workspace, "31UES_20190511T105704_scl_open")
    assert mask.properties["clearcube:parameters"]["unclassified"] == "clear"
    item = find(workspace, "31UES_2019-05_median_scl_open")
    assert "31UES_20190511T105704_scl_open" in item.properties["clearcube:inputs"]
