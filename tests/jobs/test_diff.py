"""What changed between two items, generations, folders or files; every number by hand."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog.errors import ItemNotFoundError
from cube.grid import Extent, tile_extent
from cube.rasters import write_cog
from jobs.diff import diff
from jobs.errors import RequestError, WorkspaceError
from jobs.runner.publish import publish
from jobs.workspace import Workspace, open_workspace

WHOLE = tile_extent("31UES")
EXTENT = Extent(WHOLE.epsg, WHOLE.left, WHOLE.top - 40, WHOLE.left + 40, WHOLE.top)
NODATA = -10000
MAY = "31UES_2019-05_wasp_scl"
Layers = dict[str, Any]


def rasters(folder: Path, item_id: str, layers: Layers, extent: Extent = EXTENT) -> dict[str, Path]:
    """Layers of 4 x 4 pixels at 10 m (or 2 x 2 at 20 m) -> COGs as a run writes them."""
    found = {}
    for key, values in layers.items():
        pixels = np.array(values)
        resolution = 40 // pixels.shape[0] if extent is EXTENT else 10
        dtype = "uint8" if key in ("status", "mask") else "int16"
        found[key] = folder / f"{item_id}_{key}.tif"
        write_cog(
            found[key],
            extent.geobox(resolution),
            lambda a, b, p=pixels, d=dtype: p[a:b].astype(d),  # type: ignore[misc]
            dtype=dtype,
            nodata=0 if dtype == "uint8" else NODATA,
            scale=1.0 if dtype == "uint8" else 1e-4,
            average=False,
        )
    return found


def item(
    workspace: Workspace,
    item_id: str,
    layers: Layers,
    mark: str = "aaaa",
    collection: str = "synthesis-wasp",
    **properties: Any,
) -> dict[str, Any]:
    """Catalogued item whose files are in the folder of a fingerprint."""
    folder = workspace.products / collection / item_id / mark
    roles = {"status": ["data", "quality"], "mask": ["data", "classification"]}
    document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "collection": collection,
        "geometry": None,
        "properties": {
            "datetime": "2019-05-15T00:00:00Z",
            "grid:code": "MGRS-31UES",
            "clearcube:job": "synthesis",
            "clearcube:fingerprint": mark,
            **properties,
        },
        "links": [{"rel": "collection", "href": f"../../{collection}", "type": "application/json"}],
        "assets": {
            key: {
                "href": str(path),
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": roles.get(key, ["data", "reflectance"]),
            }
            for key, path in rasters(folder, item_id, layers).items()
        },
    }
    publish(workspace, [document])
    return document


RED = [
    [1000, 1000, 1000, 1000],
    [1000, 1000, 1000, NODATA],
    [500, 500, 500, 500],
    [500, 500, 500, 500],
]
LATER = [
    [1000, 1000, 1000, 1400],
    [1000, 1000, 1000, 700],
    [500, 400, 500, 500],
    [500, 500, NODATA, NODATA],
]
STATUS = [[4] * 4, [4, 4, 4, 0], [3] * 4, [3] * 4]
STATUS_LATER = [[4] * 4, [4] * 4, [3] * 4, [3, 3, 1, 1]]
BEFORE: Layers = {"red": RED, "green": RED, "blue": RED, "status": STATUS}
AFTER: Layers = {"red": LATER, "green": RED, "blue": RED, "status": STATUS_LATER}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as workspace:
        yield workspace


@pytest.fixture
def generations(workspace: Workspace) -> Workspace:
    """One item made twice; the first generation's files are still there."""
    item(workspace, MAY, BEFORE, "old1")
    item(workspace, MAY, AFTER, "new2")
    return workspace


def test_numbers_of_two_items(workspace: Workspace) -> None:
    item(workspace, MAY, BEFORE, **{"clearcube:inputs": {"a": "1", "b": "1"}})
    item(workspace, "other", AFTER, **{"clearcube:inputs": {"a": "2", "c": "1"}})
    found = diff(workspace, MAY, "other")
    assert found["same"] is False
    red = found["assets"]["red"]
    # 13 pixels have data in both; two differ, by 0.04 and -0.01.
    assert (red["pixels"], red["compared"], red["changed"]) == (16, 13, 2)
    assert red["share"] == pytest.approx(2 / 13, rel=1e-5)
    assert red["mean"] == pytest.approx(0.03 / 13, rel=1e-5)
    assert red["rms"] == pytest.approx((0.0017 / 13) ** 0.5, rel=1e-5)
    assert (red["median"], red["max"]) == (0, 0.04)
    assert (red["nodata_gained"], red["nodata_lost"]) == (2, 1)
    assert red["by_status"]["land"]["pixels"] == 7
    assert red["by_status"]["land"]["mean"] == pytest.approx(0.04 / 7, rel=1e-5)
    assert red["by_status"]["water"]["mean"] == pytest.approx(-0.01 / 6, rel=1e-5)
    assert found["assets"]["green"]["changed"] == 0
    assert found["assets"]["status"]["transitions"] == [
        {"from": "water", "to": "cloud or shadow", "pixels": 2},
        {"from": "nodata", "to": "land", "pixels": 1},
    ]
    recipe = found["recipe"]
    assert (recipe["inputs_added"], recipe["inputs_removed"]) == (["c"], ["b"])
    assert recipe["inputs_changed"] == {"a": ["1", "2"]}


def test_parameters_and_versions_that_differ(workspace: Workspace) -> None:
    parameters = {"half_window": 23, "mask_parameters": {"buffer": 0.0, "reading": "standard"}}
    wider = {"half_window": 30, "mask_parameters": {"buffer": 60.0, "reading": "standard"}}
    for name, given, version in (("a", parameters, "1.1"), ("b", wider, "1.2")):
        more = {"clearcube:parameters": given, "processing:version": version}
        item(workspace, name, BEFORE, **more)
    found = diff(workspace, "a", "b")
    assert found["same"] is True
    assert found["recipe"]["parameters"] == {
        "half_window": [23, 30],
        "mask_parameters.buffer": [0.0, 60.0],
    }
    assert found["recipe"]["made_by"] == {"processing:version": ["1.1", "1.2"]}


@pytest.mark.parametrize("names", [(MAY,), (f"{MAY}@old1", MAY), (f"{MAY}@old", f"{MAY}@new2")])
def test_an_older_generation(generations: Workspace, names: tuple[str, ...]) -> None:
    found = diff(generations, *names)
    assert (found["first"], found["second"]) == (f"{MAY}@old1", MAY)
    assert found["assets"]["red"]["changed"] == 2
    assert found["assets"]["red"]["nodata_gained"] == 2
    assert found["recipe"] is None


def test_the_generation_before_is_the_latest_of_the_others(generations: Workspace) -> None:
    folder = generations.products / "synthesis-wasp" / MAY / "older0"
    for file in rasters(folder, MAY, AFTER).values():
        os.utime(file, (0, 0))
    assert diff(generations, MAY)["first"] == f"{MAY}@old1"


def test_folders_and_files(generations: Workspace) -> None:
    folder = generations.products / "synthesis-wasp" / MAY
    assert diff(generations, str(folder / "old1"), MAY)["assets"]["red"]["changed"] == 2
    old, new = folder / "old1" / f"{MAY}_red.tif", folder / "new2" / f"{MAY}_green.tif"
    found = diff(generations, str(old), str(new))
    assert (found["same"], list(found["assets"])) == (True, ["red"])
    found = diff(generations, str(old), MAY)
    assert list(found["assets"]) == ["red"]
    assert found["not_compared"]["green"] == f"only in {MAY}"


def test_bands_and_grids_that_only_one_has(workspace: Workspace) -> None:
    item(workspace, "a", {"red": RED, "nir": RED, "swir16": [[1, 2], [3, 4]]})
    item(workspace, "b", {"red": LATER, "blue": RED, "swir16": RED})
    found = diff(workspace, "a", "b")
    assert list(found["assets"]) == ["red"]
    assert found["not_compared"] == {
        "nir": "only in a",
        "blue": "only in b",
        "swir16": "their pixels differ, 20 m and 10 m",
    }


def test_what_cannot_be_compared_is_refused(generations: Workspace) -> None:
    item(generations, "mask", {"mask": STATUS}, collection="cloud-mask-scl")
    with pytest.raises(RequestError, match="cannot be compared"):
        diff(generations, MAY, "mask")
    with pytest.raises(RequestError, match="no older generation of mask"):
        diff(generations, "mask")
    with pytest.raises(RequestError, match="'gone'"):
        diff(generations, f"{MAY}@gone", MAY)
    with pytest.raises(RequestError, match="'\\.\\.'"):
        diff(generations, f"{MAY}@..", MAY)
    with pytest.raises(ItemNotFoundError, match="nobody"):
        diff(generations, "nobody", MAY)


def test_masks_tell_what_became_what(workspace: Workspace, tmp_path: Path) -> None:
    item(workspace, "m1", {"mask": [[1, 1], [2, 0]]}, collection="cloud-mask-scl")
    item(workspace, "m2", {"mask": [[1, 2], [1, 0]]}, collection="cloud-mask-scl")
    found = diff(workspace, "m1", "m2", tmp_path / "p.png")
    mask = found["assets"]["mask"]
    assert (mask["compared"], mask["changed"]) == (3, 2)
    assert "mean" not in mask
    assert sorted((t["from"], t["to"], t["pixels"]) for t in mask["transitions"]) == [
        ("clear", "cloud", 1),
        ("cloud", "clear", 1),
    ]
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width == 1500


def test_a_picture_where_something_differs(generations: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    assert diff(generations, MAY, MAY, path)["picture"] is None
    assert not path.exists()
    assert diff(generations, MAY, picture=path)["picture"] == str(path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    right = pixels[:, 900:1400]
    # One pixel of sixteen is more (red), one less (blue); nodata of either is grey.
    red, blue = right[..., 0] - right[..., 2] > 60, right[..., 2] - right[..., 0] > 20
    grey = (right == 0x78).all(axis=-1)
    assert red.sum() > 5000
    assert blue.sum() > 5000
    assert grey.sum() > 2.5 * red.sum()
    with pytest.raises(WorkspaceError, match="cannot write"):
        diff(generations, MAY, picture=tmp_path / "no" / "p.png")
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".png"] == ["p.png"]


Command = Callable[..., Any]


def test_the_command(
    generations: Workspace, clearcube: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = generations.settings.workspace
    said = clearcube(path, "diff", f"{MAY}@old1", MAY)
    assert (said.status, said.err) == (0, "")
    assert max(map(len, said.out.splitlines())) <= 120
    for text in (
        f"{MAY}@old1 -> {MAY}",
        "  red of land",
        "status: 3 of 16 pixels changed",
        "2  water -> cloud or shadow",
        f"picture: diff-{MAY}@old1-{MAY}.png",
    ):
        assert text in said.out, said.out
    assert (tmp_path / f"diff-{MAY}@old1-{MAY}.png").is_file()
    said = clearcube(path, "diff", MAY, MAY, "--json")
    assert said.status == 0
    assert json.loads(said.out)["same"] is True
    assert len(list(tmp_path.glob("*.png"))) == 1
    clearcube(path, "diff", "nobody", MAY).refused("nobody")
    clearcube(tmp_path / "nowhere", "diff", "a", "b").refused("no workspace")
