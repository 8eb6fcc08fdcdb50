"""mtcd on workers: images of dates on the coarse grid, then chains of dates that follow each other.

An image is a unit of its own, since reading is most of the work and dates are read independently. A
chain is one unit, as each date starts from the state that the one before left. Between both wait
files in scratch; what an interrupted run left there is taken as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.backends.base import Document
from cube.bands import BANDS, REFLECTANCE_NODATA, REFLECTANCE_SCALE
from cube.errors import MaskError, StoreError
from cube.grid import Extent
from cube.joined import BITS, GROUP, MASK
from cube.loading import load_items
from cube.mtcd import state as states
from cube.mtcd.coarse import CoarseGrid, average_altitude
from cube.mtcd.image import Image, Meta, make_image
from cube.mtcd.modes import Planned, follow
from cube.mtcd.params import MtcdParams
from cube.mtcd.state import State
from cube.mtcd.step import Result
from cube.mtcd.waiting import (
    Found,
    fine_planes,
    load_found,
    load_image,
    load_observed,
    save_found,
    save_image,
)
from cube.rasters import strips
from cube.spec import Spec
from cube.store import Cube, open_store
from cube.terrain import read_altitude
from cube.variables import Variable
from jobs.memory import SMALL, STRIP
from jobs.scratch import is_array, save

RESOLUTION = 20
"""Metres: what lies beside a cube is brought to this grid."""

_A_CELL = 400
"""Bytes that a chain holds for each coarse cell: a state, the one after it, the image, and while it
is compared eleven more of red; measured at 60 m, where all else is small."""


_A_STATE = 80
"""Bytes of a state for each coarse cell: its reference and the red of ten dates."""


@dataclass(frozen=True, slots=True)
class ImageTask:
    """What a worker needs to bring one date to the coarse grid."""

    path: str
    """Of the file that is made."""
    store: str
    slot: int
    bands: tuple[str, ...]
    """Bands of the cube that are read."""
    beside: tuple[str, ...]
    """Bands of the scenes that the cube does not hold."""
    scenes: tuple[Document, ...]
    """Of the items what is needed to read these."""
    dems: tuple[str, ...]
    """Rasters of heights, the first with precedence."""
    altitude: str
    """File of the coarse altitude that all dates share; made by the first who wants it."""
    grid: CoarseGrid
    meta: Meta


@dataclass(frozen=True, slots=True)
class ChainTask:
    """What a worker needs to go from date to date, from a start to before the next."""

    planned: tuple[Planned, ...]
    """Dates to do, oldest first."""
    images: Mapping[str, ImageTask]
    """Every date that may be read, those of a start backward among them, by name."""
    found: Mapping[str, str]
    """Date to do -> file of what is found on it."""
    states: Mapping[str, str]
    """Date -> file of the state after it: to be written, or of dates done before."""
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MtcdPlanes:
    """One date on the coarse grid, with what it takes to bring it to 20 m."""

    found: str
    image: str

    def read(self) -> Mapping[str, NDArray[np.uint8]]:
        """(y, x) uint8 classes and CLM bits of the whole extent at 20 m; ``StoreError``."""
        bits, classes = fine_planes(Path(self.found), Path(self.image))
        return {MASK: classes, BITS: bits}


def image_bytes(spec: Spec, *, beside: bool) -> int:
    """Cube, and whether bands beside it are read -> bytes to make one image."""
    height, width = spec.shape(next(iter(spec.groups)))
    fine_height, fine_width = spec.shape(GROUP)
    fine = fine_height * fine_width
    # A band, and the rows that are being read; what is missing and what is observed.
    most = 2 * height * width + 4 * STRIP * width + 2 * fine
    if beside:
        most = max(most, 8 * fine)  # as it comes, in the cube's numbers, and two booleans
    return most + SMALL


def chain_bytes(grid: CoarseGrid, params: MtcdParams, image: int = 0) -> int:
    """Coarse grid, parameters, bytes to make an image -> bytes to go from date to date.

    A date that starts anew may read dates that were not foreseen: then a state is held beside what
    it takes to make their images.
    """
    height, width = grid.shape
    older = 8 * max(0, params.stack - 10)
    state = height * width * (_A_STATE + older // 2)
    return max(height * width * (_A_CELL + older) + SMALL, image + state)


def make_date_image(task: ImageTask) -> None:
    """One date of a cube -> file of its coarse image; one that is there already is taken."""
    path = Path(task.path)
    if not _is_whole(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        altitude = coarse_altitude(task)
        image, observed = make_image(_bands(task), task.grid, task.meta, altitude)
        save_image(path, image, observed, task.meta)


def coarse_altitude(task: ImageTask) -> NDArray[np.float32] | None:
    """Rasters of heights -> (h, w) float32 mean altitude of coarse cells; None without any."""
    if not task.dems:
        return None
    path = Path(task.altitude)
    if is_array(path):
        kept: NDArray[np.float32] = np.load(path)
        return kept
    extent, cell = open_store(task.store).spec.extent, task.grid.cell
    found = np.empty(task.grid.shape, np.float32)
    # In strips of whole cells: a part of the whole has the same heights, and takes less room.
    for first, last in strips(task.grid.shape[0], max(1, STRIP * RESOLUTION // cell)):
        top, bottom = extent.top - first * cell, max(extent.bottom, extent.top - last * cell)
        heights = read_altitude(task.dems, replace(extent, top=top, bottom=bottom), RESOLUTION)
        rows, columns = heights.shape
        found[first:last] = average_altitude(heights, CoarseGrid(cell, (rows, columns)))
    save(path, partial(np.save, arr=found))
    return found


def run_chain(task: ChainTask) -> list[dict[str, Any]]:
    """Dates that follow each other -> files of what is found on each, and of the states after them.

    Gives for each date its name and how it was done: mode, info, reason, tests. Dates that an
    interrupted run finished are not done again.
    """
    params = MtcdParams.model_validate(dict(task.settings))
    done = list(_finished(task))
    left = task.planned[len(done) :]

    def state(name: str) -> State | None:
        path = task.states.get(name)
        return None if path is None or not Path(path).exists() else states.load(Path(path))

    def read(name: str) -> tuple[Image, Meta]:
        if name not in task.images:
            raise MaskError(f"mtcd starts backward from {name}, which the cube does not hold yet")
        make_date_image(task.images[name])
        return load_image(Path(task.images[name].path))

    for planned, result in follow(left, state, read, params):
        done.append(_kept(task, planned, result))
    return [said(found) for found in done]


def said(found: Found) -> dict[str, Any]:
    """How a date was done -> small and plain, as it goes to the driver and into items."""
    planned = found.planned
    return {
        "name": planned.name,
        "mode": planned.mode,
        "info": planned.info,
        "reason": planned.reason,
        "reads": list(planned.reads),
        "follows": planned.follows,
        "tests": dict(found.tests),
        "cloudy": found.cloudy,
        "has_state": found.has_state,
    }


def _finished(task: ChainTask) -> Iterator[Found]:
    """The first dates of a chain whose results wait already."""
    for each in task.planned:
        try:
            found = load_found(Path(task.found[each.name]))
            load_observed(Path(task.images[each.name].path))
        except StoreError:
            return
        if found.has_state and not Path(task.states[each.name]).exists():
            return
        yield found


def _kept(task: ChainTask, planned: Planned, result: Result) -> Found:
    """Write the state, then the result: where that is, both are."""
    after = Path(task.states[planned.name])
    after.parent.mkdir(parents=True, exist_ok=True)
    if result.state is None:
        after.unlink(missing_ok=True)
    else:
        states.save(result.state, after)
    path = Path(task.found[planned.name])
    save_found(path, planned, result)
    return load_found(path)


def _is_whole(path: Path) -> bool:
    try:
        load_observed(path)
    except StoreError:
        return False
    return True


def _bands(task: ImageTask) -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Bands of a date one after the other, as large as they are; those beside the cube at 20 m."""
    cube = open_store(task.store)
    for name in task.bands:
        yield name, _whole(cube, name, task.slot)
    for name in task.beside:
        yield name, _beside(task.scenes, name, cube.spec.extent)


def _whole(cube: Cube, name: str, slot: int) -> NDArray[np.int16]:
    """(y, x) int16 dn of a band, read in rows so that it is not held twice."""
    group = next(v.group for v in cube.spec.variables if v.name == name)
    height, width = cube.spec.shape(group)
    out = np.empty((height, width), np.int16)
    for first, last in strips(height, cube.spec.chunk(group)):
        out[first:last] = cube.read(group, name, [slot], (slice(first, last), slice(0, width)))[0]
    return out


def _beside(scenes: Sequence[Document], name: str, extent: Extent) -> NDArray[np.int16]:
    """(y, x) int16 dn at 20 m of a band that cubes do not hold."""
    band = next(each for each in BANDS if each.name == name)
    variable = Variable(
        name=name,
        asset=name,
        kind="reflectance",
        resolution=band.resolution,
        group=GROUP,
        dtype="int16",
        fill_value=REFLECTANCE_NODATA,
        scale=REFLECTANCE_SCALE,
        title=f"{band.esa} reflectance",
    )
    return load_items(scenes, [variable], extent, RESOLUTION).pixels[name]
