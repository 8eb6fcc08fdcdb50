"""``clearcube reproduce``: make an item again from what it records, and compare checksums."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, json_option, pass_state, say_json

if TYPE_CHECKING:
    from jobs.reproduction import Part, Reproduction


@click.command("reproduce")
@click.argument("item")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory, new or empty, to make it in and leave it there; workers elsewhere must see it.",
)
@json_option
@pass_state
def command(state: State, item: str, keep: Path | None, as_json: bool) -> int:
    """Make ITEM (id, or COLLECTION/ID) again from its recorded inputs and parameters, and compare.

    Exit status 0 where every checksum is the same, 1 where one differs, 2 where it cannot be made
    again: an input is gone or was delivered again, the job is of another version.
    """
    from jobs.reproduction import reproduce
    from jobs.runner.progress import Progress

    with state.open(create=False) as workspace:
        found = reproduce(workspace, item, keep=keep, progress=Progress())
    if as_json:
        say_json(found.document())
    else:
        _show(found)
    return 0 if found.same else 1


def _show(found: "Reproduction") -> None:
    width = max(len(part.name) for part in found.parts)
    for part in found.parts:
        click.echo(f"{_said(part):<9}  {part.name:{width}}  {part.note}".rstrip())
    other = [part.name for part in found.parts if not (part.same and part.intact)]
    whole = f"{len(found.parts)} of {len(found.parts)} are the same"
    said = f"{found.item_id}: " + (f"{len(other)} differ: {' '.join(other)}" if other else whole)
    click.echo(said, err=True)
    if found.kept is not None:
        click.echo(f"what was made is in {found.kept}", err=True)


def _said(part: "Part") -> str:
    if not part.same:
        return "different"
    return "same" if part.intact else "damaged"
