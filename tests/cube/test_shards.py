"""Pixels and their files: what zarr-python writes is read, and it reads what is written."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.shards import BLOSC, Layout, read_pixels, write_pixels

SHARDED = Layout("int16", -10000, 16, 48)
PLAIN = Layout("uint8", 0, 16, 16)


def by_zarr(path: Path, layout: Layout, shape: tuple[int, int]) -> "zarr.Array":
    """An array of one date as zarr-python makes it."""
    typesize = np.dtype(layout.dtype).itemsize
    return zarr.create_array(
        str(path),
        shape=(1, *shape),
        dtype=layout.dtype,
        chunks=(1, layout.chunk, layout.chunk),
        shards=(1, layout.shard, layout.shard) if layout.shard > layout.chunk else None,
        fill_value=layout.fill_value,
        compressors=[{"name": "blosc", "configuration": {**BLOSC, "typesize": typesize}}],
    )


def scene(seed: int, layout: Layout, shape: tuple[int, int]) -> np.ndarray:
    """Random pixels, half of the chunks without data."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, shape).astype(layout.dtype)
    cells = rng.random((-(-shape[0] // layout.chunk), -(-shape[1] // layout.chunk))) < 0.5
    empty = cells.repeat(layout.chunk, 0).repeat(layout.chunk, 1)[: shape[0], : shape[1]]
    return np.where(empty, layout.fill_value, pixels).astype(layout.dtype)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([SHARDED, PLAIN]), st.integers(1, 110), st.integers(1, 110), st.integers(0, 99)
)
def test_zarr_python_reads_what_is_written(
    layout: Layout, height: int, width: int, seed: int
) -> None:
    pixels = scene(seed, layout, (height, width))
    with tempfile.TemporaryDirectory() as folder:
        array = by_zarr(Path(folder) / "a", layout, (height, width))
        write_pixels(Path(folder) / "a" / "c" / "0", layout, 0, 0, pixels)
        assert (array[0] == pixels).all()


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([SHARDED, PLAIN]),
    st.integers(1, 110),
    st.integers(1, 110),
    st.integers(0, 99),
    st.data(),
)
def test_any_window_of_what_zarr_python_wrote_is_read(
    layout: Layout, height: int, width: int, seed: int, data: st.DataObject
) -> None:
    pixels = scene(seed, layout, (height, width))
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    window = (
        slice(top, data.draw(st.integers(top + 1, height))),
        slice(left, data.draw(st.integers(left + 1, width))),
    )
    with tempfile.TemporaryDirectory() as folder:
        by_zarr(Path(folder) / "a", layout, (height, width))[0] = pixels
        out = np.full(pixels[window].shape, 77, layout.dtype)
        read_pixels(Path(folder) / "a" / "c" / "0", layout, window, out)
    assert (out == pixels[window]).all()


def test_shards_are_written_one_by_one(tmp_path: Path) -> None:
    pixels = scene(1, SHARDED, (96, 96))
    for top in (48, 0):
        for left in (0, 48):
            part = pixels[top : top + 48, left : left + 48]
            write_pixels(tmp_path, SHARDED, top, left, part)
    out = np.empty((96, 96), np.int16)
    read_pixels(tmp_path, SHARDED, (slice(0, 96), slice(0, 96)), out)
    assert (out == pixels).all()


def test_what_holds_no_data_has_no_file(tmp_path: Path) -> None:
    pixels = np.full((96, 96), -10000, np.int16)
    pixels[50, 3] = 4
    write_pixels(tmp_path, SHARDED, 0, 0, pixels)
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.glob("*/*")] == ["1/0"]
    # One chunk of 512 bytes at most, and the index of nine.
    assert (tmp_path / "1" / "0").stat().st_size < 512 + 9 * 16 + 4
    out = np.empty((96, 96), np.int16)
    read_pixels(tmp_path, SHARDED, (slice(0, 96), slice(0, 96)), out)
    assert (out == pixels).all()


@pytest.mark.parametrize("layout", [SHARDED, PLAIN])
@pytest.mark.parametrize("kept", [0, 10, 100, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, layout: Layout, kept: int) -> None:
    pixels = np.random.default_rng(3).integers(1, 200, (16, 16)).astype(layout.dtype)
    write_pixels(tmp_path, layout, 0, 0, pixels)
    file = tmp_path / "0" / "0"
    file.write_bytes(file.read_bytes()[:kept])
    out = np.empty((16, 16), layout.dtype)
    with pytest.raises((ValueError, RuntimeError)):
        read_pixels(tmp_path, layout, (slice(0, 16), slice(0, 16)), out)
