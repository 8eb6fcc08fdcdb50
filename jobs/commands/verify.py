"""``clearcube verify``: whether cubes, files, items and ledgers are what they say of each other."""

import click

from jobs.commands.console import State, json_option, one_line, pass_state, say_json


@click.command("verify")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile; default all.")
@click.option("--quick", is_flag=True, help="Read no pixels and compute no checksums.")
@click.option(
    "--sources", is_flag=True, help="Read the files of scenes, too: are they those ingested?"
)
@json_option
@pass_state
def command(
    state: State, /, tiles: tuple[str, ...], quick: bool, sources: bool, as_json: bool
) -> int:
    """Check cubes, files, items and ledgers against each other; a line for each thing wrong.

    Exit status 1 where there are errors; notes alone are no error.
    """
    from catalog.search import normalise_tile
    from jobs.runner.progress import Progress
    from jobs.verification import verify

    counts = {"error": 0, "note": 0}
    documents = []
    with state.open(create=False) as workspace:
        progress = Progress()
        named: list[str | None] = [normalise_tile(tile) for tile in dict.fromkeys(tiles)]
        for tile in named or [None]:
            for found in verify(workspace, tile, quick=quick, sources=sources, progress=progress):
                counts[found.severity] += 1
                if as_json:
                    documents.append(found.document())
                else:
                    click.echo(one_line(str(found)))
    if as_json:
        say_json({"errors": counts["error"], "notes": counts["note"], "findings": documents})
    else:
        shown = ", ".join(f"{n} {w}{'s'[n == 1 :]}" for w, n in counts.items() if n)
        click.echo(shown or "nothing is wrong", err=True)
    return 1 if counts["error"] else 0
