"""How many bytes a unit of work takes at most: promised by plans, kept by workers.

Each formula adds up the arrays that are held at the moment when a unit holds most. A worker's limit
has to hold a unit beside :data:`WORKER_BYTES`. Peaks of real runs are compared with the promises in
the tests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from cube.decoding import MaskReading, mask_group
from cube.masks import encoding
from cube.nearness import Nearness
from cube.reading import AT_ONCE as READ_AT_ONCE
from cube.spec import MAX_CHUNK, Spec
from cube.variables import Variable
from jobs.errors import RequestError
from jobs.job import Stage

MIB = 1 << 20

MOST_CHUNKS = 4
"""Chunks along the side of a block of a series: beyond, the margin is small beside the block."""

WORKER_BYTES = 476 * MIB
"""What a worker holds beside a unit's arrays.

348 MiB of libraries, kernels and dask, 64 MiB of GDAL's cache and 64 MiB of freed memory that is kept
for the next unit (:data:`jobs.runner.cluster.WORKER_ENVIRONMENT`). Measured in all: 416 with kernels
that were compiled before, whatever the worker did; 425 to 466 where a run is the first to compile what
it needs. What compiling leaves behind no process can free: 514 after ``tsmask``, 537 in a worker of a
scheduler that compiled all methods of synthesis, until it is started anew.
"""

PAUSED = 0.8
"""Share of its memory at which dask pauses a worker (distributed.worker.memory.pause)."""

SMALLEST_SIDE = 32
"""Least side of a block, pixels of the coarsest group: below, reading whole chunks is the cost."""

LOAD_PIXELS = 1 << 25
"""Pixels read at once of a date with one granule: a band's shard of a whole tile at 10 m, 64 MiB."""

STRIP = 512
"""Rows of a mask or file that are decoded, assembled and written at once."""

WEIGHT_STRIP = 1024
"""Rows of a mask that are decoded at once for the weights of a date."""

SMALL = 16 * MIB
"""What is too small to be counted one by one: headers, tables, chunks that are being decoded."""


def date_bytes(spec: Spec, granules: int) -> int:
    """Cube and number of granules merged -> bytes to load one date of it."""
    most = 0
    for group in spec.groups:
        side = spec.shard(group)
        height, width = (min(side, n) for n in spec.shape(group))
        sizes = sorted((_raw_size(v) for v in spec.variables if v.group == group), reverse=True)
        # Granules that are merged are loaded whole, one alone some variables at a time.
        count = len(sizes) if granules > 1 else max(1, LOAD_PIXELS // (height * width))
        held = sum(sizes[:count])
        # A shard on its way to the disk: the pixels, compressed, and joined to one file.
        most = max(most, height * width * (held + 6))
        if granules > 1:
            # What is merged and the next granule; four booleans say where either has data.
            most = max(most, height * width * (2 * held + 4))
    return most + SMALL


def mask_bytes(spec: Spec, reading: MaskReading) -> int:
    """Cube and mask -> bytes to decode one date: strips of the encoded rasters and the classes."""
    width = spec.shape(mask_group(spec, reading.encoding))[1]
    # Classes, and the 8 bytes a pixel into which numpy turns them to count them.
    return 9 * STRIP * width + _decoding(spec, reading, STRIP) + SMALL


def weights_bytes(spec: Spec, reading: MaskReading, nearness: Nearness) -> int:
    """Cube, mask and nearness -> bytes to gather the clouds of one date."""
    group = mask_group(spec, reading.encoding)
    height, width = spec.shape(group)
    # Classes, and two booleans while it is told where they are not clear.
    strip = 3 * WEIGHT_STRIP * width + _decoding(spec, reading, WEIGHT_STRIP)
    return strip + nearness.gathering_bytes((height, width), spec.groups[group]) + SMALL


def _decoding(spec: Spec, reading: MaskReading, rows: int) -> int:
    """Bytes to decode some rows of the widest window of a mask, grown by its buffer."""
    group = mask_group(spec, reading.encoding)
    height, width = spec.shape(group)
    declared = encoding(reading.encoding)
    halo = ceil(reading.buffer / spec.groups[group])
    # The rasters, the one that is being read a second time, and the classes.
    a_pixel = len(declared.reads) + 2
    if halo:
        a_pixel += 4  # grown classes, those before, and distances of two bytes
    if declared.kind == "bits" and not any(each.outside for each in declared.companions):
        a_pixel += 6  # a band, the copy that is read, and booleans: where it was observed
    return a_pixel * min(height, rows + 2 * halo) * width


def _raw_size(variable: Variable) -> int:
    """Bytes of a pixel as it is read: the three bands of ESA's cloud mask come one by one."""
    if variable.name == "classi":
        return 3
    return 1 if variable.dtype == "uint8" else 2


@dataclass(frozen=True, slots=True)
class BlockLoad:
    """What a block of a product holds at once: the dates of one period, in one group."""

    spec: Spec
    dates: int
    reads: Mapping[str, int]
    """Group -> bands read."""
    layers: Mapping[str, int]
    """Group -> layers made."""
    scratch: int
    """Bytes a pixel and date beside bands and classes: weights, and what composing takes."""
    nearness: Nearness | None = None
    """How the clouds near a pixel weigh on it."""

    def block_bytes(self, side: int) -> int:
        """Side of a block in pixels of the coarsest group -> bytes to make one."""
        most = 0
        coarsest = max(self.spec.shape(list(self.spec.groups)[-1]))
        for group, layers in self.layers.items():
            if not layers:
                continue
            pixels = (min(side, coarsest) * self.spec.factor(group)) ** 2
            # Bands as int16, the last one a second time while it is read, and classes.
            a_date = 2 * self.reads[group] + 3 + self.scratch
            # Layers of four bytes, and as many again in the file that they become.
            most = max(most, pixels * (self.dates * a_date + 8 * layers))
        # A window that a buffer of 5 km widens, decoded date by date; the weights of one date.
        metres = coarsest * max(self.spec.groups.values())
        cells = 0 if self.nearness is None else self.nearness.window_bytes(metres)
        return most + 2 * SMALL + cells


@dataclass(frozen=True, slots=True)
class SeriesLoad:
    """What a block of a temporal mask method holds at once: its series, and what it makes of it."""

    spec: Spec
    dates: int
    """Of the longest series."""
    given: int
    """Bytes a pixel and date of what the method is given."""
    taken: int
    """Bytes a pixel and date that the method takes."""
    margin: int
    """Pixels around a block that are read with it."""

    def block_bytes(self, side: int) -> int:
        """Side of a block in pixels of 20 m -> bytes to make one."""
        height, width = (
            min(side + 2 * self.margin, n) for n in self.spec.shape(list(self.spec.groups)[-1])
        )
        # Dates that are averaged from 10 m: four pixels of two bytes, a second time while read.
        averaged = min(self.dates, READ_AT_ONCE) * 16
        # One byte more a date: classes of the block without its margin.
        return height * width * (self.dates * (self.given + self.taken + 1) + averaged) + 2 * SMALL


def series_side(memory: int, workers: int, load: SeriesLoad) -> int:
    """Bytes of a worker, number of them -> side of a block, pixels of 20 m.

    Whole chunks. With a margin, which is read from whole chunks too, several along a side where they
    fit; yet so small that every worker has two blocks.
    """
    longest = max(load.spec.shape(list(load.spec.groups)[-1]))
    for chunks in range(MOST_CHUNKS if load.margin else 1, 1, -1):
        side = chunks * MAX_CHUNK
        if ceil(longest / side) ** 2 >= 2 * workers and fits(memory, load.block_bytes(side)):
            return side
    side = MAX_CHUNK
    while side > SMALLEST_SIDE and not fits(memory, load.block_bytes(side)):
        side //= 2
    return side


def asset_bytes(spec: Spec) -> int:
    """Cube -> bytes to write one file: rows of a layer, or of the three of a picture, and one more."""
    width = spec.shape(next(iter(spec.groups)))[1]
    return 8 * STRIP * width + SMALL


def block_side(memory: int, load: BlockLoad) -> int:
    """Bytes of a worker -> largest side of a block, pixels of the coarsest group, that fits.

    The smallest where none does: :func:`require` says so then.
    """
    side = MAX_CHUNK
    while side > SMALLEST_SIDE and not fits(memory, load.block_bytes(side)):
        side //= 2
    return side


def fits(memory: int, unit: int) -> bool:
    """Whether a worker of so many bytes can do a unit of so many without being paused."""
    return memory >= least_memory(unit)


def least_memory(unit: int) -> int:
    """Bytes of a unit -> least memory of a worker, a whole number of MiB."""
    return ceil((WORKER_BYTES + unit) / PAUSED / MIB) * MIB


def require(memory: int, stages: Iterable[Stage]) -> None:
    """``RequestError`` where a unit of some stage takes more than a worker may hold."""
    stage = max(stages, key=lambda one: one.memory, default=None)
    if stage is None or fits(memory, stage.memory):
        return
    least = least_memory(stage.memory)
    raise RequestError(
        f"{stage.name}: a unit needs up to {in_mib(stage.memory)} beside the {in_mib(WORKER_BYTES)} "
        f"of its worker, more than {PAUSED:.0%} of the {in_mib(memory, up=False)} that a worker may "
        f"hold; set CLEARCUBE_MEMORY={in_mib(least)} and CLEARCUBE_WORKERS to as many as the machine "
        f"has that for (workers of a scheduler: --memory-limit {in_mib(least)})"
    )


def in_mib(size: int, *, up: bool = True) -> str:
    """Bytes as people read them, whole MiB; rounded down where they are what is to be had."""
    return f"{-(-size // MIB) if up else size // MIB}MiB"
