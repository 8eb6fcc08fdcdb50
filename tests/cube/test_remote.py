"""Failures of servers: which may pass, which last, and that a second try is a real one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from cube.errors import LoadError, SourceError
from cube.rasters import read_header, read_through
from cube.remote import is_remote, may_pass, plain_name, uncached

SERVER = Path(__file__).parents[1] / "moody_server.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of ``a.tif``, of ``cut.tif``, its first half, and ``bad.tif``, damaged."""
    folder = tmp_path_factory.mktemp("served")
    pixels = np.random.default_rng(1).integers(0, 10000, (1, 1024, 1024), "uint16")
    about = {"driver": "GTiff", "height": 1024, "width": 1024, "count": 1, "dtype": "uint16"}
    place = {"crs": "EPSG:32631", "transform": from_origin(0, 0, 10, 10)}
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(folder / "a.tif", "w", **about, **place, **blocks) as raster:
        raster.write(pixels)
    content = (folder / "a.tif").read_bytes()
    (folder / "cut.tif").write_bytes(content[: len(content) // 2])
    (folder / "bad.tif").write_bytes(content[:600_000] + bytes(300_000) + content[900_000:])
    command = [sys.executable, str(SERVER), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    monkeypatch.setattr("cube.remote.ANSWER_SECONDS", 1.0)
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")


FORMS = ["{}", "/vsicurl/{}", "vrt:///vsicurl/{}?a_nodata=0"]
"""How an address comes to GDAL."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", ["503", "500", "502", "429", "408", "close", "hang"])
def test_a_server_that_fails_may_do_better(form, rule, server) -> None:
    for _again in range(2):  # GDAL remembers the first failure, with fewer words
        with pytest.raises(SourceError, match="cannot read"):
            read_header(form.format(f"{server}/{rule}/a.tif"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule", ["404", "403", "401", "410"])
def test_what_a_server_refuses_lasts(form, rule, server) -> None:
    with pytest.raises(LoadError, match=f"HTTP response code: {rule}") as error:
        read_header(form.format(f"{server}/{rule}/a.tif"))
    assert type(error.value) is LoadError


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "http://nowhere.invalid"])
def test_a_server_that_is_not_there_may_come_back(form, place) -> None:
    with pytest.raises(SourceError, match=r"Failed to connect|Could not resolve host"):
        read_header(form.format(f"{place}/a.tif"))


@pytest.mark.parametrize("rule", ["503", "close", "hang"])
def test_a_server_that_fails_in_the_middle_of_a_file(rule, server) -> None:
    with pytest.raises(SourceError):
        read_through(f"{server}/beyond-1500000-{rule}/a.tif")


@pytest.mark.parametrize("name", ["cut", "bad"])
def test_a_corrupt_file_of_a_server_is_corrupt(name, server) -> None:
    with pytest.raises(LoadError, match=f"cannot read .*{name}.tif: (TIFF|ZIP)") as error:
        read_through(f"{server}/ok/{name}.tif")
    assert type(error.value) is LoadError


@pytest.mark.parametrize("rule", ["3x503", "3xclose", "3x429"])
def test_a_second_try_asks_the_server_again(rule, server) -> None:
    href = f"{server}/{rule}/a.tif"
    tries = 0
    while True:
        tries += 1
        try:
            with uncached():
                found = read_header(href)
        except SourceError:
            assert tries < 4
        else:
            break
    assert found.shape == (1024, 1024)
    assert tries > 1


@pytest.mark.parametrize(
    ("rule", "passing"),
    [("slowdown", True), ("503", True), ("500", True), ("close", True), ("403", False),
     ("404", False)],
)  # fmt: skip
def test_buckets_fail_in_the_same_ways(rule, passing, server, monkeypatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", server.removeprefix("http://"))
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    for href in (f"s3://{rule}/a.tif", f"/vsis3/{rule}/a.tif"):
        with pytest.raises(LoadError) as error:
            read_header(href)
        assert isinstance(error.value, SourceError) is passing, error.value


def test_a_file_that_is_not_there_lasts(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as error:
        read_header(str(tmp_path / "nothing.tif"))
    assert type(error.value) is LoadError


@pytest.mark.parametrize(
    ("text", "passing"),
    [("CURL error: SSL certificate problem: self-signed certificate", False),
     ("CURL error: Operation timed out after 2001 milliseconds", True),
     ("HTTP response code: 504", True), ("HTTP error code : 400", False),
     ("Please reduce your request rate.", True), ("TIFFReadEncodedTile() failed.", None)],
)  # fmt: skip
def test_words_tell_what_may_pass(text, passing) -> None:
    outer = OSError("Read failed. See previous exception for details.")
    outer.__cause__ = OSError(text)
    assert may_pass(outer) is passing


def test_which_rasters_a_server_gives() -> None:
    remote = ["https://a/b.tif", "s3://b/k", "/vsicurl/http://a/b.tif", "/vsis3/b/k",
              "vrt:///vsicurl/https://a/b?bands=2", "/vsizip//vsicurl/https://a/b.zip/c",
              "vrt://https://a/b.tif?bands=1"]  # fmt: skip
    assert [href for href in remote if not is_remote(href)] == []
    local = ["/data/a.tif", "/vsizip//a/b.zip/c.jp2", "vrt:///a/b.tif?bands=1", "/a/vsis3.tif"]
    assert [href for href in local if is_remote(href)] == []
    assert plain_name("vrt:///vsicurl/https://a/b?bands=2") == "https://a/b"
    assert plain_name("/vsis3/b/k") == "s3://b/k"
