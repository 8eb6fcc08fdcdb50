"""What the pixels round a pixel make of it: lone clouds and lone gaps away, clouds a pixel wider.

Arrays are ``(y, x)`` uint8 classes of one date, C-ordered; results go to another array, so that no
pixel sees what has been made of its neighbours. Neighbours end at the edge of the image, and those
without observation say nothing. Inner loops run along rows.

The published rules of Geoscience Australia's TSmask are here beside the corrected ones: they leave
the outermost rows and columns alone, and take what was not observed for not clear.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, THIN_CLOUD, WATER

Bytes = NDArray[np.uint8]


@njit(cache=True, nogil=True)
def smooth(classes: Bytes, reach: int, published: bool, out: Bytes) -> None:
    """(y, x) classes -> the same without lone clouds and lone gaps in clouds.

    ``reach`` 1: a pixel that fewer than 2 of its 8 neighbours agree with, cloud (or shadow) or
    clear, becomes the other; 2: fewer than 8 of the 25 pixels round it, itself included (TSmask).
    Where some of these are beyond the image or not observed, the same share of those that are.
    A gap becomes cloud. ``published`` counts all 8 or 25 and keeps to the interior.
    """
    rows, columns = classes.shape
    least, among = (2, 8) if reach == 1 else (8, 25)
    own = 1 if reach == 1 else 0
    padded = columns + 2 * reach
    column_hidden = np.zeros(padded, np.uint8)
    column_seen = np.zeros(padded, np.uint8)
    hidden = np.empty(columns, np.uint8)
    seen = np.empty(columns, np.uint8)
    for y in range(rows):
        column_hidden[:] = 0
        column_seen[:] = 0
        for near in range(max(y - reach, 0), min(y + reach + 1, rows)):
            row = classes[near]
            _add_if_within(row, CLOUD, THIN_CLOUD, column_hidden[reach:])
            _add_if_within(row, CLEAR, WATER, column_seen[reach:])
        hidden[:] = 0
        seen[:] = 0
        for shift in range(2 * reach + 1):
            _add(column_hidden[shift:], hidden)
            _add(column_seen[shift:], seen)
        _settle(classes[y], hidden, seen, least, among, own, published, out[y])
        if published:
            edge = y < reach or y >= rows - reach
            for x in range(columns):
                if edge or x < reach or x >= columns - reach:
                    out[y, x] = classes[y, x]


@njit(cache=True, nogil=True)
def _add_if_within(row: Bytes, lowest: int, highest: int, sums: Bytes) -> None:
    for x in range(row.size):
        sums[x] += np.uint8((row[x] >= lowest) & (row[x] <= highest))


@njit(cache=True, nogil=True)
def _add(terms: Bytes, sums: Bytes) -> None:
    for x in range(sums.size):
        sums[x] += terms[x]


@njit(cache=True, nogil=True)
def _settle(
    row: Bytes,
    hidden: Bytes,
    seen: Bytes,
    least: int,
    among: int,
    own: int,
    published: bool,
    out: Bytes,
) -> None:
    """(x) classes, and how many round each are hidden and seen -> (x) what they become."""
    enough, of, itself = np.int16(least), np.int16(among), np.int16(own)
    for x in range(row.size):
        here = row[x]
        is_hidden = (here >= CLOUD) & (here <= THIN_CLOUD)
        is_clear = here == CLEAR
        observed = np.int16(seen[x]) - itself * np.int16(here != NO_OBSERVATION)
        clouds = np.int16(hidden[x]) - itself * np.int16(is_hidden)
        agree = clouds if is_hidden else np.int16(observed - clouds)
        counted = of if published else observed
        alone = agree * of < enough * counted
        other = np.uint8(CLEAR) if is_hidden else np.uint8(CLOUD)
        out[x] = other if alone & (is_hidden | is_clear) else here


@njit(cache=True, nogil=True)
def widen(classes: Bytes, diagonal: bool, out: Bytes) -> None:
    """(y, x) classes -> clouds and shadows one pixel wider over clear, snow and water.

    By the four neighbours, or by all eight; of several the first of cloud, shadow, thin cloud.
    """
    rows, columns = classes.shape
    near = np.zeros(columns + 2, np.uint8)
    here = np.zeros(columns + 2, np.uint8)
    for y in range(rows):
        _rank(classes[y], here[1:])
        near[1:-1] = 0
        for other in (y - 1, y + 1):
            if 0 <= other < rows:
                _raise_rank(classes[other], near[1:])
        row, target = classes[y], out[y]
        for x in range(columns):
            most = max(max(here[x], here[x + 2]), near[x + 1])
            if diagonal:
                most = max(most, max(near[x], near[x + 2]))
            code = row[x]
            ground = (code == CLEAR) | (code == SNOW) | (code == WATER)
            # The code of a rank is found as the rank of a code is.
            target[x] = np.uint8(_HIGHEST - most) if ground & (most > 0) else code


_HIGHEST = THIN_CLOUD + 1
"""Less a code from cloud to thin cloud, its rank: 3 for cloud, 1 for thin cloud."""


@njit(cache=True, nogil=True)
def _rank(row: Bytes, ranks: Bytes) -> None:
    for x in range(row.size):
        hidden = (row[x] >= CLOUD) & (row[x] <= THIN_CLOUD)
        ranks[x] = np.uint8(_HIGHEST - row[x]) if hidden else np.uint8(0)


@njit(cache=True, nogil=True)
def _raise_rank(row: Bytes, ranks: Bytes) -> None:
    for x in range(row.size):
        hidden = (row[x] >= CLOUD) & (row[x] <= THIN_CLOUD)
        rank = np.uint8(_HIGHEST - row[x]) if hidden else np.uint8(0)
        ranks[x] = max(ranks[x], rank)


@njit(cache=True, nogil=True)
def widen_published(classes: Bytes, out: Bytes) -> None:
    """(y, x) classes -> as TSmask: each interior cloud or shadow marks its clear neighbours.

    In order of rows and columns, so that of several the last one counts.
    """
    rows, columns = classes.shape
    for y in range(rows):
        for x in range(columns):
            out[y, x] = classes[y, x]
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            here = classes[y, x]
            if here != CLOUD and here != CLOUD_SHADOW:
                continue
            for j in range(y - 1, y + 2):
                for i in range(x - 1, x + 2):
                    if classes[j, i] == CLEAR:
                        out[j, i] = here
