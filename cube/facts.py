"""What is known of a date as a whole, beside its pixels: who saw it, how much of it is clear."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


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

    def only(self, names: Collection[str]) -> Self:
        """These facts, those not named at their defaults."""
        return type(self)(**{k: v for k, v in asdict(self).items() if k in names})

    def document(self, names: Collection[str]) -> dict[str, Any]:
        """The named facts as JSON."""
        return {k: v for k, v in asdict(self).items() if k in names}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """JSON of :meth:`document` -> facts; names of other versions are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{k: v for k, v in document.items() if k in known})
