"""``clearcube gc``: remove what killed runs and former results left."""

from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, json_option, one_line, pass_state, say_json

if TYPE_CHECKING:
    from jobs.debris import Debris


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option(
    "--older-than",
    default="1d",
    show_default=True,
    help="Age of what is removed: 30m, 2h, 1d, 0; readers of former results finish meanwhile.",
)
@json_option
@pass_state
def command(state: State, /, dry_run: bool, older_than: str, as_json: bool) -> int:
    """Remove what killed runs left, and results that no item points to any more.

    Tiles that a run is at work on, and files that are not of clearcube's making, are left alone.
    """
    from jobs.cleaning import clean, parse_age
    from jobs.runner.progress import Progress

    age = parse_age(older_than)
    with state.open(create=False) as workspace:
        done = clean(workspace, older_than=age, dry_run=dry_run, progress=Progress())
    if as_json:
        say_json(done.document())
    else:
        for line in _lines(done.removed):
            click.echo(line)
    for tile in done.busy:
        click.echo(f"note: {tile} is left alone, as a run is at work there", err=True)
    for text in done.notes:
        click.echo(f"note: {one_line(text)}", err=True)
    if done.young:
        size = _size(sum(one.bytes for one in done.young))
        click.echo(f"note: {size} of debris are younger than {older_than}", err=True)
    for failure in done.failures:
        click.echo(f"failed: {one_line(str(failure))}", err=True)
    if not as_json:
        verb = "would be removed" if dry_run else "removed"
        click.echo(f"{_size(done.bytes)} {verb}" if done.removed else "nothing to remove", err=True)
    return 1 if done.failures else 0


def _lines(removed: "list[Debris]") -> list[str]:
    """A line for each thing; many of one kind in one place are one line."""
    places: dict[tuple[str, str], list[Debris]] = {}
    for one in removed:
        places.setdefault((one.kind, str(one.path.parent)), []).append(one)
    lines = []
    for (kind, parent), several in places.items():
        size = _size(sum(one.bytes for one in several))
        if len(several) == 1:
            lines.append(f"{kind}  {several[0].path}  {size}")
        else:
            lines.append(f"{kind}  {parent}: {len(several)}  {size}")
    return lines


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
