"""Headers, COGs and pictures on disk: what they hold, and what is left when writing fails."""

import contextlib
import re
import resource
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

import cube.rasters
from cube.classes import palette
from cube.errors import LoadError, StoreError
from cube.grid import Extent
from cube.rasters import (
    Header,
    read_header,
    read_through,
    strips,
    write_cog,
    write_picture,
)

Array = npt.NDArray[Any]


def geobox(rows: int, columns: int, size: int = 10) -> GeoBox:
    left, top = 499980, 5700000
    return Extent(32631, left, top - rows * size, left + columns * size, top).geobox(size)


def field(rows: int, columns: int, dtype: str = "int16") -> Array:
    """Smooth numbers from 0 upwards with an unseen corner."""
    y, x = np.mgrid[:rows, :columns]
    pixels = (1000 + 500 * np.sin(y / 90) + 400 * np.cos(x / 70)).astype(dtype)
    pixels[: rows // 4, : columns // 4] = -10000 if dtype == "int16" else 0
    return pixels


def cog(path: Path, pixels: Array, **more: Any) -> Path:
    settings = {"dtype": str(pixels.dtype), "nodata": None, **more}
    write_cog(path, geobox(*pixels.shape), lambda first, last: pixels[first:last], **settings)
    return path


@contextlib.contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk does to a writer."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)


# --- headers --------------------------------------------------------------------------------------


def raster(path: Path, pixels: Array, **more: Any) -> Path:
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if path.suffix == ".jp2" else {}
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff",
        count=pixels.shape[0],
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        crs="EPSG:32738",
        transform=from_origin(600000, 8000020, 20, 20),
        **lossless,
        **more,
    ) as made:
        made.write(pixels)
    return path


@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_a_header_says_what_the_file_holds(tmp_path: Path, suffix: str) -> None:
    path = raster(tmp_path / f"a.{suffix}", np.ones((1, 12, 7), "uint16"))
    assert read_header(str(path)) == Header(
        shape=(12, 7),
        transform=(20, 0, 600000, 0, -20, 8000020),
        epsg=32738,
        dtype="uint16",
        nodata=None,
        count=1,
    )


def test_a_header_says_nodata_and_the_number_of_bands(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.ones((3, 4, 4), "int16"), nodata=-10000)
    header = read_header(str(path))
    assert (header.nodata, header.count, header.dtype) == (-10000, 3, "int16")
    assert read_header(f"vrt://{path}?bands=2").count == 1


def test_a_raster_without_a_crs_has_no_code(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=2, width=2, dtype="uint8"
    ) as made:
        made.write(np.ones((1, 2, 2), "uint8"))
    assert read_header(str(path)).epsg is None


@pytest.mark.parametrize("suffix", ["tif", "jp2"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_cut_short_has_no_header(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 9000, (1, 300, 300)).astype("uint16")
    path = raster(tmp_path / f"a.{suffix}", noise)
    assert read_header(str(path)).shape == (300, 300)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LoadError, match=f"^cannot read {re.escape(str(path))}: .+$"):
        read_header(str(path))


def test_a_file_that_is_not_there_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "none.tif"
    with pytest.raises(LoadError, match=f"^cannot read {re.escape(str(path))}: No such file"):
        read_header(str(path))
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(LoadError, match=r"^cannot read .*/text\.tif: not recognized as"):
        read_header(str(tmp_path / "text.tif"))


def test_reading_through_finds_what_the_ends_do_not_show(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 9000, (1, 96, 96)).astype("uint16")
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    path = raster(tmp_path / "a.tif", noise, **tiles)
    read_through(str(path))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 400 : middle + 400] = b"\xff" * 800
    path.write_bytes(content)
    assert read_header(str(path)).shape == (96, 96)
    with pytest.raises(LoadError, match=f"^cannot read {re.escape(str(path))}: .+$"):
        read_through(str(path))


@pytest.mark.parametrize("name", ["p.zip", "P.ZIP"])
def test_a_header_is_read_inside_a_zip(tmp_path: Path, name: str) -> None:
    path = raster(tmp_path / "a.jp2", np.ones((1, 5, 6), "uint8"))
    packed = tmp_path / name
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, "x/a.jp2")
    href = f"/vsizip/{packed}/x/a.jp2"
    assert read_header(href).shape == (5, 6)
    with pytest.raises(LoadError, match=re.escape(f"cannot read /vsizip/{packed}/x/b.jp2: ")):
        read_header(f"/vsizip/{packed}/x/b.jp2")


# --- COGs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "overviews"),
    [
        ((64, 64), []),
        ((1, 1), []),
        ((512, 512), []),
        ((513, 300), [2]),
        ((1500, 1100), [2, 4]),
    ],
)
def test_a_cog_is_valid_and_holds_the_pixels(
    tmp_path: Path, shape: tuple[int, int], overviews: list[int]
) -> None:
    pixels = field(*shape)
    path = cog(tmp_path / "deep" / "er" / "red.tif", pixels, nodata=-10000)
    valid, errors, warnings = cog_validate(path)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as made:
        np.testing.assert_array_equal(made.read(1), pixels)
        assert made.overviews(1) == overviews
        assert made.block_shapes == [(512, 512)]
        assert made.compression.name == "deflate"
        assert tuple(made.transform)[:6] == (10, 0, 499980, 0, -10, 5700000)
        assert made.crs.to_epsg() == 32631
        assert made.nodata == -10000
    assert [each.name for each in path.parent.iterdir()] == ["red.tif"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_what_is_said_of_a_band_is_kept(tmp_path: Path, dtype: str) -> None:
    nodata = {"uint8": 0, "int16": -10000, "float32": float("nan")}[dtype]
    pixels = field(40, 30, "int16").clip(0, 200).astype(dtype)
    path = cog(
        tmp_path / "a.tif", pixels, nodata=nodata, scale=0.0001, description="B04 reflectance"
    )
    with rasterio.open(path) as made:
        assert made.dtypes == (dtype,)
        assert made.nodata == pytest.approx(nodata, nan_ok=True)
        assert made.scales == (0.0001,)
        assert made.offsets == (0.0,)
        assert made.descriptions == ("B04 reflectance",)
        np.testing.assert_array_equal(made.read(1), pixels)
    assert path.stat().st_size == write_cog(
        path, geobox(40, 30), lambda a, b: pixels[a:b], dtype=dtype, nodata=nodata, scale=0.0001,
        description="B04 reflectance",
    )  # fmt: skip


def test_classes_have_colours_and_overviews_of_whole_classes(tmp_path: Path) -> None:
    classes = np.random.default_rng(3).choice([1, 2, 6], (700, 600)).astype("uint8")
    path = cog(tmp_path / "mask.tif", classes, nodata=0, colours=palette(), average=False)
    assert cog_validate(path)[0]
    with rasterio.open(path) as made:
        assert made.colorinterp == (ColorInterp.palette,)
        colours = made.colormap(1)
        # GeoTIFF palettes have no alpha; nodata is what is not seen.
        assert {code: colours[code][:3] for code in range(1, 7)} == {
            code: colour[:3] for code, colour in palette().items() if code
        }
        np.testing.assert_array_equal(made.read(1), classes)
        small = made.read(1, out_shape=(350, 300))
        np.testing.assert_array_equal(small, classes[::2, ::2])


def test_overviews_of_reflectances_are_means_of_what_was_seen(tmp_path: Path) -> None:
    pixels = np.full((1024, 600), 1000, "int16")
    pixels[::2] = 3000
    pixels[:100, ::2] = -10000
    pixels[100:200] = -10000
    path = cog(tmp_path / "red.tif", pixels, nodata=-10000)
    with rasterio.open(path) as made:
        small = made.read(1, out_shape=(512, 300))
    assert set(np.unique(small[:50])) == {2000}
    assert set(np.unique(small[50:100])) == {-10000}
    assert set(np.unique(small[100:])) == {2000}


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    pixels = field(1500, 1100)
    one = cog(tmp_path / "one.tif", pixels, nodata=-10000, scale=0.0001, description="d")
    other = cog(tmp_path / "x" / "other.tif", pixels, nodata=-10000, scale=0.0001, description="d")
    assert one.read_bytes() == other.read_bytes()
    pixels[0, -1] += 1
    third = cog(tmp_path / "third.tif", pixels, nodata=-10000, scale=0.0001, description="d")
    assert third.read_bytes() != one.read_bytes()


@pytest.mark.parametrize("shape", [(40, 30), (1024, 700)])
@pytest.mark.parametrize("kind", ["classes", "reflectance", "weight"])
def test_in_memory_or_in_a_file_the_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], kind: str
) -> None:
    dtype, said = {
        "classes": ("uint8", {"nodata": 0, "colours": palette(), "average": False}),
        "reflectance": ("int16", {"nodata": -10000, "scale": 0.0001, "description": "B04"}),
        "weight": ("float32", {"nodata": float("nan")}),
    }[kind]
    pixels = np.random.default_rng(4).integers(0, 7, shape).astype(dtype)
    pixels[: shape[0] // 3] = said["nodata"]
    one = cog(tmp_path / "a.tif", pixels, **said)
    monkeypatch.setattr(cube.rasters, "IN_MEMORY", 0)
    assert cog(tmp_path / "b.tif", pixels, **said).read_bytes() == one.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_a_picture_of_classes_has_their_colours(tmp_path: Path) -> None:
    classes = np.random.default_rng(5).integers(0, 7, (90, 70)).astype("uint8")
    colours = [palette()[code] for code in range(7)]
    write_picture(tmp_path / "p.png", classes, colours)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.mode == "P"
        found = np.asarray(picture.convert("RGBA"))
    np.testing.assert_array_equal(found, np.array(colours, "uint8")[classes])


def test_rows_are_asked_for_in_strips_once(tmp_path: Path) -> None:
    pixels = field(1100, 20)
    asked = []

    def rows(first: int, last: int) -> Array:
        asked.append((first, last))
        return pixels[first:last]

    write_cog(tmp_path / "a.tif", geobox(1100, 20), rows, dtype="int16", nodata=-10000)
    assert asked == [(0, 512), (512, 1024), (1024, 1100)] == list(strips(1100))


@given(st.integers(1, 3000), st.integers(1, 600))
def test_strips_cover_each_row_once(height: int, step: int) -> None:
    found = list(strips(height, step))
    assert found[0][0] == 0
    assert found[-1][1] == height
    assert all(0 < last - first <= step for first, last in found)
    assert [first for first, _last in found[1:]] == [last for _first, last in found[:-1]]


# --- what is left when writing fails --------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, LoadError, MemoryError])
def test_rows_that_fail_leave_nothing(tmp_path: Path, error: type[Exception]) -> None:
    pixels = field(1100, 600)

    def rows(first: int, last: int) -> Array:
        if first:
            raise error("rows failed")
        return pixels[first:last]

    with pytest.raises(error, match="rows failed"):
        write_cog(tmp_path / "a.tif", geobox(1100, 600), rows, dtype="int16", nodata=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("side", "room"), [(100, 1000), (100, 19_000), (1100, 1000), (1100, 300_000), (1100, 2_400_000)]
)
def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(
    tmp_path: Path, side: int, room: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 9000, (side, side)).astype("int16")
    path = tmp_path / "a.tif"
    path.write_bytes(b"as it was")
    with (
        full_disk(room),
        pytest.raises(StoreError, match=f"^cannot write {re.escape(str(path))}: .+$") as raised,
    ):
        cog(path, pixels)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == b"as it was"
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


def test_a_copy_of_which_a_part_is_lost_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(source: str, target: str, **options: str) -> None:
        copy_raster(source, target, **options)
        with Path(target).open("r+b") as stream:
            stream.truncate(Path(target).stat().st_size // 2)

    monkeypatch.setattr(cube.rasters, "copy_raster", lossy)
    noise = np.random.default_rng(0).integers(0, 9000, (600, 600)).astype("int16")
    with pytest.raises(StoreError, match=r"a\.tif: the disk took only a part of it"):
        cog(tmp_path / "a.tif", noise)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.tif"
    with pytest.raises(StoreError, match=f"^cannot write {re.escape(str(path))}: .+$"):
        cog(path, field(20, 20))
    with pytest.raises(StoreError, match=f"^cannot write {re.escape(str(path))}: .+$"):
        write_picture(path, np.zeros((4, 4, 3), "uint8"))


# --- pictures -------------------------------------------------------------------------------------


def test_a_picture_holds_its_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 4)).astype("uint8")
    path = tmp_path / "made" / "a.png"
    write_picture(path, pixels)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert (image.size, image.mode) == ((30, 20), "RGBA")
        np.testing.assert_array_equal(np.asarray(image), pixels)
    write_picture(path, pixels[..., :3])
    with Image.open(path) as image:
        assert image.mode == "RGB"
    assert [each.name for each in path.parent.iterdir()] == ["a.png"]


def test_a_large_picture_is_brought_to_512_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, np.full((1024, 2048, 3), 100, "uint8"))
    with Image.open(path) as image:
        assert image.size == (512, 256)
        assert (np.asarray(image) == 100).all()


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 50, 3)).astype("uint8")
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name, pixels)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_picture_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype("uint8")
    with full_disk(1000), pytest.raises(StoreError, match=r"a\.png: File too large"):
        write_picture(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []
