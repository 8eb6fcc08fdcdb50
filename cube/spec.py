"""What a cube is made as, and what it says of each of its dates; both live in the store's root."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cube.grid import Extent
from cube.variables import Variable

MAX_CHUNK = 256
"""Side of a chunk in pixels of the coarsest group; 512 at 10 m. Equals a block."""

SHARD_CHUNKS = 11
"""Chunks along a side of a shard: a full tile is two by two shards."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a cube is made as: fixed for the life of a generation."""

    tile: str
    level: str
    extent: Extent
    groups: dict[str, int]
    """Group name -> resolution in metres, finest first."""
    variables: tuple[Variable, ...]
    generation: int = 1
    sharded: bool = True

    def shape(self, group: str) -> tuple[int, int]:
        """Rows and columns of a group."""
        return self.extent.shape(self.groups[group])

    def factor(self, group: str) -> int:
        """How many times finer a group is than the coarsest."""
        return max(self.groups.values()) // self.groups[group]

    def chunk(self, group: str) -> int:
        """Side of a chunk in pixels: a block, or the whole of a cube smaller than one."""
        coarsest = max(self.groups, key=lambda name: self.groups[name])
        side = max(self.shape(coarsest))
        return min(MAX_CHUNK, -(-side // 16) * 16) * self.factor(group)

    def shard(self, group: str) -> int:
        """Side of a shard in pixels, a whole number of chunks."""
        chunk = self.chunk(group)
        if not self.sharded:
            return chunk
        chunks = -(-max(self.shape(group)) // chunk)
        return min(SHARD_CHUNKS, chunks) * chunk

    def cut(self, variable: Variable) -> tuple[int, int]:
        """Sides of a chunk and of a shard of a variable, pixels."""
        return self.chunk(variable.group), self.shard(variable.group)

    def variable(self, group: str, name: str) -> Variable | None:
        """The variable of a name in a group, if there is one."""
        return next((v for v in self.variables if v.group == group and v.name == name), None)


@dataclass(frozen=True, slots=True)
class DateEntry:
    """One slot of the time axis: an acquisition, what it was made from and what it holds."""

    time: int
    """Milliseconds since 1970-01-01, UTC."""
    key: str
    """Fingerprint of the inputs and parameters of the slot."""
    items: tuple[dict[str, Any], ...]
    """Sources in the order of merging: id, collection, version."""
    variables: tuple[str, ...]
    """Variables written; others of the slot are fill values because the sources lack them."""
    slot: int = -1
    valid: bool = True
    clipped: int = 0
    """Pixels whose reflectance exceeded what int16 holds."""
    notes: tuple[str, ...] = field(default=())
    checksums: dict[str, str] = field(default_factory=dict)
    """Variable -> checksum of its pixels; filled in by the commit."""

    @property
    def datetime(self) -> np.datetime64:
        """Acquisition time, UTC."""
        return np.datetime64(self.time, "ms")


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """Specification -> what the root of the store says of it."""
    return asdict(spec)


def spec_from_json(document: Mapping[str, Any]) -> Spec:
    """What the root of a store says -> specification."""
    return Spec(
        tile=document["tile"],
        level=document["level"],
        extent=Extent(**document["extent"]),
        groups=dict(document["groups"]),
        variables=tuple(Variable(**variable) for variable in document["variables"]),
        generation=document["generation"],
        sharded=document["sharded"],
    )


def entry_from_json(document: Mapping[str, Any]) -> DateEntry:
    """One of the root's dates -> entry."""
    return DateEntry(
        **{
            **document,
            "items": tuple(document["items"]),
            "variables": tuple(document["variables"]),
            "notes": tuple(document["notes"]),
        }
    )
