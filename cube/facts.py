"""What is known of a date as a whole, beside its pixels: who saw it, how much of it is clear."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

MAY_BE_UNKNOWN = frozenset({"platform", "sun", "view", "angles", "nbar"})
"""Facts without which a method can do: it has a rule for what is not stated."""


@dataclass(frozen=True, slots=True)
class DateFacts:
    """Facts of one date over a tile; what no source states has its default.

    A method declares which of them it uses (``cube.composite.Method.facts``) and is given these
    only, so that nothing else can make its result stale.
    """

    platform: str = ""
    """Satellite, e.g. ``sentinel-2a``; of granules of several the first."""
    orbit: int = 0
    """Relative orbit; 0 where it is not stated."""
    clear_share: float = 0.0
    """Pixels of the whole mask on which the ground is seen, of all its pixels, 0 to 1."""
    cloud_share: float = 0.0
    """Pixels of the whole mask with cloud, shadow or thin cloud, of those observed, 0 to 1."""
    sun: tuple[float, ...] = ()
    """Mean zenith and azimuth of the sun, degrees; empty where they are not stated."""
    view: tuple[float, ...] = ()
    """Mean zenith and azimuth of the way to the sensor, degrees; empty where they are not stated."""
    angles: tuple[str, ...] = ()
    """Checksums of the grids of angles, one a granule that has them, in the order of merging."""
    nbar: bool = False
    """Whether the source has normalised the directions of sun or view already."""
    angle_files: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Where the grids of ``angles`` are; no fact, and never recorded."""

    def only(self, names: Collection[str]) -> Self:
        """These facts, those not named at their defaults."""
        wanted = {*names, "angle_files"} if "angles" in names else set(names)
        return type(self)(**{k: v for k, v in asdict(self).items() if k in wanted})

    def document(self, names: Collection[str]) -> dict[str, Any]:
        """The named facts as JSON."""
        said = {k: v for k, v in asdict(self).items() if k in names and k != "angle_files"}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """JSON of :meth:`document` -> facts; names of other versions are left out."""
        known = {each.name for each in fields(cls)}
        said: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items() if k in known
        }
        return cls(**said)
