"""``clearcube plan JOB``: what ``run`` would do, from which scenes, with how much memory."""

from typing import TYPE_CHECKING

import click

from jobs.commands.console import State, say_json
from jobs.commands.job_options import Asked, JobGroup

if TYPE_CHECKING:
    from jobs.forecast import Forecast


class _Plan(JobGroup):
    def carry_out(self, state: State, asked: Asked) -> int:
        """Plan the job on every tile that is meant."""
        from jobs.forecast import forecast

        with state.open(create=False) as workspace:
            requests = asked.requests(workspace)
            found = [forecast(workspace, asked.job.name, request) for request in requests]
        if not asked.as_json:
            for one in found:
                _show(one)
        for one in found:
            one.require_memory()
        if asked.as_json:
            say_json({"plans": [one.document() for one in found]})
        return 0


@click.command("plan", cls=_Plan)
def command() -> None:
    """Say what `run` with the same options would do; touches no pixel."""


def _show(found: "Forecast") -> None:
    from jobs.forecast import memory_text, units_of
    from jobs.memory import PAUSED, in_mib

    for one in found.every():
        tile = one.request.get("tile", "")
        click.echo(
            f"{one.job} {tile}: {len(one.due)} to make, {len(one.targets) - len(one.due)} current"
        )
        for target in one.due:
            click.echo(f"  {target.item_id}  {target.state}: {shortened(target.because)}")
        for stage in one.stages:
            click.echo(f"  {stage.name}: {units_of(stage)} x {stage.unit}, {memory_text(stage)}")
        for note in one.notes:
            click.echo(f"  note: {note}")
    if found.memory:
        click.echo(
            f"a worker may hold {in_mib(found.memory, up=False)}, of which units use "
            f"{PAUSED:.0%} at most (CLEARCUBE_MEMORY)"
        )


def shortened(because: "tuple[str, ...]", most: int = 3) -> str:
    """Reasons as one line, the first few of many."""
    more = len(because) - most
    return "; ".join(because[:most]) + (f"; and {more} more" if more > 0 else "")
