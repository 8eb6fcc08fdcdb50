"""What a check of a workspace found: one line, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from catalog.backends.base import Document
from catalog.search import tile_of


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Something is not what it is said to be."""
    NOTE = "note"
    """Worth knowing; readers get what they are told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    id: str
    """Item, store or run concerned."""
    what: str
    advice: str = ""
    """What to do."""

    def __str__(self) -> str:
        return f"{self.severity} {self.id}: {self.what}" + (
            f"; {self.advice}" if self.advice else ""
        )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "severity": str(self.severity),
            "id": self.id,
            "what": self.what,
            "advice": self.advice,
        }


def error(name: str, what: str, advice: str = "") -> Finding:
    """A finding that is an error."""
    return Finding(Severity.ERROR, name, what, advice)


def note(name: str, what: str, advice: str = "") -> Finding:
    """A finding that is a note."""
    return Finding(Severity.NOTE, name, what, advice)


def remake(item: Document) -> str:
    """Command that makes what is stale or missing of an item's tile."""
    tile = tile_of(item)
    return "run clearcube run stale" + ("" if tile is None else f" --tile {tile}")
