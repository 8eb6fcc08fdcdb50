"""``clearcube audit``: whether the numbers of a tile can be trusted."""

import click

from jobs.commands.console import State, json_option, pass_state, say_json


@click.command("audit")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile; may be repeated; default all.")
@click.option(
    "--notes", is_flag=True, help="Also what is no fault: which delivery counts, and why."
)
@json_option
@pass_state
def command(state: State, tiles: tuple[str, ...], notes: bool, as_json: bool) -> int:
    """Look for wrong offsets, scales and duplicates in deliveries and cubes; changes nothing.

    The exit status is 1 where an error was found.
    """
    from jobs.audit import audit

    with state.open(create=False) as workspace:
        found = audit(workspace, tiles)
    if as_json:
        say_json({"tiles": [one.document() for one in found]})
    else:
        for one in found:
            for finding in one.findings:
                if notes or finding.severity != "note":
                    click.echo(finding.line())
            click.echo(one.summary())
    return int(any(one.count("error") for one in found))
