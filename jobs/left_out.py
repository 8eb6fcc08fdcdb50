"""A synthesis without one of its dates: composed anew, block by block, from what its item records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.backends.base import Document
from catalog.fingerprint import fingerprint
from cube.facts import DateFacts
from cube.grid import Block
from cube.nearness import Nearness
from jobs.block_dates import BlockDates
from jobs.compositing import gathered_clouds
from jobs.dates import time_of
from jobs.product import Layers
from jobs.recorded_month import Month, raw_inputs, recorded_month
from jobs.scratch import save
from jobs.seen_dates import SeenDate, SeenDates
from jobs.synthesis import compose
from jobs.synthesis_params import SynthesisParams


@dataclass(frozen=True)
class GatheredClouds:
    """Gathered clouds of dates, each made once and kept in a folder: ``cloud_weight`` is made of them."""

    folder: Path
    _made: dict[str, Path] = field(default_factory=dict, repr=False)

    def files(
        self, seen: SeenDates, dates: Sequence[SeenDate], nearness: Nearness | None
    ) -> tuple[str, ...]:
        """Dates of a mask -> a file each; none for methods without nearness."""
        if nearness is None:
            return ()
        about = {
            "nearness": nearness.name,
            "parameters": nearness.params.model_dump(mode="json"),
            "mask": seen.name,
        }
        return tuple(str(self._file(seen, one, nearness, about)) for one in dates)

    def _file(
        self, seen: SeenDates, one: SeenDate, nearness: Nearness, about: Mapping[str, Any]
    ) -> Path:
        name = fingerprint({**about, "slot": one.entry.slot})
        if name not in self._made:
            gathered: NDArray[np.generic] = gathered_clouds(
                seen.cube, one.entry, seen.reading, nearness
            )
            path = self.folder / f"{name}.npy"
            save(path, lambda stream: np.save(stream, gathered))
            self._made[name] = path
        return self._made[name]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A synthesis that a date is left out of."""

    month: Month
    seen: SeenDates
    dates: tuple[SeenDate, ...]
    """Those of its window that are left."""

    def composed(self, group: str, block: Block, clouds: GatheredClouds) -> Layers:
        """Group and block -> its layers, as the job makes them."""
        month, nearness = self.month, self.month.method.nearness(self.month.params)
        facts: tuple[DateFacts, ...] = ()
        if month.method.facts(month.params):
            facts = tuple(month.facts(time_of(one.entry)) for one in self.dates)
        dates = BlockDates(
            self.seen.cube,
            group,
            block,
            month.period,
            tuple(one.entry for one in self.dates),
            self.seen.reading,
            nearness,
            clouds.files(self.seen, self.dates, nearness),
            facts,
        )
        request = SynthesisParams(
            tile=month.tile,
            datetime=month.period.label,
            method=month.method.name,
            options=month.params.model_dump(mode="json"),
        )
        return compose(dates, request)


def leave_out(
    item: Document, seen: SeenDates, gone: SeenDate, angles: Mapping[str, str]
) -> LeftOut | None:
    """Item of a synthesis, its mask's dates, one of them -> the synthesis without it.

    ``angles`` are the files of its grids of angles. None where the dates are not those that the item
    records: then it is to be made again first.
    """
    month = replace(recorded_month(item), angle_files=angles)
    window = seen.between(*month.window)
    if {name for name, _ in raw_inputs(item)} != {name for one in window for name in one.scenes}:
        return None
    return LeftOut(month, seen, tuple(one for one in window if one.scenes != gone.scenes))
