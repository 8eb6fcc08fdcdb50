"""Decoding of stored mask values by tables.

All arrays are one-dimensional and contiguous: the callers pass rasters as flat memory. Tables
hold one byte for each value of the input's type.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@njit(cache=True, nogil=True)
def decode(values: NDArray[Any], table: Bytes, out: Bytes) -> int:
    """(n) uint8 or uint16 values -> (n) uint8 entries of the table; returns the largest entry.

    `table` has 256 or 65536 entries, so that no value is out of it. The largest entry tells
    the caller whether any value was refused (255).
    """
    largest = np.uint8(0)
    for i in range(values.size):
        entry = table[values[i]]
        out[i] = entry
        largest = max(largest, entry)
    return int(largest)


@njit(cache=True, nogil=True)
def combine(ranks: Bytes, values: NDArray[Any], table: Bytes, out: Bytes) -> None:
    """(n) ranks and (n) values of a second raster -> (n) uint8, the smaller rank of the two.

    `table` gives the rank of each value; 0 is the rank that wins over all.
    """
    for i in range(values.size):
        out[i] = min(ranks[i], table[values[i]])


@njit(cache=True, nogil=True)
def decode_three(
    first: Bytes,
    second: Bytes,
    third: Bytes,
    first_ranks: Bytes,
    second_ranks: Bytes,
    third_ranks: Bytes,
    class_of_rank: Bytes,
    out: Bytes,
) -> int:
    """Three (n) uint8 rasters -> (n) uint8 classes of the smallest rank; returns the largest rank.

    Each table of ranks has 256 entries and gives the place of a value's class in the order of
    precedence; `class_of_rank` turns the place back into the class.
    """
    largest = np.uint8(0)
    for i in range(first.size):
        rank = min(first_ranks[first[i]], second_ranks[second[i]], third_ranks[third[i]])
        largest = max(largest, rank)
        out[i] = class_of_rank[rank]
    return int(largest)


@njit(cache=True, nogil=True)
def count_listed(values: NDArray[Any], table: Bytes) -> int:
    """(n) uint8 or uint16 values -> number of those whose entry in the table is not zero."""
    count = 0
    for i in range(values.size):
        count += table[values[i]] != 0
    return count


@njit(cache=True, nogil=True)
def count_listed_or_outside(values: NDArray[Any], outside: NDArray[Any], table: Bytes) -> int:
    """(n) values and (n) edge -> number of values listed in the table or non-zero at the edge."""
    count = 0
    for i in range(values.size):
        count += (table[values[i]] != 0) | ((outside[i] != 0) & (values[i] != 0))
    return count


@njit(cache=True, nogil=True)
def count_classes(classes: Bytes, counts: NDArray[np.int64]) -> None:
    """(n) uint8 classes -> (256) int64, how many pixels have each code; added to what is there."""
    for i in range(classes.size):
        counts[classes[i]] += 1
