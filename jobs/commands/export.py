"""``clearcube export``: series, masks, syntheses and the catalogue for other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.commands.console import State, json_option, one_line, pass_state, say_json

if TYPE_CHECKING:
    from jobs.export import Export

Command = Callable[..., Any]


@click.group("export")
def command() -> None:
    """Write series, masks and syntheses for other programs, or copy the catalogue."""


def series_options(function: Command) -> Command:
    """Add the options that say what of a tile is written."""
    for option in reversed(_SERIES):
        function = option(function)
    return function


_SERIES = (
    click.option("--tile", required=True, help="MGRS tile, e.g. 31UES."),
    click.option("--datetime", help="Dates to write, STAC datetime; default all of the cube."),
    click.option(
        "--level",
        type=click.Choice(["l2a", "maja", "l1c"]),
        help="Cube to read; default the first of these that there is.",
    ),
    click.option(
        "--bands",
        metavar="NAMES",
        help="Bands, e.g. blue,green,red; none for masks alone; default all of the cube.",
    ),
    click.option(
        "--mask",
        "masks",
        multiple=True,
        metavar="METHOD[:VARIANT]",
        help="Mask to write beside the bands, e.g. scl, tsmask:wide; may be repeated.",
    ),
    click.option(
        "--resolution",
        type=int,
        metavar="METRES",
        help="Pixel, 10 or 20; default the coarsest of the bands. Finer ones are averaged to it, "
        "coarser ones repeated.",
    ),
)


@command.command("netcdf")
@series_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write or replace; default e.g. 31UES.nc.",
)
@json_option
@pass_state
def netcdf(state: State, /, out: Path | None, as_json: bool, **asked: Any) -> int:
    """Write a tile's series and masks to one NetCDF-4 file (CF-1.11)."""
    from jobs.export import export_netcdf

    return _carry_out(state, export_netcdf, out, asked, as_json)


@command.command("envi")
@series_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write, or to replace where an export wrote it; default e.g. 31UES_envi.",
)
@json_option
@pass_state
def envi(state: State, /, out: Path | None, as_json: bool, **asked: Any) -> int:
    """Write a tile's series and masks to ENVI rasters, one a band or mask, dates as bands."""
    from jobs.export import export_envi

    return _carry_out(state, export_envi, out, asked, as_json)


@command.command("l3a")
@click.argument("item")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
@pass_state
def l3a(state: State, /, item: str, folder: Path, as_json: bool) -> int:
    """Write the synthesis ITEM into DIR as a product of level 3A in Theia's format."""
    from jobs.export_l3a import export_l3a
    from jobs.runner.progress import Progress

    with state.open(create=False) as workspace:
        done = export_l3a(workspace, item, folder, Progress())
    for note in done.notes:
        click.echo(f"note: {one_line(note)}", err=True)
    if as_json:
        say_json(done.document())
    else:
        click.echo(done.path)
    return 0


@command.command("catalog")
@click.option(
    "--to",
    required=True,
    metavar="TARGET",
    help="postgresql://… or sqlite:///…, FILE.ndjson, FILE.parquet, or a folder.",
)
@json_option
@pass_state
def catalog(state: State, /, to: str, as_json: bool) -> int:
    """Copy every collection and item, count them, and compare searches or files."""
    from jobs.catalog_export import export_catalog

    with state.open(create=False) as workspace:
        done = export_catalog(workspace, to)
    if as_json:
        say_json(done.document())
        return 0
    click.echo(done.to)
    how = f"{done.searches} searches agree" if done.searches else "read again and compared"
    click.echo(f"{done.items} items of {done.collections} collections; {how}", err=True)
    return 0


def _carry_out(
    state: State,
    export: "Callable[..., Export]",
    out: Path | None,
    asked: dict[str, Any],
    as_json: bool,
) -> int:
    from jobs.export import Selection
    from jobs.runner.progress import Progress

    selection = Selection(**{**asked, "bands": _names(asked["bands"])})
    with state.open(create=False) as workspace:
        done = export(workspace, selection, out, Progress())
    for note in done.notes():
        click.echo(f"note: {one_line(note)}", err=True)
    if as_json:
        say_json(done.document())
        return 0
    for file in done.files:
        click.echo(file)
    layers = ", ".join(done.layers)
    dates = f"{len(done.dates)} date{'s'[len(done.dates) == 1 :]}"
    click.echo(f"{dates} at {done.resolution} m of {layers}", err=True)
    return 0


def _names(text: str | None) -> tuple[str, ...] | None:
    """``blue,green`` -> names; ``none`` -> no name; None where nothing was said."""
    if text is None:
        return None
    return () if text == "none" else tuple(name.strip() for name in text.split(",") if name.strip())
