"""ENVI rasters: what rasterio reads of them, what their headers say, full disks."""

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from cube.envi import count_pieces, write_envi
from cube.errors import LoadError, StoreError
from cube.grid import Extent
from cube.stack import Layer, Read, Stack, Window

EXTENT = Extent(32631, 574680, 5611000, 574800, 5622440)  # 572 rows, two strips, of 6 pixels
TIMES = tuple(np.array(["2019-05-16T10:56:59.024", "2019-06-15T10:56:59"], "M8[ms]"))


def reader(pixels: np.ndarray) -> Read:
    return lambda dates, window: pixels[(dates, *window)]


@pytest.fixture(autouse=True)
def beside() -> Iterator[None]:
    """GDAL sees the header beside a raster, whatever loaders of other tests told it."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"):
        yield


def stack() -> tuple[Stack, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    dn = rng.integers(-50, 9000, (2, 572, 6)).astype(np.int16)
    dn[:, 0, 0] = -10000
    classes = rng.integers(0, 7, (2, 572, 6)).astype(np.uint8)
    layers = (
        Layer("blue", "B02 reflectance", "int16", -10000, reader(dn), 0.0001, 0.492),
        Layer("mask_scl", "classes of mask scl", "uint8", 0, reader(classes)),
    )
    return Stack("31UES", "a title", EXTENT.geobox(20), TIMES, ("", ""), layers), dn, classes


def fields(header: Path) -> dict[str, str]:
    """Fields of a header, those over several lines as one."""
    text = header.read_text().replace("{\n", "{").replace(",\n", ", ")
    assert text.startswith("ENVI\n")
    pairs = (line.split("=", 1) for line in text.splitlines()[1:])
    return {name.strip(): value.strip() for name, value in pairs}


def test_a_raster_a_layer_with_a_band_a_date(tmp_path: Path) -> None:
    made, dn, classes = stack()
    pieces: list[str] = []
    files = write_envi(tmp_path, made, pieces.append)
    assert files == {
        "blue": [tmp_path / "31UES_blue.img", tmp_path / "31UES_blue.hdr"],
        "mask_scl": [tmp_path / "31UES_mask_scl.img", tmp_path / "31UES_mask_scl.hdr"],
    }
    assert sorted(tmp_path.iterdir()) == sorted(f for pair in files.values() for f in pair)
    assert len(pieces) == count_pieces(made) == 4
    with rasterio.open(files["blue"][0]) as raster:
        assert (raster.driver, raster.nodata) == ("ENVI", -10000)
        assert raster.crs.to_epsg() == 32631
        assert raster.transform == made.geobox.affine
        # GDAL puts the wavelength of a band to its name.
        assert raster.descriptions[0] == "2019-05-16 (0.492 Micrometers)"
        assert raster.scales == (0.0001, 0.0001)
        np.testing.assert_array_equal(raster.read(), dn)
    with rasterio.open(files["mask_scl"][0]) as raster:
        assert raster.nodata == 0
        assert raster.descriptions == ("2019-05-16", "2019-06-15")
        assert raster.colormap(1)[2][:3] == (255, 255, 255)
        np.testing.assert_array_equal(raster.read(), classes)
    # Band after band, little-endian, without a header: as any program may map it.
    stored = np.fromfile(files["blue"][0], "<i2").reshape(2, 572, 6)
    np.testing.assert_array_equal(stored, dn)


def test_after_a_loader_that_has_gdal_look_at_no_other_file(tmp_path: Path) -> None:
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        write_envi(tmp_path, stack()[0])
    with rasterio.open(tmp_path / "31UES_blue.img") as raster:
        np.testing.assert_array_equal(raster.read(), stack()[1])


def test_headers_name_dates_wavelengths_and_classes(tmp_path: Path) -> None:
    write_envi(tmp_path, stack()[0])
    band = fields(tmp_path / "31UES_blue.hdr")
    assert band["description"] == "{a title, B02 reflectance}"
    assert (band["samples"], band["lines"], band["bands"]) == ("6", "572", "2")
    assert (band["interleave"], band["data type"], band["byte order"]) == ("bsq", "2", "0")
    assert band["file type"] == "ENVI Standard"
    assert band["band names"] == "{2019-05-16, 2019-06-15}"
    assert band["wavelength"] == "{0.492, 0.492}"
    assert band["wavelength units"] == "Micrometers"
    assert band["data ignore value"] == "-10000"
    assert band["reflectance scale factor"] == "10000"
    assert band["map info"].startswith("{UTM, 1, 1, 574680, 5622440, 20, 20, 31, North")
    assert "WGS_1984_UTM_Zone_31N" in band["coordinate system string"]
    mask = fields(tmp_path / "31UES_mask_scl.hdr")
    assert (mask["file type"], mask["classes"]) == ("ENVI Classification", "7")
    assert mask["class names"].startswith("{no_observation, clear, cloud, cloud_shadow, ")
    assert mask["class lookup"].startswith("{0, 0, 0, 122, 166, 90, 255, 255, 255, ")
    assert (mask["data ignore value"], "wavelength" in mask) == ("0", False)


@pytest.mark.parametrize("size", [0, 5000])
def test_a_full_disk_is_said(tmp_path: Path, size: int) -> None:
    made, _, _ = stack()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*31UES_blue\.img: "):
            write_envi(tmp_path, made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_without_room_for_all_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=20_000))
    with pytest.raises(StoreError, match=r"rasters take 0\.0 GB, the disk has room for 0\.0 GB"):
        write_envi(tmp_path, stack()[0])
    assert list(tmp_path.iterdir()) == []


def test_pixels_that_cannot_be_read(tmp_path: Path) -> None:
    def fail(_dates: slice, _window: Window) -> np.ndarray:
        raise LoadError("cannot read b.tif: gone")

    broken = Layer("blue", "B02", "int16", -10000, fail, 0.0001)
    made = Stack("a", "a", EXTENT.geobox(20), TIMES, ("", ""), (broken,))
    with pytest.raises(LoadError, match=r"cannot read b\.tif: gone"):
        write_envi(tmp_path, made)
