"""``clearcube status``: every derived item, and whether it is true to what it is made from."""

from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, json_option, pass_state, say_json

if TYPE_CHECKING:
    from jobs.job import Target


@click.command("status")
@click.option("--tile", "tiles", multiple=True, help="MGRS tile; default all.")
@click.option("--all", "show_all", is_flag=True, help="Name what is current, too.")
@json_option
@pass_state
def command(state: State, /, tiles: tuple[str, ...], show_all: bool, as_json: bool) -> int:
    """Say of everything made whether it is current, provisional, stale, missing or orphaned, and why.

    `run stale` makes anew what is stale or missing.
    """
    from catalog.search import normalise_tile
    from jobs.commands.plan import shortened
    from jobs.upkeep import status

    with state.open(create=False) as workspace:
        named: list[str | None] = [normalise_tile(tile) for tile in tiles]
        found = [target for tile in named or [None] for target in status(workspace, tile)]
    if as_json:
        say_json({"items": [target.document() for target in found]})
        return 0
    counts: dict[str, int] = {}
    for target in found:
        counts[target.state] = counts.get(target.state, 0) + 1
        # What is current and yet has something to say is a cube that its scenes outgrew.
        if show_all or target.is_due or target.state == "orphaned" or _speaks(target):
            why = f": {shortened(target.because)}" if target.because else ""
            click.echo(f"{target.state:<11} {target.collection}  {target.item_id}{why}")
    shown = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    click.echo(shown or "nothing has been made yet")
    return 0


def _speaks(target: "Target") -> bool:
    return target.state == "current" and bool(target.because)
