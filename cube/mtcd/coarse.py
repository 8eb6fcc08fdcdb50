"""The coarse grid on which mtcd works: its choice, the way down to it and back up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cube.errors import GridError
from cube.kernels import mtcd as kernels
from cube.mtcd.params import MtcdParams

CELLS = (240, 120, 60, 20)
"""Cells there are, metres; each a multiple of 20."""

LEAST_CELLS = 32
"""Cells a side below which a finer grid is taken: clouds and windows of 7 cells need room."""


@dataclass(frozen=True, slots=True)
class CoarseGrid:
    """Cells over an extent, from its upper-left corner on."""

    cell: int
    """Metres."""
    fine: tuple[int, int]
    """Rows and columns of the extent at 20 m."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells; the last of each may reach beyond the extent."""
        factor = self.cell // 20
        return -(-self.fine[0] // factor), -(-self.fine[1] // factor)

    def factor(self, shape: tuple[int, ...]) -> int:
        """Shape of a raster over the extent, 20 m or 10 m -> its pixels along a cell."""
        for resolution in (20, 10):
            scale = 20 // resolution
            if shape == (self.fine[0] * scale, self.fine[1] * scale):
                return self.cell // resolution
        raise GridError(
            f"a raster of {shape} is neither the 20 m grid of {self.fine} nor its 10 m grid; "
            "give rasters of the cube's extent"
        )


def choose_grid(fine: tuple[int, int], params: MtcdParams) -> CoarseGrid:
    """Rows and columns at 20 m -> the coarsest allowed grid of 32 cells a side, 20 m if none.

    ``GridError`` where ``params.coarse`` is no such cell, or the extent is empty.
    """
    if params.coarse not in CELLS:
        raise GridError(f"coarse={params.coarse} is no cell of mtcd; choose one of {CELLS}")
    if min(fine) < 1:
        raise GridError(f"an extent of {fine} pixels is empty")
    allowed = [cell for cell in CELLS if cell <= params.coarse]
    enough = [cell for cell in allowed if min(fine) * 20 // cell >= LEAST_CELLS]
    return CoarseGrid(enough[0] if enough else allowed[-1], fine)


def grid_note(grid: CoarseGrid, params: MtcdParams) -> str | None:
    """Grid -> what a plan says of it where it is finer than asked for."""
    if grid.cell == params.coarse:
        return None
    cells = min(grid.fine) * 20 // params.coarse
    return (
        f"mtcd works at {grid.cell} m instead of {params.coarse} m: the extent has {cells} cells "
        f"of {params.coarse} m a side, fewer than {LEAST_CELLS}"
    )


def average(dn: NDArray[np.int16], grid: CoarseGrid) -> NDArray[np.float32]:
    """(y, x) int16 dn at 10 or 20 m -> (h, w) float32 mean dn of a cell, NaN where it has no data."""
    out = np.empty(grid.shape, np.float32)
    kernels.average(np.ascontiguousarray(dn), grid.factor(dn.shape), out)
    return out


def average_altitude(altitude: NDArray[np.float32], grid: CoarseGrid) -> NDArray[np.float32]:
    """(y, x) float32 metres at 20 m, NaN for none -> (h, w) float32 mean, NaN where there is none."""
    factor = grid.factor(altitude.shape)
    rows, columns = grid.shape
    missing = [(0, cells * factor - n) for cells, n in zip(grid.shape, altitude.shape, strict=True)]
    padded = np.pad(altitude, missing, constant_values=np.nan)
    blocks = padded.reshape(rows, factor, columns, factor)
    there = np.isfinite(blocks)
    count = there.sum(axis=(1, 3))
    total = np.where(there, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    mean = np.full(grid.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.astype(np.float32)


def interpolate_bits(
    bits: NDArray[np.uint8], grid: CoarseGrid, resolution: int = 20
) -> NDArray[np.uint8]:
    """(h, w) uint8 bits -> (y, x) uint8 at 20 or 10 m: each bit linearly, set above 0.25.

    The threshold is MAJA's; it lets a mask grow by about a quarter of a cell.
    """
    if resolution not in (10, 20):
        raise GridError(f"mtcd is written at 20 or 10 m, not at {resolution} m")
    scale = 20 // resolution
    out = np.empty((grid.fine[0] * scale, grid.fine[1] * scale), np.uint8)
    kernels.interpolate_bits(np.ascontiguousarray(bits), grid.factor(out.shape), out)
    return out
