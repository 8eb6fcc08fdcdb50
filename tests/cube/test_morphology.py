"""Dilation by a disc against brute force, its metres, its precedence, its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cube import masks
from cube.errors import MaskError
from cube.kernels import bits, morphology

GROUND = (1, 5, 6)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def slow_dilate(plane, metres, resolution):
    out = plane.copy()
    rows, columns = plane.shape
    for y in range(rows):
        for x in range(columns):
            if plane[y, x] not in GROUND:
                continue
            near = {
                int(plane[j, i])
                for j in range(rows)
                for i in range(columns)
                if (j - y) ** 2 * resolution**2 + (i - x) ** 2 * resolution**2 <= metres**2
            }
            for code in (2, 3, 4):
                if code in near:
                    out[y, x] = code
                    break
    return out


@given(
    SHAPES.flatmap(lambda shape: arrays("uint8", shape, elements=st.integers(0, 6))),
    st.sampled_from([0, 5, 10, 14, 15, 20, 28, 29, 30, 45, 50, 71, 1000]),
    st.sampled_from([10, 20]),
)
def test_like_brute_force(plane, metres, resolution):
    expected = slow_dilate(plane, metres, resolution)
    np.testing.assert_array_equal(masks.dilate(plane, metres, resolution), expected)


@given(arrays("uint8", (3, 5, 6), elements=st.integers(0, 6)), st.integers(0, 100))
def test_dates_do_not_touch_each_other(stack, metres):
    whole = masks.dilate(stack, metres, 20)
    for date, plane in enumerate(stack):
        np.testing.assert_array_equal(whole[date], masks.dilate(plane, metres, 20))


@given(arrays("uint8", (6, 7), elements=st.integers(0, 6)), st.integers(0, 120))
def test_what_is_not_ground_stays_and_more_metres_hide_more(plane, metres):
    grown = masks.dilate(plane, metres, 20)
    kept = ~np.isin(plane, GROUND)
    np.testing.assert_array_equal(grown[kept], plane[kept])
    larger = masks.dilate(plane, metres + 20, 20)
    assert not (np.isin(larger, GROUND) & ~np.isin(grown, GROUND)).any()


def test_a_disc_of_one_pixel_is_the_four_neighbours():
    plane = np.ones((3, 3), "uint8")
    plane[1, 1] = 2
    assert masks.dilate(plane, 20, 20).tolist() == [[1, 2, 1], [2, 2, 2], [1, 2, 1]]
    assert masks.dilate(plane, 19.9, 20).tolist() == plane.tolist()
    assert masks.dilate(plane, 28.3, 20).tolist() == [[2, 2, 2]] * 3
    assert plane[0, 1] == 1  # the input is left alone


def test_precedence_where_discs_meet():
    assert masks.dilate(np.uint8([[4, 1, 3, 5, 2, 0, 6]]), 10, 10).tolist() == [
        [4, 3, 3, 2, 2, 0, 6]
    ]
    assert masks.dilate(np.uint8([[2, 0, 1, 4, 3, 2]]), 20, 10).tolist() == [[2, 0, 2, 4, 3, 2]]


def test_the_radius_in_steps_that_are_not_exact_in_binary():
    plane = np.uint8([[2, 1, 1, 1, 1]])
    assert masks.dilate(plane, 0.3, 0.1).tolist() == [[2, 2, 2, 2, 1]]


def test_wrong_use_is_told():
    plane = np.ones((2, 2), "uint8")
    for metres, resolution in ((-1, 20), (float("nan"), 20), (float("inf"), 20), (20, 0)):
        with pytest.raises(MaskError, match="cannot dilate"):
            masks.dilate(plane, metres, resolution)
    with pytest.raises(MaskError, match="1 dimensions"):
        masks.dilate(plane[0], 20, 20)


def test_empty_and_very_far():
    assert masks.dilate(np.ones((0, 5), "uint8"), 60, 20).shape == (0, 5)
    plane = np.ones((4, 5), "uint8")
    plane[3, 4] = 3
    assert (masks.dilate(plane, 1e9, 10) == 3).all()


@given(arrays("uint8", (5, 6), elements=st.integers(0, 6)), st.integers(0, 4))
def test_kernels_as_python(plane, radius):
    """The compiled kernels and their source say the same."""
    compiled, plain = np.empty((2, *plane.shape), "uint16")
    widths = np.array([*range(radius, -1, -1), -1000], "int32")
    found = morphology.column_distance(plane, 2, radius + 1, compiled)
    assert found == morphology.column_distance.py_func(plane, 2, radius + 1, plain)
    np.testing.assert_array_equal(compiled, plain)
    first, second = plane.copy(), plane.copy()
    row = np.empty(plane.shape[1], "uint8")
    morphology.grow(plane, compiled, widths, 2, row, first)
    morphology.grow.py_func(plane, plain, widths, 2, row, second)
    np.testing.assert_array_equal(first, second)


@given(arrays("uint8", (3, 20)), arrays("uint8", (4, 256)))
def test_bit_kernels_as_python(rasters, tables):
    tables = tables[:3] % 7, np.roll(np.arange(256, dtype="uint8"), 3)
    ranks, class_of_rank = tables
    for kernel in (bits.decode_three, bits.decode_three.py_func):
        out = np.empty(20, "uint8")
        largest = kernel(*rasters, *ranks, class_of_rank, out)
        expected = np.min([table[each] for table, each in zip(ranks, rasters, strict=True)], axis=0)
        assert largest == expected.max()
        np.testing.assert_array_equal(out, class_of_rank[expected])
    for kernel in (bits.decode, bits.decode.py_func):
        assert kernel(rasters[0], ranks[0], out) == out.max()
        np.testing.assert_array_equal(out, ranks[0][rasters[0]])
    for kernel in (bits.combine, bits.combine.py_func):
        kernel(rasters[0], rasters[1], ranks[0], out)
        np.testing.assert_array_equal(out, np.minimum(rasters[0], ranks[0][rasters[1]]))
    listed = ranks[0][rasters[0]] != 0
    outside = (rasters[1] != 0) & (rasters[0] != 0)
    for count in (bits.count_listed, bits.count_listed.py_func):
        assert count(rasters[0], ranks[0]) == listed.sum()
    for count in (bits.count_listed_or_outside, bits.count_listed_or_outside.py_func):
        assert count(rasters[0], rasters[1], ranks[0]) == (listed | outside).sum()
    for count in (bits.count_classes, bits.count_classes.py_func):
        counts = np.zeros(256, "int64")
        count(rasters[0], counts)
        np.testing.assert_array_equal(counts, np.bincount(rasters[0], minlength=256))
