"""What waits on disk between the stages of a job: images of dates, and what was found on them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube.mtcd.archive import Arrays, Header, Kind, unpacked
from cube.mtcd.bits import Bytes, to_fine
from cube.mtcd.coarse import CoarseGrid
from cube.mtcd.image import Flags, Image, Meta, reflectance, stored
from cube.mtcd.modes import Planned
from cube.mtcd.step import Result

IMAGE = Kind("image", 1, "run again")
FOUND = Kind("result", 1, "run again")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found on a date, and how it was done."""

    planned: Planned
    """As it was done."""
    tests: Mapping[str, str]
    """Each test by name: whether it ran, and why not."""
    cloudy: float
    """Percent of the observed cells under cloud."""
    has_state: bool
    """Whether there is something from which the next date can start."""


def save_image(path: Path, image: Image, observed: Flags, meta: Meta) -> None:
    """Coarse image, (y, x) bool observed at 20 m, angles of a date -> a file."""
    header = {**_of_grid(image.grid), "sources": dict(image.sources), "meta": asdict(meta)}
    arrays: dict[str, NDArray[Any]] = {
        **{f"band_{role}": stored(pixels) for role, pixels in image.bands.items()},
        "seen": np.packbits(image.observed),
        "saturated": np.packbits(image.saturated),
        "observed": np.packbits(observed),
    }
    if image.altitude is not None:
        arrays["altitude"] = image.altitude
    IMAGE.write(path, header, arrays)


def load_image(path: Path) -> tuple[Image, Meta]:
    """File -> the coarse image and angles that `save_image` was given, bit by bit; ``StoreError``."""
    return IMAGE.read(path, _image)


def load_observed(path: Path) -> tuple[CoarseGrid, Flags]:
    """File of an image -> its grid, and (y, x) bool observed at 20 m; ``StoreError``."""
    return IMAGE.read(
        path, lambda h, arrays: (_grid(h), unpacked(arrays["observed"], _grid(h).fine))
    )


def save_found(path: Path, planned: Planned, result: Result) -> None:
    """What was found on a date, as it was done -> a file."""
    header = {
        "planned": asdict(planned),
        "tests": {name: each.text for name, each in result.evaluated.items()},
        "cloudy": result.cloudy,
        "has_state": result.state is not None,
    }
    FOUND.write(path, header, {"bits": result.bits, "ground": result.ground})


def load_found(path: Path) -> Found:
    """File -> how a date was done; ``StoreError``."""
    return FOUND.read(path, lambda header, _arrays: _found(header))


def fine_planes(found: Path, image: Path) -> tuple[Bytes, Bytes]:
    """Files of what was found on a date and of its image -> (y, x) uint8 bits, classes at 20 m."""
    bits, ground = FOUND.read(found, lambda _header, arrays: (arrays["bits"], arrays["ground"]))
    grid, observed = load_observed(image)
    return to_fine(bits, ground, grid, observed)


def _image(header: Header, arrays: Arrays) -> tuple[Image, Meta]:
    grid, sources = _grid(header), dict(header["sources"])
    image = Image(
        grid=grid,
        bands={role: reflectance(arrays[f"band_{role}"]) for role in sources},
        sources=sources,
        observed=unpacked(arrays["seen"], grid.shape),
        saturated=unpacked(arrays["saturated"], grid.shape),
        altitude=arrays.get("altitude"),
    )
    return image, Meta(**header["meta"])


def _found(header: Header) -> Found:
    planned = header["planned"]
    lists = {name: tuple(planned[name]) for name in ("reads", "ahead")}
    return Found(
        planned=Planned(**{**planned, **lists}),
        tests=dict(header["tests"]),
        cloudy=float(header["cloudy"]),
        has_state=bool(header["has_state"]),
    )


def _of_grid(grid: CoarseGrid) -> dict[str, Any]:
    return {"cell": grid.cell, "fine": grid.fine}


def _grid(header: Header) -> CoarseGrid:
    rows, columns = header["fine"]
    return CoarseGrid(int(header["cell"]), (int(rows), int(columns)))
