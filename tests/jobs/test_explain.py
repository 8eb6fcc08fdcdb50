"""How a pixel came about: on a cube small enough to compute by hand, and on a real series."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cube.decoding import MaskReading, read_classes
from cube.errors import GridError
from cube.grid import Extent, tile_extent
from cube.place import Place
from cube.rasters import write_cog
from cube.store import DateEntry, Spec, StagedDate, commit_date, create_cube, open_store
from cube.variables import level_variables
from cube.weights import (
    BlurredClouds,
    CloudWeightParams,
    cloud_weight,
    coarse_cloud_weights,
    not_clear,
)
from jobs.dates import pixel_checksum
from jobs.errors import RequestError
from jobs.explain import explain, parse_place
from jobs.pixel_dates import pixel_weight
from jobs.runner.publish import publish
from jobs.workspace import Workspace, open_workspace

WHOLE = tile_extent("31UES")
EXTENT = Extent(WHOLE.epsg, WHOLE.left, WHOLE.top - 40, WHOLE.left + 40, WHOLE.top)
NODATA = -10000
DAY = 86_400_000
MAY_5, MAY_15, MAY_25 = 18021, 18031, 18041
BANDS = ("blue", "red", "swir16")
BOX = [2.99, 51.4, 3.01, 51.46]
INSIDE = Place(2.999784, 51.451047)
"""Row 1, column 0 at 10 m; row 0, column 0 at 20 m."""


def scene(name: str, day: int, **properties: Any) -> dict[str, Any]:
    """Item of a scene of the tile, without rasters."""
    ring = [[2.99, 51.4], [3.01, 51.4], [3.01, 51.46], [2.99, 51.46], [2.99, 51.4]]
    when = str(np.datetime64(day, "D")) + "T10:56:59Z"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": BOX,
        "properties": {
            "datetime": when,
            "grid:code": "MGRS-31UES",
            "clearcube:level": "l2a",
            "clearcube:version": "1",
            **properties,
        },
        "links": [
            {"rel": "collection", "href": "../../sentinel-2-l2a", "type": "application/json"}
        ],
        "assets": {},
    }


def commit(path: Path, day: int, names: list[str], red: int, scl: int, **more: Any) -> DateEntry:
    """One date of the cube: red as given, blue half of it, swir16 twice; one class everywhere."""
    spec = open_store(path).spec
    version = more.pop("version", "1")
    key = f"{'-'.join(names)}-{version}"
    staged = StagedDate(path, spec, key)
    values = {"blue": red // 2, "red": red, "swir16": more.pop("swir16", 2 * red), "scl": scl}
    for variable in spec.variables:
        shape = spec.shape(variable.group)
        pixels = np.full(spec.cut(variable)[1:] * 2, variable.fill_value, variable.dtype)
        pixels[: shape[0], : shape[1]] = values[variable.name]
        staged.write(variable, 0, 0, pixels[: shape[0], : shape[1]])
    staged.close()
    items = tuple({"id": n, "collection": "sentinel-2-l2a", "version": version} for n in names)
    time = day * DAY + 39_419_000
    return commit_date(path, DateEntry(time, key, items, tuple(values)), **more)


def synthesis(workspace: Workspace, inputs: list[str], layers: dict[str, float]) -> dict[str, Any]:
    """Item of May 2019 by wasp, whose rasters hold one number each."""
    item_id = "31UES_2019-05_wasp_scl"
    item = scene(item_id, MAY_15)
    item["collection"] = "synthesis-wasp"
    item["properties"] |= {
        "clearcube:job": "synthesis",
        "clearcube:method": "wasp",
        "processing:version": "1.3",
        "clearcube:parameters": {
            "half_window": 23,
            "date_weight_min": 0.5,
            "period": "2019-05",
            "mask": "scl",
            "mask_parameters": {"reading": "standard", "buffer": 0.0},
        },
        "clearcube:inputs": {**dict.fromkeys(inputs, "1"), "31UES_20190515T105659_scl": "m"},
    }
    href = "../../{}/items/{}"
    links = [("sentinel-2-l2a", name) for name in inputs]
    links.append(("cloud-mask-scl", "31UES_20190515T105659_scl"))
    item["links"] = [
        {"rel": "collection", "href": "../../synthesis-wasp", "type": "application/json"},
        *({"rel": "derived_from", "href": href.format(c, n), "title": n} for c, n in links),
    ]
    for key, value in layers.items():
        resolution = 20 if key == "swir16" or key.endswith("_20m") else 10
        path = workspace.products / "synthesis-wasp" / item_id / "aaaa" / f"{item_id}_{key}.tif"
        dtype = "float32" if key.startswith("weight") else "int16"
        geobox = EXTENT.geobox(resolution)
        width = geobox.shape[1]
        write_cog(
            path,
            geobox,
            lambda a, b, v=value, d=dtype, w=width: np.full((b - a, w), v, d),  # type: ignore[misc]
            dtype=dtype,
            nodata=NODATA,
        )
        item["assets"][key] = {
            "href": str(path),
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "gsd": resolution,
            "roles": ["data"],
            "proj:shape": list(EXTENT.shape(resolution)),
            "proj:transform": [resolution, 0, EXTENT.left, 0, -resolution, EXTENT.top],
        }
    publish(workspace, [item])
    return item


LAYERS = {
    # Dates ten days off the 15th weigh 1 - 10 / 23 x 0.5 = 0.782609.
    # red: (0.782609 x 1000 + 2000) / 1.782609 = 1561; the third date is cloudy.
    "blue": 780,
    "red": 1561,
    "weight": 1.7826087,
    "date": 18027,
    "status": 4,
    "clear_count": 2,
    "total_count": 3,
    "swir16": 2000,
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three dates of 4 x 4 pixels: clear, clear (without swir16), cloudy."""
    path = tmp_path / "cubes" / "31UES.zarr"
    variables = tuple(v for v in level_variables("l2a") if v.name in (*BANDS, "scl"))
    create_cube(path, Spec("31UES", "l2a", EXTENT, {"r10m": 10, "r20m": 20}, variables))
    commit(path, MAY_5, ["one"], 1000, 4)
    commit(path, MAY_15, ["two"], 2000, 5, swir16=NODATA)
    commit(path, MAY_25, ["three", "three-b"], 3600, 9)
    return path


@pytest.fixture
def workspace(tmp_path: Path, store: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path) as workspace:
        publish(workspace, [scene("one", MAY_5), scene("two", MAY_15), scene("three", MAY_25)])
        synthesis(workspace, ["one", "two", "three", "three-b"], LAYERS)
        yield workspace


def test_a_synthesis_is_told_date_by_date(workspace: Workspace) -> None:
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    assert found["window"] == ["2019-04-22", "2019-06-07"]
    assert found["agrees"] is True
    ten, twenty = found["groups"]
    assert (ten["resolution"], ten["pixel"]) == (10, [1, 0])
    assert (twenty["resolution"], twenty["pixel"]) == (20, [0, 0])
    assert [one["date"] for one in ten["dates"]] == ["2019-05-05", "2019-05-15", "2019-05-25"]
    assert [one["scenes"] for one in ten["dates"]] == [["one"], ["two"], ["three", "three-b"]]
    assert [one["granule"] is None for one in ten["dates"]] == [True, True, False]
    assert [one["kept"] for one in ten["dates"]] == [True, True, False]
    assert [one["reason"] for one in ten["dates"]] == ["clear", "clear", "cloud"]
    assert [one["weight"] for one in ten["dates"]] == [0.782609, 1.0, 0.0]
    assert ten["dates"][0]["factors"] == {
        "date": 0.782609,
        "sensor": 1.0,
        "cloud": 1.0,
        "outlier": 1.0,
    }
    assert ten["dates"][0]["values"]["red"] == {"dn": 1000, "reflectance": 0.1}
    mask = ten["dates"][2]["mask"]
    assert (mask["values"], mask["class"]) == ({"scl": [9]}, "cloud")
    assert mask["meaning"]["scl 9"][0].startswith("value 9: ")
    results = {result["asset"]: result for result in ten["results"]}
    assert results["red"]["value"] == results["red"]["item"] == 1561
    assert results["red"]["reflectance"] == 0.1561
    assert "= 0.278261 / 1.78261 over 2 dates" in results["red"]["formula"]
    assert results["red"]["dates"] == ["2019-05-05", "2019-05-15"]
    assert results["date"]["day"] == "2019-05-11"
    assert results["weight"]["value"] == 1.78261
    assert results["clear_count"]["value"] == 2


def test_a_band_without_data_is_said_of_that_band_alone(workspace: Workspace) -> None:
    synthesis(workspace, ["one", "two", "three", "three-b"], {**LAYERS, "weight_20m": 1.7826087})
    _, twenty = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)["groups"]
    # Without swir16 the second date has no data at 20 m at all: only one clear date is left.
    assert [one["reason"] for one in twenty["dates"]] == ["clear", "no data in any band", "cloud"]
    swir = twenty["results"][0]
    assert (swir["name"], swir["value"], swir["agrees"]) == ("swir16", 2000, True)
    weight = next(r for r in twenty["results"] if r["asset"] == "weight_20m")
    assert (weight["value"], weight["item"], weight["agrees"]) == (0.782609, 1.78261, False)


def test_rasters_that_do_not_follow_differ(workspace: Workspace) -> None:
    synthesis(workspace, ["one", "two", "three", "three-b"], {**LAYERS, "red": 1562})
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    assert found["agrees"] is False
    red = next(r for r in found["groups"][0]["results"] if r["name"] == "red")
    assert (red["value"], red["item"], red["agrees"]) == (1561, 1562, False)


def test_what_counts_is_what_the_item_was_made_of(workspace: Workspace, store: Path) -> None:
    slot = next(e.slot for e in open_store(store).dates if e.items[0]["id"] == "one")
    commit(store, MAY_5, ["one"], 9000, 9, version="2", replaces=[slot])
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    first = found["groups"][0]["dates"][0]
    assert first["values"]["red"]["dn"] == 1000
    assert first["note"] == ""


def test_a_date_is_known_by_its_pixels(workspace: Workspace, store: Path) -> None:
    cube = open_store(store)
    one = next(e for e in cube.dates if e.items[0]["id"] == "one")
    item = synthesis(workspace, ["one", "two", "three", "three-b"], LAYERS)
    item["properties"]["clearcube:inputs"]["one"] = pixel_checksum(
        cube, one, ["blue", "red", "swir16"]
    )
    publish(workspace, [item])
    commit(store, MAY_5, ["one"], 9000, 9, version="2", replaces=[one.slot])
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    assert (found["groups"][0]["dates"][0]["note"], found["agrees"]) == ("", True)
    item["properties"]["clearcube:inputs"]["one"] = "of no slot"
    publish(workspace, [item])
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    first = found["groups"][0]["dates"][0]
    assert first["note"] == "replaced since: what is shown is what the cube holds now"
    assert (first["values"]["red"]["dn"], found["agrees"]) == (9000, False)


def test_dates_that_no_cube_holds_are_said(workspace: Workspace) -> None:
    synthesis(workspace, ["zero_20190510T105659", "one", "two", "three", "three-b"], LAYERS)
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    gone = found["groups"][0]["dates"][1]
    assert (gone["date"], gone["scenes"]) == ("2019-05-10", ["zero_20190510T105659"])
    assert gone["reason"] == "the cube holds this date no more"
    assert found["notes"] == [
        "1 of its dates are in no cube any more; what follows is of the others"
    ]


def test_scenes_of_the_window_that_were_left_out(workspace: Workspace, store: Path) -> None:
    commit(store, MAY_15 + 1, ["late"], 500, 4)
    commit(store, MAY_15 + 4, ["hazy"], 500, 4)
    mask = scene("31UES_20190519T105659_scl", MAY_15 + 4, **{"clearcube:rejected": "haze"})
    mask["collection"] = "cloud-mask-scl"
    mask["properties"] |= {"clearcube:job": "decode-masks"}
    publish(workspace, [mask, scene("hazy", MAY_15 + 4)])
    rejected = scene("bad", MAY_15 + 2, **{"clearcube:rejected": "haze"})
    older = scene("older", MAY_15 + 3, **{"clearcube:superseded_by": "newer"})
    far = scene("far", MAY_15 + 24)
    publish(workspace, [scene("late", MAY_15 + 1), rejected, older, far])
    item = synthesis(workspace, ["one", "two", "three", "three-b"], LAYERS)
    item["properties"]["clearcube:without"] = {"torn": "cannot read red"}
    publish(workspace, [item])
    found = explain(workspace, "31UES_2019-05_wasp_scl", INSIDE)
    dates = found["groups"][0]["dates"]
    left_out = {one["scenes"][0]: one["reason"] for one in dates if not one["input"]}
    assert left_out == {
        "late": "no input of the item: it came after the item was made",
        "hazy": "its mask is rejected: haze",
        "bad": "rejected: haze",
        "older": "superseded by newer",
        "torn": "skipped: cannot read red",
    }
    late = next(one for one in dates if one["scenes"] == ["late"])
    assert late["values"]["red"]["dn"] == 500
    red = next(r for r in found["groups"][0]["results"] if r["name"] == "red")
    assert (red["value"], red["agrees"]) == (1561, True)


def test_an_item_of_another_job_shows_what_it_holds(workspace: Workspace) -> None:
    item = synthesis(workspace, ["one"], {"red": 1561})
    item["properties"]["clearcube:job"] = "greenest"
    publish(workspace, [item])
    found = explain(workspace, "synthesis-wasp/31UES_2019-05_wasp_scl", INSIDE)
    assert found["note"] == "the job greenest does not explain itself"
    assert found["inputs"]["one"] == "1"
    assert found["assets"]["red"]["values"] == [1561]


Command = Callable[..., Any]


def test_the_command_fits_its_lines(workspace: Workspace, clearcube: Command) -> None:
    path = workspace.settings.workspace
    said = clearcube(path, "explain", "31UES_2019-05_wasp_scl", "--at", "2.999784,51.451047")
    assert (said.status, said.err) == (0, "")
    assert max(map(len, said.out.splitlines())) <= 120
    for text in (
        "wasp of 2019-05, dates from 2019-04-22 to 2019-06-07",
        "  1  2019-05-05  clear  scl 4  0.78261  1         1          1           0.78261  yes: clear",
        "red 0.1561 (dn 1561): sum(weight x value) / sum(weight) = 0.278261 / 1.78261",
        "(#1 #2); agrees",
        "The item holds what follows from its dates.",
    ):
        assert text in said.out, said.out
    document = json.loads(
        clearcube(
            path, "explain", "31UES_2019-05_wasp_scl", "--at", "2.999784,51.451047", "--json"
        ).out
    )
    assert document["groups"][0]["results"][1]["value"] == 1561


def test_the_command_refuses_in_one_line(workspace: Workspace, clearcube: Command) -> None:
    path, item = workspace.settings.workspace, "31UES_2019-05_wasp_scl"
    clearcube(path, "explain", item, "--at", "4,50").refused("lies outside", item)
    clearcube(path, "explain", item, "--at", "4").refused("LON,LAT")
    clearcube(path, "explain", item, "--at", "-181,50").refused("leaves the globe")
    clearcube(path, "explain", item, "--at", "nan,50").refused("leaves the globe")
    clearcube(path, "explain", "nobody", "--at", "3,50").refused("nobody")
    twin = synthesis(workspace, ["one"], {"red": 1})
    twin["collection"] = "synthesis-twin"
    publish(workspace, [twin])
    clearcube(path, "explain", item, "--at", "3,50").refused("synthesis-twin/", "synthesis-wasp/")


def test_a_place_is_two_numbers() -> None:
    assert parse_place(" -3.5, 40 ") == Place(-3.5, 40)
    for text in ("", "1", "1,2,3", "a,b", "inf,0"):
        with pytest.raises(RequestError, match="LON,LAT"):
            parse_place(text)
    with pytest.raises(GridError):
        Place(60, 10).pixel(EXTENT, 10)


@pytest.mark.parametrize("coarse", [240, 250])
def test_a_weight_from_the_clouds_near_by_is_that_of_the_whole(tmp_path: Path, coarse: int) -> None:
    side = 30_000
    extent = Extent(WHOLE.epsg, WHOLE.left, WHOLE.top - side, WHOLE.left + side, WHOLE.top)
    variables = tuple(v for v in level_variables("l2a") if v.name == "scl")
    path = tmp_path / "c.zarr"
    spec = Spec("31UES", "l2a", extent, {"r10m": 10, "r20m": 20}, variables)
    create_cube(path, spec)
    shape = spec.shape("r20m")
    rng = np.random.default_rng(4)
    cloudy = np.repeat(np.repeat(rng.random((30, 30)) < 0.2, 50, 0), 50, 1)
    staged = StagedDate(path, spec, "k")
    staged.write(variables[0], 0, 0, np.where(cloudy, 9, 4).astype(np.uint8))
    staged.close()
    entry = commit_date(path, DateEntry(MAY_5 * DAY, "k", (), ("scl",)))
    cube, reading = open_store(path), MaskReading("scl")
    params = CloudWeightParams(coarse=coarse, sigma_large=4)
    window = (slice(0, shape[0]), slice(0, shape[1]))
    hidden = not_clear(read_classes(cube, [entry], reading, "r20m", window)[0], params)
    weights: set[float] = set()
    whole = coarse_cloud_weights([(0, hidden)], shape, 20, params)
    for place in (
        Place(3.21495, 51.31611),
        Place(2.99978, 51.45114),
        Place(3.41465, 51.18518),
        Place(3.0999, 51.19936),
    ):
        for group, resolution in (("r10m", 10), ("r20m", 20)):
            row, column = place.pixel(extent, resolution)
            expected = cloud_weight(whole, row, column, (1, 1), resolution, params)[0, 0]
            found = pixel_weight(cube, entry, reading, group, place, BlurredClouds(params))
            assert found == expected
            weights.add(found)
    assert len(weights) > 3


# --- the real series ------------------------------------------------------------------------------


PLACES = {"field": "4.0608,50.7465", "edge": "4.0660,50.7482"}


@pytest.fixture(scope="module")
def series(
    tmp_path_factory: pytest.TempPathFactory, shared: Path, cluster_address: str
) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("31UES"), scheduler=cluster_address) as workspace:
        workspace.ingest(shared / "s2-l2a-31UES" / "catalog.json", datetime="2019-04-20/2019-06-10")
        request = {"tile": "31UES", "datetime": "2019-05", "mask": "scl"}
        for method in ("wasp", "median"):
            assert workspace.run("synthesis", **request, method=method).failures == []
        plain = {"brdf": "none", "small_clouds": "drop"}
        assert workspace.run("synthesis", **request, options=plain, name="plain").failures == []
        yield workspace


@pytest.mark.shared
@pytest.mark.cluster
@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("made", ["wasp_scl", "wasp_scl_plain", "median_scl"])
def test_the_real_series_follows_from_its_dates(series: Workspace, made: str, place: str) -> None:
    found = explain(series, f"31UES_2019-05_{made}", parse_place(place))
    assert found["agrees"] is True
    assert [group["group"] for group in found["groups"]] == ["r10m", "r20m"]
    for group in found["groups"]:
        for result in group["results"]:
            assert result["agrees"] is True, result
    numbers = {
        result["asset"]: result["value"] for group in found["groups"] for result in group["results"]
    }
    assert len(numbers) == 20
    expected = {
        # Seen from nadir, and with weights that fall near small clouds, too. A thin cloud of 6 May
        # that SCL calls vegetation weighs a twentieth.
        ("wasp_scl", "field"): (571, 4700, 2306, 18028),
        ("wasp_scl_plain", "field"): (526, 4549, 2229, 18025),
        ("median_scl", "field"): (731, 6156, 2575, 18027),
    }
    name = next(name for name, text in PLACES.items() if text == place)
    if (made, name) in expected:
        shown = tuple(numbers[key] for key in ("red", "nir", "swir16", "date"))
        assert shown == expected[made, name]


@pytest.mark.shared
@pytest.mark.cluster
def test_masks_and_cubes_of_the_real_series(series: Workspace) -> None:
    place = parse_place(PLACES["field"])
    mask = explain(series, "31UES_20190501T105703_scl", place)
    assert mask["mask"]["values"] == {"scl": [7]}
    assert mask["mask"]["meaning"] == {"scl 7": ["value 7: unclassified"]}
    assert (mask["mask"]["class"], mask["item_value"], mask["agrees"]) == ("thin_cloud", 4, True)
    assert mask["scenes"] == ["S2_31UES_20190501T105703_L2A"]
    cube = explain(series, "31UES", place)
    ten, twenty = cube["groups"]
    assert len(ten["dates"]) == len(twenty["dates"]) == 5
    may = next(one for one in ten["dates"] if one["date"] == "2019-05-16")
    assert may["values"]["red"] == {"dn": 731, "reflectance": 0.0731}
    assert may["mask"]["class"] == "clear"
    source = explain(series, "S2_31UES_20190516T105659_L2A", place)
    assert source["kind"] == "scene"
    assert source["assets"]["red"]["values"] == [731]
    assert source["assets"]["red"]["reflectance"] == 0.0731
