"""``clearcube ingest``: products, STAC files and APIs, and rasters of heights, into the catalogue."""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from jobs.job import Outcome
    from jobs.workspace import Workspace

DEM = "dem"
"""First word of a request to ingest rasters of heights; a folder of this name is ``./dem``."""


@click.command("ingest")
@click.argument("sources", nargs=-1, required=True)
@click.option("--collection", "collections", multiple=True, help="Collections of a STAC API.")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile, e.g. 31UES.")
@click.option("--bbox", help="West,south,east,north in degrees.")
@click.option("--datetime", help="STAC datetime, e.g. 2018-08/2019-11.")
@click.option("--max-cloud", type=float, help="Highest cloud cover, percent.")
@click.option(
    "--sign",
    type=click.Choice(["planetary-computer"]),
    help="Who signs the addresses of STAC items, whenever they are read.",
)
@json_option
@pass_state
def command(state: State, /, sources: tuple[str, ...], as_json: bool, **conditions: Any) -> int:
    """Index SAFE or MUSCATE products (folder or zip), STAC files, or a STAC API.

    Pixels stay where they are. What cannot be used is named, the rest goes in.

    `ingest dem FILE...` indexes rasters of heights (any GDAL raster, or a zip of one) for altitude
    and slope; --datetime says when they were measured.
    """
    with state.open() as workspace:
        if sources[0] == DEM:
            outcome = _dems(workspace, sources[1:], **conditions)
        else:
            outcome = _scenes(workspace, sources, **conditions)
    if as_json:
        say_json(outcome.document())
    elif outcome.status != USABLE:
        click.echo(f"{len(outcome.made)} items indexed, {len(outcome.current)} were current")
    return exit_status(outcome)


def _scenes(workspace: "Workspace", sources: tuple[str, ...], **conditions: Any) -> "Outcome":
    from jobs.ingest import ingest as ingest_sources
    from jobs.runner.progress import Progress

    conditions["tile"] = conditions.pop("tiles")
    return ingest_sources(workspace, sources, progress=Progress(), **given(conditions))


def _dems(workspace: "Workspace", files: tuple[str, ...], **conditions: Any) -> "Outcome":
    from jobs.dem import ingest_dems
    from jobs.runner.progress import Progress

    when = conditions.pop("datetime")
    if not files:
        raise click.UsageError("name the DEM's file, or write ./dem for a folder of that name")
    if given(conditions):
        raise click.UsageError("a DEM is ingested whole: of the conditions only --datetime applies")
    return ingest_dems(workspace, files, when=when, progress=Progress())
