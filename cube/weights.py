"""Cloud weight: how far an observation is from the clouds of its own date, in [0, 1].

The method is that of CNES and CESBIO's WASP (Hagolle et al. 2018, doi 10.5281/zenodo.1401360): the
clouds are brought to a coarse grid, blurred there by a narrow and a wide Gaussian A and B, and the
weight at full resolution is ``(1 - A) (1 - B)``. A coarse cell counts by the share of it that is
cloud; WASP takes it as whole or not at all, so that a cloud of less than about half a cell lowers no
neighbour's weight, which is a choice here. The coarse grid of a whole tile is small (458 x 458 at
240 m) and is computed once per date; windows are interpolated from it on absolute positions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import correlate1d
from scipy.special import ive

from cube import classes
from cube.errors import GridError
from cube.kernels import weights as kernels
from cube.nearness import Rows

_CLOUDY_ABOVE = 0.5 + 1e-4
"""Share of a coarse cell above which it is cloudy (WASP, with the same margin for exact halves)."""

_KEPT_MASS = 0.99
"""Share of the Gaussian's mass that its truncated kernel keeps (ITK's maximum error of 0.01)."""

_FINE = 10
"""Metres; the weight of a coarser pixel is the mean over its pixels of this size."""


class CloudWeightParams(BaseModel):
    """How the cloud weight falls near clouds; the defaults are those of Theia's production."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma_small: float = Field(
        2,
        gt=0,
        le=100,
        description="Standard deviation of the narrow blur of clouds",
        json_schema_extra={"unit": "coarse pixels", "source": "WASP, parameter sigmasmallcld"},
    )
    sigma_large: float = Field(
        10,
        gt=0,
        le=100,
        description="Standard deviation of the wide blur of clouds",
        json_schema_extra={"unit": "coarse pixels", "source": "WASP, parameter sigmalargecld"},
    )
    coarse: int = Field(
        240,
        ge=20,
        description="Pixel of the grid on which clouds are blurred",
        json_schema_extra={"unit": "metres", "source": "WASP, parameter coarseres"},
    )
    small_clouds: Literal["share", "drop"] = Field(
        "share",
        description="A coarse pixel counts by its share of cloud; or drop: as a whole above about half, "
        "below not at all",
        json_schema_extra={"unit": "name", "source": "this project; drop: WASP"},
    )
    near_thin: bool = Field(
        True,
        description="Whether thin cloud lowers the weight of its neighbours like cloud and shadow",
        json_schema_extra={"unit": "yes or no", "source": "this project"},
    )


@dataclass(frozen=True, slots=True)
class BlurredClouds:
    """Weights of ``wasp``: clouds blurred on a coarse grid (``cube.nearness.Nearness``)."""

    params: CloudWeightParams
    name: str = "blurred"

    @property
    def cell(self) -> int:
        """Pixel of the coarse grid, metres."""
        return self.params.coarse

    @property
    def reach(self) -> int:
        """Far more than the kept 99 % of the wide blur, and the cells that interpolation looks at."""
        return ceil(4 * max(self.params.sigma_large, self.params.sigma_small)) + 10

    @property
    def margin(self) -> int:
        """Cubic interpolation takes two coarse cells."""
        return 3

    def hidden(self, decoded: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(y, x) classes -> (y, x) bool, see :func:`not_clear`."""
        return not_clear(decoded, self.params)

    def gather(self, rows: Rows, shape: tuple[int, int], resolution: int) -> NDArray[np.generic]:
        """See :func:`coarse_cloud_weights`."""
        return coarse_cloud_weights(rows, shape, resolution, self.params)

    def weigh(
        self,
        gathered: NDArray[np.generic],
        row0: int,
        col0: int,
        shape: tuple[int, int],
        resolution: int,
    ) -> NDArray[np.float32]:
        """(2, h, w) gathered -> (y, x) weight, see :func:`cloud_weight`."""
        coarse = np.asarray(gathered, np.float32)
        return cloud_weight(coarse, row0, col0, shape, resolution, self.params)

    def gathering_bytes(self, shape: tuple[int, int], resolution: int) -> int:
        """Coarse rows of fine columns; then shares, clouds and their blurs in double precision."""
        factor = self.params.coarse / resolution
        rows, columns = (ceil(n / factor) for n in shape)
        return 4 * rows * shape[1] + 48 * rows * columns

    def window_bytes(self, metres: int) -> int:
        """Both blurs of the whole extent."""
        return int(8 * ceil(metres / self.params.coarse) ** 2)


def not_clear(decoded: NDArray[np.uint8], params: CloudWeightParams) -> NDArray[np.bool_]:
    """(y, x) uint8 classes -> (y, x) bool, True in cloud, shadow and (by choice) thin cloud.

    What was not observed counts as free of cloud: the edge of a swath lowers no weight.
    """
    last = classes.THIN_CLOUD if params.near_thin else classes.CLOUD_SHADOW
    return (decoded >= classes.CLOUD) & (decoded <= last)


def coarse_cloud_weights(
    rows: Iterable[tuple[int, NDArray[np.bool_] | NDArray[np.uint8]]],
    shape: tuple[int, int],
    resolution: float,
    params: CloudWeightParams,
) -> NDArray[np.float32]:
    """Strips of (rows, x) not-clear pixels of one date -> (2, h, w) float32 blurred clouds A, B.

    Parameters
    ----------
    rows
        ``(first row, strip)`` from top to bottom, without gap or overlap, of any heights; non-zero
        is not clear. Beside one strip, memory holds float32 of coarse rows x fine columns
        (20 MB for a whole tile at 10 m).
    shape
        Rows and columns of the whole extent, whose upper-left corner is that of the coarse grid.
    resolution
        Pixel of the strips in metres, not above ``params.coarse``.

    Raises
    ------
    GridError
        Strips that are not the rows of ``shape`` in order, or a resolution that is too coarse.
    """
    if not 0 < resolution <= params.coarse:
        raise GridError(f"clouds at {resolution:g} m cannot be brought to {params.coarse} m")
    height, width = shape
    by_share = params.small_clouds == "share"
    taps = _area_taps if by_share else _wide_taps
    first_row, row_taps = taps(height, params.coarse / resolution)
    first_column, column_taps = taps(width, params.coarse / resolution)
    sums = np.zeros((len(first_row), width), np.float32)
    after = 0
    for row0, strip in rows:
        if row0 != after or strip.shape[1:] != (width,) or strip.itemsize != 1:
            raise GridError(
                f"strip of {strip.shape} at row {row0}: expected row {after} of {shape}"
            )
        kernels.add_rows(
            np.ascontiguousarray(strip).view(np.uint8), row0, first_row, row_taps, sums
        )
        after += strip.shape[0]
    if after != height:
        raise GridError(f"strips end at row {after}, the extent has {height}")
    share = np.empty((len(first_row), len(first_column)))
    kernels.sum_columns(sums, first_column, column_taps, share)
    cloudy = share if by_share else (share > _CLOUDY_ABOVE).astype(np.float64)
    missing = [
        _cells(n * resolution / params.coarse) - k for n, k in zip(shape, share.shape, strict=True)
    ]
    cloudy = np.pad(cloudy, [(0, n) for n in missing], mode="edge")
    blurred = [_blur(cloudy, sigma) for sigma in (params.sigma_small, params.sigma_large)]
    return np.stack(blurred).astype(np.float32)


def cloud_weight(
    coarse: NDArray[np.float32],
    row0: int,
    col0: int,
    shape: tuple[int, int],
    resolution: float,
    params: CloudWeightParams,
) -> NDArray[np.float32]:
    """(2, h, w) float32 blurred clouds -> (y, x) float32 cloud weight of one window, in [0, 1].

    The window begins at pixel ``(row0, col0)`` of the extent at ``resolution`` metres. A pixel's
    value depends on its place alone: any window equals that part of the whole. Weights are
    interpolated at 10 m; at 20 m the weight is the mean of the four.
    """
    out = np.empty(shape, np.float32)
    sub = max(1, round(resolution / _FINE))
    kernels.cloud_weight(coarse, row0, col0, resolution / params.coarse, sub, out)
    return out


def _cells(length: float) -> int:
    """Length in coarse pixels -> the number that covers it; a hair's breadth makes no new one."""
    return max(1, int(np.ceil(length - 1e-6)))


def _area_taps(count: int, factor: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fine pixels, fine per coarse -> per coarse pixel its first fine pixel and the shares of each.

    Those that the last one lacks beyond the edge are left out of its mean.
    """
    cells = _cells(count / factor)
    edges = np.minimum(factor * np.arange(cells + 1), count)
    first = np.minimum(np.floor(edges[:-1] + 1e-9), count - 1).astype(np.int64)
    places = first[:, np.newaxis] + np.arange(int(np.ceil(factor)) + 1)
    inside = np.minimum(places + 1, edges[1:, np.newaxis]) - np.maximum(
        places, edges[:-1, np.newaxis]
    )
    taps = np.maximum(inside, 0.0)
    return first, taps / taps.sum(axis=1, keepdims=True)


def _wide_taps(count: int, factor: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fine pixels, fine per coarse -> per whole coarse pixel its first fine pixel and their weights.

    Cubic convolution stretched to twice the coarse pixel on either side, normalised; what reaches
    over an edge falls on the edge pixel.
    """
    coarse = max(1, floor(count / factor + 1e-6))
    centres = factor * np.arange(coarse) + (factor - 1) / 2
    begin = np.floor(centres - 2 * factor).astype(np.int64)
    reach = int(np.ceil(4 * factor)) + 2
    places = begin[:, np.newaxis] + np.arange(reach)
    distance = np.abs(places - centres[:, np.newaxis]) / factor
    weights = np.vectorize(kernels.cubic.py_func)(distance)
    weights /= weights.sum(axis=1, keepdims=True)
    first = np.clip(begin, 0, count - 1)
    taps = np.zeros((coarse, reach))
    row = np.broadcast_to(np.arange(coarse)[:, np.newaxis], places.shape)
    np.add.at(taps, (row, np.clip(places, 0, count - 1) - first[:, np.newaxis]), weights)
    return first, taps


def _blur(cloudy: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(h, w) -> blurred by the discrete Gaussian of ``sigma`` pixels, edges replicated.

    T. Lindeberg 1990, "Scale-space for discrete signals": coefficients exp(-t) I_n(t), t = sigma^2.
    """
    half = ive(np.arange(int(10 * sigma) + 10), sigma**2)
    kept = half[0] + 2 * np.concatenate([[0.0], np.cumsum(half[1:])])
    radius = int(np.argmax(kept >= _KEPT_MASS))
    kernel = np.concatenate([half[radius:0:-1], half[: radius + 1]])
    kernel /= kernel.sum()
    along_y = correlate1d(cloudy, kernel, axis=0, mode="nearest")
    return np.asarray(correlate1d(along_y, kernel, axis=1, mode="nearest"))
