"""Cloud distance: how far a pixel is from the clouds of its own date, as a score in [0, 1].

As in the best-available-pixel compositing of J. C. White et al. 2014 (doi 10.1080/07038992.2014.945827)
and P. Griffiths et al. 2013 (doi 10.1109/JSTARS.2012.2228167): nothing at a cloud, full beyond a
distance, rising by a Gaussian in between. Distances are along rows and columns, in cells of 20 m,
whatever the pixels of a cube are: a coarser one fills the cells that it touches, and is as far from a
cloud as the cell in its middle.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cube.classes import CLOUD, THIN_CLOUD
from cube.errors import GridError
from cube.kernels import distance as kernels
from cube.nearness import Rows

CELL = 20
"""Metres: the grid on which masks of Sentinel-2 are made."""


class CloudDistanceParams(BaseModel):
    """How the score rises with the distance to clouds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cloud_distance: int = Field(
        3000,
        ge=CELL,
        le=5000,
        description="Distance from cloud, shadow or thin cloud beyond which the score is full",
        json_schema_extra={"unit": "metres", "source": "openEO and APEx, BAP: 150 pixels of 20 m"},
    )


@dataclass(frozen=True, slots=True)
class CloudDistance:
    """Score by the distance to the next cloud or shadow (``cube.nearness.Nearness``)."""

    params: CloudDistanceParams
    name: str = "distance"

    @property
    def cell(self) -> int:
        """Metres."""
        return CELL

    @property
    def most(self) -> int:
        """Cells at which distances end."""
        return self.params.cloud_distance // CELL

    @property
    def reach(self) -> int:
        """Clouds farther away than the full distance change nothing."""
        return self.most + 1

    @property
    def margin(self) -> int:
        """A window looks up its own cells."""
        return 1

    def hidden(self, decoded: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(y, x) uint8 classes -> (y, x) bool, True in cloud, shadow and thin cloud."""
        return (decoded >= CLOUD) & (decoded <= THIN_CLOUD)

    def gather(self, rows: Rows, shape: tuple[int, int], resolution: int) -> NDArray[np.generic]:
        """Strips of (rows, x) clouds of a whole extent -> (1, h, w) uint8 distances in cells.

        A cell is cloudy where any pixel that it touches is. ``GridError`` for strips that are not
        the rows of ``shape``.
        """
        cells = np.full([-(-n * resolution // CELL) for n in shape], self.most, np.uint8)
        after = 0
        for row0, strip in rows:
            if row0 != after or strip.shape[1:] != shape[1:]:
                raise GridError(f"strip of {strip.shape} at row {row0}: expected row {after}")
            cloudy = np.ascontiguousarray(strip).view(np.uint8)
            kernels.mark_cells(cloudy, row0, resolution, CELL, cells)
            after += strip.shape[0]
        if after != shape[0]:
            raise GridError(f"strips end at row {after}, the extent has {shape[0]}")
        kernels.spread(cells, self.most)
        return cells[np.newaxis]

    def weigh(
        self,
        gathered: NDArray[np.generic],
        row0: int,
        col0: int,
        shape: tuple[int, int],
        resolution: int,
    ) -> NDArray[np.float32]:
        """(1, h, w) uint8 distances -> (y, x) float32 score: 0 in cloud, 1 from the distance on."""
        out = np.empty(shape, np.float32)
        cells = np.asarray(gathered[0], np.uint8)
        kernels.look_up(cells, row0, col0, resolution / CELL, self._table(), out)
        return out

    def gathering_bytes(self, shape: tuple[int, int], resolution: int) -> int:
        """One byte a cell."""
        return ceil(shape[0] * resolution / CELL) * ceil(shape[1] * resolution / CELL)

    def window_bytes(self, metres: int) -> int:
        """One byte a cell of the whole extent."""
        return int(ceil(metres / CELL) ** 2)

    def _table(self) -> NDArray[np.float32]:
        """(256,) float32 score of each distance.

        The sources name a Gaussian and not its width: a third of the distance, so that it all but
        vanishes at a cloud's edge.
        """
        away = np.arange(256, dtype=np.float64)
        score = np.exp(-0.5 * ((self.most - np.minimum(away, self.most)) / (self.most / 3)) ** 2)
        score[0] = 0
        return score.astype(np.float32)
