"""Tiles and values of what is catalogued, and of nothing else."""

import io
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fastapi import HTTPException
from matplotlib import colormaps
from morecantile import tms
from PIL import Image
from pyproj import Transformer
from starlette.testclient import TestClient

from catalog.items import utc_text
from catalog.search import Query
from cube.classes import CLASSES, STATUSES
from cube.composite import day_number, day_of
from cube.decoding import MaskReading
from cube.place import Place
from jobs.figures import CLASS_COLOURS
from jobs.runner.publish import publish
from jobs.service import create_service
from jobs.testing import LEFT, TOP
from jobs.web import mercator, pictures
from jobs.web.answers import without_folders
from jobs.web.renderings import RENDERINGS, Scale
from jobs.web.series import pixel_series
from jobs.web.viewer import PARTS, contents, tiles
from jobs.workspace import Workspace, open_workspace


def place(row: int, column: int) -> tuple[float, float]:
    """Longitude and latitude of the middle of a pixel at 10 m."""
    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True)
    lon, lat = to_degrees.transform(LEFT + 10 * column + 5, TOP - 10 * row - 5)
    return float(lon), float(lat)


CLEAR_AT = place(15, 29)
"""In the northern half, which every date sees clear."""
CLOUDY_AT = place(41, 29)
"""In the southern half, which is cloud on two dates."""
SHADOW_AT = place(59, 29)
"""Where these dates have shadow."""
WASP = "synthesis-wasp/31UES_2019-05_wasp_scl"
MASK = "cloud-mask-scl/31UES_20190514T105600_scl"
CUBE = "cubes/31UES"
MERCATOR = tms.get("WebMercatorQuad")
ZOOM = 15


@pytest.fixture(scope="module")
def client(shown: Workspace) -> Iterator[TestClient]:
    with TestClient(create_service(shown)) as client:
        yield client


def picture(client: TestClient, name: str, at: tuple[float, float] = CLEAR_AT, **asked: str) -> Any:
    """(256, 256, 4) tile over a place."""
    tile = MERCATOR.tile(*at, ZOOM)
    answer = client.get(f"/tiles/{name}/{tile.z}/{tile.x}/{tile.y}.png", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.array(Image.open(io.BytesIO(answer.content)))


def colour(
    client: TestClient, name: str, at: tuple[float, float] = CLEAR_AT, **asked: str
) -> tuple[int, ...]:
    """Red, green, blue, alpha of a tile at a place."""
    found = picture(client, name, at, **asked)
    x, y = MERCATOR.xy(*at)
    box = MERCATOR.xy_bounds(MERCATOR.tile(*at, ZOOM))
    row = int((box.top - y) / (box.top - box.bottom) * 256)
    column = int((x - box.left) / (box.right - box.left) * 256)
    return tuple(int(part) for part in found[row, column])


def stretched(dn: float, top: float) -> int:
    return round(min(dn / (top * 10000), 1) ** (1 / 1.6) * 255)


def value(client: TestClient, item: str, key: str, at: tuple[float, float] = CLEAR_AT) -> float:
    answer = client.get(f"/tiles/{item}/{key}/point", params={"lon": at[0], "lat": at[1]})
    assert answer.status_code == 200, answer.text
    return float(answer.json()["values"][0]["value"])


# --- what is shown --------------------------------------------------------------------------------


def test_colours_of_a_month_are_its_reflectances(client: TestClient) -> None:
    asked = {"lon": CLEAR_AT[0], "lat": CLEAR_AT[1]}
    held = client.get(f"/tiles/{WASP}/true-colour/point", params=asked).json()["values"]
    assert [one["asset"] for one in held] == ["red", "green", "blue"]
    red = held[0]["value"]
    assert 500 < red < 600  # of 4 and 14 May, each with a weight
    assert held[0]["reflectance"] == pytest.approx(red / 10000)
    assert [one["value"] for one in held[1:]] == [400, 400]
    expected = (stretched(red, 0.3), stretched(400, 0.3), stretched(400, 0.3), 255)
    assert colour(client, f"{WASP}/true-colour") == pytest.approx(expected, abs=1)
    expected = (stretched(3500, 0.5), stretched(red, 0.3), stretched(400, 0.3), 255)
    assert colour(client, f"{WASP}/false-colour") == pytest.approx(expected, abs=1)


def test_ndvi_weight_and_date_lie_on_their_ramps(client: TestClient) -> None:
    red = value(client, WASP, "true-colour")
    ndvi = (3500 - red) / (3500 + red)
    for name, found, low, high, ramp in (
        ("ndvi", ndvi, -0.1, 0.9, "RdYlGn"),
        ("weight", value(client, WASP, "weight"), 0, 4, "plasma"),
        ("date", value(client, WASP, "date"), *_may(), "viridis"),
    ):
        place = round((found - low) / (high - low) * 255)
        expected = colormaps[ramp](place, bytes=True)
        assert colour(client, f"{WASP}/{name}") == pytest.approx(expected, abs=3), name


def _may() -> tuple[int, int]:
    """Days of a month by wasp: 23 to each side of the 15th."""
    middle = day_number(day_of(0).replace(2019, 5, 15))
    return middle - 23, middle + 23


def test_codes_have_the_colours_of_their_classes(client: TestClient) -> None:
    assert colour(client, f"{WASP}/status") == STATUSES[4].colour
    assert colour(client, f"{MASK}/mask") == CLASSES[1].colour
    assert colour(client, f"{MASK}/mask", CLOUDY_AT) == CLASSES[2].colour
    # Over a picture clear ground is not covered, and cloud is not white.
    assert colour(client, f"{MASK}/mask-overlay")[3] == 0
    assert colour(client, f"{MASK}/mask-overlay", CLOUDY_AT) == (*CLASS_COLOURS[2], 255)


def test_files_of_codes_bring_their_colours(shown: Workspace) -> None:
    for item_id, key, classes in (
        ("31UES_2019-05_wasp_scl", "status", STATUSES),
        ("31UES_20190514T105600_scl", "mask", CLASSES),
    ):
        (item,) = shown.search(ids=[item_id])
        asset = item.assets[key]
        with rasterio.open(asset.href) as raster:
            held = raster.colormap(1)
        said = {c["value"]: c["color_hint"] for c in asset.extra_fields["classification:classes"]}
        for each in classes[1:]:
            assert held[each.code] == each.colour
            assert said[each.code] == each.hex


def test_a_date_of_a_cube_is_shown_with_its_mask_as_read(client: TestClient) -> None:
    asked = {"time": "20190514T105600"}
    expected = (stretched(600, 0.3), stretched(400, 0.3), stretched(400, 0.3), 255)
    assert colour(client, f"{CUBE}/true-colour", **asked) == expected
    for reading, cloudy, shadowed in (("standard", 2, 3), ("strict", 2, 3), ("clouds-only", 2, 1)):
        for at, code in ((CLOUDY_AT, cloudy), (SHADOW_AT, shadowed)):
            found = colour(client, f"{CUBE}/mask", at, **asked, reading=reading)
            assert found == CLASSES[code].colour, (reading, at)
    later = {"time": "20190608T105600"}
    assert colour(client, f"{CUBE}/mask", CLOUDY_AT, **later) == CLASSES[1].colour


def test_scenes_are_shown_from_their_own_files(client: TestClient) -> None:
    found = colour(client, "sentinel-2-l2a/S2_31UES_20190618/true-colour")
    assert found == (stretched(800, 0.3), stretched(400, 0.3), stretched(400, 0.3), 255)


def test_outside_is_transparent(client: TestClient) -> None:
    for name, asked in ((f"{WASP}/ndvi", {}), (f"{CUBE}/ndvi", {"time": "20190504T105600"})):
        assert not picture(client, name, (10.0, 45.0), **asked).any()
    found = picture(client, f"{WASP}/ndvi")
    assert set(np.unique(found[..., 3])) == {0, 255}  # the tile is wider than the scene


def test_a_date_seen_from_afar_is_sampled_once(
    shown: Workspace, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"time": "20190514T105600", "reading": "strict"}
    direct = {name: picture(client, f"{CUBE}/{name}", **asked) for name in ("true-colour", "mask")}
    monkeypatch.setattr(pictures, "DIRECT", 4)
    monkeypatch.setattr(pictures, "SAMPLE", 16)  # every fourth pixel at 10 m, every second at 20 m
    monkeypatch.setattr(pictures, "_samples", {})
    for name, before in direct.items():
        sampled = picture(client, f"{CUBE}/{name}", **asked)
        same = (sampled == before).all(axis=-1)
        assert same.mean() > 0.97, name  # but for pixels at the edges
    assert len(pictures._samples) == 4
    assert {pixels.shape for pixels, _ in pictures._samples.values()} == {(16, 16)}

    def unread(*_arguments: Any) -> Any:
        raise AssertionError("a sample that is there was read again")

    monkeypatch.setattr(pictures, "read_band", unread)
    assert picture(client, f"{CUBE}/true-colour", **asked).any()


def test_far_zooms_hold_the_whole_world(client: TestClient) -> None:
    for name, asked in ((f"{WASP}/status", {}), (f"{CUBE}/ndvi", {"time": "20190504T105600"})):
        for zoom in (0, 3):
            tile = MERCATOR.tile(*CLEAR_AT, zoom)
            path = f"/tiles/{name}/{tile.z}/{tile.x}/{tile.y}.png"
            assert client.get(path, params=asked).status_code == 200


def test_head_is_answered_without_a_body(client: TestClient) -> None:
    tile = MERCATOR.tile(*CLEAR_AT, ZOOM)
    shown = f"/tiles/{WASP}/true-colour/{tile.z}/{tile.x}/{tile.y}.png"
    for path in (shown, "/viewer", "/viewer/tiles", "/jobs", "/healthz", "/series/31UES", "/docs"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        assert dict(head.headers) == dict(whole.headers), path
    tag = {"If-None-Match": client.head(shown).headers["etag"]}
    assert client.head(shown, headers=tag).status_code == 304


# --- one pixel along time -------------------------------------------------------------------------


def series(client: TestClient, at: tuple[float, float], **asked: str) -> dict[str, Any]:
    answer = client.get("/series/31UES", params={"lon": at[0], "lat": at[1], **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_series_holds_every_date_with_its_class(client: TestClient) -> None:
    found = series(client, CLOUDY_AT)
    assert (found["cube"], found["mask"], found["pixel"]) == ("31UES", "scl", [41, 29])
    assert [(d["time"][:10], d["class"], d["mask"]) for d in found["dates"]] == [
        ("2019-05-04", "clear", "31UES_20190504T105600_scl"),
        ("2019-05-14", "cloud", "31UES_20190514T105600_scl"),
        ("2019-06-08", "clear", "31UES_20190608T105600_scl"),
        ("2019-06-18", "cloud", "31UES_20190618T105600_scl"),
    ]
    assert [d["values"]["red"] for d in found["dates"]] == [0.05, 0.06, 0.07, 0.08]
    assert found["dates"][1]["values"] == {"blue": 0.04, "green": 0.04, "red": 0.06, "nir": 0.35}
    assert found["dates"][1]["scenes"] == ["S2_31UES_20190514"]
    assert [d["class"] for d in series(client, SHADOW_AT)["dates"]][1] == "cloud_shadow"


def test_the_months_of_a_series_are_those_of_a_method_and_mask(client: TestClient) -> None:
    may, june = series(client, CLOUDY_AT, method="median")["months"]
    assert (may["id"], may["period"]) == ("31UES_2019-05_median_scl", "2019-05")
    assert (may["values"]["red"], may["clear_count"], may["total_count"]) == (0.05, 1, 2)
    assert (may["status"], may["date"]) == ("land", "2019-05-04")
    assert (june["values"]["red"], june["date"]) == (0.07, "2019-06-08")
    wasp = series(client, CLEAR_AT)["months"]
    assert [month["id"] for month in wasp] == ["31UES_2019-05_wasp_scl", "31UES_2019-06_wasp_scl"]
    assert 0.05 < wasp[0]["values"]["red"] < 0.06
    # A method that nothing was made by, or a variant: there is none of it here, and that is an answer.
    assert series(client, CLEAR_AT, method="bap")["months"] == []
    assert series(client, CLEAR_AT, variant="wide")["months"] == []


def test_dates_without_a_mask_item_have_the_class_of_the_cube(
    shown: Workspace, tmp_path: Path
) -> None:
    with open_workspace(tmp_path) as other:
        publish(other, list(shown.documents(Query(collections=("cubes",)))))
        found = pixel_series(other, "31UES", Place(*CLOUDY_AT))
    assert [(d["class"], d["mask"]) for d in found["dates"]] == [
        ("clear", "cube"),
        ("cloud", "cube"),
        ("clear", "cube"),
        ("cloud", "cube"),
    ]
    assert found["months"] == []


def test_a_mask_that_a_synthesis_was_made_with_is_one_that_there_is(
    shown: Workspace, tmp_path: Path
) -> None:
    (month,) = shown.documents(Query(ids=("31UES_2019-05_wasp_scl",)))
    month["properties"]["clearcube:request"]["mask"] = "scl:wide"
    with open_workspace(tmp_path) as other:
        publish(other, [*shown.documents(Query(collections=("cubes",))), month])
        found = pixel_series(other, "31UES", Place(*CLEAR_AT), "scl:wide", "median")
        assert (found["mask"], found["months"]) == ("scl:wide", [])
        with pytest.raises(HTTPException, match="of tile 31UES; there are scl scl:wide"):
            pixel_series(other, "31UES", Place(*CLEAR_AT), "scl:narrow", "median")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("31UES?lon=0&lat=0", 404, "0,0 lies outside what is held of tile 31UES"),
        ("31TCJ?lon=0&lat=0", 404, "there is no cube of tile 31TCJ"),
        ("Europe?lon=0&lat=0", 400, "Europe"),
        ("31UES?lon=0", 400, "lat"),
        ("31UES?lon=4.06&lat=50.7475&method=a/b", 400, "method 'a/b'"),
        (
            "31UES?lon=4.06&lat=50.7475&method=no",
            404,
            "there is no synthesis method no; there are bap geomedian",
        ),
        (
            "31UES?lon=4.06&lat=50.7475&mask=no",
            404,
            "there is no mask no of tile 31UES; there are scl",
        ),
        ("31UES?lon=4.06&lat=50.7475&mask=scl:no", 404, "there is no mask scl:no of tile 31UES"),
    ],
)
def test_a_series_that_cannot_be_is_refused(
    client: TestClient, path: str, status: int, said: str
) -> None:
    answer = client.get(f"/series/{path}")
    assert answer.status_code == status, answer.text
    assert said in str(answer.json()["description"])


# --- what the viewer asks for ---------------------------------------------------------------------


def test_the_contents_of_a_tile_name_what_can_be_shown(client: TestClient) -> None:
    (tile,) = client.get("/viewer/tiles").json()
    assert (tile["tile"], tile["months"]) == ("31UES", 4)
    west, south, east, north = tile["bbox"]
    assert west < CLEAR_AT[0] < east
    assert south < CLEAR_AT[1] < north
    found = client.get("/viewer/tiles/31UES").json()
    assert [(m["method"], m["period"], m["mask"]) for m in found["months"]] == [
        ("median", "2019-05", "scl"),
        ("wasp", "2019-05", "scl"),
        ("median", "2019-06", "scl"),
        ("wasp", "2019-06", "scl"),
    ]
    month = found["months"][1]
    assert month["renderings"] == [n for n in RENDERINGS if not n.startswith("mask")]
    assert month["scales"]["date"] == list(_may())
    assert month["scales"]["clear_count"] == [0, 2]
    dates = found["dates"]
    assert [date["stamp"] for date in dates] == [
        "20190504T105600",
        "20190514T105600",
        "20190608T105600",
        "20190618T105600",
    ]
    assert dates[1]["readings"] == ["standard", "strict", "clouds-only"]
    assert dates[1]["masks"][0]["clear"] == 50.0
    assert dates[1]["scenes"][0]["id"] == "S2_31UES_20190514"
    # What it names is there, and kept for good by the version that it names.
    for shown, asked in ((month, {}), (dates[0], {"time": dates[0]["stamp"]})):
        path = f"/tiles/{shown['collection']}/{shown['id']}/ndvi/0/0/0.png"
        answer = client.get(path, params={**asked, "v": shown["version"]})
        assert "immutable" in answer.headers["cache-control"]
    titles = {each["name"]: each["legend"]["kind"] for each in found["renderings"]}
    assert titles == {
        "true-colour": "none", "false-colour": "none", "ndvi": "ramp", "weight": "ramp",
        "date": "days", "clear_count": "ramp", "total_count": "ramp", "status": "classes",
        "mask": "classes", "mask-overlay": "classes",
    }  # fmt: skip
    assert client.get("/viewer/tiles/31TCJ").status_code == 404


def test_items_that_are_not_as_jobs_write_them_do_no_harm(shown: Workspace, tmp_path: Path) -> None:
    (month,) = shown.documents(Query(ids=("31UES_2019-05_wasp_scl",)))
    (mask,) = shown.documents(Query(ids=("31UES_20190514T105600_scl",)))
    for item in (month, mask):
        own = {k: v for k, v in item["properties"].items() if not k.startswith("clearcube:")}
        item |= {"id": f"plain{item['id'][-3:]}", "properties": own}
        item["assets"] = {"red": {"href": "elsewhere.tif"}}
    with open_workspace(tmp_path) as other:
        publish(other, [month, mask | {"id": "mask"}])
        client = TestClient(create_service(other))
        found = client.get("/viewer/tiles/31UES").json()
        assert [one["id"] for one in found["months"]] == ["plainscl"]
        asked = {"lon": CLEAR_AT[0], "lat": CLEAR_AT[1]}
        for path in (
            "/tiles/synthesis-wasp/plainscl/ndvi/0/0/0.png",
            "/viewer/explain/cloud-mask-scl/mask",
            "/series/31UES",
        ):
            answer = client.get(path, params=asked)
            assert answer.status_code in (404, 422, 503), path
            assert len(answer.json()["description"]) < 120


def test_scenes_in_no_cube_are_dates_too(shown: Workspace, tmp_path: Path) -> None:
    with open_workspace(tmp_path) as other:
        publish(other, list(shown.documents(Query(collections=("sentinel-2-l2a",)))))
        found = contents(other, "31UES")
        assert next(iter(tiles(other)))["tile"] == "31UES"
    assert [date["id"] for date in found["dates"]] == [
        "S2_31UES_20190504",
        "S2_31UES_20190514",
        "S2_31UES_20190608",
        "S2_31UES_20190618",
    ]
    assert found["dates"][0]["renderings"] == ["true-colour", "false-colour", "ndvi"]


def test_a_pixel_is_explained_and_an_item_traced(client: TestClient, shown: Workspace) -> None:
    asked = {"lon": CLOUDY_AT[0], "lat": CLOUDY_AT[1]}
    answer = client.get("/viewer/explain/synthesis-median/31UES_2019-05_median_scl", params=asked)
    found = answer.json()
    assert (found["kind"], found["agrees"]) == ("synthesis", True)
    assert [(d["date"], d["kept"]) for d in found["groups"][0]["dates"]] == [
        ("2019-05-04", True),
        ("2019-05-14", False),
    ]
    line = client.get("/viewer/lineage/synthesis-median/31UES_2019-05_median_scl").json()
    assert {"S2_31UES_20190504", "31UES_20190504T105600_scl"} <= {i["id"] for i in line["items"]}
    forward = client.get(
        "/viewer/lineage/cloud-mask-scl/31UES_20190504T105600_scl", params={"forward": True}
    ).json()
    assert "31UES_2019-05_median_scl" in {item["id"] for item in forward["items"]}
    for path in ("explain/x/y", "lineage/x/y"):
        refused = client.get(f"/viewer/{path}", params=asked)
        assert (refused.status_code, refused.json()) == (
            404,
            {"code": "NotFound", "description": "x/y: it is not catalogued"},
        )
    away = client.get("/viewer/explain/synthesis-median/31UES_2019-05_median_scl?lon=0&lat=0")
    assert away.status_code == 404
    assert away.json()["description"].startswith("0,0 lies outside 31UES_2019-05_median_scl")
    assert str(shown.settings.workspace) not in answer.text + away.text


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/viewer")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert '<base href="/viewer/">' in page.text
    assert client.get("/viewer/").text == page.text
    named = set(re.findall(r'(?:src|href)="(static/[^"]+)"', page.text))
    assert len(named) >= 4
    for name in named:
        assert client.get(f"/viewer/{name}").status_code == 200, name
    for name in PARTS - {"leaflet/LICENSE.txt"}:
        if name.endswith((".js", ".css")):
            text = client.get(f"/viewer/static/{name}").text
            assert "sourceMappingURL" not in text
            for imported in re.findall(r'from "\./([^"]+)"', text):
                assert imported in PARTS, (name, imported)
    first = client.get("/viewer/static/main.js")
    again = client.get("/viewer/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("../answers.py", "%2e%2e/answers.py", "none.js", "index.html", "/etc/passwd"):
        assert client.get(f"/viewer/static/{path}").status_code == 404


def test_the_page_knows_where_it_is_mounted(shown: Workspace) -> None:
    client = TestClient(create_service(shown), root_path="/maps")
    assert '<base href="/maps/viewer/">' in client.get("/maps/viewer").text


# --- what a browser keeps -------------------------------------------------------------------------


def test_tiles_are_kept_until_the_item_changes(shown: Workspace, client: TestClient) -> None:
    tile = MERCATOR.tile(*CLEAR_AT, ZOOM)
    path = f"/tiles/{WASP}/status/{tile.z}/{tile.x}/{tile.y}.png"
    first = client.get(path)
    mark = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": mark})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", mark)
    named = client.get(path, params={"v": mark.strip('"')})
    assert "immutable" in named.headers["cache-control"]
    assert client.get(path, params={"v": "old"}).headers["cache-control"] == "no-cache"
    (item,) = shown.documents(Query(ids=(WASP.partition("/")[2],)))
    before = item["properties"]["clearcube:fingerprint"]
    try:
        item["properties"]["clearcube:fingerprint"] = "another"
        publish(shown, [item])
        changed = client.get(path, headers={"If-None-Match": mark})
        assert changed.status_code == 200
        assert changed.headers["etag"] != mark
    finally:
        item["properties"]["clearcube:fingerprint"] = before
        publish(shown, [item])


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("synthesis-wasp/none/ndvi/0/0/0.png", 404, "there is no item none in synthesis-wasp"),
        ("none/31UES_2019-05_wasp_scl/ndvi/0/0/0.png", 404, "there is no item"),
        (f"{WASP}/rainbow/0/0/0.png", 404, "there is no rendering rainbow; there are true-colour"),
        (f"{WASP}/mask/0/0/0.png", 404, "has no assets to show as mask"),
        (f"{WASP}/ndvi/2/4/0.png", 404, "zoom 2 has 4 columns and rows"),
        (f"{CUBE}/ndvi/0/0/0.png", 400, "say which date with time=YYYYMMDDTHHMMSS"),
        (f"{CUBE}/ndvi/0/0/0.png?time=20190101T000000", 404, "has no date 20190101T000000"),
        (f"{CUBE}/mask/0/0/0.png?time=20190504T105600&reading=kind", 400, "no reading kind"),
        (f"{CUBE}/weight/0/0/0.png?time=20190504T105600", 404, "nothing to show as weight"),
        (f"{WASP}/ndvi/point?lon=0&lat=0", 404, "0,0 lies outside 31UES_2019-05_wasp_scl"),
        (f"{CUBE}/ndvi/point?lon=0&lat=0&time=20190504T105600", 404, "lies outside 31UES"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    client: TestClient, path: str, status: int, said: str
) -> None:
    answer = client.get(f"/tiles/{path}")
    assert answer.status_code == status
    assert said in answer.json()["description"]
    assert "\n" not in answer.json()["description"]


@pytest.mark.parametrize(
    "path",
    [
        "http:%2F%2Felsewhere%2Fa.tif/x/ndvi/0/0/0.png",
        "%2Fetc%2Fpasswd/x/ndvi/0/0/0.png",
        "..%2F..%2Fetc/passwd/ndvi/0/0/0.png",
        "synthesis-wasp/..%5C..%5Cetc/ndvi/0/0/0.png",
        f"{WASP}/ndvi/0/0/0.png%00",
        f"{WASP}/ndvi/-1/0/0.png",
        f"{WASP}/ndvi/99/0/0.png",
        f"{WASP}/ndvi/a/b/c.png",
        f"{CUBE}/ndvi/0/0/0.png?time=../../etc",
        f"{WASP}/ndvi/point?lon=900&lat=0",
    ],
)
def test_no_address_and_no_path_is_taken(client: TestClient, shown: Workspace, path: str) -> None:
    answer = client.get(f"/tiles/{path}")
    assert answer.status_code in (400, 404)
    assert str(shown.settings.workspace) not in answer.text
    # One that asks for a file is told no more than that there is no such tile.
    assert client.get(f"/tiles/{WASP}/ndvi/0/0/0.png?url=/etc/passwd").status_code == 200


def test_a_file_that_is_lost_is_told_without_its_path(
    shown: Workspace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (item,) = shown.documents(Query(ids=(WASP.partition("/")[2],)))
    lost = str(tmp_path / "secret" / "red.tif")
    for asset in item["assets"].values():
        asset["href"] = lost
    # Whatever a command run before has done to logging.
    logger = logging.getLogger("jobs.web.answers")
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    with open_workspace(tmp_path / "other") as other, caplog.at_level("WARNING", logger.name):
        publish(other, [item])
        client = TestClient(create_service(other))
        for path in ("ndvi/0/0/0.png", "ndvi/point?lon=4.06&lat=50.7475"):
            tile = MERCATOR.tile(*CLEAR_AT, ZOOM)
            path = path.replace("0/0/0", f"{tile.z}/{tile.x}/{tile.y}")
            answer = client.get(f"/tiles/{WASP}/{path}")
            assert answer.status_code == 503
            said = f"{WASP} cannot be read now; the server's log says why"
            assert answer.json() == {"code": "Unavailable", "description": said}
    assert lost in caplog.text


def test_folders_are_taken_out_of_sentences_alone() -> None:
    said = {
        "note": "cannot read /data/ws/products/a b.tif: no such file",
        "zip": "cannot read /vsizip//data/in.zip/GRANULE/x.jp2: broken",
        "items": ["cubes/31UES", "2018-08/2019-11", "1/2", 3],
    }
    assert without_folders(said) == {
        "note": "cannot read a b.tif: no such file",
        "zip": "cannot read x.jp2: broken",
        "items": ["cubes/31UES", "2018-08/2019-11", "1/2", 3],
    }


def test_every_rendering_paints_nothing_where_nothing_is() -> None:
    nothing = {"reflectance": -10000, "weight": 0, "date": -10000, "status": 0, "mask": 0}
    for each in RENDERINGS.values():
        key = "reflectance" if each.reflectance else each.rasters[0][0]
        if key not in nothing:
            continue  # counts of none are counts
        dtype = np.uint8 if key in ("status", "mask") else np.int16
        pixels = [np.full((2, 2), nothing[key], dtype) for _ in each.rasters]
        assert not each.paint(pixels, Scale(0, 1))[..., 3].any(), each.name


def test_a_cube_tile_equals_the_pixels_under_it(shown: Workspace) -> None:
    (item,) = shown.documents(Query(collections=("cubes",)))
    cube = pictures.opened(item["assets"]["r10m"]["href"])
    entry = cube.valid_dates[1]
    assert utc_text(shown.search(ids=["S2_31UES_20190514"])[0].datetime) == "2019-05-14T10:56:00Z"
    tile = MERCATOR.tile(*CLOUDY_AT, 17)
    found = pictures.cube_tile(cube, entry, RENDERINGS["mask"], MaskReading("scl"), tile)
    left, top = cube.spec.extent.left, cube.spec.extent.top
    box = MERCATOR.xy_bounds(tile)
    to_utm = Transformer.from_crs(3857, cube.spec.extent.epsg, always_xy=True)
    for row in range(8, 256, 40):
        for column in range(8, 256, 40):
            x = box.left + (column + 0.5) / 256 * (box.right - box.left)
            y = box.top - (row + 0.5) / 256 * (box.top - box.bottom)
            east, north = to_utm.transform(x, y)
            at = math.floor((top - north) / 20), math.floor((east - left) / 20)
            if not (0 <= at[0] < 32 and 0 <= at[1] < 32):
                continue
            expected = CLASSES[3 if at[0] >= 28 else 2 if at[0] >= 16 else 1].colour
            # The warp is exact to an eighth of a pixel: what lies at an edge may be either.
            if min(abs((top - north) / 20 - edge) for edge in (16, 28)) > 0.2:
                assert tuple(found[row, column]) == expected, (row, column)


def test_a_picture_that_is_coarser_is_a_mean_of_what_is_there(tmp_path: Path) -> None:
    """Beside the arithmetic: where GDAL is told of no nodata, the mean is the same."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 2000, (64, 64)).astype(np.int16)
    crs, place = rasterio.CRS.from_epsg(32631), rasterio.Affine(10, 0, LEFT, 0, -10, TOP)
    tile = MERCATOR.tile(*CLEAR_AT, 12)
    whole = mercator.Source(pixels, place, crs, -10000)
    holed = mercator.Source(pixels.copy(), place, crs, -10000)
    holed.pixels[40:, :] = -10000
    one, two = mercator.onto_tile([whole, holed], tile, smooth=True)
    alone = [mercator.onto_tile([each], tile, smooth=True)[0] for each in (whole, holed)]
    assert np.array_equal(one, alone[0])
    seen = alone[1] != -10000
    assert np.array_equal(two[seen], alone[1][seen])
    assert two[two != -10000].min() >= 0  # nodata is mixed into nothing
    both = (one != -10000) & (two != -10000)
    assert both.sum() > 100
    north = np.flatnonzero(both.any(1))[: both.any(1).sum() // 2]
    assert np.array_equal(one[north][both[north]], two[north][both[north]])
    assert 950 < one[one != -10000].mean() < 1050


def test_counts_beyond_the_edge_are_no_counts(client: TestClient) -> None:
    found = picture(client, f"{WASP}/clear_count")
    same = picture(client, f"{WASP}/status")
    assert set(np.unique(found[..., 3])) == {0, 255}
    assert np.array_equal(found[..., 3], same[..., 3])
