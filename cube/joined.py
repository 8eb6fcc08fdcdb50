"""A cube together with the masks that were found along its time axis, which lie in a store beside.

Such masks change for many dates at once and are no part of a date's delivery, so they have a store
of their own. Joined, they are one more variable of the cube: whatever reads masks reads them alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cube.checksums import FILL, Checksums
from cube.decoding import MaskReading
from cube.encodings import encoding
from cube.errors import StoreError
from cube.spec import DateEntry, Spec
from cube.store import Cube, open_store
from cube.variables import Variable, group_name

MASK, BITS = "mask", "bits"
"""Variables of a store of masks: classes, and the bits that some methods give beside them."""

GROUP = group_name(20)
"""Group of both."""


def open_masked(path: Path | str, reading: MaskReading) -> Cube:
    """Path of a cube -> its committed state, joined with the store that a reading names, if any."""
    cube = open_store(path)
    if not reading.store:
        return cube
    return JoinedCube(cube, open_store(reading.store), reading.encoding, reading.slots)


def joined_spec(spec: Spec, name: str) -> Spec:
    """Specification of a cube -> with the masks of a method as its last variable."""
    variable = Variable(
        name=name,
        asset="",
        kind="classes",
        resolution=20,
        group=GROUP,
        dtype="uint8",
        fill_value=0,
        scale=None,
        title=encoding(name).title,
    )
    return replace(spec, variables=(*spec.variables, variable))


class JoinedCube(Cube):
    """A cube whose dates hold the masks of a method, too; ``slots`` says where, by the cube's."""

    def __init__(self, cube: Cube, masks: Cube, name: str, slots: Mapping[int, int]) -> None:
        self.path = cube.path
        self.spec = joined_spec(cube.spec, name)
        self._cube, self._masks, self._name, self._slots = cube, masks, name, dict(slots)
        self.dates = tuple(map(self._with_mask, cube.dates))

    def read(
        self, group: str, variable: str, slots: Sequence[int], window: tuple[slice, slice]
    ) -> npt.NDArray[Any]:
        """As of any cube; ``StoreError`` where a date has no mask."""
        if (group, variable) != (GROUP, self._name):
            return self._cube.read(group, variable, slots, window)
        without = [slot for slot in slots if slot not in self._slots]
        if without:
            day = self.dates[without[0]].datetime.astype("datetime64[D]")
            raise StoreError(f"{self._masks.path} holds no {self._name} of {day}; make it first")
        return self._masks.read(GROUP, MASK, [self._slots[slot] for slot in slots], window)

    def checksums(self, slot: int) -> Checksums | None:
        """As of any cube."""
        own = self._cube.checksums(slot)
        if own is None:
            return None
        beside: Checksums | None = np.full((1, *own.shape[1:]), FILL, np.uint64)
        if slot in self._slots:
            held = self._masks.checksums(self._slots[slot])
            beside = None if held is None else held[:1]
        return None if beside is None else np.concatenate([own, beside])

    def _with_mask(self, entry: DateEntry) -> DateEntry:
        if entry.slot not in self._slots:
            return entry
        held = self._masks.dates[self._slots[entry.slot]].checksums
        known = {self._name: held[MASK]} if entry.checksums and MASK in held else {}
        return replace(
            entry,
            variables=(*entry.variables, self._name),
            checksums=entry.checksums | known,
        )
