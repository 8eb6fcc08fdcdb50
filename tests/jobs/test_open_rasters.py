"""Rasters kept open, and never an old one."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from jobs.web import open_rasters
from jobs.web.open_rasters import OpenRasters


def write(path: Path, value: int) -> str:
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "int16", "count": 1, "width": 8, "height": 8,
        "crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.full((1, 8, 8), value, np.int16))
    return str(path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was opened, in order."""
    said: list[str] = []
    real = rasterio.open

    def noted(href: Any, *given: Any, **options: Any) -> Any:
        said.append(Path(href).name)
        return real(href, *given, **options)

    monkeypatch.setattr(open_rasters.rasterio, "open", noted)
    return said


def first(rasters: OpenRasters, href: str) -> int:
    with rasters.reading(href) as raster:
        return int(raster.read(1)[0, 0])


def test_a_raster_is_opened_once(tmp_path: Path, opened: list[str]) -> None:
    rasters, href = OpenRasters(), write(tmp_path / "a.tif", 1)
    opened.clear()
    assert [first(rasters, href) for _ in range(3)] == [1, 1, 1]
    assert opened == ["a.tif"]
    rasters.close()


@pytest.mark.parametrize("how", ["in place", "by rename"])
def test_a_file_that_changed_is_read_anew(tmp_path: Path, opened: list[str], how: str) -> None:
    rasters, href = OpenRasters(), write(tmp_path / "a.tif", 1)
    os.utime(href, ns=(0, 0))
    assert first(rasters, href) == 1
    if how == "in place":
        write(tmp_path / "a.tif", 2)
    else:
        Path(write(tmp_path / "b.tif", 2)).replace(href)
        os.utime(href, ns=(0, 0))  # the same size and time, another file
    opened.clear()
    assert first(rasters, href) == 2
    assert opened == ["a.tif"]
    rasters.close()


def test_a_file_that_is_gone_is_not_read_from_memory(tmp_path: Path) -> None:
    rasters, href = OpenRasters(), write(tmp_path / "a.tif", 1)
    assert first(rasters, href) == 1
    Path(href).unlink()
    with pytest.raises(FileNotFoundError):
        first(rasters, href)
    rasters.close()


def test_two_threads_never_hold_the_same(tmp_path: Path, opened: list[str]) -> None:
    rasters, href = OpenRasters(), write(tmp_path / "a.tif", 7)
    opened.clear()
    both, held, seen = threading.Barrier(2), [], []

    def hold() -> None:
        with rasters.reading(href) as raster:
            held.append(raster)
            both.wait(10)
            seen.append(int(raster.read(1)[7, 7]))

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen == [7, 7]
    assert held[0] is not held[1]
    assert opened == ["a.tif", "a.tif"]
    rasters.close()
    assert all(raster.closed for raster in held)


def test_no_more_wait_open_than_may(tmp_path: Path, opened: list[str]) -> None:
    rasters = OpenRasters(kept=2)
    hrefs = [write(tmp_path / f"{name}.tif", index) for index, name in enumerate("abc")]
    opened.clear()
    assert [first(rasters, href) for href in hrefs] == [0, 1, 2]
    assert [first(rasters, href) for href in reversed(hrefs)] == [2, 1, 0]
    assert opened == ["a.tif", "b.tif", "c.tif", "a.tif"]  # the one that waited longest was closed
    rasters.close()


def test_one_that_failed_is_not_kept(tmp_path: Path) -> None:
    rasters, href = OpenRasters(), write(tmp_path / "a.tif", 1)
    with pytest.raises(ValueError, match="on the way"), rasters.reading(href) as raster:
        raise ValueError("on the way")
    assert raster.closed
    assert first(rasters, href) == 1
    rasters.close()
