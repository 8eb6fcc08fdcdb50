"""Items into pgstac's tables, a batch at a time, as its own loader puts them there.

Its staging tables take them by a trigger that works each out in PL/pgSQL, ten times as slowly.
"""

import json
from collections.abc import Iterable
from typing import Any

import orjson
from hydraters import dehydrate

from catalog.backends.base import Document
from catalog.backends.rows import decoded
from catalog.footprint import box_text
from catalog.search import times_of


def write_items(connection: Any, texts: Iterable[str]) -> None:
    """JSON of items -> put in, in place of those of the same collection and id; each comes once."""
    given = [decoded(text) for text in texts]
    names = sorted({item["collection"] for item in given})
    bases = {name: connection.execute(_BASE, (name,)).fetchone() for name in names}
    connection.execute(_FRESH)
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for item in given:
            copy.write_row(_row(item, *bases[item["collection"]]))
    for statement in (_PARTITIONS, _REPLACED, _NEW):
        connection.execute(statement)


def _row(item: Document, base: dict[str, Any], tag: Any) -> tuple[Any, ...]:
    """Item -> columns of the table of fresh ones; the item is used up."""
    first, last = times_of(item)
    own = item["collection"], item["id"], first, last, _geometry(item)
    content = dehydrate(base, item)
    for name in ("id", "collection", "geometry", "pgstac:base_item"):
        content.pop(name, None)
    if tag is not None:
        content["pgstac:base_item"] = tag
    return *own, orjson.dumps(content).decode()


def _geometry(item: Document) -> str:
    """GeoJSON text: pgstac has a geometry for each, if of nothing, or of the item's bbox."""
    if item.get("geometry") is not None:
        return orjson.dumps(item["geometry"]).decode()
    box = item.get("bbox")
    if not box:
        return json.dumps({"type": "GeometryCollection", "geometries": []})
    half = len(box) // 2
    return box_text((box[0], box[1], box[half], box[half + 1]))


_BASE = "SELECT base_item, base_item_id FROM pgstac.current_base_item(%s)"
_FRESH = """
CREATE TEMP TABLE IF NOT EXISTS clearcube_fresh (
    collection text, id text, datetime timestamptz, end_datetime timestamptz,
    geometry text, content jsonb
) ON COMMIT DROP;
TRUNCATE clearcube_fresh
"""
_COPY = """
COPY clearcube_fresh (collection, id, datetime, end_datetime, geometry, content) FROM stdin
"""
_PARTITIONS = """
SELECT pgstac.check_partition(collection, starts, ends) FROM (
    SELECT collection, date_trunc(partition_trunc, fresh.datetime, 'UTC') AS part,
        tstzrange(min(fresh.datetime), max(fresh.datetime), '[]') AS starts,
        tstzrange(min(fresh.end_datetime), max(fresh.end_datetime), '[]') AS ends
    FROM clearcube_fresh AS fresh JOIN pgstac.collections ON collections.id = fresh.collection
    GROUP BY 1, 2 ORDER BY 1, 2
) AS parts
"""
_REPLACED = """
DELETE FROM pgstac.items AS items USING clearcube_fresh AS fresh
WHERE items.collection = fresh.collection AND items.id = fresh.id
"""
_NEW = """
INSERT INTO pgstac.items (id, geometry, collection, datetime, end_datetime, content)
SELECT id, ST_GeomFromGeoJSON(geometry), collection, datetime, end_datetime, content
FROM clearcube_fresh
"""
