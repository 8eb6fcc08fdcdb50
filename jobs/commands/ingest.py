"""``clearcube ingest``: products, STAC files and APIs into the catalogue."""

from typing import Any

import click

from jobs.commands.console import (
    USABLE,
    State,
    exit_status,
    given,
    json_option,
    pass_state,
    say_json,
)


@click.command("ingest")
@click.argument("sources", nargs=-1, required=True)
@click.option("--collection", "collections", multiple=True, help="Collections of a STAC API.")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile, e.g. 31UES.")
@click.option("--bbox", help="West,south,east,north in degrees.")
@click.option("--datetime", help="STAC datetime, e.g. 2018-08/2019-11.")
@click.option("--max-cloud", type=float, help="Highest cloud cover, percent.")
@json_option
@pass_state
def command(state: State, /, sources: tuple[str, ...], as_json: bool, **conditions: Any) -> int:
    """Index SAFE or MUSCATE products (folder or zip), STAC files, or a STAC API.

    Pixels stay where they are. What cannot be used is named, the rest goes in.
    """
    from jobs.ingest import ingest as ingest_sources
    from jobs.runner.progress import Progress

    conditions["tile"] = conditions.pop("tiles")
    with state.open() as workspace:
        outcome = ingest_sources(workspace, sources, progress=Progress(), **given(conditions))
    if as_json:
        say_json(outcome.document())
    elif outcome.status != USABLE:
        click.echo(f"{len(outcome.made)} items indexed, {len(outcome.current)} were current")
    return exit_status(outcome)
