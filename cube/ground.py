"""Which dates of one pixel show its ground, and what follows of them: for methods that explain themselves.

Land and water are ground, and snow where there is neither; as ``median_select`` in
``cube.kernels.composite`` has it for whole blocks.
"""

from collections.abc import Sequence

from cube.account import Result, day_text, hidden_reason, how_many, no_date
from cube.classes import CLEAR, SNOW, WATER
from cube.composite import (
    STATUS_CLOUD,
    STATUS_LAND,
    STATUS_NODATA,
    STATUS_SNOW,
    STATUS_WATER,
    Observations,
)

STATUS_OF = {CLEAR: STATUS_LAND, WATER: STATUS_WATER, SNOW: STATUS_SNOW}
"""Class of a date that shows the ground -> status of a pixel that shows the date."""


def ground_dates(codes: Sequence[int]) -> list[int]:
    """(time,) classes -> indices of the dates of clear land and water; of snow where there is neither."""
    found = [i for i, code in enumerate(codes) if code in (CLEAR, WATER)]
    return found or [i for i, code in enumerate(codes) if code == SNOW]


def status_of_dates(codes: Sequence[int], kept: Sequence[int]) -> int:
    """(time,) classes and the ground dates kept -> status: water where more than half of them are."""
    if not kept:
        return STATUS_CLOUD if any(codes) else STATUS_NODATA
    if codes[kept[0]] == SNOW:
        return STATUS_SNOW
    waters = sum(codes[i] == WATER for i in kept)
    return STATUS_WATER if 2 * waters > len(kept) else STATUS_LAND


def mean_date(observations: Observations, kept: Sequence[int]) -> Result:
    """(time,) days and the dates kept -> their plain mean, rounded half to even."""
    if not kept:
        return no_date()
    # As the kernel does: from the first date of the window, not from 1970.
    first = int(observations.days[0])
    mean = round(first + sum(int(observations.days[i]) - first for i in kept) / len(kept))
    return Result(mean, f"{day_text(mean)}, mean of {how_many(len(kept))}", tuple(kept))


def unseen_reason(observations: Observations, codes: Sequence[int], date: int) -> str:
    """Why a date is dropped that is none of the ground dates."""
    if codes[date] == SNOW:
        return "snow, while land or water was seen"
    return hidden_reason(observations, date)
