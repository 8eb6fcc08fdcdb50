"""The dates of a period over one block of a cube, read when they are asked for; on workers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cube.checksums import FILL, Checksums, combined
from cube.composite import EPOCH
from cube.decoding import MaskReading, mask_group, read_classes, variables_read
from cube.directional import Frame
from cube.errors import StoreError
from cube.facts import DateFacts
from cube.grid import Block
from cube.masks import to_grid
from cube.nearness import Nearness
from cube.periods import Period
from cube.reading import coarser, read_aot, read_band
from cube.spec import DateEntry, Spec
from cube.store import Cube
from cube.wasp_masks import binary_classes


@dataclass(slots=True)
class Shared:
    """What the groups of a block have in common; whichever needs it first makes it."""

    classes: npt.NDArray[np.uint8] | None = None
    """Decoded mask in its own group, ``(time, y, x)``; nobody writes into it."""
    weights: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    """File of gathered clouds -> what it holds."""
    checksums: dict[int, Checksums | None] = field(default_factory=dict)
    """Slot -> checksums of its chunks."""
    coarser: dict[str, npt.NDArray[np.int16]] = field(default_factory=dict)
    """Band of the finest group -> the same on the grid twice as coarse, which is to read it."""
    composed: dict[str, Any] = field(default_factory=dict)
    """Group -> what was composed of it, as another needed it before its turn."""


@dataclass(frozen=True, slots=True)
class BlockDates:
    """What ``compose`` is given: arrays ``(time, y, x)`` of one group over one block."""

    cube: Cube
    group: str
    block: Block
    period: Period
    entries: tuple[DateEntry, ...]
    """Dates of the window, in order of time."""
    reading: MaskReading
    nearness: Nearness | None = None
    weight_files: tuple[str, ...] = ()
    """One a date, of its gathered clouds; none without nearness."""
    facts: tuple[DateFacts, ...] = ()
    """One a date, those that the product depends on; none for products without."""
    shared: Shared = field(default_factory=Shared)
    """One for all groups of the block."""

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the block in pixels of the group."""
        return self.block.window(self.cube.spec.factor(self.group))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Dates, rows, columns."""
        rows, columns = self.window
        return len(self.entries), rows.stop - rows.start, columns.stop - columns.start

    @property
    def days(self) -> npt.NDArray[np.int32]:
        """(time,) UTC days since 1970-01-01, ascending."""
        return np.array([_day(entry) for entry in self.entries], np.int32)

    def read(self, name: str) -> npt.NDArray[np.int16]:
        """One band as stored, ``(time, y, x)`` int16 dn, nodata -10000.

        A band of a finer group comes as the mean of four, nodata where one of them is.
        """
        if self.cube.spec.variable(self.group, name) is None and name in self.shared.coarser:
            return self.shared.coarser.pop(name)
        slots = [entry.slot for entry in self.entries]
        return read_band(self.cube, self.group, name, slots, self.window)

    def keep_coarser(self, name: str, band: npt.NDArray[np.int16]) -> None:
        """Average a band of the finest group for the one twice as coarse, which need not read it then."""
        self.shared.coarser[name] = coarser(band)

    def classes(self) -> npt.NDArray[np.uint8]:
        """Decoded mask, ``(time, y, x)`` codes of ``cube.classes``."""
        spec = self.cube.spec
        native = mask_group(spec, self.reading.encoding)
        found = self.shared.classes
        if found is None:
            window = self.block.window(spec.factor(native))
            found = read_classes(self.cube, self.entries, self.reading, native, window)
            self.shared.classes = found
        return to_grid(found, spec.groups[native], spec.groups[self.group])

    def binary_classes(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
        """Decoded mask as CNES's public program takes it, and where it corrects no directions."""
        return binary_classes(self.cube, self.entries, self.reading, self.group, self.window)

    def aot(self) -> npt.NDArray[np.int16] | None:
        """Aerosol, ``(time, y, x)`` thousandths, 0 on dates without; None where no date has any."""
        return read_aot(self.cube, self.group, self.entries, self.window)

    @property
    def frame(self) -> Frame:
        """Where the block is."""
        rows, columns = self.window
        return pixel_frame(self.cube.spec, self.group, rows.start, columns.start)

    def cloud_weight(self) -> npt.NDArray[np.float32] | None:
        """Weight by the clouds nearby, ``(time, y, x)`` in [0, 1]; None for products without."""
        if self.nearness is None:
            return None
        rows, columns = self.window
        out = np.empty(self.shape, np.float32)
        resolution = self.cube.spec.groups[self.group]
        for index, file in enumerate(self.weight_files):
            out[index] = self.nearness.weigh(
                self._gathered(file), rows.start, columns.start, self.shape[1:], resolution
            )
        return out

    def fingerprint(self, recipe: str, reads: Sequence[tuple[str, str]]) -> str:
        """What the pixels of the block depend on -> 16 digits; empty where the cube cannot say.

        ``recipe`` stands for job, version and parameters; ``reads`` are the variables composed.
        Dates without a pixel in the block are left out: they change nothing there.
        """
        extent = self.cube.spec.extent
        parts: list[npt.NDArray[np.generic] | str] = [
            f"{recipe} {self.period} {self.group} {self.block} {extent} {sorted(reads)}"
        ]
        for index, entry in enumerate(self.entries):
            of_date = self._checksums(entry.slot)
            if of_date is None or not entry.checksums:
                return ""
            pixels = _of(self.cube, of_date, [name for _, name in reads], self._chunks(0))
            if (pixels == FILL).all():
                continue
            names = variables_read(self.cube.spec, entry, self.reading.encoding)
            seen = _of(self.cube, of_date, names, self._chunks(self.reading.buffer))
            parts += [f"{entry.time} {names}", pixels, seen]
            if self.facts:
                parts.append(str(self.facts[index]))
            if self.weight_files:
                parts.append(self._near(self._gathered(self.weight_files[index])))
        return combined(parts)

    def _gathered(self, file: str) -> npt.NDArray[np.generic]:
        """Gathered clouds of a date."""
        if file not in self.shared.weights:
            self.shared.weights[file] = _load(file)
        return self.shared.weights[file]

    def _checksums(self, slot: int) -> Checksums | None:
        """Checksums of a date's chunks."""
        if slot not in self.shared.checksums:
            self.shared.checksums[slot] = self.cube.checksums(slot)
        return self.shared.checksums[slot]

    def _chunks(self, reach: float) -> tuple[slice, slice]:
        """Chunks that the block and what lies within ``reach`` metres of it are in."""
        spec = self.cube.spec
        coarsest = max(spec.groups, key=lambda name: spec.groups[name])
        side, halo = spec.chunk(coarsest), math.ceil(reach / spec.groups[coarsest])
        block = self.block
        return (
            slice(
                max(0, block.y0 - halo) // side, (block.y0 + block.height + halo - 1) // side + 1
            ),
            slice(max(0, block.x0 - halo) // side, (block.x0 + block.width + halo - 1) // side + 1),
        )

    def _near(self, gathered: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Cells on which the weights of the block depend."""
        if self.nearness is None:
            return gathered
        step, margin = self.nearness.cell / self.cube.spec.groups[self.group], self.nearness.margin
        rows, columns = self.window
        first = (int(rows.start / step) - margin, int(columns.start / step) - margin)
        after = (math.ceil(rows.stop / step) + margin, math.ceil(columns.stop / step) + margin)
        return gathered[:, max(0, first[0]) : after[0], max(0, first[1]) : after[1]]


def pixel_frame(spec: Spec, group: str, row: int, column: int) -> Frame:
    """First pixel of a window of a group -> where the window is."""
    resolution = spec.groups[group]
    left, top = spec.extent.left + column * resolution, spec.extent.top - row * resolution
    return Frame(left, top, resolution)


def _of(
    cube: Cube,
    checksums: npt.NDArray[np.uint64],
    names: Sequence[str],
    chunks: tuple[slice, slice],
) -> npt.NDArray[np.uint64]:
    order = [variable.name for variable in cube.spec.variables]
    return checksums[[order.index(name) for name in names]][:, chunks[0], chunks[1]]


def _load(file: str) -> npt.NDArray[np.generic]:
    try:
        # Mapped: of a large array a block reads its own window.
        weights: npt.NDArray[np.generic] = np.load(Path(file), mmap_mode="r")
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the weights of a date, {file}: {error}") from error
    return weights


def _day(entry: DateEntry) -> int:
    """UTC day of a date since 1970-01-01."""
    return int((entry.datetime - np.datetime64(EPOCH)) // np.timedelta64(1, "D"))
