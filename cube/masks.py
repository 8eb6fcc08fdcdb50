"""Encoded masks -> classes: decode, explain, count contradictions, dilate, change the grid.

The classes are those of `cube.classes`; the encodings are the modules of `cube.encodings`.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube import classes
from cube.encodings import encoding, encodings
from cube.encodings._declaration import READINGS, Classify, Encoding, OptionValue
from cube.errors import BandError, MaskError
from cube.explanation import Explanation, explain
from cube.kernels import bits, morphology

__all__ = [
    "READINGS",
    "Encoding",
    "Explanation",
    "contradictions",
    "decode",
    "dilate",
    "encoding",
    "encodings",
    "explain",
    "fractions",
    "to_10m",
    "to_20m",
    "to_grid",
]

Bytes = NDArray[np.uint8]
_Settings = tuple[tuple[str, OptionValue], ...]

_CLASS_OF_RANK = np.array(classes.PRECEDENCE, dtype="uint8")
_RANK_OF_CLASS = np.full(256, classes.REFUSED, dtype="uint8")
_RANK_OF_CLASS[_CLASS_OF_RANK] = np.arange(_CLASS_OF_RANK.size, dtype="uint8")

_OUT_OF_REACH = np.int32(-(2**24))
"""Half-width of the disc beyond its last row: less than any raster is wide."""


def decode(
    name: str,
    arrays: Mapping[str, NDArray[Any]],
    reading: str = "standard",
    *,
    out: Bytes | None = None,
    **options: object,
) -> Bytes:
    """Encoded rasters by key, any one shape -> uint8 classes of that shape.

    `arrays` holds the main raster (``encoding(name).reads[0]``) and those of its companions that
    there are; others are ignored. Bits are read literally, also where they contradict each other.
    `out`, contiguous uint8 of the same shape, receives the classes and is returned: memory that
    is used again spares the system the zeroing of new pages, which takes longer than decoding.
    ``BandError`` where the main raster is not given; ``MaskError`` for an unknown reading or
    option, different shapes, numbers that are not whole, or a value without meaning.
    """
    declared = encoding(name)
    if reading not in READINGS:
        raise MaskError(f"no reading is called {reading!r}; choose one of {' '.join(READINGS)}")
    settings = tuple(declared.settings(options).items())
    main = _main(declared, arrays)
    if declared.kind == "probability":
        return _decode_probability(declared, main, settings, _target(name, out, main.shape))
    companions = {
        each.key: _stored(declared, each.key, arrays[each.key], "uint8", main.shape)
        for each in declared.companions
        if each.key in arrays
    }
    target = _target(name, out, main.shape)
    return _decode_tables(declared, main, companions, reading, settings, target)


def contradictions(name: str, arrays: Mapping[str, NDArray[Any]]) -> int:
    """Encoded rasters by key -> number of pixels whose bits deny each other.

    Counts values with a bit but without its summary bit, and, where the edge raster is given,
    non-zero values outside the image. Nothing is rewritten.
    """
    declared = encoding(name)
    main = _main(declared, arrays)
    if declared.kind != "bits":
        return 0
    table = _disagreement_table(name)
    for each in declared.companions:
        if each.outside and each.key in arrays:
            edge = _stored(declared, each.key, arrays[each.key], "uint8", main.shape)
            return int(bits.count_listed_or_outside(_flat(main), _flat(edge), table))
    return int(bits.count_listed(_flat(main), table))


def dilate(mask_classes: Bytes, metres: float, resolution: float) -> Bytes:
    """(y, x) or (time, y, x) uint8 classes -> the same with clouds and shadows grown.

    Cloud, shadow and thin cloud each grow by a disc over clear, snow and water; where several
    reach a pixel, cloud wins, then shadow, then thin cloud. They do not grow over each other nor
    over no_observation. A pixel is reached where its centre is no farther than `metres` from the
    centre of a pixel of the class, so `metres` need be no multiple of `resolution`: 20 at 20 m
    is the four neighbours, 19 is nothing.
    """
    if not (0 <= metres < float("inf")) or resolution <= 0:
        raise MaskError(
            f"cannot dilate by {metres} m at {resolution} m; give metres from 0 upwards"
        )
    if mask_classes.ndim not in (2, 3):
        raise MaskError(f"classes of {mask_classes.ndim} dimensions; give (y, x) or (time, y, x)")
    grown = np.array(mask_classes, dtype="uint8", order="C")
    # No disc needs to be larger than the raster.
    farthest = resolution * 2 * max(grown.shape[-2:], default=1)
    widths = _disc(min(metres, farthest), resolution)
    if widths.size == 1 or grown.size == 0:
        return grown
    for plane in grown.reshape(-1, *grown.shape[-2:]):
        _dilate_plane(plane, widths)
    return grown


def to_10m(mask_classes: Bytes) -> Bytes:
    """(..., y, x) uint8 classes at 20 m -> (..., 2y, 2x) at 10 m, each pixel repeated."""
    return to_grid(mask_classes, 20, 10)


def to_20m(mask_classes: Bytes) -> Bytes:
    """(..., 2y, 2x) uint8 classes at 10 m -> (..., y, x) at 20 m; see `to_grid`."""
    return to_grid(mask_classes, 10, 20)


def to_grid(mask_classes: Bytes, source: int, target: int) -> Bytes:
    """(..., y, x) uint8 classes of one pixel size -> another, a multiple or a part of it, metres.

    Finer: each pixel is repeated. Coarser: the pixel is no_observation only where all its parts
    are; of the parts that were observed any cloud wins, then shadow, thin cloud, snow, water,
    and it is clear where all of them are.
    """
    if source % target and target % source:
        raise MaskError(f"classes of {source} m do not fit pixels of {target} m; use a multiple")
    stored = np.asarray(mask_classes, dtype="uint8")
    if source >= target:
        factor = source // target
        return stored.repeat(factor, axis=-2).repeat(factor, axis=-1) if factor > 1 else stored
    factor = target // source
    rows, columns = stored.shape[-2:]
    if rows % factor or columns % factor:
        raise MaskError(
            f"{rows} x {columns} pixels of {source} m make no whole pixels of {target} m; "
            f"give a multiple of {factor}"
        )
    # Here not being observed is the last of the ranks instead of the first.
    ranks = (_RANK_OF_CLASS - np.uint8(1)).astype("uint8")[stored]
    blocks = ranks.reshape(*stored.shape[:-2], rows // factor, factor, columns // factor, factor)
    order = np.append(_CLASS_OF_RANK[1:], np.uint8(classes.NO_OBSERVATION))
    coarse: Bytes = order[np.minimum(blocks.min(axis=(-3, -1)), order.size - 1)]
    return coarse


def fractions(mask_classes: Bytes) -> dict[str, float]:
    """Uint8 classes -> percentages: each class by name, and ``cloud_cover``.

    ``no_observation`` is of all pixels; the other classes and ``cloud_cover`` (cloud and thin
    cloud) are of the observed ones, and 0 where none is.
    """
    counts = np.zeros(256, dtype="int64")
    bits.count_classes(_flat(np.asarray(mask_classes, dtype="uint8")), counts)
    total = int(counts[: len(classes.NAMES)].sum())
    observed = max(total - int(counts[classes.NO_OBSERVATION]), 1)
    shares = {name: 100.0 * int(counts[code]) / observed for code, name in enumerate(classes.NAMES)}
    shares["no_observation"] = 100.0 * int(counts[classes.NO_OBSERVATION]) / max(total, 1)
    clouds = int(counts[classes.CLOUD] + counts[classes.THIN_CLOUD])
    return shares | {"cloud_cover": 100.0 * clouds / observed}


def _main(declared: Encoding, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    key = declared.reads[0]
    if key not in arrays:
        raise BandError(f"decoding {declared.name} needs the raster {key!r}, which is not there")
    return _stored(declared, key, arrays[key], declared.dtype, np.shape(arrays[key]))


def _stored(
    declared: Encoding, key: str, given: NDArray[Any], dtype: str, shape: tuple[int, ...]
) -> NDArray[Any]:
    array = np.asarray(given)
    if array.shape != shape:
        raise MaskError(f"{declared.name}: {key} is {array.shape} beside {shape}; give one shape")
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "biu" and dtype != "float32":
        raise MaskError(f"{declared.name}: {key} is {array.dtype}; give the stored {dtype}")
    stored = array.astype(dtype)
    if dtype != "float32" and not np.array_equal(stored, array):
        raise MaskError(
            f"{declared.name}: {key} holds numbers beyond {dtype}; give the stored ones"
        )
    return stored


def _target(name: str, out: Bytes | None, shape: tuple[int, ...]) -> Bytes:
    if out is None:
        return np.empty(shape, dtype="uint8")
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise MaskError(f"{name}: out is {out.dtype} {out.shape}; give contiguous uint8 {shape}")
    return out


def _decode_tables(
    declared: Encoding,
    main: NDArray[Any],
    companions: Mapping[str, Bytes],
    reading: str,
    settings: _Settings,
    out: Bytes,
) -> Bytes:
    """Rasters -> classes, by one table each."""
    table = _class_table(declared.name, declared.reads[0], reading, settings)
    if not companions:
        if bits.decode(_flat(main), table, out.reshape(-1)) == classes.REFUSED:
            raise _refusal(declared, declared.reads[0], main, table)
        return out
    tables = {key: _class_table(declared.name, key, reading, settings) for key in companions}
    total = not any((each == classes.REFUSED).any() for each in (table, *tables.values()))
    if total and len(companions) == 2 and main.dtype == np.uint8:
        second, third = companions
        bits.decode_three(
            _flat(main),
            _flat(companions[second]),
            _flat(companions[third]),
            _RANK_OF_CLASS[table],
            _RANK_OF_CLASS[tables[second]],
            _RANK_OF_CLASS[tables[third]],
            _CLASS_OF_RANK,
            out.reshape(-1),
        )
        return out
    ranks = out.reshape(-1)
    if bits.decode(_flat(main), _RANK_OF_CLASS[table], ranks) == classes.REFUSED:
        raise _refusal(declared, declared.reads[0], main, table)
    for key, raster in companions.items():
        if bits.count_listed(_flat(raster), (tables[key] == classes.REFUSED).view("uint8")):
            raise _refusal(declared, key, raster, tables[key])
        bits.combine(ranks, _flat(raster), _RANK_OF_CLASS[tables[key]], ranks)
    bits.decode(ranks, _padded(_CLASS_OF_RANK), ranks)
    return out


def _refusal(declared: Encoding, key: str, raster: NDArray[Any], table: Bytes) -> MaskError:
    found, counts = np.unique(raster[table[raster] == classes.REFUSED], return_counts=True)
    shown = ", ".join(
        f"{value} ({count} pixels)" for value, count in zip(found[:5], counts[:5], strict=True)
    )
    more = ", ..." if found.size > 5 else ""
    return MaskError(
        f"{declared.name}: values without meaning in {key}: {shown}{more}; {declared.range}"
    )


def _decode_probability(
    declared: Encoding, main: NDArray[np.float32], settings: _Settings, out: Bytes
) -> Bytes:
    threshold = float(dict(settings)["threshold"])
    seen = np.isfinite(main)
    if ((main < 0) | (main > 1)).any():
        raise MaskError(f"{declared.name}: probabilities beyond 0 to 1; give them as fractions")
    cloud = np.where(main > threshold, classes.CLOUD, classes.CLEAR)
    out[...] = np.where(seen, cloud, classes.NO_OBSERVATION)
    return out


@lru_cache(maxsize=256)
def _class_table(name: str, key: str, reading: str, settings: _Settings) -> Bytes:
    """(256) or (65536) uint8: the class of each value the raster's type can hold."""
    declared = encoding(name)
    chosen = dict(settings)
    classify: Classify = declared.classify
    largest = declared.largest
    for each in declared.companions:
        if each.key == key:
            classify, largest = each.classify, 255
    table = np.array(
        [classify(value, reading, chosen) for value in range(largest + 1)], dtype="uint8"
    )
    table.flags.writeable = False
    return table


@lru_cache(maxsize=32)
def _disagreement_table(name: str) -> Bytes:
    declared = encoding(name)
    found = [bool(declared.disagreements(value)) for value in range(declared.largest + 1)]
    return np.array(found, dtype="uint8")


def _padded(table: Bytes) -> Bytes:
    return np.pad(table, (0, 256 - table.size))


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array).reshape(-1)


def _disc(metres: float, resolution: float) -> NDArray[np.int32]:
    """Half-width in pixels of each row of the disc, from its centre row outwards."""
    # The small addition keeps 0.3 / 0.1 and the like from falling short of a whole number.
    limit = int((metres / resolution) ** 2 * (1 + 1e-12) + 1e-9)
    return np.array([isqrt(limit - row * row) for row in range(isqrt(limit) + 1)], dtype="int32")


def _dilate_plane(plane: Bytes, widths: NDArray[np.int32]) -> None:
    """(y, x) uint8 classes, changed in place."""
    original = plane.copy()
    distance = np.empty(plane.shape, dtype="uint16")
    row = np.empty(plane.shape[1], dtype="uint8")
    reaches = np.append(widths, _OUT_OF_REACH)
    # The last to be written wins, so the order is that of precedence reversed.
    for code in (classes.THIN_CLOUD, classes.CLOUD_SHADOW, classes.CLOUD):
        if morphology.column_distance(original, code, widths.size, distance):
            morphology.grow(original, distance, reaches, code, row, plane)
