"""pgstac in a PostgreSQL database: made where it is not, and given the functions of filters."""

import json
from typing import Any

from catalog.errors import BackendError
from catalog.queryables import QUERYABLES

FUNCTIONS_VERSION = "1"
"""Version of what is below, kept as the comment of the schema ``clearcube``."""
INDEXED = ("grid:code",)
"""Text only: an index of numbers would refuse an item that says something else there."""
PGSTAC = (0, 10)
"""The pgstac that this is written for; later ones of 0.x may change their tables."""


def prepare(connection: Any, url: str, *, create: bool) -> None:
    """Make pgstac and our functions; ``BackendError`` where they are absent and may not be made."""
    version = _version(connection)
    if version is None:
        if not create:
            raise BackendError("there is no catalogue; ingest something first")
        _migrate(url)
        version = _version(connection)
    known = tuple(int(part) for part in (version or "0.0").split(".")[:2])
    if known != PGSTAC:
        raise BackendError(
            f"it holds pgstac {version}, this clearcube knows {PGSTAC[0]}.{PGSTAC[1]}: "
            "migrate it with `pypgstac migrate`"
        )
    found = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'clearcube'"
    ).fetchone()
    if found is None or found[0] != FUNCTIONS_VERSION:
        with connection.transaction():
            connection.execute(_FUNCTIONS)
            document = json.dumps({"properties": QUERYABLES})
            connection.execute(
                "SELECT pgstac.upsert_queryables(%s::jsonb, NULL, %s)", (document, list(INDEXED))
            )
            connection.execute(f"COMMENT ON SCHEMA clearcube IS '{FUNCTIONS_VERSION}'")


def _version(connection: Any) -> str | None:
    """Version of pgstac in a database; None where there is none."""
    there = connection.execute("SELECT to_regclass('pgstac.migrations')").fetchone()[0]
    if there is None:
        return None
    row = connection.execute(
        "SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1"
    ).fetchone()
    return str(row[0]) if row else None


def _migrate(url: str) -> None:
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    with PgstacDB(dsn=url) as database:
        Migrate(database).run_migration()


_FUNCTIONS = r"""
SELECT pg_advisory_xact_lock(7236828374658);
CREATE SCHEMA IF NOT EXISTS clearcube;

-- Text as an item says it -> time; NULL where it is none. Decimals end at microseconds, uncut by
-- rounding.
CREATE OR REPLACE FUNCTION clearcube.moment(said text) RETURNS timestamptz AS $$
DECLARE
    part text[];
BEGIN
    part := regexp_match(btrim(said),
        '^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)?$');
    IF part IS NULL OR part[2] > '23:59:59' THEN
        RETURN NULL;
    END IF;
    RETURN (part[1] || 'T' || part[2] || coalesce('.' || part[3], '') || coalesce(part[4], 'Z'))
        ::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END;
$$ LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET timezone = 'UTC';

CREATE OR REPLACE FUNCTION clearcube.casei(said text) RETURNS text AS $$
    SELECT lower(said COLLATE "und-x-icu") COLLATE "C"
$$ LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION clearcube.accenti(said text) RETURNS text AS $$
    SELECT normalize(
        regexp_replace(normalize(said, NFD), '[\u0300-\u036f]', '', 'g'), NFC) COLLATE "C"
$$ LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION clearcube.truncated(a double precision) RETURNS double precision AS $$
    SELECT CASE WHEN a - a = 0 THEN trunc(a) END
$$ LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION clearcube.remainder(a double precision, b double precision)
RETURNS double precision AS $$
    SELECT a - b * trunc(a / nullif(b, 0))
$$ LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION clearcube.powered(a double precision, b double precision)
RETURNS double precision AS $$
BEGIN
    RETURN power(a, b);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END;
$$ LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE;

CREATE OR REPLACE FUNCTION clearcube.arrays_relate(own jsonb, op text, stated jsonb)
RETURNS boolean AS $$
    SELECT CASE op
        WHEN 'a_contains' THEN own @> stated
        WHEN 'a_containedby' THEN own <@ stated
        WHEN 'a_equals' THEN own @> stated AND own <@ stated
        ELSE EXISTS (SELECT FROM jsonb_array_elements(own) AS each WHERE stated @> each)
    END
$$ LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE;

-- How geometries lie to each other; one that is empty, or that GEOS cannot read, to nothing.
CREATE OR REPLACE FUNCTION clearcube.relates(predicate text, own geometry, stated geometry)
RETURNS boolean AS $$
BEGIN
    IF own IS NULL OR ST_IsEmpty(own) THEN
        RETURN false;
    END IF;
    RETURN CASE predicate
        WHEN 'intersects' THEN ST_Intersects(own, stated)
        WHEN 'equals' THEN ST_Equals(own, stated)
        WHEN 'disjoint' THEN ST_Disjoint(own, stated)
        WHEN 'touches' THEN ST_Touches(own, stated)
        WHEN 'within' THEN ST_Within(own, stated)
        WHEN 'overlaps' THEN ST_Overlaps(own, stated)
        WHEN 'crosses' THEN ST_Crosses(own, stated)
        WHEN 'contains' THEN ST_Contains(own, stated)
    END;
EXCEPTION WHEN internal_error THEN
    RETURN false;
END;
$$ LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = public;
"""
