"""XML that may come from anywhere: parsed without entities, looked up without namespaces."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from catalog.errors import ProductError


class Document:
    """A parsed XML file; names are local names, paths such as ``Tile_Geocoding/Size``."""

    def __init__(self, source: str, content: bytes) -> None:
        self.source = source
        self.root = _parse(source, content)

    def all(self, path: str) -> Iterator[Element]:
        """Every element that a path ends at, anywhere in the document."""
        return self.root.iterfind(f".//{path}")

    def find(self, *paths: str) -> Element | None:
        """First element of the first path that has one."""
        for path in paths:
            for element in self.all(path):
                return element
        return None

    def text(self, *paths: str) -> str | None:
        """Stripped text of the first path that has any."""
        for path in paths:
            for element in self.all(path):
                if content := text_of(element):
                    return content
        return None

    def need(self, *paths: str) -> str:
        """As ``text``; ``ProductError`` where there is none."""
        content = self.text(*paths)
        if content is None:
            raise ProductError(f"{self.source}: no {' or '.join(paths)} in the metadata")
        return content

    def number(self, *paths: str) -> float | None:
        """First of the paths as a finite number; nothing where it is absent or NaN."""
        content = self.text(*paths)
        return None if content is None else self.as_number(content, paths[0])

    def need_number(self, *paths: str) -> float:
        """First of the paths as a finite number; ``ProductError`` where there is none."""
        value = self.as_number(self.need(*paths), paths[0])
        if value is None:
            raise ProductError(f"{self.source}: {paths[0]} is not a number")
        return value

    def need_quantification(self, *paths: str) -> float:
        """A divisor: a number above zero."""
        value = self.need_number(*paths)
        if value <= 0:
            raise ProductError(f"{self.source}: {paths[0]} is {value:g}, it must be above zero")
        return value

    def need_time(self, *paths: str) -> datetime:
        """First of the paths as a UTC time; ``ProductError`` where there is none."""
        return self.as_time(self.need(*paths), paths[0])

    def as_time(self, content: str, name: str) -> datetime:
        """Text -> UTC time; ``ProductError`` where it is none."""
        try:
            moment = datetime.fromisoformat(content)
            # Times without a zone are UTC throughout both families of products.
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise ProductError(f"{self.source}: {name} {content!r} is not a time") from None

    def as_number(self, content: str, name: str) -> float | None:
        """Text -> finite number, nothing for NaN; ``ProductError`` where it is no number."""
        try:
            value = float(content)
        except ValueError:
            raise ProductError(f"{self.source}: {name} {content!r} is not a number") from None
        return value if math.isfinite(value) else None

    def as_whole(self, content: str, name: str) -> int:
        """Text -> whole number; ``ProductError`` where it is none."""
        value = self.as_number(content, name)
        if value is None or value != int(value):
            raise ProductError(f"{self.source}: {name} {content!r} is not a whole number")
        return int(value)


def text_of(element: Element) -> str:
    """Text of an element without the white space around it."""
    return (element.text or "").strip()


def attribute(element: Element, *names: str) -> str | None:
    """First of several spellings of an attribute, e.g. ``bandId`` and ``band_id``."""
    for name in names:
        if name in element.attrib:
            return element.attrib[name].strip()
    return None


def _parse(source: str, content: bytes) -> Element:
    if not content.strip():
        raise ProductError(f"{source}: the file is empty")
    try:
        # Genuine products hold no document type, and without one no entity can be declared.
        root: Element = fromstring(content, forbid_dtd=True)
    except ParseError as cause:
        raise ProductError(f"{source}: broken XML: {cause}") from None
    except DefusedXmlException:
        raise ProductError(
            f"{source}: refused: the XML declares a document type or entities"
        ) from None
    except (ValueError, LookupError) as cause:  # an encoding that does not exist
        raise ProductError(f"{source}: broken XML: {cause}") from None
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root
