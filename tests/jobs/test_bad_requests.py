"""Requests that mean nothing and settings that cannot be: one clear line, nothing changed."""

import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main

TILE = ("--tile", "31TCJ")
CUBE = ("run", "cube")
MASKS = ("run", "decode-masks")
MONTH = ("run", "synthesis", *TILE, "--datetime", "2020-05")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("held") / "workspace"


@pytest.fixture
def workspace(held, clearcube, season, monkeypatch) -> Path:
    """Three scenes, catalogued only: nothing here may come as far as starting workers."""
    monkeypatch.delenv("CLEARCUBE_SCHEDULER", raising=False)
    if not held.exists():
        sources = (season.products[0], season.products[4], season.muscate[0])
        assert clearcube(held, "ingest", *sources).status == 0
    return held


BAD_REQUESTS = {
    # tile, area
    (*CUBE,): ("name a tile with --tile, or an area",),
    (*CUBE, "--tile", "99XXX"): ("'99XXX' is no MGRS tile", "write it like 31UES"),
    (*CUBE, "--tile", "32TCJ"): ("'32TCJ' is no MGRS tile", "zone 32 has no column C"),
    (*CUBE, "--tile", "31UES"): ("no scene of tile 31UES is catalogued",),
    (*MASKS, "--tile", "31UES"): ("no scene of tile 31UES is catalogued",),
    ("run", "synthesis", "--tile", "31UES", "--datetime", "2020-05"): (
        "no scene of tile 31UES is catalogued",
    ),
    (*CUBE, "--bbox", "0,0,x,1"): ("bbox '0,0,x,1' is not numbers",),
    (*CUBE, "--bbox", "0,0,1,1"): ("no scene is catalogued in 0,0,1,1",),
    (*CUBE, "--aoi", "absent.geojson"): ("area 'absent.geojson': no such file, and no WKT",),
    (*CUBE, "--aoi", "POLYGON((0 0"): ("area 'POLYGON((0 0' is no WKT",),
    (*CUBE, "--aoi", "POLYGON EMPTY"): ("area 'POLYGON EMPTY' is empty: give one",),
    # datetime
    (*CUBE, *TILE, "--datetime", "2020-13"): ("datetime '2020-13' is no date: write 2019-05",),
    (*CUBE, *TILE, "--datetime", "2020-02-30"): ("datetime '2020-02-30' is no date",),
    (*CUBE, *TILE, "--datetime", "yesterday"): ("datetime 'yesterday' is no date",),
    (*CUBE, *TILE, "--datetime", "2020-06/2020-01"): (
        "datetime '2020-06/2020-01' ends before it starts",
    ),
    (*CUBE, *TILE, "--datetime", "2021"): ("no l2a scene of tile 31TCJ is catalogued in 2021",),
    (*MASKS, *TILE, "--datetime", "2021"): ("no l2a scene of tile 31TCJ is catalogued in 2021",),
    (*MONTH, "--datetime", "2021-01"): ("no l2a scene", "catalogued in 2020-12-23/2021-02-07"),
    (*MONTH, "--datetime", "2020-00"): ("datetime '2020-00' is no date",),
    (*MONTH, "--datetime", "2020-05/.."): ("datetime '2020-05/..' is open",),
    ("run", "synthesis", *TILE): ("Missing option '--datetime'; see clearcube run synthesis",),
    # level, resolution, engine, band
    (*CUBE, *TILE, "--level", "l3a"): ("level='l3a'", "'l2a', 'maja' or 'l1c'"),
    (*CUBE, *TILE, "--level", "l1c"): ("no l1c scene", "there are l2a maja"),
    (*CUBE, *TILE, "--resolution", "ten"): ("resolution='ten'", "valid integer"),
    (*CUBE, *TILE, "--resolution", "5"): ("resolution='5'", "greater than or equal to 10"),
    (*CUBE, *TILE, "--set", "engine=gdal"): ("engine='gdal'", "'odc-stac' or 'stackstac'"),
    (*CUBE, *TILE, "--set", "nosuch=1"): ("cube has no parameter 'nosuch'; it has datetime",),
    (*CUBE, *TILE, "--set", "engine"): ("--set 'engine': write NAME=VALUE",),
    (*CUBE, *TILE, "--bands", "B99"): ("No such option '--bands'", "run cube --help"),
    # encoding, reading, options of masks
    (*MASKS, *TILE, "--encoding", "nosuch"): ("no mask encoding is called 'nosuch'", " scl "),
    (*MASKS, *TILE, "--encoding", "qa60"): ("no cube holds masks of the encoding 'qa60'", "clm"),
    (*MASKS, *TILE, "--reading", "loose"): (
        "reading='loose': choose one of standard strict clouds-only",
    ),
    (*MASKS, *TILE, "--set", "buffer=wide"): ("buffer='wide'", "valid number"),
    (*MASKS, *TILE, "--set", "buffer=-1"): ("buffer='-1'", "greater than or equal to 0"),
    (*MASKS, *TILE, "--set", "unclassified=maybe"): ("unclassified=maybe", "thin or clear"),
    (*MASKS, *TILE, "--set", "nosuch=1"): ("scl has no option 'nosuch'",),
    (*MASKS, *TILE, "--name", "a_b"): ("name='a_b': a variant holds A-Z a-z 0-9 . - only",),
    # method, mask, period
    (*MONTH, "--method", "nosuch"): ("no synthesis method is called 'nosuch'", "bap geomedian"),
    (*MONTH, "--mask", "nosuch"): ("no mask encoding is called 'nosuch'",),
    (*MONTH, "--mask", "scl:nosuch"): ("no mask scl:nosuch of tile 31TCJ", "run decode-masks"),
    (*MONTH, "--mask", "classi"): ("no l1c scene of tile 31TCJ is catalogued",),
    (*MONTH, "--set", "nosuch=1"): ("wasp has no parameter 'nosuch'; it has", "half_window"),
    (*MONTH, "--set", "half_window=many"): ("wasp: half_window='many'", "valid integer"),
    (*MONTH, "--set", "scl.reading=loose"): ("mask scl: reading='loose': choose one of",),
    (*MONTH, "--set", "scl.nosuch=1"): ("scl has no option 'nosuch'",),
    (*MONTH, "--set", "nosuch.a=1"): ("no method or mask is called 'nosuch'",),
    (*MONTH, "--period", "week"): ("period='week'", "month, dekad"),
    # what there is no command, job or value for
    ("nosuch",): ("No such command 'nosuch'; see clearcube --help",),
    ("run", "nosuch"): (
        "no job is called 'nosuch'; there are cube decode-masks cloud-mask synthesis",
    ),
    ("explain-mask", "clm", "256"): ("256 is out of the range of clm (uint8); give 0 to 255",),
    ("explain-mask", "nosuch", "1"): ("no mask encoding is called 'nosuch'",),
    ("explain-mask", "clm", "many"): ("clm values are whole numbers, not many",),
    ("explain-mask", "clm", "1.5"): ("clm values are whole numbers, not 1.5",),
    ("explain-mask", "clm"): ("Missing argument 'VALUE'; see clearcube explain-mask --help",),
    ("search", "--tile", "9"): ("'9' is no MGRS tile",),
    ("search", "--bbox", "1,2,3"): ("bbox '1,2,3' has 3 numbers",),
    ("search", "--datetime", "2020-13"): ("datetime '2020-13' is no date",),
    ("search", "--limit", "0"): ("limit 0 is out of range",),
    ("search", "--limit", "many"): ("'many' is not a valid integer",),
    ("search", "--max-cloud", "200"): ("max cloud 200 is no percentage",),
    ("ingest",): ("Missing argument 'SOURCES...'",),
}


@pytest.mark.parametrize("words", BAD_REQUESTS, ids=" ".join)
def test_a_request_that_means_nothing(words, workspace, clearcube, state_of) -> None:
    before = state_of(workspace)
    clearcube(workspace, *words).refused(*BAD_REQUESTS[words])
    assert state_of(workspace) == before
    assert len(before) == 3


BAD_AREAS = {
    '{"a": 1}': ("bad.geojson is no GeoJSON file of areas: give polygons in longitude",),
    '{"type": "Polygon", "coordinates": [[1]]}': ("bad.geojson is no GeoJSON file of areas: give",),
    "{": ("bad.geojson is no GeoJSON file of areas: it is no JSON from line 1, column 2 on",),
    '{"type": "FeatureCollection", "features": []}': ("bad.geojson holds no geometry: give",),
    '{"type": "Feature", "geometry": null}': ("bad.geojson holds no geometry: give polygons",),
    '{"type": "Point", "coordinates": [5e5, 5e6]}': ("bad.geojson'", "leaves the globe"),
}


@pytest.mark.parametrize("content", BAD_AREAS)
def test_a_file_that_is_no_area(content, workspace, clearcube, tmp_path) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text(content)
    line = clearcube(workspace, *CUBE, "--aoi", path).refused(*BAD_AREAS[content])
    assert "object" not in line


def test_json_is_one_document_also_when_refused(workspace, clearcube) -> None:
    said = clearcube(workspace, *CUBE, "--tile", "9", "--json")
    line = said.refused("'9' is no MGRS tile")
    assert json.loads(said.out) == {"error": line.removeprefix("clearcube: ")}
    said = clearcube(workspace, "explain-mask", "clm", "256", "--json")
    assert json.loads(said.out)["error"].startswith("256 is out of the range")


def test_a_search_that_finds_nothing_says_so(workspace, clearcube) -> None:
    said = clearcube(workspace, "search", "--tile", "31UES")
    assert (said.status, said.out) == (0, "")
    assert said.err == "no item of the catalogue answers the search\n"
    said = clearcube(workspace, "search", "--tile", "31UES", "--json")
    assert json.loads(said.out)["features"] == []


def test_one_unknown_tile_among_several(workspace, clearcube, state_of) -> None:
    before = state_of(workspace)
    clearcube(workspace, *CUBE, "--tile", "31UES", "--tile", "31UDS").refused(
        "no scene of tile 31UES is catalogued", "no scene of tile 31UDS is catalogued"
    )
    assert state_of(workspace) == before


def test_help_needs_no_workspace_and_changes_nothing(tmp_path, clearcube) -> None:
    assert clearcube(tmp_path / "none", "run", "synthesis", "--help").status == 0
    clearcube(tmp_path / "none", "search").refused("there is no workspace at", "none")
    clearcube(tmp_path / "none", *CUBE, *TILE).refused("there is no workspace at", "none")
    assert not (tmp_path / "none").exists()


def test_a_process_of_its_own_without_any_argument(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "decode" in done.stdout + done.stderr or "run" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


# --- settings -------------------------------------------------------------------------------------

BAD_TOML = {
    "[": ("clearcube.toml is no TOML",),
    "nosuch = 1": ("clearcube.toml: no setting is called 'nosuch'", "catalog memory scheduler"),
    'workers = "many"': ("clearcube.toml: workers='many'", "valid integer"),
    "workers = -1": ("clearcube.toml: workers=-1",),
    'memory = "lots"': ("clearcube.toml: memory='lots': write auto, or a size such as 2GiB",),
    'store = "s3://bucket/x"': ("the store s3://bucket/x is in a bucket", "directories only"),
    'catalog = "mysql://x"': ("catalogue mysql://x", "use sqlite:///PATH"),
    'catalog = "postgresql://me:secret@host/d"': ("catalogue host/d: ",),
    'scheduler = "nonsense"': ("no dask scheduler at nonsense",),
}


@pytest.mark.parametrize("content", BAD_TOML)
def test_a_toml_that_cannot_be(content, workspace, clearcube, state_of) -> None:
    before = state_of(workspace)
    toml = workspace / "clearcube.toml"
    toml.write_text(content)
    try:
        line = clearcube(workspace, *CUBE, *TILE).refused(*BAD_TOML[content])
    finally:
        toml.unlink()
    assert "secret" not in line
    assert state_of(workspace) == before


def test_a_toml_that_is_no_text_or_no_file(workspace, clearcube) -> None:
    toml = workspace / "clearcube.toml"
    toml.write_bytes(b"\xff\xfe")
    clearcube(workspace, "search").refused("clearcube.toml is no TOML")
    toml.unlink()
    toml.mkdir()
    clearcube(workspace, "search").refused("cannot read", "clearcube.toml: Is a directory")
    toml.rmdir()
    assert clearcube(workspace, "search").status == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SCHEDULER", "nonsense", ("no dask scheduler at nonsense",)),
        ("SCHEDULER", "http://127.0.0.1:1", ("no dask scheduler at http://127.0.0.1:1",)),
        ("STORE", "s3://bucket/x", ("the store s3://bucket/x is in a bucket",)),
        ("CATALOG", "catalog.db", ("catalogue catalog.db: this is no URL",)),
        ("WORKERS", "many", ("setting workers='many'",)),
        ("MEMORY", "lots", ("setting memory='lots'",)),
    ],
)
def test_an_environment_that_cannot_be(
    name, value, words, workspace, clearcube, monkeypatch
) -> None:
    monkeypatch.setenv(f"CLEARCUBE_{name}", value)
    clearcube(workspace, *CUBE, *TILE).refused(*words)


def test_a_scheduler_that_is_not_there(workspace, clearcube, state_of, monkeypatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("jobs.runner.cluster.CONNECT_SECONDS", 1)
    monkeypatch.setenv("CLEARCUBE_SCHEDULER", address)
    before = state_of(workspace)
    clearcube(workspace, *CUBE, *TILE).refused(f"no dask scheduler at {address}", "Timed out")
    assert state_of(workspace) == before


# --- workspaces and catalogues --------------------------------------------------------------------


def test_a_workspace_that_cannot_be_written(season, clearcube, monkeypatch, tmp_path) -> None:
    product = season.products[0]
    (tmp_path / "file").write_text("in the way")
    clearcube(tmp_path / "file", "ingest", product).refused("file' is a file")
    clearcube(tmp_path / "file" / "below", "ingest", product).refused(
        f"cannot make {tmp_path / 'file' / 'below'}: Not a directory"
    )
    clearcube("/proc/none/here", "ingest", product).refused("cannot make /proc/none/here: ")
    workspace = tmp_path / "workspace"
    assert clearcube(workspace, "ingest", product).status == 0
    monkeypatch.setenv("CLEARCUBE_STORE", str(tmp_path / "file"))
    clearcube(workspace, *CUBE, *TILE).refused("cannot make", "file/cubes: Not a directory")
    monkeypatch.setenv("CLEARCUBE_CATALOG", f"sqlite:///{tmp_path / 'file' / 'x.db'}")
    clearcube(workspace, "ingest", product).refused("file/x.db: cannot make")


def newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE a (b)")
    db.close()


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


BAD_CATALOGUES = {
    "newer": (newer, "it is of version 99, this clearcube knows versions up to 3; upgrade"),
    "no database": (lambda path: path.write_bytes(b"hello" * 1000), "file is not a database"),
    "other database": (foreign, "an SQLite file, but no catalogue of clearcube"),
    "half": (halved, "database disk image is malformed; the file is damaged"),
}


@pytest.mark.parametrize("name", BAD_CATALOGUES)
def test_a_catalogue_that_cannot_be_read(name, season, clearcube, tmp_path) -> None:
    spoil, words = BAD_CATALOGUES[name]
    assert clearcube(tmp_path, "ingest", season.products[0]).status == 0
    database = tmp_path / "catalog.db"
    good = database.read_bytes()
    spoil(database)
    spoilt = database.read_bytes()
    for command in (("search",), ("ingest", season.products[3]), (*CUBE, *TILE), MONTH):
        clearcube(tmp_path, *command).refused(str(database), words)
    assert database.read_bytes() == spoilt
    assert not (tmp_path / "cubes").exists()
    database.write_bytes(good)
    assert clearcube(tmp_path, "ingest", season.products[3]).status == 0


def test_main_is_what_the_console_script_calls() -> None:
    assert main.__module__ == "jobs.cli"
