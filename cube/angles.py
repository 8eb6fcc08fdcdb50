"""Grids of angles of one scene: where the sun stood and each detector looked, at nodes on the ground.

Sentinel-2's metadata give zenith and azimuth at nodes 5 km apart, node (0, 0) at the outer
upper-left corner of the tile (Sentinel-2 Products Specification Document, tile metadata): of the
sun once, of the sensor for each band and each of its twelve detectors, NaN where that one does not
look. Ingest writes them to a file beside the workspace's other results; here they are read.
"""

import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cube.checksums import combined
from cube.errors import StoreError

Grids = NDArray[np.float64]
"""``(detector, 2, row, column)``: zenith and azimuth in degrees, NaN where nothing is known."""


@dataclass(frozen=True, slots=True)
class SceneAngles:
    """Grids of angles of one scene, or of several that are one date."""

    left: float
    """x of node (0, 0), metres."""
    top: float
    """y of node (0, 0), metres."""
    step: tuple[float, float]
    """Metres from node to node along x and down y, both positive."""
    size: tuple[float, float]
    """Width and height of the scene's rasters, metres."""
    sun: Grids
    """``(1, 2, row, column)``."""
    views: Mapping[str, Grids]
    """By band, detectors in ascending order: the way from the ground to the sensor."""

    def content(self) -> bytes:
        """As the file holds it; the same for the same angles."""
        about = {
            "left": self.left,
            "top": self.top,
            "step": self.step,
            "size": self.size,
            "bands": sorted(self.views),
        }
        arrays = {"sun": self.sun, **self.views}
        stream = io.BytesIO()
        # Hundredths of a thousandth of a degree are far below what metadata are good for.
        stored: dict[str, Any] = {n: grids.astype(np.float32) for n, grids in arrays.items()}
        np.savez_compressed(stream, about=np.array(json.dumps(about)), **stored)
        return stream.getvalue()

    def checksum(self) -> str:
        """16 hexadecimal digits that change with any angle or its place, and with nothing else."""
        place = json.dumps([self.left, self.top, self.step, self.size])
        parts: list[str | NDArray[np.float32]] = [place, self.sun.astype(np.float32)]
        for name in sorted(self.views):
            parts += [name, self.views[name].astype(np.float32)]
        return combined(parts)


def scene_angles(
    corner: tuple[float, float],
    step: tuple[float, float],
    size: tuple[float, float],
    sun: Sequence[Sequence[Sequence[float | None]]],
    views: Mapping[str, Sequence[Sequence[Sequence[Sequence[float | None]]]]],
) -> SceneAngles:
    """Lists of rows -> arrays; ``sun`` is [zenith, azimuth], ``views`` one such pair a detector.

    None where nothing is known.
    """
    return SceneAngles(
        corner[0],
        corner[1],
        step,
        size,
        np.array([sun], np.float64),
        {name: np.array(detectors, np.float64) for name, detectors in views.items()},
    )


@functools.lru_cache(maxsize=2)
def read_angles(files: tuple[str, ...]) -> SceneAngles:
    """Files of a date's granules -> its angles; ``StoreError`` where one cannot be read.

    Granules of one tile have the same nodes, and each knows those that it saw: a node is the first
    granule's that has it, in the order in which pixels are merged.
    """
    merged, *others = [load_angles(Path(file)) for file in files]
    for other in others:
        merged = _merged(merged, other)
    return merged


def load_angles(path: Path) -> SceneAngles:
    """File of one granule -> its angles; ``StoreError`` where it cannot be read."""
    try:
        with np.load(path) as held:
            about = json.loads(str(held["about"]))
            return SceneAngles(
                about["left"],
                about["top"],
                (about["step"][0], about["step"][1]),
                (about["size"][0], about["size"][1]),
                held["sun"].astype(np.float64),
                {name: held[name].astype(np.float64) for name in about["bands"]},
            )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"cannot read the angles in {path}; ingest the scene again") from error


def _merged(first: SceneAngles, other: SceneAngles) -> SceneAngles:
    place = (first.left, first.top, first.step, first.sun.shape)
    if place != (other.left, other.top, other.step, other.sun.shape):
        return first  # not of one tile: what the first does not say stays unknown
    views = {
        name: np.concatenate([grids, _where_unknown(grids, other.views[name])])
        if name in other.views
        else grids
        for name, grids in first.views.items()
    }
    views |= {name: grids for name, grids in other.views.items() if name not in views}
    sun = np.where(np.isnan(first.sun), other.sun, first.sun)
    return SceneAngles(first.left, first.top, first.step, first.size, sun, views)


def _where_unknown(known: Grids, more: Grids) -> Grids:
    """Detectors of a second granule, at the nodes where the first has none."""
    taken = np.isfinite(known).all(axis=1).any(axis=0)
    return np.where(taken, np.nan, more)
