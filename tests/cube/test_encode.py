"""The encoding kernel against plain numpy, and the rules of stored reflectances by value."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cube.bands import AOT_SCALE, REFLECTANCE_NODATA
from cube.kernels.encode import HIGHEST, LOWEST, encode

Array = npt.NDArray[Any]
NONE = float("nan")


def encoded(
    values: list[float] | Array, dtype: str, nodata: float, gain: float, shift: float
) -> tuple[list[int], int]:
    raw = np.array(values, dtype).reshape(1, -1)
    out = np.full(raw.shape, 77, np.int16)
    clipped = encode(raw, nodata, gain, shift, out)
    return out[0].tolist(), clipped


def reference(raw: Array, nodata: float, gain: float, shift: float) -> tuple[Array, int]:
    """What the kernel does, said by whole arrays."""
    source = raw.astype(np.float64)
    absent = np.isnan(source) | (source == nodata)
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.rint(source * gain + shift)
    beyond = ~absent & ((value > 32767) | (value < -9999))
    kept = np.where(absent, -10000, np.clip(np.where(absent, 0, value), -9999, 32767))
    return kept.astype(np.int16), int(beyond.sum())


def test_nodata_is_tested_before_the_offset() -> None:
    # 1000 is reflectance 0 of a product with BOA offset; 0 is its nodata, not reflectance -0.1.
    assert encoded([0, 1, 1000, 1001, 11000], "uint16", 0, 1, -1000) == (
        [-10000, -999, 0, 1, 10000],
        0,
    )
    # What becomes 0 or -10000 only through the offset is data; the latter is as low as data go.
    assert encoded([1000, 3, 0], "uint16", 3, 1, -1000) == ([0, -10000, -1000], 0)
    assert encoded([0, 5], "int16", 5, 1, -10000) == ([-9999, -10000], 1)


def test_negative_reflectances_survive() -> None:
    assert encoded([-10000, -9999, -500, -1, 0, 12000], "int16", -10000, 1, 0) == (
        [-10000, -9999, -500, -1, 0, 12000],
        0,
    )


def test_what_int16_cannot_hold_is_clipped_and_counted() -> None:
    assert encoded([32766, 32767, 32768, 65535], "uint16", 0, 1, 0) == (
        [32766, 32767, 32767, 32767],
        2,
    )
    assert encoded([33767, 33768, 65535], "uint16", 0, 1, -1000) == ([32767, 32767, 32767], 2)
    assert encoded([-9998, -9999, -10000, -32768], "int16", 0, 1, 0) == (
        [-9998, -9999, -9999, -9999],
        2,
    )
    assert np.iinfo(np.int16).max == HIGHEST
    assert REFLECTANCE_NODATA + 1 == LOWEST


def test_not_a_number_is_nodata_and_infinity_is_clipped() -> None:
    assert encoded([np.nan, 0.5, np.inf, -np.inf], "float32", NONE, 10000, 0) == (
        [-10000, 5000, 32767, -9999],
        2,
    )
    assert encoded([np.nan, -1, 0.25], "float32", -1, 10000, 0) == ([-10000, -10000, 2500], 0)


def test_without_nodata_every_number_is_data() -> None:
    assert encoded([0, 255], "uint8", NONE, 1, 0) == ([0, 255], 0)


def test_aerosol_of_a_two_hundredth_becomes_thousandths() -> None:
    # ATB stores the optical thickness times 200: 1 is 0.005, which is 5 thousandths.
    gain = (1 / 200) / AOT_SCALE
    assert gain == pytest.approx(5)
    assert encoded([0, 1, 20, 250], "uint8", 0, 5, 0) == ([-10000, 5, 100, 1250], 0)


def test_halves_go_to_the_even_neighbour() -> None:
    assert encoded([1, 3, 5, 7], "uint16", 0, 0.5, 0) == ([0, 2, 2, 4], 0)


KINDS = {
    "uint16": st.integers(0, 65535),
    "int16": st.integers(-32768, 32767),
    "uint8": st.integers(0, 255),
    "float32": st.floats(width=32),
}
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)


@pytest.mark.parametrize("dtype", sorted(KINDS))
@given(data=st.data())
def test_the_kernel_does_what_numpy_does(dtype: str, data: st.DataObject) -> None:
    raw = data.draw(hnp.arrays(dtype, SHAPES, elements=KINDS[dtype]))
    nodata = data.draw(st.sampled_from([NONE, 0.0, -10000.0, float(raw.flat[0])]))
    gain = data.draw(st.sampled_from([1.0, 5.0, 0.5, 10000.0, 0.1]))
    shift = data.draw(st.sampled_from([0.0, -1000.0, 250.5, -10000.0]))
    before = raw.copy()
    out = np.empty(raw.shape, np.int16)
    clipped = encode(raw, nodata, gain, shift, out)
    expected, beyond = reference(raw, nodata, gain, shift)
    np.testing.assert_array_equal(out, expected)
    assert clipped == beyond
    np.testing.assert_array_equal(raw, before)
    # Nodata and data can be told apart afterwards.
    absent = np.isnan(raw) | (raw.astype(float) == nodata)
    np.testing.assert_array_equal(out == REFLECTANCE_NODATA, absent)
