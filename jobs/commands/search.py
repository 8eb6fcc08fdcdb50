"""``clearcube search``: items of the catalogue."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from jobs.commands.console import State, given, json_option, pass_state, say_json


@click.command("search")
@click.option("--collection", "collections", multiple=True, help="Collection; may be repeated.")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile, e.g. 31UES.")
@click.option("--bbox", help="West,south,east,north in degrees.")
@click.option("--datetime", help="STAC datetime, e.g. 2019-05.")
@click.option("--ids", multiple=True, help="Item id; may be repeated.")
@click.option("--max-cloud", type=float, help="Highest cloud cover, percent.")
@click.option("--filter", metavar="CQL2", help='Condition, e.g. "eo:cloud_cover < 20".')
@click.option(
    "--intersects", metavar="GEOMETRY", help="GeoJSON or WKT in degrees, or a file of it."
)
@click.option("--sortby", metavar="FIELDS", help="E.g. -eo:cloud_cover,id; default latest first.")
@click.option("--limit", type=int, default=100, show_default=True, help="Most items.")
@json_option
@pass_state
def command(state: State, /, as_json: bool, **conditions: Any) -> int:
    """Find items of the catalogue, latest first if not sorted otherwise."""
    from catalog.search import parse_query

    conditions["tile"] = conditions.pop("tiles")
    conditions["intersects"] = _geometry(conditions["intersects"])
    query = parse_query(**given(conditions))
    with state.open(create=False) as workspace:
        page = workspace.catalog.search(query)
    if as_json:
        document: dict[str, Any] = {"type": "FeatureCollection", "features": page.items}
        if page.matched is not None:
            document["numberMatched"] = page.matched
        say_json(document)
        return 0
    if not page.items:
        click.echo("no item of the catalogue answers the search", err=True)
    for item in page.items:
        click.echo(_line(item))
    if page.next_token is not None:
        click.echo(f"the first {len(page.items)} of {page.matched}; --limit shows more", err=True)
    return 0


def _geometry(text: str | None) -> str | None:
    """GeoJSON or WKT as it is, or what the file that is named holds."""
    if text is None or text.lstrip().startswith("{") or "(" in text:
        return text
    from jobs.errors import RequestError

    try:
        return Path(text).read_text("utf-8")
    except (OSError, ValueError):
        raise RequestError(
            f"--intersects {text!r}: no GeoJSON, no WKT and no file of one"
        ) from None


def _line(item: Mapping[str, Any]) -> str:
    properties = item["properties"]
    when = (
        properties.get("datetime") or f"{properties['start_datetime']}/{properties['end_datetime']}"
    )
    cloud = properties.get("eo:cloud_cover")
    shown = "" if cloud is None else f"  cloud {cloud:.0f} %"
    if properties.get("clearcube:superseded_by"):
        shown += f"  superseded by {properties['clearcube:superseded_by']}"
    return f"{item['collection']}  {item['id']}  {when}{shown}"
