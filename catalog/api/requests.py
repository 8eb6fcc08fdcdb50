"""What may be asked of the API: parameters of GET, bodies of POST; values are checked by search."""

from typing import Annotated, Any

import attr
import orjson
from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from stac_fastapi.types.search import APIRequest

from catalog.api.fields import parse_fields
from catalog.errors import QueryError
from catalog.filters.reading import conjunction, parse_filter, query_filter
from catalog.filters.tree import Node
from catalog.search import MAX_LIMIT, parse_datetime, parse_query
from catalog.search import Query as Search

DEFAULT_LIMIT = 10
"""Items on a page where nothing is said, as STAC APIs have it."""
ABSURD_LIMIT = 10_000_000
"""Above this a limit is a mistake; below, it is cut to what a page holds (OGC 17-069r4, 7.15.2)."""

Limit = Annotated[
    int | None,
    Query(
        ge=1,
        le=ABSURD_LIMIT,
        description=f"Most items on a page, {MAX_LIMIT} at most.",
        examples=[10],
    ),
]
Bbox = Annotated[
    str | None, Query(description="west,south,east,north in degrees.", examples=["4,50,5,51"])
]
Datetime = Annotated[
    str | None,
    Query(description="Time or start/end, ends included, `..` where open.", examples=["2019-05"]),
]
Filter = Annotated[
    str | None,
    Query(alias="filter", description="CQL2.", examples=["eo:cloud_cover < 20"]),
]
FilterLang = Annotated[
    str | None, Query(alias="filter-lang", description="cql2-text or cql2-json.")
]
FilterCrs = Annotated[str | None, Query(alias="filter-crs", description="CRS84, nothing else.")]
SortBy = Annotated[
    str | None,
    Query(description="Properties, `-` before those downwards.", examples=["-eo:cloud_cover,id"]),
]
Fields = Annotated[
    str | None,
    Query(description="Parts of items, `-` before those left out.", examples=["id,-geometry"]),
]
QueryText = Annotated[
    str | None,
    Query(description="The query extension as JSON.", examples=['{"eo:cloud_cover": {"lt": 20}}']),
]
Token = Annotated[str | None, Query(description="Page, from the links of another.")]
CollectionId = Annotated[str, Path(description="Id of a collection.")]
ItemId = Annotated[str, Path(description="Id of an item.")]

CRS84 = ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "CRS84", "EPSG:4326")


@attr.s
class SearchGet(APIRequest):
    """``GET /search``."""

    collections: Annotated[
        str | None, Query(description="Ids of collections.", examples=["cubes,dem"])
    ] = attr.ib(default=None)
    ids: Annotated[str | None, Query(description="Ids of items.")] = attr.ib(default=None)
    bbox: Bbox = attr.ib(default=None)
    intersects: Annotated[str | None, Query(description="GeoJSON geometry.")] = attr.ib(
        default=None
    )
    datetime: Datetime = attr.ib(default=None)
    limit: Limit = attr.ib(default=DEFAULT_LIMIT)
    query: QueryText = attr.ib(default=None)
    filter_expr: Filter = attr.ib(default=None)
    filter_lang: FilterLang = attr.ib(default=None)
    filter_crs: FilterCrs = attr.ib(default=None)
    sortby: SortBy = attr.ib(default=None)
    fields: Fields = attr.ib(default=None)
    token: Token = attr.ib(default=None)


@attr.s
class ItemsGet(SearchGet):
    """``GET /collections/{collection_id}/items``: a search within one."""

    collection_id: CollectionId = attr.ib(kw_only=True)
    collections: Annotated[
        str | None, Query(description="That collection again, as pystac-client writes it.")
    ] = attr.ib(default=None)


@attr.s
class CollectionsGet(APIRequest):
    """``GET /collections``: collection search."""

    q: Annotated[
        str | None, Query(description="Words, by commas: any of them.", examples=["synthesis"])
    ] = attr.ib(default=None)
    bbox: Bbox = attr.ib(default=None)
    datetime: Datetime = attr.ib(default=None)
    limit: Limit = attr.ib(default=MAX_LIMIT)
    sortby: SortBy = attr.ib(default=None)
    fields: Fields = attr.ib(default=None)
    token: Token = attr.ib(default=None)


class FieldsBody(BaseModel):
    """Parts of an item."""

    include: list[str] | None = None
    exclude: list[str] | None = None


class SortBody(BaseModel):
    """One property to sort by."""

    field: str
    direction: str = Field("asc", pattern="^(asc|desc)$")


class SearchPost(BaseModel):
    """``POST /search``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collections: list[str] | str | None = Field(None, description="Ids, or one.")
    ids: list[str] | str | None = Field(None, description="Ids, or one.")
    bbox: list[float] | None = Field(None, examples=[[4, 50, 5, 51]])
    intersects: dict[str, Any] | None = Field(None, description="GeoJSON geometry.")
    datetime: str | None = Field(None, examples=["2019-05/2019-08"])
    limit: int | None = Field(DEFAULT_LIMIT, ge=1, le=ABSURD_LIMIT)
    query: dict[str, dict[str, Any]] | None = Field(None, examples=[{"eo:cloud_cover": {"lt": 20}}])
    filter_expr: dict[str, Any] | str | None = Field(
        None, alias="filter", description="CQL2 as JSON, or as text.", examples=["id = 'x'"]
    )
    filter_lang: str | None = Field(None, alias="filter-lang")
    filter_crs: str | None = Field(None, alias="filter-crs")
    sortby: list[SortBody] | None = None
    fields: FieldsBody | None = None
    token: str | None = None


Parts = tuple[frozenset[str], frozenset[str]]
"""Included and excluded fields."""


def read_search(**asked: Any) -> tuple[Search, Parts]:
    """Values of GET or POST -> search, and the parts of items that are wanted."""
    lists = {name: _listed(asked.get(name)) for name in ("collections", "ids")}
    query = parse_query(
        collections=lists["collections"],
        ids=lists["ids"],
        bbox=asked.get("bbox") or None,
        intersects=asked.get("intersects") or None,
        datetime=None
        if asked.get("datetime") is None
        else parse_datetime(asked["datetime"], any_year=True),
        filter=_conditions(asked),
        sortby=_sort(asked.get("sortby")),
        limit=min(asked.get("limit") or DEFAULT_LIMIT, MAX_LIMIT),
        token=asked.get("token"),
    )
    return query, _parts(asked.get("fields"))


def json_object(text: str, name: str) -> Any:
    """Text of a parameter -> JSON object."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise QueryError(f"{name} is no JSON") from None
    if not isinstance(value, dict):
        raise QueryError(f"{name} is no JSON object")
    return value


def _listed(value: str | list[str] | None) -> list[str]:
    if isinstance(value, str):
        return [each.strip() for each in value.split(",") if each.strip()]
    return value or []


def _conditions(asked: dict[str, Any]) -> Node | None:
    """The filter and the query extension, both of which must hold."""
    crs = asked.get("filter_crs")
    if crs is not None and crs not in CRS84:
        raise QueryError(f"filter-crs {crs!r}: geometries are in CRS84, longitude before latitude")
    parts: list[Node] = []
    expression, query = asked.get("filter_expr"), asked.get("query")
    if expression is not None:
        parts.append(parse_filter(expression, asked.get("filter_lang")))
    if query is not None:
        node = query_filter(json_object(query, "query") if isinstance(query, str) else query)
        parts += [] if node is None else [node]
    return conjunction(parts)


def _sort(value: str | list[SortBody] | None) -> list[str]:
    if isinstance(value, str):
        return [each for each in value.split(",") if each.strip()]
    return [f"{'-' if key.direction == 'desc' else ''}{key.field}" for key in value or []]


def _parts(value: str | FieldsBody | None) -> Parts:
    if isinstance(value, FieldsBody):
        return frozenset(value.include or ()), frozenset(value.exclude or ())
    return parse_fields(value)
