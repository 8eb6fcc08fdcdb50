"""NetCDF files: what xarray and GDAL read of them, and what is left when the disk is full."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5netcdf
import numpy as np
import odc.geo.xr  # noqa: F401  registers .odc
import pytest
import rasterio
import xarray as xr

from cube import netcdf
from cube.errors import LoadError, StoreError
from cube.grid import Extent
from cube.netcdf import count_pieces, write_netcdf
from cube.stack import Layer, Stack, Window

EXTENT = Extent(32631, 574680, 5621720, 575480, 5622440)  # 36 rows of 40 pixels at 20 m
TIMES = tuple(np.array(["2019-05-16T10:56:59.024", "2019-06-15T10:56:59", "2019-06-20"], "M8[ms]"))


def stack(level: str = "l2a") -> tuple[Stack, np.ndarray, np.ndarray]:
    """Three dates of a band, with a corner not seen, and of classes."""
    rng = np.random.default_rng(3)
    dn = rng.integers(-50, 9000, (3, 36, 40)).astype(np.int16)
    dn[:, :3, :3] = -10000
    classes = rng.integers(0, 7, (3, 36, 40)).astype(np.uint8)

    def reader(pixels: np.ndarray) -> "netcdf.Any":
        return lambda dates, window: pixels[(dates, *window)]

    layers = (
        Layer("blue", "B02 reflectance", "int16", -10000, reader(dn), 0.0001, 0.492),
        Layer("mask_scl", "classes of mask scl", "uint8", 0, reader(classes)),
    )
    about = {"tile": "31UES", "level": level}
    scenes = ("one", "two three", "")
    made = Stack("31UES", "a title", EXTENT.geobox(20), TIMES, scenes, layers, about)
    return made, dn, classes


def test_xarray_reads_reflectances_with_nan_classes_and_times(tmp_path: Path) -> None:
    made, dn, classes = stack()
    write_netcdf(tmp_path / "a.nc", made)
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as found:
        assert found.blue.dims == ("time", "y", "x")
        expected = np.where(dn == -10000, np.nan, dn * 0.0001)
        np.testing.assert_allclose(found.blue.values, expected, rtol=0, atol=1e-12)
        assert found.mask_scl.dtype == np.uint8
        np.testing.assert_array_equal(found.mask_scl.values, classes)
        assert found.time.values.astype("M8[ms]").tolist() == [t.item() for t in TIMES]
        assert found.scenes.values.tolist() == ["one", "two three", ""]
        assert set(found.data_vars) == {"blue", "mask_scl"}
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=False) as raw:
        np.testing.assert_array_equal(raw.blue.values, dn)


def test_the_file_says_what_cf_asks(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", stack()[0])
    with h5netcdf.File(tmp_path / "a.nc") as file:
        assert file.attrs["Conventions"] == "CF-1.11"
        assert file.attrs["tile"] == "31UES"
        band, mask = file["blue"].attrs, file["mask_scl"].attrs
        assert (band["scale_factor"], band["add_offset"], band["_FillValue"]) == (1e-4, 0, -10000)
        assert band["standard_name"] == "surface_bidirectional_reflectance"
        assert (band["units"], band["grid_mapping"]) == ("1", "spatial_ref")
        assert (band["wavelength"], band["wavelength_units"]) == (0.492, "micrometre")
        assert mask["flag_values"].tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert mask["flag_values"].dtype == np.uint8
        meanings = "no_observation clear cloud cloud_shadow thin_cloud snow water"
        assert mask["flag_meanings"] == meanings
        assert "_FillValue" not in mask
        grid = file["spatial_ref"].attrs
        assert grid["grid_mapping_name"] == "transverse_mercator"
        assert grid["crs_wkt"].startswith("PROJCRS")
        assert file["time"].attrs["units"] == "milliseconds since 1970-01-01"
        for axis, name in (("x", "projection_x_coordinate"), ("y", "projection_y_coordinate")):
            about = file[axis].attrs
            assert (about["standard_name"], about["axis"]) == (name, axis.upper())
            assert about["units"] == "metre"


def test_the_reflectance_of_l1c_is_that_at_the_top_of_the_atmosphere(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", stack("l1c")[0])
    with h5netcdf.File(tmp_path / "a.nc") as file:
        assert file["blue"].attrs["standard_name"] == "toa_bidirectional_reflectance"


def test_others_find_the_grid(tmp_path: Path) -> None:
    made, dn, _ = stack()
    write_netcdf(tmp_path / "a.nc", made)
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as found:
        assert found.odc.geobox == made.geobox
    with rasterio.open(f"netcdf:{tmp_path / 'a.nc'}:blue") as raster:
        assert raster.crs.to_epsg() == 32631
        assert raster.transform == made.geobox.affine
        assert (raster.nodata, raster.scales) == (-10000, (0.0001,) * 3)
        np.testing.assert_array_equal(raster.read(), dn)


def test_blocks_and_chunks_of_any_size_hold_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _, _ = stack()
    write_netcdf(tmp_path / "whole.nc", made)
    monkeypatch.setattr(netcdf, "BLOCK_SIDES", (16, 16))
    monkeypatch.setattr(netcdf, "CHUNK_SIDES", (16, 16))
    pieces: list[str] = []
    write_netcdf(tmp_path / "small.nc", made, pieces.append)
    assert len(pieces) == count_pieces(made) == 2 * 3 * 3
    assert pieces[:4] == ["blue 0 0", "blue 0 16", "blue 0 32", "blue 16 0"]
    with (
        h5netcdf.File(tmp_path / "whole.nc") as whole,
        h5netcdf.File(tmp_path / "small.nc") as small,
    ):
        # All dates of some pixels are one chunk.
        assert whole["blue"].chunks == (3, 36, 40)
        assert small["blue"].chunks == (3, 16, 16)
        for name in ("blue", "mask_scl"):
            np.testing.assert_array_equal(whole[name][...], small[name][...])


def test_memory_and_chunks_stay_bounded_for_a_full_tile() -> None:
    whole = Extent(32631, 499980, 5590200, 609780, 5700000)
    made, _, _ = stack()
    for dates, side, chunk in ((1, 2048, 256), (70, 512, 64), (365, 256, 32), (3000, 256, 16)):
        long = Stack("a", "a", whole.geobox(10), (TIMES[0],) * dates, ("",) * dates, made.layers)
        first: Window = next(netcdf.blocks(long, made.layers[0]))
        assert first == (slice(0, side), slice(0, side))
        assert netcdf._side(netcdf.CHUNK_BYTES, long, made.layers[0], netcdf.CHUNK_SIDES) == chunk
        # Blocks begin and end where chunks do, so that none is written twice.
        assert side % chunk == 0


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        write_netcdf(tmp_path / name, stack()[0])
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond a size: what a full disk does to a writer."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def meet_a_full_disk(folder: Path, size: int) -> None:
    """HDF5, which takes a file that it cannot close badly, goes on working."""
    made, dn, _ = stack()
    with files_up_to(size), pytest.raises(StoreError, match=r"cannot write .*a\.nc: File too lar"):
        write_netcdf(folder / "a.nc", made)
    write_netcdf(folder / "a.nc", made)
    with h5netcdf.File(folder / "a.nc") as file:
        np.testing.assert_array_equal(file["blue"][...], dn)


@pytest.mark.parametrize("size", [0, 3000, 10_000])
def test_a_full_disk_is_said_and_harms_nothing_else(tmp_path: Path, size: int) -> None:
    # In a process of its own: no file of the tests' own may hit the limit.
    call = f"runpy.run_path({__file__!r})['meet_a_full_disk'](Path({str(tmp_path)!r}), {size})"
    words = [sys.executable, "-c", f"import runpy; from pathlib import Path; {call}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_is_not_there_and_pixels_that_cannot_be_read(tmp_path: Path) -> None:
    made, _, _ = stack()
    with pytest.raises(StoreError, match="No such file"):
        write_netcdf(tmp_path / "no" / "a.nc", made)

    def fail(_dates: slice, _window: Window) -> np.ndarray:
        raise LoadError("cannot read b.tif: gone")

    broken = Layer("blue", "B02", "int16", -10000, fail, 0.0001)
    with pytest.raises(LoadError, match=r"cannot read b\.tif: gone"):
        write_netcdf(tmp_path / "a.nc", Stack("a", "a", made.geobox, TIMES, ("",) * 3, (broken,)))
