"""How many bytes a unit of work takes at most: promised by plans, kept by workers.

The formulas count the arrays that a unit holds at once at its peak; the benchmarks and tests compare
them with what workers took.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.decoding import MaskReading, mask_group
from cube.spec import MAX_CHUNK, Spec
from jobs.errors import RequestError
from jobs.job import Stage

MIB = 1 << 20

WORKER_BYTES = 330 * MIB
"""What a worker holds when idle, its libraries and kernels loaded (measured), with GDAL's cache."""

PAUSED = 0.8
"""Share of its memory at which dask pauses a worker (distributed.worker.memory.pause)."""

SMALLEST_SIDE = 32
"""Least side of a block, pixels of the coarsest group: below, reading whole chunks is the cost."""

LOAD_PIXELS = 1 << 25
"""Pixels read at once of a date with one granule: a band's shard of a whole tile at 10 m, 64 MiB."""

STRIP = 1024
"""Rows that are decoded or assembled at once, at most."""


def date_bytes(spec: Spec, granules: int) -> int:
    """Cube and number of granules merged -> bytes to load one date of it."""
    most = 0
    for group in spec.groups:
        side = spec.shard(group)
        height, width = (min(side, n) for n in spec.shape(group))
        held = [v for v in spec.variables if v.group == group]
        count = len(held) if granules > 1 else max(1, LOAD_PIXELS // (height * width))
        # Stored integers, what the reader made them of, and a float or boolean beside.
        most = max(most, height * width * (2 * min(count, len(held)) + 8 + 4 * min(granules, 2)))
    return most


def mask_bytes(spec: Spec, reading: MaskReading) -> int:
    """Cube and mask -> bytes to decode one date: strips of the encoded rasters and the classes."""
    width = spec.shape(mask_group(spec, reading.encoding))[1]
    return 12 * STRIP * width + 32 * MIB


def weights_bytes(spec: Spec, reading: MaskReading) -> int:
    """Cube and mask -> bytes to blur the clouds of one date."""
    width = spec.shape(mask_group(spec, reading.encoding))[1]
    return 12 * STRIP * width + 64 * MIB


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

    def block_bytes(self, side: int) -> int:
        """Side of a block in pixels of the coarsest group -> bytes to make one."""
        most = 0
        coarsest = max(self.spec.shape(list(self.spec.groups)[-1]))
        for group, reads in self.reads.items():
            pixels = (min(side, coarsest) * self.spec.factor(group)) ** 2
            # Bands as int16, classes before and after the change of grid.
            a_date = 2 * reads + 3 + self.scratch
            most = max(most, pixels * (self.dates * a_date + 8 * self.layers[group]))
        return most + 32 * MIB


def asset_bytes(spec: Spec) -> int:
    """Cube -> bytes to write one file: rows assembled, and GDAL's own while it makes overviews."""
    width = spec.shape(next(iter(spec.groups)))[1]
    return 8 * 512 * width + 96 * MIB


def block_side(memory: int, load: BlockLoad) -> int:
    """Bytes of a worker -> largest side of a block, pixels of the coarsest group, that fits.

    The smallest where none does: :func:`require` says so then.
    """
    side = MAX_CHUNK
    while side > SMALLEST_SIDE and WORKER_BYTES + load.block_bytes(side) > PAUSED * memory:
        side //= 2
    return side


def require(memory: int, stage: Stage) -> None:
    """``RequestError`` where a unit of a stage takes more than a worker may hold."""
    wanted = WORKER_BYTES + stage.memory
    if wanted > PAUSED * memory:
        raise RequestError(
            f"{stage.name}: a unit takes {in_mib(stage.memory)} beside the {in_mib(WORKER_BYTES)} of "
            f"a worker, which may hold {in_mib(memory)} and is paused at {PAUSED:.0%} of it; give "
            f"workers {in_mib(int(wanted / PAUSED))} or more (CLEARCUBE_MEMORY, or CLEARCUBE_WORKERS "
            "for fewer of them)"
        )


def in_mib(size: int) -> str:
    """Bytes as people read them."""
    return f"{-(-size // MIB)}MiB"
