"""Exports of a tile: what is chosen, where it goes, what is refused, what is left behind."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr

from cube.grid import Extent
from cube.rasters import write_cog
from cube.store import DateEntry, Spec, StagedDate, commit_date, create_cube
from cube.variables import level_variables
from jobs.export import Selection, export_netcdf
from jobs.outputs import put_folder, staged
from jobs.runner.publish import publish
from jobs.stores import generation_path, publish_cube
from jobs.workspace import Workspace, open_workspace

EXTENT = Extent(32631, 574680, 5621800, 575320, 5622440)  # 64 x 64 at 10 m, 32 x 32 at 20 m
TIMES = ["2019-05-01T10:50:22", "2019-05-16T10:56:59", "2019-06-15T10:56:59"]
NAMES = ["31UES_20190501T105022", "31UES_20190516T105659", "31UES_20190615T105659"]
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def beside() -> Iterator[None]:
    """GDAL sees the header beside a raster, whatever loaders of other tests told it."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"):
        yield


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three dates of blue (100, 200, 300 and the row) and nir08 (1000, ...); SCL masks of two.

    The masks are clear but for a pixel of cloud; ``wide`` is all cloud on the second date; ``clm`` at
    10 m is all shadow on the first. The SCL mask of the third date is rejected.
    """
    path = tmp_path_factory.mktemp("export") / "w"
    with open_workspace(path) as workspace:
        store = generation_path(workspace, "31UES", 1)
        made = create_cube(
            store, Spec("31UES", "l2a", EXTENT, {"r10m": 10, "r20m": 20}, level_variables("l2a"))
        ).spec
        for number, time in enumerate(TIMES, 1):
            staged_date = StagedDate(store, made, f"key{number}")
            fine = np.repeat(np.arange(64, dtype=np.int16)[:, None], 64, 1) + np.int16(100 * number)
            fine[:2, :2] = -10000
            for name, group, pixels in (
                ("blue", "r10m", fine),
                ("nir08", "r20m", np.full((32, 32), 1000 * number, np.int16)),
            ):
                variable = made.variable(group, name)
                assert variable is not None
                staged_date.write(variable, 0, 0, pixels)
            staged_date.close()
            stamp = int(np.datetime64(time, "ms").astype(np.int64))
            source = {"id": f"S2_{number}", "collection": "sentinel-2-l2a", "version": "1"}
            commit_date(store, DateEntry(stamp, f"key{number}", (source,), ("blue", "nir08")))
        publish_cube(workspace, "31UES", store, (None, None))
        clear = np.ones((32, 32), np.uint8)
        clear[5, 7] = 2
        add_mask(workspace, 0, clear)
        add_mask(workspace, 1, clear)
        add_mask(workspace, 2, clear, rejected="broken")
        add_mask(workspace, 1, np.full((32, 32), 2, np.uint8), variant="wide")
        add_mask(workspace, 0, np.full((64, 64), 3, np.uint8), method="clm")
    return path


def add_mask(
    workspace: Workspace,
    index: int,
    pixels: np.ndarray,
    *,
    method: str = "scl",
    variant: str = "",
    rejected: str = "",
) -> None:
    name = "_".join(filter(None, (NAMES[index], method, variant)))
    step = 640 // len(pixels)
    path = workspace.products / f"cloud-mask-{method}" / name / f"{name}_mask.tif"
    box = EXTENT.geobox(step)
    write_cog(path, box, lambda a, b: pixels[a:b], dtype="uint8", nodata=0, average=False)
    asset = {
        "href": str(path),
        "type": "image/tiff",
        "proj:shape": list(pixels.shape),
        "proj:transform": [step, 0.0, EXTENT.left, 0.0, -step, EXTENT.top],
    }
    properties = {
        "datetime": f"{TIMES[index]}Z",
        "grid:code": "MGRS-31UES",
        "clearcube:job": "decode-masks",
        "clearcube:fingerprint": "aaaa",
        "clearcube:variant": variant,
    }
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": f"cloud-mask-{method}",
        "geometry": None,
        "properties": properties | ({"clearcube:rejected": rejected} if rejected else {}),
        "links": [],
        "assets": {"mask": asset},
    }
    publish(workspace, [item])


@pytest.fixture
def export(space: Path, clearcube: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``export("netcdf", ...)`` of tile 31UES, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda kind, *words: clearcube(space, "export", kind, "--tile", "31UES", *words)


# --- what is written ------------------------------------------------------------------------------


def test_a_tile_as_netcdf(export: Call, tmp_path: Path) -> None:
    said = export("netcdf", "--mask", "scl", "--mask", "scl:wide", "--mask", "clm")
    assert (said.status, said.out) == (0, f"{tmp_path / '31UES.nc'}\n")
    assert "note: 1 of 3 dates have no mask scl and are 0 (no_observation) in it" in said.err
    assert "2 of 3 dates have no mask scl:wide and are 0 (no_observation) in it" in said.err
    assert "the first 2019-05-01" in said.err
    assert "3 dates at 20 m of blue, nir08, mask_scl, mask_scl_wide, mask_clm" in said.err
    with xr.open_dataset("31UES.nc") as found:
        assert found.time.values.astype("M8[s]").astype(str).tolist() == TIMES
        assert found.sizes == {"time": 3, "y": 32, "x": 32}
        # 300 and rows 62 and 63 of 10 m: the mean of four.
        assert float(found.blue[2, 31, 5]) == pytest.approx(0.0362, abs=1e-9)
        assert np.isnan(found.blue[:, 0, 0]).all()
        assert found.nir08[:, 4, 4].values == pytest.approx([0.1, 0.2, 0.3])
        assert found.mask_scl[:, 5, 7].values.tolist() == [2, 2, 0]
        assert found.mask_scl[:, 0, 0].values.tolist() == [1, 1, 0]
        assert found.mask_scl_wide[:, 3, 3].values.tolist() == [0, 2, 0]
        assert found.mask_clm[:, 3, 3].values.tolist() == [3, 0, 0]
        assert found.scenes.values.tolist() == ["S2_1", "S2_2", "S2_3"]
        assert found.attrs["acknowledgment"] == "Contains modified Copernicus Sentinel data 2019"
        assert (found.attrs["tile"], found.attrs["level"]) == ("31UES", "l2a")
    assert os.listdir(tmp_path) == ["31UES.nc"]  # noqa: PTH208


def test_bands_dates_and_a_finer_grid_are_chosen(export: Call) -> None:
    said = export("netcdf", "--bands", "blue", "--datetime", "2019-05", "--out", "may.nc")
    assert "2 dates at 10 m of blue" in said.err
    with xr.open_dataset("may.nc", mask_and_scale=False, decode_coords="all") as found:
        assert set(found.data_vars) == {"blue"}
        assert found.blue[:, 9, 9].values.tolist() == [109, 209]
    said = export(
        "netcdf", "--bands", "nir08", "--mask", "scl", "--resolution", 10, "--out", "f.nc"
    )
    with xr.open_dataset("f.nc", mask_and_scale=False) as found:
        assert found.nir08.shape == (3, 64, 64)
        assert found.nir08[1, 9, 9] == 2000
        cloud = np.argwhere(found.mask_scl[0].values == 2)
        assert cloud.tolist() == [[10, 14], [10, 15], [11, 14], [11, 15]]


def test_masks_alone(export: Call) -> None:
    assert export("netcdf", "--bands", "none", "--mask", "clm").status == 0
    with xr.open_dataset("31UES.nc", decode_coords="all") as found:
        assert set(found.data_vars) == {"mask_clm"}
        assert found.mask_clm.shape == (3, 32, 32)


def test_a_tile_as_envi_and_what_json_says(export: Call, tmp_path: Path) -> None:
    said = export("envi", "--mask", "scl", "--datetime", "2019-05", "--json")
    document = json.loads(said.out)
    names = [f"31UES_{layer}{end}" for layer in ("blue", "mask_scl", "nir08") for end in ENDS]
    folder = tmp_path / "31UES_envi"
    assert document["files"] == [str(folder / name) for name in names]
    assert document["bytes"] == sum((folder / name).stat().st_size for name in names)
    assert document["layers"] == {"blue": "blue", "nir08": "nir08", "mask_scl": "scl"}
    assert (document["format"], document["resolution"], document["level"]) == ("envi", 20, "l2a")
    assert document["dates"][1] == {
        "datetime": "2019-05-16T10:56:59Z",
        "scenes": ["S2_2"],
        "masks": {"scl": "31UES_20190516T105659_scl"},
    }
    # The masks of this workspace were made of nothing that is catalogued, and that is said.
    assert [(one["id"], one["state"]) for one in document["outdated"]] == [
        ("31UES_20190501T105022_scl", "orphaned"),
        ("31UES_20190516T105659_scl", "orphaned"),
        ("31UES", "orphaned"),
    ]
    assert "note: 3 of the items written are not current, the first, 31UES_20190501T1" in said.err
    manifest = json.loads((folder / "export.json").read_text())
    assert manifest["dates"] == document["dates"]
    with rasterio.open(folder / "31UES_nir08.img") as raster:
        assert raster.read()[:, 0, 0].tolist() == [1000, 2000]
    with rasterio.open(folder / "31UES_mask_scl.img") as raster:
        assert raster.descriptions == ("2019-05-01", "2019-05-16")
        assert raster.read()[:, 5, 7].tolist() == [2, 2]


ENDS = (".hdr", ".img")

# --- once more ------------------------------------------------------------------------------------


def test_the_same_again_gives_the_same_and_other_bands_replace_all(
    export: Call, tmp_path: Path
) -> None:
    export("netcdf")
    before = Path("31UES.nc").read_bytes()
    export("netcdf")
    assert Path("31UES.nc").read_bytes() == before
    export("envi")
    # What a viewer writes beside is of the rasters that it is beside.
    (tmp_path / "31UES_envi" / "31UES_blue.img.aux.xml").write_text("<PAMDataset/>")
    assert export("envi", "--bands", "nir08").status == 0
    held = sorted(file.name for file in (tmp_path / "31UES_envi").iterdir())
    assert held == ["31UES_nir08.hdr", "31UES_nir08.img", "export.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["31UES.nc", "31UES_envi"]


def test_what_is_not_of_an_export_stays(export: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert export("envi", "--out", "mine").status == 0
    (tmp_path / "mine" / "thesis.txt").write_text("all my work")
    said = export("envi", "--out", "mine")
    assert said.refused("mine holds thesis.txt, which no export wrote there")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all my work"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("all my work")
    assert export("envi", "--out", "other").refused("other holds thesis.txt")


FULL = """
import resource, sys
import jobs.cli, jobs.export

kind = sys.argv.pop()
module = getattr(jobs.export, kind)
write = getattr(module, f"write_{kind}")

def on_a_full_disk(*arguments):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        return write(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

setattr(module, f"write_{kind}", on_a_full_disk)
jobs.cli.main()
"""
"""The command, in a process of its own: no file of the tests' own may hit the limit."""


@pytest.mark.parametrize("kind", ["netcdf", "envi"])
def test_a_full_disk_leaves_what_was_there(
    export: Call, space: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    assert export(kind, "--out", out, "--bands", "blue").status == 0
    before = contents(out)
    words = ["--workspace", space, "export", kind, "--tile", "31UES"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, words), "--out", str(out), "--bands", "blue", kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "clearcube: cannot write" in done.stderr
    assert contents(out) == before
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def contents(out: Path) -> dict[str, bytes]:
    files = [out] if out.is_file() else list(out.iterdir())
    return {file.name: file.read_bytes() for file in files}


def test_what_a_killed_export_left_goes_with_the_next(
    export: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, held = tmp_path / ".31UES.nc.new-aaaa", tmp_path / ".31UES.nc.new-bbbb"
    for stage in (left, held):
        stage.mkdir()
        os.utime(stage, (0, 0))
    (left / "31UES.nc").write_bytes(b"half")
    os.utime(left, (0, 0))
    descriptor = os.open(held, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert export("netcdf", "--bands", "nir08").status == 0
    finally:
        os.close(descriptor)
    # Another export is at work in one of them.
    assert sorted(file.name for file in tmp_path.iterdir()) == [held.name, "31UES.nc"]


def test_a_folder_that_cannot_take_its_place_leaves_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.img").write_text("old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise PermissionError(13, "Permission denied", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with staged(out) as stage:
        (stage / "fresh").mkdir()
        with pytest.raises(PermissionError):
            put_folder(stage / "fresh", out, {})
    assert (out / "a.img").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--bands", "blau"], "no band is called 'blau'; the bands are coastal blue"),
        (["--bands", "red"], "the l2a cube of 31UES holds no red; it holds blue nir08"),
        (["--bands", "none"], "neither a band nor a mask is asked for"),
        (
            ["--mask", "tsmask"],
            "no mask tsmask of these dates of tile 31UES is catalogued; make it first: clearcube run "
            "cloud-mask --tile 31UES --method tsmask",
        ),
        (["--mask", "scl:no"], "run decode-masks --tile 31UES --encoding scl --name no"),
        (
            ["--mask", "nosuch"],
            "no mask is called 'nosuch'; tile 31UES has clm scl scl:wide; found along time are "
            "combined tsmask mtcd, and products bring ",
        ),
        (["--mask", "scl", "--datetime", "2019-06"], "no mask scl of these dates"),
        (["--datetime", "2020"], "the cube 31UES holds no date within 2020"),
        (["--datetime", "may"], "datetime"),
        (["--level", "maja"], "there is no maja cube of tile 31UES; make it first"),
        (["--resolution", "60"], "has no grid of 60 m; it has 10 20"),
        (["--out", "no/out"], "there is no folder"),
        (["--tile", "31TCJ"], "there is no cube of tile 31TCJ"),
        (["--tile", "Paris"], "Paris"),
    ],
)
@pytest.mark.parametrize("kind", ["netcdf", "envi"])
def test_bad_input_is_one_line(
    export: Call, tmp_path: Path, kind: str, words: list[str], why: str
) -> None:
    assert why in export(kind, *words).refused()
    assert list(tmp_path.iterdir()) == []


def test_a_place_of_the_wrong_kind(export: Call, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("f")
    assert export("netcdf", "--out", "d").refused("d is a folder; name a file with --out")
    assert export("envi", "--out", "f").refused("f is a file; name a folder")
    assert export("envi", "--out", ".").refused("is the folder you are in")


def test_a_link_is_followed(export: Call, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for _ in range(2):
        assert export("envi", "--bands", "nir08", "--out", "link").status == 0
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk" / "31UES_nir08.img").is_file()


def test_two_masks_of_one_name(space: Path, tmp_path: Path) -> None:
    with open_workspace(space) as workspace:
        cloud = np.full((32, 32), 2, np.uint8)
        for variant in ("a.b", "a-b"):
            add_mask(workspace, 1, cloud, variant=variant)
        selection = Selection("31UES", masks=("scl:a.b", "scl:a-b"))
        with pytest.raises(ValueError, match=r"scl:a\.b and scl:a-b would both be called mask_scl"):
            export_netcdf(workspace, selection, tmp_path / "a.nc")


def test_a_mask_whose_file_is_gone(space: Path, tmp_path: Path, clearcube: Call) -> None:
    with open_workspace(space) as workspace:
        add_mask(workspace, 1, np.ones((32, 32), np.uint8), variant="gone")
        (item,) = workspace.search(ids=[f"{NAMES[1]}_scl_gone"])
        Path(item.assets["mask"].href).unlink()
    said = clearcube(
        space, "export", "netcdf", "--tile", "31UES", "--mask", "scl:gone", "--out", tmp_path / "a"
    )
    said.refused("cannot read", "scl_gone_mask.tif")
    assert list(tmp_path.iterdir()) == []
