"""Water, learned from the last clear dates."""

import numpy as np
from numpy.typing import NDArray

from cube.mtcd.image import Flags, Image
from cube.mtcd.params import MtcdParams
from cube.mtcd.relief import slope
from cube.mtcd.state import State

Dates = NDArray[np.uint16]


def learn(
    image: Image, state: State | None, params: MtcdParams, hidden: Flags
) -> tuple[Dates, Dates]:
    """Image, (h, w) bool hidden -> (h, w) uint16 dates tested and possibly water, newest in bit 0.

    Tested are cells that were observed, are not hidden by cloud or shadow and not steep; water is
    dark in red and darker in near infrared. Without a near infrared band nothing is tested.
    """
    if "nir" not in image.bands:
        nothing = np.zeros(image.grid.shape, np.uint16)
        return nothing, nothing
    red, nir = image.bands["red"], image.bands["nir"]
    tested = image.observed & ~hidden & (slope(image) <= params.water_slope)
    # A product instead of a quotient, as the sum may be 0 or below.
    possible = tested & (nir - red < params.water_ndvi * (nir + red)) & (red < params.water_red)
    kept = np.uint16((1 << params.water_dates) - 1)
    histories = []
    for before, now in (("water_tested", tested), ("water_possible", possible)):
        history = np.zeros(image.grid.shape, np.uint16) if state is None else getattr(state, before)
        # A date that was not tested takes no place among the last.
        longer = (history << np.uint16(1)) | now.astype(np.uint16)
        histories.append(np.where(tested, longer, history).astype(np.uint16) & kept)
    return histories[0], histories[1]


def known(tested: Dates, possible: Dates, params: MtcdParams) -> Flags:
    """Histories -> (h, w) bool water: it looked so on ``water_share`` of the dates tested."""
    dates, wet = np.bitwise_count(tested), np.bitwise_count(possible)
    found: Flags = (dates > 0) & (wet >= params.water_share * dates)
    return found
