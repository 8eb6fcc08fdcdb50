"""``clearcube reject``: take a scene or a mask out of everything that is made, or back."""

from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, json_option, pass_state, say_json
from jobs.errors import RequestError

if TYPE_CHECKING:
    from jobs.rejection import Rejection


@click.command("reject")
@click.argument("item")
@click.option("--why", metavar="TEXT", help="What is wrong with it; all that names it says so.")
@click.option("--undo", is_flag=True, help="Take ITEM back.")
@json_option
@pass_state
def command(state: State, item: str, why: str | None, undo: bool, as_json: bool) -> int:
    """Take ITEM (id, or COLLECTION/ID), a scene or a mask, out; `run stale` then makes what used it anew.

    It stays catalogued, and out when it is ingested or made again. Another delivery of the same
    acquisition counts instead where there is one.
    """
    from jobs.rejection import reject

    if undo == (why is not None):
        raise RequestError(f"reject {item}: give --why TEXT, or --undo")
    with state.open(create=False) as workspace:
        found = reject(workspace, item, why)
    if as_json:
        say_json(found.document())
    else:
        _show(found)
    return 0


def _show(found: "Rejection") -> None:
    from jobs.commands.plan import shortened

    said = "is no longer rejected" if found.why is None else f"rejected: {found.why}"
    click.echo(f"{found.item_id} {said}")
    for name, winner in found.deliveries:
        click.echo(f"{name} " + (f"is superseded by {winner}" if winner else "counts again"))
    for target in found.stale:
        click.echo(f"  {target.state}  {target.item_id}: {shortened(target.because)}")
    if found.stale:
        click.echo("`clearcube run stale` brings them up to date", err=True)
