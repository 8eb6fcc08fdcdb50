"""The properties that searches may name with a type, as JSON schema."""

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["text", "number", "boolean", "time", "geometry", "array", "any"]
"""What a property is compared as; ``any`` where nothing is known of it."""

_TIME = {"type": "string", "format": "date-time"}
_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}

QUERYABLES: Mapping[str, Mapping[str, Any]] = {
    "id": {"title": "Item", **_TEXT},
    "collection": {"title": "Collection", **_TEXT},
    "geometry": {"title": "Footprint", "format": "geometry-any"},
    "datetime": {"title": "Time, or start of the period", **_TIME},
    "start_datetime": {"title": "Start of the period", **_TIME},
    "end_datetime": {"title": "End of the period, included", **_TIME},
    "created": {"title": "First made", **_TIME},
    "updated": {"title": "Last made", **_TIME},
    "platform": {"title": "Satellite", **_TEXT},
    "constellation": {"title": "Constellation", **_TEXT},
    "gsd": {"title": "Ground sample distance, m", **_NUMBER},
    "grid:code": {"title": "Tile, e.g. MGRS-31UES", **_TEXT},
    "proj:code": {"title": "Reference system, e.g. EPSG:32631", **_TEXT},
    "eo:cloud_cover": {"title": "Cloud cover, percent", **_PERCENT},
    "eo:snow_cover": {"title": "Snow cover, percent", **_PERCENT},
    "sat:relative_orbit": {"title": "Relative orbit", "type": "integer", "minimum": 1},
    "sat:absolute_orbit": {"title": "Absolute orbit", "type": "integer", "minimum": 1},
    "sat:orbit_state": {"title": "Orbit state", **_TEXT},
    "view:sun_azimuth": {"title": "Azimuth of the sun, degrees", **_NUMBER},
    "view:sun_elevation": {"title": "Elevation of the sun, degrees", **_NUMBER},
    "view:azimuth": {"title": "Azimuth of the view, degrees", **_NUMBER},
    "view:off_nadir": {"title": "View off nadir, degrees", **_NUMBER},
    "processing:level": {"title": "Processing level", **_TEXT},
    "processing:version": {"title": "Version of the job", **_TEXT},
    "s2:processing_baseline": {"title": "Processing baseline", **_TEXT},
    "s2:datatake_id": {"title": "Datatake", **_TEXT},
    "s2:datastrip_id": {"title": "Datastrip", **_TEXT},
    "s2:product_uri": {"title": "Product", **_TEXT},
    "clearcube:level": {"title": "l1c, l2a or maja", **_TEXT},
    "clearcube:job": {"title": "Job", **_TEXT},
    "clearcube:method": {"title": "Method", **_TEXT},
    "clearcube:status": {"title": "final or provisional", **_TEXT},
    "clearcube:fingerprint": {"title": "Fingerprint of the recipe", **_TEXT},
    "clearcube:superseded_by": {"title": "Delivery that counts instead", **_TEXT},
    "clearcube:clear_percentage": {"title": "Clear share, percent", **_PERCENT},
}
"""Name -> schema. Any other property may be asked for too: as what it is compared with."""

_KINDS: Mapping[str, Kind] = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "array",
}


def kind_of(name: str) -> Kind:
    """What a property is compared as, by its name without ``properties.``."""
    schema = QUERYABLES.get(name, {})
    if schema.get("format") == "date-time":
        return "time"
    if str(schema.get("format", "")).startswith("geometry"):
        return "geometry"
    return _KINDS.get(str(schema.get("type")), "any")
