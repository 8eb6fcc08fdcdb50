"""How near a pixel is to the clouds of its own date, as a weight: computed once a date, used by block.

Clouds beyond a block weigh on its pixels. So each date's clouds are gathered once over the whole tile
into something small, and any window of weights is made from that on absolute positions: how a tile is
cut into blocks changes no bit.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Rows = Iterable[tuple[int, NDArray[np.bool_]]]
"""``(first row, strip)`` of not-clear pixels from top to bottom, without gap or overlap."""


class Nearness(Protocol):
    """One way to weigh pixels by the clouds near them; its instances are pickled to workers."""

    @property
    def name(self) -> str:
        """What fingerprints call it."""

    @property
    def params(self) -> BaseModel:
        """What its numbers depend on."""

    @property
    def cell(self) -> int:
        """Pixel of what is gathered, metres."""

    @property
    def reach(self) -> int:
        """Cells around a pixel whose clouds can weigh on it."""

    @property
    def margin(self) -> int:
        """Cells of what is gathered around a window on which its weights depend."""

    def hidden(self, decoded: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(y, x) uint8 classes -> (y, x) bool, True where there is what weighs on others."""

    def gather(self, rows: Rows, shape: tuple[int, int], resolution: int) -> NDArray[np.generic]:
        """Strips of a whole extent -> (n, h, w) cells of its clouds."""

    def weigh(
        self,
        gathered: NDArray[np.generic],
        row0: int,
        col0: int,
        shape: tuple[int, int],
        resolution: int,
    ) -> NDArray[np.float32]:
        """(n, h, w) cells -> (y, x) float32 weights in [0, 1] of the window at ``(row0, col0)``."""

    def gathering_bytes(self, shape: tuple[int, int], resolution: int) -> int:
        """Bytes held while an extent is gathered, beside its strips."""

    def window_bytes(self, metres: int) -> int:
        """Bytes read of one date's cells for a window of an extent so many metres long."""
