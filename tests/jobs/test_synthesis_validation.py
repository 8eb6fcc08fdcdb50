"""Syntheses side by side: figures by hand, on a simulated season against its truth, bad input."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform_geom

from cube.grid import Block
from jobs import seen_dates as seen_masks
from jobs import synthesis_judging, synthesis_validation
from jobs.errors import RequestError
from jobs.left_out import GatheredClouds, LeftOut, leave_out
from jobs.recorded_month import angle_files, recorded_month
from jobs.seen_dates import best_mask, seen_dates
from jobs.simulate.season import SeasonFiles
from jobs.simulate.truth import Truth
from jobs.synthesis_validation import validate_synthesis
from jobs.testing import LEFT, TOP
from jobs.workspace import Workspace, open_workspace

BOTH = ("validate", "synthesis", "--tile", "31UES", "--datetime", "2019-05/2019-06")

NO_CLOUD = {
    "judged": 4096, "cloud": 0, "cloud_by_darkest_clear": 0, "cloud_by_reference_alone": 0,
    "shadow": 0,
}  # fmt: skip


def write_area(path: Path, corners: list[tuple[float, float]]) -> Path:
    """GeoJSON of one polygon; corners are metres right of and below the upper left one."""
    ring = [[LEFT + x, TOP - y] for x, y in corners]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    geometry = transform_geom("EPSG:32631", "EPSG:4326", polygon)
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


# --- values by hand -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(shown: Workspace) -> dict[str, Any]:
    """Two methods, two months: see the fixture for what each date holds."""
    return validate_synthesis(shown, "T31UES", "2019-05/2019-06", ["wasp", "median"], ["scl"])


def test_what_it_is_held_against_is_stated(judged: dict[str, Any]) -> None:
    assert judged["reference"] == {
        "mask": "scl", "classes": ["clear", "water"], "days": 91, "dates": 4,
        "dates_without_mask": 0, "residual": NO_CLOUD | {"judged": 8192},
    }  # fmt: skip
    # The 14th is half clear and a day from the centre; the 4th is clear all over.
    dates = judged["dates"]
    assert dates["2019-05"] == {
        "left_out": "2019-05-14", "compared": "2019-05-04", "residual_of_compared": NO_CLOUD,
    }  # fmt: skip
    assert (dates["2019-06"]["left_out"], dates["2019-06"]["compared"]) == (
        "2019-06-18",
        "2019-06-08",
    )
    assert judged["notes"] == []


def test_gaps_and_clouds_by_hand(judged: dict[str, Any]) -> None:
    found = judged["syntheses"]["median scl"]
    may = found["per_period"]["2019-05"]
    assert may["gaps"] == {
        "pixels": 4096, "never_observed": 0, "share": 0, "mean_clear_count": 1.5,
        "clear_count": [0, 2048, 2048],
    }  # fmt: skip
    assert may["residual"] == NO_CLOUD
    assert found["all"]["gaps"]["pixels"] == 8192


def test_dates_by_hand(judged: dict[str, Any]) -> None:
    may = judged["syntheses"]["median scl"]["per_period"]["2019-05"]
    # Two dates of which the mean is the 9th, one of the 4th: 6 days with weight 2, 11 with 1.
    assert may["date_distance"]["mean"] == pytest.approx((2 * 6 + 11) / 3, abs=1e-4)
    assert may["date_distance"]["pixels"] == 4096
    # One border of 64 pixels; squares on both sides of it hold 3 or 6 pixels 5 days later.
    assert may["date_texture"]["different"] == pytest.approx(64 / (2 * 63 * 64), rel=1e-5)
    spread = 2 * 62 * 5 * np.sqrt(2) / 3 / 62**2
    assert may["date_texture"]["local_sd"] == pytest.approx(spread, rel=1e-5)


def test_a_date_is_left_out(judged: dict[str, Any]) -> None:
    # Without the 14th the 4th is all there is: red 500 instead of 600, where the 14th is clear.
    for name in ("median scl", "wasp scl"):
        red = judged["syntheses"][name]["per_period"]["2019-05"]["bands"]["red"]["fidelity"]
        assert red == {"pixels": 2048, "rmse": 0.01, "bias": -0.01, "mad": 0.01, "within": 1}
    both = judged["syntheses"]["median scl"]["all"]
    assert both["bands"]["red"]["fidelity"]["pixels"] == 4096
    assert both["bands"]["nir"]["fidelity"]["rmse"] == 0
    apart = [3000 / 4000 - 2900 / 4100, 2800 / 4200 - 2700 / 4300]
    index = both["bands"]["ndvi"]["fidelity"]
    assert index["bias"] == pytest.approx(np.mean(apart), abs=1e-4)
    assert index["within"] == 0
    assert both["mean_of_bands"]["fidelity"]["rmse"] == pytest.approx(0.01 / 4, rel=1e-5)


def test_what_all_show_is_compared_too(shown: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    real = synthesis_judging._left_out

    def half(ground: Any, view: Any, clouds: Any) -> Any:
        found = real(ground, view, clouds)
        if view.judged.name == "wasp scl":
            found["red"] = np.where(np.arange(64) < 16, found["red"], np.int16(-10000))
        return found

    monkeypatch.setattr(synthesis_judging, "_left_out", half)
    found = validate_synthesis(shown, "31UES", "2019-05", ["wasp", "median"], ["scl"])
    wasp, median = (
        found["syntheses"][f"{name} scl"]["all"]["bands"] for name in ("wasp", "median")
    )
    assert (wasp["red"]["fidelity"]["pixels"], wasp["red"]["common"]["pixels"]) == (512, 512)
    assert (median["red"]["fidelity"]["pixels"], median["red"]["common"]["pixels"]) == (2048, 512)
    assert median["red"]["common"]["rmse"] == 0.01
    assert median["blue"]["common"]["pixels"] == 2048


def test_steps_by_hand(judged: dict[str, Any]) -> None:
    red = judged["syntheses"]["median scl"]["per_period"]["2019-05"]["bands"]["red"]
    # 550 above and 500 below the edge of the cloud; the clear date is the same all over.
    assert red["edges"] == {"pairs": 64, "step": 0.005, "index": None}
    assert red["elsewhere"]["step"] == 0
    assert red["changes"] == {"pairs": 0, "step": None, "index": None}
    # A median is not of one date, and there is one orbit and no month between two others.
    assert red["seam"] == {"pairs": 0, "step": None}
    assert red["temporal"] == {"pixels": 0, "rms": None}
    assert red["truth"]["rmse"] is None


def test_only_areas_are_judged(shown: Workspace, tmp_path: Path) -> None:
    # Columns 0 to 9 of the whole height.
    area = write_area(tmp_path / "a.geojson", [(0, 0), (100, 0), (100, 640), (0, 640)])
    found = validate_synthesis(shown, "31UES", "2019-05", ["median"], ["scl"], areas=area)
    one = found["syntheses"]["median scl"]["all"]
    assert one["gaps"]["clear_count"] == [0, 320, 320]
    assert one["bands"]["red"]["fidelity"]["pixels"] == 320
    assert one["bands"]["red"]["edges"]["pairs"] == 10
    # What lies wholly inside: 8 columns, 62 rows.
    assert one["bands"]["red"]["noise"]["pixels"] == 8 * 62
    assert found["areas"] == str(area)


def test_the_best_mask_is_taken(shown: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for held, best in (
        (["scl", "scl:a", "tsmask", "combined:x"], "tsmask"),
        (["mtcd:b", "scl:a", "tsmask:c"], "tsmask:c"),
        (["clm", "scl"], "scl"),
    ):
        monkeypatch.setattr(seen_masks, "catalogued_masks", lambda *_, held=held: held)
        assert best_mask(shown, "31UES", "l2a") == best
    monkeypatch.setattr(seen_masks, "catalogued_masks", lambda *_: ["clm"])
    with pytest.raises(RequestError, match="no mask of the l2a cube"):
        best_mask(shown, "31UES", "l2a")


# --- a simulated season ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(
    season: SeasonFiles, tmp_path_factory: pytest.TempPathFactory, cluster_address: str
) -> Iterator[Workspace]:
    """May of the small season, by two methods; two orbits see it."""
    folder = tmp_path_factory.mktemp("simulated")
    with open_workspace(folder / "w", scheduler=cluster_address) as workspace:
        assert not workspace.ingest(*season.products).failures
        for method in ("wasp", "medoid"):
            made = workspace.run("synthesis", tile="31TCJ", datetime="2020-05", method=method)
            assert not made.failures
        yield workspace


def item_of(workspace: Workspace, method: str) -> dict[str, Any]:
    return workspace.catalog.item(f"synthesis-{method}", f"31TCJ_2020-05_{method}_scl")


def pixels(item: dict[str, Any], key: str) -> Any:
    with rasterio.open(item["assets"][key]["href"]) as raster:
        return raster.read(1)


def test_truth_and_seams_of_a_season(simulated: Workspace, season: SeasonFiles) -> None:
    found = validate_synthesis(
        simulated, "31TCJ", "2020-05", ["wasp", "medoid"], ["scl"], truth=season.truth
    )
    truth = Truth(season.truth).month("2020-05")
    for method in ("wasp", "medoid"):
        item = item_of(simulated, method)
        one = found["syntheses"][f"{method} scl"]["all"]["bands"]
        for band, key in (("red", "status"), ("swir16", "status_20m")):
            shown = pixels(item, band).astype(float)
            apart = (shown * 1e-4 - np.rint(truth[band] * 1e4) * 1e-4)[
                (pixels(item, key) >= 2) & (shown != -10000)
            ]
            assert one[band]["truth"]["pixels"] == apart.size > 1000
            assert one[band]["truth"]["rmse"] == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-5)
            assert one[band]["truth"]["bias"] == pytest.approx(apart.mean(), rel=1e-4, abs=1e-9)
        # The eastern orbit sees a part only; its border runs through the scene.
        assert one["red"]["seam"]["pairs"] > 50
        assert one["red"]["seam"]["step"] > 0
        assert one["red"]["noise"]["pixels"] > 0
    assert found["syntheses"]["medoid scl"]["all"]["bands"]["red"]["changes"]["pairs"] > 0
    assert found["syntheses"]["wasp scl"]["all"]["bands"]["red"]["changes"]["pairs"] == 0


def test_clouds_left_are_those_that_plain_numpy_finds(simulated: Workspace) -> None:
    found = validate_synthesis(simulated, "31TCJ", "2020-05", ["medoid"], ["scl"])
    one = found["syntheses"]["medoid scl"]["all"]["residual"]
    seen, item = seen_dates(simulated, "31TCJ", "scl"), item_of(simulated, "medoid")
    everywhere = (slice(0, 96), slice(0, 96))
    slots = [each.entry.slot for each in seen.dates]
    classes = seen.classes(seen.dates, "r10m", everywhere)
    clear = np.isin(classes, (1, 6))
    blue, nir = (
        np.ma.masked_array(stack / 10000, stack == -10000)
        for stack in (seen.cube.read("r10m", name, slots, everywhere) for name in ("blue", "nir"))
    )
    usual, lit = (
        np.ma.median(np.ma.masked_array(band, band.mask | ~clear), axis=0) for band in (blue, nir)
    )
    least = np.ma.masked_array(blue, blue.mask | (classes == 0)).min(axis=0)
    shown = np.ma.masked_array(pixels(item, "blue") / 10000, pixels(item, "status") < 2)
    judged = ~np.ma.getmaskarray(shown + usual)
    cloud = (shown > usual + 0.04) & (shown > least + 0.04)
    shadow = pixels(item, "nir") / 10000 < 0.6 * lit
    assert one["judged"] == judged.sum() > 5000
    assert one["cloud"] == pytest.approx(cloud[judged].mean(), abs=2e-4)
    assert one["cloud"] > 0
    assert one["shadow"] == pytest.approx(shadow[judged].mean(), abs=2e-4)


def test_the_reference_is_another_mask_than_that_judged(simulated: Workspace) -> None:
    made = simulated.run("decode-masks", tile="31TCJ", encoding="scl", name="wide", buffer=20)
    assert not made.failures
    own = validate_synthesis(simulated, "31TCJ", "2020-05")
    other = validate_synthesis(simulated, "31TCJ", "2020-05", reference="scl:wide")
    assert (own["reference"]["mask"], other["reference"]["mask"]) == ("scl", "scl:wide")
    one, two = (each["syntheses"]["wasp scl"]["all"] for each in (own, other))
    # What is published is the same, what it is held against is less.
    assert one["gaps"] == two["gaps"]
    assert one["date_texture"] == two["date_texture"]
    assert 0 < two["residual"]["judged"] <= one["residual"]["judged"]
    # The 15th is half clear, but no more so where clouds are wider: then none is left out.
    left_out = [each["dates"]["2020-05"]["left_out"] for each in (own, other)]
    assert left_out == ["2020-05-15", None]
    assert one["bands"]["red"]["fidelity"]["rmse"] > 0
    assert two["bands"]["red"]["fidelity"]["rmse"] is None


def test_blocks_of_any_size_come_to_the_same(
    simulated: Workspace, season: SeasonFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (simulated, "31TCJ", "2020-05", ["wasp", "medoid"], ["scl"])
    whole = validate_synthesis(*asked, truth=season.truth)
    monkeypatch.setattr(synthesis_validation, "_side", lambda *_: 17)
    assert validate_synthesis(*asked, truth=season.truth) == whole
    assert whole["syntheses"]["wasp scl"]["all"]["bands"]["red"]["fidelity"]["pixels"] > 0


@pytest.mark.parametrize("method", ["wasp", "medoid"])
def test_without_no_date_it_is_what_was_published(
    simulated: Workspace, method: str, tmp_path: Path
) -> None:
    item, seen = item_of(simulated, method), seen_dates(simulated, "31TCJ", "scl")
    angles = angle_files(simulated, item)
    month = replace(recorded_month(item), angle_files=angles)
    every = LeftOut(month, seen, seen.between(*month.window))
    height, width = seen.cube.spec.shape("r20m")
    for group, keys in (("r10m", ("red", "weight", "date")), ("r20m", ("swir16", "status_20m"))):
        made = every.composed(group, Block(0, 0, 0, 0, height, width), GatheredClouds(tmp_path))
        for key in keys:
            assert np.array_equal(made[key.removesuffix("_20m")], pixels(item, key)), key
    gone = seen.dates[0]
    left = leave_out(item, seen, gone, angles)
    assert left is not None
    assert [one.day for one in left.dates] == [one.day for one in seen.dates[1:]]


def test_other_dates_than_recorded_are_said(
    simulated: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = synthesis_validation.seen_dates

    def fewer(*asked: Any) -> Any:
        seen = real(*asked)
        return type(seen)(seen.name, seen.cube, seen.reading, seen.dates[:-1])

    monkeypatch.setattr(synthesis_validation, "seen_dates", fewer)
    found = validate_synthesis(simulated, "31TCJ", "2020-05", nearest=10)
    assert "31TCJ_2020-05_wasp_scl: made of other dates" in found["notes"][0]
    one = found["syntheses"]["wasp scl"]["all"]
    assert one["bands"]["red"]["fidelity"]["rmse"] is None
    assert one["gaps"]["pixels"] > 0


# --- the command ----------------------------------------------------------------------------------


def test_the_command(shown: Workspace, tmp_path: Path, clearcube: Any) -> None:
    place = shown.settings.workspace
    asked = (*BOTH, "--method", "wasp", "--method", "median", "--picture", tmp_path / "p.png")
    said = clearcube(place, *asked)
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "31UES: 2 periods, 2019-05 to 2019-06"
    assert lines[1] == ("reference: clear and water by scl (4 dates), within 91 days of the centre")
    rows = [line.split() for line in lines if line.startswith("median scl ")]
    assert rows[0][2:7] == ["0.00", "1.5", "0.00", "0.00", "0.00"]
    assert rows[1][2:5] == ["4096", "0.0025", "-0.0025"]
    assert rows[1][-2:] == ["4096", "0.0025"]
    # Constant fields have no noise, nor has what they are held against.
    assert rows[2][2:] == ["-"] * 7
    assert next(line for line in lines if line.startswith("left out ")).split() == [
        "left", "out", "19-05-14", "19-06-18",
    ]  # fmt: skip
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (1600, 900)
    document = json.loads(clearcube(place, *BOTH, "--json").out)
    assert list(document["syntheses"]) == ["wasp scl"]
    assert document["thresholds"]["cloud"] == 0.04


def test_a_period_without_item_is_said(shown: Workspace, clearcube: Any) -> None:
    place = shown.settings.workspace
    said = clearcube(
        place, "validate", "synthesis", "--tile", "31UES", "--datetime", "2019-05/2019-07"
    )
    assert "note: no wasp scl of 2019-07" in said.out.splitlines()
    assert (
        next(line for line in said.out.splitlines() if line.startswith("wasp scl ")).split()[-1]
        != ""
    )


def test_bad_input_is_one_line(
    shown: Workspace, season: SeasonFiles, tmp_path: Path, clearcube: Any
) -> None:
    place = shown.settings.workspace
    make = (
        "clearcube run synthesis --tile 31UES --datetime 2019-05/2019-06 --method wasp --mask scl"
    )
    clearcube(place, *BOTH, "--method", "wasp:no").refused(
        "no synthesis wasp:no", f"{make} --name no"
    )
    clearcube(place, *BOTH, "--method", "nosuch").refused("nosuch")
    clearcube(place, *BOTH, "--mask", "tsmask").refused("no mask tsmask", "make it first")
    clearcube(place, *BOTH, "--reference", "mtcd").refused("no mask mtcd", "make it first")
    clearcube(place, *BOTH, "--period", "week").refused("week")
    clearcube(place, *BOTH[:4], "--datetime", "../2019").refused("open")
    clearcube(place, *BOTH, "--areas", tmp_path / "no").refused("cannot read", "no")
    for folder in (tmp_path, tmp_path / "none"):
        clearcube(place, *BOTH, "--truth", folder).refused(
            f"{folder} holds no truth of a simulated season: its truth.json cannot be read (No such",
            "give the folder truth of clearcube demo",
        )
    (tmp_path / "truth.json").write_text("{}")
    clearcube(place, *BOTH, "--truth", tmp_path).refused("is not as the simulator writes it; give")
    clearcube(place, *BOTH, "--truth", season.truth).refused("not of what the cube of tile 31UES")
    clearcube(place, *BOTH, "--picture", tmp_path / "no" / "p.png").refused("cannot write")
    clearcube(tmp_path / "none", *BOTH).refused("there is no workspace")
    for content in (
        "{",
        "[]",
        '{"features": [{}]}',
        '{"features": [{"geometry": {"type": "Blob"}}]}',
    ):
        (tmp_path / "bad.geojson").write_text(content)
        clearcube(place, *BOTH, "--areas", tmp_path / "bad.geojson").refused(
            f"{tmp_path / 'bad.geojson'} is no GeoJSON file of areas: "
        )
    (tmp_path / "bad.geojson").write_text('{"features": [{}]}')
    clearcube(place, *BOTH, "--areas", tmp_path / "bad.geojson").refused(
        "no GeoJSON file of areas: give polygons in longitude and latitude, alone or as features"
    )
    far = write_area(tmp_path / "far.geojson", [(9000, 9000), (9100, 9000), (9100, 9100)])
    clearcube(place, *BOTH, "--areas", far).refused("no area of", "lies in the cube of tile 31UES")
