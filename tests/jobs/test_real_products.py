"""Genuine SAFE and MUSCATE products through ingest, cube, masks and a synthesis."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from cube.place import Place
from cube.store import open_cube
from jobs.errors import RequestError
from jobs.explain import explain
from jobs.workspace import Workspace, open_workspace

pytestmark = [pytest.mark.shared, pytest.mark.cluster]


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, shared: Path, cluster_address: str
) -> Iterator[Workspace]:
    sources = [
        *sorted((shared / "safe-l2a-small").glob("*.SAFE")),
        *sorted((shared / "safe-l1c-31TCJ").glob("*.SAFE")),
        *sorted((shared / "muscate-38KPE").glob("SENTINEL2*")),
        *sorted((shared / "wasp-reference" / "l2a").glob("SENTINEL2*")),
    ]
    assert len(sources) == 10
    path = tmp_path_factory.mktemp("real")
    with open_workspace(path, scheduler=cluster_address) as workspace:
        outcome = workspace.ingest(*sources)
        assert outcome.failures == []
        assert len(outcome.made) == 10
        workspace.notes = outcome.notes  # type: ignore[attr-defined]
        yield workspace


def read(path: str | Path) -> np.ndarray[Any, Any]:
    with rasterio.open(path) as raster:
        pixels: np.ndarray[Any, Any] = raster.read(1)
    return pixels


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.rglob(pattern)
    return found


def test_items_bear_the_products_own_names(workspace: Workspace) -> None:
    ids = {item.id for item in workspace.search(collections=["sentinel-2-l2a"])}
    assert ids == {
        "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857",
        "S2B_MSIL2A_20191228T210519_N0212_R071_T01CCV_20201003T104658",
        "S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500",
    }
    (theia,) = workspace.search(tile="38KPE", datetime="2017-02-13")
    assert theia.id == "SENTINEL2A_20170213-071209-461_L2A_T38KPE_C_V1-0"


def test_the_files_own_headers_count(workspace: Workspace) -> None:
    (item,) = workspace.search(tile="07HFE")
    blue = item.assets["blue"].extra_fields
    assert blue["proj:shape"] == [100, 100]
    assert blue["proj:transform"] == [1098.0, 0.0, 600000.0, 0.0, -1098.0, 6500020.0]
    (note,) = [n for n in item.properties["clearcube:notes"] if n.startswith("blue green red nir")]
    assert "100 x 100 pixels of 1098 m, the metadata say 10980 x 10980 of 10 m" in note
    (signed,) = workspace.search(tile="31TCJ", datetime="2024-03-05")
    assert signed.assets["red"].extra_fields["raster:bands"][0]["data_type"] == "int16"
    assert signed.assets["red"].extra_fields["raster:bands"][0]["offset"] == pytest.approx(-0.1)


def test_absent_masks_are_named_once(workspace: Workspace) -> None:
    notes = [n for n in workspace.notes if "not delivered" in n and "38KPE" in n]  # type: ignore[attr-defined]
    assert len(notes) == 2
    for name in ("CLM_R1", "MG2_R1", "EDG_R1", "SAT_R1", "AOT"):
        assert name in notes[0]


def test_coarse_bands_are_refused_unless_asked_for(workspace: Workspace, shared: Path) -> None:
    with pytest.raises(RequestError, match=r"pixels of 1098 m.*--resolution 1098"):
        workspace.run("cube", tile="22HBD")
    done = workspace.run("cube", tile="22HBD", resolution=1098)
    assert (done.made, done.failures) == (["22HBD-20210122T133229"], [])
    cube = open_cube(workspace.cubes / "22HBD.zarr", "r1098m")
    assert dict(cube.sizes) == {"time": 1, "y": 100, "x": 100}
    tree = shared / "safe-l2a-small"
    source = read(only(tree, "T22HBD_20210122T133229_B04_10m.jp2")).astype(int)
    expected = np.where(source == 0, -10000, source)
    np.testing.assert_array_equal(cube.red[0].values, expected)
    np.testing.assert_array_equal(
        cube.scl[0].values, read(only(tree, "T22HBD_20210122T133229_SCL_20m.jp2"))
    )


def test_l1c_offsets_come_from_the_xml(workspace: Workspace, shared: Path) -> None:
    done = workspace.run("cube", tile="31TCJ", level="l1c")
    assert done.failures == []
    (path,) = (
        p
        for p in workspace.cubes.glob("31TCJ*.zarr")
        if open_cube(p).attrs["title"].find("l1c") > 0
    )
    cube = open_cube(path)
    assert dict(cube.sizes) == {"time": 2, "y": 30, "x": 30}
    source = read(only(shared / "safe-l1c-31TCJ", "T31TCJ_20240120T105341_B02.jp2")).astype(int)
    np.testing.assert_array_equal(cube.blue[0].values, np.where(source == 0, -10000, source - 1000))
    # The product gives all bands at 10 m; a 20 m band is the mean of four pixels.
    fine = read(only(shared / "safe-l1c-31TCJ", "T31TCJ_20240120T105341_B11.jp2")).astype(float)
    mean = fine.reshape(15, 2, 15, 2).mean(axis=(1, 3)) - 1000
    assert np.abs(open_cube(path, "r20m").swir16[0].values - mean).max() <= 0.5
    masks = workspace.run("decode-masks", tile="31TCJ", encoding="classi")
    assert masks.made == ["31TCJ_20240120T105341_classi", "31TCJ_20240305T104819_classi"]
    clear, cloudy = (
        workspace.search(ids=[name])[0].properties["clearcube:classes"] for name in masks.made
    )
    assert clear["clear"] == 100.0
    assert cloudy["cloud"] == 100.0


def test_a_stack_without_masks_makes_a_cube_but_no_masks(
    workspace: Workspace, shared: Path
) -> None:
    done = workspace.run("cube", tile="38KPE")
    assert done.made == ["38KPE-20170213T071209", "38KPE-20170223T071209"]
    cube = open_cube(workspace.cubes / "38KPE.zarr")
    stack = only(shared / "muscate-38KPE", "SENTINEL2A_20170223*FRE_STACK.tif")
    with rasterio.open(stack) as raster:
        blue, nir = raster.read(1).astype(int), raster.read(7).astype(int)
    np.testing.assert_array_equal(cube.blue[1].values, np.where(blue == 0, -10000, blue))
    np.testing.assert_array_equal(cube.nir[1].values, np.where(nir == 0, -10000, nir))
    masks = workspace.run("decode-masks", tile="38KPE", encoding="clm")
    assert (masks.made, masks.failures) == ([], [])
    assert sum("came without clm" in note for note in masks.notes) == 2
    with pytest.raises(RequestError, match="no scene with mask clm of tile 38KPE"):
        workspace.run("synthesis", tile="38KPE", datetime="2017-02")


def test_theia_products_go_all_the_way(workspace: Workspace, shared: Path) -> None:
    done = workspace.run("synthesis", tile="31TCJ", datetime="2018-05", mask="clm")
    assert (done.made, done.failures) == (["31TCJ_2018-05_wasp_clm"], [])
    (item,) = workspace.search(ids=done.made)
    reference = only(shared / "wasp-reference" / "l3a", "*_FLG_R1.tif")
    status = read(item.assets["status"].href)
    # The chain that the products were made for gives every pixel the same flag.
    np.testing.assert_array_equal(status, read(reference))
    assert np.bincount(status.ravel()).tolist() == [400, 4868, 800, 4000, 220332]
    # It also corrects for directions, which moves reflectances by some percent, not more.
    made = read(item.assets["red"].href)[status == 4].astype(float)
    theirs = read(only(shared / "wasp-reference" / "l3a", "*_FRC_B4.tif"))[status == 4].astype(
        float
    )
    assert np.percentile(np.abs(made - theirs) / theirs, 95) < 0.08


def test_a_zip_is_read_in_place(tmp_path: Path, shared: Path, cluster_address: str) -> None:
    folder = only(shared / "wasp-reference" / "l2a", "SENTINEL2B_*_C_V1-0")
    archive = shutil.make_archive(str(tmp_path / folder.name), "zip", folder.parent, folder.name)
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        outcome = workspace.ingest(archive)
        assert outcome.made == [folder.name]
        assert workspace.run("cube", tile="31TCJ").failures == []
        cube = open_cube(workspace.cubes / "31TCJ.zarr")
        source = read(only(folder, "*_FRE_B8.tif"))
        np.testing.assert_array_equal(cube.nir[0].values, source)
        np.testing.assert_array_equal(cube.clm[0].values, read(only(folder, "*_CLM_R1.tif")))
        # Theia's AOT is in 1/200; the cube's in 1/1000; 0 is its nodata.
        with rasterio.open(only(folder, "*_ATB_R2.tif")) as raster:
            aot = raster.read(2).astype(int)
        expected = np.where(aot == 0, -10000, aot * 5)
        np.testing.assert_array_equal(
            open_cube(workspace.cubes / "31TCJ.zarr", "r20m").aot[0].values, expected
        )
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["w"]


# --- a month of CNES's public program -------------------------------------------------------------

GROUPS = {
    1: ("", {"B2": "blue", "B3": "green", "B4": "red", "B8": "nir"}),
    2: (
        "_20m",
        {
            "B5": "rededge1",
            "B6": "rededge2",
            "B7": "rededge3",
            "B8A": "nir08",
            "B11": "swir16",
            "B12": "swir22",
        },
    ),
}


@pytest.fixture(scope="module")
def month(workspace: Workspace) -> Any:
    """The month that the program made of the same three products, by ``compat=wasp-binary``."""
    request = {"tile": "31TCJ", "datetime": "2018-05", "mask": "clm"}
    done = workspace.run("synthesis", **request, options={"compat": "wasp-binary"})
    assert done.failures == []
    (item,) = workspace.catalog.find("31TCJ_2018-05_wasp_clm")
    return item


@pytest.mark.parametrize("group", [1, 2])
def test_the_public_programs_month_comes_out(month: Any, shared: Path, group: int) -> None:
    """From its products to files, with the cube's one aerosol for each 20 m pixel."""
    l3a = only(shared / "wasp-reference" / "l3a", "*_MTD_ALL.xml").parent
    suffix, names = GROUPS[group]
    made = {key: read(asset["href"]) for key, asset in month["assets"].items() if "gsd" in asset}
    assert np.array_equal(made[f"status{suffix}"], read(only(l3a, f"*_FLG_R{group}.tif")))
    for name, key in names.items():
        off = np.abs(made[key].astype(int) - read(only(l3a, f"*_FRC_{name}.tif")))
        assert off.max() <= (2 if group == 2 else 3), name
        assert np.count_nonzero(off > 2) < 0.001 * off.size
    weight = np.maximum(read(only(l3a, f"*_WGT_R{group}.tif")), 0)
    assert np.abs(made[f"weight{suffix}"] * 1000 - weight).max() <= (5 if group == 2 else 10)


def test_its_item_follows_from_its_dates_and_its_angles(workspace: Workspace, month: Any) -> None:
    facts = month["properties"]["clearcube:parameters"]["facts"]
    assert [fact["platform"] for fact in facts.values()] == [f"sentinel-2{a}" for a in "aba"]
    assert [fact["sun"] for fact in facts.values()] == [[38.0, 152.0], [31.0, 148.0], [28.0, 145.0]]
    west, south, _, _ = month["bbox"]
    for east, north in ((0.01, 0.02), (0.03, 0.005)):
        found = explain(workspace, month["id"], Place(west + east, south + north))
        assert found["agrees"] is True
        first = found["groups"][0]["dates"][0]
        assert list(first["factors"]) == ["date", "cloud", "aerosol", "sensor"]
        assert first["factors"]["date"] == 0.5
    (scene,) = workspace.catalog.find(next(iter(month["links"][1:]))["href"].rpartition("/")[2])
    request = {"tile": "31TCJ", "datetime": "2018-05", "mask": "clm"}
    options = {"options": {"compat": "wasp-binary"}}

    def is_due() -> bool:
        targets = workspace.plan("synthesis", **request, **options).targets
        return next(each.is_due for each in targets if each.item_id == month["id"])

    assert not is_due()
    angles = {**scene["assets"]["angles"], "file:checksum": "1220" + "0" * 64}
    workspace.catalog.upsert_items([{**scene, "assets": {**scene["assets"], "angles": angles}}])
    assert is_due()
    workspace.catalog.upsert_items([scene])
    assert not is_due()


def test_what_could_not_be_done_is_said(workspace: Workspace) -> None:
    """Of products without aerosol; with the real grids of two dates, seen from nadir."""
    request = {"tile": "31TCJ", "datetime": "2024-02", "mask": "classi"}
    done = workspace.run("synthesis", **request, options={"half_window": 30})
    assert done.failures == []
    (item,) = workspace.catalog.find("31TCJ_2024-02_wasp_classi")
    assert item["properties"]["clearcube:notes"] == ["no aerosol, weight not lowered: every date"]
