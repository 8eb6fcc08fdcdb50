"""Bad products and sources at ingest: one clear line, and the catalogue as it was."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import calculate_default_transform, reproject

from catalog.products import open_product, product_item
from jobs.simulate.season import SMALL_SEASON, SeasonFiles, write_season

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def jp2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    only = replace(
        SMALL_SEASON,
        last=date(2020, 5, 6),
        offset_date=None,
        duplicate_date=None,
        maja_dates=(),
        extension="jp2",
    )
    return write_season(tmp_path_factory.mktemp("jp2"), only).products[0]


@pytest.fixture(scope="module")
def kinds(season: SeasonFiles, jp2: Path) -> dict[str, Path]:
    return {
        "safe": season.products[3],
        "zip": season.products[4],
        "muscate": season.muscate[0],
        "jp2": jp2,
    }


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that holds something already."""
    return tmp_path_factory.mktemp("held") / "workspace"


@pytest.fixture
def workspace(held, clearcube, season) -> Path:
    if not held.exists():
        assert clearcube(held, "ingest", season.products[0]).status == 0
    return held


def copied(product: Path, folder: Path, spoil: Spoil) -> Path:
    target = folder / product.name
    if product.is_dir():
        shutil.copytree(product, target)
    else:
        shutil.copy(product, target)
    spoil(target)
    return target


def one(product: Path, pattern: str) -> Path:
    return sorted(product.rglob(pattern))[0]


def cut(pattern: str, share: float) -> Spoil:
    def spoil(product: Path) -> None:
        path = one(product, pattern) if product.is_dir() else product
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def text(pattern: str, change: Callable[[str], str]) -> Spoil:
    def spoil(product: Path) -> None:
        path = one(product, pattern)
        path.write_text(change(path.read_text()))

    return spoil


def without(pattern: str) -> Spoil:
    return lambda product: [path.unlink() for path in product.rglob(pattern)]


def rewritten(pattern: str, **changes: Any) -> Spoil:
    """Rasters with another CRS or transform in their headers."""

    def spoil(product: Path) -> None:
        for path in list(product.rglob(pattern)):
            with rasterio.open(path) as raster:
                pixels, profile = raster.read(), {**raster.profile, **changes}
            path.unlink()
            with rasterio.open(path, "w", **profile) as raster:
                raster.write(pixels)

    return spoil


def warped(product: Path) -> None:
    """10 m rasters in the neighbouring zone."""
    for path in list(product.rglob("*_10m.tif")):
        with rasterio.open(path) as raster:
            pixels, profile = raster.read(), dict(raster.profile)
            transform, width, height = calculate_default_transform(
                raster.crs, "EPSG:32630", raster.width, raster.height, *raster.bounds
            )
        out = np.zeros((pixels.shape[0], height, width), pixels.dtype)
        reproject(
            pixels,
            out,
            src_transform=profile["transform"],
            src_crs=profile["crs"],
            dst_transform=transform,
            dst_crs="EPSG:32630",
        )
        profile |= {"crs": "EPSG:32630", "transform": transform, "width": width, "height": height}
        path.unlink()
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(out)


def with_member(name: str) -> Spoil:
    def spoil(product: Path) -> None:
        with zipfile.ZipFile(product, "a") as archive:
            archive.writestr(name, "x")

    return spoil


def with_bomb(product: Path) -> None:
    with zipfile.ZipFile(product) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(product, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            bomb = b"<a>" + b" " * 30_000_000 if name.endswith("MTD_MSIL2A.xml") else data
            archive.writestr(name, bomb)


BAD_PRODUCTS: dict[str, tuple[str, Spoil, tuple[str, ...]]] = {
    "jp2 cut to a tenth": ("jp2", cut("*B02_10m.jp2", 0.1), ("B02_10m.jp2", "code-stream")),
    "jp2 cut to a half": ("jp2", cut("*B03_10m.jp2", 0.5), ("cannot read", "B03_10m.jp2")),
    "jp2 without its end": ("jp2", cut("*B11_20m.jp2", 0.95), ("cannot read", "B11_20m.jp2")),
    "jp2 mask cut": ("jp2", cut("*SCL_20m.jp2", 0.5), ("cannot read", "SCL_20m.jp2")),
    "tiff empty": ("safe", cut("*B02_10m.tif", 0.0), ("B02_10m.tif: not recognized",)),
    "tiff cut to a half": ("safe", cut("*B02_10m.tif", 0.5), ("B02_10m.tif", "got 0 bytes")),
    "tiff without its end": ("safe", cut("*B12_20m.tif", 0.95), ("cannot read", "B12_20m.tif")),
    "muscate tiff cut": ("muscate", cut("*FRE_B2.tif", 0.5), ("cannot read", "FRE_B2.tif")),
    "muscate mask cut": ("muscate", cut("*CLM_R1.tif", 0.2), ("cannot read", "CLM_R1.tif")),
    "zip cut": ("zip", cut("", 0.9), (".zip: damaged or truncated zip",)),
    "xml broken": (
        "safe",
        text("MTD_MSIL2A.xml", lambda xml: xml[: len(xml) // 2]),
        ("MTD_MSIL2A.xml: broken XML", "line"),
    ),
    "granule xml broken": (
        "safe",
        text("MTD_TL.xml", lambda xml: xml.replace("</", "<")),
        ("MTD_TL.xml: broken XML",),
    ),
    "xml empty": ("safe", text("MTD_MSIL2A.xml", lambda _: ""), ("MTD_MSIL2A.xml", "is empty")),
    "granule xml empty": ("safe", text("MTD_TL.xml", lambda _: " "), ("MTD_TL.xml", "is empty")),
    "xml of something else": (
        "safe",
        text("MTD_MSIL2A.xml", lambda _: "<a/>"),
        ("MTD_MSIL2A.xml: no PROCESSING_BASELINE",),
    ),
    "xml with entities": (
        "safe",
        text("MTD_MSIL2A.xml", lambda _: '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ("MTD_MSIL2A.xml: refused", "entities"),
    ),
    "xml absent": ("safe", without("MTD_TL.xml"), ("missing GRANULE/", "MTD_TL.xml")),
    "muscate xml broken": (
        "muscate",
        text("*_MTD_ALL.xml", lambda xml: xml[:5000]),
        ("_MTD_ALL.xml: broken XML",),
    ),
    "muscate xml empty": ("muscate", text("*_MTD_ALL.xml", lambda _: ""), ("is empty",)),
    "band absent": (
        "safe",
        without("*B04_10m.tif"),
        ("missing band B04 at 10 m", "named by MTD_MSIL2A.xml"),
    ),
    "muscate band absent": ("muscate", without("*FRE_B4.tif"), ("missing band B4 of FRE",)),
    "zip that climbs": (
        "zip",
        with_member("../evil.txt"),
        (".zip: refused: member '../evil.txt' leaves the archive",),
    ),
    "zip with absolute member": (
        "zip",
        with_member("/etc/evil"),
        (".zip: refused: member '/etc/evil' has an absolute path",),
    ),
    "zip bomb": ("zip", with_bomb, ("MTD_MSIL2A.xml: refused as a zip bomb",)),
    "raster without crs": (
        "safe",
        rewritten("*B02_10m.tif", crs=None),
        ("B02_10m.tif has no CRS that is an EPSG code",),
    ),
    "raster of an unnamed crs": (
        "safe",
        rewritten("*B02_10m.tif", crs=CRS.from_string("+proj=laea +lat_0=40 +lon_0=3")),
        ("B02_10m.tif has no CRS that is an EPSG code",),
    ),
    "raster of another zone without being moved": (
        "safe",
        rewritten("*B03_10m.tif", crs="EPSG:32630"),
        ("B03_10m.tif lies outside tile 31TCJ",),
    ),
    "raster elsewhere": (
        "safe",
        rewritten("*B04_10m.tif", transform=from_origin(900000, 100000, 10, 10)),
        ("B04_10m.tif lies outside tile 31TCJ",),
    ),
    "raster turned": (
        "safe",
        rewritten("*B04_10m.tif", transform=rasterio.Affine(10, 1, 343200, 1, -10, 4855020)),
        ("B04_10m.tif: a raster that is not north-up",),
    ),
}


@pytest.mark.parametrize("name", BAD_PRODUCTS)
def test_a_bad_product_is_refused(
    name, kinds, workspace, clearcube, state_of, tmp_path: Path
) -> None:
    kind, spoil, words = BAD_PRODUCTS[name]
    before = state_of(workspace)
    product = copied(kinds[kind], tmp_path, spoil)
    clearcube(workspace, "ingest", product).refused(str(tmp_path), *words)
    assert state_of(workspace) == before
    assert len(before) == 1
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize("name", ["tiff cut to a half", "xml empty", "raster elsewhere"])
def test_the_good_product_goes_in_afterwards(
    name, kinds, clearcube, state_of, tmp_path: Path
) -> None:
    kind, spoil, _words = BAD_PRODUCTS[name]
    product = copied(kinds[kind], tmp_path, spoil)
    workspace = tmp_path / "workspace"
    assert clearcube(workspace, "ingest", product).status == 2
    assert not workspace.exists()
    shutil.rmtree(product)
    copied(kinds[kind], tmp_path, lambda _: None)
    assert clearcube(workspace, "ingest", product).status == 0
    assert len(state_of(workspace)) == 1


def test_what_is_no_product_is_refused(workspace, clearcube, state_of, tmp_path: Path) -> None:
    before = state_of(workspace)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "junk.zip").write_bytes(os.urandom(500))
    with zipfile.ZipFile(tmp_path / "random.zip", "w") as archive:
        archive.writestr("a/b.txt", "x")
    clearcube(workspace, "ingest", tmp_path / "empty").refused("empty: not a Sentinel-2 product")
    clearcube(workspace, "ingest", tmp_path / "text.txt").refused("text.txt: not a product")
    clearcube(workspace, "ingest", tmp_path / "junk.zip").refused("junk.zip: damaged")
    clearcube(workspace, "ingest", tmp_path / "random.zip").refused(
        "random.zip: not a Sentinel-2 product"
    )
    clearcube(workspace, "ingest", tmp_path / "absent").refused("absent: no such file or folder")
    clearcube(workspace, "ingest", "x" * 5000).refused("File name too long")
    assert state_of(workspace) == before


@pytest.mark.parametrize(("kind", "pattern"), [("safe", "*SCL_20m.tif"), ("muscate", "*_CLM_*")])
def test_absent_masks_are_a_warning(kind, pattern, kinds, clearcube, tmp_path: Path) -> None:
    product = copied(kinds[kind], tmp_path, without(pattern))
    said = clearcube(tmp_path / "workspace", "ingest", product)
    assert said.status == 0
    (line,) = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert "not delivered: " + ("SCL" if kind == "safe" else "CLM_R1 CLM_R2") in line


def test_a_raster_in_another_crs_than_the_xml_says_counts(
    kinds, clearcube, state_of, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    said = clearcube(workspace, "ingest", copied(kinds["safe"], tmp_path, warped))
    assert said.status == 0
    assert "file is in EPSG:32630, the metadata say EPSG:32631; the file counts" in said.err
    (item,) = state_of(workspace).values()
    assert item["properties"]["proj:code"] == "EPSG:32631"
    assert item["assets"]["red"]["proj:code"] == "EPSG:32630"
    assert "proj:code" not in item["assets"]["swir16"]


def test_a_bad_product_among_good_ones(kinds, season, clearcube, state_of, tmp_path: Path) -> None:
    bad = copied(kinds["safe"], tmp_path, text("MTD_TL.xml", lambda _: ""))
    workspace = tmp_path / "workspace"
    said = clearcube(workspace, "ingest", season.products[0], bad, kinds["zip"])
    said.refused(str(bad), "MTD_TL.xml: the file is empty", status=1)
    assert said.out == "2 items indexed, 0 were current\n"
    before = state_of(workspace)
    assert [key.partition("/")[2][:19] for key in before] == [
        "S2B_MSIL2A_20200515",
        "S2B_MSIL2A_20200505",
    ]
    said = clearcube(workspace, "ingest", season.products[0], bad, "--json")
    said.refused("MTD_TL.xml: the file is empty", status=1)
    document = json.loads(said.out)
    assert document["made"] == []
    assert len(document["current"]) == 1
    assert [failure["key"] for failure in document["failed"]] == [str(bad)]
    assert state_of(workspace) == before
    # A folder of products: what is none is passed over, what is broken is named.
    (tmp_path / "readme.txt").write_text("not a product")
    (tmp_path / "junk.zip").write_bytes(b"x")
    shutil.copytree(season.products[0], tmp_path / season.products[0].name)
    shutil.rmtree(bad)
    clearcube(workspace, "ingest", tmp_path).refused("junk.zip: damaged", status=1)


def test_several_bad_sources_share_one_line_and_one_document(
    workspace, clearcube, state_of, tmp_path: Path
) -> None:
    before = state_of(workspace)
    sources = [tmp_path / f"absent{number}" for number in range(5)]
    said = clearcube(workspace, "ingest", *sources, "--json")
    line = said.refused("absent0: no such", "absent2: no such", "; and 2 more")
    assert "absent3" not in line
    assert len(json.loads(said.out)["failed"]) == 5
    assert state_of(workspace) == before


# --- STAC files and APIs --------------------------------------------------------------------------


def fc(*items: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(items)})


CATALOG = {"type": "Catalog", "stac_version": "1.0.0", "id": "a", "description": "b", "links": []}

BAD_STAC = {
    "half of it": ('{"type": "Fea', "no JSON"),
    "a list": ("[]", "JSON, but no STAC"),
    "other JSON": ('{"a": 1}', "no STAC catalogue, collection or item"),
    "nothing": ("", "no JSON"),
    "no features": (fc(), "nothing in it answers the search"),
    "no item": (fc({"type": "Feature"}), "no STAC item"),
    "no children": (json.dumps(CATALOG), "nothing in it answers the search"),
    "lost child": (
        json.dumps(CATALOG | {"links": [{"rel": "item", "href": "./lost.json"}]}),
        "lost.json: No such file or directory",
    ),
}


@pytest.mark.parametrize("name", BAD_STAC)
def test_a_bad_stac_file_is_refused(name, workspace, clearcube, state_of, tmp_path: Path) -> None:
    content, words = BAD_STAC[name]
    before = state_of(workspace)
    source = tmp_path / "source.json"
    source.write_text(content)
    clearcube(workspace, "ingest", source).refused(str(tmp_path), words)
    assert state_of(workspace) == before


def test_items_whose_rasters_are_gone_are_refused(
    season, clearcube, state_of, tmp_path: Path
) -> None:
    good = product_item(open_product(season.products[0]))
    lost = json.loads(json.dumps(product_item(open_product(season.products[3]))))
    lost["assets"]["red"]["href"] = str(tmp_path / "lost.tif")
    source = tmp_path / "items.json"
    source.write_text(fc(good, lost))
    said = clearcube(tmp_path / "workspace", "ingest", source)
    said.refused(lost["id"], "lost.tif: No such file or directory", status=1)
    assert [item["id"] for item in state_of(tmp_path / "workspace").values()] == [good["id"]]


@pytest.mark.parametrize(
    "condition", [("--datetime", "1999"), ("--tile", "31UES"), ("--max-cloud", "0")]
)
def test_conditions_that_nothing_answers(
    condition, season, workspace, clearcube, state_of, tmp_path: Path
) -> None:
    before = state_of(workspace)
    source = tmp_path / "item.json"
    source.write_text(json.dumps(product_item(open_product(season.products[3]))))
    for given in (source, season.products[3]):
        clearcube(workspace, "ingest", given, *condition).refused(
            f"{given}: nothing in it answers the search"
        )
    assert state_of(workspace) == before


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server that answers whatever it was told last."""

    class Handler(BaseHTTPRequestHandler):
        answer: tuple[int, bytes] = (200, b"")

        def do_GET(self) -> None:
            status, body = type(self).answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


API = CATALOG | {
    "conformsTo": [
        "https://api.stacspec.org/v1.0.0/core",
        "https://api.stacspec.org/v1.0.0/item-search",
    ]
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>welcome</html>"), "no JSON"),
        ((200, b"{}"), "no STAC"),
        ((200, b"\xff\xfe"), "decode"),
        ((404, b"<html>not found</html>"), "nothing there (status 404)"),
        ((403, b"go away"), "refuses (status 403)"),
        ((200, json.dumps(API).encode()), ""),
    ],
)
def test_a_server_that_is_no_api(
    answer, words, server, workspace, clearcube, state_of, tmp_path: Path
) -> None:
    before = state_of(workspace)
    url = f"http://127.0.0.1:{server.server_port}/"
    server.RequestHandlerClass.answer = answer
    clearcube(workspace, "ingest", url, "--tile", "31TCJ").refused(url, words)
    assert state_of(workspace) == before


def test_an_api_that_is_not_there(workspace, clearcube, state_of) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = state_of(workspace)
    url = f"http://127.0.0.1:{port}"
    clearcube(workspace, "ingest", url, "--tile", "31TCJ").refused(url, "connection refused")
    assert state_of(workspace) == before


# --- the command as users start it ----------------------------------------------------------------


def test_a_process_of_its_own_says_it_in_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "--workspace", "w", "ingest", "text.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "clearcube: text.txt: not a product: neither a folder nor a zip\n"
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
