"""Encoded masks in a cube -> classes on a window of any of its groups."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cube.bands import REFLECTANCE_NODATA
from cube.classes import NO_OBSERVATION
from cube.errors import BandError
from cube.masks import contradictions, decode, dilate, encoding, to_10m, to_20m
from cube.store import Cube, DateEntry, Spec

Classes = npt.NDArray[np.uint8]
Window = tuple[slice, slice]

AT_ONCE = 1 << 21
"""Pixels decoded at once, if a date has not more: a request to the store costs as much as a chunk."""


@dataclass(frozen=True, slots=True)
class MaskReading:
    """How an encoded mask of a cube is read."""

    encoding: str
    reading: str = "standard"
    buffer: float = 0.0
    """Metres by which clouds and shadows grow."""
    options: Mapping[str, Any] = field(default_factory=dict)
    store: str = ""
    """The store that holds it, where that is not the cube itself (`cube.joined`)."""
    slots: Mapping[int, int] = field(default_factory=dict)
    """Slot of the cube -> slot of that store."""


def mask_group(spec: Spec, name: str) -> str:
    """Encoding -> the group of the cube that holds it; ``BandError`` where none does."""
    for group in spec.groups:
        if spec.variable(group, encoding(name).reads[0]) is not None:
            return group
    held = sorted({v.name for v in spec.variables if v.kind == "encoded"})
    raise BandError(
        f"the {spec.level} cube of {spec.tile} holds no mask {name!r}; it holds {' '.join(held)}"
    )


def has_mask(entry: DateEntry, name: str) -> bool:
    """Whether a date was delivered with the encoding's main raster."""
    return encoding(name).reads[0] in entry.variables


def variables_read(spec: Spec, entry: DateEntry, name: str) -> tuple[str, ...]:
    """Variables that decode an encoding of a date, in order of the cube's."""
    declared = encoding(name)
    group = mask_group(spec, name)
    wanted = set(declared.reads)
    if _is_seen_in_bands(entry, name):
        wanted |= {v.name for v in spec.variables if v.group == group and v.kind == "reflectance"}
    return tuple(
        v.name
        for v in spec.variables
        if v.group == group and v.name in wanted and v.name in entry.variables
    )


def read_classes(
    cube: Cube, entries: Sequence[DateEntry], reading: MaskReading, group: str, window: Window
) -> Classes:
    """Dates and a window of a group -> ``(time, y, x)`` uint8 classes there.

    The mask is decoded in its own group; going from 20 m to 10 m the nearest counts, from 10 m to
    20 m any cloud or shadow wins. A date without the mask is no_observation. The buffer is grown
    from beyond the window, so that a window equals that part of the whole.
    """
    native = mask_group(cube.spec, reading.encoding)
    ratio = cube.spec.groups[group] / cube.spec.groups[native]
    there = _scaled(window, ratio)
    rows, columns = window
    shape = (len(entries), rows.stop - rows.start, columns.stop - columns.start)
    if not entries:
        return np.zeros(shape, np.uint8)
    height, width = (each.stop - each.start for each in there)
    # Filled some dates at a time: of few only is kept what a buffer needs from beyond the window.
    stack = np.empty((len(entries), height, width), np.uint8)
    wider = _widened(there, _halo(cube, reading, native), cube.spec.shape(native))
    for first, after in _batches(entries, reading.encoding, wider):
        stack[first:after] = _decode_dates(cube, entries[first:after], reading, native, there)
    if ratio == 1:
        return stack
    if ratio > 1:
        return to_20m(stack)
    # A window that begins or ends within a coarser pixel has but a part of it.
    top, left = (
        rows.start - round(there[0].start / ratio),
        columns.start - round(there[1].start / ratio),
    )
    return to_10m(stack)[:, top : top + shape[1], left : left + shape[2]]


def count_contradictions(cube: Cube, entry: DateEntry, name: str, window: Window) -> int:
    """Pixels of a date's window, in the mask's own group, whose bits deny each other."""
    group = mask_group(cube.spec, name)
    return contradictions(name, _encoded(cube, [entry], name, group, window))


def _batches(entries: Sequence[DateEntry], name: str, window: Window) -> Iterator[tuple[int, int]]:
    """Dates -> first and last + 1 of those that follow one another and have the same rasters."""
    rows, columns = window
    most = max(1, AT_ONCE // max(1, (rows.stop - rows.start) * (columns.stop - columns.start)))
    held = [[key in entry.variables for key in encoding(name).reads] for entry in entries]
    first = 0
    for index in range(1, len(entries) + 1):
        if index == len(entries) or index - first == most or held[index] != held[first]:
            yield first, index
            first = index


def _halo(cube: Cube, reading: MaskReading, group: str) -> int:
    """Pixels of a group that a buffer reaches."""
    return math.ceil(reading.buffer / cube.spec.groups[group])


def _decode_dates(
    cube: Cube, entries: Sequence[DateEntry], reading: MaskReading, group: str, window: Window
) -> Classes:
    """Dates with the same rasters -> ``(time, y, x)`` classes of a window of the mask's group."""
    rows, columns = window
    shape = (len(entries), rows.stop - rows.start, columns.stop - columns.start)
    if not has_mask(entries[0], reading.encoding):
        return np.full(shape, NO_OBSERVATION, "u1")
    halo = _halo(cube, reading, group)
    wider = _widened(window, halo, cube.spec.shape(group))
    arrays = _encoded(cube, entries, reading.encoding, group, wider)
    found = decode(reading.encoding, arrays, reading.reading, **reading.options)
    for entry, plane in zip(entries, found, strict=True):
        _leave_out_unseen(cube, entry, reading.encoding, group, wider, plane)
    if not halo:
        return found
    grown = dilate(found, reading.buffer, cube.spec.groups[group])
    top, left = rows.start - wider[0].start, columns.start - wider[1].start
    return grown[:, top : top + shape[1], left : left + shape[2]]


def _encoded(
    cube: Cube, entries: Sequence[DateEntry], name: str, group: str, window: Window
) -> dict[str, npt.NDArray[Any]]:
    """Dates with the same rasters -> these, ``(time, y, x)`` by name."""
    wanted = [key for key in encoding(name).reads if key in entries[0].variables]
    held = [key for key in wanted if cube.spec.variable(group, key) is not None]
    slots = [entry.slot for entry in entries]
    return {key: cube.read(group, key, slots, window) for key in held}


def _leave_out_unseen(
    cube: Cube, entry: DateEntry, name: str, group: str, window: Window, found: Classes
) -> None:
    """Bits say nothing of where nothing was seen: without an edge mask, reflectances do."""
    if not _is_seen_in_bands(entry, name):
        return
    bands = [
        v.name
        for v in cube.spec.variables
        if v.group == group and v.kind == "reflectance" and v.name in entry.variables
    ]
    if not bands:
        return
    observed = np.zeros(found.shape, bool)
    for band in bands:
        if observed.all():
            return
        observed |= cube.read(group, band, [entry.slot], window)[0] != REFLECTANCE_NODATA
    found[~observed] = NO_OBSERVATION


def _is_seen_in_bands(entry: DateEntry, name: str) -> bool:
    """Whether only the reflectances tell where a date was observed."""
    declared = encoding(name)
    edge = any(companion.outside for companion in declared.companions)
    return declared.kind == "bits" and not (edge and "edg" in entry.variables)


def _scaled(window: Window, ratio: float) -> Window:
    rows, columns = window
    return (
        slice(math.floor(rows.start * ratio), math.ceil(rows.stop * ratio)),
        slice(math.floor(columns.start * ratio), math.ceil(columns.stop * ratio)),
    )


def _widened(window: Window, halo: int, shape: tuple[int, int]) -> Window:
    rows, columns = window
    return (
        slice(max(0, rows.start - halo), min(shape[0], rows.stop + halo)),
        slice(max(0, columns.start - halo), min(shape[1], columns.stop + halo)),
    )
