"""mtcd as a job: what its stages do, late dates, interrupted chains, and a real L1C series."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_bounds, from_origin

from cube.mtcd import state as states
from cube.mtcd.bits import to_fine
from cube.mtcd.image import make_image
from cube.mtcd.modes import follow
from cube.mtcd.params import MtcdParams
from cube.mtcd.waiting import load_found, load_image
from cube.terrain import read_altitude
from jobs.cloud_mask import mask_context, mask_works
from jobs.mask_params import CloudMaskParams
from jobs.memory import least_memory
from jobs.mtcd_masks import ChainWork
from jobs.mtcd_stages import chain_bytes, coarse_altitude, image_bytes, make_date_image, run_chain
from jobs.workspace import Workspace, open_workspace

LEFT, TOP, SIDE = 574680, 5622440, 48
"""Of the small series, on the lattice of tile 31UES; pixels of 20 m."""

GROUND = {"blue": 500, "green": 800, "red": 700, "nir08": 2600, "swir16": 1800, "swir22": 1200}
DAYS = ("2019-05-01", "2019-05-06", "2019-05-11", "2019-05-16", "2019-05-21", "2019-06-20")


def write_date(folder: Path, when: str, *, level: str = "l2a", cloud: int | None = None) -> Path:
    """Ground with fields, and a white cloud of 12 x 12 pixels at a column -> path of its item."""
    rng = np.random.default_rng(7)
    fields = rng.uniform(0.6, 1.4, (SIDE // 4, SIDE // 4)).repeat(4, 0).repeat(4, 1)
    bands = GROUND | ({"cirrus": 15, "coastal": 900} if level == "l1c" else {})
    pixels = {}
    for name, dn in bands.items():
        found = dn * (fields if name != "cirrus" else 1) + rng.normal(0, 5, (SIDE, SIDE))
        if cloud is not None:
            found[10:22, cloud : cloud + 12] = 400 if name == "cirrus" else 5000
            found[28:38, cloud : cloud + 12] *= 0.45  # its shadow
        pixels[name] = np.maximum(found, 1).astype(np.uint16)
    return write_item(folder, f"S2_{when.replace('-', '')}", when, pixels, level=level)


def write_item(
    folder: Path,
    item_id: str,
    when: str,
    pixels: dict[str, np.ndarray],
    *,
    level: str,
    left: int = LEFT,
    top: int = TOP,
    size: int = 20,
    tile: str = "31UES",
    epsg: int = 32631,
    **angles: float | None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    assets = {}
    for name, data in pixels.items():
        step = size
        if size == 20 and name in ("blue", "green", "red"):
            step, data = 10, data.repeat(2, 0).repeat(2, 1)
        path, (rows, columns) = folder / f"{item_id}_{name}.tif", data.shape
        transform = from_origin(left, top, step, step)
        with rasterio.open(
            path, "w", driver="GTiff", height=rows, width=columns, count=1, dtype="uint16",
            crs=f"EPSG:{epsg}", transform=transform, nodata=0,
        ) as raster:  # fmt: skip
            raster.write(data, 1)
        assets[name] = {
            "href": f"./{path.name}",
            "type": "image/tiff; application=geotiff",
            "proj:shape": [rows, columns],
            "proj:transform": list(transform)[:6],
            "raster:bands": [
                {"data_type": "uint16", "nodata": 0, "scale": 0.0001, "offset": 0}
            ],
        }  # fmt: skip
    name = {"l1c": "L1C", "l2a": "L2A"}[level]
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": item_id,
        "collection": f"sentinel-2-{level}",
        "geometry": {"type": "Point", "coordinates": [4.06, 50.74]},
        "bbox": [4.06, 50.74, 4.06, 50.74],
        "properties": {
            "datetime": when if "T" in when else f"{when}T10:56:00Z",
            "platform": "sentinel-2a",
            "grid:code": f"MGRS-{tile}",
            "proj:code": f"EPSG:{epsg}",
            "processing:level": name,
            "s2:processing_baseline": "02.12",
            "view:sun_elevation": 45.0,
            "view:sun_azimuth": 0.0,
            "view:off_nadir": 2.0,
            "view:azimuth": 100.0,
            **angles,
        },
        "links": [{"rel": "collection", "href": "./collection.json"}],
        "assets": assets,
    }
    known = {name: value for name, value in item["properties"].items() if value is not None}
    path = folder / f"{item_id}.json"
    path.write_text(json.dumps({**item, "properties": known}))
    return path


def write_dem(path: Path) -> Path:
    """A hill of 100 to 147 m that the small series lies on."""
    heights = 100 + np.arange(SIDE, dtype=np.float32)[:, np.newaxis].repeat(SIDE, 1)
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=1, dtype="float32",
        crs="EPSG:32631", transform=from_origin(LEFT, TOP, 20, 20),
    ) as raster:  # fmt: skip
        raster.write(heights, 1)
    return path


def request(**more) -> dict:
    return {"tile": "31UES", "method": "mtcd", "options": {"nbackward": 3}} | more


def works(workspace: Workspace, **more) -> list[ChainWork]:
    return list(mask_works(mask_context(workspace, CloudMaskParams(**request(**more)))))


# --- the stages, called directly ------------------------------------------------------------------


@pytest.fixture(scope="module")
def stocked(
    tmp_path_factory: pytest.TempPathFactory, cluster_address: str
) -> Iterator[tuple[Workspace, Path]]:
    """An L1C cube of six dates with a DEM; no masks."""
    folder = tmp_path_factory.mktemp("l1c")
    with open_workspace(folder / "w", scheduler=cluster_address) as workspace:
        for place, when in enumerate(DAYS):
            cloud = None if place in (1, 3) else 6 * place
            workspace.ingest(write_date(folder / "s", when, level="l1c", cloud=cloud))
        from jobs.dem import ingest_dems

        assert ingest_dems(workspace, [str(write_dem(folder / "hill.tif"))]).made == ["hill"]
        assert workspace.run("cube", tile="31UES", level="l1c").failures == []
        yield workspace, folder


def laid_out(workspace: Workspace) -> tuple[ChainWork, list, object]:
    """The first chain, its image tasks by the stage, its chain task."""
    work = works(workspace)[0]
    images, chain = work.stages(work.dates)
    return work, [unit.payload for unit in images.units], chain.units[0].payload


@pytest.mark.cluster
def test_the_stages_do_what_following_in_memory_does(stocked):
    workspace, folder = stocked
    work, images, chain = laid_out(workspace)
    assert [each.mode for each in chain.planned] == ["BACKWARD", *["NOMINAL"] * 4]
    assert [len(part.chain) for part in works(workspace)] == [5, 1]
    assert len(images) == 5  # the sixth is of the next chain
    for task in images:
        make_date_image(task)
    said = run_chain(chain)
    assert [each["mode"] for each in said] == ["BACKWARD", *["NOMINAL"] * 4]
    assert said[0]["tests"]["high_cloud"] == "evaluated"
    assert said[0]["tests"]["cloud_one_date"] == "evaluated"  # with B01

    made = {Path(task.path).name.split(".")[0]: task for task in images}
    altitude = coarse_altitude(images[0])
    hill = read_altitude([str(folder / "hill.tif")], work.shared.context.spec.extent)
    assert altitude.shape == images[0].grid.shape
    assert np.nanmean(altitude) == pytest.approx(np.nanmean(hill), abs=0.01)
    params = MtcdParams(nbackward=3)
    images_by_name = {name: load_image(Path(task.path)) for name, task in made.items()}
    direct = list(follow(chain.planned, lambda _name: None, images_by_name.__getitem__, params))
    for planned, result in direct:
        found = load_found(Path(chain.found[planned.name]))
        assert (found.planned, found.cloudy) == (planned, result.cloudy)
        assert found.has_state
        kept = states.load(Path(chain.states[planned.name]))
        assert kept.day == result.state.day
        np.testing.assert_array_equal(kept.reference["red"], result.state.reference["red"])
    last, result = direct[-1]
    one = next(each for each in work.dates if work._name(each) == last.name)
    planes = work.planes(one).read()
    observed = np.ones((SIDE, SIDE), np.bool_)
    bits, classes = to_fine(result.bits, result.ground, images[0].grid, observed)
    np.testing.assert_array_equal(planes["bits"], bits)
    np.testing.assert_array_equal(planes["mask"], classes)
    assert (classes[12:20, 26:34] == 2).all()  # the cloud
    assert (classes[40:, 40:] == 1).all()


@pytest.mark.cluster
def test_an_image_is_of_the_cube_and_of_the_scenes_beside(stocked):
    workspace, folder = stocked
    _work, images, _chain = laid_out(workspace)
    task = replace(images[0], path=str(folder / "again.npz"))
    assert task.bands == ("green", "red", "nir08", "swir16", "swir22")
    assert task.beside == ("coastal", "cirrus")
    make_date_image(task)
    image, meta = load_image(Path(task.path))

    def source(name: str) -> np.ndarray:
        with rasterio.open(folder / "s" / f"S2_20190501_{name}.tif") as raster:
            return raster.read(1).astype(np.int16)

    wanted, _ = make_image(
        [(name, source(name)) for name in (*task.bands, *task.beside)],
        task.grid,
        task.meta,
        coarse_altitude(task),
    )
    assert (meta, image.sources) == (task.meta, wanted.sources)
    assert image.sources["blue"] == "coastal"
    for role, pixels in wanted.bands.items():
        np.testing.assert_array_equal(image.bands[role], pixels)
    # It is taken as it is when it is there.
    written = Path(task.path).stat().st_mtime_ns
    make_date_image(task)
    assert Path(task.path).stat().st_mtime_ns == written
    Path(task.path).write_bytes(b"half of it")
    make_date_image(task)
    np.testing.assert_array_equal(load_image(Path(task.path))[0].bands["red"], wanted.bands["red"])


@pytest.mark.cluster
def test_an_interrupted_chain_goes_on_where_it_stopped(stocked, tmp_path):
    workspace, _folder = stocked
    _work, _images, chain = laid_out(workspace)
    moved = {name: str(tmp_path / Path(path).name) for name, path in chain.found.items()}
    after = {name: str(tmp_path / f"{name}.state") for name in chain.states}
    chain = replace(chain, found=moved, states=after)
    names = [each.name for each in chain.planned]
    broken = {**chain.images}
    broken[names[3]] = replace(
        chain.images[names[3]], path=str(tmp_path / "x.npz"), store=str(tmp_path / "gone.zarr")
    )
    with pytest.raises(OSError, match=r"gone\.zarr"):
        run_chain(replace(chain, images=broken))
    assert [Path(moved[name]).exists() for name in names] == [True, True, True, False, False]
    before = {name: Path(moved[name]).stat().st_mtime_ns for name in names[:3]}
    said = run_chain(chain)
    assert [each["name"] for each in said] == names
    assert {name: Path(moved[name]).stat().st_mtime_ns for name in names[:3]} == before
    whole = replace(
        chain,
        found={name: f"{path}.whole" for name, path in moved.items()},
        states={name: f"{path}.whole" for name, path in after.items()},
    )
    run_chain(whole)
    for name in names:
        assert Path(moved[name]).read_bytes() == Path(f"{moved[name]}.whole").read_bytes()
        assert Path(after[name]).read_bytes() == Path(f"{after[name]}.whole").read_bytes()


def test_memory_is_promised_for_what_is_held():
    """A band of a full tile at 10 m once, not twice; coarse cells in the hundreds of bytes."""
    from cube.grid import tile_extent
    from cube.mtcd.coarse import choose_grid
    from cube.spec import Spec
    from cube.variables import level_variables

    spec = Spec("31UES", "l1c", tile_extent("31UES"), {"r10m": 10, "r20m": 20},
                level_variables("l1c"))  # fmt: skip
    params = MtcdParams()
    grid = choose_grid((5490, 5490), params)
    whole = image_bytes(spec, beside=True)
    assert 300e6 < whole < 380e6
    assert 90e6 < chain_bytes(grid, params) < 110e6
    assert chain_bytes(grid, MtcdParams(stack=50)) > chain_bytes(grid, params)
    assert whole < chain_bytes(grid, params, image=whole) < whole + 20e6
    assert least_memory(chain_bytes(grid, params, image=whole)) < 1 << 30


# --- the job --------------------------------------------------------------------------------------


def pixels_of(workspace: Workspace) -> dict[str, dict[str, str]]:
    """Mask -> checksums of its files."""
    found = workspace.search(collections=["cloud-mask-mtcd"], limit=100)
    return {
        item.id: {k: a.extra_fields["file:checksum"] for k, a in sorted(item.assets.items())}
        for item in found
    }


@pytest.mark.cluster
def test_a_late_date_ends_as_from_scratch(tmp_path, cluster_address):
    scenes = {
        when: write_date(tmp_path / "s", when, cloud=None if place in (1, 3) else 6 * place)
        for place, when in enumerate(DAYS)
    }
    ids = {when: f"31UES_{when.replace('-', '')}T105600_mtcd" for when in DAYS}
    late = DAYS[2]
    with open_workspace(tmp_path / "a", scheduler=cluster_address) as workspace:
        for when, path in scenes.items():
            if when != late:
                workspace.ingest(path)
        first = workspace.run("cloud-mask", **request())
        assert first.failures == []
        assert sorted(first.made) == sorted(ids[when] for when in DAYS if when != late)
        item = {each.id: each.properties for each in workspace.search(limit=100)}[ids[DAYS[0]]]
        assert item["clearcube:mode"] == "BACKWARD"
        assert item["clearcube:mode_info"] == "Backward of 3 products"
        assert item["clearcube:evaluated"]["high_cloud"].startswith("not evaluated: ")
        assert not (tmp_path / "a" / "scratch").exists() or not any(
            (tmp_path / "a" / "scratch").iterdir()
        )
        workspace.ingest(scenes[late])
        before = pixels_of(workspace)
        again = workspace.run("cloud-mask", **request())
        # The first starts backward from other dates now; the next chain stays as it is.
        assert sorted(again.made) == sorted(ids[when] for when in DAYS[:5])
        assert again.current == [ids[DAYS[5]]]
        assert workspace.run("cloud-mask", **request()).made == []
        with open_workspace(tmp_path / "b", scheduler=cluster_address) as scratch:
            for path in scenes.values():
                scratch.ingest(path)
            assert scratch.run("cloud-mask", **request()).failures == []
            assert pixels_of(workspace) == pixels_of(scratch)
            assert before.keys() < pixels_of(scratch).keys()


@pytest.mark.cluster
def test_a_late_date_leaves_what_lies_before_it(tmp_path, cluster_address):
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        for when in (*DAYS[:3], DAYS[4]):
            workspace.ingest(write_date(tmp_path / "s", when))
        workspace.run("cloud-mask", **request())
        workspace.ingest(write_date(tmp_path / "s", DAYS[3], cloud=20))
        stale = {
            target.item_id: target for target in workspace.plan("cloud-mask", **request()).targets
        }
        states_of = {name: str(target.state) for name, target in stale.items() if "_mtcd" in name}
        assert states_of["31UES_20190511T105600_mtcd"] == "current"
        assert states_of["31UES_20190516T105600_mtcd"] == "missing"
        assert states_of["31UES_20190521T105600_mtcd"] == "stale"
        # The table of the plan says how each will be done, and why.
        mode, why = stale["31UES_20190516T105600_mtcd"].because
        assert mode.startswith("NOMINAL (L2 from previous; 5.0 days after the previous date; ")
        assert why == "not made yet"
        made = workspace.run("cloud-mask", **request()).made
        assert made == ["31UES_20190516T105600_mtcd", "31UES_20190521T105600_mtcd"]


@pytest.mark.cluster
def test_a_start_that_is_too_cloudy_and_a_date_asked_for_alone(tmp_path, cluster_address):
    """The second date must start anew, and says so; what it is made from stays what it was."""
    overcast = {n: np.full((SIDE, SIDE), 3000 if "swir" in n else 5000, np.uint16) for n in GROUND}
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        workspace.ingest(
            write_item(tmp_path / "s", "S2_20190501", DAYS[0], overcast, level="l2a"),
            *(write_date(tmp_path / "s", when, cloud=20) for when in DAYS[1:4]),
        )
        settings = {"tile": "31UES", "method": "mtcd", "options": {"nbackward": 8}}
        # With a date come those that it follows.
        alone = workspace.run("cloud-mask", **settings, datetime=DAYS[2])
        assert alone.made == [f"31UES_201905{day}T105600_mtcd" for day in ("01", "06", "11")]
        every = workspace.run("cloud-mask", **settings)
        assert every.made == ["31UES_20190516T105600_mtcd"]
        assert every.current == alone.made
        found = {item.id[6:14]: item for item in workspace.search(collections=["cloud-mask-mtcd"])}
        about = {day: item.properties for day, item in found.items()}
        assert [about[day]["clearcube:mode"] for day in sorted(about)] == [
            "INIT", "INIT", "NOMINAL", "NOMINAL",
        ]  # fmt: skip
        assert about["20190506"]["clearcube:follows"] == "31UES_20190501T105600_mtcd"
        assert "too cloudy to follow" in about["20190506"]["clearcube:mode_reason"]
        assert {day: "state" in item.assets for day, item in found.items()} == {
            "20190501": False, "20190506": True, "20190511": True, "20190516": True,
        }  # fmt: skip
        states = {target.item_id: str(target.state) for target in workspace.status()}
        assert {states[item.id] for item in found.values()} == {"provisional"}
        assert workspace.run("cloud-mask", **settings).made == []


# --- a real series --------------------------------------------------------------------------------


SLOVENIA = (  # as ORIGIN.txt lists the order of the array
    "2015-08-20T10:07:28Z", "2015-07-31T10:00:09Z", "2015-09-09T10:00:17Z",
    "2015-08-30T10:05:47Z", "2015-07-11T10:00:08Z",
)  # fmt: skip
KEYS = ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08",
        "nir09", "cirrus", "swir16", "swir22")  # fmt: skip


def write_slovenia(source: Path, folder: Path) -> tuple[list[Path], Path]:
    """The real L1C series of five dates -> paths of its items, moved by 6 m onto the tile's lattice,
    and of its DEM.
    """
    scenes = np.load(source / "REFERENCE_SCENES.npy")[:, :100]
    items = []
    for when, scene in zip(SLOVENIA, scenes, strict=True):
        dn = np.rint(scene * 10000).astype(np.uint16)
        pixels = {key: np.ascontiguousarray(dn[..., i]) for i, key in enumerate(KEYS)}
        item_id = f"S2A_{when[:10].replace('-', '')}_L1C"
        place = {"left": 465180, "top": 5080260, "size": 10, "tile": "33TVL", "epsg": 32633}
        # Nobody states the angles: the sun is computed, the view unknown.
        unknown = dict.fromkeys(("view:sun_elevation", "view:off_nadir"), None)
        items.append(write_item(folder, item_id, when, pixels, level="l1c", **place, **unknown))
    heights = np.load(source / "DEM.npy")[..., 0]
    bounds = (465181.0522, 5079244.8912, 466180.5315, 5080254.6335)
    dem = folder / "hills.tif"
    with rasterio.open(
        dem, "w", driver="GTiff", height=101, width=100, count=1, dtype="float32",
        crs="EPSG:32633", transform=from_bounds(*bounds, 100, 101),
    ) as raster:  # fmt: skip
        raster.write(heights, 1)
    return items, dem


@pytest.mark.shared
@pytest.mark.cluster
def test_slovenia(shared, tmp_path, cluster_address):
    from jobs.dem import ingest_dems

    items, dem = write_slovenia(shared / "s2-l1c-slovenia-5dates", tmp_path / "s")
    with open_workspace(tmp_path / "w", scheduler=cluster_address) as workspace:
        workspace.ingest(*items)
        ingest_dems(workspace, [str(dem)])
        done = workspace.run("cloud-mask", tile="33TVL", method="mtcd", options={"nbackward": 5})
        assert done.failures == []
        found = workspace.search(collections=["cloud-mask-mtcd"])
        shares = {
            item.id[6:14]: (item.properties["clearcube:mode"], item.properties["clearcube:classes"])
            for item in found
        }
        tests = [item.properties["clearcube:evaluated"] for item in found]
    assert {each["high_cloud"] for each in tests} == {"evaluated"}
    assert {each["cloud_one_date"] for each in tests} == {"evaluated"}  # B01 is there
    assert {each["shadow"] for each in tests} == {
        "evaluated: without the view's direction: taken as nadir"
    }
    assert {day: mode for day, (mode, _) in shares.items()} == {
        "20150711": "BACKWARD", "20150731": "NOMINAL", "20150820": "NOMINAL",
        "20150830": "NOMINAL", "20150909": "NOMINAL",
    }  # fmt: skip
    nothing = {"cloud": 0, "cloud_shadow": 0, "thin_cloud": 0, "snow": 0, "water": 0}
    clear = {"clear": 100.0} | nothing
    fog = nothing | {"clear": 3.92, "cloud": 86.04, "thin_cloud": 10.04}
    overcast = nothing | {"clear": 0.0, "cloud": 99.92, "thin_cloud": 0.08}
    # No cirrus: at 1.38 µm even the overcast date stays below 0.003, the threshold here is 0.010.
    assert {day: said for day, (_, said) in shares.items()} == {
        "20150711": clear, "20150731": fog, "20150820": overcast,
        "20150830": clear, "20150909": clear,
    }  # fmt: skip
