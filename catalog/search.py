"""What may be asked of a catalogue, and whether an item answers it."""

import calendar
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from catalog.errors import CatalogError, QueryError
from catalog.footprint import Bbox, geometry_text, intersects, relates
from catalog.moments import instant as instant

if TYPE_CHECKING:
    from catalog.filters.tree import Node, Property

Interval = tuple[datetime | None, datetime | None]
"""Half-open span ``[start, end)`` in UTC; ``None`` is an open end."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """A property that items are put in order of; those that lack it come last."""

    field: "Property"
    descending: bool = False


DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
MAX_SORT = 8
FIRST_YEAR, LAST_YEAR = 1970, 2100
"""Dates outside these years are taken for mistakes: an open end is written ``..``."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search; every condition that is given must hold, an empty one asks nothing.

    Made from user text by :func:`parse_query`; made directly, its values are taken as valid.
    """

    collections: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    bbox: Bbox | None = None
    """west, south, east, north in degrees; west > east crosses the antimeridian."""
    datetime: Interval | None = None
    """Items whose instant lies in, or whose period overlaps, ``[start, end)``."""
    tiles: tuple[str, ...] = ()
    """MGRS tiles without prefix, e.g. ``31UES``."""
    level: str | None = None
    """``clearcube:level``: ``l1c``, ``l2a`` or ``maja``."""
    max_cloud: float | None = None
    """Highest ``eo:cloud_cover`` in percent; items that do not say it are left out."""
    superseded: bool = True
    """Whether deliveries that another one supersedes are found too."""
    intersects: str | None = None
    """GeoJSON text of a geometry that the item's meets, as ``footprint.geometry_text`` writes it."""
    filter: "Node | None" = None
    """What ``filters.parse_filter`` made of CQL2."""
    sortby: tuple[SortKey, ...] = ()
    """Order; where it leaves a choice, and by default: latest first, then collection, id."""
    limit: int = DEFAULT_LIMIT
    """Most items on one page."""
    token: str | None = None
    """``next_token`` or ``previous_token`` of a page of the same search."""


def parse_query(
    *,
    collections: Iterable[str] = (),
    ids: Iterable[str] = (),
    bbox: str | Sequence[float] | None = None,
    datetime: str | Interval | None = None,
    tile: str | Iterable[str] = (),
    level: str | None = None,
    max_cloud: float | None = None,
    superseded: bool = True,
    intersects: str | Mapping[str, Any] | None = None,
    filter: "str | Mapping[str, Any] | Node | None" = None,
    sortby: "str | Iterable[str | SortKey]" = (),
    limit: int = DEFAULT_LIMIT,
    token: str | None = None,
) -> Query:
    """Values as users write them -> Query; ``QueryError`` names the first that means nothing."""
    if max_cloud is not None and not 0 <= max_cloud <= 100:
        raise QueryError(f"max cloud {max_cloud:g} is no percentage: give 0 to 100")
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError(f"limit {limit} is out of range: give 1 to {MAX_LIMIT}")
    tiles = (tile,) if isinstance(tile, str) else tile
    if bbox is not None and intersects is not None:
        raise QueryError("bbox and intersects exclude each other: give one of them")
    return Query(
        collections=tuple(collections),
        ids=tuple(ids),
        bbox=None if bbox is None else parse_bbox(bbox),
        datetime=parse_datetime(datetime) if isinstance(datetime, str) else datetime,
        tiles=tuple(dict.fromkeys(normalise_tile(name) for name in tiles)),
        level=level,
        max_cloud=max_cloud,
        superseded=superseded,
        intersects=None if intersects is None else parse_geometry(intersects),
        filter=_parsed(filter),
        sortby=parse_sort(sortby),
        limit=limit,
        token=token,
    )


def parse_datetime(text: str, *, any_year: bool = False) -> Interval:
    """STAC datetime text, ends inclusive -> half-open span in UTC.

    Years in which no satellite flew are taken for mistakes, unless ``any_year``.

    Takes a year, month, day or RFC 3339 time, alone or as ``start/end``; ``..`` or nothing is an
    open end. ``2019-05`` is the whole month, ``2018-08/2019-11`` includes November 2019.
    """
    parts = text.strip().split("/")
    if len(parts) == 1:
        return _span(parts[0], text, any_year)
    if len(parts) != 2:
        raise QueryError(f"datetime {text!r} has more than two ends: write start/end")
    start = None if parts[0].strip() in ("", "..") else _span(parts[0], text, any_year)[0]
    end = None if parts[1].strip() in ("", "..") else _span(parts[1], text, any_year)[1]
    if start is None and end is None:
        raise QueryError(f"datetime {text!r} has two open ends: leave it out, or name one end")
    if start is not None and end is not None and start >= end:
        raise QueryError(f"datetime {text!r} ends before it starts")
    return start, end


def parse_bbox(value: str | Sequence[float]) -> Bbox:
    """``W,S,E,N`` in degrees (or six numbers with heights) -> bbox; west > east is allowed."""
    shown = value if isinstance(value, str) else ",".join(str(number) for number in value)
    try:
        numbers = [float(number) for number in (shown.split(",") if shown else [])]
    except ValueError:
        raise QueryError(f"bbox {shown!r} is not numbers: give west,south,east,north") from None
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4:
        raise QueryError(f"bbox {shown!r} has {len(numbers)} numbers: give west,south,east,north")
    west, south, east, north = numbers
    if not all(math.isfinite(number) for number in numbers):
        raise QueryError(f"bbox {shown!r} is not finite: give degrees")
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        raise QueryError(f"bbox {shown!r} leaves the globe: give degrees west,south,east,north")
    if south > north:
        raise QueryError(f"bbox {shown!r} has south above north: give west,south,east,north")
    return west, south, east, north


def parse_geometry(value: str | Mapping[str, Any]) -> str:
    """GeoJSON (text, or read) or WKT -> checked GeoJSON text."""
    if not isinstance(value, str):
        return geometry_text(value)
    try:
        read = json.loads(value) if value.lstrip().startswith("{") else _from_wkt(value)
    except (ValueError, RecursionError):
        raise QueryError(f"geometry {value[:60]!r} is neither GeoJSON nor WKT") from None
    return geometry_text(read)


def parse_sort(fields: "str | Iterable[str | SortKey]") -> tuple[SortKey, ...]:
    """``-eo:cloud_cover,datetime`` -> keys; ``-`` is downwards, ``+`` or nothing upwards."""
    from catalog.filters.tree import property_named

    listed = fields.split(",") if isinstance(fields, str) else fields
    keys: list[SortKey] = []
    for field in listed:
        if isinstance(field, SortKey):
            keys.append(field)
            continue
        # A plus in a URL arrives as a space.
        name = field.strip().removeprefix("+").removeprefix("-").strip()
        keys.append(SortKey(property_named(name), field.strip().startswith("-")))
    if len(keys) > MAX_SORT:
        raise QueryError(f"sorting by {len(keys)} properties: at most {MAX_SORT}")
    for key in keys:
        if key.field.kind in ("geometry", "array"):
            raise QueryError(f"nothing can be sorted by {key.field.path[-1]}")
    return tuple(keys)


def normalise_tile(text: str) -> str:
    """``31UES``, ``T31UES`` or ``MGRS-31UES`` -> ``31UES``; ``QueryError`` where there is none."""
    found = _TILE.fullmatch(text.strip().upper())
    if found is None:
        raise QueryError(f"{text!r} is no MGRS tile: write it like 31UES, T31UES or MGRS-31UES")
    zone, letters = int(found[1]), found[2]
    if letters[1] not in _COLUMNS[zone % 3]:
        raise QueryError(f"{text!r} is no MGRS tile: zone {zone} has no column {letters[1]}")
    return f"{zone:02d}{letters}"


def matches(item: Mapping[str, Any], query: Query) -> bool:
    """Whether an item is one of those that a query asks for (limit and token play no part)."""
    properties = item["properties"]
    if query.collections and item.get("collection") not in query.collections:
        return False
    if query.ids and item["id"] not in query.ids:
        return False
    if query.tiles and tile_of(item) not in query.tiles:
        return False
    if query.level is not None and properties.get("clearcube:level") != query.level:
        return False
    if not query.superseded and properties.get("clearcube:superseded_by") is not None:
        return False
    if query.max_cloud is not None and not _at_most(properties, query.max_cloud):
        return False
    if query.datetime is not None and not _overlaps(times_of(item), query.datetime):
        return False
    if query.bbox is not None and not intersects(item, query.bbox):
        return False
    if query.intersects is not None and not relates(item, "intersects", query.intersects):
        return False
    return query.filter is None or _holds(query.filter, item)


def times_of(item: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """First and last instant of an item, both included; equal where it has one instant only."""
    properties = item["properties"]
    texts = [properties.get("start_datetime"), properties.get("end_datetime")]
    if None in texts:
        texts = [properties.get("datetime")] * 2
    try:
        first, last = (instant(str(text)) for text in texts)
    except ValueError:
        raise CatalogError(
            f"item {item.get('id')!r} has no usable datetime: {texts[0]!r}"
        ) from None
    return first, last


def tile_of(item: Mapping[str, Any]) -> str | None:
    """MGRS tile that an item's ``grid:code`` names, e.g. ``31UES``; ``None`` without one."""
    code = item["properties"].get("grid:code")
    return code.removeprefix("MGRS-") if isinstance(code, str) else None


_TILE = re.compile(r"(?:MGRS-|T)?(0?[1-9]|[1-5]\d|60)([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])", re.ASCII)
_COLUMNS = {1: "ABCDEFGH", 2: "JKLMNPQR", 0: "STUVWXYZ"}
# Letters of the 100 km columns repeat every three zones (NGA.STND.0037, section 3).
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_TICK = timedelta(microseconds=1)


def _parsed(value: "str | Mapping[str, Any] | Node | None") -> "Node | None":
    if not isinstance(value, str | Mapping):
        return value
    from catalog.filters.reading import parse_filter  # its parser is loaded only where asked for

    return parse_filter(value)


def _holds(node: "Node", item: Mapping[str, Any]) -> bool:
    from catalog.filters.evaluation import holds

    return holds(node, item)


def _from_wkt(text: str) -> Any:
    import shapely
    from shapely.errors import ShapelyError

    try:
        return json.loads(shapely.to_geojson(shapely.from_wkt(text)))
    except ShapelyError:
        raise ValueError("no WKT") from None


def _span(part: str, text: str, any_year: bool) -> tuple[datetime, datetime]:
    """One end of a datetime text -> the span that it names."""
    date = _DATE.fullmatch(part.strip())
    try:
        if date is not None:
            if not any_year:
                _check_year(int(date[1]), text)
            return _date_span(date)
        value = instant(part)
    except (ValueError, OverflowError) as error:
        if isinstance(error, QueryError):
            raise
        raise QueryError(
            f"datetime {text!r} is no date: write 2019-05, 2019-05-12, 2018-08/2019-11 or ../2019"
        ) from None
    if not any_year:
        _check_year(value.year, text)
    return value, value + _TICK


def _date_span(date: re.Match[str]) -> tuple[datetime, datetime]:
    """Year, month or day, as matched -> the span from its first to the next one's first instant."""
    year, month, day = int(date[1]), int(date[2] or 1), int(date[3] or 1)
    start = datetime(year, month, day, tzinfo=UTC)
    if date[3] is not None:
        return start, start + timedelta(days=1)
    if date[2] is not None:
        return start, start + timedelta(days=calendar.monthrange(year, month)[1])
    return start, datetime(year + 1, 1, 1, tzinfo=UTC)


def _check_year(year: int, text: str) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise QueryError(
            f"datetime {text!r} lies outside {FIRST_YEAR} to {LAST_YEAR}: write .. for an open end"
        )


def _overlaps(times: tuple[datetime, datetime], interval: Interval) -> bool:
    start, end = interval
    return (start is None or times[1] >= start) and (end is None or times[0] < end)


def _at_most(properties: Mapping[str, Any], max_cloud: float) -> bool:
    cloud = properties.get("eo:cloud_cover")
    return isinstance(cloud, int | float) and not isinstance(cloud, bool) and cloud <= max_cloud
