"""From coarse findings to the eight bits of a CLM, at 20 or 10 m, and to classes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cube import masks
from cube.errors import MaskError
from cube.mtcd.coarse import CoarseGrid, interpolate_bits
from cube.mtcd.image import Flags

Bytes = NDArray[np.uint8]


def pack(name: str, flags: Mapping[str, Flags]) -> Bytes:
    """Encoding (``clm`` or ``mg2``), (h, w) bool by name of a bit -> (h, w) uint8."""
    places = {bit.name: bit.index for bit in masks.encoding(name).bits}
    packed = np.zeros(next(iter(flags.values())).shape, np.uint8)
    for each, where in flags.items():
        packed |= where.astype(np.uint8) << np.uint8(places[each])
    return packed


def flag(name: str, packed: Bytes, bit: str) -> Flags:
    """Encoding, uint8 of any shape, name of a bit -> bool of that shape."""
    place = next(each.index for each in masks.encoding(name).bits if each.name == bit)
    found: Flags = (packed >> np.uint8(place) & np.uint8(1)).astype(np.bool_)
    return found


def cloud_bits(found: Mapping[str, Flags]) -> Bytes:
    """(h, w) bool of the six tests by name of their bit -> (h, w) uint8 with both summaries.

    As documented for MUSCATE products, the thinnest clouds are in neither summary.
    """
    clouds = found["cloud_one_date"] | found["cloud_many_dates"] | found["high_cloud"]
    either = clouds | found["shadow"] | found["shadow_from_outside"]
    return pack("clm", {**found, "all_clouds": clouds, "clouds_or_shadows": either})


def to_fine(
    bits: Bytes, ground: Bytes, grid: CoarseGrid, observed: Flags, resolution: int = 20
) -> tuple[Bytes, Bytes]:
    """(h, w) uint8 CLM and MG2 bits -> (y, x) uint8 CLM bits and classes at 20 or 10 m.

    ``observed`` is (y, x) at 20 m; where it is False all bits are 0 and the class is
    no_observation. Classes are those of a CLM in the standard reading, with snow and water of
    ``ground``. ``MaskError`` where ``observed`` is not of the extent.
    """
    if observed.shape != grid.fine:
        raise MaskError(f"observed is {observed.shape}; give the 20 m grid of {grid.fine}")
    seen = observed
    if resolution == 10:
        seen = observed.repeat(2, axis=0).repeat(2, axis=1)
    fine = interpolate_bits(bits, grid, resolution)
    fine *= seen
    below = interpolate_bits(ground, grid, resolution)
    edge = (~seen).view(np.uint8)
    return fine, masks.decode("clm", {"clm": fine, "mg2": below, "edg": edge})
